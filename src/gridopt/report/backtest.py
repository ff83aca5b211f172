"""What a backtest comes to: sums, the share of the possible saving that a way of running captures, and how sure it is.

    captured = (base - way) / (base - perfect)

Source of the interval: H. R. Künsch, "The jackknife and the bootstrap for general stationary observations", Annals of
Statistics 17 (1989): blocks of consecutive days are drawn, because one day is like the day before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BLOCK_DAYS = 7
DRAWS = 2000
SEED = 1
COVER = (2.5, 97.5)
"""Percentiles of the interval."""
LEAST_EUR = 1e-6
"""Where no more can be saved, there is no share of it."""


@dataclass(frozen=True)
class Share:
    """``low``, ``high``: 95 % interval. None where there is nothing to capture, or where that cannot be said: with too
    few days, or where it is not sure that there is anything to capture."""

    value: float | None
    low: float | None
    high: float | None


def blocks(days: int, draws: int = DRAWS, block: int = BLOCK_DAYS, seed: int = SEED) -> npt.NDArray[np.int64]:
    """(draws, days) days drawn in blocks of consecutive ones, the last one cut off."""
    length = min(block, days)
    rng = np.random.default_rng(seed)
    first = rng.integers(0, days - length + 1, (draws, -(-days // length)))
    return (first[:, :, None] + np.arange(length)).reshape(draws, -1)[:, :days]


def captured(base: Floats, way: Floats, perfect: Floats) -> Share:
    """The share over (days,) of costs [EUR], with its interval; all three are of the same days."""
    possible, saved = base - perfect, base - way
    if abs(possible.sum()) < LEAST_EUR:
        return Share(None, None, None)
    value = float(saved.sum() / possible.sum())
    if len(base) < 2 * BLOCK_DAYS:
        return Share(value, None, None)
    drawn = blocks(len(base))
    below = possible[drawn].sum(1)
    if (below * possible.sum() <= 0).any():
        return Share(value, None, None)
    shares = saved[drawn].sum(1) / below
    low, high = np.percentile(shares, COVER)
    return Share(value, float(low), float(high))


def saving(base: Floats, way: Floats) -> Share:
    """What a way saves against another over (days,) [EUR], with its interval."""
    saved = base - way
    if len(saved) < 2 * BLOCK_DAYS:
        return Share(float(saved.sum()), None, None)
    low, high = np.percentile(saved[blocks(len(saved))].sum(1), COVER)
    return Share(float(saved.sum()), float(low), float(high))


SUMS = ("eur", "import_kwh", "export_kwh", "co2_kg", "unserved_kwh")


def totals(days: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Sums over days, and the highest peak. A quantity that some day does not know is not known."""
    found: dict[str, float | None] = {}
    for name in SUMS:
        known = [float(value) for d in days if (value := d[name]) is not None]
        found[name] = sum(known) if len(known) == len(days) else None
    found["peak_kw"] = max(float(d["peak_kw"] or 0.0) for d in days)
    return found


def compare(costs: Mapping[str, Floats]) -> dict[str, dict[str, Share]]:
    """Way → what it saves and captures against the rule, and against devices that rest; ``costs``: way → (days,)."""
    found = {}
    for way, eur in costs.items():
        found[way] = {
            f"{what}_against_{base}": measure
            for base in ("rule", "resting")
            if base in costs and way != base
            for what, measure in (
                ("saved_eur", saving(costs[base], eur)),
                ("captured", captured(costs[base], eur, costs["perfect"])),
            )
        }
    return found
