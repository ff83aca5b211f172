"""Pins and outages: a person's word over the plan's, step by step."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridopt.model.inputs import Pin
from gridopt.scenario.load import Scenario, load
from gridopt.scenario.overrides import _around

Write = Callable[..., Path]
Load = Callable[..., Scenario]


def pin(quantity: str, value: float, start: str, to: str) -> str:
    return f'[[pin]]\nasset = "bat-a"\nquantity = "{quantity}"\nvalue = {value}\nfrom = "{start}"\nto = "{to}"\n'


def outage(start: str, to: str, asset: str = "bat-a") -> str:
    return f'[[outage]]\nasset = "{asset}"\nfrom = "{start}"\nto = "{to}"\n'


def test_a_pin_holds_every_step_it_touches(base: str, build: Load) -> None:
    found = build(base + pin("charge_kw", 2, "10:05", "11:01"))
    assert found.pins == (Pin("bat-a", "charge_kw", 40, 45, 2.0),)


def test_an_outage_holds_all_commands_at_zero_and_a_pin_wins(base: str, build: Load) -> None:
    found = build(base + outage("09:00", "12:00") + pin("charge_kw", 2, "10:00", "11:00"))
    assert found.pins == (
        Pin("bat-a", "charge_kw", 36, 40, 0.0, "outage"),
        Pin("bat-a", "charge_kw", 40, 44, 2.0, "pin"),
        Pin("bat-a", "charge_kw", 44, 48, 0.0, "outage"),
        Pin("bat-a", "discharge_kw", 36, 48, 0.0, "outage"),
    )


def test_overlapping_outages_hold_once_or_alike(base: str, build: Load) -> None:
    found = build(base + outage("09:00", "10:00") + outage("09:00", "10:00"))
    assert [p.variable for p in found.pins] == ["charge_kw", "discharge_kw"]


def test_states_and_single_values_may_be_pinned(base: str, build: Load) -> None:
    found = build(base + pin("soc_kwh", 5, "10:00", "10:15") + pin("end_short_kwh", 0, "00:00", "D+1 00:00"))
    assert [(p.variable, p.value) for p in found.pins] == [("end_short_kwh", 0.0), ("soc_kwh", 5.0)]


def test_what_lies_outside_the_horizon_is_noted_and_left_out(base: str, write: Write) -> None:
    toml = base + outage("2026-01-15T09:00", "2026-01-15T10:00") + pin("charge_kw", 1, "D+1 09:00", "D+1 10:00")
    found = load(write(toml), day=date(2026, 2, 1))
    assert found.pins == ()
    assert [note.partition(": ")[2] for note in found.notes] == [
        "pin 1: lies outside the horizon and is left out",
        "outage 1: lies outside the horizon and is left out",
    ]


def test_an_outage_takes_what_the_options_leave_of_the_commands(base: str, build: Load) -> None:
    toml = base + '[asset.pv]\nfamily = "pv"\nnode = "grid"\npeak_kw = 3\nyield_kw_per_kw = 0.5\n'
    found = build(toml + outage("09:00", "10:00", "pv"))
    assert found.pins == (Pin("pv", "generation_kw", 36, 40, 0.0, "outage"),)


CAR = """[asset.car]
family = "ev-session"
node = "grid"
arrive = "{arrive}"
depart = "{depart}"
energy_kwh = 5
power_kw = 7
"""


def car_pin(start: str, to: str) -> str:
    return pin("charge_kw", 3, start, to).replace("bat-a", "car")


def told(scenario: Scenario) -> list[str]:
    return [note.partition(": ")[2] for note in scenario.notes]


def test_a_pin_holds_only_while_its_car_is_there(base: str, build: Load) -> None:
    car = CAR.format(arrive="08:05", depart="12:10")
    found = build(base + car + car_pin("09:00", "10:00"))
    assert (found.pins, found.notes) == ((Pin("car", "charge_kw", 36, 40, 3.0),), ())
    found = build(base + car + car_pin("07:00", "13:00"))
    assert found.pins == (Pin("car", "charge_kw", 33, 48, 3.0),)
    span = "Thu 15 Jan 08:15 to Thu 15 Jan 12:00"
    assert told(found) == [f"pin 1: car is there {span} only; nothing is held outside"]
    found = build(base + car + car_pin("13:00", "14:00"))
    assert found.pins == ()
    assert told(found) == [f"pin 1: nothing is held: car is not there then; it is there {span}"]


def test_an_outage_of_an_absent_car_is_told(base: str, build: Load) -> None:
    car = CAR.format(arrive="08:00", depart="12:00")
    found = build(base + car + outage("13:00", "14:00", "car"))
    assert found.pins == ()
    span = "it is there Thu 15 Jan 08:00 to Thu 15 Jan 12:00"
    assert told(found) == [f"outage 1: nothing is held: car is not there then; {span}"]
    found = build(base + car + outage("00:00", "D+1 00:00", "car"))  # the point is closed all day: nothing to tell
    assert (found.pins, found.notes) == ((Pin("car", "charge_kw", 32, 48, 0.0, "outage"),), ())


def test_overrides_of_what_is_away_all_day_are_told(base: str, build: Load) -> None:
    car = CAR.format(arrive="2026-01-20T08:00", depart="2026-01-20T18:00")
    found = build(base + car + car_pin("10:00", "12:00") + outage("10:00", "12:00", "car"))
    assert found.pins == ()
    words = "nothing is held: car is not there then, nor at any step of the horizon"
    assert told(found) == [f"pin 1: {words}", f"outage 1: {words}"]


def every(days: str, start: str = "", to: str = "", kind: str = "outage", more: str = "") -> str:
    lines = [f"[[{kind}]]", 'asset = "bat-a"', f"days = {days}", more]
    lines += [f'from = "{start}"'] if start else []
    lines += [f'to = "{to}"'] if to else []
    return "\n".join(lines) + "\n"


def week(base: str) -> str:
    """Thursday 26 March to Wednesday 1 April 2026; Sunday has 23 hours."""
    return base.replace('start = "2026-01-15"', 'start = "2026-03-26"\ndays = 7\nstep_min = 60')


@pytest.mark.parametrize("days", ['"sun"', '["sun"]'])
def test_an_outage_every_sunday(base: str, build: Load, days: str) -> None:
    found = build(week(base) + every(days))
    assert {(p.first, p.last) for p in found.pins} == {(72, 95)}
    assert found.notes == ()
    assert build(base + every(days)).pins == ()  # a Thursday


def test_a_pin_every_weekday_past_midnight_touches_whole_steps(base: str, build: Load) -> None:
    pinned = every('["mon-tue", "fri"]', "23:30", "00:30", "pin", 'quantity = "charge_kw"\nvalue = 1')
    found = build(week(base) + pinned)
    local = found.axis.local
    assert [(f"{local[p.first]:%a %H}", p.last - p.first) for p in found.pins] == [
        ("Fri 23", 2),
        ("Mon 23", 2),
        ("Tue 23", 2),
    ]


def test_the_night_before_reaches_into_the_horizon(base: str, build: Load) -> None:
    found = build(base + every('"wed"', "22:00", "06:00"))
    assert {(p.first, p.last) for p in found.pins} == {(0, 24)}


spans = st.tuples(st.integers(0, 20), st.integers(1, 20)).map(lambda s: (s[0], s[0] + s[1]))


@given(outage=spans, pins=st.lists(spans, max_size=4))
def test_outages_cover_exactly_the_steps_that_no_pin_holds(
    outage: tuple[int, int], pins: list[tuple[int, int]]
) -> None:
    held = [Pin("a", "x", first, last, 1.0) for first, last in pins]
    pieces = _around(Pin("a", "x", *outage, 0.0, "outage"), held)
    covered = [step for p in pieces for step in range(p.first, p.last)]
    taken = {step for first, last in pins for step in range(first, last)}
    assert covered == [step for step in range(*outage) if step not in taken]
    assert all(a.last < b.first for a, b in itertools.pairwise(pieces))
