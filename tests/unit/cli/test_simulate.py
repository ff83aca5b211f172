"""``gridopt simulate`` and ``gridopt demo`` with devices."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result

from gridopt.jobs import demo as job
from gridopt.scenario import find
from gridopt.simulate.faults import FAULTS
from gridopt.simulate.wire import mbap
from tests.support import field

Call = Callable[..., Result]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    monkeypatch.chdir(tmp_path)
    return field.write(tmp_path)


def _asked(port: int, pdu: bytes, unit: int) -> bytes:
    """The answer of a server that may still be starting."""
    for _ in range(400):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
                s.sendall(mbap(1, unit, pdu))
                return s.recv(300)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError("nobody answers")


def test_devices_are_served_where_their_file_says(small: dict[str, int], cli: Call) -> None:
    found: list[Result] = []
    thread = threading.Thread(target=lambda: found.append(cli("simulate", "small", "--for", "1.5", "--json")))
    thread.start()
    answer = _asked(small["house"], bytes((4, 0, 106, 0, 2)), unit=2)
    thread.join()
    (result,) = found
    assert result.exit_code == 0, result.output
    assert int.from_bytes(answer[9:], "big") == 10_000  # the battery's capacity, Wh
    doc = json.loads(result.stdout)
    assert doc["devices"]["battery"] == {"reads": 1, "writes": 0}
    assert doc["requests"] == 1
    assert f"house (tcp) at 127.0.0.1:{small['house']}: meter, battery, room" in result.stderr


def test_a_fault_is_switched_on_from_the_start(small: dict[str, int], cli: Call) -> None:
    found: list[Result] = []
    arguments = ("simulate", "small", "--for", "1.5", "--fault", "battery=exc:6")
    thread = threading.Thread(target=lambda: found.append(cli(*arguments)))
    thread.start()
    assert _asked(small["house"], bytes((4, 0, 106, 0, 2)), unit=2)[7:] == b"\x84\x06"
    assert _asked(small["house"], bytes((4, 0, 103, 0, 1)), unit=1)[7] == 4
    thread.join()
    assert found[0].exit_code == 0, found[0].output
    assert "2 requests, 0 of them writes" in found[0].stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("small", "--fault", "battery=slient"), 2, "did you mean silent"),
        (("small", "--fault", "batery=silent"), 2, "did you mean battery"),
        (("small", "--fault", "battery"), 2, "write DEVICE=FAULT"),
        (("two-roofs",), 2, "two-roofs has no devices.toml"),
        ((), 2, "name a scenario"),
    ],
)
def test_what_cannot_be_served_is_said(
    small: dict[str, int], cli: Call, arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = cli("simulate", *arguments, "--for", "0")
    assert result.exit_code == code
    assert said in result.stderr


def test_a_port_that_is_taken_is_said(small: dict[str, int], cli: Call) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", small["yard"]))
        taken.listen()
        result = cli("simulate", "small", "--for", "0")
    assert result.exit_code == 14
    assert "cannot be served" in result.stderr


def test_a_line_of_another_machine_is_not_served(small: dict[str, int], cli: Call) -> None:
    file = Path("small") / "devices.toml"
    file.write_text(file.read_text().replace('tcp = "127.0.0.1', 'tcp = "10.0.0.4', 1))
    result = cli("simulate", "small", "--for", "0")
    assert result.exit_code == 10
    assert "line house: it is at 10.0.0.4" in result.stderr


def test_it_may_begin_at_this_moment_of_the_day(
    small: dict[str, int], cli: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridopt.cli.common.now", lambda: datetime(2026, 1, 15, 6, 30, tzinfo=UTC))
    doc = json.loads(cli("simulate", "small", "--now", "--date", "2026-01-15", "--for", "0", "--json").stdout)
    assert doc["time"] == "Thu 15 Jan 07:30"
    result = cli("simulate", "small", "--now", "--date", "2026-01-14", "--for", "0")
    assert result.exit_code == 2
    assert "now is not within the day that is simulated, Wed 14 Jan 06:00 to" in result.stderr


def test_faults_are_listed(cli: Call) -> None:
    text = cli("simulate", "--faults").stdout
    assert all(name in text for name in FAULTS)
    assert set(json.loads(cli("simulate", "--faults", "--json").stdout)["faults"]) == set(FAULTS)


# --- demo with devices -----------------------------------------------------------------------------------------------


@pytest.fixture
def ships_small(small: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(find, "shipped_folder", lambda: tmp_path)
    monkeypatch.setattr(job, "SCENARIOS", ("small",))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_demo_closes_the_loop_and_shows_what_became_of_the_plan(ships_small: Path, cli: Call) -> None:
    result = cli("demo")
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    assert "Read before planning: battery soc 0.4, room room_temperature_c 19.5 °C." in said
    rows = [line.split() for line in result.stdout.splitlines()]
    proven = {row[0]: row[3:5] for row in rows if len(row) == 5 and row[0] in ("battery", "room", "point-1")}
    assert proven == {"battery": ["12", "12"], "room": ["12", "12"], "point-1": ["8", "8"]}
    assert "The journal is whole" in said
    assert (next(ships_small.glob("gridopt-demo-*")) / "journal.sqlite").is_file()


def test_demo_with_a_fault_is_not_proven(ships_small: Path, cli: Call) -> None:
    result = cli("demo", "--json", "--out", "here", "--fault", "battery=ack_nowrite")
    assert result.exit_code == 14, result.output
    doc = json.loads(result.stdout)
    assert doc["proven"] is False
    assert next(p for p in doc["setpoints"] if p["device"] == "battery")["proven"] == 0
    assert (ships_small / "here" / "summary.json").is_file()


def test_demo_may_only_plan(ships_small: Path, cli: Call) -> None:
    result = cli("demo", "--plan")
    assert result.exit_code == 0
    assert "proven" not in result.stdout.splitlines()[-1]
    assert not list(ships_small.glob("gridopt-demo-*/journal.sqlite"))
