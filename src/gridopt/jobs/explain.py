"""``gridopt explain RUN``: a finished run taken up again and explained, every alternative priced by solving it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gridopt.jobs import record
from gridopt.model.inputs import Inputs
from gridopt.solve.explain import (
    Alternative,
    BindingLimit,
    Sensitivity,
    alternative,
    binding_limits,
    marginal_prices,
    movable,
    sensitivities,
)
from gridopt.solve.ladder import Solution, solve

Tell = Callable[[str], None]
DEVICES = 12
"""Devices whose alternatives are solved: those that moved the most energy."""
LIMITS = 10
SAME_EUR = 5e-5


def explain(folder: Path, tell: Tell) -> dict[str, Any]:
    """Everything that can be said of a run: limits, prices, alternatives, sensitivities.

    Solves the run's own inputs again (the same plan comes out) and then each alternative. Raises DataError for a folder
    that is no run.
    """
    run, inputs, _ = record.load(folder)
    tell("solving the day again")
    solution = solve(inputs)
    devices = movable(inputs, solution.assembly.schedule(solution.x))[:DEVICES]
    alternatives = []
    for k, asset in enumerate(devices):
        tell(f"why now and not then: {asset} ({k + 1} of {len(devices)})")
        found = alternative(solution, asset)
        if found is not None:
            alternatives.append(found)
    tell("what would change it: every price and forecast by 10 %")
    changes = sensitivities(solution)
    return {
        "format": 1,
        "plan_id": run.summary["plan_id"],
        "objective_eur": solution.objective,
        "gap_eur": solution.gap_eur,
        "limits": [_limit(inputs, b) for b in _open_sides(inputs, binding_limits(solution))[:LIMITS]],
        "prices": _prices(inputs, solution),
        "why": [_why(inputs, a) for a in alternatives],
        "would_change": [_change(s) for s in changes],
    }


def _open_sides(inputs: Inputs, limits: list[BindingLimit]) -> list[BindingLimit]:
    """Without sides that are closed for good: a node that never exports has no export limit to loosen."""
    out = []
    for b in limits:
        node = inputs.nodes[inputs.node_index[b.node]]
        if (node.import_max_kw if b.side == "import" else node.export_max_kw).any():
            out.append(b)
    return out


def _slot(inputs: Inputs, first: int, last: int) -> dict[str, Any]:
    times = inputs.axis.times
    step = times[1] - times[0] if len(times) > 1 else np.timedelta64(inputs.axis.step_min, "m")
    return {
        "from": f"{times[first]}Z",
        "to": f"{times[last - 1] + step}Z",
        "words": f"{inputs.axis.label(first)}–{_end(inputs, first, last)}",
    }


def _end(inputs: Inputs, first: int, last: int) -> str:
    """The end of an interval, with its day where that is another one; midnight ends the day before."""
    label = inputs.axis.label(last)
    if label[-5:] == "00:00":
        label = f"{inputs.axis.label(last - 1)[:-5]}24:00"
    return label[-5:] if label[:-5] == inputs.axis.label(first)[:-5] else label


def _limit(inputs: Inputs, b: BindingLimit) -> dict[str, Any]:
    return {
        "node": b.node,
        "side": b.side,
        **_slot(inputs, b.first, b.last),
        "limit_kw": b.limit_kw,
        "value_eur_per_kw": b.value_eur_per_kw,
        "dearest": inputs.axis.label(b.worst_step),
    }


def _prices(inputs: Inputs, solution: Solution) -> dict[str, Any]:
    """Marginal price per node and step [EUR/kWh], and where it is least and most."""
    price = marginal_prices(solution)
    out = {}
    for k, node in enumerate(inputs.nodes):
        least, most = int(price[k].argmin()), int(price[k].argmax())
        out[node.id] = {
            "eur_per_kwh": price[k].tolist(),
            "least": {"eur_per_kwh": float(price[k, least]), "at": inputs.axis.label(least)},
            "most": {"eur_per_kwh": float(price[k, most]), "at": inputs.axis.label(most)},
        }
    return out


def _why(inputs: Inputs, a: Alternative) -> dict[str, Any]:
    moved = a.next_first >= 0
    return {
        "asset": a.asset,
        "variable": a.variable,
        "slot": _slot(inputs, a.first, a.last),
        "energy_kwh": a.energy_kwh,
        "price_eur_per_kwh": a.price_eur_per_kwh,
        "next_best": _slot(inputs, a.next_first, a.next_last) if moved else None,
        "next_price_eur_per_kwh": a.next_price_eur_per_kwh if moved else None,
        "extra_eur": a.extra_eur,
        "pins": [
            {"asset": p.asset, "quantity": p.variable, **_slot(inputs, p.first, p.last), "value": p.value}
            for p in a.pins
        ],
    }


def _change(s: Sensitivity) -> dict[str, Any]:
    def number(v: float) -> float | None:
        return None if math.isnan(v) else v

    return {"input": s.what, "words": s.words, "up_eur": number(s.up_eur), "down_eur": number(s.down_eur)}


# --- in words --------------------------------------------------------------------------------------------------------


def words(doc: Mapping[str, Any]) -> str:
    """The explanation as text for a terminal."""
    blocks = [
        f"Why plan {doc['plan_id']} is as it is (cost {doc['objective_eur']:.2f} EUR)",
        _limit_words(doc["limits"]),
        _price_words(doc["prices"]),
        _why_words(doc["why"]),
        _change_words(doc["would_change"]),
    ]
    return "\n\n".join(blocks) + "\n"


def _limit_words(limits: list[Mapping[str, Any]]) -> str:
    if not limits:
        return "Limits: none binds; more connection power would save nothing."
    lines = ["Limits that bind, and what one more kW there would save:"]
    lines += [
        f"  {b['node']} {b['side']} {b['limit_kw']:.4g} kW, {b['words']}: {b['value_eur_per_kw']:.4f} EUR per kW"
        for b in limits
    ]
    return "\n".join(lines)


def _price_words(prices: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["What one more kWh drawn would cost (least and most of the day):"]
    for node, p in prices.items():
        low, high = p["least"], p["most"]
        lines.append(
            f"  {node}: {low['eur_per_kwh']:.3f} EUR/kWh at {low['at']}, {high['eur_per_kwh']:.3f} at {high['at']}"
        )
    shown, rest = lines[:13], len(lines) - 13
    return "\n".join([*shown, f"  … and {rest} more nodes (see --json)"] if rest > 0 else shown)


def _why_words(alternatives: list[Mapping[str, Any]]) -> str:
    if not alternatives:
        return "Why now and not then: no device chose when to run."
    lines = ["Why now and not then:"]
    for a in alternatives:
        what = {"charge_kw": "charges", "discharge_kw": "discharges"}.get(a["variable"], "runs")
        said = f"  {a['asset']} {what} {a['energy_kwh']:.2f} kWh {a['slot']['words']}"
        extra = a["extra_eur"]
        cost = "the same cost" if abs(extra) < SAME_EUR else f"{abs(extra):.4f} EUR {'more' if extra > 0 else 'less'}"
        if a["next_best"] is None:
            lines.append(f"{said}; held off, it would not run instead: {cost}")
        else:
            lines.append(f"{said}; next best {a['next_best']['words']}: {cost}")
    return "\n".join(lines)


def _change_words(changes: list[Mapping[str, Any]]) -> str:
    if not changes:
        return "What would change it: nothing; the plan has no price and no forecast."
    lines = ["What would change the cost most (input 10 % up / 10 % down):"]

    def eur(value: float | None) -> str:
        return "no plan" if value is None else f"{value:+.2f} EUR"

    lines += [f"  {c['words']}: {eur(c['up_eur'])} / {eur(c['down_eur'])}" for c in changes[:10]]
    return "\n".join(lines)
