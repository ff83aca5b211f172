"""Series files: CSV (of any ``sheet``) or Parquet with a column of interval starts and columns of values.

Times with an offset are UTC instants; times without are local wall-clock time, where the hour that clocks repeat in
autumn stands twice, in order. Only rows near the horizon are looked at, so a file may hold years and gaps elsewhere.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from gridopt.clock import Axis, Floats, parse_instant
from gridopt.scenario.fields import LARGEST_RAW
from gridopt.scenario.mistakes import Report
from gridopt.scenario.resample import Intervals, Ints, edges
from gridopt.scenario.sheet import Sheet, iso_date, note_day_first, read_sheet
from gridopt.written.fields import number_hint, short
from gridopt.written.words import did_you_mean, nearest, quoted

if TYPE_CHECKING:
    import pyarrow as pa

DATES, CLOCKS = ("date", "jour", "day"), ("time", "heure", "heures", "hour", "hours", "horaire")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{4}")
CLOCK = re.compile(r"(\d{1,2})(?:[:h](\d{2})?(?::\d{2})?)?")
MARGIN_S = 2 * 86400
DAY_S = 86400
EPOCH = datetime(1970, 1, 1)


@dataclass
class SeriesFile:
    """One file of series: its header is read at once, its columns when asked for."""

    path: Path
    shown: str
    content: bytes
    time: str
    clock: str = ""
    """Column with the time of day, where ``time`` holds the date alone."""
    sheet: Sheet = field(default_factory=lambda: Sheet(""))
    header: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    covers: tuple[str, str, str] | None = None
    bad: set[str] = field(default_factory=set)
    report: Report = field(default_factory=Report)

    @property
    def parquet(self) -> bool:
        return self.path.suffix == ".parquet"

    # --- header ---

    def open(self) -> bool:
        """Read the header; False when the file cannot be used."""
        try:
            header = self._parquet_header() if self.parquet else self._csv_header()
        except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
            self.report.add((self.shown, None), "unreadable", name="the file", reason=arrow_reason(error))
            return False
        if header is None:
            return False
        self._find_clock(header)
        if self.time not in header:
            hint = _time_hint(self.time, header)
            self.report.add((self.shown, self._line(1)), "no-time-column", key=self.time, hint=hint)
            return False
        self.header = tuple(header)
        self.names = tuple(name for name in header if name not in (self.time, self.clock))
        if not self.names:
            self.report.add((self.shown, self._line(1)), "no-columns", key=self.time)
        return bool(self.names)

    def _find_clock(self, header: Sequence[str]) -> None:
        """A date and a time of day in two columns of a CSV file, as many exports have them, are one time."""
        both = [next((name for name in header if name.casefold() in words), "") for words in (DATES, CLOCKS)]
        if self.parquet or not all(both) or (self.time in header and self.time not in both):
            return
        lines = csv.reader(io.StringIO(self.sheet.text), delimiter=self.sheet.separator)
        row = dict(zip(header, next(itertools.islice((r for r in lines if r), 1, None), []), strict=False))
        date, clock = (row.get(name, "").strip() for name in both)
        if DAY.fullmatch(date) and CLOCK.fullmatch(clock):
            self.time, self.clock = both
            self.report.note((self.shown, None), "two-columns", date=self.time, clock=self.clock)

    def _line(self, line: int) -> int | None:
        return None if self.parquet else line

    def _parquet_header(self) -> list[str]:
        import pyarrow.parquet as pq

        return list(pq.read_schema(io.BytesIO(self.content)).names)

    def _csv_header(self) -> list[str] | None:
        sheet = read_sheet(self.content, self.shown, self.report)
        if sheet is None:
            return None
        first = sheet.text.partition("\n")[0]
        if not first.strip():
            self.report.add((self.shown, None), "empty-file", hint="")
            return None
        self.sheet = sheet
        names = [name.strip() for name in next(csv.reader([first], delimiter=sheet.separator))]
        twice = sorted({name for name in names if names.count(name) > 1})
        for name in twice:
            self.report.add((self.shown, 1), "twice-column", key=name)
        return None if twice else names

    # --- columns ---

    def read(self, names: Sequence[str], axis: Axis) -> tuple[Intervals, dict[str, Floats]] | None:
        """The intervals near the horizon and the wanted columns on them, NaN where a cell is empty."""
        before = len(self.report.mistakes)
        try:
            table = self._parquet_table(names) if self.parquet else self._csv_table(names)
        except (OSError, ValueError) as error:
            self.report.add((self.shown, None), "unreadable", name="the file", reason=arrow_reason(error))
            return None
        if len(self.report.mistakes) > before:
            return None
        intervals = self._intervals(table.column(self.time), axis)
        if intervals is None:
            return None
        return intervals, {name: self._values(table.column(name), name, intervals.row) for name in names}

    def _parquet_table(self, names: Sequence[str]) -> pa.Table:
        import pyarrow.parquet as pq

        return pq.read_table(io.BytesIO(self.content), columns=[self.time, *names])

    def _csv_table(self, names: Sequence[str]) -> pa.Table:
        import pyarrow as pa
        from pyarrow import csv as arrow

        bad: list[Any] = []

        def bad_row(row: Any) -> str:
            bad.append(row)
            return "skip"

        content = self.sheet.text.encode()
        stamps = [self.time, self.clock] if self.clock else [self.time]
        convert = {
            "decimal_point": "," if self.sheet.comma else ".",
            "include_columns": [*stamps, *names],
            "column_types": dict.fromkeys(stamps, pa.string()) | dict.fromkeys(names, pa.float64()),
            "strings_can_be_null": True,
        }
        parse = arrow.ParseOptions(delimiter=self.sheet.separator, invalid_row_handler=bad_row)
        read = arrow.ReadOptions(use_threads=False, skip_rows=1, column_names=self.header)
        try:
            table = arrow.read_csv(io.BytesIO(content), read, parse, arrow.ConvertOptions(**convert))
        except pa.ArrowInvalid:  # a cell is not a number: read all as text, so that the cell can be named
            bad.clear()
            convert["column_types"] = dict.fromkeys([*stamps, *names], pa.string())
            table = arrow.read_csv(io.BytesIO(content), read, parse, arrow.ConvertOptions(**convert))
        for row in bad:
            found, expected = row.actual_columns, row.expected_columns
            hint = self.sheet.ragged_hint if found > expected else ""
            self.report.add((self.shown, row.number), "row-cells", found=found, expected=expected, hint=hint)
        if self.clock:
            dates, clocks = (table.column(name).to_pylist() for name in stamps)
            note_day_first(self.shown, "\n".join(filter(None, dates)), self.report)
            joined = pa.array([_joined(*both) for both in zip(dates, clocks, strict=True)], pa.string())
            table = table.set_column(table.column_names.index(self.time), self.time, joined)
        return table

    def _values(self, column: pa.ChunkedArray, name: str, rows: Ints) -> Floats:
        import pyarrow as pa

        kept, kind = column.take(rows), column.type
        tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
        if any(is_numeric(kind) for is_numeric in tests):
            values = np.asarray(kept.cast(pa.float64()).to_numpy(), np.float64)
        else:
            values = np.array([self._cell(cell, name, int(r)) for cell, r in zip(kept.to_pylist(), rows, strict=True)])
        for k in np.flatnonzero(np.abs(values) > LARGEST_RAW)[:1]:
            self.bad.add(name)
            place = (self.shown, self.row_line(int(rows[k])))
            self.report.add(place, "wild-cell", key=name, value=values[k], most=short(LARGEST_RAW))
        return values

    def _cell(self, cell: Any, name: str, row: int) -> float:
        try:
            return float("nan") if cell is None else float(self.sheet.number(cell) if isinstance(cell, str) else cell)
        except (TypeError, ValueError):
            hint = number_hint(cell)
            place = (self.shown, self.row_line(row))
            self.bad.add(name)
            self.report.add(place, "bad-cell", key=name, value=quoted(cell), hint=hint)
            return float("nan")

    def row_line(self, row: int) -> int | None:
        """Line of a data row of a CSV file, blank lines counted."""
        if self.parquet:
            return None
        reader = csv.reader(io.StringIO(self.sheet.text), delimiter=self.sheet.separator)
        filled = (reader.line_num for cells in reader if cells)
        return next(line for k, line in enumerate(filled) if k == row + 1)

    # --- times ---

    def _intervals(self, column: pa.ChunkedArray, axis: Axis) -> Intervals | None:
        stamps = self._stamps(column)
        if stamps is None:
            return None
        times, local = stamps
        if len(times):
            self.covers = _wall(int(times.min())), _wall(int(times.max())), "local time" if local else "UTC"
        if len(times) == 1:
            self.report.add((self.shown, self.row_line(0)), "one-time")
            return None
        shift = int(axis.local[0].utcoffset().total_seconds()) if local else 0  # type: ignore[union-attr]
        at = edges(axis)
        near = np.flatnonzero((times >= at[0] + shift - MARGIN_S) & (times < at[-1] + shift + MARGIN_S))
        near = near[np.argsort(times[near], kind="stable")]
        wall = times[near]
        gaps = np.diff(wall)
        lengths, counts = np.unique(gaps[gaps > 0], return_counts=True)
        if not len(lengths):
            return Intervals(*(np.zeros(0, np.int64),) * 3)
        step = int(lengths[np.argmax(counts)])
        start = self._to_utc(wall, near, axis.zone) if local else wall
        if start is None or not self._regular(start, near, step, axis.zone):
            return None
        # A local day has 23 to 25 hours: days, unlike hours, end by the wall clock.
        days = local and step % DAY_S == 0
        end = _local_to_utc(wall + step, axis.zone) if days else start + step
        return Intervals(start, end, near)

    def _stamps(self, column: pa.ChunkedArray) -> tuple[Ints, bool] | None:
        """Seconds since 1970 of every row, and whether they are wall-clock time."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if column.null_count:
            row = column.is_null().to_pylist().index(True)
            self.report.add((self.shown, self.row_line(row)), "missing-time")
            return None
        instant, wall = pa.timestamp("us", "UTC"), pa.timestamp("us")
        kinds = [instant, wall]
        cells: list[Any] = []
        if not pa.types.is_string(column.type):
            kinds = [instant if getattr(column.type, "tz", None) else wall]
        elif pc.any(pc.match_substring(column, "/")).as_py():
            cells = column.to_pylist()
            column = pa.chunked_array([[iso_date(cell) for cell in cells]])
        for kind in kinds:
            try:
                seconds = column.cast(kind).cast(pa.int64()).to_numpy() // 1_000_000
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                continue
            if cells:
                note_day_first(self.shown, "\n".join(cells), self.report)
            return seconds, kind is wall
        self._name_bad_time(cells or column.to_pylist())
        return None

    def _name_bad_time(self, cells: Sequence[Any]) -> None:
        """Some time is unreadable, or only some have an offset: name the first."""
        first: bool | None = None
        for row, cell in enumerate(cells):
            place = (self.shown, self.row_line(row))
            try:
                offset = datetime.fromisoformat(iso_date(str(cell))).tzinfo is not None
            except ValueError:
                return self.report.add(place, "bad-time", value=quoted(cell))
            first = offset if first is None else first
            if offset != first:
                return self.report.add(place, "mixed-time", value=quoted(cell), has="has" if offset else "lacks")
        return self.report.add((self.shown, None), "bad-time", value=quoted(cells[0]))

    def _to_utc(self, wall: Ints, rows: Ints, zone: str) -> Ints | None:
        """Wall-clock seconds in order → UTC; of two equal ones the second is the repeated hour of autumn."""
        out = np.empty_like(wall)
        for k, second in enumerate(wall):
            local = EPOCH + timedelta(seconds=int(second))
            try:
                utc = parse_instant(local.isoformat(), zone)
            except ValueError:
                place = (self.shown, self.row_line(int(rows[k])))
                self.report.add(place, "no-such-stamp", value=local.isoformat(timespec="minutes"), zone=zone)
                return None
            if k and wall[k - 1] == second:
                utc = local.replace(tzinfo=ZoneInfo(zone), fold=1).astimezone(UTC)
            out[k] = int(utc.timestamp())
        return out

    def _regular(self, start: Ints, rows: Ints, step: int, zone: str) -> bool:
        """No time twice, none between the others' steps."""
        order = np.argsort(start, kind="stable")
        start[:], rows[:] = start[order], rows[order]
        for k in np.flatnonzero(np.diff(start) < min(step, DAY_S - 3600)):
            when = datetime.fromtimestamp(int(start[k + 1]), ZoneInfo(zone)).isoformat(timespec="minutes")
            place = (self.shown, self.row_line(int(rows[k + 1])))
            apart = int(start[k + 1] - start[k])
            if apart:
                self.report.add(place, "off-step-time", value=when, found=apart / 60, step=step // 60)
            else:
                self.report.add(place, "twice-time", value=when, first=self.row_line(int(rows[k])))
            return False
        return True


def _joined(date: str | None, clock: str | None) -> str | None:
    """``16/03/2026`` and ``7h30``, ``07:30`` or ``7`` → one time; None where one of them is missing."""
    if date is None or clock is None:
        return None
    match = CLOCK.fullmatch(clock.strip())
    return f"{iso_date(date.strip())}T{match[1]:0>2}:{match[2] or '00'}" if match else f"{date} {clock}"


def _local_to_utc(wall: Ints, zone: str) -> Ints:
    tz = ZoneInfo(zone)
    return np.array([int((EPOCH + timedelta(seconds=int(s))).replace(tzinfo=tz).timestamp()) for s in wall], np.int64)


def _time_hint(name: str, header: Sequence[str]) -> str:
    known = [h for h in header if "time" in h.lower() or "date" in h.lower()]
    close = nearest(name, header) or next(iter(known), None)
    if close:
        return f'; rename {close}, or write time = "{close}" in [series]'
    return did_you_mean(name, header, "it has")


def arrow_reason(error: Exception) -> str:
    """pyarrow's complaint in short; its own words for a file that is not Parquet change with the version."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return "it is not a Parquet file" if "Parquet magic bytes" in text or "Parquet file size" in text else text


def _wall(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).isoformat(timespec="minutes")
