"""Devices that lie, over loopback: what is read while a fault is on is never a wrong number called good.

The faults are those that a correct frame can carry, so that no link can see them: registers one off, words exchanged,
"not available" everywhere, values that stand still, counters that start again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from gridopt.devices.adapter import Adapter, load, shipped
from gridopt.devices.codec import Quality
from gridopt.devices.counters import Event
from gridopt.devices.device import Device, Stranger
from gridopt.devices.link.address import LineAddress
from gridopt.devices.link.lines import Lines
from gridopt.simulate.modbus_server import Line, Server
from gridopt.simulate.registers import Registers
from tests.support.fake_unit import Clock, FakeUnit
from tests.unit.devices.test_device import SDM, house

SIM = load("gridopt-sim-meter")
CLOCK = Clock()


def sim_meter() -> FakeUnit:
    unit = FakeUnit()
    values = {"voltage_l1_v": 231.0, "voltage_l2_v": 230.0, "voltage_l3_v": 229.5, "frequency_hz": 50.02}
    values |= {"power_l1_kw": 1.0, "power_l2_kw": 0.9, "power_l3_kw": 0.5, "power_kw": 2.4}
    values |= {"current_l1_a": 4.3, "current_l2_a": 3.9, "current_l3_a": 2.2}
    values |= {"energy_import_kwh": 70000.0, "energy_export_kwh": 1.0}
    unit.hold(SIM, values)
    unit.hold(SIM, {"model_name": "gridopt-sim-meter", "serial_number": "7"})
    return unit


METERS: dict[str, tuple[Adapter, Callable[[], FakeUnit]]] = {"sdm": (SDM, house), "sim": (SIM, sim_meter)}


def memory(adapter: Adapter, unit: FakeUnit) -> Registers:
    found = Registers(adapter.points.values(), read_registers=125, bridge_registers=100)
    for table, words in unit.tables.items():
        for register, word in words.items():
            found.put(table, register, [word], "r")
    return found


@asynccontextmanager
async def meter(which: str, line: Line = "tcp", clock: Clock = CLOCK) -> AsyncIterator[tuple[Device, Server]]:
    adapter, made = METERS[which]
    async with Server({1: memory(adapter, made())}, line=line) as server, Lines(None) as lines:
        if line == "rtu":
            address = LineAddress("rtu", tty=server.path)
        else:
            address = LineAddress("tcp" if line == "tcp" else "rtu-over-tcp", "127.0.0.1", server.port)
        unit = lines.line(address).unit(1, adapter.link)
        yield Device("meter", adapter, unit, clock=clock, now=lambda: datetime(2026, 3, 2, tzinfo=UTC)), server


@pytest.mark.parametrize("line", ["tcp", "rtu", "rtu-over-tcp"])
@pytest.mark.parametrize("which", METERS)
def test_an_honest_meter_is_read_whole(which: str, line: Line) -> None:
    async def work() -> None:
        async with meter(which, line) as (device, _):
            found = await device.read()
            assert {r.quality for r in found.values()} == {Quality.GOOD}
            assert found["power_kw"].value == pytest.approx(2.4)

    asyncio.run(work())


@pytest.mark.parametrize("fault", ["off_by_one", "swap", "sentinel:8000", "sentinel:FFFF", "nan"])
@pytest.mark.parametrize("which", METERS)
def test_ds_07_a_device_that_lies_from_the_start_is_not_known(which: str, fault: str) -> None:
    async def work() -> None:
        async with meter(which) as (device, server):
            server.fault = fault
            with pytest.raises(Stranger):
                await device.identify()
            found = await device.read()
            assert {r.quality for r in found.values()} == {Quality.FAILED}
            server.fault = ""
            assert (await device.read())["power_kw"].good

    asyncio.run(work())


@pytest.mark.parametrize("fault", ["off_by_one", "swap", "sentinel:8000", "sentinel:FFFF", "nan"])
@pytest.mark.parametrize("which", METERS)
def test_ds_06_a_device_that_begins_to_lie_gives_no_wrong_number(which: str, fault: str) -> None:
    async def work() -> None:
        async with meter(which) as (device, server):
            before = await device.read()
            server.fault = fault
            for _ in range(2):
                found = await device.read()
                for name, reading in found.items():
                    assert not reading.good or reading.value == before[name].value, name
                assert not found["power_kw"].good

    asyncio.run(work())


@pytest.mark.parametrize("which", METERS)
def test_ds_06_frozen_readings_go_stale(which: str) -> None:
    async def work() -> None:
        clock = Clock()
        async with meter(which, clock=clock) as (device, server):
            registers = server.units[1]
            point = SDM.points["voltage_l1_v"] if which == "sdm" else SIM.points["voltage_l1_v"]

            def noise(table: str, address: int, count: int) -> None:
                low = registers.read(point.table, point.end - 1, 1)[0]
                registers.put(point.table, point.end - 1, [low ^ 1])

            registers.on_read = None
            for k in range(8):
                noise(point.table, point.address, 1)
                if k == 3:
                    server.fault = "frozen"
                found = await device.read()
                clock.sleep(100)
                fresh = {r.quality for r in found.values()}
                still_s = 100 * (k - 3)
                assert point.moves_s is not None
                frozen = still_s > point.moves_s and k - 3 >= 2
                assert fresh == ({Quality.STALE} if frozen else {Quality.GOOD}), k
            server.fault = ""
            noise(point.table, point.address, 1)
            assert (await device.read())["power_kw"].good

    asyncio.run(work())


def test_a_counter_that_starts_again_or_turns_over_is_told() -> None:
    async def work() -> None:
        clock = Clock()
        async with meter("sim", clock=clock) as (device, server):
            registers, point = server.units[1], SIM.points["energy_import_kwh"]

            def count(wh: int) -> None:
                words = registers.read(point.table, point.address, 4)
                number = int.from_bytes(b"".join(w.to_bytes(2, "big") for w in words), "big") + wh
                raw = number.to_bytes(8, "big")
                registers.put(point.table, point.address, [int.from_bytes(raw[k : k + 2], "big") for k in (0, 2, 4, 6)])

            await device.read()
            count(500)
            clock.sleep(60)
            await device.read()
            assert device.counted["energy_import_kwh"].kwh == pytest.approx(0.5)
            server.fault = "counter"
            clock.sleep(60)
            await device.read()
            assert device.counted["energy_import_kwh"].event is Event.RESET
            assert device.counted["energy_import_kwh"].kwh is None
            count(200)
            clock.sleep(60)
            await device.read()
            assert device.counted["energy_import_kwh"].kwh == pytest.approx(0.2)

    asyncio.run(work())


@pytest.mark.parametrize("fault", ["exc:1", "exc:2", "exc:3"])
def test_a_device_that_refuses_all_for_a_while_comes_back_whole(fault: str) -> None:
    async def work() -> None:
        async with meter("sdm") as (device, server):
            await device.read()
            server.fault = fault
            found = await device.read()
            assert {r.quality for r in found.values()} == {Quality.FAILED}
            assert device.quarantined == {}
            server.fault = ""
            found = await device.read()
            assert {r.quality for r in found.values()} == {Quality.GOOD}

    asyncio.run(work())


@pytest.mark.parametrize("fault", ["few", "many", "fc", "unit", "tid", "garbage", "half_close", "exc:4", "exc:99"])
def test_a_block_that_failed_is_not_updated_in_part(fault: str) -> None:
    async def work() -> None:
        async with meter("sdm") as (device, server):
            await device.read()
            server.fault = fault + "*9"
            found = await device.read(["voltage_l1_v", "voltage_l2_v", "power_l1_kw"])
            assert {r.quality for r in found.values()} == {Quality.FAILED}
            assert all(r.value is None and r.why for r in found.values())

    asyncio.run(work())


@pytest.mark.parametrize("name", [name for name in shipped() if name.startswith("gridopt-sim-")])
@pytest.mark.parametrize("fault", ["sentinel:8000", "sentinel:FFFF", "nan"])
def test_ds_06_no_number_that_is_not_available_passes_for_one(name: str, fault: str) -> None:
    """Every number of the devices that gridopt simulates, whatever the pattern that stands for nothing."""
    adapter = load(name)
    unit = FakeUnit()
    unit.hold(adapter, {"model_name": name, "serial_number": "1"})
    for point in adapter.points.values():
        if point.codec.type != "text":
            unit.put(point.table, point.address, [0] * point.codec.registers)

    async def work() -> None:
        async with Server({1: memory(adapter, unit)}, fault=fault) as server, Lines(None) as lines:
            line = lines.line(LineAddress("tcp", "127.0.0.1", server.port)).unit(1, adapter.link)
            device = Device("d", adapter, line, clock=CLOCK, now=lambda: datetime(2026, 3, 2, tzinfo=UTC))
            found = await device.read()
            assert [n for n, r in found.items() if r.good and isinstance(r.value, float)] == []

    asyncio.run(work())
