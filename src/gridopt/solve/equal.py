"""What a day would have cost that ends as another one does: the same in its stores, as much in the cars that stay.

Two days compare fairly only when both leave tomorrow the same. What a store holds more is not worth one price a kWh
(the first kWh is the cheapest to come by), so the day is planned once more with the other one's end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from gridopt.assets.base import Floats, Ints
from gridopt.errors import InfeasibleError, NoPlanError
from gridopt.model.assemble import Assembly
from gridopt.model.layout import Block
from gridopt.model.programme import LinearProgram
from gridopt.solve.ladder import Solution, solve_around
from gridopt.verify import Trace

SLACK = 1e-6
"""How much less [of each stock's unit] counts as the same: what two summations of one day differ by."""


def ending_like(solution: Solution, other: Trace) -> Floats | None:
    """The columns of a plan that leaves no less than ``other``, ``solution``'s large decisions kept where they can be.

    Its cost is an upper bound of the least one. None where no such plan is found: the other day did what no plan may.
    """
    a = solution.assembly
    try:
        return solve_around(_with_ends(a, other), solution.x, _other_emergencies(a, solution))
    except (InfeasibleError, NoPlanError):
        return None


def _with_ends(a: Assembly, other: Trace) -> Assembly:
    """The programme with its stocks' ends as ``other`` left them in place of its own goals."""
    lp = a.lp
    lower, upper, cost = lp.lower.copy(), lp.upper.copy(), lp.cost.copy()
    for block, steps in zip(a.blocks, other.steps, strict=True):
        for state, sign in block.group.family.stocks.items():
            columns = block.columns(state)
            if columns is None:
                continue
            here = block.group.offset + block.group.steps == a.inputs.axis.steps
            way = np.broadcast_to(block.group.columns[sign] if isinstance(sign, str) else sign, len(columns))[here]
            last = columns[here, -1]
            end = np.clip(steps[state][here, -1] - way * SLACK, lower[last], upper[last])
            lower[last[way > 0]], upper[last[way < 0]] = end[way > 0], end[way < 0]
    free = _goals(a)
    upper[free], cost[free] = np.inf, 0.0
    kept = ~np.isin(a.emergencies, free)
    rows = [_drawn(a, block, steps) for block, steps in zip(a.blocks, other.steps, strict=True)]
    return replace(
        a,
        lp=_with_rows(replace(lp, lower=lower, upper=upper, cost=cost), [r for some in rows for r in some]),
        emergencies=a.emergencies[kept],
        emergency_weight=a.emergency_weight[kept],
    )


def _goals(a: Assembly) -> Ints:
    """Columns that measure how far an end goal is missed: the other day's end takes the goals' place."""
    found = [
        block.columns(v.name).ravel()  # type: ignore[union-attr]
        for block in a.blocks
        for v in block.template.variables
        if v.name.startswith("end_short")
    ]
    return np.concatenate([np.zeros(0, np.int64), *found])


def _other_emergencies(a: Assembly, solution: Solution) -> float:
    """The plan's emergencies, end goals aside [kWh]."""
    kept = ~np.isin(a.emergencies, _goals(a))
    return float(a.emergency_weight[kept] @ solution.x[a.emergencies[kept]])


def _drawn(a: Assembly, block: Block, steps: dict[str, Floats]) -> Iterator[tuple[Ints, Floats, float]]:
    """Rows (columns, coefficients, least value): devices with goals beyond the horizon draw no less here than there."""
    group, step_h = block.group, a.inputs.axis.step_h
    goes_on = group.family.goes_on(group.columns)
    if goes_on is None:
        return
    numbers = block.template.numbers(group.columns, step_h, group.n)
    for port in group.family.ports:
        terms, _ = block.template.ports[port.name]
        value = terms.value.evaluate(numbers)
        for k in np.flatnonzero(goes_on):
            least = float(steps[f"{port.name}_kw"][k].sum()) * step_h
            columns = block.first + k * block.template.width + terms.column
            yield columns, step_h * value[k], least - SLACK


def _with_rows(lp: LinearProgram, rows: list[tuple[Ints, Floats, float]]) -> LinearProgram:
    """The programme with rows that say: at least so much."""
    if not rows:
        return lp
    where = np.repeat(np.arange(len(rows)), [len(columns) for columns, _, _ in rows])
    columns, values = np.concatenate([r[0] for r in rows]), np.concatenate([r[1] for r in rows])
    more = sp.csr_array((values, (where, columns)), shape=(len(rows), len(lp.cost)))
    matrix = sp.vstack([lp.matrix(), more], format="csc")
    return replace(
        lp,
        row_lower=np.concatenate([lp.row_lower, [r[2] for r in rows]]),
        row_upper=np.concatenate([lp.row_upper, np.full(len(rows), np.inf)]),
        start=matrix.indptr.astype(np.int32),
        index=matrix.indices.astype(np.int32),
        value=matrix.data,
    )
