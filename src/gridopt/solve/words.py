"""Every sentence of an explanation, and numbers and times as a person reads them."""

from __future__ import annotations

import math

from gridopt.clock import Axis

STEP = 0.01
"""New limits are rounded to this, away from the contradiction."""
NOISE = 1e-5
"""What a solver adds to a clean number before it is rounded; an option's own test catches what this hides."""
MOST_NAMED = 3
"""Assets named at a node, and intervals named of one limit, in words; the lists hold them all."""
MOST_LINES = 12

TEXTS: dict[str, str] = {
    "head": "No schedule can keep every hard limit.",
    "head.whole": "No schedule can keep every hard limit with devices that either rest or run above their least power.",
    "none": "The hard limits do not contradict each other by any amount that could be named.",
    "late": "No reason was found within {limit} s.",
    "import": "{when}: node {id} needs up to {amount} kW{energy} more than its import limit of {limit} kW"
    "{beside}{who}.",
    "import.closed": "{when}: node {id} lacks up to {amount} kW{energy}, and nothing may flow in{who}.",
    "export": "{when}: node {id} has up to {amount} kW{energy} more left over than its export limit of {limit} kW"
    "{beside}{who}.",
    "export.closed": "{when}: node {id} has up to {amount} kW{energy} left over, and nothing may flow out{who}.",
    "beside": " less the {reserve} kW kept in reserve",
    "beside.none": ", of which the reserve of {reserve} kW leaves nothing",
    "who.import": "; drawing there: {list}",
    "who.export": "; feeding in there: {list}",
    "power": "{id} {power} kW",
    "others": "{count} more {power} kW",
    "pin.high": "{when}: {id} is pinned to {quantity} = {limit}, up to {amount}{unit}{energy} more than can be done"
    "{also}.",
    "pin.low": "{when}: {id} is pinned to {quantity} = {limit}, up to {amount}{unit}{energy} less than can be done"
    "{also}.",
    "pin.whole": "{when}: {id} is pinned to {quantity} = {limit}, which cannot be kept{also}.",
    "outage": "{when}: {id} is out of service, and up to {amount}{unit}{energy} of its {quantity} is needed{also}.",
    "also.outage": "; it is out of service too, {when}: the pin wins, for a person's hand overrules a list of outages",
    "also.pin": "; what a person pins of it, {list}, holds all the same, for a pin wins over an outage",
    "rule.low": "{when}: rule {id} asks for at least {limit}, which is out of reach by {amount}{unit}.",
    "rule.high": "{when}: rule {id} asks for at most {limit}, which is out of reach by {amount}{unit}.",
    "asset": "{when}: {id} cannot keep its own {quantity}, off by {amount}{unit}: check its parameters.",
    "more.one": "{id}: 1 more interval like these.",
    "more.many": "{id}: {count} more intervals like these.",
    "rest.one": "and 1 more.",
    "rest.many": "and {count} more.",
    "energy": " ({energy} kWh)",
    "throughout": "throughout the horizon",
    "day": "{first}–{last}",
    "days": "{first} to {last}",
    "mend.none": "No change of a limit, a pin or a rule was found that mends it.",
    "mend.one": "To mend it: {option}.",
    "mend.many": "To mend it, do one of these:",
    "option": "{number}. {words}",
    "and": ",\n   and ",
    "mends.more": "{count} more changes",
    "set": " (--set {setting})",
    "raise": "raise node.{id}.{quantity} from {old} to {new}",
    "raise.part": "raise node.{id}.{quantity} to at least {new}, {when}",
    "lower": "lower node.{id}.{quantity} from {old} to {new}",
    "lower.part": "lower node.{id}.{quantity} to {new} or less, {when}",
    "hold": "pin {id} to {quantity} = {new} instead of {old}, {when}",
    "release": "release {id} from its pin {quantity} = {old}, {when}",
    "service": "bring {id} back into service, {when}",
    "option.curtailable": "let the output of {id} be limited",
    "shorts": "; what then falls short: {list}",
    "short": "{id} ({goal}) by {amount} {unit}",
    "short.more.one": "and 1 more",
    "short.more.many": "and {count} more",
    "relax.low": "let rule {id} ask for at least {new} instead of {old}",
    "relax.high": "let rule {id} ask for at most {new} instead of {old}",
}
"""The fields are those of Culprit and Mend."""


def up(value: float) -> float:
    """The next hundredth above."""
    return round(math.ceil((value - NOISE) / STEP) * STEP, 2)


def down(value: float) -> float:
    """The next hundredth below."""
    return round(math.floor((value + NOISE) / STEP) * STEP, 2)


def tidy(value: float) -> str:
    """At most two decimals, none that say nothing; a smaller number keeps its first digits."""
    if value and abs(value) < STEP / 2:
        return f"{value:.1g}"
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")


def counted(key: str, count: int, **fields: str) -> str:
    """The sentence for one, or for many."""
    return TEXTS[f"{key}.{'one' if count == 1 else 'many'}"].format(count=count, **fields)


def when(axis: Axis, first: int, last: int) -> str:
    """``Thu 15 Jan 18:00–19:15`` in local time; midnight at the end of the day is 24:00."""
    if first <= 0 and last >= axis.steps:
        return TEXTS["throughout"]
    start, end = axis.label(first), axis.label(last)
    if end.endswith("00:00"):
        end = axis.label(last - 1)[:-5] + "24:00"
    if start[:-5] == end[:-5]:
        return TEXTS["day"].format(first=start, last=end[-5:])
    return TEXTS["days"].format(first=start, last=end)
