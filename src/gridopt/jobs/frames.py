"""A scenario on values other than its files': the same assets, contracts and limits on what was known, or what came.

A frame is a scenario's tables on a time axis. It can be cut to some of its steps, joined with the next one, given
other series and other contents of its stores, and becomes what a plan is made of.
"""

from __future__ import annotations

import csv
import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from gridopt.assets.base import Floats
from gridopt.clock import Axis
from gridopt.errors import UsageError
from gridopt.model.inputs import Commitment, Inputs, Node, Target
from gridopt.scenario.assets import AssetTable, groups_of
from gridopt.scenario.columns import SeriesFile
from gridopt.scenario.load import Scenario, load
from gridopt.scenario.mistakes import Report
from gridopt.scenario.resample import DECIMALS, onto
from gridopt.scenario.series import SCALES
from gridopt.units import unit_of
from gridopt.written.toml import shown
from gridopt.written.words import foreign_unit, listed

TIME = "time_utc"
FAMILIES = ("load", "pv", "battery")
"""Whose state is carried from plan to plan."""
STORE = "battery"
Contents = Mapping[str, float]
"""Store → what it holds [kWh]."""


@dataclass(frozen=True)
class Ref:
    """A parameter of an asset that is a column of a file: ``factor`` brings the column to the parameter's unit."""

    asset: str
    key: str
    column: str
    factor: float


@dataclass(frozen=True)
class Known:
    """Which columns a scenario refers to, by when a value is known: ``measured`` when its step has ended, ``published``
    the day before (prices), ``announced`` always (limits)."""

    refs: tuple[Ref, ...]
    measured: tuple[str, ...]
    published: tuple[str, ...]
    announced: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.measured, *self.published, *self.announced)


@dataclass(frozen=True)
class Frame:
    axis: Axis
    tables: tuple[AssetTable, ...]
    nodes: tuple[Node, ...]
    commitments: tuple[Commitment, ...]
    target: Target

    def cut(self, first: int, last: int) -> Frame:
        """Its steps [first, last)."""
        axis = self.axis
        start = axis.start + timedelta(minutes=axis.step_min * first)
        return Frame(
            Axis(start, axis.step_min, last - first, axis.zone),
            tuple(_each(t, lambda a: a[:, first:last]) for t in self.tables),
            tuple(_limits(n, lambda a: a[first:last]) for n in self.nodes),
            tuple(_cut(c, first, last) for c in self.commitments),
            self.target,
        )

    def given(self, refs: Sequence[Ref], values: Mapping[str, Floats]) -> Frame:
        """With other values of columns, in the unit of the file, (T,)."""
        tables = []
        for table in self.tables:
            user = dict(table.user)
            for ref in refs:
                if ref.asset in table.ids and ref.column in values:
                    user[ref.key] = user[ref.key].copy()
                    user[ref.key][table.ids.index(ref.asset)] = np.round(values[ref.column] * ref.factor, DECIMALS)
            tables.append(dataclasses.replace(table, user=user))
        return dataclasses.replace(self, tables=tuple(tables))

    def inputs(self, holds: Contents, goal: bool) -> Inputs:
        """What a plan is made of, stores beginning with ``holds``. ``goal``: whether their end goal counts."""
        tables = tuple(_holding(t, holds, goal) if t.family.name == STORE else t for t in self.tables)
        groups = groups_of(tables, [n.id for n in self.nodes], self.axis)
        return Inputs(self.axis, self.nodes, groups, self.commitments, target=self.target)


def join(frames: Sequence[Frame]) -> Frame:
    """Frames one after another; days that were left out between them are passed over."""
    first = frames[0]
    steps = sum(f.axis.steps for f in frames)
    axis = Axis(first.axis.start, first.axis.step_min, steps, first.axis.zone)
    tables = []
    for k, table in enumerate(first.tables):
        names = _series(table)
        user = {n: np.hstack([f.tables[k].user[n] for f in frames]) if n in names else a for n, a in table.user.items()}
        tables.append(dataclasses.replace(table, user=user))
    nodes = []
    for k, node in enumerate(first.nodes):
        same = [f.nodes[k] for f in frames]
        limits: dict[str, Any] = {n: np.concatenate([getattr(s, n) for s in same]) for n in LIMITS}
        nodes.append(dataclasses.replace(node, **limits))
    commitments = tuple(_joined([f.commitments[k] for f in frames]) for k in range(len(first.commitments)))
    return Frame(axis, tuple(tables), tuple(nodes), commitments, first.target)


LIMITS = ("import_max_kw", "export_max_kw", "reserve_kw")


def _series(table: AssetTable) -> set[str]:
    return {p.name for p in table.family.parameters if p.kind == "series"}


def _each(table: AssetTable, change: Any) -> AssetTable:
    names = _series(table)
    return dataclasses.replace(table, user={n: change(a) if n in names else a for n, a in table.user.items()})


def _limits(node: Node, change: Any) -> Node:
    limits: dict[str, Any] = {n: change(getattr(node, n)) for n in LIMITS}
    return dataclasses.replace(node, **limits)


def _cut(c: Commitment, first: int, last: int) -> Commitment:
    period = c.period[first:last]
    used, at = np.unique(period[period >= 0], return_inverse=True)
    inside = np.full(len(period), -1, np.int64)
    inside[period >= 0] = at
    return dataclasses.replace(
        c, period=inside, baseline_kw=c.baseline_kw[first:last],
        price_above=c.price_above[used], price_below=c.price_below[used],
    )  # fmt: skip


def _joined(parts: Sequence[Commitment]) -> Commitment:
    shift = np.cumsum([0, *(p.periods for p in parts)])
    return dataclasses.replace(
        parts[0],
        period=np.concatenate([np.where(p.period >= 0, p.period + s, -1) for p, s in zip(parts, shift, strict=False)]),
        baseline_kw=np.concatenate([p.baseline_kw for p in parts]),
        price_above=np.concatenate([p.price_above for p in parts]),
        price_below=np.concatenate([p.price_below for p in parts]),
    )


def _holding(table: AssetTable, holds: Contents, goal: bool) -> AssetTable:
    """Stores beginning with ``holds``; where the end should be as the start, it is the start that the scenario says."""
    user = dict(table.user)
    said, end = user["soc_start"], user["end"]
    share = np.array([holds[name] for name in table.ids]) / np.maximum(user["capacity_kwh"], 1e-9)
    # What the arithmetic of a step leaves beyond the band's edge is no battery outside its band.
    near = np.clip(share, user["soc_min"], user["soc_max"])
    user["soc_start"] = np.where(np.abs(near - share) < 1e-6, near, share)
    user["soc_end"] = np.where(end == "start", said, user["soc_end"])
    asked = [("target" if e == "start" else e) if goal else "free" for e in end]
    user["end"] = np.array([*asked, None], object)[:-1]
    return dataclasses.replace(table, user=user)


def contents(tables: Sequence[AssetTable]) -> dict[str, float]:
    """What every store holds as the scenario begins [kWh]."""
    return {
        name: float(t.user["soc_start"][k] * t.user["capacity_kwh"][k])
        for t in tables if t.family.name == STORE
        for k, name in enumerate(t.ids)
    }  # fmt: skip


# --- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """A scenario to be put on other values. ``document``: its values, overlays and settings merged in."""

    path: Path
    overlays: tuple[Path, ...]
    sets: tuple[str, ...]
    document: Mapping[str, Any]
    folder: Path
    known: Known

    def frame(self, day: date, days: int, values: Mapping[str, Floats]) -> Frame:
        """Whole local days from ``day``, on values of every column (T,), none missing."""
        return frame_of(self._load(day, days, values))

    def _load(self, day: date, days: int, values: Mapping[str, Floats]) -> Scenario:
        axis = self.axis(day, days)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "series.csv"
            with file.open("w", newline="") as out:
                table = csv.writer(out)
                table.writerow([TIME, *values])
                # One row more says where the last step ends.
                times = [axis.start + timedelta(minutes=axis.step_min * k) for k in range(axis.steps + 1)]
                cells = [[repr(float(x)) for x in (*a, a[-1])] for a in values.values()]
                table.writerows([t.astimezone(UTC).isoformat(), *row] for t, *row in zip(times, *cells, strict=True))
            known = [f'series.files=["{file.as_posix()}"]', f'series.time="{TIME}"'] if values else []
            return load(
                self.path, overlays=self.overlays, day=day, sets=[*self.sets, *_horizon(days, self.document), *known]
            )

    def axis(self, day: date, days: int = 1) -> Axis:
        from gridopt.clock import day_axis

        said = self.document["horizon"]
        return day_axis(day, days, int(said.get("step_min", 15)), str(said.get("zone", "Europe/Paris")))

    def raw(self, axis: Axis) -> dict[str, Floats]:
        """Every column as it stands in the scenario's files, on the axis; NaN where nothing is known."""
        said = self.document.get("series", {})
        report, found = Report(), dict[str, Floats]()
        for name in said.get("files", ()):
            path = self.folder / name
            file = SeriesFile(path, shown(path), path.read_bytes(), said.get("time", "time"), report=report)
            if not file.open():
                continue
            wanted = [c for c in self.known.columns if c in file.names]
            read = file.read(wanted, axis)
            if read is not None:
                found |= {c: _known(*onto(axis, read[0], read[1][c])) for c in wanted}
        report.stop()
        return {c: found[c] for c in self.known.columns if c in found}


def _known(values: Floats, covered: Any) -> Floats:
    return np.where(covered, values, np.nan)


def _horizon(days: int, document: Mapping[str, Any]) -> list[str]:
    hours = ["horizon.hours="] if "hours" in document["horizon"] else []
    return [*hours, f"horizon.days={days}"]


def source(path: Path | str, overlays: Sequence[Path], sets: Sequence[str], day: date) -> tuple[Source, Scenario]:
    """A scenario and what can be asked of it. Raises ScenarioError, and UsageError for what is not carried yet."""
    from gridopt.scenario.find import find

    file = find(path)
    scenario = load(path, overlays=overlays, sets=[*sets], day=day)
    _refuse(scenario)
    made = Source(Path(file), tuple(overlays), tuple(sets), scenario.document, scenario.folder, _known_of(scenario))
    return made, scenario


def frame_of(scenario: Scenario) -> Frame:
    return Frame(scenario.axis, scenario.tables, scenario.nodes, scenario.commitments, scenario.target)


def _refuse(scenario: Scenario) -> None:
    """What a backtest cannot carry from plan to plan would make its figures wrong."""
    others = sorted({t.family.name for t in scenario.tables if t.ids} - set(FAMILIES))
    if others:
        raise UsageError(
            "a backtest carries {known}, and not yet {others}", known=listed(FAMILIES), others=listed(others)
        )
    counted = sorted(c.id for c in scenario.commitments if c.measure != "energy")
    if counted:
        raise UsageError("a backtest does not yet carry peaks and hours so far: {those}", those=listed(counted))
    cycled = [
        n for t in scenario.tables if t.family.name == STORE
        for n, most in zip(t.ids, t.user["cycles_per_day"], strict=True) if np.isfinite(most)
    ]  # fmt: skip
    if cycled:
        raise UsageError("a backtest does not yet carry the cycles of a day: {those}", those=listed(cycled))
    if scenario.pins or scenario.rule_code or scenario.objective.named:
        raise UsageError("a backtest knows no overrides, outages, rules and wishes yet")


def _known_of(scenario: Scenario) -> Known:
    """The columns of files that assets, contracts and nodes name."""
    document = scenario.document
    other = {*document.get("generate", {}), *document.get("schedule", {})}

    def named(section: Mapping[str, Any], of: str) -> list[tuple[str, str]]:
        series = {
            p.name for t in scenario.tables if t.family.name == of for p in t.family.parameters if p.kind == "series"
        }
        keys = series if of else set(section)
        return [(k, v) for k, v in section.items() if k in keys and isinstance(v, str) and v not in other]

    refs = []
    for asset, said in document.get("asset", {}).items():
        for key, column in named(said, str(said.get("family"))):
            unit, wanted = unit_of(column) or foreign_unit(column), unit_of(key)
            refs.append(Ref(asset, key, column, SCALES.get((unit, wanted), 1.0)))
    measured = [r.column for r in refs]
    published: list[str] = []
    for said in document.get("commitment", {}).values():
        columns = [v for k, v in named(said, "") if k.split("_")[-1] not in ("kind", "node") and "_per_" in k]
        (published if said.get("kind") == "energy" else measured).extend(columns)
    announced = [v for said in document.get("node", {}).values() for k, v in named(said, "") if k in LIMITS]
    published = [c for c in dict.fromkeys(published) if c not in measured]
    measured = list(dict.fromkeys(measured))
    announced = [c for c in dict.fromkeys(announced) if c not in (*measured, *published)]
    return Known(tuple(refs), tuple(measured), tuple(published), tuple(announced))
