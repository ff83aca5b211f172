"""What a plant did, as a plan's step sees it: means of its minutes, and the bill of the day."""

from __future__ import annotations

import numpy as np

from gridopt.assets.base import Floats, Values, at
from gridopt.model.inputs import Group, Inputs
from gridopt.simulate.plant import FINE_MIN, Plant
from gridopt.verify.ledger import Ledger, bill
from gridopt.verify.replay import Trace


def net_kw(plant: Plant, inputs: Inputs) -> Floats:
    """(N, T) mean power that each node drew from its parent; 0 for steps that have not gone by."""
    place = [next(k for k, n in enumerate(plant.nodes) if n.id == node.id) for node in inputs.nodes]
    minutes = np.array([past.net_kw for past in plant.past]).reshape(len(plant.past), len(plant.nodes))
    return _means(minutes.T[place], inputs)


def trace(plant: Plant, inputs: Inputs) -> Trace:
    """Powers at ports, as means, and costs, as sums, of the assets that were planned."""
    return Trace(
        tuple(_flows(plant, inputs, group) for group in inputs.groups),
        tuple(_ends(plant, group) for group in inputs.groups),
    )


def ledger(plant: Plant, inputs: Inputs) -> Ledger:
    """The bill of the day as it came about."""
    return bill(inputs, net_kw(plant, inputs), trace(plant, inputs))


def _means(minutes: Floats, inputs: Inputs) -> Floats:
    """(n, minutes) → (n, T)."""
    each = inputs.axis.step_min // FINE_MIN
    whole = np.zeros((len(minutes), inputs.axis.steps * each))
    n = min(minutes.shape[1], whole.shape[1])
    whole[:, :n] = minutes[:, :n]
    return np.asarray(whole.reshape(len(minutes), inputs.axis.steps, each).mean(axis=2))


def _flows(plant: Plant, inputs: Inputs, group: Group) -> dict[str, Floats]:
    """Within each device's window of the plan; what it drew before or after stands at its node's meter."""
    each = inputs.axis.step_min // FINE_MIN
    window = group.offset[:, None] + np.arange(group.steps)
    ports = [f"{p.name}_kw" for p in group.family.ports]
    costs = [c.name for c in group.family.costs]
    found = {}
    for name in (*ports, *costs):
        minutes = np.array([[_flow(past.flows, plant, asset, name) for past in plant.past] for asset in group.ids])
        means = _means(minutes.reshape(group.n, len(plant.past)), inputs)
        own = np.take_along_axis(means, window, axis=1)
        if name in ports:
            found[name] = own
        else:
            total = each * means.sum(axis=1)  # a cost is a sum, and none is lost beside the window
            own[:, -1] += total / each - own.sum(axis=1)
            found[name] = each * own
    return found


def _flow(flows: list[Values], plant: Plant, asset: str, name: str) -> float:
    f, k = plant.where[asset]
    values = flows[f].get(name)
    return 0.0 if values is None else float(values[k])


def _ends(plant: Plant, group: Group) -> dict[str, Floats]:
    """End costs, by the state that each device was left in."""
    found: dict[str, Floats] = {}
    for k, asset in enumerate(group.ids):
        f, row = plant.where[asset]
        fleet = plant.fleets[f]
        p = at(fleet.columns, plant.axis.steps - 1, plant.axis.step_h)
        for name, value in fleet.family.close(p, plant.state_of(f)).items():
            found.setdefault(name, np.zeros(group.n))[k] = value[row]
    return found
