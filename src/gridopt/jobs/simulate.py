"""The devices of a scenario, simulated: its assets behind the registers that its ``devices.toml`` speaks of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridopt.devices import site as sites
from gridopt.devices.site import FILE, Site
from gridopt.errors import DeviceError, UsageError
from gridopt.simulate.plant import Plant, Surprise, fine_axis, fleets, unforeseen
from gridopt.simulate.plant import surprises as drawn
from gridopt.simulate.simulation import Simulation, Stands
from gridopt.simulate.wire import READS, WRITES

if TYPE_CHECKING:
    from gridopt.scenario.load import Scenario

SPEED = 60.0
LOOK_S = 0.5
Tell = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class World:
    """How the world differs from what the scenario forecasts. ``share``: relative size of forecast errors;
    ``surprise_kw``: most power of loads that nobody announced, at ``surprise_node``."""

    share: float = 0.0
    surprise_kw: float = 0.0
    surprise_node: str | None = None
    seed: int = 1


def site_of(scenario: Scenario) -> Site:
    """The devices beside a scenario. Raises UsageError where there are none, SiteError for its mistakes."""
    place = scenario.folder / FILE
    if not place.is_file():
        raise UsageError(
            "{scenario} has no {file}: it says which adapter speaks to which asset", scenario=scenario.name, file=FILE
        )
    return sites.load(place)


def stands(site: Site, scenario: Scenario) -> Stands:
    """What each device of a site stands for: the asset that it names, or the node; else the assets that name it, such
    as the cars of a charge point, or the one that is called as it is."""
    told: dict[str, list[str]] = {}
    ids = {name for table in scenario.tables for name in table.ids}
    for table in scenario.tables:
        for asset, called in zip(table.ids, table.device, strict=True):
            told.setdefault(called or asset, []).append(asset)
    assets: dict[str, Sequence[str]] = {}
    nodes: dict[str, str] = {}
    known = {node.id for node in scenario.nodes}
    for name, device in site.devices.items():
        if device.said.node is not None:
            nodes |= {name: device.said.node} if device.said.node in known else {}
        elif device.said.asset is not None:
            assets[name] = [device.said.asset] if device.said.asset in ids else told.get(device.said.asset, [])
        else:
            assets[name] = told.get(name, [])
    return Stands(assets, nodes)


def plant_of(scenario: Scenario, world: World | None = None) -> Plant:
    """The scenario's assets, minute by minute, in a world that may differ from its forecasts."""
    world = world or World()
    fine = fine_axis(scenario.axis)
    those = fleets(scenario.tables, scenario.nodes, scenario.axis)
    if world.share:
        those = unforeseen(those, fine, world.share, world.seed)
    return Plant(scenario.nodes, those, fine, _unannounced(scenario, world))


def _unannounced(scenario: Scenario, world: World) -> list[Surprise]:
    if not world.surprise_kw:
        return []
    roots = [n.id for n in scenario.nodes if n.parent is None and n.carrier == "electricity"]
    node = world.surprise_node or next(iter(roots))
    return drawn(node, fine_axis(scenario.axis), world.surprise_kw, world.seed)


def build(
    scenario: Scenario, site: Site, clock: Callable[[], float], speed: float = 1.0, world: World | None = None
) -> Simulation:
    """A scenario's devices, not yet served. Raises SiteError for what cannot be simulated."""
    plant = plant_of(scenario, world)
    return Simulation(site, plant, stands(site, scenario), clock, speed)


def run(
    path: Path | str,
    *,
    day: date | None = None,
    speed: float = SPEED,
    faults: Sequence[tuple[str, str]] = (),
    for_s: float | None = None,
    world: World | None = None,
    begin: datetime | None = None,
    tell: Tell = lambda _: None,
) -> Mapping[str, Any]:
    """Serve a scenario's devices until ``for_s`` is over, or somebody stops it. Returns what was asked of them.

    ``begin``: the instant of the horizon at which it begins, instead of its start; until then the devices followed
    their own rules. Raises UsageError for one outside of it.
    """
    from gridopt.scenario.load import load

    scenario = load(path, day=day)
    plant = plant_of(scenario, world)
    if begin is not None:
        _live_until(begin, plant)
    site = site_of(scenario)
    simulation = Simulation(site, plant, stands(site, scenario), time.monotonic, speed)
    for device, fault in faults:
        try:
            simulation.set_fault(device, fault)
        except ValueError as why:
            raise UsageError("--fault {device}={fault}: {why}", device=device, fault=fault, why=str(why)) from None
    return asyncio.run(_serve(simulation, for_s, tell))


def _live_until(begin: datetime, plant: Plant) -> None:
    axis = plant.axis
    minutes = int(axis.hours_from_start(begin) / axis.step_h)
    if not 0 <= minutes < axis.steps:
        raise UsageError(
            "now is not within the day that is simulated, {start} to {end}: name today with --date",
            start=axis.label(0),
            end=axis.label(axis.steps),
        )
    while plant.step < minutes:
        plant.advance()


async def _serve(simulation: Simulation, for_s: float | None, tell: Tell) -> Mapping[str, Any]:
    try:
        await simulation.start()
    except OSError as error:
        raise DeviceError("a line cannot be served: {why}", why=error.strerror or str(error)) from error
    try:
        tell(beginning(simulation))
        began_s = simulation.clock()
        while for_s is None or simulation.clock() - began_s < for_s:
            left_s = LOOK_S if for_s is None else min(LOOK_S, began_s + for_s - simulation.clock())
            await asyncio.sleep(max(left_s, 0.0))
            tell(state(simulation))
        return asked(simulation)
    finally:
        await simulation.stop()


# --- what it says ----------------------------------------------------------------------------------------------------


def beginning(simulation: Simulation) -> Mapping[str, Any]:
    """Which devices are where."""
    lines = {}
    for name, server in simulation.servers.items():
        address = simulation.site.lines[name]
        place = address.tty if address.serial else f"{server.host}:{server.port}"
        devices = [d.name for d in simulation.site.devices.values() if d.line == name]
        lines[name] = {"kind": address.kind, "at": place, "devices": devices}
    return {"lines": lines}


def state(simulation: Simulation) -> Mapping[str, Any]:
    """Where the day is, and what the roots of the district draw."""
    simulation.catch_up()
    plant = simulation.plant
    roots = {n.id: plant.net_kw(n.id) for n in plant.nodes if n.parent is None}
    step = min(plant.step, plant.axis.steps)
    return {"time": plant.axis.label(step), "over": simulation.over, "net_kw": roots, **_requests(simulation)}


def asked(simulation: Simulation) -> Mapping[str, Any]:
    """What was asked of each device, when all is over."""
    devices = {}
    for name, device in simulation.site.devices.items():
        server = simulation.servers[device.line]
        reads, writes = (server.requests(*functions, unit=device.unit_id) for functions in (READS, WRITES))
        devices[name] = {"reads": reads, "writes": writes}
    return {**state(simulation), "devices": devices}


def _requests(simulation: Simulation) -> Mapping[str, int]:
    servers = simulation.servers.values()
    return {"requests": sum(s.requests() for s in servers), "writes": sum(s.writes for s in servers)}
