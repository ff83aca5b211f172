"""``gridopt device``: adapters listed and checked."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from gridopt.devices.adapter import shipped

Call = Callable[..., Result]
MODULES = """
import sys
from gridopt.cli.main import main
try:
    main(prog_name="gridopt", args={arguments!r})
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""
BROKEN = Path(__file__).resolve().parents[2] / "cases" / "broken-adapters"


def test_list_names_every_adapter_once(cli: Call) -> None:
    result = cli("device", "list")
    assert result.exit_code == 0
    head, *rows, note = result.stdout.splitlines()
    assert head.split() == ["kind", "adapter", "device", "proven", "points", "commands"]
    assert [row.split()[1] for row in rows] == list(shipped())
    assert note.startswith("* nobody knows what the device does when gridopt is gone")
    assert any(row.endswith("mode*, limit*") for row in rows)
    assert "gridopt device check" in result.stderr


def test_list_of_one_kind_as_json(cli: Call) -> None:
    doc = json.loads(cli("device", "list", "heat-pump", "--json").stdout)
    assert {a["kind"] for a in doc["adapters"]} == {"heat-pump"}
    nibe = next(a for a in doc["adapters"] if a["name"] == "nibe-s")
    assert nibe["commands"]["limit"] == {
        "command": "limit",
        "point": "limit_kw",
        "fail_safe": "none",
        "allowed": False,
        "left_to_site": ["high"],
    }


def test_a_kind_that_is_not_there(cli: Call) -> None:
    result = cli("device", "list", "metre")
    assert result.exit_code == 2
    assert "there is no kind metre; did you mean meter?" in result.stderr


def test_check_shows_what_the_worked_checks_mean(cli: Call) -> None:
    result = cli("device", "check", "nibe-s")
    assert result.exit_code == 0
    first, *lines = result.stdout.splitlines()
    assert first == "nibe-s: no mistakes; 6 points, 2 commands, 4 worked checks"
    for line in (
        "power_kw    0x00EB  2.35 kW",
        "limit       2.4     6007: 0x0018; 2741: 0x0001",
        "Note: mode: nobody knows what the device does when gridopt is gone; written only with a person's signature",
        "Note: limit: the installer says high",
        "Left out: temperatures: not in the facts at hand",
    ):
        assert line in lines


def test_check_as_json(cli: Call) -> None:
    doc = json.loads(cli("device", "check", "alfen-ng9xx", "--json").stdout)
    assert (doc["format"], doc["name"], doc["mistakes"]) == (1, "alfen-ng9xx", [])
    assert doc["checks"][0] == {
        "of": "state",
        "given": "0x4332 0x0000 0x0000 0x0000 0x0000",
        "means": "C2",
        "holds": True,
    }
    assert doc["sources"]
    assert len(doc["digest"]) == 64


@pytest.mark.parametrize("as_json", [False, True])
def test_check_lists_every_mistake(cli: Call, monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    monkeypatch.chdir(BROKEN / "many-at-once")
    expected = Path("expected.txt").read_text(encoding="utf-8").splitlines()
    result = cli("device", "check", "adapter.toml", *(["--json"] if as_json else []))
    assert result.exit_code == 10
    assert result.stderr.splitlines() == [*expected, f"{len(expected)} mistakes"]
    if as_json:
        mistakes = json.loads(result.stdout)["error"]["mistakes"]
        assert [f"{m['file']}:{m['line']}: {m['message']}" for m in mistakes] == expected


def test_the_schema_of_adapters_is_printed(cli: Call) -> None:
    doc = json.loads(cli("schema", "adapter").stdout)
    assert doc["title"] == "gridopt adapter"
    assert set(doc["$defs"]) >= {"Point", "Write", "FailSafe", "Check"}


def test_devices_need_neither_solver_nor_numpy(process: Callable[..., subprocess.Popen[str]]) -> None:
    p = process(MODULES.format(arguments=["device", "check", "abb-b23"]))
    out, err = p.communicate()
    assert p.returncode == 0, err
    assert "5 worked checks" in out
    assert set(err.split()) & {"highspy", "numpy", "pyarrow", "pymodbus", "pyomo", "scipy"} == set()
