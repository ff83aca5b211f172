"""Hot-water tank: content, heat pump, immersion heater, backup, end rule; against hand and against its own physics.

Pasteurisation: test_pasteurise.py.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import at
from gridopt.assets.hot_water_tank import HotWaterTank
from gridopt.clock import Axis
from gridopt.model.assemble import Assembly, assemble
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

SIMPLE = {"capacity_kwh": 10.0, "power_kw": 2.0, "cop": 2.0, "loss_per_h": 0.0, "level_start": 0.0, "end": "free"}
"""No loss, 4 kW of heat at most, empty at the start."""


def tanks(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    return users(HotWaterTank, n, axis, **SIMPLE | {"demand_kw": 0.0} | given)


def planned(axis: Axis, price: Any, n: int = 1, **given: Any) -> Solved:
    return solve(district(HotWaterTank, tanks(axis, n, **given), axis, price))


def test_prepare() -> None:
    axis = axis_of(3, 30)
    c = HotWaterTank.prepare(
        tanks(axis, 4, cop=None, outdoor_c=[7.0, -3.0, 17.0], loss_per_h=0.19, level_start=0.3, level_end=0.9,
              end=["start", "target", "value", "free"], end_value_eur_per_kwh=0.1, power_min_kw=9.0),
        axis,
    ).columns  # fmt: skip
    np.testing.assert_allclose(c["cop"], [[3.0, 2.4, 3.6]] * 4)
    np.testing.assert_allclose(c["keep"], 0.9)
    np.testing.assert_allclose(c["level_start_kwh"], 3.0)
    np.testing.assert_allclose(c["level_goal_kwh"], [3.0, 9.0, 0.0, 0.0])
    np.testing.assert_allclose(c["end_value_eur_per_kwh"], [0, 0, 0.1, 0])
    np.testing.assert_allclose(c["power_min_kw"], 2.0)
    assert not c["may_begin"].any()
    assert not c["due"].any()
    assert set(c) == set(HotWaterTank.column_names())


@pytest.mark.parametrize("steps", [1, 6, 96])
def test_template(steps: int) -> None:
    t = template(HotWaterTank, steps, (False, 0, 0))
    assert (t.width, t.height, len(t.matrix.row)) == (3 * steps + 1, steps + 1, (4 * steps - 1) + 2)
    t = template(HotWaterTank, steps, (True, 0, 0))
    assert (t.width, t.height, len(t.matrix.row)) == (4 * steps + 1, steps + 1, (5 * steps - 1) + 2)


def test_heating_in_the_cheapest_hours_by_hand() -> None:
    """6 kWh of heat by the last hour: 2 kW in the cheapest hour, 1 kW in the next."""
    s = planned(axis_of(5), [0.30, 0.10, 0.20, 0.30, 0.30], demand_kw=[0, 0, 0, 0, 6])
    np.testing.assert_allclose(s.value("heat_pump_kw"), [[0, 2, 1, 0, 0]], atol=1e-9)
    np.testing.assert_allclose(s.value("level_kwh"), [[0, 4, 6, 6, 0]], atol=1e-9)
    assert s.objective == pytest.approx(2 * 0.1 + 1 * 0.2)
    assert_replays(s)


def test_standing_loss_by_hand() -> None:
    """Heat kept for an hour loses a fifth: 5 kWh two hours ahead or 4 one hour ahead for 3.2 at the end."""
    s = planned(axis_of(3), [0.10, 0.20, 0.90], demand_kw=[0, 0, 3.2], loss_per_h=0.2, power_kw=3.0)
    np.testing.assert_allclose(s.value("level_kwh"), [[5, 4, 0]], atol=1e-9)
    assert s.objective == pytest.approx(2.5 * 0.1)
    assert_replays(s)


def test_backup_by_hand() -> None:
    """The heat pump brings 4 of the 7 kWh drawn in the first hour; the backup brings the rest at its price."""
    s = planned(axis_of(2), 0.2, demand_kw=[7, 1], backup_eur_per_kwh=3.0)
    np.testing.assert_allclose(s.value("backup_kw"), [[3, 0]], atol=1e-9)
    assert s.objective == pytest.approx(2.5 * 0.2 + 3 * 3.0)
    assert_replays(s)


def test_the_heater_helps_where_the_heat_pump_is_too_small_by_hand() -> None:
    """9 kWh are drawn in the dear hour 1. In hour 0 heat costs 5 ct by heat pump and 10 ct by heater, in hour 1 15 ct
    by heat pump: 4 + 3 kWh in advance, 2 at once."""
    s = planned(axis_of(2), [0.1, 0.3], demand_kw=[0, 9], heater_power_kw=3.0)
    np.testing.assert_allclose(s.value("heat_pump_kw"), [[2, 1]], atol=1e-9)
    np.testing.assert_allclose(s.value("heater_kw"), [[3, 0]], atol=1e-9)
    np.testing.assert_allclose(s.value("level_kwh"), [[7, 0]], atol=1e-9)
    assert s.objective == pytest.approx(5 * 0.1 + 1 * 0.3)
    assert_replays(s)


def test_a_heater_alone_by_hand() -> None:
    s = planned(axis_of(3), [0.3, 0.1, 0.2], demand_kw=[0, 0, 5], power_kw=0.0, heater_power_kw=3.0)
    np.testing.assert_allclose(s.value("heater_kw"), [[0, 3, 2]], atol=1e-9)
    assert s.objective == pytest.approx(3 * 0.1 + 2 * 0.2)
    assert_replays(s)


def test_a_tank_without_any_heater_is_noted() -> None:
    axis = axis_of(2)
    notes = HotWaterTank.prepare(tanks(axis, 3, power_kw=[0, 0, 1], heater_power_kw=[0, 1, 0]), axis).notes
    assert list(notes) == [(0, "it has neither a heat pump nor an immersion heater")]


def short_at_most(kwh: float) -> Any:
    """Emergencies are minimised before money; here they are held at the least that hand finds."""

    def bounds(a: Assembly) -> tuple[Any, Any]:
        upper = a.lp.upper.copy()
        assert len(a.emergencies) == 1
        upper[a.emergencies] = kwh
        return a.lp.lower, upper

    return bounds


@pytest.mark.parametrize(
    ("end", "level", "objective"),
    [("free", 5.0, 0.0), ("start", 5.0, 0.0), ("target", 9.0, 2 * 0.2), ("value", 10.0, 2.5 * 0.2 - 5 * 0.3)],
)
def test_end_rules_by_hand(end: str, level: float, objective: float) -> None:
    """A kWh of heat costs 0.10 EUR: to be bought where a goal asks for it, or its value of 0.30 EUR counts."""
    axis = axis_of(4)
    user = tanks(axis, end=end, level_start=0.5, level_end=0.9, end_value_eur_per_kwh=0.3)
    s = solve(district(HotWaterTank, user, axis, 0.2), hold=short_at_most(0.0))
    assert s.value("level_kwh")[0, -1] == pytest.approx(level)
    assert s.objective == pytest.approx(objective)
    assert_replays(s)


def test_a_goal_out_of_reach_is_a_named_shortfall() -> None:
    """Two hours of 4 kW bring 8 of 10 kWh."""
    axis = axis_of(2)
    s = solve(district(HotWaterTank, tanks(axis, end="target", level_end=1.0), axis, 0.2), hold=short_at_most(2.0))
    np.testing.assert_allclose(s.value("heat_pump_kw"), [[2, 2]], atol=1e-9)
    (got,) = assert_replays(s)
    assert got.end["end_short_kwh"] == pytest.approx(2.0)


def test_zero_parameters() -> None:
    s = planned(axis_of(4), 0.1, n=4, capacity_kwh=[0.0, 10, 10, 10], power_kw=[2.0, 0.0, 2, 2],
                demand_kw=[[1.0], [1.0], [0.0], [1.0]], backup_eur_per_kwh=[1.0, 1.0, 1.0, 0.0])  # fmt: skip
    np.testing.assert_allclose(s.value("backup_kw").sum(1), [0, 4, 0, 4], atol=1e-9)
    assert s.objective == pytest.approx(4 * 0.5 * 0.1 + 4 * 1.0)
    assert_replays(s)


def test_the_decision_has_its_minimum_and_rounds_by_diffusion() -> None:
    axis = axis_of(4)
    (semi,) = assemble(district(HotWaterTank, tanks(axis, power_min_kw=0.6), axis, 0.1)).semi
    assert (semi.rounding, semi.large, semi.minimum.tolist()) == ("diffusion", False, [[0.6] * 4])


# --- block and physics -----------------------------------------------------------------------------------------------


def random_tanks(rng: np.random.Generator, axis: Axis, n: int, **given: Any) -> dict[str, Any]:
    T = axis.steps
    return tanks(
        axis, n, **{
            "capacity_kwh": rng.uniform(3, 14, n), "power_kw": rng.uniform(0.7, 3, n),
            "demand_kw": rng.uniform(0, 6, (n, T)) * (rng.random((n, T)) < 0.4), "cop": None,
            "outdoor_c": rng.uniform(-8, 15, (n, T)), "loss_per_h": rng.choice([0.0, 0.01, 0.05], n),
            "level_start": rng.uniform(0, 1, n), "level_end": rng.uniform(0, 1, n),
            "end": rng.choice(["free", "value"], n), "end_value_eur_per_kwh": rng.uniform(0, 0.2, n),
            "backup_eur_per_kwh": rng.uniform(0.2, 2, n),
            "heater_power_kw": rng.uniform(0, 3, n) * (rng.random(n) < 0.5),
        } | given,
    )  # fmt: skip


@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("seed", range(4))
def test_physics_equals_block(n: int, seed: int) -> None:
    """Also where random prices make the plan call the backup although the tank is not empty."""
    rng = np.random.default_rng(seed)
    axis = axis_of(30, 15)
    inputs = district(HotWaterTank, random_tanks(rng, axis, n), axis, rng.normal(0.1, 0.2, 30))
    assert_replays(solve(inputs))
    assert_replays(solve(inputs, rng=rng))


@pytest.mark.parametrize("seed", range(4))
def test_physics_equals_block_whose_decisions_hold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = axis_of(30, 15)
    user = random_tanks(rng, axis, 7, power_min_kw=0.6, capacity_kwh=80.0, level_start=0.3)
    inputs = district(HotWaterTank, user, axis, rng.normal(0.1, 0.2, 30))
    assert_replays(solve(inputs, hold=hold_switches(rng, lambda b: np.full(b.group.n, 20)), rng=rng))


def columns_of(axis: Axis, **given: Any) -> dict[str, Any]:
    return dict(HotWaterTank.prepare(tanks(axis, **given), axis).columns)


def test_a_full_tank_stops_its_heat_pump_and_an_empty_one_calls_the_backup() -> None:
    columns = columns_of(axis_of(5), demand_kw=[0, 0, 0, 8, 8], power_min_kw=1.0)
    wanted = {"heat_pump_kw": np.array([[2.0, 2.0, 2.0, 0.9, 0.0]]), "backup_kw": np.array([[5.0, 0, 0, 1.0, 2.0]])}
    got = drive(HotWaterTank, columns, 5, 1.0, wanted)
    np.testing.assert_allclose(got.flows["heat_pump_kw"], [[2, 2, 1, 0, 0]])  # the last kWh, then below the minimum
    np.testing.assert_allclose(got.flows["backup_kw"], [[0, 0, 0, 1, 5]])  # never without draw-off
    np.testing.assert_allclose(got.states["level_kwh"], [[4, 8, 10, 3, 0]])


def test_baseline_reheats_from_half_empty_until_full() -> None:
    columns = columns_of(axis_of(8), demand_kw=[1, 1, 1, 0, 0, 0, 3, 9], level_start=0.7)
    got = by_rule(HotWaterTank, columns, 8, 1.0)
    np.testing.assert_allclose(got.flows["heat_pump_kw"], [[0, 0, 0, 2, 1, 0, 0, 0]])
    np.testing.assert_allclose(got.states["level_kwh"], [[6, 5, 4, 8, 10, 10, 7, 0]])
    np.testing.assert_allclose(got.flows["backup_kw"], [[0, 0, 0, 0, 0, 0, 0, 2]])
    kpis = HotWaterTank.kpis(SimpleNamespace(**columns), got.flows, 1.0)
    assert (kpis["electricity_kwh"][0], kpis["backup_kwh"][0]) == (3.0, 2.0)


def test_a_full_tank_stops_the_heater_first() -> None:
    """Room for 5 kWh: 4 of the heat pump, 1 of the heater's 3."""
    columns = columns_of(axis_of(1), level_start=0.5, heater_power_kw=3.0)
    wanted = {"heat_pump_kw": np.array([[2.0]]), "heater_kw": np.array([[9.0]]), "backup_kw": np.array([[0.0]])}
    got = drive(HotWaterTank, columns, 1, 1.0, wanted)
    np.testing.assert_allclose([got.flows["heat_pump_kw"], got.flows["heater_kw"]], [[[2.0]], [[1.0]]])
    np.testing.assert_allclose(got.flows["ac_kw"], [[3.0]])


def test_baseline_without_a_heat_pump_heats_with_the_heater() -> None:
    got = by_rule(HotWaterTank, columns_of(axis_of(4), power_kw=0.0, heater_power_kw=4.0), 4, 1.0)
    np.testing.assert_allclose(got.states["level_kwh"], [[4, 8, 10, 10]])
    got = by_rule(HotWaterTank, columns_of(axis_of(3), heater_power_kw=4.0), 3, 1.0)
    np.testing.assert_allclose(got.flows["heater_kw"], 0.0)  # with a heat pump it waits for the timer


@pytest.mark.parametrize(
    ("cut", "pump", "heater"), [(0.5, 2.0, 2.5), (3.0, 2.0, 0.0), (3.8, 1.2, 0.0), (4.5, 0.0, 0.0)]
)
def test_shed_stops_the_heater_first(cut: float, pump: float, heater: float) -> None:
    p = at(columns_of(axis_of(2), power_min_kw=1.0, heater_power_kw=3.0), 0, 1.0)
    told = {"heat_pump_kw": np.array([2.0]), "heater_kw": np.array([3.0]), "backup_kw": np.array([0.0])}
    got = HotWaterTank.shed(p, HotWaterTank.start(p), told, "ac", np.array([cut]))
    assert [got["heat_pump_kw"].item(), got["heater_kw"].item()] == pytest.approx([pump, heater])


@pytest.mark.parametrize(
    ("level", "cut", "left"), [(0.0, 0.0, 2.0), (0.0, 0.5, 1.5), (0.0, 1.5, 0.0), (7.0, 0.3, 1.2), (0.0, -1.0, 2.0)]
)
def test_shed(level: float, cut: float, left: float) -> None:
    """At 7 of 10 kWh the tank takes 1.5 kW: the cut is taken from that."""
    p = at(columns_of(axis_of(2), power_min_kw=1.0), 0, 1.0)
    state = HotWaterTank.start(p) | {"level_kwh": np.array([level]), "heating": np.ones(1)}
    got = HotWaterTank.shed(
        p, state, {"heat_pump_kw": np.array([2.0]), "backup_kw": np.array([0.0])}, "ac", np.array([cut])
    )
    assert got["heat_pump_kw"] == pytest.approx(left)
