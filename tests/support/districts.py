"""Small districts, written down device by device in any order and built into canonical Inputs; and their plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from gridopt.assets import family
from gridopt.assets.base import Floats, Parameter
from gridopt.clock import Axis
from gridopt.errors import InfeasibleError
from gridopt.model.inputs import Commitment, Flow, Group, Inputs, LinearRule, Node, Pin, Side, Target, make_groups
from gridopt.model.schedule import Schedule
from gridopt.solve.ladder import Solution, solve
from gridopt.verify import Ledger, bill, replay, verify
from gridopt.verify.outages import with_outages

EXACT = Target(gap=1e-9, exact_gap=1e-9, exact_decisions=1_000_000, time_limit_s=300.0, exact_limit_s=300.0)
"""Until nothing is left of the gap: what is compared are optima."""


def hours(steps: int, step_min: int = 60) -> Axis:
    """An axis of that many steps from a winter midnight in Paris."""
    return Axis(datetime(2026, 1, 14, 23, tzinfo=UTC), step_min, steps)


def series(axis: Axis, value: Any) -> Floats:
    return np.array(np.broadcast_to(np.asarray(value, np.float64), axis.steps))


@dataclass(frozen=True)
class Device:
    """One asset. ``at``: the node of every port, in the family's order; ``given``: its parameters, defaults besides."""

    id: str
    family: str
    at: tuple[str, ...]
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sketch:
    """A district in no particular order."""

    axis: Axis
    nodes: tuple[Node, ...]
    devices: tuple[Device, ...]
    commitments: tuple[Commitment, ...] = ()
    pins: tuple[Pin, ...] = ()
    rules: tuple[LinearRule, ...] = ()
    target: Target = EXACT

    def inputs(self) -> Inputs:
        """Everything by id, as the scenario loader hands it on."""
        nodes = sorted(self.nodes, key=lambda n: n.id)
        place = {n.id: k for k, n in enumerate(nodes)}
        groups: list[Group] = []
        for name in sorted({d.family for d in self.devices}):
            some = [d for d in self.devices if d.family == name]
            ports = {p.name: [place[d.at[k]] for d in some] for k, p in enumerate(family(name).ports)}
            user = columns(name, [d.given for d in some], self.axis)
            groups += make_groups(family(name), [d.id for d in some], user, ports, self.axis)
        inputs = Inputs(
            self.axis,
            tuple(nodes),
            tuple(groups),
            tuple(sorted(self.commitments, key=lambda c: c.id)),
            tuple(sorted(self.pins, key=lambda p: (p.asset, p.variable, p.first))),
            tuple(sorted(self.rules, key=lambda r: r.name)),
            self.target,
        )
        return with_outages(inputs)

    def device(self, name: str) -> Device:
        return next(d for d in self.devices if d.id == name)

    def with_device(self, device: Device) -> Sketch:
        """The same with one more device, or with one replaced."""
        return replace(self, devices=(*(d for d in self.devices if d.id != device.id), device))


def columns(name: str, given: Sequence[Mapping[str, Any]], axis: Axis) -> dict[str, Any]:
    """What is said of every device → a family's user columns."""
    out: dict[str, Any] = {}
    for p in family(name).parameters:
        values = [_value(p, said.get(p.name, p.default), axis) for said in given]
        out[p.name] = np.empty(len(given), object) if p.kind in ("list", "choice") else np.array(values)
        if p.kind in ("list", "choice"):
            for k, value in enumerate(values):
                out[p.name][k] = value
    for said in given:
        unknown = set(said) - set(out)
        assert not unknown, f"{name} has no {unknown}"
    return out


def _value(p: Parameter, said: Any, axis: Axis) -> Any:
    if said is None:
        assert p.optional, f"{p.name} is required"
        said = np.nan
    if p.kind == "series":
        return series(axis, said)
    if p.kind == "list":
        return np.asarray(said, np.float64)
    return said if p.kind in ("choice", "flag") else float(said)


# --- nodes and contracts ---------------------------------------------------------------------------------------------


def node(
    axis: Axis, name: str, parent: str | None = None, most: Any = 50.0, out: Any = None, carrier: str = "electricity"
) -> Node:
    """A node that draws up to ``most`` and gives up to ``out`` (as much, where not said) [kW]."""
    least = most if out is None else out
    return Node(name, carrier, parent, series(axis, most), series(axis, least), np.zeros(axis.steps))


def energy_price(axis: Axis, at: str, buy: Any, sell: Any = None, name: str = "") -> Commitment:
    """A price of drawing and one of feeding in, step by step [EUR/kWh]; the same where one is said."""
    buy = series(axis, buy)
    sell = buy if sell is None else series(axis, sell)
    flow = (Flow(1.0, node=at),)
    return Commitment(name or f"supply-{at}", flow, "energy", np.arange(axis.steps), np.zeros(axis.steps), buy, -sell)


def peak_price(
    axis: Axis, at: str, price: Any, period: Any = 0, so_far: Any = 0.0, side: Side = "import", name: str = "peak"
) -> Commitment:
    """A price of every period's highest power above what was reached so far [EUR/kW]."""
    above = np.atleast_1d(np.asarray(price, np.float64))
    when = np.array(np.broadcast_to(np.asarray(period, np.int64), axis.steps))
    flow = (Flow(1.0, node=at, side=side),)
    return Commitment(name, flow, "peak", when, series(axis, so_far), above, 0.0 * above)


def hours_price(axis: Axis, at: str, limit_kw: Any, price: float, name: str = "breach") -> Commitment:
    """A price of every hour above a limit [EUR/h]."""
    flow, none = (Flow(1.0, node=at),), np.zeros(1)
    when = np.zeros(axis.steps, np.int64)
    return Commitment(name, flow, "hours", when, series(axis, limit_kw), np.array([price]), none)


# --- plans -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """A solved district, checked."""

    solution: Solution
    schedule: Schedule
    ledger: Ledger

    @property
    def inputs(self) -> Inputs:
        return self.solution.assembly.inputs

    @property
    def cost_eur(self) -> float:
        return self.solution.objective

    @property
    def size_eur(self) -> float:
        """What a tolerance on the cost is relative to: the sum of the lines' sizes, at least 1 EUR."""
        return max(1.0, sum(abs(line.eur) for line in self.ledger.lines.values()))

    def value(self, asset: str, variable: str) -> Floats:
        return self.schedule.value(self.inputs, asset, variable)

    def net_kw(self, name: str) -> Floats:
        return np.asarray(self.schedule.net_kw[self.inputs.node_index[name]])


def planned(district: Sketch | Inputs) -> Plan:
    """Solve, and have the plan checked independently; the money said is the solver's."""
    inputs = district.inputs() if isinstance(district, Sketch) else district
    solution = solve(inputs)
    schedule = solution.assembly.schedule(solution.x)
    findings = verify(inputs, schedule, solution.objective)
    assert not findings, "\n".join(f.words(inputs) for f in findings)
    return Plan(solution, schedule, bill(inputs, schedule.net_kw, replay(inputs, schedule)))


def optimum(district: Sketch | Inputs) -> Plan:
    """The plan, proven to be the cheapest."""
    plan = planned(district)
    assert plan.solution.status == "optimal", (plan.solution.status, plan.solution.gap, plan.solution.rung)
    return plan


def worth(district: Sketch | Inputs) -> tuple[float, float, float]:
    """(least emergency [kWh], optimum [EUR], what a tolerance is relative to [EUR]); infinite where no plan exists."""
    try:
        plan = optimum(district)
    except InfeasibleError:
        return np.inf, np.inf, 1.0
    return plan.solution.emergency, plan.cost_eur, plan.size_eur


def assert_never_worse(less: Sketch | Inputs, more: Sketch | Inputs, tolerance: float = 1e-6) -> None:
    """What is free to do ``more`` has no more emergencies than what may do ``less``, and no more cost if as many."""
    e0, cost0, size = worth(less)
    e1, cost1, _ = worth(more)
    assert e1 <= e0 + 1e-5
    if abs(e1 - e0) < 1e-5:
        assert cost1 <= cost0 + tolerance * size
