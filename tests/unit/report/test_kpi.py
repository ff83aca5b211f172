"""Key figures and shortfalls, by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from gridopt.assets import FAMILY_NAMES, family
from gridopt.clock import Axis
from gridopt.model.inputs import INF, Commitment, Flow, Group, Inputs, Node, Pin
from gridopt.report import kpi
from gridopt.verify import Ledger, Trace, bill

AXIS = Axis(datetime(2026, 1, 14, 23, tzinfo=UTC), 30, 4)
FREE = np.full(4, INF)


def group(name: str, ids: tuple[str, ...], nodes: dict[str, list[int]], **columns: Any) -> Group:
    where = {port: np.array(k) for port, k in nodes.items()}
    return Group(family(name), (), 4, ids, columns, where, np.zeros(len(ids), np.int64))


def house(load: list[float], sun: list[float], charge: list[float], discharge: list[float]) -> tuple[Inputs, Trace]:
    """A load and a plant at ``house``, a battery at ``grid`` above it, powers given by hand."""
    nodes = (
        Node("grid", "electricity", None, FREE, FREE, np.zeros(4)),
        Node("house", "electricity", "grid", FREE, FREE, np.zeros(4)),
    )
    groups = (
        group("load", ("load-a",), {"ac": [1]}),
        group("pv", ("pv-a",), {"ac": [1]}),
        group("battery", ("bat-a",), {"ac": [0]}, capacity_kwh=np.array([10.0])),
    )
    c, d = np.array([charge]), np.array([discharge])
    steps = (
        {"ac_kw": np.array([load])},
        {"ac_kw": -np.array([sun]), "generation_kw": np.array([sun]), "curtailed_kw": np.zeros((1, 4))},
        {"ac_kw": c - d, "charge_kw": c, "discharge_kw": d},
    )
    return Inputs(AXIS, nodes, groups), Trace(steps, ({}, {}, {}))


def test_local_shares_without_a_store() -> None:
    inputs, trace = house([4, 4, 2, 0], [0, 2, 6, 2], [0] * 4, [0] * 4)
    made, used, local = kpi.local_energy(inputs, trace)
    for k in range(2):
        assert (made[k], used[k], local[k]) == (5.0, 5.0, 2.0)


def test_what_a_store_takes_from_the_sun_and_gives_to_a_load_is_local() -> None:
    """At ``grid`` 2 kW of the surplus go into the battery and 1.5 kW come back to the load; ``house`` sees no store."""
    inputs, trace = house([0, 0, 4, 4], [0, 4, 0, 0], [0, 2, 0, 0], [0, 0, 1.5, 0])
    made, used, local = kpi.local_energy(inputs, trace)
    assert (made.tolist(), used.tolist()) == ([2.0, 2.0], [4.0, 4.0])
    assert local.tolist() == [0.75, 0.0]
    net = np.array([[0, -2, 2.5, 4], [0, -4, 4, 4]], float)
    figures = kpi.node_kpis(inputs, net, trace)
    assert figures["grid"]["self_consumption"] == pytest.approx(0.375)
    assert figures["grid"]["self_sufficiency"] == pytest.approx(0.1875)
    assert figures["grid"]["import_kwh"] == pytest.approx(3.25)
    assert figures["grid"]["export_kwh"] == pytest.approx(1.0)
    assert figures["grid"]["peak_import_kw"] == 4.0
    assert kpi.asset_kpis(inputs, trace)["bat-a"] == pytest.approx({"discharged_kwh": 0.75, "cycles": 0.075})


def test_what_a_store_took_from_the_grid_is_not_local() -> None:
    inputs, trace = house([0, 0, 4, 4], [0, 0, 0, 0], [3, 0, 0, 0], [0, 0, 2, 0])
    assert kpi.local_energy(inputs, trace)[2].tolist() == [0.0, 0.0]


def test_what_a_store_gives_back_to_the_grid_is_not_local() -> None:
    inputs, trace = house([0, 0, 0, 0], [4, 0, 0, 0], [4, 0, 0, 0], [0, 0, 3, 0])
    assert kpi.local_energy(inputs, trace)[2].tolist() == [0.0, 0.0]


def test_shares_are_left_out_where_nothing_is_produced() -> None:
    inputs, trace = house([1] * 4, [0] * 4, [0] * 4, [0] * 4)
    assert "self_consumption" not in kpi.node_kpis(inputs, np.ones((2, 4)), trace)["grid"]


def test_a_battery_is_a_store_and_a_car_is_not() -> None:
    assert [name for name in FAMILY_NAMES if kpi.is_store(family(name))] == ["battery"]


# --- shortfalls ------------------------------------------------------------------------------------------------------


def found(inputs: Inputs, trace: Trace) -> list[kpi.Shortfall]:
    deadlines = [np.full(g.n, 4) for g in inputs.groups]
    return kpi.shortfalls(inputs, np.zeros((len(inputs.nodes), 4)), trace, Ledger({}), deadlines)


def test_powers_and_kelvins_add_up_over_time_and_stocks_do_not() -> None:
    node = Node("grid", "electricity", None, FREE, FREE, np.zeros(4))
    heat = Node("heat", "heat", None, FREE, FREE, np.zeros(4))
    inputs = Inputs(
        AXIS,
        (node, heat),
        (
            group("heat-demand", ("hall",), {"heat": [1]}),
            group("heat-pump-building", ("flat-a", "flat-b"), {"ac": [0, 0]}),
            group("battery", ("bat-a",), {"ac": [0]}),
        ),
    )
    trace = Trace(
        (
            {"unmet_kw": np.array([[0.0, 2.0, 3.0, 0.0]])},
            {"under_k": np.array([[0.0, 0.0, 0.5, 0.5], [1e-7] * 4]), "over_k": np.zeros((2, 4))},
            {"outside_kwh": np.array([[2.0, 1.0, 0.0, 0.0]])},
        ),
        ({}, {}, {"end_short_kwh": np.array([0.25])}),
    )
    hall, flat, end, outside = found(inputs, trace)
    assert (hall.id, hall.amount, hall.unit, hall.worst) == ("hall", 2.5, "kWh", 3.0)
    assert (hall.first, hall.last, hall.steps) == (1, 3, 2)
    assert [f.kind for f in (hall, flat, end, outside)] == ["emergency", "penalty", "emergency", "penalty"]
    assert (flat.id, flat.amount, flat.unit, flat.goal) == ("flat-a", 0.5, "K·h", "warm enough")
    assert (end.amount, end.unit, end.first, end.last) == (0.25, "kWh", 3, 4)
    assert (outside.amount, outside.unit, outside.first, outside.last) == (2.0, "kWh", 0, 2)
    assert kpi.shortfall_record(hall, inputs)["start"] == "2026-01-14T23:30:00+00:00"
    assert kpi.shortfall_record(hall, inputs)["end"] == "2026-01-15T00:30:00+00:00"


def test_a_tolerance_summed_up_over_many_steps_is_no_goal_missed() -> None:
    """A thousand steps short by what a solver leaves come to more than the least shortfall that is told."""
    axis = Axis(datetime(2026, 1, 14, 23, tzinfo=UTC), 60, 1000)
    free = np.full(1000, INF)
    node = Node("heat", "heat", None, free, free, np.zeros(1000))
    halls = Group(family("heat-demand"), (), 1000, ("a", "b"), {}, {"heat": np.zeros(2, int)}, np.zeros(2, np.int64))
    noise = np.full((2, 1000), 0.9 * kpi.SHORT_STEP)
    assert noise.sum(1).min() > kpi.SHORT
    noise[1, 7] = 2.0
    trace = Trace(({"unmet_kw": noise},), ({},))
    (only,) = kpi.shortfalls(Inputs(axis, (node,), (halls,)), np.zeros((1, 1000)), trace, Ledger({}), [np.ones(2, int)])
    assert (only.id, only.amount, only.worst, only.first, only.last, only.steps) == ("b", 2.0, 2.0, 7, 8, 1)


def test_cubic_metres_make_no_kilowatt_hours_of_their_tolerance() -> None:
    """What a search may exceed the least sum by is a millionth of it, whatever lacks most: here water."""
    node, heat = (Node(n, c, None, FREE, FREE, np.zeros(4)) for n, c in (("grid", "electricity"), ("heat", "heat")))
    groups = (group("basin", ("tank",), {"ac": [0]}), group("heat-demand", ("hall",), {"heat": [1]}))

    def missed(water_m3: float) -> list[str]:
        outside = {"outside_m3": np.array([[water_m3, 0.0, 0.0, 0.0]])}
        cold = {"unmet_kw": np.array([[0.0, 0.5, 0.0, 0.0]])}
        return [f.id for f in found(Inputs(AXIS, (node, heat), groups), Trace((outside, cold), ({}, {})))]

    assert missed(0.0) == ["hall"]
    assert missed(1000.0) == ["tank", "hall"]
    assert missed(1e6) == ["tank"]


def test_what_is_out_of_service_until_it_leaves_misses_its_goal_when_it_leaves() -> None:
    node = Node("grid", "electricity", None, FREE, FREE, np.zeros(4))
    bat = group("battery", ("bat-a", "bat-b"), {"ac": [0, 0]})
    out = tuple(Pin("bat-a", name, 2, 4, 0.0, "outage") for name in ("charge_kw", "discharge_kw"))
    trace = Trace(({},), ({"end_short_kwh": np.array([1.0, 1.0])},))
    ends = kpi.shortfalls(Inputs(AXIS, (node,), (bat,), pins=out), np.zeros((1, 4)), trace, Ledger({}), [np.full(2, 2)])
    assert [(s.id, s.first, s.last) for s in ends] == [("bat-a", 3, 4), ("bat-b", 1, 2)]


def limited(measure: Any, above: float, below: float = 0.0, kind: Any = "penalty", periods: int = 1) -> list[Any]:
    """A commitment of 3 kW on a load of 1, 4, 5, 2 kW."""
    inputs, trace = house([1, 4, 5, 2], [0] * 4, [0] * 4, [0] * 4)
    period = np.arange(4) if periods == 4 else np.zeros(4, np.int64)
    c = Commitment(
        "feeder", (Flow(1.0, node="grid"),), measure, period, np.full(4, 3.0), np.full(periods, above),
        np.full(periods, below), kind, ("breach", "below"),
    )  # fmt: skip
    inputs = Inputs(AXIS, inputs.nodes, inputs.groups, (c,))
    net = np.array([[1, 4, 5, 2], [1, 4, 5, 2]], float)
    deadlines = [np.full(g.n, 4) for g in inputs.groups]
    return kpi.shortfalls(inputs, net, trace, bill(inputs, net, trace), deadlines)


@pytest.mark.parametrize(
    ("measure", "periods", "amount", "unit"),
    [("energy", 4, 1.5, "kWh"), ("peak", 1, 2.0, "kW"), ("hours", 1, 1.0, "h")],
)
def test_a_priced_limit_exceeded(measure: str, periods: int, amount: float, unit: str) -> None:
    (s,) = limited(measure, 1.0, periods=periods)
    assert (s.what, s.id, s.amount, s.unit, s.worst) == ("commitment", "feeder", amount, unit, 2.0)
    assert s.kind == "penalty"
    assert (s.first, s.last, s.steps) == (1, 3, 2)


def test_a_priced_floor_not_reached() -> None:
    (s,) = limited("energy", 0.0, 1.0, periods=4)
    assert (s.amount, s.worst, s.first, s.last, s.steps) == (1.5, 2.0, 0, 4, 2)


def test_contracts_in_cash_and_wishes_to_stay_near_are_no_goals() -> None:
    assert limited("energy", 1.0, periods=4, kind="cash") == []
    assert limited("energy", 1.0, 1.0, periods=4) == []
    assert limited("energy", 0.0, periods=4) == []
