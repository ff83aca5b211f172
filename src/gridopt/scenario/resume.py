"""How an earlier run goes on: what its plan leaves of every asset, in the words in which a scenario says a start.

A store begins with what is in it, a building as warm as it is, an engine running or resting for as long as it has. What
has a window of time (a car, a wash, a load that may pause) goes on in it: the same window has less left to do, and one
that a time of day (``18:30``) moves on to the next day leaves its rest behind as an asset of its own, ``car-0316``.

Where an end goal is the start, it stays the start that the scenario says: a store that ends fuller than it began one
night would otherwise have to end as full ever after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from gridopt.assets import family
from gridopt.clock import Axis
from gridopt.scenario.before import Before, Past
from gridopt.scenario.mistakes import Report
from gridopt.scenario.schema import window_of
from gridopt.scenario.tables import Entry
from gridopt.scenario.times import Moment, parse_moment
from gridopt.scenario.times import Window as Weekly
from gridopt.written.report import Place

Values = dict[str, Any]
Said = Mapping[str, Any]
Window = tuple[datetime, datetime]

LONGEST_DAYS = 8
"""A window that began earlier is not looked for: nothing is plugged in for longer than a week."""
LEAST_KWH = 1e-3
"""What lacks less is full."""
FORCED_EUR = 1e4
"""Price of not letting a run go on that has begun: it is not interrupted."""
SET = "--set "
ENDS = {"soc_start": "soc_end", "level_start": "level_end", "level_start_m3": "level_end_m3"}
"""Start → end goal of the families in which ``end = "start"`` may be said."""
APART = frozenset({"delivered_kwh", "device", "control"})
"""Besides its window, what may differ between two ways of writing one task."""


@dataclass(frozen=True)
class Peak:
    """A month's peak so far in a window: of the plans until now, and of their days by rule; None: not known."""

    window: Weekly
    plan_kw: float
    by_rule_kw: float | None


@dataclass
class Resumed:
    """What is taken from an earlier run. ``values``: asset → what was laid over it; ``rests``: asset → the assets that
    finish what an earlier day of it began; ``over``: assets whose one run that plan has done; ``peaks_kw``: commitment
    → the month's peak so far in each of its windows, and ``peaks`` beside it what the days by rule had reached."""

    before: Before
    steps: int = 0
    """Steps of that run before this plan's start."""
    values: dict[str, Values] = field(default_factory=dict)
    rests: dict[str, tuple[str, ...]] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    peaks_kw: dict[str, list[float]] = field(default_factory=dict)
    peaks: dict[str, list[Peak]] = field(default_factory=dict)

    def peak_kw(self, commitment: str, node: str, window: Weekly, month: int, said: float) -> float:
        """The highest power of a month until now in a window: what that run was told of, and what it plans.

        What the days by rule had reached is noted beside it: a day by rule is billed with its own past.
        """
        plan_kw, by_rule_kw = 0.0, None
        if month not in self.before.axis.local_month[: max(self.steps, 1)]:
            by_rule_kw = 0.0  # a month begins
        else:
            told = self.before.peak_before_kw(commitment, window, month)
            drawn = self.before.peak_kw(node, window, month, self.steps)
            plan_kw = max(said if told is None else told, 0.0 if drawn is None else drawn)
            by_rule_kw = self.before.peak_by_rule_kw(commitment, window, month, self.steps)
        self.peaks.setdefault(commitment, []).append(Peak(window, plan_kw, by_rule_kw))
        return plan_kw


def resume(entries: Mapping[str, list[Entry]], before: Before, axis: Axis, report: Report) -> Resumed:
    """Lay over ``entries`` what ``before`` leaves at the start of ``axis``, and add the rests of the days before.

    What ``--set`` says is kept: a person's word for this run counts more than what was planned.
    """
    out = Resumed(before)
    steps = before.steps_until(axis, report)
    if steps is None:
        return out
    taken = {entry.id for some in entries.values() for entry in some}
    out.steps = steps
    carry = _Carry(out, before.pasts(steps, axis), axis, taken)
    for name, some in entries.items():
        rests = [rest for entry in some for rest in carry.rests(name, entry, some)]
        for entry in some:
            carry.go_on(name, entry)
        some[:] = [entry for entry in some if entry.id not in out.over] + rests
    return out


@dataclass
class _Carry:
    out: Resumed
    pasts: dict[str, Past]
    axis: Axis
    taken: set[str]

    @property
    def days(self) -> int:
        """Local days from that run's first to this plan's."""
        return (self.axis.local_day[0] - self.out.before.axis.local_day[0]).days

    def go_on(self, name: str, entry: Entry) -> None:
        """An asset with its own past. One with a window takes up its task only if it is the very same window."""
        past = self.pasts.get(entry.id)
        if past is None or past.family != name:
            return
        now = self.window(name, entry, 0)
        state = CARRIED[name](past, entry.values) if name in CARRIED else {}
        if entry.id not in self.out.rests:
            self.lay(entry, state)
        if now is None or (now != self.window(name, entry, self.days) and "every_h" not in entry.values):
            return
        self.task(name, entry, Task(self.out.before, entry.id, past, entry.values, now, self.axis))

    def task(self, name: str, entry: Entry, task: Task) -> None:
        left = TASKS[name](task)
        if left is None:
            self.out.over.add(entry.id)
        else:
            self.lay(entry, left)

    def rests(self, name: str, entry: Entry, others: list[Entry]) -> Iterator[Entry]:
        """What earlier days of an asset left undone, of windows that move with the day: assets of their own.

        Where the scenario writes such a window itself (``D-1 18:30`` to ``07:00``), that asset takes up the task.
        """
        now = self.window(name, entry, 0)
        for ago in range(1, LONGEST_DAYS + 1) if now else ():
            window = self.window(name, entry, ago)
            if window is None or window == now or not window[0] < self.axis.start < window[1]:
                continue
            rest = self.name(entry.id, window[0])
            past = self.pasts.get(entry.id if ago == self.days else rest)
            if past is None or past.family != name:
                continue
            of = entry.id if ago == self.days else rest
            task = Task(self.out.before, of, past, entry.values, window, self.axis)
            written = next((o for o in others if self.window(name, o, 0) == window and _alike(o, entry, name)), None)
            if written is not None:
                self.task(name, written, task)
                continue
            left = TASKS[name](task)
            if left is None or _nothing_left(name, past):
                continue
            self.out.rests[entry.id] = (*self.out.rests.get(entry.id, ()), rest)
            yield self.rest(rest, name, entry, window, left | CARRIED.get(name, _stateless)(past, entry.values))

    def rest(self, rest: str, name: str, entry: Entry, window: Window, left: Values) -> Entry:
        keys = window_of(family(name))
        assert keys is not None
        values = {
            **entry.values,
            **dict(zip(keys, window, strict=True)),
            "device": entry.values.get("device", entry.id),
        }
        made = Entry(rest, f"asset {rest}", values, dict(entry.places), self.here, row=True)
        for key in (*keys, "device"):
            made.places[key] = self.here
        self.lay(made, left)
        self.out.values.setdefault(rest, {})
        return made

    def name(self, asset: str, begin: datetime) -> str:
        """``car-0316``: the rest of what began that day."""
        local = begin.astimezone(ZoneInfo(self.axis.zone))
        name = f"{asset}-{local:%m%d}"
        return f"{name}-{local:%H%M}" if name in self.taken else name

    def here(self, *_: str | int) -> Place:
        return self.out.before.shown, None

    def window(self, name: str, entry: Entry, ago: int) -> Window | None:
        """The two instants between which an asset has its task, ``ago`` days before; None where it says no such."""
        keys = window_of(family(name))
        if keys is None:
            return None
        try:
            first, last = (self._instant(entry.values[key], ago) for key in keys)
        except (KeyError, ValueError):
            return None
        return first, last

    def _instant(self, value: Any, ago: int) -> datetime:
        said = parse_moment(value)
        return (said if said.instant else Moment(said.text, None, said.day - ago, said.minute)).at(self.axis)

    def lay(self, entry: Entry, values: Values) -> None:
        """Values of the earlier run over those of the scenario; None takes one away."""
        laid: Values = {}
        for key, value in values.items():
            if key in entry.values and str(entry.at(key)()[0]).startswith(SET):
                continue
            goal = ENDS.get(key)
            if goal and entry.values.get("end", "start") == "start":
                laid |= {"end": "target", goal: _own_start(entry.values.get(key), key)}
            laid[key] = value
        for key, value in laid.items():
            entry.values.pop(key, None)
            if value is not None:
                entry.values[key] = value
                entry.places[key] = self.here
        if laid:
            self.out.values.setdefault(entry.id, {}).update(laid)


def _own_start(said: Any, key: str) -> Any:
    """The start that the scenario says, as a goal: a share is not above 1."""
    if said is None:
        return 0.5  # the default of every share; basins must say theirs
    return min(said, 1.0) if isinstance(said, float) and key != "level_start_m3" else said


def _alike(one: Entry, other: Entry, name: str) -> bool:
    """Whether two assets have the same task, their windows apart."""
    apart = APART | set(window_of(family(name)) or ())
    return one is not other and all(
        one.values.get(key) == other.values.get(key) for key in (one.values.keys() | other.values.keys()) - apart
    )


# --- states ----------------------------------------------------------------------------------------------------------


def _number(said: Said, key: str, otherwise: float) -> float:
    value = said.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else otherwise


def _share(past: Past, said: Said, kwh: float) -> float:
    capacity = _number(said, "capacity_kwh", past.columns.capacity_kwh)
    return float(np.clip(kwh / capacity, 0.0, 1.0)) if capacity > 0 else 0.0


def _stateless(past: Past, said: Said) -> Values:
    return {}


def _switching(past: Past, said: Said) -> Values:
    s = past.state
    return {
        "on_start": bool(s["on"] > 0.5),
        "hours_in_status_h": float(s["hours_h"]),
        "starts_today": float(s["starts_today"]) if past.same_day else 0.0,
    }


def _battery(past: Past, said: Said) -> Values:
    out: Values = {"soc_start": _share(past, said, float(past.state["soc_kwh"]))}
    if "given_today_kwh" in past.state:
        given = _share(past, said, float(past.state["given_today_kwh"]))
        earlier = past.columns.cycles_today if past.first_day else 0.0
        out["cycles_today"] = given + earlier if past.same_day else 0.0
    return out


def _level(past: Past, said: Said) -> Values:
    return {"level_start": _share(past, said, float(past.state["level_kwh"]))}


def _tank(past: Past, said: Said) -> Values:
    """A hold under way is not carried on: it counts as not begun."""
    c, s = past.columns, past.state
    begun = float(s["since_begun"])
    done_h = (begun + 1.0 - c.hold_steps) * past.step_h
    known = begun < past.steps and float(s["hold_left"]) < 0.5
    return {**_level(past, said), "since_pasteurised_h": done_h if known else c.since_pasteurised_h + past.hours}


def _basin(past: Past, said: Said) -> Values:
    return {"level_start_m3": max(0.0, float(past.state["level_m3"])), **_switching(past, said)}


def _rooms(past: Past, said: Said) -> Values:
    return {"temperature_start_c": float(past.state["temperature_c"])}


def _cold(past: Past, said: Said) -> Values:
    return {**_rooms(past, said), **_switching(past, said)}


def _heaters(past: Past, said: Said) -> Values:
    c, s = past.columns, past.state
    begun = np.flatnonzero(np.asarray(s["recent"]) > 1e-6)
    since_h = (begun[0] + 1.0 - c.cut_steps) * past.step_h if len(begun) else c.since_cut_h + past.hours
    owed = float(s["carried_kwh"] + past.step_h * np.sum(s["coming_kw"]))
    return {
        "since_cut_h": max(0.0, float(since_h)),
        "owed_start_kwh": max(0.0, owed),
        "drop_start_k": max(0.0, float(s["drop_k"])),
    }


def _lamps(past: Past, said: Said) -> Values:
    full = _number(said, "points", past.columns.points) * _number(said, "lamp_kw", past.columns.lamp_kw)
    return {"light_start": float(np.clip(past.state["power_kw"] / full, 0.0, 1.0))} if full > 0 else {}


CARRIED: dict[str, Callable[[Past, Said], Values]] = {
    "basin": _basin,
    "battery": _battery,
    "booked-rooms": _rooms,
    "chp": _switching,
    "cold-store": _cold,
    "diffuse-heaters": _heaters,
    "fuel-cell": _switching,
    "heat-pump-building": _rooms,
    "hot-water-tank": _tank,
    "hydrogen-store": _level,
    "interruptible-load": _switching,
    "lighting": _lamps,
    "thermal-store": _level,
}
"""Family → what its state is in the words of its parameters."""


# --- tasks in a window -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """What an asset of the earlier run (``asset`` there) had to do in a window that goes on."""

    before: Before
    asset: str
    past: Past
    said: Said
    window: Window
    axis: Axis

    def done(self, variable: str) -> Any:
        """(steps passed,) what was done of a command."""
        return self.before.values(self.asset, variable)[: self.past.steps]


def _nothing_left(name: str, past: Past) -> bool:
    """A full car needs no asset to finish it; one that gives back does."""
    c = past.columns
    return name == "ev-session" and c.v2g_kw == 0 and c.wanted_kwh - float(past.state["charged_kwh"]) <= LEAST_KWH


def _car(task: Task) -> Values:
    """What it has drawn so far. One that has given more than it took came, so to say, with less."""
    c, said = task.past.columns, task.said
    delivered = float(c.delivered_kwh + task.past.state["charged_kwh"])
    capacity, came = (_number(said, key, 0.0) for key in ("capacity_kwh", "soc_arrive"))
    if delivered >= 0 or not (capacity > 0 and "soc_arrive" in said):
        return {"delivered_kwh": max(0.0, delivered)}
    less = {key: _number(said, key, 0.0) - delivered for key in ("energy_kwh", "at_once_kwh") if said.get(key)}
    return {"delivered_kwh": 0.0, "soc_arrive": float(np.clip(came + delivered / capacity, 0.0, 1.0)), **less}


def _pausing(task: Task) -> Values:
    """What the running window has had, in that run or before it."""
    start, (begin, _) = task.axis.start, task.window
    every_h = _number(task.said, "every_h", 0.0)
    if every_h > 0 and begin < start:
        begin += timedelta(hours=every_h) * ((start - begin) // timedelta(hours=every_h))
    if begin >= start:
        return {}
    axis = task.before.axis
    first = max(0, round(axis.hours_from_start(begin) / axis.step_h))
    drawn = float(task.done("draw_kw")[first:].sum() * axis.step_h)
    return {"delivered_kwh": drawn + (task.past.columns.delivered_kwh if begin <= axis.start else 0.0)}


def _run(task: Task) -> Values | None:
    """The rest of a run that has begun; a second one follows a first that still runs at once. None: all is done."""
    h, m = task.past.step_h, task.past.steps
    run, then = (round(v) for v in (task.past.columns.run_steps, task.past.columns.then_steps))
    begun = np.flatnonzero(task.done("start") > 0.5)
    if not len(begun):
        return {}
    age = m - int(begun[0])
    first, second = (task.before.values(task.asset, key) for key in ("profile_kw", "then_kw"))
    followed: Sequence[int] = np.flatnonzero(task.done("then_start") > 0.5).tolist() if then else []
    wait_h = 0.0
    if len(followed):
        parts = second[m - followed[0] : then]
    elif then and age >= run:
        parts = second[:then]
        wait_h = max(0.0, (run + task.past.columns.gap_steps - age) * h)
    else:
        parts = np.concatenate([first[age:run], second[:then]])
    if not len(parts):
        return None
    start, last = task.axis.start, task.window[1]
    length = timedelta(hours=len(parts) * h)
    return {
        "profile_kw": [float(v) for v in parts],
        "duration_h": len(parts) * h,
        "earliest": start,
        "latest": max(start + length, min(last, start + length + timedelta(hours=wait_h))),
        "allowed": None,
        "worth_eur": None,
        "skip_eur": FORCED_EUR,
        "start_cost_eur": 0.0,
        "then_profile_kw": None,
        "then_duration_h": None,
    }


TASKS: dict[str, Callable[[Task], Values | None]] = {
    "ev-session": _car,
    "interruptible-load": _pausing,
    "shiftable-load": _run,
}
"""Family with a window → what is left of its task; None where nothing is."""
