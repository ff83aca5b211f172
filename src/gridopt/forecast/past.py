"""What was known of a series at the moment of a forecast, on a regular grid of steps.

A forecast sees this and nothing else: what was measured, or known, after ``issued`` is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from gridopt.holidays import is_like_sunday

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

US = 1_000_000
DAY_S = 86_400
WEEK_S = 7 * DAY_S
SUNDAY = 6


@dataclass(frozen=True)
class Grid:
    """Consecutive steps: ``count`` of ``step_s`` s from ``first`` [s since 1970 UTC], seen by people in ``zone``."""

    first: int
    step_s: int
    count: int
    zone: str = "Europe/Paris"

    @cached_property
    def times(self) -> Ints:
        """Start of every step [s since 1970 UTC], (count,)."""
        return self.first + self.step_s * np.arange(self.count, dtype=np.int64)

    @cached_property
    def local(self) -> Ints:
        """Local wall-clock time of every start, as seconds, (count,)."""
        return self.times + _offsets(self.times, self.zone)

    @cached_property
    def slot(self) -> Ints:
        """Step of the local day of every start, (count,)."""
        return (self.local % DAY_S) // self.step_s

    @cached_property
    def day(self) -> Ints:
        """Local day of every start, days since 1970, (count,)."""
        return self.local // DAY_S

    @cached_property
    def weekday(self) -> Ints:
        """0 = Monday … 6 = Sunday; a public holiday counts as a Sunday, (count,)."""
        found = (self.day + 3) % 7
        for day in np.unique(self.day):
            if is_like_sunday(date(1970, 1, 1) + timedelta(days=int(day))):
                found = np.where(self.day == day, SUNDAY, found)
        return found

    def start(self, count: int) -> Grid:
        """Its first steps; what is known of their local time is not computed again."""
        part = Grid(self.first, self.step_s, count, self.zone)
        part.__dict__.update({n: getattr(self, n)[:count] for n in ("times", "local", "slot", "day", "weekday")})
        return part


def _offsets(times: Ints, zone: str) -> Ints:
    """Offset of local time from UTC at every instant [s]; clocks change on the hour at most."""
    if not len(times):
        return times
    tz = ZoneInfo(zone)
    days, at = np.unique(times // DAY_S, return_inverse=True)
    ends = {int(d): _offset(int(d) * 24, tz) for d in np.union1d(days, days + 1)}
    found = np.array([ends[int(d)] for d in days], np.int64)[at]
    for day in days:
        if ends[int(day)] != ends[int(day) + 1]:  # clocks change on this day: ask by the hour
            hours, where = np.unique(times[times // DAY_S == day] // 3600, return_inverse=True)
            found[times // DAY_S == day] = np.array([_offset(int(h), tz) for h in hours], np.int64)[where]
    return found


def _offset(hour: int, tz: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(hour * 3600, UTC).astimezone(tz).utcoffset()
    assert offset is not None
    return round(offset.total_seconds())


@dataclass(frozen=True)
class Past:
    """A series up to ``issued`` [s since 1970 UTC]: ``value`` (grid.count,), NaN where nothing is known."""

    grid: Grid
    value: Floats
    issued: int

    def __post_init__(self) -> None:
        known = np.flatnonzero(~np.isnan(self.value))
        if len(known) and self.grid.times[known[-1]] + self.grid.step_s > self.issued:
            raise ValueError("a past holds nothing of an interval that had not ended when the forecast was made")

    @property
    def days(self) -> float:
        """Days of which something is known."""
        known = np.flatnonzero(~np.isnan(self.value))
        return len(known) * self.grid.step_s / DAY_S

    @property
    def never_negative(self) -> bool:
        known = self.value[~np.isnan(self.value)]
        return bool(len(known)) and bool((known >= 0).all())


def cut(grid: Grid, value: Floats, issued: int) -> Past:
    """The past at ``issued`` of a series that is known longer: steps that had ended by then."""
    count = int(np.clip((issued - grid.first) // grid.step_s, 0, grid.count))
    return Past(grid.start(count), value[:count], issued)


def on_grid(times: Ints, step_s: Ints, value: Floats, grid: Grid) -> Floats:
    """Interval means on a grid: longer intervals repeat, shorter ones are averaged; (grid.count,), NaN where unknown.

    ``times`` [s since 1970 UTC]: starts of the intervals, rising. A step is known where its intervals fill it.
    """
    end = grid.first + grid.step_s * grid.count
    total, filled = np.zeros(grid.count), np.zeros(grid.count)
    keep = ~np.isnan(value) & (step_s > 0) & (times + step_s > grid.first) & (times < end)
    times, step_s, value = times[keep], step_s[keep], value[keep]
    while len(times):
        k = (np.maximum(times, grid.first) - grid.first) // grid.step_s
        start = np.maximum(times, grid.first + k * grid.step_s)
        stop = np.minimum(times + step_s, grid.first + (k + 1) * grid.step_s)
        np.add.at(total, k, value * (stop - start))
        np.add.at(filled, k, stop - start)
        left = times + step_s - stop
        more = (left > 0) & (stop < end)
        times, step_s, value = stop[more], left[more], value[more]
    return np.where(filled >= grid.step_s - 1e-6, total / np.maximum(filled, 1e-9), np.nan)
