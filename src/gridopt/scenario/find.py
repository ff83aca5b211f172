"""Where a scenario lies: a path the user gives, or the name of one that ships with gridopt."""

from __future__ import annotations

import os
import re
from pathlib import Path

from gridopt.errors import ScenarioError
from gridopt.scenario.mistakes import Report
from gridopt.written.shipped import data_folder
from gridopt.written.toml import shown
from gridopt.written.words import did_you_mean, listed

SCENARIO_FILE = "scenario.toml"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def shipped_folder() -> Path:
    """Folder of the scenarios that ship."""
    return data_folder("scenarios")


def shipped() -> dict[str, Path]:
    """Name → folder of every scenario that ships."""
    return {p.parent.name: p.parent for p in sorted(shipped_folder().glob(f"*/{SCENARIO_FILE}"))}


def find(path_or_name: str | Path) -> Path:
    """The scenario file that is meant: a file, the ``scenario.toml`` of a folder, or a shipped scenario by name.

    Raises ScenarioError with the nearest name when there is none.
    """
    path = Path(path_or_name)
    report = Report()
    if os.path.isdir(path):
        if os.path.lexists(path / SCENARIO_FILE):
            return path / SCENARIO_FILE
        others = sorted(p.name for p in path.glob("*.toml"))
        hint = f"; it holds {listed(others)}: name one of them" if others else "; `gridopt new NAME` writes one"
        report.add((shown(path), None), "no-scenario-file", hint=hint)
        raise ScenarioError(report.mistakes)
    if os.path.exists(path):
        return path
    text = str(path_or_name)
    known = shipped()
    if text in known:
        return known[text] / SCENARIO_FILE
    if NAME.fullmatch(text):
        near = {*known, *(p.parent.name for p in Path(".").glob(f"*/{SCENARIO_FILE}"))}
        report.add((text, None), "no-scenario", hint=did_you_mean(text, near, "there are"))
    else:
        names = os.listdir(path.parent) if os.path.isdir(path.parent) else []
        report.add((text, None), "no-path", hint=did_you_mean(path.name, names, "there are") if names else "")
    raise ScenarioError(report.mistakes)
