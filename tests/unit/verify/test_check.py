"""verify: nothing to find in what the solver plans, rules and overrides held, shortfalls owned up to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.mix import district
from gridopt.model.inputs import INF, Inputs, LinearRule, Pin, Target
from gridopt.verify import Finding, verify
from tests.support.districts import Device, Plan, Sketch, energy_price, hours, node, planned
from tests.unit.verify.conftest import Draft

# --- what the solver plans -------------------------------------------------------------------------------------------

ROUGH = Target(gap=0.05, exact_gap=0.05, time_limit_s=300.0)
"""Any plan will do here: a bad one must hold as well as a good one."""


def tight(plan: Plan) -> Inputs:
    """The same district behind a connection that its plan would have used up both ways."""
    net = plan.net_kw("grid")
    limits = {"import_max_kw": np.full(len(net), 0.9 * net.max()), "export_max_kw": np.full(len(net), -0.7 * net.min())}
    grid = [replace(n, **limits) if n.id == "grid" else n for n in plan.inputs.nodes]
    return replace(plan.inputs, nodes=tuple(grid))


@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_found_in_a_plan(seed: int) -> None:
    """Three buildings with every device, every third district with an engine, every second with negative prices; then
    once more behind a tighter connection."""
    shares = {"ev-session": 0.7, "heat-pump-building": 0.7, "hot-water-tank": 0.7, "pv": 1.0}
    inputs = district(
        3, seed, step_min=60, negative=seed % 2 == 0, shares=shares, engines=int(seed % 3 == 0), target=ROUGH
    )
    loose = planned(inputs)
    plan = planned(tight(loose))
    assert plan.net_kw("grid").max() <= 0.9 * loose.net_kw("grid").max() + 1e-6


def test_the_connection_is_used_up_both_ways_and_prices_are_negative() -> None:
    """The districts above are what they are meant to be."""
    both = 0
    for seed in range(0, 30, 6):
        plan = planned(tight(planned(district(3, seed, step_min=60, negative=True, target=ROUGH))))
        supply = next(c for c in plan.inputs.commitments if c.id == "supply")
        assert supply.price_above.min() < -0.02
        low, high = plan.inputs.nodes[plan.inputs.node_index["grid"]].net_bounds()
        net = plan.net_kw("grid")
        both += bool(np.isclose(net, high).any() and np.isclose(net, low).any())
    assert both >= 3


# --- rules -----------------------------------------------------------------------------------------------------------


def rule(low: float, high: float, *terms: tuple[float, str, str, str, int]) -> LinearRule:
    return LinearRule("the-rule", terms, low, high)


@pytest.mark.parametrize(
    ("term", "value"),
    [
        ((1.0, "asset", "bat", "charge_kw", 2), 4.0),
        ((2.0, "asset", "bat", "soc_kwh", 0), 11.96),
        ((1.0, "asset", "late-car", "charge_kw", 9), 3.7),
        ((1.0, "asset", "late-car", "charge_kw", 3), 0.0),
        ((1.0, "asset", "late-car", "short_kwh", 0), 9.0 - 0.92 * 7.4),
        ((1.0, "node", "house", "import_kw", 5), 0.0),
        ((-1.0, "node", "gas", "import_kw", 7), -6.1),
        ((1.0, "node", "gas", "net_kw", 7), 6.1),
        ((1.0, "node", "gas", "export_kw", 7), 0.0),
    ],
)
def test_a_rule_is_held_to_the_plan(street: Plan, term: tuple[float, str, str, str, int], value: float) -> None:
    d = Draft.of(street)
    for low, high, holds in (
        (value, value, True), (-INF, value, True), (value, INF, True),
        (-INF, value - 0.01, False), (value + 0.01, INF, False),
    ):  # fmt: skip
        d.ask(rules=(rule(low, high, term),))
        found = d.physics()
        assert (not found) is holds
        assert all((f.what, f.id) == ("rule", "the-rule") for f in found)


def test_a_rule_adds_its_terms_up(street: Plan) -> None:
    d = Draft.of(street)
    terms = ((1.0, "asset", "bat", "charge_kw", 2), (-2.0, "asset", "bat-b", "discharge_kw", 4))
    d.ask(rules=(rule(0.0, 0.0, *terms),))
    assert not d.physics()
    d.ask(rules=(rule(0.1, 0.2, *terms),))
    [found] = d.physics()
    assert (found.said, found.found) == pytest.approx((0.0, 0.1))


# --- overrides -------------------------------------------------------------------------------------------------------


def test_a_pin_holds_on_its_own_steps_alone(street: Plan) -> None:
    d = Draft.of(street)
    d.ask(pins=(Pin("bat", "charge_kw", 8, 10, 4.0), Pin("bat", "discharge_kw", 0, 4, 0.0, "outage")))
    assert not d.physics()
    d.ask(pins=(Pin("bat", "discharge_kw", 0, 5, 0.0, "outage"),))
    [found] = d.physics()
    assert (found.id, found.quantity, found.step) == ("bat", "discharge_kw under its outage", 4)
    assert (found.said, found.found) == pytest.approx((3.0, 0.0))


def test_a_pin_that_begins_before_the_window_names_the_right_step(street: Plan) -> None:
    d = Draft.of(street)
    d.ask(pins=(Pin("late-car", "charge_kw", 5, 10, 0.0),))
    assert [f.step for f in d.physics()] == [9]


def test_a_pin_that_ends_before_the_window_holds_nothing(street: Plan) -> None:
    d = Draft.of(street)
    d.ask(pins=(Pin("late-car", "charge_kw", 5, 6, 9.0),))
    assert not d.physics()


# --- shortfalls ------------------------------------------------------------------------------------------------------


def test_a_battery_short_of_its_goal_says_so(street: Plan) -> None:
    d = Draft.of(street)
    d.claim("bat", "discharge_kw", 11, 3.8, ac=-1.0)
    d.row("bat", "soc_kwh")[11] -= 0.8 / 0.85
    assert d.row("bat", "soc_kwh")[11] < 5.0
    assert ("bat", "end_short_kwh") in {(f.id, f.quantity) for f in d.physics()}


def test_a_store_short_of_its_goal_says_so(street: Plan) -> None:
    d = Draft.of(street)
    d.claim("store", "charge_kw", 11, float(d.row("store", "charge_kw")[11]) - 0.9, heat=1.0)
    d.row("store", "level_kwh")[11] -= 0.9
    d.claim("boiler", "input_kw", 11, 5.37 - 1.0, source=1.0, sink=-0.9)
    assert d.row("store", "level_kwh")[11] < 15.0
    assert ("store", "end_short_kwh") in {(f.id, f.quantity) for f in d.physics()}


def test_a_car_that_leaves_short_says_so(street: Plan) -> None:
    d = Draft.of(street)
    d.row("late-car", "short_kwh")[0] = 0.0
    assert ("late-car", "short_kwh") in {(f.id, f.quantity) for f in d.physics()}


def test_a_run_that_never_was_says_so(street: Plan) -> None:
    d = Draft.of(street)
    d.claim("wash", "start", 1, 0.0, ac=2.0)
    d.draw("house", slice(2, 4), np.array([-1.0, -0.5]))
    assert ("wash", "undone") in {(f.id, f.quantity) for f in d.physics()}


def test_a_run_whose_second_part_is_left_out_says_so() -> None:
    """Wherever the first run starts: the last one leaves the second an hour, and a pause that may outlast it."""
    given = {"profile_kw": [2.0], "then_profile_kw": [1.5], "then_gap_max_h": 1.0, "earliest": 0.0, "latest": 4.0}
    wash = Device("wash", "shiftable-load", ("grid",), given)
    plan = planned(Sketch(hours(4), (node(hours(4), "grid"),), (wash,)))
    for start in range(3):
        d = Draft.of(plan)
        for name in ("start", "then_start", "undone"):
            d.row("wash", name)[:] = 0.0
        d.row("wash", "start")[start] = 1.0
        found = {f.quantity for f in d.physics() if f.id == "wash"}
        assert found & {"then_start", "undone"}, start


def test_a_zone_too_cold_says_so(street: Plan) -> None:
    """Out of its comfort band in the last two hours: 21.14 and 20.51 °C, where 22 are wanted then."""
    d = Draft.of(street)
    d.wish("zone", "comfort_min_c", np.array([19.0] * 3 + [20.5] * 7 + [22.0] * 2))
    assert ("zone", "under_k") in {(f.id, f.quantity) for f in d.physics()}


def test_an_engine_stopped_before_its_time_says_so() -> None:
    """It has run for an hour of its four. Stopped at once it owes three, which no cost line shows."""
    axis = hours(4)
    engine = {
        "power_max_kw": 10.0, "power_min_kw": 5.0, "on_start": True, "hours_in_status_h": 1.0, "min_up_h": 4.0,
        "dump": True,
    }  # fmt: skip
    nodes = (
        node(axis, "grid"), node(axis, "heat", None, 0.0, carrier="heat"), node(axis, "gas", None, 90.0, 0.0, "gas"),
    )  # fmt: skip
    prices = (energy_price(axis, "grid", 0.0), energy_price(axis, "gas", 0.1))
    d = Draft.of(planned(Sketch(axis, nodes, (Device("engine", "chp", ("grid", "heat", "gas"), engine),), prices)))
    assert d.row("engine", "on")[:3].tolist() == [1.0, 1.0, 1.0]
    for name in ("on", "power_kw", "heat_dumped_kw"):
        d.row("engine", name)[:] = 0.0
    d.net_kw[:] = 0.0
    assert ("engine", "too_early_h") in {(f.id, f.quantity) for f in d.physics()}


# --- words -----------------------------------------------------------------------------------------------------------


def test_a_finding_in_words(street: Plan) -> None:
    one = Finding("asset", "bat", "soc_kwh", 3, 5.25, 5.5)
    assert one.words(street.inputs) == "asset bat: soc_kwh at Thu 15 Jan 03:00 is 5.25, recomputed 5.5"
    whole = Finding("plan", "", "objective_eur", -1, 1.0, 2.0)
    assert whole.words(street.inputs).endswith("objective_eur is 1, recomputed 2")


def test_without_money_said_none_is_missed(street: Plan) -> None:
    assert not verify(street.inputs, street.schedule)
    assert not verify(street.inputs, street.schedule, street.cost_eur)
