"""Daily pasteurisation of stored hot water against legionella: a rule that no price relaxes.

pasteurise[t] in {0, 1}: a hold begins with step t and lasts hold_steps; count[t] = pasteurise[0] + ... + pasteurise[t]
level[t] + cold[t] >= hot[t] * (count[t] - count[t-hold_steps])                                              (1)
level[t-1] + cold[t] >= hot[t] * pasteurise[t]                                                               (2)
count[t] - count[t-hold_steps] <= 1                                                                          (3)
hot[t] * (count[t] - count[t-every_steps]) + cold[t] >= hot[t] * due[t]                                      (4)
level[t] + cold[t-k] + ... + cold[t] >= due[t] * (hot[t] * keep**k - drawn[t] + keep**k * drawn[t-k])        (5)
drawn[t] = keep * drawn[t-1] + step_h * demand[t],  k = min(t, every_steps - 1)                              (6)

hot is the content at which the whole tank has the temperature of pasteurisation. By (1) and (2) the tank is hot at both
ends of every step of a hold, and so all through it: at constant powers its content only rises or only falls in a step.
By (4) no more than every_steps lie between the beginnings of two holds, and no more than is left of it since the one
before the horizon; with ``pasteurise_at_h`` a hold begins at that hour of every local day, as a timer is set, and
nothing is left to decide. (5) follows from the others where decisions are whole, and tells the relaxation what they
are: a tank loses no more than what it loses standing and what is drawn, so that of the last hold, k steps ago at most,
so much is left. cold[t] is an emergency, minimised before money: heat lacking at a hold, or the whole of a
hold that is not begun in time. A hold must end inside the horizon; one that cannot is left to the next plan.

What the tank's own heaters cannot reach at full power is known beforehand: a hold that cannot come in time is due as
soon as it can come, and a temperature that is never reached is replaced by the highest reached, the rest standing in
``unpasteurised_kwh``. Both are notes to the owner.

The whole content counts as mixed: a pump that turns the tank over, or the return of the circulation, warms its bottom.

Source: arrêté du 23 juin 1978, article 36, as amended by the arrêté du 30 novembre 2005 (France): stores of 400 litres
and more keep 55 °C at the outlet at all times, or reach once in 24 hours 70 °C for 2 minutes, 65 °C for 4 or 60 °C
for 60.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from pyomo.environ import Constraint, Var

from gridopt.assets.base import Column, Floats, Ints, Parameter, SemiContinuous, State, Values
from gridopt.clock import Axis

Bools = npt.NDArray[np.bool_]
NEVER = 1e6
"""Steps since, or until, what has not been or will not be."""
MARGIN = 1e-6
"""Share of the highest content reached that is not asked for: no plan hangs on a rounding error."""

PARAMETERS = (
    Parameter("pasteurise", "whether the rule holds; in France for 400 litres and more", False, kind="flag"),
    Parameter("pasteurise_at_h", "local hour when it begins; absent: chosen", minimum=0, maximum=23.99, optional=True),
    Parameter("pasteurise_c", "temperature of pasteurisation", 60.0, minimum=1),
    Parameter("pasteurise_h", "how long it is held: 1 h at 60 °C, 4 min at 65 °C, 2 min at 70 °C", 1.0, minimum=0),
    Parameter("pasteurise_every_h", "where it is chosen: longest time from one to the next", 24.0, minimum=1),
    Parameter("since_pasteurised_h", "where it is chosen: hours since the last one, at the start", 12.0, minimum=0),
    Parameter("temperature_full_c", "temperature of the full tank", 65.0, minimum=1, maximum=200),
    Parameter("temperature_empty_c", "temperature at which its content counts as used up", 40.0, minimum=0),
)
ORDERED = (("temperature_empty_c", "temperature_full_c"),)
COLUMNS = (
    Column("hot_kwh", "content that a hold needs at this step", series=True),
    Column("unreachable_kwh", "what the heaters lack to it, at worst"),
    Column("may_begin", "1 where a hold may begin, else 0", series=True),
    Column("due", "1 where a hold must have begun within every_steps, else 0", series=True),
    Column("due_in_steps", "steps until the first hold is due, or the timer's next one", series=True),
    Column("hold_steps", "length of a hold"),
    Column("every_steps", "most steps from the beginning of a hold to the next; 1 with a timer"),
    Column("lead_steps", "how long before a hold the baseline begins to heat"),
    Column("timer", "1 where a hold begins at a fixed hour"),
    Column("once", "1: a hold begins, or none"),
)
OPTIONS = ("hold_steps", "every_steps")
COMMAND = "pasteurise"
# Rounded by diffusion, which keeps every sum over a window that is whole: two holds never lie farther apart than (4).
DECISION = SemiContinuous(COMMAND, "once", rounding="diffusion", large=True)
EMERGENCY = "cold_kwh"
SHORTFALLS = {EMERGENCY: "daily pasteurisation", "unpasteurised_kwh": "heaters that reach pasteurisation"}


@dataclass(frozen=True)
class Rule:
    """What ``prepare`` found: block columns, the values of OPTIONS for each device, notes."""

    columns: dict[str, Floats]
    structure: list[tuple[int, int]]
    notes: list[tuple[int, str]]


# --- what is known beforehand ----------------------------------------------------------------------------------------


def reach_kwh(start_kwh: Floats, keep: Floats, heat_kw: Floats, capacity_kwh: Floats, step_h: float) -> Floats:
    """(n, T + 1) highest content at the start and after every step, heated with ``heat_kw`` (n, T), nothing drawn."""
    levels = [start_kwh]
    for t in range(heat_kw.shape[1]):
        kept = keep * levels[-1]
        levels.append(np.minimum(kept + step_h * heat_kw[:, t], np.maximum(capacity_kwh, kept)))
    return np.stack(levels, 1)


def prepare(user: Mapping[str, Any], axis: Axis, capacity_kwh: Floats, reach: Floats) -> Rule:
    """The columns of COLUMNS; ``reach``: (n, T + 1) as ``reach_kwh`` gives it."""
    n, T, h = len(capacity_kwh), axis.steps, axis.step_h
    t = np.arange(T)
    hold = np.maximum(np.ceil(user["pasteurise_h"] / h - 1e-9), 1).astype(np.int64)
    hold = np.where(np.asarray(user["pasteurise"], bool) & (hold <= T), hold, 0)
    on, timer = hold > 0, (hold > 0) & ~np.isnan(user["pasteurise_at_h"])
    every = np.maximum(np.floor(user["pasteurise_every_h"] / h + 1e-9).astype(np.int64), hold)
    every = np.where(timer, 1, every)
    hot = np.where(on, _hot_share(user) * capacity_kwh, 0.0)
    least, inside = _least_kwh(reach, hold), (t <= (T - hold)[:, None]) & on[:, None]
    clock = _clock(user["pasteurise_at_h"], axis) & inside & timer[:, None]

    # Chosen: somewhere where the heaters reach it; the first as soon as it is due and can be.
    best = least.max(1, initial=0.0)
    chosen_kwh = np.where(best < hot, best * (1 - MARGIN), hot)
    able = inside & (least >= chosen_kwh[:, None] - 1e-9)
    wanted = np.floor((user["pasteurise_every_h"] - user["since_pasteurised_h"]) / h + 1e-9) - hold
    first_due = np.where(on, np.maximum(wanted, able.argmax(1)), NEVER)

    # At the timer's hours: each hold as hot as the heaters can make it by then.
    timer_kwh = _through_holds(
        np.where(clock & (least < hot[:, None]), least * (1 - MARGIN), hot[:, None]), clock, hold
    )
    hot_kwh = np.where(timer[:, None], timer_kwh, chosen_kwh[:, None])
    short = np.where(hot[:, None] - hot_kwh > 1e-9, hot[:, None] - hot_kwh, 0.0)
    late = np.where(on & ~timer & (chosen_kwh > 0), first_due - wanted, 0.0) * h
    notes = [
        (int(k), f"its heaters reach {hot[k] - short[k].max():.1f} of the {hot[k]:.1f} kWh that pasteurisation needs")
        for k in np.flatnonzero(short.max(1, initial=0.0) > 0.01)
    ]
    notes += [
        (int(k), f"its pasteurisation comes {late[k]:.3g} h late, as soon as it can") for k in np.flatnonzero(late)
    ]
    columns = {
        "hot_kwh": hot_kwh,
        "unreachable_kwh": short.max(1, initial=0.0),
        "may_begin": np.where(timer[:, None], clock, able).astype(np.float64),
        "due": np.where(timer[:, None], clock, inside & (t >= first_due[:, None])).astype(np.float64),
        "due_in_steps": np.where(timer[:, None], _until(clock), np.maximum(first_due[:, None] - t, 0.0)),
        "hold_steps": hold.astype(np.float64),
        "every_steps": every.astype(np.float64),
        "lead_steps": _lead(reach, hot, hold),
        "timer": timer.astype(np.float64),
        "once": np.ones(n),
    }
    structure = [(int(k), int(min(e, T)) if k else 0) for k, e in zip(hold, every, strict=True)]
    return Rule(columns, structure, notes)


def _hot_share(user: Mapping[str, Any]) -> Floats:
    span = np.maximum(user["temperature_full_c"] - user["temperature_empty_c"], 1e-3)
    return np.asarray(np.maximum((user["pasteurise_c"] - user["temperature_empty_c"]) / span, 0.0))


def _least_kwh(reach: Floats, hold: Ints) -> Floats:
    """(n, T) highest content that a hold beginning with each step can keep; 0 where it would not end inside."""
    n, T = reach.shape[0], reach.shape[1] - 1
    least = np.zeros((n, T))
    for steps in np.unique(hold[hold > 0]).tolist():
        who = hold == steps
        least[who, : T - steps + 1] = np.lib.stride_tricks.sliding_window_view(reach[who], steps + 1, axis=1).min(-1)
    return least


def _clock(at_h: Floats, axis: Axis) -> Bools:
    """(n, T) the step of every local day that holds the hour, or follows it where it is left out; not one before."""
    hour, days = axis.local_hour, axis.local_day
    new_day = np.array([t > 0 and days[t] != days[t - 1] for t in range(axis.steps)])
    past = hour + axis.step_h > at_h[:, None] + 1e-9
    before = np.concatenate([[hour[0] - axis.step_h], hour[:-1]]) + axis.step_h > at_h[:, None] + 1e-9
    return np.asarray(past & (new_day | ~before))


def _through_holds(hot: Floats, begins: Bools, hold: Ints) -> Floats:
    """What a hold needs at its first step, at all of its steps."""
    out = hot.copy()
    for k, t in np.argwhere(begins):
        out[k, t : t + hold[k]] = hot[k, t]
    return out


def _until(where: Bools) -> Floats:
    """(n, T) steps from each step to the next one marked."""
    out = np.full(where.shape, NEVER)
    ahead = np.full(len(where), NEVER)
    for t in range(where.shape[1] - 1, -1, -1):
        ahead = np.where(where[:, t], 0.0, ahead + 1.0)
        out[:, t] = ahead
    return out


def _lead(reach: Floats, hot_kwh: Floats, hold: Ints) -> Floats:
    """Steps from empty to hot at full power and half as much again, as a timer is set, and the hold."""
    gain = np.maximum(reach[:, 1:] - reach[:, :-1], 0.0).max(1, initial=0.0)
    heating = np.divide(hot_kwh, gain, out=np.full(len(hot_kwh), float(reach.shape[1])), where=gain > 0)
    return np.asarray(np.ceil(1.5 * heating) + hold, np.float64)


# --- block -----------------------------------------------------------------------------------------------------------


def declare(b: Any, option: SimpleNamespace, name: str, start_kwh: Any) -> None:
    """Variables and rows (1) to (6) beside ``b.level_kwh``, ``b.keep`` and ``b.demand_kw``.

    ``name`` stands in the names of the rows.
    """
    b.unpasteurised_kwh = Var(bounds=(b.unreachable_kwh, None))
    b.pasteurise = Var(b.T, bounds=lambda b, t: (0, b.may_begin[t]))
    b.pasteurised_so_far = Var(b.T, bounds=(0, None))
    b.cold_kwh = Var(b.T, bounds=(0, None))

    def begun(t: int, steps: int) -> Any:
        return b.pasteurised_so_far[t] - (b.pasteurised_so_far[t - steps] if t >= steps else 0)

    def row(kind: str, rule: Callable[[Any, int], Any]) -> None:
        setattr(b, f"{kind}_{name}_pasteurised", Constraint(b.T, rule=rule))

    hold, every = option.hold_steps, option.every_steps
    row("balance", lambda b, t: begun(t, 1) == b.pasteurise[t])
    row("goal", lambda b, t: b.level_kwh[t] + b.cold_kwh[t] >= b.hot_kwh[t] * begun(t, hold))
    row(
        "start",
        lambda b, t: (b.level_kwh[t - 1] if t else start_kwh) + b.cold_kwh[t] >= b.hot_kwh[t] * b.pasteurise[t],
    )
    if hold > 1:
        row("order", lambda b, t: begun(t, hold) <= 1)
    row("limit", lambda b, t: b.hot_kwh[t] * begun(t, every) + b.cold_kwh[t] >= b.hot_kwh[t] * b.due[t])
    if every > 1:
        _declare_rest(b, every, row)


def _declare_rest(b: Any, every: int, row: Callable[[str, Callable[[Any, int], Any]], None]) -> None:
    """Rows (5) and (6): what is left of the last hold."""
    b.cold_so_far_kwh = Var(b.T, bounds=(0, None))
    b.drawn_so_far_kwh = Var(b.T, bounds=(0, None))

    def before(so_far: Any, t: int) -> Any:
        return so_far[t] if t >= 0 else 0

    row("balance_cold", lambda b, t: b.cold_so_far_kwh[t] == before(b.cold_so_far_kwh, t - 1) + b.cold_kwh[t])
    row(
        "balance_drawn",
        lambda b, t: b.drawn_so_far_kwh[t] == b.keep * before(b.drawn_so_far_kwh, t - 1) + b.step_h * b.demand_kw[t],
    )

    def left(b: Any, t: int) -> Any:
        k = min(t, every - 1)
        cold = b.cold_so_far_kwh[t] - before(b.cold_so_far_kwh, t - k - 1)
        drawn = b.drawn_so_far_kwh[t] - b.keep**k * b.drawn_so_far_kwh[t - k]
        return b.level_kwh[t] + cold + b.due[t] * drawn >= b.due[t] * b.hot_kwh[t] * b.keep**k

    row("rest", left)


# --- physics and baseline --------------------------------------------------------------------------------------------


def start(p: Any) -> State:
    """No hold under way; the one before the horizon is in ``due``."""
    return {"hold_left": np.zeros_like(p.once), "since_begun": np.full_like(p.once, NEVER)}


def watch(p: Any, state: State, before_kwh: Floats, after_kwh: Floats, wanted: Floats) -> tuple[State, Values]:
    """The rule over one step, told to begin a hold or not: its own part of the state, and its flows."""
    idle = state["hold_left"] < 0.5
    begun = (wanted > 0.5) & (p.may_begin > 0.5) & idle
    held = begun | ~idle
    since = np.where(begun, 0.0, state["since_begun"] + 1.0)
    missed = (p.due > 0.5) & (since > p.every_steps - 0.5)
    cold = np.maximum(p.hot_kwh * held - after_kwh, p.hot_kwh * begun - before_kwh)
    after = {
        "hold_left": np.where(begun, p.hold_steps - 1.0, np.maximum(state["hold_left"] - 1.0, 0.0)),
        "since_begun": since,
    }
    return after, {COMMAND: begun.astype(np.float64), EMERGENCY: np.maximum(np.maximum(cold, p.hot_kwh * missed), 0.0)}


def program(p: Any, state: State, level_kwh: Floats) -> tuple[Bools, Floats]:
    """The baseline's part: (where it heats with all it has to pasteurise, the command to begin a hold).

    It heats ahead of the last moment, begins when the tank is hot, and at the last moment anyway.
    """
    again = (state["since_begun"] < NEVER) & (p.timer < 0.5)
    left = np.where(again, p.every_steps - state["since_begun"] - 1.0, p.due_in_steps)
    idle, soon = state["hold_left"] < 0.5, (p.hold_steps > 0) & (left <= p.lead_steps)
    hot = level_kwh >= p.hot_kwh * (1 - 1e-9)
    begins = soon & idle & (hot | (left <= 0)) & (p.may_begin > 0.5)
    return soon | (~idle & (p.hold_steps > 0)), begins.astype(np.float64)


def missing(p: Any) -> Values:
    """End shortfall: what the heaters cannot reach."""
    return {"unpasteurised_kwh": p.unreachable_kwh}
