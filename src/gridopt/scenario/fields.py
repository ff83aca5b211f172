"""Field types of the scenario's models: those of any file that people write, and those of series and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from gridopt.scenario.times import Moment, parse_clock, parse_days, parse_moment
from gridopt.units import unit_of
from gridopt.written.fields import LARGEST, Schema, number_hint, refuse
from gridopt.written.fields import Choice as Choice
from gridopt.written.fields import FieldType as FieldType
from gridopt.written.fields import Flag as Flag
from gridopt.written.fields import Number as Number
from gridopt.written.fields import Numbers as Numbers
from gridopt.written.fields import Text as Text
from gridopt.written.fields import Texts as Texts
from gridopt.written.fields import Whole as Whole
from gridopt.written.words import nearest

LARGEST_EUR = 1e6
"""No price of a district is larger."""
LARGEST_RAW = 1e3 * LARGEST
"""No cell of a series is: its unit may be a thousand times smaller than a district's."""


def largest(key: str) -> float:
    """The largest size that a number of this name may have."""
    return LARGEST_EUR if "EUR" in unit_of(key) else LARGEST


@dataclass(frozen=True)
class Series(Number):
    """A number, or the name of a series, schedule or generated series."""

    def check(self, value: Any) -> float | str:  # type: ignore[override]
        if isinstance(value, str):
            if not value.strip() or number_hint(value):
                refuse("not-series", value, hint=number_hint(value))
            return value.strip()
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            refuse("not-series", value, hint="")
        return super().check(value)

    def schema(self) -> Schema:
        return {"anyOf": [super().schema(), {"type": "string", "minLength": 1}]}


@dataclass(frozen=True)
class Row(Numbers):
    """Numbers in a row, or none where that says that there is no such thing."""

    empty: bool = False

    def check(self, value: Any) -> tuple[float, ...]:
        none = isinstance(value, (list, tuple)) and not value
        return () if none and self.empty else super().check(value)

    def schema(self) -> Schema:
        found = super().schema()
        if self.empty:
            found["anyOf"][0].pop("minItems")
        return found


@dataclass(frozen=True)
class Instant(FieldType):
    """An instant, or a time of one of the horizon's days."""

    def check(self, value: Any) -> Moment:
        try:
            return parse_moment(value)
        except ValueError:
            refuse("not-moment", value)

    def schema(self) -> Schema:
        return {"type": "string", "description": "2026-01-15T07:30, 07:30 (first day), D+1 07:30"}


@dataclass(frozen=True)
class Start(Instant):
    """The horizon's first day or instant: it names a date."""

    def check(self, value: Any) -> Moment:
        try:
            moment = parse_moment(value)
        except ValueError:
            moment = None
        if moment is None or moment.instant is None:
            refuse("not-start", value)
        return moment

    def schema(self) -> Schema:
        return {"type": "string", "description": "2026-01-15, 2026-01-15T06:00"}


@dataclass(frozen=True)
class Zone(FieldType):
    """A time zone's name."""

    def check(self, value: Any) -> str:
        name = Text().check(value)
        try:
            return ZoneInfo(name).key
        except (KeyError, ValueError, OSError):  # no such key; an absolute path; a folder
            close = nearest(name, available_timezones(), 0.8)
            refuse("unknown-zone", value, hint=f"; did you mean {close}?" if close else "")

    def schema(self) -> Schema:
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True)
class Clock(FieldType):
    """A time of day → minutes."""

    def check(self, value: Any) -> int:
        try:
            return parse_clock(value)
        except ValueError:
            refuse("not-clock", value)

    def schema(self) -> Schema:
        return {"type": "string", "pattern": "^[0-9]{1,2}:[0-9]{2}"}


@dataclass(frozen=True)
class Days(FieldType):
    """Days of the week → their numbers."""

    def check(self, value: Any) -> frozenset[int]:
        try:
            return parse_days(",".join(map(str, value)) if isinstance(value, list) else value)
        except ValueError:
            refuse("not-days", value)

    def schema(self) -> Schema:
        text = {"type": "string", "pattern": "^[A-Za-z, -]+$"}
        return {"anyOf": [text, {"type": "array", "items": text, "minItems": 1}]}


# --- helpers ---------------------------------------------------------------------------------------------------------
