"""The adapter file format, as models. An adapter is data: how one model of device is read and written.

    format = 1
    kind, maker, model, quality, left_out
    [[source]]          the document that the registers are from: title, revision, page
    [link]              what the device asks of whoever speaks to it: unit, order of words, length of blocks, pauses
    [defaults]          keys of all points that do not say otherwise
    [absent]            type → bits that mean "not available"
    [point.NAME]        where a quantity stands and what its words mean; the name ends with gridopt's unit
    [write.NAME]        a command: its range, its memory, what is written in which order, how it is proven, and what the
                        device does when gridopt is gone
    [identity]          how the device is known to be this model
    [[check]]           worked checks: words, and what they mean

Numbers in the file are the document's own: ``unit`` is the unit on the wire, ``scale`` what a count is worth in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, create_model

from gridopt.devices.codec import REGISTERS, TYPES
from gridopt.written.fields import (
    Choice,
    FieldType,
    Flag,
    Number,
    Numbers,
    Schema,
    Text,
    Texts,
    Whole,
    refuse,
)
from gridopt.written.model import Section

KINDS = ("battery", "building-io", "charger", "heat-pump", "inverter", "lighting", "meter", "pump")
QUALITIES = ("simulated", "bench", "field")
TABLES = ("holding", "input", "coil", "discrete")
BIT_TABLES = ("coil", "discrete")
WRITTEN_TABLES = ("holding", "coil")
ORDERS = ("high-first", "low-first")
COMMANDS = {"power": "kW", "limit": "kW", "current": "A", "temperature": "°C", "on_off": "", "mode": ""}
"""What an asset can be told → its unit; on_off and mode are numbers of ``states``."""
FAIL_SAFES = ("revert", "watchdog", "heartbeat", "self", "none")
INSTALLER = "installer"
LOCAL = "local"
VALUE, TIMER = "value", "timer"


# --- field types -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OrInstaller(Number):
    """A number, or "installer": the document gives none, the site's installer does."""

    def check(self, value: Any) -> float | str:  # type: ignore[override]
        if isinstance(value, str):
            if value == INSTALLER:
                return value
            refuse("not-number", value, hint=f'; or write "{INSTALLER}"')
        return super().check(value)

    def schema(self) -> Schema:
        return {"anyOf": [super().schema(), {"const": INSTALLER}]}


@dataclass(frozen=True)
class Pattern(FieldType):
    """Bits as one unsigned number: 0x8000, or in quotes where TOML's numbers end, "0xFFFF_FFFF_FFFF_FFFF"."""

    registers: int = 4

    def check(self, value: Any) -> int:
        number = value
        if isinstance(value, str):
            try:
                number = int(value, 16)
            except ValueError:
                refuse("not-number", value, hint='; write 0x8000, or "0xFFFF_FFFF_FFFF_FFFF"')
        return Whole(0, (1 << 16 * self.registers) - 1).check(number)

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^0[xX][0-9A-Fa-f_]+$"}]}


@dataclass(frozen=True)
class Listed(FieldType):
    """A list of one kind of value."""

    item: FieldType

    def check(self, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            refuse("not-list", value)
        return tuple(self.item.check(item) for item in value)

    def schema(self) -> Schema:
        return {"type": "array", "items": self.item.schema()}


@dataclass(frozen=True)
class Named(FieldType):
    """A table of one kind of value, by name."""

    item: FieldType

    def check(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            refuse("not-table", value)
        return {name: self.item.check(item) for name, item in value.items()}

    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": self.item.schema()}


@dataclass(frozen=True)
class Said(FieldType):
    """A value as a point has it: a number, a text or a name of its codes, or the names of the bits that are set."""

    def check(self, value: Any) -> float | str | frozenset[str]:
        if isinstance(value, str):
            return Text().check(value)
        if isinstance(value, list):
            return frozenset(Texts().check(value))
        return Number(largest=2.0**64).check(value)

    def schema(self) -> Schema:
        texts = {"type": "array", "items": {"type": "string"}}
        return {"anyOf": [{"type": "number"}, {"type": "string"}, texts]}


@dataclass(frozen=True)
class Assigned(Said):
    """What is written to a point: such a value, a word that stands for one, or a table with one for each state."""

    def check(self, value: Any) -> Any:
        if isinstance(value, dict):
            return Named(Said()).check(value)
        return super().check(value)

    def schema(self) -> Schema:
        return {"anyOf": [super().schema(), {"type": "object", "additionalProperties": super().schema()}]}


WORD = Whole(0, 0xFFFF)
SECONDS = Number(0, 1e7)
STEPS = Listed(Named(Assigned()))


# --- what a device is ------------------------------------------------------------------------------------------------


class Header(Section):
    kind: Annotated[str, Choice(KINDS)] = Field(description="what the device is")
    maker: Annotated[str, Text()] = Field(description="who makes it")
    model: Annotated[str, Text()] = Field(description="what its maker calls it")
    quality: Annotated[str, Choice(QUALITIES)] = Field(description="how far it is proven: simulated, bench or field")
    left_out: Annotated[tuple[str, ...], Texts()] = Field((), description="what the device can do and this file cannot")


class Source(Section):
    document: Annotated[str, Text()] = Field(description="title of the document that the registers are from")
    revision: Annotated[str | None, Text()] = Field(None, description="its revision")
    page: Annotated[str | None, Text()] = Field(None, description="page or section")
    licence: Annotated[str | None, Text()] = Field(None, description="licence of a source that is code")
    says: Annotated[str | None, Text()] = Field(None, description="what is taken from it")


class Link(Section):
    """What the device asks of whoever speaks to it."""

    unit_id: Annotated[int, Whole(1, 255)] = Field(1, description="unit on the line; 0 would speak to all")
    base: Annotated[int, Choice((0, 1))] = Field(0, description="number of the first register in this file")
    word_order: Annotated[str, Choice(ORDERS)] = Field(ORDERS[0], description="which word of a long number comes first")
    byte_order: Annotated[str, Choice(ORDERS)] = Field(ORDERS[0], description="which byte of a word comes first")
    read_registers: Annotated[int, Whole(1, 125)] = Field(50, description="most registers in one read")
    bridge_registers: Annotated[int, Whole(0, 124)] = Field(
        0, description="most registers without a point that one read may cross"
    )
    write_registers: Annotated[int, Whole(1, 123)] = Field(123, description="most registers in one write")
    pause_s: Annotated[float, Number(0, 60)] = Field(0.0, description="rest between an answer and the next request")
    timeout_s: Annotated[float, Number(0.05, 60)] = Field(2.0, description="longest wait for an answer")
    poll_s: Annotated[float, Number(0, 86400)] = Field(1.0, description="shortest time between two readings")
    stride: Annotated[int | None, Whole(1, 0xFFFF)] = Field(
        None, description="registers from one of several like parts to the next; the site says which part is meant"
    )


Absent: type[Section] = create_model(
    "Absent",
    __base__=Section,
    **{
        type: (Annotated[Any, Listed(Pattern(n))], Field(None, description=f"{type}: bits that mean not available"))
        for type, n in REGISTERS.items()
        if type != "bit"
    },
)  # type: ignore[call-overload]


class Point(Section):
    """Where a quantity stands, and what its words mean."""

    table: Annotated[str, Choice(TABLES)] = Field("holding", description="holding, input, coil or discrete")
    address: Annotated[int, Whole(0, 0x10000)] = Field(description="first register, counted from the link's base")
    sunspec: Annotated[int | None, Whole(1, 0xFFFE)] = Field(
        None, description="SunSpec model whose start (its id) the address counts from"
    )
    type: Annotated[str, Choice(TYPES)] = Field(description="type of the number in the words")
    registers: Annotated[int | None, Whole(1, 125)] = Field(None, description="length of a text in words")
    unit: Annotated[str | None, Text()] = Field(None, description="unit on the wire")
    scale: Annotated[float | None, Number()] = Field(None, description="what a count is worth in that unit; 1")
    scale_factor: Annotated[int | None, Whole(0, 0x10000)] = Field(
        None, description="register with the power of ten that scales it, counted like the address"
    )
    offset: Annotated[float, Number()] = Field(0.0, description="added after the scale, in the unit on the wire")
    positive: Annotated[str | None, Choice(("draw", "feed"))] = Field(
        None, description="which power the device counts above zero"
    )
    word_order: Annotated[str | None, Choice(ORDERS)] = Field(None, description="where it is not the link's")
    byte_order: Annotated[str | None, Choice(ORDERS)] = Field(None, description="where it is not the link's")
    absent: Annotated[tuple[int, ...] | None, Listed(Pattern())] = Field(
        None, description="bits that mean not available, where they are not those of its type"
    )
    codes: Annotated[dict[str, int], Named(Whole(-(2**31), 2**32 - 1))] = Field({}, description="name → number")
    bits: Annotated[dict[str, int], Named(Whole(0, 63))] = Field({}, description="name → place, 0 the lowest")
    low: Annotated[float | None, Number()] = Field(None, description="lowest plausible value, in gridopt's unit")
    high: Annotated[float | None, Number()] = Field(None, description="highest plausible value, in gridopt's unit")
    stale_s: Annotated[float, SECONDS] = Field(60.0, description="age from which a reading is stale")
    moves_s: Annotated[float | None, Number(0.1, 1e6)] = Field(
        None,
        description="time within which it moves while the device is alive: a life counter, or a measurement's noise",
    )
    alone: Annotated[bool, Flag()] = Field(False, description="its registers are read in a request of their own")
    access: Annotated[str, Choice(("r", "rw", "w"))] = Field("r", description="r, rw or w")


class FailSafe(Section):
    """What the device does when gridopt is gone.

    revert: a timer that is set with each value runs out; watchdog: the device misses its master; heartbeat: it misses a
    register that must be written again and again; self: a value expires by itself; none: nobody knows.
    """

    kind: Annotated[str, Choice(FAIL_SAFES)] = Field(description="revert, watchdog, heartbeat, self or none")
    time_s: Annotated[float | str | None, OrInstaller(0.1, 1e6)] = Field(
        None, description='time after which it acts; "installer" where no document says it and the site must measure it'
    )
    refresh_s: Annotated[float | None, Number(0.1, 1e6)] = Field(None, description="time between two refreshes")
    timer: Annotated[str | None, Text()] = Field(None, description="point that holds the time")
    timer_readback: Annotated[str | None, Text()] = Field(None, description="point that shows it; the timer itself")
    remaining: Annotated[str | None, Text()] = Field(None, description="point that counts down while the timer runs")
    beat: Annotated[dict[str, Any], Named(Said())] = Field({}, description="point → what is written at each refresh")
    fed_by: Annotated[str, Choice(("write", "read"))] = Field("write", description="what a watchdog takes as life")
    fallback: Annotated[float | str | None, Said()] = Field(
        None, description='value it falls back to; "local" for its own control, "installer" for what it is set to'
    )
    fallback_point: Annotated[str | None, Text()] = Field(None, description="point that shows the fallback")


class Write(Section):
    """A command: how a value is written, proven and let go."""

    command: Annotated[str, Choice(tuple(COMMANDS))] = Field(description="what the asset is told")
    point: Annotated[str, Text()] = Field(description="point that takes the value, or shows it")
    low: Annotated[float | str | None, OrInstaller()] = Field(None, description="lowest value, in the command's unit")
    high: Annotated[float | str | None, OrInstaller()] = Field(None, description="highest value")
    also: Annotated[tuple[float, ...], Numbers()] = Field((), description="single values outside of them, such as 0")
    step: Annotated[float | None, Number(1e-9)] = Field(None, description="values are multiples of it")
    states: Annotated[tuple[str, ...], Texts()] = Field((), description="codes that the numbers 0, 1, … stand for")
    rating: Annotated[str | None, Text()] = Field(None, description="point with the device's own highest value")
    share_of: Annotated[str | None, Text()] = Field(
        None, description='point that the value is written as a share of; "installer" where only the site knows it'
    )
    ramp_per_s: Annotated[float | None, Number(1e-9)] = Field(None, description="fastest change a second")
    interval_s: Annotated[float, SECONDS] = Field(0.0, description="shortest time between two changes")
    memory: Annotated[str, Choice(("volatile", "flash", "eeprom", "unknown"))] = Field(
        description="where the device keeps the value"
    )
    writes_per_day: Annotated[int | None, Whole(1)] = Field(None, description="most writes a day, refreshes among them")
    write_budget: Annotated[int | None, Whole(1)] = Field(None, description="most writes in the device's life")
    multiple: Annotated[bool, Flag()] = Field(False, description="single registers are written with function 16 too")
    requires: Annotated[dict[str, Any], Named(Said())] = Field(
        {}, description="point → what it must read before anything is written"
    )
    set: Annotated[tuple[dict[str, Any], ...], STEPS] = Field(
        (),
        description='requests in order: point → "value", "timer", what is written, or a table of that by state',
    )
    release: Annotated[tuple[dict[str, Any], ...], STEPS] = Field(
        (), description="requests that give control back; without any, the fail-safe does"
    )
    settle_s: Annotated[float, SECONDS] = Field(1.0, description="time from the answer to the readback")
    readback: Annotated[str | None, Text()] = Field(None, description="point that shows the value; the written one")
    tolerance: Annotated[float | None, Number(0)] = Field(
        None, description="how far the readback may be off; half of what the register can tell apart"
    )
    seen_in: Annotated[str | None, Text()] = Field(None, description="measurement in which the effect is seen")
    seen_within_s: Annotated[float, SECONDS] = Field(60.0, description="time by which it is seen")
    fail_safe: FailSafe = Field(
        description='what the device does when gridopt is gone; kind = "none" if unknown, and then nothing is written'
    )

    @property
    def steps(self) -> tuple[dict[str, Any], ...]:
        """What is written, request by request."""
        return self.set or ({self.point: VALUE},)

    @property
    def by_state(self) -> bool:
        """Whether what is written is looked up by state, so that no single point takes the value."""
        return any(isinstance(value, dict) for step in self.set for value in step.values())

    @property
    def left_to_site(self) -> tuple[str, ...]:
        """Keys that the document leaves to the installer: without the site's word nothing is written."""
        keys = [key for key in ("low", "high", "share_of") if getattr(self, key) == INSTALLER]
        return (*keys, *(key for key in ("time_s", "fallback") if getattr(self.fail_safe, key) == INSTALLER))

    @property
    def allowed(self) -> bool:
        """Whether it may be written without a person's signature: what happens when gridopt is gone is known."""
        return self.fail_safe.kind != "none"


class Identity(Section):
    """How the device is known to be this model, at each connection and before each write."""

    sunspec: Annotated[bool, Flag()] = Field(False, description='it says "SunS" and holds the models named here')
    expect: Annotated[dict[str, Any], Named(Said())] = Field({}, description="point → what it reads")
    plausible: Annotated[tuple[str, ...], Texts()] = Field((), description="points that must read within low and high")
    sums: Annotated[dict[str, tuple[str, ...]], Named(Texts())] = Field(
        {}, description="point → the points that add up to it"
    )
    serial: Annotated[str | None, Text()] = Field(None, description="point with the number of the single device")


class Check(Section):
    """Words and what they mean; for a write, a value and the requests that it becomes."""

    point: Annotated[str | None, Text()] = Field(None, description="point that the words are of")
    words: Annotated[tuple[int, ...], Listed(WORD)] = Field((), description="raw words")
    scale_factor: Annotated[int | None, Whole(-0x8000, 0xFFFF)] = Field(
        None, description="what the scale-factor register reads"
    )
    value: Annotated[Any, Said()] = Field(None, description="what they mean, in gridopt's unit")
    quality: Annotated[str | None, Choice(("missing", "out-of-range"))] = Field(
        None, description="or why there is none"
    )
    write: Annotated[str | None, Text()] = Field(None, description="command that is given the value")
    readings: Annotated[dict[str, float], Named(Number())] = Field({}, description="what points read at that time")
    frames: Annotated[tuple[dict[str, Any], ...], Listed(Named(Listed(WORD)))] = Field(
        (), description="requests: first register → words"
    )
