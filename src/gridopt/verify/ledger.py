"""Money recomputed from flows: what every contract and every device costs, line by line, without the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gridopt.assets.base import MONEY, CostKind, Floats
from gridopt.errors import InternalError
from gridopt.model.inputs import Commitment, Flow, Inputs
from gridopt.verify.replay import Trace

OVER_KW = 1e-5
"""A flow this close above a limit is not an hour of breach [kW]."""
MONEY_LINE = "objective.money"
"""What money counts for less, or more, than its amount: so the lines add up to the objective."""


@dataclass(frozen=True)
class Line:
    eur: float
    kind: CostKind


@dataclass(frozen=True)
class Ledger:
    """Cost lines by name (``<commitment>.<label>``, ``<family>.<cost>``); negative = income."""

    lines: dict[str, Line]

    @property
    def total_eur(self) -> float:
        return sum(line.eur for line in self.lines.values())

    def of(self, *kinds: CostKind) -> float:
        """Sum of the lines of these kinds [EUR]."""
        return sum(line.eur for line in self.lines.values() if line.kind in kinds)


def flow_kw(inputs: Inputs, flow: Flow, net_kw: Floats, trace: Trace) -> Floats:
    """(T,) one term of a commitment, weight included."""
    if flow.node is not None:
        net = net_kw[inputs.node_index[flow.node]]
        side: Floats = net if flow.side == "net" else np.maximum(net if flow.side == "import" else -net, 0.0)
        return flow.weight * side
    if flow.asset is None or flow.port is None:
        raise InternalError("a flow names neither a node nor an asset's port")
    return flow.weight * trace.port_kw(inputs, flow.asset, flow.port)


def commitment_eur(c: Commitment, flow: Floats, step_h: float) -> tuple[float, float]:
    """(cost above, cost below) of a commitment whose summed flow is ``flow`` (T,) [EUR]."""
    inside = c.period >= 0
    period, deviation = c.period[inside], (flow - c.baseline_kw)[inside]
    if c.measure == "energy":
        energy = step_h * np.bincount(period, deviation, c.periods)
        return float(c.price_above @ energy.clip(0)), float(c.price_below @ (-energy).clip(0))
    if c.measure == "peak":
        top = np.zeros(c.periods)
        np.maximum.at(top, period, deviation)
        return float(c.price_above @ top), 0.0
    hours = step_h * np.bincount(period, deviation > OVER_KW, c.periods)
    return float(c.price_above @ hours), 0.0


def bill(inputs: Inputs, net_kw: Floats, trace: Trace) -> Ledger:
    """Every cost line of a day, from node powers and device traces."""
    lines: dict[str, Line] = {}
    step_h = inputs.axis.step_h
    for c in inputs.commitments:
        total = np.sum([flow_kw(inputs, f, net_kw, trace) for f in c.flows], axis=0)
        for label, eur, prices in zip(
            c.labels, commitment_eur(c, total, step_h), (c.price_above, c.price_below), strict=True
        ):
            if prices.any():
                lines[f"{c.id}.{label}"] = Line(eur, c.kind)
    for group, steps, ends in zip(inputs.groups, trace.steps, trace.ends, strict=True):
        for cost in group.family.costs:
            eur = float(steps[cost.name].sum()) if cost.name in steps else 0.0
            eur += float(ends[cost.name].sum()) if cost.name in ends else 0.0
            name = f"{group.family.name}.{cost.name.removesuffix('_eur')}"
            before = lines[name].eur if name in lines else 0.0
            lines[name] = Line(before + eur, cost.kind)
    if inputs.money != 1.0:
        lines[MONEY_LINE] = Line((inputs.money - 1.0) * Ledger(lines).of(*MONEY), "wish")
    return Ledger(lines)
