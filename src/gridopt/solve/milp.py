"""The whole problem for HiGHS's own branch and bound, where few decisions make it cheap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gridopt.assets.base import Floats, Ints
from gridopt.errors import UnboundedError
from gridopt.model.layout import SemiSet, WholeSet
from gridopt.model.programme import NONE, LinearProgram
from gridopt.solve.rounding import TOLERANCE
from gridopt.solve.session import INTEGER, Answer, Session


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
            self._add_switches(s)
        for w in whole:
            columns = w.columns.ravel()
            self.session.wholeness(columns, np.full(len(columns), INTEGER))

    def _add_switches(self, s: SemiSet) -> None:
        """One binary a column: minimum * u <= x <= upper * u. (HiGHS's own semi-continuous columns sometimes fail.)"""
        columns, least = s.columns.ravel(), s.minimum.ravel()
        lower, most = self.lower[columns], self.upper[columns]
        never = (most < least - TOLERANCE) & (lower <= 0)
        self.session.bounds(columns[never], np.zeros(int(never.sum())), np.zeros(int(never.sum())))
        free = (least > 0) & (most >= least - TOLERANCE) & (lower < most)
        x, least, most = columns[free], least[free], most[free]
        n = len(x)
        u = self.session.add_columns(np.zeros(n), np.ones(n), np.zeros(n))
        self.session.wholeness(u, np.full(n, INTEGER))
        pair, start, one = np.column_stack([x, u]).ravel(), np.arange(0, 2 * n, 2), np.ones(n)
        self.session.add_rows(np.full(n, -np.inf), np.zeros(n), start, pair, np.column_stack([one, -most]).ravel())
        self.session.add_rows(np.zeros(n), np.full(n, np.inf), start, pair, np.column_stack([one, -least]).ravel())
        self._binaries.append(lambda point: (point[x] > 0.5 * least).astype(np.float64))

    def exclude(self, first: Ints, second: Ints) -> None:
        """One binary a pair: first <= upper * u, second <= upper * (1 - u)."""
        known = set(zip(*self.excluded, strict=True))
        new = np.array([pair not in known for pair in zip(first, second, strict=True)], bool)
        first, second = first[new], second[new]
        n = len(first)
        if not n:
            return
        top_first, top_second = self.upper[first], self.upper[second]
        if not (np.isfinite(top_first).all() and np.isfinite(top_second).all()):
            raise UnboundedError(
                "selling is dearer than buying at a node without limits: give it an import_max_kw and an export_max_kw"
            )
        u = self.session.add_columns(np.zeros(n), np.ones(n), np.zeros(n))
        self.session.wholeness(u, np.full(n, INTEGER))
        start = np.arange(0, 2 * n, 2)
        pair = np.column_stack([first, u]).ravel()
        value = np.column_stack([np.ones(n), -top_first]).ravel()
        self.session.add_rows(np.full(n, -np.inf), np.zeros(n), start, pair, value)
        pair = np.column_stack([second, u]).ravel()
        value = np.column_stack([np.ones(n), top_second]).ravel()
        self.session.add_rows(np.full(n, -np.inf), top_second, start, pair, value)
        self._binaries.append(lambda point: (point[first] > point[second]).astype(np.float64))
        self.excluded = np.concatenate([self.excluded[0], first]), np.concatenate([self.excluded[1], second])

    def run(self, start: Floats | None, gap: float, limit: float) -> Answer:
        """Branch and bound; the answer's ``x`` is cut to the programme's own columns."""
        if limit <= 0.01:
            return Answer("limit", np.inf, -np.inf, np.zeros(0), np.zeros(0), np.zeros(0), 0, 0)
        if start is not None:
            self.session.start_from(np.concatenate([start, *(of(start) for of in self._binaries)]))
        answer = self.session.run(limit, gap)
        return replace(answer, x=answer.x[: self._columns])
