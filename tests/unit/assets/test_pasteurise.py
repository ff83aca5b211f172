"""Pasteurisation: once in 24 hours, whatever energy costs; by hand, at clock changes, and over a thousand tanks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import Floats, Ints
from gridopt.assets.hot_water_tank import HotWaterTank
from gridopt.clock import Axis
from gridopt.model.assemble import Assembly, assemble
from gridopt.model.inputs import Inputs, Pin, Target
from gridopt.model.template import template
from gridopt.simulate.twin import twin
from gridopt.solve.ladder import Solution, _Search, solve
from gridopt.solve.workbench import Workbench
from gridopt.verify import Ledger, bill, replay, verify
from tests.support.districts import EXACT
from tests.unit.assets.replay import axis_of, by_rule, district, drive, users

BASE = {"capacity_kwh": 10.0, "heater_power_kw": 5.0, "loss_per_h": 0.0, "level_start": 0.5, "end": "free",
        "pasteurise": True, "demand_kw": 0.0}  # fmt: skip
"""A heater fills 10 kWh in two hours; 8 of them are 60 °C."""


def tanks(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    return users(HotWaterTank, n, axis, **BASE | given)


def columns_of(axis: Axis, n: int = 1, **given: Any) -> dict[str, Floats]:
    return dict(HotWaterTank.prepare(tanks(axis, n, **given), axis).columns)


def planned(inputs: Inputs) -> tuple[Solution, dict[str, Floats], Ledger]:
    """The optimum, checked, its values and its bill."""
    solution = solve(replace(inputs, target=EXACT))
    assert solution.status == "optimal"
    schedule = solution.assembly.schedule(solution.x)
    assert verify(inputs, schedule, solution.objective) == []
    return solution, dict(schedule.groups[0]), bill(inputs, schedule.net_kw, replay(inputs, schedule))


def plan(axis: Axis, price: Any, **given: Any) -> tuple[Solution, dict[str, Floats], Ledger]:
    return planned(district(HotWaterTank, tanks(axis, **given), axis, price))


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_the_block_has_its_rows() -> None:
    bare = template(HotWaterTank, 24, (False, 0, 0))
    short, hour = template(HotWaterTank, 24, (False, 1, 24)), template(HotWaterTank, 24, (False, 4, 24))
    assert (short.width - bare.width, short.height - bare.height) == (5 * 24 + 1, 7 * 24)
    assert (hour.width - bare.width, hour.height - bare.height) == (5 * 24 + 1, 8 * 24)
    timer = template(HotWaterTank, 24, (False, 1, 1))
    assert (timer.width - bare.width, timer.height - bare.height) == (3 * 24 + 1, 4 * 24)


def test_it_heats_in_the_hour_that_makes_the_hold_cheapest() -> None:
    """Due by hour 3. Hour 0 is dear; full after hour 1 it is still hot after the draw of hour 2."""
    s, x, _ = plan(axis_of(6), [0.3, 0.1, 0.2, 0.25, 0.3, 0.3], demand_kw=[0, 0, 2, 0, 4, 0], since_pasteurised_h=20.0)
    np.testing.assert_allclose(x["level_kwh"], [[5, 10, 8, 8, 4, 4]], atol=1e-6)
    assert x["pasteurise"][0, 2:4].sum() == pytest.approx(1.0)
    assert s.objective == pytest.approx(0.5)


@pytest.mark.parametrize(("since", "bought"), [(22.0, 3.0), (16.0, 3.0), (15.0, 0.0), (0.0, 0.0)])
def test_it_is_due_24_hours_after_the_last_one(since: float, bought: float) -> None:
    """Nothing is drawn: 3 kWh are bought for the hold alone, when it must end within the eight hours."""
    s, _, _ = plan(axis_of(8), 0.2, since_pasteurised_h=since)
    assert s.objective == pytest.approx(0.2 * bought, abs=1e-6)


def test_two_days_have_holds_at_most_24_hours_apart() -> None:
    """A price that rises ever more: each hold as late as it may, but for what is drawn to be done with it."""
    axis = axis_of(48)
    _, x, _ = plan(axis, np.linspace(0.5, 0.1, 48), since_pasteurised_h=23.0 - 9.0, demand_kw=0.1)
    begins = np.flatnonzero(x["pasteurise"][0] > 0.5)
    assert begins[0] <= 9
    assert (np.diff(begins) <= 24).all()
    assert begins[-1] + 24 > 47 - 1


@pytest.mark.parametrize(
    ("step_min", "hold_h", "instants"), [(60, 1.0, 2), (30, 1.0, 3), (15, 1.0, 5), (15, 4 / 60, 2)]
)
def test_it_is_hot_at_both_ends_of_every_step_of_the_hold(step_min: int, hold_h: float, instants: int) -> None:
    """Hot water is drawn all the time: hot through the hold means heating through it."""
    steps = 6 * 60 // step_min
    _, x, _ = plan(axis_of(steps, step_min), 0.2, pasteurise_h=hold_h, since_pasteurised_h=20.0, demand_kw=1.0)
    hot = np.concatenate([[5.0], x["level_kwh"][0]]) >= 8 - 1e-6
    assert hot.sum() == instants


def test_money_has_no_say() -> None:
    """At 1000 EUR/kWh it is done as at 20 ct, and at -1000 as well, where all is full anyway."""
    for price, level in ((0.2, 8.0), (1000.0, 8.0), (-1000.0, 10.0)):
        _, x, _ = plan(axis_of(6), price, since_pasteurised_h=20.0)
        assert x["level_kwh"].max() == pytest.approx(level)
        assert x["pasteurise"].sum() == pytest.approx(1.0)
        assert np.abs(x["cold_kwh"]).max() < 1e-6


# --- where it cannot be ----------------------------------------------------------------------------------------------


def test_a_heater_too_small_does_what_it_can_and_says_what_lacks() -> None:
    """0.25 kW for six hours from 5 kWh: 6.5 kWh at most, 6.25 at the begin of the last hour."""
    axis = axis_of(6)
    user = tanks(axis, heater_power_kw=0.25, since_pasteurised_h=18.0)
    (note,) = HotWaterTank.prepare(user, axis).notes
    assert note == (0, "its heaters reach 6.2 of the 8.0 kWh that pasteurisation needs")
    s, x, _ = planned(district(HotWaterTank, user, axis, 0.5))
    assert x["unpasteurised_kwh"] == pytest.approx(8 - 6.25, abs=1e-4)
    assert x["level_kwh"][0, 4] == pytest.approx(6.25, abs=1e-4)
    assert s.emergency == 0.0  # no plan could do better, so nothing is traded for it


def test_an_overdue_tank_is_heated_as_fast_as_it_can() -> None:
    axis = axis_of(6)
    user = tanks(axis, heater_power_kw=1.0, since_pasteurised_h=30.0)
    assert list(HotWaterTank.prepare(user, axis).notes) == [
        (0, "its pasteurisation comes 10 h late, as soon as it can")
    ]
    s, x, _ = planned(district(HotWaterTank, user, axis, np.array([9, 9, 9, 0.1, 0.1, 0.1])))
    np.testing.assert_allclose(x["pasteurise"], [[0, 0, 0, 1, 0, 0]], atol=1e-9)
    assert s.objective == pytest.approx(3 * 9.0)


def test_an_outage_over_the_deadline_is_a_named_emergency_and_ends_as_soon_as_it_can() -> None:
    """Out of service in hours 0 to 3, due by hour 3: a hold begun at 4 would lack 3 of 8 kWh, at 5 none."""
    axis = axis_of(6)
    inputs = district(HotWaterTank, tanks(axis, since_pasteurised_h=20.0), axis, 0.2)
    pins = tuple(Pin("d00", name, 0, 4, 0.0, "outage") for name in HotWaterTank.commands)
    s, x, _ = planned(replace(inputs, pins=pins))
    # Missed at 3 (8 kWh); then either begun at 4 with 3 kWh lacking, or missed again.
    assert s.emergency == pytest.approx(8 + 3)
    np.testing.assert_allclose(x["cold_kwh"], [[0, 0, 0, 8, 3, 0]], atol=1e-5)


def test_a_limit_of_the_node_is_an_emergency_before_money() -> None:
    """The node lets 0.5 kW through, whatever the hot water lacking would cost."""
    axis = axis_of(4)
    inputs = district(HotWaterTank, tanks(axis, since_pasteurised_h=20.0), axis, 0.2)
    node = replace(inputs.nodes[0], import_max_kw=np.full(4, 0.5))
    s, x, _ = planned(replace(inputs, nodes=(node,)))
    assert x["level_kwh"][0, 2] == pytest.approx(6.5, abs=1e-4)
    assert s.emergency == pytest.approx(8 - 6.5, abs=1e-4)  # begun in hour 3: 6.5 kWh at its begin


def test_a_heat_pump_that_is_on_or_off_still_makes_it_hot() -> None:
    """64 °C are 9.6 of 10 kWh; a step on is 4 kWh: in whole steps it would miss the one or break the other."""
    given: dict[str, Any] = {"heater_power_kw": 0.0, "power_kw": 2.0, "power_min_kw": 2.0, "cop": 2.0}
    s, x, _ = plan(axis_of(6), 0.2, pasteurise_c=64.0, since_pasteurised_h=20.0, **given)
    assert s.emergency == 0.0
    assert x["level_kwh"].max() >= 9.6 - 1e-6
    assert columns_of(axis_of(6), pasteurise_c=50.0, **given)["power_min_kw"] == 2.0
    assert columns_of(axis_of(6), pasteurise_c=64.0, **given | {"heater_power_kw": 1.0})["power_min_kw"] == 2.0


# --- a timer ---------------------------------------------------------------------------------------------------------


def begins(axis: Axis, **given: Any) -> list[int]:
    c = columns_of(axis, pasteurise_at_h=3.0, heater_power_kw=50.0, **given)
    assert c["may_begin"].tolist() == c["due"].tolist()
    return list(np.flatnonzero(c["due"][0]))


def test_a_timer_begins_at_its_local_hour() -> None:
    summer = Axis(datetime(2026, 7, 1, 22, tzinfo=UTC), 60, 48)  # midnight in Paris
    assert begins(summer) == [3, 27]
    assert begins(replace(summer, zone="UTC")) == [5, 29]
    assert begins(replace(summer, start=datetime(2026, 7, 2, 1, tzinfo=UTC))) == [0, 24]  # at three itself
    assert begins(replace(summer, start=datetime(2026, 7, 2, 2, tzinfo=UTC))) == [23, 47]  # begun before; done
    assert begins(replace(summer, steps=28)) == [3, 27]
    assert begins(replace(summer, steps=27)) == [3]  # would not end inside


def test_a_timer_on_the_days_of_23_and_25_hours() -> None:
    spring = Axis(datetime(2026, 3, 28, 23, tzinfo=UTC), 60, 23)
    assert begins(spring) == [2]  # 01:00 is followed by 03:00
    autumn = Axis(datetime(2026, 10, 24, 22, tzinfo=UTC), 30, 50)
    assert begins(autumn, pasteurise_h=0.0) == [8]
    at_two = columns_of(autumn, pasteurise_at_h=2.0)
    assert list(np.flatnonzero(at_two["due"][0])) == [4]  # once, though there are two hours of two


def test_a_timer_leaves_nothing_to_decide() -> None:
    axis = axis_of(48)
    s, x, _ = plan(axis, np.random.default_rng(2).normal(0.1, 0.2, 48), pasteurise_at_h=3.0, demand_kw=0.2)
    assert s.rung == "lp"
    np.testing.assert_allclose(np.flatnonzero(x["pasteurise"][0]), [2, 26])  # the axis begins at 01:00 in Paris


def test_a_timer_takes_what_is_reached_hold_by_hold() -> None:
    """Tonight the tank cannot be hot, tomorrow it must."""
    axis = axis_of(30)
    c = columns_of(axis, pasteurise_at_h=3.0, heater_power_kw=0.5)
    np.testing.assert_allclose(c["hot_kwh"][0, [2, 26]], [6.0, 8.0], atol=1e-4)
    assert c["unreachable_kwh"] == pytest.approx(2.0, abs=1e-4)


# --- physics and baseline --------------------------------------------------------------------------------------------


def test_the_replay_notices_a_hold_that_is_not_begun_or_not_hot() -> None:
    """Due by hour 3 with one-hour holds; what is lacking is 8 kWh where it is not begun, else 8 less the content."""
    columns = columns_of(axis_of(6), since_pasteurised_h=20.0)

    def cold(heater: list[float], begun: list[float]) -> Any:
        wanted = {"heat_pump_kw": np.zeros((1, 6)), "heater_kw": np.array([heater]), "backup_kw": np.zeros((1, 6))}
        return drive(HotWaterTank, columns, 6, 1.0, wanted | {"pasteurise": np.array([begun])}).flows["cold_kwh"][0]

    assert cold([3, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]).tolist() == [0] * 6
    assert cold([3, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]).tolist() == [0, 0, 0, 8, 8, 8]  # no heater makes it hot by then
    assert cold([0, 1, 2, 0, 0, 0], [0, 0, 1, 0, 0, 0]).tolist() == [0, 0, 2, 0, 0, 0]
    assert cold([3, 0, 0, 0, 0, 0], [0] * 6).tolist() == [0, 0, 0, 8, 8, 8]
    assert cold([3, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0]).tolist() == [0, 0, 0, 8, 0, 0]


def test_a_hold_cannot_begin_within_another_one() -> None:
    columns = columns_of(axis_of(8, 15), pasteurise_h=0.5, level_start=1.0)
    wanted = {"heat_pump_kw": np.zeros((1, 8)), "backup_kw": np.zeros((1, 8)), "pasteurise": np.ones((1, 8))}
    got = drive(HotWaterTank, columns, 8, 0.25, wanted)
    assert got.flows["pasteurise"].tolist() == [[1, 0, 1, 0, 1, 0, 1, 0]]


@pytest.mark.parametrize("given", [{}, {"pasteurise_at_h": 5.0}, {"power_kw": 1.0, "cop": 3.0}, {"level_start": 0.9}])
def test_the_baseline_pasteurises_every_day(given: dict[str, Any]) -> None:
    columns = columns_of(axis_of(72), demand_kw=0.4, since_pasteurised_h=3.0, **given)
    got = by_rule(HotWaterTank, columns, 72, 1.0)
    assert (got.flows["cold_kwh"] < 1e-9).all()
    assert got.flows["pasteurise"].sum() >= 3
    assert HotWaterTank.kpis(None, got.flows, 1.0)["pasteurisations"] >= 3


# --- a thousand tanks ------------------------------------------------------------------------------------------------


def random_district(seed: int, n: int) -> tuple[Inputs, dict[str, Any]]:
    """Tanks whose heaters can do it in time, at prices that would be rid of it: steep, negative, absurd."""
    rng = np.random.default_rng(seed)
    axis = axis_of(int(rng.integers(30, 50)))
    T = axis.steps
    capacity = rng.uniform(3.0, 80.0, n)
    pump = rng.random(n) < 0.5
    user = tanks(
        axis, n, capacity_kwh=capacity, power_kw=np.where(pump, capacity * rng.uniform(0.02, 0.05, n), 0.0),
        heater_power_kw=capacity * rng.uniform(0.2, 0.5, n), loss_per_h=rng.uniform(0.002, 0.03, n),
        demand_kw=capacity[:, None] * rng.uniform(0, 0.15, (n, T)) * (rng.random((n, T)) < 0.5),
        level_start=rng.uniform(0, 1, n), end=rng.choice(["free", "start"], n),
        pasteurise_h=rng.choice([0.03, 0.07, 1, 2], n),
        pasteurise_c=rng.uniform(55, 64.9, n), since_pasteurised_h=rng.uniform(0, 12, n),
        pasteurise_at_h=np.where(rng.random(n) < 0.3, rng.uniform(8, 23.9, n), np.nan),
    )  # fmt: skip
    price = rng.normal(0.1, 0.2, T) * rng.choice([1.0, 10.0, 1000.0], T, p=[0.8, 0.15, 0.05])
    return replace(district(HotWaterTank, user, axis, price), target=Target(gap=1e9, exact_decisions=0)), user


def completions(level: Floats, hot: float, hold: int) -> list[int]:
    """Instants (step numbers) at which the tank has just been hot for ``hold`` whole steps."""
    run, out = -1, []
    for t, value in enumerate(level):
        run = run + 1 if value >= hot - 1e-5 * max(1.0, hot) else -1
        if run >= hold:
            out.append(t)
    return out


def assert_every_tank_is_pasteurised(levels: dict[str, Floats], user: dict[str, Any]) -> int:
    """By the contents alone: at no instant do more than 24 hours lie behind the last hold, or the one before the start.

    A timer may come a little over 24 hours after the last one, on the first day, for the axis begins in between.
    """
    seen = 0
    for name, level in levels.items():
        k = int(name[1:])
        hot = user["capacity_kwh"][k] * (user["pasteurise_c"][k] - 40.0) / 25.0
        hold = max(int(np.ceil(user["pasteurise_h"][k] - 1e-9)), 1)
        last = -float(user["since_pasteurised_h"][k])
        done = completions(level, hot, hold)
        if np.isfinite(user["pasteurise_at_h"][k]):
            assert done, name
            last = max(last, done[0] - 24.0)
        for instant in [*done, len(level) - 1]:
            assert instant - last <= 24.0 + 1e-9, (name, instant, last, done)
            last = float(instant)
        seen += 1
    return seen


@pytest.mark.parametrize("seed", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, 20))])
def test_pasteurisation_is_never_skipped_for_money(seed: int) -> None:
    """Twenty districts of 50 tanks; the plan and the baseline alike."""
    inputs, user = random_district(seed, 50)
    solution = solve(inputs)
    assert solution.emergency == 0.0
    schedule = solution.assembly.schedule(solution.x)
    assert verify(inputs, schedule, solution.objective) == []
    plan_levels, rule_levels = {}, {}
    day = twin(inputs)
    for group, said, steps in zip(inputs.groups, schedule.groups, day.trace.steps, strict=True):
        for k, name in enumerate(group.ids):
            start = group.columns["level_start_kwh"][k]
            plan_levels[name] = np.concatenate([[start], said["level_kwh"][k]])
            rule_levels[name] = np.concatenate([[start], steps["level_kwh"][k]])
        assert (group.columns["unreachable_kwh"] == 0).all()
    for levels in (plan_levels, rule_levels):
        assert assert_every_tank_is_pasteurised(levels, user) == 50
    assert day.ledger.total_eur > solution.objective


def without_rests(a: Assembly) -> tuple[Assembly, Ints]:
    """The programme whose rows of what is left of a hold limit nothing, and those rows."""
    every = range(len(a.lp.row_lower))
    rows = np.array([i for i in every if a.row_name(i)[2] == "rest_tank_pasteurised"], np.int64)
    low, high = a.lp.row_lower.copy(), a.lp.row_upper.copy()
    low[rows], high[rows] = -np.inf, np.inf
    return replace(a, lp=replace(a.lp, row_lower=low, row_upper=high)), rows


@pytest.mark.parametrize("seed", [100, 107, 109, 121, *(pytest.param(k, marks=pytest.mark.slow) for k in range(20))])
def test_what_is_left_of_a_hold_is_kept_by_every_plan(seed: int) -> None:
    """Rows that follow from the others: a plan that does not know them keeps them, in an emergency too."""
    inputs, _ = random_district(seed, 2)
    if late := seed > 100:  # no heat for some hours, or to the end
        last = int(np.random.default_rng(seed).integers(10, inputs.axis.steps + 1))
        pins = [
            Pin(name, f"{command}_kw", 2, last, 0.0, "outage")
            for group in inputs.groups
            for name in group.ids
            for command in ("heater", "heat_pump")
        ]
        inputs = replace(inputs, pins=tuple(sorted(pins, key=lambda p: (p.asset, p.variable))))
    free, rows = without_rests(assemble(inputs))
    found = _Search(free, lambda _: None).run()
    assert (found.emergency > 0.1) == late
    assert (free.matrix[rows] @ found.x >= assemble(inputs).lp.row_lower[rows] - 1e-4).all()


def test_the_relaxation_knows_what_is_left_of_a_hold() -> None:
    axis = axis_of(72)
    a = assemble(district(HotWaterTank, tanks(axis, loss_per_h=0.01, demand_kw=0.05), axis, 0.2))
    without, with_them = (Workbench(p).run().objective for p in (without_rests(a)[0], a))
    best = plan(axis, 0.2, loss_per_h=0.01, demand_kw=0.05)[0].objective
    assert with_them <= best + 1e-9
    assert best - with_them < 0.5 * (best - without), "most of what the holds cost beyond the draw"


def test_the_check_of_the_thousand_would_notice() -> None:
    _, user = random_district(0, 1)
    with pytest.raises(AssertionError):
        assert_every_tank_is_pasteurised({"d00": np.zeros(40)}, user)
