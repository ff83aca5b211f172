"""From a point of the elastic programme to culprits, and to the mends that follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from gridopt.assets.base import Exclusive, Floats, Ints, SemiContinuous, Whole
from gridopt.clock import Axis, runs
from gridopt.model.assemble import Assembly
from gridopt.model.inputs import Inputs, LinearRule, Node, Pin
from gridopt.solve.culprits import Culprit, Powers, beside, who
from gridopt.solve.elastic import TOLERANCE, Bools, Elastic, gives_as_one
from gridopt.solve.mends import CURTAILABLE, SHRINKING, Mend, away
from gridopt.solve.words import NOISE, TEXTS, down, up, when
from gridopt.units import unit_of

Found = tuple[list[Culprit], list[Mend]]
Port = tuple[tuple[str, ...], Ints, Floats]
"""A port of a group: the devices' ids, (n,) their nodes, (n, T) their power."""


class Reader:
    """What a point violates, read from its flows."""

    def __init__(self, e: Elastic, x: Floats) -> None:
        self.e, self.x = e, x
        self.inputs, self.axis = e.a.inputs, e.a.inputs.axis

    # --- limits ---

    @cached_property
    def _net(self) -> Floats:
        """(N, T) net power of every node, with what flows beyond the limits."""
        e = self.e
        net = np.array([e.a.net_kw(k, self.x) for k in range(len(e.a.nodes))])
        for place, sign in ((e.more_in, 1.0), (e.more_out, -1.0)):
            k, t = np.nonzero(place >= 0)
            net[k, t] += sign * self.x[place[k, t]]
        return net

    def _over(self, k: int) -> tuple[Floats, Floats]:
        """(T,) a node's power beyond what may flow in, and out."""
        low, high = self.inputs.nodes[k].net_bounds()
        return np.maximum(self._net[k] - high, 0.0), np.maximum(low - self._net[k], 0.0)

    def limits(self) -> Found:
        culprits: list[Culprit] = []
        mends: list[Mend] = []
        for k, node in enumerate(self.inputs.nodes):
            for side, sign, over in zip(("import", "export"), (1.0, -1.0), self._over(k), strict=True):
                hit = over > TOLERANCE
                culprits += [self._limit(k, side, sign, over, first, last) for first, last in runs(hit)]
                wanted = sign * self._net[k] + node.reserve_kw
                mends += _limit_mends(self.axis, node, f"{side}_max_kw", wanted, hit)
        return culprits, mends

    def lowered(self) -> list[Mend] | None:
        """Reserves lowered in place of limits raised; None where they cannot make up for all of it."""
        mends: list[Mend] = []
        for k, node in enumerate(self.inputs.nodes):
            hit = np.maximum(*self._over(k)) > TOLERANCE
            left = np.minimum(node.import_max_kw - self._net[k], node.export_max_kw + self._net[k])
            if (left < -TOLERANCE)[hit].any():
                return None
            mends += _limit_mends(self.axis, node, "reserve_kw", left, hit)
        return mends or None

    def curtailed(self) -> list[Mend] | None:
        """Plants that must feed in all they have, allowed to be limited, in place of export limits raised.

        The largest first, at every node as many as make up for what is left over; None where they cannot.
        """
        chosen: dict[str, None] = {}
        for k in range(len(self.inputs.nodes)):
            over = self._over(k)[1]
            hit = over > TOLERANCE
            left = np.where(hit, over, 0.0)
            for asset, power in self._rigid_plants(k) if hit.any() else ():
                if (left > TOLERANCE).any() and power[left > TOLERANCE].any():
                    chosen[asset] = None
                    left = np.maximum(left - power, 0.0)
            if (left > TOLERANCE).any():
                return None
        T = self.axis.steps
        return [Mend("option", asset, CURTAILABLE, 0.0, 1.0, 0, T).told(self.axis) for asset in chosen] or None

    def _rigid_plants(self, node: int) -> list[tuple[str, Floats]]:
        """Plants at and below a node whose output cannot be limited, with what each feeds in, the largest first."""
        found = []
        for group in self.inputs.groups:
            options = dict(zip(group.family.options, group.options, strict=True))
            if options.get(CURTAILABLE) is not False:
                continue
            for ids, nodes, power in self._port_powers:
                if ids == group.ids:
                    below = [j for j in range(group.n) if _is_below(self.inputs, int(nodes[j]), node)]
                    found += [(ids[j], np.maximum(-power[j], 0.0)) for j in below]
        return sorted(found, key=lambda plant: (-plant[1].sum(), plant[0]))

    def _limit(self, k: int, side: str, sign: float, over: Floats, first: int, last: int) -> Culprit:
        node, quantity = self.inputs.nodes[k], f"{side}_max_kw"
        worst = first + int(over[first:last].argmax())
        limit, reserve = float(getattr(node, quantity)[worst]), float(node.reserve_kw[worst])
        powers = self._powers(k, worst, sign)
        energy = float(over[first:last].sum() * self.axis.step_h)
        culprit = Culprit("limit", node.id, quantity, first, last, limit, float(over[worst]), "kW", energy, powers)
        key = side if limit or reserve else f"{side}.closed"
        return culprit.told(self.axis, key, beside=beside(limit, reserve), who=who(side, powers))

    @cached_property
    def _port_powers(self) -> list[Port]:
        return list(_port_powers(self.e.a, self.x))

    def _powers(self, node: int, step: int, sign: float) -> Powers:
        """What draws (sign 1) or feeds in (-1) at a node and below it, largest first."""
        below = np.array([_is_below(self.inputs, k, node) for k in range(len(self.inputs.nodes))])
        found: dict[str, float] = {}
        for ids, nodes, power in self._port_powers:
            for k in np.flatnonzero(below[nodes] & (sign * power[:, step] > TOLERANCE)):
                found[ids[k]] = found.get(ids[k], 0.0) + sign * float(power[k, step])
        return tuple(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    # --- pins and outages ---

    def pins(self) -> Found:
        """One culprit a run of steps on which a pin gives the same way; one a run on which an outage gives at all."""
        h, pins = self.e.held, self.inputs.pins
        off = self.x[h.column] - h.value
        alike: dict[tuple[str, str, float], list[int]] = {}
        for i in np.flatnonzero(np.abs(off) > TOLERANCE):
            pin = pins[h.pin[i]]
            one_way = pin.why != "outage" and not _is_between(self.inputs, pin, int(h.step[i]))
            alike.setdefault((*gives_as_one(pin), float(np.sign(off[i])) if one_way else 0.0), []).append(int(i))
        culprits: list[Culprit] = []
        mends: list[Mend] = []
        for (asset, name, _), found in alike.items():
            places = np.array(found)
            hit = np.zeros(self.axis.steps, bool)
            hit[h.step[places]] = True
            for first, last in runs(hit):
                here = places[(h.step[places] >= first) & (h.step[places] < last)]
                culprit, mend = (self._outage if name == "outage" else self._pin)(asset, here, off[here], first, last)
                culprits.append(culprit)
                mends.append(mend)
        return culprits, mends

    def _pin(self, asset: str, places: Ints, off: Floats, first: int, last: int) -> tuple[Culprit, Mend]:
        h = self.e.held
        pin = self.inputs.pins[h.pin[places[int(np.abs(off).argmax())]]]
        amount, energy = self._size(pin.variable, off)
        key = "pin.high" if off[0] < 0 else "pin.low"
        decision = _decision(self.inputs, pin)
        if _is_between(self.inputs, pin, first):
            key, amount = "pin.whole", max(amount, 1.0) if isinstance(decision, Whole) else amount
        unit = unit_of(pin.variable)
        culprit = Culprit("pin", asset, pin.variable, first, last, pin.value, amount, unit, energy)
        value = self.x[h.column[places]]
        new: float | None = None
        if np.ptp(value) <= NOISE and decision is None:
            new = down(float(value.min())) if off[0] < 0 else up(float(value.max()))
        mend = Mend("pin", asset, pin.variable, pin.value, new, first, last)
        return culprit.told(self.axis, key, also=self._beside_outage(pin, first, last)), mend.told(self.axis)

    def _beside_outage(self, pin: Pin, first: int, last: int) -> str:
        """Where an asset is out of service too: which of the two wins, and why."""
        also = [p for p in self.inputs.pins if p.asset == pin.asset and p.why == "outage"]
        shared = [(max(p.first, first), min(p.last, last)) for p in also if p.first < last and first < p.last]
        if not shared:
            return ""
        span = when(self.axis, min(a for a, _ in shared), max(b for _, b in shared))
        return TEXTS["also.outage"].format(when=span)

    def _beside_pins(self, asset: str, first: int, last: int) -> str:
        """What else of an asset that is out of service a person holds."""
        mine = [p for p in self.inputs.pins if p.asset == asset and p.why != "outage"]
        here = sorted({p.variable for p in mine if p.first < last and first < p.last})
        return TEXTS["also.pin"].format(list=", ".join(here)) if here else ""

    def _outage(self, asset: str, places: Ints, off: Floats, first: int, last: int) -> tuple[Culprit, Mend]:
        """The largest power, or else the largest of what is needed, stands for the asset."""
        names = np.array([self.inputs.pins[p].variable for p in self.e.held.pin[places]])
        powers = np.array([unit_of(name) == "kW" for name in names])
        variable = str(names[np.lexsort((np.abs(off), powers))[-1]])
        amount, energy = self._size(variable, off[names == variable])
        culprit = Culprit("outage", asset, variable, first, last, 0.0, amount, unit_of(variable), energy)
        mend = Mend("outage", asset, "outage", 0.0, None, first, last)
        also = self._beside_pins(asset, first, last)
        return culprit.told(self.axis, "outage", also=also), mend.told(self.axis)

    def _size(self, variable: str, off: Floats) -> tuple[float, float | None]:
        """The largest distance, and the energy of a power's distances."""
        size = np.abs(off)
        return float(size.max()), float(size.sum() * self.axis.step_h) if unit_of(variable) == "kW" else None

    # --- rules, and what devices demand of themselves ---

    def rules(self) -> Found:
        """One culprit a name and side: a rule of the user's may be many rows."""
        missed: dict[tuple[str, str], list[tuple[float, LinearRule]]] = {}
        for rule, value in zip(self.inputs.rules, self.e.rule_values(self.x), strict=True):
            for side, short in (("low", rule.low - value), ("high", value - rule.high)):
                if short > TOLERANCE:
                    missed.setdefault((rule.name, side), []).append((float(short), rule))
        culprits: list[Culprit] = []
        mends: list[Mend] = []
        for (name, side), found in missed.items():
            amount, worst = max(found, key=lambda f: f[0])
            limit = float(getattr(worst, side))
            first, last = _span([rule for _, rule in found], self.axis.steps)
            units = {unit_of(term[3]) for _, rule in found for term in rule.terms}
            unit = units.pop() if len(units) == 1 else ""
            culprit = Culprit("rule", name, side, first, last, limit, amount, unit)
            culprits.append(culprit.told(self.axis, f"rule.{side}"))
            new = away(side, limit - amount if side in SHRINKING else limit + amount)
            mends.append(Mend("rule", name, side, limit, new, first, last).told(self.axis))
        return culprits, mends

    def assets(self) -> list[Culprit]:
        """Rows that devices and contracts miss, and bounds of theirs that contradict themselves, one a run of steps."""
        e, a, T = self.e, self.e.a, self.axis.steps
        rows = np.maximum(*(self.x[columns] for columns in e.assets))
        found = [(a.row_name(len(a.nodes) * T + int(i)), rows[i]) for i in np.flatnonzero(rows > TOLERANCE)]
        found += [(a.column_name(int(j)), a.lp.lower[j] - a.lp.upper[j]) for j in e.crossed]
        missed: dict[tuple[str, str], dict[int, float]] = {}
        for (_, name, quantity, step), amount in found:
            missed.setdefault((name, quantity), {})[step] = float(amount)
        culprits = []
        for (name, quantity), by_step in missed.items():
            hit = np.zeros(T, bool)
            hit[[t for t in by_step if t >= 0]] = True
            for first, last in runs(hit) or [(0, T)]:
                most = max(v for t, v in by_step.items() if t < 0 or first <= t < last)
                culprit = Culprit("asset", name, quantity, first, last, 0.0, most, unit_of(quantity))
                culprits.append(culprit.told(self.axis, "asset"))
        return culprits


def _span(rules: Sequence[LinearRule], steps: int) -> tuple[int, int]:
    """The steps that rules speak of, [first, last); all where one speaks of the whole horizon."""
    named = [term[4] for rule in rules for term in rule.terms]
    if not named or min(named) < 0:
        return 0, steps
    return min(named), max(named) + 1


def _limit_mends(axis: Axis, node: Node, quantity: str, wanted: Floats, hit: Bools) -> list[Mend]:
    """One number for a limit that is the same all along; else one per run of steps."""
    values: Floats = getattr(node, quantity)
    one_number = bool((values == values[0]).all())
    mends: list[Mend] = []
    for first, last in [(0, axis.steps)] if one_number and hit.any() else runs(hit):
        at = first + np.flatnonzero(hit[first:last])
        worst = at[np.abs(wanted[at] - values[at]).argmax()]
        new = away(quantity, float(wanted[at].min() if quantity in SHRINKING else wanted[at].max()))
        mends.append(Mend("limit", node.id, quantity, float(values[worst]), new, first, last).told(axis, one_number))
    return mends


def _port_powers(a: Assembly, x: Floats) -> Iterator[Port]:
    for block in a.blocks:
        t, group = block.template, block.group
        numbers = t.numbers(group.columns, a.inputs.axis.step_h, group.n)
        device = np.arange(group.n)[:, None]
        for port, (terms, constant) in t.ports.items():
            power = constant.evaluate(numbers)
            if len(terms.column):
                columns = block.first + device * t.width + terms.column
                np.add.at(power, (device, terms.row), terms.value.evaluate(numbers) * x[columns])
            yield group.ids, group.nodes[port], group.on_axis(power, a.inputs.axis.steps)


def _is_below(inputs: Inputs, k: int, node: int) -> bool:
    while k >= 0 and k != node:
        k = int(inputs.parents[k])
    return k >= 0


def _decision(inputs: Inputs, pin: Pin) -> Whole | SemiContinuous | None:
    """The decision that keeps the variable from taking just any value."""
    for d in inputs.groups[inputs.where[pin.asset][0]].family.decisions:
        if not isinstance(d, Exclusive) and d.variable == pin.variable:
            return d
    return None


def _is_between(inputs: Inputs, pin: Pin, step: int) -> bool:
    """Whether there is no such thing as a little more or less: 0 or 1, or a value below the least power."""
    decision = _decision(inputs, pin)
    if not isinstance(decision, SemiContinuous):
        return decision is not None
    g, k = inputs.where[pin.asset]
    group = inputs.groups[g]
    least = group.columns[decision.minimum][k]
    return bool(0 < pin.value < (least if np.ndim(least) == 0 else least[step - group.offset[k]]))
