"""Converter and gas boiler: one carrier into another, off or above a minimum."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridopt.assets import family
from gridopt.assets.base import SemiContinuous
from gridopt.assets.converter import Converter
from gridopt.assets.gas_boiler import GasBoiler
from gridopt.model.assemble import assemble
from gridopt.model.inputs import Commitment, Flow, Inputs, Node
from gridopt.model.plain import plain_model
from gridopt.solve.session import SEMI, Session
from tests.unit.assets.replay import assert_replays, axis_of, district, drive, hold_switches, solve, users

AXIS = axis_of(2)


def converter(price: Any = 0.0, of: Any = Converter, **given: Any) -> Inputs:
    return district(of, users(of, 1, AXIS, **({"power_kw": 10.0, "efficiency": 3.0} | given)), AXIS, price)


def numbers(p: Any, n: int) -> SimpleNamespace:
    return SimpleNamespace(**{name: np.broadcast_to(np.asarray(v, float), n) for name, v in p.items()})


def selling_heat(inputs: Inputs, eur_per_kwh: Any) -> Inputs:
    """The sink's node pays for what it is given."""
    T = inputs.axis.steps
    pay = np.broadcast_to(np.asarray(eur_per_kwh, float), T)
    heat = Commitment("heat", (Flow(1.0, node="sink"),), "energy", np.arange(T), np.zeros(T), pay, -pay)
    return Inputs(inputs.axis, inputs.nodes, inputs.groups, (*inputs.commitments, heat))


def test_a_cop_of_three_is_worth_a_third() -> None:
    """Heat at 10 ct, electricity at 20 and 40 ct, COP 3, 1 ct of use: it runs only in the first hour, at 10 kW:
    10 * (0.20 + 0.01 - 0.30) = -0.90 EUR."""
    solved = solve(selling_heat(converter([0.2, 0.4], cost_eur_per_kwh=0.01), 0.1))
    np.testing.assert_allclose(solved.value("input_kw"), [[10.0, 0.0]])
    assert np.isclose(solved.objective, -0.9)
    [seen] = assert_replays(solved)
    np.testing.assert_allclose(seen.flows["sink_kw"], [[-30.0, 0.0]])
    assert np.isclose(seen.total("use_eur").item(), 0.1)


def test_efficiency_may_change_by_the_step() -> None:
    solved = solve(selling_heat(converter(0.2, efficiency=[[3.0, 1.9]]), 0.1))
    np.testing.assert_allclose(solved.value("input_kw"), [[10.0, 0.0]])


def test_a_boiler_is_rated_by_its_heat() -> None:
    """90 kW and 45 kW of heat at 0.9: 100 kW and 50 kW of gas."""
    group = converter(of=GasBoiler, power_kw=90.0, power_min_kw=45.0, efficiency=0.9).groups[0]
    np.testing.assert_allclose(group.columns["input_max_kw"], [[100.0, 100.0]])
    np.testing.assert_allclose(group.columns["input_min_kw"], [[50.0, 50.0]])
    solved = solve(selling_heat(converter(0.05, of=GasBoiler, power_kw=90.0, efficiency=0.9), 0.1))
    [seen] = assert_replays(solved)
    np.testing.assert_allclose(seen.flows["sink_kw"], [[-90.0, -90.0]])
    assert np.isclose(solved.objective, 2 * (100 * 0.05 - 90 * 0.1))


def test_small_or_large() -> None:
    assert Converter.decisions == (SemiContinuous("input_kw", "input_min_kw"),)
    assert GasBoiler.decisions == (SemiContinuous("input_kw", "input_min_kw", large=True),)
    assert [a.semi[0].large for a in (assemble(converter(of=f, power_min_kw=1.0)) for f in (Converter, GasBoiler))] == [
        False,
        True,
    ]


@pytest.mark.parametrize("name", ["converter", "gas-boiler"])
def test_names_and_ports(name: str) -> None:
    of = family(name)
    assert of.name == name
    assert [p.parameter for p in of.ports] == (
        ["node_in", "node_out"] if name == "converter" else ["gas_node", "heat_node"]
    )


def test_off_or_at_least_the_minimum() -> None:
    """5 kW of heat wanted, 6 kW the least: surplus heat has nowhere to go, so it stays off."""
    none = np.zeros(2)
    group = converter(power_min_kw=2.0).groups[0]
    heat = Node("sink", "heat", None, none, none + 5.0, none)
    a = assemble(Inputs(AXIS, (Node("source", "any", None, none + 99.0, none, none), heat), (group,)))
    s = Session(a.lp)
    columns = a.blocks[0].columns("input_kw")
    assert columns is not None
    s.costs(columns.ravel(), np.array([-1.0, -1.0]))
    assert np.isclose(s.run().objective, -10 / 3)
    s.wholeness(columns.ravel(), np.full(2, SEMI))
    s.bounds(columns.ravel(), a.semi[0].minimum.ravel(), np.full(2, 10.0))
    assert np.isclose(s.run().objective, 0.0)


def test_the_plan_replays_on_and_off() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        inputs = selling_heat(converter(rng.normal(0.3, 0.1, 2), power_min_kw=float(rng.uniform(0.1, 10.0))), 0.1)
        assert_replays(solve(inputs, hold_switches(rng, lambda block: np.full(1, 2)), rng))


@pytest.mark.parametrize(
    ("told", "does"), [(0.0, 0.0), (0.99, 0.0), (1.0, 2.0), (1.9999999, 2.0), (2.0, 2.0), (7.0, 7.0), (99.0, 10.0)]
)
def test_the_physics_takes_the_nearer_of_off_and_minimum(told: float, does: float) -> None:
    group = converter(power_min_kw=2.0).groups[0]
    seen = drive(Converter, dict(group.columns), 2, 1.0, {"input_kw": np.full((1, 2), told)})
    np.testing.assert_allclose(seen.flows["input_kw"], does)
    np.testing.assert_allclose(seen.flows["sink_kw"], -3.0 * does)


def test_a_minimum_above_the_largest_power_never_runs() -> None:
    inputs = selling_heat(converter(0.0, power_min_kw=11.0), 0.1)
    group = inputs.groups[0]
    seen = drive(Converter, dict(group.columns), 2, 1.0, {"input_kw": np.full((1, 2), 10.0)})
    np.testing.assert_allclose(seen.flows["input_kw"], 0.0)
    assert plain_model(inputs, decisions=True).decision["asset", "d00", 0].least[0].body is not None


def test_the_baseline_covers_what_the_sink_lacks() -> None:
    p = numbers({"efficiency": [3.0, 3.0, 3.0, 0.0], "input_max_kw": 10.0, "input_min_kw": 2.0, "step_h": 1.0}, 4)
    p.cost_eur_per_kwh = np.zeros(4)
    wanted = Converter.rule(p, {}, {"sink": np.array([-12.0, 5.0, -99.0, -4.0]), "source": np.zeros(4)})
    np.testing.assert_allclose(wanted["input_kw"], [4.0, 0.0, 33.0, 0.0])
    least = Converter.rule(p, {}, {"sink": np.array([-0.1, -6.0, -6.1, -1e-9]), "source": np.zeros(4)})
    np.testing.assert_allclose(least["input_kw"], [2.0, 2.0, 6.1 / 3, 0.0])
    np.testing.assert_allclose(Converter.step(p, {}, wanted)[1]["sink_kw"], [-12.0, 0.0, -30.0, 0.0])


def test_shedding_cuts_either_side_and_stops_below_the_minimum() -> None:
    p = numbers({"efficiency": 3.0, "input_max_kw": 10.0, "input_min_kw": 2.0}, 4)
    command = {"input_kw": np.full(4, 4.0)}
    at_source = Converter.shed(p, {}, command, "source", np.array([1.0, 3.0, 0.0, -1.0]))
    np.testing.assert_allclose(at_source["input_kw"], [3.0, 0.0, 4.0, 4.0])
    at_sink = Converter.shed(p, {}, command, "sink", np.array([-3.0, -9.0, 0.0, 3.0]))
    np.testing.assert_allclose(at_sink["input_kw"], [3.0, 0.0, 4.0, 4.0])


def test_key_figures() -> None:
    group = converter().groups[0]
    seen = drive(Converter, dict(group.columns), 2, 1.0, {"input_kw": np.array([[4.0, 0.0]])})
    kpis = Converter.kpis(None, seen.flows, 1.0)
    assert {name: float(v[0]) for name, v in kpis.items()} == {"input_kwh": 4.0, "output_kwh": 12.0, "running_h": 1.0}
