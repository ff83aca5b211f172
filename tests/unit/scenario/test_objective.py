"""``[objective]``: each part becomes wishes of the stated weight, is measured in its own unit, and is never money."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridopt.assets import FAMILY_NAMES, family
from gridopt.assets.base import MONEY
from gridopt.clock import Axis
from gridopt.jobs import record
from gridopt.jobs.plan import plan
from gridopt.model.assemble import assemble
from gridopt.model.inputs import Flow, Inputs, make_groups
from gridopt.model.plain import plain_model
from gridopt.model.template import template
from gridopt.scenario import schema
from gridopt.scenario.editor import json_schema
from gridopt.scenario.load import Scenario, load
from gridopt.scenario.objective import PARTS, WISHES, Objective, Weights, comfort_line, comfort_prices, own_kwh
from gridopt.store import run_folder
from gridopt.store.run_folder import Run, Series
from gridopt.verify import bill, replay
from gridopt.written.model import known_keys
from tests.conformance.plain_matrix import assert_same, plain_matrix
from tests.conformance.random_params import random_user, seeded
from tests.support.districts import EXACT, Device, Sketch, energy_price, hours, node, optimum

Build = Callable[..., Scenario]
NOW = datetime(2026, 1, 14, 13, 0, tzinfo=UTC)
DAY = """\
format = 1
[horizon]
start = 2026-01-15
step_min = 60
[node.grid]
import_max_kw = 30
[node.house]
parent = "grid"
[commitment.supply]
kind = "energy"
node = "grid"
buy_eur_per_kwh = 0.2
sell_eur_per_kwh = 0.05
[asset.flat]
family = "load"
node = "house"
power_kw = 1.5
[asset.roof]
family = "pv"
node = "house"
peak_kw = 6
yield_kw_per_kw = "sun"
[asset.bat-a]
family = "battery"
node = "house"
capacity_kwh = 6
power_kw = 3
[schedule.sun]
default = 0
rules = [{ from = "10:00", to = "16:00", value = 0.7 }]
[schedule.mix]
default = 60
rules = [{ from = "01:00", to = "05:00", value = 20 }]
"""
CARBON = '[commitment.co2]\nkind = "carbon"\nnode = "grid"\nprice_eur_per_t = 0\nintensity_g_per_kwh = "mix"\n'
MIX = np.array([60.0] + [20.0] * 4 + [60.0] * 19)


def wishes(inputs: Inputs) -> dict[str, Any]:
    return {c.id: c for c in inputs.commitments if c.kind == "wish"}


# --- what is said, and what becomes of it ----------------------------------------------------------------------------


def test_without_weights_nothing_changes(build: Build) -> None:
    plain = build(DAY).inputs
    for said in ("[objective]\n", "[objective]\ncost = 1\ncomfort = 1.0\npeak_eur_per_kw = 0\n", "", CARBON):
        found = build(DAY + said)
        assert found.objective.named == ()
        assert found.inputs.money == 1.0
        assert wishes(found.inputs) == {}
        if said != CARBON:
            assert found.inputs.digest() == plain.digest()


def test_a_tonne_counts_what_is_drawn(build: Build) -> None:
    found = build(DAY + "[objective]\nco2_eur_per_t = 100\nintensity_g_per_kwh = { grid = 50 }\n").inputs
    (c,) = wishes(found).values()
    assert (c.id, c.flows, c.measure, c.labels) == (
        "objective.co2.grid",
        (Flow(1.0, node="grid"),),
        "energy",
        ("drawn", "none"),
    )
    np.testing.assert_allclose(c.price_above, 100 * 50e-6)
    assert not c.price_below.any()
    assert c.is_boundary_price, "it needs no row"
    assert [c.id for c in found.commitments] == sorted(c.id for c in found.commitments)


def test_emissions_are_those_of_the_carbon_commitment_unless_said(build: Build) -> None:
    weight = "[objective]\nco2_eur_per_t = 1000\n"
    (c,) = wishes(build(DAY + CARBON + weight).inputs).values()
    np.testing.assert_allclose(c.price_above, 1e-3 * MIX)
    (c,) = wishes(build(DAY + CARBON + weight + "intensity_g_per_kwh = { grid = 80 }\n").inputs).values()
    np.testing.assert_allclose(c.price_above, 0.08)
    both = wishes(build(DAY + CARBON + weight + "intensity_g_per_kwh = { house = 10 }\n").inputs)
    assert list(both) == ["objective.co2.grid", "objective.co2.house"]


def test_what_draws_from_outside_without_known_emissions_is_told(build: Build) -> None:
    weight = "[objective]\nco2_eur_per_t = 10\nintensity_g_per_kwh = { grid = 50 }\n"
    told = "CO2 of what gas draws is not known"
    gas = '[node.gas]\ncarrier = "gas"\n'
    assert not any(told in note for note in build(DAY + weight).notes)
    assert any(told in note for note in build(DAY + gas + weight).notes)
    assert not any(told in note for note in build(DAY + gas).notes), "nothing counts it"
    below = gas + '[node.boiler-room]\nparent = "gas"\n' + weight.replace("grid = 50", "grid = 50, boiler-room = 205")
    assert not any(told in note for note in build(DAY + below).notes), "what passes further down is known"


def test_own_production_counts_where_it_is_given_away_and_where_it_is_not_made(build: Build) -> None:
    rigid = '[asset.east]\nfamily = "pv"\nnode = "house"\npeak_kw = 1\nyield_kw_per_kw = 0.1\ncurtailable = false\n'
    found = build(DAY + rigid + "[objective]\nself_consumption_eur_per_kwh = 0.04\n").inputs
    by_id = wishes(found)
    assert list(by_id) == ["objective.self-consumption.grid", "objective.spilled"]
    given, spilled = by_id.values()
    assert given.flows == (Flow(1.0, node="grid"),)
    assert not given.price_above.any()
    assert (given.price_below == 0.04).all()
    assert spilled.flows == (Flow(1.0, asset="roof", port="ac"),), "what cannot be limited is never spilled"
    np.testing.assert_allclose(spilled.baseline_kw, [-4.2 if 10 <= h < 16 else 0.0 for h in range(24)])
    assert (spilled.periods, spilled.price_above[0], spilled.price_below.any()) == (1, 0.04, False)
    assert own_kwh(found) == pytest.approx(6 * 4.2 + 24 * 0.1)


def test_every_day_has_its_own_peak(build: Build) -> None:
    two = DAY.replace("step_min = 60", "step_min = 60\ndays = 2")
    (c,) = wishes(build(two + "[objective]\npeak_eur_per_kw = 3\n").inputs).values()
    assert (c.id, c.measure, c.labels[0]) == ("objective.peak.grid", "peak", "peak")
    np.testing.assert_array_equal(c.period, [0] * 24 + [1] * 24)
    np.testing.assert_array_equal(c.price_above, [3.0, 3.0])
    assert not c.baseline_kw.any()


def test_what_was_announced_is_kept_at_a_weight(write: Callable[..., Path]) -> None:
    folder = write(DAY + '[objective]\nplan_change_eur_per_kwh = 0.02\nrun = "before"\n')
    axis = Axis(datetime(2026, 1, 14, 23, tzinfo=UTC), 60, 12)
    horizon = {"start": axis.start.isoformat(), "step_min": 60, "steps": 12, "zone": axis.zone}
    rows = [Series("power_kw", np.arange(12.0), node="house", asset="bat-a", port="ac")]
    said = {"plan_id": "before", "hash": "abc", "horizon": horizon}
    run_folder.write(folder / "before", Run(axis, said, rows, [], {}, []))
    found = load(folder)
    (c,) = wishes(found.inputs).values()
    assert (c.id, c.kind) == ("objective.plan-change.bat-a.ac", "wish")
    np.testing.assert_array_equal(c.baseline_kw, [*range(12), *[0] * 12])
    assert set(c.price_above) == set(c.price_below) == {0.02}
    assert found.sources["before"] == "abc"
    trace_kw = np.where(np.arange(24) < 12, 1.0, 0.0)
    changed = found.objective.amount(
        "plan-change",
        found.inputs,
        np.zeros((2, 24)),
        Stub({"bat-a": trace_kw}),
        None,  # type: ignore[arg-type]
    )
    assert changed == pytest.approx(np.abs(np.arange(12) - 1.0).sum())


class Stub:
    """A trace of port powers alone."""

    def __init__(self, power: dict[str, Any]) -> None:
        self.power = power

    def port_kw(self, inputs: Inputs, asset: str, port: str) -> Any:
        return self.power[asset]


def test_the_schema_knows_every_weight() -> None:
    shape = json.loads(json.dumps(json_schema()))
    assert shape["properties"]["objective"] == {"$ref": "#/$defs/Objective"}
    keys = shape["$defs"]["Objective"]["properties"]
    assert (
        set(keys)
        == set(known_keys(schema.Objective))
        == {p.key for p in PARTS.values()}
        | {
            "intensity_g_per_kwh",
            "run",
        }
    )
    assert all(keys[part.key]["description"] for part in PARTS.values())
    assert keys["intensity_g_per_kwh"]["additionalProperties"]["anyOf"][0] == {"type": "number", "minimum": 0}


# --- comfort ---------------------------------------------------------------------------------------------------------


def zone(**more: Any) -> dict[str, Any]:
    return {
        "resistance_k_per_kw": 5.0, "capacity_kwh_per_k": 4.0, "power_kw": 3.0, "outdoor_c": 0.0,
        "comfort_min_c": 20.0, "comfort_max_c": 24.0, "temperature_start_c": 18.0, **more,
    }  # fmt: skip


def rooms(*prices: float) -> Inputs:
    axis = hours(4)
    devices = tuple(
        Device(f"room-{k}", "heat-pump-building", ("grid",), zone(discomfort_eur_per_kh=price))
        for k, price in enumerate(prices)
    )
    return Sketch(axis, (node(axis, "grid"),), devices, (energy_price(axis, "grid", 0.2),)).inputs()


def test_comfort_takes_every_price_of_a_kelvin_so_many_times() -> None:
    before = rooms(2.0, 5.0)
    after = Objective(Weights(comfort=3.0)).on(before)
    (b,), (a,) = before.groups, after.groups
    np.testing.assert_allclose(a.columns["discomfort_eur_per_kh"], [6.0, 15.0])
    assert {k for k in b.columns if a.columns[k] is not b.columns[k]} == {"discomfort_eur_per_kh"}
    assert after.commitments == before.commitments


@pytest.mark.parametrize("name", [name for name in FAMILY_NAMES if comfort_prices(family(name))])
def test_prices_of_comfort_price_that_penalty_and_nothing_else(name: str) -> None:
    """The names say which; a family whose price went another way would be left out of comfort unnoticed."""
    of, axis = family(name), hours(6)
    kinds = {c.name: c.kind for c in of.costs}
    assert {kinds[cost] for cost in comfort_prices(of).values()} == {"penalty"}
    nodes = {port.name: [0] for port in of.ports}
    for group in make_groups(of, ["it"], random_user(of, 1, axis, seeded("comfort", name)), nodes, axis):
        t = template(of, group.steps, group.options)
        for price, cost in comfort_prices(of).items():
            more = {**group.columns, price: 3.0 * group.columns[price] + 1.0}
            one = {**group.columns, price: np.ones(1)}
            at = [t.numbers(c, axis.step_h, 1) for c in (one, more)]
            for name_, (terms, _) in t.costs.items():
                unit, dearer = (terms.value.evaluate(numbers) for numbers in at)
                times = more[price][0] if name_ == cost else 1.0
                np.testing.assert_allclose(dearer, times * unit)
            assert t.costs[cost][0].value.evaluate(at[0]).any()


def test_families_with_a_comfort_band_are_found() -> None:
    assert comfort_prices(family("heat-pump-building")) == {"discomfort_eur_per_kh": "discomfort_eur"}
    assert comfort_line(family("heat-pump-building"), "discomfort_eur") == "heat-pump-building.discomfort"
    assert comfort_prices(family("battery")) == {}


def test_kelvin_hours_do_not_depend_on_their_prices() -> None:
    """A room left cold for four hours, by hand: T falls from 18 °C towards 0 °C with a time constant of 20 h."""
    for prices, factor in (((2.0, 5.0), 1.0), ((7.0, 1.0), 2.5)):
        objective = Objective(Weights(comfort=factor))
        inputs = objective.on(rooms(*prices))
        off = tuple({"heat_pump_kw": np.zeros((2, 4))} for _ in inputs.groups)
        plan_ = optimum(inputs)
        cold = replace(
            plan_.schedule, groups=tuple({**v, **o} for v, o in zip(plan_.schedule.groups, off, strict=True))
        )
        trace = replay(inputs, cold)
        kelvins = 20.0 - 18.0 * np.exp(-np.arange(1, 5) / 20.0)
        each = kelvins.sum() + 20.0 * kelvins[-1]
        ledger = bill(inputs, cold.net_kw, trace)
        assert objective.amount("comfort", inputs, cold.net_kw, trace, ledger) == pytest.approx(2 * each)
        assert objective.counted_eur("comfort", inputs, ledger) == pytest.approx(factor * sum(prices) * each)
        assert objective.counted_eur("comfort", inputs, ledger) == pytest.approx(ledger.of("penalty"))


# --- measured ---------------------------------------------------------------------------------------------------------

ALL = Weights(0.5, 200.0, 0.03, 0.4, 2.0, 0.0)


def test_amounts_are_those_of_the_day_in_their_own_units(build: Build) -> None:
    scenario = build(DAY + CARBON)
    scenario = replace(scenario, objective=replace(scenario.objective, weights=ALL))
    made = plan(scenario, None, NOW)
    net = made.schedule.net_kw[made.inputs.node_index["grid"]]
    roof = made.schedule.value(made.inputs, "roof", "generation_kw")
    amounts = {w["part"]: w for w in made.summary["wishes"]}
    assert list(amounts) == ["cost", "co2", "self-consumption", "peak", "comfort"]
    assert amounts["co2"]["plan"] == pytest.approx(1e-3 * (net.clip(0) @ MIX), abs=1e-9)
    assert amounts["self-consumption"]["plan"] == pytest.approx((-net).clip(0).sum() + 25.2 - roof.sum(), abs=1e-6)
    assert amounts["peak"]["plan"] == pytest.approx(net.max(), abs=1e-6)
    assert amounts["cost"]["plan"] == pytest.approx(made.ledger.of(*MONEY))
    assert amounts["comfort"]["plan"] == 0.0
    ruled = made.twin.net_kw[made.inputs.node_index["grid"]]
    assert amounts["peak"]["by_rule"] == pytest.approx(ruled.max(), abs=1e-9)
    assert amounts["co2"]["by_rule"] == pytest.approx(1e-3 * (ruled.clip(0) @ MIX), abs=1e-9)
    assert [(w["key"], w["weight"], w["quantity"]) for w in made.summary["wishes"]][1] == (
        "co2_eur_per_t",
        200.0,
        "co2_kg",
    )
    counted = sum(PARTS[name].weight(ALL) * amounts[name]["plan"] for name in ("co2", "self-consumption", "peak"))
    assert made.solution.objective == pytest.approx(0.5 * amounts["cost"]["plan"] + counted, abs=1e-6)
    for name in ("cost", *WISHES[:3]):
        weight = PARTS[name].weight(ALL)
        counted = scenario.objective.counted_eur(name, made.inputs, made.ledger)
        assert counted == pytest.approx(weight * amounts[name]["plan"], abs=1e-9)


def test_a_wish_is_no_money_no_saving_and_no_goal_missed(build: Build) -> None:
    """The same plan, found without and with wishes too small to change it, saves the same and is as good."""
    bare = plan(build(DAY + CARBON), None, NOW)
    tiny = "[objective]\nco2_eur_per_t = 0.001\npeak_eur_per_kw = 1e-6\nself_consumption_eur_per_kwh = 1e-6\n"
    made = plan(build(DAY + CARBON + tiny), None, NOW)
    assert "wishes" not in bare.summary
    assert made.summary["savings_eur"] == pytest.approx(bare.summary["savings_eur"], abs=1e-5)
    assert made.summary["rung"] == "optimal"
    assert made.exit_code == 0
    kinds = {name: line["kind"] for name, line in made.summary["cost"].items()}
    assert {name for name, kind in kinds.items() if kind == "wish"} == {
        "objective.co2.grid.drawn", "objective.peak.grid.peak", "objective.self-consumption.grid.given",
        "objective.spilled.spilled",
    }  # fmt: skip
    heavy = plan(build(DAY + CARBON + "[objective]\nco2_eur_per_t = 9000\n"), None, NOW)
    assert heavy.ledger.of("wish") > 1.0
    saved = heavy.summary["baseline"]["cost"]
    money = sum(line["eur"] for line in saved.values() if line["kind"] in MONEY)
    assert heavy.summary["savings_eur"] == pytest.approx(money - heavy.ledger.of(*MONEY), abs=1e-9)
    assert sum(line["eur"] for line in heavy.summary["cost"].values()) == pytest.approx(heavy.solution.objective)


def test_a_blend_chooses_the_clean_hour_over_the_cheap_one() -> None:
    """4 kWh to charge in a dear clean hour or a cheap dirty one: 0.1 EUR apart, and 100 g: 1000 EUR a tonne decide."""
    axis = hours(2)
    car = {"arrive": 0.0, "depart": 2.0, "energy_kwh": 4.0, "power_kw": 4.0, "efficiency": 1.0, "current_min_a": 0.0}
    s = Sketch(
        axis, (node(axis, "grid"),), (Device("car", "ev-session", ("grid",), car),),
        (energy_price(axis, "grid", [0.3, 0.2]),), target=EXACT,
    ).inputs()  # fmt: skip
    intensity = {"grid": np.array([50.0, 150.0])}
    for weight, cost, hour in ((900.0, 1.0, 1), (1100.0, 1.0, 0), (600.0, 0.5, 0), (400.0, 0.5, 1)):
        objective = Objective(Weights(cost=cost, co2_eur_per_t=weight), intensity)
        p = optimum(objective.on(s))
        np.testing.assert_allclose(p.net_kw("grid"), np.eye(2)[hour] * 4.0, atol=1e-6)
        price, grams = [0.3, 0.2][hour], intensity["grid"][hour]
        assert p.cost_eur == pytest.approx(4 * (cost * price + weight * grams * 1e-6), abs=1e-6)
        assert p.ledger.of("cash") == pytest.approx(4 * price, abs=1e-6), "money stays what is paid"


def test_spilling_is_no_way_to_use_more_of_ones_own() -> None:
    """3 kW of sun, 1 kW of load, a feed-in price below zero: spilling is cheaper, but uses no more of the sun."""
    axis = hours(2)
    devices = (
        Device("roof", "pv", ("grid",), {"peak_kw": 3.0, "yield_kw_per_kw": 1.0}),
        Device("flat", "load", ("grid",), {"power_kw": 1.0}),
    )
    s = Sketch(axis, (node(axis, "grid"),), devices, (energy_price(axis, "grid", 0.2, -0.05),)).inputs()
    for weight in (0.0, 0.02, 1.0):
        objective = Objective(Weights(self_consumption_eur_per_kwh=weight))
        p = optimum(objective.on(s))
        np.testing.assert_allclose(p.net_kw("grid"), 0.0, atol=1e-6)
        trace = replay(p.inputs, p.schedule)
        unused = objective.amount("self-consumption", p.inputs, p.schedule.net_kw, trace, p.ledger)
        assert unused == pytest.approx(4.0, abs=1e-6)
        assert p.cost_eur == pytest.approx(4.0 * weight, abs=1e-6)


# --- the model counts what the ledger says ---------------------------------------------------------------------------


def weighed(build: Build) -> Inputs:
    scenario = build(DAY + CARBON)
    return replace(scenario, objective=replace(scenario.objective, weights=ALL)).inputs


def test_the_programme_with_weights_is_the_plain_one(build: Build) -> None:
    inputs = weighed(build)
    assert inputs.money == 0.5
    assert_same(assemble(inputs), plain_matrix(plain_model(inputs, emergency_price_eur_per_kwh=0), inputs))


def test_weights_are_kept_with_a_run(build: Build) -> None:
    inputs = weighed(build)
    doc, series = record.pack(inputs)
    again = record.unpack(json.loads(json.dumps(doc)), series)
    assert (again.money, again.digest()) == (0.5, inputs.digest())
    assert replace(inputs, money=1.0).digest() != inputs.digest()
    assert "money" not in record.pack(replace(inputs, money=1.0))[0]
