"""``gridopt device scan`` and ``read`` over loopback: what is found, what is told, and that nothing is ever written."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.support.fake_unit import FakeUnit
from tests.support.served import registers, served
from tests.unit.devices.test_device import SIM_CHARGER, charger, house, inverter
from tests.unit.devices.test_device_faults import SIM, memory, sim_meter

Call = Callable[..., Result]

SITE = """\
format = 1

[line.cellar]
tcp = "127.0.0.1:{port}"

[device.main-meter]
adapter = "eastron-sdm630"
line = "cellar"
unit_id = 1

[device.wallbox]
adapter = "gridopt-sim-charger"
line = "cellar"
unit_id = 2
serial = "{serial}"
"""


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("gridopt.jobs.read.lock_folder", lambda: tmp_path / "locks")


def at(port: int) -> str:
    return f"127.0.0.1:{port}"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


# --- scan ------------------------------------------------------------------------------------------------------------


def test_scan_says_what_fits_how_sure_and_why_and_writes_nothing(cli: Call) -> None:
    units = {1: registers(house()), 2: registers(charger()), 3: registers(inverter())}
    with served(units) as server:
        result = cli("device", "scan", at(server.port), "--unit", "1-3,9", "--json")
        assert server.writes == 0
        assert {function for _, function in server.counts} <= {3, 4}
    assert result.exit_code == 0, result.stderr
    doc = json.loads(result.stdout)
    first, second, third, ninth = doc["units"]
    assert first["fits"][0] == {
        "adapter": "eastron-sdm630",
        "fit": "likely",
        "because": [
            "voltage_l1_v reads 231 V",
            "frequency_hz reads 50.02 Hz",
            "power_kw is what its parts add up to",
        ],
    }
    assert [(f["adapter"], f["fit"]) for f in second["fits"]] == [("gridopt-sim-charger", "certain")]
    assert third["sunspec"]["base"] == 40000
    assert [m["model"] for m in third["sunspec"]["models"]] == [1, 103, 120, 123]
    assert third["common"]["SN"] == "SN-7"
    assert third["fits"][0]["adapter"] == "sunspec-inverter"
    assert third["strangers"]["fronius-gen24"] == "it has no SunSpec model 124"
    assert "danfoss-aqua" in third["unknowable"]
    assert (ninth["answers"], ninth["fits"]) == (False, [])
    assert ninth["why"]


def test_scan_in_words_and_what_to_do_next(cli: Call) -> None:
    with served({3: registers(inverter()), 4: registers(FakeUnit())}) as server:
        result = cli("device", "scan", at(server.port), "--unit", "3,4")
    assert result.stdout.splitlines()[:3] == [
        "unit 3: SunSpec at register 40000, models 1, 103, 120, 123; SN SN-7",
        "adapter           fit     because",
        "sunspec-inverter  likely  SunSpec models 1, 103, 120, 123",
    ]
    assert result.stdout.splitlines()[3] == "unit 4: no adapter knows it; docs/add-a-device.md adds one"
    assert f"gridopt device read sunspec-inverter --at {at(server.port)} --unit 3" in result.stderr


def test_scan_of_nobody_is_an_error_of_devices(cli: Call) -> None:
    port = free_port()
    result = cli("device", "scan", at(port))
    assert result.exit_code == 14
    assert result.stderr == f"Error: nobody answers at {at(port)}: no connection: Connection refused\n"
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scan", "127.0.0.1:x"], "127.0.0.1:x is not an address; write 10.0.4.7:502"),
        (["scan", "127.0.0.1", "--unit", "0-3"], "--unit 0-3: units are 1 to 255"),
        (["scan", "127.0.0.1", "--unit", "a"], "--unit a is not made of numbers; write 1, or 1-10,247"),
        (
            ["read", "phoenix-charx", "--at", "h"],
            "phoenix-charx serves several like parts: write --part 0 for the first",
        ),
        (["read", "keba-p30", "--at", "h", "--part", "1"], "keba-p30 has no parts; --part is of no use to it"),
        (["read", "x"], "there is no devices.toml; name the site's devices with --site, or read one with an adapter"),
        (["read", "--at", "h"], "--at needs one adapter: a file, or the name of one that ships"),
        (
            ["read", "eastron-sdm630", "--at", "h", "--point", "power_kwh"],
            "eastron-sdm630 reads no power_kwh; did you mean power_kw?",
        ),
    ],
)
def test_slips_at_the_command_line_are_told(
    arguments: list[str], message: str, cli: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("device", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


# --- read ------------------------------------------------------------------------------------------------------------


def test_read_through_an_adapter_at_an_address(cli: Call) -> None:
    with served({1: registers(house(), bridge=0)}) as server:
        result = cli("device", "read", "eastron-sdm630", "--at", at(server.port))
        assert server.writes == 0
    assert result.exit_code == 0
    head, first, *rest = result.stdout.splitlines()
    assert head.split() == ["time", "quantity", "value", "unit", "quality", "why"]
    assert first.split()[1:] == ["voltage_l1_v", "231", "V", "good"]
    assert len(rest) == 12


@pytest.mark.parametrize("line", ["rtu", "rtu-over-tcp"])
def test_read_over_serial_lines(line: str, cli: Call) -> None:
    with served({5: registers(house(), bridge=0)}, line=line) as server:  # type: ignore[arg-type]
        where = [server.path] if line == "rtu" else [at(server.port), "--rtu"]
        result = cli("device", "read", "eastron-sdm630", "--at", *where, "--unit", "5", "--point", "power_kw", "--json")
    (reading,) = json.loads(result.stdout)["readings"]
    assert (reading["quantity"], reading["unit"], reading["quality"]) == ("power_kw", "kW", "good")
    assert reading["value"] == pytest.approx(2.4)
    assert reading["time"].endswith("+00:00")


def test_read_the_devices_of_a_site_and_say_who_is_not_who_they_should_be(
    cli: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with served({1: registers(house(), bridge=0), 2: registers(charger())}) as server:
        Path("devices.toml").write_text(SITE.format(port=server.port, serial="1234"), encoding="utf-8")
        result = cli("device", "read", "--json")
        assert result.exit_code == 0, result.stderr
        readings = json.loads(result.stdout)["readings"]
        assert {r["device"] for r in readings} == {"main-meter", "wallbox"}
        Path("devices.toml").write_text(SITE.format(port=server.port, serial="77"), encoding="utf-8")
        result = cli("device", "read")
        assert result.exit_code == 14
        assert result.stderr == "Error: wallbox: another device answers: its serial number is 1234, not 77\n"
        assert result.stdout.splitlines()[1].split()[1:3] == ["main-meter", "voltage_l1_v"]
        assert "wallbox" not in result.stdout
        result = cli("device", "read", "wallbocks")
    assert result.exit_code == 2
    assert "there is no device wallbocks; did you mean wallbox?" in result.stderr


def test_watch_reads_again_and_says_a_document_a_line(cli: Call) -> None:
    with served({2: registers(charger())}) as server:
        command = ["device", "read", "gridopt-sim-charger", "--at", at(server.port), "--unit", "2", "--point", "state"]
        result = cli(*command, "--watch", "0.1", "--times", "3", "--json")
        asked = server.requests(4)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["readings"][0]["value"] for line in lines] == ["free"] * 3
    assert asked == 4  # once for who it is, and three readings


def test_a_counter_that_was_reset_is_told_while_it_is_watched(cli: Call) -> None:
    with served({1: memory(SIM, sim_meter())}, fault="counter*4") as server:
        command = ["device", "read", "gridopt-sim-meter", "--at", at(server.port), "--point", "energy_import_kwh"]
        result = cli(*command, "--watch", "0.1", "--times", "6", "--json")
    rows = [json.loads(line)["readings"][0] for line in result.stdout.splitlines()]
    assert "counted_kwh" not in rows[0]
    assert [row["value"] for row in rows][-1] == 70000
    assert [row["event"] for row in rows[1:]].count("reset") == 1
    assert [row["counted_kwh"] for row in rows[1:]].count(None) == 1
    (said,) = result.stderr.splitlines()
    assert said.startswith("gridopt-sim-meter: energy_import_kwh was reset: 70000 kWh more within 0.")


def test_no_answer_is_said_with_its_reason_and_exit_code_14(cli: Call) -> None:
    command = ["device", "read", "eastron-sdm630", "--at"]
    port = free_port()
    result = cli(*command, at(port))
    assert (result.exit_code, result.stdout) == (14, "")
    assert result.stderr == "Error: eastron-sdm630: no connection: Connection refused\n"
    document = json.loads(cli(*command, at(port), "--json").stdout)
    assert {r["quality"] for r in document["readings"]} == {"failed"}
    assert {r["value"] for r in document["readings"]} == {None}


def test_a_line_that_another_process_has_is_not_spoken_to(cli: Call, tmp_path: Path) -> None:
    from gridopt.devices.link import hold

    with served({1: registers(house())}) as server:
        taken = hold.take(tmp_path / "locks", f"tcp 127.0.0.1:{server.port}", "watch")
        try:
            result = cli("device", "read", "eastron-sdm630", "--at", at(server.port))
        finally:
            taken.release()
        assert server.requests() == 0
    assert result.exit_code == 14
    assert "watch" in result.stderr


def test_what_is_not_there_is_shown_as_such(cli: Call) -> None:
    unit = charger()
    unit.put("input", SIM_CHARGER.points["state"].address, [9])
    with served({1: registers(unit)}) as server:
        result = cli("device", "read", "gridopt-sim-charger", "--at", at(server.port), "--point", "state")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split()[1:] == [
        "state",
        "out-of-range",
        "the",
        "code",
        "9",
        "has",
        "no",
        "name",
    ]
