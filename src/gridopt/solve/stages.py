"""Least violations led by one category: a sequence of goals, each kept while the next is sought."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gridopt.assets.base import Floats, Ints
from gridopt.model.assemble import LinearProgram
from gridopt.solve.elastic import ASSET, LIMIT, TOLERANCE, Bools, Elastic
from gridopt.solve.rounding import as_taken, shut_weaker
from gridopt.solve.session import Session
from gridopt.solve.whole import exclusive, keep_whole, seconds_left

EMERGENCY = 2.0
"""What has to give anyway gives more where every such number of kWh more spares at least one kWh of emergency."""
LATER = 0.001
"""How much less a violation at the horizon's end weighs, so that a pin or a rule is kept while it can be."""


@dataclass(frozen=True)
class Point:
    """Least violations: all columns of the elastic programme, and what the categories beside the lead had to give."""

    x: Floats
    beside: float


class Stages:
    """One lead's goals in turn: what the others give, what the lead gives, emergencies, peaks, and the rest late.

    With whole decisions each goal is a search of its own; the last one is an LP around the decisions found.
    """

    def __init__(self, e: Elastic, lp: LinearProgram, whole: bool, deadline: float) -> None:
        """``lp``: the elastic programme, or one with narrower bounds."""
        self.e, self.lp, self.whole, self.deadline = e, lp, whole, deadline
        self.upper = lp.upper.copy()
        self.caps: list[tuple[Ints, Floats, float]] = []
        self.session = Session(lp)
        if whole:
            keep_whole(self.session, e.a, lp.lower, lp.upper)

    def least(self, columns: Ints, cost: Floats) -> Floats | None:
        """The point of least cost, or None."""
        c = np.zeros(self.session.columns)
        c[columns] = cost
        self.session.costs(np.arange(self.session.columns), c)
        answer = self.session.run(seconds_left(self.deadline), 1e-6) if self.whole else self.session.run()
        return answer.x if answer.has_point else None

    def _better(self, x: Floats, columns: Ints, cost: Floats) -> Floats:
        """The point of least cost; ``x`` again where the search found none in time."""
        found = self.least(columns, cost)
        return x if found is None else found

    def led_by(self, lead: int, sparing: Ints) -> Point | None:
        """``sparing``: columns to be used as little as the others' least allows."""
        e = self.e
        mine, others = e.category == lead, (e.category != lead) & (e.category != ASSET)
        beside = 0.0
        if others.any():
            x = self.least(e.free[others], e.weight[others])
            if x is None:
                return None
            beside = float(e.weight[others] @ x[e.free[others]])
            if beside <= TOLERANCE:
                self._most(e.free[others], 0.0)
            else:
                slack = (1e-6 if self.whole else 1e-9) * max(1.0, beside)
                self._cap(e.free[others], e.weight[others], beside + slack)
        x = self.least(sparing, np.ones(len(sparing))) if len(sparing) else None
        if x is not None:
            self._most(sparing, x[sparing])
        x = self.least(e.free[mine], e.weight[mine])
        return None if x is None else Point(self._shape(x)[: len(e.lp.cost)], beside)

    def _most(self, columns: Ints, most: Floats | float) -> None:
        """Let columns go up to ``most``."""
        self.upper[columns] = np.maximum(most, self.lp.lower[columns])
        self.session.bounds(columns, self.lp.lower[columns], self.upper[columns])

    def _cap(self, columns: Ints, weight: Floats, most: float) -> None:
        """Keep a weighted sum at ``most`` or less."""
        self.caps.append((columns, weight, most))
        self.session.add_rows(np.array([-np.inf]), np.array([most]), np.array([0]), columns, weight)

    def _shape(self, x: Floats) -> Floats:
        """What gives is settled: spare emergencies beside it, then make its peaks small, then all else.

        Peaks come before energy, for a limit's mend is one number: a battery that burns energy in bursts would save
        energy beyond the limit and need a far higher one.
        """
        e = self.e
        giving = (e.category != ASSET) & np.isin(e.item, e.used(x))
        self._most(e.free[(e.category != ASSET) & ~giving], 0.0)
        x = self._spare_emergencies(x, e.free[giving], e.weight[giving])
        limits = giving & (e.category == LIMIT)
        if limits.any():
            x = self._small_peaks(x, limits)
        if self.whole:
            self._hold_decisions(x)
        late = e.weight[giving] * (1.0 - LATER * e.step[giving] / e.a.inputs.axis.steps)
        return self._better(x, e.free[giving], late)

    def _spare_emergencies(self, x: Floats, giving: Ints, weight: Floats) -> Floats:
        """Where something gives anyway it gives enough; at other steps, and for the stores' ends, it does not."""
        spared, emergency_weight = self.e.spared
        if not len(spared):
            return x
        if float(emergency_weight @ x[spared]) > TOLERANCE:
            idle = giving[x[giving] <= TOLERANCE]
            self._most(idle, 0.0)
            cost = np.concatenate([weight, EMERGENCY * emergency_weight])
            x = self._better(x, np.concatenate([giving, spared]), cost)
            self._most(idle, self.lp.upper[idle])
        self._most(spared, np.minimum(x[spared], self.upper[spared]))
        return x

    def _small_peaks(self, x: Floats, limits: Bools) -> Floats:
        """The least sum of each limit's largest violation [kW]."""
        e = self.e
        items, which = np.unique(e.item[limits], return_inverse=True)
        free, n = e.free[limits], int(limits.sum())
        peaks = self.session.add_columns(np.zeros(len(items)), np.full(len(items), np.inf), np.zeros(len(items)))
        index = np.column_stack([free, peaks[which]]).ravel()
        self.session.add_rows(np.full(n, -np.inf), np.zeros(n), np.arange(0, 2 * n, 2), index, np.tile([1.0, -1.0], n))
        x = self._better(x, peaks, np.ones(len(items)))
        most = np.zeros(len(items))
        np.maximum.at(most, which, x[free])
        self._most(free, most[which] + (1e-7 if self.whole else 0.0))
        return x

    def _hold_decisions(self, x: Floats) -> None:
        """Go on with an LP whose decisions are as the search left them."""
        lower, upper = as_taken(x, self.lp.lower, self.upper, self.e.a.semi, self.e.a.whole)
        for pair in exclusive(self.e.a):
            shut_weaker(x, lower, upper, *pair)
        self.whole = False
        self.session = Session(replace(self.lp, lower=lower, upper=upper))
        caps, self.caps = self.caps, []
        for cap in caps:
            self._cap(*cap)
