"""Plans between two aims on the terminal: a line for each, and what a unit more of the second costs of the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

Doc = Mapping[str, Any]
WORTH_EUR = 0.005


@dataclass(frozen=True)
class Aim:
    """How an aim is spoken of. ``amount`` × ``factor``: what is shown of it; ``per``, ``one``: a unit of better."""

    word: str
    title: str
    amount: str
    unit: str
    per: str
    one: str
    factor: float = 1.0
    digits: int = 2


AIMS = {
    "cost": Aim("money", "cost\nEUR", "cost_eur", "EUR", "EUR", "a EUR less"),
    "co2": Aim("CO2", "CO2\nkg", "co2_kg", "kg", "t", "a tonne of CO2 less"),
    "self-consumption": Aim(
        "self-consumption", "own use\n%", "self_consumption", "kWh", "kWh", "another own kWh used here", 100.0, 1
    ),
    "peak": Aim("peak", "peak\nkW", "peak_kw", "kW", "kW", "a kW of the peak less"),
    "comfort": Aim("comfort", "off band\nK·h", "discomfort_kh", "K·h", "K·h", "a K·h outside the comfort band less"),
}


def show(console: Console, doc: Doc) -> None:
    """Print a sweep."""
    for part in (_header(doc), _table(doc), _words(doc), _weights(doc), *_notes(doc)):
        console.print(part)
        console.print()


def _header(doc: Doc) -> Text:
    first, second = (AIMS[name].word for name in doc["aims"])
    start = datetime.fromisoformat(doc["horizon"]["start"]).astimezone(ZoneInfo(doc["horizon"]["zone"]))
    text = Text().append(doc["scenario"]["title"] or doc["scenario"]["name"], style="bold")
    return text.append(f"\n{start:%A} {start.day} {start:%B %Y}: plans between {first} and {second}")


def _table(doc: Doc) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("plan", no_wrap=True)
    columns = list(_columns(doc, [AIMS[name] for name in doc["aims"]]))
    for title, _ in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for k, plan in enumerate(doc["plans"]):
        name = " ".join([str(plan["plan"]), *plan["names"][:1]])
        table.add_row(name, *(cells[k] for _, cells in columns))
    return table


def _columns(doc: Doc, aims: Sequence[Aim]) -> Iterator[tuple[str, list[str]]]:
    """Titles with a cell for every plan."""
    plans = doc["plans"]
    for aim in aims:
        yield aim.title, [_number(aim.factor * p["amounts"][aim.amount], aim.digits) for p in plans]
    if doc["rates"]:
        yield f"{aims[0].unit}\nper {aims[1].per}", ["", *(rate_words(r) for r in doc["rates"])]
    if AIMS["cost"] not in aims:
        yield AIMS["cost"].title, [_number(p["amounts"]["cost_eur"], 2) for p in plans]
    yield "drawn\nkWh", [_number(p["drawn_kwh"], 0) for p in plans]
    if AIMS["peak"] not in aims:
        yield "peak\nkW", [_number(p["highest_kw"], 1) for p in plans]
    if any(p["penalties_eur"] >= WORTH_EUR for p in plans):
        yield "missed\nEUR", [_number(p["penalties_eur"], 2) for p in plans]
    yield "proven\nwithin", [_proven(p) for p in plans]


def _number(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}"


def rate_words(r: Doc) -> str:
    """An exchange rate: to the unit where it is large, else to three figures."""
    rate = r["rate"]
    if rate is None:
        return ""
    return f"{rate:.0f}" if abs(rate) >= 100 else f"{rate:.3g}"


def _proven(plan: Doc) -> str:
    percent = 100 * plan["gap"]
    return "optimal" if plan["status"] == "optimal" else f"{percent:.2f} %" if percent >= 0.005 else "<0.01 %"


def _words(doc: Doc) -> Text:
    """What the table says, in sentences."""
    first, second = (AIMS[name] for name in doc["aims"])
    lines = ["One plan is the best by both."]
    if doc["rates"]:
        lines = [f"{first.unit} per {second.per}: what {second.one} costs, coming from the plan above."]
    knee = doc["knee"]
    if knee and None not in (knee["before"]["rate"], knee["after"]["rate"]):
        lines.append(
            f"Plan {knee['before']['to']} is the knee, beyond which it becomes dear: {second.one} costs "
            f"{rate_words(knee['before'])} {first.unit} on the way to it, and {rate_words(knee['after'])} "
            f"{first.unit} beyond."
        )
    if doc["missed"] is None:
        room = f"{doc['missed_eur']:.2f} EUR of what they are chosen by"
    else:
        room = f"{max(100 * doc['missed'], 0.01):.2g} %"
    lines.append(f"Whatever {second.one} is worth to you, one of these plans is within {room} of the best possible.")
    if any(p["penalties_eur"] >= WORTH_EUR for p in doc["plans"]):
        lines.append("missed: goals that fall short, at their price; each plan's own page names them.")
    return Text("\n".join(lines))


def _weights(doc: Doc) -> Table:
    """The weights that give each plan again, for ``[objective]`` or ``--set``."""
    keys = list(doc["plans"][0]["weights"])
    title = "Each plan again, with --set or in [objective]"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold")
    table.add_column("plan")
    for key in keys:
        table.add_column(f"objective.{key}", justify="right", overflow="fold")
    for plan in doc["plans"]:
        table.add_row(str(plan["plan"]), *(repr(plan["weights"][key]) for key in keys))
    return table


def _notes(doc: Doc) -> Iterator[Text]:
    if doc["notes"]:
        yield Text().append("Notes", style="bold").append("".join(f"\n  {note}" for note in doc["notes"]))
