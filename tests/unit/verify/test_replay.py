"""Replay: what devices make of their commands, and what that leaves at every node."""

from __future__ import annotations

import numpy as np
import pytest

from gridopt.model.schedule import Schedule
from gridopt.verify.replay import branch_power, own_power, replay
from tests.support.districts import Device, Sketch, hours, node

AXIS = hours(6)


def tree() -> Sketch:
    """Names against their order: feeder, house, root, house."""
    nodes = (
        node(AXIS, "m-root"), node(AXIS, "a-feeder", "m-root"), node(AXIS, "b-house", "a-feeder"),
        node(AXIS, "z-house", "a-feeder"), node(AXIS, "heat", None, 0.0, carrier="heat"),
    )  # fmt: skip
    devices = (
        Device("one", "load", ("z-house",), {"power_kw": 1.0}),
        Device("two", "load", ("b-house",), {"power_kw": [1, 2, 3, 4, 5, 6]}),
        Device("three", "load", ("m-root",), {"power_kw": 100.0}),
        Device("sun", "pv", ("a-feeder",), {"peak_kw": 10.0, "yield_kw_per_kw": 0.5, "curtailable": False}),
        Device("heater", "converter", ("m-root", "heat"), {"power_kw": 5.0, "efficiency": 0.9}),
        Device("car", "ev-session", ("z-house",), {
            "arrive": 3.0, "depart": 6.0, "energy_kwh": 6.0, "power_kw": 7.0, "current_min_a": 0.0, "efficiency": 0.5,
        }),
    )  # fmt: skip
    return Sketch(AXIS, nodes, devices)


def schedule() -> Schedule:
    """The car wants more than it needs: 4 kW, 4 kW, 4 kW at 50 % fill it in three hours; its window begins at 2."""
    inputs = tree().inputs()
    said = {
        "converter": {"input_kw": np.full((1, 6), 2.0)},
        "ev-session": {"charge_kw": np.array([[0.0, 4.0, 4.0, 5.0]]), "short_kwh": np.zeros((1, 1))},
    }
    return Schedule(tuple(said.get(g.family.name, {}) for g in inputs.groups), np.zeros((5, 6)))


def test_devices_do_what_they_can() -> None:
    inputs = tree().inputs()
    trace = replay(inputs, schedule())
    of = {g.family.name: s for g, s in zip(inputs.groups, trace.steps, strict=True)}
    np.testing.assert_allclose(of["ev-session"]["charge_kw"], [[0.0, 4.0, 4.0, 4.0]])
    np.testing.assert_allclose(of["converter"]["sink_kw"], np.full((1, 6), -1.8))
    np.testing.assert_allclose(of["pv"]["ac_kw"], np.full((1, 6), -5.0), err_msg="no command: it gives all")
    np.testing.assert_allclose(of["load"]["ac_kw"].sum(0), 102.0 + np.arange(6))


def test_a_session_s_power_stands_at_its_own_hours() -> None:
    inputs = tree().inputs()
    trace = replay(inputs, schedule())
    assert int(inputs.groups[inputs.where["car"][0]].offset[0]) == 2
    np.testing.assert_allclose(trace.port_kw(inputs, "car", "ac"), [0, 0, 0, 4, 4, 4])
    np.testing.assert_allclose(trace.port_kw(inputs, "two", "ac"), [1, 2, 3, 4, 5, 6])
    np.testing.assert_allclose(trace.port_kw(inputs, "heater", "sink"), [-1.8] * 6)


def test_every_node_carries_all_that_hangs_below_it() -> None:
    inputs = tree().inputs()
    own = own_power(inputs, replay(inputs, schedule()))
    assert [n.id for n in inputs.nodes] == ["a-feeder", "b-house", "heat", "m-root", "z-house"]
    car, ramp = np.array([0, 0, 0, 4, 4, 4]), np.arange(1, 7)
    np.testing.assert_allclose(own, [[-5.0] * 6, ramp, [-1.8] * 6, [102.0] * 6, 1.0 + car])
    feeder = 1.0 + car + ramp - 5.0
    branch = branch_power(inputs, own)
    np.testing.assert_allclose(branch, [feeder, ramp, [-1.8] * 6, feeder + 102.0, 1.0 + car])
    assert own[0] == pytest.approx(-5.0), "what devices draw themselves is left as it is"


def test_end_costs_come_once_from_the_state_at_the_end() -> None:
    given = {
        "capacity_kwh": 10.0, "power_kw": 5.0, "efficiency_in": 1.0, "efficiency_out": 1.0, "wear_eur_per_kwh": 0.5,
        "end": "value", "end_value_eur_per_kwh": 0.2, "soc_start": 0.5,
    }  # fmt: skip
    inputs = Sketch(AXIS, (node(AXIS, "grid"),), (Device("bat", "battery", ("grid",), given),)).inputs()
    said = {"charge_kw": np.zeros((1, 6)), "discharge_kw": np.array([[0, 0, 2.0, 0, 1.0, 0]])}
    trace = replay(inputs, Schedule((said,), np.zeros((1, 6))))
    np.testing.assert_allclose(trace.steps[0]["soc_kwh"], [[5, 5, 3, 3, 2, 2]])
    np.testing.assert_allclose(trace.steps[0]["wear_eur"], [[0, 0, 1.0, 0, 0.5, 0]])
    np.testing.assert_allclose(trace.ends[0]["end_value_eur"], [0.2 * 3])
    np.testing.assert_allclose(trace.ends[0]["end_short_kwh"], [0.0])
