"""What can be wrong with a scenario, in words: code → text. Fields are data, so another language is another table.

``Report`` collects every mistake and every note before anything stops. Nothing here knows TOML or pydantic.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from typing import Any

from gridopt.errors import Mistake, ScenarioError
from gridopt.units import unit_of

Place = tuple[str, int | None]
"""File as the user knows it, and line."""

Where = Place | Callable[[], Place]
"""A place, or how to find it: lines are looked up only when there is something to say."""

MESSAGES: dict[str, str] = {
    # files
    "no-file": "there is no file {name}{hint}",
    "no-scenario": "no scenario of this name{hint}",
    "no-path": "no such file or folder{hint}",
    "no-scenario-file": "this folder holds no scenario.toml{hint}",
    "is-folder": "{name} is a folder; a file is needed",
    "unreadable": "{name} cannot be read: {reason}",
    "bad-name": "a scenario's name may hold letters, digits, - and _ only",
    "exists": "it exists already; choose another name",
    "unwritable": "it cannot be written: {reason}",
    "not-utf8": "the text is not UTF-8; save the file as UTF-8",
    "not-sheet-text": "this is no text in UTF-8 or Windows-1252; save the file as CSV in UTF-8",
    "empty-file": "the file is empty{hint}",
    "toml-syntax": "not valid TOML: {reason}{hint}",
    "format-missing": "format is missing; write format = 1 at the top",
    "format-unknown": "format {value} is not known; this gridopt reads format 1",
    "set-syntax": "write --set path.to.key=value",
    "set-path": "{path} is not a table, so {key} cannot be set in it",
    # keys and values
    "unknown-section": "unknown section {key}{hint}",
    "not-table": "{where}: {key} must be a table, not {value}",
    "not-section": "{key} must be a table, not {value}; write {example}",
    "not-section-list": "{key} must be a list of tables, not {value}; write {example}",
    "unknown-key": "{where}: unknown key {key}{hint}",
    "missing-key": "{where}: {key} is missing: {doc}",
    "missing-column": "{where}: the column {key} is missing: {doc}",
    "not-number": "{where}: {key} {value} is not a number{hint}",
    "not-whole": "{where}: {key} {value} is not a whole number",
    "not-finite": "{where}: {key} {value} is not a finite number; write one of at most {most}",
    "too-big": "{where}: {key} {value} is larger than anything in a district; write at most {most}{hint}",
    "out-of-range": "{where}: {key} {value} is not within {low}..{high}{hint}",
    "too-small": "{where}: {key} {value} is less than {low}",
    "too-large": "{where}: {key} {value} is more than {high}",
    "not-series": "{where}: {key} {value} is neither a number nor the name of a series{hint}",
    "not-text": "{where}: {key} {value} is not a text; write it in quotes",
    "not-flag": "{where}: {key} {value} is neither true nor false",
    "not-choice": "{where}: {key} {value} is not one of {choices}{hint}",
    "only-choice": "{where}: {key} {value} can only be {choice}",
    "not-list": "{where}: {key} {value} is not a list; write it in square brackets",
    "not-numbers": '{where}: {key} {value} is not a list of numbers; write [0.5, 1.2], or "0.5;1.2" in a table file',
    "not-moment": "{where}: {key} {value} is not a time; write 2026-01-15T07:30, 07:30 (the first day) or D+1 07:30",
    "no-such-time": "{where}: {key} {value} does not exist in {zone}: clocks go forward over it",
    "not-clock": "{where}: {key} {value} is not a time of day; write 07:30 (24:00 ends the day)",
    "not-days": '{where}: {key} {value} is not a list of days; write "mon-fri", "sat,sun" or "all"',
    "not-daily": "{where}: with days, {key} is a time of day, not {value}; write 07:30 (24:00 ends the day)",
    "bad-id": "{where}: the id may hold letters, digits, - and _ only; write {mend}",
    "one-of": "{where}: give exactly one of {keys}",
    "pin-range": "{where}: {quantity} = {value} is beyond what {asset} can do at {when}, {low}..{high}",
    "device-twice": "{where}: device {value} takes its {control} from {other} already at that time; name another, or "
    'write control = "none" for one of the two',
    "crossed": "{where}: {low} lies above {high}",
    "either": "{where}: give {choices}",
    "order": "{where}: to {to} does not lie after from {start}",
    # horizon
    "no-start": 'horizon: start is missing; write start = "2026-01-15", or name a day when you run it',
    "days-or-hours": "horizon: give days or hours, not both",
    "unknown-zone": "{where}: {key} {value} is not a known time zone{hint}",
    "not-start": "{where}: {key} {value} is neither a day nor an instant; write 2026-01-15 or 2026-01-15T06:00",
    "start-off-step": "horizon: start {value} does not lie on a whole step of {step_min} min",
    "hours-off-step": "horizon: hours {value} is not a whole number of steps of {step_min} min",
    # tables
    "table-syntax": "{reason}{hint}",
    "row-cells": "the row has {found} cells, the header {expected}{hint}",
    "no-rows": "the table has no rows",
    "twice-column": "the column {key} stands twice in the header",
    "unknown-column": "{where}: unknown column {key}{hint}",
    "no-id": "{where}: the id is missing",
    "twice": "{where}: the id stands already at {first}{hint}",
    "alike": "{first}; the same in {more} more rows{following}",
    # nodes and assets
    "no-nodes": 'the scenario has no nodes; write [node.grid] with carrier = "electricity"',
    "unknown-node": "{where}: {key} {value} is not a node{hint}",
    "unknown-family": "{where}: family {value} does not exist{hint}",
    "unknown-asset": "{where}: {key} {value} is not an asset{hint}",
    "no-family": "{where}: family is missing: {hint}",
    "own-parent": "{where}: the node is its own parent through {chain}",
    "parent-carrier": "{where}: carries {carrier}, but its parent {parent} carries {other}",
    "port-carrier": "{where}: {key} {value} carries {carrier}; the port {port} needs {needed}{hint}",
    "reserve-too-large": "{where}: reserve_kw {reserve:g} is more than {key} {limit:g} ({when})",
    "breach-without-limit": "{where}: breach_eur_per_kwh prices a limit, but there is none; add import_max_kw",
    # series
    "unknown-series": "{where}: {key} {value} is not a series{hint}",
    "series-unit": "{where}: {key} is in {wanted}, but the series {value} is in {found}{hint}",
    "twice-series": "series {key}: the name stands already in {first}; rename one of them",
    "no-time-column": "the column {key} with the start of each interval is missing{hint}",
    "no-columns": "the file holds no column beside {key}",
    "bad-time": "the time {value} cannot be read; write 2026-01-15T07:30:00Z, or in local time 2026-01-15T07:30 or "
    "15/01/2026 07:30, day first",
    "no-such-stamp": "the time {value} does not exist in {zone}: clocks go forward over it",
    "mixed-time": "the time {value} {has} an offset from UTC, unlike the first one; write all of them alike",
    "missing-time": "the time is missing",
    "twice-time": "the time {value} stands twice (first in line {first})",
    "off-step-time": "the time {value} comes {found:g} min after the one before, while the others are {step} min apart",
    "one-time": "the file has a single time, so the length of its intervals is unknown; add the next one",
    "bad-cell": "column {key}: {value} is not a number{hint}",
    "wild-cell": "column {key}: {value:g} is no number of a district; write at most {most}, or leave the cell empty",
    "series-gap": "column {key}: {lacking} of {steps} steps have no value, the first at {first}; {covers}",
    "series-range": "{where}: {key}: the series {value} is {found:g} at {when}, {range}",
    "generated": "{where}: {reason}",
    "unknown-kind": "{where}: kind {value} does not exist{hint}",
    # commitments
    "windows-overlap": "{where}: windows {first} and {second} overlap; write another commitment: a step counts once",
    "no-port": "{where}: {key} {value} has no port on an electricity node",
    "no-run": "{where}: run {value} is no run folder; name one that an earlier `gridopt run … --out` left",
    "bad-run": "{where}: run {value}: {reason}",
    # pins, outages, rules
    "unknown-quantity": "{where}: {value} is not a variable of {asset} ({family}){hint}",
    "pins-differ": "{where}: pin {other} holds {value} of {asset} at another value over the same time",
    "no-command": "{where}: {asset} ({family}) has nothing that could be held at zero{hint}",
    "rule-syntax": "rule: {reason}",
    "rule-none": "rule: the file has no function whose name starts with rule_",
    "rule-empty": "rule {rule}: it gives no constraint; write yield or return before the expression",
    "rule-error": "rule {rule}: {reason}",
    "rule-nonlinear": "rule {rule}: {term} is not linear; add, subtract and scale variables only",
    "rule-strict": "rule {rule}: a solver cannot tell < from <=; write <= or >=",
    "rule-number": "rule {rule}: {value} holds a number that is not finite, or larger than {most}",
    "rule-false": "rule {rule}: a constraint without variables that never holds",
    "rule-not-constraint": "rule {rule}: {value} is not a constraint; yield an expression with <=, >= or ==",
    # notes
    "unpriced": "{where}: what is drawn from outside costs nothing; add [commitment.supply] with node = {value}",
    "unpriced-part": "{where}: energy from outside reaches {who} free of charge: the price on {prices} holds for what "
    "passes there only; add [commitment.supply] with node = {value}",
    "dear": "{where}: {key} reaches {most:g} EUR/kWh; is it in EUR/MWh?",
    "above-limit": "{where}: draws at least {least:g} kW at every step, where node {node} may import {limit:g} kW; "
    "check the units{more}",
    "slow-store": "{where}: {capacity:g} kWh take {hours:.0f} h to fill at {power:g} kW; is it in Wh?{more}",
    "big-car": "{where}: {energy:g} kWh are more than a car holds; is it in Wh?{more}",
    "first-day": "{where}: {value} is on the first day only; the horizon has {days} days (the next is D+1 {value}, and "
    'days = "all" means every day)',
    "pin-over-outage": "{where}: {asset} is out of service and pinned at once; the pin, a person's word, is kept",
    "outside": "{where}: lies outside the horizon and is left out",
    "absent": "{where}: nothing is held: {asset} is not there then{span}",
    "partly-there": "{where}: {asset} is there {span} only; nothing is held outside",
    "window-edge": "{where}: {key} {value} lies inside a step of {step_min} min; the whole step counts",
    "sheet": "read with {ways}",
    "day-first": "dates are read day first, the French way: {value} is {meaning}",
    "converted": "the series {value} is in {found}; it is multiplied by {factor:g} to give {wanted}",
    "not-announced": "{where}: {run} says nothing of {value}",
}


MOST_ALIKE = 3
DATA_FILES = (".csv", ".parquet")


class Report:
    """Mistakes and notes found so far."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.notes: list[str] = []
        self._seen: set[str] = set()

    def add(self, place: Where, code: str, **fields: Any) -> None:
        """One more mistake. The same one on the same line counts once: a default is wrong once, not for every asset."""
        file, line = place() if callable(place) else place
        key = repr((file, line, code, {k: v for k, v in fields.items() if k != "where" or line is None}))
        if key not in self._seen:
            self._seen.add(key)
            self.mistakes.append(Mistake(file, line, code, MESSAGES[code].format(**fields), fields))

    def note(self, place: Where, code: str, **fields: Any) -> None:
        """Something the user should know, though nothing is wrong."""
        file, line = place() if callable(place) else place
        text = str(Mistake(file, line, code, MESSAGES[code].format(**fields)))
        if text not in self.notes:
            self.notes.append(text)

    def stop(self) -> None:
        """Raises ScenarioError when there is any mistake; many alike in the rows of one file become one."""
        if self.mistakes:
            raise ScenarioError(_collapsed(self.mistakes))


def _collapsed(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """More than three of one kind about one column of a file of data: the first, how many more, the next two lines."""
    alike: dict[tuple[Any, ...], list[Mistake]] = {}
    for m in mistakes:
        column = (m.fields.get("key"),) if m.file.endswith(DATA_FILES) else (m.line, m.message)
        alike.setdefault((m.file, m.code, *column), []).append(m)
    found: list[Mistake] = []
    for same in alike.values():
        if len(same) <= MOST_ALIKE:
            found += same
            continue
        first, *rest = sorted(same, key=lambda m: m.line or 0)
        lines = [str(m.line) for m in rest[: MOST_ALIKE - 1] if m.line is not None]
        following = f", the next in lines {' and '.join(lines)}" if lines else ""
        fields = {"first": first.message, "code": first.code, "more": len(rest), "following": following}
        message = MESSAGES["alike"].format(**fields)
        found.append(Mistake(first.file, first.line, "alike", message, fields))
    return found


# --- words for hints -------------------------------------------------------------------------------------------------

MANY = 12
FOREIGN_UNITS: dict[str, str] = {
    "_eur_per_mwh": "EUR/MWh",
    "_kwh_per_h": "kWh/h",
    "_mwh": "MWh",
    "_kva": "kVA",
    "_mw": "MW",
    "_wh": "Wh",
    "_va": "VA",
    "_w": "W",
    "_kwp": "kWp",
    "_percent": "%",
    "_pct": "%",
}
"""Units of the trade that gridopt does not take as they are. Longest first: ``_eur_per_mwh`` is not ``_mwh``."""


def foreign_unit(name: str) -> str:
    """Unit of a name that ends with a unit gridopt does not take; '' for any other."""
    return next((unit for suffix, unit in FOREIGN_UNITS.items() if name.endswith(suffix)), "")


def quoted(value: Any) -> str:
    """A value as it would stand in TOML, cut when long."""
    match value:
        case bool():
            text = "true" if value else "false"
        case str():
            text = '"' + value + '"'
        case datetime() | date() | time():
            text = value.isoformat()
        case dict():
            text = "{…}"
        case list():
            text = "[" + ", ".join(quoted(item) for item in value) + "]"
        case float() if value.is_integer() and abs(value) < 1e15:
            text = str(int(value))
        case _:
            text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"


def told(place: Place) -> str:
    """``scenario.toml:12``."""
    file, line = place
    return file if line is None else f"{file}:{line}"


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def some(names: Iterable[str], most: int = 3) -> str:
    """The first few names in order, and how many more there are."""
    known = sorted(set(names))
    rest = len(known) - most
    return listed(known[:most]) + (f" and {rest} more" if rest > 0 else "")


def nearest(name: str, known: Iterable[str], alike: float = 0.6) -> str | None:
    """The known name most like the one written, or None when nothing comes close."""
    names = sorted(known)
    lower = {n.lower(): n for n in reversed(names)}
    found = difflib.get_close_matches(name.lower(), sorted(lower), n=1, cutoff=alike)
    return lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str], what: str = "it takes") -> str:
    """``; did you mean bat-a?``, else the short list of what there is, else nothing."""
    names = sorted(known)
    close = nearest(name, names)
    if close:
        return f"; did you mean {close}?"
    if not names:
        return "; there is none"
    if len(names) == 1:
        return f"; there is only {names[0]}"
    return f"; {what} {listed(names)}" if len(names) <= MANY else ""


def key_hint(key: str, known: Iterable[str]) -> str:
    """As ``did_you_mean``, and first of all the same quantity in another unit: power_w → power_kw, in kW."""
    names = sorted(known)
    stem = _stem(key)
    for name in names:
        if stem and name != key and _stem(name) == stem and unit_of(name) and name != stem:
            return f"; did you mean {name}? Write the value in {unit_of(name)}"
    return did_you_mean(key, names)


def _stem(name: str) -> str:
    """A name without the unit at its end."""
    for suffix in FOREIGN_UNITS:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    unit = unit_of(name)
    if not unit or unit == "min":  # soc_min is an edge, not minutes
        return name
    parts = name.split("_")
    return next(
        ("_".join(parts[:k]) for k in range(len(parts) - 1, 0, -1) if unit_of("_" + "_".join(parts[k:])) == unit), name
    )


def doc_with_unit(name: str, doc: str) -> str:
    """``largest power [kW]``; an edge such as soc_min is not minutes."""
    unit = unit_of(name)
    return f"{doc} [{unit}]" if unit and unit != "min" else doc
