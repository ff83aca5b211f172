"""Every registered family in one district: planned, proven, checked, compared with its rules, written and explained."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from benchmarks.catalogue import PLACES, catalogue
from gridopt.assets import FAMILY_NAMES
from gridopt.jobs import plan as planning
from gridopt.jobs import record
from gridopt.jobs.explain import explain
from gridopt.jobs.plan import Plan
from gridopt.model.inputs import Target
from gridopt.verify import verify

NOW = datetime(2026, 1, 14, 18, tzinfo=UTC)
GAP = 0.005
SMALL, STEP_MIN = 8, 60
PATIENT = Target(gap=GAP, exact_gap=GAP, time_limit_s=600.0, exact_limit_s=600.0)


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Eight buildings and their plants for a day, planned as ``gridopt run`` does."""
    return planning.plan(catalogue(SMALL, 1, STEP_MIN, PATIENT), None, NOW)


@pytest.fixture(scope="module")
def folder(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("catalogue") / "run"
    planning.write(plan, place)
    return place


# --- the district ----------------------------------------------------------------------------------------------------


def test_every_family_has_its_place_in_the_district() -> None:
    assert set(PLACES) == set(FAMILY_NAMES), "say in benchmarks/catalogue.py where a family stands"


@pytest.mark.parametrize("buildings", [SMALL, 100])
def test_every_family_occurs_whatever_the_size(buildings: int) -> None:
    inputs = catalogue(buildings, 1, STEP_MIN).inputs
    assert {g.family.name for g in inputs.groups} == set(FAMILY_NAMES)
    for group in inputs.groups:
        for port in group.family.ports:
            carriers = {inputs.nodes[int(k)].carrier for k in group.nodes[port.name]}
            assert not port.carriers or carriers <= set(port.carriers), (group.family.name, port.name)


def test_a_family_without_a_place_is_told() -> None:
    with pytest.raises(KeyError, match="ice-store"):
        catalogue(SMALL, 1, STEP_MIN, families=(*FAMILY_NAMES, "ice-store"))


def test_limits_are_nested_from_the_transformer_to_the_charger_groups() -> None:
    inputs = catalogue(100, 1, STEP_MIN).inputs
    parent = {n.id: n.parent for n in inputs.nodes}
    group = next(n for n in parent if n.endswith("-charging"))
    line = [group]
    while (above := parent[line[-1]]) is not None:
        line.append(above)
    assert [name.split("-")[0] for name in line] == ["house", "house", "feeder", "grid"]
    limits = [inputs.nodes[inputs.node_index[name]].import_max_kw.max() for name in line]
    assert np.isfinite(limits).all()
    assert limits == sorted(limits)
    assert {n.carrier for n in inputs.nodes} == {"electricity", "heat", "gas", "hydrogen"}


def test_the_same_seed_is_the_same_district_and_another_is_another() -> None:
    assert catalogue(SMALL, 1, STEP_MIN).inputs.digest() == catalogue(SMALL, 1, STEP_MIN).inputs.digest()
    assert catalogue(SMALL, 1, STEP_MIN).inputs.digest() != catalogue(SMALL, 2, STEP_MIN).inputs.digest()


def test_a_family_left_out_leaves_the_others_as_they_were() -> None:
    whole = catalogue(SMALL, 1, STEP_MIN).inputs
    part = catalogue(SMALL, 1, STEP_MIN, families=[f for f in FAMILY_NAMES if f != "battery"]).inputs
    kept = tuple(g for g in whole.groups if g.family.name != "battery")
    assert kept != whole.groups
    assert part.digest() == replace(whole, groups=kept).digest()


# --- the plan --------------------------------------------------------------------------------------------------------


def test_the_plan_is_proven_and_holds(plan: Plan) -> None:
    assert plan.solution.gap <= GAP
    assert plan.summary["gap"] <= GAP
    assert plan.summary["emergency_kwh"] == pytest.approx(0.0, abs=1e-6)
    assert verify(plan.inputs, plan.schedule, plan.solution.objective) == []


def test_a_device_that_does_something_else_is_found(plan: Plan) -> None:
    """Of every family that takes commands: one of them moved by a kilowatt, or from 0 to 1, and the plan is refused."""
    for g, group in enumerate(plan.inputs.groups):
        commands = [c for c in group.family.commands if c in plan.schedule.groups[g]]
        if not commands:
            continue
        values = {name: a.copy() for name, a in plan.schedule.groups[g].items()}
        x = values[commands[-1]]
        x[0, 0] += -1.0 if x[0, 0] > 1.0 else 1.0
        groups = tuple(values if k == g else v for k, v in enumerate(plan.schedule.groups))
        assert verify(plan.inputs, replace(plan.schedule, groups=groups)), group.family.name


def test_the_day_by_rule_runs_beside_it(plan: Plan) -> None:
    assert len(plan.twin.trace.steps) == len(plan.inputs.groups)
    assert np.isfinite(plan.twin.net_kw).all()
    assert plan.summary["baseline"]["total_eur"] == pytest.approx(
        sum(line["eur"] for line in plan.summary["baseline"]["cost"].values())
    )
    assert plan.summary["savings_eur"] > 0


def test_every_family_has_key_figures(plan: Plan) -> None:
    figures = plan.summary["kpi"]["assets"]
    silent = {asset["family"] for asset in plan.summary["assets"] if not figures.get(asset["id"])}
    assert not silent
    assert all(np.isfinite(value) for values in figures.values() for value in values.values())


def test_its_run_folder_is_read_back_as_it_was(plan: Plan, folder: Path) -> None:
    run, inputs, schedule = record.load(folder)
    assert inputs.digest() == plan.inputs.digest() == run.inputs["digest"]
    assert np.array_equal(schedule.net_kw, plan.schedule.net_kw)
    for values, kept in zip(plan.schedule.groups, schedule.groups, strict=True):
        for name, value in values.items():
            assert np.array_equal(value, kept[name]), name
    assert not verify(inputs, schedule, run.summary["objective_eur"])
    assert {s.device for s in run.setpoints} <= {asset["id"] for asset in run.summary["assets"]}


def test_it_is_explained(folder: Path) -> None:
    said = explain(folder, lambda _: None, time_limit_s=3.0)
    assert said["prices"]
    assert said["would_change"]
