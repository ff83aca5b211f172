"""Times as people write them: instants, times of a day of the horizon, weekly windows of local wall-clock time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from gridopt.clock import Axis, Floats, parse_instant

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN = 1440
WEEK_MIN = 7 * DAY_MIN
MOST_DAYS = 366
YEARS = range(1970, 2200)
"""Beyond these a time is a slip of the pen."""

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Moment:
    """An instant, or a time of the horizon's day number ``day`` (0 = the first), so that it moves with the horizon."""

    text: str
    instant: datetime | None = None
    day: int = 0
    minute: int = 0

    @property
    def is_clock(self) -> bool:
        """Whether it is a bare time of day."""
        return self.instant is None and not self.text.startswith("D")

    def at(self, axis: Axis) -> datetime:
        """UTC. ValueError for a wall-clock time that clocks jump over; a time of a day is then moved past the jump."""
        if self.instant is not None:
            return parse_instant(self.instant.isoformat(), axis.zone)
        day = axis.local_day[0] + timedelta(days=self.day + self.minute // DAY_MIN)
        wall = datetime.combine(day, time(self.minute % DAY_MIN // 60, self.minute % 60), ZoneInfo(axis.zone))
        return wall.astimezone(UTC)


def parse_moment(value: object) -> Moment:
    """``2026-01-15T07:30``, with or without offset, ``2026-01-15``, ``07:30``, ``D+1 07:30``; ValueError otherwise."""
    if isinstance(value, datetime):
        return _instant(value.isoformat(), value)
    if isinstance(value, date):
        return _instant(value.isoformat(), datetime(value.year, value.month, value.day))
    if isinstance(value, time):
        return Moment(f"{value:%H:%M}", minute=value.hour * 60 + value.minute)
    if not isinstance(value, str):
        raise ValueError(value)
    text = value.strip()
    day = 0
    clock = text
    if text[:2] in ("D+", "D-"):
        head, _, clock = text.partition(" ")
        day = int(head[1:])
        if abs(day) > MOST_DAYS:
            raise ValueError(value)
    try:
        return Moment(text, day=day, minute=parse_clock(clock))
    except ValueError:
        if clock is not text:
            raise
        return _instant(text, datetime.fromisoformat(text))


def _instant(text: str, when: datetime) -> Moment:
    if when.year not in YEARS:
        raise ValueError(text)
    return Moment(text, when)


def parse_clock(value: object) -> int:
    """``07:30`` → minutes of the day, 0..1440; ValueError otherwise."""
    if isinstance(value, time):
        return value.hour * 60 + value.minute
    hour, colon, minute = str(value).strip().partition(":")
    if not (colon and hour.isdecimal() and minute.isdecimal() and len(minute) == 2 and int(minute) < 60):
        raise ValueError(value)
    total = int(hour) * 60 + int(minute)
    if total > DAY_MIN:
        raise ValueError(value)
    return total


def parse_days(value: object) -> frozenset[int]:
    """``mon-fri``, ``sat,sun``, ``fri-mon``, ``all`` → weekdays, 0 = Monday; ValueError otherwise."""
    days: set[int] = set()
    for part in str(value).lower().replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if part == "all":
            first, last = DAYS[0], DAYS[-1]
        elif not dash:
            last = first
        start, length = DAYS.index(first), (DAYS.index(last) - DAYS.index(first)) % 7 + 1
        days |= {(start + k) % 7 for k in range(length)}
    return frozenset(days)


@dataclass(frozen=True)
class Window:
    """Every week on ``days`` from minute ``start`` to minute ``end`` of the day; past midnight when end <= start."""

    days: frozenset[int]
    start: int
    end: int

    def mask(self) -> Bools:
        """(WEEK_MIN,) minutes of the week inside the window, from Monday 00:00."""
        out = np.zeros(WEEK_MIN, bool)
        length = (self.end - self.start - 1) % DAY_MIN + 1
        for day in self.days:
            out[(day * DAY_MIN + self.start + np.arange(length)) % WEEK_MIN] = True
        return out


def week_minutes(axis: Axis) -> Ints:
    """(T, step_min) minute of the local week of every minute of every step; clocks change between steps only."""
    first = np.array([t.weekday() * DAY_MIN + t.hour * 60 + t.minute for t in axis.local], np.int64)
    return (first[:, None] + np.arange(axis.step_min)) % WEEK_MIN


def weekly(axis: Axis, default: float, rules: Iterable[tuple[Window, float]]) -> Floats:
    """(T,) a weekly schedule on the axis, the mean over each step; a later rule overrides an earlier one."""
    week = np.full(WEEK_MIN, default)
    for window, value in rules:
        week[window.mask()] = value
    mean: Floats = np.round(week[week_minutes(axis)].mean(1), 6)
    return mean


def inside(axis: Axis, window: Window) -> Bools:
    """(T,) steps that start inside the window."""
    return window.mask()[week_minutes(axis)[:, 0]]


def touched(axis: Axis, window: Window) -> Bools:
    """(T,) steps that the window touches."""
    return np.asarray(window.mask()[week_minutes(axis)].any(1), bool)
