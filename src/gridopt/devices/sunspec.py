"""SunSpec: where a device's models start, and what any model reads, also without an adapter.

A device says ``SunS`` at register 40000, 0 or 50000. From there a chain of models follows, each with its number, its
length and that many registers, until the number 0xFFFF. Lengths are the device's own: makers leave points out, and add
groups. Addresses count from a model's start, where its number stands.

The models are data of the package pysunspec2 (sunspec/models, Apache-2.0); of it nothing else is used. What they say is
read in their own units; values in gridopt's are for adapters, where what is written is said too.

Source: SunSpec Device Information Model Specification, chapters 3 to 6.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from typing import Any, NamedTuple

from gridopt.devices.blocks import Spot, plan
from gridopt.devices.codec import ABSENT, Codec, Decoded, decode
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.schema import Link

Read = Callable[[str, int, int], Awaitable[Sequence[int]]]
"""Table, first register, count → words. Raises Fault."""

BASES = (40000, 0, 50000)
MARK = (0x5375, 0x6E53)
"""``SunS``"""
END = 0xFFFF
HEAD = 2
"""Registers of a model's number and length."""
COMMON = 1
SERIAL, SERIAL_REGISTERS = 50, 16
MOST_MODELS = 255
TABLE = "holding"


@dataclass(frozen=True)
class Model:
    """A model as a device has it. ``start``: register of its number; ``length``: registers after its length."""

    number: int
    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + HEAD + self.length


@dataclass(frozen=True)
class Chain:
    """The models of a device. ``ended``: by the end mark, and not because the next was refused."""

    base: int
    models: tuple[Model, ...]
    ended: bool = True

    @functools.cached_property
    def first(self) -> Mapping[int, Model]:
        """Number → the first model of that number."""
        return {model.number: model for model in reversed(self.models)}


# --- discovery -------------------------------------------------------------------------------------------------------


async def discover(read: Read, bases: Iterable[int] = BASES) -> Chain | None:
    """The chain of a device; None where it does not say ``SunS``. Raises Fault where it does not answer."""
    for base in bases:
        if await says_suns(read, base):
            return await _chain(read, base)
    return None


async def says_suns(read: Read, base: int) -> bool:
    words = await _asked(read, base)
    return words is not None and tuple(words) == MARK


async def still_there(read: Read, chain: Chain, numbers: Iterable[int]) -> bool:
    """Whether the device still says ``SunS``, and models of these numbers still stand where they did."""
    if not await says_suns(read, chain.base):
        return False
    for number in sorted({*numbers} & chain.first.keys()):
        model = chain.first[number]
        words = await _asked(read, model.start)
        if words is None or tuple(words) != (model.number, model.length):
            return False
    return True


async def serial(read: Read, chain: Chain) -> str | None:
    """The device's number in the common model, where it says one."""
    common = chain.first.get(COMMON)
    if common is None or common.length + HEAD < SERIAL + SERIAL_REGISTERS:
        return None
    words = await read(TABLE, common.start + SERIAL, SERIAL_REGISTERS)
    found = decode(Codec("text", SERIAL_REGISTERS), words).value
    return found if isinstance(found, str) else None


async def _chain(read: Read, base: int) -> Chain:
    found: list[Model] = []
    at = base + len(MARK)
    while len(found) < MOST_MODELS and at + HEAD <= 0x10000:
        words = await _asked(read, at)
        if words is None:
            break
        number, length = words
        if number == END:
            return Chain(base, tuple(found))
        found.append(Model(number, at, length))
        at += HEAD + length
    return Chain(base, tuple(found), ended=False)


async def _asked(read: Read, address: int) -> Sequence[int] | None:
    """Two registers; None where the device says that it has none there."""
    try:
        return await read(TABLE, address, HEAD)
    except Fault as fault:
        if fault.kind is FaultKind.REFUSED:
            return None
        raise


# --- what a model holds ----------------------------------------------------------------------------------------------


class Item(NamedTuple):
    """A point of a model: ``Crv[2].Pt[1].V``. ``at``: from the model's start; ``factor_at``: its scale factor."""

    name: str
    at: int
    codec: Codec
    unit: str
    factor_at: int | None = None


class Said(NamedTuple):
    """What a point of a model reads, in the model's own unit."""

    unit: str
    decoded: Decoded


INTEGERS = {
    "int16": "i16", "uint16": "u16", "count": "u16", "acc16": "u16", "enum16": "u16", "bitfield16": "u16",
    "int32": "i32", "uint32": "u32", "acc32": "u32", "enum32": "u32", "bitfield32": "u32", "ipaddr": "u32",
    "int64": "i64", "uint64": "u64", "acc64": "u64", "bitfield64": "u64", "eui48": "u64",
    "float32": "f32", "float64": "f64", "sunssf": "i16", "raw16": "u16",
}  # fmt: skip
"""Type of SunSpec → type of a codec."""
ZERO_IS_ABSENT = ("acc16", "acc32", "acc64", "ipaddr")


@functools.cache
def definition(number: int) -> Mapping[str, Any] | None:
    """What the SunSpec alliance says of a model; None where the package has none of that number."""
    file = resources.files("sunspec2") / "models" / "json" / f"model_{number}.json"
    if not file.is_file():
        return None
    found = json.loads(file.read_text(encoding="utf-8"))["group"]
    assert isinstance(found, dict)
    return found


def items(number: int, length: int, counts: Mapping[str, int] | None = None) -> list[Item]:
    """The points of a model of that length, group after group; those that it is too short for are not there.

    ``counts``: what its points read that say how many groups there are; without it, points before the groups only.
    """
    group = definition(number)
    if group is None:
        return []
    top, at = _points(group, "", 0, {})
    if counts is not None:
        factors = {item.name: item.at for item in top}
        for inner in group.get("groups", ()):
            more, at = _groups(inner, "", at, factors, counts, length + HEAD)
            top += more
    return [item for item in top if item.at + item.codec.registers <= length + HEAD]


def counted_by(number: int) -> set[str]:
    """Points that say how many groups a model has."""
    found: set[str] = set()
    inner = list((definition(number) or {}).get("groups", ()))
    while inner:
        group = inner.pop()
        inner += group.get("groups", ())
        if isinstance(group.get("count"), str):
            found.add(group["count"])
    return found


async def read_model(read: Read, model: Model, most: int = 125) -> dict[str, Said]:
    """What the points of a model read; empty where nobody knows the model. Raises Fault."""
    counts: dict[str, int] = {}
    needed = counted_by(model.number)
    counting = [item for item in items(model.number, model.length) if item.name in needed]
    for name, said in (await _read(read, model, counting, most)).items():
        counts[name] = int(said.decoded.value) if isinstance(said.decoded.value, float) else 0
    return await _read(read, model, items(model.number, model.length, counts), most)


async def _read(read: Read, model: Model, items: Sequence[Item], most: int) -> dict[str, Said]:
    units = {item.name: item.unit for item in items}
    link = Link.model_validate({"read_registers": most, "bridge_registers": 0})
    found: dict[str, Decoded] = {}
    for bunch in plan(_spots(model, items), link):
        words = [await read(block.table, block.address, block.count) for block in bunch]
        factors = {p: w for b, ws in zip(bunch, words, strict=True) for p, w in b.factor_words(ws).items()}
        for block, those in zip(bunch, words, strict=True):
            found |= block.decode(those, factors)
    return {name: Said(unit, found[name]) for name, unit in units.items()}


def _spots(model: Model, items: Iterable[Item]) -> Iterable[Spot]:
    for item in items:
        factor = None if item.factor_at is None else model.start + item.factor_at
        yield Spot(item.name, TABLE, model.start + item.at, item.codec, factor, model.start)


def _groups(
    group: Mapping[str, Any], prefix: str, at: int, factors: Mapping[str, int], counts: Mapping[str, int], end: int
) -> tuple[list[Item], int]:
    """The points of a group that stands there once, as often as a point says, or until the model ends."""
    name, count = prefix + group["name"], group.get("count")
    if count is None:
        return _inside(group, f"{name}.", at, factors, counts, end)
    times = counts.get(count, 0) if isinstance(count, str) else int(count)
    found: list[Item] = []
    k = 0
    while (k < times or count == 0) and at < end:
        k += 1
        more, after = _inside(group, f"{name}[{k}].", at, factors, counts, end)
        if after == at or (count == 0 and after > end):
            break
        found, at = found + more, after
    return found, at


def _inside(
    group: Mapping[str, Any], prefix: str, at: int, factors: Mapping[str, int], counts: Mapping[str, int], end: int
) -> tuple[list[Item], int]:
    found, at = _points(group, prefix, at, factors)
    for inner in group.get("groups", ()):
        more, at = _groups(inner, prefix, at, factors, counts, end)
        found += more
    return found, at


def _points(group: Mapping[str, Any], prefix: str, at: int, factors: Mapping[str, int]) -> tuple[list[Item], int]:
    """The points of one group, and the register after them. Scale factors are the group's own, else the model's."""
    places: dict[str, int] = dict(factors)
    after = at
    for point in group["points"]:
        places[point["name"]] = after
        after += point["size"]
    found = []
    for point in group["points"]:
        codec = _codec(point)
        if codec is not None:
            factor = places.get(point["sf"]) if codec.scaled else None
            found.append(Item(prefix + point["name"], places[point["name"]], codec, point.get("units", ""), factor))
    return found, after


def _codec(point: Mapping[str, Any]) -> Codec | None:
    """How a point is read; None for what says nothing."""
    kind = point["type"]
    if kind == "string":
        return Codec("text", point["size"])
    if kind not in INTEGERS:
        return None
    type, factor = INTEGERS[kind], point.get("sf")
    symbols = {symbol["name"]: symbol["value"] for symbol in point.get("symbols", ())}
    bits = symbols if kind.startswith("bitfield") else {}
    return Codec(
        type,
        point["size"],
        Fraction(10) ** factor if isinstance(factor, int) else Fraction(1),
        scaled=isinstance(factor, str),
        absent=frozenset((0,) if kind in ZERO_IS_ABSENT else ABSENT.get(type, ())),
        codes={} if bits or not kind.startswith("enum") else symbols,
        bits=bits,
    )
