"""What is said of a plan is what solving it again finds."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import numpy as np
import pytest

from benchmarks.mix import district, user_table
from gridopt.assets import family
from gridopt.clock import Axis
from gridopt.model.inputs import Commitment, Flow, Group, Inputs, Node, Target, make_groups
from gridopt.solve.explain import alternative, binding_limits, marginal_prices, movable, sensitivities
from gridopt.solve.ladder import solve

T = 24
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
    assert again.objective - solution.objective == pytest.approx(found.extra_eur, rel=1e-4, abs=1e-6)
    assert found.extra_eur >= -1e-9
    # The slot it leaves is emptied, the slot it takes is used.
    moved = again.assembly.schedule(again.x).value(house(), asset, found.variable)
    assert np.abs(moved[found.first : found.last]).max() < 1e-9
    assert moved[found.next_first : found.next_last].min() > 0


def test_next_best_slots_of_a_mixed_district_cost_what_was_said() -> None:
    target = Target(exact_gap=1e-7, exact_limit_s=60.0)
    shares = {"heat-pump-building": 0.0, "heat-pump-tank": 0.0, "shiftable-load": 0.0}
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
        assert again.objective - solution.objective == pytest.approx(found.extra_eur, abs=scale)


def test_a_marginal_price_is_the_cost_of_one_more_kwh() -> None:
    solution = solve(house())
    price = marginal_prices(solution)[0]
    for step in (0, 9, 18, 23):
        moved = []
        for more in (0.01, -0.01):
            inputs = house()
            load = next(g for g in inputs.groups if g.family.name == "load")
            load.columns["power_kw"][0, step] += more
            moved.append(solve(inputs).objective - solution.objective)
        # Left and right slopes enclose the dual.
        assert -moved[1] / 0.01 - 1e-6 <= price[step] <= moved[0] / 0.01 + 1e-6


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


def test_sensitivities_are_what_solving_again_finds() -> None:
    solution = solve(house())
    found = {s.what: s for s in sensitivities(solution)}
    assert set(found) == {"supply.above", "supply.below", "load.power_kw"}
    inputs = house()
    supply = inputs.commitments[0]
    dearer = dataclasses.replace(supply, price_above=supply.price_above * 1.1)
    again = solve(dataclasses.replace(inputs, commitments=(dearer,)))
    assert found["supply.above"].up_eur == pytest.approx(again.objective - solution.objective, abs=1e-9)
    assert found["supply.above"].up_eur > 0 > found["supply.above"].down_eur
    sizes = [s.size_eur for s in sensitivities(solution)]
    assert sizes == sorted(sizes, reverse=True)


def test_an_input_without_a_plan_is_said_to_have_none() -> None:
    """The load stands at the limit: 10 % more has no plan."""
    none = np.zeros(T)
    full = np.full(T, 5.0)
    supply = Commitment("supply", (Flow(1.0, node="grid"),), "energy", np.arange(T), none, full * 0.05, none)
    node = Node("grid", "electricity", None, full, none, none)
    inputs = Inputs(AXIS, (node,), tuple(groups("load", "home", 0, power_kw=4.9)), (supply,), target=EXACT)
    found = {s.what: s for s in sensitivities(solve(inputs))}
    assert np.isnan(found["load.power_kw"].up_eur)
    assert found["load.power_kw"].down_eur < 0
