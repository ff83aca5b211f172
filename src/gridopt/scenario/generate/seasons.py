"""The place in the year, and what goes up and down with it."""

from __future__ import annotations

from datetime import date

import numpy as np
import numpy.typing as npt

from gridopt.clock import Floats

Ints = npt.NDArray[np.int64]

UNIX_DAY = date(1970, 1, 1).toordinal() - 1
COLDEST_DAY = 20


def year_angle(day: Ints, day_fraction: Floats | float) -> Floats:
    """Place in the year, 0..2π, of days since year 1; leap years are stretched, so that seasons do not drift."""
    date64 = (day - UNIX_DAY).astype("datetime64[D]")
    year = date64.astype("datetime64[Y]")
    first = year.astype("datetime64[D]")
    length = ((year + 1).astype("datetime64[D]") - first).astype(np.int64)
    return np.asarray(2 * np.pi * ((date64 - first).astype(np.int64) + day_fraction) / length)


def season(angle: Floats, peak_day: float) -> Floats:
    """A cosine over the year, +1 on ``peak_day`` (1 = 1 January), -1 half a year from it."""
    return np.cos(angle - 2 * np.pi * peak_day / 365.25)


def midwinter(days: Ints) -> Floats:
    """The season at noon of days since year 1: +1 on the coldest day (20 January), -1 half a year from it."""
    return season(year_angle(days, 0.5), COLDEST_DAY)
