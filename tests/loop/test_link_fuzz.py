"""Thousands of answers changed at random, over real sockets and pseudo-terminals. The bulk is fuzzed without sockets
(tests/unit/devices/link/test_framing.py); here it is seen that connections, timers and drains bear it too."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from gridopt.devices.frames import Frame
from gridopt.devices.link.address import Kind, LineAddress
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.link.lines import Lines, Patience, Unit
from gridopt.devices.schema import Link
from gridopt.simulate.modbus_server import Server
from gridopt.simulate.registers import Registers

AT_ONCE = 40
REQUESTS = 40
WORDS = tuple(range(1000, 1006))
LINK = Link(timeout_s=0.05)
LATEST_S = 5.0
"""Far beyond a timeout, a drain and a busy machine: what takes longer hangs."""


async def one(unit: Unit, server: Server, k: int, seen: Counter[str]) -> None:
    writes, before = k % 4 == 3, server.writes
    try:
        if writes:
            await unit.write(Frame(16, 50, (k,)))
        else:
            words = await unit.read("holding", 0, len(WORDS))
            assert len(words) == len(WORDS)
            if unit.line.address.rtu:
                assert words == WORDS
        seen["taken"] += 1
    except Fault as fault:
        seen[fault.kind] += 1
    if writes:
        assert server.writes - before <= 1


async def device(kind: Kind, seed: int, seen: Counter[str]) -> None:
    registers = Registers()
    registers.put("holding", 0, WORDS)
    registers.put("holding", 50, (0,), "rw")
    async with (
        Server({1: registers}, line=kind, fault=f"fuzz:{seed}") as server,
        Lines(None, patience=Patience(unit_s=0, line_s=0)) as lines,
    ):
        where = (
            LineAddress("rtu", tty=server.path, baud=115200)
            if kind == "rtu"
            else LineAddress(kind, host=server.host, port=server.port)
        )
        unit = lines.line(where).unit(1, LINK)
        for k in range(REQUESTS):
            await asyncio.wait_for(one(unit, server, k, seen), LATEST_S)
        server.fault = ""
        assert await asyncio.wait_for(patient(unit), LATEST_S) == WORDS


async def patient(unit: Unit) -> tuple[int, ...]:
    """On a busy machine an answer may take longer than is waited for here."""
    while True:
        try:
            return await unit.read("holding", 0, len(WORDS))
        except Fault:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", ["tcp", "rtu-over-tcp", "rtu"])
def test_ds_35_fuzzed_answers_neither_hang_nor_crash_nor_pass_for_others(kind: Kind) -> None:
    async def run() -> Counter[str]:
        seen: Counter[str] = Counter()
        await asyncio.gather(*(device(kind, seed, seen) for seed in range(AT_ONCE)))
        return seen

    seen = asyncio.run(run())
    assert seen.total() == AT_ONCE * REQUESTS
    assert set(seen) <= {"taken", *FaultKind} - {FaultKind.HELD}
    assert seen["taken"] > 0
    assert seen[FaultKind.BROKEN] > 100
    assert seen[FaultKind.TIMEOUT] > 100
