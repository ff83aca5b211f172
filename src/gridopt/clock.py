"""The time axis: UTC inside, interval start, half-open; a local day has 92, 96 or 100 quarter-hours.

Flows are interval means; stocks are at the interval's end. "Now" is always an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

STEPS_MIN = (5, 10, 15, 30, 60)
"""Step lengths a plan may have [min]."""

Times = npt.NDArray[np.datetime64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """A horizon: ``steps`` intervals of ``step_min`` minutes from ``start`` (UTC), seen by people in ``zone``."""

    start: datetime
    step_min: int
    steps: int
    zone: str = "Europe/Paris"

    def __post_init__(self) -> None:
        if self.start.utcoffset() != timedelta(0):
            raise ValueError(f"start must be in UTC, not {self.start!r}")
        # A zone that only stands at +00:00 today would slip in summer.
        object.__setattr__(self, "start", self.start.astimezone(UTC))

    @property
    def step_h(self) -> float:
        """Length of a step [h]."""
        return self.step_min / 60.0

    @property
    def end(self) -> datetime:
        """First instant after the horizon (UTC)."""
        return self.start + timedelta(minutes=self.step_min * self.steps)

    @cached_property
    def times(self) -> Times:
        """Start of every interval, UTC, datetime64[us], shape (steps,)."""
        first = np.datetime64(self.start.replace(tzinfo=None), "us")
        return first + np.arange(self.steps) * np.timedelta64(self.step_min * 60_000_000, "us")

    @cached_property
    def local(self) -> tuple[datetime, ...]:
        """Start of every interval in local wall-clock time, with its offset."""
        zone, step = ZoneInfo(self.zone), timedelta(minutes=self.step_min)
        return tuple((self.start + k * step).astimezone(zone) for k in range(self.steps))

    @cached_property
    def local_hour(self) -> Floats:
        """Local wall-clock hour of every interval's start, 0 ≤ h < 24, shape (steps,)."""
        return np.array([t.hour + t.minute / 60.0 + t.second / 3600.0 for t in self.local])

    @cached_property
    def local_day(self) -> tuple[date, ...]:
        """Local calendar day of every interval's start."""
        return tuple(t.date() for t in self.local)

    @cached_property
    def local_month(self) -> npt.NDArray[np.int64]:
        """Local month of every interval's start as year*12 + month-1, shape (steps,)."""
        return np.array([t.year * 12 + t.month - 1 for t in self.local], np.int64)

    def hours_from_start(self, instant: datetime) -> float:
        """Hours from the horizon's start to an aware instant; negative before it."""
        return (instant - self.start).total_seconds() / 3600.0

    def overlap(self, start: datetime, end: datetime) -> slice:
        """Steps that the interval [start, end) touches, clipped to the horizon; empty when it lies outside."""
        first = int(np.floor(self.hours_from_start(start) / self.step_h + 1e-9))
        last = int(np.ceil(self.hours_from_start(end) / self.step_h - 1e-9))
        first, last = max(first, 0), min(last, self.steps)
        return slice(first, max(first, last))

    def label(self, step: int) -> str:
        """Local time of a step's start for people: ``Thu 15 Jan 18:30``; ``steps`` itself labels the end."""
        t = (self.start + timedelta(minutes=self.step_min * int(step))).astimezone(ZoneInfo(self.zone))
        return f"{t:%a} {t.day} {t:%b %H:%M}"


def runs(where: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches of steps [first, last) over which ``where`` is true, in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(np.int8)))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def day_axis(day: date, days: int, step_min: int, zone: str) -> Axis:
    """The axis of whole local days: 23-, 24- and 25-hour days come out right."""
    tz = ZoneInfo(zone)
    start = datetime(day.year, day.month, day.day, tzinfo=tz).astimezone(UTC)
    last = day + timedelta(days=days)
    end = datetime(last.year, last.month, last.day, tzinfo=tz).astimezone(UTC)
    return Axis(start, step_min, round((end - start).total_seconds() / 60 / step_min), zone)


def parse_instant(text: str, zone: str) -> datetime:
    """An ISO 8601 instant → UTC. Without an offset it is local wall-clock time in ``zone``.

    An autumn hour that exists twice is read as the first; a spring hour that does not exist raises ValueError.
    """
    t = datetime.fromisoformat(text)
    if t.tzinfo is None:
        local = t.replace(tzinfo=ZoneInfo(zone))
        back = local.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        if back != t:
            raise ValueError(f"{text} does not exist in {zone}: clocks go forward over it")
        t = local
    return t.astimezone(UTC)
