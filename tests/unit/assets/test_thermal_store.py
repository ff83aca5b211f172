"""Thermal store: standing loss, a band that loss alone may break, the end of the horizon."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridopt.assets.thermal_store import ThermalStore
from gridopt.model.inputs import Inputs, Pin
from tests.unit.assets.replay import Solved, assert_replays, axis_of, by_rule, district, drive, solve, users

SIZE = {"capacity_kwh": 10.0, "power_kw": 4.0, "loss_per_h": 0.0}


def store(price: Any, steps: int = 2, step_min: int = 60, **given: Any) -> Inputs:
    axis = axis_of(steps, step_min)
    return district(ThermalStore, users(ThermalStore, 1, axis, **(SIZE | given)), axis, price)


def closed(a: Any) -> Any:
    """No emergency: what a plan looks like that needs none."""
    upper = a.lp.upper.copy()
    upper[a.emergencies] = 0.0
    return a.lp.lower, upper


def best(inputs: Inputs) -> Solved:
    solved = solve(inputs, hold=closed)
    assert_replays(solved)
    return solved


def test_it_buys_cheap_and_gives_back_dear() -> None:
    """4 kWh bought at 10 ct and given back at 30 ct earn 80 ct; the end equals the start."""
    solved = best(store([0.1, 0.3]))
    np.testing.assert_allclose(solved.value("charge_kw"), [[4.0, -4.0]])
    np.testing.assert_allclose(solved.value("level_kwh"), [[9.0, 5.0]])
    assert np.isclose(solved.objective, -0.8)


def test_a_kwh_kept_for_an_hour_is_worth_less() -> None:
    """10 %/h: a kWh bought at 10 ct an hour ahead replaces 0.9 kWh at 11 ct, so it is bought as late as 4 kW allow.

    level_1 = 0.9 level_0 + 4 = 5 needs level_0 = 1 / 0.9; charge_0 = 1 / 0.9 - 0.9 * 5.
    """
    solved = best(store([0.1, 0.11], loss_per_h=0.1))
    np.testing.assert_allclose(solved.value("level_kwh"), [[1 / 0.9, 5.0]])
    np.testing.assert_allclose(solved.value("charge_kw"), [[1 / 0.9 - 4.5, 4.0]])
    np.testing.assert_allclose(best(store([0.1, 0.112], loss_per_h=0.1)).value("level_kwh"), [[8.5, 5.0]])


def test_loss_is_compounded_over_short_steps() -> None:
    """Four quarters lose what an hour loses."""
    group = store(0.1, 4, 15, loss_per_h=0.2).groups[0]
    seen = drive(ThermalStore, dict(group.columns), 4, 0.25, {"charge_kw": np.zeros((1, 4))})
    assert np.isclose(seen.states["level_kwh"][0, -1], 4.0)


@pytest.mark.parametrize(
    ("end", "given", "level", "objective"),
    [
        ("start", {}, 5.0, 0.0),
        ("free", {}, 1.0, -0.4),
        ("target", {"level_end": 0.7}, 7.0, 0.2),
        ("value", {"end_value_eur_per_kwh": 0.05}, 1.0, -0.4 + 0.2),
        ("value", {"end_value_eur_per_kwh": 0.15}, 9.0, 0.4 - 0.6),
    ],
)
def test_the_end_of_the_horizon(end: str, given: dict[str, float], level: float, objective: float) -> None:
    """One hour at 10 ct, 5 kWh in store, 4 kW."""
    solved = best(store(0.1, 1, end=end, **given))
    assert np.isclose(solved.value("level_kwh")[0, -1], level)
    assert np.isclose(solved.objective, objective)


def test_a_goal_out_of_reach_is_short_not_impossible() -> None:
    """Full in an hour from 5 kWh with 4 kW, paid to charge: 1 kWh short."""
    solved = solve(store(-0.1, 1, end="target", level_end=1.0))
    assert_replays(solved)
    assert np.isclose(solved.value("end_short_kwh").item(), 1.0)


def test_a_start_above_the_band_is_brought_back_or_paid() -> None:
    """11 kWh in a tank of 10: 1 kWh over for each hour until it is taken out. At 30 ct per kWh and hour against 20 ct
    for heat sold at -20 ct (paid for), out at once."""
    inputs = store([-0.2, 0.0], level_start=1.1, end="free", recovery_eur_per_kwh_per_h=0.3)
    assert inputs.groups[0].options == (True,)
    solved = best(inputs)
    np.testing.assert_allclose(solved.value("level_kwh")[0, 0], 10.0)
    assert np.isclose(solved.objective, 0.2)


def test_a_store_above_its_band_takes_no_more_than_it_loses() -> None:
    """Paid 1 EUR/kWh to take heat, with a recovery that costs nothing: it stays within what standing loss leaves."""
    inputs = store([-1.0, -1.0], level_start=1.2, level_max=0.8, loss_per_h=0.1, recovery_eur_per_kwh_per_h=0.0)
    solved = best(inputs)
    np.testing.assert_allclose(solved.value("level_kwh"), [[12 * 0.9, 12 * 0.81]])
    np.testing.assert_allclose(solved.value("charge_kw"), [[0.0, 0.0]], atol=1e-9)


def test_standing_loss_below_the_band_is_no_contradiction() -> None:
    """A store at the lower edge of its band, out of service: nothing charges it, and it cools."""
    inputs = store(0.1, 3, level_start=0.2, level_min=0.2, loss_per_h=0.1)
    assert inputs.groups[0].options == (True,)
    pinned = Inputs(
        inputs.axis, inputs.nodes, inputs.groups, inputs.commitments, (Pin("d00", "charge_kw", 0, 3, 0.0, "outage"),)
    )
    solved = solve(pinned)
    np.testing.assert_allclose(solved.value("level_kwh"), [[1.8, 1.62, 1.458]])
    np.testing.assert_allclose(solved.value("outside_kwh"), [[0.2, 0.38, 0.542]])
    assert np.isclose(solved.value("end_short_kwh").item(), 0.542)
    assert_replays(solved)


def test_a_band_that_is_never_left_needs_no_rows_for_it() -> None:
    assert store(0.1, level_min=0.2, loss_per_h=0.01).groups[0].options == (False,)


def test_the_physics_stops_at_the_edges() -> None:
    group = store(0.1, 4, level_min=0.1, level_max=0.9).groups[0]
    seen = drive(ThermalStore, dict(group.columns), 4, 1.0, {"charge_kw": np.array([[9.0, 9.0, -4.0, -9.0]])})
    np.testing.assert_allclose(seen.flows["charge_kw"], [[4.0, 0.0, -4.0, -4.0]])
    np.testing.assert_allclose(seen.states["level_kwh"], [[9.0, 9.0, 5.0, 1.0]])
    assert ThermalStore.kpis(SimpleNamespace(capacity_kwh=np.array([10.0])), seen.flows, 1.0)["cycles"] == [0.8]


def test_the_baseline_takes_the_surplus_and_covers_the_lack() -> None:
    group = store(0.1, 2).groups[0]
    seen = drive(
        ThermalStore,
        dict(group.columns),
        2,
        1.0,
        lambda p, state: ThermalStore.rule(p, state, {"heat": np.array([3.0 if state["level_kwh"][0] == 5 else -9.0])}),
    )
    np.testing.assert_allclose(seen.flows["heat_kw"], [[3.0, -4.0]])
    np.testing.assert_allclose(by_rule(ThermalStore, dict(group.columns), 2, 1.0).flows["heat_kw"], [[0.0, 0.0]])


def test_shedding_stops_at_standstill() -> None:
    charge, cut = np.array([3.0, 3.0, 3.0, -3.0, -3.0, -3.0]), np.array([1.0, 9.0, -1.0, -1.0, -9.0, 1.0])
    shed = ThermalStore.shed(None, {}, {"charge_kw": charge}, "heat", cut)
    np.testing.assert_allclose(shed["charge_kw"], [2.0, 0.0, 3.0, -2.0, 0.0, -3.0])
