"""Errors planted in a finished, verified plan: each is refused, and the right device, node and quantity are named.

All but the error itself stays consistent: states, node powers and what stands below them follow what is claimed.
"""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridopt.assets import FAMILY_NAMES, family
from gridopt.assets.base import Floats
from tests.support.districts import Plan
from tests.unit.verify.conftest import DEVICES, Draft
from tests.unit.verify.planting import Planted, Planting, assert_refused, assert_right_before, late, name_of

PLANTING = Planting(DEVICES)
wrong, wrong_node, wrong_money = PLANTING.wrong, PLANTING.wrong_node, PLANTING.wrong_money


# --- load ------------------------------------------------------------------------------------------------------------


@wrong_node("load", "house")
def load_forgotten(d: Draft) -> None:
    d.draw("house", 5, -float(d.column("load", "power_kw")[5]))
    d.at = 5


@wrong_node("load", "house")
def load_taken_for_generation(d: Draft) -> None:
    d.draw("house", slice(None), -2 * d.column("load", "power_kw"))


@wrong_node("load", "house")
def load_one_step_late(d: Draft) -> None:
    d.draw("house", slice(None), late(d.column("load", "power_kw")))


@wrong_node("load", "house")
def load_one_per_cent_more(d: Draft) -> None:
    d.draw("house", 11, 0.01 * float(d.column("load", "power_kw")[11]))
    d.at = 11


@wrong_node("load", "grid")
def load_not_passed_on_to_the_grid(d: Draft) -> None:
    d.net("grid")[4] -= float(d.column("load", "power_kw")[4])
    d.at = 4


@wrong_node("load", "house", "net_kw against its limit")
def load_one_per_cent_above_the_connection(d: Draft) -> None:
    step = int(d.net("house").argmax())
    d.limit("house", import_max_kw=np.full(12, d.net("house")[step] / 1.01))
    d.at = step


# --- pv --------------------------------------------------------------------------------------------------------------


@wrong("pv", "generation_kw")
def pv_one_per_cent_above_the_sun(d: Draft) -> None:
    d.claim("pv", "generation_kw", 7, 1.01 * 6.0, ac=-1.0)


@wrong("pv", "generation_kw")
def pv_at_night(d: Draft) -> None:
    d.claim("pv", "generation_kw", 11, 0.5, ac=-1.0)


@wrong("pv", "generation_kw")
def pv_that_draws(d: Draft) -> None:
    d.claim("pv", "generation_kw", 8, -1.0, ac=-1.0)


@wrong("pv", "generation_kw under its pin")
def pv_pin_ignored(d: Draft) -> None:
    d.pin("pv", "generation_kw", 7, 2.0)


@wrong_node("pv", "house")
def pv_sign(d: Draft) -> None:
    d.draw("house", slice(None), 2 * d.row("pv", "generation_kw"))


@wrong_node("pv", "house")
def pv_one_step_late(d: Draft) -> None:
    d.draw("house", slice(None), -late(d.row("pv", "generation_kw")))


@wrong_node("roof", "house")
def pv_curtailed_though_it_cannot_be(d: Draft) -> None:
    d.draw("house", 8, 2.0)
    d.at = 8


# --- battery ---------------------------------------------------------------------------------------------------------


def battery_soc(
    d: Draft, asset: str, keep: float | None = None, into: float | None = None, out: float | None = None, sign: int = 1
) -> Floats:
    """Content by hand; each factor may be replaced by a wrong one."""
    keep = float(d.column(asset, "keep")) if keep is None else keep
    into = float(d.column(asset, "efficiency_in")) if into is None else into
    out = float(d.column(asset, "efficiency_out")) if out is None else out
    soc, content = np.zeros(12), float(d.column(asset, "soc_start_kwh"))
    for t in range(12):
        content = keep * content + sign * (into * d.row(asset, "charge_kw")[t] - d.row(asset, "discharge_kw")[t] / out)
        soc[t] = content
    return soc


@wrong("bat", "soc_kwh")
def battery_efficiency_out_on_the_wrong_side(d: Draft) -> None:
    d.restate("bat", "soc_kwh", battery_soc(d, "bat", out=1 / 0.85))


@wrong("bat", "soc_kwh")
def battery_efficiency_in_on_the_wrong_side(d: Draft) -> None:
    d.restate("bat", "soc_kwh", battery_soc(d, "bat", into=1 / 0.9))


@wrong("bat", "soc_kwh")
def battery_efficiencies_exchanged(d: Draft) -> None:
    d.restate("bat", "soc_kwh", battery_soc(d, "bat", into=0.85, out=0.9))


@wrong("bat", "soc_kwh")
def battery_standing_loss_lost(d: Draft) -> None:
    d.restate("bat", "soc_kwh", battery_soc(d, "bat", keep=1.0))


@wrong("bat", "soc_kwh")
def battery_sign_of_the_flow(d: Draft) -> None:
    d.restate("bat", "soc_kwh", battery_soc(d, "bat", sign=-1))


@wrong("bat", "soc_kwh")
def battery_content_one_step_late(d: Draft) -> None:
    soc = d.row("bat", "soc_kwh")
    d.restate("bat", "soc_kwh", np.concatenate([[5.0], soc[:-1]]))


@wrong("bat", "soc_kwh")
def battery_energy_from_nowhere(d: Draft) -> None:
    d.row("bat", "soc_kwh")[6:] += 0.1
    d.at = 6


@wrong("bat", "charge_kw")
def battery_one_per_cent_above_its_power(d: Draft) -> None:
    d.claim("bat", "charge_kw", 8, 1.01 * 4.0, ac=1.0)
    d.row("bat", "soc_kwh")[:] = battery_soc(d, "bat")


@wrong("bat-b", "charge_kw")
def battery_one_per_cent_above_its_band(d: Draft) -> None:
    """Enough is charged early that the content passes the upper edge two steps later."""
    top = float(d.column("bat-b", "soc_high_kwh"))
    d.claim("bat-b", "charge_kw", 7, float(d.row("bat-b", "charge_kw")[7]) + 0.01 * top / 0.95, ac=1.0)
    d.row("bat-b", "soc_kwh")[:] = battery_soc(d, "bat-b")
    assert d.row("bat-b", "soc_kwh")[9] > 1.009 * top
    d.at = 9


@wrong("bat-b", "discharge_kw")
def battery_below_its_band(d: Draft) -> None:
    d.claim("bat-b", "discharge_kw", 6, float(d.row("bat-b", "discharge_kw")[6]) + 0.05, ac=-1.0)
    d.row("bat-b", "soc_kwh")[:] = battery_soc(d, "bat-b")


@wrong("bat", "charge_kw beside discharge_kw")
def battery_charging_beside_discharging(d: Draft) -> None:
    """Just so much of both that the content stays as it was."""
    d.claim("bat", "charge_kw", 3, 1.0, ac=1.0)
    d.claim("bat", "discharge_kw", 3, 0.9 * 0.85, ac=-1.0)


@wrong_node("bat", "house")
def battery_sign_at_the_node(d: Draft) -> None:
    d.draw("house", 5, 2 * float(d.row("bat", "discharge_kw")[5]))
    d.at = 5


@wrong("bat", "charge_kw under its pin")
def battery_pin_ignored(d: Draft) -> None:
    d.pin("bat", "charge_kw", 3, 1.0)


@wrong_money("bat", "battery.wear")
def battery_wear_of_charging_instead_of_discharging(d: Draft) -> None:
    both = [sum(float(d.row(b, name).sum()) for b in ("bat", "bat-b")) for name in ("charge_kw", "discharge_kw")]
    d.line("battery.wear", 0.01 * (both[0] - both[1]))


# --- ev-session ------------------------------------------------------------------------------------------------------


@wrong("late-car", "charge_kw")
def car_charges_before_it_arrives(d: Draft) -> None:
    d.claim("late-car", "charge_kw", 8, 2.0, ac=1.0)


@wrong("car", "charge_kw")
def car_charges_after_it_left(d: Draft) -> None:
    d.claim("car", "charge_kw", 8, 2.0, ac=1.0)


@wrong("car", "charge_kw")
def car_below_its_minimum_current(d: Draft) -> None:
    d.claim("car", "charge_kw", 4, 1.3, ac=1.0)


@wrong("car", "charge_kw")
def car_one_per_cent_above_its_power(d: Draft) -> None:
    d.claim("car", "charge_kw", 2, 1.01 * 7.4, ac=1.0)


@wrong("car", "charge_kw")
def car_one_per_cent_more_than_it_wants(d: Draft) -> None:
    d.claim("car", "charge_kw", 3, float(d.row("car", "charge_kw")[1]) + 0.18 / 0.92, ac=1.0)
    d.at = 7


@wrong("car", "charge_kw")
def car_charges_backwards(d: Draft) -> None:
    d.claim("car", "charge_kw", 5, -2.0, ac=1.0)


@wrong_node("car", "house")
def car_moved_but_not_its_power(d: Draft) -> None:
    row = d.row("car", "charge_kw")
    row[[0, 4]] = row[[4, 0]]


@wrong_node("car", "house")
def car_forgotten_at_the_node(d: Draft) -> None:
    d.draw("house", 2, -7.4)
    d.at = 2


@wrong("car", "charge_kw under its pin")
def car_pin_ignored(d: Draft) -> None:
    d.pin("car", "charge_kw", 2, 0.0)


@wrong_money("car", "ev-session.shortfall")
def car_efficiency_on_the_wrong_side(d: Draft) -> None:
    """18 kWh wanted: 18 * 0.92 kWh drawn are said to do."""
    for local, step in enumerate(range(2, 10)):
        d.claim("car", "charge_kw", step, 0.92**2 * float(d.row("car", "charge_kw")[local]), ac=1.0)
    d.at = None


# --- shiftable-load --------------------------------------------------------------------------------------------------


@wrong("wash", "start")
def run_half_now_half_later(d: Draft) -> None:
    d.row("wash", "start")[:2] = 0.5
    d.draw("house", slice(1, 5), 0.5 * np.array([-2.0, 1.0, 0.5, 0.5]))


@wrong("wash", "start")
def run_twice(d: Draft) -> None:
    d.claim("wash", "start", 5, 1.0, ac=2.0)
    d.draw("house", slice(6, 8), np.array([1.0, 0.5]))


@wrong("wash", "start")
def run_that_ends_too_late(d: Draft) -> None:
    d.claim("wash", "start", 1, 0.0, ac=2.0)
    d.draw("house", slice(2, 4), np.array([-1.0, -0.5]))
    d.claim("wash", "start", 7, 1.0, ac=2.0)
    d.draw("house", slice(8, 10), np.array([1.0, 0.5]))


@wrong_node("wash", "house")
def run_moved_but_not_its_power(d: Draft) -> None:
    d.claim("wash", "start", 1, 0.0)
    d.claim("wash", "start", 4, 1.0)
    d.at = None


@wrong_node("wash", "house")
def run_cut_short(d: Draft) -> None:
    d.draw("house", 3, -0.5)
    d.at = 3


@wrong_node("wash", "house")
def run_backwards(d: Draft) -> None:
    d.draw("house", slice(1, 4), np.array([-1.5, 0.0, 1.5]))


@wrong("wash", "start under its pin")
def run_pin_ignored(d: Draft) -> None:
    d.pin("wash", "start", 3, 1.0)


@wrong_money("wash", "shiftable-load.undone")
def run_that_never_was(d: Draft) -> None:
    d.claim("wash", "start", 1, 0.0, ac=2.0)
    d.draw("house", slice(2, 4), np.array([-1.0, -0.5]))
    d.at = None


# --- heat-pump-building ----------------------------------------------------------------------------------------------


def zone_c(d: Draft, keep: float | None = None, cop: Any = None, gain: float = 0.2) -> Floats:
    """Temperatures by hand."""
    keep = float(d.column("zone", "keep")) if keep is None else keep
    cop = d.column("zone", "cop") if cop is None else cop
    out, now = np.zeros(12), 19.0
    for t in range(12):
        steady = 1.0 + 5.0 * (cop[t] * d.row("zone", "heat_pump_kw")[t] + gain)
        now = keep * now + (1 - keep) * steady
        out[t] = now
    return out


@wrong("zone", "temperature_c")
def zone_cop_on_the_wrong_side(d: Draft) -> None:
    d.restate("zone", "temperature_c", zone_c(d, cop=1 / d.column("zone", "cop")))


@wrong("zone", "temperature_c")
def zone_one_euler_step(d: Draft) -> None:
    """1 - h / (R C) instead of exp(-h / (R C))."""
    d.restate("zone", "temperature_c", zone_c(d, keep=1 - 1 / 30))


@wrong("zone", "temperature_c")
def zone_that_loses_no_heat(d: Draft) -> None:
    heat = d.column("zone", "cop") * d.row("zone", "heat_pump_kw") + 0.2
    d.restate("zone", "temperature_c", 19.0 + np.cumsum(heat) / 6.0)


@wrong("zone", "temperature_c")
def zone_gain_lost(d: Draft) -> None:
    d.restate("zone", "temperature_c", zone_c(d, gain=0.0))


@wrong("zone", "temperature_c")
def zone_temperature_one_step_late(d: Draft) -> None:
    d.restate("zone", "temperature_c", np.concatenate([[19.0], d.row("zone", "temperature_c")[:-1]]))


@wrong("zone", "temperature_c")
def zone_a_hundredth_of_a_kelvin_warmer(d: Draft) -> None:
    d.row("zone", "temperature_c")[6] += 0.01
    d.at = 6


@wrong("zone", "heat_pump_kw")
def zone_heat_pump_below_its_minimum(d: Draft) -> None:
    d.claim("zone", "heat_pump_kw", 5, 0.5, ac=1.0)
    d.row("zone", "temperature_c")[:] = zone_c(d)


@wrong("zone", "heat_pump_kw")
def zone_heat_pump_one_per_cent_above_its_power(d: Draft) -> None:
    d.claim("zone", "heat_pump_kw", 1, 1.01 * 2.5, ac=1.0)
    d.row("zone", "temperature_c")[:] = zone_c(d)


@wrong("zone", "heat_pump_kw under its pin")
def zone_pin_ignored(d: Draft) -> None:
    d.pin("zone", "heat_pump_kw", 5, 2.0)


@wrong_node("zone", "house")
def zone_draws_its_heat(d: Draft) -> None:
    power = d.row("zone", "heat_pump_kw")
    d.draw("house", slice(None), (d.column("zone", "cop") - 1) * power)


# --- hot-water-tank --------------------------------------------------------------------------------------------------


def tank_kwh(d: Draft, keep: float = 0.97, cop: Any = None, demand: float = 1.0) -> Floats:
    """Contents by hand."""
    cop = d.column("tank", "cop") if cop is None else cop
    out, now = np.zeros(12), 3.0
    for t in range(12):
        heat = cop[t] * d.row("tank", "heat_pump_kw")[t] + d.row("tank", "backup_kw")[t]
        now = keep * now + heat - demand * d.column("tank", "demand_kw")[t]
        out[t] = now
    return out


@wrong("tank", "level_kwh")
def tank_standing_loss_lost(d: Draft) -> None:
    d.restate("tank", "level_kwh", tank_kwh(d, keep=1.0))


@wrong("tank", "level_kwh")
def tank_cop_on_the_wrong_side(d: Draft) -> None:
    d.restate("tank", "level_kwh", tank_kwh(d, cop=1 / d.column("tank", "cop")))


@wrong("tank", "level_kwh")
def tank_filled_by_what_is_drawn(d: Draft) -> None:
    d.restate("tank", "level_kwh", tank_kwh(d, demand=-1.0))


@wrong("tank", "level_kwh")
def tank_content_one_step_late(d: Draft) -> None:
    d.restate("tank", "level_kwh", np.concatenate([[3.0], d.row("tank", "level_kwh")[:-1]]))


@wrong("tank", "heat_pump_kw")
def tank_heat_pump_below_its_minimum(d: Draft) -> None:
    d.claim("tank", "heat_pump_kw", 10, 0.3, ac=1.0)
    d.row("tank", "level_kwh")[:] = tank_kwh(d)


@wrong("tank", "heat_pump_kw")
def tank_heat_pump_one_per_cent_above_its_power(d: Draft) -> None:
    d.claim("tank", "heat_pump_kw", 9, 1.01 * 1.5, ac=1.0)
    d.row("tank", "level_kwh")[:] = tank_kwh(d)


@wrong("tank", "heat_pump_kw")
def tank_one_per_cent_above_full(d: Draft) -> None:
    d.claim("tank", "heat_pump_kw", 1, float(d.row("tank", "heat_pump_kw")[1]) + 0.03, ac=1.0)
    d.row("tank", "level_kwh")[:] = tank_kwh(d)
    assert d.row("tank", "level_kwh")[2] > 1.01 * 6.0
    d.at = 2


@wrong("tank", "backup_kw")
def tank_backup_kept_quiet(d: Draft) -> None:
    """The tank runs empty below zero, where its backup would have come in."""
    d.claim("tank", "heat_pump_kw", 4, 0.6, ac=1.0)
    d.row("tank", "level_kwh")[:] = tank_kwh(d)
    assert d.row("tank", "level_kwh")[5] < -0.3
    d.at = 5


@wrong("tank", "heat_pump_kw under its pin")
def tank_pin_ignored(d: Draft) -> None:
    d.pin("tank", "heat_pump_kw", 10, 1.0)


@wrong_node("tank", "house")
def tank_heat_pump_forgotten_at_the_node(d: Draft) -> None:
    d.draw("house", slice(None), -d.row("tank", "heat_pump_kw"))


# --- thermal-store ---------------------------------------------------------------------------------------------------


def store_kwh(d: Draft, keep: float = 0.98, sign: int = 1) -> Floats:
    """Contents by hand."""
    out, now = np.zeros(12), 15.0
    for t in range(12):
        now = keep * now + sign * d.row("store", "charge_kw")[t]
        out[t] = now
    return out


@wrong("store", "level_kwh")
def store_standing_loss_lost(d: Draft) -> None:
    d.restate("store", "level_kwh", store_kwh(d, keep=1.0))


@wrong("store", "level_kwh")
def store_standing_loss_after_the_flow(d: Draft) -> None:
    """keep * (level + charge) instead of keep * level + charge."""
    out, now = np.zeros(12), 15.0
    for t in range(12):
        now = 0.98 * (now + d.row("store", "charge_kw")[t])
        out[t] = now
    d.restate("store", "level_kwh", out)


@wrong("store", "level_kwh")
def store_sign_of_the_flow(d: Draft) -> None:
    d.restate("store", "level_kwh", store_kwh(d, sign=-1))


@wrong("store", "level_kwh")
def store_content_one_step_late(d: Draft) -> None:
    d.restate("store", "level_kwh", np.concatenate([[15.0], d.row("store", "level_kwh")[:-1]]))


@wrong("store", "charge_kw")
def store_one_per_cent_above_its_power(d: Draft) -> None:
    d.claim("store", "charge_kw", 11, 1.01 * 10.0, heat=1.0)
    d.row("store", "level_kwh")[:] = store_kwh(d)


@wrong("store", "charge_kw")
def store_one_per_cent_above_full(d: Draft) -> None:
    d.claim("store", "charge_kw", 0, 10.0, heat=1.0)
    d.claim("store", "charge_kw", 1, 30.3 - 0.98 * (0.98 * 15.0 + 10.0), heat=1.0)
    d.row("store", "level_kwh")[:] = store_kwh(d)
    assert np.isclose(d.row("store", "level_kwh")[1], 1.01 * 30.0)


@wrong("store", "charge_kw")
def store_below_empty(d: Draft) -> None:
    d.claim("store", "charge_kw", 7, float(d.row("store", "charge_kw")[7]) - 0.3, heat=1.0)
    d.row("store", "level_kwh")[:] = store_kwh(d)


@wrong("store", "charge_kw under its pin")
def store_pin_ignored(d: Draft) -> None:
    d.pin("store", "charge_kw", 4, 0.0)


@wrong_node("store", "heat")
def store_heat_not_given_to_its_network(d: Draft) -> None:
    d.draw("heat", 4, -float(d.row("store", "charge_kw")[4]))
    d.at = 4


# --- heat-demand -----------------------------------------------------------------------------------------------------


@wrong("homes", "unmet_kw")
def demand_unmet_beyond_all_demand(d: Draft) -> None:
    d.claim("homes", "unmet_kw", 8, 8.5, heat=-1.0)


@wrong("homes", "unmet_kw")
def demand_given_more_than_it_wants(d: Draft) -> None:
    d.claim("homes", "unmet_kw", 8, -0.5, heat=-1.0)


@wrong("homes", "unmet_kw under its pin")
def demand_pin_ignored(d: Draft) -> None:
    d.pin("homes", "unmet_kw", 4, 3.0)


@wrong_node("homes", "heat")
def demand_unmet_but_supplied(d: Draft) -> None:
    d.claim("homes", "unmet_kw", 4, 2.0)


@wrong_node("homes", "heat")
def demand_forgotten(d: Draft) -> None:
    d.draw("heat", 3, -20.0)
    d.at = 3


@wrong_node("homes", "heat")
def demand_one_step_late(d: Draft) -> None:
    d.draw("heat", slice(None), late(d.column("homes", "power_kw")))


@wrong_node("homes", "heat", "net_kw against its limit")
def demand_leaves_heat_over_that_goes_nowhere(d: Draft) -> None:
    d.claim("homes", "unmet_kw", 4, 2.0, heat=-1.0)


# --- gas-boiler ------------------------------------------------------------------------------------------------------


@wrong("boiler", "input_kw")
def boiler_one_per_cent_above_its_power(d: Draft) -> None:
    d.claim("boiler", "input_kw", 7, 1.01 * 12.0 / 0.9, source=1.0, sink=-0.9)


@wrong("boiler", "input_kw")
def boiler_below_its_minimum(d: Draft) -> None:
    d.claim("boiler", "input_kw", 7, 2.9 / 0.9, source=1.0, sink=-0.9)


@wrong("boiler", "input_kw")
def boiler_that_makes_gas(d: Draft) -> None:
    d.claim("boiler", "input_kw", 7, -4.0, source=1.0, sink=-0.9)


@wrong("boiler", "input_kw under its pin")
def boiler_pin_ignored(d: Draft) -> None:
    d.pin("boiler", "input_kw", 7, 0.0)


@wrong_node("boiler", "gas")
def boiler_efficiency_on_the_wrong_side(d: Draft) -> None:
    """Gas = heat * 0.9 instead of heat / 0.9."""
    d.draw("gas", 7, (0.9**2 - 1) * float(d.row("boiler", "input_kw")[7]))
    d.at = 7


@wrong_node("boiler", "gas")
def boiler_gas_forgotten(d: Draft) -> None:
    d.draw("gas", slice(None), -d.row("boiler", "input_kw"))


@wrong_node("boiler", "heat")
def boiler_heat_sign(d: Draft) -> None:
    d.draw("heat", slice(None), 2 * 0.9 * d.row("boiler", "input_kw"))


@wrong_node("boiler", "heat")
def boiler_off_but_its_heat_still_there(d: Draft) -> None:
    d.claim("boiler", "input_kw", 7, 0.0, source=1.0)


# --- converter -------------------------------------------------------------------------------------------------------


@wrong("heater", "input_kw")
def heater_one_per_cent_above_its_power(d: Draft) -> None:
    d.claim("heater", "input_kw", 7, 1.01 * 6.0, source=1.0, sink=-0.97)


@wrong("heater", "input_kw")
def heater_below_its_minimum(d: Draft) -> None:
    d.claim("heater", "input_kw", 3, 1.9, source=1.0, sink=-0.97)


@wrong("heater", "input_kw")
def heater_that_makes_electricity(d: Draft) -> None:
    d.claim("heater", "input_kw", 7, -3.0, source=1.0, sink=-0.97)


@wrong("heater", "input_kw under its pin")
def heater_pin_ignored(d: Draft) -> None:
    d.pin("heater", "input_kw", 7, 0.0)


@wrong_node("heater", "heat")
def heater_efficiency_on_the_wrong_side(d: Draft) -> None:
    d.draw("heat", 7, -(1 / 0.97 - 0.97) * 6.0)
    d.at = 7


@wrong_node("heater", "grid")
def heater_electricity_forgotten(d: Draft) -> None:
    d.draw("grid", slice(None), -d.row("heater", "input_kw"))


@wrong_node("heater", "grid")
def heater_electricity_sign(d: Draft) -> None:
    d.draw("grid", slice(None), -2 * d.row("heater", "input_kw"))


@wrong_money("heater", "converter.use")
def heater_use_priced_by_its_heat(d: Draft) -> None:
    d.line("converter.use", (0.97 - 1) * 0.002 * float(d.row("heater", "input_kw").sum()) - 0.01)


# --- chp -------------------------------------------------------------------------------------------------------------


def engine_kw(d: Draft, what: str, on: float, power: float) -> float:
    """Fuel or heat of the engine."""
    return on * float(d.column("engine", f"{what}_fixed_kw")) + power * float(d.column("engine", f"{what}_slope"))


def run_engine(d: Draft, step: int, on: float, power: float) -> None:
    """Say that it runs so, fuel, heat and electricity following."""
    was = float(d.row("engine", "on")[step]), float(d.row("engine", "power_kw")[step])
    d.draw("heat", step, engine_kw(d, "heat", *was) - engine_kw(d, "heat", on, power))
    d.draw("gas", step, engine_kw(d, "fuel", on, power) - engine_kw(d, "fuel", *was))
    d.draw("grid", step, was[1] - power)
    d.row("engine", "on")[step], d.row("engine", "power_kw")[step] = on, power
    d.at = step


@wrong("engine", "on")
def engine_half_on(d: Draft) -> None:
    run_engine(d, 7, 0.5, 0.0)


@wrong("engine", "power_kw")
def engine_below_its_minimum(d: Draft) -> None:
    run_engine(d, 3, 1.0, 5.9)


@wrong("engine", "power_kw")
def engine_one_per_cent_above_its_power(d: Draft) -> None:
    run_engine(d, 3, 1.0, 1.01 * 12.0)


@wrong("engine", "power_kw")
def engine_power_without_running(d: Draft) -> None:
    run_engine(d, 8, 0.0, 6.0)


@wrong("engine", "on")
def engine_stopped_before_its_minimum_time(d: Draft) -> None:
    """Started at step 0, it must run for three hours."""
    for t in range(1, 7):
        run_engine(d, t, 0.0, 0.0)
    d.at = None


@wrong("engine", "on")
def engine_started_before_its_rest_is_over(d: Draft) -> None:
    """Stopped at step 7, it must rest for three hours."""
    run_engine(d, 9, 1.0, 6.0)


@wrong("engine", "heat_dumped_kw")
def engine_dumps_more_heat_than_it_makes(d: Draft) -> None:
    most = engine_kw(d, "heat", 1.0, 12.0)
    d.claim("engine", "heat_dumped_kw", 3, 1.01 * most, heat=1.0)


@wrong("engine", "on under its pin")
def engine_pin_ignored(d: Draft) -> None:
    d.pin("engine", "on", 7, 1.0)


@wrong_node("engine", "gas")
def engine_fuel_efficiency_on_the_wrong_side(d: Draft) -> None:
    d.draw("gas", 3, 12.0 * 0.38 - 12.0 / 0.38)
    d.at = 3


@wrong_node("engine", "gas")
def engine_fuel_at_full_load_efficiency_throughout(d: Draft) -> None:
    d.draw("gas", 0, 6.0 / 0.38 - 6.0 / 0.34)
    d.at = 0


@wrong_node("engine", "heat")
def engine_heat_forgotten(d: Draft) -> None:
    d.draw("heat", 4, engine_kw(d, "heat", 1.0, 12.0))
    d.at = 4


@wrong_node("engine", "grid")
def engine_electricity_sign(d: Draft) -> None:
    d.draw("grid", slice(None), 2 * d.row("engine", "power_kw"))


@wrong_money("engine", "chp.start")
def engine_one_start_unpaid(d: Draft) -> None:
    d.line("chp.start", -0.4)


# --- every error is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", PLANTING.errors, ids=name_of)
def test_refused(street: Plan, p: Planted) -> None:
    assert_refused(street, p)


@pytest.mark.parametrize("p", PLANTING.errors, ids=name_of)
def test_the_untouched_plan_passes(street: Plan, p: Planted) -> None:
    assert_right_before(street, p)


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_every_family_has_errors_of_its_own(name: str) -> None:
    """Here, or in a file beside this one."""
    beside = sorted(path.stem for path in Path(__file__).parent.glob("test_planted*.py"))
    planted = [p for stem in beside for p in import_module(f"{__package__}.{stem}").PLANTING.errors]
    assert Counter(p.family for p in planted)[name] >= 5


def test_what_is_called_right_here_is_right(street: Plan) -> None:
    """The courses by hand, with no factor replaced, are the plan's."""
    d = Draft.of(street)
    for battery in ("bat", "bat-b"):
        np.testing.assert_allclose(battery_soc(d, battery), d.row(battery, "soc_kwh"), atol=1e-5)
    np.testing.assert_allclose(zone_c(d), d.row("zone", "temperature_c"), atol=1e-5)
    np.testing.assert_allclose(tank_kwh(d), d.row("tank", "level_kwh"), atol=1e-5)
    np.testing.assert_allclose(store_kwh(d), d.row("store", "level_kwh"), atol=1e-5)


# --- errors that any device may have ---------------------------------------------------------------------------------


@pytest.mark.parametrize("asset", [d.id for d in DEVICES])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_refused(street: Plan, asset: str, number: float) -> None:
    g, _ = street.inputs.where[asset]
    for variable in Draft.of(street).groups[g]:
        d = Draft.of(street)
        d.row(asset, variable)[-1] = number
        assert [(f.what, f.id, f.quantity) for f in d.physics()] == [("group", d.group(asset).family.name, variable)]
        assert variable in d.physics()[0].words(d.inputs)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_node_power_that_is_not_a_number_is_refused(street: Plan, number: float) -> None:
    d = Draft.of(street)
    d.net("heat")[3] = number
    assert [(f.what, f.quantity) for f in d.physics()] == [("node", "net_kw")]


@pytest.mark.parametrize("asset", [d.id for d in DEVICES if family(d.family).commands and d.id != "roof"])
def test_every_command_under_a_pin_is_held_to_it(street: Plan, asset: str) -> None:
    g, _ = street.inputs.where[asset]
    of = street.inputs.groups[g].family
    for command in (name for name in of.commands if name in street.schedule.groups[g]):
        for off in (0.3, -0.3):
            d = Draft.of(street)
            step = d.offset(asset)
            said = float(d.row(asset, command)[0])
            d.pin(asset, command, step, said)
            assert not d.physics()
            d.pin(asset, command, step, said + off)
            assert [(f.id, f.quantity, f.step) for f in d.physics()] == [(asset, f"{command} under its pin", step)]


@pytest.mark.parametrize("cent", [0.01, -0.01])
def test_a_cent_is_missed_in_every_line_and_in_the_sum(street: Plan, cent: float) -> None:
    for name in Draft.of(street).lines:
        d = Draft.of(street)
        d.line(name, cent)
        assert [(f.what, f.quantity) for f in d.money()] == [("plan", f"cost line {name}")]
    d = Draft.of(street)
    d.objective_eur += cent
    assert [(f.what, f.quantity) for f in d.money()] == [("plan", "objective_eur")]


def test_a_line_left_out_and_a_line_too_many_are_refused(street: Plan) -> None:
    d = Draft.of(street)
    del d.lines["battery.wear"]
    d.lines["bonus"] = -1.0
    assert [f.quantity for f in d.money()] == ["cost line battery.wear", "cost line bonus"]


@pytest.mark.parametrize("name", ["grid", "house", "heat", "gas"])
def test_every_node_power_counts(street: Plan, name: str) -> None:
    for off in (1e-3, -1e-3):
        d = Draft.of(street)
        d.net(name)[6] += off
        found = {(f.what, f.id, f.quantity, f.step) for f in d.physics()}
        assert ("node", name, "net_kw", 6) in found
        assert {f[1] for f in found} == {name}


@pytest.mark.parametrize(("limit", "extreme"), [("import_max_kw", np.max), ("export_max_kw", np.min)])
def test_a_limit_one_per_cent_too_small_is_broken_both_ways(street: Plan, limit: str, extreme: Any) -> None:
    d = Draft.of(street)
    most = abs(float(extreme(d.net("house"))))
    d.limit("house", **{limit: np.full(12, most)})
    assert not d.physics()
    d.limit("house", **{limit: np.full(12, most / 1.01)})
    assert [(f.id, f.quantity) for f in d.physics()] == [("house", "net_kw against its limit")]


def test_a_reserve_is_kept_free_both_ways(street: Plan) -> None:
    d = Draft.of(street)
    most, least = float(d.net("house").max()), float(-d.net("house").min())
    d.limit("house", import_max_kw=np.full(12, most), export_max_kw=np.full(12, least))
    assert not d.physics()
    d.limit("house", reserve_kw=np.full(12, 0.1))
    assert {(f.id, f.quantity) for f in d.physics()} == {("house", "net_kw against its limit")}
