"""The baseline twin: the same district, the same day, run by the devices' own rules instead of a plan.

Every device follows ``Family.rule`` in the order of ``Family.order``; devices of one group at one node share what the
node has left over equally. Hard node limits are then kept by plain shedding (``Family.shed``), stores first, comfort
last, each device in proportion to what it draws. What still stands above a limit is listed as a breach, never hidden.
Overrides and outages hold here too; priced contracts and users' rules steer only the plan.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from gridopt.assets.base import Floats, State, Values
from gridopt.clock import runs
from gridopt.model.inputs import Group, Inputs
from gridopt.model.template import template
from gridopt.verify.ledger import Ledger, bill
from gridopt.verify.replay import Trace

TOLERANCE_KW = 1e-6
TRIES = 3
SWEEPS = 6
"""What is shed at one node may push another one over its limit: the nodes are gone through so often at most."""


@dataclass(frozen=True)
class Breach:
    """A hard limit the rules could not keep: ``side`` "import" or "export", steps [first, last)."""

    node: str
    side: str
    first: int
    last: int
    worst_kw: float
    energy_kwh: float


@dataclass(frozen=True)
class Twin:
    """What would have happened without a plan. ``net_kw``: (N, T) power every node draws from its parent."""

    trace: Trace
    net_kw: Floats
    ledger: Ledger
    breaches: tuple[Breach, ...]


@dataclass
class _Player:
    """One group while the day runs."""

    group: Group
    step_h: float
    held: dict[str, tuple[Floats, npt.NDArray[np.bool_]]]
    state: State = field(default_factory=dict)
    trace: dict[str, Floats] = field(default_factory=dict)
    command: Values = field(default_factory=dict)
    after: State = field(default_factory=dict)
    flows: Values = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()

    def begin(self) -> None:
        block = template(self.group.family, self.group.steps, self.group.options)
        # An option may leave a command out of the block: a roof that cannot be curtailed is not.
        self.fixed = frozenset(self.group.family.commands) - {v.name for v in block.variables}
        first = np.zeros(self.group.n, np.int64)
        self.state = dict(self.group.family.start(self.view(first)))

    def view(self, local: npt.NDArray[np.int64]) -> SimpleNamespace:
        """Columns with every device at its own local step."""
        rows = np.arange(self.group.n)
        series = self.group.family.series_names()
        return SimpleNamespace(
            step_h=self.step_h,
            **{name: a[rows, local] if name in series else a for name, a in self.group.columns.items()},
        )

    def at(self, t: int) -> tuple[SimpleNamespace, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
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

    def _record(self, name: str, rows: npt.NDArray[np.intp], local: npt.NDArray[np.int64], value: Floats) -> None:
        if name not in self.trace:
            self.trace[name] = np.zeros((self.group.n, self.group.steps))
        self.trace[name][rows, local[rows]] = value[rows]

    def close(self) -> Values:
        last = np.full(self.group.n, self.group.steps - 1)
        return self.group.family.close(self.view(last), self.state)


def twin(inputs: Inputs) -> Twin:
    """Run the day by rule."""
    players = [_Player(g, inputs.axis.step_h, _held(inputs, g)) for g in inputs.groups]
    for player in players:
        player.begin()
    turn = sorted(players, key=lambda q: (q.group.family.order, q.group.family.name))
    branch = _branches(inputs)
    low, high = (np.array(x) for x in zip(*(n.net_bounds() for n in inputs.nodes), strict=True))
    leaves_first = np.argsort(np.asarray(branch.sum(axis=1)).ravel(), kind="stable")
    net = np.zeros((len(inputs.nodes), inputs.axis.steps))
    for t in range(inputs.axis.steps):
        own = np.zeros(len(inputs.nodes))
        playing = [q for q in turn if q.at(t)[2].any()]
        for q in playing:
            q.act(t, q.group.family.rule(q.at(t)[0], q.state, _surplus(q, t, branch, own)))
            _add(own, q, 1.0)
        for _ in range(SWEEPS):
            outside = leaves_first[_outside(branch @ own, low[:, t], high[:, t])[leaves_first]]
            before = own.copy()
            for k in outside:
                _keep_limit(int(k), t, playing[::-1], branch, own, float(low[k, t]), float(high[k, t]))
            if not len(outside) or np.abs(own - before).max() <= TOLERANCE_KW:
                break
        for q in playing:
            q.settle(t)
        net[:, t] = branch @ own
    trace = Trace(tuple(_whole(q) for q in players), tuple(q.close() for q in players))
    return Twin(trace, net, bill(inputs, net, trace), tuple(_breaches(inputs, net, low, high)))


def _whole(q: _Player) -> dict[str, Floats]:
    """The trace of a group; a group whose window never came has zero flows."""
    if not q.trace:
        q.act(int(q.group.offset[0]), {name: np.zeros(q.group.n) for name in q.group.family.commands})
        return {name: np.zeros((q.group.n, q.group.steps)) for name in q.flows}
    return q.trace


def _held(inputs: Inputs, group: Group) -> dict[str, tuple[Floats, npt.NDArray[np.bool_]]]:
    """Overrides of a group: variable → (values, where held), both (n, steps)."""
    held: dict[str, tuple[Floats, npt.NDArray[np.bool_]]] = {}
    for pin in inputs.pins:
        k = group.index.get(pin.asset)
        if k is None:
            continue
        shape = (group.n, group.steps)
        value, where = held.setdefault(pin.variable, (np.zeros(shape), np.zeros(shape, bool)))
        offset = int(group.offset[k])
        window = slice(max(pin.first - offset, 0), max(min(pin.last - offset, group.steps), 0))
        value[k, window], where[k, window] = pin.value, True
    return held


def _branches(inputs: Inputs) -> sp.csr_array:
    """(N, N) matrix: row k sums over node k and all below it."""
    above, below = [], []
    for k in range(len(inputs.nodes)):
        j = k
        while j >= 0:
            above.append(j)
            below.append(k)
            j = int(inputs.parents[j])
    n = len(inputs.nodes)
    return sp.csr_array((np.ones(len(above)), (above, below)), shape=(n, n))


def _surplus(q: _Player, t: int, branch: sp.csr_array, own: Floats) -> Values:
    """Per port, what its node has left over, shared among the group's active devices there."""
    left = -(branch @ own)
    active = q.at(t)[2]
    out = {}
    for port in q.group.family.ports:
        node = q.group.nodes[port.name]
        sharing = np.bincount(node, active, len(left))
        out[port.name] = left[node] / np.maximum(sharing[node], 1.0)
    return out


def _add(own: Floats, q: _Player, sign: float) -> None:
    for port in q.group.family.ports:
        np.add.at(own, q.group.nodes[port.name], sign * q.flows[f"{port.name}_kw"])


def _outside(net: Floats, low: Floats, high: Floats) -> npt.NDArray[np.bool_]:
    return (net > high + TOLERANCE_KW) | (net < low - TOLERANCE_KW)


def _keep_limit(
    k: int, t: int, backwards: list[_Player], branch: sp.csr_array, own: Floats, low: float, high: float
) -> None:
    """Shed below node k until its net power lies within [low, high], or nothing is left to shed."""
    below = branch[[k], :].toarray()[0] > 0
    for j, q in enumerate(backwards):
        peers = [r for r in backwards[j:] if r.group.family is q.group.family]
        for port in q.group.family.ports:
            name, stuck = f"{port.name}_kw", np.zeros(q.group.n, bool)
            for _ in range(TRIES):
                net = float(own[below].sum())
                cut = net - high if net > high + TOLERANCE_KW else net - low if net < low - TOLERANCE_KW else 0.0
                if cut == 0.0:
                    return
                power = q.flows[name]
                able = [np.maximum(np.sign(cut) * r.flows[name], 0.0) * below[r.group.nodes[port.name]] for r in peers]
                able[0] *= ~stuck
                if able[0].sum() <= TOLERANCE_KW:
                    break
                asked = _asked(peers, t, able, abs(cut))
                _add(own, q, -1.0)
                does = {c: q.flows.get(c, value) for c, value in q.command.items()}
                wanted = q.group.family.shed(q.at(t)[0], q.state, does, port.name, np.sign(cut) * asked)
                q.act(t, {c: q.command[c] if c in q.fixed else value for c, value in wanted.items()})
                _add(own, q, 1.0)
                # What one device cannot shed is asked of the others.
                stuck |= np.abs(q.flows[name] - power) <= TOLERANCE_KW


def _asked(peers: list[_Player], t: int, able: list[Floats], cut_kw: float) -> Floats:
    """(n,) what each device of the first of ``peers`` is asked for: in proportion to what it draws.

    Where devices differ in how long they can wait, it is asked in that order of those of all peers.
    """
    waits = np.concatenate([_patience(r, t) for r in peers])
    if np.isnan(waits).all():
        return np.asarray(cut_kw * able[0] / able[0].sum())
    power = np.concatenate(able)
    asked = cut_kw * power / power.sum()
    queue = np.argsort(-waits, kind="stable")[: int((~np.isnan(waits)).sum())]
    before = np.cumsum(power[queue]) - power[queue]
    asked[queue] = np.clip(asked[queue].sum() - before, 0.0, power[queue])
    return np.asarray(asked[: len(able[0])])


def _patience(q: _Player, t: int) -> Floats:
    """(n,) how long each device can wait [h]; least where a person holds it, NaN where it makes no difference."""
    p, local, _ = q.at(t)
    waits = q.group.family.patience(p, q.state)
    if waits is None:
        return np.full(q.group.n, np.nan)
    held = [where[np.arange(q.group.n), local] for _, where in q.held.values()]
    return np.where(np.any(held, axis=0) & np.isfinite(waits), -np.inf, waits) if held else waits


def _breaches(inputs: Inputs, net: Floats, low: Floats, high: Floats) -> list[Breach]:
    out: list[Breach] = []
    for k, node in enumerate(inputs.nodes):
        for side, over in (("import", net[k] - high[k]), ("export", low[k] - net[k])):
            where = over > 1e-5 * np.maximum(1.0, np.abs(net[k]))
            for first, last in runs(where):
                piece = over[first:last]
                energy = float(piece.sum()) * inputs.axis.step_h
                out.append(Breach(node.id, side, first, last, float(piece.max()), energy))
    return out
