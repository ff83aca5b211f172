"""A retail price whose days have colours, announced the day before: the French option Tempo."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Annotated

import numpy as np
import numpy.typing as npt

from gridopt.clock import Floats
from gridopt.holidays import is_resting
from gridopt.scenario.generate.cells import DAY_MIN, Cells, date_of
from gridopt.scenario.generate.kinds import kind
from gridopt.scenario.generate.parameters import Option
from gridopt.scenario.generate.weather import day_mean_c

COLOURS = ("blue", "white", "red")
WHITE_DAYS, RED_DAYS = 43, 22
"""Of a season from 1 September; all others are blue."""
RED_MONTHS = (11, 12, 1, 2, 3)
DAY_STARTS_H = 6
PEAK_H = (6, 22)

Price = Annotated[float, Option("EUR/kWh", "price of a kWh, taxes included", -1.0, 5.0)]


@kind("tempo", "EUR/kWh")
def tempo_eur_per_kwh(
    cells: Cells,
    seed: int,
    *,
    colour: Annotated[
        str, Option("", "colour of every day; drawn: by the season's weather", choices=("drawn", *COLOURS))
    ] = "drawn",
    blue_off_peak_eur_per_kwh: Price = 0.1356,
    blue_peak_eur_per_kwh: Price = 0.1654,
    white_off_peak_eur_per_kwh: Price = 0.1536,
    white_peak_eur_per_kwh: Price = 0.1921,
    red_off_peak_eur_per_kwh: Price = 0.1615,
    red_peak_eur_per_kwh: Price = 0.7295,
) -> Floats:
    """Price of the option Tempo: a colour from six in the morning to six, off-peak from 22 to 6 h local time.

    From 1 September 300 days (301 in a leap year) are blue, 43 white and 22 red; red ones are working days from
    November to March, so never more than five in a row, and no Sunday is white. The network's operator chooses them by
    the demand it expects; here they are the coldest of a season's admissible days by the ``outdoor`` of the same seed,
    red before white (A). Prices are about those of autumn 2026 (A): put those of your contract.
    """
    tempo_min = cells.local_min - DAY_STARTS_H * 60
    day = tempo_min // DAY_MIN
    first = int(day[0])
    days = first + np.arange(int(day[-1]) - first + 1)
    of_day = np.array([_colour(seed, int(d)) if colour == "drawn" else COLOURS.index(colour) for d in days])
    hour = cells.local_min % DAY_MIN // 60
    peak = (hour >= PEAK_H[0]) & (hour < PEAK_H[1])
    prices = np.array(
        [
            [blue_off_peak_eur_per_kwh, blue_peak_eur_per_kwh],
            [white_off_peak_eur_per_kwh, white_peak_eur_per_kwh],
            [red_off_peak_eur_per_kwh, red_peak_eur_per_kwh],
        ]
    )
    return np.asarray(prices[of_day[day - first], peak.astype(np.int64)], np.float64)


def _colour(seed: int, day: int) -> int:
    """Place in COLOURS of a day since year 1."""
    when = date_of(day)
    first = date(when.year if when.month >= 9 else when.year - 1, 9, 1)
    return int(_season(seed, first)[day - (first.toordinal() - 1)])


@lru_cache(maxsize=64)
def _season(seed: int, first: date) -> npt.NDArray[np.int64]:
    """Places in COLOURS of the days of the season that begins at ``first``, a 1 September."""
    start, end = first.toordinal() - 1, date(first.year + 1, 9, 1).toordinal() - 1
    dates = [date_of(day) for day in range(start, end)]
    warmth = day_mean_c(seed, start, end - start)
    may_be_red = np.array([d.month in RED_MONTHS and not is_resting(d) for d in dates])
    colours = np.zeros(end - start, np.int64)
    colours[_coldest(warmth, may_be_red, RED_DAYS)] = COLOURS.index("red")
    may_be_white = (colours == 0) & np.array([d.weekday() != 6 for d in dates])
    colours[_coldest(warmth, may_be_white, WHITE_DAYS)] = COLOURS.index("white")
    return colours


def _coldest(warmth: Floats, among: npt.NDArray[np.bool_], count: int) -> npt.NDArray[np.intp]:
    return np.argsort(np.where(among, warmth, np.inf), kind="stable")[:count]
