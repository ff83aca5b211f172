"""One HiGHS model, kept alive: arrays in, arrays out, every status checked.

HiGHS says Optimal with a NaN coefficient, and ``run()`` says Optimal after a ``passModel`` that failed: nothing is
believed here that was not checked. Its thread pool is global to the process: one thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import highspy
import numpy as np
import numpy.typing as npt

from gridopt.assets.base import Floats, Ints
from gridopt.errors import SolverError
from gridopt.model.assemble import LinearProgram

Status = Literal["optimal", "infeasible", "unbounded", "limit", "cutoff"]

_STATUS: dict[Any, Status] = {
    highspy.HighsModelStatus.kOptimal: "optimal",
    highspy.HighsModelStatus.kInfeasible: "infeasible",
    highspy.HighsModelStatus.kUnboundedOrInfeasible: "infeasible",
    highspy.HighsModelStatus.kUnbounded: "unbounded",
    highspy.HighsModelStatus.kTimeLimit: "limit",
    highspy.HighsModelStatus.kIterationLimit: "limit",
    highspy.HighsModelStatus.kSolutionLimit: "limit",
    highspy.HighsModelStatus.kObjectiveBound: "cutoff",
    highspy.HighsModelStatus.kInterrupt: "limit",
}
CONTINUOUS, INTEGER, SEMI = 0, 1, 2
SCALING = 4
"""Rows and columns by their largest entry: where devices switch, 2 to 9 times quicker than HiGHS's own choice."""


@dataclass(frozen=True)
class Answer:
    """What a run left. ``bound`` is the proven lower bound (the objective itself for a solved LP).

    ``x`` is empty when there is no feasible point; ``price`` (row duals) and ``reduced`` (column duals) only for LPs.
    """

    status: Status
    objective: float
    bound: float
    x: Floats
    price: Floats
    reduced: Floats
    pivots: int
    nodes: int

    @property
    def has_point(self) -> bool:
        return len(self.x) > 0


class Session:
    """A HiGHS object holding one programme; bounds, costs and wholeness change in place and runs start warm."""

    def __init__(self, lp: LinearProgram) -> None:
        self._h: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        self.option("output_flag", False)
        self.option("threads", 1)
        self.option("random_seed", 7)
        self.option("simplex_scale_strategy", SCALING)
        rows, columns, nonzeros = lp.shape
        self.columns, self.rows = columns, rows
        self._integer: set[int] = set()
        self._check(lp)
        status = self._h.passModel(
            columns, rows, nonzeros, int(highspy.MatrixFormat.kColwise), int(highspy.ObjSense.kMinimize), lp.offset,
            lp.cost, lp.lower, lp.upper, lp.row_lower, lp.row_upper, lp.start, lp.index, lp.value,
            np.zeros(columns, np.int32),
        )  # fmt: skip
        self._do(status, "the model")

    @staticmethod
    def _check(lp: LinearProgram) -> None:
        """HiGHS reads on past the end of an array that is too short, and takes numbers that are none."""
        rows, columns, nonzeros = lp.shape
        _numbers(lp.cost, columns)
        _numbers(lp.value, nonzeros)
        for limits, n in ((lp.lower, columns), (lp.upper, columns), (lp.row_lower, rows), (lp.row_upper, rows)):
            _limits(limits, n)
        if len(lp.start) != columns + 1 or len(lp.index) != nonzeros or not math.isfinite(lp.offset):
            raise SolverError("the model's arrays do not fit together")

    @staticmethod
    def _do(status: Any, what: str) -> None:
        if status == highspy.HighsStatus.kError:
            raise SolverError("HiGHS refused {what}", what=what)

    def bounds(self, columns: Ints, lower: Floats, upper: Floats) -> None:
        """Change columns' bounds."""
        k = np.ascontiguousarray(columns, np.int32)
        if len(k):
            low, high = _limits(lower, len(k)), _limits(upper, len(k))
            self._do(self._h.changeColsBounds(len(k), k, low, high), "bounds")

    def row_bounds(self, row: int, lower: float, upper: float) -> None:
        """Change one row's limits."""
        self._do(self._h.changeRowBounds(row, lower, upper), "row bounds")

    def costs(self, columns: Ints, cost: Floats) -> None:
        """Change columns' costs."""
        k = np.ascontiguousarray(columns, np.int32)
        if len(k):
            self._do(self._h.changeColsCost(len(k), k, _numbers(cost, len(k))), "costs")

    def add_columns(self, lower: Floats, upper: Floats, cost: Floats) -> Ints:
        """Append columns without entries; returns their numbers."""
        n = len(cost)
        if n:
            none = np.zeros(0, np.int32)
            status = self._h.addCols(
                n, _numbers(cost, n), _limits(lower, n), _limits(upper, n), 0, np.zeros(n, np.int32), none, np.zeros(0)
            )
            self._do(status, "new columns")
        self.columns += n
        return np.arange(self.columns - n, self.columns)

    def add_rows(self, lower: Floats, upper: Floats, start: Ints, index: Ints, value: Floats) -> Ints:
        """Append rows given by rows (CSR without the last pointer); returns their numbers."""
        n = len(start)
        if n:
            entries = np.ascontiguousarray(index, np.int32)
            status = self._h.addRows(
                n, _limits(lower, n), _limits(upper, n), len(entries),
                np.ascontiguousarray(start, np.int32), entries, _numbers(value, len(entries)),
            )  # fmt: skip
            self._do(status, "new rows")
        self.rows += n
        return np.arange(self.rows - n, self.rows)

    def wholeness(self, columns: Ints, kind: npt.NDArray[np.int_]) -> None:
        """Declare columns continuous (0), integer (1) or semi-continuous (2)."""
        k = np.ascontiguousarray(columns, np.int32)
        kinds = np.asarray(kind)
        if kinds.shape != (len(k),):
            raise SolverError("{n} columns were handed {m} kinds", n=len(k), m=kinds.size)
        if len(k):
            types = np.array([highspy.HighsVarType(v) for v in (CONTINUOUS, INTEGER, SEMI)])
            self._do(self._h.changeColsIntegrality(len(k), k, types[kinds]), "wholeness")
            self._integer |= set(k[kinds != CONTINUOUS].tolist())
            self._integer -= set(k[kinds == CONTINUOUS].tolist())

    def start_from(self, x: Floats) -> None:
        """Hand a first incumbent to the next MILP run."""
        s = highspy.HighsSolution()
        s.col_value = x.tolist()
        s.value_valid = True
        self._do(self._h.setSolution(s), "a starting point")

    def forget(self) -> None:
        """Drop the last point and basis: the next run starts from nothing."""
        self._do(self._h.clearSolver(), "to forget")

    def basis(self) -> Any:
        """The present basis, to be handed back by ``restore``; not for reading."""
        return self._h.getBasis()

    def restore(self, basis: Any) -> None:
        """Start the next LP run from a basis taken earlier."""
        self._do(self._h.setBasis(basis), "a basis")

    def option(self, name: str, value: Any) -> None:
        self._do(self._h.setOptionValue(name, value), f"{name} = {value}")

    def run(
        self, time_limit_s: float | None = None, gap: float = 0.0, slack: float = 1e-9, cutoff: float | None = None
    ) -> Answer:
        """Solve; LP by the dual simplex, MILP by branch and bound. Raises SolverError on any status but a clean one.

        A MILP is optimal when no more than ``slack`` [the objective's unit], or the share ``gap`` of the objective,
        is left. ``cutoff``: an LP whose optimum surely lies above it may stop with the status "cutoff".
        """
        self.option("objective_bound", math.inf if cutoff is None else cutoff)
        # HiGHS counts its time limit over the object's whole life.
        until = math.inf if time_limit_s is None else self._h.getRunTime() + max(time_limit_s, 0.01)
        self.option("time_limit", until)
        if self._integer:
            self.option("mip_rel_gap", gap)
            self.option("mip_abs_gap", slack)
        self.option("solver", "choose" if self._integer else "simplex")
        self._do(self._h.run(), "to run")
        status = self._h.getModelStatus()
        if status == highspy.HighsModelStatus.kUnboundedOrInfeasible:
            self.option("presolve", "off")  # presolve alone cannot tell which
            self._do(self._h.run(), "to run")
            self.option("presolve", "choose")
            status = self._h.getModelStatus()
        if status not in _STATUS:
            raise SolverError("HiGHS ended with the status {status}", status=self._h.modelStatusToString(status))
        info = self._h.getInfo()
        answer = _STATUS[status]
        none = np.zeros(0)
        x = price = reduced = none
        feasible = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        if feasible and answer in ("optimal", "limit"):
            s = self._h.getSolution()
            x = np.array(s.col_value)
            if not self._integer:
                price, reduced = np.array(s.row_dual), np.array(s.col_dual)
            if not np.isfinite(x).all():
                raise SolverError("HiGHS returned a value that is not finite")
        if answer == "optimal" and not len(x) and self.columns:
            raise SolverError("HiGHS said Optimal without a feasible point")
        objective = info.objective_function_value if len(x) else math.inf
        bound = info.mip_dual_bound if self._integer else (objective if answer == "optimal" else -math.inf)
        return Answer(
            answer, objective, bound, x, price, reduced,
            int(info.simplex_iteration_count), int(max(info.mip_node_count, 0)) if self._integer else 0,
        )  # fmt: skip


def _numbers(a: Floats, n: int) -> Floats:
    """``n`` finite numbers, or SolverError."""
    out = np.ascontiguousarray(a, np.float64)
    if out.shape != (n,) or not np.isfinite(out).all():
        raise SolverError("HiGHS was to be handed {m} numbers in place of {n}, or one not finite", m=out.size, n=n)
    return out


def _limits(a: Floats, n: int) -> Floats:
    """``n`` limits, infinite ones allowed, or SolverError."""
    out = np.ascontiguousarray(a, np.float64)
    if out.shape != (n,) or np.isnan(out).any():
        raise SolverError(
            "HiGHS was to be handed {m} limits in place of {n}, or one that is no number", m=out.size, n=n
        )
    return out
