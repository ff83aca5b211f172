"""Nothing charges beside discharging, nothing is imported beside exporting: at any price, also where it would pay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st

from gridopt.assets.base import Exclusive, Floats
from gridopt.errors import UnboundedError
from gridopt.model.inputs import Commitment, Flow
from tests.support.districts import Device, Plan, Sketch, energy_price, hours, node, optimum, planned
from tests.support.draw import Draw, drawn, feasible, one, sketches


def worst(plan: Plan) -> float:
    """The largest power that flows both ways at once [kW]: in a device, or over a node's boundary."""
    found = [0.0]

    def both(first: Floats, second: Floats) -> None:
        found.append(float(np.minimum(first, second).max()))

    for group, values in zip(plan.inputs.groups, plan.schedule.groups, strict=True):
        for d in group.family.decisions:
            if isinstance(d, Exclusive) and d.second in values:
                both(values[d.first], values[d.second])
    for columns in plan.solution.assembly.nodes:
        if len(columns.import_):
            both(plan.solution.x[columns.import_], plan.solution.x[columns.export])
    return max(found)


@drawn(60, 1500, s=sketches(low=-60, surely="battery", plant=False))
def test_at_negative_prices(s: Sketch) -> None:
    assert worst(feasible(s)) <= 1e-6


@drawn(40, 1000, s=sketches(spread=(-0.2, -0.05, -0.01), surely="battery", most=3, plant=False))
def test_where_selling_is_dearer_than_buying(s: Sketch) -> None:
    """Without the exclusion a connection would buy all it can and sell it at once."""
    assert worst(feasible(s)) <= 1e-6


@st.composite
def sunny(draw: Draw) -> Sketch:
    """Negative prices and a roof that cannot be curtailed, on a connection that just takes it."""
    s = draw(sketches(homes=("load", "battery", "ev-session"), low=-60, surely="battery", plant=False, most=3))
    roof = {"peak_kw": draw(one(2.0, 5.0)), "yield_kw_per_kw": 1.0, "curtailable": False}
    return s.with_device(Device("roof", "pv", ("house-0",), roof))


@drawn(60, 1500, s=sunny())
def test_at_negative_prices_with_a_roof_that_cannot_be_curtailed(s: Sketch) -> None:
    assert worst(feasible(s)) <= 1e-6


@st.composite
def each_way(draw: Draw) -> Sketch:
    """A second price on the houses' own boundaries: fees that differ by direction, also negative ones."""
    s = draw(sketches(surely="battery", plant=False, most=3))
    fee = [one(-0.1, 0.0, 0.03), one(-0.05, 0.0, 0.05)]
    houses = [n.id for n in s.nodes if n.parent is not None]
    fees = [energy_price(s.axis, name, draw(fee[0]), draw(fee[1]), f"fee-{name}") for name in houses]
    return replace(s, commitments=(*s.commitments, *fees))


@drawn(40, 1000, s=each_way())
def test_at_every_boundary_with_a_fee_of_its_own(s: Sketch) -> None:
    assert worst(feasible(s)) <= 1e-6


# --- by hand ---------------------------------------------------------------------------------------------------------

AXIS = hours(2)
STORE = {
    "capacity_kwh": 10.0, "power_kw": 4.0, "efficiency_in": 0.8, "efficiency_out": 0.8, "soc_min": 0.0, "soc_max": 1.0,
    "wear_eur_per_kwh": 0.0,
}  # fmt: skip


def test_a_full_battery_does_not_burn_what_it_is_paid_to_draw() -> None:
    """At -1 EUR/kWh charging 4 kW beside 2.56 kW discharging would earn 1.44 EUR an hour. It may only swing: charge
    4 kW in one hour what it gave in the other, 4 * 0.64 = 2.56 kWh."""
    s = Sketch(
        AXIS, (node(AXIS, "grid"),), (Device("bat", "battery", ("grid",), STORE | {"soc_start": 1.0}),),
        (energy_price(AXIS, "grid", -1.0),),
    )  # fmt: skip
    plan = optimum(s)
    assert plan.cost_eur == pytest.approx(-(4.0 - 2.56))
    np.testing.assert_allclose(plan.net_kw("grid"), [-2.56, 4.0], atol=1e-6)


def test_a_connection_that_sells_dearer_does_not_trade_with_itself() -> None:
    """Buying at 10 ct, selling at 20 ct, 50 kW both ways: only the battery's own 2.56 kWh can be sold."""
    s = Sketch(
        AXIS, (node(AXIS, "grid"),), (Device("bat", "battery", ("grid",), STORE | {"soc_start": 0.4}),),
        (energy_price(AXIS, "grid", 0.1, 0.2),),
    )  # fmt: skip
    assert optimum(s).cost_eur == pytest.approx(4.0 * 0.1 - 2.56 * 0.2)


def test_without_any_limit_selling_dearer_is_refused_in_words() -> None:
    s = Sketch(
        AXIS, (node(AXIS, "grid", most=np.inf),), (Device("bat", "battery", ("grid",), STORE | {"power_kw": 1e25}),),
        (energy_price(AXIS, "grid", 0.1, 0.2),),
    )  # fmt: skip
    with pytest.raises(UnboundedError, match="import_max_kw and an export_max_kw"):
        optimum(s)


def test_heat_is_missed_where_power_would_have_to_be_burnt() -> None:
    """An engine alone heats, nothing takes its power but a battery with 1 kWh to draw until it is full: 1 kWh of
    electricity, 0.48 / 0.38 kWh of heat. The rest of 10 kWh is missed."""
    nodes = (
        node(AXIS, "grid", None, 10.0, 0.0), node(AXIS, "heat", None, 0.0, carrier="heat"),
        node(AXIS, "gas", None, 90.0, 0.0, "gas"),
    )  # fmt: skip
    devices = (
        Device("bat", "battery", ("grid",), STORE | {
            "capacity_kwh": 1.0, "power_kw": 10.0, "efficiency_in": 0.5, "efficiency_out": 0.5, "end": "free",
        }),
        Device("engine", "chp", ("grid", "heat", "gas"), {"power_max_kw": 5.0, "power_min_kw": 0.0}),
        Device("homes", "heat-demand", ("heat",), {"power_kw": 5.0}),
    )  # fmt: skip
    plan = planned(Sketch(AXIS, nodes, devices, (energy_price(AXIS, "gas", 0.05),)))
    assert plan.solution.emergency == pytest.approx(10.0 - 0.48 / 0.38, abs=1e-4)


def test_take_or_pay_at_negative_prices_is_no_reason_to_stop_early() -> None:
    """Drawing pays 1 or 2 ct, giving back costs 5 ct more, 6 ct are due for each kWh less than 4 drawn. 2 kW of load
    and 2 kW into the battery draw 4 kWh for 6 ct; 1 kWh of the last hour finds it full and costs 6 ct to give back.
    The second period has no hour; it only leads the search astray."""
    axis = hours(3)
    buy, one = np.array([-0.01, -0.02, -0.01]), np.array([0.06, 0.39])
    terms = Commitment(
        "least", (Flow(1.0, node="grid", side="import"),), "energy", np.zeros(3, np.int64), np.array([0.0, 0.0, 4.0]),
        0.0 * one, one,
    )  # fmt: skip
    store = STORE | {"capacity_kwh": 4.0, "power_kw": 2.0, "efficiency_in": 1.0, "efficiency_out": 1.0, "end": "free"}
    devices = (
        Device("load", "load", ("grid",), {"power_kw": [2.0, 0.0, -1.0]}), Device("bat", "battery", ("grid",), store),
    )  # fmt: skip
    s = Sketch(
        axis, (node(axis, "grid", None, 4.0, 9.0),), devices, (energy_price(axis, "grid", buy, buy - 0.05), terms)
    )
    assert optimum(s).cost_eur == pytest.approx(0.0, abs=1e-6)


def test_a_price_on_one_side_beside_a_connection_that_sells_dearer_later() -> None:
    """1 kW is bought at 10 ct for two hours, and 20 ct are due for each of 6 kWh not exported."""
    one = np.array([0.2])
    terms = Commitment(
        "fine",
        (Flow(1.0, node="grid", side="export"),),
        "energy",
        np.zeros(2, np.int64),
        np.full(2, 3.0),
        0.0 * one,
        one,
    )
    s = Sketch(
        AXIS, (node(AXIS, "grid", None, 40.0, 30.0),), (Device("load", "load", ("grid",), {"power_kw": 1.0}),),
        (energy_price(AXIS, "grid", 0.1, [0.05, 0.15]), terms),
    )  # fmt: skip
    assert optimum(s).cost_eur == pytest.approx(2 * 0.1 + 6 * 0.2)
