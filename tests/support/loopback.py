"""A site on loopback for dispatch: served devices whose fail-safes act within seconds; a run folder made by hand."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from gridopt.clock import Axis
from gridopt.devices import site as sites
from gridopt.devices.site import Site
from gridopt.jobs.record import plan_hash
from gridopt.simulate.modbus_server import Server
from gridopt.simulate.registers import Registers
from gridopt.simulate.served import Behind, Served, hooked
from gridopt.store import run_folder
from gridopt.store.run_folder import Run, Setpoint
from tests.support.bench import OneDevicePlant

TIME_S = 3
"""Of every fail-safe here."""
KINDS = {"bat": ("battery", "power"), "car": ("charger", "current"), "sun": ("pv", "limit")}
KINDS["pump"] = ("heat-pump", "mode")
STEP_MIN = 15
PAST = timedelta(days=2)


def devices_toml(port: int, names: Sequence[str] = ("bat",), line: str = "tcp") -> str:
    """A devices.toml with some of ``KINDS``, unit after unit on one line."""
    text = f'format = 1\n[line.main]\n{line} = "127.0.0.1:{port}"\n'
    for k, name in enumerate(names, 1):
        kind, write = KINDS[name]
        text += f'[device.{name}]\nadapter = "gridopt-sim-{kind}"\nline = "main"\nunit_id = {k}\nmax_age_s = 2\n'
        text += f"[device.{name}.write.{write}]\ntime_s = {TIME_S}\n"
    return text


def serve(site: Site) -> tuple[dict[int, Registers], dict[str, Served]]:
    """Registers by unit, and what is behind them."""
    units, served = {}, {}
    for name, said in site.devices.items():
        registers = Registers(said.adapter.points.values(), 125, 100)
        own = {"charger": 11.0, "inverter": -8.0, "heat-pump": 3.0}.get(said.adapter.header.kind, 0.0)
        plant = OneDevicePlant(22.0 if said.adapter.header.kind == "charger" else 10.0, own)
        behind = Behind(plant, ("x",))  # type: ignore[arg-type]
        writes = {n: said.whole(n) for n in said.writes}
        device = served[name] = Served(name, said.adapter, behind, registers, time.monotonic, writes=writes)
        hooked(registers, [device], lambda s=device: s.expire(time.monotonic()))  # type: ignore[misc]
        units[said.unit_id] = registers
    return units, served


@dataclass
class Place:
    """A served site, with its folder: devices.toml, state, a run folder. ``server`` counts and logs."""

    folder: Path
    site: Site
    server: Server
    served: dict[str, Served] = field(default_factory=dict)

    @property
    def run(self) -> Path:
        return self.folder / "plan"

    def value(self, device: str, point: str) -> Any:
        self.served[device].expire(time.monotonic())
        return self.served[device].value(point)

    @property
    def fallen_back(self) -> bool:
        """Whether the battery is its own again."""
        return bool(self.value("bat", "enable") == "off")


@asynccontextmanager
async def a_place(folder: Path, names: Sequence[str] = ("bat",), line: str = "tcp") -> AsyncIterator[Place]:
    """Serve a site for as long as the context lasts."""
    (folder / "devices.toml").write_text(devices_toml(1502, names, line))
    units, served = serve(sites.load(folder))
    async with Server(units, line="rtu-over-tcp" if line == "rtu_over_tcp" else "tcp") as server:
        (folder / "devices.toml").write_text(devices_toml(server.port, names, line))
        yield Place(folder, sites.load(folder), server, served)


def write_plan(
    folder: Path, told: Mapping[tuple[str, str], Sequence[float]], start: datetime | None = None, **said: Any
) -> str:
    """Leave a run folder that tells devices something from now on; the plan's hash."""
    now = datetime.now(UTC)
    begin = start or now.replace(minute=now.minute // STEP_MIN * STEP_MIN, second=0, microsecond=0)
    steps = max(len(row) for row in told.values())
    axis = Axis(begin, STEP_MIN, steps)
    setpoints = [Setpoint(d, c, "", np.array(row, float)) for (d, c), row in told.items()]
    digest = "00" * 32
    named = plan_hash(digest, [], setpoints, axis.start, axis.end)
    summary = {
        "format": 1, "plan_id": f"by-hand-{named[:12]}", "hash": named, "rung": "optimal",
        "created": (said.pop("created", None) or begin).isoformat(), "valid_from": axis.start.isoformat(),
        "valid_until": axis.end.isoformat(), "scenario": {"name": "by-hand", "title": "", "notes": []},
        "horizon": {"start": axis.start.isoformat(), "step_min": STEP_MIN, "steps": steps, "zone": axis.zone},
    }  # fmt: skip
    inputs = {"digest": digest, "nodes": [], "groups": []}
    run_folder.write(folder, Run(axis, {**summary, **said}, [], setpoints, inputs, []))
    return named
