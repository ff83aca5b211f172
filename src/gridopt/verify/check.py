"""Does a plan hold? Balances, states, limits, decisions, overrides, rules and money, each recomputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from gridopt.assets.base import Exclusive, Floats, Ints, SemiContinuous, Whole
from gridopt.model.inputs import Group, Inputs
from gridopt.model.schedule import Schedule
from gridopt.verify.ledger import bill
from gridopt.verify.replay import Trace, branch_power, own_power, replay

POWER_KW = 1e-5
"""How far a power, a state or a limit may be off, per unit of its own size above 1: HiGHS keeps 1e-7 per row, and a
state adds up one row a step."""
MONEY = 1e-6
"""How far the objective may be off, relative to the sum of the cost lines' sizes (at least 1 EUR)."""


@dataclass(frozen=True)
class Finding:
    """One thing that does not hold: which quantity of what, at which step (-1: the whole horizon), said and found."""

    what: str
    id: str
    quantity: str
    step: int
    said: float
    found: float

    def words(self, inputs: Inputs) -> str:
        when = "" if self.step < 0 else f" at {inputs.axis.label(self.step)}"
        return f"{self.what} {self.id}: {self.quantity}{when} is {self.said:.6g}, recomputed {self.found:.6g}"


def verify(
    inputs: Inputs, schedule: Schedule, objective_eur: float | None = None, lines: Mapping[str, float] | None = None
) -> list[Finding]:
    """Recompute a plan from its schedule; an empty list means it holds.

    ``objective_eur`` and ``lines`` (cost line → EUR), where given, must equal the money recomputed.
    """
    bad = [
        Finding("group", group.family.name, name, -1, float("nan"), 0.0)
        for group, values in zip(inputs.groups, schedule.groups, strict=True)
        for name, a in values.items()
        if not np.isfinite(a).all()
    ]
    if bad or not np.isfinite(schedule.net_kw).all():
        return bad or [Finding("node", "", "net_kw", -1, float("nan"), 0.0)]
    trace = replay(inputs, schedule)
    findings: list[Finding] = []
    for group, values, steps, ends in zip(inputs.groups, schedule.groups, trace.steps, trace.ends, strict=True):
        findings += _states(group, values, steps)
        findings += _shortfalls(group, values, steps, ends)
        findings += _decisions(group, values)
    findings += _balances(inputs, schedule, trace)
    findings += _limits(inputs, schedule)
    findings += _overrides(inputs, schedule)
    findings += _rules(inputs, schedule)
    findings += _money(inputs, schedule, trace, objective_eur, lines)
    return findings


def _off(said: Floats, found: Floats) -> Floats:
    """How far apart, in units of the tolerance."""
    return np.abs(said - found) / (POWER_KW * np.maximum(1.0, np.maximum(np.abs(said), np.abs(found))))


def _worst(
    what: str, names: tuple[str, ...], quantity: str, offset: Ints, said: Floats, found: Floats
) -> list[Finding]:
    """The worst step of every device that is off."""
    off = _off(said, found)
    out = []
    for k in np.flatnonzero((off > 1).any(1)):
        t = int(off[k].argmax())
        step = -1 if said.shape[1] == 1 else int(offset[k]) + t
        out.append(Finding(what, names[k], quantity, step, float(said[k, t]), float(found[k, t])))
    return out


def _states(group: Group, values: Mapping[str, Floats], steps: Mapping[str, Floats]) -> list[Finding]:
    """Commands the device could not follow, and states its physics would not reach."""
    out: list[Finding] = []
    for name in (*group.family.commands, *group.family.states):
        if name in values:
            out += _worst("asset", group.ids, name, group.offset, values[name], steps[name])
    return out


def _shortfalls(
    group: Group, values: Mapping[str, Floats], steps: Mapping[str, Floats], ends: Mapping[str, Floats]
) -> list[Finding]:
    """Goals missed by more than the plan says. (Where missing costs nothing, it may well say too much.)"""
    out: list[Finding] = []
    for name in group.family.shortfalls:
        if name in values:
            found = steps[name] if name in steps else ends[name][:, None]
            out += _worst("asset", group.ids, name, group.offset, np.minimum(values[name], found), found)
    return out


def _decisions(group: Group, values: Mapping[str, Floats]) -> Iterator[Finding]:
    for d in group.family.decisions:
        if isinstance(d, Exclusive):
            if d.first in values and d.second in values:
                both = np.minimum(values[d.first], values[d.second])
                yield from _worst(
                    "asset", group.ids, f"{d.first} beside {d.second}", group.offset, both, np.zeros_like(both)
                )
            continue
        if d.variable not in values:
            continue
        x = values[d.variable]
        if isinstance(d, Whole):
            yield from _worst("asset", group.ids, d.variable, group.offset, x, np.round(x))
        elif isinstance(d, SemiContinuous):
            least = group.columns[d.minimum]
            least = np.broadcast_to(least[:, None] if least.ndim == 1 else least, x.shape)
            nearest = np.where(x < 0.5 * least, 0.0, np.maximum(x, least))
            yield from _worst("asset", group.ids, d.variable, group.offset, x, nearest)


def _balances(inputs: Inputs, schedule: Schedule, trace: Trace) -> list[Finding]:
    needed = branch_power(inputs, own_power(inputs, trace))
    names = tuple(n.id for n in inputs.nodes)
    return _worst("node", names, "net_kw", np.zeros(len(names), np.int64), schedule.net_kw, needed)


def _limits(inputs: Inputs, schedule: Schedule) -> list[Finding]:
    bounds = [n.net_bounds() for n in inputs.nodes]
    low, high = np.array([b[0] for b in bounds]), np.array([b[1] for b in bounds])
    names = tuple(n.id for n in inputs.nodes)
    held = np.clip(schedule.net_kw, low, high)
    return _worst("node", names, "net_kw against its limit", np.zeros(len(names), np.int64), schedule.net_kw, held)


def _overrides(inputs: Inputs, schedule: Schedule) -> Iterator[Finding]:
    for pin in inputs.pins:
        g, k = inputs.where[pin.asset]
        group = inputs.groups[g]
        if pin.variable not in schedule.groups[g]:
            continue
        x = schedule.groups[g][pin.variable][k]
        offset = int(group.offset[k])
        first = max(pin.first - offset, 0)
        held = x[first : max(min(pin.last - offset, len(x)), first)]
        for t in np.flatnonzero(_off(held, np.full(len(held), pin.value)) > 1)[:1]:
            yield Finding(
                "asset",
                pin.asset,
                f"{pin.variable} under its {pin.why}",
                offset + first + int(t),
                float(held[t]),
                pin.value,
            )


def _rules(inputs: Inputs, schedule: Schedule) -> Iterator[Finding]:
    for rule in inputs.rules:
        total = 0.0
        for coefficient, what, name, variable, step in rule.terms:
            if what == "node":
                net = float(schedule.net_kw[inputs.node_index[name], step])
                total += coefficient * {"import_kw": max(net, 0.0), "export_kw": max(-net, 0.0)}.get(variable, net)
            else:
                x = schedule.value(inputs, name, variable)
                total += coefficient * float(x[step] if len(x) > 1 else x[0])
        held = float(np.clip(total, rule.low, rule.high))
        if _off(np.array(total), np.array(held)) > 1:
            yield Finding("rule", rule.name, "value", -1, total, held)


def _money(
    inputs: Inputs, schedule: Schedule, trace: Trace, objective_eur: float | None, lines: Mapping[str, float] | None
) -> Iterator[Finding]:
    ledger = bill(inputs, schedule.net_kw, trace)
    size = max(1.0, sum(abs(line.eur) for line in ledger.lines.values()))
    if objective_eur is not None and abs(ledger.total_eur - objective_eur) > MONEY * size:
        yield Finding("plan", "", "objective_eur", -1, objective_eur, ledger.total_eur)
    if lines is None:
        return
    for name in sorted({*lines, *ledger.lines}):
        said = lines.get(name, 0.0)
        found = ledger.lines[name].eur if name in ledger.lines else 0.0
        if abs(said - found) > MONEY * size:
            yield Finding("plan", "", f"cost line {name}", -1, said, found)
