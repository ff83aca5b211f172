"""The registry of device families: name in the scenario → class, imported when first asked for.

An installed package adds families of its own by entry points of the group ``gridopt.families``, name → class; a name of
gridopt's own stays gridopt's own. docs/add-a-family.md has one from its first line to its proof.
"""

from __future__ import annotations

import functools
from importlib import import_module
from importlib.metadata import entry_points

from gridopt.assets.base import Family
from gridopt.errors import FamilyError

_WHERE: dict[str, str] = {
    "basin": "basin.Basin",
    "battery": "battery.Battery",
    "booked-rooms": "booked_rooms.BookedRooms",
    "chp": "chp.CHP",
    "cold-store": "cold_store.ColdStore",
    "converter": "converter.Converter",
    "diffuse-heaters": "diffuse_heaters.DiffuseHeaters",
    "electric-boiler": "electric_boiler.ElectricBoiler",
    "ev-session": "ev_session.EVSession",
    "fuel-cell": "fuel_cell.FuelCell",
    "gas-boiler": "gas_boiler.GasBoiler",
    "heat-demand": "heat_demand.HeatDemand",
    "heat-pump-building": "heat_pump_building.HeatPumpBuilding",
    "hot-water-tank": "hot_water_tank.HotWaterTank",
    "hydrogen-source": "hydrogen_source.HydrogenSource",
    "hydrogen-store": "hydrogen_store.HydrogenStore",
    "interruptible-load": "interruptible_load.InterruptibleLoad",
    "lighting": "lighting.Lighting",
    "load": "load.Load",
    "pv": "pv.PV",
    "shiftable-load": "shiftable_load.ShiftableLoad",
    "substation": "substation.Substation",
    "thermal-store": "thermal_store.ThermalStore",
    "wind": "wind.Wind",
}

_OUTSIDE = {e.name: e for e in entry_points(group="gridopt.families") if e.name not in _WHERE}

FAMILY_NAMES = (*_WHERE, *sorted(_OUTSIDE))


@functools.cache
def family(name: str) -> type[Family]:
    """The family of that name; KeyError when there is none, FamilyError when a package's is none."""
    if name in _OUTSIDE:
        return _from_outside(name)
    module, _, cls = _WHERE[name].partition(".")
    found: type[Family] = getattr(import_module(f"gridopt.assets.{module}"), cls)
    return found


def _from_outside(name: str) -> type[Family]:
    entry = _OUTSIDE[name]
    said = {"name": name, "entry": entry.value}
    try:
        found = entry.load()
    except (ImportError, AttributeError) as error:
        raise FamilyError("family {name}: {entry} cannot be imported: {reason}", **said, reason=error) from error
    if not (isinstance(found, type) and issubclass(found, Family) and getattr(found, "name", None) == name):
        raise FamilyError("family {name}: {entry} is no Family whose name is {name}", **said)
    return found
