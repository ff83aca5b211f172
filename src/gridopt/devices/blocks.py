"""The read plan: which registers are asked for together, and what the answers mean.

A device is read in blocks: as few as its own limits allow (``read_registers``, ``bridge_registers``), each point whole
in one of them, a scale factor with what it scales wherever the lengths allow. Where they do not, the block of the scale
factor is read directly before or after. Within a SunSpec model every register exists, so gaps there may be crossed.

The cheapest split of the registers in order is found exactly (shortest path over the places where a block may end):
first the fewest scale factors torn off, then the fewest requests, then the fewest registers.
"""

from __future__ import annotations

import functools
import operator
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gridopt.devices.codec import FLOATS, FORMATS, Codec, Decoded, Quality, Value, decode, exponent_of
from gridopt.devices.points import Point
from gridopt.devices.schema import Link

Words = Sequence[int]
Place = tuple[str, int]
"""A register: its table and its number on the wire."""


@dataclass(frozen=True)
class Spot:
    """A point where it stands in one device. ``area``: start of the SunSpec model that it is part of."""

    name: str
    table: str
    address: int
    codec: Codec
    scale_factor: int | None = None
    area: int | None = None
    alone: bool = False

    @property
    def end(self) -> int:
        return self.address + self.codec.registers


def spots(points: Iterable[Point], starts: Mapping[int, int], shift: int = 0) -> list[Spot]:
    """Points with their registers as they go over the wire.

    ``starts``: SunSpec model → its first register; points of a model that is not there are left out. ``shift``: how
    much further on the part of the device is that is meant.
    """
    found = []
    for point in points:
        start = shift if point.sunspec is None else starts.get(point.sunspec)
        if start is None:
            continue
        factor = None if point.scale_factor is None else point.scale_factor + start
        area = None if point.sunspec is None else start
        found.append(Spot(point.name, point.table, point.address + start, point.codec, factor, area, point.alone))
    return found


# --- blocks ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """Registers that one request asks for. ``spots``: the points in it; ``factors``: scale factors in it."""

    table: str
    address: int
    count: int
    spots: tuple[Spot, ...]
    factors: tuple[int, ...] = ()

    @property
    def end(self) -> int:
        return self.address + self.count

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(spot.name for spot in self.spots)

    @functools.cached_property
    def scaled(self) -> tuple[Spot, ...]:
        """Its points that have a scale factor."""
        return tuple(spot for spot in self.spots if spot.scale_factor is not None)

    @functools.cached_property
    def torn(self) -> frozenset[Place]:
        """Scale factors of its points that stand in another block."""
        needed = {s.scale_factor for s in self.scaled}
        return frozenset((self.table, r) for r in needed if r is not None and not self.address <= r < self.end)

    @functools.cached_property
    def decode(self) -> Callable[[Words, Mapping[Place, int]], dict[str, Decoded]]:
        """Words of the block, and of scale factors elsewhere → what its points read; see ``decoder``."""
        return decoder(self)

    def factor_words(self, words: Words) -> dict[Place, int]:
        """What its scale factors read."""
        return {(self.table, r): words[r - self.address] for r in self.factors}

    def halves(self) -> tuple[Block, ...]:
        """The block in two, or as it is where it is a single span: to find a register that is refused."""
        return tuple(_block(self.table, part) for part in _halved(_spans(self.spots, self.factors, self.table)) if part)


@dataclass(frozen=True)
class _Span:
    """Registers that must stay together: a point, several views of one, or a scale factor."""

    address: int
    end: int
    spots: tuple[Spot, ...]
    factor: bool
    area: int | None
    alone: bool


def plan(spots: Iterable[Spot], link: Link) -> tuple[tuple[Block, ...], ...]:
    """Bunches of blocks, in the order of their registers. The blocks of a bunch share scale factors: they are read one
    directly after the other. A point longer than the device's longest answer is a mistake of its file, and not seen
    here."""
    tables: dict[str, list[Spot]] = {}
    for spot in spots:
        tables.setdefault(spot.table, []).append(spot)
    return tuple(bunch for table, those in sorted(tables.items()) for bunch in _bunches(_cut(table, those, link)))


def _spans(spots: Iterable[Spot], factors: Iterable[int], table: str) -> list[_Span]:
    """What must stay together, by its registers. A point may itself be the scale factor of others."""
    by_place: dict[tuple[int, int], list[Spot]] = {}
    for spot in spots:
        by_place.setdefault((spot.address, spot.end), []).append(spot)
    areas = {s.scale_factor: s.area for those in by_place.values() for s in those if s.scale_factor is not None}
    wanted = set(factors)
    found = []
    for (address, end), those in by_place.items():
        factor = end == address + 1 and address in wanted
        alone = any(s.alone for s in those)
        found.append(_Span(address, end, tuple(those), factor, those[0].area, alone))
    covered = {r for span in found for r in range(span.address, span.end)}
    found += [_Span(r, r + 1, (), True, areas.get(r), False) for r in wanted - covered]
    return sorted(found, key=lambda span: span.address)


def _cut(table: str, spots: Sequence[Spot], link: Link) -> list[Block]:
    """The blocks of one table: the shortest path over the spans, in the order of torn factors, requests, registers."""
    factors = {s.scale_factor for s in spots if s.scale_factor is not None}
    spans = _spans(spots, factors, table)
    home = {r: k for k, span in enumerate(spans) for r in range(span.address, span.end)}
    needs = [{home[s.scale_factor] for s in span.spots if s.scale_factor is not None} for span in spans]
    needed_by = [[k for k, others in enumerate(needs) if at in others] for at in range(len(spans))]
    best: list[tuple[tuple[int, int, int], int]] = [((0, 0, 0), 0)]
    for last in range(len(spans)):
        found: tuple[tuple[int, int, int], int] | None = None
        torn = 0
        for first in range(last, -1, -1):
            if first < last and not _together(spans[first], spans[first + 1], spans[last], link):
                break
            torn += sum(k < first or k > last for k in needs[first]) - sum(first < k <= last for k in needed_by[first])
            (before_torn, requests, registers), _ = best[first]
            length = spans[last].end - spans[first].address
            cost = (before_torn + torn, requests + 1, registers + length), first
            found = min(found or cost, cost)
        assert found is not None
        best.append(found)
    blocks, last = [], len(spans)
    while last:
        first = best[last][1]
        blocks.append(_block(table, spans[first:last]))
        last = first
    return blocks[::-1]


def _together(span: _Span, following: _Span, last: _Span, link: Link) -> bool:
    """Whether a block that ends with ``last`` may start with ``span``, given that it may start with the next one."""
    gap = following.address - span.end
    same_model = span.area is not None and span.area == following.area
    near = gap <= link.bridge_registers or same_model
    return near and last.end - span.address <= link.read_registers and not (span.alone or following.alone)


def _block(table: str, spans: Sequence[_Span]) -> Block:
    address, end = spans[0].address, spans[-1].end
    factors = tuple(span.address for span in spans if span.factor)
    return Block(table, address, end - address, tuple(s for span in spans for s in span.spots), factors)


def _halved(spans: list[_Span]) -> tuple[list[_Span], list[_Span]]:
    """In two at the widest gap near the middle: where a hole is what the device refuses, it is found first."""
    if len(spans) < 2:
        return spans, []
    gaps = [(spans[k].address - spans[k - 1].end, -abs(2 * k - len(spans)), k) for k in range(1, len(spans))]
    at = max(gaps)[2]
    return spans[:at], spans[at:]


def _bunches(blocks: list[Block]) -> list[tuple[Block, ...]]:
    """Blocks that share scale factors, side by side."""
    bunch = {id(block): [block] for block in blocks}
    holder = {place: block for block in blocks for place in block.factor_words(range(block.count))}
    for block in blocks:
        for place in block.torn:
            ours, theirs = bunch[id(block)], bunch[id(holder[place])]
            if ours is not theirs:
                ours += theirs
                bunch.update((id(other), ours) for other in theirs)
    seen: set[int] = set()
    found = []
    for block in blocks:
        those = bunch[id(block)]
        if id(those) not in seen:
            seen.add(id(those))
            found.append(tuple(sorted(those, key=lambda b: b.address)))
    return found


# --- what the words of a block mean ----------------------------------------------------------------------------------

LARGEST = 1.7976931348623157e308


def decoder(block: Block) -> Callable[[Words, Mapping[Place, int]], dict[str, Decoded]]:
    """A function that decodes a whole block at once: all its numbers are unpacked by one format.

    It says of each point what ``decode`` says. What is not plainly good, is a text, or has its bytes in another order,
    is left to ``decode`` itself.
    """
    order, shape, fast, slow = _layout(block)
    reorder = operator.itemgetter(*order) if order != list(range(block.count)) else None
    pack, unpack = struct.Struct(f">{block.count}H").pack, struct.Struct(">" + shape).unpack
    rows = [(spot.name, spot, spot.scale_factor, make) for spot, make in fast]
    torn = [(spot.name, (block.table, spot.scale_factor)) for spot in block.spots if spot.scale_factor is not None]
    torn = [(name, place) for name, place in torn if place in block.torn]
    scaled = bool(block.scaled)
    new, good = tuple.__new__, Quality.GOOD

    def decode_block(words: Words, factors: Mapping[Place, int]) -> dict[str, Decoded]:
        if len(words) != block.count:
            raise ValueError(f"{block.count} words are needed, not {len(words)}")
        try:
            numbers = unpack(pack(*(words if reorder is None else reorder(words))))
        except struct.error as error:
            raise ValueError(f"a word is a whole number within 0..65535: {list(words)}") from error
        exponents: dict[int | None, int | None] = {}
        if scaled:
            known = block.factor_words(words) | dict(factors)
            exponents |= {r: exponent_of(word) for (table, r), word in known.items() if table == block.table}
        found: dict[str, Decoded] = {}
        for number, (name, spot, factor, make) in zip(numbers, rows, strict=True):
            value = make(number, exponents.get(factor) if scaled else None)
            if value is None:
                found[name] = _one(block, spot, words, exponents.get(factor))
            else:
                found[name] = new(Decoded, (value, good, ""))
        for spot in slow:
            found[spot.name] = _one(block, spot, words, exponents.get(spot.scale_factor))
        for name, place in torn:
            if place not in factors:
                found[name] = Decoded(None, Quality.FAILED, "its scale factor was not read")
        return found

    return decode_block


def _one(block: Block, spot: Spot, words: Words, exponent: int | None) -> Decoded:
    at = spot.address - block.address
    return decode(spot.codec, words[at : at + spot.codec.registers], exponent)


Make = Callable[[Any, int | None], Value | None]


def _layout(block: Block) -> tuple[list[int], str, list[tuple[Spot, Make]], list[Spot]]:
    """(words in the order of their bytes, format of the whole block, points in that format, points that are not)."""
    order = list(range(block.count))
    shape, at = "", 0
    fast: list[tuple[Spot, Make]] = []
    slow: list[Spot] = []
    for spot in sorted(block.spots, key=lambda s: s.address):
        first, end = spot.address - block.address, spot.end - block.address
        codec = spot.codec
        odd = codec.type == "text" or codec.low_byte_first or codec.bits or (codec.type in FLOATS and codec.absent)
        if first < at or odd:
            slow.append(spot)
            continue
        if codec.turned:
            order[first:end] = order[first:end][::-1]
        shape += f"{2 * (first - at)}x{FORMATS[codec.type]}"
        at = end
        fast.append((spot, _maker(codec)))
    return order, f"{shape}{2 * (block.count - at)}x", fast, slow


def _maker(codec: Codec) -> Make:
    """Number → value where it is plainly good, else None."""
    signed = struct.Struct(">" + FORMATS[codec.type])
    absent = frozenset(signed.unpack(p.to_bytes(2 * codec.registers, "big"))[0] for p in codec.absent)
    if codec.type == "bit":
        return lambda number, _: float(number) if number <= 1 else None
    if codec.codes:
        names = {code: name for name, code in reversed(list(codec.codes.items()))}
        return lambda number, _: None if number in absent else names.get(number)
    a, b, c = codec.line
    low, high = max(codec.low, -LARGEST), min(codec.high, LARGEST)  # what is infinite, or no number, is not within

    def plain(number: float, _: int | None) -> float | None:
        value = (a * number + b) / c + 0.0
        return value if low <= value <= high and number not in absent else None

    def simple(number: float, _: int | None) -> float | None:
        value = number / c + 0.0
        return value if low <= value <= high else None

    lines: dict[int, tuple[int, int, int]] = {}

    def scaled(number: float, exponent: int | None) -> float | None:
        if exponent is None or number in absent:
            return None
        line = lines.get(exponent)
        if line is None:
            up, down = (10**exponent, 1) if exponent > 0 else (1, 10**-exponent)
            line = lines[exponent] = a * up, b * down, c * down
        value = (line[0] * number + line[1]) / line[2] + 0.0
        return value if low <= value <= high else None

    if codec.scaled:
        return scaled
    return simple if (a, b) == (1, 0) and not absent else plain
