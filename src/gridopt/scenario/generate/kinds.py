"""A series that a scenario may ask for: a function of cells and seed, its name, and the parameters it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from gridopt.clock import Axis, Floats
from gridopt.scenario.generate.cells import cells_of, onto
from gridopt.scenario.generate.parameters import Complaint, Number, Parameter, complaints, parameters_of, refuse_wrong


@dataclass(frozen=True)
class Kind:
    """``name`` in scenarios, ``unit`` of the result, ``minutes`` of the cells on which ``function`` makes it.

    ``function(cells, seed, **parameters)`` returns one value a cell. Its name is the result's, its docstring the
    kind's, its keyword-only arguments are the parameters.
    """

    name: str
    unit: str
    minutes: int
    function: Callable[..., Floats]

    @property
    def result(self) -> str:
        """The unit-suffixed column that the series fills."""
        return self.function.__name__

    @property
    def doc(self) -> str:
        """What the series stands for; its first line says it in short."""
        return inspect.getdoc(self.function) or ""

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """What a scenario may give."""
        return parameters_of(self.function)

    def complaints(self, given: Mapping[str, object]) -> list[Complaint]:
        """Everything wrong with the parameters given, without ``axis`` and ``seed``."""
        return complaints(self.parameters, given, self.name)

    def __call__(self, axis: Axis, seed: int, **given: Number) -> Floats:
        """The series, shape (steps,), float64 with 6 decimals. ValueError names every parameter that is wrong."""
        refuse_wrong(self.parameters, given, self.name)
        cells = cells_of(axis, self.minutes)
        return onto(axis, cells, self.function(cells, seed, **given))


def kind(name: str, unit: str, minutes: int = 15) -> Callable[[Callable[..., Floats]], Kind]:
    """Make a function of cells a kind."""
    return lambda function: Kind(name, unit, minutes, function)
