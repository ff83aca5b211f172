"""Pins and outages: what a person holds by hand, and what is out of service. A pin wins over an outage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridopt.assets.base import Floats
from gridopt.clock import Axis, runs
from gridopt.model.inputs import Group, Pin
from gridopt.model.template import template
from gridopt.scenario import schema
from gridopt.scenario.document import Document
from gridopt.scenario.mistakes import Report
from gridopt.scenario.spans import spans
from gridopt.units import unit_of
from gridopt.written.model import read_model
from gridopt.written.report import Place
from gridopt.written.words import did_you_mean, listed, nearest, quoted

ALIKE = 0.8
"""A quantity this like a variable's name is a slip of the pen; below, only its unit tells what was meant."""


@dataclass(frozen=True)
class District:
    """What overrides speak of. ``groups``: asset id → its group, for those within the horizon; ``there``: asset id →
    the steps on which it is there; ``written``: ids that the user wrote, right or wrong; ``members``: id → the assets
    that stand for it, where those are several (one for each day)."""

    groups: Mapping[str, Group]
    there: Mapping[str, slice]
    written: frozenset[str]
    members: Mapping[str, tuple[str, ...]]
    axis: Axis
    document: Document
    report: Report


def build_pins(
    pins: Sequence[Mapping[str, Any]], outages: Sequence[Mapping[str, Any]], district: District
) -> tuple[Pin, ...]:
    """Sorted pins with disjoint steps per variable."""
    held: list[tuple[int, Pin]] = []
    for k, said in enumerate(pins):
        held += [(k, pin) for pin in _pin(k, said, district)]
    _check_conflicts(held, district)
    found = [pin for _, pin in held]
    for k, said in enumerate(outages):
        for pin in _outage(k, said, district):
            same = [p for _, p in held if (p.asset, p.variable) == (pin.asset, pin.variable)]
            if any(p.first < pin.last and pin.first < p.last and p.value != pin.value for p in same):
                place = district.document.place("outage", k)
                district.report.note(place, "pin-over-outage", where=f"outage {k + 1}", asset=pin.asset)
            found += _around(pin, same)
    return tuple(sorted(set(found), key=lambda p: (p.asset, p.variable, p.first, p.last, p.value, p.why)))


def variables_of(group: Group) -> tuple[str, ...]:
    """Variables that the group's block really has: options leave some out."""
    return tuple(v.name for v in template(group.family, group.steps, group.options).variables)


def _pin(k: int, values: Mapping[str, Any], d: District) -> list[Pin]:
    where, place = f"pin {k + 1}", d.document.place("pin", k)
    said = read_model(schema.Pin, values, where, place, d.report)
    if said is None or not _asset_exists(said.asset, where, place, d):
        return []
    return [pin for one in _members(said, d) for pin in _pin_one(one, where, place, d)]


def _members(said: Any, d: District) -> list[Any]:
    """The override for every asset that stands for the one it names: those that are there then, or else the last."""
    names = d.members.get(said.asset, (said.asset,))
    if said.asset not in d.members:
        return [said]
    wanted = spans(said, "", lambda *_: ("", None), d.axis, Report())
    there = {name: d.there[name] for name in names if name in d.there}
    met = [name for name, at in there.items() if any(s.start < at.stop and at.start < s.stop for s in wanted)]
    return [said.model_copy(update={"asset": name}) for name in met or list(there)[-1:]] or [said]


def _pin_one(said: schema.Pin, where: str, place: Callable[..., Place], d: District) -> list[Pin]:
    steps = _while_there(said, where, place, d, tell_parts=True)
    group = d.groups.get(said.asset)
    if not steps or group is None:
        return []
    names = variables_of(group)
    if said.quantity not in names:
        d.report.add(
            lambda: place("quantity"),
            "unknown-quantity",
            where=where,
            value=quoted(said.quantity),
            asset=said.asset,
            family=group.family.name,
            hint=_quantity_hint(said.quantity, [c for c in group.family.commands if c in names], names),
        )
        return []
    for one in steps:
        low, high = reach_of(group, said.asset, said.quantity, one, d.axis)
        beyond = np.flatnonzero((said.value < low - 1e-9) | (said.value > high + 1e-9))
        if len(beyond):
            j = int(beyond[0])
            values = {"value": f"{said.value:g}", "quantity": said.quantity, "low": f"{low[j]:g}"}
            values |= {"high": f"{high[j]:g}", "when": d.axis.label(one.start + j)}
            d.report.add(lambda: place("value"), "pin-range", where=where, asset=said.asset, **values)
            return []
    return [Pin(said.asset, said.quantity, one.start, one.stop, said.value) for one in steps]


def _quantity_hint(wanted: str, commands: Sequence[str], names: Sequence[str]) -> str:
    """The variable that was meant, by its letters or else by its unit, and what else there is to hold."""
    unit = unit_of(wanted)
    alike = [c for c in commands if unit and unit_of(c) == unit]
    close = nearest(wanted, names, ALIKE) or (alike[0] if len(alike) == 1 else None)
    others = sorted(set(names) - set(commands))
    has = [f"commands {listed(commands)}"] if commands else []
    has += [f"other variables {listed(others)}"] if others else []
    return (f"; did you mean {close}? It has " if close else "; it has ") + "; ".join(has)


def reach_of(group: Group, asset: str, variable: str, steps: slice, axis: Axis) -> tuple[Floats, Floats]:
    """What the device itself allows: lower and upper bound on each of these steps, one where it has no steps."""
    found = template(group.family, group.steps, group.options)
    k = group.index[asset]
    numbers = found.numbers({name: a[k : k + 1] for name, a in group.columns.items()}, axis.step_h, 1)
    v = next(v for v in found.variables if v.name == variable)
    first = steps.start - int(group.offset[k]) if v.indexed else 0
    last = steps.stop - int(group.offset[k]) if v.indexed else 1
    here = slice(v.start + first, v.start + last)
    return found.lower.evaluate(numbers)[0, here], found.upper.evaluate(numbers)[0, here]


def _outage(k: int, values: Mapping[str, Any], d: District) -> list[Pin]:
    """Every command of the asset at zero; what only measures a goal missed stays free."""
    where, place = f"outage {k + 1}", d.document.place("outage", k)
    said = read_model(schema.Outage, values, where, place, d.report)
    if said is None or not _asset_exists(said.asset, where, place, d):
        return []
    return [pin for one in _members(said, d) for pin in _outage_one(one, where, place, d)]


def _outage_one(said: schema.Outage, where: str, place: Callable[..., Place], d: District) -> list[Pin]:
    steps = _while_there(said, where, place, d, tell_parts=False)
    group = d.groups.get(said.asset)
    if not steps or group is None:
        return []
    family = group.family
    commands = [name for name in family.commands if name in variables_of(group) and name not in family.shortfalls]
    if not commands:
        options = dict(zip(group.family.options, group.options, strict=True))
        fixed = [f"{name} = {quoted(value)}" for name, value in options.items()]
        hint = f": {', '.join(fixed)}" if group.family.commands and fixed else "; leave the outage out"
        values = {"asset": said.asset, "family": group.family.name, "hint": hint}
        d.report.add(lambda: place("asset"), "no-command", where=where, **values)
    return [Pin(said.asset, name, one.start, one.stop, 0.0, "outage") for one in steps for name in commands]


def _while_there(
    said: schema.Pin | schema.Outage, where: str, place: Callable[..., Place], d: District, *, tell_parts: bool
) -> list[slice]:
    """The steps of an override on which its asset is there. A note where there is none, or (``tell_parts``) not all."""
    wanted = spans(said, where, place, d.axis, d.report)
    there = d.there.get(said.asset)
    if there is None and d.members.get(said.asset) == ():
        there = slice(0, 0)  # it comes on other days
    if there is None or not wanted:
        return wanted  # an asset that is wrong itself, or an override that is
    found = [slice(max(one.start, there.start), min(one.stop, there.stop)) for one in wanted]
    found = [one for one in found if one.start < one.stop]
    span = f"{d.axis.label(there.start)} to {d.axis.label(there.stop)}"
    if not found:
        away = there.start >= there.stop
        words = ", nor at any step of the horizon" if away else f"; it is there {span}"
        d.report.note(place, "absent", where=where, asset=said.asset, span=words)
    elif found != wanted and tell_parts:
        d.report.note(place, "partly-there", where=where, asset=said.asset, span=span)
    return found


def _asset_exists(name: str, where: str, place: Callable[..., Place], d: District) -> bool:
    if name not in d.written:
        hint = did_you_mean(name, d.written, "there are")
        d.report.add(lambda: place("asset"), "unknown-asset", where=where, key="asset", value=quoted(name), hint=hint)
    return name in d.written


def _check_conflicts(held: list[tuple[int, Pin]], d: District) -> None:
    """Two pins may not hold one variable at two values."""
    for n, (k, pin) in enumerate(held):
        for j, other in held[:n]:
            same = (pin.asset, pin.variable) == (other.asset, other.variable)
            if same and pin.value != other.value and pin.first < other.last and other.first < pin.last:
                values = {"other": j + 1, "value": pin.variable, "asset": pin.asset}
                d.report.add(d.document.place("pin", k), "pins-differ", where=f"pin {k + 1}", **values)


def _around(outage: Pin, pins: list[Pin]) -> list[Pin]:
    """The outage's steps that no pin holds, as pins of their own."""
    free = np.zeros(outage.last, bool)
    free[outage.first :] = True
    for pin in pins:
        free[pin.first : pin.last] = False
    return [Pin(outage.asset, outage.variable, first, last, 0.0, outage.why) for first, last in runs(free)]
