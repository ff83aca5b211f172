from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from pyomo.environ import Expression, Var

from gridopt.assets.base import Column, Family, Floats, Parameter, Prepared, State, Values
from gridopt.clock import Axis


class PV(Family):
    """Photovoltaic plant whose output may be curtailed.

    0 <= generation[t] <= available[t] = peak_kw * yield[t]                                                  (1)

    Ports        ac (electricity): - generation                                                               [kW]
    Variables    generation_kw[T]; none when ``curtailable`` is false (the output is then a constant)
    Decisions    none
    Assumes      the inverter follows any limit between 0 and what the sun gives
    Source       none: the yield is a series, of a meter, a forecast or the generator, and (1) its definition
    Cases        tests/cases/golden/pv-negative-price (by hand)
    """

    name = "pv"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("peak_kw", "peak power of the modules, or the scale of the yield series", minimum=0),
        Parameter("yield_kw_per_kw", "output per kW of peak power", kind="series", minimum=0),
        Parameter("curtailable", "whether the output may be limited", True, kind="flag"),
    )
    computed = (Column("available_kw", "output the sun allows", series=True),)
    options = ("curtailable",)
    forecasts = {"available_kw": "PV output"}
    commands = ("generation_kw",)
    control = "limit"
    setpoint = "generation_kw"
    order = 0

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        columns = {
            "peak_kw": user["peak_kw"],
            "yield_kw_per_kw": user["yield_kw_per_kw"],
            "available_kw": user["peak_kw"][:, None] * user["yield_kw_per_kw"],
        }
        return Prepared(columns, structure=[(bool(c),) for c in user["curtailable"]])

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        if option.curtailable:
            b.generation_kw = Var(b.T, bounds=lambda b, t: (0, b.available_kw[t]))
            b.ac_kw = Expression(b.T, rule=lambda b, t: -b.generation_kw[t])
        else:
            b.ac_kw = Expression(b.T, rule=lambda b, t: -b.available_kw[t])

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        wanted = command.get("generation_kw", p.available_kw)
        generation = np.clip(wanted, 0.0, p.available_kw)
        return {}, {"generation_kw": generation, "ac_kw": -generation, "curtailed_kw": p.available_kw - generation}

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """All that can be had: nothing is curtailed."""
        return {"generation_kw": p.available_kw}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        return {"generation_kw": np.maximum(command["generation_kw"] - np.maximum(-cut_kw, 0.0), 0.0)}

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        return {
            "generated_kwh": trace["generation_kw"].sum(1) * step_h,
            "curtailed_kwh": trace["curtailed_kw"].sum(1) * step_h,
        }
