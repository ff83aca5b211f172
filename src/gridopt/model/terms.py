"""Commitments and users' rules as columns and rows: flows over nodes and ports, priced above and below a baseline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from gridopt.assets.base import Floats, Ints
from gridopt.errors import InternalError, SolverError
from gridopt.model.inputs import INF, Commitment, Flow, Group, Inputs
from gridopt.model.layout import Block, CommitmentColumns, NodeColumns, PairSet, WholeSet
from gridopt.model.programme import NONE, Builder


def _flow_terms(
    inputs: Inputs, flow: Flow, nodes: list[NodeColumns], blocks: list[Block]
) -> Iterator[tuple[Ints, Ints, Floats, Floats]]:
    """A flow as pieces (steps, columns, coefficients, constants (T,)) on the district's axis."""
    T = inputs.axis.steps
    none = np.zeros(T)
    if flow.node is not None:
        c = nodes[inputs.node_index[flow.node]]
        t = np.arange(T)
        sides = {
            "net": ((c.import_, 1.0), (c.export, -1.0)),
            "import": ((c.import_, 1.0),),
            "export": ((c.export, 1.0),),
        }
        if len(c.net):  # one column: either both ways in one price, or one way only
            low, high = inputs.nodes[inputs.node_index[flow.node]].net_bounds()
            sign = {"net": 1.0, "import": 1.0 if high.any() else 0.0, "export": -1.0 if low.any() else 0.0}[flow.side]
            if sign:
                yield t, c.net, np.full(T, sign * flow.weight), none
            return
        for columns, sign in sides[flow.side]:
            if len(columns):
                yield t, columns, np.full(T, sign * flow.weight), none
        return
    if flow.asset is None or flow.port is None:
        raise InternalError("a flow names neither a node nor an asset's port")
    g, k = inputs.where[flow.asset]
    block = blocks[g]
    terms, constant = block.template.ports[flow.port]
    one = _device(block.group, k)
    numbers = block.template.numbers(one, inputs.axis.step_h, 1)
    offset = int(block.group.offset[k])
    fixed = np.zeros(T)
    fixed[offset : offset + block.template.steps] = flow.weight * constant.evaluate(numbers)[0]
    first = block.first + k * block.template.width
    value = flow.weight * terms.value.evaluate(numbers)[0] if len(terms.column) else np.zeros(0)
    yield offset + terms.row, first + terms.column, value, fixed


def _device(group: Group, k: int) -> dict[str, Floats]:
    """The columns of one device of a group."""
    return {name: a[k : k + 1] for name, a in group.columns.items()}


def is_concave(c: Commitment) -> bool:
    return c.measure == "energy" and bool(((c.price_above + c.price_below) < -1e-12).any())


def add_commitment(
    b: Builder,
    inputs: Inputs,
    c: Commitment,
    nodes: list[NodeColumns],
    blocks: list[Block],
    step_h: float,
    reach: tuple[Floats, Floats] | None,
) -> tuple[CommitmentColumns, list[WholeSet], list[PairSet]]:
    T, P = inputs.axis.steps, c.periods
    inside = c.period >= 0
    pieces = [piece for flow in c.flows for piece in _flow_terms(inputs, flow, nodes, blocks)]
    constant = np.sum([p[3] for p in pieces], axis=0) if pieces else np.zeros(T)
    room = np.where(inside, c.baseline_kw - constant, 0.0)
    row = b.rows
    above = below = over = NONE
    whole: list[WholeSet] = []
    pairs: list[PairSet] = []
    if c.measure == "energy":
        goal = np.asarray(step_h * np.bincount(c.period[inside], room[inside], P), np.float64)
        concave = is_concave(c)
        most = least = np.full(P, INF)
        if concave:
            low, high = _flow_range(inputs, c, blocks, reach)
            most = step_h * np.bincount(c.period[inside], (high - c.baseline_kw)[inside].clip(0), P)
            least = step_h * np.bincount(c.period[inside], (c.baseline_kw - low)[inside].clip(0), P)
        up = concave or bool(c.price_above.any())
        down = concave or bool(c.price_below.any())
        above = b.add_columns(0.0, most, c.price_above, P) if up else NONE
        below = b.add_columns(0.0, least, c.price_below, P) if down else NONE
        nothing = np.full(P, INF)
        rows = b.add_rows(goal if down else -nothing, goal if up else nothing, P)
        for t, columns, value, _ in pieces:
            keep = inside[t]
            b.add(rows[c.period[t[keep]]], columns[keep], step_h * value[keep])
        if up:
            b.add(rows, above, -1.0)
        if down:
            b.add(rows, below, 1.0)
        if concave:
            pairs.append(PairSet(above, below, (c.price_above + c.price_below) < 0))
    else:
        if (c.price_above < 0).any() or c.price_below.any():
            raise SolverError("commitment {id}: a {measure} price cannot be negative", id=c.id, measure=c.measure)
        steps = np.flatnonzero(inside)
        rows_of = np.full(T, -1)
        rows_of[steps] = b.add_rows(-INF, room[steps], len(steps))
        for t, columns, value, _ in pieces:
            keep = inside[t]
            b.add(rows_of[t[keep]], columns[keep], value[keep])
        if c.measure == "peak":
            above = b.add_columns(0.0, INF, c.price_above, P)
            b.add(rows_of[steps], above[c.period[steps]], -1.0)
        else:
            _, high = _flow_range(inputs, c, blocks, reach)
            over = np.full(T, -1)
            over[steps] = b.add_columns(0.0, 1.0, step_h * c.price_above[c.period[steps]], len(steps))
            b.add(rows_of[steps], over[steps], -np.maximum(high - c.baseline_kw, 0.0)[steps])
            whole.append(WholeSet(over[steps][None, :], one_of=False, large=True, opens=rows_of[steps][None, :]))
    return CommitmentColumns(above, below, over, row, b.rows - row), whole, pairs


def _flow_range(
    inputs: Inputs, c: Commitment, blocks: list[Block], reach: tuple[Floats, Floats] | None
) -> tuple[Floats, Floats]:
    """(T,) smallest and largest value a commitment's flow can take."""
    if reach is None:
        raise InternalError("the reach of the nodes was not computed")
    low, high = np.zeros(inputs.axis.steps), np.zeros(inputs.axis.steps)
    for f in c.flows:
        if f.node is not None:
            k = inputs.node_index[f.node]
            lo, hi = reach[0][k], reach[1][k]
            if f.side == "import":
                lo, hi = np.maximum(lo, 0.0), np.maximum(hi, 0.0)
            elif f.side == "export":
                lo, hi = np.maximum(-hi, 0.0), np.maximum(-lo, 0.0)
        else:
            if f.asset is None or f.port is None:
                raise InternalError("a flow names neither a node nor an asset's port")
            g, device = inputs.where[f.asset]
            lo_n, hi_n = _port_range(inputs, blocks[g], f.port)
            one = blocks[g].group
            lo, hi = one.on_axis(lo_n, len(low))[device], one.on_axis(hi_n, len(low))[device]
        low += np.minimum(f.weight * lo, f.weight * hi)
        high += np.maximum(f.weight * lo, f.weight * hi)
    return low, high


def _port_range(inputs: Inputs, block: Block, port: str) -> tuple[Floats, Floats]:
    """(n, steps) smallest and largest power of a port that the columns' bounds, or overrides of them, allow."""
    t, group = block.template, block.group
    numbers = t.numbers(group.columns, inputs.axis.step_h, group.n)
    terms, constant = t.ports[port]
    low = constant.evaluate(numbers)
    high = low.copy()
    lower, upper = t.lower.evaluate(numbers), t.upper.evaluate(numbers)
    for pin in inputs.pins:
        k, v = group.index.get(pin.asset), t.variable(pin.variable)
        if k is not None and v is not None:
            first, last = (min(max(step - int(group.offset[k]), 0), v.count) for step in (pin.first, pin.last))
            lower[k, v.start + first : v.start + last] = upper[k, v.start + first : v.start + last] = pin.value
    if len(terms.column):
        a = terms.value.evaluate(numbers)
        with np.errstate(invalid="ignore"):  # 0 · ∞: the column has no share here
            x, y = a * lower[:, terms.column], a * upper[:, terms.column]
        x, y = np.where(a == 0, 0.0, x), np.where(a == 0, 0.0, y)
        for out, z in ((low, np.fmin(x, y)), (high, np.fmax(x, y))):
            np.add.at(out.T, terms.row, z.T)
    return low, high


def reach_of(inputs: Inputs, blocks: list[Block]) -> tuple[Floats, Floats]:
    """(N, T) range of every node's net power that its devices and limits allow; finite big-M for the decisions."""
    shape = (len(inputs.nodes), inputs.axis.steps)
    low, high = np.zeros(shape), np.zeros(shape)
    for block in blocks:
        for port in block.template.ports:
            lo, hi = _port_range(inputs, block, port)
            place = block.group.offset[:, None] + np.arange(block.template.steps)
            np.add.at(low, (block.group.nodes[port][:, None], place), lo)
            np.add.at(high, (block.group.nodes[port][:, None], place), hi)
    for k in _leaves_first(inputs):
        least, most = inputs.nodes[k].net_bounds()
        low[k], high[k] = np.maximum(low[k], least), np.minimum(high[k], most)
        if inputs.parents[k] >= 0:
            low[inputs.parents[k]] += low[k]
            high[inputs.parents[k]] += high[k]
    return low, high


def _leaves_first(inputs: Inputs) -> list[int]:
    """Node indices with every child before its parent."""
    depth = np.zeros(len(inputs.nodes), np.int64)
    for k in range(len(inputs.nodes)):
        j = int(inputs.parents[k])
        while j >= 0:
            depth[k] += 1
            j = int(inputs.parents[j])
    return [int(k) for k in np.argsort(-depth, kind="stable")]


def add_rule(
    b: Builder,
    inputs: Inputs,
    terms: tuple[tuple[float, str, str, str, int], ...],
    low: float,
    high: float,
    nodes: list[NodeColumns],
    blocks: list[Block],
) -> None:
    row = b.add_rows(low, high, 1)
    for coefficient, what, name, variable, step in terms:
        if what == "node":
            side: Literal["net", "import", "export"] = (
                "import" if variable == "import_kw" else "export" if variable == "export_kw" else "net"
            )
            for t, columns, value, _ in _flow_terms(inputs, Flow(1.0, node=name, side=side), nodes, blocks):
                hit = t == step
                b.add(row, columns[hit], coefficient * value[hit])
            continue
        g, k = inputs.where[name]
        held = blocks[g].columns(variable)
        if held is None:
            raise InternalError("asset {name} has no variable {variable}", name=name, variable=variable)
        local = step - int(blocks[g].group.offset[k]) if held.shape[1] > 1 else 0
        if 0 <= local < held.shape[1]:  # outside its window a device does nothing
            b.add(row, held[k, local], coefficient)
