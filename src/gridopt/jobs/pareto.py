"""Plans between two aims, such as money and CO2: each is the best there is at some exchange rate between the two.

Both aims are blended, share · first + (1 - share) · second, and the day is planned at every share that tells something
new: at both ends, with a little of the other aim so that nothing is given away for nothing; then, between the two
neighbours with the most room for a better plan, at the share at which both are equally good (Y. P. Aneja, K. P. K.
Nair, "Bicriteria Transportation Problem", Management Science 25, 1979). Every plan is checked like any other.

Every search also proves that no plan lies below its line, so it is known how much better a plan could be that was not
found (as in G. Rote, "The convergence rate of the sandwich algorithm for approximating convex functions", Computing 48,
1992).

Aims are weighed so that each counts about as much as money usually does: a goal with a price, a car to be charged by
the morning, then counts against either aim as it does against money, and does not give way to the cleanest plan.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gridopt.assets.base import Floats
from gridopt.errors import UsageError
from gridopt.jobs import plan as job
from gridopt.jobs import record
from gridopt.jobs.plan import Plan, Tell
from gridopt.model.inputs import Inputs
from gridopt.scenario.objective import PARTS, Objective, Part, Weights, comfort_prices, own_kwh, roots, uncounted
from gridopt.store import run_folder

if TYPE_CHECKING:
    from gridopt.scenario.load import Scenario

AIMS = ("cost", "co2", "self-consumption", "peak", "comfort")
POINTS = 5
LEAST = 0.001
"""Share of the other aim at the ends; and what money counts where it is no aim."""
PER_KWH = 0.2
"""EUR/kWh: what a usual kWh costs, and so what an aim counts that a kWh drawn brings with it."""
HOURS = 24.0
"""A kW of the day's peak counts as much as to draw that kW all day."""
SMALL = 1e-3
"""Room for a better plan, as a share of what lies between both ends, that is not worth a search."""
SAME = 1e-4
"""Differences this small, as the same share, may be the solver's tolerance."""
BEST = {
    "cost": "cheapest",
    "co2": "cleanest",
    "self-consumption": "most used here",
    "peak": "lowest peak",
    "comfort": "most comfort",
}
KNEE = "knee"


@dataclass(frozen=True)
class Sweep:
    """Plans from the best by the first aim to the best by the second; ``doc`` says all of them on one page."""

    plans: tuple[Plan, ...]
    doc: Mapping[str, Any]

    @property
    def exit_code(self) -> int:
        """The lowest rung's."""
        return max(plan.exit_code for plan in self.plans)


def run(
    path: Path | str,
    aims: Sequence[str],
    *,
    now: datetime,
    points: int = POINTS,
    day: date | None = None,
    overlays: Sequence[Path] = (),
    sets: Sequence[str] = (),
    continued: Path | None = None,
    gap: float | None = None,
    time_limit_s: float | None = None,
    tell: Tell | None = None,
) -> Sweep:
    """Load a scenario and plan it between two of AIMS. Raises what loading, solving and the check raise.

    ``gap`` and ``time_limit_s`` are those of each plan. UsageError where the scenario has nothing to measure an aim by.
    """
    from gridopt.scenario.load import load

    (tell or _silent)("reading the scenario")
    scenario = load(path, overlays=overlays, sets=sets, day=day, before=record.before(continued))
    return sweep(scenario, aims, points, now, tell, gap, time_limit_s)


def sweep(
    scenario: Scenario,
    aims: Sequence[str],
    points: int,
    now: datetime,
    tell: Tell | None = None,
    gap: float | None = None,
    time_limit_s: float | None = None,
) -> Sweep:
    """Plan a loaded scenario between two aims, at most ``points`` plans; money comes first where it is one of both."""
    first, second = (PARTS[name] for name in sorted(aims, key=lambda name: (name != "cost", aims.index(name))))
    scale = [_scale(part, scenario.inputs, scenario.objective) for part in (first, second)]
    say, count = tell or _silent, itertools.count(1)

    def solve(share: float) -> Point:
        number = next(count)
        say(f"plan {number}")
        weights = _weights(scenario.objective.weights, (first, second), (share * scale[0], (1 - share) * scale[1]))
        there = dataclasses.replace(scenario, objective=dataclasses.replace(scenario.objective, weights=weights))
        found = job.plan(there, lambda words: say(f"plan {number}: {words}"), now, gap, time_limit_s)
        return _point(share, found, there.objective, (first, second))

    front, solved = dichotomy(solve, points)
    return Sweep(tuple(p.plan for p in front), _document(scenario, (first, second), front, solved))


def check_target(folder: Path) -> None:
    """Raise UsageError where a sweep must not be put."""
    run_folder.check_sweep_target(folder)


def write(found: Sweep, folder: Path) -> None:
    """Leave every plan as a run folder, and the page about all of them."""
    run_folder.write_sweep(folder, [plan.run for plan in found.plans], found.doc)


def _silent(_: str) -> None:
    pass


# --- the method ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """A plan that a search at ``share`` found.

    ``at``: both aims, each beside everything else the plan counts [EUR]; ``bound``: no plan's blend at this share is
    below [EUR].
    """

    share: float
    at: tuple[float, float]
    bound: float
    plan: Any = None
    weights: Weights | None = None

    def blend(self, share: float) -> float:
        return share * self.at[0] + (1 - share) * self.at[1]


def dichotomy(solve: Callable[[float], Point], most: int) -> tuple[list[Point], list[Point]]:
    """At most ``most`` points from the best by the first aim to the best by the second, and all that was solved."""
    solved = [solve(1 - LEAST), solve(LEAST)]
    front = supported(solved)
    while len(front) < most and (share := _next(front, solved)) is not None:
        solved.append(solve(share))
        front = supported(solved)
    return front, solved


def supported(points: Sequence[Point]) -> list[Point]:
    """Points better than every blend of others, in order of the first aim: the corners of the lower left hull."""
    at = np.array([p.at for p in points])
    same = SAME * np.maximum(np.ptp(at, axis=0), 0.01 * np.maximum(1.0, np.abs(at).max(axis=0)))
    front: list[Point] = []
    for p in sorted(points, key=lambda p: p.at):
        if front and p.at[1] >= front[-1].at[1] - same[1]:
            continue  # no better by either aim
        if front and p.at[0] <= front[-1].at[0] + same[0]:
            front.pop()  # as good by the first aim, better by the second
        while len(front) > 1 and not _below(front[-1], front[-2], p, same):
            front.pop()
        front.append(p)
    return front


def _below(p: Point, a: Point, b: Point, same: Floats) -> bool:
    """Whether ``p`` is better than the plans between ``a`` and ``b`` would be."""
    share = _between(a, b)
    least = min(a.blend(share), b.blend(share)) - float(share * same[0] + (1 - share) * same[1])
    return p.blend(share) < least


def _between(a: Point, b: Point) -> float:
    """The share at which two neighbours are equally good."""
    first, second = b.at[0] - a.at[0], a.at[1] - b.at[1]
    return float(np.clip(second / (first + second), LEAST, 1 - LEAST))


def _next(front: Sequence[Point], solved: Sequence[Point]) -> float | None:
    """The share to plan at next: where the best plan could be furthest below those at hand; None where it is near."""
    if len(front) < 2:
        return None
    wide, high = front[-1].at[0] - front[0].at[0], front[0].at[1] - front[-1].at[1]
    rooms: list[tuple[float, float]] = []
    for a, b in pairwise(front):
        share = _round(_between(a, b))
        if not any(abs(share - p.share) < 1e-9 for p in solved):
            room = min(a.blend(share), b.blend(share)) - proven(solved, share)
            rooms.append((room / (share * wide + (1 - share) * high), share))
    room, share = max(rooms, default=(0.0, 0.0))
    return share if room > SMALL else None


def _round(share: float) -> float:
    """To four figures of the smaller part, so that the weights can be written down."""
    return float(f"{share:.4g}") if share <= 0.5 else 1 - float(f"{1 - share:.4g}")


def proven(solved: Sequence[Point], share: float) -> float:
    """What no plan's blend is below at a share, by all that was proven at others [EUR]."""
    best = -np.inf
    for low, high in itertools.product(solved, repeat=2):
        if low.share <= share <= high.share:
            part = (share - low.share) / (high.share - low.share) if high.share > low.share else 0.0
            best = max(best, (1 - part) * low.bound + part * high.bound)
    return best


def missed(front: Sequence[Point], solved: Sequence[Point]) -> tuple[float, float | None]:
    """How much better than the best of these a plan can be at most, at any share: [EUR], and relative to it.

    None where a blend may be worth nothing. Both the best blend and the proof are made of straight pieces over the
    share, so it is enough to look where two meet.
    """
    shares = [p.share for p in solved] + [_between(a, b) for a, b in pairwise(front)]
    proofs = [proven(solved, s) for s in shares]
    rooms = [max(min(p.blend(s) for p in front) - proof, 0.0) for s, proof in zip(shares, proofs, strict=True)]
    relative = max(room / proof for room, proof in zip(rooms, proofs, strict=True)) if min(proofs) > 0 else None
    return max(rooms), relative


# --- weights ---------------------------------------------------------------------------------------------------------


def _scale(part: Part, inputs: Inputs, objective: Objective) -> float:
    """The weight at which an aim counts about as much as money does, in the unit of its weight."""
    nothing = "{aim} cannot be an aim of this scenario: {why}"
    match part.name:
        case "co2":
            means = [float(g.mean()) for g in objective.intensity_g_per_kwh.values() if g.any()]
            if not means:
                why = "it says no emissions; write [objective] intensity_g_per_kwh = { grid = 50 }, or a series"
                raise UsageError(nothing, aim=part.name, why=why)
            return min(_two_figures(PER_KWH / (sum(means) / len(means)) * 1e6), 1e6)
        case "self-consumption":
            if own_kwh(inputs) <= 0:
                raise UsageError(nothing, aim=part.name, why="neither sun nor wind gives anything on this day")
            return PER_KWH
        case "peak":
            if not roots(inputs):
                raise UsageError(nothing, aim=part.name, why="no electricity comes from outside")
            return PER_KWH * HOURS
        case "comfort":
            prices = [group.columns[name] for group in inputs.groups for name in comfort_prices(group.family)]
            if not any((price > 0).any() for price in prices):
                raise UsageError(nothing, aim=part.name, why="no asset has a band of comfort with a price")
    return 1.0


def _two_figures(value: float) -> float:
    return float(f"{value:.2g}")


def _weights(usual: Weights, parts: tuple[Part, Part], values: tuple[float, float]) -> Weights:
    """The scenario's weights with those of both aims; numbers that can be written down."""
    money = {} if any(part.name == "cost" for part in parts) else {"cost": LEAST}
    swept = {part.key: float(f"{value:.9g}") for part, value in zip(parts, values, strict=True)}
    return dataclasses.replace(usual, **money, **swept)


def _point(share: float, plan: Plan, objective: Objective, parts: tuple[Part, Part]) -> Point:
    counted = [objective.counted_eur(part.name, plan.inputs, plan.ledger) for part in parts]
    rest = plan.ledger.total_eur - sum(counted)
    at = counted[0] / share + rest, counted[1] / (1 - share) + rest
    return Point(share, at, plan.solution.bound, plan, objective.weights)


# --- on one page -----------------------------------------------------------------------------------------------------


def _document(
    scenario: Scenario, parts: tuple[Part, Part], front: Sequence[Point], solved: Sequence[Point]
) -> dict[str, Any]:
    silent = uncounted(scenario.nodes, scenario.objective.intensity_g_per_kwh)
    notes = [f"The CO2 of what {', '.join(silent)} draws is not known and counts as none."]
    plans = [_plan(scenario.objective, parts, k, p) for k, p in enumerate(front)]
    names = _names(front, parts)
    for k, words in names.items():
        plans[k]["names"] = words
    knee = next((k for k, words in names.items() if words == [KNEE]), None)
    room_eur, room = missed(front, solved)
    last = len(plans) - 1
    summary = front[0].plan.summary
    return {
        "scenario": {k: summary["scenario"][k] for k in ("name", "title")},
        "created": summary["created"],
        "horizon": summary["horizon"],
        "aims": [part.name for part in parts],
        "plans": plans,
        "rates": [_rate(plans, parts, k, k + 1) for k in range(last)],
        "knee": knee and {"before": _rate(plans, parts, 0, knee), "after": _rate(plans, parts, knee, last)},
        "missed_eur": room_eur,
        "missed": room,
        "searches": len(solved),
        "notes": [*scenario.notes, *(notes if silent and "co2" in (part.name for part in parts) else [])],
    }


def _plan(objective: Objective, parts: tuple[Part, Part], k: int, point: Point) -> dict[str, Any]:
    plan: Plan = point.plan
    s, inputs = plan.summary, plan.inputs
    amounts = {
        part.amount: objective.amount(part.name, inputs, plan.schedule.net_kw, plan.trace, plan.ledger)
        for part in PARTS.values()
        if part.name in AIMS and (part in parts or _is_measured(part, inputs, objective))
    }
    if own_kwh(inputs) > 0:
        amounts["self_consumption"] = min(max(1 - amounts["unused_kwh"] / own_kwh(inputs), 0.0), 1.0)
    at_root = [s["kpi"]["nodes"][root] for root in roots(inputs)]
    penalties = plan.ledger.of("penalty")
    if any(part.name == "comfort" for part in parts):  # an aim is no goal missed
        penalties -= objective.counted_eur("comfort", inputs, plan.ledger)
    keys = {part.key for part in parts} | {"cost"}
    weights = {part.key: getattr(point.weights, part.key) for part in PARTS.values() if part.key in keys}
    return {
        "plan": k + 1,
        "folder": f"{run_folder.PLAN_OF_SWEEP}{k + 1}",
        "names": [],
        "weights": weights,
        "sets": [f"objective.{key}={value!r}" for key, value in weights.items()],
        "amounts": amounts,
        "drawn_kwh": sum(figures["import_kwh"] for figures in at_root),
        "highest_kw": max((figures["peak_import_kw"] for figures in at_root), default=0.0),
        "penalties_eur": penalties,
        "goals_short": len(s["shortfalls"]),
        **{
            key: s[key] for key in ("plan_id", "hash", "status", "rung", "objective_eur", "bound_eur", "gap_eur", "gap")
        },
    }


def _is_measured(part: Part, inputs: Inputs, objective: Objective) -> bool:
    try:
        _scale(part, inputs, objective)
    except UsageError:
        return False
    return True


def _names(front: Sequence[Point], parts: tuple[Part, Part]) -> dict[int, list[str]]:
    """Place → what a plan is known by. The knee lies furthest from the straight line between both ends."""
    last = len(front) - 1
    names: dict[int, list[str]] = {0: [BEST[parts[0].name]]}
    names.setdefault(last, []).append(BEST[parts[1].name])
    if last > 1:
        at = np.array([p.at for p in front])
        near = (at - at.min(0)) / np.ptp(at, axis=0)
        names[int(near[1:-1].sum(1).argmin()) + 1] = [KNEE]
    return names


def _rate(plans: Sequence[Mapping[str, Any]], parts: tuple[Part, Part], one: int, other: int) -> dict[str, Any]:
    """What a unit of the second aim costs of the first from one plan to another; None where nothing is gained."""
    before, after = plans[one]["amounts"], plans[other]["amounts"]
    dearer, better = (sign * (after[p.amount] - before[p.amount]) for sign, p in zip((1, -1), parts, strict=True))
    rate = dearer / better * parts[1].per if better > 1e-9 else None
    return {"from": one + 1, "to": other + 1, "rate": rate}
