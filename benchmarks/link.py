"""What all the checks of the link cost: polling many devices, each on a line of its own, against bare pymodbus.

The server is a process of its own that answers from ready bytes, so that the processor's time here is the client's.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from pymodbus.client import AsyncModbusTcpClient

from benchmarks.harness import Result, Row, alternate, benchmark, ratio
from gridopt.devices.link.address import LineAddress
from gridopt.devices.link.fault import FaultKind
from gridopt.devices.link.lines import Lines, Unit
from gridopt.devices.schema import Link
from tests.support import fuzz

REGISTERS = 100
LEAST_RATE = 0.8
FILES = 8192
"""Descriptors: a connection of each kind, a port and a lock per device."""
SERVER = """
import asyncio, resource, sys
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(int(sys.argv[2]), hard), hard))
COUNT = int(sys.argv[3])
BODY = bytes((3, 2 * COUNT)) + b"".join(k.to_bytes(2, "big") for k in range(COUNT))
LENGTH = (len(BODY) + 1).to_bytes(2, "big")
asked = 0

class Device(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        global asked
        asked += 1
        self.transport.write(data[:4] + LENGTH + data[6:7] + BODY)

async def main():
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Device, "127.0.0.1", 0) for _ in range(int(sys.argv[1]))]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(asked, flush=True)

asyncio.run(main())
"""


@contextmanager
def devices(number: int) -> Iterator[tuple[list[int], subprocess.Popen[str]]]:
    """Ports of devices on this machine, and the process that serves them; at the end of its input it says how often it
    was asked."""
    command = [sys.executable, "-c", SERVER, str(number), str(FILES), str(REGISTERS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield [int(port) for port in process.stdout.readline().split()], process
        process.kill()


async def poll_bare(clients: list[AsyncModbusTcpClient], reads: int) -> None:
    async def one(client: AsyncModbusTcpClient) -> None:
        for _ in range(reads):
            answer = await client.read_holding_registers(0, count=REGISTERS, device_id=1)
            assert not answer.isError()

    await asyncio.gather(*(one(client) for client in clients))


async def poll_link(units: list[Unit], reads: int) -> None:
    async def one(unit: Unit) -> None:
        for _ in range(reads):
            await unit.read("holding", 0, REGISTERS)

    await asyncio.gather(*(one(unit) for unit in units))


async def connected(ports: list[int]) -> list[AsyncModbusTcpClient]:
    clients = [AsyncModbusTcpClient("127.0.0.1", port=port, retries=0) for port in ports]
    for client in clients:
        assert await client.connect()
    return clients


def compare(number: int, reads: int, rounds: int) -> tuple[Row, int]:
    """The figures of so many devices, and how many requests too many or too few the server saw."""
    with devices(number) as (ports, process), tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        loop = runner.get_loop()

        async def open_lines() -> Lines:
            return Lines(Path(folder), "benchmark")

        lines = runner.run(open_lines())
        bare = runner.run(connected(ports))

        async def units_of() -> list[Unit]:
            return [lines.line(LineAddress("tcp", host="127.0.0.1", port=p)).unit(1, Link()) for p in ports]

        units = runner.run(units_of())
        runner.run(poll_link(units, 1))
        runner.run(poll_bare(bare, 1))
        times = alternate(
            rounds,
            bare=lambda: loop.run_until_complete(poll_bare(bare, reads)),
            link=lambda: loop.run_until_complete(poll_link(units, reads)),
        )
        for client in bare:
            client.close()
        runner.run(lines.close())
        said, _ = process.communicate("")
        wall, cpu = ratio(times["bare"], times["link"])
        polled = number * reads
        row = {
            "devices": number,
            "reads": polled,
            "rate_wall": wall,
            "rate_cpu": cpu,
            "link_us": median(times["link"].cpu) / polled * 1e6,
            "bare_us": median(times["bare"].cpu) / polled * 1e6,
        }
        faults = sum(unit.line.counts.faults[kind] for unit in units for kind in FaultKind)
        missed = abs(int(said) - 2 * number * (1 + reads * rounds))
        return row, missed + faults


@benchmark("link", "Polling with every answer checked, against bare pymodbus")
def run(full: bool) -> Result:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(FILES, hard)), hard))
    result = Result()
    for number, reads in ((1, 1500), (100, 20), (1000, 3)):
        row, wrong = compare(number, reads, 15 if full else 5)
        result.rows.append(row)
        result.counter(f"{number} devices: requests that the server missed or saw twice, and faults", wrong, 0)
        result.target(f"{number} devices: reads a second over bare pymodbus", row["rate_cpu"], LEAST_RATE, least=True)
    result.notes.append("Rates are of 100-register reads, over bare pymodbus; times are the processor's, a read.")
    return result


@benchmark("fuzz", "Answers changed at random, and what the link makes of them")
def run_fuzz(full: bool) -> Result:
    result = Result()
    number = 500_000 if full else 50_000
    kinds: tuple[fuzz.Kind, ...] = ("tcp", "rtu")
    for kind in kinds:
        begin = time.perf_counter()
        seen = fuzz.run(kind, number, seed=11)
        row = {"framing": kind, "answers": number} | {
            what: seen[what] for what in ("taken", "refused", "busy", "gateway", "broken", "timeout")
        }
        result.rows.append(row | {"answer_us": (time.perf_counter() - begin) / number * 1e6})
        result.counter(f"{kind}: answers taken that were none", seen["wrong"], 0)
        result.counter(f"{kind}: more bytes kept than an answer has", seen["hoarded"], 0)
    return result
