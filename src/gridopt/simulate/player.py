"""One group of like devices while the baseline's day runs: what they are told, what they do, what a person holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt

from gridopt.assets.base import Floats, Ints, State, Values, Whole
from gridopt.model.inputs import Group, Inputs
from gridopt.model.template import template

Bools = npt.NDArray[np.bool_]
Held = dict[str, tuple[Floats, Bools]]
"""Command → (values, where held), both (n, steps)."""
STATUS = "on"


@dataclass
class Player:
    """One group while the day runs."""

    group: Group
    step_h: float
    held: Held
    state: State = field(default_factory=dict)
    trace: dict[str, Floats] = field(default_factory=dict)
    command: Values = field(default_factory=dict)
    after: State = field(default_factory=dict)
    flows: Values = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()

    @property
    def led_by(self) -> str:
        """The port whose node leads the device, where devices at one node take their turns; else ''."""
        return self.group.family.led_by

    def begin(self) -> None:
        block = template(self.group.family, self.group.steps, self.group.options)
        # An option may leave a command out of the block: a roof that cannot be curtailed is not.
        self.fixed = frozenset(self.group.family.commands) - {v.name for v in block.variables}
        first = np.zeros(self.group.n, np.int64)
        self.state = dict(self.group.family.start(self.view(first)))

    def view(self, local: Ints) -> SimpleNamespace:
        """Columns with every device at its own local step."""
        rows = np.arange(self.group.n)
        series = self.group.family.series_names()
        return SimpleNamespace(
            step_h=self.step_h,
            **{name: a[rows, local] if name in series else a for name, a in self.group.columns.items()},
        )

    def at(self, t: int) -> tuple[SimpleNamespace, Ints, Bools]:
        local = t - self.group.offset
        active = (local >= 0) & (local < self.group.steps)
        local = np.clip(local, 0, self.group.steps - 1)
        return self.view(local), local, active

    def act(self, t: int, command: Values) -> None:
        """Try a command from the present state; ``flows`` are zero for devices outside their window."""
        p, local, active = self.at(t)
        rows = np.arange(self.group.n)
        self.command = {
            name: np.where(self.held[name][1][rows, local], self.held[name][0][rows, local], value)
            if name in self.held
            else value
            for name, value in command.items()
        }
        self.after, flows = self.group.family.step(p, self.state, self.command)
        self.flows = {name: np.where(active, value, 0.0) for name, value in flows.items()}

    def rests(self) -> Values:
        """The command to do nothing."""
        return {name: np.zeros(self.group.n) for name in self.group.family.commands}

    def does(self) -> Values:
        """The command that it follows: what it does where the physics says so, else what it was told."""
        return {name: self.flows.get(name, value) for name, value in self.command.items()}

    def shed(self, t: int, port: str, cut_kw: Floats) -> Values:
        """The command with ``cut_kw`` less at a port."""
        wanted = self.group.family.shed(self.at(t)[0], self.state, self.does(), port, cut_kw)
        return {name: self.command[name] if name in self.fixed else value for name, value in wanted.items()}

    def patience(self, t: int) -> Floats:
        """(n,) how long each device can wait [h]; least where a person holds it, NaN where it makes no difference."""
        p, local, _ = self.at(t)
        waits = self.group.family.patience(p, self.state)
        if waits is None:
            return np.full(self.group.n, np.nan)
        held = [where[np.arange(self.group.n), local] for _, where in self.held.values()]
        return np.where(np.any(held, axis=0) & np.isfinite(waits), -np.inf, waits) if held else waits

    def settle(self, t: int) -> None:
        """Accept the interval: record it and move the state on."""
        _, local, active = self.at(t)
        rows = np.flatnonzero(active)
        for name, value in self.flows.items():
            self._record(name, rows, local, value)
        for name in self.group.family.states:
            self._record(name, rows, local, self.after[name])
        for name, value in self.after.items():
            keep = active if value.ndim == 1 else active[:, None]
            self.state[name] = np.where(keep, value, self.state[name])

    def _record(self, name: str, rows: npt.NDArray[np.intp], local: Ints, value: Floats) -> None:
        if name not in self.trace:
            self.trace[name] = np.zeros((self.group.n, self.group.steps))
        self.trace[name][rows, local[rows]] = value[rows]

    def close(self) -> Values:
        last = np.full(self.group.n, self.group.steps - 1)
        return self.group.family.close(self.view(last), self.state)

    def day(self) -> dict[str, Floats]:
        """The trace; a group whose window never came has zero flows."""
        if not self.trace:
            self.act(int(self.group.offset[0]), self.rests())
            return {name: np.zeros((self.group.n, self.group.steps)) for name in self.flows}
        return self.trace


def held_by_hand(inputs: Inputs, group: Group) -> Held:
    """Overrides and outages of a group. An order of power is one to run, of no power one to stop; what starts once, and
    is told when, starts at no other time."""
    held: Held = {}
    out = np.zeros((group.n, group.steps), bool)
    for pin in inputs.pins:
        k = group.index.get(pin.asset)
        if k is None:
            continue
        offset = int(group.offset[k])
        window = slice(max(pin.first - offset, 0), max(min(pin.last - offset, group.steps), 0))
        if pin.variable == STATUS and pin.why == "outage":
            out[k, window] = True
            continue
        value, where = held.setdefault(pin.variable, (np.zeros(out.shape), np.zeros(out.shape, bool)))
        value[k, window], where[k, window] = pin.value, True
    for d in group.family.decisions:
        if isinstance(d, Whole) and d.one_of and d.variable in held:
            value, where = held[d.variable]
            where[(where & (value > 0.5)).any(axis=1)] = True
    if STATUS in group.family.commands and (held or out.any()):
        held[STATUS] = _status(group, held, out)
    return held


def _status(group: Group, held: Held, out: Bools) -> tuple[Floats, Bools]:
    """A person's word on the status itself comes first, then what the power says, an outage last."""
    value, by_hand = held.get(STATUS, (np.zeros(out.shape), np.zeros(out.shape, bool)))
    power = [held[name] for name in group.family.commands if name != STATUS and name in held]
    runs = np.any([where & (kw > 0) for kw, where in power], axis=0) if power else np.zeros(out.shape, bool)
    told, where = held.get(group.family.setpoint, (value, np.zeros(out.shape, bool)))
    return np.where(by_hand, value, runs), by_hand | runs | (where & (told <= 0)) | out
