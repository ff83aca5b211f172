"""The district's linear programme on a warm session: decisions held, let go, and held otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from gridopt.assets.base import Floats, Ints
from gridopt.model.assemble import Assembly, SemiSet, WholeSet
from gridopt.model.layout import Block
from gridopt.model.programme import NONE
from gridopt.solve import devices
from gridopt.solve.devices import Apart
from gridopt.solve.gap import gauge
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

EMERGENCY_SLACK_KWH = 1e-5
"""What the least emergencies may be exceeded by: at a solver's own tolerance it finds the best plan cut off."""
APART_SHARE = 0.1
"""Share of the gap wanted that the searches of single devices may leave together."""


class Workbench:
    """A programme, the bounds in force on it, and what all runs together counted.

    Emergencies are shut at first. Every method leaves the bounds as it found them, but those that say otherwise.
    ``until``: a ``time.perf_counter`` value after which no device is looked at apart; ``late``: whether one was not.
    """

    def __init__(self, a: Assembly, until: float = np.inf) -> None:
        self.a, self.until, self.late = a, until, False
        self.gauge = gauge(a)
        self.counters = {"pivots": 0, "nodes": 0, "lps": 0, "milps": 0, "apart": 0}
        self._rows: list[_Row] = []
        self._cuts: list[tuple[_Row, Block]] = []
        self.emergency, self._most = 0.0, np.inf
        self._cap: _Row | None = None
        self.session = Session(a.lp)
        self.lower, self.upper = a.lp.lower.copy(), a.lp.upper.copy()
        self._shut = np.setdiff1d(a.emergencies, a.pinned)
        self.lower[self._shut] = self.upper[self._shut] = 0.0
        self.session.bounds(self._shut, self.lower[self._shut], self.upper[self._shut])

    def count(self, answer: Answer, kind: str) -> Answer:
        self.counters["pivots"] += answer.pivots
        self.counters["nodes"] += answer.nodes
        self.counters[kind] += 1
        return answer

    def run(self) -> Answer:
        """The programme as it stands."""
        return self.count(self.session.run(), "lps")

    # --- how many decisions there are ---

    def large(self) -> tuple[list[SemiSet], list[WholeSet]]:
        """The decisions that do not average out over a district."""
        return [s for s in self.a.semi if self._is_large(s)], [w for w in self.a.whole if self._is_large(w)]

    def small(self) -> tuple[list[SemiSet], list[WholeSet]]:
        """The decisions that do."""
        return [s for s in self.a.semi if not self._is_large(s)], [w for w in self.a.whole if not self._is_large(w)]

    def _is_large(self, s: SemiSet | WholeSet) -> bool:
        """Not where a row says by now what the decisions of a device cost at least."""
        return s.large and all(block is not s.block for _, block in self._cuts)

    def large_count(self) -> int:
        semi, whole = self.large()
        return self._sizes(semi, whole) + self._pair_count()

    def decision_count(self) -> int:
        return self._sizes(self.a.semi, self.a.whole) + self._pair_count()

    @staticmethod
    def _sizes(semi: list[SemiSet], whole: list[WholeSet]) -> int:
        return sum(s.columns.size for s in semi) + sum(w.columns.size for w in whole)

    def _pair_count(self) -> int:
        return sum(int(p.needed.sum()) for p in self.a.pairs)

    def needed_pairs(self) -> tuple[Ints, Ints]:
        """Pairs that the relaxation would surely use both ways."""
        first = [p.first[p.needed] for p in self.a.pairs]
        second = [p.second[p.needed] for p in self.a.pairs]
        return np.concatenate([NONE, *first]), np.concatenate([NONE, *second])

    def devices_both_ways(self, x: Floats) -> tuple[Ints, Ints]:
        """All pairs of the devices that a point uses both ways at some step: what burns once burns elsewhere next."""
        first, second = [NONE], [NONE]
        for p in self.a.pairs:
            guilty = p.device[np.minimum(x[p.first], x[p.second]) > TOLERANCE]
            among = np.isin(p.device, guilty)
            first.append(p.first[among])
            second.append(p.second[among])
        return np.concatenate(first), np.concatenate(second)

    # --- emergencies ---

    def open_emergencies(self) -> Floats:
        """Free the emergency variables; returns the cost vector that sums them in kWh.

        What was found of devices while they were shut holds no more.
        """
        self._weaken()
        e = self._shut
        self.lower[e], self.upper[e] = self.a.lp.lower[e], self.a.lp.upper[e]
        self.session.bounds(e, self.lower[e], self.upper[e])
        wanted = np.zeros(len(self.a.lp.cost))
        wanted[self.a.emergencies] = self.a.emergency_weight
        return wanted

    def with_cost(self, session: Session, cost: Floats, run: Callable[[], Answer]) -> Answer:
        """Run with another objective and put the money back."""
        every = np.arange(len(cost))
        session.costs(every, cost)
        try:
            return run()
        finally:
            session.costs(every, self.a.lp.cost)

    def keep_emergency(self, total: float) -> None:
        """Hold the emergencies' weighted sum at its least value; inf lets it free again."""
        self.emergency = max(total, 0.0) if np.isfinite(total) else 0.0
        self._most = self.emergency * (1 + 1e-6) + EMERGENCY_SLACK_KWH if np.isfinite(total) else np.inf
        if self._cap is None:
            self._cap = self._add(self.a.emergencies, self.a.emergency_weight, -np.inf, self._most)
        self._limit(self._cap, -np.inf, self._most)
        # What the sum implies for each: with infinite bounds under that row HiGHS's presolve cuts off optima.
        e, weight = self.a.emergencies, self.a.emergency_weight
        free = np.isin(e, self._shut)
        e, weight = e[free], weight[free]
        self.upper[e] = np.minimum(self.a.lp.upper[e], np.maximum(self._most / weight, self.lower[e]))
        self.session.bounds(e, self.lower[e], self.upper[e])

    def allow_emergency(self, total: float) -> None:
        """Open the emergencies up to a known sum [kWh]."""
        self.open_emergencies()
        self.keep_emergency(total)

    # --- decisions held ---

    def apart(self, point: Answer, semi: list[SemiSet], whole: list[WholeSet], near: float = 0.0) -> list[Apart]:
        """What the devices whose steps hang together would decide by themselves at an LP's prices."""
        who = devices.undecided(self.a, point.x, semi, whole)
        self.counters["apart"] += len(who)
        slack = APART_SHARE * self.a.inputs.target.gap * self.gauge.size(point.x, point.objective) / max(len(who), 1)
        found = devices.solve_apart(self.a, point, self.lower, self.upper, who, slack, near, self.until)
        self.late |= len(found) < len(who)
        return found

    def strengthen(self, found: list[Apart]) -> Answer:
        """Add what devices found apart cost at least as rows of the programme, and solve it.

        Without them where huge prices make of a tolerance a contradiction.
        """
        for f in found:
            if f.raised > 0:
                columns, coefficients, least = f.row()
                self._cuts.append((self._add(columns, coefficients, least, np.inf), f.device.block))
        answer = self.run()
        if answer.status == "optimal":
            return answer
        self._weaken()
        return self.run()

    def _weaken(self) -> None:
        for row, _ in self._cuts:
            self._limit(row, -np.inf, np.inf)
        self._cuts = []

    def hold(
        self, point: Answer, semi: list[SemiSet], whole: list[WholeSet], found: Sequence[Apart] = ()
    ) -> Answer | None:
        """The LP with the given sets rounded at ``point``, and both-ways flows cut; None when it has no plan.

        ``found``: devices that decided by themselves. Leaves the session's bounds as they were.
        """
        touched: list[Ints] = []
        x = devices.merged(point.x, found)

        def hold(columns: Ints, lower: Floats, upper: Floats) -> None:
            self.session.bounds(columns, lower, upper)
            touched.append(columns)

        for s in semi:
            columns, lower, upper = round_semi(s, x, self.upper, self._node_price(s, point.price))
            hold(columns, np.maximum(lower, self.lower[columns]), np.minimum(upper, self.upper[columns]))
        for w in whole:
            columns, lower, upper = round_whole(w, x, self.upper, self._follows(w))
            free = self.lower[columns] < self.upper[columns]
            hold(columns[free], lower[free], upper[free])
        hold(*self._cut(x))
        answer = self.run()
        for _ in range(20):
            if answer.status != "optimal":
                break
            columns, lower, upper = self._cut(answer.x)
            if not len(columns):
                break
            hold(columns, lower, upper)
            answer = self.run()
        answer = self._without_idle(answer, hold)
        back = np.unique(np.concatenate([NONE, *touched]))
        self.session.bounds(back, self.lower[back], self.upper[back])
        return answer if answer.status == "optimal" and is_whole(self.a, answer.x) else None

    def _follows(self, w: WholeSet) -> bool:
        """Whether the devices of a one-of-many set have another one (a dryer after a wash)."""
        return w.one_of and any(v is not w and v.one_of and v.block is w.block for v in self.a.whole)

    def _without_idle(self, answer: Answer, hold: Callable[[Ints, Floats, Floats], None]) -> Answer:
        """Without what was opened for nothing: an hour of breach is not paid for where nothing breaches."""
        while answer.status == "optimal":
            idle = np.concatenate([NONE, *(self._idle(w, answer.x) for w in self.a.whole if w.opens is not None)])
            if not len(idle):
                break
            hold(idle, np.zeros(len(idle)), np.zeros(len(idle)))
            answer = self.run()
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

    def around(self, x: Floats) -> Answer | None:
        """The large decisions as a point took them, the small ones rounded from an LP around them."""
        with self.taken(x, *self.large(), self.needed_pairs()):
            held = self.run()
            if held.status != "optimal" or is_whole(self.a, held.x):
                return held if held.status == "optimal" else None
            small = self.small()
            return self.hold(held, *small, self.apart(held, *small))

    @contextmanager
    def taken(self, x: Floats, semi: list[SemiSet], whole: list[WholeSet], pairs: tuple[Ints, Ints]) -> Iterator[None]:
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

    def exactly(self, answer: Answer, milp: Milp) -> Answer | None:
        """The LP with every decision as the MILP took it, directions it had to choose among them.

        Where the LP then goes both ways at other pairs, and cutting that is dear, all directions are held.
        """
        with self.taken(answer.x, self.a.semi, self.a.whole, milp.excluded):
            held = self.hold(answer, [], [])
        if held is not None and held.objective <= answer.objective + 1e-9 * max(1.0, abs(answer.objective)):
            return held
        every = tuple(np.concatenate([NONE, *(getattr(p, side) for p in self.a.pairs)]) for side in ("first", "second"))
        with self.taken(answer.x, self.a.semi, self.a.whole, (every[0], every[1])):
            return better(held, self.hold(answer, [], []))

    # --- other sessions with the programme as it stands ---

    def mate(self) -> Session:
        """A second session with the programme as it stands."""
        mate = Session(self.a.lp)
        mate.bounds(np.arange(len(self.lower)), self.lower, self.upper)
        return self._extended(mate)

    def milp(self) -> Milp:
        milp = Milp(self.a.lp, self.lower, self.upper, self.a.semi, self.a.whole)
        self._extended(milp.session)
        return milp

    # --- rows beside the programme's own: in every session the same, in one order ---

    def _add(self, columns: Ints, coefficients: Floats, low: float, high: float) -> _Row:
        row = _Row(columns, coefficients, low, high)
        self._rows.append(row)
        row.number = row.append_to(self.session)
        return row

    def _limit(self, row: _Row, low: float, high: float) -> None:
        row.low, row.high = low, high
        self.session.row_bounds(row.number, low, high)

    def _extended(self, session: Session) -> Session:
        for row in self._rows:
            row.append_to(session)
        return session


@dataclass
class _Row:
    """A row added to the programme, and the number it has there."""

    columns: Ints
    coefficients: Floats
    low: float
    high: float
    number: int = -1

    def append_to(self, session: Session) -> int:
        low, high, start = np.array([self.low]), np.array([self.high]), np.array([0])
        return int(session.add_rows(low, high, start, self.columns, self.coefficients)[0])


def better(one: Answer | None, other: Answer | None) -> Answer | None:
    found = [a for a in (one, other) if a is not None]
    return min(found, key=lambda a: a.objective) if found else None
