"""Tables of a file as pydantic models; what pydantic finds, in our words, each where it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.json_schema import models_json_schema

from gridopt.written.report import Report, Where
from gridopt.written.words import doc_with_unit, key_hint, quoted


class Section(BaseModel):
    """A table of the file; a key it does not know is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), arbitrary_types_allowed=True)


def read_model(
    model: type[Section],
    values: Mapping[str, Any],
    where: str,
    place: Callable[..., Where],
    report: Report,
    absent: frozenset[str] = frozenset(),
) -> Any:
    """The values as a model, or None with every mistake reported.

    ``place(*keys)``: where a key stands; ``absent``: keys whose absence is reported already.
    """
    try:
        return model.model_validate(values)
    except ValidationError as wrong:
        for error in wrong.errors(include_url=False):
            if error["type"] != "missing" or error["loc"][-1] not in absent:
                _explain(error, model, where, place, report)
        return None


def _explain(error: Any, model: type[Section], where: str, place: Callable[..., Where], report: Report) -> None:
    """One of pydantic's findings in our words."""
    path, key, kind = error["loc"][:-1], error["loc"][-1], error["type"]
    inner, words = _inside(model, path[:-1] if isinstance(key, int) else path)
    where += words
    at = place(*error["loc"])
    if kind == "extra_forbidden":
        report.add(at, "unknown-key", where=where, key=key, hint=key_hint(str(key), known_keys(inner)))
    elif kind == "missing":
        report.add(at, "missing-key", where=where, key=key, doc=key_doc(inner, str(key)))
    elif kind == "list_type":
        report.add(at, "not-list", where=where, key=key, value=quoted(error["input"]))
    elif kind in ("model_type", "dict_type"):
        name = f"{path[-1]} {key + 1}" if isinstance(key, int) else key
        report.add(at, "not-table", where=where, key=name, value=quoted(error["input"]))
    else:
        report.add(at, kind, where=where, key=key, **error["ctx"])


def _inside(model: type[Section], path: tuple[str | int, ...]) -> tuple[type[Section], str]:
    """The model of a table inside, and the words that lead there: ("windows", 0) of Peak is PeakWindow, windows 1."""
    words, by_name = "", False
    for name in path:
        if isinstance(name, int) or by_name:
            words += f" {name}" if by_name else f" {int(name) + 1}"
            by_name = False
            continue
        annotation = next(i.annotation for n, i in model.model_fields.items() if name in (n, i.alias))
        inner = _section_in(annotation)
        if inner is None:  # a table of plain values by name
            break
        model, words, by_name = inner, f"{words}: {name}", get_origin(annotation) is dict
    return model, words


def _section_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)


def known_keys(model: type[Section]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def key_doc(model: type[Section], key: str) -> str:
    """What a key means, with its unit."""
    doc = next(i.description for n, i in model.model_fields.items() if key in (n, i.alias))
    return doc_with_unit(key, doc or "")


# --- for editors -----------------------------------------------------------------------------------------------------

DEFS = "#/$defs/"


def definitions(models: Iterable[type[BaseModel]]) -> dict[str, Any]:
    """The ``$defs`` of a JSON Schema, one shape for each model."""
    _, found = models_json_schema([(model, "validation") for model in models], ref_template=DEFS + "{model}")
    return {name: _tidied(shape) for name, shape in found["$defs"].items()}


def _tidied(value: Any) -> Any:
    """Without the titles and null defaults that only repeat what is plain."""
    if isinstance(value, list):
        return [_tidied(item) for item in value]
    if not isinstance(value, dict):
        return value
    dull = {"title"} if isinstance(value.get("title"), str) else set()
    dull |= {"default"} if value.get("default", "") is None or "pattern" in value else set()
    return {key: _tidied(item) for key, item in value.items() if key not in dull}
