"""From a command to requests: which words go to which registers, in which order. Sends nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gridopt.devices.codec import Unfit, encode
from gridopt.devices.points import Point
from gridopt.devices.schema import TIMER, VALUE, Write

WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS = 5, 6, 15, 16
STEP_SLACK = 1e-6
"""A value counts as a multiple of a step when it is one to this share of the step."""


@dataclass(frozen=True)
class Frame:
    """One request: a Modbus function, the first register it writes and the words. Where ``sunspec`` names a model, the
    register counts from that model's start.

    ``rests_on``: a request before it whose words must be read in the device before this one is sent: what arms a value
    in a SunSpec model, where the value and its timer stand in other registers.
    """

    function: int
    address: int
    words: tuple[int, ...]
    sunspec: int | None = None
    rests_on: Frame | None = None


def refusal(write: Write, value: object, low: float | None = None, high: float | None = None) -> str:
    """Why a command's value must not be written, or "". ``low`` and ``high``: the site's own bounds.

    A value outside is refused, never moved to the nearest that is inside.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return f"{value!r} is not a finite number"
    if write.states:
        known = ", ".join(f"{n} {name}" for n, name in enumerate(write.states))
        return "" if value in range(len(write.states)) else f"{value:g} is none of {known}"
    if value in write.also:
        return ""
    for key, said, own in (("low", write.low, low), ("high", write.high, high)):
        bounds = [b for b in (said, own) if isinstance(b, (int, float))]
        if not bounds:
            return f"{key} is the installer's to say, and the site does not say it"
        if key == "low" and value < max(bounds):
            return f"{value:g} is less than {max(bounds):g}"
        if key == "high" and value > min(bounds):
            return f"{value:g} is more than {min(bounds):g}"
    if write.step is not None and abs(value / write.step - round(value / write.step)) > STEP_SLACK:
        return f"{value:g} is no multiple of {write.step:g}"
    return ""


def frames(
    points: Mapping[str, Point],
    write: Write,
    value: float,
    readings: Mapping[str, float] | None = None,
    exponents: Mapping[str, int | None] | None = None,
    time_s: float | None = None,
) -> tuple[Frame, ...]:
    """The requests that carry a command's value out, in their order.

    ``readings``: what points read, for a value that is a share of one; ``exponents``: of points with a scale-factor
    register; ``time_s``: the fail-safe's time where the site says it. Raises Unfit. Whether the value is within the
    command's range is for ``refusal`` to say.
    """
    meaning: dict[str, Any] = {VALUE: _told(write, value, readings or {})}
    time = write.fail_safe.time_s if time_s is None else time_s
    if isinstance(time, (int, float)):
        meaning[TIMER] = time
    return _requests(points, write, write.steps, meaning, exponents or {}, sets=True)


def release_frames(
    points: Mapping[str, Point], write: Write, exponents: Mapping[str, int | None] | None = None
) -> tuple[Frame, ...]:
    """The requests that give control back; none where the fail-safe does."""
    return _requests(points, write, write.release, {}, exponents or {}, sets=False)


def _told(write: Write, value: float, readings: Mapping[str, float]) -> float | str:
    if write.states:
        why = refusal(write, value)
        if why:
            raise Unfit(why)
        return write.states[int(value)]
    if write.share_of is None:
        return value
    whole = readings.get(write.share_of)
    if whole is None or not whole > 0:
        raise Unfit(f"{write.share_of} is not known, and the value is a share of it")
    return value / whole


def _requests(
    points: Mapping[str, Point],
    write: Write,
    steps: tuple[dict[str, Any], ...],
    meaning: Mapping[str, Any],
    exponents: Mapping[str, int | None],
    sets: bool,
) -> tuple[Frame, ...]:
    found: list[Frame] = []
    shown = False
    for step in steps:
        order = in_order(points, step)
        words: list[int] = []
        for point in order:
            said = step[point.name]
            if said == TIMER and TIMER not in meaning:
                raise Unfit("the time of the fail-safe is the installer's to say, and the site does not say it")
            value = said[meaning[VALUE]] if isinstance(said, dict) else _meant(said, meaning)
            words += encode(point.codec, value, exponents.get(point.name))
        rests_on = found[-1] if shown else None
        found.append(Frame(_function(order, write), order[0].address, tuple(words), order[0].sunspec, rests_on))
        shown = sets and order[0].sunspec is not None and all(p.readable for p in order)
    return tuple(found)


def _meant(said: object, meaning: Mapping[str, Any]) -> object:
    """A word that stands for what is written; anything else is written as it is."""
    return meaning.get(said, said) if isinstance(said, str) else said


def in_order(points: Mapping[str, Point], step: Mapping[str, Any]) -> list[Point]:
    """The points of a request, by their registers."""
    return sorted((points[name] for name in step), key=lambda p: p.address)


def _function(order: list[Point], write: Write) -> int:
    one = sum(p.codec.registers for p in order) == 1 and not write.multiple
    if order[0].table == "coil":
        return WRITE_COIL if one else WRITE_COILS
    return WRITE_REGISTER if one else WRITE_REGISTERS
