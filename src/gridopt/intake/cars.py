"""Charging sessions: one row a stay of a car.

A session becomes an interval of ``charged_kwh`` of its user at its place: from when the car was plugged in, as long as
it stayed, with the energy that it took. Of several that begin at once, the second is of a source ``…/2``, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from gridopt.intake.batch import US, Batch, Deed, Finding, Instants, Series, merged, qualities
from gridopt.intake.sheet import Sheet, Unreadable, decoded, first_of, no_numbers, numbers, sheet
from gridopt.intake.stamps import NOWHERE, is_aware, iso, meanings, stamp, utc_stamp

NAMES = {
    "start": ("plugin_utc", "start_utc", "arrival_utc", "start", "arrival", "plugin", "start_time", "connection_time"),
    "end": ("plugout_utc", "end_utc", "departure_utc", "end", "departure", "plugout", "end_time", "disconnect_time"),
    "energy": ("energy_kwh", "kwh", "charged_kwh", "kwh_delivered"),
    "place": ("garage_id", "place", "site", "station", "charge_point", "evse"),
    "user": ("user_id", "user", "badge", "rfid", "vehicle", "driver"),
    "reported": ("connection_h_reported", "connection_h", "duration_h"),
}
"""What columns are called, the first that is there."""
ZONE = "Europe/Paris"
QUANTITY = "charged_kwh"
LONG_H, SHORT_KWH, MOST_KW, CLOCK_H = 72.0, 0.1, 22.0, (0.9, 2.1)
"""A stay so long, an energy so small, and a mean power so high are told; so is a reported duration that differs from
the times by an hour or two, as where clocks were changed."""


def read(content: bytes, name: str) -> Batch:
    """Sessions of a CSV file. Raises Unreadable where start, end or energy is not among its columns."""
    found = sheet(decoded(content))
    column = {what: first_of(found, names) for what, names in NAMES.items()}
    for what in ("start", "end", "energy"):
        if column[what] is None:
            there, wanted = ", ".join(list(found.columns)[:8]), ", ".join(NAMES[what][:4])
            raise Unreadable(
                f"it has no column with the {what} of a session, such as {wanted}; its columns are {there}"
            )
    start, end, told = _times(found, str(column["start"]), str(column["end"]))
    energy, wrong = numbers(found.columns[str(column["energy"])])
    findings = [*found.findings, *told, *no_numbers(str(column["energy"]), wrong)]
    hours = np.where((start == NOWHERE) | (end == NOWHERE), np.nan, (end - start) / US / 3600)
    usable = hours > 0
    mean_kw = energy / np.where(usable, hours, np.nan)
    for where, deed, code, text in (
        (start == NOWHERE, Deed.REFUSED, "no-start", "sessions without a start"),
        ((start != NOWHERE) & (end == NOWHERE), Deed.REFUSED, "no-end", "sessions without an end"),
        (hours == 0, Deed.REFUSED, "no-length", "sessions that end as they begin"),
        (hours < 0, Deed.REFUSED, "backwards", "sessions that end before they begin"),
        (usable & (hours > LONG_H), Deed.FLAGGED, "long", f"stays longer than {LONG_H:g} h"),
        (
            mean_kw > MOST_KW,
            Deed.FLAGGED,
            "fast",
            f"more than {MOST_KW:g} kW on the mean of the stay",
        ),
        (energy < SHORT_KWH, Deed.FLAGGED, "little", f"less than {SHORT_KWH:g} kWh"),
        (usable & np.isnan(energy), Deed.FLAGGED, "missing", "sessions without an energy"),
    ):
        findings += _told(where, deed, code, text, start)
    if column["reported"] is not None:
        reported, _ = numbers(found.columns[column["reported"]])
        off = np.abs(hours - reported)
        text = "the reported duration is an hour or two off the times: clocks were changed"
        findings += _told((off > CLOCK_H[0]) & (off < CLOCK_H[1]), Deed.FLAGGED, "clock", text, start)
    for _, rows in _rows_of(_sources(found, column["user"] or column["place"]), usable, start):
        overlap = np.append(False, start[rows][1:] < end[rows][:-1])
        findings += _told(overlap, Deed.FLAGGED, "overlap", "sessions of one user that overlap", start[rows])
    series = []
    for source, rows in _rows_of(_sources(found, column["place"], column["user"]), usable, start):
        rows = rows[np.lexsort((energy[rows], end[rows], start[rows]))]
        same = np.append(False, np.all([np.diff(column[rows]) == 0 for column in (start, end, energy)], axis=0))
        findings += _told(same, Deed.REPAIRED, "twice", "sessions that stand twice, taken once", start[rows])
        left, n = rows[~same], 1
        while len(left):
            first = np.append(True, np.diff(start[left]) > 0)
            kept, left = left[first], left[~first]
            length = (end[kept] - start[kept]) // US
            name = source if n == 1 else f"{source}/{n}"
            series.append(Series(name, QUANTITY, start[kept], length, energy[kept], qualities(energy[kept])))
            n += 1
    return Batch(series, findings=merged(findings))


def _times(found: Sheet, begin: str, finish: str) -> tuple[Instants, Instants, list[Finding]]:
    """(n,) UTC of the starts and of the ends. Of an hour that clocks repeat it is the first, if that makes a stay."""
    start, more = _early_and_late(found, begin)
    end, others = _early_and_late(found, finish)
    both = (start[0] != NOWHERE) & (end[0] != NOWHERE)
    known = np.where(both & (end[0] <= start[0]), end[1], end[0])
    unsure = both & ((start[0] != start[1]) | ((end[0] != end[1]) & (known == end[0])))
    text = "a time of the hour that clocks repeat in autumn: read as the first"
    return start[0], known, [*more, *others, *_told(unsure, Deed.FLAGGED, "hour-once", text, start[0])]


def _early_and_late(found: Sheet, column: str) -> tuple[tuple[Instants, Instants], list[Finding]]:
    text = found.columns[column]
    times = iso(text)
    if is_aware(text) or column.endswith("_utc"):
        return (times, times), []
    early, late = meanings(times, ZONE)
    jumped = np.flatnonzero((times != NOWHERE) & (early == NOWHERE))
    if not len(jumped):
        return (early, late), []
    first = stamp(int(times[jumped[0]]))
    told = Finding(Deed.REFUSED, "jumped-time", "a time that clocks jump over in spring", len(jumped), first)
    return (early, late), [told]


def _sources(found: Sheet, *columns: str | None) -> npt.NDArray[np.object_]:
    texts = [found.texts(c) for c in columns if c is not None]
    named = ["/".join(t for t in row if t) or "cars" for row in zip(*texts, strict=True)] if texts else []
    return np.array(named or ["cars"] * found.rows, object)


def _rows_of(
    names: npt.NDArray[np.object_], usable: npt.NDArray[np.bool_], start: Instants
) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """Each name with its usable rows, by their start."""
    for name in dict.fromkeys(names[usable]):
        rows = np.flatnonzero(usable & (names == name))
        yield str(name), rows[np.argsort(start[rows], kind="stable")]


def _told(where: npt.NDArray[np.bool_], deed: Deed, code: str, text: str, start: Instants) -> list[Finding]:
    rows = np.flatnonzero(where)
    if not len(rows):
        return []
    first = next((utc_stamp(int(start[k])) for k in rows if start[k] != NOWHERE), "")
    return [Finding(deed, code, text, len(rows), first)]
