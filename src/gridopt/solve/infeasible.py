"""Why no plan exists, in plain words, and what would mend it.

The district's programme is solved again with its hard limits made elastic, in three categories:

limit   per node and step, power beyond what its limits allow (also where a node is closed and has no column at all)
pin     a person's overrides and outages: the variable is freed within its device's own bounds, its distance is paid
rule    the user's own rules

Each category in turn *leads*: the others are used as little as possible, then the lead's own total is made smallest
(kWh; pins that are not powers and rules in their own unit), then its peaks. Where the lead alone restores a plan the
others stay untouched, so every answer is one option; where it does not, the option says what else must give. If a
handful of things make an option, each is forbidden in turn to find what could give in its place. Every option is
applied to the Inputs and must then have a plan, otherwise it is not offered.

Emergencies stay open: they cannot restore a plan, and no limit is named only to spare one. What has to give anyway is
sized so that no emergency is needed beside it but of what stores shall hold at the end: no cable is made stronger for
tomorrow's content. What a mended district then falls short of is said, as solving it finds.

What a device or a contract demands of itself (``asset``) is made elastic only when nothing else restores a plan.

Read on in the order of the work: ``elastic`` adds what may give, ``stages`` finds the least of it, ``reading`` turns
that into ``culprits`` and ``mends``; ``whole`` keeps decisions whole on the way, ``words`` holds every sentence.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from gridopt.assets.base import Ints
from gridopt.errors import InfeasibleError, NoPlanError, UnboundedError
from gridopt.model.assemble import Assembly, assemble
from gridopt.model.inputs import Inputs
from gridopt.solve.culprits import Culprit, lines
from gridopt.solve.elastic import ASSET, LIMIT, PIN, RULE, TOLERANCE, Bools, elastic
from gridopt.solve.ladder import solve
from gridopt.solve.mends import Mend, Option, apply
from gridopt.solve.reading import Reader
from gridopt.solve.short import SHORT, Short, fallen_short, shorts
from gridopt.solve.stages import Point, Stages
from gridopt.solve.whole import count_decisions, has_plan
from gridopt.solve.words import TEXTS, tidy

__all__ = ["TEXTS", "Culprit", "Explanation", "Mend", "Option", "apply", "explain"]

MOST_OPTIONS = 6
MOST_ITEMS = 3
"""Options of at most this many things are searched for what could give in their place."""
MOST_PRUNED = 12
"""Options of at most this many mends are rid of needless ones."""
ROUGH_GAP = 0.05
MEND_S = 5.0
"""How closely, and for how long, a mended district is planned to see what it then falls short of."""
MOST_DECISIONS = 5000
"""Beyond this many decisions mends are proven on the relaxation alone."""
_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Explanation:
    """What contradicts, and what would mend it: any ONE of ``options`` does.

    ``whole``: only with decisions kept whole; ``late_s``: the seconds after which the search was given up, if it was.
    """

    culprits: tuple[Culprit, ...] = ()
    options: tuple[Option, ...] = ()
    whole: bool = False
    late_s: float | None = None

    @property
    def words(self) -> str:
        if not self.culprits:
            return TEXTS["none"] if self.late_s is None else TEXTS["late"].format(limit=tidy(self.late_s))
        out = [TEXTS["head.whole" if self.whole else "head"], *lines(self.culprits)]
        if not self.options:
            out.append(TEXTS["mend.none"])
        elif len(self.options) == 1:
            out.append(TEXTS["mend.one"].format(option=self.options[0].words))
        else:
            out.append(TEXTS["mend.many"])
            out += [TEXTS["option"].format(number=k, words=o.words) for k, o in enumerate(self.options, 1)]
        return "\n".join(out)

    def placed(self, places: Mapping[str, str]) -> Explanation:
        """With limits that are written elsewhere than in a number of the scenario mended there.

        ``places``: ``node.ID.KEY`` → file and column, or line.
        """
        placed = tuple(replace(o, mends=tuple(m.placed(places) for m in o.mends)) for o in self.options)
        return replace(self, options=placed)


def explain(a: Assembly, whole: bool = False, limit_s: float = 20.0) -> Explanation:
    """Name what keeps a district from having any plan.

    ``whole``: with the decisions kept whole, for a district whose relaxation has a plan. Without it they are relaxed,
    unless that would offer a mend with which no whole plan exists. Searches with whole decisions end after ``limit_s``
    seconds together. A district that has a plan gets an explanation without culprits and options, which says so.
    """
    deadline = time.perf_counter() + limit_s
    if has_plan(a, whole, deadline):
        return Explanation()
    found = _explained(a, whole, deadline, limit_s)
    return replace(found, options=tuple(replace(o, short=_still_short(a.inputs, o)) for o in found.options))


def _explained(a: Assembly, whole: bool, deadline: float, limit_s: float) -> Explanation:
    found = _Search(a, whole, deadline, limit_s).explain()
    if whole or count_decisions(a) > MOST_DECISIONS:
        return found
    mended = [assemble(apply(a.inputs, option.mends)) for option in found.options]
    if all(has_plan(m, True, deadline) is not False for m in mended):
        return found
    exact = _Search(a, True, deadline, limit_s).explain()
    return exact if exact.options else found


def _still_short(inputs: Inputs, option: Option) -> tuple[Short, ...] | None:
    """What the best plan with the mends made falls short of; None where none was found in time."""
    rough = replace(inputs.target, gap=ROUGH_GAP, exact_decisions=0)
    try:
        solution = solve(
            apply(replace(inputs, target=rough), option.mends), until=time.perf_counter() + MEND_S, explained=False
        )
    except (InfeasibleError, NoPlanError, UnboundedError):
        return None
    units = fallen_short(solution)
    return tuple(s for s in shorts(solution) if s.unit in units and s.amount > SHORT)


class _Search:
    """Leads tried in turn; what they find is read, told and proven."""

    def __init__(self, a: Assembly, whole: bool, deadline: float, limit_s: float) -> None:
        self.a, self.whole, self.deadline, self.limit_s = a, whole, deadline, limit_s
        self.e = elastic(a, with_assets=False)
        self.is_broken = False
        self.culprits: list[Culprit] = []
        self.options: list[Option] = []

    def explain(self) -> Explanation:
        if len(self.e.crossed) or not self._all_free():
            self._assets()
        for lead in (LIMIT, PIN, RULE):
            if (self.e.category == lead).any():
                self._lead(lead)
        late = self.whole and not self.culprits and time.perf_counter() >= self.deadline
        return Explanation(tuple(self.culprits), tuple(self.options), self.whole, self.limit_s if late else None)

    def _all_free(self) -> bool:
        """Whether limits, pins and rules together can restore a plan."""
        return self._stages().least(_NONE, np.zeros(0)) is not None

    def _assets(self) -> None:
        """The last resort: what devices and contracts miss of their own demands when everything else is free.

        From here on they may miss that much and no more.
        """
        self.e = e = elastic(self.a, with_assets=True)
        assets = e.category == ASSET
        x = self._stages().least(e.free[assets], e.weight[assets])
        if x is None:
            return
        self.is_broken = True
        self.culprits += Reader(e, x).assets()
        upper = e.lp.upper.copy()
        upper[e.free[assets]] = x[e.free[assets]] * (1 + 1e-9) + 1e-9
        self.e = replace(e, lp=replace(e.lp, upper=upper))

    def _lead(self, lead: int) -> None:
        """A lead's option, and what could give in place of each of its few things."""
        point = self._point(lead, _NONE)
        if point is None:
            return
        self._take(point)
        used = self.e.used(point.x)
        if len(used) > MOST_ITEMS or self.is_broken:
            return
        for item in used:
            other = self._point(lead, np.array([item])) if len(self.options) < MOST_OPTIONS else None
            if other is not None and other.beside <= point.beside + TOLERANCE * max(1.0, point.beside):
                self._take(other)

    # --- a lead's least violations ---

    def _point(self, lead: int, forbidden: Ints) -> Point | None:
        """The lead's least violations. What excludes a held variable is used only where nothing less will do."""
        h = self.e.held
        point = self._within(lead, forbidden, np.zeros(len(h.other), bool))
        if self.whole or not len(h.other) or (point is not None and point.beside <= TOLERANCE):
            return point
        relaxed = self._within(lead, forbidden, None)
        if relaxed is None or (point is not None and relaxed.beside >= point.beside - TOLERANCE):
            return point
        turned = self._within(lead, forbidden, relaxed.x[h.other] > TOLERANCE)
        return turned if point is None or (turned is not None and turned.beside < point.beside - TOLERANCE) else point

    def _within(self, lead: int, forbidden: Ints, turned: Bools | None) -> Point | None:
        """A pin beyond its device's own bounds that gives way at all gives way to those bounds."""
        h = self.e.held
        pulled = np.zeros(len(h.column), bool)
        while True:
            stages = self._stages(forbidden, turned, pulled)
            point = stages.led_by(lead, sparing=h.other if turned is None else _NONE)
            if point is None:
                return None
            value = point.x[h.column]
            outside = (value > h.high + TOLERANCE) | (value < h.low - TOLERANCE)
            outside &= (np.abs(value - h.value) > TOLERANCE) & ~pulled
            if not outside.any():
                return point
            pulled |= outside

    def _stages(self, forbidden: Ints = _NONE, turned: Bools | None = None, pulled: Bools | None = None) -> Stages:
        """Stages on the elastic programme with bounds narrowed.

        ``forbidden``: items that may not give. ``turned``: of the variables that exclude a held one, those used in its
        place; all others stay at zero. None leaves it to the relaxation. ``pulled``: held variables that must lie
        within their devices' own bounds.
        """
        e, h = self.e, self.e.held
        lower, upper = e.lp.lower.copy(), e.lp.upper.copy()
        upper[e.free[np.isin(e.item, forbidden)]] = 0.0
        if turned is not None and not self.whole:
            upper[h.other[~turned]] = np.minimum(upper[h.other[~turned]], 0.0)
            given_up = h.column[h.other_to[turned]]
            upper[given_up] = np.maximum(lower[given_up], 0.0)
        if pulled is not None:
            lower[h.column[pulled]], upper[h.column[pulled]] = h.low[pulled], h.high[pulled]
        return Stages(e, replace(e.lp, lower=lower, upper=upper), self.whole, self.deadline)

    # --- options ---

    def _take(self, point: Point) -> None:
        """Offer what a point shows, and name its culprits; those that turn out to be mended by the others are left."""
        read = Reader(self.e, point.x)
        over, raised = read.limits()
        pins, changed = read.pins()
        rules, relaxed = read.rules()
        culprits = [*over, *pins, *rules]
        # A device that contradicts itself leaves no plan whatever else gives.
        if not self.is_broken:
            needed = self._offer((*raised, *changed, *relaxed))
            if needed is not None:
                culprits = [c for c in culprits if any(m.is_about(c) for m in needed)]
            lowered = read.lowered()
            if lowered is not None:
                self._offer((*lowered, *changed, *relaxed))
            curtailed = read.curtailed()
            if curtailed is not None:
                imports = [m for m in raised if m.quantity == "import_max_kw"]
                self._offer((*curtailed, *imports, *changed, *relaxed))
        self.culprits += [c for c in culprits if not any(c.is_like(known) for known in self.culprits)]

    def _offer(self, mends: tuple[Mend, ...]) -> tuple[Mend, ...] | None:
        """Keep an option that is new and proven, without what it does not need; its amounts loosened if need be."""
        for tried in (mends, tuple(m.loosened(self.a.inputs.axis) for m in mends)):
            if self._suffices(tried):
                option = Option(self._pruned(tried))
                if option not in self.options:
                    self.options.append(option)
                return option.mends
        return None

    def _pruned(self, mends: tuple[Mend, ...]) -> tuple[Mend, ...]:
        """Categories are used in turn, so that an early one may have become needless in the end."""
        if len(mends) > MOST_PRUNED:
            return mends
        for m in reversed(mends):
            rest = tuple(other for other in mends if other is not m)
            if rest and self._suffices(rest):
                mends = rest
        return mends

    def _suffices(self, mends: Iterable[Mend]) -> bool:
        return bool(has_plan(assemble(apply(self.a.inputs, mends)), self.whole, self.deadline))
