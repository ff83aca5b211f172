"""Sun, clouds and irradiance over a site near Lille."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np

from gridopt.clock import Floats
from gridopt.scenario.generate.cells import Cells
from gridopt.scenario.generate.noise import fading, filtered, uniform
from gridopt.scenario.generate.seasons import season, year_angle

LATITUDE_DEG, LONGITUDE_DEG = 50.63, 3.06

SOLAR_CONSTANT_W_PER_M2 = 1367.0
BLOCK_DAYS = 16
CLEAR_SKY = 0.94  # of Haurwitz' clean air, for the haze of a lowland city (A)
CLEAR_SHARE, OVERCAST_SHARE = 0.17, 0.305  # of summer days (A)
OVERCAST_LOSS = 0.92  # Kasten and Czeplak's mean is 0.75; here 1 is the thickest cover, not a mean one (A)
ALBEDO = 0.2
LOWEST_SINE = math.sin(math.radians(3.0))  # beam ÷ sine explodes at the horizon, where the formulas know nothing


def sun_direction(
    angle: Floats, utc_h: Floats, latitude_deg: float, longitude_deg: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Unit vector to the sun (east, north, up) and the factor of its distance.

    ``angle`` is the place in the year 0..2π, ``utc_h`` the hour of the UTC day. Declination, equation of time and
    distance: J. W. Spencer, "Fourier series representation of the position of the sun", Search 2(5), 1971. No
    refraction.
    """
    c1, s1, c2, s2 = np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)
    declination = 0.006918 - 0.399912 * c1 + 0.070257 * s1 - 0.006758 * c2 + 0.000907 * s2
    declination += -0.002697 * np.cos(3 * angle) + 0.00148 * np.sin(3 * angle)
    equation_min = 229.18 * (0.000075 + 0.001868 * c1 - 0.032077 * s1 - 0.014615 * c2 - 0.040849 * s2)
    distance = 1.00011 + 0.034221 * c1 + 0.00128 * s1 + 0.000719 * c2 + 0.000077 * s2
    hour_angle = np.pi / 12 * (utc_h + longitude_deg / 15 + equation_min / 60 - 12)
    sin_lat, cos_lat = math.sin(math.radians(latitude_deg)), math.cos(math.radians(latitude_deg))
    level = np.cos(declination) * np.cos(hour_angle)
    east = -np.cos(declination) * np.sin(hour_angle)
    north = np.sin(declination) * cos_lat - level * sin_lat
    return east, north, np.sin(declination) * sin_lat + level * cos_lat, distance


def day_cloud(seed: int, first: int, count: int) -> Floats:
    """Mean cloudiness 0..1 of UTC days ``first`` … (days since year 1).

    A day is clear (0..0.25), broken (0.25..0.85) or overcast (0.85..1), overcast more often in winter (A). Every block
    of 16 days holds each sixteenth of the distribution once, in drawn order: a fortnight shows every weather and a
    year's yield is that of the climate for every seed. Real years scatter by ±5 % and bad weather lasts longer.
    """
    block = first // BLOCK_DAYS
    blocks = (first + count - 1) // BLOCK_DAYS - block + 1
    lots = uniform(seed, "sky/order", block * BLOCK_DAYS, blocks * BLOCK_DAYS)
    order = lots.reshape(blocks, BLOCK_DAYS).argsort(axis=1).argsort(axis=1).ravel()
    skip = first - block * BLOCK_DAYS
    rank = (order[skip : skip + count] + uniform(seed, "sky/within", first, count)) / BLOCK_DAYS
    winter = 0.5 + 0.5 * season(year_angle(first + np.arange(count, dtype=np.int64), 0.5), 0)
    clear, overcast = CLEAR_SHARE - 0.08 * winter, OVERCAST_SHARE + 0.22 * winter
    broken = 0.25 + 0.60 * (rank - clear) / (1 - clear - overcast)
    return np.where(
        rank < clear,
        0.25 * rank / clear,
        np.where(rank < 1 - overcast, broken, 1 - 0.15 * (1 - rank) / overcast),
    )


class Sky(NamedTuple):
    """Direction of the sun and irradiance [W/m²] in every cell: global and diffuse on the horizontal, beam normal."""

    east: Floats
    north: Floats
    up: Floats
    ghi: Floats
    dhi: Floats
    beam: Floats


def sky_over(cells: Cells, seed: int, cloudiness: float | None, latitude_deg: float, longitude_deg: float) -> Sky:
    """Irradiance under clouds that are drawn (``cloudiness`` None) or forced.

    Clear sky: B. Haurwitz, J. Meteorology 2, 1945. Clouds: form of F. Kasten and G. Czeplak, Solar Energy 24, 1980,
    1 - a·N^3.4. Diffuse part: D. G. Erbs, S. A. Klein and J. A. Duffie, Solar Energy 28, 1982 (hourly correlation, used
    on five minutes). Within a day clouds wander around the day's mean over tens of minutes and more slowly; a wholly
    clear or overcast day is steady.
    """
    east, north, up, distance = sun_direction(cells.year_angle, cells.utc_h, latitude_deg, longitude_deg)
    day = cells.per_utc_day(partial(day_cloud, seed)) if cloudiness is None else cloudiness
    wander = 0.8 * filtered(seed, "sky/slow", cells.first, cells.count, fading(18.0))
    wander += 0.6 * filtered(seed, "sky/fast", cells.first, cells.count, fading(2.0))
    cloud = np.clip(day + 0.8 * day * (1 - day) * wander, 0.0, 1.0)
    sine = np.maximum(up, LOWEST_SINE)
    clear = CLEAR_SKY * 1098.0 * np.maximum(up, 0.0) * np.exp(-0.057 / sine)
    ghi = clear * (1 - OVERCAST_LOSS * cloud**3.4)
    clearness = ghi / (SOLAR_CONSTANT_W_PER_M2 * distance * sine)
    part = np.where(
        clearness <= 0.22, 1 - 0.09 * clearness, np.polyval([12.336, -16.638, 4.388, -0.1604, 0.9511], clearness)
    )
    dhi = ghi * np.where(clearness > 0.80, 0.165, part)
    return Sky(east, north, up, ghi, dhi, (ghi - dhi) / sine)


def on_plane(sky: Sky, tilt_deg: float, azimuth_deg: float) -> Floats:
    """Irradiance on a tilted plane [W/m²], sky diffuse taken as even.

    B. Y. H. Liu and R. C. Jordan, "The long-term average performance of flat-plate solar-energy collectors", Solar
    Energy 7, 1963.
    """
    tilt, azimuth = math.radians(tilt_deg), math.radians(azimuth_deg)
    facing = math.sin(tilt) * (sky.east * math.sin(azimuth) + sky.north * math.cos(azimuth)) + sky.up * math.cos(tilt)
    diffuse = sky.dhi * (1 + math.cos(tilt)) / 2 + ALBEDO * sky.ghi * (1 - math.cos(tilt)) / 2
    return sky.beam * np.maximum(facing, 0.0) + diffuse
