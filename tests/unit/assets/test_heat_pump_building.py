"""Heat pump on a building zone: exact discretisation, comfort band, COP; the block against hand and its own physics."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import at
from gridopt.assets.heat_pump_building import HeatPumpBuilding
from gridopt.assets.weather import cop_series
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

STEADY = {"cop": 4.0, "comfort_min_c": 20.0, "resistance_k_per_kw": 5.0, "capacity_kwh_per_k": 4.0, "outdoor_c": 0.0}
"""A zone with a time constant of 20 h that 4 kW of heat, 1 kW of electricity, hold at 20 °C against frost."""


def zones(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    return users(HeatPumpBuilding, n, axis, **STEADY | {"power_kw": 3.0} | given)


def planned(axis: Axis, price: Any, n: int = 1, **given: Any) -> Solved:
    return solve(district(HeatPumpBuilding, zones(axis, n, **given), axis, price))


# --- the weather law -------------------------------------------------------------------------------------------------


def test_cop_follows_the_weather_unless_it_is_given() -> None:
    outdoor = np.array([[7.0, -3.0, -40.0, 60.0]] * 2)
    given = np.array([[np.nan] * 4, [2.0, np.nan, 9.0, 1.0]])
    got = cop_series(given, outdoor, np.array([3.5, 3.0]), np.array([0.07, 0.1]))
    np.testing.assert_allclose(got, [[3.5, 2.8, 1.5, 6.0], [2.0, 2.0, 9.0, 1.0]])


def test_prepare() -> None:
    axis = axis_of(4, 30)
    c = HeatPumpBuilding.prepare(zones(axis, cop=None, outdoor_c=[7, 2, 12, -3], power_min_kw=5.0), axis).columns
    np.testing.assert_allclose(c["cop"], [[3.5, 3.15, 3.85, 2.8]])
    np.testing.assert_allclose(c["keep"], np.exp(-0.5 / 20))
    assert c["power_min_kw"] == 3.0  # never above the power
    assert set(c) == set(HeatPumpBuilding.column_names())


# --- the block -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 6, 96])
def test_template(steps: int) -> None:
    t = template(HeatPumpBuilding, steps, ())
    assert (t.width, t.height, len(t.matrix.row)) == (4 * steps, 2 * steps, (3 * steps - 1) + 3 * steps)


@pytest.mark.parametrize("step_min", [15, 60])
def test_holding_the_lower_edge_by_hand(step_min: int) -> None:
    """At a flat price the cheapest comfort is the lower edge itself: 1 kW to the last step, whatever its length."""
    steps = 6 * 60 // step_min
    s = planned(axis_of(steps, step_min), 0.25)
    np.testing.assert_allclose(s.value("heat_pump_kw"), np.ones((1, steps)), atol=1e-6)
    np.testing.assert_allclose(s.value("temperature_c"), np.full((1, steps), 20.0), atol=1e-6)
    assert s.objective == pytest.approx(6 * 0.25)
    assert_replays(s)


def test_heating_ahead_of_a_dear_hour_by_hand() -> None:
    """Hour 2 is dear: the zone leaves hour 1 at the T that lets it coast to 20 °C, if the heat lost on the way pays."""
    s = planned(axis_of(2), [0.1, 1.0])
    keep = np.exp(-1 / 20)
    warm = 20.0 / keep
    first = (warm - keep * 20.0) / ((1 - keep) * 5.0 * 4.0)
    np.testing.assert_allclose(s.value("temperature_c"), [[warm, 20.0]], atol=1e-6)
    np.testing.assert_allclose(s.value("heat_pump_kw"), [[first, 0.0]], atol=1e-6)
    assert s.objective == pytest.approx(0.1 * first)
    assert_replays(s)


def test_discomfort_below_and_above_by_hand() -> None:
    """Without power one zone cools along its exponential; 6 kW of sun (30 °C) warm the other beyond 24 °C.

    The cold at the end lasts 20 h more, the time constant.
    """
    axis = axis_of(5)
    s = planned(axis, 0.2, n=2, power_kw=0.0, gain_kw=np.array([[0.0], [6.0]]), discomfort_eur_per_kh=[0.5, 2.0])
    t = np.arange(1, 6)
    cold = 20 * np.exp(-t / 20)
    warm = 30 - 10 * np.exp(-t / 20)
    np.testing.assert_allclose(s.value("temperature_c"), [cold, warm])
    np.testing.assert_allclose(s.value("under_k"), [20 - cold, 0 * t], atol=1e-9)
    np.testing.assert_allclose(s.value("over_k"), [0 * t, np.maximum(warm - 24, 0)], atol=1e-9)
    missing = (20 - cold).sum() + 20 * (20 - cold[-1])
    assert s.objective == pytest.approx(0.5 * missing + 2.0 * np.maximum(warm - 24, 0).sum())
    assert_replays(s)


def test_a_band_by_schedule_lets_the_night_cool_down() -> None:
    axis = axis_of(12)
    night = np.where(np.arange(12) < 6, 10.0, 20.0)
    s = planned(axis, 0.25, comfort_min_c=night)
    assert (s.value("under_k") < 1e-7).all()
    assert s.objective < 12 * 0.25
    assert_replays(s)


@pytest.mark.parametrize("start", [5.0, 35.0])
def test_a_start_outside_the_band_is_accepted_and_priced(start: float) -> None:
    s = planned(axis_of(3), 0.1, temperature_start_c=start)
    assert (s.value("under_k") + s.value("over_k")).max() > 1
    assert_replays(s)


def test_zero_parameters() -> None:
    s = planned(axis_of(3), 0.2, n=2, power_kw=[0.0, 3.0], discomfort_eur_per_kh=[0.5, 0.0], cop_nominal=3.0)
    np.testing.assert_allclose(s.value("heat_pump_kw"), 0, atol=1e-9)
    got = assert_replays_without_shortfalls(s)
    assert got > 0


def assert_replays_without_shortfalls(s: Solved) -> float:
    """Where discomfort is free the plan may call any slack; states and costs agree all the same."""
    block = s.assembly.blocks[0]
    got = drive(HeatPumpBuilding, dict(block.group.columns), 3, 1.0, {"heat_pump_kw": s.value("heat_pump_kw")})
    np.testing.assert_allclose(got.states["temperature_c"], s.value("temperature_c"), atol=1e-9)
    assert got.total("discomfort_eur").sum() == pytest.approx(s.objective)
    return float(s.objective)


def test_the_decision_has_its_minimum_and_rounds_by_diffusion() -> None:
    axis = axis_of(6)
    assert assemble(district(HeatPumpBuilding, zones(axis), axis, 0.1)).semi == []  # modulating
    (semi,) = assemble(district(HeatPumpBuilding, zones(axis, power_min_kw=3.0), axis, 0.1)).semi
    assert (semi.rounding, semi.large, semi.minimum.tolist()) == ("diffusion", False, [[3.0] * 6])


def test_an_office_is_not_left_cold_to_save_cents() -> None:
    """20 °C wanted from hour 4, power dear until hour 8. With 5 EUR a house of 6 kWh/K is warm, an office block of 240
    kWh/K would open at 17 °C and fall below 16; the default, which grows with the zone, warms both alike."""
    axis = axis_of(12)
    price, wanted = [0.45] * 8 + [0.10] * 4, [17.0] * 4 + [20.0] * 8

    def warmth(size: float, eur_per_kh: float | None) -> Any:
        return planned(
            axis, price, resistance_k_per_kw=5.0 / size, capacity_kwh_per_k=6.0 * size, power_kw=4.0 * size, cop=2.5,
            comfort_min_c=wanted, temperature_start_c=17.5, discomfort_eur_per_kh=eur_per_kh,
        ).value("temperature_c")[0]  # fmt: skip

    assert warmth(1.0, 5.0)[4:].min() > 20 - 1e-6
    assert warmth(40.0, 5.0)[4:].min() < 16
    for size in (1.0, 40.0):
        assert warmth(size, None)[4:].min() > 20 - 1e-6


# --- block and physics -----------------------------------------------------------------------------------------------


def random_zones(rng: np.random.Generator, axis: Axis, n: int, **given: Any) -> dict[str, Any]:
    T = axis.steps
    low = rng.uniform(16, 21, (n, T))
    return zones(
        axis, n, resistance_k_per_kw=rng.uniform(2, 9, n), capacity_kwh_per_k=rng.uniform(0.5, 14, n),
        power_kw=rng.uniform(0.5, 4, n), outdoor_c=rng.uniform(-8, 15, (n, T)), gain_kw=rng.uniform(0, 3, (n, T)),
        cop=None, cop_nominal=rng.uniform(2, 5, n), comfort_min_c=low, comfort_max_c=low + rng.uniform(0, 4, (n, T)),
        temperature_start_c=rng.uniform(12, 27, n), discomfort_eur_per_kh=rng.uniform(0.1, 1, n), **given,
    )  # fmt: skip


@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("seed", range(4))
def test_physics_equals_block(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = axis_of(30, 15)
    inputs = district(HeatPumpBuilding, random_zones(rng, axis, n), axis, rng.normal(0.1, 0.2, 30))
    assert_replays(solve(inputs))
    assert_replays(solve(inputs, rng=rng))


@pytest.mark.parametrize("seed", range(4))
def test_physics_equals_block_whose_decisions_hold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = axis_of(30, 15)
    inputs = district(HeatPumpBuilding, random_zones(rng, axis, 7, power_min_kw=1.0), axis, rng.normal(0.1, 0.2, 30))
    assert_replays(solve(inputs, hold=hold_switches(rng, lambda b: np.full(b.group.n, 20)), rng=rng))


def test_halving_the_step_changes_nothing() -> None:
    """The discretisation is exact: the same power gives the same temperatures at the hours."""
    rng = np.random.default_rng(3)
    power, outdoor = rng.uniform(0, 3, (1, 6)), rng.uniform(-5, 10, 6)

    def temperatures(step_min: int) -> Any:
        k = 60 // step_min
        axis = axis_of(6 * k, step_min)
        columns = HeatPumpBuilding.prepare(zones(axis, outdoor_c=outdoor.repeat(k)), axis).columns
        wanted = {"heat_pump_kw": power.repeat(k, axis=1)}
        return drive(HeatPumpBuilding, dict(columns), 6 * k, 1 / k, wanted).states["temperature_c"][:, k - 1 :: k]

    np.testing.assert_allclose(temperatures(30), temperatures(60), rtol=1e-12)
    np.testing.assert_allclose(temperatures(5), temperatures(60), rtol=1e-12)


def columns_of(axis: Axis, **given: Any) -> dict[str, Any]:
    return dict(HeatPumpBuilding.prepare(zones(axis, **given), axis).columns)


def test_the_heat_pump_ignores_less_than_its_minimum_and_more_than_its_power() -> None:
    columns = columns_of(axis_of(4), power_min_kw=1.0)
    got = drive(HeatPumpBuilding, columns, 4, 1.0, {"heat_pump_kw": np.array([[0.9, 1.0 - 1e-8, 99.0, -1.0]])})
    np.testing.assert_allclose(got.flows["heat_pump_kw"], [[0.0, 1.0, 3.0, 0.0]], atol=1e-7)


def test_baseline_is_a_thermostat() -> None:
    axis = axis_of(6)
    got = by_rule(HeatPumpBuilding, columns_of(axis, temperature_start_c=22.0, gain_kw=[0, 0, 0, 0, 2, 2]), 6, 1.0)
    keep = np.exp(-1 / 20)
    assert got.flows["heat_pump_kw"][0, 0] == 0  # coasts: 22 °C * keep is still above 20 °C
    np.testing.assert_allclose(got.states["temperature_c"][0], [22 * keep, 20, 20, 20, 20, 20])
    np.testing.assert_allclose(got.flows["heat_pump_kw"][0, 2:], [1, 1, 0.5, 0.5])  # 2 kW of gains take half the heat
    assert (got.flows["under_k"] < 1e-9).all()


def test_baseline_rounds_its_need_up_to_the_minimum() -> None:
    got = by_rule(HeatPumpBuilding, columns_of(axis_of(6), power_min_kw=2.5), 6, 1.0)
    assert set(got.flows["heat_pump_kw"].ravel()) == {0.0, 2.5}
    assert (got.flows["under_k"] < 1e-9).all()


@pytest.mark.parametrize(("cut", "left"), [(0.0, 3.0), (1.0, 2.0), (2.5, 0.0), (99.0, 0.0), (-1.0, 3.0)])
def test_shed(cut: float, left: float) -> None:
    p = at(columns_of(axis_of(2), power_min_kw=1.0), 0, 1.0)
    got = HeatPumpBuilding.shed(p, {}, {"heat_pump_kw": np.array([3.0])}, "ac", np.array([cut]))
    assert got["heat_pump_kw"].tolist() == [left]


def test_kpis() -> None:
    columns = columns_of(axis_of(4, 30), power_kw=0.0)
    got = drive(HeatPumpBuilding, columns, 4, 0.5, {"heat_pump_kw": np.zeros((1, 4))})
    kpis = HeatPumpBuilding.kpis(SimpleNamespace(**columns), got.flows, 0.5)
    assert kpis["electricity_kwh"] == 0
    assert kpis["discomfort_kh"] == pytest.approx(0.5 * (20 - 20 * np.exp(-np.arange(1, 5) / 40)).sum())
