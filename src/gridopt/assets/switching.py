"""On or off, with minimum times and few starts: what engines, pumps and loads that may pause have in common.

on[t] = on[-1] + starts[t] - stops[t], both counted from the horizon's start and never falling               (1)
starts[t] - starts[t - up_steps] <= on[t] + cut_runs[t]                                                      (2)
starts[t] - starts[t - down_steps] <= 1 - on[t - down_steps]                                                 (3)
too_early[t] >= hold[t] * (on[t-1] - on[t])                                                                  (4)
starts[last of a day] - starts[last of the day before] <= starts_max_per_day                                 (5)
stops[t] - stops[t-1] <= may_stop[t]                                                                         (6)

on[-1] is the status carried in; hold[t] are the hours that it must still last (> 0 running, < 0 resting). Days are
local ones; the first has what ``starts_today`` leaves of its starts. A minimum time carried in that a person's
override cuts is ``too_early_h``, an emergency: a bound on[t] = 1 could contradict the override.
Where on is whole a start costs once: (2), (3) and (5) only cap the starts, and their cost is not negative.

Out of service a device is off, and an outage ends a run whatever its minimum: cut_runs[t] outages begin within the last
up_steps, so many runs may be shorter; hold is 0 from the first one on. may_stop is 0 for less than up_steps after an
outage, since what stops then has begun after it. The minimum rest goes on through an outage, and begins with one that
ends a run.

Source: (2), (3): D. Rajan, S. Takriti, "Minimum Up/Down Polytopes of the Unit Commitment Problem with Start-Up Costs",
IBM Research Report RC23628, 2005, with the sums of starts written as differences of counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from pyomo.environ import Constraint, Expression, Var, inequality

from gridopt.assets.base import Column, Cost, Floats, Ints, Parameter, State, Values, Whole
from gridopt.clock import Axis

Bools = npt.NDArray[np.bool_]
UNLIMITED = 1e6
"""Starts a day, where no limit is given."""
SWITCH_KW = 1e-6
"""A command this little below the minimum is the minimum, seen through the solver's tolerance."""

PARAMETERS = (
    Parameter("start_cost_eur", "wear of one start: its share of the overhaul", 0.0, minimum=0),
    Parameter("min_up_h", "shortest time from a start to the next stop", 0.0, minimum=0),
    Parameter("min_down_h", "shortest time from a stop to the next start", 0.0, minimum=0),
    Parameter("starts_max_per_day", "most starts in a local day; absent: no limit", minimum=0, optional=True),
    Parameter("on_start", "whether it runs at the start", False, kind="flag"),
    Parameter("hours_in_status_h", "how long it has been running, or resting, at the start", 1000.0, minimum=0),
    Parameter("starts_today", "starts of the first day before the start", 0.0, minimum=0),
)
COLUMNS = (
    Column("was_on", "1 if it runs at the start"),
    Column("hold_h", "hours that the status carried in must still last; negative when resting", series=True),
    Column("starts_left", "starts that are left of the first day's"),
    Column("new_day", "1 at the first step of every local day but the first, else 0", series=True),
    Column("out_of_service", "1 while it is out of service, else 0", series=True),
    Column("cut_runs", "outages that begin within the last minimum running time", series=True),
    Column("may_stop", "0 where what runs has begun after an outage and must go on, else 1", series=True),
)
OPTIONS = ("up_steps", "down_steps", "held", "day_ends")
UNSWITCHED = (1, 1, False, ())
"""The options of a device without a status."""
DECISION = Whole("on", large=True, guides=("starts_so_far", "stops_so_far"))
# Wear, not cash: no bill of the day shows it, the overhaul comes years later.
COST = Cost("start_eur", "wear", "wear of starts")
EMERGENCY = "too_early_h"
SHORTFALL = {EMERGENCY: "minimum running or resting time"}


def prepare(user: Mapping[str, Any], axis: Axis) -> tuple[dict[str, Floats], list[tuple[int, int, bool, Any]]]:
    """The columns of PARAMETERS and COLUMNS, and the values of OPTIONS for each device."""
    c: dict[str, Floats] = {p.name: user[p.name] for p in PARAMETERS if p.kind == "scalar"}
    limit = np.where(np.isnan(c["starts_max_per_day"]), UNLIMITED, c["starts_max_per_day"])
    was_on = np.asarray(user["on_start"], bool)
    days = axis.local_day
    begins = [float(t > 0 and days[t] != days[t - 1]) for t in range(axis.steps)]
    c |= {
        "starts_max_per_day": limit,
        "was_on": was_on.astype(np.float64),
        "starts_left": np.maximum(limit - c["starts_today"], 0.0),
        "new_day": np.tile(begins, (len(was_on), 1)),
    }
    c |= outages(c, np.zeros((len(was_on), axis.steps)), axis.step_h)
    # A longer time than the horizon binds no more than one as long: fewer structures to compile.
    up = np.clip(steps_of(c["min_up_h"], axis.step_h), 1, axis.steps)
    down = np.clip(steps_of(c["min_down_h"], axis.step_h), 1, axis.steps)
    ends = tuple(t for t in range(axis.steps) if t == axis.steps - 1 or begins[t + 1])
    few = limit < UNLIMITED
    structure = zip(up.tolist(), down.tolist(), (c["hold_h"][:, 0] != 0).tolist(), few.tolist(), strict=True)
    return c, [(u, d, held, ends if limited else ()) for u, d, held, limited in structure]


def outages(c: Mapping[str, Floats], out: Floats, step_h: float) -> dict[str, Floats]:
    """The columns that follow from when each device is out of service (n, T; 1 or 0)."""
    n, T = out.shape
    t = np.arange(T)
    up = np.clip(steps_of(c["min_up_h"], step_h), 1, T)[:, None]
    begins = np.diff(out, axis=1, prepend=0.0) > 0
    begun = np.column_stack([np.zeros(n), begins.cumsum(1)])
    last = np.maximum.accumulate(np.where(out > 0, t, -T), axis=1)
    was_on = c["was_on"][:, None] > 0.5
    left_h = np.where(c["was_on"] > 0.5, c["min_up_h"], c["min_down_h"]) - c["hours_in_status_h"]
    hold_h = np.maximum(left_h[:, None] - step_h * t, 0.0)
    hold_h[(hold_h < 1e-9) | (was_on & (begun[:, 1:] > 0))] = 0.0
    return {
        "hold_h": np.where(was_on, hold_h, -hold_h),
        "out_of_service": out,
        "cut_runs": begun[:, 1:] - np.take_along_axis(begun, np.maximum(t + 1 - up, 0), axis=1),
        "may_stop": ((t == last) | (t - last >= up)).astype(np.float64),
    }


def used(user: Mapping[str, Any]) -> Bools:
    """Whether a device needs a status at all: one with a start cost, a minimum time or a limit of starts does."""
    limited = ~np.isnan(user["starts_max_per_day"])
    given: Bools = (user["start_cost_eur"] > 0) | (user["min_up_h"] > 0) | (user["min_down_h"] > 0) | limited
    return given


def steps_of(hours: Floats, step_h: float) -> Ints:
    """Whole steps that cover a time."""
    return np.ceil(hours / step_h - 1e-9).astype(np.int64)


def declare(b: Any, option: SimpleNamespace, name: str) -> None:
    """Variables on[T], starts_so_far[T], stops_so_far[T], too_early_h[T] (``held`` only), their rows, ``start_eur``.

    ``name`` stands in the names of the rows.
    """
    b.on = Var(b.T, bounds=(0, 1))
    b.starts_so_far = Var(b.T, bounds=(0, None))
    b.stops_so_far = Var(b.T, bounds=(0, None))

    def on(t: int) -> Any:
        return b.on[t] if t >= 0 else b.was_on

    def starts(t: int, steps: int) -> Any:
        return b.starts_so_far[t] - (b.starts_so_far[t - steps] if t >= steps else 0)

    def row(kind: str, steps: Any, rule: Any) -> None:
        setattr(b, kind, Constraint(steps, rule=rule))

    up, down, later = option.up_steps, option.down_steps, range(1, b.steps)
    row(
        f"balance_{name}_status",
        b.T,
        lambda b, t: b.on[t] == b.was_on + b.starts_so_far[t] - b.stops_so_far[t],
    )
    row(f"order_{name}_starts", later, lambda b, t: b.starts_so_far[t] >= b.starts_so_far[t - 1])
    row(
        f"order_{name}_stops",
        later,
        lambda b, t: inequality(0, b.stops_so_far[t] - b.stops_so_far[t - 1], b.may_stop[t]),
    )
    row(f"limit_{name}_running", b.T, lambda b, t: starts(t, up) <= on(t) + b.cut_runs[t])
    # Windows that begin before the horizon are parts of the first whole one.
    row(f"limit_{name}_resting", range(down - 1, b.steps), lambda b, t: starts(t, down) <= 1 - on(t - down))
    if option.held:
        b.too_early_h = Var(b.T, bounds=(0, None))
        row(f"goal_{name}_status", b.T, lambda b, t: b.too_early_h[t] >= b.hold_h[t] * (on(t - 1) - on(t)))
    if option.day_ends:
        ends = option.day_ends
        before = dict(zip(ends[1:], ends, strict=False))
        row(
            f"limit_{name}_starts",
            list(ends),
            lambda b, t: (
                b.starts_so_far[t] - b.starts_so_far[before[t]] <= b.starts_max_per_day
                if t in before
                else b.starts_so_far[t] <= b.starts_left
            ),
        )
    b.start_eur = Expression(expr=b.start_cost_eur * b.starts_so_far[b.last])


def start(p: Any) -> State:
    """The status carried in."""
    return {
        "on": p.was_on,
        "hours_h": p.hours_in_status_h,
        "carried": np.ones_like(p.was_on),
        "starts_today": p.starts_today,
    }


def turn(p: Any, state: State, wanted: Bools) -> tuple[Bools, State, Values]:
    """Whether it runs, told to run or not; the status at the interval's end, and the flows of the status.

    The controller keeps the minimum times of what it started or stopped itself, and its starts a day. Against the
    status carried in an order counts: the plan gives one only under an override, and too_early_h tells. Out of service
    it is off.
    """
    was, today = state["on"] > 0.5, _starts_today(p, state)
    runs = np.where(_owed(p, state) & (state["carried"] < 0.5), was, wanted) & (was | _may_start(p, today))
    runs &= p.out_of_service < 0.5
    begun, same = (runs & ~was).astype(np.float64), runs == was
    after = {
        "on": runs.astype(np.float64),
        "hours_h": np.where(same, state["hours_h"], 0.0) + p.step_h,
        "carried": np.where(same, state["carried"], 0.0),
        "starts_today": today + begun,
    }
    flows = {
        "on": after["on"],
        "start": begun,
        "start_eur": p.start_cost_eur * begun,
        "too_early_h": np.maximum(p.hold_h * (state["on"] - after["on"]), 0.0),
    }
    return runs, after, flows


def power(
    p: Any, state: State, command: Values, name: str, least_kw: Floats, most_kw: Floats
) -> tuple[Floats, State, Values]:
    """Power [kW] of a device whose status is optional, told ``name`` and, with a status, ``on``.

    Without a status it runs when it is told at least ``least_kw``, with one ``p.least_kw`` holds while it is on.
    Returns what ``turn`` does, ``on`` as realised besides.
    """
    on, wanted = command.get("on"), command[name]
    if on is None:
        wanted = np.where(wanted < least_kw - SWITCH_KW, 0.0, wanted)
    runs, after, flows = turn(p, state, wanted > 0 if on is None else on > 0.5)
    least = np.where(runs, least_kw if on is None else p.least_kw, 0.0)
    return np.where(runs, np.clip(wanted, least, most_kw), 0.0), after, flows


def less(p: Any, command: Values, name: str, cut_kw: Floats) -> Values:
    """The command with ``cut_kw`` less power where that is above 0; below its least power the device stops."""
    left = np.maximum(command[name] - cut_kw, 0.0)
    left = np.where(left < p.least_kw, 0.0, left)
    cut = cut_kw > 0
    off = {"on": np.where(cut & (left <= 0), 0.0, command["on"])} if "on" in command else {}
    return {**command, **off, name: np.where(cut, left, command[name])}


def kept(p: Any, state: State, wanted: Bools) -> Bools:
    """What a rule may ask for: ``wanted``, but every minimum time and the starts a day are kept, and every outage."""
    was = state["on"] > 0.5
    may_start = _may_start(p, _starts_today(p, state))
    kept: Bools = np.where(_owed(p, state), was, wanted) & (was | may_start) & (p.out_of_service < 0.5)
    return kept


def _owed(p: Any, state: State) -> Bools:
    """Whether the present status must still last."""
    owed: Bools = state["hours_h"] < np.where(state["on"] > 0.5, p.min_up_h, p.min_down_h) - 1e-9
    return owed


def _starts_today(p: Any, state: State) -> Floats:
    return np.where(p.new_day > 0.5, 0.0, state["starts_today"])


def _may_start(p: Any, today: Floats) -> Bools:
    may: Bools = today + 1 <= p.starts_max_per_day + 1e-9
    return may
