"""All lines of a process: who may speak next on each, when a line or a unit is left alone, and what is done in doubt.

A line carries one request at a time. Those that wait are taken in the order release, set, read, and by age. A request
that was sent runs to its end though its caller is gone, so that its answer cannot be taken for another's.

After a request that ended in doubt (nothing came, or the wrong thing) the connection is closed. On RTU, where answers
carry no number, the line is then left alone until no late answer can come any more: wrong bytes may be anyone's, so
nobody is asked; when there was only silence, other units may be asked, as their number tells their answers apart.

A unit that fails is left alone for a while that grows with each failure in a row, and so is an address that cannot be
connected to: requests fail at once then, and delay nobody. Failed writes do not start that, because what became of
them must be read back.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from gridopt.devices.frames import Frame
from gridopt.devices.link import exchange, hold
from gridopt.devices.link.address import LineAddress
from gridopt.devices.link.exchange import Request
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.link.framing import Counts
from gridopt.devices.link.wire import Answer, Wire
from gridopt.devices.schema import Link

RELEASE, SET, READ = range(3)
HANDSHAKE_S = 5.0
"""TLS is slow on small devices: it may take so long, though the device's answers may not."""
BUSY_WAITS_S = (0.1, 0.3, 0.9)
TOUCH_S = 3600.0
DEVICE_SAYS = (FaultKind.REFUSED, FaultKind.BUSY, FaultKind.GATEWAY)
"""Faults that are the device's own word: the line is fine."""


@dataclass(frozen=True)
class Patience:
    """How long who fails is left alone: a unit ``unit_s`` times its failures in a row, an address ``line_s``, doubled
    each time; give or take ``jitter``, so that many do not come back at once."""

    unit_s: float = 2.0
    unit_most_s: float = 300.0
    line_s: float = 0.5
    line_most_s: float = 10.0
    jitter: float = 0.2

    def unit(self, failures: int) -> float:
        return self._about(min(self.unit_s * failures, self.unit_most_s))

    def line(self, failures: int) -> float:
        return self._about(min(self.line_s * 2.0 ** min(failures - 1, 30), self.line_most_s))

    def _about(self, time_s: float) -> float:
        return time_s * random.uniform(1 - self.jitter, 1 + self.jitter)


@dataclass(frozen=True, slots=True)
class Sent:
    """A write that was acknowledged as sent: what went out, what came back. No proof that the device did it."""

    request: bytes
    answer: bytes
    latency_s: float


@dataclass
class _Health:
    """How a unit has been lately. ``why``: of its last failure; ``alone_until``: no request before; ``quiet_until``: a
    late answer may still come; ``doubts``: how often it was doubted while the port of a serial line stayed the same."""

    failures: int = 0
    why: str = ""
    doubts: int = 0
    alone_until: float = 0.0
    quiet_until: float = 0.0


@dataclass(eq=False, slots=True)
class _Job:
    """A request that waits for its turn, or for its answer."""

    order: int
    request: Request
    unit: Unit
    future: asyncio.Future[tuple[Answer, float]]
    session: int | None
    sent: bool = False

    def fail(self, fault: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(fault)

    def expire(self, deadline_s: float) -> None:
        what = "no answer" if self.sent else "not its turn"
        self.fail(Fault(FaultKind.TIMEOUT, f"{what} within its deadline of {deadline_s:g} s", sent=self.sent))


class Unit:
    """One unit of a line, as one device's adapter wants it spoken to."""

    def __init__(self, line: Line, unit_id: int, link: Link, health: _Health) -> None:
        self.line = line
        self.unit_id = unit_id
        self.link = link
        self.health = health

    @property
    def session(self) -> int:
        """Counts connections, 0 before the first; when it changed, who is there must be asked again.

        A serial port that the link closed in doubt about one unit is, for the others, the same as before.
        """
        return self.line.session + self.health.doubts

    async def read(
        self, table: str, address: int, count: int, *, release: bool = False, deadline_s: float | None = None
    ) -> tuple[int, ...]:
        """Words of ``table`` (holding, input, coil, discrete) from a register on, by its number on the wire.

        A device that says it is busy is asked again a few times. ``release``: control cannot be given back without it;
        see ``write``. ``deadline_s``: for all of it, waiting for a turn included. Raises Fault.
        """
        order = RELEASE if release else READ
        request = exchange.read(self.unit_id, table, address, count)
        end = None if deadline_s is None else self.line.now() + deadline_s
        for wait_s in BUSY_WAITS_S:
            try:
                answer, _ = await self.line.ask(self, order, request, deadline_s)
            except Fault as fault:
                if fault.kind is not FaultKind.BUSY:
                    raise
                if end is not None:
                    deadline_s = end - self.line.now() - wait_s
                    if deadline_s <= 0:
                        raise
            else:
                return answer.words
            await asyncio.sleep(wait_s)
        answer, _ = await self.line.ask(self, order, request, deadline_s)
        return answer.words

    async def write(
        self, frame: Frame, *, release: bool = False, deadline_s: float | None = None, session: int | None = None
    ) -> Sent:
        """Send a frame, once. ``release``: it gives control back, so it goes before all else, even to a unit that is
        being left alone. ``session``: the connection on which the device said who it is; on another nothing is sent.

        Raises Fault, and whoever sees ``sent`` in it must read back; ValueError for a frame that may not be sent.
        """
        request = exchange.write(self.unit_id, frame)
        answer, latency_s = await self.line.ask(self, RELEASE if release else SET, request, deadline_s, session)
        return Sent(answer.request, answer.answer, latency_s)


class Line:
    """One physical line, and the one connection over it. ``session``: counts connections to what may be another."""

    def __init__(
        self, address: LineAddress, patience: Patience, acquire: Callable[[str], hold.Hold | None] = lambda key: None
    ) -> None:
        self.address = address
        self.key = address.key
        self.counts = Counts()
        self.session = 0
        self._patience = patience
        self._acquire = acquire
        self._hold: hold.Hold | None = None
        self._touch_at = 0.0
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._health: dict[int, _Health] = {}
        self._slowest_s = 0.0
        self._queue: list[tuple[int, int, _Job]] = []
        self._numbers = itertools.count()
        self._woken: asyncio.Future[None] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._closed = False
        self._wire: Wire | None = None
        self._same_port = False
        self._failures = 0
        self._why = ""
        self._alone_until = 0.0
        self._quiet_until = 0.0
        self._rest_until = 0.0

    def unit(self, unit_id: int, link: Link) -> Unit:
        """A unit; several devices behind one unit share how it has been lately. Raises ValueError for unit 0."""
        if not 1 <= unit_id <= exchange.LAST_UNIT:
            raise ValueError(f"unit {unit_id} is not within 1..{exchange.LAST_UNIT}")
        self._slowest_s = max(self._slowest_s, link.timeout_s)
        return Unit(self, unit_id, link, self._health.setdefault(unit_id, _Health()))

    # --- the queue ---

    async def ask(
        self, unit: Unit, order: int, request: Request, deadline_s: float | None = None, session: int | None = None
    ) -> tuple[Answer, float]:
        """Wait for a turn and for the answer; (answer, seconds from request to answer). Raises Fault."""
        job = _Job(order, request, unit, self._loop.create_future(), session)
        try:
            self._refuse(job)
        except Fault as fault:
            self.counts.faults[fault.kind] += 1
            raise
        timer = None if deadline_s is None else self._loop.call_later(deadline_s, job.expire, deadline_s)
        self._queue_up(job)
        try:
            return await job.future
        except Fault as fault:
            self.counts.faults[fault.kind] += 1
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _queue_up(self, job: _Job) -> None:
        if self._closed:
            job.fail(_closed(job))
            return
        heapq.heappush(self._queue, (job.order, next(self._numbers), job))
        if self._worker is None or self._worker.done():
            self._worker = self._loop.create_task(self._work())
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def _next(self) -> _Job:
        while True:
            wait_s = max(self._quiet_until, self._rest_until) - self.now() if self._queue else 0.0
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            while self._queue and self.now() >= self._quiet_until:
                job = heapq.heappop(self._queue)[2]
                if job.future.done():
                    continue
                if job.unit.health.quiet_until > self.now():
                    self._loop.call_at(job.unit.health.quiet_until, self._queue_up, job)
                    continue
                return job
            if not self._queue:
                self._woken = self._loop.create_future()
                await self._woken

    async def _work(self) -> None:
        while True:
            job = await self._next()
            try:
                done = await self._serve(job)
            except Fault as fault:
                job.fail(fault)
            except asyncio.CancelledError:
                job.fail(_closed(job))
                raise
            except Exception as error:  # a bug of ours must not end the line, nor leave its caller waiting
                job.fail(error)
                await self._drop()
            else:
                if not job.future.done():
                    job.future.set_result(done)

    # --- one request ---

    def _refuse(self, job: _Job) -> None:
        """Fail at once what would only delay others. Raises Fault."""
        if self._closed:
            raise _closed(job)
        if job.order == RELEASE:
            return
        now = self.now()
        health = job.unit.health
        if now < health.alone_until:
            raise Fault(FaultKind.OFFLINE, f"left alone for a while: {health.why}, {_times(health.failures)}")
        if now < self._alone_until and (self._wire is None or self._wire.lost):
            raise Fault(
                FaultKind.OFFLINE, f"{self.key} is left alone for a while: {self._why}, {_times(self._failures)}"
            )

    async def _serve(self, job: _Job) -> tuple[Answer, float]:
        self._refuse(job)
        while True:
            wire = await self._connected(job)
            # Time has passed: what is not wanted any more must not be sent.
            if job.future.done():
                raise Fault(FaultKind.OFFLINE, "given up before it was sent")
            if job.session is not None and job.session != job.unit.session:
                raise Fault(FaultKind.OFFLINE, "connected anew, and who is there has not been asked since")
            served_before = wire.answers > 0
            try:
                return await self._exchange(wire, job)
            except Fault as fault:
                await self._after(fault, job, wire)
                # A peer may close a connection that was idle just as it is used again. Only a read may be repeated, and
                # only where a late answer to the first is known as such.
                stale = fault.kind is FaultKind.OFFLINE and served_before
                if not stale or job.request.writes or self.address.rtu or job.future.done():
                    raise

    async def _exchange(self, wire: Wire, job: _Job) -> tuple[Answer, float]:
        request, start = job.request, self.now()
        if request.writes:
            self.counts.writes += 1
        else:
            self.counts.reads += 1
        job.sent = True
        # On a serial line the characters themselves take time, which is not the device's.
        wire_s = self.address.character_s * (len(request.pdu) + request.length + 6)
        try:
            answer = await wire.exchange(request, job.unit.link.timeout_s + wire_s)
        finally:
            end = self.now()
            self._rest_until = end + job.unit.link.pause_s
        self._alive(job)
        self.counts.answers += 1
        if self._hold is not None and end >= self._touch_at:
            self._hold.touch()
            self._touch_at = end + TOUCH_S
        return answer, end - start

    def _alive(self, job: _Job) -> None:
        job.unit.health.failures = 0
        job.unit.health.alone_until = 0.0
        self._failures = 0

    async def _after(self, fault: Fault, job: _Job, wire: Wire) -> None:
        """What a failed request means for its unit and its line."""
        job.unit.health.why = fault.why
        if fault.kind in DEVICE_SAYS:
            if fault.kind is FaultKind.GATEWAY:
                self._failed(job)
            else:
                self._alive(job)
            return
        now = self.now()
        if self.address.rtu:
            job.unit.health.quiet_until = now + self._slowest_s
            if fault.kind is not FaultKind.TIMEOUT or wire.heard:
                self._quiet_until = now + self._slowest_s
        if self.address.serial and fault.kind is not FaultKind.OFFLINE:
            job.unit.health.doubts += 1
            self._same_port = True
        await self._drop()
        # One garbled answer is bad luck; silence is not waited for twice in a row.
        if fault.kind is not FaultKind.BROKEN or job.unit.health.failures:
            self._failed(job)
        else:
            job.unit.health.failures = 1

    def _failed(self, job: _Job) -> None:
        if job.request.writes:
            return
        job.unit.health.failures += 1
        job.unit.health.alone_until = self.now() + self._patience.unit(job.unit.health.failures)

    # --- the connection ---

    async def _connected(self, job: _Job) -> Wire:
        """The connection, opened where it has to be. Raises Fault."""
        if self._wire is not None:
            if not self._wire.lost:
                return self._wire
            if self.address.rtu and self._wire.doubtful:
                # Someone's late answer, perhaps, and more may follow.
                self._quiet_until = self._wire.lost_at + self._slowest_s
                self._same_port = self.address.serial
            await self._drop()
            await asyncio.sleep(max(self._quiet_until - self.now(), 0.0))
        if self._hold is None:
            self._hold = self._acquire(self.key)
        wire = Wire(self.address, self.counts)
        try:
            await wire.open(max(job.unit.link.timeout_s, HANDSHAKE_S if self.address.kind == "tls" else 0.0))
        except Fault as fault:
            self._same_port = False
            self._why = fault.why
            self._failures += 1
            self._alone_until = self.now() + self._patience.line(self._failures)
            raise
        self._wire = wire
        self.session += not self._same_port
        self._same_port = False
        self.counts.connections += 1
        return wire

    async def _drop(self) -> None:
        """Close what cannot be trusted any more."""
        wire, self._wire = self._wire, None
        if wire is not None:
            if self.address.rtu:
                self.counts.drains += 1
            await wire.shut()

    async def close(self) -> None:
        """Close for good: what waits fails, what was sent is not waited for, the next process may have the line."""
        self._closed = True
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        for _, _, job in self._queue:
            job.fail(_closed(job))
        self._queue.clear()
        if self._wire is not None:
            await self._wire.shut(orderly=True)
            self._wire = None
        if self._hold is not None:
            self._hold.release()
            self._hold = None


def _times(failures: int) -> str:
    return "once" if failures == 1 else f"{failures} times in a row"


def _closed(job: _Job) -> Fault:
    return Fault(FaultKind.OFFLINE, "the line is closed", sent=job.sent)


@dataclass
class Lines:
    """All lines of a process.

    ``locks``: folder of the locks that keep other processes off a line while this one has it; None only where nobody
    else can be there. ``holder``: the name that others are told. A line is taken at its first request, and kept.
    """

    locks: Path | None
    holder: str = ""
    patience: Patience = field(default_factory=Patience)
    _lines: dict[str, Line] = field(default_factory=dict, init=False, repr=False)

    async def __aenter__(self) -> Lines:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def line(self, address: LineAddress) -> Line:
        """The line at an address, always the same one. Raises ValueError for an address that can be no line, and for
        two ways to speak to the same line."""
        why = address.refusal()
        if why:
            raise ValueError(why)
        line = self._lines.get(address.key)
        if line is None:
            line = self._lines[address.key] = Line(address, self.patience, self._acquire)
        elif line.address != address:
            raise ValueError(f"{address.key} is already spoken to in another way")
        return line

    async def close(self) -> None:
        await asyncio.gather(*(line.close() for line in self._lines.values()))
        self._lines.clear()

    def _acquire(self, key: str) -> hold.Hold | None:
        return None if self.locks is None else hold.take(self.locks, key, self.holder)
