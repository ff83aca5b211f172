"""The README's commands, run in order as a newcomer would."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gridopt.cli.main import main

README = Path(__file__).resolve().parents[2] / "README.md"
TEXT = README.read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("$ gridopt ").split()
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.S)
    for line in block.splitlines()
    if line.startswith("$ gridopt ")
]


def gridopt(args: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    code = "from gridopt.cli.main import main; main(prog_name='gridopt')"
    return subprocess.run([sys.executable, "-c", code, *args], cwd=folder, capture_output=True, text=True, timeout=120)


def test_the_commands_run_in_order(tmp_path: Path) -> None:
    assert len(COMMANDS) >= 6
    for args in COMMANDS:
        done = gridopt(args, tmp_path)
        assert done.returncode == 0, f"gridopt {' '.join(args)}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
    assert (tmp_path / "plan" / "setpoints.parquet").exists()


def test_the_contradiction_is_explained_as_shown(tmp_path: Path) -> None:
    (shown,) = re.findall(r"\$ gridopt (run my-town --set node\S+)\n(.*)\n", TEXT)
    assert gridopt(["new", "my-town"], tmp_path).returncode == 0
    done = gridopt(shown[0].split(), tmp_path)
    assert done.returncode == 12
    assert done.stderr.startswith(shown[1])
    assert "--set node.grid.import_max_kw=" in done.stderr


@pytest.mark.parametrize("name", sorted(main.list_commands(click.Context(main))))
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"gridopt {name}" in TEXT


@pytest.mark.parametrize("name", ["two-roofs", "saint-philibert", "haute-deule", "negative-price-day"])
def test_every_scenario_named_is_shipped(name: str) -> None:
    assert f"`{name}`" in TEXT
    assert (README.parent / "scenarios" / name / "scenario.toml").exists()


def test_make_targets_exist() -> None:
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make (\w+)", TEXT)) - {"it"}:
        if target in ("demo", "test", "bench"):
            assert f"\n{target}:" in makefile
