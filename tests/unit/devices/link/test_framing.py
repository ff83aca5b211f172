"""Which bytes of a stream are taken as the answer, and that no others are."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridopt.devices.frames import Frame
from gridopt.devices.link import exchange
from gridopt.devices.link.exchange import Request, judge
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.link.framing import MOST_UNASKED, Counts, Mbap, Rtu
from gridopt.simulate.wire import exception, mbap, read_answer, rtu
from tests.support import fuzz

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


def test_a_line_says_when_a_person_should_look_at_it() -> None:
    assert Counts(reads=99, checksum=2).alarms == ()
    assert Counts(reads=200, checksum=2).alarms == ()
    (wiring,) = Counts(reads=150, writes=50, checksum=3).alarms
    assert "1.5 %" in wiring
    (double,) = Counts(doubles=2).alarms
    assert "same unit number" in double


@pytest.mark.parametrize("second", [ANSWER, read_answer(3, (7, 8, 66))])
def test_two_devices_of_one_number_are_told(second: bytes) -> None:
    framing = waiting()
    assert "same unit number" in broken(framing, rtu(5, ANSWER) + rtu(5, second)).why
    assert framing.counts.doubles == 1


def test_a_line_that_gives_back_what_is_sent_is_told() -> None:
    assert "echo" in broken(waiting(), rtu(5, READ.pdu)).why
    assert "echo" in broken(waiting(), rtu(5, READ.pdu) + rtu(5, ANSWER)).why
    # The answer to a write of one register is the request itself; with the echo before it there are two.
    one = exchange.write(5, Frame(6, 100, (1,)))
    framing = waiting(one)
    framing.feed(2 * rtu(5, one.pdu))
    with pytest.raises(Fault, match="echo"):
        framing.take()


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


@pytest.mark.parametrize(("framing", "number"), [("tcp", 60_000), ("rtu", 40_000)])
def test_ds_35_fuzzed_answers_do_not_pass_for_others(framing: fuzz.Kind, number: int) -> None:
    seen = fuzz.run(framing, number, seed=7)
    assert seen["wrong"] == seen["hoarded"] == 0
    assert min(seen[what] for what in ("taken", "broken", "timeout", "refused")) > 500
