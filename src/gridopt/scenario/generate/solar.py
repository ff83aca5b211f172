"""What the sun brings: irradiance, PV power, heat through windows. All of one seed share one sky."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from gridopt.clock import Floats
from gridopt.scenario.generate.cells import Cells
from gridopt.scenario.generate.kinds import kind
from gridopt.scenario.generate.parameters import Option
from gridopt.scenario.generate.sky import LATITUDE_DEG, LONGITUDE_DEG, on_plane, sky_over

Latitude = Annotated[float, Option("°", "north of the equator", -66.0, 66.0)]
Longitude = Annotated[float, Option("°", "east of Greenwich", -180.0, 180.0)]
Tilt = Annotated[float, Option("°", "0 flat, 90 upright", 0.0, 90.0)]
Azimuth = Annotated[float, Option("°", "clockwise from north: 90 east, 180 south, 270 west", 0.0, 360.0)]
Cloudiness = Annotated[float | None, Option("", "mean of every day: 0 clear, 1 overcast; unset: drawn", 0.0, 1.0)]

INVERTER_WAKES_AT = 1e-3  # of the rated power (A): no crumbs of power at dawn, which would only disturb a solver


@kind("ghi", "W/m²", minutes=5)
def ghi_w_per_m2(
    cells: Cells,
    seed: int,
    *,
    latitude_deg: Latitude = LATITUDE_DEG,
    longitude_deg: Longitude = LONGITUDE_DEG,
    cloudiness: Cloudiness = None,
) -> Floats:
    """Global irradiance on the horizontal, about 1050 kWh/m² a year."""
    return sky_over(cells, seed, cloudiness, latitude_deg, longitude_deg).ghi


@kind("pv", "kW/kWp", minutes=5)
def pv_kw_per_kwp(
    cells: Cells,
    seed: int,
    *,
    tilt_deg: Tilt = 35.0,
    azimuth_deg: Azimuth = 180.0,
    losses: Annotated[float, Option("", "share lost to heat, dirt, wiring and inverter", 0.0, 1.0)] = 0.16,
    clip_kw_per_kwp: Annotated[float, Option("kW/kWp", "most the inverter lets through", 0.0, 1.5)] = 0.9,
    latitude_deg: Latitude = LATITUDE_DEG,
    longitude_deg: Longitude = LONGITUDE_DEG,
    cloudiness: Cloudiness = None,
) -> Floats:
    """AC power available from 1 kWp of PV.

    Calibrated to the area's usual figures: 950-1000 kWh/kWp a year at 35° south, 820-880 for a low east-west roof, best
    day about 6.5 kWh/kWp, worst below 0.2. Losses are constant (A): hot noons are a little too good.
    """
    plane = on_plane(sky_over(cells, seed, cloudiness, latitude_deg, longitude_deg), tilt_deg, azimuth_deg)
    power = np.minimum(plane / 1000.0 * (1 - losses), clip_kw_per_kwp)
    return np.where(power >= INVERTER_WAKES_AT, power, 0.0)


@kind("window", "kW/m²", minutes=5)
def solar_gain_kw_per_m2(
    cells: Cells,
    seed: int,
    *,
    azimuth_deg: Azimuth = 180.0,
    tilt_deg: Tilt = 90.0,
    transmittance: Annotated[float, Option("", "glass × glazed share × fixed shading", 0.0, 1.0)] = 0.4,
    latitude_deg: Latitude = LATITUDE_DEG,
    longitude_deg: Longitude = LONGITUDE_DEG,
    cloudiness: Cloudiness = None,
) -> Floats:
    """Solar heat let in by 1 m² of facade window.

    Transmittance 0.4 = 0.6 of double glazing × 0.7 glazed share × 0.95 (A); it does not vary with the angle.
    """
    plane = on_plane(sky_over(cells, seed, cloudiness, latitude_deg, longitude_deg), tilt_deg, azimuth_deg)
    return plane / 1000.0 * transmittance
