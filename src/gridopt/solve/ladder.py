"""The solver's rungs: LP → rounding → restricted MILP → full MILP; the published plan is always an LP.

1. The LP relaxation; its objective is a proven bound. If it keeps every decision it is the optimum.
2. Rounding of the decisions, both-ways flows cut where they occur, and a warm LP with the decisions held. A device
   whose steps hang together (minimum times, a hold) decides by itself at the relaxation's prices, which raises the
   bound.
3. Where few decisions make it cheap: the full MILP, started from the best point so far.
4. With large decisions (an engine, a node's direction) that do not average out: a MILP over those alone, all else
   relaxed; its bound is the proof. Small decisions are rounded afterwards. Where few decisions leave the full MILP a
   chance, this one looks at so many parts only.
5. Where the gap is still missed: the full MILP with the time that is left.

Emergencies (variables that exist only so that a plan exists) are shut at first; if no plan exists without them their
weighted sum is minimised before money is looked at, so that no huge penalty ever hides a gap.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from gridopt.assets.base import Floats
from gridopt.errors import InfeasibleError, NoPlanError, SolverError, UnboundedError
from gridopt.model.assemble import Assembly, assemble
from gridopt.model.inputs import Inputs
from gridopt.model.programme import NONE
from gridopt.solve.branch import Branch
from gridopt.solve.devices import NEAR, Apart
from gridopt.solve.gap import gauge
from gridopt.solve.milp import Milp
from gridopt.solve.rounding import TOLERANCE, is_whole
from gridopt.solve.session import Answer
from gridopt.solve.workbench import Workbench, better

Status = Literal["optimal", "within gap", "time-limited"]
Tell = Callable[[str], None]
OPTIMAL_GAP = 1e-6
EMERGENCY_GAP = 1e-4
"""Emergencies are the least there can be but for this share, or for this many kWh."""
MANY_DECISIONS = 2000
"""With more, HiGHS's own search of the whole is hopeless, and the large decisions have all the time."""
PIVOTS_FIRST = 100_000
"""Work of the search of the large decisions otherwise, and where no clock ends it: it closes with little or not at all.
"""
NODES = 200
"""Parts that the full MILP looks at where no clock ends it."""


@dataclass(frozen=True)
class Solution:
    """A plan's numbers before anyone has checked them.

    ``x``: column values; ``price``, ``reduced``: duals of the final LP, decisions held. ``emergency``: the least
    weighted sum of emergencies [kWh], 0 on a normal day. ``rung`` names what proved the bound, ``stopped_by`` is
    "clock" when a wall-clock limit ended a search, "work" when a limit of the work did. ``seconds`` and ``counters``
    are per phase.
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
        """gap_eur over the money that flows, see ``gridopt.solve.gap``."""
        return gauge(self.assembly).gap(self.x, self.objective, self.bound)


def solve(inputs: Inputs, tell: Tell | None = None, until: float | None = None, explained: bool = True) -> Solution:
    """Plan a district. Raises InfeasibleError, NoPlanError or UnboundedError.

    ``tell`` hears what is being done, in words; ``until`` is a ``time.perf_counter`` value that ends all searches;
    ``explained``: whether an InfeasibleError comes with its (costly) explanation.
    """
    begin = time.perf_counter()
    a = assemble(inputs)
    seconds = {"assemble": time.perf_counter() - begin}
    return _Search(a, tell or (lambda _: None), until, explained, seconds).run()


def solve_around(a: Assembly, x: Floats, emergency: float) -> Floats:
    """A good whole plan of a programme that differs a little from the one ``x`` solves; returns its columns.

    The large decisions are kept as ``x`` took them, unless few decisions make a new search cheap or no plan keeps them:
    then it is planned anew. No clock ends a search, but its work: the same programme gives the same plan.
    ``emergency``: the most that its emergencies may sum to [kWh]. Raises InfeasibleError or NoPlanError.
    """

    def search() -> _Search:
        found = _Search(a, lambda _: None, explained=False, clock=False)
        if emergency > 0:
            found.bench.allow_emergency(emergency)
        return found

    one = search()
    answer = None if one.is_cheap() else one.bench.around(x)
    return search().run().x if answer is None else answer.x


class _Search:
    def __init__(
        self,
        a: Assembly,
        tell: Tell,
        until: float | None = None,
        explained: bool = True,
        seconds: dict[str, float] | None = None,
        clock: bool = True,
    ) -> None:
        """``clock``: whether the target's time ends the searches, and not their work alone."""
        begin = time.perf_counter()
        self.a, self.inputs, self.tell, self.explained = a, a.inputs, tell, explained
        self.seconds = dict(seconds or {})
        self.stopped_by: str | None = None
        self._impossible = False
        self._mark = begin
        self.clock = clock
        limit = time.perf_counter() + self.inputs.target.time_limit_s
        self.until = min(limit if clock else np.inf, np.inf if until is None else until)
        self.bench = Workbench(a, self.until)
        self.gauge = self.bench.gauge
        self._lap("pass")

    def _lap(self, phase: str) -> None:
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._mark
        self._mark = now

    def _left(self) -> float:
        return self.until - time.perf_counter()

    def is_cheap(self) -> bool:
        """Whether few decisions make the full MILP cheap."""
        return self.bench.decision_count() <= self.inputs.target.exact_decisions

    def _in_time(self) -> bool:
        """Whether a search may begin."""
        if self._left() <= 0:
            self.stopped_by = "clock"
        return self._left() > 0

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
            value = self.bench.lower[s.columns]
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
        best, bound, found = self._rounded(relaxed, best)
        rung = "rounding"
        self._lap("rounding")
        if self.is_cheap() and self._missed(best, bound, target.exact_gap):
            self.tell("deciding everything at once")
            limit = min(self._left(), target.exact_limit_s if self.clock else np.inf)
            best, bound = self._full(relaxed, best, bound, target.exact_gap, limit)
            rung = "full MILP"
            self._lap("full milp")
        if self._impossible:
            return best, bound, rung
        if self._missed(best, bound, target.gap) and self.bench.large_count() and self._in_time():
            self.tell("deciding the large units")
            best, bound = self._restricted(relaxed, found, best, bound)
            rung = "restricted MILP"
            self._lap("restricted milp")
        if self._missed(best, bound, target.gap) and self.clock and self._in_time():
            self.tell("searching the last bit of the gap")
            best, bound = self._full(relaxed, best, bound, target.gap, self._left())
            rung = "full MILP"
            self._lap("full milp")
        return best, bound, rung

    def _rounded(self, relaxed: Answer, best: Answer | None) -> tuple[Answer | None, float, list[Apart]]:
        """The best of ``best`` and what rounding leaves, what is proven, and what devices found by themselves."""
        every, gap = (self.a.semi, self.a.whole), self.inputs.target.gap
        found = self.bench.apart(relaxed, *every)
        bound = relaxed.objective + sum(f.raised for f in found)
        best = better(best, self.bench.hold(relaxed, *every, found))
        if found and self._missed(best, bound, gap):
            best = better(best, self.bench.hold(relaxed, *every, self.bench.apart(relaxed, *every, NEAR)))
        if self.bench.late:
            self.stopped_by = "clock"
        return best, bound, found

    def _missed(self, answer: Answer | None, bound: float, gap: float) -> bool:
        return answer is None or self.gauge.gap(answer.x, answer.objective, bound) > gap

    def _finish(self, best: Answer, bound: float, rung: str) -> Solution:
        gap = self.gauge.gap(best.x, best.objective, bound)
        status: Status = "time-limited"
        if gap <= OPTIMAL_GAP:
            status = "optimal"
        elif gap <= self.inputs.target.gap:
            status = "within gap"
        rows, columns, nonzeros = self.a.lp.shape
        counters = {"rows": rows, "columns": columns, "nonzeros": nonzeros, "decisions": self.bench.decision_count()}
        return Solution(
            self.a, best.x, best.price, best.reduced, best.objective, min(bound, best.objective), status, rung,
            self.bench.emergency, None if status == "optimal" else self.stopped_by, self.seconds,
            counters | self.bench.counters,
        )  # fmt: skip

    # --- rung 1: the relaxation, and emergencies where nothing else helps ---

    def _relaxation(self) -> Answer:
        self.tell("solving the relaxation")
        answer = self._money()
        if answer is not None:
            return answer
        self.tell("no plan without shortfalls: looking for the least one")
        wanted = self.bench.open_emergencies()
        if len(self.a.emergencies):
            least = self.bench.with_cost(self.bench.session, wanted, self.bench.run)
            if least.status == "optimal":
                self.bench.keep_emergency(float(wanted @ least.x))
                answer = self._money()
        if answer is None:
            raise self._infeasible(whole=False)
        return answer

    def _money(self) -> Answer | None:
        """The LP as it stands, by cost; None when it has no plan."""
        answer = self.bench.run()
        if answer.status == "unbounded":
            raise UnboundedError(
                "the plan could earn without end: some price pays for a flow that nothing limits. Give every device a "
                "power, and every root node with selling dearer than buying an import_max_kw and an export_max_kw"
            )
        return answer if answer.status == "optimal" else None

    def _least_whole_emergency(self) -> tuple[Answer, Answer | None]:
        """Emergencies minimised with every decision whole; the relaxation under their least sum, and a first plan."""
        wanted = self.bench.open_emergencies()
        slack = EMERGENCY_GAP * max(1.0, self.bench.emergency)
        self.bench.keep_emergency(np.inf)
        milp = self.bench.milp()
        answer = self.bench.with_cost(milp.session, wanted, lambda: self._excluding(milp, slack))
        if not answer.has_point:
            if answer.status == "infeasible":
                raise self._infeasible(whole=True)
            raise NoPlanError("no plan was found within {limit:g} s", limit=self.inputs.target.time_limit_s)
        self.bench.keep_emergency(float(wanted @ answer.x))
        relaxed = self._money()
        if relaxed is None:
            raise SolverError("the least emergencies found have no plan")
        return relaxed, self.bench.exactly(answer, milp)

    def _excluding(self, milp: Milp, slack: float) -> Answer:
        """Branch and bound until its point uses nothing both ways."""
        milp.exclude(*self.bench.needed_pairs())
        while True:
            answer = self._branch(milp, None, slack, self._left())
            first, second = self.bench.devices_both_ways(answer.x) if answer.has_point else (NONE, NONE)
            if not len(first) or self._left() <= 0:
                return answer
            milp.exclude(first, second)

    def _infeasible(self, whole: bool) -> InfeasibleError:
        if not self.explained:
            return InfeasibleError("hard limits contradict each other")
        from gridopt.solve.infeasible import explain

        explanation = explain(self.a, whole)
        return InfeasibleError("{words}", explanation=explanation, words=explanation.words)

    # --- rung 3: the large decisions alone ---

    def _restricted(
        self, relaxed: Answer, found: list[Apart], best: Answer | None, bound: float
    ) -> tuple[Answer | None, float]:
        """Branch and bound over the large decisions; the small ones are rounded around its best point.

        The gap wanted is shared: what rounding costs is measured at the first point, the search proves the rest.
        """
        bench = self.bench
        few = bench.decision_count() <= MANY_DECISIONS
        most = PIVOTS_FIRST if few or not self.clock else np.inf
        again = bench.strengthen(found)
        search = Branch(
            bench.session,
            bench.mate(),
            again,
            bench.lower,
            bench.upper,
            *bench.large(),
            bench.needed_pairs(),
            self._note,
        )
        gap = self.inputs.target.gap
        for share in (0.9, 0.6, 0.3, 0.1):
            ceiling = best.objective if best is not None else np.inf
            search.run(ceiling, share * gap * self.gauge.size(relaxed.x, bound), self.until, most)
            if search.best is not None:
                best = better(best, bench.around(search.best.x))
            if np.isfinite(search.bound) or best is not None:
                bound = max(bound, min(search.bound, best.objective if best is not None else np.inf))
            if not self._missed(best, bound, gap):
                break
            if self._left() <= 0 or search.pivots >= most:
                self.stopped_by = "clock" if self._left() <= 0 else None if self.clock else "work"
                break
        return best, bound

    def _note(self, answer: Answer) -> None:
        self.bench.count(answer, "lps")
        self.bench.counters["nodes"] += 1

    # --- rung 4: everything ---

    def _full(
        self, relaxed: Answer, best: Answer | None, bound: float, wanted: float, limit: float
    ) -> tuple[Answer | None, float]:
        """The full MILP; both-ways flows are excluded by binaries only where a point uses them."""
        milp = self.bench.milp()
        milp.exclude(*self.bench.needed_pairs())
        end = time.perf_counter() + limit
        share = 0.9
        while share > 0.01:
            slack = share * wanted * self.gauge.size((best or relaxed).x, bound)
            answer = self._branch(milp, best.x if best is not None else None, slack, end - time.perf_counter())
            if answer.status == "infeasible":
                self._impossible = best is None
                break
            bound = max(bound, answer.bound)
            if answer.has_point:
                best = better(best, self.bench.exactly(answer, milp))
            if answer.status == "limit" or not answer.has_point or not self._missed(best, bound, wanted):
                break
            first, second = self.bench.devices_both_ways(answer.x)
            if len(first):
                milp.exclude(first, second)
            else:  # what the last LP found differs a little from what was searched for
                share *= 0.3
        return best, bound

    def _branch(self, milp: Milp, start: Floats | None, slack: float, limit: float) -> Answer:
        answer = self.bench.count(milp.run(start, slack, limit, None if self.clock else NODES), "milps")
        if answer.status == "limit":
            self.stopped_by = "clock" if self.clock else "work"
        return answer
