"""Days on which people rest: Sundays, French public holidays, school holidays."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache


@lru_cache(maxsize=64)
def public_holidays(year: int) -> frozenset[date]:
    """The eleven public holidays of metropolitan France (Code du travail, L3133-1)."""
    easter = _easter(year)
    fixed = ((1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25))
    moving = (easter + timedelta(days=k) for k in (1, 39, 50))
    return frozenset((*(date(year, m, d) for m, d in fixed), *moving))


def is_like_sunday(day: date) -> bool:
    """Sunday or public holiday."""
    return day.weekday() == 6 or day in public_holidays(day.year)


def is_resting(day: date) -> bool:
    """Weekend or public holiday."""
    return day.weekday() == 5 or is_like_sunday(day)


def is_school_holiday(day: date) -> bool:
    """Whether schools rest. A rule of thumb for the shape of a French school year (A), not the official calendar.

    Two weeks from the Saturday on or after 17 October, 19 December, 11 February and 11 April; July (from the 5th) and
    August.
    """
    if date(day.year, 7, 5) <= day <= date(day.year, 8, 31):
        return True
    starts = ((day.year, 2, 11), (day.year, 4, 11), (day.year, 10, 17), (day.year, 12, 19), (day.year - 1, 12, 19))
    return any(0 <= (day - _saturday(date(*start))).days < 16 for start in starts)


def _saturday(day: date) -> date:
    """The Saturday on or after a day."""
    return day + timedelta(days=(5 - day.weekday()) % 7)


def _easter(year: int) -> date:
    """Easter Sunday (Gregorian computus, J. Meeus, "Astronomical algorithms", 1991, chapter 8)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    w = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * w) // 451
    month, day = divmod(h + w - 7 * m + 114, 31)
    return date(year, month, day + 1)
