"""Basin: levels by hand, the band against the set of levels that can be reached, starts and minimum times."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import Floats, at
from gridopt.assets.basin import Basin
from gridopt.clock import Axis
from gridopt.model.assemble import assemble
from gridopt.model.inputs import Inputs, Pin
from gridopt.simulate.twin import twin
from gridopt.solve.equal import ending_like
from gridopt.solve.session import INTEGER, Session
from tests.support.districts import Device, Plan, Sketch, energy_price, hours, node, planned
from tests.unit.assets.replay import Replayed, Solved, assert_replays, axis_of, by_rule, district, drive, users

LIFT: dict[str, Any] = {
    "level_min_m3": 100.0, "level_max_m3": 500.0, "level_start_m3": 300.0, "inflow_m3_per_h": 100.0,
    "power_kw": 40.0, "lift_kwh_per_m3": 0.1,
}  # fmt: skip
"""A lift station that pumps 400 m3/h at most; 100 m3/h flow in, 10 kW on the mean."""
TOWER: dict[str, Any] = {"pumping": "in", "inflow_m3_per_h": -100.0}
"""The same as a water tower that 100 m3/h are drawn from."""


def basin(axis: Axis, price: Any = 0.1, n: int = 1, **given: Any) -> Inputs:
    return district(Basin, users(Basin, n, axis, **(LIFT | given)), axis, price)


def run(axis: Axis, price: Any, most_kw: Any = 1000.0, pins: tuple[Pin, ...] = (), **given: Any) -> Plan:
    """One basin behind a connection, planned and verified."""
    return planned(
        Sketch(
            axis,
            (node(axis, "grid", most=most_kw, out=0.0),),
            (Device("basin", "basin", ("grid",), LIFT | given),),
            (energy_price(axis, "grid", price),),
            pins,
        )
    )


def rows(plan: Plan) -> tuple[list[float], list[float]]:
    power, level = (plan.value("basin", name).round(3) + 0.0 for name in ("pump_kw", "level_m3"))
    return power.tolist(), level.tolist()


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_a_lift_station_waits_for_the_cheap_hours() -> None:
    """60 kWh in all: 40 in the cheapest hour, 10 just before it, so that it then empties to the lower edge and only 10
    are left for the evening."""
    plan = run(axis_of(6), [0.3, 0.2, 0.05, 0.3, 0.3, 0.25])
    power, level = rows(plan)
    assert power == [0, 10, 40, 0, 0, 10]
    assert level == [400, 400, 100, 200, 300, 300]
    assert plan.cost_eur == pytest.approx(10 * 0.2 + 40 * 0.05 + 10 * 0.25)


def test_a_water_tower_is_filled_in_the_cheap_hours() -> None:
    plan = run(axis_of(6), [0.3, 0.2, 0.05, 0.3, 0.3, 0.25], **TOWER)
    power, level = rows(plan)
    assert power == [0, 10, 40, 0, 0, 10]
    assert level == [200, 200, 500, 400, 300, 300]


@pytest.mark.parametrize(
    ("end", "power", "level"),
    [
        ({"end": "free"}, [0, 10, 10], [500, 500, 500]),
        ({"end": "target", "level_end_m3": 250.0}, [0, 10, 35], [500, 500, 250]),
        ({}, [0, 10, 20], [500, 500, 400]),
    ],
)
def test_what_the_end_asks_for(end: dict[str, Any], power: list[float], level: list[float]) -> None:
    """400 m3 at the start: at the second hour's end the upper edge is full; the rest is as little as may be."""
    assert rows(run(axis_of(3), [0.3, 0.2, 0.05], level_start_m3=400.0, **end)) == (power, level)


def test_a_reserve_is_kept_free_before_the_rain() -> None:
    """From the third hour on 300 m3 are to be free: 40 kWh by then, at most 20 an hour."""
    reserve = [0, 0, 300, 300]
    plan = run(axis_of(4), [0.3, 0.4, 0.1, 0.1], reserve_m3=reserve, end="free", power_kw=20.0)
    assert rows(plan) == ([20, 0, 20, 10], [200, 300, 200, 200])
    assert plan.cost_eur == pytest.approx(20 * 0.3 + 20 * 0.1 + 10 * 0.1)


def test_the_least_power_of_one_pump_holds_for_all() -> None:
    """Two pumps of 20 kW, 15 kW at least: 10 kW are wanted every hour and can only be had in turns."""
    power, level = rows(run(axis_of(6), 0.1, pumps=2.0, power_kw=20.0, power_min_kw=15.0))
    assert all(p == 0 or 15 <= p <= 40 for p in power)
    assert sum(power) == pytest.approx(60.0)
    assert level[-1] == pytest.approx(300.0)


# --- starts and minimum times ----------------------------------------------------------------------------------------


def test_one_start_a_day_makes_one_run() -> None:
    price = [0.1, 0.3, 0.1, 0.3, 0.1, 0.3]
    free, _ = rows(run(axis_of(6), price, power_min_kw=10.0))
    assert [p > 0 for p in free] == [True, False, True, False, True, False]
    once, _ = rows(run(axis_of(6), price, power_min_kw=10.0, starts_max_per_day=1))
    assert [on for on, _ in itertools.groupby(p > 0 for p in once)].count(True) == 1


def test_a_start_that_costs_much_is_saved() -> None:
    price = [0.1, 0.3, 0.1, 0.3, 0.1, 0.3]
    for start_eur, starts in ((0.05, 2), (9.0, 1)):
        plan = run(axis_of(6), price, power_min_kw=10.0, start_cost_eur=start_eur)
        runs = [on for on, _ in itertools.groupby(p > 0 for p in rows(plan)[0])].count(True)
        assert runs == starts
        assert plan.ledger.lines["basin.start"].eur == pytest.approx(runs * start_eur)


@pytest.mark.parametrize(("up_h", "down_h"), [(2.0, 0.0), (1.0, 3.0), (2.0, 2.0)])
def test_the_block_allows_just_the_patterns_that_keep_band_and_times(up_h: float, down_h: float) -> None:
    """Each pattern of six hours is held in turn at a fixed power; hour by hour it is told what that does."""
    inputs = basin(
        axis_of(6), min_up_h=up_h, min_down_h=down_h, power_min_kw=40.0, inflow_m3_per_h=200.0, end="free"
    )  # fmt: skip
    a = assemble(inputs)
    (columns,) = a.whole[0].columns
    found = 0
    for pattern in itertools.product((0, 1), repeat=6):
        level, good, status, since = 300.0, True, 0, 1000.0
        for on in pattern:
            level += 200.0 - 400.0 * on
            good &= 100.0 <= level <= 500.0
            if on != status:
                good &= since >= (up_h if status else down_h)
                status, since = on, 0.0
            since += 1.0
        s = Session(a.lp)
        s.bounds(a.emergencies, np.zeros(len(a.emergencies)), np.zeros(len(a.emergencies)))
        s.wholeness(columns, np.full(6, INTEGER))
        s.bounds(columns, np.array(pattern, float), np.array(pattern, float))
        answer = s.run()
        assert (answer.status == "optimal") == good, pattern
        if good:
            found += 1
            assert_replays(Solved(a, answer.x, answer.objective), 1e-6)
    assert found or up_h + down_h > 3.5


# --- the band is never left where it can be kept ---------------------------------------------------------------------


def reachable(level: float, into: float, flow_max: float, inflow: Floats, low: float, high: Floats, h: float) -> bool:
    """Whether any course keeps the band: the set of levels that can be reached is an interval, hour after hour."""
    least = most = level
    for t in range(len(inflow)):
        least, most = least + h * inflow[t], most + h * inflow[t]
        least, most = (least, most + h * flow_max) if into > 0 else (least - h * flow_max, most)
        least, most = max(least, low), min(most, float(high[t]))
        if least > most:
            return False
    return True


@pytest.mark.parametrize("examples", [150, pytest.param(3000, marks=pytest.mark.slow)])
def test_a_basin_never_leaves_its_band_where_inflow_forecasts_hold(examples: int) -> None:
    """Random basins, rain, reserves and prices, negative ones too: whatever money says, the band and the reserve are
    kept if they can be; the level is that of the physics under the forecast inflow."""
    rng = np.random.default_rng(20)
    kept = 0
    for _ in range(examples):
        axis = hours(int(rng.integers(4, 20)), int(rng.choice([15, 30, 60])))
        T, h = axis.steps, axis.step_h
        into = float(rng.choice([-1.0, 1.0]))
        low, width = float(rng.uniform(0, 100)), float(rng.uniform(50, 500))
        flow = float(rng.uniform(50, 400))
        storm = np.where((np.arange(T) > T // 2) & (rng.random() < 0.5), rng.uniform(0.5, 1.5) * flow, 0.0)
        inflow = -into * (rng.uniform(0, 0.6, T) * flow + storm)
        reserve = np.where(storm > 0, rng.uniform(0, 0.5) * width, 0.0)
        begin = low + float(rng.uniform(0, 1)) * width
        given: dict[str, Any] = {
            "pumping": "in" if into > 0 else "out", "level_min_m3": low, "level_max_m3": low + width,
            "level_start_m3": begin, "inflow_m3_per_h": inflow, "reserve_m3": reserve, "power_kw": 0.1 * flow,
            "end": "free",
        }  # fmt: skip
        plan = run(axis, rng.normal(0.1, 0.2, T), **given)
        level = begin + h * np.cumsum(inflow + into * plan.value("basin", "pump_kw") / 0.1)
        outside = np.maximum(np.maximum(low - level, level - (low + width - reserve)), 0.0)
        possible = reachable(begin, into, flow, inflow, low, low + width - reserve, h)
        assert (plan.solution.emergency < 1e-5) == possible
        if possible:
            kept += 1
            assert outside.max() <= 1e-5 * max(1.0, low + width)
        else:
            np.testing.assert_allclose(plan.value("basin", "outside_m3"), outside, atol=1e-4)
    assert 0.3 * examples < kept < examples


def test_a_start_above_the_band_is_pumped_down_first_whatever_it_costs() -> None:
    plan = run(axis_of(4), [5.0, 5.0, 0.1, 0.1], level_start_m3=1000.0, end="free")
    power, level = rows(plan)
    assert power[:2] == [40, 30]
    assert level[:2] == [700, 500]
    assert plan.value("basin", "outside_m3").round(2).tolist() == [200, 0, 0, 0]
    assert plan.solution.emergency == pytest.approx(200.0, rel=1e-5)


def test_an_outage_lets_it_overflow_as_little_as_must_be() -> None:
    """Four hours without pumps and 600 m3: before them it is pumped 50 m3 too low, to lie above by 150 instead of 200
    when they are over."""
    axis = axis_of(6)
    pins = tuple(Pin("basin", name, 1, 5, 0.0, "outage") for name in ("pump_kw", "on"))
    plan = run(axis, [0.9, 0.1, 0.1, 0.1, 0.1, 0.1], pins=pins, inflow_m3_per_h=150.0, end="free")
    assert rows(plan)[1] == [50, 200, 350, 500, 650, 500]
    assert plan.solution.emergency == pytest.approx(50 + 150, rel=1e-5)


def test_a_connection_too_small_leaves_the_band_too() -> None:
    """The limit of the connection is hard: 5 kW lift 50 of the 100 m3/h; 150 m3 a band's breadth are left."""
    plan = run(axis_of(6), 0.1, most_kw=5.0, end="free")
    assert rows(plan) == ([5] * 6, [350, 400, 450, 500, 550, 600])
    assert plan.value("basin", "outside_m3").round(2).tolist() == [0, 0, 0, 0, 50, 100]


# --- physics, baseline, shedding -------------------------------------------------------------------------------------


def driven(inputs: Inputs, **command: Any) -> Replayed:
    group = inputs.groups[0]
    commands = {name: np.asarray(v, float)[None, :] for name, v in command.items()}
    return drive(Basin, dict(group.columns), group.steps, inputs.axis.step_h, commands)


def test_pumps_that_run_dry_stop() -> None:
    got = driven(basin(axis_of(4), power_min_kw=10.0), pump_kw=[40.0, 40.0, 5.0, 60.0])
    np.testing.assert_allclose(got.flows["pump_kw"], [[40, 10, 0, 20]])
    np.testing.assert_allclose(got.states["level_m3"], [[0, 0, 100, 0]])
    np.testing.assert_allclose(got.flows["outside_m3"], [[100, 100, 0, 100]])


def test_the_account_of_a_tower_goes_on_below_its_bottom() -> None:
    got = driven(basin(axis_of(4), **TOWER), pump_kw=[0.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(got.states["level_m3"], [[200, 100, 0, -100]])
    np.testing.assert_allclose(got.flows["outside_m3"], [[0, 0, 100, 200]])
    np.testing.assert_allclose(got.end["end_short_m3"], [400])


def test_the_baseline_is_a_level_switch() -> None:
    """It starts where the level would pass 80 % of the band (420 m3), and pumps to 20 % (180 m3)."""
    inputs = basin(axis_of(8), level_start_m3=250.0)
    got = by_rule(Basin, dict(inputs.groups[0].columns), 8, 1.0)
    np.testing.assert_allclose(got.states["level_m3"], [[350, 180, 280, 380, 180, 280, 380, 180]])
    tower = by_rule(Basin, dict(basin(axis_of(8), level_start_m3=350.0, **TOWER).groups[0].columns), 8, 1.0)
    np.testing.assert_allclose(tower.states["level_m3"], [[250, 420, 320, 220, 420, 320, 220, 420]])
    assert got.flows["outside_m3"].sum() == tower.flows["outside_m3"].sum() == 0
    kpis = Basin.kpis(at(inputs.groups[0].columns, 0, 1.0), got.flows, 1.0)
    assert {name: float(v[0]) for name, v in kpis.items()} == pytest.approx({
        "pumped_m3": 870.0, "pumping_kwh": 87.0, "outside_most_m3": 0.0, "starts": 3.0,
    })  # fmt: skip


@pytest.mark.parametrize(("cut_kw", "left_kw"), [(5.0, 25.0), (25.0, 0.0), (-5.0, 30.0)])
def test_shedding_lowers_power_or_stops(cut_kw: float, left_kw: float) -> None:
    p = at(basin(axis_of(4), power_min_kw=10.0).groups[0].columns, 0, 1.0)
    command = {"on": np.ones(1), "pump_kw": np.full(1, 30.0)}
    got = Basin.shed(p, Basin.start(p), command, "ac", np.array([cut_kw]))
    assert got["pump_kw"].item() == left_kw
    assert got["on"].item() == (left_kw > 0)


def test_two_days_are_compared_with_basins_that_end_no_worse() -> None:
    """By rule the lift station ends at 180 m3, 120 lower than it must, the tower at 420, 120 higher: to end like that
    costs the plan 12 kWh more each. Which way is worse differs between them."""
    axis = axis_of(8)
    devices = (
        Device("lift", "basin", ("grid",), LIFT | {"level_start_m3": 250.0, "end": "target", "level_end_m3": 300.0}),
        Device("tower", "basin", ("grid",), LIFT | TOWER | {
            "level_start_m3": 350.0, "end": "target", "level_end_m3": 300.0,
        }),
    )  # fmt: skip
    plan = planned(
        Sketch(axis, (node(axis, "grid", most=1000.0, out=0.0),), devices, (energy_price(axis, "grid", 0.1),))
    )
    day = twin(plan.inputs)
    x = ending_like(plan.solution, day.trace)
    assert x is not None
    schedule = plan.solution.assembly.schedule(x)
    ends = {name: float(schedule.value(plan.inputs, name, "level_m3")[-1]) for name in ("lift", "tower")}
    assert ends == pytest.approx({"lift": 180.0, "tower": 420.0}, abs=1e-3)
    assert schedule.net_kw.sum() - plan.net_kw("grid").sum() == pytest.approx(24.0, abs=1e-3)


def test_only_what_needs_a_status_has_one() -> None:
    cases: tuple[tuple[dict[str, Any], bool], ...] = (
        ({}, False),
        ({"min_up_h": 1.0}, True),
        ({"starts_max_per_day": 3.0}, True),
    )
    for given, on in cases:
        a = assemble(basin(axis_of(4), **given))
        assert (a.blocks[0].columns("on") is not None) == on
