"""Nodes: entries of TOML and tables → a tree per carrier with its limits on the axis.

What is not said: a root of electricity has no limit, one of gas can only draw, one of heat, cold or hydrogen is closed;
below a root there is no limit. With ``breach_eur_per_kwh`` the limits are priced instead of hard.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gridopt.clock import Axis, Floats
from gridopt.model.inputs import Commitment, Flow, Node
from gridopt.scenario import schema
from gridopt.scenario.assets import check_id
from gridopt.scenario.document import Document
from gridopt.scenario.mistakes import Report
from gridopt.scenario.series import Book
from gridopt.scenario.spans import spans
from gridopt.scenario.tables import Entry, override, table_entries
from gridopt.written.model import known_keys, read_model
from gridopt.written.report import DATA_FILES, told
from gridopt.written.words import did_you_mean

INF = np.inf
LIMITS = ("import_max_kw", "export_max_kw", "reserve_kw")
TEXT_KEYS = frozenset({"id", "carrier", "parent"})
ROOT_LIMITS = {"electricity": (INF, INF), "gas": (INF, 0.0)}
"""(import, export) of a root that says nothing; closed for other carriers."""


def read_nodes(
    document: Document, nodes: Mapping[str, Mapping[str, Any]], table: Mapping[str, Any], report: Report
) -> dict[str, Entry]:
    """Id → entry, from ``[nodes] table`` and from ``[node.ID]``, which overrides the row of its id."""
    found: dict[str, Entry] = {}
    keys = [k for k in known_keys(schema.Node) if k != "limits"]
    for entry in table_entries(document, "nodes", table, keys, {}, TEXT_KEYS, report) if table else ():
        entry.where = f"node {entry.id}"
        check_id(entry, report)
        if entry.id in found:
            report.add(entry.place, "twice", where=entry.where, first=told(found[entry.id].place()), hint="")
        else:
            found[entry.id] = entry
    defaults = table.get("defaults", {})
    for name, values in nodes.items():
        if name in found:
            override(found[name], document, "node", values)
            continue
        places = {k: document.place("nodes", "defaults", k) for k in defaults}
        places |= {k: document.place("node", name, k) for k in values}
        place = document.place("node", name)
        found[name] = Entry(name, f"node {name}", {**defaults, **values}, places, place)
        check_id(found[name], report)
    return found


def carriers_of(entries: Mapping[str, Entry], report: Report) -> dict[str, str]:
    """Id → carrier: its own word, else its parent's, else electricity. Reports broken trees."""
    found: dict[str, str] = {}
    for name, entry in entries.items():
        chain = [name]
        while True:
            values = entries[chain[-1]].values
            carrier, parent = values.get("carrier"), values.get("parent")
            if carrier in schema.CARRIERS or str(parent) not in entries or parent in chain:
                break
            chain.append(str(parent))
        found[name] = carrier if carrier in schema.CARRIERS else "electricity"
        _check_parent(entry, entries, report)
    for name, entry in entries.items():
        parent = entry.values.get("parent")
        if isinstance(parent, str) and parent in found and found[parent] != found[name] and not _cycle(name, entries):
            report.add(
                entry.at("carrier"),
                "parent-carrier",
                where=entry.where,
                carrier=found[name],
                parent=parent,
                other=found[parent],
            )
    return found


def _check_parent(entry: Entry, entries: Mapping[str, Entry], report: Report) -> None:
    parent = entry.values.get("parent")
    if not isinstance(parent, str):
        return  # none, or of the wrong type: reported by the model
    if parent not in entries:
        hint = did_you_mean(parent, set(entries) - {entry.id}, "there are")
        report.add(entry.at("parent"), "unknown-node", where=entry.where, key="parent", value=f'"{parent}"', hint=hint)
        return
    cycle = _cycle(entry.id, entries)
    if cycle and entry.id == min(cycle):
        report.add(entry.at("parent"), "own-parent", where=entry.where, chain=" → ".join([*cycle, cycle[0]]))


def _cycle(name: str, entries: Mapping[str, Entry]) -> list[str]:
    """The nodes of a ring of parents that ``name`` is part of, from it on; empty when there is none."""
    chain = [name]
    while (parent := str(entries[chain[-1]].values.get("parent"))) in entries:
        if parent == name:
            return chain
        if parent in chain:
            return []
        chain.append(parent)
    return []


# --- limits ----------------------------------------------------------------------------------------------------------


def build_nodes(
    entries: Mapping[str, Entry], carriers: Mapping[str, str], book: Book, report: Report
) -> tuple[tuple[Node, ...], list[Commitment]]:
    """Nodes by id, and the commitments that stand for limits with a price."""
    nodes: list[Node] = []
    priced: list[Commitment] = []
    for name in sorted(entries):
        entry = entries[name]
        said = read_model(schema.Node, entry.values, entry.where, entry.at, report)
        if said is None:
            continue
        limits = _limits(said, carriers[name], entry, book, report)
        reserve = book.get(said.reserve_kw, "reserve_kw", entry.where, entry.at("reserve_kw"), 0.0)
        _check_reserve(entry, reserve, limits, book.axis, report)
        if said.breach_eur_per_kwh is not None:
            priced += _breach(name, said.breach_eur_per_kwh, limits, reserve, book.axis)
            if not any(np.isfinite(limit).any() for limit in limits):
                report.add(entry.at("breach_eur_per_kwh"), "breach-without-limit", where=entry.where)
            limits, reserve = (np.full(book.axis.steps, INF),) * 2, np.zeros(book.axis.steps)
        nodes.append(Node(name, carriers[name], said.parent, *limits, reserve))
    return tuple(nodes), priced


def limits_in(entries: Mapping[str, Entry], book: Book) -> dict[str, str]:
    """``node.ID.KEY`` of every limit that is no plain number of the TOML → where it is written instead."""
    found: dict[str, str] = {}
    for name, entry in entries.items():
        for key in LIMITS:
            value, place = entry.values.get(key), entry.at(key)()
            if any(key in limit for limit in entry.values.get("limits", ())):
                found[f"node.{name}.{key}"] = f"limits, {told(entry.at('limits')())}"
            elif isinstance(value, str):
                found[f"node.{name}.{key}"] = book.source(value.strip())
            elif value is not None and place[0].endswith(DATA_FILES):
                found[f"node.{name}.{key}"] = f"column {key}, {told(place)}"
    return found


def _limits(said: schema.Node, carrier: str, entry: Entry, book: Book, report: Report) -> tuple[Floats, Floats]:
    """Import and export limit on the axis, those for a while laid over."""
    usual = (INF, INF) if said.parent else ROOT_LIMITS.get(carrier, (0.0, 0.0))
    found = []
    for key, default in zip(("import_max_kw", "export_max_kw"), usual, strict=True):
        value = getattr(said, key)
        limit = book.get(default if value is None else value, key, entry.where, entry.at(key), 0.0).copy()
        for k, other in enumerate(said.limits):
            where, place = f"{entry.where}: limits {k + 1}", entry.at("limits", k)
            for steps in spans(other, where, place, book.axis, report):
                if getattr(other, key) is not None:
                    limit[steps] = getattr(other, key)
        found.append(limit)
    return found[0], found[1]


def _check_reserve(entry: Entry, reserve: Floats, limits: tuple[Floats, Floats], axis: Axis, report: Report) -> None:
    """A reserve must fit under each limit; a closed direction has nothing to keep free."""
    for key, limit in zip(("import_max_kw", "export_max_kw"), limits, strict=True):
        over = np.flatnonzero((reserve > limit) & (limit > 0))
        if len(over):
            k = int(over[0])
            report.add(
                entry.at("reserve_kw"),
                "reserve-too-large",
                where=entry.where,
                reserve=reserve[k],
                key=key,
                limit=limit[k],
                when=axis.label(k),
            )


def _breach(name: str, price: float, limits: tuple[Floats, Floats], reserve: Floats, axis: Axis) -> list[Commitment]:
    """Limits with a price: energy beyond them, step by step. Their ids hold a dot, which no user's id can."""
    found = []
    for side, sign, limit in (("import", 1.0, limits[0]), ("export", -1.0, limits[1])):
        steps = np.flatnonzero(np.isfinite(limit))
        if not len(steps):
            continue
        period = np.full(axis.steps, -1, np.int64)
        period[steps] = np.arange(len(steps))
        baseline = np.where(np.isfinite(limit), np.maximum(limit - reserve, 0.0), 0.0)
        flow = Flow(sign, node=name)
        prices = np.full(len(steps), price), np.zeros(len(steps))
        labels = ("breach", "none")
        found.append(Commitment(f"{name}.{side}", (flow,), "energy", period, baseline, *prices, "penalty", labels))
    return found
