"""What can go wrong between a request and the answer to it, in the words that callers act on."""

from __future__ import annotations

from enum import StrEnum


class FaultKind(StrEnum):
    """What to make of a request that was not answered as asked."""

    OFFLINE = "offline"
    """No connection, or it broke before any answer, or the line or unit is being left alone after failures."""
    TIMEOUT = "timeout"
    """Nothing, or only part of an answer, came in time."""
    BROKEN = "broken"
    """What came is not the answer to this request: type, function, unit, address, count, echo or checksum differ."""
    REFUSED = "refused"
    """The device says no; ``code`` says why (1 function, 2 address, 3 value, 4 failure, 7 negative, 8 memory)."""
    BUSY = "busy"
    """The device says later: 5 it has taken the request and still works on it, 6 it has not."""
    GATEWAY = "gateway"
    """A gateway says that it has no way to the unit (10) or no answer from it (11)."""
    HELD = "held"
    """Another process has the line."""


class Fault(Exception):
    """A request without its answer. ``why`` says it in plain words.

    ``sent``: some byte of the request may have reached the device, so after a write nobody knows whether it was done;
    False means that it certainly was not. ``pid``: of the process that has the line, where another one has it.
    """

    def __init__(
        self, kind: FaultKind, why: str, *, code: int | None = None, sent: bool = False, pid: int | None = None
    ) -> None:
        self.kind = kind
        self.why = why
        self.code = code
        self.sent = sent
        self.pid = pid
        super().__init__(why)

    def __repr__(self) -> str:
        code = "" if self.code is None else f", code={self.code}"
        return f"Fault({self.kind}{code}, sent={self.sent}: {self.why})"
