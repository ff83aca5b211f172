from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from pyomo.environ import Constraint, Expression, Var

from gridopt.assets import switching
from gridopt.assets.base import (
    Column,
    Family,
    Floats,
    Parameter,
    Prepared,
    SemiContinuous,
    State,
    Values,
)
from gridopt.clock import Axis

END_RULES = ("start", "free", "target")
START_SHARE, STOP_SHARE = 0.8, 0.2
"""The baseline's level switch: pumps start with this share of the band still to be pumped, and stop at that one."""


class Basin(Family):
    """Water pumped out of a basin, or into one, within a band of levels: a lift station, a storm basin, a reservoir.

    level[t] = level[t-1] + step_h * (inflow[t] + into * pump[t] / lift),   into = 1, or -1 when pumped out   (1)
    low - outside[t] <= level[t] <= high[t] + outside[t],   high[t] = level_max - reserve[t]                 (2)
    level[t] >= min(0, alone[t]),   alone[t] the level without pumps                                         (3)
    pump[t] = 0 or power_min <= pump[t] <= pumps * power                                                     (4)
    power_min * on[t] <= pump[t] <= pumps * power * on[t]                   with switching                   (5)
    into * level[last] + end_short >= into * goal                                                            (6)
    on[t], its minimum times and its starts a day           gridopt.assets.switching, (1) to (5) there

    (4) holds where none of start cost, minimum time and starts a day is given, (5) where one is.

    Ports        ac (electricity): pump                                                                       [kW]
    Variables    pump_kw[T], outside_m3[T] >= 0; level_m3[T] at the end of the step; end_short_m3; with switching
                 on[T] in 0..1, starts_so_far[T], stops_so_far[T], too_early_h[T]
    Rows         balance_basin_level[T], band_basin_low[T], band_basin_high[T], goal_basin_end; with switching
                 limit_basin_most[T], limit_basin_least[T] and its own
    Decisions    large: pumping or not per step, without switching; on[T] with it
    Short of     the band and the rain reserve, where even pumps at full power cannot keep them, or where the start lies
                 outside: ``outside_m3``; the level wanted at the end: ``end_short_m3``; both emergencies
    Assumes      electricity per m³ does not depend on level or flow; equal pumps share the flow and take turns within
                 a step, so that any power above one pump's least can be had, and a start is one of the station. The
                 account goes on beyond rim and bottom: water above level_max is what flows over, or waits upstream
                 (all of it must be pumped), water below 0 is what those who draw it lack. A limit of starts an hour is
                 a minimum time: six an hour are ten minutes from start to start
    Source       recursive storage; (3): pumps that run dry stop
    Cases        tests/unit/assets/test_basin.py (by hand, and by the set of levels that can be reached)
    """

    name = "basin"
    parameters = (
        Parameter("inflow_m3_per_h", "what flows in by itself; negative where water is drawn off", kind="series"),
        Parameter("pumping", "whether pumps empty the basin or fill it", "out", kind="choice", choices=("out", "in")),
        Parameter("level_min_m3", "lower edge of the band", 0.0, minimum=0),
        Parameter("level_max_m3", "upper edge of the band", minimum=0),
        Parameter("level_start_m3", "content at the start; may lie outside the band", minimum=0),
        Parameter(
            "reserve_m3", "kept free below the upper edge, where rain is forecast", 0.0, kind="series", minimum=0
        ),
        Parameter("power_kw", "largest power of one pump", minimum=0),
        Parameter("power_min_kw", "least power of one pump while it runs", 0.0, minimum=0),
        Parameter("pumps", "number of equal pumps", 1.0, minimum=1),
        Parameter("lift_kwh_per_m3", "electricity per m³ pumped: 0.0027 * metres / efficiency", minimum=0.001),
        Parameter("end", "what the content must be at the end", "start", kind="choice", choices=END_RULES),
        Parameter("level_end_m3", "with end = target: most content at the end, or least if filled", 0.0, minimum=0),
        *switching.PARAMETERS,
    )  # fmt: skip
    ordered = (("level_min_m3", "level_max_m3"), ("power_min_kw", "power_kw"))
    computed = (
        Column("into", "1 where pumps fill the basin, -1 where they empty it"),
        Column("pump_max_kw", "power of all pumps"),
        Column("least_kw", "least power while pumping"),
        Column("pump_min_kw", "least power while pumping, without switching"),
        Column("high_m3", "upper edge of the band, reserve taken off", series=True),
        Column("least_m3", "lowest level that pumps can reach, (3)", series=True),
        Column("goal_m3", "content wanted at the end; where it is free, that without pumps"),
        *switching.COLUMNS,
    )
    options = (*switching.OPTIONS, "switched")
    costs = (switching.COST,)
    forecasts = {"inflow_m3_per_h": "inflow"}
    commands = ("on", "pump_kw")
    states = ("level_m3",)
    stocks = {"level_m3": "into"}
    decisions = (SemiContinuous("pump_kw", "pump_min_kw", large=True), switching.DECISION)
    emergencies = (switching.EMERGENCY, "outside_m3", "end_short_m3")
    shortfalls = {
        "outside_m3": "content inside the band, rain reserve kept",
        "end_short_m3": "content at the end",
        **switching.SHORTFALL,
    }
    control = "power"
    setpoint = "pump_kw"
    order = 1

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters if p.kind in ("scalar", "series")}
        low, high, begin = c["level_min_m3"], c["level_max_m3"], c["level_start_m3"]
        least = np.minimum(c["power_min_kw"], c["power_kw"])
        alone = begin[:, None] + axis.step_h * np.cumsum(c["inflow_m3_per_h"], axis=1)
        goal = np.clip(np.where(user["end"] == "target", c["level_end_m3"], begin), low, high)
        switched = switching.used(user)
        status, structure = switching.prepare(user, axis)
        c |= status
        c |= {
            "into": np.where(user["pumping"] == "in", 1.0, -1.0),
            "pump_max_kw": np.round(c["pumps"]) * c["power_kw"],
            "least_kw": least,
            "pump_min_kw": np.where(switched, 0.0, least),
            "high_m3": np.maximum(high[:, None] - c["reserve_m3"], low[:, None]),
            "least_m3": np.minimum(alone, 0.0),
            "goal_m3": np.where(user["end"] == "free", alone[:, -1], goal),
        }
        switches = zip(structure, switched.tolist(), strict=True)
        return Prepared(c, structure=[(*(of if on else switching.UNSWITCHED), on) for of, on in switches])

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.pump_kw = Var(b.T, bounds=(0, b.pump_max_kw))
        b.level_m3 = Var(b.T, bounds=lambda b, t: (b.least_m3[t], None))
        b.outside_m3 = Var(b.T, bounds=(0, None))
        b.balance_basin_level = Constraint(
            b.T,
            rule=lambda b, t: (
                b.level_m3[t]
                == (b.level_m3[t - 1] if t else b.level_start_m3)
                + b.step_h * (b.inflow_m3_per_h[t] + b.into / b.lift_kwh_per_m3 * b.pump_kw[t])
            ),
        )
        b.band_basin_low = Constraint(b.T, rule=lambda b, t: b.level_m3[t] + b.outside_m3[t] >= b.level_min_m3)
        b.band_basin_high = Constraint(b.T, rule=lambda b, t: b.level_m3[t] - b.outside_m3[t] <= b.high_m3[t])
        b.end_short_m3 = Var(bounds=(0, None))
        b.goal_basin_end = Constraint(expr=b.into * b.level_m3[b.last] + b.end_short_m3 >= b.into * b.goal_m3)
        if option.switched:
            switching.declare(b, option, "basin")
            b.limit_basin_most = Constraint(b.T, rule=lambda b, t: b.pump_kw[t] <= b.pump_max_kw * b.on[t])
            b.limit_basin_least = Constraint(b.T, rule=lambda b, t: b.pump_kw[t] >= b.least_kw * b.on[t])
        b.ac_kw = Expression(b.T, rule=lambda b, t: b.pump_kw[t])

    @classmethod
    def start(cls, p: Any) -> State:
        return {**switching.start(p), "level_m3": p.level_start_m3}

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        pump, after, flows = switching.power(p, state, command, "pump_kw", p.pump_min_kw, p.pump_max_kw)
        alone = state["level_m3"] + p.step_h * p.inflow_m3_per_h
        dry = np.maximum(alone - p.least_m3, 0.0) * p.lift_kwh_per_m3 / p.step_h
        pump = np.where(p.into < 0, np.minimum(pump, dry), pump)
        level = alone + p.step_h * p.into / p.lift_kwh_per_m3 * pump
        return {**after, "level_m3": level}, {
            **flows,
            "pump_kw": pump,
            "ac_kw": pump,
            "outside_m3": np.maximum(np.maximum(p.level_min_m3 - level, level - p.high_m3), 0.0),
        }

    @classmethod
    def close(cls, p: Any, state: State) -> Values:
        return {"end_short_m3": np.maximum(p.into * (p.goal_m3 - state["level_m3"]), 0.0)}

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """A level switch: all pumps from the start level on, down to the stop level, never past the band's edge."""
        band = np.maximum(p.high_m3 - p.level_min_m3, 0.0)

        def left(level: Floats) -> Floats:
            to_edge: Floats = np.where(p.into < 0, level - p.level_min_m3, p.high_m3 - level)
            return to_edge

        to_pump = left(state["level_m3"] + p.step_h * p.inflow_m3_per_h)
        goes_on = left(state["level_m3"]) > STOP_SHARE * band + 1e-9
        wanted = np.where(state["on"] > 0.5, goes_on, to_pump > START_SHARE * band)
        power = (to_pump - STOP_SHARE * band) * p.lift_kwh_per_m3 / p.step_h
        able = to_pump * p.lift_kwh_per_m3 / p.step_h >= np.maximum(p.least_kw, 1e-9)
        runs = switching.kept(p, state, wanted & able)
        return {
            "on": runs.astype(np.float64),
            "pump_kw": np.where(runs, np.clip(power, p.least_kw, p.pump_max_kw), 0.0),
        }

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        return switching.less(p, command, "pump_kw", cut_kw)

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        return {
            "pumped_m3": trace["pump_kw"].sum(1) * step_h / p.lift_kwh_per_m3,
            "pumping_kwh": trace["pump_kw"].sum(1) * step_h,
            "outside_most_m3": trace["outside_m3"].max(1),
            "starts": trace["start"].sum(1),
        }
