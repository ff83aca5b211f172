"""Counters: what passed between two readings, where a counter wraps at its end or starts again at zero.

A counter of n bits that reads less than before has wrapped, or was reset. It wrapped where what then passed,

    delta = (after - before) mod 2^n                                                                         (1)

is no more than ``most_kw`` can bring in the time between; else it was reset, and what passed is not known. A counter
that reads more than ``most_kw`` allows has jumped: a reset too, or another counter. A floating-point register does not
wrap.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gridopt.devices.codec import FLOATS, Codec

MOST_KW = 1e4
"""More than a meter in a district counts: a wrap that would need more is a reset."""

SLACK = 1.1
"""Clocks and the moments at which a device samples are not exact."""


class Event(StrEnum):
    WRAPPED = "wrapped"
    RESET = "reset"


@dataclass(frozen=True)
class Step:
    """What passed between two readings. ``kwh`` is None where nobody knows."""

    kwh: float | None
    event: Event | None = None
    why: str = ""


NOTHING = Step(0.0)


def passed(
    codec: Codec, before: float, after: float, elapsed_s: float, exponent: int | None = None, most_kw: float = MOST_KW
) -> Step:
    """What a counter counted between two readings, see (1)."""
    if after == before:
        return NOTHING
    most = max(most_kw * SLACK * max(elapsed_s, 0.0) / 3600, 0.0) + _slip(codec, exponent, before)
    delta = after - before
    if 0 <= delta <= most:
        return Step(delta)
    if delta > most:
        return Step(None, Event.RESET, f"{delta:g} kWh more within {elapsed_s:g} s is beyond {most_kw:g} kW")
    if codec.type not in FLOATS:
        span = codec.resolution(exponent or 0) * 2.0 ** (16 * codec.registers)
        if delta + span <= most:
            return Step(delta + span, Event.WRAPPED, f"from {before:g} over its end to {after:g} kWh")
    return Step(None, Event.RESET, f"from {before:g} back to {after:g} kWh")


def _slip(codec: Codec, exponent: int | None, before: float) -> float:
    """What one count is worth: a counter moves by whole counts; a float register by its last bit."""
    if codec.type in FLOATS:
        return abs(before) * (2.0**-22 if codec.type == "f32" else 2.0**-51)
    return codec.resolution(exponent or 0)
