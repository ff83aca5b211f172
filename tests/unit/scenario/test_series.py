"""Series: from files, schedules and the generator onto the plan's steps, on days of 23, 24 and 25 hours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridopt.clock import STEPS_MIN, Axis, day_axis
from gridopt.errors import ScenarioError
from gridopt.scenario.load import Scenario, load
from gridopt.scenario.resample import Intervals, edges, onto

Write = Callable[..., Path]
Load = Callable[..., Scenario]

PARIS = "Europe/Paris"
DAYS = {23: date(2026, 3, 29), 24: date(2026, 1, 15), 25: date(2026, 10, 25)}

LOAD = """\
format = 1
[horizon]
start = "{start}"
step_min = {step}
[series]
files = ["series.csv"]
[node.grid]
[commitment.supply]
kind = "energy"
node = "grid"
buy_eur_per_kwh = 0.2
[asset.house]
family = "load"
node = "grid"
power_kw = "{name}"
"""


def toml(day: date, step: int = 15, name: str = "load-a") -> str:
    return LOAD.format(start=day.isoformat(), step=step, name=name)


def power(scenario: Scenario) -> np.ndarray:
    (values,) = scenario.tables[0].user["power_kw"]
    return np.asarray(values)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(PARIS)).astimezone(UTC)


def csv_of(start: datetime, step_min: int, count: int, *, local: bool) -> str:
    """Values 0, 1, 2 … at UTC instants, or at what a wall clock shows then."""
    lines = ["time,load-a"]
    for k in range(count):
        t = start + timedelta(minutes=step_min * k)
        text = f"{t.astimezone(ZoneInfo(PARIS)):%Y-%m-%dT%H:%M}" if local else f"{t:%Y-%m-%dT%H:%M}Z"
        lines.append(f"{text},{k}")
    return "\n".join(lines) + "\n"


# --- the rule --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", DAYS)
@pytest.mark.parametrize("step", STEPS_MIN)
@pytest.mark.parametrize("local", [False, True], ids=["utc", "wall-clock"])
def test_hourly_values_hold_and_finer_ones_are_averaged(build: Load, hours: int, step: int, local: bool) -> None:
    day = DAYS[hours]
    hourly = build(toml(day, step), {"series.csv": csv_of(midnight(day), 60, hours, local=local)})
    assert hourly.axis.steps == hours * 60 // step
    np.testing.assert_array_equal(power(hourly), np.repeat(np.arange(hours), 60 // step))

    fine = build(toml(day, step), {"series.csv": csv_of(midnight(day), 5, hours * 12, local=local)})
    per = step // 5
    np.testing.assert_allclose(power(fine), np.arange(hours * 12).reshape(-1, per).mean(1), atol=5e-7)


@pytest.mark.parametrize(("source", "step"), [(10, 15), (15, 10), (30, 5), (20, 15)])
def test_steps_that_do_not_divide_each_other_share_by_time(build: Load, source: int, step: int) -> None:
    day = DAYS[24]
    found = power(build(toml(day, step), {"series.csv": csv_of(midnight(day), source, 1440 // source, local=False)}))
    minutes = np.repeat(np.arange(1440 // source), source).reshape(-1, step)
    np.testing.assert_allclose(found, minutes.mean(1), atol=5e-7)


@given(
    axis_step=st.sampled_from(STEPS_MIN),
    source=st.sampled_from([1, 2, 3, 5, 7, 10, 15, 30, 60, 120]),
    shift=st.integers(-180, 180),
    values=st.lists(st.one_of(st.none(), st.floats(-1e4, 1e4)), min_size=1, max_size=80),
)
def test_the_mean_of_each_step_is_that_of_its_minutes(
    axis_step: int, source: int, shift: int, values: list[float | None]
) -> None:
    axis = Axis(datetime(2026, 3, 28, 23, tzinfo=UTC), axis_step, 240 // axis_step)
    start = int(axis.start.timestamp()) + 60 * (shift + source * np.arange(len(values)))
    array = np.array([np.nan if v is None else v for v in values])
    minutes = np.full(240, np.nan)
    for at, value in zip((start - edges(axis)[0]) // 60, array, strict=True):
        for minute in range(at, at + source):
            if 0 <= minute < 240:
                minutes[minute] = value
    by_step = minutes.reshape(-1, axis_step)
    found, covered = onto(axis, Intervals(start, start + 60 * source, np.arange(len(start))), array)
    np.testing.assert_array_equal(covered, ~np.isnan(by_step).any(1))
    np.testing.assert_allclose(found[covered], by_step.mean(1)[covered], atol=1e-6)


def test_values_have_six_decimals_and_no_negative_zero(build: Load) -> None:
    rows = "".join(f"2026-01-15T{h:02d}:00,{'-1e-9' if h else '0.12345678'}\n" for h in range(24))
    found = power(build(toml(DAYS[24]), {"series.csv": "time,load-a\n" + rows}))
    assert found[0] == 0.123457
    assert not np.signbit(found).any()


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_file_may_hold_years_gaps_elsewhere_and_any_order(build: Load) -> None:
    rows = csv_of(midnight(date(2025, 12, 1)), 60, 24 * 60, local=False).splitlines()
    head, body = rows[0], rows[1:]
    del body[100:110]
    body.reverse()
    found = power(build(toml(DAYS[24]), {"series.csv": "\n".join([head, *body, "", ""])}))
    first = round((midnight(DAYS[24]) - midnight(date(2025, 12, 1))).total_seconds() / 3600)
    np.testing.assert_array_equal(found[::4], first + np.arange(24))


def test_days_hold_from_local_midnight_to_local_midnight(build: Load) -> None:
    rows = "time,load-a\n" + "".join(f"2026-10-{d},{d}\n" for d in range(22, 29))
    np.testing.assert_array_equal(power(build(toml(DAYS[25], 60), {"series.csv": rows})), np.full(25, 25.0))


def test_the_hour_that_clocks_repeat_may_not_be_left_out(write: Write) -> None:
    rows = "time,load-a\n" + "".join(f"2026-10-25T{h:02d}:00,{h}\n" for h in range(24))
    with pytest.raises(ScenarioError, match=r"1 of 25 steps have no value, the first at 2026-10-25T02:00\+01:00"):
        load(write(toml(DAYS[25], 60), {"series.csv": rows}))


@pytest.mark.parametrize("zone", ["UTC", None], ids=["instants", "wall-clock"])
def test_parquet_gives_the_same_as_csv(build: Load, write: Write, tmp_path: Path, zone: str | None) -> None:
    day = DAYS[25]
    start = midnight(day) if zone else datetime(day.year, day.month, day.day)
    times = [start + timedelta(minutes=15 * k) for k in range(100)]
    if zone is None:  # a wall clock shows 02:00 to 02:45 twice
        times = [
            t.astimezone(ZoneInfo(PARIS)).replace(tzinfo=None)
            for t in (midnight(day) + timedelta(minutes=15 * k) for k in range(100))
        ]
    table = pa.table({"time": pa.array(times, pa.timestamp("ns", zone)), "load-a": pa.array(range(100), pa.int32())})
    folder = write(toml(day).replace("series.csv", "series.parquet"))
    pq.write_table(table, folder / "series.parquet")
    np.testing.assert_array_equal(power(load(folder)), np.arange(100.0))


def test_offsets_other_than_utc_and_another_time_column(build: Load) -> None:
    rows = "when,load-a\n" + "".join(f"2026-01-15 {h:02d}:00+01:00,{h}\n" for h in range(24))
    text = toml(DAYS[24], 60).replace('files = ["series.csv"]', 'files = ["series.csv"]\ntime = "when"')
    np.testing.assert_array_equal(power(build(text, {"series.csv": rows})), np.arange(24.0))


@pytest.mark.parametrize(
    ("column", "factor"), [("load_w", 1e-3), ("load_mw", 1e3), ("load_kw", 1.0), ("load_a", 1.0), ("house", 1.0)]
)
def test_units_of_the_trade_are_converted_and_told(build: Load, column: str, factor: float) -> None:
    rows = csv_of(midnight(DAYS[24]), 60, 24, local=False).replace("load-a", column)
    found = build(toml(DAYS[24], 60, column), {"series.csv": rows})
    np.testing.assert_allclose(power(found), np.arange(24) * factor)
    assert bool(found.notes) == (factor != 1.0)


def test_an_empty_cell_of_a_column_that_is_not_used_is_no_mistake(build: Load) -> None:
    rows = "time,load-a,other\n" + "".join(f"2026-01-15T{h:02d}:00,{h},\n" for h in range(24))
    np.testing.assert_array_equal(power(build(toml(DAYS[24], 60), {"series.csv": rows})), np.arange(24.0))


def test_whole_numbers_may_turn_into_fractions_far_down_a_file(build: Load) -> None:
    start = midnight(date(2020, 1, 1))
    count = 24 * (DAYS[24] - date(2020, 1, 1)).days + 24
    lines = csv_of(start, 60, count, local=False).splitlines()
    lines[-1] = lines[-1].partition(",")[0] + ",0.5"
    found = power(build(toml(DAYS[24], 60), {"series.csv": "\n".join(lines)}))
    assert found[-1] == 0.5
    assert found[0] == count - 24


def test_files_from_a_spreadsheet(build: Load) -> None:
    """A byte-order mark, Windows line ends, quotes and spaces in the header are no matter."""
    rows = '\ufefftime, load-a ,"a, b"\r\n' + "".join(f'"2026-01-15T{h:02d}:00",{h},x\r\n' for h in range(24))
    np.testing.assert_array_equal(power(build(toml(DAYS[24], 60), {"series.csv": rows})), np.arange(24.0))


# --- as French spreadsheets write -------------------------------------------------------------------------------------

PLAIN = "time,load-a\n" + "".join(f"2026-01-15T{h:02d}:00,{h / 4:g}\n" for h in range(24))


def french(
    separator: str = ";", stamp: str = "15/01/2026 {h:02d}:00", head: str = "time{s}load-a", **texts: str
) -> str:
    rows = [head.format(s=separator)]
    for h in range(24):
        value = texts.get(f"h{h}", f"{h / 4:g}").replace(".", ",")
        rows.append(stamp.format(h=h) + separator + value)
    return "\n".join(rows) + "\n"


DATES = "dates are read day first, the French way: 15/01/2026 is 15 January 2026"


@pytest.mark.parametrize(
    ("content", "notes"),
    [
        (french(), ["semicolons between cells, decimal commas", DATES]),
        (french(stamp="15/01/2026 {h:02d}:00:00"), ["semicolons between cells, decimal commas", DATES]),
        (french(stamp="15/1/2026 {h}:00"), ["semicolons between cells, decimal commas", DATES.replace("/01", "/1")]),
        (french(stamp="2026-01-15 {h:02d}:00"), ["semicolons between cells, decimal commas"]),
        (french("\t"), ["tabs between cells, decimal commas", DATES]),
        ("\ufeff" + french().replace("\n", "\r\n"), ["semicolons between cells, decimal commas", DATES]),
        (french().replace(",", "."), ["semicolons between cells", DATES]),
        (PLAIN.replace("2026-01-15T", "15/01/2026 "), [DATES]),
        (PLAIN, []),
    ],
)
def test_french_files_are_read_and_told(build: Load, content: str, notes: list[str]) -> None:
    found = build(toml(DAYS[24], 60), {"series.csv": content})
    np.testing.assert_array_equal(power(found), np.arange(24) / 4)
    told = [note.partition("series.csv: ")[2] for note in found.notes]
    assert told == [note if note.startswith("dates") else f"read with {note}" for note in notes]


@pytest.mark.parametrize(
    ("head", "stamp"),
    [
        ("Date;Heure", "15/01/2026;{h:02d}:00"),
        ("date;time", "2026-01-15;{h}:00:00"),
        ("Jour;Heures", "15/01/2026;{h}h"),
        ("date;heure", "2026-01-15;{h}"),
        ("day;hour", "2026-01-15;{h:02d}h00"),
    ],
)
def test_a_date_and_an_hour_in_two_columns_are_one_time(build: Load, head: str, stamp: str) -> None:
    found = build(toml(DAYS[24], 60), {"series.csv": french(stamp=stamp, head=head + "{s}load-a")})
    np.testing.assert_array_equal(power(found), np.arange(24) / 4)
    date_, clock = head.split(";")
    assert any(note.endswith(f"read from the columns {date_} and {clock}") for note in found.notes)
    assert any(DATES in note for note in found.notes) == ("/" in stamp)


def test_a_wrong_hour_in_a_column_of_its_own_is_named(build: Load) -> None:
    rows = french(stamp="2026-01-15;{h:02d}:00", head="date;heure{s}load-a").replace("07:00", "7 am")
    with pytest.raises(ScenarioError, match=r'series.csv:9: the time "2026-01-15 7 am" cannot be read'):
        build(toml(DAYS[24], 60), {"series.csv": rows})


def test_a_column_date_beside_a_whole_time_is_any_column(build: Load) -> None:
    """``time`` holds all of it: the date that stands beside it is not read at all."""
    rows = "time;date;load-a\n" + "".join(f"2026-01-15T{h:02d}:00;x;{h / 4:g}\n".replace(".", ",") for h in range(24))
    np.testing.assert_array_equal(power(build(toml(DAYS[24], 60), {"series.csv": rows})), np.arange(24) / 4)


@pytest.mark.parametrize(
    ("encoding", "told"), [("cp1252", "Windows-1252 text"), ("latin-1", "Windows-1252 text"), ("utf-16", "UTF-16 text")]
)
def test_accents_of_other_encodings_are_read(build: Load, encoding: str, told: str) -> None:
    content = french(head="time{s}charge été").encode(encoding)
    found = build(toml(DAYS[24], 60, "charge été"), {"series.csv": content})
    np.testing.assert_array_equal(power(found), np.arange(24) / 4)
    assert any(note.endswith(f"read with semicolons between cells, decimal commas, {told}") for note in found.notes)


def test_an_ambiguous_date_is_day_first(build: Load) -> None:
    """03/04/2026 is 3 April, not 4 March; a file of both months tells which was read."""
    both = french(stamp="03/04/2026 {h:02d}:00") + french(stamp="04/03/2026 {h:02d}:00", h0="9,5").partition("\n")[2]
    found = build(toml(date(2026, 4, 3), 60), {"series.csv": both})
    np.testing.assert_array_equal(power(found), np.arange(24) / 4)
    assert any(note.endswith("03/04/2026 is 3 April 2026") for note in found.notes)
    assert power(build(toml(date(2026, 3, 4), 60), {"series.csv": both}))[0] == 9.5


@pytest.mark.parametrize("hours", [23, 25])
def test_french_dates_are_wall_clock_times(build: Load, hours: int) -> None:
    rows = csv_of(midnight(DAYS[hours]), 60, hours, local=True).splitlines()
    stamps = [datetime.fromisoformat(row.partition(",")[0]) for row in rows[1:]]
    lines = ["time;load-a"] + [f"{t:%d/%m/%Y %H:%M};{k},5" for k, t in enumerate(stamps)]
    found = build(toml(DAYS[hours], 60), {"series.csv": "\n".join(lines)})
    np.testing.assert_array_equal(power(found), np.arange(hours) + 0.5)


def test_thousands_kept_together_by_a_bar_and_points_beside_commas(build: Load) -> None:
    content = french(h3="1\u202f234,5", h4="12\u00a0345").replace("\n15/01/2026 05:00;1,25", "\n15/01/2026 05:00;1.25")
    found = power(build(toml(DAYS[24], 60), {"series.csv": content}))
    assert found[3:6].tolist() == [1234.5, 12345.0, 1.25]


def test_a_name_may_hold_the_other_separator(build: Load) -> None:
    quoted = PLAIN.replace("time,load-a", 'time,"load;a"')
    np.testing.assert_array_equal(power(build(toml(DAYS[24], 60, "load;a"), {"series.csv": quoted})), np.arange(24) / 4)
    bare = french(head="time{s}load, a")
    np.testing.assert_array_equal(power(build(toml(DAYS[24], 60, "load, a"), {"series.csv": bare})), np.arange(24) / 4)


# --- schedules and generated series ----------------------------------------------------------------------------------

SCHEDULE = """
[schedule.tariff]
default = 1
rules = [
  { days = "mon-fri", from = "07:00", to = "19:00", value = 2 },
  { from = "22:10", to = "06:00", value = 3 },
  { days = "sun", value = 4 },
]
"""


@pytest.mark.parametrize("hours", DAYS)
@pytest.mark.parametrize("step", STEPS_MIN)
def test_schedules_follow_the_wall_clock(build: Load, hours: int, step: int) -> None:
    """Sunday 29 March and 25 October, Thursday 15 January; a later rule wins, an odd edge is shared by time."""
    text = toml(DAYS[hours], step, "tariff").replace('files = ["series.csv"]', "") + SCHEDULE
    found = build(text, {})
    local = found.axis.local
    expected = []
    for t in local:
        values = []
        for minute in range(step):
            clock = (t.hour * 60 + t.minute + minute) % 1440
            value = 1.0
            if t.weekday() < 5 and 420 <= clock < 1140:
                value = 2.0
            if clock >= 22 * 60 + 10 or clock < 360:
                value = 3.0
            if t.weekday() == 6:
                value = 4.0
            values.append(value)
        expected.append(np.mean(values))
    np.testing.assert_allclose(power(found), expected, atol=5e-7)


def test_generated_series_are_those_of_the_generator(build: Load) -> None:
    from gridopt.scenario.generate import KINDS

    text = toml(DAYS[24], 15, "home").replace('files = ["series.csv"]', "")
    found = build(text + '[generate.home]\nkind = "household"\nseed = 7\nannual_kwh = 3000\n')
    np.testing.assert_array_equal(power(found), KINDS["household"](found.axis, 7, annual_kwh=3000))


def test_a_series_is_read_once_and_its_file_fingerprinted(build: Load) -> None:
    import hashlib

    rows = csv_of(midnight(DAYS[24]), 60, 24, local=False)
    found = build(toml(DAYS[24]), {"series.csv": rows})
    assert found.sources["series.csv"] == hashlib.sha256(rows.encode()).hexdigest()
    assert list(found.sources) == ["scenario.toml", "series.csv"]


def test_seven_days_over_the_change_of_clocks() -> None:
    for first in (date(2026, 3, 26), date(2026, 10, 22)):
        axis = day_axis(first, 7, 15, PARIS)
        assert axis.steps == 7 * 96 + (4 if first.month == 10 else -4)


def test_real_prices_are_read_in_place(write: Write, shared_data: Path) -> None:
    """A column of EUR/MWh in a real file serves as EUR/kWh, hour by hour, over the change of clocks."""
    file = shared_data / "prices_dayahead_hourly_2024-03_2024-09.csv"
    if not file.is_file():
        pytest.skip(f"no {file.name} in {shared_data}")
    text = toml(date(2024, 3, 30), 15, "x").replace(
        'files = ["series.csv"]', f'files = ["{file}"]\ntime = "timestamp_utc"'
    )
    text = text.replace("[horizon]", "[horizon]\ndays = 2").replace('power_kw = "x"', "power_kw = 1")
    found = load(write(text.replace("buy_eur_per_kwh = 0.2", 'buy_eur_per_kwh = "fr_eur_per_mwh"')))
    (supply,) = found.commitments
    assert len(supply.price_above) == (24 + 23) * 4
    raw = [line.split(",") for line in file.read_text().splitlines()]
    column = raw[0].index("fr_eur_per_mwh")
    by_hour = {cells[0]: float(cells[column]) for cells in raw[1:]}
    hours = [f"{datetime.fromtimestamp(s, UTC):%Y-%m-%dT%H:%M:%SZ}" for s in edges(found.axis)[:-1:4]]
    np.testing.assert_allclose(supply.price_above[::4], [by_hour[h] / 1000 for h in hours], atol=5e-7)
    np.testing.assert_array_equal(supply.price_above.reshape(-1, 4).std(1), 0)
