"""What was planned with, and the plan, come back from a run folder to the bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gridopt.assets import family
from gridopt.clock import day_axis
from gridopt.errors import DataError
from gridopt.jobs import record
from gridopt.jobs.plan import Plan, plan, write
from gridopt.jobs.plan import run as run_job
from gridopt.model.inputs import Group, Inputs, Pin, make_groups
from gridopt.store.run_folder import Run, Series, Setpoint
from gridopt.verify import replay, verify
from tests.support.districts import columns

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


def as_numpy(x: Any) -> Any:
    """The same content in other types."""
    if isinstance(x, bool):
        return np.bool_(x)
    if isinstance(x, (int, float)):
        return np.float64(x)
    if isinstance(x, str):
        return np.str_(x)
    if isinstance(x, tuple):
        return tuple(as_numpy(v) for v in x)
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return dataclasses.replace(x, **{f.name: as_numpy(getattr(x, f.name)) for f in dataclasses.fields(x)})
    return x


def test_the_digest_knows_content_not_types(district: District) -> None:
    """The same numbers from a TOML file, a table or a computation are the same inputs."""
    inputs = district()
    groups = tuple(dataclasses.replace(g, options=as_numpy(g.options), ids=as_numpy(g.ids)) for g in inputs.groups)
    same = dataclasses.replace(
        inputs,
        groups=groups,
        pins=as_numpy(inputs.pins),
        rules=as_numpy(inputs.rules),
        target=as_numpy(inputs.target),
        nodes=as_numpy(inputs.nodes),
        commitments=as_numpy(inputs.commitments),
    )
    assert same.digest() == inputs.digest()
    whole = dataclasses.replace(inputs, pins=(dataclasses.replace(inputs.pins[0], value=0),))
    assert whole.digest() == inputs.digest()
    none = dataclasses.replace(inputs.nodes[0], parent="None"), dataclasses.replace(inputs.nodes[0], parent=None)
    assert len({dataclasses.replace(inputs, nodes=(n, inputs.nodes[1])).digest() for n in none}) == 2
    others = [
        dataclasses.replace(inputs, pins=(dataclasses.replace(inputs.pins[0], **changed),))
        for changed in ({"value": 1e-9}, {"asset": "bat-b"}, {"first": 1}, {"why": ""})
    ]
    assert len({inputs.digest(), *(o.digest() for o in others)}) == 5


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


def warmer(s: Any) -> Any:
    return dataclasses.replace(s, values=s.values + 1e-9)


def changed_runs() -> dict[str, Callable[[Run], Run]]:
    """Runs that are whole folders, each with one thing that is not as it was planned."""

    def told(change: Callable[[Any], Any]) -> Callable[[Run], Run]:
        return lambda run: dataclasses.replace(run, setpoints=[change(run.setpoints[0]), *run.setpoints[1:]])

    def said(**changed: str) -> Callable[[Run], Run]:
        return lambda run: dataclasses.replace(run, summary={**run.summary, **changed})

    return {
        "a state": lambda run: dataclasses.replace(
            run, schedule=[warmer(s) if s.quantity == "soc_kwh" else s for s in run.schedule]
        ),
        "a setpoint": told(warmer),
        "a device": told(lambda s: dataclasses.replace(s, device="another")),
        "a command": told(lambda s: dataclasses.replace(s, command="mode")),
        "a unit": told(lambda s: dataclasses.replace(s, unit="W")),
        "a time": told(lambda s: dataclasses.replace(s, first=s.first + 1)),
        "one setpoint less": lambda run: dataclasses.replace(run, setpoints=run.setpoints[1:]),
        "valid from": said(valid_from="2026-01-15T00:00:00+00:00"),
        "valid until": said(valid_until="2027-01-15T23:00:00+00:00"),
    }


@pytest.mark.parametrize("name", changed_runs())
def test_a_plan_that_is_not_the_hashed_one_is_refused(made: Plan, tmp_path: Path, name: str) -> None:
    """Setpoints are all that devices are sent, so they are the plan as much as the schedule is."""
    write(dataclasses.replace(made, run=changed_runs()[name](made.run)), tmp_path)
    with pytest.raises(DataError, match="not the one that its hash names"):
        record.load(tmp_path)


@pytest.mark.parametrize("said", ["soon", None, "2026-01-15T00:00:00"])
def test_a_validity_that_is_no_instant_is_an_error_in_words(made: Plan, tmp_path: Path, said: Any) -> None:
    run = dataclasses.replace(made.run, summary={**made.run.summary, "valid_until": said})
    write(dataclasses.replace(made, run=run), tmp_path)
    with pytest.raises(DataError, match=r"summary of the run is damaged"):
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


def test_no_zero_is_negative(made: Plan) -> None:
    inputs, values = made.inputs, [{q: np.where(v == 0, -0.0, v) for q, v in g.items()} for g in made.schedule.groups]
    minus = dataclasses.replace(
        made.schedule, groups=tuple(values), net_kw=np.where(made.schedule.net_kw == 0, -0.0, 1)
    )
    prices = np.zeros_like(minus.net_kw)
    for s in record.schedule_series(inputs, minus, replay(inputs, minus), prices):
        assert not np.signbit(s.values[s.values == 0]).any(), s


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
        exact = power * 1000 / 230 / phases
        charging = exact > 1e-3
        assert (s.values[~charging] == 0).all()
        assert (s.values[charging] >= 6.0).all()
        assert (s.values <= np.maximum(exact, 6.0 * charging) + 1e-6).all(), "never more than is planned"
        assert s.values == pytest.approx(exact, abs=0.1 + 1e-6)
        assert s.values * 10 == pytest.approx(np.round(s.values * 10), abs=1e-9), "in steps of 0.1 A"


def cars(**given: Any) -> Group:
    """One car by its parameters."""
    axis = day_axis(date(2026, 1, 15), 1, 60, "Europe/Paris")
    user = {"arrive": 0.0, "depart": 24.0, "energy_kwh": 60.0, "power_kw": 7.4, **given}
    (group,) = make_groups(family("ev-session"), ["car"], columns("ev-session", [user], axis), {"ac": [0]}, axis)
    return group


@pytest.mark.parametrize(
    ("car", "wanted_kw", "expected_a"),
    [
        ({}, 7.4, 32.0),  # 32.17 A: 7.4 kW is what a socket of 32 A is called
        ({"power_kw": 3.7}, 3.7, 16.0),  # 16.09 A
        ({"power_kw": 11.0, "phases": 3.0}, 11.0, 15.9),  # 15.94 A, of 16
        ({"power_kw": 22.0, "phases": 3.0}, 22.0, 31.8),
        ({"power_kw": 7.0}, 7.0, 30.4),  # 30.43 A: no rated current is near
        ({"power_kw": 7.36}, 7.36, 32.0),
        ({"power_kw": 2.3}, 2.3, 10.0),
        ({}, 1.38, 6.0),  # 6 A to the watt
        ({}, 1.38 - 5e-7, 6.0),  # seen through the solver's tolerance
        ({}, 1.39, 6.0),
        ({}, 1.41, 6.1),
        ({"phases": 3.0, "power_kw": 11.0}, 4.14, 6.0),
        ({"current_min_a": 8.0}, 1.84, 8.0),
        ({"energy_kwh": 0.5}, 0.5 / 0.92, 6.0),  # less than a step at 6 A: the car stops when it is full
        ({"power_kw": 1.0}, 1.0, 4.3),  # never more than it takes
        ({"power_min_kw": 2.0}, 2.0, 8.7),  # 8.696 A: below its least power it would not charge at all
        ({"power_min_kw": 2.0}, 2.1, 9.1),
        ({}, 0.0, 0.0),
        ({}, 1e-9, 0.0),
    ],
)
def test_amperes(car: dict[str, float], wanted_kw: float, expected_a: float) -> None:
    values, unit = record._in_device_words("current", "charge_kw", np.array([[wanted_kw]]), cars(**car))
    assert unit == "A"
    assert values[0, 0] == pytest.approx(expected_a, abs=1e-12)


STORE = {"v2g_kw": 5.0, "capacity_kwh": 60.0, "soc_arrive": 0.3}


@pytest.mark.parametrize(
    ("car", "unit", "least"),
    [({}, "A", 0.0), ({"dc": True, "power_kw": 50.0}, "kW", 0.0), (STORE, "kW", -5.0)],
    ids=["current", "direct current", "gives back"],
)
def test_a_car_is_told_what_its_charge_point_takes(
    district: District, scenario: Any, now: datetime, car: dict[str, Any], unit: str, least: float
) -> None:
    """A price that makes giving back pay: the setpoint of a car that can is a power with a sign."""
    inputs = district()
    axis = inputs.axis
    user = {"arrive": 0.0, "depart": 24.0, "energy_kwh": 20.0, "power_kw": 7.4, **car}
    other = make_groups(family("ev-session"), ["car"], columns("ev-session", [user], axis), {"ac": [0]}, axis)
    price = np.where(axis.local_hour < 12, 0.05, 0.50)
    supply = dataclasses.replace(inputs.commitments[0], price_above=price, price_below=-price)
    kept = tuple(g for g in inputs.groups if g.family.name in ("load", "pv"))
    inputs = dataclasses.replace(inputs, groups=(*kept, *other), commitments=(supply,), pins=(), rules=())
    made = plan(scenario(inputs), None, now)
    s = told(made)["car"]
    assert s.unit == unit
    assert s.values.min() == pytest.approx(least)
    assert s.values.max() > 0


def test_one_device_of_several_assets_is_told_one_thing_at_a_time(
    district: District, scenario: Any, now: datetime, tmp_path: Path
) -> None:
    """Two sessions on one charge point, one after the other; their windows may overlap where neither is plugged in."""
    inputs = district()
    made = plan(scenario(inputs), None, now)
    devices = {"car-a": ("current", "charger"), "car-b": ("current", "charger")}
    (charger,) = (
        s for s in record.setpoints(inputs, made.schedule, made.trace, devices) if s.device == "charger" and s.first < 8
    )
    apart = record.setpoints(inputs, made.schedule, made.trace, {})
    assert charger.values.sum() == pytest.approx(next(s.values.sum() for s in apart if s.device == "car-a"))
    rows = {}
    for s in record.setpoints(inputs, made.schedule, made.trace, devices):
        for t in range(s.first, s.first + len(s.values)):
            assert (s.device, s.command, t) not in rows
            rows[s.device, s.command, t] = float(s.values[t - s.first])
    told_apart = sum(float(s.values.sum()) for s in apart if s.command == "current")
    assert sum(v for (device, *_), v in rows.items() if device == "charger") == pytest.approx(told_apart)


def test_what_two_assets_tell_one_device() -> None:
    """Where both have a window, one of them says nothing; a gap between them is told nothing."""
    one, two = (Setpoint("a", "current", "A", np.array(v), k) for v, k in (([9.0, 8.0, 0.0], 2), ([0.0, 7.0, 6.0], 3)))
    (s,) = record._one_each([one, two], 8)
    assert (s.first, s.values.tolist()) == (2, [9.0, 8.0, 7.0, 6.0])
    (same, other) = record._one_each([one, dataclasses.replace(two, first=6, values=np.array([5.0, 0.0]))], 8)
    assert (same.first, other.first, other.values.tolist()) == (2, 6, [5.0, 0.0])
    apart = record._one_each([one, dataclasses.replace(two, command="power"), dataclasses.replace(two, device="b")], 8)
    assert len(apart) == 3


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


def test_the_hash_is_the_same_for_equal_instants() -> None:
    rows = [Series("power_kw", np.array([1.0, 2.0]), asset="a")]
    start, end = (datetime(2026, 1, d, 23, tzinfo=UTC) for d in (14, 15))
    paris = ZoneInfo("Europe/Paris")
    assert record.plan_hash("x", rows, [], start, end) == record.plan_hash("x", rows, [], start.astimezone(paris), end)
    assert record.plan_hash("x", rows, [], start, end) != record.plan_hash("y", rows, [], start, end)


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
