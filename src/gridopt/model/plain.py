"""The district as one ordinary Pyomo model: the tests' oracle, and the export to LP and MPS files.

Everything is written as plainly as it is defined in ``model.inputs``, device by device and step by step, without the
compiler's stamping and without `assemble`: where the two disagree, one of them is wrong.

    m.asset[id]       a family's block, as its author wrote it
    m.node[id]        import_kw[T], export_kw[T] >= 0 on the boundary to the parent; balance[T]
    m.commitment[id]  above, below [P] (energy); above [P] (peak); over [T] (hours)
    m.rules           the users' own rules
    m.decision[id]    binaries of an asset's, node's or commitment's decisions (``decisions`` only)
    m.cost            the objective [EUR]

It is slow and meant for small districts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pyomo.contrib.fbbt.fbbt import compute_bounds_on_expr
from pyomo.environ import Any as AnyIndex
from pyomo.environ import Binary, Block, ConcreteModel, Constraint, Objective, RangeSet, Var
from pyomo.opt import ProblemFormat

from gridopt.assets.base import Exclusive, SemiContinuous, Whole
from gridopt.errors import InternalError, UnboundedError
from gridopt.model.inputs import Commitment, Inputs
from gridopt.model.template import active_costs, build_block

EMERGENCY_EUR_PER_KWH = 1000.0
"""Stands in for "emergencies first, then money" where one objective must do: far above any price of energy."""

Range = tuple[float, float]
_FORMATS = {"lp": ProblemFormat.cpxlp, "mps": ProblemFormat.mps}


def plain_model(
    inputs: Inputs, decisions: bool = False, emergency_price_eur_per_kwh: float = EMERGENCY_EUR_PER_KWH
) -> Any:
    """The district as a Pyomo ConcreteModel; with ``decisions`` a MILP, without them its relaxation.

    ``emergency_price_eur_per_kwh`` (per kWh, or per unit of a variable that is not a power) is what a variable of
    ``Family.emergencies`` costs; 0 leaves them free, as ``assemble`` does, whose solver holds them at zero instead.
    Raises UnboundedError where a decision needs a bound that does not exist.
    """
    m = ConcreteModel()
    m.T = RangeSet(0, inputs.axis.steps - 1)
    _add_assets(m, inputs)
    pinned = _pin(m, inputs)
    _add_nodes(m, inputs)
    m.commitment = Block(AnyIndex)
    m.decision = Block(AnyIndex)
    reach = _Reach(m, inputs)
    cost = [
        inputs.counts(c.kind) * m.asset[name].component(c.name)
        for name, g in _assets(inputs)
        for c in active_costs(g, m.asset[name])
    ]
    cost += [_add_commitment(m, inputs, c, reach, decisions) for c in inputs.weighted]
    cost += list(_emergency_costs(m, inputs, emergency_price_eur_per_kwh))
    _add_rules(m, inputs)
    _shut_partners(m, inputs, pinned)
    if decisions:
        _decide_assets(m, inputs, pinned)
        _decide_nodes(m, inputs, reach)
    m.cost = Objective(expr=sum(cost))
    return m


def export(inputs: Inputs, path: Path, format: Literal["lp", "mps"]) -> None:
    """Write the district's MILP, decisions included, for another solver; names are those of the scenario.

    Emergencies cost ``EMERGENCY_EUR_PER_KWH``.
    """
    model = plain_model(inputs, decisions=True)
    model.write(str(path), format=_FORMATS[format], io_options={"symbolic_solver_labels": True})


# --- assets and nodes ------------------------------------------------------------------------------------------------


def _assets(inputs: Inputs) -> Iterator[tuple[str, Any]]:
    for group in inputs.groups:
        for name in group.ids:
            yield name, group.family


def _add_assets(m: Any, inputs: Inputs) -> None:
    m.asset = Block(AnyIndex)
    for group in inputs.groups:
        for k, name in enumerate(group.ids):
            values = {column: a[k] for column, a in group.columns.items()} | {"step_h": inputs.axis.step_h}
            build_block(group.family, group.steps, group.options, m.asset[name], values)


def _port_kw(m: Any, inputs: Inputs, asset: str, port: str, t: int) -> Any:
    """Power of an asset's port at a step of the district's axis; 0 outside the asset's window."""
    g, k = inputs.where[asset]
    local = t - int(inputs.groups[g].offset[k])
    return m.asset[asset].component(f"{port}_kw")[local] if 0 <= local < inputs.groups[g].steps else 0.0


def _ports_at(inputs: Inputs, node: str) -> list[tuple[str, str]]:
    """Assets and their ports that sit on a node."""
    index = inputs.node_index[node]
    return [
        (name, port)
        for group in inputs.groups
        for port, where in group.nodes.items()
        for name, place in zip(group.ids, where, strict=True)
        if place == index
    ]


def _net_kw(m: Any, node: str, t: int) -> Any:
    return m.node[node].import_kw[t] - m.node[node].export_kw[t]


def _add_nodes(m: Any, inputs: Inputs) -> None:
    m.node = Block(AnyIndex)
    for node in inputs.nodes:
        b = m.node[node.id]
        low, high = node.net_bounds()
        b.import_kw = Var(m.T, bounds=_between(np.maximum(low, 0.0), np.maximum(high, 0.0)))
        b.export_kw = Var(m.T, bounds=_between(np.maximum(-high, 0.0), np.maximum(-low, 0.0)))
    for node in inputs.nodes:
        children = [n.id for n in inputs.nodes if n.parent == node.id]
        ports = _ports_at(inputs, node.id)
        m.node[node.id].balance = Constraint(
            m.T,
            rule=lambda b, t, node=node.id, children=children, ports=ports: (
                sum(_port_kw(m, inputs, asset, port, t) for asset, port in ports)
                + sum(_net_kw(m, child, t) for child in children)
                - _net_kw(m, node, t)
                == 0
            ),
        )


def _between(low: Any, high: Any) -> Callable[[Any, int], tuple[float | None, float | None]]:
    return lambda _, t: (_finite(low[t]), _finite(high[t]))


def _finite(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None


# --- how far a flow can go: the big-M of the decisions ---------------------------------------------------------------


class _Reach:
    """Range of every node's net power that its devices and limits allow, worked out when first asked for."""

    def __init__(self, m: Any, inputs: Inputs) -> None:
        self.m, self.inputs = m, inputs
        self._known: dict[tuple[str, int], Range] = {}

    def node(self, node: str, t: int) -> Range:
        if (node, t) not in self._known:
            of = self.inputs.nodes[self.inputs.node_index[node]]
            inside = [self._expression(_port_kw(self.m, self.inputs, a, p, t)) for a, p in _ports_at(self.inputs, node)]
            inside += [self.node(n.id, t) for n in self.inputs.nodes if n.parent == node]
            low, high = of.net_bounds()
            self._known[node, t] = (
                max(sum(r[0] for r in inside), float(low[t])),
                min(sum(r[1] for r in inside), float(high[t])),
            )
        return self._known[node, t]

    def flow(self, c: Commitment, t: int) -> Range:
        low = high = 0.0
        for f in c.flows:
            if f.node is not None:
                a, b = self.node(f.node, t)
                a, b = {"net": (a, b), "import": (max(a, 0), max(b, 0)), "export": (max(-b, 0), max(-a, 0))}[f.side]
            else:
                a, b = self._expression(_port_kw(self.m, self.inputs, str(f.asset), str(f.port), t))
            low += min(f.weight * a, f.weight * b)
            high += max(f.weight * a, f.weight * b)
        return low, high

    @staticmethod
    def _expression(expression: Any) -> Range:
        if isinstance(expression, float):
            return expression, expression
        low, high = compute_bounds_on_expr(expression)
        return (-math.inf if low is None else low), (math.inf if high is None else high)


def _big(limit: float, what: str) -> float:
    if not math.isfinite(limit):
        raise UnboundedError("{what} needs a bound to be decided: give its node or its device a limit", what=what)
    return limit


# --- commitments -----------------------------------------------------------------------------------------------------


def _flow_kw(m: Any, inputs: Inputs, c: Commitment, t: int) -> Any:
    total = 0.0
    for f in c.flows:
        if f.node is None:
            total += f.weight * _port_kw(m, inputs, str(f.asset), str(f.port), t)
        elif f.side == "net":
            total += f.weight * _net_kw(m, f.node, t)
        else:
            total += f.weight * m.node[f.node].component(f"{f.side}_kw")[t]
    return total


def _add_commitment(m: Any, inputs: Inputs, c: Commitment, reach: _Reach, decisions: bool) -> Any:
    """Adds what the commitment needs and returns its cost [EUR]."""
    if c.is_boundary_price:
        b = m.node[c.flows[0].node]
        return inputs.axis.step_h * sum(
            float(c.price_above[t]) * b.import_kw[t] + float(c.price_below[t]) * b.export_kw[t] for t in m.T
        )
    if c.measure == "energy":
        return _add_energy(m, inputs, c, reach, decisions)
    if (c.price_above < 0).any():
        raise InternalError("commitment {id}: a {measure} price cannot be negative", id=c.id, measure=c.measure)
    return _add_peak(m, inputs, c) if c.measure == "peak" else _add_hours(m, inputs, c, reach, decisions)


def _over_kw(m: Any, inputs: Inputs, c: Commitment, t: int) -> Any:
    return _flow_kw(m, inputs, c, t) - float(c.baseline_kw[t])


def _inside(c: Commitment, period: int | None = None) -> list[int]:
    """Steps that belong to a period, or to any."""
    return [t for t, p in enumerate(c.period) if (p >= 0 if period is None else p == period)]


def _add_energy(m: Any, inputs: Inputs, c: Commitment, reach: _Reach, decisions: bool) -> Any:
    b, step_h = m.commitment[c.id], inputs.axis.step_h
    b.P = RangeSet(0, c.periods - 1)
    b.above, b.below = Var(b.P, bounds=(0, None)), Var(b.P, bounds=(0, None))
    b.deviation = Constraint(
        b.P,
        # Everything on the left: Python may swap the sides of ==, and with them the sign of the row.
        rule=lambda b, p: step_h * sum(_over_kw(m, inputs, c, t) for t in _inside(c, p)) - b.above[p] + b.below[p] == 0,
    )
    concave = [p for p in b.P if c.price_above[p] + c.price_below[p] < -1e-12]
    for p in b.P if concave else ():
        ranges = [(reach.flow(c, t), float(c.baseline_kw[t])) for t in _inside(c, p)]
        b.above[p].setub(_big(step_h * sum(max(high - base, 0) for (_, high), base in ranges), f"commitment {c.id}"))
        b.below[p].setub(_big(step_h * sum(max(base - low, 0) for (low, _), base in ranges), f"commitment {c.id}"))
    if decisions and concave:
        d = m.decision["commitment", c.id]
        d.up = Var(concave, domain=Binary)
        d.above = Constraint(concave, rule=lambda d, p: b.above[p] <= b.above[p].ub * d.up[p])
        d.below = Constraint(concave, rule=lambda d, p: b.below[p] <= b.below[p].ub * (1 - d.up[p]))
    return sum(float(c.price_above[p]) * b.above[p] + float(c.price_below[p]) * b.below[p] for p in b.P)


def _add_peak(m: Any, inputs: Inputs, c: Commitment) -> Any:
    b = m.commitment[c.id]
    b.P = RangeSet(0, c.periods - 1)
    b.above = Var(b.P, bounds=(0, None))
    b.peak = Constraint(_inside(c), rule=lambda b, t: _over_kw(m, inputs, c, t) - b.above[int(c.period[t])] <= 0)
    return sum(float(c.price_above[p]) * b.above[p] for p in b.P)


def _add_hours(m: Any, inputs: Inputs, c: Commitment, reach: _Reach, decisions: bool) -> Any:
    b = m.commitment[c.id]
    steps = _inside(c)
    most = {t: _big(max(reach.flow(c, t)[1] - float(c.baseline_kw[t]), 0.0), f"commitment {c.id}") for t in steps}
    b.over = Var(steps, bounds=(0, 1))
    b.hours = Constraint(steps, rule=lambda b, t: _over_kw(m, inputs, c, t) - most[t] * b.over[t] <= 0)
    for t in steps if decisions else ():
        b.over[t].domain = Binary
    return inputs.axis.step_h * sum(float(c.price_above[c.period[t]]) * b.over[t] for t in steps)


def _emergency_costs(m: Any, inputs: Inputs, price: float) -> Iterator[Any]:
    if price == 0:
        return
    for name, family in _assets(inputs):
        for variable in family.emergencies:
            v = m.asset[name].component(variable)
            if v is not None:
                yield price * (inputs.axis.step_h if variable.endswith("_kw") else 1.0) * sum(v.values())


# --- rules, pins, decisions ------------------------------------------------------------------------------------------


def _add_rules(m: Any, inputs: Inputs) -> None:
    def term(what: str, name: str, variable: str, step: int) -> Any:
        if what == "node":
            b = m.node[name]
            return _net_kw(m, name, step) if variable == "net_kw" else b.component(variable)[step]
        v = m.asset[name].component(variable)
        if not v.is_indexed():
            return v
        g, k = inputs.where[name]
        local = step - int(inputs.groups[g].offset[k])
        return v[local] if 0 <= local < inputs.groups[g].steps else 0.0

    m.rules = Block()
    m.rules.rule = Constraint(AnyIndex)
    for k, rule in enumerate(inputs.rules):
        body = sum(a * term(what, name, variable, step) for a, what, name, variable, step in rule.terms)
        m.rules.rule[k] = (_finite(rule.low), body, _finite(rule.high))


def _pin(m: Any, inputs: Inputs) -> set[int]:
    """Holds pinned variables, against their own bounds; returns the ids of what is held."""
    held: set[int] = set()
    for pin in inputs.pins:
        v = m.asset[pin.asset].component(pin.variable)
        if v is None:
            continue
        g, k = inputs.where[pin.asset]
        offset = int(inputs.groups[g].offset[k])
        for t in range(pin.first - offset, pin.last - offset):
            if t in v:
                v[t].setlb(pin.value)
                v[t].setub(pin.value)
                held.add(id(v[t]))
    return held


def _shut_partners(m: Any, inputs: Inputs, held: set[int]) -> None:
    """What a positive pin excludes cannot be used; two pins that exclude each other stay as they are."""
    for name, family in _assets(inputs):
        for d in family.decisions:
            if not isinstance(d, Exclusive):
                continue
            first, second = m.asset[name].component(d.first), m.asset[name].component(d.second)
            if first is None or second is None:
                continue
            for one, other in ((first, second), (second, first)):
                for t in one:
                    if id(one[t]) in held and one[t].lb > 0 and id(other[t]) not in held:
                        other[t].setub(0.0)


def _decide_assets(m: Any, inputs: Inputs, pinned: set[int]) -> None:
    for name, family in _assets(inputs):
        b, g = m.asset[name], inputs.groups[inputs.where[name][0]]
        for k, d in enumerate(family.decisions):
            first = b.component(d.first if isinstance(d, Exclusive) else d.variable)
            if first is None:
                continue
            free = [t for t in first if id(first[t]) not in pinned]
            if isinstance(d, Whole):
                for t in free:
                    first[t].domain = Binary
            elif isinstance(d, SemiContinuous):
                least = np.broadcast_to(g.columns[d.minimum][inputs.where[name][1]], g.steps)
                _decide_minimum(m.decision["asset", name, k], first, free, least)
            else:
                second = b.component(d.second)
                if second is not None:
                    free = [t for t in free if id(second[t]) not in pinned]
                    most = {t: (_most(first[t]), _most(second[t])) for t in free}
                    _decide_direction(m.decision["asset", name, k], first, second, free, most)


def _decide_minimum(d: Any, v: Any, steps: list[int], least: Any) -> None:
    d.runs = Var(steps, domain=Binary)
    d.least = Constraint(steps, rule=lambda d, t: v[t] >= float(least[t]) * d.runs[t])
    d.most = Constraint(steps, rule=lambda d, t: v[t] <= _most(v[t]) * d.runs[t])


def _decide_direction(d: Any, first: Any, second: Any, steps: list[int], most: dict[int, Range]) -> None:
    d.forth = Var(steps, domain=Binary)
    d.first = Constraint(steps, rule=lambda d, t: first[t] <= most[t][0] * d.forth[t])
    d.second = Constraint(steps, rule=lambda d, t: second[t] <= most[t][1] * (1 - d.forth[t]))


def _most(v: Any) -> float:
    return _big(math.inf if v.ub is None else float(v.ub), v.name)


def _decide_nodes(m: Any, inputs: Inputs, reach: _Reach) -> None:
    """Import and export exclude each other wherever more than their difference matters."""
    sided = {str(f.node) for c in inputs.commitments for f in c.flows if f.node is not None and f.side != "net"}
    sided |= {name for r in inputs.rules for _, what, name, v, _ in r.terms if what == "node" and v != "net_kw"}
    priced = [c for c in inputs.commitments if c.is_boundary_price]
    sided |= {str(c.flows[0].node) for c in priced if (c.price_above + c.price_below).any()}
    for node in inputs.nodes:
        if node.id in sided:
            b = m.node[node.id]
            both = [t for t in m.T if b.import_kw[t].ub != 0 and b.export_kw[t].ub != 0]
            ranges = {t: reach.node(node.id, t) for t in both}
            what = f"node {node.id}: import and export"
            most = {t: (_big(max(high, 0.0), what), _big(max(-low, 0.0), what)) for t, (low, high) in ranges.items()}
            _decide_direction(m.decision["node", node.id], b.import_kw, b.export_kw, both, most)
