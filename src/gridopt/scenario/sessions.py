"""EV sessions from the project's own generator: rows of the ev-session family that nobody has to write.

    [ev-session.generate.cars]
    seed = 5
    chargers = 10
    pattern = "work"
    power_kw = 7.4
    node = "parking"

What the generator does not know (``node``, ``shortfall_eur_per_kwh`` …) holds for every session. Its ``energy_kwh`` is
the family's: into the car. What takes the setpoints is the charge point, one device for all of its sessions:
``cars-3``, where nobody names another ``device``.

Of a session that began before the horizon as much of its energy is in as of its stay has passed, unless
``delivered_kwh`` is said or a run before this one tells: what is left then fits into what is left of the stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from gridopt.clock import Axis
from gridopt.scenario.document import Document
from gridopt.scenario.generated import check_parameters
from gridopt.scenario.mistakes import Report
from gridopt.scenario.tables import Entry

FAMILY = "ev-session"
BOTH = ("power_kw", "phases", "efficiency")
"""Parameters of the generator that the family has too."""


def generated_sessions(
    generate: Mapping[str, Mapping[str, Any]],
    defaults: Mapping[str, Any],
    axis: Axis,
    document: Document,
    report: Report,
) -> Iterator[Entry]:
    """One entry a session that touches the horizon: NAME-charger-month-day-time of arrival."""
    if not generate:
        return
    from gridopt.scenario.generate import EV_PARAMETERS, ev_sessions

    known = {p.name: p.default for p in EV_PARAMETERS}
    for name, given in generate.items():
        where, place = f"{FAMILY} generate {name}", document.place(FAMILY, "generate", name)
        given = {k: defaults.get(k, known[k]) for k in BOTH} | dict(given)
        wanted = {k: v for k, v in given.items() if k in known}
        seed = given.get("seed", 0)
        if not check_parameters(EV_PARAMETERS, wanted, seed, "sessions", where, place, report):
            continue
        shared = {k: v for k, v in given.items() if k != "seed" and (k not in known or k in BOTH)}
        places = {k: document.place(FAMILY, "defaults", k) for k in defaults}
        places |= {k: document.place(FAMILY, "generate", name, k) for k in shared}
        for s in ev_sessions(axis, seed, **wanted):
            arrive = s.arrive.astimezone(ZoneInfo(axis.zone))
            own: dict[str, Any] = {"arrive": s.arrive, "depart": s.depart, "energy_kwh": s.energy_kwh}
            if s.arrive < axis.start and "delivered_kwh" not in {*shared, *defaults}:
                own["delivered_kwh"] = round(s.energy_kwh * (axis.start - s.arrive) / (s.depart - s.arrive), 2)
            own |= {} if "device" in {**defaults, **shared} else {"device": f"{name}-{s.charger + 1}"}
            one = f"{name}-{s.charger + 1}-{arrive:%m%d-%H%M}"
            yield Entry(one, f"{FAMILY} {one}", {**defaults, **shared, **own}, places, place, row=True)
