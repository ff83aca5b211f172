"""``gridopt run``: one result on stdout, the rest on stderr, and an exit code that says what happened."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import Result

import gridopt.jobs.plan as job
from gridopt.errors import GridoptError, NoPlanError
from gridopt.solve.ladder import solve

Call = Callable[..., Result]


def test_without_out_the_plan_is_shown_and_nothing_written(tiny: Path, cli: Call) -> None:
    before = sorted(tiny.rglob("*"))
    result = cli("run", "tiny")
    assert result.exit_code == 0, result.output
    for words in ("A tiny house", "Thursday 15 January 2026", "proven optimal", "supply, import", "saves", "by rule"):
        assert words in result.stdout
    assert "gridopt run tiny --out DIR" in result.stderr
    assert sorted(tiny.rglob("*")) == before


def test_out_leaves_a_run_folder(tiny: Path, cli: Call) -> None:
    result = cli("run", "tiny", "--out", "runs/plan")
    assert result.exit_code == 0, result.output
    assert "gridopt explain runs/plan" in result.stderr
    assert "The plan is in runs/plan; its plan.csv opens in a spreadsheet" in result.stderr
    summary = json.loads((tiny / "runs" / "plan" / "summary.json").read_text())
    assert summary["scenario"]["name"] == "tiny"
    assert list(summary["inputs"]["sources"]) == ["scenario.toml"]
    told = pq.read_table(tiny / "runs" / "plan" / "setpoints.parquet")
    assert set(told["device"].to_pylist()) == {"inverter-1"}, "the car is not controlled, the battery has a name"


def test_a_run_that_is_replaced_is_named(tiny: Path, cli: Call) -> None:
    first = cli("run", "tiny", "--out", "plan")
    assert "replaced" not in first.stderr
    before = json.loads((tiny / "plan" / "summary.json").read_text())["plan_id"]
    again = cli("run", "tiny", "--out", "plan", "--date", "2026-01-20", "--json")
    assert f"plan: replaced the run of {before}\n" in again.stderr
    assert json.loads(again.stdout)["plan_id"] != before


def test_json_is_the_summary_and_nothing_else(tiny: Path, cli: Call) -> None:
    result = cli("run", "tiny", "--json", "--out", "plan")
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    kept = json.loads((tiny / "plan" / "summary.json").read_text())
    assert {k: v for k, v in kept.items() if k != "files"} == printed
    assert printed["format"] == 1


def test_the_same_command_gives_the_same_plan(tiny: Path, cli: Call) -> None:
    hashes = {json.loads(cli("run", "tiny", "--json").stdout)["hash"] for _ in range(2)}
    assert len(hashes) == 1


def test_options_reach_the_plan(tiny: Path, cli: Call) -> None:
    (tiny / "more.toml").write_text("[asset.load-a]\npower_kw = 4.0\n")
    result = cli(
        "run", "tiny", "--json", "--date", "2026-03-29", "--overlay", "more.toml", "--set", "asset.bat-a.power_kw=1",
        "--gap", "0.02", "--time-limit", "9", "--out", "plan",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    s = json.loads(result.stdout)
    assert (s["horizon"]["steps"], s["valid_from"]) == (23, "2026-03-28T23:00:00+00:00")
    assert s["kpi"]["assets"]["load-a"]["energy_kwh"] == pytest.approx(4.0 * 23)
    inputs = json.loads((tiny / "plan" / "inputs.json").read_text())
    assert (inputs["target"]["gap"], inputs["target"]["time_limit_s"]) == (0.02, 9.0)
    battery = next(g for g in inputs["groups"] if g["family"] == "battery")
    assert battery["each"]["power_kw"] == [1.0]


# --- exit codes ------------------------------------------------------------------------------------------------------


def fails(error: GridoptError | Exception) -> Callable[..., Any]:
    def raises(*_: Any, **__: Any) -> Any:
        raise error

    return raises


def test_a_goal_short_is_3_and_named(tiny: Path, cli: Call) -> None:
    result = cli("run", "tiny", "--set", "asset.car-a.energy_kwh=80", "--set", "node.house.import_max_kw=6")
    assert result.exit_code == 3
    assert "Goals that fall short" in result.stdout
    assert "car-a: energy by departure short by" in result.stdout
    assert "Limits that bind" in result.stdout
    assert "house import 6 kW, Thu 15 Jan" in result.stdout


def test_time_limited_is_3_and_says_how_far(tiny: Path, cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def limited(*a: Any) -> Any:
        found = solve(*a)
        return dataclasses.replace(found, status="time-limited", bound=found.objective - 0.5)

    monkeypatch.setattr(job, "solve", limited)
    result = cli("run", "tiny")
    assert result.exit_code == 3
    words = " ".join(result.stdout.split())
    assert "time-limited: the best found, at most 3 % (0.50 EUR) above the best possible" in words


def test_mistakes_are_10_all_at_once_and_without_a_traceback(tiny: Path, cli: Call) -> None:
    result = cli("run", "tiny", "--set", "asset.bat-a.power=5", "--set", "asset.load-a.node=hause")
    assert result.exit_code == 10
    assert result.stdout == ""
    assert "power_kw" in result.stderr
    assert "house" in result.stderr
    assert "2 mistakes" in result.stderr
    assert "Traceback" not in result.stderr


def test_mistakes_as_json_are_one_document_too(tiny: Path, cli: Call) -> None:
    result = cli("run", "tiny", "--json", "--set", "asset.bat-a.power=5")
    assert result.exit_code == 10
    error = json.loads(result.stdout)["error"]
    assert (error["code"], error["exit"]) == ("scenario", 10)
    assert len(error["mistakes"]) == 1
    assert {"file", "line", "code", "message"} == set(error["mistakes"][0])
    assert error["mistakes"][0]["message"] in result.stderr


def test_hard_limits_that_contradict_are_12_and_leave_nothing(tiny: Path, cli: Call) -> None:
    result = cli("run", "tiny", "--set", "asset.load-a.power_kw=50", "--out", "plan")
    assert result.exit_code == 12
    assert "house" in result.stderr
    assert not (tiny / "plan").exists()
    error = json.loads(cli("run", "tiny", "--set", "asset.load-a.power_kw=50", "--json").stdout)["error"]
    assert (error["code"], error["exit"]) == ("infeasible", 12)
    assert {c["id"] for c in error["explanation"]["culprits"]} == {"house"}


def test_data_that_are_missing_are_a_mistake_of_the_scenario(tiny: Path, cli: Call) -> None:
    result = cli("run", "tiny", "--set", "asset.load-a.power_kw=office")
    assert (result.exit_code, result.stdout) == (10, "")
    assert "office" in result.stderr


def test_a_run_that_was_changed_is_11(tiny: Path, cli: Call) -> None:
    assert cli("run", "tiny", "--out", "plan").exit_code == 0
    table = tiny / "plan" / "setpoints.parquet"
    table.write_bytes(table.read_bytes() + b" ")
    result = cli("explain", "plan")
    assert (result.exit_code, result.stdout) == (11, "")
    assert "setpoints.parquet is not the one that belongs to this run" in result.stderr
    table.unlink()
    assert cli("explain", "plan").exit_code == 11


def test_no_plan_in_time_is_13(tiny: Path, cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    error = NoPlanError("no plan was found within {limit:g} s", limit=2.0)
    monkeypatch.setattr(job, "solve", fails(error))
    result = cli("run", "tiny")
    assert (result.exit_code, result.stdout) == (13, "")
    assert result.stderr == f"Error: {error}\n"


def test_a_plan_that_does_not_hold_is_15_and_never_written(
    tiny: Path, cli: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*a: Any) -> Any:
        found = solve(*a)
        return dataclasses.replace(found, objective=found.objective + 0.01)

    monkeypatch.setattr(job, "solve", wrong)
    result = cli("run", "tiny", "--out", "plan")
    assert result.exit_code == 15
    assert "does not hold and was not written" in result.stderr
    assert not (tiny / "plan").exists()


def test_a_bug_is_1_and_says_how_to_see_it(tiny: Path, cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "solve", fails(KeyError("x")))
    result = cli("run", "tiny")
    assert result.exit_code == 1
    assert "KeyError" in result.stderr
    assert "GRIDOPT_DEBUG=1" in result.stderr
    assert "Traceback" not in result.stderr
    seen = cli("run", "tiny", GRIDOPT_DEBUG="1")
    assert isinstance(seen.exception, KeyError)


@pytest.mark.parametrize(
    "arguments",
    [["run"], ["run", "tiny", "--date", "soon"], ["run", "tiny", "--gap", "2"], ["fly"], ["run", "tiny", "--fly"]],
)
def test_the_command_line_itself_wrong_is_2(tiny: Path, cli: Call, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error" in result.stderr


def test_a_place_that_is_taken_is_refused_before_any_work(
    tiny: Path, cli: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "run", fails(AssertionError("planned before looking")))
    result = cli("run", "tiny", "--out", "tiny")
    assert result.exit_code == 2
    assert "tiny holds scenario.toml, which is not part of a run" in result.stderr


# --- a process of its own --------------------------------------------------------------------------------------------

WATCHED = """
import atexit, sys
atexit.register(lambda: print("scipy.stats" in sys.modules, "pandas" in sys.modules, file=sys.stderr))
"""
MAIN = "from gridopt.cli.main import main; main(prog_name='gridopt', args={args!r})"


def test_a_real_process_plain_and_narrow(tiny: Path, process: Callable[..., subprocess.Popen[str]]) -> None:
    code = WATCHED + MAIN.format(args=["run", "tiny"])
    p = process(code, COLUMNS="80", NO_COLOR="1")
    out, err = p.communicate()
    assert p.returncode == 0, err
    assert "\x1b" not in out + err
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "█" in out
    assert err.splitlines()[-1] == "False False", "a run imports neither scipy.stats nor pandas"


def test_a_terminal_without_blocks_gets_plain_marks(tiny: Path, process: Callable[..., subprocess.Popen[str]]) -> None:
    scenario = tiny / "tiny" / "scenario.toml"
    scenario.write_text(scenario.read_text().replace("A tiny house", "Haute Deûle"))
    p = process(MAIN.format(args=["run", "tiny"]), PYTHONIOENCODING="ascii")
    out, err = p.communicate()
    assert p.returncode == 0, err
    assert out.isascii()
    assert "Haute De?le" in out
    assert "@@@" in out


STUCK = """
import time
import gridopt.jobs.plan as job
def run(*_, **__):
    print("working", flush=True)
    time.sleep(60)
job.run = run
from gridopt.cli.main import main
main(prog_name="gridopt", args=["run", "tiny", "--out", "plan"])
"""


def test_ctrl_c_is_130_at_once(tiny: Path, process: Callable[..., subprocess.Popen[str]]) -> None:
    p = process(STUCK)
    # What a job prints itself, as HiGHS at times does, goes to stderr: stdout is for the result.
    assert p.stderr is not None
    assert p.stderr.readline() == "working\n"
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=30)
    assert p.returncode == 130
    assert out == ""
    assert err == "stopped\n"
    assert not (tiny / "plan").exists()


# --- from one night to the next --------------------------------------------------------------------------------------


def test_a_run_starts_as_the_one_before_ends(tiny: Path, cli: Call) -> None:
    assert cli("run", "tiny", "--out", "plans/15", "--set", "asset.bat-a.end=free").exit_code == 0
    result = cli("run", "tiny", "--date", "2026-01-16", "--from", "plans/15", "--json")
    assert result.exit_code == 0, result.output
    s = json.loads(result.stdout)
    first = json.loads((tiny / "plans" / "15" / "summary.json").read_text())
    assert s["continues"]["hash"] == first["hash"]
    assert s["start_state"]["bat-a"]["source"] == "plan"
    assert first["hash"] in s["inputs"]["sources"].values()
    shown = cli("run", "tiny", "--date", "2026-01-16", "--from", "plans/15")
    assert f"Starts as plan {first['plan_id']} leaves it" in shown.stdout


def test_a_gap_is_a_mistake_of_run_and_check_alike(tiny: Path, cli: Call) -> None:
    cli("run", "tiny", "--out", "plans/15")
    for command in ("run", "check"):
        result = cli(command, "tiny", "--date", "2026-01-18", "--from", "plans/15")
        assert result.exit_code == 10
        assert "--from plans/15: that plan ends Fri 16 Jan 00:00" in result.stderr


def test_a_plan_that_could_have_been_continued_is_named_not_guessed(tiny: Path, cli: Call) -> None:
    cli("run", "tiny", "--out", "plans/15")
    result = cli("run", "tiny", "--date", "2026-01-16", "--out", "plans/16")
    assert "plans/15 held a plan for the time until this one begins: with --from plans/15" in result.stderr
    assert json.loads((tiny / "plans" / "16" / "summary.json").read_text())["continues"] is None
    assert "--from" not in cli("run", "tiny", "--date", "2026-01-18", "--out", "plans/18").stderr
    assert "--from" not in cli("run", "tiny", "--date", "2026-01-17", "--out", "plans/17", "--from", "plans/16").stderr


@pytest.mark.parametrize(
    ("said", "form"), [("13/01/2026", "2026-01-13"), ("20260113", "2026-01-13"), ("2026-02-30", "2026-01-13, a day")]
)
def test_a_day_in_another_form_is_told_the_right_one(tiny: Path, cli: Call, said: str, form: str) -> None:
    for command in ("run", "check"):
        result = cli(command, "tiny", "--date", said)
        assert result.exit_code == 2
        assert f"'{said}' is not a day as it is written here: write {form}" in result.stderr
