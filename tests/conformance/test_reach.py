"""What a port can draw or give is bounded by the device itself: decisions and contracts are sized by it."""

from __future__ import annotations

import numpy as np
import pytest

from gridopt.assets import FAMILY_NAMES, family
from gridopt.model.inputs import Inputs
from gridopt.model.layout import Block
from gridopt.model.template import template
from gridopt.model.terms import reach_of
from tests.conformance.random_params import AXES, pool, seeded
from tests.support.districts import node


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_every_port_is_bounded(name: str) -> None:
    axis = AXES["24x15"]
    groups = tuple(pool(family(name), axis, seeded("reach", name), 60))
    inputs = Inputs(axis, (node(axis, "all", None, np.inf),), groups)
    low, high = reach_of(inputs, [Block(g, template(g.family, g.steps, g.options), 0, 0) for g in groups])
    assert np.isfinite(low).all(), f"{name}: something it gives has no upper bound"
    assert np.isfinite(high).all(), f"{name}: something it draws has no upper bound"
