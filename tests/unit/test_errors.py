"""The error tree: exit codes, templates with their fields, every mistake in the order of the file."""

from __future__ import annotations

import pickle
import re

import pytest

from gridopt import errors
from gridopt.errors import (
    AdapterError,
    DataError,
    DeviceError,
    FamilyError,
    GridoptError,
    InfeasibleError,
    InternalError,
    MappingError,
    Mistake,
    MistakesError,
    NoPlanError,
    ScenarioError,
    SiteError,
    SolverError,
    UnboundedError,
    UsageError,
    VerificationError,
)

CODES = {
    GridoptError: 1, InternalError: 1, FamilyError: 1, SolverError: 1, UsageError: 2, MistakesError: 10,
    AdapterError: 10, ScenarioError: 10, SiteError: 10, MappingError: 10, UnboundedError: 10, DataError: 11,
    InfeasibleError: 12, NoPlanError: 13, DeviceError: 14, VerificationError: 15,
}  # fmt: skip


def mistakes() -> list[Mistake]:
    return [
        Mistake("b.toml", 3, "unknown", "third"),
        Mistake("a.toml", 12, "unknown", "second"),
        Mistake("a.toml", None, "missing", "first"),
        Mistake("b.toml", 3, "unknown", "fourth"),
        Mistake("b.toml", 20, "range", "all the rest"),
    ]


def test_every_error_has_its_exit_code() -> None:
    assert {e: e.exit_code for e in CODES} == CODES
    tree = {e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, GridoptError)}
    assert tree == set(CODES)
    assert {name for name in errors.__all__ if name != "Mistake"} == {e.__name__ for e in tree}


def test_bugs_are_internal_errors_and_a_users_faults_are_not() -> None:
    assert {e for e in CODES if issubclass(e, InternalError)} == {InternalError, FamilyError, SolverError}


def test_the_drawn_tree_is_the_tree() -> None:
    drawn = re.findall(r"^[│├└─\s]*(\w+Error)\s+(\d+)?", str(errors.__doc__), re.MULTILINE)
    assert {name for name, _ in drawn} == {e.__name__ for e in CODES}
    assert {name: int(code) for name, code in drawn if code} == {
        e.__name__: code for e, code in CODES.items() if e not in (GridoptError, FamilyError, SolverError)
    }


def test_a_message_is_a_template_and_its_fields() -> None:
    e = SolverError("HiGHS refused {what} of {asset}", what="bounds", asset="bat-{a}")
    assert str(e) == "HiGHS refused bounds of bat-{a}"
    assert e.template == "HiGHS refused {what} of {asset}"
    assert e.fields == {"what": "bounds", "asset": "bat-{a}"}


def test_a_template_without_fields_is_said_as_it_is() -> None:
    e = DataError("the answer was {not json}")
    assert str(e) == "the answer was {not json}"
    assert e.fields == {}


def test_a_template_whose_field_is_missing_is_a_bug_of_ours() -> None:
    with pytest.raises(KeyError, match="node"):
        DataError("{id} at {node}", id="x")


def test_what_stands_behind_a_message_is_carried_along() -> None:
    why, bad = object(), [object()]
    refused = InfeasibleError("{words}", explanation=why, words="no {plan}")
    assert refused.explanation is why
    assert (str(refused), refused.fields) == ("no {plan}", {"words": "no {plan}"})
    held = VerificationError("{count} values", findings=bad, count=1)
    assert held.findings is bad
    assert (str(held), held.fields) == ("1 values", {"count": 1})
    assert InfeasibleError("x").explanation is None
    assert VerificationError("x").findings == ()


def test_a_mistake_says_where_it_stands() -> None:
    assert (
        str(Mistake("s/scenario.toml", 41, "range", "soc_end is too large"))
        == "s/scenario.toml:41: soc_end is too large"
    )
    assert str(Mistake("s/scenario.toml", None, "missing", "no horizon")) == "s/scenario.toml: no horizon"


def test_mistakes_are_told_apart_by_what_a_person_sees() -> None:
    a = Mistake("f", 1, "range", "m", {"value": 1.2})
    assert a == Mistake("f", 1, "range", "m", {"value": 1.3})
    assert len({a, Mistake("f", 1, "range", "m", {"value": 1.3}), Mistake("f", 2, "range", "m")}) == 2


def test_all_mistakes_are_told_in_the_order_of_the_files() -> None:
    e = ScenarioError(mistakes())
    assert [m.message for m in e.mistakes] == ["first", "second", "fourth", "third", "all the rest"]
    assert str(e) == "a.toml: first\na.toml:12: second\nb.toml:3: fourth\nb.toml:3: third\nb.toml:20: all the rest"
    assert e.exit_code == 10


@pytest.mark.parametrize(
    "e",
    [
        ScenarioError(mistakes()),
        AdapterError(mistakes()),
        SolverError("HiGHS refused {what}", what="bounds"),
        InfeasibleError("{words}", explanation=("why",), words="no plan"),
        VerificationError("{count} values", findings=("bad",), count=1),
    ],
    ids=lambda e: type(e).__name__,
)
def test_an_error_survives_the_way_between_two_processes(e: GridoptError) -> None:
    back = pickle.loads(pickle.dumps(e))
    assert type(back) is type(e)
    assert str(back) == str(e)
    assert vars(back) == vars(e)
