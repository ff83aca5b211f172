"""Whether a plan exists, its decisions relaxed or kept whole by binaries."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from gridopt.assets.base import Exclusive, Floats, Ints
from gridopt.model.assemble import Assembly
from gridopt.solve.session import INTEGER, Session

MOST_RUN = 1e5
"""Largest power of a device that may rest, where it has no bound of its own."""


def has_plan(a: Assembly, whole: bool, deadline: float) -> bool | None:
    """Whether any plan exists, emergencies open, money aside; None: not known by the deadline."""
    session = Session(replace(a.lp, cost=np.zeros_like(a.lp.cost), offset=0.0))
    if not whole:
        return session.run().has_point
    keep_whole(session, a, a.lp.lower, a.lp.upper)
    answer = session.run(seconds_left(deadline))
    return None if answer.status == "limit" and not answer.has_point else answer.has_point


def seconds_left(deadline: float) -> float:
    """Seconds until a ``time.perf_counter`` value; never quite none."""
    return max(deadline - time.perf_counter(), 0.1)


def count_decisions(a: Assembly) -> int:
    """How many decisions ``keep_whole`` declares."""
    devices = sum(s.columns.size for s in a.semi) + sum(w.columns.size for w in a.whole)
    return devices + sum(len(first) for first, _ in exclusive(a))


def exclusive(a: Assembly) -> Iterator[tuple[Ints, Ints]]:
    """Columns that exclude each other: of devices, and of nodes whose import or export a rule speaks of.

    Elsewhere a node's direction matters to prices alone.
    """
    for block in a.blocks:
        for d in block.group.family.decisions:
            if isinstance(d, Exclusive):
                first, second = block.columns(d.first), block.columns(d.second)
                if first is not None and second is not None:
                    yield first.ravel(), second.ravel()
    sided = {name for r in a.inputs.rules for _, what, name, side, _ in r.terms if what == "node" and side != "net_kw"}
    for name in sorted(sided):
        columns = a.nodes[a.inputs.node_index[name]]
        if len(columns.import_):
            yield columns.import_, columns.export


def keep_whole(session: Session, a: Assembly, lower: Floats, upper: Floats) -> None:
    """Declare every decision, within the bounds given."""
    for s in a.semi:
        _may_rest(session, s.columns.ravel(), s.minimum.ravel(), lower, upper)
    for w in a.whole:
        j = w.columns.ravel()
        session.wholeness(j, np.full(len(j), INTEGER))
    for one, two in exclusive(a):
        _exclude(session, one, two, upper)


def _may_rest(session: Session, columns: Ints, minimum: Floats, lower: Floats, upper: Floats) -> None:
    """One binary a column that is zero or above its minimum: minimum · u <= column <= upper · u.

    HiGHS's own semi-continuous columns end as an error where its integer tolerance times their bound is too large.
    """
    j, least = columns[minimum > 0], minimum[minimum > 0]
    low, most = np.maximum(least, lower[j]), np.minimum(upper[j], MOST_RUN)
    may_rest, may_run = lower[j] <= 0, most >= low - 1e-9
    never, must, free = may_rest & ~may_run, ~may_rest, may_rest & may_run
    session.bounds(j[never], lower[j[never]], np.zeros(int(never.sum())))
    session.bounds(j[must], low[must], upper[j[must]])
    runs = _binaries(session, int(free.sum()))
    _tie(session, j[free], runs, -most[free], np.full(len(runs), -np.inf), np.zeros(len(runs)))
    _tie(session, j[free], runs, -low[free], np.zeros(len(runs)), np.full(len(runs), np.inf))


def _exclude(session: Session, one: Ints, two: Ints, upper: Floats) -> None:
    """One binary a pair: one <= upper · u, two <= upper · (1 - u).

    A pair with a side that nothing limits is left to the relaxation: there is no number to tie it with.
    """
    open_ = (upper[one] > 0) & (upper[two] > 0) & np.isfinite(upper[one]) & np.isfinite(upper[two])
    one, two = one[open_], two[open_]
    u, none = _binaries(session, len(one)), np.full(len(one), -np.inf)
    _tie(session, one, u, -upper[one], none, np.zeros(len(u)))
    _tie(session, two, u, upper[two], none, upper[two])


def _binaries(session: Session, n: int) -> Ints:
    u = session.add_columns(np.zeros(n), np.ones(n), np.zeros(n))
    session.wholeness(u, np.full(n, INTEGER))
    return u


def _tie(session: Session, columns: Ints, u: Ints, factor: Floats, low: Floats, high: Floats) -> None:
    """Rows low <= column + factor · u <= high."""
    value = np.column_stack([np.ones(len(u)), factor]).ravel()
    session.add_rows(low, high, np.arange(0, 2 * len(u), 2), np.column_stack([columns, u]).ravel(), value)
