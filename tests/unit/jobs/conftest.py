"""A small district built in code: a grid node with a limit, a building with a load, a battery and two EV sessions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridopt.assets import family
from gridopt.clock import Axis, day_axis
from gridopt.model.inputs import INF, Commitment, Flow, Group, Inputs, LinearRule, Node, Pin, Target, make_groups
from gridopt.scenario.objective import Objective

NOW = datetime(2026, 1, 14, 13, 0, tzinfo=UTC)


def group_of(name: str, axis: Axis, nodes: dict[str, list[int]], devices: dict[str, dict[str, Any]]) -> list[Group]:
    """Groups of one family from user values per device; what is not said takes its default."""
    found = family(name)
    user: dict[str, Any] = {}
    for p in found.parameters:
        values = [d.get(p.name, np.nan if p.optional and p.default is None else p.default) for d in devices.values()]
        if p.kind == "series":
            user[p.name] = np.stack([np.broadcast_to(np.asarray(v, float), axis.steps) for v in values])
        elif p.kind in ("choice", "flag", "list"):
            user[p.name] = np.array(values, object)
        else:
            user[p.name] = np.array(values, float)
    return make_groups(found, list(devices), user, nodes, axis)


def build(
    *, import_max_kw: float = 30.0, energy_kwh: float = 12.0, load_kw: float = 4.0, day: date = date(2026, 1, 15)
) -> Inputs:
    axis = day_axis(day, 1, 60, "Europe/Paris")
    T = axis.steps
    hour = axis.local_hour
    export_max_kw = np.where(hour < 12, 20.0, 25.0)
    nodes = (
        Node("building", "electricity", "grid", np.full(T, float(import_max_kw)), export_max_kw, np.full(T, 0.5)),
        Node("grid", "electricity", None, np.full(T, INF), np.full(T, INF), np.zeros(T)),
    )
    sun = np.maximum(np.sin((hour - 8) / 9 * np.pi), 0.0)
    groups = [
        *group_of("load", axis, {"ac": [0]}, {"load-a": {"power_kw": load_kw + np.where(hour > 17, 3.0, 0.0)}}),
        *group_of("pv", axis, {"ac": [0]}, {"pv-a": {"peak_kw": 8.0, "yield_kw_per_kw": sun}}),
        *group_of("battery", axis, {"ac": [0]}, {"bat-a": {"capacity_kwh": 10.0, "power_kw": 5.0}}),
        *group_of(
            "ev-session",
            axis,
            {"ac": [0, 0]},
            {
                "car-a": {"arrive": 0.0, "depart": 7.0, "energy_kwh": energy_kwh, "power_kw": 11.0, "phases": 3.0},
                "car-b": {"arrive": 18.0, "depart": 24.0, "energy_kwh": 8.0, "power_kw": 7.4},
            },
        ),
    ]
    price = 0.20 + 0.10 * (hour >= 17) - 0.05 * (hour < 6)
    supply = Commitment(
        "supply", (Flow(1.0, node="grid"),), "energy", np.arange(T), np.zeros(T), price, np.full(T, -0.06)
    )
    peak = Commitment(
        "peak", (Flow(1.0, node="grid", side="import"),), "peak",
        np.where(hour > 16, 0, -1), np.full(T, 2.0), np.array([0.5]), np.zeros(1),
    )  # fmt: skip
    rule = LinearRule("keep-some", ((1.0, "asset", "bat-a", "soc_kwh", 12),), 2.0, INF)
    pin = Pin("bat-a", "discharge_kw", 2, 4, 0.0, "outage")
    return Inputs(axis, nodes, tuple(groups), (supply, peak), (pin,), (rule,), Target(exact_gap=0.0))


def scenario_of(inputs: Inputs) -> Any:
    return SimpleNamespace(
        inputs=inputs, name="tiny", title="A tiny district", notes=(), sources={}, tables=(), limits_in={},
        objective=Objective(), resumed=None,
    )  # fmt: skip


@pytest.fixture
def district() -> Callable[..., Inputs]:
    """Builds the small district; keywords make its limits tight."""
    return build


@pytest.fixture
def scenario() -> Callable[[Inputs], Any]:
    """Wraps Inputs as a loaded scenario."""
    return scenario_of


@pytest.fixture
def now() -> datetime:
    return NOW
