"""The main job: a scenario planned, checked, compared with its rule-based twin, and written down.

solve → schedule → verify → twin → key figures → summary. A plan that the check refuses is never written.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gridopt import __version__
from gridopt.assets.base import MONEY, Floats, Ints, at
from gridopt.errors import GridoptError, InfeasibleError, VerificationError
from gridopt.jobs import record
from gridopt.model.assemble import Assembly, Block
from gridopt.model.inputs import Commitment, Group, Inputs
from gridopt.model.schedule import Schedule
from gridopt.report import kpi
from gridopt.simulate.twin import Twin, twin
from gridopt.solve.equal import ending_like
from gridopt.solve.explain import binding_limits, marginal_prices
from gridopt.solve.ladder import Solution, solve
from gridopt.store import run_folder
from gridopt.store.run_folder import Run
from gridopt.units import unit_of
from gridopt.verify import Ledger, Line, Trace, bill, replay, verify
from gridopt.verify.ledger import flow_kw

if TYPE_CHECKING:
    from gridopt.scenario.load import Scenario
    from gridopt.scenario.objective import Objective

Tell = Callable[[str], None]
PROVEN, DEGRADED = 0, 3
SHOWN_FINDINGS = 10
ENDS_ALIKE = 0.05
"""Two days end alike where they differ by less (kWh, K, m³)."""
KWH_PER = ("stored_kwh_per_k", "capacity_kwh_per_k", "lift_kwh_per_m3")
"""Columns that say how many kWh a unit of a stock is, where it is no kWh itself."""
STORES = "stores.left"
"""Cost line of the twin: what its stores, and cars that stay, hold less at the end than the plan's."""


@dataclass(frozen=True)
class Plan:
    """A plan that holds, with everything said about it. ``summary`` and ``run`` are what the run folder keeps."""

    inputs: Inputs
    solution: Solution
    schedule: Schedule
    trace: Trace
    ledger: Ledger
    twin: Twin
    run: Run

    @property
    def summary(self) -> Mapping[str, Any]:
        return self.run.summary

    @property
    def exit_code(self) -> int:
        """0 for a proven plan with every goal met, 3 for a lower rung."""
        return PROVEN if self.summary["rung"] in ("optimal", "within gap") else DEGRADED


def run(
    path: Path | str,
    *,
    now: datetime,
    day: date | None = None,
    overlays: Sequence[Path] = (),
    sets: Sequence[str] = (),
    continued: Path | None = None,
    gap: float | None = None,
    time_limit_s: float | None = None,
    tell: Tell | None = None,
) -> Plan:
    """Load a scenario and plan it. Raises what loading, solving and the check raise.

    ``continued``: the folder of an earlier run; how its plan leaves everything is how this one starts.
    """
    from gridopt.scenario.load import load

    say = tell or _silent
    say("reading the scenario")
    begin = time.perf_counter()
    scenario = load(path, overlays=overlays, sets=sets, day=day, before=record.before(continued))
    return plan(scenario, say, now, gap, time_limit_s, {"load": time.perf_counter() - begin})


def plan(
    scenario: Scenario,
    tell: Tell | None,
    now: datetime,
    gap: float | None = None,
    time_limit_s: float | None = None,
    seconds: Mapping[str, float] | None = None,
) -> Plan:
    """Plan a loaded scenario.

    ``gap`` and ``time_limit_s`` replace the scenario's own; ``seconds`` are phases that came before.
    Raises InfeasibleError, NoPlanError, or VerificationError for a plan that does not hold.
    """
    say = tell or _silent
    inputs = _with_target(scenario.inputs, gap, time_limit_s)
    solution = _solved(scenario, inputs, say)
    clock = _Clock({**(seconds or {}), **solution.seconds})
    schedule = solution.assembly.schedule(solution.x)
    say("checking the plan")
    findings = verify(inputs, schedule, solution.objective)
    if findings:
        raise _refused(inputs, findings)
    trace = replay(inputs, schedule)
    ledger = bill(inputs, schedule.net_kw, trace)
    clock.lap("verify")
    say("running the day by rule, to compare")
    by_rule = twin(inputs)
    clock.lap("twin")
    prices = marginal_prices(solution)
    ruled, unknown = _with_own_peaks(scenario, inputs, schedule.net_kw, trace, by_rule)
    left = _left_in_stores(solution, ledger, by_rule)
    if ruled is not inputs:
        by_rule = replace(by_rule, ledger=bill(ruled, by_rule.net_kw, by_rule.trace))
    compared = _comparison(solution, trace, ledger, by_rule, left, prices)
    compared["baseline"]["peaks_kw"] = _peaks_by_rule(ruled, by_rule, unknown)
    clock.lap("comparison")
    series = record.schedule_series(inputs, schedule, trace, prices)
    doc, planned_with = record.pack(inputs)
    told = record.setpoints(inputs, schedule, trace, _devices(scenario))
    plan_hash = record.plan_hash(doc["digest"], series, told, inputs.axis.start, inputs.axis.end)
    summary = {
        **_identity(scenario, inputs, doc["digest"], plan_hash, now),
        **_topology(scenario, inputs),
        **_quality(solution, schedule, trace, ledger),
        **compared,
        "kpi": _kpi(inputs, schedule, trace),
        "limits": _limits(inputs, solution),
    }
    if scenario.objective.named:
        summary["wishes"] = _wishes(scenario.objective, inputs, (schedule.net_kw, trace, ledger), by_rule)
    clock.lap("report")
    summary |= {"versions": _versions(), "seconds": clock.seconds, "counters": solution.counters}
    return Plan(
        inputs, solution, schedule, trace, ledger, by_rule,
        Run(inputs.axis, summary, series, told, doc, planned_with),
    )  # fmt: skip


def write(plan: Plan, folder: Path) -> None:
    """Leave a plan as a run folder."""
    run_folder.write(folder, plan.run)


def until_then(plan: Plan, out: Path) -> list[Path]:
    """Run folders, ``out`` and those beside it, whose plan of the same scenario covers the time before this one."""
    start, name = plan.inputs.axis.start, plan.summary["scenario"]["name"]
    found: list[Path] = []
    for folder in dict.fromkeys((out, *(sorted(out.parent.iterdir()) if out.parent.is_dir() else ()))):
        try:
            s = run_folder.read_summary(folder)
            first, last = (datetime.fromisoformat(s[key]) for key in ("valid_from", "valid_until"))
            covers = s["scenario"]["name"] == name and first < start <= last
        except (GridoptError, OSError, KeyError, TypeError, ValueError):
            continue
        found += [folder] if covers else []
    return found


def _solved(scenario: Scenario, inputs: Inputs, say: Tell) -> Solution:
    """The plan; where there is none, mends of limits that stand in a file name it."""
    try:
        return solve(inputs, say)
    except InfeasibleError as e:
        if e.explanation is None:
            raise
        placed = e.explanation.placed(scenario.limits_in)
        raise InfeasibleError("{words}", explanation=placed, words=placed.words) from None


def _silent(_: str) -> None:
    pass


def _devices(scenario: Scenario) -> dict[str, tuple[str, str]]:
    """Asset → what its device accepts and what it is called, as the user said."""
    return {
        asset: (control, device)
        for table in scenario.tables
        for asset, control, device in zip(table.ids, table.control, table.device, strict=True)
    }


class _Clock:
    """Seconds per phase since it was made."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self.seconds = dict(seconds)
        self._mark = time.perf_counter()

    def lap(self, phase: str) -> None:
        now = time.perf_counter()
        self.seconds[phase] = now - self._mark
        self._mark = now


def _with_target(inputs: Inputs, gap: float | None, time_limit_s: float | None) -> Inputs:
    target = inputs.target
    if gap is not None:
        target = replace(target, gap=gap, exact_gap=min(gap, target.exact_gap))
    if time_limit_s is not None:
        target = replace(target, time_limit_s=time_limit_s)
    return inputs if target == inputs.target else replace(inputs, target=target)


def _refused(inputs: Inputs, findings: Sequence[Any]) -> VerificationError:
    words = [f.words(inputs) for f in findings[:SHOWN_FINDINGS]]
    if len(findings) > SHOWN_FINDINGS:
        words.append(f"and {len(findings) - SHOWN_FINDINGS} more")
    return VerificationError(
        "the plan does not hold and was not written; recomputed without the model:\n  {words}",
        findings=tuple(findings),
        words="\n  ".join(words),
    )


# --- what the summary says -------------------------------------------------------------------------------------------


def _identity(scenario: Scenario, inputs: Inputs, digest: str, plan_hash: str, now: datetime) -> dict[str, Any]:
    axis = inputs.axis
    return {
        "plan_id": f"{scenario.name}-{axis.local_day[0]:%Y%m%d}-{plan_hash[:12]}",
        "hash": plan_hash,
        "scenario": {"name": scenario.name, "title": scenario.title, "notes": list(scenario.notes)},
        "created": now.astimezone(UTC).isoformat(),
        "valid_from": axis.start.isoformat(),
        "valid_until": axis.end.isoformat(),
        "supersedes": None,
        "continues": _continues(scenario),
        "horizon": {
            "start": axis.start.isoformat(),
            "end": axis.end.isoformat(),
            "steps": axis.steps,
            "step_min": axis.step_min,
            "zone": axis.zone,
        },
        "inputs": {"digest": digest, "sources": dict(scenario.sources)},
    }


def _continues(scenario: Scenario) -> dict[str, Any] | None:
    """The run whose plan says how this one starts, and what of it goes on; None where the scenario says it."""
    from gridopt.scenario.before import window_words

    resumed = scenario.resumed
    if resumed is None:
        return None
    return {
        "plan_id": resumed.before.plan_id,
        "hash": resumed.before.summary["hash"],
        "assets": sorted(resumed.values),
        "rests": {name: list(rests) for name, rests in sorted(resumed.rests.items())},
        "over": sorted(resumed.over),
        "peaks_kw": dict(sorted(resumed.peaks_kw.items())),
        "peaks": {
            name: [{"window": window_words(p.window), "plan_kw": p.plan_kw, "by_rule_kw": p.by_rule_kw} for p in peaks]
            for name, peaks in sorted(resumed.peaks.items())
        },
    }


def _topology(scenario: Scenario, inputs: Inputs) -> dict[str, Any]:
    """Nodes, assets, and the state in which each starts: as the running plan leaves it, or as the scenario says."""
    assets, start = [], {}
    carried = scenario.resumed.values if scenario.resumed else {}
    for group in inputs.groups:
        first = group.family.start(at(group.columns, 0, inputs.axis.step_h))
        # What has a unit, or is also a command (running or not); the rest is a device's own book-keeping.
        known = {q: v for q, v in first.items() if v.ndim == 1 and (unit_of(q) or q in group.family.commands)}
        for k, name in enumerate(group.ids):
            ports = {port: inputs.nodes[int(where[k])].id for port, where in sorted(group.nodes.items())}
            assets.append({"id": name, "family": group.family.name, "ports": ports})
            if known:
                start[name] = {
                    **{q: float(values[k]) for q, values in known.items()},
                    "source": "plan" if name in carried else "scenario",
                }
    nodes = [{"id": n.id, "parent": n.parent, "carrier": n.carrier} for n in inputs.nodes]
    return {"nodes": nodes, "assets": assets, "start_state": start}


def _quality(solution: Solution, schedule: Schedule, trace: Trace, ledger: Ledger) -> dict[str, Any]:
    short = _short(solution, schedule.net_kw, trace, ledger)
    return {
        "status": solution.status,
        "rung": "soft" if short else solution.status,
        "proof": solution.rung,
        "stopped_by": solution.stopped_by,
        "objective_eur": solution.objective,
        "bound_eur": solution.bound,
        "gap_eur": solution.gap_eur,
        "gap": solution.gap,
        "emergency_kwh": solution.emergency,
        "cost": _cost(ledger),
        "shortfalls": short,
    }


def _short(solution: Solution, net_kw: Floats, trace: Trace, ledger: Ledger) -> list[dict[str, Any]]:
    inputs = solution.assembly.inputs
    deadlines = [_deadlines(solution.assembly, block) for block in solution.assembly.blocks]
    found = kpi.shortfalls(inputs, net_kw, trace, ledger, deadlines)
    return [kpi.shortfall_record(s, inputs) for s in found]


def _deadlines(assembly: Assembly, block: Block) -> Ints:
    """(n,) the step after the last one in which each device could act; its window's end if it never can."""
    group = block.group
    able = np.zeros((group.n, group.steps), bool)
    for command in group.family.commands:
        columns = block.columns(command)
        if columns is not None:
            able |= assembly.lp.upper[columns] > 0
    last = group.steps - able[:, ::-1].argmax(1)
    return group.offset + np.where(able.any(1), last, group.steps)


def _cost(ledger: Ledger) -> dict[str, dict[str, Any]]:
    return {name: {"eur": line.eur, "kind": line.kind} for name, line in ledger.lines.items()}


def _comparison(
    solution: Solution, trace: Trace, ledger: Ledger, by_rule: Twin, left: float | None, price_eur_per_kwh: Floats
) -> dict[str, Any]:
    """The twin, and what the plan saves against it: penalties and breaches stand beside the saving, never inside.

    A twin that ends with emptier stores has not saved anything: what it holds less is a cost line of its own. Where no
    plan can end as the twin does (``left`` None), the saving is not known.
    """
    inputs = solution.assembly.inputs
    worth = left is not None and abs(left) > kpi.WORTH_EUR
    rule = Ledger(by_rule.ledger.lines | ({STORES: Line(left, "value")} if worth and left is not None else {}))
    return {
        "baseline": {
            "cost": _cost(rule),
            "total_eur": rule.total_eur,
            "ends": _ends(inputs, trace, by_rule.trace, rule.lines.get(STORES), price_eur_per_kwh.mean(1)),
            "shortfalls": _short(solution, by_rule.net_kw, by_rule.trace, by_rule.ledger),
            "breaches": [
                {
                    "node": b.node,
                    "side": b.side,
                    **kpi.interval(inputs, b.first, b.last),
                    "worst_kw": b.worst_kw,
                    "energy_kwh": b.energy_kwh,
                }
                for b in by_rule.breaches
            ],
            "broken_rules": [
                {"name": b.name, "low": _finite(b.low), "high": _finite(b.high), "found": b.found, "by": b.by}
                for b in by_rule.broken
            ],
            "refused": [
                {
                    "asset": r.asset,
                    "variable": r.variable,
                    **kpi.interval(inputs, r.first, r.last),
                    "wanted": r.wanted,
                    "did": r.did,
                }
                for r in by_rule.refused
            ],
            "kpi": {
                "nodes": kpi.node_kpis(inputs, by_rule.net_kw, by_rule.trace),
                "assets": kpi.asset_kpis(inputs, by_rule.trace),
            },
        },
        "savings_eur": None if left is None else rule.of(*MONEY) - ledger.of(*MONEY),
    }


def _with_own_peaks(
    scenario: Scenario, inputs: Inputs, net_kw: Floats, trace: Trace, by_rule: Twin
) -> tuple[Inputs, set[tuple[str, int]]]:
    """The Inputs that bill the day by rule, and the periods (commitment, number) of which its past is not known.

    A continued run starts with the month's peak of the plans before it; its day by rule starts with that of the days by
    rule, or a chain of nights would save the same peak every night. Where that is not known, what both days pay for it
    is the same: nothing is claimed.
    """
    resumed, axis = scenario.resumed, inputs.axis
    if resumed is None or not resumed.peaks:
        return inputs, set()
    from gridopt.scenario.times import inside

    unknown: set[tuple[str, int]] = set()
    billed = []
    for c in inputs.commitments:
        peaks = resumed.peaks.get(c.id, []) if c.measure == "peak" else []
        so_far_kw = c.baseline_kw.copy()
        for peak in peaks:
            here = inside(axis, peak.window) & (axis.local_month == axis.local_month[0]) & (c.period >= 0)
            if peak.by_rule_kw is not None:
                so_far_kw[here] = peak.by_rule_kw
            elif here.any():
                planned, ruled = _flow_kw(inputs, c, net_kw, trace), _flow_kw(inputs, c, by_rule.net_kw, by_rule.trace)
                so_far_kw[here] = ruled[here] - max(0.0, float((planned - c.baseline_kw)[here].max()))
                unknown |= {(c.id, int(p)) for p in np.unique(c.period[here])}
        billed.append(replace(c, baseline_kw=so_far_kw) if peaks else c)
    return replace(inputs, commitments=tuple(billed)), unknown


def _flow_kw(inputs: Inputs, c: Commitment, net_kw: Floats, trace: Trace) -> Floats:
    return np.asarray(np.sum([flow_kw(inputs, f, net_kw, trace) for f in c.flows], axis=0))


def _peaks_by_rule(inputs: Inputs, by_rule: Twin, unknown: set[tuple[str, int]]) -> dict[str, list[Any]]:
    """Commitment → per period how the peak so far of the day by rule rises: from when it is what; None: not known."""
    out: dict[str, list[Any]] = {}
    for c in inputs.commitments:
        if c.measure != "peak" or c.kind not in MONEY:
            continue
        flow = _flow_kw(inputs, c, by_rule.net_kw, by_rule.trace)
        out[c.id] = [
            None if (c.id, p) in unknown else _rises(inputs, c.baseline_kw, flow, np.flatnonzero(c.period == p))
            for p in range(c.periods)
        ]
    return out


def _rises(inputs: Inputs, so_far_kw: Floats, flow: Floats, steps: Ints) -> list[dict[str, Any]]:
    """The peak so far at the start, and from the end of every step that raises it."""
    top = max(0.0, float(so_far_kw[steps].max(initial=0.0)))
    rises = [{"from": inputs.axis.start.isoformat(), "kw": top}]
    for t in steps.tolist():
        if flow[t] > top:
            top = float(flow[t])
            rises.append({"from": kpi.interval(inputs, t, t + 1)["end"], "kw": top})
    return rises


def _finite(bound: float) -> float | None:
    return bound if np.isfinite(bound) else None


def _ends(inputs: Inputs, plan: Trace, rule: Trace, left: Line | None, price: Floats) -> list[dict[str, Any]]:
    """What both days leave to tomorrow, where it differs: contents, temperatures, what cars that stay have drawn.

    ``about_eur``: its part of the line ``left``, shared by what each difference takes at its node's mean ``price``;
    none where some end fuller and some emptier, so that their parts are not known.
    """
    found: list[dict[str, Any]] = []
    parts: list[float] = []

    def tell(group: Group, quantity: str, here: Floats, there: Floats, kwh_per: Floats) -> None:
        at_node = price[group.nodes[group.family.ports[0].name]]
        for k in np.flatnonzero(np.abs(here - there) > ENDS_ALIKE):
            ends = {"plan": float(here[k]), "by_rule": float(there[k]), "unit": unit_of(quantity)}
            found.append({"id": group.ids[k], "quantity": quantity, **ends})
            parts.append(float((here[k] - there[k]) * kwh_per[k] * at_node[k]))

    for group, mine, theirs in zip(inputs.groups, plan.steps, rule.steps, strict=True):
        one = np.ones(group.n)
        for state, sign in group.family.stocks.items():
            way = group.columns[sign] if isinstance(sign, str) else sign * one
            kwh_per = next((group.columns[name] for name in KWH_PER if name in group.columns), one)
            tell(group, state, mine[state][:, -1], theirs[state][:, -1], way * kwh_per)
        goes_on = group.family.goes_on(group.columns)
        if goes_on is not None:
            step_h, port = inputs.axis.step_h, f"{group.family.ports[0].name}_kw"
            here, there = (goes_on * t[port].sum(1) * step_h for t in (mine, theirs))
            tell(group, "drawn_kwh", here, there, one)
    total = sum(parts)
    if left is not None and total * left.eur > 0 and all(part * total >= 0 for part in parts):
        for end, part in zip(found, parts, strict=True):
            end["about_eur"] = left.eur * part / total
    return sorted(found, key=lambda e: (-abs(e["plan"] - e["by_rule"]), e["id"]))


def _left_in_stores(solution: Solution, ledger: Ledger, by_rule: Twin) -> float | None:
    """What the plan would save if it ended its day as ``rule`` does: no fuller stores, no fuller cars [EUR].

    The plan's money less that of the best plan found with that end. Goals which that one misses for it count against
    it at their price; goals it misses less do not count for it. None where there is no such plan.
    """
    x = ending_like(solution, by_rule.trace)
    if x is None:
        return None
    schedule = solution.assembly.schedule(x)
    equal = bill(solution.assembly.inputs, schedule.net_kw, replay(solution.assembly.inputs, schedule))
    left = ledger.of(*MONEY) - equal.of(*MONEY) - max(equal.of("penalty") - ledger.of("penalty"), 0.0)
    # A day by rule that misses no more and breaks nothing is such a plan itself: the best one is no dearer.
    obeyed = not (by_rule.breaches or by_rule.broken or by_rule.refused)
    is_plan = obeyed and by_rule.ledger.of("penalty") <= ledger.of("penalty") + kpi.WORTH_EUR
    if is_plan and _emergency(solution.assembly, by_rule.trace) <= solution.emergency + kpi.SHORT:
        left = max(left, ledger.of(*MONEY) - by_rule.ledger.of(*MONEY))
    return left


def _emergency(a: Assembly, trace: Trace) -> float:
    """The emergencies of a trace, end goals aside [kWh, or each one's own unit]."""
    total = 0.0
    for group, steps, ends in zip(a.inputs.groups, trace.steps, trace.ends, strict=True):
        for name in group.family.emergencies:
            if not name.startswith("end_short"):
                weight = a.inputs.axis.step_h if name.endswith("_kw") else 1.0
                total += weight * float(np.sum(steps.get(name, 0.0))) + float(np.sum(ends.get(name, 0.0)))
    return total


def _wishes(
    objective: Objective, inputs: Inputs, planned: tuple[Floats, Trace, Ledger], by_rule: Twin
) -> list[dict[str, Any]]:
    """What the plan is chosen by, money apart from its usual weight: each part's weight and what both days come to."""
    ruled = by_rule.net_kw, by_rule.trace, by_rule.ledger
    return [
        {
            "part": part.name,
            "weight": getattr(objective.weights, part.key),
            "key": part.key,
            "quantity": part.amount,
            "plan": objective.amount(part.name, inputs, *planned),
            "by_rule": objective.amount(part.name, inputs, *ruled),
        }
        for part in objective.named
    ]


def _kpi(inputs: Inputs, schedule: Schedule, trace: Trace) -> dict[str, Any]:
    return {
        "nodes": kpi.node_kpis(inputs, schedule.net_kw, trace),
        "assets": kpi.asset_kpis(inputs, trace),
    }


def _limits(inputs: Inputs, solution: Solution) -> list[dict[str, Any]]:
    """Node limits that bind, dearest first. ``value_eur_per_kw``: what one more kW over the whole interval would save.

    A side closed altogether (nothing may ever be given back) is the shape of a node, not a limit met.
    """
    step_h = inputs.axis.step_h
    return [
        {
            "node": b.node,
            "side": b.side,
            **kpi.interval(inputs, b.first, b.last),
            "limit_kw": b.limit_kw,
            "value_eur_per_kw": b.value_eur_per_kw,
            "mean_eur_per_kwh": b.value_eur_per_kw / ((b.last - b.first) * step_h),
            "worst_at": kpi.interval(inputs, b.worst_step, b.worst_step + 1)["start"],
        }
        for b in binding_limits(solution)
        if b.limit_kw > 0 and b.value_eur_per_kw > kpi.WORTH_EUR
    ]


def _versions() -> dict[str, str]:
    """What computed the plan: the same values are promised on the same machine type and versions."""
    import pyomo.version
    import scipy

    return {
        "gridopt": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "highs": _highs_version(),
        "pyomo": pyomo.version.version,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def _highs_version() -> str:
    import highspy

    highs: Any = highspy.Highs
    return str(highs().version())
