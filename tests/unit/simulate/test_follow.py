"""A plan meets what really came: physics and limits clip, the grid meets the rest, a meter corrects by what it sees."""

from __future__ import annotations

import numpy as np
import pytest

from gridopt.clock import Axis
from gridopt.model.inputs import Commitment, Flow, Inputs, Node
from gridopt.simulate.follow import follow, told
from tests.support.districts import Device, Sketch, hours, series

BUY, SELL = 0.20, 0.05


def site(load_kw: list[float], sun_kw: list[float], import_max_kw: float = np.inf, soc_start: float = 0.5) -> Inputs:
    """10 kWh and 5 kW without losses behind a meter, 0.20 EUR/kWh bought, 0.05 sold."""
    axis: Axis = hours(len(load_kw))
    steps = np.arange(axis.steps)
    node = Node("grid", "electricity", None, series(axis, import_max_kw), series(axis, np.inf), series(axis, 0.0))
    price = Commitment(
        "spot", (Flow(1.0, node="grid"),), "energy", steps, series(axis, 0.0), series(axis, BUY), series(axis, -SELL)
    )
    battery = {
        "capacity_kwh": 10.0, "power_kw": 5.0, "efficiency_in": 1.0, "efficiency_out": 1.0, "soc_min": 0.0,
        "soc_max": 1.0, "soc_start": soc_start, "end": "free", "wear_eur_per_kwh": 0.0,
    }  # fmt: skip
    devices = (
        Device("home", "load", ("grid",), {"power_kw": series(axis, load_kw)}),
        Device("roof", "pv", ("grid",), {"peak_kw": 1.0, "yield_kw_per_kw": series(axis, sun_kw)}),
        Device("store", "battery", ("grid",), battery),
    )
    return Sketch(axis, (node,), devices, (price,)).inputs()


def orders(charge: list[float], discharge: list[float], sun: list[float]) -> dict[str, dict[str, np.ndarray]]:
    said = {"store": {"charge_kw": charge, "discharge_kw": discharge}, "roof": {"generation_kw": sun}}
    return {a: {c: np.array(v, float) for c, v in commands.items()} for a, commands in said.items()}


def store(inputs: Inputs, trace: object) -> np.ndarray:
    g, k = inputs.where["store"]
    return np.asarray(trace.steps[g]["ac_kw"][k])  # type: ignore[attr-defined]


def test_the_grid_meets_what_the_plan_did_not_expect() -> None:
    inputs = site([3.0, 1.0], [0.0, 2.0])
    done = follow(inputs, orders([0, 2], [1, 0], [0, 2]))
    assert store(inputs, done.trace) == pytest.approx([-1.0, 2.0])
    assert done.net_kw[0] == pytest.approx([2.0, 1.0])
    assert done.unserved_kwh == 0.0


def test_an_empty_battery_gives_no_more() -> None:
    inputs = site([0.0, 0.0, 0.0], [0.0] * 3)
    done = follow(inputs, orders([0] * 3, [4, 4, 4], [0] * 3))
    assert store(inputs, done.trace) == pytest.approx([-4.0, -1.0, 0.0])


def test_a_hard_limit_is_kept_by_shedding_and_the_rest_is_unserved() -> None:
    inputs = site([3.0, 7.0], [0.0, 0.0], import_max_kw=4.0)
    done = follow(inputs, orders([3, 0], [0, 0], [0, 0]))
    assert store(inputs, done.trace) == pytest.approx([1.0, 0.0])
    assert done.net_kw[0] == pytest.approx([4.0, 7.0])
    assert done.unserved_kwh == pytest.approx(3.0, abs=1e-3)


def test_a_roof_that_is_not_curtailed_gives_what_the_sun_gives() -> None:
    planned, really = site([0, 0], [2.0, 2.0]), site([0, 0], [3.0, 3.0])
    said = told(planned, orders([0, 0], [0, 0], [2.0, 1.0]), really)
    done = follow(really, said)
    assert done.net_kw[0] == pytest.approx([-3.0, -1.0])


@pytest.mark.parametrize(
    ("load", "sun", "worth", "planned", "does"),
    [
        (2.0, 0.0, 0.10, 0.0, -2.0),  # bought at 0.20, in store 0.10: the load is covered, and not a watt sold
        (2.0, 0.0, 0.30, 0.0, 5.0),  # worth more than it costs to buy: charged
        (0.0, 3.0, 0.10, 0.0, 3.0),  # sold at 0.05: what is left over is stored
        (0.0, 3.0, 0.01, 0.0, -5.0),  # worth less than it sells for: given away
        (2.0, 0.0, 0.20, -1.0, -1.0),  # no difference: as planned
        (2.0, 0.0, 0.20, 1.5, 1.5),
        (0.0, 3.0, 0.05, 2.0, 3.0),  # nor here, but what would be given away may be needed: kept
        (0.0, 3.0, 0.05, 4.0, 3.0),  # planned for more sun: nothing is bought to keep to it
    ],
)
def test_a_meter_weighs_what_it_sees_against_the_worth_of_what_is_stored(
    load: float, sun: float, worth: float, planned: float, does: float
) -> None:
    inputs = site([load], [sun])
    commands = orders([max(planned, 0.0)], [max(-planned, 0.0)], [sun])
    done = follow(inputs, commands, {"store": np.array([worth])})
    assert store(inputs, done.trace) == pytest.approx([does])
    assert store(inputs, follow(inputs, commands).trace) == pytest.approx([planned])


def test_a_meter_does_no_more_than_the_battery_can() -> None:
    inputs = site([2.0, 2.0], [0.0, 0.0], soc_start=0.3)
    done = follow(inputs, orders([0, 0], [0, 0], [0, 0]), {"store": np.array([0.1, 0.1])})
    assert store(inputs, done.trace) == pytest.approx([-2.0, -1.0])
