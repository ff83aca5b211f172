"""SunSpec against peers of other descent: registers encoded by pysunspec2, served by pyModbusTCP, read and limited by
gridopt, and decoded by pysunspec2 again."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from gridopt.devices.adapter import load
from gridopt.devices.codec import Quality
from gridopt.devices.device import Device
from gridopt.devices.frames import frames, release_frames
from gridopt.devices.link.address import LineAddress
from gridopt.devices.link.lines import Lines

server_of = pytest.importorskip("pyModbusTCP.server", reason="pyModbusTCP is not installed")
sunspec2 = pytest.importorskip("sunspec2.device", reason="pysunspec2 is not installed")

COMMON = {"Mn": "Any Maker", "Md": "Any Model", "SN": "A-1"}
VALUES: dict[str, dict[int, dict[str, Any]]] = {
    "sunspec-inverter": {
        1: COMMON,
        103: {
            "W": 7350,
            "W_SF": 0,
            "Hz": 5002,
            "Hz_SF": -2,
            "PhVphA": 2304,
            "V_SF": -1,
            "St": 4,
            "WH": 1234,
            "WH_SF": 1,
        },
        120: {"WRtg": 1000, "WRtg_SF": 1},
        123: {"WMaxLimPct": 10000, "WMaxLimPct_SF": -2, "WMaxLim_Ena": 0, "WMaxLimPct_RvrtTms": 0},
    },
    "sunspec-der": {
        1: COMMON,
        701: {"W": 735, "W_SF": 1, "Hz": 50020, "Hz_SF": -3, "VL1": 2304, "V_SF": -1, "InvSt": 3, "TotWhInj": 12340},
        702: {"WMaxRtg": 1000, "WMax": 1000, "W_SF": 1},
        704: {"WMaxLimPct": 10000, "WMaxLimPctRvrt": 10000, "WMaxLimPct_SF": -2, "WMaxLimPctEna": 0},
    },
}
VALUES["sunspec-der"][701]["TotWh_SF"] = 0


class Peer:
    """A pyModbusTCP server whose registers pysunspec2 encoded."""

    def __init__(self, models: dict[int, dict[str, Any]], base: int) -> None:
        words: list[int] = [0x5375, 0x6E53]
        self.starts: dict[int, int] = {}
        for number, values in models.items():
            model = sunspec2.Model(number)
            for name, value in values.items():
                model.points[name].value = value
            raw = model.get_mb()
            self.starts[number] = base + len(words)
            words += struct.unpack(f">{len(raw) // 2}H", raw)
        self.bank = server_of.DataBank()
        self.bank.set_holding_registers(base, [*words, 0xFFFF, 0])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.server = server_of.ModbusServer("127.0.0.1", self.port, no_block=True, data_bank=self.bank)

    def says(self, number: int) -> Any:
        """What pysunspec2 reads in a model now."""
        at = self.starts[number]
        length = self.bank.get_holding_registers(at + 1, 1)[0]
        words = self.bank.get_holding_registers(at, length + 2)
        return sunspec2.Model(number, data=struct.pack(f">{len(words)}H", *words), model_len=length)


@pytest.fixture(params=[(name, base) for name in VALUES for base in (40000, 0)], ids=lambda p: f"{p[0]}-{p[1]}")
def peer(request: pytest.FixtureRequest) -> Iterator[tuple[str, Peer]]:
    name, base = request.param
    found = Peer(VALUES[name], base)
    found.server.start()
    yield name, found
    found.server.stop()


def test_a_device_of_other_descent_is_read_limited_and_let_go(peer: tuple[str, Peer]) -> None:
    name, served = peer
    adapter = load(name)
    write = adapter.writes["limit"]
    whole = str(write.share_of)

    async def work() -> None:
        async with Lines(None) as lines:
            unit = lines.line(LineAddress("tcp", "127.0.0.1", served.port)).unit(1, adapter.link)
            device = Device("pv", adapter, unit, clock=time.monotonic, now=lambda: datetime(2026, 3, 2, tzinfo=UTC))
            found = await device.read()
            assert device.serial == "A-1"
            assert dict(device.starts) == served.starts
            assert found["power_kw"].value == -7.35
            assert found["frequency_hz"].value == pytest.approx(50.02)
            assert found["voltage_l1_v"].value == pytest.approx(230.4)
            assert found["energy_yield_kwh"].value == pytest.approx(12.34)
            assert found["state"].value == "running"
            assert found[whole].value == 10.0
            assert found["model_name"].value == "Any Model"
            unsaid = {"sunspec-inverter": "current_l1_a", "sunspec-der": "revert_left_s"}[name]
            assert found[unsaid].quality is Quality.MISSING
            for frame in frames(adapter.points, write, 6, {whole: 10.0}, device.exponents):
                await device.write(frame)
            check_limited(name, served, True)
            assert (await device.read(["limit_share"]))["limit_share"].value == 0.6
            for frame in release_frames(adapter.points, write, device.exponents):
                await device.write(frame, release=True)
            check_limited(name, served, False)

    asyncio.run(work())


def check_limited(name: str, served: Peer, limited: bool) -> None:
    """As pysunspec2 sees it."""
    if name == "sunspec-inverter":
        model = served.says(123)
        assert model.WMaxLimPct.cvalue == 60.0
        assert model.WMaxLimPct_RvrtTms.value == 60
        assert model.WMaxLim_Ena.value == int(limited)
    else:
        model = served.says(704)
        assert model.WMaxLimPct.cvalue == 60.0
        assert model.WMaxLimPctRvrt.cvalue == 100.0
        assert model.WMaxLimPctRvrtTms.value == 60
        assert model.WMaxLimPctEnaRvrt.value == 0
        assert model.WMaxLimPctEna.value == int(limited)
