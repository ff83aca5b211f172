"""The baseline twin: the same district, the same day, run by the devices' own rules instead of a plan.

Every device follows ``Family.rule`` in the order of ``Family.order``. Devices of one group at one node share what the
node has left over equally; engines and boilers, which a node leads (``led_by``), take their turns in a cascade, those
that run first. Stores of heat and hydrogen balance their node once more when all have acted. Hard node limits and
users' rules are then kept by plain shedding (``gridopt.simulate.shedding``). What still stands above a limit is a
breach, a rule broken all the same is listed by name, and so is a person's override that the device could not follow:
nothing is hidden. Outages hold here too; priced contracts steer only the plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import scipy.sparse as sp

from gridopt.assets.base import Floats, Ints, Values
from gridopt.clock import runs
from gridopt.model.inputs import Inputs, Pin
from gridopt.simulate.player import Bools, Player, held_by_hand
from gridopt.simulate.shedding import Rules, Scene, found, keep_limits
from gridopt.verify.ledger import Ledger, bill
from gridopt.verify.outages import with_outages
from gridopt.verify.replay import Trace

STORES = 3
"""``Family.order`` of the stores that balance a node of heat or hydrogen."""
OFF = 1e-5
"""How far a power or a rule may be off, per unit of its own size above 1."""


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
class BrokenRule:
    """A user's rule that the day does not keep: it comes to ``found`` outside [low, high].

    None: the rule speaks of variables that only a plan has, so whether the day keeps it is not known.
    """

    name: str
    low: float
    high: float
    found: float | None

    @property
    def by(self) -> float | None:
        """How far outside, in the rule's own unit."""
        return None if self.found is None else max(self.low - self.found, self.found - self.high)


@dataclass(frozen=True)
class Refused:
    """A person's override that the device could not follow on steps [first, last): what it did at the worst step."""

    asset: str
    variable: str
    first: int
    last: int
    wanted: float
    did: float


@dataclass(frozen=True)
class Twin:
    """What would have happened without a plan. ``net_kw``: (N, T) power every node draws from its parent."""

    trace: Trace
    net_kw: Floats
    ledger: Ledger
    breaches: tuple[Breach, ...]
    broken: tuple[BrokenRule, ...] = ()
    refused: tuple[Refused, ...] = ()


def twin(inputs: Inputs) -> Twin:
    """Run the day by rule."""
    inputs = with_outages(inputs)
    players = [Player(g, inputs.axis.step_h, held_by_hand(inputs, g)) for g in inputs.groups]
    for player in players:
        player.begin()
    turns = sorted(players, key=_turn)
    branch = _branches(inputs)
    low, high = (np.array(x) for x in zip(*(n.net_bounds() for n in inputs.nodes), strict=True))
    leaves_first = np.argsort(np.asarray(branch.sum(axis=1)).ravel(), kind="stable").tolist()
    rules = Rules(inputs, players)
    net = np.zeros((len(inputs.nodes), inputs.axis.steps))
    for t in range(inputs.axis.steps):
        playing = [q for q in turns if q.at(t)[2].any()]
        scene = Scene(t, playing[::-1], branch, np.zeros(len(inputs.nodes)))
        _act(scene, playing)
        keep_limits(scene, low[:, t], high[:, t], leaves_first)
        rules.keep(scene)
        rules.settle(scene)
        for q in playing:
            q.settle(t)
        net[:, t] = scene.net()
    trace = Trace(tuple(q.day() for q in players), tuple(q.close() for q in players))
    return Twin(
        trace,
        net,
        bill(inputs, net, trace),
        tuple(_breaches(inputs, net, low, high)),
        tuple(_broken(inputs, net, trace)),
        tuple(_refused(inputs, trace)),
    )


def _turn(q: Player) -> tuple[int, str]:
    return q.group.family.order, q.group.family.name


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


# --- one interval ----------------------------------------------------------------------------------------------------


def _act(scene: Scene, playing: Sequence[Player]) -> None:
    """Every device by its own rule; stores once more before what comes after engines and boilers."""
    stores = [q for q in playing if q.group.family.order == STORES]
    balanced = not stores
    for (order, _), same in groupby(playing, key=_turn):
        if order > STORES + 1 and not balanced:
            _balance(scene, stores)
            balanced = True
        peers = list(same)
        if peers[0].led_by:
            _cascade(scene, peers, stores)
        for q in peers if not peers[0].led_by else ():
            q.act(scene.t, q.group.family.rule(q.at(scene.t)[0], q.state, _surplus(scene, q)))
            scene.add(q, 1.0)
    if not balanced:
        _balance(scene, stores)


def _balance(scene: Scene, stores: Sequence[Player]) -> None:
    """Stores take what engines and boilers at their least power make too much of, before it is shed."""
    for q in stores:
        scene.add(q, -1.0)
        q.act(scene.t, q.group.family.rule(q.at(scene.t)[0], q.state, _surplus(scene, q)))
        scene.add(q, 1.0)


def _cascade(scene: Scene, peers: Sequence[Player], stores: Sequence[Player]) -> None:
    """Devices of one family, one after another at each node: those that run first, then by id."""
    for q in peers:
        q.act(scene.t, q.rests())
    for running in (True, False):
        for q in peers:
            p, _, active = q.at(scene.t)
            was_on = q.state["on"] > 0.5 if "on" in q.state else np.ones(q.group.n, bool)
            rank = _rank(q.group.nodes[q.led_by], active & (was_on == running))
            told = q.command
            for r in range(int(rank.max(initial=-1)) + 1):
                mine = rank == r
                wanted = q.group.family.rule(p, q.state, _surplus(scene, q, stores))
                told = {name: np.where(mine, wanted[name], told.get(name, 0.0)) for name in wanted}
                q.act(scene.t, told)
                scene.add(q, 1.0, mine)


def _rank(node: Ints, mine: Bools) -> Ints:
    """(n,) how many of ``mine`` stand before each device at its node; -1 for those that are not among them."""
    rank = np.full(len(node), -1, np.int64)
    for at in np.unique(node[mine]):
        here = np.flatnonzero(mine & (node == at))
        rank[here] = np.arange(len(here))
    return rank


def _surplus(scene: Scene, q: Player, stores: Sequence[Player] | None = None) -> Values:
    """Per port, what its node has left over, shared among the group's active devices there.

    With ``stores`` it is not shared, and what those at the node hold and have room for is told besides [kWh].
    """
    left = -scene.net()
    out = {}
    if stores is None:
        active = q.at(scene.t)[2]
        for port in q.group.family.ports:
            node = q.group.nodes[port.name]
            sharing = np.bincount(node, active, len(left))
            out[port.name] = left[node] / np.maximum(sharing[node], 1.0)
        return out
    holds, room = _stored(scene, stores, len(left))
    for port in q.group.family.ports:
        node = q.group.nodes[port.name]
        out[port.name] = left[node]
        out[f"{port.name}_stored_kwh"], out[f"{port.name}_room_kwh"] = holds[node], room[node]
    return out


def _stored(scene: Scene, stores: Sequence[Player], nodes: int) -> tuple[Floats, Floats]:
    """(N,) what the stores at each node hold above their lower edge, and their room below the upper one [kWh]."""
    holds, room = np.zeros(nodes), np.zeros(nodes)
    for q in stores:
        p, level = q.at(scene.t)[0], q.state["level_kwh"]
        for node in q.group.nodes.values():
            np.add.at(holds, node, np.maximum(level - p.low_kwh, 0.0))
            np.add.at(room, node, np.maximum(p.high_kwh - level, 0.0))
    return holds, room


# --- what the day broke ----------------------------------------------------------------------------------------------


def _breaches(inputs: Inputs, net: Floats, low: Floats, high: Floats) -> list[Breach]:
    out: list[Breach] = []
    for k, node in enumerate(inputs.nodes):
        for side, over in (("import", net[k] - high[k]), ("export", low[k] - net[k])):
            where = over > OFF * np.maximum(1.0, np.abs(net[k]))
            for first, last in runs(where):
                piece = over[first:last]
                energy = float(piece.sum()) * inputs.axis.step_h
                out.append(Breach(node.id, side, first, last, float(piece.max()), energy))
    return out


def _broken(inputs: Inputs, net: Floats, trace: Trace) -> Iterator[BrokenRule]:
    for rule in inputs.rules:
        total = found(inputs, rule, net, trace)
        one = BrokenRule(rule.name, rule.low, rule.high, total)
        if total is None or one.by is None or one.by > OFF * max(1.0, abs(total)):
            yield one


def _refused(inputs: Inputs, trace: Trace) -> Iterator[Refused]:
    """Overrides and outages of what the physics tells; those of the plan's own variables mean nothing to a device."""
    for pin in inputs.pins:
        g, k = inputs.where[pin.asset]
        values = trace.steps[g].get(pin.variable)
        if values is not None and not _overruled(inputs, pin):
            offset = int(inputs.groups[g].offset[k])
            first = max(pin.first - offset, 0)
            did = values[k, first : max(min(pin.last - offset, values.shape[1]), first)]
            off = np.abs(did - pin.value)
            for begin, end in runs(off > OFF * max(1.0, abs(pin.value))):
                worst = begin + int(off[begin:end].argmax())
                start = offset + first
                yield Refused(pin.asset, pin.variable, start + begin, start + end, pin.value, float(did[worst]))


def _overruled(inputs: Inputs, pin: Pin) -> bool:
    """Whether it is an outage's status under a person's order of power, which wins."""
    if pin.why != "outage" or pin.variable != "on":
        return False
    return any(
        p.asset == pin.asset and p.why != "outage" and p.value > 0 and p.first < pin.last and pin.first < p.last
        for p in inputs.pins
    )
