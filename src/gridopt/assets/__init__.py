"""The registry of device families: name in the scenario → class, imported when first asked for."""

from __future__ import annotations

import functools
from importlib import import_module

from gridopt.assets.base import Family

_WHERE: dict[str, str] = {
    "battery": "battery.Battery",
    "chp": "chp.CHP",
    "converter": "converter.Converter",
    "ev-session": "ev_session.EVSession",
    "gas-boiler": "gas_boiler.GasBoiler",
    "heat-demand": "heat_demand.HeatDemand",
    "heat-pump-building": "heat_pump_building.HeatPumpBuilding",
    "heat-pump-tank": "heat_pump_tank.HeatPumpTank",
    "load": "load.Load",
    "pv": "pv.PV",
    "shiftable-load": "shiftable_load.ShiftableLoad",
    "thermal-store": "thermal_store.ThermalStore",
}

FAMILY_NAMES = tuple(_WHERE)


@functools.cache
def family(name: str) -> type[Family]:
    """The family of that name; KeyError when there is none."""
    module, _, cls = _WHERE[name].partition(".")
    found: type[Family] = getattr(import_module(f"gridopt.assets.{module}"), cls)
    return found
