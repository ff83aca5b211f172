"""The document's sections, each of the shape it must have; what is inside nodes, assets and terms is read later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gridopt.assets import FAMILY_NAMES
from gridopt.scenario import schema
from gridopt.scenario.document import Document
from gridopt.scenario.mistakes import Report
from gridopt.written.model import Section, read_model
from gridopt.written.words import key_hint, quoted

Table = Mapping[str, Any]

BY_NAME = {"generate": "[generate.pv-south]", "schedule": "[schedule.office]", "node": "[node.grid]"}
BY_NAME |= {"asset": "[asset.bat-a]", "commitment": "[commitment.supply]"}
LISTS = {"pin": "[[pin]]", "outage": "[[outage]]", "rule": "[[rule]]"}
SINGLE = {"horizon": "[horizon]", "series": "[series]", "nodes": "[nodes]", "objective": "[objective]"}
SINGLE |= {"solve": "[solve]"}
WRONG: Table = {}
"""Stands for a section that is no table, and reported."""

KNOWN = ("format", "title", *SINGLE, *BY_NAME, *LISTS, *FAMILY_NAMES)


@dataclass
class Sections:
    """What the user wrote. ``raw`` (section → id → table), ``lists`` and ``single`` are not looked into yet."""

    title: str
    horizon: schema.Horizon | None
    series: schema.SeriesFiles
    schedule: dict[str, schema.Schedule | None]
    families: dict[str, Table]
    raw: dict[str, dict[str, Table]] = field(default_factory=dict)
    lists: dict[str, list[Table]] = field(default_factory=dict)
    single: dict[str, Table] = field(default_factory=dict)


def read_sections(document: Document, report: Report) -> Sections:
    """Every section, with what has the wrong shape reported and left out."""
    data = document.data
    _check_format(document, report)
    for key in data:
        if key not in KNOWN:
            report.add(document.place(key), "unknown-section", key=key, hint=key_hint(key, KNOWN))
    title = data.get("title", "")
    if not isinstance(title, str):
        report.add(document.place("title"), "not-text", where="scenario", key="title", value=quoted(title))
        title = ""
    single = {key: _table(document, key, example, report) for key, example in SINGLE.items()}
    raw = {key: _tables_by_name(document, key, example, report) for key, example in BY_NAME.items()}
    lists = {key: _list(document, key, example, report) for key, example in LISTS.items()}
    families = {key: _table(document, key, f"[{key}]", report) for key in FAMILY_NAMES if key in data}

    def read(model: type[Section], values: Table, *key: str) -> Any:
        return read_model(model, values, " ".join(key), document.place(*key), report)

    horizon = read(schema.Horizon, single["horizon"], "horizon") if single["horizon"] is not WRONG else None
    series = read(schema.SeriesFiles, single["series"], "series") or schema.SeriesFiles.model_validate({})
    schedule = {name: read(schema.Schedule, values, "schedule", name) for name, values in raw["schedule"].items()}
    specs = {name: read(schema.table_model(name), values, name) for name, values in families.items()}
    nodes = read(schema.Table, single["nodes"], "nodes")
    single["nodes"] = nodes.model_dump() if nodes else {}
    dumped = {name: spec.model_dump() for name, spec in specs.items() if spec}
    return Sections(title, horizon, series, schedule, dumped, raw, lists, single)


def _check_format(document: Document, report: Report) -> None:
    if "format" not in document.data:
        report.add((document.layers[0].file, None), "format-missing")
    elif document.data["format"] != 1 or isinstance(document.data["format"], bool):
        report.add(document.place("format"), "format-unknown", value=quoted(document.data["format"]))


def _table(document: Document, key: str, example: str, report: Report) -> Table:
    value = document.data.get(key, {})
    if isinstance(value, dict):
        return value
    report.add(document.place(key), "not-section", key=key, value=quoted(value), example=example)
    return WRONG


def _tables_by_name(document: Document, key: str, example: str, report: Report) -> dict[str, Table]:
    found: dict[str, Table] = {}
    for name, value in _table(document, key, example, report).items():
        if isinstance(value, dict):
            found[name] = value
        else:
            report.add(document.place(key, name), "not-table", where=key, key=name, value=quoted(value))
    return found


def _list(document: Document, key: str, example: str, report: Report) -> list[Table]:
    value = document.data.get(key, [])
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    report.add(document.place(key), "not-section-list", key=key, value=quoted(value), example=example)
    return []
