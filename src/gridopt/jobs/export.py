"""A scenario's model as a file for another solver."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from gridopt.errors import UsageError


def export(scenario: str, kind: Literal["lp", "mps"], file: Path | None, **options: Any) -> Path:
    """Write the model of a scenario, loaded with ``options``; returns the file, by default ``<name>.<kind>`` here."""
    from gridopt.model import plain
    from gridopt.scenario.load import load

    loaded = load(scenario, **options)
    path = file or Path(f"{loaded.name}.{kind}")
    try:
        plain.export(loaded.inputs, path, kind)
    except OSError as e:
        raise UsageError("{file} cannot be written: {why}", file=str(path), why=e.strerror or str(e)) from e
    return path
