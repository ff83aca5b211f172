"""EV sessions: who comes to a charger when, and how much energy they want."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from gridopt.clock import Axis
from gridopt.holidays import is_resting
from gridopt.scenario.generate.cells import YEAR_ONE
from gridopt.scenario.generate.noise import uniform
from gridopt.scenario.generate.parameters import Option, parameters_of, refuse_wrong


@dataclass(frozen=True)
class EvSession:
    """A car at a charger, [arrive, depart) in UTC, and the energy it wants into its battery by departure [kWh]."""

    charger: int
    arrive: datetime
    depart: datetime
    energy_kwh: float


class Slot(NamedTuple):
    """One possible session a day at each charger [local minutes of that day; beyond 1440: of the next].

    Draws are normal and cut at 2.5 deviations; ``present`` is the chance on working days and on resting days.
    ``fixed_stay``: who comes late leaves late, the stay scatters; else the departure scatters around its own hour.
    """

    arrive_min: float
    arrive_sd_min: float
    depart_min: float
    depart_sd_min: float
    present: tuple[float, float]
    fixed_stay: bool = True


EV_PATTERNS: dict[str, tuple[Slot, ...]] = {
    "work": (Slot(8 * 60, 40, 16 * 60, 60, (0.85, 0.05)),),
    "home": (Slot(18.5 * 60, 90, 29.5 * 60, 60, (0.75, 0.75)),),
    "resident": (Slot(18.5 * 60, 90, 31.5 * 60, 30, (0.75, 0.75), fixed_stay=False),),
    "hospital-shift": (
        Slot(6 * 60 - 10, 8, 14 * 60 + 10, 8, (0.90, 0.60), fixed_stay=False),
        Slot(14 * 60 - 10, 8, 22 * 60 + 10, 8, (0.75, 0.55), fixed_stay=False),
        Slot(22 * 60 - 10, 8, 30 * 60 + 10, 8, (0.40, 0.40), fixed_stay=False),
    ),
}
"""Who comes when. ``work``: 8:00 ± 0:40, stays 8 h; ``home``: 18:30 ± 1:30, stays 11 h; ``resident``: the same
arrivals, leaves at 7:30 ± 0:30 however late it came, so that a night alone fills it; ``hospital-shift``: shifts 6-14,
14-22 and 22-6 h with ten minutes before and after. Chances of presence and the scatter of the stay are (A)."""

CUT = 2.5
PHASE_KW = 7.4
DELIVERABLE = 0.95
CHANGE_OVER = timedelta(minutes=5)
DRAWS = 8


def ev_sessions(
    axis: Axis,
    seed: int,
    chargers: Annotated[int, Option("", "charging points", 0, 100_000)],
    pattern: Annotated[str, Option("", "who comes when", choices=tuple(EV_PATTERNS))] = "work",
    power_kw: Annotated[float, Option("kW", "most a charger delivers (AC)", 1.4, 22.2)] = 7.4,
    phases: Annotated[int, Option("", "phases a car charges on; each carries 32 A, 7.4 kW", 1, 3)] = 1,
    efficiency: Annotated[float, Option("", "AC side to car battery, whose energy is meant", 0.01, 1.0)] = 0.92,
) -> list[EvSession]:
    """Sessions that touch the horizon, by arrival and charger; they may start before it or end after it.

    Each (seed, pattern, charger, local day) has its own draws: more chargers or days leave the others as they are.
    Sessions at one charger never overlap: a car that comes early waits until five minutes after the other has left.

    Energy into the car, as the family ``ev-session`` counts it: four of five want 3-12 kWh, one of five 25-40 kWh, 12
    kWh on average (usual: 8-14 kWh, 20 % above 25), but never more than 95 % of what min(power_kw, 7.4 kW a phase)
    brings into it during the stay, so that every session alone can be served. Times are whole minutes.

    ValueError names every parameter that is wrong.
    """
    given = {"chargers": chargers, "pattern": pattern, "power_kw": power_kw, "phases": phases, "efficiency": efficiency}
    refuse_wrong(EV_PARAMETERS, given, "ev_sessions")
    most_kw = DELIVERABLE * efficiency * min(power_kw, PHASE_KW * phases)
    zone = ZoneInfo(axis.zone)
    first = axis.start.astimezone(zone).date() - timedelta(days=3)
    days = (axis.end.astimezone(zone).date() - first).days + 1
    found = []
    for charger in range(chargers):
        free_at = YEAR_ONE
        for arrive, depart, wanted_kwh in _visits(seed, charger, pattern, first, days, zone):
            start = max(arrive, free_at)
            free_at = depart + CHANGE_OVER
            if start < axis.end and depart > axis.start:
                most_kwh = most_kw * (depart - start).total_seconds() / 3600.0
                energy_kwh = math.floor(min(wanted_kwh, most_kwh) * 100.0) / 100.0
                found.append(EvSession(charger, start, depart, energy_kwh))
    return sorted(found, key=lambda s: (s.arrive, s.charger))


EV_PARAMETERS = parameters_of(ev_sessions)


def _visits(
    seed: int, charger: int, pattern: str, first: date, days: int, zone: ZoneInfo
) -> Iterable[tuple[datetime, datetime, float]]:
    """Arrival, departure (UTC) and wanted energy [kWh] of those who come to a charger on local days ``first`` …"""
    slots = EV_PATTERNS[pattern]
    place = (first.toordinal() - 1) * len(slots) * DRAWS
    draws = uniform(seed, f"ev/{pattern}/{charger}", place, days * len(slots) * DRAWS).reshape(-1, DRAWS)
    radius, angle = np.sqrt(-2.0 * np.log1p(-draws[:, 1])), 2 * np.pi * draws[:, 2]
    early = np.clip(radius * np.cos(angle), -CUT, CUT)
    late = np.clip(radius * np.sin(angle), -CUT, CUT)
    wanted_kwh = np.where(draws[:, 3] < 0.8, 3.0 + 9.0 * draws[:, 4], 25.0 + 15.0 * draws[:, 4] ** 2)
    for k, (presence, *_) in enumerate(draws):
        slot = slots[k % len(slots)]
        day = first + timedelta(days=k // len(slots))
        if presence >= slot.present[is_resting(day)]:
            continue
        arrive = _utc(day, round(slot.arrive_min + slot.arrive_sd_min * float(early[k])), zone)
        late_min = slot.depart_sd_min * float(late[k])
        if slot.fixed_stay:
            depart = arrive + timedelta(minutes=round(slot.depart_min - slot.arrive_min + late_min))
        else:
            depart = _utc(day, round(slot.depart_min + late_min), zone)
        yield arrive, depart, float(wanted_kwh[k])


def _utc(day: date, local_min: int, zone: ZoneInfo) -> datetime:
    """UTC of a wall-clock minute of a local day; beyond 1440 it is on the next."""
    wall = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(minutes=local_min)
    return wall.astimezone(UTC)
