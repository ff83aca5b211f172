"""Families that break a rule of the compiler, and columns that are not numbers, are refused with words that help."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pyomo.environ import (
    Binary,
    Block,
    ConcreteModel,
    Constraint,
    Expr_if,
    Expression,
    NonNegativeReals,
    Objective,
    Param,
    SOSConstraint,
    Var,
    exp,
    value,
)

from gridopt.assets.base import Cost, Family, Floats, Parameter, SemiContinuous, Whole
from gridopt.errors import FamilyError, SolverError
from gridopt.model.assemble import assemble
from gridopt.model.inputs import Group, Inputs, Node
from gridopt.model.template import Template, template
from tests.conformance.random_params import AXES

Body = Callable[[Any], None]
STEPS = 4


def bad_family(body: Body, port: bool = True, **tables: Any) -> type[Family]:
    """A family with a sound variable and port, to which ``body`` adds what is wrong."""

    def block(b: Any, option: SimpleNamespace) -> None:
        b.x_kw = Var(b.T, bounds=(0, b.power_kw))
        b.y_kw = Var(b.T)
        if port:
            b.ac_kw = Expression(b.T, rule=lambda b, t: b.x_kw[t])
        body(b)

    parameters = (
        Parameter("power_kw", "a scalar"),
        Parameter("share", "another scalar"),
        Parameter("price", "a series", kind="series"),
    )
    return type("Bad", (Family,), {"name": "bad", "parameters": parameters, "block": staticmethod(block), **tables})


def row(rule: Callable[[Any, int], Any]) -> Body:
    def body(b: Any) -> None:
        b.limit_bad = Constraint(b.T, rule=rule)

    return body


def var(**given: Any) -> Body:
    def body(b: Any) -> None:
        b.z_kw = Var(b.T, **given)

    return body


def elsewhere() -> Any:
    m = ConcreteModel()
    m.v, m.p = Var(), Param(mutable=True, initialize=3)
    return m


ELSEWHERE = elsewhere()

NONLINEAR = "limit_bad: the term .* is not linear in the variables"
LOOKS = "its block could not be built: .* must not look at a Param's value .* compute a column in prepare"
ONLY = r"only \+ - \* / \*\* and abs may act on Params, not "
DOMAIN = "z_kw: its domain is .*: declare it over Reals and its wholeness in decisions"
BARE = "z_kw: its bound .* is not a bare Param: compute a column in prepare"

BAD: dict[str, tuple[Body, str]] = {
    "square": (row(lambda b, t: b.x_kw[t] ** 2 <= 1), NONLINEAR),
    "product": (row(lambda b, t: b.share * b.x_kw[t] * b.y_kw[t] <= 1), NONLINEAR),
    "ratio": (row(lambda b, t: b.share / (1 + b.x_kw[t]) <= 1), NONLINEAR),
    "abs of a variable": (row(lambda b, t: abs(b.x_kw[t]) <= 1), NONLINEAR),
    "power of a variable": (row(lambda b, t: b.x_kw[t] ** b.share <= 1), NONLINEAR),
    "Expr_if as a limit": (row(lambda b, t: b.x_kw[t] <= Expr_if(b.share > 0, 1, 2)), NONLINEAR),
    "Expr_if as a factor": (row(lambda b, t: Expr_if(b.share > 0, 1, 2) * b.x_kw[t] <= 1), NONLINEAR),
    "value(p)": (row(lambda b, t: b.x_kw[t] <= value(b.share)), LOOKS),
    "p()": (row(lambda b, t: b.x_kw[t] <= b.share()), LOOKS),
    "p.value": (row(lambda b, t: b.x_kw[t] <= b.price[t].value), LOOKS),
    "if p": (row(lambda b, t: b.x_kw[t] <= (1 if b.share else 2)), LOOKS),
    "if p > 0": (row(lambda b, t: b.x_kw[t] <= (1 if b.share > 0 else 2)), LOOKS),
    "if p == 0": (row(lambda b, t: b.x_kw[t] <= (1 if b.price[t] == 0 else 2)), LOOKS),
    "max(p, 0)": (row(lambda b, t: b.x_kw[t] <= max(b.share, 0)), LOOKS),
    "np.maximum(p, 0)": (row(lambda b, t: b.x_kw[t] <= np.maximum(b.share, 0)), LOOKS),
    "math.sqrt(p)": (row(lambda b, t: b.x_kw[t] <= math.sqrt(b.share)), LOOKS),
    "range(p)": (row(lambda b, t: sum(b.x_kw[k] for k in range(b.share)) <= 1), LOOKS),
    "int(p)": (row(lambda b, t: b.x_kw[int(b.share)] <= 1), LOOKS),
    "exp(p)": (row(lambda b, t: exp(b.share) * b.x_kw[t] <= 1), ONLY + "exp"),
    "exp(p) in a cost": (lambda b: setattr(b, "use_eur", Expression(expr=exp(b.share) * b.x_kw[0])), ONLY + "exp"),
    "a Param of another model": (row(lambda b, t: b.x_kw[t] <= ELSEWHERE.p), ONLY + "p"),
    "a variable of another model": (row(lambda b, t: b.x_kw[t] <= ELSEWHERE.v), "it uses a variable of another block"),
    "Binary": (var(domain=Binary), DOMAIN),
    "NonNegativeReals": (var(domain=NonNegativeReals), DOMAIN),
    "NonNegativeReals with a Param bound": (
        lambda b: setattr(b, "z_kw", Var(b.T, domain=NonNegativeReals, bounds=(0, b.power_kw))),
        DOMAIN,
    ),
    "a bound that is an expression": (lambda b: setattr(b, "z_kw", Var(b.T, bounds=(0, 2 * b.power_kw))), BARE),
    "a negative Param as bound": (lambda b: setattr(b, "z_kw", Var(b.T, bounds=(-b.power_kw, None))), BARE),
    "two indices": (lambda b: setattr(b, "z_kw", Var(b.T, [0, 1])), "z_kw: a variable has one value per step"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_block_is_refused(case: str) -> None:
    body, words = BAD[case]
    with pytest.raises(FamilyError, match=f"(?s)family bad: .*{words}"):
        Template(bad_family(body, costs=(Cost("use_eur", "cash", ""),)), STEPS, ())


def nothing(b: Any) -> None:
    pass


@pytest.mark.parametrize(
    ("family", "words"),
    [
        (bad_family(nothing, port=False), "declares no Expression ac_kw; every port and cost needs one"),
        (bad_family(lambda b: setattr(b, "ac_kw", Var(b.T)), port=False), "declares no Expression ac_kw"),
        (
            bad_family(nothing, decisions=(SemiContinuous("w_kw", "share"),)),
            "w_kw: a decision names a variable that the block does not have",
        ),
        (bad_family(nothing, decisions=(Whole("w"),)), "w: a decision names a variable"),
        (
            bad_family(lambda b: setattr(b, "use_eur", Var()), costs=(Cost("use_eur", "cash", ""),)),
            "declares no Expression use_eur",
        ),
    ],
)
def test_a_forgotten_part_is_refused(family: type[Family], words: str) -> None:
    with pytest.raises(FamilyError, match=f"family bad: .*{words}"):
        Template(family, STEPS, ())


OPEN: dict[str, Body] = {
    "an objective": lambda b: setattr(b, "best", Objective(expr=b.x_kw[0])),
    "a special ordered set": lambda b: setattr(b, "set", SOSConstraint(var=b.x_kw, sos=1)),
    "a deactivated row": lambda b: (row(lambda b, t: b.x_kw[t] <= 1)(b), b.limit_bad.deactivate())[0],
}


@pytest.mark.parametrize("case", OPEN)
def test_what_the_compiler_cannot_keep_is_refused(case: str) -> None:
    with pytest.raises(FamilyError, match="family bad"):
        Template(bad_family(OPEN[case]), STEPS, ())


@pytest.mark.parametrize(
    "port",
    [
        lambda b: setattr(b, "ac_kw", Expression(expr=b.x_kw[0])),
        lambda b: setattr(b, "ac_kw", Expression([0, 1], rule=lambda b, t: b.x_kw[t])),
    ],
    ids=["one for all steps", "two steps of four"],
)
def test_a_port_without_every_step_is_refused(port: Body) -> None:
    with pytest.raises(FamilyError, match="ac_kw"):
        Template(bad_family(port, port=False), STEPS, ())


# --- columns ---------------------------------------------------------------------------------------------------------


def user_block(b: Any) -> None:
    b.limit_use = Constraint(b.T, rule=lambda b, t: b.share * b.x_kw[t] <= b.price[t])


GOOD = bad_family(user_block)


def stamped(family: type[Family], **changed: Any) -> Any:
    axis = AXES["4x60"]
    free, n = np.full(STEPS, np.inf), 3
    columns = {"power_kw": np.ones(n), "share": np.ones(n), "price": np.ones((n, STEPS))} | changed
    columns = {name: a for name, a in columns.items() if a is not None}
    group = Group(family, (), STEPS, ("a", "b", "c"), columns, {"ac": np.zeros(n, np.int64)}, np.zeros(n, np.int64))
    node = Node("n", "electricity", None, free, free, np.zeros(STEPS))
    return assemble(Inputs(axis, (node,), (group,)))


def spoilt(shape: tuple[int, ...], x: float) -> Floats:
    out = np.ones(shape)
    out[(1,) * len(shape)] = x
    return out


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("share", spoilt((3,), np.nan), "a value that is not finite .device 1 of its group"),
        ("share", spoilt((3,), -np.inf), "a value that is not finite .device 1"),
        ("price", spoilt((3, STEPS), np.nan), "a value that is not finite .device 1"),
        ("share", None, r"float64 of shape \(3,\), not missing"),
        ("share", np.ones(4), r"shape \(3,\), not float64 of shape \(4,\)"),
        ("share", np.ones(1), r"shape \(3,\), not float64 of shape \(1,\)"),
        ("share", np.float64(1.0), r"shape \(3,\), not float64 of shape \(\)"),
        ("share", np.ones((3, 1)), r"shape \(3,\), not float64 of shape \(3, 1\)"),
        ("price", np.ones((3, STEPS + 1)), r"shape \(3, 4\), not float64 of shape \(3, 5\)"),
        ("price", np.ones((3, 1)), r"shape \(3, 4\), not float64 of shape \(3, 1\)"),
        ("price", np.ones(3), r"shape \(3, 4\), not float64 of shape \(3,\)"),
        ("share", np.ones(3, bool), "float64 .* not bool"),
        ("share", np.ones(3, int), "float64 .* not int"),
        ("share", np.ones(3, np.float32), "float64 .* not float32"),
        ("price", np.ones((3, STEPS), object), "float64 .* not object"),
    ],
)
def test_a_bad_column_is_refused(column: str, values: Any, words: str) -> None:
    assert stamped(GOOD).lp.shape[0] == STEPS + 3 * STEPS
    with pytest.raises(FamilyError, match=f"family bad: column {column} .*{words}"):
        stamped(GOOD, **{column: values})


def test_a_refused_column_leaves_nothing_behind() -> None:
    """The compiled template holds no numbers: after a refusal the next stamping is sound."""
    before = stamped(GOOD).lp
    with pytest.raises(FamilyError):
        stamped(GOOD, share=spoilt((3,), np.nan))
    after = stamped(GOOD).lp
    assert template(GOOD, STEPS, ()) is template(GOOD, STEPS, ())
    for name in ("cost", "lower", "upper", "row_lower", "row_upper", "value"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize(
    "rule",
    [lambda b, t: b.x_kw[t] / b.share <= 1, lambda b, t: b.x_kw[t] <= b.share / b.share],
    ids=["coefficient", "limit"],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_division_by_zero_is_refused(rule: Any) -> None:
    with pytest.raises(SolverError, match=r"not finite|not a number"):
        stamped(bad_family(row(rule)), share=np.zeros(3))


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize(
    "body",
    [
        lambda b: setattr(b, "use_eur", Expression(expr=b.x_kw[0] + b.power_kw / b.share)),
        row(lambda b, t: b.x_kw[t] <= b.power_kw / b.share),
    ],
    ids=["constant cost", "limit"],
)
def test_an_infinite_number_is_refused(body: Body) -> None:
    with pytest.raises(SolverError):
        stamped(bad_family(body, costs=(Cost("use_eur", "cash", ""),)), share=np.zeros(3))


def test_a_series_may_be_used_in_any_order() -> None:
    def body(b: Any) -> None:
        b.z_kw = Var(b.T, bounds=lambda b, t: (0, b.price[b.last - t]))

    price = np.arange(1.0, 1.0 + 3 * STEPS).reshape(3, STEPS)
    a = stamped(bad_family(body), price=price)
    np.testing.assert_array_equal(a.lp.upper[a.blocks[0].columns("z_kw")], price[:, ::-1])


def test_a_block_inside_a_block_is_read() -> None:
    """Components of a sub-block are columns and rows like the others."""

    def body(b: Any) -> None:
        b.inner = Block()
        b.inner.v_kw = Var()
        b.inner.limit = Constraint(expr=b.inner.v_kw <= b.share)

    a = stamped(bad_family(body))
    assert a.blocks[0].template.width == 2 * STEPS + 1
    assert a.blocks[0].template.height == 1
