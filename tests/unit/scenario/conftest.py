"""A scenario folder in a few lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridopt.scenario.load import Scenario, load

BASE = """\
format = 1
[horizon]
start = "2026-01-15"
[node.grid]
import_max_kw = 30
[commitment.supply]
kind = "energy"
node = "grid"
buy_eur_per_kwh = 0.2
[asset.bat-a]
family = "battery"
node = "grid"
capacity_kwh = 10
power_kw = 5
"""


@pytest.fixture
def base() -> str:
    """The smallest scenario with something to plan."""
    return BASE


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """``write(toml, name="…", files={"series.csv": text})`` → the folder."""

    def make(toml: str = BASE, files: dict[str, str | bytes] | None = None, name: str = "site") -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "scenario.toml").write_text(toml, encoding="utf-8")
        for file, content in (files or {}).items():
            data = content if isinstance(content, bytes) else content.encode()
            (folder / file).write_bytes(data)
        return folder

    return make


@pytest.fixture
def build(write: Callable[..., Path]) -> Callable[..., Scenario]:
    """Write and load: ``build(toml, files, day=…)``."""

    def make(toml: str = BASE, files: dict[str, str | bytes] | None = None, **how: Any) -> Scenario:
        return load(write(toml, files), **how)

    return make
