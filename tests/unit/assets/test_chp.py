"""CHP: load points, minimum times, starts a day and the status carried in, against every on/off pattern."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import at
from gridopt.assets.chp import CHP
from gridopt.model.assemble import Assembly, assemble
from gridopt.model.inputs import Commitment, Flow, Inputs, Pin
from gridopt.solve.session import INTEGER, Answer, Session
from gridopt.verify.outages import with_outages
from tests.unit.assets.replay import Replayed, Solved, assert_replays, axis_of, district, drive, users

ENGINE = {
    "power_max_kw": 100.0,
    "power_min_kw": 50.0,
    "electric_efficiency": 0.4,
    "electric_efficiency_min": 0.32,
    "thermal_efficiency": 0.45,
    "thermal_efficiency_min": 0.5,
    "maintenance_eur_per_kwh": 0.02,
}
"""Full load: 100 kW from 250 kW fuel, 112.5 kW heat. Minimum load: 50 kW from 156.25 kW fuel, 78.125 kW heat."""
OFF_LONG = {"on_start": False, "hours_in_status_h": 100.0}


def engine(
    price: Any, steps: int = 6, gas: float = 0.05, heat: float = 0.0, step_min: int = 60, **given: Any
) -> Inputs:
    """One engine that sells power at ``price``, buys gas and sells heat."""
    axis = axis_of(steps, step_min)
    inputs = district(CHP, users(CHP, 1, axis, **(ENGINE | OFF_LONG | given)), axis, price)

    def flat(node: str, eur_per_kwh: float) -> Commitment:
        p = np.full(steps, eur_per_kwh)
        return Commitment(node, (Flow(1.0, node=node),), "energy", np.arange(steps), np.zeros(steps), p, -p)

    return replace(inputs, commitments=(*inputs.commitments, flat("gas", gas), flat("heat", heat)))


def whole(a: Assembly, closed: bool = True, on: Any = None) -> Answer:
    """The MILP's optimum; ``closed`` allows no emergency, ``on`` holds the pattern."""
    s = Session(a.lp)
    if closed:
        s.bounds(a.emergencies, np.zeros(len(a.emergencies)), np.zeros(len(a.emergencies)))
    columns = a.whole[0].columns.ravel()
    s.wholeness(columns, np.full(len(columns), INTEGER))
    if on is not None:
        s.bounds(columns, np.asarray(on, float), np.asarray(on, float))
    return s.run(gap=1e-9)


def planned(inputs: Inputs, closed: bool = True) -> tuple[Solved, Replayed]:
    a = assemble(inputs)
    answer = whole(a, closed)
    assert answer.status == "optimal"
    solved = Solved(a, answer.x, answer.objective)
    [seen] = assert_replays(solved, 1e-6)
    return solved, seen


def driven(inputs: Inputs, **command: Any) -> Replayed:
    group = inputs.groups[0]
    commands = {name: np.asarray(v, float)[None, :] for name, v in command.items()}
    return drive(CHP, dict(group.columns), group.steps, inputs.axis.step_h, commands)


# --- part load -------------------------------------------------------------------------------------------------------


def test_both_load_points_are_exact() -> None:
    seen = driven(engine(0.0, 3), on=[1, 1, 1], power_kw=[100.0, 50.0, 75.0])
    np.testing.assert_allclose(seen.flows["gas_kw"], [[250.0, 156.25, (250 + 156.25) / 2]])
    np.testing.assert_allclose(seen.flows["heat_kw"], [[-112.5, -78.125, -(112.5 + 78.125) / 2]])
    np.testing.assert_allclose(seen.flows["ac_kw"], [[-100.0, -50.0, -75.0]])


@pytest.mark.parametrize("least", [0.0, 100.0, 120.0])
def test_one_load_point_is_enough(least: float) -> None:
    """No minimum, or a minimum at or above full load: the efficiencies of full load hold."""
    c = engine(0.0, power_min_kw=least).groups[0].columns
    assert c["fuel_fixed_kw"] == 0
    assert c["heat_fixed_kw"] == 0
    assert np.isclose(c["fuel_slope"].item(), 2.5)
    assert np.isclose(c["heat_slope"].item(), 0.45 * 2.5)
    assert c["least_kw"] == min(least, 100.0)


def test_equal_efficiencies_leave_no_fixed_part() -> None:
    c = engine(0.0, electric_efficiency_min=0.4, thermal_efficiency_min=0.45, power_max_kw=77.7).groups[0].columns
    assert c["fuel_fixed_kw"] == 0
    assert c["heat_fixed_kw"] == 0


def test_one_start_by_hand() -> None:
    """20 ct for three hours, else 0; gas 5 ct, heat 4 ct, 5 EUR a start.

    An hour at full load: -20 + 12.5 - 4.5 + 2 = -10 EUR; one at minimum for nothing: 7.8125 - 3.125 + 1 = +5.6875.
    The gap of one hour costs 5.6875 running or 5 EUR for a second start: it stops.
    """
    price = [0.0, 0.2, 0.0, 0.2, 0.2, 0.0]
    solved, seen = planned(engine(price, heat=0.04, start_cost_eur=5.0))
    np.testing.assert_allclose(solved.value("on"), [[0, 1, 0, 1, 1, 0]], atol=1e-9)
    assert np.isclose(solved.objective, -3 * 10 + 2 * 5)
    assert np.isclose(seen.total("start_eur").item(), 10.0)
    dearer, _ = planned(engine(price, heat=0.04, start_cost_eur=6.0))
    np.testing.assert_allclose(dearer.value("on"), [[0, 1, 1, 1, 1, 0]], atol=1e-9)
    assert np.isclose(dearer.objective, -3 * 10 + 5.6875 + 6)


def test_heat_nobody_takes_may_be_dumped() -> None:
    """Heat costs 10 ct to get rid of: with a cooler it is thrown away, without one power must pay for it."""
    with_cooler, seen = planned(engine(0.3, 1, heat=-0.1, dump=True))
    np.testing.assert_allclose(seen.flows["heat_kw"], 0.0, atol=1e-6)
    assert np.isclose(with_cooler.objective, 12.5 + 2 - 30)
    without, _ = planned(engine(0.3, 1, heat=-0.1))
    assert np.isclose(without.objective, 12.5 + 2 - 30 + 11.25)
    off = driven(engine(0.3, 1, dump=True), on=[0], power_kw=[0], heat_dumped_kw=[50.0])
    np.testing.assert_allclose(off.flows["heat_kw"], 0.0)


# --- minimum times ---------------------------------------------------------------------------------------------------


def allowed(pattern: tuple[int, ...], up_h: float, down_h: float, was_on: bool, hours: float, step_h: float) -> bool:
    """Whether an on/off pattern keeps the minimum times, told step by step from the status carried in."""
    status, since = int(was_on), hours
    for on in pattern:
        if on != status:
            if since < (up_h if status else down_h) - 1e-9:
                return False
            status, since = on, 0.0
        since += step_h
    return True


@pytest.mark.parametrize("was_on", [False, True])
@pytest.mark.parametrize("up_h", [0.0, 2.0, 3.5, 9.0])
@pytest.mark.parametrize("down_h", [0.0, 1.5, 3.0, 9.0])
@pytest.mark.parametrize("hours", [0.0, 1.0, 2.5])
def test_the_block_allows_just_the_patterns_that_keep_the_minimum_times(
    up_h: float, down_h: float, was_on: bool, hours: float
) -> None:
    """Each of the 32 patterns of five hours is held in turn; the physics follows those that are allowed."""
    times: dict[str, Any] = {"min_up_h": up_h, "min_down_h": down_h, "on_start": was_on, "hours_in_status_h": hours}
    inputs = engine(0.0, 5, **times)
    a = assemble(inputs)
    for pattern in itertools.product((0, 1), repeat=5):
        answer = whole(a, on=pattern)
        assert (answer.status == "optimal") == allowed(pattern, up_h, down_h, was_on, hours, 1.0), pattern
        if answer.status == "optimal":
            [seen] = assert_replays(Solved(a, answer.x, answer.objective), 1e-6)
            changes = np.diff([float(was_on), *pattern])
            np.testing.assert_allclose(seen.flows["start"], [changes == 1])


def off_and_on(pattern: tuple[int, ...], out: tuple[int, ...], up_h: int, down_h: int, on: bool, hours: float) -> bool:
    """Whether a pattern of hours is off in every outage and keeps the minimum times: an outage ends a run at once."""
    status, since = int(on), hours
    for now, gone in zip(pattern, out, strict=True):
        if gone and now:
            return False
        if now != status:
            if since < (up_h if status else down_h) and not (status and gone):
                return False
            status, since = now, 0.0
        since += 1
    return True


@pytest.mark.parametrize("out", [(0, 0, 1, 0, 0, 0), (0, 0, 1, 1, 0, 0), (1, 0, 0, 1, 0, 0), (0, 1, 0, 1, 0, 1)])
@pytest.mark.parametrize(("up_h", "down_h"), [(2, 1), (3, 2), (9, 1), (4, 4)])
@pytest.mark.parametrize(("was_on", "hours"), [(True, 1.0), (False, 1.0), (True, 9.0)])
def test_an_outage_ends_a_run_whatever_its_minimum(
    out: tuple[int, ...], up_h: int, down_h: int, was_on: bool, hours: float
) -> None:
    """Each of the 64 patterns of six hours is held in turn; the physics follows just those that are allowed."""
    times: dict[str, Any] = {"min_up_h": up_h, "min_down_h": down_h, "on_start": was_on, "hours_in_status_h": hours}
    pins = tuple(Pin("d00", "on", t, t + 1, 0.0, "outage") for t in np.flatnonzero(out))
    inputs = with_outages(replace(engine(0.0, 6, **times), pins=pins))
    a = assemble(inputs)
    assert not a.lp.upper[a.whole[0].columns.ravel()][np.array(out, bool)].any()
    for pattern in itertools.product((0, 1), repeat=6):
        fine = off_and_on(pattern, out, up_h, down_h, was_on, hours)
        seen = driven(inputs, on=pattern, power_kw=[60.0] * 6)
        followed = seen.flows["on"][0].tolist() == list(pattern) and not seen.flows["too_early_h"].any()
        assert followed == fine, pattern
        assert not seen.flows["on"][0, np.array(out, bool)].any()
        if not any(now and gone for now, gone in zip(pattern, out, strict=True)):
            answer = whole(a, on=pattern)
            assert (answer.status == "optimal") == fine, pattern
            if fine:
                assert_replays(Solved(a, answer.x, answer.objective), 1e-6)


def cheapest(inputs: Inputs, price: Any, up_h: float, down_h: float, was_on: bool, hours: float) -> float:
    """The optimum by trying every pattern: each hour's power is free of the others, at one of its two ends."""
    group = inputs.groups[0]
    p = at(group.columns, 0, 1.0)
    step = {
        power: float((p.fuel_fixed_kw + p.fuel_slope * power).item()) * 0.05
        - float((p.heat_fixed_kw + p.heat_slope * power).item()) * 0.03
        + 0.02 * power
        for power in (50.0, 100.0)
    }
    best = np.inf
    for pattern in itertools.product((0, 1), repeat=len(price)):
        if allowed(pattern, up_h, down_h, was_on, hours, 1.0):
            starts = int((np.diff([float(was_on), *pattern]) == 1).sum())
            cost = 8.0 * starts
            for on, eur in zip(pattern, price, strict=True):
                cost += on * min(step[power] - eur * power for power in step)
            best = min(best, cost)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_the_optimum_is_that_of_the_best_pattern(seed: int) -> None:
    rng = np.random.default_rng(seed)
    price = rng.uniform(0.0, 0.3, 8)
    up_h, down_h, hours = (float(x) for x in rng.choice([0.0, 1.0, 2.0, 3.0, 4.0], 3))
    was_on = bool(rng.random() < 0.5)
    times: dict[str, Any] = {"min_up_h": up_h, "min_down_h": down_h, "on_start": was_on, "hours_in_status_h": hours}
    inputs = engine(price, 8, heat=0.03, start_cost_eur=8.0, **times)
    solved, _ = planned(inputs)
    assert np.isclose(solved.objective, cheapest(inputs, price, up_h, down_h, was_on, hours))


def test_quarter_hours_round_a_minimum_time_up() -> None:
    """50 minutes are four quarters; 20 of them have passed: two more steps."""
    group = engine(0.0, 8, step_min=15, min_up_h=5 / 6, on_start=True, hours_in_status_h=1 / 3).groups[0]
    assert group.options[:2] == (4, 1)
    assert int((group.columns["hold_h"] > 0).sum()) == 2


# --- starts a day ----------------------------------------------------------------------------------------------------


def over_midnight(price: Any = 0.0, heat: float = 0.0, **given: Any) -> Inputs:
    """Seven hours of which the first three lie before midnight in Paris."""
    inputs = engine(price, 7, heat=heat, **given)
    axis = replace(inputs.axis, start=datetime(2026, 1, 15, 20, tzinfo=UTC))
    user = users(CHP, 1, axis, **(ENGINE | OFF_LONG | given))
    return replace(district(CHP, user, axis, price), commitments=inputs.commitments)


@pytest.mark.parametrize(("most", "today"), [(0, 0), (1, 0), (1, 1), (2, 1), (1, 5), (2, 0)])
@pytest.mark.parametrize("was_on", [False, True])
def test_the_block_allows_just_the_patterns_with_few_starts_a_day(most: int, today: int, was_on: bool) -> None:
    """Each of the 128 patterns of seven hours is held in turn; the physics follows those that are allowed."""
    a = assemble(over_midnight(starts_max_per_day=most, starts_today=today, on_start=was_on))
    for pattern in itertools.product((0, 1), repeat=7):
        begins = np.diff([float(was_on), *pattern]) == 1
        few = begins[:3].sum() <= max(most - today, 0) and begins[3:].sum() <= most
        answer = whole(a, on=pattern)
        assert (answer.status == "optimal") == few, pattern
        if few:
            [seen] = assert_replays(Solved(a, answer.x, answer.objective), 1e-6)
            np.testing.assert_allclose(seen.flows["start"], [begins])


def test_its_controller_keeps_the_starts_of_a_day() -> None:
    """One start a day, that of today is used: the first order is refused, the first after midnight is obeyed."""
    inputs = over_midnight(starts_max_per_day=1, starts_today=1)
    seen = driven(inputs, on=[0, 1, 0, 1, 0, 1, 1], power_kw=[60.0] * 7)
    np.testing.assert_allclose(seen.flows["on"], [[0, 0, 0, 1, 0, 0, 0]])


def test_the_baseline_keeps_the_starts_of_a_day() -> None:
    seen = led_by(over_midnight(starts_max_per_day=1), [100.0, 0.0, 100.0, 100.0, 0.0, 100.0, 0.0])
    np.testing.assert_allclose(seen.flows["on"], [[1, 0, 0, 1, 0, 0, 0]])


def test_the_best_two_hours_share_one_start() -> None:
    """Power is worth making at 20 ct and not at 0; with one start a day an evening of two peaks has one hour less."""
    price = [0.2, 0.0, 0.2, 0.0, 0.2, 0.0, 0.0]
    free, _ = planned(over_midnight(price, heat=0.04))
    np.testing.assert_allclose(free.value("on"), [[1, 0, 1, 0, 1, 0, 0]], atol=1e-9)
    held, _ = planned(over_midnight(price, heat=0.04, starts_max_per_day=1))
    np.testing.assert_allclose(held.value("on"), [[1, 1, 1, 0, 1, 0, 0]], atol=1e-9)
    assert np.isclose(held.objective - free.objective, 5.6875)


# --- what a plan cannot choose ---------------------------------------------------------------------------------------


def test_an_override_stops_a_running_engine_and_forces_no_restart() -> None:
    """It must run three more hours and a person stops it for the first: stopped three hours too early, then at rest
    for its four hours, then free."""
    inputs = engine(0.3, 8, min_up_h=4.0, min_down_h=4.0, on_start=True, hours_in_status_h=1.0)
    a = assemble(replace(inputs, pins=tuple(Pin("d00", name, 0, 1, 0.0) for name in CHP.commands)))
    assert whole(a, closed=True).status == "infeasible"
    s = Session(a.lp)
    s.costs(np.arange(a.lp.shape[1]), np.zeros(a.lp.shape[1]))
    s.costs(a.emergencies, a.emergency_weight)
    least = s.run()
    assert np.isclose(least.objective, 3.0)
    a.lp.upper[a.emergencies] = least.x[a.emergencies]
    answer = whole(a, closed=False)
    solved = Solved(a, answer.x, answer.objective)
    [seen] = assert_replays(solved, 1e-6)
    np.testing.assert_allclose(solved.value("on"), [[0, 0, 0, 0, 1, 1, 1, 1]], atol=1e-9)
    np.testing.assert_allclose(seen.flows["too_early_h"], [[3.0, 0, 0, 0, 0, 0, 0, 0]], atol=1e-6)


def test_an_outage_of_a_running_engine_is_no_emergency() -> None:
    """Off for the hour of the outage and for its minimum rest, and then on again."""
    inputs = engine(0.3, 8, min_up_h=4.0, min_down_h=4.0, on_start=True, hours_in_status_h=1.0)
    pins = tuple(Pin("d00", name, 0, 1, 0.0, "outage") for name in CHP.commands)
    solved, seen = planned(with_outages(replace(inputs, pins=pins)))
    np.testing.assert_allclose(solved.value("on"), [[0, 0, 0, 0, 1, 1, 1, 1]], atol=1e-9)
    np.testing.assert_allclose(seen.flows["too_early_h"], 0.0, atol=1e-9)


def test_a_person_may_start_it_before_its_rest_is_over() -> None:
    inputs = engine(0.0, 4, min_down_h=3.0, on_start=False, hours_in_status_h=1.0)
    a = assemble(replace(inputs, pins=(Pin("d00", "on", 0, 1, 1.0, "override"),)))
    answer = whole(a, closed=False)
    [seen] = assert_replays(Solved(a, answer.x, answer.objective), 1e-6)
    assert seen.flows["on"][0, 0] == 1.0
    assert np.isclose(seen.flows["too_early_h"][0, 0], 2.0)


def test_free_of_a_status_it_has_no_emergency() -> None:
    a = assemble(engine(0.0, min_up_h=3.0, min_down_h=2.0))
    assert not len(a.emergencies)


# --- physics ---------------------------------------------------------------------------------------------------------


def test_told_less_than_the_minimum_it_runs_at_its_minimum() -> None:
    seen = driven(engine(0.0, 4), on=[1, 1, 1, 0], power_kw=[20.0, 0.0, 500.0, 80.0])
    np.testing.assert_allclose(seen.flows["power_kw"], [[50.0, 50.0, 100.0, 0.0]])
    np.testing.assert_allclose(seen.flows["gas_kw"][0, 3], 0.0)


def test_its_controller_keeps_the_minimum_times() -> None:
    """Free at first; up 2 h, down 2 h: the stop after one hour and the restart after one hour are refused."""
    inputs = engine(0.0, 6, min_up_h=2.0, min_down_h=2.0)
    seen = driven(inputs, on=[1, 0, 0, 1, 1, 0], power_kw=[60.0] * 6)
    np.testing.assert_allclose(seen.flows["on"], [[1, 1, 0, 0, 1, 1]])
    np.testing.assert_allclose(seen.flows["start"], [[1, 0, 0, 0, 1, 0]])


# --- the baseline ----------------------------------------------------------------------------------------------------


def led_by(inputs: Inputs, lack_kw: list[float]) -> Replayed:
    lacks = iterate(lack_kw)
    group = inputs.groups[0]
    return drive(
        CHP,
        dict(group.columns),
        group.steps,
        inputs.axis.step_h,
        lambda p, state: CHP.rule(p, state, {"heat": np.array([-next(lacks)])}),
    )


def iterate(values: list[float]) -> Iterator[float]:
    yield from values


def test_the_baseline_follows_the_heat() -> None:
    """It runs from the heat of minimum load (78.125 kW) up to that of full load (112.5 kW)."""
    seen = led_by(engine(0.0), [0.0, 50.0, 78.125, 95.3125, 300.0, -10.0])
    np.testing.assert_allclose(seen.flows["on"], [[0, 0, 1, 1, 1, 0]])
    np.testing.assert_allclose(-seen.flows["heat_kw"], [[0, 0, 78.125, 95.3125, 112.5, 0]])


def test_the_baseline_keeps_the_minimum_times_and_dumps_if_it_can() -> None:
    lack = [100.0, 0.0, 0.0, 100.0, 100.0, 0.0]
    seen = led_by(engine(0.0, min_up_h=2.0, min_down_h=2.0), lack)
    np.testing.assert_allclose(seen.flows["on"], [[1, 1, 0, 0, 1, 1]])
    np.testing.assert_allclose(-seen.flows["heat_kw"], [[100.0, 78.125, 0.0, 0.0, 100.0, 78.125]])
    seen = led_by(engine(0.0, min_up_h=2.0, min_down_h=2.0, dump=True), lack)
    np.testing.assert_allclose(-seen.flows["heat_kw"], [[100.0, 0.0, 0.0, 0.0, 100.0, 0.0]], atol=1e-9)


def test_the_baseline_keeps_the_status_carried_in() -> None:
    seen = led_by(engine(0.0, 4, min_up_h=3.0, on_start=True, hours_in_status_h=1.0), [0.0] * 4)
    np.testing.assert_allclose(seen.flows["on"], [[1, 1, 0, 0]])
    np.testing.assert_allclose(seen.flows["too_early_h"], 0.0)


@pytest.mark.parametrize(
    ("port", "cut_kw", "power_kw"),
    [
        ("ac", -30.0, 70.0),
        ("ac", -60.0, 0.0),
        ("ac", 30.0, 100.0),
        ("heat", -(112.5 - 78.125), 50.0),
        ("heat", -40.0, 0.0),
        ("gas", 93.75, 50.0),
        ("gas", -93.75, 100.0),
    ],
)
def test_shedding_lowers_power_or_stops(port: str, cut_kw: float, power_kw: float) -> None:
    inputs = engine(0.0, 1)
    p = at(inputs.groups[0].columns, 0, 1.0)
    command = {"on": np.ones(1), "power_kw": np.full(1, 100.0)}
    shed = CHP.shed(p, CHP.start(p), command, port, np.array([cut_kw]))
    np.testing.assert_allclose(shed["power_kw"], [power_kw], atol=1e-9)
    assert shed["on"] == (power_kw > 0)


def test_key_figures() -> None:
    seen = driven(engine(0.0, 4), on=[1, 1, 0, 1], power_kw=[100.0, 50.0, 0.0, 100.0])
    kpis = CHP.kpis(None, seen.flows, 1.0)
    assert {name: float(v[0]) for name, v in kpis.items()} == {
        "electricity_kwh": 250.0,
        "heat_kwh": 2 * 112.5 + 78.125,
        "fuel_kwh": 2 * 250 + 156.25,
        "running_h": 3.0,
        "starts": 2.0,
    }
