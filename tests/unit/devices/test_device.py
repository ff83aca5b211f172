"""Devices: who answers, what is read, what is believed, and what may be written. Against tables of words."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import struct
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from gridopt.devices.adapter import Adapter, load
from gridopt.devices.codec import Quality, Unfit
from gridopt.devices.counters import Event
from gridopt.devices.device import QUARANTINE_S, SULK_S, Device, Stranger
from gridopt.devices.frames import Frame, frames, release_frames
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.readings import Reading
from tests.support.fake_unit import START, Clock, FakeUnit, device

T = TypeVar("T")
SDM = load("eastron-sdm630")
SIM_METER = load("gridopt-sim-meter")
SIM_CHARGER = load("gridopt-sim-charger")
SIM_PV = load("gridopt-sim-pv")
SUNSPEC = load("sunspec-inverter")


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def f32(value: float) -> tuple[int, ...]:
    return struct.unpack(">2H", struct.pack(">f", value))


def house() -> FakeUnit:
    """A three-phase meter that draws 2.4 kW."""
    unit = FakeUnit()
    values = {"voltage_l1_v": 231.0, "voltage_l2_v": 230.0, "voltage_l3_v": 229.5, "frequency_hz": 50.02}
    values |= {"power_l1_kw": 1.0, "power_l2_kw": 0.9, "power_l3_kw": 0.5, "power_kw": 2.4}
    values |= {"current_l1_a": 4.3, "current_l2_a": 3.9, "current_l3_a": 2.2}
    unit.hold(SDM, values | {"energy_import_kwh": 100.0, "energy_export_kwh": 0.0})
    return unit


def charger(serial: str = "1234") -> FakeUnit:
    unit = FakeUnit()
    known = {"model_name": "gridopt-sim-charger", "serial_number": serial, "state": "free", "current_max_a": 16.0}
    unit.hold(SIM_CHARGER, known)
    return unit


def inverter(base: int = 40000, serial: str = "SN-7", lengths: dict[int, int] | None = None) -> FakeUnit:
    """A SunSpec device that answers for the registers of its chain only."""
    unit = FakeUnit(strict=True)
    unit.put("holding", base, (0x5375, 0x6E53))
    at = base + 2
    starts = {}
    for model, length in ({1: 66, 103: 50, 120: 26, 123: 24} | (lengths or {})).items():
        unit.put("holding", at, (model, length, *[0] * length))
        starts[model] = at
        at += 2 + length
    unit.put("holding", at, (0xFFFF, 0))
    text = serial.encode().ljust(32, b"\0")
    unit.put("holding", starts[1] + 50, struct.unpack(">16H", text))
    unit.put("holding", starts[103] + 10, (2304,))
    unit.put("holding", starts[103] + 13, (0xFFFF,))
    unit.put("holding", starts[103] + 14, (4712, 0, 5002, 0xFFFE))
    unit.put("holding", starts[120] + 3, (1000, 1))
    return unit


def qualities(found: dict[str, Reading]) -> set[Quality]:
    return {r.quality for r in found.values()}


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_reading_says_when_who_what_and_how_good() -> None:
    clock = Clock()
    found = run(device(SDM, house(), clock).read())
    assert set(found) == set(SDM.points)
    power = found["power_kw"]
    assert (power.time, power.at_s, power.device, power.quantity) == (clock.utc(), 1000.0, "the-device", "power_kw")
    assert power.value == pytest.approx(2.4)
    assert power.good
    assert power.time > START
    assert qualities(found) == {Quality.GOOD}


def test_only_what_is_asked_for_is_read_and_only_once_is_identity_asked() -> None:
    unit = house()
    meter = device(SDM, unit)
    assert set(run(meter.read(["power_kw"]))) == {"power_kw"}
    asked = len(unit.log)
    run(meter.read(["power_kw"]))
    assert unit.log[asked:] == [("input", 0x34, 2)]
    with pytest.raises(KeyError, match="eastron-sdm630 reads no power_kwh"):
        run(meter.read(["power_kwh"]))


def test_a_failed_request_takes_its_block_and_no_other() -> None:
    unit = house()
    meter = device(SDM, unit)
    run(meter.identify())

    def broken(table: str, address: int, count: int) -> None:
        if address == 0:
            raise Fault(FaultKind.REFUSED, "exception 4: it failed", code=4, sent=True)

    unit.on_read = broken
    found = run(meter.read())
    failed = {name for name, r in found.items() if r.quality is Quality.FAILED}
    assert failed == {name for name, p in SDM.points.items() if p.address < 18}
    assert found["power_l1_kw"].why == "exception 4: it failed"
    assert found["power_kw"].good
    assert meter.latest("power_l1_kw").quality is Quality.FAILED


@pytest.mark.parametrize("kind", [FaultKind.TIMEOUT, FaultKind.OFFLINE, FaultKind.BROKEN, FaultKind.GATEWAY])
def test_after_the_connection_failed_the_rest_is_not_asked(kind: FaultKind) -> None:
    unit = house()
    meter = device(SDM, unit)
    run(meter.identify())
    unit.log.clear()

    def silent(table: str, address: int, count: int) -> None:
        raise Fault(kind, "nothing came")

    unit.on_read = silent
    found = run(meter.read())
    assert qualities(found) == {Quality.FAILED}
    assert {r.why for r in found.values()} == {"nothing came"}
    assert len(unit.log) == 1


def test_busy_costs_one_block_only() -> None:
    unit = house()
    meter = device(SDM, unit)
    run(meter.identify())

    def busy(table: str, address: int, count: int) -> None:
        if address == 0x34:
            raise Fault(FaultKind.BUSY, "exception 6: busy", code=6, sent=True)

    unit.on_read = busy
    found = run(meter.read())
    assert [name for name, r in found.items() if not r.good] == ["power_kw"]


def test_a_part_of_a_device_has_its_own_registers() -> None:
    adapter, unit = load("phoenix-charx"), FakeUnit()
    unit.hold(adapter, {"current_limit_a": 13.0, "enable": "on"}, shift=3000)
    unit.hold(adapter, {"current_limit_a": 6.0, "enable": "off"}, shift=1000)
    assert run(device(adapter, unit, part=3).read(["current_limit_a"]))["current_limit_a"].value == 13.0
    sent = frames(adapter.points, adapter.writes["current"], 16)
    third = device(adapter, unit, part=3)
    run(third.write(sent[0]))
    assert [(f.address, f.words) for f, _ in unit.written] == [(3301, (16,))]


# --- registers that are refused --------------------------------------------------------------------------------------


def test_a_refused_register_is_found_and_left_alone_and_nothing_else_is_lost() -> None:
    clock, unit = Clock(), charger()
    unit.holes = {("input", 104)}
    it = device(SIM_CHARGER, unit, clock)
    found = run(it.read())
    assert [name for name, r in found.items() if not r.good] == ["current_l2_a"]
    assert found["current_l2_a"].quality is Quality.FAILED
    assert found["current_l2_a"].why == "exception 2: no such register"
    assert set(it.quarantined) == {"current_l2_a"}
    unit.log.clear()
    again = run(it.read())
    assert again["current_l2_a"].why == "exception 2: no such register"
    run(it.read())
    unit.log.clear()
    run(it.read())
    assert not any(a <= 104 < a + n for t, a, n in unit.log if t == "input")  # no refusal any more
    assert len(unit.log) == 4


def test_a_hole_that_is_refused_is_no_longer_crossed() -> None:
    unit = charger()
    unit.holes = {("input", 50)}  # between the texts and what is measured
    it = device(SIM_CHARGER, unit)
    assert qualities(run(it.read())) == {Quality.GOOD}
    assert it.quarantined == {}
    unit.log.clear()
    assert qualities(run(it.read())) == {Quality.GOOD}
    assert not any(a <= 50 < a + n for t, a, n in unit.log)


def test_a_device_that_answers_shorter_blocks_only_is_read_in_those() -> None:
    unit = charger()
    unit.longest = 12
    it = device(SIM_CHARGER, unit)
    assert qualities(run(it.read())) == {Quality.GOOD}
    unit.log.clear()
    run(it.read())
    assert max(count for _, _, count in unit.log) <= 12


def test_a_device_that_refuses_everything_loses_no_point_by_it() -> None:
    clock, unit = Clock(), house()
    meter = device(SDM, unit, clock)
    run(meter.read())
    unit.strict, tables = True, unit.tables
    unit.tables = {}
    found = run(meter.read())
    assert qualities(found) == {Quality.FAILED}
    assert meter.quarantined == {}
    unit.log.clear()
    run(meter.read())
    assert len(unit.log) == 3  # not taken apart again each time
    unit.tables = tables
    assert qualities(run(meter.read())) == {Quality.GOOD}
    clock.sleep(SULK_S)
    assert qualities(run(meter.read())) == {Quality.GOOD}


def test_what_was_refused_is_tried_again_after_a_while() -> None:
    clock, unit = Clock(), charger()
    unit.holes = {("input", 104)}
    it = device(SIM_CHARGER, unit, clock)
    run(it.read())
    unit.holes = set()
    assert not run(it.read())["current_l2_a"].good
    clock.sleep(QUARANTINE_S)
    assert run(it.read())["current_l2_a"].good


def test_a_refused_scale_factor_takes_what_it_scales() -> None:
    clock, unit = Clock(), inverter()
    start = 40070
    unit.holes = {("holding", start + 15)}
    it = device(SUNSPEC, unit, clock)
    found = run(it.read())
    assert found["power_kw"].quality is Quality.FAILED
    assert found["frequency_hz"].quality is Quality.GOOD
    assert set(it.quarantined) == {"power_kw"}
    unit.holes = set()
    clock.sleep(QUARANTINE_S)
    assert run(it.read())["power_kw"].value == -4.712


# --- DS-06: old, absent, implausible, frozen -------------------------------------------------------------------------


def test_ds_06_a_reading_wears_off_by_its_own_points_time() -> None:
    clock = Clock()
    meter = device(SDM, house(), clock)
    assert meter.latest("power_kw").quality is Quality.FAILED
    assert meter.latest("power_kw").why == "it was not read yet"
    run(meter.read())
    clock.sleep(30)
    run(meter.read(["voltage_l1_v"]))
    clock.sleep(31)
    assert meter.latest("power_kw").quality is Quality.STALE
    assert meter.latest("power_kw").value is None
    assert meter.latest("power_kw").why == "read 61 s ago; 60 s is the most"
    assert meter.latest("voltage_l1_v").good  # per point


def test_ds_06_a_host_clock_that_jumps_ages_nothing() -> None:
    clock = Clock()
    meter = Device("m", SDM, house(), clock=clock, now=lambda: START)
    run(meter.read())
    assert meter.latest("power_kw").good


@pytest.mark.parametrize("word", [0x8000, 0xFFFF, 0x7FC0])
def test_ds_06_what_the_device_does_not_have_is_never_a_number(word: int) -> None:
    """A device whose every register says "not available", or NaN: no identity either."""
    adapter = load("sma-hybrid")
    unit = FakeUnit()
    unit.on_read = lambda table, address, count: unit.put(table, address, [word] * count)
    for those in (SDM, adapter):
        found = run(device(those, unit).read())
        assert Quality.GOOD not in qualities(found)
        assert all(r.value is None for r in found.values())


def test_ds_06_an_absent_point_leaves_the_others() -> None:
    unit = house()
    unit.put("input", 0x34, (0x7FC0, 0))
    found = run(device(SDM, unit).read())
    assert (found["power_kw"].value, found["power_kw"].quality) == (None, Quality.MISSING)
    assert found["power_l1_kw"].good


def test_ds_06_an_implausible_witness_takes_all_that_was_read_with_it() -> None:
    """Words that moved by one register while it was connected."""
    unit = house()
    meter = device(SDM, unit)
    assert qualities(run(meter.read())) == {Quality.GOOD}
    words = unit.tables["input"]
    unit.tables["input"] = {r - 1: w for r, w in words.items()}
    found = run(meter.read())
    assert Quality.GOOD not in qualities(found)
    assert "not believed: voltage_l1_v" in found["power_kw"].why
    assert not meter.identified
    with pytest.raises(Stranger):
        run(meter.identify())
    unit.tables["input"] = words
    assert qualities(run(meter.read())) == {Quality.GOOD}


def test_ds_06_parts_that_do_not_add_up_are_not_believed() -> None:
    unit = house()
    meter = device(SDM, unit)
    run(meter.read())
    unit.hold(SDM, {"power_kw": -2.4})
    found = run(meter.read())
    assert Quality.GOOD not in qualities(found)
    assert found["power_kw"].why == "not believed: power_kw reads -2.4, and its parts add up to 2.4"


def moving() -> Adapter:
    return load("gridopt-sim-meter")


@pytest.fixture
def watched(tmp_path: Any) -> Adapter:
    """The meter of these tests, with a frequency and a voltage that are known to be noisy."""
    text = SDM.file.read_text(encoding="utf-8")
    assert "moves_s = 300" in text  # of the voltage
    text = text.replace("moves_s = 300", "moves_s = 30")
    at = text.index("low", text.index("\nfrequency_hz = "))
    text = text[:at] + "moves_s = 30, " + text[at:]
    path = tmp_path / "watched.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def test_ds_06_a_device_on_which_nothing_moves_any_more_is_frozen(watched: Adapter) -> None:
    clock, unit = Clock(), house()
    meter = device(watched, unit, clock)
    for k in range(5):
        unit.hold(SDM, {"frequency_hz": 50 + k / 100, "voltage_l1_v": 230.0 + k / 10})
        assert qualities(run(meter.read())) == {Quality.GOOD}
        clock.sleep(10)
    for _ in range(3):
        assert qualities(run(meter.read())) == {Quality.GOOD}
        clock.sleep(10)
    found = run(meter.read())  # the same for 40 s
    assert qualities(found) == {Quality.STALE}
    assert found["power_kw"].why == "frequency_hz has stood still for 40 s; voltage_l1_v has stood still for 40 s"
    assert meter.latest("power_kw").value is None
    unit.hold(SDM, {"frequency_hz": 49.97})
    again = run(meter.read())
    assert [name for name, r in again.items() if not r.good] == ["voltage_l1_v"]  # that one alone stands still


def test_a_watched_point_that_the_device_lacks_does_not_keep_the_others_alive(watched: Adapter) -> None:
    clock, unit = Clock(), house()
    unit.holes = {("input", SDM.points["frequency_hz"].address)}
    adapter = dataclasses.replace(watched, identity=watched.identity.model_copy(update={"plausible": ()}))
    meter = device(adapter, unit, clock)
    for _ in range(4):
        found = run(meter.read())
        clock.sleep(20)
    assert found["power_kw"].quality is Quality.STALE


def test_what_was_refused_for_a_moment_while_it_said_who_it_is_is_asked_again() -> None:
    unit = charger()
    unit.holes = {("input", 103), ("input", 50), ("input", 12)}
    it = device(SIM_CHARGER, unit)
    for _ in range(2):
        with pytest.raises(Stranger, match="exception 2"):
            run(it.identify())
    unit.holes = {("input", 50)}
    assert qualities(run(it.read())) == {Quality.GOOD}


def test_ds_06_a_gateway_that_reconnects_does_not_hide_that_nothing_moves(watched: Adapter) -> None:
    clock, unit = Clock(), house()
    meter = device(watched, unit, clock)
    for _ in range(4):
        unit.session += 1
        found = run(meter.read())
        clock.sleep(20)
    assert qualities(found) == {Quality.STALE}


def test_ds_06_two_readings_far_apart_do_not_tell_that_it_stands_still(watched: Adapter) -> None:
    clock = Clock()
    meter = device(watched, house(), clock)
    run(meter.read())
    clock.sleep(3600)
    assert qualities(run(meter.read())) == {Quality.GOOD}


# --- DS-07: who answers ----------------------------------------------------------------------------------------------


def test_ds_07_identity_is_asked_again_on_each_new_connection() -> None:
    unit = charger()
    it = device(SIM_CHARGER, unit)
    run(it.read())
    unit.session = 2
    unit.hold(SIM_CHARGER, {"serial_number": "9999"})
    found = run(it.read())
    assert qualities(found) == {Quality.FAILED}
    assert found["power_kw"].why == "another device answers: its serial number is 9999, not 1234"
    with pytest.raises(Stranger, match="9999"):
        run(it.write(frames(SIM_CHARGER.points, SIM_CHARGER.writes["current"], 10)[0]))
    assert unit.written == []


def test_ds_07_the_site_says_which_serial_number() -> None:
    with pytest.raises(Stranger, match="1234, not 77"):
        run(device(SIM_CHARGER, charger(), serial="77").identify())
    it = device(SIM_CHARGER, charger())
    run(it.identify())
    assert it.serial == "1234"
    with pytest.raises(Stranger, match="the adapter knows no serial number"):
        run(device(SDM, house(), serial="77").identify())


def test_ds_07_another_model_is_a_stranger() -> None:
    unit = charger()
    unit.hold(SIM_CHARGER, {"model_name": "gridopt-sim-mete"})
    with pytest.raises(Stranger, match="model_name reads gridopt-sim-mete, not gridopt-sim-charger"):
        run(device(SIM_CHARGER, unit).identify())
    unit.holes = {("input", 3)}
    with pytest.raises(Stranger, match="model_name: exception 2: no such register"):
        run(device(SIM_CHARGER, unit).identify())


def test_ds_07_off_by_one_and_swapped_words_are_strangers() -> None:
    for change in ("off", "swap"):
        unit = house()
        words = unit.tables["input"]
        moved = {r - 1 if change == "off" else r ^ 1: w for r, w in words.items()}
        unit.tables["input"] = moved
        with pytest.raises(Stranger):
            run(device(SDM, unit).identify())
        assert Quality.GOOD not in qualities(run(device(SDM, unit).read()))


def test_ds_07_a_sensor_that_is_not_fitted_does_not_make_a_stranger() -> None:
    """A heat pump knows its hot water, and has no buffer; one that knows neither is nobody."""
    adapter, unit = load("daikin-homehub"), FakeUnit()
    absent = adapter.points["buffer_temperature_c"]
    unit.hold(adapter, {"hot_water_temperature_c": 48.5})
    unit.put(absent.table, absent.address, [0x8000])
    it = device(adapter, unit)
    found = run(it.read())
    assert found["hot_water_temperature_c"].value == 48.5
    assert found["buffer_temperature_c"].quality is Quality.MISSING
    assert run(it.read(["buffer_temperature_c", "hot_water_temperature_c"]))["hot_water_temperature_c"].good
    other = adapter.points["hot_water_temperature_c"]
    unit.put(other.table, other.address, [0x8000])
    with pytest.raises(Stranger, match="means not available"):
        run(device(adapter, unit).identify())


def test_ds_07_no_answer_is_a_fault_and_no_stranger() -> None:
    unit = charger()

    def silent(table: str, address: int, count: int) -> None:
        raise Fault(FaultKind.TIMEOUT, "nothing came", sent=True)

    unit.on_read = silent
    it = device(SIM_CHARGER, unit)
    with pytest.raises(Fault, match="nothing came"):
        run(it.identify())
    assert {r.why for r in run(it.read()).values()} == {"nothing came"}


def test_ds_07_what_was_read_over_two_connections_is_read_again() -> None:
    """The first block comes from one device, the second from whoever took its place."""
    unit = charger()
    it = device(SIM_CHARGER, unit)
    run(it.identify())
    times = 0

    def swap(table: str, address: int, count: int) -> None:
        nonlocal times
        times += 1
        if times == 2:
            unit.session += 1
            unit.hold(SIM_CHARGER, {"serial_number": "9999", "power_kw": 7.0})

    unit.on_read = swap
    assert qualities(run(it.read())) == {Quality.FAILED}


def test_ds_07_a_connection_that_breaks_each_time_gives_nothing() -> None:
    unit = charger()

    def breaks(table: str, address: int, count: int) -> None:
        unit.session += 1

    unit.on_read = breaks
    it = device(SIM_CHARGER, unit)
    assert qualities(run(it.read(["power_kw", "serial_number", "current_limit_a"]))) == {Quality.FAILED}
    assert len(unit.log) < 20


def test_ds_07_a_write_goes_out_on_the_connection_that_was_asked() -> None:
    unit = charger()
    it = device(SIM_CHARGER, unit)
    run(it.identify())
    anew = 0

    def reconnects(frame: Frame) -> None:
        nonlocal anew
        anew += 1
        if anew == 1:
            unit.session += 1

    unit.on_write = reconnects
    unit.log.clear()
    run(it.write(frames(SIM_CHARGER.points, SIM_CHARGER.writes["current"], 10)[0], release=True))
    assert unit.log  # asked who it is before it was sent again
    assert [release for _, release in unit.written] == [True]


def test_ds_07_a_write_that_may_have_arrived_is_not_repeated() -> None:
    unit = charger()
    it = device(SIM_CHARGER, unit)
    tried = 0

    def lost(frame: Frame) -> None:
        nonlocal tried
        tried += 1
        unit.session += 1
        raise Fault(FaultKind.TIMEOUT, "nothing came", sent=True)

    unit.on_write = lost
    with pytest.raises(Fault):
        run(it.write(frames(SIM_CHARGER.points, SIM_CHARGER.writes["current"], 10)[0]))
    assert tried == 1


# --- SunSpec ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [40000, 0, 50000])
def test_ds_07_sunspec_models_are_found_where_they_are(base: int) -> None:
    unit = inverter(base)
    it = device(SUNSPEC, unit)
    found = run(it.read())
    assert found["power_kw"].value == -4.712
    assert found["voltage_l1_v"].value == pytest.approx(230.4)
    assert found["rated_kw"].value == 10.0
    assert it.starts[123] == base + 2 + 68 + 52 + 28
    assert it.serial == "SN-7"
    assert it.exponents["voltage_l1_v"] == -1
    asked = len(unit.log)
    run(it.read(["power_kw"]))
    assert len(unit.log) == asked + 1


def test_ds_07_a_longer_model_moves_those_behind_it() -> None:
    it = device(SUNSPEC, inverter(lengths={103: 60}))
    run(it.identify())
    assert it.starts[120] == 40070 + 62
    assert run(it.read(["rated_kw"]))["rated_kw"].value == 10.0


def test_ds_07_a_device_without_suns_or_without_a_model_is_a_stranger() -> None:
    with pytest.raises(Stranger, match="it does not say SunS at register 40000, 0 or 50000"):
        run(device(SUNSPEC, inverter(40001)).identify())
    unit = inverter()
    unit.put("holding", 40070, (101,))
    with pytest.raises(Stranger, match="it has no SunSpec model 103"):
        run(device(SUNSPEC, unit).identify())


def test_ds_07_after_a_reconnect_the_chain_is_checked_and_a_moved_one_read_again() -> None:
    unit = inverter()
    it = device(SUNSPEC, unit)
    run(it.read())
    unit.session, first = 2, len(unit.log)
    run(it.read(["power_kw"]))
    assert len(unit.log) - first == 1 + 4 + 1 + 1  # SunS, four models, the serial number, what was asked for
    unit.session = 3
    unit.tables = inverter(lengths={103: 60}).tables
    assert run(it.read(["rated_kw"]))["rated_kw"].value == 10.0
    assert it.starts[120] == 40070 + 62


def test_ds_07_a_model_that_grew_is_noticed_after_a_reconnect() -> None:
    unit = inverter()
    it = device(SUNSPEC, unit)
    run(it.identify())
    unit.session, unit.tables = 2, inverter(lengths={123: 6}).tables
    run(it.identify())
    with pytest.raises(Unfit, match="no such registers in SunSpec model 123"):
        it.place(Frame(16, 5, (1, 0, 60, 0, 1), 123))


def test_a_point_beyond_the_end_of_its_model_is_missing() -> None:
    found = run(device(SUNSPEC, inverter(lengths={103: 30})).read())
    assert found["cabinet_temperature_c"].quality is Quality.MISSING
    assert found["cabinet_temperature_c"].why == "its SunSpec model 103 ends before it"
    assert found["power_kw"].good


def test_a_scale_factor_that_changes_at_run_time_is_read_with_its_value() -> None:
    unit = inverter()
    it = device(SUNSPEC, unit)
    run(it.read())
    unit.put("holding", 40070 + 14, (471, 1))
    assert run(it.read())["power_kw"].value == -4.71
    unit.put("holding", 40070 + 15, (0x8000,))
    assert run(it.read())["power_kw"].quality is Quality.MISSING


# --- DS-02: the device's own rating ----------------------------------------------------------------------------------


def test_ds_02_the_rating_is_read_from_the_device_each_time() -> None:
    unit = inverter()
    it = device(SUNSPEC, unit)
    rating = SUNSPEC.writes["limit"].rating
    assert rating == "rated_kw"
    assert run(it.read([rating]))[rating].value == 10.0
    unit.put("holding", it.starts[120] + 3, (500, 1))
    assert run(it.read([rating]))[rating].value == 5.0


def test_ds_02_a_rating_that_cannot_be_read_has_no_value() -> None:
    unit = inverter()
    it = device(SUNSPEC, unit)
    run(it.identify())
    unit.put("holding", it.starts[120] + 3, (0xFFFF,))
    assert run(it.read(["rated_kw"]))["rated_kw"].value is None
    unit.holes = {("holding", it.starts[120] + 3)}
    found = run(it.read(["rated_kw"]))["rated_kw"]
    assert (found.value, found.quality) == (None, Quality.FAILED)


# --- counters --------------------------------------------------------------------------------------------------------


def failing(table: str, address: int, count: int) -> None:
    raise Fault(FaultKind.TIMEOUT, "nothing came", sent=True)


def test_a_counter_is_followed_over_its_end_and_through_a_reset() -> None:
    adapter, clock, unit = SIM_METER, Clock(), FakeUnit()
    values = {"model_name": "gridopt-sim-meter", "serial_number": "1", "voltage_l1_v": 230.0, "frequency_hz": 50.0}
    unit.hold(adapter, {k: v for k, v in values.items() if k in adapter.points} | {"energy_import_kwh": 7.0})
    meter = device(adapter, unit, clock)
    run(meter.read())
    assert meter.counted == {}
    unit.hold(adapter, {"energy_import_kwh": 7.5})
    clock.sleep(60)
    run(meter.read())
    assert meter.counted["energy_import_kwh"].kwh == pytest.approx(0.5)
    unit.hold(adapter, {"energy_import_kwh": 0.1})
    clock.sleep(60)
    assert run(meter.read())["energy_import_kwh"].good
    assert meter.counted["energy_import_kwh"].event is Event.RESET
    unit.on_read = failing
    run(meter.read())
    assert "energy_import_kwh" not in meter.counted  # told once
    unit.on_read = lambda table, address, count: None
    unit.hold(adapter, {"energy_import_kwh": 0.3})
    clock.sleep(60)
    run(meter.read())
    assert meter.counted["energy_import_kwh"].kwh == pytest.approx(0.2)


# --- writing ---------------------------------------------------------------------------------------------------------


def test_a_sunspec_request_is_placed_where_the_device_has_the_model() -> None:
    unit = inverter()
    it = device(SUNSPEC, unit)
    run(it.identify())
    (frame,) = frames(SUNSPEC.points, SUNSPEC.writes["limit"], 6, {"rated_kw": 10}, {"limit_share": -2})
    run(it.write(frame))
    ((sent, release),) = unit.written
    assert (sent.address, sent.words, sent.sunspec) == (it.starts[123] + 5, frame.words, None)
    assert not release


def storage(shows: Callable[[int], int] = lambda word: word) -> tuple[FakeUnit, Device, tuple[Frame, ...]]:
    """A battery inverter with model 124, which shows of a word that is written what ``shows`` makes of it."""
    adapter = load("fronius-gen24")
    unit = inverter(lengths={124: 24})
    unit.put("holding", 40070 + 52 + 28 + 26 + 2, (1000,))
    it = device(adapter, unit)
    run(it.read())

    def store(frame: Frame) -> None:
        unit.put("holding", frame.address, map(shows, frame.words))

    unit.on_write = store
    exponents = dict.fromkeys(adapter.points, -2)
    return unit, it, frames(adapter.points, adapter.writes["charge-limit"], 2.5, {"charge_max_kw": 10}, exponents)


def test_what_arms_a_value_is_sent_when_the_value_and_its_timer_stand() -> None:
    """SunSpec 124: rate and timer are written, then read, and only then StorCtl_Mod is."""
    unit, it, (values, arm) = storage()
    assert arm.rests_on == values
    run(it.write(values))
    unit.log.clear()
    run(it.write(arm))
    assert unit.log == [("holding", it.starts[124] + 13, 4)]
    assert [f.address - it.starts[124] for f, _ in unit.written] == [13, 5]
    adapter = it.adapter
    (release,) = release_frames(adapter.points, adapter.writes["charge-limit"])
    assert release.rests_on is None


def test_what_arms_a_value_is_not_sent_when_the_device_ignored_the_value() -> None:
    unit, it, (values, arm) = storage(shows=lambda word: 0)
    run(it.write(values))
    with pytest.raises(Fault, match="what rests on them was not sent") as error:
        run(it.write(arm))
    assert not error.value.sent
    assert len(unit.written) == 1


def test_a_request_before_the_models_are_found_or_beyond_their_end_is_refused() -> None:
    frame = Frame(16, 5, (1, 0, 60, 0, 1), 123)
    with pytest.raises(Unfit, match="SunSpec model 123"):
        device(SUNSPEC, inverter()).place(frame)
    it = device(SUNSPEC, inverter(lengths={123: 6}))
    run(it.identify())
    with pytest.raises(Unfit, match="SunSpec model 123"):
        it.place(frame)


@pytest.mark.parametrize(
    "frame",
    [
        Frame(6, 100, (1,)),  # measured, in another table
        Frame(16, 201, (0, 60)),  # half of a long number
        Frame(16, 200, (0,)),
        Frame(16, 203, (1, 0)),  # and a register that is only read
        Frame(16, 200, ()),
        Frame(5, 203, (1,)),  # a coil
        Frame(22, 203, (1,)),  # no function that writes whole registers
        Frame(6, 203, (1,), 123),
    ],
)
def test_no_register_is_written_that_is_not_of_a_writable_point(frame: Frame) -> None:
    unit = FakeUnit()
    unit.hold(SIM_PV, {"model_name": "gridopt-sim-pv", "serial_number": "1"})
    it = device(SIM_PV, unit)
    with pytest.raises(Unfit):
        run(it.write(frame))
    assert unit.written == []
    assert math.isfinite(it.shift)
    run(it.write(Frame(16, 200, (0, 4200, 60, 1))))
    assert len(unit.written) == 1
