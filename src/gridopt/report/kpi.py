"""What a day came to: key figures per device and node, and every goal that fell short, from the replayed trace.

For a node with all below it, per step: P what is produced, C what is consumed, stores apart [kW]. Local energy is what
was consumed as it was produced, Σ min(P, C), and what a store took from local surplus and gave back to a load; a store
gives its local energy first.

self_consumption = local / Σ P          self_sufficiency = local / Σ C
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from gridopt.assets.base import Exclusive, Family, Floats, Ints
from gridopt.model.inputs import Commitment, Group, Inputs
from gridopt.solve.short import CAP_SHARE
from gridopt.units import unit_of
from gridopt.verify import Ledger, Trace
from gridopt.verify.ledger import flow_kw
from gridopt.verify.replay import branch_power

SHORT = 1e-3
"""Amounts below this are no goal missed."""
SHORT_KH = 0.05
"""Comfort missed by less, over a day, is below what a thermostat can tell."""
SHORT_STEP = 1e-5
"""What is missing in one step below this is the solver's tolerance, however many steps it adds up over."""
WORTH_EUR = 1e-6


@dataclass(frozen=True)
class Shortfall:
    """A soft goal missed, or a priced limit exceeded: by how much in all, at worst, and in which steps [first, last).

    ``what``: "asset" or "commitment"; ``kind``: "penalty", missed at a price, or "emergency", which no plan misses that
    can do without; ``steps``: how many steps of the interval were short.
    """

    what: str
    id: str
    kind: str
    quantity: str
    goal: str
    amount: float
    unit: str
    worst: float
    first: int
    last: int
    steps: int


def summed_unit(quantity: str) -> str:
    """Unit of a quantity added up over time: powers give kWh, kelvins K·h; what is a stock stays what it is."""
    unit = unit_of(quantity)
    return {"kW": "kWh", "K": "K·h"}.get(unit, unit)


def shortfalls(
    inputs: Inputs, net_kw: Floats, trace: Trace, ledger: Ledger, deadlines: Sequence[Ints]
) -> list[Shortfall]:
    """Every soft goal that a day misses, in the order of the inputs.

    ``deadlines``: per group, (n,) the step after the last one in which each device could act; end goals stand there,
    or where a pin or an outage ends that kept it from acting.
    """
    found: list[Shortfall] = []
    spare = CAP_SHARE * _emergencies(inputs, trace)
    for group, steps, ends, last in zip(inputs.groups, trace.steps, trace.ends, deadlines, strict=True):
        until = _free_again(inputs, group, last)
        for quantity, goal in group.family.shortfalls.items():
            least = spare if quantity in group.family.emergencies else 0.0
            if quantity in steps:
                found += _missed_in_steps(group, quantity, goal, steps[quantity], inputs.axis.step_h, least)
            if quantity in ends:
                found += _missed_at_end(group, quantity, goal, ends[quantity], until, least)
    for c in inputs.commitments:
        found += _exceeded(inputs, c, net_kw, trace, ledger)
    return found


def _emergencies(inputs: Inputs, trace: Trace) -> float:
    """The sum of emergencies that searches make least, whatever the units in it."""
    total = 0.0
    for group, steps, ends in zip(inputs.groups, trace.steps, trace.ends, strict=True):
        for name in group.family.emergencies:
            weight = inputs.axis.step_h if name.endswith("_kw") else 1.0
            total += weight * float(np.sum(steps.get(name, 0.0))) + float(np.sum(ends.get(name, 0.0)))
    return total


def _free_again(inputs: Inputs, group: Group, last: Ints) -> Ints:
    """(n,) the later of a device's last chance to act and the end of what a person or an outage held of it."""
    until = np.array(last, np.int64)
    for pin in inputs.pins:
        k = group.index.get(pin.asset)
        if k is not None:
            until[k] = max(until[k], pin.last)
    return until


def _missed_in_steps(
    group: Group, quantity: str, goal: str, values: Floats, step_h: float, least: float
) -> Iterator[Shortfall]:
    """``least``: how far beyond nothing a search may leave it."""
    values = np.where(values > SHORT_STEP, values, 0.0)
    unit = summed_unit(quantity)
    adds_up = unit != unit_of(quantity)
    amount = values.sum(1) * step_h if adds_up else values.max(1, initial=0.0)
    for k in np.flatnonzero(amount > (SHORT_KH if unit == "K·h" else SHORT) + least):
        where = np.flatnonzero(values[k])
        first, last = int(group.offset[k] + where[0]), int(group.offset[k] + where[-1]) + 1
        worst = float(values[k].max())
        kind, n = _kind(group, quantity), len(where)
        yield Shortfall("asset", group.ids[k], kind, quantity, goal, float(amount[k]), unit, worst, first, last, n)


def _missed_at_end(
    group: Group, quantity: str, goal: str, values: Floats, last: Ints, least: float
) -> Iterator[Shortfall]:
    for k in np.flatnonzero(values > SHORT + least):
        amount, end, unit = float(values[k]), int(last[k]), unit_of(quantity)
        kind = _kind(group, quantity)
        yield Shortfall("asset", group.ids[k], kind, quantity, goal, amount, unit, amount, end - 1, end, 1)


def _kind(group: Group, quantity: str) -> str:
    return "emergency" if quantity in group.family.emergencies else "penalty"


def _exceeded(inputs: Inputs, c: Commitment, net_kw: Floats, trace: Trace, ledger: Ledger) -> Iterator[Shortfall]:
    """A penalty with a price on one side only is a soft limit; priced on both it is a wish to stay near, no limit."""
    above, below = bool((c.price_above > 0).any()), bool((c.price_below > 0).any())
    if c.kind != "penalty" or above == below:
        return
    price, label, sign = (c.price_above, c.labels[0], 1.0) if above else (c.price_below, c.labels[1], -1.0)
    line = ledger.lines.get(f"{c.id}.{label}")
    if line is None or line.eur <= WORTH_EUR:
        return
    total = np.sum([flow_kw(inputs, f, net_kw, trace) for f in c.flows], axis=0)
    counted = (c.period >= 0) & (price[np.maximum(c.period, 0)] > 0)
    over = np.where(counted, sign * (total - c.baseline_kw), 0.0)
    where = np.flatnonzero(over > SHORT_STEP)
    if not len(where):
        return
    worst = float(over.max())
    step_h = inputs.axis.step_h
    amount, unit = {
        "energy": (float(np.maximum(np.bincount(c.period[counted], over[counted]), 0.0).sum()) * step_h, "kWh"),
        "peak": (worst, "kW"),
        "hours": (len(where) * step_h, "h"),
    }[c.measure]
    goal = "stays within its limit" if above else "reaches its least value"
    first, last = int(where[0]), int(where[-1]) + 1
    yield Shortfall("commitment", c.id, c.kind, c.measure, goal, amount, unit, worst, first, last, len(where))


def shortfall_record(s: Shortfall, inputs: Inputs) -> dict[str, Any]:
    """A shortfall as it stands in the run folder: its interval as instants."""
    doc = asdict(s)
    times = interval(inputs, doc.pop("first"), doc.pop("last"))
    return {**doc, **times}


def interval(inputs: Inputs, first: int, last: int) -> dict[str, str]:
    """Steps [first, last) as instants."""
    start, step = inputs.axis.start, (inputs.axis.end - inputs.axis.start) / inputs.axis.steps
    return {"start": (start + first * step).isoformat(), "end": (start + last * step).isoformat()}


# --- key figures -----------------------------------------------------------------------------------------------------


def asset_kpis(inputs: Inputs, trace: Trace) -> dict[str, dict[str, float]]:
    """Asset → its family's key figures."""
    out: dict[str, dict[str, float]] = {}
    for group, steps in zip(inputs.groups, trace.steps, strict=True):
        p = SimpleNamespace(step_h=inputs.axis.step_h, **group.columns)
        figures = group.family.kpis(p, steps, inputs.axis.step_h)
        for k, name in enumerate(group.ids):
            out[name] = {figure: float(values[k]) for figure, values in figures.items()}
    return out


def node_kpis(inputs: Inputs, net_kw: Floats, trace: Trace) -> dict[str, dict[str, float]]:
    """Node → energy over its boundary and its peaks; for electricity with production also the local shares."""
    step_h = inputs.axis.step_h
    into, out_of = np.maximum(net_kw, 0.0), np.maximum(-net_kw, 0.0)
    made, used, local = local_energy(inputs, trace)
    figures: dict[str, dict[str, float]] = {}
    for k, node in enumerate(inputs.nodes):
        figures[node.id] = {
            "import_kwh": float(into[k].sum() * step_h),
            "export_kwh": float(out_of[k].sum() * step_h),
            "peak_import_kw": float(into[k].max()),
            "peak_export_kw": float(out_of[k].max()),
        }
        if node.carrier == "electricity" and made[k] > SHORT and used[k] > SHORT:
            figures[node.id] |= {
                "produced_kwh": float(made[k]),
                "consumed_kwh": float(used[k]),
                "self_consumption": float(local[k] / made[k]),
                "self_sufficiency": float(local[k] / used[k]),
            }
    return figures


def gives_back(family: type[Family]) -> bool:
    """Whether its devices give back what they took before: that is not produced."""
    pairs = [d for d in family.decisions if isinstance(d, Exclusive)]
    return any(d.first in family.commands and d.second in family.commands for d in pairs)


def is_store(family: type[Family]) -> bool:
    """Whether they also owe their content at the end: what they take is not consumed. A car drives away with it."""
    return gives_back(family) and "end_short_kwh" in family.emergencies


def local_energy(inputs: Inputs, trace: Trace) -> tuple[Floats, Floats, Floats]:
    """(N,) produced, consumed and local energy at each node and all below it [kWh]."""
    shape = (len(inputs.nodes), inputs.axis.steps)
    made, used, stored, given = (np.zeros(shape) for _ in range(4))
    for group, steps in zip(inputs.groups, trace.steps, strict=True):
        draws = stored if is_store(group.family) else used
        feeds = given if gives_back(group.family) else made
        place = group.offset[:, None] + np.arange(group.steps)
        for port in group.family.ports:
            power = steps[f"{port.name}_kw"]
            where = (group.nodes[port.name][:, None], place)
            np.add.at(draws, where, np.maximum(power, 0.0))
            np.add.at(feeds, where, np.maximum(-power, 0.0))
    made, used, stored, given = (branch_power(inputs, a) for a in (made, used, stored, given))
    direct = np.minimum(made, used)
    from_surplus = np.minimum(made - direct, stored)
    to_loads = np.minimum(used - direct, given)
    returned = _given_back(from_surplus, to_loads)
    step_h = inputs.axis.step_h
    return made.sum(1) * step_h, used.sum(1) * step_h, (direct.sum(1) + returned) * step_h


def _given_back(taken: Floats, given: Floats) -> npt.NDArray[np.float64]:
    """(N,) how much of ``taken`` came back among ``given``, local energy first."""
    bank, returned = np.zeros(len(taken)), np.zeros(len(taken))
    for t in range(taken.shape[1]):
        bank += taken[:, t]
        back = np.minimum(given[:, t], bank)
        bank -= back
        returned += back
    return returned
