"""What can be planned but is rarely meant: notes, each told once with how many more there are of its kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridopt.model.inputs import Commitment, Node
from gridopt.scenario.assets import AssetTable
from gridopt.scenario.document import Document
from gridopt.scenario.mistakes import Report
from gridopt.scenario.tables import Entry
from gridopt.written.words import quoted, some

LONG_H = 200.0
"""A store that takes longer to fill is more often one in Wh than one for a season."""
CAR_KWH = 1000.0
OVERSIZED = 50.0
"""A device so many times as strong as its connection is more often one in W."""
POWERS = {"power_kw": "import_max_kw", "peak_kw": "export_max_kw"}
"""A device's power → the limit of its node that it meets."""
DEAR_EUR_PER_KWH = 5.0
OUTSIDE = ("electricity", "gas")
"""Carriers that come from outside at a price."""


@dataclass(frozen=True)
class Said:
    """What was said of a district: its built parts, and where each asset stands."""

    nodes: Sequence[Node]
    tables: Sequence[AssetTable]
    commitments: Sequence[Commitment]
    kinds: Mapping[str, str]
    """Commitment id → its kind."""
    entries: Mapping[str, Entry]
    document: Document


def note_implausible(said: Said, report: Report) -> None:
    """Every suspicion, as notes."""
    _unpriced(said, report)
    _dear(said, report)
    for code, look in (
        ("above-limit", _above_limits),
        ("oversized", _oversized),
        ("slow-store", _slow),
        ("big-car", _big_cars),
        ("short-stay", _short_stays),
    ):
        found = list(look(said))
        if found:
            asset, key, fields = found[0]
            entry = said.entries[asset]
            more = f" ({len(found) - 1} more like it)" if len(found) > 1 else ""
            report.note(entry.at(key), code, where=entry.where, more=more, **fields)


# --- prices ----------------------------------------------------------------------------------------------------------


def _unpriced(said: Said, report: Report) -> None:
    """Energy from outside that costs nothing: neither at its root nor on its way down to an asset."""
    contracts = (c for c in said.commitments if said.kinds.get(c.id) in ("energy", "carbon"))
    priced: Set[str | None] = {flow.node for c in contracts for flow in c.flows}
    at: dict[str, list[str]] = {}
    for table in said.tables:
        for names in table.nodes.values():
            for asset, name in zip(table.ids, names, strict=True):
                at.setdefault(name, []).append(asset)
    below: dict[str | None, list[str]] = {}
    for node in said.nodes:
        below.setdefault(node.parent, []).append(node.id)
    for node in said.nodes:
        if node.parent is not None or node.carrier not in OUTSIDE or node.id in priced or not node.import_max_kw.any():
            continue
        free: list[str] = []
        prices: list[str] = []
        reached = [node.id]
        while reached:
            here = reached.pop()
            free += at.get(here, [])
            for child in below.get(here, []):
                (prices if child in priced else reached).append(child)
        where, place = f"node {node.id}", said.document.place("node", node.id)
        if not prices:
            report.note(place, "unpriced", where=where, value=quoted(node.id))
        elif free:
            fields = {"who": some(free), "prices": some(prices), "value": quoted(node.id)}
            report.note(place, "unpriced-part", where=where, **fields)


def _dear(said: Said, report: Report) -> None:
    for c in said.commitments:
        if said.kinds.get(c.id) != "energy":
            continue
        for key, prices in (("buy_eur_per_kwh", c.price_above), ("sell_eur_per_kwh", c.price_below)):
            most = float(np.abs(prices).max(initial=0.0))
            if most > DEAR_EUR_PER_KWH:
                place = said.document.place("commitment", c.id, key)
                report.note(place, "dear", where=f"commitment {c.id}", key=key, most=most)


# --- assets ----------------------------------------------------------------------------------------------------------

Suspicion = tuple[str, str, dict[str, Any]]
"""Asset, key, fields of the note."""


def _with(tables: Iterable[AssetTable], *keys: str) -> Iterator[tuple[AssetTable, int, list[Any]]]:
    """Every asset whose family takes all of these parameters, with their values."""
    for table in tables:
        if all(key in table.user for key in keys):
            for k in range(len(table.ids)):
                yield table, k, [table.user[key][k] for key in keys]


def _above_limits(said: Said) -> Iterator[Suspicion]:
    """Loads that at every step draw more than a node above them may import.

    What has several ports may feed them from another carrier: limits above it say nothing.
    """
    by_id = {node.id: node for node in said.nodes}
    fed = {
        up.id
        for table in said.tables
        if len(table.family.ports) > 1
        for names in table.nodes.values()
        for name in names
        for up in _upwards(name, by_id)
    }
    for table in (table for table in said.tables if table.family.name == "load"):
        for asset, at, power in zip(table.ids, table.nodes["ac"], table.user["power_kw"], strict=True):
            for node in _upwards(at, by_id):
                limit = node.import_max_kw
                if node.id not in fed and limit.all() and (power > limit).all():
                    t = int(np.argmin(power))
                    yield asset, "power_kw", {"least": power[t], "node": node.id, "limit": limit[t]}
                    break


def _upwards(name: str, by_id: Mapping[str, Node]) -> Iterator[Node]:
    node = by_id.get(name)
    while node is not None:
        yield node
        node = by_id.get(node.parent or "")


def _slow(said: Said) -> Iterator[Suspicion]:
    for table, k, (capacity, power) in _with(said.tables, "capacity_kwh", "power_kw"):
        if isinstance(power, float) and power > 0 and capacity > LONG_H * power:
            yield table.ids[k], "capacity_kwh", {"capacity": capacity, "power": power, "hours": capacity / power}


def _big_cars(said: Said) -> Iterator[Suspicion]:
    for table, k, (_, energy) in _with(said.tables, "arrive", "energy_kwh"):
        if energy > CAR_KWH:
            yield table.ids[k], "energy_kwh", {"energy": energy}


def _oversized(said: Said) -> Iterator[Suspicion]:
    """Devices far stronger than what carries them, either way."""
    by_id = {node.id: node for node in said.nodes}
    for table in said.tables:
        port = table.family.ports[0].name
        for key, side in POWERS.items():
            if key not in table.user:
                continue
            for asset, at, power in zip(table.ids, table.nodes[port], table.user[key], strict=True):
                for node in _upwards(at, by_id):
                    limit = float(getattr(node, side).max(initial=0.0))
                    if isinstance(power, float) and power > OVERSIZED * limit > 0:
                        yield asset, key, {"key": key, "power": power, "node": node.id, "limit": limit}
                        break


def _short_stays(said: Said) -> Iterator[Suspicion]:
    """Cars that cannot be filled whatever the plan: the stay is too short for the charge point."""
    keys = ("arrive", "depart", "energy_kwh", "power_kw", "efficiency")
    for table, k, (arrive, depart, energy, power, efficiency) in _with(said.tables, *keys):
        most = (depart - arrive) * power * efficiency
        if np.isfinite(energy) and energy > most * (1 + 1e-9):
            yield table.ids[k], "energy_kwh", {"energy": energy, "most": most, "hours": depart - arrive}
