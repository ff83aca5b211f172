"""Small districts of one family, solved, and replayed by the family's own ``start``, ``step`` and ``close``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from gridopt.assets.base import Family, Floats, Values, at
from gridopt.clock import Axis
from gridopt.model.assemble import Assembly, Block, assemble
from gridopt.model.inputs import Commitment, Flow, Inputs, Node, make_groups
from gridopt.solve.session import Session

Rule = Callable[[Any, dict[str, Floats]], Values]


def axis_of(steps: int, step_min: int = 60) -> Axis:
    return Axis(datetime(2026, 1, 15, tzinfo=UTC), step_min, steps)


def users(family: type[Family], n: int, axis: Axis, **given: Any) -> dict[str, Any]:
    """User columns of n devices: what is given, broadcast to its shape, else the defaults."""
    out: dict[str, Any] = {}
    for p in family.parameters:
        value = given.pop(p.name, p.default)
        if value is None:
            assert p.optional, f"{p.name} is required"
            value = np.nan
        if p.kind == "series":
            out[p.name] = np.broadcast_to(np.asarray(value, np.float64), (n, axis.steps)).copy()
        elif p.kind == "list":
            out[p.name] = np.empty(n, object)
            for k in range(n):
                out[p.name][k] = np.asarray(value if value is p.default else value[k], np.float64)
        elif p.kind == "choice":
            out[p.name] = np.broadcast_to(np.asarray(value, object), n).copy()
        else:
            out[p.name] = np.broadcast_to(np.asarray(value, np.float64), n).copy()
    assert not given, f"no such parameter: {sorted(given)}"
    return out


def district(family: type[Family], user: dict[str, Any], axis: Axis, price: Floats | float) -> Inputs:
    """All devices on one node, whose net power has one price a step [EUR/kWh], buying as selling."""
    T = axis.steps
    n = len(next(iter(user.values())))
    wide = np.full(T, 1e4)
    nodes = tuple(
        Node(p.name, (p.carriers or ("electricity",))[0], None, wide, wide, np.zeros(T)) for p in family.ports
    )
    groups = make_groups(
        family, [f"d{k:02d}" for k in range(n)], user, {p.name: [j] * n for j, p in enumerate(family.ports)}, axis
    )
    price = np.broadcast_to(np.asarray(price, np.float64), T)
    supply = Commitment("supply", (Flow(1.0, node=nodes[0].id),), "energy", np.arange(T), np.zeros(T), price, -price)
    return Inputs(axis, nodes, tuple(groups), (supply,))


@dataclass
class Solved:
    """A point of the district's programme. ``held``: (columns, lower, upper) that decisions put on top."""

    assembly: Assembly
    x: Floats
    objective: float

    def value(self, variable: str, group: int = 0) -> Floats:
        columns = self.assembly.blocks[group].columns(variable)
        assert columns is not None
        return self.x[columns]


def solve(
    inputs: Inputs,
    hold: Callable[[Assembly], tuple[Floats, Floats]] | None = None,
    rng: np.random.Generator | None = None,
) -> Solved:
    """The optimum; ``hold`` gives all columns' bounds anew, ``rng`` prices every command at random besides."""
    a = assemble(inputs)
    s = Session(a.lp)
    every = np.arange(len(a.lp.cost))
    if hold is not None:
        s.bounds(every, *hold(a))
    if rng is not None:
        cost = a.lp.cost.copy()
        for b in a.blocks:
            for name in b.group.family.commands:
                columns = b.columns(name)
                if columns is not None:
                    cost[columns] += rng.normal(0, 0.3, columns.shape)
        s.costs(every, cost)
    answer = s.run()
    assert answer.status == "optimal"
    return Solved(a, answer.x, answer.objective)


@dataclass
class Replayed:
    """What the physics made of the commands: name → (n, steps) a step, and once at the end."""

    states: Values
    flows: Values
    end: Values

    def total(self, cost: str) -> Floats:
        """(n,) a cost's sum over the window and its end."""
        return np.asarray(self.flows[cost].sum(1) if cost in self.flows else 0.0) + self.end.get(cost, 0.0)


def drive(family: type[Family], columns: Values, steps: int, step_h: float, command: Values | Rule) -> Replayed:
    """Step through a group's window with given commands (n, steps), or by a rule."""
    p = at(columns, 0, step_h)
    state = family.start(p)
    states: list[Values] = []
    flows: list[Values] = []
    for t in range(steps):
        p = at(columns, t, step_h)
        wanted = command(p, state) if callable(command) else {name: v[:, t] for name, v in command.items()}
        state, out = family.step(p, state, wanted)
        states.append(state)
        flows.append(out)
    flat = [name for name, v in states[0].items() if v.ndim == 1]
    return Replayed(
        {name: np.stack([s[name] for s in states], 1) for name in flat},
        {name: np.stack([f[name] for f in flows], 1) for name in flows[0]},
        family.close(p, state),
    )


def by_rule(family: type[Family], columns: Values, steps: int, step_h: float) -> Replayed:
    """The baseline alone on its node, which has nothing left over."""
    zero = {p.name: np.zeros(len(next(iter(columns.values())))) for p in family.ports}
    return drive(family, columns, steps, step_h, lambda p, state: family.rule(p, state, zero))


def block_numbers(block: Block, x: Floats, step_h: float) -> tuple[Values, Values]:
    """What the block itself says at a point: port → (n, steps) power, cost → (n,) EUR."""
    t, group = block.template, block.group
    numbers = t.numbers(group.columns, step_h, group.n)
    mine = x[block.first : block.first + group.n * t.width].reshape(group.n, t.width)
    ports, costs = {}, {}
    for name, (terms, constant) in t.ports.items():
        ports[name] = constant.evaluate(numbers)
        np.add.at(ports[name], (slice(None), terms.row), terms.value.evaluate(numbers) * mine[:, terms.column])
    for name, (terms, constant) in t.costs.items():
        costs[name] = constant.evaluate(numbers)[:, 0] + (terms.value.evaluate(numbers) * mine[:, terms.column]).sum(1)
    return ports, costs


def assert_replays(solved: Solved, tolerance: float = 1e-8) -> list[Replayed]:
    """The physics, driven by the plan's commands, obeys them and reaches its states, ports, costs and shortfalls."""
    step_h = solved.assembly.inputs.axis.step_h
    out = []
    for block in solved.assembly.blocks:
        family, group = block.group.family, block.group
        plan = {v.name: solved.x[block.columns(v.name)] for v in block.template.variables}
        commands = {name: plan[name] for name in family.commands if name in plan}
        got = drive(family, dict(group.columns), group.steps, step_h, commands)
        ports, costs = block_numbers(block, solved.x, step_h)
        pairs = [(f"state {name}", got.states[name], plan[name]) for name in family.states if name in plan]
        pairs += [(f"command {name}", got.flows[name], plan[name]) for name in commands]
        pairs += [(f"port {name}", got.flows[f"{name}_kw"], power) for name, power in ports.items()]
        pairs += [(f"cost {name}", got.total(name), money) for name, money in costs.items()]
        for name in family.shortfalls:
            if name in plan:
                seen = got.flows[name] if name in got.flows else got.end[name][:, None]
                pairs.append((f"shortfall {name}", seen, plan[name]))
        for what, mine, theirs in pairs:
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance, err_msg=f"{family.name}: {what}")
        out.append(got)
    assert out
    return out


def hold_switches(
    rng: np.random.Generator, fit: Callable[[Block], Floats]
) -> Callable[[Assembly], tuple[Floats, Floats]]:
    """Bounds that switch every semi-continuous column off, or on above its minimum, at random.

    ``fit``: block → (n,) how many steps of each device may be on.
    """

    def bounds(a: Assembly) -> tuple[Floats, Floats]:
        lower, upper = a.lp.lower.copy(), a.lp.upper.copy()
        assert a.semi
        for s in a.semi:
            can = upper[s.columns] >= np.maximum(s.minimum, 1e-6)
            order = np.argsort(np.where(can, rng.random(can.shape), 2.0), 1).argsort(1)
            on = can & (order < rng.integers(0, fit(s.block) + 1)[:, None])
            lower[s.columns] = np.where(on, s.minimum, 0.0)
            upper[s.columns] = np.where(on, upper[s.columns], 0.0)
        return lower, upper

    return bounds
