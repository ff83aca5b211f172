"""Outdoor temperature: season, spells of some days that follow the clouds, day and night."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from gridopt.clock import Floats
from gridopt.scenario.generate.cells import Cells
from gridopt.scenario.generate.kinds import kind
from gridopt.scenario.generate.noise import fading, filtered, spells
from gridopt.scenario.generate.parameters import Option
from gridopt.scenario.generate.seasons import COLDEST_DAY, midwinter, season
from gridopt.scenario.generate.sky import LONGITUDE_DEG, day_cloud

MEAN_C, SEASON_K = 11.4, 7.4
SPELL_K = 3.5
LOWEST_C, HIGHEST_C = -9.0, 35.0


def day_mean_c(seed: int, first: int, count: int) -> Floats:
    """Mean outdoor temperature of UTC days ``first`` … (days since year 1) [°C], before the cut at the extremes."""
    days = first + np.arange(count, dtype=np.int64)
    return MEAN_C - SEASON_K * midwinter(days) + _day_weather(seed, first, count)[0]


def temperature_c(cells: Cells, seed: int) -> Floats:
    """Outdoor temperature of every cell [°C]."""
    first = int(cells.utc_day[0]) - 1
    departure, swing = _day_weather(seed, first, int(cells.utc_day[-1]) - first + 2)
    noons = first + np.arange(len(swing)) + 0.5
    now = cells.utc_day + cells.utc_h / 24.0
    mean = MEAN_C - SEASON_K * season(cells.year_angle, COLDEST_DAY) + np.interp(now, noons, departure)
    day_night = np.interp(now, noons, swing) * np.cos(2 * np.pi * (cells.utc_h + LONGITUDE_DEG / 15 - 15.0) / 24.0)
    ripple = 0.3 * filtered(seed, "outdoor/ripple", cells.first, cells.count, fading(8.0))
    return np.clip(mean + day_night + ripple, LOWEST_C, HIGHEST_C)


@kind("outdoor", "°C")
def outdoor_c(
    cells: Cells,
    seed: int,
    *,
    offset_k: Annotated[float, Option("K", "added at every step, for a cold or hot spell", -30.0, 30.0)] = 0.0,
) -> Floats:
    """Outdoor temperature: season, spells of some days, day and night; clear days swing more.

    Calibrated to about 2500 K·day a year below 18 °C, mean 11 °C; held within -9..35 °C before ``offset_k``.
    """
    return temperature_c(cells, seed) + offset_k


def _day_weather(seed: int, first: int, count: int) -> tuple[Floats, Floats]:
    """Departure of UTC days' means from the season [K] and half their day-night swing [K]."""
    clear = 0.55 - day_cloud(seed, first, count)
    winter = midwinter(first + np.arange(count, dtype=np.int64))
    spell_k = SPELL_K * (1 + 0.2 * winter) * filtered(seed, "outdoor/spell", first, count, spells(3.0))
    return spell_k - 1.5 * clear * winter, np.maximum(3.3 - 1.2 * winter + 3.0 * clear, 0.5)
