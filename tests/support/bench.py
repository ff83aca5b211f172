"""A bench for dispatch without a network and without waiting: real adapters, devices and journal, served registers
whose fail-safes act, and a time that moves only when somebody sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gridopt.assets.ev_session import PHASE_KV
from gridopt.clock import Axis
from gridopt.devices import site as sites
from gridopt.devices.device import Device
from gridopt.devices.frames import Frame
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.site import Site
from gridopt.dispatch.channel import Channel, May
from gridopt.dispatch.clock import Clock
from gridopt.dispatch.history import History
from gridopt.dispatch.hold import Holder
from gridopt.dispatch.plan import Plan
from gridopt.simulate.plant import Told
from gridopt.simulate.registers import Refused, Registers
from gridopt.simulate.served import Behind, Served, hooked
from gridopt.store.journal import Journal

T = TypeVar("T")
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
WRITES = {5: "coil", 6: "holding", 15: "coil", 16: "holding"}

BATTERY = '[device.bat]\nadapter = "gridopt-sim-battery"\nline = "main"\nunit_id = 1\n[device.bat.write.power]\n'
CHARGER = '[device.car]\nadapter = "gridopt-sim-charger"\nline = "main"\nunit_id = 2\n[device.car.write.current]\n'
PUMP = '[device.pump]\nadapter = "gridopt-sim-heat-pump"\nline = "main"\nunit_id = 3\n[device.pump.write.mode]\n'
SUN = '[device.sun]\nadapter = "gridopt-sim-pv"\nline = "main"\nunit_id = 4\n[device.sun.write.limit]\n'
METER = '[device.meter]\nadapter = "gridopt-sim-meter"\nline = "main"\nunit_id = 9\nnode = "feeder"\n'
HEAD = 'format = 1\n[line.main]\ntcp = "127.0.0.1:1502"\n'


def anything_may(device: str, command: str, value: float, rung: str, now: datetime) -> str:
    """The permission of a typed hash."""
    return ""


class Time:
    """Monotonic and wall time that move together when somebody sleeps; ``set_wall`` moves the wall's alone."""

    def __init__(self, start: datetime = NOON) -> None:
        self.at_s, self.zero = 1000.0, start - timedelta(seconds=1000)

    def monotonic(self) -> float:
        return self.at_s

    def now(self) -> datetime:
        return self.zero + timedelta(seconds=self.at_s)

    def set_wall(self, step: timedelta) -> None:
        self.zero += step

    async def sleep(self, time_s: float) -> None:
        until = self.at_s + time_s
        await asyncio.sleep(0)
        self.at_s = max(self.at_s, until)


class OneDevicePlant:
    """A plant of one device that does what it is told at once, and by itself what ``own_kw`` says."""

    def __init__(self, rated_kw: float, own_kw: float = 0.0, content: float = 0.5) -> None:
        self.rated_kw, self.own_kw, self.content = rated_kw, own_kw, content
        self.obeys = True
        self.orders: tuple[Told, ...] = ()
        self.energy_kwh = {"x": [0.0, 0.0], "node": [0.0, 0.0]}

    def here(self, asset: str) -> bool:
        return True

    def told(self, asset: str) -> tuple[Told, ...]:
        return self.orders

    def tell(self, asset: str, *told: Told) -> None:
        self.orders = told

    def net_kw(self, node: str) -> float:
        return self.own_kw

    def power_kw(self, asset: str, port: str | None = None) -> float:
        kw = self.own_kw
        for order in self.orders if self.obeys else ():
            value = order.value if isinstance(order.value, float) else 0.0
            match order.command:
                case "power":
                    kw = value
                case "limit":
                    kw = max(kw, -value)
                case "current":
                    kw = min(kw, value * 3 * PHASE_KV)
                case "mode" | "on_off" if order.value in ("lock", "off"):
                    kw = 0.0
        return kw

    def column(self, asset: str, name: str) -> float | None:
        return {"power_kw": self.rated_kw, "capacity_kwh": 10.0, "phases": 3.0}.get(name)

    def state(self, asset: str, name: str) -> float | None:
        return {"soc_kwh": 10.0 * self.content, "temperature_c": 20.0}.get(name)

    def flow(self, asset: str, name: str) -> float | None:
        return None


@dataclass
class FakeUnit:
    """A unit of a line, without one. ``fault``: "", offline, silent, noack, ack_nowrite, refuse, reboot or read-only;
    ``log``: frames that arrived."""

    registers: Registers
    time: Time
    fault: str = ""
    session: int = 1
    log: list[tuple[float, int, int, tuple[int, ...]]] = field(default_factory=list)
    reads: int = 0

    async def read(self, table: str, address: int, count: int, **_: object) -> Sequence[int]:
        self._there(sent=True)
        self.reads += 1
        try:
            return self.registers.read(table, address, count)
        except Refused as refused:
            raise Fault(FaultKind.REFUSED, f"exception {refused.code}", code=refused.code, sent=True) from None

    async def write(self, frame: Frame, *, release: bool = False, **_: object) -> Any:
        self._there(sent=True)
        self.log.append((self.time.monotonic(), frame.function, frame.address, frame.words))
        if self.fault == "refuse":
            raise Fault(FaultKind.REFUSED, "exception 3", code=3, sent=True)
        if self.fault == "gone":
            self.fault = "offline"
            raise Fault(FaultKind.TIMEOUT, "no answer", sent=True)
        if self.fault != "ack_nowrite":
            self.registers.write(WRITES[frame.function], frame.address, frame.words)
        if self.fault == "noack":
            raise Fault(FaultKind.TIMEOUT, "no answer", sent=True)
        return _Sent(bytes(frame.words[0:1] and [frame.function]), b"\1", 0.01)

    def _there(self, sent: bool) -> None:
        if self.fault == "offline":
            raise Fault(FaultKind.OFFLINE, "no connection", sent=False)
        if self.fault == "silent":
            raise Fault(FaultKind.TIMEOUT, "no answer", sent=sent)


@dataclass(frozen=True)
class _Sent:
    request: bytes
    answer: bytes
    latency_s: float


@dataclass
class Bench:
    """Everything that dispatch needs, for the devices of one devices.toml. ``plants`` may be changed at will."""

    site: Site
    time: Time
    journal: Journal
    units: dict[str, FakeUnit] = field(default_factory=dict)
    plants: dict[str, OneDevicePlant] = field(default_factory=dict)
    served: dict[str, Served] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    may: May = anything_may
    who: str = "test"

    def __post_init__(self) -> None:
        for name, said in self.site.devices.items():
            self._serve(name, said)
        self.restart()

    def _serve(self, name: str, said: Any) -> None:
        registers = Registers(said.adapter.points.values(), 125, 100)
        own = {"charger": 11.0, "inverter": -8.0, "heat-pump": 3.0}.get(said.adapter.header.kind, 0.0)
        plant = self.plants[name] = OneDevicePlant(10.0 if said.adapter.header.kind != "charger" else 22.0, own)
        node = "node" if said.adapter.header.kind == "meter" else None
        behind = Behind(plant, () if node else ("x",), node, node)  # type: ignore[arg-type]
        writes = {n: said.whole(n) for n in said.writes}
        served = Served(name, said.adapter, behind, registers, self.time.monotonic, writes=writes)
        hooked(registers, [served], lambda: served.expire(self.time.monotonic()))
        self.served[name], self.units[name] = served, FakeUnit(registers, self.time)

    def restart(self) -> None:
        """A new process: nothing is known but what the journal says."""
        clock = self.time
        self.clock = Clock(clock.monotonic, clock.now)
        self.devices = {
            name: Device(name, d.adapter, self.units[name], clock=clock.monotonic, now=clock.now, part=d.part)
            for name, d in self.site.devices.items()
        }
        writes = {(n, w): d.whole(w) for n, d in self.site.devices.items() for w in d.writes}
        history = History(self.journal.entries(), writes)
        self.history = history
        self.channels = [
            Channel(d, w, self.devices[n], self.journal, self.clock, clock.sleep, history.of(n, w), self.who, self.may)
            for n, d in self.site.devices.items()
            for w in d.writes
        ]

    def channel(self, device: str) -> Channel:
        return next(c for c in self.channels if c.site.name == device)

    def holder(self, **options: Any) -> Holder:
        return Holder(self.channels, self.journal, self.clock, self.time.sleep, groups=self.site.groups, **options)

    def writes(self, device: str | None = None) -> int:
        return sum(len(u.log) for n, u in self.units.items() if device in (None, n))

    def number(self, device: str, point: str) -> Any:
        """What a register means now, its fail-safe having acted where it is due."""
        self.served[device].expire(self.time.monotonic())
        return self.served[device].value(point)

    def kinds(self, kind: str) -> list[Mapping[str, Any]]:
        return [e.body for e in self.journal.entries() if e.kind == kind]


def bench(folder: Path, devices: str = BATTERY, **options: Any) -> Bench:
    """A bench for a devices.toml; the line and the head are there already."""
    (folder / "devices.toml").write_text(HEAD + devices)
    return Bench(sites.load(folder), Time(), Journal.open(folder / "journal.sqlite"), **options)


def a_plan(
    told: Mapping[tuple[str, str], Sequence[float]], *, start: datetime = NOON, step_min: int = 15, **said: Any
) -> Plan:
    steps = max(len(row) for row in told.values())
    axis = Axis(start, step_min, steps)
    fields: dict[str, Any] = {
        "id": "plan-1", "hash": "ab" * 32, "rung": "optimal", "created": start - timedelta(hours=1),
        "valid_from": axis.start, "valid_until": axis.end,
    }  # fmt: skip
    rows = {key: np.array(row, float) for key, row in told.items()}
    return Plan(axis=axis, told=rows, **(fields | said))


def turns(holder: Holder, many: int) -> Coroutine[Any, Any, None]:
    async def take() -> None:
        for _ in range(many):
            if await holder.cycle():
                return
            await holder.sleep(holder.pace_s)

    return take()
