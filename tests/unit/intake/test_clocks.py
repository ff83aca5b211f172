"""Every importer of local time over both changes of clocks: any step, label and order gives each instant its value."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gridopt.intake import cars, enedis, mix, prices, table
from gridopt.intake.batch import Batch, Series
from gridopt.intake.stamps import lengths

PARIS = ZoneInfo("Europe/Paris")
SPRING, AUTUMN = (2026, 3, 28), (2026, 10, 24)
Kind = tuple[Callable[..., Batch], Callable[..., str], float]
"""What reads rows, what writes one, and what a value is worth."""
Rows = list[tuple[datetime, int]]
"""Start of an interval, and its step in minutes; its value is its place in the list, from 1."""


def two_days(first: tuple[int, int, int], step: int) -> Rows:
    start = datetime(*first, tzinfo=PARIS).astimezone(UTC)
    end = (datetime(*first) + timedelta(days=2)).replace(tzinfo=PARIS).astimezone(UTC)
    return [(start + k * timedelta(minutes=step), step) for k in range((end - start) // timedelta(minutes=step))]


def local(time: datetime, minutes: int, form: str) -> str:
    return (time + timedelta(minutes=minutes)).astimezone(PARIS).strftime(form)


def smard(rows: list[str]) -> Batch:
    return prices.smard("\n".join(["Datum von;Datum bis;Frankreich [€/MWh] x", *rows]).encode(), "x")


def smard_row(t: datetime, step: int, k: int, _: str) -> str:
    return f"{local(t, 0, '%d.%m.%Y %H:%M')};{local(t, step, '%d.%m.%Y %H:%M')};{k},0"


def entsoe(rows: list[str]) -> Batch:
    return prices.entsoe("\n".join(["MTU (CET/CEST),Area,Day-ahead Price (EUR/MWh)", *rows]).encode(), "x")


def entsoe_row(t: datetime, step: int, k: int, name: str) -> str:
    return f"{local(t, 0, '%d/%m/%Y %H:%M:%S')} - {local(t, step, '%d/%m/%Y %H:%M:%S')},{name},{k}"


def eco2mix(rows: list[str]) -> Batch:
    return mix.eco2mix("\n".join(["Périmètre\tDate\tHeures\tConsommation", *rows]).encode(), "x")


def eco2mix_row(t: datetime, _: int, k: int, name: str) -> str:
    return f"{name}\t{local(t, 0, '%Y-%m-%d')}\t{local(t, 0, '%H:%M')}\t{k}"


def dataconnect(rows: list[str]) -> Batch:
    reading = {"usage_point_id": "1", "interval_reading": [json.loads(r) for r in rows]}
    return enedis.read(json.dumps({"meter_reading": reading}).encode(), "x")


def dataconnect_row(t: datetime, step: int, k: int, _: str) -> str:
    return json.dumps({"date": local(t, step, "%Y-%m-%d %H:%M:%S"), "value": k, "interval_length": f"PT{step}M"})


def any_table(label: str, folder: Path) -> Callable[[list[str]], Batch]:
    path = folder / f"{label}.toml"
    head = f'format = 1\ntime = "t"\nzone = "Europe/Paris"\nlabel = "{label}"\nby = "of"\n'
    path.write_text(head + "".join(f'[column.{n}]\nquantity = "power_kw"\nsource = "{n}"\n' for n in "ab"))
    return lambda rows: table.read("\n".join(["t,of,value", *rows]).encode(), "x", table.Mapping(path))


def table_row(label: str) -> Callable[[datetime, int, int, str], str]:
    return lambda t, step, k, name: f"{local(t, step if label == 'end' else 0, '%Y-%m-%d %H:%M')},{name},{k}"


@pytest.fixture(params=["smard", "entsoe", "eco2mix", "dataconnect", "table-start", "table-end"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    if request.param.startswith("table"):
        label = request.param.partition("-")[2]
        return any_table(label, tmp_path), table_row(label), 1
    return {
        "smard": (smard, smard_row, 1e-3),
        "entsoe": (entsoe, entsoe_row, 1e-3),
        "eco2mix": (eco2mix, eco2mix_row, 1e3),
        "dataconnect": (dataconnect, dataconnect_row, 1e-3),
    }[request.param]


def assert_same(found: Series, rows: Rows, factor: float = 1, only: list[int] | None = None) -> None:
    expected = [(int(t.timestamp()) * 10**6, s * 60, k * factor) for k, (t, s) in enumerate(rows, 1)]
    expected = expected if only is None else [expected[k] for k in only]
    assert found.time.tolist() == [e[0] for e in expected]
    assert found.step_s.tolist() == [e[1] for e in expected]
    assert found.value.tolist() == pytest.approx([e[2] for e in expected])


@pytest.mark.parametrize("first", [SPRING, AUTUMN])
@pytest.mark.parametrize("step", [5, 10, 15, 30, 60])
def test_every_step_forwards_backwards_and_newest_day_first(kind: Kind, first: tuple[int, int, int], step: int) -> None:
    read, row, factor = kind
    rows = two_days(first, step)
    text = [row(t, s, k, "a") for k, (t, s) in enumerate(rows, 1)]
    night = sum(t.astimezone(PARIS).day == first[2] for t, _ in rows)
    for order in (text, text[::-1], text[night:] + text[:night]):
        assert_same(read(order).series[0], rows, factor)


@pytest.mark.parametrize(("low", "high"), [(-120, 0), (0, 30), (90, 120), (120, 240)])
def test_a_gap_beside_the_repeated_hour_stays_where_it_is(kind: Kind, low: int, high: int) -> None:
    read, row, factor = kind
    rows = two_days(AUTUMN, 15)
    twice = datetime(2026, 10, 25, tzinfo=UTC)
    kept = [k for k, (t, _) in enumerate(rows) if not low <= (t - twice) / timedelta(minutes=1) < high]
    found = read([row(*rows[k], k + 1, "a") for k in kept])
    assert_same(found.series[0], rows, factor, kept)
    assert [f.count for f in found.findings if f.code == "gap"] == [(high - low) // 15]


@pytest.mark.parametrize("order", ["one after the other", "row by row"])
def test_series_that_share_a_file_have_each_their_own_order(tmp_path: Path, order: str) -> None:
    rows = two_days(AUTUMN, 15)
    table_kind = any_table("start", tmp_path), table_row("start"), 1.0
    for read, row, factor in ((entsoe, entsoe_row, 1e-3), (eco2mix, eco2mix_row, 1e3), table_kind):
        both = [[row(t, s, k, name) for k, (t, s) in enumerate(rows, 1)] for name in "ab"]
        pairs = [line for pair in zip(*both, strict=True) for line in pair]
        found = read(both[0] + both[1] if order == "one after the other" else pairs)
        assert [s.source for s in found.series] == ["a", "b"]
        for series in found.series:
            assert_same(series, rows, factor)


def test_a_file_sorted_by_the_clock_is_told(tmp_path: Path) -> None:
    """Each quarter of the repeated hour twice in a row: the first of two is the first, and somebody should know."""
    rows = two_days(AUTUMN, 15)
    order = sorted(range(len(rows)), key=lambda k: rows[k][0].astimezone(PARIS).replace(tzinfo=None))
    found = any_table("start", tmp_path)([table_row("start")(*rows[k], k + 1, "a") for k in order])
    assert_same(found.series[0], rows)
    assert {f.code: f.count for f in found.findings if f.deed == "flagged"} == {"hour-unordered": 8, "no-rows": 1}


@pytest.mark.parametrize("label", ["start", "end"])
@pytest.mark.parametrize(("before", "after"), [(60, 15), (15, 60), (30, 15), (15, 30), (30, 10)])
@pytest.mark.parametrize("hour", [-12, 0, 1, 5])
def test_a_step_that_changes_near_the_night(tmp_path: Path, label: str, before: int, after: int, hour: int) -> None:
    change = datetime(2026, 10, 25, tzinfo=UTC) + timedelta(hours=hour)
    rows = [r for r in two_days(AUTUMN, before) if r[0] < change] + [
        r for r in two_days(AUTUMN, after) if r[0] >= change
    ]
    found = any_table(label, tmp_path)([table_row(label)(t, s, k, "a") for k, (t, s) in enumerate(rows, 1)])
    assert_same(found.series[0], rows)


def test_a_hole_beside_the_only_row_is_no_length() -> None:
    starts = np.array([0, 1, 2, 10]) * 1800 * 10**6
    ends = np.array([0, 8, 9, 10]) * 1800 * 10**6
    assert lengths(starts)[0].tolist() == [1800] * 4
    assert lengths(ends, label="end")[0].tolist() == [1800] * 4


def test_a_stay_through_the_repeated_hour_ends_after_it_began() -> None:
    text = "start,end,kwh\n2026-10-25T02:50,2026-10-25T02:10,1\n2026-10-25T02:10,2026-10-25T04:00,2\n"
    found = cars.read(text.encode(), "x")
    assert found.series[0].step_s.tolist() == [170 * 60, 20 * 60]
    assert found.series[0].value.tolist() == [2, 1]
    assert {f.code: f.count for f in found.findings} == {"hour-once": 2, "overlap": 1}


def test_stays_that_begin_at_once_are_all_kept() -> None:
    rows = ["2026-01-15T08:00Z,2026-01-15T09:00Z,1", "2026-01-15T08:00Z,2026-01-15T10:00Z,2"]
    found = cars.read("\n".join(["start,end,kwh", *rows, rows[0]]).encode(), "x")
    assert {(s.source, *s.value.tolist()) for s in found.series} == {("cars", 1.0), ("cars/2", 2.0)}
    assert {f.code: f.count for f in found.findings} == {"twice": 1, "overlap": 2}
