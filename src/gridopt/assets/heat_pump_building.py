from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from pyomo.environ import Constraint, Expression, Var, inequality

from gridopt.assets.base import Column, Cost, Family, Floats, Parameter, Prepared, SemiContinuous, State, Values
from gridopt.assets.weather import cop_series
from gridopt.clock import Axis

SWITCH_KW = 1e-6
"""A command this little below the minimum is the minimum, seen through the solver's tolerance."""


class HeatPumpBuilding(Family):
    """Building zone (1R1C) heated by its own heat pump, kept in a comfort band that may change by the hour.

    T[t] = keep * T[t-1] + (1 - keep) * (outdoor[t] + R * (cop[t] * heat_pump[t] + gain[t]))                 (1)
    keep = exp(-step_h / (R * C))                                                                            (2)
    comfort_min[t] <= T[t] + under[t] - over[t] <= comfort_max[t]                                            (3)
    heat_pump[t] = 0 or power_min <= heat_pump[t] <= power                                                   (4)
    cop[t] = clip(cop_nominal + cop_slope * (outdoor[t] - 7), 1.5, 6) where none is given                    (5)
    discomfort = price * (step_h * sum_t (under[t] + over[t]) + R * C * under[last])                         (6)

    Ports        ac (electricity): heat_pump                                                                  [kW]
    Variables    heat_pump_kw[T] >= 0; temperature_c[T] at the end of the step; under_k[T], over_k[T] >= 0
    Rows         balance_zone_temperature[T], band_zone_comfort[T]
    Decisions    small: running or not per step, where power_min > 0; power_min = power is on/off
    Short of     comfort, below and above the band: ``under_k``, ``over_k``, priced per kelvin and hour
    Assumes      weather, gains and power constant over a step: (1) is then exact for any step length, not an
                 approximation; no cooling; comfort is judged at the end of each step; the temperature at the end of
                 the horizon is free inside the band. What is missing below it then would wear off over R * C hours
                 and is priced so (6): else heating never pays in the last hours
    Source       zero-order hold of C dT/dt = (outdoor - T) / R + heat; time constants R * C of 12-60 h and COP
                 CONTEXT.md §5.1
    Cases        tests/unit/assets/test_heat_pump_building.py (by hand)
    """

    name = "heat-pump-building"
    parameters = (
        Parameter("resistance_k_per_kw", "temperature held by a kW of heat", minimum=0.001, maximum=1e4),
        Parameter("capacity_kwh_per_k", "heat stored by a kelvin", minimum=0.001, maximum=1e6),
        Parameter("power_kw", "largest electrical power", minimum=0),
        Parameter("power_min_kw", "least electrical power while running, at most power_kw", 0.0, minimum=0),
        Parameter("outdoor_c", "outdoor temperature", kind="series"),
        Parameter("gain_kw", "heat from sun, people and devices", 0.0, kind="series"),
        Parameter("cop", "heat per electricity, instead of the weather law", kind="series", minimum=0.1, optional=True),
        Parameter("cop_nominal", "COP at 7 °C outside", 3.5, minimum=0.1),
        Parameter("cop_slope_per_k", "change of the COP per kelvin outside", 0.07),
        Parameter("comfort_min_c", "lower edge of the comfort band", 19.0, kind="series"),
        Parameter("comfort_max_c", "upper edge of the comfort band", 24.0, kind="series"),
        Parameter("temperature_start_c", "temperature at the start", 20.0),
        Parameter("discomfort_eur_per_kh", "price of a kelvin outside the band for an hour", 5.0, minimum=0),
    )
    ordered = (("power_min_kw", "power_kw"), ("comfort_min_c", "comfort_max_c"))
    computed = (Column("keep", "share of the distance to the steady temperature that is left after a step"),)
    costs = (Cost("discomfort_eur", "penalty", "kelvin-hours outside the comfort band"),)
    forecasts = {"outdoor_c": "outdoor temperature", "gain_kw": "solar and internal gains"}
    commands = ("heat_pump_kw",)
    states = ("temperature_c",)
    decisions = (SemiContinuous("heat_pump_kw", "power_min_kw", rounding="diffusion"),)
    shortfalls = {"under_k": "warm enough", "over_k": "cool enough"}
    control = "power"
    setpoint = "heat_pump_kw"
    order = 1

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters}
        c["keep"] = np.exp(-axis.step_h / (c["resistance_k_per_kw"] * c["capacity_kwh_per_k"]))
        c["cop"] = cop_series(c["cop"], c["outdoor_c"], c["cop_nominal"], c["cop_slope_per_k"])
        c["power_min_kw"] = np.minimum(c["power_min_kw"], c["power_kw"])
        return Prepared(c)

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.heat_pump_kw = Var(b.T, bounds=(0, b.power_kw))
        b.temperature_c = Var(b.T)
        b.under_k = Var(b.T, bounds=(0, None))
        b.over_k = Var(b.T, bounds=(0, None))
        b.balance_zone_temperature = Constraint(
            b.T,
            rule=lambda b, t: (
                b.temperature_c[t]
                == b.keep * (b.temperature_c[t - 1] if t else b.temperature_start_c)
                + (1 - b.keep)
                * (b.outdoor_c[t] + b.resistance_k_per_kw * (b.cop[t] * b.heat_pump_kw[t] + b.gain_kw[t]))
            ),
        )
        b.band_zone_comfort = Constraint(
            b.T,
            rule=lambda b, t: inequality(
                b.comfort_min_c[t], b.temperature_c[t] + b.under_k[t] - b.over_k[t], b.comfort_max_c[t]
            ),
        )
        b.ac_kw = Expression(b.T, rule=lambda b, t: b.heat_pump_kw[t])
        b.discomfort_eur = Expression(
            expr=b.discomfort_eur_per_kh
            * (
                b.step_h * sum(b.under_k[t] + b.over_k[t] for t in b.T)
                + b.resistance_k_per_kw * b.capacity_kwh_per_k * b.under_k[b.last]
            )
        )

    @classmethod
    def start(cls, p: Any) -> State:
        return {"temperature_c": p.temperature_start_c}

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        wanted = command["heat_pump_kw"]
        power = np.where(wanted < p.power_min_kw - SWITCH_KW, 0.0, np.clip(wanted, 0.0, p.power_kw))
        steady = p.outdoor_c + p.resistance_k_per_kw * (p.cop * power + p.gain_kw)
        temperature = p.keep * state["temperature_c"] + (1.0 - p.keep) * steady
        under = np.maximum(p.comfort_min_c - temperature, 0.0)
        over = np.maximum(temperature - p.comfort_max_c, 0.0)
        return {"temperature_c": temperature}, {
            "heat_pump_kw": power,
            "ac_kw": power,
            "under_k": under,
            "over_k": over,
            "discomfort_eur": p.step_h * p.discomfort_eur_per_kh * (under + over),
        }

    @classmethod
    def close(cls, p: Any, state: State) -> Values:
        under = np.maximum(p.comfort_min_c - state["temperature_c"], 0.0)
        lasting = p.resistance_k_per_kw * p.capacity_kwh_per_k
        return {"discomfort_eur": p.discomfort_eur_per_kh * lasting * under}

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """Thermostat: the heat that ends the step at the lower edge of the band, as far as the power goes."""
        steady = (p.comfort_min_c - p.keep * state["temperature_c"]) / (1.0 - p.keep)
        need = ((steady - p.outdoor_c) / p.resistance_k_per_kw - p.gain_kw) / p.cop
        return {"heat_pump_kw": np.where(need > SWITCH_KW, np.clip(need, p.power_min_kw, p.power_kw), 0.0)}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        left = np.maximum(np.minimum(command["heat_pump_kw"], p.power_kw) - np.maximum(cut_kw, 0.0), 0.0)
        return {"heat_pump_kw": np.where(left < p.power_min_kw - SWITCH_KW, 0.0, left)}

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        return {
            "electricity_kwh": trace["ac_kw"].sum(1) * step_h,
            "discomfort_kh": (trace["under_k"] + trace["over_k"]).sum(1) * step_h,
        }
