"""Where a line is: what must be known to reach the devices on it. Opens nothing."""

from __future__ import annotations

import contextlib
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["tcp", "tls", "rtu", "rtu-over-tcp"]
PARITIES = ("N", "E", "O")


@dataclass(frozen=True)
class LineAddress:
    """One physical line: a host and port, or a serial port.

    ``parity``: N none, E even, O odd. TLS is mutual and never without all of ``ca`` (who signs the device's
    certificate), ``certificate`` and ``private_key`` (who we are). ``server_name``: the name that the device's
    certificate must carry, where it is not the host; ``role``: the Modbus role that it must carry (extension
    1.3.6.1.4.1.50316.802.1), "" for any.
    """

    kind: Kind
    host: str = ""
    port: int = 502
    tty: str = ""
    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1
    ca: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    server_name: str = ""
    role: str = ""

    def refusal(self) -> str:
        """Why this can be no line, or ""."""
        if self.serial:
            if not self.tty or "://" in self.tty:
                return f"{self.tty!r} is no serial port"
            if self.parity not in PARITIES or self.stop_bits not in (1, 2) or self.baud < 1:
                return f"no serial port speaks {self.baud} baud {self.parity}{self.stop_bits}"
        elif not self.host or not 1 <= self.port <= 65535:
            return f"{self.host!r} port {self.port} is no place to connect to"
        if self.kind == "tls" and not (self.ca and self.certificate and self.private_key):
            return "TLS needs ca, certificate and private_key: there is no other proof of who is who"
        return ""

    @property
    def serial(self) -> bool:
        return self.kind == "rtu"

    @property
    def rtu(self) -> bool:
        """Whether answers carry no transaction number, so that a late one looks like the answer to what came after."""
        return self.kind in ("rtu", "rtu-over-tcp")

    @property
    def key(self) -> str:
        """One name per physical line, whichever way it is spoken to or written."""
        if self.serial:
            return f"tty {os.path.realpath(self.tty)}"
        host = self.host.lower().rstrip(".")
        with contextlib.suppress(ValueError):
            host = ipaddress.ip_address(host).compressed
        return f"tcp [{host}]:{self.port}" if ":" in host else f"tcp {host}:{self.port}"

    @property
    def character_s(self) -> float:
        """Time of one character on a serial line: start, eight bits, parity or a second stop, stop."""
        return 11 / self.baud if self.serial else 0.0
