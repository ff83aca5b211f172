"""Words ↔ values: known words by hand, exact ways back for all others, and nothing that is not known as a zero."""

from __future__ import annotations

import dataclasses
import math
import struct
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gridopt.devices.codec import (
    ABSENT,
    FLOATS,
    FORMATS,
    REGISTERS,
    Codec,
    Quality,
    Unfit,
    decode,
    encode,
    exponent_of,
)
from gridopt.units import SUFFIXES, WIRE

INTEGERS = tuple(t for t in FORMATS if t not in FLOATS and t != "bit")
FACTORS = ("1", "1/10", "1/1000", "-1/1000", "1/10000", "10", "-10", "1/3600", "36/10", "1/3")


def codec(type: str, factor: str = "1", **more: Any) -> Codec:
    return Codec(type, REGISTERS.get(type, 1), Fraction(factor), **more)


# --- by hand ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "words", "value"),
    [
        (codec("u16", "1/10"), [2304], 230.4),
        (codec("i16"), [0xFFFF], -1.0),
        (codec("i16", "-1"), [0x8000], 32768.0),
        (codec("u32", "1/1000"), [0x0001, 0x86A0], 100.0),
        (codec("u32", "1/1000", low_word_first=True), [0x86A0, 0x0001], 100.0),
        (codec("i32", "1/100000"), [0xFFFE, 0x7960], -1.0),  # -100000 hundredths of a watt are -1 kW
        (codec("i32", low_byte_first=True), [0xFEFF, 0x6079], -100000.0),
        (codec("i32", low_byte_first=True, low_word_first=True), [0x6079, 0xFEFF], -100000.0),
        (codec("u64", "1/100"), [0, 0, 0x0001, 0xE240], 1234.56),
        (codec("u64"), [0xFFFF] * 4, 2.0**64),
        (codec("i64"), [0x8000, 0, 0, 0], -(2.0**63)),
        (codec("i64", low_word_first=True), [5, 0, 0, 0], 5.0),
        (codec("f32"), [0x3FC0, 0x0000], 1.5),
        (codec("f32", low_word_first=True), [0x0000, 0x3FC0], 1.5),
        (codec("f32", "1/1000"), [0x4593, 0x4000], 4.712),
        (codec("f64"), [0x3FF8, 0, 0, 0], 1.5),
        (codec("i16", "1/10", offset=Fraction(-50)), [715], 21.5),
        (codec("bit"), [1], 1.0),
        (codec("u16", codes={"off": 0, "boost": 30}), [30], "boost"),
        (codec("u16", bits={"charge": 0, "discharge": 1, "alarm": 15}), [0x8002], frozenset({"discharge", "alarm"})),
        (codec("u16", bits={"charge": 0}), [0], frozenset()),
        (Codec("text", 3), [0x4142, 0x4320, 0x0000], "ABC"),
        (Codec("text", 2, low_byte_first=True), [0x4241, 0x4443], "ABCD"),
        (Codec("text", 2, low_word_first=True), [0x4142, 0x4344], "ABCD"),  # a text is read in its own order
    ],
)
def test_known_words_have_the_known_value_both_ways(of: Codec, words: list[int], value: Any) -> None:
    found = decode(of, words)
    assert (found.value, found.quality, found.why) == (value, Quality.GOOD, "")
    if value == 2.0**64:  # the double nearest to the largest u64 is one more
        with pytest.raises(Unfit, match="does not fit into u64"):
            encode(of, value)
    elif of.type == "text":
        assert decode(of, encode(of, value)).value == value
    else:
        assert encode(of, value) == tuple(words)


@pytest.mark.parametrize(
    ("word", "exponent"),
    [(0, 0), (1, 1), (0xFFFF, -1), (0xFFFE, -2), (10, 10), (0xFFF6, -10), (11, None), (0xFFF5, None), (0x8000, None)],
)
def test_a_scale_factor_register_says_a_power_of_ten(word: int, exponent: int | None) -> None:
    assert exponent_of(word) == exponent


def test_a_scale_factor_scales() -> None:
    of = codec("i16", "-1/1000", scaled=True)
    assert decode(of, [1234], -1).value == -0.1234
    assert decode(of, [1234], 2).value == -123.4
    assert encode(of, -0.1234, -1) == (1234,)
    assert of.resolution(-1) == pytest.approx(1e-4)
    assert decode(of, [1234], None).quality is Quality.MISSING
    with pytest.raises(Unfit, match="scale factor is not available"):
        encode(of, 1.0, None)


def test_an_exponent_belongs_to_scaled_quantities_alone() -> None:
    assert decode(codec("u16"), [7], -3).value == 7.0


# --- what is not known is never a zero -------------------------------------------------------------------------------


@pytest.mark.parametrize("type", ABSENT)
def test_what_is_not_available_is_missing(type: str) -> None:
    of = codec(type, absent=frozenset(ABSENT[type]))
    words = struct.unpack(f">{of.registers}H", ABSENT[type][0].to_bytes(2 * of.registers, "big"))
    found = decode(of, words)
    assert (found.value, found.quality) == (None, Quality.MISSING)
    assert "means not available" in found.why
    swapped = dataclasses.replace(of, low_word_first=True)
    assert decode(swapped, words[::-1]).quality is Quality.MISSING


@pytest.mark.parametrize("words", [[0x7FC0, 0], [0xFFC0, 0], [0x7F80, 1], [0xFFFF, 0xFFFF]])
def test_every_nan_is_missing(words: list[int]) -> None:
    assert decode(codec("f32"), words).quality is Quality.MISSING


@pytest.mark.parametrize(
    ("of", "words", "why"),
    [
        (codec("f32"), [0x7F80, 0], "inf is not within"),
        (codec("u16", low=45.0, high=65.0), [612], "612 is not within 45..65"),
        (codec("u16", codes={"off": 0}), [7], "the code 7 has no name"),
        (Codec("text", 1), [0xFF41], "no ASCII text"),
        (Codec("text", 1), [0x0741], "not printable"),
    ],
)
def test_what_is_not_plausible_has_no_value(of: Codec, words: list[int], why: str) -> None:
    found = decode(of, words)
    assert (found.value, found.quality) == (None, Quality.OUT_OF_RANGE)
    assert why in found.why


def test_an_empty_text_is_missing() -> None:
    assert decode(Codec("text", 4), [0, 0, 0, 0]).quality is Quality.MISSING
    assert decode(Codec("text", 2), [0x2020, 0x2020]).quality is Quality.MISSING


def test_a_zero_has_no_sign() -> None:
    assert math.copysign(1, decode(codec("i16", "-1/1000"), [0]).value) == 1  # type: ignore[arg-type]
    assert math.copysign(1, decode(codec("f32"), [0x8000, 0]).value) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("words", [[1], [1, 2, 3], [1, -1], [1, 0x10000], [1, 2.0]])
def test_what_are_no_words_of_the_quantity_is_the_readers_bug(words: list[Any]) -> None:
    with pytest.raises(ValueError, match="word"):
        decode(codec("u32"), words)
    with pytest.raises(ValueError, match="0 or 1"):
        decode(codec("bit"), [2])


# --- what does not fit is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "value", "why"),
    [
        (codec("u16"), -1, "does not fit into u16"),
        (codec("u16"), 65536, "does not fit into u16"),
        (codec("u16", "1/10"), 6553.6, "does not fit into u16"),
        (codec("i16"), 32768, "does not fit into i16"),
        (codec("i16", "-1"), -32768, "does not fit into i16"),
        (codec("u32"), 2**32, "does not fit into u32"),
        (codec("i64"), 2**63, "does not fit into i64"),
        (codec("f32"), 1e39, "does not fit into f32"),
        (codec("f64", "1/1000"), 1e306, "does not fit into f64"),
        (codec("bit"), 2, "does not fit into a bit"),
        (codec("bit"), -1, "does not fit into bit"),
        (codec("i16", absent=frozenset({0x8000})), -32768, "would be read as not available"),
        (codec("u16", low=0.0, high=16.0), 17, "17 is not within 0..16"),
        (codec("u16"), math.nan, "not a finite number"),
        (codec("f32"), math.inf, "not a finite number"),
        (codec("u16"), True, "not a finite number"),
        (codec("u16"), "16", "not a finite number"),
        (codec("u16"), None, "not a finite number"),
        (codec("u16", codes={"off": 0}), "on", "not one of off"),
        (codec("u16", codes={"off": 0}), 0, "not one of off"),
        (codec("u16", bits={"a": 0}), ["b"], "not made of a"),
        (codec("u16", bits={"a": 0}), 1, "not made of a"),
        (Codec("text", 2), "ABCDE", "1..4 characters"),
        (Codec("text", 2), "", "1..4 characters"),
        (Codec("text", 2), "é", "not a printable ASCII text"),
        (Codec("text", 2), "A ", "not a printable ASCII text"),
    ],
)
def test_what_does_not_fit_is_refused(of: Codec, value: object, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        encode(of, value)


# --- exact ways back -------------------------------------------------------------------------------------------------


@st.composite
def integers(draw: Any) -> tuple[Codec, tuple[int, ...]]:
    """Any integer of up to 53 bits in any order of words and bytes, with any factor and offset."""
    type = draw(st.sampled_from(INTEGERS))
    low, high = ((-(2**53), 2**53) if type.startswith("i") else (0, 2**53)) if "64" in type else (None, None)
    if low is None:
        bits = 16 * REGISTERS[type]
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if type.startswith("i") else (0, 2**bits - 1)
    of = codec(
        type,
        draw(st.sampled_from(FACTORS)),
        low_word_first=draw(st.booleans()),
        low_byte_first=draw(st.booleans()),
        scaled=draw(st.booleans()),
    )
    number = draw(st.integers(low, high))
    raw = struct.pack(">" + FORMATS[type], number)
    words = struct.unpack(("<" if of.low_byte_first else ">") + f"{of.registers}H", raw)
    return of, words[::-1] if of.low_word_first else words


@given(integers(), st.integers(-10, 10))
def test_integers_come_back_as_they_went(case: tuple[Codec, tuple[int, ...]], exponent: int) -> None:
    of, words = case
    value = decode(of, words, exponent).value
    assert isinstance(value, float)
    assert encode(of, value, exponent) == words


@given(integers(), st.integers(-10, 10))
def test_a_value_is_the_double_nearest_to_what_the_words_mean(
    case: tuple[Codec, tuple[int, ...]], exponent: int
) -> None:
    of, words = case
    order = words[::-1] if of.low_word_first else words
    raw = struct.pack(("<" if of.low_byte_first else ">") + f"{len(order)}H", *order)
    exact = of.factor * int.from_bytes(raw, "big", signed=of.type.startswith("i"))
    exact *= Fraction(10) ** exponent if of.scaled else 1
    assert decode(of, words, exponent).value == float(exact)


@given(st.sampled_from(["u16", "i16", "u32", "i32"]), st.integers(-(2**15), 2**32 - 1), st.integers(-2000, 2000))
def test_an_offset_goes_both_ways(type: str, number: int, tenths: int) -> None:
    of = codec(type, "1/10", offset=Fraction(tenths, 10))
    try:
        raw = struct.pack(">" + FORMATS[type], number)
    except struct.error:
        assume(False)
    words = struct.unpack(f">{of.registers}H", raw)
    assert decode(of, words).value == float(Fraction(number, 10) + of.offset)
    assert encode(of, float(Fraction(number, 10) + of.offset)) == words


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from(FACTORS), st.booleans())
def test_single_floats_come_back_as_they_went(number: float, factor: str, swapped: bool) -> None:
    assume(number != 0 or math.copysign(1, number) == 1)
    of = codec("f32", factor, low_word_first=swapped)
    words = struct.unpack(">2H", struct.pack(">f", number))
    words = words[::-1] if swapped else words
    value = decode(of, words).value
    assert isinstance(value, float)
    assert encode(of, value) == words


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_double_floats_come_back_as_they_went_where_the_factor_is_one(number: float) -> None:
    of = codec("f64")
    assert decode(of, encode(of, number)).value == number


@given(st.floats(-1e300, 1e300), st.sampled_from(FACTORS))
def test_double_floats_come_back_to_their_last_bit(number: float, factor: str) -> None:
    of = codec("f64", factor)
    assume(abs(number) > 1e-300)
    found = decode(of, encode(of, number)).value
    assert isinstance(found, float)
    assert abs(found - number) <= 2 * math.ulp(number)


@given(st.sampled_from(INTEGERS), st.sampled_from(FACTORS), st.floats(-1e6, 1e6))
def test_what_is_encoded_is_the_value_to_half_a_resolution_or_refused(type: str, factor: str, value: float) -> None:
    of = codec(type, factor)
    try:
        words = encode(of, value)
    except Unfit:
        low, high = (-(2 ** (16 * of.registers - 1)), 2 ** (16 * of.registers - 1) - 1)
        if type.startswith("u"):
            low, high = 0, 2 ** (16 * of.registers) - 1
        assert not low <= round(Fraction(value) / of.factor) <= high
        return
    back = decode(of, words).value
    assert isinstance(back, float)
    assert abs(back - value) <= of.resolution() * (0.5 + 1e-9)


@given(st.integers(0, 0xFFFF))
def test_bits_come_back_as_they_went(word: int) -> None:
    of = codec("u16", bits={f"b{n}": n for n in range(16)})
    assert encode(of, decode(of, [word]).value) == (word,)


def test_a_bit_without_a_name_is_told_and_cannot_be_written() -> None:
    of = codec("u16", bits={"a": 0})
    assert decode(of, [0b101]).value == frozenset({"a", "bit-2"})
    with pytest.raises(Unfit):
        encode(of, {"a", "bit-2"})


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=16), st.booleans())
def test_texts_come_back_as_they_went(text: str, swapped: bool) -> None:
    of = Codec("text", 8, low_byte_first=swapped)
    assert decode(of, encode(of, text)).value == text


@given(st.sampled_from(tuple(FORMATS)), st.lists(st.integers(0, 0xFFFF), min_size=4, max_size=4), st.booleans())
def test_no_words_crash_or_come_through_outside_the_range(type: str, words: list[int], swapped: bool) -> None:
    of = codec(type, "1/1000", low_word_first=swapped, low=-50.0, high=50.0)
    part = words[: of.registers] if type != "bit" else [words[0] & 1]
    found = decode(of, part)
    if found.quality is Quality.GOOD:
        assert isinstance(found.value, float)
        assert -50 <= found.value <= 50
    else:
        assert found.value is None
        assert found.why


# --- units -----------------------------------------------------------------------------------------------------------


def test_units_on_the_wire_are_those_of_gridopt() -> None:
    assert set(WIRE) - {""} <= set(SUFFIXES.values())
    for unit, wire in WIRE.items():
        assert wire[unit] == 1
    assert WIRE["kW"]["W"] * 1000 == WIRE["kWh"]["MWh"] / 1000 == 1
    assert WIRE["s"]["min"] == 60
