"""Any table of values over time, by a mapping that says what its columns are.

format = 1
time = "timestamp_utc"              # the column with the time; ["Date", "Heure"] where it is in two
form = "%d/%m/%Y %H:%M"             # how it is written, where it is not ISO 8601
zone = "Europe/Paris"               # of times without an offset
label = "end"                       # whether a time is the start or the end of its interval
step_min = 30                       # length of an interval, where the file has gaps everywhere
instant = true                      # values of an instant: no interval, no step, no gaps
decimal_comma = true
separator = ";"

[column.load_w]                     # name of the column
quantity = "power_kw"               # what it is; the name ends with gridopt's unit
unit = "W"                          # the file's own
source = "house"                    # which meter; the file's name where it is not said
low = 0                             # what lies outside is no value
high = 12
never_zero = true                   # a zero is a drop-out of the meter
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from gridopt.errors import MappingError
from gridopt.intake.batch import (
    MISSING,
    OUT_OF_RANGE,
    US,
    Batch,
    Deed,
    Finding,
    Floats,
    Instants,
    Series,
    merged,
    qualities,
)
from gridopt.intake.sheet import Sheet, Unreadable, decoded, needed, no_numbers, numbers, sheet
from gridopt.intake.stamps import NOWHERE, Label, gaps, is_aware, iso, lengths, local_to_utc, ordered, parsed, utc_stamp
from gridopt.units import WIRE, unit_of
from gridopt.written import report as written
from gridopt.written.fields import Choice, FieldType, Flag, Number, Schema, Text, Texts, Whole, refuse
from gridopt.written.model import Section, read_model
from gridopt.written.report import COMMON, Place
from gridopt.written.toml import read_bytes, read_layer, shown
from gridopt.written.words import listed, quoted

MESSAGES = COMMON | {
    "no-columns": 'the mapping names no column; write [column.NAME] with quantity = "power_kw"',
    "no-unit": "{where}: quantity {value} does not end with a unit; write one such as power_kw or temperature_c",
    "wrong-unit": "{where}: unit {value} is none that {unit} is made of; write {choices}",
    "same-series": "{where}: {first} is {quantity} of {source} already; say another source",
    "unknown-zone": "{where}: zone {value} is not a known time zone, such as Europe/Paris",
}


class MappingReport(written.Report):
    messages = MESSAGES


MappingReport.error = MappingError


class OneOrTwo(FieldType):
    """A text, or two of them."""

    def check(self, value: Any) -> tuple[str, ...]:
        return Texts().check(value) if isinstance(value, list) else (Text().check(value),)

    def schema(self) -> Schema:
        return {"anyOf": [Text().schema(), Texts().schema()]}


class Zone(FieldType):
    """The name of a time zone."""

    def check(self, value: Any) -> str:
        from zoneinfo import ZoneInfo

        name = Text().check(value)
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            refuse("unknown-zone", value)
        return name

    def schema(self) -> Schema:
        return Text().schema()


class Head(Section):
    time: Annotated[tuple[str, ...], OneOrTwo()] = Field(description="column with the time, or two: date and clock")
    form: Annotated[str | None, Text()] = Field(None, description="how it is written, where it is not ISO 8601")
    zone: Annotated[str, Zone()] = Field("UTC", description="zone of times without an offset")
    label: Annotated[Label, Choice(("start", "end"))] = Field("start", description="which end of its interval it names")
    step_min: Annotated[int | None, Whole(1, 1440)] = Field(None, description="usual length of an interval")
    instant: Annotated[bool, Flag()] = Field(False, description="values of an instant, not of an interval")
    decimal_comma: Annotated[bool, Flag()] = Field(False, description="whether numbers have decimal commas")
    separator: Annotated[str | None, Choice((",", ";", "\t"))] = Field(None, description="what stands between cells")
    by: Annotated[str | None, Text()] = Field(
        None, description="in a long table, the column that says what a row is of"
    )
    value: Annotated[str, Text()] = Field("value", description="in a long table, the column with the value")


class Column(Section):
    quantity: Annotated[str, Text()] = Field(description="what it is; the name ends with gridopt's unit")
    unit: Annotated[str | None, Text()] = Field(None, description="the file's own unit; gridopt's where it is not said")
    source: Annotated[str | None, Text()] = Field(None, description="which meter; the file's name")
    low: Annotated[float | None, Number()] = Field(None, description="lowest value that can be, in gridopt's unit")
    high: Annotated[float | None, Number()] = Field(None, description="highest value that can be")
    never_zero: Annotated[bool, Flag()] = Field(False, description="whether a zero is a drop-out of the meter")


class Mapping:
    """What the columns of a file are. Raises MappingError with every mistake."""

    def __init__(self, path: Path) -> None:
        report = MappingReport()
        content = read_bytes(path, (shown(path), None), report)
        layer = None if content is None else read_layer(path, content, report)
        report.stop()
        assert layer is not None
        data = dict(layer.data)

        def at(*keys: str | int) -> Place:
            return layer.file, layer.line(keys)

        said = data.pop("format", None)
        if said != 1 or isinstance(said, bool):
            report.add(at("format"), "format-unknown", value=quoted(layer.data.get("format")))
        columns = data.pop("column", {})
        if not isinstance(columns, dict) or not columns:
            report.add(at("column"), "no-columns")
            columns = {}
        self.head: Head = read_model(Head, data, "mapping", at, report)
        self.columns: dict[str, Column] = {}
        self.factors: dict[str, float] = {}
        for name, values in columns.items():
            place = functools.partial(at, "column", name)
            one = read_model(Column, values, f"column {name}", place, report) if isinstance(values, dict) else None
            if isinstance(one, Column):
                self.columns[name] = one
                self.factors[name] = _factor(name, one, place, report)
            elif not isinstance(values, dict):
                report.add(place(), "not-table", where="column", key=name, value=quoted(values))
        seen: dict[tuple[str, str | None], str] = {}
        for name, one in self.columns.items():
            first = seen.setdefault((one.quantity, one.source), name)
            if first != name:
                fields = {"first": first, "quantity": one.quantity, "source": one.source or "the file's name"}
                report.add(at("column", name), "same-series", where=f"column {name}", **fields)
        report.stop()


def _factor(name: str, said: Column, place: Any, report: MappingReport) -> float:
    """What the file's unit is worth in gridopt's."""
    where, unit = f"column {name}", unit_of(said.quantity)
    if not unit and said.unit not in (None, *WIRE[""]):
        report.add(place("quantity"), "no-unit", where=where, value=quoted(said.quantity))
        return 1.0
    if said.unit is None or said.unit == unit:
        return 1.0
    known = WIRE.get(unit, {})
    if said.unit not in known:
        choices = listed(u for u in known if u) or unit
        report.add(place("unit"), "wrong-unit", where=where, value=quoted(said.unit), unit=unit, choices=choices)
        return 1.0
    return float(known[said.unit])


def read(content: bytes, name: str, mapping: Mapping) -> Batch:
    """A table of values over time. Raises Unreadable where a column of the mapping is not there."""
    head = mapping.head
    found = sheet(decoded(content), head.separator)
    columns = mapping.columns if head.by is None else (head.by, head.value)
    needed(found, *head.time, *columns)
    names = None if head.by is None else found.columns[head.by].cast(pa.string())
    utc, findings = _times(found, head, names)
    source = Path(name).stem
    if names is None:
        texts = {column: found.columns[column] for column in mapping.columns}
        series, more = _series(mapping, utc, texts, source)
        return Batch(series, findings=merged([*found.findings, *findings, *more]))
    series = []
    for column in mapping.columns:
        rows = np.flatnonzero(pc.equal(names, column).to_numpy())
        if not len(rows):
            findings.append(Finding(Deed.FLAGGED, "no-rows", f"no rows of {column}"))
            continue
        made, more = _series(mapping, utc[rows], {column: found.columns[head.value].take(pa.array(rows))}, source)
        series += made
        findings += more
    return Batch(series, findings=merged([*found.findings, *findings]))


def _refuse_no_numbers(column: str, text: Any, head: Head) -> None:
    """Raises Unreadable for a column in which nothing is a number, with what would mend it."""
    _, other = numbers(text, not head.decimal_comma)
    mend = ""
    if other < len(text):
        mend = f"; write decimal_comma = {'false' if head.decimal_comma else 'true'} in the mapping"
    raise Unreadable(f"no cell of {column} holds a number, such as {str(text[0].as_py())!r}{mend}")


def _series(mapping: Mapping, utc: Instants, texts: dict[str, Any], source: str) -> tuple[list[Series], list[Finding]]:
    """Series of columns that share their rows, and what was found in those."""
    head = mapping.head
    findings: list[Finding] = []
    values: dict[str, Floats] = {}
    for column, text in texts.items():
        values[column], wrong = numbers(text, head.decimal_comma)
        if wrong and wrong == len(text):
            _refuse_no_numbers(column, text, head)
        findings += no_numbers(column, wrong)
    start, columns, more = ordered(utc, *values.values())
    findings += more
    step_s = np.zeros(len(start), np.int64)
    if not head.instant:
        step_s, more = lengths(start, head.step_min * 60 if head.step_min else None, head.label)
        findings += more
        if head.label == "end":
            start = start - step_s * US
        findings += gaps(start, step_s)
    series = []
    for column, raw in zip(values, columns, strict=True):
        said = mapping.columns[column]
        value, quality, more = _judged(column, said, raw * mapping.factors[column], start)
        findings += more
        series.append(Series(said.source or source, said.quantity, start, step_s, value, quality))
    return series, findings


def _times(found: Sheet, head: Head, names: Any) -> tuple[Instants, list[Finding]]:
    """(n,) UTC of every row [µs], ``NOWHERE`` where it has none; ``names``: what each is of, in a long table."""
    text = found.columns[head.time[0]].cast(pa.string())
    for more in head.time[1:]:
        text = pc.binary_join_element_wise(text, found.columns[more].cast(pa.string()), " ")
    text = pc.utf8_trim_whitespace(text)
    findings: list[Finding] = []
    if head.form is None and is_aware(text):
        utc = iso(text)
    else:
        local = iso(text) if head.form is None else parsed(text.to_pylist(), head.form)
        of = None if names is None else names.fill_null("").to_numpy(zero_copy_only=False)
        utc, findings = local_to_utc(local, head.zone, of)
    lost = int((utc == NOWHERE).sum()) - sum(f.count for f in findings if f.code == "jumped-time")
    if lost:
        findings = [*findings, Finding(Deed.REFUSED, "no-time", "rows without a time that can be read", lost)]
    if lost == found.rows and lost:
        raise Unreadable(
            f"no time in {listed(head.time)} can be read; say how it is written with form, such as "
            'form = "%d/%m/%Y %H:%M" for 16/03/2026 07:30'
        )
    return utc, findings


def _judged(column: str, said: Column, value: Floats, start: Instants) -> tuple[Floats, Any, list[Finding]]:
    """Values that can be, their quality, and what was found among them."""
    findings = []
    quality = qualities(value)

    def tell(where: Any, code: str, text: str) -> None:
        rows = np.flatnonzero(where)
        if len(rows):
            findings.append(Finding(Deed.FLAGGED, code, f"{column}: {text}", len(rows), utc_stamp(int(start[rows[0]]))))

    tell(np.isnan(value), "missing", "no value")
    if said.never_zero:
        zero = value == 0
        tell(zero, "false-zero", "zeros of a meter that never reads zero, taken as missing")
        value, quality = np.where(zero, np.nan, value), np.where(zero, MISSING, quality)
    low = -np.inf if said.low is None else said.low
    high = np.inf if said.high is None else said.high
    outside = (value < low) | (value > high)
    tell(outside, "out-of-range", f"values outside {low:g}..{high:g}, left out")
    return np.where(outside, np.nan, value), np.where(outside, OUT_OF_RANGE, quality).astype(np.int8), findings
