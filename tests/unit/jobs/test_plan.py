"""The main job: what it says about a plan is true, and a plan that does not hold is never handed on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from gridopt.errors import InfeasibleError, NoPlanError, VerificationError
from gridopt.jobs import plan as job
from gridopt.jobs.plan import Plan, plan
from gridopt.model.inputs import Commitment, Flow, Inputs
from gridopt.solve.ladder import solve

District = Callable[..., Inputs]


@pytest.fixture
def make(district: District, scenario: Any, now: datetime) -> Callable[..., Plan]:
    def build(**how: Any) -> Plan:
        return plan(scenario(district(**how)), None, now)

    return build


def test_a_proven_plan(make: Callable[..., Plan], now: datetime) -> None:
    made = make()
    s = made.summary
    assert (s["status"], s["rung"], made.exit_code) == ("optimal", "optimal", 0)
    assert s["gap_eur"] <= 1e-4
    assert s["shortfalls"] == []
    assert s["created"] == now.isoformat()
    assert s["plan_id"] == f"tiny-20260115-{s['hash'][:12]}"
    assert (s["valid_from"], s["valid_until"]) == ("2026-01-14T23:00:00+00:00", "2026-01-15T23:00:00+00:00")
    assert s["assets"][0] == {"id": "load-a", "family": "load", "ports": {"ac": "building"}}
    assert s["nodes"][0] == {"id": "building", "parent": "grid", "carrier": "electricity"}
    assert s["start_state"]["bat-a"] == {"soc_kwh": 5.0, "source": "scenario"}
    assert {"gridopt", "python", "highs", "pyomo", "numpy"} <= set(s["versions"])
    assert {"assemble", "lp", "verify", "twin"} <= set(s["seconds"])
    assert s["counters"]["rows"] > 0
    json.dumps(dict(s), allow_nan=False)


def test_the_cost_lines_sum_to_the_objective(make: Callable[..., Plan]) -> None:
    s = make().summary
    assert sum(line["eur"] for line in s["cost"].values()) == pytest.approx(s["objective_eur"], abs=1e-6)
    assert {line["kind"] for line in s["cost"].values()} >= {"cash", "wear"}


def test_the_same_inputs_give_the_same_plan(make: Callable[..., Plan]) -> None:
    one, two = make(), make()
    assert one.summary["hash"] == two.summary["hash"]
    assert {k: v for k, v in one.summary.items() if k != "seconds"} == {
        k: v for k, v in two.summary.items() if k != "seconds"
    }
    assert make(load_kw=4.5).summary["hash"] != one.summary["hash"]


def test_savings_leave_shortfalls_out(make: Callable[..., Plan]) -> None:
    """Penalties differ by far more than money does, and stand beside the saving."""
    made = make(import_max_kw=7.2, energy_kwh=40.0)
    s = made.summary
    money = ("cash", "wear", "value")
    plan_eur, rule_eur = (
        sum(line["eur"] for line in cost.values() if line["kind"] in money)
        for cost in (s["cost"], s["baseline"]["cost"])
    )
    assert s["savings_eur"] == pytest.approx(rule_eur - plan_eur, abs=1e-9)
    penalties = s["baseline"]["cost"]["ev-session.shortfall"]["eur"] - s["cost"]["ev-session.shortfall"]["eur"]
    assert penalties > 20.0
    assert s["savings_eur"] == pytest.approx(s["baseline"]["total_eur"] - s["objective_eur"] - penalties, abs=1e-6)


def test_what_the_twin_leaves_in_its_stores_is_what_the_plan_would_save_with_it(
    make: Callable[..., Plan], district: District
) -> None:
    """Planned again with the twin's last content as the goal: the difference stands among the twin's costs."""
    made = make()
    left = made.summary["baseline"]["cost"]["stores.left"]
    soc = [t.steps[2]["soc_kwh"][0, -1] for t in (made.trace, made.twin.trace)]
    assert soc[1] < soc[0] - 1.0, "by rule the battery ends emptier"
    inputs = district()
    groups = [
        dataclasses.replace(g, columns={**g.columns, "soc_goal_kwh": np.array([soc[1]])})
        if g.family.name == "battery"
        else g
        for g in inputs.groups
    ]
    worth = objective(inputs) - objective(dataclasses.replace(inputs, groups=tuple(groups)))
    assert worth > 0.1
    assert left["kind"] == "value"
    assert left["eur"] == pytest.approx(worth, rel=1e-5)


def test_no_saving_is_claimed_where_no_plan_can_end_as_the_rule_does(
    make: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "ending_like", lambda solution, trace: None)
    s = make().summary
    assert s["savings_eur"] is None
    assert "stores.left" not in s["baseline"]["cost"]


def test_a_soft_goal_short_is_a_lower_rung(make: Callable[..., Plan]) -> None:
    made = make(import_max_kw=7.2, energy_kwh=40.0)
    s = made.summary
    assert (s["status"], s["rung"], made.exit_code) == ("optimal", "soft", 3)
    car = next(f for f in s["shortfalls"] if f["id"] == "car-a")
    assert (car["goal"], car["unit"], car["what"]) == ("energy by departure", "kWh", "asset")
    assert car["end"] == "2026-01-15T06:00:00+00:00", "departs at 07:00 in Paris"
    delivered = s["kpi"]["assets"]["car-a"]["delivered_kwh"]
    assert car["amount"] == pytest.approx(40.0 - delivered, abs=1e-5)
    by_rule = {f["id"] for f in s["baseline"]["shortfalls"]}
    assert "car-a" in by_rule
    breach = s["baseline"]["breaches"][0]
    assert (breach["node"], breach["side"]) == ("building", "import")


def soft_limit(inputs: Inputs, limit_kw: float) -> Inputs:
    T = inputs.axis.steps
    c = Commitment(
        "soft-feeder", (Flow(1.0, node="grid", side="import"),), "energy", np.arange(T), np.full(T, limit_kw),
        np.full(T, 0.5), np.zeros(T), "penalty", ("over the feeder's limit", "below"),
    )  # fmt: skip
    return dataclasses.replace(inputs, commitments=(*inputs.commitments, c))


def test_a_priced_limit_exceeded_is_a_lower_rung(district: District, scenario: Any, now: datetime) -> None:
    made = plan(scenario(soft_limit(district(), 5.0)), None, now)
    s = made.summary
    assert (s["rung"], made.exit_code) == ("soft", 3)
    (found,) = s["shortfalls"]
    assert (found["what"], found["id"], found["unit"]) == ("commitment", "soft-feeder", "kWh")
    over = np.maximum(made.schedule.net_kw[made.inputs.node_index["grid"]] - 5.0, 0.0)
    assert found["amount"] == pytest.approx(over.sum(), abs=1e-6)
    assert found["worst"] == pytest.approx(over.max(), abs=1e-6)
    assert plan(scenario(soft_limit(district(), 500.0)), None, now).exit_code == 0


@pytest.mark.parametrize(("status", "code"), [("optimal", 0), ("within gap", 0), ("time-limited", 3)])
def test_the_exit_code_follows_the_proof(
    make: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, status: str, code: int
) -> None:
    monkeypatch.setattr(job, "solve", lambda *a: dataclasses.replace(solve(*a), status=status))
    made = make()
    assert (made.summary["status"], made.summary["rung"], made.exit_code) == (status, status, code)
    both = make(import_max_kw=7.2, energy_kwh=40.0)
    assert (both.summary["status"], both.summary["rung"], both.exit_code) == (status, "soft", 3), "the lower of two"


def test_a_plan_that_does_not_hold_is_refused(make: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that is off by a cent, or by half a kilowatt in one step, is found out."""

    def dearer(*a: Any) -> Any:
        found = solve(*a)
        return dataclasses.replace(found, objective=found.objective + 0.01)

    monkeypatch.setattr(job, "solve", dearer)
    with pytest.raises(VerificationError, match=r"does not hold and was not written[\s\S]*objective_eur") as e:
        make()
    assert e.value.exit_code == 15
    assert len(e.value.findings) == 1

    def stronger(*a: Any) -> Any:
        found = solve(*a)
        x = found.x.copy()
        block = next(b for b in found.assembly.blocks if b.group.family.name == "battery")
        columns = block.columns("charge_kw")
        assert columns is not None
        x[columns[0, 5]] += 0.5
        return dataclasses.replace(found, x=x)

    monkeypatch.setattr(job, "solve", stronger)
    with pytest.raises(VerificationError, match=r"asset bat-a: charge_kw at Thu 15 Jan 05:00"):
        make()


def test_hard_limits_that_contradict_and_no_plan_in_time_are_passed_on(
    make: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InfeasibleError) as e:
        make(load_kw=60.0)
    assert e.value.exit_code == 12

    def no_plan(*_: Any) -> Any:
        raise NoPlanError("no plan was found within {limit:g} s", limit=1.0)

    monkeypatch.setattr(job, "solve", no_plan)
    with pytest.raises(NoPlanError):
        make()


# --- limits and prices -----------------------------------------------------------------------------------------------


def objective(inputs: Inputs) -> float:
    return solve(inputs).objective


def test_a_binding_limit_is_worth_what_moving_it_saves(make: Callable[..., Plan], district: District) -> None:
    tight = {"import_max_kw": 12.0, "energy_kwh": 40.0}
    s = make(**tight).summary
    (limit,) = s["limits"]
    assert (limit["node"], limit["side"], limit["limit_kw"]) == ("building", "import", 11.5)
    saved = objective(district(**tight)) - objective(district(**{**tight, "import_max_kw": 12.001}))
    assert limit["value_eur_per_kw"] == pytest.approx(saved / 0.001, rel=1e-4)
    assert limit["mean_eur_per_kwh"] == pytest.approx(limit["value_eur_per_kw"] / 6.0)
    assert make().summary["limits"] == []


def test_the_price_at_a_node_is_what_one_more_kwh_costs(make: Callable[..., Plan], district: District) -> None:
    made = make()
    rows = {(r.node, r.quantity): r.values for r in made.run.schedule if r.asset is None}
    price = rows["building", "marginal_price_eur_per_kwh"]
    base = objective(district())
    for hour in (3, 11, 20):
        more = np.zeros(24)
        more[hour] = 0.001
        inputs = district()
        groups = [
            dataclasses.replace(g, columns={"power_kw": g.columns["power_kw"] + more}) if g.family.name == "load" else g
            for g in inputs.groups
        ]
        cost = objective(dataclasses.replace(inputs, groups=tuple(groups))) - base
        assert price[hour] == pytest.approx(cost / 0.001, abs=1e-4)


def test_a_side_that_is_closed_altogether_is_no_limit_met(district: District, scenario: Any, now: datetime) -> None:
    inputs = district()
    closed = dataclasses.replace(inputs.nodes[1], export_max_kw=np.zeros(24))
    made = plan(scenario(dataclasses.replace(inputs, nodes=(inputs.nodes[0], closed))), None, now)
    assert [b for b in made.summary["limits"] if b["node"] == "grid"] == []


# --- options ---------------------------------------------------------------------------------------------------------


def test_gap_and_time_limit_replace_the_scenarios_own(district: District, scenario: Any, now: datetime) -> None:
    made = plan(scenario(district()), None, now, gap=0.02, time_limit_s=7.0)
    assert (made.inputs.target.gap, made.inputs.target.time_limit_s) == (0.02, 7.0)
    assert made.summary["inputs"]["digest"] == made.inputs.digest() != district().digest()


def test_progress_is_told_in_words(district: District, scenario: Any, now: datetime) -> None:
    said: list[str] = []
    plan(scenario(district()), said.append, now)
    assert said[0] == "solving the relaxation"
    assert said[-2:] == ["checking the plan", "running the day by rule, to compare"]


def test_a_limit_that_stands_in_a_file_is_mended_there(district: District, scenario: Any, now: datetime) -> None:
    inputs = dataclasses.replace(district(import_max_kw=3.0), rules=())
    loose, there = scenario(inputs), scenario(inputs)
    there.limits_in = {"node.building.import_max_kw": "column limits, nodes.csv:2"}
    said = []
    for of in (loose, there):
        with pytest.raises(InfeasibleError) as e:
            plan(of, None, now)
        said.append(str(e.value))
    assert "--set node.building.import_max_kw=" in said[0]
    assert "--set" not in said[1]
    assert "(column limits, nodes.csv:2)" in said[1]
