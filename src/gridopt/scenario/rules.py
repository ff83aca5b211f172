"""A user's own constraints: a Python file whose functions ``rule_…`` yield Pyomo expressions over named assets.

    def rule_keep_half_for_the_evening(m):
        for t in m.steps_between("17:00", "19:00"):
            yield m.asset["bat-a"].soc_kwh[t] >= 0.5 * m.asset["bat-a"].capacity_kwh

    def rule_shared_charger(m):
        return [m.asset["ev-1"].charge_kw[t] + m.asset["ev-2"].charge_kw[t] <= 22 for t in m.T]

``m`` has ``T`` (the steps), ``step_h``, ``time(t)`` (local), ``steps_between(from, to, days)``, ``asset[id]`` with
every variable, port power, cost and parameter of the asset's family, and ``node[id]`` with ``net_kw``, ``import_kw``
and ``export_kw``. Steps are the horizon's; an asset that is there for part of it only (a car) has zeros outside. A
function yields or returns one or more linear constraints, each alone or with a name: ``("morning", expression)``. The
file is run whenever the scenario is loaded: it is the user's own code.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pyomo.core.expr.relational_expr import RelationalExpression
from pyomo.environ import Block, ConcreteModel, Constraint, Expression, Param, RangeSet, Var, value
from pyomo.repn import generate_standard_repn

from gridopt.clock import Axis
from gridopt.model.inputs import Group, LinearRule, Node
from gridopt.model.template import build_block
from gridopt.scenario.document import Document
from gridopt.scenario.mistakes import Report
from gridopt.scenario.times import Window, inside, parse_clock, parse_days
from gridopt.written.fields import LARGEST, short
from gridopt.written.report import Where
from gridopt.written.toml import decoded, shown
from gridopt.written.words import did_you_mean, listed, nearest, quoted

INF = np.inf
NODE_QUANTITIES = ("net_kw", "import_kw", "export_kw")

Term = tuple[str, str, str, int]
"""("asset" | "node", id, variable, step of the horizon; -1 where there is one for the whole)."""


class RuleError(Exception):
    """What the user's file asked for does not exist; the message is for them."""


class _Named(Mapping[str, Any]):
    """Things by id, made when first asked for."""

    def __init__(self, what: str, ids: tuple[str, ...], make: Callable[[str], Any]) -> None:
        self._what, self._ids, self._make = what, ids, make
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            if name not in self._ids:
                hint = did_you_mean(str(name), self._ids, "there are")
                raise RuleError(f"there is no {self._what} {quoted(name)}{hint}")
            self._made[name] = self._make(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


class _OnHorizon:
    """An indexed component of a block on its own window, seen by the horizon's steps: zero outside the window."""

    def __init__(self, component: Any, offset: int, steps: int, horizon: int) -> None:
        self._component, self._offset, self._steps, self._horizon = component, offset, steps, horizon

    def __getitem__(self, t: int) -> Any:
        if not (isinstance(t, (int, np.integer)) and 0 <= t < self._horizon):
            raise RuleError(f"there is no step {quoted(t)}: the horizon has the steps 0..{self._horizon - 1}")
        local = int(t) - self._offset
        if not 0 <= local < self._steps:
            return 0.0
        item = self._component[local]
        return value(item) if isinstance(self._component, Param) else item


class _Asset:
    """What a rule sees of one asset."""

    def __init__(self, name: str, block: Any, group: Group, k: int, horizon: int) -> None:
        self._name, self._block, self._group, self._k, self._horizon = name, block, group, k, horizon
        self.family = group.family.name

    def __getattr__(self, name: str) -> Any:
        component = self._block.component(name)
        if not isinstance(component, (Var, Expression, Param)):
            known = [[c.local_name for c in self._block.component_objects(kind)] for kind in (Var, Expression, Param)]
            close = next((n for names in known if (n := nearest(name, names))), None)
            hint = f"; did you mean {close}?" if close else f"; it has {listed(known[0])}"
            raise RuleError(f"asset {self._name} ({self.family}) has no {name}{hint}")
        if component.is_indexed():
            return _OnHorizon(component, int(self._group.offset[self._k]), self._group.steps, self._horizon)
        return value(component) if isinstance(component, Param) else component


class _Absent:
    """An asset that is not there within the horizon: zero whatever is asked."""

    def __init__(self, horizon: int) -> None:
        self._horizon = horizon

    def __getattr__(self, name: str) -> _OnHorizon:
        return _OnHorizon(None, 0, 0, self._horizon)


class _Node:
    """What a rule sees of one node: powers at its boundary to the parent."""

    def __init__(self, name: str, block: Any, horizon: int) -> None:
        self._name, self._block, self._horizon = name, block, horizon

    def __getattr__(self, name: str) -> Any:
        if name not in NODE_QUANTITIES:
            raise RuleError(f"node {self._name} has no {name}{did_you_mean(name, NODE_QUANTITIES, 'it has')}")
        return _OnHorizon(self._block.component(name), 0, self._horizon, self._horizon)


class RuleModel:
    """The ``m`` of a rule: names of assets and nodes, and the horizon's times. Blocks are built when touched."""

    def __init__(
        self, axis: Axis, nodes: tuple[Node, ...], groups: tuple[Group, ...], written: frozenset[str] = frozenset()
    ) -> None:
        self._axis = axis
        self._model = ConcreteModel()
        self._terms: dict[int, Term] = {}
        self._where = {name: (group, k) for group in groups for k, name in enumerate(group.ids)}
        self.T = range(axis.steps)
        self.step_h = axis.step_h
        self.asset = _Named("asset", tuple(sorted(written | set(self._where))), self._asset)
        self.node = _Named("node", tuple(node.id for node in nodes), self._node)

    def time(self, t: int) -> datetime:
        """Local start of a step."""
        return self._axis.local[t]

    def steps_between(self, start: str, to: str, days: str = "all") -> list[int]:
        """Steps that start within a daily window of local time, past midnight when ``to`` is not after ``start``."""
        try:
            window = Window(parse_days(days), parse_clock(start), parse_clock(to))
        except ValueError:
            raise RuleError(f"steps_between({start!r}, {to!r}, {days!r}): write 07:00, 19:00, mon-fri") from None
        return [int(t) for t in np.flatnonzero(inside(self._axis, window))]

    def term(self, variable: Any) -> Term:
        found = self._terms.get(id(variable))
        if found is None:
            raise RuleError(f"{variable} is a variable that the scenario does not have")
        return found

    def _asset(self, name: str) -> _Asset | _Absent:
        if name not in self._where:
            return _Absent(self._axis.steps)
        group, k = self._where[name]
        block = self._block(name)
        values = {column: a[k] for column, a in group.columns.items()} | {"step_h": self.step_h}
        build_block(group.family, group.steps, group.options, block, values)
        offset = int(group.offset[k])
        for v in block.component_objects(Var):
            for index, data in v.items():
                step = offset + index if v.is_indexed() else -1
                self._terms[id(data)] = ("asset", name, v.local_name, step)
        return _Asset(name, block, group, k, self._axis.steps)

    def _node(self, name: str) -> _Node:
        block = self._block(f"node {name}")
        block.T = RangeSet(0, self._axis.steps - 1)
        for quantity in NODE_QUANTITIES:
            variable = Var(block.T)
            setattr(block, quantity, variable)
            for t, data in variable.items():
                self._terms[id(data)] = ("node", name, quantity, t)
        return _Node(name, block, self._axis.steps)

    def _block(self, name: str) -> Any:
        self._model.add_component(name, Block(concrete=True))
        return self._model.component(name)

    def row(self, name: str, expression: Any) -> LinearRule | str | None:
        """A constraint as data; a code of MESSAGES where it cannot be one, None where it always holds."""
        if isinstance(expression, (bool, np.bool_)):
            return None if expression else "rule-false"
        if not isinstance(expression, RelationalExpression):
            return "rule-not-constraint"
        strict = getattr(expression, "strict", False)
        if any(strict) if isinstance(strict, tuple) else strict:
            return "rule-strict"
        constraint = Constraint(expr=expression)
        constraint.construct()
        low, body, high = constraint.to_bounded_expression()
        repn = generate_standard_repn(body, quadratic=False)
        if repn.nonlinear_expr is not None:
            return "rule-nonlinear"
        constant = float(value(repn.constant))
        low = -INF if low is None else float(value(low)) - constant
        high = INF if high is None else float(value(high)) - constant
        pairs = zip(repn.linear_coefs, repn.linear_vars, strict=True)
        terms = tuple(sorted(((float(value(c)), *self.term(v)) for c, v in pairs), key=lambda t: t[1:]))
        numbers = [c for c, *_ in terms] + [b for b, free in ((low, -INF), (high, INF)) if b != free]
        if not all(abs(number) <= LARGEST for number in numbers):  # NaN is not either
            return "rule-number"
        if not terms:
            return None if low <= 1e-9 and high >= -1e-9 else "rule-false"
        return LinearRule(name, terms, low, high)


# --- reading and running ---------------------------------------------------------------------------------------------


def read_rule_file(document: Document, path: Path, place: Where, report: Report) -> Any:
    """The compiled code of a rule file, or None with its mistake: nothing is run yet."""
    content = document.read(path, place, report)
    text = None if content is None else decoded(content, shown(path), report)
    if text is None:
        return None
    try:
        return compile(text, str(path), "exec")
    except (SyntaxError, ValueError) as error:  # ValueError: null bytes
        reason = getattr(error, "msg", str(error))
        report.add((shown(path), getattr(error, "lineno", None)), "rule-syntax", reason=reason)
        return None


def run_rules(path: Path, code: Any, model: RuleModel, report: Report) -> list[LinearRule]:
    """Run a rule file on a model; every function's first mistake is reported."""
    space: dict[str, Any] = {"__name__": path.stem, "__file__": str(path)}
    found: list[LinearRule] = []
    # stdout is for results: what the user's code prints goes where progress goes.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            exec(code, space)  # noqa: S102 - the user's own file
        except (Exception, SystemExit) as error:
            report.add((shown(path), _line(error, path)), "rule-error", rule=path.name, reason=_reason(error))
            return []
        functions = {name: f for name, f in space.items() if name.startswith("rule_") and callable(f)}
        if not functions:
            report.add((shown(path), None), "rule-none")
        for name, function in functions.items():
            line = getattr(getattr(function, "__code__", None), "co_firstlineno", None)
            try:
                found += _run(name, function, line, path, model, report)
            except (Exception, SystemExit) as error:
                report.add((shown(path), _line(error, path) or line), "rule-error", rule=name, reason=_reason(error))
    return found


def _run(
    name: str, function: Callable[[Any], Any], line: int | None, path: Path, model: RuleModel, report: Report
) -> list[LinearRule]:
    made = function(model)
    if made is None:
        report.add((shown(path), line), "rule-empty", rule=name)
        return []
    single = isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], str)
    items = iter([made]) if single or isinstance(made, (RelationalExpression, bool)) else iter(made)
    found: list[LinearRule] = []
    for k, item in enumerate(items):
        frame = getattr(items, "gi_frame", None)
        label, expression = item if isinstance(item, tuple) and len(item) == 2 else (f"{name} {k + 1}", item)
        row = model.row(str(label), expression)
        if isinstance(row, LinearRule):
            found.append(row)
        elif row is not None:
            at = frame.f_lineno if frame is not None else line
            text = _short(expression)
            report.add((shown(path), at), row, rule=name, term=text, value=text, most=short(LARGEST))
            break
    return found


def _short(expression: Any) -> str:
    text = " ".join(str(expression).split())
    return text if len(text) <= 80 else text[:79] + "…"


def _line(error: BaseException, path: Path) -> int | None:
    """The last line of the user's file that was running."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return lines[-1] if lines else None


def _reason(error: BaseException) -> str:
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, RuleError):
        return text
    if "bool" in text and "expression" in text.lower():
        return "a constraint cannot be chained or tested; write two constraints instead of a <= x <= b"
    return f"{type(error).__name__}: {text}"
