"""When assets are there, and what two of them may not share.

A family with two times in order (a car's arrival and departure) is there between them; all others are there always.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from gridopt.assets.ev_session import steps_inside
from gridopt.clock import Axis
from gridopt.scenario.assets import AssetTable
from gridopt.scenario.mistakes import Report
from gridopt.scenario.schema import window_of
from gridopt.scenario.tables import Entry
from gridopt.written.words import quoted


def presence(tables: Iterable[AssetTable], axis: Axis) -> dict[str, slice]:
    """Asset id → the whole steps of the horizon on which it is there; an empty slice where there is none."""
    found: dict[str, slice] = {}
    for table in tables:
        first, last = np.zeros(len(table.ids), np.int64), np.full(len(table.ids), axis.steps)
        times = window_of(table.family)
        if times is not None:
            # A time that is left out is an edge of the horizon.
            begin = np.nan_to_num(table.user[times[0]], nan=0.0)
            end = np.nan_to_num(table.user[times[1]], nan=axis.steps * axis.step_h)
            inside = steps_inside(begin, np.maximum(begin, end), axis.step_h)
            first, last = (np.clip(steps, 0, axis.steps) for steps in inside)
        found |= {name: slice(int(a), int(b)) for name, a, b in zip(table.ids, first, last, strict=True)}
    return found


def check_devices(
    tables: Iterable[AssetTable], entries: Mapping[str, Entry], there: Mapping[str, slice], report: Report
) -> None:
    """One device takes one kind of command from one asset at a time; a device without a name has its asset's."""
    told: dict[tuple[str, str], list[str]] = {}
    for table in tables:
        for name, control, device in zip(table.ids, table.control, table.device, strict=True):
            if control != "none" and there[name].start < there[name].stop:
                told.setdefault((device or name, control), []).append(name)
    for (device, control), names in sorted(told.items()):
        busy = ""
        for name in sorted(names, key=lambda n: (there[n].start, n)):
            if busy and there[name].start < there[busy].stop:
                late, other = (name, busy) if "device" in entries[name].values else (busy, name)
                where = entries[late].where
                said = {"value": quoted(device), "control": control, "other": other}
                report.add(entries[late].at("device"), "device-twice", where=where, **said)
            if not busy or there[name].stop > there[busy].stop:
                busy = name
