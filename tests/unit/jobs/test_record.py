"""What was planned with, and the plan, come back from a run folder to the bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridopt.errors import DataError
from gridopt.jobs import record
from gridopt.jobs.plan import Plan, plan, write
from gridopt.jobs.plan import run as run_job
from gridopt.model.inputs import Group, Inputs, Pin
from gridopt.store.run_folder import Series
from gridopt.verify import verify

District = Callable[..., Inputs]


@pytest.fixture
def made(district: District, scenario: Any, now: datetime) -> Plan:
    return plan(scenario(district()), None, now)


@pytest.mark.parametrize("day", [date(2026, 1, 15), date(2026, 3, 29), date(2026, 10, 25)])
def test_inputs_come_back_with_the_same_digest(district: District, day: date) -> None:
    inputs = district(day=day)
    back = record.unpack(*record.pack(inputs))
    assert back.digest() == inputs.digest()
    assert back.target == inputs.target


def test_inputs_come_back_with_odd_numbers(district: District) -> None:
    """Negative zero, infinity and the smallest number are kept, in scalars and in series."""
    inputs = district()
    odd = np.array([-0.0, 5e-324, 1 / 3, -1e300] * 6)
    groups = [
        dataclasses.replace(g, columns={**g.columns, "power_kw": odd[None, :]}) if g.family.name == "load" else g
        for g in inputs.groups
    ]
    node = dataclasses.replace(inputs.nodes[0], reserve_kw=np.full(24, -0.0))
    target = dataclasses.replace(inputs.target, time_limit_s=np.inf)
    odd_inputs = dataclasses.replace(
        inputs, nodes=(node, *inputs.nodes[1:]), groups=tuple(groups), target=target,
        pins=(Pin("bat-a", "charge_kw", 0, 1, -0.0),),
    )  # fmt: skip
    back = record.unpack(*record.pack(odd_inputs))
    assert back.digest() == odd_inputs.digest()
    assert back.target.time_limit_s == np.inf


def test_one_changed_number_is_noticed(district: District) -> None:
    doc, series = record.pack(district())
    first = series[0]
    series[0] = dataclasses.replace(first, values=first.values * (1 + 1e-15) + 1e-12)
    with pytest.raises(DataError, match="digests differ"):
        record.unpack(doc, series)


def test_a_missing_series_is_an_error_in_words(district: District) -> None:
    doc, series = record.pack(district())
    with pytest.raises(DataError, match="inputs of the run are damaged"):
        record.unpack(doc, series[1:])


def test_the_plan_comes_back_and_still_holds(made: Plan, tmp_path: Path) -> None:
    write(made, tmp_path)
    run, inputs, schedule = record.load(tmp_path)
    assert inputs.digest() == made.inputs.digest() == run.summary["inputs"]["digest"]
    assert np.array_equal(schedule.net_kw, made.schedule.net_kw)
    for here, there in zip(schedule.groups, made.schedule.groups, strict=True):
        assert set(there) <= set(here)
        assert all(np.array_equal(here[name], values) for name, values in there.items())
    lines = {name: line["eur"] for name, line in run.summary["cost"].items()}
    assert verify(inputs, schedule, run.summary["objective_eur"], lines) == []
    assert record.load_inputs(tmp_path).digest() == inputs.digest()


def test_a_plan_that_is_not_the_hashed_one_is_refused(made: Plan, tmp_path: Path) -> None:
    changed = [
        dataclasses.replace(s, values=s.values + 1e-9) if s.quantity == "soc_kwh" else s for s in made.run.schedule
    ]
    write(dataclasses.replace(made, run=dataclasses.replace(made.run, schedule=changed)), tmp_path)
    with pytest.raises(DataError, match="not the one that its hash names"):
        record.load(tmp_path)


def test_a_schedule_without_a_devices_rows_is_an_error_in_words(made: Plan) -> None:
    rows = [s for s in made.run.schedule if s.asset != "car-b"]
    with pytest.raises(DataError, match="schedule of the run is damaged"):
        record.load_schedule(made.inputs, rows)


def test_the_schedule_names_node_asset_port_and_quantity(made: Plan) -> None:
    rows = {(s.node, s.asset, s.port, s.quantity): s for s in made.run.schedule}
    assert ("building", None, None, "import_kw") in rows
    assert ("grid", None, None, "export_kw") in rows
    assert ("grid", None, None, "marginal_price_eur_per_kwh") in rows
    assert ("building", "bat-a", None, "soc_kwh") in rows
    assert ("building", "pv-a", None, "curtailed_kw") in rows
    car = rows["building", "car-b", "ac", "power_kw"]
    assert car.first + len(car.values) == 24 > len(car.values), "on its own window"
    assert rows["building", "pv-a", "ac", "power_kw"].values.min() < 0
    net = sum(s.values for key, s in rows.items() if key[1] in ("load-a", "pv-a", "bat-a") and key[2] == "ac")
    for s in (rows["building", "car-a", "ac", "power_kw"], car):
        net[s.first : s.first + len(s.values)] += s.values
    grid = rows["grid", None, None, "import_kw"].values - rows["grid", None, None, "export_kw"].values
    assert net == pytest.approx(grid, abs=1e-6)
    assert not [s for s in made.run.schedule if s.quantity.endswith("_eur")]


# --- setpoints -------------------------------------------------------------------------------------------------------


def told(made: Plan) -> dict[str, Any]:
    return {s.device: s for s in made.run.setpoints}


def test_only_devices_that_take_a_setpoint_are_told_one(made: Plan) -> None:
    assert set(told(made)) == {"bat-a", "pv-a", "car-a", "car-b"}


def test_a_device_has_the_name_that_the_user_gave_and_none_may_tell_it_nothing(made: Plan) -> None:
    devices = {"bat-a": ("power", "inverter-1"), "pv-a": ("none", "roof"), "car-a": ("current", "")}
    found = record.setpoints(made.inputs, made.schedule, made.trace, devices)
    assert {s.device for s in found} == {"inverter-1", "car-a", "car-b"}


def test_a_battery_is_told_its_signed_power(made: Plan) -> None:
    s = told(made)["bat-a"]
    expected = made.schedule.value(made.inputs, "bat-a", "charge_kw") - made.schedule.value(
        made.inputs, "bat-a", "discharge_kw"
    )
    assert (s.command, s.unit) == ("power", "kW")
    assert s.values == pytest.approx(expected, abs=1e-5)
    assert s.values.min() < 0 < s.values.max()


def test_a_car_is_told_amperes_on_its_phases(made: Plan) -> None:
    for car, phases in (("car-a", 3), ("car-b", 1)):
        s = told(made)[car]
        power = made.schedule.value(made.inputs, car, "charge_kw")[s.first : s.first + len(s.values)]
        assert (s.command, s.unit) == ("current", "A")
        assert s.values == pytest.approx(power * 1000 / 230 / phases, abs=1e-4)
        assert s.values.max() >= 6.0


def test_a_plant_is_told_a_limit_unless_it_cannot_be_curtailed(
    district: District, scenario: Any, now: datetime
) -> None:
    inputs = district()
    assert (told(plan(scenario(inputs), None, now))["pv-a"].command) == "limit"
    fixed = tuple(
        dataclasses.replace(g, options=(False,)) if g.family.name == "pv" else g for g in inputs.groups
    )  # fmt: skip
    made = plan(scenario(dataclasses.replace(inputs, groups=fixed)), None, now)
    assert "pv-a" not in told(made)


@pytest.mark.parametrize(
    ("kind", "name", "wanted", "expected", "unit"),
    [
        ("power", "ac_kw", [1e-12, -2.5], [0.0, -2.5], "kW"),
        ("on_off", "on", [1e-9, 1 - 1e-9], [0.0, 1.0], ""),
        ("on_off", "heat_pump_kw", [1e-12, 0.4], [0.0, 1.0], ""),
        ("temperature", "supply_c", [55.0, 60.0], [55.0, 60.0], "°C"),
    ],
)
def test_device_words(
    district: District, kind: str, name: str, wanted: list[float], expected: list[float], unit: str
) -> None:
    group: Group = district().groups[0]
    values, said = record._in_device_words(kind, name, np.array([wanted]), group)
    assert values.tolist() == [expected]
    assert said == unit
    assert not np.signbit(values[0, 0])


def test_a_value_of_a_whole_window_stands_at_its_first_step(made: Plan) -> None:
    single = [s for s in made.run.schedule if s.quantity == "short_kwh"]
    group = next(g for g in made.inputs.groups if "car-b" in g.ids)
    first = int(group.offset[group.index["car-b"]])
    assert 0 < first <= 18
    assert {(s.asset, s.first, len(s.values)) for s in single} == {("car-a", 0, 1), ("car-b", first, 1)}


def test_the_hash_is_of_inputs_and_schedule() -> None:
    rows = [Series("power_kw", np.array([1.0, 2.0]), asset="a")]
    moved = [Series("power_kw", np.array([1.0, 2.0]), first=1, asset="a")]
    hashes = {record.plan_hash("x", rows), record.plan_hash("y", rows), record.plan_hash("x", moved)}
    assert len(hashes) == 3
    assert record.plan_hash("x", rows) in hashes


def test_a_scenario_of_many_families_comes_back_and_still_holds(now: datetime, tmp_path: Path) -> None:
    """Windows, structures, a priced limit, an override and an outage, over the day that clocks go back."""
    made = run_job(Path(__file__).with_name("many.toml"), now=now)
    assert {g.family.name for g in made.inputs.groups} >= {
        "chp",
        "heat-pump-building",
        "shiftable-load",
        "thermal-store",
    }
    assert made.inputs.pins
    assert made.inputs.axis.steps == 50
    write(made, tmp_path)
    run, inputs, schedule = record.load(tmp_path)
    assert inputs.digest() == made.inputs.digest()
    assert verify(inputs, schedule, run.summary["objective_eur"]) == []
    chp = next(a for a in run.summary["assets"] if a["id"] == "chp-a")
    assert chp["ports"] == {"ac": "grid", "gas": "gas", "heat": "heat"}
    assert run.summary["start_state"]["chp-a"] == {"on": 1.0, "hours_h": 0.5, "source": "scenario"}
    ports = {(s.node, s.port) for s in run.schedule if s.asset == "chp-a"}
    assert ports == {("grid", "ac"), ("heat", "heat"), ("gas", "gas"), (None, None)}
    assert "roof" not in {s.device for s in run.setpoints}, "it cannot be curtailed"
    assert "zone" in {s.device for s in run.setpoints}
