"""Devices read and scanned: opens the lines, and closes them again. Writes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gridopt.config import lock_folder
from gridopt.devices.adapter import Adapter
from gridopt.devices.counters import Step
from gridopt.devices.device import Device, Reading
from gridopt.devices.link.address import LineAddress
from gridopt.devices.link.lines import Lines, Patience
from gridopt.devices.scan import Scan, scan

EAGER = Patience(unit_s=0.0, line_s=0.0)
"""A scan asks for what many devices do not have: no unit is left alone for it."""


@dataclass(frozen=True)
class Target:
    """A device that is to be read. ``points``: those wanted; None = all."""

    name: str
    adapter: Adapter
    address: LineAddress
    unit_id: int
    part: int | None = None
    serial: str | None = None
    points: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Swept:
    """What one device read. ``counted``: what its counters counted since the sweep before."""

    readings: Mapping[str, Reading]
    counted: Mapping[str, Step]


def now() -> datetime:
    return datetime.now(UTC)


async def sweeps(
    targets: Sequence[Target], every_s: float | None = None, times: int | None = None
) -> AsyncIterator[Mapping[str, Swept]]:
    """Device → what it read: once, or every so many seconds, for ever or so many times."""
    async with Lines(lock_folder(), "read") as lines:
        devices = [
            (
                Device(
                    t.name,
                    t.adapter,
                    lines.line(t.address).unit(t.unit_id, t.adapter.link),
                    clock=time.monotonic,
                    now=now,
                    part=t.part,
                    serial=t.serial,
                ),
                t.points,
            )
            for t in targets
        ]
        done = 0
        while True:
            due_s = time.monotonic() + (every_s or 0.0)
            found = await asyncio.gather(*(device.read(points) for device, points in devices))
            yield {
                device.name: Swept(readings, {n: s for n, s in device.counted.items() if n in readings})
                for (device, _), readings in zip(devices, found, strict=True)
            }
            done += 1
            if every_s is None or done == times:
                return
            await asyncio.sleep(max(due_s - time.monotonic(), 0.0))


async def scan_units(address: LineAddress, units: Iterable[int], adapters: Sequence[Adapter]) -> dict[int, Scan]:
    """What each unit of a line is, one after the other."""
    async with Lines(lock_folder(), "scan", EAGER) as lines:
        line = lines.line(address)
        return {u: await scan(lambda link, u=u: line.unit(u, link), adapters, time.monotonic, now) for u in units}  # type: ignore[misc]
