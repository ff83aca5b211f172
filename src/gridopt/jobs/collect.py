"""Files taken into the store, each with a report of what was repaired, flagged or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from gridopt.errors import DataError, UsageError
from gridopt.intake.batch import QUALITIES, US, Batch
from gridopt.intake.sheet import Unreadable
from gridopt.store.series import Rows, SeriesStore


@dataclass(frozen=True)
class Taken:
    """One file: what it came to, or why it was refused. ``new``: parts that the store did not have."""

    file: str
    batch: Batch | None
    new: int = 0
    refused: str = ""

    @property
    def rows(self) -> int:
        return 0 if self.batch is None else sum(len(s.time) for s in self.batch.series)


def files_in(places: Sequence[Path]) -> list[Path]:
    """The files that are meant: each file, and those of each folder in the order of their names.

    Raises UsageError where there is none.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            inside = sorted(p for p in place.iterdir() if p.is_file() and not p.name.startswith("."))
            if not inside:
                raise UsageError("the folder {folder} holds no files", folder=str(place))
            found += inside
        elif place.is_file():
            found.append(place)
        else:
            raise UsageError("there is no file {file}", file=str(place))
    return found


def take_in(
    files: Sequence[Path], read: Callable[[bytes, str], Batch], store: SeriesStore | None, now: datetime
) -> Iterator[Taken]:
    """Read files one by one and keep what they hold, known since ``now``; without a store they are only read.

    A file that is refused stops none of the others.
    """
    for file in files:
        try:
            batch = read(file.read_bytes(), file.name)
        except (Unreadable, OSError) as error:
            yield Taken(str(file), None, refused=str(error))
            continue
        new = 0 if store is None else sum(store.add(_rows(s, now)) for s in batch.series)
        yield Taken(str(file), batch, new)


def _rows(series: Any, now: datetime) -> Rows:
    n = len(series.time)
    known = np.full(n, round(now.timestamp() * US), np.int64)
    quality = np.array(QUALITIES, object)[series.quality]
    source = np.full(n, series.source, object)
    return Rows(series.quantity, source, series.time, series.step_s, series.value, quality, known)


def check_taken(taken: Sequence[Taken]) -> None:
    """Raises DataError where files were refused: the others are in, and somebody must know."""
    refused = [t for t in taken if t.batch is None]
    if refused:
        first = refused[0]
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise DataError("{file} was refused: {why}{more}", file=first.file, why=first.refused, more=more)
