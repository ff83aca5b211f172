"""A day that ends as another one did costs what planning it with that end costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gridopt.model.inputs import Inputs, Target
from gridopt.simulate.twin import twin
from gridopt.solve.equal import ending_like
from gridopt.solve.ladder import solve
from gridopt.verify import bill, replay
from tests.support.districts import Device, Sketch, energy_price, hours, node, planned

AXIS = hours(24)
EVENING = np.where(np.arange(24) < 12, 0.10, 0.40)
SUNNY = 1.0 - 4.0 * np.clip(np.sin((np.arange(24) - 6) / 12 * np.pi), 0, None)


def battery(start: float, **more: Any) -> Device:
    return Device("bat", "battery", ("grid",), {"capacity_kwh": 20.0, "power_kw": 5.0, "soc_start": start} | more)


def district(*devices: Device, price: Any = EVENING) -> Sketch:
    nodes = (node(AXIS, "grid"), node(AXIS, "heat", None, 0.0, carrier="heat"))
    return Sketch(AXIS, nodes, devices, (energy_price(AXIS, "grid", price, 0.02),), target=Target(gap=1e-6))


def cost_ending_as_by_rule(inputs: Inputs) -> float:
    """Cost of the plan that ends as the rule-based day does [EUR], recomputed without the model."""
    solution = solve(inputs)
    x = ending_like(solution, twin(inputs).trace)
    assert x is not None
    schedule = solution.assembly.schedule(x)
    return bill(inputs, schedule.net_kw, replay(inputs, schedule)).total_eur


@pytest.mark.parametrize(("start", "load"), [(0.9, 2.0), (0.5, 2.0), (0.3, SUNNY)], ids=["full", "half", "sun"])
def test_a_battery_that_ends_as_by_rule(start: float, load: Any) -> None:
    price = EVENING if np.isscalar(load) else 0.2 + 0.1 * np.sin(np.arange(24) / 24 * 2 * np.pi)
    use = Device("use", "load", ("grid",), {"power_kw": load})
    s = district(use, battery(start), price=price)
    (end,) = next(v["soc_kwh"][:, -1] for v in twin(s.inputs()).trace.steps if "soc_kwh" in v)
    aimed = planned(s.with_device(battery(start, end="target", soc_end=end / 20.0)).inputs())
    assert cost_ending_as_by_rule(s.inputs()) == pytest.approx(aimed.cost_eur, abs=1e-5)
    assert abs(planned(s.inputs()).cost_eur - aimed.cost_eur) > 0.01, "the ends differ, or nothing is shown"


def test_heat_that_nobody_can_give_changes_no_saving() -> None:
    use = Device("use", "load", ("grid",), {"power_kw": 2.0})
    cold = Device("homes", "heat-demand", ("heat",), {"power_kw": 1.0})
    one, two = (cost_ending_as_by_rule(district(use, battery(0.9), *more).inputs()) for more in ((), (cold,)))
    assert one == pytest.approx(two, abs=1e-4)


def test_a_room_is_left_no_colder_than_by_rule() -> None:
    """Letting a house cool until midnight is no saving: discomfort is cheap here, power dear."""
    house = {
        "resistance_k_per_kw": 5.0, "capacity_kwh_per_k": 5.0, "power_kw": 4.0, "outdoor_c": 2.0,
        "temperature_start_c": 21.0, "comfort_min_c": 20.0, "discomfort_eur_per_kh": 0.01,
    }  # fmt: skip
    s = district(Device("home", "heat-pump-building", ("grid",), house)).inputs()
    solution, by_rule = solve(s), twin(s)
    x = ending_like(solution, by_rule.trace)
    assert x is not None
    ends = [solution.assembly.schedule(v).groups[0]["temperature_c"][0, -1] for v in (solution.x, x)]
    (end,) = by_rule.trace.steps[0]["temperature_c"][:, -1]
    assert ends[0] < end - 0.5, "the plan lets the house cool"
    assert ends[1] >= end - 1e-5


def test_a_car_that_stays_gets_as_much_as_by_rule() -> None:
    car = {"arrive": 18.0, "depart": 40.0, "energy_kwh": 20.0, "power_kw": 7.4}
    s = district(Device("car", "ev-session", ("grid",), car)).inputs()
    solution, by_rule = solve(s), twin(s)
    x = ending_like(solution, by_rule.trace)
    assert x is not None
    drawn = [solution.assembly.schedule(v).groups[0]["charge_kw"].sum() for v in (solution.x, x)]
    rule = by_rule.trace.steps[0]["charge_kw"].sum()
    assert drawn[0] < rule - 1.0, "least commitment: the plan waits for tomorrow"
    assert drawn[1] == pytest.approx(rule, abs=1e-4)


def test_the_same_with_engines_whose_decisions_are_kept() -> None:
    """Many decisions: the engine's stay as they were, and the plan that ends as by rule is still a whole one."""
    nodes = (
        node(AXIS, "grid"),
        node(AXIS, "heat", None, 0.0, carrier="heat"),
        node(AXIS, "gas", None, 90.0, 0.0, "gas"),
    )
    devices = (
        Device("engine", "chp", ("grid", "heat", "gas"), {"power_max_kw": 6.0, "power_min_kw": 3.0, "dump": True}),
        Device("homes", "heat-demand", ("heat",), {"power_kw": 3.0}),
        Device("boiler", "gas-boiler", ("gas", "heat"), {"power_kw": 12.0}),
        Device("tank", "thermal-store", ("heat",), {"capacity_kwh": 20.0, "power_kw": 8.0, "level_start": 0.8}),
        Device("use", "load", ("grid",), {"power_kw": 2.0}),
    )
    prices = (energy_price(AXIS, "grid", EVENING, 0.02), energy_price(AXIS, "gas", 0.08, 0.0, "gas"))
    inputs = replace(Sketch(AXIS, nodes, devices, prices).inputs(), target=Target(exact_decisions=0))
    solution, by_rule = solve(inputs), twin(inputs)
    x = ending_like(solution, by_rule.trace)
    assert x is not None
    before, after = solution.assembly.schedule(solution.x), solution.assembly.schedule(x)
    g, _ = inputs.where["engine"]
    np.testing.assert_allclose(np.round(before.groups[g]["on"]), after.groups[g]["on"], atol=1e-6)
    g, _ = inputs.where["tank"]
    assert after.groups[g]["level_kwh"][0, -1] >= by_rule.trace.steps[g]["level_kwh"][0, -1] - 1e-5
