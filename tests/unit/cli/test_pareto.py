"""``gridopt run --pareto``: a table or one document on stdout, a folder of runs where one is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from gridopt.jobs import pareto as job

Call = Callable[..., Result]
CO2 = ("--set", "objective.intensity_g_per_kwh.grid=mix", "--set", "schedule.mix.default=30")
RULES = ("--set", 'schedule.mix.rules=[{from="17:00",to="21:00",value=5}]', "--gap", "0.01")


def test_without_out_the_plans_are_shown_and_nothing_written(tiny: Path, cli: Call) -> None:
    before = sorted(tiny.rglob("*"))
    result = cli("run", "tiny", "--pareto", "cost,co2", "--points", "3", *CO2, *RULES)
    assert result.exit_code == 0, result.output
    for words in ("A tiny house", "Thursday 15 January 2026: plans between money and CO2", "1 cheapest", "cleanest"):
        assert words in result.stdout
    assert "gridopt run tiny --pareto cost,co2 --out DIR    keep the plans" in result.stderr
    assert "gridopt run tiny --set objective.cost=" in result.stderr
    assert sorted(tiny.rglob("*")) == before


def test_out_leaves_a_folder_that_explain_reads(tiny: Path, cli: Call) -> None:
    asked = ("run", "tiny", "--pareto", "cost,co2", "--points", "2", *CO2, *RULES, "--out", "sweep")
    result = cli(*asked)
    assert result.exit_code == 0, result.output
    assert "The plans are in sweep" in result.stderr
    assert "gridopt explain sweep/plan-1    why plan 1" in result.stderr
    assert cli("explain", "sweep/plan-1").exit_code == 0
    again = cli(*asked, "--json")
    doc = json.loads(again.stdout)
    assert doc == json.loads((tiny / "sweep" / "pareto.json").read_text())
    assert [p["folder"] for p in doc["plans"]] == ["plan-1", "plan-2"]
    refused = cli("run", "tiny", "--out", "sweep")
    assert refused.exit_code == 2
    assert "not part of a run" in refused.stderr


def test_the_exit_code_is_that_of_the_least_plan(tiny: Path, cli: Call) -> None:
    result = cli(
        "run", "tiny", "--pareto", "cost,co2", "--points", "2", *CO2, *RULES, "--set", "asset.car-a.energy_kwh=80"
    )
    assert result.exit_code == 3
    assert "missed: goals that fall short" in result.stdout


def test_a_place_that_is_taken_is_refused_before_any_work(
    tiny: Path, cli: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planned(*_: object, **__: object) -> None:
        raise AssertionError("planned before looking")

    monkeypatch.setattr(job, "run", planned)
    result = cli("run", "tiny", "--pareto", "cost,co2", "--out", "tiny")
    assert result.exit_code == 2
    assert "tiny holds scenario.toml, which is not part of a sweep" in result.stderr


@pytest.mark.parametrize("aims", ["cost", "cost,cost", "cost,wear", "cost,co2,peak", ",", "co2 peak"])
def test_two_aims_are_needed(tiny: Path, cli: Call, aims: str) -> None:
    result = cli("run", "tiny", "--pareto", aims)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "name two of cost, co2, self-consumption, peak, comfort" in result.stderr


def test_points_without_pareto_say_so(tiny: Path, cli: Call) -> None:
    result = cli("run", "tiny", "--points", "3")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--points says how many plans --pareto makes" in result.stderr
    assert cli("run", "tiny", "--pareto", "cost,co2", "--points", "1").exit_code == 2


def test_an_aim_that_cannot_be_measured_is_told(tiny: Path, cli: Call) -> None:
    result = cli("run", "tiny", "--pareto", "cost,co2", "--json")
    assert result.exit_code == 2
    assert "co2 cannot be an aim of this scenario" in json.loads(result.stdout)["error"]["message"]


def test_the_aims_offered_are_the_jobs(cli: Call) -> None:
    from gridopt.cli.run import AIMS

    assert AIMS == job.AIMS
