"""A mend: one change of the Inputs that takes a contradiction away; an option: mends that together suffice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from gridopt.clock import Axis, runs
from gridopt.model.inputs import Group, Inputs, Pin
from gridopt.solve.culprits import Culprit
from gridopt.solve.short import Short
from gridopt.solve.words import MOST_LINES, MOST_NAMED, STEP, TEXTS, counted, down, tidy, up, when

MendKind = Literal["limit", "pin", "outage", "rule", "option"]
CURTAILABLE = "curtailable"
"""The option by which a plant's output may be limited."""
SHRINKING = ("reserve_kw", "low")
"""What makes room by becoming smaller; all else by becoming larger."""


@dataclass(frozen=True)
class Mend:
    """One change of the Inputs over the steps [first, last), as ``apply`` makes it.

    ``old``, ``new``: the limit, the pinned value or the rule's bound; ``new`` None releases the pin or ends the outage.
    An ``option`` of an asset becomes true. ``setting``: the same as the text of a ``--set``, where one value says it.
    """

    kind: MendKind
    id: str
    quantity: str
    old: float
    new: float | None
    first: int
    last: int
    words: str = ""
    setting: str | None = None

    def is_about(self, c: Culprit) -> bool:
        """Whether it changes what a culprit names, at its time."""
        quantity = self.kind == "outage" or self.quantity == c.quantity
        return quantity and (self.kind, self.id) == (c.category, c.id) and self.first < c.last and c.first < self.last

    def told(self, axis: Axis, one_number: bool = False) -> Mend:
        """With its sentence, and with its setting where ``one_number`` holds for the whole horizon."""
        new = "" if self.new is None else tidy(self.new)
        if self.kind == "option":
            setting = f"asset.{self.id}.{self.quantity}=true"
            return replace(self, words=TEXTS[f"option.{self.quantity}"].format(id=self.id), setting=setting)
        if self.kind == "limit":
            key = ("lower" if self.quantity in SHRINKING else "raise") + ("" if one_number else ".part")
        elif self.kind == "rule":
            key = f"relax.{self.quantity}"
        else:
            key = "service" if self.kind == "outage" else "hold" if new else "release"
        span = when(axis, self.first, self.last)
        words = TEXTS[key].format(id=self.id, quantity=self.quantity, old=tidy(self.old), new=new, when=span)
        return replace(self, words=words, setting=f"node.{self.id}.{self.quantity}={new}" if one_number else None)

    def placed(self, places: Mapping[str, str]) -> Mend:
        """With the place where its limit is written, if that is no number to be set."""
        place = places.get(f"node.{self.id}.{self.quantity}") if self.kind == "limit" else None
        return self if place is None else replace(self, words=f"{self.words} ({place})", setting=None)

    def loosened(self, axis: Axis) -> Mend:
        """With a little more room; a pin is released."""
        if self.kind == "option":
            return self
        new = None
        if self.new is not None and self.kind != "pin":
            new = away(self.quantity, self.new, max(STEP, 1e-6 * abs(self.new)))
        return replace(self, new=new).told(axis, self.setting is not None)


@dataclass(frozen=True)
class Option:
    """Mends that together make a plan possible; proven by a re-solve.

    ``short``: what the plan then still falls short of, as solving it finds; None where that was not found in time.
    """

    mends: tuple[Mend, ...]
    short: tuple[Short, ...] | None = field(default=None, compare=False)

    @property
    def words(self) -> str:
        lines = [m.words + (TEXTS["set"].format(setting=m.setting) if m.setting else "") for m in self.mends]
        rest = len(lines) - MOST_LINES
        if rest > 1:
            lines = [*lines[:MOST_LINES], TEXTS["mends.more"].format(count=rest)]
        return TEXTS["and"].join(lines) + self._still_short

    @property
    def _still_short(self) -> str:
        if not self.short:
            return ""
        largest = sorted(self.short, key=lambda s: (-s.amount, s.asset, s.quantity))
        said = [
            TEXTS["short"].format(id=s.asset, goal=s.goal, amount=tidy(s.amount), unit=s.unit)
            for s in largest[:MOST_NAMED]
        ]
        rest = len(largest) - len(said)
        if rest:
            said.append(counted("short.more", rest))
        return TEXTS["shorts"].format(list=", ".join(said))


def away(quantity: str, value: float, room: float = 0.0) -> float:
    """A limit or a rule's bound rounded away from the contradiction; no limit falls below zero."""
    new = down(value - room) if quantity in SHRINKING else up(value + room)
    return new if quantity in ("low", "high") else max(new, 0.0)


# --- applying them ---------------------------------------------------------------------------------------------------


def apply(inputs: Inputs, mends: Iterable[Mend]) -> Inputs:
    """The Inputs with mends made: limits raised, reserves lowered, pins changed or cut out, rules relaxed, options."""
    nodes, pins, rules, groups = list(inputs.nodes), list(inputs.pins), list(inputs.rules), inputs.groups
    for m in mends:
        if m.kind == "limit" and m.new is not None:
            k = inputs.node_index[m.id]
            values = getattr(nodes[k], m.quantity).copy()
            choose = np.minimum if m.quantity in SHRINKING else np.maximum
            values[m.first : m.last] = choose(values[m.first : m.last], m.new)
            nodes[k] = replace(nodes[k], **{m.quantity: values})
        elif m.kind == "option":
            groups = _with_option(groups, m.id, m.quantity)
        elif m.kind == "rule" and m.new is not None:
            by = m.new - m.old
            rules = [replace(r, **{m.quantity: getattr(r, m.quantity) + by}) if r.name == m.id else r for r in rules]
        else:
            again = [out for pin in pins if _is_meant(pin, m) for out in _out_again(inputs, pins, pin, m)]
            pins = [piece for pin in pins for piece in (_cut(pin, m) if _is_meant(pin, m) else (pin,))] + again
    return replace(inputs, nodes=tuple(nodes), groups=groups, pins=tuple(pins), rules=tuple(rules))


def _is_meant(pin: Pin, m: Mend) -> bool:
    same = pin.why == "outage" if m.kind == "outage" else pin.why != "outage" and pin.variable == m.quantity
    return pin.asset == m.id and same and pin.first < m.last and pin.last > m.first


def _cut(pin: Pin, m: Mend) -> tuple[Pin, ...]:
    """A pin without, or with another value on, the mend's steps."""
    first, last = max(pin.first, m.first), min(pin.last, m.last)
    middle = () if m.new is None else (replace(pin, first=first, last=last, value=m.new),)
    pieces = (replace(pin, last=first), *middle, replace(pin, first=last))
    return tuple(p for p in pieces if p.first < p.last)


def _out_again(inputs: Inputs, pins: Sequence[Pin], pin: Pin, m: Mend) -> Iterator[Pin]:
    """What is released while its device is out of service is held by the outage: the pin had only won over it."""
    family = inputs.groups[inputs.where[pin.asset][0]].family
    if m.kind != "pin" or m.new is not None or pin.variable not in family.commands or pin.variable in family.shortfalls:
        return
    out = np.zeros(inputs.axis.steps, bool)
    for other in pins:
        if other.asset == pin.asset and other.why == "outage":
            out[other.first : other.last] = True
    out[: max(pin.first, m.first)] = False
    out[min(pin.last, m.last) :] = False
    for first, last in runs(out):
        yield Pin(pin.asset, pin.variable, first, last, 0.0, "outage")


def _with_option(groups: tuple[Group, ...], asset: str, option: str) -> tuple[Group, ...]:
    """The groups with one asset's option true: it goes to another group, all stay in their canonical order."""
    home = next(g for g in groups if asset in g.index)
    k = home.index[asset]
    named = zip(home.family.options, home.options, strict=True)
    moved = replace(_some(home, [k]), options=tuple(True if name == option else value for name, value in named))
    alike = [g for g in groups if (g.family, g.steps, g.options) == (moved.family, moved.steps, moved.options)]
    left = [j for j in range(home.n) if j != k]
    others = [g for g in groups if g is not home and all(g is not a for a in alike)]
    new = [_joined([*alike, moved]), *([_some(home, left)] if left else [])]
    place = {g.family: j for j, g in reversed(list(enumerate(groups)))}
    return tuple(sorted([*others, *new], key=lambda g: (place[g.family], g.steps, repr(g.options))))


def _some(group: Group, rows: Sequence[int]) -> Group:
    """A group of some of its devices."""
    return replace(
        group,
        ids=tuple(group.ids[j] for j in rows),
        columns={name: values[list(rows)] for name, values in group.columns.items()},
        nodes={port: where[list(rows)] for port, where in group.nodes.items()},
        offset=group.offset[list(rows)],
    )


def _joined(parts: Sequence[Group]) -> Group:
    """Groups of one structure as one, by id."""
    whole = replace(
        parts[0],
        ids=tuple(name for g in parts for name in g.ids),
        columns={name: np.concatenate([g.columns[name] for g in parts]) for name in parts[0].columns},
        nodes={port: np.concatenate([g.nodes[port] for g in parts]) for port in parts[0].nodes},
        offset=np.concatenate([g.offset for g in parts]),
    )
    return _some(whole, sorted(range(whole.n), key=lambda j: whole.ids[j]))
