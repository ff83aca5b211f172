"""Series for lamps, sewage works and by-products: night, sewage, hydrogen, cop."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from gridopt.clock import day_axis
from gridopt.scenario.generate import KINDS

PARIS = "Europe/Paris"
YEAR = day_axis(date(2026, 1, 1), 365, 60, PARIS)

# --- night ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "sunrise_h", "sunset_h"),
    [(date(2026, 6, 21), 5 + 34 / 60, 22 + 4 / 60), (date(2026, 12, 21), 8 + 48 / 60, 16 + 44 / 60)],
)
def test_night_ends_and_begins_with_the_almanacs_sun(day: date, sunrise_h: float, sunset_h: float) -> None:
    """Local times near Lille: those of published tables for Paris, 8:41 and 16:56 on 21 December and 5:47 and 21:58 on
    21 June, moved by the longer half day of 50.63° north (cos h = -tan φ tan δ) and three minutes of longitude."""
    axis = day_axis(day, 1, 5, PARIS)
    day_steps = axis.local_hour[KINDS["night"](axis, 0) == 0]
    assert day_steps[0] == pytest.approx(sunrise_h, abs=0.1)
    assert day_steps[-1] + 5 / 60 == pytest.approx(sunset_h, abs=0.1)


def test_lamps_burn_their_usual_hours() -> None:
    """4150 h a year is what towns near Lille report for lamps that come on at dusk."""
    night, dusk = (KINDS["night"](YEAR, 0, sun_below_deg=d).sum() for d in (-0.833, -2.4))
    assert 4250 <= night <= 4320
    assert dusk == pytest.approx(4150, abs=15)


def test_a_step_across_sunset_is_a_share_of_night() -> None:
    axis = day_axis(date(2026, 11, 17), 1, 15, PARIS)
    night = KINDS["night"](axis, 0)
    assert ((night > 0) & (night < 1)).sum() <= 2
    assert np.array_equal(night, KINDS["night"](axis, 99)), "the sun draws no lots"


# --- sewage -----------------------------------------------------------------------------------------------------------


def test_a_town_gives_its_waste_water_and_what_seeps_in() -> None:
    flow = KINDS["sewage"](YEAR, 3, residents=200_000, litres_per_day=120.0, infiltration=0.25)
    assert flow.sum() / 365 == pytest.approx(200_000 * 0.120 * 1.25, rel=0.01)
    hours = [flow[YEAR.local_hour == h].mean() for h in range(24)]
    assert int(np.argmin(hours)) in (4, 5, 6)
    assert int(np.argmax(hours)) in (10, 11, 12, 21)


def test_rain_comes_on_top_in_full_and_late() -> None:
    axis = day_axis(date(2026, 9, 15), 1, 15, PARIS)
    rain = {"rain_mm": 8.0, "sealed_ha": 500.0, "rain_from_h": 4.0, "rain_h": 2.0, "drain_h": 1.5}
    more = KINDS["sewage"](axis, 3, **rain) - KINDS["sewage"](axis, 3)
    assert more.sum() * 0.25 == pytest.approx(8.0 * 500.0 * 10.0, rel=0.001)
    assert int(more.argmax()) // 4 == 5, "the middle of the rain is at five; it peaks before six and a half"
    assert more[axis.local_hour < 4].max() < 0.01 * more.max()


def test_yesterdays_rain_is_still_on_its_way() -> None:
    rain = {"rain_mm": 8.0, "sealed_ha": 500.0, "rain_from_h": 22.0, "rain_h": 2.0}
    axis = day_axis(date(2026, 9, 15), 1, 60, PARIS)
    more = KINDS["sewage"](axis, 3, **rain) - KINDS["sewage"](axis, 3)
    assert more[0] > more[3] > more[12] >= 0
    assert more.sum() == pytest.approx(8.0 * 500.0 * 10.0, rel=0.001), "every day loses what it gains"


# --- hydrogen ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_hydrogen_keeps_its_range_and_changes_with_the_shifts(seed: int) -> None:
    axis = day_axis(date(2026, 1, 5), 21, 15, PARIS)
    power = KINDS["hydrogen"](axis, seed, rated_kw=400.0, least=0.3, noise=0.0)
    assert 0.3 * 400 <= power.min() <= 0.4 * 400
    assert 0.9 * 400 <= power.max() <= 400
    moving = np.flatnonzero(np.abs(np.diff(power)) > 1e-6) + 1
    since_shift = (axis.local_hour[moving] - 6) % 8
    assert (since_shift <= 1.0).all(), "an hour from one level to the next"


def test_a_shift_has_the_same_level_after_clocks_change() -> None:
    levels = {}
    for day in (date(2026, 3, 28), date(2026, 3, 29)):
        axis = day_axis(day, 2, 15, PARIS)
        power = KINDS["hydrogen"](axis, 2, noise=0.0)
        at_noon = (axis.local_hour == 12.0) & (np.array(axis.local_day) == date(2026, 3, 29))
        levels[day] = float(power[at_noon][0])
    assert len(set(levels.values())) == 1


# --- cop --------------------------------------------------------------------------------------------------------------


def test_cop_follows_the_outdoor_temperature_of_its_seed() -> None:
    axis = day_axis(date(2026, 1, 10), 5, 60, PARIS)
    outdoor = KINDS["outdoor"](axis, 4)
    law = np.clip(2.8 + 0.05 * (outdoor - 7.0), 1.5, 6.0)
    np.testing.assert_allclose(KINDS["cop"](axis, 4, nominal=2.8, slope_per_k=0.05), law, atol=2e-6)
    colder = KINDS["cop"](axis, 4, nominal=2.8, slope_per_k=0.05, offset_k=-5.0)
    np.testing.assert_allclose(colder, np.clip(law - 0.25, 1.5, 6.0), atol=2e-6)
