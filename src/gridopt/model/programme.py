"""A linear programme as arrays, and the builder that collects its pieces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from gridopt.assets.base import Floats, Ints
from gridopt.errors import SolverError

Int32 = npt.NDArray[np.int32]
NONE: Ints = np.zeros(0, np.int64)
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


class Builder:
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
