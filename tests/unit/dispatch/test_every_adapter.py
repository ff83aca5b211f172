"""Every command of every adapter that ships is told, proven, held beyond its time, and falls back in silence."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gridopt.devices.adapter import Adapter, load, shipped
from gridopt.devices.schema import INSTALLER
from gridopt.dispatch import prove
from gridopt.dispatch.prove import Status
from tests.support.bench import Bench, a_plan, bench, turns

COMMANDS = [(name, write) for name in shipped() for write in load(name).writes]
RATED_KW = 10.0
SIGNED = 'signed = { by = "A. Person", on = 2026-01-01, why = "on the bench" }\n'


def site(adapter: Adapter, name: str) -> str:
    """A devices.toml in which the installer says all that is left to them."""
    write = adapter.writes[name]
    text = f'[device.x]\nadapter = "{adapter.name}"\nline = "main"\nunit_id = 1\n'
    text += "part = 0\n" if adapter.link.stride else ""
    text += f"[device.x.write.{name}]\n"
    said = {"low": 0.0, "high": 16.0 if write.command == "current" else 8.0, "share_of": RATED_KW}
    text += "".join(f"{key} = {value}\n" for key, value in said.items() if getattr(write, key) == INSTALLER)
    if write.fail_safe.time_s == INSTALLER:
        text += "time_s = 30\n"
    if write.fail_safe.fallback == INSTALLER:
        states = write.states
        text += f'fallback = "{states[-1]}"\n' if states else "fallback = 6\n"
    return text + ("" if write.allowed else SIGNED)


def value(b: Bench) -> float:
    """One that it does not hold yet."""
    write = b.channel("x").write
    if write.states:
        fallback = prove.set_fallback(write)
        return float(next(k for k in range(len(write.states)) if k != fallback))
    if write.command == "current":
        return 10.0
    low = write.low if isinstance(write.low, (int, float)) else 0.0
    step = write.step or 1.0
    return low + step * max(round(2.0 / step), 1) if low >= 0 else 2.0


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[f"{n}-{c}" for n, c in COMMANDS])
def test_it_is_told_proven_held_and_falls_back(tmp_path: Path, name: str, command: str) -> None:
    adapter = load(name)
    b = bench(tmp_path, site(adapter, command))
    channel, wanted = b.channel("x"), value(b)
    holder = b.holder()

    async def go() -> None:
        await holder.begin()
        holder.follow(a_plan({("x", channel.write.command): [wanted] * 8}))
        await turns(holder, 100)

    asyncio.run(go())
    o = channel.outcome
    assert o.status in (Status.CONFIRMED, Status.NOT_FOLLOWING), o
    assert len(b.kinds("intent")) <= 1, "told once"
    assert not [a for a in b.kinds("alarm") if "someone" in a["why"] or "fell back" in a["why"]]
    if channel.time_s is not None:
        b.time.at_s += channel.time_s + 1
        meant = prove.fallen_back(channel.points, channel.write)
        wrong = prove.off(meant, {n: b.number("x", n) for n in meant})
        assert not wrong
        before = b.writes()
        asyncio.run(holder.release_all("end"))
        assert channel.outcome.status in (Status.RELEASED, Status.LEFT)
        assert b.writes() >= before
