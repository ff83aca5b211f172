"""``gridopt forecast``: from a series in the store to quantiles in the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from gridopt.store.series import Rows, SeriesStore

Call = Callable[..., Result]
MAPPING = 'format = 1\ntime = "t"\n[column.kw]\nquantity = "power_kw"\nsource = "school"\n'


@pytest.fixture
def store(cli: Call, tmp_path: Path) -> str:
    start = datetime(2026, 1, 5, tzinfo=UTC)
    rows = [f"{start + timedelta(hours=h):%Y-%m-%dT%H:%MZ},{100 + h % 24 + (h // 24 % 7) * 10}" for h in range(24 * 60)]
    (tmp_path / "load.csv").write_text("t,kw\n" + "\n".join(rows))
    (tmp_path / "mapping.toml").write_text(MAPPING)
    place = str(tmp_path / "store")
    args = ("--mapping", str(tmp_path / "mapping.toml"), "--store", place, "--known", "measured")
    assert cli("import", "table", str(tmp_path / "load.csv"), *args).exit_code == 0
    return place


def test_to_the_end_of_tomorrow(cli: Call, store: str) -> None:
    result = cli("forecast", "power_kw", "--store", store, "--at", "2026-02-26T12:00", "--json")
    assert result.exit_code == 0
    (made,) = json.loads(result.stdout)["made"]
    assert (made["source"], made["count"], made["step_s"]) == ("school", 36, 3600)
    assert made["scores"]["last-week"]["mae"] == 0
    kept = SeriesStore.open(store).read("forecast_power_kw", sources=["school/p50"])
    assert kept.value.tolist() == made["quantiles"]["p50"]
    at = datetime(2026, 2, 26, 11, tzinfo=UTC)
    assert len(SeriesStore.open(store).read("forecast_power_kw", known_by=at - timedelta(seconds=1))) == 0
    hours = np.arange(24 * 52 + 11, 24 * 52 + 11 + 36)
    assert kept.value == pytest.approx(100 + hours % 24 + (hours // 24 % 7) * 10)


def test_it_is_told(cli: Call, store: str) -> None:
    result = cli("forecast", "power_kw", "--store", store, "--at", "2026-02-26T12:00")
    assert "school: power_kw by last-week, 36 steps kept" in result.stdout
    assert "the reference: no other method was clearly better" in result.stdout


def test_nothing_is_forecast_from_nothing(cli: Call, tmp_path: Path) -> None:
    store, hours = SeriesStore.open(tmp_path), np.arange(48) * 3_600_000_000
    known = np.full(48, 48 * 3_600_000_000)
    store.add(Rows("power_kw", ["m"] * 48, hours, np.full(48, 3600), np.full(48, np.nan), ["missing"] * 48, known))
    result = cli("forecast", "power_kw", "--store", str(tmp_path), "--at", "1970-01-03T12:00Z", "--json")
    assert result.exit_code == 11
    assert "the store holds no power_kw known by" in json.loads(result.stdout)["error"]["message"]


@pytest.mark.parametrize(("step_s", "told"), [(0, "values of an instant"), (86_400, "86400 s"), (420, "420 s")])
def test_what_is_not_of_intervals_is_told(cli: Call, tmp_path: Path, step_s: int, told: str) -> None:
    day = np.arange(3) * 86_400_000_000
    rows = Rows("power_kw", ["m"] * 3, day, np.full(3, step_s), np.ones(3), ["good"] * 3, day)
    SeriesStore.open(tmp_path).add(rows)
    result = cli("forecast", "power_kw", "--store", str(tmp_path), "--at", "1970-01-04T12:00Z")
    assert result.exit_code == 11
    assert told in result.stderr


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (("power_kw",), 2, "name the store"),
        (("powr_kw", "--store", "{store}"), 2, "did you mean power_kw?"),
        (("power_kw", "--store", "{store}", "--at", "noon"), 2, "--at or --zone cannot be read"),
        (("power_kw", "--store", "{store}", "--at", "2025-01-01"), 11, "known by"),
    ],
)
def test_what_cannot_be(cli: Call, store: str, args: tuple[str, ...], code: int, told: str) -> None:
    result = cli("forecast", *(a.replace("{store}", store) for a in args))
    assert result.exit_code == code
    assert told in result.stderr
