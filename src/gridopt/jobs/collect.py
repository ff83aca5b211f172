"""Files taken into the store, each with a report of what was repaired, flagged or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from gridopt.errors import DataError, UsageError
from gridopt.intake.batch import QUALITIES, US, Batch, Instants, Series
from gridopt.intake.sheet import Unreadable
from gridopt.store.series import Latest, Rows, SeriesStore

NOW, MEASURED, DAY_AHEAD = "now", "measured", "day-ahead"
KNOWN = {
    NOW: "since this moment",
    MEASURED: "since each interval ended: the history of a meter",
    DAY_AHEAD: "since 13:00 of the day before: the history of day-ahead prices",
}
LATE, SILENT = 1.5, 4.0
"""A series is late, or silent, when nothing came of it for so many times as long as usual."""
PUBLISHED = time(13), "Europe/Paris"
"""When prices of the day ahead are known: the auction's results come shortly before."""


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
    files: Sequence[Path],
    read: Callable[[bytes, str], Batch],
    store: SeriesStore | None,
    now: datetime,
    known: str = NOW,
) -> Iterator[Taken]:
    """Read files one by one and keep what they hold, known since ``known`` says; without a store they are only read.

    A file that is refused stops none of the others.
    """
    for file in files:
        try:
            batch = read(file.read_bytes(), file.name)
        except (Unreadable, OSError) as error:
            yield Taken(str(file), None, refused=str(error))
            continue
        new = 0 if store is None else sum(store.add(_rows(s, now, known)) for s in batch.series)
        yield Taken(str(file), batch, new)


def _rows(series: Series, now: datetime, known: str) -> Rows:
    n = len(series.time)
    quality = np.array(QUALITIES, object)[series.quality]
    source = np.full(n, series.source, object)
    since = np.minimum(_since(series, known), round(now.timestamp() * US)) if known != NOW else None
    at = np.full(n, round(now.timestamp() * US), np.int64) if since is None else since
    return Rows(series.quantity, source, series.time, series.step_s, series.value, quality, at)


def _since(series: Series, known: str) -> Instants:
    """(n,) when each row of a history was known [µs UTC]."""
    if known == MEASURED:
        return series.time + series.step_s * US
    zone = ZoneInfo(PUBLISHED[1])
    days, at = np.unique(series.time // (3600 * US), return_inverse=True)
    found = []
    for hour in days:
        day = datetime.fromtimestamp(int(hour) * 3600, zone).date() - timedelta(days=1)
        found.append(round(datetime.combine(day, PUBLISHED[0], zone).timestamp()) * US)
    return np.array(found, np.int64)[at]


def health(latest: Latest, now: datetime) -> str:
    """``fresh``, ``late`` or ``silent``: how long nothing came of a series, against how often it usually does.

    ``new`` of what came less than three times: nobody knows yet how often it does.
    """
    if latest.usual_s is None:
        return "new"
    waited = (now - latest.known).total_seconds() / latest.usual_s
    return "fresh" if waited <= LATE else "late" if waited <= SILENT else "silent"


def check_taken(taken: Sequence[Taken]) -> None:
    """Raises DataError where files were refused: the others are in, and somebody must know."""
    refused = [t for t in taken if t.batch is None]
    if refused:
        first = refused[0]
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise DataError("{file} was refused: {why}{more}", file=first.file, why=first.refused, more=more)
