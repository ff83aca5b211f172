"""The seeded generator: same instant, same value; local habits; figures it is calibrated to."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridopt.clock import STEPS_MIN, Axis, Floats, day_axis
from gridopt.scenario.generate import (
    EV_PARAMETERS,
    EV_PATTERNS,
    INVERTER_WAKES_AT,
    KINDS,
    PRICE_LEVELS,
    EvSession,
    complaints,
    ev_sessions,
    is_school_holiday,
    nearest,
    public_holidays,
    sun_direction,
)

PARIS = "Europe/Paris"
TZ = ZoneInfo(PARIS)
SEEDS = (0, 1, 7, 2026)
LOADS = ("household", "office", "school", "shop", "parking", "hospital")
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)


@cache
def year(kind: str, seed: int, day: date = date(2026, 1, 1), step_min: int = 60) -> Floats:
    """A kind's values from ``day`` to the same day a year later, with default parameters."""
    return KINDS[kind](year_axis(day, step_min), seed)


@cache
def year_axis(day: date = date(2026, 1, 1), step_min: int = 60) -> Axis:
    return day_axis(day, (day.replace(year=day.year + 1) - day).days, step_min, PARIS)


def by_day(axis: Axis, values: Floats) -> dict[date, Floats]:
    """Values of each local day."""
    days = np.array([d.toordinal() for d in axis.local_day])
    cuts = np.flatnonzero(np.diff(days)) + 1
    parts = np.split(values, cuts)
    return dict(zip(dict.fromkeys(axis.local_day), parts, strict=True))


def between(axis: Axis, from_h: float, until_h: float) -> np.ndarray:
    """Mask of the steps that start within local hours."""
    return (axis.local_hour >= from_h) & (axis.local_hour < until_h)


# --- what holds for every kind ----------------------------------------------------------------------------------------


def test_kinds_are_named_by_result_and_documented() -> None:
    weather, heat = {"outdoor", "pv", "ghi", "window"}, {"dhw", "space-heat", "cop"}
    plants = {"night", "sewage", "hydrogen"}
    assert {*weather, *heat, *plants, "price", "tempo", "co2", "bookings", *LOADS} == set(KINDS)
    for name, kind in KINDS.items():
        suffix = "_" + kind.unit.lower().replace("/", "_per_").replace("²", "2").replace("³", "3").replace("°", "")
        assert kind.result.endswith(suffix), (name, kind.result)
        assert kind.doc
        assert all(p.option.doc for p in kind.parameters)
        assert kind.complaints({p.name: p.default for p in kind.parameters}) == []
    pv = {p.name: p.default for p in KINDS["pv"].parameters}
    assert (pv["tilt_deg"], pv["clip_kw_per_kwp"], pv["cloudiness"]) == (35.0, 0.9, None)


@pytest.mark.parametrize("step_min", STEPS_MIN)
@pytest.mark.parametrize("kind", KINDS)
def test_values_are_finite_rounded_and_one_a_step(kind: str, step_min: int) -> None:
    axis = day_axis(date(2026, 2, 3), 2, step_min, PARIS)
    values = KINDS[kind](axis, 3)
    assert values.shape == (axis.steps,)
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    assert (values == np.round(values, 6)).all()
    assert not np.signbit(values[values == 0.0]).any()
    assert np.ptp(values) > 0


@pytest.mark.parametrize("kind", KINDS)
@given(
    start=st.integers(0, 5 * 288), count=st.integers(0, 60), step_min=st.sampled_from(STEPS_MIN), seed=st.integers(0, 2)
)
def test_an_instant_has_one_value_whatever_the_horizon(
    kind: str, start: int, count: int, step_min: int, seed: int
) -> None:
    """Any start on the five-minute grid, any length and step: the mean of the same five-minute values."""
    first = datetime(2026, 3, 26, 23, tzinfo=UTC)  # the days around a change of clocks
    fine = five_minutes(kind, first, seed)
    axis = Axis(first + timedelta(minutes=5 * start), step_min, count, PARIS)
    values = KINDS[kind](axis, seed)
    per_step = step_min // 5
    expected = fine[start : start + count * per_step].reshape(count, per_step).mean(axis=1)
    if step_min == 5:
        assert (values == expected).all()
    else:
        np.testing.assert_allclose(values, expected, rtol=0, atol=1.1e-6)


@cache
def five_minutes(kind: str, start: datetime, seed: int) -> Floats:
    return KINDS[kind](Axis(start, 5, 8 * 288, PARIS), seed)


def test_another_process_makes_the_same_series() -> None:
    code = """
from datetime import date
from gridopt.clock import day_axis
from gridopt.scenario.generate import KINDS, ev_sessions
axis = day_axis(date(2026, 4, 18), 2, 15, "Europe/Paris")
for kind in KINDS.values():
    print(kind.name, kind(axis, 5).tolist())
print(ev_sessions(axis, 5, 4))
"""
    source = Path(sys.modules["gridopt"].__path__[0]).parent
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(source), "PYTHONHASHSEED": salt},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for salt in ("1", "2")
    }
    axis = day_axis(date(2026, 4, 18), 2, 15, PARIS)
    here = [f"{kind.name} {kind(axis, 5).tolist()}" for kind in KINDS.values()] + [str(ev_sessions(axis, 5, 4))]
    assert outputs == {"\n".join(here) + "\n"}


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"night"}))  # the sun draws no lots
def test_another_seed_makes_another_series(kind: str) -> None:
    axis = day_axis(date(2026, 1, 13), 3, 60, PARIS)
    assert not np.array_equal(KINDS[kind](axis, 1), KINDS[kind](axis, 2))


def test_a_horizon_off_the_five_minute_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="whole 5 minutes"):
        KINDS["pv"](Axis(datetime(2026, 1, 1, 0, 3, tzinfo=UTC), 15, 4), 1)
    with pytest.raises(ValueError, match="whole 5 minutes"):
        KINDS["pv"](Axis(datetime(2026, 1, 1, tzinfo=UTC), 7, 4), 1)


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "given", "code", "message"),
    [
        ("pv", {"tilt": 35}, "unknown-parameter", "tilt is not a parameter of pv: did you mean tilt_deg?"),
        ("co2", {"level": 1}, "unknown-parameter", "level is not a parameter of co2: it takes none"),
        ("pv", {"tilt_deg": 95.0}, "out-of-range", "tilt_deg is 95, not within 0..90 °"),
        ("pv", {"cloudiness": math.nan}, "out-of-range", "cloudiness is nan, not within 0..1"),
        ("pv", {"tilt_deg": True}, "wrong-type", "tilt_deg must be a number, not True"),
        ("pv", {"tilt_deg": None}, "wrong-type", "tilt_deg must be a number, not None"),
        ("dhw", {"flats": 2.5}, "wrong-type", "flats must be a whole number, not 2.5"),
        (
            "price",
            {"level": "negative-non"},
            "unknown-choice",
            "level is 'negative-non', not one of normal, negative-noon, cold-evening; did you mean negative-noon?",
        ),
    ],
)
def test_a_wrong_parameter_is_named_with_its_mend(kind: str, given: dict[str, object], code: str, message: str) -> None:
    (found,) = KINDS[kind].complaints(given)
    assert (found.code, found.message) == (code, message)


def test_every_wrong_parameter_is_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"tilt .*; losses is 2, not within 0\.\.1"):
        KINDS["pv"](day_axis(date(2026, 1, 1), 1, 60, PARIS), 1, tilt=30.0, losses=2.0)


def test_a_required_parameter_is_asked_for() -> None:
    (found,) = complaints(EV_PARAMETERS, {"pattern": "home"}, "ev_sessions")
    assert (found.code, found.parameter) == ("missing", "chargers")


def test_the_nearest_kind_is_found() -> None:
    assert nearest("space_heat", KINDS) == "space-heat"
    assert nearest("Ofice", KINDS) == "office"
    assert nearest("xyzzy", KINDS) is None


# --- sun and PV -------------------------------------------------------------------------------------------------------


def sun_height_deg(day: date, utc_h: Floats, latitude_deg: float, longitude_deg: float) -> Floats:
    angle = 2 * np.pi * (day.timetuple().tm_yday - 1 + utc_h / 24) / 365
    east, north, up, _ = sun_direction(angle, utc_h, latitude_deg, longitude_deg)
    np.testing.assert_allclose(east**2 + north**2 + up**2, 1.0, rtol=1e-12)
    return np.degrees(np.arcsin(up))


@pytest.mark.parametrize(
    ("day", "declination_deg"), [(date(2026, 6, 21), 23.44), (date(2026, 12, 21), -23.44), (date(2026, 3, 20), 0.0)]
)
def test_noon_height_is_that_of_the_almanac(day: date, declination_deg: float) -> None:
    height = sun_height_deg(day, np.arange(0, 24, 1 / 60), 50.63, 3.06)
    assert height.max() == pytest.approx(90 - 50.63 + declination_deg, abs=0.3)


@pytest.mark.parametrize(("day", "equation_min"), [(date(2026, 11, 3), 16.4), (date(2026, 2, 11), -14.2)])
def test_solar_noon_follows_longitude_and_equation_of_time(day: date, equation_min: float) -> None:
    """The largest and smallest equation of time of the year, from the almanac."""
    hours = np.arange(0, 24, 1 / 120)
    noon_h = hours[sun_height_deg(day, hours, 50.63, 3.06).argmax()]
    assert (noon_h + 3.06 / 15 - 12) * 60 == pytest.approx(-equation_min, abs=1.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_pv_yield_best_and_worst_day(seed: int) -> None:
    for first in (date(2026, 1, 1), date(2025, 9, 10)):
        daily = np.array([v.sum() for v in by_day(year_axis(first), year("pv", seed, first)).values()])
        assert 950 <= daily.sum() <= 1000
        assert 6.2 <= daily.max() <= 6.8
        assert daily.min() < 0.2


@pytest.mark.parametrize("seed", SEEDS)
def test_pv_of_a_low_east_west_roof(seed: int) -> None:
    east, west = (KINDS["pv"](year_axis(), seed, tilt_deg=10, azimuth_deg=a) for a in (90, 270))
    assert 820 <= (east + west).sum() / 2 <= 880
    morning = between(year_axis(), 0, 12)
    assert east[morning].sum() > west[morning].sum()


def test_pv_stays_below_the_clip_and_reaches_it() -> None:
    axis = day_axis(date(2026, 6, 1), 3, 5, PARIS)
    free = KINDS["pv"](axis, 1, cloudiness=0.0, clip_kw_per_kwp=1.5)
    clipped = KINDS["pv"](axis, 1, cloudiness=0.0, clip_kw_per_kwp=0.5)
    assert free.max() > 0.7
    assert np.array_equal(clipped, np.minimum(free, 0.5))
    hourly = day_axis(date(2026, 6, 1), 3, 60, PARIS)
    assert KINDS["pv"](hourly, 1, cloudiness=0.0, clip_kw_per_kwp=0.5).max() == 0.5


def test_pv_has_nights_and_no_crumbs() -> None:
    axis = day_axis(date(2026, 1, 1), 30, 5, PARIS)
    values = KINDS["pv"](axis, 4)
    assert (values[between(axis, 0, 7) | between(axis, 19, 24)] == 0.0).all()
    assert values[values > 0].min() >= INVERTER_WAKES_AT
    assert (values >= 0).all()


@given(low=st.floats(0, 1), high=st.floats(0, 1))
def test_more_cloud_never_gives_more_energy(low: float, high: float) -> None:
    axis = day_axis(date(2026, 5, 4), 1, 60, PARIS)
    low, high = sorted((low, high))
    ghi = [KINDS["ghi"](axis, 2, cloudiness=c).sum() for c in (low, high)]
    assert ghi[0] >= ghi[1] - 0.02 * ghi[0]  # broken clouds wander: equal within 2 % where both are nearly the same


def test_clear_and_overcast_days_are_smooth_and_far_apart() -> None:
    axis = day_axis(date(2026, 6, 10), 1, 5, PARIS)
    clear, overcast, broken = (KINDS["pv"](axis, 2, cloudiness=c) for c in (0.0, 1.0, 0.6))
    assert clear.sum() > 8 * overcast.sum()
    roughness = [np.abs(np.diff(v, 2)).sum() / v.sum() for v in (clear, overcast, broken)]
    assert roughness[2] > 5 * max(roughness[:2])
    assert np.array_equal(clear, KINDS["pv"](axis, 99, cloudiness=0.0))


def test_the_sky_shows_clear_broken_and_overcast_days() -> None:
    axis = year_axis(step_min=60)
    share = year("ghi", 7).reshape(365, 24).sum(axis=1) / KINDS["ghi"](axis, 7, cloudiness=0.0).reshape(365, 24).sum(
        axis=1
    )
    for low, high in ((0.95, 1.01), (0.5, 0.95), (0.0, 0.5)):
        assert 0.15 < np.mean((share >= low) & (share < high)) < 0.6
    assert np.corrcoef(share[1:], share[:-1])[0, 1] < 0.5


def test_pv_ghi_and_window_share_one_sky() -> None:
    axis = day_axis(date(2026, 4, 1), 5, 5, PARIS)
    ghi = KINDS["ghi"](axis, 6)
    flat = KINDS["pv"](axis, 6, tilt_deg=0.0, losses=0.0, clip_kw_per_kwp=1.5)
    pane = KINDS["window"](axis, 6, tilt_deg=0.0, transmittance=0.5)
    bright = ghi > 60.0
    assert bright.sum() > 200
    np.testing.assert_allclose(flat[bright], ghi[bright] / 1000, atol=2e-6)
    np.testing.assert_allclose(pane[bright], ghi[bright] / 2000, atol=2e-6)


def test_windows_see_the_side_they_face() -> None:
    axis = day_axis(date(2026, 2, 10), 1, 15, PARIS)  # solar noon is at 13:02
    east, south, west, north = (KINDS["window"](axis, 1, azimuth_deg=a, cloudiness=0.1) for a in (90, 180, 270, 0))
    morning, afternoon = between(axis, 7, 12), between(axis, 14, 19)
    assert east[morning].sum() > 3 * west[morning].sum()
    assert west[afternoon].sum() > 3 * east[afternoon].sum()
    assert south.sum() > max(east.sum(), west.sum()) > 2 * north.sum() > 0


# --- temperature and heat ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_outdoor_has_the_degree_days_and_range_of_lille(seed: int) -> None:
    values = year("outdoor", seed)
    daily = values.reshape(365, 24).mean(axis=1)
    assert 2350 <= np.maximum(18 - daily, 0).sum() <= 2650
    assert -9.0 <= values.min() < 0.0
    assert 26.0 < values.max() <= 35.0
    assert daily[181:243].mean() - daily[:59].mean() > 10
    swing = np.ptp(values.reshape(365, 24), axis=1)
    assert 3.0 < swing.mean() < 10.0


def test_outdoor_is_warmest_in_the_afternoon() -> None:
    axis = year_axis()
    assert year("outdoor", 1)[between(axis, 15, 17)].mean() > year("outdoor", 1)[between(axis, 4, 6)].mean() + 4


def test_clear_days_swing_more() -> None:
    ghi = year("ghi", 2).reshape(365, 24)[120:240].sum(axis=1)
    swing = np.ptp(year("outdoor", 2).reshape(365, 24)[120:240], axis=1)
    assert np.corrcoef(ghi, swing)[0, 1] > 0.5


def test_outdoor_offset_is_added_everywhere() -> None:
    axis = day_axis(date(2026, 1, 20), 2, 15, PARIS)
    np.testing.assert_allclose(KINDS["outdoor"](axis, 3, offset_k=-6.0), KINDS["outdoor"](axis, 3) - 6.0, atol=1.1e-6)


def test_space_heat_without_setback_is_the_straight_line() -> None:
    axis = day_axis(date(2026, 4, 20), 20, 15, PARIS)
    heat = KINDS["space-heat"](axis, 3, ua_kw_per_k=2.5, base_c=14.0, setback_k=0.0)
    np.testing.assert_allclose(heat, 2.5 * np.maximum(14.0 - KINDS["outdoor"](axis, 3), 0.0), atol=3e-6)
    assert (heat == 0).any()
    assert (heat > 0).any()


def test_space_heat_spares_at_night_and_gives_back_half_in_the_morning() -> None:
    axis = day_axis(date(2026, 1, 12), 5, 15, PARIS)
    change = KINDS["space-heat"](axis, 3, setback_k=3.0) - KINDS["space-heat"](axis, 3, setback_k=0.0)
    night = between(axis, 22, 24) | between(axis, 0, 6)
    np.testing.assert_allclose(change[night], -3.0, atol=2e-6)
    np.testing.assert_allclose(change[between(axis, 6, 8)], 6.0, atol=2e-6)  # 3 K × 8 h × 0.5 ÷ 2 h
    assert (change[between(axis, 8, 22)] == 0).all()


def test_space_heat_offset_makes_the_same_demand_as_a_colder_day() -> None:
    axis = day_axis(date(2026, 1, 12), 1, 60, PARIS)
    warmer = KINDS["space-heat"](axis, 3, setback_k=0.0, base_c=18.0)
    assert np.array_equal(KINDS["space-heat"](axis, 3, setback_k=0.0, offset_k=-2.0), warmer)


def test_hot_water_of_each_week() -> None:
    axis = day_axis(date(2026, 1, 5), 364, 60, PARIS)
    flats = 30
    weekly = [v.sum() / flats for v in np.array_split(KINDS["dhw"](axis, 2, flats=flats), 52)]
    assert all(30 < kwh < 40 for kwh in weekly)
    assert np.mean(weekly) == pytest.approx(35.0, rel=0.02)


def test_hot_water_of_many_flats_is_smoother() -> None:
    axis = day_axis(date(2026, 2, 2), 14, 15, PARIS)
    one, many = (KINDS["dhw"](axis, 2, flats=n) / n for n in (1, 400))
    assert np.abs(np.diff(one)).mean() > 4 * np.abs(np.diff(many)).mean()


# --- loads ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", LOADS)
def test_load_takes_its_annual_energy(load: str) -> None:
    for seed in range(6):
        energy_kwh = KINDS[load](year_axis(), seed, annual_kwh=10_000.0).sum()
        assert energy_kwh == pytest.approx(10_000.0, rel=0.02)
    leap = year_axis(date(2028, 1, 1))
    assert leap.steps == 366 * 24
    assert KINDS[load](leap, 1, annual_kwh=10_000.0).sum() == pytest.approx(10_000.0, rel=0.02)
    across = year_axis(date(2026, 7, 1))
    assert KINDS[load](across, 1, annual_kwh=10_000.0).sum() == pytest.approx(10_000.0, rel=0.02)


def quiet(load: str, axis: Axis) -> Floats:
    """A load's shape without scatter."""
    return KINDS[load](axis, 0, annual_kwh=8760.0, noise=0.0)


@pytest.mark.parametrize(("day", "quarters"), [(SPRING, 92), (AUTUMN, 100)])
@pytest.mark.parametrize("load", LOADS)
def test_habits_keep_their_local_hour_when_clocks_change(load: str, day: date, quarters: int) -> None:
    axis = day_axis(day, 1, 15, PARIS)
    assert axis.steps == quarters
    changing = dict(zip(axis.local_hour, quiet(load, axis), strict=True))
    for week in (-1, 1):  # the Sundays before and after, at other UTC hours
        other = day_axis(day + timedelta(weeks=week), 1, 15, PARIS)
        hours = dict(zip(other.local_hour, quiet(load, other), strict=True))
        if load == "school" and any(is_school_holiday(d) for d in (day, *other.local_day)):
            continue
        assert [hours[h] for h in changing] == pytest.approx(list(changing.values()), rel=0.05)


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
def test_household_evening_peak_stays_at_the_same_local_hour(day: date) -> None:
    peaks = []
    for offset in (-3, -2, -1, 0, 1, 2):
        axis = day_axis(day + timedelta(days=offset), 1, 15, PARIS)
        top = int(quiet("household", axis).argmax())
        peaks.append((axis.local_hour[top], axis.start.hour))
    assert {hour for hour, _ in peaks} == {19.5}  # the first quarter past the middle of the strongest hour
    assert len({utc for _, utc in peaks}) == 2  # clocks did change between them


@pytest.mark.parametrize("load", ["office", "school", "shop", "parking"])
def test_public_holidays_are_sundays(load: str) -> None:
    axis = day_axis(date(2026, 5, 31), 1, 60, PARIS)  # a Sunday
    holiday = day_axis(date(2026, 5, 25), 1, 60, PARIS)  # Whit Monday
    monday = day_axis(date(2026, 6, 1), 1, 60, PARIS)
    np.testing.assert_allclose(quiet(load, holiday), quiet(load, axis), rtol=0.05)
    assert quiet(load, monday).sum() > 1.2 * quiet(load, holiday).sum()


def test_school_rests_on_wednesday_afternoons_and_in_the_holidays() -> None:
    tuesday, wednesday, summer = (
        quiet("school", day_axis(d, 1, 60, PARIS)) for d in (date(2026, 6, 2), date(2026, 6, 3), date(2026, 7, 21))
    )
    assert wednesday[14:17].sum() < 0.5 * tuesday[14:17].sum()
    assert summer.sum() < 0.35 * tuesday.sum()


def test_office_sleeps_at_night_and_a_hospital_does_not() -> None:
    axis = day_axis(date(2026, 3, 3), 1, 60, PARIS)
    office, hospital = quiet("office", axis), quiet("hospital", axis)
    assert office[2] < 0.25 * office[10]
    assert hospital[2] > 0.55 * hospital[10]


def test_household_takes_more_in_winter_and_scatters_as_asked() -> None:
    axis = year_axis(step_min=15)
    values = KINDS["household"](axis, 3)
    ratio = values / KINDS["household"](axis, 3, noise=0.0)
    assert np.std(ratio) == pytest.approx(0.35, rel=0.1)
    winter = np.isin(axis.local_month % 12, (11, 0, 1))
    summer = np.isin(axis.local_month % 12, (5, 6, 7))
    assert 1.3 < values[winter].mean() / values[summer].mean() < 2.0


def test_public_holidays_of_known_years() -> None:
    """Easter 2026 is 5 April and 2027 28 March (published tables)."""
    assert len(public_holidays(2026)) == 11
    assert {date(2026, 4, 6), date(2026, 5, 14), date(2026, 5, 25), date(2026, 7, 14)} < public_holidays(2026)
    assert {date(2027, 3, 29), date(2027, 5, 6), date(2027, 5, 17)} < public_holidays(2027)


def test_school_holidays_take_about_four_months() -> None:
    days = [date(2026, 1, 1) + timedelta(days=k) for k in range(365)]
    assert 110 <= sum(map(is_school_holiday, days)) <= 130
    assert is_school_holiday(date(2026, 1, 2))
    assert not is_school_holiday(date(2026, 9, 15))


# --- prices and CO₂ ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "low", "high"), [
    ("normal", 0.02, 0.16), ("negative-noon", -0.03, 0.04), ("cold-evening", 0.12, 0.40),
])  # fmt: skip
@pytest.mark.parametrize("seed", SEEDS)
def test_price_stays_in_its_range_and_uses_it(level: str, low: float, high: float, seed: int) -> None:
    axis = day_axis(date(2026, 4, 1), 60, 15, PARIS)
    price = KINDS["price"](axis, seed, level=level)
    assert low <= price.min() <= low + 0.12 * (high - low)
    assert high - 0.08 * (high - low) <= price.max() <= high


@pytest.mark.parametrize("level", PRICE_LEVELS)
def test_price_day_has_valley_two_peaks_and_a_noon_dip(level: str) -> None:
    axis = day_axis(date(2026, 4, 1), 30, 60, PARIS)
    for values in by_day(axis, KINDS["price"](axis, 1, level=level)).values():
        night, morning, noon, evening = (
            values[2:5].mean(),
            values[7:9].mean(),
            values[12:15].mean(),
            values[18:20].mean(),
        )
        assert evening > morning > max(night, noon)


@pytest.mark.parametrize("seed", SEEDS)
def test_negative_noon_is_negative_every_noon_and_only_then(seed: int) -> None:
    axis = day_axis(date(2026, 3, 20), 30, 15, PARIS)  # a change of clocks inside
    price = KINDS["price"](axis, seed, level="negative-noon")
    assert (price[between(axis, 11, 16)] < 0).all()
    assert (price[between(axis, 18, 24) | between(axis, 0, 9)] > 0).all()


@pytest.mark.parametrize("level", PRICE_LEVELS)
def test_hourly_price_is_the_mean_of_its_quarters(level: str) -> None:
    hourly, quarters = (day_axis(AUTUMN - timedelta(days=3), 7, step, PARIS) for step in (60, 15))
    price = KINDS["price"](quarters, 8, level=level)
    np.testing.assert_allclose(
        KINDS["price"](hourly, 8, level=level), price.reshape(-1, 4).mean(axis=1), rtol=0, atol=1.1e-6
    )
    five = KINDS["price"](day_axis(AUTUMN - timedelta(days=3), 7, 5, PARIS), 8, level=level)
    assert np.array_equal(five, np.repeat(price, 3))


def test_price_is_a_saw_inside_the_hour() -> None:
    axis = day_axis(date(2026, 11, 2), 5, 15, PARIS)
    days = KINDS["price"](axis, 1).reshape(5, 24, 4)
    assert (np.diff(days[:, 9], axis=1) < 0).all()  # the sun rises: quarters fall
    assert (np.diff(days[:, 16], axis=1) > 0).all()  # the sun sets: quarters climb
    assert (days[:, 18:19, 3] > days[:, 19:20, 0]).all()  # and the next hour starts lower again
    assert np.ptp(days[:, 2], axis=1).max() == 0


def test_price_adder_is_added_everywhere() -> None:
    axis = day_axis(date(2026, 4, 1), 2, 15, PARIS)
    bare, full = (KINDS["price"](axis, 1, level="negative-noon", adder_eur_per_kwh=a) for a in (0.0, 0.1))
    np.testing.assert_allclose(full, bare + 0.1, atol=1.1e-6)


# --- coloured days ----------------------------------------------------------------------------------------------------

TEMPO = {"blue": (0.1356, 0.1654), "white": (0.1536, 0.1921), "red": (0.1615, 0.7295)}


@cache
def season_of_colours(seed: int) -> dict[date, str]:
    """The colour of every day of the season from 1 September 2025, by its price at nine in the morning."""
    axis = day_axis(date(2025, 9, 1), 365, 60, PARIS)
    price = KINDS["tempo"](axis, seed)
    at_nine = dict(zip(np.array(axis.local_day)[axis.local_hour == 9], price[axis.local_hour == 9], strict=True))
    return {day: next(c for c, (_, peak) in TEMPO.items() if peak == p) for day, p in at_nine.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_tempo_has_300_blue_43_white_and_22_red_days_where_they_may_be(seed: int) -> None:
    colours = season_of_colours(seed)
    days = {c: [d for d, found in colours.items() if found == c] for c in TEMPO}
    assert {c: len(found) for c, found in days.items()} == {"blue": 300, "white": 43, "red": 22}
    holidays = public_holidays(2025) | public_holidays(2026)
    assert all(d.month in (11, 12, 1, 2, 3) and d.weekday() < 5 and d not in holidays for d in days["red"])
    assert all(d.weekday() != 6 for d in days["white"])


def test_red_days_are_the_coldest() -> None:
    colours = season_of_colours(1)
    axis = day_axis(date(2025, 9, 1), 365, 60, PARIS)
    warmth = {d: float(t.mean()) for d, t in by_day(axis, KINDS["outdoor"](axis, 1)).items()}
    mean = {c: np.mean([warmth[d] for d, found in colours.items() if found == c]) for c in TEMPO}
    assert mean["red"] < mean["white"] - 1 < mean["blue"] - 5


@pytest.mark.parametrize("start", [date(2025, 10, 25), date(2026, 1, 12), date(2026, 3, 28)])
def test_a_tempo_day_runs_from_six_to_six(start: date) -> None:
    """Also over both changes of clocks; the off-peak hours until six have the colour of the day before."""
    axis = day_axis(start, 3, 15, PARIS)
    price, colours = KINDS["tempo"](axis, 1), season_of_colours(1)
    for day, hour, found in zip(axis.local_day, axis.local_hour, price, strict=True):
        off_peak, peak = TEMPO[colours[day if hour >= 6 else day - timedelta(days=1)]]
        assert found == (peak if 6 <= hour < 22 else off_peak)


def test_a_colour_and_prices_may_be_given() -> None:
    axis = day_axis(date(2026, 7, 14), 1, 60, PARIS)
    price = KINDS["tempo"](axis, 1, colour="red", red_peak_eur_per_kwh=0.5, red_off_peak_eur_per_kwh=0.2)
    assert price.tolist() == [0.2] * 6 + [0.5] * 16 + [0.2] * 2


# --- bookings ---------------------------------------------------------------------------------------------------------


def test_rooms_are_booked_in_slots_as_often_as_said() -> None:
    axis = day_axis(date(2026, 1, 1), 365, 30, PARIS)
    booked = KINDS["bookings"](axis, 1, day=0.7, evening=0.2)
    days = by_day(axis, booked)
    assert set(booked) == {0.0, 1.0}
    working = [b for d, b in days.items() if d.weekday() < 5 and d not in public_holidays(2026) and len(b) == 48]
    assert not np.concatenate([b for d, b in days.items() if d.weekday() >= 5 or d in public_holidays(2026)]).any()
    half_hours = np.array(working)
    for begin, end, chance in ((16, 20, 0.7), (20, 24, 0.7), (27, 31, 0.7), (31, 35, 0.7), (36, 40, 0.2)):
        slot = half_hours[:, begin:end]
        assert (slot.min(axis=1) == slot.max(axis=1)).all(), "a slot is booked as a whole"
        assert slot.mean() == pytest.approx(chance, abs=0.08)
    assert not half_hours[:, [*range(16), 24, 25, 26, 35, *range(40, 48)]].any()


def test_rooms_are_always_or_never_booked_where_chances_say_so() -> None:
    axis = day_axis(date(2026, 3, 21), 2, 30, PARIS)
    assert not KINDS["bookings"](axis, 1).any(), "a weekend"
    assert KINDS["bookings"](axis, 1, resting=1.0).sum() == 2 * 20


@pytest.mark.parametrize("seed", SEEDS)
def test_co2_is_low_but_on_cold_working_days(seed: int) -> None:
    axis = year_axis()
    co2 = year("co2", seed)
    winter = np.isin(axis.local_month % 12, (10, 11, 0, 1, 2))
    assert co2.min() >= 15
    assert co2[~winter].max() <= 35
    assert co2.max() <= 90
    high = co2 >= 60
    assert 20 <= high.sum() <= 500
    days = {d for d, v in by_day(axis, co2).items() if v.max() >= 60}
    assert all(d.weekday() < 5 and d not in public_holidays(d.year) for d in days)
    warmth = {d: v.mean() for d, v in by_day(axis, year("outdoor", seed)).items()}
    assert all(warmth[d] < 4.5 for d in days)
    assert set(axis.local_hour[high]) == {7.0, 8.0, 9.0, 17.0, 18.0, 19.0}


# --- EV sessions ------------------------------------------------------------------------------------------------------


def local(session: EvSession) -> tuple[datetime, datetime]:
    return session.arrive.astimezone(TZ), session.depart.astimezone(TZ)


def hours(session: EvSession) -> float:
    return (session.depart - session.arrive).total_seconds() / 3600


@given(
    seed=st.integers(0, 1000),
    chargers=st.integers(0, 6),
    pattern=st.sampled_from(sorted(EV_PATTERNS)),
    power_kw=st.floats(1.4, 22.0),
    phases=st.sampled_from((1, 3)),
    day=st.dates(date(2026, 1, 1), date(2027, 12, 31)) | st.sampled_from((SPRING, AUTUMN)),
    days=st.integers(1, 9),
)
def test_sessions_touch_the_horizon_fit_their_charger_and_never_overlap(
    seed: int, chargers: int, pattern: str, power_kw: float, phases: int, day: date, days: int
) -> None:
    axis = day_axis(day, days, 15, PARIS)
    sessions = ev_sessions(axis, seed, chargers, pattern, power_kw, phases)
    assert sessions == sorted(sessions, key=lambda s: (s.arrive, s.charger))
    for s in sessions:
        assert s.arrive.utcoffset() == s.depart.utcoffset() == timedelta(0)
        assert s.arrive < axis.end
        assert s.depart > axis.start
        assert 0 < s.energy_kwh <= 0.95 * 0.92 * min(power_kw, 7.4 * phases) * hours(s) + 1e-9
        assert 0 <= s.charger < chargers
    for charger in range(chargers):
        mine = [s for s in sessions if s.charger == charger]
        assert all(a.depart < b.arrive for a, b in pairwise(mine))


@given(
    pattern=st.sampled_from(sorted(EV_PATTERNS)),
    start=st.integers(0, 20 * 96),
    steps=st.integers(1, 300),
    seed=st.integers(0, 3),
)
def test_sessions_do_not_depend_on_horizon_or_number_of_chargers(
    pattern: str, start: int, steps: int, seed: int
) -> None:
    whole = day_axis(AUTUMN - timedelta(days=10), 26, 15, PARIS)
    axis = Axis(whole.start + timedelta(minutes=15 * start), 15, steps, PARIS)
    touching = [s for s in month_of_sessions(pattern, seed) if s.arrive < axis.end and s.depart > axis.start]
    assert ev_sessions(axis, seed, 5, pattern) == touching
    assert ev_sessions(axis, seed, 2, pattern) == [s for s in touching if s.charger < 2]


@cache
def month_of_sessions(pattern: str, seed: int) -> list[EvSession]:
    return ev_sessions(day_axis(AUTUMN - timedelta(days=10), 26, 15, PARIS), seed, 5, pattern)


@pytest.mark.parametrize(
    ("pattern", "arrive_h", "arrive_sd_h", "stay_h"), [("work", 8.0, 0.67, 8.0), ("home", 18.5, 1.5, 11.0)]
)
@pytest.mark.parametrize("seed", SEEDS)
def test_sessions_have_the_usual_times_and_needs(
    pattern: str, arrive_h: float, arrive_sd_h: float, stay_h: float, seed: int
) -> None:
    sessions = ev_sessions(year_axis(), seed, 12, pattern)
    assert len(sessions) > 2000
    arrivals = [a.hour + a.minute / 60 for a, _ in map(local, sessions)]
    assert np.mean(arrivals) == pytest.approx(arrive_h, abs=0.1)
    assert np.std(arrivals) == pytest.approx(arrive_sd_h, rel=0.1)
    assert np.mean([hours(s) for s in sessions]) == pytest.approx(stay_h, abs=0.1)
    energy_kwh = np.array([s.energy_kwh for s in sessions])
    assert 8 <= energy_kwh.mean() <= 14
    assert np.mean(energy_kwh > 25) == pytest.approx(0.20, abs=0.03)


def test_work_rests_at_weekends_and_on_holidays() -> None:
    days = [local(s)[0].date() for s in ev_sessions(year_axis(), 1, 20, "work")]
    resting = [d for d in days if d.weekday() >= 5 or d in public_holidays(2026)]
    assert 0 < len(resting) < 0.04 * len(days)


def test_hospital_sessions_follow_the_three_shifts() -> None:
    sessions = ev_sessions(day_axis(date(2026, 3, 2), 60, 15, PARIS), 1, 10, "hospital-shift")
    shifts = {6: 14, 14: 22, 22: 6}
    seen = dict.fromkeys(shifts, 0)
    for arrive, depart in map(local, sessions):
        start = min(shifts, key=lambda h: abs(arrive.hour + arrive.minute / 60 - h))
        seen[start] += 1
        assert abs(arrive.hour + arrive.minute / 60 - start) <= 0.7
        assert abs((depart.hour + depart.minute / 60) - shifts[start]) <= 0.6
    assert seen[6] > seen[14] > seen[22] > 100


@pytest.mark.parametrize("seed", SEEDS)
def test_a_resident_may_wait_for_midnight(seed: int) -> None:
    """Who comes in the evening and leaves in the morning can be served by the night alone."""
    sessions = ev_sessions(day_axis(date(2026, 1, 5), 60, 15, PARIS), seed, 20, "resident")
    assert len(sessions) > 800
    for s in sessions:
        arrive, depart = local(s)
        assert depart.date() == arrive.date() + timedelta(days=1)
        assert 6.2 <= depart.hour + depart.minute / 60 <= 8.8
        assert s.energy_kwh <= 0.92 * 7.4 * (depart.hour + depart.minute / 60)


def test_sessions_may_start_before_the_horizon_or_end_after_it() -> None:
    axis = Axis(datetime(2026, 2, 3, 11, tzinfo=UTC), 15, 8, PARIS)
    sessions = ev_sessions(axis, 1, 10, "work")
    assert any(s.arrive < axis.start and s.depart > axis.end for s in sessions)


def test_one_phase_limits_a_strong_charger() -> None:
    axis = day_axis(date(2026, 2, 2), 60, 15, PARIS)
    one, three = (ev_sessions(axis, 1, 10, "work", 22.0, p) for p in (1, 3))
    assert one == ev_sessions(axis, 1, 10, "work", 7.4, 1)
    assert three == ev_sessions(axis, 1, 10, "work", 11.0, 3)  # 8 h at 11 kW cover every need
    weak = ev_sessions(axis, 1, 10, "work", 1.4, 1)
    capped = [(w, s) for w, s in zip(weak, one, strict=True) if w.energy_kwh < s.energy_kwh]
    assert capped
    assert all(w.energy_kwh == pytest.approx(0.95 * 0.92 * 1.4 * hours(w), abs=0.01) for w, _ in capped)


def test_sessions_refuse_wrong_parameters() -> None:
    axis = day_axis(date(2026, 2, 2), 1, 15, PARIS)
    with pytest.raises(ValueError, match=r"pattern is 'hoem'.*did you mean home\?; power_kw is 0, not within"):
        ev_sessions(axis, 1, 2, "hoem", 0.0)
