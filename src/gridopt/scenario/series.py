"""Every series a scenario may refer to by name: columns of files, generated series, schedules.

A series is read, and put on the plan's steps, when something first refers to it. Its unit is read from its name and
must be the parameter's; W, MW, EUR/MWh and the like are converted, and a note says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gridopt.clock import Axis, Floats
from gridopt.scenario.columns import SeriesFile
from gridopt.scenario.document import Document
from gridopt.scenario.fields import largest
from gridopt.scenario.generated import check_parameters
from gridopt.scenario.mistakes import Report
from gridopt.scenario.resample import DECIMALS, Bools, Intervals, edges, onto
from gridopt.scenario.schema import Schedule, SeriesFiles
from gridopt.scenario.times import Window, weekly
from gridopt.units import unit_of
from gridopt.written.fields import short
from gridopt.written.report import Where
from gridopt.written.toml import shown
from gridopt.written.words import did_you_mean, foreign_unit, quoted

SCALES: dict[tuple[str, str], float] = {
    ("W", "kW"): 1e-3,
    ("MW", "kW"): 1e3,
    ("EUR/MWh", "EUR/kWh"): 1e-3,
    ("kg/kWh", "g/kWh"): 1e3,
    ("W/m²", "kW/m²"): 1e-3,
    ("kW/kWp", "kW/kW"): 1.0,
    ("kWp", "kW"): 1.0,
    ("kWh/h", "kW"): 1.0,
}
"""(unit of the series, unit wanted) → factor."""

LETTERS = frozenset({"A", "V", "°C", "K", "h", "min"})
"""Units that a name may end with by chance (load_a, zone_c, soc_min): they never refuse a series."""


class Book:
    """Name → values on the axis. With ``readable`` false (the horizon is wrong) names are checked, values are zeros."""

    def __init__(self, axis: Axis, document: Document, report: Report, *, readable: bool = True) -> None:
        self.axis, self.document, self.report, self.readable = axis, document, report, readable
        self._read: dict[str, Callable[[], Floats | None]] = {}
        self._units: dict[str, str] = {}
        self._first: dict[str, str] = {}
        self._values: dict[str, Floats | None] = {}
        self._columns: dict[str, tuple[Intervals, dict[str, Floats]] | None] = {}
        self._places: dict[str, Where] = {}
        self._prefetch: set[str] = set()
        self.complete = True

    # --- what there is ---

    def add_files(self, files: SeriesFiles) -> None:
        """Columns of series files; a column is known by its name alone."""
        for k, name in enumerate(files.files):
            place = self.document.place("series", "files", k)
            path = self.document.folder_of("series", "files") / name
            content = self.document.read(path, place, self.report)
            if content is None:
                self.complete = False
                continue
            file = SeriesFile(path, shown(path), content, files.time, report=self.report)
            if not file.open():
                self.complete = False
                continue
            for column in file.names:
                unit = unit_of(column) or foreign_unit(column)
                self._add(column, file.shown, place, unit, _column(self, file, column))

    def add_generated(self, generate: Mapping[str, Mapping[str, Any]]) -> None:
        """Series of the project's own generator."""
        if not generate:
            return
        from gridopt.scenario.generate import KINDS

        for name, given in generate.items():
            where, at = f"generate {name}", self.document.place("generate", name)
            kind = KINDS.get(str(given.get("kind")))
            if kind is None:
                hint = did_you_mean(str(given.get("kind", "")), KINDS, "there are")
                if "kind" in given:
                    place = self.document.place("generate", name, "kind")
                    self.report.add(place, "unknown-kind", where=where, value=quoted(given["kind"]), hint=hint)
                else:
                    self.report.add(at, "missing-key", where=where, key="kind", doc=f"the series to make{hint}")
                self._add(name, "[generate]", at, "", None)
                continue
            seed = given.get("seed", 0)
            parameters = {k: v for k, v in given.items() if k not in ("kind", "seed")}
            right = check_parameters(kind.parameters, parameters, seed, kind.name, where, at, self.report)
            read = (lambda kind=kind, seed=seed, p=parameters: kind(self.axis, seed, **p)) if right else None
            self._add(name, "[generate]", at, kind.unit, read)

    def add_schedules(self, schedules: Mapping[str, Schedule | None]) -> None:
        """Weekly schedules in local time; None: one that is wrong, and reported."""
        for name, s in schedules.items():
            at = self.document.place("schedule", name)
            rules = [] if s is None else [(Window(r.days, r.start, r.to), r.value) for r in s.rules]
            read = None if s is None else lambda s=s, rules=rules: weekly(self.axis, s.default, rules)
            self._add(name, "[schedule]", at, unit_of(name.replace("-", "_")), read)

    def _add(self, name: str, source: str, place: Where, unit: str, read: Callable[[], Floats | None] | None) -> None:
        if name in self._first:
            self.report.add(place, "twice-series", key=name, first=self._first[name])
            return
        self._first[name] = source
        self._places[name] = place
        self._units[name] = unit
        self._read[name] = read or (lambda: None)

    # --- asking for values ---

    def get(
        self,
        value: float | str,
        key: str,
        where: str,
        place: Where,
        minimum: float = -np.inf,
        maximum: float = np.inf,
    ) -> Floats:
        """(T,) the values of a parameter: a number everywhere, or a series in the parameter's unit and range.

        What is wrong is reported and stands for zeros.
        """
        steps = self.axis.steps
        if not isinstance(value, str):
            return np.full(steps, value)
        if value not in self._read:
            if not self.complete:  # it may stand in the file that could not be read
                return np.zeros(steps)
            hint = did_you_mean(value, self._read, "there are")
            self.report.add(place, "unknown-series", where=where, key=key, value=quoted(value), hint=hint)
            return np.zeros(steps)
        factor = self._factor(value, key, where, place)
        values = self.values(value)
        if factor is None or values is None:
            return np.zeros(steps)
        if factor != 1.0:
            values = np.round(values * factor, DECIMALS)
        low, high = max(minimum, -largest(key)), min(maximum, largest(key))
        outside = np.flatnonzero((values < low) | (values > high))
        if len(outside):
            k = int(outside[0])
            limit = f"less than {short(low)}" if values[k] < low else f"more than {short(high)}"
            said = {"key": key, "value": quoted(value), "found": values[k], "when": self.axis.label(k), "range": limit}
            self.report.add(place, "series-range", where=where, **said)
            return np.zeros(steps)
        return values

    def source(self, name: str) -> str:
        """Where a series comes from: its file, or its section."""
        first = self._first[name]
        return f"[{first[1:-1]}.{name}]" if first.startswith("[") else f"column {name}, {first}"

    def values(self, name: str) -> Floats | None:
        """(T,) a series on the axis, or None when it is wrong; read once."""
        if name not in self._values:
            self._values[name] = self._read[name]() if self.readable else None
        return self._values[name]

    def _factor(self, name: str, key: str, where: str, place: Where) -> float | None:
        found, wanted = self._units[name], unit_of(key)
        if not found or not wanted or found == wanted:
            return 1.0
        factor = SCALES.get((found, wanted))
        if factor is None:
            if found in LETTERS or wanted in LETTERS:
                return 1.0
            energy = (found, wanted) == ("kWh", "kW")
            hint = "; divide the energy by the length of its interval in hours" if energy else ""
            said = {"key": key, "wanted": wanted, "value": quoted(name), "found": found, "hint": hint}
            self.report.add(place, "series-unit", where=where, **said)
        elif factor != 1.0:
            self.report.note(
                self._places[name], "converted", value=quoted(name), found=found, factor=factor, wanted=wanted
            )
        return factor

    # --- columns of files ---

    def want(self, names: set[str]) -> None:
        """Say beforehand which names will be asked for, so that each file is read once for all its columns."""
        self._prefetch = names

    def column(self, file: SeriesFile, name: str) -> Floats | None:
        """(T,) a column on the axis; a mistake where steps lack a value."""
        known = self._columns.get(file.shown)
        if file.shown not in self._columns or (known is not None and name not in known[1]):
            wanted = [c for c in file.names if c in self._prefetch or c == name]
            self._columns[file.shown] = known = file.read(wanted, self.axis)
        if known is None:
            return None
        intervals, columns = known
        if name in file.bad:
            return None
        values, covered = onto(self.axis, intervals, columns[name])
        if covered.all():
            return values
        first = int(np.flatnonzero(~covered)[0])
        empty = intervals.row[np.isnan(columns[name]) & (intervals.end > edges(self.axis)[first])]
        self._gap(file, name, covered, int(empty[0]) if len(empty) else None)
        return None

    def _gap(self, file: SeriesFile, name: str, covered: Bools, row: int | None) -> None:
        """``row``: the first empty cell's row, None where rows are missing altogether."""
        first = int(np.flatnonzero(~covered)[0])
        covers = "the file has no rows"
        if file.covers:
            covers = "the file runs from {} to {} {}".format(*file.covers)
        self.report.add(
            (file.shown, None if row is None else file.row_line(row)),
            "series-gap",
            key=name,
            lacking=int((~covered).sum()),
            steps=self.axis.steps,
            first=self.axis.local[first].isoformat(timespec="minutes"),
            covers=covers,
        )


def _column(book: Book, file: SeriesFile, name: str) -> Callable[[], Floats | None]:
    return lambda: book.column(file, name)
