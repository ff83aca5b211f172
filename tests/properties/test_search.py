"""Small random districts with everything hard in them at once, held against one search of the whole.

The reference excludes every pair and keeps every decision by binaries, first for the least emergencies, then for
money. Cases come from seeds: what a seed draws is the same on every machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gridopt.clock import Axis
from gridopt.errors import InfeasibleError
from gridopt.model.assemble import assemble
from gridopt.model.inputs import INF, Commitment, Flow, Inputs, Pin, Target
from gridopt.solve.ladder import solve
from gridopt.solve.milp import Milp
from gridopt.verify import verify
from tests.support.districts import Device, Sketch, energy_price, hours, hours_price, node, peak_price, series

SEEDS = [*range(40), *(pytest.param(k, marks=pytest.mark.slow) for k in range(40, 1500))]


def least(inputs: Inputs) -> tuple[float, float] | None:
    """Least emergencies [kWh] and, with them, least cost [EUR]; None without any plan."""
    a = assemble(inputs)
    milp = Milp(a.lp, a.lp.lower, a.lp.upper, a.semi, a.whole)
    for p in a.pairs:
        milp.exclude(p.first, p.second)
    every, weight = np.arange(len(a.lp.cost)), np.zeros(len(a.lp.cost))
    weight[a.emergencies] = a.emergency_weight
    milp.session.costs(every, weight)
    short = milp.run(None, 1e-9, 60.0)
    if not short.has_point:
        return None
    emergency = float(weight @ short.x)
    if len(a.emergencies):
        most = np.array([emergency * (1 + 1e-6) + 1e-5])
        milp.session.add_rows(np.array([-INF]), most, np.array([0]), a.emergencies, a.emergency_weight)
    milp.session.costs(every, a.lp.cost)
    return emergency, milp.run(None, 1e-9, 60.0).objective


def district(seed: int) -> Inputs:
    rng = np.random.default_rng(seed)
    axis = hours(int(rng.integers(4, 9)))

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def flip(share: float) -> bool:
        return bool(rng.random() < share)

    nodes = (
        node(axis, "grid", None, rng.choice([4.0, 6.0, 10.0, 30.0]), rng.choice([0.0, 3.0, 10.0])),
        node(axis, "sub", "grid", rng.choice([3.0, 8.0, 20.0]), rng.choice([0.0, 2.0, 20.0])),
        node(axis, "heat", None, 0.0, carrier="heat"),
        node(axis, "gas", None, INF, 0.0, "gas"),
    )
    devices = _devices(axis, between, flip, rng)
    pins = []
    ids = {d.id for d in devices}
    if "bat" in ids and flip(0.3):
        t = int(rng.integers(0, axis.steps))
        pins.append(Pin("bat", str(rng.choice(["charge_kw", "discharge_kw"])), t, t + 1, between(0, 1)))
    if "chp" in ids and flip(0.3):
        t = int(rng.integers(0, axis.steps))
        pins.append(Pin("chp", "on", t, min(t + 2, axis.steps), float(rng.integers(0, 2))))
    target = Target(gap=float(rng.choice([0.005, 0.05])), exact_decisions=int(rng.choice([0, 0, 2000])))
    return Sketch(axis, nodes, devices, _contracts(axis, between, flip, rng), tuple(pins), target=target).inputs()


def _devices(axis: Axis, between: Any, flip: Any, rng: np.random.Generator) -> tuple[Device, ...]:
    T = axis.steps

    def home() -> str:
        return str(rng.choice(["grid", "sub"]))

    some = [
        (1.0, Device("use", "load", ("grid",), {"power_kw": rng.uniform(0, 4, T)})),
        (1.0, Device("heat", "heat-demand", ("heat",), {"power_kw": rng.uniform(0, 9, T)})),
        (0.7, Device("chp", "chp", (home(), "heat", "gas"), {
            "power_max_kw": 10.0, "power_min_kw": between(3, 8), "start_cost_eur": between(0, 2),
            "min_up_h": float(rng.integers(0, 4)), "min_down_h": float(rng.integers(0, 4)), "on_start": flip(0.5),
            "hours_in_status_h": between(0, 4), "dump": flip(0.3),
        })),
        (0.5, Device("boiler", "gas-boiler", ("gas", "heat"), {
            "power_kw": between(3, 8), "power_min_kw": between(1, 3),
        })),
        (0.7, Device("bat", "battery", (home(),), {
            "capacity_kwh": between(2, 12), "power_kw": between(1, 6), "soc_start": between(0, 1),
            "efficiency_in": between(0.7, 1), "efficiency_out": between(0.7, 1),
        })),
        (0.5, Device("pv", "pv", (home(),), {
            "peak_kw": between(1, 8), "yield_kw_per_kw": rng.uniform(0, 1, T), "curtailable": flip(0.6),
        })),
        (0.5, Device("car", "ev-session", (home(),), {
            "arrive": float(rng.integers(0, 3)), "depart": float(rng.integers(3, T)), "energy_kwh": between(2, 15),
            "power_kw": between(3, 11), "phases": 3.0,
        })),
        (0.5, Device("tank", "hot-water-tank", (home(),), {
            "capacity_kwh": between(3, 12), "power_kw": 3.0, "power_min_kw": between(0, 3),
            "demand_kw": rng.uniform(0, 4, T),
        })),
        (0.4, Device("store", "thermal-store", ("heat",), {
            "capacity_kwh": between(3, 20), "power_kw": between(1, 6),
        })),
        (0.4, Device("wash", "shiftable-load", (home(),), {
            "profile_kw": [2.0, 1.0], "earliest": 0.0, "latest": float(rng.integers(2, T)),
        })),
    ]  # fmt: skip
    return tuple(device for share, device in some if share == 1.0 or flip(share))


def _contracts(axis: Axis, between: Any, flip: Any, rng: np.random.Generator) -> tuple[Commitment, ...]:
    """Prices of energy (at times selling is dearer), a peak, hours of breach, an event."""
    T = axis.steps
    buy, sell = rng.uniform(-0.1, 0.4, T), rng.uniform(-0.1, 0.5 if flip(0.4) else 0.1, T)
    found = [energy_price(axis, "grid", buy, sell), energy_price(axis, "gas", 0.06, 0.0, "gas")]
    if flip(0.3):
        found.append(peak_price(axis, "grid", between(0, 1)))
    if flip(0.4):
        found.append(hours_price(axis, "grid", between(0, 4), between(0.1, 2)))
    if flip(0.3):
        t, period = int(rng.integers(0, T - 1)), np.full(T, -1)
        period[t : t + 2] = 0
        paid, missing = np.array([between(0, 0.3)]), np.array([-between(0, 0.8)])
        found.append(
            Commitment("event", (Flow(1.0, node="sub"),), "energy", period, series(axis, between(0, 3)), paid, missing)
        )
    return tuple(found)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rungs_against_one_search_of_the_whole(seed: int) -> None:
    """The least emergencies, a true bound, a plan that holds, and no gap missed without a clock."""
    inputs = district(seed)
    known = least(inputs)
    try:
        s = solve(inputs, explained=False)
    except InfeasibleError:
        assert known is None
        return
    assert known is not None
    emergency, cost = known
    assert verify(inputs, s.assembly.schedule(s.x), s.objective) == []
    assert s.emergency == pytest.approx(emergency, rel=2e-4, abs=2e-4)
    assert s.status != "time-limited" or s.stopped_by == "clock"
    if abs(s.emergency - emergency) < 1e-5:
        size = max(1.0, abs(cost))
        assert s.bound <= cost + 1e-4 * size
        assert cost <= s.objective + 1e-4 * size
