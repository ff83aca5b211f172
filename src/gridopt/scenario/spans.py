"""Moments and spans of time on the horizon, with their mistakes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gridopt.clock import Axis
from gridopt.scenario.mistakes import Place, Report, Where
from gridopt.scenario.times import Moment


def instant(moment: Moment, key: str, where: str, place: Where, axis: Axis, report: Report) -> datetime | None:
    """UTC of a moment; a wall-clock time that clocks jump over is a mistake."""
    try:
        return moment.at(axis)
    except ValueError:
        report.add(place, "no-such-time", where=where, key=key, value=moment.text, zone=axis.zone)
        return None


def span(
    start: Moment,
    to: Moment,
    where: str,
    place: Callable[..., Place],
    axis: Axis,
    report: Report,
    *,
    edges: bool = False,
) -> slice | None:
    """Steps that [start, to) touches, clipped to the horizon; None when it is wrong or lies outside, which is noted.

    ``edges``: also note an edge that lies inside a step.
    """
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
    if days > 1 and start.instant is None and not start.text.startswith("D"):
        report.note(place, "first-day", where=where, value=start.text, days=days)
    for key, moment, at in (("from", start, first), ("to", to, last)) if edges else ():
        if axis.start < at < axis.end and (at - axis.start).total_seconds() % (axis.step_min * 60):
            report.note(place, "window-edge", where=where, key=key, value=moment.text, step_min=axis.step_min)
    return steps
