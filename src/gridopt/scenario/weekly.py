"""Assets that come on some days of the week: ``days = "mon-fri"`` beside the two times of day between which they are
there makes one asset for every such day, ``car-0316`` of ``car``. On other days there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gridopt.assets import family
from gridopt.clock import Axis
from gridopt.scenario.mistakes import Report
from gridopt.scenario.schema import ALL_WEEK, window_of
from gridopt.scenario.tables import Entry
from gridopt.scenario.times import Moment, parse_days, parse_moment
from gridopt.written.words import quoted

KEY = "days"


def each_day(entries: Mapping[str, list[Entry]], axis: Axis, report: Report) -> dict[str, tuple[str, ...]]:
    """Put in the place of every asset with ``days`` those of its days that touch the horizon: asset → their ids."""
    made: dict[str, tuple[str, ...]] = {}
    for name, some in entries.items():
        keys = window_of(family(name))
        _note_once(some, keys, axis, report)
        kept: list[Entry] = []
        for entry in some:
            if keys is None or KEY not in entry.values:
                kept.append(entry)
                continue
            found = _days(entry, keys, axis, report)
            if found is not None:
                made[entry.id] = tuple(one.id for one in found)
            kept += [entry] if found is None else found
        some[:] = kept
    return made


def _note_once(some: list[Entry], keys: tuple[str, str] | None, axis: Axis, report: Report) -> None:
    """Among several days, a bare time of day is one of the first alone: seldom what is meant of a car."""
    days = len(set(axis.local_day))
    once = [e for e in some if keys and days > 1 and KEY not in e.values and _is_clock(e.values.get(keys[0]))]
    if keys and once:
        where = once[0].where + (f" (and {len(once) - 1} more)" if len(once) > 1 else "")
        said = {"value": parse_moment(once[0].values[keys[0]]).text, "days": days}
        report.note(once[0].at(keys[0]), "first-day", where=where, **said)


def _is_clock(value: Any) -> bool:
    try:
        return parse_moment(value).is_clock
    except ValueError:
        return False


def _days(entry: Entry, keys: tuple[str, str], axis: Axis, report: Report) -> list[Entry] | None:
    """One entry a day, or None with the mistake reported (``days`` is then taken out, so that the rest is checked)."""
    said = entry.values.pop(KEY)
    try:
        days = parse_days(",".join(map(str, said)) if isinstance(said, list) else said)
    except ValueError:
        report.add(entry.at(KEY), "not-days", where=entry.where, key=KEY, value=quoted(said))
        days = ALL_WEEK
    times: list[Moment] = []
    for key in keys:
        try:
            times.append(parse_moment(entry.values[key]))
        except KeyError:
            report.add(entry.place, "missing-key", where=entry.where, key=key, doc="a time of day, with days")
            return None
        except ValueError:
            return None  # reported with the other values
        if times[-1].instant is not None:
            report.add(entry.at(key), "not-daily", where=entry.where, key=key, value=times[-1].text)
            return None
    return [*_each(entry, keys, (times[0], times[1]), days, axis)]


def _each(
    entry: Entry, keys: tuple[str, str], times: tuple[Moment, Moment], days: frozenset[int], axis: Axis
) -> Iterator[Entry]:
    first, last = times
    nights = last.day - first.day + int((last.day, last.minute) <= (first.day, first.minute))
    today = axis.local_day[0]
    for k in range(-nights, (axis.local_day[-1] - today).days + 1):
        day = today + timedelta(days=k)
        begin, end = _at(first, k, axis), _at(last, k + nights, axis)
        if day.weekday() in days and begin < axis.end and end > axis.start:
            own: dict[str, Any] = dict(zip(keys, (begin, end), strict=True))
            values = {**entry.values, "device": entry.values.get("device", entry.id), **own}
            where = f"{entry.where} of {day:%m-%d}"
            yield Entry(f"{entry.id}-{day:%m%d}", where, values, dict(entry.places), entry.place, row=entry.row)


def _at(moment: Moment, day: int, axis: Axis) -> datetime:
    return Moment(moment.text, None, day, moment.minute).at(axis).astimezone(UTC)
