"""The horizon: what the scenario says of its days and steps, or what the run asks for, as an axis."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from gridopt.clock import Axis, day_axis
from gridopt.scenario.document import Document
from gridopt.scenario.mistakes import Report
from gridopt.scenario.schema import Horizon


def build_axis(said: Horizon, document: Document, report: Report, *, day: date | None = None) -> Axis | None:
    """The plan's axis, or None with every mistake reported. ``day`` replaces the date of ``start``."""
    place = document.place("horizon")
    zone = ZoneInfo(said.zone)
    if said.days is not None and said.hours is not None:
        report.add(place, "days-or-hours")
        return None
    hours = said.hours
    if hours is not None and (round(hours * 60) < said.step_min or round(hours * 60, 6) % said.step_min):
        report.add(document.place("horizon", "hours"), "hours-off-step", value=f"{hours:g}", step_min=said.step_min)
        return None
    start = _start(said, zone, day, document, report)
    if start is None:
        return None
    if hours is not None:
        return Axis(start, said.step_min, round(hours * 60 / said.step_min), said.zone)
    local = start.astimezone(zone)
    last = local.date() + timedelta(days=said.days or 1)
    if (local.hour, local.minute) == (0, 0):
        return day_axis(local.date(), said.days or 1, said.step_min, said.zone)
    end = local.replace(year=last.year, month=last.month, day=last.day).astimezone(UTC)
    return Axis(start, said.step_min, int((end - start).total_seconds() // 60 // said.step_min), said.zone)


def _start(said: Horizon, zone: ZoneInfo, day: date | None, document: Document, report: Report) -> datetime | None:
    """UTC of the first step."""
    place = document.place("horizon", "start")
    moment = said.start
    if moment is None:
        if day is None:
            report.add(document.place("horizon"), "no-start")
            return None
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    assert moment.instant is not None  # a Start names a date
    wall = moment.instant if moment.instant.tzinfo is None else moment.instant.astimezone(zone).replace(tzinfo=None)
    if day is not None:
        wall = wall.replace(year=day.year, month=day.month, day=day.day)
    local = wall.replace(tzinfo=zone)
    start = local.astimezone(UTC)
    if day is None and moment.instant.tzinfo is not None:
        start = moment.instant.astimezone(UTC)
    elif start.astimezone(zone).replace(tzinfo=None) != wall:
        report.add(place, "no-such-time", where="horizon", key="start", value=moment.text, zone=said.zone)
        return None
    if wall.second or wall.microsecond or wall.minute % said.step_min:
        report.add(place, "start-off-step", value=moment.text, step_min=said.step_min)
        return None
    return start
