"""What is left between a plan and what is proven, over the money that flows.

gap = (objective - bound) / max(|bound - penalties|, 1 % of the gross cash flow, 0.1 % of the penalties)             (1)

Penalties stand for goals missed at prices that someone thought up; a promise that nobody can keep would make any gap
look small. So they count in the numerator alone. The cash flow keeps the gap meaningful where income cancels cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gridopt.assets.base import Floats, Ints
from gridopt.model.assemble import Assembly
from gridopt.model.inputs import Commitment
from gridopt.model.layout import CommitmentColumns

OF_FLOW, OF_PENALTIES = 0.01, 0.001


@dataclass(frozen=True)
class Gauge:
    """A programme's costs and, among them, its penalties: per column, and the constants."""

    cost: Floats
    offset: float
    penalty: Floats
    constant: float

    def penalties(self, x: Floats) -> float:
        """What the goals missed at a point cost [EUR]."""
        return float(self.penalty @ x) + self.constant

    def size(self, x: Floats, bound: float) -> float:
        """What a gap is relative to, the denominator of (1) [EUR]."""
        penalties = self.penalties(x)
        flow = float(np.abs((self.cost - self.penalty) * x).sum()) + abs(self.offset - self.constant)
        return max(abs(bound - penalties), OF_FLOW * flow, OF_PENALTIES * abs(penalties), 1e-9)

    def gap(self, x: Floats, objective: float, bound: float) -> float:
        """(1); 0 where the bound lies above the objective by a solver's tolerance."""
        return max(objective - bound, 0.0) / self.size(x, bound)


def gauge(a: Assembly) -> Gauge:
    """The gauge of a district's programme."""
    penalty, constant = np.zeros(len(a.lp.cost)), 0.0
    for block in a.blocks:
        group, t = block.group, block.template
        numbers = t.numbers(group.columns, a.inputs.axis.step_h, group.n)
        columns = block.first + np.arange(group.n * t.width).reshape(group.n, t.width)
        for cost in group.family.costs:
            if cost.kind == "penalty" and cost.name in t.costs:
                terms, fixed = t.costs[cost.name]
                if len(terms.column):
                    penalty[columns[:, terms.column]] += terms.value.evaluate(numbers)
                constant += float(fixed.evaluate(numbers).sum())
    for c, where in zip(a.inputs.commitments, a.commitments, strict=True):
        if c.kind == "penalty":
            for columns, price in _priced(a, c, where):
                penalty[columns] += price
    return Gauge(a.lp.cost, a.lp.offset, penalty, constant)


def _priced(a: Assembly, c: Commitment, where: CommitmentColumns) -> Iterator[tuple[Ints, Floats]]:
    """Columns of a commitment, and what each costs for it."""
    if not c.is_boundary_price:
        for own in (where.above, where.below, where.over):
            columns = own[own >= 0]
            yield columns, a.lp.cost[columns]
    elif c.flows[0].node is not None:
        node, step_h = a.nodes[a.inputs.node_index[c.flows[0].node]], a.inputs.axis.step_h
        if len(node.import_):
            yield node.import_, step_h * c.price_above
            yield node.export, step_h * c.price_below
        elif len(node.net):
            yield node.net, step_h * np.where(a.lp.lower[node.net] < 0, -c.price_below, c.price_above)
