"""EV session: windows, energy due, minimum current; the block against hand and against its own physics."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import at
from gridopt.assets.ev_session import EVSession, local_window, steps_inside
from gridopt.clock import Axis
from gridopt.model.assemble import assemble
from gridopt.model.template import template
from tests.unit.assets.replay import (
    Solved,
    assert_replays,
    axis_of,
    by_rule,
    district,
    drive,
    hold_switches,
    solve,
    users,
)

LOSSLESS = {"efficiency": 1.0}


def sessions(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    return users(EVSession, n, axis, **{"arrive": 0.0, "depart": axis.steps * axis.step_h, "power_kw": 7.0} | given)


def planned(axis: Axis, price: Any, n: int = 1, **given: Any) -> Solved:
    return solve(district(EVSession, sessions(axis, n, **given), axis, price))


# --- windows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin_h", "end_h", "inside"),
    [
        (1.0, 2.0, (4, 8)),
        (1.1, 2.0, (5, 8)),  # a started step does not count
        (1.0, 1.9, (4, 7)),
        (-3.0, 0.5, (-12, 2)),
        (0.1, 0.2, (1, 1)),  # plugged for part of a step only
        (1 / 3, 2 / 3, (2, 2)),
        (0.1 + 0.2 - 0.05, 0.75, (1, 3)),  # 0.25 but for the last bit
    ],
)
def test_only_whole_steps_lie_inside(begin_h: float, end_h: float, inside: tuple[int, int]) -> None:
    first, last = steps_inside(np.array([begin_h]), np.array([end_h]), 0.25)
    assert (first[0], last[0]) == inside


@pytest.mark.parametrize(
    ("first", "last", "steps", "offset", "length"),
    [
        (3, 8, 96, 3, 8),  # 5 → 8
        (3, 7, 96, 3, 4),
        (91, 96, 96, 88, 8),  # shifted at the end of the horizon
        (-10, 3, 96, 0, 4),  # clipped at its start
        (94, 120, 96, 92, 4),  # and at its end
        (-5, 200, 90, 0, 90),  # never longer than the horizon
        (0, 1, 3, 0, 3),
        (-9, -2, 96, 0, 0),  # over before the horizon
        (96, 99, 96, 96, 0),  # begins after it
        (7, 7, 96, 7, 0),
    ],
)
def test_local_window(first: int, last: int, steps: int, offset: int, length: int) -> None:
    got = local_window(np.array([first]), np.array([last]), steps)
    assert (got[0][0], got[1][0]) == (offset, length)


def test_prepare_masks_what_is_not_plugged_in() -> None:
    axis = axis_of(96, 15)
    p = EVSession.prepare(sessions(axis, 3, arrive=[1.1, -5.0, 22.9], depart=[2.4, 0.8, 30.0], energy_kwh=3.0), axis)
    assert p.offset is not None
    assert p.steps is not None
    assert p.offset.tolist() == [5, 0, 92]
    assert p.steps.tolist() == [4, 4, 4]
    plugged = p.columns["charge_max_kw"] > 0
    assert [np.flatnonzero(row).tolist() for row in plugged] == [[5, 6, 7, 8], [0, 1, 2], [92, 93, 94, 95]]
    assert set(np.unique(p.columns["charge_max_kw"])) == {0.0, 7.0}


def test_energy_due_leaves_to_the_next_horizon_what_it_can_still_deliver() -> None:
    axis = axis_of(8)
    user = sessions(
        axis, 5, arrive=0.0, depart=[8.0, 9.0, 10.5, 30.0, 9.0], energy_kwh=[20.0, 20.0, 20.0, 20.0, 3.0],
        delivered_kwh=[4.0, 4.0, 4.0, 4.0, 9.0], power_kw=5.0, efficiency=0.8,
    )  # fmt: skip
    c = EVSession.prepare(user, axis).columns
    assert c["wanted_kwh"].tolist() == [16.0, 16.0, 16.0, 16.0, 0.0]
    assert c["due_kwh"].tolist() == [16.0, 12.0, 8.0, 0.0, 0.0]  # 4 kWh an hour into the car, whole steps only


def test_minimum_current() -> None:
    axis = axis_of(8, 15)
    user = sessions(
        axis, 5, phases=[1, 3, 3, 1, 1], current_min_a=[6, 6, 6, 0, 6], power_kw=[7.36, 11.0, 3.0, 7.36, 7.36],
        energy_kwh=[10, 10, 10, 10, 0.23], **LOSSLESS,
    )  # fmt: skip
    # 1.38 and 4.14 kW; never above the power; none; 0.23 kWh take a quarter-hour at 0.92 kW, the car then stops
    np.testing.assert_allclose(EVSession.prepare(user, axis).columns["charge_min_kw"], [1.38, 4.14, 3.0, 0.0, 0.92])


def test_a_session_without_a_whole_step_is_left_out_with_a_note() -> None:
    axis = axis_of(8)
    user = sessions(axis, 5, arrive=[2.1, -9.0, 8.0, 7.5, 7.2], depart=[2.9, 0.0, 12.0, 20.0, 7.9], energy_kwh=4.0)
    p = EVSession.prepare(user, axis)
    assert p.steps is not None
    assert not p.steps.any()
    # The second was over before, the third and fourth have their time after the horizon.
    assert [device for device, _ in p.notes] == [0, 4]
    assert all("4.00 kWh stay undelivered" in words for _, words in p.notes)
    assert district(EVSession, user, axis, 0.2).groups == ()


# --- the block -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [4, 40, 90])
def test_template(steps: int) -> None:
    t = template(EVSession, steps, ())
    assert (t.width, t.height, len(t.matrix.row)) == (steps + 1, 1, steps + 1)


def test_two_cheapest_hours_by_hand() -> None:
    """9.2 kWh into the car are 10 kWh at the plug: 7 in the cheapest hour, 3 in the next."""
    s = planned(axis_of(6), [0.30, 0.10, 0.25, 0.20, 0.40, 0.50], energy_kwh=9.2)
    np.testing.assert_allclose(s.value("charge_kw"), [[0, 7, 0, 3, 0, 0]], atol=1e-9)
    assert s.objective == pytest.approx(7 * 0.10 + 3 * 0.20)
    assert_replays(s)


def test_shortfall_by_hand() -> None:
    """Two plugged hours give 14 of 20 kWh; the rest is priced, and nothing is charged outside the window."""
    s = planned(axis_of(6), 0.1, arrive=1.0, depart=3.0, energy_kwh=20.0, shortfall_eur_per_kwh=3.0, **LOSSLESS)
    assert s.assembly.blocks[0].group.offset.tolist() == [1]
    np.testing.assert_allclose(s.value("charge_kw"), [[7, 7, 0, 0]], atol=1e-9)
    assert s.value("short_kwh") == pytest.approx(6.0)
    assert s.objective == pytest.approx(1.4 + 18.0)
    assert_replays(s)


def test_departure_after_the_horizon_by_hand() -> None:
    """Due are 4 kWh of 18 at any price; up to the 18 kWh it takes more where that pays, and never beyond."""
    two_hours_after = {"depart": 8.0, "energy_kwh": 18.0, **LOSSLESS}
    costly = planned(axis_of(6), [0.3, 0.1, 0.2, 0.3, 0.3, 0.3], **two_hours_after)
    assert costly.value("charge_kw").sum() == pytest.approx(4.0)
    assert costly.objective == pytest.approx(0.4)
    paid = planned(axis_of(6), -0.1, **two_hours_after)
    assert paid.value("charge_kw").sum() == pytest.approx(18.0)
    for s in (costly, paid):
        assert s.value("short_kwh") == pytest.approx(0.0)
        assert_replays(s)


def test_no_shortfall_is_priced_after_the_horizon_or_when_full() -> None:
    s = planned(axis_of(4), 0.2, n=2, depart=[99.0, 4.0], energy_kwh=[30.0, 5.0], delivered_kwh=[0.0, 5.0])
    assert s.objective == pytest.approx(0.0)
    assert_replays(s)


def test_zero_parameters() -> None:
    s = planned(axis_of(5), 0.2, n=3, power_kw=[0.0, 7.0, 7.0], energy_kwh=[3.0, 0.0, 3.0],
                shortfall_eur_per_kwh=[2.0, 2.0, 0.0])  # fmt: skip
    assert s.value("charge_kw").sum() == pytest.approx(0.0, abs=1e-9)
    assert s.objective == pytest.approx(6.0)
    assert_replays(s)


def test_the_decision_has_its_minimum_and_rounds_by_budget() -> None:
    axis = axis_of(8)
    (semi,) = assemble(district(EVSession, sessions(axis, phases=3, energy_kwh=9.0), axis, 0.1)).semi
    assert (semi.rounding, semi.large, semi.columns.shape) == ("budget", False, (1, 8))
    np.testing.assert_allclose(semi.minimum, 4.14)


# --- block and physics -----------------------------------------------------------------------------------------------


def random_sessions(rng: np.random.Generator, axis: Axis, n: int, current_min_a: float) -> dict[str, Any]:
    hours = axis.steps * axis.step_h
    arrive = rng.uniform(-4, hours - 2, n)
    return sessions(
        axis, n, arrive=arrive, depart=arrive + rng.uniform(1.5, 9, n), energy_kwh=rng.uniform(0, 25, n),
        delivered_kwh=rng.uniform(0, 4, n), power_kw=rng.choice([0.0, 3.7, 7.36, 11.0], n, p=[0.1, 0.3, 0.3, 0.3]),
        phases=rng.choice([1.0, 3.0], n), current_min_a=current_min_a, efficiency=rng.uniform(0.8, 1, n),
        shortfall_eur_per_kwh=rng.uniform(0.5, 3, n),
    )  # fmt: skip


@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("seed", range(4))
def test_physics_equals_block(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = axis_of(42, 15)
    user = random_sessions(rng, axis, n, current_min_a=0.0)
    user["arrive"][0], user["depart"][0] = 1.0, 6.0
    inputs = district(EVSession, user, axis, rng.normal(0.1, 0.2, axis.steps))
    assert_replays(solve(inputs))
    assert_replays(solve(inputs, rng=rng))


@pytest.mark.parametrize("seed", range(4))
def test_physics_equals_block_whose_decisions_hold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = axis_of(42, 15)
    inputs = district(EVSession, random_sessions(rng, axis, 7, current_min_a=6.0), axis, rng.normal(0.1, 0.2, 42))

    def fit(block: Any) -> Any:
        c = block.group.columns
        each = axis.step_h * c["efficiency"] * np.maximum(c["charge_min_kw"], 1e-3)
        return np.floor(c["wanted_kwh"] / each + 1e-9).astype(int)

    assert_replays(solve(inputs, hold=hold_switches(rng, fit), rng=rng))


def group_of(axis: Axis, **given: Any) -> Any:
    (group,) = district(EVSession, sessions(axis, **given), axis, 0.1).groups
    return dict(group.columns)


def test_the_car_ignores_less_than_its_minimum_and_stops_when_full() -> None:
    axis = axis_of(4)
    columns = group_of(axis, energy_kwh=9.0, **LOSSLESS)
    wanted = np.array([[1.0, 1.38 - 1e-8, 99.0, 7.0]])
    got = drive(EVSession, columns, 4, 1.0, {"charge_kw": wanted})
    np.testing.assert_allclose(got.flows["charge_kw"], [[0.0, 1.38, 7.0, 0.62]], atol=1e-7)
    np.testing.assert_allclose(got.states["charged_kwh"], [[0.0, 1.38, 8.38, 9.0]], atol=1e-7)
    assert got.end["short_kwh"] == pytest.approx(0.0)


def test_baseline_charges_at_once() -> None:
    axis = axis_of(8)
    columns = group_of(axis, arrive=2.0, depart=7.0, energy_kwh=16.0, **LOSSLESS)
    got = by_rule(EVSession, columns, 8, 1.0)
    np.testing.assert_allclose(got.flows["ac_kw"], [[0, 0, 7, 7, 2, 0, 0, 0]])  # 5 steps in a window of 8
    kpis = EVSession.kpis(SimpleNamespace(**columns), got.flows, 1.0)
    assert (kpis["delivered_kwh"][0], kpis["unserved_kwh"][0]) == (16.0, 0.0)


@pytest.mark.parametrize(("cut", "left"), [(0.0, 7.0), (2.0, 5.0), (6.0, 0.0), (99.0, 0.0), (-3.0, 7.0)])
def test_shed(cut: float, left: float) -> None:
    columns = group_of(axis_of(4), energy_kwh=16.0, **LOSSLESS)
    p = at(columns, 0, 1.0)
    got = EVSession.shed(p, EVSession.start(p), {"charge_kw": np.array([7.0])}, "ac", np.array([cut]))
    assert got["charge_kw"].tolist() == [left]


def test_shed_cuts_from_what_an_almost_full_car_really_draws() -> None:
    columns = group_of(axis_of(4), energy_kwh=16.0, **LOSSLESS)
    p = at(columns, 0, 1.0)
    got = EVSession.shed(p, {"charged_kwh": np.array([12.0])}, {"charge_kw": np.array([7.0])}, "ac", np.array([1.0]))
    assert got["charge_kw"].tolist() == [3.0]
