"""One device behind its registers: its adapter reads what the plant does, and writes what the plant obeys.

Any adapter will do. What a point shows is known from its name and unit; what it cannot know it keeps as it is written.
A command is in force when the registers of its steps hold what the adapter says; its fail-safe acts as declared: a
``revert`` timer runs out, a ``watchdog`` misses its master, a ``heartbeat`` a register that must be written, a ``self``
value expires. Then the registers read the declared fallback and the plant does it.

Fail-safe timers count seconds of ``clock``: they guard against a master that is gone, and a master lives in real time
however fast the plant's day goes by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from gridopt.assets.ev_session import PHASE_KV
from gridopt.devices.adapter import Adapter
from gridopt.devices.codec import Unfit, Value, decode, encode
from gridopt.devices.points import Point
from gridopt.devices.schema import INSTALLER, LOCAL, TIMER, VALUE, Write
from gridopt.devices.sunspec import BASES, COMMON, END, HEAD, MARK, SERIAL
from gridopt.simulate.plant import FREE, Plant, Told
from gridopt.simulate.registers import Registers, Words

NOMINAL_V, NOMINAL_HZ = 230.0, 50.0
UNSAID_S = 60.0
"""Time of a fail-safe that nobody says."""
SUNSPEC_LENGTHS = {1: 66, 101: 50, 102: 50, 103: 50, 120: 26, 121: 30, 123: 24, 124: 24, 160: 48}
"""Registers after a model's length; of others, as many as the adapter knows."""
NOT_THERE = 0xFFFF
UNKNOWN_ROOM_C, UNKNOWN_TANK_C = 20.0, 45.0
FREE_POINT_KW = 3 * 32 * PHASE_KV
"""Rating of a charge point at which nobody charges today."""


# --- what it stands for ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Behind:
    """What a device stands for: assets, of which one at most is there at a time (the cars of a charge point, or none
    today), or a node that it meters. ``root``: the node at the top of its tree."""

    plant: Plant
    assets: tuple[str, ...] = ()
    node: str | None = None
    root: str | None = None

    @property
    def asset(self) -> str | None:
        """The asset that is there now."""
        return next((name for name in self.assets if self.plant.here(name)), None)

    @property
    def power_kw(self) -> float:
        if self.node is not None:
            return self.plant.net_kw(self.node)
        return 0.0 if self.asset is None else self.plant.power_kw(self.asset)

    @property
    def root_kw(self) -> float:
        return 0.0 if self.root is None else self.plant.net_kw(self.root)

    @property
    def energy_kwh(self) -> tuple[float, float]:
        """Drawn and given since the start."""
        names = [self.node] if self.node is not None else list(self.assets)
        those = [self.plant.energy_kwh[name] for name in names]
        return sum(e[0] for e in those), sum(e[1] for e in those)

    @property
    def phases(self) -> int:
        return int(self.column("phases") or 3)

    @property
    def rated_kw(self) -> float:
        if not self.assets and self.node is None:
            return FREE_POINT_KW
        peak = self.column("peak_kw")
        return (self.column("power_kw") if peak is None else peak) or 0.0

    def column(self, name: str) -> float | None:
        """A column of the asset that is there, else of the first."""
        asset = self.asset or next(iter(self.assets), None)
        return None if asset is None else self.plant.column(asset, name)

    def state(self, name: str) -> float | None:
        return None if self.asset is None else self.plant.state(self.asset, name)

    def told(self) -> tuple[Told, ...]:
        return () if self.asset is None else self.plant.told(self.asset)

    def tell(self, *told: Told) -> None:
        for asset in self.assets:
            self.plant.tell(asset, *told)


# --- a command -------------------------------------------------------------------------------------------------------


@dataclass
class Command:
    """One command of the adapter. ``share_of``: what the installer says that its value is a share of; ``due_s``: when
    its fail-safe acts; ``told``: what the plant obeys."""

    write: Write
    share_of: float | None = None
    due_s: float = math.inf
    told: Told | None = None
    touched: frozenset[str] = field(init=False)
    """Points of its requests."""
    timers: frozenset[str] = field(init=False)
    """Those that hold a time: they begin nothing, and give what has begun more time."""

    def __post_init__(self) -> None:
        steps = (*self.write.steps, *self.write.release)
        self.touched = frozenset(name for step in steps for name in step)
        self.timers = frozenset(name for step in steps for name, what in step.items() if what == TIMER)


# --- the device ------------------------------------------------------------------------------------------------------


class Served:
    """See the head of this module. ``shift``: how far this part's registers are further on; ``writes``: the adapter's
    commands with what the installer said put in, ``shares`` what a value is a share of; ``requires``: what points read
    so that gridopt may write."""

    def __init__(
        self,
        name: str,
        adapter: Adapter,
        behind: Behind,
        registers: Registers,
        clock: Callable[[], float],
        *,
        shift: int = 0,
        serial: str | None = None,
        writes: Mapping[str, Write] | None = None,
        shares: Mapping[str, float | None] | None = None,
        requires: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self.adapter, self.behind, self.registers, self.clock = name, adapter, behind, registers, clock
        self.points = adapter.points
        self.serial = serial or name
        said = {**adapter.writes, **(writes or {})}
        self.commands = [Command(write, (shares or {}).get(command)) for command, write in said.items()]
        self._requires = {k: v for c in self.commands for k, v in c.write.requires.items()} | dict(requires or {})
        self._start, self._exponents = self._sunspec(shift)
        self._kept = {n for c in self.commands for n in (*c.touched, *c.write.fail_safe.beat)} | self._of_fail_safes()
        self._kept |= {*adapter.identity.expect, *self._requires}
        self._draw = Random(name)
        self.due_s = math.inf
        """When the next fail-safe acts."""
        self._restore()

    # --- where its registers are ---

    def _sunspec(self, shift: int) -> tuple[dict[int | None, int], dict[str, int]]:
        """Where models start (None: where none is meant), and the exponent of every scaled point."""
        start: dict[int | None, int] = {None: shift}
        models = sorted({p.sunspec for p in self.points.values() if p.sunspec is not None})
        exponents = {n: self._exponent(p) for n, p in self.points.items() if p.scale_factor is not None}
        if not models:
            self._put_factors(start, exponents)
            return start, exponents
        put, at = self.registers.put, BASES[0]
        put("holding", at, MARK, "r")
        at += len(MARK)
        for model in sorted({COMMON, *models}):
            ends = [max(p.end, (p.scale_factor or 0) + 1) for p in self.points.values() if p.sunspec == model]
            length = max(SUNSPEC_LENGTHS.get(model, 0), *ends, HEAD) - (0 if not ends else HEAD)
            length = max(SUNSPEC_LENGTHS.get(model, 0), length)
            start[model] = at
            put("holding", at, (model, length, *(NOT_THERE,) * length), "r")
            at += HEAD + length
        put("holding", at, (END, 0), "r")
        for offset, size, text in ((2, 16, self.adapter.header.maker), (18, 16, self.adapter.header.model)):
            put("holding", start[COMMON] + offset, _text(text, size))
        put("holding", start[COMMON] + SERIAL, _text(self.serial, 16))
        self._put_factors(start, exponents)
        return start, exponents

    def _put_factors(self, start: Mapping[int | None, int], exponents: Mapping[str, int]) -> None:
        for name, exponent in exponents.items():
            point = self.points[name]
            assert point.scale_factor is not None
            self.registers.put(point.table, start[point.sunspec] + point.scale_factor, (exponent & 0xFFFF,), "r")

    def _exponent(self, point: Point) -> int:
        """The finest power of ten with which all points of one scale factor hold what they may come to read."""
        those = [p for p in self.points.values() if (p.sunspec, p.scale_factor) == (point.sunspec, point.scale_factor)]
        return next((e for e in range(-2, 7) if all(self._holds(p, e) for p in those)), 0)

    def _holds(self, point: Point, exponent: int) -> bool:
        most_kw = 2 * max(self.behind.rated_kw, 1.0)
        most = {"kW": most_kw, "A": most_kw / PHASE_KV, "V": 300.0, "Hz": 60.0, "kWh": 1e6, "°C": 100.0, "": 1.2}
        try:
            encode(replace(point.codec, low=-math.inf, high=math.inf), most.get(point.unit, 1000.0), exponent)
        except Unfit:
            return False
        return True

    def _at(self, point: Point) -> int:
        return self._start[point.sunspec] + point.address

    def placed(self) -> list[Point]:
        """The points with the registers that they have here."""
        return [replace(p, address=self._at(p), sunspec=None) for p in self.points.values()]

    # --- words and values ---

    def value(self, name: str) -> Value | None:
        """What a point's registers mean now."""
        point = self.points[name]
        words = self.registers.get(point.table, self._at(point), point.codec.registers)
        return decode(point.codec, words, self._exponents.get(name)).value

    def number(self, name: str | None) -> float | None:
        value = None if name is None else self.value(name)
        return value if isinstance(value, float) else None

    def put(self, name: str, value: object) -> None:
        """Let a point show a value, or as near as it can."""
        point = self.points[name]
        words = words_for(point, value, self._exponents.get(name))
        self.registers.put(point.table, self._at(point), words, point.access)

    # --- at its start ---

    def _of_fail_safes(self) -> set[str]:
        found: set[str | None] = set()
        for c in self.commands:
            safe = c.write.fail_safe
            found |= {c.write.point, safe.timer, safe.timer_readback, safe.remaining, safe.fallback_point}
            if c.write.readback is not None and c.write.readback != "power_kw":
                found.add(c.write.readback)
        return {name for name in found if name is not None}

    def _restore(self) -> None:
        """Every register as it is when the device starts."""
        for point in self.points.values():
            self.put(point.name, self._first(point))
        for name in self.points:
            if name not in self._kept:
                self.put(name, self.shown(name))
        for c in self.commands:
            c.told, c.due_s = None, math.inf
            self._restore_command(c)
        for known, fixed in {**self.adapter.identity.expect, **self._requires}.items():
            self.put(known, fixed)
        if self.adapter.identity.serial is not None:
            self.put(self.adapter.identity.serial, self.serial)

    def _first(self, point: Point) -> object:
        if point.codec.type == "text":
            return point.name[: 2 * point.codec.registers]
        if point.codec.codes:
            return next(iter(point.codec.codes))
        return frozenset() if point.codec.bits else min(max(0.0, point.codec.low), point.codec.high)

    def _restore_command(self, c: Command) -> None:
        w, safe = c.write, c.write.fail_safe
        for step in w.release:
            for name, value in step.items():
                self.put(name, value)
        if w.states:
            self._put_state(w, next((s for s in (safe.fallback, *FREE) if s in w.states), w.states[-1]))
        elif isinstance(safe.fallback, (int, float)):
            self._put_value(c, safe.fallback)
        elif w.command == "limit":
            self._put_value(c, self.behind.rated_kw)
        time = safe.time_s if isinstance(safe.time_s, (int, float)) else UNSAID_S
        for shows in (safe.timer, safe.timer_readback):
            if shows is not None:
                self.put(shows, time)
        if safe.fallback_point is not None and not w.states:
            low = w.low if isinstance(w.low, (int, float)) else 0.0
            self.put(safe.fallback_point, safe.fallback if isinstance(safe.fallback, (int, float)) else low)

    # --- what it is told ---

    def on_read(self) -> None:
        """A master reads: it is alive, for a device that takes that as life."""
        for c in self.commands:
            if c.write.fail_safe.kind == "watchdog" and c.write.fail_safe.fed_by == "read" and c.told is not None:
                c.due_s = self.clock() + self._time_s(c)
                self._obey()

    def on_write(self, table: str, address: int, words: Words) -> None:
        """A master wrote: what the registers mean now is what holds."""
        written = {
            p.name
            for p in self.points.values()
            if p.table == table and address - p.codec.registers < self._at(p) < address + len(words)
        }
        for c in self.commands:
            self._mirror(c, written)
            safe = c.write.fail_safe
            if written & (c.touched - c.timers):
                c.told = self._meant(c)
                c.due_s = self.clock() + self._time_s(c) if c.told is not None and safe.kind != "none" else math.inf
            elif c.told is not None and self._feeds(c, written):
                c.due_s = self.clock() + self._time_s(c)
        self._obey()

    def _mirror(self, c: Command, written: set[str]) -> None:
        """Points that show what was written to others."""
        safe, w = c.write.fail_safe, c.write
        if safe.timer in written and safe.timer_readback is not None:
            self.put(safe.timer_readback, self.value(str(safe.timer)))
        if w.point in written and w.readback in self._kept and w.readback is not None:
            self.put(w.readback, self.value(w.point))
        if w.by_state and written & c.touched:
            state = self._state(w)
            if state is not None:
                self.put(w.point, state)

    def _feeds(self, c: Command, written: set[str]) -> bool:
        safe = c.write.fail_safe
        if written & c.timers:
            return True
        if safe.kind == "heartbeat":
            return any(name in written and self.value(name) == value for name, value in safe.beat.items())
        return safe.kind == "watchdog" and safe.fed_by == "write"

    def _time_s(self, c: Command) -> float:
        """After what time its fail-safe acts; a timer of 0 never does."""
        safe = c.write.fail_safe
        time = self.number(safe.timer_readback or safe.timer)
        if time is None:
            time = safe.time_s if isinstance(safe.time_s, (int, float)) else UNSAID_S
        return time if time > 0 else math.inf

    def _meant(self, c: Command) -> Told | None:
        """What the registers of a command say; None where it is not switched on."""
        w = c.write
        for step in w.steps:
            for name, content in step.items():
                constant = self.points[name].codec.codes and content not in (VALUE, TIMER)
                if constant and not isinstance(content, dict) and self.value(name) != content:
                    return None
        if w.states:
            state = self._state(w)
            return None if state is None else Told(w.command, state)
        value = self.number(w.point)
        if value is None:
            return None
        return Told(_kind(w), value * self._whole(c))

    def _whole(self, c: Command) -> float:
        """What a value is a share of; 1 where it is none."""
        if c.write.share_of is None:
            return 1.0
        said = c.share_of if c.write.share_of == INSTALLER else self.number(c.write.share_of)
        return said or self.behind.rated_kw

    def _state(self, w: Write) -> str | None:
        if not w.by_state:
            value = self.value(w.point)
            if isinstance(value, float):
                return w.states[int(value)] if 0 <= value < len(w.states) else None
            return value if isinstance(value, str) and value in w.states else None
        for state in w.states:
            table = {n: c[state] for step in w.steps for n, c in step.items() if isinstance(c, dict)}
            if all(self.value(name) == value for name, value in table.items()):
                return state
        return None

    def _obey(self) -> None:
        self.behind.tell(*(c.told for c in self.commands if c.told is not None))
        self.due_s = min((c.due_s for c in self.commands), default=math.inf)

    # --- without its master ---

    def expire(self, now_s: float) -> None:
        """What is overdue falls back as declared."""
        for c in self.commands:
            if c.due_s <= now_s:
                c.due_s = math.inf
                c.told = self._fall_back(c)
        self._obey()

    def _fall_back(self, c: Command) -> Told | None:
        """Registers read the fallback; what the plant does then, None for its own control."""
        w, safe = c.write, c.write.fail_safe
        for step in w.release:
            for name, value in step.items():
                self.put(name, value)
        fallback = safe.fallback
        if fallback == INSTALLER:
            shown = self.number(safe.fallback_point)
            fallback = LOCAL if shown is None else shown
        if isinstance(fallback, (int, float)) and not w.states:
            self._put_value(c, fallback)
            return Told(_kind(w), float(fallback))
        if isinstance(fallback, str) and fallback in w.states:
            self._put_state(w, fallback)
            return Told(w.command, fallback)
        return None

    def _put_value(self, c: Command, value: float) -> None:
        """A value of the command, in its unit, into the point that takes it and the one that shows it."""
        whole = self._whole(c)
        for name in (c.write.point, c.write.readback):
            if name is not None and name in self._kept:
                self.put(name, value / whole if whole else 0.0)

    def _put_state(self, w: Write, state: str) -> None:
        if not w.by_state:
            self.put(w.point, state if self.points[w.point].codec.codes else float(w.states.index(state)))
            return
        for step in w.steps:
            for name, content in step.items():
                if isinstance(content, dict):
                    self.put(name, content[state])
        self.put(w.point, state)

    def on_restart(self) -> None:
        """Volatile registers are as at the start, and nobody is obeyed."""
        self._restore()
        self._obey()

    # --- what it shows ---

    def refresh(self, table: str, address: int, count: int) -> None:
        """Bring the registers that are read to what the plant does now."""
        for name, point in self.points.items():
            read = point.table == table and address - point.codec.registers < self._at(point) < address + count
            if read and name not in self._kept:
                self.put(name, self.shown(name))
        for c in self.commands:
            if c.write.fail_safe.remaining is not None:
                left = c.due_s - self.clock()
                self.put(c.write.fail_safe.remaining, math.ceil(left) if math.isfinite(left) else 0.0)

    def shown(self, name: str) -> Value | None:
        """What a point shows of the plant, by its name; None where it has nothing to show."""
        b, point = self.behind, self.points[name]
        if name == self.adapter.identity.serial:
            return self.serial
        if name == "model_name" or name == "maker_name":
            header = self.adapter.header
            return (header.model if name == "model_name" else header.maker)[: 2 * point.codec.registers]
        if point.codec.codes or point.codec.type == "text":
            return self._condition(point)
        if point.codec.bits:
            return frozenset()
        found = _MEASURED.get(name)
        if found is not None:
            return found(b)
        return self._by_unit(name, point)

    def _by_unit(self, name: str, point: Point) -> float | None:
        phase = _phase(name)
        kw = self.behind.root_kw if name.startswith("grid_") else self.behind.power_kw
        over = self.behind.phases if not name.startswith("grid_") else 3
        share = kw / over if phase <= over else 0.0
        match point.unit:
            case "kW" if phase:
                return share
            case "kW" if "rated" in name or name.endswith("max_kw"):
                return self.behind.rated_kw
            case "kW" if "power" in name or name.startswith("dc"):
                return kw
            case "A" if name == "current_max_a":
                return self.behind.rated_kw / (self.behind.phases * PHASE_KV)
            case "A":
                return abs(share) / PHASE_KV
            case "V":
                return NOMINAL_V + self._draw.uniform(-1.5, 1.5)
            case "Hz":
                return NOMINAL_HZ + self._draw.uniform(-0.02, 0.02)
            case "°C":
                return self._temperature(name, point)
        return self._first(point)  # type: ignore[return-value]

    def _temperature(self, name: str, point: Point) -> float | None:
        """Of the room, where the asset has one; what it has not has no value, unless the device is known by it."""
        room = name.startswith("room")
        found = self.behind.state("temperature_c") if room else None
        if found is None and (not point.codec.absent or name in self.adapter.identity.plausible):
            return UNKNOWN_ROOM_C if room else UNKNOWN_TANK_C
        return found

    def _condition(self, point: Point) -> str:
        """The name among a point's codes that fits what the device does."""
        wanted = _condition(self.behind, any(c.told is not None for c in self.commands))
        if point.codec.type == "text":
            return {"free": "A", "plugged": "B1", "charging": "C2"}.get(wanted[0], wanted[0])
        names = {_plain(code): code for code in point.codec.codes}
        state = next((c.told.value for c in self.commands if c.told is not None and isinstance(c.told.value, str)), "")
        found = [name for word in (str(state), *wanted) if (name := names.get(word)) is not None]
        return found[0] if found else next(iter(point.codec.codes))


def words_for(point: Point, value: object, exponent: int | None = None) -> Words:
    """Words that hold a value, or the nearest they can hold; "not available" where there is none."""
    codec = point.codec
    if value is None:
        if codec.absent:
            return _pattern(point, next(iter(sorted(codec.absent))))
        value = math.nan
    try:
        return encode(codec, value, exponent)
    except Unfit:
        pass
    if isinstance(value, (int, float)) and not codec.codes and not codec.bits:
        free = replace(codec, low=-math.inf, high=math.inf, absent=frozenset())
        for near in (value, min(max(value, codec.low), codec.high), 0.0):
            try:
                return encode(free, near, exponent)
            except Unfit:
                continue
    return (0,) * codec.registers


def _pattern(point: Point, bits: int) -> Words:
    data = bits.to_bytes(2 * point.codec.registers, "big")
    words = point.codec.pack.unpack(data)
    return words[::-1] if point.codec.turned else words


def _text(text: str, registers: int) -> Words:
    data = text.encode("ascii", "replace")[: 2 * registers].ljust(2 * registers, b"\0")
    return tuple(int.from_bytes(data[k : k + 2], "big") for k in range(0, 2 * registers, 2))


def _kind(w: Write) -> str:
    """What the plant is told: a limit of one direction says which."""
    for way in ("charge", "discharge"):
        if w.command == "limit" and w.point.startswith(way):
            return f"{way}-limit"
    return w.command


def _plain(code: str) -> str:
    return {"throttled": "limited", "running": "producing", "sleeping": "off"}.get(code, code)


def _phase(name: str) -> int:
    """3 of ``power_l3_kw``; 0 where a name has no phase."""
    return next((k for k in (1, 2, 3) if f"_l{k}_" in name), 0)


def _condition(b: Behind, commanded: bool) -> Sequence[str]:
    """Names of what a device does, the best one first."""
    kw = b.power_kw
    if b.column("charge_max_kw") is not None or len(b.assets) != 1:
        return ("free",) if b.asset is None else ("charging",) if abs(kw) > 1e-3 else ("plugged",)
    if b.column("peak_kw") is not None:
        curtailed = b.plant.flow(b.assets[0], "curtailed_kw") or 0.0
        return ("limited", "producing") if curtailed > 1e-3 else ("producing",) if kw < -1e-3 else ("off",)
    if b.column("capacity_kwh") is not None:
        return ("controlled", "ready") if commanded else ("ready",)
    return ("heating", "on", "running") if kw > 1e-3 else ("off",)


def _soc(b: Behind) -> float | None:
    content, size = b.state("soc_kwh"), b.column("capacity_kwh")
    if content is None or not size:
        return None
    return min(max(content / size, 0.0), 1.0)


_MEASURED: Mapping[str, Callable[[Behind], float | None]] = {
    "soc": _soc,
    "capacity_kwh": lambda b: b.column("capacity_kwh"),
    "energy_import_kwh": lambda b: b.energy_kwh[0],
    "energy_export_kwh": lambda b: b.energy_kwh[1],
    "energy_yield_kwh": lambda b: b.energy_kwh[1],
    "session_kwh": lambda b: b.plant.energy_kwh[b.asset][0] if b.asset is not None else 0.0,
    "phases": lambda b: float(b.phases),
    "grid_import_kw": lambda b: max(b.root_kw, 0.0),
    "grid_export_kw": lambda b: max(-b.root_kw, 0.0),
    "grid_power_kw": lambda b: b.root_kw,
    "cabinet_temperature_c": lambda b: 35.0,
}


def hooked(registers: Registers, those: Iterable[Served], before: Callable[[], None]) -> None:
    """Let the registers of one unit be those of its devices. ``before``: brings plant and fail-safes to now."""
    served = tuple(those)
    registers.points = tuple(p for s in served for p in s.placed())

    def on_read(table: str, address: int, count: int) -> None:
        for s in served:
            s.on_read()
            s.refresh(table, address, count)

    def on_write(table: str, address: int, words: Words) -> None:
        for s in served:
            s.on_write(table, address, words)

    def on_restart() -> None:
        for s in served:
            s.on_restart()

    registers.on_access, registers.on_read, registers.on_write = before, on_read, on_write
    registers.on_restart = on_restart
