"""A street with every family on it, planned once; drafts of its plan are what errors are planted in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import Floats
from gridopt.model.inputs import Group, Inputs, Node, Pin
from gridopt.model.schedule import Schedule
from gridopt.verify import Finding, verify
from tests.support.districts import Device, Plan, Sketch, energy_price, hours, node, planned

AXIS = hours(12)
BUY = [0.10, 0.10, 0.08, 0.30, 0.35, 0.40, 0.35, 0.05, -0.05, -0.10, 0.25, 0.30]
SUN = [0.0, 0.0, 0.1, 0.3, 0.6, 0.8, 0.9, 1.0, 1.0, 0.8, 0.4, 0.0]
HEAT = [6.0, 9.0, 14.0, 20.0, 22.0, 18.0, 15.0, 12.0, 8.0, 8.0, 12.0, 10.0]
DEVICES = (
    Device("load", "load", ("house",), {"power_kw": np.linspace(0.5, 3.0, 12)}),
    Device("pv", "pv", ("house",), {"peak_kw": 6.0, "yield_kw_per_kw": SUN}),
    Device("roof", "pv", ("house",), {"peak_kw": 2.0, "yield_kw_per_kw": SUN, "curtailable": False}),
    Device("bat", "battery", ("house",), {
        "capacity_kwh": 10.0, "power_kw": 4.0, "efficiency_in": 0.9, "efficiency_out": 0.85, "loss_per_h": 0.02,
        "wear_eur_per_kwh": 0.01,
    }),
    Device("bat-b", "battery", ("house",), {"capacity_kwh": 6.0, "power_kw": 2.0, "soc_start": 0.4}),
    Device("car", "ev-session", ("house",), {"arrive": 2.0, "depart": 8.0, "energy_kwh": 18.0, "power_kw": 7.4}),
    Device("late-car", "ev-session", ("house",), {"arrive": 9.0, "depart": 11.0, "energy_kwh": 9.0, "power_kw": 3.7}),
    Device("wash", "shiftable-load", ("house",), {"profile_kw": [2.0, 1.0, 0.5], "earliest": 1.0, "latest": 9.0}),
    Device("zone", "heat-pump-building", ("house",), {
        "resistance_k_per_kw": 5.0, "capacity_kwh_per_k": 6.0, "power_kw": 2.5, "power_min_kw": 0.8, "outdoor_c": 1.0,
        "gain_kw": 0.2, "comfort_min_c": [19.0] * 3 + [20.5] * 9, "temperature_start_c": 19.0,
    }),
    Device("tank", "hot-water-tank", ("house",), {
        "capacity_kwh": 6.0, "power_kw": 1.5, "power_min_kw": 0.6, "loss_per_h": 0.03, "end": "free",
        "demand_kw": [0.2, 0.4, 3.0, 4.0, 4.0, 4.0, 4.0, 0.3, 0.5, 0.5, 2.0, 2.5],
    }),
    Device("heater", "converter", ("grid", "heat"), {
        "power_kw": 6.0, "power_min_kw": 2.0, "efficiency": 0.97, "cost_eur_per_kwh": 0.002,
    }),
    Device("boiler", "gas-boiler", ("gas", "heat"), {
        "power_kw": 12.0, "power_min_kw": 3.0, "efficiency": 0.9, "cost_eur_per_kwh": 0.003,
    }),
    Device("engine", "chp", ("grid", "heat", "gas"), {
        "power_max_kw": 12.0, "power_min_kw": 6.0, "start_cost_eur": 0.4, "min_up_h": 3.0, "min_down_h": 3.0,
        "dump": True,
    }),
    Device("store", "thermal-store", ("heat",), {"capacity_kwh": 30.0, "power_kw": 10.0, "loss_per_h": 0.02}),
    Device("homes", "heat-demand", ("heat",), {"power_kw": HEAT}),
)  # fmt: skip

COMMANDS: dict[tuple[str, str], list[Any]] = {
    ("bat", "charge_kw"): [1.2, 0, 4, 0, 0, 0, 0, 2, 4, 4, 0, 0],
    ("bat", "discharge_kw"): [0, 0, 0, 0, 3, 4, 0, 0, 0, 0, 0, 3],
    ("bat-b", "charge_kw"): [1, 0, 2, 0, 0, 0, 0, 1.68, 2, 2, 0, 0],
    ("bat-b", "discharge_kw"): [0, 0, 0, 0, 2, 2, 0.7, 0, 0, 0, 1.1, 2],
    ("car", "charge_kw"): [..., ..., 7.4, 4.7, 0, 0, 0, 7.4, ..., ..., ..., ...],
    ("late-car", "charge_kw"): [..., ..., ..., ..., ..., ..., ..., ..., ..., 3.7, 3.7, ...],
    ("wash", "start"): [..., 1, 0, 0, 0, 0, 0, ..., ..., ..., ..., ...],
    ("zone", "heat_pump_kw"): [2.5, 2.5, 2.5, 2.3, 0.8, 0, 0.8, 1.2, 2.5, 2.5, 0, 0],
    ("tank", "heat_pump_kw"): [0, 0.8, 1.5, 1.39, 0.78, 0, 1.44, 0, 0.72, 1.5, 0, 0],
    ("heater", "input_kw"): [0, 0, 0, 0, 0, 0, 0, 6, 6, 6, 0, 0],
    ("boiler", "input_kw"): [0, 0, 0, 0, 0, 3.4, 0, 6.1, 3.4, 3.8, 0, 5.37],
    ("engine", "on"): [1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1],
    ("engine", "power_kw"): [6, 6, 6, 12, 12, 12, 12, 0, 0, 0, 12, 12],
    ("engine", "heat_dumped_kw"): [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
}
"""The day is prescribed, so that the errors find what they need whatever the solver prefers: batteries at the edges of
their power and band, an engine that starts, stops and starts again, a tank that is full once and nearly empty once.
Sessions are prescribed while they last."""


def street_sketch() -> Sketch:
    nodes = (
        node(AXIS, "grid", None, 60.0, 40.0),
        node(AXIS, "house", "grid", 30.0, 20.0),
        node(AXIS, "heat", None, 0.0, carrier="heat"),
        node(AXIS, "gas", None, 200.0, 0.0, "gas"),
    )
    supply = energy_price(AXIS, "grid", BUY, np.array(BUY) - 0.02, "supply")
    pins = [Pin(*of, t, t + 1, x) for of, row in COMMANDS.items() for t, x in enumerate(row) if x is not ...]
    return Sketch(AXIS, nodes, DEVICES, (supply, energy_price(AXIS, "gas", 0.06, 0.0, "gas")), tuple(pins))


@pytest.fixture(scope="session")
def street() -> Plan:
    return planned(street_sketch())


@dataclass
class Draft:
    """A finished plan under an eraser: what it says may be changed, and so may what was asked for.

    ``at``: the step where the error is; it must be named.
    """

    inputs: Inputs
    groups: list[dict[str, Floats]]
    net_kw: Floats
    objective_eur: float
    lines: dict[str, float]
    at: int | None = None

    @staticmethod
    def of(plan: Plan) -> Draft:
        return Draft(
            replace(plan.inputs, pins=()),
            [{name: a.copy() for name, a in group.items()} for group in plan.schedule.groups],
            plan.schedule.net_kw.copy(),
            plan.ledger.total_eur,
            {name: line.eur for name, line in plan.ledger.lines.items()},
        )

    @property
    def schedule(self) -> Schedule:
        return Schedule(tuple(self.groups), self.net_kw)

    def physics(self) -> list[Finding]:
        """What is found without a word about money."""
        return verify(self.inputs, self.schedule)

    def money(self) -> list[Finding]:
        return verify(self.inputs, self.schedule, self.objective_eur, self.lines)

    # --- reading ---

    def group(self, asset: str) -> Group:
        return self.inputs.groups[self.inputs.where[asset][0]]

    def column(self, asset: str, name: str) -> Floats:
        """A device's own number, or numbers, on its own window."""
        g, k = self.inputs.where[asset]
        return np.asarray(self.inputs.groups[g].columns[name][k])

    def row(self, asset: str, variable: str) -> Floats:
        """A device's variable on its own window, to be read and changed."""
        g, k = self.inputs.where[asset]
        return self.groups[g][variable][k]

    def offset(self, asset: str) -> int:
        g, k = self.inputs.where[asset]
        return int(self.inputs.groups[g].offset[k])

    def nodes_of(self, asset: str) -> set[str]:
        """The nodes a device sits on, and all above them."""
        g, k = self.inputs.where[asset]
        found = {int(where[k]) for where in self.inputs.groups[g].nodes.values()}
        for n in list(found):
            while n >= 0:
                found.add(n)
                n = int(self.inputs.parents[n])
        return {self.inputs.nodes[n].id for n in found}

    # --- changing ---

    def net(self, name: str) -> Floats:
        return np.asarray(self.net_kw[self.inputs.node_index[name]])

    def draw(self, name: str, step: int | slice, more_kw: float | Floats) -> None:
        """A node, and all above it, draw more than said so far."""
        k = self.inputs.node_index[name]
        while k >= 0:
            self.net_kw[k, step] += more_kw
            k = int(self.inputs.parents[k])

    def claim(self, asset: str, variable: str, step: int, value: float, **ports: float) -> None:
        """Say another value at a step of the horizon, and let the nodes follow: ``ports`` draw so much per unit."""
        g, k = self.inputs.where[asset]
        row, local = self.row(asset, variable), step - self.offset(asset)
        more = value - float(row[local])
        row[local] = value
        for port, factor in ports.items():
            where = self.inputs.groups[g].nodes[port][k]
            self.draw(self.inputs.nodes[int(where)].id, step, factor * more)
        self.at = step

    def restate(self, asset: str, variable: str, values: Floats) -> None:
        """Another course of a state."""
        assert np.abs(self.row(asset, variable) - values).max() > 1e-3, "that would be no error"
        self.row(asset, variable)[:] = values

    def ask(self, **changes: object) -> None:
        """Change what was asked for."""
        self.inputs = replace(self.inputs, **changes)  # type: ignore[arg-type]

    def pin(self, asset: str, variable: str, step: int, value: float) -> None:
        self.ask(pins=(Pin(asset, variable, step, step + 1, value),))
        self.at = step

    def limit(self, name: str, **limits: Floats) -> None:
        def cut(n: Node) -> Node:
            return replace(n, **limits) if n.id == name else n  # type: ignore[arg-type]

        self.ask(nodes=tuple(cut(n) for n in self.inputs.nodes))

    def wish(self, asset: str, name: str, values: Floats | float) -> None:
        """Another column of a device."""
        g, k = self.inputs.where[asset]
        group = self.inputs.groups[g]
        columns = {**group.columns, name: group.columns[name].copy()}
        columns[name][k] = values
        changed = replace(group, columns=columns)
        self.ask(groups=(*self.inputs.groups[:g], changed, *self.inputs.groups[g + 1 :]))

    def line(self, name: str, more_eur: float) -> None:
        assert name in self.lines, sorted(self.lines)
        self.lines[name] += more_eur


def same(a: Draft, b: Draft) -> bool:
    """Whether two drafts say and ask the same."""

    def equal(x: Mapping[str, Floats], y: Mapping[str, Floats]) -> bool:
        return all(np.array_equal(x[name], y[name], equal_nan=True) for name in x)

    return (
        all(equal(x, y) for x, y in zip(a.groups, b.groups, strict=True))
        and np.array_equal(a.net_kw, b.net_kw, equal_nan=True)
        and a.inputs.digest() == b.inputs.digest()
        and a.objective_eur == b.objective_eur
        and a.lines == b.lines
    )
