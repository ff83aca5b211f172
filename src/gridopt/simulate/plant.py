"""The plant: every device of a district lives on by its family's ``step``, minute by minute, as it is told or by rule.

The plan's steps are cut into minutes and every family prepares its columns for them, so that a car arrives at 08:07 and
a room cools between two readings. What nobody commands follows the family's own rule, as in the baseline twin, but
nothing sheds at a limit: a plant has no such controller. ``Surprise`` adds what no forecast knew, ``unforeseen`` makes
the world differ from its forecast.

Between two minutes, powers are those that the devices would have now: a command shows at once, contents and
temperatures move when the minute is over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from gridopt.assets.base import Family, Floats, Ints, State, Values, at
from gridopt.assets.ev_session import PHASE_KV
from gridopt.clock import Axis
from gridopt.model.inputs import Node

FINE_MIN = 1
"""Length of a step of the plant [min]."""
LOCKED = ("off", "lock", "no", "stop", "inactive")
"""States in which a device does nothing."""
FREE = ("normal", "on", "yes", "active")
"""States in which a device does what it is told besides, or follows its own control; the others mean all it can."""

KEPT = ("comfort_min_c", "preheat_c")
"""Columns by which a thermostat's rule knows what temperature to keep."""


class Table(Protocol):
    """Assets of one family as the user described them; ``scenario.assets.AssetTable`` is one."""

    @property
    def family(self) -> type[Family]: ...
    @property
    def ids(self) -> Sequence[str]: ...
    @property
    def user(self) -> Mapping[str, Any]: ...
    @property
    def nodes(self) -> Mapping[str, Sequence[str]]: ...


@dataclass(frozen=True)
class Fleet:
    """Devices of one family and structure. ``columns``: (n,) or (n, steps) of the whole fine axis; ``nodes``: port →
    (n,) places among the plant's nodes; ``first``, ``last``: (n,) between which fine steps each device is there."""

    family: type[Family]
    options: tuple[Any, ...]
    ids: tuple[str, ...]
    columns: Mapping[str, Floats]
    nodes: Mapping[str, Ints]
    first: Ints
    last: Ints


@dataclass(frozen=True)
class Told:
    """What a device is told: a kind of command, and its value, or the name of a state."""

    command: str
    value: float | str


@dataclass(frozen=True)
class Surprise:
    """A load (or, negative, a source) that no forecast knew, on the fine steps [first, last) at a node."""

    node: str
    first: int
    last: int
    power_kw: float


def fine_axis(axis: Axis) -> Axis:
    """The plan's axis in minutes."""
    return Axis(axis.start, FINE_MIN, axis.steps * axis.step_min // FINE_MIN, axis.zone)


def fleets(tables: Iterable[Table], nodes: Sequence[Node], axis: Axis) -> list[Fleet]:
    """The assets of a district on the plant's axis, in canonical order. ``axis``: the one their series are given on."""
    place = {node.id: k for k, node in enumerate(nodes)}
    found: list[Fleet] = []
    for table in sorted(tables, key=lambda t: t.family.name):
        found += _family(table, {port: [place[n] for n in ids] for port, ids in table.nodes.items()}, axis)
    return found


def _family(table: Table, where: Mapping[str, Sequence[int]], axis: Axis) -> list[Fleet]:
    family, fine, n = table.family, fine_axis(axis), len(table.ids)
    times = axis.step_min // FINE_MIN
    series = {p.name for p in family.parameters if p.kind == "series"}
    user = {name: np.repeat(a, times, axis=1) if name in series else a for name, a in table.user.items()}
    ready = family.prepare(user, fine)
    first = np.zeros(n, np.int64) if ready.offset is None else ready.offset
    length = np.full(n, fine.steps, np.int64) if ready.steps is None else ready.steps
    structure = [()] * n if ready.structure is None else list(ready.structure)
    alike: dict[tuple[Any, ...], list[int]] = {}
    for k in sorted(range(n), key=lambda k: table.ids[k]):
        if length[k] > 0:
            alike.setdefault(structure[k], []).append(k)
    out = []
    for options, rows in sorted(alike.items(), key=lambda item: repr(item[0])):
        columns = {name: np.ascontiguousarray(a[rows]) for name, a in ready.columns.items()}
        nodes = {port: np.asarray(w, np.int64)[rows] for port, w in where.items()}
        ids = tuple(table.ids[k] for k in rows)
        out.append(Fleet(family, options, ids, columns, nodes, first[rows], (first + length)[rows]))
    return out


# --- the world differs from its forecast -----------------------------------------------------------------------------


def unforeseen(those: Iterable[Fleet], axis: Axis, share: float, seed: int, memory_h: float = 2.0) -> list[Fleet]:
    """The same devices in a world that differs from its forecast: every column that is one is off by a random walk of
    relative size ``share`` that returns within ``memory_h``; a temperature by ``10 * share`` kelvin."""
    draw = np.random.default_rng(seed)
    keep = float(np.exp(-axis.step_h / memory_h))
    return [_disturbed(fleet, draw, share, keep) for fleet in those]


def _disturbed(fleet: Fleet, draw: np.random.Generator, share: float, keep: float) -> Fleet:
    columns = dict(fleet.columns)
    for name in sorted(fleet.family.forecasts):
        values = columns.get(name)
        if values is None or values.ndim < 2:
            continue
        noise = draw.standard_normal(values.shape) * np.sqrt(1 - keep**2)
        noise[:, 0] = draw.standard_normal(len(values))
        for t in range(1, values.shape[1]):
            noise[:, t] += keep * noise[:, t - 1]
        off = share * noise
        columns[name] = values + 10 * off if name.endswith("_c") else values * np.maximum(1 + off, 0.0)
    return dataclasses.replace(fleet, columns=columns)


def surprises(
    node: str, axis: Axis, power_kw: float, seed: int, many: int = 3, longest_min: int = 45
) -> list[Surprise]:
    """Loads of up to ``power_kw`` that come unannounced at a node, ``many`` within the horizon."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(many):
        first = int(draw.integers(0, axis.steps))
        last = first + int(draw.integers(1, longest_min // FINE_MIN + 1))
        found.append(Surprise(node, first, last, float(draw.uniform(0.3, 1.0)) * power_kw))
    return found


# --- the plant -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Past:
    """One minute that has gone by. ``flows``: of every fleet, its powers at ports and its costs."""

    net_kw: Floats
    flows: list[Values]


class Plant:
    """See the head of this module. ``step``: the minute it is in, counted from the axis' start; after the last one,
    the world outside stands still. ``energy_kwh``: asset or node → [drawn, given] since the start; ``past``: every
    minute that has gone by."""

    def __init__(
        self, nodes: Sequence[Node], fleets: Sequence[Fleet], axis: Axis, surprises: Iterable[Surprise] = ()
    ) -> None:
        self.axis, self.step = axis, 0
        self.nodes = tuple(nodes)
        self.fleets = tuple(sorted(fleets, key=lambda f: (f.family.order, f.family.name)))
        self.surprises = tuple(surprises)
        self.where = {name: (f, k) for f, fleet in enumerate(self.fleets) for k, name in enumerate(fleet.ids)}
        self._index = {node.id: k for k, node in enumerate(self.nodes)}
        self._branch = _branches(self.nodes)
        self._state: list[State] = [dict(f.family.start(at(f.columns, 0, axis.step_h))) for f in self.fleets]
        self._flows: list[Values] = [{} for _ in self.fleets]
        self._after: list[State] = [{} for _ in self.fleets]
        self._net = np.zeros(len(self.nodes))
        self._told: dict[str, tuple[Told, ...]] = {}
        self._stale = True
        self.energy_kwh: dict[str, list[float]] = {n: [0.0, 0.0] for n in (*self.where, *self._index)}
        self.past: list[Past] = []

    # --- what it is told, what it shows ---

    def tell(self, asset: str, *told: Told) -> None:
        """What a device obeys from now on; nothing: its own control."""
        if self._told.get(asset, ()) != told:
            self._told[asset] = told
            self._stale = True

    def told(self, asset: str) -> tuple[Told, ...]:
        return self._told.get(asset, ())

    def here(self, asset: str) -> bool:
        """Whether it is there: a car is plugged in."""
        f, k = self.where[asset]
        return bool(self.fleets[f].first[k] <= self._t < self.fleets[f].last[k])

    def power_kw(self, asset: str, port: str | None = None) -> float:
        """What it draws now at a port, its first one where none is named."""
        f, k = self.where[asset]
        port = port or self.fleets[f].family.ports[0].name
        return float(self._now()[f][f"{port}_kw"][k])

    def flow(self, asset: str, name: str) -> float | None:
        """Any flow of ``Family.step`` as it is now; None where it has none."""
        f, k = self.where[asset]
        values = self._now()[f].get(name)
        return None if values is None else float(values[k])

    def state(self, asset: str, name: str) -> float | None:
        """A state as it was at the end of the last minute; None where it has none."""
        f, k = self.where[asset]
        values = self._state[f].get(name)
        return None if values is None or values.ndim != 1 else float(values[k])

    def state_of(self, fleet: int) -> State:
        """All states of a fleet as they were at the end of the last minute."""
        return self._state[fleet]

    def column(self, asset: str, name: str) -> float | None:
        """A column of a device, at this minute where it is a series; None where it has none."""
        f, k = self.where[asset]
        values = self.fleets[f].columns.get(name)
        return None if values is None else float(values[k] if values.ndim == 1 else values[k, self._t])

    def net_kw(self, node: str) -> float:
        """What a node draws from its parent now."""
        self._now()
        return float(self._net[self._index[node]])

    # --- how it moves ---

    @property
    def _t(self) -> int:
        return min(self.step, self.axis.steps - 1)

    def advance(self) -> None:
        """One minute, with what the devices are told now."""
        flows = self._now()
        step_h = self.axis.step_h
        for f, fleet in enumerate(self.fleets):
            here = self._here(fleet)
            for name, value in self._after[f].items():
                keep = here if value.ndim == 1 else here[:, None]
                self._state[f][name] = np.where(keep, value, self._state[f][name])
            power = flows[f][f"{fleet.family.ports[0].name}_kw"]
            for asset, kw in zip(fleet.ids, power.tolist(), strict=True):
                _meter(self.energy_kwh[asset], kw * step_h)
        for node, kw in zip(self.nodes, self._net.tolist(), strict=True):
            _meter(self.energy_kwh[node.id], kw * step_h)
        if self.step < self.axis.steps:
            self.past.append(
                Past(self._net, [_kept(fl, values) for fl, values in zip(self.fleets, flows, strict=True)])
            )
        self.step += 1
        self._stale = True

    def _here(self, fleet: Fleet) -> Any:
        return (fleet.first <= self._t) & (self._t < fleet.last)

    def _now(self) -> list[Values]:
        """Flows of every fleet at this minute."""
        if self._stale:
            own = np.zeros(len(self.nodes))
            for s in self.surprises:
                if s.first <= self.step < s.last:
                    own[self._index[s.node]] += s.power_kw
            for f, fleet in enumerate(self.fleets):
                self._after[f], self._flows[f] = self._act(f, fleet, own)
                for port in fleet.family.ports:
                    np.add.at(own, fleet.nodes[port.name], self._flows[f][f"{port.name}_kw"])
            self._net = self._branch @ own
            self._stale = False
        return self._flows

    def _act(self, f: int, fleet: Fleet, own: Floats) -> tuple[State, Values]:
        here = self._here(fleet)
        told = {k: t for k, name in enumerate(fleet.ids) if (t := self._told.get(name))}
        p = _by_thermostat(at(fleet.columns, self._t, self.axis.step_h), told)
        command = fleet.family.rule(p, self._state[f], self._surplus(fleet, here, own))
        command = {name: np.array(values, np.float64) for name, values in command.items()}
        for k, those in told.items():
            for one in sorted(those, key=lambda t: _TURN.get(t.command, 0)):
                _obey(command, fleet, p, k, one)
        after, flows = fleet.family.step(p, self._state[f], command)
        return after, {name: np.where(here, value, 0.0) for name, value in flows.items()}

    def _surplus(self, fleet: Fleet, here: Any, own: Floats) -> Values:
        """Per port, what its node has left over, shared among the devices of the fleet that are there."""
        left = -(self._branch @ own)
        out = {}
        for port in fleet.family.ports:
            node = fleet.nodes[port.name]
            sharing = np.bincount(node, here, len(left))
            out[port.name] = left[node] / np.maximum(sharing[node], 1.0)
        return out


def _kept(fleet: Fleet, flows: Values) -> Values:
    names = (*(f"{p.name}_kw" for p in fleet.family.ports), *(c.name for c in fleet.family.costs))
    return {name: flows[name] for name in names if name in flows}


def _meter(energy: list[float], kwh: float) -> None:
    energy[0 if kwh > 0 else 1] += abs(kwh)


def _branches(nodes: Sequence[Node]) -> Floats:
    """(N, N) matrix: row k sums over node k and all below it."""
    place = {node.id: k for k, node in enumerate(nodes)}
    out = np.zeros((len(nodes), len(nodes)))
    for below, node in enumerate(nodes):
        above: str | None = node.id
        while above is not None:
            out[place[above], below] = 1.0
            above = nodes[place[above]].parent
    return out


_TURN = {"limit": 1, "charge-limit": 1, "discharge-limit": 1, "mode": 2, "on_off": 2}
"""A power or a current first, then what bounds it, then whether anything runs at all."""


# --- how a device obeys ----------------------------------------------------------------------------------------------


def _by_thermostat(p: SimpleNamespace, told: Mapping[int, Iterable[Told]]) -> SimpleNamespace:
    """The columns as a device's own control sees them: a temperature that it is told is the one it keeps."""
    wanted = [(k, float(one.value)) for k, those in told.items() for one in those if one.command == "temperature"]
    for name in KEPT if wanted else ():
        if hasattr(p, name):
            column = np.array(getattr(p, name), np.float64)
            for k, value in wanted:
                column[k] = value
            setattr(p, name, column)
    return p


def _obey(command: Values, fleet: Fleet, p: SimpleNamespace, k: int, told: Told) -> None:
    """Change what one device would do by rule into what it is told."""
    _, name = fleet.family.told(fleet.options)
    match told.command:
        case "power":
            _set_power(command, name, k, float(told.value))
        case "limit" if name in command:
            command[name][k] = min(command[name][k], float(told.value))
        case "current" if name in command:
            phases = float(p.phases[k]) if hasattr(p, "phases") else 3.0
            command[name][k] = float(told.value) * phases * PHASE_KV
        case "charge-limit" | "discharge-limit" if {"charge_kw", "discharge_kw"} <= command.keys():
            way = told.command.replace("-limit", "_kw")
            command[way][k] = min(command[way][k], float(told.value))
        case "mode" | "on_off":
            _set_state(command, name, p, k, told.value)


def _set_power(command: Values, name: str, k: int, value_kw: float) -> None:
    if name in command:
        command[name][k] = value_kw
    elif {"charge_kw", "discharge_kw"} <= command.keys():
        command["charge_kw"][k], command["discharge_kw"][k] = max(value_kw, 0.0), max(-value_kw, 0.0)


def _set_state(command: Values, name: str, p: SimpleNamespace, k: int, value: float | str) -> None:
    """Locked: nothing; free: what it does anyhow; beyond it: all that the device can."""
    if name not in command:
        return
    if value in LOCKED or value == 0:
        command[name][k] = 0.0
    elif not name.endswith("_kw"):
        command[name][k] = 1.0
    elif isinstance(value, str) and value not in FREE and hasattr(p, "power_kw"):
        command[name][k] = float(p.power_kw[k])
