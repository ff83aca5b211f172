"""From Inputs in memory to a Solution, templates compiled, against HiGHS alone on the same matrix; and every phase."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import highspy
import numpy as np
import numpy.typing as npt

from benchmarks.harness import Result, Row, alternate, benchmark, ratio
from benchmarks.mix import district
from gridopt.assets.base import Floats
from gridopt.jobs import record
from gridopt.model.assemble import Assembly, assemble
from gridopt.model.inputs import Inputs
from gridopt.model.template import Template
from gridopt.simulate.twin import twin
from gridopt.solve.explain import marginal_prices
from gridopt.solve.ladder import Solution, solve
from gridopt.solve.session import SCALING
from gridopt.store import run_folder
from gridopt.verify import replay, verify

OPTIONS: dict[str, Any] = {
    "output_flag": False, "threads": 1, "random_seed": 7, "solver": "simplex", "simplex_scale_strategy": SCALING,
}  # fmt: skip
"""What gridopt's own session tells HiGHS."""
LEAST = ("charge_min_kw", "power_min_kw")
RATIO, MORE_MS = 1.1, 6.0
ROUNDS = {1: (31, 101), 10: (7, 21), 100: (3, 7)}
"""Buildings → rounds in the short and in the full form."""


@dataclass(frozen=True)
class Wholeness:
    """What makes a programme a MILP for HiGHS: bounds, and per column 0 = real, 1 = whole, 2 = semi-continuous."""

    lower: Floats
    upper: Floats
    kind: npt.NDArray[np.int32]


def without_decisions(buildings: int, seed: int = 7) -> Inputs:
    """The mix with nothing to decide, so that the plan is one LP: no shiftable loads, no least powers."""
    inputs = district(buildings, seed=seed, shares={"shiftable-load": 0.0})
    groups = []
    for group in inputs.groups:
        columns = {name: 0.0 * a if name in LEAST else a for name, a in group.columns.items()}
        groups.append(dataclasses.replace(group, columns=columns))
    return dataclasses.replace(inputs, groups=tuple(groups))


def highs_alone(a: Assembly, whole: Wholeness | None = None, **options: Any) -> Any:
    """A bare HiGHS object that was handed a ready programme (emergencies shut, as in a normal plan) and has run.

    ``whole``: what makes it a MILP; ``options`` replace OPTIONS.
    """
    highs: Any = highspy.Highs
    h = highs()
    for name, value in {**OPTIONS, **options}.items():
        if h.setOptionValue(name, value) != highspy.HighsStatus.kOk:
            raise RuntimeError(f"HiGHS refused {name} = {value}")
    lp = a.lp
    rows, columns, nonzeros = lp.shape
    lower, upper = (lp.lower.copy(), lp.upper.copy()) if whole is None else (whole.lower.copy(), whole.upper.copy())
    lower[a.emergencies] = upper[a.emergencies] = 0.0
    status = h.passModel(
        columns, rows, nonzeros, int(highspy.MatrixFormat.kColwise), int(highspy.ObjSense.kMinimize), lp.offset,
        lp.cost, lower, upper, lp.row_lower, lp.row_upper, lp.start, lp.index, lp.value,
        np.zeros(columns, np.int32) if whole is None else whole.kind,
    )  # fmt: skip
    if status == highspy.HighsStatus.kError:
        raise RuntimeError("HiGHS refused the model")
    h.run()
    return h


@benchmark("speed", "in memory to Solution, templates compiled, against HiGHS alone on the same matrix (LP)")
def speed(full: bool) -> Result:
    result = Result(notes=["highs: pass the ready model and run; more: what gridopt takes beyond that, processor time"])
    for buildings, rounds in ROUNDS.items():
        inputs = without_decisions(buildings)
        solution, a = solve(inputs), assemble(inputs)
        h = highs_alone(a)
        info = h.getInfo()
        found = alternate(rounds[full], highs=partial(highs_alone, a), gridopt=partial(solve, inputs))
        wall, cpu = ratio(found["gridopt"], found["highs"])
        more_ms = 1e3 * (found["gridopt"].cpu_s - found["highs"].cpu_s)
        result.rows.append({
            "buildings": buildings, **_size(solution), "rounds": rounds[full],
            "highs_wall_ms": 1e3 * found["highs"].wall_s, "highs_cpu_ms": 1e3 * found["highs"].cpu_s,
            "gridopt_wall_ms": 1e3 * found["gridopt"].wall_s, "gridopt_cpu_ms": 1e3 * found["gridopt"].cpu_s,
            "wall_ratio": wall, "cpu_ratio": cpu, "more_ms": more_ms,
        })  # fmt: skip
        said = f"at {buildings} building{'s' * (buildings > 1)}"
        result.counter(f"LPs solved {said}", solution.counters["lps"], 1)
        off = abs(solution.counters["pivots"] - info.simplex_iteration_count)
        result.counter(f"pivots apart from HiGHS alone {said}", off, 0)
        apart = abs(solution.objective - info.objective_function_value) / abs(solution.objective)
        result.counter(f"objective apart from HiGHS alone {said}", apart, 1e-9)
        if buildings == 1:
            result.target(f"ms more than HiGHS alone {said}, processor time", more_ms, MORE_MS)
        if buildings == 100:
            result.target(f"times HiGHS alone {said}, processor time", cpu, RATIO)
    return result


def _size(solution: Solution) -> Row:
    return {name: solution.counters[name] for name in ("rows", "columns", "nonzeros", "pivots")}


@benchmark("phases", "every phase of a plan with decisions, of the first LP's processor time")
def phases(full: bool) -> Result:
    result = Result(notes=["shares are of the first LP: 0.05 is 5 % of it; write counts packing and all five files"])
    for buildings in (1, 10, 100):
        inputs = district(buildings)
        solution = solve(inputs)
        schedule = solution.assembly.schedule(solution.x)
        with tempfile.TemporaryDirectory() as folder:
            found = alternate(
                5 if full else 3,
                lp=partial(highs_alone, solution.assembly),
                assemble=partial(assemble, inputs),
                read=partial(solution.assembly.schedule, solution.x),
                verify=partial(verify, inputs, schedule, solution.objective),
                twin=partial(twin, inputs),
                write=partial(_write, solution, schedule, Path(folder) / "run"),
            )
        lp = found.pop("lp")
        row: Row = {"buildings": buildings, "lp_cpu_ms": 1e3 * lp.cpu_s}
        for name, times in found.items():
            row |= {f"{name}_cpu_ms": 1e3 * times.cpu_s, f"{name}_share": ratio(times, lp)[1]}
        result.rows.append(row)
        result.counter(f"findings of verify at {buildings}", len(verify(inputs, schedule, solution.objective)), 0)
    return result


def _write(solution: Solution, schedule: Any, folder: Path) -> None:
    inputs = solution.assembly.inputs
    trace = replay(inputs, schedule)
    series = record.schedule_series(inputs, schedule, trace, marginal_prices(solution))
    document, planned_with = record.pack(inputs)
    axis = inputs.axis
    told = record.setpoints(inputs, schedule, trace, {})
    summary = {
        "plan_id": "benchmark",
        "hash": record.plan_hash(document["digest"], series, told, axis.start, axis.end),
        "horizon": {
            "start": axis.start.isoformat(), "end": axis.end.isoformat(), "steps": axis.steps,
            "step_min": axis.step_min, "zone": axis.zone,
        },
    }  # fmt: skip
    run_folder.write(folder, run_folder.Run(axis, summary, series, told, document, planned_with))


def _compile(structures: list[Any]) -> None:
    for key in structures:
        Template(*key)


@benchmark("compile", "compiling a family's block into a template, once per process and structure (96 steps)")
def compiling(full: bool) -> Result:
    result = Result(notes=["lp10 share: over the processor time of the LP of 10 buildings"])
    keys = {(g.family, g.steps, g.options) for g in district(20, engines=1).groups}
    by_family: dict[str, list[Any]] = {}
    for key in sorted(keys, key=lambda k: (k[0].name, k[1], repr(k[2]))):
        by_family.setdefault(key[0].name, []).append(key)
    a = assemble(without_decisions(10))
    for name, structures in by_family.items():
        found = alternate(
            5 if full else 3,
            lp=partial(highs_alone, a),
            templates=partial(_compile, structures),
        )
        result.rows.append({
            "family": name, "templates": len(structures), "wall_ms": 1e3 * found["templates"].wall_s,
            "cpu_ms": 1e3 * found["templates"].cpu_s,
            "lp10_share": ratio(found["templates"], found["lp"])[1],
        })  # fmt: skip
    return result
