"""Bars of one character a while: a day of any series on one line of text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gridopt.assets.base import Floats
from gridopt.clock import Axis

BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII = " .,:;+*#@"
BELOW_ZERO = "-"
BIN_MIN = (15, 30, 60, 120, 180, 240, 360, 720, 1440)
MOST_BINS = 50
"""A day of 25 hours in half-hours."""
NOTHING = 1e-6


@dataclass(frozen=True)
class Bins:
    """The horizon cut into equal whiles of ``steps`` plan steps each, the last one perhaps shorter."""

    axis: Axis
    steps: int

    @property
    def width(self) -> int:
        """Characters that each while takes."""
        return max(1, MOST_BINS // len(self.starts))

    @property
    def starts(self) -> range:
        return range(0, self.axis.steps, self.steps)

    def means(self, values: Floats) -> Floats:
        """Mean of a (T,) series over every bin."""
        first = np.array(self.starts)
        size = np.diff([*first, self.axis.steps])
        return np.asarray(np.add.reduceat(values, first) / size)

    def ruler(self) -> str:
        """Local hours above the bins, or days where a bin is longer than an hour."""
        line = [" "] * (len(self.starts) * self.width + 8)
        free = 0
        for k, step in enumerate(self.starts):
            t = self.axis.local[step]
            long = self.steps * self.axis.step_min > 60
            if long and t.date() != (self.axis.local[self.starts[k - 1]].date() if k else None):
                word = f"{t:%a} {t.day}"
            elif not long and t.minute == 0 and t.hour % 3 == 0:
                word = f"{t:%H}"
            else:
                continue
            if k * self.width >= free:
                line[k * self.width : k * self.width + len(word)] = word
                free = k * self.width + len(word) + 1
        return "".join(line).rstrip()


def bins(axis: Axis) -> Bins:
    """The finest whiles that fit on a line."""
    for minutes in BIN_MIN:
        steps = minutes // axis.step_min
        if steps * axis.step_min == minutes and axis.steps <= MOST_BINS * steps:
            return Bins(axis, steps)
    return Bins(axis, -(-axis.steps // MOST_BINS))


def bar(values: Floats, top: float, marks: str = BLOCKS, width: int = 1) -> str:
    """``width`` equal characters a value, full at ``top``; a value above zero always shows, one below is a dash."""
    top = max(top, NOTHING)
    level = np.ceil(np.clip(values / top, 0.0, 1.0) * (len(marks) - 1) - 1e-9).astype(int)
    level = np.where(values > NOTHING * max(top, 1.0), np.maximum(level, 1), 0)
    signs = (BELOW_ZERO if v < -NOTHING else marks[k] for v, k in zip(values.tolist(), level, strict=True))
    return "".join(sign * width for sign in signs)
