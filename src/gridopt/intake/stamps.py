"""Stamps as files write them → starts of intervals in UTC.

A stamp without offset in local time has no meaning, one or two: clocks jump over an hour in spring and repeat one in
autumn. The repeated hour is told apart by order: where the clock goes back in the file, the second hour begins. Where
the file has the hour once only, nobody can know which of the two it is; it is then the first, and the second is a gap
that is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gridopt.intake.batch import US, Deed, Finding, Instants

Label = Literal["start", "end"]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
NOWHERE = np.iinfo(np.int64).min
"""Stands for a stamp without meaning."""
DAY_US = 86_400 * US
AGES = tuple(int(np.datetime64(year, "us").astype(np.int64)) for year in ("1900", "2200"))
"""A stamp before or after is a slip of the pen [µs]."""


def local_to_utc(local: Instants, zone: str, of: npt.NDArray[Any] | None = None) -> tuple[Instants, list[Finding]]:
    """UTC of naive local stamps [µs] in the order of the file; ``NOWHERE`` where clocks jump over a stamp.

    ``of`` (n,): whose each stamp is, where several series share a file: each has an order of its own. A series that
    runs backwards is read from its end.
    """
    utc, findings = np.full(len(local), NOWHERE), []
    known = local != NOWHERE
    whose = np.zeros(len(local), np.int64) if of is None else np.unique(of, return_inverse=True)[1]
    for one in np.unique(whose[known]):
        rows = np.flatnonzero(known & (whose == one))
        rows = rows[::-1] if len(rows) > 1 and np.median(np.diff(local[rows])) < 0 else rows
        utc[rows], more = _in_order(local[rows], zone)
        findings += more
    return utc, findings


def meanings(local: Instants, zone: str) -> tuple[Instants, Instants]:
    """(n,) the earliest and the latest UTC of naive local stamps [µs]; ``NOWHERE`` where there is none."""
    early, late = np.full((2, len(local)), NOWHERE)
    known = np.flatnonzero(local != NOWHERE)
    stamps = pa.array(local[known], pa.timestamp("us"))
    for which, found in (("earliest", early), ("latest", late)):
        aware = pc.assume_timezone(stamps, zone, ambiguous=which, nonexistent=which)
        there = pc.local_timestamp(aware).cast(pa.int64()).to_numpy() == local[known]
        found[known] = np.where(there, aware.cast(pa.int64()).to_numpy(), NOWHERE)
    return early, late


def _in_order(local: Instants, zone: str) -> tuple[Instants, list[Finding]]:
    early, late = meanings(local, zone)
    utc, findings = early.copy(), []
    jumped = np.flatnonzero(early == NOWHERE)
    if len(jumped):
        text = "a time that clocks jump over in spring"
        first = stamp(int(local[jumped[0]]))
        findings.append(Finding(Deed.REFUSED, "jumped-time", text, len(jumped), first))
    repeated = np.flatnonzero(early != late)
    nights = local[repeated] // DAY_US
    for night in np.unique(nights):
        rows = repeated[nights == night]
        second, finding = _second(local[rows])
        utc[rows] = np.where(second, late[rows], early[rows])
        findings.append(finding)
    return utc, findings


def _second(wall: Instants) -> tuple[Bools, Finding]:
    """(n,) which stamps of the hour that clocks repeat are of its second time, and what is to be told of that."""
    count, first = len(wall), stamp(int(wall[0]))
    falls, stays = (np.flatnonzero(found) for found in (np.diff(wall) < 0, np.diff(wall) == 0))
    if not len(falls) and not len(stays):
        text = "the hour that clocks repeat in autumn is there once only: read as the first"
        return np.zeros(count, bool), Finding(Deed.FLAGGED, "hour-once", text, 1, first)
    begins = falls if len(falls) else stays
    if len(begins) == 1:
        text = "times of the hour that clocks repeat in autumn, told apart by their order"
        return np.arange(count) > begins[0], Finding(Deed.REPAIRED, "repeated-hour", text, count, first)
    text = "times of the hour that clocks repeat in autumn stand in no order: of two that are alike, the first is first"
    order = np.argsort(wall, kind="stable")
    begins = np.flatnonzero(np.append(True, np.diff(wall[order]) > 0))
    nth = np.empty(count, np.int64)
    nth[order] = np.arange(count) - np.repeat(begins, np.diff(np.append(begins, count)))
    return nth % 2 == 1, Finding(Deed.FLAGGED, "hour-unordered", text, count, first)


def lengths(stamps: Instants, usual_s: int | None = None, label: Label = "start") -> tuple[Ints, list[Finding]]:
    """(n,) length of every interval [s]: the distance to the next start, or, of stamps that are ends, to the last end.

    A gap is no long interval: a distance is a length only when a neighbour shares it (two, where it is longer than
    what is usual in the file), or ``usual_s`` says so.
    """
    if len(stamps) < 2:
        return np.full(len(stamps), usual_s or 0, np.int64), []
    apart = np.diff(stamps) // US
    size = np.diff(np.flatnonzero(np.concatenate([[True], np.diff(apart) != 0, [True]])))
    alike = np.repeat(size, size)
    values, counts = np.unique(apart, return_counts=True)
    alike = alike > np.where(apart > values[np.argmax(counts)], 2, 1)
    if usual_s is not None:
        alike |= apart == usual_s
    if not alike.any():
        return np.full(len(stamps), int(usual_s or np.min(apart)), np.int64), []
    found = _spread(apart, alike) if label == "start" else _spread(apart[::-1], alike[::-1])[::-1]
    findings = []
    changes = np.flatnonzero(np.diff(found) != 0)
    if len(changes):
        text = f"the step changes from {_minutes(int(found[changes[0]]))} to {_minutes(int(found[changes[0] + 1]))}"
        first = utc_stamp(int(stamps[changes[0] + 1]))
        findings.append(Finding(Deed.REPAIRED, "step-changes", text, len(changes), first))
    return found, findings


def _spread(apart: Ints, alike: Bools) -> Ints:
    """(n + 1,) lengths from n distances: one that is no length becomes that of the last that is, and never longer."""
    last = np.maximum.accumulate(np.where(alike, np.arange(len(apart)), -1))
    last[last < 0] = np.argmax(alike)
    found = np.where(alike, apart, np.minimum(apart, apart[last]))
    return np.append(found, apart[last[-1]])


def gaps(start: Instants, step_s: Ints) -> list[Finding]:
    """Intervals that are not there: one finding with how many, and where the first is."""
    if len(start) < 2:
        return []
    end = start[:-1] + step_s[:-1] * US
    empty = np.flatnonzero(start[1:] > end)
    if not len(empty):
        return []
    lost = (start[1:][empty] - end[empty]) // US / step_s[:-1][empty]
    count = int(np.ceil(lost.sum()))
    text = f"no rows in {_counted(len(empty), 'gap')}, intervals without any"
    return [Finding(Deed.FLAGGED, "gap", text, count, utc_stamp(int(end[empty[0]])))]


def ordered(start: Instants, *columns: npt.NDArray[Any]) -> tuple[Instants, list[npt.NDArray[Any]], list[Finding]]:
    """Rows in rising order, each start once: the first of several is kept; those without meaning are dropped."""
    keep = start != NOWHERE
    start, columns = start[keep], tuple(c[keep] for c in columns)
    findings = []
    order = np.argsort(start, kind="stable")
    if len(start) > 1 and np.any(np.diff(start) < 0):
        falls = int((np.diff(start) < 0).sum())
        if falls < len(start) - 1:  # a file that runs backwards throughout is no defect
            where = utc_stamp(int(start[np.flatnonzero(np.diff(start) < 0)[0] + 1]))
            findings.append(Finding(Deed.REPAIRED, "order", "rows out of order, sorted", falls, where))
    start, columns = start[order], tuple(c[order] for c in columns)
    again = np.append(False, np.diff(start) == 0)
    if again.any():
        same = np.ones(len(start), bool)
        for column in columns:
            before = np.append(column[:1], column[:-1])
            same &= (column == before) | (_nan(column) & _nan(before))
        for twice, deed, text in (
            (again & same, Deed.REPAIRED, "rows that stand twice, taken once"),
            (
                again & ~same,
                Deed.FLAGGED,
                "rows with a time that was there already and another value; the first is kept",
            ),
        ):
            if twice.any():
                code = "twice" if deed is Deed.REPAIRED else "twice-differing"
                where = utc_stamp(int(start[np.flatnonzero(twice)[0]]))
                findings.append(Finding(deed, code, text, int(twice.sum()), where))
        start, columns = start[~again], tuple(c[~again] for c in columns)
    return start, list(columns), findings


def _nan(column: npt.NDArray[Any]) -> Bools:
    return np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(column), bool)


# --- words -----------------------------------------------------------------------------------------------------------


def stamp(us: int) -> str:
    """``2024-10-27 02:00``."""
    return str(np.datetime64(us, "us").astype("datetime64[m]")).replace("T", " ")


def utc_stamp(us: int) -> str:
    """``2024-10-27 02:00 UTC``."""
    return stamp(us) + " UTC"


def _minutes(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def parsed(texts: Sequence[str], form: str) -> Instants:
    """Naive stamps in a ``strptime`` form → µs; ``NOWHERE`` for what is none."""
    found = pc.strptime(pa.array(texts, pa.string()), format=form, unit="us", error_is_null=True)
    return of_our_age(found.cast(pa.int64()).fill_null(NOWHERE).to_numpy(zero_copy_only=False))


OFFSET = r":\d{2}(\.\d+)?(Z|[+-]\d{2}(:?\d{2})?)$"
ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?$"


def is_aware(text: Any) -> bool:
    """Whether any time of a column says its offset."""
    return bool(pc.any(pc.match_substring_regex(text, OFFSET)).as_py())


def iso(text: Any) -> Instants:
    """ISO 8601 → µs, in UTC where the column says offsets; ``NOWHERE`` for what is none.

    A naive time among aware ones has no meaning.
    """
    aware = is_aware(text)
    fits = pc.match_substring_regex(text, ISO)
    if aware:
        fits = pc.and_(fits, pc.match_substring_regex(text, OFFSET))
    kept = pc.if_else(fits, text, pa.scalar(None, pa.string()))
    kind = pa.timestamp("us", "UTC") if aware else pa.timestamp("us")
    try:
        stamps = kept.cast(kind)
    except pa.ArrowInvalid:  # the 31st of February
        stamps = pa.chunked_array([pa.array([_one(t, kind) for t in kept.to_pylist()], kind)])
    return of_our_age(stamps.cast(pa.int64()).fill_null(NOWHERE).to_numpy())


def of_our_age(us: npt.NDArray[Any]) -> Instants:
    """Stamps [µs] of years that measurements are of; ``NOWHERE`` for the others."""
    known = (us >= AGES[0]) & (us < AGES[1])
    return np.where(known, np.where(known, us, 0).astype(np.int64), NOWHERE)


def _one(text: str | None, kind: Any) -> Any:
    try:
        return None if text is None else pa.array([text]).cast(kind)[0].as_py()
    except pa.ArrowInvalid:
        return None
