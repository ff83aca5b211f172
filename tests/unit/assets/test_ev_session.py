"""EV session: windows, energy due, minimum current, content, energy at once, V2G, sharing; by hand and by physics."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import Floats, at
from gridopt.assets.ev_session import EVSession, local_window, steps_inside
from gridopt.clock import Axis
from gridopt.model.assemble import assemble
from gridopt.model.inputs import Inputs, Pin
from gridopt.model.template import template
from gridopt.simulate.twin import twin
from gridopt.verify import replay
from tests.support.districts import EXACT, optimum
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

LOSSLESS: dict[str, Any] = {"efficiency": 1.0}


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
    t = template(EVSession, steps, (False, False, False, False))
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


# --- content, and what is promised of it -----------------------------------------------------------------------------


def prepared(axis: Axis, **given: Any) -> dict[str, float]:
    """The scalar columns of one session."""
    c = EVSession.prepare(sessions(axis, **given), axis).columns
    return {name: float(a[0]) for name, a in c.items() if a.ndim == 1}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"energy_kwh": 20.0}, 20.0),
        ({"soc_arrive": 0.3, "soc_depart": 0.8}, 25.0),  # of 50 kWh
        ({"soc_arrive": 0.3, "soc_depart": 0.8, "delivered_kwh": 10.0}, 15.0),
        ({"soc_arrive": 0.9, "soc_depart": 0.8}, 0.0),
        ({"soc_arrive": 0.3, "soc_depart": 0.8, "energy_kwh": 30.0}, 30.0),  # the one that is more
        ({"soc_arrive": 0.3, "soc_depart": 0.8, "energy_kwh": 10.0}, 25.0),
        ({"soc_arrive": 0.8, "energy_kwh": 30.0}, 10.0),  # no more than fits
        ({"soc_arrive": 0.3, "capacity_kwh": np.nan, "soc_depart": 0.8, "energy_kwh": 7.0}, 7.0),  # of what?
        ({"soc_depart": 0.8, "energy_kwh": 7.0}, 7.0),  # from what?
    ],
)
def test_what_is_wanted(given: dict[str, float], wanted: float) -> None:
    c = prepared(axis_of(8), **({"capacity_kwh": 50.0} | given))
    assert (c["wanted_kwh"], c["due_kwh"]) == pytest.approx((wanted, wanted))
    assert (c["charged_least_kwh"], c["charged_most_kwh"]) == pytest.approx((0.0, wanted))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"energy_kwh": 30.0, "soc_arrive": 0.5}, "30 kWh are wanted, but only 25 fit into it"),
        ({"energy_kwh": 30.0, "soc_depart": 0.5}, "its shares of content have no effect"),
        ({"energy_kwh": 30.0, "at_once_soc": 0.3}, "its shares of content have no effect"),
        ({"soc_arrive": 0.5, "soc_depart": 0.9}, ""),
    ],
)
def test_what_cannot_be_is_a_note(given: dict[str, Any], words: str) -> None:
    axis = axis_of(8)
    notes = EVSession.prepare(sessions(axis, capacity_kwh=50.0, **given), axis).notes
    assert [said.startswith(words) for _, said in notes] == ([True] if words else [])


def test_a_reservation_by_hand() -> None:
    """A shared car of 50 kWh comes with 40 % at midnight and is booked with 80 % from 4 o'clock: 20 kWh."""
    s = planned(
        axis_of(6), [0.3, 0.1, 0.2, 0.3, 0.05, 0.05], depart=4.0, capacity_kwh=50.0, soc_arrive=0.4, soc_depart=0.8,
        power_kw=11.0, **LOSSLESS,
    )  # fmt: skip
    np.testing.assert_allclose(s.value("charge_kw"), [[0, 11, 9, 0]], atol=1e-9)
    assert s.objective == pytest.approx(1.1 + 1.8)
    assert_replays(s)


# --- energy at once --------------------------------------------------------------------------------------------------


def test_energy_at_once_by_hand() -> None:
    """10 kWh at once at 7 kW: all of the first hour, at least 3 of the second; the rest in the cheapest hour."""
    s = planned(axis_of(6), [0.5, 0.5, 0.4, 0.1, 0.2, 0.3], energy_kwh=14.0, at_once_kwh=10.0, **LOSSLESS)
    np.testing.assert_allclose(s.value("charge_kw"), [[7, 3, 0, 4, 0, 0]], atol=1e-9)
    assert s.value("late_kwh").sum() == pytest.approx(0.0)
    assert_replays(s)


@pytest.mark.parametrize(
    ("given", "at_once"),
    [
        ({"at_once_kwh": 20.0}, 20.0),
        ({"at_once_kwh": 20.0, "delivered_kwh": 15.0}, 5.0),  # part of it before the horizon
        ({"at_once_kwh": 20.0, "delivered_kwh": 25.0}, 0.0),
        ({"at_once_kwh": 50.0}, 30.0),  # never more than is asked for
        ({"at_once_soc": 0.3}, 0.0),  # of a content that nobody knows
        ({"at_once_soc": 0.3, "soc_arrive": 0.1, "capacity_kwh": 60.0}, 12.0),
        ({"at_once_soc": 0.3, "soc_arrive": 0.5, "capacity_kwh": 60.0}, 0.0),
        ({"at_once_soc": 0.3, "soc_arrive": 0.1, "capacity_kwh": 60.0, "at_once_kwh": 20.0}, 20.0),
    ],
)
def test_what_comes_at_once(given: dict[str, Any], at_once: float) -> None:
    axis = axis_of(8)
    assert prepared(axis, energy_kwh=30.0, **given)["at_once_left_kwh"] == pytest.approx(at_once)
    (group,) = district(EVSession, sessions(axis, energy_kwh=30.0, **given), axis, 0.1).groups
    assert group.options == (False, at_once > 0, False, False)


def test_energy_at_once_waits_where_it_costs_less_to() -> None:
    """Each hour late costs 0.05 EUR/kWh: two hours of waiting pay, a third does not."""
    s = planned(
        axis_of(6), [0.40, 0.36, 0.20, 0.17, 0.2, 0.2], energy_kwh=7.0, at_once_kwh=7.0, late_eur_per_kwh_per_h=0.05,
        **LOSSLESS,
    )  # fmt: skip
    np.testing.assert_allclose(s.value("charge_kw"), [[0, 0, 7, 0, 0, 0]], atol=1e-9)
    np.testing.assert_allclose(s.value("late_kwh"), [[7, 7, 0, 0, 0, 0]], atol=1e-9)
    assert s.objective == pytest.approx(1.4 + 0.7)
    assert_replays(s)


def test_nothing_is_late_after_departure() -> None:
    """Two plugged hours of a window of four."""
    s = planned(axis_of(8), 0.1, arrive=2.0, depart=4.0, energy_kwh=30.0, at_once_kwh=20.0, **LOSSLESS)
    np.testing.assert_allclose(s.value("charge_kw"), [[7, 7, 0, 0]], atol=1e-9)
    assert s.value("late_kwh").sum() == pytest.approx(0.0)
    assert s.objective == pytest.approx(1.4 + 2.0 * 16.0)
    assert_replays(s)


# --- back to the grid ------------------------------------------------------------------------------------------------

CAR: dict[str, Any] = {
    "capacity_kwh": 40.0, "soc_arrive": 0.5, "soc_depart": 0.5, "v2g_kw": 5.0, "wear_eur_per_kwh": 0.0,
    "current_min_a": 0.0, **LOSSLESS,
}  # fmt: skip


def test_a_car_gives_back_by_hand() -> None:
    """20 kWh in; it may go down to 30 %, 12 kWh: 8 kWh go out where they are dear and come back where they are not."""
    s = planned(axis_of(4), [0.5, 0.4, 0.1, 0.2], at_once_soc=0.3, **CAR)
    np.testing.assert_allclose(s.value("discharge_kw"), [[5, 3, 0, 0]], atol=1e-9)
    np.testing.assert_allclose(s.value("charge_kw"), [[0, 0, 7, 1]], atol=1e-9)
    np.testing.assert_allclose(s.value("charged_kwh"), [[-5, -8, -1, 0]], atol=1e-9)
    assert s.objective == pytest.approx(-2.5 - 1.2 + 0.7 + 0.2)
    assert_replays(s)


@pytest.mark.parametrize(("wear", "back"), [(0.0, 8.0), (0.19, 8.0), (0.25, 7.0), (0.35, 5.0), (0.41, 0.0)])
def test_wear_decides_what_is_given_back(wear: float, back: float) -> None:
    s = planned(axis_of(4), [0.5, 0.4, 0.1, 0.2], at_once_soc=0.3, **(CAR | {"wear_eur_per_kwh": wear}))
    assert s.value("discharge_kw").sum() == pytest.approx(back)
    assert_replays(s)


def test_what_is_kept_is_charged_first_and_never_given_back() -> None:
    """It comes with 4 of 40 kWh and shall keep 12: nothing goes out before they are in, at any price."""
    given = CAR | {"soc_arrive": 0.1, "soc_depart": 0.3}
    s = planned(axis_of(4), [9.0, 9.0, 0.1, 9.0], at_once_soc=0.3, late_eur_per_kwh_per_h=20.0, **given)
    np.testing.assert_allclose(s.value("charge_kw")[0], [7, 1, 5, 0], atol=1e-6)
    np.testing.assert_allclose(s.value("discharge_kw")[0], [0, 0, 0, 5], atol=1e-6)
    assert_replays(s)


def test_a_car_of_unknown_content_gives_back_what_it_charged() -> None:
    given: dict[str, Any] = {"energy_kwh": 0.0, "v2g_kw": 5.0, "wear_eur_per_kwh": 0.0, **LOSSLESS}
    s = planned(axis_of(4), [0.5, 0.1, 0.4, 0.5], **given)
    assert s.value("charge_kw").sum() == pytest.approx(0.0)
    s = planned(axis_of(4), [0.5, 0.1, 0.4, 0.5], **(given | {"energy_kwh": 6.0}))
    assert s.value("charge_kw").sum() == pytest.approx(6.0)
    low = prepared(axis_of(4), **(given | {"energy_kwh": 6.0, "delivered_kwh": 2.0}))
    assert (low["charged_least_kwh"], low["charged_most_kwh"], low["due_kwh"]) == (-2.0, 4.0, 4.0)


def test_a_car_that_stays_beyond_the_horizon_is_not_emptied_for_it() -> None:
    """What it gives in the evening it takes again before the horizon ends, though the night would do."""
    s = planned(axis_of(4), [0.5, 0.4, 0.3, 0.2], depart=12.0, **CAR)
    assert s.value("charged_kwh")[0, -1] == pytest.approx(0.0)
    assert prepared(axis_of(4), depart=12.0, **(CAR | {"soc_depart": 0.3}))["due_kwh"] == pytest.approx(-8.0)
    assert prepared(axis_of(4), depart=12.0, **(CAR | {"soc_depart": 0.9}))["due_kwh"] == pytest.approx(0.0)


def test_by_rule_a_car_that_gives_back_takes_what_it_wants_and_no_more() -> None:
    """20 kWh in, 30 wanted of 40: 10 at 7 kW. The last kWh would be less than its least power, and comes at that."""
    given = CAR | {"soc_depart": 0.75, "phases": 3, "current_min_a": 6.0}
    columns = group_of(axis_of(4), **given)
    got = by_rule(EVSession, columns, 4, 1.0)
    assert got.flows["charge_kw"][0] == pytest.approx([7, 4.14, 0, 0])
    assert got.flows["discharge_kw"].max() == 0


def test_both_ways_at_once_are_excluded() -> None:
    axis = axis_of(4)
    (pair,) = assemble(district(EVSession, sessions(axis, **CAR), axis, 0.1)).pairs
    assert pair.first.shape == (4,)


# --- who is short ----------------------------------------------------------------------------------------------------


def capped(axis: Axis, limit_kw: float, price: Any, user: dict[str, Any]) -> Inputs:
    """All cars behind one cable."""
    inputs = district(EVSession, user, axis, price)
    (grid,) = inputs.nodes
    return replace(inputs, nodes=(replace(grid, import_max_kw=np.full(axis.steps, limit_kw)),))


def shares(inputs: Inputs) -> Floats:
    """Share of what each car is due that the optimum serves, by id."""
    plan = optimum(replace(inputs, target=EXACT))
    out: dict[str, float] = {}
    for group, trace in zip(inputs.groups, replay(inputs, plan.schedule).steps, strict=True):
        p = SimpleNamespace(**group.columns)
        out |= dict(zip(group.ids, EVSession.kpis(p, trace, inputs.axis.step_h)["served"], strict=True))
    return np.array([out[name] for name in sorted(out)])


def jain(x: Floats) -> float:
    """Jain's index of fairness: 1 where all are equal, 1/n where one has it all."""
    return float(x.sum() ** 2 / (len(x) * (x**2).sum()))


def crowd(rng: np.random.Generator, axis: Axis, sharing: str) -> dict[str, Any]:
    n = 8
    return sessions(
        axis, n, arrive=rng.uniform(0, 1, n), depart=rng.uniform(7, 8, n), energy_kwh=rng.uniform(8, 24, n),
        power_kw=rng.choice([7.4, 22.0], n), current_min_a=0.0, sharing=sharing,
    )  # fmt: skip


@pytest.mark.parametrize("scarcity", [0.35, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_even_shares_are_even(seed: int, scarcity: float) -> None:
    """A cable that carries a part of what eight cars ask for: none is far from the mean."""
    rng = np.random.default_rng(seed)
    axis = axis_of(16, 30)
    user = crowd(rng, axis, "even")
    limit = scarcity * user["energy_kwh"].sum() / 0.92 / 8.0
    served = shares(capped(axis, limit, rng.uniform(0.05, 0.35, axis.steps), user))
    assert served.max() < 1.0
    assert served.max() - served.min() <= 0.1 + 1e-6
    assert jain(served) >= 0.9


def test_at_one_price_shares_are_not_even() -> None:
    """Without it the optimum is arbitrary: some have nothing. And no more energy is lost by sharing it evenly."""
    rng = np.random.default_rng(1)
    axis = axis_of(16, 30)
    user = crowd(rng, axis, "price")
    inputs = capped(axis, 0.5 * user["energy_kwh"].sum() / 0.92 / 8.0, 0.1, user)
    alone = shares(inputs)
    assert jain(alone) < 0.9
    even = shares(capped(axis, inputs.nodes[0].import_max_kw[0], 0.1, user | {"sharing": np.full(8, "even", object)}))
    assert jain(even) >= 0.95
    assert (even * user["energy_kwh"]).sum() == pytest.approx((alone * user["energy_kwh"]).sum(), rel=1e-6)


@pytest.mark.parametrize(("power", "cost"), [(9.0, 2.0), (8.0, 4.5), (7.0, 7.5), (5.0, 15.0), (0.0, 42.5)])
def test_even_shares_cost_by_hand(power: float, cost: float) -> None:
    """10 kWh due in one hour: the first kWh missing costs 2 EUR, the second 2.5, the third 3, the last 6.5."""
    s = planned(axis_of(4), 0.1, depart=1.0, energy_kwh=10.0, power_kw=power, sharing="even", **LOSSLESS)
    assert s.objective == pytest.approx(0.1 * power + cost)
    assert_replays(s)


def test_who_can_wait_least_is_served_first() -> None:
    """Two alike, one of which leaves four hours later, but the cable is free until two only."""
    axis = axis_of(8)
    user = sessions(axis, 2, depart=[8.0, 4.0], energy_kwh=12.0, power_kw=7.0, sharing="slack", **LOSSLESS)
    inputs = capped(axis, 6.0, 0.1, user)
    grid = replace(inputs.nodes[0], import_max_kw=np.where(np.arange(8) < 2, 6.0, 0.0))
    assert shares(replace(inputs, nodes=(grid,))).tolist() == pytest.approx([0.0, 1.0])
    price = [prepared(axis, **{k: v[j] for k, v in user.items() if k != "sharing"}, sharing="slack") for j in (0, 1)]
    assert [p["shortfall_eur_per_kwh"] for p in price] == pytest.approx([2 + 0.4 * 12 / 56, 2 + 0.4 * 12 / 28])


def test_by_rule_who_can_wait_longest_gives_way_first() -> None:
    """7 kW for three cars of 7 kW and 14 kWh: the one that leaves first charges first, whatever its window's length."""
    axis = axis_of(12)
    user = sessions(axis, 3, depart=[12.0, 4.0, 8.0], energy_kwh=14.0, power_kw=7.0, sharing="slack", **LOSSLESS)
    day = twin(capped(axis, 7.0, 0.1, user))
    assert not day.breaches
    power = {name: day.trace.port_kw(capped(axis, 7.0, 0.1, user), name, "ac")[:6] for name in ("d00", "d01", "d02")}
    assert power["d01"].tolist() == [7, 7, 0, 0, 0, 0]
    assert power["d02"].tolist() == [0, 0, 7, 7, 0, 0]
    assert power["d00"].tolist() == [0, 0, 0, 0, 7, 7]


def test_by_rule_a_held_car_is_not_waited_for() -> None:
    axis = axis_of(4)
    user = sessions(axis, 2, depart=[40.0, 4.0], energy_kwh=40.0, power_kw=7.0, sharing="slack", **LOSSLESS)
    inputs = replace(capped(axis, 10.0, 0.1, user), pins=(Pin("d00", "charge_kw", 0, 4, 7.0),))
    day = twin(inputs)
    assert not day.breaches
    assert day.trace.port_kw(inputs, "d01", "ac").tolist() == [3, 3, 3, 3]


# --- direct current --------------------------------------------------------------------------------------------------


def test_direct_current_knows_no_least_current() -> None:
    axis = axis_of(8)
    user = sessions(axis, 4, phases=3, dc=[True, True, False, False], power_min_kw=[0.0, 5.0, 0.0, 5.0], power_kw=50.0,
                    energy_kwh=40.0)  # fmt: skip
    np.testing.assert_allclose(EVSession.prepare(user, axis).columns["charge_min_kw"], [0.0, 5.0, 4.14, 5.0])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, ("current", "charge_kw")),
        ({"dc": True}, ("power", "ac_kw")),
        ({"v2g_kw": 5.0}, ("power", "ac_kw")),
    ],
)
def test_what_a_charge_point_is_told(given: dict[str, Any], told: tuple[str, str]) -> None:
    axis = axis_of(4)
    (group,) = district(EVSession, sessions(axis, energy_kwh=9.0, **given), axis, 0.1).groups
    assert EVSession.told(group.options) == told


# --- all of it together ----------------------------------------------------------------------------------------------


def mixed_sessions(rng: np.random.Generator, axis: Axis, n: int) -> dict[str, Any]:
    user = random_sessions(rng, axis, n, current_min_a=0.0)
    some = {
        "v2g_kw": rng.choice([0.0, 5.0], n), "capacity_kwh": rng.choice([np.nan, 50.0], n),
        "soc_arrive": rng.uniform(0, 0.8, n), "soc_depart": rng.choice([np.nan, 0.7], n),
        "at_once_soc": rng.choice([0.0, 0.3], n), "at_once_kwh": rng.choice([0.0, 6.0], n),
        "sharing": rng.choice(np.array(["price", "even", "slack"], object), n), "dc": rng.random(n) < 0.3,
    }  # fmt: skip
    return user | some


@pytest.mark.parametrize("seed", range(6))
def test_physics_equals_block_with_every_extra(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = axis_of(42, 15)
    inputs = district(EVSession, mixed_sessions(rng, axis, 12), axis, rng.uniform(0.02, 0.4, axis.steps))
    assert len({g.options for g in inputs.groups}) >= 4
    assert_replays(solve(inputs), 1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_no_command_leads_out_of_any_bound(seed: int) -> None:
    """Whatever is commanded: never more than fits, never less than is kept, nothing while unplugged."""
    rng = np.random.default_rng(seed)
    axis = axis_of(42, 15)
    for group in district(EVSession, mixed_sessions(rng, axis, 12), axis, 0.1).groups:
        c, shape = dict(group.columns), (group.n, group.steps)
        forth = rng.random(shape) < 0.5
        commands = {"charge_kw": 30 * rng.random(shape) * forth, "discharge_kw": 30 * rng.random(shape) * ~forth}
        got = drive(EVSession, c, group.steps, 0.25, commands)
        assert (got.states["charged_kwh"] <= c["charged_most_kwh"][:, None] + 1e-9).all()
        assert (got.states["charged_kwh"] >= c["charged_least_kwh"][:, None] - 1e-9).all()
        assert (got.flows["charge_kw"] <= c["charge_max_kw"]).all()
        assert (got.flows["discharge_kw"] <= c["discharge_max_kw"]).all()
