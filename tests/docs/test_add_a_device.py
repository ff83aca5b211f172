"""docs/add-a-device.md: a person adds a meter by writing one file of under 40 lines, without Python."""

from __future__ import annotations

import re
import socket
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gridopt.cli.main import main
from gridopt.devices.adapter import load
from gridopt.devices.codec import Quality, decode
from gridopt.devices.schema import FAIL_SAFES, Link, Point
from gridopt.devices.writes import NEEDED

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/add-a-device.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"```console\n(.*?)```", TEXT, re.S)
METER, CHECK = re.findall(r"```toml\n(.*?)```", TEXT, re.S)


def cli(*args: str) -> Result:
    return CliRunner().invoke(main, args, prog_name="gridopt")


@pytest.fixture
def meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my-meter.toml"
    path.write_text(METER, encoding="utf-8")
    return path


def test_a_meter_is_one_file_of_under_40_lines(meter: Path) -> None:
    assert "`my-meter.toml`" in TEXT
    assert len(METER.splitlines()) < 40
    assert set(load(meter).points) == {"voltage_l1_v", "frequency_hz", "power_kw", "energy_import_kwh"}


def test_the_command_says_what_the_page_shows(meter: Path) -> None:
    typed, said = CONSOLE[0].split("\n", 1)
    result = cli(*typed.removeprefix("$ gridopt ").split())
    assert (result.exit_code, result.stdout) == (0, said)


@pytest.fixture
def served() -> Iterator[int]:
    """The meter of the page, by a server of other descent than gridopt's link and its simulation; its port."""
    server_of = pytest.importorskip("pyModbusTCP.server", reason="pyModbusTCP is not installed")
    bank = server_of.DataBank()
    bank.set_holding_registers(0, [2304, 5002, 0xED98, 0xFFFF, 0xE240, 0x0001])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    server = server_of.ModbusServer("127.0.0.1", port, no_block=True, data_bank=bank)
    server.start()
    yield port
    server.stop()


def test_the_meter_is_read_as_the_page_shows(
    meter: Path, served: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridopt.jobs.read.lock_folder", lambda: tmp_path / "locks")
    monkeypatch.setattr("gridopt.jobs.read.now", lambda: datetime(2026, 3, 2, 9, 30, tzinfo=UTC))
    typed, said = CONSOLE[1].split("\n", 1)
    result = cli(*typed.removeprefix("$ gridopt ").replace(":5020", f":{served}").split())
    assert (result.exit_code, result.stdout) == (0, said), result.stderr


def test_the_scan_of_the_page_is_understood_and_its_keys_exist() -> None:
    assert re.search(r"`gridopt device scan [\d.]+`", TEXT)
    lines = re.findall(r"^- (`.*?) (at a point|under `\[link\]`): ", TEXT, re.M)
    assert len(lines) == 6
    for names, where in lines:
        model = Point if where == "at a point" else Link
        for name in re.findall(r"`(\w+)", names):
            assert name in model.model_fields


@pytest.mark.parametrize(
    ("point", "words", "value"),
    [
        ("voltage_l1_v", (2304,), 230.4),
        ("frequency_hz", (5002,), 50.02),
        ("power_kw", (0x1268, 0), 4.712),
        ("energy_import_kwh", (0xE240, 1), 12345.6),
    ],
)
def test_it_reads_the_table_of_the_manual(meter: Path, point: str, words: tuple[int, ...], value: float) -> None:
    found = load(meter).points[point]
    assert decode(found.codec, words).value == value


def test_what_is_not_there_is_no_zero(meter: Path) -> None:
    assert decode(load(meter).points["power_kw"].codec, (0, 0x8000)).quality is Quality.MISSING
    assert decode(load(meter).points["frequency_hz"].codec, (0,)).quality is Quality.OUT_OF_RANGE


def test_the_mistake_that_the_page_shows_is_told_so(meter: Path) -> None:
    (shown,) = re.findall(r"```\n(my-meter.*)\n```", TEXT)
    meter.write_text(METER.replace('"i32", unit = "W"', '"i32", unit = "VA"'), encoding="utf-8")
    result = cli("device", "check", "my-meter.toml")
    assert result.exit_code == 10
    assert result.stderr.splitlines()[0] == shown


def test_the_check_of_a_command_is_that_of_the_example() -> None:
    (check,) = tomllib.loads(CHECK)["check"]
    charger = load("gridopt-sim-charger")
    assert any(c.write == "current" and c.value == check["value"] for c in charger.checks)
    text = charger.file.read_text(encoding="utf-8")
    assert CHECK.partition("   #")[0] in text


def test_the_table_of_fail_safes_is_complete() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*?) ?\|$", TEXT, re.M))
    assert tuple(rows) == FAIL_SAFES
    common = {"time_s", "refresh_s", "fallback"}
    for kind, needs in rows.items():
        assert set(re.findall(r"`(\w+)`", needs)) == set(NEEDED[kind]) - common


def test_every_file_that_the_page_names_is_there() -> None:
    for path in re.findall(r"`((?:tests|src)/[\w/.]+)`", TEXT):
        assert (ROOT / path).exists(), path
