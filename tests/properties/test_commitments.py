"""Every measure of a commitment against trying all plans: a lossless battery beside a load, on two to four hours.

With whole kilowatts in all data the best plan is one of whole kilowatts too (contents are differences of a network),
but for a peak, which may be spread evenly over its hours: that is tried in twelfths.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from gridopt.assets.base import Floats
from gridopt.errors import InfeasibleError
from gridopt.model.inputs import Commitment, Flow
from tests.support.districts import Device, Sketch, energy_price, hours, hours_price, node, optimum, peak_price
from tests.support.draw import Draw, cents, drawn, one, row

POWER, CAPACITY, START = 2.0, 4.0, 2.0
BATTERY = {
    "capacity_kwh": CAPACITY, "power_kw": POWER, "efficiency_in": 1.0, "efficiency_out": 1.0, "soc_min": 0.0,
    "soc_max": 1.0, "soc_start": START / CAPACITY, "wear_eur_per_kwh": 0.0,
}  # fmt: skip
Pricer = Callable[[Floats, Floats], Floats]
"""(plans, T) net power and battery power → (plans,) cost [EUR], steps of an hour."""


@dataclass(frozen=True)
class Term:
    """A commitment, and what it costs by its own words."""

    commitment: Commitment
    cost: Pricer


@st.composite
def tiny(draw: Draw, *, steps: tuple[int, int] = (2, 4)) -> Sketch:
    """The load, the battery, and no prices yet."""
    axis = hours(draw(st.integers(*steps)))
    load = draw(row(axis, st.integers(-3, 4)))
    end = draw(one("free", "start"))
    devices = (
        Device("load", "load", ("grid",), {"power_kw": load}),
        Device("bat", "battery", ("grid",), BATTERY | {"end": end}),
    )
    return Sketch(axis, (node(axis, "grid", most=draw(one(4.0, 9.0)), out=9.0),), devices)


def plans(s: Sketch, parts: int) -> tuple[Floats, Floats]:
    """All plans in steps of 1/parts kW that the battery and the connection allow: net power, battery power."""
    levels = np.arange(-POWER * parts, POWER * parts + 1) / parts
    battery = np.array(list(itertools.product(levels, repeat=s.axis.steps)))
    content = START + np.cumsum(battery, axis=1)
    goal = START if s.device("bat").given["end"] == "start" else 0.0
    net = s.device("load").given["power_kw"] + battery
    low, high = s.nodes[0].net_bounds()
    hair = 1e-9
    good = (content >= -hair).all(1) & (content <= CAPACITY + hair).all(1) & (content[:, -1] >= goal - hair)
    good &= (net >= low - hair).all(1) & (net <= high + hair).all(1)
    return net[good], battery[good]


def assert_best(s: Sketch, terms: list[Term], parts: int = 1) -> None:
    """No plan tried is cheaper than the optimum, and the best of them is as cheap."""
    s = replace(s, commitments=tuple(t.commitment for t in terms))
    tried = sum(t.cost(*plans(s, parts)) for t in terms)
    assert isinstance(tried, np.ndarray)
    if not len(tried):
        with pytest.raises(InfeasibleError):  # the load alone is too much for the connection
            optimum(s)
        return
    assert optimum(s).cost_eur == pytest.approx(tried.min(), abs=1e-6)


# --- the terms, in their own words -----------------------------------------------------------------------------------


def spot(draw: Draw, s: Sketch, spread: st.SearchStrategy[float]) -> Term:
    """Buying and selling step by step."""
    buy = draw(row(s.axis, cents(-20, 40)))
    sell = buy - draw(spread)
    cost = lambda net, _: net.clip(0) @ buy - (-net).clip(0) @ sell  # noqa: E731
    return Term(energy_price(s.axis, "grid", buy, sell), cost)


def by_period(
    name: str, flow: Flow, of: Callable[[Floats, Floats], Floats], period: Any, baseline: Any, above: Any, below: Any
) -> Term:
    """Energy of a flow, summed by periods, from a baseline."""
    period, above, below = np.asarray(period), np.asarray(above, float), np.asarray(below, float)
    base = np.array(np.broadcast_to(np.asarray(baseline, float), len(period)))

    def cost(net: Floats, battery: Floats) -> Floats:
        off = of(net, battery) - base
        total = np.zeros(len(net))
        for p in range(len(above)):
            energy = off[:, period == p].sum(1)
            total += np.where(energy > 0, above[p] * energy, below[p] * -energy)
        return total

    return Term(Commitment(name, (flow,), "energy", period, base, above, below), cost)


FLOWS: dict[str, tuple[Flow, Callable[[Floats, Floats], Floats]]] = {
    "net": (Flow(1.0, node="grid"), lambda net, _: net),
    "given": (Flow(-1.0, node="grid"), lambda net, _: -net),
    "battery": (Flow(1.0, asset="bat", port="ac"), lambda _, battery: battery),
}
"""Flows of either sign. What is priced on one side of a node alone has its own tests below."""


@st.composite
def periods(draw: Draw, steps: int, count: int) -> list[int]:
    """Which period each step belongs to; -1: none."""
    return sorted(draw(st.lists(st.integers(-1, count - 1), min_size=steps, max_size=steps)))


# --- energy ----------------------------------------------------------------------------------------------------------


@drawn(60, 1500, data=st.data(), s=tiny())
def test_energy_each_step_with_prices_of_either_sign(data: st.DataObject, s: Sketch) -> None:
    assert_best(s, [spot(data.draw, s, one(0.0, 0.05, 0.2))])


@drawn(40, 1000, data=st.data(), s=tiny())
def test_energy_sold_dearer_than_bought(data: st.DataObject, s: Sketch) -> None:
    assert_best(s, [spot(data.draw, s, one(-0.3, -0.05))])


@drawn(60, 1500, data=st.data(), s=tiny(), name=one("net", "given", "battery"))
def test_energy_by_periods_from_a_baseline(data: st.DataObject, s: Sketch, name: str) -> None:
    """Convex: what is above costs at least what below pays."""
    steps = s.axis.steps
    above = np.array(data.draw(st.lists(cents(-10, 60), min_size=2, max_size=2)))
    below = -above + np.array(data.draw(st.lists(cents(0, 50), min_size=2, max_size=2)))
    baseline = data.draw(row(s.axis, st.integers(-2, 3)))
    terms = by_period("terms", *FLOWS[name], data.draw(periods(steps, 2)), baseline, above, below)
    assert_best(s, [spot(data.draw, s, one(0.0, 0.05)), terms])


@drawn(60, 1500, data=st.data(), s=tiny(), name=one("net", "given", "battery"))
def test_energy_whose_price_is_concave(data: st.DataObject, s: Sketch, name: str) -> None:
    """Each further kWh away from the baseline pays: which way is a decision."""
    above = np.array(data.draw(st.lists(cents(-60, 20), min_size=2, max_size=2)))
    below = -above - np.array(data.draw(st.lists(cents(1, 50), min_size=2, max_size=2)))
    baseline = data.draw(row(s.axis, st.integers(-2, 3)))
    terms = by_period("terms", *FLOWS[name], data.draw(periods(s.axis.steps, 2)), baseline, above, below)
    assert_best(s, [spot(data.draw, s, one(0.0, 0.05)), terms])


@drawn(60, 1500, data=st.data(), s=tiny(), reward=one(0.0, 0.2, 1.0), penalty=one(0.0, 0.1, 0.8), up=st.booleans())
def test_an_event_rewards_one_way_and_fines_the_other(
    data: st.DataObject, s: Sketch, reward: float, penalty: float, up: bool
) -> None:
    """Less power than usual over one hour or two (or more, in an event of too much sun)."""
    first = data.draw(st.integers(0, s.axis.steps - 1))
    event = [0 if first <= t < first + 2 else -1 for t in range(s.axis.steps)]
    above, below = (-reward, penalty) if up else (penalty, -reward)
    terms = by_period("event", *FLOWS["net"], event, data.draw(one(0.0, 1.0, 3.0)), [above], [below])
    assert_best(s, [spot(data.draw, s, one(0.0, 0.05)), terms])


@drawn(40, 1000, data=st.data(), s=tiny(), price=one(0.01, 0.1))
def test_a_change_of_what_was_announced(data: st.DataObject, s: Sketch, price: float) -> None:
    announced = data.draw(row(s.axis, st.integers(-2, 2)))
    each = np.full(s.axis.steps, price)
    terms = by_period("change", *FLOWS["battery"], np.arange(s.axis.steps), announced, each, each)
    assert_best(s, [spot(data.draw, s, one(0.0, 0.05)), terms])


# --- one side of a node alone ----------------------------------------------------------------------------------------


SIDES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "import": lambda net, _: net.clip(0),
    "export": lambda net, _: (-net).clip(0),
}


@drawn(40, 1000, data=st.data(), s=tiny(), side=one("import", "export"), fee=one(0.02, 0.3))
def test_a_fee_on_what_crosses_a_boundary_one_way(data: st.DataObject, s: Sketch, side: Any, fee: float) -> None:
    allowed = data.draw(row(s.axis, st.integers(0, 3)))
    flow, none = Flow(1.0, node="grid", side=side), np.zeros(s.axis.steps)
    terms = by_period("fee", flow, SIDES[side], np.arange(s.axis.steps), allowed, none + fee, none)
    assert_best(s, [spot(data.draw, s, one(0.0, 0.05)), terms])


@drawn(60, 1500, data=st.data(), s=tiny(), side=one("import", "export"), spread=one(-0.1, 0.0, 0.05))
def test_any_price_of_what_crosses_a_boundary_one_way(data: st.DataObject, s: Sketch, side: Any, spread: float) -> None:
    """Take-or-pay, bonus, fine: buying and selling at once must not count, though it would pay."""
    above, below = (np.array(data.draw(st.lists(cents(-40, 60), min_size=2, max_size=2))) for _ in range(2))
    baseline = data.draw(row(s.axis, st.integers(0, 4)))
    flow = Flow(1.0, node="grid", side=side)
    terms = by_period("terms", flow, SIDES[side], data.draw(periods(s.axis.steps, 2)), baseline, above, below)
    assert_best(s, [spot(data.draw, s, st.just(spread)), terms])


# --- peaks -----------------------------------------------------------------------------------------------------------


def peak(
    s: Sketch, of: Callable[[Floats, Floats], Floats], side: Any, period: list[int], so_far: Any, price: list[float]
) -> Term:
    base = np.array(np.broadcast_to(np.asarray(so_far, float), s.axis.steps))

    def cost(net: Floats, battery: Floats) -> Floats:
        above = of(net, battery) - base
        total = np.zeros(len(net))
        for p, eur in enumerate(price):
            here = above[:, np.asarray(period) == p]
            total += eur * (here.max(1).clip(0) if here.shape[1] else 0.0)
        return total

    return Term(peak_price(s.axis, "grid", price, period, base, side), cost)


@drawn(25, 400, data=st.data(), s=tiny(steps=(2, 3)), price=one(0.05, 0.5, 5.0))
def test_a_peak_above_what_was_reached_so_far(data: st.DataObject, s: Sketch, price: float) -> None:
    so_far = data.draw(st.integers(0, 3))
    terms = peak(s, SIDES["import"], "import", [0] * s.axis.steps, so_far, [price])
    assert_best(s, [spot(data.draw, s, one(0.0, 0.05)), terms], parts=12)


@drawn(25, 400, data=st.data(), s=tiny(steps=(2, 3)), side=one("net", "import", "export"))
def test_a_peak_in_each_of_several_windows(data: st.DataObject, s: Sketch, side: Any) -> None:
    """Each window its price and its peak so far; hours outside all of them are free."""
    kw = SIDES | {"net": lambda net, _: net}
    period = data.draw(st.permutations([0, 1, data.draw(one(-1, 0, 1))]))[: s.axis.steps]
    past = np.array([0.0, *data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))])[np.asarray(period) + 1]
    price = [data.draw(one(0.05, 0.5)), data.draw(one(0.1, 2.0))]
    assert_best(s, [spot(data.draw, s, one(0.0, 0.05)), peak(s, kw[side], side, period, past, price)], parts=12)


# --- hours -----------------------------------------------------------------------------------------------------------


def breach(s: Sketch, limit: float, price: float) -> Term:
    return Term(hours_price(s.axis, "grid", limit, price), lambda net, _: price * (net > limit + 1e-9).sum(1))


@drawn(60, 1500, data=st.data(), s=tiny(), limit=one(0.0, 1.0, 2.0), price=one(0.1, 0.5, 12.41))
def test_hours_above_a_subscribed_power(data: st.DataObject, s: Sketch, limit: float, price: float) -> None:
    """12.41 EUR for each hour above: cheap hours are worth it, dear ones are shaved, or all is done in one."""
    assert_best(s, [spot(data.draw, s, one(0.0, 0.05)), breach(s, limit, price)])


@drawn(40, 1000, data=st.data(), s=tiny(), limit=one(0.0, 1.0), price=one(0.3, 12.41))
def test_hours_beside_an_event(data: st.DataObject, s: Sketch, limit: float, price: float) -> None:
    event = [0 if t == s.axis.steps - 1 else -1 for t in range(s.axis.steps)]
    reduction = by_period("event", *FLOWS["net"], event, 2.0, [0.4], [-0.25])
    assert_best(s, [spot(data.draw, s, one(0.0, 0.05)), breach(s, limit, price), reduction])
