"""What a day comes to before it is planned: energy and peaks, with every device run by its own rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gridopt.model.inputs import Inputs
from gridopt.report.kpi import node_kpis
from gridopt.simulate.twin import twin
from gridopt.verify import Trace

Side = tuple[float, float]
"""Energy [kWh] and peak [kW] of one direction."""

MOST = 20
"""Nodes, and assets' ports, named in words; the document names all."""
LEAST_KWH = 0.05


def figures(inputs: Inputs) -> dict[str, Any]:
    """``nodes``: id → energy over its boundary and peaks; ``assets``: one entry for each asset's port."""
    by_rule = twin(inputs)
    nodes = node_kpis(inputs, by_rule.net_kw, by_rule.trace)
    return {"nodes": nodes, "assets": _ports(inputs, by_rule.trace)}


def _ports(inputs: Inputs, trace: Trace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for group, steps in zip(inputs.groups, trace.steps, strict=True):
        for port in group.family.ports:
            drawn, fed = (np.maximum(sign * steps[f"{port.name}_kw"], 0.0) for sign in (1.0, -1.0))
            for k, name in enumerate(group.ids):
                found.append(
                    {
                        "id": name,
                        "family": group.family.name,
                        "port": port.name,
                        "drawn_kwh": float(drawn[k].sum() * inputs.axis.step_h),
                        "fed_kwh": float(fed[k].sum() * inputs.axis.step_h),
                        "peak_drawn_kw": float(drawn[k].max()),
                        "peak_fed_kw": float(fed[k].max()),
                    }
                )
    return found


def words(doc: Mapping[str, Any]) -> list[str]:
    """One line for each node and for each asset's port, those that move the most energy."""
    ports = Counter(a["id"] for a in doc["assets"])
    nodes = [
        (f"node {name}", (f["import_kwh"], f["peak_import_kw"]), (f["export_kwh"], f["peak_export_kw"]))
        for name, f in doc["nodes"].items()
    ]
    assets = [
        (
            f"{a['family']} {a['id']}" + (f" ({a['port']})" if ports[a["id"]] > 1 else ""),
            (a["drawn_kwh"], a["peak_drawn_kw"]),
            (a["fed_kwh"], a["peak_fed_kw"]),
        )
        for a in doc["assets"]
    ]
    return ["With every device run by its own rule:", *_lines(nodes, "nodes"), *_lines(assets, "assets")]


def _lines(moving: Iterable[tuple[str, Side, Side]], what: str) -> list[str]:
    """Those that move the most energy, one line each: name, what it draws, what it gives."""
    busy = [m for m in moving if m[1][0] + m[2][0] >= LEAST_KWH]
    busy.sort(key=lambda m: -m[1][0] - m[2][0])
    lines = [f"  {name}: {_sides(draws, gives)}" for name, draws, gives in busy[:MOST]]
    return lines + ([f"  and {len(busy) - MOST} {what} more, that move less"] if busy[MOST:] else [])


def _sides(draws: Side, gives: Side) -> str:
    """``draws 412.0 kWh, peak 61.0 kW; gives 3.2 kWh, peak 2.0 kW``."""
    both = (("draws", *draws), ("gives", *gives))
    return "; ".join(f"{v} {_number(kwh)} kWh, peak {_number(kw)} kW" for v, kwh, kw in both if kwh >= LEAST_KWH)


def _number(value: float) -> str:
    """``2 371.8``."""
    return f"{value:,.1f}".replace(",", " ")
