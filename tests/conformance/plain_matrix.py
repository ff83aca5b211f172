"""The plain Pyomo model as a matrix with names, and its comparison with the stamped programme, entry by entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from pyomo.environ import Constraint, Var
from pyomo.repn import generate_standard_repn

from gridopt.assets.base import Floats
from gridopt.model.inputs import Inputs
from gridopt.model.layout import Assembly
from gridopt.model.programme import TINY, LinearProgram

Key = tuple[str, str, str, int]
"""(node | asset | commitment | rule | decision, id, variable or constraint, step or place)."""
RELATIVE = 1e-12


@dataclass(frozen=True)
class PlainMatrix:
    """min cost·x + offset, row_lower ≤ A x ≤ row_upper, lower ≤ x ≤ upper, of a plain model; columns and rows named."""

    columns: list[Key]
    rows: list[Key]
    cost: Floats
    offset: float
    lower: Floats
    upper: Floats
    row_lower: Floats
    row_upper: Floats
    matrix: Any
    binary: npt.NDArray[np.bool_]

    def programme(self) -> LinearProgram:
        a = self.matrix.tocsc()
        index = (a.indptr.astype(np.int32), a.indices.astype(np.int32))
        return LinearProgram(
            self.cost, self.offset, self.lower, self.upper, self.row_lower, self.row_upper, *index, a.data
        )


def plain_matrix(m: Any, inputs: Inputs) -> PlainMatrix:
    """Read a model of ``gridopt.model.plain`` into arrays with ``generate_standard_repn``, number by number."""
    columns: list[Key] = []
    lower, upper, binary, place = [], [], [], {}
    rows: list[Key] = []
    row_lower, row_upper = [], []
    i, j, a = [], [], []
    for kind, name, block, offset in _blocks(m, inputs):
        for v in block.component_objects(Var):
            for k, (t, data) in enumerate(v.items()):
                place[id(data)] = len(columns)
                step = -1 if not v.is_indexed() else offset + t if kind == "asset" else k
                columns.append((kind, name, v.local_name, step))
                lower.append(-np.inf if data.lb is None else data.lb)
                upper.append(np.inf if data.ub is None else data.ub)
                binary.append(data.is_binary())
    for kind, name, block, _ in _blocks(m, inputs):
        for c in block.component_objects(Constraint):
            for k, data in enumerate(c.values()):
                repn = generate_standard_repn(data.body, compute_values=True)
                assert repn.nonlinear_expr is None
                i += [len(rows)] * len(repn.linear_vars)
                j += [place[id(v)] for v in repn.linear_vars]
                a += list(repn.linear_coefs)
                rows.append((kind, name, c.local_name, k))
                row_lower.append(-np.inf if data.lb is None else data.lb - repn.constant)
                row_upper.append(np.inf if data.ub is None else data.ub - repn.constant)
    repn = generate_standard_repn(m.cost.expr, compute_values=True)
    cost = np.zeros(len(columns))
    for v, price in zip(repn.linear_vars, repn.linear_coefs, strict=True):
        cost[place[id(v)]] += price
    matrix = sp.coo_array((np.array(a, float), (i, j)), shape=(len(rows), len(columns))).tocsr()
    bounds = (np.array(x, float) for x in (lower, upper, row_lower, row_upper))
    return PlainMatrix(columns, rows, cost, float(repn.constant), *bounds, matrix, np.array(binary, bool))


def _blocks(m: Any, inputs: Inputs) -> Any:
    for node in inputs.nodes:
        yield "node", node.id, m.node[node.id], 0
    for group in inputs.groups:
        for k, name in enumerate(group.ids):
            yield "asset", name, m.asset[name], int(group.offset[k])
    for c in inputs.commitments:
        if c.id in m.commitment:
            yield "commitment", c.id, m.commitment[c.id], 0
    yield "rule", "", m.rules, 0
    for name, block in m.decision.items():
        yield "decision", str(name), block, 0


# --- names of the stamped programme ----------------------------------------------------------------------------------


def stamped_columns(a: Assembly) -> dict[Key, int]:
    """Names of the stamped columns, read from where each part says it lies."""
    out: dict[Key, int] = {}
    for node, c in zip(a.inputs.nodes, a.nodes, strict=True):
        for name, columns in (("net_kw", c.net), ("import_kw", c.import_), ("export_kw", c.export)):
            out |= {("node", node.id, name, t): int(j) for t, j in enumerate(columns)}
    for b in a.blocks:
        for v in b.template.variables:
            for k, name in enumerate(b.group.ids):
                for t in range(v.count):
                    step = int(b.group.offset[k]) + t if v.indexed else -1
                    out["asset", name, v.name, step] = b.first + k * b.template.width + v.start + t
    for of, cc in zip(a.inputs.commitments, a.commitments, strict=True):
        for name, columns in (("above", cc.above), ("below", cc.below), ("over", cc.over[cc.over >= 0])):
            out |= {("commitment", of.id, name, k): int(j) for k, j in enumerate(columns)}
    return out


def stamped_rows(a: Assembly) -> dict[Key, int]:
    """Names of the stamped rows."""
    T = a.inputs.axis.steps
    out: dict[Key, int] = {}
    for n, node in enumerate(a.inputs.nodes):
        out |= {("node", node.id, "balance", t): n * T + t for t in range(T)}
    for b in a.blocks:
        for r in b.template.rows:
            for k, name in enumerate(b.group.ids):
                for place in range(len(r.steps)):
                    out["asset", name, r.name, place] = b.row + k * b.template.height + r.start + place
    for of, cc in zip(a.inputs.commitments, a.commitments, strict=True):
        name = {"energy": "deviation", "peak": "peak", "hours": "hours"}[of.measure]
        out |= {("commitment", of.id, name, k): cc.row + k for k in range(cc.rows)}
    return out | {("rule", "", "rule", k): a.rule_row + k for k in range(len(a.inputs.rules))}


# --- comparison ------------------------------------------------------------------------------------------------------


def assert_same(a: Assembly, plain: PlainMatrix) -> None:
    """Every column, row, bound, price, coefficient and constant of both programmes is the same.

    A node's signed ``net_kw`` stands for import - export of the plain model; a plain column without a stamped one must
    be fixed at zero, or be the slack of a commitment's row that has no price on that side. A commitment's own columns
    may have more room than the plain model gives a deviation that needs deciding, but not less.
    """
    lp, rows = a.lp, stamped_rows(a)
    assert len(rows) == lp.shape[0]
    assert set(rows) == set(plain.rows)
    order = np.array([rows[key] for key in plain.rows], np.int64)
    row_lower, row_upper = plain.row_lower.copy(), plain.row_upper.copy()
    pairs = []
    for c, (j, sign) in enumerate(_partners(a, plain)):
        if j >= 0:
            pairs.append((c, j, sign))
        elif plain.lower[c] != 0 or plain.upper[c] != 0:
            _open_row(plain, c, row_lower, row_upper)
    theirs, mine, sign = (np.array(x) for x in zip(*pairs, strict=True))
    assert set(mine.tolist()) == set(range(lp.shape[1])), "a stamped column that the plain model does not have"

    def same(what: str, expected: Floats, got: Floats, names: list[Key], size: Floats | float = 0.0) -> None:
        with np.errstate(invalid="ignore"):
            off = ~((expected == got) | (np.abs(expected - got) <= RELATIVE * np.maximum(np.abs(expected), size)))
        for k in np.flatnonzero(off)[:1]:
            raise AssertionError(f"{what} of {names[k]}: plain {expected[k]!r}, stamped {got[k]!r}")

    names = [plain.columns[c] for c in theirs]
    same("price", plain.cost[theirs], sign * lp.cost[mine], names)
    lower, upper = _bounds(plain, theirs, mine, sign, lp.shape[1])
    columns = {j: plain.columns[c] for c, j, _ in pairs}
    every = [columns[j] for j in range(lp.shape[1])]
    same("lower bound", _clean(lower), lp.lower, every)
    roomy = np.array([key[0] == "commitment" for key in every]) & np.isfinite(upper) & (lp.upper > upper)
    same("upper bound", np.where(roomy, lp.upper, _clean(upper)), lp.upper, every)
    same("lower limit", _clean(row_lower), lp.row_lower[order], plain.rows)
    same("upper limit", _clean(row_upper), lp.row_upper[order], plain.rows)
    same("constant cost", np.array([plain.offset]), np.array([lp.offset]), [("", "", "", 0)], np.abs(lp.offset) + 1.0)
    expected = plain.matrix.tocsc()[:, theirs]
    got = lp.matrix()[:, mine][order] @ sp.diags_array(sign)
    entries = (expected - got).tocoo()
    size = np.abs(expected).max(axis=1).toarray().ravel()
    for r, k, d in zip(entries.row, entries.col, entries.data, strict=True):
        # A coefficient may be a sum of terms that nearly cancel: the row's largest one tells its rounding.
        assert abs(d) <= RELATIVE * size[r], f"{plain.rows[r]}, {names[k]}: stamped less plain is {-d!r}"


def _partners(a: Assembly, plain: PlainMatrix) -> Iterator[tuple[int, float]]:
    """For every plain column: the stamped column it stands for, -1 for none, and with which sign."""
    of = stamped_columns(a)
    assert len(of) == a.lp.shape[1]
    for c, key in enumerate(plain.columns):
        kind, name, variable, step = key
        if key in of:
            yield of[key], 1.0
        elif kind == "node" and ("node", name, "net_kw", step) in of:
            # One way only: the other way is fixed at zero and has no share in net_kw.
            fixed = plain.lower[c] == plain.upper[c] == 0
            yield (-1 if fixed else of["node", name, "net_kw", step]), 1.0 if variable == "import_kw" else -1.0
        else:
            yield -1, 1.0


def _open_row(plain: PlainMatrix, c: int, row_lower: Floats, row_upper: Floats) -> None:
    """A column without a partner must be a free slack, whose row is then an inequality."""
    key, column = plain.columns[c], plain.matrix.tocsc()[:, [c]].tocoo()
    assert key[0] == "commitment", key
    assert plain.cost[c] == 0, key
    assert column.nnz == 1, key
    bound = row_lower if column.data[0] > 0 else row_upper
    bound[column.coords[0][0]] = -np.inf if column.data[0] > 0 else np.inf


def _bounds(plain: PlainMatrix, theirs: Any, mine: Any, sign: Floats, n: int) -> tuple[Floats, Floats]:
    """Bounds of the stamped columns as the plain model has them; for a signed one, those of import - export."""
    lower, upper = np.zeros(n), np.zeros(n)
    least = np.where(sign > 0, plain.lower[theirs], -plain.upper[theirs])
    most = np.where(sign > 0, plain.upper[theirs], -plain.lower[theirs])
    np.add.at(lower, mine, least)
    np.add.at(upper, mine, most)
    return lower, upper


def _clean(limit: Floats) -> Floats:
    return np.where(np.abs(limit) < TINY, 0.0, limit)
