"""What may be sent at all, and what counts as the answer to it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridopt.devices.frames import Frame
from gridopt.devices.link import exchange
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.simulate.modbus_server import carry_out
from gridopt.simulate.registers import Registers

HOLDING = exchange.read(1, "holding", 10, 4)
SETTING = exchange.write(1, Frame(6, 7, (500,)))
BLOCK = exchange.write(1, Frame(16, 7, (1, 2, 3)))


def refused(request: exchange.Request, pdu: bytes) -> Fault:
    with pytest.raises(Fault) as caught:
        exchange.judge(request, pdu)
    return caught.value


# --- what may be sent ------------------------------------------------------------------------------------------------


def test_ds_18_only_four_functions_write() -> None:
    for function in set(range(256)) - {5, 6, 15, 16}:
        with pytest.raises(ValueError, match="function"):
            exchange.write(1, Frame(function, 0, (1,)))


@pytest.mark.parametrize("unit", [0, -1, 256])
def test_ds_18_t16_no_request_to_unit_0_can_be_built(unit: int) -> None:
    with pytest.raises(ValueError, match="unit"):
        exchange.read(unit, "holding", 0, 1)
    with pytest.raises(ValueError, match="unit"):
        exchange.write(unit, Frame(6, 0, (1,)))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (6, ()),
        (6, (1, 2)),
        (6, (65536,)),
        (6, (-1,)),
        (6, (1.0,)),
        (5, (2,)),
        (15, (0, 2)),
        (15, (0,) * 1969),
        (16, ()),
    ],
)
def test_ds_18_t15_frames_that_the_protocol_does_not_have_are_refused(function: int, words: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"go into|within"):
        exchange.write(1, Frame(function, 0, words))


def test_a_frame_that_counts_from_a_model_has_no_place_yet() -> None:
    with pytest.raises(ValueError, match="123"):
        exchange.write(1, Frame(16, 5, (1, 2), sunspec=123))


@pytest.mark.parametrize(("table", "most"), [("holding", 125), ("input", 125), ("coil", 2000), ("discrete", 2000)])
def test_reads_end_where_the_protocol_ends(table: str, most: int) -> None:
    exchange.read(1, table, 0, most)
    exchange.read(255, table, 65536 - most, most)
    for address, count in ((0, most + 1), (0, 0), (65537 - most, most), (-1, 1)):
        with pytest.raises(ValueError, match=r"go into|within"):
            exchange.read(1, table, address, count)
    with pytest.raises(ValueError, match="none of"):
        exchange.read(1, "holdings", 0, 1)


@given(
    st.sampled_from((5, 6, 15, 16)),
    st.integers(0, 1000),
    st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=123),
    st.integers(1, 255),
)
def test_a_server_of_another_descent_understands_what_is_written(
    function: int, address: int, words: list[int], unit: int
) -> None:
    told = tuple(word % 2 if function in (5, 15) else word for word in (words if function > 6 else words[:1]))
    table = "coil" if function in (5, 15) else "holding"
    device = Registers()
    device.put(table, address, [0] * len(told), "rw")
    request = exchange.write(unit, Frame(function, address, told))
    assert exchange.judge(request, carry_out(device, request.pdu)) == ()
    assert device.get(table, address, len(told)) == told
    back = exchange.read(unit, table, address, len(told))
    assert exchange.judge(back, carry_out(device, back.pdu)) == told


# --- what counts as the answer ---------------------------------------------------------------------------------------


def test_words_come_in_order() -> None:
    assert exchange.judge(HOLDING, bytes.fromhex("03 08 0001 0002 0003 ffff")) == (1, 2, 3, 65535)
    assert exchange.judge(exchange.read(1, "coil", 0, 10), bytes.fromhex("01 02 05 02")) == (1, 0, 1) + (0,) * 6 + (1,)


@pytest.mark.parametrize(
    "pdu",
    [
        "04 08 0001 0002 0003 0004",  # another function
        "03 06 0001 0002 0003",  # fewer registers
        "03 0a 0001 0002 0003 0004 0005",  # more
        "03 00",  # none
        "03 07 0001 0002 0003 00",  # half a register
        "03 08 0001 0002 0003",  # a count that is not theirs
        "03 06 0001 0002 0003 0004",
        "06 000a 0004",  # the answer to a write, as long as one to a read of one register
        "5a 08 0001 0002 0003 0004",  # a function that does not exist
        "03",
        "",
    ],
)
def test_ds_13_t6_t7_a_read_takes_no_other_answer(pdu: str) -> None:
    fault = refused(HOLDING, bytes.fromhex(pdu))
    assert fault.kind is FaultKind.BROKEN
    assert fault.sent


@pytest.mark.parametrize(
    ("request_", "pdu"),
    [
        (SETTING, "06 0008 01f4"),  # another register
        (SETTING, "06 0007 01f5"),  # another value
        (SETTING, "10 0007 01f4"),  # another function
        (SETTING, "03 02 01f4"),  # a read's answer that holds the value
        (SETTING, "06 0007"),
        (SETTING, "06 0007 01f4 00"),
        (BLOCK, "10 0007 0002"),  # fewer registers
        (BLOCK, "10 0008 0003"),
        (BLOCK, "06 0007 0003"),
        (BLOCK, ""),
    ],
)
def test_ds_13_t3_t6_t8_a_write_takes_its_own_echo_alone(request_: exchange.Request, pdu: str) -> None:
    assert refused(request_, bytes.fromhex(pdu)).kind is FaultKind.BROKEN


@pytest.mark.parametrize(
    ("code", "kind"),
    [*((code, "refused") for code in (1, 2, 3, 4, 7, 8)), (5, "busy"), (6, "busy"), (10, "gateway"), (11, "gateway")],
)
@pytest.mark.parametrize("request_", [HOLDING, SETTING, BLOCK])
def test_exceptions_say_what_to_do_next(request_: exchange.Request, code: int, kind: str) -> None:
    fault = refused(request_, bytes((request_.function | 0x80, code)))
    assert (fault.kind, fault.code) == (kind, code)


@pytest.mark.parametrize("pdu", ["83", "83 02 00", "84 02", "86 02", "83 00", "83 09", "83 63"])
def test_an_exception_that_is_not_ours_not_whole_or_not_known_is_none(pdu: str) -> None:
    assert refused(HOLDING, bytes.fromhex(pdu)).kind is FaultKind.BROKEN


def test_ds_18_as_many_registers_as_fit_are_written() -> None:
    assert len(exchange.write(1, Frame(16, 0, (0,) * 123)).pdu) == 252
    with pytest.raises(ValueError, match="at most 123"):
        exchange.write(1, Frame(16, 0, (0,) * 124))


def test_ds_13_any_bytes_but_the_answer_are_refused() -> None:
    """Against a second reading of the specification, written here: what it does not take, nobody takes."""
    random = Random(1)
    for _ in range(20_000):
        count = random.randint(1, 6)
        request = random.choice(
            (exchange.read(1, "holding", 3, count), exchange.write(1, Frame(16, 3, (9,) * count)), SETTING)
        )
        good = request.echo or bytes((3, 2 * count)) + random.randbytes(2 * count)
        pdu = changed(good, random)
        right = pdu == good if request.echo else len(pdu) == 2 + 2 * count and pdu[:2] == bytes((3, 2 * count))
        if right:
            words = exchange.judge(request, pdu)
            assert b"".join(word.to_bytes(2, "big") for word in words) == (b"" if request.echo else pdu[2:])
            continue
        fault = refused(request, pdu)
        if fault.kind is not FaultKind.BROKEN:
            assert pdu == bytes((request.function | 0x80, fault.code or 0))


def changed(good: bytes, random: Random) -> bytes:
    pdu = bytearray(good)
    for _ in range(random.randint(0, 3)):
        at = random.randrange(len(pdu)) if pdu else 0
        match random.randrange(4):
            case 0:
                pdu[at : at + 1] = bytes((random.randrange(256),))
            case 1:
                del pdu[at : at + 1]
            case 2:
                pdu.insert(at, random.randrange(256))
            case _:
                pdu[:1] = bytes((good[0] ^ 0x80,))
    return bytes(pdu)
