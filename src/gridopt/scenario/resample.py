"""From the intervals of a file to the steps of a plan, by one rule: the mean over each step.

A value holds over its interval. Finer data are averaged, coarser data held, whatever the two steps are. A step that is
not wholly covered by values has none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridopt.clock import Axis, Floats

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DECIMALS = 6
"""Of every value read: 1e-21 kW of dusk only spoils the scaling."""


@dataclass(frozen=True)
class Intervals:
    """Disjoint intervals in order of time, seconds since 1970 UTC; ``row``: where each came from in its file."""

    start: Ints
    end: Ints
    row: Ints


def edges(axis: Axis) -> Ints:
    """(T + 1,) the edges of the axis's steps, seconds since 1970 UTC."""
    return int(axis.start.timestamp()) + np.arange(axis.steps + 1, dtype=np.int64) * (axis.step_min * 60)


def onto(axis: Axis, intervals: Intervals, values: Floats) -> tuple[Floats, Bools]:
    """(T,) mean of each step, and which steps are wholly covered by values that are not NaN."""
    known = ~np.isnan(values)
    start, end, value = intervals.start[known], intervals.end[known], values[known]
    at = edges(axis)
    if not len(start):
        return np.full(axis.steps, np.nan), np.zeros(axis.steps, bool)
    # Times count from the axis's start, so that the running sums stay small and exact.
    start, end, at = start - at[0], end - at[0], at - at[0]
    length = end - start
    last = np.searchsorted(start, at, side="right") - 1
    into = np.clip(at - start[last], 0, length[last]) * (last >= 0)
    before = np.maximum(last, 0)
    covered = np.concatenate(([0], np.cumsum(length)))[before] + into
    area = np.concatenate(([0.0], np.cumsum(value * length)))[before] + value[last] * into
    step = axis.step_min * 60
    mean = np.round(np.diff(area) / step, DECIMALS) + 0.0
    held = last[:-1] == np.searchsorted(start, at[1:], side="left") - 1  # one value over the step: no sum, no rounding
    mean[held] = np.round(value[last[:-1]][held], DECIMALS) + 0.0
    return mean, np.diff(covered) == step
