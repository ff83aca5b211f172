"""What a device may be told: pure rules, asked before anything is sent. Each answers why not, or "".

A value outside is refused, never moved to the nearest that is inside: a plan that asks for it is wrong about the
device, and what else it asks of that device is refused with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gridopt.devices import frames
from gridopt.devices.frames import STEP_SLACK
from gridopt.devices.schema import Write
from gridopt.devices.site import SiteDevice

SAME = 1e-9


# --- the value -------------------------------------------------------------------------------------------------------


def permission(device: SiteDevice, name: str) -> str:
    """Why nothing may ever be written to a device by this command as the site stands."""
    if name not in device.writes:
        return f"{device.name} has no [device.{device.name}.write.{name}]: it is only read"
    write, said = device.whole(name), device.writes[name]
    open_keys = [key for key in write.left_to_site if key != "share_of" or said.share_of is None]
    if open_keys:
        return f"the adapter leaves {', '.join(open_keys)} to the installer, and the site does not say it"
    if write.fail_safe.kind == "none" and said.signed is None:
        return "nobody knows what the device does when gridopt is gone, and no person signed for it"
    if write.fail_safe.kind != "none" and not isinstance(write.fail_safe.time_s, (int, float)):
        return "nobody knows after what time its fail-safe acts"
    return ""


def value(write: Write, wanted: object) -> str:
    """Why a value is outside of what the adapter and the installer allow; the tighter of the two wins."""
    return frames.refusal(write, wanted)


def in_steps(write: Write, wanted: float) -> float:
    """A scheduled value in the steps that the device takes: the nearest towards zero, less than a step away.

    A schedule is continuous, a device is not. Towards zero, so that no limit that the schedule kept is passed.
    """
    if write.step is None or not math.isfinite(wanted):
        return wanted
    return round(math.trunc(wanted / write.step + math.copysign(STEP_SLACK, wanted)) * write.step, 9) + 0.0


def rated(write: Write, wanted: float, rating: float | None) -> str:
    """Why a value is more than the device itself says that it can."""
    if write.rating is None:
        return ""
    if rating is None:
        return f"{write.rating} cannot be read, and nothing beyond it may be asked for"
    return f"{wanted:g} is more than the device's own {rating:g}" if abs(wanted) > rating + SAME else ""


def whole_plan(write: Write, values: Iterable[float]) -> str:
    """Why a device's part of a plan is refused: the first value of any step that is outside. NaN: nothing is said."""
    return next((why for v in values if not math.isnan(v) if (why := value(write, v))), "")


def stage(write: Write, last: float | None, wanted: float, elapsed_s: float) -> float:
    """How far towards ``wanted`` the ramp lets a device go, ``elapsed_s`` after it stood proven at ``last``.

    A stage is a value that may be told: it keeps to the step, and a gap that holds no value is crossed at once.
    Without a ramp, or a last value to count from, it is ``wanted``.
    """
    if write.ramp_per_s is None or last is None or write.states:
        return wanted
    most = write.ramp_per_s * max(elapsed_s, 0.0)
    if abs(wanted - last) <= most + SAME:
        return wanted
    way = math.copysign(1.0, wanted - last)
    step = write.step or 0.0
    reached = last + way * most
    if step:
        whole = math.floor((reached * way) / step + 1e-6) * step * way
        reached = whole if (whole - last) * way > 0 else last
    if reached == last or not value(write, reached):
        return reached
    bounds = [b for b in (write.low, write.high, *write.also) if isinstance(b, (int, float))]
    beyond = [b for b in bounds if (b - reached) * way > 0 and (wanted - b) * way >= 0]
    return min(beyond, key=lambda b: abs(b - reached)) if beyond else wanted


# --- how often -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Past:
    """What was done to a device before. Times are seconds ago; None: never.

    ``writes_today``: requests of the last 24 hours, refreshes among them; ``writes_ever``: of its life.
    ``on``: whether it stands above zero, since ``switched_s``.
    """

    changed_s: float | None = None
    writes_today: int = 0
    writes_ever: int = 0
    on: bool | None = None
    switched_s: float | None = None


def rate(write: Write, past: Past, requests: int, changes: bool = True) -> str:
    """Why a device must not be written to so soon or so often."""
    if changes and past.changed_s is not None and past.changed_s < write.interval_s - SAME:
        return f"it was changed {past.changed_s:.0f} s ago; its shortest interval is {write.interval_s:g} s"
    if write.writes_per_day is not None and past.writes_today + requests > write.writes_per_day:
        return f"its {write.writes_per_day} writes of a day are used up"
    if write.write_budget is not None and past.writes_ever + requests > write.write_budget:
        return f"its {write.write_budget} writes of a life are used up"
    return ""


UNCOUNTED = 1 << 30
"""Writes left where nobody counts them."""


def left(write: Write, past: Past) -> int:
    """Requests that a device's memory still takes today."""
    most = ((write.writes_per_day, past.writes_today), (write.write_budget, past.writes_ever))
    return min([UNCOUNTED, *(max(m - used, 0) for m, used in most if m is not None)])


def is_on(write: Write, wanted: float) -> bool:
    """Whether a value means running. Of states, those before ``normal`` (lock), or the first of two, mean not."""
    if write.states:
        first = write.states.index("normal") if "normal" in write.states else 1
        return int(wanted) >= first
    return abs(wanted) > SAME


def running(write: Write, past: Past, wanted: float, min_on_s: float, min_off_s: float) -> str:
    """Why a device must stay on, or off, for a while yet."""
    on = is_on(write, wanted)
    if past.on is None or past.switched_s is None or on == past.on:
        return ""
    least = min_on_s if past.on else min_off_s
    if past.switched_s < least - SAME:
        return f"it has been {'on' if past.on else 'off'} for {past.switched_s:.0f} s, and stays so for {least:g} s"
    return ""


# --- all devices together --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A node with a hard limit: what it draws now [kW], and the most it may draw and give."""

    node: str
    power_kw: float | None
    import_max_kw: float
    export_max_kw: float


@dataclass(frozen=True)
class Change:
    """What one device is about to do: ``before_kw`` → ``after_kw`` at ``nodes``, from its own node to the root."""

    device: str
    nodes: tuple[str, ...]
    before_kw: float
    after_kw: float


@dataclass(frozen=True)
class Bound:
    """A state that must stay within: a battery's content, a room's temperature. ``value`` None: not known.

    ``lowers``, ``raises``: whether what the device is about to be told, ``wanted`` in words, moves the state down or
    up; ``mend``: how a plan is made that knows the state, or "".
    """

    device: str
    quantity: str
    value: float | None
    low: float = -math.inf
    high: float = math.inf
    lowers: bool = False
    raises: bool = False
    unit: str = ""
    wanted: str = "this"
    mend: str = ""


def beyond(b: Bound) -> str:
    """Why a device must not be told what would move its state on, or "". It alone waits, the others go on."""
    if not (b.lowers or b.raises):
        return ""
    if b.value is None:
        return f"{b.quantity} is not known, and must stay within {b.low:g}..{b.high:g} {b.unit}".rstrip()
    low, high = b.lowers and b.value <= b.low, b.raises and b.value >= b.high
    if not (low or high):
        return ""
    edge, least, way = (b.low, "least", "lower") if low else (b.high, "most", "raise")
    most = f"the {least} that it may be" + ("" if b.value == edge else f" is {edge:g}")
    said = f"{b.quantity} is {b.value:g} {b.unit}".rstrip()
    return f"{said}, {most}, and {b.wanted} would {way} it: plan again from what it is now{b.mend and f' ({b.mend})'}"


def together(changes: Sequence[Change], places: Sequence[Place]) -> list[str]:
    """What the whole set would break. Asked before the first write: where anything is said, nothing is sent.

    A node that is over its limit already may be relieved. One whose power is not known takes no rise.
    """
    found: list[str] = []
    seen: set[str] = set()
    for c in changes:
        if c.device in seen:
            found.append(f"{c.device} is told two powers at once")
        seen.add(c.device)
    for place in places:
        moved = [c for c in changes if place.node in c.nodes]
        found += _at_node(place, sum(c.after_kw - c.before_kw for c in moved))
    return found


def _at_node(place: Place, rise_kw: float) -> list[str]:
    if not (math.isfinite(place.import_max_kw) or math.isfinite(place.export_max_kw)):
        return []
    if place.power_kw is None:
        return [] if abs(rise_kw) <= SAME else [f"{place.node} has a limit, and no meter says what it draws"]
    after = place.power_kw + rise_kw
    if rise_kw > SAME and after > place.import_max_kw + SAME:
        return [f"{place.node} would draw {after:.6g} kW; it may draw {place.import_max_kw:g} kW"]
    if rise_kw < -SAME and -after > place.export_max_kw + SAME:
        return [f"{place.node} would give {-after:.6g} kW; it may give {place.export_max_kw:g} kW"]
    return []


def nodes_above(parents: Mapping[str, str | None], node: str | None) -> tuple[str, ...]:
    """A node and all above it."""
    found: list[str] = []
    while node is not None and node not in found:
        found.append(node)
        node = parents.get(node)
    return tuple(found)
