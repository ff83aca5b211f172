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

    What its owner's contract or its maker's data sheet adds is an option, and costs nothing where it is not used:
    cycles a day, a price of standing full, power that falls near full and near empty.

    soc[t] = keep * soc[t-1] + step_h * (efficiency_in * charge[t] - discharge[t] / efficiency_out)          (1)
    keep   = (1 - loss_per_h) ** step_h                                                                      (2)
    soc[last] + end_short >= soc_end                                                                         (3)
    alone[t] = keep ** (t+1) * soc_start                                                                     (4)
    min(soc_low, alone[t]) <= soc[t] <= max(soc_high, alone[t])                                              (5)
    sum_{t in day} step_h * discharge[t] - over[day's last step] <= cycles_per_day * capacity                (6)
    dwell[t] >= soc[t] - dwell_soc * capacity                                                                (7)
    charge[t] <= power * (1 - (1 - taper_in_power) * (soc[t] / capacity - taper_in_soc) / (1 - taper_in_soc))  (8)
    discharge[t] <= power * (taper_out_power + (1 - taper_out_power) * soc[t] / (capacity * taper_out_soc))  (9)
    In (6) a day is a local one, and what the first has used before the start counts; above capacity, where (5) alone
    holds, (8) allows no charging.

    Ports        ac (electricity): charge - discharge                                                         [kW]
    Variables    charge_kw[T], discharge_kw[T] >= 0; soc_kwh[T] at the end of the step; end_short_kwh;
                 outside_kwh[T] only when the battery, left alone, lies outside its band at some step;
                 over_kwh[T] (on days' last steps) only with cycles_per_day; dwell_kwh[T] only where dwelling costs
    Rows         balance_battery_soc[T], goal_battery_end, band_battery_soc[T] (recovery only); limit_battery_day[days],
                 level_battery_dwell[T], limit_battery_charge[T], limit_battery_discharge[T] as above
    Decisions    small: direction per step, only where the relaxation uses both
    Short of     soc_end unreachable from the start: ``end_short_kwh``, a named shortfall. A start outside the band,
                 and a battery that standing loss alone carries below it, are accepted (5) and priced. Cycles beyond
                 a day's, where they are sold: ``over_kwh``
    Assumes      efficiencies constant over power; no temperature effect. (8), (9) hold the mean power of a step to
                 what the content at its end allows: while charging or discharging, the least of the step
    Source       recursive storage as in oemof.solph GenericStorage; full cycles as in guarantees of throughput;
                 (8): constant current, then constant voltage, as a straight line
    Cases        tests/cases/golden/battery-two-prices, battery-cycle-a-day (by hand), battery-negative-prices
                 (oemof.solph), battery-guarantee (linopy)
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
        Parameter("cycles_per_day", "full cycles (kWh discharged per capacity) a local day", minimum=0, optional=True),
        Parameter("cycles_today", "of these, used on the first day before the start", 0.0, minimum=0),
        Parameter("extra_cycle_eur", "price of a cycle more; absent: there is none", minimum=0, optional=True),
        Parameter("dwell_eur_per_kwh_per_h", "ageing of a kWh kept above dwell_soc", 0.0, minimum=0),
        Parameter("dwell_soc", "content above which standing costs, share of capacity", 0.8, minimum=0, maximum=1),
        Parameter("taper_in_soc", "content above which charging slows, share of capacity", 1.0, minimum=0, maximum=1),
        Parameter("taper_in_power", "share of power_kw that charges a full battery", 0.2, minimum=0, maximum=1),
        Parameter("taper_out_soc", "content below which discharging slows, share", 0.0, minimum=0, maximum=1),
        Parameter("taper_out_power", "share of power_kw that an empty battery gives", 0.2, minimum=0, maximum=1),
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
        Column("day_most_kwh", "energy that may still be discharged on the step's day", series=True),
        Column("day_last", "1 on the last step of a day, and of the horizon", series=True),
        Column("over_most_kwh", "most energy beyond it, on a day's last step", series=True),
        Column("over_eur_per_kwh", "price of energy beyond it"),
        Column("daily", "1 where the cycles of a day are counted"),
        Column("capped", "1 where there are no more of them, at any price"),
        Column("dwell_from_kwh", "content above which standing costs"),
        Column("taper_in_kw", "largest charge power of (8) as a line over the content: at content 0", series=True),
        Column("taper_in_per_h", "and its fall per kWh"),
        Column("taper_out_kw", "largest discharge power of (9) as a line over the content: at content 0"),
        Column("taper_out_per_h", "and its rise per kWh"),
    )
    options = ("recover", "dwell", "taper", "day_ends")
    costs = (
        Cost("wear_eur", "wear", "throughput, cycles beyond a day's, standing full"),
        Cost("end_value_eur", "value", "change of the content at its end value"),
        Cost("recovery_eur", "penalty", "time outside the band"),
    )
    commands = ("charge_kw", "discharge_kw")
    states = ("soc_kwh",)
    stocks = {"soc_kwh": 1.0}
    decisions = (Exclusive("charge_kw", "discharge_kw"),)
    emergencies = ("end_short_kwh",)
    shortfalls = {
        "end_short_kwh": "content at the end",
        "outside_kwh": "content inside the band",
        "over_kwh": "cycles of a day",
    }
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
        ends = _day_ends(axis)
        c |= _cycles(c, axis, ends) | _tapers(c, alone)
        dwell = c["dwell_eur_per_kwh_per_h"] > 0
        taper = (c["taper_in_per_h"] > 0) | (c["taper_out_per_h"] > 0)
        options = zip(outside, dwell, taper, c["daily"] > 0, strict=True)
        return Prepared(c, structure=[(bool(o), bool(d), bool(t), ends if n else ()) for o, d, t, n in options])

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
        wear = b.step_h * b.wear_eur_per_kwh * sum(b.discharge_kw[t] for t in b.T)
        if option.day_ends:
            begins = dict(zip((end - 1 for end in option.day_ends), (0, *option.day_ends), strict=False))
            b.over_kwh = Var(b.T, bounds=lambda b, t: (0, b.over_most_kwh[t]))
            b.limit_battery_day = Constraint(
                list(begins),
                rule=lambda b, t: (
                    b.step_h * sum(b.discharge_kw[k] for k in range(begins[t], t + 1)) - b.over_kwh[t]
                    <= b.day_most_kwh[t]
                ),
            )
            wear += b.over_eur_per_kwh * sum(b.over_kwh[t] for t in b.T)
        if option.dwell:
            b.dwell_kwh = Var(b.T, bounds=(0, None))
            b.level_battery_dwell = Constraint(b.T, rule=lambda b, t: b.dwell_kwh[t] >= b.soc_kwh[t] - b.dwell_from_kwh)
            wear += b.step_h * b.dwell_eur_per_kwh_per_h * sum(b.dwell_kwh[t] for t in b.T)
        if option.taper:
            b.limit_battery_charge = Constraint(
                b.T, rule=lambda b, t: b.charge_kw[t] + b.taper_in_per_h * b.soc_kwh[t] <= b.taper_in_kw[t]
            )
            b.limit_battery_discharge = Constraint(
                b.T, rule=lambda b, t: b.discharge_kw[t] - b.taper_out_per_h * b.soc_kwh[t] <= b.taper_out_kw
            )
        b.ac_kw = Expression(b.T, rule=lambda b, t: b.charge_kw[t] - b.discharge_kw[t])
        b.wear_eur = Expression(expr=wear)
        b.end_value_eur = Expression(expr=b.end_value_eur_per_kwh * (b.soc_start_kwh - b.soc_kwh[b.last]))

    @classmethod
    def start(cls, p: Any) -> State:
        content = {"soc_kwh": p.soc_start_kwh}
        return content | {"given_today_kwh": np.zeros_like(p.soc_start_kwh)} if p.daily.any() else content

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        # A battery stops by itself at the edges of (5); outside its band it goes no further than standing loss does.
        # Its controller keeps to the cycles of a day where no more are sold.
        kept = p.keep * state["soc_kwh"]
        room = np.maximum(p.soc_most_kwh - kept, 0.0) / (p.step_h * p.efficiency_in)
        rising = 1.0 + p.taper_in_per_h * p.step_h * p.efficiency_in
        most = np.maximum(p.taper_in_kw - p.taper_in_per_h * kept, 0.0) / rising
        charge = np.clip(command["charge_kw"], 0.0, np.minimum(np.minimum(p.power_kw, most), room))
        content = np.maximum(kept - p.soc_least_kwh, 0.0)
        into = p.step_h * p.efficiency_in * charge
        left = (content + into) * p.efficiency_out / p.step_h
        falling = 1.0 + p.taper_out_per_h * p.step_h / p.efficiency_out
        most = (p.taper_out_kw + p.taper_out_per_h * (kept + into)) / falling
        given = state.get("given_today_kwh", np.zeros_like(kept))
        today = np.where(p.capped > 0, np.maximum(p.day_most_kwh - given, 0.0) / p.step_h, np.inf)
        most = np.minimum(np.minimum(p.power_kw, most), np.minimum(left, today))
        discharge = np.clip(command["discharge_kw"], 0.0, most)
        soc = kept + into - p.step_h * discharge / p.efficiency_out
        outside = np.maximum(np.maximum(p.soc_low_kwh - soc, soc - p.soc_high_kwh), 0.0)
        given = given + p.step_h * discharge
        over = (p.daily - p.capped) * p.day_last * np.maximum(given - p.day_most_kwh, 0.0)
        dwell = p.dwell_eur_per_kwh_per_h * np.maximum(soc - p.dwell_from_kwh, 0.0)
        flows = {
            "charge_kw": charge,
            "discharge_kw": discharge,
            "ac_kw": charge - discharge,
            "wear_eur": p.step_h * p.wear_eur_per_kwh * discharge + p.over_eur_per_kwh * over + p.step_h * dwell,
            "outside_kwh": outside,
            "recovery_eur": p.step_h * p.recovery_eur_per_kwh_per_h * outside,
        }
        if not p.daily.any():
            return {"soc_kwh": soc}, flows
        return {"soc_kwh": soc, "given_today_kwh": given * (1.0 - p.day_last)}, flows | {"over_kwh": over}

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


def _day_ends(axis: Axis) -> tuple[int, ...]:
    """The step after the last one of every local day."""
    days = axis.local_day
    return (*(t for t in range(1, axis.steps) if days[t] != days[t - 1]), axis.steps)


def _cycles(c: Mapping[str, Floats], axis: Axis, ends: tuple[int, ...]) -> dict[str, Floats]:
    """Columns of (6)."""
    capacity, limit = c["capacity_kwh"], c["cycles_per_day"]
    daily, sold = np.isfinite(limit), np.isfinite(c["extra_cycle_eur"])
    most = np.repeat((np.where(daily, limit, 0.0) * capacity)[:, None], axis.steps, axis=1)
    most[:, : ends[0]] = np.maximum(most[:, : ends[0]] - (c["cycles_today"] * capacity)[:, None], 0.0)
    last = np.zeros_like(most)
    last[:, np.array(ends) - 1] = 1.0
    horizon_kwh = c["power_kw"] * axis.steps * axis.step_h
    price = np.divide(c["extra_cycle_eur"], capacity, out=np.zeros_like(capacity), where=daily & sold & (capacity > 0))
    return {
        "cycles_per_day": np.where(daily, limit, 0.0),
        "extra_cycle_eur": np.where(sold, c["extra_cycle_eur"], 0.0),
        "day_most_kwh": most,
        "day_last": last,
        "over_most_kwh": last * np.where(daily & sold, horizon_kwh, 0.0)[:, None],
        "over_eur_per_kwh": price,
        "daily": daily.astype(np.float64),
        "capped": (daily & ~sold).astype(np.float64),
        "dwell_from_kwh": c["dwell_soc"] * capacity,
    }


def _tapers(c: Mapping[str, Floats], alone: Floats) -> dict[str, Floats]:
    """Columns of (8) and (9): lines over the content; flat at power_kw where nothing tapers."""
    capacity, power, none = c["capacity_kwh"], c["power_kw"], np.zeros_like(c["power_kw"])
    full_from, empty_from = c["taper_in_soc"] * capacity, c["taper_out_soc"] * capacity
    above = capacity - full_from
    falls = np.divide((1.0 - c["taper_in_power"]) * power, above, out=none.copy(), where=above > 1e-3 * capacity)
    rises = np.divide(
        (1.0 - c["taper_out_power"]) * power, empty_from, out=none.copy(), where=empty_from > 1e-3 * capacity
    )
    # A battery that starts above its capacity may stay there, uncharged.
    at_empty = np.maximum((power + falls * full_from)[:, None], falls[:, None] * alone)
    return {
        "taper_in_kw": at_empty,
        "taper_in_per_h": falls,
        "taper_out_kw": np.where(rises > 0, c["taper_out_power"], 1.0) * power,
        "taper_out_per_h": rises,
    }
