"""A day on a line: the right length, the right place, on days of 23, 24 and 25 hours and on weeks."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from gridopt.clock import day_axis
from gridopt.report.bars import ASCII, MOST_BINS, bar, bins

PARIS = "Europe/Paris"


@pytest.mark.parametrize(
    ("day", "days", "step_min", "count", "minutes"),
    [
        (date(2026, 1, 15), 1, 15, 48, 30),
        (date(2026, 3, 29), 1, 15, 46, 30),
        (date(2026, 10, 25), 1, 15, 50, 30),
        (date(2026, 1, 15), 1, 60, 24, 60),
        (date(2026, 1, 15), 2, 15, 48, 60),
        (date(2026, 1, 15), 7, 15, 42, 240),
        (date(2026, 1, 15), 7, 5, 42, 240),
        (date(2026, 1, 15), 31, 60, 31, 1440),
    ],
)
def test_a_horizon_fits_on_a_line(day: date, days: int, step_min: int, count: int, minutes: int) -> None:
    cut = bins(day_axis(day, days, step_min, PARIS))
    assert (len(cut.starts), cut.steps * step_min) == (count, minutes)
    assert len(cut.starts) * cut.width <= MOST_BINS


def test_means_keep_the_total() -> None:
    axis = day_axis(date(2026, 10, 25), 7, 15, PARIS)
    cut = bins(axis)
    values = np.arange(axis.steps, dtype=float)
    sizes = np.diff([*cut.starts, axis.steps])
    assert cut.means(values) @ sizes == pytest.approx(values.sum())


def test_hours_stand_above_their_bins() -> None:
    cut = bins(day_axis(date(2026, 1, 15), 1, 15, PARIS))
    assert cut.ruler() == "00    03    06    09    12    15    18    21"
    spring = bins(day_axis(date(2026, 3, 29), 1, 15, PARIS)).ruler()
    assert spring.index("03") == 4, "two hours after midnight it is three"
    week = bins(day_axis(date(2026, 1, 15), 7, 15, PARIS)).ruler()
    assert week.split("      ") == ["Thu 15", "Sat 17", "Mon 19", "Wed 21"], "a day has six marks, its name too"


def test_bars_grow_with_their_values() -> None:
    assert bar(np.array([0.0, 1e-3, 4.0, 8.0]), 8.0) == " ▁▄█"
    assert bar(np.array([0.0, 8.0]), 8.0, width=2) == "  ██"
    assert bar(np.array([0.0, 1e-3, 4.0, 8.0]), 8.0, ASCII) == " .;@"
    assert bar(np.zeros(3), 0.0) == "   "
    assert bar(np.array([-0.01, 0.0, 0.02]), 0.02) == "- █"
