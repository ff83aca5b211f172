"""Every fault that devices and lines have, against the link: what a read and a write say, and that both work again
once the fault is over. Over TCP, over RTU on TCP and over RTU on a pseudo-terminal.

All cases run at the same time, each on a server and a line of its own.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NamedTuple

import pytest

from gridopt.devices.frames import Frame
from gridopt.devices.link.address import Kind, LineAddress
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.link.lines import Lines, Patience, Sent, Unit
from gridopt.devices.schema import Link
from gridopt.simulate.modbus_server import Server
from gridopt.simulate.registers import Registers

OK = "ok"
OFFLINE, TIMEOUT, BROKEN, REFUSED, BUSY, GATEWAY = (
    FaultKind.OFFLINE,
    FaultKind.TIMEOUT,
    FaultKind.BROKEN,
    FaultKind.REFUSED,
    FaultKind.BUSY,
    FaultKind.GATEWAY,
)
TIMEOUT_S = 1.5
LINK = Link(timeout_s=TIMEOUT_S)
QUICK = Patience(unit_s=0.01, line_s=0.01, line_most_s=0.01)
WORDS = (11, 22, 33, 44, 55)
WRITTEN = (7, 8, 9)


class Due(NamedTuple):
    """What a read and a write end with, and whether the device stores the write all the same."""

    read: str
    write: str
    stored: bool = True


class Case(NamedTuple):
    kind: Kind
    fault: str


# Fault → on TCP, on RTU. What only the device's own registers tell (ignored, clamped or reverted writes, wrong maps,
# frozen values) is no matter of the link: there it sees a right answer.
BOTH: dict[str, Due] = {
    "refuse": Due(OFFLINE, OFFLINE, False),
    "accept_close": Due(OFFLINE, OFFLINE, False),
    "one-session": Due(OK, OK),
    "silent": Due(TIMEOUT, TIMEOUT),
    "slow:0.1": Due(OK, OK),
    "late:2.1": Due(TIMEOUT, TIMEOUT),
    "half": Due(TIMEOUT, TIMEOUT),
    "dribble": Due(OK, OK),
    "split": Due(OK, OK),
    "unit": Due(BROKEN, BROKEN),
    "dup": Due(BROKEN, BROKEN),
    "fc": Due(BROKEN, BROKEN),
    "fc_unknown": Due(BROKEN, BROKEN),
    "few": Due(BROKEN, OK),
    "many": Due(BROKEN, OK),
    "bytecount": Due(BROKEN, OK),
    "bytecount0": Due(BROKEN, OK),
    "odd": Due(BROKEN, OK),
    "echo_addr": Due(OK, BROKEN),
    "echo_value": Due(OK, BROKEN),
    "write_noack": Due(OK, TIMEOUT),
    "ack_nowrite": Due(OK, OK, False),
    "garbage": Due(BROKEN, BROKEN),
    "garbage_then_ok": Due(BROKEN, BROKEN),
    "flood": Due(BROKEN, BROKEN),
    "huge": Due(BROKEN, BROKEN),
    **{f"exc:{code}": Due(REFUSED, REFUSED, False) for code in (1, 2, 3, 4, 7, 8)},
    **{f"exc:{code}": Due(BUSY, BUSY, False) for code in (5, 6)},
    **{f"exc:{code}": Due(GATEWAY, GATEWAY, False) for code in (10, 11)},
    **{f"exc:{code}": Due(BROKEN, BROKEN, False) for code in (0, 9, 99)},
}
TCP = BOTH | {
    "half_close": Due(BROKEN, BROKEN),
    "exc_nofc": Due(BROKEN, BROKEN, False),
    "tid": Due(BROKEN, BROKEN),
    "tid:0": Due(BROKEN, BROKEN),
    "stale_first": Due(OK, OK),
    "stale_first:0": Due(OK, OK),
    "unsolicited": Due(OK, OK),
    "pid": Due(BROKEN, BROKEN),
    "len_short": Due(BROKEN, BROKEN),
    "len_long": Due(BROKEN, BROKEN),
    "reboot": Due(OK, OFFLINE, False),
}
RTU = BOTH | {
    # A frame of RTU is known by its length: four bytes could still become five.
    "exc_nofc": Due(TIMEOUT, TIMEOUT, False),
    "stale_first": Due(BROKEN, BROKEN),
    "unsolicited": Due(BROKEN, BROKEN),
    "crc": Due(BROKEN, BROKEN),
}
OVER_TCP = RTU | {
    "half_close": Due(BROKEN, BROKEN),
    "reboot": Due(OK, OFFLINE, False),
    "stale_first": Due(BROKEN, OK),  # on the new connection there is no answer before
}
# A line has no connections that a device could refuse or close: nobody answers.
ON_A_LINE = RTU | {
    "refuse": Due(TIMEOUT, TIMEOUT, False),
    "accept_close": Due(TIMEOUT, TIMEOUT, False),
    "half_close": Due(TIMEOUT, TIMEOUT),
    "reboot": Due(OK, TIMEOUT, False),
}
DUE = {
    Case(kind, fault): due
    for kind, table in (("tcp", TCP), ("rtu-over-tcp", OVER_TCP), ("rtu", ON_A_LINE))
    for fault, due in table.items()
}


@dataclass
class Seen:
    """What one case did: under the fault, and when it was over."""

    read: tuple[int, ...] | Fault
    write: Sent | Fault
    writes: int
    stored: bool
    after: tuple[int, ...] | Fault
    rewritten: bool
    over: float
    unit: Unit


def address(server: Server) -> LineAddress:
    if server.line == "rtu":
        return LineAddress("rtu", tty=server.path, baud=115200)
    return LineAddress("tcp" if server.line == "tcp" else "rtu-over-tcp", host=server.host, port=server.port)


async def read(unit: Unit, count: int = 5) -> tuple[int, ...] | Fault:
    try:
        return await unit.read("holding", 0, count)
    except Fault as fault:
        return fault


async def patient(unit: Unit) -> tuple[int, ...] | Fault:
    """Read until something is read: the device may still be busy with its last answer, or be left alone."""
    for _ in range(20):
        found = await read(unit)
        if not isinstance(found, Fault):
            break
        await asyncio.sleep(0.1)
    return found


async def write(unit: Unit, words: tuple[int, ...] = WRITTEN) -> Sent | Fault:
    try:
        return await unit.write(Frame(16, 10, words))
    except Fault as fault:
        return fault


async def run(case: Case) -> Seen:
    registers = Registers()
    registers.put("holding", 0, WORDS, "r")
    registers.put("holding", 10, (1, 2, 3), "rw")
    loop = asyncio.get_running_loop()
    async with (
        Server({3: registers}, line=case.kind) as server,
        Lines(None, patience=QUICK) as lines,
    ):
        unit = lines.line(address(server)).unit(3, LINK)
        assert await unit.read("holding", 0, 2) == WORDS[:2]
        server.fault = case.fault
        await server.settled()
        start = loop.time()
        seen_read = await read(unit)
        over = loop.time() - start
        # Its own back-off is not to be taken for an answer to the fault.
        unit.health.alone_until = unit.line._alone_until = 0
        start, before = loop.time(), server.writes
        seen_write = await write(unit)
        over = max(over, loop.time() - start)
        stored, writes = registers.get("holding", 10, 3) == WRITTEN, server.writes - before
        server.fault = ""
        await server.settled()
        back = await patient(unit)
        confirmed = await write(unit, (4, 5, 6))
        rewritten = isinstance(confirmed, Sent) and registers.get("holding", 10, 3) == (4, 5, 6)
        return Seen(seen_read, seen_write, writes, stored, back, rewritten, over, unit)


@pytest.fixture(scope="module")
def seen() -> dict[Case, Seen | BaseException]:
    async def run_all() -> list[Seen | BaseException]:
        return await asyncio.gather(*(run(case) for case in DUE), return_exceptions=True)

    return dict(zip(DUE, asyncio.run(run_all()), strict=True))


@pytest.fixture(params=DUE, ids=" ".join)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def result(case: Case, seen: dict[Case, Seen | BaseException]) -> Seen:
    found = seen[case]
    if isinstance(found, BaseException):
        raise found
    return found


def test_ds_13_a_read_gives_the_words_or_says_what_is_wrong(case: Case, result: Seen) -> None:
    due = DUE[case].read
    if due == OK:
        assert result.read == WORDS
    else:
        assert isinstance(result.read, Fault)
        assert result.read.kind == due


def test_ds_13_no_write_is_confirmed_but_by_its_own_echo(case: Case, result: Seen) -> None:
    due = DUE[case].write
    if due == OK:
        assert isinstance(result.write, Sent)
    else:
        assert isinstance(result.write, Fault)
        assert result.write.kind == due
    if result.stored and isinstance(result.write, Fault):
        assert result.write.sent


def test_ds_12_t14_a_write_is_sent_once(case: Case, result: Seen) -> None:
    assert result.writes == (0 if case.fault in ("refuse", "accept_close") and case.kind != "rtu" else 1)
    assert result.stored == DUE[case].stored


def test_ds_14_all_is_well_once_the_fault_is_over(case: Case, result: Seen) -> None:
    assert result.after == WORDS
    assert result.rewritten


def test_no_fault_lasts_longer_than_the_time_for_an_answer(result: Seen) -> None:
    """But for a busy device, which is asked again, and a line in doubt, which is waited out first."""
    assert result.over < 4 * TIMEOUT_S + 4


def test_a_wrong_checksum_and_a_second_answer_are_counted(seen: dict[Case, Seen | BaseException]) -> None:
    for kind in ("rtu", "rtu-over-tcp"):
        found = seen[Case(kind, "crc")]
        assert isinstance(found, Seen)
        assert found.unit.line.counts.checksum == 2
    for kind in ("tcp", "rtu", "rtu-over-tcp"):
        found = seen[Case(kind, "dup")]
        assert isinstance(found, Seen)
        assert found.unit.line.counts.doubles == 2


def test_ds_14_a_serial_line_in_doubt_is_closed_and_left_alone(case: Case, result: Seen) -> None:
    counts = result.unit.line.counts
    doubts = sum(DUE[case][k] in (TIMEOUT, BROKEN) for k in (0, 1))
    if case.kind != "tcp":
        assert counts.drains >= doubts
    assert counts.connections >= 1 + doubts
