"""By-product hydrogen: source, buffer, fuel cell, electrolyser, together and alone, by hand; venting and starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gridopt.assets import family
from gridopt.assets.base import at
from gridopt.assets.fuel_cell import FuelCell
from gridopt.assets.hydrogen_source import HydrogenSource
from gridopt.assets.hydrogen_store import HydrogenStore
from gridopt.assets.thermal_store import ThermalStore
from gridopt.clock import Axis
from gridopt.model.inputs import Commitment
from gridopt.simulate.twin import Twin, twin
from tests.support.districts import Device, Plan, Sketch, energy_price, hours, node, optimum, planned
from tests.unit.assets.replay import Replayed, axis_of, by_rule, district, drive, users

CELL = {
    "power_max_kw": 200.0, "electric_efficiency": 0.5, "electric_efficiency_min": 0.5, "thermal_efficiency": 0.4,
    "thermal_efficiency_min": 0.4, "maintenance_eur_per_kwh": 0.0,
}  # fmt: skip
"""400 kW of hydrogen give 200 kW and 160 kW of heat; least 60 kW from 120 kW, with 48 kW of heat."""


def site(
    axis: Axis, price: Any, hydrogen: Any, demand: Any = 0.0, store: dict[str, Any] | None = None,
    vent_eur_per_kwh: float = 0.0, boiler_eur_per_kwh: float = 0.1, more: tuple[Device, ...] = (), **cell: Any,
) -> Sketch:  # fmt: skip
    """A plant's hydrogen, a fuel cell, a heat sink with a boiler beside it, and the grid."""
    nodes = (
        node(axis, "grid", None, 1000.0, 1000.0),
        node(axis, "heat", None, 0.0, 0.0, "heat"),
        node(axis, "gas", None, 1000.0, 0.0, "gas"),
        node(axis, "hydrogen", None, 0.0, 0.0, "hydrogen"),
    )
    devices = [
        Device("plant", "hydrogen-source", ("hydrogen",), {
            "power_kw": hydrogen, "vent_eur_per_kwh": vent_eur_per_kwh,
        }),
        Device("cell", "fuel-cell", ("grid", "heat", "hydrogen"), {"dump": True} | CELL | cell),
        Device("sink", "heat-demand", ("heat",), {"power_kw": demand}),
        Device("boiler", "gas-boiler", ("gas", "heat"), {"power_kw": 900.0, "efficiency": 1.0}),
        *more,
    ]  # fmt: skip
    if store:
        devices.append(Device("buffer", "hydrogen-store", ("hydrogen",), {"power_kw": 1000.0} | store))
    contracts: tuple[Commitment, ...] = (
        energy_price(axis, "grid", price),
        energy_price(axis, "gas", boiler_eur_per_kwh),
    )
    return Sketch(axis, nodes, tuple(devices), contracts)


def row(plan: Plan, asset: str, name: str) -> list[float]:
    values: list[float] = (plan.value(asset, name).round(4) + 0.0).tolist()
    return values


def vented_kwh(plan: Plan, axis: Axis, hydrogen: Any) -> float:
    given = np.broadcast_to(np.asarray(hydrogen, float), axis.steps)
    return float((given - plan.value("plant", "supply_kw")).sum() * axis.step_h)


# --- together, by hand -----------------------------------------------------------------------------------------------


def test_hydrogen_becomes_power_and_heat() -> None:
    """400 kW an hour: 200 kWh sold and 160 kWh of gas saved; no heat is wanted in the second hour."""
    plan = optimum(site(axis_of(2), 0.1, 400.0, demand=[160.0, 0.0]))
    assert row(plan, "cell", "power_kw") == [200, 200]
    assert row(plan, "cell", "heat_dumped_kw") == [0, 160]
    assert plan.cost_eur == pytest.approx(-40.0)


def test_it_stops_where_the_price_is_negative_and_no_heat_is_needed() -> None:
    """At -5 ct a kWh fed in costs 5 ct: worth it only where 0.8 kWh of heat saves 8 ct of gas with it."""
    plan = optimum(site(axis_of(4), [0.1, -0.05, -0.05, 0.1], 400.0, demand=[160.0, 0.0, 160.0, 0.0]))
    assert row(plan, "cell", "on") == [1, 0, 1, 1]
    assert row(plan, "plant", "supply_kw") == [400, 0, 400, 400]
    assert plan.cost_eur == pytest.approx(-20.0 + 0.0 + 10.0 - 20.0)
    warm = optimum(site(axis_of(1), -0.05, 400.0, demand=160.0, boiler_eur_per_kwh=0.06))
    assert row(warm, "cell", "on") == [0]  # 160 kWh of gas at 6 ct are less than 200 kWh fed in at 5 ct


def test_a_buffer_brings_hydrogen_to_the_dear_hours() -> None:
    """200 kWh an hour come; the buffer of 400 kWh brings those of two hours at 5 ct to two at 20 ct."""
    store = {"capacity_kwh": 400.0, "level_start": 0.0, "end": "free"}
    plan = optimum(site(axis_of(4), [0.05, 0.05, 0.2, 0.2], 200.0, store=store))
    assert row(plan, "cell", "power_kw") == [0, 0, 200, 200]
    assert row(plan, "buffer", "level_kwh") == [200, 400, 200, 0]
    assert plan.cost_eur == pytest.approx(-80.0)
    small = optimum(site(axis_of(4), [0.05, 0.05, 0.2, 0.2], 200.0, store={**store, "capacity_kwh": 250.0}))
    assert small.cost_eur == pytest.approx(-(75 * 0.05 + 325 * 0.2))


def test_below_its_least_load_it_lives_from_the_buffer() -> None:
    """90 kW of hydrogen cannot keep a cell running that wants 120: three hours in four, or nothing at all."""
    axis = axis_of(4)
    nothing = optimum(site(axis, 0.1, 90.0))
    assert row(nothing, "cell", "on") == [0, 0, 0, 0]
    assert vented_kwh(nothing, axis, 90.0) == pytest.approx(360.0)
    buffered = optimum(site(axis, 0.1, 90.0, store={"capacity_kwh": 120.0, "level_start": 0.0, "end": "free"}))
    assert vented_kwh(buffered, axis, 90.0) == pytest.approx(0.0)
    assert sum(row(buffered, "cell", "power_kw")) == pytest.approx(180.0)


@pytest.mark.parametrize(
    ("given", "on"),
    [
        ({"starts_max_per_day": 3.0}, [1, 0, 1, 0, 1, 0]),
        ({}, [1, 0, 1, 0, 0, 0]),
        ({"starts_today": 1.0}, [1, 0, 0, 0, 0, 0]),
        ({"starts_today": 1.0, "on_start": True}, [1, 0, 1, 0, 0, 0]),
        ({"starts_max_per_day": 0.0}, [0, 0, 0, 0, 0, 0]),
    ],
)
def test_no_more_starts_a_day_than_its_stack_stands(given: dict[str, Any], on: list[int]) -> None:
    """Three peaks, the last the least; between them a kWh fed in costs 2 EUR. Two starts a day, unless it is told."""
    plan = optimum(site(hours(6), [0.3, -2.0, 0.25, -2.0, 0.2, -2.0], 400.0, **given))
    assert row(plan, "cell", "on") == on


def test_a_price_of_venting_keeps_it_running() -> None:
    """At -5 ct and without heat, a kWh of hydrogen costs 2.5 ct to burn: dearer venting burns it."""
    for vent, on in ((0.02, 0), (0.03, 1)):
        plan = optimum(site(axis_of(2), -0.05, 400.0, vent_eur_per_kwh=vent))
        assert row(plan, "cell", "on") == [on, on]
    assert plan.ledger.lines["hydrogen-source.vent"].eur == 0.0


def test_a_converter_is_an_electrolyser() -> None:
    """In the cheap hours 400 kWh become 260 kWh of hydrogen, that the cell turns back in the dear one."""
    axis = axis_of(3)
    electrolyser = Device("electrolyser", "converter", ("grid", "hydrogen"), {"power_kw": 200.0, "efficiency": 0.65})
    store = {"capacity_kwh": 300.0, "level_start": 0.0, "end": "free"}
    plan = optimum(site(axis, [0.01, 0.01, 0.5], 0.0, store=store, more=(electrolyser,)))
    assert row(plan, "electrolyser", "input_kw") == [200, 200, 0]
    assert row(plan, "cell", "power_kw") == [0, 0, 130]
    assert plan.cost_eur == pytest.approx(400 * 0.01 - 130 * 0.5)


# --- against the baseline --------------------------------------------------------------------------------------------


def random_site(rng: np.random.Generator, end: str = "start", **given: Any) -> tuple[Sketch, Any]:
    axis = hours(12)
    hydrogen = np.where(rng.random(12) < 0.8, rng.uniform(50, 450, 12), 0.0)
    usual: dict[str, Any] = {
        "demand": rng.uniform(0, 300, 12), "start_cost_eur": float(rng.choice([0.0, 15.0])),
        "min_up_h": float(rng.choice([0.0, 2.0])), "on_start": bool(rng.random() < 0.5),
        "store": {"capacity_kwh": float(rng.choice([100.0, 800.0])), "end": end},
    }  # fmt: skip
    return site(axis, rng.normal(0.05, 0.1, 12), hydrogen, **(usual | given)), hydrogen


def vented_by_rule(sketch: Sketch) -> tuple[float, Twin]:
    inputs = sketch.inputs()
    day = twin(inputs)
    g, k = inputs.where["plant"]
    return float(day.trace.steps[g]["vented_kw"][k].sum() * inputs.axis.step_h), day


@pytest.mark.parametrize("examples", [15, pytest.param(300, marks=pytest.mark.slow)])
def test_no_more_is_vented_than_by_rule_where_venting_is_dear(examples: int) -> None:
    """Random days with starts, minimum times and a buffer that may end empty: a plan that may not vent for money vents
    no more than the rule that burns what comes."""
    rng = np.random.default_rng(11)
    compared = saved = 0
    for _ in range(examples):
        sketch, hydrogen = random_site(rng, "free", vent_eur_per_kwh=5.0)
        rule, day = vented_by_rule(sketch)
        if day.breaches:
            continue  # the rule's day breaks what binds the plan
        compared += 1
        vented = vented_kwh(planned(sketch), sketch.axis, hydrogen)
        saved += vented < rule - 1.0
        assert vented <= rule + 1e-3
    assert compared >= examples // 3
    assert saved


def test_by_rule_the_cell_burns_what_comes() -> None:
    """It starts at 144 kW of hydrogen, 1.2 times minimum load, goes on at 120 kW and stops below; what is above 400,
    or comes while it rests, is vented."""
    axis = axis_of(7)
    sketch = site(axis, -1.0, [100.0, 120.0, 300.0, 500.0, 120.0, 110.0, 140.0], demand=60.0)
    inputs = sketch.inputs()
    vented, day = vented_by_rule(sketch)
    g, _ = inputs.where["cell"]
    assert day.trace.steps[g]["power_kw"].tolist() == [[0, 0, 150, 200, 60, 0, 0]]
    assert day.trace.steps[g]["heat_dumped_kw"].round(9).tolist() == [[0, 0, 60, 100, 0, 0, 0]]
    assert vented == pytest.approx(100 + 120 + 100 + 110 + 140)
    assert not day.breaches


def test_by_rule_the_cell_follows_the_buffers_pressure() -> None:
    """It starts at 400 of 500 kWh, and draws what flows in and a quarter of what lies above 100 kWh; it goes on while
    more than minimum load flows in, and then down to 100 kWh."""
    axis = axis_of(8)
    store = {"capacity_kwh": 500.0, "power_kw": 400.0, "level_start": 0.4, "end": "free"}
    sketch = site(axis, 0.1, [150.0, 100.0, 100.0, 100.0, 100.0, 100.0, 0.0, 0.0], demand=300.0, store=store)
    vented, day = vented_by_rule(sketch)
    cell, buffer = (day.trace.steps[sketch.inputs().where[name][0]] for name in ("cell", "buffer"))
    level = [350, 450, 362.5, 296.875, 247.65625, 210.7421875, 90.7421875, 90.7421875]
    assert buffer["level_kwh"][0].tolist() == pytest.approx(level)
    drawn = [0, 0, 187.5, 165.625, 149.21875, 136.9140625, 120, 0]
    assert cell["gas_kw"][0].tolist() == pytest.approx(drawn)
    assert vented == pytest.approx(0.0)
    assert not day.breaches


@pytest.mark.parametrize("store", [None, {"capacity_kwh": 150.0, "end": "free"}])
def test_by_rule_a_wavering_flow_does_not_switch_the_cell_on_and_off(store: dict[str, Any] | None) -> None:
    """Around minimum load, hour by hour, where its starts are not limited."""
    more = {} if store is None else {"store": store}
    flow = [130.0, 150.0, 121.0, 139.0, 122.0, 141.0, 120.0, 135.0]
    sketch = site(axis_of(8), 0.1, flow, demand=300.0, starts_max_per_day=24.0, **more)
    day = vented_by_rule(sketch)[1]
    assert day.trace.steps[sketch.inputs().where["cell"][0]]["start"].sum() == 1


# --- each alone ------------------------------------------------------------------------------------------------------


def columns(name: str, axis: Axis, **given: Any) -> dict[str, Any]:
    of = family(name)
    (group,) = district(of, users(of, 1, axis, **given), axis, 0.1).groups
    return dict(group.columns)


def driven(name: str, axis: Axis, given: dict[str, Any], **command: Any) -> Replayed:
    commands = {key: np.asarray(v, float)[None, :] for key, v in command.items()}
    return drive(family(name), columns(name, axis, **given), axis.steps, axis.step_h, commands)


def test_what_is_not_supplied_is_vented_and_paid() -> None:
    given = {"power_kw": [10.0, 10.0, 4.0], "vent_eur_per_kwh": 0.02}
    got = driven("hydrogen-source", axis_of(3), given, supply_kw=[10.0, 2.5, 9.0])
    np.testing.assert_allclose(got.flows["hydrogen_kw"], [[-10, -2.5, -4]])
    np.testing.assert_allclose(got.flows["vented_kw"], [[0, 7.5, 0]])
    np.testing.assert_allclose(got.total("vent_eur"), 0.15)
    kpis = HydrogenSource.kpis(None, got.flows, 1.0)
    assert {key: float(v[0]) for key, v in kpis.items()} == {"supplied_kwh": 16.5, "vented_kwh": 7.5}


@pytest.mark.parametrize(("cut_kw", "left_kw"), [(-3.0, 7.0), (-30.0, 0.0), (3.0, 10.0)])
def test_shedding_vents(cut_kw: float, left_kw: float) -> None:
    p = at(columns("hydrogen-source", axis_of(1), power_kw=10.0), 0, 1.0)
    got = HydrogenSource.shed(p, {}, {"supply_kw": np.full(1, 10.0)}, "hydrogen", np.array([cut_kw]))
    assert got["supply_kw"].item() == left_kw


def test_a_buffer_keeps_what_it_has() -> None:
    given = {"capacity_kwh": 100.0, "power_kw": 40.0}
    got = driven("hydrogen-store", axis_of(4), given, charge_kw=[0.0, 60.0, 30.0, -40.0])
    np.testing.assert_allclose(got.states["level_kwh"], [[50, 90, 100, 60]])
    np.testing.assert_allclose(got.flows["hydrogen_kw"], [[0, 40, 10, -40]])
    by = by_rule(HydrogenStore, columns("hydrogen-store", axis_of(2), **given), 2, 1.0)
    np.testing.assert_allclose(by.flows["hydrogen_kw"], 0)
    assert "heat_kw" not in by.flows


def test_a_buffer_has_the_parameters_of_its_like() -> None:
    """And the same ranges: what one may be told, the other may be told."""
    theirs = {p.name: p for p in ThermalStore.parameters}
    for p in HydrogenStore.parameters:
        assert (p.kind, p.minimum, p.maximum) == (theirs[p.name].kind, theirs[p.name].minimum, theirs[p.name].maximum)
    assert next(p.default for p in HydrogenStore.parameters if p.name == "loss_per_h") == 0.0


def test_a_stack_has_its_own_defaults() -> None:
    c = columns("fuel-cell", axis_of(2), power_max_kw=200.0)
    assert c["least_kw"] == pytest.approx(60.0)
    assert c["starts_max_per_day"] == 2.0
    fuel, heat = (float((c[f"{what}_fixed_kw"] + 200.0 * c[f"{what}_slope"]).item()) for what in ("fuel", "heat"))
    assert (fuel, heat) == pytest.approx((400.0, 156.0))
    assert {p.name for p in FuelCell.parameters} == {p.name for p in family("chp").parameters}
    assert FuelCell.ports[2].carriers == ("hydrogen",)
