"""Shares of a saving and their intervals: by hand, and drawn in blocks."""

from __future__ import annotations

import numpy as np
import pytest

from gridopt.report.backtest import blocks, captured, compare, saving, totals


def test_the_share_is_of_the_sums_not_of_the_days() -> None:
    base, way, perfect = np.array([10.0, 100.0]), np.array([5.0, 90.0]), np.array([0.0, 60.0])
    assert captured(base, way, perfect).value == pytest.approx((5 + 10) / (10 + 40))
    assert saving(base, way).value == pytest.approx(15.0)


def test_nothing_to_save_has_no_share() -> None:
    same = np.full(30, 7.0)
    assert captured(same, same - 1.0, same).value is None


def test_few_days_have_no_interval() -> None:
    days = np.arange(13.0)
    share = captured(days + 2, days + 1, days)
    assert share.value == pytest.approx(0.5)
    assert share.low is None
    assert share.high is None


def test_where_it_is_not_sure_that_there_is_anything_to_save_the_share_has_no_interval() -> None:
    possible = np.where(np.arange(56) < 28, 1.0, -0.9)
    share = captured(possible, 0.5 * possible, np.zeros(56))
    assert share.value == pytest.approx(0.5)
    assert share.low is None
    assert share.high is None


def test_blocks_are_of_consecutive_days() -> None:
    drawn = blocks(30, draws=50)
    assert drawn.shape == (50, 30)
    assert drawn.min() >= 0
    assert drawn.max() <= 29
    within = np.diff(drawn, axis=1)[:, np.arange(29) % 7 != 6]
    assert (within == 1).all()


def test_days_alike_are_sure_and_days_unlike_are_not() -> None:
    base, perfect = np.full(56, 10.0), np.zeros(56)
    sure = captured(base, np.full(56, 4.0), perfect)
    assert (sure.low, sure.value, sure.high) == pytest.approx((0.6, 0.6, 0.6))
    good_then_bad = np.where(np.arange(56) < 28, 2.0, 6.0)
    unsure = captured(base, good_then_bad, perfect)
    assert unsure.low is not None
    assert unsure.high is not None
    assert unsure.low < 0.5 < 0.6 < 0.7 < unsure.high


def test_days_that_hang_together_are_less_sure_than_days_drawn_one_by_one() -> None:
    rng = np.random.default_rng(5)
    weeks = np.repeat(rng.normal(0.0, 3.0, 20), 7)
    base, perfect = np.full(140, 10.0), np.zeros(140)
    hanging = captured(base, 5.0 + weeks, perfect)
    mixed = captured(base, 5.0 + rng.permutation(weeks), perfect)
    assert hanging.high is not None
    assert hanging.low is not None
    assert mixed.high is not None
    assert mixed.low is not None
    assert hanging.high - hanging.low > 1.5 * (mixed.high - mixed.low)


def test_a_sum_with_an_unknown_day_is_unknown() -> None:
    day = {"eur": 1.0, "import_kwh": 2.0, "export_kwh": 0.0, "co2_kg": None, "unserved_kwh": 0.5, "peak_kw": 3.0}
    found = totals([day, day | {"peak_kw": 4.0, "co2_kg": 1.0}])
    assert found["eur"] == 2.0
    assert found["unserved_kwh"] == 1.0
    assert found["peak_kw"] == 4.0
    assert found["co2_kg"] is None


def test_every_way_is_compared_with_both_bases() -> None:
    costs = {"resting": np.full(3, 10.0), "rule": np.full(3, 8.0), "plan": np.full(3, 6.0), "perfect": np.full(3, 4.0)}
    found = compare(costs)
    assert found["plan"]["captured_against_rule"].value == pytest.approx(0.5)
    assert found["plan"]["captured_against_resting"].value == pytest.approx(2 / 3)
    assert set(found["rule"]) == {"saved_eur_against_resting", "captured_against_resting"}
