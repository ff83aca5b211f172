"""The commissioning test of a fail-safe: set a value, fall silent, and see the device fall back in its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from gridopt.devices.schema import COMMANDS
from gridopt.devices.site import Site
from gridopt.dispatch import envelope
from gridopt.dispatch.channel import Channel, Order, Outcome
from gridopt.dispatch.prove import Status
from gridopt.errors import DeviceError, UsageError
from gridopt.jobs import field
from gridopt.jobs.push import who
from gridopt.written.words import did_you_mean

LOOK_S = 1.0
LATE_SHARE, LATE_S = 0.1, 3.0
"""How much later than declared a device may fall back."""


@dataclass(frozen=True)
class Proof:
    """What was seen. ``after_s``: when the device fell back, None where it did not; ``time_s``: what is declared."""

    device: str
    command: str
    value: float
    time_s: float
    after_s: float | None
    declared: bool
    why: str

    @property
    def holds(self) -> bool:
        return self.after_s is not None and self.declared

    @property
    def exit_code(self) -> int:
        return 0 if self.holds else 14


def declared(site: Site, device: str, value: float) -> str:
    """What the test would do. Raises UsageError for a device that takes no command, or several."""
    known = site.devices.get(device)
    if known is None:
        hint = did_you_mean(device, site.devices, "there are")
        raise UsageError("{device} is not in {file}{hint}", device=device, file=site.file.name, hint=hint)
    names = list(known.writes)
    if len(names) != 1:
        what = "lets nobody write to it" if not names else "names several commands of it"
        raise UsageError("{device}: {file} {what}", device=device, file=site.file.name, what=what)
    write = known.whole(names[0])
    unit, safe = COMMANDS[write.command], write.fail_safe
    told = f"{device} would be told {value:g} {unit}".rstrip()
    why = envelope.permission(known, names[0]) or envelope.value(write, value)
    if why:
        raise UsageError("{device}: {why}", device=device, why=why)
    back = f"{safe.fallback:g} {unit}".rstrip() if isinstance(safe.fallback, (int, float)) else safe.fallback
    return f"{told}, and must fall back to {back} within {safe.time_s:g} s ({safe.kind})"


def prove_failsafe(site: Site, device: str, value: float, tell: Callable[[str], None]) -> Proof:
    """Test one device. It is told ``value`` and then nothing more. Raises DeviceError where it does not take it."""
    field.check_not_stopped()
    declared(site, device, value)
    return asyncio.run(_prove(site, device, value, tell))


async def _prove(site: Site, device: str, value: float, tell: Callable[[str], None]) -> Proof:
    with field.open_journal() as journal:
        options = {"who": f"prove-failsafe by {who()}", "holder": "prove-failsafe", "live": True}
        async with field.opened(site, journal, may=lambda *_: "", **options) as opened:  # type: ignore[arg-type]
            channel = opened.channel(device)
            await channel.begin(opened.clock.look())
            time_s = channel.time_s
            if time_s is None:
                raise DeviceError("{device}: nobody knows its fail-safe, so there is none to prove", device=device)
            outcome = await _set(channel, value, opened)
            if outcome.status not in (Status.APPLIED, Status.CONFIRMED):
                raise DeviceError("{device}: {status}: {why}", device=device, status=outcome.status, why=outcome.why)
            tell(f"{device} holds {value:g}; now silence, for at most {time_s:g} s")
            proof = await _silence(channel, value, time_s, opened)
            body = {"value": value, "after_s": proof.after_s, "time_s": time_s, "holds": proof.holds, "why": proof.why}
            journal.note(opened.clock.look().now, "prove-failsafe", device, command=channel.name, **body)
            if not proof.holds:
                await channel.release("its fail-safe did not act as declared")
            else:
                channel.leave("its fail-safe was proven")
            return proof


async def _set(channel: Channel, value: float, opened: field.Field) -> Outcome:
    """Tell the value, in as many stages as its ramp and intervals ask for."""
    order = Order(value, "prove-failsafe", "", "optimal", 0, "prove-failsafe")
    while True:
        outcome = await channel.tell(order, opened.clock.look())
        if outcome.status is not Status.WAITING:
            return outcome
        await asyncio.sleep(LOOK_S)


async def _silence(channel: Channel, value: float, time_s: float, opened: field.Field) -> Proof:
    """Send nothing and look, until the device no longer holds the value or its time is long past."""
    reads_feed = channel.write.fail_safe.fed_by == "read"
    begun_s, most_s = channel.fed_s, time_s * (1 + LATE_SHARE) + LATE_S
    after_s: float | None = None
    while after_s is None:
        await asyncio.sleep(most_s if reads_feed else LOOK_S)
        now_s = opened.clock.monotonic()
        if await channel.holds(value) is False:
            after_s = min(now_s - begun_s, most_s) if reads_feed else now_s - begun_s
        elif now_s - begun_s > most_s:
            break
    said = channel.site.name, channel.name, value, time_s
    if after_s is None:
        return Proof(*said, None, False, f"it still held the value {most_s:g} s after the last word")
    as_declared = await channel.fallen_back() or not channel.fallback_known
    why = "" if as_declared else f"it did not fall back to {channel.write.fail_safe.fallback}, as declared"
    return Proof(*said, after_s, as_declared, why)
