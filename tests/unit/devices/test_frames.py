"""From a command to requests: what is sent, in which order, and what is refused before anything is."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridopt.devices.adapter import load
from gridopt.devices.codec import Unfit
from gridopt.devices.frames import Frame, frames, refusal, release_frames
from gridopt.devices.schema import Write

BATTERY, CHARGER, HEAT_PUMP = (load(f"gridopt-sim-{what}") for what in ("battery", "charger", "heat-pump"))
SUNSPEC, GEN24, STIEBEL, KEBA = (load(n) for n in ("sunspec-inverter", "fronius-gen24", "stiebel-wpm", "keba-p30"))
SMA = load("sma-hybrid")


def changed(write: Write, **more: Any) -> Write:
    return write.model_copy(update=more)


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_one_request_carries_value_timer_and_enable() -> None:
    sent = frames(BATTERY.points, BATTERY.writes["power"], -12.5)
    assert sent == (Frame(16, 200, (0xFFFF, 0xCF2C, 60, 1)),)


def test_the_order_in_the_file_does_not_matter_within_a_request() -> None:
    write = BATTERY.writes["power"]
    (step,) = write.set
    turned = changed(write, set=(dict(reversed(step.items())),))
    assert frames(BATTERY.points, turned, 1) == frames(BATTERY.points, write, 1)


def test_requests_keep_their_order_and_single_registers_go_by_function_6() -> None:
    sent = frames(KEBA.points, KEBA.writes["current"], 16)
    assert sent == (Frame(6, 5018, (60,)), Frame(6, 5004, (16000,)))
    assert frames(KEBA.points, changed(KEBA.writes["current"], multiple=True), 16)[0].function == 16


def test_the_site_may_say_the_time() -> None:
    (sent,) = frames(BATTERY.points, BATTERY.writes["power"], 0, time_s=90)
    assert sent.words[2] == 90


def test_a_time_that_only_the_site_knows_is_not_made_up() -> None:
    write = BATTERY.writes["power"]
    unknown = changed(write, fail_safe=write.fail_safe.model_copy(update={"time_s": "installer"}))
    with pytest.raises(Unfit, match="the time of the fail-safe is the installer's to say"):
        frames(BATTERY.points, unknown, 0)
    assert frames(BATTERY.points, unknown, 0, time_s=30)[0].words[2] == 30


def test_a_share_is_one_of_a_reading() -> None:
    write = SUNSPEC.writes["limit"]
    (sent,) = frames(SUNSPEC.points, write, 6.0, {"rated_kw": 10.0}, {"limit_share": -2})
    assert (sent.sunspec, sent.address, sent.words) == (123, 5, (6000, 0, 60, 0, 1))
    for readings in ({}, {"rated_kw": 0.0}, {"rated_kw": math.nan}):
        with pytest.raises(Unfit, match="rated_kw is not known"):
            frames(SUNSPEC.points, write, 6.0, readings, {"limit_share": -2})


def test_what_is_scaled_needs_its_scale_factor() -> None:
    with pytest.raises(Unfit, match="scale factor is not available"):
        frames(SUNSPEC.points, SUNSPEC.writes["limit"], 6.0, {"rated_kw": 10.0})
    with pytest.raises(Unfit, match="does not fit into u16"):
        frames(SUNSPEC.points, SUNSPEC.writes["limit"], 10.0, {"rated_kw": 10.0}, {"limit_share": -3})


def test_what_arms_comes_last_and_goes_first() -> None:
    """SunSpec 124: rate and timer, then the bit that makes them hold; the bit alone lets go."""
    write = GEN24.writes["charge-limit"]
    sent = frames(GEN24.points, write, 2.5, {"charge_max_kw": 10.0}, {"charge_share": -2})
    assert [(f.address, f.words) for f in sent] == [(13, (2500, 0, 60, 0)), (5, (1,))]
    assert [(f.address, f.words) for f in release_frames(GEN24.points, write)] == [(5, (0,))]


def test_a_state_may_be_two_inputs() -> None:
    write = STIEBEL.writes["mode"]
    for value, inputs in enumerate([(0, 1), (0, 0), (1, 0)]):  # lock, normal, boost
        sent = frames(STIEBEL.points, write, value)
        assert [(f.address, f.words) for f in sent] == [(4001, inputs[:1]), (4002, inputs[1:])]
    assert [f.words for f in release_frames(STIEBEL.points, write)] == [(0,), (0,)]


def test_without_a_release_the_fail_safe_lets_go() -> None:
    assert release_frames(CHARGER.points, CHARGER.writes["current"]) == ()


def test_coils_have_functions_of_their_own() -> None:
    state = HEAT_PUMP.points["power_control"]
    coil = dataclasses.replace(state, table="coil", codec=dataclasses.replace(state.codec, type="bit"))
    write = changed(HEAT_PUMP.writes["power"], set=({"power_control": "on"},))
    points = dict(HEAT_PUMP.points) | {"power_control": coil}
    assert frames(points, write, 1) == (Frame(5, 203, (1,)),)
    assert frames(points, changed(write, multiple=True), 1) == (Frame(15, 203, (1,)),)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (6, ""),
        (32, ""),
        (13.5, ""),
        (0, ""),
        (5.9, "5.9 is less than 6"),
        (32.1, "32.1 is more than 32"),
        (-1, "-1 is less than 6"),
        (13.55, "13.55 is no multiple of 0.1"),
        (math.nan, "nan is not a finite number"),
        (math.inf, "inf is not a finite number"),
        (True, "True is not a finite number"),
        ("16", "'16' is not a finite number"),
        (None, "None is not a finite number"),
    ],
)
def test_a_value_outside_is_refused_never_moved(value: object, why: str) -> None:
    assert refusal(CHARGER.writes["current"], value) == why


def test_the_tighter_of_two_bounds_wins() -> None:
    write = CHARGER.writes["current"]
    assert refusal(write, 20, high=16) == "20 is more than 16"
    assert refusal(write, 20, high=63) == ""
    assert refusal(write, 33, high=63) == "33 is more than 32"
    assert refusal(write, 7, low=8) == "7 is less than 8"
    assert refusal(write, 0, low=8) == "", "a pause is said apart"


def test_bounds_that_are_the_installers_must_be_said() -> None:
    write = SMA.writes["charge"]
    assert refusal(write, 3) == "high is the installer's to say, and the site does not say it"
    assert refusal(write, 3, high=5) == ""
    assert refusal(write, 6, high=5) == "6 is more than 5"


@pytest.mark.parametrize(("value", "why"), [(0, ""), (3, ""), (3.0, ""), (4, "4 is none of"), (0.5, "0.5 is none of")])
def test_a_command_of_states_takes_their_numbers(value: float, why: str) -> None:
    assert refusal(HEAT_PUMP.writes["mode"], value).startswith(why)
    if why:
        with pytest.raises(Unfit, match="none of 0 lock, 1 normal, 2 boost, 3 forced"):
            frames(HEAT_PUMP.points, HEAT_PUMP.writes["mode"], value)


@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([BATTERY, CHARGER, HEAT_PUMP]))
def test_what_is_not_refused_can_be_sent(value: float, adapter: Any) -> None:
    for write in adapter.writes.values():
        if refusal(write, value) == "":
            assert frames(adapter.points, write, value)
