"""Points: where a quantity stands, made from what the file says of it, with every mistake in it."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from gridopt.devices.codec import ABSENT, FLOATS, FORMATS, REGISTERS, Codec
from gridopt.devices.mistakes import Report
from gridopt.devices.schema import BIT_TABLES, TIMER, VALUE, WRITTEN_TABLES, Link
from gridopt.devices.schema import Point as Said
from gridopt.units import SUFFIXES, WIRE, unit_of
from gridopt.written.report import Where
from gridopt.written.words import did_you_mean, listed, quoted

NAME = re.compile(r"[a-z][a-z0-9_]*")
UNSIGNED = ("u16", "u32", "u64")
PlaceOf = Callable[..., Where]


@dataclass(frozen=True)
class Point:
    """One quantity of a device. ``address``: its first register as it goes over the wire, counted from 0; where
    ``sunspec`` names a model, from that model's start. ``scale_factor``: register of its power of ten, likewise.
    ``moves_s``: time within which it moves while the device is alive. ``alone``: read in a request of its own."""

    name: str
    table: str
    address: int
    codec: Codec
    access: str = "r"
    sunspec: int | None = None
    scale_factor: int | None = None
    stale_s: float = 60.0
    moves_s: float | None = None
    alone: bool = False

    @property
    def unit(self) -> str:
        return unit_of(self.name)

    @property
    def end(self) -> int:
        """The register after its last."""
        return self.address + self.codec.registers

    @property
    def counts(self) -> bool:
        """Whether it only counts up: what is called ``energy_``… is counted since the device was made."""
        return self.name.startswith("energy_") and self.codec.type != "text" and not self.codec.codes

    @property
    def readable(self) -> bool:
        return "r" in self.access

    @property
    def writable(self) -> bool:
        return "w" in self.access


def build_point(
    name: str, said: Said, link: Link, absent: Mapping[str, tuple[int, ...]], place: PlaceOf, report: Report
) -> Point:
    """A point from its table. What is wrong is reported; the point is then not to be used."""
    where = f"point {name}"
    if not NAME.fullmatch(name):
        report.add(place(), "bad-name", where=where)
    registers = _registers(said, where, place, report)
    _check_place(said, registers, link, where, place, report)
    _check_names(said, registers, where, place, report)
    factor, offset = _scaling(name, said, where, place, report)
    low = -math.inf if said.low is None else said.low
    high = math.inf if said.high is None else said.high
    if low > high:
        report.add(place("high"), "crossed", where=where, low="low", high="high")
    base = 0 if said.sunspec else link.base
    codec = Codec(
        said.type,
        registers,
        factor,
        offset,
        said.scale_factor is not None,
        (said.word_order or link.word_order) == "low-first",
        (said.byte_order or link.byte_order) == "low-first",
        _absent(said, registers, absent, where, place, report),
        said.codes,
        said.bits,
        low,
        high,
    )
    scale_factor = None if said.scale_factor is None else said.scale_factor - base
    return Point(
        name,
        said.table,
        said.address - base,
        codec,
        said.access,
        said.sunspec,
        scale_factor,
        said.stale_s,
        said.moves_s,
        said.alone,
    )


def _registers(said: Said, where: str, place: PlaceOf, report: Report) -> int:
    if said.type == "text":
        if said.registers is None:
            report.add(place("type"), "text-registers", where=where)
        return said.registers or 1
    if said.registers is not None:
        report.add(place("registers"), "only-text", where=where, type=said.type, registers=REGISTERS[said.type])
    return REGISTERS[said.type]


def _check_place(said: Said, registers: int, link: Link, where: str, place: PlaceOf, report: Report) -> None:
    """The table holds such a type, may be written if the point is, and reaches as far as its registers."""
    bits = said.table in BIT_TABLES
    if bits != (said.type == "bit"):
        holds = "bits" if bits else "words"
        report.add(place("type"), "table-type", where=where, table=said.table, holds=holds, type=said.type)
    if said.access != "r" and said.table not in WRITTEN_TABLES:
        report.add(place("access"), "table-read-only", where=where, table=said.table)
    base = 0 if said.sunspec else link.base
    for key, address, length in (("address", said.address, registers), ("scale_factor", said.scale_factor, 1)):
        high = 0x10000 - length + base
        if address is not None and not base <= address <= high:
            report.add(place(key), "address-range", where=where, key=key, value=address, low=base, high=high)
    if "r" in said.access and registers > link.read_registers:
        report.add(place("type"), "read-long", where=where, length=registers, most=link.read_registers)
    if "r" not in said.access:
        for key in ("moves_s", "alone"):
            if getattr(said, key):
                report.add(place(key), "useless-key", where=where, key=key, what="a point that is not read")


def _check_names(said: Said, registers: int, where: str, place: PlaceOf, report: Report) -> None:
    """Codes and bits are there for words that count, fit into them, and are each called once."""
    for key, names, useless in (
        ("codes", said.codes, said.type in ("text", *FLOATS)),
        ("bits", said.bits, said.type not in UNSIGNED or bool(said.codes)),
    ):
        if names and useless:
            what = f"type {said.type}" if key == "codes" or said.type not in UNSIGNED else "a point that has codes"
            report.add(place(key), "useless-key", where=where, key=key, what=what)
            continue
        seen: dict[int, str] = {}
        for name, number in names.items():
            if not _fits(number, said.type) if key == "codes" else number >= 16 * registers:
                report.add(place(key, name), "code-fit", where=where, key=key, name=name, value=number, type=said.type)
            if name in (VALUE, TIMER):
                report.add(place(key, name), "reserved-code", where=where, key=key, name=name)
            if number in seen:
                fields = {"first": seen[number], "second": name, "value": number}
                report.add(place(key, name), "same-code", where=where, key=key, **fields)
            seen.setdefault(number, name)


def _fits(number: int, type: str) -> bool:
    try:
        struct.pack(">" + FORMATS[type], number)
    except struct.error:
        return False
    return True


def _absent(
    said: Said, registers: int, absent: Mapping[str, tuple[int, ...]], where: str, place: PlaceOf, report: Report
) -> frozenset[int]:
    for number in said.absent or ():
        if number >= 1 << 16 * registers:
            fields = {"key": "absent", "name": "bits", "value": f"0x{number:X}", "type": said.type}
            report.add(place("absent"), "code-fit", where=where, **fields)
    if said.absent is not None:
        return frozenset(said.absent)
    if said.type in absent:
        return frozenset(absent[said.type])
    number = not (said.codes or said.bits)
    return frozenset(ABSENT.get(said.type, ()) if said.sunspec or number else ())


# --- scale and unit --------------------------------------------------------------------------------------------------


def _scaling(name: str, said: Said, where: str, place: PlaceOf, report: Report) -> tuple[Fraction, Fraction]:
    """(factor, offset) of a number's codec: the document's scale, its unit and its sign."""
    if said.type in ("text", "bit") or said.codes or said.bits:
        what = f"a {said.type}" if said.type in ("text", "bit") else "a point that has codes or bits"
        for key in ("unit", "scale", "scale_factor", "offset", "positive", "low", "high"):
            if getattr(said, key) not in (None, 0.0):
                report.add(place(key), "useless-key", where=where, key=key, what=what)
        return Fraction(1), Fraction(0)
    if said.scale == 0:
        report.add(place("scale"), "zero-scale", where=where)
    if said.scale_factor is not None:
        for key in ("scale", "offset"):
            if getattr(said, key):
                report.add(place(key), "either", where=where, choices=f"{key} or scale_factor, not both")
    if name.startswith("power") and said.positive is None:
        report.add(place(), "sign-needed", where=where)
    unit = _wire_factor(name, said.unit, where, place, report)
    sign = -1 if said.positive == "feed" else 1
    scale = Fraction(1) if said.scale is None else _as_written(said.scale)
    return (sign * unit * scale or Fraction(1)), sign * unit * _as_written(said.offset)


def _as_written(number: float) -> Fraction:
    """0.1 as a tenth, not as the double next to it."""
    return Fraction(repr(number))


def _wire_factor(name: str, wire: str | None, where: str, place: PlaceOf, report: Report) -> Fraction:
    """What the unit on the wire is worth in the unit that the name ends with."""
    unit = unit_of(name)
    known = WIRE.get(unit)
    choices = listed(u for u in known or () if u)
    if known is None:
        report.add(place(), "unit-of-name", where=where, unit=unit)
    elif wire is None:
        if unit:
            report.add(place(), "unit-needed", where=where, choices=choices)
    elif wire in known:
        return known[wire]
    elif unit:
        report.add(place("unit"), "no-wire", where=where, value=quoted(wire), unit=unit, choices=choices)
    else:
        meant = next((u for u, others in WIRE.items() if wire in others), None)
        if meant is None:
            hint = did_you_mean(wire, {u for others in WIRE.values() for u in others if u})
            report.add(place("unit"), "unit-unknown", where=where, value=quoted(wire), hint=hint)
        else:
            suffix = next(s for s, u in SUFFIXES.items() if u == meant)
            report.add(place("unit"), "unit-in-name", where=where, value=quoted(wire), suffix=suffix)
    return Fraction(1)


# --- together --------------------------------------------------------------------------------------------------------


def check_overlaps(points: Iterable[Point], base: int, place: PlaceOf, report: Report) -> None:
    """Two points share registers only where they are the same ones: two views of one word."""
    tables: dict[tuple[Any, ...], list[Point]] = {}
    for point in points:
        tables.setdefault((point.table, point.sunspec), []).append(point)
    for (_, sunspec), those in tables.items():
        shift = 0 if sunspec else base
        those.sort(key=lambda p: (p.address, p.end))
        widest = those[0]
        for point in those[1:]:
            if point.address < widest.end and (point.address, point.end) != (widest.address, widest.end):
                fields = {"own": _span(point, shift), "other": widest.name, "others": _span(widest, shift)}
                report.add(place("point", point.name), "overlap", where=f"point {point.name}", **fields)
            widest = max(widest, point, key=lambda p: p.end)


def _span(point: Point, base: int) -> str:
    first, last = point.address + base, point.end - 1 + base
    return str(first) if first == last else f"{first}..{last}"
