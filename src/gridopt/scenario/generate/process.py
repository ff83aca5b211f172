"""What plants are given to work with: sewage that arrives, hydrogen that is left over."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from gridopt.clock import Floats
from gridopt.scenario.generate.cells import Cells
from gridopt.scenario.generate.habits import at_hours, resting, scatter
from gridopt.scenario.generate.kinds import kind
from gridopt.scenario.generate.noise import uniform
from gridopt.scenario.generate.parameters import Option

# fmt: off
_SEWAGE_WORKING = (.98, .86, .74, .64, .57, .54, .58, .72, .96, 1.18, 1.28, 1.28,
                   1.24, 1.20, 1.16, 1.10, 1.05, 1.03, 1.06, 1.14, 1.24, 1.28, 1.22, 1.11)
_SEWAGE_RESTING = (1.02, .90, .78, .67, .59, .54, .54, .60, .74, .96, 1.18, 1.32,
                   1.36, 1.30, 1.22, 1.14, 1.07, 1.03, 1.05, 1.12, 1.20, 1.24, 1.18, 1.09)
# fmt: on
M3_PER_MM_HA = 10.0
LITRES_PER_M3_DAY = 24_000.0
"""Litres a day that make one cubic metre an hour."""
MEMORY = 10.0
"""Rain older than so many reservoir times has run off."""


@kind("sewage", "m³/h")
def sewage_m3_per_h(
    cells: Cells,
    seed: int,
    *,
    residents: Annotated[int, Option("", "people, or what their load equals", 1, 10_000_000)] = 100_000,
    litres_per_day: Annotated[float, Option("l", "waste water of one of them", 0.0, 1000.0)] = 150.0,
    infiltration: Annotated[float, Option("", "groundwater that seeps in, share of the waste water", 0.0, 3.0)] = 0.25,
    rain_mm: Annotated[float, Option("mm", "rain of every day", 0.0, 300.0)] = 0.0,
    rain_from_h: Annotated[float, Option("h", "local hour when it begins", 0.0, 24.0)] = 15.0,
    rain_h: Annotated[float, Option("h", "how long it rains", 0.25, 24.0)] = 3.0,
    sealed_ha: Annotated[float, Option("ha", "roofs and streets that drain into the sewers", 0.0, 1e6)] = 0.0,
    drain_h: Annotated[float, Option("h", "mean time of the rain in the sewers", 0.1, 24.0)] = 2.0,
    noise: Annotated[float, Option("", "relative deviation of a quarter-hour", 0.0, 1.0)] = 0.02,
) -> Floats:
    """Flow that reaches the treatment plant of a large town: least at dawn, most before noon and late in the evening.

    Habits come late and flattened, as long sewers make them (A). Rain is heaviest in its middle and passes two equal
    linear reservoirs in series (J. E. Nash, "The form of the instantaneous unit hydrograph", IAHS Publ. 45, 1957).
    """
    tables = np.array([_SEWAGE_WORKING, _SEWAGE_RESTING])
    relative = at_hours(tables / tables.mean(axis=1, keepdims=True), resting(cells), cells.local_h)
    people = residents * litres_per_day / LITRES_PER_M3_DAY
    dry = people * (relative * scatter(seed, "sewage", cells, noise) + infiltration)
    return dry + _run_off(cells, rain_mm * sealed_ha * M3_PER_MM_HA, rain_from_h, rain_h, drain_h)


def _run_off(cells: Cells, volume_m3: float, from_h: float, rain_h: float, drain_h: float) -> Floats:
    """Flow [m³/h] of a rain of ``volume_m3`` every day; rain before the first cell is still on its way."""
    cell_h = cells.minutes / 60.0
    reach = math.ceil((MEMORY * drain_h + rain_h) / cell_h)
    wider = Cells(cells.first - reach, cells.count + reach, cells.minutes, cells.zone)
    phase = (wider.local_h - from_h) % 24.0 / rain_h
    rain = np.where(phase < 1.0, 2.0 * np.sin(np.pi * np.minimum(phase, 1.0)) ** 2, 0.0) * volume_m3 / rain_h
    age = (np.arange(reach + 1) + 0.5) * cell_h / (drain_h / 2.0)
    kernel = age * np.exp(-age)
    return np.asarray(np.convolve(rain, kernel / kernel.sum(), mode="valid"), np.float64)


SHIFT_MIN, SHIFT_START_MIN = 480, 360
RAMP_MIN = 60


@kind("hydrogen", "kW")
def hydrogen_kw(
    cells: Cells,
    seed: int,
    *,
    rated_kw: Annotated[float, Option("kW", "most that is left over, lower heating value", 0.0, 1e6)] = 500.0,
    least: Annotated[float, Option("", "share of it that is left over in the poorest shift", 0.0, 1.0)] = 0.3,
    noise: Annotated[float, Option("", "relative deviation of a quarter-hour", 0.0, 1.0)] = 0.02,
) -> Floats:
    """Hydrogen that a chemical plant gives off and does not need itself (all A).

    The plant runs day and night in shifts from 6, 14 and 22 h; every shift has its own level between ``least`` and 1,
    reached over an hour.
    """
    back = RAMP_MIN // cells.minutes
    wider = Cells(cells.first - back, cells.count + back, cells.minutes, cells.zone)
    shift = (wider.local_min - SHIFT_START_MIN) // SHIFT_MIN
    first = int(shift[0])
    drawn = uniform(seed, "hydrogen/shift", first, int(shift[-1]) - first + 1)
    level = least + (1 - least) * drawn[shift - first]
    ramped = np.convolve(level, np.full(back + 1, 1.0 / (back + 1)), mode="valid")
    return np.minimum(rated_kw * ramped * scatter(seed, "hydrogen", cells, noise), rated_kw)
