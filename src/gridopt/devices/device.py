"""One device of a site: known by its identity, read in blocks, written only where its adapter allows.

What cannot be trusted is no value. A request that fails takes all points of its block with it; an answer of another
device, an implausible one or one that no longer moves takes all. Nothing is cached beyond the last reading of each
point, and that one wears off.

Refused registers (exceptions 1 to 3) are a mistake of the map: the block is split until the point is found, which is
then left alone for a while. A device that refuses everything loses no point by it: it is asked again as a whole.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from gridopt.devices import sunspec
from gridopt.devices.adapter import Adapter
from gridopt.devices.blocks import Block, Place, plan, spots
from gridopt.devices.codec import Decoded, Quality, Unfit, Value, exponent_of
from gridopt.devices.counters import Step, passed
from gridopt.devices.frames import WRITE_COIL, WRITE_COILS, WRITE_REGISTER, WRITE_REGISTERS, Frame
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.points import Point
from gridopt.devices.readings import Motion, Reading, aged, readings
from gridopt.devices.worked import value_said, words_said

__all__ = ["Device", "Reading", "Stranger", "Unit"]

MAP_ERRORS = (1, 2, 3)
"""Exceptions that say: no such function, register, or number of registers."""
QUARANTINE_S = 3600.0
SULK_S = 300.0
"""How long a device that refused everything is not taken apart again."""
TRIES = 3
SUM_SHARE, SUM_SLACK = 0.1, 0.1
"""Parts are sampled at slightly different moments: a total may be off by a tenth of them, and by a tenth of a unit."""
WAITS_S = (0.0, 0.2, 0.5, 1.0)
"""Pauses before a register is read that was written just now."""
TABLES_WRITTEN = {
    WRITE_COIL: "coil",
    WRITE_COILS: "coil",
    WRITE_REGISTER: "holding",
    WRITE_REGISTERS: "holding",
}


class Sent(Protocol):
    """A write that the device acknowledged: the raw frames, and the time that it took."""

    @property
    def request(self) -> bytes: ...
    @property
    def answer(self) -> bytes: ...
    @property
    def latency_s(self) -> float: ...


class Unit(Protocol):
    """What a device needs of the link: checked answers or a Fault; ``session`` counts connections."""

    @property
    def session(self) -> int: ...
    async def read(self, table: str, address: int, count: int) -> Sequence[int]: ...
    async def write(self, frame: Frame, *, release: bool = False, session: int | None = None) -> Sent: ...


class Stranger(Exception):
    """It answers, but it is not the device that adapter and site say."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


class Device:
    """See the head of this module.

    ``part``: which of several like parts; its registers are ``stride * part`` further on. ``serial``: the number that
    it must say; the first one that it says, where the site says none. ``starts``: SunSpec model → its first register.
    ``exponents``: what scale factors said last, by the point they scale. ``counted``: what counters counted between the
    last two readings. ``quarantined``: points that the device refuses → until when, and why.
    """

    def __init__(
        self,
        name: str,
        adapter: Adapter,
        unit: Unit,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        part: int | None = None,
        serial: str | None = None,
    ) -> None:
        self.name, self.adapter, self.unit = name, adapter, unit
        self.serial = serial
        self.starts: Mapping[int, int] = {}
        self.exponents: dict[str, int | None] = {}
        self.counted: dict[str, Step] = {}
        self.quarantined: dict[str, tuple[float, str]] = {}
        self.shift = (adapter.link.stride or 0) * (part or 0)
        self._clock, self._now = clock, now
        self._points = {name: point for name, point in adapter.points.items() if point.readable}
        self._all = frozenset(self._points)
        identity = adapter.identity
        self._chained = identity.sunspec or any(p.sunspec is not None for p in adapter.points.values())
        known_by = identity.expect or identity.plausible or identity.sums or identity.serial or serial
        self._known = bool(self._chained or known_by)
        self._counters = frozenset(name for name, point in self._points.items() if point.counts)
        self._motion = Motion(self._points)
        self._chain: sunspec.Chain | None = None
        self._session: int | None = None
        self._spoke: set[int] = set()
        self._identifying = asyncio.Lock()
        self._latest: dict[str, Reading] = {}
        self._base: dict[str, tuple[float, float]] = {}
        self._plans: dict[frozenset[str], tuple[tuple[Block, ...], ...]] = {}
        self._split: dict[tuple[str, int, int, tuple[str, ...]], tuple[Block, ...]] = {}
        self._sulks_until = -math.inf

    # --- who it is ---

    @property
    def identified(self) -> bool:
        """Whether it is known who answers on the present connection."""
        return not self._known or self._session == self.unit.session

    async def identify(self) -> None:
        """Makes sure, once per connection, that this is the device. Raises Fault or Stranger."""
        async with self._identifying:
            for _ in range(TRIES):
                if self.identified:
                    return
                self._session = None
                self._session = await self._probe()
        if not self.identified:
            raise Fault(FaultKind.OFFLINE, "the connection breaks again and again while it is asked who it is")

    async def _probe(self) -> int | None:
        """Asks for all that tells who it is; the session that it was asked in, None where it changed meanwhile."""
        self._spoke = set()
        try:
            if self._chained:
                await self._find_models()
            await self._ask_who()
        finally:
            spoke, self._spoke = self._spoke, set()
        return next(iter(spoke)) if len(spoke) == 1 else None

    async def _find_models(self) -> None:
        used = {p.sunspec for p in self.adapter.points.values() if p.sunspec is not None}
        if self._chain is None or not await sunspec.still_there(self._get, self._chain, {*used, sunspec.COMMON}):
            self._chain, self.starts = await sunspec.discover(self._get), {}
            self._plans.clear()
        if self._chain is None:
            raise Stranger("it does not say SunS at register 40000, 0 or 50000")
        missing = sorted(used - self._chain.first.keys())
        if missing and self.adapter.identity.sunspec:
            raise Stranger(f"it has no SunSpec model {', '.join(map(str, missing))}")
        self.starts = {number: model.start for number, model in self._chain.first.items()}

    async def _ask_who(self) -> None:
        identity = self.adapter.identity
        parts = {name for total, those in identity.sums.items() for name in (total, *those)}
        names = {*identity.expect, *identity.plausible, *parts}
        if identity.serial is not None:
            names.add(identity.serial)
        said: dict[str, Decoded] = {}
        refused: list[tuple[Block, Fault]] = []
        for bunch in self._plan(names):
            said |= self._decode(await self._bunch(bunch, refused))
        for name in sorted(names - said.keys()):
            raise Stranger(f"{name}: {self._unread(name, refused).why}")
        why = self._implausible(said) or self._unexpected(said)
        if why:
            raise Stranger(why)
        if self._chained and identity.serial is None and self._chain is not None:
            self._same_serial(await sunspec.serial(self._get, self._chain))
        elif identity.serial is not None:
            number = said[identity.serial].value
            self._same_serial(None if number is None else value_said(number, ""))
        elif self.serial is not None:
            raise Stranger(f"the adapter knows no serial number, and the site asks for {self.serial}")

    def _same_serial(self, number: str | None) -> None:
        if self.serial is None:
            self.serial = number
        elif number != self.serial:
            raise Stranger(f"its serial number is {number or 'not said'}, not {self.serial}")

    def _unexpected(self, said: Mapping[str, Decoded]) -> str:
        """What tells that it is another model, or ""."""
        identity = self.adapter.identity
        for name, expected in identity.expect.items():
            found = said[name]
            if not _same(found.value, expected):
                unit = self._points[name].unit
                words = found.why if found.value is None else value_said(found.value, unit)
                return f"{name} reads {words or 'nothing'}, not {value_said(expected, unit)}"
        return ""

    def _implausible(self, said: Mapping[str, Decoded] | Mapping[str, Reading]) -> str:
        """What a device of this kind that works would never read, or ""."""
        witnesses = [name for name in self.adapter.identity.plausible if name in said]
        for name in witnesses:
            if said[name].quality is Quality.OUT_OF_RANGE:
                return f"{name}: {said[name].why}"
        missing = [name for name in witnesses if said[name].quality is Quality.MISSING]
        if len(witnesses) == len(self.adapter.identity.plausible) and 2 * len(missing) > len(witnesses):
            return f"{', '.join(missing)}: {said[missing[0]].why}"  # one sensor may be absent, most are not
        for total, parts in self.adapter.identity.sums.items():
            if not said.keys() >= {total, *parts}:
                continue
            whole, values = said[total].value, [said[name].value for name in parts]
            rest = [v for v in values if isinstance(v, float)]
            if not isinstance(whole, float) or len(rest) < len(parts):
                continue
            if abs(whole - sum(rest)) > SUM_SLACK + SUM_SHARE * sum(map(abs, rest)):
                return f"{total} reads {whole:g}, and its parts add up to {sum(rest):g}"
        return ""

    # --- reading ---

    async def read(self, names: Iterable[str] | None = None) -> dict[str, Reading]:
        """What points read now; all of them, or those named. Never raises a Fault: it becomes a quality."""
        wanted = self._all if names is None else frozenset(names)
        if not wanted <= self._all:
            raise KeyError(f"{self.adapter.name} reads no {', '.join(sorted(wanted - self._all))}")
        for name in self._counters & wanted:
            self.counted.pop(name, None)
        found = await self._read(wanted)
        self._latest |= found
        return found

    async def _read(self, names: frozenset[str]) -> dict[str, Reading]:
        for _ in range(TRIES):
            try:
                if not self.identified:
                    await self.identify()
            except Fault as fault:
                return self._failed(names, fault.why)
            except Stranger as stranger:
                return self._failed(names, f"another device answers: {stranger.why}")
            found = await self._sweep(names)
            if self.identified:
                return self._believed(found)
        return self._failed(names, "the connection breaks again and again while it is read")

    def latest(self, name: str) -> Reading:
        """What a point read last, as it is worth now."""
        last = self._latest.get(name)
        if last is None:
            return self._failed([name], "it was not read yet")[name]
        return aged(last, self._points[name], self._clock())

    async def _get(self, table: str, address: int, count: int) -> Sequence[int]:
        words = await self.unit.read(table, address, count)
        self._spoke.add(self.unit.session)
        return words

    async def _sweep(self, names: frozenset[str]) -> dict[str, Reading]:
        """All that was asked for, whatever became of it. After a failure of the connection the rest is not asked."""
        found: dict[str, Reading] = {}
        refused: list[tuple[Block, Fault]] = []
        stop, answered = "", False
        for bunch in self._plan(names):
            if stop:
                found |= self._failed(_names(bunch), stop)
                continue
            try:
                answers = await self._bunch(bunch, refused)
            except Fault as fault:
                found |= self._failed(_names(bunch), fault.why)
                stop = "" if fault.kind in (FaultKind.REFUSED, FaultKind.BUSY) else fault.why
                continue
            answered |= bool(answers)
            found |= self._readings(self._decode(answers))
        self._take_refusals(refused, answered)
        if len(found) < len(names):
            found |= self._readings({name: self._unread(name, refused) for name in names - found.keys()})
        return found

    async def _bunch(
        self, bunch: Sequence[Block], refused: list[tuple[Block, Fault]]
    ) -> list[tuple[Block, Sequence[int]]]:
        """Blocks that belong together, with their words. ``refused`` takes the registers that the device refuses."""
        found = []
        for block in bunch:
            found += await self._block(block, refused)
        return found

    async def _block(self, block: Block, refused: list[tuple[Block, Fault]]) -> list[tuple[Block, Sequence[int]]]:
        key = (block.table, block.address, block.count, block.names)
        parts = self._split.get(key)
        if parts is None:
            try:
                return [(block, await self._get(block.table, block.address, block.count))]
            except Fault as fault:
                if fault.kind is not FaultKind.REFUSED or fault.code not in MAP_ERRORS:
                    raise
                if len(block.halves()) < 2 or self._clock() < self._sulks_until:
                    refused.append((block, fault))
                    return []
                parts = block.halves()
        found = [answer for part in parts for answer in await self._block(part, refused)]
        answered = [b for b, _ in found]
        if _names(answered) == _names([block]) and {r for b in answered for r in b.factors} == {*block.factors}:
            self._split[key] = tuple(answered)
        return found

    def _decode(self, answers: Sequence[tuple[Block, Sequence[int]]]) -> dict[str, Decoded]:
        """What the blocks of a bunch read. All of them, or none: the answers were checked before."""
        factors: dict[Place, int] = {}
        for block, words in answers:
            factors |= block.factor_words(words)
        found: dict[str, Decoded] = {}
        for block, words in answers:
            found |= block.decode(words, factors)
            for spot in block.scaled:
                word = factors.get((spot.table, spot.scale_factor or 0))
                self.exponents[spot.name] = None if word is None else exponent_of(word)
        return found

    def _believed(self, found: dict[str, Reading]) -> dict[str, Reading]:
        """Readings, but none of a device that reads what none of its kind would, or that stands still."""
        why = self._implausible(found)
        if why:
            self._session = None
            return {
                name: r.spoilt(Quality.OUT_OF_RANGE, f"not believed: {why}") if r.good else r
                for name, r in found.items()
            }
        self._motion.see(found)
        self._count(found)
        stopped = self._motion.stopped(self._clock())
        if not stopped:
            return found
        frozen = "; ".join(stopped.values()) if len(stopped) == self._motion.seen else ""
        return {
            name: r.spoilt(Quality.STALE, frozen or stopped[name]) if r.good and (frozen or name in stopped) else r
            for name, r in found.items()
        }

    def _count(self, found: Mapping[str, Reading]) -> None:
        for name in self._counters & found.keys():
            reading = found[name]
            if not isinstance(reading.value, float):
                continue
            if name in self._base:
                before, at_s = self._base[name]
                codec, exponent = self._points[name].codec, self.exponents.get(name)
                self.counted[name] = passed(codec, before, reading.value, reading.at_s - at_s, exponent)
            self._base[name] = reading.value, reading.at_s

    def _readings(self, said: Mapping[str, Decoded]) -> dict[str, Reading]:
        return readings(said, self._now(), self.name, self._clock())

    def _failed(self, names: Iterable[str], why: str) -> dict[str, Reading]:
        return self._readings(dict.fromkeys(names, Decoded(None, Quality.FAILED, why)))

    # --- the plan ---

    def _plan(self, names: Iterable[str]) -> tuple[tuple[Block, ...], ...]:
        """Blocks for points, without those in quarantine and those that the device has not."""
        wanted = frozenset(names)
        if self.quarantined:
            now_s = self._clock()
            self.quarantined = {n: (until, why) for n, (until, why) in self.quarantined.items() if until > now_s}
            wanted = wanted.difference(self.quarantined)
        if wanted not in self._plans:
            there = [self._points[name] for name in sorted(wanted) if not self._absent(self._points[name])]
            self._plans[wanted] = plan(spots(there, self.starts, self.shift), self.adapter.link)
        return self._plans[wanted]

    def _absent(self, point: Point) -> str:
        """Why the device does not have a point, or ""."""
        if point.sunspec is None:
            return ""
        model = self._chain.first.get(point.sunspec) if self._chain else None
        if model is None:
            return f"the device has no SunSpec model {point.sunspec}"
        last = max(point.end, (point.scale_factor or 0) + 1)
        return "" if model.start + last <= model.end else f"its SunSpec model {point.sunspec} ends before it"

    def _unread(self, name: str, refused: Iterable[tuple[Block, Fault]]) -> Decoded:
        """Why no block answered for a point."""
        absent = self._absent(self._points[name])
        if absent:
            return Decoded(None, Quality.MISSING, absent)
        if name in self.quarantined:
            return Decoded(None, Quality.FAILED, self.quarantined[name][1])
        why = next((fault.why for block, fault in refused if name in _names([block])), "it was not read")
        return Decoded(None, Quality.FAILED, why)

    def _take_refusals(self, refused: Sequence[tuple[Block, Fault]], answered: bool) -> None:
        """Points that are refused while others are answered are left alone; a device that refuses all is not."""
        if refused and not answered:
            self._sulks_until = self._clock() + SULK_S
            return
        until = self._clock() + QUARANTINE_S
        for block, fault in refused:
            for name in {*_names([block]), *self._scaled_by(block)}:
                self.quarantined[name] = until, fault.why

    def _scaled_by(self, block: Block) -> set[str]:
        """Points that mean nothing without the scale factors of a block."""
        there = spots(self._points.values(), self.starts, self.shift)
        return {s.name for s in there if s.table == block.table and s.scale_factor in block.factors}

    # --- writing ---

    def place(self, frame: Frame) -> Frame:
        """A request with the register that it goes to in this device. Raises Unfit for registers that are not those of
        whole writable points, one after the other."""
        table = TABLES_WRITTEN.get(frame.function)
        writable = {
            p.address: p.end
            for p in self.adapter.points.values()
            if p.writable and (p.table, p.sunspec) == (table, frame.sunspec)
        }
        at, end = frame.address, frame.address + len(frame.words)
        while at < end and at in writable:
            at = writable[at]
        if at != end or not frame.words:
            raise Unfit(f"function {frame.function} to registers {frame.address}..{end - 1}: not those of its commands")
        if frame.sunspec is None:
            return dataclasses.replace(frame, address=frame.address + self.shift, rests_on=None)
        model = self._chain.first.get(frame.sunspec) if self._chain else None
        if model is None or model.start + end > model.end:
            raise Unfit(f"the device has no such registers in SunSpec model {frame.sunspec}")
        return dataclasses.replace(frame, address=frame.address + model.start, sunspec=None, rests_on=None)

    async def write(self, frame: Frame, release: bool = False) -> Sent:
        """Sends one request of a command, once, on the connection on which the device was identified. Raises Fault,
        Stranger or Unfit."""
        for left in range(TRIES - 1, -1, -1):
            await self.identify()
            if frame.rests_on is not None:
                await self._await_words(self.place(frame.rests_on))
            placed, session = self.place(frame), self._session
            try:
                return await self.unit.write(placed, release=release, session=session)
            except Fault as fault:
                if fault.sent or self.identified or not left:
                    raise  # else nothing was sent, because the connection is a new one
        raise AssertionError("the last try returns or raises")

    async def _await_words(self, before: Frame) -> None:
        """Waits until the device shows what was written before. Raises Fault, with nothing sent, where it does not."""
        words: Sequence[int] = ()
        for wait_s in WAITS_S:
            await asyncio.sleep(wait_s)
            words = await self._get(TABLES_WRITTEN[before.function], before.address, len(before.words))
            if tuple(words) == before.words:
                return
        why = f"registers from {before.address} on read {words_said(tuple(words))}, not {words_said(before.words)}"
        raise Fault(FaultKind.BROKEN, f"what rests on them was not sent: {why}", sent=False)


def _same(found: Value | None, expected: object) -> bool:
    if isinstance(found, float) and isinstance(expected, (int, float)):
        return math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-9)
    return found == expected


def _names(bunch: Iterable[Block]) -> list[str]:
    return [spot.name for block in bunch for spot in block.spots]
