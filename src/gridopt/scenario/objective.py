"""What a plan is for: money, and what else counts beside it, each by a weight the user states.

    objective = cost · money + penalties + co2 · kg + self-consumption · kWh not used here + peak · kW
                + plan change · kWh                              comfort penalties taken ``comfort`` times

Every part is brought to EUR by its weight, whose unit is in its key, and becomes a Commitment of kind ``wish``: it
decides which plan is chosen, is never money, and no saving contains it. Without ``[objective]`` nothing is added.

co2               kg of what nodes draw, by their intensity; what is given back takes none off
self-consumption  own production (sun, wind) that is given to the outside or not produced at all: a plan could always
                  use more of it by limiting it, if only what is given counted. What a battery bought and gives back,
                  or an engine gives, counts as given too
peak              every local day's highest draw of each root of electricity
comfort           factor on every price of a kelvin for an hour
plan-change       every kWh more or less than an earlier run announced
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gridopt.assets.base import MONEY, Family, Floats
from gridopt.model.inputs import Commitment, Flow, Group, Inputs, Node
from gridopt.scenario import schema
from gridopt.scenario.commitments import BUILDERS, Context, Term
from gridopt.units import unit_of
from gridopt.verify import Ledger, Trace
from gridopt.verify.ledger import commitment_eur, flow_kw
from gridopt.written.model import key_doc, read_model
from gridopt.written.words import did_you_mean, listed, quoted

KG_PER_G = 1e-3
OUTSIDE = ("electricity", "gas")
"""Carriers whose roots bring something in that was made elsewhere."""


@dataclass(frozen=True)
class Weights:
    """What each part counts, under the keys of ``[objective]``."""

    cost: float = 1.0
    co2_eur_per_t: float = 0.0
    self_consumption_eur_per_kwh: float = 0.0
    peak_eur_per_kw: float = 0.0
    comfort: float = 1.0
    plan_change_eur_per_kwh: float = 0.0


@dataclass(frozen=True)
class Part:
    """One part of an objective. ``key``: its weight; ``amount``: what it is measured in; ``per``: of how much of it."""

    name: str
    key: str
    amount: str
    per: float = 1.0

    def weight(self, weights: Weights) -> float:
        """EUR per unit of the amount; a factor for money and comfort."""
        return float(getattr(weights, self.key)) / self.per


PARTS: Mapping[str, Part] = {
    p.name: p
    for p in (
        Part("cost", "cost", "cost_eur"),
        Part("co2", "co2_eur_per_t", "co2_kg", 1000.0),
        Part("self-consumption", "self_consumption_eur_per_kwh", "unused_kwh"),
        Part("peak", "peak_eur_per_kw", "peak_kw"),
        Part("comfort", "comfort", "discomfort_kh"),
        Part("plan-change", "plan_change_eur_per_kwh", "changed_kwh"),
    )
}
WISHES = tuple(name for name in PARTS if name not in ("cost", "comfort"))


@dataclass(frozen=True, eq=False)
class Objective:
    """Weights, and what their parts are measured with.

    ``intensity_g_per_kwh``: node → (T,) emissions of what it draws; ``changes``: what was announced, a kWh at 1 EUR.
    """

    weights: Weights = field(default_factory=Weights)
    intensity_g_per_kwh: Mapping[str, Floats] = field(default_factory=dict)
    changes: tuple[Commitment, ...] = ()

    @property
    def named(self) -> tuple[Part, ...]:
        """The parts that this objective changes."""
        return tuple(p for p in PARTS.values() if getattr(self.weights, p.key) != getattr(Weights(), p.key))

    def on(self, inputs: Inputs) -> Inputs:
        """The district with this for its objective."""
        if not self.named:
            return inputs
        wishes = [
            replace(c, price_above=weight * c.price_above, price_below=weight * c.price_below)
            for name in WISHES
            if (weight := PARTS[name].weight(self.weights)) > 0
            for c in self.terms(inputs, name)
        ]
        return replace(
            inputs,
            groups=tuple(_comfort_times(group, self.weights.comfort) for group in inputs.groups),
            commitments=tuple(sorted([*inputs.commitments, *wishes], key=lambda c: c.id)),
            money=self.weights.cost,
        )

    def terms(self, inputs: Inputs, name: str) -> tuple[Commitment, ...]:
        """What measures a part: commitments that take 1 EUR for each unit of its amount. Ids of users hold no dot."""
        match name:
            case "co2":
                return tuple(_drawn(inputs, node, KG_PER_G * g) for node, g in sorted(self.intensity_g_per_kwh.items()))
            case "self-consumption":
                return (*(_given(inputs, root) for root in roots(inputs)), *_spilled(inputs))
            case "peak":
                return tuple(_peak(inputs, root) for root in roots(inputs))
            case _:
                return tuple(c for c in self.changes if all(f.asset in inputs.where for f in c.flows))

    def amount(self, name: str, inputs: Inputs, net_kw: Floats, trace: Trace, ledger: Ledger) -> float:
        """How much of a part a day comes to, in the unit of its amount. ``inputs`` as ``on`` gives them."""
        if name == "cost":
            return ledger.of(*MONEY)
        if name == "comfort":
            return sum(_kelvin_hours(inputs, trace))
        return sum(
            sum(commitment_eur(c, _flow_kw(inputs, c, net_kw, trace), inputs.axis.step_h))
            for c in self.terms(inputs, name)
        )

    def counted_eur(self, name: str, inputs: Inputs, ledger: Ledger) -> float:
        """What a part adds to the objective."""
        if name == "cost":
            return inputs.money * ledger.of(*MONEY)
        if name == "comfort":
            lines = {comfort_line(g.family, c) for g in inputs.groups for c in comfort_prices(g.family).values()}
        else:
            lines = {f"{c.id}.{label}" for c in self.terms(inputs, name) for label in c.labels}
        return sum(line.eur for key, line in ledger.lines.items() if key in lines)


def roots(inputs: Inputs) -> list[str]:
    """Where electricity comes from and goes to outside."""
    return [node.id for node in inputs.nodes if node.parent is None and node.carrier == "electricity"]


def uncounted(nodes: Sequence[Node], intensity: Mapping[str, Any]) -> list[str]:
    """Nodes that draw from outside what no emissions are known of."""
    parents = {node.id: node.parent for node in nodes}
    known = set(intensity)
    for name in list(known):  # what passes further down is known above
        while (above := parents.get(name)) is not None:
            known.add(name := above)
    outside = [n for n in nodes if n.parent is None and n.carrier in OUTSIDE and n.import_max_kw.any()]
    return [n.id for n in outside if n.id not in known]


# --- what measures a part --------------------------------------------------------------------------------------------


def _wish(inputs: Inputs, name: str, flow: Flow, above: Floats | float, below: float, labels: tuple[str, str]) -> Any:
    """A price of each step's energy."""
    nothing = np.zeros(inputs.axis.steps)
    period = np.arange(inputs.axis.steps)
    ident = f"objective.{name}"
    return Commitment(ident, (flow,), "energy", period, nothing, nothing + above, nothing + below, "wish", labels)


def _drawn(inputs: Inputs, node: str, kg_per_kwh: Floats) -> Commitment:
    found: Commitment = _wish(inputs, f"co2.{node}", Flow(1.0, node=node), kg_per_kwh, 0.0, ("drawn", "none"))
    return found


def _given(inputs: Inputs, root: str) -> Commitment:
    labels = ("none", "given")
    found: Commitment = _wish(inputs, f"self-consumption.{root}", Flow(1.0, node=root), 0.0, 1.0, labels)
    return found


def _spilled(inputs: Inputs) -> Iterator[Commitment]:
    """What sun and wind would have given beyond what was taken, over the whole horizon: it is never below zero."""
    flows: list[Flow] = []
    baseline = np.zeros(inputs.axis.steps)
    for group, port in _own(inputs):
        if dict(zip(group.family.options, group.options, strict=True)).get("curtailable", True):
            flows += [Flow(1.0, asset=name, port=port) for name in group.ids]
            baseline -= group.on_axis(group.columns["available_kw"], inputs.axis.steps).sum(0)
    if flows:
        whole, one = np.zeros(inputs.axis.steps, np.int64), np.ones(1)
        labels = ("spilled", "none")
        yield Commitment("objective.spilled", tuple(flows), "energy", whole, baseline, one, 0.0 * one, "wish", labels)


def _own(inputs: Inputs) -> Iterator[tuple[Group, str]]:
    """Groups that produce what the weather allows, and their port."""
    for group in inputs.groups:
        if "available_kw" in group.columns and "generation_kw" in group.family.commands:
            yield group, group.family.ports[0].name


def own_kwh(inputs: Inputs) -> float:
    """What sun and wind allow."""
    return sum(float(group.columns["available_kw"].sum()) for group, _ in _own(inputs)) * inputs.axis.step_h


def _peak(inputs: Inputs, root: str) -> Commitment:
    days, period = np.unique(np.array(inputs.axis.local_day, "datetime64[D]"), return_inverse=True)
    nothing, one = np.zeros(inputs.axis.steps), np.ones(len(days))
    flows = (Flow(1.0, node=root),)
    labels = ("peak", "none")
    period = period.astype(np.int64)
    return Commitment(f"objective.peak.{root}", flows, "peak", period, nothing, one, 0.0 * one, "wish", labels)


def _flow_kw(inputs: Inputs, c: Commitment, net_kw: Floats, trace: Trace) -> Floats:
    total: Floats = np.sum([flow_kw(inputs, f, net_kw, trace) for f in c.flows], axis=0)
    return total


# --- comfort ---------------------------------------------------------------------------------------------------------


def comfort_prices(family: type[Family]) -> dict[str, str]:
    """Parameters that price a kelvin outside a band for an hour → the cost that each is the price of.

    ``discomfort_eur_per_kh`` is the price of the cost ``discomfort_eur``.
    """
    costs = {c.name for c in family.costs}
    found = {p.name: p.name.removesuffix("_per_kh") for p in family.parameters if unit_of(p.name) == "EUR/(K·h)"}
    return {price: cost for price, cost in found.items() if cost in costs}


def comfort_line(family: type[Family], cost: str) -> str:
    """The ledger's line of a cost."""
    return f"{family.name}.{cost.removesuffix('_eur')}"


def _comfort_times(group: Group, factor: float) -> Group:
    prices = comfort_prices(group.family)
    if factor == 1.0 or not prices:
        return group
    return replace(group, columns={**group.columns, **{name: factor * group.columns[name] for name in prices}})


def _kelvin_hours(inputs: Inputs, trace: Trace) -> Iterator[float]:
    """K·h outside the bands, with what lasts beyond the end as the families price it; where it costs nothing, none."""
    for group, steps, ends in zip(inputs.groups, trace.steps, trace.ends, strict=True):
        for name, cost in comfort_prices(group.family).items():
            price = group.columns[name]
            eur = steps[cost].sum(1) if cost in steps else np.zeros(group.n)
            eur = eur + ends.get(cost, np.zeros(group.n))
            yield float(np.divide(eur, price, out=np.zeros(group.n), where=price > 0).sum())


# --- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said(Term):
    """``[objective]`` under way: a term of contract with nobody."""

    @property
    def where(self) -> str:
        return "objective"

    @property
    def section(self) -> tuple[str, ...]:
        return ("objective",)


def build_objective(
    said: Mapping[str, Any],
    commitments: Mapping[str, Mapping[str, Any]],
    nodes: Sequence[Node],
    context: Context,
) -> Objective:
    """``[objective]`` → Objective; emissions it does not state are those of the ``carbon`` commitments."""
    report = context.report
    model = read_model(schema.Objective, said, "objective", context.document.place("objective"), report)
    if model is None:
        return Objective()
    weights = Weights(**{part.key: getattr(model, part.key) for part in PARTS.values()})
    intensity = _intensity(model, commitments, context)
    term = Said("objective.plan-change", context)
    silent = uncounted(nodes, intensity)
    if weights.co2_eur_per_t > 0 and not intensity:
        at = functools.partial(term.place, "co2_eur_per_t")
        report.add(at, "no-intensity", where=term.where, node=(silent or ["grid"])[0])
    elif weights.co2_eur_per_t > 0 and silent:
        report.note(functools.partial(term.place, "co2_eur_per_t"), "uncounted", where=term.where, nodes=listed(silent))
    changes: tuple[Commitment, ...] = ()
    if model.run is not None:
        terms = schema.PlanChange.model_validate({"run": model.run, "price_eur_per_kwh": 1.0})
        changes = tuple(replace(c, kind="wish") for c in BUILDERS["plan-change"](terms, term))
    elif weights.plan_change_eur_per_kwh > 0:
        doc = key_doc(schema.Objective, "run")
        report.add(term.place, "missing-key", where=term.where, key="run", doc=doc)
    return Objective(weights, intensity, changes)


def _intensity(model: Any, commitments: Mapping[str, Mapping[str, Any]], context: Context) -> dict[str, Floats]:
    """Node → (T,) g/kWh."""
    found: dict[str, Floats] = {}
    for node, value in model.intensity_g_per_kwh.items():
        key = "intensity_g_per_kwh"
        place = context.document.place("objective", key, node)
        if node not in context.carriers:
            hint = did_you_mean(node, context.carriers, "there are")
            context.report.add(place, "unknown-node", where="objective", key=key, value=quoted(node), hint=hint)
        else:
            found[node] = context.book.get(value, key, "objective", place, 0.0)
    for name, values in sorted(commitments.items()):
        node, value = values.get("node"), values.get("intensity_g_per_kwh")
        value = value.strip() if isinstance(value, str) else value
        if values.get("kind") == "carbon" and node in context.carriers and isinstance(value, (int, float, str)):
            place = context.document.place("commitment", name, "intensity_g_per_kwh")
            found.setdefault(
                str(node), context.book.get(value, "intensity_g_per_kwh", f"commitment {name}", place, 0.0)
            )
    return found
