"""Which bytes of a stream are the answer. Knows no socket: bytes are fed in, and the answer is taken out.

TCP and TLS (``Mbap``): a header with a transaction number. Frames with another number are answers that nobody waits for
any more, or that nobody asked for; they are counted and passed over. The number 0 is another number too.

RTU (``Rtu``): no number, no length, a checksum. What the answer to the one open request looks like is known, so it is
complete at its length; it counts once the line has been quiet for 3.5 characters after it, so that a second answer
behind the first is seen.

Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3; MODBUS over Serial Line V1.02, 2.5.1.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field
from typing import Protocol

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from gridopt.devices.link.exchange import ERROR, Request, broken
from gridopt.devices.link.fault import FaultKind

_MBAP = struct.Struct(">HHHB")
HEADER = _MBAP.size
MOST_UNASKED = 32
"""Frames that nobody asked for, since the last request; who sends more is not listened to."""
LONGEST_RTU = 256
MOST_CHECKSUM = 0.01
ENOUGH = 100
"""Requests before a share of them means something."""
TWICE = "two answers to one request: two devices may have the same unit number"
QUIET_CHARACTERS = 3.5
LEAST_QUIET_S = 0.00175


@dataclass
class Counts:
    """What happened on a line since it was opened first."""

    reads: int = 0
    writes: int = 0
    answers: int = 0
    """Requests that were answered as asked."""
    connections: int = 0
    drains: int = 0
    """How often the line was closed and left alone until no late answer can come any more."""
    checksum: int = 0
    unasked: int = 0
    """Frames on TCP, bytes on RTU, that nobody was waiting for."""
    doubles: int = 0
    """Requests that were answered twice: two devices may have the same unit number."""
    faults: dict[FaultKind, int] = field(default_factory=lambda: dict.fromkeys(FaultKind, 0))

    @property
    def requests(self) -> int:
        """What was sent; what failed before is counted as a fault only."""
        return self.reads + self.writes

    @property
    def checksum_share(self) -> float:
        """Answers with a wrong checksum over requests."""
        return self.checksum / self.requests if self.requests else 0.0

    @property
    def alarms(self) -> tuple[str, ...]:
        """What a person should look at, in words."""
        found = []
        if self.checksum_share > MOST_CHECKSUM and self.requests >= ENOUGH:
            found.append(f"{100 * self.checksum_share:.1f} % of answers have a wrong checksum: look at the wiring")
        if self.doubles:
            found.append(f"{TWICE} (seen {self.doubles} times)")
        return tuple(found)


class Framing(Protocol):
    """How requests and answers stand on a line. ``quiet_s``: silence after which an answer is taken.

    ``pending``: whether part of an answer is there. ``passed``: answers to other requests since the last request.
    """

    quiet_s: float
    passed: int

    @property
    def pending(self) -> bool: ...

    def ask(self, request: Request) -> bytes:
        """The bytes to send; from now on its answer is waited for."""

    def feed(self, data: bytes) -> bool:
        """Bytes came; whether ``take`` may be called after ``quiet_s``. Raises Fault when all sense is lost."""

    def take(self) -> tuple[bytes, bytes]:
        """The answer from the function on, and as it came; nothing is waited for any more. Raises Fault."""


class Mbap:
    """Frames of TCP and TLS."""

    quiet_s = 0.0

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.passed = 0
        self._framer = FramerSocket(DecodePDU(False))
        # Not from 1: an old answer, or one made up, should not carry the number that comes next.
        self._number = random.randrange(1, 0x10000)
        self._answered: int | None = None
        self._request: Request | None = None
        self._rest = b""
        self._pdu: bytes | None = None
        self._raw = b""

    @property
    def pending(self) -> bool:
        return bool(self._rest)

    def ask(self, request: Request) -> bytes:
        self._number = self._number % 0xFFFF + 1
        self._request, self._pdu, self.passed = request, None, 0
        return self._framer.encode(request.pdu, request.unit, self._number)

    def feed(self, data: bytes) -> bool:
        buffer = self._rest + data if self._rest else data
        at, end = 0, len(buffer)
        while end - at >= HEADER:
            number, protocol, length, unit = _MBAP.unpack_from(buffer, at)
            if protocol or not 2 <= length <= 254:
                raise broken(f"a header of protocol {protocol} and length {length}")
            ours = self._request is not None and number == self._number
            if ours:
                self._check(unit, length)
            if end - at < 6 + length:
                break
            frame = buffer[at : at + 6 + length]
            at += 6 + length
            if ours:
                self._request, self._pdu, self._raw, self._answered = None, frame[HEADER:], frame, number
            else:
                self._pass(number)
        self._rest = buffer[at:]
        return self._pdu is not None

    def _check(self, unit: int, length: int) -> None:
        """Whether the header of our answer can be right, said before all of it has come."""
        assert self._request is not None
        if unit != self._request.unit:
            raise broken(f"unit {unit} answers unit {self._request.unit}")
        if length > self._request.length + 1:
            raise broken(f"a length of {length}, where {self._request.length + 1} was due")

    def _pass(self, number: int) -> None:
        self.passed += 1
        self.counts.unasked += 1
        if number == self._answered:
            self.counts.doubles += 1
            if self._pdu is not None:  # both at once: who knows which is right
                raise broken(TWICE)
        if self.passed > MOST_UNASKED:
            raise broken(f"more than {MOST_UNASKED} answers to nothing that was asked")

    def take(self) -> tuple[bytes, bytes]:
        assert self._pdu is not None
        pdu, self._pdu = self._pdu, None
        return pdu, self._raw


class Rtu:
    """Frames of a serial line, on one or over TCP."""

    def __init__(self, counts: Counts, character_s: float) -> None:
        self.counts = counts
        self.quiet_s = max(QUIET_CHARACTERS * character_s, LEAST_QUIET_S)
        self.passed = 0
        self._framer = FramerRTU(DecodePDU(False))
        self._request: Request | None = None
        self._buffer = b""
        self._sent = b""

    @property
    def pending(self) -> bool:
        return bool(self._buffer)

    def ask(self, request: Request) -> bytes:
        self._request, self._buffer, self.passed = request, b"", 0
        self._sent = self._framer.encode(request.pdu, request.unit, 0)
        return self._sent

    def feed(self, data: bytes) -> bool:
        if self._request is None:
            self.counts.unasked += len(data)
            raise broken(f"{len(data)} bytes that nobody asked for")
        self._buffer += data
        if len(self._buffer) > LONGEST_RTU:
            raise broken("more bytes than any answer has")
        return len(self._buffer) >= self._due() or not self._plausible()

    def _due(self) -> int:
        """Bytes of the answer, as far as its beginning tells."""
        assert self._request is not None
        start = self._buffer[1:2]
        return 5 if start and start[0] & ERROR else self._request.length + 3

    def _plausible(self) -> bool:
        request = self._request
        assert request is not None
        start = self._buffer
        if start[0] != request.unit or (len(start) > 1 and start[1] & ~ERROR != request.function):
            return False
        return len(start) < 3 or bool(start[1] & ERROR) or bool(request.echo) or start[2] == request.length - 2

    def take(self) -> tuple[bytes, bytes]:
        request, raw, due = self._request, self._buffer, self._due()
        assert request is not None
        self._request, self._buffer = None, b""
        if raw.startswith(self._sent) and (len(raw) > due or not request.echo):
            raise broken("the line gives back what is sent: its adapter's echo must be switched off")
        if len(raw) == 2 * due and _whole(raw[:due]) and _whole(raw[due:]):
            self.counts.doubles += 1
            raise broken(TWICE)
        if not _whole(raw):
            self.counts.checksum += 1
            raise broken(f"{len(raw)} bytes without a valid checksum")
        if raw[0] != request.unit:
            raise broken(f"unit {raw[0]} answers unit {request.unit}")
        return raw[1:-2], raw


def _whole(frame: bytes) -> bool:
    """Whether the checksum at the end is that of what stands before it."""
    body = frame[:-2]
    return len(body) > 1 and FramerRTU.compute_CRC(body) == int.from_bytes(frame[-2:], "big")
