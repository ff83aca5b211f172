"""Decisions as binaries of a HiGHS session: rest or run above a minimum, one direction or the other."""

from __future__ import annotations

import numpy as np

from gridopt.assets.base import Floats, Ints
from gridopt.solve.session import INTEGER, Session

MOST_RUN = 1e5
"""Largest power of a device that may rest, where it has no bound of its own."""


def whole(session: Session, columns: Ints) -> None:
    """Declare columns whole."""
    session.wholeness(columns, np.full(len(columns), INTEGER))


def may_rest(session: Session, columns: Ints, minimum: Floats, lower: Floats, upper: Floats) -> tuple[Ints, Ints]:
    """Columns that are zero or at least their minimum; returns those still to be decided, and their binaries u.

    minimum · u <= column <= upper · u. ``lower``, ``upper``: bounds in force, indexed by column. HiGHS's own
    semi-continuous columns end as an error where its integer tolerance times their bound is too large.
    """
    j, least = columns[minimum > 0], minimum[minimum > 0]
    low, most = np.maximum(least, lower[j]), np.minimum(upper[j], MOST_RUN)
    may_rest, may_run = lower[j] <= 0, most >= low - 1e-9
    never, must, free = may_rest & ~may_run, ~may_rest, may_rest & may_run
    session.bounds(j[never], lower[j[never]], np.zeros(int(never.sum())))
    session.bounds(j[must], low[must], upper[j[must]])  # a pin in the gap crosses: no plan
    u = _binaries(session, int(free.sum()))
    _tie(session, j[free], u, -np.maximum(most, low)[free], np.full(len(u), -np.inf), np.zeros(len(u)))
    _tie(session, j[free], u, -low[free], np.zeros(len(u)), np.full(len(u), np.inf))
    return j[free], u


def exclude(session: Session, first: Ints, second: Ints, upper: Floats) -> Ints:
    """Pairs of columns of which one is zero: first <= upper · u, second <= upper · (1 - u); returns the binaries u.

    ``upper``: bounds in force, indexed by column; finite for every pair.
    """
    u = _binaries(session, len(first))
    none = np.full(len(u), -np.inf)
    _tie(session, first, u, -upper[first], none, np.zeros(len(u)))
    _tie(session, second, u, upper[second], none, upper[second])
    return u


def _binaries(session: Session, n: int) -> Ints:
    u = session.add_columns(np.zeros(n), np.ones(n), np.zeros(n))
    whole(session, u)
    return u


def _tie(session: Session, columns: Ints, u: Ints, factor: Floats, low: Floats, high: Floats) -> None:
    """Rows low <= column + factor · u <= high."""
    value = np.column_stack([np.ones(len(u)), factor]).ravel()
    session.add_rows(low, high, np.arange(0, 2 * len(u), 2), np.column_stack([columns, u]).ravel(), value)
