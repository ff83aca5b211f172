"""The demonstration: a scenario planned; its devices simulated, read, told, proven; what became of the plan.

Master and devices are in one process and speak over real sockets of this machine. Their clock stands still while
anything happens and jumps when nothing does (``simulate.jump``), so that a whole day takes a minute and every timer in
it is as in life.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridopt.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from gridopt.devices.device import Device
    from gridopt.devices.site import Site
    from gridopt.dispatch.channel import Outcome
    from gridopt.jobs.field import Field, Planned
    from gridopt.jobs.plan import Plan
    from gridopt.scenario.load import Scenario
    from gridopt.simulate.simulation import Simulation
    from gridopt.store.journal import Journal

SCENARIOS = ("haute-deule", "two-roofs")
"""The first of these that ships."""
FOLDER, JOURNAL = "plan", "journal.sqlite"
PACE_S = 90.0
"""Time between two turns of the day, in which every device is refreshed and every limit watched."""
Tell = Callable[[str], None]


def scenario() -> str:
    """Name of the scenario to plan. Raises ScenarioError when none ships: the installation is broken."""
    from gridopt.scenario.find import find, shipped

    name = next((name for name in SCENARIOS if name in shipped()), SCENARIOS[0])
    find(name)
    return name


def place() -> Path:
    """A new run folder in the machine's temporary place."""
    return Path(tempfile.mkdtemp(prefix="gridopt-demo-")) / FOLDER


def has_devices(name: str) -> bool:
    """Whether a scenario says which devices it has."""
    from gridopt.devices.site import FILE
    from gridopt.scenario.find import find

    return find(name).with_name(FILE).is_file()


# --- what became of the day -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Proof:
    """What one device was told, and how it was proven: status → setpoints that ended their step with it."""

    device: str
    command: str
    setpoints: int
    proven: int
    otherwise: Mapping[str, int]
    why: str = ""


@dataclass(frozen=True)
class Energy:
    """One asset's day [kWh, positive draws]."""

    asset: str
    planned_kwh: float
    realised_kwh: float


@dataclass(frozen=True)
class Closed:
    """The loop closed over a day, of the plan, as it came about, and by the devices' own rules.

    ``cost_eur``: money; ``penalty_eur``: goals missed; ``peak_kw``: most drawn from the network. ``changes``: setpoints
    that were sent as such, refreshes apart. ``broken``: what is wrong with the journal.
    """

    plan: Plan
    read: Sequence[Shown]
    proofs: Sequence[Proof]
    energy: Sequence[Energy]
    cost_eur: Mapping[str, float]
    penalty_eur: Mapping[str, float]
    peak_kw: Mapping[str, float]
    asked: Mapping[str, int]
    changes: int
    journal: Path
    broken: Sequence[str] = ()

    @property
    def proven(self) -> bool:
        return not self.broken and all(p.proven == p.setpoints for p in self.proofs)

    def document(self) -> dict[str, Any]:
        return {
            "format": 1,
            "plan": self.plan.summary["plan_id"],
            "read": [asdict(s) for s in self.read],
            "setpoints": [asdict(p) for p in self.proofs],
            "energy": [asdict(e) for e in self.energy],
            "cost_eur": dict(self.cost_eur),
            "penalty_eur": dict(self.penalty_eur),
            "peak_kw": dict(self.peak_kw),
            **self.asked,
            "changes": self.changes,
            "proven": self.proven,
            "journal": {"file": str(self.journal), "wrong": list(self.broken)},
        }


# --- the loop ---------------------------------------------------------------------------------------------------------


def run(
    name: str,
    folder: Path,
    journal_file: Path,
    *,
    now: datetime,
    tell: Tell,
    faults: Sequence[tuple[str, str]] = (),
    day: date | None = None,
) -> Closed:
    """Serve the devices of a scenario, read them, plan, tell them, prove it, for a day.

    ``faults``: (device, fault) switched on once it is planned. Raises what planning raises, DeviceError where a device
    that should be read does not answer, UsageError for a fault that there is not.
    """
    from gridopt.jobs import simulate as simulated
    from gridopt.scenario.load import load
    from gridopt.simulate import jump

    tell("reading the scenario")
    loaded = load(name, day=day)
    job = _Job(name, loaded, simulated.site_of(loaded), folder, journal_file, now, tell, tuple(faults))
    return jump.run(_closed(job))


@dataclass(frozen=True)
class _Job:
    name: str
    scenario: Scenario
    site: Site
    folder: Path
    journal_file: Path
    now: datetime
    tell: Tell
    faults: tuple[tuple[str, str], ...]


async def _closed(job: _Job) -> Closed:
    from gridopt.dispatch.clock import Clock
    from gridopt.jobs import field as fields
    from gridopt.jobs import plan as plans
    from gridopt.jobs import simulate as simulated
    from gridopt.store.journal import Journal

    loop, axis = asyncio.get_running_loop(), job.scenario.axis
    clock = Clock(loop.time, lambda: axis.start + timedelta(seconds=loop.time()))
    async with simulated.build(job.scenario, anywhere(job.site), loop.time) as simulation:
        site = seldom(served_at(job.site, simulation))
        with Journal.open(job.journal_file) as journal:
            job.tell("reading the devices")
            async with fields.opened(site, journal, who="demo", holder="demo", clock=clock) as opened:
                read = await _read(site, opened.devices)
            planned = plans.run(job.name, now=job.now, day=axis.local_day[0], sets=_sets(read), tell=job.tell)
            plans.write(planned, job.folder)
            _switch_on(job.faults, simulation)
            run = fields.planned(job.folder)
            may = fields.typed_hash(run.plan, run.plan.hash)  # every device is simulated: nobody need be asked
            async with fields.opened(
                site, journal, who="demo", holder="demo", may=may, live=True, clock=clock
            ) as opened:
                ended = await _live(run, opened, simulation, job.tell)
            simulation.catch_up()
            return _closing(planned, simulation, ended, read, journal)


def _switch_on(faults: Sequence[tuple[str, str]], simulation: Simulation) -> None:
    for device, fault in faults:
        try:
            simulation.set_fault(device, fault)
        except ValueError as why:
            raise UsageError("{device}={fault}: {why}", device=device, fault=fault, why=str(why)) from None


@dataclass(frozen=True)
class Shown:
    """What a device shows of its asset's state."""

    device: str
    asset: str
    quantity: str
    point: str
    unit: str
    value: float


async def _read(site: Site, devices: Mapping[str, Device]) -> list[Shown]:
    """What the devices show of the assets' states."""
    found = []
    for name, device in site.devices.items():
        for quantity, point in device.said.reads.items():
            reading = (await devices[name].read([point]))[point]
            if not isinstance(reading.value, float):
                raise DeviceError("{device}: {point} cannot be read: {why}", device=name, point=point, why=reading.why)
            unit = device.adapter.points[point].unit
            found.append(Shown(name, device.said.asset or name, quantity, point, unit, reading.value))
    return found


def _sets(read: Iterable[Shown]) -> list[str]:
    """Where the plan starts: as the devices say, instead of as the scenario does."""
    from gridopt.jobs.field import STARTS

    starts = [(s, STARTS.get((s.quantity, s.unit))) for s in read]
    return [f"asset.{s.asset}.{parameter}={s.value!r}" for s, parameter in starts if parameter is not None]


Ended = Mapping[tuple[str, str], Mapping[int, "Outcome"]]


async def _live(run: Planned, opened: Field, simulation: Simulation, tell: Tell) -> Ended:
    """The day, turn after turn: (device, command) → step → how it ended."""
    from gridopt.jobs import field as fields

    plan = run.plan
    holder = opened.holder(pace_s=PACE_S)
    await holder.begin()
    holder.follow(plan, fields.network(run, opened.site, opened.devices))
    ended: dict[tuple[str, str], dict[int, Outcome]] = {}
    commands = {channel.key: channel.write.command for channel in holder.channels}

    def over() -> bool:
        moment = opened.clock.look()
        step = plan.step_at(moment.now)
        if step is None:
            return True
        told = plan.at(step)
        for outcome in holder.outcomes:
            key = outcome.device, outcome.command
            if (outcome.device, commands[key]) in told:
                ended.setdefault(key, {})[step] = outcome
        tell(f"the day goes by: {simulation.plant.axis.label(simulation.plant.step)}")
        return False

    await holder.run(over)
    await holder.release_all("the day is over")
    return ended


def anywhere(site: Site) -> Site:
    """The same site on free ports, so that it is in nobody's way."""
    free = {
        name: address if address.serial else replace(address, host="127.0.0.1", port=0)
        for name, address in site.lines.items()
    }
    return replace(site, lines=free)


def served_at(site: Site, simulation: Simulation) -> Site:
    """The site at the ports that its simulation has."""
    lines = {
        name: address if address.serial else replace(address, host="127.0.0.1", port=simulation.servers[name].port)
        for name, address in site.lines.items()
        if name in simulation.servers
    }
    devices = {name: replace(device, address=lines[device.line]) for name, device in site.devices.items()}
    return replace(site, lines=lines, devices=devices)


def seldom(site: Site) -> Site:
    """The same site, refreshed as seldom as the fail-safe times of its devices allow: of a day that is shown in a
    minute, most would be refreshes."""
    devices = {}
    for name, device in site.devices.items():
        writes = dict(device.adapter.writes)
        for command in device.writes:
            safe = device.whole(command).fail_safe
            if isinstance(safe.time_s, (int, float)):
                longest = safe.model_copy(update={"refresh_s": safe.time_s / 3})
                writes[command] = writes[command].model_copy(update={"fail_safe": longest})
        devices[name] = replace(device, adapter=replace(device.adapter, writes=writes))
    return replace(site, devices=devices)


# --- the end ----------------------------------------------------------------------------------------------------------


def _closing(planned: Plan, simulation: Simulation, ended: Ended, read: Sequence[Shown], journal: Journal) -> Closed:
    from gridopt.assets.base import MONEY
    from gridopt.dispatch.history import REFRESHES, RELEASE
    from gridopt.simulate import past
    from gridopt.store.journal import INTENT

    plant, inputs = simulation.plant, planned.inputs
    net_kw = past.net_kw(plant, inputs)
    bills = {"plan": planned.ledger, "realised": past.ledger(plant, inputs), "by rule": planned.twin.ledger}
    nets = {"plan": planned.schedule.net_kw, "realised": net_kw, "by rule": planned.twin.net_kw}
    root = next(k for k, n in enumerate(inputs.nodes) if n.parent is None and n.carrier == "electricity")
    reasons = [str(e.body.get("reason")) for e in journal.entries() if e.kind == INTENT]
    servers = simulation.servers.values()
    return Closed(
        planned,
        tuple(read),
        [_proof(key, steps) for key, steps in sorted(ended.items(), key=lambda item: _natural(item[0][0]))],
        _energies(planned, simulation),
        {name: bill.of(*MONEY) for name, bill in bills.items()},
        {name: bill.of("penalty") for name, bill in bills.items()},
        {name: float(net[root].max()) for name, net in nets.items()},
        {"requests": sum(s.requests() for s in servers), "writes": sum(s.writes for s in servers)},
        sum(reason not in (REFRESHES, RELEASE) for reason in reasons),
        Path(journal.path),
        tuple(journal.verify()),
    )


def _natural(name: str) -> tuple[str, int]:
    """``cars-2`` before ``cars-10``."""
    head, _, tail = name.rpartition("-")
    return (head, int(tail)) if tail.isdigit() else (name, 0)


def _proof(key: tuple[str, str], steps: Mapping[int, Outcome]) -> Proof:
    from gridopt.dispatch.prove import PROVEN

    otherwise: dict[str, int] = {}
    why = ""
    for outcome in steps.values():
        if outcome.status not in PROVEN:
            otherwise[str(outcome.status)] = otherwise.get(str(outcome.status), 0) + 1
            why = why or outcome.why
    return Proof(*key, len(steps), len(steps) - sum(otherwise.values()), otherwise, why)


def _energies(planned: Plan, simulation: Simulation) -> list[Energy]:
    """Per device that stands for assets, what the plan wanted it to draw and what it drew."""
    inputs, plant = planned.inputs, simulation.plant
    found = []
    for name, device in simulation.devices.items():
        assets = device.behind.assets
        if not assets:
            continue
        wanted = 0.0
        for asset in assets:
            if asset in inputs.where:
                g, _ = inputs.where[asset]
                port = inputs.groups[g].family.ports[0].name
                wanted += float(planned.trace.port_kw(inputs, asset, port).sum()) * inputs.axis.step_h
        drawn = sum(plant.energy_kwh[asset][0] - plant.energy_kwh[asset][1] for asset in assets)
        found.append(Energy(name, wanted, drawn))
    return found
