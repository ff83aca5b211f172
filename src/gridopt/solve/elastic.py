"""The district's programme with what may give added: limits, pins and rules, and at last what devices demand.

What gives is a column ≥ 0 beside the programme's own. It belongs to an item, which is what a person would change as
one: a node's limit, a pin, an outage, a rule.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from gridopt.assets.base import Floats, Ints
from gridopt.model.assemble import Assembly, LinearProgram
from gridopt.model.inputs import Pin
from gridopt.units import unit_of

Bools = npt.NDArray[np.bool_]
END = "end_short"
"""How the emergency of a store is called that holds less at the end than it shall."""
LIMIT, PIN, RULE, ASSET = 0, 1, 2, 3
"""Categories of items."""
TOLERANCE = 1e-6
"""Less than this is no culprit [kW, kWh, or the rule's own unit]."""
MOST_GIVEN = 1e5
"""Largest violation looked for, beside ten times the largest right-hand side. Finite, because HiGHS prints a line for
every two parallel columns that its presolve merges into a free one, and stdout is not ours."""


# --- what pins hold --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """The columns that pins hold: their numbers, steps, the pin in force, its value, and their devices' own bounds.

    ``other``: columns that exclude a held one which is positive (``other_to``: its place), with their largest value.
    """

    column: Ints
    step: Ints
    pin: Ints
    value: Floats
    low: Floats
    high: Floats
    other: Ints
    other_to: Ints
    other_high: Floats


def held_by_pins(a: Assembly) -> Held:
    """Where pins lie on each other the last one is in force, as in the programme."""
    pin_of, step_of = np.full(len(a.lp.cost), -1), np.zeros(len(a.lp.cost), np.int64)
    groups = set()
    for p, pin in enumerate(a.inputs.pins):
        g, k = a.inputs.where[pin.asset]
        columns = a.blocks[g].columns(pin.variable)
        if columns is not None:
            offset = int(a.blocks[g].group.offset[k])
            t = np.arange(max(pin.first - offset, 0), min(pin.last - offset, columns.shape[1]))
            pin_of[columns[k, t]], step_of[columns[k, t]] = p, offset + t
            groups.add(g)
    column = np.flatnonzero(pin_of >= 0)
    others, beside = [column[:0]], [column[:0]]
    for pair in a.pairs:
        for one, two in ((pair.first, pair.second), (pair.second, pair.first)):
            hit = (pin_of[one] >= 0) & (a.lp.lower[one] > 0) & (pin_of[two] < 0)
            others.append(two[hit])
            beside.append(one[hit])
    other = np.concatenate(others)
    low, high = _own_bounds(a, groups)
    return Held(
        column, step_of[column], pin_of[column], a.lp.lower[column], low[column], high[column],
        other, np.searchsorted(column, np.concatenate(beside)), high[other],
    )  # fmt: skip


def _own_bounds(a: Assembly, groups: set[int]) -> tuple[Floats, Floats]:
    """The programme's bounds, but those of some groups as their devices have them, pins aside."""
    low, high = a.lp.lower.copy(), a.lp.upper.copy()
    for g in groups:
        block, t = a.blocks[g], a.blocks[g].template
        numbers = t.numbers(block.group.columns, a.inputs.axis.step_h, block.group.n)
        own = slice(block.first, block.first + block.group.n * t.width)
        low[own], high[own] = t.lower.evaluate(numbers).ravel(), t.upper.evaluate(numbers).ravel()
    return low, high


def gives_as_one(pin: Pin) -> tuple[str, str]:
    """An outage ends for the whole asset, a pin for its variable."""
    return pin.asset, "outage" if pin.why == "outage" else pin.variable


# --- what gives ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Elastic:
    """The enlarged programme: without a goal, the first ``n`` columns the district's own, then what gives.

    ``category``, ``item``, ``weight``, ``step``: of every column that gives; ``free``: their numbers. The weight turns
    them into kWh, where they are powers. ``more_in``, ``more_out``: (N, T) columns of power beyond what may flow in,
    and out, -1 where nothing limits it; ``rules``, ``assets``: columns of what rows exceed, and fall short of.

    Bounds never cross: where a device's do (``crossed``: columns), or a rule's, they stand sorted, and what they
    violate is read from the values.
    """

    a: Assembly
    lp: LinearProgram
    held: Held
    category: Ints
    item: Ints
    weight: Floats
    step: Ints
    more_in: Ints
    more_out: Ints
    rules: tuple[Ints, Ints]
    assets: tuple[Ints, Ints]

    @property
    def n(self) -> int:
        return len(self.a.lp.cost)

    @property
    def free(self) -> Ints:
        return self.n + np.arange(len(self.item))

    @property
    def crossed(self) -> Ints:
        return np.flatnonzero(self.a.lp.lower > self.a.lp.upper)

    @property
    def spared(self) -> tuple[Ints, Floats]:
        """Emergencies for whose sake what gives may give more, and their weights: all but the stores' ends."""
        a = self.a
        end = [b.columns(name) for b in a.blocks for name in b.group.family.emergencies if name.startswith(END)]
        ends = np.concatenate([np.zeros(0, np.int64), *(c.ravel() for c in end if c is not None)])
        now = ~np.isin(a.emergencies, ends)
        return a.emergencies[now], a.emergency_weight[now]

    def used(self, x: Floats) -> Ints:
        """Items that give."""
        return np.unique(self.item[(x[self.free] > TOLERANCE) & (self.category != ASSET)])

    def rule_values(self, x: Floats) -> Floats:
        """What every rule's sum comes to: its row's value without what it was given."""
        y = x.copy()
        for columns in self.rules:
            y[columns] = 0.0
        value: Floats = (self.lp.matrix() @ y)[self.a.rule_row : len(self.a.lp.row_lower)]
        return value


def elastic(a: Assembly, with_assets: bool) -> Elastic:
    """``with_assets``: what devices and contracts demand of themselves may give too."""
    b, held = _Builder(a), held_by_pins(a)
    more_in, more_out = b.free_limits()
    b.free_pins(held)
    rules = np.arange(a.rule_row, len(a.lp.row_lower))
    inner = np.arange(len(a.inputs.nodes) * a.inputs.axis.steps, a.rule_row if with_assets else 0)
    rule_columns = b.free_rows(rules, RULE, [rule.name for rule in a.inputs.rules])
    asset_columns = b.free_rows(inner, ASSET, inner.tolist())
    cat = np.concatenate
    return Elastic(
        a, b.programme(), held, cat(b.category), cat(b.item), cat(b.weight), cat(b.step),
        more_in, more_out, rule_columns, asset_columns,
    )  # fmt: skip


class _Builder:
    """The programme as lists that grow by columns that give, rows, and entries."""

    def __init__(self, a: Assembly) -> None:
        self.a = a
        lp, matrix = a.lp, a.lp.matrix().tocoo()
        self.lower, self.upper = np.minimum(lp.lower, lp.upper), np.maximum(lp.lower, lp.upper)
        self._unbound()
        self.row_lower = [np.minimum(lp.row_lower, lp.row_upper)]
        self.row_upper = [np.maximum(lp.row_lower, lp.row_upper)]
        self.i: list[Ints] = [matrix.coords[0].astype(np.int64)]
        self.j: list[Ints] = [matrix.coords[1].astype(np.int64)]
        self.v: list[Floats] = [matrix.data]
        self.category: list[Ints] = []
        self.item: list[Ints] = []
        self.weight: list[Floats] = []
        self.step: list[Ints] = []
        self.columns, self.rows, self.items = len(lp.cost), len(lp.row_lower), 0

    def _unbound(self) -> None:
        """Bounds that only follow from limits, for the sake of decisions, would stand where those limits give."""
        for node, place in zip(self.a.inputs.nodes, self.a.nodes, strict=True):
            low, high = node.net_bounds()
            if len(place.import_):
                self.upper[place.import_], self.upper[place.export] = high, -low
        for c in self.a.commitments:
            for columns in (c.above, c.below, c.over):
                self.upper[columns[columns >= 0]] = np.inf

    def _add_columns(self, category: int, item: Ints, weight: Floats | float, step: Ints | int) -> Ints:
        n = len(item)
        self.category.append(np.full(n, category))
        self.item.append(item)
        self.weight.append(np.broadcast_to(np.asarray(weight, np.float64), n))
        self.step.append(np.broadcast_to(np.asarray(step, np.int64), n))
        self.columns += n
        return np.arange(self.columns - n, self.columns)

    def _add_rows(self, lower: Floats, upper: Floats) -> Ints:
        self.row_lower.append(lower)
        self.row_upper.append(upper)
        self.rows += len(lower)
        return np.arange(self.rows - len(lower), self.rows)

    def _add(self, rows: Ints, columns: Ints, values: Floats | float) -> None:
        self.i.append(rows)
        self.j.append(columns)
        self.v.append(np.broadcast_to(np.asarray(values, np.float64), len(rows)))

    def free_limits(self) -> tuple[Ints, Ints]:
        """(N, T) columns of power beyond what may flow in, and out; a node's limit is an item."""
        inputs, T = self.a.inputs, self.a.inputs.axis.steps
        low, high = np.swapaxes(np.array([node.net_bounds() for node in inputs.nodes]), 0, 1)
        places = []
        for side, limit, sign in ((0, high, 1.0), (1, low, -1.0)):
            k, t = np.nonzero(np.isfinite(limit))
            columns = self._add_columns(LIMIT, self.items + 2 * k + side, inputs.axis.step_h, t)
            self._add(k * T + t, columns, -sign)
            parent = inputs.parents[k]
            inner = parent >= 0
            self._add(parent[inner] * T + t[inner], columns[inner], sign)
            places.append(np.full(limit.shape, -1))
            places[-1][k, t] = columns
        self.items += 2 * len(inputs.nodes)
        self._into_rules(*places)
        return places[0], places[1]

    def _into_rules(self, more_in: Ints, more_out: Ints) -> None:
        """A rule about a node sees the power beyond its limits too."""
        sides = {"import_kw": ((more_in, 1.0),), "export_kw": ((more_out, 1.0),)}
        net = ((more_in, 1.0), (more_out, -1.0))
        for r, rule in enumerate(self.a.inputs.rules):
            for coefficient, what, name, variable, step in rule.terms:
                for place, sign in sides.get(variable, net) if what == "node" else ():
                    column = place[self.a.inputs.node_index[name], step]
                    if column >= 0:
                        self._add(np.array([self.a.rule_row + r]), np.array([column]), coefficient * sign)

    def free_pins(self, h: Held) -> None:
        """A held variable is free within its device's own bounds; a row ties it to its pin, and that row gives."""
        pins = [self.a.inputs.pins[p] for p in h.pin]
        self.lower[h.column], self.upper[h.column] = np.minimum(h.low, h.value), np.maximum(h.high, h.value)
        rows = self._add_rows(h.value, h.value)
        self._add(rows, h.column, 1.0)
        hourly = np.array([unit_of(pin.variable) == "kW" for pin in pins], bool)
        weight = np.where(hourly, self.a.inputs.axis.step_h, 1.0)
        _, below = self.free_rows(rows, PIN, [gives_as_one(pin) for pin in pins], weight, h.step)
        # What excludes it may be used as far as it gives way: other / most <= below / value.
        most = np.where(np.isfinite(h.other_high), h.other_high, 0.0)
        self.lower[h.other], self.upper[h.other] = np.minimum(self.lower[h.other], 0.0), most
        rows = self._add_rows(np.full(len(most), -np.inf), np.zeros(len(most)))
        self._add(rows, h.other, 1.0)
        self._add(rows, below[h.other_to], -most / h.value[h.other_to])

    def free_rows(
        self, rows: Ints, category: int, names: Sequence[Hashable], weight: Floats | float = 1.0, step: Ints | int = 0
    ) -> tuple[Ints, Ints]:
        """Columns of what rows exceed, and fall short of; rows of one name are one item."""
        of = {name: self.items + k for k, name in enumerate(dict.fromkeys(names))}
        self.items += len(of)
        item = np.array([of[name] for name in names], np.int64)
        over, short = (self._add_columns(category, item, weight, step) for _ in range(2))
        self._add(rows, over, -1.0)
        self._add(rows, short, 1.0)
        return over, short

    def programme(self) -> LinearProgram:
        """Without a goal and with everything free."""
        cat, given = np.concatenate, self.columns - len(self.lower)
        row_lower, row_upper = cat(self.row_lower), cat(self.row_upper)
        sides = np.abs(cat([row_lower, row_upper]))
        most = MOST_GIVEN + 10.0 * float(sides[np.isfinite(sides)].max(initial=0.0))
        matrix = sp.coo_array((cat(self.v), (cat(self.i), cat(self.j))), shape=(self.rows, self.columns)).tocsc()
        matrix.sum_duplicates()
        return LinearProgram(
            np.zeros(self.columns), 0.0,
            cat([self.lower, np.zeros(given)]), cat([self.upper, np.full(given, most)]), row_lower, row_upper,
            matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32), matrix.data,
        )  # fmt: skip
