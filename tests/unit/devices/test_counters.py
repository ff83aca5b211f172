"""Counters that count, wrap, jump and start again."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridopt.devices.codec import Codec
from gridopt.devices.counters import Event, passed

WH32 = Codec("u32", 2, Fraction(1, 1000))
KWH16 = Codec("u16", 1)
TOP32 = 2**32 / 1000


def test_what_was_counted_is_the_difference() -> None:
    step = passed(WH32, 100.0, 100.25, 60)
    assert (step.kwh, step.event) == (0.25, None)
    assert passed(WH32, 100.0, 100.0, 60).kwh == 0


def test_a_wrap_goes_over_the_end() -> None:
    step = passed(WH32, TOP32 - 0.1, 0.15, 60, most_kw=100)
    assert step.event is Event.WRAPPED
    assert step.kwh == pytest.approx(0.25, abs=1e-6)


def test_a_wrap_that_no_power_explains_is_a_reset() -> None:
    """100 kW bring 1.7 kWh a minute; a wrap would mean 4 GWh."""
    step = passed(WH32, 12345.6, 0.1, 60, most_kw=100)
    assert (step.kwh, step.event) == (None, Event.RESET)
    assert step.why == "from 12345.6 back to 0.1 kWh"


def test_a_jump_upwards_that_no_power_explains_is_a_reset_too() -> None:
    step = passed(WH32, 100.0, 200.0, 60, most_kw=100)
    assert (step.kwh, step.event) == (None, Event.RESET)
    assert step.why == "100 kWh more within 60 s is beyond 100 kW"


def test_one_count_is_never_too_much() -> None:
    """A counter in whole kWh moves by one, however short the time."""
    assert passed(KWH16, 41.0, 42.0, 1, most_kw=10).kwh == 1.0


def test_a_float_counter_does_not_wrap() -> None:
    assert passed(Codec("f32", 2), 4294967.0, 0.1, 3600).event is Event.RESET
    assert passed(Codec("f32", 2, Fraction(1, 1000)), 268435.456, 268435.488, 1, most_kw=1).kwh is not None


def test_a_scale_factor_belongs_to_the_end_of_a_counter() -> None:
    scaled = Codec("u16", 1, scaled=True)
    step = passed(scaled, 655300.0, 200.0, 3600, exponent=1, most_kw=1000)
    assert step.event is Event.WRAPPED
    assert step.kwh == pytest.approx(260.0)


def test_time_that_stands_still_or_runs_back_brings_nothing() -> None:
    assert passed(WH32, 1.0, 2.0, 0).event is Event.RESET
    assert passed(WH32, 1.0, 2.0, -5).event is Event.RESET


@given(st.integers(0, 2**32 - 1), st.integers(0, 50_000), st.integers(60, 600))
def test_over_any_end_what_passed_is_what_was_fed(start: int, counts: int, elapsed_s: int) -> None:
    after = (start + counts) % 2**32
    step = passed(WH32, start / 1000, after / 1000, elapsed_s, most_kw=3000)
    assert step.kwh == pytest.approx(counts / 1000, abs=1e-5)
    assert (step.event is Event.WRAPPED) == (start + counts >= 2**32)


@given(st.floats(10, TOP32 - 50), st.floats(0, 5))
def test_a_reset_is_never_taken_for_consumption(before: float, after: float) -> None:
    assert passed(WH32, before, after, 60, most_kw=2000).event is Event.RESET
