"""``gridopt explain RUN``: a finished run taken up again and explained, every other plan found by solving for it."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np

from gridopt.assets.base import MONEY, Floats, Ints
from gridopt.errors import DataError, InfeasibleError, NoPlanError, UnboundedError
from gridopt.jobs import record
from gridopt.model.inputs import Inputs
from gridopt.model.schedule import Schedule
from gridopt.solve.explain import (
    Alternative,
    BindingLimit,
    BindingPeak,
    Difference,
    Sensitivity,
    Variant,
    alternative,
    binding_limits,
    binding_peaks,
    marginal_prices,
    movable,
    raised_peaks,
    sensitivity,
    variants,
)
from gridopt.solve.held import take_up
from gridopt.solve.ladder import Solution, Status, solve
from gridopt.solve.nearby import nearby
from gridopt.solve.reach import Reach, goal_columns, reach
from gridopt.solve.short import fallen_short
from gridopt.store import run_folder
from gridopt.store.run_folder import Run
from gridopt.units import unit_of
from gridopt.verify.ledger import commitment_eur

_T = TypeVar("_T")
Tell = Callable[[str], None]
Doc = Mapping[str, Any]
Found = tuple[_T, list[Mapping[str, float]]]
"""What was asked for, and of every plan solved for it the penalties it has more, by cost line [EUR]."""
DEVICES = 6
"""Devices whose alternatives are solved: those that moved the most energy."""
LIMITS = 10
TIME_LIMIT_S = 20.0
"""How long other plans are begun."""
AT_ONCE = 2
"""How many of them are solved at once."""
PLAN_LIMIT_S, LONGER = 5.0, 10.0
"""How long each of them may take: so many seconds; so many times what the plan explained took, where time is left."""
SEARCHES = ("lp", "rounding", "emergency", "restricted milp", "full milp")
"""Phases of a run's search for its plan."""
NODES_SHOWN, INPUTS_SHOWN, TIMES_SHOWN, HELD_SHOWN, MISSED_SHOWN = 12, 10, 3, 6, 8
MISSED_TIME = 0.3
"""Share of the time in which reasons are looked for why goals are missed."""
ALL = 0.995
"""A share that is as good as all."""
NODES_ASKED, PRICE_DIGITS = 24, 6
"""Nodes of different prices for which a peak behind the highest is looked for; digits by which prices differ."""
SAME_EUR = 5e-5
CENT_EUR = 0.005
ANY_MORE = "heat demand, hot water and sun stay as they are"


def explain(folder: Path, tell: Tell, time_limit_s: float = TIME_LIMIT_S) -> dict[str, Any]:
    """Everything that can be said of a run: limits, prices, alternatives, sensitivities.

    The plan explained is the recorded one, its decisions held; every other plan is solved for, as far as
    ``time_limit_s`` goes. Raises UsageError or DataError for a folder that is no run.
    """
    run, inputs, schedule = _load(folder)
    said = _said(run)
    tell("taking the plan up again")
    solution = take_up(inputs, schedule, said.objective_eur, said.bound_eur, said.status, said.proof, said.emergency)
    recorded = solution is not None
    if solution is None:
        tell("the recorded plan does not hold any more: planning the day again")
        solution = solve(inputs)
    devices = movable(inputs, solution.assembly.schedule(solution.x))
    in_time = _InTime(time_limit_s, said.seconds)
    missed = _why_missed(solution, said.missed, in_time, tell) if recorded else []
    alternatives, changes = _other_plans(solution, devices[:DEVICES], in_time, tell)
    return {
        "format": 1,
        "plan_id": said.plan_id,
        **_quality(said, solution, recorded),
        "missed": missed,
        "limits": [_limit(inputs, b) for b in _open_sides(inputs, binding_limits(solution))[:LIMITS]],
        "peaks": [_peak(inputs, b) for b in binding_peaks(solution)],
        "prices": _prices(solution, _recorded_prices(run, inputs) if recorded else marginal_prices(solution)),
        "held": _held(inputs),
        "why": [_why(inputs, a, more) for a, more in alternatives],
        "other_devices": len(devices) - len(alternatives),
        "would_change": [
            _change(c, more) for c, more in sorted(changes, key=lambda found: (-found[0].size_eur, found[0].what))
        ],
        "time_limit_s": time_limit_s,
    }


@dataclass(frozen=True)
class _Missed:
    """A goal that a run's summary says its plan misses."""

    id: str
    kind: str
    quantity: str
    words: str


@dataclass(frozen=True)
class _Said:
    """What a run's summary says of its plan. ``seconds``: how long its search took."""

    plan_id: str
    objective_eur: float
    bound_eur: float
    status: Status
    proof: str
    emergency: float
    cost: Mapping[str, tuple[float, str]]
    missed: tuple[_Missed, ...]
    seconds: float


def _load(folder: Path) -> tuple[Run, Inputs, Schedule]:
    try:
        return record.load(folder)
    except run_folder.DAMAGES as e:
        raise DataError("the run in {folder} is damaged: {why}", folder=str(folder), why=repr(e)) from e


def _said(run: Run) -> _Said:
    """DataError where a summary does not say what every summary says."""
    s = run.summary
    try:
        cost = {str(name): (_finite(line["eur"]), str(line["kind"])) for name, line in s["cost"].items()}
        seconds = sum(_finite(s["seconds"].get(phase, 0.0)) for phase in SEARCHES)
        numbers = [_finite(s[name]) for name in ("objective_eur", "bound_eur", "emergency_kwh")]
        status = s["status"]
        if status not in get_args(Status):
            raise ValueError(f"status = {status}")
        missed = tuple(_goal_missed(f) for f in s["shortfalls"])
        objective, bound, emergency = numbers
        return _Said(str(s["plan_id"]), objective, bound, status, str(s["proof"]), emergency, cost, missed, seconds)
    except run_folder.DAMAGES as e:
        raise DataError("the summary of the run is damaged: {why}", why=repr(e)) from e


def _goal_missed(f: Mapping[str, Any]) -> _Missed:
    amount = f"{_finite(f['amount']):.3g} {f['unit']}".rstrip()
    words = f"exceeded by {amount}" if f["what"] == "commitment" else f"{f['goal']} short by {amount}"
    return _Missed(str(f["id"]), str(f["kind"]), str(f["quantity"]), words)


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is no finite number")
    return number


def _why_missed(solution: Solution, missed: Sequence[_Missed], in_time: _InTime, tell: Tell) -> list[dict[str, Any]]:
    """Goals missed, and whether they could be met: with all that is held or out of service, and without."""
    free = None
    if missed and solution.assembly.inputs.pins:
        tell("what would be met if nothing were held or out of service")
        free = _released(solution.assembly.inputs, in_time)
    out = []
    for k, m in enumerate(missed):
        asked = k < MISSED_SHOWN and not in_time.is_past(MISSED_TIME)
        if asked:
            tell(f"why a goal is missed: {m.id}")
        out.append(_one_missed(solution, m, free, asked))
    return out


def _released(inputs: Inputs, in_time: _InTime) -> Solution | None:
    """The plan of the district with nothing held and nothing out of service; None where none was found."""
    try:
        return in_time(dataclasses.replace(inputs, pins=()))
    except (InfeasibleError, NoPlanError, UnboundedError):
        return None


def _one_missed(solution: Solution, m: _Missed, free: Solution | None, asked: bool) -> dict[str, Any]:
    """Emergencies come before money: no plan misses less of those, so far as the goal itself is not held.

    ``asked``: whether to look for a plan that meets what only has a price.
    """
    a = solution.assembly
    found: Reach | None = Reach(1.0) if m.kind == "emergency" else None
    columns = goal_columns(a, m.id, m.quantity)
    if m.kind != "emergency" and columns is not None and asked:
        found = reach(solution, columns)
    return {
        "id": m.id,
        "kind": m.kind,
        "quantity": m.quantity,
        "words": m.words,
        "held": any((p.asset, p.variable) == (m.id, m.quantity) for p in a.inputs.pins),
        "out_of_reach": None if found is None else found.out_of_reach,
        "met": None if found is None else found.met,
        "extra_eur": None if found is None else _number(found.extra_eur),
        "met_if_released": None if free is None or columns is None else _met(solution, free, m, columns),
    }


def _met(solution: Solution, free: Solution, m: _Missed, columns: Ints) -> float | None:
    """The share of a goal missed here that another plan meets."""
    there = goal_columns(free.assembly, m.id, m.quantity)
    here = float(solution.x[columns].sum())
    return None if there is None or here <= 0.0 else max(1.0 - float(free.x[there].sum()) / here, 0.0)


def _other_plans(
    solution: Solution, devices: Sequence[str], again: _InTime, tell: Tell
) -> tuple[list[Found[Alternative]], list[Found[Sensitivity]]]:
    """Devices held off and inputs moved, each with the penalties of its plans; in turn, so that time that runs out
    cuts both short alike.

    Side by side, for HiGHS lets go of the interpreter while it runs; none of them sees another.
    """

    def held_off(device: str) -> Found[Alternative | None]:
        tell(f"why now and not then: {device}")
        seen = _Seen(again)
        return alternative(solution, device, seen), seen.penalties(here)

    near = nearby(solution)
    here = _penalties(solution)

    def quickly(inputs: Inputs) -> Solution:
        return (None if again.is_over else near(inputs)) or again(inputs)

    def moved(variant: Variant) -> Found[Sensitivity]:
        tell(f"what would change it: {variant.words}")
        seen = _Seen(quickly)
        return sensitivity(solution, variant, seen), seen.penalties(here)

    with ThreadPoolExecutor(AT_ONCE) as side_by_side:
        why: list[Future[Found[Alternative | None]]] = []
        change: list[Future[Found[Sensitivity]]] = []
        for device, variant in zip_longest(devices, variants(solution.assembly.inputs)):
            why += [side_by_side.submit(held_off, device)] if device is not None else []
            change += [side_by_side.submit(moved, variant)] if variant is not None else []
        found = [w.result() for w in why]
        return [(a, more) for a, more in found if a is not None], [c.result() for c in change]


class _Seen:
    """Solves districts as ``again`` does and keeps what was found: None where nothing was."""

    def __init__(self, again: Callable[[Inputs], Solution]) -> None:
        self._again = again
        self._found: list[Solution | None] = []

    def __call__(self, inputs: Inputs) -> Solution:
        self._found.append(None)
        self._found[-1] = found = self._again(inputs)
        return found

    def penalties(self, here: Mapping[str, float]) -> list[Mapping[str, float]]:
        """Of every plan asked for, the penalties it has more than ``here``, by cost line [EUR]; none of a cent."""
        out: list[Mapping[str, float]] = []
        for found in self._found:
            there = {} if found is None else _penalties(found)
            more = {} if found is None else {n: there.get(n, 0.0) - here.get(n, 0.0) for n in sorted({*there, *here})}
            out.append({name: eur for name, eur in more.items() if abs(eur) >= CENT_EUR})
        return out


def _penalties(solution: Solution) -> dict[str, float]:
    """What goals missed count in a plan, by cost line [EUR]: a price that says how much they matter, and no money."""
    out: dict[str, float] = {}
    inputs = solution.assembly.inputs
    for block in solution.assembly.blocks:
        group, costs = block.group, block.template.costs
        priced = [c.name for c in group.family.costs if c.kind == "penalty" and c.name in costs]
        if not priced:
            continue
        numbers = block.template.numbers(group.columns, inputs.axis.step_h, group.n)
        x = solution.x[block.first : block.first + group.n * block.template.width].reshape(group.n, -1)
        for name in priced:
            terms, constant = costs[name]
            eur = float(constant.evaluate(numbers).sum())
            if len(terms.column):
                eur += float((terms.value.evaluate(numbers) * x[:, terms.column]).sum())
            line = f"{group.family.name}.{name.removesuffix('_eur')}"
            out[line] = out.get(line, 0.0) + eur
    return out | _soft_limits(solution)


def _soft_limits(solution: Solution) -> dict[str, float]:
    """What limits with a price, and changes of what was announced, count in a plan [EUR]."""
    a, out = solution.assembly, {}
    for c, own in zip(a.inputs.commitments, a.commitments, strict=True):
        if c.kind != "penalty":
            continue
        columns = np.concatenate([own.above, own.below, own.over])
        columns = columns[columns >= 0]
        eur = float(a.lp.cost[columns] @ solution.x[columns])
        if c.is_boundary_price and c.flows[0].node is not None:  # its price stands on the node's own columns
            net = a.schedule(solution.x).net_kw[a.inputs.node_index[c.flows[0].node]]
            eur = sum(commitment_eur(c, net, a.inputs.axis.step_h))
        out[f"{c.id}.{'change' if c.price_below.any() else 'breach'}"] = eur
    return out


class _InTime:
    """Solves a district as long as time is left to begin with it.

    A plan under way has time to be proven as well as the one explained was: cut short it would tell nothing.
    """

    def __init__(self, time_limit_s: float, plan_s: float) -> None:
        self._begin = time.perf_counter()
        self._end = self._begin + time_limit_s
        self._plan_s = LONGER * plan_s

    @property
    def is_over(self) -> bool:
        return self.is_past(1.0)

    def is_past(self, share: float) -> bool:
        """Whether that share of the time is over."""
        return time.perf_counter() >= self._begin + share * (self._end - self._begin)

    def __call__(self, inputs: Inputs) -> Solution:
        now = time.perf_counter()
        if self.is_over:
            raise NoPlanError("no time was left")
        limit = max(PLAN_LIMIT_S, min(self._plan_s, self._end - now))
        return solve(inputs, until=now + limit, explained=False)


# --- as data ---------------------------------------------------------------------------------------------------------


def _quality(said: _Said, solution: Solution, recorded: bool) -> dict[str, Any]:
    inputs = solution.assembly.inputs
    peaks = {f"{c.id}.{c.labels[0]}" for c in inputs.commitments if c.measure == "peak"}
    return {
        "recorded": recorded,
        "recorded_eur": said.objective_eur,
        "objective_eur": solution.objective,
        "gap_eur": solution.gap_eur,
        "short": fallen_short(solution),
        "penalty_eur": sum(eur for eur, kind in said.cost.values() if kind == "penalty"),
        "peak_eur": sum(eur for name, (eur, kind) in said.cost.items() if name in peaks and kind in MONEY),
        "blended": inputs.is_blended,
    }


def _recorded_prices(run: Run, inputs: Inputs) -> Floats:
    said = {s.node: s.values for s in run.schedule if s.quantity == "marginal_price_eur_per_kwh"}
    try:
        return np.stack([said[node.id] for node in inputs.nodes])
    except (KeyError, ValueError) as e:
        raise DataError("the schedule of the run is damaged: {why}", why=repr(e)) from e


def _open_sides(inputs: Inputs, limits: list[BindingLimit]) -> list[BindingLimit]:
    """Without sides that are closed for good: a node that never exports has no export limit to loosen."""
    out = []
    for b in limits:
        node = inputs.nodes[inputs.node_index[b.node]]
        if (node.import_max_kw if b.side == "import" else node.export_max_kw).any():
            out.append(b)
    return out


def _slot(inputs: Inputs, first: int, last: int) -> dict[str, Any]:
    times = inputs.axis.times
    step = np.timedelta64(inputs.axis.step_min, "m")
    return {
        "from": f"{times[first]}Z",
        "to": f"{times[last - 1] + step}Z",
        "words": f"{inputs.axis.label(first)}–{_end(inputs, first, last)}",
    }


def _slots(inputs: Inputs, steps: Sequence[int]) -> list[dict[str, Any]]:
    """Steps in rising order → the intervals they make up."""
    edges = [0, *(np.flatnonzero(np.diff(steps) > 1) + 1).tolist(), len(steps)]
    return [_slot(inputs, int(steps[a]), int(steps[b - 1]) + 1) for a, b in pairwise(edges) if b > a]


def _end(inputs: Inputs, first: int, last: int) -> str:
    """The end of an interval, with its day where that is another one; midnight ends the day before."""
    label = inputs.axis.label(last)
    if label[-5:] == "00:00":
        label = f"{inputs.axis.label(last - 1)[:-5]}24:00"
    return label[-5:] if label[:-5] == inputs.axis.label(first)[:-5] else label


def _limit(inputs: Inputs, b: BindingLimit) -> dict[str, Any]:
    return {
        "node": b.node,
        "side": b.side,
        **_slot(inputs, b.first, b.last),
        "limit_kw": b.limit_kw,
        "value_eur_per_kw": b.value_eur_per_kw,
        "dearest": inputs.axis.label(b.worst_step),
    }


def _peak(inputs: Inputs, b: BindingPeak) -> dict[str, Any]:
    return {
        "commitment": b.commitment,
        "paid": b.paid,
        "set_at": _slots(inputs, b.steps),
        "peak_kw": b.peak_kw,
        "free_kw": b.free_kw,
        "value_eur_per_kw": b.value_eur_per_kw,
    }


def _prices(solution: Solution, price: Floats) -> dict[str, Any]:
    """Marginal price per node and step [EUR/kWh], where it is least and most, and when no more can be drawn (null).

    ``peaks``: those that one more kWh drawn there would raise.
    """
    inputs = solution.assembly.inputs
    finite = [np.flatnonzero(np.isfinite(values)) for values in price]
    dearest = [
        int(steps[values[steps].argmax()]) if len(steps) else -1 for values, steps in zip(price, finite, strict=True)
    ]
    raised = _raised(solution, price, dearest)
    out = {}
    for k, (node, values, steps) in enumerate(zip(inputs.nodes, price, finite, strict=True)):

        def at(step: int, peaks: Sequence[str], values: Floats = values) -> dict[str, Any]:
            return {"eur_per_kwh": float(values[step]), "at": inputs.axis.label(step), "peaks": list(peaks)}

        out[node.id] = {
            "eur_per_kwh": [_number(v) for v in values.tolist()],
            "least": at(int(steps[values[steps].argmin()]), ()) if len(steps) else None,
            "most": at(dearest[k], raised[k]) if len(steps) else None,
            "no_more": _slots(inputs, np.flatnonzero(~np.isfinite(values)).tolist()),
        }
    return out


def _raised(solution: Solution, price: Floats, dearest: Sequence[int]) -> list[tuple[str, ...]]:
    """Per node the peaks that it would raise where its price is highest; one node speaks for those of its price."""
    alike = [
        (step, round(float(price[k, step]), PRICE_DIGITS)) if step >= 0 else None for k, step in enumerate(dearest)
    ]
    first = {key: k for k, key in reversed(list(enumerate(alike))) if key is not None}
    asked = dict(sorted(first.items(), key=lambda item: item[1])[:NODES_ASKED])
    found = raised_peaks(solution, [(k, key[0]) for key, k in asked.items()])
    peaks = dict(zip(asked, found, strict=True))
    return [peaks.get(key, ()) if key is not None else () for key in alike]


def _held(inputs: Inputs) -> list[dict[str, Any]]:
    """What a person holds, and what is out of service: nothing of it was chosen, and no alternative changes it."""
    outages = {(p.asset, p.first, p.last): p for p in inputs.pins if p.why == "outage"}
    pins = [p for p in inputs.pins if p.why != "outage"]
    return [
        {"asset": p.asset, "why": p.why, **({} if p.why == "outage" else {"quantity": p.variable, "value": p.value})}
        | _slot(inputs, p.first, p.last)
        for p in sorted([*pins, *outages.values()], key=lambda p: (p.asset, p.first, p.variable))
    ]


def _number(value: float) -> float | None:
    """JSON knows neither infinity nor NaN."""
    return value if math.isfinite(value) else None


def _difference(d: Difference, penalty_eur: Mapping[str, float]) -> dict[str, Any]:
    """``eur``: what another plan counts more in all; ``penalty_eur``: what of it is no money, by cost line."""
    return {
        "eur": _number(d.eur),
        "penalty_eur": dict(penalty_eur),
        "uncertain_eur": _number(d.uncertain_eur),
        "short": dict(d.short),
        "outcome": d.outcome,
    }


def _why(inputs: Inputs, a: Alternative, penalties: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    return {
        "asset": a.asset,
        "variable": a.variable,
        "slot": _slot(inputs, a.first, a.last),
        "energy_kwh": a.energy_kwh,
        "next_best": _slot(inputs, a.next_first, a.next_last) if a.next_first >= 0 else None,
        "extra": _difference(a.extra, penalties[0]),
        "pins": [
            {"asset": p.asset, "quantity": p.variable, **_slot(inputs, p.first, p.last), "value": p.value}
            for p in a.pins
        ],
    }


def _change(s: Sensitivity, penalties: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    return {
        "input": s.what,
        "words": s.words,
        "step": s.step,
        "up": _difference(s.up, penalties[0]),
        "down": _difference(s.down, penalties[1]),
    }


# --- in words --------------------------------------------------------------------------------------------------------

NO_PLAN = {"no plan": "no plan", "no bound": "it would earn without end", "no time": "not solved in time"}


def words(doc: Doc) -> str:
    """The explanation as text for a terminal."""
    blocks = [
        _head_words(doc),
        _missed_goal_words(doc),
        _limit_words(doc["limits"], doc["peaks"]),
        _price_words(doc["prices"]),
        _why_words(doc["why"], doc["other_devices"]),
        _held_words(doc["held"]),
        _change_words(doc["would_change"]),
        _missing_words(doc),
    ]
    return "\n\n".join(block for block in blocks if block)


def _head_words(doc: Doc) -> str:
    short = "".join(f", {amount:.3g} {unit} short" for unit, amount in doc["short"].items())
    said = "counts for" if doc["blended"] else "cost"
    missed, month = doc["penalty_eur"], doc["peak_eur"]
    of_it = f", {month:.2f} EUR of it for the month's highest powers" if month > CENT_EUR else ""
    of_it += f", {missed:.2f} EUR of it penalties for goals missed, here and below" if missed > CENT_EUR else ""
    head = f"Why plan {doc['plan_id']} is as it is ({said} {doc['objective_eur']:.2f} EUR{of_it}{short})"
    if doc["recorded"]:
        return head
    return (
        f"{head}\nThe recorded plan ({doc['recorded_eur']:.2f} EUR) does not hold in this version of gridopt: what "
        "follows is about the plan that it makes today."
    )


def _missed_goal_words(doc: Doc) -> str:
    """Goals missed, each with its reason; of many the first."""
    lines = [f"  {m['id']}: {m['words']}: {_reason(m, doc['gap_eur'])}" for m in doc["missed"]]
    shown, rest = lines[:MISSED_SHOWN], len(lines) - MISSED_SHOWN
    if rest > 0:
        shown.append(f"  … and {rest} more")
    return "\n".join(["Goals that fall short, and why:", *shown]) if lines else ""


def _reason(m: Doc, gap_eur: float) -> str:
    out, met, extra = m["out_of_reach"], m["met"], m["extra_eur"]
    if m["held"]:
        return "a person holds it so"
    if out is None or (extra is None and out < ALL):
        return "whether a plan could meet it was not found in time"
    if out >= ALL:
        return f"no plan can meet it{_released_words(m['met_if_released'])}"
    if extra <= max(gap_eur, CENT_EUR):
        cost = f"would cost no more than missing it, as far as the proof can tell ({max(gap_eur, CENT_EUR):.2g} EUR)"
    else:
        cost = f"would cost {_eur(extra)} EUR more than missing it"
    if met >= ALL:
        return f"meeting it {cost}"
    known = f"{100 * out:.0f} % of it no plan can meet; " if out > 1.0 - ALL else ""
    return f"{known}meeting {100 * met:.0f} % of it {cost}"


def _released_words(met: float | None) -> str:
    """What of a goal out of reach would be met without pins and outages."""
    if met is None or met <= 1.0 - ALL:
        return ""
    share = "it" if met >= ALL else f"{100 * met:.0f} % of it"
    return f" with what is held or out of service; without, {share} would be met"


def _eur(value: float) -> str:
    """An amount as people read it: to the cent, small ones to three figures."""
    return f"{value:.2f}" if abs(value) >= 1.0 else f"{value:.3g}"


def _short_words(d: Doc) -> str:
    """How another plan falls short where this one does not, or the other way round."""
    said = [f"{abs(more):.3g} {unit} {'more' if more > 0 else 'less'} short" for unit, more in d["short"].items()]
    return f", and {', '.join(said)}" if said else ""


def _money_eur(d: Doc) -> float:
    """A difference without what goals missed count."""
    return float(d["eur"] - sum(d["penalty_eur"].values()))


def _penalty_words(d: Doc) -> str:
    """``, and 128.26 more of discomfort at its price``: how much it matters, in EUR, and yet no money."""
    by_goal: dict[str, float] = {}
    for line, eur in d["penalty_eur"].items():
        goal = line.rpartition(".")[2].replace("_", " ")
        by_goal[goal] = by_goal.get(goal, 0.0) + eur
    said = [f"{abs(e):.2f} {'more' if e > 0 else 'less'} of {goal}" for goal, e in sorted(by_goal.items())]
    return f", and {', '.join(said)} at {'its' if len(said) == 1 else 'their'} price" if said else ""


def _in_all_words(d: Doc) -> str:
    """Where money and penalties come to less together than the proofs leave open."""
    return "" if _is_known(d) else f" (in all less than the proof can tell, {_proof(d)} EUR)"


def _proof(d: Doc) -> str:
    return f"{d['uncertain_eur']:.2g}"


def _is_known(d: Doc) -> bool:
    """Whether a difference is larger than what the proofs leave open."""
    return bool(abs(d["eur"]) > d["uncertain_eur"])


def _limit_words(limits: Sequence[Doc], peaks: Sequence[Doc]) -> str:
    worth = [b for b in limits if b["value_eur_per_kw"] >= CENT_EUR]
    paid = [p for p in peaks if p["value_eur_per_kw"] >= CENT_EUR]
    if not limits and not peaks:
        return "Limits: none binds; more connection power would save nothing."
    if not worth and not paid:
        return "Limits: none that matters; one more kW of connection power would save less than a cent."
    lines = ["Limits that bind, and what one more kW there would save:"]
    lines += [
        f"  {b['node']} {b['side']} {b['limit_kw']:.4g} kW, {b['words']}: {_eur(b['value_eur_per_kw'])} EUR per kW"
        for b in worth
    ]
    lines += [_peak_words(p) for p in paid]
    return "\n".join(lines)


def _peak_words(p: Doc) -> str:
    when, value = _times(p["set_at"]), _eur(p["value_eur_per_kw"])
    if p["paid"]:
        return f"  {p['commitment']}: the peak of {p['peak_kw']:.4g} kW, {when}: {value} EUR per kW less drawn then"
    return f"  {p['commitment']}: kept to the {p['free_kw']:.4g} kW that are free, {when}: {value} EUR per kW"


def _times(slots: Sequence[Doc]) -> str:
    """Intervals one after the other, the day said once; the first few."""
    said = []
    for k, slot in enumerate(slots[:TIMES_SHOWN]):
        same_day = k > 0 and slot["words"].split()[:3] == slots[k - 1]["words"].split()[:3]
        said.append(slot["words"].split()[-1] if same_day and slot["words"].count(" ") == 3 else slot["words"])
    rest = len(slots) - len(said)
    return ", ".join(said) + (f" and {rest} more {'time' if rest == 1 else 'times'}" if rest else "")


def _price_words(prices: Mapping[str, Doc]) -> str:
    alike: dict[str, list[str]] = {}
    for node, p in prices.items():
        alike.setdefault(_one_price(p), []).append(node)
    lines = [f"  {_some(nodes)}: {said}" for said, nodes in alike.items()]
    shown = lines[:NODES_SHOWN]
    rest = sum(len(nodes) for nodes in list(alike.values())[NODES_SHOWN:])
    if rest > 0:
        shown.append(f"  … and {rest} more {'node' if rest == 1 else 'nodes'} (see --json)")
    return "\n".join(["What one more kWh drawn would cost (least and most of the day):", *shown])


def _some(names: Sequence[str]) -> str:
    """The first names, and how many more."""
    rest = len(names) - TIMES_SHOWN
    return ", ".join(names) if rest <= 1 else f"{', '.join(names[:TIMES_SHOWN])} and {rest} more"


def _one_price(p: Doc) -> str:
    low, high = p["least"], p["most"]
    if low is None:
        return "no more can be drawn at any time"
    raised = f", raising what {' and '.join(high['peaks'])} counts" if high["peaks"] else ""
    said = f"{low['eur_per_kwh']:.3f} EUR/kWh at {low['at']}, {high['eur_per_kwh']:.3f} at {high['at']}{raised}"
    if high["eur_per_kwh"] - low["eur_per_kwh"] < 5e-4:
        said = f"{low['eur_per_kwh']:.3f} EUR/kWh"
    return f"{said}; no more can be drawn {_times(p['no_more'])}" if p["no_more"] else said


def _why_words(alternatives: Sequence[Doc], others: int) -> str:
    solved = [a for a in alternatives if a["extra"]["outcome"] != "no time"]
    if not alternatives:
        return "Why now and not then: no device chose when to run."
    lines = [f"  {_one_why(a)}" for a in solved]
    if others:
        lines.append(f"  … and {others} more {'device' if others == 1 else 'devices'} that moved less energy")
    return "\n".join(["Why now and not then:", *lines])


def _held_words(held: Sequence[Doc]) -> str:
    """Pins and outages in lines, each thing's intervals together."""
    if not held:
        return ""
    slots: dict[str, list[Doc]] = {}
    for h in held:
        unit = f" {unit_of(h['quantity'])}".rstrip() if "quantity" in h else ""
        what = "out of service" if h["why"] == "outage" else f"{h['quantity']} = {h['value']:g}{unit}"
        slots.setdefault(f"{h['asset']}: {what}", []).append(h)
    lines = [f"  {what}, {_times(where)}" for what, where in slots.items()]
    shown, rest = lines[:HELD_SHOWN], len(lines) - HELD_SHOWN
    if rest > 0:
        shown.append(f"  … and {rest} more")
    return "\n".join(["Held by a person or out of service, in every plan spoken of here:", *shown])


def _one_why(a: Doc) -> str:
    what = {"charge_kw": "charges", "discharge_kw": "discharges"}.get(a["variable"], "runs")
    said = f"{a['asset']} {what} {a['energy_kwh']:.2f} kWh {a['slot']['words']}"
    d = a["extra"]
    if d["outcome"] != "solved":
        held = {"no plan": "held off, there would be no plan", "no bound": "held off, the plan would earn without end"}
        return f"{said}; {held[d['outcome']]}"
    instead = f"next best {a['next_best']['words']}" if a["next_best"] else "held off, it would not run instead"
    return f"{said}; {instead}: {_extra_words(d)}"


def _extra_words(d: Doc) -> str:
    eur = d["eur"]
    proof = f" ± {_proof(d)}" if d["uncertain_eur"] >= SAME_EUR else ""
    if d["penalty_eur"]:
        money = _money_eur(d)
        cost = f"{_eur(abs(money))}{proof} EUR {'more' if money > 0 else 'less'}"
        cost = (cost if abs(money) >= CENT_EUR else "the same money") + _penalty_words(d) + _in_all_words(d)
    elif max(abs(eur), d["uncertain_eur"]) < SAME_EUR:
        cost = "the same cost"
    elif not _is_known(d):
        cost = f"less than the proof can tell ({_proof(d)} EUR)"
    else:
        cost = f"{_eur(abs(eur))}{proof} EUR {'more' if eur > 0 else 'less'}"
    return cost + _short_words(d)


def _change_words(changes: Sequence[Doc]) -> str:
    if not changes:
        return "What would change it: nothing; the plan has no price and no forecast."
    sizes = [_size(c) for c in changes]
    large = [c for c, size in zip(changes, sizes, strict=True) if size == "large"]
    lines = [
        f"  {c['words']}, {c['step']}: {_sign_words(c['up'])} / {_sign_words(c['down'])}" for c in large[:INPUTS_SHOWN]
    ]
    if any(c["step"].endswith("K") for c in large[:INPUTS_SHOWN]):
        lines.append(f"    (warmer / colder, for heat losses and heat pumps; {ANY_MORE})")
    for size, said in (("unknown", "less than the proof can tell"), ("small", "less than a cent")):
        names = [c["words"] for c, s in zip(changes, sizes, strict=True) if s == size]
        lines += [f"  {said}, up or down: {', '.join(names)}"] if names else []
    return "\n".join(["What would change the cost most (up / down):", *lines]) if lines else ""


def _outcomes(c: Doc) -> set[str]:
    return {c["up"]["outcome"], c["down"]["outcome"]}


def _size(c: Doc) -> str:
    """large | unknown | small | none, where nothing was solved."""
    if _outcomes(c) == {"no time"}:
        return "none"
    sides = [c[side] for side in ("up", "down") if c[side]["outcome"] != "no time"]
    if any(d["outcome"] != "solved" or _short_words(d) or d["penalty_eur"] for d in sides):
        return "large"
    if any(abs(d["eur"]) >= CENT_EUR and _is_known(d) for d in sides):
        return "large"
    return "small" if all(abs(d["eur"]) + d["uncertain_eur"] < CENT_EUR for d in sides) else "unknown"


def _sign_words(d: Doc) -> str:
    if d["outcome"] != "solved":
        return NO_PLAN[d["outcome"]]
    proof = f" ± {_proof(d)}" if d["uncertain_eur"] >= CENT_EUR else ""
    if d["penalty_eur"]:
        in_all = _in_all_words(d) if d["uncertain_eur"] >= CENT_EUR else ""
        return f"{_money_eur(d):+.2f}{proof} EUR{_penalty_words(d)}{in_all}{_short_words(d)}"
    if not _is_known(d) and d["uncertain_eur"] >= CENT_EUR:
        return f"less than the proof can tell ({_proof(d)} EUR){_short_words(d)}"
    return f"{d['eur']:+.2f}{proof} EUR{_short_words(d)}"


def _missing_words(doc: Doc) -> str:
    missing = list(_not_solved(doc))
    if not missing:
        return ""
    return f"Not solved within {doc['time_limit_s']:g} s: {', '.join(missing)}. `--time-limit` gives more time."


def _not_solved(doc: Doc) -> Iterator[str]:
    yield from (a["asset"] for a in doc["why"] if a["extra"]["outcome"] == "no time")
    yield from (c["words"] for c in doc["would_change"] if "no time" in _outcomes(c))
