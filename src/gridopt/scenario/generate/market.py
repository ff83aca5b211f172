"""What the grid asks for a kWh: its price and its carbon."""

from __future__ import annotations

from functools import partial
from typing import Annotated, NamedTuple

import numpy as np

from gridopt.clock import Floats
from gridopt.scenario.generate.cells import DAY_MIN, Cells
from gridopt.scenario.generate.habits import Hours, at_hours, resting
from gridopt.scenario.generate.kinds import kind
from gridopt.scenario.generate.noise import fading, filtered, uniform
from gridopt.scenario.generate.parameters import Option
from gridopt.scenario.generate.weather import day_mean_c


class PriceLevel(NamedTuple):
    """Hourly prices of a working day and of a resting day, their scatter and the range they stay in [EUR/kWh] (A)."""

    working: Hours
    resting: Hours
    day_spread: float
    hour_spread: float
    saw: float
    low: float
    high: float


# fmt: off
_NORMAL = (.060, .052, .046, .043, .044, .056, .080, .112, .124, .106, .086, .072,
           .062, .057, .058, .066, .085, .112, .134, .138, .120, .096, .080, .068)
_SUNNY = (.028, .024, .020, .018, .018, .020, .024, .028, .021, .006, -.006, -.016,
          -.023, -.026, -.026, -.021, -.010, .006, .023, .034, .037, .035, .033, .031)
_COLD = (.162, .150, .144, .142, .143, .156, .192, .238, .262, .246, .222, .206,
         .196, .190, .194, .214, .252, .316, .368, .376, .330, .268, .216, .180)
# fmt: on
PRICE_LEVELS: dict[str, PriceLevel] = {
    "normal": PriceLevel(_NORMAL, tuple(0.8 * p for p in _NORMAL), 0.008, 0.003, 0.018, 0.02, 0.16),
    "negative-noon": PriceLevel(_SUNNY, _SUNNY, 0.0015, 0.001, 0.004, -0.03, 0.04),
    "cold-evening": PriceLevel(_COLD, tuple(0.95 * p for p in _COLD), 0.010, 0.004, 0.030, 0.12, 0.40),
}
"""Three sorts of day-ahead day: of autumn, of a sunny spring Sunday, of a cold spell; all the horizon has the one."""

# Inside an hour the quarters fall while the sun rises and climb while it sets; the hour's mean stays.
_SAW_QUARTER = np.array([-1.0, -1 / 3, 1 / 3, 1.0])
# fmt: off
_SAW_HOUR = np.array([0., 0., 0., 0., 0., .2, .6, -.3, -.6, -.8, -1., -.8,
                      -.6, -.4, 0., .3, .7, 1., .8, .6, 0., -.6, -.4, -.2])
# fmt: on


@kind("price", "EUR/kWh")
def price_eur_per_kwh(
    cells: Cells,
    seed: int,
    *,
    level: Annotated[str, Option("", "sort of day", choices=tuple(PRICE_LEVELS))] = "normal",
    adder_eur_per_kwh: Annotated[float, Option("EUR/kWh", "taxes, network and margin, added", -1.0, 1.0)] = 0.0,
) -> Floats:
    """Day-ahead price in 15-minute products: night valley, two peaks, noon dip, saw-tooth inside the hour.

    ``normal`` 0.02..0.16, ``negative-noon`` -0.03..0.04 with every noon below zero, ``cold-evening`` 0.12..0.40, all
    before ``adder_eur_per_kwh``. An hourly price is the plain mean of its four quarters, as the market's hourly index.
    """
    like = PRICE_LEVELS[level]
    hour = cells.local_min % DAY_MIN // 60
    table = np.array([like.working, like.resting])[resting(cells), hour]
    days = cells.local_days
    day = like.day_spread * (2 * uniform(seed, "price/day", int(days[0]), len(days)) - 1)
    utc_hour = cells.start_min // 60
    first = int(utc_hour[0])
    hourly = like.hour_spread * (2 * uniform(seed, "price/hour", first, int(utc_hour[-1]) - first + 1) - 1)
    saw = like.saw * _SAW_HOUR[hour] * _SAW_QUARTER[cells.start_min // 15 % 4]
    price: Floats = table + cells.per_local_day(day) + hourly[utc_hour - first] + saw
    return np.clip(price, like.low, like.high) + adder_eur_per_kwh


TIGHT_BELOW_C, TIGHT_MONTHS = 3.0, (11, 12, 1, 2, 3)
# fmt: off
_CO2_HOURS = (-2., -3., -3.5, -4., -4., -3., 0., 3., 4., 3., 1., -1.,
              -3., -4., -4., -3., 0., 3., 4.5, 5., 4., 2., 0., -1.)
_CO2_PEAK = (0., 0., 0., 0., 0., 0., .3, 1., 1., 1., .4, .2,
             .1, .1, .1, .1, .4, 1., 1., 1., .4, .2, .1, 0.)
# fmt: on


@kind("co2", "g/kWh")
def co2_g_per_kwh(cells: Cells, seed: int) -> Floats:
    """Carbon intensity of the French mix: 15-35, and peaks of 60-90 on cold working days from November to March.

    A day is tight when its mean outdoor temperature, of the same seed, is below 3 °C (A); the colder, the higher.
    """
    day = cells.per_utc_day(lambda first, count: 3.0 * (2 * uniform(seed, "co2/day", first, count) - 1))
    ripple = 0.8 * filtered(seed, "co2/ripple", cells.first, cells.count, fading(6.0))
    usual = np.clip(25.0 + day + at_hours([_CO2_HOURS], 0, cells.local_h) + ripple, 15.0, 35.0)

    below_k = TIGHT_BELOW_C - cells.per_utc_day(partial(day_mean_c, seed))
    winter = cells.per_local_day(np.array([d.month in TIGHT_MONTHS for d in cells.local_dates]))
    tight = winter & (resting(cells) == 0) & (below_k > 0)
    peak = 62.0 + 28.0 * np.clip(below_k / 8.0, 0.0, 1.0)
    weight = np.where(tight, at_hours([_CO2_PEAK], 0, cells.local_h), 0.0)
    return usual + weight * (peak - usual)
