"""The JSON Schema of an adapter file, for editors that complete and check TOML while it is written."""

from __future__ import annotations

from typing import Any

from gridopt.devices import schema
from gridopt.written.model import DEFS, definitions


def json_schema() -> dict[str, Any]:
    """The whole format."""
    models = (schema.Source, schema.Link, schema.Absent, schema.Point, schema.Write, schema.Identity, schema.Check)
    defs = definitions((schema.Header, *models))
    header = defs.pop("Header")
    point = defs["Point"]
    defs["Defaults"] = {k: v for k, v in point.items() if k != "required"}
    defs["Point"] = point | {"required": ["address"]}  # the rest may stand in the defaults
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gridopt adapter",
        "type": "object",
        "required": ["format", *header["required"], "source", "point", "check"],
        "additionalProperties": False,
        "properties": {
            "format": {"const": 1},
            **header["properties"],
            "source": _list("Source"),
            "link": _ref("Link"),
            "defaults": _ref("Defaults"),
            "absent": _ref("Absent"),
            "point": _by_name("Point"),
            "write": _by_name("Write"),
            "identity": _ref("Identity"),
            "check": _list("Check"),
        },
        "$defs": defs,
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": DEFS + name}


def _list(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _ref(name), "minItems": 1}


def _by_name(name: str) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": _ref(name)}
