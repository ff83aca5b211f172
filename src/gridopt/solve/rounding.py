"""Whole decisions read off the relaxation, device by device, in numpy.

A semi-continuous power with its binary relaxed projects onto 0..maximum, so the plain LP is the root of the MILP:
its vertices leave few decisions open, and what rounding breaks the batteries and the other buildings
repair in the next LP. The proof of quality is the gap to the LP's own objective, never the rounding itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridopt.assets.base import Floats, Ints
from gridopt.model.assemble import Assembly, SemiSet, WholeSet

TOLERANCE = 1e-6
Fix = tuple[Ints, Floats, Floats]
"""Columns and the bounds that hold their decision."""


def round_semi(s: SemiSet, x: Floats, upper: Floats, price: Floats) -> Fix:
    """Hold a family's semi-continuous columns at zero or above their minimum.

    ``upper``: (columns,) bounds in force, as an outage or a pin left them; ``price``: (n, steps) EUR/kWh at the
    device's node, which breaks ties.
    """
    power, most = x[s.columns], upper[s.columns]
    on = _budget(power, s.minimum, most, price) if s.rounding == "budget" else _diffuse(power, s.minimum, most)
    on &= most >= s.minimum - TOLERANCE
    columns = s.columns.ravel()
    return columns, np.where(on, s.minimum, 0.0).ravel(), np.where(on, most, 0.0).ravel()


def _budget(power: Floats, least: Floats, most: Floats, price: Floats) -> npt.NDArray[np.bool_]:
    """As many steps as the sum of power allows at its minimum, largest relaxed power first, then cheapest."""
    usable = (most > TOLERANCE) & (most >= least - TOLERANCE)
    total = power.sum(1)
    floor = np.where(usable, least, 0.0).max(1, initial=0.0)
    ceiling = most.max(1, initial=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        fit = np.where(floor > 0, np.floor(total / floor + 1e-9), np.inf)
        need = np.where(ceiling > 0, np.ceil(total / ceiling - 1e-9), 0.0)
    positive = (power > TOLERANCE).sum(1)
    count = np.maximum(need, np.minimum(fit, positive))
    order = np.lexsort((price, np.where(usable, -power, np.inf)), axis=1)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(power.shape[1]), power.shape), axis=1)
    return np.asarray((rank < count[:, None]) & usable)


def _diffuse(power: Floats, least: Floats, most: Floats) -> npt.NDArray[np.bool_]:
    """Error diffusion: a step is on when the power owed so far reaches half the minimum."""
    on = np.zeros(power.shape, bool)
    owed = np.zeros(len(power))
    for t in range(power.shape[1]):
        owed += power[:, t]
        on[:, t] = (owed >= 0.5 * least[:, t]) & (power[:, t] > TOLERANCE)
        owed -= np.where(on[:, t], np.clip(owed, least[:, t], np.maximum(most[:, t], least[:, t])), 0.0)
    return on


def round_whole(w: WholeSet, x: Floats, upper: Floats, follows: bool = False) -> Fix:
    """Hold 0/1 columns at their nearest whole value; of a one-of-many device the largest becomes 1.

    What opens a row is opened wherever the relaxation opens it a little: at the nearest value most rows would shut.
    ``follows``: the device has another such set, within so many steps of this one: each becomes 1 at its median, which
    keeps every distance that the relaxed sums so far keep.
    """
    value = x[w.columns]
    if w.one_of:
        one = np.zeros_like(value)
        total = value.sum(1)
        if follows:
            best = (value.cumsum(1) >= 0.5 * total[:, None] - TOLERANCE).argmax(1)
        else:
            best = np.where(upper[w.columns] > 0.5, value, -1.0).argmax(1)
        chosen = total > 0.5
        one[np.flatnonzero(chosen), best[chosen]] = 1.0
    elif w.opens is not None:
        one = np.ceil(value - TOLERANCE)
    else:
        one = np.round(value)
    columns = w.columns.ravel()
    return columns, one.ravel(), one.ravel()


def as_taken(
    x: Floats, lower: Floats, upper: Floats, semi: list[SemiSet], whole: list[WholeSet]
) -> tuple[Floats, Floats]:
    """Bounds of every column with decisions as a point took them; pins and outages stay as they are.

    What rests stays at rest, what runs keeps its least power, what is whole is fixed.
    """
    low, high = lower.copy(), upper.copy()
    for s in semi:
        columns, least = s.columns.ravel(), s.minimum.ravel()
        on = (x[columns] > 0.5 * least) | (least <= 0)
        low[columns] = np.where(on, np.clip(least, lower[columns], upper[columns]), lower[columns])
        high[columns] = np.where(on, upper[columns], np.maximum(lower[columns], 0.0))
    for w in whole:
        columns = w.columns.ravel()
        low[columns] = high[columns] = np.clip(np.round(x[columns]), lower[columns], upper[columns])
    return low, high


def shut_weaker(x: Floats, lower: Floats, upper: Floats, first: Ints, second: Ints) -> None:
    """Hold the weaker side of pairs that exclude each other at zero, unless it is pinned to more."""
    weaker = np.where((x[first] >= x[second]) & (lower[second] <= 0), second, first)
    weaker = weaker[lower[weaker] <= 0]
    upper[weaker] = np.minimum(upper[weaker], 0.0)


def both_ways(a: Assembly, x: Floats) -> tuple[Ints, Ints]:
    """Pairs of columns that the point uses at once although they exclude each other: (first, second)."""
    first: list[Ints] = []
    second: list[Ints] = []
    for p in a.pairs:
        hit = np.minimum(x[p.first], x[p.second]) > TOLERANCE
        first.append(p.first[hit])
        second.append(p.second[hit])
    if not first:
        none = np.zeros(0, np.int64)
        return none, none
    return np.concatenate(first), np.concatenate(second)


def is_whole(a: Assembly, x: Floats) -> bool:
    """Whether a point keeps every decision of the district."""
    for s in a.semi:
        power = x[s.columns]
        if ((power > TOLERANCE) & (power < s.minimum - TOLERANCE)).any():
            return False
    for w in a.whole:
        value = x[w.columns]
        if (np.abs(value - np.round(value)) > TOLERANCE).any():
            return False
    return len(both_ways(a, x)[0]) == 0
