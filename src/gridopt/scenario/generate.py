"""The project's own seeded series: weather, PV, loads, prices, CO₂, heat and EV sessions for a site near Lille.

``KINDS`` names every series that a scenario may ask for; ``KINDS["pv"](axis, 3, tilt_deg=20.0)`` checks the
parameters and returns one float64 value a step. ``ev_sessions`` returns sessions instead of a series.

What holds for all of them
- A value belongs to (seed, kind, parameters, UTC instant). Random numbers are counted from absolute intervals and days,
  never from the horizon's start: two horizons agree wherever they overlap.
- Every kind is made on absolute cells of 5 or 15 minutes and averaged onto the axis. A coarser step is therefore the
  mean of the finer one, exactly but for the rounding of both to 6 decimals; a step finer than its cells repeats them.
- People's habits and prices follow local wall-clock time, weekday and French public holidays; weather follows the sun.
- One seed is one sky: ``pv``, ``ghi`` and ``window`` of a seed share their clouds, ``outdoor`` warms and cools with
  them, ``space-heat`` and ``co2`` follow that ``outdoor``.
- Results have 6 decimals, no negative zero and no NaN: tiny right-hand sides disturb a solver.

These are models for tests and demonstrations, not data. Where a docstring says (A), the figure is our assumption; the
calibration targets (yield of PV, degree-days, sizes, prices, sessions) are usual values of the trade for the area, not
measurements, and every one can be overridden by a parameter or replaced by a series of one's own.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_origin
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from gridopt.clock import Axis, Floats

__all__ = [
    "EV_PARAMETERS",
    "EV_PATTERNS",
    "KINDS",
    "PRICE_LEVELS",
    "Complaint",
    "EvSession",
    "Kind",
    "Option",
    "Parameter",
    "complaints",
    "ev_sessions",
    "is_school_holiday",
    "nearest",
    "public_holidays",
    "sun_direction",
]

Ints = npt.NDArray[np.int64]
Number = float | int | str | None

GRID_MIN = 5
"""The finest cell [min]: a horizon starts on one and its step is a whole number of them."""

DECIMALS = 6
YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)
UNIX_DAY = date(1970, 1, 1).toordinal() - 1
DAY_MIN = 1440
HOURS_PER_YEAR = 8760.0


# --- parameters and kinds ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Option:
    """What a function's signature cannot say of a parameter: unit, meaning, range [low, high] or choices."""

    unit: str
    doc: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parameter:
    """A parameter as a scenario may give it. ``required`` has no default; ``optional`` may be None (drawn, unset)."""

    name: str
    type: type
    default: Number
    option: Option
    required: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Complaint:
    """Why a given parameter cannot be used; the loader adds file and line."""

    parameter: str
    code: str
    message: str


@dataclass(frozen=True)
class Kind:
    """A series that can be generated: ``name`` in scenarios, ``result`` as the unit-suffixed column it fills."""

    name: str
    result: str
    unit: str
    doc: str
    parameters: tuple[Parameter, ...]
    function: Callable[..., Floats]

    def complaints(self, given: Mapping[str, object]) -> list[Complaint]:
        """Everything wrong with the parameters given, without ``axis`` and ``seed``."""
        return complaints(self.parameters, given, self.name)

    def __call__(self, axis: Axis, seed: int, **given: Number) -> Floats:
        """The series, shape (steps,), float64 with 6 decimals. ValueError names every parameter that is wrong."""
        wrong = self.complaints(given)
        if wrong:
            raise ValueError("; ".join(w.message for w in wrong))
        return self.function(axis, seed, **given)


KINDS: dict[str, Kind] = {}
F = TypeVar("F", bound=Callable[..., Floats])


def _kind(name: str, unit: str) -> Callable[[F], F]:
    """Enter a function into KINDS: its name is the result's, its keyword-only arguments are the parameters."""

    def enter(function: F) -> F:
        doc = inspect.getdoc(function) or ""
        KINDS[name] = Kind(name, function.__name__, unit, doc, _parameters(function), function)
        return function

    return enter


def _parameters(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """The annotated parameters of a function, in order: type, default, Option."""
    found = []
    for name, argument in inspect.signature(function, eval_str=True).parameters.items():
        if get_origin(argument.annotation) is not Annotated:
            continue
        hint, option = get_args(argument.annotation)
        types = [t for t in get_args(hint) or (hint,) if t is not NoneType]
        required = argument.default is inspect.Parameter.empty
        default = None if required else argument.default
        found.append(Parameter(name, types[0], default, option, required, NoneType in get_args(hint)))
    return tuple(found)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like the one written, or None when nothing comes close."""
    return next(iter(difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)), None)


def complaints(parameters: Sequence[Parameter], given: Mapping[str, object], owner: str) -> list[Complaint]:
    """Every given parameter that ``owner`` does not know or cannot use, then every required one that is missing."""
    known = {p.name: p for p in parameters}
    found = []
    for name, value in given.items():
        if name in known:
            trouble = _trouble(known[name], value)
        else:
            close = nearest(name, known)
            hint = f"did you mean {close}?" if close else f"it takes {', '.join(known) or 'none'}"
            trouble = ("unknown-parameter", f"is not a parameter of {owner}: {hint}")
        if trouble:
            found.append(Complaint(name, trouble[0], f"{name} {trouble[1]}"))
    missing = [p.name for p in parameters if p.required and p.name not in given]
    return found + [Complaint(name, "missing", f"{name} must be given for {owner}") for name in missing]


def _trouble(parameter: Parameter, value: object) -> tuple[str, str] | None:
    """Code and message of what is wrong with one value, or None."""
    option = parameter.option
    if value is None and parameter.optional:
        return None
    if parameter.type is str:
        if value in option.choices:
            return None
        close = nearest(str(value), option.choices)
        hint = f"; did you mean {close}?" if close else ""
        return "unknown-choice", f"is {value!r}, not one of {', '.join(option.choices)}{hint}"
    wanted = (int,) if parameter.type is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted):
        return "wrong-type", f"must be {'a whole number' if parameter.type is int else 'a number'}, not {value!r}"
    if not (math.isfinite(value) and option.low <= value <= option.high):
        unit = f" {option.unit}" if option.unit else ""
        return "out-of-range", f"is {value:g}, not within {option.low:g}..{option.high:g}{unit}"
    return None


# --- absolute cells and random numbers that belong to them ------------------------------------------------------------


@dataclass(frozen=True)
class _Cells:
    """Consecutive cells of ``minutes`` counted from year 1 (UTC); enough of them to cover an axis."""

    first: int
    count: int
    minutes: int
    zone: str

    @cached_property
    def start_min(self) -> Ints:
        """Start of every cell, minutes of UTC since year 1."""
        return (self.first + np.arange(self.count, dtype=np.int64)) * self.minutes

    @cached_property
    def utc_day(self) -> Ints:
        """Days since year 1, UTC."""
        return self.start_min // DAY_MIN

    @cached_property
    def utc_h(self) -> Floats:
        """Hour of the UTC day at the middle of the cell."""
        return np.asarray((self.start_min % DAY_MIN + self.minutes / 2) / 60.0, np.float64)

    @cached_property
    def year_angle(self) -> Floats:
        """Place in the UTC year at the middle of the cell, 0..2π."""
        return _year_angle(self.utc_day, self.utc_h / 24.0)

    @cached_property
    def local_min(self) -> Ints:
        """Start of every cell on the local wall clock, minutes since year 1."""
        return self.start_min + _utc_offset_min(self.zone, self.start_min)

    @cached_property
    def local_day(self) -> Ints:
        """Local calendar day, days since year 1."""
        return self.local_min // DAY_MIN

    @cached_property
    def local_h(self) -> Floats:
        """Local wall-clock hour at the middle of the cell."""
        return np.asarray((self.local_min % DAY_MIN + self.minutes / 2) / 60.0, np.float64)


def _cells(axis: Axis, minutes: int) -> _Cells:
    """The cells that cover an axis. ValueError: the axis does not stand on the five-minute grid."""
    start_min, rest = divmod(axis.start - YEAR_ONE, timedelta(minutes=1))
    if rest or start_min % GRID_MIN or axis.step_min % GRID_MIN:
        raise ValueError(f"start {axis.start} and step {axis.step_min} min must be whole {GRID_MIN} minutes")
    first = start_min // minutes
    last = -(-(start_min + axis.steps * axis.step_min) // minutes)
    return _Cells(first, max(last - first, 1), minutes, axis.zone)


def _onto(axis: Axis, cells: _Cells, values: Floats) -> Floats:
    """Means over the axis' steps, rounded."""
    fine = np.repeat(values, cells.minutes // GRID_MIN)
    per_step = axis.step_min // GRID_MIN
    skip = ((axis.start - YEAR_ONE) // timedelta(minutes=1) - int(cells.start_min[0])) // GRID_MIN
    means = fine[skip : skip + axis.steps * per_step].reshape(axis.steps, per_step).mean(axis=1)
    return np.asarray(np.round(means, DECIMALS) + 0.0, np.float64)  # + 0.0 turns -0.0 into 0.0


def _utc_offset_min(zone: str, start_min: Ints) -> Ints:
    """Minutes to add to UTC; the zone is asked once a day, and at every cell of a day on which clocks change."""
    tz = ZoneInfo(zone)

    def offset(minute: int) -> int:
        local = (YEAR_ONE + timedelta(minutes=minute)).astimezone(tz)
        return int((local.utcoffset() or timedelta()).total_seconds() // 60)

    day = start_min // DAY_MIN
    first = int(day[0])
    midnights = np.array([offset(d * DAY_MIN) for d in range(first, int(day[-1]) + 2)], np.int64)
    result = midnights[day - first]
    for k in np.flatnonzero(result != midnights[day - first + 1]):
        result[k] = offset(int(start_min[k]))
    return result


def _year_angle(day: Ints, day_fraction: Floats | float) -> Floats:
    """Place in the year, 0..2π, of days since year 1; leap years are stretched, so that seasons do not drift."""
    date64 = (day - UNIX_DAY).astype("datetime64[D]")
    year = date64.astype("datetime64[Y]")
    first = year.astype("datetime64[D]")
    length = ((year + 1).astype("datetime64[D]") - first).astype(np.int64)
    return np.asarray(2 * np.pi * ((date64 - first).astype(np.int64) + day_fraction) / length)


def _season(angle: Floats, peak_day: float) -> Floats:
    """A cosine over the year, +1 on ``peak_day`` (1 = 1 January), -1 half a year from it."""
    return np.cos(angle - 2 * np.pi * peak_day / 365.25)


def _uniform(seed: int, stream: str, first: int, count: int) -> Floats:
    """Uniform [0, 1) numbers ``first`` … of an endless stream that belongs to (seed, stream).

    A counter-based generator (Philox: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) starts at any
    place at no cost: number k is the same whoever asks for it.
    """
    key = int.from_bytes(hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=16).digest(), "little")
    block, skip = divmod(first, 4)  # Philox makes four numbers a count
    return np.random.Generator(np.random.Philox(key=key, counter=block)).random(count + skip)[skip:]


def _gauss(seed: int, stream: str, first: int, count: int) -> Floats:
    """Standard normal numbers of a stream (Box-Muller: always two uniforms each, so that places are kept)."""
    u = _uniform(seed, stream, 2 * first, 2 * count).reshape(count, 2)
    return np.asarray(np.sqrt(-2.0 * np.log1p(-u[:, 0])) * np.cos(2 * np.pi * u[:, 1]))


def _filtered(seed: int, stream: str, first: int, count: int, kernel: Floats) -> Floats:
    """Standard normal numbers that remember: a moving sum of independent ones, hence without a beginning."""
    reach = len(kernel) - 1
    white = _gauss(seed, stream, first - reach, count + reach)
    return np.asarray(np.convolve(white, kernel / np.sqrt(np.sum(kernel**2)), mode="valid"), np.float64)


def _fading(memory: float) -> Floats:
    """Kernel of an exponential memory of so many cells."""
    return np.exp(-np.arange(math.ceil(4 * memory) + 1) / memory)


def _spells(memory_days: float) -> Floats:
    """Kernel of spells that fade over days and sum to nothing over a month: a year's mean stays what was asked for."""
    kernel: Floats = np.exp(-np.arange(30) / memory_days)
    return kernel - np.mean(kernel)


# --- sun, sky and temperature -----------------------------------------------------------------------------------------

LATITUDE_DEG, LONGITUDE_DEG = 50.63, 3.06

Latitude = Annotated[float, Option("°", "north of the equator", -66.0, 66.0)]
Longitude = Annotated[float, Option("°", "east of Greenwich", -180.0, 180.0)]
Tilt = Annotated[float, Option("°", "0 flat, 90 upright", 0.0, 90.0)]
Azimuth = Annotated[float, Option("°", "clockwise from north: 90 east, 180 south, 270 west", 0.0, 360.0)]
Cloudiness = Annotated[float | None, Option("", "mean of every day: 0 clear, 1 overcast; unset: drawn", 0.0, 1.0)]

SOLAR_CONSTANT_W_PER_M2 = 1367.0
SKY_BLOCK_DAYS = 16
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


def _day_cloud(seed: int, first: int, count: int) -> Floats:
    """Mean cloudiness 0..1 of UTC days ``first`` … (days since year 1).

    A day is clear (0..0.25), broken (0.25..0.85) or overcast (0.85..1), overcast more often in winter (A). Every block
    of 16 days holds each sixteenth of the distribution once, in drawn order: a fortnight shows every weather and a
    year's yield is that of the climate for every seed. Real years scatter by ±5 % and bad weather lasts longer.
    """
    block = first // SKY_BLOCK_DAYS
    blocks = (first + count - 1) // SKY_BLOCK_DAYS - block + 1
    lots = _uniform(seed, "sky/order", block * SKY_BLOCK_DAYS, blocks * SKY_BLOCK_DAYS)
    order = lots.reshape(blocks, SKY_BLOCK_DAYS).argsort(axis=1).argsort(axis=1).ravel()
    skip = first - block * SKY_BLOCK_DAYS
    rank = (order[skip : skip + count] + _uniform(seed, "sky/within", first, count)) / SKY_BLOCK_DAYS
    winter = 0.5 + 0.5 * _season(_year_angle(first + np.arange(count, dtype=np.int64), 0.5), 0)
    clear, overcast = CLEAR_SHARE - 0.08 * winter, OVERCAST_SHARE + 0.22 * winter
    broken = 0.25 + 0.60 * (rank - clear) / (1 - clear - overcast)
    return np.where(
        rank < clear,
        0.25 * rank / clear,
        np.where(rank < 1 - overcast, broken, 1 - 0.15 * (1 - rank) / overcast),
    )


@dataclass(frozen=True)
class _Sky:
    """Direction of the sun and irradiance [W/m²] in every cell: global and diffuse on the horizontal, beam normal."""

    east: Floats
    north: Floats
    up: Floats
    ghi: Floats
    dhi: Floats
    beam: Floats


def _sky(cells: _Cells, seed: int, cloudiness: float | None, latitude_deg: float, longitude_deg: float) -> _Sky:
    """Irradiance under drawn or forced clouds.

    Clear sky: B. Haurwitz, J. Meteorology 2, 1945. Clouds: form of F. Kasten and G. Czeplak, Solar Energy 24, 1980,
    1 - a·N^3.4. Diffuse part: D. G. Erbs, S. A. Klein and J. A. Duffie, Solar Energy 28, 1982 (hourly correlation, used
    on five minutes). Within a day clouds wander around the day's mean over tens of minutes and more slowly; a wholly
    clear or overcast day is steady.
    """
    east, north, up, distance = sun_direction(cells.year_angle, cells.utc_h, latitude_deg, longitude_deg)
    first = int(cells.utc_day[0])
    if cloudiness is None:
        day = _day_cloud(seed, first, int(cells.utc_day[-1]) - first + 1)[cells.utc_day - first]
    else:
        day = np.full(cells.count, float(cloudiness))
    wander = 0.8 * _filtered(seed, "sky/slow", cells.first, cells.count, _fading(18.0))
    wander += 0.6 * _filtered(seed, "sky/fast", cells.first, cells.count, _fading(2.0))
    cloud = np.clip(day + 0.8 * day * (1 - day) * wander, 0.0, 1.0)
    sine = np.maximum(up, LOWEST_SINE)
    clear = CLEAR_SKY * 1098.0 * np.maximum(up, 0.0) * np.exp(-0.057 / sine)
    ghi = clear * (1 - OVERCAST_LOSS * cloud**3.4)
    clearness = ghi / (SOLAR_CONSTANT_W_PER_M2 * distance * sine)
    part = np.where(
        clearness <= 0.22, 1 - 0.09 * clearness, np.polyval([12.336, -16.638, 4.388, -0.1604, 0.9511], clearness)
    )
    dhi = ghi * np.where(clearness > 0.80, 0.165, part)
    return _Sky(east, north, up, ghi, dhi, (ghi - dhi) / sine)


def _on_plane(sky: _Sky, tilt_deg: float, azimuth_deg: float) -> Floats:
    """Irradiance on a tilted plane [W/m²], sky diffuse taken as even.

    B. Y. H. Liu and R. C. Jordan, "The long-term average performance of flat-plate solar-energy collectors", Solar
    Energy 7, 1963.
    """
    tilt, azimuth = math.radians(tilt_deg), math.radians(azimuth_deg)
    facing = math.sin(tilt) * (sky.east * math.sin(azimuth) + sky.north * math.cos(azimuth)) + sky.up * math.cos(tilt)
    diffuse = sky.dhi * (1 + math.cos(tilt)) / 2 + ALBEDO * sky.ghi * (1 - math.cos(tilt)) / 2
    return sky.beam * np.maximum(facing, 0.0) + diffuse


@_kind("ghi", "W/m²")
def ghi_w_per_m2(
    axis: Axis,
    seed: int,
    *,
    latitude_deg: Latitude = LATITUDE_DEG,
    longitude_deg: Longitude = LONGITUDE_DEG,
    cloudiness: Cloudiness = None,
) -> Floats:
    """Global irradiance on the horizontal, about 1050 kWh/m² a year."""
    cells = _cells(axis, 5)
    return _onto(axis, cells, _sky(cells, seed, cloudiness, latitude_deg, longitude_deg).ghi)


INVERTER_WAKES_AT = 1e-3  # of the rated power (A): no crumbs of power at dawn, which would only disturb a solver


@_kind("pv", "kW/kWp")
def pv_kw_per_kwp(
    axis: Axis,
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
    cells = _cells(axis, 5)
    plane = _on_plane(_sky(cells, seed, cloudiness, latitude_deg, longitude_deg), tilt_deg, azimuth_deg)
    power = np.minimum(plane / 1000.0 * (1 - losses), clip_kw_per_kwp)
    return _onto(axis, cells, np.where(power >= INVERTER_WAKES_AT, power, 0.0))


@_kind("window", "kW/m²")
def solar_gain_kw_per_m2(
    axis: Axis,
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
    cells = _cells(axis, 5)
    plane = _on_plane(_sky(cells, seed, cloudiness, latitude_deg, longitude_deg), tilt_deg, azimuth_deg)
    return _onto(axis, cells, plane / 1000.0 * transmittance)


MEAN_C, SEASON_K, COLDEST_DAY = 11.4, 7.4, 20
SPELL_K = 3.5
LOWEST_C, HIGHEST_C = -9.0, 35.0


def _day_weather(seed: int, first: int, count: int) -> tuple[Floats, Floats]:
    """Departure of UTC days' means from the season [K] and half their day-night swing [K]."""
    clear = 0.55 - _day_cloud(seed, first, count)
    winter = _season(_year_angle(first + np.arange(count, dtype=np.int64), 0.5), COLDEST_DAY)
    spell_k = SPELL_K * (1 + 0.2 * winter) * _filtered(seed, "outdoor/spell", first, count, _spells(3.0))
    return spell_k - 1.5 * clear * winter, np.maximum(3.3 - 1.2 * winter + 3.0 * clear, 0.5)


def _outdoor_c(cells: _Cells, seed: int) -> Floats:
    """Outdoor temperature of every cell [°C]."""
    first = int(cells.utc_day[0]) - 1
    departure, swing = _day_weather(seed, first, int(cells.utc_day[-1]) - first + 2)
    noons = first + np.arange(len(swing)) + 0.5
    now = cells.utc_day + cells.utc_h / 24.0
    mean = MEAN_C - SEASON_K * _season(cells.year_angle, COLDEST_DAY) + np.interp(now, noons, departure)
    day_night = np.interp(now, noons, swing) * np.cos(2 * np.pi * (cells.utc_h + LONGITUDE_DEG / 15 - 15.0) / 24.0)
    ripple = 0.3 * _filtered(seed, "outdoor/ripple", cells.first, cells.count, _fading(8.0))
    return np.clip(mean + day_night + ripple, LOWEST_C, HIGHEST_C)


@_kind("outdoor", "°C")
def outdoor_c(
    axis: Axis,
    seed: int,
    *,
    offset_k: Annotated[float, Option("K", "added at every step, for a cold or hot spell", -30.0, 30.0)] = 0.0,
) -> Floats:
    """Outdoor temperature: season, spells of some days, day and night; clear days swing more.

    Calibrated to about 2500 K·day a year below 18 °C, mean 11 °C; held within -9..35 °C before ``offset_k``.
    """
    cells = _cells(axis, 15)
    return _onto(axis, cells, _outdoor_c(cells, seed) + offset_k)


# --- calendar ---------------------------------------------------------------------------------------------------------


def _easter(year: int) -> date:
    """Easter Sunday (Gregorian computus, J. Meeus, "Astronomical algorithms", 1991, chapter 8)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    w = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * w) // 451
    month, day = divmod(h + w - 7 * m + 114, 31)
    return date(year, month, day + 1)


@lru_cache(maxsize=64)
def public_holidays(year: int) -> frozenset[date]:
    """The eleven public holidays of metropolitan France (Code du travail, L3133-1)."""
    easter = _easter(year)
    fixed = ((1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25))
    moving = (easter + timedelta(days=k) for k in (1, 39, 50))
    return frozenset((*(date(year, m, d) for m, d in fixed), *moving))


def is_school_holiday(day: date) -> bool:
    """Whether schools rest. A rule of thumb for the shape of a French school year (A), not the official calendar.

    Two weeks from the Saturday on or after 17 October, 19 December, 11 February and 11 April; July (from the 5th) and
    August.
    """
    if date(day.year, 7, 5) <= day <= date(day.year, 8, 31):
        return True
    for year, month, first in ((day.year, 2, 11), (day.year, 4, 11), (day.year, 10, 17), (day.year, 12, 19)):
        if 0 <= (day - _saturday(date(year, month, first))).days < 16:
            return True
    return 0 <= (day - _saturday(date(day.year - 1, 12, 19))).days < 16


def _saturday(day: date) -> date:
    """The Saturday on or after a day."""
    return day + timedelta(days=(5 - day.weekday()) % 7)


def _date(day: int) -> date:
    """The date of a day counted since year 1."""
    return date.fromordinal(day + 1)


def _rests(day: date) -> bool:
    """Sunday or public holiday."""
    return day.weekday() == 6 or day in public_holidays(day.year)


def _at_hours(tables: npt.ArrayLike, choice: Ints, hour: Floats) -> Floats:
    """Value of table ``choice`` at an hour of the day; a table's 24 values stand at the middle of their hours."""
    profiles = np.asarray(tables, np.float64)
    before = np.floor(hour - 0.5).astype(np.int64)
    share = hour - 0.5 - before
    return profiles[choice, before % 24] * (1 - share) + profiles[choice, (before + 1) % 24] * share


# --- loads ------------------------------------------------------------------------------------------------------------

Hours = tuple[float, ...]


@dataclass(frozen=True)
class _Shape:
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
        if _rests(day):
            return 2
        if self.holiday and is_school_holiday(day):
            return 4
        return {5: 1, 2: 3}.get(day.weekday(), 0)

    def season(self, days: Ints) -> Floats:
        """Factor of each day, 1 on average over the year."""
        return 1 + self.winter * _season(_year_angle(days, 0.5), COLDEST_DAY)


# fmt: off
HOUSEHOLD = _Shape(
    "household", 0.25,
    working=(.55, .48, .44, .42, .42, .46, .62, .95, .92, .78, .74, .80,
             .98, .92, .78, .74, .80, 1.02, 1.38, 1.68, 1.62, 1.40, 1.10, .78),
    saturday=(.62, .54, .48, .45, .44, .46, .54, .70, .92, 1.08, 1.10, 1.14,
              1.30, 1.18, 1.00, .94, .96, 1.10, 1.36, 1.60, 1.52, 1.32, 1.10, .84),
    sunday=(.66, .56, .50, .46, .44, .45, .50, .62, .86, 1.10, 1.20, 1.28,
            1.40, 1.22, 1.02, .94, .96, 1.08, 1.34, 1.58, 1.48, 1.26, 1.02, .76),
)
OFFICE = _Shape(
    "office", 0.12,
    working=(.30, .30, .30, .30, .31, .36, .55, .95, 1.45, 1.75, 1.82, 1.80,
             1.62, 1.70, 1.78, 1.75, 1.65, 1.40, 1.00, .65, .45, .38, .34, .32),
    saturday=(.30, .30, .30, .30, .30, .30, .32, .36, .42, .46, .48, .48,
              .46, .44, .42, .40, .38, .36, .34, .32, .31, .30, .30, .30),
    sunday=(.29,) * 8 + (.31,) * 10 + (.29,) * 6,
)
SCHOOL = _Shape(
    "school", 0.30,
    working=(.28, .28, .28, .28, .28, .34, .70, 1.35, 1.95, 2.05, 2.10, 2.15,
             2.00, 1.90, 2.00, 1.90, 1.45, 1.05, .70, .45, .34, .30, .28, .28),
    saturday=(.27,) * 24,
    sunday=(.27,) * 24,
    wednesday=(.28, .28, .28, .28, .28, .34, .65, 1.20, 1.75, 1.85, 1.85, 1.70,
               1.20, .85, .80, .80, .75, .65, .50, .36, .30, .28, .28, .28),
    holiday=(.26,) * 8 + (.42,) * 9 + (.26,) * 7,
)
SHOP = _Shape(
    "shop", -0.06,
    working=(.62, .60, .60, .60, .62, .72, .90, 1.10, 1.28, 1.38, 1.42, 1.42,
             1.40, 1.40, 1.40, 1.40, 1.40, 1.42, 1.42, 1.30, .98, .76, .68, .64),
    saturday=(.62, .60, .60, .60, .62, .72, .90, 1.10, 1.30, 1.42, 1.48, 1.48,
              1.46, 1.46, 1.46, 1.46, 1.46, 1.46, 1.44, 1.30, .98, .76, .68, .64),
    sunday=(.62, .60, .60, .60, .60, .64, .78, .98, 1.20, 1.30, 1.32, 1.28,
            1.00, .72, .66, .64, .64, .64, .64, .64, .64, .62, .62, .62),
)
PARKING = _Shape(
    "parking", 0.15,
    working=(.70, .68, .68, .68, .70, .80, 1.05, 1.35, 1.40, 1.20, 1.05, 1.05,
             1.15, 1.10, 1.02, 1.05, 1.20, 1.40, 1.42, 1.22, 1.00, .88, .80, .74),
    saturday=(.72, .70, .68, .68, .68, .72, .80, .90, 1.00, 1.12, 1.20, 1.22,
              1.20, 1.20, 1.22, 1.25, 1.25, 1.22, 1.15, 1.05, .95, .90, .85, .78),
    sunday=(.72, .70, .68, .68, .68, .68, .70, .74, .78, .82, .85, .86,
            .86, .88, .90, .90, .90, .90, .88, .85, .80, .76, .74, .72),
)
HOSPITAL = _Shape(
    "hospital", 0.04,
    working=(.80, .78, .77, .77, .78, .82, .92, 1.06, 1.18, 1.24, 1.26, 1.26,
             1.24, 1.22, 1.21, 1.18, 1.14, 1.09, 1.04, 1.00, .96, .92, .87, .83),
    saturday=(.80, .78, .77, .77, .78, .80, .86, .94, 1.00, 1.04, 1.06, 1.07,
              1.07, 1.04, 1.02, 1.01, 1.00, .99, .98, .96, .93, .90, .86, .82),
    sunday=(.79, .77, .76, .76, .77, .79, .84, .91, .97, 1.01, 1.03, 1.04,
            1.05, 1.02, 1.00, .99, .98, .97, .97, .95, .92, .89, .85, .81),
)
# fmt: on


@lru_cache(maxsize=256)
def _year_mean(shape: _Shape, year: int) -> float:
    """Mean of hours × season over a local calendar year."""
    days = np.arange(date(year, 1, 1).toordinal() - 1, date(year + 1, 1, 1).toordinal() - 1)
    rows = [shape.day_row(_date(int(d))) for d in days]
    return float(np.mean(np.mean(shape.tables, axis=1)[rows] * shape.season(days)))


def _local_days(cells: _Cells) -> tuple[Ints, list[date], Ints]:
    """The local days that cells touch: as numbers, as dates, and which of them each cell is in."""
    first = int(cells.local_day[0])
    days = np.arange(first, int(cells.local_day[-1]) + 1, dtype=np.int64)
    return days, [_date(int(d)) for d in days], cells.local_day - first


def _scatter(seed: int, stream: str, cells: _Cells, deviation: float) -> Floats:
    """Log-normal factors of mean 1 and relative deviation ``deviation``: a part of days, of hours and of the cell."""
    first = int(cells.utc_day[0])
    count = int(cells.utc_day[-1]) - first + 1
    days = _filtered(seed, f"{stream}/day", first, count, _spells(0.5))[cells.utc_day - first]
    hours = _filtered(seed, f"{stream}/hours", cells.first, cells.count, _fading(4.0))
    cell = _gauss(seed, f"{stream}/cell", cells.first, cells.count)
    sigma = math.sqrt(math.log1p(deviation**2))
    return np.exp(sigma * (0.2 * days + 0.6 * hours + math.sqrt(0.60) * cell) - sigma**2 / 2)


def _load_kw(axis: Axis, seed: int, shape: _Shape, annual_kwh: float, noise: float) -> Floats:
    """Mean power of a consumer of ``annual_kwh`` in each local calendar year."""
    cells = _cells(axis, 15)
    days, dates, where = _local_days(cells)
    rows = np.array([shape.day_row(d) for d in dates], np.int64)
    level = shape.season(days) / np.array([_year_mean(shape, d.year) for d in dates])
    relative = level[where] * _at_hours(shape.tables, rows[where], cells.local_h)
    mean_kw = annual_kwh / HOURS_PER_YEAR
    return _onto(axis, cells, mean_kw * relative * _scatter(seed, shape.name, cells, noise))


Annual = Annotated[float, Option("kWh", "energy of a year", 0.0, 1e9)]
Noise = Annotated[float, Option("", "relative standard deviation of a quarter-hour", 0.0, 2.0)]


@_kind("household", "kW")
def household_kw(axis: Axis, seed: int, *, annual_kwh: Annual = 2300.0, noise: Noise = 0.35) -> Floats:
    """A flat without electric heat or EV (2.0-2.5 MWh a year): evening peak at 19-20 h, later mornings at weekends.

    For many flats give their sum and a smaller noise (÷ √n).
    """
    return _load_kw(axis, seed, HOUSEHOLD, annual_kwh, noise)


@_kind("office", "kW")
def office_kw(axis: Axis, seed: int, *, annual_kwh: Annual = 200_000.0, noise: Noise = 0.08) -> Floats:
    """An office without its heating (5 000 m² × 40 kWh/m² (A)): working days 8-18 h, a third of it at night."""
    return _load_kw(axis, seed, OFFICE, annual_kwh, noise)


@_kind("school", "kW")
def school_kw(axis: Axis, seed: int, *, annual_kwh: Annual = 60_000.0, noise: Noise = 0.10) -> Floats:
    """A school without its heating: short Wednesdays, nearly nothing in the school holidays (`is_school_holiday`)."""
    return _load_kw(axis, seed, SCHOOL, annual_kwh, noise)


@_kind("shop", "kW")
def shop_kw(axis: Axis, seed: int, *, annual_kwh: Annual = 400_000.0, noise: Noise = 0.06) -> Floats:
    """A food shop: refrigeration all night, open until 20 h, Sunday mornings only; a little more in summer."""
    return _load_kw(axis, seed, SHOP, annual_kwh, noise)


@_kind("parking", "kW")
def parking_kw(axis: Axis, seed: int, *, annual_kwh: Annual = 50_000.0, noise: Noise = 0.10) -> Floats:
    """A covered car park without its chargers: light and ventilation, more at the rush hours."""
    return _load_kw(axis, seed, PARKING, annual_kwh, noise)


@_kind("hospital", "kW")
def hospital_kw(axis: Axis, seed: int, *, annual_kwh: Annual = 6_000_000.0, noise: Noise = 0.04) -> Floats:
    """A hospital: two thirds of the day's load all night, weekends a little lower, hardly any season."""
    return _load_kw(axis, seed, HOSPITAL, annual_kwh, noise)


# --- prices and CO₂ ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _PriceLevel:
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
PRICE_LEVELS: dict[str, _PriceLevel] = {
    "normal": _PriceLevel(_NORMAL, tuple(0.8 * p for p in _NORMAL), 0.008, 0.003, 0.018, 0.02, 0.16),
    "negative-noon": _PriceLevel(_SUNNY, _SUNNY, 0.0015, 0.001, 0.004, -0.03, 0.04),
    "cold-evening": _PriceLevel(_COLD, tuple(0.95 * p for p in _COLD), 0.010, 0.004, 0.030, 0.12, 0.40),
}
"""Three sorts of day-ahead day: of autumn, of a sunny spring Sunday, of a cold spell; all the horizon has the one."""

# Inside an hour the quarters fall while the sun rises and climb while it sets; the hour's mean stays.
_SAW_QUARTER = np.array([-1.0, -1 / 3, 1 / 3, 1.0])
# fmt: off
_SAW_HOUR = np.array([0., 0., 0., 0., 0., .2, .6, -.3, -.6, -.8, -1., -.8,
                      -.6, -.4, 0., .3, .7, 1., .8, .6, 0., -.6, -.4, -.2])
# fmt: on


def _price_quarters(cells: _Cells, seed: int, level: _PriceLevel) -> Floats:
    """Price of every quarter-hour [EUR/kWh]."""
    days, dates, where = _local_days(cells)
    rests = np.array([int(d.weekday() == 5 or _rests(d)) for d in dates], np.int64)
    hour = cells.local_min % DAY_MIN // 60
    table = np.array([level.working, level.resting])[rests[where], hour]
    day = level.day_spread * (2 * _uniform(seed, "price/day", int(days[0]), len(days)) - 1)
    utc_hour = cells.start_min // 60
    first = int(utc_hour[0])
    hourly = level.hour_spread * (2 * _uniform(seed, "price/hour", first, int(utc_hour[-1]) - first + 1) - 1)
    saw = level.saw * _SAW_HOUR[hour] * _SAW_QUARTER[cells.start_min // 15 % 4]
    price: Floats = table + day[where] + hourly[utc_hour - first] + saw
    return np.clip(price, level.low, level.high)


@_kind("price", "EUR/kWh")
def price_eur_per_kwh(
    axis: Axis,
    seed: int,
    *,
    level: Annotated[str, Option("", "sort of day", choices=tuple(PRICE_LEVELS))] = "normal",
    adder_eur_per_kwh: Annotated[float, Option("EUR/kWh", "taxes, network and margin, added", -1.0, 1.0)] = 0.0,
) -> Floats:
    """Day-ahead price in 15-minute products: night valley, two peaks, noon dip, saw-tooth inside the hour.

    ``normal`` 0.02..0.16, ``negative-noon`` -0.03..0.04 with every noon below zero, ``cold-evening`` 0.12..0.40, all
    before ``adder_eur_per_kwh``. An hourly price is the plain mean of its four quarters, as the market's hourly index.
    """
    cells = _cells(axis, 15)
    return _onto(axis, cells, _price_quarters(cells, seed, PRICE_LEVELS[level]) + adder_eur_per_kwh)


TIGHT_BELOW_C = 3.0
# fmt: off
_CO2_HOURS = (-2., -3., -3.5, -4., -4., -3., 0., 3., 4., 3., 1., -1.,
              -3., -4., -4., -3., 0., 3., 4.5, 5., 4., 2., 0., -1.)
_CO2_PEAK = (0., 0., 0., 0., 0., 0., .3, 1., 1., 1., .4, .2,
             .1, .1, .1, .1, .4, 1., 1., 1., .4, .2, .1, 0.)
# fmt: on


@_kind("co2", "g/kWh")
def co2_g_per_kwh(axis: Axis, seed: int) -> Floats:
    """Carbon intensity of the French mix: 15-35, and peaks of 60-90 on cold working days from November to March.

    A day is tight when its mean outdoor temperature, of the same seed, is below 3 °C (A); the colder, the higher.
    """
    cells = _cells(axis, 15)
    every_day = np.zeros(cells.count, np.int64)
    first = int(cells.utc_day[0])
    count = int(cells.utc_day[-1]) - first + 1
    day = 3.0 * (2 * _uniform(seed, "co2/day", first, count) - 1)
    ripple = 0.8 * _filtered(seed, "co2/ripple", cells.first, cells.count, _fading(6.0))
    usual = 25.0 + day[cells.utc_day - first] + _at_hours([_CO2_HOURS], every_day, cells.local_h) + ripple
    usual = np.clip(usual, 15.0, 35.0)

    utc_days = first + np.arange(count, dtype=np.int64)
    mean_c = MEAN_C - SEASON_K * _season(_year_angle(utc_days, 0.5), COLDEST_DAY) + _day_weather(seed, first, count)[0]
    below_k = (TIGHT_BELOW_C - mean_c)[cells.utc_day - first]
    _, dates, where = _local_days(cells)
    winter_work = np.array([d.month in (11, 12, 1, 2, 3) and d.weekday() < 5 and not _rests(d) for d in dates])[where]
    tight = winter_work & (below_k > 0)
    peak = 62.0 + 28.0 * np.clip(below_k / 8.0, 0.0, 1.0)
    weight = np.where(tight, _at_hours([_CO2_PEAK], every_day, cells.local_h), 0.0)
    return _onto(axis, cells, usual + weight * (peak - usual))


# --- heat -------------------------------------------------------------------------------------------------------------

# fmt: off
_DHW_WORKING = (.25, .15, .10, .10, .15, .50, 1.70, 2.30, 1.80, 1.10, .80, .75,
                .90, .80, .60, .55, .65, .95, 1.45, 1.80, 1.90, 1.60, 1.10, .60)
_DHW_RESTING = (.35, .20, .12, .10, .12, .25, .60, 1.20, 1.80, 2.05, 1.90, 1.60,
                1.35, 1.10, .90, .80, .85, 1.05, 1.40, 1.65, 1.65, 1.35, .95, .55)
# fmt: on


@_kind("dhw", "kW")
def dhw_kw(
    axis: Axis,
    seed: int,
    *,
    flats: Annotated[int, Option("", "dwellings behind the meter", 1, 100_000)] = 1,
    weekly_kwh_per_flat: Annotated[float, Option("kWh", "heat of a week, yearly mean", 0.0, 500.0)] = 35.0,
    noise: Annotated[float, Option("", "relative deviation of one flat's quarter-hour", 0.0, 5.0)] = 0.9,
) -> Floats:
    """Heat drawn off as hot water (30-40 kWh a flat and week): mornings and evenings, 8 % more in midwinter (A).

    The draws of many flats level out: their relative deviation is noise ÷ √flats.
    """
    cells = _cells(axis, 15)
    days, dates, where = _local_days(cells)
    rests = np.array([int(d.weekday() == 5 or _rests(d)) for d in dates], np.int64)
    tables = np.array([_DHW_WORKING, _DHW_RESTING])
    relative = _at_hours(tables / tables.mean(axis=1, keepdims=True), rests[where], cells.local_h)
    season = (1 + 0.08 * _season(_year_angle(days, 0.5), COLDEST_DAY))[where]
    mean_kw = flats * weekly_kwh_per_flat / 168.0
    return _onto(axis, cells, mean_kw * season * relative * _scatter(seed, "dhw", cells, noise / math.sqrt(flats)))


REHEAT_H = 2.0

HourOfDay = Annotated[float, Option("h", "local hour", 0.0, 24.0)]


@_kind("space-heat", "kW")
def space_heat_kw(
    axis: Axis,
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
    cells = _cells(axis, 15)
    lacking_k = np.maximum(base_c - offset_k - _outdoor_c(cells, seed), 0.0)
    night_h = (setback_until_h - setback_from_h) % 24.0
    spared_k = np.minimum(lacking_k, setback_k)
    night = (cells.local_h - setback_from_h) % 24.0 < night_h
    reheat = ~night & ((cells.local_h - setback_until_h) % 24.0 < REHEAT_H)
    change_k = np.where(reheat, spared_k * reheat_share * night_h / REHEAT_H, np.where(night, -spared_k, 0.0))
    return _onto(axis, cells, ua_kw_per_k * (lacking_k + change_k))


# --- EV sessions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EvSession:
    """A car at a charger, [arrive, depart) in UTC, and the energy it wants by departure [kWh, at the charger]."""

    charger: int
    arrive: datetime
    depart: datetime
    energy_kwh: float


@dataclass(frozen=True)
class _Slot:
    """One possible session a day at each charger [local minutes]; ``stay_min`` set: departs that long after arrival.

    Draws are normal and cut at 2.5 deviations; ``present`` is the chance on working days and on resting days.
    """

    arrive_min: float
    arrive_sd_min: float
    depart_min: float
    depart_sd_min: float
    present: tuple[float, float]
    fixed_stay: bool = True


EV_PATTERNS: dict[str, tuple[_Slot, ...]] = {
    "work": (_Slot(8 * 60, 40, 16 * 60, 60, (0.85, 0.05)),),
    "home": (_Slot(18.5 * 60, 90, 29.5 * 60, 60, (0.75, 0.75)),),
    "hospital-shift": (
        _Slot(6 * 60 - 10, 8, 14 * 60 + 10, 8, (0.90, 0.60), fixed_stay=False),
        _Slot(14 * 60 - 10, 8, 22 * 60 + 10, 8, (0.75, 0.55), fixed_stay=False),
        _Slot(22 * 60 - 10, 8, 30 * 60 + 10, 8, (0.40, 0.40), fixed_stay=False),
    ),
}
"""Who comes when. ``work``: 8:00 ± 0:40, stays 8 h; ``home``: 18:30 ± 1:30, stays 11 h; ``hospital-shift``: shifts
6-14, 14-22 and 22-6 h with ten minutes before and after. Chances of presence and the scatter of the stay are (A)."""

CUT = 2.5
PHASE_KW = 7.4
DELIVERABLE = 0.95
CHANGE_OVER = timedelta(minutes=5)
DRAWS = 8


def ev_sessions(
    axis: Axis,
    seed: int,
    chargers: Annotated[int, Option("", "charging points", 0, 100_000)],
    pattern: Annotated[str, Option("", "who comes when", choices=tuple(EV_PATTERNS))] = "work",
    power_kw: Annotated[float, Option("kW", "most a charger delivers (AC)", 1.4, 22.2)] = 7.4,
    phases: Annotated[int, Option("", "phases a car charges on; each carries 32 A, 7.4 kW", 1, 3)] = 1,
) -> list[EvSession]:
    """Sessions that touch the horizon, by arrival and charger; they may start before it or end after it.

    Each (seed, pattern, charger, local day) has its own draws: more chargers or days leave the others as they are.
    Sessions at one charger never overlap: a car that comes early waits until five minutes after the other has left.

    Energy: four of five want 3-12 kWh, one of five 25-40 kWh, 12 kWh on average (usual: 8-14 kWh, 20 % above 25), but
    never more than 95 % of what min(power_kw, 7.4 kW a phase) delivers during the stay. Times are whole minutes.

    ValueError names every parameter that is wrong.
    """
    given = {"chargers": chargers, "pattern": pattern, "power_kw": power_kw, "phases": phases}
    wrong = complaints(EV_PARAMETERS, given, "ev_sessions")
    if wrong:
        raise ValueError("; ".join(w.message for w in wrong))
    most_kw = DELIVERABLE * min(power_kw, PHASE_KW * phases)
    zone = ZoneInfo(axis.zone)
    first = axis.start.astimezone(zone).date() - timedelta(days=3)
    days = (axis.end.astimezone(zone).date() - first).days + 1
    found = []
    for charger in range(chargers):
        free_at = YEAR_ONE
        for arrive, depart, wanted_kwh in _visits(seed, charger, pattern, first, days, zone):
            start = max(arrive, free_at)
            free_at = depart + CHANGE_OVER
            if start < axis.end and depart > axis.start:
                most_kwh = most_kw * (depart - start).total_seconds() / 3600.0
                energy_kwh = math.floor(min(wanted_kwh, most_kwh) * 100.0) / 100.0
                found.append(EvSession(charger, start, depart, energy_kwh))
    return sorted(found, key=lambda s: (s.arrive, s.charger))


EV_PARAMETERS = _parameters(ev_sessions)


def _visits(
    seed: int, charger: int, pattern: str, first: date, days: int, zone: ZoneInfo
) -> Iterable[tuple[datetime, datetime, float]]:
    """Arrival, departure (UTC) and wanted energy [kWh] of those who come to a charger on local days ``first`` …"""
    slots = EV_PATTERNS[pattern]
    place = (first.toordinal() - 1) * len(slots) * DRAWS
    draws = _uniform(seed, f"ev/{pattern}/{charger}", place, days * len(slots) * DRAWS).reshape(-1, DRAWS)
    radius, angle = np.sqrt(-2.0 * np.log1p(-draws[:, 1])), 2 * np.pi * draws[:, 2]
    early = np.clip(radius * np.cos(angle), -CUT, CUT)
    late = np.clip(radius * np.sin(angle), -CUT, CUT)
    wanted_kwh = np.where(draws[:, 3] < 0.8, 3.0 + 9.0 * draws[:, 4], 25.0 + 15.0 * draws[:, 4] ** 2)
    for k, (presence, *_) in enumerate(draws):
        slot = slots[k % len(slots)]
        day = first + timedelta(days=k // len(slots))
        if presence >= slot.present[day.weekday() == 5 or _rests(day)]:
            continue
        arrive_min = round(slot.arrive_min + slot.arrive_sd_min * float(early[k]))
        arrive = _utc(day, arrive_min, zone)
        depart_min = round(slot.depart_min + slot.depart_sd_min * float(late[k]))
        if slot.fixed_stay:
            stay_min = round(slot.depart_min - slot.arrive_min + slot.depart_sd_min * float(late[k]))
            depart = arrive + timedelta(minutes=stay_min)
        else:
            depart = _utc(day, depart_min, zone)
        yield arrive, depart, float(wanted_kwh[k])


def _utc(day: date, local_min: int, zone: ZoneInfo) -> datetime:
    """UTC of a wall-clock minute of a local day; beyond 1440 it is on the next."""
    wall = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(minutes=local_min)
    return wall.astimezone(UTC)
