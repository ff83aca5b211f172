from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from pyomo.environ import Constraint, Expression, Var

from gridopt.assets import switching, zone
from gridopt.assets.base import Column, Cost, Family, Floats, Parameter, Prepared, State, Values
from gridopt.assets.weather import eer_series
from gridopt.clock import Axis

SWITCH_KW = 1e-6


class ColdStore(Family):
    """Cold store: a compressor with minimum running and stopping times keeps goods inside a temperature band.

    heat[t] = gain[t] - eer[t] * compressor[t]                                                               (1)
    part_load * power * on[t] <= compressor[t] <= power * on[t]                                              (2)
    eer[t] = clip(eer_nominal - eer_slope * (outdoor[t] - 35), 1, 8) where none is given                     (3)
    on[t], its minimum times and its starts a day                  gridopt.assets.switching, (1) to (5) there
    the temperature from the heat, the band and its price                 gridopt.assets.zone, (1) to (3) there, with
    ambient for outdoor and the degrees above the band at the end as what is missing

    The goods are the store of cold: cooled towards the lower edge when power is cheap and the air outside is cool, they
    last through the dear hours. A tonne of chilled goods is about 1 kWh/K, of frozen ones half of it.

    Ports        ac (electricity): compressor                                                                 [kW]
    Variables    compressor_kw[T] >= 0; on[T] in 0..1; starts_so_far[T], stops_so_far[T]; too_early_h[T] only where the
                 status carried in must still last; temperature_c[T] at the end of the step; under_k[T], over_k[T] >= 0
    Rows         balance_zone_temperature[T], band_zone_comfort[T], limit_cold_most[T], limit_cold_least[T], and those
                 of switching
    Decisions    large: on[T], guided by the two counts
    Short of     the band: ``under_k``, ``over_k``, priced per kelvin and hour; a minimum time carried in that a
                 person's override cuts: ``too_early_h``, an emergency
    Assumes      air and goods at one temperature; doors, people, lamps and defrosting are the gain; EER independent of
                 load and of the temperature inside
    Source       EER rated at 35 °C outside: EN 14511; it rises 2-3 % a kelvin as the air outside cools, which the
                 slope stands for. Chilled goods at most 4 °C, frozen ones -18 °C: arrêté du 21 décembre 2009, annexe I
    Cases        tests/unit/assets/test_cold_store.py (by hand), tests/cases/golden/cold-store-night (by hand),
                 tests/cases/golden/warm-and-cold-evening (other tool, script beside it)
    """

    name = "cold-store"
    parameters = (
        zone.RESISTANCE,
        zone.CAPACITY,
        Parameter("power_kw", "electrical power of the compressor at full load", minimum=0),
        Parameter("part_load", "least power while running, of full load; 1: on or off", 1.0, minimum=0, maximum=1),
        Parameter("ambient_c", "temperature around the store", 20.0, kind="series"),
        Parameter("gain_kw", "heat by doors, goods, people and lamps", 0.0, kind="series"),
        Parameter("outdoor_c", "temperature of the air that takes the heat up", 35.0, kind="series"),
        Parameter("eer", "cold per electricity, instead of the weather law", kind="series", minimum=0.1, optional=True),
        Parameter("eer_nominal", "EER at 35 °C outside", 2.5, minimum=0.1),
        Parameter("eer_slope_per_k", "fall of the EER per kelvin outside", 0.06),
        Parameter("temperature_min_c", "lower edge of the band", 0.0, kind="series"),
        Parameter("temperature_max_c", "upper edge of the band", 4.0, kind="series"),
        Parameter("temperature_start_c", "temperature at the start", 3.0),
        zone.DISCOMFORT,
        *switching.PARAMETERS,
    )
    ordered = (("temperature_min_c", "temperature_max_c"),)
    computed = (
        Column("least_kw", "least power while running"),
        Column("keep", "share of the distance to the steady temperature that is left after a step"),
        *switching.COLUMNS,
    )
    options = switching.OPTIONS
    costs = (switching.COST, Cost("discomfort_eur", "penalty", "kelvin-hours outside the band"))
    forecasts = {"ambient_c": "temperature around the store", "gain_kw": "heat by doors and goods"}
    commands = ("on", "compressor_kw")
    states = ("temperature_c",)
    stocks = {"temperature_c": -1.0}
    decisions = (switching.DECISION,)
    emergencies = (switching.EMERGENCY,)
    shortfalls = {"over_k": "cold enough", "under_k": "not too cold"} | switching.SHORTFALL
    control = "power"
    setpoint = "compressor_kw"
    order = 1

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters if p.kind in ("scalar", "series")}
        switches, structure = switching.prepare(user, axis)
        c |= switches
        c |= {
            "least_kw": c["part_load"] * c["power_kw"],
            "keep": zone.keep_share(c["resistance_k_per_kw"], c["capacity_kwh_per_k"], axis.step_h),
            "eer": eer_series(c["eer"], c["outdoor_c"], c["eer_nominal"], c["eer_slope_per_k"]),
            "discomfort_eur_per_kh": zone.discomfort_price(c["discomfort_eur_per_kh"], c["capacity_kwh_per_k"]),
        }
        return Prepared(c, structure=structure)

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        switching.declare(b, option, "cold")
        b.compressor_kw = Var(b.T, bounds=(0, b.power_kw))
        b.limit_cold_most = Constraint(b.T, rule=lambda b, t: b.compressor_kw[t] <= b.power_kw * b.on[t])
        b.limit_cold_least = Constraint(b.T, rule=lambda b, t: b.compressor_kw[t] >= b.least_kw * b.on[t])
        zone.declare(
            b,
            lambda t: b.gain_kw[t] - b.eer[t] * b.compressor_kw[t],
            keep=lambda t: b.keep,
            resistance=lambda t: b.resistance_k_per_kw,
            outdoor_c=lambda t: b.ambient_c[t],
            low_c=lambda t: b.temperature_min_c[t],
            high_c=lambda t: b.temperature_max_c[t],
            missing="over_k",
        )
        b.ac_kw = Expression(b.T, rule=lambda b, t: b.compressor_kw[t])

    @classmethod
    def start(cls, p: Any) -> State:
        return switching.start(p) | {"temperature_c": p.temperature_start_c}

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        runs, after, flows = switching.turn(p, state, command["on"] > 0.5)
        power = np.where(runs, np.clip(command["compressor_kw"], p.least_kw, p.power_kw), 0.0)
        heat = p.gain_kw - p.eer * power
        temperature = zone.after_c(state["temperature_c"], heat, p.keep, p.resistance_k_per_kw, p.ambient_c)
        comfort = zone.comfort(p, temperature, p.temperature_min_c, p.temperature_max_c)
        return after | {"temperature_c": temperature}, flows | comfort | {"compressor_kw": power, "ac_kw": power}

    @classmethod
    def close(cls, p: Any, state: State) -> Values:
        return zone.lasting(p, state["temperature_c"] - p.temperature_max_c)

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """Thermostat: on before the upper edge would be passed, until near the lower one, as the minimum times allow.

        A compressor that modulates ends each step in the middle of the band.
        """
        low, high = p.temperature_min_c, p.temperature_max_c
        idle = zone.after_c(state["temperature_c"], p.gain_kw, p.keep, p.resistance_k_per_kw, p.ambient_c)
        cold = -zone.needed_kw(state["temperature_c"], 0.5 * (low + high), p.keep, p.resistance_k_per_kw, p.ambient_c)
        power = np.clip((cold + p.gain_kw) / p.eer, p.least_kw, p.power_kw)
        heat = p.gain_kw - p.eer * p.least_kw
        least = zone.after_c(state["temperature_c"], heat, p.keep, p.resistance_k_per_kw, p.ambient_c)
        wanted = np.where(state["on"] > 0.5, least >= low, idle > high) | (idle > high)
        runs = switching.kept(p, state, wanted)
        return {"on": runs.astype(np.float64), "compressor_kw": np.where(runs, power, 0.0)}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        cut = np.maximum(cut_kw, 0.0)
        power = command["compressor_kw"] - cut
        stops = (cut > 0) & (power < p.least_kw - SWITCH_KW)
        return {
            "on": np.where(stops, 0.0, command["on"]),
            "compressor_kw": np.where(stops, 0.0, np.maximum(power, 0.0)),
        }

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        return {
            "electricity_kwh": trace["ac_kw"].sum(1) * step_h,
            "running_h": trace["on"].sum(1) * step_h,
            "starts": trace["start"].sum(1),
            "discomfort_kh": (trace["under_k"] + trace["over_k"]).sum(1) * step_h,
        }
