"""A district like the planned one costs, by the plan's decisions, what searching for it finds, as far as is said."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.mix import district
from gridopt.model.inputs import Inputs, Pin, Target
from gridopt.solve.explain import sensitivity, variants
from gridopt.solve.ladder import Solution, solve
from gridopt.solve.nearby import nearby
from gridopt.verify import verify
from tests.support.districts import Device, Sketch, energy_price, hours, node, peak_price

DAY = hours(24)
HOUR = np.arange(24)


def house(loss: float = 0.02) -> Sketch:
    """A battery, a car and an engine-like run on one connection: prices that are worth a decision."""
    bat = {"capacity_kwh": 8.0, "power_kw": 3.0, "wear_eur_per_kwh": 0.01, "loss_per_h": loss}
    car = {"arrive": 2.0, "depart": 14.0, "energy_kwh": 14.0, "power_kw": 4.0}
    devices = (
        Device("bat", "battery", ("grid",), bat),
        Device("car", "ev-session", ("grid",), car),
        Device("home", "load", ("grid",), {"power_kw": 1.0 + 0.5 * np.sin(HOUR)}),
        Device("roof", "pv", ("grid",), {"peak_kw": 5.0, "yield_kw_per_kw": np.maximum(np.sin((HOUR - 6) / 4), 0)}),
    )
    buy = 0.2 + 0.15 * np.exp(-(((HOUR - 18) / 3) ** 2)) + 0.001 * HOUR
    terms = (energy_price(DAY, "grid", buy, 0.05), peak_price(DAY, "grid", 0.3, so_far=1.0))
    return Sketch(DAY, (node(DAY, "grid", None, 8.0),), devices, terms)


def assert_true(solution: Solution, inputs: Inputs, found: Solution) -> None:
    """It is a plan of the other district that holds, and its bound lies below what a full search finds."""
    schedule = found.assembly.schedule(found.x)
    assert verify(inputs, schedule, found.objective) == []
    best = solve(inputs)
    assert found.bound <= best.objective + 1e-6
    assert best.bound <= found.objective + 1e-6


def test_what_is_said_of_other_districts_holds() -> None:
    solution = solve(house().inputs())
    near, told = nearby(solution), 0
    for v in variants(solution.assembly.inputs):
        for sign in (1, -1):
            inputs = v.moved(sign)
            found = near(inputs)
            if found is not None:
                told += 1
                assert_true(solution, inputs, found)
    assert told > 0


def test_a_mixed_district_is_told_within_what_is_left_open() -> None:
    inputs = district(3, seed=5, step_min=60, target=Target(exact_decisions=0, gap=0.02))
    solution = solve(inputs)
    near, told = nearby(solution), 0
    for v in variants(inputs)[:6]:
        found = near(v.moved(1))
        if found is None:
            continue
        told += 1
        assert_true(solution, v.moved(1), found)
        quick, full = sensitivity(solution, v, lambda _, f=found: f).up, sensitivity(solution, v).up
        assert quick.eur == pytest.approx(full.eur, abs=quick.uncertain_eur + full.uncertain_eur + 1e-6)
    assert told > 0


def test_what_is_left_open_is_little() -> None:
    """Where keeping the decisions tells too little nothing is told: a price so high that the car should wait."""
    solution = solve(house().inputs())
    supply = solution.assembly.inputs.commitments
    dear = np.where(HOUR < 14, 9.0, 0.1)
    turned = tuple(dataclasses.replace(c, price_above=dear) if c.id == "supply-grid" else c for c in supply)
    inputs = dataclasses.replace(solution.assembly.inputs, commitments=turned)
    found = nearby(solution)(inputs)
    if found is not None:
        assert_true(solution, inputs, found)
        assert found.gap_eur <= 0.02 * abs(found.objective - solution.objective) + 0.005


def test_what_falls_short_or_has_no_plan_is_left_to_a_search() -> None:
    short = dataclasses.replace(house(), pins=(Pin("bat", "end_short_kwh", 0, 24, 1.0),)).inputs()
    assert nearby(solve(short))(short) is None
    solution = solve(house().inputs())
    closed = dataclasses.replace(house(), nodes=(node(DAY, "grid", None, 0.5),)).inputs()
    assert nearby(solution)(closed) is None
    more = house().with_device(Device("more", "load", ("grid",), {"power_kw": 0.1})).inputs()
    again = nearby(solution)(more)
    assert again is None or verify(more, again.assembly.schedule(again.x), again.objective) == []
