"""Why a goal with a price is missed is what planning with the goal first finds."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from gridopt.model.inputs import Inputs
from gridopt.solve.ladder import Solution, solve
from gridopt.solve.reach import Reach, goal_columns, reach
from gridopt.verify import bill, replay, verify
from tests.support.districts import Device, Sketch, energy_price, hours, node

DAY = hours(8)


def car(energy_kwh: float, price: float, most_kw: Any = 20.0, buy: Any = 0.2) -> Inputs:
    """A car of 4 kW that stays four hours, and what it counts that a kWh is missing."""
    given = {
        "arrive": 2.0, "depart": 6.0, "energy_kwh": energy_kwh, "power_kw": 4.0, "shortfall_eur_per_kwh": price,
        "efficiency": 1.0, "dc": True,
    }  # fmt: skip
    devices = (Device("car", "ev-session", ("grid",), given), Device("load", "load", ("grid",), {"power_kw": 1.0}))
    terms = (energy_price(DAY, "grid", buy, 0.0),)
    return Sketch(DAY, (node(DAY, "grid", None, most_kw),), devices, terms).inputs()


def reached(inputs: Inputs, name: str = "car", quantity: str = "short_kwh") -> tuple[Solution, Reach | None]:
    solution = solve(inputs)
    columns = goal_columns(solution.assembly, name, quantity)
    assert columns is not None
    return solution, reach(solution, columns)


def test_a_goal_that_is_met_has_no_reason() -> None:
    assert reached(car(10.0, 2.0))[1] is None


def test_what_no_plan_can_deliver_is_out_of_reach() -> None:
    """Four hours of 4 kW are 16 kWh of the 20 wanted."""
    solution, found = reached(car(20.0, 2.0))
    assert solution.x[goal_columns(solution.assembly, "car", "short_kwh")] == pytest.approx([4.0])
    assert found == Reach(1.0)


def test_what_costs_more_than_it_counts_is_dearer_to_meet_than_to_miss() -> None:
    """10 kWh at 0.50 EUR that count 0.20 each."""
    solution, found = reached(car(10.0, 0.2, buy=0.5))
    assert found is not None
    assert (found.out_of_reach, found.met) == (0.0, pytest.approx(1.0))
    assert found.extra_eur == pytest.approx(10.0 * (0.5 - 0.2))
    dearer = solve(car(10.0, 1e3, buy=0.5))
    assert dearer.objective - solution.objective == pytest.approx(found.extra_eur), "what solving it finds"


def test_what_is_both_is_told_apart() -> None:
    """20 kWh wanted, 16 possible, none worth its price."""
    _, found = reached(car(20.0, 0.2, buy=0.5))
    assert found is not None
    assert (found.out_of_reach, found.met) == (pytest.approx(0.2), pytest.approx(0.8))
    assert found.extra_eur == pytest.approx(16.0 * 0.3)


def test_a_goal_is_not_met_at_another_emergency() -> None:
    """Behind 3 kW, 1 kW of load beside it; the battery's end, an emergency, would give the car what it lacks."""
    bat = {"capacity_kwh": 10.0, "power_kw": 3.0, "efficiency_in": 1.0, "efficiency_out": 1.0, "soc_start": 0.5,
           "soc_min": 0.0, "soc_max": 1.0, "end": "target", "soc_end": 1.0, "loss_per_h": 0.0}  # fmt: skip
    plain = car(16.0, 2.0, most_kw=1.7)
    devices = (
        Device("bat", "battery", ("grid",), bat),
        Device("car", "ev-session", ("grid",), {"arrive": 2.0, "depart": 6.0, "energy_kwh": 16.0, "power_kw": 4.0,
                                                "shortfall_eur_per_kwh": 2.0, "efficiency": 1.0, "dc": True}),
        Device("load", "load", ("grid",), {"power_kw": 1.0}),
    )  # fmt: skip
    inputs = Sketch(DAY, plain.nodes, devices, plain.commitments).inputs()
    solution, found = reached(inputs)
    assert solution.emergency == 0.0
    assert found is not None
    assert found.out_of_reach == pytest.approx(1.0)


def test_a_limit_broken_at_a_price_has_its_reason_too() -> None:
    """A soft limit of 5 kW at 0.01 EUR/kWh; the battery could keep it, but wears."""
    bat = Device("bat", "battery", ("grid",), {"capacity_kwh": 10.0, "power_kw": 4.0, "wear_eur_per_kwh": 1.0})
    load = Device("load", "load", ("grid",), {"power_kw": np.where(np.arange(8) == 4, 6.0, 1.0)})
    soft = dataclasses.replace(
        energy_price(DAY, "grid", 0.01, 0.0, "breach"), baseline_kw=np.full(8, 5.0), price_below=np.zeros(8),
        kind="penalty",
    )  # fmt: skip
    sketch = Sketch(DAY, (node(DAY, "grid"),), (bat, load), (energy_price(DAY, "grid", 0.2, 0.0), soft))
    solution, found = reached(sketch.inputs(), "breach", "energy")
    assert found is not None
    assert (found.out_of_reach, found.met) == (pytest.approx(0.0, abs=1e-6), pytest.approx(1.0))
    hard = Sketch(DAY, (node(DAY, "grid", None, 5.0),), (bat, load), sketch.commitments)
    assert solve(hard.inputs()).objective - solution.objective == pytest.approx(found.extra_eur, abs=1e-6)


def test_the_plan_that_meets_the_goal_holds() -> None:
    inputs = car(20.0, 0.2, buy=0.5)
    solution, found = reached(inputs)
    assert found is not None
    dearer = solve(car(20.0, 1e3, buy=0.5))
    schedule = dearer.assembly.schedule(dearer.x)
    assert verify(car(20.0, 1e3, buy=0.5), schedule, dearer.objective) == []
    money = bill(inputs, schedule.net_kw, replay(inputs, schedule)).total_eur
    assert money - solution.objective == pytest.approx(found.extra_eur, abs=1e-6)
