"""What a request asks, and whether what came back is its answer. Sends nothing.

Only functions 1 to 6, 15 and 16 can be built, and none to unit 0, which every device on a line would take for itself.
Source: MODBUS Application Protocol Specification V1.1b3, chapters 4, 6 and 7.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass

from gridopt.devices.frames import WRITE_COIL, WRITE_COILS, WRITE_REGISTER, WRITE_REGISTERS, Frame
from gridopt.devices.link.fault import Fault, FaultKind

READS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
BIT_READS = (1, 2)
MOST_READ = {1: 2000, 2: 2000, 3: 125, 4: 125}
MOST_WRITTEN = {WRITE_COIL: 1, WRITE_REGISTER: 1, WRITE_COILS: 1968, WRITE_REGISTERS: 123}
LAST_UNIT = 255
ON, OFF = 0xFF00, 0x0000
ERROR = 0x80
"""Set in the function of an answer that is an exception."""
EXCEPTIONS = {
    1: "it does not know the function",
    2: "it has no such register",
    3: "it does not take the value or the length",
    4: "it failed at the request",
    5: "it has taken the request and still works on it",
    6: "it is busy",
    7: "it cannot do this",
    8: "its memory is damaged",
    10: "the gateway has no way to it",
    11: "the gateway had no answer from it",
}
SAID_BY = {5: FaultKind.BUSY, 6: FaultKind.BUSY, 10: FaultKind.GATEWAY, 11: FaultKind.GATEWAY}
_THREE = struct.Struct(">BHH")
_FOUR = struct.Struct(">BHHB")


@dataclass(frozen=True, slots=True)
class Request:
    """A request and what its answer must look like.

    ``pdu``: what is sent, from the function on; ``echo``: what must come back for a write, b"" for a read;
    ``length``: bytes of the answer from the function on, when it is no exception.
    """

    unit: int
    function: int
    address: int
    count: int
    pdu: bytes
    echo: bytes
    length: int

    @property
    def writes(self) -> bool:
        return bool(self.echo)


@functools.lru_cache(8192)
def read(unit: int, table: str, address: int, count: int) -> Request:
    """Registers or bits of one table. Raises ValueError for what no device can be asked."""
    function = READS.get(table)
    if function is None:
        raise ValueError(f"{table!r} is none of {', '.join(READS)}")
    _check_range(unit, address, count, MOST_READ[function])
    size = (count + 7) // 8 if function in BIT_READS else 2 * count
    return Request(unit, function, address, count, _THREE.pack(function, address, count), b"", 2 + size)


def write(unit: int, frame: Frame) -> Request:
    """A frame that stands at its place. Raises ValueError for what must never be sent."""
    function, words, count = frame.function, frame.words, len(frame.words)
    if function not in MOST_WRITTEN:
        raise ValueError(f"function {function} writes nothing that may be written")
    if frame.sunspec is not None:
        raise ValueError(f"the frame counts from SunSpec model {frame.sunspec}, and nobody said where that starts")
    _check_range(unit, frame.address, count, MOST_WRITTEN[function])
    bits = function in (WRITE_COIL, WRITE_COILS)
    most = 1 if bits else 0xFFFF
    if not all(isinstance(word, int) and 0 <= word <= most for word in words):
        raise ValueError(f"not all of {words} are within 0..{most}")
    if function in (WRITE_COIL, WRITE_REGISTER):
        word = (ON if words[0] else OFF) if bits else words[0]
        pdu = echo = _THREE.pack(function, frame.address, word)
    else:
        data = _packed(words) if bits else struct.pack(f">{count}H", *words)
        pdu = _FOUR.pack(function, frame.address, count, len(data)) + data
        echo = pdu[:5]
    return Request(unit, function, frame.address, count, pdu, echo, 5)


def _check_range(unit: int, address: int, count: int, most: int) -> None:
    if not 1 <= unit <= LAST_UNIT:
        raise ValueError(f"unit {unit} is not within 1..{LAST_UNIT}")
    if not 1 <= count <= most:
        raise ValueError(f"{count} values do not go into one request; at most {most} do")
    if not 0 <= address <= 0x10000 - count:
        raise ValueError(f"registers {address}..{address + count - 1} are not within 0..65535")


def _packed(bits: tuple[int, ...]) -> bytes:
    """The first bit is the lowest of the first byte."""
    number = sum(bit << place for place, bit in enumerate(bits))
    return number.to_bytes((len(bits) + 7) // 8, "little")


def judge(request: Request, pdu: bytes) -> tuple[int, ...]:
    """The words of the answer, () for a write. Raises Fault for everything that is not the answer to this request.

    ``pdu``: what came, from the function on.
    """
    if request.echo:
        if pdu == request.echo:
            return ()
    elif len(pdu) == request.length and pdu[0] == request.function and pdu[1] == len(pdu) - 2:
        if request.function in BIT_READS:
            number = int.from_bytes(pdu[2:], "little")
            return tuple(number >> place & 1 for place in range(request.count))
        return struct.unpack(f">{request.count}H", pdu[2:])
    raise _wrong(request, pdu)


def _wrong(request: Request, pdu: bytes) -> Fault:
    """What is the matter with an answer that is not the one asked for."""
    function = pdu[0] if pdu else 0
    if function == request.function | ERROR:
        return _exception(pdu[1:])
    if function != request.function:
        return broken(f"function {function} answers function {request.function}")
    if not request.echo:
        size = pdu[1] if len(pdu) > 1 else 0
        return broken(f"{size} bytes said and {max(len(pdu) - 2, 0)} sent, where {request.length - 2} were asked for")
    if len(pdu) != len(request.echo):
        return broken(f"an acknowledgement of {len(pdu)} bytes, where {len(request.echo)} were due")
    what = "another register" if pdu[1:3] != request.echo[1:3] else "another value or count"
    return broken(f"{what} is acknowledged: {pdu.hex(' ')} for {request.echo.hex(' ')}")


def _exception(code: bytes) -> Fault:
    if len(code) != 1 or code[0] not in EXCEPTIONS:
        number = code[0] if len(code) == 1 else None
        return broken("an exception " + (f"with the unknown code {number}" if code else "without a code"), code=number)
    (number,) = code
    kind = SAID_BY.get(number, FaultKind.REFUSED)
    return Fault(kind, f"exception {number}: {EXCEPTIONS[number]}", code=number, sent=True)


def broken(why: str, *, code: int | None = None) -> Fault:
    return Fault(FaultKind.BROKEN, why, code=code, sent=True)
