"""Electric loads without heating or vehicles: one shape of the day and year for each sort of consumer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import Annotated

import numpy as np

from gridopt.clock import Floats
from gridopt.holidays import is_like_sunday, is_school_holiday
from gridopt.scenario.generate.cells import Cells, date_of
from gridopt.scenario.generate.habits import Hours, at_hours, scatter
from gridopt.scenario.generate.kinds import kind
from gridopt.scenario.generate.parameters import Option
from gridopt.scenario.generate.seasons import Ints, midwinter

HOURS_PER_YEAR = 8760.0

Annual = Annotated[float, Option("kWh", "energy of a year", 0.0, 1e9)]
Noise = Annotated[float, Option("", "relative standard deviation of a quarter-hour", 0.0, 2.0)]


@dataclass(frozen=True)
class Shape:
    """Relative loads of the 24 local hours by kind of day, and how much more midwinter takes than the year (all A).

    Wednesdays and school holidays are ordinary days unless they have hours of their own.
    """

    name: str
    winter: float
    working: Hours
    saturday: Hours
    sunday: Hours
    wednesday: Hours | None = None
    holiday: Hours | None = None

    @cached_property
    def tables(self) -> tuple[Hours, ...]:
        """The hours by row, as ``day_row`` counts them."""
        return (self.working, self.saturday, self.sunday, self.wednesday or self.working, self.holiday or self.working)

    def day_row(self, day: date) -> int:
        """Which row of ``tables`` a day follows."""
        if is_like_sunday(day):
            return 2
        if self.holiday and is_school_holiday(day):
            return 4
        return {5: 1, 2: 3}.get(day.weekday(), 0)

    def season(self, days: Ints) -> Floats:
        """Factor of each day, 1 on average over the year."""
        return 1 + self.winter * midwinter(days)


# fmt: off
HOUSEHOLD = Shape(
    "household", 0.25,
    working=(.55, .48, .44, .42, .42, .46, .62, .95, .92, .78, .74, .80,
             .98, .92, .78, .74, .80, 1.02, 1.38, 1.68, 1.62, 1.40, 1.10, .78),
    saturday=(.62, .54, .48, .45, .44, .46, .54, .70, .92, 1.08, 1.10, 1.14,
              1.30, 1.18, 1.00, .94, .96, 1.10, 1.36, 1.60, 1.52, 1.32, 1.10, .84),
    sunday=(.66, .56, .50, .46, .44, .45, .50, .62, .86, 1.10, 1.20, 1.28,
            1.40, 1.22, 1.02, .94, .96, 1.08, 1.34, 1.58, 1.48, 1.26, 1.02, .76),
)
OFFICE = Shape(
    "office", 0.12,
    working=(.30, .30, .30, .30, .31, .36, .55, .95, 1.45, 1.75, 1.82, 1.80,
             1.62, 1.70, 1.78, 1.75, 1.65, 1.40, 1.00, .65, .45, .38, .34, .32),
    saturday=(.30, .30, .30, .30, .30, .30, .32, .36, .42, .46, .48, .48,
              .46, .44, .42, .40, .38, .36, .34, .32, .31, .30, .30, .30),
    sunday=(.29,) * 8 + (.31,) * 10 + (.29,) * 6,
)
SCHOOL = Shape(
    "school", 0.30,
    working=(.28, .28, .28, .28, .28, .34, .70, 1.35, 1.95, 2.05, 2.10, 2.15,
             2.00, 1.90, 2.00, 1.90, 1.45, 1.05, .70, .45, .34, .30, .28, .28),
    saturday=(.27,) * 24,
    sunday=(.27,) * 24,
    wednesday=(.28, .28, .28, .28, .28, .34, .65, 1.20, 1.75, 1.85, 1.85, 1.70,
               1.20, .85, .80, .80, .75, .65, .50, .36, .30, .28, .28, .28),
    holiday=(.26,) * 8 + (.42,) * 9 + (.26,) * 7,
)
SHOP = Shape(
    "shop", -0.06,
    working=(.62, .60, .60, .60, .62, .72, .90, 1.10, 1.28, 1.38, 1.42, 1.42,
             1.40, 1.40, 1.40, 1.40, 1.40, 1.42, 1.42, 1.30, .98, .76, .68, .64),
    saturday=(.62, .60, .60, .60, .62, .72, .90, 1.10, 1.30, 1.42, 1.48, 1.48,
              1.46, 1.46, 1.46, 1.46, 1.46, 1.46, 1.44, 1.30, .98, .76, .68, .64),
    sunday=(.62, .60, .60, .60, .60, .64, .78, .98, 1.20, 1.30, 1.32, 1.28,
            1.00, .72, .66, .64, .64, .64, .64, .64, .64, .62, .62, .62),
)
PARKING = Shape(
    "parking", 0.15,
    working=(.70, .68, .68, .68, .70, .80, 1.05, 1.35, 1.40, 1.20, 1.05, 1.05,
             1.15, 1.10, 1.02, 1.05, 1.20, 1.40, 1.42, 1.22, 1.00, .88, .80, .74),
    saturday=(.72, .70, .68, .68, .68, .72, .80, .90, 1.00, 1.12, 1.20, 1.22,
              1.20, 1.20, 1.22, 1.25, 1.25, 1.22, 1.15, 1.05, .95, .90, .85, .78),
    sunday=(.72, .70, .68, .68, .68, .68, .70, .74, .78, .82, .85, .86,
            .86, .88, .90, .90, .90, .90, .88, .85, .80, .76, .74, .72),
)
HOSPITAL = Shape(
    "hospital", 0.04,
    working=(.80, .78, .77, .77, .78, .82, .92, 1.06, 1.18, 1.24, 1.26, 1.26,
             1.24, 1.22, 1.21, 1.18, 1.14, 1.09, 1.04, 1.00, .96, .92, .87, .83),
    saturday=(.80, .78, .77, .77, .78, .80, .86, .94, 1.00, 1.04, 1.06, 1.07,
              1.07, 1.04, 1.02, 1.01, 1.00, .99, .98, .96, .93, .90, .86, .82),
    sunday=(.79, .77, .76, .76, .77, .79, .84, .91, .97, 1.01, 1.03, 1.04,
            1.05, 1.02, 1.00, .99, .98, .97, .97, .95, .92, .89, .85, .81),
)
# fmt: on


@kind("household", "kW")
def household_kw(cells: Cells, seed: int, *, annual_kwh: Annual = 2300.0, noise: Noise = 0.35) -> Floats:
    """A flat without electric heat or EV (2.0-2.5 MWh a year): evening peak at 19-20 h, later mornings at weekends.

    For many flats give their sum and a smaller noise (÷ √n).
    """
    return _load_kw(cells, seed, HOUSEHOLD, annual_kwh, noise)


@kind("office", "kW")
def office_kw(cells: Cells, seed: int, *, annual_kwh: Annual = 200_000.0, noise: Noise = 0.08) -> Floats:
    """An office without its heating (5 000 m² × 40 kWh/m² (A)): working days 8-18 h, a third of it at night."""
    return _load_kw(cells, seed, OFFICE, annual_kwh, noise)


@kind("school", "kW")
def school_kw(cells: Cells, seed: int, *, annual_kwh: Annual = 60_000.0, noise: Noise = 0.10) -> Floats:
    """A school without its heating: short Wednesdays, nearly nothing in the school holidays (`is_school_holiday`)."""
    return _load_kw(cells, seed, SCHOOL, annual_kwh, noise)


@kind("shop", "kW")
def shop_kw(cells: Cells, seed: int, *, annual_kwh: Annual = 400_000.0, noise: Noise = 0.06) -> Floats:
    """A food shop: refrigeration all night, open until 20 h, Sunday mornings only; a little more in summer."""
    return _load_kw(cells, seed, SHOP, annual_kwh, noise)


@kind("parking", "kW")
def parking_kw(cells: Cells, seed: int, *, annual_kwh: Annual = 50_000.0, noise: Noise = 0.10) -> Floats:
    """A covered car park without its chargers: light and ventilation, more at the rush hours."""
    return _load_kw(cells, seed, PARKING, annual_kwh, noise)


@kind("hospital", "kW")
def hospital_kw(cells: Cells, seed: int, *, annual_kwh: Annual = 6_000_000.0, noise: Noise = 0.04) -> Floats:
    """A hospital: two thirds of the day's load all night, weekends a little lower, hardly any season."""
    return _load_kw(cells, seed, HOSPITAL, annual_kwh, noise)


def _load_kw(cells: Cells, seed: int, shape: Shape, annual_kwh: float, noise: float) -> Floats:
    """Mean power of a consumer of ``annual_kwh`` in each local calendar year."""
    rows = np.array([shape.day_row(day) for day in cells.local_dates], np.int64)
    level = shape.season(cells.local_days) / np.array([_year_mean(shape, day.year) for day in cells.local_dates])
    hourly = at_hours(shape.tables, cells.per_local_day(rows), cells.local_h)
    relative = cells.per_local_day(level) * hourly
    return annual_kwh / HOURS_PER_YEAR * relative * scatter(seed, shape.name, cells, noise)


@lru_cache(maxsize=256)
def _year_mean(shape: Shape, year: int) -> float:
    """Mean of hours × season over a local calendar year."""
    days = np.arange(date(year, 1, 1).toordinal() - 1, date(year + 1, 1, 1).toordinal() - 1)
    rows = [shape.day_row(date_of(int(d))) for d in days]
    return float(np.mean(np.mean(shape.tables, axis=1)[rows] * shape.season(days)))
