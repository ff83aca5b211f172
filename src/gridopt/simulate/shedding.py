"""Plain shedding: what the baseline does at a hard limit or a user's rule that its devices' own rules would break.

Stores first, comfort last, each device in proportion to what it draws, those that can wait longest before the others.
Engines and boilers first give way as far as they can without stopping, then stop one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from gridopt.assets.base import Floats, Values
from gridopt.model.inputs import Inputs, LinearRule
from gridopt.simulate.player import Bools, Player
from gridopt.verify.replay import Trace

TOLERANCE_KW = 1e-6
TRIES = 3
SWEEPS = 6
"""What is shed at one node may push another one over its limit: the nodes are gone through so often at most."""


@dataclass
class Scene:
    """One interval: the devices there, in the order in which they are shed, and what each node's own devices draw."""

    t: int
    backwards: list[Player]
    branch: sp.csr_array
    own: Floats

    def net(self) -> Floats:
        return np.asarray(self.branch @ self.own)

    def add(self, q: Player, sign: float, mask: Bools | None = None) -> None:
        for port in q.group.family.ports:
            power = q.flows[f"{port.name}_kw"]
            np.add.at(self.own, q.group.nodes[port.name], sign * (power if mask is None else power * mask))

    def tell(self, q: Player, command: Values) -> None:
        """Another command for a group that has acted."""
        self.add(q, -1.0)
        q.act(self.t, command)
        self.add(q, 1.0)


def keep_limits(scene: Scene, low: Floats, high: Floats, leaves_first: Sequence[int]) -> None:
    """Shed until every node's net power lies within [low, high] (N,), or nothing is left to shed."""
    for _ in range(SWEEPS):
        before = scene.own.copy()
        net = scene.net()
        outside = [k for k in leaves_first if net[k] > high[k] + TOLERANCE_KW or net[k] < low[k] - TOLERANCE_KW]
        for k in outside:
            keep_limit(scene, k, float(low[k]), float(high[k]))
        if not outside or np.abs(scene.own - before).max() <= TOLERANCE_KW:
            break


def keep_limit(scene: Scene, k: int, low: float, high: float) -> None:
    """Shed below node k until its net power lies within [low, high], or nothing is left to shed."""
    below = scene.branch[[k], :].toarray()[0] > 0
    for j, q in enumerate(scene.backwards):
        peers = [r for r in scene.backwards[j:] if r.group.family is q.group.family]
        for port in q.group.family.ports:
            for gently in (True, False) if q.led_by else (False,):
                if _shed_port(scene, peers, port.name, below, (low, high), gently):
                    return


def _shed_port(
    scene: Scene, peers: list[Player], port: str, below: Bools, band: tuple[float, float], gently: bool
) -> bool:
    """Shed at one port of the first of ``peers``; whether the node is within its band then.

    ``gently``: no device gives more than it is asked for, which one at its least power would by stopping.
    """
    q, (low, high), name = peers[0], band, f"{port}_kw"
    stuck = np.zeros(q.group.n, bool)
    for _ in range(q.group.n if q.led_by and not gently else TRIES):
        net = float(scene.own[below].sum())
        cut = net - high if net > high + TOLERANCE_KW else net - low if net < low - TOLERANCE_KW else 0.0
        if cut == 0.0:
            return True
        power, told = q.flows[name], q.command
        able = [np.maximum(np.sign(cut) * r.flows[name], 0.0) * below[r.group.nodes[port]] for r in peers]
        able[0] *= ~stuck
        if able[0].sum() <= TOLERANCE_KW:
            return False
        asked = _last(able[0], abs(cut)) if q.led_by and not gently else _asked(peers, scene.t, able, abs(cut))
        scene.tell(q, q.shed(scene.t, port, np.sign(cut) * asked))
        gave = np.sign(cut) * (power - q.flows[name])
        if gently and (gave > asked + TOLERANCE_KW).any():
            too_much = gave > asked + TOLERANCE_KW
            scene.tell(q, {c: np.where(too_much, told[c], value) for c, value in q.command.items()})
            gave = np.where(too_much, 0.0, gave)
        # What one device cannot shed is asked of the others.
        stuck |= (np.abs(gave) <= TOLERANCE_KW) & (asked > 0)
    return False


def _last(able: Floats, cut_kw: float) -> Floats:
    """(n,) the last device that can, for all of it."""
    asked = np.zeros_like(able)
    k = int(np.flatnonzero(able > TOLERANCE_KW)[-1]) if (able > TOLERANCE_KW).any() else int(able.argmax())
    asked[k] = min(cut_kw, able[k])
    return asked


def _asked(peers: list[Player], t: int, able: list[Floats], cut_kw: float) -> Floats:
    """(n,) what each device of the first of ``peers`` is asked for: in proportion to what it draws.

    Where devices differ in how long they can wait, it is asked in that order of those of all peers.
    """
    waits = np.concatenate([r.patience(t) for r in peers])
    if np.isnan(waits).all():
        return np.asarray(cut_kw * able[0] / able[0].sum())
    power = np.concatenate(able)
    asked = cut_kw * power / power.sum()
    queue = np.argsort(-waits, kind="stable")[: int((~np.isnan(waits)).sum())]
    before = np.cumsum(power[queue]) - power[queue]
    asked[queue] = np.clip(asked[queue].sum() - before, 0.0, power[queue])
    return np.asarray(asked[: len(able[0])])


# --- users' rules ----------------------------------------------------------------------------------------------------

SIDES = {"import_kw": 1.0, "export_kw": -1.0}


class Rules:
    """The users' linear rules while the day runs: what each has come to so far, and what of it is still to come."""

    def __init__(self, inputs: Inputs, players: Sequence[Player]) -> None:
        self.inputs, self.players = inputs, players
        self.so_far = np.zeros(len(inputs.rules))
        self.ends = [max((step for *_, step in rule.terms), default=-1) for rule in inputs.rules]
        self.grows = [(_only_grows(inputs, rule, 1.0), _only_grows(inputs, rule, -1.0)) for rule in inputs.rules]

    def keep(self, scene: Scene) -> None:
        """Shed what would break a rule now: what it comes to by its last step, or at once where it can only grow."""
        for n, rule in enumerate(self.inputs.rules):
            terms = [term for term in rule.terms if term[-1] == scene.t]
            over, under = self.grows[n]
            last = self.ends[n] == scene.t
            for sign, side, open_end in ((1.0, rule.high, over), (-1.0, -rule.low, under)):
                if terms and np.isfinite(side) and (last or open_end):
                    self._keep_side(scene, n, terms, sign, side)

    def _keep_side(
        self, scene: Scene, n: int, terms: list[tuple[float, str, str, str, int]], sign: float, most: float
    ) -> None:
        for _ in range(TRIES):
            before = self._now(scene, terms)
            for coefficient, what, name, variable, _ in terms:
                excess = sign * (self.so_far[n] + self._now(scene, terms)) - most
                if excess <= TOLERANCE_KW:
                    return
                if what == "node":
                    _shed_node(scene, self.inputs.node_index[name], variable, sign * coefficient, excess)
                else:
                    self._shed_asset(scene, name, variable, sign * coefficient, excess)
            if abs(self._now(scene, terms) - before) <= TOLERANCE_KW:
                return

    def settle(self, scene: Scene) -> None:
        """Accept the interval."""
        for n, rule in enumerate(self.inputs.rules):
            self.so_far[n] += self._now(scene, [term for term in rule.terms if term[-1] == scene.t])

    def _now(self, scene: Scene, terms: Sequence[tuple[float, str, str, str, int]]) -> float:
        net = scene.net()
        total = 0.0
        for coefficient, what, name, variable, _ in terms:
            if what == "node":
                total += coefficient * _node_value(float(net[self.inputs.node_index[name]]), variable)
            else:
                g, k = self.inputs.where[name]
                q = self.players[g]
                values = q.flows.get(variable, q.after.get(variable))
                total += coefficient * float(values[k]) if values is not None and q.at(scene.t)[2][k] else 0.0
        return total

    def _shed_asset(self, scene: Scene, name: str, variable: str, coefficient: float, excess: float) -> None:
        """Less of what a device draws or feeds in, where that lowers the variable that counts; else it stays as is."""
        g, k = self.inputs.where[name]
        q = self.players[g]
        if coefficient <= 0 or q not in scene.backwards or variable not in q.flows:
            return
        value = float(q.flows[variable][k])
        for port in q.group.family.ports:
            power = float(q.flows[f"{port.name}_kw"][k])
            if value <= TOLERANCE_KW or abs(power) <= TOLERANCE_KW:
                continue
            told, cut = q.command, np.zeros(q.group.n)
            cut[k] = np.sign(power) * min(excess / coefficient / value, 1.0) * abs(power)
            scene.tell(q, q.shed(scene.t, port.name, cut))
            if q.flows[variable][k] < value - TOLERANCE_KW:
                return
            scene.tell(q, told)


def _node_value(net_kw: float, variable: str) -> float:
    return max(SIDES[variable] * net_kw, 0.0) if variable in SIDES else net_kw


def _shed_node(scene: Scene, k: int, variable: str, coefficient: float, excess: float) -> None:
    """Less drawn, or less fed in, below a node, as far as that lowers ``coefficient`` × its variable by ``excess``."""
    direction = coefficient * SIDES.get(variable, 1.0)
    if variable in SIDES and coefficient < 0:
        return  # more import or export is nothing to shed
    net = float(scene.net()[k])
    wanted = net - excess / direction
    if variable in SIDES:
        wanted = max(wanted, 0.0) if direction > 0 else min(wanted, 0.0)
    low, high = (-np.inf, wanted) if direction > 0 else (wanted, np.inf)
    keep_limit(scene, k, low, high)


def _only_grows(inputs: Inputs, rule: LinearRule, sign: float) -> bool:
    """Whether no term can take back what the others add: all are powers of one direction, weighted one way."""
    for coefficient, what, name, variable, _ in rule.terms:
        if what == "node":
            one_way = variable in SIDES
        else:
            one_way = variable in inputs.groups[inputs.where[name][0]].family.commands
        if not one_way or sign * coefficient < 0:
            return False
    return True


def found(inputs: Inputs, rule: LinearRule, net_kw: Floats, trace: Trace) -> float | None:
    """What a rule comes to over the day; None where one of its variables belongs to the plan alone."""
    total = 0.0
    for coefficient, what, name, variable, step in rule.terms:
        if what == "node":
            total += coefficient * _node_value(float(net_kw[inputs.node_index[name], step]), variable)
            continue
        g, k = inputs.where[name]
        values, local = trace.steps[g].get(variable), step - int(inputs.groups[g].offset[k])
        if step < 0:
            values, local = trace.ends[g].get(variable), 0
            values = None if values is None else values[:, None]
        if values is None:
            return None
        total += coefficient * float(values[k, local]) if 0 <= local < values.shape[1] else 0.0
    return total
