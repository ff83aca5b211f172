"""The solver's rungs, one by one, on districts whose optimum is known: by hand, by trying, or from HiGHS's own MILP."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from gridopt.clock import Axis
from gridopt.errors import InfeasibleError, NoPlanError
from gridopt.model.assemble import assemble
from gridopt.model.inputs import Commitment, Flow, Inputs, LinearRule, Pin, Target
from gridopt.model.plain import plain_model
from gridopt.solve.gap import gauge
from gridopt.solve.ladder import Solution, solve
from gridopt.solve.session import Session
from tests.conformance.plain_matrix import plain_matrix
from tests.support.districts import (
    EXACT,
    Device,
    Sketch,
    energy_price,
    hours,
    hours_price,
    node,
    optimum,
    peak_price,
    planned,
)
from tests.unit.solve.test_branch import Problem, by_highs, plant, problem

INF = np.inf
NO_TIME = replace(EXACT, time_limit_s=0.0)
ROUGH = Target(gap=0.005, exact_decisions=0, time_limit_s=300.0)
"""As a large district is planned: no full MILP where the gap is met."""


def home(*devices: Device, buy: Any = 0.2, sell: Any = None, **more: Any) -> Sketch:
    """Devices behind one meter, an hour a step."""
    axis = more.pop("axis", hours(len(np.atleast_1d(buy))))
    grid = node(axis, "grid", None, more.pop("most", 20.0), more.pop("out", None))
    contracts = (energy_price(axis, "grid", buy, sell), *more.pop("contracts", ()))
    return Sketch(axis, (grid,), devices, contracts, **more)


def battery(**given: Any) -> Device:
    ideal = {
        "capacity_kwh": 10.0,
        "power_kw": 4.0,
        "efficiency_in": 0.9,
        "efficiency_out": 0.9,
        "wear_eur_per_kwh": 0.0,
    }
    return Device("bat", "battery", ("grid",), ideal | given)


def load(power: Any) -> Device:
    return Device("load", "load", ("grid",), {"power_kw": power})


def roof(output: Any, curtailable: bool) -> Device:
    return Device("roof", "pv", ("grid",), {"peak_kw": 1.0, "yield_kw_per_kw": output, "curtailable": curtailable})


def car(name: str = "car", **given: Any) -> Device:
    """Three phases: 0 or 4.14 kW and more."""
    usual = {"arrive": 0.0, "depart": 8.0, "energy_kwh": 9.0, "power_kw": 11.0, "phases": 3.0, "efficiency": 1.0}
    return Device(name, "ev-session", ("grid",), usual | given)


def heated(demand: Any, boiler: Any, *devices: Device, gas: Any = 0.1, **more: Any) -> Sketch:
    """A boiler alone with a demand, on a closed heat network."""
    axis = hours(len(demand))
    nodes = (node(axis, "gas", None, 500.0, 0.0, "gas"), node(axis, "heat", None, 0.0, carrier="heat"))
    own = (
        Device("boiler", "gas-boiler", ("gas", "heat"), {"power_kw": 8.0, "efficiency": 1.0} | boiler),
        Device("demand", "heat-demand", ("heat",), {"power_kw": demand}),
    )
    more = {"nodes": nodes} | more
    return Sketch(axis, devices=(*own, *devices), commitments=(energy_price(axis, "gas", gas),), **more)


def engine(*devices: Device, steps: int = 6, buy: Any = 0.2, pins: tuple[Pin, ...] = (), **given: Any) -> Sketch:
    """An engine that sells to the grid, whose heat any network takes for nothing."""
    axis = hours(steps)
    nodes = (
        node(axis, "grid", None, 50.0, 50.0),
        node(axis, "heat", None, 0.0, 90.0, carrier="heat"),
        node(axis, "gas", None, 90.0, 0.0, "gas"),
    )
    usual = {
        "power_max_kw": 10.0, "power_min_kw": 5.0, "electric_efficiency": 0.4, "electric_efficiency_min": 0.4,
        "thermal_efficiency": 0.45, "thermal_efficiency_min": 0.45, "maintenance_eur_per_kwh": 0.0,
    }  # fmt: skip
    own = Device("engine", "chp", ("grid", "heat", "gas"), usual | given)
    return Sketch(
        axis, nodes, (own, *devices), (energy_price(axis, "grid", buy), energy_price(axis, "gas", 0.05)), pins
    )


def cars(count: int, target: Target = EXACT) -> Inputs:
    """Cars whose minimum current meets a peak price: nothing here averages out."""
    axis = hours(8)
    devices = [car(f"car-{k}", energy_kwh=9 + 1.7 * k, efficiency=0.92) for k in range(count)]
    prices = (energy_price(axis, "grid", [0.2, 0.3, 0.1, 0.4, 0.15, 0.25, 0.1, 0.3]), peak_price(axis, "grid", 1.0))
    return Sketch(axis, (node(axis, "grid"),), tuple(devices), prices, target=target).inputs()


def directions(inputs: Inputs) -> Problem:
    """The district's programme with each of its pairs to be decided."""
    a = assemble(inputs)
    assert not a.semi
    assert not a.whole
    pairs = [np.concatenate([getattr(p, side) for p in a.pairs]) for side in ("first", "second")]
    return Problem(a.lp, pairs=(pairs[0], pairs[1]), shut=a.emergencies)


def least_first(inputs: Inputs) -> tuple[float, float]:
    """(least emergencies [kWh], then least cost) from the plain model's MILP, solved twice."""
    free, priced = (
        plain_matrix(plain_model(inputs, decisions=True, emergency_price_eur_per_kwh=price), inputs)
        for price in (0.0, 1.0)
    )
    weight = priced.cost - free.cost

    def best(cost: Any, most: float) -> float:
        limits = [
            LinearConstraint(free.matrix, free.row_lower, free.row_upper),
            LinearConstraint(weight[None], -INF, most),
        ]
        found = milp(
            cost, constraints=limits, bounds=Bounds(free.lower, free.upper), integrality=free.binary,
            options={"mip_rel_gap": 0.0},
        )  # fmt: skip
        assert found.status == 0, found.message
        return float(found.fun)

    least = best(weight, INF)
    return least, best(free.cost, least + 1e-6) + free.offset


def assert_consistent(s: Solution, best: float) -> None:
    """A solution's numbers fit each other and the true optimum."""
    assert s.bound <= best + 1e-6
    assert best <= s.objective + 1e-6
    assert s.objective == pytest.approx(float(s.assembly.lp.cost @ s.x) + s.assembly.lp.offset, abs=1e-7)
    assert s.gap_eur == pytest.approx(s.objective - s.bound)
    assert s.gap == gauge(s.assembly).gap(s.x, s.objective, s.bound)


# --- rung 1: the LP --------------------------------------------------------------------------------------------------


def test_an_lp_is_enough_by_hand() -> None:
    """4 kWh bought at 10 ct give 3.24 kWh at 30 ct; the load of 2 kW is met from them first: sold at 25 ct the rest."""
    sketch = home(battery(soc_start=0.1, soc_min=0.1, end="free"), load(2.0), buy=[0.1, 0.3], sell=[0.05, 0.25])
    plan = optimum(sketch)
    s = plan.solution
    assert s.rung == "lp"
    assert s.objective == pytest.approx(0.1 * (2 + 4) - 0.25 * (4 * 0.81 - 2))
    assert s.bound == s.objective
    assert (s.status, s.gap, s.gap_eur, s.stopped_by, s.emergency) == ("optimal", 0.0, 0.0, None, 0.0)
    assert plan.net_kw("grid") == pytest.approx([6.0, -1.24])
    assert [s.counters[k] for k in ("lps", "milps", "nodes", "decisions")] == [1, 0, 0, 0]


def test_decisions_that_the_relaxation_keeps_need_no_more() -> None:
    """At one price for full hours, and no peak, cars charge at full power."""
    plan = optimum(home(car(energy_kwh=22.0), buy=[0.4, 0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4]))
    assert plan.solution.rung == "lp"
    assert plan.solution.counters["decisions"] == 8
    assert plan.value("car", "charge_kw") == pytest.approx([0, 11, 11, 0, 0, 0, 0, 0])


def test_a_district_of_fixed_loads() -> None:
    s = optimum(home(load([1.0, 2.0]), buy=[0.1, 0.2])).solution
    assert (s.rung, s.objective) == ("lp", pytest.approx(0.5))


# --- rung 2: rounding, and flows that exclude each other -------------------------------------------------------------


NEGATIVE = {"buy": [-0.1, -0.3, -0.2, 0.2, -0.05], "sell": [-0.2, -0.35, -0.3, 0.1, -0.1]}


@pytest.mark.parametrize("curtailable", [True, False])
@pytest.mark.parametrize(("most", "out"), [(20.0, 20.0), (6.0, 2.5), (4.0, 4.0)])
def test_a_battery_at_negative_prices_does_not_burn(curtailable: bool, most: float, out: float) -> None:
    """Being paid to draw, the relaxation charges and discharges at once: heat for money. Tried: every direction."""
    sun = [1.0, 3.0, 3.0, 1.0, 0.5]
    sketch = home(
        battery(power_kw=3.0, end="free"), load([1.0, 1.0, 2.0, 3.0, 1.0]), roof(sun, curtailable), most=most, out=out,
        **NEGATIVE,
    )  # fmt: skip
    inputs = sketch.inputs()
    tried = directions(inputs)
    assert tried.session().run().objective < tried.by_trying() - 1e-3, "nothing to exclude"
    plan = optimum(inputs)
    assert plan.cost_eur == pytest.approx(tried.by_trying(), abs=1e-6)
    assert np.minimum(plan.value("bat", "charge_kw"), plan.value("bat", "discharge_kw")).max() <= 1e-6
    assert plan.solution.rung == "full MILP"
    assert plan.solution.gap <= 1e-9


def test_burning_that_costs_nothing_is_cut_without_a_search() -> None:
    """Sun that may be curtailed as well as burnt: the cut costs nothing, and the LP's objective proves it."""
    sketch = home(battery(), load(1.0), roof([3.0, 3.0, 0.0], True), buy=0.2, sell=0.0, out=0.0, axis=hours(3))
    s = optimum(sketch).solution
    assert s.rung in ("lp", "rounding")
    assert s.counters["milps"] == 0


SELLING = {"buy": [0.1, 0.3, 0.2, 0.2], "sell": [0.2, 0.25, 0.3, 0.3]}


@pytest.mark.parametrize(("most", "out"), [(10.0, 8.0), (5.0, 20.0), (3.0, 2.0)])
@pytest.mark.parametrize("with_battery", [True, False])
def test_selling_dearer_than_buying(most: float, out: float, with_battery: bool) -> None:
    """The relaxation buys and sells at once, up to the node's limits. Tried: every direction of node and battery."""
    devices = [load([1.0, 1.0, 2.0, 3.0]), roof([0.0, 4.0, 3.0, 1.0], True)]
    inputs = home(*devices, *([battery(end="free")] if with_battery else []), most=most, out=out, **SELLING).inputs()
    tried = directions(inputs)
    relaxed, best = tried.session().run().objective, tried.by_trying()
    assert relaxed < best - 0.1
    for decisions, rung in ((0, "restricted MILP"), (1_000_000, "full MILP")):
        plan = planned(replace(inputs, target=replace(EXACT, exact_decisions=decisions)))
        assert plan.cost_eur == pytest.approx(best, abs=1e-6)
        assert plan.solution.rung == rung
    columns = plan.solution.assembly.nodes[0]
    assert np.minimum(plan.solution.x[columns.import_], plan.solution.x[columns.export]).max() <= 1e-6


@pytest.mark.parametrize(("most", "out"), [(INF, INF), (10.0, INF), (INF, 10.0)])
def test_selling_dearer_than_buying_without_a_limit(most: float, out: float) -> None:
    """What the devices can draw and give is limit enough."""
    sketch = home(load([1.0] * 4), roof([2.0] * 4, True), most=most, out=out, **SELLING)
    narrow = home(load([1.0] * 4), roof([2.0] * 4, True), most=min(most, 10.0), out=min(out, 10.0), **SELLING)
    assert optimum(sketch).cost_eur == pytest.approx(optimum(narrow).cost_eur, abs=1e-6)


def test_rounding_meets_a_loose_gap_alone() -> None:
    """The peak price splits the cars' hours; rounding is some per cent off, and says how much."""
    best = solve(cars(3)).objective
    for gap, rung in ((0.5, "rounding"), (0.001, "full MILP")):
        s = planned(cars(3, replace(ROUGH, gap=gap))).solution
        assert s.rung == rung
        assert s.gap <= gap
        assert_consistent(s, best)
    assert solve(cars(3, replace(ROUGH, gap=0.5))).status == "within gap"


def test_few_decisions_are_closed_although_the_gap_is_met() -> None:
    assert solve(cars(2, Target(gap=0.9))).status == "optimal"
    assert solve(cars(2, Target(gap=0.9, exact_decisions=15))).status == "within gap"
    assert solve(cars(2, Target(gap=0.9, exact_decisions=16))).status == "optimal"
    # The last bit may take its own share of the time only.
    s = solve(cars(2, Target(gap=0.9, exact_limit_s=0.0)))
    assert (s.status, s.stopped_by) == ("within gap", "clock")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_cars_against_the_plain_milp(count: int) -> None:
    plan = optimum(cars(count))
    assert plan.cost_eur == pytest.approx(by_highs(cars(count)), abs=1e-6)
    assert plan.solution.gap <= 1e-9


# --- rung 3: large decisions -----------------------------------------------------------------------------------------


def mixed(seed: int, target: Target) -> Inputs:
    """A heating plant, two cars and a battery at its grid: large decisions beside small ones."""
    inputs = plant(seed, 12)
    more = home(
        car("z-car", arrive=1.0), car("z-van", arrive=2.0, energy_kwh=13.0), battery(), axis=inputs.axis, buy=0.2
    )
    at = inputs.node_index["grid"]
    groups = [replace(g, nodes={"ac": 0 * g.nodes["ac"] + at}) for g in more.inputs().groups]
    return replace(inputs, groups=(*inputs.groups, *groups), target=target)


@pytest.mark.parametrize("seed", [0, 2, 5, 7, 8])
@pytest.mark.parametrize("gap", [0.05, 0.005])
def test_engines_and_boilers_within_the_gap(seed: int, gap: float) -> None:
    """The restricted search proves what the full MILP of another program finds."""
    inputs = replace(plant(seed, 12), target=replace(ROUGH, gap=gap))
    s = planned(inputs).solution
    assert s.rung in ("rounding", "restricted MILP")
    assert s.status in ("optimal", "within gap")
    assert s.gap <= gap
    assert s.counters["milps"] == 0
    assert_consistent(s, by_highs(inputs))


@pytest.mark.parametrize("seed", [1, 7])
def test_several_engines_to_the_optimum(seed: int) -> None:
    inputs = plant(seed, 10)
    assert sum(g.n for g in inputs.groups if g.family.name == "chp") == 2
    s = optimum(inputs).solution
    assert s.objective == pytest.approx(by_highs(inputs), abs=1e-6)
    assert s.counters["nodes"] > 0


@pytest.mark.parametrize("seed", [2, 7])
def test_small_decisions_are_rounded_around_the_large_ones(seed: int) -> None:
    inputs = mixed(seed, replace(ROUGH, gap=0.02))
    plan = planned(inputs)
    assert plan.solution.gap <= 0.02
    assert_consistent(plan.solution, by_highs(inputs))
    exact = optimum(mixed(seed, EXACT))
    assert exact.cost_eur == pytest.approx(by_highs(inputs), abs=1e-6)


@pytest.mark.parametrize(("price", "limit"), [(0.3, 3.0), (5.0, 3.0), (0.8, [2.0, 4.0] * 4)])
def test_hours_of_breach(price: float, limit: Any) -> None:
    """A flat fine for every hour above a limit: worth paying, or worth shifting for."""
    axis = hours(8)
    devices = (load([1.0, 2.0, 1.0, 3.5, 3.6, 1.0, 2.0, 3.4]), battery(power_kw=2.0), car(phases=1.0, energy_kwh=6.0))
    fine = hours_price(axis, "grid", limit, price)
    buy = [0.3, 0.1, 0.1, 0.3, 0.3, 0.2, 0.2, 0.3]
    inputs = home(*devices, buy=buy, axis=axis, contracts=(fine,)).inputs()
    s = optimum(inputs).solution
    assert s.rung != "lp"
    assert s.objective == pytest.approx(by_highs(inputs), abs=1e-6)


@pytest.mark.parametrize("paid", [0.3, 0.05])
def test_an_event_that_pays_either_way(paid: float) -> None:
    """Drawing more than 3 kWh in two hours costs 2 ct a kWh, drawing less pays more than that: a deviation booked on
    both sides would be money for nothing, so the side is a decision."""
    above, below = np.full(2, 0.02), np.full(2, -paid)
    period = np.array([-1, 0, 0, 1, 1, -1])
    base = np.full(6, 1.5)
    event = Commitment("event", (Flow(1.0, node="grid"),), "energy", period, base, above, below)
    devices = (load([1.0, 2.0, 1.0, 2.5, 1.0, 1.0]), battery(power_kw=2.0, end="free"))
    sketch = home(*devices, buy=[0.2, 0.1, 0.2, 0.1, 0.3, 0.2], sell=0.05, contracts=(event,))
    inputs = sketch.inputs()
    plan = optimum(inputs)
    assert plan.cost_eur == pytest.approx(by_highs(inputs), abs=1e-6)
    columns = plan.solution.assembly.commitments[[c.id for c in inputs.commitments].index("event")]
    assert np.minimum(plan.solution.x[columns.above], plan.solution.x[columns.below]).max() <= 1e-6
    assert plan.solution.counters["nodes"] > 0


def test_an_hour_of_breach_by_hand() -> None:
    """Two hours lie above 2 kW by 1 kWh each; the battery can lift one of them over the fine, not both."""
    ideal = {"efficiency_in": 1.0, "efficiency_out": 1.0, "soc_min": 0.0, "soc_start": 0.8, "soc_max": 0.8}
    store = battery(capacity_kwh=1.25, power_kw=1.0, end="free", **ideal)
    sketch = home(
        store, load([3.0, 3.0]), buy=[0.1, 0.1], sell=0.0, contracts=(hours_price(hours(2), "grid", 2.0, 7.0),)
    )
    assert optimum(sketch).cost_eur == pytest.approx(0.1 * 5 + 7.0)


# --- pins and outages ------------------------------------------------------------------------------------------------


def test_a_pinned_car_charges_as_it_is_told() -> None:
    """5 kW in the dearest hour; the rest where it is cheapest, and nothing while the plug is out of service."""
    buy = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    pins = (Pin("car", "charge_kw", 7, 8, 5.0), Pin("car", "charge_kw", 0, 2, 0.0, "outage"))
    inputs = home(car(energy_kwh=10.0), buy=buy, pins=pins).inputs()
    plan = optimum(inputs)
    assert plan.value("car", "charge_kw") == pytest.approx([0, 0, 5, 0, 0, 0, 0, 5])
    assert plan.cost_eur == pytest.approx(5 * 0.3 + 5 * 0.8)
    assert plan.cost_eur == pytest.approx(by_highs(inputs))


@pytest.mark.parametrize("power", [4.14, 0.0, 11.0])
def test_pins_at_the_edges_of_what_a_car_may_take(power: float) -> None:
    plan = optimum(home(car(energy_kwh=30.0), buy=[0.1] * 8, pins=(Pin("car", "charge_kw", 3, 5, power),)))
    assert plan.value("car", "charge_kw")[3:5] == pytest.approx([power, power])
    assert plan.value("car", "charge_kw").sum() == pytest.approx(30.0)


def test_a_pin_between_rest_and_the_least_power_is_refused_in_words() -> None:
    sketch = home(car(), buy=[0.1] * 8, pins=(Pin("car", "charge_kw", 2, 4, 0.5),))
    with pytest.raises(InfeasibleError) as error:
        solve(sketch.inputs())
    assert str(error.value) == (
        "asset car is pinned to charge_kw = 0.5 at Thu 15 Jan 02:00, between 0 and its least 4.14: "
        "pin it to 0, or to 4.14 and more"
    )
    assert error.value.fields["asset"] == "car"


@pytest.mark.parametrize(
    ("pins", "on"),
    [
        ((), [0, 0, 1, 1, 0, 0]),
        ((Pin("engine", "on", 0, 1, 1.0),), [1, 0, 1, 1, 0, 0]),
        (
            (Pin("engine", "on", 3, 4, 0.0, "outage"), Pin("engine", "power_kw", 3, 4, 0.0, "outage")),
            [0, 0, 1, 0, 0, 0],
        ),
        ((Pin("engine", "power_kw", 4, 6, 6.0),), [0, 0, 1, 1, 1, 1]),
    ],
)
def test_an_engine_obeys_its_pins(pins: tuple[Pin, ...], on: list[int]) -> None:
    """10 kW from 25 kW of gas at 5 ct: worth running above 12.5 ct, two hours of the six."""
    buy = [0.05, 0.1, 0.3, 0.3, 0.1, 0.05]
    sketch = engine(buy=buy, pins=pins, start_cost_eur=0.1)
    plan = optimum(sketch)
    assert np.round(plan.value("engine", "on")).tolist() == on
    assert plan.cost_eur == pytest.approx(by_highs(sketch.inputs()), abs=1e-6)
    for p in pins:
        assert plan.value("engine", p.variable)[p.first : p.last] == pytest.approx([p.value] * (p.last - p.first))


def test_a_battery_pinned_to_charge_does_not_discharge_beside_it() -> None:
    """At negative prices it would like to burn what it must charge."""
    pins = (Pin("bat", "charge_kw", 1, 3, 2.0),)
    inputs = home(battery(end="free"), load(1.0), pins=pins, **NEGATIVE).inputs()
    plan = optimum(inputs)
    assert plan.value("bat", "charge_kw")[1:3] == pytest.approx([2.0, 2.0])
    assert plan.value("bat", "discharge_kw")[1:3] == pytest.approx([0.0, 0.0])
    assert plan.cost_eur == pytest.approx(directions(inputs).by_trying(), abs=1e-6)


def test_rounding_obeys_pins_where_it_alone_decides() -> None:
    """5 kW in the dearest hour, though its least power would do; nothing while the plug is out of service."""
    pins = (Pin("car-1", "charge_kw", 3, 4, 5.0), Pin("car-2", "charge_kw", 2, 5, 0.0, "outage"))
    plan = planned(replace(cars(3, replace(ROUGH, gap=0.9)), pins=pins))
    assert plan.solution.rung == "rounding"
    assert plan.value("car-1", "charge_kw")[3] == pytest.approx(5.0)
    assert plan.value("car-2", "charge_kw")[2:5] == pytest.approx([0, 0, 0])


def test_pins_of_both_ways_contradict_each_other() -> None:
    pins = (Pin("bat", "charge_kw", 1, 2, 2.0), Pin("bat", "discharge_kw", 1, 2, 1.0))
    with pytest.raises(InfeasibleError):
        solve(home(battery(), load(1.0), buy=[0.2] * 3, pins=pins).inputs())


def test_a_pinned_run_starts_when_it_is_told() -> None:
    wash = Device("wash", "shiftable-load", ("grid",), {"profile_kw": [2.0, 1.0], "earliest": 0.0, "latest": 6.0})
    buy = [0.3, 0.1, 0.1, 0.3, 0.4, 0.4]
    assert optimum(home(wash, buy=buy)).value("wash", "start")[:6] == pytest.approx([0, 1, 0, 0, 0, 0])
    pinned = optimum(home(wash, buy=buy, pins=(Pin("wash", "start", 3, 4, 1.0),)))
    assert pinned.value("wash", "start")[:6] == pytest.approx([0, 0, 0, 1, 0, 0])
    late = optimum(home(wash, buy=buy, pins=(Pin("wash", "start", 0, 3, 0.0, "outage"),)))
    assert late.value("wash", "start")[:6] == pytest.approx([0, 0, 0, 1, 0, 0])


# --- emergencies -----------------------------------------------------------------------------------------------------


def test_what_is_short_by_hand() -> None:
    plan = optimum(heated([2.0, 10.0, 5.0], {}))
    s = plan.solution
    assert s.emergency == pytest.approx(2.0)
    assert plan.value("demand", "unmet_kw") == pytest.approx([0, 2, 0], abs=3e-5)
    assert s.objective == pytest.approx(0.1 * (2 + 8 + 5), abs=3e-5)
    assert s.rung == "lp"


def test_the_shortfall_is_least_before_money_is_looked_at() -> None:
    """Gas at 50 EUR/kWh would rather freeze everyone; the least shortfall is 2 kWh all the same."""
    s = optimum(heated([2.0, 10.0, 5.0], {}, gas=50.0)).solution
    assert s.emergency == pytest.approx(2.0)
    assert s.objective == pytest.approx(50.0 * 15, rel=1e-6)


def test_the_least_shortfall_lies_where_it_saves_most() -> None:
    """10 kWh of gas for 12 kWh of demand: the 2 kWh missing are those at 30 ct."""
    rule = LinearRule("gas", tuple((1.0, "asset", "boiler", "input_kw", t) for t in range(3)), -INF, 10.0)
    plan = optimum(heated([4.0, 4.0, 4.0], {}, gas=[0.1, 0.3, 0.2], rules=(rule,)))
    assert plan.solution.emergency == pytest.approx(2.0)
    assert plan.value("demand", "unmet_kw") == pytest.approx([0, 2, 0], abs=3e-5)
    assert plan.cost_eur == pytest.approx(0.1 * 4 + 0.3 * 2 + 0.2 * 4, abs=3e-5)


def test_half_hours_of_shortfall_are_counted_in_kwh() -> None:
    axis = Axis(hours(1).start, 30, 2)
    sketch = heated([2.0, 10.0], {})
    half = replace(
        sketch, axis=axis, commitments=(energy_price(axis, "gas", 0.1),),
        nodes=(node(axis, "gas", None, 500.0, 0.0, "gas"), node(axis, "heat", None, 0.0, carrier="heat")),
    )  # fmt: skip
    assert solve(half.inputs()).emergency == pytest.approx(1.0)


def test_no_emergency_where_a_dear_plan_exists() -> None:
    plan = optimum(heated([2.0, 8.0], {}, gas=50.0))
    assert (plan.solution.emergency, plan.cost_eur) == (0.0, pytest.approx(500.0))
    assert plan.value("demand", "unmet_kw") == pytest.approx([0, 0])


def test_a_boiler_that_cannot_run_so_low_leaves_a_shortfall() -> None:
    """Whole decisions alone make it needed: 2 kW lie below the least power, nothing stores or throws away heat."""
    plan = optimum(heated([2.0, 5.0, 5.0], {"power_min_kw": 4.0}))
    assert plan.solution.emergency == pytest.approx(2.0)
    assert plan.value("demand", "unmet_kw") == pytest.approx([2, 0, 0], abs=3e-5)
    assert plan.cost_eur == pytest.approx(1.0, abs=3e-5)


def test_a_shortfall_larger_than_the_relaxations() -> None:
    """8 kW of boiler for 10 kW: 2 kWh short in any case, 2 more for the least power."""
    plan = optimum(heated([2.0, 10.0, 5.0], {"power_min_kw": 4.0}))
    assert plan.solution.emergency == pytest.approx(4.0)
    assert plan.cost_eur == pytest.approx(1.3, abs=1e-5)


COLD = (0, 1, 3, 8, 9, 14)


def cold(seed: int) -> Inputs:
    """A heating plant without a store, its boiler too small and its engines too coarse for a restless demand."""
    inputs = plant(seed, 8)
    groups = []
    for g in inputs.groups:
        columns = dict(g.columns)
        if g.family.name == "gas-boiler":
            columns["input_max_kw"] = 0.2 * columns["input_max_kw"]
            columns["input_min_kw"] = 0.6 * columns["input_max_kw"]
        if g.family.name == "heat-demand":
            columns["power_kw"] = 2.0 * (columns["power_kw"] - 4.5)
        if g.family.name == "thermal-store":
            columns |= {name: 0.0 * columns[name] for name in ("power_kw", "discharge_limit_kw")}
        groups.append(replace(g, columns=columns))
    return replace(inputs, groups=tuple(groups))


def test_a_shortfall_beside_small_decisions() -> None:
    """Two heaters of 3 to 4 kW: 2 kW are out of reach, 10 too many; at 5 EUR/kWh money alone would freeze everyone."""
    axis = hours(3)
    nodes = (node(axis, "grid"), node(axis, "heat", None, 0.0, carrier="heat"))
    given = {"power_kw": 4.0, "power_min_kw": 3.0, "efficiency": 1.0}
    heaters = [Device(f"heater-{k}", "converter", ("grid", "heat"), given) for k in "ab"]
    homes = Device("homes", "heat-demand", ("heat",), {"power_kw": [2.0, 10.0, 5.0]})
    prices = (energy_price(axis, "grid", 5.0),)
    inputs = Sketch(axis, nodes, (*heaters, homes), prices, target=EXACT).inputs()
    s = optimum(inputs).solution
    # All of 2, 2 of 10, and 1 of 5: one heater can give 4 of them, two give 6 at least.
    assert s.emergency == pytest.approx(5.0)
    assert s.objective == pytest.approx(5.0 * (8 + 4), abs=1e-4)
    assert least_first(inputs) == (pytest.approx(5.0), pytest.approx(60.0))


@pytest.mark.parametrize("seed", COLD)
def test_a_cold_plant_against_the_plain_milp(seed: int) -> None:
    """Least shortfall, then least cost, decided whole."""
    least, cost = least_first(cold(seed))
    s = optimum(cold(seed)).solution
    assert s.emergency == pytest.approx(least, abs=1e-4)
    assert s.objective == pytest.approx(cost, abs=1e-3)


def test_the_cold_plants_lack_heat_because_they_are_whole() -> None:
    """Else the test above would prove little."""
    short, relaxed = [], []
    for seed in COLD:
        a = assemble(cold(seed))
        s = Session(a.lp)
        cost = np.zeros(len(a.lp.cost))
        cost[a.emergencies] = a.emergency_weight
        s.costs(np.arange(len(cost)), cost)
        relaxed.append(s.run().objective - a.lp.offset)
        short.append(least_first(cold(seed))[0])
    assert min(short) > 0.1
    assert np.count_nonzero(np.array(short) > np.array(relaxed) + 0.1) >= 4


def test_an_outage_ends_a_run_whatever_its_minimum() -> None:
    """Running for 1 of 4 hours, it fails after one more: nobody could have run it longer, so nothing is missing."""
    pins = tuple(Pin("engine", name, 1, 3, 0.0, "outage") for name in ("on", "power_kw"))
    sketch = engine(pins=pins, on_start=True, min_up_h=4.0, hours_in_status_h=1.0, buy=0.01)
    s = optimum(sketch).solution
    assert s.emergency == pytest.approx(0.0, abs=1e-6)
    assert least_first(sketch.inputs())[0] == pytest.approx(0.0, abs=1e-6)


def test_the_least_emergency_is_not_found_by_burning() -> None:
    """An engine that must run on floods its grid. A battery that charged and discharged at once could take it; a real
    one is full after two hours, and the engine must stop too early."""
    sketch = engine(
        Device("bat", "battery", ("grid",), {
            "capacity_kwh": 10.0, "power_kw": 30.0, "efficiency_in": 0.9, "efficiency_out": 0.9, "soc_min": 0.0,
            "soc_max": 1.0, "soc_start": 0.5, "end": "free",
        }),
        on_start=True, min_up_h=6.0, hours_in_status_h=1.0, steps=5,
    )  # fmt: skip
    closed = tuple(replace(n, export_max_kw=np.zeros(5)) if n.id == "grid" else n for n in sketch.nodes)
    sketch = replace(sketch, nodes=closed)
    least, cost = least_first(sketch.inputs())
    assert least > 0.5
    s = optimum(sketch).solution
    assert s.emergency == pytest.approx(least, abs=1e-4)
    assert s.objective == pytest.approx(cost, abs=1e-3)


def test_a_person_may_pin_an_emergency() -> None:
    """Someone turns the heating down by hand: that is no shortfall to be avoided."""
    plan = optimum(heated([4.0, 4.0], {}, pins=(Pin("demand", "unmet_kw", 0, 1, 1.5),)))
    assert plan.value("demand", "unmet_kw") == pytest.approx([1.5, 0.0])
    assert plan.solution.emergency == 0.0
    assert plan.cost_eur == pytest.approx(0.65)


# --- no plan ---------------------------------------------------------------------------------------------------------


def test_hard_limits_that_contradict_are_explained() -> None:
    inputs = home(load([1.0, 3.0, 1.0]), most=2.0, buy=[0.1] * 3).inputs()
    with pytest.raises(InfeasibleError) as error:
        solve(inputs)
    assert [c.id for c in error.value.explanation.culprits] == ["grid"]
    assert str(error.value) == error.value.explanation.words
    assert "import limit of 2 kW" in str(error.value)
    with pytest.raises(InfeasibleError) as error:
        solve(inputs, explained=False)
    assert error.value.explanation is None


def test_a_contradiction_that_only_burning_would_hide_is_one() -> None:
    """3 kW of sun that cannot be curtailed, 1 kW of export: the battery is full after three hours."""
    sketch = home(battery(power_kw=5.0), roof([3.0, 3.0, 2.5], False), buy=[0.1] * 3, most=10.0, out=1.0)
    assert directions(sketch.inputs()).session().run().status == "optimal"
    with pytest.raises(InfeasibleError) as error:
        solve(sketch.inputs())
    assert error.value.explanation is not None


def test_a_rule_that_only_half_a_device_could_keep_is_a_contradiction() -> None:
    """Between 1 and 2 kW, says a rule of a car that takes nothing or 4.14 kW and more: no emergency helps here."""
    rule = LinearRule("gentle", ((1.0, "asset", "car", "charge_kw", 2),), 1.0, 2.0)
    inputs = home(car(), buy=[0.1] * 8, rules=(rule,)).inputs()
    assert not len(assemble(inputs).emergencies)
    with pytest.raises(InfeasibleError, match="gentle"):
        solve(inputs)


def lumpy(target: Target) -> Inputs:
    """A boiler of 4 kW and more, a store of 4 kWh: error diffusion overfills it, though a plan exists."""
    store = Device("store", "thermal-store", ("heat",), {"capacity_kwh": 4.0, "power_kw": 9.0, "loss_per_h": 0.0})
    demand = [1.7, 3.1, 2.3, 1.9, 3.8, 2.7]
    return heated(demand, {"power_min_kw": 4.0, "power_kw": 6.0}, store, target=target).inputs()


def test_no_time_and_no_point_is_no_plan() -> None:
    assert optimum(lumpy(EXACT)).cost_eur == pytest.approx(1.55)
    with pytest.raises(NoPlanError, match="no plan was found within 0 s"):
        solve(lumpy(NO_TIME))


@pytest.mark.parametrize("how", ["target", "until"])
def test_no_time_leaves_the_rounded_plan_and_its_gap(how: str) -> None:
    """Small decisions: the full MILP is not even begun."""
    best = solve(cars(3)).objective
    s = solve(cars(3, NO_TIME)) if how == "target" else solve(cars(3), until=time.perf_counter() - 1.0)
    assert (s.status, s.stopped_by) == ("time-limited", "clock")
    assert s.gap > 1e-3
    assert_consistent(s, best)


def test_no_time_for_engines_leaves_a_plan_and_its_gap() -> None:
    inputs = replace(plant(5, 12), target=replace(NO_TIME, exact_decisions=0))
    s = planned(inputs).solution
    assert (s.status, s.stopped_by) == ("time-limited", "clock")
    assert s.gap > 1e-3
    assert_consistent(s, by_highs(inputs))
    relaxed = problem(inputs).search()[2]
    assert s.bound == pytest.approx(relaxed.objective), "nothing more was proven"


def test_a_clock_that_strikes_during_the_search() -> None:
    """A bound and a plan are there whenever it ends; more time only brings them together."""
    inputs = replace(plant(1, 24), target=replace(EXACT, exact_decisions=0, time_limit_s=2.0))
    s = planned(inputs).solution
    long = solve(replace(inputs, target=replace(ROUGH, gap=0.02)))
    assert s.bound <= long.objective + 1e-6
    assert long.bound <= s.objective + 1e-6
    assert s.status == "optimal" or s.stopped_by == "clock"


# --- gaps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [0.3, 0.03, 0.003])
def test_the_gap_wanted_is_the_gap_proven(gap: float) -> None:
    best = by_highs(plant(9, 10))
    s = planned(replace(plant(9, 10), target=replace(ROUGH, gap=gap))).solution
    assert s.gap <= gap
    assert s.status == ("optimal" if s.gap <= 1e-6 else "within gap")
    assert s.stopped_by is None
    assert_consistent(s, best)


def test_a_wider_gap_is_less_work() -> None:
    nodes = [
        solve(replace(plant(9, 10), target=replace(ROUGH, gap=gap))).counters["nodes"]
        for gap in (1e-6, 0.003, 0.03, 0.9)
    ]
    assert nodes == sorted(nodes, reverse=True)
    assert nodes[-1] < nodes[0] / 2


# --- what is told and counted ----------------------------------------------------------------------------------------


def test_counters_tell_the_size_and_the_work() -> None:
    s = solve(replace(plant(9, 10), target=replace(EXACT, exact_decisions=0)))
    assert tuple(s.counters[k] for k in ("rows", "columns", "nonzeros")) == s.assembly.lp.shape
    # Two engines, a boiler and hours of breach.
    assert s.counters["decisions"] == 10 * 4
    assert s.counters["nodes"] > 0
    assert s.counters["lps"] > s.counters["nodes"]
    assert s.counters["pivots"] > s.counters["lps"] / 4
    assert set(s.seconds) >= {"assemble", "pass", "lp", "rounding", "restricted milp"}
    assert all(v >= 0 for v in s.seconds.values())
    assert solve(cars(3)).counters["milps"] == 1


def test_progress_is_told_in_words() -> None:
    def heard(inputs: Inputs) -> list[str]:
        said: list[str] = []
        solve(inputs, tell=said.append)
        return said

    relaxed, rounding = "solving the relaxation", "rounding the decisions"
    assert heard(home(load(1.0), buy=[0.1, 0.2]).inputs()) == [relaxed]
    assert heard(cars(2)) == [relaxed, rounding, "deciding everything at once"]
    assert heard(replace(plant(9, 10), target=ROUGH)) == [relaxed, rounding, "deciding the large units"]
    assert heard(heated([9.0], {}).inputs())[1] == "no plan without shortfalls: looking for the least one"


@pytest.mark.parametrize("inputs", [plant(9, 10), cars(3), mixed(2, EXACT)], ids=["plant", "cars", "mixed"])
def test_the_same_plan_again(inputs: Inputs) -> None:
    one = solve(inputs)
    solve(cars(1))
    other = solve(inputs)
    assert one.x.tobytes() == other.x.tobytes()
    assert one.counters == other.counters
    assert (one.objective, one.bound, one.rung) == (other.objective, other.bound, other.rung)


def test_the_final_duals_are_those_of_an_lp() -> None:
    """However it was found, the plan is an LP's with its decisions held: each kW more at the grid has its price."""
    s = solve(cars(2))
    a = s.assembly
    assert len(s.price) == a.lp.shape[0]
    assert len(s.reduced) == a.lp.shape[1]
    np.testing.assert_allclose(s.reduced, a.lp.cost - a.lp.matrix().T @ s.price, atol=1e-7)
