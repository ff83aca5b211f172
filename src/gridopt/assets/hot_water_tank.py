from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from pyomo.environ import Constraint, Expression, Var

from gridopt.assets import pasteurise
from gridopt.assets.base import Column, Cost, Family, Floats, Parameter, Prepared, SemiContinuous, State, Values
from gridopt.assets.battery import END_RULES
from gridopt.assets.weather import cop_series
from gridopt.clock import Axis

SWITCH_KW = 1e-6
"""A command this little below the minimum is the minimum, seen through the solver's tolerance."""
REHEAT_SHARE = 0.5
"""The thermostat of the baseline starts below this level, and stops when the tank is full."""


class HotWaterTank(Family):
    """Hot-water or buffer tank with a heat pump, an immersion heater or both; water is drawn from it.

    level[t] = keep * level[t-1] + step_h * (cop[t] * heat_pump[t] + heater[t] + backup[t] - demand[t])      (1)
    keep     = (1 - loss_per_h) ** step_h                                                                    (2)
    0 <= level[t] <= capacity;  0 <= backup[t] <= demand[t];  0 <= heater[t] <= heater_power                 (3)
    heat_pump[t] = 0 or power_min <= heat_pump[t] <= power                                                   (4)
    level[last] + end_short >= level_goal                                                                    (5)
    cop[t] = clip(cop_nominal + cop_slope * (outdoor[t] - 7), 1.5, 6) where none is given                    (6)
    with ``pasteurise``, once a day, (1) to (4) of gridopt.assets.pasteurise                                 (7)

    Content is counted in kWh above the temperature at which it is of no more use: 1.163 kWh per m³ and kelvin, so 300
    litres between 40 and 65 °C are 8.7 kWh. A buffer tank between several sources and users of a heat network is a
    ``thermal-store``.

    Ports        ac (electricity): heat_pump + heater                                                         [kW]
    Variables    heat_pump_kw[T], backup_kw[T] >= 0; heater_kw[T] where there is one; level_kwh[T] at the end of the
                 step; end_short_kwh; those of pasteurise with it
    Rows         balance_tank_level[T], goal_tank_end; those of pasteurise with it
    Decisions    small: heat pump running or not per step, where power_min > 0; large: when a hold begins
    Short of     hot water from the tank: ``backup_kw``, priced per kWh. It is a penalty and no bill: the price stands
                 for people who lack hot water, far above any energy's, and as cash a plan that spares them a cold
                 shower would claim savings that no bill shows. An appliance that really takes over is the heater.
                 level_goal unreachable: ``end_short_kwh``; pasteurisation: ``cold_kwh``, ``unpasteurised_kwh``
    Assumes      one mixed content; COP independent of it (give the COP at the temperature the heat pump has to reach);
                 draw-off that the tank cannot serve calls the backup by itself; a heat pump alone of which a step at
                 its least power would either miss pasteurisation or overfill the tank has no least power
    Source       recursive storage as in oemof.solph's GenericStorage; standing loss of a tank 1-2 % of its content per
                 hour; heat pumps rated at 7 °C outside: EN 14511, EN 16147
    Cases        tests/unit/assets/test_hot_water_tank.py (by hand), tests/cases/golden/pasteurise-* and tank-*
    """

    name = "hot-water-tank"
    parameters = (
        Parameter("capacity_kwh", "useful heat in the full tank", minimum=0),
        Parameter("power_kw", "largest electrical power of the heat pump; 0: there is none", 0.0, minimum=0),
        Parameter("power_min_kw", "least electrical power while running, at most power_kw", 0.0, minimum=0),
        Parameter("heater_power_kw", "power of the immersion heater; 0: there is none", 0.0, minimum=0),
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
        Parameter("backup_eur_per_kwh", "price of hot water that the tank does not serve", 1.0, minimum=0),
        *pasteurise.PARAMETERS,
    )
    ordered = (("power_min_kw", "power_kw"), *pasteurise.ORDERED)
    computed = (
        Column("keep", "share of the content kept over a step"),
        Column("level_start_kwh", "content at the start"),
        Column("level_goal_kwh", "content wanted at the end"),
        *pasteurise.COLUMNS,
    )
    options = ("heater", *pasteurise.OPTIONS)
    costs = (
        Cost("backup_eur", "penalty", "hot water that the tank does not serve"),
        Cost("end_value_eur", "value", "change of the content at its end value"),
    )
    forecasts = {"demand_kw": "hot-water demand"}
    commands = ("heat_pump_kw", "heater_kw", "backup_kw", pasteurise.COMMAND)
    states = ("level_kwh",)
    stocks = {"level_kwh": 1.0}
    decisions = (SemiContinuous("heat_pump_kw", "power_min_kw", rounding="diffusion"), pasteurise.DECISION)
    emergencies = ("end_short_kwh", pasteurise.EMERGENCY)
    shortfalls = {"backup_kw": "hot water from the tank", "end_short_kwh": "content at the end"} | pasteurise.SHORTFALLS
    control = "power"
    setpoint = "heat_pump_kw"
    order = 1

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters if p.kind in ("scalar", "series")}
        end, start = user["end"], c["level_start"] * c["capacity_kwh"]
        goal = np.select([end == "start", end == "target"], [start, c["level_end"] * c["capacity_kwh"]], 0.0)
        keep = (1.0 - c["loss_per_h"]) ** axis.step_h
        cop = cop_series(c["cop"], c["outdoor_c"], c["cop_nominal"], c["cop_slope_per_k"])
        heat = cop * c["power_kw"][:, None] + c["heater_power_kw"][:, None]
        reach = pasteurise.reach_kwh(start, keep, heat, c["capacity_kwh"], axis.step_h)
        rule = pasteurise.prepare(user, axis, c["capacity_kwh"], reach)
        least = np.minimum(c["power_min_kw"], c["power_kw"])
        # Between hot and full a step at the least power may not fit; then the tank would have to miss the one or break
        # the other, where in truth its thermostat stops the heat pump in the middle of a step.
        room = c["capacity_kwh"] - rule.columns["hot_kwh"].max(1)
        coarse = (rule.columns["hold_steps"] > 0) & (axis.step_h * cop.max(1) * least > room)
        c |= rule.columns | {
            "keep": keep,
            "cop": cop,
            "power_min_kw": np.where(coarse & (c["heater_power_kw"] <= 0), 0.0, least),
            "level_start_kwh": start,
            "level_goal_kwh": goal,
            "end_value_eur_per_kwh": np.where(end == "value", c["end_value_eur_per_kwh"], 0.0),
        }
        heaters = (c["heater_power_kw"] > 0).tolist()
        structure = [(heater, *of) for heater, of in zip(heaters, rule.structure, strict=True)]
        cold = (c["power_kw"] <= 0) & (c["heater_power_kw"] <= 0)
        notes = [(int(k), "it has neither a heat pump nor an immersion heater") for k in np.flatnonzero(cold)]
        return Prepared(c, structure=structure, notes=notes + rule.notes)

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.heat_pump_kw = Var(b.T, bounds=(0, b.power_kw))
        if option.heater:
            b.heater_kw = Var(b.T, bounds=(0, b.heater_power_kw))
        b.backup_kw = Var(b.T, bounds=lambda b, t: (0, b.demand_kw[t]))
        b.level_kwh = Var(b.T, bounds=(0, b.capacity_kwh))
        b.end_short_kwh = Var(bounds=(0, None))

        def heater(t: int) -> Any:
            return b.heater_kw[t] if option.heater else 0

        b.balance_tank_level = Constraint(
            b.T,
            rule=lambda b, t: (
                b.level_kwh[t]
                == b.keep * (b.level_kwh[t - 1] if t else b.level_start_kwh)
                + b.step_h * (b.cop[t] * b.heat_pump_kw[t] + heater(t) + b.backup_kw[t] - b.demand_kw[t])
            ),
        )
        b.goal_tank_end = Constraint(expr=b.level_kwh[b.last] + b.end_short_kwh >= b.level_goal_kwh)
        if option.hold_steps:
            pasteurise.declare(b, option, "tank", b.level_start_kwh)
        b.ac_kw = Expression(b.T, rule=lambda b, t: b.heat_pump_kw[t] + heater(t))
        b.backup_eur = Expression(expr=b.step_h * b.backup_eur_per_kwh * sum(b.backup_kw[t] for t in b.T))
        b.end_value_eur = Expression(expr=b.end_value_eur_per_kwh * (b.level_start_kwh - b.level_kwh[b.last]))

    @classmethod
    def start(cls, p: Any) -> State:
        low = p.level_start_kwh < REHEAT_SHARE * p.capacity_kwh
        return {"level_kwh": p.level_start_kwh, "heating": np.where(low, 1.0, 0.0), **pasteurise.start(p)}

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        wanted = command["heat_pump_kw"]
        none = np.zeros_like(wanted)
        power = np.where(wanted < p.power_min_kw - SWITCH_KW, 0.0, np.clip(wanted, 0.0, p.power_kw))
        heater = np.clip(command.get("heater_kw", none), 0.0, p.heater_power_kw)
        backup = np.clip(command["backup_kw"], 0.0, p.demand_kw)
        # A full tank stops its heaters, also in the middle of a step; an empty one calls the backup.
        kept = p.keep * state["level_kwh"]
        room = np.maximum(p.capacity_kwh - kept, 0.0) / p.step_h + p.demand_kw - backup
        power = np.minimum(power, room / p.cop)
        heater = np.minimum(heater, np.maximum(room - p.cop * power, 0.0))
        heat = p.cop * power + heater
        backup = np.clip(p.demand_kw - heat - kept / p.step_h, backup, p.demand_kw)
        level = np.maximum(kept + p.step_h * (heat + backup - p.demand_kw), 0.0)
        full = level >= (1.0 - 1e-6) * p.capacity_kwh
        low = level < REHEAT_SHARE * p.capacity_kwh
        heating = np.where(full, 0.0, np.where(low, 1.0, state["heating"]))
        rule, flows = pasteurise.watch(p, state, state["level_kwh"], level, command.get(pasteurise.COMMAND, none))
        return {"level_kwh": level, "heating": heating, **rule}, flows | {
            "heat_pump_kw": power,
            "heater_kw": heater,
            "backup_kw": backup,
            "ac_kw": power + heater,
            "backup_eur": p.step_h * p.backup_eur_per_kwh * backup,
        }

    @classmethod
    def close(cls, p: Any, state: State) -> Values:
        level = state["level_kwh"]
        return pasteurise.missing(p) | {
            "end_short_kwh": np.maximum(p.level_goal_kwh - level, 0.0),
            "end_value_eur": p.end_value_eur_per_kwh * (p.level_start_kwh - level),
        }

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """Thermostat: full power from half empty until full, the heater where there is no heat pump; a timer heats with
        both for pasteurisation. The backup comes only by itself."""
        timer, begins = pasteurise.program(p, state, state["level_kwh"])
        heats = (state["heating"] > 0) | timer
        return {
            "heat_pump_kw": np.where(heats, p.power_kw, 0.0),
            "heater_kw": np.where(timer | (heats & (p.power_kw <= 0)), p.heater_power_kw, 0.0),
            "backup_kw": np.zeros_like(p.power_kw),
            pasteurise.COMMAND: begins,
        }

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        """The heater first: it gives the least heat."""
        drawn = cls.step(p, state, command)[1]
        heater = np.maximum(drawn["heater_kw"] - np.maximum(cut_kw, 0.0), 0.0)
        left = np.maximum(drawn["heat_pump_kw"] - np.maximum(cut_kw - drawn["heater_kw"], 0.0), 0.0)
        left = np.where(left < p.power_min_kw, 0.0, left)
        # Not what it was told, which may be more than it draws: a full tank told to run does not.
        power = np.where(cut_kw > drawn["heater_kw"], left, command["heat_pump_kw"])
        return command | {"heat_pump_kw": power, "heater_kw": np.where(cut_kw > 0, heater, drawn["heater_kw"])}

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        return {
            "electricity_kwh": trace["ac_kw"].sum(1) * step_h,
            "backup_kwh": trace["backup_kw"].sum(1) * step_h,
            "pasteurisations": trace[pasteurise.COMMAND].sum(1),
        }
