"""Errors planted in a plan of pumps, pausing loads, runs in a row and by-product hydrogen."""

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
DEVICES = (
    Device("wash", "shiftable-load", ("works",), {
        "profile_kw": [2.0, 1.0], "then_profile_kw": [1.5, 0.5], "then_gap_max_h": 1.0, "earliest": 0.0, "latest": 12.0,
        "allowed": np.arange(12) != 0, "start_cost_eur": 0.1,
    }),
    Device("kiln", "shiftable-load", ("works",), {
        "profile_kw": [4.0], "earliest": 0.0, "latest": 12.0, "worth_eur": 2.0,
    }),
    Device("aeration", "interruptible-load", ("works",), {
        "energy_kwh": 60.0, "power_kw": 20.0, "power_min_kw": 10.0, "every_h": 6.0, "pause_max_h": 2.0, "min_up_h": 2.0,
        "on_start": True, "start_cost_eur": 0.2,
    }),
    Device("pool", "interruptible-load", ("works",), {
        "energy_kwh": 8.0, "power_kw": 2.0, "power_min_kw": 1.0, "earliest": 2.0, "latest": 9.0,
        "allowed": np.arange(12) != 3,
    }),
    Device("lift", "basin", ("works",), {
        "inflow_m3_per_h": 100.0, "level_min_m3": 100.0, "level_max_m3": 500.0, "level_start_m3": 300.0,
        "reserve_m3": [0.0] * 5 + [150.0] * 4 + [0.0] * 3, "power_kw": 40.0, "power_min_kw": 15.0,
        "lift_kwh_per_m3": 0.1, "starts_max_per_day": 2.0, "start_cost_eur": 0.3,
    }),
    Device("tower", "basin", ("works",), {
        "pumping": "in", "inflow_m3_per_h": -80.0, "level_min_m3": 50.0, "level_max_m3": 450.0, "level_start_m3": 200.0,
        "power_kw": 10.0, "pumps": 2.0, "power_min_kw": 5.0, "lift_kwh_per_m3": 0.1,
    }),
    Device("plant", "hydrogen-source", ("hydrogen",), {"power_kw": [300.0] * 11 + [40.0], "vent_eur_per_kwh": 0.01}),
    Device("buffer", "hydrogen-store", ("hydrogen",), {"capacity_kwh": 400.0, "power_kw": 250.0}),
    Device("cell", "fuel-cell", ("grid", "heat", "hydrogen"), {
        "power_max_kw": 200.0, "thermal_efficiency": 0.4, "start_cost_eur": 6.0, "dump": True,
    }),
    Device("sink", "heat-demand", ("heat",), {"power_kw": 100.0}),
    Device("boiler", "gas-boiler", ("gas", "heat"), {"power_kw": 120.0}),
)  # fmt: skip
COMMANDS: dict[tuple[str, str], list[Any]] = {
    ("wash", "start"): [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ("wash", "then_start"): [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
    ("kiln", "start"): [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
    ("aeration", "on"): [1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0],
    ("aeration", "draw_kw"): [15, 15, 0, 0, 20, 10, 0, 0, 20, 20, 20, 0],
    ("pool", "draw_kw"): [0, 0, 2, 0, 1, 0, 1, 2, 1, 0, 0, 0],
    ("lift", "on"): [0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0],
    ("lift", "pump_kw"): [0, 30, 0, 0, 35, 0, 0, 20, 0, 0, 40, 0],
    ("tower", "pump_kw"): [0, 5, 20, 0, 0, 20, 20, 20, 10, 0, 0, 5],
    ("plant", "supply_kw"): [300, 300, 300, 100, 0, 0, 300, 300, 300, 300, 150, 0],
    ("cell", "on"): [1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 0],
    ("cell", "power_kw"): [200, 150, 60, 0, 0, 0, 200, 200, 150, 150, 60, 0],
}
"""Prescribed, so that the errors find what they need whatever the solver prefers: a pause as long as may be, a pool
short of 1 kWh, a basin on its reserve and a tower on its lower edge, a day's starts used up, hydrogen vented."""

PLANTING = Planting(DEVICES)
wrong, wrong_node, wrong_money = PLANTING.wrong, PLANTING.wrong_node, PLANTING.wrong_money


@pytest.fixture(scope="module")
def works() -> Plan:
    nodes = (
        node(AXIS, "grid", None, 500.0),
        node(AXIS, "works", "grid", 200.0),
        node(AXIS, "heat", None, 0.0, carrier="heat"),
        node(AXIS, "gas", None, 200.0, 0.0, "gas"),
        node(AXIS, "hydrogen", None, 0.0, carrier="hydrogen"),
    )
    pins = [Pin(*of, t, t + 1, x) for of, row in COMMANDS.items() for t, x in enumerate(row)]
    prices = (energy_price(AXIS, "grid", BUY, np.array(BUY) - 0.05, "supply"), energy_price(AXIS, "gas", 0.07, 0.0))
    return planned(Sketch(AXIS, nodes, DEVICES, prices, tuple(pins)))


# --- shiftable-load: forbidden hours, a second run, wear and worth ---------------------------------------------------


@wrong("wash", "start")
def wash_in_a_forbidden_hour(d: Draft) -> None:
    d.claim("wash", "start", 1, 0.0)
    d.claim("wash", "start", 0, 1.0)
    d.draw("works", slice(0, 3), np.array([2.0, -1.0, -1.0]))


@wrong("wash", "then_start")
def wash_dried_before_it_is_done(d: Draft) -> None:
    d.claim("wash", "then_start", 4, 0.0)
    d.claim("wash", "then_start", 2, 1.0)
    d.draw("works", slice(2, 6), np.array([1.5, 0.5, -1.5, -0.5]))


@wrong("wash", "then_start")
def wash_left_wet_too_long(d: Draft) -> None:
    d.claim("wash", "then_start", 4, 0.0)
    d.claim("wash", "then_start", 5, 1.0)
    d.draw("works", slice(4, 7), np.array([-1.5, 1.0, 0.5]))
    d.at = 4


@wrong("wash", "then_start")
def wash_never_dried(d: Draft) -> None:
    d.claim("wash", "then_start", 4, 0.0)
    d.draw("works", slice(4, 6), np.array([-1.5, -0.5]))


@wrong_node("wash", "works")
def wash_whose_drying_draws_nothing(d: Draft) -> None:
    d.draw("works", slice(4, 6), np.array([-1.5, -0.5]))
    d.at = 4


@wrong_money("wash", "shiftable-load.run")
def wash_wear_of_its_second_run_too(d: Draft) -> None:
    d.line("shiftable-load.run", 0.1)


@wrong_money("kiln", "shiftable-load.benefit")
def kiln_worth_counted_as_a_cost(d: Draft) -> None:
    d.line("shiftable-load.benefit", 4.0)


# --- interruptible-load ----------------------------------------------------------------------------------------------


@wrong("aeration", "draw_kw")
def aeration_below_its_least_power(d: Draft) -> None:
    d.claim("aeration", "draw_kw", 5, 9.0, ac=1.0)


@wrong("aeration", "draw_kw")
def aeration_one_per_cent_above_its_power(d: Draft) -> None:
    d.claim("aeration", "draw_kw", 9, 1.01 * 20.0, ac=1.0)


@wrong("aeration", "overlong_h")
def aeration_rests_an_hour_too_long(d: Draft) -> None:
    """The run of the eighth step put off to the ninth, one hour longer at the end."""
    d.claim("aeration", "on", 8, 0.0)
    d.claim("aeration", "draw_kw", 8, 0.0, ac=1.0)
    d.claim("aeration", "on", 11, 1.0)
    d.claim("aeration", "draw_kw", 11, 20.0, ac=1.0)
    d.at = 8


@wrong("aeration", "on")
def aeration_recovers_one_hour_instead_of_two(d: Draft) -> None:
    d.claim("aeration", "on", 5, 0.0)
    d.claim("aeration", "draw_kw", 5, 0.0, ac=1.0)


@wrong("aeration", "short_kwh")
def aeration_window_short_by_what_the_other_has_more(d: Draft) -> None:
    d.claim("aeration", "draw_kw", 8, 16.0, ac=1.0)
    d.claim("aeration", "draw_kw", 5, 14.0, ac=1.0)
    d.at = 11


@wrong("aeration", "on")
def aeration_half_on(d: Draft) -> None:
    d.claim("aeration", "on", 9, 0.7)


@wrong("pool", "draw_kw")
def pool_in_a_forbidden_hour(d: Draft) -> None:
    d.claim("pool", "draw_kw", 3, 1.0, ac=1.0)


@wrong("pool", "draw_kw")
def pool_before_it_may(d: Draft) -> None:
    d.claim("pool", "draw_kw", 1, 1.0, ac=1.0)


@wrong("pool", "draw_kw")
def pool_below_its_least_power(d: Draft) -> None:
    d.claim("pool", "draw_kw", 5, 0.5, ac=1.0)


@wrong("pool", "short_kwh")
def pool_shortfall_kept_quiet(d: Draft) -> None:
    d.row("pool", "short_kwh")[:] = 0.0
    d.at = 8


@wrong("pool", "draw_kw under its pin")
def pool_pin_ignored(d: Draft) -> None:
    d.pin("pool", "draw_kw", 5, 2.0)


@wrong_node("pool", "works")
def pool_one_step_late(d: Draft) -> None:
    d.draw("works", slice(None), late(d.row("pool", "draw_kw")))


@wrong_money("aeration", "interruptible-load.start")
def aeration_one_start_unpaid(d: Draft) -> None:
    d.line("interruptible-load.start", -0.2)


@wrong_money("pool", "interruptible-load.shortfall")
def pool_shortfall_unpaid(d: Draft) -> None:
    d.line("interruptible-load.shortfall", -2.0)


# --- basin -----------------------------------------------------------------------------------------------------------


def lift_m3(d: Draft, lift: float = 0.1, sign: float = -1.0, inflow: Any = 100.0) -> Floats:
    """Levels by hand."""
    return np.asarray(300.0 + np.cumsum(inflow + sign * d.row("lift", "pump_kw") / lift))


def tower_m3(d: Draft) -> Floats:
    return np.asarray(200.0 + np.cumsum(d.row("tower", "pump_kw") / 0.1 - 80.0))


@wrong("lift", "level_m3")
def lift_electricity_on_the_wrong_side(d: Draft) -> None:
    d.restate("lift", "level_m3", lift_m3(d, lift=1 / 0.1))


@wrong("lift", "level_m3")
def lift_pumped_in_instead_of_out(d: Draft) -> None:
    d.restate("lift", "level_m3", lift_m3(d, sign=1.0))


@wrong("lift", "level_m3")
def lift_inflow_one_step_late(d: Draft) -> None:
    d.restate("lift", "level_m3", lift_m3(d, inflow=np.array([0.0] + [100.0] * 11)))


@wrong("lift", "outside_m3")
def lift_reserve_not_kept_free(d: Draft) -> None:
    d.claim("lift", "pump_kw", 7, 19.0, ac=1.0)
    d.row("lift", "level_m3")[:] = lift_m3(d)
    d.at = 8


@wrong("lift", "outside_m3")
def lift_below_its_band(d: Draft) -> None:
    d.claim("lift", "pump_kw", 4, 40.0, ac=1.0)
    d.wish("lift", "level_min_m3", 110.0)
    d.row("lift", "level_m3")[:] = lift_m3(d)


@wrong("lift", "pump_kw")
def lift_one_per_cent_above_its_power(d: Draft) -> None:
    d.claim("lift", "pump_kw", 10, 1.01 * 40.0, ac=1.0)
    d.row("lift", "level_m3")[:] = lift_m3(d)


@wrong("lift", "pump_kw")
def lift_below_its_least_power(d: Draft) -> None:
    d.claim("lift", "pump_kw", 7, 14.0, ac=1.0)
    d.row("lift", "level_m3")[:] = lift_m3(d)


@wrong("lift", "on")
def lift_a_third_start_of_the_day(d: Draft) -> None:
    d.claim("lift", "on", 6, 1.0)
    d.claim("lift", "pump_kw", 6, 15.0, ac=1.0)
    d.row("lift", "level_m3")[:] = lift_m3(d)


@wrong("tower", "outside_m3")
def tower_below_its_band(d: Draft) -> None:
    d.claim("tower", "pump_kw", 2, 19.9, ac=1.0)
    d.row("tower", "level_m3")[:] = tower_m3(d)
    d.at = 4


@wrong("tower", "pump_kw")
def tower_below_the_least_power_of_a_pump(d: Draft) -> None:
    d.claim("tower", "pump_kw", 9, 4.0, ac=1.0)
    d.row("tower", "level_m3")[:] = tower_m3(d)


@wrong("tower", "pump_kw")
def tower_with_a_third_pump(d: Draft) -> None:
    d.claim("tower", "pump_kw", 5, 30.0, ac=1.0)
    d.row("tower", "level_m3")[:] = tower_m3(d)


@wrong("tower", "pump_kw under its pin")
def tower_pin_ignored(d: Draft) -> None:
    d.pin("tower", "pump_kw", 3, 10.0)


@wrong_node("tower", "works")
def tower_that_gives_power_back(d: Draft) -> None:
    d.draw("works", slice(None), -2 * d.row("tower", "pump_kw"))


@wrong_money("lift", "basin.start")
def lift_starts_of_one_day_unpaid(d: Draft) -> None:
    d.line("basin.start", -2 * 0.3)


# --- hydrogen-source -------------------------------------------------------------------------------------------------


@wrong("plant", "supply_kw")
def plant_one_per_cent_more_than_it_gives_off(d: Draft) -> None:
    d.claim("plant", "supply_kw", 1, 1.01 * 300.0, hydrogen=-1.0)


@wrong("plant", "supply_kw")
def plant_on_its_day_of_rest(d: Draft) -> None:
    d.claim("plant", "supply_kw", 11, 41.0, hydrogen=-1.0)


@wrong("plant", "supply_kw")
def plant_that_takes_hydrogen(d: Draft) -> None:
    d.claim("plant", "supply_kw", 4, -1.0, hydrogen=-1.0)


@wrong("plant", "supply_kw under its pin")
def plant_pin_ignored(d: Draft) -> None:
    d.pin("plant", "supply_kw", 4, 100.0)


@wrong_node("plant", "hydrogen")
def plant_sign(d: Draft) -> None:
    d.draw("hydrogen", slice(None), 2 * d.row("plant", "supply_kw"))


@wrong_node("plant", "hydrogen", "net_kw against its limit")
def plant_more_than_its_node_can_take(d: Draft) -> None:
    d.claim("plant", "supply_kw", 4, 100.0, hydrogen=-1.0)


@wrong_money("plant", "hydrogen-source.vent")
def plant_vents_for_nothing(d: Draft) -> None:
    d.line("hydrogen-source.vent", -0.01 * 300.0)


# --- hydrogen-store --------------------------------------------------------------------------------------------------


def buffer_kwh(d: Draft, keep: float = 1.0, sign: int = 1) -> Floats:
    out, now = np.zeros(12), 200.0
    for t in range(12):
        now = keep * now + sign * d.row("buffer", "charge_kw")[t]
        out[t] = now
    return out


@wrong("buffer", "level_kwh")
def buffer_that_loses_heat(d: Draft) -> None:
    d.restate("buffer", "level_kwh", buffer_kwh(d, keep=0.99))


@wrong("buffer", "level_kwh")
def buffer_sign_of_the_flow(d: Draft) -> None:
    d.restate("buffer", "level_kwh", buffer_kwh(d, sign=-1))


@wrong("buffer", "level_kwh")
def buffer_content_one_step_late(d: Draft) -> None:
    d.restate("buffer", "level_kwh", np.concatenate([[200.0], d.row("buffer", "level_kwh")[:-1]]))


@wrong("buffer", "charge_kw")
def buffer_one_per_cent_above_full(d: Draft) -> None:
    d.claim("buffer", "charge_kw", 3, float(404.0 - d.row("buffer", "level_kwh")[2]), hydrogen=1.0)
    d.row("buffer", "level_kwh")[:] = buffer_kwh(d)


@wrong("buffer", "charge_kw")
def buffer_one_per_cent_above_its_power(d: Draft) -> None:
    d.claim("buffer", "charge_kw", 6, -1.01 * 250.0, hydrogen=1.0)
    d.row("buffer", "level_kwh")[:] = buffer_kwh(d)


@wrong("buffer", "charge_kw under its pin")
def buffer_pin_ignored(d: Draft) -> None:
    d.pin("buffer", "charge_kw", 3, 0.0)


@wrong_node("buffer", "hydrogen")
def buffer_not_given_to_its_node(d: Draft) -> None:
    d.draw("hydrogen", 6, -float(d.row("buffer", "charge_kw")[6]))
    d.at = 6


# --- fuel-cell -------------------------------------------------------------------------------------------------------


def run_cell(d: Draft, step: int, on: float, power: float) -> None:
    """Say that it runs so; heat, hydrogen and electricity follow."""

    def kw(what: str, on: float, power: float) -> float:
        return on * float(d.column("cell", f"{what}_fixed_kw")) + power * float(d.column("cell", f"{what}_slope"))

    was = float(d.row("cell", "on")[step]), float(d.row("cell", "power_kw")[step])
    d.draw("heat", step, kw("heat", *was) - kw("heat", on, power))
    d.draw("hydrogen", step, kw("fuel", on, power) - kw("fuel", *was))
    d.draw("grid", step, was[1] - power)
    d.row("cell", "on")[step], d.row("cell", "power_kw")[step] = on, power
    d.at = step


@wrong("cell", "power_kw")
def cell_below_its_least_load(d: Draft) -> None:
    run_cell(d, 2, 1.0, 59.0)


@wrong("cell", "power_kw")
def cell_one_per_cent_above_its_power(d: Draft) -> None:
    run_cell(d, 6, 1.0, 1.01 * 200.0)


@wrong("cell", "on")
def cell_a_third_start_of_the_day(d: Draft) -> None:
    """It stops for the fifth step alone."""
    run_cell(d, 4, 1.0, 60.0)
    d.at = None


@wrong("cell", "on")
def cell_starts_of_yesterday_counted_today(d: Draft) -> None:
    """Of the day's two starts one was before the horizon."""
    d.wish("cell", "starts_today", 1.0)
    d.at = None


@wrong("cell", "heat_dumped_kw")
def cell_dumps_more_heat_than_it_makes(d: Draft) -> None:
    d.claim("cell", "heat_dumped_kw", 2, 60.0, heat=1.0)


@wrong_node("cell", "hydrogen")
def cell_hydrogen_at_full_load_efficiency_throughout(d: Draft) -> None:
    d.draw("hydrogen", 2, 60.0 / 0.5 - 60.0 / 0.55)
    d.at = 2


@wrong_node("cell", "hydrogen")
def cell_higher_heating_value(d: Draft) -> None:
    """39.4 instead of 33.3 kWh/kg."""
    d.draw("hydrogen", 0, 400.0 * (39.4 / 33.3 - 1))
    d.at = 0


@wrong_node("cell", "heat")
def cell_heat_forgotten(d: Draft) -> None:
    d.draw("heat", 8, 116.1)
    d.at = 8


@wrong_node("cell", "grid")
def cell_electricity_sign(d: Draft) -> None:
    d.draw("grid", slice(None), 2 * d.row("cell", "power_kw"))


@wrong_money("cell", "fuel-cell.start")
def cell_one_start_unpaid(d: Draft) -> None:
    d.line("fuel-cell.start", -6.0)


# --- every error is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", PLANTING.errors, ids=name_of)
def test_refused(works: Plan, p: Planted) -> None:
    assert_refused(works, p)


@pytest.mark.parametrize("p", PLANTING.errors, ids=name_of)
def test_the_untouched_plan_passes(works: Plan, p: Planted) -> None:
    assert_right_before(works, p)


def test_what_is_called_right_here_is_right(works: Plan) -> None:
    """The courses by hand are the plan's, and the day has what the errors need."""
    d = Draft.of(works)
    np.testing.assert_allclose(lift_m3(d), d.row("lift", "level_m3"), atol=1e-5)
    np.testing.assert_allclose(tower_m3(d), d.row("tower", "level_m3"), atol=1e-5)
    np.testing.assert_allclose(buffer_kwh(d), d.row("buffer", "level_kwh"), atol=1e-4)
    assert d.row("lift", "level_m3")[[6, 8]] == pytest.approx(350.0)
    assert d.row("tower", "level_m3")[4] == pytest.approx(50.0)
    assert d.row("pool", "short_kwh")[8] == pytest.approx(1.0)
    for asset, name in (("lift", "outside_m3"), ("tower", "outside_m3"), ("aeration", "overlong_h")):
        assert d.row(asset, name).max() == pytest.approx(0.0, abs=1e-6)
