from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from pyomo.environ import Constraint, Expression, Var

from gridopt.assets.base import Column, Cost, Family, Floats, Parameter, Prepared, SemiContinuous, State, Values
from gridopt.assets.battery import END_RULES
from gridopt.assets.weather import cop_series
from gridopt.clock import Axis

SWITCH_KW = 1e-6
"""A command this little below the minimum is the minimum, seen through the solver's tolerance."""
REHEAT_SHARE = 0.5
"""The thermostat of the baseline starts below this level, and stops when the tank is full."""


class HeatPumpTank(Family):
    """Hot-water tank heated by its own heat pump; a backup serves draw-off that the tank cannot or shall not.

    level[t] = keep * level[t-1] + step_h * (cop[t] * heat_pump[t] + backup[t] - demand[t])                  (1)
    keep     = (1 - loss_per_h) ** step_h                                                                    (2)
    0 <= level[t] <= capacity;  0 <= backup[t] <= demand[t]                                                  (3)
    heat_pump[t] = 0 or power_min <= heat_pump[t] <= power                                                   (4)
    level[last] + end_short >= level_goal                                                                    (5)
    cop[t] = clip(cop_nominal + cop_slope * (outdoor[t] - 7), 1.5, 6) where none is given                    (6)

    Ports        ac (electricity): heat_pump                                                                  [kW]
    Variables    heat_pump_kw[T], backup_kw[T] >= 0; level_kwh[T] at the end of the step; end_short_kwh
    Rows         balance_tank_level[T], goal_tank_end
    Decisions    small: running or not per step, where power_min > 0
    Short of     hot water from the tank: ``backup_kw``, priced per kWh; level_goal unreachable: ``end_short_kwh``
    Assumes      content counted above the least useful temperature; COP independent of the content; the backup is
                 outside the node (its price covers its energy), and comes in by itself when the tank is empty
    Source       recursive storage as in oemof.solph GenericStorage; losses and COP of 55 °C water CONTEXT.md §5.1
    Cases        tests/unit/assets/test_heat_pump_tank.py (by hand)
    """

    name = "heat-pump-tank"
    parameters = (
        Parameter("capacity_kwh", "useful heat in the full tank", minimum=0),
        Parameter("power_kw", "largest electrical power", minimum=0),
        Parameter("power_min_kw", "least electrical power while running, at most power_kw", 0.0, minimum=0),
        Parameter("demand_kw", "hot water drawn", kind="series", minimum=0),
        Parameter("loss_per_h", "share of the content lost per hour", 0.01, minimum=0, maximum=0.5),
        Parameter("outdoor_c", "outdoor temperature; at 7 °C the COP is nominal", 7.0, kind="series"),
        Parameter("cop", "heat per electricity, instead of the weather law", kind="series", minimum=0.1, optional=True),
        Parameter("cop_nominal", "COP at 7 °C outside", 3.0, minimum=0.1),
        Parameter("cop_slope_per_k", "change of the COP per kelvin outside", 0.06),
        Parameter("level_start", "content at the start, share of capacity", 0.5, minimum=0, maximum=1),
        Parameter("end", "what the content must be at the end", "start", kind="choice", choices=END_RULES),
        Parameter("level_end", "with end = target: content at the end, share of capacity", 0.5, minimum=0, maximum=1),
        Parameter("end_value_eur_per_kwh", "with end = value: worth of a kWh of heat left in store", 0.0),
        Parameter("backup_eur_per_kwh", "price of heat served by the backup", 1.0, minimum=0),
    )
    ordered = (("power_min_kw", "power_kw"),)
    computed = (
        Column("keep", "share of the content kept over a step"),
        Column("level_start_kwh", "content at the start"),
        Column("level_goal_kwh", "content wanted at the end"),
    )
    costs = (
        Cost("backup_eur", "penalty", "draw-off served by the backup"),
        Cost("end_value_eur", "value", "change of the content at its end value"),
    )
    forecasts = {"demand_kw": "hot-water demand"}
    commands = ("heat_pump_kw", "backup_kw")
    states = ("level_kwh",)
    decisions = (SemiContinuous("heat_pump_kw", "power_min_kw", rounding="diffusion"),)
    emergencies = ("end_short_kwh",)
    shortfalls = {"backup_kw": "hot water from the tank", "end_short_kwh": "content at the end"}
    control = "power"
    setpoint = "heat_pump_kw"
    order = 1

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters if p.kind in ("scalar", "series")}
        end, start = user["end"], c["level_start"] * c["capacity_kwh"]
        goal = np.select([end == "start", end == "target"], [start, c["level_end"] * c["capacity_kwh"]], 0.0)
        c |= {
            "keep": (1.0 - c["loss_per_h"]) ** axis.step_h,
            "cop": cop_series(c["cop"], c["outdoor_c"], c["cop_nominal"], c["cop_slope_per_k"]),
            "power_min_kw": np.minimum(c["power_min_kw"], c["power_kw"]),
            "level_start_kwh": start,
            "level_goal_kwh": goal,
            "end_value_eur_per_kwh": np.where(end == "value", c["end_value_eur_per_kwh"], 0.0),
        }
        return Prepared(c)

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.heat_pump_kw = Var(b.T, bounds=(0, b.power_kw))
        b.backup_kw = Var(b.T, bounds=lambda b, t: (0, b.demand_kw[t]))
        b.level_kwh = Var(b.T, bounds=(0, b.capacity_kwh))
        b.end_short_kwh = Var(bounds=(0, None))
        b.balance_tank_level = Constraint(
            b.T,
            rule=lambda b, t: (
                b.level_kwh[t]
                == b.keep * (b.level_kwh[t - 1] if t else b.level_start_kwh)
                + b.step_h * (b.cop[t] * b.heat_pump_kw[t] + b.backup_kw[t] - b.demand_kw[t])
            ),
        )
        b.goal_tank_end = Constraint(expr=b.level_kwh[b.last] + b.end_short_kwh >= b.level_goal_kwh)
        b.ac_kw = Expression(b.T, rule=lambda b, t: b.heat_pump_kw[t])
        b.backup_eur = Expression(expr=b.step_h * b.backup_eur_per_kwh * sum(b.backup_kw[t] for t in b.T))
        b.end_value_eur = Expression(expr=b.end_value_eur_per_kwh * (b.level_start_kwh - b.level_kwh[b.last]))

    @classmethod
    def start(cls, p: Any) -> State:
        return {
            "level_kwh": p.level_start_kwh,
            "heating": np.where(p.level_start_kwh < REHEAT_SHARE * p.capacity_kwh, 1.0, 0.0),
        }

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        wanted = command["heat_pump_kw"]
        power = np.where(wanted < p.power_min_kw - SWITCH_KW, 0.0, np.clip(wanted, 0.0, p.power_kw))
        backup = np.clip(command["backup_kw"], 0.0, p.demand_kw)
        # A full tank stops its heat pump, also in the middle of a step; an empty one calls the backup.
        kept = p.keep * state["level_kwh"]
        room = np.maximum(p.capacity_kwh - kept, 0.0) / p.step_h + p.demand_kw - backup
        power = np.minimum(power, room / p.cop)
        lacking = p.demand_kw - p.cop * power - kept / p.step_h
        backup = np.clip(lacking, backup, p.demand_kw)
        level = np.maximum(kept + p.step_h * (p.cop * power + backup - p.demand_kw), 0.0)
        full = level >= (1.0 - 1e-6) * p.capacity_kwh
        low = level < REHEAT_SHARE * p.capacity_kwh
        heating = np.where(full, 0.0, np.where(low, 1.0, state["heating"]))
        return {"level_kwh": level, "heating": heating}, {
            "heat_pump_kw": power,
            "backup_kw": backup,
            "ac_kw": power,
            "backup_eur": p.step_h * p.backup_eur_per_kwh * backup,
        }

    @classmethod
    def close(cls, p: Any, state: State) -> Values:
        level = state["level_kwh"]
        return {
            "end_short_kwh": np.maximum(p.level_goal_kwh - level, 0.0),
            "end_value_eur": p.end_value_eur_per_kwh * (p.level_start_kwh - level),
        }

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """Thermostat: full power from half empty until full; the backup only by itself."""
        power = np.where(state["heating"] > 0, p.power_kw, 0.0)
        return {"heat_pump_kw": power, "backup_kw": np.zeros_like(power)}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        drawn = cls.step(p, state, command)[1]["heat_pump_kw"]
        left = np.maximum(drawn - cut_kw, 0.0)
        left = np.where(left < p.power_min_kw, 0.0, left)
        return {
            "heat_pump_kw": np.where(cut_kw > 0, left, command["heat_pump_kw"]),
            "backup_kw": command["backup_kw"],
        }

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        return {
            "electricity_kwh": trace["ac_kw"].sum(1) * step_h,
            "backup_kwh": trace["backup_kw"].sum(1) * step_h,
        }
