"""What a device must read after it was told something: the delayed readback, and the effect in a measurement.

An acknowledge proves nothing. A value counts as applied when every register of the command that can be read holds what
was meant, twice in a row after the settle time; as followed when a measurement moves to the side that was commanded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gridopt.devices.codec import Value
from gridopt.devices.points import Point
from gridopt.devices.schema import INSTALLER, LOCAL, TIMER, VALUE, Write

SLACK = 1e-6
NEEDED, MOST = 2, 4
"""Readings in a row that must agree, and readings until the answer is no: some devices show the last value at first."""
NEAR_SHARE, NEAR_LEAST = 0.1, 0.05
"""A measurement is where it was sent within a tenth of that value, and half of a tenth of a kW or A."""


class Status(StrEnum):
    """What is known of a setpoint."""

    CONFIRMED = "confirmed"
    """Acknowledged, read back twice and, where a measurement shows it, seen."""
    APPLIED = "applied"
    """Read back twice; its effect has not been seen yet, and may still come."""
    NOT_APPLIED = "not-applied"
    """The device holds something else."""
    NOT_FOLLOWING = "not-following"
    """It holds the value, and does not do it."""
    UNKNOWN = "unknown"
    """It was told, and cannot be asked."""
    REFUSED = "refused"
    """Nothing was sent: a rule forbids it."""
    WAITING = "waiting"
    """Not sent yet: a ramp, an interval or a shortest running time."""
    RELEASED = "released"
    """Given back to its own control, and read so."""
    LEFT = "left"
    """Refreshed no more; its fail-safe takes it back."""


PROVEN = (Status.CONFIRMED, Status.RELEASED)
FAILED = (Status.NOT_APPLIED, Status.NOT_FOLLOWING, Status.UNKNOWN)


@dataclass(frozen=True)
class Meant:
    """What one point must read: ``value``, within ``tolerance`` where it is a number."""

    value: Value
    tolerance: float = 0.0
    whole: float = 1.0
    """What a share that is read is a share of, so that it compares in the command's unit."""

    def holds(self, read: Value | None) -> bool:
        if isinstance(self.value, (int, float)) and isinstance(read, (int, float)):
            return abs(read * self.whole - self.value) <= self.tolerance + SLACK * max(1.0, abs(self.value))
        return read == self.value


def meant(
    points: Mapping[str, Point],
    write: Write,
    wanted: float,
    exponents: Mapping[str, int | None],
    whole: float | None = None,
    time_s: float | None = None,
) -> dict[str, Meant]:
    """Point → what it must read once the device was told ``wanted``; points that cannot be read are left out.

    ``whole``: what the value is a share of, where it is one. A point that the steps write but only another shows (a
    timer, a value) is looked for there.
    """
    said = write.states[int(wanted)] if write.states else wanted
    found: dict[str, Meant] = {}
    for step in write.steps:
        for name, content in step.items():
            what = content[said] if isinstance(content, dict) else content
            shown = _shown(points, write, name, what)
            if shown is not None:
                found[shown.name] = _meant(shown, write, what, said, exponents, whole, time_s)
    safe = write.fail_safe
    if safe.timer is not None and TIMER not in [v for step in write.steps for v in step.values()]:
        shown = points[safe.timer_readback or safe.timer]
        if time_s is not None and shown.readable:
            found[shown.name] = Meant(time_s, _resolution(shown, exponents))
    return found


def released(points: Mapping[str, Point], write: Write) -> dict[str, Meant]:
    """Point → what it must read once the device was given back."""
    return {
        name: Meant(value if not isinstance(value, int) else float(value))
        for step in write.release
        for name, value in step.items()
        if points[name].readable
    }


def fallen_back(points: Mapping[str, Point], write: Write) -> dict[str, Meant]:
    """Point → what it reads once the fail-safe has acted, as far as the adapter and the site say."""
    fallback = write.fail_safe.fallback
    point = points[write.readback or write.point]
    if fallback in (None, LOCAL, INSTALLER) or not point.readable or point.unit != points[write.point].unit:
        return {}
    assert fallback is not None
    return {point.name: Meant(fallback, write.tolerance or 0.0)}


def set_fallback(write: Write) -> float | None:
    """The declared fallback as a value that the command takes; None where it is the device's own control."""
    fallback = write.fail_safe.fallback
    if isinstance(fallback, str):
        return float(write.states.index(fallback)) if fallback in write.states else None
    return float(fallback) if isinstance(fallback, (int, float)) and not write.states else None


def off(meant: Mapping[str, Meant], read: Mapping[str, Value | None]) -> dict[str, Value | None]:
    """Points that do not read what they must, with what they read."""
    return {name: read.get(name) for name, m in meant.items() if not m.holds(read.get(name))}


def _shown(points: Mapping[str, Point], write: Write, name: str, what: object) -> Point | None:
    """The point in which a written one is read back."""
    if what == VALUE and write.readback is not None:
        return points[write.readback]
    if what == TIMER and write.fail_safe.timer_readback is not None:
        return points[write.fail_safe.timer_readback]
    return points[name] if points[name].readable else None


def _meant(
    point: Point,
    write: Write,
    what: object,
    said: float | str,
    exponents: Mapping[str, int | None],
    whole: float | None,
    time_s: float | None,
) -> Meant:
    own = _resolution(point, exponents)
    if what == TIMER:
        assert time_s is not None
        return Meant(time_s, own)
    if what != VALUE or isinstance(said, str):
        value = said if what == VALUE else what
        assert isinstance(value, (int, float, str, frozenset))
        return Meant(float(value) if isinstance(value, int) else value, own)
    share = whole if whole is not None and point.unit == "" else 1.0
    return Meant(said, write.tolerance if write.tolerance is not None else own * share, share)


def _resolution(point: Point, exponents: Mapping[str, int | None]) -> float:
    """Half of what its words can tell apart."""
    if point.codec.type == "text" or point.codec.codes or point.codec.bits:
        return 0.0
    return point.codec.resolution(exponents.get(point.name) or 0) / 2


# --- readback --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Readback:
    """Readings after a write, one after the other. ``status`` is None as long as another one is needed."""

    agreed: int = 0
    taken: int = 0
    answered: int = 0

    def after(self, answered: bool, agrees: bool) -> Readback:
        agreed = self.agreed + 1 if answered and agrees else 0
        return Readback(agreed, self.taken + 1, self.answered + answered)

    @property
    def status(self) -> Status | None:
        if self.agreed >= NEEDED:
            return Status.APPLIED
        if self.taken < MOST:
            return None
        return Status.NOT_APPLIED if self.answered else Status.UNKNOWN


# --- actuation -------------------------------------------------------------------------------------------------------


def seen(write: Write, wanted: float, before: float | None, measured: float) -> bool | None:
    """Whether a measurement shows that the device does what it was told; None: this command shows nothing there.

    A power is followed when the measurement is near it, or has come at least half of the way; a limit and a current
    are bounds, of either direction, that the device may stay below; off is followed when nothing flows.
    """
    near = max(NEAR_SHARE * abs(wanted), NEAR_LEAST)
    if write.command == "power" or write.command == "temperature":
        half = abs(wanted - before) / 2 if before is not None else 0.0
        return abs(measured - wanted) <= max(near, half)
    if write.command in ("limit", "current"):
        return abs(measured) <= wanted + near
    if write.command == "on_off":
        return (abs(measured) > NEAR_LEAST) == (wanted > 0)
    return None
