"""Heat that a building asks for, hot water and space heating, and how well a heat pump makes it."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from gridopt.assets.weather import cop_series
from gridopt.clock import Floats
from gridopt.scenario.generate.cells import Cells
from gridopt.scenario.generate.habits import at_hours, resting, scatter
from gridopt.scenario.generate.kinds import kind
from gridopt.scenario.generate.parameters import Option
from gridopt.scenario.generate.seasons import midwinter
from gridopt.scenario.generate.weather import temperature_c

# fmt: off
_DHW_WORKING = (.25, .15, .10, .10, .15, .50, 1.70, 2.30, 1.80, 1.10, .80, .75,
                .90, .80, .60, .55, .65, .95, 1.45, 1.80, 1.90, 1.60, 1.10, .60)
_DHW_RESTING = (.35, .20, .12, .10, .12, .25, .60, 1.20, 1.80, 2.05, 1.90, 1.60,
                1.35, 1.10, .90, .80, .85, 1.05, 1.40, 1.65, 1.65, 1.35, .95, .55)
# fmt: on


@kind("dhw", "kW")
def dhw_kw(
    cells: Cells,
    seed: int,
    *,
    flats: Annotated[int, Option("", "dwellings behind the meter", 1, 100_000)] = 1,
    weekly_kwh_per_flat: Annotated[float, Option("kWh", "heat of a week, yearly mean", 0.0, 500.0)] = 35.0,
    noise: Annotated[float, Option("", "relative deviation of one flat's quarter-hour", 0.0, 5.0)] = 0.9,
) -> Floats:
    """Heat drawn off as hot water (30-40 kWh a flat and week): mornings and evenings, 8 % more in midwinter (A).

    The draws of many flats level out: their relative deviation is noise ÷ √flats.
    """
    tables = np.array([_DHW_WORKING, _DHW_RESTING])
    relative = at_hours(tables / tables.mean(axis=1, keepdims=True), resting(cells), cells.local_h)
    season = 1 + 0.08 * cells.per_local_day(midwinter(cells.local_days))
    mean_kw = flats * weekly_kwh_per_flat / 168.0
    return mean_kw * season * relative * scatter(seed, "dhw", cells, noise / math.sqrt(flats))


REHEAT_H = 2.0

HourOfDay = Annotated[float, Option("h", "local hour", 0.0, 24.0)]


@kind("space-heat", "kW")
def space_heat_kw(
    cells: Cells,
    seed: int,
    *,
    ua_kw_per_k: Annotated[float, Option("kW/K", "heat lost per kelvin", 0.0, 1e5)] = 1.0,
    base_c: Annotated[float, Option("°C", "outdoor temperature above which nothing is heated", -20.0, 30.0)] = 16.0,
    setback_k: Annotated[float, Option("K", "how much less is held at night", 0.0, 10.0)] = 2.0,
    setback_from_h: HourOfDay = 22.0,
    setback_until_h: HourOfDay = 6.0,
    reheat_share: Annotated[float, Option("", "of the heat spared at night, given back after", 0.0, 1.0)] = 0.5,
    offset_k: Annotated[float, Option("K", "added to the outdoor temperature", -30.0, 30.0)] = 0.0,
) -> Floats:
    """Heat demand of a building: ua × (base - outdoor of the same seed), less at night, a reheating peak of 2 h after.

    ``base_c`` 16 stands for 19 °C indoors with the usual free gains. The building's mass is not modelled (A): where it
    matters, take a zone and ``outdoor`` instead.
    """
    lacking_k = np.maximum(base_c - offset_k - temperature_c(cells, seed), 0.0)
    night_h = (setback_until_h - setback_from_h) % 24.0
    spared_k = np.minimum(lacking_k, setback_k)
    night = (cells.local_h - setback_from_h) % 24.0 < night_h
    reheat = ~night & ((cells.local_h - setback_until_h) % 24.0 < REHEAT_H)
    change_k = np.where(reheat, spared_k * reheat_share * night_h / REHEAT_H, np.where(night, -spared_k, 0.0))
    return ua_kw_per_k * (lacking_k + change_k)


@kind("cop", "kWh/kWh")
def cop_kwh_per_kwh(
    cells: Cells,
    seed: int,
    *,
    nominal: Annotated[float, Option("", "COP at 7 °C outside", 1.0, 10.0)] = 3.0,
    slope_per_k: Annotated[float, Option("1/K", "change of the COP per kelvin outside", 0.0, 0.5)] = 0.06,
    offset_k: Annotated[float, Option("K", "added to the outdoor temperature", -30.0, 30.0)] = 0.0,
) -> Floats:
    """Heat per electricity of an air-source heat pump, by the outdoor temperature of the same seed.

    The law of the heat-pump families, for a ``converter`` that stands for one on a heat network.
    """
    outdoor_c = temperature_c(cells, seed) + offset_k
    unsaid = np.full((1, cells.count), np.nan)
    law = cop_series(unsaid, outdoor_c[None, :], np.array([nominal]), np.array([slope_per_k]))
    return np.asarray(law[0], np.float64)
