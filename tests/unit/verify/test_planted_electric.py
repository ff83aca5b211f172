"""Errors planted in a plan of what test_planted's street has not: guarantees, cars that give back, wind and lamps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import Floats
from gridopt.clock import Axis
from gridopt.model.inputs import Pin
from tests.support.districts import Device, Plan, Sketch, energy_price, node, planned
from tests.unit.verify.conftest import Draft
from tests.unit.verify.planting import Planted, Planting, assert_refused, assert_right_before, late, name_of

AXIS = Axis(datetime(2026, 1, 15, 16, tzinfo=UTC), 60, 12)
"""From five in the afternoon in Paris; the second day begins at the seventh step."""
BUY = [0.20, 0.25, 0.32, 0.35, 0.30, 0.22, 0.15, 0.12, 0.10, 0.08, 0.08, 0.12]
FLOOR = [0.8] * 5 + [0.5] * 3 + [0.3] * 3 + [0.6]
WIND = [2.0, 5.0, 8.0, 10.0, 13.0, 26.0, 16.0, 9.0, 7.0, 6.0, 4.0, 3.5]
DEVICES = (
    Device("guarded", "battery", ("yard",), {
        "capacity_kwh": 10.0, "power_kw": 5.0, "efficiency_in": 0.9, "efficiency_out": 0.9, "soc_min": 0.0,
        "soc_max": 1.0, "soc_start": 0.8, "end": "free", "wear_eur_per_kwh": 0.01, "cycles_per_day": 0.6,
        "cycles_today": 0.2, "taper_in_soc": 0.5, "taper_in_power": 0.2, "taper_out_soc": 0.4, "taper_out_power": 0.2,
    }),
    Device("sold", "battery", ("yard",), {
        "capacity_kwh": 8.0, "power_kw": 4.0, "efficiency_in": 1.0, "efficiency_out": 1.0, "soc_min": 0.0,
        "soc_max": 1.0, "soc_start": 0.5, "end": "free", "wear_eur_per_kwh": 0.01, "cycles_per_day": 0.4,
        "extra_cycle_eur": 0.4, "dwell_soc": 0.5, "dwell_eur_per_kwh_per_h": 0.01,
    }),
    Device("van", "ev-session", ("yard",), {
        "arrive": 1.0, "depart": 11.0, "dc": True, "power_kw": 11.0, "power_min_kw": 2.0, "efficiency": 0.9,
        "capacity_kwh": 40.0, "soc_arrive": 0.5, "soc_depart": 0.6, "at_once_soc": 0.3, "v2g_kw": 5.0,
    }),
    Device("shared", "ev-session", ("yard",), {
        "arrive": 2.0, "depart": 10.0, "power_kw": 7.4, "efficiency": 0.9, "capacity_kwh": 40.0, "soc_arrive": 0.1,
        "soc_depart": 0.7, "at_once_soc": 0.3,
    }),
    Device("guest", "ev-session", ("yard",), {
        "arrive": 3.0, "depart": 5.0, "power_kw": 7.4, "efficiency": 1.0, "energy_kwh": 20.0, "sharing": "even",
    }),
    Device("mill", "wind", ("yard",), {"peak_kw": 20.0, "wind_m_per_s": WIND, "wind_at": "hub"}),
    Device("avenue", "lighting", ("yard",), {
        "points": 50.0, "lamp_kw": 0.2, "floor": FLOOR, "ramp_per_h": 0.2, "light_start": 1.0,
        "night": [0.5] + [1.0] * 10 + [0.0],
    }),
    Device("lanes", "lighting", ("yard",), {
        "points": 40.0, "lamp_kw": 0.1, "floor": [0.5] * 12, "night": [0.0] + [1.0] * 11, "light_eur_per_kwh": 0.16,
    }),
)  # fmt: skip
COMMANDS: dict[tuple[str, str], list[Any]] = {
    ("guarded", "charge_kw"): [0, 0, 0, 0, 0, 0, 2, 2, 1.5, 0, 0, 0],
    ("guarded", "discharge_kw"): [0, 1, 3, 0, 0, 0, 0, 0, 0, 1, 2, 2],
    ("sold", "charge_kw"): [4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0],
    ("sold", "discharge_kw"): [0, 0, 3, 2, 0, 0, 0, 0, 0, 2, 0, 0],
    ("van", "charge_kw"): [..., 0, 0, 0, 0, 0, 3, 5, 4.2, 3, 0, ...],
    ("van", "discharge_kw"): [..., 2, 5, 0.2, 0, 0, 0, 0, 0, 0, 0, ...],
    ("shared", "charge_kw"): [..., ..., 7.4, 3, 0, 0, 0, 0, 7.4, 7.4, ..., ...],
    ("avenue", "power_kw"): [5, 10, 8.5, 8, 8, 6.5, 5, 5, 4, 3, 4, 0],
    ("lanes", "power_kw"): [0, 4, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4],
}
"""Prescribed, so that the errors find what they need whatever the solver prefers: a battery that has used up its day,
one that has bought a cycle more, a van at what it keeps, lamps at their floor and on their ramp."""

PLANTING = Planting(DEVICES)
wrong, wrong_node, wrong_money = PLANTING.wrong, PLANTING.wrong_node, PLANTING.wrong_money


@pytest.fixture(scope="module")
def yard() -> Plan:
    nodes = (node(AXIS, "grid", None, 80.0), node(AXIS, "yard", "grid", 60.0))
    pins = [Pin(*of, t, t + 1, x) for of, row in COMMANDS.items() for t, x in enumerate(row) if x is not ...]
    supply = energy_price(AXIS, "grid", BUY, np.array(BUY) - 0.05, "supply")
    return planned(Sketch(AXIS, nodes, DEVICES, (supply,), tuple(pins)))


# --- battery: guarantees ---------------------------------------------------------------------------------------------


def soc_of(d: Draft, asset: str) -> Floats:
    """Content by hand."""
    eta = 0.9 if asset == "guarded" else 1.0
    start = 8.0 if asset == "guarded" else 4.0
    return start + np.cumsum(eta * d.row(asset, "charge_kw") - d.row(asset, "discharge_kw") / eta)


@wrong("guarded", "discharge_kw")
def battery_more_than_its_cycles_of_the_day(d: Draft) -> None:
    d.claim("guarded", "discharge_kw", 4, 0.5, ac=-1.0)
    d.row("guarded", "soc_kwh")[:] = soc_of(d, "guarded")


@wrong("guarded", "discharge_kw")
def battery_cycles_before_the_start_forgotten(d: Draft) -> None:
    """It has used another tenth of a cycle before."""
    d.wish("guarded", "day_most_kwh", np.repeat([3.0, 6.0], [7, 5]))
    d.at = 2


@wrong("guarded", "discharge_kw")
def battery_days_counted_together(d: Draft) -> None:
    """What the first day left unused is no more the second's."""
    d.wish("guarded", "day_most_kwh", np.repeat([4.0, 4.0], [7, 5]))
    d.at = 11


@wrong("guarded", "charge_kw")
def battery_full_power_though_nearly_full(d: Draft) -> None:
    d.claim("guarded", "charge_kw", 8, 2.4, ac=1.0)
    d.row("guarded", "soc_kwh")[:] = soc_of(d, "guarded")


@wrong("guarded", "discharge_kw")
def battery_full_power_though_nearly_empty(d: Draft) -> None:
    """So much less at the start that 3 kW would end on 0.3 kWh, where 1.3 kW are all it gives."""
    d.wish("guarded", "soc_start_kwh", 4.744)
    d.row("guarded", "soc_kwh")[:] = soc_of(d, "guarded") - (8.0 - 4.744)
    d.at = 2


@wrong("sold", "over_kwh")
def battery_bought_cycles_not_said(d: Draft) -> None:
    d.row("sold", "over_kwh")[:] = 0.0
    d.at = 6


@wrong_money("sold", "battery.wear")
def battery_bought_cycles_not_paid(d: Draft) -> None:
    d.line("battery.wear", -0.05 * float(d.row("sold", "over_kwh").sum()))


@wrong_money("sold", "battery.wear")
def battery_ageing_of_standing_full_not_paid(d: Draft) -> None:
    d.line("battery.wear", -0.01 * float(np.maximum(d.row("sold", "soc_kwh") - 4.0, 0.0).sum()))


# --- ev-session: content, energy at once, both ways ------------------------------------------------------------------


def charged_of(d: Draft, asset: str) -> Floats:
    back = d.row(asset, "discharge_kw") if asset == "van" else 0.0
    return np.asarray(np.cumsum(0.9 * d.row(asset, "charge_kw") - back / 0.9))


@wrong("van", "discharge_kw")
def van_below_what_it_keeps(d: Draft) -> None:
    d.claim("van", "discharge_kw", 4, 0.5, ac=-1.0)
    d.row("van", "charged_kwh")[:] = charged_of(d, "van")


@wrong("van", "discharge_kw")
def van_gives_more_than_its_point_can(d: Draft) -> None:
    d.claim("van", "discharge_kw", 2, 5.2, ac=-1.0)
    d.row("van", "charged_kwh")[:] = charged_of(d, "van")


@wrong("van", "discharge_kw")
def van_gives_after_it_left(d: Draft) -> None:
    d.claim("van", "discharge_kw", 11, 1.0, ac=-1.0)
    d.row("van", "charged_kwh")[:] = charged_of(d, "van")


@wrong("van", "charge_kw beside discharge_kw")
def van_both_ways_at_once(d: Draft) -> None:
    d.claim("van", "charge_kw", 8, 4.2 + 1.0 / 0.81, ac=1.0)
    d.claim("van", "discharge_kw", 8, 1.0, ac=-1.0)


@wrong("van", "charge_kw")
def van_below_the_least_power_of_its_point(d: Draft) -> None:
    d.claim("van", "charge_kw", 10, 1.5, ac=1.0)
    d.row("van", "charged_kwh")[:] = charged_of(d, "van")


@wrong("van", "charged_kwh")
def van_efficiency_on_the_wrong_side(d: Draft) -> None:
    back = d.row("van", "discharge_kw")
    d.restate("van", "charged_kwh", np.cumsum(0.9 * d.row("van", "charge_kw") - 0.9 * back))


@wrong_node("van", "yard")
def van_sign_at_the_node(d: Draft) -> None:
    d.draw("yard", 2, 2 * 5.0)
    d.at = 2


@wrong_money("van", "ev-session.wear")
def van_wear_of_charging(d: Draft) -> None:
    d.line("ev-session.wear", 0.05 * float((d.row("van", "charge_kw") - d.row("van", "discharge_kw")).sum()))


@wrong("shared", "late_kwh")
def car_what_shall_come_at_once_comes_later(d: Draft) -> None:
    d.claim("shared", "charge_kw", 3, 0.0, ac=1.0)
    d.claim("shared", "charge_kw", 4, 3.0, ac=1.0)
    d.row("shared", "charged_kwh")[:] = charged_of(d, "shared")
    d.at = 3


@wrong_money("guest", "ev-session.shortfall")
def car_every_tenth_missing_at_the_first_ones_price(d: Draft) -> None:
    short = float(d.row("guest", "short_kwh")[0])
    assert short == pytest.approx(5.2)
    d.line("ev-session.shortfall", -2.0 * 0.25 * (3.2 + 1.2))


# --- wind ------------------------------------------------------------------------------------------------------------


@wrong("mill", "generation_kw")
def mill_one_per_cent_above_the_wind(d: Draft) -> None:
    d.claim("mill", "generation_kw", 2, 1.01 * float(d.row("mill", "generation_kw")[2]), ac=-1.0)


@wrong("mill", "generation_kw")
def mill_turns_in_a_storm(d: Draft) -> None:
    """26 m/s: it stands still, though it is above its rated wind."""
    d.claim("mill", "generation_kw", 5, 20.0, ac=-1.0)


@wrong("mill", "generation_kw")
def mill_turns_in_a_breath(d: Draft) -> None:
    d.claim("mill", "generation_kw", 0, 20.0 * 8 / 1728, ac=-1.0)


@wrong("mill", "generation_kw")
def mill_above_its_rated_power(d: Draft) -> None:
    """The cube of 16 m/s, not cut at 12."""
    d.claim("mill", "generation_kw", 6, 20.0 * (4096 - 27) / 1701, ac=-1.0)


@wrong("mill", "generation_kw")
def mill_output_in_proportion_to_the_wind(d: Draft) -> None:
    d.claim("mill", "generation_kw", 3, 20.0 * 7 / 9, ac=-1.0)


@wrong("mill", "generation_kw")
def mill_that_draws(d: Draft) -> None:
    d.claim("mill", "generation_kw", 7, -1.0, ac=-1.0)


@wrong("mill", "generation_kw under its pin")
def mill_pin_ignored(d: Draft) -> None:
    d.pin("mill", "generation_kw", 4, 5.0)


@wrong_node("mill", "yard")
def mill_sign(d: Draft) -> None:
    d.draw("yard", slice(None), 2 * d.row("mill", "generation_kw"))


@wrong_node("mill", "yard")
def mill_one_step_late(d: Draft) -> None:
    d.draw("yard", slice(None), -late(d.row("mill", "generation_kw")))


# --- lighting --------------------------------------------------------------------------------------------------------


@wrong("avenue", "dark_kw")
def lamps_one_per_cent_below_their_floor(d: Draft) -> None:
    d.claim("avenue", "power_kw", 7, 0.99 * 5.0, ac=1.0)


@wrong("lanes", "dark_kw")
def lamps_off_at_night(d: Draft) -> None:
    d.claim("lanes", "power_kw", 3, 0.0, ac=1.0)


@wrong("avenue", "dark_kw")
def lamps_floor_of_the_next_hour(d: Draft) -> None:
    """At five the floor falls, one hour later than here."""
    d.wish("avenue", "least_kw", np.concatenate([[0.0], d.column("avenue", "least_kw")[:-2], [0.0]]))
    d.at = 5


@wrong("lanes", "power_kw")
def lamps_by_day(d: Draft) -> None:
    d.claim("lanes", "power_kw", 0, 2.0, ac=1.0)


@wrong("lanes", "power_kw")
def lamps_brighter_than_full(d: Draft) -> None:
    d.claim("lanes", "power_kw", 8, 4.2, ac=1.0)


@wrong("avenue", "power_kw")
def lamps_all_of_a_step_that_is_half_a_night(d: Draft) -> None:
    d.claim("avenue", "power_kw", 0, 8.0, ac=1.0)


@wrong("avenue", "steep_kw")
def lamps_faster_than_their_ramp(d: Draft) -> None:
    d.claim("avenue", "power_kw", 9, 6.5, ac=1.0)
    d.claim("avenue", "power_kw", 10, 6.5, ac=1.0)
    d.at = 9


@wrong_node("avenue", "yard")
def lamps_of_one_cabinet_forgotten(d: Draft) -> None:
    d.draw("yard", 6, -float(d.row("avenue", "power_kw")[6]))
    d.at = 6


@wrong_node("avenue", "yard")
def lamps_one_step_late(d: Draft) -> None:
    d.draw("yard", slice(None), late(d.row("avenue", "power_kw")))


@wrong("lanes", "power_kw under its pin")
def lamps_override_ignored(d: Draft) -> None:
    d.pin("lanes", "power_kw", 4, 4.0)


@wrong_money("lanes", "lighting.dimmed")
def lamps_light_above_the_floor_for_nothing(d: Draft) -> None:
    d.line("lighting.dimmed", -0.16 * 2.0)


# --- every error is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", PLANTING.errors, ids=name_of)
def test_refused(yard: Plan, p: Planted) -> None:
    assert_refused(yard, p)


@pytest.mark.parametrize("p", PLANTING.errors, ids=name_of)
def test_the_untouched_plan_passes(yard: Plan, p: Planted) -> None:
    assert_right_before(yard, p)


def test_what_is_called_right_here_is_right(yard: Plan) -> None:
    """The courses by hand are the plan's, and the day has what the errors need."""
    d = Draft.of(yard)
    for battery in ("guarded", "sold"):
        np.testing.assert_allclose(soc_of(d, battery), d.row(battery, "soc_kwh"), atol=1e-5)
    for car in ("van", "shared"):
        np.testing.assert_allclose(charged_of(d, car), d.row(car, "charged_kwh"), atol=1e-5)
    assert d.row("sold", "over_kwh")[6] == pytest.approx(1.8)
    assert d.row("shared", "late_kwh").max() == pytest.approx(0.0, abs=1e-6)
    assert d.row("avenue", "dark_kw").max() == pytest.approx(0.0, abs=1e-6)
    assert d.row("avenue", "steep_kw").max() == pytest.approx(0.0, abs=1e-6)
