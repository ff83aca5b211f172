"""Money: what a plan costs is what its schedule costs, in any unit of account."""

from __future__ import annotations

import numpy as np

from gridopt.verify import bill, replay
from tests.support.changes import scaled
from tests.support.districts import Sketch, optimum
from tests.support.draw import drawn, feasible, one, sketches


@drawn(60, 1500, s=sketches())
def test_the_objective_is_the_cost_of_the_schedule(s: Sketch) -> None:
    plan = feasible(s)
    inputs = s.inputs()
    ledger = bill(inputs, plan.schedule.net_kw, replay(inputs, plan.schedule))
    assert abs(plan.cost_eur - ledger.total_eur) <= 1e-6 * plan.size_eur
    lp = plan.solution.assembly.lp
    assert np.isclose(plan.cost_eur, lp.cost @ plan.solution.x + lp.offset, rtol=0, atol=1e-6 * plan.size_eur)


@drawn(60, 1500, s=sketches(), k=one(0.25, 3.0, 100.0))
def test_prices_k_times_as_high_cost_k_times_as_much(s: Sketch, k: float) -> None:
    before, after = feasible(s), optimum(scaled(s, k))
    assert abs(after.cost_eur - k * before.cost_eur) <= 1e-6 * k * before.size_eur
    assert abs(after.solution.emergency - before.solution.emergency) <= 1e-5
