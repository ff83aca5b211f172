from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from pyomo.environ import Constraint, Expression, Var

from gridopt.assets.base import (
    Column,
    Cost,
    Exclusive,
    Family,
    Floats,
    Parameter,
    Prepared,
    State,
    Values,
)
from gridopt.clock import Axis

END_RULES = ("start", "free", "target", "value")


class Battery(Family):
    """Stationary battery with one-way efficiencies, standing loss and throughput wear.

    soc[t] = keep * soc[t-1] + step_h * (efficiency_in * charge[t] - discharge[t] / efficiency_out)          (1)
    keep   = (1 - loss_per_h) ** step_h                                                                      (2)
    soc[last] + end_short >= soc_end                                                                         (3)
    alone[t] = keep ** (t+1) * soc_start                                                                     (4)
    min(soc_low, alone[t]) <= soc[t] <= max(soc_high, alone[t])                                              (5)

    Ports        ac (electricity): charge - discharge                                                         [kW]
    Variables    charge_kw[T], discharge_kw[T] >= 0; soc_kwh[T] at the end of the step; end_short_kwh;
                 outside_kwh[T] only when the battery, left alone, lies outside its band at some step
    Rows         balance_battery_soc[T], goal_battery_end, band_battery_soc[T] (recovery only)
    Decisions    small: direction per step, only where the relaxation uses both
    Short of     soc_end unreachable from the start: ``end_short_kwh``, a named shortfall. A start outside the band,
                 and a battery that standing loss alone carries below it, are accepted (5) and priced
    Assumes      efficiencies constant over power; no temperature effect
    Source       recursive storage as in oemof.solph GenericStorage; wear per kWh discharged, CONTEXT.md §5.1
    Cases        tests/cases/golden/battery-two-prices (by hand), battery-negative-prices (oemof.solph)
    """

    name = "battery"
    parameters = (
        Parameter("capacity_kwh", "usable plus reserved energy content", minimum=0),
        Parameter("power_kw", "largest charge and discharge power at the AC side", minimum=0),
        Parameter("efficiency_in", "AC to store, one way", 0.95, minimum=0.01, maximum=1),
        Parameter("efficiency_out", "store to AC, one way", 0.95, minimum=0.01, maximum=1),
        Parameter("loss_per_h", "share of the content lost per hour", 0.0, minimum=0, maximum=0.5),
        Parameter("soc_min", "lower edge of the band, share of capacity", 0.05, minimum=0, maximum=1),
        Parameter("soc_max", "upper edge of the band, share of capacity", 0.95, minimum=0, maximum=1),
        Parameter("soc_start", "content at the start, share of capacity", 0.5, minimum=0, maximum=1.2),
        Parameter("end", "what the content must be at the end", "start", kind="choice", choices=END_RULES),
        Parameter("soc_end", "with end = target: content at the end, share of capacity", 0.5, minimum=0, maximum=1),
        Parameter("end_value_eur_per_kwh", "with end = value: worth of a kWh left in store", 0.0),
        Parameter("wear_eur_per_kwh", "wear per kWh discharged", 0.03, minimum=0),
        Parameter("recovery_eur_per_kwh_per_h", "price of lying outside the band", 0.2, minimum=0),
    )
    ordered = (("soc_min", "soc_max"),)
    computed = (
        Column("keep", "share of the content kept over a step"),
        Column("soc_low_kwh", "lower edge of the band"),
        Column("soc_high_kwh", "upper edge of the band"),
        Column("soc_start_kwh", "content at the start"),
        Column("soc_goal_kwh", "content wanted at the end"),
        Column("soc_least_kwh", "smallest content allowed, (5)", series=True),
        Column("soc_most_kwh", "largest content allowed, (5)", series=True),
    )
    options = ("recover",)
    costs = (
        Cost("wear_eur", "wear", "throughput wear"),
        Cost("end_value_eur", "value", "change of the content at its end value"),
        Cost("recovery_eur", "penalty", "time outside the band"),
    )
    commands = ("charge_kw", "discharge_kw")
    states = ("soc_kwh",)
    decisions = (Exclusive("charge_kw", "discharge_kw"),)
    emergencies = ("end_short_kwh",)
    shortfalls = {"end_short_kwh": "content at the end", "outside_kwh": "content inside the band"}
    control = "power"
    setpoint = "ac_kw"
    order = 5

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters if p.kind == "scalar"}
        capacity, end = c["capacity_kwh"], user["end"]
        low, high, start = c["soc_min"] * capacity, c["soc_max"] * capacity, c["soc_start"] * capacity
        goal = np.select([end == "start", end == "target"], [np.clip(start, low, high), c["soc_end"] * capacity], low)
        keep = (1.0 - c["loss_per_h"]) ** axis.step_h
        alone = start[:, None] * keep[:, None] ** np.arange(1, axis.steps + 1)
        outside = (start < low - 1e-9) | (start > high + 1e-9)
        outside |= ((alone < low[:, None] - 1e-9) | (alone > high[:, None] + 1e-9)).any(axis=1)
        c |= {
            "keep": keep,
            "soc_least_kwh": np.minimum(low[:, None], alone),
            "soc_most_kwh": np.maximum(high[:, None], alone),
            "soc_low_kwh": low,
            "soc_high_kwh": high,
            "soc_start_kwh": start,
            "soc_goal_kwh": goal,
            "end_value_eur_per_kwh": np.where(end == "value", c["end_value_eur_per_kwh"], 0.0),
        }
        return Prepared(c, structure=[(bool(o),) for o in outside])

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.charge_kw = Var(b.T, bounds=(0, b.power_kw))
        b.discharge_kw = Var(b.T, bounds=(0, b.power_kw))
        b.end_short_kwh = Var(bounds=(0, None))
        recover = option.recover
        b.soc_kwh = Var(b.T, bounds=lambda b, t: (b.soc_least_kwh[t], b.soc_most_kwh[t]))
        b.balance_battery_soc = Constraint(
            b.T,
            rule=lambda b, t: (
                b.soc_kwh[t]
                == b.keep * (b.soc_kwh[t - 1] if t else b.soc_start_kwh)
                + b.step_h * (b.efficiency_in * b.charge_kw[t] - b.discharge_kw[t] / b.efficiency_out)
            ),
        )
        b.goal_battery_end = Constraint(expr=b.soc_kwh[b.last] + b.end_short_kwh >= b.soc_goal_kwh)
        if recover:
            b.outside_kwh = Var(b.T, bounds=(0, None))
            b.band_battery_low = Constraint(b.T, rule=lambda b, t: b.soc_kwh[t] + b.outside_kwh[t] >= b.soc_low_kwh)
            b.band_battery_high = Constraint(b.T, rule=lambda b, t: b.soc_kwh[t] - b.outside_kwh[t] <= b.soc_high_kwh)
            b.recovery_eur = Expression(
                expr=b.step_h * b.recovery_eur_per_kwh_per_h * sum(b.outside_kwh[t] for t in b.T)
            )
        b.ac_kw = Expression(b.T, rule=lambda b, t: b.charge_kw[t] - b.discharge_kw[t])
        b.wear_eur = Expression(expr=b.step_h * b.wear_eur_per_kwh * sum(b.discharge_kw[t] for t in b.T))
        b.end_value_eur = Expression(expr=b.end_value_eur_per_kwh * (b.soc_start_kwh - b.soc_kwh[b.last]))

    @classmethod
    def start(cls, p: Any) -> State:
        return {"soc_kwh": p.soc_start_kwh}

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        # A battery stops by itself at the edges of (5); outside its band it goes no further than standing loss does.
        kept = p.keep * state["soc_kwh"]
        room = np.maximum(p.soc_most_kwh - kept, 0.0) / (p.step_h * p.efficiency_in)
        charge = np.clip(command["charge_kw"], 0.0, np.minimum(p.power_kw, room))
        content = np.maximum(kept - p.soc_least_kwh, 0.0)
        left = (content + p.step_h * p.efficiency_in * charge) * p.efficiency_out / p.step_h
        discharge = np.clip(command["discharge_kw"], 0.0, np.minimum(p.power_kw, left))
        soc = kept + p.step_h * (p.efficiency_in * charge - discharge / p.efficiency_out)
        outside = np.maximum(np.maximum(p.soc_low_kwh - soc, soc - p.soc_high_kwh), 0.0)
        return {"soc_kwh": soc}, {
            "charge_kw": charge,
            "discharge_kw": discharge,
            "ac_kw": charge - discharge,
            "wear_eur": p.step_h * p.wear_eur_per_kwh * discharge,
            "outside_kwh": outside,
            "recovery_eur": p.step_h * p.recovery_eur_per_kwh_per_h * outside,
        }

    @classmethod
    def close(cls, p: Any, state: State) -> Values:
        soc = state["soc_kwh"]
        return {
            "end_short_kwh": np.maximum(p.soc_goal_kwh - soc, 0.0),
            "end_value_eur": p.end_value_eur_per_kwh * (p.soc_start_kwh - soc),
        }

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """Self-consumption: store what is left over, cover what lacks."""
        left = surplus["ac"]
        return {"charge_kw": np.maximum(left, 0.0), "discharge_kw": np.maximum(-left, 0.0)}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        charge = np.maximum(command["charge_kw"] - np.maximum(cut_kw, 0.0), 0.0)
        discharge = np.maximum(command["discharge_kw"] - np.maximum(-cut_kw, 0.0), 0.0)
        return {"charge_kw": charge, "discharge_kw": discharge}

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        out = trace["discharge_kw"].sum(1) * step_h
        return {"discharged_kwh": out, "cycles": out / np.maximum(p.capacity_kwh, 1e-9)}
