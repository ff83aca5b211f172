"""Order, names and repetition make no difference."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import strategies as st

from gridopt.solve.ladder import solve
from tests.support.changes import renamed, shuffled
from tests.support.districts import Sketch, optimum
from tests.support.draw import drawn, feasible, sketches

SEEDS = st.integers(0, 10**6)


@drawn(60, 1500, s=sketches(most=7), seed=SEEDS)
def test_another_order_of_writing_gives_the_same_plan(s: Sketch, seed: int) -> None:
    mine, other = s.inputs(), shuffled(s, random.Random(seed)).inputs()
    assert mine.digest() == other.digest()
    a, b = feasible(mine).solution, solve(other)
    assert np.array_equal(a.x, b.x)
    assert (a.objective, a.bound, a.status, a.rung) == (b.objective, b.bound, b.status, b.rung)


@drawn(60, 1500, s=sketches(most=5, surely="battery"), seed=SEEDS)
def test_other_names_cost_the_same(s: Sketch, seed: int) -> None:
    before, after = feasible(s), optimum(renamed(s, random.Random(seed)))
    assert before.inputs.digest() != after.inputs.digest()
    assert abs(before.cost_eur - after.cost_eur) <= 1e-6 * before.size_eur
    assert abs(before.solution.emergency - after.solution.emergency) <= 1e-5


@drawn(60, 1500, s=sketches(), other=sketches())
def test_the_same_inputs_give_the_same_plan(s: Sketch, other: Sketch) -> None:
    """Also after another district was planned in between, and from inputs built anew."""
    first = feasible(s).solution
    feasible(other)
    second = solve(s.inputs())
    assert np.array_equal(first.x, second.x)
    assert np.array_equal(first.price, second.price)
    assert (first.objective, first.bound, first.rung) == (second.objective, second.bound, second.rung)
    assert first.counters == second.counters
