"""A marginal price is what solving again with a little more load finds, at every node and step."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from gridopt.assets.base import Floats
from gridopt.errors import InfeasibleError
from gridopt.model.inputs import Commitment, Node
from gridopt.solve.held import held
from gridopt.solve.ladder import Solution, solve
from gridopt.solve.prices import marginal_prices
from gridopt.solve.session import Session
from tests.support.districts import Device, Sketch, energy_price, hours, node, peak_price
from tests.support.nested import random_district

MORE_KW = 1e-4
T = 12
AXIS = hours(T)
HOUR = np.arange(T)
BUY = 0.2 + 0.15 * np.exp(-(((HOUR - 8) / 2) ** 2)) + 0.001 * HOUR


def resolved(district: Sketch) -> Floats:
    """(N, T) EUR/kWh of a little more load at every node in every step, by planning again; inf where no plan exists."""
    inputs = district.inputs()
    before = solve(inputs).objective
    out = np.full((len(inputs.nodes), T), np.inf)
    for k, at in enumerate(inputs.nodes):
        for t in range(T):
            more = district.with_device(Device("more", "load", (at.id,), {"power_kw": MORE_KW * (t == HOUR)}))
            try:
                out[k, t] = (solve(more.inputs(), explained=False).objective - before) / MORE_KW
            except InfeasibleError:
                continue
    return out


def resolved_held(solution: Solution) -> Floats:
    """The same with the plan's decisions held, directions among them."""
    a, x, reduced = solution.assembly, solution.x, solution.reduced
    lower, upper = held(a, x)
    for at, wrong in ((x <= lower + 1e-6, reduced < -1e-7), (x >= upper - 1e-6, reduced > 1e-7)):
        lower, upper = np.where(at & wrong, x, lower), np.where(at & wrong, x, upper)
    session = Session(dataclasses.replace(a.lp, lower=lower, upper=upper))
    base = session.run()
    assert base.objective == pytest.approx(solution.objective, abs=1e-6)
    basis = session.basis()
    out = np.full((len(a.nodes), a.inputs.axis.steps), np.inf)
    for k, columns in enumerate(a.nodes):
        for t, row in enumerate(columns.balance.tolist()):
            low, high = a.lp.row_lower[row], a.lp.row_upper[row]
            session.row_bounds(row, low - MORE_KW, high - MORE_KW)
            answer = session.run()
            if answer.status == "optimal":
                out[k, t] = (answer.objective - base.objective) / MORE_KW / a.inputs.axis.step_h
            session.row_bounds(row, low, high)
            session.restore(basis)
    return out


def assert_same(found: Floats, wanted: Floats) -> None:
    assert np.array_equal(np.isinf(found), np.isinf(wanted))
    finite = np.isfinite(wanted)
    assert found[finite] == pytest.approx(wanted[finite], abs=1e-5)


def site(
    *devices: Device, terms: tuple[Commitment, ...] = (), nodes: tuple[Node, ...] = (), sell: float = 0.5
) -> Sketch:
    """A connection and one building with a load, and what else stands there."""
    load = Device("load", "load", ("home",), {"power_kw": 1.0 + 0.5 * np.sin(HOUR)})
    return Sketch(
        AXIS,
        (node(AXIS, "grid"), node(AXIS, "home", "grid"), *nodes),
        (load, *devices),
        (energy_price(AXIS, "grid", BUY, sell * BUY), *terms),
    )


PV = Device("pv", "pv", ("home",), {"peak_kw": 4.0, "yield_kw_per_kw": np.maximum(np.sin((HOUR - 2) / 8 * np.pi), 0)})
BATTERY = {"capacity_kwh": 4.0, "power_kw": 1.0, "soc_start": 0.2}


def at_home(**given: object) -> Device:
    return Device("bat", "battery", ("home",), {**BATTERY, **given})


DISTRICTS = {
    "nothing but a load": site(),
    "idle, closed and fed nodes": site(
        PV,
        nodes=(
            node(AXIS, "idle", "home", 10.0, 0.0),
            node(AXIS, "below", "idle", 10.0, 0.0),
            node(AXIS, "shut", "home", 0.0, 0.0),
            node(AXIS, "one-way", "home", 0.0, 5.0),
            node(AXIS, "at-times", "home", np.where(HOUR % 3 == 0, 0.0, 3.0), 0.0),
        ),
    ),
    "a store alone on its node": site(
        Device("alone", "battery", ("own",), BATTERY), nodes=(node(AXIS, "own", "home", 5.0, 5.0),)
    ),
    "a store that never pays": site(
        Device("alone", "battery", ("own",), {**BATTERY, "wear_eur_per_kwh": 1.0, "soc_start": 0.0}),
        nodes=(node(AXIS, "own", "home", 5.0, 0.0),),
    ),
    "a store on an island": site(
        Device("alone", "battery", ("own",), {**BATTERY, "soc_start": 0.8, "end": "free"}),
        Device("lamp", "load", ("own",), {"power_kw": 0.1}),
        nodes=(node(AXIS, "own", "home", 0.0, 0.0),),
    ),
    "a limit, and a car below it": site(
        Device("car", "ev-session", ("row",), {"arrive": 1.0, "depart": 10.0, "energy_kwh": 8.0, "power_kw": 3.0,
                                               "current_min_a": 0.0}),
        Device("lamp", "load", ("row",), {"power_kw": 0.5}),
        nodes=(node(AXIS, "row", "home", 2.0, 0.0),),
    ),
    "a limit, and nothing that gives way": site(
        Device("lamp", "load", ("row",), {"power_kw": np.where(HOUR == 5, 2.0, 0.5)}),
        nodes=(node(AXIS, "row", "home", 2.0, 0.0),),
    ),
    "exports, held and free": site(dataclasses.replace(PV, given={**PV.given, "peak_kw": 12.0}), at_home()),
    "a peak that several steps share": site(
        Device("flat", "load", ("home",), {"power_kw": np.where((HOUR > 3) & (HOUR < 7), 5.0, 0.0)}),
        terms=(peak_price(AXIS, "grid", 3.0),),
    ),
    "a peak of equal loads": Sketch(
        AXIS, (node(AXIS, "grid"),), (Device("flat", "load", ("grid",), {"power_kw": 2.0}),),
        (energy_price(AXIS, "grid", 0.2, 0.1), peak_price(AXIS, "grid", 3.0)),
    ),
    "a peak kept to what it was": site(at_home(), terms=(peak_price(AXIS, "grid", 3.0, so_far=1.2),)),
    "a peak just reached again": site(
        Device("flat", "load", ("home",), {"power_kw": 2.0 - 0.5 * np.sin(HOUR)}),
        terms=(peak_price(AXIS, "grid", 3.0, so_far=3.0),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DISTRICTS)
def test_a_marginal_price_is_what_planning_again_finds(name: str) -> None:
    district = DISTRICTS[name]
    assert_same(marginal_prices(solve(district.inputs())), resolved(district))


def test_where_no_more_can_be_drawn_there_is_no_price() -> None:
    solution = solve(DISTRICTS["idle, closed and fed nodes"].inputs())
    price = dict(zip([n.id for n in solution.assembly.inputs.nodes], marginal_prices(solution), strict=True))
    assert np.isinf(price["shut"]).all()
    assert np.isinf(price["one-way"]).all()
    assert np.array_equal(np.isinf(price["at-times"]), HOUR % 3 == 0)
    # Where nothing flows a kWh costs what it costs where it comes from.
    assert price["below"] == pytest.approx(price["home"])
    assert price["at-times"][1] == pytest.approx(price["home"][1])


@pytest.mark.parametrize("seed", range(12))
def test_with_decisions_held_a_marginal_price_is_what_solving_again_finds(seed: int) -> None:
    solution = solve(random_district(seed).inputs())
    found, wanted = marginal_prices(solution), resolved_held(solution)
    assert (found <= wanted + 1e-5).all()
    assert_same(found, wanted)


def test_a_day_with_emergencies_has_prices_too() -> None:
    """A store that cannot reach its goal: what it lacks is held, and one more kWh is bought."""
    district = site(Device("alone", "battery", ("own",), {**BATTERY, "end": "target", "soc_end": 1.0}),
                    nodes=(node(AXIS, "own", "home", 0.2, 0.0),))  # fmt: skip
    solution = solve(district.inputs())
    assert solution.emergency > 0.1
    price = dict(zip([n.id for n in solution.assembly.inputs.nodes], marginal_prices(solution), strict=True))
    assert price["home"] == pytest.approx(BUY)
    assert np.isinf(price["own"]).all()
