"""Send the setpoints of the step that is now, and prove each; or show what would be sent, and send nothing."""

from __future__ import annotations

import asyncio
import getpass
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gridopt.config import state_folder
from gridopt.devices.codec import decode
from gridopt.devices.frames import Frame
from gridopt.devices.site import Site
from gridopt.dispatch import plan as plans
from gridopt.dispatch.channel import Channel, May, Order, Outcome, shown
from gridopt.dispatch.history import History
from gridopt.dispatch.hold import exit_code
from gridopt.dispatch.prove import Status
from gridopt.errors import DataError, UsageError
from gridopt.jobs import field
from gridopt.jobs.field import Field, Planned
from gridopt.store.journal import Journal

EXTRA_S = 30.0
"""Given to proofs beyond the time by which the slowest effect is to be seen."""
OPEN = (Status.WAITING, Status.APPLIED)
NEVER = (Status.REFUSED, Status.UNKNOWN)
"""What a dry run ends with where a live one could not prove the setpoint."""


@dataclass(frozen=True)
class Rehearsed:
    """What one device would be told: ``requests`` are (frame, place, meaning)."""

    outcome: Outcome
    requests: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Pushed:
    """What a push came to. ``dry``: nothing was sent; ``left_out``: what the plan tells that the site cannot take."""

    planned: Planned
    dry: bool
    devices: Sequence[Rehearsed]
    left_out: Sequence[str]
    falls_back_s: float | None = None
    why: str = ""
    """Of a dry run: why the plan as a whole would be refused now."""

    @property
    def exit_code(self) -> int:
        """As documented; of a dry run, what is known of it before anything is sent."""
        if not self.dry:
            return exit_code(d.outcome for d in self.devices)
        return DataError.exit_code if self.why else 14 if any(d.outcome.status in NEVER for d in self.devices) else 0

    def document(self) -> dict[str, Any]:
        plan = self.planned.plan
        return {
            "format": 1, "plan": plan.id, "hash": plan.hash, "dry_run": self.dry, "why": self.why,
            "left_out": list(self.left_out),
            "devices": [
                {**outcome_document(d.outcome), "requests": [{"frame": f, "means": m} for f, m in d.requests]}
                for d in self.devices
            ],
        }  # fmt: skip


def outcome_document(o: Outcome) -> dict[str, Any]:
    """An outcome as JSON has it."""
    names = ("wanted", "read", "measured")
    values = {n: sorted(v) if isinstance(v := getattr(o, n), frozenset) else v for n in names}
    return {"device": o.device, "command": o.command, "status": str(o.status), **values, "why": o.why}


def who() -> str:
    """In whose name something is written."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown user"


def prepare(folder: Path, site_file: Path | None) -> tuple[Planned, Site]:
    """A plan and its site. Raises what reading them raises."""
    planned = field.planned(folder)
    return planned, field.site_of(planned.run, site_file)


def rehearse(planned: Planned, site: Site) -> Pushed:
    """Every request that would be sent now. Devices are read where they can be reached; nothing can be written."""
    return asyncio.run(_rehearse(planned, site))


def push(planned: Planned, site: Site, may: May) -> Pushed:
    """Send what the step that is now says, and prove it. Raises DataError for a plan that must not be followed."""
    field.check_not_stopped()
    return asyncio.run(_push(planned, site, may))


async def _rehearse(planned: Planned, site: Site) -> Pushed:
    place = state_folder() / field.JOURNAL
    writes = {(n, w): d.whole(w) for n, d in site.devices.items() for w in d.writes}
    past = History(writes=writes)
    if place.is_file():
        with Journal.read(place) as kept:
            past = History(kept.entries(), writes)
    with tempfile.TemporaryDirectory() as scratch, Journal.open(Path(scratch) / field.JOURNAL) as aside:
        async with field.opened(site, aside, who="dry run", holder="push", past=past) as opened:
            holder = opened.holder()
            await holder.begin()
            holder.follow(planned.plan, field.network(planned, site, opened.devices))
            plan = holder.plan or planned.plan
            step = plan.step_at(opened.clock.look().now)
            told = plan.at(0 if step is None else step)
            mine = [c for c in opened.channels if (c.site.name, c.write.command) in told]
            done = await asyncio.gather(
                *(_rehearsed(c, told[c.site.name, c.write.command], planned, step, opened) for c in mine)
            )
            refused = {} if step is None else await holder.refusals(step)
            done = [_refused(d, refused.get(c.key, "")) for c, d in zip(mine, done, strict=True)]
            why = plans.refusal(planned.plan, opened.clock.look().now, past.plan)
    return Pushed(planned, True, done, field.unlinked(planned.plan, site), why=why)


def _refused(rehearsed: Rehearsed, why: str) -> Rehearsed:
    """A device that would be told something, where states or the whole set forbid it."""
    if not why or rehearsed.outcome.status is not Status.WAITING:
        return rehearsed
    return Rehearsed(replace(rehearsed.outcome, status=Status.REFUSED, why=why), ())


async def _rehearsed(channel: Channel, value: float, planned: Planned, step: int | None, opened: Field) -> Rehearsed:
    plan = planned.plan
    order = Order(value, plan.id, plan.hash, plan.rung, -1 if step is None else step)
    outcome, frames = await channel.rehearse(order, opened.clock.look())
    return Rehearsed(outcome, [(shown(f), meaning(channel, f)) for f in frames])


def meaning(channel: Channel, frame: Frame) -> str:
    """What the words of a request mean, read back through the adapter's own points."""
    table = "coil" if frame.function in (5, 15) else "holding"
    said = []
    for name, point in channel.points.items():
        inside = frame.address <= point.address and point.end <= frame.address + len(frame.words)
        if not inside or (point.table, point.sunspec) != (table, frame.sunspec) or not point.writable:
            continue
        words = frame.words[point.address - frame.address : point.end - frame.address]
        value = decode(point.codec, words, channel.device.exponents.get(name)).value
        text = f"{value:g}" if isinstance(value, float) else str(value)
        said.append((point.address, f"{name} = {text} {point.unit}".rstrip()))
    return ", ".join(text for _, text in sorted(said))


async def _push(planned: Planned, site: Site, may: May) -> Pushed:
    plan = planned.plan
    with field.open_journal() as journal:
        async with field.opened(site, journal, who=f"push by {who()}", holder="push", may=may, live=True) as opened:
            check_plan(planned, opened)
            holder = opened.holder()
            await holder.begin()
            holder.follow(plan, field.network(planned, site, opened.devices))
            told = plan.at(plan.step_at(opened.clock.look().now) or 0)
            mine = [c for c in opened.channels if (c.site.name, c.write.command) in told]
            end_s = opened.clock.monotonic() + EXTRA_S + max((c.write.seen_within_s for c in mine), default=0.0)
            await holder.run(
                lambda: all(c.outcome.status not in OPEN for c in mine) or opened.clock.monotonic() >= end_s
            )
            if holder.why:
                raise DataError("{why}", why=holder.why)
            falls = [c.time_s for c in mine if c.standing is not None and c.time_s is not None]
            done = [Rehearsed(c.outcome, ()) for c in mine]
            return Pushed(planned, False, done, field.unlinked(plan, site), min(falls, default=None))


def check_plan(planned: Planned, opened: Field) -> None:
    """Raises DataError where the plan is not valid now, or a newer one was followed already."""
    why = plans.refusal(planned.plan, opened.clock.look().now, opened.history.plan)
    if why:
        raise DataError("{why}: nothing is sent", why=why)


def permission(planned: Planned, site: Site, typed: str | None, mandate_file: Path | None = None) -> May:
    """Who allows a live write: the hash that a person typed, else the site's mandate. Raises UsageError for neither."""
    if typed is not None:
        return field.typed_hash(planned.plan, typed)
    mandate = field.mandate_of(site, mandate_file)
    if mandate is None:
        raise UsageError(
            "a live write needs the plan's hash typed by a person (--hash {short}…), or a mandate beside {file}",
            short=planned.plan.hash[:4],
            file=str(site.file),
        )
    return mandate.check
