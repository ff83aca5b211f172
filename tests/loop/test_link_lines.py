"""Lines on real sockets: who speaks next, what is never sent, what a dead unit costs the others, one session a line."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import pytest

from gridopt.devices.frames import Frame
from gridopt.devices.link.address import LineAddress
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.link.lines import Line, Lines, Patience, Unit
from gridopt.devices.schema import Link
from gridopt.simulate.modbus_server import Server
from gridopt.simulate.registers import Registers

QUICK = Patience(unit_s=0.01, line_s=0.01, line_most_s=0.01)
PATIENT = Patience(unit_s=1000, unit_most_s=1000, line_s=1000, line_most_s=1000)
SHORT = Link(timeout_s=0.5)


def device() -> Registers:
    registers = Registers()
    registers.put("holding", 0, range(100), "rw")
    return registers


def address(server: Server) -> LineAddress:
    if server.line == "rtu":
        return LineAddress("rtu", tty=server.path, baud=115200)
    return LineAddress("tcp" if server.line == "tcp" else "rtu-over-tcp", host=server.host, port=server.port)


def reading(unit: Unit, first: int = 0, count: int = 4, deadline_s: float | None = None) -> Awaitable[tuple[int, ...]]:
    return unit.read("holding", first, count, deadline_s=deadline_s)


async def fault_of(work: Awaitable[object]) -> Fault:
    with pytest.raises(Fault) as caught:
        await work
    return caught.value


async def waiting(line: Line, jobs: int) -> None:
    """Until so many requests wait behind one that is being answered."""
    while len(line._queue) != jobs:
        await asyncio.sleep(0.001)


def on_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 30))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


# --- one at a time, in order -----------------------------------------------------------------------------------------


@on_loop
async def test_ds_36_release_goes_before_set_and_set_before_read() -> None:
    async with Server({1: device()}, fault="slow:0.1*1") as server, Lines(None) as lines:
        unit = lines.line(address(server)).unit(1, Link())
        work = [asyncio.ensure_future(reading(unit))]
        await waiting(unit.line, 0)
        await asyncio.sleep(0.02)
        work += [asyncio.ensure_future(reading(unit, 0, 5)), asyncio.ensure_future(unit.write(Frame(6, 1, (5,))))]
        work += [asyncio.ensure_future(unit.write(Frame(6, 2, (5,)), release=True))]
        work += [asyncio.ensure_future(unit.write(Frame(6, 3, (5,))))]
        await asyncio.gather(*work)
        assert [written.address for written in server.log] == [2, 1, 3]
        assert await reading(unit) == (0, 5, 5, 5)


@on_loop
async def test_t13_many_callers_each_get_their_own_answer() -> None:
    async with Server({1: device(), 2: device()}) as server, Lines(None) as lines:
        line = lines.line(address(server))
        units = [line.unit(n, Link()) for n in (1, 2)]
        found = await asyncio.gather(*(reading(units[k % 2], k, k % 7 + 1) for k in range(90)))
        assert found == [tuple(range(k, k + k % 7 + 1)) for k in range(90)]
        assert server.connections == line.counts.connections == 1


@on_loop
async def test_a_line_rests_between_an_answer_and_the_next_request() -> None:
    async with Server({1: device()}) as server, Lines(None) as lines:
        unit = lines.line(address(server)).unit(1, Link(pause_s=0.05))
        await reading(unit)
        await asyncio.gather(*(unit.write(Frame(6, 0, (k,))) for k in range(4)))
        times = [written.time_s for written in server.log]
        # A timer may be early by what the clock can tell apart.
        assert all(after - before > 0.045 for before, after in pairwise(times))


# --- deadlines and callers who leave ---------------------------------------------------------------------------------


@on_loop
async def test_a_deadline_is_for_all_of_it_and_not_for_each_byte() -> None:
    async with Server({1: device()}, fault="dribble:0.2") as server, Lines(None) as lines:
        unit = lines.line(address(server)).unit(1, SHORT)
        fault = await fault_of(reading(unit))
        assert fault.kind is FaultKind.TIMEOUT
        assert "part" in fault.why


@on_loop
async def test_what_waits_past_its_deadline_is_never_sent() -> None:
    async with Server({1: device()}, fault="slow:0.3*1") as server, Lines(None) as lines:
        unit = lines.line(address(server)).unit(1, Link())
        first = asyncio.ensure_future(reading(unit))
        await asyncio.sleep(0.02)
        fault = await fault_of(unit.write(Frame(6, 0, (5,)), deadline_s=0.05))
        assert (fault.kind, fault.sent) == (FaultKind.TIMEOUT, False)
        assert await first == (0, 1, 2, 3)
        await reading(unit)
        assert server.writes == 0


@on_loop
async def test_a_caller_who_leaves_takes_its_waiting_request_along() -> None:
    async with Server({1: device()}, fault="slow:0.2*1") as server, Lines(None) as lines:
        unit = lines.line(address(server)).unit(1, Link())
        first = asyncio.ensure_future(reading(unit))
        await asyncio.sleep(0.02)
        second = asyncio.ensure_future(unit.write(Frame(6, 0, (5,))))
        await waiting(unit.line, 1)
        second.cancel()
        assert await first == (0, 1, 2, 3)
        await reading(unit)
        assert server.writes == 0


@pytest.mark.parametrize("kind", ["tcp", "rtu-over-tcp", "rtu"])
def test_ds_14_t1_the_answer_of_a_caller_who_left_is_no_other_callers(kind: str) -> None:
    @on_loop
    async def run() -> None:
        async with Server({1: device()}, line=kind, fault="slow:0.2*1") as server, Lines(None) as lines:  # type: ignore[arg-type]
            unit = lines.line(address(server)).unit(1, Link())
            left = asyncio.ensure_future(reading(unit, 50))
            await asyncio.sleep(0.1)
            left.cancel()
            assert await reading(unit, 10) == (10, 11, 12, 13)
            # It was answered while nobody waited for it, so there was no doubt and no new connection.
            assert unit.session == 1

    run()


@on_loop
async def test_a_write_whose_caller_gives_up_early_is_said_to_be_sent() -> None:
    async with Server({1: device()}, fault="slow:0.2") as server, Lines(None) as lines:
        unit = lines.line(address(server)).unit(1, Link())
        fault = await fault_of(unit.write(Frame(6, 0, (5,)), deadline_s=0.1))
        assert (fault.kind, fault.sent) == (FaultKind.TIMEOUT, True)
        assert await reading(unit, 0, 1) == (5,)
        assert server.writes == 1


# --- late answers on a line without numbers --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rtu-over-tcp", "rtu"])
def test_ds_14_t2_t3_a_late_answer_is_never_the_answer_to_what_came_after(kind: str) -> None:
    """A read's late answer was a write's acknowledgement, and that of a write the readback with the value hoped for."""

    @on_loop
    async def run() -> None:
        async with Server({1: device()}, line=kind) as server, Lines(None, patience=QUICK) as lines:  # type: ignore[arg-type]
            unit = lines.line(address(server)).unit(1, SHORT)
            for k in range(2):
                server.fault = "late:0.75*1"
                assert (await fault_of(reading(unit, 10 * k))).kind is FaultKind.TIMEOUT
                await asyncio.sleep(0.02)
                sent = await unit.write(Frame(6, k, (77,)))
                assert sent.answer[:6] == sent.request[:6]
                server.fault = "late:0.75*1"
                assert (await fault_of(unit.write(Frame(6, 90, (1000 + k,))))).kind is FaultKind.TIMEOUT
                assert await reading(unit, 80, 1) == (80,)
                assert await reading(unit, 90, 1) == (1000 + k,)
            assert unit.line.counts.drains >= 4
            assert server.writes == 4

    run()


@pytest.mark.parametrize("kind", ["rtu-over-tcp", "rtu"])
def test_bytes_that_nobody_asked_for_are_waited_out_first(kind: str) -> None:
    @on_loop
    async def run() -> None:
        async with Server({1: device()}, line=kind) as server, Lines(None, patience=QUICK) as lines:  # type: ignore[arg-type]
            unit = lines.line(address(server)).unit(1, SHORT)
            await reading(unit)
            server.fault = "dup*1"  # glued together it is doubt at once; so it is when the second comes later
            assert (await fault_of(reading(unit, 10))).kind is FaultKind.BROKEN
            assert await reading(unit, 20) == (20, 21, 22, 23)
            assert unit.session == 2

    run()


# --- dead units and dead lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tcp", "rtu-over-tcp", "rtu"])
def test_ds_36_t13_a_dead_unit_costs_its_line_one_timeout(kind: str) -> None:
    @on_loop
    async def run() -> None:
        units = {n: device() for n in range(1, 6)}
        async with Server(units, line=kind) as server, Lines(None, patience=PATIENT) as lines:  # type: ignore[arg-type]
            server.set_fault(3, "silent")
            line = lines.line(address(server))
            found = {n: line.unit(n, SHORT) for n in units}
            start = line.now()
            calls = [fault_of(reading(found[3])) for _ in range(5)]
            work = await asyncio.gather(*calls, *(reading(found[n], n) for n in (1, 2, 4, 5)))
            assert [fault.kind for fault in work[:5]] == [FaultKind.TIMEOUT, *[FaultKind.OFFLINE] * 4]
            assert [words[0] for words in work[5:]] == [1, 2, 4, 5]
            # Five callers of the dead unit, and yet one request; all others wait for that one, and for no more.
            assert server.requests(unit=3) == 1
            assert line.now() - start < 10 * SHORT.timeout_s
            for _ in range(20):
                fault = await fault_of(reading(found[3]))
                assert (fault.kind, fault.sent) == (FaultKind.OFFLINE, False)
            assert "no answer" in fault.why
            assert server.requests(unit=3) == 1

    run()


@on_loop
async def test_ds_36_a_dead_line_costs_other_lines_nothing() -> None:
    async with Server({1: device()}, fault="silent") as dead, Server({1: device()}) as alive, Lines(None) as lines:
        one, other = (lines.line(address(server)).unit(1, Link(timeout_s=60)) for server in (dead, alive))
        hanging = asyncio.ensure_future(fault_of(reading(one)))
        while not dead.requests():
            await asyncio.sleep(0.001)
        for k in range(50):
            assert await reading(other, k) == (k, k + 1, k + 2, k + 3)
        assert not hanging.done()
        await lines.close()
        assert (await hanging).kind is FaultKind.OFFLINE


@on_loop
async def test_ds_36_a_unit_is_left_alone_longer_with_each_failure_and_not_for_ever() -> None:
    patience = Patience(jitter=0)
    assert [patience.unit(n) for n in (1, 2, 3, 150, 1000)] == [2, 4, 6, 300, 300]
    assert [patience.line(n) for n in (1, 2, 3, 5, 6, 10_000)] == [0.5, 1, 2, 8, 10, 10]
    waits = {Patience().unit(10) for _ in range(100)}
    assert len(waits) > 90
    assert 16 <= min(waits) < max(waits) <= 24
    async with Server({1: device()}, fault="silent") as server, Lines(None, patience=QUICK) as lines:
        unit = lines.line(address(server)).unit(1, SHORT)
        for failures in (1, 2):
            unit.health.alone_until = 0
            await fault_of(reading(unit))
            assert unit.health.failures == failures
        server.fault = ""
        unit.health.alone_until = 0
        await reading(unit)
        assert (unit.health.failures, unit.health.alone_until) == (0, 0)


@on_loop
async def test_ds_12_after_an_unanswered_write_the_unit_is_read_at_once() -> None:
    async with Server({1: device()}, fault="write_noack") as server, Lines(None, patience=PATIENT) as lines:
        unit = lines.line(address(server)).unit(1, SHORT)
        fault = await fault_of(unit.write(Frame(6, 0, (5,))))
        assert (fault.kind, fault.sent) == (FaultKind.TIMEOUT, True)
        assert await reading(unit, 0, 1) == (5,)
        assert server.writes == 1


@on_loop
async def test_a_release_goes_to_a_unit_that_is_being_left_alone() -> None:
    async with Server({1: device()}, fault="silent*1") as server, Lines(None, patience=PATIENT) as lines:
        unit = lines.line(address(server)).unit(1, SHORT)
        await fault_of(reading(unit))
        assert (await fault_of(unit.write(Frame(6, 0, (5,))))).kind is FaultKind.OFFLINE
        assert (await fault_of(reading(unit))).kind is FaultKind.OFFLINE
        assert await unit.read("holding", 0, 1, release=True) == (0,)
        unit.health.alone_until = unit.line.now() + 1000
        await unit.write(Frame(6, 0, (6,)), release=True)
        assert [written.words for written in server.log] == [(6,)]


@on_loop
async def test_the_units_behind_a_gateway_fail_one_by_one() -> None:
    async with Server({1: device()}, gateway=True) as server, Lines(None, patience=PATIENT) as lines:
        line = lines.line(address(server))
        behind, there = line.unit(9, SHORT), line.unit(1, SHORT)
        fault = await fault_of(reading(behind))
        assert (fault.kind, fault.code) == (FaultKind.GATEWAY, 11)
        assert (await fault_of(reading(behind))).kind is FaultKind.OFFLINE
        assert await reading(there) == (0, 1, 2, 3)
        assert line.session == 1


@on_loop
async def test_a_busy_device_is_asked_again_a_few_times() -> None:
    async with Server({1: device()}, fault="exc:6*2") as server, Lines(None) as lines:
        unit = lines.line(address(server)).unit(1, Link())
        assert await reading(unit) == (0, 1, 2, 3)
        assert server.requests() == 3
        server.fault = "exc:6"
        fault = await fault_of(reading(unit, deadline_s=0.2))
        assert fault.kind is FaultKind.BUSY
        before = server.requests()
        assert (await fault_of(unit.write(Frame(6, 0, (5,))))).kind is FaultKind.BUSY
        assert server.requests() == before + 1
        assert unit.session == 1


@pytest.mark.parametrize(("kind", "others"), [("rtu", 1), ("rtu-over-tcp", 2), ("tcp", 2)])
def test_ds_07_after_doubt_about_one_unit_the_others_of_a_serial_line_are_known_still(kind: str, others: int) -> None:
    @on_loop
    async def run() -> None:
        async with Server({1: device(), 2: device()}, line=kind) as server, Lines(None, patience=QUICK) as lines:  # type: ignore[arg-type]
            doubted, known = (lines.line(address(server)).unit(n, SHORT) for n in (1, 2))
            for unit in (doubted, known):
                await reading(unit)
                assert unit.session == 1
            server.set_fault(1, "few*1")
            assert (await fault_of(reading(doubted))).kind is FaultKind.BROKEN
            assert await reading(known) == await reading(doubted) == (0, 1, 2, 3)
            assert (doubted.session, known.session) == (2, others)

    run()


# --- connections -----------------------------------------------------------------------------------------------------


@on_loop
async def test_t11_a_device_that_comes_later_is_found() -> None:
    server = Server({1: device()})
    await server.start()
    where = address(server)
    await server.stop()
    async with Lines(None, patience=QUICK) as lines:
        unit = lines.line(where).unit(1, SHORT)
        fault = await fault_of(reading(unit))
        assert (fault.kind, fault.sent) == (FaultKind.OFFLINE, False)
        assert "refused" in fault.why.lower()
        async with Server({1: device()}, port=where.port):
            await asyncio.sleep(0.05)
            assert await reading(unit) == (0, 1, 2, 3)
            assert unit.session == 1


@on_loop
async def test_an_address_that_cannot_be_reached_is_left_alone_for_a_while() -> None:
    server = await Server({1: device()}).start()
    where = address(server)
    await server.stop()
    async with Lines(None, patience=PATIENT) as lines:
        unit = lines.line(where).unit(1, SHORT)
        await fault_of(reading(unit))
        async with Server({1: device()}, port=where.port) as back:
            for work in (reading(unit), unit.write(Frame(6, 0, (5,)))):
                assert (await fault_of(work)).kind is FaultKind.OFFLINE
            assert back.connections == 0  # and nothing was kept for later


@on_loop
async def test_t9_a_peer_that_closes_is_noticed_at_once() -> None:
    async with Server({1: device()}, fault="half_close") as server, Lines(None) as lines:
        unit = lines.line(address(server)).unit(1, Link(timeout_s=60))
        assert "closed" in (await fault_of(reading(unit))).why  # long before the timeout: on_loop waits for 30 s


@on_loop
async def test_t9_t12_a_connection_that_was_closed_while_idle_is_made_anew() -> None:
    async with Server({1: device()}) as server, Lines(None, patience=PATIENT) as lines:
        unit = lines.line(address(server)).unit(1, Link())
        for session in (1, 2, 3):
            assert await reading(unit) == (0, 1, 2, 3)
            assert unit.session == session
            server.disconnect()
            await asyncio.sleep(0.02)


@on_loop
async def test_t10_half_open_a_silent_connection_is_not_used_again() -> None:
    async with Server({1: device()}) as server, Lines(None, patience=QUICK) as lines:
        unit = lines.line(address(server)).unit(1, SHORT)
        await reading(unit)
        server.fault = "silent*1"
        assert (await fault_of(reading(unit))).kind is FaultKind.TIMEOUT
        await asyncio.sleep(0.03)
        assert await reading(unit) == (0, 1, 2, 3)
        assert unit.session == server.connections == 2


@on_loop
async def test_t10_the_system_looks_after_connections_that_say_nothing() -> None:
    async with Server({1: device()}) as server, Lines(None) as lines:
        unit = lines.line(address(server)).unit(1, Link())
        await reading(unit)
        assert unit.line._wire is not None
        found = unit.line._wire.transport.get_extra_info("socket")
        assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@on_loop
async def test_a_gateway_that_closes_after_each_answer_costs_no_waiting() -> None:
    async with Server({1: device()}, line="rtu-over-tcp") as server, Lines(None) as lines:
        unit = lines.line(address(server)).unit(1, Link(timeout_s=60))
        for _ in range(5):
            assert await reading(unit) == (0, 1, 2, 3)
            server.disconnect()
            await asyncio.sleep(0.02)
        assert unit.session == 5


class Closing:
    """A peer that answers once and closes each connection at the second request."""

    def __init__(self) -> None:
        self.requests: list[int] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answers in (True, False):
            head = await reader.readexactly(8)
            await reader.readexactly(4)
            self.requests.append(head[7])
            if answers:
                writer.write(head[:5] + b"\x07" + head[6:8] + b"\x04\0\1\0\2")
        writer.close()


@on_loop
async def test_a_read_is_repeated_once_where_an_old_connection_breaks_and_a_write_is_not() -> None:
    peer = Closing()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    where = LineAddress("tcp", host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    async with server, Lines(None) as lines:
        unit = lines.line(where).unit(1, Link())
        assert await reading(unit, 0, 2) == (1, 2)
        assert await reading(unit, 0, 2) == (1, 2)
        assert peer.requests == [3, 3, 3]
        fault = await fault_of(unit.write(Frame(6, 0, (1,))))
        assert (fault.kind, fault.sent) == (FaultKind.OFFLINE, True)
        assert peer.requests == [3, 3, 3, 6]


@on_loop
async def test_ds_07_nothing_is_written_on_a_connection_on_which_nobody_said_who_they_are() -> None:
    async with Server({1: device()}) as server, Lines(None) as lines:
        unit = lines.line(address(server)).unit(1, Link())
        await reading(unit)
        known = unit.session
        await unit.write(Frame(6, 0, (5,)), session=known)
        server.disconnect()
        await asyncio.sleep(0.02)
        fault = await fault_of(unit.write(Frame(6, 0, (6,)), session=known))
        assert (fault.kind, fault.sent) == (FaultKind.OFFLINE, False)
        assert server.writes == 1


@on_loop
async def test_t22_what_a_device_says_unasked_on_connecting_is_no_answer() -> None:
    async with Server({1: device()}, fault="unsolicited") as server, Lines(None) as lines:
        unit = lines.line(address(server)).unit(1, Link())
        assert await reading(unit, 0, 2) == (0, 1)
        assert unit.line.counts.unasked >= 1


@on_loop
async def test_a_serial_port_may_go_and_come_back() -> None:
    with tempfile.TemporaryDirectory() as folder:
        port = Path(folder) / "ttyUSB0"
        async with Lines(None, patience=QUICK) as lines:
            unit = None
            for session in (1, 2):
                async with Server({1: device()}, line="rtu") as server:
                    port.symlink_to(server.path)
                    unit = unit or lines.line(LineAddress("rtu", tty=str(port), baud=115200)).unit(1, SHORT)
                    assert await reading(unit) == (0, 1, 2, 3)
                    assert unit.session == session
                port.unlink()
                await asyncio.sleep(0.02)
                fault = await fault_of(reading(unit))
                assert (fault.kind, fault.sent) == (FaultKind.OFFLINE, False)
                assert "No such file" in fault.why
                await asyncio.sleep(0.05)


@on_loop
async def test_closing_fails_what_waits_and_what_is_under_way() -> None:
    async with Server({1: device()}, fault="silent") as server:
        lines = Lines(None)
        unit = lines.line(address(server)).unit(1, Link())
        under_way = asyncio.ensure_future(fault_of(unit.write(Frame(6, 0, (5,)))))
        waits = asyncio.ensure_future(fault_of(unit.write(Frame(6, 1, (5,)))))
        while not server.writes:
            await asyncio.sleep(0.01)
        await lines.close()
        assert [(fault.kind, fault.sent) for fault in (await under_way, await waits)] == [
            (FaultKind.OFFLINE, True),
            (FaultKind.OFFLINE, False),
        ]
        assert (await fault_of(reading(unit))).kind is FaultKind.OFFLINE
        await asyncio.sleep(0.02)
        assert server.sessions == 0


# --- one session a line ----------------------------------------------------------------------------------------------


@on_loop
async def test_all_units_of_a_line_share_one_session() -> None:
    async with Server({1: device(), 2: device()}, fault="one-session") as server, Lines(None) as lines:
        for n in (1, 2):
            assert await reading(lines.line(address(server)).unit(n, Link())) == (0, 1, 2, 3)
        assert server.connections == 1
        with pytest.raises(ValueError, match="another way"):
            lines.line(LineAddress("rtu-over-tcp", host=server.host, port=server.port))
        with pytest.raises(ValueError, match="unit 0"):
            lines.line(address(server)).unit(0, Link())
        with pytest.raises(ValueError, match="serial port"):
            lines.line(LineAddress("rtu", tty="socket://127.0.0.1:502"))


@on_loop
async def test_a_bug_of_ours_ends_neither_the_line_nor_the_wait() -> None:
    async with Server({1: device()}) as server, Lines(None) as lines:
        unit = lines.line(address(server)).unit(1, Link())
        await reading(unit)
        assert unit.line._wire is not None
        unit.line._wire._framing = None  # type: ignore[assignment]
        with pytest.raises(AttributeError):
            await reading(unit)
        assert await reading(unit) == (0, 1, 2, 3)
