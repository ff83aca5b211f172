"""Why a goal that has a price is missed: because no plan can meet it, or because meeting it costs more than it counts.

The least that any plan misses of it is bounded from below by the relaxation that minimises it alone. Whether it can be
met, and at what cost, is found by planning again with the goal before everything else that has a price.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gridopt.assets.base import Floats, Ints
from gridopt.errors import InfeasibleError, NoPlanError, UnboundedError
from gridopt.model.assemble import Assembly
from gridopt.solve.ladder import Solution, solve_around
from gridopt.solve.session import Session
from gridopt.solve.short import SHORT, weighted_sum

FIRST_EUR = 1e4
"""What a unit of the goal counts where it comes before everything else that has a price."""
SAME = 1e-3
"""Shares of what is missed that are alike."""


@dataclass(frozen=True)
class Reach:
    """How far a goal missed could be met.

    ``out_of_reach``: the share of what is missed that no plan can meet, at least. ``met``: the share that another plan
    was found to meet, which costs ``extra_eur`` more, what the goal counts taken off; 0 and NaN where none was found.
    """

    out_of_reach: float
    met: float = 0.0
    extra_eur: float = np.nan


def goal_columns(a: Assembly, name: str, quantity: str) -> Ints | None:
    """The columns that measure how far a goal is missed: of an asset, or of a commitment (``above``, ``below``, …)."""
    if name in a.inputs.where:
        g, k = a.inputs.where[name]
        columns = a.blocks[g].columns(quantity)
        return None if columns is None else columns[k].ravel()
    for c, place in zip(a.inputs.commitments, a.commitments, strict=True):
        if c.id == name:
            side = place.over if c.measure == "hours" else place.above if (c.price_above > 0).any() else place.below
            return side[side >= 0]
    return None


def reach(solution: Solution, columns: Ints) -> Reach | None:
    """How far the goal that ``columns`` measure could be met; None where the plan does not miss it."""
    a, x = solution.assembly, solution.x
    missed = float(x[columns].sum())
    if missed <= SHORT:
        return None
    least = _least(solution, columns) / missed
    if least >= 1.0 - SAME:
        return Reach(1.0)
    other = _goal_first(solution, columns)
    met = 0.0 if other is None else 1.0 - float(other[columns].sum()) / missed
    if other is None or met <= SAME:
        return Reach(max(least, 0.0))
    return Reach(max(least, 0.0), min(met, 1.0), float(a.lp.cost @ (other - x)))


def _least(solution: Solution, columns: Ints) -> float:
    """The least sum of the columns with every decision relaxed, the emergencies no worse than the plan's."""
    a = solution.assembly
    session = Session(replace(a.lp, cost=_only(a, columns), offset=0.0))
    if len(a.emergencies):
        most = weighted_sum(solution) + SHORT
        session.add_rows(np.array([-np.inf]), np.array([most]), np.array([0]), a.emergencies, a.emergency_weight)
    answer = session.run()
    return answer.objective if answer.status == "optimal" else 0.0


def _only(a: Assembly, columns: Ints) -> Floats:
    cost = np.zeros_like(a.lp.cost)
    cost[columns] = 1.0
    return cost


def _goal_first(solution: Solution, columns: Ints) -> Floats | None:
    """Another plan that meets the goal as far as it can; None where none was found."""
    a = solution.assembly
    first = replace(a, lp=replace(a.lp, cost=a.lp.cost + FIRST_EUR * _only(a, columns)))
    try:
        return solve_around(first, solution.x, weighted_sum(solution))
    except (InfeasibleError, NoPlanError, UnboundedError):
        return None
