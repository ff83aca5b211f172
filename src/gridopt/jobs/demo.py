"""The demonstration: which scenario it plans, and where the plan is left when nobody says."""

from __future__ import annotations

import tempfile
from pathlib import Path

SCENARIOS = ("haute-deule", "two-roofs")
"""The first of these that ships."""
FOLDER = "plan"


def scenario() -> str:
    """Name of the scenario to plan. Raises ScenarioError when none ships: the installation is broken."""
    from gridopt.scenario.find import find, shipped

    name = next((name for name in SCENARIOS if name in shipped()), SCENARIOS[0])
    find(name)
    return name


def place() -> Path:
    """A new run folder in the machine's temporary place."""
    return Path(tempfile.mkdtemp(prefix="gridopt-demo-")) / FOLDER
