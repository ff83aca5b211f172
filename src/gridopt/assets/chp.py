from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from pyomo.environ import Constraint, Expression, Var

from gridopt.assets import switching
from gridopt.assets.base import Column, Cost, Family, Floats, Parameter, Port, Prepared, State, Values
from gridopt.clock import Axis


class CHP(Family):
    """Engine or fuel cell that makes electricity and heat: part load, start cost, minimum times, few starts a day.

    fuel[t] = fuel_fixed * on[t] + fuel_slope * power[t]                                                     (1)
    heat[t] = heat_fixed * on[t] + heat_slope * power[t] - dumped[t]                                         (2)
    power_min * on[t] <= power[t] <= power_max * on[t]                                                       (3)
    on[t], its minimum times and its starts a day                  gridopt.assets.switching, (1) to (5) there

    (1), (2) pass through both given points, so the efficiencies at minimum and at full load are exact.

    Ports        ac (electricity): - power;  heat (heat): - heat;  gas (gas or hydrogen): fuel                [kW]
    Variables    on[T] in 0..1; starts_so_far[T], stops_so_far[T], power_kw[T] >= 0; heat_dumped_kw[T] only with
                 ``dump``; too_early_h[T] only where the status carried in must still last
    Rows         limit_chp_most[T], limit_chp_least[T], limit_chp_dumped[T] with ``dump``, and those of switching
    Decisions    large: on[T], guided by the two counts
    Short of     a minimum time carried in that a person's override cuts: ``too_early_h``, an emergency
    Assumes      starts and stops within a step; the fuel of a start is in (1); a minimum time that outlasts the
                 horizon is cut at its end, as usual; with power_min_kw = 0 (or = power_max_kw) the efficiencies at
                 minimum load have no effect
    Source       (1), (2): straight lines through the two loads that a data sheet gives; on[t] as in switching
    Cases        tests/unit/assets/test_chp.py (by hand, and by trying every on/off pattern)
    """

    name = "chp"
    ports = (
        Port("ac"),
        Port("heat", ("heat",), "heat_node"),
        Port("gas", ("gas", "hydrogen"), "gas_node"),
    )
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("power_max_kw", "electric power at full load", minimum=0),
        Parameter("power_min_kw", "electric power at minimum load", minimum=0),
        Parameter("electric_efficiency", "electricity per fuel at full load", 0.38, minimum=0.01, maximum=1),
        Parameter("electric_efficiency_min", "electricity per fuel at minimum load", 0.34, minimum=0.01, maximum=1),
        Parameter("thermal_efficiency", "heat per fuel at full load", 0.48, minimum=0, maximum=1),
        Parameter("thermal_efficiency_min", "heat per fuel at minimum load", 0.52, minimum=0, maximum=1),
        Parameter("maintenance_eur_per_kwh", "share of the overhaul per kWh of electricity", 0.015, minimum=0),
        *switching.PARAMETERS,
        Parameter("dump", "whether heat may be thrown away (an emergency cooler)", False, kind="flag"),
    )
    ordered = (("power_min_kw", "power_max_kw"),)
    computed = (
        Column("least_kw", "electric power at minimum load, not above full load"),
        Column("fuel_fixed_kw", "fuel of running, apart from that in proportion to power"),
        Column("fuel_slope", "fuel per electric power"),
        Column("heat_fixed_kw", "heat of running, apart from that in proportion to power"),
        Column("heat_slope", "heat per electric power"),
        Column("dump_max_kw", "largest heat that may be thrown away"),
        *switching.COLUMNS,
    )
    options = (*switching.OPTIONS, "dump")
    costs = (switching.COST, Cost("maintenance_eur", "wear", "wear of running"))
    commands = ("on", "power_kw", "heat_dumped_kw")
    decisions = (switching.DECISION,)
    emergencies = (switching.EMERGENCY,)
    shortfalls = switching.SHORTFALL
    control = "power"
    setpoint = "power_kw"
    order = 2
    led_by = "heat"

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters if p.kind == "scalar"}
        most, least = c["power_max_kw"], np.minimum(c["power_min_kw"], c["power_max_kw"])
        fuel_most, fuel_least = most / c["electric_efficiency"], least / c["electric_efficiency_min"]
        fuel_fixed, fuel_slope = _through(least, fuel_least, most, fuel_most, 1 / c["electric_efficiency"])
        heat_most, heat_least = c["thermal_efficiency"] * fuel_most, c["thermal_efficiency_min"] * fuel_least
        heat_fixed, heat_slope = _through(
            least, heat_least, most, heat_most, c["thermal_efficiency"] / c["electric_efficiency"]
        )
        switches, structure = switching.prepare(user, axis)
        c |= switches
        c |= {
            "least_kw": least,
            "fuel_fixed_kw": fuel_fixed,
            "fuel_slope": fuel_slope,
            "heat_fixed_kw": heat_fixed,
            "heat_slope": heat_slope,
            "dump_max_kw": np.where(user["dump"], np.maximum(heat_most, heat_least), 0.0),
        }
        dumps = np.asarray(user["dump"], bool).tolist()
        return Prepared(c, structure=[(*of, dump) for of, dump in zip(structure, dumps, strict=True)])

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        switching.declare(b, option, "chp")
        b.power_kw = Var(b.T, bounds=(0, b.power_max_kw))
        b.limit_chp_most = Constraint(b.T, rule=lambda b, t: b.power_kw[t] <= b.power_max_kw * b.on[t])
        b.limit_chp_least = Constraint(b.T, rule=lambda b, t: b.power_kw[t] >= b.least_kw * b.on[t])

        def heat(t: int) -> Any:
            return b.heat_fixed_kw * b.on[t] + b.heat_slope * b.power_kw[t]

        if option.dump:
            b.heat_dumped_kw = Var(b.T, bounds=(0, b.dump_max_kw))
            b.limit_chp_dumped = Constraint(b.T, rule=lambda b, t: b.heat_dumped_kw[t] <= heat(t))
        b.ac_kw = Expression(b.T, rule=lambda b, t: -b.power_kw[t])
        b.heat_kw = Expression(b.T, rule=lambda b, t: (b.heat_dumped_kw[t] if option.dump else 0) - heat(t))
        b.gas_kw = Expression(b.T, rule=lambda b, t: b.fuel_fixed_kw * b.on[t] + b.fuel_slope * b.power_kw[t])
        b.maintenance_eur = Expression(expr=b.step_h * b.maintenance_eur_per_kwh * sum(b.power_kw[t] for t in b.T))

    @classmethod
    def start(cls, p: Any) -> State:
        return switching.start(p)

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        runs, after, flows = switching.turn(p, state, command["on"] > 0.5)
        on = after["on"]
        power = np.where(runs, np.clip(command["power_kw"], p.least_kw, p.power_max_kw), 0.0)
        heat = p.heat_fixed_kw * on + p.heat_slope * power
        dumped = np.clip(command.get("heat_dumped_kw", np.zeros_like(heat)), 0.0, np.minimum(p.dump_max_kw, heat))
        return after, flows | {
            "power_kw": power,
            "heat_dumped_kw": dumped,
            "ac_kw": -power,
            "heat_kw": dumped - heat,
            "gas_kw": p.fuel_fixed_kw * on + p.fuel_slope * power,
            "maintenance_eur": p.step_h * p.maintenance_eur_per_kwh * power,
        }

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """Led by heat: runs when its node lacks at least the heat of minimum load, and follows what lacks.

        Several at one node are a cascade: what the first leaves lacking is asked of the next, those that run first.
        """
        lack = np.maximum(-surplus["heat"], 0.0)
        wanted = (lack > 0) & (lack >= (p.heat_fixed_kw + p.heat_slope * p.least_kw) * (1 - 1e-9))
        runs = switching.kept(p, state, wanted)
        follows = np.divide(lack - p.heat_fixed_kw, p.heat_slope, out=p.power_max_kw.copy(), where=p.heat_slope > 0)
        power = np.where(runs, np.clip(follows, p.least_kw, p.power_max_kw), 0.0)
        heat = p.heat_fixed_kw * runs + p.heat_slope * power
        return {"on": runs.astype(np.float64), "power_kw": power, "heat_dumped_kw": np.maximum(heat - lack, 0.0)}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        # Electricity and heat are fed in (cut < 0), fuel is drawn (cut > 0): all three fall with the power. Heat that
        # is too much goes to the cooler first.
        cut = np.maximum(cut_kw if port == "gas" else -cut_kw, 0.0)
        if port == "heat":
            heat = p.heat_fixed_kw * (command["on"] > 0.5) + p.heat_slope * command["power_kw"]
            dumped = command.get("heat_dumped_kw", np.zeros_like(cut))
            cooled = np.minimum(cut, np.maximum(np.minimum(p.dump_max_kw, heat) - dumped, 0.0))
            command, cut = command | {"heat_dumped_kw": dumped + cooled}, cut - cooled
        slope = {"ac": np.ones_like(cut), "heat": p.heat_slope, "gas": p.fuel_slope}[port]
        less = np.divide(cut, slope, out=np.full_like(cut, np.inf), where=slope > 0)
        power = command["power_kw"] - np.where(cut > 0, less, 0.0)
        stops = (cut > 0) & (power < p.least_kw)
        return command | {
            "on": np.where(stops, 0.0, command["on"]),
            "power_kw": np.where(stops, 0.0, power),
        }

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        return {
            "electricity_kwh": -trace["ac_kw"].sum(1) * step_h,
            "heat_kwh": -trace["heat_kw"].sum(1) * step_h,
            "fuel_kwh": trace["gas_kw"].sum(1) * step_h,
            "running_h": trace["on"].sum(1) * step_h,
            "starts": trace["start"].sum(1),
        }


def _through(x0: Floats, y0: Floats, x1: Floats, y1: Floats, otherwise: Floats) -> tuple[Floats, Floats]:
    """Intercept and slope of the line through (x0, y0) and (x1, y1); slope ``otherwise`` where they fall together."""
    apart = x1 - x0 > 1e-6 * x1
    slope = np.divide(y1 - y0, x1 - x0, out=otherwise + 0.0 * x1, where=apart)
    fixed = y1 - slope * x1
    # Equal efficiencies leave a rounding error that would become a coefficient of the model.
    return np.where(np.abs(fixed) < 1e-9 * np.abs(y1), 0.0, fixed), slope
