"""Random devices of any family, made from nothing but what the family declares of its parameters.

Values lie inside the declared range, or inside one that suits the unit where the range is open; a good share sits on
the edges: the smallest and the largest value, the default, and so zero wherever zero is allowed.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import Family, Floats, Parameter
from gridopt.clock import Axis
from gridopt.model.inputs import Group, make_groups
from gridopt.units import unit_of

AXES = {
    "4x60": Axis(datetime(2026, 1, 15, 23, tzinfo=UTC), 60, 4),
    "24x15": Axis(datetime(2026, 3, 28, 23, tzinfo=UTC), 15, 24),
    "96x15": Axis(datetime(2026, 10, 24, 22, tzinfo=UTC), 15, 96),
}

SEEDS = [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, 25))]
"""The first is part of every test run; the others are drawn with ``-m slow``."""

_BY_UNIT: dict[str, tuple[float, float]] = {
    "EUR/(kWh·h)": (0.0, 0.5),
    "EUR/kWh": (-0.1, 0.5),
    "EUR/kW": (0.0, 20.0),
    "EUR/(K·h)": (0.0, 2.0),
    "EUR": (0.0, 30.0),
    "kW/kW": (0.0, 1.2),
    "kWh/K": (0.3, 20.0),
    "K/kW": (0.3, 20.0),
    "1/h": (0.0, 0.1),
    "kWh": (0.0, 80.0),
    "kW": (0.0, 20.0),
    "h": (0.0, 5.0),
    "°C": (-8.0, 30.0),
    "A": (0.0, 32.0),
}
"""What an open range is taken to be."""


def seeded(*parts: object) -> np.random.Generator:
    """The same numbers for the same words, on every machine."""
    return np.random.default_rng(zlib.crc32(repr(parts).encode()))


def span(p: Parameter) -> tuple[float, float]:
    """The range a parameter is drawn from."""
    # ``soc_min`` is a share, not minutes: only what a family leaves open needs a unit.
    low, high = _BY_UNIT.get(unit_of(p.name), (0.0, p.maximum if np.isfinite(p.maximum) else 5.0))
    return float(np.clip(low, p.minimum, p.maximum)), float(np.clip(high, p.minimum, p.maximum))


def random_user(family: type[Family], n: int, axis: Axis, rng: np.random.Generator) -> dict[str, Any]:
    """User columns of n devices, as ``Family.prepare`` takes them."""
    user: dict[str, Any] = {}
    for p in family.parameters:
        user[p.name] = _column(p, n, axis, rng)
    _sort_times(family, user)
    for low, high in _ordered_pairs(family):
        crossed = user[low] > user[high]  # never where one of them is absent
        user[low], user[high] = np.where(crossed, [user[high], user[low]], [user[low], user[high]])
    return user


def _column(p: Parameter, n: int, axis: Axis, rng: np.random.Generator) -> Any:
    if p.kind == "choice":
        return rng.choice(np.array(p.choices, object), n)
    if p.kind == "flag":
        return rng.random(n) < 0.5
    if p.kind == "time":
        horizon = axis.steps * axis.step_h
        # Half of them on a step's edge, where rounding could slip.
        drawn = rng.uniform(-0.3 * horizon, 1.3 * horizon, n)
        return np.where(rng.random(n) < 0.5, np.round(drawn / axis.step_h) * axis.step_h, drawn)
    if p.kind == "list":
        out = np.empty(n, object)
        for k in range(n):
            out[k] = _numbers(p, int(rng.integers(1 if p.required else -2, 7).clip(0)), rng)
        return out
    if p.kind == "series":
        flat = np.repeat(_numbers(p, n, rng)[:, None], axis.steps, axis=1)
        rough = _numbers(p, n * axis.steps, rng).reshape(n, axis.steps)
        values = np.where(rng.random((n, 1)) < 0.3, flat, rough)
    else:
        values = _numbers(p, n, rng)
    if p.optional:
        absent = rng.random(n) < 0.5
        values[absent] = np.nan
    return values


def _numbers(p: Parameter, n: int, rng: np.random.Generator) -> Floats:
    low, high = span(p)
    edges = [x for x in (p.minimum, p.maximum) if np.isfinite(x) and abs(x) <= 10 * max(abs(high), abs(low), 1.0)]
    if low <= 0 <= high:
        edges.append(0.0)
    if isinstance(p.default, int | float):
        edges.append(float(p.default))
    drawn = rng.uniform(low, high, n)
    return np.where(rng.random(n) < 0.3, rng.choice(np.array(edges), n), drawn) if edges else drawn


def _sort_times(family: type[Family], user: dict[str, Any]) -> None:
    """Instants come in the order in which the family names them (arrive, depart)."""
    names = [p.name for p in family.parameters if p.kind == "time"]
    if names:
        user.update(zip(names, np.sort([user[name] for name in names], axis=0), strict=True))


def _ordered_pairs(family: type[Family]) -> Iterator[tuple[str, str]]:
    """Pairs of parameters that are the two ends of one range."""
    names = {p.name: p.kind for p in family.parameters}
    for low in names:
        for high in (low.replace("_min", "_max"), low.replace("_min_kw", "_kw"), low.replace("_min_kw", "_max_kw")):
            if high != low and names.get(high) == names[low]:
                yield low, high


# --- groups of every structure ---------------------------------------------------------------------------------------


def pool(family: type[Family], axis: Axis, rng: np.random.Generator, size: int = 300) -> list[Group]:
    """Many random devices, grouped by structure, every port on node 0."""
    ids = [f"d{k:04d}" for k in range(size)]
    nodes = {p.name: [0] * size for p in family.ports}
    return make_groups(family, ids, random_user(family, size, axis, rng), nodes, axis)


def cover(groups: list[Group]) -> list[Group]:
    """Few groups that show all there is: every combination of the yes/no options, and each numeric option and the
    window's length at its smallest, its largest and a value between."""

    def switches(g: Group) -> tuple[Any, ...]:
        return tuple(o for o in g.options if isinstance(o, bool | str))

    def sizes(g: Group) -> tuple[int, ...]:
        return (g.steps, *(o for o in g.options if not isinstance(o, bool | str)))

    marks = []
    for values in zip(*(sizes(g) for g in groups), strict=True):
        ordered = sorted(set(values))
        marks.append({ordered[0], ordered[len(ordered) // 2], ordered[-1]})

    def features(g: Group) -> set[Any]:
        found: set[Any] = {switches(g)}
        return found | {(k, v) for k, v in enumerate(sizes(g)) if v in marks[k]}

    open_ = set(itertools.chain.from_iterable(features(g) for g in groups))
    chosen = []
    while open_:
        best = max(groups, key=lambda g: (len(features(g) & open_), g.n))
        chosen.append(best)
        open_ -= features(best)
    return chosen


def take(group: Group, n: int, nodes: dict[str, Any] | None = None) -> Group:
    """The first n devices of a group, which are repeated under new names where it has fewer."""
    k = np.arange(n) % group.n
    return replace(
        group,
        ids=tuple(f"u-{j:02d}" for j in range(n)),
        columns={name: a[k] for name, a in group.columns.items()},
        nodes={port: a[k] for port, a in group.nodes.items()} if nodes is None else nodes,
        offset=group.offset[k],
    )
