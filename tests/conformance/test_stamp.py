"""Every family, every combination of its options, three horizons, 1, 2 and 7 devices with random parameters:
the stamped programme is the plain Pyomo model, entry by entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from gridopt.assets import FAMILY_NAMES, family
from gridopt.model.assemble import Assembly, assemble
from gridopt.model.inputs import Commitment, Flow, Group, Inputs, Node
from gridopt.model.plain import plain_model
from tests.conformance.plain_matrix import PlainMatrix, assert_same, plain_matrix
from tests.conformance.random_params import AXES, SEEDS, cover, pool, seeded, take


def on_two_nodes(group: Group, horizon: str, rng: np.random.Generator) -> Inputs:
    """The group's ports spread at random over two nodes without limits, a price on one and contracts on ports."""
    axis = AXES[horizon]
    free, none = np.full(axis.steps, np.inf), np.zeros(axis.steps)
    nodes = (Node("n-0", "any", None, free, free, none), Node("n-1", "any", "n-0", free, free, none))
    group = take(group, group.n, {port: rng.integers(0, 2, group.n) for port in group.nodes})
    price = rng.normal(0.1, 0.1, axis.steps)
    supply = Commitment("supply", (Flow(1.0, node="n-0"),), "energy", np.arange(axis.steps), none, price, -price)
    flows = tuple(Flow(float(rng.normal()), asset=group.ids[0], port=port) for port in group.nodes)
    events = Commitment(
        "event", flows, "energy", np.arange(axis.steps) // 4, none + 1.0, price[::4], price[::4] ** 2 + 1
    )
    return Inputs(axis, nodes, (group,), (supply, events))


def planned(name: str, horizon: str, n: int, seed: int) -> Iterator[tuple[Inputs, Assembly]]:
    """Every structure of a family with n devices, and its programme."""
    rng = seeded("stamp", name, horizon, n, seed)
    for group in cover(pool(family(name), AXES[horizon], rng)):
        inputs = on_two_nodes(take(group, n), horizon, rng)
        yield inputs, assemble(inputs)


def plain(inputs: Inputs) -> PlainMatrix:
    return plain_matrix(plain_model(inputs, emergency_price_eur_per_kwh=0), inputs)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("horizon", AXES)
@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_stamped_is_plain(name: str, horizon: str, n: int, seed: int) -> None:
    for inputs, a in planned(name, horizon, n, seed):
        assert_same(a, plain(inputs))


@pytest.mark.parametrize("part", ["cost", "lower", "upper", "row_lower", "row_upper", "value"])
def test_a_number_that_is_slightly_off_is_noticed(part: str) -> None:
    inputs, a = next(planned("thermal-store", "4x60", 2, 0))
    numbers = getattr(a.lp, part).copy()
    k = int(np.flatnonzero(np.isfinite(numbers) & (numbers != 0))[-1])
    numbers[k] *= 1 + 1e-11
    off = replace(a, lp=replace(a.lp, **{part: numbers}))
    with pytest.raises(AssertionError):
        assert_same(off, plain(inputs))


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_the_random_devices_show_every_structure(name: str) -> None:
    """Yes/no options are seen both ways on every horizon, others vary, or the suite would prove less than it says."""
    seen = {h: pool(family(name), axis, seeded("seen", name, h)) for h, axis in AXES.items()}
    for k, option in enumerate(family(name).options):
        values = {h: {g.options[k] for g in groups} for h, groups in seen.items()}
        if isinstance(next(iter(values["4x60"])), bool):
            assert all(v == {True, False} for v in values.values()), f"{name}: {option} is always {values}"
        else:
            assert len(set.union(*values.values())) > 2, f"{name}: {option} is always {values}"
