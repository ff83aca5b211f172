"""Text files as columns of text, and text as numbers; rows that do not fit are counted, not guessed."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from gridopt.intake.batch import Deed, Finding, Floats

NUMBER = r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$"
ABSENT = ("", "-", "n/e", "n/a", "nd", "na", "nan", "null", "none", "unavailable", "unknown", "*")
"""How exports write that there is no value."""
ENCODINGS = ("utf-8-sig", "cp1252")
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
SEPARATORS = (";", "\t", ",")


class Unreadable(ValueError):
    """A file that is not of the kind it is said to be: the message says what was expected and what was found."""


@dataclass(frozen=True)
class Sheet:
    """Columns of text by their name, in the order of the file; ``line``: of the file, of the first row."""

    columns: dict[str, Any]
    rows: int
    findings: list[Finding] = field(default_factory=list)

    def texts(self, name: str) -> list[str]:
        return [t or "" for t in self.columns[name].to_pylist()]


def decoded(content: bytes) -> str:
    """The text of a file, whatever wrote it. Raises Unreadable."""
    for encoding in ("utf-16",) if content.startswith(UTF_16_MARKS) else ENCODINGS:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise Unreadable("it is no text")


def json_of(text: str) -> Any:
    """What a JSON text holds. Raises Unreadable."""
    if SURROGATE.search(text):
        raise Unreadable("the JSON is broken: it writes half a letter")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the JSON is broken: {error}") from error


def sheet(text: str, separator: str | None = None, skip: int = 0) -> Sheet:
    """A text with a header and rows. ``skip``: lines before the header. Raises Unreadable."""
    body = "".join(text.splitlines(keepends=True)[skip:])
    header = body.lstrip("\r\n").partition("\n")[0]
    if not header.strip():
        raise Unreadable("it is empty")
    separator = separator or max(SEPARATORS, key=header.count)
    odd: list[int] = []

    def skipped(row: Any) -> str:
        odd.append(row.number)
        return "skip"

    try:
        names = _names(header, separator)
        table = pa.csv.read_csv(
            io.BytesIO(body.encode()),
            parse_options=pa.csv.ParseOptions(delimiter=separator, invalid_row_handler=skipped),
            read_options=pa.csv.ReadOptions(use_threads=False, column_names=names, skip_rows=1),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError, csv.Error) as error:
        raise Unreadable(f"its rows cannot be read: {error}") from error
    findings = []
    if odd:
        text = "rows with more or fewer cells than the header"
        findings.append(Finding(Deed.REFUSED, "ragged-row", text, len(odd)))
    return Sheet(dict(zip(names, table.columns, strict=True)), table.num_rows, findings)


def _names(header: str, separator: str) -> list[str]:
    """Names of the columns, each once: ``a``, ``a (2)``."""
    row = next(csv.reader([header], delimiter=separator))
    names: list[str] = []
    for name in (cell.strip() for cell in row):
        count = sum(n == name or n.startswith(name + " (") for n in names)
        names.append(f"{name} ({count + 1})" if count else name)
    return names


def numbers(column: Any, comma: bool = False, thousands: bool = False) -> tuple[Floats, int]:
    """(n,) values of a column of text, NaN where there is none; how many cells hold something that is no number.

    ``comma``: decimal commas, and points or spaces between thousands. ``thousands``: commas between them.
    """
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    if comma:
        for sign in (".", " ", "\u00a0", "\u202f"):
            text = pc.replace_substring(text, sign, "")
        text = pc.replace_substring(text, ",", ".")
    elif thousands:
        text = pc.replace_substring_regex(text, r"(\d),(\d{3})", r"\1\2")
    is_number = pc.match_substring_regex(text, NUMBER)
    is_absent = pc.is_in(pc.utf8_lower(text), value_set=pa.array(ABSENT))
    wrong = pc.sum(pc.invert(pc.or_(is_number, is_absent))).as_py() or 0
    values = pc.if_else(is_number, text, pa.scalar(None, pa.string())).cast(pa.float64())
    found: Floats = np.array(values.fill_null(np.nan).to_numpy(zero_copy_only=False), np.float64)
    endless = np.isinf(found)  # 1e999
    found[endless] = np.nan
    return found, int(wrong) + int(endless.sum())


def no_numbers(name: str, wrong: int) -> list[Finding]:
    """The finding for cells that hold no number."""
    if not wrong:
        return []
    return [Finding(Deed.FLAGGED, "no-number", f"{name}: cells that hold no number, taken as missing", wrong)]


def needed(sheet: Sheet, *names: str) -> None:
    """Raises Unreadable where a column is not there."""
    lost = [name for name in names if name not in sheet.columns]
    if lost:
        there = ", ".join(list(sheet.columns)[:8])
        raise Unreadable(f"it has no column {lost[0]}; its columns are {there}")


def first_of(sheet: Sheet, names: Sequence[str]) -> str | None:
    """The first of several names that the sheet has."""
    return next((name for name in names if name in sheet.columns), None)
