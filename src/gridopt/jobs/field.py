"""A site opened for dispatch: lines, devices, journal, channels; and what a run folder says of its plan and its nodes.

Whatever may write goes through here, and what only rehearses gets units that cannot write.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from gridopt.config import lock_folder, state_folder
from gridopt.devices import site as sites
from gridopt.devices.device import Device
from gridopt.devices.frames import Frame
from gridopt.devices.link.lines import Lines
from gridopt.devices.link.lines import Unit as LinkUnit
from gridopt.devices.site import FILE, Site, SiteDevice
from gridopt.dispatch import mandate as mandates
from gridopt.dispatch import plan as plans
from gridopt.dispatch.channel import Channel, May, nothing_may
from gridopt.dispatch.clock import UNSYNCED_S, Clock
from gridopt.dispatch.guard import Limit
from gridopt.dispatch.history import History
from gridopt.dispatch.hold import Holder, Keep, Meter, Network
from gridopt.dispatch.plan import Plan
from gridopt.errors import DataError, UsageError
from gridopt.jobs import record
from gridopt.scenario.find import find as find_scenario
from gridopt.store import run_folder
from gridopt.store.journal import Journal
from gridopt.store.run_folder import Run

JOURNAL, STOP = "journal.sqlite", "stop"
STANDS = "{file} stands: someone stopped all devices. Once it is known why, `gridopt stop --lift` allows writing again"
ELECTRICITY = "electricity"
UNSYNCED = 5
"""What adjtimex answers where the clock follows no reference."""


def now() -> datetime:
    return datetime.now(UTC)


def synchronised() -> bool:
    """Whether the system's clock follows a reference; True where the system does not tell."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
        return int(adjtimex(ctypes.create_string_buffer(512))) != UNSYNCED
    except (OSError, AttributeError, TypeError):
        return True


# --- what was planned -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Planned:
    """A run folder as dispatch needs it."""

    folder: Path
    run: Run
    plan: Plan


def planned(folder: Path) -> Planned:
    """The plan in a run folder, its hash recomputed. Raises what reading raises, DataError for another hash."""
    run = run_folder.read(folder)
    plan = plans.from_run(run)
    digest = str(run.inputs.get("digest"))
    if record.plan_hash(digest, run.schedule, run.setpoints, plan.valid_from, plan.valid_until) != plan.hash:
        raise DataError(
            "the plan in {folder} is not the one that its hash names: its schedule, its setpoints or the time it is "
            "valid for were changed",
            folder=str(folder),
        )
    return Planned(folder, run, plan)


def site_of(run: Run | None, said: Path | None) -> Site:
    """The site in a file or folder; else the one beside the scenario that was planned, else the one here."""
    if said is not None:
        return sites.load(said)
    if run is not None:
        with contextlib.suppress(Exception):
            beside = find_scenario(str(run.summary["scenario"]["name"])).with_name(FILE)
            if beside.is_file():
                return sites.load(beside)
    if Path(FILE).is_file():
        return sites.load(FILE)
    raise UsageError("there is no {file} here: name the site's with --site FILE", file=FILE)


def unlinked(plan: Plan, site: Site) -> list[str]:
    """Devices that the plan tells something, and the site does not know or does not let be told it."""
    found = []
    for device, command in plan.told:
        known = site.devices.get(device)
        if known is None:
            found.append(f"{device}: not in {site.file.name}")
        elif known.command(command) is None:
            found.append(f"{device}: {site.file.name} lets nobody write its {command}")
    return found


def network(planned: Planned, site: Site, devices: Mapping[str, Device]) -> Network:
    """Nodes of electricity with their hard limits, who meters them, which device stands where, what must be kept."""
    nodes = [n for n in planned.run.inputs["nodes"] if n["carrier"] == ELECTRICITY]
    names = {str(n["id"]) for n in nodes}
    series = {(s.node, s.quantity): s.values for s in planned.run.series if s.asset is None}
    where = {
        s.asset: s.node for s in planned.run.schedule if s.asset is not None and s.port is not None and s.node in names
    }
    asset_of = {name: d.said.asset or name for name, d in site.devices.items()}
    home = {name: str(where[asset]) for name, asset in asset_of.items() if asset in where}

    def limits(step: int) -> Mapping[str, Limit]:
        def at(node: Mapping[str, Any], key: str) -> float:
            name = str(node["id"])
            return float(node[key]) if key in node else float(series[name, key][step])

        return {str(n["id"]): Limit(at(n, "import_max_kw"), at(n, "export_max_kw")) for n in nodes}

    meters = [
        Meter(str(d.said.node), devices[name], max_age_s=d.said.max_age_s)
        for name, d in site.devices.items()
        if d.said.node in names and "power_kw" in d.adapter.points
    ]
    return Network(
        {str(n["id"]): n["parent"] for n in nodes}, home, limits, meters, _keeps(planned.run, site, asset_of)
    )


BANDS = {"soc_kwh": ("soc_low_kwh", "soc_high_kwh"), "temperature_c": ("comfort_min_c", None)}
"""State of an asset → the columns with its lowest and highest value."""
NAMES = {"soc_kwh": ("its content", "kWh"), "temperature_c": ("its temperature", "°C")}
STARTS = {("soc_kwh", ""): "soc_start", ("temperature_c", "°C"): "temperature_start_c"}
"""(state, unit that the device shows it in) → the parameter by which a plan begins with just that."""


def _keeps(run: Run, site: Site, asset_of: Mapping[str, str]) -> list[Keep]:
    """States that readings show and the inputs bound. A bound that changes over the day counts with its widest."""
    found = []
    for name, device in site.devices.items():
        for quantity, point in device.said.reads.items():
            if not device.writes or quantity not in BANDS:
                continue
            low, high = (
                _column(run, asset_of[name], c, pick) for c, pick in zip(BANDS[quantity], (min, max), strict=True)
            )
            factor, unit = 1.0, device.adapter.points[point].unit
            if quantity.endswith("_kwh") and unit == "":
                factor = _column(run, asset_of[name], "capacity_kwh", max) or 1.0
            if low is not None or high is not None:
                start = STARTS.get((quantity, unit))
                said = *NAMES[quantity], f"asset.{asset_of[name]}.{start}" if start else ""
                found.append(Keep(name, point, _or(low, -1e12), _or(high, 1e12), factor, *said))
    return found


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _column(run: Run, asset: str, name: str | None, pick: Callable[[Sequence[float]], float]) -> float | None:
    for group in run.inputs["groups"]:
        if name is None or asset not in group["ids"]:
            continue
        k = group["ids"].index(asset)
        for columns in (group["each"], group["flat"]):
            if name in columns:
                return float(columns[name][k])
        rows = [s.values for s in run.series if s.asset == asset and s.quantity == name]
        if rows:
            return float(pick(rows[0].tolist()))
    return None


# --- who may ----------------------------------------------------------------------------------------------------------


def typed_hash(plan: Plan, typed: str) -> May:
    """The permission of a person who typed a plan's hash: for that plan. Raises UsageError where it is another's."""
    why = plans.hash_refusal(plan, typed)
    if why:
        raise UsageError("{why}: nothing is sent", why=why)
    return lambda device, command, value, rung, at: ""


def mandate_of(site: Site, said: Path | None = None) -> mandates.Mandate | None:
    """The mandate beside the site's file; None where there is none. Raises SiteError where it does not hold."""
    place = said or site.file.with_name(mandates.FILE)
    return mandates.load(place, site) if said is not None or place.is_file() else None


def check_not_stopped() -> None:
    """Raises UsageError while the word to stop stands."""
    if (state_folder() / STOP).exists():
        raise UsageError(STANDS, file=str(state_folder() / STOP))


# --- the site, opened -------------------------------------------------------------------------------------------------


class ReadOnly:
    """A unit that cannot write: what a rehearsal speaks through."""

    def __init__(self, unit: LinkUnit) -> None:
        self._unit = unit

    @property
    def session(self) -> int:
        return self._unit.session

    async def read(self, table: str, address: int, count: int) -> Sequence[int]:
        return await self._unit.read(table, address, count)

    async def write(self, frame: Frame, **_: object) -> NoReturn:
        raise AssertionError("a dry run writes nothing")


@dataclass
class Field:
    """A site with its lines open."""

    site: Site
    journal: Journal
    history: History
    devices: Mapping[str, Device]
    channels: Sequence[Channel]
    clock: Clock

    def holder(self, **options: Any) -> Holder:
        return Holder(self.channels, self.journal, self.clock, asyncio.sleep, groups=self.site.groups, **options)

    def channel(self, device: str) -> Channel:
        """The one command of a device. Raises UsageError where there is none, or several."""
        those = [c for c in self.channels if c.site.name == device]
        if len(those) != 1:
            what = "lets nobody write to it" if not those else "names several commands of it"
            raise UsageError("{device}: {file} {what}", device=device, file=self.site.file.name, what=what)
        return those[0]


def open_journal() -> Journal:
    """The site's journal. Raises DataError where it cannot be written."""
    return Journal.open(state_folder() / JOURNAL)


@contextlib.asynccontextmanager
async def opened(
    site: Site,
    journal: Journal,
    *,
    who: str,
    holder: str,
    may: May = nothing_may,
    live: bool = False,
    clock: Clock | None = None,
    past: History | None = None,
    unsynced_s: float = UNSYNCED_S,
) -> AsyncIterator[Field]:
    """The site's devices, each with its channel. Without ``live`` nothing can be written."""
    at = clock or Clock(time.monotonic, now, synchronised, unsynced_s)
    writes = {(n, w): d.whole(w) for n, d in site.devices.items() for w in d.writes}
    history = past or History(journal.entries(), writes)
    async with Lines(lock_folder(), holder) as lines:
        devices = {name: _device(name, d, lines, at, live) for name, d in site.devices.items()}
        channels = [
            Channel(d, w, devices[n], journal, at, asyncio.sleep, history.of(n, w), who, may)
            for n, d in site.devices.items()
            for w in d.writes
        ]
        if live:
            digests = {n: d.adapter.digest for n, d in site.devices.items()}
            journal.note(at.look().now, "site", file=site.file.resolve(), digest=site.digest, adapters=digests, who=who)
        yield Field(site, journal, history, devices, channels, at)


def _device(name: str, said: SiteDevice, lines: Lines, clock: Clock, live: bool) -> Device:
    unit = lines.line(said.address).unit(said.unit_id, said.adapter.link)
    return Device(
        name,
        said.adapter,
        unit if live else ReadOnly(unit),
        clock=clock.monotonic,
        now=lambda: clock.look().now,
        part=said.part,
        serial=said.said.serial,
    )
