"""Contradictions named and mended: culprits and amounts by hand, and every option proven by a plan."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from string import Formatter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyomo.environ import Constraint, Expression, Var

from gridopt.assets.base import Family, Floats, Parameter
from gridopt.assets.battery import Battery
from gridopt.assets.chp import CHP
from gridopt.assets.converter import Converter
from gridopt.assets.ev_session import EVSession
from gridopt.assets.gas_boiler import GasBoiler
from gridopt.assets.heat_demand import HeatDemand
from gridopt.assets.load import Load
from gridopt.assets.pv import PV
from gridopt.clock import Axis
from gridopt.errors import InfeasibleError
from gridopt.model.assemble import assemble
from gridopt.model.inputs import Commitment, Flow, Group, Inputs, LinearRule, Node, Pin, make_groups
from gridopt.solve.infeasible import TEXTS, Culprit, Explanation, Mend, apply, explain
from gridopt.solve.ladder import solve
from gridopt.verify.check import verify
from tests.support import districts as small
from tests.support.districts import Device, Sketch, energy_price, hours, hours_price, peak_price

INF = np.inf
T = 8
AXIS = Axis(datetime(2026, 1, 15, 17, 0, tzinfo=UTC), 15, T)
"""Two hours from Thu 15 Jan 18:00 in Paris."""
PRICES = (
    Commitment(
        "supply", (Flow(1.0, node="grid"),), "energy", np.arange(T), np.zeros(T), np.full(T, 0.2), np.full(T, -0.1)
    ),
)


def series(value: Any) -> Floats:
    return np.broadcast_to(np.asarray(value, np.float64), T).copy()


def node(
    name: str,
    import_max: Any = INF,
    export_max: Any = INF,
    reserve: Any = 0,
    parent: str | None = None,
    carrier: str = "electricity",
) -> Node:
    return Node(name, carrier, parent, series(import_max), series(export_max), series(reserve))


def device(
    family: type[Family], nodes: Sequence[Node], name: str, at: str | dict[str, str], **given: Any
) -> list[Group]:
    """One device; what is not given is the default."""
    user: dict[str, Any] = {}
    for p in family.parameters:
        value = given.pop(p.name, np.nan if p.optional and p.default is None else p.default)
        assert value is not None, f"{p.name} is required"
        dtype = object if p.kind == "choice" else bool if p.kind == "flag" else np.float64
        user[p.name] = series(value)[None] if p.kind == "series" else np.array([value], dtype)
    assert not given, f"no such parameter: {sorted(given)}"
    index = {n.id: k for k, n in enumerate(nodes)}
    at = {family.ports[0].name: at} if isinstance(at, str) else at
    return make_groups(family, [name], user, {port: [index[where]] for port, where in at.items()}, AXIS)


def load(nodes: Sequence[Node], name: str, at: str, power: Any) -> list[Group]:
    return device(Load, nodes, name, at, power_kw=power)


def battery(nodes: Sequence[Node], name: str, at: str, **given: Any) -> list[Group]:
    """20 kWh, 10 kW, half full, without efficiency losses; it may end empty."""
    given = {
        "capacity_kwh": 20.0, "power_kw": 10.0, "efficiency_in": 1.0, "efficiency_out": 1.0,
        "soc_min": 0.0, "soc_max": 1.0, "end": "free", **given,
    }  # fmt: skip
    return device(Battery, nodes, name, at, **given)


def district(
    nodes: Sequence[Node],
    *groups: list[Group],
    pins: Sequence[Pin] = (),
    rules: Sequence[LinearRule] = (),
    commitments: Sequence[Commitment] = (),
) -> Inputs:
    return Inputs(
        AXIS, tuple(nodes), tuple(g for gs in groups for g in gs), tuple(commitments), tuple(pins), tuple(rules)
    )


def total(
    name: str, asset: str, variable: str, steps: Sequence[int], low: float = -INF, high: float = INF
) -> LinearRule:
    return LinearRule(name, tuple((1.0, "asset", asset, variable, t) for t in steps), low, high)


def shape(c: Culprit) -> tuple[str, str, str, int, int]:
    return c.category, c.id, c.quantity, c.first, c.last


def change(m: Mend) -> tuple[str, str, str, float, float | None, int, int]:
    return m.kind, m.id, m.quantity, m.old, m.new, m.first, m.last


def refused(inputs: Inputs) -> Explanation:
    """What ``solve`` says when it refuses a district."""
    with pytest.raises(InfeasibleError) as refusal:
        solve(inputs)
    explanation = refusal.value.explanation
    assert isinstance(explanation, Explanation)
    assert str(refusal.value) == explanation.words
    return explanation


def mended(inputs: Inputs, explanation: Explanation) -> list[Inputs]:
    """The district with each option applied: every one has a plan, and the plan holds."""
    assert explanation.options
    out = [apply(inputs, option.mends) for option in explanation.options]
    for m in out:
        solution = solve(m)
        schedule = solution.assembly.schedule(solution.x)
        assert verify(m, schedule, solution.objective) == []
    return out


# --- limits ----------------------------------------------------------------------------------------------------------


def test_load_over_an_import_limit() -> None:
    nodes = [node("grid"), node("b1", 12, 12, parent="grid")]
    inputs = district(
        nodes,
        load(nodes, "load-b1", "b1", [1, 1, 1, 1, 14.2, 14.9, 13, 1]),
        load(nodes, "lift", "b1", 0.5),
        commitments=PRICES,
    )
    e = refused(inputs)
    (c,) = e.culprits
    assert shape(c) == ("limit", "b1", "import_max_kw", 4, 7)
    assert (c.limit, c.unit) == (12, "kW")
    assert c.amount == pytest.approx(14.9 + 0.5 - 12)
    assert c.energy_kwh == pytest.approx((2.7 + 3.4 + 1.5) / 4)
    assert c.powers == (("load-b1", pytest.approx(14.9)), ("lift", pytest.approx(0.5)))
    (option,) = e.options
    assert [change(m) for m in option.mends] == [("limit", "b1", "import_max_kw", 12, 15.4, 0, T)]
    assert option.mends[0].setting == "node.b1.import_max_kw=15.4"
    assert e.words == (
        "No schedule can keep every hard limit.\n"
        "Thu 15 Jan 19:00–19:45: node b1 needs up to 3.4 kW (1.9 kWh) more than its import limit of 12 kW; "
        "drawing there: load-b1 14.9 kW, lift 0.5 kW.\n"
        "To mend it: raise node.b1.import_max_kw from 12 to 15.4 (--set node.b1.import_max_kw=15.4)."
    )
    mended(inputs, e)


def test_a_feeder_below_the_sum_of_its_children() -> None:
    nodes = [
        node("grid"), node("feeder", 20, 20, parent="grid"),
        node("b1", 12, 12, parent="feeder"), node("b2", 12, 12, parent="feeder"),
    ]  # fmt: skip
    inputs = district(
        nodes,
        load(nodes, "load-b1", "b1", [1, 1, 11, 11, 1, 1, 1, 1]),
        load(nodes, "load-b2", "b2", [1, 1, 11.5, 10, 1, 1, 1, 1]),
    )
    e = refused(inputs)
    (c,) = e.culprits
    assert shape(c) == ("limit", "feeder", "import_max_kw", 2, 4)
    assert c.amount == pytest.approx(2.5)
    assert c.energy_kwh == pytest.approx((2.5 + 1) / 4)
    assert [name for name, _ in c.powers] == ["load-b2", "load-b1"]
    assert [[change(m) for m in o.mends] for o in e.options] == [[("limit", "feeder", "import_max_kw", 20, 22.5, 0, T)]]
    mended(inputs, e)


def test_an_export_limit_with_pv_that_cannot_be_curtailed() -> None:
    nodes = [node("grid"), node("b1", 12, 4, parent="grid")]
    sun = [0, 0, 6, 6.5, 3, 3, 3, 3]
    roof = device(PV, nodes, "roof", "b1", peak_kw=1.0, yield_kw_per_kw=sun, curtailable=False)
    inputs = district(nodes, roof, load(nodes, "load", "b1", 1))
    e = refused(inputs)
    (c,) = e.culprits
    assert shape(c) == ("limit", "b1", "export_max_kw", 2, 4)
    assert c.amount == pytest.approx(6.5 - 1 - 4)
    assert c.energy_kwh == pytest.approx((1 + 1.5) / 4)
    assert c.powers == (("roof", pytest.approx(6.5)),)
    assert [[m.setting for m in o.mends] for o in e.options] == [
        ["node.b1.export_max_kw=5.5"],
        ["asset.roof.curtailable=true"],
    ]
    assert "2. let the output of roof be limited (--set asset.roof.curtailable=true)" in e.words
    assert "has up to 1.5 kW (0.62 kWh) more left over than its export limit of 4 kW; feeding in there: roof" in e.words
    mended(inputs, e)
    assert (
        explain(assemble(district(nodes, device(PV, nodes, "roof", "b1", peak_kw=1.0, yield_kw_per_kw=sun)))).culprits
        == ()
    )


def roofs(free: set[str]) -> Inputs:
    """Three roofs of 9, 5 and 1 kW beside a load of 1 kW, behind a cable that takes 8 kW; ``free``: may be limited."""
    nodes = [node("grid"), node("b1", 12, 8, parent="grid")]
    given = {
        "peak_kw": np.array([1.0, 5.0, 9.0]), "yield_kw_per_kw": np.ones((3, T)),
        "curtailable": np.array([name in free for name in ("roof-1", "roof-5", "roof-9")]),
    }  # fmt: skip
    plants = make_groups(PV, ["roof-1", "roof-5", "roof-9"], given, {"ac": [1, 1, 1]}, AXIS)
    return district(nodes, load(nodes, "load", "b1", 1), plants)


def test_only_plants_that_make_up_for_what_is_left_over_need_be_limited() -> None:
    """6 kW are left over: the largest roof alone gives way, and the scenario says it as ``--set`` would."""
    e = refused(roofs(set()))
    assert [[m.setting for m in o.mends] for o in e.options] == [
        ["node.b1.export_max_kw=14"],
        ["asset.roof-9.curtailable=true"],
    ]
    assert mended(roofs(set()), e)[1].digest() == roofs({"roof-9"}).digest()


def test_a_plant_joins_those_that_may_be_limited_already() -> None:
    """Without the roof of 1 kW it is still 5 kW too much."""
    e = refused(roofs({"roof-1"}))
    assert [m.id for m in e.options[1].mends] == ["roof-9"]
    assert mended(roofs({"roof-1"}), e)[1].digest() == roofs({"roof-1", "roof-9"}).digest()


def test_a_reserve_larger_than_the_headroom() -> None:
    nodes = [node("grid"), node("b1", 12, 12, reserve=8, parent="grid")]
    inputs = district(nodes, load(nodes, "load", "b1", [1, 1, 5, 6.004, 1, 1, 1, 1]))
    e = refused(inputs)
    (c,) = e.culprits
    assert shape(c) == ("limit", "b1", "import_max_kw", 2, 4)
    assert c.amount == pytest.approx(6.004 - (12 - 8))
    assert "its import limit of 12 kW less the 8 kW kept in reserve" in c.words
    # Rounded away from the contradiction: 14.004 up, 5.996 down.
    assert [[m.setting for m in o.mends] for o in e.options] == [
        ["node.b1.import_max_kw=14.01"],
        ["node.b1.reserve_kw=5.99"],
    ]
    mended(inputs, e)


def test_a_reserve_larger_than_the_limit_itself() -> None:
    # It leaves nothing of the limit: the node is closed until the limit holds both, or the reserve makes room.
    nodes = [node("grid"), node("b1", 12, 12, reserve=15, parent="grid")]
    inputs = district(nodes, load(nodes, "load", "b1", [0, 0, 5, 6, 0, 0, 0, 0]))
    e = refused(inputs)
    (c,) = e.culprits
    assert (*shape(c), c.limit, c.amount) == ("limit", "b1", "import_max_kw", 2, 4, 12, pytest.approx(6))
    assert "its import limit of 12 kW, of which the reserve of 15 kW leaves nothing" in c.words
    assert [[m.setting for m in o.mends] for o in e.options] == [["node.b1.import_max_kw=21"], ["node.b1.reserve_kw=6"]]
    mended(inputs, e)


def test_a_limit_that_is_zero_for_one_interval() -> None:
    nodes = [node("grid", [10, 10, 0, 0, 10, 10, 10, 10], 10)]
    inputs = district(nodes, load(nodes, "load", "grid", [1, 1, 2, 3, 1, 1, 1, 1]), commitments=PRICES)
    e = refused(inputs)
    (c,) = e.culprits
    assert shape(c) == ("limit", "grid", "import_max_kw", 2, 4)
    assert (c.limit, c.amount, c.energy_kwh) == (0, pytest.approx(3), pytest.approx(5 / 4))
    (m,) = e.options[0].mends
    # One number cannot say a limit that changes: there is no --set.
    assert (change(m), m.setting) == (("limit", "grid", "import_max_kw", 0, 3, 2, 4), None)
    assert "lacks up to 3 kW (1.25 kWh), and nothing may flow in" in e.words
    assert "raise node.grid.import_max_kw to at least 3, Thu 15 Jan 18:30–19:00" in e.words
    (after,) = mended(inputs, e)
    np.testing.assert_array_equal(after.nodes[0].import_max_kw, [10, 10, 3, 3, 10, 10, 10, 10])


def test_two_carriers_short_at_once() -> None:
    nodes = [node("gas", 3, 0, carrier="gas"), node("grid", 6, 6)]
    inputs = district(
        nodes,
        load(nodes, "oven", "gas", [1, 4, 1, 1, 1, 1, 1, 1]),
        load(nodes, "load", "grid", [1, 1, 1, 1, 1, 1, 8, 1]),
    )
    e = refused(inputs)
    assert [(*shape(c), c.amount) for c in e.culprits] == [
        ("limit", "gas", "import_max_kw", 1, 2, pytest.approx(1)),
        ("limit", "grid", "import_max_kw", 6, 7, pytest.approx(2)),
    ]
    # Both are needed: one option with two mends.
    assert [[m.setting for m in o.mends] for o in e.options] == [
        ["node.gas.import_max_kw=4", "node.grid.import_max_kw=8"]
    ]
    mended(inputs, e)


def test_a_flexible_demand_asks_for_the_smallest_limit_rather_than_for_one_burst() -> None:
    nodes = [node("grid", 6, 6), node("heat", carrier="heat")]
    rod = device(Converter, nodes, "rod", {"source": "grid", "sink": "heat"}, power_kw=10.0, efficiency=1.0)
    inputs = district(
        nodes, load(nodes, "load", "grid", 5), rod, rules=[total("full", "rod", "input_kw", range(2, 6), low=12)]
    )
    e = refused(inputs)
    # 12 kW over four steps is 3 kW each beside the load of 5; the rule alone could come down to 1 kW a step.
    assert [(*shape(c), c.amount) for c in e.culprits] == [
        ("limit", "grid", "import_max_kw", 2, 6, pytest.approx(2)),
        ("rule", "full", "low", 2, 6, pytest.approx(8)),
    ]
    assert [[(m.id, m.quantity, m.new) for m in o.mends] for o in e.options] == [
        [("grid", "import_max_kw", 8)],
        [("full", "low", 4)],
    ]
    mended(inputs, e)


# --- pins and outages ------------------------------------------------------------------------------------------------


def test_a_pin_above_what_the_limit_allows() -> None:
    nodes = [node("grid", 6, 6)]
    inputs = district(
        nodes, load(nodes, "load", "grid", 1), battery(nodes, "bat", "grid"), pins=[Pin("bat", "charge_kw", 2, 4, 8.0)]
    )
    e = explain(assemble(inputs))
    assert [(*shape(c), c.limit, c.amount, c.energy_kwh) for c in e.culprits] == [
        ("limit", "grid", "import_max_kw", 2, 4, 6, pytest.approx(3), pytest.approx(1.5)),
        ("pin", "bat", "charge_kw", 2, 4, 8, pytest.approx(3), pytest.approx(1.5)),
    ]
    assert e.culprits[0].powers == (("bat", pytest.approx(8)), ("load", pytest.approx(1)))
    assert [[change(m) for m in o.mends] for o in e.options] == [
        [("limit", "grid", "import_max_kw", 6, 9, 0, T)],
        [("pin", "bat", "charge_kw", 8, 5, 2, 4)],
    ]
    assert "1. raise node.grid" in e.words
    assert "2. pin bat to charge_kw = 5 instead of 8, Thu 15 Jan 18:30–19:00" in e.words
    after = mended(inputs, e)
    assert after[1].pins == (Pin("bat", "charge_kw", 2, 4, 5.0),)


def test_a_pin_against_the_content_of_the_battery() -> None:
    nodes = [node("grid")]
    inputs = district(nodes, battery(nodes, "bat", "grid", soc_start=0.1), pins=[Pin("bat", "discharge_kw", 0, 4, 5.0)])
    e = explain(assemble(inputs))
    # 2 kWh are 8 kW over quarter-hours: the first step keeps its 5 kW, the second gives 3, the others nothing.
    (c,) = e.culprits
    assert shape(c) == ("pin", "bat", "discharge_kw", 1, 4)
    assert (c.limit, c.amount, c.energy_kwh) == (5, pytest.approx(5), pytest.approx((2 + 5 + 5) / 4))
    assert "bat is pinned to discharge_kw = 5, up to 5 kW (3 kWh) more than can be done" in e.words
    assert [[change(m) for m in o.mends] for o in e.options] == [[("pin", "bat", "discharge_kw", 5, None, 1, 4)]]
    (after,) = mended(inputs, e)
    assert after.pins == (Pin("bat", "discharge_kw", 0, 1, 5.0),)


def test_two_pins_that_exceed_a_limit_together() -> None:
    nodes = [node("grid", 10, 10)]
    inputs = district(
        nodes,
        battery(nodes, "bat-a", "grid"),
        battery(nodes, "bat-b", "grid"),
        pins=[Pin("bat-a", "charge_kw", 2, 4, 6.0), Pin("bat-b", "charge_kw", 3, 5, 7.0)],
    )
    e = explain(assemble(inputs))
    assert sorted((*shape(c), c.amount) for c in e.culprits) == [
        ("limit", "grid", "import_max_kw", 3, 4, pytest.approx(3)),
        ("pin", "bat-a", "charge_kw", 3, 4, pytest.approx(3)),
        ("pin", "bat-b", "charge_kw", 3, 4, pytest.approx(3)),
    ]
    # Either may give way: the search does not stop at the first.
    assert sorted(change(m) for o in e.options for m in o.mends) == [
        ("limit", "grid", "import_max_kw", 10, 13, 0, T),
        ("pin", "bat-a", "charge_kw", 6, 3, 3, 4),
        ("pin", "bat-b", "charge_kw", 7, 4, 3, 4),
    ]
    mended(inputs, e)


def test_a_pin_that_holds_a_battery_the_wrong_way() -> None:
    nodes = [node("grid"), node("island", 0, 0, parent="grid")]
    inputs = district(
        nodes,
        load(nodes, "load", "island", 2),
        battery(nodes, "bat", "island"),
        pins=[Pin("bat", "charge_kw", 2, 4, 8.0)],
    )
    e = explain(assemble(inputs))
    assert [(*shape(c), c.amount) for c in e.culprits] == [
        ("limit", "island", "import_max_kw", 2, 4, pytest.approx(10)),
        ("pin", "bat", "charge_kw", 2, 4, pytest.approx(8)),
    ]
    # Charging less is not enough: it must discharge, so the pin gives way altogether.
    assert change(e.options[1].mends[0]) == ("pin", "bat", "charge_kw", 8, 0, 2, 4)
    mended(inputs, e)


def test_a_pin_beyond_its_device_gives_way_to_the_device() -> None:
    nodes = [node("grid", 8, 8)]
    inputs = district(
        nodes,
        load(nodes, "load", "grid", 1),
        battery(nodes, "bat", "grid", power_kw=5),
        pins=[Pin("bat", "charge_kw", 2, 4, 12.0)],
    )
    e = explain(assemble(inputs))
    # 7 kW would fit below the limit, but the battery takes 5.
    pin = next(c for c in e.culprits if c.category == "pin")
    assert pin.amount == pytest.approx(7)
    option = next(o for o in e.options if o.mends[0].kind == "pin")
    assert [change(m) for m in option.mends] == [("pin", "bat", "charge_kw", 12, 5, 2, 4)]


def test_a_pin_inside_a_window_of_its_own() -> None:
    nodes = [node("grid", 6, 6)]
    car = device(EVSession, nodes, "car", "grid", arrive=0.75, depart=1.75, energy_kwh=8.0, power_kw=11.0)
    assert car[0].offset[0] == 3
    inputs = district(nodes, load(nodes, "load", "grid", 2), car, pins=[Pin("car", "charge_kw", 0, 5, 7.0)])
    e = refused(inputs)
    assert [(*shape(c), c.amount) for c in e.culprits] == [
        ("limit", "grid", "import_max_kw", 3, 5, pytest.approx(3)),
        ("pin", "car", "charge_kw", 3, 5, pytest.approx(3)),
    ]
    # A charger below its least current is no plan, so the pin is released rather than lowered.
    assert change(e.options[1].mends[0]) == ("pin", "car", "charge_kw", 7, None, 3, 5)
    after = mended(inputs, e)
    assert after[1].pins == (Pin("car", "charge_kw", 0, 3, 7.0),)


def test_an_outage_of_what_must_serve() -> None:
    nodes = [node("grid"), node("island", 0, 0, parent="grid")]
    out = [Pin("bat", variable, 2, 4, 0.0, "outage") for variable in ("charge_kw", "discharge_kw")]
    inputs = district(
        nodes, load(nodes, "load", "island", [2, 2, 2, 3, 2, 2, 2, 2]), battery(nodes, "bat", "island"), pins=out
    )
    e = refused(inputs)
    assert [(*shape(c), c.amount, c.energy_kwh) for c in e.culprits] == [
        ("limit", "island", "import_max_kw", 2, 4, pytest.approx(3), pytest.approx(5 / 4)),
        ("outage", "bat", "discharge_kw", 2, 4, pytest.approx(3), pytest.approx(5 / 4)),
    ]
    assert "bat is out of service, and up to 3 kW (1.25 kWh) of its discharge_kw is needed" in e.words
    assert [[change(m) for m in o.mends] for o in e.options] == [
        [("limit", "island", "import_max_kw", 0, 3, 0, T)],
        [("outage", "bat", "outage", 0, None, 2, 4)],
    ]
    after = mended(inputs, e)
    # Both commands are back.
    assert after[1].pins == ()


def held_and_out() -> Inputs:
    """A battery out of service which a person discharges by hand for a quarter, beside a load beyond the cable."""
    nodes = [node("grid"), node("b1", 5, 5, parent="grid")]
    pins = [
        Pin("bat", "charge_kw", 0, T, 0.0, "outage"),
        Pin("bat", "discharge_kw", 0, 2, 0.0, "outage"),
        Pin("bat", "discharge_kw", 2, 3, 1.0),
        Pin("bat", "discharge_kw", 3, T, 0.0, "outage"),
    ]
    return district(
        nodes,
        load(nodes, "load", "b1", [4, 4, 12, 12, 12, 12, 4, 4]),
        battery(nodes, "bat", "b1", soc_start=0.6),
        pins=pins,
    )


def test_a_pin_on_what_is_out_of_service_says_which_wins_and_why() -> None:
    inputs = held_and_out()
    e = refused(inputs)
    said = {c.category: c.words for c in e.culprits}
    assert said["pin"].endswith(
        "bat is pinned to discharge_kw = 1, up to 6 kW (1.5 kWh) less than can be done; it is out of service too, "
        "Thu 15 Jan 18:30–18:45: the pin wins, for a person's hand overrules a list of outages."
    )
    assert said["outage"].endswith("of its discharge_kw is needed."), "nothing is pinned then"
    mended(inputs, e)
    nodes = [node("grid"), node("b1", 5, 5, parent="grid")]
    pins = [Pin("bat", "charge_kw", 0, T, 0.0, "outage"), Pin("bat", "discharge_kw", 2, 4, 12.0)]
    e = refused(district(nodes, load(nodes, "load", "b1", 4), battery(nodes, "bat", "b1"), pins=pins))
    (outage,) = (c.words for c in e.culprits if c.category == "outage")
    assert outage.endswith("what a person pins of it, discharge_kw, holds all the same, for a pin wins over an outage.")


def test_what_is_released_while_out_of_service_stays_out_of_service() -> None:
    """As the scenario has it where the pin is taken out of the file: the pin had only won over the outage."""
    free = apply(held_and_out(), [mend("pin", "bat", "discharge_kw", 1, None, 2, 3)])
    assert sorted((p.variable, p.first, p.last, p.value, p.why) for p in free.pins) == [
        ("charge_kw", 0, T, 0.0, "outage"),
        ("discharge_kw", 0, 2, 0.0, "outage"),
        ("discharge_kw", 2, 3, 0.0, "outage"),
        ("discharge_kw", 3, T, 0.0, "outage"),
    ]


def test_a_source_that_must_run_into_a_closed_heat_node() -> None:
    nodes = [node("grid"), node("heat", 0, 0, carrier="heat")]
    rod = device(Converter, nodes, "rod", {"source": "grid", "sink": "heat"}, power_kw=6.0, efficiency=0.9)
    inputs = district(
        nodes, rod, device(HeatDemand, nodes, "demand", "heat", power_kw=1.8), pins=[Pin("rod", "input_kw", 2, 4, 4.0)]
    )
    e = refused(inputs)
    assert [(*shape(c), c.amount) for c in e.culprits] == [
        ("limit", "heat", "export_max_kw", 2, 4, pytest.approx(0.9 * 4 - 1.8)),
        ("pin", "rod", "input_kw", 2, 4, pytest.approx(4 - 1.8 / 0.9)),
    ]
    assert e.culprits[0].powers == (("rod", pytest.approx(3.6)),)
    assert (
        "node heat has up to 1.8 kW (0.9 kWh) left over, and nothing may flow out; feeding in there: rod 3.6 kW"
        in e.words
    )
    mended(inputs, e)


def test_an_engine_pinned_on_above_the_heat_demand() -> None:
    nodes = [node("gas", carrier="gas"), node("grid"), node("heat", 0, 0, carrier="heat")]
    engine = device(
        CHP, nodes, "engine", {"ac": "grid", "heat": "heat", "gas": "gas"}, power_max_kw=20.0, power_min_kw=10.2,
        electric_efficiency_min=0.34, thermal_efficiency_min=0.5,
    )  # fmt: skip
    boiler = device(GasBoiler, nodes, "boiler", {"source": "gas", "sink": "heat"}, power_kw=10.0, efficiency=0.9)
    inputs = district(
        nodes,
        engine,
        boiler,
        device(HeatDemand, nodes, "demand", "heat", power_kw=5.0),
        pins=[Pin("engine", "on", 2, 4, 1.0)],
    )
    e = refused(inputs)
    # At minimum load 10.2 / 0.34 = 30 kW of gas give 15 kW of heat.
    assert [(*shape(c), c.amount) for c in e.culprits] == [
        ("limit", "heat", "export_max_kw", 2, 4, pytest.approx(15 - 5)),
        ("pin", "engine", "on", 2, 4, pytest.approx(1)),
    ]
    assert "engine is pinned to on = 1, which cannot be kept" in e.words
    assert change(e.options[1].mends[0]) == ("pin", "engine", "on", 1, None, 2, 4)
    mended(inputs, e)


def test_conflicts_that_have_nothing_to_do_with_each_other() -> None:
    nodes = [node("grid"), node("b1", 5, 5, parent="grid"), node("b2", 5, 5, parent="grid")]
    inputs = district(
        nodes,
        load(nodes, "load", "b1", [1, 7, 1, 1, 1, 1, 1, 1]),
        battery(nodes, "bat", "b2"),
        pins=[Pin("bat", "charge_kw", 4, 6, 8.0)],
    )
    e = refused(inputs)
    # Releasing the pin mends b2 and leaves b1: the second option takes it with as few limits as possible.
    assert [sorted((m.kind, m.id, m.new) for m in o.mends) for o in e.options] == [
        [("limit", "b1", 7), ("limit", "b2", 8)],
        [("limit", "b1", 7), ("pin", "bat", 5)],
    ]
    mended(inputs, e)


# --- rules -----------------------------------------------------------------------------------------------------------


def test_an_impossible_rule() -> None:
    nodes = [node("grid")]
    inputs = district(
        nodes, battery(nodes, "bat", "grid"), rules=[total("evening", "bat", "charge_kw", (2, 3), low=25)]
    )
    e = refused(inputs)
    (c,) = e.culprits
    assert shape(c) == ("rule", "evening", "low", 2, 4)
    assert (c.limit, c.amount, c.unit, c.energy_kwh) == (25, pytest.approx(5), "kW", None)
    assert "rule evening asks for at least 25, which is out of reach by 5 kW" in e.words
    assert e.words.endswith("To mend it: let rule evening ask for at least 20 instead of 25.")
    (after,) = mended(inputs, e)
    assert (after.rules[0].low, after.rules[0].high) == (20, INF)


def test_a_rule_with_one_name_and_many_rows() -> None:
    nodes = [node("grid")]
    rows = [total("calm", "bat", "charge_kw", (t,), high=-1.0 - t) for t in (3, 5)]
    inputs = district(nodes, battery(nodes, "bat", "grid"), rules=rows)
    e = refused(inputs)
    (c,) = e.culprits
    assert (*shape(c), c.limit, c.amount) == ("rule", "calm", "high", 3, 6, -6, pytest.approx(6))
    (after,) = mended(inputs, e)
    assert [rule.high for rule in after.rules] == [2, 0]


def test_a_rule_that_contradicts_itself() -> None:
    nodes = [node("grid")]
    inputs = district(
        nodes, battery(nodes, "bat", "grid"), rules=[total("narrow", "bat", "charge_kw", (2,), low=3, high=2)]
    )
    e = refused(inputs)
    assert sum(c.amount for c in e.culprits) == pytest.approx(1)
    assert {c.quantity for c in e.culprits} <= {"low", "high"}
    mended(inputs, e)


def test_a_rule_about_a_node_is_not_dodged_beyond_its_limit() -> None:
    # Power beyond the limit counts in the user's rule too: raising the limit alone would not do.
    nodes = [node("grid"), node("b1", 5, 5, parent="grid")]
    calm = LinearRule("calm", ((1.0, "node", "b1", "net_kw", 3),), -INF, 4.0)
    inputs = district(nodes, load(nodes, "load", "b1", [1, 1, 1, 7, 1, 1, 1, 1]), rules=[calm])
    e = refused(inputs)
    assert [(*shape(c), c.amount) for c in e.culprits] == [
        ("limit", "b1", "import_max_kw", 3, 4, pytest.approx(2)),
        ("rule", "calm", "high", 3, 4, pytest.approx(3)),
    ]
    assert [sorted((m.id, m.new) for m in o.mends) for o in e.options] == [[("b1", 7), ("calm", 7)]]
    mended(inputs, e)


# --- whole decisions -------------------------------------------------------------------------------------------------


def heater(nodes: Sequence[Node], at: str) -> list[Group]:
    """An electric heater that takes nothing, or 4 to 6 kW."""
    return device(
        Converter, nodes, "rod", {"source": at, "sink": "heat"}, power_kw=6.0, power_min_kw=4.0, efficiency=1.0
    )


def test_a_least_power_above_the_limit_while_a_rule_asks_for_it() -> None:
    nodes = [node("grid"), node("b1", 3, 3, parent="grid"), node("heat", carrier="heat")]
    inputs = district(nodes, heater(nodes, "b1"), rules=[total("some", "rod", "input_kw", (2, 3), low=1)])
    a = assemble(inputs)
    assert explain(a).culprits == ()  # 0.5 kW a step would do if it could run so low
    e = explain(a, whole=True)
    limit, rule = e.culprits
    assert (limit.id, limit.quantity, limit.amount, limit.last - limit.first) == (
        "b1",
        "import_max_kw",
        pytest.approx(1),
        1,
    )
    assert limit.first in (2, 3)
    assert (*shape(rule), rule.amount) == ("rule", "some", "low", 2, 4, pytest.approx(1))
    assert [[(m.id, m.quantity, m.new) for m in o.mends] for o in e.options] == [
        [("b1", "import_max_kw", 4)],
        [("some", "low", 0)],
    ]
    assert e.words.startswith("No schedule can keep every hard limit with devices that either rest or run above")
    mended(inputs, e)


def test_a_pin_below_the_least_power() -> None:
    nodes = [node("grid"), node("heat", carrier="heat")]
    inputs = district(nodes, heater(nodes, "grid"), pins=[Pin("rod", "input_kw", 2, 4, 1.0)])
    e = explain(assemble(inputs), whole=True)
    (c,) = e.culprits
    assert shape(c) == ("pin", "rod", "input_kw", 2, 4)
    assert "rod is pinned to input_kw = 1, which cannot be kept" in e.words
    mended(inputs, e)


def test_energy_cannot_be_burnt_by_charging_and_discharging_at_once() -> None:
    # The relaxation would throw 3 kW away in the full battery's losses; a plan cannot.
    nodes = [node("grid", 20, 5)]
    roof = device(PV, nodes, "roof", "grid", peak_kw=1.0, yield_kw_per_kw=8.0, curtailable=False)
    full = battery(nodes, "bat", "grid", power_kw=50, soc_start=1.0, efficiency_in=0.9, efficiency_out=0.9)
    inputs = district(nodes, roof, full)
    a = assemble(inputs)
    assert explain(a).culprits == ()
    e = explain(a, whole=True)
    (c,) = e.culprits
    assert (*shape(c), c.amount) == ("limit", "grid", "export_max_kw", 0, T, pytest.approx(3))
    assert [[m.setting for m in o.mends] for o in e.options] == [
        ["node.grid.export_max_kw=8"],
        ["asset.roof.curtailable=true"],
    ]
    mended(inputs, e)


def test_an_option_of_the_relaxation_is_not_offered_if_no_whole_plan_follows() -> None:
    # The relaxation asks for 1 kW more; a heater that takes 4 kW or nothing needs 2 more beside the load.
    nodes = [node("grid"), node("b1", 3, 3, parent="grid"), node("heat", 0, 0, carrier="heat")]
    inputs = district(
        nodes,
        heater(nodes, "b1"),
        load(nodes, "load", "b1", 1),
        load(nodes, "wash", "heat", [0, 0, 3, 0, 0, 0, 0, 0]),
    )
    e = refused(inputs)
    assert e.words.startswith("No schedule can keep every hard limit with devices that either rest or run above")
    assert {("b1", "import_max_kw"), ("heat", "import_max_kw")} >= {
        (c.id, c.quantity) for c in e.culprits if c.quantity.startswith("import")
    }
    mended(inputs, e)


# --- emergencies and the last resort ---------------------------------------------------------------------------------


def test_emergencies_elsewhere_name_no_limit() -> None:
    # The battery's target is out of reach: a named shortfall, no contradiction. Its closed node is no culprit.
    nodes = [node("grid"), node("b1", 5, 5, parent="grid"), node("b2", 0, 0, parent="grid")]
    inputs = district(
        nodes,
        load(nodes, "load", "b1", [1, 1, 6, 6, 4, 1, 1, 1]),
        battery(nodes, "bat", "b2", end="target", soc_end=0.9),
    )
    e = refused(inputs)
    assert [(*shape(c), c.amount) for c in e.culprits] == [("limit", "b1", "import_max_kw", 2, 4, pytest.approx(1))]
    (after,) = mended(inputs, e)
    assert solve(after).emergency == pytest.approx(0.4 * 20)


def test_an_emergency_does_not_stand_in_for_a_mend() -> None:
    # Without heat the limit would be short of 1 kW; with heat (6 kW at a COP of 3) it is short of 3.
    nodes = [node("grid"), node("b1", 5, 5, parent="grid"), node("heat", 0, 0, carrier="heat")]
    pump = device(Converter, nodes, "pump", {"source": "b1", "sink": "heat"}, power_kw=6.0, efficiency=3.0)
    inputs = district(
        nodes,
        pump,
        device(HeatDemand, nodes, "demand", "heat", power_kw=6.0),
        load(nodes, "load", "b1", [1, 1, 6, 6, 3, 1, 1, 1]),
    )
    e = refused(inputs)
    (c,) = e.culprits
    assert (*shape(c), c.amount) == ("limit", "b1", "import_max_kw", 2, 4, pytest.approx(3))
    assert c.powers == (("load", pytest.approx(6)), ("pump", pytest.approx(2)))
    (after,) = mended(inputs, e)
    assert solve(after).emergency == 0


@pytest.mark.parametrize(("soc", "short"), [(0.5, 0.0), (0.95, 4.0)])
def test_no_cable_is_made_stronger_for_what_a_store_holds_at_last(soc: float, short: float) -> None:
    """20 kW at the end, of which the battery takes 10: 10 must be drawn, and 4 kWh may be missing tomorrow."""
    nodes = [node("grid"), node("b1", 5, 5, parent="grid")]
    inputs = district(
        nodes,
        load(nodes, "load", "b1", [4, 4, 4, 4, 4, 4, 20, 20]),
        battery(nodes, "bat", "b1", end="start", soc_start=soc),
        commitments=PRICES,
    )
    e = refused(inputs)
    assert [(*shape(c), c.amount) for c in e.culprits] == [("limit", "b1", "import_max_kw", 6, 8, pytest.approx(5))]
    assert [[m.setting for m in o.mends] for o in e.options] == [["node.b1.import_max_kw=10"]]
    (after,) = mended(inputs, e)
    assert solve(after).emergency == pytest.approx(short, abs=1e-4)
    said = e.words.splitlines()[-1]
    if short:
        assert said.endswith(
            "(--set node.b1.import_max_kw=10); what then falls short: bat (content at the end) by 4 kWh."
        )
        (missed,) = e.options[0].short or ()
        assert (missed.asset, missed.amount, missed.unit) == ("bat", pytest.approx(short, abs=1e-4), "kWh")
    else:
        assert said.endswith("(--set node.b1.import_max_kw=10).")
        assert e.options[0].short == ()


class Mill(Family):
    """A machine that must run at ``least_kw`` and cannot exceed ``most_kw``."""

    name = "mill"
    parameters = (Parameter("least_kw", "what it must run at", kind="series"), Parameter("most_kw", "what it can"))
    commands = ("run_kw",)

    @staticmethod
    def block(b: Any, option: Any) -> None:
        b.run_kw = Var(b.T, bounds=(0, b.most_kw))
        b.limit_mill_least_kw = Constraint(b.T, rule=lambda b, t: b.run_kw[t] >= b.least_kw[t])
        b.ac_kw = Expression(b.T, rule=lambda b, t: b.run_kw[t])


def test_a_device_that_contradicts_itself_is_named_and_nothing_is_promised() -> None:
    nodes = [node("grid", 20, 20)]
    mill = device(Mill, nodes, "mill", "grid", least_kw=[1, 1, 1, 1, 8, 7, 1, 1], most_kw=5.0)
    inputs = district(nodes, mill, load(nodes, "load", "grid", [1, 1, 1, 21, 1, 1, 1, 1]))
    e = refused(inputs)
    asset, limit = e.culprits
    assert (*shape(asset), asset.amount) == ("asset", "mill", "limit_mill_least_kw", 4, 6, pytest.approx(3))
    assert (*shape(limit), limit.amount) == ("limit", "grid", "import_max_kw", 3, 4, pytest.approx(2))
    # No limit mends the mill: none is offered.
    assert e.options == ()
    assert "mill cannot keep its own limit_mill_least_kw, off by 3 kW: check its parameters" in e.words
    assert e.words.endswith(TEXTS["mend.none"])


def test_a_device_whose_own_bounds_cross() -> None:
    nodes = [node("grid"), node("heat", carrier="heat")]
    rod = device(Converter, nodes, "rod", {"source": "grid", "sink": "heat"}, power_kw=-1.0, efficiency=0.9)
    e = refused(district(nodes, rod))
    assert [(*shape(c), c.amount, c.unit) for c in e.culprits] == [("asset", "rod", "input_kw", 0, T, 1, "kW")]
    assert e.options == ()


# --- a district that has a plan --------------------------------------------------------------------------------------


power = st.floats(0, 20).map(lambda v: round(v, 2))


@given(loads=st.lists(power, min_size=2 * T, max_size=2 * T), pin=power, room=st.floats(0, 5))
def test_a_district_with_a_plan_has_no_culprits(loads: list[float], pin: float, room: float) -> None:
    first, second = np.array(loads[:T]), np.array(loads[T:])
    peak = float((first + second).max()) + room
    nodes = [
        node("grid", peak + 10, peak),
        node("b1", float(first.max()), 10, parent="grid"),
        node("b2", parent="grid"),
    ]
    inputs = district(
        nodes,
        load(nodes, "one", "b1", first),
        load(nodes, "two", "b2", second),
        battery(nodes, "bat", "b2"),
        pins=[Pin("bat", "charge_kw", 2, 4, min(pin, 10.0))],
        commitments=PRICES,
    )
    a = assemble(inputs)
    for whole in (False, True):
        e = explain(a, whole=whole)
        assert (e.culprits, e.options, e.words) == ((), (), TEXTS["none"])


@given(loads=st.lists(power, min_size=T, max_size=T), limit=st.floats(0, 19).map(lambda v: round(v, 1)))
def test_fixed_loads_over_a_limit(loads: list[float], limit: float) -> None:
    """Culprits are the runs above the limit, their amounts what is above it; the mend is the peak."""
    p = np.array(loads)
    nodes = [node("grid"), node("b1", limit, 5, parent="grid")]
    inputs = district(nodes, load(nodes, "load", "b1", p))
    over = p - limit
    e = explain(assemble(inputs))
    named = np.zeros(T)
    for c in e.culprits:
        assert (c.category, c.id, c.quantity) == ("limit", "b1", "import_max_kw")
        assert not named[max(c.first - 1, 0) : c.last + 1].any(), "neighbouring intervals must be one"
        named[c.first : c.last] = 1
        assert c.amount == pytest.approx(over[c.first : c.last].max(), abs=1e-6)
        assert c.energy_kwh == pytest.approx(over[c.first : c.last].sum() / 4, abs=1e-6)
    np.testing.assert_array_equal(named > 0, over > 1e-9)
    if e.culprits:
        assert [[m.new for m in o.mends] for o in e.options] == [[pytest.approx(p.max())]]
        solve(apply(inputs, e.options[0].mends))


def wild(seed: int) -> Inputs:
    """A district with limits, pins, outages and rules drawn without a thought for each other."""
    rng = np.random.default_rng(seed)
    nodes = [node("grid", rng.choice([INF, 8, 15]), rng.choice([INF, 0, 5]), rng.choice([0, 2]))]
    for k in range(rng.integers(1, 4)):
        limit = np.where(np.arange(T) < rng.integers(0, T + 1), rng.choice([INF, 3, 6]), rng.choice([0, 4, 20]))
        nodes.append(node(f"n{k}", limit, rng.choice([INF, 0, 3]), parent=str(rng.choice([n.id for n in nodes]))))
    at = [n.id for n in nodes]
    nodes.append(node("heat", rng.choice([0, INF]), 0, carrier="heat"))
    groups = [load(nodes, f"load{k}", str(rng.choice(at)), rng.uniform(0, 6, T).round(1)) for k in range(2)]
    groups.append(device(HeatDemand, nodes, "demand", "heat", power_kw=rng.uniform(0, 4, T).round(1)))
    where = {"source": str(rng.choice(at)), "sink": "heat"}
    groups.append(device(Converter, nodes, "rod", where, power_kw=8.0, power_min_kw=rng.choice([0, 3]), efficiency=1.5))
    groups.append(
        battery(nodes, "bat", str(rng.choice(at)), power_kw=8, soc_start=rng.choice([0, 0.1, 0.5]), end="start")
    )
    commands = [("rod", "input_kw"), ("bat", "charge_kw"), ("bat", "discharge_kw")]
    pins, rules = [], []
    for asset, variable in commands:
        first = int(rng.integers(0, T - 1))
        last = int(rng.integers(first + 1, T + 1))
        if rng.random() < 0.3:
            pins.append(Pin(asset, variable, first, last, float(rng.choice([0, 1, 3, 8]))))
        if rng.random() < 0.3:
            rules.append(total(f"rule-{variable}", asset, variable, (first, last - 1), low=float(rng.choice([2, 20]))))
    if not pins:
        pins = [Pin("bat", variable, 2, 6, 0.0, "outage") for variable in ("charge_kw", "discharge_kw")]
    return district(nodes, *groups, pins=pins, rules=rules)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_contradicts_is_named_and_mended_with_nothing_needless(seed: int, capfd: Any) -> None:
    inputs = wild(seed)
    explain(assemble(inputs))
    e = explain(assemble(inputs), whole=True)
    assert bool(e.culprits) == bool(e.options)
    for option in e.options:
        assert explain(assemble(apply(inputs, option.mends)), whole=True).culprits == ()
        for m in option.mends if len(option.mends) > 1 else ():
            rest = [other for other in option.mends if other is not m]
            assert explain(assemble(apply(inputs, rest)), whole=True).culprits, f"{m.words} is needless"
    # stdout is for results: HiGHS must not write there, which it does where it merges columns into free ones.
    assert capfd.readouterr() == ("", "")


# --- applying --------------------------------------------------------------------------------------------------------


def mend(kind: Any, name: str, quantity: str, old: float, new: float | None, first: int, last: int) -> Mend:
    return Mend(kind, name, quantity, old, new, first, last, "")


def test_apply_changes_only_what_a_mend_says() -> None:
    nodes = [node("grid", [5, 9, 5, 5, 5, 5, 5, 5], 5, reserve=2)]
    pins = [
        Pin("bat", "charge_kw", 1, 6, 3.0),
        Pin("bat", "discharge_kw", 1, 6, 0.0),
        Pin("bat", "charge_kw", 6, 8, 0.0, "outage"),
    ]
    rules = [total("a", "bat", "charge_kw", (1,), low=4), total("b", "bat", "charge_kw", (1,), low=4)]
    before = district(nodes, battery(nodes, "bat", "grid"), pins=pins, rules=rules)
    digest = before.digest()

    after = apply(before, [mend("limit", "grid", "import_max_kw", 5, 7, 0, 3)])
    np.testing.assert_array_equal(after.nodes[0].import_max_kw, [7, 9, 7, 5, 5, 5, 5, 5])
    after = apply(before, [mend("limit", "grid", "reserve_kw", 2, 1.5, 2, 8)])
    np.testing.assert_array_equal(after.nodes[0].reserve_kw, [2, 2, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5])

    held = apply(before, [mend("pin", "bat", "charge_kw", 3, 1, 2, 4)])
    assert held.pins == (
        Pin("bat", "charge_kw", 1, 2, 3.0),
        Pin("bat", "charge_kw", 2, 4, 1.0),
        Pin("bat", "charge_kw", 4, 6, 3.0),
        *pins[1:],
    )
    released = apply(before, [mend("pin", "bat", "charge_kw", 3, None, 0, 8)])
    assert released.pins == (pins[1], pins[2])
    back = apply(before, [mend("outage", "bat", "outage", 0, None, 0, 7)])
    assert back.pins == (*pins[:2], Pin("bat", "charge_kw", 7, 8, 0.0, "outage"))

    relaxed = apply(before, [mend("rule", "b", "low", 4, 3.5, 1, 2)])
    assert [rule.low for rule in relaxed.rules] == [4, 3.5]
    assert before.digest() == digest


# --- words -----------------------------------------------------------------------------------------------------------


def test_words_are_short_where_the_lists_are_long() -> None:
    """Of one limit the three largest intervals are told; midnight ends a day at 24:00."""
    axis = Axis(datetime(2026, 1, 15, 20, 0, tzinfo=UTC), 60, 12)  # 21:00 to 09:00
    at = replace(node("grid"), import_max_kw=np.full(12, 5.0), export_max_kw=np.full(12, 5.0), reserve_kw=np.zeros(12))
    p = np.array([[1, 1, 6, 1, 7, 1, 8, 1, 9, 1, 10, 1]], float)
    groups = make_groups(Load, ["load"], {"power_kw": p}, {"ac": [0]}, axis)
    e = explain(assemble(Inputs(axis, (at,), tuple(groups))))
    assert [(c.first, c.amount) for c in e.culprits] == [(2, 1), (4, 2), (6, 3), (8, 4), (10, 5)]
    lines = e.words.splitlines()
    assert [line[:22] for line in lines[1:5]] == [
        "Fri 16 Jan 03:00–04:00", "Fri 16 Jan 05:00–06:00", "Fri 16 Jan 07:00–08:00", "grid: 2 more intervals"
    ]  # fmt: skip
    assert e.culprits[0].words.startswith("Thu 15 Jan 23:00–24:00: node grid needs up to 1 kW (1 kWh) more")

    p[0, [2, 4]] = 1
    p[0, [0, 1, 3, 4]] = 6
    groups = make_groups(Load, ["load"], {"power_kw": p}, {"ac": [0]}, axis)
    e = explain(assemble(Inputs(axis, (at,), tuple(groups))))
    assert "Thu 15 Jan 21:00–23:00: " in e.culprits[0].words
    assert "Fri 16 Jan 00:00–02:00: " in e.culprits[1].words
    assert "2 more intervals like these" in e.words

    p[:] = 6
    groups = make_groups(Load, ["load"], {"power_kw": p}, {"ac": [0]}, axis)
    e = explain(assemble(Inputs(axis, (at,), tuple(groups))))
    assert e.words.splitlines()[1].startswith("Throughout the horizon: node grid needs up to 1 kW (12 kWh) more")


def test_many_devices_are_told_as_three_and_a_sum() -> None:
    nodes = [node("grid", 10, 10)]
    loads = [load(nodes, f"load-{k}", "grid", [k, 0, 0, 0, 0, 0, 0, 0]) for k in range(1, 7)]
    e = refused(district(nodes, *loads))
    assert "drawing there: load-6 6 kW, load-5 5 kW, load-4 4 kW, 3 more 6 kW." in e.words
    assert len(e.culprits[0].powers) == 6


def test_one_more_interval_is_singular() -> None:
    nodes = [node("grid", 5, 5)]
    e = refused(district(nodes, load(nodes, "load", "grid", [6, 1, 7, 1, 8, 1, 9, 1])))
    assert "\ngrid: 1 more interval like these.\n" in e.words


def test_the_same_inputs_give_the_same_words() -> None:
    nodes = [node("grid", 6, 6)]
    inputs = district(
        nodes, load(nodes, "load", "grid", 5), battery(nodes, "bat", "grid"), pins=[Pin("bat", "charge_kw", 2, 6, 3.0)]
    )
    assert explain(assemble(inputs)) == explain(assemble(inputs))


def test_sentences_hold_only_fields_and_no_solver_words() -> None:
    for key, text in TEXTS.items():
        assert not re.search(r"infeasib|slack|elastic|constraint|relax|LP|MILP|column|row", text), key
        for _, field, _, _ in Formatter().parse(text):
            assert field is None or field.isidentifier(), key


@pytest.mark.parametrize("contract", ["peak", "breach", "dearer"])
def test_bounds_that_follow_from_limits_are_no_culprits(contract: str) -> None:
    """A peak, hours of breach, selling dearer at an unlimited root: what they can reach is worked out from limits."""
    axis = hours(6)
    sell = 0.4 if contract == "dearer" else 0.1
    contracts = [energy_price(axis, "grid", 0.2, sell)]
    contracts += {"peak": [peak_price(axis, "grid", 1.0)], "breach": [hours_price(axis, "grid", 1.0, 1.0)]}.get(
        contract, []
    )
    sketch = Sketch(
        axis, (small.node(axis, "grid", None, INF), small.node(axis, "house", "grid", 3.0)),
        (Device("use", "load", ("house",), {"power_kw": 5.0}), Device("bat", "battery", ("house",), {
            "capacity_kwh": 2.0, "power_kw": 1.0,
        })), tuple(contracts),
    )  # fmt: skip
    e = explain(assemble(sketch.inputs()))
    assert {(c.category, c.id) for c in e.culprits} == {("limit", "house")}
    assert any(m.quantity == "import_max_kw" for o in e.options for m in o.mends)
