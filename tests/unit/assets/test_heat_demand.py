"""Heat demand: what no source can give is unmet, before any money."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from gridopt.assets.heat_demand import HeatDemand
from gridopt.model.assemble import assemble
from gridopt.model.inputs import Inputs, Node
from gridopt.solve.session import Session
from tests.unit.assets.replay import assert_replays, axis_of, by_rule, district, drive, solve, users

AXIS = axis_of(3)


def demand(power_kw: Any) -> Inputs:
    return district(HeatDemand, users(HeatDemand, 1, AXIS, power_kw=power_kw), AXIS, 0.1)


def test_all_of_it_may_be_unmet_and_no_more() -> None:
    """4, 0 and 6 kW at 10 ct: all unmet costs nothing, for the programme itself gives emergencies no price."""
    solved = solve(demand([[4.0, 0.0, 6.0]]))
    np.testing.assert_allclose(solved.value("unmet_kw"), [[4.0, 0.0, 6.0]])
    assert solved.objective == 0.0
    assert_replays(solved)


def test_what_is_delivered_is_drawn() -> None:
    """Nothing unmet: 10 kWh at 10 ct."""

    def met(a: Any) -> Any:
        upper = a.lp.upper.copy()
        upper[a.emergencies] = 0.0
        return a.lp.lower, upper

    solved = solve(demand([[4.0, 0.0, 6.0]]), hold=met)
    assert np.isclose(solved.objective, 1.0)
    [seen] = assert_replays(solved)
    np.testing.assert_allclose(seen.flows["heat_kw"], [[4.0, 0.0, 6.0]])


def test_a_node_that_gives_too_little_leaves_the_rest_unmet() -> None:
    """The network gives 5 kW: 1 kW of the 6 stays unmet, whatever its price, and the emergency weighs it in kWh."""
    inputs = demand([[4.0, 0.0, 6.0]])
    none = np.zeros(3)
    a = assemble(Inputs(AXIS, (Node("heat", "heat", None, none + 5.0, none, none),), inputs.groups))
    session = Session(a.lp)
    session.costs(np.arange(a.lp.shape[1]), np.zeros(a.lp.shape[1]))
    session.costs(a.emergencies, a.emergency_weight)
    assert np.isclose(session.run().objective, 1.0)


def test_the_physics_clips_a_foolish_command() -> None:
    group = demand([[4.0, 0.0, 6.0]]).groups[0]
    seen = drive(HeatDemand, dict(group.columns), 3, 1.0, {"unmet_kw": np.array([[9.0, 1.0, -2.0]])})
    np.testing.assert_allclose(seen.flows["unmet_kw"], [[4.0, 0.0, 0.0]])
    np.testing.assert_allclose(seen.flows["heat_kw"], [[0.0, 0.0, 6.0]])
    kpis = HeatDemand.kpis(None, seen.flows, 1.0)
    assert (kpis["delivered_kwh"], kpis["unmet_kwh"]) == (np.array([6.0]), np.array([4.0]))


def test_the_baseline_asks_for_all_of_it() -> None:
    group = demand([[4.0, 0.0, 6.0]]).groups[0]
    np.testing.assert_allclose(by_rule(HeatDemand, dict(group.columns), 3, 1.0).flows["heat_kw"], [[4.0, 0.0, 6.0]])


def test_shedding_leaves_heat_unmet_up_to_all() -> None:
    p, cut = SimpleNamespace(power_kw=np.full(4, 5.0)), np.array([2.0, 9.0, 0.0, -3.0])
    shed = HeatDemand.shed(p, {}, {"unmet_kw": np.ones(4)}, "heat", cut)
    np.testing.assert_allclose(shed["unmet_kw"], [3.0, 5.0, 1.0, 1.0])
