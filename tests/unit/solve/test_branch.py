"""Branch and bound over the large decisions: against every pattern by hand, against HiGHS's MILP, stopped anywhere."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from gridopt.assets.base import Floats, Ints
from gridopt.model.assemble import SemiSet, WholeSet, assemble
from gridopt.model.inputs import Inputs
from gridopt.model.plain import plain_model
from gridopt.model.programme import LinearProgram
from gridopt.solve import branch
from gridopt.solve.branch import Branch
from gridopt.solve.session import Answer, Session
from tests.conformance.plain_matrix import plain_matrix
from tests.support.districts import Device, Sketch, energy_price, hours, hours_price, node
from tests.unit.solve.test_session import programme

INF = np.inf
NONE = np.zeros(0, np.int64)


@dataclass
class Problem:
    """A programme with decisions; ``search`` begins at its relaxation."""

    lp: LinearProgram
    semi: list[SemiSet] = field(default_factory=list)
    whole: list[WholeSet] = field(default_factory=list)
    pairs: tuple[Ints, Ints] = (NONE, NONE)
    shut: Ints = field(default_factory=lambda: NONE)

    def session(self) -> Session:
        s = Session(self.lp)
        s.bounds(self.shut, np.zeros(len(self.shut)), np.zeros(len(self.shut)))
        return s

    def search(self, count: Callable[[Answer], None] = lambda _: None) -> tuple[Branch, Session, Answer]:
        s = self.session()
        lower, upper = self.lp.lower.copy(), self.lp.upper.copy()
        lower[self.shut] = upper[self.shut] = 0.0
        relaxed = s.run()
        assert relaxed.status == "optimal"
        return Branch(s, self.session(), relaxed, lower, upper, self.semi, self.whole, self.pairs, count), s, relaxed

    def decided(self, x: Floats) -> bool:
        """Whether a point takes every decision."""
        for w in self.whole:
            if (np.abs(x[w.columns] - np.round(x[w.columns])) > 1e-6).any():
                return False
        for s in self.semi:
            if ((x[s.columns] > 1e-6) & (x[s.columns] < s.minimum - 1e-6)).any():
                return False
        return not (np.minimum(x[self.pairs[0]], x[self.pairs[1]]) > 1e-6).any()

    def patterns(self) -> Iterator[tuple[Ints, Floats, Floats]]:
        """Every way to take every decision, as bounds of columns."""
        choices: list[list[tuple[int, float, float]]] = []
        for w in self.whole:
            choices += [[(int(j), v, v) for v in (0.0, 1.0)] for j in w.columns.ravel()]
        for s in self.semi:
            for j, least in zip(s.columns.ravel(), s.minimum.ravel(), strict=True):
                choices.append([(int(j), 0.0, 0.0), (int(j), float(least), float(self.lp.upper[j]))])
        choices += [[(int(j), 0.0, 0.0) for j in pair] for pair in zip(*self.pairs, strict=True)]
        for picked in itertools.product(*choices):
            columns, lower, upper = zip(*picked, strict=True)
            yield np.array(columns), np.array(lower), np.array(upper)

    def by_trying(self) -> float:
        """The cheapest of all patterns."""
        s = self.session()
        best = INF
        for columns, lower, upper in self.patterns():
            s.bounds(columns, lower, upper)
            best = min(best, s.run().objective)
            s.bounds(columns, self.lp.lower[columns], self.lp.upper[columns])
        return best


def semi(columns: Any, minimum: Any) -> SemiSet:
    block: Any = None
    return SemiSet(block, np.atleast_2d(columns), np.atleast_2d(np.asarray(minimum, np.float64)), "diffusion", True)


def random_problem(seed: int) -> Problem:
    """Three whole columns, three semi-continuous ones, two pairs and two free columns in four tight rows."""
    rng = np.random.default_rng(seed)
    n = 12
    cost = rng.uniform(-3, 2, n)
    matrix = rng.uniform(-1, 3, (4, n)) * (rng.random((4, n)) < 0.7)
    upper = np.array([1.0] * 3 + [4.0] * 3 + [3.0] * 4 + [2.0] * 2)
    lp = programme(cost, matrix, [1.0, -INF, -INF, -INF], [INF, 6.0, 7.0, 8.0], np.zeros(n), upper, float(seed))
    return Problem(
        lp,
        [semi([3, 4, 5], rng.uniform(0.5, 3.5, 3))],
        [WholeSet(np.array([[0, 1, 2]]), False, True)],
        (np.array([6, 8]), np.array([7, 9])),
    )


# --- heating plants --------------------------------------------------------------------------------------------------


def plant(seed: int, steps: int = 10) -> Inputs:
    """One or two engines beside a boiler, a store and a demand; sometimes hours of breach at the grid."""
    rng = np.random.default_rng(seed)
    axis = hours(steps)
    engine = {
        "power_max_kw": 10.0, "power_min_kw": rng.choice([5.0, 8.0]), "start_cost_eur": rng.choice([0.0, 0.5]),
        "min_up_h": rng.choice([0.0, 2.0, 3.0]), "min_down_h": rng.choice([0.0, 2.0]), "on_start": rng.random() < 0.5,
        "hours_in_status_h": 9.0, "dump": rng.random() < 0.5,
    }  # fmt: skip
    devices = [
        Device("a-engine", "chp", ("grid", "heat", "gas"), engine),
        Device("boiler", "gas-boiler", ("gas", "heat"), {"power_kw": 25.0, "power_min_kw": rng.choice([2.0, 4.0])}),
        Device("demand", "heat-demand", ("heat",), {"power_kw": np.round(rng.uniform(5, 14, steps), 1)}),
        Device("store", "thermal-store", ("heat",), {"capacity_kwh": 20.0, "power_kw": 10.0, "end": "free"}),
        Device("load", "load", ("grid",), {"power_kw": np.round(rng.uniform(0, 4, steps), 1)}),
    ]
    if seed % 2:
        small = engine | {"power_max_kw": 6.0, "power_min_kw": 4.0, "on_start": False}
        devices.append(Device("b-engine", "chp", ("grid", "heat", "gas"), small))
    buy = np.round(rng.uniform(0.02, 0.4, steps), 2)
    contracts = [energy_price(axis, "grid", buy, buy - 0.02), energy_price(axis, "gas", 0.08)]
    if seed % 3 == 0:
        contracts.append(hours_price(axis, "grid", 2.0, 0.3))
    nodes = (
        node(axis, "grid", None, 40.0, 30.0),
        node(axis, "heat", None, 0.0, carrier="heat"),
        node(axis, "gas", None, 90.0, 0.0, "gas"),
    )
    return Sketch(axis, nodes, tuple(devices), tuple(contracts)).inputs()


def problem(inputs: Inputs, guides: bool = True) -> Problem:
    a = assemble(inputs)
    assert all(s.large for s in a.semi)
    assert all(w.large for w in a.whole)
    whole = a.whole if guides else [replace(w, guides=()) for w in a.whole]
    needed = [np.concatenate([NONE, *(getattr(p, side)[p.needed] for p in a.pairs)]) for side in ("first", "second")]
    return Problem(a.lp, a.semi, whole, (needed[0], needed[1]), a.emergencies)


def by_highs(inputs: Inputs) -> float:
    """The optimum of the plain model's MILP, solved by HiGHS through scipy; emergencies as dear as can be."""
    p = plain_matrix(plain_model(inputs, decisions=True), inputs)
    rows = LinearConstraint(p.matrix, p.row_lower, p.row_upper)
    found = milp(
        p.cost, constraints=rows, bounds=Bounds(p.lower, p.upper), integrality=p.binary, options={"mip_rel_gap": 0.0}
    )
    assert found.status == 0, found.message
    return float(found.fun) + p.offset


PLANTS = (0, 1, 2, 6, 7, 8, 9, 11)


@pytest.fixture(scope="module")
def optima() -> Callable[[int], float]:
    known: dict[int, float] = {}

    def optimum(seed: int) -> float:
        if seed not in known:
            known[seed] = by_highs(plant(seed))
        return known[seed]

    return optimum


class Ticks:
    """A clock that moves on by one whenever it is read, in place of the machine's."""

    def __init__(self) -> None:
        self.now = 0

    def perf_counter(self) -> int:
        self.now += 1
        return self.now


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Ticks:
    clock = Ticks()
    monkeypatch.setattr(branch, "time", SimpleNamespace(perf_counter=clock.perf_counter))
    return clock


# --- against every pattern -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(24))
def test_the_best_of_all_patterns(seed: int) -> None:
    p = random_problem(seed)
    best = p.by_trying()
    search, _, relaxed = p.search()
    assert relaxed.objective <= best + 1e-9
    search.run(INF, 0.0, INF)
    if not np.isfinite(best):
        assert search.best is None
        assert search.bound == INF
        return
    assert search.best is not None
    assert p.decided(search.best.x)
    assert search.best.objective == pytest.approx(best, abs=1e-7)
    assert search.bound == pytest.approx(best, abs=1e-7)


def test_the_random_problems_need_a_search() -> None:
    """Else the test above would prove little."""
    searched = 0
    for seed in range(24):
        p = random_problem(seed)
        search, _, relaxed = p.search()
        searched += not p.decided(relaxed.x)
        search.run(INF, 0.0, INF)
    assert searched >= 12


def test_a_whole_relaxation_is_the_answer_at_once() -> None:
    p = Problem(
        programme([1, 2], [[1, 1]], [1.0], [INF], [0, 0], [1, 1]), whole=[WholeSet(np.array([[0, 1]]), False, True)]
    )
    search, _, relaxed = p.search()
    search.run(INF, 0.0, INF)
    assert search.best is relaxed
    assert (search.bound, search.nodes) == (1.0, 0)


def test_without_any_decision() -> None:
    search, _, relaxed = Problem(programme([1, 2], [[1, 1]], [1.5], [INF], [0, 0], [1, 1])).search()
    assert (search.best, search.bound) == (relaxed, 2.0)


def test_no_pattern_has_a_point() -> None:
    lp = programme([1, 1], [[2, 2]], [1.0], [1.0], [0, 0], [1, 1])
    search, s, relaxed = Problem(lp, whole=[WholeSet(np.array([[0, 1]]), False, True)]).search()
    assert relaxed.objective == 0.5
    assert search.bound == 0.5
    search.run(INF, 0.0, INF)
    assert search.best is None
    assert search.bound == INF
    assert s.run().objective == 0.5


def test_a_pair_is_cut_on_either_side() -> None:
    """Both ways at once earns 3; one way 2 or 1."""
    lp = programme([-2, -1], [[1, -1]], [-9], [9], [0, 0], [1, 1])
    search, *_ = Problem(lp, pairs=(np.array([0]), np.array([1]))).search()
    assert search.bound == -3.0
    search.run(INF, 0.0, INF)
    assert search.best is not None
    assert search.best.x.tolist() == [1.0, 0.0]
    assert search.bound == -2.0


def test_a_column_without_a_minimum_is_decided_however_small(ticks: Ticks) -> None:
    """0.5 µW beside a boiler that has a minimum: nothing is to be decided about it."""
    lp = programme([-1, 1, -0.1], [[0, 1, 1], [1, 0, -1e-8]], [1.0, -INF], [INF, 0.0], [0, 0, 0], [4, 4, 0.05])
    search, _, relaxed = Problem(lp, [semi([[0], [1]], [[0.0], [2.0]])]).search()
    assert 0 < relaxed.x[0] < 1e-9
    search.run(INF, 0.0, 200)
    assert search.bound == pytest.approx(2.0 - 0.005)
    assert ticks.now < 200


# --- against HiGHS's MILP --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", PLANTS)
def test_a_heating_plant(seed: int, optima: Callable[[int], float]) -> None:
    counted: list[Answer] = []
    p = problem(plant(seed))
    search, s, relaxed = p.search(counted.append)
    search.run(INF, 0.0, INF)
    assert search.best is not None
    assert p.decided(search.best.x)
    assert search.best.objective == pytest.approx(optima(seed), abs=1e-6)
    assert search.bound == pytest.approx(optima(seed), abs=1e-6)
    assert search.nodes == len(counted) > 0
    assert relaxed.objective < optima(seed) - 1e-3, "no search was needed"
    assert s.run().objective == pytest.approx(relaxed.objective, abs=1e-9)


@pytest.mark.parametrize("seed", PLANTS)
def test_guides_change_the_way_but_not_the_optimum(seed: int, optima: Callable[[int], float]) -> None:
    p = problem(plant(seed), guides=False)
    assert problem(plant(seed)).whole[-1].guides
    search, *_ = p.search()
    search.run(INF, 0.0, INF)
    assert search.best is not None
    assert search.best.objective == pytest.approx(optima(seed), abs=1e-6)
    assert search.bound == pytest.approx(optima(seed), abs=1e-6)


@pytest.mark.parametrize("seed", PLANTS)
def test_the_bound_holds_wherever_the_clock_stops_it(seed: int, optima: Callable[[int], float], ticks: Ticks) -> None:
    search, s, relaxed = problem(plant(seed)).search()
    bounds, bests = [search.bound], []
    for _ in range(4000):
        search.run(INF, 0.0, ticks.now + 3)  # one node
        bounds.append(search.bound)
        bests.append(INF if search.best is None else search.best.objective)
        assert s.run().objective == pytest.approx(relaxed.objective, abs=1e-9)
        if bounds[-1] >= bests[-1] - 1e-9:
            break
    assert len(bounds) > 2, "it was not stopped on its way"
    assert bounds[0] == relaxed.objective
    assert (np.diff(bounds) >= -1e-9).all()
    assert (np.diff(np.minimum(bests, 1e9)) <= 0).all()
    assert max(bounds) <= optima(seed) + 1e-6
    assert bounds[-1] == pytest.approx(optima(seed), abs=1e-6)
    assert bests[-1] == pytest.approx(optima(seed), abs=1e-6)


def test_a_clock_that_has_run_out_leaves_the_relaxation() -> None:
    search, _, relaxed = problem(plant(1)).search()
    search.run(INF, 0.0, -INF)
    assert (search.best, search.nodes, search.bound) == (None, 0, relaxed.objective)


@pytest.mark.parametrize("seed", PLANTS)
def test_it_goes_on_with_a_smaller_slack(seed: int, optima: Callable[[int], float]) -> None:
    search, _, relaxed = problem(plant(seed)).search()
    room = optima(seed) - relaxed.objective
    bound, nodes = search.bound, [0]
    for slack in (room, room / 2, room / 4, room / 50, 0.0):
        search.run(INF, slack, INF)
        assert search.best is not None
        assert bound - 1e-9 <= search.bound <= optima(seed) + 1e-6
        assert optima(seed) - 1e-6 <= search.best.objective <= search.bound + slack + 1e-6
        bound = search.bound
        nodes.append(search.nodes)
        search.run(INF, slack, INF)
        assert search.nodes == nodes[-1], "what was proven is searched again"
    assert bound == pytest.approx(optima(seed), abs=1e-6)
    assert nodes == sorted(nodes)


def test_what_was_cut_off_is_taken_up_again() -> None:
    """A plan is known whose gap is to be closed to just below the optimum: what lies above that is cut off, and with
    no slack the optimum is still to be found there."""
    counted: list[Answer] = []
    for (seed, steps), slack in itertools.product([(8, 10), (9, 10), (6, 12)], (0.01, 0.2, 0.4)):
        inputs = plant(seed, steps)
        optimum = by_highs(inputs)
        search, *_ = problem(inputs).search(counted.append)
        ceiling = optimum + slack / 2
        search.run(ceiling, slack, INF)
        assert optimum - slack - 1e-6 <= min(search.bound, ceiling)
        assert search.bound <= optimum + 1e-6
        search.run(ceiling, 0.0, INF)
        assert search.best is not None
        assert search.best.objective == pytest.approx(optimum, abs=1e-6)
        assert search.bound == pytest.approx(optimum, abs=1e-6)
    assert "cutoff" in {answer.status for answer in counted}


@pytest.mark.parametrize("seed", PLANTS)
def test_a_known_plan_is_a_ceiling(seed: int, optima: Callable[[int], float]) -> None:
    free, *_ = problem(plant(seed)).search()
    free.run(INF, 0.0, INF)
    better, *_ = problem(plant(seed)).search()
    better.run(optima(seed) + 0.01, 0.0, INF)
    assert better.best is not None
    assert better.best.objective == pytest.approx(optima(seed), abs=1e-6)
    assert better.nodes <= free.nodes
    # Nothing is better than a plan below the optimum: the search says so and hands nothing better back.
    none, s, relaxed = problem(plant(seed)).search()
    ceiling = optima(seed) - 1e-4
    none.run(ceiling, 0.0, INF)
    assert none.best is None or none.best.objective >= optima(seed) - 1e-6
    assert none.bound >= ceiling
    assert none.nodes <= free.nodes
    assert s.run().objective == pytest.approx(relaxed.objective, abs=1e-9)


def test_the_session_is_given_back_even_where_the_search_breaks_off() -> None:
    calls = itertools.count()

    def interrupted(_: Answer) -> None:
        if next(calls) == 2:
            raise KeyboardInterrupt

    search, s, relaxed = problem(plant(1)).search(interrupted)
    with pytest.raises(KeyboardInterrupt):
        search.run(INF, 0.0, INF)
    again = s.run()
    assert again.objective == pytest.approx(relaxed.objective, abs=1e-9)


def test_bounds_of_its_own_are_kept() -> None:
    """An engine is out of service just when it would run; it stays so in every node."""
    free, *_ = problem(plant(8)).search()
    free.run(INF, 0.0, INF)
    assert free.best is not None
    p = problem(plant(8))
    on = p.whole[-1].columns[0]
    out = on[np.flatnonzero(free.best.x[on])[:2]]
    assert len(out) == 2
    p.lp.upper[out] = 0.0
    search, s, _ = p.search()
    search.run(INF, 0.0, INF)
    assert search.best is not None
    assert search.best.objective > free.best.objective + 1e-3
    assert search.best.x[out].tolist() == [0.0, 0.0]
    assert s.run().x[out].tolist() == [0.0, 0.0]


def test_the_same_search_twice() -> None:
    one, other = (problem(plant(5)).search()[0] for _ in range(2))
    one.run(INF, 0.0, INF)
    other.run(INF, 0.0, INF)
    assert one.nodes == other.nodes
    assert one.best is not None
    assert other.best is not None
    assert one.best.x.tobytes() == other.best.x.tobytes()


@pytest.mark.parametrize("seed", [2, 6, 7])
def test_a_day_of_hours(seed: int) -> None:
    inputs = plant(seed, 24)
    search, *_ = problem(inputs).search()
    search.run(INF, 0.0, INF)
    assert search.best is not None
    optimum = by_highs(inputs)
    assert search.best.objective == pytest.approx(optimum, abs=1e-6)
    assert search.bound == pytest.approx(optimum, abs=1e-6)
