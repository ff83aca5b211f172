"""Assets: entries of TOML and tables → one columnar table a family, as ``Family.prepare`` takes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from pydantic_core import PydanticCustomError

from gridopt.assets import FAMILY_NAMES, family
from gridopt.assets.base import Family, Floats, Parameter
from gridopt.clock import Axis
from gridopt.model.inputs import Group, make_groups
from gridopt.scenario.document import Document
from gridopt.scenario.mistakes import Report
from gridopt.scenario.schema import family_model, parameter_field, text_keys
from gridopt.scenario.series import Book
from gridopt.scenario.sessions import generated_sessions
from gridopt.scenario.spans import instant
from gridopt.scenario.tables import Entry, override, table_entries
from gridopt.scenario.times import Moment
from gridopt.written.model import known_keys, read_model
from gridopt.written.report import told
from gridopt.written.words import did_you_mean, doc_with_unit, nearest, quoted

GOOD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, eq=False)
class AssetTable:
    """All assets of a family, by id. ``user``: parameter → (n,) or (n, T); ``nodes``: port → (n,) node ids.

    ``control``: what each asset's device accepts, "none" where the user said so; ``device``: its name, or "".
    """

    family: type[Family]
    ids: tuple[str, ...]
    user: Mapping[str, Any]
    nodes: Mapping[str, tuple[str, ...]]
    control: tuple[str, ...]
    device: tuple[str, ...]


def groups_of(tables: Iterable[AssetTable], nodes: Sequence[str], axis: Axis) -> tuple[Group, ...]:
    """Groups of equal structure in canonical order: family name, steps, options. ``nodes``: ids in order."""
    index = {node: k for k, node in enumerate(nodes)}
    found: list[Group] = []
    for table in sorted(tables, key=lambda t: t.family.name):
        at = {port: [index[n] for n in names] for port, names in table.nodes.items()}
        found += make_groups(table.family, table.ids, table.user, at, axis)
    return tuple(found)


def places_of(tables: Iterable[AssetTable]) -> dict[str, tuple[AssetTable, int]]:
    """Asset id → its table and its place there."""
    return {name: (table, k) for table in tables for k, name in enumerate(table.ids)}


# --- entries ---------------------------------------------------------------------------------------------------------


def read_entries(
    document: Document,
    assets: Mapping[str, Mapping[str, Any]],
    families: Mapping[str, Mapping[str, Any]],
    axis: Axis,
    report: Report,
) -> dict[str, list[Entry]]:
    """Family → entries, from tables, generated sessions and ``[asset.ID]``. Ids are unique over all families."""
    found: dict[str, list[Entry]] = {}
    first: dict[str, Entry] = {}
    for name, spec in sorted(families.items()):
        model, required = family_model(name), required_keys(name)
        for entry in table_entries(document, name, spec, known_keys(model), required, text_keys(name), report):
            _enter(found.setdefault(name, []), first, entry, report)
        for entry in generated_sessions(spec.get("generate", {}), spec["defaults"], axis, document, report):
            _enter(found.setdefault(name, []), first, entry, report)
    for name, values in assets.items():
        here = document.place("asset", name)
        kind = values.get("family")
        if name in first and kind is None:
            override(first[name], document, "asset", values)
            continue
        if kind is None:
            close = nearest(name, first)
            known = 'write family = "battery", "load" or another that `gridopt schema scenario` lists'
            hint = f"to override a row of a table, did you mean {close}?" if close else known
            report.add(here, "no-family", where=f"asset {name}", hint=hint)
            continue
        if kind not in FAMILY_NAMES:
            hint = did_you_mean(str(kind), FAMILY_NAMES, "there are")
            place = document.place("asset", name, "family")
            report.add(place, "unknown-family", where=f"asset {name}", value=quoted(kind), hint=hint)
            continue
        defaults = families.get(kind, {}).get("defaults", {})
        own = {k: v for k, v in values.items() if k != "family"}
        places = {k: document.place(kind, "defaults", k) for k in defaults}
        places |= {k: document.place("asset", name, k) for k in own}
        entry = Entry(name, f"asset {name}", {**defaults, **own}, places, here)
        _enter(found.setdefault(kind, []), first, entry, report)
    return found


def required_keys(name: str) -> dict[str, str]:
    """Required keys of a family → what they mean."""
    fields = family_model(name).model_fields.items()
    return {key: doc_with_unit(key, i.description or "") for key, i in fields if i.is_required()}


def _enter(entries: list[Entry], first: dict[str, Entry], entry: Entry, report: Report) -> None:
    check_id(entry, report)
    if entry.id in first:
        hint = "; to override values of that row, leave out family" if first[entry.id].row and not entry.row else ""
        report.add(entry.place, "twice", where=entry.where, first=told(first[entry.id].place()), hint=hint)
        return
    first[entry.id] = entry
    entries.append(entry)


def check_id(entry: Entry, report: Report) -> None:
    """Ids stand in paths of ``--set`` and in file names: no dots, spaces or slashes."""
    if not GOOD_ID.fullmatch(entry.id):
        report.add(entry.place, "bad-id", where=entry.where, mend=good_id(entry.id))


def good_id(name: str) -> str:
    """The id nearest to a name that is not allowed as one."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_") or "a name"


# --- columns ---------------------------------------------------------------------------------------------------------


def build_table(
    name: str, entries: Iterable[Entry], nodes: Mapping[str, str], book: Book, report: Report
) -> AssetTable | None:
    """The good entries of a family as a table; None when there are none. ``nodes``: id → carrier."""
    found, model = family(name), family_model(name)
    good: list[tuple[Entry, Any]] = []
    faulty: list[tuple[Entry, Any]] = []
    for entry in sorted(entries, key=lambda e: e.id):
        values = read_model(model, entry.values, entry.where, entry.at, report, entry.absent)
        ports_fit = _check_ports(found, entry, nodes, report)
        if values is not None and ports_fit and not entry.absent:
            good.append((entry, values))
        else:
            faulty.append((entry, _readable(found, entry)))
    if faulty:  # what is wrong in one value must not hide what is in another
        _check_order(found, {p.name: _column(p, faulty, book, report) for p in found.parameters}, faulty, report)
        _check_either(found, [(entry, SimpleNamespace(**{**vars(v), **entry.values})) for entry, v in faulty], report)
    if not good:
        return None
    user = {p.name: _column(p, good, book, report) for p in found.parameters}
    _check_order(found, user, good, report)
    _check_either(found, good, report)
    user |= {p.name: np.nan_to_num(user[p.name]) for p in found.parameters if p.kind == "time" and p.required}
    return AssetTable(
        found,
        tuple(entry.id for entry, _ in good),
        user,
        {port.name: tuple(getattr(v, port.parameter) for _, v in good) for port in found.ports},
        tuple(v.control or found.control for _, v in good),
        tuple(v.device or "" for _, v in good),
    )


def _readable(found: type[Family], entry: Entry) -> SimpleNamespace:
    """The parameters of an asset that can be read, though something else of it is wrong; None for all others."""
    values: dict[str, Any] = {}
    for p in found.parameters:
        said = entry.values.get(p.name, p.default)
        try:
            values[p.name] = None if said is None else parameter_field(p).check(said)
        except PydanticCustomError:
            values[p.name] = None
    return SimpleNamespace(**values)


def _check_ports(found: type[Family], entry: Entry, nodes: Mapping[str, str], report: Report) -> bool:
    fits = True
    for port in found.ports:
        key, node = port.parameter, entry.values.get(port.parameter)
        if not isinstance(node, str):
            continue  # missing or of the wrong type: reported by the model
        node = node.strip()
        carrier = nodes.get(node)
        if carrier is None:
            hint = did_you_mean(node, nodes, "there are")
            report.add(entry.at(key), "unknown-node", where=entry.where, key=key, value=quoted(node), hint=hint)
        elif port.carriers and carrier not in port.carriers:
            fitting = [n for n, c in nodes.items() if c in port.carriers]
            report.add(
                entry.at(key),
                "port-carrier",
                where=entry.where,
                key=key,
                value=quoted(node),
                carrier=carrier,
                port=port.name,
                needed=" or ".join(port.carriers),
                hint=did_you_mean(node, fitting, "such are") if fitting else "; add a node of that carrier",
            )
        else:
            continue
        fits = False
    return fits


def _column(p: Parameter, entries: list[tuple[Entry, Any]], book: Book, report: Report) -> Any:
    """One parameter of all assets as an array; absent optional numbers are NaN, for ``prepare`` to decide."""
    values = [getattr(v, p.name) for _, v in entries]
    match p.kind:
        case "scalar":
            return np.array([np.nan if v is None else v for v in values], np.float64)
        case "flag":
            return np.array(values, bool)
        case "choice":
            return _objects(["" if v is None else v for v in values])
        case "list":
            return _objects([np.atleast_1d(np.array(() if v is None else v, np.float64)) for v in values])
        case "time":
            pairs = zip(values, entries, strict=True)
            return np.array([_hours(value, p, entry, book.axis, report) for value, (entry, _) in pairs])
        case "series":
            return _series(p, values, entries, book)


def _check_order(found: type[Family], user: Mapping[str, Any], good: list[tuple[Entry, Any]], report: Report) -> None:
    """Pairs of parameters that must not cross, such as the lower and the upper edge of a band."""
    for low, high in found.ordered:
        for k, (entry, _) in enumerate(good):
            if np.any(user[low][k] > user[high][k] + 1e-9):
                report.add(
                    entry.at(high if high in entry.values else low), "crossed", where=entry.where, low=low, high=high
                )


def _check_either(found: type[Family], good: list[tuple[Entry, Any]], report: Report) -> None:
    """Of every choice of optional parameters one is given."""
    for sets in found.either:
        choices = ", or ".join(" and ".join(names) for names in sets)
        for entry, values in good:
            if not any(all(getattr(values, name) is not None for name in names) for names in sets):
                report.add(entry.place, "either", where=entry.where, choices=choices)


def _objects(values: list[Any]) -> Any:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def _series(p: Parameter, values: list[Any], entries: list[tuple[Entry, Any]], book: Book) -> Floats:
    out = np.empty((len(values), book.axis.steps))
    for row, value, (entry, _) in zip(out, values, entries, strict=True):
        if isinstance(value, str):
            row[:] = book.get(value, p.name, entry.where, entry.at(p.name), p.minimum, p.maximum)
        else:
            row[:] = np.nan if value is None else value
    return out


def _hours(value: Any, p: Parameter, entry: Entry, axis: Axis, report: Report) -> float:
    """Hours from the horizon's start; NaN where there is no such time."""
    if isinstance(value, Moment):
        when = instant(value, p.name, entry.where, entry.at(p.name), axis, report)
        return axis.hours_from_start(when) if when else np.nan
    return np.nan if value is None else float(value)
