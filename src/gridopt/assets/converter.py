from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from pyomo.environ import Expression, Var

from gridopt.assets.base import (
    Column,
    Cost,
    Decision,
    Family,
    Floats,
    Parameter,
    Port,
    Prepared,
    SemiContinuous,
    State,
    Values,
)
from gridopt.clock import Axis

NOTHING_KW = 1e-6
"""A lack this small is none, seen through the rounding of what adds up to it."""


class Converter(Family):
    """Any device that turns one carrier into another: heat pump by COP, electric heater, electrolyser, exchanger.

    sink[t]  = efficiency[t] * input[t]                                                                      (1)
    input[t] = 0  or  power_min <= input[t] <= power                                                         (2)

    Ports        source (any carrier, ``node_in``): input;  sink (any carrier, ``node_out``): - efficiency * input [kW]
    Variables    input_kw[T] >= 0
    Decisions    small: off, or at least the minimum power, per step
    Assumes      efficiency (or COP) does not depend on power; no ramp, no start cost
    Source       (2): its relaxation 0..power is the projection of the form with a binary relaxed to 0..1
    Cases        tests/unit/assets/test_converter.py (by hand)
    """

    name = "converter"
    ports = (Port("source", (), "node_in"), Port("sink", (), "node_out"))
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("power_kw", "largest input power", minimum=0),
        Parameter("power_min_kw", "smallest input power when it runs", 0.0, minimum=0),
        Parameter("efficiency", "output per input; above 1 for a COP", kind="series", minimum=0),
        Parameter("cost_eur_per_kwh", "cost of use per kWh of input, besides what the input itself costs", 0.0),
    )
    ordered = (("power_min_kw", "power_kw"),)
    computed: ClassVar[tuple[Column, ...]] = (
        Column("input_max_kw", "largest input power", series=True),
        Column("input_min_kw", "smallest input power when it runs", series=True),
    )
    costs = (Cost("use_eur", "cash", "cost of use"),)
    commands = ("input_kw",)
    decisions: ClassVar[tuple[Decision, ...]] = (SemiContinuous("input_kw", "input_min_kw"),)
    control = "power"
    setpoint = "input_kw"
    order = 4
    led_by = "sink"

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        columns = {p.name: user[p.name] for p in cls.parameters}
        power = np.broadcast_to(user["power_kw"][:, None], user["efficiency"].shape)
        least = np.broadcast_to(user["power_min_kw"][:, None], user["efficiency"].shape)
        return Prepared(columns | {"input_max_kw": power, "input_min_kw": least})

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.input_kw = Var(b.T, bounds=lambda b, t: (0, b.input_max_kw[t]))
        b.source_kw = Expression(b.T, rule=lambda b, t: b.input_kw[t])
        b.sink_kw = Expression(b.T, rule=lambda b, t: -b.efficiency[t] * b.input_kw[t])
        b.use_eur = Expression(expr=b.step_h * b.cost_eur_per_kwh * sum(b.input_kw[t] for t in b.T))

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        # Told less than half its minimum it stays off, from there on it runs at its minimum: the nearer of the two.
        wanted = np.clip(command["input_kw"], 0.0, p.input_max_kw)
        runs = (wanted >= 0.5 * p.input_min_kw) & (p.input_min_kw <= p.input_max_kw)
        power = np.where(runs, np.maximum(wanted, p.input_min_kw), 0.0)
        return {}, {
            "input_kw": power,
            "source_kw": power,
            "sink_kw": -p.efficiency * power,
            "use_eur": p.step_h * p.cost_eur_per_kwh * power,
        }

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """Cover what lacks at the sink, at its least power where that is less: a store there takes the rest.

        Several at one node are a cascade: what the first leaves lacking is asked of the next.
        """
        needed = _input_for(p, np.maximum(-surplus["sink"], 0.0))
        return {"input_kw": np.where(needed > NOTHING_KW, np.maximum(needed, p.input_min_kw), 0.0)}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        cut = np.maximum(cut_kw, 0.0) if port == "source" else _input_for(p, np.maximum(-cut_kw, 0.0))
        left = np.maximum(command["input_kw"] - cut, 0.0)
        # Below its minimum it must stop, or it would run at the minimum and shed too little.
        return {"input_kw": np.where((cut > 0) & (left < p.input_min_kw), 0.0, left)}

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        return {
            "input_kwh": trace["source_kw"].sum(1) * step_h,
            "output_kwh": -trace["sink_kw"].sum(1) * step_h,
            "running_h": (trace["source_kw"] > 1e-6).sum(1) * step_h,
        }


def _input_for(p: Any, output_kw: Floats) -> Floats:
    """Input that gives ``output_kw``; 0 where the converter gives nothing."""
    needed: Floats = np.divide(output_kw, p.efficiency, out=np.zeros_like(output_kw), where=p.efficiency > 0)
    return needed
