"""A mend: one change of the Inputs that takes a contradiction away; an option: mends that together suffice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gridopt.clock import Axis
from gridopt.model.inputs import Inputs, Pin
from gridopt.solve.culprits import Culprit
from gridopt.solve.words import MOST_LINES, STEP, TEXTS, down, tidy, up, when

MendKind = Literal["limit", "pin", "outage", "rule"]
SHRINKING = ("reserve_kw", "low")
"""What makes room by becoming smaller; all else by becoming larger."""


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
    words: str = ""
    setting: str | None = None

    def is_about(self, c: Culprit) -> bool:
        """Whether it changes what a culprit names, at its time."""
        quantity = self.kind == "outage" or self.quantity == c.quantity
        return quantity and (self.kind, self.id) == (c.category, c.id) and self.first < c.last and c.first < self.last

    def told(self, axis: Axis, one_number: bool = False) -> Mend:
        """With its sentence, and with its setting where ``one_number`` holds for the whole horizon."""
        new = "" if self.new is None else tidy(self.new)
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
        new = None
        if self.new is not None and self.kind != "pin":
            new = away(self.quantity, self.new, max(STEP, 1e-6 * abs(self.new)))
        return replace(self, new=new).told(axis, self.setting is not None)


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


def away(quantity: str, value: float, room: float = 0.0) -> float:
    """A limit or a rule's bound rounded away from the contradiction; no limit falls below zero."""
    new = down(value - room) if quantity in SHRINKING else up(value + room)
    return new if quantity in ("low", "high") else max(new, 0.0)


# --- applying them ---------------------------------------------------------------------------------------------------


def apply(inputs: Inputs, mends: Iterable[Mend]) -> Inputs:
    """The Inputs with mends made: limits raised, reserves lowered, pins changed or cut out, rules relaxed."""
    nodes, pins, rules = list(inputs.nodes), list(inputs.pins), list(inputs.rules)
    for m in mends:
        if m.kind == "limit" and m.new is not None:
            k = inputs.node_index[m.id]
            values = getattr(nodes[k], m.quantity).copy()
            choose = np.minimum if m.quantity in SHRINKING else np.maximum
            values[m.first : m.last] = choose(values[m.first : m.last], m.new)
            nodes[k] = replace(nodes[k], **{m.quantity: values})
        elif m.kind == "rule" and m.new is not None:
            by = m.new - m.old
            rules = [replace(r, **{m.quantity: getattr(r, m.quantity) + by}) if r.name == m.id else r for r in rules]
        else:
            pins = [piece for pin in pins for piece in (_cut(pin, m) if _is_meant(pin, m) else (pin,))]
    return replace(inputs, nodes=tuple(nodes), pins=tuple(pins), rules=tuple(rules))


def _is_meant(pin: Pin, m: Mend) -> bool:
    same = pin.why == "outage" if m.kind == "outage" else pin.variable == m.quantity
    return pin.asset == m.id and same and pin.first < m.last and pin.last > m.first


def _cut(pin: Pin, m: Mend) -> tuple[Pin, ...]:
    """A pin without, or with another value on, the mend's steps."""
    first, last = max(pin.first, m.first), min(pin.last, m.last)
    middle = () if m.new is None else (replace(pin, first=first, last=last, value=m.new),)
    pieces = (replace(pin, last=first), *middle, replace(pin, first=last))
    return tuple(p for p in pieces if p.first < p.last)
