"""A recorded plan taken up again is the same plan, with the worth of things around it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.mix import district
from gridopt.model.inputs import Target
from gridopt.model.schedule import Schedule
from gridopt.solve.held import held, take_up
from gridopt.solve.ladder import Solution, solve
from tests.support.districts import Device, Sketch, energy_price, hours, hours_price, node, peak_price
from tests.support.nested import random_district


def again(plan: Solution, schedule: Schedule | None = None, by_eur: float = 0.0) -> Solution | None:
    a = plan.assembly
    given = schedule or a.schedule(plan.x)
    return take_up(
        a.inputs, given, plan.objective + by_eur, plan.bound + by_eur, plan.status, plan.rung, plan.emergency
    )


def assert_same(plan: Solution) -> None:
    found = again(plan)
    assert found is not None
    assert found.objective == plan.objective
    assert found.bound == plan.bound
    assert found.gap_eur == plan.gap_eur
    assert found.x == pytest.approx(plan.x, abs=1e-5)
    # The duals prove it: nothing that may move would rather do so.
    lower, upper = held(found.assembly, found.x)
    way = np.where(found.reduced > 0, found.x - lower, upper - found.x)
    worth = np.where(np.abs(found.reduced) > 1e-9, way, 0.0) * np.abs(found.reduced)
    assert worth.max() < 1e-5


@pytest.mark.parametrize("seed", range(8))
def test_a_plan_with_decisions_is_taken_up(seed: int) -> None:
    assert_same(solve(random_district(seed).inputs()))


def test_a_plan_within_a_gap_is_taken_up_with_its_gap() -> None:
    rough = Target(gap=0.02, exact_decisions=0)
    plan = solve(district(6, seed=3, step_min=60, target=rough))
    assert plan.gap_eur > 0
    assert_same(plan)


def test_contracts_are_settled_as_the_plan_did() -> None:
    """Peaks, hours of breach, an event over several steps, selling dearer than buying."""
    axis = hours(12)
    load = Device("load", "load", ("grid",), {"power_kw": 3.0 + 2.0 * np.sin(np.arange(12))})
    bat = Device("bat", "battery", ("grid",), {"capacity_kwh": 4.0, "power_kw": 1.0})
    event = dataclasses.replace(
        energy_price(axis, "grid", 1.0, name="event"),
        period=np.where(np.arange(12) < 4, 0, -1), price_above=np.array([0.5]), price_below=np.array([0.1]),
        baseline_kw=np.full(12, 4.0),
    )  # fmt: skip
    supply = energy_price(axis, "grid", 0.2, 0.25)
    terms = (supply, event, peak_price(axis, "grid", 1.0, so_far=2.0), hours_price(axis, "grid", 4.5, 0.3))
    assert_same(solve(Sketch(axis, (node(axis, "grid"),), (load, bat), terms).inputs()))


def test_a_plan_that_costs_something_else_is_not_taken_up() -> None:
    plan = solve(random_district(0).inputs())
    assert again(plan, by_eur=0.01) is None


def test_a_plan_that_its_decisions_could_better_is_not_taken_up() -> None:
    """Two batteries' schedules from a day with other prices: the plan of another model."""
    axis = hours(6)
    load = Device("load", "load", ("grid",), {"power_kw": 3.0})
    bat = Device("bat", "battery", ("grid",), {"capacity_kwh": 4.0, "power_kw": 1.0, "end": "free"})

    def day(price: list[float]) -> Solution:
        return solve(
            Sketch(axis, (node(axis, "grid"),), (load, bat), (energy_price(axis, "grid", price, 0.0),)).inputs()
        )

    plan, other = day([0.1, 0.1, 0.1, 0.5, 0.5, 0.5]), day([0.3] * 6)
    stale = other.assembly.schedule(other.x)
    cost = float(plan.assembly.lp.cost @ other.x) + plan.assembly.lp.offset
    assert cost > plan.objective + 0.01
    assert again(plan, stale, by_eur=cost - plan.objective) is None
