"""The README's commands, run in order as a newcomer would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import pytest

from gridopt import errors
from gridopt.cli.main import STOPPED, main
from gridopt.jobs.plan import DEGRADED, PROVEN

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


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.S)


def shown_files() -> dict[str, str]:
    """The files that the text tells a reader to write, in ``my-town``; the meter's rows go on over the day."""
    cable, meter = blocks("toml")
    (rows,) = blocks("csv")
    start = datetime(2026, 3, 16, tzinfo=ZoneInfo("Europe/Paris"))
    rest = [(start + timedelta(minutes=30 * k)).isoformat(timespec="minutes") for k in range(3, 48)]
    return {
        "cable.toml": cable,
        "meter.toml": meter,
        "meter.csv": rows + "".join(f"{t},{300 + 10 * k}\n" for k, t in enumerate(rest)),
    }


@dataclass(frozen=True)
class Newcomer:
    """One who has done all that the README says, in order."""

    folder: Path
    ended: list[subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    folder, ended = tmp_path_factory.mktemp("newcomer"), []
    for args in COMMANDS:
        ended.append(gridopt(args, folder))
        if args[0] == "new":
            for name, content in shown_files().items():
                assert f"`my-town/{name}`" in TEXT
                (folder / args[1] / name).write_text(content, encoding="utf-8")
    return Newcomer(folder, ended)


def test_the_commands_run_in_order(newcomer: Newcomer) -> None:
    assert len(COMMANDS) >= 9
    for args, ended in zip(COMMANDS, newcomer.ended, strict=True):
        assert ended.returncode == 0, f"gridopt {' '.join(args)}: {ended.stdout}{ended.stderr}"
        assert "Traceback" not in ended.stderr


def test_a_run_leaves_the_files_that_are_named(newcomer: Newcomer) -> None:
    named = TEXT[TEXT.index("### What a run leaves") : TEXT.index("## Every night")]
    there = {p.name for p in (newcomer.folder / "plan").iterdir()}
    assert set(re.findall(r"`(\w+\.\w+)`", named)) == there


def test_the_titles_of_the_table_for_people_are_as_shown(newcomer: Newcomer) -> None:
    titles = (newcomer.folder / "plan" / "plan.csv").read_text(encoding="utf-8-sig").splitlines()[1].split(";")
    shown = TEXT[TEXT.index("`plan.csv` has semicolons") : TEXT.index("## Every night")]
    named = re.findall(r"`([^`]+\])`", shown)
    assert len(named) == 4
    assert set(named) | {"UTC offset"} <= set(titles)


def test_what_a_meter_says_reaches_the_plan(newcomer: Newcomer) -> None:
    """Also as a French spreadsheet writes it: `16/03/2026 00:30;275,0`."""
    files, day = shown_files(), [310, 275, 290] + [300 + 10 * k for k in range(45)]
    local = [f"16/03/2026 {k // 2:02d}:{30 * (k % 2):02d};{v},0\n" for k, v in enumerate(day)]
    (newcomer.folder / "my-town" / "french.csv").write_text("time;house_w\n" + "".join(local))
    (newcomer.folder / "my-town" / "french.toml").write_text(files["meter.toml"].replace("meter.csv", "french.csv"))
    for overlay in ("meter.toml", "french.toml"):
        ended = gridopt(["run", "my-town", "--overlay", overlay, "--json"], newcomer.folder)
        assert json.loads(ended.stdout)["kpi"]["assets"]["house"]["energy_kwh"] == pytest.approx(sum(day) * 0.5e-3)


def test_a_cable_limits_what_is_below_it(newcomer: Newcomer) -> None:
    ended = gridopt(
        ["run", "my-town", "--overlay", "cable.toml", "--set", "node.cable.import_max_kw=0.1"], newcomer.folder
    )
    assert ended.returncode == 12
    assert "cable" in ended.stderr


def test_every_exit_code_is_told() -> None:
    """What the table says is what errors, the plan and Ctrl-C end with, and nothing else."""
    rows = re.findall(r"^\| ([\d, ]+) \| (.+) \| .+ \|$", TEXT, re.M)
    told = {int(code) for codes, _ in rows for code in codes.split(",")}
    kinds = {e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.GridoptError)}
    assert told == {e.exit_code for e in kinds} | {PROVEN, DEGRADED, STOPPED}


@pytest.mark.skipif(shutil.which("sh") is None, reason="no shell")
@pytest.mark.parametrize(
    ("code", "printed", "ends"), [(0, "", 0), (3, "the plan\n", 0), (12, "why\n", 1)], ids=["proven", "short", "none"]
)
def test_the_script_for_every_night(tmp_path: Path, code: int, printed: str, ends: int) -> None:
    """With a gridopt that ends as it is told, and a date that knows no `-d` anywhere."""
    (script,) = blocks("sh")
    (tmp_path / "tomorrow.sh").write_text(script)
    for name, text in (
        ("gridopt", f'echo "$@" > asked; echo the plan; echo why >&2; exit {code}'),
        ("date", "echo 2026-03-17"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["sh", "tomorrow.sh"], cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == (printed, "", ends)
    asked = (tmp_path / "asked").read_text().split()
    assert asked == ["run", "my-town", "--date", "2026-03-17", "--out", "plans/my-town"]
    (tmp_path / "plans" / "my-town").mkdir()
    subprocess.run(["sh", "tomorrow.sh"], cwd=tmp_path, capture_output=True, env={**os.environ, "PATH": path})
    asked = (tmp_path / "asked").read_text().split()
    assert asked[4:] == ["--from", "plans/my-town", "--out", "plans/my-town"]


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
