"""Methods that anyone can follow: the reference that a cleverer one must beat.

    last-week    the value of the same local time seven days before, or as many weeks as it takes to know one
    last-alike   the value of the same local time on the last day of the same kind: a public holiday is a Sunday
    yesterday    the value of the same local time on the last day that is known
    recent-days  the mean of the same local time over the last days that are known
    calendar     the mean of the same local time and kind of day over the last weeks; a public holiday is a Sunday
    level        the last value that is known

The night of 23 or 25 hours follows the wall clock: people do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gridopt.forecast.past import DAY_S, WEEK_S, Floats, Grid, Ints, Past

WEEKS = 4
RECENT_DAYS = 7
CALENDAR_WEEKS = 8

Method = Callable[[Past, Grid], Floats]
"""What is known, and the steps to forecast → (count,) values, NaN where the method knows none."""


def last_week(past: Past, target: Grid) -> Floats:
    found = np.full(target.count, np.nan)
    for weeks in range(1, WEEKS + 1):
        found = np.where(np.isnan(found), _at_local(past, target.local - weeks * WEEK_S), found)
    return found


def last_alike(past: Past, target: Grid) -> Floats:
    grid = past.grid
    kind_of = dict(zip(grid.day.tolist(), grid.weekday.tolist(), strict=True))
    found = np.full(target.count, np.nan)
    for days in range(1, 7 * WEEKS + 1):
        alike = np.array([kind_of.get(d - days) == w for d, w in zip(target.day, target.weekday, strict=True)])
        found = np.where(np.isnan(found) & alike, _at_local(past, target.local - days * DAY_S), found)
    return found


def yesterday(past: Past, target: Grid) -> Floats:
    """The same local time on the last day before the target whose value is known, up to a week back."""
    found = np.full(target.count, np.nan)
    for days in range(1, RECENT_DAYS + 3):
        found = np.where(np.isnan(found), _at_local(past, target.local - days * DAY_S), found)
    return found


def recent_days(past: Past, target: Grid) -> Floats:
    """The mean of the last known days; at most seven, each counted once, looking no further back than ten."""
    total, count = np.zeros(target.count), np.zeros(target.count)
    for days in range(1, RECENT_DAYS + 4):
        value = _at_local(past, target.local - days * DAY_S)
        take = ~np.isnan(value) & (count < RECENT_DAYS)
        total += np.where(take, value, 0.0)
        count += take
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def calendar(past: Past, target: Grid) -> Floats:
    grid = past.grid
    first = past.issued - CALENDAR_WEEKS * WEEK_S
    recent = ~np.isnan(past.value) & (grid.times >= first)
    slots = -(-DAY_S // grid.step_s)
    key, size = grid.weekday * slots + grid.slot, 7 * slots
    total = np.bincount(key[recent], past.value[recent], size)
    count = np.bincount(key[recent], minlength=size)
    wanted = target.weekday * slots + target.slot
    return np.where(count[wanted] > 0, total[wanted] / np.maximum(count[wanted], 1), np.nan)


def level(past: Past, target: Grid) -> Floats:
    known = np.flatnonzero(~np.isnan(past.value))
    return np.full(target.count, past.value[known[-1]] if len(known) else np.nan)


def _at_local(past: Past, local: Ints) -> Floats:
    """Values of the past at local wall-clock times; NaN where none is known. An hour there twice gives its second."""
    grid = past.grid
    if not grid.count:
        return np.full(len(local), np.nan)
    order = np.argsort(grid.local, kind="stable")
    at = np.searchsorted(grid.local[order], local, side="right") - 1
    row = order[np.maximum(at, 0)]
    hit = (at >= 0) & (grid.local[row] == local)
    return np.where(hit, past.value[row], np.nan)


METHODS: dict[str, Method] = {
    "last-week": last_week,
    "last-alike": last_alike,
    "yesterday": yesterday,
    "recent-days": recent_days,
    "calendar": calendar,
    "level": level,
}
REFERENCE = "last-week"
"""What every other method is measured against."""


def filled(past: Past, target: Grid, method: Method) -> Floats:
    """A method's forecast, with the next simpler ones where it knows nothing. NaN where nobody knows anything."""
    found = method(past, target)
    for other in (last_week, calendar, recent_days, level):
        if not np.isnan(found).any():
            break
        found = np.where(np.isnan(found), other(past, target), found)
    return found
