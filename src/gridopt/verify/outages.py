"""What outages mean to the devices themselves: a run that one ends has no minimum time, a device out of service is off.

Overrides are written beside the devices (``Inputs.pins``); minimum times are columns of the devices. This joins them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gridopt.assets import switching
from gridopt.assets.base import Floats
from gridopt.model.inputs import Group, Inputs

STATUS, OUT = "on", "out_of_service"


def with_outages(inputs: Inputs) -> Inputs:
    """The same inputs, whose devices with a status know when they are out of service.

    A person's override wins over an outage: who orders power has the device in service.
    """
    groups = tuple(_told(group, _out(inputs, group), inputs.axis.step_h) for group in inputs.groups)
    return inputs if all(a is b for a, b in zip(groups, inputs.groups, strict=True)) else replace(inputs, groups=groups)


def _told(group: Group, out: Floats | None, step_h: float) -> Group:
    if out is None or (group.columns[OUT] == out).all():
        return group
    return replace(group, columns={**group.columns, **switching.outages(group.columns, out, step_h)})


def _out(inputs: Inputs, group: Group) -> Floats | None:
    """(n, steps) 1 where an outage holds the status; None for devices without one."""
    if OUT not in group.columns:
        return None
    out, ordered = np.zeros((group.n, group.steps)), np.zeros((group.n, group.steps), bool)
    for pin in inputs.pins:
        k = group.index.get(pin.asset)
        if k is None:
            continue
        offset = int(group.offset[k])
        steps = slice(max(pin.first - offset, 0), max(min(pin.last - offset, group.steps), 0))
        if pin.why == "outage" and pin.variable == STATUS:
            out[k, steps] = 1.0
        elif pin.why != "outage" and pin.value > 0:
            ordered[k, steps] = True
    return np.where(ordered, 0.0, out)
