"""Moments and spans of time on the horizon, with their mistakes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gridopt.clock import Axis, runs
from gridopt.scenario.mistakes import Report
from gridopt.scenario.schema import Span
from gridopt.scenario.times import DAY_MIN, Moment, Window, touched
from gridopt.written.report import Place, Where


def instant(moment: Moment, key: str, where: str, place: Where, axis: Axis, report: Report) -> datetime | None:
    """UTC of a moment; a wall-clock time that clocks jump over is a mistake."""
    try:
        return moment.at(axis)
    except ValueError:
        report.add(place, "no-such-time", where=where, key=key, value=moment.text, zone=axis.zone)
        return None


def spans(
    said: Span, where: str, place: Callable[..., Place], axis: Axis, report: Report, *, edges: bool = False
) -> list[slice]:
    """Stretches of steps that a span touches, clipped to the horizon, in order.

    None where it is wrong; none, and a note, where a span of instants lies outside. ``edges``: also note an edge that
    lies inside a step.
    """
    if said.days is not None:
        return _weekly(said, where, place, axis, report)
    for key, moment in (("from", said.start), ("to", said.to)):
        if moment is None:
            doc = 'a moment; or write days = "mon-fri" for every week'
            report.add(place, "missing-key", where=where, key=key, doc=doc)
    if said.start is None or said.to is None:
        return []
    steps = _once(said.start, said.to, where, place, axis, report, edges=edges)
    return [] if steps is None else [steps]


def _weekly(said: Span, where: str, place: Callable[..., Place], axis: Axis, report: Report) -> list[slice]:
    assert said.days is not None
    minutes = []
    for key, moment, usual in (("from", said.start, 0), ("to", said.to, DAY_MIN)):
        if moment is not None and not moment.is_clock:
            report.add(place(key), "not-daily", where=where, key=key, value=moment.text)
            return []
        minutes.append(usual if moment is None else moment.minute)
    window = Window(said.days, minutes[0], minutes[1])
    return [slice(first, last) for first, last in runs(touched(axis, window))]


def _once(
    start: Moment, to: Moment, where: str, place: Callable[..., Place], axis: Axis, report: Report, *, edges: bool
) -> slice | None:
    first = instant(start, "from", where, lambda: place("from"), axis, report)
    last = instant(to, "to", where, lambda: place("to"), axis, report)
    if first is None or last is None:
        return None
    if last <= first:
        report.add(lambda: place("to"), "order", where=where, to=to.text, start=start.text)
        return None
    steps = axis.overlap(first, last)
    if steps.start == steps.stop:
        report.note(place, "outside", where=where)
        return None
    days = len(set(axis.local_day))
    if days > 1 and start.is_clock:
        report.note(place, "first-day", where=where, value=start.text, days=days)
    for key, moment, at in (("from", start, first), ("to", to, last)) if edges else ():
        if axis.start < at < axis.end and (at - axis.start).total_seconds() % (axis.step_min * 60):
            report.note(place, "window-edge", where=where, key=key, value=moment.text, step_min=axis.step_min)
    return steps
