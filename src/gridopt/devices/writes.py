"""What can be wrong with a command: its points, its range, its order, and what the device does without gridopt."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gridopt.devices.codec import Unfit, encode
from gridopt.devices.frames import in_order
from gridopt.devices.mistakes import Report
from gridopt.devices.points import PlaceOf, Point
from gridopt.devices.schema import COMMANDS, INSTALLER, LOCAL, TIMER, VALUE, FailSafe, Write
from gridopt.written.model import key_doc
from gridopt.written.words import did_you_mean, listed, quoted


@dataclass(frozen=True)
class Writing:
    """A command that is being checked, with what is needed to say where it is wrong."""

    name: str
    said: Write
    points: Mapping[str, Point]
    broken: frozenset[str]
    """Points whose own mistakes are told already."""
    most: int
    """Registers that the device takes in one request."""
    place: PlaceOf
    report: Report

    def add(self, key: str | tuple[str | int, ...], code: str, /, **fields: Any) -> None:
        keys = (key,) if isinstance(key, str) else key
        self.report.add(self.place(*keys), code, where=f"write {self.name}", **fields)

    def find(self, key: str | tuple[str | int, ...], name: str, written: bool = False) -> Point | None:
        """The point that a key names, if it may be read (or written)."""
        label = key if isinstance(key, str) else " ".join(k for k in key if isinstance(k, str) and k != name)
        point = self.points.get(name)
        if point is None:
            if name not in self.broken:
                hint = did_you_mean(name, self.points, "there are")
                self.add(key, "unknown-point", key=label, value=name, hint=hint)
        elif written and not point.writable:
            self.add(key, "not-writable", key=label, value=name)
        elif not written and not point.readable:
            self.add(key, "not-readable", key=label, value=name)
        return point


def check_write(w: Writing) -> None:
    """Every mistake of one command."""
    point = w.find("point", w.said.point, written=not w.said.by_state)
    if point is not None:
        _check_command(w, point)
        _check_bounds(w, point)
        if w.said.readback is None and not point.readable:
            w.add("point", "readback-needed", point=point.name)
    for key in ("rating", "share_of", "readback", "seen_in"):
        name = getattr(w.said, key)
        if name is not None and (key, name) != ("share_of", INSTALLER):
            w.find(key, name)
    for name, value in w.said.requires.items():
        required = w.find(("requires", name), name)
        if required is not None:
            _check_value(w, ("requires", name), required, value)
    if w.said.memory != "volatile" and w.said.writes_per_day is None and w.said.write_budget is None:
        w.add("memory", "budget-needed", memory=w.said.memory)
    for key in ("set", "release"):
        for k, step in enumerate(getattr(w.said, key)):
            _check_step(w, key, k, step)
    _check_fail_safe(w, point)


# --- command and range -----------------------------------------------------------------------------------------------


def _check_command(w: Writing, point: Point) -> None:
    said = w.said
    wanted = "" if said.share_of else COMMANDS[said.command]
    if point.unit != wanted or (point.codec.codes and COMMANDS[said.command]):
        words = {"wanted": wanted or "numbers without a unit", "found": point.unit or "numbers without a unit"}
        w.add("point", "command-unit", command=said.command, point=point.name, **words)
    elif COMMANDS[said.command]:
        if said.states:
            w.add("states", "states-number", command=said.command)
    elif (point.codec.codes or said.by_state) and not said.states:
        w.add("command", "states-needed", command=said.command, point=point.name)
    for k, state in enumerate(said.states):
        if state not in point.codec.codes and (point.codec.codes or not said.by_state):
            hint = did_you_mean(state, point.codec.codes)
            w.add(("states", k), "unknown-state", value=quoted(state), point=point.name, hint=hint)


def _check_bounds(w: Writing, point: Point) -> None:
    """Both bounds are said, in order, and the register holds them; a command of states has none."""
    if not COMMANDS[w.said.command] and (w.said.states or point.codec.codes):
        return
    low, high = w.said.low, w.said.high
    for key, bound in (("low", low), ("high", high)):
        if bound is None:
            w.add((), "bounds-needed", key=key)
    if isinstance(low, float) and isinstance(high, float) and low > high:
        w.add("high", "crossed", low="low", high="high")
    if point.codec.scaled or w.said.share_of:
        return  # how much the register holds is known on the wire only
    for key, value in [("low", low), ("high", high), *(("also", v) for v in w.said.also)]:
        if isinstance(value, float):
            why = _unfit(point, value)
            if why:
                w.add(key, "bound-fit", key=key, value=f"{value:g}", why=why)


def _unfit(point: Point, value: object) -> str:
    """Why a point's registers cannot hold a value, or ""."""
    try:
        encode(point.codec, value, 0)
    except Unfit as refused:
        return str(refused)
    return ""


def _check_value(w: Writing, key: tuple[str | int, ...], point: Point, value: object) -> None:
    if point.codec.scaled and isinstance(value, float):
        return
    why = _unfit(point, value)
    if why:
        w.add(key, "step-value", point=point.name, value=quoted(_plain(value)), why=why)


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else value


# --- steps -----------------------------------------------------------------------------------------------------------


def _check_step(w: Writing, key: str, k: int, step: Mapping[str, Any]) -> None:
    """One request: known points that are written, with values they can hold, register after register."""
    known = bool(step)
    if not step:
        w.add((key, k), "step-empty", key=key, number=k + 1)
    for name, value in step.items():
        point = w.find((key, k, name), name, written=True)
        known &= point is not None
        if point is None or (value == VALUE and key == "set"):
            continue
        if isinstance(value, dict) and (value or w.said.states):
            _check_states(w, (key, k, name), point, value)
            continue
        if value == TIMER and key == "set":
            if w.said.fail_safe.timer is None:
                w.add((key, k, name), "timer-unknown")
            continue
        _check_value(w, (key, k, name), point, value)
    if not known:
        return
    order = in_order(w.points, step)
    length = sum(point.codec.registers for point in order)
    if length > w.most:
        w.add((key, k), "step-long", key=key, number=k + 1, length=length, most=w.most)
    for before, after in itertools.pairwise(order):
        together = (before.table, before.sunspec, before.end) == (after.table, after.sunspec, after.address)
        if not together:
            w.add((key, k), "step-gap", first=before.name, second=after.name)


def _check_states(w: Writing, key: tuple[str | int, ...], point: Point, by_state: Mapping[str, Any]) -> None:
    """Something is said for every state of the command, and for no other."""
    missing = [state for state in w.said.states if state not in by_state]
    if missing and key[0] == "set":
        w.add(key, "state-unsaid", point=point.name, missing=listed(missing))
    for state, value in by_state.items():
        if state not in w.said.states or key[0] != "set":
            w.add((*key, state), "not-a-state", value=quoted(state), hint=did_you_mean(state, w.said.states))
        else:
            _check_value(w, (*key, state), point, value)


def _first(w: Writing, word: str) -> int | None:
    """Number of the first request in which a word stands."""
    return next((k for k, step in enumerate(w.said.steps) if word in step.values()), None)


# --- fail-safe -------------------------------------------------------------------------------------------------------

NEEDED = {
    "revert": ("time_s", "refresh_s", "timer", "fallback"),
    "watchdog": ("time_s", "refresh_s", "fallback"),
    "heartbeat": ("time_s", "refresh_s", "beat", "fallback"),
    "self": ("time_s", "refresh_s", "fallback"),
    "none": (),
}
TAKEN = {
    "revert": ("timer_readback", "remaining", "fallback_point"),
    "watchdog": ("timer", "timer_readback", "remaining", "fed_by", "fallback_point"),
    "heartbeat": ("timer", "timer_readback", "fallback_point"),
    "self": ("remaining", "fallback_point"),
    "none": (),
}


def _check_fail_safe(w: Writing, point: Point | None) -> None:
    safe = w.said.fail_safe
    allowed = {"kind", *NEEDED[safe.kind], *TAKEN[safe.kind]}
    for key in sorted(safe.model_fields_set - allowed):
        w.add(("fail_safe", key), "fail-safe-takes", kind=safe.kind, key=key)
    for key in NEEDED[safe.kind]:
        if getattr(safe, key) in (None, {}):
            w.add("fail_safe", "fail-safe-needs", kind=safe.kind, key=key, doc=key_doc(FailSafe, key))
    if isinstance(safe.time_s, float) and safe.refresh_s is not None and 3 * safe.refresh_s > safe.time_s * (1 + 1e-9):
        fields = {"value": f"{safe.refresh_s:g}", "time": f"{safe.time_s:g}"}
        w.add(("fail_safe", "refresh_s"), "refresh-late", **fields)
    for key in ("timer_readback", "remaining", "fallback_point"):
        name = getattr(safe, key)
        if name is not None:
            w.find(("fail_safe", key), name)
    for name, value in safe.beat.items():
        beaten = w.find(("fail_safe", "beat", name), name, written=True)
        if beaten is not None:
            _check_value(w, ("fail_safe", "beat", name), beaten, value)
    _check_timer(w, safe)
    if point is not None and safe.fallback not in (None, LOCAL, INSTALLER):
        _check_fallback(w, point, safe.fallback)


def _check_timer(w: Writing, safe: FailSafe) -> None:
    """The timer's time fits, and the timer is written before the value or with it."""
    value_at, timer_at = _first(w, VALUE), _first(w, TIMER)
    if w.said.by_state:
        value_at = next(k for k, step in enumerate(w.said.steps) if any(isinstance(v, dict) for v in step.values()))
    if value_at is None:
        w.add("set", "value-unwritten", point=w.said.point)
    if safe.timer is None:
        return
    timer = w.find(("fail_safe", "timer"), safe.timer, written=timer_at is not None)
    if timer_at is None:
        if safe.kind == "revert":
            w.add("set" if w.said.set else (), "timer-unwritten", point=safe.timer)
    elif value_at is not None and timer_at > value_at:
        w.add("set", "timer-late")
    if timer is not None and not timer.readable and safe.timer_readback is None:
        w.add(("fail_safe", "timer"), "timer-readback", point=timer.name)
    if timer is not None and isinstance(safe.time_s, float):
        _check_value(w, ("fail_safe", "time_s"), timer, safe.time_s)


def _check_fallback(w: Writing, point: Point, fallback: object) -> None:
    if w.said.share_of or (point.codec.scaled and isinstance(fallback, float)):
        return
    why = _unfit(point, fallback)
    if why:
        value = quoted(_plain(fallback))
        w.add(("fail_safe", "fallback"), "fallback", value=value, point=point.name, why=why)
