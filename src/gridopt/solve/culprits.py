"""A culprit: one thing that cannot be kept, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gridopt.clock import Axis
from gridopt.solve.words import MOST_LINES, MOST_NAMED, STEP, TEXTS, counted, tidy, up, when

Category = Literal["limit", "pin", "outage", "rule", "asset"]
Powers = tuple[tuple[str, float], ...]
"""(asset, kW), largest first."""


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
    energy_kwh: float | None = None
    powers: Powers = ()
    words: str = ""

    def is_like(self, other: Culprit) -> bool:
        """Whether both name the same thing at the same time."""
        same = (self.category, self.id, self.quantity) == (other.category, other.id, other.quantity)
        return same and self.first < other.last and other.first < self.last

    def told(self, axis: Axis, key: str, **more: str) -> Culprit:
        """With its sentence ``key``; ``more``: fields of the sentence that it does not hold itself."""
        text = TEXTS[key].format(
            when=when(axis, self.first, self.last), id=self.id, quantity=self.quantity, limit=tidy(self.limit),
            # Rounded as the mends are, so that limit and amount add up.
            amount=tidy(up(self.amount) if self.amount > STEP else self.amount),
            unit=f" {self.unit}" if self.unit else "",
            energy="" if self.energy_kwh is None else TEXTS["energy"].format(energy=tidy(self.energy_kwh)), **more,
        )  # fmt: skip
        return replace(self, words=text[:1].upper() + text[1:])


def who(side: str, powers: Powers) -> str:
    """The largest powers by name, the others as a sum."""
    if not powers:
        return ""
    named = [TEXTS["power"].format(id=name, power=tidy(power)) for name, power in powers[:MOST_NAMED]]
    rest = powers[MOST_NAMED:]
    if rest:
        named.append(TEXTS["others"].format(count=len(rest), power=tidy(sum(power for _, power in rest))))
    return TEXTS[f"who.{side}"].format(list=", ".join(named))


def beside(limit: float, reserve: float) -> str:
    """What a reserve leaves of a limit."""
    return TEXTS["beside" if reserve < limit else "beside.none"].format(reserve=tidy(reserve)) if reserve else ""


def lines(culprits: Sequence[Culprit]) -> list[str]:
    """One line a culprit; of one limit only the largest intervals; not more lines than a person reads."""
    groups: dict[tuple[str, str, str], list[Culprit]] = {}
    for c in culprits:
        groups.setdefault((c.category, c.id, c.quantity), []).append(c)
    out: list[str] = []
    left = len(culprits)
    for (_, name, _), members in groups.items():
        if len(out) >= MOST_LINES:
            break
        named = sorted(sorted(members, key=lambda c: -c.amount)[:MOST_NAMED], key=lambda c: c.first)
        out += [c.words for c in named]
        rest = len(members) - len(named)
        if rest:
            out.append(counted("more", rest, id=name))
        left -= len(members)
    if left:
        out.append(counted("rest", left))
    return out
