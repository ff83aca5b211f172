"""The solver's rungs: LP → rounding → restricted MILP → full MILP; the published plan is always an LP.

1. The LP relaxation; its objective is a proven bound. If it keeps every decision it is the optimum.
2. Rounding of the decisions, both-ways flows cut where they occur, and a warm LP with the decisions held.
3. With large decisions (an engine, a node's direction) that do not average out: a MILP over those alone, all else
   relaxed; its bound is the proof. Small decisions are rounded afterwards.
4. Where the gap is missed, or few decisions make it cheap: the full MILP, started from the best point so far.

Emergencies (variables that exist only so that a plan exists) are shut at first; if no plan exists without them their
weighted sum is minimised before money is looked at, so that no huge penalty ever hides a gap.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from gridopt.assets.base import Floats, Ints
from gridopt.errors import InfeasibleError, NoPlanError, SolverError
from gridopt.model.assemble import Assembly, SemiSet, WholeSet, assemble
from gridopt.model.inputs import Inputs
from gridopt.solve.branch import Branch
from gridopt.solve.rounding import both_ways, is_whole, round_semi, round_whole
from gridopt.solve.session import INTEGER, SEMI, Answer, Session

Status = Literal["optimal", "within gap", "time-limited"]
Tell = Callable[[str], None]
OPTIMAL_GAP = 1e-6


@dataclass(frozen=True)
class Solution:
    """A plan's numbers before anyone has checked them.

    ``x``: column values; ``price``, ``reduced``: duals of the final LP, decisions held. ``emergency``: the least
    weighted sum of emergencies [kWh], 0 on a normal day. ``rung`` names what proved the bound, ``stopped_by`` is
    "clock" when a wall-clock limit ended a search. ``seconds`` and ``counters`` are per phase.
    """

    assembly: Assembly
    x: Floats
    price: Floats
    reduced: Floats
    objective: float
    bound: float
    status: Status
    rung: str
    emergency: float
    stopped_by: str | None
    seconds: dict[str, float] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def gap_eur(self) -> float:
        return max(self.objective - self.bound, 0.0)

    @property
    def gap(self) -> float:
        return relative_gap(self.assembly, self.x, self.objective, self.bound)


def relative_gap(a: Assembly, x: Floats, objective: float, bound: float) -> float:
    """gap_eur / max(|bound|, 1 % of the gross cash flow): stays meaningful when income cancels cost."""
    gross = float(np.abs(a.lp.cost * x).sum()) + abs(a.lp.offset)
    return max(objective - bound, 0.0) / max(abs(bound), 0.01 * gross, 1e-9)


def solve(inputs: Inputs, tell: Tell | None = None, until: float | None = None) -> Solution:
    """Plan a district. Raises InfeasibleError (with its explanation) or NoPlanError.

    ``tell`` hears what is being done, in words; ``until`` is a ``time.perf_counter`` value that ends all searches.
    """
    return _Search(inputs, tell or (lambda _: None), until).run()


class _Search:
    def __init__(self, inputs: Inputs, tell: Tell, until: float | None) -> None:
        self.inputs, self.tell = inputs, tell
        self.seconds: dict[str, float] = {}
        self.counters = {"pivots": 0, "nodes": 0, "lps": 0, "milps": 0}
        self.stopped_by: str | None = None
        self.emergency = 0.0
        self._mark = time.perf_counter()
        self.a = assemble(inputs)
        self._lap("assemble")
        self.session = Session(self.a.lp)
        self.lower, self.upper = self.a.lp.lower.copy(), self.a.lp.upper.copy()
        self._shut = np.setdiff1d(self.a.emergencies, self.a.pinned)
        self.lower[self._shut] = self.upper[self._shut] = 0.0
        self.session.bounds(self._shut, self.lower[self._shut], self.upper[self._shut])
        self._lap("pass")
        limit = time.perf_counter() + inputs.target.time_limit_s
        self.until = limit if until is None else min(limit, until)

    def _lap(self, phase: str) -> None:
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._mark
        self._mark = now

    def _left(self) -> float:
        return self.until - time.perf_counter()

    def _count(self, answer: Answer, kind: str) -> Answer:
        self.counters["pivots"] += answer.pivots
        self.counters["nodes"] += answer.nodes
        self.counters[kind] += 1
        return answer

    # --- the rungs ---

    def run(self) -> Solution:
        relaxed = self._relaxation()
        self._lap("lp")
        bound, target = relaxed.objective, self.inputs.target
        if is_whole(self.a, relaxed.x):
            return self._finish(relaxed, bound, "lp")
        self.tell("rounding the decisions")
        best = self._hold(relaxed, self.a.semi, self.a.whole)
        rung = "rounding"
        self._lap("rounding")
        if self._missed(best, bound) and self._large_count():
            self.tell("deciding the large units")
            best, bound = self._restricted(relaxed, best, bound)
            rung = "restricted MILP"
            self._lap("restricted milp")
        few = self._decision_count() <= target.exact_decisions
        wanted = target.exact_gap if few else target.gap
        if best is None or relative_gap(self.a, best.x, best.objective, bound) > wanted:
            limit = min(self._left(), target.exact_limit_s) if best is not None and few else self._left()
            if best is None or few or self._missed(best, bound):
                self.tell("searching the last bit of the gap")
                best, bound = self._full(best, bound, wanted, limit)
                rung = "full MILP"
                self._lap("full milp")
        if best is None:
            raise NoPlanError("no plan was found within {limit:g} s", limit=target.time_limit_s)
        return self._finish(best, bound, rung)

    def _missed(self, answer: Answer | None, bound: float) -> bool:
        return answer is None or relative_gap(self.a, answer.x, answer.objective, bound) > self.inputs.target.gap

    def _finish(self, best: Answer, bound: float, rung: str) -> Solution:
        gap = relative_gap(self.a, best.x, best.objective, bound)
        status: Status = "time-limited"
        if gap <= OPTIMAL_GAP:
            status = "optimal"
        elif gap <= self.inputs.target.gap:
            status = "within gap"
        rows, columns, nonzeros = self.a.lp.shape
        counters = {"rows": rows, "columns": columns, "nonzeros": nonzeros, "decisions": self._decision_count()}
        return Solution(
            self.a, best.x, best.price, best.reduced, best.objective, min(bound, best.objective), status, rung,
            self.emergency, self.stopped_by, self.seconds, counters | self.counters,
        )  # fmt: skip

    # --- rung 1: the relaxation, and emergencies where nothing else helps ---

    def _relaxation(self) -> Answer:
        self.tell("solving the relaxation")
        answer = self._count(self.session.run(), "lps")
        if answer.status == "unbounded":
            raise SolverError(
                "the plan could earn without end: some price pays for a flow that nothing limits. Give every root "
                "node with selling dearer than buying an import_max_kw and an export_max_kw"
            )
        if answer.status == "optimal":
            return answer
        self.tell("no plan without shortfalls: looking for the least one")
        return self._least_emergency()

    def _least_emergency(self) -> Answer:
        """Open the emergencies, minimise their weighted sum, keep it, then minimise money."""
        a, e = self.a, self._shut
        if len(e):
            self.lower[e], self.upper[e] = a.lp.lower[e], a.lp.upper[e]
            self.session.bounds(e, self.lower[e], self.upper[e])
            all_columns = np.arange(len(a.lp.cost))
            wanted = np.zeros(len(a.lp.cost))
            wanted[a.emergencies] = a.emergency_weight
            self.session.costs(all_columns, wanted)
            answer = self._count(self.session.run(), "lps")
            self.session.costs(all_columns, a.lp.cost)
            if answer.status == "optimal":
                self.emergency = max(float(wanted @ answer.x), 0.0)
                self._cap(self.session)
                return self._count(self.session.run(), "lps")
        from gridopt.solve.infeasible import explain

        explanation = explain(a)
        raise InfeasibleError("{words}", explanation=explanation, words=explanation.words)

    def _cap(self, session: Session) -> None:
        """Hold the emergencies' weighted sum at its least value."""
        if self.emergency > 0:
            most = self.emergency * (1 + 1e-7) + 1e-6
            session.add_rows(
                np.array([-np.inf]), np.array([most]), np.array([0]), self.a.emergencies, self.a.emergency_weight
            )

    # --- rung 2: decisions held in the LP ---

    def _hold(self, point: Answer, semi: list[SemiSet], whole: list[WholeSet]) -> Answer | None:
        """The LP with the given sets rounded at ``point``, and both-ways flows cut; None when it has no plan.

        Leaves the session's bounds as they were.
        """
        touched: list[Ints] = []

        def hold(columns: Ints, lower: Floats, upper: Floats) -> None:
            self.session.bounds(columns, lower, upper)
            touched.append(columns)

        for s in semi:
            columns, lower, upper = round_semi(s, point.x, self.upper, self._node_price(s, point.price))
            hold(columns, np.maximum(lower, self.lower[columns]), np.minimum(upper, self.upper[columns]))
        for w in whole:
            columns, lower, upper = round_whole(w, point.x, self.upper)
            free = self.lower[columns] < self.upper[columns]
            hold(columns[free], lower[free], upper[free])
        hold(*self._cut(point.x))
        answer = self._count(self.session.run(), "lps")
        for _ in range(20):
            if answer.status != "optimal":
                break
            columns, lower, upper = self._cut(answer.x)
            if not len(columns):
                break
            hold(columns, lower, upper)
            answer = self._count(self.session.run(), "lps")
        back = np.concatenate(touched) if touched else np.zeros(0, np.int64)
        self.session.bounds(back, self.lower[back], self.upper[back])
        return answer if answer.status == "optimal" and is_whole(self.a, answer.x) else None

    def _cut(self, x: Floats) -> tuple[Ints, Floats, Floats]:
        """The weaker side of every pair that is used both ways, held at zero."""
        first, second = both_ways(self.a, x)
        weaker = np.where(x[first] >= x[second], second, first)
        return weaker, np.zeros(len(weaker)), np.zeros(len(weaker))

    def _node_price(self, s: SemiSet, price: Floats) -> Floats:
        """(n, steps) marginal value at the device's first node, EUR per kW over the step; zeros without duals."""
        group = s.block.group
        if not len(price):
            return np.zeros(s.columns.shape)
        rows = np.array([n.balance for n in self.a.nodes])
        at_node = rows[group.nodes[group.family.ports[0].name]]
        return np.take_along_axis(price[at_node], group.offset[:, None] + np.arange(group.steps), 1)

    # --- rung 3: the large decisions alone ---

    def _large(self) -> tuple[list[SemiSet], list[WholeSet]]:
        return [s for s in self.a.semi if s.large], [w for w in self.a.whole if w.large]

    def _large_count(self) -> int:
        semi, whole = self._large()
        pairs = sum(int(p.needed.sum()) for p in self.a.pairs)
        return sum(s.columns.size for s in semi) + sum(w.columns.size for w in whole) + pairs

    def _decision_count(self) -> int:
        return sum(s.columns.size for s in self.a.semi) + sum(w.columns.size for w in self.a.whole)

    def _restricted(self, relaxed: Answer, best: Answer | None, bound: float) -> tuple[Answer | None, float]:
        """Branch and bound over the large decisions; the small ones are rounded around its best point.

        The gap wanted is shared: what rounding costs is measured at the first point, the search proves the rest.
        """
        semi, whole = self._large()
        again = self._count(self.session.run(), "lps")
        search = Branch(
            self.session, again, self.lower, self.upper, semi, whole, self._needed_pairs(),
            lambda answer: self._note(answer),
        )  # fmt: skip
        gap = self.inputs.target.gap
        for share in (0.6, 0.3, 0.1):
            ceiling = best.objective if best is not None else np.inf
            search.run(ceiling, share * gap * self._size(relaxed, bound), self.until)
            bound = max(bound, search.bound)
            if search.best is not None:
                held = self._hold_values(search.best, semi, whole)
                if held is not None and (best is None or held.objective < best.objective):
                    best = held
            if self._left() <= 0:
                self.stopped_by = "clock"
                break
            if not self._missed(best, bound):
                break
        return best, bound

    def _note(self, answer: Answer) -> None:
        self._count(answer, "lps")
        self.counters["nodes"] += 1

    def _size(self, point: Answer, bound: float) -> float:
        """What a gap is relative to [EUR]."""
        return 1.0 / max(relative_gap(self.a, point.x, bound + 1.0, bound), 1e-12)

    def _needed_pairs(self) -> tuple[Ints, Ints]:
        first = [p.first[p.needed] for p in self.a.pairs]
        second = [p.second[p.needed] for p in self.a.pairs]
        none = np.zeros(0, np.int64)
        return np.concatenate([none, *first]), np.concatenate([none, *second])

    def _hold_values(self, answer: Answer, semi: list[SemiSet], whole: list[WholeSet]) -> Answer | None:
        """The large decisions as the MILP took them, the small ones rounded from an LP around them."""
        touched: list[Ints] = []
        keep_lower, keep_upper = self.lower.copy(), self.upper.copy()
        for s in semi:
            columns = s.columns.ravel()
            on = answer.x[columns] > 0.5 * s.minimum.ravel()
            self.lower[columns] = np.where(on, np.maximum(s.minimum.ravel(), self.lower[columns]), 0.0)
            self.upper[columns] = np.where(on, self.upper[columns], np.maximum(self.lower[columns], 0.0))
            touched.append(columns)
        for w in whole:
            columns = w.columns.ravel()
            self.lower[columns] = self.upper[columns] = np.round(answer.x[columns])
            touched.append(columns)
        first, second = self._needed_pairs()
        weaker = np.where(answer.x[first] >= answer.x[second], second, first)
        self.lower[weaker] = self.upper[weaker] = 0.0
        touched.append(weaker)
        columns = np.concatenate(touched)
        self.session.bounds(columns, self.lower[columns], self.upper[columns])
        held = self._count(self.session.run(), "lps")
        if held.status == "optimal" and not is_whole(self.a, held.x):
            small_semi = [s for s in self.a.semi if not s.large]
            small_whole = [w for w in self.a.whole if not w.large]
            rounded = self._hold(held, small_semi, small_whole)
        else:
            rounded = held if held.status == "optimal" else None
        self.lower, self.upper = keep_lower, keep_upper
        self.session.bounds(columns, self.lower[columns], self.upper[columns])
        return rounded

    # --- rung 4: everything ---

    def _full(self, best: Answer | None, bound: float, wanted: float, limit: float) -> tuple[Answer | None, float]:
        """The full MILP; both-ways flows are excluded by binaries only where a point uses them."""
        milp = _Milp(self, self.a.semi, self.a.whole)
        milp.exclude(*self._needed_pairs())
        end = time.perf_counter() + limit
        for _ in range(12):
            answer = milp.run(best.x if best is not None else None, wanted, end - time.perf_counter())
            bound = max(bound, answer.bound)
            if not answer.has_point:
                break
            held = self._exactly(answer)
            if held is not None and (best is None or held.objective < best.objective):
                best = held
            first, second = both_ways(self.a, answer.x)
            done = best is not None and relative_gap(self.a, best.x, best.objective, bound) <= wanted
            if done or not len(first) or time.perf_counter() >= end:
                break
            milp.exclude(first, second)
        return best, bound

    def _exactly(self, answer: Answer) -> Answer | None:
        """The LP with every decision as the MILP took it."""
        touched: list[Ints] = []
        for s in self.a.semi:
            columns = s.columns.ravel()
            on = answer.x[columns] > 0.5 * s.minimum.ravel()
            low = np.where(on, np.maximum(s.minimum.ravel(), self.lower[columns]), self.lower[columns])
            high = np.where(on, self.upper[columns], np.maximum(self.lower[columns], 0.0))
            self.session.bounds(columns, np.minimum(low, high), high)
            touched.append(columns)
        for w in self.a.whole:
            columns = w.columns.ravel()
            value = np.clip(np.round(answer.x[columns]), self.lower[columns], self.upper[columns])
            self.session.bounds(columns, value, value)
            touched.append(columns)
        held = self._hold(answer, [], [])
        back = np.concatenate(touched) if touched else np.zeros(0, np.int64)
        self.session.bounds(back, self.lower[back], self.upper[back])
        return held


class _Milp:
    """A second HiGHS object for branch and bound, with binaries for excluded pairs added as they are needed."""

    def __init__(self, search: _Search, semi: list[SemiSet], whole: list[WholeSet]) -> None:
        self.search = search
        self.session = Session(search.a.lp)
        every = np.arange(len(search.a.lp.cost))
        self.session.bounds(every, search.lower, search.upper)
        search._cap(self.session)
        self.pairs: list[tuple[Ints, Ints]] = []
        for s in semi:
            columns, least, most = s.columns.ravel(), s.minimum.ravel(), search.upper[s.columns.ravel()]
            open_ = (most >= least - 1e-9) & (least > 0) & (search.lower[columns] < most)
            never = (most < least - 1e-9) & (search.lower[columns] <= 0)
            self.session.bounds(columns[never], np.zeros(int(never.sum())), np.zeros(int(never.sum())))
            k = columns[open_]
            self.session.bounds(k, np.maximum(least[open_], search.lower[k]), most[open_])
            self.session.wholeness(k, np.full(len(k), SEMI))
        for w in whole:
            columns = w.columns.ravel()
            self.session.wholeness(columns, np.full(len(columns), INTEGER))

    def exclude(self, first: Ints, second: Ints) -> None:
        """One binary a pair: first <= upper * u, second <= upper * (1 - u)."""
        n = len(first)
        if not n:
            return
        top_first, top_second = self.search.upper[first], self.search.upper[second]
        if not (np.isfinite(top_first).all() and np.isfinite(top_second).all()):
            raise SolverError(
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
        self.pairs.append((first, second))

    def run(self, start: Floats | None, gap: float, limit: float) -> Answer:
        """Branch and bound; the answer's ``x`` is cut to the programme's own columns."""
        if limit <= 0.01:
            return Answer("limit", np.inf, -np.inf, np.zeros(0), np.zeros(0), np.zeros(0), 0, 0)
        if start is not None:
            tail = [(start[f] > start[s]).astype(float) for f, s in self.pairs]
            self.session.start_from(np.concatenate([start, *tail]))
        answer = self.search._count(self.session.run(limit, gap), "milps")
        if answer.status == "limit":
            self.search.stopped_by = "clock"
        columns = len(self.search.a.lp.cost)
        return Answer(
            answer.status, answer.objective, answer.bound, answer.x[:columns],
            answer.price, answer.reduced, answer.pivots, answer.nodes,
        )  # fmt: skip
