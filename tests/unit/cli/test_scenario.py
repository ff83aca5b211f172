"""``new --from``, what ``check`` shows beside mistakes, and numbers on the command line that are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Call = Callable[..., Result]


def test_check_shows_notes_and_what_the_day_comes_to(tiny: Path, cli: Call) -> None:
    result = cli("check", "tiny", "--set", "commitment.supply.buy_eur_per_kwh=80")
    assert result.exit_code == 0, result.output
    first, note, *lines = result.stdout.splitlines()
    assert first.startswith("tiny: no mistakes")
    assert note.endswith("commitment supply: buy_eur_per_kwh reaches 80 EUR/kWh; is it in EUR/MWh?")
    assert lines[0] == "With every device run by its own rule:"
    assert "  load load-a: draws 72.0 kWh, peak 3.0 kW" in lines


def test_check_as_json_has_the_figures_too(tiny: Path, cli: Call) -> None:
    doc = json.loads(cli("check", "tiny", "--json").stdout)
    assert doc["notes"] == []
    (load,) = (a for a in doc["by_rule"]["assets"] if a["id"] == "load-a")
    assert (load["drawn_kwh"], load["peak_drawn_kw"]) == (72.0, 3.0)
    assert doc["by_rule"]["nodes"]["grid"]["import_kwh"] >= 72.0


def test_many_mistakes_of_one_kind_are_one(tiny: Path, cli: Call) -> None:
    table = tiny / "tiny" / "batteries.csv"
    table.write_text("id,node,capacity_kwh,power_kw\n" + "".join(f"b-{k},house,10,5 kW\n" for k in range(500)))
    scenario = tiny / "tiny" / "scenario.toml"
    scenario.write_text(scenario.read_text() + '[battery]\ntable = "batteries.csv"\n')
    result = cli("check", "tiny")
    assert result.exit_code == 10
    assert result.stderr.splitlines()[-2:] == [
        'tiny/batteries.csv:2: battery b-0: power_kw "5 kW" is not a number; the same in 499 more rows, the next in '
        "lines 3 and 4",
        "1 mistake",
    ]


def test_a_shipped_scenario_is_copied_with_its_readme_and_runs(tiny: Path, cli: Call) -> None:
    result = cli("new", "my-roofs", "--from", "two-roofs")
    assert (result.exit_code, result.stdout) == (0, "my-roofs\n")
    assert str(Path("my-roofs", "README.md")) in result.stderr
    assert (tiny / "my-roofs" / "README.md").is_file()
    assert cli("run", "my-roofs").exit_code == 0
    again = cli("new", "my-roofs", "--from", "two-roofs")
    assert (again.exit_code, again.stdout) == (10, "")
    assert "it exists already" in again.stderr
    assert cli("new", "yours", "--from", "two-rofs").exit_code == 10


@pytest.mark.parametrize("value", ["nan", "-0.1", "inf", "-inf", "x"])
@pytest.mark.parametrize(
    ("command", "option"), [("run", "--gap"), ("run", "--time-limit"), ("explain", "--time-limit")]
)
def test_an_option_that_is_no_number_is_wrong_usage(
    tiny: Path, cli: Call, command: str, option: str, value: str
) -> None:
    result = cli(command, "tiny", option, value)
    assert result.exit_code == 2
    assert option in result.stderr
    assert "Traceback" not in result.stderr
