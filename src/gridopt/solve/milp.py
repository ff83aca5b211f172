"""The whole problem for HiGHS's own branch and bound, where few decisions make it cheap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gridopt.assets.base import Floats, Ints
from gridopt.model.layout import SemiSet, WholeSet
from gridopt.model.programme import NONE, LinearProgram
from gridopt.solve import binaries
from gridopt.solve.session import Answer, Session

NOTHING = Answer("limit", np.inf, -np.inf, np.zeros(0), np.zeros(0), np.zeros(0), 0, 0)


class Milp:
    """A second HiGHS object for branch and bound, with binaries for excluded pairs added as they are needed."""

    def __init__(
        self, lp: LinearProgram, lower: Floats, upper: Floats, semi: list[SemiSet], whole: list[WholeSet]
    ) -> None:
        self.lower, self.upper = lower, upper
        self._columns = len(lp.cost)
        self.session = Session(lp)
        self.session.bounds(np.arange(self._columns), lower, upper)
        self.session.option("mip_allow_restart", False)  # a restart repeats the root's work: measured 1.7 × slower
        self._binaries: list[Callable[[Floats], Floats]] = []
        self.excluded: tuple[Ints, Ints] = (NONE, NONE)
        for s in semi:
            self._may_rest(s)
        for w in whole:
            binaries.whole(self.session, w.columns.ravel())

    def _may_rest(self, s: SemiSet) -> None:
        columns, least = s.columns.ravel(), s.minimum.ravel()
        free, _ = binaries.may_rest(self.session, columns, least, self.lower, self.upper)
        half = 0.5 * least[np.isin(columns, free)]
        self._binaries.append(lambda point: (point[free] > half).astype(np.float64))

    def exclude(self, first: Ints, second: Ints) -> None:
        """Never both of a pair, from now on. Their upper bounds are finite."""
        known = set(zip(*self.excluded, strict=True))
        new = np.array([pair not in known for pair in zip(first, second, strict=True)], bool)
        first, second = first[new], second[new]
        if len(first):
            binaries.exclude(self.session, first, second, self.upper)
            self._binaries.append(lambda point: (point[first] > point[second]).astype(np.float64))
            self.excluded = np.concatenate([self.excluded[0], first]), np.concatenate([self.excluded[1], second])

    def run(self, start: Floats | None, slack: float, limit: float, nodes: int | None = None) -> Answer:
        """Branch and bound until ``slack`` [the objective's unit] is left; ``x`` has the programme's own columns.

        ``limit`` seconds end it with the status "limit", or so many ``nodes``.
        HiGHS 1.15 at times reports a point it was handed as optimal after presolve, without a search and with that
        point's objective as the bound (1 start in about 1,000): such an answer is asked for again without the start.
        """
        if limit <= 0.01:
            return NOTHING
        if nodes is not None:
            self.session.option("mip_max_nodes", nodes)
        if start is not None:
            self.session.start_from(np.concatenate([start, *(of(start) for of in self._binaries)]))
        answer = self.session.run(limit, slack=slack)
        if start is not None and answer.status == "optimal" and answer.nodes == 0:
            self.session.forget()
            again = self.session.run(limit, slack=slack)
            known = again if again.objective <= answer.objective else answer
            answer = replace(known, status=again.status, bound=again.bound, pivots=answer.pivots + again.pivots)
        return replace(answer, x=answer.x[: self._columns])
