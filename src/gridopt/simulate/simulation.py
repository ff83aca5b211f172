"""The devices of a site, simulated: every line of ``devices.toml`` on loopback, a plant behind all of them, one time.

The plant's day goes by ``speed`` times faster than ``clock``. Everything between a master and its devices (fail-safe
timers, slow answers, a device that starts anew) takes seconds of ``clock``: a charge point with a watchdog of 30 s
falls back after 30 s, in which at a speed of 60 half an hour of its car's day goes by. Whoever wants to see a fail-safe
act as it would on that day chooses a speed of 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridopt.devices.link.address import LineAddress
from gridopt.devices.site import Site, SiteDevice
from gridopt.errors import Mistake, SiteError
from gridopt.simulate.modbus_server import Server, loopback
from gridopt.simulate.plant import Plant
from gridopt.simulate.registers import Registers
from gridopt.simulate.served import Behind, Served, hooked
from gridopt.written.toml import shown

TICK_S = 1.0
"""How often the plant lives on when nobody asks it anything, at most; a minute of its day otherwise."""


@dataclass(frozen=True)
class Stands:
    """What each device stands for: assets of the scenario, or a node."""

    assets: Mapping[str, Sequence[str]]
    nodes: Mapping[str, str]


class Simulation:
    """``async with Simulation(site, plant, stands, clock) as simulation``. ``servers``: by line.

    Raises SiteError where a line is not on this machine, or a device stands for nothing of the scenario.
    """

    def __init__(
        self, site: Site, plant: Plant, stands: Stands, clock: Callable[[], float], speed: float = 1.0
    ) -> None:
        _check(site, plant, stands)
        self.site, self.plant, self.clock, self.speed = site, plant, clock, speed
        self.devices: dict[str, Served] = {}
        self.servers: dict[str, Server] = {}
        self._registers: dict[tuple[str, int], Registers] = {}
        self._links: list[Path] = []
        self._zero_s = clock()
        self._begun = plant.step
        self._ticking: asyncio.Task[None] | None = None
        self._place(stands)

    # --- life ---

    async def start(self) -> Simulation:
        try:
            for server in self.servers.values():
                await server.start()
            for name, server in self.servers.items():
                self._show_terminal(self.site.lines[name], server)
        except OSError:
            await self.stop()
            raise
        self._ticking = asyncio.get_running_loop().create_task(self._tick())
        return self

    async def stop(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        for server in self.servers.values():
            await server.stop()
        for link in self._links:
            link.unlink(missing_ok=True)
        self._links.clear()

    async def __aenter__(self) -> Simulation:
        return await self.start()

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(max(TICK_S, 60.0 / self.speed))
            self.catch_up()

    # --- time ---

    @property
    def minute(self) -> float:
        """Where the plant's day is now, in its minutes from the start."""
        return self._begun + (self.clock() - self._zero_s) * self.speed / 60.0

    @property
    def over(self) -> bool:
        """Whether the horizon has gone by."""
        return self.minute >= self.plant.axis.steps

    def catch_up(self) -> None:
        """Let plant and fail-safes live up to now, whatever comes first before what comes later."""
        now_s = self.clock()
        while True:
            next_s = self._zero_s + (self.plant.step + 1 - self._begun) * 60.0 / self.speed
            due_s = min([d.due_s for d in self.devices.values()], default=math.inf)
            if next_s > now_s and due_s > now_s:
                return
            if due_s <= next_s:
                for device in self.devices.values():
                    device.expire(due_s)
            else:
                self.plant.advance()

    # --- faults ---

    def set_fault(self, device: str, text: str) -> None:
        """Switch a fault on: of the unit, or of the whole line where it is one of lines; "" switches it off.

        Raises ValueError for an unknown device or fault.
        """
        from gridopt.simulate import faults
        from gridopt.written.words import did_you_mean

        if device not in self.site.devices:
            raise ValueError(f"there is no device {device}{did_you_mean(device, self.site.devices)}")
        said = self.site.devices[device]
        server = self.servers[said.line]
        fault = faults.parse(text, server.framing)
        if (fault is not None and fault.place == "line") or (not text and server.fault):
            server.fault = text
        else:
            server.set_fault(said.unit_id, text)

    # --- building ---

    def _place(self, stands: Stands) -> None:
        units: dict[tuple[str, int], list[Served]] = {}
        for name, device in self.site.devices.items():
            link, key = device.adapter.link, (device.line, device.unit_id)
            registers = self._registers.setdefault(key, Registers((), link.read_registers, link.bridge_registers))
            served = Served(
                name,
                device.adapter,
                self._behind(name, stands),
                registers,
                self.clock,
                shift=(link.stride or 0) * (device.part or 0),
                serial=device.said.serial,
                writes={command: device.whole(command) for command in device.writes},
                shares={command: said.share_of for command, said in device.writes.items()},
                requires=device.said.requires,
            )
            units.setdefault(key, []).append(served)
            self.devices[name] = served
        for key, those in units.items():
            hooked(self._registers[key], those, self.catch_up)
        for name, address in self.site.lines.items():
            own = {unit: registers for (line, unit), registers in self._registers.items() if line == name}
            if own:
                host = {} if address.serial else {"host": address.host, "port": address.port}
                self.servers[name] = Server(own, line=address.kind, **host)  # type: ignore[arg-type]

    def _behind(self, name: str, stands: Stands) -> Behind:
        plant, assets, node = self.plant, self._there(stands.assets.get(name, ())), stands.nodes.get(name)
        if node is not None:
            return Behind(plant, (), node, _root(plant, node))
        if not assets:
            return Behind(plant)
        f, k = plant.where[assets[0]]
        fleet = plant.fleets[f]
        place = int(fleet.nodes[fleet.family.ports[0].name][k])
        return Behind(plant, assets, None, _root(plant, plant.nodes[place].id))

    def _there(self, assets: Sequence[str]) -> tuple[str, ...]:
        """Assets that are there at any time of the horizon."""
        return tuple(asset for asset in assets if asset in self.plant.where)

    def _show_terminal(self, address: LineAddress, server: Server) -> None:
        """A pseudo-terminal under the name that the site gives its serial line."""
        if address.serial:
            link = Path(address.tty)
            link.symlink_to(server.path)
            self._links.append(link)


def _root(plant: Plant, node: str) -> str:
    parents = {n.id: n.parent for n in plant.nodes}
    while (parent := parents[node]) is not None:
        node = parent
    return node


def _check(site: Site, plant: Plant, stands: Stands) -> None:
    """Every line can be on this machine, and every device stands for something."""
    found = []

    def add(code: str, message: str, **fields: Any) -> None:
        found.append(Mistake(shown(site.file), None, code, message, fields))

    for name, address in site.lines.items():
        why = _no_line(address)
        if why:
            add("not-simulated", f"line {name}: {why}", line=name)
    for name, device in site.devices.items():
        known = [asset for asset in stands.assets.get(name, ()) if asset in plant.where]
        if not known and name not in stands.nodes and not _may_be_free(device):
            add("stands-for-nothing", _nothing(name, device), device=name)
    if found:
        raise SiteError(found)


def _may_be_free(device: SiteDevice) -> bool:
    """A charge point at which nobody is plugged in today."""
    return device.adapter.header.kind == "charger" and device.said.asset is None and device.said.node is None


def _nothing(name: str, device: SiteDevice) -> str:
    said = f"its node is {device.said.node}" if device.said.node else f"its asset is {device.said.asset or name}"
    return f"device {name} stands for nothing of the scenario: {said}; say asset or node"


def _no_line(address: LineAddress) -> str:
    if address.kind == "tls":
        return "TLS is not simulated: it would need the device's own certificate; say tcp"
    if not address.serial:
        with contextlib.suppress(ValueError):
            loopback(address.host)
            return ""
        return f"it is at {address.host}; a simulation is on this machine alone, at 127.0.0.1"
    if os.path.lexists(address.tty):
        return f"{address.tty} is there already; a simulation opens a pseudo-terminal under a name of its own"
    return ""
