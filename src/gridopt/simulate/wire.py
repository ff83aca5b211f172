"""Modbus on the wire: frames of TCP (MBAP) and RTU, and what stands in them. Written from the specification alone.

Source: MODBUS Application Protocol Specification V1.1b3; MODBUS Messaging on TCP/IP Implementation Guide V1.0b;
MODBUS over Serial Line Specification and Implementation Guide V1.02.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Framing = Literal["mbap", "rtu"]

READS = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
"""Function → the table it reads."""
WRITES = {5: "coil", 6: "holding", 15: "coil", 16: "holding"}
BITS = ("coil", "discrete")
MOST_READ = {"coil": 2000, "discrete": 2000, "holding": 125, "input": 125}
MOST_WRITTEN = {15: 1968, 16: 123}
ON, OFF = 0xFF00, 0x0000

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, FAILURE, NO_TARGET = 1, 2, 3, 4, 11
MBAP_HEADER = 7
MOST_PDU = 253


@dataclass(frozen=True)
class Request:
    """One request as it came. ``tid``: the transaction's number, 0 on a line without."""

    unit: int
    pdu: bytes
    tid: int = 0

    @property
    def function(self) -> int:
        return self.pdu[0]

    @property
    def address(self) -> int:
        return int.from_bytes(self.pdu[1:3], "big")

    @property
    def writes(self) -> bool:
        return self.function in WRITES


def mbap(tid: int, unit: int, pdu: bytes, protocol: int = 0, length: int | None = None) -> bytes:
    """A frame of TCP; ``protocol`` and ``length`` only differ where a frame is wrong on purpose."""
    return struct.pack(">HHHB", tid & 0xFFFF, protocol, len(pdu) + 1 if length is None else length, unit & 0xFF) + pdu


def rtu(unit: int, pdu: bytes) -> bytes:
    """A frame of a serial line, its check at the end."""
    body = bytes((unit & 0xFF,)) + pdu
    return body + crc(body)


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


CRC = _crc_table()


def crc(body: bytes) -> bytes:
    """The two bytes that close a frame of RTU."""
    value = 0xFFFF
    for byte in body:
        value = value >> 8 ^ CRC[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")


def rtu_length(start: bytes) -> int | None:
    """How long the request is that begins so: bytes with its check; None while it cannot be known."""
    if len(start) < 2:
        return None
    if start[1] in (15, 16):
        return 9 + start[6] if len(start) > 6 else None
    return 8 if start[1] in READS or start[1] in WRITES else None


# --- what stands in a request and in its answer ----------------------------------------------------------------------


def pack_words(words: Iterable[int]) -> bytes:
    words = tuple(words)
    return struct.pack(f">{len(words)}H", *words)


def words_of(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(data) // 2}H", data)


def pack_bits(bits: Sequence[int]) -> bytes:
    """The first bit is the lowest of the first byte."""
    found = bytearray((len(bits) + 7) // 8)
    for k, bit in enumerate(bits):
        found[k // 8] |= bool(bit) << k % 8
    return bytes(found)


def bits_of(data: bytes, count: int) -> tuple[int, ...]:
    return tuple(data[k // 8] >> k % 8 & 1 for k in range(count))


def read_answer(function: int, words: Sequence[int]) -> bytes:
    data = pack_bits(words) if READS[function] in BITS else pack_words(words)
    return bytes((function, len(data))) + data


def exception(function: int, code: int) -> bytes:
    return bytes((function & 0xFF | 0x80, code))
