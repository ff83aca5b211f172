from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from pyomo.environ import Constraint, Expression, Var, inequality

from gridopt.assets.base import Column, Cost, Family, Floats, Parameter, Prepared, State, Values, Whole
from gridopt.assets.ev_session import WINDOW_STEPS, local_window, steps_inside
from gridopt.clock import Axis


def profile_on_steps(parts_kw: Floats, duration_h: float, step_h: float) -> Floats:
    """Powers of equal parts of a duration → mean power of every step since the start; the energy stays the same.

    The last step is shared with standstill where the duration is no whole number of steps.
    """
    count = max(1, int(np.ceil(duration_h / step_h - 1e-9)))
    ends = np.linspace(0.0, duration_h, len(parts_kw) + 1)
    energy = np.concatenate([[0.0], np.cumsum(parts_kw)]) * duration_h / len(parts_kw)
    drawn: Floats = np.diff(np.interp(np.arange(count + 1) * step_h, ends, energy)) / step_h
    return drawn


class ShiftableLoad(Family):
    """One run of a fixed profile (a machine, a wash, a pump block) that may start at any step of a window.

    ac[t] = sum_k profile[k] * start[t-k]                                                                    (1)
    due <= sum_t start[t] + undone <= 1                                                                      (2)
    0 <= start[t] <= may_start[t]                                                                            (3)

    Ports        ac (electricity): power of the run                                                           [kW]
    Variables    start[T], undone, all 0..1, on the load's own window
    Rows         goal_shiftable_run
    Decisions    small: the step of the start; the start-time form is the convex hull of one load's choices
    Short of     the run: ``undone``, priced once per load
    Assumes      the run lies wholly inside [earliest, latest) and inside the horizon, in whole steps, and is not
                 interrupted. One that still fits between the horizon's end and latest is not due (least commitment).
                 One without a whole step inside the horizon is left out; if it touches the horizon and is due, that
                 is a note.
                 For a load already running: the rest of its profile, from now to the end of the run
    Source       start-time formulation, SOLVER.md §5
    Cases        tests/unit/assets/test_shiftable_load.py (by hand)
    """

    name = "shiftable-load"
    parameters = (
        Parameter("profile_kw", "mean power of equal parts of the run; one number is a flat run", kind="list"),
        Parameter("duration_h", "length of the run; absent: a step per part", minimum=1e-3, optional=True),
        Parameter("earliest", "the run starts not before", kind="time"),
        Parameter("latest", "the run ends not after", kind="time"),
        Parameter("skip_eur", "price of not running at all", 10.0, minimum=0),
    )
    ordered = (("earliest", "latest"),)
    computed = (
        Column("profile_kw", "mean power k steps after the start, at local step k: not a series of times", series=True),
        Column("may_start", "1 where the run may start, else 0", series=True),
        Column("run_steps", "length of the run"),
        Column("due", "1 where the run is due inside the horizon, else 0"),
    )
    options = ("profile_steps",)
    costs = (Cost("undone_eur", "penalty", "run left undone"),)
    commands = ("start",)
    decisions = (Whole("start", one_of=True),)
    shortfalls = {"undone": "the run"}
    control = "on_off"
    setpoint = "on"
    order = 1

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        parts, T = user["profile_kw"], axis.steps
        duration = np.where(np.isnan(user["duration_h"]), [axis.step_h * len(p) for p in parts], user["duration_h"])
        profiles = [profile_on_steps(p, float(d), axis.step_h) for p, d in zip(parts, duration, strict=True)]
        run = np.array([len(p) for p in profiles], np.int64)
        first, last = steps_inside(user["earliest"], user["latest"], axis.step_h)
        offset, steps = local_window(first, last, T)
        t = np.arange(T)
        may_start = (t >= first[:, None]) & (t + run[:, None] <= np.minimum(last, T)[:, None])
        here = (user["latest"] > 0) & (user["earliest"] < T * axis.step_h)
        due = here & (last - np.maximum(first, T) < run)
        possible = may_start.any(1)
        length = np.minimum(-(-run // WINDOW_STEPS) * WINDOW_STEPS, steps)
        profile = np.zeros((len(run), T))
        for k, values in enumerate(profiles):
            # Not a series of times: it stands at the window's first step, where its local step is 0.
            fits = min(len(values), int(length[k]))
            profile[k, offset[k] : offset[k] + fits] = values[:fits]
        columns = {
            "duration_h": duration,
            "skip_eur": user["skip_eur"],
            "profile_kw": profile,
            "may_start": may_start.astype(np.float64),
            "run_steps": run.astype(np.float64),
            "due": due.astype(np.float64),
        }
        notes = [
            (int(k), "no whole step of the horizon lies between earliest and latest; the run stays undone")
            for k in np.flatnonzero((steps == 0) & due)
        ]
        steps = np.where(possible | due, steps, 0)
        return Prepared(columns, offset, steps, [(int(n),) for n in length], notes)

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.start = Var(b.T, bounds=lambda b, t: (0, b.may_start[t]))
        b.undone = Var(bounds=(0, 1))
        b.goal_shiftable_run = Constraint(expr=inequality(b.due, sum(b.start[t] for t in b.T) + b.undone, 1))
        b.ac_kw = Expression(
            b.T,
            rule=lambda b, t: sum(b.profile_kw[k] * b.start[t - k] for k in range(min(t + 1, option.profile_steps))),
        )
        b.undone_eur = Expression(expr=b.skip_eur * b.undone)

    @classmethod
    def start(cls, p: Any) -> State:
        history = np.zeros((len(p.due), int(p.run_steps.max())))
        return {"started": np.zeros_like(p.due), "age": np.zeros_like(p.due), "recent": history, "shape_kw": history}

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        # At local step t a run is at most t steps old, and profile_kw shows its value k = t: the profile is learnt as
        # it is needed. `recent` holds the starts, the newest first, so that power is a product of the two.
        start = np.clip(command["start"], 0.0, np.minimum(p.may_start, 1.0 - state["started"]))
        recent = np.column_stack([start, state["recent"][:, :-1]])
        now = np.arange(recent.shape[1]) == state["age"][:, None]
        shape = np.where(now, p.profile_kw[:, None], state["shape_kw"])
        after = {
            "started": state["started"] + start,
            "age": state["age"] + 1.0,
            "recent": recent,
            "shape_kw": shape,
        }
        running = np.arange(recent.shape[1]) < p.run_steps[:, None]
        return after, {"start": start, "on": (running * recent).sum(1), "ac_kw": (shape * recent).sum(1)}

    @classmethod
    def close(cls, p: Any, state: State) -> Values:
        undone = np.maximum(p.due - state["started"], 0.0)
        return {"undone": undone, "undone_eur": p.skip_eur * undone}

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """Start as early as possible."""
        return {"start": p.may_start}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        """Put off the start; what runs is not interrupted."""
        return {"start": np.where(cut_kw > 0, 0.0, command["start"])}

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        return {"energy_kwh": trace["ac_kw"].sum(1) * step_h}
