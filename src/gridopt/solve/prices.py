"""What one more kWh drawn would cost, at every node in every step.

A linear programme's duals are seldom unique: where a node stands idle, or at its limit, or where a store is not used,
any value of a range proves the same plan. The cost of one MORE kWh is the largest of them (R. T. Rockafellar, "Convex
Analysis", 1970, theorem 23.4: the derivative of the optimum in a direction is the largest value of the duals in it).
Nothing is solved again for it. Every price is raised until a device or a connection that may still move would rather
move; where that depends on another price, along a line or from step to step through a store, that one rises with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gridopt.assets.base import Floats, Ints
from gridopt.model.inputs import Commitment
from gridopt.model.layout import CommitmentColumns
from gridopt.solve.held import held
from gridopt.solve.ladder import Solution
from gridopt.solve.rounding import TOLERANCE

ROOM_KW = 1e-4
"""Less room than this is none: it is the tolerance of the emergencies' sum, spread over a step, and not to be used."""
DUAL_TOLERANCE = 1e-7
"""HiGHS's dual feasibility: a reduced cost further on the wrong side of zero tells that the search held the column."""


def marginal_prices(solution: Solution) -> Floats:
    """(N, T) what one more kWh drawn at each node in each step would cost [EUR/kWh]; inf where no more can be drawn.

    The decisions stay as they are, and so do the emergencies: a node that is closed, or stands at its limit with
    nothing below it that could give way, has no price. Never more than what a plan with a little more load there costs,
    and just that much, except where what answers is tied to three or more things at once: a comfort band's edge, a rule
    of the user, one peak below another, a contract over several nodes or steps. A lower value may stand there.
    """
    a = solution.assembly
    price = -solution.price[: len(a.lp.row_lower)]
    rise = np.maximum(_alone(solution), _with_stores(solution, price))
    nodes = np.array([n.balance for n in a.nodes])
    return np.asarray((price[nodes] + rise[nodes]) / a.inputs.axis.step_h)


# --- rising prices ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Moves:
    """How far prices may rise before a column would rather move.

    ``row``, ``column``, ``value``: the entries of the columns that may move; ``more``, ``less``: per column, what a
    unit more or less of it costs beyond its worth, inf where the column cannot go that way.
    """

    row: Ints
    column: Ints
    value: Floats
    more: Floats
    less: Floats

    def only(self, entries: npt.NDArray[np.bool_]) -> _Moves:
        return replace(self, row=self.row[entries], column=self.column[entries], value=self.value[entries])


def _moves(solution: Solution) -> _Moves:
    a, x, reduced = solution.assembly, solution.x, solution.reduced
    lower, upper = held(a, x)
    up = (x < upper - ROOM_KW) & (reduced >= -DUAL_TOLERANCE)
    down = (x > lower + ROOM_KW) & (reduced <= DUAL_TOLERANCE)
    m = a.lp.matrix().tocoo()
    free = (up | down)[m.col]
    row, column, value = m.row[free].astype(np.int64), m.col[free].astype(np.int64), m.data[free]
    # A row that nothing else moves in is a bound: an engine that is off stays off.
    at_low, at_high = _at_limits(solution)
    alone = (np.bincount(row, minlength=len(at_low))[row] == 1) & (row >= len(a.nodes) * a.inputs.axis.steps)
    rises, falls = np.where(value > 0.0, at_high[row], at_low[row]), np.where(value > 0.0, at_low[row], at_high[row])
    up[column[alone & rises]] = False
    down[column[alone & falls]] = False
    more = np.where(up, np.maximum(reduced, 0.0), np.inf)
    less = np.where(down, np.maximum(-reduced, 0.0), np.inf)
    free = (up | down)[column]
    return _Moves(row[free], column[free], value[free], more, less)


def _at_limits(solution: Solution) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(rows,) which rows stand at their lower limit, and which at their upper one."""
    lp = solution.assembly.lp
    flow = lp.matrix() @ solution.x
    return flow <= lp.row_lower + TOLERANCE, flow >= lp.row_upper - TOLERANCE


def _rise(m: _Moves, most: Floats) -> Floats:
    """(rows,) how far each price may rise, the others rising with it as far as they may.

    ``most``: what bounds each of them beside the columns. A column with one entry of either sign carries a rise from
    row to row; one with more of them shares out what it has, and carries nothing.
    """
    size = len(m.more)
    give, take = (np.bincount(m.column, np.maximum(s * m.value, 0.0), size) for s in (-1.0, 1.0))
    carries = (np.bincount(m.column, minlength=size) == 2) & (give > 0.0) & (take > 0.0)
    rise = most.copy()
    for sign, total, cost in ((-1.0, give, m.more), (1.0, take, m.less)):
        k = ~carries[m.column] & (sign * m.value > 0.0)
        np.minimum.at(rise, m.row[k], cost[m.column[k]] / total[m.column[k]])
    ends = np.zeros((2, size), np.int64)
    for side, sign in enumerate((-1.0, 1.0)):
        k = carries[m.column] & (sign * m.value > 0.0)
        ends[side, m.column[k]] = m.row[k]
    j = np.flatnonzero(carries)
    to, by = np.concatenate([ends[0, j], ends[1, j]]), np.concatenate([ends[1, j], ends[0, j]])
    cost = np.concatenate([m.more[j] / give[j], m.less[j] / take[j]])
    gain = np.concatenate([take[j] / give[j], give[j] / take[j]])
    live = np.isfinite(cost) & np.isfinite(rise[by])
    while live.any():
        lower = rise.copy()
        np.minimum.at(lower, to[live], cost[live] + gain[live] * rise[by[live]])
        sank = lower < rise - 1e-12
        rise = lower
        live = np.isfinite(cost) & sank[by]
    return rise


# --- stores ----------------------------------------------------------------------------------------------------------


def _with_stores(solution: Solution, price: Floats) -> Floats:
    """(rows,) rise of the prices where the worth of what devices store rises with them."""
    a = solution.assembly
    rows, nodes = len(price), len(a.nodes) * a.inputs.axis.steps
    at_low, at_high = _at_limits(solution)
    equal = a.lp.row_lower == a.lp.row_upper
    follows = (at_low | at_high) & (np.arange(rows) < min([a.rule_row, *(c.row for c in a.commitments)]))
    m = _moves(solution)
    m = m.only(follows[m.row])
    # Of a column that ties more than two rows together, the limits keep their price, so that it may carry the others'.
    tied = (np.bincount(m.column, minlength=len(m.more)) > 2)[m.column] & ~equal[m.row]
    follows[m.row[tied]] = False
    m = m.only(follows[m.row])
    sign = _directions(m, rows, nodes)
    most = np.full(rows, np.inf)
    for limit, other, side in ((at_low, at_high, 1.0), (at_high, at_low, -1.0)):
        ends = limit & ~other & (sign == side)  # the price of a limit does not change its sign
        most[ends] = np.maximum(-side * price[ends], 0.0)
    return _rise(replace(m, value=m.value * sign[m.row]), most)


def _directions(m: _Moves, rows: int, nodes: int) -> Floats:
    """(rows,) 1 where a price rises with the nodes' prices, -1 where it falls as they rise."""
    sign = np.zeros(rows)
    sign[:nodes] = 1.0
    order = np.argsort(m.column, kind="stable")
    row, column, value = m.row[order], m.column[order], m.value[order]
    first = np.flatnonzero(np.bincount(column)[column] == 2)[::2]
    one, two, turn = row[first], row[first + 1], -np.sign(value[first] * value[first + 1])
    while True:
        known = sign[one] != 0.0, sign[two] != 0.0
        on, back = known[0] & ~known[1], known[1] & ~known[0]
        if not (on.any() or back.any()):
            return np.where(sign == 0.0, 1.0, sign)
        sign[two[on]] = turn[on] * sign[one[on]]
        sign[one[back]] = turn[back] * sign[two[back]]


# --- one step alone, with peaks --------------------------------------------------------------------------------------


def _alone(solution: Solution) -> Floats:
    """(rows,) rise of the prices of one step alone, stores as they are; a peak's price may gather in that step."""
    a = solution.assembly
    every = np.full(len(a.lp.row_lower), np.inf)
    m = _moves(solution)
    m = m.only(m.row < len(a.nodes) * a.inputs.axis.steps)
    more, less = m.more.copy(), m.less.copy()
    spent = np.zeros(a.inputs.axis.steps)
    for c, columns in zip(a.inputs.commitments, a.commitments, strict=True):
        if c.measure == "peak" and len(c.flows) == 1 and c.flows[0].node is not None:
            _gather(solution, c, columns, m, more, less, spent)
    return _rise(replace(m, more=more, less=less), every)


def _gather(
    solution: Solution,
    c: Commitment,
    columns: CommitmentColumns,
    m: _Moves,
    more: Floats,
    less: Floats,
    spent: Floats,
) -> None:
    """Make a node's draw dearer in every step that shares a peak, by what the other steps' shares may fall.

    ``spent`` (T,): how far other peaks have lowered the prices of each step already.
    """
    a = solution.assembly
    node = a.nodes[a.inputs.node_index[c.flows[0].node or ""]]
    own = np.concatenate([node.net, node.import_, node.export])
    rows = np.arange(columns.row, columns.row + columns.rows)
    steps = np.flatnonzero(c.period >= 0)
    period, weight = c.period[steps], abs(c.flows[0].weight)
    entries = a.lp.matrix().tocsr()[rows]
    at_peak = entries @ solution.x >= a.lp.row_upper[rows] - TOLERANCE
    share = np.maximum(-solution.price[rows], 0.0)
    below = m.only(~np.isin(m.column, own))
    fall = _rise(replace(below, value=-below.value), np.full(len(a.lp.row_lower), np.inf))[node.balance[steps]]
    spare = np.where(at_peak, np.minimum(share, np.maximum(fall - spent[steps], 0.0) / weight), 0.0)
    spent[steps] += weight * spare
    others = np.bincount(period, spare, c.periods)[period] - spare
    room = np.where(at_peak, np.maximum(solution.reduced[columns.above[period]], 0.0) + others, 0.0)
    e = entries.tocoo()
    k = np.isin(e.col, own)
    dearer = e.data[k] * room[e.row[k]]
    more[e.col[k]] += np.maximum(dearer, 0.0)
    less[e.col[k]] += np.maximum(-dearer, 0.0)
