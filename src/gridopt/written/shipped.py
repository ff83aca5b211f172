"""Data that ship with gridopt: scenarios and adapters."""

from __future__ import annotations

from pathlib import Path

import gridopt


def data_folder(kind: str) -> Path:
    """Folder of what ships of a kind, such as "scenarios": inside the wheel, or at the top of a checkout."""
    package = Path(gridopt.__file__).resolve().parent
    inside = package / "_data" / kind
    return inside if inside.is_dir() else package.parent.parent / kind
