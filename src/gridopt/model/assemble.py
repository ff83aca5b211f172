"""Inputs → linear programme: templates stamped, nodes balanced, commitments priced, in one canonical order.

Columns: nodes (by id), groups (family, window, options; device by device), commitments. Rows: node balances, groups,
commitments, users' rules. Each part remembers where it lies, so a solution is read back as views of one array and
every column and row can be named in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from gridopt.assets.base import Exclusive, Floats, Ints, SemiContinuous, Whole
from gridopt.errors import InternalError, SolverError
from gridopt.model.inputs import INF, Commitment, Flow, Group, Inputs
from gridopt.model.schedule import Schedule
from gridopt.model.template import Template, template

Int32 = npt.NDArray[np.int32]
TINY = 1e-9
"""Limits smaller than this are zero: 1e-21 kW of dusk only spoils the scaling."""


@dataclass(frozen=True)
class LinearProgram:
    """min cost·x + offset  s.t.  row_lower ≤ A x ≤ row_upper, lower ≤ x ≤ upper; A by columns (CSC)."""

    cost: Floats
    offset: float
    lower: Floats
    upper: Floats
    row_lower: Floats
    row_upper: Floats
    start: Int32
    index: Int32
    value: Floats

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, nonzeros."""
        return len(self.row_lower), len(self.cost), len(self.value)

    def matrix(self) -> sp.csc_array:
        rows, columns, _ = self.shape
        return sp.csc_array((self.value, self.index, self.start), shape=(rows, columns))


@dataclass(frozen=True)
class NodeColumns:
    """A node's columns on its boundary to the parent: one signed ``net``, or ``import_`` and ``export``; -1 = none."""

    net: Ints
    import_: Ints
    export: Ints
    balance: Ints


@dataclass(frozen=True)
class Block:
    """Where a group lies: columns ``first + k * width``, rows ``row + k * height`` for its k-th device."""

    group: Group
    template: Template
    first: int
    row: int

    def columns(self, variable: str) -> Ints | None:
        """(n, count) column numbers of a variable; None when the block's options leave it out."""
        v = self.template.variable(variable)
        if v is None:
            return None
        base = self.first + np.arange(self.group.n)[:, None] * self.template.width
        return base + np.arange(v.start, v.start + v.count)


@dataclass(frozen=True)
class CommitmentColumns:
    """A commitment's own columns (-1 = none): ``above``, ``below`` per period, ``over`` per step; its first row."""

    above: Ints
    below: Ints
    over: Ints
    row: int
    rows: int


@dataclass(frozen=True)
class SemiSet:
    """Semi-continuous columns of one group: (n, count) columns and their least positive value; how to round."""

    block: Block
    columns: Ints
    minimum: Floats
    rounding: Literal["budget", "diffusion"]
    large: bool


@dataclass(frozen=True)
class WholeSet:
    """0/1 columns of one group (n, count), or of a commitment (1, count); ``guides``: counting columns beside them."""

    columns: Ints
    one_of: bool
    large: bool
    guides: tuple[Ints, ...] = ()
    block: Block | None = None


@dataclass(frozen=True)
class PairSet:
    """Pairs of columns that are never both positive; ``needed``: pairs the LP would surely use both ways."""

    first: Ints
    second: Ints
    needed: npt.NDArray[np.bool_]


@dataclass
class Assembly:
    """The linear programme of a district with everything needed to read, round and explain its solution."""

    inputs: Inputs
    lp: LinearProgram
    nodes: list[NodeColumns]
    blocks: list[Block]
    commitments: list[CommitmentColumns]
    semi: list[SemiSet]
    whole: list[WholeSet]
    pairs: list[PairSet]
    emergencies: Ints
    emergency_weight: Floats
    rule_row: int
    pinned: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    def net_kw(self, node: int, x: Floats) -> Floats:
        """(T,) net power a node draws from its parent."""
        c = self.nodes[node]
        out = np.zeros(self.inputs.axis.steps)
        for columns, sign in ((c.net, 1.0), (c.import_, 1.0), (c.export, -1.0)):
            if len(columns):
                out += sign * x[columns]
        return out

    def schedule(self, x: Floats) -> Schedule:
        """A solution as plain arrays."""
        groups = []
        for b in self.blocks:
            values = x[b.first : b.first + b.group.n * b.template.width].reshape(b.group.n, b.template.width)
            groups.append({v.name: values[:, v.start : v.start + v.count] for v in b.template.variables})
        net = np.array([self.net_kw(k, x) for k in range(len(self.nodes))])
        return Schedule(tuple(groups), net)

    def column_name(self, j: int) -> tuple[str, str, str, int]:
        """A column in words: ("node" | "asset" | "commitment", id, variable, step); step -1 = the whole horizon."""
        for k, c in enumerate(self.nodes):
            for columns, name in ((c.net, "net_kw"), (c.import_, "import_kw"), (c.export, "export_kw")):
                if len(columns) and columns[0] <= j <= columns[-1]:
                    return "node", self.inputs.nodes[k].id, name, int(j - columns[0])
        for b in self.blocks:
            local = j - b.first
            if 0 <= local < b.group.n * b.template.width:
                device, place = divmod(local, b.template.width)
                v = next(v for v in b.template.variables if v.start <= place < v.start + v.count)
                step = int(b.group.offset[device]) + place - v.start if v.indexed else -1
                return "asset", b.group.ids[device], v.name, step
        for commitment, cc in zip(self.inputs.commitments, self.commitments, strict=True):
            for columns, name in ((cc.above, "above"), (cc.below, "below"), (cc.over, "over")):
                hit = np.flatnonzero(columns == j)
                if len(hit):
                    return "commitment", commitment.id, name, int(hit[0])
        raise InternalError("no such column: {j}", j=j)

    def row_name(self, i: int) -> tuple[str, str, str, int]:
        """A row in words: ("node" | "asset" | "commitment" | "rule", id, constraint, step)."""
        T = self.inputs.axis.steps
        if i < len(self.nodes) * T:
            return "node", self.inputs.nodes[i // T].id, "balance", i % T
        for b in self.blocks:
            local = i - b.row
            if 0 <= local < b.group.n * b.template.height:
                device, place = divmod(local, b.template.height)
                r = next(r for r in b.template.rows if r.start <= place < r.start + len(r.steps))
                step = int(r.steps[place - r.start])
                return "asset", b.group.ids[device], r.name, step if step < 0 else int(b.group.offset[device]) + step
        for commitment, cc in zip(self.inputs.commitments, self.commitments, strict=True):
            if cc.row <= i < cc.row + cc.rows:
                return "commitment", commitment.id, commitment.measure, i - cc.row
        return "rule", self.inputs.rules[i - self.rule_row].name, "rule", -1


class _Builder:
    """Collects pieces of the programme; `finish` lays them into CSC arrays and checks every number."""

    def __init__(self) -> None:
        self.columns = 0
        self.rows = 0
        self.offset = 0.0
        self.lower: list[Floats] = []
        self.upper: list[Floats] = []
        self.cost: list[Floats] = []
        self.row_lower: list[Floats] = []
        self.row_upper: list[Floats] = []
        self.i: list[npt.NDArray[np.int64]] = []
        self.j: list[npt.NDArray[np.int64]] = []
        self.v: list[Floats] = []

    def add_columns(self, lower: Floats | float, upper: Floats | float, cost: Floats | float, count: int) -> Ints:
        for pieces, x in ((self.lower, lower), (self.upper, upper), (self.cost, cost)):
            pieces.append(np.broadcast_to(np.asarray(x, np.float64), count))
        self.columns += count
        return np.arange(self.columns - count, self.columns)

    def add_rows(self, lower: Floats | float, upper: Floats | float, count: int) -> Ints:
        for pieces, x in ((self.row_lower, lower), (self.row_upper, upper)):
            pieces.append(np.broadcast_to(np.asarray(x, np.float64), count))
        self.rows += count
        return np.arange(self.rows - count, self.rows)

    def add(self, rows: Ints, columns: Ints, values: Floats | float) -> None:
        rows, columns, v = np.broadcast_arrays(rows, columns, np.asarray(values, np.float64))
        self.i.append(rows.ravel())
        self.j.append(columns.ravel())
        self.v.append(v.ravel())

    def finish(self, balance_shift: Floats) -> LinearProgram:
        cat = np.concatenate
        lower, upper, cost = cat(self.lower), cat(self.upper), cat(self.cost)
        row_lower, row_upper = cat(self.row_lower), cat(self.row_upper)
        row_lower[: len(balance_shift)] -= balance_shift
        row_upper[: len(balance_shift)] -= balance_shift
        value = cat(self.v)
        for what, a in (("coefficient", value), ("price", cost), ("constant cost", np.array([self.offset]))):
            if not np.isfinite(a).all():
                raise SolverError("a {what} of the model is not finite: check divisions by a zero parameter", what=what)
        for a in (lower, upper, row_lower, row_upper):
            if np.isnan(a).any():
                raise SolverError("a limit of the model is not a number")
        for a in (lower, upper, row_lower, row_upper):
            a[np.abs(a) < TINY] = 0.0
        matrix = sp.coo_array((value, (cat(self.i), cat(self.j))), shape=(self.rows, self.columns)).tocsc()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        return LinearProgram(
            cost,
            self.offset,
            lower,
            upper,
            row_lower,
            row_upper,
            matrix.indptr.astype(np.int32),
            matrix.indices.astype(np.int32),
            matrix.data,
        )


_NONE = np.zeros(0, np.int64)


def assemble(inputs: Inputs) -> Assembly:
    """Lay a district out as a linear programme with its decisions relaxed.

    Raises FamilyError or SolverError where a family or a number breaks a rule.
    """
    T, step_h = inputs.axis.steps, inputs.axis.step_h
    b = _Builder()
    balance = b.add_rows(0.0, 0.0, len(inputs.nodes) * T).reshape(-1, T)
    shift = np.zeros((len(inputs.nodes), T))
    nodes, pairs = _add_nodes(b, inputs, balance)
    blocks = [_add_group(b, inputs, group, balance, shift) for group in inputs.groups]
    commitments, whole = [], []
    reach = None
    for c in inputs.commitments:
        if c.is_boundary_price:
            commitments.append(CommitmentColumns(_NONE, _NONE, _NONE, b.rows, 0))
            continue
        if reach is None and (c.measure == "hours" or _is_concave(c)):
            reach = _reach(inputs, blocks, b)
        columns, more, pair = _add_commitment(b, inputs, c, nodes, blocks, step_h, reach)
        commitments.append(columns)
        whole += more
        pairs += pair
    rule_row = b.rows
    for rule in inputs.rules:
        _add_rule(b, inputs, rule.terms, rule.low, rule.high, nodes, blocks)
    lp = b.finish(shift.ravel())
    semi, more_whole, more_pairs = _decisions(blocks)
    emergencies, weight = _emergencies(blocks, step_h)
    out = Assembly(
        inputs,
        lp,
        nodes,
        blocks,
        commitments,
        semi,
        whole + more_whole,
        pairs + more_pairs,
        emergencies,
        weight,
        rule_row,
    )
    _pin(out)
    return out


# --- nodes -----------------------------------------------------------------------------------------------------------


def _boundary_prices(inputs: Inputs) -> tuple[Floats, Floats]:
    """(N, T) EUR/kWh of power drawn from, and given to, each node's parent."""
    shape = (len(inputs.nodes), inputs.axis.steps)
    above, below = np.zeros(shape), np.zeros(shape)
    for c in inputs.commitments:
        if c.is_boundary_price and c.flows[0].node is not None:
            k = inputs.node_index[c.flows[0].node]
            above[k] += c.price_above
            below[k] += c.price_below
    return above, below


def _add_nodes(b: _Builder, inputs: Inputs, balance: Ints) -> tuple[list[NodeColumns], list[PairSet]]:
    T, step_h = inputs.axis.steps, inputs.axis.step_h
    above, below = _boundary_prices(inputs)
    sided = {f.node for c in inputs.commitments for f in c.flows if f.node is not None and f.side != "net"}
    sided |= {
        name for r in inputs.rules for _, what, name, variable, _ in r.terms if what == "node" and variable != "net_kw"
    }
    nodes: list[NodeColumns] = []
    pairs: list[PairSet] = []
    for k, node in enumerate(inputs.nodes):
        low, high = node.net_bounds()
        one_way = not low.any() or not high.any()
        split = not one_way and (bool((above[k] + below[k]).any()) or node.id in sided)
        net = import_ = export = _NONE
        if split:
            import_ = b.add_columns(0.0, high, above[k] * step_h, T)
            export = b.add_columns(0.0, -low, below[k] * step_h, T)
            needed = above[k] + below[k] < 0
            if needed.any() or node.id in sided:
                pairs.append(PairSet(import_, export, needed))
        elif low.any() or high.any():
            price = above[k] if not low.any() else -below[k]
            net = b.add_columns(low, high, price * step_h, T)
        nodes.append(NodeColumns(net, import_, export, balance[k]))
        parent = inputs.parents[k]
        for columns, sign in ((net, 1.0), (import_, 1.0), (export, -1.0)):
            if len(columns):
                b.add(balance[k], columns, -sign)
                if parent >= 0:
                    b.add(balance[parent], columns, sign)
    return nodes, pairs


# --- families --------------------------------------------------------------------------------------------------------


def _add_group(b: _Builder, inputs: Inputs, group: Group, balance: Ints, shift: Floats) -> Block:
    t = template(group.family, group.steps, group.options)
    n = group.n
    numbers = t.numbers(group.columns, inputs.axis.step_h, n)
    block = Block(group, t, b.columns, b.rows)
    cost = np.zeros((n, t.width))
    for terms, constant in t.costs.values():
        if len(terms.column):
            cost[:, terms.column] += terms.value.evaluate(numbers)
        b.offset += float(constant.evaluate(numbers).sum())
    columns = b.add_columns(
        t.lower.evaluate(numbers).ravel(), t.upper.evaluate(numbers).ravel(), cost.ravel(), n * t.width
    ).reshape(n, t.width)
    if t.height:
        rows = b.add_rows(
            t.row_lower.evaluate(numbers).ravel(), t.row_upper.evaluate(numbers).ravel(), n * t.height
        ).reshape(n, t.height)
        b.add(rows[:, t.matrix.row], columns[:, t.matrix.column], t.matrix.value.evaluate(numbers))
    for port, (terms, constant) in t.ports.items():
        place = group.offset[:, None] + np.arange(t.steps)
        at_node = group.nodes[port]
        if len(terms.column):
            row = balance[at_node[:, None], place[:, terms.row]]
            b.add(row, columns[:, terms.column], terms.value.evaluate(numbers))
        fixed = constant.evaluate(numbers)
        if fixed.any():
            np.add.at(shift, (at_node[:, None], place), fixed)
    return block


def _decisions(blocks: list[Block]) -> tuple[list[SemiSet], list[WholeSet], list[PairSet]]:
    semi: list[SemiSet] = []
    whole: list[WholeSet] = []
    pairs: list[PairSet] = []
    for block in blocks:
        for d in block.group.family.decisions:
            if isinstance(d, Exclusive):
                first, second = block.columns(d.first), block.columns(d.second)
                if first is not None and second is not None:
                    pairs.append(PairSet(first.ravel(), second.ravel(), np.zeros(first.size, bool)))
                continue
            columns = block.columns(d.variable)
            if columns is None:
                continue
            if isinstance(d, Whole):
                counts = [block.columns(name) for name in d.guides]
                whole.append(WholeSet(columns, d.one_of, d.large, tuple(c for c in counts if c is not None), block))
            elif isinstance(d, SemiContinuous):
                least = block.group.columns[d.minimum]
                minimum = np.broadcast_to(least[:, None] if least.ndim == 1 else least, columns.shape)
                if minimum.any():
                    semi.append(SemiSet(block, columns, minimum, d.rounding, d.large))
    return semi, whole, pairs


def _emergencies(blocks: list[Block], step_h: float) -> tuple[Ints, Floats]:
    """Columns that exist only so that a plan exists, and their weight towards kWh."""
    columns: list[Ints] = []
    weight: list[Floats] = []
    for block in blocks:
        for name in block.group.family.emergencies:
            c = block.columns(name)
            if c is not None:
                columns.append(c.ravel())
                weight.append(np.full(c.size, step_h if name.endswith("_kw") else 1.0))
    if not columns:
        return _NONE, np.zeros(0)
    return np.concatenate(columns), np.concatenate(weight)


# --- commitments and rules -------------------------------------------------------------------------------------------


def _flow_terms(
    inputs: Inputs, flow: Flow, nodes: list[NodeColumns], blocks: list[Block]
) -> Iterator[tuple[Ints, Ints, Floats, Floats]]:
    """A flow as pieces (steps, columns, coefficients, constants (T,)) on the district's axis."""
    T = inputs.axis.steps
    none = np.zeros(T)
    if flow.node is not None:
        c = nodes[inputs.node_index[flow.node]]
        t = np.arange(T)
        sides = {
            "net": ((c.import_, 1.0), (c.export, -1.0)),
            "import": ((c.import_, 1.0),),
            "export": ((c.export, 1.0),),
        }
        if len(c.net):  # one column: either both ways in one price, or one way only
            low, high = inputs.nodes[inputs.node_index[flow.node]].net_bounds()
            sign = {"net": 1.0, "import": 1.0 if high.any() else 0.0, "export": -1.0 if low.any() else 0.0}[flow.side]
            if sign:
                yield t, c.net, np.full(T, sign * flow.weight), none
            return
        for columns, sign in sides[flow.side]:
            if len(columns):
                yield t, columns, np.full(T, sign * flow.weight), none
        return
    if flow.asset is None or flow.port is None:
        raise InternalError("a flow names neither a node nor an asset's port")
    g, k = inputs.where[flow.asset]
    block = blocks[g]
    terms, constant = block.template.ports[flow.port]
    one = _device(block.group, k)
    numbers = block.template.numbers(one, inputs.axis.step_h, 1)
    offset = int(block.group.offset[k])
    fixed = np.zeros(T)
    fixed[offset : offset + block.template.steps] = flow.weight * constant.evaluate(numbers)[0]
    first = block.first + k * block.template.width
    value = flow.weight * terms.value.evaluate(numbers)[0] if len(terms.column) else np.zeros(0)
    yield offset + terms.row, first + terms.column, value, fixed


def _device(group: Group, k: int) -> dict[str, Floats]:
    """The columns of one device of a group."""
    return {name: a[k : k + 1] for name, a in group.columns.items()}


def _is_concave(c: Commitment) -> bool:
    return c.measure == "energy" and bool(((c.price_above + c.price_below) < -1e-12).any())


def _add_commitment(
    b: _Builder,
    inputs: Inputs,
    c: Commitment,
    nodes: list[NodeColumns],
    blocks: list[Block],
    step_h: float,
    reach: tuple[Floats, Floats] | None,
) -> tuple[CommitmentColumns, list[WholeSet], list[PairSet]]:
    T, P = inputs.axis.steps, c.periods
    inside = c.period >= 0
    pieces = [piece for flow in c.flows for piece in _flow_terms(inputs, flow, nodes, blocks)]
    constant = np.sum([p[3] for p in pieces], axis=0) if pieces else np.zeros(T)
    room = np.where(inside, c.baseline_kw - constant, 0.0)
    row = b.rows
    above = below = over = _NONE
    whole: list[WholeSet] = []
    pairs: list[PairSet] = []
    if c.measure == "energy":
        goal = np.asarray(step_h * np.bincount(c.period[inside], room[inside], P), np.float64)
        concave = _is_concave(c)
        most = least = np.full(P, INF)
        if concave:
            low, high = _flow_range(inputs, c, blocks, b, reach)
            most = step_h * np.bincount(c.period[inside], (high - c.baseline_kw)[inside].clip(0), P)
            least = step_h * np.bincount(c.period[inside], (c.baseline_kw - low)[inside].clip(0), P)
        up = concave or bool(c.price_above.any())
        down = concave or bool(c.price_below.any())
        above = b.add_columns(0.0, most, c.price_above, P) if up else _NONE
        below = b.add_columns(0.0, least, c.price_below, P) if down else _NONE
        nothing = np.full(P, INF)
        rows = b.add_rows(goal if down else -nothing, goal if up else nothing, P)
        for t, columns, value, _ in pieces:
            keep = inside[t]
            b.add(rows[c.period[t[keep]]], columns[keep], step_h * value[keep])
        if up:
            b.add(rows, above, -1.0)
        if down:
            b.add(rows, below, 1.0)
        if concave:
            pairs.append(PairSet(above, below, (c.price_above + c.price_below) < 0))
    else:
        if (c.price_above < 0).any() or c.price_below.any():
            raise SolverError("commitment {id}: a {measure} price cannot be negative", id=c.id, measure=c.measure)
        steps = np.flatnonzero(inside)
        rows_of = np.full(T, -1)
        rows_of[steps] = b.add_rows(-INF, room[steps], len(steps))
        for t, columns, value, _ in pieces:
            keep = inside[t]
            b.add(rows_of[t[keep]], columns[keep], value[keep])
        if c.measure == "peak":
            above = b.add_columns(0.0, INF, c.price_above, P)
            b.add(rows_of[steps], above[c.period[steps]], -1.0)
        else:
            _, high = _flow_range(inputs, c, blocks, b, reach)
            over = np.full(T, -1)
            over[steps] = b.add_columns(0.0, 1.0, step_h * c.price_above[c.period[steps]], len(steps))
            b.add(rows_of[steps], over[steps], -np.maximum(high - c.baseline_kw, 0.0)[steps])
            whole.append(WholeSet(over[steps][None, :], one_of=False, large=True))
    return CommitmentColumns(above, below, over, row, b.rows - row), whole, pairs


def _flow_range(
    inputs: Inputs, c: Commitment, blocks: list[Block], b: _Builder, reach: tuple[Floats, Floats] | None
) -> tuple[Floats, Floats]:
    """(T,) smallest and largest value a commitment's flow can take."""
    if reach is None:
        raise InternalError("the reach of the nodes was not computed")
    low, high = np.zeros(inputs.axis.steps), np.zeros(inputs.axis.steps)
    for f in c.flows:
        if f.node is not None:
            k = inputs.node_index[f.node]
            lo, hi = reach[0][k], reach[1][k]
            if f.side == "import":
                lo, hi = np.maximum(lo, 0.0), np.maximum(hi, 0.0)
            elif f.side == "export":
                lo, hi = np.maximum(-hi, 0.0), np.maximum(-lo, 0.0)
        else:
            if f.asset is None or f.port is None:
                raise InternalError("a flow names neither a node nor an asset's port")
            g, device = inputs.where[f.asset]
            lo_n, hi_n = _port_range(blocks[g], f.port, b, inputs.axis.step_h)
            one = blocks[g].group
            lo, hi = one.on_axis(lo_n, len(low))[device], one.on_axis(hi_n, len(low))[device]
        low += np.minimum(f.weight * lo, f.weight * hi)
        high += np.maximum(f.weight * lo, f.weight * hi)
    return low, high


def _port_range(block: Block, port: str, b: _Builder, step_h: float) -> tuple[Floats, Floats]:
    """(n, steps) smallest and largest power of a port that the columns' bounds allow."""
    t, group = block.template, block.group
    numbers = t.numbers(group.columns, step_h, group.n)
    terms, constant = t.ports[port]
    low = constant.evaluate(numbers)
    high = low.copy()
    lower, upper = t.lower.evaluate(numbers), t.upper.evaluate(numbers)
    if len(terms.column):
        a = terms.value.evaluate(numbers)
        with np.errstate(invalid="ignore"):  # 0 · ∞: the column has no share here
            x, y = a * lower[:, terms.column], a * upper[:, terms.column]
        x, y = np.where(a == 0, 0.0, x), np.where(a == 0, 0.0, y)
        for out, z in ((low, np.fmin(x, y)), (high, np.fmax(x, y))):
            np.add.at(out.T, terms.row, z.T)
    return low, high


def _reach(inputs: Inputs, blocks: list[Block], b: _Builder) -> tuple[Floats, Floats]:
    """(N, T) range of every node's net power that its devices and limits allow; finite big-M for the decisions."""
    shape = (len(inputs.nodes), inputs.axis.steps)
    low, high = np.zeros(shape), np.zeros(shape)
    for block in blocks:
        for port in block.template.ports:
            lo, hi = _port_range(block, port, b, inputs.axis.step_h)
            place = block.group.offset[:, None] + np.arange(block.template.steps)
            np.add.at(low, (block.group.nodes[port][:, None], place), lo)
            np.add.at(high, (block.group.nodes[port][:, None], place), hi)
    for k in _leaves_first(inputs):
        least, most = inputs.nodes[k].net_bounds()
        low[k], high[k] = np.maximum(low[k], least), np.minimum(high[k], most)
        if inputs.parents[k] >= 0:
            low[inputs.parents[k]] += low[k]
            high[inputs.parents[k]] += high[k]
    return low, high


def _leaves_first(inputs: Inputs) -> list[int]:
    """Node indices with every child before its parent."""
    depth = np.zeros(len(inputs.nodes), np.int64)
    for k in range(len(inputs.nodes)):
        j = int(inputs.parents[k])
        while j >= 0:
            depth[k] += 1
            j = int(inputs.parents[j])
    return [int(k) for k in np.argsort(-depth, kind="stable")]


def _add_rule(
    b: _Builder,
    inputs: Inputs,
    terms: tuple[tuple[float, str, str, str, int], ...],
    low: float,
    high: float,
    nodes: list[NodeColumns],
    blocks: list[Block],
) -> None:
    row = b.add_rows(low, high, 1)
    for coefficient, what, name, variable, step in terms:
        if what == "node":
            side: Literal["net", "import", "export"] = (
                "import" if variable == "import_kw" else "export" if variable == "export_kw" else "net"
            )
            for t, columns, value, _ in _flow_terms(inputs, Flow(1.0, node=name, side=side), nodes, blocks):
                hit = t == step
                b.add(row, columns[hit], coefficient * value[hit])
            continue
        g, k = inputs.where[name]
        held = blocks[g].columns(variable)
        if held is None:
            raise InternalError("asset {name} has no variable {variable}", name=name, variable=variable)
        local = step - int(blocks[g].group.offset[k]) if held.shape[1] > 1 else 0
        if 0 <= local < held.shape[1]:  # outside its window a device does nothing
            b.add(row, held[k, local], coefficient)


# --- pins ------------------------------------------------------------------------------------------------------------


def _pin(a: Assembly) -> None:
    """Hold pinned variables; a person's override wins over the device's own bounds."""
    pinned: list[Ints] = []
    for pin in a.inputs.pins:
        g, k = a.inputs.where[pin.asset]
        columns = a.blocks[g].columns(pin.variable)
        if columns is None:
            continue
        offset = int(a.blocks[g].group.offset[k])
        first, last = max(pin.first - offset, 0), min(pin.last - offset, columns.shape[1])
        held = columns[k, first : max(first, last)]
        a.lp.lower[held] = pin.value
        a.lp.upper[held] = pin.value
        pinned.append(held)
    if pinned:
        a.pinned = np.unique(np.concatenate(pinned))
        _shut_partners(a)


def _shut_partners(a: Assembly) -> None:
    """What a positive pin excludes cannot be used; two pins that exclude each other stay as they are."""
    for p in a.pairs:
        for held, other in ((p.first, p.second), (p.second, p.first)):
            shut = other[(a.lp.lower[held] > 0) & ~np.isin(other, a.pinned)]
            a.lp.upper[shut] = 0.0
