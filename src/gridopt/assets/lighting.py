from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from pyomo.environ import Constraint, Expression, Var

from gridopt.assets.base import Column, Cost, Family, Floats, Parameter, Prepared, State, Values
from gridopt.clock import Axis


class Lighting(Family):
    """Street lamps of one cabinet, dimmed between the floor of their road's class and full power, at night only.

    full = points * lamp                                                                                     (1)
    least[t] = full * floor[t] * night[t] <= power[t] <= most[t] = full * night[t]                           (2)
    dark[t] >= least[t] - power[t]                                                                           (3)
    power[t] - power[t-1] <= max(ramp, least[t] - least[t-1], most[t] - most[t-1]) + steep[t]                (4)
    power[t-1] - power[t] <= max(ramp, most[t-1] - most[t]) + steep[t],  ramp = step_h * ramp_per_h * full   (5)
    cost = step_h * sum_t light[t] * (most[t] - power[t])                                                    (6)

    Ports        ac (electricity): power                                                                      [kW]
    Variables    power_kw[T]; dark_kw[T] >= 0; steep_kw[T] >= 0 only with ramp_per_h
    Rows         level_lighting_dark[T]; limit_lighting_up[T], limit_lighting_down[T] with ramp_per_h
    Decisions    none
    Short of     the floor: never, for money or for any limit: (2) is hard. Only lamps out of service are ``dark_kw``,
                 priced at ``dark_eur_per_kwh``. A change that an outage or a person's override makes faster than the
                 ramp: ``steep_kw``, an emergency
    Assumes      light in proportion to power, as of dimmed LEDs and as the classes' shares are given. The ramp gives
                 way to the floor where that rises, and to the edges of the night, so that lamps at their floor and
                 lamps at full are never too fast. A step across sunset burns for its share of ``night``
    Source       floors by road class and hour: EN 13201; at night dimmed rather than off where people pass
    Cases        tests/cases/golden/lighting-two-prices (by hand), lamps-and-wind (linopy)
    """

    name = "lighting"
    parameters = (
        Parameter("points", "how many lamps hang on the cabinet", 1.0, minimum=0),
        Parameter("lamp_kw", "power of one lamp at full light, with its driver", minimum=0),
        Parameter("floor", "least light, share of full", kind="series", minimum=0, maximum=1),
        Parameter("night", "share of the step after sunset and before sunrise", 1.0, "series", minimum=0, maximum=1),
        Parameter("light_eur_per_kwh", "worth of light above the floor, per kWh it takes", 0.1, "series", minimum=0),
        Parameter("ramp_per_h", "largest change in an hour, share of full; absent: none", minimum=0, optional=True),
        Parameter("light_start", "light just before the start, share of full", minimum=0, maximum=1, optional=True),
        Parameter("dark_eur_per_kwh", "price of light missing below the floor", 10.0, minimum=0),
    )
    computed = (
        Column("least_kw", "power of the floor", series=True),
        Column("most_kw", "power of full light", series=True),
        Column("up_kw", "largest rise from the step before", series=True),
        Column("down_kw", "largest fall from the step before", series=True),
        Column("before_kw", "power just before the start"),
    )
    options = ("ramped",)
    costs = (
        Cost("dimmed_eur", "penalty", "light above the floor given up"),
        Cost("dark_eur", "penalty", "light missing below the floor"),
    )
    commands = ("power_kw",)
    emergencies = ("steep_kw",)
    shortfalls = {"dark_kw": "light at the floor", "steep_kw": "slow change of the light"}
    control = "power"
    setpoint = "power_kw"
    order = 1

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters if p.kind in ("scalar", "series")}
        full = c["points"] * c["lamp_kw"]
        most = full[:, None] * c["night"]
        least = most * c["floor"]
        ramped, known = np.isfinite(c["ramp_per_h"]), np.isfinite(c["light_start"])
        ramp = np.where(ramped, axis.step_h * c["ramp_per_h"], 1.0) * full
        # Light that nobody knows leaves the first step free; lamps that were off may come on as at sunset.
        before = np.where(known, c["light_start"] * full, most[:, 0])
        edge = np.where(before > 0, least[:, 0], most[:, 0]) - before
        first_up = np.where(known, np.maximum(ramp, edge), full)
        first_down = np.where(known, np.maximum(ramp, before - most[:, 0]), full)
        rise = np.diff(most, prepend=0.0)
        up = np.maximum(ramp[:, None], np.maximum(rise, np.diff(least, prepend=0.0)))
        down = np.maximum(ramp[:, None], -rise)
        up[:, 0], down[:, 0] = first_up, first_down
        c |= {
            "ramp_per_h": np.nan_to_num(c["ramp_per_h"]),
            "light_start": np.nan_to_num(c["light_start"]),
            "least_kw": least,
            "most_kw": most,
            "up_kw": up,
            "down_kw": down,
            "before_kw": before,
        }
        return Prepared(c, structure=[(bool(r),) for r in ramped])

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.power_kw = Var(b.T, bounds=lambda b, t: (b.least_kw[t], b.most_kw[t]))
        b.dark_kw = Var(b.T, bounds=(0, None))
        b.level_lighting_dark = Constraint(b.T, rule=lambda b, t: b.dark_kw[t] >= b.least_kw[t] - b.power_kw[t])
        if option.ramped:

            def rise(b: Any, t: int) -> Any:
                return b.power_kw[t] - (b.power_kw[t - 1] if t else b.before_kw)

            b.steep_kw = Var(b.T, bounds=(0, None))
            b.limit_lighting_up = Constraint(b.T, rule=lambda b, t: rise(b, t) - b.steep_kw[t] <= b.up_kw[t])
            b.limit_lighting_down = Constraint(b.T, rule=lambda b, t: -rise(b, t) - b.steep_kw[t] <= b.down_kw[t])
        b.ac_kw = Expression(b.T, rule=lambda b, t: b.power_kw[t])
        b.dimmed_eur = Expression(
            expr=b.step_h * sum(b.light_eur_per_kwh[t] * (b.most_kw[t] - b.power_kw[t]) for t in b.T)
        )
        b.dark_eur = Expression(expr=b.step_h * b.dark_eur_per_kwh * sum(b.dark_kw[t] for t in b.T))

    @classmethod
    def start(cls, p: Any) -> State:
        return {"power_kw": p.before_kw}

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        # By day the cabinet is dead. At night lamps do what they are told: floor and ramp are duties, and who keeps
        # them not is named by dark and steep.
        power = np.clip(command["power_kw"], 0.0, p.most_kw)
        dark = np.maximum(p.least_kw - power, 0.0)
        change = power - state["power_kw"]
        steep = np.maximum(np.maximum(change - p.up_kw, -change - p.down_kw), 0.0)
        return {"power_kw": power}, {
            "power_kw": power,
            "ac_kw": power,
            "dark_kw": dark,
            "steep_kw": steep,
            "dimmed_eur": p.step_h * p.light_eur_per_kwh * (p.most_kw - power),
            "dark_eur": p.step_h * p.dark_eur_per_kwh * dark,
        }

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """Full light all night, reached as the ramp allows; never below the floor, also after an outage."""
        return {"power_kw": np.clip(state["power_kw"] + p.up_kw, p.least_kw, p.most_kw)}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        """Dim as far as the floor and the ramp allow."""
        least = np.minimum(np.maximum(p.least_kw, state["power_kw"] - p.down_kw), command["power_kw"])
        return {"power_kw": np.maximum(command["power_kw"] - np.maximum(cut_kw, 0.0), least)}

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        used = step_h * trace["power_kw"].sum(1)
        full = step_h * p.most_kw.sum(1)
        return {
            "energy_kwh": used,
            "dimmed_kwh": full - used,
            "dimmed": np.divide(full - used, full, out=np.zeros_like(full), where=full > 1e-9),
            "burning_h": step_h * p.night.sum(1),
        }
