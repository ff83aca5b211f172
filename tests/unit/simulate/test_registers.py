"""Registers as a master sees them."""

from __future__ import annotations

import pytest

from gridopt.simulate.registers import Refused, Registers


def _device(**link: int) -> Registers:
    registers = Registers(**link)
    registers.put("holding", 10, (1, 2, 3), "rw")
    registers.put("holding", 16, (7,), "r")
    registers.put("holding", 20, (9,), "w")
    registers.put("coil", 0, (1, 0), "rw")
    return registers


def _code(act: object, *args: object) -> int:
    with pytest.raises(Refused) as refused:
        act(*args)  # type: ignore[operator]
    return refused.value.code


def test_reads_what_is_there_and_no_more() -> None:
    registers = _device()
    assert registers.read("holding", 10, 3) == (1, 2, 3)
    assert registers.read("coil", 0, 2) == (1, 0)
    assert _code(registers.read, "holding", 10, 4) == 2
    assert _code(registers.read, "input", 10, 1) == 2
    assert _code(registers.read, "holding", 20, 1) == 2  # only to be written


def test_a_gap_is_crossed_where_the_device_allows_it_but_not_at_the_ends() -> None:
    registers = _device(bridge_registers=3)
    assert registers.read("holding", 10, 7) == (1, 2, 3, 0, 0, 0, 7)
    assert _code(registers.read, "holding", 10, 5) == 2
    assert _code(registers.read, "holding", 13, 4) == 2
    assert _code(_device(bridge_registers=2).read, "holding", 10, 7) == 2


def test_a_read_longer_than_the_device_allows_is_refused() -> None:
    assert _code(_device(read_registers=2).read, "holding", 10, 3) == 3


def test_writes_what_may_be_written_as_a_whole() -> None:
    registers = _device()
    registers.write("holding", 11, (5, 6))
    assert registers.read("holding", 10, 3) == (1, 5, 6)
    assert _code(registers.write, "holding", 16, (0,)) == 2
    assert _code(registers.write, "holding", 12, (8, 8)) == 2
    assert registers.read("holding", 10, 3) == (1, 5, 6)


def test_a_write_that_the_device_refuses_leaves_nothing() -> None:
    registers = _device()
    seen = []

    def refuse(table: str, address: int, words: tuple[int, ...]) -> None:
        seen.append((table, address, words, registers.get(table, address, len(words))))
        raise Refused(3)

    registers.on_write = refuse
    assert _code(registers.write, "holding", 10, (4, 4)) == 3
    assert seen == [("holding", 10, (4, 4), (4, 4))]
    assert registers.get("holding", 10, 2) == (1, 2)


def test_words_are_fresh_when_they_are_read() -> None:
    registers = _device()
    registers.on_read = lambda table, address, count: registers.put(table, address, (42,))
    assert registers.read("holding", 10, 2) == (42, 2)


@pytest.mark.parametrize(("table", "word"), [("coil", 2), ("holding", 0x10000), ("holding", -1)])
def test_no_register_holds_what_it_cannot(table: str, word: int) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        _device().put(table, 0, (word,))
