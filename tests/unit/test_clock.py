"""The time axis: local days of 23, 24 and 25 hours, half-open intervals, instants in words."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gridopt.clock import STEPS_MIN, Axis, day_axis, parse_instant, runs

PARIS = "Europe/Paris"
WINTER, SPRING, AUTUMN = date(2026, 1, 15), date(2026, 3, 29), date(2026, 10, 25)
HOURS = {WINTER: 24, SPRING: 23, AUTUMN: 25}


def axis(steps: int = 4, step_min: int = 15) -> Axis:
    """From Thu 15 Jan 18:00 in Paris."""
    return Axis(datetime(2026, 1, 15, 17, tzinfo=UTC), step_min, steps)


# --- the axis itself -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start",
    [
        datetime(2026, 1, 15),
        datetime(2026, 1, 15, tzinfo=ZoneInfo(PARIS)),
        datetime(2026, 1, 15, tzinfo=timezone(timedelta(minutes=1))),
    ],
)
def test_a_start_that_is_not_in_utc_is_refused(start: datetime) -> None:
    with pytest.raises(ValueError, match="start must be in UTC"):
        Axis(start, 15, 4)


def test_a_zone_that_only_looks_like_utc_is_refused_or_read_as_utc() -> None:
    try:
        a = Axis(datetime(2026, 3, 29, tzinfo=ZoneInfo("Europe/London")), 60, 3)
    except ValueError:
        return
    assert a.end.astimezone(UTC) == datetime(2026, 3, 29, 3, tzinfo=UTC)


def test_intervals_are_half_open_and_labelled_by_their_start() -> None:
    a = axis(4, 15)
    assert a.step_h == 0.25
    assert a.end == datetime(2026, 1, 15, 18, tzinfo=UTC)
    assert a.times.dtype == np.dtype("datetime64[us]")
    assert a.times.tolist() == [datetime(2026, 1, 15, 17, m) for m in (0, 15, 30, 45)]
    assert a.times[-1] + np.timedelta64(15, "m") == np.datetime64(a.end.replace(tzinfo=None))


def test_local_time_is_that_of_the_zone() -> None:
    a = Axis(datetime(2026, 12, 31, 22, 15, tzinfo=UTC), 45, 3)
    assert [t.isoformat() for t in a.local] == [
        "2026-12-31T23:15:00+01:00",
        "2027-01-01T00:00:00+01:00",
        "2027-01-01T00:45:00+01:00",
    ]
    assert a.local_hour.tolist() == [23.25, 0.0, 0.75]
    assert a.local_day == (date(2026, 12, 31), date(2027, 1, 1), date(2027, 1, 1))
    assert a.local_month.tolist() == [2026 * 12 + 11, 2027 * 12, 2027 * 12]
    assert Axis(a.start, 45, 1, "America/New_York").local_hour.tolist() == [17.25]


def test_hours_from_the_start() -> None:
    a = axis()
    assert a.hours_from_start(datetime(2026, 1, 15, 18, 30, tzinfo=ZoneInfo(PARIS))) == 0.5
    assert a.hours_from_start(datetime(2026, 1, 15, 16, tzinfo=UTC)) == -1.0


def test_labels_are_local_and_name_the_end_too() -> None:
    a = axis(4, 15)
    assert a.label(0) == "Thu 15 Jan 18:00"
    assert a.label(2) == "Thu 15 Jan 18:30"
    assert a.label(4) == "Thu 15 Jan 19:00"
    night = day_axis(AUTUMN, 1, 60, PARIS)
    assert [night.label(k) for k in (1, 2, 3, 4, 25)] == [
        "Sun 25 Oct 01:00",
        "Sun 25 Oct 02:00",
        "Sun 25 Oct 02:00",
        "Sun 25 Oct 03:00",
        "Mon 26 Oct 00:00",
    ]


# --- days ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", [WINTER, SPRING, AUTUMN])
@pytest.mark.parametrize("step_min", STEPS_MIN)
def test_a_local_day_begins_and_ends_at_midnight(day: date, step_min: int) -> None:
    a = day_axis(day, 1, step_min, PARIS)
    assert a.steps == HOURS[day] * 60 // step_min
    assert a.local[0].replace(tzinfo=None) == datetime(day.year, day.month, day.day)
    assert a.end.astimezone(ZoneInfo(PARIS)).replace(tzinfo=None) == datetime(day.year, day.month, day.day) + timedelta(
        1
    )
    assert set(a.local_day) == {day}
    assert a.start.utcoffset() == timedelta(0)


def test_days_of_92_96_and_100_quarter_hours() -> None:
    assert [day_axis(d, 1, 15, PARIS).steps for d in (SPRING, WINTER, AUTUMN)] == [92, 96, 100]
    assert day_axis(date(2026, 3, 28), 3, 15, PARIS).steps == 96 + 92 + 96
    assert day_axis(date(2026, 10, 20), 7, 60, PARIS).steps == 7 * 24 + 1


def test_the_clock_skips_an_hour_in_spring_and_repeats_one_in_autumn() -> None:
    assert day_axis(SPRING, 1, 60, PARIS).local_hour.tolist() == [0, 1, *range(3, 24)]
    autumn = day_axis(AUTUMN, 1, 60, PARIS)
    assert autumn.local_hour.tolist() == [0, 1, 2, 2, *range(3, 24)]
    assert [t.utcoffset() for t in autumn.local[2:4]] == [timedelta(hours=2), timedelta(hours=1)]
    assert (np.diff(autumn.times) == np.timedelta64(1, "h")).all()


def test_a_zone_whose_clock_moves_by_half_an_hour() -> None:
    assert day_axis(date(2026, 4, 5), 1, 30, "Australia/Lord_Howe").steps == 49


# --- overlap ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "steps"),
    [
        ("17:00", "17:15", (0, 1)),
        ("17:15", "18:00", (1, 4)),
        ("17:14", "17:16", (0, 2)),
        ("17:20", "17:25", (1, 2)),
        ("16:00", "17:00", (0, 0)),
        ("16:00", "17:01", (0, 1)),
        ("17:50", "19:00", (3, 4)),
        ("18:00", "19:00", (4, 4)),
        ("10:00", "23:00", (0, 4)),
        ("15:00", "15:30", (0, 0)),
        ("19:00", "20:00", (8, 8)),
        ("17:40", "17:20", (2, 2)),
    ],
)
def test_the_steps_an_interval_touches(start: str, end: str, steps: tuple[int, int]) -> None:
    def at(text: str) -> datetime:
        return datetime.fromisoformat(f"2026-01-15T{text}+00:00")

    found = axis().overlap(at(start), at(end))
    assert found.start <= found.stop
    assert len(range(4)[found]) == steps[1] - steps[0]
    if steps[1] > steps[0]:
        assert (found.start, found.stop) == steps


@pytest.mark.parametrize("step_min", STEPS_MIN)
def test_an_interval_of_whole_steps_touches_these_and_no_others(step_min: int) -> None:
    """5 minutes are no finite fraction of an hour: rounding must not pull a neighbour in."""
    a = Axis(datetime(2026, 1, 15, tzinfo=UTC), step_min, 2016)
    for first in range(2016):
        start, end = (a.start + k * timedelta(minutes=step_min) for k in (first, first + 3))
        assert a.overlap(start, end) == slice(first, min(first + 3, 2016))


# --- instants --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-15T18:30", "2026-01-15T17:30"),
        ("2026-07-15T18:30", "2026-07-15T16:30"),
        ("2026-01-15", "2026-01-14T23:00"),
        ("2026-01-15T18:30Z", "2026-01-15T18:30"),
        ("2026-01-15T18:30-05:00", "2026-01-15T23:30"),
        ("2026-03-29T01:59", "2026-03-29T00:59"),
        ("2026-03-29T03:00", "2026-03-29T01:00"),
        ("2026-10-25T02:30", "2026-10-25T00:30"),
        ("2026-10-25T02:30+01:00", "2026-10-25T01:30"),
        ("2026-10-25T03:00", "2026-10-25T02:00"),
    ],
)
def test_instants_are_read_as_local_unless_they_say_otherwise(text: str, utc: str) -> None:
    t = parse_instant(text, PARIS)
    assert t == datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert t.utcoffset() == timedelta(0)


@pytest.mark.parametrize("text", ["2026-03-29T02:00", "2026-03-29T02:59:59"])
def test_an_hour_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"{text} does not exist in {PARIS}: clocks go forward over it"):
        parse_instant(text, PARIS)


def test_what_is_no_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="tomorrow"):
        parse_instant("tomorrow", PARIS)


def test_runs_are_stretches_of_true() -> None:
    assert runs(np.array([True, True, False, True, False, False, True])) == [(0, 2), (3, 4), (6, 7)]
    assert runs(np.ones(3, bool)) == [(0, 3)]
    assert runs(np.zeros(3, bool)) == runs(np.zeros(0, bool)) == []
