"""Random small districts of nested nodes, on one morning, with every kind of decision."""

from __future__ import annotations

import numpy as np

from gridopt.assets.base import Floats
from tests.support.districts import Device, Sketch, energy_price, hours, node, peak_price

T = 12
AXIS = hours(T)


def random_district(seed: int) -> Sketch:
    """Nested nodes, some closed at times, with devices that decide: cars, a machine, a heat pump, an engine."""
    r = np.random.default_rng(seed)

    def rough(low: float, high: float) -> Floats:
        """Hourly or two-hourly values, in tenths or not: ties happen."""
        if r.random() < 0.4:
            return np.asarray(r.uniform(low, high, T))
        return np.repeat(np.round(r.uniform(low, high, T // 2), 1), 2)

    nodes = [
        node(AXIS, "grid", None, r.choice([15, 40]), r.choice([0, 10, 40])),
        node(AXIS, "b1", "grid", r.choice([8, 30]), r.choice([0, 5, 30])),
        node(AXIS, "b2", "grid", np.where(r.random(T) < 0.2, 0.0, r.choice([3, 10])), r.choice([0, 5])),
        node(AXIS, "row", "b1", r.choice([4.0, 12.0]), 0),
        node(AXIS, "shut", "b2", 0, 0),
    ]
    sun = np.maximum(np.sin(np.linspace(-1, 4, T)), 0.0)
    devices = [
        Device("load", "load", ("b1",), {"power_kw": rough(0, 4)}),
        Device("pv", "pv", ("b1",), {"peak_kw": 5.0, "yield_kw_per_kw": sun}),
        Device("bat", "battery", (str(r.choice(["b1", "b2", "grid"])),), {"capacity_kwh": 6.0, "power_kw": 2.0}),
        Device("car", "ev-session", ("row",), {"arrive": 1.0, "depart": 9.0, "energy_kwh": 8.0, "power_kw": 3.7}),
        Device("wash", "shiftable-load", ("b1",), {"profile_kw": [2.0, 0.5], "earliest": 0.0, "latest": float(T)}),
    ]
    if r.random() < 0.5:
        zone = {"resistance_k_per_kw": 5.0, "capacity_kwh_per_k": 4.0, "power_kw": 2.5, "power_min_kw": 0.5}
        devices.append(Device("hp", "heat-pump-building", ("b2",), {**zone, "outdoor_c": rough(-2, 8)}))
    if r.random() < 0.5:
        nodes += [node(AXIS, "gas", None, 100, 0, "gas"), node(AXIS, "heat", None, 0, 0, "heat")]
        devices += [
            Device("need", "heat-demand", ("heat",), {"power_kw": rough(1, 5)}),
            Device("boiler", "gas-boiler", ("gas", "heat"), {"power_kw": 8.0}),
            Device("chp", "chp", ("b1", "heat", "gas"), {"power_max_kw": 4.0, "power_min_kw": 2.0}),
        ]
    buy = rough(0.1, 0.4)
    terms = [energy_price(AXIS, "grid", buy, 0.3 * buy)]
    terms += [energy_price(AXIS, "gas", 0.07)] if len(nodes) > 5 else []
    terms += [peak_price(AXIS, "grid", 2.0, so_far=float(r.choice([0, 3])))] if r.random() < 0.5 else []
    return Sketch(AXIS, tuple(nodes), tuple(devices), tuple(terms))
