"""Whole small districts, nested nodes, all kinds of contracts: the assembled programme is the plain one, relaxed and
whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import highspy
import numpy as np
import pytest

from gridopt.assets import FAMILY_NAMES, family
from gridopt.assets.base import Floats
from gridopt.clock import Axis
from gridopt.errors import SolverError
from gridopt.model.assemble import Assembly, assemble
from gridopt.model.inputs import INF, Commitment, Flow, Group, Inputs, LinearRule, Node, Pin, make_groups
from gridopt.model.plain import EMERGENCY_EUR_PER_KWH, export, plain_model
from gridopt.model.template import template
from gridopt.solve.session import INTEGER, Answer, Session
from tests.conformance.plain_matrix import PlainMatrix, assert_same, plain_matrix
from tests.conformance.random_params import random_user, seeded
from tests.conformance.test_step import decided
from tests.support.districts import Device, Sketch, energy_price, node, optimum

AXIS = Axis(datetime(2026, 1, 15, 23, tzinfo=UTC), 60, 6)
T = AXIS.steps
DISTRICTS = [*range(60), *(pytest.param(k, marks=pytest.mark.slow) for k in range(60, 1000))]


# --- random districts ------------------------------------------------------------------------------------------------


def random_nodes(rng: np.random.Generator) -> tuple[Node, ...]:
    """An electricity tree of two to four nodes, a heat network, a gas supply and one of hydrogen."""

    def node(
        name: str, carrier: str, parent: str | None, most_in: float, most_out: float, reserve: float = 0.0
    ) -> Node:
        limits = [np.full(T, x) if rng.random() < 0.5 else rng.uniform(0.5, 1.0, T) * x for x in (most_in, most_out)]
        return Node(name, carrier, parent, *limits, np.full(T, min(reserve, *limits[0], *limits[1])))

    electric = [node("grid", "electricity", None, 400.0, 300.0)]
    for k in range(int(rng.integers(1, 4))):
        parent = electric[int(rng.integers(len(electric)))].id
        most_out = float(rng.choice([0.0, 60.0, 90.0]))
        electric.append(node(f"feeder-{k}", "electricity", parent, 120.0, most_out, float(rng.choice([0.0, 3.0]))))
    heat = node("heat-net", "heat", None, 0.0, float(rng.choice([0.0, 50.0])))
    gas = node("gas-net", "gas", None, 900.0, 0.0)
    hydrogen = node("h2-net", "hydrogen", None, 90.0, 90.0)
    return (*electric, heat, gas, hydrogen)


def random_assets(nodes: tuple[Node, ...], rng: np.random.Generator) -> tuple[Group, ...]:
    groups: list[Group] = []
    for name in sorted(rng.choice(FAMILY_NAMES, 5, replace=False)):
        of = family(name)
        n = int(rng.integers(1, 3))
        where = {
            p.name: rng.choice([k for k, v in enumerate(nodes) if not p.carriers or v.carrier in p.carriers], n)
            for p in of.ports
        }
        ids = [f"{name}-{k}" for k in range(n)]
        groups += make_groups(of, ids, random_user(of, n, AXIS, rng), where, AXIS)
    return tuple(groups)


def random_contracts(nodes: tuple[Node, ...], groups: tuple[Group, ...], rng: np.random.Generator) -> list[Commitment]:
    none = np.zeros(T)

    def price(node: str, buy: Floats, sell: Floats) -> Commitment:
        return Commitment(f"price-{node}", (Flow(1.0, node=node),), "energy", np.arange(T), none, buy, -sell)

    def flow() -> Flow:
        if rng.random() < 0.3 and groups:
            g = groups[int(rng.integers(len(groups)))]
            return Flow(float(rng.normal()), asset=g.ids[0], port=g.family.ports[-1].name)
        side: Any = rng.choice(["net", "net", "import", "export"])
        return Flow(1.0, node=nodes[int(rng.integers(len(nodes)))].id, side=side)

    def contract(name: str, measure: Any, count: int, above: Floats, below: Floats) -> Commitment:
        period = np.sort(rng.integers(-1, count, T))
        flows = tuple(flow() for _ in range(int(rng.integers(1, 3))))
        return Commitment(name, flows, measure, period, rng.uniform(0, 20, T), above, below)

    buy = rng.normal(0.12, 0.1, T)
    spread = rng.choice([0.0, 0.05, -0.03], T) if rng.random() < 0.5 else np.full(T, 0.04)
    out = [price("grid", buy, buy - spread), price("gas-net", none + 0.07, none)]
    if rng.random() < 0.5:
        out.append(price("feeder-0", none + 0.02, none + rng.choice([0.0, 0.02, -0.01])))
    up, down = rng.uniform(0, 0.3, 3), rng.uniform(-0.1, 0.3, 3)
    more = (
        contract("event", "energy", 3, up * (rng.random() < 0.7), np.maximum(down, -up) * (rng.random() < 0.7)),
        contract("premium", "energy", 2, up[:2] - 0.2, down[:2]),
        contract("peak", "peak", 2, rng.uniform(0, 9, 2), np.zeros(2)),
        contract("breach", "hours", 1, rng.uniform(0, 5, 1), np.zeros(1)),
    )
    return out + [c for c in more if rng.random() < 0.5]


def random_pins(groups: tuple[Group, ...], rng: np.random.Generator) -> tuple[Pin, ...]:
    """An outage over steps that the device's window touches."""
    g = groups[int(rng.integers(len(groups)))]
    first = int(rng.integers(0, T))
    last = int(rng.integers(max(first, int(g.offset[0])) + 1, T + 1)) if max(first, int(g.offset[0])) < T else 0
    return tuple(Pin(g.ids[0], name, first, last, 0.0, "outage") for name in g.family.commands if last)


def random_values(inputs: Inputs, rng: np.random.Generator) -> tuple[Pin, ...]:
    """Two overrides, of any command of any device, at zero, at one or at a power it could have."""
    pins = []
    for g in (inputs.groups[k] for k in rng.integers(len(inputs.groups), size=2)):
        names = [v.name for v in template(g.family, g.steps, g.options).variables if v.name in g.family.commands]
        first = int(g.offset[0] + rng.integers(g.steps))
        last = int(rng.integers(first, g.offset[0] + g.steps)) + 1
        pins += (
            [Pin(g.ids[0], str(rng.choice(names)), first, last, float(rng.choice([0.0, 1.0, 2.5])))] if names else []
        )
    return tuple(pins)


def random_rules(
    nodes: tuple[Node, ...], groups: tuple[Group, ...], rng: np.random.Generator
) -> tuple[LinearRule, ...]:
    g = groups[int(rng.integers(len(groups)))]
    step = int(g.offset[0] + rng.integers(g.steps))
    terms = [(1.0, "node", node.id, "net_kw", step) for node in nodes[:2]]
    variables = [v.name for v in template(g.family, g.steps, g.options).variables if v.indexed]
    terms += [(2.0, "asset", g.ids[0], name, step) for name in variables[:1]]
    return (LinearRule("together", tuple(terms), -INF, float(rng.uniform(50, 300))),)


def random_district(seed: int) -> Inputs:
    rng = seeded("district", seed)
    nodes = random_nodes(rng)
    groups = random_assets(nodes, rng)
    commitments = tuple(random_contracts(nodes, groups, rng))
    pins = random_pins(groups, rng) if rng.random() < 0.5 else ()
    rules = tuple(r for r in random_rules(nodes, groups, rng) if rng.random() < 0.5)
    return Inputs(AXIS, nodes, groups, commitments, pins, rules)


# --- both programmes -------------------------------------------------------------------------------------------------


def plain(inputs: Inputs, decisions: bool, price: float) -> PlainMatrix:
    return plain_matrix(plain_model(inputs, decisions, price), inputs)


def priced(a: Assembly) -> Floats:
    cost = a.lp.cost.copy()
    cost[a.emergencies] += EMERGENCY_EUR_PER_KWH * a.emergency_weight
    return cost


def solve(p: PlainMatrix) -> Answer:
    s = Session(p.programme())
    whole = np.flatnonzero(p.binary)
    s.wholeness(whole, np.full(len(whole), INTEGER))
    return s.run(time_limit_s=60.0, gap=1e-9)


@pytest.mark.parametrize("seed", DISTRICTS)
def test_assembled_is_plain(seed: int) -> None:
    inputs = random_district(seed)
    assert_same(assemble(inputs), plain(inputs, False, 0.0))


@pytest.mark.parametrize("seed", DISTRICTS)
def test_decided_is_plain(seed: int) -> None:
    """The assembly's decisions reach the plain MILP's optimum."""
    inputs = random_district(seed)
    a = assemble(inputs)
    mine = decided(a, priced(a), 1e-9, a.pairs).answer
    theirs = solve(plain(inputs, True, EMERGENCY_EUR_PER_KWH))
    assert mine.status == theirs.status
    assert mine.objective == pytest.approx(theirs.objective, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", DISTRICTS)
def test_overrides_are_plain(seed: int) -> None:
    """What a person holds, and what that excludes, is held alike: by the programme, decided and relaxed."""
    inputs = random_district(seed)
    inputs = replace(inputs, pins=random_values(inputs, seeded("overrides", seed)))
    assert_same(assemble(inputs), plain(inputs, False, 0.0))
    a = assemble(inputs)
    mine = decided(a, priced(a), 1e-9, a.pairs).answer
    theirs = solve(plain(inputs, True, EMERGENCY_EUR_PER_KWH))
    assert mine.status == theirs.status
    assert mine.objective == pytest.approx(theirs.objective, rel=1e-6, abs=1e-6)


def test_most_districts_have_a_plan() -> None:
    feasible = [Session(assemble(random_district(k)).lp).run().status == "optimal" for k in range(25)]
    assert sum(feasible) >= 20


# --- single facts, as small as they get ------------------------------------------------------------------------------


def one_node(*commitments: Commitment, groups: tuple[Group, ...] = (), **given: Any) -> Inputs:
    """A node that draws and gives up to 10 kW."""
    ten, none = np.full(T, 10.0), np.zeros(T)
    rest = {name: given.pop(name) for name in ("pins", "rules") if name in given}
    node = replace(Node("grid", "electricity", None, ten, ten, none), **given)
    return Inputs(AXIS, (node,), groups, commitments, **rest)


def storeless(name: str, **given: Any) -> tuple[Group, ...]:
    """One device of a family without any random number."""
    of = family(name)
    user: dict[str, Any] = {}
    for p in of.parameters:
        x = given.get(p.name, np.nan if p.optional and p.default is None else p.default)
        user[p.name] = np.full((1, T) if p.kind == "series" else 1, x)
    return tuple(make_groups(of, [name], user, {p.name: [0] for p in of.ports}, AXIS))


def on_net(measure: Any, price: float, baseline: float = 0.0, side: Any = "net") -> Commitment:
    flow, one = (Flow(1.0, node="grid", side=side),), np.array([price])
    return Commitment("terms", flow, measure, np.zeros(T, np.int64), np.full(T, baseline), one, 0 * one)


def assert_same_optimum(inputs: Inputs) -> None:
    a = assemble(inputs)
    mine = decided(a, priced(a), 1e-9, a.pairs).answer
    theirs = solve(plain(inputs, True, EMERGENCY_EUR_PER_KWH))
    assert mine.status == theirs.status == "optimal"
    assert mine.objective == pytest.approx(theirs.objective, rel=1e-6, abs=1e-6)


EARLY_EV = {"arrive": 3.0, "depart": 6.0, "energy_kwh": 5.0, "power_kw": 7.0, "current_min_a": 0.0}


def test_take_or_pay_does_not_buy_and_sell_at_once() -> None:
    """10 ct for every kWh less than 8 kW imported: selling back what is bought on top must not count."""
    price, one = np.full(T, 0.05), np.array([0.1])
    supply = Commitment("supply", (Flow(1.0, node="grid"),), "energy", np.arange(T), np.zeros(T), price, -price)
    least = Commitment(
        "least", (Flow(1.0, node="grid", side="import"),), "energy", np.zeros(T, int), np.full(T, 8.0), 0 * one, one
    )
    assert_same_optimum(one_node(supply, least, groups=storeless("load", power_kw=1.0)))


def test_a_rule_on_import_is_not_one_on_net() -> None:
    rule = LinearRule("little", ((1.0, "node", "grid", "import_kw", 0),), -INF, 2.0)
    inputs = one_node(groups=storeless("load", power_kw=1.0), rules=(rule,))
    assert_same(assemble(inputs), plain(inputs, False, 0.0))


def test_a_pin_before_the_window_holds_nothing() -> None:
    inputs = one_node(groups=storeless("ev-session", **EARLY_EV), pins=(Pin("ev-session", "charge_kw", 0, 1, 0.0),))
    assert int(inputs.groups[0].offset[0]) == 2
    assert not len(assemble(inputs).pinned)


def test_a_rule_outside_the_window_speaks_of_nothing() -> None:
    rule = LinearRule("off", ((1.0, "asset", "ev-session", "charge_kw", 0),), -INF, 0.0)
    inputs = one_node(groups=storeless("ev-session", **EARLY_EV), rules=(rule,))
    a = assemble(inputs)
    assert not a.lp.matrix().tocsr()[[a.rule_row]].nnz


def test_a_reserve_above_the_limit_leaves_nothing_of_it() -> None:
    """reserve 2 kW under an export limit of 0: no export, and no least import either."""
    price = on_net("energy", 0.2, side="import")
    node = {"export_max_kw": np.zeros(T), "reserve_kw": np.full(T, 2.0)}
    assert_same_optimum(one_node(price, groups=storeless("load", power_kw=3.0), **node))


@pytest.mark.parametrize("measure", ["hours", "peak"])
def test_hours_and_peaks_never_pay(measure: str) -> None:
    with pytest.raises(SolverError, match=f"a {measure} price cannot be negative"):
        assemble(one_node(on_net(measure, -1.0, baseline=3.0), groups=storeless("load", power_kw=1.0)))


# --- export ----------------------------------------------------------------------------------------------------------


def optimum_of(path: Path) -> float:
    """Another solver's optimum of a file."""
    h = highspy.Highs()
    h.setOptionValue("output_flag", False)
    h.setOptionValue("mip_rel_gap", 1e-9)
    assert h.readModel(str(path)) != highspy.HighsStatus.kError
    h.run()
    assert h.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return float(h.getInfo().objective_function_value)


@pytest.mark.parametrize("format", ["lp", "mps"])
@pytest.mark.parametrize("seed", [1, 3, 6])
def test_the_exported_file_has_the_same_optimum(seed: int, format: Any, tmp_path: Path) -> None:
    inputs = random_district(seed)
    path = tmp_path / f"district.{format}"
    export(inputs, path, format)
    theirs = solve(plain(inputs, True, EMERGENCY_EUR_PER_KWH))
    assert theirs.status == "optimal"
    assert optimum_of(path) == pytest.approx(theirs.objective, rel=1e-6, abs=1e-6)
    text = path.read_text()
    for group in inputs.groups:
        if not template(group.family, group.steps, group.options).width:
            continue  # a fixed load is a constant of its node's balance
        assert f"asset({group.ids[0].replace('-', '_')})" in text


PAID = energy_price(AXIS, "grid", [0.1, -0.3, -0.3, 0.4, 0.2, 0.2], [0.1, -0.4, -0.4, 0.3, 0.1, 0.1])


def overridden(**given: Any) -> Inputs:
    """A battery that must charge while energy is dear, a hall whose boiler is too weak."""
    nodes = (
        node(AXIS, "gas", carrier="gas"),
        node(AXIS, "grid"),
        node(AXIS, "heat", out=0.0, most=0.0, carrier="heat"),
    )
    devices = (
        Device("bat", "battery", ("grid",), {"capacity_kwh": 20.0, "power_kw": 8.0, "efficiency_in": 0.8}),
        Device("boiler", "gas-boiler", ("gas", "heat"), {"power_kw": 6.0}),
        Device("hall", "heat-demand", ("heat",), {"power_kw": [4.0, 4.0, 9.0, 9.0, 4.0, 4.0]}),
    )
    terms = (PAID, energy_price(AXIS, "gas", 0.06))
    return Sketch(AXIS, nodes, devices, terms, **given).inputs()


@pytest.mark.parametrize(
    "pins",
    [
        (),
        (Pin("bat", "charge_kw", 2, 4, 3.0),),
        (Pin("bat", "discharge_kw", 1, 2, 2.0), Pin("bat", "charge_kw", 4, 5, 0.0)),
        (Pin("boiler", "input_kw", 0, 1, 2.0),),
    ],
    ids=["none", "charges when dear", "discharges when paid", "heats too little"],
)
def test_the_exported_file_says_what_the_plan_costs(pins: tuple[Pin, ...], tmp_path: Path) -> None:
    """Overrides with what they exclude, and emergencies at their price: 6 kWh of heat that nothing can give."""
    inputs = overridden(pins=pins)
    plan = optimum(inputs)
    assert plan.solution.emergency >= 6.0 - 1e-6
    export(inputs, tmp_path / "district.lp", "lp")
    expected = plan.cost_eur + EMERGENCY_EUR_PER_KWH * plan.solution.emergency
    assert optimum_of(tmp_path / "district.lp") == pytest.approx(expected, rel=1e-7, abs=2e-3)
