"""A unit without a line: tables of words, refused registers, faults on demand, and a log of what was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gridopt.devices.adapter import Adapter
from gridopt.devices.codec import encode
from gridopt.devices.device import Device
from gridopt.devices.frames import Frame
from gridopt.devices.link.fault import Fault, FaultKind

START = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Acknowledged:
    request: bytes = b""
    answer: bytes = b""
    latency_s: float = 0.0


@dataclass
class Clock:
    """Time that moves when it is told to."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def utc(self) -> datetime:
        return START + timedelta(seconds=self.now_s)

    def sleep(self, time_s: float) -> None:
        self.now_s += time_s


@dataclass
class FakeUnit:
    """``tables``: table → register → word. ``holes``: registers that are refused with exception 2; so are those that
    no table has, where ``strict``. ``on_read`` may raise, reconnect or change words."""

    tables: dict[str, dict[int, int]] = field(default_factory=dict)
    holes: set[tuple[str, int]] = field(default_factory=set)
    strict: bool = False
    longest: int = 125
    session: int = 1
    log: list[tuple[str, int, int]] = field(default_factory=list)
    written: list[tuple[Frame, bool]] = field(default_factory=list)
    on_read: Callable[[str, int, int], None] = lambda table, address, count: None
    on_write: Callable[[Frame], None] = lambda frame: None

    async def read(self, table: str, address: int, count: int) -> Sequence[int]:
        await asyncio.sleep(0)
        self.log.append((table, address, count))
        self.on_read(table, address, count)
        words = self.tables.get(table, {})
        wanted = range(address, address + count)
        if count > self.longest or any((table, r) in self.holes or (self.strict and r not in words) for r in wanted):
            raise Fault(FaultKind.REFUSED, "exception 2: no such register", code=2, sent=True)
        return tuple(words.get(r, 0) for r in wanted)

    async def write(self, frame: Frame, *, release: bool = False, session: int | None = None) -> Acknowledged:
        await asyncio.sleep(0)
        self.on_write(frame)
        if session is not None and session != self.session:
            raise Fault(FaultKind.OFFLINE, "connected anew", sent=False)
        self.written.append((frame, release))
        return Acknowledged()

    def put(self, table: str, address: int, words: Iterable[int]) -> None:
        self.tables.setdefault(table, {}).update(enumerate(words, address))

    def hold(self, adapter: Adapter, values: Mapping[str, object], shift: int = 0) -> None:
        """Give points a value, as their codec writes it."""
        for name, value in values.items():
            point = adapter.points[name]
            self.put(point.table, point.address + shift, encode(point.codec, value))


def device(adapter: Adapter, unit: FakeUnit, clock: Clock | None = None, **more: object) -> Device:
    clock = clock or Clock()
    return Device("the-device", adapter, unit, clock=clock, now=clock.utc, **more)  # type: ignore[arg-type]
