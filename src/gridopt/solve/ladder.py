"""The solver's rungs: LP → rounding → restricted MILP → full MILP; the published plan is always an LP.

1. The LP relaxation; its objective is a proven bound. If it keeps every decision it is the optimum.
2. Rounding of the decisions, both-ways flows cut where they occur, and a warm LP with the decisions held.
3. Where few decisions make it cheap: the full MILP, started from the best point so far.
4. With large decisions (an engine, a node's direction) that do not average out: a MILP over those alone, all else
   relaxed; its bound is the proof. Small decisions are rounded afterwards.
5. Where the gap is still missed: the full MILP with the time that is left.

Emergencies (variables that exist only so that a plan exists) are shut at first; if no plan exists without them their
weighted sum is minimised before money is looked at, so that no huge penalty ever hides a gap.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from gridopt.assets.base import Floats, Ints
from gridopt.errors import InfeasibleError, NoPlanError, SolverError, UnboundedError
from gridopt.model.assemble import Assembly, SemiSet, WholeSet, assemble
from gridopt.model.inputs import Inputs
from gridopt.model.programme import NONE
from gridopt.solve.branch import Branch
from gridopt.solve.milp import Milp
from gridopt.solve.rounding import (
    TOLERANCE,
    as_taken,
    both_ways,
    is_whole,
    round_semi,
    round_whole,
    shut_weaker,
)
from gridopt.solve.session import Answer, Session

Status = Literal["optimal", "within gap", "time-limited"]
Tell = Callable[[str], None]
OPTIMAL_GAP = 1e-6
EMERGENCY_GAP = 1e-4
"""Emergencies are the least there can be but for this share, or for this many kWh."""
EMERGENCY_SLACK_KWH = 1e-5
"""What the least emergencies may be exceeded by: at a solver's own tolerance it finds the best plan cut off."""
MANY_DECISIONS = 2000
"""With more, HiGHS's own search of the whole is hopeless, and the large decisions have all the time."""
SHARE_FIRST = 0.1
"""Share of the time for the large decisions alone otherwise: they close in little time, or not at all."""


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


def solve(inputs: Inputs, tell: Tell | None = None, until: float | None = None, explained: bool = True) -> Solution:
    """Plan a district. Raises InfeasibleError, NoPlanError or UnboundedError.

    ``tell`` hears what is being done, in words; ``until`` is a ``time.perf_counter`` value that ends all searches;
    ``explained``: whether an InfeasibleError comes with its (costly) explanation.
    """
    begin = time.perf_counter()
    a = assemble(inputs)
    seconds = {"assemble": time.perf_counter() - begin}
    return _Search(a, tell or (lambda _: None), until, explained, seconds).run()


def solve_around(a: Assembly, x: Floats, emergency: float, limit_s: float) -> Floats:
    """A good whole plan of a programme that differs a little from the one ``x`` solves; returns its columns.

    The large decisions are kept as ``x`` took them, unless few decisions make a new search cheap or no plan keeps them:
    then it is planned anew for ``limit_s`` seconds. ``emergency``: the most that its emergencies may sum to [kWh].
    Raises InfeasibleError or NoPlanError.
    """

    def search() -> _Search:
        found = _Search(a, lambda _: None, time.perf_counter() + limit_s, explained=False)
        if emergency > 0:
            found.allow_emergency(emergency)
        return found

    one = search()
    answer = None if one.is_cheap() else one.around(x)
    return search().run().x if answer is None else answer.x


class _Search:
    def __init__(
        self,
        a: Assembly,
        tell: Tell,
        until: float | None,
        explained: bool = True,
        seconds: dict[str, float] | None = None,
    ) -> None:
        inputs = a.inputs
        self.inputs, self.tell, self.explained = inputs, tell, explained
        self.seconds = dict(seconds or {})
        self.counters = {"pivots": 0, "nodes": 0, "lps": 0, "milps": 0}
        self.stopped_by: str | None = None
        self.emergency, self._most = 0.0, np.inf
        self._cap_row: int | None = None
        self._impossible = False
        self._mark = time.perf_counter()
        self.a = a
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

    def is_cheap(self) -> bool:
        """Whether few decisions make the full MILP cheap."""
        return self._decision_count() <= self.inputs.target.exact_decisions

    def _in_time(self) -> bool:
        """Whether a search may begin."""
        if self._left() <= 0:
            self.stopped_by = "clock"
        return self._left() > 0

    def _count(self, answer: Answer, kind: str) -> Answer:
        self.counters["pivots"] += answer.pivots
        self.counters["nodes"] += answer.nodes
        self.counters[kind] += 1
        return answer

    # --- the rungs ---

    def run(self) -> Solution:
        self._refuse_pins_in_the_gap()
        relaxed = self._relaxation()
        self._lap("lp")
        best, bound, rung = self._whole_plan(relaxed, None)
        if best is None and len(self.a.emergencies):
            self.tell("no whole plan without shortfalls: looking for the least one")
            relaxed, best = self._least_whole_emergency()
            self._lap("emergency")
            best, bound, rung = self._whole_plan(relaxed, best)
        if best is None and self._impossible:
            raise self._infeasible(whole=True)
        if best is None:
            raise NoPlanError("no plan was found within {limit:g} s", limit=self.inputs.target.time_limit_s)
        return self._finish(best, bound, rung)

    def _refuse_pins_in_the_gap(self) -> None:
        """A device that either rests or runs above its least power cannot be held in between."""
        for s in self.a.semi:
            value = self.lower[s.columns]
            held = np.isin(s.columns, self.a.pinned) & (value > TOLERANCE) & (value < s.minimum - TOLERANCE)
            for k, t in np.argwhere(held)[:1]:
                _, asset, variable, step = self.a.column_name(int(s.columns[k, t]))
                raise InfeasibleError(
                    "asset {asset} is pinned to {variable} = {value:g} at {when}, between 0 and its least {least:g}: "
                    "pin it to 0, or to {least:g} and more",
                    asset=asset, variable=variable, value=float(value[k, t]), least=float(s.minimum[k, t]),
                    when=self.inputs.axis.label(step),
                )  # fmt: skip

    def _whole_plan(self, relaxed: Answer, best: Answer | None) -> tuple[Answer | None, float, str]:
        """Rungs 2 to 4 from a relaxation: the best whole plan, what is proven, and the rung that proved it."""
        bound, target = relaxed.objective, self.inputs.target
        self._impossible = False
        if is_whole(self.a, relaxed.x):
            return relaxed, bound, "lp"
        self.tell("rounding the decisions")
        best = _better(best, self._hold(relaxed, self.a.semi, self.a.whole))
        rung = "rounding"
        self._lap("rounding")
        if self.is_cheap() and self._missed(best, bound, target.exact_gap):
            self.tell("deciding everything at once")
            best, bound = self._full(relaxed, best, bound, target.exact_gap, min(self._left(), target.exact_limit_s))
            rung = "full MILP"
            self._lap("full milp")
        if self._impossible:
            return best, bound, rung
        if self._missed(best, bound, target.gap) and self._large_count() and self._in_time():
            self.tell("deciding the large units")
            best, bound = self._restricted(relaxed, best, bound)
            rung = "restricted MILP"
            self._lap("restricted milp")
        if self._missed(best, bound, target.gap) and self._in_time():
            self.tell("searching the last bit of the gap")
            best, bound = self._full(relaxed, best, bound, target.gap, self._left())
            rung = "full MILP"
            self._lap("full milp")
        return best, bound, rung

    def _missed(self, answer: Answer | None, bound: float, gap: float) -> bool:
        return answer is None or relative_gap(self.a, answer.x, answer.objective, bound) > gap

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
        answer = self._money()
        if answer is not None:
            return answer
        self.tell("no plan without shortfalls: looking for the least one")
        wanted = self._open_emergencies()
        if len(self.a.emergencies):
            least = self._with_cost(self.session, wanted, lambda: self._count(self.session.run(), "lps"))
            if least.status == "optimal":
                self._keep_emergency(float(wanted @ least.x))
                answer = self._money()
        if answer is None:
            raise self._infeasible(whole=False)
        return answer

    def _money(self) -> Answer | None:
        """The LP as it stands, by cost; None when it has no plan."""
        answer = self._count(self.session.run(), "lps")
        if answer.status == "unbounded":
            raise UnboundedError(
                "the plan could earn without end: some price pays for a flow that nothing limits. Give every device a "
                "power, and every root node with selling dearer than buying an import_max_kw and an export_max_kw"
            )
        return answer if answer.status == "optimal" else None

    def _least_whole_emergency(self) -> tuple[Answer, Answer | None]:
        """Emergencies minimised with every decision whole; the relaxation under their least sum, and a first plan."""
        wanted = self._open_emergencies()
        slack = EMERGENCY_GAP * max(1.0, self.emergency)
        self._keep_emergency(np.inf)
        milp = self._milp()
        answer = self._with_cost(milp.session, wanted, lambda: self._excluding(milp, slack))
        if not answer.has_point:
            if answer.status == "infeasible":
                raise self._infeasible(whole=True)
            raise NoPlanError("no plan was found within {limit:g} s", limit=self.inputs.target.time_limit_s)
        self._keep_emergency(float(wanted @ answer.x))
        relaxed = self._money()
        if relaxed is None:
            raise SolverError("the least emergencies found have no plan")
        return relaxed, self._exactly(answer, milp)

    def _excluding(self, milp: Milp, slack: float) -> Answer:
        """Branch and bound until its point uses nothing both ways."""
        milp.exclude(*self._needed_pairs())
        while True:
            answer = self._branch(milp, None, slack, self._left())
            first, second = self._devices_both_ways(answer.x) if answer.has_point else (NONE, NONE)
            if not len(first) or self._left() <= 0:
                return answer
            milp.exclude(first, second)

    def _devices_both_ways(self, x: Floats) -> tuple[Ints, Ints]:
        """All pairs of the devices that a point uses both ways at some step: what burns once burns elsewhere next."""
        first, second = [NONE], [NONE]
        for p in self.a.pairs:
            guilty = p.device[np.minimum(x[p.first], x[p.second]) > TOLERANCE]
            among = np.isin(p.device, guilty)
            first.append(p.first[among])
            second.append(p.second[among])
        return np.concatenate(first), np.concatenate(second)

    def _open_emergencies(self) -> Floats:
        """Free the emergency variables; returns the cost vector that sums them in kWh."""
        e = self._shut
        self.lower[e], self.upper[e] = self.a.lp.lower[e], self.a.lp.upper[e]
        self.session.bounds(e, self.lower[e], self.upper[e])
        wanted = np.zeros(len(self.a.lp.cost))
        wanted[self.a.emergencies] = self.a.emergency_weight
        return wanted

    def _with_cost(self, session: Session, cost: Floats, run: Callable[[], Answer]) -> Answer:
        """Run with another objective and put the money back."""
        every = np.arange(len(cost))
        session.costs(every, cost)
        try:
            return run()
        finally:
            session.costs(every, self.a.lp.cost)

    def _keep_emergency(self, total: float) -> None:
        """Hold the emergencies' weighted sum at its least value; inf lets it free again."""
        self.emergency = max(total, 0.0) if np.isfinite(total) else 0.0
        self._most = self.emergency * (1 + 1e-6) + EMERGENCY_SLACK_KWH if np.isfinite(total) else np.inf
        if self._cap_row is None:
            self._cap_row = self._add_cap(self.session)
        self.session.row_bounds(self._cap_row, -np.inf, self._most)

    def _add_cap(self, session: Session) -> int:
        most, start = np.array([self._most]), np.array([0])
        row = session.add_rows(np.array([-np.inf]), most, start, self.a.emergencies, self.a.emergency_weight)
        return int(row[0])

    def allow_emergency(self, total: float) -> None:
        """Open the emergencies up to a known sum [kWh]."""
        self._open_emergencies()
        self._keep_emergency(total)

    def _infeasible(self, whole: bool) -> InfeasibleError:
        if not self.explained:
            return InfeasibleError("hard limits contradict each other")
        from gridopt.solve.infeasible import explain

        explanation = explain(self.a, whole)
        return InfeasibleError("{words}", explanation=explanation, words=explanation.words)

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
        answer = self._without_idle(answer, hold)
        back = np.unique(np.concatenate([NONE, *touched]))
        self.session.bounds(back, self.lower[back], self.upper[back])
        return answer if answer.status == "optimal" and is_whole(self.a, answer.x) else None

    def _without_idle(self, answer: Answer, hold: Callable[[Ints, Floats, Floats], None]) -> Answer:
        """Without what was opened for nothing: an hour of breach is not paid for where nothing breaches."""
        while answer.status == "optimal":
            idle = np.concatenate([NONE, *(self._idle(w, answer.x) for w in self.a.whole if w.opens is not None)])
            if not len(idle):
                break
            hold(idle, np.zeros(len(idle)), np.zeros(len(idle)))
            answer = self._count(self.session.run(), "lps")
        return answer

    def _idle(self, w: WholeSet, x: Floats) -> Ints:
        """Columns of a set that are 1 although the row each opens would hold without it."""
        lp, columns = self.a.lp, w.columns.ravel()
        open_ = (x[columns] > 0.5) & (lp.lower[columns] <= 0) & (lp.cost[columns] > 0)
        if w.opens is None or not open_.any():
            return NONE
        columns, rows = columns[open_], w.opens.ravel()[open_]
        matrix = self.a.matrix
        without = matrix[rows] @ x - matrix[rows, columns] * x[columns]
        return np.asarray(columns[without <= lp.row_upper[rows] + TOLERANCE])

    def _cut(self, x: Floats) -> tuple[Ints, Floats, Floats]:
        """The weaker side of every pair that is used both ways, held at zero."""
        first, second = both_ways(self.a, x)
        held_first, held_second = self.lower[first] > 0, self.lower[second] > 0
        weaker = np.where(held_first | ((x[first] >= x[second]) & ~held_second), second, first)
        weaker = weaker[~(held_first & held_second)]  # two pins that exclude each other: no plan
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
        return self._sizes(semi, whole) + self._pair_count()

    def _decision_count(self) -> int:
        return self._sizes(self.a.semi, self.a.whole) + self._pair_count()

    @staticmethod
    def _sizes(semi: list[SemiSet], whole: list[WholeSet]) -> int:
        return sum(s.columns.size for s in semi) + sum(w.columns.size for w in whole)

    def _pair_count(self) -> int:
        return sum(int(p.needed.sum()) for p in self.a.pairs)

    def _restricted(self, relaxed: Answer, best: Answer | None, bound: float) -> tuple[Answer | None, float]:
        """Branch and bound over the large decisions; the small ones are rounded around its best point.

        The gap wanted is shared: what rounding costs is measured at the first point, the search proves the rest.
        """
        semi, whole = self._large()
        decisions, left = self._decision_count(), max(self._left(), 0.0)
        until = self.until if decisions > MANY_DECISIONS else self.until - (1 - SHARE_FIRST) * left
        again = self._count(self.session.run(), "lps")
        search = Branch(
            self.session, self._mate(), again, self.lower, self.upper, semi, whole, self._needed_pairs(),
            lambda answer: self._note(answer),
        )  # fmt: skip
        gap = self.inputs.target.gap
        for share in (0.9, 0.6, 0.3, 0.1):
            ceiling = best.objective if best is not None else np.inf
            search.run(ceiling, share * gap * self._size(relaxed, bound), until)
            bound = max(bound, search.bound)
            if search.best is not None:
                best = _better(best, self._around(search.best.x, semi, whole))
            if time.perf_counter() >= until:
                self.stopped_by = "clock"
                break
            if not self._missed(best, bound, gap):
                break
        return best, bound

    def around(self, x: Floats) -> Answer | None:
        """A whole plan with the large decisions as a point took them."""
        return self._around(x, *self._large())

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

    def _around(self, x: Floats, semi: list[SemiSet], whole: list[WholeSet]) -> Answer | None:
        """The large decisions as a point took them, the small ones rounded from an LP around them."""
        with self._taken(x, semi, whole, self._needed_pairs()):
            held = self._count(self.session.run(), "lps")
            if held.status != "optimal" or is_whole(self.a, held.x):
                return held if held.status == "optimal" else None
            small = [s for s in self.a.semi if not s.large], [w for w in self.a.whole if not w.large]
            return self._hold(held, *small)

    @contextmanager
    def _taken(self, x: Floats, semi: list[SemiSet], whole: list[WholeSet], pairs: tuple[Ints, Ints]) -> Iterator[None]:
        """Hold decisions, and the directions of pairs, as a point took them; pins stay as they are."""
        kept = self.lower, self.upper
        self.lower, self.upper = as_taken(x, *kept, semi, whole)
        shut_weaker(x, self.lower, self.upper, *pairs)
        columns = np.flatnonzero((self.lower != kept[0]) | (self.upper != kept[1]))
        self.session.bounds(columns, self.lower[columns], self.upper[columns])
        try:
            yield
        finally:
            self.lower, self.upper = kept
            self.session.bounds(columns, self.lower[columns], self.upper[columns])

    # --- rung 4: everything ---

    def _full(
        self, relaxed: Answer, best: Answer | None, bound: float, wanted: float, limit: float
    ) -> tuple[Answer | None, float]:
        """The full MILP; both-ways flows are excluded by binaries only where a point uses them."""
        milp = self._milp()
        milp.exclude(*self._needed_pairs())
        end = time.perf_counter() + limit
        share = 0.9
        while share > 0.01:
            slack = share * wanted * self._size(best or relaxed, bound)
            answer = self._branch(milp, best.x if best is not None else None, slack, end - time.perf_counter())
            if answer.status == "infeasible":
                self._impossible = best is None
                break
            bound = max(bound, answer.bound)
            if not answer.has_point:
                break
            best = _better(best, self._exactly(answer, milp))
            if not self._missed(best, bound, wanted) or time.perf_counter() >= end:
                break
            first, second = self._devices_both_ways(answer.x)
            if len(first):
                milp.exclude(first, second)
            else:  # what the last LP found differs a little from what was searched for
                share *= 0.3
        return best, bound

    def _mate(self) -> Session:
        """A second session with the programme as it stands."""
        mate = Session(self.a.lp)
        mate.bounds(np.arange(len(self.lower)), self.lower, self.upper)
        if self._cap_row is not None:
            self._add_cap(mate)
        return mate

    def _milp(self) -> Milp:
        milp = Milp(self.a.lp, self.lower, self.upper, self.a.semi, self.a.whole)
        if self._cap_row is not None:
            self._add_cap(milp.session)
        return milp

    def _branch(self, milp: Milp, start: Floats | None, slack: float, limit: float) -> Answer:
        answer = self._count(milp.run(start, slack, limit), "milps")
        if answer.status == "limit":
            self.stopped_by = "clock"
        return answer

    def _exactly(self, answer: Answer, milp: Milp) -> Answer | None:
        """The LP with every decision as the MILP took it, directions it had to choose among them.

        Where the LP then goes both ways at other pairs, and cutting that is dear, all directions are held.
        """
        with self._taken(answer.x, self.a.semi, self.a.whole, milp.excluded):
            held = self._hold(answer, [], [])
        if held is not None and held.objective <= answer.objective + 1e-9 * max(1.0, abs(answer.objective)):
            return held
        every = tuple(np.concatenate([NONE, *(getattr(p, side) for p in self.a.pairs)]) for side in ("first", "second"))
        with self._taken(answer.x, self.a.semi, self.a.whole, (every[0], every[1])):
            return _better(held, self._hold(answer, [], []))


def _better(one: Answer | None, other: Answer | None) -> Answer | None:
    found = [a for a in (one, other) if a is not None]
    return min(found, key=lambda a: a.objective) if found else None
