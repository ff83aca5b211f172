"""``gridopt import`` and ``status``: files in, a report for each, and nothing twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

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
    assert "price_eur_per_kwh  fr" in cli("status", "--store", store).stdout


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
