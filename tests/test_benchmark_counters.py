"""What the benchmarks promise on every machine: sizes, pivots, proven gaps and equal optima; seconds never."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import prototype, run
from benchmarks.gap import EVERY_DEVICE, GAP_PERCENT, whole_decisions
from benchmarks.harness import REGISTRY, Benchmark, Result, Times, alternate, ratio
from benchmarks.mix import district
from benchmarks.report import table
from benchmarks.sizes import MOST, QUANTITIES, SAME, compare, size_of
from benchmarks.speed import highs_alone, without_decisions
from gridopt.model.assemble import assemble
from gridopt.model.inputs import Target
from gridopt.solve.ladder import solve
from gridopt.verify import verify

PATIENT = Target(time_limit_s=600.0, exact_limit_s=600.0)
slow = pytest.mark.slow
PIVOTS_OVER_LP = 1.2
"""Rounding costs a second, warm LP: at most this many pivots over the first one's."""


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, Any]]:
    """The prototype's modules, read in place."""
    reason = prototype.absent()
    if reason:
        pytest.skip(reason)
    with prototype.modules() as found:
        yield found


# --- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("buildings", [20, 100])
@pytest.mark.parametrize("seed", [1, 7])
def test_the_mix_is_no_larger_than_the_prototypes_noted_size(buildings: int, seed: int) -> None:
    size = size_of(assemble(district(buildings, seed=seed)))
    for name in QUANTITIES:
        assert size[name] / buildings <= MOST * prototype.PER_BUILDING[name], name


@pytest.mark.parametrize("buildings", [20, 100])
def test_the_mix_is_no_larger_than_the_prototypes_measured_size(modules: dict[str, Any], buildings: int) -> None:
    rows, columns, nonzeros = modules["build_raw"].build(modules["district"].make_district(buildings)).shape
    ours = size_of(assemble(district(buildings)))
    theirs = {"columns": columns, "rows": rows, "nonzeros": nonzeros}
    for name in QUANTITIES:
        assert ours[name] <= MOST * theirs[name], name


# --- the same optimum as the prototype -------------------------------------------------------------------------------


@pytest.mark.parametrize(("buildings", "seed"), [(1, 7), (5, 1), (20, 7), (20, 1), (50, 7)])
def test_the_prototypes_district_has_the_same_optimum(modules: dict[str, Any], buildings: int, seed: int) -> None:
    twins = compare(modules, buildings, seed)
    assert twins.not_coinciding <= 1e-9, "the two models do not coincide: the comparison says nothing"
    assert twins.apart <= SAME
    for name in QUANTITIES:
        assert twins.ours[name] <= MOST * twins.theirs[name], name


def test_a_changed_price_moves_both_optima_alike(modules: dict[str, Any]) -> None:
    """The comparison can fail: another district on one side is seen at once."""
    first, second = compare(modules, 5, 1), compare(modules, 5, 2)
    assert abs(first.objective - second.their_objective) / abs(first.objective) > 1e-3


def test_planning_the_prototypes_district_costs_no_more_than_its_own_plan(modules: dict[str, Any]) -> None:
    d = prototype.make(modules, 20)
    theirs = modules["heuristic"].solve(d, solver="simplex", threads=1)[0]
    inputs = prototype.as_inputs(d)
    solution = solve(inputs)
    assert solution.objective >= theirs["bound"] * (1 - 1e-9), "cheaper than the prototype's proven bound"
    assert solution.objective <= theirs["obj"] * (1 + GAP_PERCENT / 100)
    assert not verify(inputs, solution.assembly.schedule(solution.x), solution.objective)


# --- pivots ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("buildings", [1, 10])
def test_an_lp_is_one_cold_run_of_highs_and_nothing_else(buildings: int) -> None:
    inputs = without_decisions(buildings)
    solution = solve(inputs)
    alone = highs_alone(assemble(inputs)).getInfo()
    assert (solution.rung, solution.counters["lps"], solution.counters["milps"]) == ("lp", 1, 0)
    assert solution.counters["pivots"] == alone.simplex_iteration_count
    assert solution.objective == pytest.approx(alone.objective_function_value, rel=1e-9)
    assert not verify(inputs, solution.assembly.schedule(solution.x), solution.objective)


@pytest.mark.parametrize(("buildings", "seed"), [(20, 1), (20, 2), (20, 3), (50, 1)])
def test_districts_prove_their_gap_by_rounding_alone(buildings: int, seed: int) -> None:
    inputs = district(buildings, seed=seed, target=PATIENT)
    solution = solve(inputs)
    first = highs_alone(assemble(inputs)).getInfo()
    assert 100 * solution.gap <= GAP_PERCENT
    assert solution.bound == pytest.approx(first.objective_function_value, rel=1e-9)
    assert (solution.rung, solution.counters["milps"]) == ("rounding", 0)
    assert solution.counters["lps"] <= 3
    assert solution.counters["pivots"] <= PIVOTS_OVER_LP * first.simplex_iteration_count
    assert not verify(inputs, solution.assembly.schedule(solution.x), solution.objective)


@slow
def test_an_engine_in_a_district_leaves_a_proven_gap() -> None:
    inputs = district(20, seed=1, engines=1, target=PATIENT)
    solution = solve(inputs)
    assert 100 * solution.gap <= GAP_PERCENT
    assert solution.stopped_by is None
    assert not verify(inputs, solution.assembly.schedule(solution.x), solution.objective)


@pytest.mark.parametrize("seed", [8, *(pytest.param(seed, marks=slow) for seed in (1, 2, 3, 5, 6, 7, 10))])
def test_a_house_with_every_device_is_closed_to_the_optimum(seed: int) -> None:
    inputs = district(1, seed=seed, shares=EVERY_DEVICE, target=PATIENT)
    solution = solve(inputs)
    assert solution.status == "optimal"
    assert solution.gap <= 1e-6
    assert not verify(inputs, solution.assembly.schedule(solution.x), solution.objective)


@pytest.mark.parametrize("seed", [2, 8])
def test_highs_alone_finds_no_cheaper_plan_for_a_small_house(seed: int) -> None:
    """With the decisions declared whole and gridopt out of the way, HiGHS ends at the same optimum."""
    few = {"heat-pump-building": 0.0, "hot-water-tank": 0.0}
    inputs = district(1, seed=seed, shares=few, target=PATIENT)
    solution = solve(inputs)
    a = assemble(inputs)
    h = highs_alone(a, whole_decisions(a), solver="choose", mip_rel_gap=1e-7)
    assert solution.status == "optimal"
    assert solution.counters["decisions"] > 0
    assert solution.objective == pytest.approx(h.getInfo().objective_function_value, rel=2e-6)


# --- the harness -----------------------------------------------------------------------------------------------------


def test_every_benchmark_is_registered_under_its_name() -> None:
    assert set(REGISTRY) == {
        "speed", "phases", "compile", "sizes", "prototype", "gap", "house", "milp", "engine", "catalogue",
        "real-district", "real-house", "link", "fuzz",
    }  # fmt: skip


def test_a_run_leaves_its_results_with_the_facts_of_the_machine_but_not_its_name(tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    assert run.main(["--only", "sizes", "--out", str(out)]) == 0
    document = json.loads(out.read_text())
    assert document["form"] == "short"
    assert document["machine"].keys() >= {"cores", "cpu", "python", "highspy", "numpy", "pyomo"}
    assert [row["buildings"] for row in document["benchmarks"]["sizes"]["rows"]] == [20, 100]
    assert all(check["met"] for check in document["benchmarks"]["sizes"]["checks"])
    assert platform.node() not in document["machine"].values()


def _slow(full: bool) -> Result:
    result = Result(rows=[{"full": full, "wall_s": 9.0}])
    result.target("seconds", 9.0, 1.0)
    return result


def _off(full: bool) -> Result:
    result = _slow(full)
    result.counter("rows", 11, 10)
    return result


def _broken(full: bool) -> Result:
    raise RuntimeError("no matrix")


@pytest.mark.parametrize(
    ("names", "code", "said"),
    [
        (["slow"], 0, "MISSED: seconds = 9 (<= 1)"),
        (["slow", "off"], 1, "FAILS: rows = 11 (<= 10)"),
        (["broken", "slow"], 1, "BROKEN: broken"),
        (["absent"], 0, "SKIPPED: no folder"),
    ],
)
def test_a_counter_that_is_off_fails_a_run_and_a_time_does_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    names: list[str],
    code: int,
    said: str,
) -> None:
    made = {"slow": _slow, "off": _off, "broken": _broken, "absent": lambda full: Result(skipped="no folder")}
    monkeypatch.setattr(run, "REGISTRY", {name: Benchmark(name, name, call) for name, call in made.items()})
    out = tmp_path / "results.json"
    only = [word for name in names for word in ("--only", name)]
    assert run.main([*only, "--out", str(out)]) == code
    assert said in capsys.readouterr().out
    found = json.loads(out.read_text())["benchmarks"]
    assert list(found) == names
    if "broken" in names:
        assert found["broken"]["error"] == "RuntimeError: no matrix"
    if "slow" in names:
        assert found["slow"]["rows"] == [{"full": False, "wall_s": 9.0}]


def test_things_compared_take_turns() -> None:
    order: list[str] = []
    found = alternate(2, a=lambda: order.append("a"), b=lambda: order.append("b"))
    assert order == ["a", "b", "a", "b"]
    assert [len(times.wall) for times in found.values()] == [2, 2]
    assert ratio(Times([2.0, 9.0, 4.0], [1.0, 1.0, 1.0]), Times([1.0, 1.0, 2.0], [2.0, 4.0, 8.0])) == (2.0, 0.25)


def test_a_table_lines_up_what_rows_have_and_lack() -> None:
    shown = table([{"case": "one", "wall_s": 0.12345, "rows": 12345}, {"case": "three", "wall_s": None}])
    assert shown.splitlines() == [
        "          wall",
        "  case       s    rows",
        "  -----  -----  ------",
        "  one    0.123  12,345",
        "  three      -       -",
    ]
