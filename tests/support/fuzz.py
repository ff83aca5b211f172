"""Answers of devices changed at random, fed to the link without sockets, and judged by a second reading of the
specification that stands here."""

from __future__ import annotations

import struct
from collections import Counter
from random import Random
from typing import Literal

from gridopt.devices.frames import Frame
from gridopt.devices.link import exchange
from gridopt.devices.link.exchange import Request, judge
from gridopt.devices.link.fault import Fault
from gridopt.devices.link.framing import Counts, Mbap, Rtu
from gridopt.simulate.wire import crc, mbap, rtu

Kind = Literal["tcp", "rtu"]
UNIT = 5
MOST_KEPT = 520
"""Bytes that may wait for the rest of an answer."""
REQUESTS = [
    *(exchange.read(UNIT, table, 100, count) for table in ("holding", "input", "coil") for count in (1, 2, 40)),
    *(exchange.write(UNIT, Frame(function, 100, (1,))) for function in (5, 6, 15, 16)),
    exchange.write(UNIT, Frame(16, 100, (1, 2))),
]


def run(kind: Kind, number: int, seed: int) -> Counter[str]:
    """What became of so many answers: taken, refused, broken, …; "wrong": taken, and not the answer; "hoarded": more
    bytes kept than any answer has."""
    random, seen = Random(seed), Counter[str]()
    for _ in range(number):
        request = random.choice(REQUESTS)
        pdu = _honest(request, random)
        framing: Mbap | Rtu = Mbap(Counts()) if kind == "tcp" else Rtu(Counts(), 0.001)
        sent = framing.ask(request)
        data = _mutated(mbap(int.from_bytes(sent[:2], "big"), UNIT, pdu) if kind == "tcp" else rtu(UNIT, pdu), random)
        if kind == "rtu" and data and random.random() < 0.3:  # so that more than the checksum is tried
            data = data[:-2] + crc(data[:-2])
        found = _heard(framing, request, data, random)
        seen[found if isinstance(found, str) else "taken"] += 1
        if isinstance(found, bytes):
            right = _right_on_tcp(request, found, sent) if kind == "tcp" else _right_on_rtu(request, found, data)
            seen["wrong"] += not right
        kept = framing._rest if isinstance(framing, Mbap) else framing._buffer
        seen["hoarded"] += len(kept) > MOST_KEPT
    return seen


def _honest(request: Request, random: Random) -> bytes:
    """What a device would say."""
    if random.random() < 0.1:
        return bytes((request.function | 0x80, random.choice((1, 2, 3, 4, 6, 11))))
    return request.echo or bytes((request.function, request.length - 2)) + random.randbytes(request.length - 2)


def _mutated(frame: bytes, random: Random) -> bytes:
    found = bytearray(frame)
    for _ in range(random.choice((0, 1, 1, 1, 2, 4))):
        at = random.randrange(len(found) + 1)
        match random.randrange(8):
            case 0 | 1 if at < len(found):
                found[at] = random.randrange(256)
            case 2 if at < len(found):
                found[at] ^= 1 << random.randrange(8)
            case 3:
                del found[at : at + random.randint(1, 3)]
            case 4:
                found.insert(at, random.randrange(256))
            case 5:
                del found[at:]
            case 6:
                found += frame
            case _:
                found[:2] = random.choice((b"\0\0", random.randbytes(2)))
    return bytes(found)


def _heard(framing: Mbap | Rtu, request: Request, data: bytes, random: Random) -> bytes | str:
    """The answer that is taken, as it came; or why none is."""
    at, there = 0, False
    try:
        while at < len(data):
            size = random.choice((len(data), random.randint(1, 9)))
            there = framing.feed(data[at : at + size])
            at += size
            if there and isinstance(framing, Mbap):  # on TCP an answer counts at once
                break
        if not there:
            return "timeout"
        pdu, raw = framing.take()
        judge(request, pdu)
    except Fault as fault:
        return str(fault.kind)
    return raw


def _right_on_tcp(request: Request, frame: bytes, sent: bytes) -> bool:
    _, protocol, length, unit = struct.unpack(">HHHB", frame[:7])
    return (
        frame[:2] == sent[:2] and (protocol, length, unit) == (0, len(frame) - 6, UNIT) and _right(request, frame[7:])
    )


def _right_on_rtu(request: Request, frame: bytes, data: bytes) -> bool:
    return frame == data and frame[0] == UNIT and frame[-2:] == crc(frame[:-2]) and _right(request, frame[1:-2])


def _right(request: Request, pdu: bytes) -> bool:
    if request.writes:
        return pdu == request.pdu[:5]
    size = 2 * request.count if request.function > 2 else (request.count + 7) // 8
    return len(pdu) == 2 + size and pdu[0] == request.function and pdu[1] == size
