"""The absolute time grid on which every kind is made, and the means of its cells over a horizon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from gridopt.clock import Axis, Floats
from gridopt.scenario.generate.seasons import Ints, year_angle

T = TypeVar("T", bound=np.generic)

GRID_MIN = 5
"""The finest cell [min]: a horizon starts on one and its step is a whole number of them."""

DECIMALS = 6
DAY_MIN = 1440
YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Cells:
    """Consecutive cells of ``minutes`` counted from year 1 (UTC); enough of them to cover an axis, at least one."""

    first: int
    count: int
    minutes: int
    zone: str

    @cached_property
    def start_min(self) -> Ints:
        """Start of every cell, minutes of UTC since year 1."""
        return (self.first + np.arange(self.count, dtype=np.int64)) * self.minutes

    @cached_property
    def utc_day(self) -> Ints:
        """Days since year 1, UTC."""
        return self.start_min // DAY_MIN

    @cached_property
    def utc_h(self) -> Floats:
        """Hour of the UTC day at the middle of the cell."""
        return np.asarray((self.start_min % DAY_MIN + self.minutes / 2) / 60.0, np.float64)

    @cached_property
    def year_angle(self) -> Floats:
        """Place in the UTC year at the middle of the cell, 0..2π."""
        return year_angle(self.utc_day, self.utc_h / 24.0)

    @cached_property
    def local_min(self) -> Ints:
        """Start of every cell on the local wall clock, minutes since year 1."""
        return self.start_min + _utc_offset_min(self.zone, self.start_min)

    @cached_property
    def local_h(self) -> Floats:
        """Local wall-clock hour at the middle of the cell."""
        return np.asarray((self.local_min % DAY_MIN + self.minutes / 2) / 60.0, np.float64)

    @cached_property
    def local_days(self) -> Ints:
        """The local days that the cells touch, each once, days since year 1."""
        first, last = int(self.local_min[0]) // DAY_MIN, int(self.local_min[-1]) // DAY_MIN
        return first + np.arange(last - first + 1, dtype=np.int64)

    @cached_property
    def local_dates(self) -> tuple[date, ...]:
        """``local_days`` as dates."""
        return tuple(date_of(int(day)) for day in self.local_days)

    def per_local_day(self, values: npt.NDArray[T]) -> npt.NDArray[T]:
        """At every cell the value of its local day; ``values`` has one for each of ``local_days``."""
        which: Ints = self.local_min // DAY_MIN - self.local_days[0]
        return values[which]

    def per_utc_day(self, draw: Callable[[int, int], Floats]) -> Floats:
        """At every cell the value of its UTC day; ``draw(first, count)`` makes those of days since year 1."""
        first = int(self.utc_day[0])
        return draw(first, int(self.utc_day[-1]) - first + 1)[self.utc_day - first]


def cells_of(axis: Axis, minutes: int) -> Cells:
    """The cells that cover an axis. ValueError: the axis does not stand on the five-minute grid."""
    start_min, rest = divmod(axis.start - YEAR_ONE, timedelta(minutes=1))
    if rest or start_min % GRID_MIN or axis.step_min % GRID_MIN:
        raise ValueError(f"start {axis.start} and step {axis.step_min} min must be whole {GRID_MIN} minutes")
    first = start_min // minutes
    last = -(-(start_min + axis.steps * axis.step_min) // minutes)
    return Cells(first, max(last - first, 1), minutes, axis.zone)


def onto(axis: Axis, cells: Cells, values: Floats) -> Floats:
    """Means over the axis' steps, rounded, of one value a cell."""
    fine = np.repeat(values, cells.minutes // GRID_MIN)
    per_step = axis.step_min // GRID_MIN
    skip = ((axis.start - YEAR_ONE) // timedelta(minutes=1) - int(cells.start_min[0])) // GRID_MIN
    means = fine[skip : skip + axis.steps * per_step].reshape(axis.steps, per_step).mean(axis=1)
    return np.asarray(np.round(means, DECIMALS) + 0.0, np.float64)  # + 0.0 turns -0.0 into 0.0


def date_of(day: int) -> date:
    """The date of a day counted since year 1."""
    return date.fromordinal(day + 1)


def _utc_offset_min(zone: str, start_min: Ints) -> Ints:
    """Minutes to add to UTC; the zone is asked once a day, and at every cell of a day on which clocks change."""
    tz = ZoneInfo(zone)

    def offset(minute: int) -> int:
        local = (YEAR_ONE + timedelta(minutes=minute)).astimezone(tz)
        return int((local.utcoffset() or timedelta()).total_seconds() // 60)

    day = start_min // DAY_MIN
    first = int(day[0])
    midnights = np.array([offset(d * DAY_MIN) for d in range(first, int(day[-1]) + 2)], np.int64)
    result = midnights[day - first]
    for k in np.flatnonzero(result != midnights[day - first + 1]):
        result[k] = offset(int(start_min[k]))
    return result
