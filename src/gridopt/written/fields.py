"""Field types of what people write: each checks a value, says in a code and fields what is wrong, and has a schema.

They are pydantic metadata: ``Annotated[float, Number(minimum=0)]``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from gridopt.written.words import did_you_mean, listed, quoted

Schema = dict[str, Any]

LARGEST = 1e7
"""No power, energy or temperature of a district is larger (10 GW): beyond it stand slips of the pen, and a solver that
tells values 1e-7 apart runs out of digits."""


def refuse(code: str, value: object, **fields: Any) -> NoReturn:
    """The value is wrong: a code of MESSAGES and its fields."""
    raise PydanticCustomError(code, "wrong", {"value": quoted(value), **fields})


class FieldType:
    """Base: ``check`` returns the value as the loader wants it; ``schema`` describes it to an editor."""

    def check(self, value: Any) -> Any:
        raise NotImplementedError

    def schema(self) -> Schema:
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return self.schema()


@dataclass(frozen=True)
class Number(FieldType):
    """A finite number within its range and of a size; ``endless`` also takes inf, for "no limit"."""

    minimum: float = -math.inf
    maximum: float = math.inf
    endless: bool = False
    largest: float = LARGEST

    def check(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            refuse("not-number", value, hint=number_hint(value))
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if self.endless and number == math.inf:
            return number
        if not math.isfinite(number):
            refuse("not-finite", value, most=short(self.largest))
        check_range(value, number, self.minimum, self.maximum)
        if abs(number) > self.largest:
            hint = "; write inf for no limit" if self.endless else ""
            refuse("too-big", value, most=short(self.largest), hint=hint)
        return number

    def schema(self) -> Schema:
        return {"type": "number"} | range_schema(self.minimum, self.maximum)


@dataclass(frozen=True)
class Whole(FieldType):
    """A whole number within its range."""

    minimum: int = 0
    maximum: int = 2**53

    def check(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            refuse("not-number", value, hint=number_hint(value))
        if isinstance(value, float) and not value.is_integer():
            refuse("not-whole", value)
        check_range(value, value, self.minimum, self.maximum)
        return int(value)

    def schema(self) -> Schema:
        return {"type": "integer"} | range_schema(self.minimum, self.maximum)


@dataclass(frozen=True)
class Text(FieldType):
    """A text that is not empty."""

    def check(self, value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            refuse("not-text", value)
        return value.strip()

    def schema(self) -> Schema:
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True)
class Flag(FieldType):
    """true or false."""

    def check(self, value: Any) -> bool:
        if not isinstance(value, bool):
            refuse("not-flag", value)
        return value

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Choice(FieldType):
    """One of a few values."""

    choices: tuple[Any, ...]

    def check(self, value: Any) -> Any:
        if isinstance(value, bool) or value not in self.choices:
            if len(self.choices) == 1:
                refuse("only-choice", value, choice=self.choices[0])
            names = [str(c) for c in self.choices]
            close = did_you_mean(value, names) if isinstance(value, str) else ""
            hint = close if "did you mean" in close else ""
            refuse("not-choice", value, choices=listed(names), hint=hint)
        return value

    def schema(self) -> Schema:
        return {"enum": list(self.choices)}


@dataclass(frozen=True)
class Numbers(FieldType):
    """Numbers in a row; in a table file ``0.5;1.2``."""

    minimum: float = -math.inf
    maximum: float = math.inf
    largest: float = LARGEST

    def check(self, value: Any) -> tuple[float, ...]:
        items: Sequence[Any] = value if isinstance(value, (list, tuple)) else [value]
        if isinstance(value, str):
            try:
                items = [float(part) for part in value.split(";")]
            except ValueError:
                refuse("not-numbers", value)
        if not items or any(isinstance(i, bool) or not isinstance(i, (int, float)) for i in items):
            refuse("not-numbers", value)
        return tuple(Number(self.minimum, self.maximum, largest=self.largest).check(item) for item in items)

    def schema(self) -> Schema:
        number = {"type": "number"} | range_schema(self.minimum, self.maximum)
        return {"anyOf": [{"type": "array", "items": number, "minItems": 1}, {"type": "string"}, number]}


@dataclass(frozen=True)
class Texts(FieldType):
    """A list of texts."""

    def check(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            refuse("not-list", value)
        return tuple(Text().check(item) for item in value)

    def schema(self) -> Schema:
        return {"type": "array", "items": {"type": "string", "minLength": 1}}


# --- helpers -------------------------------------------------------------------------------------------------------


def check_range(written: Any, number: float, low: float, high: float) -> None:
    """Refuses a number outside [low, high]."""
    if low <= number <= high:
        return
    if math.isfinite(low) and math.isfinite(high):
        share = low >= 0 and 1 <= high <= 1.2 and 2 <= number <= 100
        hint = f"; a share: write {number / 100:g} for {number:g} %" if share else ""
        refuse("out-of-range", written, low=f"{low:g}", high=f"{high:g}", hint=hint)
    if number < low:
        refuse("too-small", written, low=f"{low:g}")
    refuse("too-large", written, high=f"{high:g}")


def short(number: float) -> str:
    """``1e9``: a number in its fewest signs."""
    return f"{number:g}".replace("e+0", "e").replace("e+", "e")


def range_schema(low: float, high: float) -> Schema:
    return ({"minimum": low} if math.isfinite(low) else {}) | ({"maximum": high} if math.isfinite(high) else {})


def number_hint(value: object) -> str:
    """What a text that was meant as a number should look like; '' when it was not."""
    if not isinstance(value, str):
        return ""
    text = value.strip()
    for candidate, hint in ((text, "; write it without quotes"), (text.replace(",", "."), "; write a decimal point")):
        try:
            float(candidate)
        except ValueError:
            continue
        return hint if candidate.lower().strip("+-") not in ("nan", "inf", "infinity") else ""
    return ""
