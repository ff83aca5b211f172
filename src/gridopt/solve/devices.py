"""A device by itself at the prices of the relaxation: its own whole decisions, found and bounded apart.

Minimum times, a hold, a band of levels tie a device's steps together, so that its decisions cannot be rounded step by
step. But a device sees the district only through what its power is worth, and the relaxation's duals say that:

cheapest whole point   min  price · x + near · |power - relaxed power|  over its own rows, decisions whole        (1)
what wholeness costs   w = min price · x, decisions whole  -  price · relaxed x  >= 0                             (2)

(1) is a small MILP of some hundred columns. Its second term keeps devices to which the hours are worth the same from
all choosing one of them. Every w adds to the relaxation's bound: every plan that keeps the device's decisions has
price · x >= price · relaxed x + w, and as a row of the programme that raises the optimum by all w at once.       (3)

Source: (2), (3): Lagrangian relaxation, A. M. Geoffrion, "Lagrangean Relaxation for Integer Programming", Mathematical
Programming Study 2, 1974; of unit commitment, J. A. Muckstadt, S. A. Koenig, Operations Research 25, 1977.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from gridopt.assets.base import Floats, Ints
from gridopt.errors import SolverError
from gridopt.model.assemble import Assembly, LinearProgram, SemiSet, WholeSet
from gridopt.model.layout import Block
from gridopt.solve import binaries
from gridopt.solve.rounding import TOLERANCE
from gridopt.solve.session import Answer, Session

NEAR = 0.15
"""Price of a kW off the relaxed power, over the mean price of a kW at that node."""
WORK = 150_000
"""Most parts that a device's search looks at, times its columns: work limits are counters."""
AT_ONCE = 2
WORTH = 1e-6
"""Smaller costs of wholeness [EUR, or of what they are added to] are a solver's tolerance."""
OPTIONS = {
    "mip_allow_restart": False,
    "mip_heuristic_run_rens": False,  # searches within the search: as good without, in half the time
    "mip_heuristic_run_rins": False,
}


@dataclass(frozen=True)
class Device:
    """The ``k``-th device of a block, with the sets that hold its decisions."""

    block: Block
    k: int
    semi: tuple[SemiSet, ...]
    whole: tuple[WholeSet, ...]

    @property
    def columns(self) -> Ints:
        width = self.block.template.width
        return self.block.first + self.k * width + np.arange(width)

    @property
    def rows(self) -> Ints:
        height = self.block.template.height
        return self.block.row + self.k * height + np.arange(height)


@dataclass(frozen=True)
class Apart:
    """What a device's own search left. ``x``: values of its columns, empty where it found none; ``price``: what they
    cost; ``relaxed``: the cost of the relaxed point; ``least``: no whole point costs less, -inf where that is not known
    and inf where there is none."""

    device: Device
    x: Floats
    price: Floats
    relaxed: float
    least: float

    @property
    def raised(self) -> float:
        """What the device's decisions add to the relaxation's bound, (2)."""
        worth = WORTH * max(1.0, abs(self.least), abs(self.relaxed))
        return max(self.least - self.relaxed - worth, 0.0) if np.isfinite(self.least) else 0.0

    def row(self) -> tuple[Ints, Floats, float]:
        """Columns, coefficients and least value of (3)."""
        told = np.flatnonzero(np.abs(self.price) > 1e-9 * np.abs(self.price).max())
        return self.device.columns[told], self.price[told], self.relaxed + self.raised


def undecided(a: Assembly, x: Floats, semi: Sequence[SemiSet], whole: Sequence[WholeSet]) -> list[Device]:
    """Devices whose steps hang together, by a large decision or one with guides, and which ``x`` leaves undecided."""
    return [d for block in a.blocks for d in _of_block(block, semi, whole) if _is_undecided(d, x)]


def _of_block(block: Block, semi: Sequence[SemiSet], whole: Sequence[WholeSet]) -> Iterator[Device]:
    ours, own = tuple(s for s in semi if s.block is block), tuple(w for w in whole if w.block is block)
    if block.template.height and (any(s.large for s in ours) or any(w.large for w in own)):
        for k in range(block.group.n):
            yield Device(block, k, ours, own)


def _is_undecided(d: Device, x: Floats) -> bool:
    for s in d.semi:
        power = x[s.columns[d.k]]
        if ((power > TOLERANCE) & (power < s.minimum[d.k] - TOLERANCE)).any():
            return True
    values = [x[w.columns[d.k]] for w in d.whole]
    return any((np.abs(v - np.round(v)) > TOLERANCE).any() for v in values)


def solve_apart(
    a: Assembly,
    point: Answer,
    lower: Floats,
    upper: Floats,
    devices: Sequence[Device],
    slack: float,
    near: float,
    until: float,
) -> list[Apart]:
    """Every device's cheapest whole point at a point's duals, (1); ``near`` 0 for (2).

    ``lower``, ``upper``: bounds in force; ``slack``: what may be left to each search [EUR]; ``until``: a
    ``time.perf_counter`` value: devices whose search ends later are left out.
    """

    def one(d: Device) -> Apart | None:
        left = until - time.perf_counter()
        found = _apart(a, point, lower, upper, d, slack, near, left) if left > 0 else None
        return found if time.perf_counter() < until else None

    with ThreadPoolExecutor(AT_ONCE) as side_by_side:  # HiGHS lets go of the interpreter while it runs
        return [found for found in side_by_side.map(one, devices) if found is not None]


def merged(x: Floats, found: Sequence[Apart]) -> Floats:
    """A point with the devices that found one of their own."""
    out = x.copy()
    for f in found:
        if len(f.x):
            out[f.device.columns] = f.x
    return out


def _apart(
    a: Assembly, point: Answer, lower: Floats, upper: Floats, d: Device, slack: float, near: float, limit_s: float
) -> Apart:
    j, i = d.columns, d.rows
    own = a.matrix[i][:, j]
    price = point.reduced[j] + own.T @ point.price[i]
    lp = _programme(a, own, price, lower[j], upper[j], i)
    if near > 0:
        lp = _near(a, lp, point, j, near)
    session = Session(lp)
    for name, value in OPTIONS.items():
        session.option(name, value)
    session.option("mip_max_nodes", max(WORK // len(j), 1))
    for s in d.semi:
        binaries.may_rest(session, s.columns[d.k] - j[0], s.minimum[d.k], lp.lower, lp.upper)
    for w in d.whole:
        binaries.whole(session, w.columns[d.k] - j[0])
    try:
        answer = session.run(limit_s, slack=slack)
    except SolverError:  # from numbers that HiGHS stumbles over nothing follows
        return Apart(d, np.zeros(0), price, 0.0, -np.inf)
    least = np.inf if answer.status == "infeasible" else answer.bound if near == 0 else -np.inf
    return Apart(d, answer.x[: len(j)], price, float(price @ point.x[j]), least)


def _programme(
    a: Assembly, own: sp.csr_array, price: Floats, lower: Floats, upper: Floats, rows: Ints
) -> LinearProgram:
    by_column = own.tocsc()
    return LinearProgram(
        price, 0.0, lower, upper, a.lp.row_lower[rows], a.lp.row_upper[rows],
        by_column.indptr.astype(np.int32), by_column.indices.astype(np.int32), by_column.data,
    )  # fmt: skip


def _near(a: Assembly, lp: LinearProgram, point: Answer, columns: Ints, near: float) -> LinearProgram:
    """The programme with a column per power at a node that prices how far it is off the relaxed one."""
    steps = a.inputs.axis.steps
    balances = a.matrix[: len(a.nodes) * steps][:, columns]
    at = np.unique(balances.nonzero()[0])
    power, n = balances[at], len(at)
    relaxed = power @ point.x[columns]
    worth = np.abs(point.price[: len(a.nodes) * steps]).reshape(-1, steps).mean(1)[at // steps]
    off = sp.eye_array(n, format="csr")
    matrix = sp.block_array([[lp.matrix(), None], [power, -off], [power, off]], format="csc")
    none, free = np.zeros(n), np.full(n, np.inf)
    return LinearProgram(
        np.concatenate([lp.cost, near * worth]), 0.0,
        np.concatenate([lp.lower, none]), np.concatenate([lp.upper, free]),
        np.concatenate([lp.row_lower, -free, relaxed]), np.concatenate([lp.row_upper, relaxed, free]),
        matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32), matrix.data,
    )  # fmt: skip
