"""Why this plan: what each kWh is worth where and when, which limits bind, why now and not then, what would change it.

Marginal values are the duals of the final LP, whole decisions held. Every alternative is priced by solving it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from gridopt.assets.base import Floats
from gridopt.errors import InfeasibleError, NoPlanError
from gridopt.model.inputs import Commitment, Inputs, Pin
from gridopt.model.schedule import Schedule
from gridopt.solve.ladder import Solution, solve

BUSY_KW = 1e-3
Again = Callable[[Inputs], Solution]
again_quietly: Again = partial(solve, explained=False)
WORTH_EUR = 1e-9


@dataclass(frozen=True)
class BindingLimit:
    """A node's limit that costs money: steps [first, last) at their limit, and what one more kW there is worth.

    ``value_eur_per_kw``: EUR saved by one more kW over the whole interval; ``worst_step`` is worth most.
    """

    node: str
    side: str
    first: int
    last: int
    limit_kw: float
    value_eur_per_kw: float
    worst_step: int


@dataclass(frozen=True)
class Alternative:
    """A device's slot and its next best: held off [first, last), it would run [next_first, next_last) instead.

    ``extra_eur``: what that costs, by solving it; ``pins`` reproduce it. ``next_first`` is -1 where the device would
    simply not run.
    """

    asset: str
    variable: str
    first: int
    last: int
    energy_kwh: float
    next_first: int
    next_last: int
    extra_eur: float
    price_eur_per_kwh: float
    next_price_eur_per_kwh: float
    pins: tuple[Pin, ...]


@dataclass(frozen=True)
class Sensitivity:
    """An input moved by ±10 %: what the plan's cost would become, by solving it [EUR]; NaN where no plan exists."""

    what: str
    words: str
    up_eur: float
    down_eur: float

    @property
    def size_eur(self) -> float:
        sizes = [abs(v) for v in (self.up_eur, self.down_eur) if np.isfinite(v)]
        return max(sizes, default=np.inf)


def marginal_prices(solution: Solution) -> Floats:
    """(N, T) what one more kWh drawn at each node in each step would cost [EUR/kWh]."""
    a = solution.assembly
    rows = np.array([n.balance for n in a.nodes])
    return np.asarray(-solution.price[rows] / a.inputs.axis.step_h)


def binding_limits(solution: Solution) -> list[BindingLimit]:
    """Node limits at which the plan stands and whose loosening is worth money, dearest first."""
    a = solution.assembly
    out: list[BindingLimit] = []
    for node, columns in zip(a.inputs.nodes, a.nodes, strict=True):
        for side, index, sign in (
            ("import", columns.net if len(columns.net) else columns.import_, 1.0),
            ("export", columns.net if len(columns.net) else columns.export, -1.0 if len(columns.net) else 1.0),
        ):
            if not len(index):
                continue
            limit = a.lp.upper[index] if sign > 0 else -a.lp.lower[index]
            at_limit = np.isfinite(limit) & (np.abs(sign * solution.x[index] - limit) < 1e-6 * np.maximum(1, limit))
            worth = np.where(at_limit, np.maximum(-sign * solution.reduced[index], 0.0), 0.0)
            for first, last in _alike(worth > WORTH_EUR, limit):
                piece = worth[first:last]
                out.append(
                    BindingLimit(
                        node.id, side, first, last, float(limit[first:last].min()), float(piece.sum()),
                        first + int(piece.argmax()),
                    )
                )  # fmt: skip
    return sorted(out, key=lambda b: -b.value_eur_per_kw)


def _alike(where: npt.NDArray[np.bool_], value: Floats) -> Iterator[tuple[int, int]]:
    """Runs of true over which a value stays the same."""
    for first, last in _runs(where):
        edges = [first, *(first + 1 + np.flatnonzero(np.diff(value[first:last]))).tolist(), last]
        yield from pairwise(edges)


def _runs(where: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(int)))
    for first, last in edges.reshape(-1, 2):
        yield int(first), int(last)


# --- why now and not then --------------------------------------------------------------------------------------------


def movable(inputs: Inputs, schedule: Schedule) -> list[str]:
    """Assets that chose when to run, those that moved the most energy first."""
    energy: dict[str, float] = {}
    for group, values in zip(inputs.groups, schedule.groups, strict=True):
        names = [c for c in group.family.commands if c in values and c.endswith("_kw")]
        if group.family.control in ("none", "limit") or not names:
            continue
        moved = np.sum([np.abs(values[c]).sum(1) for c in names], axis=0) * inputs.axis.step_h
        energy.update(zip(group.ids, moved.tolist(), strict=True))
    return [k for k, v in sorted(energy.items(), key=lambda kv: (-kv[1], kv[0])) if v > BUSY_KW]


def alternative(solution: Solution, asset: str, again: Again = again_quietly) -> Alternative | None:
    """Hold a device off in its busiest slot, solve again, and see where it goes and what that costs.

    None when the device never runs, or cannot be held off.
    """
    a = solution.assembly
    inputs, schedule = a.inputs, a.schedule(solution.x)
    g, _ = inputs.where[asset]
    best: tuple[float, str, int, int] | None = None
    for variable in inputs.groups[g].family.commands:
        if variable not in schedule.groups[g] or not variable.endswith("_kw"):
            continue
        power = schedule.value(inputs, asset, variable)
        for first, last in _runs(power > BUSY_KW):
            energy = float(power[first:last].sum()) * inputs.axis.step_h
            if best is None or energy > best[0] + 1e-9:
                best = (energy, variable, first, last)
    if best is None:
        return None
    energy, variable, first, last = best
    off = Pin(asset, variable, first, last, 0.0, "explanation")
    try:
        other = again(dataclasses.replace(inputs, pins=(*inputs.pins, off)))
    except (InfeasibleError, NoPlanError):
        return None
    before = schedule.value(inputs, asset, variable)
    after = other.assembly.schedule(other.x).value(inputs, asset, variable)
    gained = np.where(after - before > BUSY_KW, after - before, 0.0)
    slots = list(_runs(gained > 0))
    next_first, next_last = max(slots, key=lambda s: gained[s[0] : s[1]].sum(), default=(-1, -1))
    pins = (
        off,
        *(Pin(asset, variable, t, t + 1, float(after[t]), "explanation") for t in range(next_first, next_last)),
    )
    node = int(inputs.groups[g].nodes[inputs.groups[g].family.ports[0].name][inputs.where[asset][1]])
    price = marginal_prices(solution)[node]
    return Alternative(
        asset, variable, first, last, energy, next_first, next_last, other.objective - solution.objective,
        float(price[first:last].mean()), float(price[next_first:next_last].mean()) if next_first >= 0 else np.nan,
        pins if next_first >= 0 else (off,),
    )  # fmt: skip


# --- what would change it --------------------------------------------------------------------------------------------


Variant = Callable[[float], Inputs]


def _price_variants(inputs: Inputs) -> Iterator[tuple[str, str, Variant]]:
    def scaled(c: Commitment, side: str) -> Variant:
        def by(factor: float) -> Inputs:
            new = dataclasses.replace(c, **{side: getattr(c, side) * factor})
            return dataclasses.replace(
                inputs, commitments=tuple(new if k.id == c.id else k for k in inputs.commitments)
            )

        return by

    for c in inputs.commitments:
        for side, label in (("price_above", c.labels[0]), ("price_below", c.labels[1])):
            if getattr(c, side).any():
                yield f"{c.id}.{label}", f"price {c.id} ({label})", scaled(c, side)


def _forecast_variants(inputs: Inputs) -> Iterator[tuple[str, str, Variant]]:
    def scaled(family: str, column: str) -> Variant:
        def by(factor: float) -> Inputs:
            groups = tuple(
                dataclasses.replace(g, columns={**g.columns, column: g.columns[column] * factor})
                if g.family.name == family
                else g
                for g in inputs.groups
            )
            return dataclasses.replace(inputs, groups=groups)

        return by

    seen: set[tuple[str, str]] = set()
    for g in inputs.groups:
        for column, words in g.family.forecasts.items():
            key = (g.family.name, column)
            if key not in seen and any(k.columns[column].any() for k in inputs.groups if k.family is g.family):
                seen.add(key)
                yield f"{key[0]}.{column}", words, scaled(*key)


def sensitivities(
    solution: Solution, share: float = 0.1, only: Sequence[str] = (), again: Again = again_quietly
) -> list[Sensitivity]:
    """Every price and forecast moved up and down by ``share`` and solved again; the largest change first."""
    inputs = solution.assembly.inputs
    out: list[Sensitivity] = []
    for what, words, variant in [*_price_variants(inputs), *_forecast_variants(inputs)]:
        if only and what not in only:
            continue
        change = []
        for factor in (1 + share, 1 - share):
            try:
                change.append(again(variant(factor)).objective - solution.objective)
            except (InfeasibleError, NoPlanError):
                change.append(float("nan"))
        out.append(Sensitivity(what, words, change[0], change[1]))
    return sorted(out, key=lambda s: (-s.size_eur, s.what))
