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

from gridopt.assets.base import MONEY, Floats
from gridopt.model.inputs import Commitment, Inputs
from gridopt.report.bars import ASCII, BLOCKS, NOTHING, bar, bins
from gridopt.store.run_folder import Run
from gridopt.units import unit_of

LABEL = 14
MOST_DEVICES = 12
MOST_LINES = 8
MOST_LIMITS = 5
MOST_ENDS = 6
WORTH_EUR, WORTH_SHARE = 0.01, 1e-4
"""A limit is named where a kW more saves that much, in EUR and as a share of the plan's money."""
SHOWN_KWH = 0.05
MOST_NAMED = 2
SAME_AMOUNT, SAME_SHARE = 2e-3, 0.01
"""Two days that miss a goal by amounts this close miss it alike."""
GOOD, WARN = "green", "yellow"
FIGURES = {
    "import_kwh": "drawn, kWh",
    "export_kwh": "given, kWh",
    "peak_import_kw": "highest draw, kW",
    "self_consumption": "of what is produced, used here",
    "self_sufficiency": "of what is used, produced here",
}
PARTS = {
    "cost": "money",
    "co2": "CO2 of what is drawn",
    "self-consumption": "own production not used here",
    "peak": "highest draw, day by day",
    "comfort": "outside the comfort band",
    "plan-change": "changed from what was announced",
}


def show(console: Console, run: Run, inputs: Inputs, everything: bool = False) -> None:
    """Print a plan; ``everything``: lists to their end, and limits that hardly matter too."""
    s = run.summary
    zone = ZoneInfo(s["horizon"]["zone"])
    for part in (
        _header(s, zone), _money(s), _small_misses(s), _months(s, inputs), _saving(s, inputs), _stores(s), _wishes(s),
        _figures(s), _day(console, run, inputs), *_lists(s, zone, everything),
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
    if s.get("continues"):
        goes_on = [name for rests in s["continues"]["rests"].values() for name in rests]
        beside = f"\nStill there from the day before: {_listed(goes_on)}" if goes_on else ""
        text.append(f"\nStarts as plan {s['continues']['plan_id']} leaves it{beside}")
    return text


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


# --- money -----------------------------------------------------------------------------------------------------------


def _money(s: Mapping[str, Any]) -> Table:
    """Cost lines; where goals were missed, what is money is summed apart from the penalties."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=True)
    sides = (s["cost"], s["baseline"]["cost"])
    table.add_column("EUR", "total", overflow="fold")
    table.add_column("kind")
    totals = _difference([_total(side, penalties=True) for side in sides])
    for title, total in zip(("plan", "by rule", "difference"), totals, strict=True):
        table.add_column(title, total, justify="right", no_wrap=True)
    lines: dict[bool, list[list[str]]] = {False: [], True: []}
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        kind = next(side[name]["kind"] for side in sides if name in side)
        amounts = [side[name]["eur"] if name in side else 0.0 for side in sides]
        if kind != "wish" and max(map(abs, amounts)) >= 0.005:
            lines[kind == "penalty"].append([_line_name(name, s), kind, *_difference(amounts)])
    if lines[True]:
        lines[False].append(["without penalties", "", *_difference([_total(side) for side in sides])])
    for line in lines[False] + lines[True]:
        table.add_row(*line)
    return table


def _line_name(name: str, s: Mapping[str, Any]) -> str:
    """``battery, wear``; where the family has one asset only, that one's name stands for it: ``bat-a, wear``."""
    owner, dot, cost = name.partition(".")
    mine = [a["id"] for a in s["assets"] if a["family"] == owner]
    return f"{mine[0] if len(mine) == 1 and dot else owner}, {cost}" if dot else name


def _small_misses(s: Mapping[str, Any]) -> Text | None:
    """Penalties without a goal that is short: each is too little to be named, and yet no zero."""
    penalties = _total(s["cost"], penalties=True) - _total(s["cost"])
    if penalties < 0.005 or s["shortfalls"]:
        return None
    return Text(f"Goals are missed by less than is worth naming, for penalties of {penalties:.2f} EUR in all.")


def _total(lines: Mapping[str, Any], penalties: bool = False) -> float:
    """Sum of the lines that are money, and of the penalties [EUR]."""
    kinds = (*MONEY, "penalty") if penalties else MONEY
    return float(sum(line["eur"] for line in lines.values() if line["kind"] in kinds))


def _difference(amounts: Sequence[float]) -> list[str]:
    here, there = amounts
    return [_eur(here), _eur(there), _eur(here - there)]


def _months(s: Mapping[str, Any], inputs: Inputs) -> Group | None:
    """Charges for the highest power of a month, which one day does not owe alone."""
    days = "on this day" if len(set(inputs.axis.local_day)) == 1 else "in these days"
    lines = []
    for c in _monthly(inputs):
        name = f"{c.id}.{c.labels[0]}"
        if max(abs(amount) for amount in _amounts(s, name)) >= 0.005:
            above = " or ".join(f"{kw:.4g}" for kw in np.unique(c.baseline_kw[c.period >= 0]))
            charge = f"{name.replace('.', ', ')} is a charge of the month, counted in full {days}"
            lines.append(Text(f"{charge}: for the highest power above {above} kW."))
    return Group(*lines) if lines else None


def _monthly(inputs: Inputs) -> list[Commitment]:
    return [c for c in inputs.commitments if c.measure == "peak" and c.kind in MONEY]


def _amounts(s: Mapping[str, Any], name: str) -> tuple[float, float]:
    """A cost line of the plan and of the day by rule [EUR]."""
    here, there = (float(side[name]["eur"]) if name in side else 0.0 for side in (s["cost"], s["baseline"]["cost"]))
    return here, there


def _eur(value: float) -> str:
    return f"{value + 0.0:.2f}" if abs(value) >= 0.005 else "0.00"


def _saving(s: Mapping[str, Any], inputs: Inputs) -> Text:
    """What the plan saves, and what only one of both days leaves undone: money is compared at equal service only."""
    saved, rule = s["savings_eur"], s["baseline"]
    theirs, ours = _missed(rule["shortfalls"]), _missed(s["shortfalls"])
    by_rule = _undone(theirs, ours, "the plan")
    by_rule += [f"exceeds {_count(len(rule['breaches']), 'limit')}"] if rule["breaches"] else []
    by_plan = _undone(ours, theirs, "by rule")
    before = _total(rule["cost"])
    equal = not by_rule and not by_plan
    if saved is None:
        return Text("What the plan saves against running by rule is not known: no plan can end the day as that.", WARN)
    share = f" ({100 * saved / before:.0f} %)" if before > 0.005 and saved >= 0.005 and equal else ""
    if abs(saved) < 0.005:
        words = "The plan costs the same as running by rule"
    elif saved > 0:
        words = f"The plan saves {saved:.2f} EUR{share} against running by rule"
    else:
        words = f"The plan costs {-saved:.2f} EUR more than running by rule"
    text = Text().append(words, style=GOOD if saved > -0.005 and not by_plan else WARN)
    text.append(_once_a_month(saved, s, inputs))
    if by_rule:
        text.append(f", {'although' if saved >= 0.005 else 'but'} that {' and '.join(by_rule)}")
    if by_plan:
        text.append(f"{'; the plan' if by_rule else ', but'} {' and '.join(by_plan)}")
    text.append(".")
    if any(None in periods for periods in rule.get("peaks_kw", {}).values()):
        text.append(" What it saves once a month is left out: the run before does not say what peak it had by rule.")
    return text


def _once_a_month(saved: float, s: Mapping[str, Any], inputs: Inputs) -> str:
    """What of a saving is the month's, which no other day of it saves again, and what the day's own."""
    month = 0.0
    for c in _monthly(inputs):
        here, there = _amounts(s, f"{c.id}.{c.labels[0]}")
        month += there - here
    if abs(month) < 0.005 or abs(saved) < 0.005:
        return ""
    day = saved - month
    rest = f"{day:.2f} EUR are the day's" if day > -0.005 else f"the day itself costs {-day:.2f} EUR more"
    return f" ({month:.2f} EUR once a month, {rest})"


def _stores(s: Mapping[str, Any]) -> Group | None:
    """Whose contents make up the cost line ``stores, left``: what each holds at the end of both days."""
    ends = s["baseline"].get("ends", [])
    if "stores.left" not in s["baseline"]["cost"] or not ends:
        return None
    lines = [_end_words(e, len(ends) == 1) for e in ends[:MOST_ENDS]]
    more = [f"and {len(ends) - MOST_ENDS} more, all in summary.json"] if len(ends) > MOST_ENDS else []
    return _list("What is left at the end, counted as stores, left", [*lines, *more])


def _end_words(e: Mapping[str, Any], alone: bool) -> str:
    """``bat-a: 3 kWh, by rule 7.9 kWh, about 0.77 EUR``; of a car that stays, what it has drawn until then."""
    eur = f", {'' if alone else 'about '}{e['about_eur']:.2f} EUR" if "about_eur" in e else ""
    drawn = "drawn so far " if e["quantity"] == "drawn_kwh" else ""
    return f"{e['id']}: {drawn}{e['plan']:.4g} {e['unit']}, by rule {e['by_rule']:.4g} {e['unit']}{eur}"


@dataclass(frozen=True)
class Missed:
    """By how much a goal is missed in all."""

    amount: float
    unit: str

    def __str__(self) -> str:
        return f"{self.amount:.3g} {self.unit}".rstrip()

    def words(self, key: tuple[str, str, str]) -> str:
        """``car-a 8 kWh short``, ``feeder by 3 kWh``, ``wash undone``."""
        if key[0] == "commitment":
            return f"{key[1]} by {self}"
        return f"{key[1]} {self} short" if self.unit else f"{key[1]} undone"


def _missed(shortfalls: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, str], Missed]:
    """Goals by what they are of. What a store lacks at the end is money already (stores, left)."""
    return {
        (f["what"], f["id"], f["quantity"]): Missed(f["amount"], f["unit"])
        for f in shortfalls
        if not f["quantity"].startswith("end_short")
    }


def _undone(
    here: Mapping[tuple[str, str, str], Missed], there: Mapping[tuple[str, str, str], Missed], other: str
) -> list[str]:
    """What is missed here and less, or not at all, there; the largest first."""
    over: list[str] = []
    short: list[str] = []
    for key, f in sorted(here.items(), key=lambda item: -item[1].amount):
        less = there.get(key)
        if less is None or f.amount - less.amount > max(SAME_AMOUNT, SAME_SHARE * f.amount):
            beside = "" if less is None else f" ({other}: {less})"
            (over if key[0] == "commitment" else short).append(f.words(key) + beside)
    return [f"{verb} {_listed(names)}" for verb, names in (("exceeds", over), ("leaves", short)) if names]


def _listed(names: Sequence[str]) -> str:
    """The first few, and how many more."""
    shown = [*names] if len(names) <= MOST_NAMED + 1 else [*names[:MOST_NAMED], f"{len(names) - MOST_NAMED} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _wishes(s: Mapping[str, Any]) -> Table | None:
    """What the plan was chosen by beside money, in its own units: it is no money, and no saving contains it."""
    if not s.get("wishes"):
        return None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("chosen by", overflow="fold")
    for title in ("weight", "plan", "by rule"):
        table.add_column(title, justify="right", no_wrap=True)
    for w in s["wishes"]:
        unit = unit_of(w["key"])
        weight = f"{w['weight']:.6g} {unit}" if unit else f"× {w['weight']:.6g}"
        amounts = [f"{w[side] + 0.0:.2f} {unit_of(w['quantity'])}" for side in ("plan", "by_rule")]
        table.add_row(PARTS[w["part"]], weight, *amounts)
    return table


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


def _lists(s: Mapping[str, Any], zone: ZoneInfo, everything: bool) -> Iterator[Group]:
    breaches = [
        f"{b['node']} {b['side']} {_when(b, zone)}: up to {b['worst_kw']:.3g} kW, {b['energy_kwh']:.3g} kWh too much"
        for b in s["baseline"]["breaches"]
    ]

    def short(found: Sequence[Mapping[str, Any]], *kinds: str) -> list[str]:
        return [shortfall_words(f, zone) for f in found if f["kind"] in kinds]

    rule = [f for f in s["baseline"]["shortfalls"] if not f["quantity"].startswith("end_short")]
    for title, lines in (
        ("Goals that fall short, out of reach of any plan", short(s["shortfalls"], "emergency")),
        (
            "Goals that fall short at a price (gridopt explain: could a plan meet them?)",
            short(s["shortfalls"], "penalty"),
        ),
        ("Left for the next day, whose run takes it up: --from the folder of this one", _left_for_later(s)),
        ("Goals that running by rule would miss", short(rule, "emergency", "penalty")),
        ("Limits that bind, dearest first", _binding(s, zone, everything)),
        ("Limits that running by rule would exceed", breaches),
        ("Your rules that running by rule would break", _broken_rules(s)),
        ("Overrides that devices could not follow by rule", _refused(s, zone)),
        ("Notes", list(s["scenario"]["notes"])),
    ):
        if lines:
            yield _list(title, lines, everything)


def _broken_rules(s: Mapping[str, Any]) -> list[str]:
    """A rule on what only a plan has, such as starts so far, is named without an amount."""
    return [
        f"{b['name']}: " + ("not known by rule" if b["by"] is None else f"by {b['by']:.3g}")
        for b in s["baseline"]["broken_rules"]
    ]


def _refused(s: Mapping[str, Any], zone: ZoneInfo) -> list[str]:
    return [
        f"{r['asset']}: {r['variable']} {_when(r, zone)}: {r['did']:.3g}, not {r['wanted']:.3g}"
        for r in s["baseline"]["refused"]
    ]


def _left_for_later(s: Mapping[str, Any]) -> list[str]:
    """Cars that leave after the horizon: what they still want then."""
    left = {asset: figures.get("left_for_later_kwh", 0.0) for asset, figures in s["kpi"]["assets"].items()}
    return [f"{asset}: {kwh:.3g} kWh" for asset, kwh in sorted(left.items()) if kwh > SHOWN_KWH]


def _binding(s: Mapping[str, Any], zone: ZoneInfo, everything: bool) -> list[str]:
    """The few limits whose move would be worth something."""
    worth = max(WORTH_EUR, WORTH_SHARE * abs(_total(s["cost"])))
    told = [b for b in s["limits"] if everything or b["value_eur_per_kw"] >= worth]
    told = told if everything else told[:MOST_LIMITS]
    more = len(s["limits"]) - len(told)
    rest = [f"and {more} more that matter less: --all names them"] if more and told else []
    return [*(limit_words(b, zone) for b in told), *rest]


def _list(title: str, lines: Sequence[str], everything: bool = False) -> Group:
    shown = [*lines] if everything or len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 1]]
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
