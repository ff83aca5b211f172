"""Worked checks: words and what they mean, commands and what is sent. They prove that a file says what it should."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gridopt.devices.codec import FLOATS, Codec, Decoded, Quality, Unfit, Value, decode, encode, exponent_of
from gridopt.devices.frames import Frame, frames, refusal
from gridopt.devices.points import Point
from gridopt.devices.schema import Check, Write
from gridopt.written.words import did_you_mean

PRECISION = {"f32": 1e-6, "f64": 1e-12}
"""How close a decimal number in the file comes to a float in the words; for integers, 1e-12."""


@dataclass(frozen=True)
class Result:
    """One worked check: what was given, what it means. ``code`` and ``fields``: the mistake, at ``key``, if any."""

    of: str
    given: str
    means: str
    code: str = ""
    key: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return not self.code


def result(check: Check, points: Mapping[str, Point], writes: Mapping[str, Write], base: int) -> Result:
    """What a worked check comes to. ``base``: the number that the file gives to the first register."""
    reads = check.point is not None and (check.value is None) != (check.quality is None)
    sends = check.write is not None and check.value is not None and bool(check.frames)
    if reads == sends or (check.point and check.write):
        return Result(check.point or check.write or "", "", "", "check-what")
    return _read(check, points) if reads else _sent(check, points, writes, base)


# --- words and their value -------------------------------------------------------------------------------------------


def _read(check: Check, points: Mapping[str, Point]) -> Result:
    name = str(check.point)
    point = points.get(name)
    if point is None:
        fields = {"key": "point", "value": name, "hint": did_you_mean(name, points, "there are")}
        return Result(name, "", "", "unknown-point", "point", fields)
    codec, given = point.codec, words_said(check.words)
    if len(check.words) != codec.registers:
        numbers: dict[str, Any] = {"point": name, "needed": codec.registers, "found": len(check.words)}
        return Result(name, given, "", "check-words", "words", numbers)
    exponent = None if check.scale_factor is None else exponent_of(check.scale_factor & 0xFFFF)
    try:
        found = decode(codec, check.words, exponent)
    except ValueError as why:
        return Result(name, given, "", "check-bad-words", "words", {"point": name, "why": str(why)})
    means, expected = _meaning(found, point.unit), _expected(check, point.unit)
    fields = {"point": name, "words": given, "found": means, "expected": expected}
    if not _as_expected(codec, check, found):
        return Result(name, given, means, "check-value", "value", fields)
    if found.quality is not Quality.GOOD or codec.type == "text":
        return Result(name, given, means)
    try:
        back = encode(codec, check.value, exponent)
    except Unfit as why:
        return Result(name, given, means, "check-refused", "value", fields | {"why": str(why)})
    if back != check.words:
        return Result(name, given, means, "check-back", "value", fields | {"found": words_said(back)})
    return Result(name, given, means)


def _as_expected(codec: Codec, check: Check, found: Decoded) -> bool:
    if check.quality is not None:
        return found.quality == check.quality
    if found.quality is not Quality.GOOD:
        return False
    if isinstance(found.value, float) and isinstance(check.value, float):
        precision = PRECISION[codec.type] if codec.type in FLOATS else 1e-12
        return math.isclose(found.value, check.value, rel_tol=precision, abs_tol=1e-12)
    return bool(found.value == check.value)


def _meaning(found: Decoded, unit: str) -> str:
    if found.quality is not Quality.GOOD or found.value is None:
        return f"{found.quality} ({found.why})"
    return value_said(found.value, unit)


def _expected(check: Check, unit: str) -> str:
    return str(check.quality) if check.quality is not None else value_said(check.value, unit)


# --- commands and what is sent ---------------------------------------------------------------------------------------


def _sent(check: Check, points: Mapping[str, Point], writes: Mapping[str, Write], base: int) -> Result:
    name = str(check.write)
    write = writes.get(name)
    if write is None:
        hint = did_you_mean(name, writes, "there are")
        return Result(name, "", "", "unknown-write", "write", {"value": name, "hint": hint})
    given = value_said(check.value, "")
    factor = None if check.scale_factor is None else exponent_of(check.scale_factor & 0xFFFF)
    exponents = {p: factor for p in points if points[p].codec.scaled}
    try:
        why = "" if isinstance(check.value, float) else f"{check.value!r} is not a number"
        why = why or refusal(write, check.value, -math.inf, math.inf)
        if why:
            raise Unfit(why)
        sent = frames(points, write, check.value, check.readings, exponents)
    except Unfit as refused:
        fields = {"point": name, "expected": given, "why": str(refused)}
        return Result(name, given, "", "check-refused", "value", fields)
    found = frames_said(sent, base)
    expected = "; ".join(
        f"{_register(key)}: {words_said(words)}" for step in check.frames for key, words in step.items()
    )
    if found != expected:
        fields = {"write": name, "value": given, "found": found, "expected": expected}
        return Result(name, given, found, "check-frames", "frames", fields)
    return Result(name, given, found)


def _register(said: str) -> str:
    """A register's number as ``frames_said`` puts it, also where it is written in hexadecimal."""
    try:
        return str(int(said, 0))
    except ValueError:
        return said


# --- words -----------------------------------------------------------------------------------------------------------


def words_said(words: tuple[int, ...]) -> str:
    """``0x4593 0x4000``."""
    return " ".join(f"0x{word:04X}" for word in words)


def frames_said(sent: tuple[Frame, ...], base: int) -> str:
    """``5018: 0x003C; 5004: 0x3E80``, registers numbered as in the file."""
    return "; ".join(f"{f.address + (0 if f.sunspec else base)}: {words_said(f.words)}" for f in sent)


def value_said(value: Value, unit: str) -> str:
    """``4.712 kW``, ``boost``, ``charge, discharge``."""
    if isinstance(value, float):
        return f"{value:.10g} {unit}".rstrip()
    return value if isinstance(value, str) else ", ".join(sorted(value)) or "no bit"
