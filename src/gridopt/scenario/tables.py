"""Mass data: CSV or Parquet tables with one row a node or an asset, and the entries they make with what TOML says.

A blank cell says nothing. Cells are numbers, true/false or text; where a name is expected, "007" stays text. A CSV file
is read as ``sheet`` finds it written.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridopt.scenario.columns import arrow_reason
from gridopt.scenario.document import Document
from gridopt.scenario.mistakes import Report
from gridopt.scenario.sheet import Sheet, iso_date, note_day_first, read_sheet
from gridopt.written.report import Place, Where
from gridopt.written.toml import shown
from gridopt.written.words import key_hint

Row = tuple[dict[str, Any], int | None]


@dataclass
class Entry:
    """One node or asset as written: its values, each with the place it comes from (a later source overrides).

    ``row``: it stands in a table; ``absent``: required columns that its table lacks, already reported.
    """

    id: str
    where: str
    values: dict[str, Any]
    places: dict[str, Callable[..., Place]]
    place: Callable[..., Place]
    row: bool = False
    absent: frozenset[str] = frozenset()

    def at(self, *keys: str | int) -> Callable[..., Place]:
        """Where a key stands, or the entry when it is missing."""
        found = self.places.get(str(keys[0])) if keys else None
        return self.place if found is None else functools.partial(found, *keys[1:])


@dataclass
class TableFile:
    """A table that was read: its columns and rows, and its name for messages."""

    shown: str
    header_line: int | None
    columns: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)
    faulty: bool = False


def read_table(
    document: Document, path: Path, place: Where, text_keys: frozenset[str], report: Report
) -> TableFile | None:
    """A table file, or None with its mistakes reported."""
    content = document.read(path, place, report)
    if content is None:
        return None
    if path.suffix == ".parquet":
        return _parquet(content, shown(path), text_keys, report)
    return _csv(content, shown(path), text_keys, report)


def _parquet(content: bytes, file: str, text_keys: frozenset[str], report: Report) -> TableFile | None:
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(content))
    except (OSError, ValueError) as error:
        report.add((file, None), "unreadable", name="the file", reason=arrow_reason(error))
        return None
    rows: list[Row] = []
    for row in table.to_pylist():
        filled = {k: v for k, v in row.items() if v is not None}
        rows.append(({k: str(v) if k in text_keys and isinstance(v, int) else v for k, v in filled.items()}, None))
    return TableFile(file, None, tuple(table.column_names), rows)


def _csv(content: bytes, file: str, text_keys: frozenset[str], report: Report) -> TableFile | None:
    sheet = read_sheet(content, file, report)
    if sheet is None:
        return None
    if not sheet.text.strip():
        report.add((file, None), "empty-file", hint="; its first line names the columns")
        return None
    found = None
    reader = csv.reader(io.StringIO(sheet.text), delimiter=sheet.separator, strict=True)
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if found is None:
                found = TableFile(file, reader.line_num, tuple(cell.strip() for cell in cells))
            else:
                _add_row(found, cells, reader.line_num, sheet, text_keys, report)
    except csv.Error as error:
        report.add((file, reader.line_num), "table-syntax", reason=f"not valid CSV: {error}", hint="")
        return None
    assert found is not None
    note_day_first(file, sheet.text, report)
    for name in sorted({c for c in found.columns if found.columns.count(c) > 1}):
        report.add((file, found.header_line), "twice-column", key=name)
    return found


def _add_row(
    table: TableFile, cells: list[str], line: int, sheet: Sheet, text_keys: frozenset[str], report: Report
) -> None:
    if len(cells) != len(table.columns):
        hint = sheet.ragged_hint if len(cells) > len(table.columns) else ""
        report.add((table.shown, line), "row-cells", found=len(cells), expected=len(table.columns), hint=hint)
        table.faulty = True
        return
    row = {}
    for key, cell in zip(table.columns, cells, strict=True):
        value = sheet.number(cell.strip())
        if value:
            row[key] = iso_date(value) if key in text_keys else _cell(value)
    table.rows.append((row, line))


def _cell(text: str) -> Any:
    """A number, true or false, else the text."""
    try:
        return float(text)
    except ValueError:
        return {"true": True, "false": False}.get(text.lower(), text)


# --- entries ---------------------------------------------------------------------------------------------------------


def table_entries(
    document: Document,
    section: str,
    spec: Mapping[str, Any],
    known: list[str],
    required: Mapping[str, str],
    text_keys: frozenset[str],
    report: Report,
) -> Iterator[Entry]:
    """Entries of a section's table, defaults filled in.

    ``required``: key → meaning, reported once where the table lacks the column.
    """
    name = spec.get("table")
    if name is None:
        return
    path = document.folder_of(section, "table") / name
    table = read_table(document, path, document.place(section, "table"), text_keys, report)
    if table is None:
        return
    head = (table.shown, table.header_line)
    defaults = spec["defaults"]
    for column in table.columns:
        if column not in known and column != "id":
            report.add(head, "unknown-column", where=section, key=column, hint=key_hint(column, [*known, "id"]))
    if "id" not in table.columns:
        report.add(head, "missing-column", where=section, key="id", doc="name of each row")
        return
    if not table.rows and not table.faulty:
        report.add(head, "no-rows")
    absent = frozenset(k for k in required if k not in table.columns and k not in defaults)
    for key in sorted(absent):
        report.add(head, "missing-column", where=section, key=key, doc=required[key])
    keys = frozenset(known)
    shared = {k: document.place(section, "defaults", k) for k in defaults}
    for row, line in table.rows:
        here = (table.shown, line)
        own = {k: v for k, v in row.items() if k in keys}
        if "id" not in row:
            report.add(here, "no-id", where=section)
            continue
        place, name = _fixed(here), str(row["id"])
        places = shared | dict.fromkeys(own, place)
        yield Entry(name, f"{section} {name}", {**defaults, **own}, places, place, row=True, absent=absent)


def _fixed(place: Place) -> Callable[..., Place]:
    return lambda *keys: place


def override(entry: Entry, document: Document, section: str, values: Mapping[str, Any]) -> None:
    """Lay ``[asset.ID]`` or ``[node.ID]`` over the table's row of that id."""
    for key, value in values.items():
        entry.values[key] = value
        entry.places[key] = document.place(section, entry.id, key)


def take_out(entries: Mapping[str, Entry], document: Document, section: str, report: Report) -> None:
    """Take out what is unset, also where a table or a default says it; a mistake where nothing does."""
    for key, (place, held) in document.unset.items():
        if key[0] != section:
            continue
        entry = entries.get(str(key[1]))
        if entry is not None and str(key[2]) in entry.values:
            del entry.values[str(key[2])]
            entry.places.pop(str(key[2]), None)
        elif not held:
            report.add(place, "unset-nothing", path=".".join(map(str, key)))
