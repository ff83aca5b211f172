"""Devices by themselves at the relaxation's prices: points that keep their rows and decisions, bounds that are true."""

from __future__ import annotations

import time

import numpy as np
import pytest

from benchmarks.catalogue import catalogue
from gridopt.model.assemble import Assembly, assemble
from gridopt.model.inputs import Inputs, Target
from gridopt.solve import devices
from gridopt.solve.ladder import solve
from gridopt.solve.session import Answer
from gridopt.solve.workbench import Workbench
from gridopt.verify import verify
from tests.unit.solve.test_branch import by_highs, plant

SEEDS = (1, 2)
FAMILIES = ("load", "pv", "hot-water-tank", "basin", "cold-store", "interruptible-load")


def district(seed: int) -> Inputs:
    """Pumps, tanks and a cold store whose steps hang together."""
    return catalogue(8, seed, 60, Target(gap=1e-4, exact_gap=1e-4, time_limit_s=300.0), FAMILIES).inputs


def bench(inputs: Inputs) -> tuple[Workbench, Answer]:
    b = Workbench(assemble(inputs))
    relaxed = b.run()
    assert relaxed.status == "optimal"
    return b, relaxed


def off(a: Assembly, found: devices.Apart) -> float:
    """How far a device's point is off its own bounds and rows."""
    j, i, x = found.device.columns, found.device.rows, found.x
    activity = a.matrix[i][:, j] @ x
    below = [a.lp.lower[j] - x, a.lp.row_lower[i] - activity]
    above = [x - a.lp.upper[j], activity - a.lp.row_upper[i]]
    return max(float(np.max(v)) for v in (*below, *above))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_devices_own_point_keeps_its_rows_and_decisions(seed: int) -> None:
    b, relaxed = bench(district(seed))
    found = b.apart(relaxed, b.a.semi, b.a.whole)
    assert found
    for f in found:
        assert len(f.x), "every device has a point of its own"
        assert off(b.a, f) < 1e-5
        for w in f.device.whole:
            value = f.x[w.columns[f.device.k] - f.device.columns[0]]
            np.testing.assert_allclose(value, np.round(value), atol=1e-5)
        for s in f.device.semi:
            power, least = f.x[s.columns[f.device.k] - f.device.columns[0]], s.minimum[f.device.k]
            assert not ((power > 1e-5) & (power < least - 1e-5)).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_plan_costs_less_than_the_relaxation_and_what_wholeness_costs(seed: int) -> None:
    """The sum is a bound, and rows that say so of every device raise the relaxation at least to it."""
    inputs = district(seed)
    b, relaxed = bench(inputs)
    found = b.apart(relaxed, b.a.semi, b.a.whole)
    raised = sum(f.raised for f in found)
    best = by_highs(inputs)
    assert relaxed.objective + raised <= best + 1e-6 * abs(best)
    again = b.strengthen(found)
    assert relaxed.objective + raised <= again.objective + 1e-6
    assert again.objective <= best + 1e-6 * abs(best)


def test_wholeness_costs_something() -> None:
    """Else nothing above is shown."""
    b, relaxed = bench(district(1))
    assert sum(f.raised for f in b.apart(relaxed, b.a.semi, b.a.whole)) > 1e-3


def test_nearness_keeps_the_relaxed_power() -> None:
    b, relaxed = bench(district(1))

    def power_off(near: float) -> float:
        steps = len(b.a.nodes) * b.a.inputs.axis.steps
        return sum(
            float(np.abs(b.a.matrix[:steps][:, f.device.columns] @ (f.x - relaxed.x[f.device.columns])).sum())
            for f in b.apart(relaxed, b.a.semi, b.a.whole, near)
        )

    assert power_off(1.0) < power_off(0.0)


def test_decided_devices_are_left_alone() -> None:
    b, relaxed = bench(district(1))
    whole = solve(district(1))
    assert devices.undecided(b.a, relaxed.x, b.a.semi, b.a.whole)
    assert not devices.undecided(b.a, whole.x, b.a.semi, b.a.whole)


def test_when_time_is_up_no_device_is_looked_at_and_it_is_said() -> None:
    a = assemble(district(1))
    b = Workbench(a, until=time.perf_counter() - 1.0)
    relaxed = b.run()
    assert not b.late
    assert b.apart(relaxed, a.semi, a.whole) == []
    assert b.late


def test_what_was_found_with_emergencies_shut_holds_no_more_when_they_open() -> None:
    b, relaxed = bench(plant(5, 12))
    b.strengthen(b.apart(relaxed, b.a.semi, b.a.whole))
    b.open_emergencies()
    assert b.run().objective <= relaxed.objective + 1e-9


@pytest.mark.parametrize("seed", SEEDS)
def test_a_plan_with_such_devices_is_whole_and_proven(seed: int) -> None:
    inputs = district(seed)
    s = solve(inputs)
    assert s.gap <= 1e-4
    assert s.counters["apart"] > 0
    assert s.objective == pytest.approx(by_highs(inputs), rel=2e-4)
    assert verify(inputs, s.assembly.schedule(s.x), s.objective) == []
