"""Stop all: tell whoever holds the lines to give everything back, and do it where nobody does.

It needs no plan and no solver, and nothing of whoever hangs: the word to stop is a file, and a watch that does not obey
it holds nothing for longer than its devices' fail-safes do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gridopt.config import state_folder
from gridopt.devices.device import Stranger
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.site import Site
from gridopt.dispatch.channel import Channel, Outcome
from gridopt.dispatch.history import History
from gridopt.dispatch.hold import STOP_S, end_code
from gridopt.dispatch.prove import Status
from gridopt.errors import UsageError
from gridopt.jobs import field
from gridopt.jobs.field import Field
from gridopt.jobs.push import who

RETRY_S = 0.5


@dataclass(frozen=True)
class Stopped:
    """What is known of each device. ``held``: lines that another process still has, and who."""

    outcomes: Sequence[Outcome]
    held: Sequence[str] = ()

    @property
    def exit_code(self) -> int:
        return 14 if self.held else end_code(self.outcomes)


def stop_file() -> Path:
    return state_folder() / field.STOP


def say_stop() -> Path:
    """Leave the word to stop. An empty file: it can be made on a full disk."""
    place = stop_file()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    except OSError as error:
        raise UsageError("{file} cannot be written: {why}", file=str(place), why=error.strerror or "") from error
    return place


def lift() -> bool:
    """Take the word to stop back; whether it stood."""
    try:
        stop_file().unlink()
    except FileNotFoundError:
        return False
    return True


def stop(site: Site, tell: Callable[[str], None], deadline_s: float = STOP_S) -> Stopped:
    """Stop all devices of a site. Raises what opening the journal raises."""
    say_stop()
    return asyncio.run(_stop(site, tell, deadline_s))


async def _stop(site: Site, tell: Callable[[str], None], deadline_s: float) -> Stopped:
    with field.open_journal() as journal:
        async with field.opened(site, journal, who=f"stop by {who()}", holder="stop", live=True) as opened:
            end_s = opened.clock.monotonic() + deadline_s
            held = await _wait_for_lines(opened, end_s, tell)
            # Whoever held the lines wrote to the journal meanwhile.
            history = History(journal.entries(), {c.key: c.write for c in opened.channels})
            for channel in opened.channels:
                channel.record = history.of(*channel.key)
            mine = [c for c in opened.channels if c.site.line not in held]
            holder = opened.holder()
            holder.channels = mine
            await holder.begin()
            await asyncio.gather(*(_claim(c) for c in mine))
            left = max(end_s - opened.clock.monotonic(), RETRY_S)
            outcomes = [
                o for o in await holder.release_all("gridopt stop --all", left) if o.status is not Status.WAITING
            ]
            journal.note(opened.clock.look().now, "stop", who=who(), held=list(held.values()))
    return Stopped(outcomes, list(held.values()))


async def _wait_for_lines(opened: Field, end_s: float, tell: Callable[[str], None]) -> dict[str, str]:
    """Wait until the lines are ours; line → who has those that never were."""
    held = dict.fromkeys(opened.site.lines, "")
    told = False
    while True:
        for name in list(held):
            why = await _held(opened, name)
            if why:
                held[name] = why
            else:
                del held[name]
        if not held or opened.clock.monotonic() >= end_s:
            return held
        if not told:
            tell("; ".join(dict.fromkeys(held.values())) + ": waiting until it has given everything back")
            told = True
        await asyncio.sleep(RETRY_S)


async def _held(opened: Field, line: str) -> str:
    """Who else has a line, or ""."""
    for name, device in opened.devices.items():
        if opened.site.devices[name].line != line:
            continue
        try:
            await device.identify()
        except Stranger:
            return ""
        except Fault as fault:
            return fault.why if fault.kind is FaultKind.HELD else ""
        return ""
    return ""


async def _claim(channel: Channel) -> None:
    """A device that the journal says nothing of, and that is commanded all the same, is given back too."""
    if channel.idle and channel.write.release and not await channel.is_released():
        channel.record.standing = 0.0
