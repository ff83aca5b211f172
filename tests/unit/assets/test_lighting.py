"""Street lighting: dimming by hand, ramps, outages; a lamp never falls below its floor."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import at
from gridopt.assets.lighting import Lighting
from gridopt.clock import Axis
from gridopt.errors import InfeasibleError
from gridopt.model.inputs import Pin
from gridopt.model.template import template
from gridopt.simulate.twin import twin
from tests.support.districts import Device, Sketch, energy_price, hours, node, optimum
from tests.support.draw import cents, drawn, one, row
from tests.unit.assets.replay import Solved, assert_replays, axis_of, by_rule, district, drive, solve, users


def cabinets(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    return users(Lighting, n, axis, **({"points": 50.0, "lamp_kw": 0.2, "floor": 0.4} | given))


def planned(axis: Axis, price: Any, n: int = 1, **given: Any) -> Solved:
    return solve(district(Lighting, cabinets(axis, n, **given), axis, price))


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_lamps_are_dimmed_where_power_is_dearer_than_light() -> None:
    """50 lamps of 200 W; light above the floor of 40 % is worth 0.12 EUR per kWh."""
    s = planned(axis_of(4), [0.11, 0.13, 0.30, -0.05], light_eur_per_kwh=0.12)
    np.testing.assert_allclose(s.value("power_kw"), [[10, 4, 4, 10]], atol=1e-9)
    assert s.objective == pytest.approx(1.1 + 0.52 + 1.2 - 0.5 + 2 * 6 * 0.12)
    assert_replays(s)


def test_floors_by_the_hour() -> None:
    s = planned(axis_of(4), 0.2, floor=[1.0, 0.5, 0.3, 0.0], light_eur_per_kwh=[0.0, 0.0, 0.3, 0.0])
    np.testing.assert_allclose(s.value("power_kw"), [[10, 5, 10, 0]], atol=1e-9)
    assert_replays(s)


def test_by_day_the_cabinet_is_dead() -> None:
    """The sun sets at a quarter past the second hour."""
    s = planned(axis_of(4), [-1.0, -1.0, 0.5, 0.5], night=[0.0, 0.75, 1.0, 1.0], floor=[0.9, 0.4, 0.4, 0.4])
    np.testing.assert_allclose(s.value("power_kw"), [[0, 7.5, 4, 4]], atol=1e-9)
    assert_replays(s)


def test_template() -> None:
    assert (template(Lighting, 96, (False,)).width, template(Lighting, 96, (False,)).height) == (192, 96)
    assert (template(Lighting, 96, (True,)).width, template(Lighting, 96, (True,)).height) == (288, 288)


# --- ramps -----------------------------------------------------------------------------------------------------------


def street(axis: Axis, price: Any, pins: tuple[Pin, ...] = (), **given: Any) -> Sketch:
    lamps = Device("lamps", "lighting", ("grid",), {"points": 50.0, "lamp_kw": 0.2, "floor": 0.4, **given})
    return Sketch(axis, (node(axis, "grid"),), (lamps,), (energy_price(axis, "grid", price),), pins)


def ramped(axis: Axis, price: Any, **given: Any) -> list[float]:
    """The lamps' power in the optimum; nothing changes too fast in it."""
    plan = optimum(street(axis, price, **given))
    assert plan.solution.emergency == 0
    assert plan.value("lamps", "steep_kw").max() <= 1e-9
    power: list[float] = plan.value("lamps", "power_kw").tolist()
    return power


def test_a_ramp_by_hand() -> None:
    """2 kW an hour at most: three hours down, the first of them before it pays, and three up again."""
    power = ramped(hours(6), [0.0, 0.2, 0.3, 0.3, 0.0, 0.0], ramp_per_h=0.2, light_start=1.0, light_eur_per_kwh=0.1)
    assert power == pytest.approx([8, 6, 4, 6, 8, 10])


def test_the_change_counts_by_the_hour_whatever_the_step() -> None:
    power = ramped(hours(8, 15), 1.0, ramp_per_h=0.2, light_start=1.0)
    assert power == pytest.approx([9.5, 9, 8.5, 8, 7.5, 7, 6.5, 6])


def test_a_ramp_gives_way_to_a_floor_that_rises() -> None:
    """From 40 % to 100 % at once where people come, and one tenth an hour else."""
    power = ramped(hours(4), 1.0, floor=[0.4, 0.4, 1.0, 0.4], ramp_per_h=0.1, light_start=0.4)
    assert power == pytest.approx([4, 4, 10, 9])


@pytest.mark.parametrize(("price", "power"), [(1.0, [0, 2, 4, 4, 1, 0]), (-1.0, [0, 5, 10, 10, 2.5, 0])])
def test_a_ramp_gives_way_to_the_edges_of_the_night(price: float, power: list[float]) -> None:
    night = [0.0, 0.5, 1.0, 1.0, 0.25, 0.0]
    assert ramped(hours(6), price, night=night, ramp_per_h=0.05, light_start=0.0) == pytest.approx(power)


@pytest.mark.parametrize("before", [0.0, 0.4, 0.7, 1.0])
def test_any_light_before_the_start_has_a_plan(before: float) -> None:
    power = ramped(hours(4), 1.0, floor=[0.9, 0.2, 0.2, 0.2], ramp_per_h=0.0, light_start=before)
    assert power == pytest.approx([max(10 * before, 9.0)] * 4)


# --- never below the floor -------------------------------------------------------------------------------------------


@drawn(
    60, 2000, floor=row(hours(6), one(0.0, 0.3, 0.5, 1.0)), night=row(hours(6), one(0.0, 0.4, 1.0)),
    price=row(hours(6), cents(-40, 300)), light=one(0.0, 0.1, 1.0), ramp=one(None, 0.0, 0.1, 0.5),
    before=one(None, 0.0, 0.5, 1.0), most=one(30.0, 22.0, 19.9),
)  # fmt: skip
def test_a_lamp_never_falls_below_its_floor(
    floor: Any, night: Any, price: Any, light: float, ramp: float | None, before: float | None, most: float
) -> None:
    """Two cabinets and a car that would pay any price, on a cable that may be too small for all: cars wait, lamps do
    not; where it does not carry the floors themselves there is no plan at all."""
    axis = hours(6)
    lamps = {
        "points": 20.0, "lamp_kw": 0.5, "floor": floor, "night": night, "light_eur_per_kwh": light,
        "ramp_per_h": ramp, "light_start": before,
    }  # fmt: skip
    car = {"arrive": 0.0, "depart": 6.0, "energy_kwh": 200.0, "power_kw": 22.0, "shortfall_eur_per_kwh": 50.0}
    devices = (
        Device("east", "lighting", ("street",), lamps),
        Device("west", "lighting", ("street",), lamps | {"light_start": None}),
        Device("car", "ev-session", ("street",), car),
    )
    nodes = (node(axis, "grid", most=100.0), node(axis, "street", "grid", most))
    least = 10.0 * floor * night
    try:
        plan = optimum(Sketch(axis, nodes, devices, (energy_price(axis, "grid", price),)))
    except InfeasibleError:
        assert (2 * least).max() > most or ramp is not None  # a ramp may hold the light above the floor
        return
    for name in ("east", "west"):
        power = plan.value(name, "power_kw")
        assert (power >= least - 1e-6).all()
        assert (power <= 10.0 * night + 1e-6).all()
        assert plan.value(name, "dark_kw").max() <= 1e-6
    assert (2 * least).max() <= most + 1e-6


def test_the_property_above_sees_what_it_should() -> None:
    """The floors of both need 20 kW: 19.9 are refused, 20.1 are a plan."""
    axis = hours(2)
    lamps = {"points": 20.0, "lamp_kw": 0.5, "floor": 1.0}
    devices = tuple(Device(name, "lighting", ("street",), lamps) for name in ("east", "west"))
    for most in (19.9, 20.1):
        sketch = Sketch(axis, (node(axis, "street", most=most),), devices, (energy_price(axis, "street", 9.0),))
        if most > 20:
            assert optimum(sketch).cost_eur == pytest.approx(9.0 * 40)
        else:
            with pytest.raises(InfeasibleError, match="street"):
                optimum(sketch)


@pytest.mark.parametrize("seed", range(5))
def test_the_rule_and_its_shedding_keep_the_floor(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = axis_of(12)
    floor, night = rng.uniform(0, 1, 12), rng.choice([0.0, 0.5, 1.0], 12)
    user = cabinets(axis, 2, floor=floor, night=night, ramp_per_h=rng.choice([np.nan, 0.2], 2), light_start=0.5)
    inputs = district(Lighting, user, axis, 0.1)
    grid = replace(inputs.nodes[0], import_max_kw=np.full(12, 9.0))
    day = twin(replace(inputs, nodes=(grid,)))
    assert day.net_kw.max() > 0
    for group, trace in zip(inputs.groups, day.trace.steps, strict=True):
        assert (trace["power_kw"] >= group.columns["least_kw"] - 1e-9).all()
        assert (trace["power_kw"] <= group.columns["most_kw"] + 1e-9).all()
        assert trace["steep_kw"].max() <= 1e-9


# --- outages and overrides -------------------------------------------------------------------------------------------


def test_lamps_out_of_service_are_dark_and_say_so() -> None:
    plan = optimum(street(hours(4), 0.5, (Pin("lamps", "power_kw", 1, 3, 0.0, "outage"),)))
    assert plan.value("lamps", "power_kw").tolist() == pytest.approx([4, 0, 0, 4])
    assert plan.value("lamps", "dark_kw").tolist() == pytest.approx([0, 4, 4, 0])
    assert plan.ledger.lines["lighting.dark"].eur == pytest.approx(80.0)


def test_by_rule_lamps_are_back_at_their_floor_after_an_outage() -> None:
    pins = (Pin("lamps", "power_kw", 1, 2, 0.0, "outage"),)
    inputs = street(hours(4), 0.5, pins, ramp_per_h=0.1, light_start=1.0).inputs()
    assert twin(inputs).trace.port_kw(inputs, "lamps", "ac").tolist() == [10, 0, 4, 5]


def test_an_override_wins_over_the_ramp() -> None:
    """Full light now, for an accident: the change is named, and before and after the ramp holds again."""
    plan = optimum(street(hours(4), 0.5, (Pin("lamps", "power_kw", 0, 1, 10.0),), ramp_per_h=0.1, light_start=0.4))
    assert plan.value("lamps", "power_kw").tolist() == pytest.approx([10, 9, 8, 7], abs=1e-4)
    assert plan.value("lamps", "steep_kw").tolist() == pytest.approx([5, 0, 0, 0], abs=1e-4)
    assert plan.solution.emergency == pytest.approx(5.0, abs=1e-4)


# --- block and physics -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_physics_equals_block(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = axis_of(20, 30)
    user = cabinets(
        axis, 5, points=rng.integers(0, 60, 5).astype(float), floor=rng.uniform(0, 1, (5, 20)),
        night=rng.choice([0.0, 0.3, 1.0], 20), light_eur_per_kwh=rng.uniform(0, 0.3, 20),
        ramp_per_h=rng.choice([np.nan, 0.0, 0.3], 5), light_start=rng.choice([np.nan, 0.0, 0.6], 5),
    )  # fmt: skip
    inputs = district(Lighting, user, axis, rng.normal(0.15, 0.1, 20))
    assert_replays(solve(inputs))
    assert_replays(solve(inputs, rng=rng))


def test_the_lamp_is_told_and_the_cabinet_switches() -> None:
    axis = axis_of(3)
    (group,) = district(Lighting, cabinets(axis, night=[1.0, 1.0, 0.0]), axis, 0.1).groups
    got = drive(Lighting, dict(group.columns), 3, 1.0, {"power_kw": np.array([[99.0, 1.0, 7.0]])})
    assert got.flows["power_kw"].tolist() == [[10.0, 1.0, 0.0]]
    assert got.flows["dark_kw"].tolist() == [[0.0, 3.0, 0.0]]


def test_baseline_and_key_figures() -> None:
    axis = axis_of(4)
    (group,) = district(Lighting, cabinets(axis, night=[0.0, 0.5, 1.0, 1.0]), axis, 0.1).groups
    got = by_rule(Lighting, dict(group.columns), 4, 1.0)
    assert got.flows["ac_kw"].tolist() == [[0.0, 5.0, 10.0, 10.0]]
    p = at(dict(group.columns), 2, 1.0)
    assert Lighting.shed(p, {"power_kw": np.array([10.0])}, {"power_kw": np.array([10.0])}, "ac", np.array([9.0]))[
        "power_kw"
    ].tolist() == [4.0]
    dimmed = got.flows | {"power_kw": np.array([[0.0, 5.0, 4.0, 4.0]])}
    kpis = Lighting.kpis(SimpleNamespace(**group.columns), dimmed, 1.0)
    assert {name: float(a[0]) for name, a in kpis.items()} == pytest.approx(
        {"energy_kwh": 13.0, "dimmed_kwh": 12.0, "dimmed": 12 / 25, "burning_h": 2.5}
    )
