"""The modelling reference: what a device family is, taken from its class and its docstring as they stand.

``describe`` gives a family's facts as one JSON-ready document, ``page`` the same as Markdown for people, ``index`` one
line for each family, by carrier. Nothing is written here that the code does not say: a page cannot grow stale.

The docstring of a family is, in this order: a summary in one paragraph; paragraphs, of which those with a numbered
line ``(1)``, and those that are indented, are equations and keep their lines; then the sections of ``SECTIONS``, each a
word at the margin, two spaces or more, and text whose further lines are indented. What a family leaves out of
``INHERITED``, and equations, its parent says for it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import takewhile
from typing import Any

import numpy as np

from gridopt.assets import FAMILY_NAMES, family
from gridopt.assets.base import Decision, Exclusive, Family, Parameter, SemiContinuous
from gridopt.report.example import example
from gridopt.units import unit_of

SECTIONS = ("Ports", "Variables", "Rows", "Decisions", "Short of", "Assumes", "Source", "Cases")
INHERITED = ("Variables", "Rows", "Decisions", "Short of")
BETWEEN = "between carriers"

_SECTION = re.compile(rf"^({'|'.join(SECTIONS)})\s\s+(.*)$")
_NUMBERED = re.compile(r"\(\d+\)\s*$", re.MULTILINE)
_PORT = re.compile(r"(\w+) \([^()]*\): ")
_MODULE = re.compile(r"\bgridopt\.assets\.(\w+)")
_KINDS = {"scalar": "number", "flag": "true or false", "choice": "one of", "list": "numbers in a row"}
_TAKES = {"power": "a power", "limit": "an upper limit", "current": "a current", "on_off": "on or off"}
_TAKES |= {"mode": "a mode", "temperature": "a temperature"}
_NOTE = """\
A unit stands at the end of the name. `series`: a number, or the name of a column, a schedule or a generated series.
`time`: an instant or a time of the horizon's days (`07:30`, `D+1 07:30`). Further keys: `control = "none"` for a
device that takes no setpoint, `device` for its name where its setpoints are sent."""


@dataclass(frozen=True)
class Docs:
    """A docstring, taken apart. ``body``: the paragraphs after the summary; ``sections``: word → its text in a line."""

    summary: str
    body: tuple[str, ...]
    sections: dict[str, str]

    @property
    def about(self) -> tuple[str, ...]:
        return tuple(p for p in self.body if not _is_formula(p))

    @property
    def equations(self) -> tuple[str, ...]:
        return tuple(p for p in self.body if _is_formula(p))


def read_docstring(text: str) -> Docs:
    """The parts of a family's docstring, or of a module's that families share."""
    lines = inspect.cleandoc(text).splitlines()
    head = list(takewhile(lambda line: not _SECTION.match(line), lines))
    paragraphs = re.split(r"\n\s*\n", "\n".join(head).strip())
    sections: dict[str, str] = {}
    word = ""
    for line in lines[len(head) :]:
        found = _SECTION.match(line)
        word, said = found.groups() if found else (word, line)
        sections[word] = f"{sections.get(word, '')} {said.strip()}".strip()
    return Docs(
        _one_line(paragraphs[0]),
        tuple(p.replace("``", "") if _is_formula(p) else _one_line(p) for p in paragraphs[1:]),
        {word: _one_line(said) for word, said in sections.items()},
    )


def _is_formula(paragraph: str) -> bool:
    """Whether a paragraph keeps its lines: one of them is numbered, or it is indented."""
    return bool(_NUMBERED.search(paragraph)) or paragraph.startswith(" ")


def _one_line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def docs_of(cls: type[Family]) -> Docs:
    """A family's own docstring."""
    return read_docstring(vars(cls).get("__doc__") or "")


def ports_said(docs: Docs) -> dict[str, str]:
    """Port → what its power is, as the section ``Ports`` has it."""
    said = docs.sections.get("Ports", "").removesuffix("[kW]")
    found = list(_PORT.finditer(said))
    ends = [*(m.start() for m in found), len(said)][1:]
    return {m[1]: said[m.end() : end].strip(" ;") for m, end in zip(found, ends, strict=True)}


def parents(cls: type[Family]) -> list[type[Family]]:
    """The families that a family is made from, the nearest first."""
    return [c for c in cls.__mro__[1:] if issubclass(c, Family) and "name" in vars(c)]


def rule_said(cls: type[Family]) -> str:
    """What the docstring of the family's baseline rule says; "" where it has no rule, or says nothing."""
    for c in cls.__mro__:
        if "rule" in vars(c):
            return "" if c is Family else _one_line(vars(c)["rule"].__func__.__doc__ or "")
    return ""


def carriers(cls: type[Family]) -> tuple[str, ...]:
    """What flows through a family's ports, in their order; ("any",) stands for a port that takes any carrier."""
    return tuple(dict.fromkeys(" or ".join(port.carriers) or "any" for port in cls.ports))


# --- one document ----------------------------------------------------------------------------------------------------


def describe(name: str) -> dict[str, Any]:
    """Everything about a family as data, JSON-ready: what is open (a range, a default) is None."""
    cls = family(name)
    docs = docs_of(cls)
    power = ports_said(docs)
    return {
        "family": name,
        "summary": docs.summary,
        "about": list(docs.about),
        "equations": [{"of": of, "text": text} for of, text in _equations(cls, docs)],
        "ports": [
            {"name": p.name, "carriers": list(p.carriers), "key": p.parameter, "power": power.get(p.name, "")}
            for p in cls.ports
        ],
        "parameters": [_parameter(p) for p in cls.parameters],
        "ordered": [list(pair) for pair in cls.ordered],
        "commands": _with_units(cls.commands),
        "states": _with_units(cls.states),
        "decisions": [_decision(d) for d in cls.decisions],
        "costs": [{"name": c.name, "kind": c.kind, "doc": c.doc} for c in cls.costs],
        "shortfalls": [
            {"name": s, "unit": unit_of(s), "goal": cls.shortfalls.get(s, ""), "emergency": s in cls.emergencies}
            for s in dict.fromkeys([*cls.shortfalls, *cls.emergencies])
        ],
        "forecasts": dict(cls.forecasts),
        "control": cls.control,
        "setpoint": cls.setpoint,
        "setpoint_note": _one_line(vars(cls)["told"].__func__.__doc__ or "") if "told" in vars(cls) else "",
        "rule": rule_said(cls),
        "sections": dict(_sections(cls, docs)),
        "example": example(cls),
    }


def _parameter(p: Parameter) -> dict[str, Any]:
    default = list(p.default) if p.kind == "list" and p.default is not None else p.default
    return {
        "name": p.name,
        "doc": p.doc,
        "unit": unit_of(p.name),
        "kind": p.kind,
        "required": p.required,
        "default": default,
        "minimum": p.minimum if np.isfinite(p.minimum) else None,
        "maximum": p.maximum if np.isfinite(p.maximum) else None,
        "choices": list(p.choices),
    }


def _with_units(names: Iterable[str]) -> list[dict[str, str]]:
    return [{"name": name, "unit": unit_of(name)} for name in names]


def _decision(d: Decision) -> str:
    if isinstance(d, Exclusive):
        return f"`{d.first}` and `{d.second}` are never both above zero"
    size = "large: decided by the search" if d.large else "small: rounded from the relaxation"
    if isinstance(d, SemiContinuous):
        return f"`{d.variable}` is zero, or at least `{d.minimum}`; {size}"
    return f"`{d.variable}` is 0 or 1{', at most once 1' if d.one_of else ''}; {size}"


def _equations(cls: type[Family], docs: Docs) -> Iterator[tuple[str, str]]:
    """(whose, text): the family's own or else its parent's, and those of the modules that they name."""
    own, of = docs, ""
    for parent in parents(cls):
        if own.equations:
            break
        own, of = docs_of(parent), parent.name
    yield from ((of, text) for text in own.equations)
    for module in dict.fromkeys(_MODULE.findall("\n".join(own.equations))):
        shared = read_docstring(import_module(f"gridopt.assets.{module}").__doc__ or "")
        yield from ((f"gridopt.assets.{module}", text) for text in (shared.summary, *shared.body))


def _sections(cls: type[Family], docs: Docs) -> Iterator[tuple[str, str]]:
    for word in SECTIONS[1:]:
        if word in docs.sections:
            yield word, docs.sections[word]
        elif word in INHERITED:
            for parent in parents(cls):
                said = docs_of(parent).sections.get(word)
                if said:
                    yield word, f"As in `{parent.name}`: {said}"
                    break


# --- pages -----------------------------------------------------------------------------------------------------------


def page(name: str, golden: Sequence[str] = ()) -> str:
    """A family's page as Markdown. ``golden``: lines about its golden cases, where there are files to point to."""
    d = describe(name)
    parts = [f"# {name}", d["summary"], *d["about"], *_equation_parts(d)]
    parts += ["## Ports", *_ports(d), "## Parameters", _parameters(d), _NOTE]
    parts += [f"`{low}` may not lie above `{high}`." for low, high in d["ordered"]]
    parts += ["## Variables", *_variables(d), "## Decisions", *_decisions(d)]
    parts += ["## Costs", *_costs(d), "## Shortfalls", *_shortfalls(d), "## Control", *_control(d)]
    for title, word in (("Assumptions", "Assumes"), ("Source", "Source"), ("Checked by", "Cases")):
        if word in d["sections"]:
            parts += [f"## {title}", _sentence(d["sections"][word])]
    if golden:
        parts += ["## Golden cases", "\n".join(f"- {line}" for line in golden)]
    parts += ["## Example", "A whole scenario: `gridopt run` plans it as it stands.", f"```toml\n{d['example']}```"]
    return "\n\n".join(parts) + "\n"


def index() -> list[dict[str, Any]]:
    """One entry for each family, by group: a carrier, or what joins several; electricity and heat first."""
    found = []
    for name in sorted(FAMILY_NAMES):
        cls = family(name)
        flows = carriers(cls)
        group = flows[0] if len(flows) == 1 and flows[0] != "any" else BETWEEN
        line = docs_of(cls).summary.partition(": ")[0].removesuffix(".")
        found.append({"family": name, "group": group, "carriers": list(flows), "summary": line})
    order = ("electricity", "heat")
    found.sort(key=lambda f: (f["group"] == BETWEEN, f["group"] not in order, f["group"], f["family"]))
    return found


def _equation_parts(d: dict[str, Any]) -> Iterator[str]:
    of = None
    for said in d["equations"]:
        if said["of"] != of:
            of = said["of"]
            yield "## Equations" + (f" of `{of}`" if of else "")
        yield f"```text\n{said['text']}\n```" if _is_formula(said["text"]) else said["text"]


def _ports(d: dict[str, Any]) -> Iterator[str]:
    yield _table(
        ["port", "carrier", "key", "power drawn [kW]"],
        [
            [p["name"], " or ".join(p["carriers"]) or "any", f"`{p['key']}`", f"`{p['power']}`" if p["power"] else ""]
            for p in d["ports"]
        ],
    )
    yield "The key names the node that the port sits on. Power above zero draws from the node, below zero feeds in."


def _parameters(d: dict[str, Any]) -> str:
    rows = [
        [f"`{p['name']}`", p["doc"], p["unit"], _default(p), _range(p), _KINDS.get(p["kind"], p["kind"])]
        for p in d["parameters"]
    ]
    return _table(["parameter", "meaning", "unit", "default", "range", "kind"], rows)


def _default(p: dict[str, Any]) -> str:
    if p["required"]:
        return "**required**"
    match p["default"]:
        case None:
            return "may be absent"
        case bool(value):
            return str(value).lower()
        case int(value) | float(value):
            return f"{value:.10g}"
        case list(values):
            return ", ".join(f"{v:g}" for v in values) or "none"
        case value:
            return str(value)


def _range(p: dict[str, Any]) -> str:
    low, high = p["minimum"], p["maximum"]
    if p["choices"]:
        return ", ".join(p["choices"])
    if low is not None and high is not None:
        return f"{low:.10g} … {high:.10g}"
    return f"≥ {low:.10g}" if low is not None else f"≤ {high:.10g}" if high is not None else ""


def _variables(d: dict[str, Any]) -> Iterator[str]:
    if "Variables" in d["sections"]:
        yield _sentence(d["sections"]["Variables"])
    if "Rows" in d["sections"]:
        yield f"Rows: {_sentence(d['sections']['Rows'])}"
    yield f"Commands, which a plan sets and `[[pin]]` may hold: {_names(d['commands'])}."
    yield f"States, at the end of each step: {_names(d['states'])}."


def _names(those: list[dict[str, str]]) -> str:
    return ", ".join(f"`{v['name']}`" + (f" [{v['unit']}]" if v["unit"] else "") for v in those) or "none"


def _decisions(d: dict[str, Any]) -> Iterator[str]:
    said = d["sections"].get("Decisions", "none")
    yield _sentence(said if said != "none" else "None: the linear programme is exact")
    if d["decisions"]:
        yield "\n".join(f"- {line}" for line in d["decisions"])


def _costs(d: dict[str, Any]) -> Iterator[str]:
    rows = [[f"`{c['name']}`", c["kind"], c["doc"]] for c in d["costs"]]
    none = "None of its own: energy is priced at the nodes."
    yield _table(["cost [EUR]", "kind", "what it is"], rows) if rows else none


def _shortfalls(d: dict[str, Any]) -> Iterator[str]:
    if "Short of" in d["sections"]:
        yield _sentence(d["sections"]["Short of"])
    rows = [
        [f"`{s['name']}`", s["unit"], s["goal"], "emergency: minimised before money" if s["emergency"] else "priced"]
        for s in d["shortfalls"]
    ]
    yield _table(["variable", "unit", "goal missed", "weight"], rows) if rows else "None."


def _control(d: dict[str, Any]) -> Iterator[str]:
    takes = _TAKES.get(d["control"])
    yield f"Its device takes {takes}: `{d['setpoint']}` becomes the setpoint." if takes else "It takes no setpoint."
    if d["setpoint_note"]:
        yield d["setpoint_note"]
    yield f"Without a plan: {_sentence(d['rule'] or 'the same, for there is nothing to set')}"
    if d["forecasts"]:
        said = ", ".join(f"{words} (`{name}`)" for name, words in d["forecasts"].items())
        yield f"Forecast: {said}. `gridopt explain` says what an error of it would cost."


def _sentence(text: str) -> str:
    """With a full stop, and a capital where it begins with a word: ``charge_kw[T]`` and ``on[T]`` are names."""
    said = text if text.endswith((".", ")")) else f"{text}."
    return said[0].upper() + said[1:] if re.match(r"[a-z]+[ ,:]", said) else said


def _table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table whose columns also line up as plain text."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])
