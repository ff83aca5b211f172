"""What a plan falls short of though no price asks for it: its emergencies, each in its own unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gridopt.solve.ladder import Solution
from gridopt.units import unit_of

SHORT = 1e-3
"""Less than this is no shortfall, in its own unit."""
CAP_SHARE = 1e-6
"""Share of all emergencies together that a plan may spend on any of them beyond the least sum."""
SUMMED = {"kW": "kWh", "K": "K·h"}
"""Units that add up over time."""


@dataclass(frozen=True)
class Short:
    """One goal of one asset missed. Powers and kelvins add up over time; of a stock or a duration the most counts."""

    asset: str
    quantity: str
    goal: str
    amount: float
    unit: str


def shorts(solution: Solution) -> Iterator[Short]:
    """Every emergency of a plan, those that a person's pin causes included."""
    a = solution.assembly
    for block in a.blocks:
        family = block.group.family
        for name in family.emergencies:
            columns = block.columns(name)
            if columns is None:
                continue
            values = solution.x[columns].reshape(block.group.n, -1)
            unit = unit_of(name)
            summed = SUMMED.get(unit)
            amount = values.max(1, initial=0.0) if summed is None else values.sum(1) * a.inputs.axis.step_h
            for asset, size in zip(block.group.ids, amount.tolist(), strict=True):
                if size > 0.0:
                    yield Short(asset, name, family.shortfalls.get(name, name), size, summed or unit)


def fallen_short(solution: Solution) -> dict[str, float]:
    """Unit → what a plan's emergencies come to, beyond what the search leaves open."""
    total: dict[str, float] = {}
    for s in shorts(solution):
        total[s.unit] = total.get(s.unit, 0.0) + s.amount
    least = SHORT + CAP_SHARE * weighted_sum(solution)
    return {unit: amount for unit, amount in sorted(total.items()) if amount > least}


def weighted_sum(solution: Solution) -> float:
    """The sum of emergencies that searches make least, whatever the units in it."""
    a = solution.assembly
    return float(a.emergency_weight @ solution.x[a.emergencies])
