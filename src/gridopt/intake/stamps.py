"""Stamps as files write them → starts of intervals in UTC.

A stamp without offset in local time has no meaning, one or two: clocks jump over an hour in spring and repeat one in
autumn. The repeated hour is told apart by order: a stamp means the earliest instant that comes after the one before it.
Where the file has the hour once only, nobody can know which of the two it is; it is then the first, and the second is
a gap that is told.
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


def local_to_utc(local: Instants, zone: str) -> tuple[Instants, list[Finding]]:
    """UTC of naive local stamps [µs] in the order of the file; ``NOWHERE`` where clocks jump over a stamp.

    A file that runs backwards is read from its end.
    """
    if len(local) > 1 and np.median(np.diff(local)) < 0:
        utc, findings = local_to_utc(local[::-1], zone)
        return utc[::-1], findings
    stamps = pa.array(local, pa.timestamp("us"))
    early = _assumed(stamps, zone, "earliest")
    late = _assumed(stamps, zone, "latest")
    two = np.flatnonzero(early != late)
    utc = early.copy()
    if not len(two):
        return utc, []
    back = pc.local_timestamp(pa.array(early[two], pa.timestamp("us", zone))).cast(pa.int64()).to_numpy()
    jumped = two[back != local[two]]
    repeated = two[back == local[two]]
    utc[jumped] = NOWHERE
    for k in repeated:
        before = _last(utc, int(k))
        if before is not None and early[k] <= before:
            utc[k] = late[k]
    return utc, [*_jumped(local, jumped), *_repeated(local, utc, late, repeated)]


def _assumed(stamps: Any, zone: str, which: str) -> Instants:
    aware = pc.assume_timezone(stamps, zone, ambiguous=which, nonexistent=which)
    found: Instants = np.asarray(aware.cast(pa.int64()).to_numpy())
    return found


def _last(utc: Instants, k: int) -> int | None:
    while k > 0:
        k -= 1
        if utc[k] != NOWHERE:
            return int(utc[k])
    return None


def _jumped(local: Instants, jumped: Ints) -> list[Finding]:
    if not len(jumped):
        return []
    text = "a time that clocks jump over in spring"
    return [Finding(Deed.REFUSED, "jumped-time", text, len(jumped), stamp(int(local[jumped[0]])))]


def _repeated(local: Instants, utc: Instants, late: Instants, repeated: Ints) -> list[Finding]:
    """What was made of the hour that clocks repeat: told apart by order, or there once only."""
    found, hour = [], 3600 * US
    groups = np.split(repeated, np.flatnonzero(np.diff(local[repeated] // (6 * hour)) != 0) + 1)
    for rows in groups:
        if not len(rows):
            continue
        first = stamp(int(local[rows[0]]))
        second = int((utc[rows] == late[rows]).sum())
        if second:
            text = "times of the hour that clocks repeat in autumn, told apart by their order"
            found.append(Finding(Deed.REPAIRED, "repeated-hour", text, len(rows), first))
        else:
            text = "the hour that clocks repeat in autumn is there once only: read as the first"
            found.append(Finding(Deed.FLAGGED, "hour-once", text, 1, first))
    return found


def lengths(start: Instants, usual_s: int | None = None) -> tuple[Ints, list[Finding]]:
    """(n,) length of every interval [s]: the distance to the next start, where that is one that intervals have there.

    A gap is no long interval: a distance is a length only when one of its neighbours shares it, or ``usual_s`` says so.
    """
    if len(start) < 2:
        return np.full(len(start), usual_s or 0, np.int64), []
    gaps = np.diff(start) // US
    step = np.append(gaps, gaps[-1])
    alike = (np.append(step[1:], 0) == step) | (np.append(0, step[:-1]) == step)
    if usual_s is not None:
        alike |= step == usual_s
    known = np.flatnonzero(alike)
    if not len(known):
        return np.full(len(start), int(usual_s or np.min(gaps)), np.int64), []
    last = np.maximum.accumulate(np.where(alike, np.arange(len(step)), -1))
    last[last < 0] = known[0]
    found = np.where(alike, step, np.minimum(step, step[last]))
    findings = []
    changes = np.flatnonzero(np.diff(found) != 0)
    if len(changes):
        text = f"the step changes from {_minutes(int(found[changes[0]]))} to {_minutes(int(found[changes[0] + 1]))}"
        findings.append(
            Finding(Deed.REPAIRED, "step-changes", text, len(changes), utc_stamp(int(start[changes[0] + 1])))
        )
    return found.astype(np.int64), findings


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
    return np.asarray(found.cast(pa.int64()).fill_null(NOWHERE).to_numpy(zero_copy_only=False), np.int64)


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
    return np.asarray(stamps.cast(pa.int64()).fill_null(NOWHERE).to_numpy(), np.int64)


def _one(text: str | None, kind: Any) -> Any:
    try:
        return None if text is None else pa.array([text]).cast(kind)[0].as_py()
    except pa.ArrowInvalid:
        return None
