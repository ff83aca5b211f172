"""The link against servers that others wrote: what is read and written arrives as meant, to the last register."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from gridopt.devices.frames import Frame
from gridopt.devices.link.address import LineAddress
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.link.lines import Lines, Unit
from gridopt.devices.schema import Link
from tests.loop import peers

SIZE = 2000
UNIT = 3
LINK = Link(timeout_s=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("peer")


@pytest.fixture(scope="module", params=["pymodbustcp", "libmodbus", "modbus-serial"])
def peer(request: pytest.FixtureRequest, folder: Path) -> list[str]:
    """The command that starts a server; its path ends with what it is called with for TCP."""
    if request.param == "pymodbustcp":
        return peers.pymodbustcp()
    return [*peers.libmodbus(folder), "tcp"] if request.param == "libmodbus" else peers.modbus_serial(folder)


@pytest.fixture(scope="module")
def libmodbus(folder: Path) -> list[str]:
    return peers.libmodbus(folder)


def over_tcp(command: list[str], work: Callable[[Unit], Awaitable[None]]) -> None:
    async def run() -> None:
        async with peers.started(command) as port, Lines(None) as lines:
            await work(lines.line(LineAddress("tcp", host="127.0.0.1", port=port)).unit(UNIT, LINK))

    asyncio.run(asyncio.wait_for(run(), 60))


def over_rtu(command: list[str], work: Callable[[Unit], Awaitable[None]]) -> None:
    async def run() -> None:
        with peers.cable() as (ours, theirs):
            async with peers.started([*command, "rtu", theirs, str(UNIT)]), Lines(None) as lines:
                await work(lines.line(LineAddress("rtu", tty=ours, baud=115200)).unit(UNIT, LINK))

    asyncio.run(asyncio.wait_for(run(), 60))


async def everything(unit: Unit) -> None:
    """Reads and writes of every kind and length, against words kept here."""
    random = Random(1)
    words, bits = [0] * SIZE, [0] * SIZE
    for k in range(160):
        function = random.choice((5, 6, 15, 16))
        most = {5: 1, 6: 1, 15: 1968, 16: 123}[function]
        count = most if k < 20 else random.randint(1, most)
        first = random.choice((0, SIZE - count, random.randint(0, SIZE - count)))
        table = bits if function in (5, 15) else words
        told = tuple(random.randrange(2 if table is bits else 0x10000) for _ in range(count))
        sent = await unit.write(Frame(function, first, told))
        assert sent.request
        assert sent.answer
        table[first : first + count] = told
        name = "coil" if table is bits else "holding"
        size = random.randint(1, 2000 if table is bits else 125)
        at = random.randint(0, SIZE - size)
        assert await unit.read(name, at, size) == tuple(table[at : at + size])
    assert await unit.read("input", 1875, 125) == tuple(n * 31 & 0xFFFF for n in range(1875, 2000))
    assert await unit.read("discrete", 0, 2000) == tuple(int(n % 3 == 0) for n in range(2000))
    assert unit.session == 1
    assert unit.line.counts.faults == dict.fromkeys(FaultKind, 0)


async def refusals(unit: Unit) -> None:
    """A register that is not there: the device says so, and nothing else is disturbed."""
    for work in (
        unit.read("holding", SIZE, 1),
        unit.read("input", SIZE - 1, 2),
        unit.write(Frame(16, SIZE - 1, (1, 2))),
    ):
        with pytest.raises(Fault) as caught:
            await work
        assert (caught.value.kind, caught.value.code) == (FaultKind.REFUSED, 2)
    assert await unit.read("holding", SIZE - 1, 1) == (0,)
    assert unit.session == 1


async def many_at_once(unit: Unit) -> None:
    found = await asyncio.gather(*(unit.read("input", k, k % 9 + 1) for k in range(300)))
    assert found == [tuple(n * 31 & 0xFFFF for n in range(k, k + k % 9 + 1)) for k in range(300)]


@pytest.mark.parametrize("work", [everything, refusals, many_at_once])
def test_servers_of_others_over_tcp(peer: list[str], work: Callable[[Unit], Awaitable[None]]) -> None:
    over_tcp(peer, work)


@pytest.mark.parametrize("work", [everything, refusals, many_at_once])
def test_libmodbus_over_rtu(libmodbus: list[str], work: Callable[[Unit], Awaitable[None]]) -> None:
    over_rtu(libmodbus, work)
