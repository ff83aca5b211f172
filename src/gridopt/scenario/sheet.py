"""How a CSV file is written, found out file by file: text, separator, decimal sign, dates.

Commas between cells, decimal points, ISO dates and UTF-8 need no word. What French spreadsheets write is read as well,
and a note says so: semicolons (or tabs) between cells and then decimal commas, dates as 15/01/2026 07:30, Windows-1252.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from datetime import date

from gridopt.scenario.mistakes import Report
from gridopt.written.words import listed

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
ENCODINGS = {"utf-8-sig": "", "cp1252": "Windows-1252 text", "utf-16": "UTF-16 text"}
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
ONE = r" *[-+]?\d+(?:,\d+)?(?:[eE][-+]?\d+)? *"
NUMBERS = re.compile(f"{ONE}(?:;{ONE})*")
"""A number, or several in a cell."""
DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?:[ T]+(\d{1,2})(:\d{2}(?::\d{2})?))?")
BAR_SPACES = re.compile(r"(?<=\d)[\u00a0\u202f](?=\d{3})")
"""Spaces that keep thousands together; a plain space never stands there."""


@dataclass(frozen=True)
class Sheet:
    """The text of a CSV file. ``comma``: its numbers have decimal commas."""

    text: str
    separator: str = ","
    comma: bool = False

    @property
    def ragged_hint(self) -> str:
        """Why a row may have more cells than the header."""
        return "; with decimal commas, separate the cells by semicolons" if self.separator == "," else ""

    def number(self, cell: str) -> str:
        """A cell with decimal points, where it holds numbers."""
        return cell.replace(",", ".") if self.comma and NUMBERS.fullmatch(cell) else cell


def read_sheet(content: bytes, file: str, report: Report) -> Sheet | None:
    """A file's text with how it is to be read, noted where it is unusual; None with its mistake reported."""
    found = _decoded(content, file, report)
    if found is None:
        return None
    text, encoding = found
    header = re.sub(r'"[^"]*"', "", text.lstrip().partition("\n")[0])
    other = max((";", "\t"), key=header.count)
    # A name may hold a comma; a semicolon or a tab is hardly ever part of one.
    separator = other if header.count(other) >= max(header.count(","), 1) else ","
    comma = separator != "," and re.search(r"\d,\d", text) is not None
    if separator != ",":
        text = BAR_SPACES.sub("", text)
    ways = [f"{SEPARATORS[separator]} between cells"] if separator != "," else []
    ways += ["decimal commas"] if comma else []
    ways += [ENCODINGS[encoding]] if ENCODINGS[encoding] else []
    if ways:
        report.note((file, None), "sheet", ways=listed(ways))
    return Sheet(text, separator, comma)


def _decoded(content: bytes, file: str, report: Report) -> tuple[str, str] | None:
    encodings = ("utf-16",) if content.startswith(UTF_16_MARKS) else ("utf-8-sig", "cp1252")
    at = 0
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError as error:
            at = error.start
        else:
            if "\0" not in text:
                return text, encoding
            at = content.find(b"\0")
    report.add((file, content.count(b"\n", 0, at) + 1), "not-sheet-text")
    return None


def iso_date(cell: str) -> str:
    """``15/01/2026 7:30`` → ``2026-01-15T07:30``, day first as in France; any other text as it is."""
    match = DATE.fullmatch(cell.strip())
    if match is None:
        return cell
    day, month, year, hour, rest = match.groups()
    return f"{year}-{month:0>2}-{day:0>2}" + (f"T{hour:0>2}{rest}" if hour else "")


def note_day_first(file: str, text: str, report: Report) -> None:
    """Say how dates with strokes are read, by the first one in a text."""
    for match in DATE.finditer(text):
        with contextlib.suppress(ValueError):  # the 15th month: told where the date is used
            day = date(int(match[3]), int(match[2]), int(match[1]))
            said = {"value": match[0].partition(" ")[0], "meaning": f"{day.day} {day:%B %Y}"}
            return report.note((file, None), "day-first", **said)
    return None
