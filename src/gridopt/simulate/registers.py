"""The registers of one simulated device: four tables of words, as a master reads and writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from gridopt.devices.points import Point
from gridopt.simulate.wire import BITS, ILLEGAL_ADDRESS, ILLEGAL_VALUE

Words = tuple[int, ...]
TABLES = ("coil", "discrete", "holding", "input")


class Refused(Exception):
    """The device answers with an exception ``code``."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


class Memory(Protocol):
    """What a server reads from and writes to. Both raise Refused."""

    def read(self, table: str, address: int, count: int) -> Words: ...
    def write(self, table: str, address: int, words: Words) -> None: ...


class Registers:
    """Words of one unit; a bit is a word of 0 or 1.

    ``on_access()`` is called before a master reads or writes: the device lives up to now. ``on_read(table, address,
    count)`` is called before words are read, ``on_write(table, address, words)`` after words were stored: where it
    raises Refused, they were not. ``on_restart()``: the device starts anew. ``read_registers``:
    most registers in one read; ``bridge_registers``: most registers in a row that a read may cross though nothing is
    there (they read 0). ``points``: what the words mean, for faults that know a value from its words.
    """

    def __init__(self, points: Iterable[Point] = (), read_registers: int = 125, bridge_registers: int = 0) -> None:
        self.points = tuple(points)
        self.read_registers, self.bridge_registers = read_registers, bridge_registers
        self.on_access: Callable[[], None] | None = None
        self.on_read: Callable[[str, int, int], None] | None = None
        self.on_write: Callable[[str, int, Words], None] | None = None
        self.on_restart: Callable[[], None] | None = None
        self._words: dict[str, dict[int, int]] = {table: {} for table in TABLES}
        self._written: dict[str, set[int]] = {table: set() for table in TABLES}
        self._hidden: dict[str, set[int]] = {table: set() for table in TABLES}

    # --- from inside the device ---

    def put(self, table: str, address: int, words: Sequence[int], access: str | None = None) -> None:
        """Set words; registers that were not there are there from now on. ``access``: r, rw or w; else as it was."""
        most = 1 if table in BITS else 0xFFFF
        for k, word in enumerate(words, address):
            if not 0 <= word <= most or not 0 <= k <= 0xFFFF:
                raise ValueError(f"{table} {k} cannot hold {word}")
            self._words[table][k] = word
            if access is not None:
                (self._written[table].add if "w" in access else self._written[table].discard)(k)
                (self._hidden[table].discard if "r" in access else self._hidden[table].add)(k)

    def get(self, table: str, address: int, count: int = 1) -> Words:
        """Words as they are; 0 where there is no register."""
        words = self._words[table]
        return tuple(words.get(k, 0) for k in range(address, address + count))

    # --- as a master sees it ---

    def read(self, table: str, address: int, count: int) -> Words:
        if table not in BITS and count > self.read_registers:
            raise Refused(ILLEGAL_VALUE)
        self._check_there(table, address, count)
        if self.on_access is not None:
            self.on_access()
        if self.on_read is not None:
            self.on_read(table, address, count)
        return self.get(table, address, count)

    def write(self, table: str, address: int, words: Words) -> None:
        if not all(k in self._written[table] for k in range(address, address + len(words))):
            raise Refused(ILLEGAL_ADDRESS)
        if self.on_access is not None:
            self.on_access()
        before = self.get(table, address, len(words))
        self.put(table, address, words)
        if self.on_write is None:
            return
        try:
            self.on_write(table, address, words)
        except Refused:
            self.put(table, address, before)
            raise

    def _check_there(self, table: str, address: int, count: int) -> None:
        """Registers are there, but for gaps that may be crossed: not at the ends, and not too long."""
        words, hidden = self._words[table], self._hidden[table]
        gap = self.bridge_registers
        for k in range(address, address + count):
            there = k in words and k not in hidden
            gap = 0 if there else gap + 1
            if gap > self.bridge_registers:
                raise Refused(ILLEGAL_ADDRESS)
        if gap:
            raise Refused(ILLEGAL_ADDRESS)
