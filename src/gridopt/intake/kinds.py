"""The kinds of files that can be taken in. A new kind is a function in a module here, and a line in ``KINDS``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

from gridopt.errors import UsageError
from gridopt.intake.archive import members
from gridopt.intake.batch import Batch, merged
from gridopt.intake.sheet import Unreadable


@dataclass(frozen=True)
class Kind:
    """One kind of file. ``reader``: module and function, imported when asked for; ``mapped``: it takes a mapping.

    ``archives``: it joins the files of an archive itself; of any other kind each is read alone.
    """

    reader: tuple[str, str]
    what: str
    mapped: bool = False
    archives: bool = False

    def opened(self, mapping: Path | None) -> Callable[[bytes, str], Batch]:
        """What reads such a file, given its content and its name; that raises Unreadable where it is none.

        Raises MistakesError for a mapping that is wrong, UsageError for one that is missing or of no use.
        """
        module, function = self.reader
        read = getattr(import_module(f"gridopt.intake.{module}"), function)
        if not self.mapped:
            if mapping is not None:
                raise UsageError("a mapping is of no use here: the kind says what its columns are")
            return read if self.archives else partial(_each, read)
        if mapping is None:
            raise UsageError("name the file that says what the columns are, with --mapping; see gridopt import --help")
        from gridopt.intake.table import Mapping

        return partial(_each, partial(read, mapping=Mapping(mapping)))


def _each(read: Callable[[bytes, str], Batch], content: bytes, name: str) -> Batch:
    """What a file holds, or every file of an archive. Raises Unreadable where one of them is none."""
    batches = [read(member, name) for member in members(content)]
    if not batches:
        raise Unreadable("the archive is empty")
    return Batch([s for b in batches for s in b.series], merged(f for b in batches for f in b.findings))


KINDS = {
    "smard": Kind(("prices", "smard"), "day-ahead prices exported from SMARD (CSV, Berlin time)"),
    "entsoe": Kind(("prices", "entsoe"), "day-ahead prices exported from the ENTSO-E transparency platform (CSV)"),
    "enedis": Kind(("enedis", "read"), "load curves from Enedis: R50, R4x, R63, DataConnect", archives=True),
    "eco2mix": Kind(("mix", "eco2mix"), "the French mix of RTE: consumption and CO₂ (éCO2mix, own file or open data)"),
    "sessions": Kind(("cars", "read"), "charging sessions, a row each (CSV)"),
    "open-meteo": Kind(("weather", "open_meteo"), "weather as Open-Meteo answers it (JSON)"),
    "table": Kind(
        ("table", "read"), "any table of values over time, by a mapping that says what its columns are", True
    ),
}
