"""``gridopt mandate``: a key, a mandate to begin with, a signature, and what then holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Call = Callable[..., Result]
DEVICES = """format = 1
[line.a]
tcp = "127.0.0.1:15020"
[device.bat]
adapter = "gridopt-sim-battery"
line = "a"
[device.bat.write.power]
high = 30
[approver.manager]
public_key = "{key}"
"""


def test_from_a_key_to_a_mandate_that_holds(cli: Call, tmp_path: Path) -> None:
    key = cli("mandate", "key", str(tmp_path / "approver.key"), "--json")
    assert key.exit_code == 0
    (tmp_path / "devices.toml").write_text(DEVICES.format(key=json.loads(key.stdout)["public_key"]))
    new = cli("mandate", "new", str(tmp_path), "--approver", "manager", "--days", "30")
    assert new.exit_code == 0
    assert "gridopt mandate sign" in new.stderr
    unsigned = cli("mandate", "show", str(tmp_path))
    assert unsigned.exit_code == 10
    assert "is not signed" in unsigned.stderr
    assert cli("mandate", "sign", str(tmp_path), "--key", str(tmp_path / "approver.key")).exit_code == 0
    shown = cli("mandate", "show", str(tmp_path))
    assert shown.exit_code == 0
    assert "signed by manager" in shown.stdout
    assert "  bat: power -1000 to 30 kW" in shown.stdout.splitlines()
    doc = json.loads(cli("mandate", "show", str(tmp_path), "--json").stdout)
    assert doc["grants"] == [{"device": "bat", "command": "power", "low": -1000.0, "high": 30.0}]


def test_nothing_is_overwritten(cli: Call, tmp_path: Path) -> None:
    (tmp_path / "devices.toml").write_text(DEVICES.format(key="00" * 32))
    (tmp_path / "mandate.toml").write_text("mine")
    result = cli("mandate", "new", str(tmp_path), "--approver", "manager")
    assert result.exit_code == 2
    assert "exists already" in result.stderr
    assert (tmp_path / "mandate.toml").read_text() == "mine"
