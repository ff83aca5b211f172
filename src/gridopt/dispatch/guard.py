"""The guard: between two plans it keeps every node within its hard limits, from what meters say now.

Each turn, at each node that a meter shows near its limit, devices give way by their priority until what is left fits;
they get it back slowly, the last that gave way first. What a device gives way by is a bound on the power that it draws:
``most_kw`` where the node draws too much, ``least_kw`` where it gives too much; the plan holds within it.

Both directions are one: where a node gives too much, every power counts with its sign turned. Pure: what is decided
depends on the arguments and on earlier turns, on no clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gridopt.devices.schema import Write
from gridopt.dispatch.envelope import is_on

MARGIN_SHARE, MARGIN_KW = 0.02, 0.1
"""The guard keeps below a limit by a fiftieth of it, and at least this: meters are not exact, and loads move."""
RESTORE_SHARE = 0.25
"""Share of the free room that is given back at a time."""
RESTORE_S = 60.0
"""Time between two steps of giving back at a node, and after the last shedding there."""
REACT_S = 15.0
"""How long a device may take to do what it was told before it is taken not to."""
TINY_KW = 1e-6


@dataclass(frozen=True)
class Lever:
    """A device that can give way. ``nodes``: its own and all above; ``priority``: the lowest gives way first.

    ``down_to_kw``: the least that it can be told to draw, where a node draws too much; ``up_to_kw``: the most, where a
    node gives too much; None where it cannot be told that. ``whole``: it is either on or off.
    """

    device: str
    nodes: tuple[str, ...]
    priority: int = 0
    down_to_kw: float | None = None
    up_to_kw: float | None = None
    whole: bool = False

    def least(self, turned: bool) -> float:
        """The least power it can be told, as the direction counts it; inf where it cannot give way."""
        if turned:
            return math.inf if self.up_to_kw is None else -self.up_to_kw
        return math.inf if self.down_to_kw is None else self.down_to_kw


@dataclass(frozen=True)
class Seen:
    """A device now: what it draws (None: not known), what the plan lets it draw, and whether it may be told anew."""

    power_kw: float | None
    planned_kw: float | None = None
    ready: bool = True


@dataclass(frozen=True)
class Limit:
    """Of a node: the most it may draw and give [kW]."""

    import_max_kw: float = math.inf
    export_max_kw: float = math.inf


@dataclass(frozen=True)
class Bounds:
    """Between what a device's draw must stay [kW]."""

    least_kw: float = -math.inf
    most_kw: float = math.inf


@dataclass(frozen=True)
class Turn:
    """What was decided: bounds in force by device; what to journal; whether a new plan should be made."""

    bounds: Mapping[str, Bounds]
    said: tuple[str, ...] = ()
    replan: bool = False


@dataclass(frozen=True)
class _Cut:
    """A bound in one direction. ``most``: as the direction counts; ``freed``: what it gave up; ``since_s``: when."""

    most: float
    freed: float
    since_s: float


@dataclass
class Guard:
    levers: Sequence[Lever]
    _cuts: dict[tuple[str, bool], _Cut] = field(default_factory=dict)
    _moved_s: dict[tuple[str, bool], float] = field(default_factory=dict)
    _short: set[tuple[str, bool]] = field(default_factory=set)

    def turn(
        self, at_s: float, limits: Mapping[str, Limit], power_kw: Mapping[str, float | None], seen: Mapping[str, Seen]
    ) -> Turn:
        """One turn. A node without a good reading is left as it is: nothing is given back there either."""
        said: list[str] = []
        cut_before = set(self._cuts)
        for turned in (False, True):
            sign = -1.0 if turned else 1.0
            now = {name: sign * s.power_kw for name, s in seen.items() if s.power_kw is not None}
            for node, limit in limits.items():
                power, most = power_kw.get(node), limit.export_max_kw if turned else limit.import_max_kw
                if power is not None and math.isfinite(most):
                    said += self._at(node, turned, sign * power, most, at_s, seen, now)
            self._restore(turned, at_s, limits, power_kw, seen)
        return Turn(self._bounds(), tuple(said), bool(said) or bool(set(self._cuts) - cut_before))

    def _bounds(self) -> dict[str, Bounds]:
        found: dict[str, Bounds] = {}
        for (device, turned), cut in self._cuts.items():
            bounds = found.get(device, Bounds())
            found[device] = replace(bounds, least_kw=-cut.most) if turned else replace(bounds, most_kw=cut.most)
        return found

    # --- giving way ---

    def _at(
        self, node: str, turned: bool, power: float, most: float, at_s: float,
        seen: Mapping[str, Seen], now: dict[str, float],
    ) -> list[str]:  # fmt: skip
        """Shed what is too much at one node. ``now``: what devices draw, less what they were told to give up before."""
        levers = [lever for lever in self.levers if node in lever.nodes]
        over = power - _target(most)
        for lever in levers:
            coming = self._coming(lever.device, turned, at_s, now)
            over -= coming
        if over <= TINY_KW:
            if power <= most:
                self._short.discard((node, turned))
            return []
        shed: list[str] = []
        for lever in sorted(levers, key=lambda v: (v.priority, v.device)):
            s = seen.get(lever.device)
            if over <= TINY_KW or s is None or not s.ready or lever.device not in now:
                continue
            if self._is_stuck(lever.device, turned, at_s, now):
                continue
            drawn = now[lever.device] - self._coming(lever.device, turned, at_s, now)
            can = drawn - lever.least(turned)
            if can <= TINY_KW:
                continue
            take = drawn if lever.whole else min(over, can)
            self._cut(lever.device, turned, drawn - take, take, at_s)
            over -= take
            shed.append(f"{lever.device} by {take:.3g} kW")
        self._moved_s[node, turned] = at_s
        return self._said(node, turned, power, most, over, shed)

    def _coming(self, device: str, turned: bool, at_s: float, now: Mapping[str, float]) -> float:
        """What a device was told to give up and still draws, while it may take its time."""
        cut = self._cuts.get((device, turned))
        if cut is None or at_s - cut.since_s > REACT_S:
            return 0.0
        return max(now.get(device, cut.most) - cut.most, 0.0)

    def _is_stuck(self, device: str, turned: bool, at_s: float, now: Mapping[str, float]) -> bool:
        """Whether it was told to give way and does not: others must."""
        cut = self._cuts.get((device, turned))
        return cut is not None and at_s - cut.since_s > REACT_S and now[device] > cut.most + MARGIN_KW

    def _cut(self, device: str, turned: bool, most: float, take: float, at_s: float) -> None:
        before = self._cuts.get((device, turned))
        freed = take + (before.freed if before is not None else 0.0)
        self._cuts[device, turned] = _Cut(most, freed, at_s)
        opposite = self._cuts.get((device, not turned))
        if opposite is not None and opposite.most < -most:
            del self._cuts[device, not turned]  # of two bounds that cross, the newer holds

    def _said(self, node: str, turned: bool, power: float, most: float, over: float, shed: Sequence[str]) -> list[str]:
        what = f"{node} {'gives' if turned else 'draws'} {power:.4g} kW of {most:g}"
        said = [f"{what}: gives way {', '.join(shed)}"] if shed else []
        if over > TINY_KW and power > most and (node, turned) not in self._short:
            self._short.add((node, turned))
            said.append(f"{what}: nothing more gives way, and {over:.3g} kW are too much")
        return said

    # --- giving back ---

    def _restore(
        self, turned: bool, at_s: float, limits: Mapping[str, Limit], power_kw: Mapping[str, float | None],
        seen: Mapping[str, Seen],
    ) -> None:  # fmt: skip
        """Give back a share of the room that is free at every node above a device, the last that gave way first."""
        for lever in sorted(self.levers, key=lambda v: (-v.priority, v.device)):
            cut, s = self._cuts.get((lever.device, turned)), seen.get(lever.device)
            if cut is None or s is None or not s.ready:
                continue
            above = [n for n in lever.nodes if n in limits]
            room = min((self._room(n, turned, limits[n], power_kw.get(n)) for n in above), default=math.inf)
            calm = all(at_s - self._moved_s.get((n, turned), -math.inf) >= RESTORE_S for n in above)
            if not calm or room <= TINY_KW:
                continue
            if lever.whole:
                if room < cut.freed:
                    continue
                del self._cuts[lever.device, turned]
            else:
                most = cut.most + room * RESTORE_SHARE
                planned = None if s.planned_kw is None else -s.planned_kw if turned else s.planned_kw
                if planned is None or most >= planned:
                    del self._cuts[lever.device, turned]
                else:
                    self._cuts[lever.device, turned] = replace(cut, most=most)
            self._moved_s |= {(n, turned): at_s for n in above}

    def _room(self, node: str, turned: bool, limit: Limit, power: float | None) -> float:
        most = limit.export_max_kw if turned else limit.import_max_kw
        if not math.isfinite(most):
            return math.inf
        return 0.0 if power is None else _target(most) - (-power if turned else power)


def _target(most: float) -> float:
    return most - max(MARGIN_SHARE * most, MARGIN_KW)


# --- from a bound on power to a value that can be told ---------------------------------------------------------------


def within(write: Write, wanted: float | None, bounds: Bounds, kw_per_unit: float, feeds: bool) -> float | None:
    """The value that keeps a device within bounds: ``wanted`` where it does; None: there is none to be told.

    ``kw_per_unit``: what one unit of the command draws; ``feeds``: the command bounds what the device gives. Rounded to
    the safe side, in the device's own steps, and never a value that its command refuses.
    """
    if write.states:
        off = next((float(k) for k in range(len(write.states)) if not is_on(write, k)), None)
        return off if bounds.most_kw < math.inf and (wanted is None or is_on(write, wanted)) else wanted
    least, most = bounds.least_kw / kw_per_unit, bounds.most_kw / kw_per_unit
    if feeds:
        least, most = -math.inf, -least
    if wanted is not None and least <= wanted <= most:
        return wanted
    if wanted is None and least == -math.inf and most == math.inf:
        return None
    if (wanted is None and least > -math.inf) or (wanted is not None and wanted < least):
        return _fit(write, least, up=True)
    return _fit(write, most, up=False)


def _fit(write: Write, bound: float, up: bool) -> float | None:
    """The value nearest to a bound on its safe side that may be told; the nearest at all where none is there."""
    low, high = (b if isinstance(b, (int, float)) else None for b in (write.low, write.high))
    value = bound
    if write.step is not None:
        steps = value / write.step
        value = (math.ceil(steps - 1e-9) if up else math.floor(steps + 1e-9)) * write.step
    value = round(value, 9) + 0.0
    if (low is None or value >= low) and (high is None or value <= high):
        return value
    safe = [v for v in (*write.also, *(b for b in (low, high) if b is not None)) if (v >= bound if up else v <= bound)]
    if safe:
        return float(min(safe) if up else max(safe))
    ends = [*write.also, *(b for b in (low, high) if b is not None)]
    return float(max(ends) if up else min(ends)) if ends else None
