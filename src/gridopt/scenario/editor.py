"""The JSON Schema of a scenario file, for editors that complete and check TOML while it is written."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gridopt.assets import FAMILY_NAMES
from gridopt.scenario import schema
from gridopt.scenario.document import UNSET
from gridopt.written.fields import range_schema
from gridopt.written.model import DEFS, definitions

Schema = dict[str, Any]


def json_schema() -> Schema:
    """The whole format: fixed sections, one shape per family and per kind of commitment and generated series."""
    families = {name: schema.family_model(name) for name in FAMILY_NAMES}
    fixed: list[type[BaseModel]] = [
        schema.Horizon,
        schema.SeriesFiles,
        schema.Schedule,
        schema.Node,
        schema.Table,
        schema.SessionTable,
        schema.Pin,
        schema.Outage,
        schema.RuleFile,
        schema.Objective,
        schema.Solve,
        *schema.COMMITMENTS.values(),
        *families.values(),
    ]
    defs = definitions(fixed)
    for kind, model in schema.COMMITMENTS.items():
        _discriminated(defs[model.__name__], "kind", kind)
    assets = {f"asset-{name}": _asset(name, defs[name]) for name in families}
    override = {"type": "object", "not": {"required": ["family"]}, "description": "values over a row of a table"}
    defs |= {"generate": _generate(), **assets}
    lists = {"pin": "Pin", "outage": "Outage", "rule": "RuleFile"}
    single = {"horizon": "Horizon", "series": "SeriesFiles", "nodes": "Table", "objective": "Objective"}
    single |= {"solve": "Solve"}
    named = {
        "generate": _ref("generate"),
        "schedule": _ref("Schedule"),
        "node": _ref("Node"),
        "asset": {"anyOf": [*map(_ref, assets), override]},
        "commitment": {"oneOf": [_ref(model.__name__) for model in schema.COMMITMENTS.values()]},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gridopt scenario",
        "type": "object",
        "required": ["format"],
        "additionalProperties": False,
        "properties": {
            "format": {"const": 1},
            "title": {"type": "string"},
            UNSET: {
                "type": "array",
                "items": {"type": "string"},
                "description": "values taken out: asset.chp.min_up_h",
            },
            **{key: _ref(model) for key, model in single.items()},
            **{key: {"type": "object", "additionalProperties": shape} for key, shape in named.items()},
            **{key: {"type": "array", "items": _ref(model)} for key, model in lists.items()},
            **{name: _ref(schema.table_model(name).__name__) for name in families},
        },
        "$defs": defs,
    }


def _ref(name: str) -> Schema:
    return {"$ref": DEFS + name}


def _discriminated(shape: Schema, key: str, value: str) -> None:
    """Add the key that says which shape this is."""
    shape["properties"] = {key: {"const": value}, **shape["properties"]}
    shape["required"] = [key, *shape.get("required", [])]


def _asset(name: str, shape: Schema) -> Schema:
    """One asset: its required keys may stand in the family's defaults, so only ``family`` must be here."""
    properties = {"family": {"const": name}, **shape["properties"]}
    return {"type": "object", "properties": properties, "required": ["family"], "additionalProperties": False}


def _generate() -> Schema:
    """One shape per kind of generated series."""
    from gridopt.scenario.generate import KINDS

    shapes = []
    for kind in KINDS.values():
        properties: Schema = {"kind": {"const": kind.name}, "seed": {"type": "integer"}}
        for p in kind.parameters:
            o = p.option
            described = {"description": f"{o.doc} [{o.unit}]" if o.unit else o.doc}
            if p.type is str:
                properties[p.name] = {"enum": list(o.choices)} | described
            else:
                number = {"type": "integer" if p.type is int else "number"}
                properties[p.name] = number | range_schema(o.low, o.high) | described
        required = ["kind", *(p.name for p in kind.parameters if p.required)]
        summary = kind.doc.splitlines()[0] if kind.doc else kind.name
        shape = {"type": "object", "description": summary, "properties": properties, "required": required}
        shapes.append(shape | {"additionalProperties": False})
    return {"oneOf": shapes}
