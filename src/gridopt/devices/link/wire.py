"""One connection: opened once, asked one thing at a time, closed for good at the first doubt.

pymodbus opens it (TCP, TLS, serial port) and carries the bytes. It would hand answers on that are not the ones asked
for, wait on a connection that is gone, and look for a lost one on its own terms, so none of that is left to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
from dataclasses import dataclass

from pymodbus.transport import CommParams, CommType, ModbusProtocol

from gridopt.devices.link import secure
from gridopt.devices.link.address import LineAddress
from gridopt.devices.link.exchange import Request, broken, judge
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.link.framing import Counts, Framing, Mbap, Rtu
from gridopt.devices.link.sparse import calm

GOODBYE_S = 0.5
"""How long TLS may take to say goodbye before it is cut off."""
KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
calm("pymodbus.logging")


@dataclass(frozen=True, slots=True)
class Answer:
    words: tuple[int, ...]
    request: bytes
    answer: bytes


class Wire(ModbusProtocol):
    """A connection. ``lost``: why it can be used no more, or "", and ``lost_at`` since when; ``doubtful``: it brought
    bytes that nobody can place; ``answers``: how many it brought."""

    def __init__(self, address: LineAddress, counts: Counts) -> None:
        super().__init__(_parameters(address), is_server=False)
        self.address = address
        self.lost = ""
        self.lost_at = 0.0
        self.doubtful = False
        self.answers = 0
        self._framing: Framing = Rtu(counts, address.character_s) if address.rtu else Mbap(counts)
        self._made: asyncio.Future[None] = self.loop.create_future()
        self._gone = asyncio.Event()
        self._request: Request | None = None
        self._sent = b""
        self._answer: asyncio.Future[Answer] | None = None
        self._quiet: asyncio.TimerHandle | None = None

    # --- opening and closing ---

    async def open(self, timeout_s: float) -> None:
        """Connect, and be sure of the peer. Raises Fault, and is closed then."""
        create = self.call_create
        if self.address.kind == "tls":
            name = self.address.server_name or self.address.host
            create = functools.partial(
                self.loop.create_connection,
                self.handle_new_connection,
                self.address.host,
                self.address.port,
                ssl=secure.context(self.address),
                server_hostname=name,
            )
        try:
            async with asyncio.timeout(timeout_s):
                self.transport, _ = await create()
                await self._made
            self._keep_alive()
            self._check_peer()
        except BaseException as error:  # a task that is cancelled leaves no connection behind either
            await self.shut()
            if isinstance(error, TimeoutError):
                raise Fault(FaultKind.OFFLINE, f"no connection within {timeout_s:g} s") from None
            if isinstance(error, (OSError, ValueError)):
                raise Fault(FaultKind.OFFLINE, f"no connection: {secure.said(error)}") from error
            raise

    def _keep_alive(self) -> None:
        """A peer that is gone without a word is noticed though nothing is asked."""
        found = self.transport.get_extra_info("socket")
        if found is None:
            return
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):
                found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def _check_peer(self) -> None:
        if self.address.kind != "tls":
            return
        found = self.transport.get_extra_info("ssl_object")
        if not isinstance(found, ssl.SSLObject):
            raise Fault(FaultKind.OFFLINE, "the connection is not encrypted")
        secure.check_role(self.address, found.getpeercert(binary_form=True))

    async def shut(self, orderly: bool = False) -> None:
        """Close, and be closed when this returns. Not ``orderly``: nothing is said to the peer any more."""
        self._end(Fault(FaultKind.OFFLINE, "closed", sent=True))
        transport = self.transport
        if transport is None:
            return
        super().close()
        if self.address.serial:
            return
        assert isinstance(transport, asyncio.WriteTransport)
        if not orderly:
            transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._gone.wait()
        transport.abort()

    # --- asking ---

    @property
    def heard(self) -> bool:
        """Whether bytes came that no answer was made of."""
        return self._framing.pending

    async def exchange(self, request: Request, timeout_s: float) -> Answer:
        """Send a request and wait for its answer, ``timeout_s`` in all. Raises Fault."""
        if self.lost:
            raise Fault(FaultKind.OFFLINE, self.lost)
        self._sent = self._framing.ask(request)
        self._request, self._answer = request, self.loop.create_future()
        timer = self.loop.call_later(timeout_s, self._late, timeout_s)
        assert isinstance(self.transport, asyncio.WriteTransport)
        self.transport.write(self._sent)
        try:
            return await self._answer
        finally:
            timer.cancel()
            self._answer = None

    def _late(self, timeout_s: float) -> None:
        if self._quiet is not None:  # all of it is there, and the line is being listened to a moment longer
            return
        if self._framing.passed:
            self._end(broken("only answers to other requests came"))
        else:
            part = "only part of an answer" if self._framing.pending else "no answer"
            self._end(Fault(FaultKind.TIMEOUT, f"{part} within {timeout_s:g} s", sent=True))

    def _end(self, fault: Fault) -> None:
        """No byte from here on is trusted."""
        if not self.lost:
            self.lost, self.lost_at = fault.why, self.loop.time()
            self.doubtful = fault.kind is FaultKind.BROKEN
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(fault)

    # --- what asyncio says ---

    def callback_connected(self) -> None:
        if not self._made.done():
            self._made.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self.lost:
            return
        try:
            there = self._framing.feed(data)
        except Fault as fault:
            self._end(fault)
            return
        if not there:
            return
        if not self._framing.quiet_s:
            self._take()
            return
        if self._quiet is not None:
            self._quiet.cancel()
        self._quiet = self.loop.call_later(self._framing.quiet_s, self._take)

    def _take(self) -> None:
        self._quiet = None
        assert self._request is not None
        try:
            pdu, raw = self._framing.take()
            answer = Answer(judge(self._request, pdu), self._sent, raw)
        except Fault as fault:
            if fault.kind is FaultKind.BROKEN:
                self._end(fault)
            elif self._answer is not None and not self._answer.done():
                self.answers += 1
                self._answer.set_exception(fault)
            return
        self.answers += 1
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def callback_data(self, data: bytes, addr: object = None) -> int:
        raise NotImplementedError("data_received takes all bytes")

    def callback_new_connection(self) -> ModbusProtocol:
        raise NotImplementedError("a client is not connected to")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._gone.set()

    def callback_disconnected(self, exc: Exception | None) -> None:
        why = "the other side closed the connection" if exc is None else f"connection lost: {secure.said(exc)}"
        kind = FaultKind.BROKEN if self._framing.pending else FaultKind.OFFLINE
        self._end(Fault(kind, why + (" in the middle of an answer" if self._framing.pending else ""), sent=True))


def _parameters(address: LineAddress) -> CommParams:
    """What pymodbus opens; it connects once, and never again by itself."""
    if address.serial:
        return CommParams(
            comm_name="line",
            comm_type=CommType.SERIAL,
            reconnect_delay=0,
            host=address.tty,
            baudrate=address.baud,
            bytesize=8,
            parity=address.parity,
            stopbits=address.stop_bits,
        )
    return CommParams(comm_name="line", comm_type=CommType.TCP, reconnect_delay=0, host=address.host, port=address.port)
