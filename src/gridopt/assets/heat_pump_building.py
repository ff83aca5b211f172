from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from pyomo.environ import Expression, Var

from gridopt.assets import zone
from gridopt.assets.base import Column, Cost, Family, Floats, Parameter, Prepared, SemiContinuous, State, Values
from gridopt.assets.weather import cop_series
from gridopt.clock import Axis

SWITCH_KW = 1e-6
"""A command this little below the minimum is the minimum, seen through the solver's tolerance."""
PREHEAT_MAX_H = 6.0
"""How long before a warmer hour the baseline's thermostat begins at most, as optimum-start controllers are set."""


class HeatPumpBuilding(Family):
    """Building zone heated by its own heat pump, kept in a comfort band that may change by the hour.

    heat[t] = cop[t] * heat_pump[t] + gain[t]                                                                (1)
    heat_pump[t] = 0 or power_min <= heat_pump[t] <= power                                                   (2)
    cop[t] = clip(cop_nominal + cop_slope * (outdoor[t] - 7), 1.5, 6) where none is given                    (3)
    the temperature from the heat, the comfort band and its price             gridopt.assets.zone, (1) to (3) there

    Where R, C and a price of discomfort come from is said there: from the heat of a year, the floor area, and from what
    people cost who freeze.

    Ports        ac (electricity): heat_pump                                                                  [kW]
    Variables    heat_pump_kw[T] >= 0; temperature_c[T] at the end of the step; under_k[T], over_k[T] >= 0
    Rows         balance_zone_temperature[T], band_zone_comfort[T]
    Decisions    small: running or not per step, where power_min > 0; power_min = power is on/off
    Short of     comfort, below and above the band: ``under_k``, ``over_k``, priced per kelvin and hour
    Assumes      weather, gains and power constant over a step; no cooling; comfort is judged at the end of each step;
                 the temperature at the end of the horizon is free inside the band. Its thermostat, the baseline, has an
                 optimum start: it knows the house's own R and C and the weather, and heats at full power as late as
                 reaches a warmer band in time, at most six hours before
    Source       heat pumps rated at 7 °C outside: EN 14511
    Cases        tests/unit/assets/test_heat_pump_building.py (by hand), tests/cases/golden/zone-preheat (by hand),
                 heat-pumps-one-feeder (other tool)
    """

    name = "heat-pump-building"
    parameters = (
        zone.RESISTANCE,
        zone.CAPACITY,
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
        zone.DISCOMFORT,
    )
    ordered = (("power_min_kw", "power_kw"), ("comfort_min_c", "comfort_max_c"))
    computed = (
        Column("keep", "share of the distance to the steady temperature that is left after a step"),
        Column("preheat_c", "temperature from which full power still reaches every warmer band in time", series=True),
    )
    costs = (Cost("discomfort_eur", "penalty", "kelvin-hours outside the comfort band"),)
    forecasts = {"outdoor_c": "outdoor temperature", "gain_kw": "solar and internal gains"}
    commands = ("heat_pump_kw",)
    states = ("temperature_c",)
    stocks = {"temperature_c": 1.0}
    decisions = (SemiContinuous("heat_pump_kw", "power_min_kw", rounding="diffusion"),)
    shortfalls = {"under_k": "warm enough", "over_k": "cool enough"}
    control = "power"
    setpoint = "heat_pump_kw"
    order = 1

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters}
        c["keep"] = zone.keep_share(c["resistance_k_per_kw"], c["capacity_kwh_per_k"], axis.step_h)
        c["discomfort_eur_per_kh"] = zone.discomfort_price(c["discomfort_eur_per_kh"], c["capacity_kwh_per_k"])
        c["cop"] = cop_series(c["cop"], c["outdoor_c"], c["cop_nominal"], c["cop_slope_per_k"])
        c["power_min_kw"] = np.minimum(c["power_min_kw"], c["power_kw"])
        c["preheat_c"] = _preheat(c, axis.step_h)
        return Prepared(c)

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.heat_pump_kw = Var(b.T, bounds=(0, b.power_kw))
        zone.declare(
            b,
            lambda t: b.cop[t] * b.heat_pump_kw[t] + b.gain_kw[t],
            keep=lambda t: b.keep,
            resistance=lambda t: b.resistance_k_per_kw,
            outdoor_c=lambda t: b.outdoor_c[t],
            low_c=lambda t: b.comfort_min_c[t],
            high_c=lambda t: b.comfort_max_c[t],
        )
        b.ac_kw = Expression(b.T, rule=lambda b, t: b.heat_pump_kw[t])

    @classmethod
    def start(cls, p: Any) -> State:
        return {"temperature_c": p.temperature_start_c}

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        wanted = command["heat_pump_kw"]
        power = np.where(wanted < p.power_min_kw - SWITCH_KW, 0.0, np.clip(wanted, 0.0, p.power_kw))
        heat = p.cop * power + p.gain_kw
        temperature = zone.after_c(state["temperature_c"], heat, p.keep, p.resistance_k_per_kw, p.outdoor_c)
        comfort = zone.comfort(p, temperature, p.comfort_min_c, p.comfort_max_c)
        return {"temperature_c": temperature}, {"heat_pump_kw": power, "ac_kw": power} | comfort

    @classmethod
    def close(cls, p: Any, state: State) -> Values:
        return zone.lasting(p, p.comfort_min_c - state["temperature_c"])

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """Thermostat with optimum start: the heat that ends the step at the lower edge of the band, or as warm as full
        power needs to be in time for a warmer one, as far as the power goes."""
        wanted = np.maximum(p.comfort_min_c, p.preheat_c)
        heat = zone.needed_kw(state["temperature_c"], wanted, p.keep, p.resistance_k_per_kw, p.outdoor_c)
        need = (heat - p.gain_kw) / p.cop
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


def _preheat(c: Mapping[str, Floats], step_h: float) -> Floats:
    """(n, T) how warm a house must be at the end of each step for full power to reach every lower edge ahead in time.

    Looked at PREHEAT_MAX_H back from each edge, and never above it, nor above the band.
    """
    keep = c["keep"][:, None]
    full = c["outdoor_c"] + c["resistance_k_per_kw"][:, None] * (c["cop"] * c["power_kw"][:, None] + c["gain_kw"])
    low, wanted = c["comfort_min_c"], c["comfort_min_c"]
    for _ in range(round(PREHEAT_MAX_H / step_h)):
        # A house that forgets within a step needs no start before it.
        from_c = np.full_like(low[:, 1:], -np.inf)
        np.divide(wanted[:, 1:] - (1.0 - keep) * full[:, 1:], keep, out=from_c, where=keep > 0)
        from_c = np.minimum(np.minimum(from_c, wanted[:, 1:]), c["comfort_max_c"][:, :-1])
        before, wanted = wanted, np.column_stack([np.maximum(from_c, low[:, :-1]), low[:, -1]])
        if (wanted <= before).all():
            break
    return wanted
