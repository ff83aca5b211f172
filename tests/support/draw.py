"""What hypothesis draws: small districts with round numbers, and how many of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from gridopt.assets import family
from gridopt.assets.base import Floats
from gridopt.clock import Axis
from gridopt.errors import InfeasibleError
from gridopt.model.inputs import Commitment, Flow, Inputs, Node, Pin
from tests.support.districts import (
    Device,
    Plan,
    Sketch,
    energy_price,
    hours,
    hours_price,
    node,
    optimum,
    peak_price,
)

Draw = Callable[[st.SearchStrategy[Any]], Any]
Maker = Callable[[Draw, Axis], Mapping[str, Any]]


def run(body: Callable[..., None], examples: int, **strategies: st.SearchStrategy[Any]) -> None:
    """Call ``body`` with that many examples."""
    settings(max_examples=examples)(given(**strategies)(body))()


def drawn(few: int, many: int, **strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """A hypothesis test of ``few`` examples, and of ``many`` under ``-m slow``."""

    def wrap(body: Callable[..., None]) -> Any:
        @pytest.mark.parametrize("examples", [few, pytest.param(many, marks=pytest.mark.slow)])
        def test(examples: int) -> None:
            run(body, examples, **strategies)

        functools.update_wrapper(test, body)
        del test.__wrapped__  # pytest would look for the body's arguments among its fixtures
        return test

    return wrap


def feasible(s: Sketch | Inputs) -> Plan:
    """The optimum; a district whose limits contradict each other is no example."""
    try:
        return optimum(s)
    except InfeasibleError:
        reject()


def tenths(low: float, high: float) -> st.SearchStrategy[float]:
    return st.integers(round(10 * low), round(10 * high)).map(lambda k: k / 10)


def cents(low: int, high: int) -> st.SearchStrategy[float]:
    return st.integers(low, high).map(lambda k: k / 100)


def row(axis: Axis, of: st.SearchStrategy[Any]) -> st.SearchStrategy[Floats]:
    """One value a step."""
    return st.lists(of, min_size=axis.steps, max_size=axis.steps).map(lambda x: np.array(x, np.float64))


def one(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


# --- devices ---------------------------------------------------------------------------------------------------------


def load(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {"power_kw": draw(row(axis, tenths(0, 4)))}


def pv(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    sun = draw(row(axis, one(0.0, 0.25, 0.5, 1.0)))
    return {"peak_kw": draw(tenths(1, 6)), "yield_kw_per_kw": sun, "curtailable": draw(st.booleans())}


def battery(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {
        "capacity_kwh": draw(tenths(1, 12)), "power_kw": draw(tenths(0.5, 5)),
        "efficiency_in": draw(one(1.0, 0.95, 0.8)), "efficiency_out": draw(one(1.0, 0.9)),
        "loss_per_h": draw(one(0.0, 0.01)), "soc_start": draw(one(0.1, 0.5, 0.9)),
        "end": draw(one("start", "free", "target", "value")), "end_value_eur_per_kwh": draw(cents(0, 30)),
        "soc_end": 0.4, "wear_eur_per_kwh": draw(one(0.0, 0.01, 0.05)),
        "cycles_per_day": draw(one(None, None, 0.4, 1.0)), "extra_cycle_eur": draw(one(None, 0.3)),
        "dwell_eur_per_kwh_per_h": draw(one(0.0, 0.0, 0.02)), "taper_in_soc": draw(one(1.0, 1.0, 0.6)),
        "taper_out_soc": draw(one(0.0, 0.0, 0.4)),
    }  # fmt: skip


def ev_session(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    arrive = draw(st.integers(-1, axis.steps - 2))
    depart = draw(st.integers(max(arrive, 0) + 1, axis.steps + 1))
    return {
        "arrive": arrive * axis.step_h, "depart": depart * axis.step_h, "energy_kwh": draw(tenths(1, 12)),
        "power_kw": draw(one(3.7, 7.4, 11.0)), "phases": draw(one(1.0, 3.0)), "current_min_a": draw(one(0.0, 6.0)),
        "efficiency": 0.9, "sharing": draw(one("price", "even", "slack")), "dc": draw(one(False, False, True)),
        "v2g_kw": draw(one(0.0, 0.0, 3.7)), "capacity_kwh": 20.0, "soc_arrive": draw(one(None, 0.2, 0.4)),
        "at_once_kwh": draw(one(0.0, 0.0, 3.0)), "at_once_soc": draw(one(0.0, 0.3)),
    }  # fmt: skip


def wind(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    blows = draw(row(axis, one(2.0, 6.0, 9.0, 14.0, 27.0)))
    return {"peak_kw": draw(tenths(1, 6)), "wind_m_per_s": blows, "curtailable": draw(st.booleans())}


def lighting(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {
        "points": 20.0, "lamp_kw": 0.1, "floor": draw(row(axis, one(0.0, 0.3, 1.0))),
        "night": draw(row(axis, one(1.0, 1.0, 0.4, 0.0))), "light_eur_per_kwh": draw(cents(0, 40)),
        "ramp_per_h": draw(one(None, None, 0.3)), "light_start": draw(one(None, 0.5)),
    }  # fmt: skip


def shiftable_load(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    profile = draw(st.lists(tenths(0.5, 3), min_size=1, max_size=2))
    return {
        "profile_kw": profile, "earliest": 0.0, "latest": axis.steps * axis.step_h, "skip_eur": draw(one(0.5, 10.0)),
        "worth_eur": draw(one(None, None, 0.3)), "start_cost_eur": draw(one(0.0, 0.1)),
        "allowed": draw(one(1.0, 1.0, np.arange(axis.steps) != 1)),
        "then_profile_kw": draw(one((), (), (1.5,))), "then_gap_max_h": draw(one(0.0, 1.0)),
    }  # fmt: skip


def interruptible_load(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {
        "energy_kwh": draw(tenths(1, 6)), "power_kw": 3.0, "power_min_kw": draw(one(0.0, 1.0)),
        "every_h": draw(one(None, None, 2.0)), "allowed": draw(one(1.0, 1.0, np.arange(axis.steps) != 1)),
        "min_up_h": draw(one(0.0, 0.0, 2.0)), "pause_max_h": draw(one(None, None, 2.0)),
        "on_start": draw(st.booleans()), "shortfall_eur_per_kwh": draw(one(0.2, 2.0)),
    }  # fmt: skip


def basin(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    into = draw(one("out", "in"))
    flow = draw(row(axis, one(0.0, 10.0, 20.0)))
    return {
        "pumping": into, "inflow_m3_per_h": flow if into == "out" else -flow, "level_max_m3": 100.0,
        "level_start_m3": draw(one(10.0, 50.0, 120.0)), "reserve_m3": draw(one(0.0, 40.0)), "power_kw": 2.0,
        "power_min_kw": draw(one(0.0, 1.0)), "lift_kwh_per_m3": 0.05, "end": draw(one("start", "free")),
        "start_cost_eur": draw(one(0.0, 0.0, 0.2)), "min_up_h": draw(one(0.0, 0.0, 2.0)),
    }  # fmt: skip


def heat_pump_building(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    power = draw(tenths(1, 4))
    return {
        "resistance_k_per_kw": draw(tenths(3, 8)), "capacity_kwh_per_k": draw(tenths(2, 12)), "power_kw": power,
        "power_min_kw": draw(one(0.0, 0.3, 1.0)) * power, "outdoor_c": draw(tenths(-5, 10)), "gain_kw": 0.1,
        "comfort_min_c": 19.5, "discomfort_eur_per_kh": 0.5,
    }  # fmt: skip


def hot_water_tank(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {
        "capacity_kwh": draw(tenths(4, 12)), "power_kw": 2.0, "power_min_kw": draw(one(0.0, 0.6)),
        "demand_kw": draw(row(axis, one(0.0, 0.5, 2.0))), "end": draw(one("free", "start", "value")),
        "end_value_eur_per_kwh": 0.08, "loss_per_h": draw(one(0.0, 0.02)),
        "heater_power_kw": draw(one(0.0, 0.0, 3.0)), "pasteurise": draw(one(False, False, True)),
        "pasteurise_at_h": draw(one(None, None, 1.0)), "since_pasteurised_h": draw(one(12.0, 22.0)),
    }  # fmt: skip


def cold_store(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {
        "resistance_k_per_kw": draw(tenths(3, 6)), "capacity_kwh_per_k": draw(tenths(1, 5)), "power_kw": 3.0,
        "part_load": draw(one(1.0, 0.0, 0.3)), "outdoor_c": draw(tenths(5, 35)), "min_up_h": draw(one(0.0, 2.0)),
        "min_down_h": draw(one(0.0, 1.0)), "on_start": draw(st.booleans()), "discomfort_eur_per_kh": 0.5,
    }  # fmt: skip


def diffuse_heaters(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {
        "power_kw": draw(row(axis, tenths(0, 4))), "flats": 4.0, "opted_out": draw(one(0.0, 1.0)),
        "cut_h": draw(one(0.5, 1.0)), "rest_h": draw(one(0.0, 1.0)), "rebound_share": draw(one(0.0, 0.8, 1.0)),
        "rebound_h": draw(one(1.0, 2.0)), "comfort_min_c": draw(one(18.0, 19.4)),
    }  # fmt: skip


def chp(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {
        "power_max_kw": 10.0, "power_min_kw": draw(one(5.0, 8.0)), "start_cost_eur": draw(one(0.0, 0.5)),
        "min_up_h": draw(one(0.0, 2.0)), "min_down_h": draw(one(0.0, 2.0)), "on_start": draw(st.booleans()),
        "dump": draw(st.booleans()),
    }  # fmt: skip


def gas_boiler(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {"power_kw": 20.0, "power_min_kw": draw(one(0.0, 4.0))}


def converter(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {"power_kw": 8.0, "power_min_kw": draw(one(0.0, 2.0)), "efficiency": draw(one(0.98, 3.0))}


def thermal_store(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    end = draw(one("start", "free"))
    return {"capacity_kwh": draw(tenths(5, 20)), "power_kw": 10.0, "end": end, "loss_per_h": draw(one(0.0, 0.01))}


def substation(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {"power_kw": 20.0, "flow_max_m3_per_h": draw(one(None, 0.2)), "outdoor_c": draw(tenths(-9, 15))}


def electric_boiler(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {"power_kw": 9.0, "power_min_kw": draw(one(0.0, 3.0))}


def booked_rooms(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {
        "resistance_k_per_kw": draw(tenths(2, 6)), "capacity_kwh_per_k": draw(tenths(1, 9)), "power_kw": 10.0,
        "outdoor_c": draw(tenths(-5, 10)), "booked": draw(row(axis, one(0.0, 1.0))),
        "wish_k": draw(one(0.0, -3.0, 1.0)), "window_open": draw(row(axis, one(0.0, 0.0, 0.0, 1.0))),
        "discomfort_eur_per_kh": 0.5,
    }  # fmt: skip


def heat_demand(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {"power_kw": draw(row(axis, tenths(0, 12)))}


def fuel_cell(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {
        "power_max_kw": 8.0, "start_cost_eur": draw(one(0.0, 0.2)), "starts_max_per_day": draw(one(0.0, 1.0, 2.0)),
        "min_up_h": draw(one(0.0, 2.0)), "on_start": draw(st.booleans()), "dump": draw(st.booleans()),
    }  # fmt: skip


def hydrogen_source(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {"power_kw": draw(row(axis, one(0.0, 6.0, 20.0))), "vent_eur_per_kwh": draw(one(0.0, 0.05))}


def hydrogen_store(draw: Draw, axis: Axis) -> Mapping[str, Any]:
    return {"capacity_kwh": draw(tenths(5, 20)), "power_kw": 10.0, "end": draw(one("start", "free"))}


HOME: dict[str, Maker] = {
    "load": load,
    "pv": pv,
    "wind": wind,
    "battery": battery,
    "ev-session": ev_session,
    "lighting": lighting,
    "shiftable-load": shiftable_load,
    "interruptible-load": interruptible_load,
    "basin": basin,
    "heat-pump-building": heat_pump_building,
    "hot-water-tank": hot_water_tank,
    "cold-store": cold_store,
    "diffuse-heaters": diffuse_heaters,
}
"""What stands behind a house's meter, on one electricity node."""
PLANT: dict[str, tuple[tuple[str, ...], Maker]] = {
    "chp": (("grid", "heat", "gas"), chp),
    "converter": (("grid", "heat"), converter),
    "gas-boiler": (("gas", "heat"), gas_boiler),
    "heat-demand": (("heat",), heat_demand),
    "thermal-store": (("heat",), thermal_store),
}
"""A heating plant: all of it together, each at its nodes."""
BRANCH: dict[str, tuple[tuple[str, ...], Maker]] = {
    "booked-rooms": (("branch",), booked_rooms),
    "electric-boiler": (("grid", "branch"), electric_boiler),
    "substation": (("heat", "branch"), substation),
}
"""A branch of its network, now and then."""
HYDROGEN: dict[str, tuple[tuple[str, ...], Maker]] = {
    "fuel-cell": (("grid", "heat", "hydrogen"), fuel_cell),
    "hydrogen-source": (("hydrogen",), hydrogen_source),
    "hydrogen-store": (("hydrogen",), hydrogen_store),
}
"""What uses a by-product, now and then beside a heating plant."""


# --- nodes, contracts, districts -------------------------------------------------------------------------------------


def supply(draw: Draw, axis: Axis, spread: st.SearchStrategy[float], low: int = -30) -> Commitment:
    buy = draw(row(axis, cents(low, 40)))
    return energy_price(axis, "grid", buy, buy - draw(spread))


@st.composite
def sketches(
    draw: Draw,
    homes: tuple[str, ...] = tuple(HOME),
    most: int = 4,
    plant: bool = True,
    steps: tuple[int, int] = (3, 6),
    step_min: tuple[int, ...] = (30, 60),
    spread: tuple[float, ...] = (0.0, 0.02, 0.1),
    low: int = -30,
    contracts: bool = True,
    surely: str = "",
    broken: int = 5,
) -> Sketch:
    """A grid connection, one or two houses, sometimes a heating plant; prices, a peak charge, hours of breach.

    ``spread``: how much cheaper selling is; ``low``: the lowest price [ct/kWh]; ``surely``: a family that is always
    there; one district in ``broken`` has a device out of service.
    """
    axis = hours(draw(st.integers(*steps)), draw(one(*step_min)))
    houses = [f"house-{k}" for k in range(draw(st.integers(1, 2)))]
    nodes: list[Node] = [node(axis, "grid", None, draw(one(20.0, 40.0)), draw(one(15.0, 30.0)))]
    nodes += [node(axis, name, "grid", draw(one(12.0, 20.0)), draw(one(6.0, 12.0))) for name in houses]
    picked = draw(st.lists(st.tuples(one(*homes), one(*houses)), min_size=1, max_size=most))
    if surely in HOME:
        picked.append((surely, "house-0"))
    devices = [Device(f"{name}-{k}", name, (at,), HOME[name](draw, axis)) for k, (name, at) in enumerate(picked)]
    commitments = [supply(draw, axis, one(*spread), low)]
    if surely in (*PLANT, *BRANCH, *HYDROGEN) or (plant and draw(st.integers(0, 3)) == 3):
        nodes += [node(axis, "heat", None, 0.0, carrier="heat"), node(axis, "gas", None, 80.0, 0.0, "gas")]
        devices += [Device(name, name, at, make(draw, axis)) for name, (at, make) in PLANT.items()]
        commitments.append(energy_price(axis, "gas", 0.08))
        if surely in BRANCH or draw(st.integers(0, 3)) == 3:
            nodes.append(node(axis, "branch", None, 0.0, carrier="heat"))
            devices += [Device(name, name, at, make(draw, axis)) for name, (at, make) in BRANCH.items()]
        if surely in HYDROGEN or draw(st.integers(0, 3)) == 3:
            nodes.append(node(axis, "hydrogen", None, 0.0, carrier="hydrogen"))
            devices += [Device(name, name, at, make(draw, axis)) for name, (at, make) in HYDROGEN.items()]
    if contracts and draw(st.booleans()):
        price, past = draw(one(0.1, 0.5)), draw(one(0.0, 2.0))
        commitments.append(peak_price(axis, "grid", [price], so_far=past))
    if contracts and draw(st.integers(0, 3)) == 3:
        commitments.append(hours_price(axis, "grid", draw(one(2.0, 4.0)), draw(one(0.3, 12.41))))
    if contracts and draw(st.integers(0, 3)) == 3:
        commitments.append(draw(one_sided(axis, houses[0])))
    return Sketch(axis, tuple(nodes), tuple(devices), tuple(commitments), draw(outages(devices, axis, broken)))


@st.composite
def one_sided(draw: Draw, axis: Axis, house: str) -> Commitment:
    """Energy of one direction over the whole horizon, from a baseline: take-or-pay, a bonus, a fine."""
    flow = Flow(1.0, node=draw(one("grid", house)), side=draw(one("import", "export")))
    above, below = np.array([draw(cents(-20, 30))]), np.array([draw(cents(-20, 30))])
    none = np.zeros(axis.steps, np.int64)
    return Commitment("one-sided", (flow,), "energy", none, none + draw(one(0.0, 1.5)), above, below)


@st.composite
def outages(draw: Draw, devices: Sequence[Device], axis: Axis, every: int) -> tuple[Pin, ...]:
    """Now and then a device that is out of service for some steps; sessions come and go by themselves."""
    able = [d for d in devices if family(d.family).commands and d.family not in ("ev-session", "shiftable-load")]
    if not able or draw(st.integers(1, every)) < every:
        return ()
    device = draw(one(*able))
    first = draw(st.integers(0, axis.steps - 1))
    last = draw(st.integers(first + 1, axis.steps))
    if device.given.get("curtailable") is False:
        return ()  # it takes no command: the scenario's loader refuses its outage
    return tuple(Pin(device.id, name, first, last, 0.0, "outage") for name in family(device.family).commands)
