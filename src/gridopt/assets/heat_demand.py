from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from pyomo.environ import Expression, Var

from gridopt.assets.base import Family, Floats, Parameter, Port, State, Values


class HeatDemand(Family):
    """Heat that must be delivered: a building, a hot-water loop or a network's substation.

    heat[t] = power[t] - unmet[t],   0 <= unmet[t] <= power[t]                                               (1)

    Ports        heat (heat): power - unmet                                                                   [kW]
    Variables    unmet_kw[T], an emergency: minimised before money
    Decisions    none
    Short of     heat that no source of its node can give: ``unmet_kw``, a named shortfall
    Assumes      it is drawn as it is forecast; no temperature of the network, and what is not delivered is not made up
    Source       none: a measured, forecast or generated series, taken as it is
    Cases        tests/unit/assets/test_heat_demand.py (by hand)
    """

    name = "heat-demand"
    ports = (Port("heat", ("heat",)),)
    parameters = (Parameter("power_kw", "mean heat power wanted", kind="series", minimum=0),)
    forecasts = {"power_kw": "heat demand"}
    commands = ("unmet_kw",)
    emergencies = ("unmet_kw",)
    shortfalls = {"unmet_kw": "heat delivered"}
    order = 0

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.unmet_kw = Var(b.T, bounds=lambda b, t: (0, b.power_kw[t]))
        b.heat_kw = Expression(b.T, rule=lambda b, t: b.power_kw[t] - b.unmet_kw[t])

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        unmet = np.clip(command["unmet_kw"], 0.0, p.power_kw)
        return {}, {"unmet_kw": unmet, "heat_kw": p.power_kw - unmet}

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """All heat is asked for."""
        return {"unmet_kw": np.zeros_like(p.power_kw)}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        return {"unmet_kw": np.minimum(command["unmet_kw"] + np.maximum(cut_kw, 0.0), p.power_kw)}

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        return {"delivered_kwh": trace["heat_kw"].sum(1) * step_h, "unmet_kwh": trace["unmet_kw"].sum(1) * step_h}
