from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from pyomo.environ import Constraint, Expression, Var, inequality

from gridopt.assets import switching
from gridopt.assets.base import (
    Column,
    Cost,
    Family,
    Floats,
    Ints,
    Parameter,
    Prepared,
    SemiContinuous,
    State,
    Values,
)
from gridopt.assets.ev_session import steps_inside
from gridopt.clock import Axis


class InterruptibleLoad(Family):
    """Energy wanted in a window, that may pause: an aeration, a sludge line, a pool's filter, a boiler's element.

    due[w] <= sum_{t in w} (step_h * draw[t] + short[t]) <= most[w]         for every window w               (1)
    draw[t] = 0 or power_min <= draw[t] <= power                           where it may run, else 0         (2)
    power_min * on[t] <= draw[t] <= power * on[t],  on[t] <= may_run[t]     with switching                   (3)
    sum_{k <= pause} on[t-k] + overlong[t] / step_h >= keep_on[t]           with switching                   (4)
    on[t], its minimum times and its starts a day           gridopt.assets.switching, (1) to (5) there

    Without ``every_h`` there is one window, [earliest, latest); with it one follows another. (2) holds where none of
    start cost, minimum time, starts a day or longest pause is given; (3), (4) hold where one is. keep_on is 1 where
    all of the last ``pause`` steps and this one are in the window and allowed, and, before ``pause`` steps have
    passed, where the rest carried in would be too long.

    Ports        ac (electricity): draw                                                                       [kW]
    Variables    draw_kw[T], short_kwh[T] >= 0, above 0 at the last step of a window only; with switching on[T] in
                 0..1, starts_so_far[T], stops_so_far[T], overlong_h[T], too_early_h[T]
    Rows         goal_interruptible_energy[windows]; with switching limit_interruptible_most[T],
                 limit_interruptible_least[T], limit_interruptible_hours[T], goal_interruptible_pause[T] and its own
    Decisions    small: drawing or not per step, without switching; large: on[T] with it
    Short of     the energy due: ``short_kwh``, priced per kWh, so that energy dearer than its price is left out; a
                 pause or a minimum time that an outage or an override breaks: ``overlong_h``, ``too_early_h``
    Assumes      only steps wholly inside [earliest, latest) and allowed throughout count. What of a window lies beyond
                 the horizon is due there only if full power could no longer deliver it afterwards (least commitment).
                 A last window cut by ``latest`` wants its share. With switching a device may take as much more than
                 wanted as its shortest run at least power, so that a fixed power meets any energy, and with a longest
                 pause any amount; without switching less energy than a step at least power is drawn at a lower mean
    Source       on[t]: D. Rajan, S. Takriti, as in gridopt.assets.switching; the windows of energy are our own
    Cases        tests/unit/assets/test_interruptible_load.py (by hand, and by trying every pattern)
    """

    name = "interruptible-load"
    parameters = (
        Parameter("energy_kwh", "energy wanted from earliest to latest, or in every window", minimum=0),
        Parameter("power_kw", "largest power", minimum=0),
        Parameter("power_min_kw", "least power while it runs", 0.0, minimum=0),
        Parameter("earliest", "it runs not before; absent: the horizon's start", kind="time", optional=True),
        Parameter("latest", "it runs not after; absent: the horizon's end", kind="time", optional=True),
        Parameter(
            "every_h", "length of windows that follow each other from earliest on; absent: one", minimum=0.25,
            optional=True,
        ),
        Parameter("delivered_kwh", "part of the running window's energy delivered before the start", 0.0, minimum=0),
        Parameter("allowed", "1 where it may run, 0 in forbidden hours", 1.0, kind="series", minimum=0, maximum=1),
        Parameter("pause_max_h", "longest pause, with that before the start; absent: any", minimum=0, optional=True),
        Parameter("shortfall_eur_per_kwh", "price of energy missing at the end of a window", 2.0, minimum=0),
        *switching.PARAMETERS,
    )  # fmt: skip
    ordered = (("earliest", "latest"), ("power_min_kw", "power_kw"))
    computed = (
        Column("least_kw", "least power while it runs, not above the largest"),
        Column("may_run", "1 where it may run, else 0", series=True),
        Column("draw_max_kw", "most power at this step", series=True),
        Column("draw_min_kw", "least power, without switching", series=True),
        Column("due_kwh", "energy due in this step's window", series=True),
        Column("most_kwh", "most energy of this step's window", series=True),
        Column("short_max_kwh", "energy due at the last step of a window, else 0", series=True),
        Column("paced_kwh", "energy of this step's window that the baseline has drawn by its end", series=True),
        Column("window_end", "1 where the account of a window is closed, else 0", series=True),
        Column("keep_on", "1 where a pause up to this step would be too long, else 0", series=True),
        Column("pause_steps", "longest pause"),
        Column("rest_steps", "how long it has been resting at the start"),
        Column("wants_more", "1 where a window goes on beyond the horizon"),
        *switching.COLUMNS,
    )
    options = (*switching.OPTIONS, "switched", "pause", "ends")
    costs = (Cost("shortfall_eur", "penalty", "energy missing at the end of a window"), switching.COST)
    commands = ("on", "draw_kw")
    decisions = (SemiContinuous("draw_kw", "draw_min_kw", rounding="budget"), switching.DECISION)
    emergencies = (switching.EMERGENCY, "overlong_h")
    shortfalls = {"short_kwh": "energy by the end of its window", "overlong_h": "longest pause", **switching.SHORTFALL}
    control = "power"
    setpoint = "draw_kw"
    order = 1

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        T, h = axis.steps, axis.step_h
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters if p.kind in ("scalar", "series")}
        power, least = c["power_kw"], np.minimum(c["power_min_kw"], c["power_kw"])
        earliest = np.where(np.isnan(user["earliest"]), 0.0, user["earliest"])
        latest = np.where(np.isnan(user["latest"]), T * h, user["latest"])
        first, last = steps_inside(earliest, latest, h)
        inside = (np.arange(T) >= first[:, None]) & (np.arange(T) < last[:, None])
        may_run = inside & (c["allowed"] >= 1 - 1e-9)
        begins, ends, closes = _windows(first, last, c["every_h"] / h, T)
        wanted = _wanted(begins, ends, first, last, c["every_h"] / h, c["energy_kwh"], c["delivered_kwh"])
        due = np.maximum(wanted - power[:, None] * h * np.maximum(ends - T, 0), 0.0)
        pause = np.where(np.isnan(c["pause_max_h"]), T, np.floor(c["pause_max_h"] / h + 1e-9)).clip(0, T).astype(int)
        switches, structure = switching.prepare(user, axis)
        switched = switching.used(user) | (pause < T)
        extra = np.where(pause < T, power * h * T, least * h * [of[0] for of in structure])
        resting = np.where(switches["was_on"] > 0, 0.0, np.floor(c["hours_in_status_h"] / h + 1e-9))
        c |= switches
        c |= {
            "every_h": np.where(np.isnan(c["every_h"]), T * h, c["every_h"]),
            "pause_max_h": pause * h,
            "least_kw": least,
            "may_run": may_run.astype(np.float64),
            "draw_max_kw": np.where(may_run, power[:, None], 0.0),
            "draw_min_kw": np.where(switched[:, None], 0.0, np.minimum(least[:, None], wanted / h)),
            "due_kwh": due,
            "most_kwh": wanted + np.where((ends > begins) & switched[:, None], extra[:, None], 0.0),
            "short_max_kwh": np.where(inside & (np.arange(T) == np.minimum(ends, T) - 1), due, 0.0),
            "paced_kwh": np.where((pause < T)[:, None], wanted * _elapsed(may_run, begins), wanted),
            "window_end": closes.astype(np.float64),
            "keep_on": _keep_on(may_run, pause, resting),
            "pause_steps": pause.astype(np.float64),
            "rest_steps": resting,
            "wants_more": ((wanted[:, -1] > 0) & (ends[:, -1] > T)).astype(np.float64),
        }
        structure = [
            (*(of if on else switching.UNSWITCHED), on, p if on else 0, tuple(np.flatnonzero(end).tolist()))
            for of, on, p, end in zip(structure, switched.tolist(), pause.tolist(), closes, strict=True)
        ]
        lost = (latest > 0) & (earliest < T * h) & ~inside.any(1) & (c["energy_kwh"] > c["delivered_kwh"]) & (last <= T)
        notes = [
            (int(k), "no whole step of the horizon lies between earliest and latest; its energy stays undelivered")
            for k in np.flatnonzero(lost)
        ]
        return Prepared(c, steps=np.where(inside.any(1), T, 0), structure=structure, notes=notes)

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.draw_kw = Var(b.T, bounds=lambda b, t: (0, b.draw_max_kw[t]))
        b.short_kwh = Var(b.T, bounds=lambda b, t: (0, b.short_max_kwh[t]))
        before = dict(zip(option.ends, (-1, *option.ends), strict=False))
        b.goal_interruptible_energy = Constraint(
            list(option.ends),
            rule=lambda b, t: inequality(
                b.due_kwh[t],
                sum(b.step_h * b.draw_kw[k] + b.short_kwh[k] for k in range(before[t] + 1, t + 1)),
                b.most_kwh[t],
            ),
        )
        if option.switched:
            switching.declare(b, option, "interruptible")
            b.limit_interruptible_most = Constraint(b.T, rule=lambda b, t: b.draw_kw[t] <= b.power_kw * b.on[t])
            b.limit_interruptible_least = Constraint(b.T, rule=lambda b, t: b.draw_kw[t] >= b.least_kw * b.on[t])
            b.limit_interruptible_hours = Constraint(b.T, rule=lambda b, t: b.on[t] <= b.may_run[t])
            b.overlong_h = Var(b.T, bounds=(0, None))
            b.goal_interruptible_pause = Constraint(
                b.T,
                rule=lambda b, t: (
                    b.step_h * sum(b.on[k] for k in range(max(t - option.pause, 0), t + 1)) + b.overlong_h[t]
                    >= b.step_h * b.keep_on[t]
                ),
            )
        b.ac_kw = Expression(b.T, rule=lambda b, t: b.draw_kw[t])
        b.shortfall_eur = Expression(expr=b.shortfall_eur_per_kwh * sum(b.short_kwh[t] for t in b.T))

    @classmethod
    def start(cls, p: Any) -> State:
        return {**switching.start(p), "drawn_kwh": np.zeros_like(p.power_kw), "rest": p.rest_steps}

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        able = {name: np.where(p.may_run > 0.5, wanted, 0.0) for name, wanted in command.items()}
        draw, after, flows = switching.power(p, state, able, "draw_kw", p.draw_min_kw, p.draw_max_kw)
        draw = np.minimum(draw, np.maximum(p.most_kwh - state["drawn_kwh"], 0.0) / p.step_h)
        drawn = state["drawn_kwh"] + p.step_h * draw
        short = np.where(p.short_max_kwh > 0, np.maximum(p.due_kwh - drawn, 0.0), 0.0)
        rest = np.where(after["on"] > 0.5, 0.0, state["rest"] + 1.0)
        return {**after, "drawn_kwh": np.where(p.window_end > 0.5, 0.0, drawn), "rest": rest}, {
            **flows,
            "draw_kw": draw,
            "ac_kw": draw,
            "short_kwh": short,
            "shortfall_eur": p.shortfall_eur_per_kwh * short,
            "overlong_h": p.step_h * p.keep_on * (rest > p.pause_steps + 0.5),
        }

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """At once and at full power; with a longest pause evenly over its window."""
        lack = np.maximum(p.paced_kwh - state["drawn_kwh"], 0.0) / p.step_h
        runs = switching.kept(p, state, (lack > switching.SWITCH_KW) & (p.may_run > 0.5))
        return {"on": runs.astype(np.float64), "draw_kw": np.where(runs, np.clip(lack, p.least_kw, p.draw_max_kw), 0.0)}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        drawn = cls.step(p, state, command)[1]["draw_kw"]
        return switching.less(p, {**command, "draw_kw": drawn}, "draw_kw", cut_kw)

    @classmethod
    def goes_on(cls, columns: Mapping[str, Floats]) -> npt.NDArray[np.bool_]:
        """Loads whose window goes on beyond the horizon: what is not drawn here is drawn later."""
        return np.asarray(columns["wants_more"] > 0.5)

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        return {
            "delivered_kwh": trace["draw_kw"].sum(1) * step_h,
            "unserved_kwh": trace["short_kwh"].sum(1),
            "running_h": (trace["draw_kw"] > switching.SWITCH_KW).sum(1) * step_h,
            "starts": trace["start"].sum(1),
        }


def _windows(first: Ints, last: Ints, length: Floats, steps: int) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
    """Of every step: its window [begin, end), empty outside [first, last); and whether the window's account closes.

    ``length``: steps of a window; NaN: one window. One window's account is open for the whole horizon, so that the
    block's shape does not depend on when it is.
    """
    t, one = np.arange(steps), np.isnan(length)[:, None]
    long = np.where(one, steps, np.maximum(np.round(length), 1)[:, None]).astype(np.int64)
    grid = np.where(one, 0, first[:, None] + (t - first[:, None]) // long * long)
    begins = np.maximum(grid, first[:, None])
    ends = np.maximum(np.where(one, last[:, None], np.minimum(grid + long, last[:, None])), begins)
    return begins, ends, t == np.minimum(grid + long, steps) - 1


def _wanted(
    begins: Ints, ends: Ints, first: Ints, last: Ints, length: Floats, energy_kwh: Floats, delivered_kwh: Floats
) -> Floats:
    """Energy still wanted in the window of every step [kWh]; what is delivered counts in the first that is not over."""
    whole = np.where(np.isnan(length), last - first, np.round(length)).clip(1)
    running = ((begins <= 0) & (ends > 0)) | (begins == first[:, None])
    wanted = energy_kwh[:, None] * (ends - begins) / whole[:, None] - running * delivered_kwh[:, None]
    return np.where(ends > 0, np.maximum(wanted, 0.0), 0.0)


def _elapsed(may_run: npt.NDArray[np.bool_], begins: Ints) -> Floats:
    """Share of a window's running steps inside the horizon that have passed by the end of each step."""
    n, T = may_run.shape
    out = np.zeros((n, T))
    for k in range(n):
        for first in np.unique(begins[k]):
            window = begins[k] == first
            steps = np.cumsum(may_run[k, window])
            out[k, window] = steps / max(steps[-1], 1)
    return out


def _keep_on(may_run: npt.NDArray[np.bool_], pause: Ints, resting: Floats) -> Floats:
    """1 where the device, had it rested for the last ``pause`` steps and this one, would have rested too long."""
    n, T = may_run.shape
    t = np.arange(T)
    may_not = np.column_stack([np.zeros(n), np.cumsum(~may_run, 1)])
    back = np.maximum(t - pause[:, None], 0)
    able = np.take_along_axis(may_not, back, 1) == may_not[:, 1:]
    before = np.where(t < pause[:, None], resting[:, None], np.inf)
    keep_on: Floats = (able & (t + 1 + before > pause[:, None]) & (pause < T)[:, None]).astype(np.float64)
    return keep_on
