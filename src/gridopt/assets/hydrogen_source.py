from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from pyomo.environ import Expression, Var

from gridopt.assets.base import Cost, Family, Floats, Parameter, Port, State, Values


class HydrogenSource(Family):
    """Hydrogen that a plant gives off as a by-product: used at its node, or vented.

    supply[t] + vented[t] = power[t],   supply[t], vented[t] >= 0                                             (1)

    Ports        hydrogen (hydrogen): - supply                                                                [kW]
    Variables    supply_kw[T]
    Decisions    none
    Assumes      power is of the lower heating value: 1 kg/h is 33.3 kW, 1 m³/h at 0 °C and 1.013 bar is 3.0 kW. The
                 plant's own schedule does not depend on the use of its hydrogen
    Source       lower heating value 120 MJ/kg: EN ISO 6976
    Cases        tests/unit/assets/test_hydrogen.py (by hand)
    """

    name = "hydrogen-source"
    ports = (Port("hydrogen", ("hydrogen",)),)
    parameters = (
        Parameter("power_kw", "hydrogen given off, lower heating value (1 kg/h = 33.3 kW)", kind="series", minimum=0),
        Parameter("vent_eur_per_kwh", "price of hydrogen vented", 0.0, minimum=0),
    )
    costs = (Cost("vent_eur", "penalty", "hydrogen vented"),)
    forecasts = {"power_kw": "hydrogen given off"}
    commands = ("supply_kw",)
    order = 0

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.supply_kw = Var(b.T, bounds=lambda b, t: (0, b.power_kw[t]))
        b.hydrogen_kw = Expression(b.T, rule=lambda b, t: -b.supply_kw[t])
        b.vent_eur = Expression(expr=b.step_h * b.vent_eur_per_kwh * sum(b.power_kw[t] - b.supply_kw[t] for t in b.T))

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        supply = np.clip(command["supply_kw"], 0.0, p.power_kw)
        vented = p.power_kw - supply
        return {}, {
            "supply_kw": supply,
            "vented_kw": vented,
            "hydrogen_kw": -supply,
            "vent_eur": p.step_h * p.vent_eur_per_kwh * vented,
        }

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """All of it is offered; what nobody takes is vented when the node's limit says so."""
        return {"supply_kw": p.power_kw}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        return {"supply_kw": np.maximum(command["supply_kw"] - np.maximum(-cut_kw, 0.0), 0.0)}

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        return {
            "supplied_kwh": trace["supply_kw"].sum(1) * step_h,
            "vented_kwh": trace["vented_kw"].sum(1) * step_h,
        }
