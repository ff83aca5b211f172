"""The day as it happens: devices told by a plan that was made of forecasts, under the load and sun that really came.

Every device does what its physics lets it do of its command (``Family.step``); what differs from the plan is met by
the grid; hard limits are kept by plain shedding. A command at what the forecast allowed is no limit: a roof whose
plan curtails nothing gives what the sun gives.

A battery may instead follow its meter (``worth``): between plans its own controller weighs each kWh against what the
plan says a kWh in store is worth. Where that makes no difference it keeps to the planned power, but rather stores than
gives away:

    x[t] = argmin  cost(net[t] + x) - worth[t] * (efficiency_in * max(x, 0) - max(-x, 0) / efficiency_out) * step_h
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from gridopt.assets.base import Floats, Values
from gridopt.model.inputs import Commitment, Inputs
from gridopt.simulate.player import Player
from gridopt.simulate.shedding import Scene, keep_limits
from gridopt.verify.replay import Trace, branch_power

Commands = Mapping[str, Mapping[str, Floats]]
"""Asset → command → (T,); an asset without commands is not in it."""

TIE_EUR = 1e-7
"""What differs by less makes no difference, and the plan's own power is kept."""
FULL_SHARE = 1e-4
"""A command this near to what the forecast allows limits nothing."""


@dataclass(frozen=True)
class Happened:
    """What came of it. ``unserved_kwh``: energy beyond hard limits that nothing could shed."""

    trace: Trace
    net_kw: Floats
    unserved_kwh: float


def follow(inputs: Inputs, commands: Commands, worth: Mapping[str, Floats] | None = None) -> Happened:
    """Live through ``inputs``, which hold what really came. ``worth``: battery that follows its meter → (T,) what a
    kWh in store is worth [EUR/kWh]; the others keep to their power."""
    orders = [_of_group(g.ids, commands) for g in inputs.groups]
    values = [_worth(g.ids, worth or {}) for g in inputs.groups]
    players = [Player(g, inputs.axis.step_h, {}) for g in inputs.groups]
    for player in players:
        player.begin()
    branch = sp.csr_array(branch_power(inputs, np.eye(len(inputs.nodes))))
    low, high = (np.array(x) for x in zip(*(n.net_bounds() for n in inputs.nodes), strict=True))
    leaves_first = np.argsort(np.asarray(branch.sum(axis=1)).ravel(), kind="stable").tolist()
    order = sorted(range(len(players)), key=lambda g: (players[g].group.family.order, g))
    net = np.zeros((len(inputs.nodes), inputs.axis.steps))
    for t in range(inputs.axis.steps):
        scene = Scene(t, [players[g] for g in reversed(order)], branch, np.zeros(len(inputs.nodes)))
        for g in order:
            players[g].act(t, {name: told[:, t] for name, told in orders[g].items()})
            scene.add(players[g], 1.0)
        for g in order:
            value = values[g]
            if value is not None:
                scene.tell(players[g], _by_meter(scene, inputs, players[g], value[:, t]))
        keep_limits(scene, low[:, t], high[:, t], leaves_first)
        for player in players:
            player.settle(t)
        net[:, t] = scene.net()
    trace = Trace(tuple(q.day() for q in players), tuple(q.close() for q in players))
    over = np.maximum(np.maximum(net - high, low - net) - FULL_SHARE, 0.0)
    return Happened(trace, net, float(over.sum()) * inputs.axis.step_h)


def _by_meter(scene: Scene, inputs: Inputs, q: Player, worth: Floats) -> Values:
    """The command of every battery of a group, one after another, by what its meter shows."""
    t, p = scene.t, q.at(scene.t)[0]
    planned = q.flows["ac_kw"]
    most = np.zeros((2, q.group.n))
    for k, sign in enumerate((1.0, -1.0)):
        q.act(t, {"charge_kw": np.maximum(sign, 0.0) * p.power_kw, "discharge_kw": np.maximum(-sign, 0.0) * p.power_kw})
        most[k] = q.flows["ac_kw"]
    q.act(t, {"charge_kw": np.maximum(planned, 0.0), "discharge_kw": np.maximum(-planned, 0.0)})
    net, chosen = scene.net(), planned.copy()
    for k in range(q.group.n):
        path = scene.branch[:, [int(q.group.nodes["ac"][k])]].toarray()[:, 0]
        rest = net - path * chosen[k]
        kinks = [-float(rest[j]) for j in np.flatnonzero(path)]
        points = np.clip([planned[k], 0.0, most[0, k], most[1, k], *kinks], most[1, k], most[0, k])
        stored = p.efficiency_in[k] * np.maximum(points, 0.0) - np.maximum(-points, 0.0) / p.efficiency_out[k]
        wear = getattr(p, "wear_eur_per_kwh", np.zeros(q.group.n))[k] * np.maximum(-points, 0.0)
        cost = [_cost(inputs, rest + path * x, t) for x in points] + p.step_h * (wear - worth[k] * stored)
        best = np.flatnonzero(cost <= cost.min() + TIE_EUR)
        chosen[k] = _of_equal(points[best], float(planned[k]), kinks)
        net = rest + path * chosen[k]
    return {"charge_kw": np.maximum(chosen, 0.0), "discharge_kw": np.maximum(-chosen, 0.0)}


def _of_equal(points: Floats, planned: float, kinks: Sequence[float]) -> float:
    """The planned power, or the nearest to it; but what would be given away is rather kept, while that costs nothing:
    the sun may fail later."""
    nearest = float(points[np.abs(points - planned).argmin()])
    stored = [x for x in points if nearest < x <= max(kinks) + FULL_SHARE]
    return float(max(stored, default=nearest))


def _cost(inputs: Inputs, net: Floats, t: int) -> float:
    """What a step's energy costs at these powers of the nodes [EUR]."""
    return sum(_energy_eur(c, inputs, net, t) for c in inputs.commitments if c.measure == "energy" and c.period[t] >= 0)


def _energy_eur(c: Commitment, inputs: Inputs, net: Floats, t: int) -> float:
    flow = 0.0
    for f in c.flows:
        if f.node is None:
            continue
        kw = float(net[inputs.node_index[f.node]])
        flow += f.weight * (kw if f.side == "net" else max(kw if f.side == "import" else -kw, 0.0))
    kwh = inputs.axis.step_h * (flow - float(c.baseline_kw[t]))
    period = int(c.period[t])
    return float(c.price_above[period]) * max(kwh, 0.0) + float(c.price_below[period]) * max(-kwh, 0.0)


def _of_group(ids: Sequence[str], commands: Commands) -> dict[str, Floats]:
    """Command → (n, T) of a group."""
    names = commands.get(ids[0], {})
    return {name: np.array([commands[asset][name] for asset in ids]) for name in names}


def _worth(ids: Sequence[str], worth: Mapping[str, Floats]) -> Floats | None:
    return np.array([worth[asset] for asset in ids]) if ids[0] in worth else None


def told(planned: Inputs, commands: Commands, really: Inputs) -> dict[str, dict[str, Floats]]:
    """Commands as they meet what really came, on the plan's first steps: what is not curtailed gives what there is."""
    found = {}
    for asset, values in commands.items():
        mine = dict(values)
        (g, k), (h, j) = planned.where[asset], really.where[asset]
        allowed, came = planned.groups[g].columns.get("available_kw"), really.groups[h].columns.get("available_kw")
        if allowed is not None and came is not None and "generation_kw" in mine:
            most = allowed[k, : len(mine["generation_kw"])]
            free = mine["generation_kw"] >= most - FULL_SHARE * np.maximum(1.0, most)
            mine["generation_kw"] = np.where(free, came[j], mine["generation_kw"])
        found[asset] = mine
    return found
