"""A user's own constraints as rows of data, and held by the solver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gridopt.model.assemble import assemble
from gridopt.model.inputs import LinearRule
from gridopt.scenario.load import Scenario, check, load
from gridopt.solve.session import Session

Write = Callable[..., Path]
Load = Callable[..., Scenario]
INF = float("inf")

CAR = """[asset.car]
family = "ev-session"
node = "grid"
arrive = "08:00"
depart = "10:00"
energy_kwh = 6
power_kw = 7.4
[asset.away]
family = "ev-session"
node = "grid"
arrive = "D+5 08:00"
depart = "D+5 10:00"
energy_kwh = 6
power_kw = 7.4
[[rule]]
file = "rules.txt"
"""


def rules(build: Load, base: str, text: str) -> tuple[LinearRule, ...]:
    return build(base + CAR, {"rules.txt": text}).rules


def test_a_rule_becomes_terms_over_assets_and_nodes(base: str, build: Load) -> None:
    text = """
def rule_one(m):
    return "morning", 2 * m.asset["bat-a"].soc_kwh[3] - m.node["grid"].import_kw[3] + 1 <= 5
"""
    (row,) = rules(build, base, text)
    assert row == LinearRule(
        "morning", ((2.0, "asset", "bat-a", "soc_kwh", 3), (-1.0, "node", "grid", "import_kw", 3)), -INF, 4.0
    )


def test_every_form_of_a_constraint(base: str, build: Load) -> None:
    text = """
from pyomo.environ import inequality


def rule_a_list(m):
    b = m.asset["bat-a"]
    return [b.soc_kwh[t] >= 0.5 * b.capacity_kwh for t in (1, 2)]


def rule_b_generator(m):
    yield m.asset["bat-a"].charge_kw[0] == 1
    yield "named", m.asset["bat-a"].charge_kw[1] == 2
    yield inequality(1, m.asset["bat-a"].soc_kwh[4], 2)
    yield m.asset["bat-a"].capacity_kwh >= 3
    yield m.asset["bat-a"].soc_kwh[5] + m.asset["bat-a"].capacity_kwh >= 13


def rule_c_port(m):
    return m.asset["bat-a"].ac_kw[5] <= 1.5


def helper(m):
    raise ValueError("not a rule")
"""
    found = {r.name: r for r in rules(build, base, text)}
    assert found.pop("rule_b_generator 5").low == 3.0
    assert sorted(found) == [
        "named",
        "rule_a_list 1",
        "rule_a_list 2",
        "rule_b_generator 1",
        "rule_b_generator 3",
        "rule_c_port 1",
    ]
    assert (found["rule_a_list 2"].low, found["rule_a_list 2"].high) == (5.0, INF)
    assert (found["named"].low, found["named"].high) == (2.0, 2.0)
    assert (found["rule_b_generator 3"].low, found["rule_b_generator 3"].high) == (1.0, 2.0)
    assert found["rule_c_port 1"].terms == (
        (1.0, "asset", "bat-a", "charge_kw", 5),
        (-1.0, "asset", "bat-a", "discharge_kw", 5),
    )


def test_steps_are_the_horizons_and_a_car_is_zero_when_it_is_away(base: str, build: Load) -> None:
    text = """
def rule_sum(m):
    car, away = m.asset["car"], m.asset["away"]
    assert car.charge_kw[0] == 0 and away.charge_kw[40] == 0
    return sum(car.charge_kw[t] + away.charge_kw[t] for t in m.T) * m.step_h <= 3
"""
    (row,) = rules(build, base, text)
    assert [t[4] for t in row.terms] == list(range(32, 40))
    assert {t[:4] for t in row.terms} == {(0.25, "asset", "car", "charge_kw")}


def test_times_of_a_rule_are_local(base: str, build: Load) -> None:
    text = """
def rule_evening(m):
    steps = m.steps_between("17:00", "17:30", "mon-fri")
    assert m.time(steps[0]).hour == 17
    assert m.steps_between("17:00", "17:30", "sat,sun") == []
    assert len(m.steps_between("22:00", "06:00")) == 32
    for t in steps:
        yield m.asset["bat-a"].soc_kwh[t] >= 3
    assert set(m.asset) == {"away", "bat-a", "car"} and m.asset["car"].family == "ev-session"
"""
    assert [r.terms[0][4] for r in rules(build, base, text)] == [68, 69]


def test_the_plan_obeys_a_rule_on_assets_on_the_horizon(base: str, build: Load) -> None:
    """Charging 2.5 kWh extra by 10:00 costs; with the rule the solver does it, without it would not."""
    text = 'def rule_full(m):\n    return m.asset["bat-a"].soc_kwh[39] + m.asset["car"].charge_kw[33] >= 14.5\n'
    scenario = build(base + CAR, {"rules.txt": text})
    assembly = assemble(scenario.inputs)
    x = Session(assembly.lp).run().x
    assert x is not None
    g, k = scenario.inputs.where["bat-a"]
    soc = assembly.blocks[g].columns("soc_kwh")
    g, k = scenario.inputs.where["car"]
    charge = assembly.blocks[g].columns("charge_kw")
    assert soc is not None
    assert charge is not None
    assert x[soc[0, 39]] + x[charge[0, 1]] >= 14.5 - 1e-6
    assert scenario.inputs.groups[g].offset[k] == 32


def test_a_users_print_does_not_reach_the_results(base: str, write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'def rule_one(m):\n    print("here")\n    return m.asset["bat-a"].soc_kwh[3] >= 1\n'
    load(write(base + CAR, {"rules.txt": text}))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "here\n"


def test_a_rule_is_not_run_while_anything_else_is_wrong(base: str, write: Write) -> None:
    text = "raise SystemError('run')\n"
    folder = write(base.replace("power_kw = 5", "power_kw = -5") + CAR, {"rules.txt": text})
    assert [m.code for m in check(folder)] == ["too-small"]
    assert [m.code for m in check(write(base + CAR, {"rules.txt": text}))] == ["rule-error"]


def test_a_rule_over_foreign_variables_is_refused(base: str, write: Write) -> None:
    text = """from pyomo.environ import ConcreteModel, Var


def rule_own(m):
    model = ConcreteModel()
    model.x = Var()
    return model.x + m.asset["bat-a"].soc_kwh[3] >= 1
"""
    (mistake,) = check(write(base + CAR, {"rules.txt": text}))
    assert mistake.message == "rule rule_own: x is a variable that the scenario does not have"


def test_parameters_and_costs_are_seen(base: str, build: Load) -> None:
    text = """
def rule_wear(m):
    b = m.asset["bat-a"]
    assert b.power_kw == 5 and b.efficiency_in == 0.95
    return b.wear_eur <= 0.1
"""
    (row,) = rules(build, base, text)
    assert len(row.terms) == 96
    np.testing.assert_allclose([t[0] for t in row.terms], 0.25 * 0.03)


@pytest.mark.parametrize("sign", ["<", ">"])
def test_a_strict_inequality_is_refused_in_silence(
    base: str, write: Write, sign: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = f'def rule_one(m):\n    return m.asset["bat-a"].soc_kwh[3] {sign} 1\n'
    (mistake,) = check(write(base + CAR, {"rules.txt": text}))
    assert mistake.message == "rule rule_one: a solver cannot tell < from <=; write <= or >="
    assert caplog.records == []
