"""Inputs → linear programme: templates stamped, nodes balanced, commitments priced, in one canonical order.

Columns: nodes (by id), groups (family, window, options; device by device), commitments. Rows: node balances, groups,
commitments, users' rules. Each part remembers where it lies, so a solution is read back as views of one array and
every column and row can be named in words.
"""

from __future__ import annotations

import numpy as np

from gridopt.assets.base import Exclusive, Floats, Ints, SemiContinuous, Whole
from gridopt.model.inputs import Group, Inputs
from gridopt.model.layout import (
    Assembly,
    Block,
    CommitmentColumns,
    NodeColumns,
    PairSet,
    SemiSet,
    WholeSet,
)
from gridopt.model.programme import NONE, Builder, LinearProgram
from gridopt.model.template import template
from gridopt.model.terms import add_commitment, add_rule, is_concave, reach_of

__all__ = ["Assembly", "Block", "LinearProgram", "PairSet", "SemiSet", "WholeSet", "assemble"]


def assemble(inputs: Inputs) -> Assembly:
    """Lay a district out as a linear programme with its decisions relaxed.

    Raises FamilyError or SolverError where a family or a number breaks a rule.
    """
    T, step_h = inputs.axis.steps, inputs.axis.step_h
    b = Builder()
    balance = b.add_rows(0.0, 0.0, len(inputs.nodes) * T).reshape(-1, T)
    shift = np.zeros((len(inputs.nodes), T))
    nodes, pairs = _add_nodes(b, inputs, balance)
    blocks = [_add_group(b, inputs, group, balance, shift) for group in inputs.groups]
    commitments, whole = [], []
    reach = None
    for c in inputs.weighted:
        if c.is_boundary_price:
            commitments.append(CommitmentColumns(NONE, NONE, NONE, b.rows, 0))
            continue
        if reach is None and (c.measure == "hours" or is_concave(c)):
            reach = reach_of(inputs, blocks)
        columns, more, pair = add_commitment(b, inputs, c, nodes, blocks, step_h, reach)
        commitments.append(columns)
        whole += more
        pairs += pair
    rule_row = b.rows
    for rule in inputs.rules:
        add_rule(b, inputs, rule.terms, rule.low, rule.high, nodes, blocks)
    lp = b.finish(shift.ravel())
    _bound_directions(inputs, lp, nodes, pairs, reach, blocks)
    semi, more_whole, more_pairs = _decisions(blocks)
    emergencies, weight = _emergencies(blocks, step_h)
    out = Assembly(
        inputs,
        lp,
        nodes,
        blocks,
        commitments,
        semi,
        whole + more_whole,
        pairs + more_pairs,
        emergencies,
        weight,
        rule_row,
    )
    _pin(out)
    return out


# --- nodes -----------------------------------------------------------------------------------------------------------


def _boundary_prices(inputs: Inputs) -> tuple[Floats, Floats]:
    """(N, T) EUR/kWh of power drawn from, and given to, each node's parent."""
    shape = (len(inputs.nodes), inputs.axis.steps)
    above, below = np.zeros(shape), np.zeros(shape)
    for c in inputs.weighted:
        if c.is_boundary_price and c.flows[0].node is not None:
            k = inputs.node_index[c.flows[0].node]
            above[k] += c.price_above
            below[k] += c.price_below
    return above, below


def _add_nodes(b: Builder, inputs: Inputs, balance: Ints) -> tuple[list[NodeColumns], list[PairSet]]:
    T, step_h = inputs.axis.steps, inputs.axis.step_h
    above, below = _boundary_prices(inputs)
    sided = {f.node for c in inputs.commitments for f in c.flows if f.node is not None and f.side != "net"}
    sided |= {
        name for r in inputs.rules for _, what, name, variable, _ in r.terms if what == "node" and variable != "net_kw"
    }
    nodes: list[NodeColumns] = []
    pairs: list[PairSet] = []
    for k, node in enumerate(inputs.nodes):
        low, high = node.net_bounds()
        one_way = not low.any() or not high.any()
        split = not one_way and (bool((above[k] + below[k]).any()) or node.id in sided)
        net = import_ = export = NONE
        if split:
            import_ = b.add_columns(0.0, high, above[k] * step_h, T)
            export = b.add_columns(0.0, -low, below[k] * step_h, T)
            needed = above[k] + below[k] < -1e-12  # buying and selling at one price leaves rounding
            if needed.any() or node.id in sided:
                pairs.append(PairSet(import_, export, needed))
        elif low.any() or high.any():
            price = above[k] if not low.any() else -below[k]
            net = b.add_columns(low, high, price * step_h, T)
        nodes.append(NodeColumns(net, import_, export, balance[k]))
        parent = inputs.parents[k]
        for columns, sign in ((net, 1.0), (import_, 1.0), (export, -1.0)):
            if len(columns):
                b.add(balance[k], columns, -sign)
                if parent >= 0:
                    b.add(balance[parent], columns, sign)
    return nodes, pairs


def _bound_directions(
    inputs: Inputs,
    lp: LinearProgram,
    nodes: list[NodeColumns],
    pairs: list[PairSet],
    reach: tuple[Floats, Floats] | None,
    blocks: list[Block],
) -> None:
    """An import and an export that exclude each other go no further than what lies below the node can draw or give."""
    endless = {
        int(p.first[0]) for p in pairs if np.isinf(lp.upper[p.first]).any() or np.isinf(lp.upper[p.second]).any()
    }
    if not endless:
        return
    low, high = reach or reach_of(inputs, blocks)
    for k, c in enumerate(nodes):
        if len(c.import_) and int(c.import_[0]) in endless:
            # A little beyond, so that it never binds: it is no limit of the user's.
            lp.upper[c.import_] = np.minimum(lp.upper[c.import_], high[k].clip(0) + 1.0)
            lp.upper[c.export] = np.minimum(lp.upper[c.export], (-low[k]).clip(0) + 1.0)


# --- families --------------------------------------------------------------------------------------------------------


def _add_group(b: Builder, inputs: Inputs, group: Group, balance: Ints, shift: Floats) -> Block:
    t = template(group.family, group.steps, group.options)
    n = group.n
    numbers = t.numbers(group.columns, inputs.axis.step_h, n)
    block = Block(group, t, b.columns, b.rows)
    cost = np.zeros((n, t.width))
    counts = {c.name: inputs.counts(c.kind) for c in group.family.costs}
    for name, (terms, constant) in t.costs.items():
        if len(terms.column):
            cost[:, terms.column] += counts[name] * terms.value.evaluate(numbers)
        b.offset += counts[name] * float(constant.evaluate(numbers).sum())
    columns = b.add_columns(
        t.lower.evaluate(numbers).ravel(), t.upper.evaluate(numbers).ravel(), cost.ravel(), n * t.width
    ).reshape(n, t.width)
    if t.height:
        rows = b.add_rows(
            t.row_lower.evaluate(numbers).ravel(), t.row_upper.evaluate(numbers).ravel(), n * t.height
        ).reshape(n, t.height)
        b.add(rows[:, t.matrix.row], columns[:, t.matrix.column], t.matrix.value.evaluate(numbers))
    for port, (terms, constant) in t.ports.items():
        place = group.offset[:, None] + np.arange(t.steps)
        at_node = group.nodes[port]
        if len(terms.column):
            row = balance[at_node[:, None], place[:, terms.row]]
            b.add(row, columns[:, terms.column], terms.value.evaluate(numbers))
        fixed = constant.evaluate(numbers)
        if fixed.any():
            np.add.at(shift, (at_node[:, None], place), fixed)
    return block


def _decisions(blocks: list[Block]) -> tuple[list[SemiSet], list[WholeSet], list[PairSet]]:
    semi: list[SemiSet] = []
    whole: list[WholeSet] = []
    pairs: list[PairSet] = []
    for block in blocks:
        for d in block.group.family.decisions:
            if isinstance(d, Exclusive):
                first, second = block.columns(d.first), block.columns(d.second)
                if first is not None and second is not None:
                    device = np.repeat(np.arange(len(first)), first.shape[1])
                    pairs.append(PairSet(first.ravel(), second.ravel(), np.zeros(first.size, bool), device))
                continue
            columns = block.columns(d.variable)
            if columns is None:
                continue
            if isinstance(d, Whole):
                counts = [block.columns(name) for name in d.guides]
                whole.append(WholeSet(columns, d.one_of, d.large, tuple(c for c in counts if c is not None), block))
            elif isinstance(d, SemiContinuous):
                least = block.group.columns[d.minimum]
                minimum = np.broadcast_to(least[:, None] if least.ndim == 1 else least, columns.shape)
                if minimum.any():
                    semi.append(SemiSet(block, columns, minimum, d.rounding, d.large))
    return semi, whole, pairs


def _emergencies(blocks: list[Block], step_h: float) -> tuple[Ints, Floats]:
    """Columns that exist only so that a plan exists, and their weight towards kWh."""
    columns: list[Ints] = []
    weight: list[Floats] = []
    for block in blocks:
        for name in block.group.family.emergencies:
            c = block.columns(name)
            if c is not None:
                columns.append(c.ravel())
                weight.append(np.full(c.size, step_h if name.endswith("_kw") else 1.0))
    if not columns:
        return NONE, np.zeros(0)
    return np.concatenate(columns), np.concatenate(weight)


# --- pins ------------------------------------------------------------------------------------------------------------


def _pin(a: Assembly) -> None:
    """Hold pinned variables; a person's override wins over the device's own bounds."""
    pinned: list[Ints] = []
    for pin in a.inputs.pins:
        g, k = a.inputs.where[pin.asset]
        columns = a.blocks[g].columns(pin.variable)
        if columns is None:
            continue
        offset = int(a.blocks[g].group.offset[k])
        first, last = max(pin.first - offset, 0), min(pin.last - offset, columns.shape[1])
        held = columns[k, first : max(first, last)]
        a.lp.lower[held] = pin.value
        a.lp.upper[held] = pin.value
        pinned.append(held)
    if pinned:
        a.pinned = np.unique(np.concatenate(pinned))
        _shut_partners(a)


def _shut_partners(a: Assembly) -> None:
    """What a positive pin excludes cannot be used; two pins that exclude each other stay as they are."""
    for p in a.pairs:
        for held, other in ((p.first, p.second), (p.second, p.first)):
            shut = other[(a.lp.lower[held] > 0) & ~np.isin(other, a.pinned)]
            a.lp.upper[shut] = 0.0
