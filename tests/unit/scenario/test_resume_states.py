"""A plant stopped in the middle and taken up again goes on as if nothing had happened: every family with a state."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from gridopt.assets import FAMILY_NAMES, family
from gridopt.assets.base import Family
from gridopt.clock import Axis
from gridopt.model.inputs import Group, Inputs, Pin
from gridopt.model.schedule import Schedule
from gridopt.scenario.before import Before
from gridopt.scenario.mistakes import Report
from gridopt.scenario.resume import CARRIED, TASKS
from gridopt.simulate.twin import twin
from gridopt.verify.replay import replay_group
from tests.support.districts import Device, Sketch, hours, node
from tests.support.draw import BRANCH, HOME, HYDROGEN, PLANT, run

MAKERS = HOME | {name: make for table in (PLANT, BRANCH, HYDROGEN) for name, (_, make) in table.items()}
ENDLESS = {"interruptible-load": {"energy_kwh": 1000.0, "every_h": None}}
"""What of a window is done is carried by its task; here only the status is looked at."""


def alone(name: str, given: Mapping[str, Any], axis: Axis) -> Inputs:
    """One device, on a node of every carrier that it needs."""
    ports = [(p.carriers or ("electricity",))[0] for p in family(name).ports]
    carriers = dict.fromkeys(["electricity", *ports])
    nodes = tuple(node(axis, of, None, 100.0, carrier=of) for of in carriers)
    return Sketch(axis, nodes, (Device("it", name, tuple(ports), given),)).inputs()


def later(axis: Axis, steps: int) -> Axis:
    """The rest of an axis."""
    start = axis.start + timedelta(minutes=axis.step_min * steps)
    return Axis(start, axis.step_min, axis.steps - steps, axis.zone)


def cut(given: Mapping[str, Any], steps: int) -> dict[str, Any]:
    return {k: v[steps:] if isinstance(v, np.ndarray) else v for k, v in given.items()}


def commands(group: Group, trace: Mapping[str, Any]) -> dict[str, Any]:
    return {name: trace[name] for name in group.family.commands if name in trace}


@pytest.mark.parametrize("name", sorted(CARRIED))
def test_what_is_taken_up_goes_on(name: str) -> None:
    def body(data: st.DataObject, steps: int, step_min: int) -> None:
        axis = hours(2 * steps, step_min)
        given = {**MAKERS[name](data.draw, axis), **ENDLESS.get(name, {})}
        whole = alone(name, given, axis)
        by_rule = twin(whole)
        did = tuple(commands(g, t) for g, t in zip(whole.groups, by_rule.trace.steps, strict=True))
        before = Before("it", Path("it"), {}, whole, Schedule(did, by_rule.net_kw))
        rest = later(axis, steps)
        assert before.steps_until(rest, Report()) == steps
        past = before.pasts(steps, rest)["it"]
        inputs = alone(name, {**cut(given, steps), **CARRIED[name](past, given)}, rest)
        through, _ = replay_group(whole.groups[0], did[0], axis.step_h)
        tail, _ = replay_group(inputs.groups[0], {k: v[:, steps:] for k, v in did[0].items()}, axis.step_h)
        for quantity in (*family(name).states, *(f"{p.name}_kw" for p in family(name).ports)):
            np.testing.assert_allclose(tail[quantity], through[quantity][:, steps:], atol=1e-9, err_msg=quantity)

    run(body, 20, data=st.data(), steps=st.integers(2, 6), step_min=st.sampled_from([30, 60]))


def test_an_engine_that_an_outage_stopped_rests_since_then() -> None:
    """Minimum of six hours, out of service after two: it is off for one hour when the next plan begins."""
    axis = hours(4)
    given = {"power_max_kw": 10.0, "power_min_kw": 5.0, "min_up_h": 6.0, "min_down_h": 1.0}
    outage = tuple(Pin("it", name, 2, 4, 0.0, "outage") for name in ("on", "power_kw"))
    inputs = dataclasses.replace(alone("chp", given, axis), pins=outage)
    on = np.array([[1.0, 1.0, 0.0, 0.0]])
    schedule = Schedule(({"on": on, "power_kw": 10 * on, "heat_dumped_kw": 0 * on},), np.zeros((3, 4)))
    before = Before("it", Path("it"), {}, inputs, schedule)
    values = CARRIED["chp"](before.pasts(3, later(axis, 3))["it"], given)
    assert (values["on_start"], values["hours_in_status_h"], values["starts_today"]) == (False, 1.0, 1.0)


def test_every_family_that_has_a_past_is_taken_up() -> None:
    def has_past(cls: type[Family]) -> bool:
        return "start" in {name for c in cls.__mro__ if c not in (Family, object) for name in vars(c)}

    assert {name for name in FAMILY_NAMES if has_past(family(name))} == set(CARRIED) | set(TASKS)
