"""Registers served on loopback by a thread of its own, so that a whole command can read them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping

from gridopt.simulate.modbus_server import Line, Server
from gridopt.simulate.registers import Registers
from tests.support.fake_unit import FakeUnit


def registers(unit: FakeUnit, bridge: int = 100) -> Registers:
    """The words of a unit without a line, for a server."""
    found = Registers(read_registers=125, bridge_registers=bridge)
    for table, words in unit.tables.items():
        for register, word in words.items():
            found.put(table, register, [word], "rw" if table in ("holding", "coil") else "r")
    return found


@contextlib.contextmanager
def served(
    units: Mapping[int, Registers], line: Line = "tcp", fault: str = "", gateway: bool = True
) -> Iterator[Server]:
    """A server that runs until the block ends; an unknown unit is answered as by a gateway."""
    loop = asyncio.new_event_loop()
    server = Server(units, line=line, gateway=gateway, fault=fault)
    started = threading.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(server.start())
        started.set()
        loop.run_forever()
        loop.run_until_complete(server.stop())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
