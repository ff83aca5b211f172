"""What is to be planned, frozen and columnar: nodes, groups of assets, commitments, pins, rules, on one time axis.

Inputs know no file and no solver. Everything in them is in a canonical order (by id), so that the same content gives
the same plan however it was written down.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from gridopt.assets.base import MONEY, CostKind, Family, Floats, Ints
from gridopt.clock import Axis

INF = np.inf
Side = Literal["net", "import", "export"]
Measure = Literal["energy", "peak", "hours"]


@dataclass(frozen=True)
class Node:
    """A place where power balances. ``parent`` None: the carrier's root, whose net power comes from outside.

    ``import_max_kw``, ``export_max_kw``: (T,) what may flow in from, and out to, the parent; inf = no limit.
    ``reserve_kw`` (T,) is kept free under both limits; a reserve larger than a limit leaves nothing of it.
    """

    id: str
    carrier: str
    parent: str | None
    import_max_kw: Floats
    export_max_kw: Floats
    reserve_kw: Floats

    def net_bounds(self) -> tuple[Floats, Floats]:
        """Smallest and largest net power drawn from the parent [kW], reserve taken off."""
        most_out = np.maximum(self.export_max_kw - self.reserve_kw, 0.0)
        return -most_out, np.maximum(self.import_max_kw - self.reserve_kw, 0.0)


@dataclass(frozen=True)
class Group:
    """Devices of one family that share a block structure, sorted by id.

    ``columns``: name → (n,) or (n, steps); ``nodes``: port → (n,) index into Inputs.nodes; ``offset``: (n,) first step
    of each device's own window of ``steps`` steps.
    """

    family: type[Family]
    options: tuple[Any, ...]
    steps: int
    ids: tuple[str, ...]
    columns: Mapping[str, Floats]
    nodes: Mapping[str, Ints]
    offset: Ints

    @property
    def n(self) -> int:
        return len(self.ids)

    @cached_property
    def index(self) -> dict[str, int]:
        return {name: k for k, name in enumerate(self.ids)}

    def on_axis(self, local: Floats, steps: int) -> Floats:
        """(n, self.steps) values on the devices' own windows → (n, steps) on the district's axis, 0 outside."""
        if self.steps == steps and not self.offset.any():
            return local
        out = np.zeros((self.n, steps))
        where = self.offset[:, None] + np.arange(self.steps)
        np.put_along_axis(out, where, local, axis=1)
        return out


@dataclass(frozen=True)
class Flow:
    """One term of a commitment: ``weight`` × a node's net, import or export power, or × an asset's port power [kW]."""

    weight: float
    node: str | None = None
    side: Side = "net"
    asset: str | None = None
    port: str | None = None


@dataclass(frozen=True)
class Commitment:
    """The one object for terms of contract: a weighted sum of flows, a baseline, a price above it and one below it.

    ``period`` (T,): which period each step belongs to, -1 = none; ``baseline_kw`` (T,);
    ``price_above``, ``price_below`` (P,): per period, in EUR per kWh (energy), per kW (peak) or per hour (hours).

    energy  deviation of a period = Σ step_h · (flow - baseline)         cost = above · max(d, 0) + below · max(-d, 0)
    peak    deviation of a period = max(0, max_t (flow - baseline))      cost = above · d; baseline = the peak so far
    hours   deviation of a period = Σ step_h over steps with flow > baseline             cost = above · d

    A negative price pays. ``labels`` name the two cost lines.
    """

    id: str
    flows: tuple[Flow, ...]
    measure: Measure
    period: Ints
    baseline_kw: Floats
    price_above: Floats
    price_below: Floats
    kind: CostKind = "cash"
    labels: tuple[str, str] = ("above", "below")

    @property
    def periods(self) -> int:
        return len(self.price_above)

    @cached_property
    def is_boundary_price(self) -> bool:
        """A price on one node's own net power, step by step: it sits on the node's columns and needs no row."""
        return (
            self.measure == "energy"
            and len(self.flows) == 1
            and self.flows[0].node is not None
            and self.flows[0].side == "net"
            and self.flows[0].weight == 1.0
            and self.periods == len(self.period)
            and bool((self.period == np.arange(self.periods)).all())
            and not self.baseline_kw.any()
        )


@dataclass(frozen=True)
class Pin:
    """A person's override, or an outage: ``variable`` of ``asset`` held at ``value`` on the steps [first, last)."""

    asset: str
    variable: str
    first: int
    last: int
    value: float
    why: str = "pin"


@dataclass(frozen=True)
class LinearRule:
    """A user's own constraint as data: low <= Σ coefficient · variable <= high, over named assets and nodes.

    ``terms``: (coefficient, "asset" | "node", id, variable, step). ``name`` is the rule's name in the user's file.
    """

    name: str
    terms: tuple[tuple[float, str, str, str, int], ...]
    low: float
    high: float


@dataclass(frozen=True)
class Target:
    """How good is good enough, and how long to try.

    ``gap``: relative gap a plan must prove; ``exact_gap``: aimed at where few decisions make the full MILP cheap
    (at most ``exact_decisions`` of them); ``time_limit_s``: wall clock for the MILP rungs together;
    ``exact_limit_s``: the share of it that closing the last bit may take.
    """

    gap: float = 0.005
    exact_gap: float = 1e-6
    exact_decisions: int = 1500
    time_limit_s: float = 60.0
    exact_limit_s: float = 20.0


@dataclass(frozen=True)
class Inputs:
    """One district, ready to plan. ``money``: how much a EUR of cash, wear or value counts beside penalties, wishes."""

    axis: Axis
    nodes: tuple[Node, ...]
    groups: tuple[Group, ...]
    commitments: tuple[Commitment, ...] = ()
    pins: tuple[Pin, ...] = ()
    rules: tuple[LinearRule, ...] = ()
    target: Target = field(default_factory=Target)
    money: float = 1.0

    @cached_property
    def node_index(self) -> dict[str, int]:
        return {node.id: k for k, node in enumerate(self.nodes)}

    @cached_property
    def parents(self) -> Ints:
        """(N,) index of each node's parent, -1 for a root."""
        return np.array([-1 if n.parent is None else self.node_index[n.parent] for n in self.nodes], np.int64)

    @property
    def is_blended(self) -> bool:
        """Whether the plan is chosen by more than its cost."""
        return self.money != 1.0 or any(c.kind == "wish" for c in self.commitments)

    @cached_property
    def where(self) -> dict[str, tuple[int, int]]:
        """Asset id → (group, place in the group)."""
        return {name: (g, k) for g, group in enumerate(self.groups) for k, name in enumerate(group.ids)}

    def counts(self, kind: CostKind) -> float:
        """How much a EUR of this kind counts in the objective."""
        return self.money if kind in MONEY else 1.0

    @cached_property
    def weighted(self) -> tuple[Commitment, ...]:
        """The commitments at the prices that the objective counts."""
        if self.money == 1.0:
            return self.commitments
        shares = [self.counts(c.kind) for c in self.commitments]
        return tuple(
            replace(c, price_above=w * c.price_above, price_below=w * c.price_below)
            for c, w in zip(self.commitments, shares, strict=True)
        )

    def digest(self) -> str:
        """SHA-256 of the whole content; equal for equal content, whatever the order it was written in."""
        h = hashlib.sha256()

        def feed(*items: Any) -> None:
            for item in items:
                if isinstance(item, np.ndarray):
                    h.update(np.ascontiguousarray(item, np.float64).tobytes())
                else:
                    h.update(_canonical(item).encode())
                h.update(b"\x1f")

        feed(self.axis.start.isoformat(), self.axis.step_min, self.axis.steps, self.axis.zone, self.target)
        for n in self.nodes:
            feed(n.id, n.carrier, n.parent, n.import_max_kw, n.export_max_kw, n.reserve_kw)
        for g in self.groups:
            feed(g.family.name, g.options, g.steps, g.ids, g.offset)
            for name in sorted(g.columns):
                feed(name, g.columns[name])
            for port in sorted(g.nodes):
                feed(port, [self.nodes[int(k)].id for k in g.nodes[port]])
        for c in self.commitments:
            feed(c.id, c.flows, c.measure, c.period, c.baseline_kw, c.price_above, c.price_below, c.kind, c.labels)
        feed(self.pins, self.rules)
        if self.money != 1.0:
            feed("money", self.money)
        return h.hexdigest()


def _canonical(item: Any) -> str:
    """Text that is the same for the same content, whichever types of Python or numpy hold its numbers and words."""
    if isinstance(item, (int, float, np.number, np.bool_)):
        return repr(float(item))
    if is_dataclass(item):
        return _canonical([getattr(item, f.name) for f in fields(item)])
    if isinstance(item, (tuple, list)):
        return f"({','.join(map(_canonical, item))})"
    return repr(None if item is None else str(item))


def make_groups(
    family: type[Family],
    ids: Sequence[str],
    user: Mapping[str, Any],
    nodes: Mapping[str, Sequence[int]],
    axis: Axis,
) -> list[Group]:
    """Devices of one family, as the user described them → groups of equal structure, in canonical order.

    ``user``: parameter → (n,) or (n, T) array as ``Family.prepare`` takes it; ``nodes``: port → (n,) node indices.
    Series of a device with its own window are cut to the window. Devices whose window is empty are left out.
    """
    prepared = family.prepare(user, axis)
    n = len(ids)
    offset = np.zeros(n, np.int64) if prepared.offset is None else prepared.offset
    steps = np.full(n, axis.steps, np.int64) if prepared.steps is None else prepared.steps
    structure = [()] * n if prepared.structure is None else list(prepared.structure)
    members: dict[tuple[int, tuple[Any, ...]], list[int]] = {}
    for k in sorted(range(n), key=lambda k: ids[k]):
        if steps[k] > 0:
            members.setdefault((int(steps[k]), structure[k]), []).append(k)
    series = family.series_names()
    groups = []
    for (length, options), who in sorted(members.items(), key=lambda kv: (kv[0][0], repr(kv[0][1]))):
        rows = np.array(who)
        window = offset[rows][:, None] + np.arange(length)
        columns = {
            name: np.ascontiguousarray(np.take_along_axis(a[rows], window, 1) if name in series else a[rows])
            for name, a in prepared.columns.items()
        }
        groups.append(
            Group(
                family,
                options,
                length,
                tuple(ids[j] for j in who),
                columns,
                {port: np.asarray(where, np.int64)[rows] for port, where in nodes.items()},
                offset[rows],
            )
        )
    return groups
