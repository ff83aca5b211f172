from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from pyomo.environ import Expression, Var

from gridopt.assets import zone
from gridopt.assets.base import Column, Cost, Family, Floats, Parameter, Port, Prepared, State, Values
from gridopt.clock import Axis

FREE_C = 99.0
"""Upper edge of a band that is none."""


class BookedRooms(Family):
    """Rooms that are warm when they are booked: heated by electricity or from a heat network, set back otherwise.

    heat[t] = cop[t] * heating[t] + gain[t],   0 <= heating[t] <= heating_max[t]                             (1)
    heating_max[t] = 0 while a window is open, else power                                                    (2)
    low[t]  = wanted[t] + clip(wish[t], -span, span) where step t or the next one is booked, else setback[t] (3)
    high[t] = max(max_c, low[t]) while booked, max(empty_max_c, low[t]) while empty, free while a window is open (4)
    R[t] = R / open_loss while a window is open, else R                                                      (5)
    the temperature from the heat, the band and its price                 gridopt.assets.zone, (1) to (3) there

    By (3) a room is warm when the first one comes in. Nobody says when heating has to begin for that: the plan finds it
    from the time constant R * C and the prices, the baseline from the time constant alone (optimum start). While a
    window is open nobody counts the comfort.

    Ports        source (electricity or heat): heating                                                         [kW]
    Variables    heating_kw[T] >= 0; temperature_c[T] at the end of the step; under_k[T], over_k[T] >= 0
    Rows         balance_zone_temperature[T], band_zone_comfort[T]
    Decisions    none
    Short of     comfort, below and above the band: ``under_k``, ``over_k``, priced per kelvin and hour
    Assumes      heating follows any power between nothing and full; weather, gains and power constant over a step; no
                 cooling; a window is open or not for whole steps
    Source       19 °C while occupied, 16 °C when empty for a day or two, 8 °C for longer: Code de l'énergie, articles
                 R.241-26 and R.241-27. Losses times six with a window open are an assumption, to be set for the rooms
    Cases        tests/unit/assets/test_booked_rooms.py (by hand), tests/cases/golden/rooms-first-booking (by hand),
                 tests/cases/golden/warm-and-cold-evening (other tool, script beside it)
    """

    name = "booked-rooms"
    ports = (Port("source", ("electricity", "heat")),)
    parameters = (
        zone.RESISTANCE,
        zone.CAPACITY,
        Parameter("power_kw", "largest power of the heating, drawn from its node", minimum=0),
        Parameter(
            "cop", "heat per power drawn: 1 from a heat network or a resistance", 1.0, kind="series", minimum=0.1
        ),
        Parameter("outdoor_c", "outdoor temperature", kind="series"),
        Parameter("gain_kw", "heat from sun, people and devices", 0.0, kind="series"),
        Parameter("booked", "1 while the rooms are booked, else 0", kind="series", minimum=0, maximum=1),
        Parameter("wanted_c", "temperature wanted while booked", 19.0, kind="series"),
        Parameter("wish_k", "how much warmer or cooler the users ask for", 0.0, kind="series"),
        Parameter("span_k", "how far they may", 2.0, minimum=0),
        Parameter("setback_c", "temperature held when nobody is in", 16.0, kind="series"),
        Parameter("max_c", "upper edge of comfort while booked", 26.0),
        Parameter("empty_max_c", "upper edge while empty; absent: none", minimum=0, maximum=FREE_C, optional=True),
        Parameter("window_open", "1 while a window is open, else 0", 0.0, kind="series", minimum=0, maximum=1),
        Parameter("open_loss", "by what an open window multiplies the losses", 6.0, minimum=1, maximum=1000),
        Parameter("temperature_start_c", "temperature at the start", 18.0),
        zone.DISCOMFORT,
    )
    computed = (
        Column("heating_max_kw", "most power of the heating", series=True),
        Column("resistance_now_k_per_kw", "R, less while a window is open", series=True),
        Column("keep", "share of the distance to the steady temperature that is left after a step", series=True),
        Column("comfort_min_c", "lower edge of the band", series=True),
        Column("comfort_max_c", "upper edge of the band", series=True),
        Column("warm_in_h", "hours from a step's start until the rooms must be warm", series=True),
        Column("warm_c", "how warm they must be then", series=True),
    )
    costs = (Cost("discomfort_eur", "penalty", "kelvin-hours outside the comfort band"),)
    forecasts = {"outdoor_c": "outdoor temperature", "gain_kw": "solar and internal gains", "booked": "bookings"}
    commands = ("heating_kw",)
    states = ("temperature_c",)
    stocks = {"temperature_c": 1.0}
    shortfalls = {"under_k": "warm enough", "over_k": "cool enough"}
    control = "power"
    setpoint = "heating_kw"
    order = 1

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters}
        booked, is_open = c["booked"] > 0.5, c["window_open"] > 0.5
        soon = booked | np.column_stack([booked[:, 1:], np.zeros(len(booked), bool)])
        span = c["span_k"][:, None]
        # The wish of those who come counts as soon as the room must be warm for them.
        asked = c["wanted_c"] + np.clip(c["wish_k"], -span, span)
        coming = np.column_stack([asked[:, 1:], asked[:, -1:]])
        asked = np.where(booked, asked, coming)
        low = np.where(soon & ~is_open, np.maximum(asked, c["setback_c"]), c["setback_c"])
        c["empty_max_c"] = np.where(np.isnan(c["empty_max_c"]), FREE_C, c["empty_max_c"])
        high = np.where(booked, c["max_c"][:, None], c["empty_max_c"][:, None])
        resistance = c["resistance_k_per_kw"][:, None] / np.where(is_open, c["open_loss"][:, None], 1.0)
        warm_in, warm = _next_warm(soon & ~is_open, low, axis.step_h)
        c |= {
            "heating_max_kw": np.where(is_open, 0.0, c["power_kw"][:, None]),
            "resistance_now_k_per_kw": resistance,
            "keep": zone.keep_share(resistance, c["capacity_kwh_per_k"][:, None], axis.step_h),
            "comfort_min_c": np.where(is_open, -FREE_C, low),
            "comfort_max_c": np.where(is_open, FREE_C, np.maximum(high, low)),
            "warm_in_h": warm_in,
            "warm_c": warm,
            "discomfort_eur_per_kh": zone.discomfort_price(c["discomfort_eur_per_kh"], c["capacity_kwh_per_k"]),
        }
        return Prepared(c)

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.heating_kw = Var(b.T, bounds=lambda b, t: (0, b.heating_max_kw[t]))
        zone.declare(
            b,
            lambda t: b.cop[t] * b.heating_kw[t] + b.gain_kw[t],
            keep=lambda t: b.keep[t],
            resistance=lambda t: b.resistance_now_k_per_kw[t],
            outdoor_c=lambda t: b.outdoor_c[t],
            low_c=lambda t: b.comfort_min_c[t],
            high_c=lambda t: b.comfort_max_c[t],
        )
        b.source_kw = Expression(b.T, rule=lambda b, t: b.heating_kw[t])

    @classmethod
    def start(cls, p: Any) -> State:
        return {"temperature_c": p.temperature_start_c}

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        power = np.clip(command["heating_kw"], 0.0, p.heating_max_kw)
        heat = p.cop * power + p.gain_kw
        temperature = zone.after_c(state["temperature_c"], heat, p.keep, p.resistance_now_k_per_kw, p.outdoor_c)
        comfort = zone.comfort(p, temperature, p.comfort_min_c, p.comfort_max_c)
        return {"temperature_c": temperature}, {"heating_kw": power, "source_kw": power} | comfort

    @classmethod
    def close(cls, p: Any, state: State) -> Values:
        return zone.lasting(p, p.comfort_min_c - state["temperature_c"])

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """Thermostat with optimum start: full power as soon as waiting a step longer would make the rooms late.

        It does not cool: what sun and people bring above the upper edge stands as ``over_k``.
        """
        now = state["temperature_c"]
        heat = zone.needed_kw(now, p.comfort_min_c, p.keep, p.resistance_now_k_per_kw, p.outdoor_c)
        holds = np.clip((heat - p.gain_kw) / p.cop, 0.0, p.heating_max_kw)
        held = zone.after_c(now, p.cop * holds + p.gain_kw, p.keep, p.resistance_now_k_per_kw, p.outdoor_c)
        full = p.outdoor_c + p.resistance_k_per_kw * (p.cop * p.power_kw + p.gain_kw)
        left_h = np.maximum(p.warm_in_h - p.step_h, 0.0)
        reached = full + (held - full) * np.exp(-left_h / (p.resistance_k_per_kw * p.capacity_kwh_per_k))
        late = (reached < p.warm_c - 1e-9) & (p.warm_in_h > p.step_h + 1e-9)
        return {"heating_kw": np.where(late, p.heating_max_kw, holds)}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        drawn = np.minimum(command["heating_kw"], p.heating_max_kw)
        left = np.maximum(drawn - np.maximum(cut_kw, 0.0), 0.0)
        return {"heating_kw": np.where(cut_kw > 0, left, command["heating_kw"])}

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        warm = trace["under_k"] < 0.1
        booked = p.booked > 0.5
        opens = booked & ~np.column_stack([np.zeros(len(booked), bool), booked[:, :-1]])
        before = np.column_stack([warm[:, :1], warm[:, :-1]])
        return {
            "heating_kwh": trace["source_kw"].sum(1) * step_h,
            "discomfort_kh": (trace["under_k"] + trace["over_k"]).sum(1) * step_h,
            "cold_openings": (opens & ~before).sum(1).astype(np.float64),
        }


def _next_warm(warm: Any, low_c: Floats, step_h: float) -> tuple[Floats, Floats]:
    """(n, T) hours from a step's start to the end of the next step that must end warm, and its lower edge.

    Where none follows: long after, and no temperature.
    """
    n, T = warm.shape
    hours, wanted = np.full((n, T), 1e3), np.full((n, T), -FREE_C)
    ahead, at = np.full(n, 1e3), np.full(n, -FREE_C)
    for t in range(T - 1, -1, -1):
        ahead = np.where(warm[:, t], step_h, ahead + step_h)
        at = np.where(warm[:, t], low_c[:, t], at)
        hours[:, t], wanted[:, t] = ahead, at
    return hours, wanted
