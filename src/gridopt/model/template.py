"""Compile once, stamp many: a family's Pyomo block becomes a matrix template whose numbers stay formulas.

A block is built for one device with its Params *without a value*, so any attempt to look at one (``value(p)``,
``if p``, ``range(p)``) fails at once instead of baking in a placeholder. Pyomo's ``generate_standard_repn`` keeps the
coefficients as expressions of the Params; each expression is split into its *shape* (a numpy function) and its
*leaves* (places in the row of parameter values), and entries of equal shape are evaluated together for all devices
and all steps in one numpy call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from pyomo.core.expr import numeric_expr as ne
from pyomo.environ import Any as AnyDomain
from pyomo.environ import Block, ConcreteModel, Constraint, Expression, Param, RangeSet, Reals, Set, Var
from pyomo.repn import generate_standard_repn

from gridopt.assets.base import Cost, Exclusive, Family, Floats, Ints
from gridopt.errors import FamilyError, SolverError

INF = np.inf
Number = (int, float, np.integer, np.floating)


# --- one device's block ----------------------------------------------------------------------------------------------


def build_block(
    family: type[Family], steps: int, options: tuple[Any, ...], b: Any, values: Mapping[str, Any] | None = None
) -> Any:
    """Declare a family's Params, sets and block on ``b``; ``values`` (name → number or sequence) fills the Params.

    Without values the Params stay undefined, as the compiler needs it. Raises FamilyError where the rule tries to see
    a value, or forgets a port or a cost.
    """
    b.T = RangeSet(0, steps - 1)
    b.steps, b.last = steps, steps - 1
    series = family.series_names()
    for name in (*family.column_names(), "step_h"):
        index = (b.T,) if name in series else ()
        param = Param(*index, mutable=True, within=AnyDomain)
        setattr(b, name, param)
        if values is not None:
            if name in series:
                for t, v in enumerate(values[name]):
                    param[t] = float(v)
            else:
                param.set_value(float(values[name]))
    option = SimpleNamespace(**dict(zip(family.options, options, strict=True)))
    try:
        family.block(b, option)
    except FamilyError:
        raise
    except Exception as error:
        raise FamilyError(
            "family {family}: its block could not be built: {error}. A block must not look at a Param's value "
            "(value(p), if p, range(p)): compute a column in prepare(), or make it one of the family's options",
            family=family.name,
            error=str(error).strip().splitlines()[0],
        ) from error
    for part in [f"{p.name}_kw" for p in family.ports] + [c.name for c in active_costs(family, b)]:
        if not isinstance(b.component(part), Expression):
            raise FamilyError(
                "family {family}: its block declares no Expression {part}; every port and cost needs one",
                family=family.name,
                part=part,
            )
    return b


def active_costs(family: type[Family], b: Any) -> list[Cost]:
    """Costs whose Expression exists on this block (an option may leave one out)."""
    return [c for c in family.costs if b.component(c.name) is not None]


# --- formulas --------------------------------------------------------------------------------------------------------

_INFIX: dict[type, str] = {
    ne.ProductExpression: "*",
    ne.NPV_ProductExpression: "*",
    ne.MonomialTermExpression: "*",
    ne.DivisionExpression: "/",
    ne.NPV_DivisionExpression: "/",
    ne.PowExpression: "**",
    ne.NPV_PowExpression: "**",
    ne.SumExpression: "+",
    ne.NPV_SumExpression: "+",
    ne.LinearExpression: "+",
}
_NEGATION = (ne.NegationExpression, ne.NPV_NegationExpression)
_ABS = (ne.AbsExpression, ne.NPV_AbsExpression)


class Slots:
    """Places of the Params' values in a device's row of numbers; only Params that are used get one."""

    def __init__(self, b: Any, names: Iterable[str], series: frozenset[str]) -> None:
        self._of: dict[int, tuple[str, int]] = {}
        for name in names:
            param = b.component(name)
            for k, data in param.items() if name in series else [(-1, param)]:
                self._of[id(data)] = (name, k)
        self._place: dict[tuple[str, int], int] = {}

    def knows(self, item: Any) -> bool:
        return id(item) in self._of

    def place(self, item: Any) -> int:
        key = self._of[id(item)]
        return self._place.setdefault(key, len(self._place))

    def columns(self) -> list[tuple[str, npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
        """Per used column: its name, the steps used (-1 for a scalar) and their places."""
        by_name: dict[str, list[tuple[int, int]]] = {}
        for (name, k), place in self._place.items():
            by_name.setdefault(name, []).append((k, place))
        # In the order of the steps, whatever the order in which the block named them: `numbers` copies whole rows.
        return [
            (name, np.array([k for k, _ in pairs], np.intp), np.array([s for _, s in pairs], np.intp))
            for name, pairs in ((name, sorted(pairs)) for name, pairs in by_name.items())
        ]

    def __len__(self) -> int:
        return len(self._place)


class _Refused(Exception):
    pass


def _write(e: Any, slots: Slots, leaves: list[int]) -> str:
    """Python source of an expression of Params, with its leaves numbered a0, a1, … in order of appearance."""
    if isinstance(e, Number):
        return repr(float(e))
    if slots.knows(e):
        leaves.append(slots.place(e))
        return f"a{len(leaves) - 1}"
    kind = type(e)
    sign = _INFIX.get(kind)
    if sign is not None:
        return "(" + sign.join(_write(x, slots, leaves) for x in e.args) + ")"
    if kind in _NEGATION:
        return "(-" + _write(e.args[0], slots, leaves) + ")"
    if kind in _ABS:
        return "abs(" + _write(e.args[0], slots, leaves) + ")"
    raise _Refused(str(e))


@functools.cache
def _function(source: str, leaves: int) -> Callable[..., Any]:
    arguments = ",".join(f"a{k}" for k in range(leaves))
    # Source made by _write alone: numbers, a0…, + - * / ** and abs.
    function: Callable[..., Any] = eval(f"lambda {arguments}: {source}", {"__builtins__": {}, "abs": np.abs})  # noqa: S307
    return function


class Formulas:
    """A list of numbers and Param expressions; ``evaluate`` turns it into an (n, len) array."""

    def __init__(self, items: Sequence[Any], slots: Slots) -> None:
        self.constant = np.zeros(len(items))
        shapes: dict[tuple[str, int], tuple[list[int], list[list[int]]]] = {}
        for k, item in enumerate(items):
            if isinstance(item, Number):
                self.constant[k] = item
                continue
            leaves: list[int] = []
            source = _write(item, slots, leaves)
            where, rows = shapes.setdefault((source, len(leaves)), ([], []))
            where.append(k)
            rows.append(leaves)
        self.shapes = [
            (_function(source, count), _slice(where), [_slice([r[j] for r in rows]) for j in range(count)])
            for (source, count), (where, rows) in shapes.items()
        ]

    def __len__(self) -> int:
        return len(self.constant)

    def evaluate(self, numbers: Floats) -> Floats:
        """``numbers``: (n, slots), one row of parameter values per device."""
        out = np.empty((len(numbers), len(self.constant)))
        out[:] = self.constant
        with np.errstate(all="ignore"):
            for function, where, leaves in self.shapes:
                out[:, where] = value = function(*(numbers[:, leaf] for leaf in leaves))
                if not np.isfinite(value).all():
                    raise SolverError("a number of the model is not finite: check divisions by a zero parameter")
        return out


def _slice(index: list[int]) -> Any:
    """A contiguous run of places as a slice (no copy), one place for all as a 1-wide slice, else an index array."""
    first, last = index[0], index[-1]
    if last - first == len(index) - 1 and index == list(range(first, last + 1)):
        return slice(first, last + 1)
    if all(i == first for i in index):
        return slice(first, first + 1)
    return np.array(index, np.intp)


# --- the template ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variable:
    """A variable's columns inside a device: ``start`` and count; ``indexed`` by local step or a single one."""

    name: str
    start: int
    count: int
    indexed: bool


@dataclass(frozen=True)
class RowSet:
    """A constraint's rows inside a device; ``steps`` is the local step each row speaks of (-1: the whole window)."""

    name: str
    start: int
    steps: Ints


@dataclass(frozen=True)
class Terms:
    """Sparse linear terms: ``row`` (or local step, for ports), ``column`` inside the device, coefficient formulas."""

    row: Ints
    column: Ints
    value: Formulas


class Template:
    """One family for one window length and one set of options, ready to be stamped for any number of devices."""

    def __init__(self, family: type[Family], steps: int, options: tuple[Any, ...]) -> None:
        self.family, self.steps, self.options = family, steps, options
        model = ConcreteModel()
        model.device = Block(concrete=True)
        b = build_block(family, steps, options, model.device)
        self._refuse_strangers(b)
        slots = Slots(b, (*family.column_names(), "step_h"), family.series_names())
        self._read_variables(b, slots)
        self._read_rows(b, slots)
        self._read_ports(b, slots)
        self._read_costs(b, slots)
        self.used = slots.columns()
        self.slots = len(slots)

    # --- reading the block ---

    def _refuse_strangers(self, b: Any) -> None:
        """What the compiler would pass over in silence."""
        for c in b.component_objects():
            if c.ctype not in (Var, Constraint, Expression, Param, Block, Set, RangeSet):
                self._refuse(c.local_name, f"a block may not hold a {c.ctype.__name__}")
            if not c.active:
                self._refuse(c.local_name, "it is deactivated: make it one of the family's options")
        for port in self.family.ports:
            if list(b.component(f"{port.name}_kw").keys()) != list(b.T):
                self._refuse(f"{port.name}_kw", "a port's Expression has one value per step of b.T")

    def _read_variables(self, b: Any, slots: Slots) -> None:
        self.variables: list[Variable] = []
        lower: list[Any] = []
        upper: list[Any] = []
        self._column: dict[int, int] = {}
        for v in b.component_objects(Var):
            start = len(lower)
            for data in v.values():
                if data.domain is not Reals:
                    self._refuse(
                        v.local_name,
                        f"its domain is {data.domain}: declare it over Reals and its wholeness in decisions",
                    )
                self._column[id(data)] = len(lower)
                lower.append(self._bound(v, data.lower, -INF, slots))
                upper.append(self._bound(v, data.upper, INF, slots))
            if v.is_indexed() and len(lower) - start != self.steps:
                self._refuse(v.local_name, "a variable has one value per step of b.T or a single one")
            self.variables.append(Variable(v.local_name, start, len(lower) - start, v.is_indexed()))
        self.width = len(lower)
        self.lower, self.upper = Formulas(lower, slots), Formulas(upper, slots)
        named = {v.name for v in self.variables}
        wanted = {d.variable for d in self.family.decisions if not isinstance(d, Exclusive)}
        for name in () if self.family.options else wanted - named:
            self._refuse(name, "a decision names a variable that the block does not have")

    def _bound(self, v: Any, bound: Any, absent: float, slots: Slots) -> Any:
        if bound is None:
            return absent
        if isinstance(bound, Number) or slots.knows(bound):
            return bound
        return self._refuse(v.local_name, f"its bound {bound} is not a bare Param: compute a column in prepare()")

    def _read_rows(self, b: Any, slots: Slots) -> None:
        self.rows: list[RowSet] = []
        row: list[int] = []
        column: list[int] = []
        value: list[Any] = []
        lower: list[Any] = []
        upper: list[Any] = []
        for c in b.component_objects(Constraint):
            start, steps = len(lower), []
            for index, data in c.items():
                lo, body, hi = data.to_bounded_expression()
                columns, coefficients, constant = self._linear(c.local_name, body)
                row += [len(lower)] * len(columns)
                column += columns
                value += coefficients
                lower.append(-INF if lo is None else lo - constant)
                upper.append(INF if hi is None else hi - constant)
                steps.append(index if isinstance(index, int) else -1)
            self.rows.append(RowSet(c.local_name, start, np.array(steps, np.int64)))
        self.height = len(lower)
        self.matrix = self._terms(row, column, value, slots, "rows")
        self.row_lower, self.row_upper = self._formulas(lower, slots, "rows"), self._formulas(upper, slots, "rows")

    def _read_ports(self, b: Any, slots: Slots) -> None:
        self.ports: dict[str, tuple[Terms, Formulas]] = {}
        for port in self.family.ports:
            step: list[int] = []
            column: list[int] = []
            value: list[Any] = []
            constants: list[Any] = []
            name = f"{port.name}_kw"
            for t, data in b.component(name).items():
                columns, coefficients, constant = self._linear(name, data.expr)
                step += [t] * len(columns)
                column += columns
                value += coefficients
                constants.append(constant)
            self.ports[port.name] = (
                self._terms(step, column, value, slots, name),
                self._formulas(constants, slots, name),
            )

    def _read_costs(self, b: Any, slots: Slots) -> None:
        self.costs: dict[str, tuple[Terms, Formulas]] = {}
        for cost in active_costs(self.family, b):
            columns, coefficients, constant = self._linear(cost.name, b.component(cost.name).expr)
            self.costs[cost.name] = (
                self._terms([0] * len(columns), columns, coefficients, slots, cost.name),
                self._formulas([constant], slots, cost.name),
            )

    def _linear(self, where: str, expression: Any) -> tuple[list[int], list[Any], Any]:
        if isinstance(expression, Number):
            return [], [], float(expression)
        repn = generate_standard_repn(expression, quadratic=False, compute_values=False)
        if repn.nonlinear_expr is not None:
            self._refuse(where, f"the term {repn.nonlinear_expr} is not linear in the variables")
        try:
            columns = [self._column[id(v)] for v in repn.linear_vars]
        except KeyError:
            self._refuse(where, "it uses a variable of another block")
        return columns, list(repn.linear_coefs), repn.constant

    def _terms(self, row: list[int], column: list[int], value: list[Any], slots: Slots, where: str) -> Terms:
        return Terms(np.array(row, np.int64), np.array(column, np.int64), self._formulas(value, slots, where))

    def _formulas(self, items: list[Any], slots: Slots, where: str) -> Formulas:
        try:
            return Formulas(items, slots)
        except _Refused as refused:
            raise self._error(where, f"only + - * / ** and abs may act on Params, not {refused}") from None

    def _error(self, where: str, why: str) -> FamilyError:
        return FamilyError("family {family}: {where}: {why}", family=self.family.name, where=where, why=why)

    def _refuse(self, where: str, why: str) -> Any:
        raise self._error(where, why)

    # --- using it ---

    def variable(self, name: str) -> Variable | None:
        return next((v for v in self.variables if v.name == name), None)

    def numbers(self, columns: Mapping[str, Floats], step_h: float, n: int) -> Floats:
        """The devices' parameter values, one row each, in the order of the slots: shape (n, slots).

        Refuses a column that is missing, not float64, of another length, or not finite.
        """
        out = np.empty((n, self.slots))
        for name, steps, places in self.used:
            if name == "step_h":
                out[:, places] = step_h
                continue
            a = columns.get(name)
            series = steps[0] >= 0
            shape = (n, self.steps) if series else (n,)
            if a is None or a.dtype != np.float64 or a.shape != shape:
                found = "missing" if a is None else f"{a.dtype} of shape {a.shape}"
                raise FamilyError(
                    "family {family}: column {column} must be float64 of shape {shape}, not {found}",
                    family=self.family.name, column=name, shape=shape, found=found,
                )  # fmt: skip
            if not np.isfinite(a).all():
                raise FamilyError(
                    "family {family}: column {column} has a value that is not finite (device {device} of its group)",
                    family=self.family.name, column=name,
                    device=int(np.argwhere(~np.isfinite(a))[0][0]),
                )  # fmt: skip
            if series:
                out[:, places] = a if len(steps) == self.steps else a[:, steps]
            else:
                out[:, places] = a[:, None]
        return out


_compiled: dict[tuple[type[Family], int, tuple[Any, ...]], Template] = {}


def template(family: type[Family], steps: int, options: tuple[Any, ...]) -> Template:
    """The compiled template; compiled once per process for each family, window length and set of options."""
    key = (family, steps, options)
    if key not in _compiled:
        _compiled[key] = Template(family, steps, options)
    return _compiled[key]
