"""The kinds of files that can be taken in. A new kind is a function in a module here, and a line in ``KINDS``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from gridopt.intake.batch import Batch


@dataclass(frozen=True)
class Kind:
    """One kind of file. ``reader``: module and function, imported when asked for."""

    reader: tuple[str, str]
    what: str

    def read(self, content: bytes, name: str) -> Batch:
        """What a file of this kind comes to. Raises Unreadable where it is none."""
        module, function = self.reader
        read: Callable[[bytes, str], Batch] = getattr(import_module(f"gridopt.intake.{module}"), function)
        return read(content, name)


KINDS = {
    "smard": Kind(("prices", "smard"), "day-ahead prices exported from SMARD (CSV, Berlin time)"),
    "entsoe": Kind(("prices", "entsoe"), "day-ahead prices exported from the ENTSO-E transparency platform (CSV)"),
}
