"""The run that a plan continues: the state its plan leaves at the instant at which the new one starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from gridopt.assets.base import Floats, at
from gridopt.clock import Axis
from gridopt.model.inputs import Commitment, Group, Inputs
from gridopt.model.schedule import Schedule
from gridopt.scenario.mistakes import Report
from gridopt.scenario.times import DAYS, Bools, Window, inside
from gridopt.verify.outages import with_outages


@dataclass(frozen=True)
class Past:
    """One asset until the instant at which it is taken up. ``state``: the physics' own, this device's row; ``columns``:
    its block columns at the last step before; ``steps``: how many of its window have passed; ``same_day``: whether
    the last of them lies on the local day that begins or goes on now, ``first_day`` whether on the run's first.
    """

    family: str
    state: Mapping[str, Any]
    columns: SimpleNamespace
    steps: int
    step_h: float
    same_day: bool
    first_day: bool

    @property
    def hours(self) -> float:
        return self.steps * self.step_h


@dataclass(frozen=True, eq=False)
class Before:
    """An earlier run. ``name``: as the user called its folder."""

    name: str
    folder: Path
    summary: Mapping[str, Any]
    inputs: Inputs
    schedule: Schedule

    @property
    def axis(self) -> Axis:
        return self.inputs.axis

    @property
    def plan_id(self) -> str:
        return str(self.summary["plan_id"])

    def steps_until(self, axis: Axis, report: Report) -> int | None:
        """Steps of that plan before the start of ``axis``, or None with the mistake reported."""
        hours = self.axis.hours_from_start(axis.start)
        steps = round(hours / self.axis.step_h)
        said = {"name": self.name, "start": axis.label(0)}
        said |= {"first": self.axis.label(0), "last": self.axis.label(self.axis.steps)}
        if hours < 0 or steps > self.axis.steps:
            day = self.axis.local_day[0] if hours < 0 else self._day_after()
            report.add((self.shown, None), "not-before" if hours < 0 else "too-early", **said, day=f"{day:%Y-%m-%d}")
            return None
        if abs(hours / self.axis.step_h - steps) > 1e-9:
            report.add((self.shown, None), "inside-step", **said, step_min=self.axis.step_min)
            return None
        return steps

    @property
    def shown(self) -> str:
        return f"--from {self.name}"

    def _day_after(self) -> datetime:
        from zoneinfo import ZoneInfo

        return self.axis.end.astimezone(ZoneInfo(self.axis.zone))

    def pasts(self, steps: int, axis: Axis) -> dict[str, Past]:
        """Asset → its past after so many steps, of those that take part in that run."""
        found: dict[str, Past] = {}
        days = self.axis.local_day
        last = days[steps - 1] if steps else None
        same, first = last is None or last == axis.local_day[0], last is None or last == days[0]
        for group, values in zip(with_outages(self.inputs).groups, self.schedule.groups, strict=True):
            commands = {name: values[name] for name in group.family.commands if name in values}
            passed = np.clip(steps - group.offset, 0, group.steps)
            states = _states(group, commands, passed, self.axis.step_h)
            for k, name in enumerate(group.ids):
                n = int(passed[k])
                row = slice(k, k + 1)
                columns = {c: a[row] if a.ndim == 1 else a[row, max(n - 1, 0)] for c, a in group.columns.items()}
                one = {c: float(a[0]) for c, a in columns.items()}
                found[name] = Past(
                    group.family.name, states[k], SimpleNamespace(**one), n, self.axis.step_h, same, first
                )
        return found

    def values(self, asset: str, column: str) -> Floats:
        """(steps of its window,) a column of an asset, or what it did where that is a variable of its."""
        g, k = self.inputs.where[asset]
        group = self.inputs.groups[g]
        return np.asarray(group.columns[column][k] if column in group.columns else self.schedule.groups[g][column][k])

    def peak_kw(self, node: str, window: Window, month: int, steps: int) -> float | None:
        """Highest mean power drawn at a node in a window of a local month, until ``steps``; None where none counts."""
        if node not in self.inputs.node_index:
            return None
        counts = inside(self.axis, window) & (self.axis.local_month == month) & (np.arange(self.axis.steps) < steps)
        drawn = self.schedule.net_kw[self.inputs.node_index[node]][counts]
        return max(0.0, float(drawn.max())) if len(drawn) else None

    def peak_before_kw(self, commitment: str, window: Window, month: int) -> float | None:
        """The peak that this run itself was told of, for the same month; None where it knew no such charge."""
        c, counts = self._counted(commitment, window, month)
        if c is None or not counts.any():
            told = self._told_of(commitment, window, month)
            return None if told is None else float(told["plan_kw"])
        return float(c.baseline_kw[counts].max())

    def peak_by_rule_kw(self, commitment: str, window: Window, month: int, steps: int) -> float | None:
        """The same month's peak until ``steps`` of its days by rule; None where it does not say."""
        c, counts = self._counted(commitment, window, month)
        if c is None or not counts.any():
            told = self._told_of(commitment, window, month)
            return None if told is None or told["by_rule_kw"] is None else float(told["by_rule_kw"])
        said = (self.summary["baseline"].get("peaks_kw") or {}).get(commitment)
        rises = [said[p] for p in np.unique(c.period[counts])] if said else []
        if not rises or None in rises:
            return None
        now = self.axis.start + steps * timedelta(minutes=self.axis.step_min)
        reached = [r["kw"] for some in rises for r in some if datetime.fromisoformat(r["from"]) <= now]
        return float(max(reached))

    def _counted(self, commitment: str, window: Window, month: int) -> tuple[Commitment | None, Bools]:
        """A peak charge of that run, and its steps in a window of a month."""
        c = next((c for c in self.inputs.commitments if c.id == commitment and c.measure == "peak"), None)
        counts = inside(self.axis, window) & (self.axis.local_month == month)
        return c, counts if c is None else counts & (c.period >= 0)

    def _told_of(self, commitment: str, window: Window, month: int) -> Mapping[str, Any] | None:
        """What that run itself took over of a window that is never open in it: a Saturday knows of the week's peak."""
        if month != self.axis.local_month[0]:
            return None
        peaks = ((self.summary.get("continues") or {}).get("peaks") or {}).get(commitment, [])
        return next((p for p in peaks if p["window"] == window_words(window)), None)


def window_words(window: Window) -> str:
    """``mon,tue 480-1200``: a weekly window by its days and minutes of the day."""
    return f"{','.join(DAYS[k] for k in sorted(window.days))} {window.start}-{window.end}"


def _states(group: Group, commands: Mapping[str, Floats], passed: Any, step_h: float) -> list[dict[str, Any]]:
    """Every device's state after ``passed`` steps of its window, driven by its commands."""
    state = group.family.start(at(group.columns, 0, step_h))
    out: list[dict[str, Any]] = [{} for _ in group.ids]

    def keep(t: int) -> None:
        for k in np.flatnonzero(passed == t):
            out[k] = {name: np.asarray(v[k]).copy() for name, v in state.items()}

    keep(0)
    for t in range(int(passed.max(initial=0))):
        wanted = {name: values[:, t] for name, values in commands.items()}
        state, _ = group.family.step(at(group.columns, t, step_h), state, wanted)
        keep(t + 1)
    return out
