"""Stop all: tell whoever holds the lines to give everything back, and do it where nobody does.

It needs no plan and no solver, and nothing of whoever hangs: the word to stop is a file, and a watch that does not obey
it holds nothing for longer than its devices' fail-safes do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gridopt.config import state_folder
from gridopt.devices import site as sites
from gridopt.devices.device import Stranger
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.site import Site
from gridopt.dispatch.channel import Channel, Outcome
from gridopt.dispatch.history import History
from gridopt.dispatch.hold import STOP_S, end_code
from gridopt.dispatch.prove import Status
from gridopt.errors import GridoptError, UsageError
from gridopt.jobs import field
from gridopt.jobs.field import Field
from gridopt.jobs.push import who
from gridopt.store.journal import INTENT, RESULT, Journal

RETRY_S = 0.5


@dataclass(frozen=True)
class Stopped:
    """What is known of each device. ``held``: lines that another process still has, and who; ``sites``: the files whose
    devices were asked; ``failed``: why those of a site were not."""

    outcomes: Sequence[Outcome] = ()
    held: Sequence[str] = ()
    sites: Sequence[Path] = ()
    failed: Sequence[str] = ()

    @property
    def exit_code(self) -> int:
        return 14 if self.held or self.failed or not self.sites else end_code(self.outcomes)


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


def stop(said: Path | None, tell: Callable[[str], None], deadline_s: float = STOP_S) -> Stopped:
    """Give back all devices of the site that is said; else of every site that the journal names, and of the one here.

    ``deadline_s``: of each site. What cannot be done for one site is told, and keeps no other from being given back.
    """
    say_stop()
    files, failed = ([said], []) if said is not None else _files()
    done = Stopped(failed=failed)
    for file in files:
        try:
            site = sites.load(file)
            one = asyncio.run(_stop(site, tell, deadline_s))
        except GridoptError as error:
            done = replace(done, failed=[*done.failed, f"{file}: {error}"])
            continue
        done = Stopped([*done.outcomes, *one.outcomes], [*done.held, *one.held], [*done.sites, site.file], done.failed)
    return done


def _files() -> tuple[list[Path], list[str]]:
    """Files of sites in force, the latest first; and what is known of others that is no good news.

    A site whose file is gone counts only where the journal does not say that all of its devices were given back.
    """
    here, place = Path(sites.FILE), state_folder() / field.JOURNAL
    found = [here.resolve()] if here.is_file() else []
    if not place.is_file():
        return found, []
    failed = []
    named: dict[Path, Sequence[str]] = {}
    try:
        with Journal.read(place) as journal:
            for entry in journal.entries():
                if entry.kind == "site":
                    file = Path(str(entry.body["file"])).resolve()
                    named.pop(file, None)
                    named[file] = list(entry.body.get("adapters", ()))
            for file in [f for f in named if not f.is_file()]:
                left = [d for d in named.pop(file) if _may_stand(journal, d)]
                if left:
                    failed.append(f"{file} is gone, and what {', '.join(left)} was told may stand")
    except GridoptError as error:
        failed.append(str(error))
    return list(dict.fromkeys([*reversed(named), *found])), failed


def _may_stand(journal: Journal, device: str) -> bool:
    """Whether the last that the journal knows of a device is not that it was given back."""
    told, came = journal.last(INTENT, device), journal.last(RESULT, device)
    return told is not None and (came is None or came.seq < told.seq or came.body.get("outcome") != Status.RELEASED)


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
