"""The HiGHS session on programmes that fit on a hand: every status, every change in place, nothing believed blindly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import highspy
import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks.mix import district
from gridopt.assets.base import Floats
from gridopt.errors import FamilyError, SolverError
from gridopt.model.assemble import assemble
from gridopt.model.programme import LinearProgram
from gridopt.solve.session import CONTINUOUS, INTEGER, SEMI, Session
from tests.support.districts import Device, Sketch, energy_price, hours, node

INF, NAN = np.inf, np.nan
NONE = np.zeros(0, np.int64)


def programme(
    cost: Any, matrix: Any, row_lower: Any, row_upper: Any, lower: Any, upper: Any, offset: float = 0.0
) -> LinearProgram:
    a = sp.csc_array(np.atleast_2d(np.asarray(matrix, np.float64)))
    numbers = [np.asarray(x, np.float64) for x in (cost, lower, upper, row_lower, row_upper)]
    index = (a.indptr.astype(np.int32), a.indices.astype(np.int32))
    return LinearProgram(numbers[0], offset, *numbers[1:], *index, a.data)


def pair(**changes: Any) -> LinearProgram:
    """min x + 2 y + 7,  x + y >= 1.5,  0 <= x, y <= 1: x = 1, y = 0.5, 9 in all."""
    lp = programme([1, 2], [[1, 1]], [1.5], [INF], [0, 0], [1, 1], 7.0)
    return replace(lp, **{name: np.asarray(v) if isinstance(v, list) else v for name, v in changes.items()})


def integers(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def floats(*numbers: float) -> Floats:
    return np.array(numbers, np.float64)


def knapsack(n: int = 16) -> tuple[Session, Floats]:
    """A few tight knapsacks whose relaxation is far from whole; no trick of HiGHS's finds a point unasked."""
    rng = np.random.default_rng(3)
    weight = rng.uniform(1, 9, (5, n))
    cost = -weight.sum(0) - rng.uniform(0, 1, n)
    s = Session(programme(cost, weight, [-INF] * 5, weight.sum(1) / 2, [0] * n, [1] * n))
    s.wholeness(np.arange(n), np.full(n, INTEGER))
    return s, cost


class Odd:
    """A HiGHS object that gives other answers than it should."""

    def __init__(self, h: Any, **said: Any) -> None:
        self._h, self._said = h, said

    def __getattr__(self, name: str) -> Any:
        return (lambda *_: self._said[name]) if name in self._said else getattr(self._h, name)


# --- every status ----------------------------------------------------------------------------------------------------


def test_an_optimum_with_its_duals() -> None:
    answer = Session(pair()).run()
    assert (answer.status, answer.objective, answer.bound) == ("optimal", 9.0, 9.0)
    np.testing.assert_allclose(answer.x, [1.0, 0.5], atol=1e-12)
    # One more unit asked for costs a unit of y; a unit more of x would have saved 1.
    np.testing.assert_allclose(answer.price, [2.0])
    np.testing.assert_allclose(answer.reduced, [-1.0, 0.0])
    assert answer.has_point
    assert answer.nodes == 0


def test_no_point_at_all() -> None:
    answer = Session(pair(row_lower=[2.5])).run()
    assert (answer.status, answer.objective, answer.bound) == ("infeasible", INF, -INF)
    assert not answer.has_point
    assert len(answer.price) == len(answer.reduced) == 0


@pytest.mark.parametrize("whole", [False, True])
def test_earning_without_end(whole: bool) -> None:
    s = Session(programme([-1, 0], [[1, -1]], [-INF], [1], [0, 0], [INF, INF]))
    if whole:
        s.wholeness(integers(0, 1), integers(INTEGER, INTEGER))
    answer = s.run()
    assert (answer.status, answer.objective, answer.bound) == ("unbounded", INF, -INF)
    assert not answer.has_point


def test_no_whole_point_although_the_relaxation_has_some() -> None:
    s = Session(programme([1, 1], [[2, 2]], [1], [1], [0, 0], [1, 1]))
    assert s.run().objective == 0.5
    s.wholeness(integers(0, 1), integers(INTEGER, INTEGER))
    answer = s.run()
    assert (answer.status, answer.objective, answer.has_point) == ("infeasible", INF, False)


def test_a_limit_of_work_leaves_no_point() -> None:
    s = Session(pair())
    s.option("presolve", "off")
    s.option("simplex_iteration_limit", 0)
    answer = s.run()
    assert (answer.status, answer.objective, answer.bound, answer.has_point) == ("limit", INF, -INF, False)
    s.option("simplex_iteration_limit", 100)
    assert s.run().objective == 9.0


def test_a_time_limit_ends_a_run_and_the_next_may_finish() -> None:
    s = Session(assemble(district(60, seed=1)).lp)
    answer = s.run(time_limit_s=0.0)
    assert (answer.status, answer.bound) == ("limit", -INF)
    assert s.run().status == "optimal"


def test_a_time_limit_is_each_runs_own() -> None:
    """HiGHS counts over the object's whole life."""
    s = Session(pair())
    s._h = Odd(s._h, getRunTime=1000.0)
    s.run(time_limit_s=3.0)
    assert s._h.getOptionValue("time_limit")[1] == 1003.0
    s.run(time_limit_s=-5.0)
    assert s._h.getOptionValue("time_limit")[1] > 1000.0
    s.run()
    assert s._h.getOptionValue("time_limit")[1] == INF


def test_a_cutoff_stops_a_programme_that_lies_above_it() -> None:
    a = assemble(district(5, seed=1))
    s = Session(a.lp)
    best = s.run()
    basis = s.basis()
    batteries = a.blocks[[b.group.family.name for b in a.blocks].index("battery")].columns("discharge_kw")
    assert batteries is not None
    s.bounds(batteries.ravel(), np.zeros(batteries.size), np.zeros(batteries.size))
    full = s.run()
    assert full.status == "optimal"
    assert full.objective > best.objective + 1e-3
    s.restore(basis)
    middle = (best.objective + full.objective) / 2
    cut = s.run(cutoff=middle)
    assert (cut.status, cut.has_point, cut.bound) == ("cutoff", False, -INF)
    assert cut.pivots < full.pivots
    s.restore(basis)
    np.testing.assert_allclose(s.run().objective, full.objective, rtol=1e-9)  # a cutoff is its run's alone
    s.restore(basis)
    above = s.run(cutoff=full.objective + 1.0)
    assert above.status == "optimal"
    np.testing.assert_allclose(above.objective, full.objective, rtol=1e-9)


def test_any_other_status_is_an_error() -> None:
    with pytest.raises(SolverError, match="HiGHS ended with the status Empty"):
        Session(programme([], np.zeros((1, 0)), [0], [0], [], [])).run()


def test_an_optimum_without_a_point_is_not_believed() -> None:
    s = Session(pair())
    s.run()
    info = s._h.getInfo()
    info.primal_solution_status = highspy.SolutionStatus.kSolutionStatusInfeasible
    s._h = Odd(s._h, getInfo=info)
    with pytest.raises(SolverError, match="said Optimal without a feasible point"):
        s.run()


def test_a_point_that_is_no_number_is_not_believed() -> None:
    s = Session(pair())
    s.run()
    solution = s._h.getSolution()
    solution.col_value = [1.0, NAN]
    s._h = Odd(s._h, getSolution=solution)
    with pytest.raises(SolverError, match="a value that is not finite"):
        s.run()


# --- what HiGHS refuses, and what it must not see --------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"index": np.array([0, 5], np.int32)},
        {"index": np.array([-1, 0], np.int32)},
        {"start": np.array([0, 2, 1], np.int32)},
    ],
    ids=lambda w: next(iter(w)),
)
def test_a_model_that_highs_refuses_is_an_error(wrong: dict[str, Any]) -> None:
    """After a refused model HiGHS would still say Optimal: of nothing."""
    with pytest.raises(SolverError, match="HiGHS refused the model"):
        Session(pair(**wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        {"cost": [1.0, NAN]},
        {"cost": [1.0, INF]},
        {"value": [NAN, 1.0]},
        {"lower": [0.0, NAN]},
        {"upper": [NAN, 1.0]},
        {"row_lower": [NAN]},
        {"row_upper": [NAN]},
        {"offset": NAN},
    ],
    ids=lambda w: next(iter(w)),
)
def test_a_model_with_a_number_that_is_none_never_reaches_highs(wrong: dict[str, Any]) -> None:
    """A coefficient that is no number would be Optimal to HiGHS."""
    with pytest.raises(SolverError, match=r"HiGHS was to be handed|do not fit together"):
        Session(pair(**wrong))


def test_a_refused_option_is_an_error() -> None:
    with pytest.raises(SolverError, match="HiGHS refused no_such_option = 3"):
        Session(pair()).option("no_such_option", 3)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("lower bound", lambda s: s.bounds(integers(0), floats(NAN), floats(1))),
        ("upper bound", lambda s: s.bounds(integers(0, 1), floats(0, 0), floats(1, NAN))),
        ("price", lambda s: s.costs(integers(0), floats(NAN))),
        ("endless price", lambda s: s.costs(integers(1), floats(INF))),
        ("row limit", lambda s: s.row_bounds(0, NAN, 1.0)),
        ("new column's bound", lambda s: s.add_columns(floats(NAN), floats(1), floats(1))),
        ("new column's price", lambda s: s.add_columns(floats(0), floats(1), floats(NAN))),
        ("new row's limit", lambda s: s.add_rows(floats(NAN), floats(1), integers(0), integers(0), floats(1))),
        ("new coefficient", lambda s: s.add_rows(floats(0), floats(1), integers(0), integers(0), floats(NAN))),
    ],
)
def test_what_is_no_number_is_refused(what: str, change: Callable[[Session], Any]) -> None:
    s = Session(pair())
    with pytest.raises(SolverError):
        change(s)
    assert s.run().objective == 9.0


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("column", lambda s: s.bounds(integers(7), floats(0), floats(1))),
        ("column's price", lambda s: s.costs(integers(-1), floats(1))),
        ("row", lambda s: s.row_bounds(1, 0.0, 1.0)),
        ("starting point", lambda s: s.start_from(floats(1))),
        ("index in a new row", lambda s: s.add_rows(floats(0), floats(1), integers(0), integers(2), floats(1))),
    ],
)
def test_what_the_programme_does_not_have_is_refused(what: str, change: Callable[[Session], Any]) -> None:
    with pytest.raises(SolverError, match="HiGHS refused"):
        change(Session(pair()))


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.bounds(integers(0, 1), floats(0), floats(1, 1)),
        lambda s: s.bounds(integers(0, 1), floats(0, 0), floats(1)),
        lambda s: s.costs(integers(0, 1), floats(1)),
        lambda s: s.wholeness(integers(0, 1), integers(INTEGER)),
        lambda s: s.add_columns(floats(0, 0), floats(1), floats(1, 1)),
        lambda s: s.add_rows(floats(0, 0), floats(1), integers(0, 1), integers(0, 1), floats(1, 1)),
        lambda s: s.bounds(integers(0), floats(0, 0), floats(1, 1)),
        lambda _: Session(pair(lower=[0.0])),
        lambda _: Session(pair(row_upper=[1.0, 1.0])),
        lambda _: Session(pair(start=np.array([0, 1], np.int32))),
        lambda _: Session(pair(index=np.array([0], np.int32))),
    ],
    ids=["lower", "upper", "costs", "kinds", "columns", "rows", "too many", "model", "limits", "pointers", "indices"],
)
def test_arrays_of_another_length_are_refused(change: Callable[[Session], Any]) -> None:
    """HiGHS is handed a length and would read on past the end of what is too short."""
    s = Session(pair())
    with pytest.raises(SolverError):
        change(s)
    assert s.run().objective == 9.0


def supplied(**given: Any) -> Any:
    """A battery on a priced node; what is given replaces a number."""
    axis = hours(3)
    device = Device("bat", "battery", ("grid",), {"capacity_kwh": 10.0, "power_kw": 5.0} | given.pop("device", {}))
    most, buy = given.pop("most", 8.0), given.pop("buy", 0.2)
    return Sketch(axis, (node(axis, "grid", None, most),), (device,), (energy_price(axis, "grid", buy),)).inputs()


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"buy": [0.1, NAN, 0.2]}, SolverError, "a price of the model is not finite"),
        ({"most": [8.0, NAN, 8.0]}, SolverError, "a limit of the model is not a number"),
        ({"device": {"power_kw": NAN}}, FamilyError, "column power_kw has a value that is not finite"),
        ({"device": {"efficiency_out": 0.0}}, SolverError, "check divisions by a zero parameter"),
        ({"device": {"wear_eur_per_kwh": INF}}, FamilyError, "column wear_eur_per_kwh has a value that is not finite"),
    ],
)
def test_a_district_with_a_number_that_is_none_never_reaches_highs(
    given: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        assemble(supplied(**given))
    assert Session(assemble(supplied()).lp).run().status == "optimal"


# --- changes in place ------------------------------------------------------------------------------------------------


def test_bounds_and_prices_change_in_place() -> None:
    s = Session(pair())
    assert s.run().objective == 9.0
    s.bounds(integers(1, 0), floats(0, 0), floats(1, 0.75))
    assert s.run().objective == 7 + 0.75 + 2 * 0.75
    s.costs(integers(1), floats(0.5))
    assert s.run().objective == 7 + 0.5 + 0.5 * 1
    s.bounds(NONE, floats(), floats())
    s.costs(NONE, floats())
    s.row_bounds(0, -INF, INF)
    assert s.run().objective == 7


def test_new_columns_and_rows_are_numbered_on() -> None:
    s = Session(pair())
    assert s.add_columns(floats(0, 0), floats(5, 5), floats(0.1, 0.2)).tolist() == [2, 3]
    assert s.run().objective == 9.0  # no row knows them yet
    # Two rows: x + z <= 0.5, y - z + w >= 1
    rows = s.add_rows(
        floats(-INF, 1), floats(0.5, INF), integers(0, 2), integers(0, 2, 1, 2, 3), floats(1, 1, 1, -1, 1)
    )
    assert rows.tolist() == [1, 2]
    assert (s.rows, s.columns) == (3, 4)
    answer = s.run()
    np.testing.assert_allclose(answer.x, [0.5, 1, 0, 0], atol=1e-9)
    assert answer.objective == pytest.approx(9.5)
    assert s.add_columns(floats(0), floats(1), floats(-1.0)).tolist() == [4]
    assert s.run().objective == pytest.approx(8.5)


def test_an_old_basis_leads_to_the_same_optimum_in_fewer_pivots() -> None:
    lp = assemble(district(10, seed=2)).lp
    s = Session(lp)
    cold = s.run()
    basis = s.basis()
    on = np.flatnonzero(cold.x > 0.5)[:20]
    s.bounds(on, lp.lower[on], 0.5 * cold.x[on])
    moved = s.run()
    assert moved.status == "optimal"
    assert moved.objective > cold.objective + 1e-6
    s.bounds(on, lp.lower[on], lp.upper[on])
    s.restore(basis)
    warm = s.run()
    np.testing.assert_allclose(warm.objective, cold.objective, rtol=1e-12)
    np.testing.assert_allclose(warm.x, cold.x, atol=1e-9)
    assert warm.pivots == 0 < moved.pivots < cold.pivots / 4


def test_the_same_programme_gives_the_same_point() -> None:
    lp = assemble(district(6, seed=3)).lp
    one, other = Session(lp).run(), Session(lp).run()
    assert one.x.tobytes() == other.x.tobytes()
    assert one.pivots == other.pivots


# --- whole and semi-continuous ---------------------------------------------------------------------------------------


def test_whole_columns_are_whole() -> None:
    s = Session(pair())
    s.wholeness(integers(0, 1), integers(INTEGER, INTEGER))
    answer = s.run()
    assert (answer.status, answer.objective, answer.bound) == ("optimal", 10.0, 10.0)
    assert answer.x.tolist() == [1.0, 1.0]
    assert len(answer.price) == len(answer.reduced) == 0
    assert answer.nodes >= 0  # HiGHS counts -1 where presolve did it all


def test_only_the_columns_named_are_whole() -> None:
    s = Session(pair())
    s.wholeness(integers(0, 1), integers(INTEGER, CONTINUOUS))
    assert s.run().objective == 9.0
    s = Session(pair())
    s.wholeness(NONE, NONE)
    answer = s.run()
    assert (answer.objective, answer.bound) == (9.0, 9.0)
    assert len(answer.price) == 1, "still an LP"


def test_semi_continuous_columns_rest_or_run_above_their_minimum() -> None:
    def asked(at_least: float) -> float:
        """x is 0 or within 2..5 at 1 a unit, y within 0..1 at 4."""
        s = Session(programme([1, 4], [[1, 1]], [at_least], [INF], [2, 0], [5, 1]))
        s.wholeness(integers(0), integers(SEMI))
        return s.run().objective

    # y alone, then x at its minimum, then more of x, then both.
    found = [asked(at_least) for at_least in (0.0, 0.25, 0.75, 3.5, 5.5)]
    np.testing.assert_allclose(found, [0.0, 1.0, 2.0, 3.5, 7.0], atol=1e-5)


def test_columns_declared_continuous_are_an_lp() -> None:
    s = Session(pair())
    s.wholeness(integers(0, 1), integers(CONTINUOUS, CONTINUOUS))
    answer = s.run()
    assert (answer.objective, answer.bound) == (9.0, 9.0)
    s.wholeness(integers(0, 1), integers(INTEGER, INTEGER))
    assert s.run().objective == 10.0
    s.wholeness(integers(1, 0), integers(CONTINUOUS, CONTINUOUS))
    answer = s.run()
    assert (answer.objective, answer.bound, len(answer.price)) == (9.0, 9.0, 1)


def test_a_milp_starts_from_the_point_it_is_given() -> None:
    first = np.zeros(16)
    first[[0, 3, 7]] = 1.0

    def stopped(start: bool) -> Any:
        s, cost = knapsack()
        for name, value in (("mip_heuristic_effort", 0.0), ("mip_max_nodes", 0), ("presolve", "off")):
            s.option(name, value)
        if start:
            s.start_from(first)
        return s.run(gap=1e-9), cost

    answer, cost = stopped(True)
    assert answer.status == "limit"
    assert answer.has_point
    assert answer.objective <= cost @ first + 1e-9
    assert not stopped(False)[0].has_point


def test_a_milp_stops_at_the_gap_it_is_given() -> None:
    """The gap is HiGHS's own: relative to the objective."""
    s, cost = knapsack()
    exact = s.run(gap=1e-9)
    assert exact.objective - exact.bound <= 1e-6
    np.testing.assert_allclose(cost @ np.round(exact.x), exact.objective)
    s, _ = knapsack()
    s.option("mip_heuristic_effort", 0.0)
    rough = s.run(gap=0.5)
    assert rough.status == "optimal"
    assert 1e-3 < (rough.objective - rough.bound) / abs(rough.objective) <= 0.5
    assert rough.bound <= exact.objective <= rough.objective
    assert rough.nodes < exact.nodes


# --- more than one ---------------------------------------------------------------------------------------------------


def test_two_sessions_do_not_know_of_each_other() -> None:
    one, other = Session(pair()), Session(pair(cost=np.array([4.0, 1.0]), offset=0.0))
    assert (one.run().objective, other.run().objective) == (9.0, 3.0)
    one.bounds(integers(0), floats(0), floats(0.5))
    other.wholeness(integers(0), integers(INTEGER))
    assert (one.run().objective, other.run().objective) == (9.5, 4.5)
    one.add_columns(floats(0), floats(1), floats(-1))
    assert (other.columns, other.run().objective) == (2, 4.5)
    assert one.run().objective == 8.5


def test_a_process_whose_threads_are_taken_is_an_error_not_an_answer() -> None:
    """HiGHS's threads are the process's: with another number of them a run ends at once and leaves objective 0."""
    highspy.Highs.resetGlobalScheduler(True)
    other = highspy.Highs()
    other.setOptionValue("output_flag", False)
    other.setOptionValue("threads", 2)
    other.addVar(0.0, 1.0)
    assert other.run() == highspy.HighsStatus.kOk
    try:
        with pytest.raises(SolverError, match="HiGHS refused to run"):
            Session(pair()).run()
    finally:
        highspy.Highs.resetGlobalScheduler(True)
    assert Session(pair()).run().objective == 9.0


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    Session(pair()).run()
    knapsack(8)[0].run(gap=1e-3)
    assert capfd.readouterr() == ("", "")


def test_one_thread_and_a_fixed_seed() -> None:
    h = Session(pair())._h
    assert [h.getOptionValue(name)[1] for name in ("threads", "random_seed", "output_flag")] == [1, 7, False]
