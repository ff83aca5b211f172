"""A scenario folder of a handful of assets, and the command line called in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gridopt.cli.main import main

SCENARIO = """\
format = 1
title = "A tiny house"

[horizon]
start = 2026-01-15
step_min = 60

[node.grid]

[node.house]
parent = "grid"
import_max_kw = 12.0

[schedule.tariff]
default = 0.20
rules = [{ from = "17:00", to = "21:00", value = 0.35 }]

[commitment.supply]
kind = "energy"
node = "grid"
buy_eur_per_kwh = "tariff"
sell_eur_per_kwh = 0.05

[asset.load-a]
family = "load"
node = "house"
power_kw = 3.0

[asset.bat-a]
family = "battery"
node = "house"
capacity_kwh = 10.0
power_kw = 4.0
device = "inverter-1"

[asset.car-a]
family = "ev-session"
node = "house"
arrive = "18:00"
depart = "23:00"
energy_kwh = 8.0
power_kw = 7.4
control = "none"
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with the scenario ``tiny`` in it."""
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "scenario.toml").write_text(SCENARIO)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli() -> Callable[..., Result]:
    """Calls ``gridopt`` with arguments; stdout and stderr stay apart."""

    def call(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(main, [*arguments], env=environment, prog_name="gridopt")

    return call


@pytest.fixture
def process() -> Callable[..., subprocess.Popen[str]]:
    """Starts Python code in a process of its own, with gridopt importable."""

    def start(code: str, **environment: str) -> subprocess.Popen[str]:
        path = os.pathsep.join(p for p in sys.path if p)
        return subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": path, **environment},
        )

    return start
