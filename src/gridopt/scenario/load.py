"""From a scenario's files to model Inputs: the composer of this room.

``load`` reads everything, collects every mistake, and returns a frozen Scenario; ``check`` returns the mistakes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gridopt.clock import Axis, day_axis
from gridopt.errors import Mistake, ScenarioError
from gridopt.model.inputs import Commitment, Group, Inputs, LinearRule, Node, Pin, Target
from gridopt.scenario import schema
from gridopt.scenario.assets import AssetTable, build_table, groups_of, places_of, read_entries
from gridopt.scenario.before import Before
from gridopt.scenario.commitments import Context, build_commitments
from gridopt.scenario.document import Document, read_document
from gridopt.scenario.find import SCENARIO_FILE, find
from gridopt.scenario.horizon import build_axis
from gridopt.scenario.mistakes import Report
from gridopt.scenario.nodes import build_nodes, carriers_of, limits_in, read_nodes
from gridopt.scenario.objective import Objective, build_objective
from gridopt.scenario.overrides import District, build_pins
from gridopt.scenario.plausible import Said, note_implausible
from gridopt.scenario.presence import check_devices, presence
from gridopt.scenario.resume import Resumed, resume
from gridopt.scenario.sections import Sections, read_sections
from gridopt.scenario.series import Book
from gridopt.scenario.tables import take_out
from gridopt.scenario.weekly import each_day
from gridopt.verify.outages import with_outages
from gridopt.written.model import read_model
from gridopt.written.toml import shown

STAND_IN = day_axis(date(2026, 1, 1), 1, 60, "UTC")
"""Stands for a horizon that is wrong, so that all other mistakes are still found."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """A district as the user described it, checked, on its time axis. All parts are in canonical order."""

    name: str
    title: str
    folder: Path
    axis: Axis
    tables: tuple[AssetTable, ...]
    nodes: tuple[Node, ...]
    commitments: tuple[Commitment, ...]
    pins: tuple[Pin, ...]
    rules: tuple[LinearRule, ...]
    target: Target
    sources: Mapping[str, str]
    """File, relative to the folder → SHA-256."""
    notes: tuple[str, ...]
    """What the user should know though nothing is wrong."""
    limits_in: Mapping[str, str]
    """``node.ID.KEY`` of a limit that is no plain number of the TOML → where it is written instead."""
    document: Mapping[str, Any]
    """The scenario's values with overlays and settings merged in."""
    rule_code: tuple[tuple[Path, Any], ...] = field(default=(), repr=False)
    objective: Objective = field(default_factory=Objective)
    resumed: Resumed | None = field(default=None, repr=False)
    """What was taken from the run that this one continues."""

    @property
    def ids(self) -> frozenset[str]:
        """Every asset, also those that are not there within the horizon."""
        return frozenset(name for table in self.tables for name in table.ids)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Assets of equal structure; those that are not there within the horizon are left out."""
        return groups_of(self.tables, [node.id for node in self.nodes], self.axis)

    @cached_property
    def inputs(self) -> Inputs:
        """What is to be planned. Terms on assets that are not there within the horizon are left out."""
        here = {name for group in self.groups for name in group.ids}
        commitments = []
        for c in self.commitments:
            flows = tuple(f for f in c.flows if f.asset is None or f.asset in here)
            if flows:
                commitments.append(c if flows == c.flows else dataclasses.replace(c, flows=flows))
        inputs = Inputs(self.axis, self.nodes, self.groups, tuple(commitments), self.pins, self.rules, self.target)
        return self.objective.on(with_outages(inputs))

    def with_tables(self, tables: Iterable[AssetTable]) -> Scenario:
        """The same scenario with other user columns, for instance one parameter changed by ten per cent."""
        changed = dataclasses.replace(self, tables=tuple(sorted(tables, key=lambda t: t.family.name)))
        if not self.rule_code:
            return changed
        report = Report()
        rules = _run_rules(self.rule_code, changed, report, changed.ids)
        report.stop()
        return dataclasses.replace(changed, rules=rules)


def load(
    path: str | Path,
    *,
    overlays: Sequence[str | Path] = (),
    sets: Sequence[str] = (),
    day: date | None = None,
    before: Before | None = None,
) -> Scenario:
    """The scenario at a path, or a shipped one by name.

    ``overlays``: further TOML files laid over it, looked for in the scenario's folder too; ``sets``:
    ``asset.bat-a.power_kw=5``; ``day``: the first day instead of the scenario's; ``before``: the run whose plan says
    how everything starts. ScenarioError has every mistake.
    """
    file = find(path)
    report = Report()
    document = read_document(file, [_overlay(Path(o), file.parent) for o in overlays], sets, report)
    scenario = _build(document, file, report, day, before)
    report.stop()
    assert scenario is not None
    return scenario


def _overlay(path: Path, folder: Path) -> Path:
    """An overlay as the user names it, or, where there is none, of that name in the scenario's own folder."""
    beside = folder / path
    return beside if not path.exists() and beside.exists() else path


def check(
    path: str | Path,
    *,
    overlays: Sequence[str | Path] = (),
    sets: Sequence[str] = (),
    day: date | None = None,
) -> list[Mistake]:
    """Every mistake of a scenario, in order of file and line; what is worth a warning is in ``load(...).notes``."""
    try:
        load(path, overlays=overlays, sets=sets, day=day)
    except ScenarioError as error:
        return error.mistakes
    return []


# --- building --------------------------------------------------------------------------------------------------------


def _build(document: Document, file: Path, report: Report, day: date | None, before: Before | None) -> Scenario | None:
    """The scenario, or None with its mistakes in the report. Goes on after a mistake as far as it can."""
    said = read_sections(document, report)
    axis = build_axis(said.horizon, document, report, day=day) if said.horizon else None
    book = _book(said, axis, document, report)
    node_entries = read_nodes(document, said.raw["node"], said.single["nodes"], report)
    take_out(node_entries, document, "node", report)
    if not node_entries and not report.mistakes:
        report.add((shown(file), None), "no-nodes")
    carriers = carriers_of(node_entries, report)
    entries = read_entries(document, said.raw["asset"], said.families, book.axis, report)
    written = frozenset(entry.id for some in entries.values() for entry in some)
    take_out({entry.id: entry for some in entries.values() for entry in some}, document, "asset", report)
    members = each_day(entries, book.axis, report)
    resumed = resume(entries, before, axis, report) if before and axis else None
    if resumed:
        document.note_source(resumed.before.folder, str(resumed.before.summary.get("hash")))
        members |= {name: (*({name} - resumed.over), *rests) for name, rests in resumed.rests.items()}
    everyone = [*node_entries.values(), *(entry for some in entries.values() for entry in some)]
    book.want({v for entry in everyone for v in entry.values.values() if isinstance(v, str)})

    nodes, priced = build_nodes(node_entries, carriers, book, report)
    built = [build_table(name, some, carriers, book, report) for name, some in sorted(entries.items())]
    tables = tuple(table for table in built if table is not None)
    by_id = {entry.id: entry for some in entries.values() for entry in some}
    written |= frozenset(by_id)
    context = Context(document, book, report, carriers, places_of(tables), written, members, resumed)
    commitments = [*build_commitments(said.raw["commitment"], context), *priced]
    objective = build_objective(said.single["objective"], said.raw["commitment"], nodes, context)
    there = presence(tables, book.axis)
    check_devices(tables, by_id, there, report)
    groups = () if axis is None else _groups(tables, sorted(node_entries), axis, report)
    where_is = {name: group for group in groups for name in group.ids}
    district = District(where_is, there, written, members, book.axis, document, report)
    pins = build_pins(said.lists["pin"], said.lists["outage"], district)
    rule_code = _rule_code(said, document, report)
    solve = read_model(schema.Solve, said.single["solve"], "solve", document.place("solve"), report)
    if report.mistakes or axis is None:
        return None
    kinds = {name: str(terms.get("kind")) for name, terms in said.raw["commitment"].items()}
    note_implausible(Said(nodes, tables, commitments, kinds, by_id, document), report)
    name = file.resolve().parent.name if file.name == SCENARIO_FILE else file.stem
    scenario = Scenario(
        name,
        said.title or name,
        file.parent,
        axis,
        tables,
        nodes,
        tuple(sorted(commitments, key=lambda c: c.id)),
        pins,
        (),
        Target(**solve.model_dump()),
        dict(sorted(document.sources.items())),
        (),
        limits_in(node_entries, book),
        document.data,
        rule_code,
        objective,
        resumed,
    )
    rules = _run_rules(rule_code, scenario, report, written)
    notes = tuple(report.notes) + _family_notes(tables, axis)
    return dataclasses.replace(scenario, rules=rules, notes=notes)


def _book(said: Sections, axis: Axis | None, document: Document, report: Report) -> Book:
    book = Book(axis or STAND_IN, document, report, readable=axis is not None)
    book.add_files(said.series)
    book.add_generated(said.raw["generate"])
    book.add_schedules(said.schedule)
    return book


def _groups(tables: Iterable[AssetTable], nodes: Sequence[str], axis: Axis, report: Report) -> tuple[Group, ...]:
    """Groups for pins to look into; among mistakes, zeros stand for values that are wrong."""
    with np.errstate(all="ignore" if report.mistakes else "warn"):
        return groups_of(tables, nodes, axis)


def _family_notes(tables: Iterable[AssetTable], axis: Axis) -> tuple[str, ...]:
    """What families say about their assets."""
    return tuple(
        f"asset {table.ids[k]}: {words}"
        for table in tables
        for k, words in table.family.prepare(table.user, axis).notes
    )


# --- rules -----------------------------------------------------------------------------------------------------------


def _rule_code(said: Sections, document: Document, report: Report) -> tuple[tuple[Path, Any], ...]:
    """Every rule file, compiled but not run."""
    found = []
    for k, values in enumerate(said.lists["rule"]):
        rule = read_model(schema.RuleFile, values, f"rule {k + 1}", document.place("rule", k), report)
        if rule is None:
            continue
        from gridopt.scenario.rules import read_rule_file

        path = document.folder_of("rule", k, "file") / rule.file
        code = read_rule_file(document, path, document.place("rule", k, "file"), report)
        if code is not None:
            found.append((path, code))
    return tuple(found)


def _run_rules(
    code: Sequence[tuple[Path, Any]], scenario: Scenario, report: Report, written: frozenset[str]
) -> tuple[LinearRule, ...]:
    """The rules of every file, sorted by name: order of writing must not change the plan."""
    if not code:
        return ()
    from gridopt.scenario.rules import RuleModel, run_rules

    found: list[LinearRule] = []
    for path, compiled in code:
        found += run_rules(path, compiled, RuleModel(scenario.axis, scenario.nodes, scenario.groups, written), report)
    return tuple(sorted(found, key=lambda r: (r.name, r.terms, r.low, r.high)))
