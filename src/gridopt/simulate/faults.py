"""Faults that devices and lines have, by name, to be switched on in a simulated one.

    NAME[:ARGUMENT][*TIMES]        slow:0.5    exc:6*2    sentinel:8000    late

``*TIMES``: so many requests meet the fault, and the next ones an honest device. ``FAULTS`` lists all names.

A fault acts at one of three places: on the *line* (connections), in the device's *memory* (what is read and written:
``remember`` puts another memory before the registers) or in the *answer* (``pieces``: what goes over the wire instead).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Final, Literal

from gridopt.devices.codec import FLOATS
from gridopt.devices.points import Point
from gridopt.simulate.registers import Memory, Registers, Words
from gridopt.simulate.wire import (
    READS,
    Framing,
    Request,
    crc,
    exception,
    mbap,
    pack_words,
    read_answer,
    rtu,
    words_of,
)
from gridopt.written.words import did_you_mean

Place = Literal["line", "memory", "answer"]

CLOSE: Final = "close"
Piece = bytes | float | str
"""Bytes that are sent, seconds that pass, or ``CLOSE``."""


class NoAnswer(Exception):
    """The device did what it was asked and says nothing."""


class Restart(Exception):
    """The device starts anew: its connections are gone, and it is away for some seconds."""

    def __init__(self, away_s: float) -> None:
        super().__init__(f"away for {away_s} s")
        self.away_s = away_s


@dataclass(frozen=True)
class Kind:
    """One fault. ``argument``: what it takes when nothing is said; None = nothing. ``only``: the framing it is of."""

    place: Place
    doc: str
    argument: str | None = None
    only: Framing | None = None


FAULTS: Mapping[str, Kind] = {
    "refuse": Kind("line", "connections are refused"),
    "accept_close": Kind("line", "connections are taken and closed at once"),
    "one-session": Kind("line", "a second connection is closed while there is one"),
    "ack_nowrite": Kind("memory", "writes are acknowledged and ignored"),
    "write_noack": Kind("memory", "writes are carried out and not acknowledged"),
    "clamp": Kind("memory", "of a value that is written, this share is stored", "0.5"),
    "revert": Kind("memory", "after so many seconds the device takes back what was written", "0.5"),
    "foreign": Kind("memory", "so many seconds after a write another master writes what was there before", "0.5"),
    "reboot": Kind("memory", "in the middle of a write the device starts anew and is away for so many seconds", "0.5"),
    "off_by_one": Kind("memory", "registers stand one place too high"),
    "swap": Kind("memory", "the two words of long numbers are exchanged"),
    "sentinel": Kind("memory", "every number reads so (hexadecimal): not available", "8000"),
    "nan": Kind("memory", "every number reads as a float that is none"),
    "frozen": Kind("memory", "readings no longer change"),
    "counter": Kind("memory", "counters begin anew at 0; with `wrap` they are about to turn over", ""),
    "silent": Kind("answer", "no answer"),
    "slow": Kind("answer", "answers take so many seconds", "0.2"),
    "late": Kind("answer", "answers come after the master gave up: so many seconds", "1.0"),
    "half": Kind("answer", "half of the answer and nothing more"),
    "half_close": Kind("answer", "half of the answer, then the connection is closed"),
    "dribble": Kind("answer", "the answer comes byte by byte, so many seconds apart", "0.005"),
    "split": Kind("answer", "the answer comes in two pieces, so many seconds apart", "0.03"),
    "tid": Kind("answer", "another transaction's number: one higher, or the one said", "", "mbap"),
    "stale_first": Kind("answer", "the answer before comes again first; with `0` as transaction 0", ""),
    "pid": Kind("answer", "another protocol's number", "1", "mbap"),
    "len_short": Kind("answer", "the header says less than follows", "1", "mbap"),
    "len_long": Kind("answer", "the header says more than follows", "40", "mbap"),
    "unit": Kind("answer", "another unit answers"),
    "dup": Kind("answer", "two devices have the same number: two answers"),
    "fc": Kind("answer", "the answer to another function"),
    "fc_unknown": Kind("answer", "the answer to a function that does not exist"),
    "few": Kind("answer", "fewer registers than asked for", "1"),
    "many": Kind("answer", "more registers than asked for", "1"),
    "bytecount": Kind("answer", "the count of bytes is not theirs"),
    "bytecount0": Kind("answer", "no bytes"),
    "odd": Kind("answer", "half a register at the end"),
    "exc": Kind("answer", "the exception of this number; nothing is carried out", "4"),
    "exc_nofc": Kind("answer", "an exception without its number; nothing is carried out"),
    "echo_addr": Kind("answer", "a write's answer names another register"),
    "echo_value": Kind("answer", "a write's answer names another value"),
    "garbage": Kind("answer", "bytes without meaning"),
    "garbage_then_ok": Kind("answer", "bytes without meaning before the answer"),
    "flood": Kind("answer", "a mebibyte of bytes without meaning"),
    "huge": Kind("answer", "a frame that never ends"),
    "fuzz": Kind("answer", "the answer, changed at random; the number is the seed", "1"),
    "crc": Kind("answer", "a check that does not fit", None, "rtu"),
    "unsolicited": Kind("answer", "a frame that nobody asked for, on connecting and before each answer"),
}

TEXT = re.compile(r"(?P<name>[^:*]+)(:(?P<argument>[^*]*))?(\*(?P<times>\d+))?")
HONEST = ""


@dataclass(frozen=True)
class Fault:
    """A fault that is on. ``times``: how many requests it still meets; None = all."""

    name: str
    argument: str = ""
    times: int | None = None

    @property
    def place(self) -> Place:
        return FAULTS[self.name].place

    @property
    def number(self) -> float:
        return float(self.argument)

    @property
    def carries_out(self) -> bool:
        """Whether the device does what it is asked."""
        return self.name not in ("exc", "exc_nofc", "accept_close", "refuse")


def parse(text: str, framing: Framing | None = None) -> Fault | None:
    """A fault from its text, None for "". Raises ValueError with the nearest known name."""
    if text == HONEST:
        return None
    match = TEXT.fullmatch(text)
    name = match["name"] if match else text
    kind = FAULTS.get(name)
    if match is None or kind is None:
        raise ValueError(f"no fault is called {name!r}{did_you_mean(name, FAULTS)}")
    if framing is not None and kind.only not in (None, framing):
        raise ValueError(f"{name} is a fault of {'TCP' if kind.only == 'mbap' else 'RTU'} alone")
    argument = match["argument"]
    if argument is not None and kind.argument is None:
        raise ValueError(f"{name} takes nothing after its name")
    argument = kind.argument or "" if argument is None else argument
    if not _argument_fits(name, argument):
        raise ValueError(f"{name} does not take {argument!r}: {kind.doc}")
    return Fault(name, argument, int(match["times"]) if match["times"] else None)


WORDS = {"counter": ("", "wrap"), "stale_first": ("", "0")}


def _argument_fits(name: str, argument: str) -> bool:
    if name in WORDS:
        return argument in WORDS[name]
    if argument == "":
        return FAULTS[name].argument in (None, "")
    try:
        number = int(argument, 16) if name == "sentinel" else float(argument)
    except ValueError:
        return False
    return 0 <= number <= 0xFFFF


# --- in the device's memory ------------------------------------------------------------------------------------------


def remember(fault: Fault | None, registers: Registers) -> Memory:
    """The memory that a master meets while a fault is on."""
    make = MEMORIES.get(fault.name) if fault else None
    return registers if fault is None or make is None else make(registers, fault)


class _Honest:
    """The registers themselves; memories with a fault differ in one of the two ways."""

    def __init__(self, registers: Registers, fault: Fault) -> None:
        self.registers, self.fault = registers, fault

    def read(self, table: str, address: int, count: int) -> Words:
        return self.registers.read(table, address, count)

    def write(self, table: str, address: int, words: Words) -> None:
        self.registers.write(table, address, words)


class _Ignoring(_Honest):
    """Even the registers' own refusals stay: what cannot be written is refused, all else is only said to be stored."""

    def write(self, table: str, address: int, words: Words) -> None:
        before, hook = self.registers.get(table, address, len(words)), self.registers.on_write
        self.registers.on_write = None
        try:
            self.registers.write(table, address, words)
        finally:
            self.registers.on_write = hook
        self.registers.put(table, address, before)


class _Unsaid(_Honest):
    def write(self, table: str, address: int, words: Words) -> None:
        self.registers.write(table, address, words)
        raise NoAnswer


class _Clamping(_Honest):
    def write(self, table: str, address: int, words: Words) -> None:
        self.registers.write(table, address, self._clamped(table, address, words))

    def _clamped(self, table: str, address: int, words: Words) -> Words:
        found = list(words)
        if not self.registers.points:
            return (int(words[0] * self.fault.number), *words[1:])
        for point in self.registers.points:
            k = point.address - address
            if point.table == table and k >= 0 and k + point.codec.registers <= len(words) and _is_amount(point):
                span = slice(k, k + point.codec.registers)
                found[span] = _times(point, tuple(found[span]), self.fault.number)
        return tuple(found)


def _is_amount(point: Point) -> bool:
    """Whether a point is what is asked for: a power, a current, a temperature, not a time or a code."""
    return point.unit in ("kW", "A", "°C") and not point.codec.codes


def _times(point: Point, words: Words, share: float) -> Words:
    raw = point.codec.pack.pack(*(words[::-1] if point.codec.turned else words))
    (number,) = point.codec.number.unpack(raw)
    scaled = number * share if point.codec.type in FLOATS else int(number * share)
    found = point.codec.pack.unpack(point.codec.number.pack(scaled))
    return found[::-1] if point.codec.turned else found


class _TakenBack(_Honest):
    """``revert``: the device itself, ``foreign``: another master, through what the device does on a write."""

    def write(self, table: str, address: int, words: Words) -> None:
        before = self.registers.get(table, address, len(words))
        self.registers.write(table, address, words)
        asyncio.get_running_loop().call_later(self.fault.number, self._take_back, table, address, before)

    def _take_back(self, table: str, address: int, before: Words) -> None:
        if self.fault.name == "foreign":
            self.registers.write(table, address, before)
        else:
            self.registers.put(table, address, before)
            if self.registers.on_write is not None:
                self.registers.on_write(table, address, before)


class _Rebooting(_Honest):
    def write(self, table: str, address: int, words: Words) -> None:
        self.registers.put(table, address, words[: len(words) // 2])
        if self.registers.on_restart is not None:
            self.registers.on_restart()
        raise Restart(self.fault.number)


class _Shifted(_Honest):
    """One place too high: 40001 taken for 1. Where nothing stands one place on, 0 is read and nothing is stored."""

    def read(self, table: str, address: int, count: int) -> Words:
        self.registers.read(table, address, count)
        return self.registers.get(table, address + 1, count)

    def write(self, table: str, address: int, words: Words) -> None:
        self.registers.write(table, address + 1, words)


class _Swapping(_Honest):
    def read(self, table: str, address: int, count: int) -> Words:
        return self._swapped(table, address, self.registers.read(table, address, count))

    def write(self, table: str, address: int, words: Words) -> None:
        self.registers.write(table, address, self._swapped(table, address, words))

    def _swapped(self, table: str, address: int, words: Words) -> Words:
        found = list(words)
        for k, length in _long_numbers(self.registers.points, table, address, len(words)):
            found[k : k + length] = found[k : k + length][::-1]
        return tuple(found)


def _long_numbers(points: tuple[Point, ...], table: str, address: int, count: int) -> list[tuple[int, int]]:
    """(place, length) of the numbers of several words within a request; pairs, where nobody knows what they are."""
    if not points:
        return [(k, 2) for k in range(0, count - 1, 2)]
    inside = {
        (p.address - address, p.codec.registers)
        for p in points
        if p.table == table and p.codec.type != "text" and p.codec.registers > 1
    }
    return sorted((k, n) for k, n in inside if k >= 0 and k + n <= count)


class _Absent(_Honest):
    """Numbers read as a pattern; names, codes and bits stay, where it is known which they are."""

    def read(self, table: str, address: int, count: int) -> Words:
        words = list(self.registers.read(table, address, count))
        if not self.registers.points:
            return tuple(self._pattern(count))
        for point in self.registers.points:
            number = point.codec.type not in ("text", "bit") and not point.codec.codes and not point.codec.bits
            if point.table != table or not number:
                continue
            for k, word in enumerate(self._pattern(point.codec.registers), point.address - address):
                if 0 <= k < count:
                    words[k] = word
        return tuple(words)

    def _pattern(self, count: int) -> list[int]:
        if self.fault.name == "nan":
            return [0x7FC0 if k % 2 == 0 else 0 for k in range(count)]
        return [int(self.fault.argument, 16)] * count


class _Frozen(_Honest):
    """Every register keeps what it read first."""

    def __init__(self, registers: Registers, fault: Fault) -> None:
        super().__init__(registers, fault)
        self.kept: dict[tuple[str, int], int] = {}

    def read(self, table: str, address: int, count: int) -> Words:
        words = self.registers.read(table, address, count)
        if table not in ("input", "discrete"):
            return words
        return tuple(self.kept.setdefault((table, k), word) for k, word in enumerate(words, address))


NEAR_TURN = 20


class _Counting(_Honest):
    """Counters of energy and volume begin anew when the fault is switched on; with ``wrap`` 20 counts before 2^n."""

    def __init__(self, registers: Registers, fault: Fault) -> None:
        super().__init__(registers, fault)
        self.zero: dict[tuple[str, int], int] = {}

    def read(self, table: str, address: int, count: int) -> Words:
        words = list(self.registers.read(table, address, count))
        counters = [
            (p.address - address, p.codec.registers, p.codec.turned)
            for p in self.registers.points
            if p.table == table and p.unit in ("kWh", "m³") and p.codec.type in ("u16", "u32", "u64", "i32", "i64")
        ]
        for k, length, turned in [(0, count, False)] if not self.registers.points else counters:
            if k < 0 or k + length > count:
                continue
            span = words[k : k + length][:: -1 if turned else 1]
            number, size = int.from_bytes(pack_words(span), "big"), 1 << 16 * length
            zero = self.zero.setdefault((table, address + k), number)
            moved = (number - zero - (NEAR_TURN if self.fault.argument == "wrap" else 0)) % size
            words[k : k + length] = words_of(moved.to_bytes(2 * length, "big"))[:: -1 if turned else 1]
        return tuple(words)


MEMORIES: Mapping[str, Callable[[Registers, Fault], Memory]] = {
    "ack_nowrite": _Ignoring,
    "write_noack": _Unsaid,
    "clamp": _Clamping,
    "revert": _TakenBack,
    "foreign": _TakenBack,
    "reboot": _Rebooting,
    "off_by_one": _Shifted,
    "swap": _Swapping,
    "sentinel": _Absent,
    "nan": _Absent,
    "frozen": _Frozen,
    "counter": _Counting,
}


# --- in the answer ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """An answer before it is sent. ``previous``: the frame that was sent before it on this connection."""

    framing: Framing
    request: Request
    pdu: bytes
    previous: bytes = b""

    def frame(self, protocol: int = 0, extra: int = 0) -> bytes:
        """``extra``: by how much the header's length is wrong."""
        if self.framing == "rtu":
            return rtu(self.request.unit, self.pdu)
        return mbap(self.request.tid, self.request.unit, self.pdu, protocol, len(self.pdu) + 1 + extra)

    def of(self, pdu: bytes) -> bytes:
        return replace(self, pdu=pdu).frame()

    @property
    def failed(self) -> bool:
        return self.pdu[0] >= 0x80

    @property
    def is_words(self) -> bool:
        """Whether registers (or bits) were read."""
        return not self.failed and self.request.function in READS


def pieces(fault: Fault | None, answer: Answer, random: Random) -> list[Piece]:
    """What goes over the wire instead of an answer."""
    if fault is None or fault.place != "answer":
        return [answer.frame()]
    for table in (TIMED, WRONG_FRAME):
        if fault.name in table:
            return table[fault.name](fault, answer)
    if fault.name in RANDOM:
        return RANDOM[fault.name](answer, random)
    return [answer.of(_wrong_pdu(fault, answer))]


def _halves(answer: Answer) -> tuple[bytes, bytes]:
    frame = answer.frame()
    return frame[: len(frame) // 2], frame[len(frame) // 2 :]


def _dribble(fault: Fault, answer: Answer) -> list[Piece]:
    found: list[Piece] = []
    for byte in answer.frame():
        found += [bytes((byte,)), fault.number]
    return found


TIMED: Mapping[str, Callable[[Fault, Answer], list[Piece]]] = {
    "silent": lambda fault, answer: [],
    "slow": lambda fault, answer: [fault.number, answer.frame()],
    "late": lambda fault, answer: [fault.number, answer.frame()],
    "half": lambda fault, answer: [_halves(answer)[0]],
    "half_close": lambda fault, answer: [_halves(answer)[0], CLOSE],
    "dribble": _dribble,
    "split": lambda fault, answer: [_halves(answer)[0], fault.number, _halves(answer)[1]],
}


def _tid(fault: Fault, answer: Answer) -> list[Piece]:
    tid = answer.request.tid + 1 if fault.argument == "" else int(fault.number)
    return [mbap(tid, answer.request.unit, answer.pdu)]


def _stale_first(fault: Fault, answer: Answer) -> list[Piece]:
    before = answer.previous
    if before and fault.argument == "0" and answer.framing == "mbap":
        before = b"\0\0" + before[2:]
    return [before + answer.frame()]


def _unit(fault: Fault, answer: Answer) -> list[Piece]:
    return [replace(answer, request=replace(answer.request, unit=answer.request.unit % 247 + 1)).frame()]


def _dup(fault: Fault, answer: Answer) -> list[Piece]:
    """The other device of that number reads something else, and takes a write likewise."""
    other = answer.pdu[:-1] + bytes((answer.pdu[-1] ^ 1,)) if answer.is_words else answer.pdu
    return [answer.frame() + answer.of(other)]


def _crc(fault: Fault, answer: Answer) -> list[Piece]:
    frame = answer.frame()
    return [frame[:-2] + bytes(byte ^ 0xFF for byte in crc(frame[:-2]))]


WRONG_FRAME: Mapping[str, Callable[[Fault, Answer], list[Piece]]] = {
    "tid": _tid,
    "stale_first": _stale_first,
    "pid": lambda fault, answer: [answer.frame(protocol=int(fault.number))],
    "len_short": lambda fault, answer: [answer.frame(extra=-int(fault.number))],
    "len_long": lambda fault, answer: [answer.frame(extra=int(fault.number))],
    "unit": _unit,
    "dup": _dup,
    "crc": _crc,
    "unsolicited": lambda fault, answer: [unsolicited(answer.framing) + answer.frame()],
}


def unsolicited(framing: Framing) -> bytes:
    """An answer to nobody: two registers of unit 1."""
    pdu = read_answer(3, (0x1234, 0x5678))
    return rtu(1, pdu) if framing == "rtu" else mbap(0, 1, pdu)


FLOOD_BYTES = 1 << 20
HUGE_BYTES = 1 << 16


def _garbage(random: Random, length: int = 24) -> bytes:
    return random.randbytes(length)


def _huge(answer: Answer, random: Random) -> list[Piece]:
    start = mbap(answer.request.tid, answer.request.unit, answer.pdu[:1], length=0xFFFF)
    if answer.framing == "rtu":
        start = bytes((answer.request.unit, answer.request.function, 0xFF))
    return [start + bytes(HUGE_BYTES)]


def _fuzz(answer: Answer, random: Random) -> list[Piece]:
    """One to four changes: a byte changed, lost, repeated or put in, or the rest cut off."""
    frame = bytearray(answer.frame())
    for _ in range(random.randint(1, 4)):
        if not frame:
            break
        k = random.randrange(len(frame))
        match random.randrange(5):
            case 0:
                frame[k] = random.randrange(256)
            case 1:
                del frame[k]
            case 2:
                frame.insert(k, frame[k])
            case 3:
                frame.insert(k, random.randrange(256))
            case _:
                del frame[k:]
    return [bytes(frame)]


RANDOM: Mapping[str, Callable[[Answer, Random], list[Piece]]] = {
    "garbage": lambda answer, random: [_garbage(random)],
    "garbage_then_ok": lambda answer, random: [_garbage(random), 0.02, answer.frame()],
    "flood": lambda answer, random: [_garbage(random, FLOOD_BYTES)],
    "huge": _huge,
    "fuzz": _fuzz,
}

OTHER_FUNCTION = {1: 2, 2: 1, 3: 4, 4: 3, 5: 6, 6: 5, 15: 16, 16: 15}


def _wrong_pdu(fault: Fault, answer: Answer) -> bytes:
    """An answer whose content is wrong; an answer that the fault cannot be in stays as it is."""
    function, pdu, name = answer.request.function, answer.pdu, fault.name
    if name == "exc":
        return exception(function, int(fault.number))
    if name == "exc_nofc":
        return bytes((function | 0x80,))
    if name == "fc":
        return bytes((OTHER_FUNCTION.get(function, 3) | pdu[0] & 0x80,)) + pdu[1:]
    if name == "fc_unknown":
        return b"\x5a" + pdu[1:]
    if answer.is_words:
        return _wrong_count(fault, function, pdu)
    if answer.request.writes and not answer.failed and name in ("echo_addr", "echo_value"):
        at = 2 if name == "echo_addr" else 4
        return pdu[:at] + bytes((pdu[at] ^ 1,)) + pdu[at + 1 :]
    return pdu


def _wrong_count(fault: Fault, function: int, pdu: bytes) -> bytes:
    data, more = pdu[2:], 2 * int(fault.number) if fault.name in ("few", "many") else 0
    if fault.name == "few":
        data = data[: max(len(data) - more, 0)]
    elif fault.name == "many":
        data = (data + bytes(more))[:250]
    elif fault.name == "bytecount":
        return bytes((function, (len(data) + 2) & 0xFF)) + data
    elif fault.name == "bytecount0":
        data = b""
    elif fault.name == "odd":
        data = data[:-1]
    return bytes((function, len(data))) + data
