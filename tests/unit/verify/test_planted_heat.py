"""Errors planted in a plan of hot water, boilers, a substation, booked rooms, diffuse heaters and a cold store."""

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

AXIS = Axis(datetime(2026, 1, 14, 23, tzinfo=UTC), 60, 12)
BUY = [0.12, 0.10, 0.09, 0.11, 0.14, 0.20, 0.30, 0.34, 0.28, 0.18, 0.14, 0.12]
OUTDOOR = [3.0, 2.0, 1.0, 0.0, -1.0, -2.0, -2.0, -1.0, 0.0, 2.0, 4.0, 5.0]
DEVICES = (
    Device("tank", "hot-water-tank", ("house",), {
        "capacity_kwh": 20.0, "power_kw": 2.0, "heater_power_kw": 4.0, "loss_per_h": 0.02, "cop": 3.0, "end": "free",
        "demand_kw": [0.5, 0.5, 0.5, 0.5, 0.5, 2.0, 4.0, 3.0, 2.0, 1.0, 1.0, 1.0], "pasteurise": True,
        "since_pasteurised_h": 17.0,
    }),
    Device("washer", "hot-water-tank", ("house",), {
        "capacity_kwh": 10.0, "heater_power_kw": 5.0, "loss_per_h": 0.0, "demand_kw": 0.2, "pasteurise": True,
        "pasteurise_at_h": 3.0, "pasteurise_h": 2.0, "end": "free",
    }),
    Device("flash", "electric-boiler", ("grid", "network"), {
        "power_kw": 30.0, "power_min_kw": 10.0, "efficiency": 0.95, "cost_eur_per_kwh": 0.01,
    }),
    Device("station", "substation", ("network", "branch"), {
        "power_kw": 40.0, "flow_max_m3_per_h": 0.9, "outdoor_c": OUTDOOR, "efficiency": 0.96,
    }),
    Device("hall", "booked-rooms", ("branch",), {
        "resistance_k_per_kw": 1.5, "capacity_kwh_per_k": 8.0, "power_kw": 22.0, "outdoor_c": OUTDOOR, "gain_kw": 0.5,
        "booked": [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0], "wish_k": 1.0, "temperature_start_c": 15.0,
        "window_open": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0],
    }),
    Device("flats", "diffuse-heaters", ("house",), {
        "power_kw": np.linspace(40.0, 51.0, 12), "flats": 40.0, "opted_out": 4.0, "cut_h": 1.0, "rest_h": 2.0,
        "rebound_h": 2.0, "drop_start_k": 0.1, "owed_start_kwh": 6.0, "since_cut_h": 0.0,
    }),
    Device("store", "cold-store", ("house",), {
        "resistance_k_per_kw": 2.0, "capacity_kwh_per_k": 12.0, "power_kw": 9.0, "part_load": 0.33, "gain_kw": 1.0,
        "outdoor_c": OUTDOOR, "ambient_c": 18.0, "min_up_h": 2.0, "min_down_h": 2.0, "start_cost_eur": 0.3,
        "discomfort_eur_per_kh": 2.0,
    }),
    Device("homes", "heat-demand", ("branch",), {"power_kw": 8.0}),
    Device("boiler", "gas-boiler", ("gas", "network"), {"power_kw": 60.0, "efficiency": 0.9}),
    Device("pit", "thermal-store", ("network",), {"capacity_kwh": 400.0, "power_kw": 60.0, "end": "free"}),
)  # fmt: skip
COMMANDS: dict[tuple[str, str], list[Any]] = {
    ("tank", "heat_pump_kw"): [2, 1.5, 0, 0, 0, 0, 0.5, 0.5, 1, 0, 0, 0],
    ("tank", "heater_kw"): [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0],
    ("tank", "pasteurise"): [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
    ("flash", "input_kw"): [20, 24, 30, 15, 0, 0, 0, 0, 0, 11, 0, 0],
    ("hall", "heating_kw"): [0, 0, 0, 20, 22, 22, 22, 18, 14, 14, 0, 20],
    ("flats", "begun"): [0, 0, 0, 0, 0, 0.5, 0.4, 0.1, 0, 0.6, 0, 0],
    ("store", "on"): [0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0],
    ("store", "compressor_kw"): [0, 0, 5, 4, 0, 0, 0, 3, 5, 4, 0, 0],
}
"""Prescribed, so that the errors find what they need whatever the solver prefers: a hold hot by little, a boiler just
above its first stage, a hall too cold when it opens, flats that take turns, a store that becomes too warm."""

PLANTING = Planting(DEVICES)
wrong, wrong_node, wrong_money = PLANTING.wrong, PLANTING.wrong_node, PLANTING.wrong_money


@pytest.fixture(scope="module")
def quarter() -> Plan:
    nodes = (
        node(AXIS, "grid", None, 500.0),
        node(AXIS, "house", "grid", 200.0),
        node(AXIS, "network", None, 0.0, carrier="heat"),
        node(AXIS, "branch", None, 0.0, carrier="heat"),
        node(AXIS, "gas", None, 200.0, 0.0, "gas"),
    )
    pins = [Pin(*of, t, t + 1, float(x)) for of, row in COMMANDS.items() for t, x in enumerate(row)]
    prices = (energy_price(AXIS, "grid", BUY, name="supply"), energy_price(AXIS, "gas", 0.07, 0.0, "gas"))
    return planned(Sketch(AXIS, nodes, DEVICES, prices, tuple(pins)))


# --- hot-water-tank --------------------------------------------------------------------------------------------------


def tank_kwh(d: Draft, keep: float | None = None, heater: float = 1.0, cop: float = 3.0, drawn: float = 1.0) -> Floats:
    """Content by hand; each factor may be replaced by a wrong one."""
    keep = float(d.column("tank", "keep")) if keep is None else keep
    demand, backup = d.column("tank", "demand_kw"), d.row("tank", "backup_kw")
    out, level = np.zeros(12), 10.0
    for t in range(12):
        heat = cop * d.row("tank", "heat_pump_kw")[t] + heater * d.row("tank", "heater_kw")[t]
        level = keep * level + heat + backup[t] - drawn * demand[t]
        out[t] = level
    return out


@wrong("tank", "level_kwh")
def tank_heater_forgotten(d: Draft) -> None:
    d.restate("tank", "level_kwh", tank_kwh(d, heater=0.0))


@wrong("tank", "level_kwh")
def tank_heater_with_the_cop_of_the_heat_pump(d: Draft) -> None:
    d.restate("tank", "level_kwh", tank_kwh(d, heater=3.0))


@wrong("tank", "level_kwh")
def tank_without_standing_loss(d: Draft) -> None:
    d.restate("tank", "level_kwh", tank_kwh(d, keep=1.0))


@wrong("tank", "cold_kwh")
def tank_never_pasteurised(d: Draft) -> None:
    d.row("tank", "pasteurise")[4] = 0.0


@wrong("tank", "cold_kwh")
def tank_pasteurised_when_it_is_cold(d: Draft) -> None:
    """16 kWh are 60 °C; in the night it has more, after breakfast less."""
    d.row("tank", "pasteurise")[[4, 7]] = [0.0, 1.0]


@wrong("tank", "pasteurise")
def tank_pasteurised_before_its_heaters_can_have_made_it_hot(d: Draft) -> None:
    d.row("tank", "pasteurise")[[4, 0]] = [0.0, 1.0]


@wrong("tank", "pasteurise")
def tank_pasteurised_by_halves(d: Draft) -> None:
    d.row("tank", "pasteurise")[[3, 4]] = 0.5


@wrong("tank", "cold_kwh")
def tank_hot_enough_for_a_lower_temperature_only(d: Draft) -> None:
    """65 instead of 60 °C: 20 kWh."""
    d.wish("tank", "hot_kwh", 20.0)


@wrong_node("tank", "house")
def tank_heater_draws_nothing(d: Draft) -> None:
    d.draw("house", 2, -1.0)
    d.at = 2


@wrong("washer", "cold_kwh")
def washer_forgets_its_timer(d: Draft) -> None:
    d.row("washer", "pasteurise")[3] = 0.0


@wrong("washer", "cold_kwh")
def washer_held_for_an_hour_instead_of_two(d: Draft) -> None:
    """Hot when the second hour begins, 1 kWh short when it ends."""
    d.wish("washer", "hot_kwh", d.column("washer", "hot_kwh") + np.where(np.arange(12) == 4, 1.0, 0.0))
    d.at = 4


# --- electric-boiler -------------------------------------------------------------------------------------------------


@wrong("flash", "input_kw")
def flash_below_its_first_stage(d: Draft) -> None:
    d.claim("flash", "input_kw", 9, 8.0, source=1.0, sink=-0.95)


@wrong("flash", "input_kw")
def flash_above_its_power(d: Draft) -> None:
    d.claim("flash", "input_kw", 2, 33.0, source=1.0, sink=-0.95)


@wrong("flash", "input_kw under its pin")
def flash_pin_ignored(d: Draft) -> None:
    d.pin("flash", "input_kw", 1, 20.0)


@wrong_node("flash", "network")
def flash_without_losses(d: Draft) -> None:
    d.draw("network", slice(None), -0.05 * d.row("flash", "input_kw"))


@wrong_node("flash", "grid")
def flash_rated_by_its_electricity(d: Draft) -> None:
    d.draw("grid", slice(None), -0.05 * d.row("flash", "input_kw"))


@wrong_node("flash", "network")
def flash_heat_one_step_late(d: Draft) -> None:
    d.draw("network", slice(None), -0.95 * late(d.row("flash", "input_kw")))


@wrong_money("flash", "electric-boiler.use")
def flash_use_unpaid(d: Draft) -> None:
    d.line("electric-boiler.use", -0.01 * 30.0)


# --- substation ------------------------------------------------------------------------------------------------------


@wrong("station", "input_kw")
def station_more_than_its_flow_carries(d: Draft) -> None:
    """At 5 °C the network sends 80.4 °C."""
    most = 1.163 * 0.9 * (70 + 25 * 10 / 24 - 50)
    assert d.column("station", "input_max_kw")[11] == pytest.approx(most)
    d.claim("station", "input_kw", 11, most * 1.01, source=1.0, sink=-0.96)


@wrong("station", "input_kw")
def station_of_a_supply_that_does_not_follow_the_weather(d: Draft) -> None:
    d.wish("station", "input_max_kw", 1.163 * 0.9 * 20.0)


@wrong("station", "input_kw")
def station_gives_back(d: Draft) -> None:
    d.claim("station", "input_kw", 0, -5.0, source=1.0, sink=-0.96)


@wrong_node("station", "branch")
def station_without_losses(d: Draft) -> None:
    d.draw("branch", slice(None), -0.04 * d.row("station", "input_kw"))


@wrong_node("station", "network")
def station_takes_what_it_gives(d: Draft) -> None:
    d.draw("network", slice(None), -0.04 * d.row("station", "input_kw"))


@wrong_node("station", "network")
def station_sign(d: Draft) -> None:
    d.draw("network", slice(None), -2 * d.row("station", "input_kw"))


# --- booked-rooms ----------------------------------------------------------------------------------------------------


def hall_c(d: Draft, open_loss: float = 6.0, gain: float = 0.5, capacity: float = 8.0) -> Floats:
    """Temperature by hand; each number may be replaced by a wrong one."""
    out, inside = np.zeros(12), 15.0
    for t in range(12):
        resistance = 1.5 / (open_loss if t == 10 else 1.0)
        keep = np.exp(-1.0 / (resistance * capacity))
        steady = OUTDOOR[t] + resistance * (d.row("hall", "heating_kw")[t] + gain)
        inside = keep * inside + (1 - keep) * steady
        out[t] = inside
    return out


@wrong("hall", "heating_kw")
def hall_heated_with_its_windows_open(d: Draft) -> None:
    d.claim("hall", "heating_kw", 10, 5.0, source=1.0)


@wrong("hall", "heating_kw")
def hall_heated_with_more_than_it_has(d: Draft) -> None:
    d.claim("hall", "heating_kw", 4, 23.0, source=1.0)


@wrong("hall", "temperature_c")
def hall_loses_no_more_through_open_windows(d: Draft) -> None:
    d.restate("hall", "temperature_c", hall_c(d, open_loss=1.0))


@wrong("hall", "temperature_c")
def hall_without_gains(d: Draft) -> None:
    d.restate("hall", "temperature_c", hall_c(d, gain=0.0))


@wrong("hall", "temperature_c")
def hall_lighter_than_it_is(d: Draft) -> None:
    d.restate("hall", "temperature_c", hall_c(d, capacity=6.0))


@wrong("hall", "under_k")
def hall_opens_colder_than_said(d: Draft) -> None:
    d.row("hall", "under_k")[7] -= 0.5
    d.at = 7


@wrong("hall", "under_k")
def hall_wish_ignored(d: Draft) -> None:
    d.wish("hall", "comfort_min_c", d.column("hall", "comfort_min_c") + np.where(np.arange(12) == 8, 1.0, 0.0))
    d.at = 8


@wrong_node("hall", "branch")
def hall_heat_one_step_late(d: Draft) -> None:
    d.draw("branch", slice(None), late(d.row("hall", "heating_kw")))


@wrong_money("hall", "booked-rooms.discomfort")
def hall_cold_opening_unpaid(d: Draft) -> None:
    d.line("booked-rooms.discomfort", -1.0)


# --- diffuse-heaters -------------------------------------------------------------------------------------------------


def flats_kw(d: Draft) -> tuple[Floats, Floats]:
    """(cut, rebound) by hand: a share of the 36 that take part for an hour, then 80 % of it over two hours."""
    part, begun = 0.9 * np.linspace(40.0, 51.0, 12), d.row("flats", "begun")
    cut = part * begun
    back = 0.8 / 2 * (np.concatenate([[0.0], cut[:-1]]) + np.concatenate([[0.0, 0.0], cut[:-2]]))
    return cut, back + np.where(np.arange(12) < 2, 3.0, 0.0)


def flats_k(d: Draft, keep: float = np.exp(-1 / 30), back: float = 1.0) -> Floats:
    """How much colder the flats are, by hand."""
    cut, rebound = flats_kw(d)
    out, drop = np.zeros(12), 0.1
    for t in range(12):
        drop = keep * drop + (cut[t] - back * rebound[t]) / (36 * 3.0)
        out[t] = drop
    return out


@wrong("flats", "begun")
def flats_cut_for_two_hours_in_a_row(d: Draft) -> None:
    d.row("flats", "begun")[[5, 6, 7]] = [1.0, 1.0, 0.0]


@wrong("flats", "begun")
def flats_not_left_alone(d: Draft) -> None:
    """Half and four tenths of them were cut in the two hours before."""
    d.row("flats", "begun")[7] = 0.3


@wrong("flats", "begun")
def flats_cut_too_soon_after_the_last_time(d: Draft) -> None:
    d.row("flats", "begun")[0] = 0.1


@wrong("flats", "drop_k")
def flats_that_never_warm_up_again(d: Draft) -> None:
    d.restate("flats", "drop_k", flats_k(d, keep=1.0))


@wrong("flats", "drop_k")
def flats_whose_rebound_warms_nobody(d: Draft) -> None:
    d.restate("flats", "drop_k", flats_k(d, back=0.0))


@wrong_node("flats", "house")
def flats_that_opted_out_are_cut_too(d: Draft) -> None:
    d.draw("house", slice(None), -flats_kw(d)[0] / 9)


@wrong_node("flats", "house")
def flats_without_rebound(d: Draft) -> None:
    d.draw("house", slice(None), -flats_kw(d)[1])


@wrong_node("flats", "house")
def flats_rebound_one_step_late(d: Draft) -> None:
    d.draw("house", slice(None), late(flats_kw(d)[1]))


@wrong_money("flats", "diffuse-heaters.owed")
def flats_owe_nothing_for_tomorrow(d: Draft) -> None:
    d.line("diffuse-heaters.owed", -0.01)


# --- cold-store ------------------------------------------------------------------------------------------------------


def store_c(d: Draft, gain: float = 1.0, eer: Floats | None = None, sign: float = -1.0) -> Floats:
    """Temperature by hand; each number may be replaced by a wrong one."""
    eer = np.clip(2.5 - 0.06 * (np.array(OUTDOOR) - 35), 1, 8) if eer is None else eer
    keep, out, inside = np.exp(-1.0 / 24.0), np.zeros(12), 3.0
    for t in range(12):
        heat = gain + sign * eer[t] * d.row("store", "compressor_kw")[t]
        inside = keep * inside + (1 - keep) * (18.0 + 2.0 * heat)
        out[t] = inside
    return out


@wrong("store", "temperature_c")
def store_doors_stay_shut(d: Draft) -> None:
    d.restate("store", "temperature_c", store_c(d, gain=0.0))


@wrong("store", "temperature_c")
def store_rated_on_a_hot_day(d: Draft) -> None:
    d.restate("store", "temperature_c", store_c(d, eer=np.full(12, 2.5)))


@wrong("store", "temperature_c")
def store_heated_by_its_compressor(d: Draft) -> None:
    d.restate("store", "temperature_c", store_c(d, sign=1.0))


@wrong("store", "on")
def store_stops_within_its_minimum_time(d: Draft) -> None:
    d.row("store", "on")[8:10] = 0.0


@wrong("store", "on")
def store_on_by_halves(d: Draft) -> None:
    d.row("store", "on")[8] = 0.4


@wrong("store", "compressor_kw")
def store_below_its_least_power(d: Draft) -> None:
    d.claim("store", "compressor_kw", 7, 2.0, ac=1.0)


@wrong("store", "over_k")
def store_warmer_than_said(d: Draft) -> None:
    d.row("store", "over_k")[6] -= 0.3
    d.at = 6


@wrong_node("store", "house")
def store_draws_its_cold(d: Draft) -> None:
    d.draw("house", 8, 5.0)
    d.at = 8


@wrong_money("store", "cold-store.start")
def store_start_unpaid(d: Draft) -> None:
    d.line("cold-store.start", -0.3)


# --- every error is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", PLANTING.errors, ids=name_of)
def test_refused(quarter: Plan, p: Planted) -> None:
    assert_refused(quarter, p)


@pytest.mark.parametrize("p", PLANTING.errors, ids=name_of)
def test_the_untouched_plan_passes(quarter: Plan, p: Planted) -> None:
    assert_right_before(quarter, p)


def test_what_is_called_right_here_is_right(quarter: Plan) -> None:
    """The courses by hand are the plan's, and the day has what the errors need."""
    d = Draft.of(quarter)
    np.testing.assert_allclose(tank_kwh(d), d.row("tank", "level_kwh"), atol=1e-5)
    np.testing.assert_allclose(hall_c(d), d.row("hall", "temperature_c"), atol=1e-5)
    np.testing.assert_allclose(flats_k(d), d.row("flats", "drop_k"), atol=1e-5)
    np.testing.assert_allclose(flats_kw(d)[0], d.row("flats", "cut_kw"), atol=1e-5)
    np.testing.assert_allclose(flats_kw(d)[1], d.row("flats", "rebound_kw"), atol=1e-5)
    np.testing.assert_allclose(store_c(d), d.row("store", "temperature_c"), atol=1e-5)
    assert d.row("hall", "under_k")[7] > 0.5
    assert d.row("store", "over_k")[6] > 0.3
    assert 16 <= d.row("tank", "level_kwh")[3:5].min() < 19
    assert d.row("tank", "level_kwh")[6:8].min() < 15
    assert d.row("washer", "level_kwh")[4] == pytest.approx(8.0)
    for name in ("cold_kwh", "backup_kw"):
        assert max(d.row("tank", name).max(), d.row("washer", name).max()) == pytest.approx(0.0, abs=1e-6)
