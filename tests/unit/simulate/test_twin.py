"""The baseline twin on days that fit on a hand: each family's rule, shedding in its order, breaches that stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.mix import district
from gridopt.assets.base import Floats
from gridopt.clock import Axis
from gridopt.model.inputs import Inputs, LinearRule, Node, Pin
from gridopt.model.schedule import Schedule
from gridopt.simulate.twin import Twin, twin
from gridopt.verify import bill, replay
from gridopt.verify.replay import branch_power, own_power
from tests.support.districts import EXACT, Device, Sketch, energy_price, hours, node, optimum, peak_price
from tests.unit.solve.test_branch import plant

INF = np.inf


class Day:
    """A day run by rule, and how to read it."""

    def __init__(self, sketch: Sketch | Inputs) -> None:
        self.inputs = sketch.inputs() if isinstance(sketch, Sketch) else sketch
        self.twin: Twin = twin(self.inputs)

    def value(self, asset: str, name: str) -> list[float]:
        """A device's flow or state on its own window."""
        g, k = self.inputs.where[asset]
        values: list[float] = self.twin.trace.steps[g][name][k].round(9).tolist()
        return values

    def end(self, asset: str, name: str) -> float:
        g, k = self.inputs.where[asset]
        return float(self.twin.trace.ends[g][name][k])

    def net(self, name: str) -> list[float]:
        values: list[float] = self.twin.net_kw[self.inputs.node_index[name]].round(9).tolist()
        return values

    @property
    def breaches(self) -> list[tuple[Any, ...]]:
        return [
            (b.node, b.side, b.first, b.last, pytest.approx(b.worst_kw), pytest.approx(b.energy_kwh))
            for b in self.twin.breaches
        ]


def home(*devices: Device, most: Any = 50.0, out: Any = None, steps: int = 4, **more: Any) -> Sketch:
    axis = more.pop("axis", hours(steps))
    return Sketch(axis, (node(axis, "grid", None, most, out), *more.pop("nodes", ())), devices, **more)


def heating(
    *devices: Device, demand: Any, grid: float = 50.0, gas: Any = 200.0, heat: float = 0.0, **more: Any
) -> Sketch:
    """A demand on a heat network that is closed but for what it may give away."""
    axis = hours(len(demand))
    nodes = (
        node(axis, "grid", None, grid),
        node(axis, "heat", None, 0.0, heat, "heat"),
        node(axis, "gas", None, gas, 0.0, "gas"),
    )
    homes = Device("homes", "heat-demand", ("heat",), {"power_kw": demand})
    return Sketch(axis, nodes, (homes, *devices), **more)


def load(power: Any, at: str = "grid", name: str = "load") -> Device:
    return Device(name, "load", (at,), {"power_kw": power})


def roof(output: Any, at: str = "grid", name: str = "roof", curtailable: bool = True) -> Device:
    return Device(name, "pv", (at,), {"peak_kw": 1.0, "yield_kw_per_kw": output, "curtailable": curtailable})


def battery(name: str = "bat", at: str = "grid", **given: Any) -> Device:
    usual = {"capacity_kwh": 10.0, "power_kw": 3.0, "efficiency_in": 0.8, "efficiency_out": 0.5, "soc_min": 0.0}
    return Device(name, "battery", (at,), usual | {"soc_max": 1.0, "end": "free"} | given)


def car(name: str = "car", at: str = "grid", **given: Any) -> Device:
    """Any power up to 10 kW; nothing lost on its way."""
    usual = {
        "arrive": 0.0,
        "depart": 4.0,
        "energy_kwh": 40.0,
        "power_kw": 10.0,
        "efficiency": 1.0,
        "current_min_a": 0.0,
    }
    return Device(name, "ev-session", (at,), usual | given)


def boiler(**given: Any) -> Device:
    return Device("boiler", "gas-boiler", ("gas", "heat"), {"power_kw": 8.0, "efficiency": 0.8} | given)


def engine(**given: Any) -> Device:
    """10 kW of electricity and 15 of heat from 30 of gas, the same in proportion down to 4 kW."""
    usual = {
        "power_max_kw": 10.0, "power_min_kw": 4.0, "electric_efficiency": 1 / 3, "electric_efficiency_min": 1 / 3,
        "thermal_efficiency": 0.5, "thermal_efficiency_min": 0.5, "start_cost_eur": 2.0,
        "maintenance_eur_per_kwh": 0.01,
    }  # fmt: skip
    return Device("engine", "chp", ("grid", "heat", "gas"), usual | given)


def store(**given: Any) -> Device:
    usual = {"capacity_kwh": 10.0, "power_kw": 5.0, "loss_per_h": 0.0, "end": "free"}
    return Device("store", "thermal-store", ("heat",), usual | given)


# --- every family by its rule ----------------------------------------------------------------------------------------


def test_a_roof_feeds_in_what_the_home_does_not_use() -> None:
    sketch = home(load([1, 2, 3, 4]), roof([0, 5, 1, 0]), commitments=(energy_price(hours(4), "grid", 0.3, 0.1),))
    day = Day(sketch)
    assert day.net("grid") == [1, -3, 2, 4]
    assert day.value("roof", "generation_kw") == [0, 5, 1, 0]
    assert day.value("roof", "curtailed_kw") == [0, 0, 0, 0]
    assert day.breaches == []
    assert day.twin.ledger.total_eur == pytest.approx(0.3 * 7 - 0.1 * 3)


def test_a_battery_stores_what_is_left_over_and_covers_what_lacks() -> None:
    """80 % in, 50 % out, 3 kW, 5 of 10 kWh: 4 kW left over are too many, 2 kW lacking empty it at 4 kWh an hour."""
    day = Day(home(load([1, 1, 3, 2, 1, 1]), roof([5, 3, 1, 0, 0, 1.5]), battery(wear_eur_per_kwh=0.1), steps=6))
    assert day.value("bat", "charge_kw") == [3, 2, 0, 0, 0, 0.5]
    assert day.value("bat", "discharge_kw") == [0, 0, 2, 2, 0.5, 0]
    assert day.value("bat", "soc_kwh") == [7.4, 9, 5, 1, 0, 0.4]
    assert day.net("grid") == [-1, 0, 0, 0, 0.5, 0]
    assert day.twin.ledger.lines["battery.wear"].eur == pytest.approx(0.45)


def test_a_battery_that_must_end_as_it_began_is_told_what_it_lacks() -> None:
    day = Day(home(load([1, 1]), battery(end="start"), steps=2))
    assert day.value("bat", "soc_kwh") == [3, 1]
    assert day.end("bat", "end_short_kwh") == pytest.approx(4.0)


def test_two_batteries_share_what_is_left_over() -> None:
    """Half each; what the full one cannot take is not offered twice."""
    day = Day(home(load(1.0), roof([5, 5, 5, 0]), battery("a", soc_start=0.84), battery("b", soc_start=0.0)))
    assert day.value("a", "charge_kw") == [2, 0, 0, 0]
    assert day.value("b", "charge_kw") == [2, 2, 2, 0]
    assert day.value("a", "discharge_kw") == day.value("b", "discharge_kw") == [0, 0, 0, 0.5]
    assert day.net("grid") == [0, -2, -2, 0]


def test_batteries_at_two_nodes_see_their_own() -> None:
    """Each the surplus of its own branch; the one at the feeder what both houses leave."""
    axis = hours(1)
    houses = (node(axis, "house-a", "grid"), node(axis, "house-b", "grid"))
    day = Day(
        home(
            roof(4.0, "house-a", "a-roof"), load(3.0, "house-b"), battery("a", "house-a", power_kw=2.5),
            battery("b", "house-b", power_kw=1.0), battery("c", "grid"), axis=axis, nodes=houses,
        )
    )  # fmt: skip
    assert day.value("a", "charge_kw") == [2.5]
    assert day.value("b", "discharge_kw") == [1]
    # One group, one turn: the feeder's battery acts beside the others, on what the branch had left before them.
    assert day.value("c", "charge_kw") == [1]
    assert (day.net("house-a"), day.net("house-b"), day.net("grid")) == ([-1.5], [2], [1.5])


def test_a_car_charges_from_its_arrival_until_it_is_full() -> None:
    """It arrives during the third hour: what counts are whole hours."""
    sketch = home(car(arrive=2.5, depart=7.0, energy_kwh=25.0, efficiency=0.5), load(1.0), steps=8)
    day = Day(sketch)
    assert day.net("grid") == [1, 1, 1, 11, 11, 11, 11, 1]
    assert day.end("car", "short_kwh") == pytest.approx(5.0)
    day = Day(home(car(arrive=2.0, depart=7.0, energy_kwh=25.0), load(1.0), steps=8))
    assert day.net("grid") == [1, 1, 11, 11, 6, 1, 1, 1]
    assert day.end("car", "short_kwh") == 0.0


def test_two_sessions_of_different_windows_on_one_cable() -> None:
    sessions = (car("am", arrive=0.0, depart=4.0, energy_kwh=5.0), car("pm", arrive=5.0, depart=12.0, energy_kwh=30.0))
    day = Day(home(*sessions, steps=12, most=8.0))
    assert day.net("grid") == [5, 0, 0, 0, 0, 8, 8, 8, 6, 0, 0, 0]


def test_a_machine_starts_as_early_as_it_may() -> None:
    wash = Device("wash", "shiftable-load", ("grid",), {"profile_kw": [2.0, 1.0], "earliest": 1.0, "latest": 6.0})
    assert Day(home(wash, steps=6)).net("grid") == [0, 2, 1, 0, 0, 0]


ZONE: dict[str, Any] = {
    "resistance_k_per_kw": 5.0, "capacity_kwh_per_k": 2.0, "power_kw": 3.0, "outdoor_c": 10.0, "cop": 2.0,
    "temperature_start_c": 19.0, "discomfort_eur_per_kh": 5.0,
}  # fmt: skip
"""10 K outside below 20 °C and 5 K/kW: 2 kW of heat, 1 kW at COP 2; it forgets exp(-0.1) an hour."""
KEEP = float(np.exp(-0.1))


def test_a_thermostat_holds_the_lower_edge_of_comfort() -> None:
    """First the house may cool down to the edge."""
    zone = Device("zone", "heat-pump-building", ("grid",), {**ZONE, "comfort_min_c": [18.0, 20.0, 20.0, 20.0]})
    day = Day(home(zone))
    cooled = KEEP * 19 + (1 - KEEP) * 10
    first = ((20 - KEEP * cooled) / (1 - KEEP) - 10) / 5 / 2
    assert day.value("zone", "temperature_c") == pytest.approx([cooled, 20, 20, 20])
    assert day.value("zone", "heat_pump_kw") == pytest.approx([0, first, 1, 1])


def test_a_thermostat_begins_in_time_for_a_warmer_hour() -> None:
    """25 °C in the last hour: full power, 40 °C in the long run, reaches it from 23.4, and that from 21.7."""
    zone = Device("zone", "heat-pump-building", ("grid",), {**ZONE, "comfort_min_c": [18.0, 20.0, 20.0, 20.0, 25.0]})
    day = Day(home(zone, steps=5))
    third = (25 - (1 - KEEP) * 40) / KEEP
    second = (third - (1 - KEEP) * 40) / KEEP
    assert day.value("zone", "temperature_c")[1:] == pytest.approx([20, second, third, 25])
    power = day.value("zone", "heat_pump_kw")
    assert 1 < power[2] < 3
    assert power[3:] == pytest.approx([3, 3])
    assert day.value("zone", "under_k") == [0] * 5


def test_a_thermostat_out_of_power_tells_what_is_missing() -> None:
    """Nothing brings 18.1 to 25 °C in an hour: the rest is missing then, and for the 10 hours it takes to make up."""
    zone = Device("zone", "heat-pump-building", ("grid",), {**ZONE, "comfort_min_c": [18.0, 25.0], "power_kw": 2.0})
    day = Day(home(zone, steps=2))
    assert day.value("zone", "heat_pump_kw") == pytest.approx([2, 2])
    last = KEEP * (KEEP * 19 + (1 - KEEP) * 30) + (1 - KEEP) * 30
    assert day.value("zone", "under_k") == pytest.approx([0, 25 - last])
    assert day.twin.ledger.lines["heat-pump-building.discomfort"].eur == pytest.approx(5.0 * (25 - last) * (1 + 10))


def test_a_thermostat_begins_six_hours_before_and_no_earlier() -> None:
    """A power that hardly warms the house is used for six hours before the warm one, and rests until then."""
    given = {**ZONE, "comfort_min_c": [10.0] * 9 + [25.0], "power_kw": 1.1, "temperature_start_c": 15.0}
    day = Day(home(Device("zone", "heat-pump-building", ("grid",), given), steps=10))
    assert day.value("zone", "heat_pump_kw") == pytest.approx([0] * 3 + [1.1] * 7)


def test_a_thermostat_preheats_no_further_than_the_band() -> None:
    """21 °C at most until the last hour, which then begins from there."""
    given = {**ZONE, "comfort_min_c": [18.0, 18.0, 18.0, 25.0], "comfort_max_c": [21.0] * 3 + [26.0]}
    day = Day(home(Device("zone", "heat-pump-building", ("grid",), given)))
    assert day.value("zone", "temperature_c")[2] == pytest.approx(21)
    assert day.value("zone", "over_k") == [0] * 4


def test_a_tank_heats_from_half_empty_until_full() -> None:
    """10 kWh, 2 kW at COP 2: below half it starts and goes on until full, then rests above half; empty, the backup
    serves."""
    tank = Device(
        "tank", "hot-water-tank", ("grid",),
        {"capacity_kwh": 10.0, "power_kw": 2.0, "cop": 2.0, "loss_per_h": 0.0, "end": "free", "level_start": 0.6,
         "demand_kw": [2.0, 1.0, 0.0, 0.0, 4.0, 14.0]},
    )  # fmt: skip
    day = Day(home(tank, steps=6))
    assert day.value("tank", "heat_pump_kw") == [0, 2, 1.5, 0, 0, 0]
    assert day.value("tank", "level_kwh") == [4, 7, 10, 10, 6, 0]
    assert day.value("tank", "backup_kw") == [0, 0, 0, 0, 0, 8]


def test_a_boiler_covers_the_demand_and_leaves_short_what_it_cannot() -> None:
    day = Day(heating(boiler(), demand=[4, 8, 10, 0], commitments=(energy_price(hours(4), "gas", 0.1),)))
    assert day.value("boiler", "input_kw") == [5, 10, 10, 0]
    assert day.value("homes", "unmet_kw") == [0, 0, 2, 0]
    assert day.net("heat") == [0, 0, 0, 0]
    assert day.net("gas") == [5, 10, 10, 0]
    assert day.breaches == []
    assert day.twin.ledger.total_eur == pytest.approx(2.5)


def test_a_boiler_runs_at_its_least_power_where_the_rest_may_leave() -> None:
    day = Day(heating(boiler(power_min_kw=3.0), demand=[2, 1, 5, 0], heat=9.0))
    assert day.net("heat") == pytest.approx([-1, -2, 0, 0])
    assert day.value("homes", "unmet_kw") == [0, 0, 0, 0]


def test_a_boiler_whose_rest_cannot_leave_stays_off() -> None:
    """3 kW at least into a closed network of 2 kW: nobody's heat is nowhere, and homes go short in words."""
    day = Day(heating(boiler(power_min_kw=3.0), demand=[2, 4]))
    assert day.value("boiler", "sink_kw") == pytest.approx([0, -4])
    assert day.value("homes", "unmet_kw") == [2, 0]
    assert day.breaches == []


def test_a_store_takes_what_the_boilers_least_power_is_too_much() -> None:
    """3 kW at least, 1 and then 2 kW wanted: fired once, and the store serves the second hour."""
    day = Day(heating(boiler(power_min_kw=3.0), store(level_start=0.0), demand=[1, 2, 5]))
    assert day.value("boiler", "sink_kw") == pytest.approx([-3, 0, -5])
    assert day.value("store", "charge_kw") == pytest.approx([2, -2, 0])
    assert day.value("homes", "unmet_kw") == [0, 0, 0]


def test_boilers_on_one_network_are_a_cascade() -> None:
    """3 to 8 kW each: one alone while that is enough; then the first gives way to the second's least power."""
    second = replace(boiler(power_min_kw=3.0), id="second")
    day = Day(heating(boiler(power_min_kw=3.0), second, demand=[5, 8, 9, 11, 14, 20]))
    assert day.value("boiler", "sink_kw") == pytest.approx([-5, -8, -6, -8, -8, -8])
    assert day.value("second", "sink_kw") == pytest.approx([0, 0, -3, -3, -6, -8])
    assert day.value("homes", "unmet_kw") == [0, 0, 0, 0, 0, 4]


def test_boilers_on_one_network_that_are_too_many_stop_one_after_another() -> None:
    """On or off at 8 kW: 9 kW take both and 7 are too many, so that the last one stops."""
    second = replace(boiler(power_min_kw=8.0), id="second")
    day = Day(heating(boiler(power_min_kw=8.0), second, demand=[16, 9]))
    assert day.value("boiler", "sink_kw") == pytest.approx([-8, -8])
    assert day.value("second", "sink_kw") == pytest.approx([-8, 0])
    assert day.value("homes", "unmet_kw") == [0, 1]
    assert day.breaches == []


@pytest.mark.parametrize("apart", [False, True])
def test_engines_on_one_network_are_a_cascade(apart: bool) -> None:
    """6 to 15 kW of heat each, of one structure or two: the second runs for what the first leaves, from 6 kW on."""
    second = replace(engine(**({"starts_max_per_day": 5.0} if apart else {})), id="second")
    day = Day(heating(engine(), second, boiler(), demand=[10, 15, 20, 24, 30]))
    assert day.value("engine", "heat_kw") == pytest.approx([-10, -15, -15, -15, -15])
    assert day.value("second", "heat_kw") == pytest.approx([0, 0, 0, -9, -15])
    assert day.value("boiler", "sink_kw") == pytest.approx([0, 0, -5, 0, 0])
    assert day.breaches == []


def test_the_engine_that_must_run_on_comes_first() -> None:
    """The second by name runs already and must go on: the first is not started beside it."""
    second = replace(engine(on_start=True, hours_in_status_h=1.0, min_up_h=3.0), id="second")
    day = Day(heating(engine(min_up_h=3.0), second, demand=[10, 10, 20, 25]))
    assert day.value("engine", "on") == [0, 0, 0, 1]
    assert day.value("second", "heat_kw") == pytest.approx([-10, -10, -15, -15])


def test_a_cooler_takes_the_heat_before_an_engine_is_throttled() -> None:
    """Pinned to 7 kW it makes 10.5 kW of heat, of which homes take 4: its own rule would not have run, nor cooled."""
    day = Day(heating(engine(dump=True), demand=[4, 4], pins=(Pin("engine", "power_kw", 0, 1, 7.0),)))
    assert day.value("engine", "power_kw") == [7, 0]
    assert day.value("engine", "heat_dumped_kw") == pytest.approx([6.5, 0])
    assert day.breaches == []


def test_an_engine_is_led_by_heat_and_the_boiler_makes_up() -> None:
    """Heat of 6 to 15 kW: below it the boiler alone, above it both."""
    day = Day(heating(engine(), boiler(), demand=[5, 6, 12, 20, 5]))
    assert day.value("engine", "on") == [0, 1, 1, 1, 0]
    assert day.value("engine", "power_kw") == pytest.approx([0, 4, 8, 10, 0])
    assert day.value("boiler", "sink_kw") == pytest.approx([-5, 0, 0, -5, -5])
    assert day.net("grid") == pytest.approx([0, -4, -8, -10, 0])
    assert day.net("gas") == pytest.approx([6.25, 12, 24, 36.25, 6.25])
    assert day.net("heat") == pytest.approx([0] * 5)
    assert day.twin.ledger.lines["chp.start"].eur == pytest.approx(2.0)
    assert day.twin.ledger.lines["chp.maintenance"].eur == pytest.approx(0.22)


def test_an_engine_keeps_its_minimum_times_and_dumps_what_is_too_much() -> None:
    day = Day(heating(engine(min_up_h=2.0, min_down_h=2.0, dump=True), boiler(), demand=[6, 2, 2, 9, 9]))
    assert day.value("engine", "on") == [1, 1, 0, 0, 1]
    assert day.value("engine", "heat_dumped_kw") == pytest.approx([0, 4, 0, 0, 0])
    assert day.value("boiler", "sink_kw") == pytest.approx([0, 0, -2, -8, 0])
    assert day.value("homes", "unmet_kw") == pytest.approx([0, 0, 0, 1, 0])


def test_an_engine_that_must_run_on_floods_a_closed_network() -> None:
    """No cooler, no store: 4 kW of heat stand above the limit, and nothing can be shed."""
    day = Day(heating(engine(min_up_h=3.0), demand=[6, 2, 2, 0, 8]))
    assert day.net("heat") == pytest.approx([0, -4, -4, 0, 0])
    assert day.breaches == [("heat", "export", 1, 3, 4.0, 8.0)]


def test_a_store_takes_and_gives_before_the_boiler_fires() -> None:
    """An engine bound to run fills it, then it empties; 5 of 10 kWh at the start, 5 kW."""
    day = Day(heating(engine(min_up_h=3.0), boiler(), store(), demand=[6, 2, 5, 5, 5, 5]))
    assert day.value("engine", "on") == [1, 1, 1, 0, 0, 0]
    assert day.value("store", "charge_kw") == pytest.approx([0, 4, 1, -5, -5, 0])
    assert day.value("store", "level_kwh") == pytest.approx([5, 9, 10, 5, 0, 0])
    assert day.value("boiler", "sink_kw") == pytest.approx([0, 0, 0, 0, 0, -5])
    assert day.breaches == []


def test_a_converter_covers_what_lacks_at_its_other_side() -> None:
    heater = Device(
        "heater", "converter", ("grid", "heat"), {"power_kw": 4.0, "efficiency": [2.0, 4.0], "cost_eur_per_kwh": 0.5}
    )
    day = Day(heating(heater, demand=[6, 6]))
    assert day.net("grid") == [3, 1.5]
    assert day.twin.ledger.total_eur == pytest.approx(0.5 * 4.5)


def test_half_hours_move_half_the_energy() -> None:
    axis = Axis(hours(1).start, 30, 3)
    day = Day(home(roof([3.0, 0.0, 0.0]), load([0.0, 1.0, 1.0]), battery(soc_start=0.0), axis=axis))
    assert day.value("bat", "soc_kwh") == [1.2, 0.2, 0]
    assert day.net("grid") == [0, 0, 0.8]


# --- hard limits -----------------------------------------------------------------------------------------------------


def test_each_sheds_in_proportion_to_what_it_draws() -> None:
    day = Day(home(car("a"), car("b", power_kw=5.0), load(1.0), most=13.0))
    assert day.value("a", "charge_kw") == [8, 8, 8, 8]
    assert day.value("b", "charge_kw") == [4, 4, 4, 4]
    assert day.net("grid") == [13] * 4
    assert day.breaches == []


def test_a_car_shed_below_its_least_current_stops() -> None:
    """1.38 kW on one phase: 2 kW left are enough, 1 kW is not."""
    limits = np.array([3.0, 2.0, 9.0, 50.0])
    day = Day(home(car(current_min_a=6.0), load(1.0), most=limits))
    assert day.value("car", "charge_kw") == [2, 0, 8, 10]
    assert day.net("grid") == [3, 1, 9, 11]
    assert day.breaches == []


def test_boilers_and_heaters_are_shed_before_cars_and_homes_last() -> None:
    heater = Device("heater", "converter", ("grid", "heat"), {"power_kw": 8.0, "efficiency": 1.0})
    axis = hours(4)
    limits = np.array([19.0, 13.0, 11.0, 4.0])
    nodes = (node(axis, "grid", None, limits), node(axis, "heat", None, 50.0, carrier="heat"))
    homes = Device("homes", "heat-demand", ("heat",), {"power_kw": 8.0})
    # A district heating main stands behind the network: no heat is lacking where the heater is shed.
    day = Day(Sketch(axis, nodes, (heater, homes, car(), load(1.0))))
    assert day.value("heater", "input_kw") == [8, 2, 0, 0]
    assert day.value("car", "charge_kw") == [10, 10, 10, 3]
    assert day.value("homes", "unmet_kw") == [0, 0, 0, 0]
    assert day.breaches == []


def test_engines_are_throttled_before_roofs() -> None:
    """6 and 3 kW of sun and an engine of 8; 15 may leave, then 11, then 3."""
    axis = hours(3)
    nodes = (
        node(axis, "grid", None, 50.0, [15.0, 11.0, 3.0]),
        node(axis, "heat", None, 90.0, 0.0, "heat"),
        node(axis, "gas", None, 200.0, 0.0, "gas"),
    )
    homes = Device("homes", "heat-demand", ("heat",), {"power_kw": 12.0})
    day = Day(Sketch(axis, nodes, (engine(), roof([6.0] * 3), roof([3.0] * 3, name="shed"), homes)))
    assert day.value("engine", "power_kw") == pytest.approx([6, 0, 0])
    assert day.value("roof", "generation_kw") == pytest.approx([6, 6, 2])
    assert day.value("shed", "generation_kw") == pytest.approx([3, 3, 1])
    assert day.value("roof", "curtailed_kw") == pytest.approx([0, 0, 4])
    assert day.breaches == []


def test_a_start_is_put_off_until_there_is_room() -> None:
    wash = Device("wash", "shiftable-load", ("grid",), {"profile_kw": [3.0, 2.0], "earliest": 0.0, "latest": 8.0})
    day = Day(home(wash, load([5, 5, 1, 4, 4, 1, 1, 1]), steps=8, most=5.0))
    assert day.value("wash", "start")[:8] == [0, 0, 1, 0, 0, 0, 0, 0]
    assert day.net("grid") == [5, 5, 4, 6, 4, 1, 1, 1]
    # What runs is not interrupted.
    assert day.breaches == [("grid", "import", 3, 4, 1.0, 1.0)]


def test_limits_hold_on_every_level_of_the_tree() -> None:
    axis = hours(2)
    nodes = (node(axis, "house-a", "grid", 9.0), node(axis, "house-b", "grid", 9.0))
    day = Day(home(car("a", "house-a"), car("b", "house-b"), axis=axis, nodes=nodes, most=np.array([50.0, 12.0])))
    assert day.value("a", "charge_kw") == [9, 6]
    assert day.value("b", "charge_kw") == [9, 6]
    assert day.net("grid") == [18, 12]
    assert day.breaches == []


def test_a_reserve_is_kept_free() -> None:
    axis = hours(1)
    grid = Node("grid", "electricity", None, np.array([9.0]), np.array([9.0]), np.array([2.0]))
    assert Day(Sketch(axis, (grid,), (car(),))).net("grid") == [7]
    assert Day(Sketch(axis, (grid,), (roof(10.0),))).net("grid") == [-7]


def test_breaches_are_listed_with_their_amounts() -> None:
    """Loads cannot be shed, nor a roof that someone pinned; each run of steps is one breach, half hours count half."""
    axis, sun = Axis(hours(1).start, 30, 7), [0, 0, 0, 0, 4, 1, 5]
    pins = tuple(Pin("roof", "generation_kw", t, t + 1, sun[t]) for t in range(7))
    day = Day(home(load([5, 4, 2, 6, 0, 0, 0]), roof(sun), axis=axis, most=3.0, out=2.0, pins=pins))
    assert day.net("grid") == [5, 4, 2, 6, -4, -1, -5]
    assert day.breaches == [
        ("grid", "import", 0, 2, 2.0, 1.5),
        ("grid", "import", 3, 4, 3.0, 1.5),
        ("grid", "export", 4, 5, 2.0, 1.0),
        ("grid", "export", 6, 7, 3.0, 1.5),
    ]


def test_what_can_be_shed_is_shed_before_a_breach_stands() -> None:
    day = Day(home(load(6.0), car(), most=4.0, steps=2))
    assert day.value("car", "charge_kw") == [0, 0]
    assert day.breaches == [("grid", "import", 0, 2, 2.0, 4.0)]


def test_a_roof_that_cannot_be_curtailed_is_not() -> None:
    day = Day(home(roof([5.0, 1.0], curtailable=False), out=2.0, steps=2))
    assert day.net("grid") == [-5, -1]
    assert day.breaches == [("grid", "export", 0, 1, 3.0, 3.0)]


def test_an_engine_that_stops_takes_nothing_from_the_homes_for_the_store() -> None:
    """Bound to run by its past it floods the network, so it is stopped; then the store must not go on charging while
    homes are cold."""
    day = Day(heating(engine(min_up_h=2.0, on_start=True, hours_in_status_h=0.0), store(), demand=[2, 2]))
    assert day.value("store", "charge_kw")[0] == 4
    assert day.value("store", "charge_kw")[1] <= 0
    assert day.breaches == []


def test_a_car_that_may_not_shed_leaves_its_part_to_the_other() -> None:
    day = Day(home(car("a"), car("b"), most=12.0, pins=(Pin("a", "charge_kw", 0, 4, 10.0),)))
    assert day.value("a", "charge_kw") == [10] * 4
    assert day.value("b", "charge_kw") == [2] * 4
    assert day.breaches == []


def test_an_engine_shed_for_the_grid_leaves_homes_short_not_the_network() -> None:
    """6 of 8 kW may leave: 3 kW of heat are lacking, which the demand can do without, in words."""
    sketch = heating(engine(), demand=[12, 12])
    nodes = tuple(replace(n, export_max_kw=np.full(2, 6.0)) if n.id == "grid" else n for n in sketch.nodes)
    day = Day(replace(sketch, nodes=nodes))
    assert day.value("engine", "power_kw") == pytest.approx([6, 6])
    assert day.value("homes", "unmet_kw") == pytest.approx([3, 3])
    assert day.breaches == []


def test_a_boiler_short_of_gas_leaves_homes_short_not_the_network() -> None:
    day = Day(heating(boiler(), demand=[6, 6], gas=5.0))
    assert day.value("boiler", "input_kw") == [5, 5]
    assert day.value("homes", "unmet_kw") == [2, 2]
    assert day.breaches == []


def test_a_car_shed_for_the_feeder_does_not_push_its_house_over_its_export() -> None:
    """The car used the roof's surplus; without it the roof must be throttled."""
    axis = hours(1)
    nodes = (node(axis, "house", "grid", 20.0, 5.0), node(axis, "other", "grid", 20.0))
    day = Day(
        home(roof(8.0, "house"), car(at="house", power_kw=3.0), load(12.0, "other"), axis=axis, nodes=nodes, most=6.0)
    )
    assert day.net("house") == [-5]
    assert day.net("grid") == [7]
    assert day.breaches == [("grid", "import", 0, 1, 1.0, 1.0)]


# --- pins and outages ------------------------------------------------------------------------------------------------


def test_pins_hold_on_the_devices_own_windows() -> None:
    pins = (Pin("car", "charge_kw", 5, 7, 3.0), Pin("car", "charge_kw", 9, 10, 0.0, "outage"))
    day = Day(home(car(arrive=4.0, depart=12.0), steps=12, pins=pins))
    assert day.net("grid") == [0, 0, 0, 0, 10, 3, 3, 10, 10, 0, 4, 0]


def test_a_pin_before_and_after_the_window_changes_nothing() -> None:
    pins = (Pin("car", "charge_kw", 0, 4, 3.0), Pin("car", "charge_kw", 8, 12, 3.0))
    day = Day(home(car(arrive=4.0, depart=8.0, energy_kwh=15.0), steps=12, pins=pins))
    assert day.net("grid") == [0, 0, 0, 0, 10, 5, 0, 0, 0, 0, 0, 0]


def test_what_is_pinned_is_not_shed() -> None:
    """A person's override wins over the limit, which then stands as a breach."""
    day = Day(home(car(), load(1.0), most=6.0, pins=(Pin("car", "charge_kw", 1, 2, 8.0),)))
    assert day.value("car", "charge_kw") == [5, 8, 5, 5]
    assert day.breaches == [("grid", "import", 1, 2, 3.0, 3.0)]


def test_an_outage_is_nobodys_neighbours() -> None:
    day = Day(home(car("a"), car("b"), pins=(Pin("b", "charge_kw", 0, 2, 0.0, "outage"),), steps=2))
    assert day.value("a", "charge_kw") == [10, 10]
    assert day.value("b", "charge_kw") == [0, 0]


def test_a_battery_out_of_service() -> None:
    pins = tuple(Pin("bat", name, 1, 2, 0.0, "outage") for name in ("charge_kw", "discharge_kw"))
    day = Day(home(load(1.0), battery(), steps=3, pins=pins))
    assert day.value("bat", "discharge_kw") == [1, 0, 1]
    assert day.net("grid") == [0, 1, 0]


def test_a_roof_pinned_below_the_sun() -> None:
    day = Day(home(roof([4.0, 4.0]), steps=2, pins=(Pin("roof", "generation_kw", 0, 1, 1.0),)))
    assert day.net("grid") == [-1, -4]


def test_an_engine_pinned_on_and_out_of_service() -> None:
    pins = (Pin("engine", "on", 0, 1, 1.0), *(Pin("engine", n, 1, 2, 0.0, "outage") for n in ("on", "power_kw")))
    day = Day(heating(engine(dump=True), boiler(), demand=[0, 8, 9], pins=pins, heat=9.0))
    assert day.value("engine", "on") == [1, 0, 1]
    assert day.value("boiler", "sink_kw") == [0, -8, 0]


def test_an_engine_pinned_to_a_power_runs() -> None:
    """An order of power is one to run, and one of no power to stop: by rule it would rest first, and run then."""
    pins = (Pin("engine", "power_kw", 0, 1, 7.0), Pin("engine", "power_kw", 2, 3, 0.0))
    day = Day(heating(engine(dump=True), boiler(), demand=[0, 12, 6], heat=20.0, pins=pins))
    assert day.value("engine", "power_kw") == pytest.approx([7, 8, 0])
    assert day.value("engine", "on") == [1, 1, 0]
    assert day.twin.refused == ()


def test_an_engine_pinned_on_runs_at_its_least_power() -> None:
    day = Day(heating(engine(), boiler(), demand=[9, 2], heat=20.0, pins=(Pin("engine", "on", 0, 2, 1.0),)))
    assert day.value("engine", "power_kw") == pytest.approx([6, 4])
    assert day.value("boiler", "sink_kw") == [0, 0]
    assert day.twin.refused == ()


def test_a_pump_pinned_to_a_power_pumps() -> None:
    """And then on by its level switch, from half down to a fifth."""
    given = {
        "inflow_m3_per_h": 0.0, "level_max_m3": 100.0, "level_start_m3": 50.0, "power_kw": 4.0, "power_min_kw": 1.0,
        "lift_kwh_per_m3": 0.5, "start_cost_eur": 0.1, "end": "free",
    }  # fmt: skip
    pins = (Pin("pump", "pump_kw", 2, 3, 2.0),)
    day = Day(home(Device("pump", "basin", ("grid",), given), pins=pins))
    assert day.value("pump", "pump_kw") == [0, 0, 2, 4]
    assert day.value("pump", "on") == [0, 0, 1, 1]


def test_a_machine_that_is_told_when_to_start_does_not_start_before() -> None:
    given = {"profile_kw": [2.0, 1.0], "earliest": 0.0, "latest": 6.0}
    sketch = home(Device("wash", "shiftable-load", ("grid",), given), steps=6, pins=(Pin("wash", "start", 3, 4, 1.0),))
    assert Day(sketch).net("grid") == [0, 0, 0, 2, 1, 0]
    later = replace(sketch, pins=(Pin("wash", "start", 0, 2, 0.0),))
    assert Day(later).net("grid") == [0, 0, 2, 1, 0, 0]


def test_an_outage_ends_a_run_within_its_minimum() -> None:
    """Started for three hours at least and out of service after one: off, and free when its rest of two is over."""
    pins = tuple(Pin("engine", n, 1, 2, 0.0, "outage") for n in ("on", "power_kw"))
    times = {"min_up_h": 3.0, "min_down_h": 2.0}
    day = Day(heating(engine(**times), boiler(power_kw=20.0), demand=[9, 9, 9, 9, 9], pins=pins))
    assert day.value("engine", "on") == [1, 0, 0, 1, 1]
    assert day.value("engine", "power_kw") == pytest.approx([6, 0, 0, 6, 6])
    assert day.twin.refused == ()


def test_an_override_that_the_device_could_not_follow_is_listed() -> None:
    """Told off after one of three hours its controller goes on; a person starts it within its rest, in vain."""
    pins = (Pin("engine", "on", 1, 2, 0.0), Pin("engine", "power_kw", 3, 5, 10.0))
    day = Day(heating(engine(min_up_h=3.0, min_down_h=2.0), demand=[9, 0, 0, 0, 0, 0], heat=20.0, pins=pins))
    assert day.value("engine", "on") == [1, 1, 1, 1, 1, 0]
    found = [(r.asset, r.variable, r.first, r.last, r.wanted, r.did) for r in day.twin.refused]
    assert found == [("engine", "on", 1, 2, 0.0, 1.0)]
    day = Day(heating(engine(min_down_h=2.0), demand=[9, 0, 0, 0], heat=20.0, pins=(Pin("engine", "on", 2, 4, 1.0),)))
    assert day.value("engine", "on") == [1, 0, 0, 1]
    found = [(r.asset, r.variable, r.first, r.last, r.wanted, r.did) for r in day.twin.refused]
    assert found == [("engine", "on", 2, 3, 1.0, 0.0)]


def test_an_order_of_power_wins_over_an_outage() -> None:
    """A person orders power while the engine is down for an outage: for them it is in service."""
    pins = (Pin("engine", "on", 0, 3, 0.0, "outage"), Pin("engine", "power_kw", 0, 1, 0.0, "outage"),
            Pin("engine", "power_kw", 1, 2, 5.0), Pin("engine", "power_kw", 2, 3, 0.0, "outage"))  # fmt: skip
    day = Day(heating(engine(), boiler(), demand=[9, 9, 9], pins=pins, heat=20.0))
    assert day.value("engine", "power_kw") == [0, 5, 0]
    assert day.twin.refused == ()


# --- users' rules ----------------------------------------------------------------------------------------------------


def rule(name: str, high: float, *terms: tuple[float, str, str, str, int], low: float = -INF) -> LinearRule:
    return LinearRule(name, terms, low, high)


def broken(day: Day) -> list[tuple[Any, ...]]:
    return [(b.name, b.found, b.by) for b in day.twin.broken]


def test_a_rule_on_a_node_is_kept_by_shedding() -> None:
    """12 kW at most in the second hour, of the car's 10 and the load's 4."""
    day = Day(home(load(4.0), car(), rules=(rule("evening", 12.0, (1.0, "node", "grid", "net_kw", 1)),)))
    assert day.net("grid") == [14, 12, 14, 14]
    assert broken(day) == []


def test_a_rule_on_the_days_import_sheds_once_it_is_used_up() -> None:
    terms = tuple((1.0, "node", "grid", "import_kw", t) for t in range(4))
    day = Day(home(load(2.0), car(), rules=(rule("budget", 25.0, *terms),)))
    assert day.net("grid") == [12, 12, 2, 2]
    assert broken(day) == [("budget", pytest.approx(28.0), pytest.approx(3.0))]


def test_a_rule_on_two_assets_takes_from_the_first_that_it_names() -> None:
    terms = ((1.0, "asset", "b", "charge_kw", 0), (1.0, "asset", "a", "charge_kw", 0))
    day = Day(home(car("a"), car("b"), rules=(rule("half", 12.0, *terms),), steps=2))
    assert (day.value("a", "charge_kw"), day.value("b", "charge_kw")) == ([10, 10], [2, 10])
    assert broken(day) == []


def test_a_rule_on_feeding_in_curtails() -> None:
    day = Day(home(roof([5.0, 5.0]), steps=2, rules=(rule("quiet", 2.0, (0.5, "node", "grid", "export_kw", 1)),)))
    assert day.net("grid") == [-5, -4]
    assert broken(day) == []


def test_a_rule_that_shedding_cannot_keep_is_listed() -> None:
    """A load is never shed; more import is nothing to shed; starts so far are the plan's own."""
    rules = (
        rule("least", INF, (1.0, "node", "grid", "import_kw", 1), low=9.0),
        rule("load", 2.0, (1.0, "node", "grid", "net_kw", 0)),
        rule("starts", 1.0, (1.0, "asset", "engine", "starts_so_far", 1)),
    )
    day = Day(heating(engine(), load(3.0), demand=[0, 0], rules=rules))
    assert broken(day) == [("least", 3.0, 6.0), ("load", 3.0, 1.0), ("starts", None, None)]


def test_a_rule_does_not_shed_what_a_person_holds() -> None:
    pins = (Pin("car", "charge_kw", 0, 4, 8.0),)
    day = Day(home(car(), pins=pins, rules=(rule("half", 5.0, (1.0, "asset", "car", "charge_kw", 2)),)))
    assert day.value("car", "charge_kw") == [8, 8, 8, 8]
    assert broken(day) == [("half", 8.0, 3.0)]


# --- what always holds -----------------------------------------------------------------------------------------------


DAYS: dict[str, Inputs] = {
    "mix": district(20, seed=4),
    "tight": district(20, seed=5, feeder_kw=14.0),
    "negative": district(20, seed=6, negative=True, feeder_kw=25.0),
    "engines": district(6, seed=8, engines=2),
    "plant": plant(9, 24),
}


@pytest.fixture(scope="module", params=list(DAYS))
def day(request: pytest.FixtureRequest) -> Day:
    return Day(DAYS[request.param])


def test_every_node_balances(day: Day) -> None:
    needed = branch_power(day.inputs, own_power(day.inputs, day.twin.trace))
    np.testing.assert_allclose(day.twin.net_kw, needed, rtol=0, atol=1e-9)


def test_limits_hold_or_breaches_are_listed(day: Day) -> None:
    low, high = (np.array(x) for x in zip(*(n.net_bounds() for n in day.inputs.nodes), strict=True))
    listed = np.zeros_like(day.twin.net_kw)
    for b in day.twin.breaches:
        k = day.inputs.node_index[b.node]
        over = (day.twin.net_kw - high if b.side == "import" else low - day.twin.net_kw)[k, b.first : b.last]
        assert b.last > b.first
        assert (over > 0).all()
        assert b.worst_kw == pytest.approx(over.max())
        assert b.energy_kwh == pytest.approx(over.sum() * day.inputs.axis.step_h)
        assert not listed[k, b.first : b.last].any()
        listed[k, b.first : b.last] = over
    excess = np.maximum(day.twin.net_kw - high, low - day.twin.net_kw)
    assert (excess <= listed + 1e-5 * np.maximum(1.0, np.abs(day.twin.net_kw))).all()


def test_the_money_is_that_of_its_own_flows(day: Day) -> None:
    assert day.twin.ledger == bill(day.inputs, day.twin.net_kw, day.twin.trace)
    c = next(c for c in day.inputs.commitments if c.id in ("supply", "supply-grid"))
    net, h = day.twin.net_kw[day.inputs.node_index["grid"]], day.inputs.axis.step_h
    bought = h * float(c.price_above @ net.clip(0)) + h * float(c.price_below @ (-net).clip(0))
    said = sum(line.eur for name, line in day.twin.ledger.lines.items() if name.startswith(f"{c.id}."))
    assert said == pytest.approx(bought)


def test_the_commands_it_gave_lead_to_the_same_day(day: Day) -> None:
    """What it recorded is what the physics makes of the commands that it recorded: but for what stops by itself when
    full in the middle of a step, whose mean power lies below its least and is no command."""
    stops = ("ev-session", "hot-water-tank")
    groups = []
    for group, steps in zip(day.inputs.groups, day.twin.trace.steps, strict=True):
        groups.append({name: steps[name] for name in group.family.commands})
    again = replay(day.inputs, Schedule(tuple(groups), day.twin.net_kw))
    for group, mine, theirs in zip(day.inputs.groups, day.twin.trace.steps, again.steps, strict=True):
        assert set(mine) == set(theirs)
        for name in mine if group.family.name not in stops else ():
            np.testing.assert_allclose(mine[name], theirs[name], atol=1e-9, err_msg=f"{group.family.name}.{name}")
    for group, mine, theirs in zip(day.inputs.groups, day.twin.trace.ends, again.ends, strict=True):
        assert set(mine) == set(theirs)
        for name in mine if group.family.name not in stops else ():
            np.testing.assert_allclose(mine[name], theirs[name], atol=1e-9, err_msg=f"{group.family.name}.{name}")


def test_the_days_have_something_to_shed() -> None:
    """Else the tests above would prove little."""
    free = Day(district(20, seed=5, feeder_kw=500.0))
    tight = Day(DAYS["tight"])
    grid = tight.inputs.node_index["grid"]
    assert free.twin.net_kw[grid].max() > 20
    assert tight.twin.net_kw[grid].max() < free.twin.net_kw[grid].max() - 5
    assert any(b.node == "grid" for b in tight.twin.breaches)


# --- the plan is never dearer ----------------------------------------------------------------------------------------


def street(seed: int) -> Sketch:
    """A house or two with all that has no least power, prices of any sign, a peak charge, a small heat network."""
    rng = np.random.default_rng(seed)
    axis = hours(8)
    T = axis.steps

    def some(low: float, high: float) -> Floats:
        return np.round(rng.uniform(low, high, T), 1)

    devices = [
        load(some(0, 4)), roof(some(0, 6), curtailable=bool(seed % 2)),
        battery(efficiency_in=0.9, efficiency_out=0.9, wear_eur_per_kwh=0.01, soc_start=0.4),
        car(arrive=float(rng.integers(0, 4)), depart=8.0, energy_kwh=float(rng.integers(5, 25))),
        Device("wash", "shiftable-load", ("grid",), {"profile_kw": [2.0, 1.0], "earliest": 1.0, "latest": 8.0}),
        Device("zone", "heat-pump-building", ("grid",), {
            "resistance_k_per_kw": 5.0, "capacity_kwh_per_k": 4.0, "power_kw": 3.0, "outdoor_c": some(-3, 8),
            "comfort_min_c": 19.5, "discomfort_eur_per_kh": 0.5,
        }),
        Device("tank", "hot-water-tank", ("grid",), {
            "capacity_kwh": 8.0, "power_kw": 2.0, "demand_kw": some(0, 2), "end": "free", "level_start": 0.6,
        }),
        engine(dump=True, min_up_h=2.0), boiler(power_kw=30.0), store(),
        Device("homes", "heat-demand", ("heat",), {"power_kw": some(2, 20)}),
    ]  # fmt: skip
    nodes = (
        node(axis, "grid", None, 40.0, 30.0),
        node(axis, "heat", None, 0.0, carrier="heat"),
        node(axis, "gas", None, 200.0, 0.0, "gas"),
    )
    buy = np.round(rng.uniform(-0.1, 0.4, T), 2)
    contracts = (
        energy_price(axis, "grid", buy, buy - 0.05),
        energy_price(axis, "gas", 0.08),
        peak_price(axis, "grid", 0.3),
    )
    return Sketch(axis, nodes, tuple(devices), contracts, target=EXACT)


END = {"battery": ("soc_kwh", "soc_goal_kwh"), "thermal-store": ("level_kwh", "goal_kwh")} | {
    "hot-water-tank": ("level_kwh", "level_goal_kwh")
}


def with_the_same_end(day: Day) -> Inputs:
    """The district with every store asked to end where the twin left it."""
    groups = []
    for g, steps in zip(day.inputs.groups, day.twin.trace.steps, strict=True):
        state, goal = END.get(g.family.name, ("", ""))
        groups.append(replace(g, columns={**g.columns, goal: steps[state][:, -1].copy()}) if state else g)
    return replace(day.inputs, groups=tuple(groups))


@pytest.mark.parametrize("seed", range(8))
def test_a_plan_with_the_same_end_is_never_dearer(seed: int) -> None:
    """Where the twin breaks no limit, falls short of nothing that may not be short, and runs nothing between rest and
    its least power, its own day is a plan: the best one cannot be dearer. Missed goals that have a price may differ."""
    day = Day(street(seed))
    emergencies = [
        float(np.max(values[name]))
        for g, steps, ends in zip(day.inputs.groups, day.twin.trace.steps, day.twin.trace.ends, strict=True)
        for name in g.family.emergencies
        for values in (steps, ends)
        if name in values and name != "end_short_kwh"
    ]
    assert day.breaches == []
    assert max(emergencies) <= 1e-9
    plan = optimum(with_the_same_end(day))
    assert plan.solution.emergency == 0.0
    assert plan.cost_eur <= Day(plan.inputs).twin.ledger.total_eur + 1e-6
    assert plan.cost_eur < day.twin.ledger.total_eur - 0.01, "nothing to save: the comparison proves little"
