"""A plan as plain arrays: what every device does and what every node draws. Knows no solver and no model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gridopt.assets.base import Floats
from gridopt.model.inputs import Inputs


@dataclass(frozen=True)
class Schedule:
    """``groups``: per group of Inputs, variable → (n, steps) on the device's own window, or (n, 1) for a single value;
    ``net_kw``: (N, T) power every node draws from its parent."""

    groups: tuple[dict[str, Floats], ...]
    net_kw: Floats

    def value(self, inputs: Inputs, asset: str, variable: str) -> Floats:
        """(T,) one device's variable on the district's axis, 0 outside its window; KeyError if unknown."""
        g, k = inputs.where[asset]
        group = inputs.groups[g]
        values = self.groups[g][variable]
        if values.shape[1] != group.steps:
            return np.asarray(values[k])
        out = np.zeros(inputs.axis.steps)
        out[group.offset[k] : group.offset[k] + group.steps] = values[k]
        return out
