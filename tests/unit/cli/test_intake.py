"""``gridopt import`` and ``status``: files in, a report for each, and nothing twice."""

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
FILE = """Datum von;Datum bis;Frankreich [€/MWh] Berechnete Auflösungen
15.01.2026 00:00;15.01.2026 01:00;100,0
15.01.2026 01:00;15.01.2026 02:00;-
"""


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.csv"
    path.write_text(FILE, encoding="utf-8")
    return path


def test_the_kinds_are_listed(cli: Call) -> None:
    result = cli("import")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].startswith("smard ")


def test_in_once_and_not_twice(cli: Call, prices: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    first = cli("import", "smard", str(prices), "--store", store)
    assert first.exit_code == 0
    assert first.stdout.splitlines() == [
        f"{prices}: 2 rows in 1 series",
        "  flagged: fr: no price (1 ×, first 2026-01-15 00:00 UTC)",
    ]
    assert "already there" in cli("import", "smard", str(prices), "--store", store).stdout
    (line,) = json.loads(cli("status", "--store", store, "--json").stdout)["series"]
    assert (line["quantity"], line["source"], line["last"]) == ("price_eur_per_kwh", "fr", "2026-01-14T23:00:00+00:00")
    assert (line["health"], line["usual_s"]) == ("new", None)
    assert "price_eur_per_kwh  fr" in cli("status", "--store", store).stdout


@pytest.mark.parametrize(("waited_h", "told"), [(30, "fresh"), (60, "late"), (120, "silent")])
def test_how_a_series_comes(
    cli: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waited_h: int, told: str
) -> None:
    """Three days of values, each day's told at its end; then nothing for a while, against 24 hours as usual."""
    store, day = SeriesStore.open(tmp_path), datetime(2026, 1, 5, tzinfo=UTC)
    for _ in range(3):
        start, day = round(day.timestamp()) * 10**6, day + timedelta(days=1)
        time, known = start + np.arange(24) * 3_600_000_000, np.full(24, round(day.timestamp()) * 10**6)
        store.add(Rows("power_kw", ["m"] * 24, time, np.full(24, 3600), np.ones(24), ["good"] * 24, known))
    monkeypatch.setattr("gridopt.cli.common.now", lambda: day + timedelta(hours=waited_h))
    (line,) = json.loads(cli("status", "--store", str(tmp_path), "--json").stdout)["series"]
    assert (line["health"], line["usual_s"], line["age_s"]) == (told, 86_400, waited_h * 3600)
    assert cli("status", "--store", str(tmp_path)).stdout.splitlines()[1].endswith(f"  {told}")


def test_one_refused_file_stops_no_other(cli: Call, prices: Path, tmp_path: Path) -> None:
    (tmp_path / "another.csv").write_text("nothing of the kind")
    result = cli("import", "smard", str(tmp_path), "--store", str(tmp_path / "store"), "--json")
    assert result.exit_code == 11
    doc, error = (json.loads(part) for part in result.stdout.replace("}\n{", "}\0{").split("\0"))
    assert [bool(f["refused"]) for f in doc["files"]] == [True, False]
    assert "another.csv was refused" in error["error"]["message"]


def test_without_a_store_nothing_is_kept(cli: Call, prices: Path, tmp_path: Path) -> None:
    result = cli("import", "smard", str(prices))
    assert result.exit_code == 0
    assert "nothing was kept" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["prices.csv"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("import", "smart", "x"), "there is no kind smart; did you mean smard?"),
        (("import", "smard"), "no files are named"),
        (("import", "smard", "nowhere.csv"), "there is no file nowhere.csv"),
        (("status",), "name the store with --store"),
    ],
)
def test_usage(cli: Call, args: tuple[str, ...], told: str) -> None:
    result = cli(*args)
    assert result.exit_code == 2
    assert told in result.stderr


def test_an_empty_store(cli: Call, tmp_path: Path) -> None:
    assert "holds nothing yet" in cli("status", "--store", str(tmp_path)).stdout
