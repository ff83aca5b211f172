"""Pins and outages: what a person holds by hand, and what is out of service. A pin wins over an outage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gridopt.clock import Axis
from gridopt.model.inputs import Group, Pin
from gridopt.model.template import template
from gridopt.scenario import schema
from gridopt.scenario.document import Document
from gridopt.scenario.mistakes import Report, did_you_mean, quoted
from gridopt.scenario.schema import read_model
from gridopt.scenario.spans import span


def build_pins(
    pins: Sequence[Mapping[str, Any]],
    outages: Sequence[Mapping[str, Any]],
    groups: Iterable[Group],
    written: frozenset[str],
    axis: Axis,
    document: Document,
    report: Report,
) -> tuple[Pin, ...]:
    """Sorted pins with disjoint steps per variable. ``written``: ids that the user wrote, right or wrong."""
    where_is = {name: group for group in groups for name in group.ids}
    held: list[tuple[int, Pin]] = []
    for k, said in enumerate(pins):
        held += [(k, pin) for pin in _pin(k, said, where_is, written, axis, document, report)]
    _check_conflicts(held, document, report)
    found = [pin for _, pin in held]
    for k, said in enumerate(outages):
        for pin in _outage(k, said, where_is, written, axis, document, report):
            same = [p for _, p in held if (p.asset, p.variable) == (pin.asset, pin.variable)]
            if any(p.first < pin.last and pin.first < p.last and p.value != pin.value for p in same):
                report.note(document.place("outage", k), "pin-over-outage", where=f"outage {k + 1}", asset=pin.asset)
            found += _around(pin, same)
    return tuple(sorted(set(found), key=lambda p: (p.asset, p.variable, p.first, p.last, p.value, p.why)))


def variables_of(group: Group) -> tuple[str, ...]:
    """Variables that the group's block really has: options leave some out."""
    return tuple(v.name for v in template(group.family, group.steps, group.options).variables)


def _pin(
    k: int,
    values: Mapping[str, Any],
    where_is: Mapping[str, Group],
    written: frozenset[str],
    axis: Axis,
    document: Document,
    report: Report,
) -> list[Pin]:
    where, place = f"pin {k + 1}", document.place("pin", k)
    said = read_model(schema.Pin, values, where, place, report)
    if said is None or not _asset_exists(said.asset, where, place, written, report):
        return []
    steps = span(said.start, said.to, where, place, axis, report)
    group = where_is.get(said.asset)
    if steps is None or group is None:
        return []
    names = variables_of(group)
    if said.quantity not in names:
        report.add(
            lambda: place("quantity"),
            "unknown-quantity",
            where=where,
            value=quoted(said.quantity),
            asset=said.asset,
            family=group.family.name,
            hint=did_you_mean(said.quantity, names, "it has"),
        )
        return []
    low, high = reach_of(group, said.asset, said.quantity, steps, axis)
    if not low - 1e-9 <= said.value <= high + 1e-9:
        values = {"value": f"{said.value:g}", "quantity": said.quantity, "low": f"{low:g}", "high": f"{high:g}"}
        report.add(lambda: place("value"), "pin-range", where=where, asset=said.asset, **values)
        return []
    return [Pin(said.asset, said.quantity, steps.start, steps.stop, said.value)]


def reach_of(group: Group, asset: str, variable: str, steps: slice, axis: Axis) -> tuple[float, float]:
    """What the device itself allows on all of these steps: its largest lower and smallest upper bound."""
    found = template(group.family, group.steps, group.options)
    k = group.index[asset]
    numbers = found.numbers({name: a[k : k + 1] for name, a in group.columns.items()}, axis.step_h, 1)
    v = next(v for v in found.variables if v.name == variable)
    first = max(steps.start - int(group.offset[k]), 0) if v.indexed else 0
    last = min(steps.stop - int(group.offset[k]), v.count) if v.indexed else 1
    here = slice(v.start + first, v.start + max(first, last))
    low, high = found.lower.evaluate(numbers)[0, here], found.upper.evaluate(numbers)[0, here]
    return float(low.max(initial=-np.inf)), float(high.min(initial=np.inf))


def _outage(
    k: int,
    values: Mapping[str, Any],
    where_is: Mapping[str, Group],
    written: frozenset[str],
    axis: Axis,
    document: Document,
    report: Report,
) -> list[Pin]:
    """Every command of the asset at zero; what only measures a goal missed stays free."""
    where, place = f"outage {k + 1}", document.place("outage", k)
    said = read_model(schema.Outage, values, where, place, report)
    if said is None or not _asset_exists(said.asset, where, place, written, report):
        return []
    steps = span(said.start, said.to, where, place, axis, report)
    group = where_is.get(said.asset)
    if steps is None or group is None:
        return []
    family = group.family
    commands = [name for name in family.commands if name in variables_of(group) and name not in family.shortfalls]
    if not commands:
        options = dict(zip(group.family.options, group.options, strict=True))
        fixed = [f"{name} = {quoted(value)}" for name, value in options.items()]
        hint = f": {', '.join(fixed)}" if group.family.commands and fixed else "; leave the outage out"
        values = {"asset": said.asset, "family": group.family.name, "hint": hint}
        report.add(lambda: place("asset"), "no-command", where=where, **values)
    return [Pin(said.asset, name, steps.start, steps.stop, 0.0, "outage") for name in commands]


def _asset_exists(name: str, where: str, place: Any, written: frozenset[str], report: Report) -> bool:
    if name not in written:
        hint = did_you_mean(name, written, "there are")
        report.add(lambda: place("asset"), "unknown-asset", where=where, key="asset", value=quoted(name), hint=hint)
    return name in written


def _check_conflicts(held: list[tuple[int, Pin]], document: Document, report: Report) -> None:
    """Two pins may not hold one variable at two values."""
    for n, (k, pin) in enumerate(held):
        for j, other in held[:n]:
            same = (pin.asset, pin.variable) == (other.asset, other.variable)
            if same and pin.value != other.value and pin.first < other.last and other.first < pin.last:
                values = {"other": j + 1, "value": pin.variable, "asset": pin.asset}
                report.add(document.place("pin", k), "pins-differ", where=f"pin {k + 1}", **values)


def _around(outage: Pin, pins: list[Pin]) -> list[Pin]:
    """The outage's steps that no pin holds, as pins of their own."""
    held = {step for pin in pins for step in range(pin.first, pin.last)}
    free = [step for step in range(outage.first, outage.last) if step not in held]
    out: list[Pin] = []
    for step in free:
        if out and out[-1].last == step:
            last = out.pop()
            out.append(Pin(last.asset, last.variable, last.first, step + 1, 0.0, last.why))
        else:
            out.append(Pin(outage.asset, outage.variable, step, step + 1, 0.0, outage.why))
    return out
