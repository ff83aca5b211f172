"""The same district otherwise: scaled, on half steps, in another order, under other names."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gridopt.assets import family
from gridopt.clock import Axis
from gridopt.model.inputs import Commitment, Flow, Node, Pin
from gridopt.units import unit_of
from tests.support.districts import Device, Sketch


def scaled(s: Sketch, k: float) -> Sketch:
    """Every price, wear and penalty k times as high."""

    def dearer(d: Device) -> Device:
        money = {p.name: p.default for p in family(d.family).parameters if unit_of(p.name).startswith("EUR")}
        said = {name: d.given.get(name, default) for name, default in money.items()}
        return replace(d, given={**d.given, **{name: k * eur for name, eur in said.items() if eur is not None}})

    terms = [replace(c, price_above=k * c.price_above, price_below=k * c.price_below) for c in s.commitments]
    return replace(s, devices=tuple(map(dearer, s.devices)), commitments=tuple(terms))


def halved(s: Sketch) -> Sketch:
    """Every step cut in two, with the same inputs in both halves."""

    def twice(values: Any) -> Any:
        return np.repeat(np.asarray(values), 2) if np.ndim(values) else values

    def device(d: Device) -> Device:
        of = {p.name: p for p in family(d.family).parameters}
        said = {name: twice(value) if of[name].kind == "series" else value for name, value in d.given.items()}
        if d.family == "shiftable-load" and "duration_h" not in said:
            said["duration_h"] = s.axis.step_h * len(said["profile_kw"])
            said["then_duration_h"] = s.axis.step_h * len(said.get("then_profile_kw", ())) or None
        return replace(d, given=said)

    def node(n: Node) -> Node:
        limits = {name: twice(getattr(n, name)) for name in ("import_max_kw", "export_max_kw", "reserve_kw")}
        return replace(n, **limits)

    def terms(c: Commitment) -> Commitment:
        both = replace(c, period=twice(c.period), baseline_kw=twice(c.baseline_kw))
        if not c.is_boundary_price:
            return both
        prices = {"price_above": twice(c.price_above), "price_below": twice(c.price_below)}
        return replace(both, period=np.arange(2 * s.axis.steps), **prices)

    return replace(
        s,
        axis=Axis(s.axis.start, s.axis.step_min // 2, 2 * s.axis.steps),
        nodes=tuple(map(node, s.nodes)),
        devices=tuple(map(device, s.devices)),
        commitments=tuple(map(terms, s.commitments)),
        pins=tuple(replace(p, first=2 * p.first, last=2 * p.last) for p in s.pins),
    )


def shuffled(s: Sketch, rng: random.Random) -> Sketch:
    """Everything in another order."""

    def order(things: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(rng.sample(things, len(things)))

    return replace(
        s, nodes=order(s.nodes), devices=order(s.devices), commitments=order(s.commitments), pins=order(s.pins)
    )


def renamed(s: Sketch, rng: random.Random) -> Sketch:
    """Nodes, assets and commitments under names that sort in another order."""

    def names(things: tuple[Any, ...]) -> Mapping[str, str]:
        new = rng.sample(range(100), len(things))
        return {thing.id: f"n{k:02d}" for thing, k in zip(things, new, strict=True)}

    node, asset, terms = names(s.nodes), names(s.devices), names(s.commitments)

    def flow(f: Flow) -> Flow:
        return replace(f, node=f.node and node[f.node], asset=f.asset and asset[f.asset])

    def pin(p: Pin) -> Pin:
        return replace(p, asset=asset[p.asset])

    return replace(
        s,
        nodes=tuple(replace(n, id=node[n.id], parent=n.parent and node[n.parent]) for n in s.nodes),
        devices=tuple(replace(d, id=asset[d.id], at=tuple(node[n] for n in d.at)) for d in s.devices),
        commitments=tuple(replace(c, id=terms[c.id], flows=tuple(map(flow, c.flows))) for c in s.commitments),
        pins=tuple(map(pin, s.pins)),
    )
