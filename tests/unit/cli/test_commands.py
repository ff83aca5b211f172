"""The commands beside ``run``, and what holds for all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import Result

import gridopt
from gridopt.cli.main import COMMANDS
from gridopt.jobs import demo as job
from gridopt.scenario import find

Call = Callable[..., Result]


# --- check -----------------------------------------------------------------------------------------------------------


def test_check_says_what_it_found(tiny: Path, cli: Call) -> None:
    result = cli("check", "tiny")
    assert result.exit_code == 0, result.output
    first = result.stdout.splitlines()[0]
    assert first == "tiny: no mistakes; 2 nodes, 3 assets, 24 steps of 60 min from Thu 15 Jan 00:00"


def test_one_node_is_no_nodes(tiny: Path, cli: Call) -> None:
    assert cli("new", "house").exit_code == 0
    assert cli("check", "house").stdout.startswith("house: no mistakes; 1 node, 3 assets, 96 steps of 15 min from")


def test_check_as_json(tiny: Path, cli: Call) -> None:
    doc = json.loads(cli("check", "tiny", "--json", "--date", "2026-03-29").stdout)
    assert (doc["format"], doc["mistakes"], doc["nodes"], doc["assets"]) == (1, [], 2, 3)
    assert doc["horizon"]["end"] == "2026-03-29T22:00:00+00:00"


def test_check_lists_every_mistake(tiny: Path, cli: Call) -> None:
    scenario = tiny / "tiny" / "scenario.toml"
    text = scenario.read_text().replace("capacity_kwh = 10.0", "capacity_kwh = -1")
    scenario.write_text(text.replace("power_kw = 3.0", ""))
    result = cli("check", "tiny", "--json")
    assert result.exit_code == 10
    mistakes = json.loads(result.stdout)["error"]["mistakes"]
    assert len(mistakes) == 2
    lines = scenario.read_text().splitlines()
    wrong = next(m for m in mistakes if "capacity_kwh" in m["message"])
    assert lines[wrong["line"] - 1] == "capacity_kwh = -1"
    assert result.stderr.endswith("2 mistakes\n")


def test_a_scenario_that_is_not_there(tiny: Path, cli: Call) -> None:
    result = cli("check", "tony")
    assert result.exit_code == 10
    assert "tiny" in result.stderr


# --- export-model ----------------------------------------------------------------------------------------------------


def test_export_model_writes_a_file_another_solver_reads(tiny: Path, cli: Call) -> None:
    import highspy

    plan = json.loads(cli("run", "tiny", "--json").stdout)
    for kind in ("lp", "mps"):
        result = cli("export-model", "tiny", "--format", kind)
        assert result.exit_code == 0, result.output
        assert result.stdout == f"tiny.{kind}\n"
        h = highspy.Highs()
        h.setOptionValue("output_flag", False)
        assert h.readModel(f"tiny.{kind}") == highspy.HighsStatus.kOk
        h.run()
        assert h.getInfo().objective_function_value == pytest.approx(plan["objective_eur"], rel=1e-5)


def test_export_model_says_what_an_emergency_costs(cli: Call) -> None:
    from gridopt.model.plain import EMERGENCY_EUR_PER_KWH

    assert f"costs {EMERGENCY_EUR_PER_KWH:.0f} EUR/kWh in it" in " ".join(cli("export-model", "--help").stdout.split())


def test_export_model_to_a_place_that_is_not_there_is_an_error_in_words(tiny: Path, cli: Call) -> None:
    result = cli("export-model", "tiny", "--format", "lp", "-o", "nowhere/tiny.lp")
    assert result.exit_code == 2
    assert "nowhere/tiny.lp cannot be written" in result.stderr


# --- new and schema --------------------------------------------------------------------------------------------------


def test_a_new_scenario_has_no_mistakes_and_runs(tiny: Path, cli: Call) -> None:
    result = cli("new", "my-district")
    assert (result.exit_code, result.stdout) == (0, "my-district\n")
    assert "gridopt run my-district" in result.stderr
    assert cli("check", "my-district").exit_code == 0
    assert cli("run", "my-district").exit_code == 0
    again = cli("new", "my-district")
    assert (again.exit_code, again.stdout) == (10, "")


def test_the_schema_is_one_json_document(cli: Call) -> None:
    result = cli("schema", "scenario")
    assert result.exit_code == 0, result.output
    assert {"$schema", "properties"} <= set(json.loads(result.stdout))
    assert cli("schema", "bicycle").exit_code == 2


# --- explain ---------------------------------------------------------------------------------------------------------


def test_explain_prints_what_the_job_finds(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"format": 1, "limits": []}
    fake = SimpleNamespace(
        explain=lambda folder, *_: {**found, "folder": str(folder)}, words=lambda doc: doc["folder"]
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "gridopt.jobs.explain", fake)
    monkeypatch.setattr("gridopt.jobs.explain", fake, raising=False)
    assert cli("explain", "plan").stdout == "plan\n"
    assert json.loads(cli("explain", "plan", "--json").stdout) == {**found, "folder": "plan"}


# --- demo ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ships_tiny(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that ships one scenario, the tiny one."""
    monkeypatch.setattr(find, "shipped_folder", lambda: tiny)
    monkeypatch.setattr(job, "SCENARIOS", ("haute-deule", "tiny"))
    return tiny


def test_demo_plans_shows_and_says_what_is_next(ships_tiny: Path, cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(ships_tiny))
    result = cli("demo")
    assert result.exit_code == 0, result.output
    assert "A tiny house" in result.stdout
    (folder,) = ships_tiny.glob("gridopt-demo-*/plan")
    assert f"The plan is in {folder}; its plan.csv opens in a spreadsheet" in result.stderr
    for command in (f"gridopt explain {folder}", "gridopt run tiny --date 2026-07-05", "gridopt new my-district"):
        assert command in result.stderr
    assert (folder / "summary.json").is_file()


def test_demo_leaves_its_plan_where_it_is_told(ships_tiny: Path, cli: Call) -> None:
    assert cli("demo", "--out", "here").exit_code == 0
    assert (ships_tiny / "here" / "summary.json").is_file()


def test_demo_of_a_broken_installation(tiny: Path, cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "shipped_folder", lambda: tiny / "nothing")
    result = cli("demo")
    assert result.exit_code == 10
    assert "haute-deule" in result.stderr


# --- errors as JSON --------------------------------------------------------------------------------------------------


WRONG = [
    (["--json"], 2),
    (["fly", "--json"], 2),
    (["run", "--json"], 2),
    (["run", "tiny", "--json", "--colour"], 2),
    (["--json", "run", "tiny"], 2),
    (["run", "tiny", "--date", "tomorrow", "--json"], 2),
    (["explain", "plan", "--json", "--time-limit", "nan"], 2),
    (["explain", "plan", "--json"], 2),
    (["export-model", "tiny", "--json", "--format", "xml"], 2),
    (["device", "fly", "--json"], 2),
    (["run", "tony", "--json"], 10),
    (["check", "tiny", "--json", "--set", "asset.bat-a.power=5"], 10),
    (["run", "tiny", "--json", "--set", "asset.load-a.power_kw=50"], 12),
]


@pytest.mark.parametrize(("arguments", "code"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_any_error_is_one_json_document_where_json_is_wanted(
    tiny: Path, cli: Call, arguments: list[str], code: int
) -> None:
    result = cli(*arguments)
    assert result.exit_code == code
    doc = json.loads(result.stdout)
    assert doc["format"] == 1
    assert doc["error"]["exit"] == code
    assert doc["error"]["code"] == {2: "usage", 10: "scenario", 12: "infeasible"}[code]
    last = doc["error"]["message"].splitlines()[-1]
    assert last
    assert last in result.stderr
    without = cli(*(a for a in arguments if a != "--json"))
    assert "{" not in without.stdout


def test_a_bug_is_one_json_document_too(tiny: Path, cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from gridopt.jobs import plan

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(plan, "run", broken)
    result = cli("run", "tiny", "--json")
    error = json.loads(result.stdout)["error"]
    assert (result.exit_code, error["code"], error["exit"], error["message"]) == (1, "bug", 1, "by nought")


def test_being_stopped_is_one_json_document_too(tiny: Path, cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from gridopt.jobs import plan

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(plan, "run", stopped)
    result = cli("run", "tiny", "--json")
    assert (result.exit_code, json.loads(result.stdout)["error"]["code"]) == (130, "stopped")


def test_what_follows_two_dashes_is_no_option(tiny: Path, cli: Call) -> None:
    assert cli("run", "--", "--json").stdout == ""


def test_help_is_text_also_where_json_is_wanted(cli: Call) -> None:
    result = cli("run", "--json", "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: gridopt run")


# --- all -------------------------------------------------------------------------------------------------------------


def test_version(cli: Call) -> None:
    assert cli("--version").stdout == f"gridopt, version {gridopt.__version__}\n"


HEAVY = {"highspy", "numpy", "pandas", "pyarrow", "pydantic", "pyomo", "rich", "scipy"}
LIGHT = """
import sys
from gridopt.cli.main import main
try:
    main(prog_name="gridopt", args={arguments!r})
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_heavy(process: Callable[..., subprocess.Popen[str]], arguments: list[str]) -> None:
    p = process(LIGHT.format(arguments=arguments))
    out, err = p.communicate()
    assert p.returncode == 0
    assert out
    modules = set(err.split())
    assert "click" in modules
    assert modules & HEAVY == set()
