"""Words ↔ values: how one quantity stands in a device's registers. Knows no file and no link.

    value = factor * 10^exponent * raw + offset                                                              (1)

``raw`` is the number that the words hold; ``factor`` and ``offset`` carry the document's scale, the step from the
wire's unit to gridopt's (W → kW) and the sign (power that the device calls positive when it feeds in is negative
here); ``exponent`` comes from a scale-factor register, where the device has one, and is 0 otherwise. They are exact
fractions, so that a value is the double nearest to what the words mean, and words → value → words is the identity for
every integer of up to 53 bits and for f32; an f64 may move by its last bit where the factor is not 1.

What is not known is a quality, never a zero. What does not fit is refused, never wrapped.

Source: Modbus Application Protocol V1.1b3 (big-endian registers); SunSpec Information Model Specification (scale
factors, not-available codes).
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

Value = float | str | frozenset[str]
"""A number in gridopt's unit; a text or the name of a code; the names of the bits that are set."""

FORMATS = {"u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "i64": "q", "f32": "f", "f64": "d", "bit": "H"}
REGISTERS = {"u16": 1, "i16": 1, "u32": 2, "i32": 2, "u64": 4, "i64": 4, "f32": 2, "f64": 4, "bit": 1}
TYPES = (*FORMATS, "text")
FLOATS = ("f32", "f64")

MOST_EXPONENT = 10
"""SunSpec's scale factors lie within -10..10; what lies beyond was not read from one."""

ABSENT = {
    "u16": (0xFFFF,),
    "i16": (0x8000,),
    "u32": (0xFFFF_FFFF,),
    "i32": (0x8000_0000,),
    "u64": (0xFFFF_FFFF_FFFF_FFFF,),
    "i64": (0x8000_0000_0000_0000,),
}
"""Bits that mean "not available" in SunSpec, and in most documents that say nothing of it: the last numbers that a
measurement would hold. An accumulator of SunSpec, whose code is 0, says so itself."""


class Quality(StrEnum):
    """What a reading is worth. Only what is good or guessed has a value; a guess is never taken for a measurement."""

    GOOD = "good"
    GUESSED = "guessed"
    """Put in for a reading that is not there."""
    STALE = "stale"
    """Older than it may be."""
    OUT_OF_RANGE = "out-of-range"
    """Read, but not plausible."""
    MISSING = "missing"
    """The device itself says that it has no value."""
    FAILED = "failed"
    """No answer, or none that could be trusted."""


class Unfit(ValueError):
    """A value that registers cannot hold, or must not: the message says why."""


@dataclass(frozen=True)
class Codec:
    """How one quantity stands in ``registers`` words; see the head of this module.

    ``scaled``: a scale-factor register belongs to it. ``absent``: bits, as one unsigned number, that mean "not
    available". ``codes``: name → number of an enumeration; ``bits``: name → place of a bit, 0 the lowest. ``low``,
    ``high``: plausible values, in gridopt's unit.
    """

    type: str
    registers: int
    factor: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)
    scaled: bool = False
    low_word_first: bool = False
    low_byte_first: bool = False
    absent: frozenset[int] = frozenset()
    codes: Mapping[str, int] = field(default_factory=dict)
    bits: Mapping[str, int] = field(default_factory=dict)
    low: float = -math.inf
    high: float = math.inf

    @functools.cached_property
    def pack(self) -> struct.Struct:
        """Words ↔ bytes, each word's higher byte first unless the device has it otherwise."""
        return struct.Struct(("<" if self.low_byte_first else ">") + f"{self.registers}H")

    @functools.cached_property
    def number(self) -> struct.Struct:
        """Bytes ↔ the raw number."""
        return struct.Struct(">" + FORMATS[self.type])

    @functools.cached_property
    def line(self) -> tuple[int, int, int]:
        """(a, b, c): a value without exponent is (a * raw + b) / c, rounded once where raw is an integer."""
        c = self.factor.denominator * self.offset.denominator
        return int(self.factor * c), int(self.offset * c), c

    @functools.cached_property
    def turned(self) -> bool:
        """Whether the words come lowest first; those of a text never do."""
        return self.low_word_first and self.type != "text"

    def resolution(self, exponent: int = 0) -> float:
        """Distance of two values that neighbouring words hold; 0 for a floating-point register."""
        return 0.0 if self.type in FLOATS else abs(float(self.factor)) * 10.0**exponent


class Decoded(NamedTuple):
    """What words mean. ``value`` is there when the quality is good; ``why`` says in words why it is not."""

    value: Value | None
    quality: Quality = Quality.GOOD
    why: str = ""


# --- words → value ---------------------------------------------------------------------------------------------------


def decode(codec: Codec, words: Sequence[int], exponent: int | None = None) -> Decoded:
    """What a quantity's words mean.

    ``exponent``: what ``exponent_of`` made of the scale-factor register read with them. Raises ValueError for a wrong
    number of words, or what is no word: the reader's bug, not the device's.
    """
    raw = _bytes(codec, words)
    if codec.type == "text":
        return _text(raw)
    if codec.absent and (pattern := int.from_bytes(raw, "big")) in codec.absent:
        return Decoded(None, Quality.MISSING, f"0x{pattern:0{2 * len(raw)}X} means not available")
    (number,) = codec.number.unpack(raw)
    if codec.type == "bit" and number > 1:
        raise ValueError(f"a bit is 0 or 1, not {number}")
    if codec.codes:
        return _named(codec.codes, number)
    if codec.bits:
        return Decoded(_set_bits(codec.bits, number))
    if number != number:  # NaN alone differs from itself
        return Decoded(None, Quality.MISSING, "not a number")
    if codec.scaled and exponent is None:
        return Decoded(None, Quality.MISSING, "its scale factor is not available")
    value = _scale(codec, number, exponent if codec.scaled and exponent else 0)
    if codec.low <= value <= codec.high and -math.inf < value < math.inf:
        return Decoded(value)
    return Decoded(None, Quality.OUT_OF_RANGE, f"{value:g} is not within {codec.low:g}..{codec.high:g}")


def exponent_of(word: int) -> int | None:
    """Power of ten that a scale-factor register (i16) says; None where it has none, or one beyond ±10."""
    exponent = word - 0x10000 if word >= 0x8000 else word
    return exponent if abs(exponent) <= MOST_EXPONENT else None


def _bytes(codec: Codec, words: Sequence[int]) -> bytes:
    """The words' bytes, the highest first."""
    if len(words) != codec.registers:
        raise ValueError(f"{codec.registers} words are needed, not {len(words)}")
    try:
        return codec.pack.pack(*(words[::-1] if codec.turned else words))
    except struct.error as error:
        raise ValueError(f"a word is a whole number within 0..65535: {list(words)}") from error


def _text(raw: bytes) -> Decoded:
    """Up to the first NUL, without the blanks at its end."""
    said = raw.split(b"\0", 1)[0]
    try:
        text = said.decode("ascii").rstrip()
    except UnicodeDecodeError:
        return Decoded(None, Quality.OUT_OF_RANGE, f"no ASCII text: {said!r}")
    if not text:
        return Decoded(None, Quality.MISSING, "the text is empty")
    return Decoded(text) if text.isprintable() else Decoded(None, Quality.OUT_OF_RANGE, f"not printable: {text!r}")


def _named(codes: Mapping[str, int], number: int) -> Decoded:
    name = next((name for name, code in codes.items() if code == number), None)
    if name is None:
        return Decoded(None, Quality.OUT_OF_RANGE, f"the code {number} has no name")
    return Decoded(name)


def _set_bits(bits: Mapping[str, int], pattern: int) -> frozenset[str]:
    """Names of the bits that are set; one without a name is called by its place."""
    names = {place: name for name, place in bits.items()}
    return frozenset(names.get(n, f"bit-{n}") for n in range(pattern.bit_length()) if pattern >> n & 1)


def _scale(codec: Codec, number: float, exponent: int) -> float:
    """(1)"""
    a, b, c = codec.line
    if exponent > 0:
        a *= 10**exponent
    elif exponent < 0:
        b, c = b * 10**-exponent, c * 10**-exponent
    return (a * number + b) / c + 0.0  # + 0.0: no minus before a zero


# --- value → words ---------------------------------------------------------------------------------------------------


def encode(codec: Codec, value: object, exponent: int | None = None) -> tuple[int, ...]:
    """The words that hold a value, or the nearest they can hold: at most half a ``resolution`` away.

    Raises Unfit for what is no number (or no name of the codec), does not fit the type, lies outside the plausible
    range, or would read back as "not available".
    """
    if codec.type == "text":
        return _words(codec, _ascii(codec, value))
    if codec.codes:
        number: float = _code(codec.codes, value)
    elif codec.bits:
        number = _pattern(codec.bits, value)
    else:
        number = _number(codec, value, exponent)
    try:
        raw = codec.number.pack(number)
    except (struct.error, OverflowError) as error:
        raise Unfit(f"{value} does not fit into {codec.type}") from error
    if codec.type == "bit" and number > 1:
        raise Unfit(f"{value} does not fit into a bit")
    if int.from_bytes(raw, "big") in codec.absent:
        raise Unfit(f"{value} would be read as not available")
    return _words(codec, raw)


def _said(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return repr(sorted(map(str, value)) if isinstance(value, frozenset) else value)


def _words(codec: Codec, raw: bytes) -> tuple[int, ...]:
    words = codec.pack.unpack(raw)
    return words[::-1] if codec.turned else words


def _ascii(codec: Codec, value: object) -> bytes:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or value != value.rstrip():
        raise Unfit(f"{_said(value)} is not a printable ASCII text")
    if not 0 < len(value) <= 2 * codec.registers:
        raise Unfit(f"{value!r} has not 1..{2 * codec.registers} characters")
    return value.encode().ljust(2 * codec.registers, b"\0")


def _code(codes: Mapping[str, int], value: object) -> int:
    if not isinstance(value, str) or value not in codes:
        raise Unfit(f"{_said(value)} is not one of {', '.join(codes)}")
    return codes[value]


def _pattern(bits: Mapping[str, int], value: object) -> int:
    names = [value] if isinstance(value, str) else list(value) if isinstance(value, Collection) else [value]
    if not all(isinstance(name, str) and name in bits for name in names):
        raise Unfit(f"{_said(value)} is not made of {', '.join(bits)}")
    return sum(1 << bits[str(name)] for name in set(names))


def _number(codec: Codec, value: object, exponent: int | None) -> float:
    """The raw number nearest to a value."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise Unfit(f"{_said(value)} is not a finite number")
    if not codec.low <= value <= codec.high:
        raise Unfit(f"{value:g} is not within {codec.low:g}..{codec.high:g}")
    if not codec.scaled:
        exponent = 0
    elif exponent is None:
        raise Unfit("its scale factor is not available")
    exact = (Fraction(value) - codec.offset) / (codec.factor * Fraction(10) ** exponent)
    if codec.type not in FLOATS:
        return round(exact)
    try:
        return float(exact)
    except OverflowError as error:
        raise Unfit(f"{value:g} does not fit into {codec.type}") from error
