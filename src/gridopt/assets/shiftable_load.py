from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from pyomo.environ import Constraint, Expression, Var, inequality

from gridopt.assets.base import Column, Cost, Family, Floats, Ints, Parameter, Prepared, State, Values, Whole
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

    ac[t] = sum_k profile[k] * start[t-k] + sum_k then_profile[k] * then_start[t-k]                          (1)
    due <= sum_t start[t] + undone <= 1                                                                      (2)
    0 <= start[t] <= may_start[t],  0 <= then_start[t] <= may_then[t]                                        (3)
    waiting[t] = waiting[t-1] + start[t-run] - then_start[t] >= 0,  waiting[last] = 0                        (4)
    waiting[t] <= sum_{k < gap} start[t-run-k]                                                               (5)

    (4), (5) only with a second run (a dryer after a wash): it starts when the first has ended, at most gap later.

    Ports        ac (electricity): power of the runs                                                          [kW]
    Variables    start[T], undone, all 0..1, on the load's own window; then_start[T], waiting[T] with a second run
    Rows         goal_shiftable_run; balance_shiftable_waiting[T], limit_shiftable_gap[T] with a second run
    Decisions    small: the step of each start; the start-time form is the convex hull of one load's choices, with (4)
                 and (5) too: in the sums of starts so far they are a network's
    Short of     the run: ``undone``, priced once per load; no shortfall where only its worth is said. A plan leaves out
                 both runs or none; a day by rule that puts off the second beyond the horizon has it undone
    Assumes      the runs lie wholly inside [earliest, latest) and inside the horizon, in whole steps that are allowed
                 throughout, and are not interrupted. What still fits between the horizon's end and latest is not due
                 (least commitment; hours forbidden there are not known). One without a whole step inside the horizon
                 is left out; if it touches the horizon and is due, that is a note.
                 For a load already running: the rest of its profile, from now to the end of the run
    Source       start-time formulation: J. P. Sousa, L. A. Wolsey, "A time indexed formulation of non-preemptive
                 single machine scheduling problems", Mathematical Programming 54, 1992
    Cases        tests/unit/assets/test_shiftable_load.py (by hand, and by trying every start)
    """

    name = "shiftable-load"
    parameters = (
        Parameter("profile_kw", "mean power of equal parts of the run; one number is a flat run", kind="list"),
        Parameter("duration_h", "length of the run; absent: a step per part", minimum=1e-3, optional=True),
        Parameter("earliest", "the run starts not before", kind="time"),
        Parameter("latest", "the run, with the second, ends not after", kind="time"),
        Parameter("allowed", "1 where it may run, 0 in forbidden hours", 1.0, kind="series", minimum=0, maximum=1),
        Parameter("skip_eur", "price of not running at all: it is left out rather than cost more", 10.0, minimum=0),
        Parameter(
            "worth_eur",
            "instead of skip_eur: the run is worth so much, and nobody misses it where it costs more",
            minimum=0,
            optional=True,
        ),
        Parameter("start_cost_eur", "wear of one run", 0.0, minimum=0),
        Parameter("then_profile_kw", "profile of a second run after the first (a dryer)", (), kind="list"),
        Parameter("then_duration_h", "length of the second run", minimum=1e-3, optional=True),
        Parameter("then_gap_max_h", "longest pause between the two runs", 0.0, minimum=0),
    )
    ordered = (("earliest", "latest"),)
    computed = (
        Column("profile_kw", "mean power k steps after the start, at local step k: not a series of times", series=True),
        Column("then_kw", "the same of the second run", series=True),
        Column("may_start", "1 where the run may start, else 0", series=True),
        Column("may_then", "1 where the second run may start, else 0", series=True),
        Column("run_steps", "length of the run"),
        Column("then_steps", "length of the second run; 0: there is none"),
        Column("gap_steps", "longest pause between them"),
        Column("due", "1 where the run is due inside the horizon, else 0"),
    )
    options = ("profile_steps", "then_profile_steps", "first_steps", "pause_steps")
    """Profiles are padded to few lengths; the exact length of the first run and the pause shape (4) and (5) alone."""
    costs = (
        Cost("undone_eur", "penalty", "run left undone"),
        Cost("benefit_eur", "value", "worth of a run that need not be"),
        Cost("run_eur", "wear", "wear of the run"),
    )
    commands = ("start", "then_start")
    decisions = (Whole("start", one_of=True), Whole("then_start", one_of=True))
    shortfalls = {"undone": "the run"}
    control = "on_off"
    setpoint = "on"
    order = 1

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        T, n = axis.steps, len(user["earliest"])
        profiles, duration = _profiles(user["profile_kw"], user["duration_h"], axis.step_h)
        seconds, then_duration = _profiles(user["then_profile_kw"], user["then_duration_h"], axis.step_h)
        run, then = (np.array([len(p) for p in every], np.int64) for every in (profiles, seconds))
        gap = np.where(then > 0, np.floor(user["then_gap_max_h"] / axis.step_h + 1e-9), 0).astype(np.int64)
        first, last = steps_inside(user["earliest"], user["latest"], axis.step_h)
        offset, steps = local_window(first, last, T)
        may_then = _fits(first, last, then, user["allowed"])
        possible = np.column_stack([np.zeros(n), np.cumsum(may_then, 1)])
        soonest = np.minimum(np.arange(T) + run[:, None], T)
        follows = _at(possible, np.minimum(soonest + gap[:, None] + 1, T)) > _at(possible, soonest)
        may_start = _fits(first, last, run, user["allowed"]) & (follows | (then == 0)[:, None])
        here = (user["latest"] > 0) & (user["earliest"] < T * axis.step_h)
        wanted = np.isnan(user["worth_eur"])
        due = here & wanted & (last - np.maximum(first, T) < run + then)
        length, then_length = _padded(run, steps), _padded(then, steps)
        columns = {
            "duration_h": duration,
            "allowed": user["allowed"],
            "skip_eur": user["skip_eur"],
            "worth_eur": np.where(wanted, 0.0, user["worth_eur"]),
            "start_cost_eur": user["start_cost_eur"],
            "then_duration_h": then_duration,
            "then_gap_max_h": user["then_gap_max_h"],
            "profile_kw": _at_offset(profiles, offset, length, T),
            "then_kw": _at_offset(seconds, offset, then_length, T),
            "may_start": may_start.astype(np.float64),
            "may_then": (may_then & (then > 0)[:, None]).astype(np.float64),
            "run_steps": run.astype(np.float64),
            "then_steps": then.astype(np.float64),
            "gap_steps": gap.astype(np.float64),
            "due": due.astype(np.float64),
        }
        notes = [
            (int(k), "no whole step of the horizon lies between earliest and latest; the run stays undone")
            for k in np.flatnonzero((steps == 0) & due)
        ]
        steps = np.where(may_start.any(1) | due, steps, 0)
        # A pause longer than the window binds no more than one as long.
        apart = np.where(then > 0, [np.minimum(run, steps), np.minimum(gap, steps)], 0)
        structure = zip(length.tolist(), then_length.tolist(), *apart.tolist(), strict=True)
        return Prepared(columns, offset, steps, list(structure), notes)

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.start = Var(b.T, bounds=lambda b, t: (0, b.may_start[t]))
        b.undone = Var(bounds=(0, 1))
        b.goal_shiftable_run = Constraint(expr=inequality(b.due, sum(b.start[t] for t in b.T) + b.undone, 1))
        if option.then_profile_steps:
            _add_second(b, option.first_steps, option.pause_steps)

        def power(t: int) -> Any:
            first = sum(b.profile_kw[k] * b.start[t - k] for k in range(min(t + 1, option.profile_steps)))
            return first + sum(b.then_kw[k] * b.then_start[t - k] for k in range(min(t + 1, option.then_profile_steps)))

        b.ac_kw = Expression(b.T, rule=lambda b, t: power(t))
        b.undone_eur = Expression(expr=b.skip_eur * b.undone)
        b.benefit_eur = Expression(expr=-b.worth_eur * sum(b.start[t] for t in b.T))
        b.run_eur = Expression(expr=b.start_cost_eur * sum(b.start[t] for t in b.T))

    @classmethod
    def start(cls, p: Any) -> State:
        first = np.zeros((len(p.due), int((p.run_steps + p.gap_steps).max())))
        second = np.zeros((len(p.due), max(1, int(p.then_steps.max()))))
        none = np.zeros_like(p.due)
        return {
            "age": none,
            "started": none,
            "recent": first,
            "shape_kw": first,
            "then_started": none,
            "then_recent": second,
            "then_shape_kw": second,
        }

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        start = np.clip(command["start"], 0.0, np.minimum(p.may_start, 1.0 - state["started"]))
        started = state["started"] + start
        recent = np.column_stack([start, state["recent"][:, :-1]])
        k = np.arange(recent.shape[1])
        ended = started - ((k < p.run_steps[:, None]) * recent).sum(1)
        overdue = started - ((k < (p.run_steps + p.gap_steps)[:, None]) * recent).sum(1)
        # The second run follows by itself at the latest when the pause has become too long.
        waiting = (p.then_steps > 0) * np.array([ended - state["then_started"], overdue - state["then_started"]])
        then = np.clip(command.get("then_start", np.zeros_like(start)), 0.0, np.minimum(p.may_then, waiting[0]))
        then = np.maximum(then, waiting[1])
        then_recent = np.column_stack([then, state["then_recent"][:, :-1]])
        shape = _learn(state["shape_kw"], state["age"], p.profile_kw)
        then_shape = _learn(state["then_shape_kw"], state["age"], p.then_kw)
        after = {
            "age": state["age"] + 1.0,
            "started": started,
            "recent": recent,
            "shape_kw": shape,
            "then_started": state["then_started"] + then,
            "then_recent": then_recent,
            "then_shape_kw": then_shape,
        }
        then_running = np.arange(then_recent.shape[1]) < p.then_steps[:, None]
        return after, {
            "start": start,
            "then_start": then,
            "on": started - ended + (then_running * then_recent).sum(1),
            "ac_kw": (shape * recent).sum(1) + (then_shape * then_recent).sum(1),
            "benefit_eur": -p.worth_eur * start,
            "run_eur": p.start_cost_eur * start,
        }

    @classmethod
    def close(cls, p: Any, state: State) -> Values:
        # A second run that its first still waits for at the end is one left undone.
        left = (p.then_steps > 0) * np.maximum(state["started"] - state["then_started"], 0.0)
        undone = np.maximum(p.due - state["started"], 0.0) + left
        return {"undone": undone, "undone_eur": p.skip_eur * undone}

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """Start as early as possible."""
        return {"start": p.may_start, "then_start": p.may_then}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        """Put off the start; what runs is not interrupted."""
        return {name: np.where(cut_kw > 0, 0.0, value) for name, value in command.items()}

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        return {"energy_kwh": trace["ac_kw"].sum(1) * step_h}


def _add_second(b: Any, run: int, gap: int) -> None:
    """The second run, (4) and (5)."""
    b.then_start = Var(b.T, bounds=lambda b, t: (0, b.may_then[t]))
    b.waiting = Var(b.T, bounds=(0, 1))

    def start(t: int) -> Any:
        return b.start[t] if t >= 0 else 0.0

    b.balance_shiftable_waiting = Constraint(
        b.T,
        rule=lambda b, t: b.waiting[t] == (b.waiting[t - 1] if t else 0) + start(t - run) - b.then_start[t],
    )
    b.limit_shiftable_gap = Constraint(
        b.T,
        rule=lambda b, t: b.waiting[t] <= (sum(start(t - run - k) for k in range(gap)) if t < b.last else 0.0),
    )


# --- profiles and windows --------------------------------------------------------------------------------------------


def _profiles(parts: Any, duration_h: Floats, step_h: float) -> tuple[list[Floats], Floats]:
    """Profiles on steps (empty where there are no parts), and their durations."""
    duration = np.where(np.isnan(duration_h), [step_h * len(p) for p in parts], duration_h)
    return [
        profile_on_steps(p, float(d), step_h) if len(p) else p for p, d in zip(parts, duration, strict=True)
    ], duration


def _at_offset(profiles: list[Floats], offset: Ints, length: Ints, steps: int) -> Floats:
    """Not a series of times: a profile stands at its window's first step, where its local step is 0."""
    out = np.zeros((len(profiles), steps))
    for k, values in enumerate(profiles):
        fits = min(len(values), int(length[k]))
        out[k, offset[k] : offset[k] + fits] = values[:fits]
    return out


def _padded(run: Ints, steps: Ints) -> Ints:
    """Length of the profile in the block: few lengths, none beyond the window."""
    return np.minimum(-(-run // WINDOW_STEPS) * WINDOW_STEPS, steps)


def _fits(first: Ints, last: Ints, run: Ints, allowed: Floats) -> npt.NDArray[np.bool_]:
    """Steps at which a run may start: inside [first, last) and the horizon, on steps allowed throughout."""
    n, T = allowed.shape
    t = np.arange(T)
    end = t + run[:, None]
    forbidden = np.column_stack([np.zeros(n), np.cumsum(allowed < 1 - 1e-9, 1)])
    free_of_them = _at(forbidden, np.minimum(end, T)) == forbidden[:, :T]
    fits: npt.NDArray[np.bool_] = (t >= first[:, None]) & (end <= np.minimum(last, T)[:, None]) & free_of_them
    return fits


def _at(values: Floats, place: Ints) -> Floats:
    taken: Floats = np.take_along_axis(values, place, 1)
    return taken


def _learn(shape_kw: Floats, age: Floats, now_kw: Floats) -> Floats:
    """At local step t a run is at most t steps old, and the profile's column shows its value k = t: it is learnt as it
    is needed. With the starts, the newest first, power is a product of the two."""
    return np.where(np.arange(shape_kw.shape[1]) == age[:, None], now_kw[:, None], shape_kw)
