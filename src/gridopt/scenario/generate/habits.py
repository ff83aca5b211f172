"""What people do: tables of the 24 local hours, read between the hours, and scatter around them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from gridopt.clock import Floats
from gridopt.holidays import is_resting
from gridopt.scenario.generate.cells import Cells
from gridopt.scenario.generate.noise import fading, filtered, gauss, spells
from gridopt.scenario.generate.seasons import Ints

Hours = tuple[float, ...]
"""One value for each of the 24 local hours."""


def at_hours(tables: npt.ArrayLike, choice: Ints | int, hour: Floats) -> Floats:
    """Value of table ``choice`` at an hour of the day; a table's 24 values stand at the middle of their hours."""
    profiles = np.asarray(tables, np.float64)
    before = np.floor(hour - 0.5).astype(np.int64)
    share = hour - 0.5 - before
    return np.asarray(profiles[choice, before % 24] * (1 - share) + profiles[choice, (before + 1) % 24] * share)


def resting(cells: Cells) -> Ints:
    """1 in the cells of weekends and public holidays, else 0: the row of a pair of tables."""
    return cells.per_local_day(np.array([is_resting(day) for day in cells.local_dates], np.int64))


def scatter(seed: int, stream: str, cells: Cells, deviation: float) -> Floats:
    """Log-normal factors of mean 1 and relative deviation ``deviation``: a part of days, of hours and of the cell."""
    days = cells.per_utc_day(lambda first, count: filtered(seed, f"{stream}/day", first, count, spells(0.5)))
    hours = filtered(seed, f"{stream}/hours", cells.first, cells.count, fading(4.0))
    cell = gauss(seed, f"{stream}/cell", cells.first, cells.count)
    sigma = math.sqrt(math.log1p(deviation**2))
    return np.exp(sigma * (0.2 * days + 0.6 * hours + math.sqrt(0.60) * cell) - sigma**2 / 2)
