"""Forecasts: what each method says, that none sees the future, and that the choice is no worse than the reference."""

from __future__ import annotations

import csv
import os
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gridopt.forecast.boosted import Boosted
from gridopt.forecast.choose import MARGIN, Chooser, choose
from gridopt.forecast.naive import METHODS, REFERENCE, filled
from gridopt.forecast.past import Floats, Grid, Past, cut, on_grid
from gridopt.forecast.score import MEDIAN, QUANTILES, day_grid, issue_time, judge, replay, value_at
from gridopt.forecast.spread import Spread

ZONE = "Europe/Paris"
DATA = Path(os.environ.get("GRIDOPT_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data"))


def grid(first: date, days: int, step_s: int = 3600) -> Grid:
    return day_grid(first, step_s, ZONE, days)


def past_of(first: date, days: int, value: Floats | None = None, issued_h: float = 24) -> Past:
    g = grid(first, days)
    issued = int(g.times[-1]) + 3600
    return Past(g, np.arange(g.count, dtype=float) if value is None else value, issued)


def local(g: Grid, k: int) -> datetime:
    return datetime.fromtimestamp(int(g.times[k]), ZoneInfo(ZONE))


# --- the grid --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("day", "hours"), [((2026, 1, 15), 24), ((2026, 3, 29), 23), ((2026, 10, 25), 25)])
def test_a_local_day_has_its_hours(day: tuple[int, int, int], hours: int) -> None:
    g = grid(date(*day), 1)
    assert g.count == hours
    assert [local(g, k).hour for k in range(hours)] == g.slot.tolist()
    assert len(set(g.day.tolist())) == 1


def test_a_holiday_is_a_sunday() -> None:
    g = grid(date(2026, 7, 13), 3)
    assert g.weekday[::24].tolist() == [0, 6, 2]  # 14 July


def test_quarters_become_hours_and_hours_quarters() -> None:
    hour = Grid(0, 3600, 2)
    quarters = on_grid(np.arange(8) * 900, np.full(8, 900), np.arange(8.0), hour)
    assert quarters.tolist() == [1.5, 5.5]
    back = on_grid(np.array([0, 3600]), np.array([3600, 3600]), np.array([1.0, 2.0]), Grid(0, 900, 8))
    assert back.tolist() == [1] * 4 + [2] * 4


def test_an_interval_half_known_is_unknown() -> None:
    found = on_grid(np.arange(3) * 900, np.full(3, 900), np.ones(3), Grid(0, 3600, 1))
    assert np.isnan(found).all()


# --- nobody sees the future ------------------------------------------------------------------------------------------


def test_a_past_holds_nothing_of_what_had_not_ended() -> None:
    g = grid(date(2026, 1, 12), 2)
    with pytest.raises(ValueError, match="had not ended"):
        Past(g, np.ones(g.count), int(g.times[-1]) + 3599)


@pytest.mark.parametrize("name", [*METHODS, "boosted"])
def test_a_trap_that_is_known_only_later_moves_no_forecast(name: str) -> None:
    """A spike and a step from the moment of the forecast on: what is forecast is the same with and without."""
    rng = np.random.default_rng(3)
    g = grid(date(2026, 2, 16), 48)
    plain = 100 + 20 * np.sin(g.slot / 24 * 6.28) + rng.normal(0, 3, g.count)
    day = date(2026, 4, 2)
    issued = issue_time(date(2026, 4, 1), 12, ZONE)
    trapped = np.where(g.times >= issued, 900.0, plain)
    trapped[g.times + 3600 > issued] += 50
    target = grid(day, 1)
    said = []
    for value in (plain, trapped):
        then = cut(g, value, issued)
        f = Boosted(12).fit(then) if name == "boosted" else Spread(METHODS[name], 12)
        said.append(f(then, target))
    assert np.array_equal(said[0], said[1])


# --- what the methods say --------------------------------------------------------------------------------------------


def test_last_week_follows_the_wall_clock_over_a_change_of_clocks() -> None:
    g = grid(date(2026, 3, 16), 13)  # to Saturday 28 March
    past = Past(g, g.slot.astype(float), int(g.times[-1]) + 3600)
    target = grid(date(2026, 3, 29), 1)
    assert METHODS["last-week"](past, target).tolist() == target.slot.tolist()


def test_last_week_goes_further_back_where_that_is_not_known() -> None:
    g = grid(date(2026, 1, 5), 21)
    value = g.day.astype(float)
    value[g.day == g.day[-1] - 6] = np.nan
    target = grid(date(2026, 1, 26), 1)
    assert set(METHODS["last-week"](Past(g, value, int(g.times[-1]) + 3600), target).tolist()) == {
        float(target.day[0] - 14)
    }


def test_yesterday_is_the_last_day_known() -> None:
    """At noon the afternoon of today is not known: tomorrow's is yesterday's."""
    g = grid(date(2026, 1, 12), 3)
    issued = issue_time(date(2026, 1, 14), 12, ZONE)
    past = cut(g, g.day.astype(float), issued)
    found = METHODS["yesterday"](past, grid(date(2026, 1, 15), 1))
    assert set(found[:12].tolist()) == {float(g.day[-1])}
    assert set(found[12:].tolist()) == {float(g.day[-1] - 1)}


def test_recent_days_and_calendar_are_means() -> None:
    g = grid(date(2026, 1, 5), 28)
    value = np.where(g.weekday >= 5, 10.0, 70.0)
    past = Past(g, value, int(g.times[-1]) + 3600)
    target = grid(date(2026, 2, 2), 1)  # a Monday
    assert METHODS["calendar"](past, target).tolist() == [70.0] * 24
    assert METHODS["recent-days"](past, target)[0] == pytest.approx((5 * 70 + 2 * 10) / 7)


def test_a_minute_has_its_own_mean() -> None:
    """1,440 steps a day: none is taken for one of another day."""
    g = grid(date(2026, 1, 5), 14, 60)
    past = Past(g, (g.weekday * 10_000 + g.slot).astype(float), int(g.times[-1]) + 60)
    target = grid(date(2026, 1, 19), 1, 60)
    assert METHODS["calendar"](past, target).tolist() == target.slot.tolist()


def test_little_known_is_used_and_nothing_known_is_said() -> None:
    g = grid(date(2026, 1, 5), 1)
    target = grid(date(2026, 1, 6), 1)
    past = Past(g, np.where(g.slot == 3, 5.0, np.nan), int(g.times[-1]) + 3600)
    assert filled(past, target, METHODS["last-week"]).tolist() == [5.0] * 24
    none = Past(g, np.full(24, np.nan), int(g.times[-1]) + 3600)
    assert np.isnan(filled(none, target, METHODS["last-week"])).all()
    assert choose(none, 12).name == REFERENCE


# --- how sure --------------------------------------------------------------------------------------------------------


def test_quantiles_hold_as_much_as_they_say() -> None:
    rng = np.random.default_rng(1)
    g = grid(date(2025, 10, 1), 150)
    value = 50 + 10 * np.sin(g.slot / 4) + rng.normal(0, 2, g.count)
    past = Past(g, value, int(g.times[-1]) + 3600)
    forecasts, actuals = replay(past, Spread(METHODS["calendar"], 12), 60, 12)
    below = [np.mean([np.mean(a <= f[k]) for f, a in zip(forecasts, actuals, strict=True)]) for k in range(5)]
    assert below == pytest.approx(QUANTILES, abs=0.05)
    assert all(np.all(np.diff(f, axis=0) >= 0) for f in forecasts)


def test_what_is_never_negative_is_not_forecast_so() -> None:
    rng = np.random.default_rng(1)
    g = grid(date(2025, 10, 1), 60)
    value = np.maximum(0, rng.normal(0, 2, g.count))
    past = Past(g, value, int(g.times[-1]) + 3600)
    assert (Spread(METHODS["last-week"], 12)(past, grid(date(2025, 11, 30), 1)) >= 0).all()


def test_scores_by_hand() -> None:
    forecast = np.repeat(np.array([[8.0], [9.0], [10.0], [11.0], [12.0]]), 2, 1)
    score = judge([forecast], [np.array([13.0, np.nan])])
    assert (score.days, score.values, score.mae) == (1, 1, 3.0)
    assert score.pinball == pytest.approx(np.mean([0.1 * 5, 0.25 * 4, 0.5 * 3, 0.75 * 2, 0.9 * 1]))


# --- the choice ------------------------------------------------------------------------------------------------------


def test_the_reference_stays_where_nothing_is_clearly_better() -> None:
    rng = np.random.default_rng(1)
    g = grid(date(2025, 10, 1), 100)
    past = Past(g, rng.normal(0, 1, g.count), int(g.times[-1]) + 3600)
    better = choose(past, 12, boosted=False)
    scores = {n: s.pinball for n, s in better.scores.items()}
    assert better.name == REFERENCE or scores[better.name] < (1 - MARGIN) * scores[REFERENCE]
    weekly = Past(g, ((g.weekday * 24 + g.slot) * 37 % 101).astype(float), int(g.times[-1]) + 3600)
    assert choose(weekly, 12, boosted=False).name == "last-alike"  # it alone knows 25 December for a Sunday


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no shared data in {DATA}")
@pytest.mark.parametrize("column", ["price_fr_eur_per_mwh", "office_kw", "housing_kw", "pv_kw_per_kwp", "temp_air_c"])
def test_the_choice_is_no_worse_than_the_reference_on_later_months(column: str) -> None:
    """Chosen anew each day by what was known at noon before, as a nightly job does: five weeks."""
    with (DATA / "scenario_district_hourly_2023-01_2023-09.csv").open() as file:
        rows = list(csv.DictReader(file))
    first = round(datetime.fromisoformat(rows[0]["timestamp_utc"].replace("Z", "+00:00")).timestamp())
    g = Grid(first, 3600, len(rows), ZONE)
    value = np.array([float(r[column] or "nan") for r in rows])
    chooser, usual = Chooser(12, boosted=False), Spread(METHODS[REFERENCE], 12)
    chosen: list[Floats] = []
    plain: list[Floats] = []
    actual: list[Floats] = []
    for k in range(35):
        day = date(2023, 7, 1) + timedelta(days=k)
        then, target = cut(g, value, issue_time(day - timedelta(days=1), 12, ZONE)), day_grid(day, 3600, ZONE)
        chosen.append(chooser.choose(then).forecast(then, target))
        plain.append(usual(then, target))
        actual.append(value_at(Past(g, value, int(g.times[-1]) + 3600), target))
    mine, reference = judge(chosen, actual), judge(plain, actual)
    print(f"{column}: mae {mine.mae:.4g} of {reference.mae:.4g}, pinball {mine.pinball:.4g} of {reference.pinball:.4g}")
    assert mine.days == reference.days >= 34
    assert mine.pinball <= 1.02 * reference.pinball
    assert mine.mae <= 1.02 * reference.mae
    assert MEDIAN == 2
