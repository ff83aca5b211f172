"""A small JSON Schema validator: as much as the schemas of gridopt's own formats use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": (str, date, datetime, time),
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
KNOWN = {
    *("$ref", "$defs", "$schema", "title", "description", "default", "type", "properties", "required", "items"),
    *("additionalProperties", "anyOf", "oneOf", "not", "enum", "const", "minimum", "maximum", "minLength", "minItems"),
    "pattern",
}


def faults(value: Any, shape: dict[str, Any], root: dict[str, Any], path: str = "") -> Iterator[str]:
    """Every place of ``value`` that does not fit ``shape``, a part of the schema ``root``."""
    assert set(shape) <= KNOWN, set(shape) - KNOWN
    if "$ref" in shape:
        yield from faults(value, root["$defs"][shape["$ref"].removeprefix("#/$defs/")], root, path)
    if "const" in shape and value != shape["const"]:
        yield path
    if "enum" in shape and value not in shape["enum"]:
        yield path
    for key, wanted in (("anyOf", lambda n: n > 0), ("oneOf", lambda n: n == 1)):
        if key in shape and not wanted(sum(not list(faults(value, s, root, path)) for s in shape[key])):
            yield path
    if "not" in shape and not list(faults(value, shape["not"], root, path)):
        yield path
    kind = shape.get("type")
    if kind is None:
        if "required" in shape and isinstance(value, dict) and not set(shape["required"]) <= set(value):
            yield path
        return
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind in ("integer", "number")):
        yield path
        return
    if kind == "object":
        yield from (f"{path}.{key}" for key in shape.get("required", []) if key not in value)
        other = shape.get("additionalProperties", True)
        for key, item in value.items():
            if key in shape.get("properties", {}):
                yield from faults(item, shape["properties"][key], root, f"{path}.{key}")
            elif isinstance(other, dict):
                yield from faults(item, other, root, f"{path}.{key}")
            elif not other:
                yield f"{path}.{key}"
    elif kind == "array":
        yield from (
            f for k, item in enumerate(value) for f in faults(item, shape.get("items", {}), root, f"{path}[{k}]")
        )
        if len(value) < shape.get("minItems", 0):
            yield path
    elif (
        kind in ("integer", "number") and not shape.get("minimum", value) <= value <= shape.get("maximum", value)
    ) or (
        isinstance(value, str)
        and (len(value) < shape.get("minLength", 0) or not re.search(shape.get("pattern", ""), value))
    ):
        yield path
