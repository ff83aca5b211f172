"""Best-first branch and bound over the large decisions alone, on the warm LP of the whole district.

One engine leaves a relaxation gap of several per cent that no rounding can close. HiGHS's own branch and bound spends
its time on cuts and sub-MILPs of the large LP; here a node is one warm dual simplex run from its parent's basis
(some hundred pivots), and the decisions branched on are counts (``starts so far``) as well as states: half the day
is decided at once. All small decisions stay relaxed; the bound holds for the whole problem.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridopt.assets.base import Floats, Ints
from gridopt.model.assemble import SemiSet, WholeSet
from gridopt.solve.session import Answer, Session

TOLERANCE = 1e-6
PERTURBATION = "dual_simplex_cost_perturbation_multiplier"


@dataclass
class _Node:
    """A part of the decisions. ``x`` None: the LP stopped at ``bound`` and is solved if the search comes back to it."""

    bound: float
    lower: Floats
    upper: Floats
    x: Floats | None
    basis: Any


class Branch:
    """A resumable search; ``best`` is the best point whose large decisions are whole, ``bound`` what is proven."""

    def __init__(
        self,
        session: Session,
        mate: Session,
        relaxed: Answer,
        lower: Floats,
        upper: Floats,
        semi: list[SemiSet],
        whole: list[WholeSet],
        pairs: tuple[Ints, Ints],
        count: Callable[[Answer], None],
    ) -> None:
        """``session`` holds the LP with the bounds ``lower``, ``upper`` and was just solved to ``relaxed``.

        ``mate`` holds the same LP, for the other one of two parts: they are solved side by side.
        """
        self.session, self._mate, self._count = session, mate, count
        first, second = pairs
        none = np.zeros(0, np.int64)
        sets = [w.columns for w in whole]
        guides = [g for w in whole for g in w.guides]
        whole_columns = np.concatenate([none, *(c.ravel() for c in sets + guides)])
        self._decided_by = slice(0, sum(c.size for c in sets))
        semi_columns = np.concatenate([none, *(s.columns.ravel() for s in semi)])
        self._least = np.concatenate([np.zeros(0), *(s.minimum.ravel() for s in semi)])
        pair_columns = np.concatenate([first, second])
        self.columns = np.concatenate([whole_columns, semi_columns, pair_columns])
        self._whole = slice(0, len(whole_columns))
        self._semi = slice(len(whole_columns), len(whole_columns) + len(semi_columns))
        start = self._semi.stop
        self._first = slice(start, start + len(first))
        self._second = slice(start + len(first), start + 2 * len(first))
        devices = [row for c in [*sets, *guides, *(s.columns for s in semi)] for row in c]
        rows = [np.full(len(row), k) for k, row in enumerate(devices)]
        # A fractional plateau is cut in its middle; plateaus end where another device or variable begins.
        self._row = np.concatenate([*rows, np.full(len(first), len(rows))]) if rows else np.zeros(len(first))
        self._own = (lower[self.columns].copy(), upper[self.columns].copy())
        root = _Node(relaxed.objective, *self._own, relaxed.x[self.columns], session.basis())
        self._order = itertools.count()
        self._open: list[tuple[float, int, _Node]] = []
        self.best: Answer | None = None
        self.nodes = self.pivots = 0
        if self._undecided(relaxed.x[self.columns]):
            self._open.append((root.bound, next(self._order), root))
        else:
            self.best = relaxed

    @property
    def bound(self) -> float:
        """No plan can cost less."""
        least = self._open[0][0] if self._open else np.inf
        return min(least, self.best.objective) if self.best is not None else least

    def run(self, ceiling: float, slack: float, until: float, most: float = np.inf) -> None:
        """Search until nothing open lies more than ``slack`` EUR below the best point, or the clock says stop.

        ``ceiling``: objective of a plan already known (inf = none); points above it are of no use. ``most``: pivots
        in all after which nothing is begun any more.
        """
        # Nodes start warm a few hundred pivots from their optimum: perturbed costs only have to be undone again.
        for session in (self.session, self._mate):
            session.option(PERTURBATION, 0.0)
        try:
            while self._open and time.perf_counter() < until and self.pivots < most:
                if self._open[0][0] >= self._top(ceiling) - slack:
                    break
                self._dive(heapq.heappop(self._open)[2], ceiling, slack, until)
        finally:
            for session in (self.session, self._mate):
                session.option(PERTURBATION, 1.0)
            self.session.bounds(self.columns, *self._own)

    def _dive(self, node: _Node, ceiling: float, slack: float, until: float) -> None:
        """Follow the better child down to a whole point or to where it cannot pay; leave the others open."""
        going: _Node | None = node
        while going is not None:
            node, x = going, going.x
            if time.perf_counter() >= until:
                heapq.heappush(self._open, (node.bound, next(self._order), node))
                return
            parts = [(node.lower, node.upper)] if x is None else self._split(node, x)
            found = self._solve(node, parts, self._top(ceiling) - slack)
            top = self._top(ceiling)
            children = sorted((c for c in found if c.bound < top), key=lambda c: c.bound)
            going = next((c for c in children if c.x is not None and c.bound < top - slack), None)
            for child in children:
                if child is not going:
                    heapq.heappush(self._open, (child.bound, next(self._order), child))

    def _top(self, ceiling: float) -> float:
        """Cost of the best plan known."""
        return min(ceiling, self.best.objective if self.best is not None else np.inf)

    def _solve(self, parent: _Node, parts: list[tuple[Floats, Floats]], cutoff: float) -> list[_Node]:
        """The parts' LPs, side by side; without those that have no plan, or a whole one, kept if the best so far."""
        with ThreadPoolExecutor(1) as beside:  # HiGHS lets go of the interpreter while it runs
            others = [beside.submit(_warm, self._mate, self.columns, part, parent.basis, cutoff) for part in parts[1:]]
            solved = [_warm(self.session, self.columns, parts[0], parent.basis, cutoff), *(o.result() for o in others)]
        found = [self._node(parent, part, *s, cutoff) for part, s in zip(parts, solved, strict=True)]
        return [n for n in found if n is not None]

    def _node(
        self, parent: _Node, part: tuple[Floats, Floats], answer: Answer, basis: Any, cutoff: float
    ) -> _Node | None:
        self.nodes += 1
        self.pivots += answer.pivots
        self._count(answer)
        if answer.status == "cutoff":
            return _Node(max(cutoff, parent.bound), *part, None, parent.basis)
        if answer.status != "optimal":
            return None
        x = answer.x[self.columns]
        if not self._undecided(x):
            if self.best is None or answer.objective < self.best.objective:
                self.best = answer
            return None
        return _Node(max(answer.objective, parent.bound), *part, x, basis)

    def _undecided(self, x: Floats) -> bool:
        fraction = self._fractions(x)
        fraction[self._decided_by.stop : self._whole.stop] = 0.0  # guides may stay free where all else is whole
        return bool((fraction > TOLERANCE).any())

    def _fractions(self, x: Floats) -> Floats:
        """How undecided every whole column, semi-continuous column and pair is, 0..0.5."""
        w = x[self._whole]
        whole = np.abs(w - np.round(w))
        power = x[self._semi]
        share = power / np.maximum(self._least, TOLERANCE)
        between = (power > TOLERANCE) & (power < self._least - TOLERANCE)
        semi = np.where(between, np.minimum(share, 1 - share), 0.0).clip(0)
        first, second = x[self._first], x[self._second]
        pair = np.minimum(first, second) / np.maximum(first + second, 1e-9)
        return np.concatenate([whole, semi, np.where(np.minimum(first, second) > TOLERANCE, pair, 0.0)])

    def _split(self, node: _Node, x: Floats) -> list[tuple[Floats, Floats]]:
        """Two parts that share out the node's points: the middle of the widest doubt goes one way or the other."""
        fraction = self._fractions(x)
        peak = int(fraction.argmax())
        plateau = np.flatnonzero((fraction > 0.7 * fraction[peak]) & (self._row == self._row[peak]))
        k = int(plateau[len(plateau) // 2])
        low, high = (node.lower, node.upper.copy()), (node.lower.copy(), node.upper)
        if k < self._semi.start:
            low[1][k], high[0][k] = np.floor(x[k]), np.ceil(x[k])
        elif k < self._semi.stop:
            low[1][k], high[0][k] = 0.0, self._least[k - self._semi.start]
        else:
            other = node.upper.copy()
            pair = k - self._first.start
            low[1][self._second.start + pair] = 0.0
            other[self._first.start + pair] = 0.0
            return [low, (node.lower, other)]
        return [low, high]


def _warm(
    session: Session, columns: Ints, part: tuple[Floats, Floats], basis: Any, cutoff: float
) -> tuple[Answer, Any]:
    """A part's LP from its parent's basis, and the basis it ends with."""
    session.bounds(columns, *part)
    session.restore(basis)
    answer = session.run(cutoff=cutoff if np.isfinite(cutoff) else None)
    return answer, session.basis()
