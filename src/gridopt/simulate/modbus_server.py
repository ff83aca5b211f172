"""A Modbus server for simulated devices, on loopback alone: TCP, TLS, RTU over TCP, RTU on a pseudo-terminal.

It is written from the specification, without the library that gridopt speaks Modbus with, so that it can be a judge:
it counts every request of every unit and function, keeps a log of writes, and shows any fault of ``faults`` at will.

Units answer side by side, each one request after another: a slow unit's answer comes late and delays nobody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import ssl
import struct
import tty
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, NamedTuple

from gridopt.simulate import faults
from gridopt.simulate.faults import CLOSE, Answer, Fault, NoAnswer, Piece, Restart
from gridopt.simulate.registers import Memory, Refused, Registers, Words
from gridopt.simulate.wire import (
    FAILURE,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    MBAP_HEADER,
    MOST_PDU,
    MOST_READ,
    MOST_WRITTEN,
    NO_TARGET,
    OFF,
    ON,
    READS,
    WRITES,
    Framing,
    Request,
    bits_of,
    crc,
    exception,
    read_answer,
    rtu_length,
    words_of,
)

Line = Literal["tcp", "tls", "rtu", "rtu-over-tcp"]
REST_S = 0.02
"""A frame of RTU that has not ended after so long a silence is over."""
BROADCAST = 0


class Written(NamedTuple):
    """A write that a device was asked for, whatever became of it."""

    time_s: float
    unit: int
    function: int
    address: int
    words: Words


def loopback(host: str) -> str:
    """The address to listen on. Raises ValueError for any that another machine could reach."""
    try:
        inside = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise ValueError(f"a simulation listens on this machine alone, on 127.0.0.1 or ::1, not on {host}")
    return host


# --- one request -----------------------------------------------------------------------------------------------------


def carry_out(memory: Memory, pdu: bytes) -> bytes:
    """The answer of an honest device. Raises NoAnswer and Restart where its memory does."""
    function = pdu[0]
    try:
        if function in READS:
            return _read(memory, function, pdu)
        if function in WRITES:
            address, words = written(pdu)
            memory.write(WRITES[function], address, words)
            return pdu[:5]
        raise Refused(ILLEGAL_FUNCTION)
    except Refused as refused:
        return exception(function, refused.code)


def _read(memory: Memory, function: int, pdu: bytes) -> bytes:
    if len(pdu) != 5:
        raise Refused(ILLEGAL_VALUE)
    address, count = struct.unpack(">HH", pdu[1:])
    if not 1 <= count <= MOST_READ[READS[function]]:
        raise Refused(ILLEGAL_VALUE)
    return read_answer(function, memory.read(READS[function], address, count))


def written(pdu: bytes) -> tuple[int, Words]:
    """(first register, words) of a write. Raises Refused where it contradicts itself."""
    function, head = pdu[0], pdu[1:5]
    if len(head) < 4:
        raise Refused(ILLEGAL_VALUE)
    address, second = struct.unpack(">HH", head)
    if function in (5, 6):
        if len(pdu) != 5 or (function == 5 and second not in (ON, OFF)):
            raise Refused(ILLEGAL_VALUE)
        return address, (second if function == 6 else int(second == ON),)
    data = pdu[6:]
    needed = 2 * second if function == 16 else (second + 7) // 8
    if not 1 <= second <= MOST_WRITTEN[function] or len(pdu) < 6 or not pdu[5] == len(data) == needed:
        raise Refused(ILLEGAL_VALUE)
    return address, words_of(data) if function == 16 else bits_of(data, second)


# --- the server ------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Peer:
    """One connection, or the line. ``send`` and ``close`` do nothing once it is gone."""

    send: Callable[[bytes], None]
    close: Callable[[], None]
    previous: bytes = b""


@dataclass
class _Unit:
    registers: Registers
    fault: Fault | None = None
    memory: Memory | None = None
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    random: Random = field(default_factory=lambda: Random(1))

    def take(self, fault: Fault | None) -> None:
        self.fault, self.memory = fault, faults.remember(fault, self.registers)
        if fault is not None and fault.name == "fuzz":
            self.random = Random(int(fault.number))

    def meet(self) -> tuple[Fault | None, Memory]:
        """The fault that one request meets, and the memory; what ends after so many times ends."""
        fault, memory = self.fault, self.memory or self.registers
        if fault is not None and fault.times is not None:
            left = fault.times - 1
            self.fault = Fault(fault.name, fault.argument, left) if left > 0 else None
            self.memory = memory if left > 0 else None
        return fault, memory


class Server:
    """Units behind one port or line.

    ``async with Server({1: registers}) as server: ... server.port``. ``line`` "rtu" opens a pseudo-terminal, whose
    other end is ``server.path``. ``gateway``: an unknown unit is answered with exception 11, otherwise by silence.
    ``counts[unit, function]``: requests; ``log``: writes; ``connections``: how many were made; ``broken``: frames that
    were none.
    """

    def __init__(
        self,
        units: Mapping[int, Registers],
        *,
        line: Line = "tcp",
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        gateway: bool = False,
        fault: str = "",
    ) -> None:
        if (line == "tls") != (tls is not None):
            raise ValueError('a context is for line="tls", and that needs one')
        self.line: Line = line
        self.framing: Framing = "rtu" if line in ("rtu", "rtu-over-tcp") else "mbap"
        self.host, self.port, self.path = loopback(host), port, ""
        self.gateway = gateway
        self.counts: Counter[tuple[int, int]] = Counter()
        self.log: list[Written] = []
        self.connections = self.broken = 0
        self._tls = tls
        self._units = {number: _Unit(registers) for number, registers in units.items()}
        self._server: asyncio.Server | None = None
        self._line_fd: tuple[int, int] | None = None
        self._peers: set[_Peer] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._fault = ""
        self._on_line: Fault | None = None
        self._changed: asyncio.Task[None] | None = None
        self._away: asyncio.TimerHandle | None = None
        self._started = False
        self.fault = fault

    # --- what a test asks and sets ---

    @property
    def fault(self) -> str:
        """The fault of all units and of the line; "" = none. Setting it ends what single units had."""
        return self._fault

    @fault.setter
    def fault(self, text: str) -> None:
        fault = faults.parse(text, self.framing)
        self._fault = text
        self._on_line = fault if fault is not None and fault.place == "line" else None
        for unit in self._units.values():
            unit.take(None if self._on_line else fault)
        if self._started:
            self._set_line()

    def set_fault(self, unit: int, text: str) -> None:
        """The fault of one unit alone. Raises ValueError for one of the line, and for an unknown unit."""
        fault = faults.parse(text, self.framing)
        if fault is not None and fault.place == "line":
            raise ValueError(f"{fault.name} is a fault of the line, not of a unit")
        if unit not in self._units:
            raise ValueError(f"there is no unit {unit}")
        self._units[unit].take(fault)

    @property
    def units(self) -> Mapping[int, Registers]:
        return {number: unit.registers for number, unit in self._units.items()}

    def requests(self, *functions: int, unit: int | None = None) -> int:
        """How many requests came, of these functions (all of them) and of this unit (of all)."""
        return sum(
            n for (u, f), n in self.counts.items() if (unit is None or u == unit) and (not functions or f in functions)
        )

    @property
    def writes(self) -> int:
        return self.requests(*WRITES)

    @property
    def sessions(self) -> int:
        """Connections that are open now."""
        return len(self._peers)

    def foreign(self, unit: int, address: int, words: Words, table: str = "holding") -> None:
        """Another master writes. Raises Refused where the device refuses it."""
        self._units[unit].registers.write(table, address, words)

    def disconnect(self) -> None:
        """Close all connections."""
        for peer in tuple(self._peers):
            peer.close()

    # --- life ---

    async def start(self) -> Server:
        if self.line == "rtu":
            self._open_line()
        else:
            await self._listen()
        self._started = True
        if self._on_line is not None and self._on_line.name == "refuse":
            self._set_line()
            await self.settled()
        return self

    async def stop(self) -> None:
        self._started = False
        if self._away is not None:
            self._away.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.disconnect()
        await self._deaf()
        if self._line_fd is not None:
            master, slave = self._line_fd
            asyncio.get_running_loop().remove_reader(master)
            os.close(master)
            os.close(slave)
            self._line_fd = None

    async def __aenter__(self) -> Server:
        return await self.start()

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def settled(self) -> None:
        """Wait until a fault of the line that was switched on or off is in force."""
        while self._changed is not None and not self._changed.done():
            await asyncio.shield(self._changed)

    def _set_line(self) -> None:
        """Listen, or no longer, as the fault of the line says."""
        if self.line == "rtu":
            return
        before, deaf = self._changed, self._on_line is not None and self._on_line.name == "refuse"

        async def change() -> None:
            if before is not None:
                await asyncio.gather(before, return_exceptions=True)
            if deaf:
                await self._deaf()
            elif self._started:
                await self._listen()

        self._changed = self._spawn(change())
        if self._on_line is not None and self._on_line.name != "one-session":
            self.disconnect()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self._tls)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _deaf(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            self.disconnect()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(server.wait_closed(), 1.0)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- connections ---

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        peer = _Peer(_sender(writer), writer.close)
        closing = self._on_line is not None and (self._on_line.name != "one-session" or bool(self._peers))
        if closing or self._away is not None:
            writer.close()
            return
        self._peers.add(peer)
        if any(u.fault is not None and u.fault.name == "unsolicited" for u in self._units.values()):
            peer.send(faults.unsolicited(self.framing))
        read = self._read_mbap if self.framing == "mbap" else self._read_rtu
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)  # so that stopping ends it
        try:
            await read(reader, peer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._peers.discard(peer)
            writer.close()

    async def _read_mbap(self, reader: asyncio.StreamReader, peer: _Peer) -> None:
        while True:
            tid, protocol, length, unit = struct.unpack(">HHHB", await reader.readexactly(MBAP_HEADER))
            if protocol != 0 or not 2 <= length <= MOST_PDU + 1:
                self.broken += 1
                return
            await self._handle(Request(unit, await reader.readexactly(length - 1), tid), peer)

    async def _read_rtu(self, reader: asyncio.StreamReader, peer: _Peer) -> None:
        buffer = b""
        while True:
            length = rtu_length(buffer)
            if length is not None and len(buffer) >= length:
                await self._take_rtu(buffer[:length], peer)
                buffer = buffer[length:]
                continue
            try:
                more = await asyncio.wait_for(reader.read(512), REST_S if buffer else None)
            except TimeoutError:
                await self._take_rtu(buffer, peer)
                buffer = b""
                continue
            if not more:
                return
            buffer += more

    async def _take_rtu(self, frame: bytes, peer: _Peer) -> None:
        if len(frame) < 4 or crc(frame[:-2]) != frame[-2:]:
            self.broken += 1
            return
        await self._handle(Request(frame[0], frame[1:-2]), peer)

    def _open_line(self) -> None:
        """A pseudo-terminal without echo and line editing: bytes go through as they are."""
        master, slave = os.openpty()
        for end in (master, slave):
            tty.setraw(end)
        os.set_blocking(master, False)
        self._line_fd, self.path = (master, slave), os.ttyname(slave)
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()

        def ready() -> None:
            with contextlib.suppress(BlockingIOError, OSError):
                reader.feed_data(os.read(master, 4096))

        loop.add_reader(master, ready)
        self._spawn(self._read_rtu(reader, _Peer(lambda data: _to_line(master, data), lambda: None)))

    # --- requests ---

    async def _handle(self, request: Request, peer: _Peer) -> None:
        if not request.pdu:
            self.broken += 1
            return
        self._count(request)
        if request.unit == BROADCAST and self.framing == "rtu":
            for unit in self._units.values():
                with contextlib.suppress(NoAnswer, Restart):
                    carry_out(unit.meet()[1], request.pdu)
            return
        known = self._units.get(request.unit)
        if self._away is not None or (self._on_line is not None and self._on_line.name != "one-session"):
            return  # nobody answers on this line
        if known is None:
            if self.gateway:
                answer = Answer(self.framing, request, exception(request.function, NO_TARGET))
                peer.send(answer.frame())
            return
        if known.fault is None and not known.busy.locked():
            self._answer_at_once(known, request, peer)
        else:
            self._spawn(self._answer(known, request, peer))
            await asyncio.sleep(0)  # it stands in the unit's queue before the next request is read

    def _count(self, request: Request) -> None:
        self.counts[request.unit, request.function] += 1
        if request.writes:
            try:
                address, words = written(request.pdu)
            except Refused:
                address, words = -1, ()
            now_s = asyncio.get_running_loop().time()
            self.log.append(Written(now_s, request.unit, request.function, address, words))

    def _answer_at_once(self, unit: _Unit, request: Request, peer: _Peer) -> None:
        """The way of an honest device."""
        answer = Answer(self.framing, request, carry_out(unit.registers, request.pdu))
        peer.previous = answer.frame()
        peer.send(peer.previous)

    async def _answer(self, unit: _Unit, request: Request, peer: _Peer) -> None:
        async with unit.busy:
            fault, memory = unit.meet()
            try:
                done = not (fault is None or fault.carries_out)
                pdu = exception(request.function, FAILURE) if done else carry_out(memory, request.pdu)
            except NoAnswer:
                return
            except Restart as restart:
                self._go_away(restart.away_s)
                return
            answer = Answer(self.framing, request, pdu, peer.previous)
            peer.previous = answer.frame()
            await self._send(peer, faults.pieces(fault, answer, unit.random))

    async def _send(self, peer: _Peer, pieces: list[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, bytes):
                peer.send(piece)
            elif piece == CLOSE:
                peer.close()
            elif isinstance(piece, float):
                await asyncio.sleep(piece)

    def _go_away(self, away_s: float) -> None:
        """No answers for a while; connections are closed, new ones too."""
        self.disconnect()

        def back() -> None:
            self._away = None

        self._away = asyncio.get_running_loop().call_later(away_s, back)


def _sender(writer: asyncio.StreamWriter) -> Callable[[bytes], None]:
    def send(data: bytes) -> None:
        if not writer.is_closing():
            writer.write(data)

    return send


def _to_line(fd: int, data: bytes) -> None:
    """As much as the line takes; nobody listens to the rest."""
    with contextlib.suppress(BlockingIOError, OSError):
        while data:
            data = data[os.write(fd, data) :]
