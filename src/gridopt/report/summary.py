"""A plan on the terminal: how good it is, what it costs, the day in bars, what binds, what falls short.

Everything is read from a ``Run`` and its Inputs, so a plan just made and one read back look the same. It fits 80
columns and says all it says without colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gridopt.assets.base import Floats
from gridopt.model.inputs import Inputs
from gridopt.report.bars import ASCII, BLOCKS, NOTHING, bar, bins
from gridopt.store.run_folder import Run

LABEL = 14
MOST_DEVICES = 12
MOST_LINES = 8
GOOD, WARN = "green", "yellow"
FIGURES = {
    "import_kwh": "drawn, kWh",
    "export_kwh": "given, kWh",
    "peak_import_kw": "highest draw, kW",
    "self_consumption": "of what is produced, used here",
    "self_sufficiency": "of what is used, produced here",
}


def show(console: Console, run: Run, inputs: Inputs) -> None:
    """Print a plan."""
    s = run.summary
    zone = ZoneInfo(s["horizon"]["zone"])
    for part in (
        _header(s, zone), _money(s), _saving(s), _figures(s), _day(console, run, inputs), *_lists(s, zone),
    ):  # fmt: skip
        if part is not None:
            console.print(part)
            console.print()


# --- how good it is --------------------------------------------------------------------------------------------------


def status_words(s: Mapping[str, Any]) -> str:
    """The status with its proof, in words."""
    short = len(s["shortfalls"])
    goals = f"; {_count(short, 'goal')} short, named below" if short else ""
    near = f"{100 * s['gap']:.2g} % ({s['gap_eur']:.2f} EUR)"
    if s["status"] == "optimal":
        return f"proven optimal{goals}"
    if s["status"] == "within gap":
        return f"proven within {near} of the best possible{goals}"
    return f"time-limited: the best found, at most {near} above the best possible{goals}"


def _header(s: Mapping[str, Any], zone: ZoneInfo) -> Text:
    horizon = s["horizon"]
    start = datetime.fromisoformat(horizon["start"]).astimezone(zone)
    nodes, assets = len(s["nodes"]), len(s["assets"])
    text = Text()
    text.append(s["scenario"]["title"] or s["scenario"]["name"], style="bold")
    text.append(
        f"\n{start:%A} {start.day} {start:%B %Y}, {horizon['steps']} steps of {horizon['step_min']} min, {zone.key}; "
        f"{_count(nodes, 'node')}, {_count(assets, 'asset')}\nPlan {s['plan_id']}: "
    )
    text.append(status_words(s), style=GOOD if s["rung"] in ("optimal", "within gap") else WARN)
    return text


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


# --- money -----------------------------------------------------------------------------------------------------------


def _money(s: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=True)
    plan, rule = s["cost"], s["baseline"]["cost"]
    totals = [sum(line["eur"] for line in lines.values()) for lines in (plan, rule)]
    table.add_column("EUR", "total", overflow="fold")
    table.add_column("kind")
    for title, total in (("plan", totals[0]), ("by rule", totals[1]), ("difference", totals[0] - totals[1])):
        table.add_column(title, _eur(total), justify="right", no_wrap=True)
    for name in dict.fromkeys([*plan, *rule]):
        line = plan.get(name) or rule[name]
        here, there = (lines.get(name, {"eur": 0.0})["eur"] for lines in (plan, rule))
        if max(abs(here), abs(there)) >= 0.005:
            table.add_row(name.replace(".", ", "), line["kind"], _eur(here), _eur(there), _eur(here - there))
    return table


def _eur(value: float) -> str:
    return f"{value + 0.0:.2f}" if abs(value) >= 0.005 else "0.00"


def _saving(s: Mapping[str, Any]) -> Text:
    saved = s["savings_eur"]
    rule = s["baseline"]
    before = sum(line["eur"] for line in rule["cost"].values() if line["kind"] != "penalty")
    share = f" ({100 * saved / before:.0f} %)" if before > 0.005 and saved >= 0.005 else ""
    if abs(saved) < 0.005:
        words = "The plan costs the same as running by rule"
    elif saved > 0:
        words = f"The plan saves {saved:.2f} EUR{share} against running by rule"
    else:
        words = f"The plan costs {-saved:.2f} EUR more than running by rule"
    text = Text().append(words, style=GOOD if saved > -0.005 else WARN)
    beside = [f"exceed {_count(len(rule['breaches']), 'limit')}"] if rule["breaches"] else []
    missed = _missed(rule["shortfalls"])
    beside += [f"fall short by {' and '.join(missed)}"] if missed else []
    own = _missed(s["shortfalls"])
    also = f"; the plan falls short by {' and '.join(own)}" if own and missed else ""
    text.append(f"; by rule it would {' and '.join(beside)}{also}." if beside else ".")
    return text


def _missed(shortfalls: Sequence[Mapping[str, Any]]) -> list[str]:
    """How much of each kind of goal is missed in all. What a store lacks at the end is money already (stores, left)."""
    total: dict[str, float] = {}
    for f in shortfalls:
        if f["quantity"] != "end_short_kwh":
            total[f["unit"]] = total.get(f["unit"], 0.0) + f["amount"]
    return [f"{amount:.3g} {unit}".strip() for unit, amount in sorted(total.items())]


def _figures(s: Mapping[str, Any]) -> Table | None:
    """Exchange and local shares of the first electricity root, beside what running by rule would give."""
    root = next((n["id"] for n in s["nodes"] if n["parent"] is None and n["carrier"] == "electricity"), None)
    if root is None:
        return None
    plan, rule = s["kpi"]["nodes"][root], s["baseline"]["kpi"]["nodes"][root]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(root, overflow="fold")
    table.add_column("plan", justify="right")
    table.add_column("by rule", justify="right")
    for name, words in FIGURES.items():
        if name in plan and max(plan[name], rule.get(name, 0.0)) > NOTHING:
            percent = not name.endswith(("_kwh", "_kw"))
            here, there = (f"{100 * v:.0f} %" if percent else f"{v:.1f}" for v in (plan[name], rule.get(name, 0.0)))
            table.add_row(words, here, there)
    return table


# --- the day ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One line of the day; a power ends with its greatest value and its energy, anything else with its greatest."""

    label: str
    values: Floats
    power: bool = True


def _day(console: Console, run: Run, inputs: Inputs) -> Text:
    cut = bins(run.axis)
    marks = BLOCKS if console.encoding.lower().startswith("utf") else ASCII
    minutes = cut.steps * run.axis.step_min
    text = Text(no_wrap=True, overflow="crop")
    width = len(cut.starts) * cut.width
    while_ = f"{cut.width} mark{'' if cut.width == 1 else 's'}={minutes} min"
    text.append(f"{while_:<{LABEL}} {cut.ruler():<{width}}", style="bold")
    text.append(f"{'most kW':>8}{'kWh':>7}", style="bold")
    for row in rows(run, inputs):
        means = cut.means(row.values)
        line = bar(means, float(means.max()), marks, cut.width)
        energy = _short(row.values.sum() * run.axis.step_h) if row.power else ""
        text.append(f"\n{_cut(row.label):<{LABEL}} {line}{_short(row.values.max()):>8}{energy:>7}".rstrip())
    return text


def _cut(label: str) -> str:
    return label if len(label) <= LABEL else f"{label[: LABEL - 1]}~"


def _short(value: float) -> str:
    """A number in at most six characters."""
    if abs(value) < NOTHING:
        return "0"
    for digits in (3, 2, 1, 0):
        word = f"{value:.{digits}f}"
        if len(word.lstrip("-")) <= 5:
            return word
    return f"{value:.0f}" if abs(value) < 999_999 else f"{value / 1e6:.1f}M"


def rows(run: Run, inputs: Inputs) -> Iterator[Row]:
    """The lines of the day: prices and exchange at every root, then devices, or families where there are many."""
    sides = {(s.node, s.quantity): s.values for s in run.schedule if s.asset is None}
    roots = sorted((n for n in inputs.nodes if n.parent is None), key=lambda n: n.carrier != "electricity")
    for root in roots:
        name = "" if root.carrier == "electricity" else f"{root.carrier} "
        price = buying_price(inputs, root.id)
        if price is not None:
            yield Row(f"{name}EUR/kWh" if name else "price EUR/kWh", price, power=False)
        for quantity, word in (("import_kw", "import"), ("export_kw", "export")):
            values = sides[root.id, quantity]
            if values.max() > NOTHING or (quantity == "import_kw" and price is not None):
                yield Row(f"{name}{word}", values)
    yield from _devices(run, inputs)


def buying_price(inputs: Inputs, node: str) -> Floats | None:
    """(T,) what a kWh drawn at a root costs by its energy contracts, step by step; None where nothing prices it."""
    out, found = np.zeros(inputs.axis.steps), False
    for c in inputs.commitments:
        flow = c.flows[0]
        priced = c.measure == "energy" and c.kind == "cash" and len(c.flows) == 1 and flow.node == node
        if priced and flow.side != "export" and c.periods == inputs.axis.steps:
            inside = c.period >= 0
            out[inside] += flow.weight * c.price_above[c.period[inside]]
            found = True
    return out if found else None


def _devices(run: Run, inputs: Inputs) -> Iterator[Row]:
    """What devices draw and feed in; those without a choice together, by family."""
    power = _power(run, inputs)
    chosen = [asset for group in inputs.groups if group.family.control != "none" for asset in group.ids]
    apart = chosen if len(chosen) <= MOST_DEVICES else []
    together: dict[str, Floats] = {}
    for group in inputs.groups:
        for asset in group.ids:
            if asset not in apart:
                total = together.setdefault(group.family.name, np.zeros(inputs.axis.steps))
                total += power[asset]
    for name, values in [*together.items(), *((asset, power[asset]) for asset in apart)]:
        yield from _both_ways(name, values)


def _power(run: Run, inputs: Inputs) -> dict[str, Floats]:
    """Asset → (T,) what it draws at its electricity port, or at its first port where it has none."""
    carrier = {n.id: n.carrier for n in inputs.nodes}
    out: dict[str, Floats] = {}
    electric: set[str] = set()
    for s in run.schedule:
        if s.asset is None or s.port is None:
            continue
        is_electric = carrier[str(s.node)] == "electricity"
        if s.asset in out and (s.asset in electric or not is_electric):
            continue
        out[s.asset] = np.zeros(inputs.axis.steps)
        out[s.asset][s.first : s.first + len(s.values)] = s.values
        if is_electric:
            electric.add(s.asset)
    return out


def _both_ways(name: str, values: Floats) -> Iterator[Row]:
    into, out_of = np.maximum(values, 0.0), np.maximum(-values, 0.0)
    if into.max() > NOTHING and out_of.max() > NOTHING:
        room = LABEL - 4
        name = name if len(name) <= room else f"{name[: room - 1]}~"
        yield Row(f"{name} in", into)
        yield Row(f"{name} out", out_of)
    else:
        yield Row(name, into + out_of)


# --- what binds, what falls short ------------------------------------------------------------------------------------


def _lists(s: Mapping[str, Any], zone: ZoneInfo) -> Iterator[Group]:
    breaches = [
        f"{b['node']} {b['side']} {_when(b, zone)}: up to {b['worst_kw']:.3g} kW, {b['energy_kwh']:.3g} kWh too much"
        for b in s["baseline"]["breaches"]
    ]
    for title, lines in (
        ("Goals that fall short", [shortfall_words(f, zone) for f in s["shortfalls"]]),
        ("Limits that bind", [limit_words(b, zone) for b in s["limits"]]),
        ("Limits that running by rule would exceed", breaches),
        ("Notes", list(s["scenario"]["notes"])),
    ):
        if lines:
            yield _list(title, lines)


def _list(title: str, lines: Sequence[str]) -> Group:
    shown = [*lines] if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 1]]
    if len(shown) < len(lines):
        shown.append(f"and {len(lines) - len(shown)} more, all in summary.json")
    return Group(Text(title, style="bold"), *(Padding(Text(line), (0, 0, 0, 2), expand=False) for line in shown))


def shortfall_words(f: Mapping[str, Any], zone: ZoneInfo) -> str:
    """``car-3: energy by departure short by 2.31 kWh (Thu 15 Jan 07:00–07:15)``."""
    amount = f"{f['amount']:.3g} {f['unit']}".rstrip()
    if f["what"] == "commitment":
        return f"{f['id']}: exceeded by {amount}, at worst by {f['worst']:.3g} kW ({_when(f, zone)})"
    return f"{f['id']}: {f['goal']} short by {amount} ({_when(f, zone)})"


def limit_words(b: Mapping[str, Any], zone: ZoneInfo) -> str:
    """What a binding limit is worth."""
    return (
        f"{b['node']} {b['side']} {b['limit_kw']:g} kW, {_when(b, zone)}: one kW more would save "
        f"{b['value_eur_per_kw']:.2g} EUR ({b['mean_eur_per_kwh']:.2g} EUR/kWh)"
    )


def _when(interval: Mapping[str, Any], zone: ZoneInfo) -> str:
    start, end = (datetime.fromisoformat(interval[k]).astimezone(zone) for k in ("start", "end"))
    day = "" if start.date() == end.date() else f"{end:%a} {end.day} "
    return f"{start:%a} {start.day} {start:%b %H:%M} to {day}{end:%H:%M}"
