"""Replay of a schedule through the devices' own physics (``Family.step``), and the power it leaves at every node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gridopt.assets.base import Floats, at
from gridopt.model.inputs import Group, Inputs
from gridopt.model.schedule import Schedule
from gridopt.verify.outages import with_outages


@dataclass(frozen=True)
class Trace:
    """What happened: per group, name → (n, steps) flows and states, and name → (n,) end costs and end shortfalls."""

    steps: tuple[dict[str, Floats], ...]
    ends: tuple[dict[str, Floats], ...]

    def port_kw(self, inputs: Inputs, asset: str, port: str) -> Floats:
        """(T,) power of one device's port on the district's axis."""
        g, k = inputs.where[asset]
        group = inputs.groups[g]
        out = np.zeros(inputs.axis.steps)
        out[group.offset[k] : group.offset[k] + group.steps] = self.steps[g][f"{port}_kw"][k]
        return out


def replay_group(
    group: Group, commands: dict[str, Floats], step_h: float
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Drive one group's ``step`` with its scheduled commands from its start state to the end of its window."""
    family = group.family
    state = family.start(at(group.columns, 0, step_h))
    kept: dict[str, list[Floats]] = {}
    p = None
    for t in range(group.steps):
        p = at(group.columns, t, step_h)
        wanted = {name: values[:, t] for name, values in commands.items()}
        state, flows = family.step(p, state, wanted)
        for name, value in flows.items():
            kept.setdefault(name, []).append(value)
        for name in family.states:
            kept.setdefault(name, []).append(state[name])
    trace = {name: np.column_stack(values) for name, values in kept.items()}
    return trace, family.close(p, state)


def replay(inputs: Inputs, schedule: Schedule) -> Trace:
    """Replay every group; an option that leaves a command out of the block leaves it out of the replay too."""
    steps, ends = [], []
    inputs = with_outages(inputs)
    for group, values in zip(inputs.groups, schedule.groups, strict=True):
        commands = {name: values[name] for name in group.family.commands if name in values}
        trace, end = replay_group(group, commands, inputs.axis.step_h)
        steps.append(trace)
        ends.append(end)
    return Trace(tuple(steps), tuple(ends))


def own_power(inputs: Inputs, trace: Trace) -> Floats:
    """(N, T) power that the devices at each node itself draw, children not counted."""
    out = np.zeros((len(inputs.nodes), inputs.axis.steps))
    for group, values in zip(inputs.groups, trace.steps, strict=True):
        place = group.offset[:, None] + np.arange(group.steps)
        for port in group.family.ports:
            np.add.at(out, (group.nodes[port.name][:, None], place), values[f"{port.name}_kw"])
    return out


def branch_power(inputs: Inputs, own_kw: Floats) -> Floats:
    """(N, T) power that each node and all below it draw: the net power it needs from its parent."""
    out = own_kw.copy()
    depth = np.zeros(len(inputs.nodes), np.int64)
    for k in range(len(inputs.nodes)):
        j = int(inputs.parents[k])
        while j >= 0:
            depth[k] += 1
            j = int(inputs.parents[j])
    for k in np.argsort(-depth, kind="stable"):
        parent = int(inputs.parents[k])
        if parent >= 0:
            out[parent] += out[k]
    return out
