"""Why no plan exists, in plain words, and what would mend it.

The district's programme is solved again with its hard limits made elastic, in three categories:

limit   per node and step, power beyond what its limits allow (also where a node is closed and has no column at all)
pin     a person's overrides and outages: the variable is freed within its device's own bounds, its distance is paid
rule    the user's own rules

Each category in turn *leads*: the others are used as little as possible, then the lead's own total is made smallest
(kWh; pins that are not powers and rules in their own unit), then its peaks. Where the lead alone restores a plan the
others stay untouched, so every answer is one option; where it does not, the option says what else must give. If a
handful of things make an option, each is forbidden in turn to find what could give in its place. Every option is
applied to the Inputs and must then have a plan, otherwise it is not offered.

Emergencies stay open: they cannot restore a plan, and no limit is named only to spare one. What has to give anyway is
sized so that no emergency is needed beside it.

What a device or a contract demands of itself (``asset``) is made elastic only when nothing else restores a plan.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from gridopt.assets.base import Exclusive, Floats, Ints, SemiContinuous, Whole
from gridopt.clock import Axis
from gridopt.model.assemble import Assembly, Block, LinearProgram, assemble
from gridopt.model.inputs import Inputs, LinearRule, Node, Pin
from gridopt.solve.session import INTEGER, Session
from gridopt.units import unit_of

Category = Literal["limit", "pin", "outage", "rule", "asset"]
MendKind = Literal["limit", "pin", "outage", "rule"]
Bools = npt.NDArray[np.bool_]

_NO_INTS = np.zeros(0, np.int64)
_NO_FLOATS = np.zeros(0)
TOLERANCE = 1e-6
"""Less than this is no culprit [kW, kWh, or the rule's own unit]."""
STEP = 0.01
"""New limits are rounded to this, away from the contradiction."""
NOISE = 1e-5
"""What a solver adds to a clean number before it is rounded; the option's own test catches what this hides."""
EMERGENCY = 2.0
"""What has to give anyway gives more where every such number of kWh more spares at least one kWh of emergency."""
LATER = 0.001
"""How much less a violation at the horizon's end weighs, so that a pin or a rule is kept while it can be."""
MOST_OPTIONS = 6
MOST_ITEMS = 3
"""Options of at most this many things are searched for what could give in their place."""
MOST_PRUNED = 12
"""Options of at most this many mends are rid of needless ones."""
MOST_NAMED = 3
"""Assets named at a node, and intervals named of one limit, in words; the lists hold them all."""
MOST_LINES = 12
MOST_GIVEN = 1e5
"""Largest violation looked for, beside ten times the largest right-hand side. Finite, because HiGHS prints a line for
every two parallel columns that its presolve merges into a free one, and stdout is not ours."""
MOST_DECISIONS = 5000
"""Beyond this many decisions mends are proven on the relaxation alone."""
MOST_RUN = 1e5
"""Largest power of a device that may rest, where it has no bound of its own."""

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
    "pin.high": "{when}: {id} is pinned to {quantity} = {limit}, up to {amount}{unit}{energy} more than can be done.",
    "pin.low": "{when}: {id} is pinned to {quantity} = {limit}, up to {amount}{unit}{energy} less than can be done.",
    "pin.whole": "{when}: {id} is pinned to {quantity} = {limit}, which cannot be kept.",
    "outage": "{when}: {id} is out of service, and up to {amount}{unit}{energy} of its {quantity} is needed.",
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
    "relax.low": "let rule {id} ask for at least {new} instead of {old}",
    "relax.high": "let rule {id} ask for at most {new} instead of {old}",
}
"""Every sentence of an explanation; the fields are those of Culprit and Mend."""


# --- what is handed back ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Culprit:
    """One thing that cannot be kept, over one run of steps [first, last).

    ``quantity``: ``import_max_kw`` | ``export_max_kw`` of a node, the pinned variable, ``low`` | ``high`` of a rule,
    the row of an asset. ``limit``: what it is held to, where it is missed most. ``amount`` [``unit``]: by how much, at
    most; ``energy_kwh``: by how much in all, None for what is no power. ``powers``: (asset, kW) of all that draws at
    and below a node whose import falls short, or feeds in where its export does, at the worst step, largest first.
    """

    category: Category
    id: str
    quantity: str
    first: int
    last: int
    limit: float
    amount: float
    unit: str
    energy_kwh: float | None
    powers: tuple[tuple[str, float], ...]
    words: str


@dataclass(frozen=True)
class Mend:
    """One change of the Inputs over the steps [first, last), as ``apply`` makes it.

    ``old``, ``new``: the limit, the pinned value or the rule's bound; ``new`` None releases the pin or ends the outage.
    ``setting``: the same as the text of a ``--set``, where one number says it.
    """

    kind: MendKind
    id: str
    quantity: str
    old: float
    new: float | None
    first: int
    last: int
    words: str
    setting: str | None = None


@dataclass(frozen=True)
class Option:
    """Mends that together make a plan possible; proven by a re-solve."""

    mends: tuple[Mend, ...]

    @property
    def words(self) -> str:
        lines = [m.words + (TEXTS["set"].format(setting=m.setting) if m.setting else "") for m in self.mends]
        rest = len(lines) - MOST_LINES
        if rest > 1:
            lines = [*lines[:MOST_LINES], TEXTS["mends.more"].format(count=rest)]
        return TEXTS["and"].join(lines)


@dataclass(frozen=True)
class Explanation:
    """What contradicts, and what would mend it: any ONE of ``options`` does."""

    culprits: tuple[Culprit, ...]
    options: tuple[Option, ...]
    words: str


def explain(a: Assembly, whole: bool = False, limit_s: float = 20.0) -> Explanation:
    """Name what keeps a district from having any plan.

    ``whole``: with the decisions kept whole, for a district whose relaxation has a plan. Without it they are relaxed,
    unless that would offer a mend with which no whole plan exists. Searches with whole decisions end after ``limit_s``
    seconds together. A district that has a plan gets an explanation without culprits and options, which says so.
    """
    deadline = time.perf_counter() + limit_s
    if _has_plan(a, whole, deadline):
        return Explanation((), (), TEXTS["none"])
    found = _Search(a, whole, deadline, limit_s).explain()
    if whole or _decisions(a) > MOST_DECISIONS:
        return found
    mended = [assemble(apply(a.inputs, option.mends)) for option in found.options]
    if all(_has_plan(m, True, deadline) is not False for m in mended):
        return found
    exact = _Search(a, True, deadline, limit_s).explain()
    return exact if exact.options else found


def apply(inputs: Inputs, mends: Iterable[Mend]) -> Inputs:
    """The Inputs with mends made: limits raised, reserves lowered, pins changed or cut out, rules relaxed."""
    nodes, pins, rules = list(inputs.nodes), list(inputs.pins), list(inputs.rules)
    for m in mends:
        if m.kind == "limit" and m.new is not None:
            k = inputs.node_index[m.id]
            values = getattr(nodes[k], m.quantity).copy()
            choose = np.minimum if m.quantity == "reserve_kw" else np.maximum
            values[m.first : m.last] = choose(values[m.first : m.last], m.new)
            nodes[k] = replace(nodes[k], **{m.quantity: values})
        elif m.kind == "rule" and m.new is not None:
            rules = [_relax(rule, m.quantity, m.new - m.old) if rule.name == m.id else rule for rule in rules]
        else:
            pins = [piece for pin in pins for piece in (_cut(pin, m) if _is_meant(pin, m) else (pin,))]
    return replace(inputs, nodes=tuple(nodes), pins=tuple(pins), rules=tuple(rules))


def _relax(rule: LinearRule, side: str, by: float) -> LinearRule:
    return replace(rule, low=rule.low + by) if side == "low" else replace(rule, high=rule.high + by)


def _is_meant(pin: Pin, m: Mend) -> bool:
    same = pin.why == "outage" if m.kind == "outage" else pin.variable == m.quantity
    return pin.asset == m.id and same and pin.first < m.last and pin.last > m.first


def _cut(pin: Pin, m: Mend) -> tuple[Pin, ...]:
    """A pin without, or with another value on, the mend's steps."""
    first, last = max(pin.first, m.first), min(pin.last, m.last)
    middle = replace(pin, first=first, last=last, value=pin.value if m.new is None else m.new)
    pieces = (replace(pin, last=first), *(() if m.new is None else (middle,)), replace(pin, first=last))
    return tuple(p for p in pieces if p.first < p.last)


# --- is there a plan? ------------------------------------------------------------------------------------------------


def _has_plan(a: Assembly, whole: bool, deadline: float) -> bool | None:
    """Whether any plan exists, emergencies open, money aside; None: not known by the deadline."""
    session = Session(replace(a.lp, cost=np.zeros_like(a.lp.cost), offset=0.0))
    if whole:
        _keep_whole(session, a, a.lp.lower, a.lp.upper)
        answer = session.run(_left(deadline))
        return None if answer.status == "limit" and not answer.has_point else answer.has_point
    # What a pin holds one way cannot go the other way, which the relaxation would allow.
    other = _Held.of(a).other
    session.bounds(other, np.minimum(a.lp.lower[other], 0.0), np.zeros(len(other)))
    return session.run().has_point


def _left(deadline: float) -> float:
    return max(deadline - time.perf_counter(), 0.1)


def _decisions(a: Assembly) -> int:
    devices = sum(s.columns.size for s in a.semi) + sum(w.columns.size for w in a.whole)
    return devices + sum(len(first) for first, _ in _exclusive(a))


def _keep_whole(session: Session, a: Assembly, lower: Floats, upper: Floats) -> None:
    """Declare every decision, within the bounds given. A node's direction matters only where a rule speaks of it."""
    for s in a.semi:
        _may_rest(session, s.columns.ravel(), s.minimum.ravel(), lower, upper)
    for w in a.whole:
        j = w.columns.ravel()
        session.wholeness(j, np.full(len(j), INTEGER))
    for one, two in _exclusive(a):
        _exclude(session, one, two, upper)


def _may_rest(session: Session, columns: Ints, minimum: Floats, lower: Floats, upper: Floats) -> None:
    """One binary a column that is zero or above its minimum: minimum · u <= column <= upper · u.

    HiGHS's own semi-continuous columns end as an error where its integer tolerance times their bound is too large.
    """
    j, least = columns[minimum > 0], minimum[minimum > 0]
    low, most = np.maximum(least, lower[j]), np.minimum(upper[j], MOST_RUN)
    may_rest, may_run = lower[j] <= 0, most >= low - 1e-9
    never, must, free = may_rest & ~may_run, ~may_rest, may_rest & may_run
    session.bounds(j[never], lower[j[never]], np.zeros(int(never.sum())))
    session.bounds(j[must], low[must], upper[j[must]])
    runs = _binaries(session, int(free.sum()))
    _tie(session, j[free], runs, -most[free], np.full(len(runs), -np.inf), np.zeros(len(runs)))
    _tie(session, j[free], runs, -low[free], np.zeros(len(runs)), np.full(len(runs), np.inf))


def _exclusive(a: Assembly) -> Iterator[tuple[Ints, Ints]]:
    """Columns that exclude each other: of devices, and of nodes whose import or export a rule speaks of."""
    for block in a.blocks:
        for d in block.group.family.decisions:
            if isinstance(d, Exclusive):
                first, second = block.columns(d.first), block.columns(d.second)
                if first is not None and second is not None:
                    yield first.ravel(), second.ravel()
    sided = {name for r in a.inputs.rules for _, what, name, side, _ in r.terms if what == "node" and side != "net_kw"}
    for name in sorted(sided):
        columns = a.nodes[a.inputs.node_index[name]]
        if len(columns.import_):
            yield columns.import_, columns.export


def _exclude(session: Session, one: Ints, two: Ints, upper: Floats) -> None:
    """One binary a pair: one <= upper · u, two <= upper · (1 - u)."""
    open_ = (upper[one] > 0) & (upper[two] > 0) & np.isfinite(upper[one]) & np.isfinite(upper[two])
    one, two = one[open_], two[open_]
    u, none = _binaries(session, len(one)), np.full(len(one), -np.inf)
    _tie(session, one, u, -upper[one], none, np.zeros(len(u)))
    _tie(session, two, u, upper[two], none, upper[two])


def _binaries(session: Session, n: int) -> Ints:
    u = session.add_columns(np.zeros(n), np.ones(n), np.zeros(n)) if n else _NO_INTS
    session.wholeness(u, np.full(n, INTEGER))
    return u


def _tie(session: Session, columns: Ints, u: Ints, factor: Floats, low: Floats, high: Floats) -> None:
    """Rows low <= column + factor · u <= high."""
    if len(u):
        value = np.column_stack([np.ones(len(u)), factor]).ravel()
        session.add_rows(low, high, np.arange(0, 2 * len(u), 2), np.column_stack([columns, u]).ravel(), value)


# --- the elastic programme -------------------------------------------------------------------------------------------

LIMIT, PIN, RULE, ASSET = 0, 1, 2, 3


@dataclass(frozen=True)
class _Held:
    """The columns that pins hold: their numbers, steps, the pin in force, and their devices' own bounds.

    ``other``: columns that exclude a held one which is positive (``other_to``: its place), with their largest value.
    """

    column: Ints
    step: Ints
    pin: Ints
    value: Floats
    low: Floats
    high: Floats
    other: Ints
    other_to: Ints
    other_high: Floats

    @staticmethod
    def of(a: Assembly) -> _Held:
        held: dict[int, tuple[int, int, float, float]] = {}
        others: dict[int, tuple[int, float]] = {}
        own: dict[int, tuple[Floats, Floats]] = {}
        for p, pin in enumerate(a.inputs.pins):
            g, k = a.inputs.where[pin.asset]
            block = a.blocks[g]
            columns = block.columns(pin.variable)
            if columns is None:
                continue
            if g not in own:
                own[g] = _own_bounds(a, block)
            low, high = own[g][0].ravel(), own[g][1].ravel()
            partner = block.columns(_partner(block, pin.variable)) if pin.value > 0 else None
            offset = int(block.group.offset[k])
            for t in range(max(pin.first - offset, 0), min(pin.last - offset, columns.shape[1])):
                j = int(columns[k, t])
                held[j] = offset + t, p, float(low[j - block.first]), float(high[j - block.first])
                if partner is not None:
                    others[int(partner[k, t])] = j, float(high[int(partner[k, t]) - block.first])
        place = {j: i for i, j in enumerate(sorted(held))}
        column = np.array(list(place), np.int64)
        rows = [held[j] for j in place]
        free = {o: (place[j], most) for o, (j, most) in others.items() if o not in held and a.lp.lower[j] > 0}
        return _Held(
            column,
            np.array([r[0] for r in rows], np.int64),
            np.array([r[1] for r in rows], np.int64),
            a.lp.lower[column],
            np.array([r[2] for r in rows], np.float64),
            np.array([r[3] for r in rows], np.float64),
            np.array(list(free), np.int64),
            np.array([i for i, _ in free.values()], np.int64),
            np.array([most for _, most in free.values()], np.float64),
        )


def _partner(block: Block, variable: str) -> str:
    """The variable that is never positive beside this one; '' if there is none."""
    for d in block.group.family.decisions:
        if isinstance(d, Exclusive) and variable in (d.first, d.second):
            return d.second if variable == d.first else d.first
    return ""


def _own_bounds(a: Assembly, block: Block) -> tuple[Floats, Floats]:
    """(n, width) bounds of a group's columns as its devices have them, pins aside."""
    t = block.template
    numbers = t.numbers(block.group.columns, a.inputs.axis.step_h, block.group.n)
    return t.lower.evaluate(numbers), t.upper.evaluate(numbers)


class _Elastic:
    """The district's programme with what may give added as columns ≥ 0, and which item each of them belongs to.

    Its own bounds never cross: where a device's or a rule's do (``crossed``: columns), they stand sorted, and what
    they violate is read from the values.
    """

    def __init__(self, a: Assembly, with_assets: bool) -> None:
        self.a = a
        self.n = len(a.lp.cost)
        self.held = _Held.of(a)
        self.lower, self.upper = a.lp.lower.copy(), a.lp.upper.copy()
        self.row_lower, self.row_upper = a.lp.row_lower.copy(), a.lp.row_upper.copy()
        self.crossed = np.flatnonzero(self.lower > self.upper)
        self.lower, self.upper = np.minimum(self.lower, self.upper), np.maximum(self.lower, self.upper)
        low, high = np.minimum(self.row_lower, self.row_upper), np.maximum(self.row_lower, self.row_upper)
        self.row_lower, self.row_upper = low, high
        bounds = [node.net_bounds() for node in a.inputs.nodes]
        self.net_low, self.net_high = np.array([b[0] for b in bounds]), np.array([b[1] for b in bounds])
        matrix = a.lp.matrix().tocoo()
        self._i: list[Ints] = [matrix.coords[0].astype(np.int64)]
        self._j: list[Ints] = [matrix.coords[1].astype(np.int64)]
        self._v: list[Floats] = [matrix.data]
        self._category: list[Ints] = []
        self._item: list[Ints] = []
        self._weight: list[Floats] = []
        self._step: list[Ints] = []
        self.items = 0
        self.columns = self.n
        self.limit_columns = self._free_limits()
        self._free_pins()
        rules = np.arange(a.rule_row, len(a.lp.row_lower))
        self.rule_columns = self._free_rows(rules, RULE, [rule.name for rule in a.inputs.rules])
        inner = np.arange(len(a.inputs.nodes) * a.inputs.axis.steps, a.rule_row if with_assets else 0)
        self.asset_columns = self._free_rows(inner, ASSET, [str(i) for i in inner])
        cat = np.concatenate
        self.category, self.item = cat([_NO_INTS, *self._category]), cat([_NO_INTS, *self._item])
        self.weight, self.step = cat([_NO_FLOATS, *self._weight]), cat([_NO_INTS, *self._step])
        self.free = self.n + np.arange(len(self.item))

    def _add(self, category: int, item: Ints, weight: Floats, step: Ints) -> Ints:
        n = len(item)
        self._category.append(np.full(n, category, np.int64))
        self._item.append(item.astype(np.int64))
        self._weight.append(weight)
        self._step.append(step.astype(np.int64))
        self.columns += n
        return np.arange(self.columns - n, self.columns)

    def _entries(self, rows: Ints, columns: Ints, values: Floats) -> None:
        self._i.append(rows)
        self._j.append(columns)
        self._v.append(values)

    def _free_limits(self) -> tuple[Ints, Ints]:
        """(N, T) columns of power beyond what may flow in, and out; -1 where nothing limits it."""
        a, T = self.a, self.a.inputs.axis.steps
        out = []
        for side, limit, sign in ((0, self.net_high, 1.0), (1, self.net_low, -1.0)):
            k, t = np.nonzero(np.isfinite(limit))
            columns = self._add(LIMIT, self.items + 2 * k + side, np.full(len(k), a.inputs.axis.step_h), t)
            place = np.full(limit.shape, -1)
            place[k, t] = columns
            self._entries(k * T + t, columns, np.full(len(k), -sign))
            parent = a.inputs.parents[k]
            inner = parent >= 0
            self._entries(parent[inner] * T + t[inner], columns[inner], np.full(int(inner.sum()), sign))
            out.append(place)
        self.items += 2 * len(a.inputs.nodes)
        self._into_rules(out[0], out[1])
        return out[0], out[1]

    def _into_rules(self, more_in: Ints, more_out: Ints) -> None:
        """A rule about a node sees the power beyond its limits too."""
        seen = {"import_kw": (1.0, 0.0), "export_kw": (0.0, 1.0)}
        rows: list[int] = []
        columns: list[int] = []
        values: list[float] = []
        for r, rule in enumerate(self.a.inputs.rules):
            for coefficient, what, name, variable, step in rule.terms:
                if what != "node":
                    continue
                k = self.a.inputs.node_index[name]
                for place, sign in zip((more_in, more_out), seen.get(variable, (1.0, -1.0)), strict=True):
                    if sign and place[k, step] >= 0:
                        rows.append(self.a.rule_row + r)
                        columns.append(int(place[k, step]))
                        values.append(coefficient * sign)
        self._entries(np.array(rows, np.int64), np.array(columns, np.int64), np.array(values))

    def _free_pins(self) -> None:
        """Columns of what a held variable lies above, and below, its pin; a row each ties them together."""
        h = self.held
        pins = self.a.inputs.pins
        self.lower[h.column] = np.minimum(h.low, h.value)
        self.upper[h.column] = np.maximum(h.high, h.value)
        names: dict[tuple[str, str], int] = {}
        for p in h.pin:
            names.setdefault(_pin_key(pins[p]), self.items + len(names))
        item = np.array([names[_pin_key(pins[p])] for p in h.pin], np.int64)
        self.items += len(names)
        hourly = np.array([unit_of(pins[p].variable) == "kW" for p in h.pin], bool)
        weight = np.where(hourly, self.a.inputs.axis.step_h, 1.0)
        above, below = (self._add(PIN, item, weight, h.step) for _ in range(2))
        rows = len(self.row_lower) + np.arange(len(h.column))
        self.row_lower = np.concatenate([self.row_lower, h.value])
        self.row_upper = np.concatenate([self.row_upper, h.value])
        for columns, value in ((h.column, 1.0), (above, -1.0), (below, 1.0)):
            self._entries(rows, columns, np.full(len(rows), value))
        self._turn_round(below)

    def _turn_round(self, below: Ints) -> None:
        """What excludes a held variable may be used as far as that gives way: other / most <= below / value."""
        h = self.held
        most = np.where(np.isfinite(h.other_high), h.other_high, 0.0)
        self.lower[h.other], self.upper[h.other] = np.minimum(self.lower[h.other], 0.0), most
        rows = len(self.row_lower) + np.arange(len(h.other))
        self.row_lower = np.concatenate([self.row_lower, np.full(len(rows), -np.inf)])
        self.row_upper = np.concatenate([self.row_upper, np.zeros(len(rows))])
        self._entries(rows, h.other, np.ones(len(rows)))
        self._entries(rows, below[h.other_to], -most / h.value[h.other_to])

    def _free_rows(self, rows: Ints, category: int, names: Sequence[str]) -> tuple[Ints, Ints]:
        """Columns of what rows fall short of, and exceed."""
        of = {name: self.items + k for k, name in enumerate(dict.fromkeys(names))}
        item = np.array([of[name] for name in names], np.int64)
        self.items += len(of)
        n = len(rows)
        up, down = (self._add(category, item, np.ones(n), np.zeros(n, np.int64)) for _ in range(2))
        self._entries(rows, up, np.ones(n))
        self._entries(rows, down, -np.ones(n))
        return up, down

    def used(self, x: Floats) -> Ints:
        """Items that give."""
        return np.unique(self.item[(x[self.free] > TOLERANCE) & (self.category != ASSET)])

    def rule_values(self, x: Floats) -> Floats:
        """What every rule's sum comes to: its row's value without what it was given."""
        y = x[: self.n + len(self.free)].copy()
        for columns in self.rule_columns:
            y[columns] = 0.0
        value: Floats = (self.lp.matrix() @ y)[self.a.rule_row : len(self.a.lp.row_lower)]
        return value

    @cached_property
    def lp(self) -> LinearProgram:
        """The enlarged programme, without a goal and with everything free."""
        S = len(self.item)
        cat = np.concatenate
        sides = np.abs(cat([self.row_lower, self.row_upper]))
        most = MOST_GIVEN + 10.0 * float(sides[np.isfinite(sides)].max(initial=0.0))
        matrix = sp.coo_array(
            (cat(self._v), (cat(self._i), cat(self._j))), shape=(len(self.row_lower), self.n + S)
        ).tocsc()
        matrix.sum_duplicates()
        return LinearProgram(
            np.zeros(self.n + S), 0.0,
            cat([self.lower, np.zeros(S)]), cat([self.upper, np.full(S, most)]), self.row_lower, self.row_upper,
            matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32), matrix.data,
        )  # fmt: skip


def _pin_key(pin: Pin) -> tuple[str, str]:
    """What gives as one: an outage ends for the whole asset, a pin for its variable."""
    return pin.asset, "outage" if pin.why == "outage" else pin.variable


@dataclass(frozen=True)
class _Point:
    """Least violations: all columns of the elastic programme, and what the categories beside the lead had to give."""

    x: Floats
    beside: float


class _Stages:
    """One lead's sequence of goals: what the others give, what the lead gives, emergencies, peaks, and the rest late.

    With whole decisions each goal is a search of its own; the last one is an LP around the decisions found.
    """

    def __init__(self, e: _Elastic, lp: LinearProgram, whole: bool, deadline: float) -> None:
        self.e, self.lp, self.whole, self.deadline = e, lp, whole, deadline
        self.upper = lp.upper.copy()
        self.caps: list[tuple[Ints, Floats, float]] = []
        self.session = Session(lp)
        if whole:
            _keep_whole(self.session, e.a, lp.lower, lp.upper)

    def least(self, columns: Ints, cost: Floats) -> Floats | None:
        """The point of least cost, or None."""
        c = np.zeros(self.session.columns)
        c[columns] = cost
        self.session.costs(np.arange(self.session.columns), c)
        answer = self.session.run(_left(self.deadline), 1e-6) if self.whole else self.session.run()
        return answer.x if answer.has_point else None

    def _most(self, columns: Ints, most: Floats | float) -> None:
        """Let columns go up to ``most``."""
        self.upper[columns] = np.maximum(most, self.lp.lower[columns])
        self.session.bounds(columns, self.lp.lower[columns], self.upper[columns])

    def _cap(self, columns: Ints, weight: Floats, total: float) -> None:
        """Keep a weighted sum at what was reached."""
        most = total + (1e-6 if self.whole else 1e-9) * max(1.0, total)
        self.caps.append((columns, weight, most))
        self._add_cap(*self.caps[-1])

    def _add_cap(self, columns: Ints, weight: Floats, most: float) -> None:
        self.session.add_rows(np.array([-np.inf]), np.array([most]), np.array([0]), columns, weight)

    def led_by(
        self, lead: int, forbidden: Iterable[int], allowance: Floats | None, sparing: Ints = _NO_INTS
    ) -> _Point | None:
        """``sparing``: columns to be used as little as the others' least allows."""
        e = self.e
        self._most(e.free[np.isin(e.item, list(forbidden))], 0.0)
        if allowance is not None:
            self._most(e.free[e.category == ASSET], allowance)
        mine, others = e.category == lead, (e.category != lead) & (e.category != ASSET)
        beside = 0.0
        if others.any():
            x = self.least(e.free[others], e.weight[others])
            if x is None:
                return None
            beside = float(e.weight[others] @ x[e.free[others]])
            if beside <= TOLERANCE:
                self._most(e.free[others], 0.0)
            else:
                self._cap(e.free[others], e.weight[others], beside)
        x = self.least(sparing, np.ones(len(sparing))) if len(sparing) else None
        if x is not None:
            self._most(sparing, x[sparing])
        x = self.least(e.free[mine], e.weight[mine])
        return None if x is None else _Point(self._shape(x)[: e.n + len(e.free)], beside)

    def _shape(self, x: Floats) -> Floats:
        """What gives is settled: spare emergencies beside it, then make its peaks small, then all else.

        Peaks come before energy, for a limit's mend is one number: a battery that burns energy in bursts would save
        energy beyond the limit and need a far higher one.
        """
        e = self.e
        giving = (e.category != ASSET) & np.isin(e.item, e.used(x))
        self._most(e.free[(e.category != ASSET) & ~giving], 0.0)
        x = self._spare_emergencies(x, e.free[giving], e.weight[giving])
        limits = giving & (e.category == LIMIT)
        if limits.any():
            x = self._small_peaks(x, limits)
        if self.whole:
            self._hold_decisions(x)
        late = e.weight[giving] * (1.0 - LATER * e.step[giving] / e.a.inputs.axis.steps)
        better = self.least(e.free[giving], late)
        return x if better is None else better

    def _spare_emergencies(self, x: Floats, giving: Ints, weight: Floats) -> Floats:
        """Where something gives anyway it gives enough; at other steps it does not give for this."""
        a = self.e.a
        if not len(a.emergencies):
            return x
        if float(a.emergency_weight @ x[a.emergencies]) > TOLERANCE:
            idle = giving[x[giving] <= TOLERANCE]
            self._most(idle, 0.0)
            cost = np.concatenate([weight, EMERGENCY * a.emergency_weight])
            better = self.least(np.concatenate([giving, a.emergencies]), cost)
            self._most(idle, self.lp.upper[idle])
            x = x if better is None else better
        self._most(a.emergencies, np.minimum(x[a.emergencies], self.upper[a.emergencies]))
        return x

    def _small_peaks(self, x: Floats, limits: Bools) -> Floats:
        """The least sum of each limit's largest violation [kW]."""
        e = self.e
        items, which = np.unique(e.item[limits], return_inverse=True)
        free, n = e.free[limits], int(limits.sum())
        peaks = self.session.add_columns(np.zeros(len(items)), np.full(len(items), np.inf), np.zeros(len(items)))
        index = np.column_stack([free, peaks[which]]).ravel()
        self.session.add_rows(np.full(n, -np.inf), np.zeros(n), np.arange(0, 2 * n, 2), index, np.tile([1.0, -1.0], n))
        better = self.least(peaks, np.ones(len(items)))
        x = x if better is None else better
        most = np.zeros(len(items))
        np.maximum.at(most, which, x[free])
        self._most(free, most[which] + (1e-7 if self.whole else 0.0))
        return x

    def _hold_decisions(self, x: Floats) -> None:
        """Go on with an LP whose decisions are as the search left them."""
        a, lower, upper = self.e.a, self.lp.lower.copy(), self.upper.copy()
        for s in a.semi:
            j, least = s.columns.ravel(), s.minimum.ravel()
            on = (x[j] > 0.5 * least) | (least <= 0)
            lower[j] = np.where(on, np.maximum(least, lower[j]), lower[j])
            upper[j] = np.where(on, upper[j], np.maximum(lower[j], 0.0))
        for w in a.whole:
            j = w.columns.ravel()
            lower[j] = upper[j] = np.round(x[j])
        for first, second in _exclusive(a):
            weaker = np.where(x[first] >= x[second], second, first)
            upper[weaker] = np.maximum(lower[weaker], 0.0)
        self.whole = False
        self.session = Session(replace(self.lp, lower=lower, upper=upper))
        for cap in self.caps:
            self._add_cap(*cap)


# --- the search ------------------------------------------------------------------------------------------------------


class _Search:
    """Leads tried in turn; what they find is read, told and proven."""

    def __init__(self, a: Assembly, whole: bool, deadline: float, limit_s: float) -> None:
        self.a, self.whole, self.deadline, self.limit_s = a, whole, deadline, limit_s
        self.e = _Elastic(a, with_assets=False)
        self.allowance: Floats | None = None
        self.culprits: list[Culprit] = []
        self.options: list[Option] = []

    def explain(self) -> Explanation:
        if len(self.e.crossed) or not self._all_free():
            self._assets()
        for lead in (LIMIT, PIN, RULE):
            if (self.e.category == lead).any():
                self._lead(lead)
        late = self.whole and time.perf_counter() >= self.deadline
        return Explanation(tuple(self.culprits), tuple(self.options), self._words(late))

    def _stages(self, turned: Bools | None, pulled: Bools | None = None) -> _Stages:
        """A session with the searches' restrictions on pins.

        ``turned``: of the variables that exclude a held one, those used in its place; all others stay at zero. None
        leaves it to the relaxation. ``pulled``: held variables that must lie within their devices' own bounds.
        """
        e, h = self.e, self.e.held
        lower, upper = e.lp.lower.copy(), e.lp.upper.copy()
        if turned is not None and not self.whole:
            upper[h.other[~turned]] = np.minimum(upper[h.other[~turned]], 0.0)
            given_up = h.column[h.other_to[turned]]
            upper[given_up] = np.maximum(lower[given_up], 0.0)
        if pulled is not None:
            lower[h.column[pulled]], upper[h.column[pulled]] = h.low[pulled], h.high[pulled]
        return _Stages(e, replace(e.lp, lower=lower, upper=upper), self.whole, self.deadline)

    def _all_free(self) -> bool:
        """Whether limits, pins and rules together can restore a plan."""
        return self._stages(None).least(_NO_INTS, _NO_FLOATS) is not None

    def _assets(self) -> None:
        """The last resort: what devices and contracts miss of their own demands when everything else is free."""
        self.e = e = _Elastic(self.a, with_assets=True)
        assets = e.category == ASSET
        x = self._stages(None).least(e.free[assets], e.weight[assets])
        if x is None:
            return
        self.allowance = x[e.free[assets]] * (1 + 1e-9) + 1e-9
        self.culprits += _Reader(e, x).assets()

    def _lead(self, lead: int) -> None:
        """A lead's option, and what could give in place of each of its few things."""
        point = self._point(lead, ())
        if point is None:
            return
        self._take(point)
        used = self.e.used(point.x)
        if len(used) > MOST_ITEMS or self.allowance is not None:
            return
        for item in used:
            other = self._point(lead, (int(item),)) if len(self.options) < MOST_OPTIONS else None
            if other is not None and other.beside <= point.beside + TOLERANCE * max(1.0, point.beside):
                self._take(other)

    def _point(self, lead: int, forbidden: Iterable[int]) -> _Point | None:
        """The lead's least violations. What excludes a held variable is used only where nothing less will do."""
        h = self.e.held
        point = self._within(lead, forbidden, np.zeros(len(h.other), bool))
        if self.whole or not len(h.other) or (point is not None and point.beside <= TOLERANCE):
            return point
        relaxed = self._within(lead, forbidden, None)
        if relaxed is None or (point is not None and relaxed.beside >= point.beside - TOLERANCE):
            return point
        turned = self._within(lead, forbidden, relaxed.x[h.other] > TOLERANCE)
        return turned if point is None or (turned is not None and turned.beside < point.beside - TOLERANCE) else point

    def _within(self, lead: int, forbidden: Iterable[int], turned: Bools | None) -> _Point | None:
        """A pin beyond its device's own bounds that gives way at all gives way to those bounds."""
        h = self.e.held
        pulled = np.zeros(len(h.column), bool)
        sparing = h.other if turned is None else _NO_INTS
        while True:
            point = self._stages(turned, pulled).led_by(lead, forbidden, self.allowance, sparing)
            if point is None:
                return None
            value = point.x[h.column]
            outside = (value > h.high + TOLERANCE) | (value < h.low - TOLERANCE)
            outside &= (np.abs(value - h.value) > TOLERANCE) & ~pulled
            if not outside.any():
                return point
            pulled |= outside

    def _take(self, point: _Point) -> None:
        """Offer what a point shows, and name its culprits; those that turn out to be mended by the others are left."""
        read = _Reader(self.e, point.x)
        over, raised = read.limits()
        pins, changed = read.pins()
        rules, relaxed = read.rules()
        culprits = [*over, *pins, *rules]
        # A device that contradicts itself leaves no plan whatever else gives.
        if self.allowance is None:
            needed = self._offer((*raised, *changed, *relaxed))
            if needed is not None:
                culprits = [c for c in culprits if any(_mends(m, c) for m in needed)]
            lowered = read.lowered()
            if lowered is not None:
                self._offer((*lowered, *changed, *relaxed))
        self.culprits += [c for c in culprits if not any(_same(c, known) for known in self.culprits)]

    def _offer(self, mends: tuple[Mend, ...]) -> tuple[Mend, ...] | None:
        """Keep an option that is new and proven, without what it does not need; its amounts loosened if need be."""
        for tried in (mends, tuple(_loosened(m, self.a.inputs.axis) for m in mends)):
            if self._mends_all(tried):
                tried = self._pruned(tried)
                if not any(option.mends == tried for option in self.options):
                    self.options.append(Option(tried))
                return tried
        return None

    def _pruned(self, mends: tuple[Mend, ...]) -> tuple[Mend, ...]:
        """Categories are used in turn, so that an early one may have become needless in the end."""
        if len(mends) > MOST_PRUNED:
            return mends
        for m in reversed(mends):
            rest = tuple(other for other in mends if other is not m)
            if rest and self._mends_all(rest):
                mends = rest
        return mends

    def _mends_all(self, mends: tuple[Mend, ...]) -> bool:
        return bool(_has_plan(assemble(apply(self.a.inputs, mends)), self.whole, self.deadline))

    def _words(self, late: bool) -> str:
        if not self.culprits:
            return TEXTS["late"].format(limit=_tidy(self.limit_s)) if late else TEXTS["none"]
        lines = [TEXTS["head.whole" if self.whole else "head"], *_culprit_lines(self.culprits)]
        if not self.options:
            return "\n".join([*lines, TEXTS["mend.none"]])
        if len(self.options) == 1:
            return "\n".join([*lines, TEXTS["mend.one"].format(option=self.options[0].words)])
        lines.append(TEXTS["mend.many"])
        lines += [TEXTS["option"].format(number=k, words=o.words) for k, o in enumerate(self.options, 1)]
        return "\n".join(lines)


def _mends(m: Mend, c: Culprit) -> bool:
    """Whether a mend is about a culprit."""
    quantity = m.kind == "outage" or m.quantity == c.quantity
    return quantity and (m.kind, m.id) == (c.category, c.id) and m.first < c.last and c.first < m.last


def _same(c: Culprit, known: Culprit) -> bool:
    one = (c.category, c.id, c.quantity) == (known.category, known.id, known.quantity)
    return one and c.first < known.last and known.first < c.last


# --- from a point to culprits and mends ------------------------------------------------------------------------------

Found = tuple[list[Culprit], list[Mend]]


class _Reader:
    """What a point of the elastic programme violates, read from its flows, and the mends that follow."""

    def __init__(self, e: _Elastic, x: Floats) -> None:
        self.e, self.x = e, x
        self.inputs = e.a.inputs
        self.axis = e.a.inputs.axis
        self.net = self._net()
        self.over_in = np.maximum(self.net - e.net_high, 0.0)
        self.over_out = np.maximum(e.net_low - self.net, 0.0)

    def _net(self) -> Floats:
        """(N, T) net power of every node, with what flows beyond the limits."""
        e = self.e
        net = np.array([e.a.net_kw(k, self.x[: e.n]) for k in range(len(e.a.nodes))])
        for place, sign in zip(e.limit_columns, (1.0, -1.0), strict=True):
            k, t = np.nonzero(place >= 0)
            net[k, t] += sign * self.x[place[k, t]]
        return net

    def limits(self) -> Found:
        powers = _Powers(self.e.a, self.x)
        culprits: list[Culprit] = []
        mends: list[Mend] = []
        for k, node in enumerate(self.inputs.nodes):
            for quantity, over, flow in (
                ("import_max_kw", self.over_in[k], self.net[k]), ("export_max_kw", self.over_out[k], -self.net[k])
            ):  # fmt: skip
                hit = over > TOLERANCE
                culprits += [self._limit(node, k, quantity, over, *run, powers) for run in _runs(hit)]
                mends += _limit_mends(self.axis, node, quantity, flow + node.reserve_kw, hit)
        return culprits, mends

    def lowered(self) -> list[Mend] | None:
        """Reserves lowered in place of limits raised; None where they cannot make up for all of it."""
        mends: list[Mend] = []
        for k, node in enumerate(self.inputs.nodes):
            hit = np.maximum(self.over_in[k], self.over_out[k]) > TOLERANCE
            left = np.minimum(node.import_max_kw - self.net[k], node.export_max_kw + self.net[k])
            if (left < -TOLERANCE)[hit].any():
                return None
            mends += _limit_mends(self.axis, node, "reserve_kw", left, hit)
        return mends or None

    def _limit(
        self, node: Node, k: int, quantity: str, over: Floats, first: int, last: int, powers: _Powers
    ) -> Culprit:
        worst = first + int(over[first:last].argmax())
        side, sign = ("import", 1.0) if quantity == "import_max_kw" else ("export", -1.0)
        limit, reserve = float(getattr(node, quantity)[worst]), float(node.reserve_kw[worst])
        who = powers.largest(k, worst, sign)
        energy = float(over[first:last].sum() * self.axis.step_h)
        return _culprit(
            self.axis, side if limit or reserve else f"{side}.closed",
            Culprit("limit", node.id, quantity, first, last, limit, float(over[worst]), "kW", energy, who, ""),
            beside=_beside(limit, reserve), who=_who(side, who),
        )  # fmt: skip

    def pins(self) -> Found:
        """One culprit a run of steps on which a pin gives the same way; one a run on which an outage gives at all."""
        h, pins = self.e.held, self.inputs.pins
        off = self.x[h.column] - h.value
        runs: dict[tuple[str, str, float], list[int]] = {}
        for i in np.flatnonzero(np.abs(off) > TOLERANCE):
            pin = pins[h.pin[i]]
            sign = 0.0 if pin.why == "outage" or self._is_between(pin, int(h.step[i])) else float(np.sign(off[i]))
            runs.setdefault((*_pin_key(pin), sign), []).append(int(i))
        culprits: list[Culprit] = []
        mends: list[Mend] = []
        for (asset, name, _), found in runs.items():
            places = np.array(found)
            steps = np.zeros(self.axis.steps, bool)
            steps[h.step[places]] = True
            for first, last in _runs(steps):
                here = places[(h.step[places] >= first) & (h.step[places] < last)]
                culprit, mend = (self._outage if name == "outage" else self._pin)(asset, here, off[here], first, last)
                culprits.append(culprit)
                mends.append(mend)
        return culprits, mends

    def _pin(self, asset: str, places: Ints, off: Floats, first: int, last: int) -> tuple[Culprit, Mend]:
        h = self.e.held
        pin = self.inputs.pins[h.pin[places[int(np.abs(off).argmax())]]]
        amount, energy = self._size(pin.variable, off)
        key = "pin.high" if off[0] < 0 else "pin.low"
        if self._is_between(pin, first):
            key, amount = "pin.whole", max(amount, 1.0) if self._is_whole(pin) else amount
        unit = unit_of(pin.variable)
        culprit = _culprit(
            self.axis, key,
            Culprit("pin", asset, pin.variable, first, last, pin.value, amount, unit, energy, (), ""),
        )  # fmt: skip
        value = self.x[h.column[places]]
        new: float | None = None
        if np.ptp(value) <= NOISE and self._decision(pin) is None:
            new = _down(float(value.min())) if off[0] < 0 else _up(float(value.max()))
        return culprit, _pin_mend(self.axis, asset, pin.variable, pin.value, new, first, last)

    def _outage(self, asset: str, places: Ints, off: Floats, first: int, last: int) -> tuple[Culprit, Mend]:
        """The largest power, or else the largest of what is needed, stands for the asset."""
        names = np.array([self.inputs.pins[p].variable for p in self.e.held.pin[places]])
        powers = np.array([unit_of(name) == "kW" for name in names])
        worst = int(np.lexsort((np.abs(off), powers))[-1])
        variable = str(names[worst])
        amount, energy = self._size(variable, off[names == variable])
        unit = unit_of(variable)
        culprit = _culprit(
            self.axis, "outage",
            Culprit("outage", asset, variable, first, last, 0.0, amount, unit, energy, (), ""),
        )  # fmt: skip
        return culprit, _outage_mend(self.axis, asset, first, last)

    def _size(self, variable: str, off: Floats) -> tuple[float, float | None]:
        """The largest distance, and the energy of a power's distances."""
        size = np.abs(off)
        return float(size.max()), float(size.sum() * self.axis.step_h) if unit_of(variable) == "kW" else None

    def _decision(self, pin: Pin) -> Whole | SemiContinuous | None:
        """The decision that keeps the variable from taking just any value."""
        for d in self.inputs.groups[self.inputs.where[pin.asset][0]].family.decisions:
            if not isinstance(d, Exclusive) and d.variable == pin.variable:
                return d
        return None

    def _is_whole(self, pin: Pin) -> bool:
        return isinstance(self._decision(pin), Whole)

    def _is_between(self, pin: Pin, step: int) -> bool:
        """Whether there is no such thing as a little more or less: 0 or 1, or a value below the least power."""
        decision = self._decision(pin)
        if not isinstance(decision, SemiContinuous):
            return decision is not None
        g, k = self.inputs.where[pin.asset]
        group = self.inputs.groups[g]
        least = group.columns[decision.minimum][k]
        return bool(0 < pin.value < (least if np.ndim(least) == 0 else least[step - group.offset[k]]))

    def rules(self) -> Found:
        """One culprit a name and side: a rule of the user's may be many rows."""
        value = self.e.rule_values(self.x)
        missed: dict[tuple[str, str], list[tuple[float, LinearRule]]] = {}
        for rule, v in zip(self.inputs.rules, value, strict=True):
            for side, short in (("low", rule.low - v), ("high", v - rule.high)):
                if short > TOLERANCE:
                    missed.setdefault((rule.name, side), []).append((float(short), rule))
        culprits, mends = [], []
        for (name, side), found in missed.items():
            amount, worst = max(found, key=lambda f: f[0])
            first, last = _steps([rule for _, rule in found], self.axis.steps)
            limit = float(getattr(worst, side))
            units = {unit_of(term[3]) for _, rule in found for term in rule.terms}
            unit = units.pop() if len(units) == 1 else ""
            culprit = Culprit("rule", name, side, first, last, limit, amount, unit, None, (), "")
            culprits.append(_culprit(self.axis, f"rule.{side}", culprit))
            new = _down(limit - amount) if side == "low" else _up(limit + amount)
            mends.append(_rule_mend(name, side, limit, new, first, last))
        return culprits, mends

    def assets(self) -> list[Culprit]:
        """Rows that devices and contracts miss, and bounds of theirs that contradict themselves, one a run of steps."""
        a = self.e.a
        missed: dict[tuple[str, str], dict[int, float]] = {}
        first_row = len(a.inputs.nodes) * self.axis.steps
        size = np.maximum(*(self.x[columns] for columns in self.e.asset_columns))
        for i in np.flatnonzero(size > TOLERANCE):
            _, name, row, step = a.row_name(first_row + int(i))
            missed.setdefault((name, row), {})[step] = float(size[i])
        for j in self.e.crossed:
            _, name, variable, step = a.column_name(int(j))
            missed.setdefault((name, variable), {})[step] = float(a.lp.lower[j] - a.lp.upper[j])
        culprits = []
        for (name, row), by_step in missed.items():
            at = np.zeros(self.axis.steps, bool)
            at[[t for t in by_step if t >= 0]] = True
            for first, last in _runs(at) or [(0, self.axis.steps)]:
                amount = max(v for t, v in by_step.items() if t < 0 or first <= t < last)
                culprit = Culprit("asset", name, row, first, last, 0.0, amount, unit_of(row), None, (), "")
                culprits.append(_culprit(self.axis, "asset", culprit))
        return culprits


class _Powers:
    """Power of every device's ports at a point, computed when first asked for."""

    def __init__(self, a: Assembly, x: Floats) -> None:
        self.a, self.x = a, x
        self._known: dict[tuple[int, str], Floats] = {}

    def _port(self, g: int, port: str) -> Floats:
        """(n, steps) on the devices' own windows."""
        if (g, port) not in self._known:
            block = self.a.blocks[g]
            t, group = block.template, block.group
            numbers = t.numbers(group.columns, self.a.inputs.axis.step_h, group.n)
            terms, constant = t.ports[port]
            out = constant.evaluate(numbers)
            if len(terms.column):
                columns = block.first + np.arange(group.n)[:, None] * t.width + terms.column
                rows = np.arange(group.n)[:, None]
                np.add.at(out, (rows, terms.row), terms.value.evaluate(numbers) * self.x[columns])
            self._known[g, port] = out
        return self._known[g, port]

    def largest(self, node: int, step: int, sign: float) -> tuple[tuple[str, float], ...]:
        """(asset, kW) of what draws (sign 1) or feeds in (-1) at a node and below it, largest first."""
        below = _branch(self.a.inputs, node)
        found: dict[str, float] = {}
        for g, block in enumerate(self.a.blocks):
            group = block.group
            for port in block.template.ports:
                local = step - group.offset
                here = below[group.nodes[port]] & (local >= 0) & (local < group.steps)
                for k in np.flatnonzero(here):
                    power = sign * float(self._port(g, port)[k, local[k]])
                    if power > TOLERANCE:
                        found[group.ids[k]] = found.get(group.ids[k], 0.0) + power
        return tuple(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _branch(inputs: Inputs, node: int) -> Bools:
    """(N,) the node and every node below it."""
    below = np.zeros(len(inputs.nodes), bool)
    below[node] = True
    for k in range(len(inputs.nodes)):
        chain = []
        j = k
        while j >= 0 and not below[j]:
            chain.append(j)
            j = int(inputs.parents[j])
        if j >= 0:
            below[chain] = True
    return below


def _runs(hit: Bools) -> list[tuple[int, int]]:
    """Contiguous True entries as [first, last)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], hit, [False]]).astype(np.int8)))
    return [(int(f), int(e)) for f, e in edges.reshape(-1, 2)]


def _steps(rules: Sequence[LinearRule], steps: int) -> tuple[int, int]:
    """The steps that rules speak of, [first, last); all where one speaks of the whole horizon."""
    named = [term[4] for rule in rules for term in rule.terms]
    if not named or min(named) < 0:
        return 0, steps
    return min(named), max(named) + 1


# --- mends -----------------------------------------------------------------------------------------------------------


def _limit_mends(axis: Axis, node: Node, quantity: str, wanted: Floats, hit: Bools) -> list[Mend]:
    """One number for a limit that is the same all along; else one per run of steps."""
    values: Floats = getattr(node, quantity)
    change = np.where(hit, np.abs(wanted - np.where(hit, values, 0.0)), 0.0)
    mends: list[Mend] = []
    runs: list[tuple[int, int] | None] = [None] if (values == values[0]).all() and hit.any() else [*_runs(hit)]
    for run in runs:
        first, last = run or (0, axis.steps)
        inside = first + np.flatnonzero(hit[first:last])
        new = _down(wanted[inside].min()) if quantity == "reserve_kw" else _up(wanted[inside].max())
        worst = inside[change[inside].argmax()]
        mends.append(_limit_mend(axis, node.id, quantity, float(values[worst]), new, run))
    return mends


def _limit_mend(axis: Axis, node: str, quantity: str, old: float, new: float, run: tuple[int, int] | None) -> Mend:
    """``run`` None: one number for the whole horizon, which a ``--set`` can say."""
    key = "lower" if quantity == "reserve_kw" else "raise"
    new = max(new, 0.0)
    if run is None:
        words = TEXTS[key].format(id=node, quantity=quantity, old=_tidy(old), new=_tidy(new))
        setting = f"node.{node}.{quantity}={_tidy(new)}"
        return Mend("limit", node, quantity, old, new, 0, axis.steps, words, setting)
    words = TEXTS[f"{key}.part"].format(id=node, quantity=quantity, new=_tidy(new), when=_when(axis, *run))
    return Mend("limit", node, quantity, old, new, *run, words)


def _pin_mend(axis: Axis, asset: str, variable: str, old: float, new: float | None, first: int, last: int) -> Mend:
    held = "" if new is None else _tidy(new)
    words = TEXTS["hold" if held else "release"].format(
        id=asset, quantity=variable, old=_tidy(old), new=held, when=_when(axis, first, last)
    )
    return Mend("pin", asset, variable, old, new, first, last, words)


def _outage_mend(axis: Axis, asset: str, first: int, last: int) -> Mend:
    words = TEXTS["service"].format(id=asset, when=_when(axis, first, last))
    return Mend("outage", asset, "outage", 0.0, None, first, last, words)


def _rule_mend(name: str, side: str, old: float, new: float, first: int, last: int) -> Mend:
    words = TEXTS[f"relax.{side}"].format(id=name, old=_tidy(old), new=_tidy(new))
    return Mend("rule", name, side, old, new, first, last, words)


def _loosened(m: Mend, axis: Axis) -> Mend:
    """The same mend with a little more room; a pin is released."""
    if m.kind == "pin":
        return _pin_mend(axis, m.id, m.quantity, m.old, None, m.first, m.last)
    if m.new is None:
        return m
    room = max(STEP, 1e-6 * abs(m.new))
    if m.kind == "rule":
        new = _down(m.new - room) if m.quantity == "low" else _up(m.new + room)
        return _rule_mend(m.id, m.quantity, m.old, new, m.first, m.last)
    new = _down(m.new - room) if m.quantity == "reserve_kw" else _up(m.new + room)
    return _limit_mend(axis, m.id, m.quantity, m.old, new, (m.first, m.last) if m.setting is None else None)


def _up(value: float) -> float:
    return round(math.ceil((value - NOISE) / STEP) * STEP, 2)


def _down(value: float) -> float:
    return round(math.floor((value + NOISE) / STEP) * STEP, 2)


# --- numbers and times in words --------------------------------------------------------------------------------------


def _culprit(axis: Axis, key: str, c: Culprit, **more: str) -> Culprit:
    """The culprit with its sentence."""
    text = TEXTS[key].format(
        when=_when(axis, c.first, c.last), id=c.id, quantity=c.quantity, limit=_tidy(c.limit), amount=_more(c.amount),
        unit=f" {c.unit}" if c.unit else "",
        energy="" if c.energy_kwh is None else TEXTS["energy"].format(energy=_tidy(c.energy_kwh)), **more,
    )  # fmt: skip
    return replace(c, words=text[:1].upper() + text[1:])


def _tidy(value: float) -> str:
    """At most two decimals, none that say nothing; a smaller number keeps its first digits."""
    if value and abs(value) < STEP / 2:
        return f"{value:.1g}"
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")


def _more(amount: float) -> str:
    """An amount rounded as the mends are, so that limit and amount add up."""
    return _tidy(_up(amount) if amount > STEP else amount)


def _who(side: str, powers: Sequence[tuple[str, float]]) -> str:
    if not powers:
        return ""
    named = [TEXTS["power"].format(id=name, power=_tidy(power)) for name, power in powers[:MOST_NAMED]]
    rest = powers[MOST_NAMED:]
    if rest:
        named.append(TEXTS["others"].format(count=len(rest), power=_tidy(sum(power for _, power in rest))))
    return TEXTS[f"who.{side}"].format(list=", ".join(named))


def _beside(limit: float, reserve: float) -> str:
    return TEXTS["beside" if reserve < limit else "beside.none"].format(reserve=_tidy(reserve)) if reserve else ""


def _when(axis: Axis, first: int, last: int) -> str:
    """``Thu 15 Jan 18:00–19:15`` in local time; midnight at the end of the day is 24:00."""
    if first <= 0 and last >= axis.steps:
        return TEXTS["throughout"]
    start, end = axis.label(first), axis.label(last)
    if end.endswith("00:00"):
        end = axis.label(last - 1)[:-5] + "24:00"
    if start[:-5] == end[:-5]:
        return TEXTS["day"].format(first=start, last=end[-5:])
    return TEXTS["days"].format(first=start, last=end)


def _culprit_lines(culprits: Sequence[Culprit]) -> list[str]:
    """One line a culprit; of one limit only the largest intervals; not more lines than a person reads."""
    groups: dict[tuple[str, str, str], list[Culprit]] = {}
    for c in culprits:
        groups.setdefault((c.category, c.id, c.quantity), []).append(c)
    lines: list[str] = []
    left = len(culprits)
    for (_, name, _), members in groups.items():
        if len(lines) >= MOST_LINES:
            break
        named = sorted(sorted(members, key=lambda c: -c.amount)[:MOST_NAMED], key=lambda c: c.first)
        lines += [c.words for c in named]
        rest = len(members) - len(named)
        if rest:
            lines.append(_counted("more", rest, id=name))
        left -= len(members)
    if left:
        lines.append(_counted("rest", left))
    return lines


def _counted(key: str, count: int, **fields: str) -> str:
    return TEXTS[f"{key}.{'one' if count == 1 else 'many'}"].format(count=count, **fields)
