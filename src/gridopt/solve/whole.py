"""Whether a plan exists, its decisions relaxed or kept whole by binaries."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from gridopt.assets.base import Exclusive, Floats, Ints
from gridopt.model.assemble import Assembly
from gridopt.solve import binaries
from gridopt.solve.session import Session


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
    """Declare every decision, within the bounds given.

    A pair with a side that nothing limits is left to the relaxation: there is no number to tie it with.
    """
    for s in a.semi:
        binaries.may_rest(session, s.columns.ravel(), s.minimum.ravel(), lower, upper)
    for w in a.whole:
        binaries.whole(session, w.columns.ravel())
    for one, two in exclusive(a):
        open_ = (upper[one] > 0) & (upper[two] > 0) & np.isfinite(upper[one]) & np.isfinite(upper[two])
        binaries.exclude(session, one[open_], two[open_], upper)
