"""What a generator may be given: unit, meaning and range of every parameter, and every reason why a value is wrong."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

Number = float | int | str | None


@dataclass(frozen=True)
class Option:
    """What a function's signature cannot say of a parameter: unit, meaning, range [low, high] or choices."""

    unit: str
    doc: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parameter:
    """A parameter as a scenario may give it. ``required`` has no default; ``optional`` may be None (drawn, unset)."""

    name: str
    type: type
    default: Number
    option: Option
    required: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Complaint:
    """Why a given parameter cannot be used; the loader adds file and line."""

    parameter: str
    code: str
    message: str


def parameters_of(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """The parameters of a function that are ``Annotated[type, Option]``, in order."""
    found = []
    for name, argument in inspect.signature(function, eval_str=True).parameters.items():
        if get_origin(argument.annotation) is not Annotated:
            continue
        hint, option = get_args(argument.annotation)
        types = [t for t in get_args(hint) or (hint,) if t is not NoneType]
        required = argument.default is inspect.Parameter.empty
        default = None if required else argument.default
        found.append(Parameter(name, types[0], default, option, required, NoneType in get_args(hint)))
    return tuple(found)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like the one written, or None when nothing comes close."""
    return next(iter(difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)), None)


def complaints(parameters: Sequence[Parameter], given: Mapping[str, object], owner: str) -> list[Complaint]:
    """Every given parameter that ``owner`` does not know or cannot use, then every required one that is missing."""
    known = {p.name: p for p in parameters}
    found = []
    for name, value in given.items():
        if name in known:
            trouble = _trouble(known[name], value)
        else:
            close = nearest(name, known)
            hint = f"did you mean {close}?" if close else f"it takes {', '.join(known) or 'none'}"
            trouble = ("unknown-parameter", f"is not a parameter of {owner}: {hint}")
        if trouble:
            found.append(Complaint(name, trouble[0], f"{name} {trouble[1]}"))
    missing = [p.name for p in parameters if p.required and p.name not in given]
    return found + [Complaint(name, "missing", f"{name} must be given for {owner}") for name in missing]


def refuse_wrong(parameters: Sequence[Parameter], given: Mapping[str, object], owner: str) -> None:
    """ValueError names every parameter that is wrong."""
    if wrong := complaints(parameters, given, owner):
        raise ValueError("; ".join(w.message for w in wrong))


def _trouble(parameter: Parameter, value: object) -> tuple[str, str] | None:
    """Code and message of what is wrong with one value, or None."""
    option = parameter.option
    if value is None and parameter.optional:
        return None
    if parameter.type is str:
        if value in option.choices:
            return None
        close = nearest(str(value), option.choices)
        hint = f"; did you mean {close}?" if close else ""
        return "unknown-choice", f"is {value!r}, not one of {', '.join(option.choices)}{hint}"
    wanted = (int,) if parameter.type is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted):
        return "wrong-type", f"must be {'a whole number' if parameter.type is int else 'a number'}, not {value!r}"
    if not (math.isfinite(value) and option.low <= value <= option.high):
        unit = f" {option.unit}" if option.unit else ""
        return "out-of-range", f"is {value:g}, not within {option.low:g}..{option.high:g}{unit}"
    return None
