"""Follow a plan step by step: hold its setpoints, prove them, guard the limits, until told to stop.

The plan may be replaced while it is followed: the run folder is looked at again and again, and a newer plan in it is
taken where a mandate allows it. For a scenario, the plans are made here too, each by a process of its own, so that a
solver that hangs delays no device.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from gridopt.clock import Axis
from gridopt.config import state_folder
from gridopt.devices.schema import COMMANDS
from gridopt.devices.site import Site
from gridopt.dispatch.channel import May, Outcome
from gridopt.dispatch.history import Once
from gridopt.dispatch.hold import Holder, end_code
from gridopt.dispatch.prove import FAILED, PROVEN, Status
from gridopt.errors import DataError, GridoptError
from gridopt.jobs import field
from gridopt.jobs.field import Field, Planned
from gridopt.jobs.push import check_plan, who
from gridopt.store import run_folder

LOOK_S = 15.0
"""How often a run folder is looked at for a newer plan."""
REPLAN_S = 300.0
"""Shortest time between two plans that the guard asks for."""
EARLY = timedelta(hours=1)
"""A plan that ends so soon is replaced."""
DEGRADED = 3
DISOBEYED = (Status.REFUSED, *FAILED)

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Watched:
    """Why a watch ended, and what is known of each device then."""

    why: str
    outcomes: Sequence[Outcome]
    clock: str = ""
    """Why the clock could not be followed, where that ended it."""
    disobeyed: Sequence[Outcome] = ()
    """What was refused, or not confirmed, when it ended."""

    @property
    def exit_code(self) -> int:
        return end_code(self.outcomes) or (14 if self.disobeyed else DataError.exit_code if self.clock else 0)


@dataclass
class Source:
    """Where plans come from: a run folder, and the scenario from which new ones are made there. ``date``: the local day
    that all of them are for; None: the day that has come."""

    folder: Path
    scenario: str | None = None
    date: str | None = None
    sets: Sequence[str] = ()


def watch(
    planned: Planned, site: Site, may: May, source: Source, tell: Tell, *, newer: bool, unsynced_s: float
) -> Watched:
    """Follow a plan. ``newer``: newer plans in its folder are followed too, as a mandate allows and a typed hash does
    not. Raises what reading and opening raise."""
    field.check_not_stopped()
    return asyncio.run(_watch(planned, site, may, source, tell, newer, unsynced_s))


async def _watch(
    planned: Planned, site: Site, may: May, source: Source, tell: Tell, newer: bool, unsynced_s: float
) -> Watched:
    stop = _Stop()
    with field.open_journal() as journal, stop:
        options = {"who": f"watch by {who()}", "holder": "watch", "may": may, "live": True, "unsynced_s": unsynced_s}
        async with field.opened(site, journal, **options) as opened:  # type: ignore[arg-type]
            check_plan(planned, opened)
            planner = _Planner(source, tell)
            holder = opened.holder(stopping=stop.why, alive=notify("WATCHDOG=1"), replan=planner.ask)
            await holder.begin()
            _follow(holder, planned, site, opened)
            await holder.grip()
            said = _Said(tell)
            notify("READY=1")()
            tell(f"following {planned.plan.id} until {planned.plan.valid_until:%Y-%m-%d %H:%M} UTC")
            looking = asyncio.ensure_future(_look(holder, planned, site, opened, planner, tell)) if newer else None
            try:
                why = await holder.run(lambda: said.turn(holder) or _is_over(holder, opened, newer))
            except DataError:  # the journal: nothing more may be written, and the fail-safes act
                raise
            except BaseException:
                await holder.release_all("it ended with an error")
                raise
            finally:
                if looking is not None:
                    looking.cancel()
                    await asyncio.gather(looking, return_exceptions=True)
                planner.end()
                notify("STOPPING=1")()
            why = why or holder.why
            tell(f"ending: {why}")
            disobeyed = [o for o in holder.outcomes if o.status in DISOBEYED]
            outcomes = await holder.release_all(why)
            journal.note(opened.clock.look().now, "end", why=why, outcomes={o.device: str(o.status) for o in outcomes})
            return Watched(why, outcomes, opened.clock.look().why, disobeyed)


class _Said:
    """Tells of each device what it was told and what came of it, or why it was not told: a line where that changes."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._last: dict[tuple[str, str], Outcome] = {}
        self._once: dict[tuple[str, str], Once] = {}

    def turn(self, holder: Holder) -> bool:
        """After each turn; never the last."""
        for channel in holder.channels:
            o, last = channel.outcome, self._last.get(channel.key)
            if o is last or (o.status is Status.WAITING and not o.why):
                continue
            self._last[channel.key] = o
            once = self._once.setdefault(channel.key, Once())
            turned = last is not None and (last.status in PROVEN) != (o.status in PROVEN)
            about = channel.order.step if channel.order is not None else None
            if once.new((about, o.wanted), str(o.status), o.why) or turned:
                unit = COMMANDS.get(channel.write.command, "")
                value = "" if o.wanted is None else f" {o.wanted:g} {unit}".rstrip()
                self._tell(f"{o.device}: {o.command}{value}: {o.status}" + (f" ({o.why})" if o.why else ""))
        return False


def _follow(holder: Holder, planned: Planned, site: Site, opened: Field) -> None:
    holder.follow(planned.plan, field.network(planned, site, opened.devices))


def _is_over(holder: Holder, opened: Field, newer: bool) -> bool:
    """Whether nothing is left to do: the plan has ended, and all is given back; or the clock cannot be followed."""
    ended = holder.plan is not None and opened.clock.look().now >= holder.plan.valid_until
    lost = bool(holder.why) and not opened.clock.look().trusted
    return (lost or (ended and not newer)) and all(c.idle for c in opened.channels)


# --- newer plans ------------------------------------------------------------------------------------------------------


async def _look(holder: Holder, planned: Planned, site: Site, opened: Field, planner: _Planner, tell: Tell) -> None:
    """Look at the run folder again and again, and follow a newer plan in it."""
    current = planned
    while True:
        await asyncio.sleep(LOOK_S)
        moment = opened.clock.look().now
        planner.step(moment, current)
        try:
            said = run_folder.read_summary(current.folder)
            if str(said["hash"]) == current.plan.hash:
                continue
            # Reading a plan whole takes a moment, in which devices are to be refreshed.
            found = await asyncio.to_thread(field.planned, current.folder)
            if found.plan.created <= current.plan.created or moment >= found.plan.valid_until:
                continue
            if moment < found.plan.valid_from:
                continue  # the one that is followed goes on until then
        except GridoptError as error:
            tell(f"the new plan in {current.folder} is not taken: {error}")
            continue
        current = found
        _follow(holder, current, site, opened)
        await holder.grip()
        tell(f"following {current.plan.id} until {current.plan.valid_until:%Y-%m-%d %H:%M} UTC")


class _Planner:
    """Makes plans of a scenario, one process each. Asked too often, it waits; a plan that fails changes nothing."""

    def __init__(self, source: Source, tell: Tell) -> None:
        self.source, self.tell = source, tell
        self._asked = ""
        self._begun: datetime | None = None
        self._running: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    def ask(self, why: str) -> None:
        self._asked = why

    def step(self, now: datetime, current: Planned) -> None:
        """Begin a plan where one is due: for the day that is, or, where the one that is followed ends, for the next."""
        ends = current.plan.valid_until
        due = self._asked or ("the plan ends soon" if now > ends - EARLY else "")
        rested = self._begun is None or (now - self._begun).total_seconds() >= REPLAN_S
        busy = self._running is not None and not self._running.done()
        if due and rested and not busy and self.source.scenario is not None:
            self._begun, self._asked = now, ""
            self.tell(f"planning anew: {due}")
            day = local_day(max(now, ends) if now > ends - EARLY else now, current.plan.axis.zone)
            self._running = asyncio.ensure_future(self._plan(day))

    async def _plan(self, day: str) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *plan_command(self.source, day), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        _, said = await self._process.communicate()
        if self._process.returncode not in (0, DEGRADED):
            words = said.decode(errors="replace").strip().splitlines()
            self.tell(f"no new plan: {words[0] if words else f'exit code {self._process.returncode}'}")

    def end(self) -> None:
        if self._running is not None:
            self._running.cancel()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()


def local_day(now: datetime, zone: str = Axis.zone) -> str:
    """The local date of an instant."""
    return now.astimezone(ZoneInfo(zone)).date().isoformat()


def plan_command(source: Source, day: str) -> list[str]:
    """The command line that plans a scenario into its folder."""
    assert source.scenario is not None
    date = ["--date", source.date or day]
    sets = [part for said in source.sets for part in ("--set", said)]
    run = "import sys; from gridopt.cli.main import main; sys.exit(main())"
    return [sys.executable, "-c", run, "run", source.scenario, "--out", str(source.folder), *date, *sets]


def plan_folder(scenario: str) -> Path:
    """Where the plans of a watched scenario are left."""
    return state_folder() / "plans" / Path(scenario).resolve().name


# --- stopping, and signs of life --------------------------------------------------------------------------------------


class _Stop:
    """The word to stop: a signal, or the file that `gridopt stop --all` leaves."""

    def __init__(self) -> None:
        self._signal = ""
        self._file = state_folder() / field.STOP

    def why(self) -> str:
        return self._signal or ("gridopt stop --all" if self._file.exists() else "")

    def __enter__(self) -> _Stop:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._take, signal.Signals(number).name)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    def _take(self, name: str) -> None:
        self._signal = name


def notify(text: str) -> Callable[[], None]:
    """Tells systemd something, where it listens (NOTIFY_SOCKET): that the watch is ready, that it made a turn."""

    def send() -> None:
        place = os.environ.get("NOTIFY_SOCKET")
        if not place:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(text.encode(), "\0" + place[1:] if place.startswith("@") else place)

    return send
