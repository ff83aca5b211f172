"""What is said of a plan is what solving it again finds."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from benchmarks.mix import district, user_table
from gridopt.assets import family
from gridopt.clock import Axis
from gridopt.errors import GridoptError, InfeasibleError, NoPlanError, UnboundedError
from gridopt.model.inputs import Commitment, Flow, Group, Inputs, Node, Pin, Target, make_groups
from gridopt.solve.explain import (
    Alternative,
    Sensitivity,
    alternative,
    binding_limits,
    binding_peaks,
    movable,
    raised_peaks,
    sensitivity,
    variants,
)
from gridopt.solve.ladder import Solution, solve
from gridopt.solve.short import fallen_short
from tests.support.districts import Device, Sketch, energy_price, hours, node, peak_price

T = 24
HOUR = np.arange(T)
DAY = hours(T)
AXIS = Axis(datetime(2026, 1, 14, 23, tzinfo=UTC), 60, T)
EXACT = Target(exact_gap=1e-9, exact_limit_s=60.0)


def groups(name: str, asset: str, node: int, **given: object) -> list[Group]:
    ports = {p.name: [node] for p in family(name).ports}
    return make_groups(family(name), [asset], user_table(name, 1, T, given), ports, AXIS)


def house(import_max_kw: float = 6.0) -> Inputs:
    """A load, a battery and a car on one connection; dear evening, cheap night."""
    hour = np.arange(T)
    buy = 0.2 + 0.15 * np.exp(-(((hour - 18) / 3) ** 2)) + 0.001 * hour
    full, none = np.full(T, import_max_kw), np.zeros(T)
    supply = Commitment("supply", (Flow(1.0, node="grid"),), "energy", hour, none, buy, -0.5 * buy)
    made = groups("battery", "bat", 0, capacity_kwh=8.0, power_kw=3.0, wear_eur_per_kwh=0.01)
    made += groups("ev-session", "car", 0, arrive=2.0, depart=14.0, energy_kwh=14.0, power_kw=4.0)
    made += groups("load", "home", 0, power_kw=1.0 + 0.5 * np.sin(hour))
    return Inputs(AXIS, (Node("grid", "electricity", None, full, full, none),), tuple(made), (supply,), target=EXACT)


@pytest.mark.parametrize("asset", ["bat", "car"])
def test_the_next_best_slot_costs_what_was_said(asset: str) -> None:
    solution = solve(house())
    found = alternative(solution, asset)
    assert found is not None
    assert found.next_first >= 0
    again = solve(dataclasses.replace(house(), pins=found.pins))
    assert again.objective - solution.objective == pytest.approx(found.extra.eur, rel=1e-4, abs=1e-6)
    assert found.extra.eur >= -1e-9
    # The slot it leaves is emptied, the slot it takes is used.
    moved = again.assembly.schedule(again.x).value(house(), asset, found.variable)
    assert np.abs(moved[found.first : found.last]).max() < 1e-9
    assert moved[found.next_first : found.next_last].min() > 0


def test_next_best_slots_of_a_mixed_district_cost_what_was_said() -> None:
    target = Target(exact_gap=1e-7, exact_limit_s=60.0)
    shares = {"heat-pump-building": 0.0, "hot-water-tank": 0.0, "shiftable-load": 0.0}
    inputs = district(2, seed=3, step_min=60, shares=shares, target=target)
    solution = solve(inputs)
    names = movable(inputs, solution.assembly.schedule(solution.x))
    assert names
    for asset in names[:4]:
        found = alternative(solution, asset)
        if found is None:
            continue
        again = solve(dataclasses.replace(inputs, pins=found.pins))
        scale = 1e-4 * abs(solution.objective)
        assert again.objective - solution.objective == pytest.approx(found.extra.eur, abs=scale)


def test_a_binding_limit_is_worth_what_loosening_it_saves() -> None:
    tight = house(4.2)
    solution = solve(tight)
    limits = binding_limits(solution)
    assert limits
    total = sum(b.value_eur_per_kw for b in limits if b.side == "import")
    decisions = solution.assembly.schedule(solution.x)
    assert decisions.net_kw.max() == pytest.approx(4.2, abs=1e-6)
    looser = solve(house(4.21))
    saved = (solution.objective - looser.objective) / 0.01
    assert saved <= total + 1e-6
    assert saved > 0
    assert all(b.limit_kw == pytest.approx(4.2) for b in limits)


def test_a_wide_limit_is_not_said_to_bind() -> None:
    assert binding_limits(solve(house(100.0))) == []


# --- peaks -----------------------------------------------------------------------------------------------------------


def test_a_peak_that_is_paid_binds_where_it_is_set() -> None:
    """Two evening hours of 5 kW set the peak; a battery of 1 kW takes it off them both."""
    power = np.where((HOUR == 18) | (HOUR == 20), 5.0, 1.0)
    bat = Device("bat", "battery", ("grid",), {"capacity_kwh": 8.0, "power_kw": 1.0})
    load = Device("load", "load", ("grid",), {"power_kw": power})
    terms = (energy_price(DAY, "grid", 0.2, 0.05), peak_price(DAY, "grid", 2.0, so_far=1.5, name="month-peak"))
    sketch = Sketch(DAY, (node(DAY, "grid"),), (bat, load), terms)
    (peak,) = binding_peaks(solve(sketch.inputs()))
    assert (peak.commitment, peak.steps, peak.paid) == ("month-peak", (18, 20), True)
    assert (peak.peak_kw, peak.free_kw, peak.value_eur_per_kw) == pytest.approx((4.0, 1.5, 2.0))
    lower = Sketch(
        DAY, sketch.nodes, (bat, load), (terms[0], peak_price(DAY, "grid", 2.0, so_far=1.6, name="month-peak"))
    )
    saved = solve(sketch.inputs()).objective - solve(lower.inputs()).objective
    assert saved == pytest.approx(0.1 * peak.value_eur_per_kw)


def test_a_peak_kept_to_what_it_was_binds_too() -> None:
    """The battery could buy more at night, and does not, because of the peak."""
    bat = Device("bat", "battery", ("grid",), {"capacity_kwh": 40.0, "power_kw": 10.0})
    load = Device("load", "load", ("grid",), {"power_kw": 2.0})
    buy = np.where(HOUR < 6, 0.1, 0.4)

    def day(so_far: float) -> Sketch:
        terms = (energy_price(DAY, "grid", buy, 0.05), peak_price(DAY, "grid", 50.0, so_far=so_far))
        return Sketch(DAY, (node(DAY, "grid"),), (bat, load), terms)

    (peak,) = binding_peaks(solve(day(4.0).inputs()))
    assert not peak.paid
    assert (peak.peak_kw, peak.free_kw) == pytest.approx((4.0, 4.0))
    assert peak.steps == tuple(range(6))
    saved = solve(day(4.0).inputs()).objective - solve(day(4.01).inputs()).objective
    assert saved == pytest.approx(0.01 * peak.value_eur_per_kw)


def test_a_peak_far_below_what_it_was_does_not_bind() -> None:
    load = Device("load", "load", ("grid",), {"power_kw": 2.0})
    terms = (energy_price(DAY, "grid", 0.2, 0.05), peak_price(DAY, "grid", 2.0, so_far=9.0))
    assert binding_peaks(solve(Sketch(DAY, (node(DAY, "grid"),), (load,), terms).inputs())) == []


def test_a_peak_behind_a_device_is_raised_by_what_the_device_serves() -> None:
    """Heat drawn behind a heat pump raises the grid's peak, a kW of it by a third; gas does not."""
    power = np.where(HOUR == 18, 5.0, 1.0)
    devices = (
        Device("load", "load", ("grid",), {"power_kw": power}),
        Device("pump", "converter", ("grid", "heat"), {"power_kw": 9.0, "power_min_kw": 0.0, "efficiency": 3.0}),
        Device("flats", "heat-demand", ("heat",), {"power_kw": 3.0}),
        Device("oven", "heat-demand", ("kitchen",), {"power_kw": 3.0}),
        Device("boiler", "gas-boiler", ("gas", "kitchen"), {"power_kw": 9.0, "power_min_kw": 0.0}),
    )
    nodes = (
        node(DAY, "gas", None, 80.0, 0.0, "gas"), node(DAY, "grid"), node(DAY, "heat", None, 0.0, 0.0, "heat"),
        node(DAY, "kitchen", None, 0.0, 0.0, "heat"),
    )  # fmt: skip
    terms = (
        energy_price(DAY, "gas", 0.08), energy_price(DAY, "grid", 0.2, 0.0), peak_price(DAY, "grid", 2.0, name="month"),
    )  # fmt: skip
    solution = solve(Sketch(DAY, nodes, devices, terms).inputs())
    assert [n.id for n in solution.assembly.inputs.nodes] == ["gas", "grid", "heat", "kitchen"]
    at_18 = raised_peaks(solution, [(k, 18) for k in range(4)])
    assert at_18 == [(), ("month",), ("month",), ()]
    assert raised_peaks(solution, [(k, 12) for k in range(4)]) == [()] * 4
    assert raised_peaks(solve(wash(12.0)), [(0, 6)]) == [()]


# --- runs that are started once --------------------------------------------------------------------------------------


def wash(latest: float) -> Inputs:
    machine = Device("wash", "shiftable-load", ("grid",), {"profile_kw": [2.0, 1.0], "earliest": 1.0, "latest": latest})
    buy = 0.3 + 0.02 * np.abs(HOUR - 6.0) + 0.001 * HOUR
    return Sketch(DAY, (node(DAY, "grid"),), (machine,), (energy_price(DAY, "grid", buy, 0.0),)).inputs()


def test_the_next_best_run_of_a_machine_costs_what_was_said() -> None:
    """It runs at six and seven; at four and five a kWh costs more, at eight and nine more still."""
    inputs = wash(12.0)
    solution = solve(inputs)
    assert movable(inputs, solution.assembly.schedule(solution.x)) == ["wash"]
    found = alternative(solution, "wash")
    assert found is not None
    assert (found.variable, found.first, found.last, found.energy_kwh) == ("start", 6, 8, 3.0)
    assert (found.next_first, found.next_last) == (4, 6)
    again = solve(dataclasses.replace(inputs, pins=found.pins))
    assert again.objective - solution.objective == pytest.approx(found.extra.eur, rel=1e-4)
    assert found.extra.eur > 0
    assert {p.variable for p in found.pins} == {"start"}


def test_a_machine_without_room_for_another_run_begins_at_another_step() -> None:
    inputs = wash(4.0)  # it fits at one and at two
    solution = solve(inputs)
    found = alternative(solution, "wash")
    assert found is not None
    assert (found.first, found.last, found.next_first, found.next_last) == (2, 4, 1, 3)


def test_a_run_that_begins_idle_is_held_by_its_start() -> None:
    """The first part of the profile draws nothing: the start is not where the power is."""
    machine = Device("wash", "shiftable-load", ("grid",), {"profile_kw": [0.0, 2.0], "earliest": 1.0, "latest": 12.0})
    buy = 0.3 + 0.02 * np.abs(HOUR - 6.0) + 0.001 * HOUR
    inputs = Sketch(DAY, (node(DAY, "grid"),), (machine,), (energy_price(DAY, "grid", buy, 0.0),)).inputs()
    solution = solve(inputs)
    found = alternative(solution, "wash")
    assert found is not None
    assert (found.first, found.last, found.next_first, found.next_last) == (5, 7, 3, 5)
    again = solve(dataclasses.replace(inputs, pins=found.pins))
    assert again.objective - solution.objective == pytest.approx(found.extra.eur, rel=1e-4)


# --- plans that are none, or fall short ------------------------------------------------------------------------------


def short_house() -> Sketch:
    """A battery that just reaches its goal, because the load leaves it just enough of the connection."""
    bat = {
        "capacity_kwh": 10.0, "power_kw": 3.0, "efficiency_in": 1.0, "efficiency_out": 1.0, "loss_per_h": 0.0,
        "soc_min": 0.0, "soc_max": 1.0, "soc_start": 0.0, "end": "target", "soc_end": 1.0,
    }  # fmt: skip
    devices = (
        Device("bat", "battery", ("grid",), bat),
        Device("load", "load", ("grid",), {"power_kw": np.full(10, 2.0)}),
    )
    axis = hours(10)
    return Sketch(axis, (node(axis, "grid", None, 3.0, 0.0),), devices, (energy_price(axis, "grid", 0.2, 0.0),))


def test_a_variant_that_falls_short_says_by_how_much() -> None:
    """10 % more load leaves 8 of 10 kWh; the plan is then no dearer, it only does less."""
    solution = solve(short_house().inputs())
    assert solution.emergency == 0
    (load,) = (v for v in variants(solution.assembly.inputs) if v.what == "load.power_kw")
    found = sensitivity(solution, load)
    assert found.up.short == {"kWh": pytest.approx(2.0, abs=1e-4)}
    assert found.up.eur == pytest.approx(0.0, abs=1e-4)
    assert found.down.short == {}


def test_an_alternative_that_falls_short_says_by_how_much() -> None:
    solution = solve(short_house().inputs())
    found = alternative(solution, "bat")
    assert found is not None
    assert found.extra.short == {"kWh": pytest.approx(found.energy_kwh, abs=1e-4)}
    assert found.extra.eur < 0


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(UnboundedError, "no bound"), (InfeasibleError, "no plan"), (NoPlanError, "no time")],
)
def test_what_has_no_plan_says_why(error: type[GridoptError], outcome: str) -> None:
    def again(_: Inputs) -> Solution:
        raise error("none")

    solution = solve(house())
    found = sensitivity(solution, variants(house())[0], again)
    assert (found.up.outcome, found.down.outcome) == (outcome, outcome)
    assert np.isnan(found.up.eur)
    other = alternative(solution, "bat", again)
    assert other is not None
    assert (other.extra.outcome, other.next_first) == (outcome, -1)


def test_a_difference_is_as_uncertain_as_both_proofs() -> None:
    solution = solve(house())
    rough = dataclasses.replace(solution, bound=solution.objective - 0.25)

    def again(inputs: Inputs) -> Solution:
        other = solve(inputs)
        return dataclasses.replace(other, bound=other.objective - 0.5)

    found = alternative(rough, "car", again)
    assert found is not None
    assert found.extra.uncertain_eur == pytest.approx(0.75)
    assert sensitivity(rough, variants(house())[0], again).up.uncertain_eur == pytest.approx(0.75)


# --- what would change it --------------------------------------------------------------------------------------------


def changes(inputs: Inputs) -> dict[str, Sensitivity]:
    solution = solve(inputs)
    return {v.what: sensitivity(solution, v) for v in variants(inputs)}


def test_sensitivities_are_what_solving_again_finds() -> None:
    solution = solve(house())
    found = changes(house())
    assert set(found) == {"supply.above", "supply.below", "load.power_kw"}
    assert {s.step for s in found.values()} == {"10 %"}
    inputs = house()
    supply = inputs.commitments[0]
    dearer = dataclasses.replace(supply, price_above=supply.price_above * 1.1)
    again = solve(dataclasses.replace(inputs, commitments=(dearer,)))
    assert found["supply.above"].up.eur == pytest.approx(again.objective - solution.objective, abs=1e-9)
    assert found["supply.above"].up.eur > 0 > found["supply.above"].down.eur
    assert found["supply.above"].size_eur == max(found["supply.above"].up.eur, -found["supply.above"].down.eur)


def test_an_input_without_a_plan_is_said_to_have_none() -> None:
    """The load stands at the limit: 10 % more has no plan."""
    none = np.zeros(T)
    full = np.full(T, 5.0)
    supply = Commitment("supply", (Flow(1.0, node="grid"),), "energy", np.arange(T), none, full * 0.05, none)
    grid = Node("grid", "electricity", None, full, none, none)
    inputs = Inputs(AXIS, (grid,), tuple(groups("load", "home", 0, power_kw=4.9)), (supply,), target=EXACT)
    found = changes(inputs)["load.power_kw"]
    assert found.up.outcome == "no plan"
    assert found.size_eur == np.inf
    assert found.down.eur < 0


# --- one weather -----------------------------------------------------------------------------------------------------

ZONE = {"resistance_k_per_kw": 5.0, "capacity_kwh_per_k": 4.0, "power_kw": 3.0}
TANK = {"capacity_kwh": 8.0, "power_kw": 2.0, "demand_kw": 0.5}
OUTDOOR_C = 5.0 + 3.0 * np.sin(np.arange(24) / 4)


def heated(by_k: float, given: float | None = None) -> Inputs:
    """A zone and a tank in one weather; ``given``: the zone's COP, instead of the weather's."""
    outdoor = OUTDOOR_C + by_k
    zone = {**ZONE, "outdoor_c": outdoor} | ({} if given is None else {"cop": given})
    devices = (
        Device("hp", "heat-pump-building", ("grid",), zone),
        Device("tank", "hot-water-tank", ("grid",), {**TANK, "outdoor_c": outdoor}),
    )
    return Sketch(DAY, (node(DAY, "grid"),), devices, (energy_price(DAY, "grid", 0.2, 0.1),)).inputs()


@pytest.mark.parametrize("given", [None, 3.2])
def test_a_warmer_day_is_one_kelvin_warmer_for_losses_and_heat_pumps(given: float | None) -> None:
    """Just what the district is with another weather said by its user: losses, and the COP that nobody gave."""
    (weather,) = (v for v in variants(heated(0.0, given)) if v.what.endswith("outdoor_c"))
    assert (weather.words, weather.step) == ("outdoor temperature", "1 K")
    for sign in (1, -1):
        assert weather.moved(sign).digest() == heated(float(sign), given).digest()
    found = sensitivity(solve(heated(0.0, given)), weather)
    assert found.up.eur < -0.01
    assert found.down.eur > 0.01


def test_a_frosty_day_is_moved_as_well() -> None:
    """10 % of 0 °C would be no change at all."""
    zone = Device("hp", "heat-pump-building", ("grid",), {**ZONE, "outdoor_c": 0.0})
    inputs = Sketch(DAY, (node(DAY, "grid"),), (zone,), (energy_price(DAY, "grid", 0.2, 0.1),)).inputs()
    (weather,) = (v for v in variants(inputs) if v.what.endswith("outdoor_c"))
    (zone_group,) = weather.moved(-1).groups
    assert zone_group.columns["outdoor_c"] == pytest.approx(-1.0)


# --- what a person holds ---------------------------------------------------------------------------------------------


def pinned(inputs: Inputs, *pins: Pin) -> Inputs:
    return dataclasses.replace(inputs, pins=tuple(sorted(pins, key=lambda p: (p.asset, p.variable, p.first))))


def assert_kept(inputs: Inputs, found: Alternative) -> Solution:
    """What reproduces an alternative leaves every pin of the person's in force; returns its plan."""
    mine = {(p.asset, p.variable, t) for p in inputs.pins for t in range(p.first, p.last)}
    added = found.pins
    assert not [p for p in added for t in range(p.first, p.last) if p.value != 0 and (p.asset, p.variable, t) in mine]
    again = solve(dataclasses.replace(inputs, pins=(*inputs.pins, *added)))
    schedule = again.assembly.schedule(again.x)
    for p in inputs.pins:
        held = schedule.value(inputs, p.asset, p.variable)[p.first : p.last]
        assert held == pytest.approx(np.full(p.last - p.first, p.value), abs=1e-6)
    return again


@pytest.mark.parametrize(
    "pin",
    [Pin("bat", "charge_kw", 3, 5, 2.0), Pin("bat", "discharge_kw", 17, 19, 2.0), Pin("car", "charge_kw", 2, 4, 3.0)],
)
def test_no_alternative_frees_what_a_person_holds(pin: Pin) -> None:
    inputs = pinned(house(), pin)
    solution = solve(inputs)
    for asset in ("bat", "car"):
        found = alternative(solution, asset)
        assert found is not None
        if (found.asset, found.variable) == (pin.asset, pin.variable):
            assert found.last <= pin.first or found.first >= pin.last
        again = assert_kept(inputs, found)
        assert again.objective - solution.objective == pytest.approx(found.extra.eur, rel=1e-4, abs=1e-6)


def test_what_is_held_all_along_has_no_alternative_and_is_not_movable() -> None:
    inputs = pinned(house(), *(Pin("bat", v, 0, T, 0.0) for v in ("charge_kw", "discharge_kw")))
    free = solve(inputs)
    assert "bat" not in movable(inputs, free.assembly.schedule(free.x))
    charging = np.array(free.assembly.schedule(free.x).value(inputs, "car", "charge_kw"))
    pins = [Pin("car", "charge_kw", t, t + 1, float(v)) for t, v in enumerate(charging)]
    held = pinned(inputs, *inputs.pins, *pins)
    solution = solve(held)
    assert movable(held, solution.assembly.schedule(solution.x)) == []
    assert alternative(solution, "car") is None


def test_a_run_whose_start_is_held_has_no_alternative() -> None:
    inputs = pinned(wash(12.0), Pin("wash", "start", 3, 4, 1.0))
    solution = solve(inputs)
    assert movable(inputs, solution.assembly.schedule(solution.x)) == []
    assert alternative(solution, "wash") is None
    elsewhere = pinned(wash(12.0), Pin("wash", "start", 4, 6, 0.0))
    solution = solve(elsewhere)
    found = alternative(solution, "wash")
    assert found is not None
    assert (found.first, found.next_first) == (6, 8)
    assert_kept(elsewhere, found)


def test_an_alternative_that_a_pin_excludes_has_no_plan() -> None:
    """At six the content is held 2 kWh above where it began, and only from four on may it charge."""
    soc = Pin("bat", "soc_kwh", 5, 6, float(house().groups[0].columns["soc_start_kwh"][0]) + 2.0)
    never, later = Pin("bat", "discharge_kw", 0, T, 0.0), Pin("bat", "charge_kw", 0, 4, 0.0)
    inputs = pinned(house(), soc, never, later)
    found = alternative(solve(inputs), "bat")
    assert found is not None
    assert (4 <= found.first < found.last <= 6, found.extra.outcome, found.next_first) == (True, "no plan", -1)


# --- what falls short, each in its own unit --------------------------------------------------------------------------


def test_a_shortfall_that_a_pin_causes_counts() -> None:
    """3 kW of heat withheld by hand for half an hour are 1.5 kWh, whatever else the plan could do."""
    axis = hours(6, 30)
    devices = (
        Device("boiler", "gas-boiler", ("gas", "heat"), {"power_kw": 20.0, "power_min_kw": 0.0}),
        Device("flats", "heat-demand", ("heat",), {"power_kw": 5.0}),
    )
    nodes = (node(axis, "gas", None, 80.0, 0.0, "gas"), node(axis, "heat", None, 0.0, 0.0, "heat"))
    free = Sketch(axis, nodes, devices, (energy_price(axis, "gas", 0.08),))
    cold = dataclasses.replace(free, pins=(Pin("flats", "unmet_kw", 1, 2, 3.0),))
    solution = solve(cold.inputs())
    assert fallen_short(solution) == {"kWh": pytest.approx(1.5)}
    assert fallen_short(solve(free.inputs())) == {}
    (demand,) = (v for v in variants(cold.inputs()) if v.what.startswith("heat-demand"))
    assert sensitivity(solution, demand).up.short == {}


def basin(level_m3: float = 120.0, **given: Any) -> Sketch:
    """A basin that begins fuller than it may be, emptied by 10 m³ an hour at most, beside flats."""
    axis = hours(4)
    tank = {
        "pumping": "out", "inflow_m3_per_h": 0.0, "level_max_m3": 100.0, "level_start_m3": level_m3, "power_kw": 2.0,
        "power_min_kw": 0.0, "lift_kwh_per_m3": 0.2, "end": "free", "reserve_m3": 0.0, **given,
    }  # fmt: skip
    devices = (
        Device("basin", "basin", ("grid",), tank),
        Device("boiler", "gas-boiler", ("gas", "heat"), {"power_kw": 20.0, "power_min_kw": 0.0}),
        Device("flats", "heat-demand", ("heat",), {"power_kw": 21.0}),
    )
    nodes = (
        node(axis, "gas", None, 80.0, 0.0, "gas"), node(axis, "grid"), node(axis, "heat", None, 0.0, 0.0, "heat"),
    )  # fmt: skip
    terms = (energy_price(axis, "gas", 0.08), energy_price(axis, "grid", 0.2, 0.0))
    return Sketch(axis, nodes, devices, terms)


def test_every_shortfall_is_said_in_its_own_unit() -> None:
    """10 m³ too many at worst, one kW of heat lacking for four hours."""
    solution = solve(basin().inputs())
    assert fallen_short(solution) == {"m³": pytest.approx(10.0, abs=1e-4), "kWh": pytest.approx(4.0, abs=1e-4)}
    (demand,) = (v for v in variants(solution.assembly.inputs) if v.what.startswith("heat-demand"))
    found = sensitivity(solution, demand)
    assert found.up.short == {"kWh": pytest.approx(8.4, abs=1e-3)}
    assert found.down.short == {"kWh": pytest.approx(-4.0, abs=1e-3)}


def test_cubic_metres_make_no_kilowatt_hours_of_their_tolerance() -> None:
    """A basin ten thousand m³ too full for days: what a search may leave of it is no heat that lacks."""
    big = basin(10_000_100.0, level_max_m3=100.0)
    solution = solve(big.inputs())
    x = solution.x.copy()
    spare = 1e-6 * float(solution.assembly.emergency_weight @ x[solution.assembly.emergencies])
    assert spare > 1.0
    g, _ = big.inputs().where["flats"]
    columns = solution.assembly.blocks[g].columns("unmet_kw")
    assert columns is not None
    x[columns[0, 0]] += 0.5 * spare
    nudged = dataclasses.replace(solution, x=x)
    load = next(v for v in variants(big.inputs()) if v.what.startswith("heat-demand"))
    assert sensitivity(solution, load, lambda _: nudged).up.short == {}
