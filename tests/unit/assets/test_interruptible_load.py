"""Interruptible load: windows and energy by hand, pauses and minimum times against every on/off pattern."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import at
from gridopt.assets.interruptible_load import InterruptibleLoad
from gridopt.clock import Axis
from gridopt.model.assemble import Assembly, assemble
from gridopt.model.inputs import Inputs, Pin
from gridopt.solve.session import INTEGER, Answer, Session
from tests.support.districts import Device, Sketch, energy_price, hours, node, optimum
from tests.unit.assets.replay import Replayed, Solved, assert_replays, axis_of, by_rule, district, drive, users

POOL = {"energy_kwh": 6.0, "power_kw": 2.0}


def load(axis: Axis, price: Any = 0.1, n: int = 1, **given: Any) -> Inputs:
    return district(InterruptibleLoad, users(InterruptibleLoad, n, axis, **(POOL | given)), axis, price)


def cheapest(axis: Axis, price: Any, **given: Any) -> tuple[float, list[float]]:
    """Optimum and power of one load behind a wide connection, planned and verified."""
    given = POOL | given
    sketch = Sketch(
        axis,
        (node(axis, "grid", most=1000.0),),
        (Device("load", "interruptible-load", ("grid",), given),),
        (energy_price(axis, "grid", price),),
    )
    plan = optimum(sketch)
    return plan.cost_eur, plan.value("load", "draw_kw").round(6).tolist()


def column(inputs: Inputs, name: str) -> Any:
    (group,) = inputs.groups
    return np.asarray(group.columns[name][0]).round(9).tolist()


# --- energy and windows ----------------------------------------------------------------------------------------------


def test_the_cheapest_hours_are_taken_and_pauses_made() -> None:
    price = [0.4, 0.1, 0.3, 0.2, 0.5, 0.15]
    cost, power = cheapest(axis_of(6), price)
    assert power == [0, 2, 0, 2, 0, 2]
    assert cost == pytest.approx(2 * 0.45)
    cost, power = cheapest(axis_of(6), price, earliest=2.0, latest=5.0, allowed=[1, 1, 1, 1, 0.5, 1], energy_kwh=3.0)
    assert power == [0, 0, 1, 2, 0, 0]
    assert cost == pytest.approx(0.3 + 0.4)


def test_energy_dearer_than_its_shortfall_is_left_out() -> None:
    cost, power = cheapest(axis_of(3), [0.3, 0.1, 0.2], shortfall_eur_per_kwh=0.25, energy_kwh=6.0)
    assert power == [0, 2, 2]
    assert cost == pytest.approx(0.2 + 0.4 + 2 * 0.25)


def test_the_least_power_holds_while_it_runs() -> None:
    """3 kWh at 1.6 kW or more: two hours, the dear one at the least power."""
    cost, power = cheapest(axis_of(3), [0.3, 0.1, 0.2], energy_kwh=3.4, power_min_kw=1.6)
    assert power == [0, 1.8, 1.6]
    assert cost == pytest.approx(0.18 + 0.32)
    _, power = cheapest(axis_of(3), [0.3, 0.1, 0.2], energy_kwh=1.0, power_min_kw=1.6)
    assert power == [0, 1, 0]  # less energy than a step at the least power is drawn at a lower mean


def test_no_more_is_drawn_than_wanted_even_for_money() -> None:
    cost, power = cheapest(axis_of(4), [-0.1, -0.2, -0.3, -0.1], energy_kwh=3.0)
    assert power == [0, 1, 2, 0]
    assert cost == pytest.approx(-0.2 - 0.6)


def test_every_window_gets_its_energy() -> None:
    """Windows of three hours from one o'clock on; the last is cut to two hours and wants two thirds."""
    price = [0.0, 0.1, 0.2, 0.3, 0.2, 0.25, 0.1, 0.4, 0.3]
    inputs = load(axis_of(9), price, earliest=1.0, every_h=3.0, energy_kwh=3.0)
    assert column(inputs, "due_kwh") == [0, 3, 3, 3, 3, 3, 3, 2, 2]
    assert column(inputs, "short_max_kwh") == [0, 0, 0, 3, 0, 0, 3, 0, 2]
    assert inputs.groups[0].options[-1] == (0, 3, 6, 8)
    cost, power = cheapest(axis_of(9), price, earliest=1.0, every_h=3.0, energy_kwh=3.0)
    assert power == [0, 2, 1, 0, 1, 0, 2, 0, 2]
    assert cost == pytest.approx(0.2 + 0.2 + 0.2 + 0.2 + 0.6)


def test_a_window_that_began_before_the_horizon_counts_what_it_has() -> None:
    inputs = load(axis_of(6), earliest=-2.0, every_h=4.0, delivered_kwh=1.5, energy_kwh=4.0)
    assert column(inputs, "due_kwh") == [2.5, 2.5, 4, 4, 4, 4]
    assert column(inputs, "short_max_kwh") == [0, 2.5, 0, 0, 0, 4]


def test_least_commitment_at_the_end_of_the_horizon() -> None:
    """Of 6 kWh at 2 kW, wanted until an hour (and until four hours) after the horizon, 4 (and none) are due in it."""
    for latest, due in ((7.0, 4.0), (10.0, 0.0)):
        inputs = load(axis_of(6), latest=latest)
        assert column(inputs, "due_kwh") == [due] * 6
        assert column(inputs, "short_max_kwh") == [0, 0, 0, 0, 0, due]
        assert column(inputs, "wants_more") == 1.0
    assert column(load(axis_of(6), latest=5.0), "wants_more") == 0.0
    cost, power = cheapest(axis_of(6), [0.1, -0.2, 0.1, 0.1, -0.1, 0.1], latest=10.0)
    assert power == [0, 2, 0, 0, 2, 0]  # what is not due is drawn where that pays
    assert cost == pytest.approx(-0.6)


def test_a_load_without_a_whole_step_is_left_out_with_a_note() -> None:
    axis = axis_of(8)
    user = users(
        InterruptibleLoad, 4, axis, **POOL, earliest=[2.1, -5.0, 20.0, 1.0], latest=[2.9, 0.0, 40.0, 3.0]
    )  # fmt: skip
    p = InterruptibleLoad.prepare(user, axis)
    assert [device for device, _ in p.notes] == [0]
    assert p.steps is not None
    assert p.steps.tolist() == [0, 0, 0, 8]
    assert set(p.columns) == set(InterruptibleLoad.column_names())


def test_few_shapes_are_compiled() -> None:
    """One window's place does not shape the block, nor do times that are not given."""
    axis = axis_of(24)
    user = users(
        InterruptibleLoad, 9, axis, **POOL, earliest=np.arange(9.0), latest=np.arange(9.0) + 9, min_up_h=[0.0] * 8 + [2]
    )  # fmt: skip
    structure = InterruptibleLoad.prepare(user, axis).structure
    assert structure is not None
    assert len(set(structure[:8])) == 1
    assert structure[0] == (1, 1, False, (), False, 0, (23,))
    assert structure[8] == (2, 1, False, (), True, 24, (23,))


# --- pauses and minimum times ----------------------------------------------------------------------------------------


def whole(a: Assembly, on: Any = None, closed: bool = True) -> Answer:
    """The MILP's optimum; ``closed`` allows no emergency, ``on`` holds the pattern."""
    s = Session(a.lp)
    if closed:
        s.bounds(a.emergencies, np.zeros(len(a.emergencies)), np.zeros(len(a.emergencies)))
    columns = a.whole[0].columns.ravel()
    s.wholeness(columns, np.full(len(columns), INTEGER))
    if on is not None:
        s.bounds(columns, np.asarray(on, float), np.asarray(on, float))
    return s.run(gap=1e-9)


def allowed(
    pattern: tuple[int, ...], may_run: Any, up_h: float, down_h: float, pause_h: float, was_on: bool, hours_h: float
) -> bool:
    """Whether an hourly pattern keeps all times, told hour by hour; a pause counts where it could have been ended."""
    status, since = int(was_on), hours_h
    rest = 0.0 if was_on else hours_h
    for on, may in zip(pattern, may_run, strict=True):
        if on and not may:
            return False
        if on != status:
            if since < (up_h if status else down_h):
                return False
            status, since = on, 0.0
        since += 1.0
        rest = 0.0 if on or not may else rest + 1.0
        if not may:
            rest = -0.0
        if rest > pause_h:
            return False
    return True


@pytest.mark.parametrize("may_run", [(1, 1, 1, 1, 1, 1, 1), (1, 1, 1, 0, 1, 1, 1)])
@pytest.mark.parametrize(("up_h", "down_h"), [(0.0, 0.0), (2.0, 0.0), (1.0, 2.0)])
@pytest.mark.parametrize("pause_h", [1.0, 2.0])
@pytest.mark.parametrize(("was_on", "hours_h"), [(True, 5.0), (True, 1.0), (False, 1.0), (False, 9.0)])
def test_the_block_allows_just_the_patterns_that_keep_the_times(
    may_run: tuple[int, ...], up_h: float, down_h: float, pause_h: float, was_on: bool, hours_h: float
) -> None:
    """Each of the 128 patterns of seven hours is held in turn; the physics follows those that are allowed."""
    inputs = load(
        axis_of(7), allowed=may_run, min_up_h=up_h, min_down_h=down_h, pause_max_h=pause_h, on_start=was_on,
        hours_in_status_h=hours_h, power_min_kw=0.5,
    )  # fmt: skip
    a = assemble(inputs)
    found = 0
    for pattern in itertools.product((0, 1), repeat=7):
        answer = whole(a, pattern)
        good = allowed(pattern, may_run, up_h, down_h, pause_h, was_on, hours_h)
        assert (answer.status == "optimal") == good, pattern
        if good:
            found += 1
            assert_replays(Solved(a, answer.x, answer.objective), 1e-6)
    assert found or not was_on


def test_an_aeration_pauses_two_hours_and_recovers_one() -> None:
    """250 kW in quarter-hours: it skips the dear evening as long as it may, and runs at least an hour between."""
    axis = hours(32, 15)
    price = np.where((np.arange(32) >= 8) & (np.arange(32) < 28), 0.4, 0.1)
    given = {
        "energy_kwh": 250.0, "power_kw": 250.0, "power_min_kw": 125.0, "every_h": 4.0, "pause_max_h": 2.0,
        "min_up_h": 1.0, "on_start": True,
    }  # fmt: skip
    cost, power = cheapest(axis, price, **given)
    runs = [(on, len(list(of))) for on, of in itertools.groupby(p > 0 for p in power)]
    assert max(n for on, n in runs if not on) == 8
    assert min(n for on, n in runs[1:-1] if on) == 4
    # An hour at least power must lie in the dear five hours; each window has 250 kWh at least.
    assert cost == pytest.approx(250 * 0.1 + 250 * 0.1 + 125 * 0.3)


def test_a_fixed_power_meets_any_energy() -> None:
    """3 kWh at 2 kW and never less, with a start cost: two hours, an hour's least power more than wanted."""
    cost, power = cheapest(axis_of(4), [0.3, 0.1, 0.2, 0.3], energy_kwh=3.0, power_min_kw=2.0, start_cost_eur=0.05)
    assert power == [0, 2, 2, 0]
    assert cost == pytest.approx(0.2 + 0.4 + 0.05)


def test_a_start_cost_joins_the_hours() -> None:
    price = [0.09, 0.15, 0.1, 0.3]
    for start_eur, want in ((0.05, [2, 0, 2, 0]), (0.15, [2, 2, 0, 0])):
        _, power = cheapest(axis_of(4), price, energy_kwh=4.0, power_min_kw=2.0, start_cost_eur=start_eur)
        assert power == want


def test_a_pause_that_an_outage_makes_too_long_is_told() -> None:
    inputs = load(axis_of(7), pause_max_h=2.0, on_start=True, power_min_kw=1.0, energy_kwh=4.0)
    pins = tuple(Pin("d00", name, 1, 5, 0.0, "outage") for name in InterruptibleLoad.commands)
    a = assemble(replace(inputs, pins=pins))
    assert whole(a).status == "infeasible"
    s = Session(a.lp)
    s.costs(np.arange(a.lp.shape[1]), np.zeros(a.lp.shape[1]))
    s.costs(a.emergencies, a.emergency_weight)
    least = s.run()
    assert np.isclose(least.objective, 2.0)  # four hours of rest, two too many
    a.lp.upper[a.emergencies] = least.x[a.emergencies]
    answer = whole(a, closed=False)
    (seen,) = assert_replays(Solved(a, answer.x, answer.objective), 1e-6)
    np.testing.assert_allclose(seen.flows["overlong_h"], [[0, 0, 0, 1, 1, 0, 0]])


# --- physics, baseline, shedding -------------------------------------------------------------------------------------


def driven(inputs: Inputs, **command: Any) -> Replayed:
    group = inputs.groups[0]
    commands = {name: np.asarray(v, float)[None, :] for name, v in command.items()}
    return drive(InterruptibleLoad, dict(group.columns), group.steps, inputs.axis.step_h, commands)


def test_it_stops_when_it_has_enough_and_runs_at_least_at_its_least() -> None:
    plain = driven(load(axis_of(6), power_min_kw=1.0), draw_kw=[0.5, 2.5, 1.0, 2.0, 2.0, 2.0])
    np.testing.assert_allclose(plain.flows["draw_kw"], [[0, 2, 1, 2, 1, 0]])
    switched = driven(
        load(axis_of(6), power_min_kw=1.0, min_up_h=2.0), on=[0, 1, 0, 1, 1, 1], draw_kw=[2.0, 0.5, 0, 2, 2, 2]
    )
    np.testing.assert_allclose(switched.flows["draw_kw"], [[0, 1, 1, 2, 2, 2]])


def test_what_lacks_is_known_at_the_end_of_each_window() -> None:
    inputs = load(axis_of(6), every_h=3.0, energy_kwh=4.0)
    got = driven(inputs, draw_kw=[2, 1, 0, 2, 2, 2])
    np.testing.assert_allclose(got.flows["draw_kw"], [[2, 1, 0, 2, 2, 0]])
    np.testing.assert_allclose(got.flows["short_kwh"], [[0, 0, 1, 0, 0, 0]])
    np.testing.assert_allclose(got.total("shortfall_eur"), 2.0)
    kpis = InterruptibleLoad.kpis(SimpleNamespace(), got.flows, 1.0)
    assert {name: float(v[0]) for name, v in kpis.items()} == {
        "delivered_kwh": 7.0, "unserved_kwh": 1.0, "running_h": 4.0, "starts": 2.0,
    }  # fmt: skip


def test_the_baseline_runs_at_once() -> None:
    inputs = load(axis_of(6), earliest=1.0, power_min_kw=1.5, energy_kwh=3.5, allowed=[1, 1, 0, 1, 1, 1])
    got = by_rule(InterruptibleLoad, dict(inputs.groups[0].columns), 6, 1.0)
    np.testing.assert_allclose(got.flows["draw_kw"], [[0, 2, 0, 1.5, 0, 0]])


def test_the_baseline_of_a_load_with_a_longest_pause_runs_evenly() -> None:
    """24 kWh in 24 quarter-hours at 8 kW or nothing: half an hour now and then, an hour's rest at most."""
    inputs = load(
        axis_of(24, 15), energy_kwh=24.0, power_kw=8.0, power_min_kw=8.0, pause_max_h=1.0, min_up_h=0.5, on_start=True
    )
    got = by_rule(InterruptibleLoad, dict(inputs.groups[0].columns), 24, 0.25)
    assert 24.0 <= got.flows["draw_kw"].sum() * 0.25 <= 24.0 + 8.0 * 0.5
    assert got.flows["overlong_h"].sum() == 0
    runs = [(on, len(list(of))) for on, of in itertools.groupby(got.flows["on"][0] > 0.5)]
    assert {n for on, n in runs[1:-1] if on} == {2}  # the first run was one step from its end


@pytest.mark.parametrize(("cut_kw", "left_kw"), [(0.5, 1.5), (1.5, 0.0), (-1.0, 2.0)])
def test_shedding_lowers_power_or_pauses(cut_kw: float, left_kw: float) -> None:
    p = at(load(axis_of(4), power_min_kw=1.0).groups[0].columns, 0, 1.0)
    command = {"on": np.ones(1), "draw_kw": np.full(1, 2.0)}
    got = InterruptibleLoad.shed(p, InterruptibleLoad.start(p), command, "ac", np.array([cut_kw]))
    assert got["draw_kw"].item() == left_kw
    assert got["on"].item() == (left_kw > 0)
