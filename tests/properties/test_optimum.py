"""The rungs lead to the optimum, and what they prove is true: held against the plain model, solved as one MILP."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume

from gridopt.model.inputs import Inputs, Target
from gridopt.model.plain import EMERGENCY_EUR_PER_KWH
from tests.conformance.test_district import plain
from tests.conformance.test_district import solve as solve_plain
from tests.support.districts import Sketch, planned
from tests.support.draw import drawn, feasible, one, sketches


def cheapest(inputs: Inputs) -> float:
    """The optimum of the plain MILP, whose emergencies cost EMERGENCY_EUR_PER_KWH."""
    answer = solve_plain(plain(inputs, True, EMERGENCY_EUR_PER_KWH))
    assert answer.status == "optimal"
    return answer.objective


@drawn(60, 1500, s=sketches())
def test_the_optimum_is_that_of_the_plain_model(s: Sketch) -> None:
    plan = feasible(s)
    emergency = EMERGENCY_EUR_PER_KWH * plan.solution.emergency
    # The least emergency is kept to 1e-5 kWh, which money may use.
    tolerance = 1e-6 * plan.size_eur + (3e-2 if emergency else 0.0)
    assert plan.cost_eur + emergency == pytest.approx(cheapest(s.inputs()), rel=0, abs=tolerance)


@drawn(40, 1000, s=sketches(spread=(-0.1, 0.02), low=-60), gap=one(0.3, 0.05, 0.005), exact=one(0, 1500))
def test_what_is_proven_of_a_plan_is_true(s: Sketch, gap: float, exact: int) -> None:
    """However rough the gap wanted and whichever rungs are used: no plan is cheaper than the bound, and the plan
    itself is no better than it can be."""
    s = replace(
        s, target=Target(gap=gap, exact_gap=gap, exact_decisions=exact, time_limit_s=300.0, exact_limit_s=300.0)
    )
    plan = planned(s)
    solution = plan.solution
    assume(not solution.emergency)
    best, tolerance = cheapest(s.inputs()), 1e-6 * plan.size_eur
    assert solution.bound <= best + tolerance
    assert best <= solution.objective + tolerance
    assert solution.gap_eur == pytest.approx(solution.objective - solution.bound, abs=tolerance)
    assert (solution.status == "optimal") == (solution.gap <= 1e-6)


@drawn(25, 500, s=sketches(surely="heat-demand", broken=1000), share=one(0.0, 0.3))
def test_heat_that_cannot_be_had_is_missed_by_no_more_than_must_be(s: Sketch, share: float) -> None:
    """Boiler and heater at a share of their power: what stays unmet is minimised first, whatever it costs."""
    weak = {"gas-boiler": {"power_kw": 20.0 * share, "power_min_kw": 0.0}, "converter": {"power_kw": 8.0 * share}}
    devices = [replace(d, given={**d.given, **weak.get(d.family, {})}) for d in s.devices if d.family != "chp"]
    s = replace(s, devices=tuple(devices))
    plan = feasible(s)
    best = cheapest(s.inputs())
    assert plan.cost_eur + EMERGENCY_EUR_PER_KWH * plan.solution.emergency == pytest.approx(best, rel=1e-6, abs=3e-2)
