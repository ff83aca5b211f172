"""Modbus servers written by others, each of a descent of its own, started as processes of their own.

What cannot be had on a machine is skipped, with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tty
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
MODBUS_SERIAL = "modbus-serial@8.0.25"
LIBMODBUS = ("libmodbus5", "libmodbus-dev")
PYMODBUSTCP = """
import sys
from pyModbusTCP.server import ModbusServer, DataBank

bank = DataBank(coils_size=2000, d_inputs_size=2000, h_regs_size=2000, i_regs_size=2000)
bank.set_input_registers(0, [k * 31 & 0xFFFF for k in range(2000)])
bank.set_discrete_inputs(0, [k % 3 == 0 for k in range(2000)])
server = ModbusServer(host="127.0.0.1", port=0, no_block=True, data_bank=bank)
server.start()
print("ready", server._service.server_address[1], flush=True)
sys.stdin.read()
server.stop()
"""


def ran(*command: str | Path, folder: Path | None = None, seconds: float = 120) -> str:
    """What is wrong with a command's run, or ""."""
    try:
        done = subprocess.run(command, cwd=folder, timeout=seconds, capture_output=True, text=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it failed"])[-1]


def pymodbustcp() -> list[str]:
    """pyModbusTCP, in Python. Input registers hold 31 times their number, every third discrete input is on."""
    return [sys.executable, "-c", PYMODBUSTCP]


def libmodbus(folder: Path) -> list[str]:
    """libmodbus, in C, as the other servers: from the system, or unpacked beside the tests from the distribution."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("libmodbus: no C compiler")
    built = folder / "libmodbus_server"
    source = str(HERE / "libmodbus_server.c")
    first = ran(compiler, "-O1", "-o", built, source, "-lmodbus")
    if first:
        why = ran("apt-get", "download", "-qq", *LIBMODBUS, folder=folder)
        for package in folder.glob("*.deb"):
            why = why or ran("dpkg-deb", "-x", package, folder / "root")
        found = next((folder / "root").glob("usr/lib/*/libmodbus.so"), None)
        if why or found is None:
            pytest.skip(f"libmodbus: not installed ({first}) and not to be had from the distribution ({why})")
        include = f"-I{folder / 'root' / 'usr' / 'include'}"
        where = found.parent
        why = ran(compiler, "-O1", "-o", built, source, include, f"-L{where}", f"-Wl,-rpath,{where}", "-lmodbus")
        if why:
            pytest.skip(f"libmodbus: it does not compile ({why})")
    return [str(built)]


def modbus_serial(folder: Path) -> list[str]:
    """modbus-serial, in JavaScript."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("modbus-serial: no node with npm")
    quick = ("--fetch-timeout=20000", "--fetch-retries=0", "--no-audit", "--no-fund", "--ignore-scripts", "--silent")
    why = ran(npm, "install", "--prefix", folder, *quick, MODBUS_SERIAL)
    if why:
        pytest.skip(f"modbus-serial: npm could not install it ({why})")
    script = shutil.copy(HERE / "modbus_serial_server.cjs", folder)
    return [node, str(script)]


@asynccontextmanager
async def started(command: Sequence[str]) -> AsyncIterator[int]:
    """Run a server; the port it listens on."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        said = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().split()
        assert said[:1] == ["ready"], f"{command[0]} did not start"
        yield int(said[1])
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()


@contextmanager
def cable() -> Iterator[tuple[str, str]]:
    """Two serial ports joined by a cable: what is written to one is read from the other. Needs a running loop."""
    loop = asyncio.get_running_loop()
    ends = [os.openpty() for _ in range(2)]
    for master, slave in ends:
        for end in (master, slave):
            tty.setraw(end)
        os.set_blocking(master, False)

    def carry(source: int, target: int) -> None:
        with contextlib.suppress(OSError):
            os.write(target, os.read(source, 4096))

    (one, _), (two, _) = ends
    loop.add_reader(one, carry, one, two)
    loop.add_reader(two, carry, two, one)
    try:
        yield os.ttyname(ends[0][1]), os.ttyname(ends[1][1])
    finally:
        for master, slave in ends:
            loop.remove_reader(master)
            os.close(master)
            os.close(slave)
