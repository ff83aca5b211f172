from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from pyomo.environ import Constraint, Expression, Var

from gridopt.assets.base import Column, Cost, Family, Floats, Parameter, Port, Prepared, State, Values
from gridopt.assets.battery import END_RULES
from gridopt.clock import Axis


class ThermalStore(Family):
    """Hot-water tank or pit: charged and discharged without loss, losing a share of its content every hour.

    level[t] = keep * level[t-1] + step_h * charge[t],   -power <= charge[t] <= power                        (1)
    keep     = (1 - loss_per_h) ** step_h                                                                    (2)
    alone[t] = keep ** (t+1) * level_start                                                                   (3)
    min(low, alone[t]) <= level[t] <= max(high, alone[t])                                                    (4)
    level[last] + end_short >= goal                                                                          (5)

    One signed charge: moving heat in and out costs nothing, so no direction needs deciding.

    Ports        heat (heat): charge                                                                          [kW]
    Variables    charge_kw[T]; level_kwh[T] at the end of the step; end_short_kwh; outside_kwh[T] only when the
                 store, left alone, lies outside its band at some step
    Rows         balance_store_level[T], goal_store_end, band_store_low[T], band_store_high[T] (recovery only)
    Decisions    none
    Short of     goal unreachable from the start: ``end_short_kwh``, a named shortfall. A start outside the band, and
                 a store that standing loss alone carries below it, are accepted (4) and priced: no fault of the plan
    Assumes      one well-mixed content above the useful temperature; losses at constant surroundings
    Source       recursive storage as in oemof.solph GenericStorage; a tank loses 1-2 % of its content an hour
    Cases        tests/unit/assets/test_thermal_store.py (by hand)
    """

    name = "thermal-store"
    ports = (Port("heat", ("heat",)),)
    parameters = (
        Parameter("capacity_kwh", "heat content when full", minimum=0),
        Parameter("power_kw", "largest charge and discharge power", minimum=0),
        Parameter("loss_per_h", "share of the content lost per hour", 0.01, minimum=0, maximum=0.5),
        Parameter("level_min", "lower edge of the band, share of capacity", 0.0, minimum=0, maximum=1),
        Parameter("level_max", "upper edge of the band, share of capacity", 1.0, minimum=0, maximum=1),
        Parameter("level_start", "content at the start, share of capacity", 0.5, minimum=0, maximum=1.2),
        Parameter("end", "what the content must be at the end", "start", kind="choice", choices=END_RULES),
        Parameter("level_end", "with end = target: content at the end, share of capacity", 0.5, minimum=0, maximum=1),
        Parameter("end_value_eur_per_kwh", "with end = value: worth of a kWh left in store", 0.0),
        Parameter("recovery_eur_per_kwh_per_h", "price of lying outside the band", 0.2, minimum=0),
    )
    ordered = (("level_min", "level_max"),)
    computed = (
        Column("keep", "share of the content kept over a step"),
        Column("discharge_limit_kw", "- power_kw"),
        Column("low_kwh", "lower edge of the band"),
        Column("high_kwh", "upper edge of the band"),
        Column("start_kwh", "content at the start"),
        Column("goal_kwh", "content wanted at the end"),
        Column("least_kwh", "smallest content allowed, (4)", series=True),
        Column("most_kwh", "largest content allowed, (4)", series=True),
    )
    options = ("recover",)
    costs = (
        Cost("end_value_eur", "value", "change of the content at its end value"),
        Cost("recovery_eur", "penalty", "time outside the band"),
    )
    commands = ("charge_kw",)
    states = ("level_kwh",)
    stocks = {"level_kwh": 1.0}
    emergencies = ("end_short_kwh",)
    shortfalls = {"end_short_kwh": "content at the end", "outside_kwh": "content inside the band"}
    order = 3

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters if p.kind == "scalar"}
        capacity, end = c["capacity_kwh"], user["end"]
        low, high, start = c["level_min"] * capacity, c["level_max"] * capacity, c["level_start"] * capacity
        goal = np.select([end == "start", end == "target"], [np.clip(start, low, high), c["level_end"] * capacity], low)
        keep = (1.0 - c["loss_per_h"]) ** axis.step_h
        alone = start[:, None] * keep[:, None] ** np.arange(1, axis.steps + 1)
        outside = (alone < low[:, None] - 1e-9) | (alone > high[:, None] + 1e-9)
        recover = outside.any(axis=1) | (start < low - 1e-9) | (start > high + 1e-9)
        c |= {
            "keep": keep,
            "discharge_limit_kw": -c["power_kw"],
            "low_kwh": low,
            "high_kwh": high,
            "start_kwh": start,
            "goal_kwh": goal,
            "least_kwh": np.minimum(low[:, None], alone),
            "most_kwh": np.maximum(high[:, None], alone),
            "end_value_eur_per_kwh": np.where(end == "value", c["end_value_eur_per_kwh"], 0.0),
        }
        return Prepared(c, structure=[(bool(r),) for r in recover])

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.charge_kw = Var(b.T, bounds=(b.discharge_limit_kw, b.power_kw))
        b.level_kwh = Var(b.T, bounds=lambda b, t: (b.least_kwh[t], b.most_kwh[t]))
        b.end_short_kwh = Var(bounds=(0, None))
        b.balance_store_level = Constraint(
            b.T,
            rule=lambda b, t: (
                b.level_kwh[t] == b.keep * (b.level_kwh[t - 1] if t else b.start_kwh) + b.step_h * b.charge_kw[t]
            ),
        )
        b.goal_store_end = Constraint(expr=b.level_kwh[b.last] + b.end_short_kwh >= b.goal_kwh)
        if option.recover:
            b.outside_kwh = Var(b.T, bounds=(0, None))
            b.band_store_low = Constraint(b.T, rule=lambda b, t: b.level_kwh[t] + b.outside_kwh[t] >= b.low_kwh)
            b.band_store_high = Constraint(b.T, rule=lambda b, t: b.level_kwh[t] - b.outside_kwh[t] <= b.high_kwh)
            b.recovery_eur = Expression(
                expr=b.step_h * b.recovery_eur_per_kwh_per_h * sum(b.outside_kwh[t] for t in b.T)
            )
        b.heat_kw = Expression(b.T, rule=lambda b, t: b.charge_kw[t])
        b.end_value_eur = Expression(expr=b.end_value_eur_per_kwh * (b.start_kwh - b.level_kwh[b.last]))

    @classmethod
    def start(cls, p: Any) -> State:
        return {"level_kwh": p.start_kwh}

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        # The store stops by itself at the edges of (4); nothing charges it against its will.
        kept = p.keep * state["level_kwh"]
        room = np.maximum(p.most_kwh - kept, 0.0) / p.step_h
        content = np.maximum(kept - p.least_kwh, 0.0) / p.step_h
        charge = np.clip(command["charge_kw"], -np.minimum(p.power_kw, content), np.minimum(p.power_kw, room))
        level = kept + p.step_h * charge
        outside = np.maximum(np.maximum(p.low_kwh - level, level - p.high_kwh), 0.0)
        return {"level_kwh": level}, {
            "charge_kw": charge,
            "heat_kw": charge,
            "outside_kwh": outside,
            "recovery_eur": p.step_h * p.recovery_eur_per_kwh_per_h * outside,
        }

    @classmethod
    def close(cls, p: Any, state: State) -> Values:
        level = state["level_kwh"]
        return {
            "end_short_kwh": np.maximum(p.goal_kwh - level, 0.0),
            "end_value_eur": p.end_value_eur_per_kwh * (p.start_kwh - level),
        }

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """A tank in the hydraulic circuit: it takes the heat left over and gives what lacks."""
        return {"charge_kw": surplus["heat"]}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        charge = command["charge_kw"]
        less = np.sign(charge) * np.maximum(np.abs(charge) - np.abs(cut_kw), 0.0)
        return {"charge_kw": np.where(charge * cut_kw > 0, less, charge)}

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        out = np.maximum(-trace["charge_kw"], 0.0).sum(1) * step_h
        return {"discharged_kwh": out, "cycles": out / np.maximum(p.capacity_kwh, 1e-9)}
