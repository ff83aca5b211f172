"""Everything that can go wrong, drawn once.

GridoptError                      exit code
├── UsageError                     2   the command line itself, and places that cannot be written
├── MistakesError                 10   files that people write; carries every Mistake found
│   ├── ScenarioError             10   a scenario, a missing series among its mistakes
│   ├── AdapterError              10   a device's adapter
│   ├── SiteError                 10   the devices of a site, and who may write to them
│   └── MappingError              10   what the columns of a table are
├── UnboundedError                10   a price pays for a flow that nothing limits
├── DataError                     11   a run folder or a journal that is damaged, was changed, or is of another format
├── InfeasibleError               12   hard limits contradict each other; carries the Culprits in words
├── NoPlanError                   13   the time limit passed without any plan
├── DeviceError                   14   a device that does not answer, is another one, or was not proven to obey
├── VerificationError             15   a plan was refused by the independent check
└── InternalError                  1   a bug, ours or a family author's
    ├── FamilyError                    a device family breaks a rule of the compiler
    └── SolverError                    HiGHS refused, or answered something it must not

A message is a template and its fields: the template is text, the fields are data and kept beside it, so that a program
need not read the words, and another language needs other templates only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

__all__ = [
    "AdapterError",
    "DataError",
    "DeviceError",
    "FamilyError",
    "GridoptError",
    "InfeasibleError",
    "InternalError",
    "MappingError",
    "Mistake",
    "MistakesError",
    "NoPlanError",
    "ScenarioError",
    "SiteError",
    "SolverError",
    "UnboundedError",
    "UsageError",
    "VerificationError",
]


class GridoptError(Exception):
    """Root of every error that gridopt raises on purpose: a template and the fields that fill it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, template: str, **fields: Any) -> None:
        self.template = template
        self.fields = fields
        super().__init__(template.format(**fields) if fields else template)


class UsageError(GridoptError):
    exit_code = 2


@dataclass(frozen=True, order=True)
class Mistake:
    """One mistake in a user's file: where it stands, what is wrong, how to mend it.

    ``file`` is relative to where the user stands; ``line`` counts from 1 (a table file's line, header included).
    """

    file: str
    line: int | None
    code: str
    message: str
    fields: dict[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.message}"


class MistakesError(GridoptError):
    """Every mistake of what a person wrote, collected before stopping."""

    exit_code = 10

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = sorted(mistakes, key=lambda m: (m.file, m.line or 0, m.message))
        super().__init__("\n".join(str(m) for m in self.mistakes))

    def __str__(self) -> str:
        return "\n".join(str(m) for m in self.mistakes)

    def __reduce__(self) -> Any:
        return type(self), (self.mistakes,)


class ScenarioError(MistakesError):
    pass


class AdapterError(MistakesError):
    pass


class SiteError(MistakesError):
    pass


class MappingError(MistakesError):
    pass


class UnboundedError(GridoptError):
    exit_code = 10


class DataError(GridoptError):
    exit_code = 11


class InfeasibleError(GridoptError):
    """Hard limits contradict; ``explanation`` (solve.infeasible.Explanation) names the culprits and the mends."""

    exit_code = 12

    def __init__(self, template: str, explanation: Any = None, **fields: Any) -> None:
        super().__init__(template, **fields)
        self.explanation = explanation


class NoPlanError(GridoptError):
    exit_code = 13


class DeviceError(GridoptError):
    exit_code = 14


class VerificationError(GridoptError):
    """The plan does not hold; ``findings`` (verify.Finding) say which value of which asset at which step."""

    exit_code = 15

    def __init__(self, template: str, findings: Any = (), **fields: Any) -> None:
        super().__init__(template, **fields)
        self.findings = findings


class InternalError(GridoptError):
    exit_code = 1


class FamilyError(InternalError):
    """A device family breaks a rule: the message says which family, which component, and how to write it instead."""


class SolverError(InternalError):
    """HiGHS refused an input or returned a status that must not be used."""
