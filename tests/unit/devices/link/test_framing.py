"""Which bytes of a stream are taken as the answer, and that no others are."""

from __future__ import annotations

import struct
from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridopt.devices.frames import Frame
from gridopt.devices.link import exchange
from gridopt.devices.link.exchange import Request, judge
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.link.framing import MOST_UNASKED, Counts, Mbap, Rtu
from gridopt.simulate.wire import crc, exception, mbap, read_answer, rtu

READ = exchange.read(5, "holding", 100, 3)
WRITE = exchange.write(5, Frame(16, 100, (1, 2)))
ANSWER = read_answer(3, (7, 8, 9))


def asked(request: Request = READ) -> tuple[Mbap, int]:
    """A line on which a request was just sent, and the number it carries."""
    framing = Mbap(Counts())
    return framing, int.from_bytes(framing.ask(request)[:2], "big")


def refused(framing: Mbap | Rtu, data: bytes) -> Fault:
    with pytest.raises(Fault) as caught:
        framing.feed(data)
    return caught.value


# --- TCP -------------------------------------------------------------------------------------------------------------


def test_requests_stand_on_tcp_as_the_specification_says() -> None:
    framing, number = asked()
    assert framing.ask(READ) == mbap(number % 0xFFFF + 1, 5, READ.pdu)


def test_numbers_differ_from_request_to_request_and_are_never_0() -> None:
    framing, first = asked()
    numbers = [int.from_bytes(framing.ask(READ)[:2], "big") for _ in range(70_000)]
    assert numbers[0] == first % 0xFFFF + 1
    assert set(numbers) == set(range(1, 65536))
    assert all(a != b for a, b in pairwise(numbers))


def test_a_connection_does_not_begin_with_the_number_1() -> None:
    """An answer to nobody, sent on connecting, is likely to carry a small number."""
    assert len({asked()[1] for _ in range(20)}) > 1


@given(st.data())
def test_t18_an_answer_may_come_in_any_pieces(data: st.DataObject) -> None:
    framing, number = asked()
    frame = mbap(number, 5, ANSWER)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(frame) - 1))))
    pieces = [frame[a:b] for a, b in zip([0, *cuts], [*cuts, len(frame)], strict=True)]
    assert [framing.feed(piece) for piece in pieces] == [False] * len(cuts) + [True]
    assert framing.take() == (ANSWER, frame)
    assert not framing.pending


@pytest.mark.parametrize("other", ["one more", "0", "the one before"])
def test_t4_t5_a_frame_with_another_number_is_passed_over(other: str) -> None:
    framing, number = asked()
    number = int.from_bytes(framing.ask(READ)[:2], "big")
    wrong = {"one more": number + 1, "0": 0, "the one before": number - 1}[other]
    assert not framing.feed(mbap(wrong, 5, read_answer(3, (66, 66, 66))))
    assert framing.passed == framing.counts.unasked == 1
    assert framing.feed(mbap(number, 5, ANSWER))
    assert framing.take()[0] == ANSWER


@pytest.mark.parametrize(
    ("unit", "protocol", "length", "what"),
    [
        (6, 0, None, "unit 6"),
        (5, 1, None, "protocol 1"),
        (5, 0, 49, "length"),
        (5, 0, 300, "length"),
        (5, 0, 1, "length"),
    ],
)
def test_t17_a_wrong_header_ends_the_connection_before_the_rest_has_come(
    unit: int, protocol: int, length: int | None, what: str
) -> None:
    framing, number = asked()
    fault = refused(framing, mbap(number, unit, ANSWER, protocol, length)[:7])
    assert fault.kind is FaultKind.BROKEN
    assert what in fault.why


def test_two_answers_at_once_are_none() -> None:
    framing, number = asked()
    refused(framing, 2 * mbap(number, 5, ANSWER))
    assert framing.counts.doubles == 1


def test_a_second_answer_after_the_first_is_counted() -> None:
    framing, number = asked()
    assert framing.feed(mbap(number, 5, ANSWER))
    framing.take()
    framing.feed(mbap(number, 5, ANSWER))
    assert (framing.counts.doubles, framing.counts.unasked) == (1, 1)


def test_who_sends_frame_after_frame_unasked_is_not_listened_to() -> None:
    framing, _ = asked()
    for _ in range(MOST_UNASKED):
        framing.feed(mbap(0, 5, ANSWER))
    assert refused(framing, mbap(0, 5, ANSWER)).kind is FaultKind.BROKEN
    framing.ask(READ)
    assert framing.passed == 0


# --- RTU -------------------------------------------------------------------------------------------------------------


def waiting(request: Request = READ) -> Rtu:
    framing = Rtu(Counts(), 11 / 9600)
    framing.ask(request)
    return framing


def broken(framing: Rtu, data: bytes) -> Fault:
    assert framing.feed(data)
    with pytest.raises(Fault) as caught:
        judge(READ, framing.take()[0])
    assert caught.value.kind is FaultKind.BROKEN
    return caught.value


def test_requests_stand_on_a_serial_line_as_the_specification_says() -> None:
    assert Rtu(Counts(), 0).ask(READ) == rtu(5, READ.pdu)


def test_the_line_must_be_quiet_for_three_and_a_half_characters() -> None:
    assert Rtu(Counts(), 11 / 9600).quiet_s == pytest.approx(3.5 * 11 / 9600)
    assert Rtu(Counts(), 11 / 115200).quiet_s == 0.00175


def test_an_answer_on_a_serial_line_is_there_at_its_last_byte() -> None:
    framing, frame = waiting(), rtu(5, ANSWER)
    assert [framing.feed(frame[k : k + 1]) for k in range(len(frame))] == [False] * (len(frame) - 1) + [True]
    assert framing.take() == (ANSWER, frame)


def test_an_exception_on_a_serial_line_is_shorter() -> None:
    framing = waiting()
    assert framing.feed(rtu(5, exception(3, 2)))
    assert framing.take()[0] == exception(3, 2)


@pytest.mark.parametrize(
    "frame",
    [
        rtu(6, ANSWER),  # another unit
        rtu(5, read_answer(4, (7, 8, 9))),  # another function
        rtu(5, read_answer(3, (7, 8))),  # fewer, and more, than were asked for
        rtu(5, read_answer(3, (7, 8, 9, 10))),
        rtu(5, WRITE.echo),  # the late answer to a write
        rtu(5, read_answer(3, (1, 2, 3, 4))) + rtu(5, ANSWER),  # the answer before comes again in front
        b"\0" + rtu(5, ANSWER),
        rtu(5, ANSWER) + b"\0",
    ],
)
def test_ds_14_t2_t3_a_serial_line_takes_no_other_frame(frame: bytes) -> None:
    broken(waiting(), frame)


def test_a_wrong_checksum_is_counted() -> None:
    framing = waiting()
    framing.counts.reads = 50
    broken(framing, rtu(5, ANSWER)[:-1] + b"\0")
    assert framing.counts.checksum == 1
    assert framing.counts.checksum_share == 0.02


@pytest.mark.parametrize("second", [ANSWER, read_answer(3, (7, 8, 66))])
def test_two_devices_of_one_number_are_told(second: bytes) -> None:
    framing = waiting()
    assert "same unit number" in broken(framing, rtu(5, ANSWER) + rtu(5, second)).why
    assert framing.counts.doubles == 1


def test_bytes_that_nobody_waits_for_end_the_connection() -> None:
    framing = waiting()
    framing.feed(rtu(5, ANSWER))
    framing.take()
    assert refused(framing, b"\x05").kind is FaultKind.BROKEN
    assert framing.counts.unasked == 1


def test_no_answer_is_longer_than_a_frame_can_be() -> None:
    framing = waiting()
    assert refused(framing, bytes((5, 3, 6)) + bytes(300)).kind is FaultKind.BROKEN


# --- fuzz ------------------------------------------------------------------------------------------------------------

REQUESTS = [
    *(exchange.read(5, table, 100, count) for table in ("holding", "input", "coil") for count in (1, 2, 40)),
    *(exchange.write(5, Frame(function, 100, (1,))) for function in (5, 6, 15, 16)),
    WRITE,
]


def honest(request: Request, random: Random) -> bytes:
    """What a device would say."""
    if random.random() < 0.1:
        return bytes((request.function | 0x80, random.choice((1, 2, 3, 4, 6, 11))))
    return request.echo or bytes((request.function, request.length - 2)) + random.randbytes(request.length - 2)


def mutated(frame: bytes, random: Random) -> bytes:
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


def heard(framing: Mbap | Rtu, request: Request, data: bytes, random: Random) -> bytes | str:
    """The answer that is taken, as it came; or why none is."""
    at = 0
    try:
        there = False
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


def right_pdu(request: Request, pdu: bytes) -> bool:
    if request.writes:
        return pdu == request.pdu[:5]
    size = 2 * request.count if request.function > 2 else (request.count + 7) // 8
    return len(pdu) == 2 + size and pdu[0] == request.function and pdu[1] == size


def test_ds_35_60_000_fuzzed_answers_on_tcp() -> None:
    random, seen = Random(7), Counter[str]()
    for _ in range(60_000):
        request = random.choice(REQUESTS)
        framing, number = asked(request)
        result = heard(framing, request, mutated(mbap(number, 5, honest(request, random)), random), random)
        seen["taken" if isinstance(result, bytes) else result] += 1
        assert len(framing._rest) < 520
        if isinstance(result, bytes):
            assert struct.unpack(">HHHB", result[:7]) == (number, 0, len(result) - 6, 5)
            assert right_pdu(request, result[7:])
    assert min(seen[what] for what in ("taken", "broken", "timeout", "refused")) > 500


def test_ds_35_40_000_fuzzed_answers_on_a_serial_line() -> None:
    random, seen = Random(8), Counter[str]()
    for _ in range(40_000):
        request = random.choice(REQUESTS)
        framing = waiting(request)
        frame = rtu(5, honest(request, random))
        data = mutated(frame, random)
        if data and random.random() < 0.3:  # so that more than the checksum is tried
            data = data[:-2] + crc(data[:-2])
        result = heard(framing, request, data, random)
        seen["taken" if isinstance(result, bytes) else result] += 1
        assert len(framing._buffer) < 520
        if isinstance(result, bytes):
            assert result == data
            assert result[0] == 5
            assert result[-2:] == crc(result[:-2])
            assert right_pdu(request, result[1:-2])
    assert min(seen[what] for what in ("taken", "broken", "timeout", "refused")) > 500
