"""Pins and outages: a person's word over the plan's, step by step."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import date
from pathlib import Path

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
