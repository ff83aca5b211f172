"""When it is dark: what street lamps burn for."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from gridopt.clock import Floats
from gridopt.scenario.generate.cells import Cells
from gridopt.scenario.generate.kinds import kind
from gridopt.scenario.generate.parameters import Option
from gridopt.scenario.generate.sky import LATITUDE_DEG, LONGITUDE_DEG, sun_direction
from gridopt.scenario.generate.solar import Latitude, Longitude

SUNSET_DEG = -0.833
"""Height of the sun's centre when its upper edge meets the horizon, as almanacs count: refraction and half its disc."""


@kind("night", "share", minutes=5)
def night_share(
    cells: Cells,
    seed: int,
    *,
    sun_below_deg: Annotated[float, Option("°", "height of the sun below which it is night", -18.0, 10.0)] = SUNSET_DEG,
    latitude_deg: Latitude = LATITUDE_DEG,
    longitude_deg: Longitude = LONGITUDE_DEG,
) -> Floats:
    """Share of the step after sunset and before sunrise, as an astronomical clock has it; the seed has no effect.

    Near Lille about 4300 h a year; lamps that wait for dusk (``sun_below_deg`` -2 to -3) burn about 4150 h.
    """
    up = sun_direction(cells.year_angle, cells.utc_h, latitude_deg, longitude_deg)[2]
    return np.asarray(up < math.sin(math.radians(sun_below_deg)), np.float64)
