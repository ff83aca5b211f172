from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gridopt.assets import switching
from gridopt.assets.base import Floats, Parameter, Port, Prepared, State, Values
from gridopt.assets.chp import CHP
from gridopt.clock import Axis

LEAST_SHARE = 0.3
"""Minimum load of a stack, where none is given: below, water and heat are hard to manage."""
START_SHARE, STOP_SHARE = 0.8, 0.2
"""The baseline's pressure switch: the stack starts with so much of the vessels' band full, and stops at that share."""
DRAIN_H = 4.0
"""How fast the baseline draws what the vessels hold above the stop share."""
START_MARGIN = 1.2
"""Without a vessel it starts with so many times the hydrogen of minimum load, so that a wavering flow keeps it on."""
_DEFAULTS = {
    "electric_efficiency": 0.50,
    "electric_efficiency_min": 0.55,
    "thermal_efficiency": 0.39,
    "thermal_efficiency_min": 0.34,
    "maintenance_eur_per_kwh": 0.03,
}


def _of_a_stack(p: Parameter) -> Parameter:
    if p.name == "power_min_kw":
        return replace(p, doc=f"{p.doc}; absent: {LEAST_SHARE:.0%} of full load", optional=True)
    if p.name == "start_cost_eur":
        return replace(p, doc="wear of one start, some 0.3 EUR per kW of a PEM stack")
    if p.name == "starts_max_per_day":
        return replace(p, doc="most starts in a local day", default=2.0, optional=False)
    return replace(p, default=_DEFAULTS.get(p.name, p.default))


class FuelCell(CHP):
    """Fuel cell (PEM) on a hydrogen node: a CHP with a stack's defaults, led by the hydrogen that is there.

    Equations, variables, rows, decisions and shortfalls are those of CHP. In part load a stack gives more electricity
    and less heat per hydrogen; it wears by every start, of which a day has two.

    Ports        ac (electricity): - power;  heat (heat): - heat;  gas (hydrogen, ``hydrogen_node``): fuel      [kW]
    Decisions    large: on[T], as in CHP
    Assumes      efficiencies of the lower heating value, auxiliaries taken off
    Source       the defaults are assumed, of a stack of 200 kW that gives 155 kW of heat: take a data sheet's instead
    Cases        tests/unit/assets/test_hydrogen.py (by hand)
    """

    name = "fuel-cell"
    ports = (Port("ac"), Port("heat", ("heat",), "heat_node"), Port("gas", ("hydrogen",), "hydrogen_node"))
    parameters = tuple(_of_a_stack(p) for p in CHP.parameters)

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        least = np.where(np.isnan(user["power_min_kw"]), LEAST_SHARE * user["power_max_kw"], user["power_min_kw"])
        return super().prepare({**user, "power_min_kw": least}, axis)

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """Led by hydrogen, as a pressure switch does it.

        With vessels at its node it starts when they are 80 % full and runs down to 20 %, drawing what flows in and,
        within four hours, what they hold above that. Without, it starts at 1.2 times the flow of minimum load, stops
        below that of minimum load, and follows what flows in. Minimum times and starts a day are kept. Several at one
        node are a cascade.
        """
        flow, none = surplus["gas"], np.zeros_like(p.least_kw)
        stored = surplus.get("gas_stored_kwh", none)
        size = stored + surplus.get("gas_room_kwh", none)
        was_on = state["on"] > 0.5
        least = p.fuel_fixed_kw + p.fuel_slope * p.least_kw
        enough = flow >= least * np.where(was_on, 1.0, START_MARGIN) * (1 - 1e-9)
        level = np.where(was_on, (stored > STOP_SHARE * size) | enough, stored >= START_SHARE * size - 1e-9)
        lasts = flow + stored / p.step_h >= least * (1 - 1e-9)
        runs = switching.kept(p, state, np.where(size > 0, level & lasts, enough & (flow > 0)))
        fuel = flow + np.maximum(stored - STOP_SHARE * size, 0.0) / DRAIN_H
        power = np.where(runs, np.clip((fuel - p.fuel_fixed_kw) / p.fuel_slope, p.least_kw, p.power_max_kw), 0.0)
        heat = p.heat_fixed_kw * runs + p.heat_slope * power
        dumped = np.maximum(heat - np.maximum(-surplus["heat"], 0.0), 0.0)
        return {"on": runs.astype(np.float64), "power_kw": power, "heat_dumped_kw": dumped}
