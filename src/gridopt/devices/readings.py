"""Readings: a value with its time and what it is worth, and how both wear off.

A value that a device gives for ever is no measurement: gateways go on answering from their memory when the device
behind them is gone. A point with ``moves_s`` is watched: where it stands still for longer, over several readings, it is
stale; where all of a device's such points do, the whole device is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from gridopt.devices.codec import Decoded, Quality, Value
from gridopt.devices.points import Point

ENOUGH = 3
"""Readings of the same words before a point counts as standing still."""


@dataclass(frozen=True)
class Reading:
    """What a device said. ``time``: when its answer came (UTC); ``at_s``: the same on the monotonic clock.

    There is a value where the quality is good, else None and ``why`` says it in words.
    """

    time: datetime
    device: str
    quantity: str
    value: Value | None
    quality: Quality
    why: str = ""
    at_s: float = 0.0

    @property
    def good(self) -> bool:
        return self.quality is Quality.GOOD

    def spoilt(self, quality: Quality, why: str) -> Reading:
        """The same reading, not to be used."""
        return replace(self, value=None, quality=quality, why=why)


def readings(said: Mapping[str, Decoded], time: datetime, device: str, at_s: float) -> dict[str, Reading]:
    """Readings of one moment. They are made without the dataclass's own constructor, which sets a frozen one field by
    field and would take as long as decoding: it runs for every value of every device, at each poll."""
    new, found = object.__new__, {}
    for name, (value, quality, why) in said.items():
        reading = found[name] = new(Reading)
        reading.__dict__.update(
            time=time, device=device, quantity=name, value=value, quality=quality, why=why, at_s=at_s
        )
    return found


def aged(reading: Reading, point: Point, now_s: float) -> Reading:
    """The reading as it is worth now: stale from the point's ``stale_s`` on."""
    age_s = now_s - reading.at_s
    if reading.quality is not Quality.GOOD or age_s <= point.stale_s:
        return reading
    return reading.spoilt(Quality.STALE, f"read {age_s:.0f} s ago; {point.stale_s:g} s is the most")


@dataclass
class _Still:
    value: Value | None
    since_s: float
    times: int = 1


class Motion:
    """Which watched points of a device have stopped moving."""

    def __init__(self, points: Mapping[str, Point]) -> None:
        self.limits = {name: p.moves_s for name, p in points.items() if p.moves_s is not None and p.readable}
        self._still: dict[str, _Still] = {}

    def see(self, readings: Mapping[str, Reading]) -> None:
        """Takes in what was read; what could not be read says nothing of motion."""
        for name in self.limits.keys() & readings.keys():
            reading = readings[name]
            if not reading.good:
                continue
            still = self._still.get(name)
            if still is None or still.value != reading.value:
                self._still[name] = _Still(reading.value, reading.at_s)
            else:
                still.times += 1

    @property
    def seen(self) -> int:
        """How many watched points were read."""
        return len(self._still)

    def stopped(self, now_s: float) -> dict[str, str]:
        """Point → why it counts as standing still."""
        return {
            name: f"{name} has stood still for {now_s - still.since_s:.0f} s"
            for name, still in sorted(self._still.items())
            if still.times >= ENOUGH and now_s - still.since_s > self.limits[name]
        }


def numbers(readings: Mapping[str, Reading]) -> dict[str, float]:
    """The good readings that are numbers."""
    return {
        name: r.value
        for name, r in readings.items()
        if r.good and isinstance(r.value, float) and math.isfinite(r.value)
    }
