"""What a gap is relative to: the money that flows, and not the goals that nobody can meet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gridopt.model.assemble import assemble
from gridopt.model.inputs import Commitment, Flow, Inputs, Target
from gridopt.solve.gap import Gauge, gauge
from gridopt.solve.ladder import Solution, solve
from gridopt.verify import bill, replay
from tests.support.districts import Device, Sketch, energy_price, hours, node


@pytest.mark.parametrize(
    ("cost", "offset", "objective", "bound", "gap"),
    [
        ([10.0], 0.0, 10.0, 8.0, 2 / 8),
        ([10.0], 0.0, -8.0, -10.0, 2 / 10),
        ([10.0], 0.0, 8.0, 8.0, 0.0),
        ([10.0], 0.0, 8.0, 8.1, 0.0),
        # 1000 EUR of cost and 990 of income: 1 % of what flows, not of what is left over.
        ([1000.0, -990.0], 0.0, 10.0, 8.0, 2 / 19.9),
        ([1000.0, -990.0], -510.0, -500.0, -502.0, 2 / 502),
        ([100.0, -400.0], 300.0, 0.0, -1.0, 1 / 8),
        ([0.0], 0.0, 0.0, 0.0, 0.0),
        ([0.0], 0.0, 1e-9, 0.0, 1.0),
    ],
)
def test_the_gap_by_hand(cost: list[float], offset: float, objective: float, bound: float, gap: float) -> None:
    g = Gauge(np.array(cost), offset, np.zeros(len(cost)), 0.0)
    assert g.gap(np.ones(len(cost)), objective, bound) == pytest.approx(gap)


@pytest.mark.parametrize(
    ("penalty", "constant", "bound", "gap"),
    [
        ([0.0, 500.0], 0.0, 508.0, 2 / 8),
        ([0.0, 0.0], 500.0, 508.0, 2 / 8),
        # Nothing flows but promises missed: a thousandth of them is left to measure by.
        ([10.0, 990.0], 0.0, 1000.0, 2 / 1.0),
    ],
)
def test_penalties_make_no_gap_small(penalty: list[float], constant: float, bound: float, gap: float) -> None:
    cost = np.array([10.0, 990.0]) if penalty[0] else np.array([10.0, penalty[1]])
    g = Gauge(cost, constant, np.array(penalty), constant)
    assert g.gap(np.ones(2), bound + 2.0, bound) == pytest.approx(gap)


def every_kind() -> Inputs:
    """Devices and contracts with penalties of every form: per column, as a constant, at a node's boundary."""
    axis = hours(12)
    devices = (
        Device("use", "load", ("grid",), {"power_kw": 1.5}),
        Device("car", "ev-session", ("grid",), {
            "arrive": 2.0, "depart": 4.0, "energy_kwh": 60.0, "power_kw": 7.4, "shortfall_eur_per_kwh": 100.0,
        }),
        Device("wash", "shiftable-load", ("grid",), {
            "profile_kw": [2.0, 1.0], "earliest": 0.0, "latest": 12.0, "skip_eur": 0.01,
        }),
        Device("roof", "pv", ("sub",), {"peak_kw": 4.0, "yield_kw_per_kw": 1.0, "curtailable": False}),
    )  # fmt: skip
    step, none = np.arange(12), np.zeros(12)
    contracts = (
        energy_price(axis, "grid", 0.2, 0.05),
        Commitment("quiet", (Flow(1.0, node="grid"),), "energy", step, none + 3.0, none + 2.0, none, "penalty"),
        Commitment("back", (Flow(1.0, node="sub"),), "energy", step, none, none, none + 0.3, "penalty"),
    )
    return Sketch(axis, (node(axis, "grid"), node(axis, "sub", "grid")), devices, contracts).inputs()


def by_the_ledger(s: Solution) -> float:
    """What the penalties cost, recomputed from the schedule without the model [EUR]."""
    schedule = s.assembly.schedule(s.x)
    return bill(s.assembly.inputs, schedule.net_kw, replay(s.assembly.inputs, schedule)).of("penalty")


def test_penalties_are_those_of_the_bill() -> None:
    s = solve(every_kind())
    assert gauge(s.assembly).penalties(s.x) == pytest.approx(by_the_ledger(s), abs=1e-6)
    assert by_the_ledger(s) > 4000.0


def promises(missed_kwh: float, **target: Any) -> Inputs:
    """A house whose rounding is some per cent off, beside a promise of which so much cannot be kept."""
    axis = hours(24)
    price = 0.2 + 0.1 * np.sin(np.arange(24))
    devices = (
        Device("use", "load", ("grid",), {"power_kw": 0.2}),
        Device("late", "ev-session", ("grid",), {
            "arrive": 8.0, "depart": 9.0, "energy_kwh": 7.4 * 0.92 + missed_kwh, "power_kw": 7.4,
            "shortfall_eur_per_kwh": 100.0,
        }),
        *(Device(f"car-{k}", "ev-session", ("grid",), {
            "arrive": 0.0, "depart": 8.0, "energy_kwh": 7.0 + k, "power_kw": 11.0, "phases": 3.0,
        }) for k in range(3)),
    )  # fmt: skip
    peak = Commitment("peak", (Flow(1.0, node="grid", side="import"),), "peak", np.zeros(24, np.int64), np.zeros(24),
                      np.array([0.8]), np.zeros(1))  # fmt: skip
    nodes = (node(axis, "grid", None, 30.0),)
    return Sketch(axis, nodes, devices, (energy_price(axis, "grid", price), peak), target=Target(**target)).inputs()


def test_a_promise_that_cannot_be_kept_hides_no_gap() -> None:
    """As near to the best as without it, in euros."""
    apart = []
    for missed in (0.0, 60.0):
        rough = solve(promises(missed, gap=0.005, exact_decisions=0))
        best = solve(promises(missed, gap=1e-6))
        assert rough.gap <= 0.005
        assert rough.objective - best.objective <= rough.gap_eur + 1e-6
        apart.append(rough.objective - best.objective)
        assert by_the_ledger(rough) - by_the_ledger(best) < 0.05
    size = solve(promises(0.0, gap=1e-6)).objective
    assert max(apart) <= 0.005 * size + 1e-6


def test_without_penalties_nothing_is_taken_off() -> None:
    a = assemble(promises(0.0))
    x = np.zeros(len(a.lp.cost))
    assert gauge(a).penalties(x) == 0.0
    assert gauge(a).size(x, 7.0) == 7.0
