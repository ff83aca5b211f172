"""Every family: what a plan of the block says is what the physics does.

Random objectives push random devices to all corners of their block, decisions whole; the commands of that plan then
drive ``start``, ``step`` and ``close``, which must obey them and reach the plan's states, ports, costs and shortfalls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from gridopt.assets import FAMILY_NAMES, family
from gridopt.assets.base import Floats, Ints
from gridopt.assets.battery import Battery
from gridopt.model.assemble import Assembly, PairSet, assemble
from gridopt.model.inputs import Group, Inputs, Node
from gridopt.solve.binaries import may_rest
from gridopt.solve.session import INTEGER, Answer, Session
from tests.conformance.random_params import AXES, SEEDS, cover, pool, seeded, take
from tests.unit.assets.replay import Solved, assert_replays, district, users

TOLERANCE = 1e-6
DEVICES = {"4x60": 12, "24x15": 6, "96x15": 1}
"""Most devices of each structure."""


def alone(group: Group, horizon: str) -> Inputs:
    """One group, each port on a node that takes and gives anything."""
    axis = AXES[horizon]
    free = np.full(axis.steps, np.inf)
    ports = list(group.nodes)
    nodes = tuple(Node(port, "any", None, free, free, np.zeros(axis.steps)) for port in ports)
    return Inputs(axis, nodes, (take(group, group.n, {p: np.full(group.n, k) for k, p in enumerate(ports)}),))


def random_cost(a: Assembly, rng: np.random.Generator) -> Floats:
    """A price of either sign on all that is commanded and on all states, a positive one on what measures something:
    starts, shortfalls and the like are only held from below."""
    cost = np.zeros(a.lp.shape[1])
    for b in a.blocks:
        family = b.group.family
        for v in b.template.variables:
            columns = b.columns(v.name)
            assert columns is not None
            if v.name in family.commands:
                cost[columns] = rng.normal(0.0, 1.0, columns.shape) * (rng.random(columns.shape) < 0.9)
            elif v.name in family.states:
                cost[columns] = rng.normal(0.0, 0.1, columns.shape)
            else:
                cost[columns] = rng.uniform(0.5, 3.0, columns.shape)
    return cost


@dataclass
class Decided:
    """A programme with its decisions whole: branch and bound, and what is needed to hold what it found."""

    answer: Answer
    upper: Floats
    lower: Floats
    semi: list[tuple[Ints, Floats]]
    whole: list[Ints]
    directions: list[tuple[Ints, Ints, Ints]]


def decided(a: Assembly, cost: Floats, gap: float, pairs: list[PairSet]) -> Decided:
    """Solve with the assembly's own decisions, ``pairs`` decided by a new 0/1 column each. Pinned columns are free."""
    s = Session(a.lp)
    s.option("primal_feasibility_tolerance", 1e-9)
    every = np.arange(a.lp.shape[1])
    s.costs(every, cost)
    lower, upper = a.lp.lower.copy(), a.lp.upper.copy()
    pinned = np.zeros(len(every), bool)
    pinned[a.pinned] = True
    semi = []
    for x in a.semi:
        free = ~pinned[x.columns]
        columns, minimum = x.columns[free], x.minimum[free]
        able = minimum <= upper[columns]
        upper[columns[~able]] = 0.0
        held = able & (minimum > 0)
        semi.append((columns[held], minimum[held]))
    whole = [c[~pinned[c]] for w in a.whole for c in [w.columns.ravel()]]
    for columns in whole:
        s.wholeness(columns, np.full(len(columns), INTEGER))
    s.bounds(every, lower, upper)
    for columns, minimum in semi:
        may_rest(s, columns, minimum, lower, upper)
    directions = []
    for pair in pairs:
        free = ~(pinned[pair.first] | pinned[pair.second])
        first, second = pair.first[free], pair.second[free]
        directions.append((first, second, _direction(s, first, second, upper)))
    return Decided(s.run(time_limit_s=60.0, gap=gap), upper, lower, semi, whole, directions)


def whole_plan(a: Assembly, cost: Floats) -> Answer:
    """A plan with its decisions whole: branch and bound, then an LP around the decisions found."""
    d = decided(a, cost, 0.02, a.pairs)
    x, lower, upper = d.answer.x, d.lower, d.upper
    if not d.answer.has_point:
        return d.answer
    for columns, minimum in d.semi:
        off = x[columns] < 0.5 * minimum
        lower[columns], upper[columns] = np.where(off, 0.0, minimum), np.where(off, 0.0, upper[columns])
    for columns in d.whole:
        lower[columns] = upper[columns] = np.round(x[columns])
    for first, second, forth in d.directions:
        goes = x[forth] > 0.5
        upper[first], upper[second] = upper[first] * goes, upper[second] * ~goes
    s = Session(a.lp)
    s.option("primal_feasibility_tolerance", 1e-9)
    every = np.arange(a.lp.shape[1])
    s.costs(every, cost)
    s.bounds(every, lower, upper)
    return s.run()


def _direction(s: Session, first: Ints, second: Ints, upper: Floats) -> Ints:
    """New 0/1 columns: which of the two may be positive."""
    n = len(first)
    forth = s.add_columns(np.zeros(n), np.ones(n), np.zeros(n))
    s.wholeness(forth, np.full(n, INTEGER))
    start, one = 2 * np.arange(n), np.ones(n)
    for column, most, sign in ((first, upper[first], -1.0), (second, upper[second], 1.0)):
        index, value = np.stack([column, forth], 1).ravel(), np.stack([one, sign * most], 1).ravel()
        s.add_rows(np.full(n, -np.inf), most * (sign > 0), start, index, value)
    return forth


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("horizon", AXES)
@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_step_is_block(name: str, horizon: str, seed: int) -> None:
    rng = seeded("step", name, horizon, seed)
    every = pool(family(name), AXES[horizon], rng)
    shown = cover(every)
    done = 0
    for place, group in enumerate([*shown, *every]):
        if place >= len(shown) and done >= DEVICES[horizon]:
            break  # every structure is shown; where each has few devices, more are taken from the others
        for k in range(min(group.n, DEVICES[horizon])):
            a = assemble(alone(_one(group, k), horizon))
            answer = whole_plan(a, random_cost(a, rng))
            assert answer.status == "optimal", f"device {k} of {group.options}: left alone it is {answer.status}"
            assert_replays(Solved(a, answer.x, answer.objective), TOLERANCE)
            done += 1
    assert done >= DEVICES[horizon]


def battery(**given: Any) -> Assembly:
    """A battery of 10 kWh and 5 kW, no losses but those given, for four hours."""
    lossless = {
        "capacity_kwh": 10.0,
        "power_kw": 5.0,
        "efficiency_in": 1.0,
        "efficiency_out": 1.0,
        "wear_eur_per_kwh": 0.0,
    }
    user = users(Battery, 1, AXES["4x60"], **(lossless | given))
    return assemble(district(Battery, user, AXES["4x60"], -1.0))


def test_a_battery_above_its_band_is_not_charged_further() -> None:
    """Paid 1 EUR/kWh to draw, and recovery costs 0.2 EUR per kWh and hour: the block fills 10 kWh with 30."""
    a = battery(soc_start=1.0, end="free")
    answer = Session(a.lp).run()
    assert_replays(Solved(a, answer.x, answer.objective), TOLERANCE)


def test_a_battery_out_of_service_at_its_lower_edge_has_a_plan() -> None:
    a = battery(soc_start=0.05, power_kw=0.0, loss_per_h=0.01)
    assert Session(a.lp).run().status == "optimal"


def _one(group: Group, k: int) -> Group:
    """The k-th device of a group."""
    return replace(
        group,
        ids=(group.ids[k],),
        columns={name: a[k : k + 1] for name, a in group.columns.items()},
        nodes={port: a[k : k + 1] for port, a in group.nodes.items()},
        offset=group.offset[k : k + 1],
    )
