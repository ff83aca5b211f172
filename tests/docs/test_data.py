"""docs/data.md: its commands run, and what they print is what the page shows."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from gridopt.cli.main import main
from gridopt.intake.batch import Deed
from gridopt.intake.kinds import KINDS
from gridopt.jobs.collect import KNOWN

PAGE = (Path(__file__).resolve().parents[2] / "docs/data.md").read_text(encoding="utf-8")
(MAPPING,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the page speaks of: two days of prices with one missing, and a meter's history."""
    start = datetime(2026, 1, 14)
    rows = [
        f"{t:%d.%m.%Y %H:%M};{t + timedelta(minutes=30):%d.%m.%Y %H:%M};{'-' if k == 72 else '50,0'};60,0"
        for k in range(96)
        for t in [start + timedelta(minutes=30 * k)]
    ]
    head = "Datum von;Datum bis;Frankreich [€/MWh] Auflösung;Belgien [€/MWh] Auflösung"
    (tmp_path / "prices.csv").write_text("\n".join((head, *rows)), encoding="utf-8")
    stamps = [start + timedelta(minutes=30 * k) for k in range(48)]
    history = "\n".join(f"{t.isoformat()},{500 + t.hour}" for t in stamps)
    (tmp_path / "history.csv").write_text("last_changed,load_w\n" + history)
    (tmp_path / "house.toml").write_text(MAPPING)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_prices_as_shown(folder: Path) -> None:
    result = CliRunner().invoke(main, ["import", "smard", "prices.csv", "--store", "store"])
    assert result.exit_code == 0
    assert result.stdout in PAGE


def test_the_mapping_as_shown(folder: Path) -> None:
    command = re.search(r"^\$ gridopt (import table .*)$", PAGE, re.M)
    assert command is not None
    result = CliRunner().invoke(main, command[1].split())
    assert result.exit_code == 0
    assert result.stdout == "history.csv: 48 rows in 1 series\n"


def test_all_of_it_is_said() -> None:
    assert [kind for kind in KINDS if f"import {kind}" not in PAGE] == [
        "entsoe",
        "eco2mix",
        "sessions",
        "open-meteo",
    ]  # `gridopt import` lists these
    assert all(f"| {deed} |" in PAGE for deed in Deed)
    assert all(f"`{known}`" in PAGE for known in KNOWN if known != "now")
