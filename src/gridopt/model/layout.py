"""Where everything of a district lies in its linear programme: nodes, devices, commitments, decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from gridopt.assets.base import Floats, Ints
from gridopt.errors import InternalError
from gridopt.model.inputs import Group, Inputs
from gridopt.model.programme import LinearProgram
from gridopt.model.schedule import Schedule
from gridopt.model.template import Template


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
    """0/1 columns of one group (n, count), or of a commitment (1, count); ``guides``: counting columns beside them.

    ``opens``: the row that each column opens by its being 1, for columns that only cost money and serve nothing else.
    """

    columns: Ints
    one_of: bool
    large: bool
    guides: tuple[Ints, ...] = ()
    block: Block | None = None
    opens: Ints | None = None


@dataclass(frozen=True)
class PairSet:
    """Pairs of columns that are never both positive; ``needed``: pairs the LP would surely use both ways; ``device``:
    whose pair it is (all one's, unless said)."""

    first: Ints
    second: Ints
    needed: npt.NDArray[np.bool_]
    device: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if len(self.device) != len(self.first):
            object.__setattr__(self, "device", np.zeros(len(self.first), np.int64))


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

    @cached_property
    def matrix(self) -> sp.csr_array:
        """The programme's rows by columns, for reading rows."""
        return self.lp.matrix().tocsr()

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
