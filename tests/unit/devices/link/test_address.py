"""One name for a line, however it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gridopt.devices.link.address import LineAddress


@pytest.mark.parametrize(
    ("address", "key"),
    [
        (LineAddress("tcp", host="10.0.0.5"), "tcp 10.0.0.5:502"),
        (LineAddress("tls", host="10.0.0.5", port=802), "tcp 10.0.0.5:802"),
        (LineAddress("rtu-over-tcp", host="Gateway.Example.", port=4001), "tcp gateway.example:4001"),
        (LineAddress("tcp", host="0:0:0:0:0:0:0:1"), "tcp [::1]:502"),
        (LineAddress("tcp", host="::1"), "tcp [::1]:502"),
    ],
)
def test_a_host_and_port_are_one_line(address: LineAddress, key: str) -> None:
    assert address.key == key


def test_a_serial_port_is_one_line_under_all_its_names(tmp_path: Path) -> None:
    port, alias = tmp_path / "ttyUSB0", tmp_path / "by-id"
    port.touch()
    alias.symlink_to(port)
    one, other = (LineAddress("rtu", tty=str(path)).key for path in (port, alias))
    assert one == other == f"tty {port.resolve()}"


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "rtu"},
        {"kind": "rtu", "tty": "socket://127.0.0.1:502"},
        {"kind": "rtu", "tty": "/dev/ttyS0", "parity": "even"},
        {"kind": "rtu", "tty": "/dev/ttyS0", "stop_bits": 3},
        {"kind": "rtu", "tty": "/dev/ttyS0", "baud": 0},
        {"kind": "tcp"},
        {"kind": "tcp", "host": "x", "port": 0},
        {"kind": "tcp", "host": "x", "port": 65536},
        {"kind": "tls", "host": "x"},
        {"kind": "tls", "host": "x", "ca": Path("a"), "certificate": Path("b")},
    ],
)
def test_what_can_be_no_line_is_refused(said: dict[str, Any]) -> None:
    assert LineAddress(**said).refusal()


def test_a_character_on_a_serial_line_takes_eleven_bits() -> None:
    assert LineAddress("rtu", tty="/dev/ttyS0", baud=9600).character_s == 11 / 9600
    assert LineAddress("rtu-over-tcp", host="x").character_s == 0
