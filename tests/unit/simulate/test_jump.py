"""A loop whose clock jumps: hours go by in no time, and nothing on a socket is late."""

from __future__ import annotations

import asyncio
import time

from gridopt.simulate import jump
from gridopt.simulate.modbus_server import Server
from gridopt.simulate.registers import Registers
from gridopt.simulate.wire import mbap


def test_hours_go_by_while_nothing_happens() -> None:
    async def day() -> list[float]:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        seen = []

        async def wake(after_s: float) -> None:
            await asyncio.sleep(after_s)
            seen.append(loop.time() - began_s)

        await asyncio.gather(wake(7200), wake(60), wake(3600))
        return seen

    assert [round(s) for s in jump.run(day())] == [60, 3600, 7200]


def test_time_stands_still_while_something_is_computed_or_done_in_another_thread() -> None:
    async def work() -> float:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        time.sleep(0.02)
        assert loop.time() == began_s
        waiting = asyncio.ensure_future(asyncio.sleep(3600))
        await asyncio.to_thread(time.sleep, 0.05)
        passed_s = loop.time() - began_s
        waiting.cancel()
        return passed_s

    assert jump.run(work()) == 0.0


def test_answers_over_a_socket_come_before_any_timer() -> None:
    registers = Registers()
    registers.put("holding", 0, range(10), "rw")

    async def many() -> int:
        loop = asyncio.get_running_loop()
        async with Server({1: registers}) as server:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            began_s = loop.time()
            for k in range(300):
                writer.write(mbap(k, 1, bytes((3, 0, 0, 0, 2))))
                await asyncio.wait_for(reader.readexactly(13), 0.5)
            assert loop.time() == began_s
            server.fault = "slow:30"
            writer.write(mbap(1, 1, bytes((3, 0, 0, 0, 2))))
            await reader.readexactly(13)
            assert 30 <= loop.time() - began_s < 30.1
            writer.close()
            await writer.wait_closed()
            return server.requests()

    assert jump.run(many()) == 301
