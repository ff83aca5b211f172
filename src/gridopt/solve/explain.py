"""Why this plan: what each kWh is worth where and when, which limits bind, why now and not then, what would change it.

Marginal values are the duals of the plan's LP, whole decisions held. Every other plan spoken of is found by solving for
it; what its proof and the plan's leave open is said beside the difference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from gridopt.assets.base import Floats, Whole
from gridopt.assets.weather import cop_series
from gridopt.clock import runs
from gridopt.errors import InfeasibleError, NoPlanError, UnboundedError
from gridopt.model.inputs import Commitment, Group, Inputs, Pin
from gridopt.model.schedule import Schedule
from gridopt.solve.held import held
from gridopt.solve.ladder import EMERGENCY_GAP, Solution, solve
from gridopt.solve.prices import marginal_prices
from gridopt.solve.session import Session
from gridopt.solve.short import SHORT, fallen_short, weighted_sum
from gridopt.units import unit_of
from gridopt.verify.replay import replay_group

__all__ = [
    "Alternative",
    "BindingLimit",
    "BindingPeak",
    "Difference",
    "Sensitivity",
    "Variant",
    "alternative",
    "binding_limits",
    "binding_peaks",
    "marginal_prices",
    "movable",
    "raised_peaks",
    "sensitivity",
    "variants",
]

BUSY_KW = 1e-3
Again = Callable[[Inputs], Solution]
again_quietly: Again = partial(solve, explained=False)
WORTH_EUR = 1e-9
AT_LIMIT = 1e-6
A_LITTLE_KW = 0.01
RISE = 0.05
"""A peak rises where a kW more drawn somewhere raises it by more than this [kW/kW]: beyond the last heat pump too."""


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
class BindingPeak:
    """A peak that is paid for, or kept down to what was reached before: ``steps`` that set it, and what a kW is worth.

    ``free_kw``: the peak so far, of which nothing is paid. ``value_eur_per_kw``: EUR saved by one kW less in every one
    of the steps where the peak lies above it (``paid``), else by one more kW that is free.
    """

    commitment: str
    steps: tuple[int, ...]
    peak_kw: float
    free_kw: float
    value_eur_per_kw: float

    @property
    def paid(self) -> bool:
        return self.peak_kw > self.free_kw + AT_LIMIT


Outcome = Literal["solved", "no plan", "no bound", "no time"]


@dataclass(frozen=True)
class Difference:
    """What another plan costs more than the one explained [EUR], and how much more it falls short.

    The true difference lies within ± ``uncertain_eur``: what both proofs together leave open. ``short``: unit → the
    other plan's emergencies less this one's, where they differ; cost says little then. ``outcome`` says why there is no
    other plan, and its cost is NaN then: none exists, it would earn without end, or it was not found in time.
    """

    eur: float
    uncertain_eur: float = 0.0
    short: Mapping[str, float] = field(default_factory=dict)
    outcome: Outcome = "solved"


@dataclass(frozen=True)
class Alternative:
    """A device's slot and its next best: held off [first, last), it would run [next_first, next_last) instead.

    ``extra``: what that costs, by solving it; ``pins`` reproduce it. ``next_first`` is -1 where the device would simply
    not run, or where there is no other plan.
    """

    asset: str
    variable: str
    first: int
    last: int
    energy_kwh: float
    next_first: int
    next_last: int
    extra: Difference
    pins: tuple[Pin, ...]


@dataclass(frozen=True)
class Variant:
    """An input that may turn out otherwise. ``step`` says by how much in words; ``moved(±1)`` is the district then."""

    what: str
    words: str
    step: str
    moved: Callable[[int], Inputs]


@dataclass(frozen=True)
class Sensitivity:
    """An input moved up and down: what the plan's cost would become, by solving it."""

    what: str
    words: str
    step: str
    up: Difference
    down: Difference

    @property
    def size_eur(self) -> float:
        """The larger change; infinite where one way there is no plan to speak of, -1 where nothing was solved."""
        if "no plan" in (self.up.outcome, self.down.outcome) or "no bound" in (self.up.outcome, self.down.outcome):
            return np.inf
        return max((abs(d.eur) for d in (self.up, self.down) if d.outcome == "solved"), default=-1.0)


# --- limits ----------------------------------------------------------------------------------------------------------


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
            at_limit = np.isfinite(limit) & (np.abs(sign * solution.x[index] - limit) < AT_LIMIT * np.maximum(1, limit))
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


def binding_peaks(solution: Solution) -> list[BindingPeak]:
    """Peaks whose price the plan pays or avoids, dearest first."""
    a = solution.assembly
    flow = a.lp.matrix() @ solution.x
    out: list[BindingPeak] = []
    for c, columns in zip(a.inputs.commitments, a.commitments, strict=True):
        if c.measure != "peak":
            continue
        rows = np.arange(columns.row, columns.row + columns.rows)
        steps = np.flatnonzero(c.period >= 0)
        share = np.maximum(-solution.price[rows], 0.0)
        at_peak = flow[rows] >= a.lp.row_upper[rows] - AT_LIMIT
        for period in range(c.periods):
            above = float(solution.x[columns.above[period]])
            here = at_peak & (c.period[steps] == period)
            if above <= AT_LIMIT:
                here &= share > WORTH_EUR
            value = float(c.price_above[period]) if above > AT_LIMIT else float(share[here].sum())
            if here.any() and value > WORTH_EUR:
                free = float(c.baseline_kw[steps[here]].max())
                out.append(BindingPeak(c.id, tuple(steps[here].tolist()), free + above, free, value))
    return sorted(out, key=lambda b: -b.value_eur_per_kw)


def raised_peaks(solution: Solution, places: Sequence[tuple[int, int]]) -> list[tuple[str, ...]]:
    """For every (node, step): the priced peaks that a little more drawn there would raise, by solving for it.

    The decisions stay as they are. Nothing where no more can be drawn.
    """
    a = solution.assembly
    pairs = zip(a.inputs.commitments, a.commitments, strict=True)
    peaks = [(c.id, columns.above) for c, columns in pairs if c.measure == "peak" and (c.price_above > 0.0).any()]
    if not peaks:
        return [() for _ in places]
    lower, upper = held(a, solution.x)
    session = Session(dataclasses.replace(a.lp, lower=lower, upper=upper))
    before = session.run()
    out: list[tuple[str, ...]] = []
    for node, step in places:
        row = int(a.nodes[node].balance[step])
        demand = a.lp.row_lower[row]
        session.row_bounds(row, demand - A_LITTLE_KW, demand - A_LITTLE_KW)
        after = session.run()
        session.row_bounds(row, demand, demand)
        known = before.status == after.status == "optimal"
        out.append(tuple(i for i, above in peaks if known and _rises(before.x[above], after.x[above])))
    return out


def _rises(before: Floats, after: Floats) -> bool:
    return bool((after - before > RISE * A_LITTLE_KW).any())


def _alike(where: npt.NDArray[np.bool_], value: Floats) -> Iterator[tuple[int, int]]:
    """Runs of true over which a value stays the same."""
    for first, last in runs(where):
        edges = [first, *(first + 1 + np.flatnonzero(np.diff(value[first:last]))).tolist(), last]
        yield from pairwise(edges)


# --- other plans -----------------------------------------------------------------------------------------------------


def _other(solution: Solution, inputs: Inputs, again: Again) -> tuple[Difference, Solution | None]:
    """Another district solved, beside the plan; None where it has no plan to compare."""
    outcome: Outcome
    try:
        other = again(inputs)
    except InfeasibleError:
        outcome = "no plan"
    except UnboundedError:
        outcome = "no bound"
    except NoPlanError:
        outcome = "no time"
    else:
        uncertain = solution.gap_eur + other.gap_eur
        return Difference(other.objective - solution.objective, uncertain, _more_short(solution, other)), other
    return Difference(np.nan, np.nan, {}, outcome), None


def _more_short(solution: Solution, other: Solution) -> dict[str, float]:
    """Unit → how much more another plan falls short, beyond what the searches leave open."""
    this, that = fallen_short(solution), fallen_short(other)
    spare = SHORT + EMERGENCY_GAP * (weighted_sum(solution) + weighted_sum(other))
    more = {unit: that.get(unit, 0.0) - this.get(unit, 0.0) for unit in sorted(this | that)}
    return {unit: amount for unit, amount in more.items() if abs(amount) > spare}


# --- why now and not then --------------------------------------------------------------------------------------------


def movable(inputs: Inputs, schedule: Schedule) -> list[str]:
    """Assets that chose when to run, those that moved the most energy first. Where a person holds them they did not."""
    energy: dict[str, float] = {}
    for group, values in zip(inputs.groups, schedule.groups, strict=True):
        if group.family.control in ("none", "limit"):
            continue
        for name, power in _used(group, values, inputs.axis.step_h).items():
            free = ~_held(inputs, group, name)
            for k, asset in enumerate(group.ids):
                chosen = _chosen(name == _start(group), values[name][k], power[k], free[k])
                energy[asset] = energy.get(asset, 0.0) + float(np.abs(chosen).sum()) * inputs.axis.step_h
    return [k for k, v in sorted(energy.items(), key=lambda kv: (-kv[1], kv[0])) if v > BUSY_KW]


def _held(inputs: Inputs, group: Group, variable: str) -> npt.NDArray[np.bool_]:
    """(n, steps) on the devices' own windows: where a pin or an outage holds the command."""
    held = np.zeros((group.n, group.steps), bool)
    for pin in inputs.pins:
        if pin.variable == variable and pin.asset in group.index:
            k = group.index[pin.asset]
            first, last = (max(t - int(group.offset[k]), 0) for t in (pin.first, pin.last))
            held[k, first:last] = True
    return held


def _chosen(started: bool, command: Floats, power: Floats, free: npt.NDArray[np.bool_]) -> Floats:
    """(steps,) the power that nobody holds; a run is held where its start is."""
    if started:
        return power if free[int(command.argmax())] else 0.0 * power
    return np.where(free, power, 0.0)


def _start(group: Group) -> str | None:
    """The command that starts a device's one run, where nothing else moves its power."""
    once = {d.variable for d in group.family.decisions if isinstance(d, Whole) and d.one_of}
    if any(name.endswith("_kw") for name in group.family.commands):
        return None
    return next((name for name in group.family.commands if name in once), None)


def _used(group: Group, values: dict[str, Floats], step_h: float) -> dict[str, Floats]:
    """Command → (n, steps) power that devices move by it on their own windows; of a start, the power of its run."""
    commands = {name: values[name] for name in group.family.commands if name in values}
    start = _start(group)
    if start is not None and start in commands:
        trace, _ = replay_group(group, commands, step_h)
        return {start: trace[f"{group.family.ports[0].name}_kw"]}
    return {name: power for name, power in commands.items() if name.endswith("_kw")}


def _power(inputs: Inputs, schedule: Schedule, asset: str) -> dict[str, Floats]:
    """Command → (T,) power that one device moves by it."""
    g, k = inputs.where[asset]
    group, T = inputs.groups[g], inputs.axis.steps
    used = _used(group, schedule.groups[g], inputs.axis.step_h)
    return {name: group.on_axis(power, T)[k] for name, power in used.items()}


def _run(start: Floats, power: Floats) -> list[tuple[int, int]]:
    """From the step in which a run is started to its end; none where it is not started."""
    busy = np.flatnonzero(power > BUSY_KW)
    return [(int(start.argmax()), int(busy[-1]) + 1)] if len(busy) and start.max() > 0.5 else []


def alternative(solution: Solution, asset: str, again: Again = again_quietly) -> Alternative | None:
    """Hold a device off in its busiest slot, solve again, and see where it goes and what that costs.

    What a person holds stays as it is: no slot reaches into it. None when the device never runs of its own choice.
    """
    inputs, schedule = solution.assembly.inputs, solution.assembly.schedule(solution.x)
    g, k = inputs.where[asset]
    group, T = inputs.groups[g], inputs.axis.steps
    start = _start(group)
    before = _power(inputs, schedule, asset)
    best: tuple[float, str, int, int] | None = None
    for variable, power in before.items():
        held = group.on_axis(_held(inputs, group, variable).astype(np.float64), T)[k] > 0.0
        if start:
            slots = [s for s in _run(schedule.value(inputs, asset, start), power) if not held[s[0]]]
        else:
            slots = list(runs((power > BUSY_KW) & ~held))
        for first, last in slots:
            energy = float(power[first:last].sum()) * inputs.axis.step_h
            if best is None or energy > best[0] + 1e-9:
                best = (energy, variable, first, last)
    if best is None:
        return None
    energy, variable, first, last = best
    off = _no_start(solution, asset, start, first, last) if start else _off(asset, variable, first, last)
    extra, other = _other(solution, dataclasses.replace(inputs, pins=(*inputs.pins, off)), again)
    if other is None:
        return Alternative(asset, variable, first, last, energy, -1, -1, extra, (off,))
    next_first, next_last, there = _next_slot(other, asset, variable, before[variable], start is not None)
    return Alternative(asset, variable, first, last, energy, next_first, next_last, extra, (off, *there))


def _next_slot(
    other: Solution, asset: str, variable: str, before: Floats, started: bool
) -> tuple[int, int, tuple[Pin, ...]]:
    """Where a device goes in another plan, and what holds it there; -1, -1 where it goes nowhere."""
    inputs, schedule = other.assembly.inputs, other.assembly.schedule(other.x)
    value, after = schedule.value(inputs, asset, variable), _power(inputs, schedule, asset)[variable]
    gained = np.where(after - before > BUSY_KW, after - before, 0.0)
    slots = _run(value, after) if started else runs(gained > 0.0)
    if not slots:
        return -1, -1, ()
    first, last = max(slots, key=lambda s: gained[s[0] : s[1]].sum())
    steps = range(first, first + 1 if started else last)
    return first, last, tuple(Pin(asset, variable, t, t + 1, float(value[t]), "explanation") for t in steps)


def _off(asset: str, variable: str, first: int, last: int) -> Pin:
    return Pin(asset, variable, first, last, 0.0, "explanation")


def _no_start(solution: Solution, asset: str, variable: str, first: int, last: int) -> Pin:
    """Keeps a run out of [first, last), or, where no other start would do that, from beginning at ``first``."""
    a = solution.assembly
    g, k = a.inputs.where[asset]
    columns, offset = a.blocks[g].columns(variable), int(a.inputs.groups[g].offset[k])
    may = np.zeros(a.inputs.axis.steps, bool)
    if columns is not None:
        may[offset : offset + columns.shape[1]] = a.lp.upper[columns[k]] > 0.0
    begin = max(first - (last - first) + 1, 0)
    may[begin:last] = False
    return _off(asset, variable, begin, last) if may.any() else _off(asset, variable, first, first + 1)


# --- what would change it --------------------------------------------------------------------------------------------


SHARE = 0.1
"""How far prices and amounts are moved."""
SHIFT_K = 1.0
"""How far temperatures are moved: a tenth of a degree Celsius means nothing."""


def variants(inputs: Inputs) -> list[Variant]:
    """Every price and every forecast of the district, each to be moved up and down."""
    return [*_price_variants(inputs), *_forecast_variants(inputs)]


def sensitivity(solution: Solution, v: Variant, again: Again = again_quietly) -> Sensitivity:
    """An input moved up and down, and solved again."""
    up, down = (_other(solution, v.moved(sign), again)[0] for sign in (1, -1))
    return Sensitivity(v.what, v.words, v.step, up, down)


def _price_variants(inputs: Inputs) -> Iterator[Variant]:
    def scaled(c: Commitment, side: str, sign: int) -> Inputs:
        new = dataclasses.replace(c, **{side: getattr(c, side) * (1 + sign * SHARE)})
        return dataclasses.replace(inputs, commitments=tuple(new if k.id == c.id else k for k in inputs.commitments))

    for c in inputs.commitments:
        for side, label in (("price_above", c.labels[0]), ("price_below", c.labels[1])):
            if getattr(c, side).any():
                words = f"{'weight' if c.kind == 'wish' else 'price'} {c.id} ({label})"
                yield Variant(f"{c.id}.{label}", words, f"{100 * SHARE:.0f} %", partial(scaled, c, side))


def _forecast_variants(inputs: Inputs) -> Iterator[Variant]:
    """One variant for a thing foretold, however many families look at it."""
    seen: dict[tuple[str, str], list[str]] = {}
    for group in inputs.groups:
        for column, words in group.family.forecasts.items():
            if _is_temperature(column) or group.columns[column].any():
                names = seen.setdefault((column, words), [])
                if group.family.name not in names:
                    names.append(group.family.name)
    for (column, words), families in seen.items():
        what = f"{'+'.join(families)}.{column}"
        step = f"{SHIFT_K:g} K" if _is_temperature(column) else f"{100 * SHARE:.0f} %"
        yield Variant(what, words, step, partial(_foretold, inputs, column, words))


def _is_temperature(column: str) -> bool:
    return unit_of(column) == "°C"


def _foretold(inputs: Inputs, column: str, words: str, sign: int) -> Inputs:
    """The district with a forecast moved. There is one weather: it is moved wherever it is looked at."""

    def moved(group: Group) -> Group:
        foretells = group.family.forecasts.get(column) == words
        if _is_temperature(column) and column in group.columns:
            return _warmer(group, column, sign * SHIFT_K)
        if not foretells:
            return group
        columns = {**group.columns, column: group.columns[column] * (1 + sign * SHARE)}
        return dataclasses.replace(group, columns=columns)

    return dataclasses.replace(inputs, groups=tuple(moved(group) for group in inputs.groups))


def _warmer(group: Group, column: str, by_k: float) -> Group:
    """A group with a temperature shifted, and the COP with it where it follows the law of the weather."""
    columns = {**group.columns, column: group.columns[column] + by_k}
    if column == "outdoor_c" and {"cop", "cop_nominal", "cop_slope_per_k"} <= set(columns):
        given = np.full(columns["cop"].shape, np.nan)
        law = partial(cop_series, given, nominal=columns["cop_nominal"], slope_per_k=columns["cop_slope_per_k"])
        follows = columns["cop"] == law(outdoor_c=group.columns[column])
        columns["cop"] = np.where(follows, law(outdoor_c=columns[column]), columns["cop"])
    return dataclasses.replace(group, columns=columns)
