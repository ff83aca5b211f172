"""Money by hand: every measure of a commitment, every side of a node, devices' cost lines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gridopt.errors import InternalError
from gridopt.model.inputs import Commitment, Flow, Inputs
from gridopt.verify import Ledger, Line, bill
from gridopt.verify.ledger import commitment_eur, flow_kw
from gridopt.verify.replay import Trace
from tests.support.districts import Device, Sketch, hours, node

QUARTERS = hours(6, 15)
NET = np.array([4.0, -2.0, 6.0, 0.0, -8.0, 1.0])
"""What the grid's only node draws [kW], a quarter of an hour each."""


def terms(measure: Any, period: Any, baseline: Any, above: Any, below: Any = 0.0, **more: Any) -> Commitment:
    above = np.atleast_1d(np.asarray(above, np.float64))
    below = np.array(np.broadcast_to(np.asarray(below, np.float64), above.shape))
    base = np.array(np.broadcast_to(np.asarray(baseline, np.float64), 6))
    flows = more.pop("flows", (Flow(1.0, node="grid"),))
    return Commitment("terms", flows, measure, np.asarray(period, np.int64), base, above, below, **more)


def cost(c: Commitment, flow: Any = NET) -> tuple[float, float]:
    return commitment_eur(c, np.asarray(flow, np.float64), 0.25)


STEPS = np.arange(6)
ONE = np.zeros(6, np.int64)


def test_energy_each_step_has_a_price_each_way() -> None:
    """(4 + 6 + 1) kW * 15 min bought at 20 ct, (2 + 8) kW sold for 5 ct."""
    assert cost(terms("energy", STEPS, 0.0, [0.2] * 6, [-0.05] * 6)) == pytest.approx((0.55, -0.125))


def test_energy_prices_go_with_their_own_step() -> None:
    price = [0.1, 0.2, 0.3, 0.4, 0.5, -0.6]
    above, below = cost(terms("energy", STEPS, 0.0, price, -np.array(price)))
    assert above == pytest.approx(0.25 * (4 * 0.1 + 6 * 0.3 - 1 * 0.6))
    assert below == pytest.approx(-0.25 * (2 * 0.2 + 8 * 0.5))


def test_energy_of_a_longer_period_is_summed_before_it_is_priced() -> None:
    """(4 - 2 + 6) kW * 15 min are 2 kWh above, (0 - 8 + 1) kW * 15 min 1.75 kWh below."""
    assert cost(terms("energy", [0, 0, 0, 1, 1, 1], 0.0, [1.0, 1.0], [10.0, 10.0])) == pytest.approx((2.0, 17.5))


def test_energy_is_counted_from_its_baseline() -> None:
    """Less 2 kW throughout: 2, -4, 4, -2, -10, -1 kW."""
    assert cost(terms("energy", STEPS, 2.0, [1.0] * 6, [1.0] * 6)) == pytest.approx((1.5, 4.25))


def test_steps_of_no_period_do_not_count() -> None:
    assert cost(terms("energy", [-1, -1, 0, -1, -1, 1], 5.0, [1.0, 1.0], [1.0, 2.0])) == pytest.approx((0.25, 2.0))
    assert cost(terms("peak", [-1, -1, -1, 0, 0, 0], 0.0, [1.0])) == pytest.approx((1.0, 0.0))
    assert cost(terms("hours", [-1, 0, 0, 0, 0, -1], 0.5, [1.0])) == pytest.approx((0.25, 0.0))


def test_a_peak_is_the_highest_mean_above_what_was_reached_so_far() -> None:
    assert cost(terms("peak", ONE, 0.0, [3.0])) == pytest.approx((18.0, 0.0))
    assert cost(terms("peak", ONE, 5.5, [3.0])) == pytest.approx((1.5, 0.0))
    assert cost(terms("peak", ONE, 6.0, [3.0])) == (0.0, 0.0)


def test_every_window_and_month_has_its_own_peak() -> None:
    """4 kW in the first, 6 - 1 in the second, nothing positive in the third."""
    c = terms("peak", [0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2], [1.0, 10.0, 100.0])
    assert cost(c) == pytest.approx((54.0, 0.0))


def test_hours_count_steps_strictly_above_the_limit() -> None:
    """12.41 EUR an hour of breach: three quarters above 0.5 kW; 4 kW is no breach of 4 kW."""
    assert cost(terms("hours", ONE, 0.5, [12.41])) == pytest.approx((0.75 * 12.41, 0.0))
    assert cost(terms("hours", ONE, 4.0, [12.41])) == pytest.approx((0.25 * 12.41, 0.0))


def test_a_hair_above_the_limit_is_no_breach() -> None:
    c = terms("hours", ONE, 3.0, [12.41])
    assert cost(c, [3.0 + 1e-6] * 6) == (0.0, 0.0)
    assert cost(c, [3.0 + 1e-4] * 6) == pytest.approx((1.5 * 12.41, 0.0))


# --- flows -----------------------------------------------------------------------------------------------------------


def district(*commitments: Commitment) -> Inputs:
    """The node's power comes from one load and one battery; a second battery has its own line."""
    free = {"capacity_kwh": 100.0, "power_kw": 50.0, "efficiency_in": 1.0, "efficiency_out": 1.0}
    devices = (
        Device("load", "load", ("grid",), {"power_kw": NET}),
        Device("a", "battery", ("grid",), free | {"wear_eur_per_kwh": 0.1, "end": "free"}),
        Device(
            "b", "battery", ("grid",), free | {"wear_eur_per_kwh": 0.2, "end": "value", "end_value_eur_per_kwh": 1.0}
        ),
        Device("c", "battery", ("grid",), free | {"soc_start": 1.0, "end": "free"}),
    )
    return Sketch(QUARTERS, (node(QUARTERS, "grid"),), devices, commitments).inputs()


def trace(inputs: Inputs) -> Trace:
    """Batteries: a discharges 4 kW for a quarter, b charges 8 kW, c lies above its band."""
    zero = np.zeros(6)
    steps, ends = [], []
    for g in inputs.groups:
        ac = np.array([{"a": -1.0, "b": 2.0}.get(name, 0.0) * np.array([0, 0, 4.0, 0, 0, 0]) for name in g.ids])
        if g.family.name == "load":
            steps.append({"ac_kw": NET[None, :]})
            ends.append({})
            continue
        steps.append({"ac_kw": ac, "wear_eur": np.array([{"a": 0.1}.get(n, 0.0) + zero for n in g.ids])})
        ends.append({"end_value_eur": np.array([{"b": -2.0}.get(n, 0.0) for n in g.ids])})
    return Trace(tuple(steps), tuple(ends))


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        (Flow(1.0, node="grid"), NET),
        (Flow(-1.0, node="grid"), -NET),
        (Flow(2.0, node="grid", side="import"), [8.0, 0.0, 12.0, 0.0, 0.0, 2.0]),
        (Flow(1.0, node="grid", side="export"), [0.0, 2.0, 0.0, 0.0, 8.0, 0.0]),
        (Flow(1.0, asset="a", port="ac"), [0.0, 0.0, -4.0, 0.0, 0.0, 0.0]),
        (Flow(0.5, asset="b", port="ac"), [0.0, 0.0, 4.0, 0.0, 0.0, 0.0]),
    ],
)
def test_a_flow_is_a_side_of_a_node_or_a_port(flow: Flow, expected: Any) -> None:
    inputs = district()
    np.testing.assert_allclose(flow_kw(inputs, flow, NET[None, :], trace(inputs)), expected)


def test_a_flow_of_nothing_is_a_bug() -> None:
    inputs = district()
    with pytest.raises(InternalError):
        flow_kw(inputs, Flow(1.0), NET[None, :], trace(inputs))


def test_flows_are_summed_before_they_are_priced() -> None:
    """Node 4, -2, 6, 0, -8, 1 and three times battery a's -4 in the third quarter: -6 there."""
    flows = (Flow(1.0, node="grid"), Flow(3.0, asset="a", port="ac"))
    inputs = district(terms("energy", STEPS, 0.0, [1.0] * 6, [1.0] * 6, flows=flows))
    lines = bill(inputs, NET[None, :], trace(inputs)).lines
    assert lines["terms.above"].eur == pytest.approx(1.25)
    assert lines["terms.below"].eur == pytest.approx(4.0)


# --- the bill --------------------------------------------------------------------------------------------------------


def test_a_bill_has_a_line_for_every_price_and_every_cost_of_a_family() -> None:
    supply = terms("energy", STEPS, 0.0, [0.2] * 6, [-0.05] * 6, labels=("import", "export"))
    breach = replace(terms("hours", ONE, 0.5, [10.0], kind="penalty", labels=("breach", "none")), id="limit")
    inputs = district(supply, breach)
    ledger = bill(inputs, NET[None, :], trace(inputs))
    assert {name: (pytest.approx(line.eur), line.kind) for name, line in ledger.lines.items()} == {
        "terms.import": (0.55, "cash"),
        "terms.export": (-0.125, "cash"),
        "limit.breach": (7.5, "penalty"),
        "battery.wear": (0.6, "wear"),
        "battery.end_value": (-2.0, "value"),
        "battery.recovery": (0.0, "penalty"),
    }
    assert ledger.total_eur == pytest.approx(0.55 - 0.125 + 7.5 + 0.6 - 2.0)
    assert ledger.of("cash") == pytest.approx(0.425)
    assert ledger.of("wear", "value") == pytest.approx(-1.4)
    assert ledger.of() == 0


def test_an_empty_ledger_costs_nothing() -> None:
    assert Ledger({}).total_eur == 0
    assert Ledger({"a": Line(1.0, "cash")}).of("wear") == 0
