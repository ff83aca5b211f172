from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pyomo.environ import Expression

from gridopt.assets.base import Family, Parameter, State, Values


class Load(Family):
    """Fixed electrical load: what must be served.

    ac[t] = power[t]                                                                                         (1)

    Ports        ac (electricity): power                                                                      [kW]
    Variables    none: the load is a constant of its node's balance
    Decisions    none
    Assumes      it is drawn as it is forecast, whatever it costs: voltage and price change nothing
    Source       none: a measured, forecast or generated series, taken as it is
    Cases        tests/cases/golden/load-tariff (by hand)
    """

    name = "load"
    parameters = (Parameter("power_kw", "mean power drawn", kind="series"),)
    forecasts = {"power_kw": "electrical load"}

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.ac_kw = Expression(b.T, rule=lambda b, t: b.power_kw[t])

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        return {}, {"ac_kw": p.power_kw}

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        return {"energy_kwh": trace["ac_kw"].sum(1) * step_h}
