"""The horizon: what the scenario says of its days and steps, or what the run asks for, as an axis."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from gridopt.clock import Axis, day_axis
from gridopt.scenario.document import Document
from gridopt.scenario.mistakes import Report
from gridopt.scenario.schema import Horizon


def build_axis(
    said: Horizon, document: Document, report: Report, *, day: date | None = None, now: datetime | None = None
) -> Axis | None:
    """The plan's axis, or None with every mistake reported.

    ``day`` replaces the date of ``start``. ``now`` starts the plan at the next whole step and keeps it running for the
    scenario's hours, or else to the end of its last day, but at least to the end of tomorrow.
    """
    place = document.place("horizon")
    zone = ZoneInfo(said.zone)
    if said.days is not None and said.hours is not None:
        report.add(place, "days-or-hours")
        return None
    hours = said.hours
    if hours is not None and (hours <= 0 or round(hours * 60, 6) % said.step_min):
        report.add(document.place("horizon", "hours"), "hours-off-step", value=f"{hours:g}", step_min=said.step_min)
        return None
    if now is not None:
        return _from_now(now, said, zone)
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
    return Axis(start, said.step_min, _steps(start, end, said.step_min), said.zone)


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


def _from_now(now: datetime, said: Horizon, zone: ZoneInfo) -> Axis:
    offset = now.astimezone(zone).utcoffset() or timedelta()  # steps are whole by the local clock
    local_s = now.timestamp() + offset.total_seconds()
    whole_s = math.ceil(local_s / 60 / said.step_min) * said.step_min * 60
    start = datetime.fromtimestamp(whole_s - offset.total_seconds(), UTC)
    if said.hours is not None:
        return Axis(start, said.step_min, round(said.hours * 60 / said.step_min), said.zone)
    last = start.astimezone(zone).date() + timedelta(days=max(said.days or 1, 2))
    end = datetime(last.year, last.month, last.day, tzinfo=zone).astimezone(UTC)
    return Axis(start, said.step_min, _steps(start, end, said.step_min), said.zone)


def _steps(start: datetime, end: datetime, step_min: int) -> int:
    return int((end - start).total_seconds() // 60 // step_min)
