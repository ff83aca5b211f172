"""Districts much like a planned one, planned at little cost: its decisions kept, a bound beside them.

The plan's decisions, held, leave a linear programme, whose optimum is a plan of the other district too; the relaxation
of the other district is a bound on its best one. Both start from where they ended for the plan itself. Where the two
lie close together that is as good as a search; where they do not, nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from gridopt.assets.base import Floats
from gridopt.model.assemble import Assembly, assemble
from gridopt.model.inputs import Inputs
from gridopt.solve.held import held
from gridopt.solve.ladder import Solution
from gridopt.solve.rounding import TOLERANCE, both_ways, is_whole
from gridopt.solve.session import Answer, Session
from gridopt.solve.short import SHORT, weighted_sum

CENT_EUR = 0.005
SHARE = 0.02
"""Share of a difference that may be left open."""
LOOSER = 3.0
"""How many times what the plan itself leaves open may be left open in any case."""
MOST_CUTS = 5
"""How often directions are shut, and the programme solved again, before the search is left to others."""


def nearby(solution: Solution) -> Callable[[Inputs], Solution | None]:
    """What plans another district by keeping the plan's decisions; None where that does not tell enough."""
    a, x = solution.assembly, solution.x
    if weighted_sum(solution) > SHORT:
        return lambda _: None  # what another district falls short of is found by searching for it
    relaxed, around = _start(a, *_relaxed(a)), _start(a, *held(a, x))

    def plan(inputs: Inputs) -> Solution | None:
        other = assemble(inputs)
        if other.lp.shape[:2] != a.lp.shape[:2]:
            return None
        kept = _kept(other, x, around)
        if kept is None:
            return None
        bound = _run(other, *_relaxed(other), relaxed)[1]
        if bound.status != "optimal":
            return None
        found = Solution(
            other, kept.x, kept.price, kept.reduced, kept.objective, min(bound.objective, kept.objective),
            "within gap", "held", 0.0, None,
        )  # fmt: skip
        moved = abs(found.objective - solution.objective)
        return found if found.gap_eur <= max(LOOSER * solution.gap_eur, SHARE * moved, CENT_EUR) else None

    return plan


def _relaxed(a: Assembly) -> tuple[Floats, Floats]:
    """Bounds without emergencies but those that are pinned."""
    lower, upper = a.lp.lower.copy(), a.lp.upper.copy()
    shut = np.setdiff1d(a.emergencies, a.pinned)
    upper[shut] = np.maximum(lower[shut], 0.0)
    return lower, upper


def _run(a: Assembly, lower: Floats, upper: Floats, basis: Any) -> tuple[Session, Answer]:
    session = Session(replace(a.lp, lower=lower, upper=upper))
    if basis is not None:
        session.restore(basis)
    return session, session.run()


def _start(a: Assembly, lower: Floats, upper: Floats) -> Any:
    return _run(a, lower, upper, None)[0].basis()


def _kept(a: Assembly, x: Floats, basis: Any) -> Answer | None:
    """The best plan with a point's decisions; None where there is none, or it would go both ways somewhere."""
    lower, upper = held(a, x)
    if (lower > upper).any():
        return None
    session, answer = _run(a, lower, upper, basis)
    for _ in range(MOST_CUTS):
        if answer.status != "optimal" or is_whole(a, answer.x):
            break
        pairs = np.concatenate(both_ways(a, answer.x))
        idle = pairs[(x[pairs] <= TOLERANCE) & (upper[pairs] > 0.0) & (lower[pairs] <= 0.0)]
        upper[idle] = 0.0
        session.bounds(idle, lower[idle], upper[idle])
        answer = session.run()
    return answer if answer.status == "optimal" and is_whole(a, answer.x) else None
