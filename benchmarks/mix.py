"""The district every measurement uses: a mix of buildings, drawn from a seed, as gridopt Inputs.

60 % of the buildings with curtailable PV, 40 % battery, 50 % an EV charger (1.4 sessions each, 6 A minimum), 30 % heat
pump and zone, 30 % heat pump and tank, 50 % a shiftable load; a feeder limit, import and export prices with CO2, a peak
charge, a local fee on what a building draws. ``engines`` adds CHP units with their heat node, boiler and store.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from gridopt.assets import family
from gridopt.clock import Axis, day_axis
from gridopt.model.inputs import Commitment, Flow, Group, Inputs, Node, Target, make_groups

Floats = npt.NDArray[np.float64]
SHARES = {
    "pv": 0.6,
    "battery": 0.4,
    "ev-session": 0.5,
    "heat-pump-building": 0.3,
    "hot-water-tank": 0.3,
    "shiftable-load": 0.5,
}


def bell(hour: Floats, centre: float, width: float) -> Floats:
    return np.asarray(np.exp(-(((hour - centre) / width) ** 2)), np.float64)


def user_table(name: str, n: int, steps: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """A family's user columns: what is given, every default besides."""
    out: dict[str, Any] = {}
    for p in family(name).parameters:
        value = given.get(p.name, p.default)
        if p.kind == "series":
            value = np.nan if value is None else value
            out[p.name] = np.array(np.broadcast_to(np.asarray(value, float), (n, steps)))
        elif p.kind in ("scalar", "time"):
            value = np.nan if value is None else value
            out[p.name] = np.array(np.broadcast_to(np.asarray(value, float), (n,)))
        else:
            out[p.name] = value if isinstance(value, np.ndarray) else np.array([value] * n, object)
    return out


class Draw:
    """One seeded district while it is being drawn."""

    def __init__(self, buildings: int, axis: Axis, seed: int, negative: bool) -> None:
        self.n, self.axis, self.steps = buildings, axis, axis.steps
        self.rng = np.random.default_rng(seed)
        self.hour = (np.arange(axis.steps) * axis.step_h) % 24.0
        h = self.hour
        self.spot = (
            0.09 + 0.05 * bell(h, 8, 2) + 0.09 * bell(h, 18.5, 2.2) - 0.07 * bell(h, 13, 2.5)
            + self.rng.normal(0, 0.004, self.steps)
        )  # fmt: skip
        if negative:
            self.spot -= 0.32 * bell(h, 13, 1.6)
        self.outdoor_c = 2.0 + 4.0 * np.cos((h - 15) / 24 * 2 * np.pi) + self.rng.normal(0, 0.1, self.steps)
        self.sun = np.clip(np.sin((h - 7) / 10 * np.pi), 0, None) * ((h > 7) & (h < 17))
        self.groups: list[Group] = []

    def pick(self, share: float) -> npt.NDArray[np.int64]:
        count = max(1, round(share * self.n))
        return np.sort(self.rng.choice(self.n, count, replace=False))

    def add(self, name: str, at: npt.NDArray[np.int64], given: Mapping[str, Any], ids: list[str] | None = None) -> None:
        ids = ids or [f"{name}-{k:04d}" for k in at]
        user = user_table(name, len(at), self.steps, given)
        port = family(name).ports[0].name
        self.groups += make_groups(family(name), ids, user, {port: [int(k) + 1 for k in at]}, self.axis)

    def load(self) -> None:
        scale = self.rng.lognormal(0, 0.35, self.n)
        shape = 0.25 + 0.35 * bell(self.hour, 7.5, 1.5) + 0.75 * bell(self.hour, 19.5, 2.5)
        power = scale[:, None] * shape * self.rng.gamma(8, 1 / 8, (self.n, self.steps))
        self.add("load", np.arange(self.n), {"power_kw": np.round(power, 6)})

    def pv(self, at: npt.NDArray[np.int64]) -> None:
        sky = np.clip(self.rng.normal(0.8, 0.15, (len(at), self.steps)), 0.05, 1)
        per_kw = np.round(0.75 * self.sun * sky, 6)
        self.add("pv", at, {"peak_kw": self.rng.uniform(3, 10, len(at)), "yield_kw_per_kw": per_kw})

    def battery(self, at: npt.NDArray[np.int64]) -> None:
        n, rng = len(at), self.rng
        capacity = rng.uniform(5, 15, n)
        given = {
            "capacity_kwh": capacity, "power_kw": 0.5 * capacity, "efficiency_in": rng.uniform(0.93, 0.97, n),
            "efficiency_out": rng.uniform(0.93, 0.97, n), "loss_per_h": 0.002, "soc_start": rng.uniform(0.2, 0.6, n),
            "wear_eur_per_kwh": 0.01,
        }  # fmt: skip
        self.add("battery", at, given)

    def ev_session(self, at: npt.NDArray[np.int64]) -> None:
        """Overnight or daytime; an overnight car is often still plugged in from the evening before."""
        rng, n = self.rng, len(at)
        end = self.steps * self.axis.step_h
        daytime = rng.random(n) < 0.35
        arrive = np.where(daytime, rng.uniform(7, 11, n), rng.uniform(16, 19.5, n))
        depart = np.where(daytime, np.minimum(arrive + rng.uniform(4, 9, n), end), end)
        again = ~daytime & (rng.random(n) < 0.6)
        where = np.concatenate([at, at[again]])
        arrive = np.round(np.concatenate([arrive, np.zeros(again.sum())]) * 4) / 4
        depart = np.round(np.concatenate([depart, rng.uniform(6, 8.5, int(again.sum()))]) * 4) / 4
        power = np.where(rng.random(len(where)) < 0.5, 11.0, 7.36)
        energy = np.minimum(rng.uniform(4, 22, len(where)), 0.6 * power * 0.92 * (depart - arrive))
        given = {
            "arrive": arrive, "depart": depart, "energy_kwh": energy, "power_kw": power,
            "phases": np.where(power > 8, 3.0, 1.0), "efficiency": 0.92, "shortfall_eur_per_kwh": 2.0,
        }  # fmt: skip
        ids = [f"ev-session-{k:04d}-{j}" for j, k in enumerate(where)]
        self.add("ev-session", where, given, ids)

    def heat_pump_building(self, at: npt.NDArray[np.int64]) -> None:
        n, rng = len(at), self.rng
        r = rng.uniform(4.0, 8.0, n)
        power = (21 - self.outdoor_c.min()) / r / 2.5 * 1.5
        wanted = np.where((self.hour > 6) & (self.hour < 22), 20.0, 18.0) + rng.uniform(-0.5, 0.5, (n, 1))
        given = {
            "resistance_k_per_kw": r, "capacity_kwh_per_k": rng.uniform(6.0, 14.0, n), "power_kw": power,
            "power_min_kw": 0.3 * power, "outdoor_c": self.outdoor_c,
            "gain_kw": self.sun * rng.uniform(0.2, 1.0, (n, 1)), "cop": self.cop(n), "comfort_min_c": wanted,
            "comfort_max_c": 24.5,
            "temperature_start_c": rng.uniform(20, 21, n), "discomfort_eur_per_kh": 0.5,
        }  # fmt: skip
        self.add("heat-pump-building", at, given)

    def cop(self, n: int) -> Floats:
        return np.clip(2.6 + 0.07 * self.outdoor_c + self.rng.normal(0, 0.1, (n, 1)), 1.5, 5)

    def hot_water_tank(self, at: npt.NDArray[np.int64]) -> None:
        n, rng = len(at), self.rng
        draw = rng.uniform(4, 10, (n, 1)) * (bell(self.hour, 7, 1.0) + 0.8 * bell(self.hour, 20, 1.5))
        draw *= rng.gamma(2, 0.5, (n, self.steps))
        days = self.steps * self.axis.step_h / 24
        draw *= rng.uniform(6, 12, (n, 1)) * days / (draw.sum(1, keepdims=True) * self.axis.step_h)
        capacity = rng.uniform(8, 14, n)
        given = {
            "capacity_kwh": capacity, "power_kw": rng.uniform(1.5, 2.5, n), "power_min_kw": 0.6,
            "cop": 0.85 * self.cop(n), "demand_kw": np.round(draw, 6), "loss_per_h": 0.016, "end": "free",
            "level_start": rng.uniform(4, 6, n) / capacity, "backup_eur_per_kwh": 1.0,
        }  # fmt: skip
        self.add("hot-water-tank", at, given)

    def shiftable_load(self, at: npt.NDArray[np.int64]) -> None:
        n, rng = len(at), self.rng
        length = rng.integers(4, 9, n)
        profile = np.empty(n, object)
        for k in range(n):
            profile[k] = np.round(rng.uniform(0.2, 2.0, length[k]), 6)
        earliest = np.round(rng.uniform(6, 12, n) * 4) / 4
        latest = np.minimum(earliest + 2 + np.round(rng.uniform(4, 11, n) * 4) / 4, self.steps * self.axis.step_h)
        self.add("shiftable-load", at, {"profile_kw": profile, "earliest": earliest, "latest": latest})


def district(
    buildings: int = 50,
    seed: int = 7,
    days: int = 1,
    step_min: int = 15,
    negative: bool = False,
    shares: Mapping[str, float] | None = None,
    engines: int = 0,
    target: Target | None = None,
    feeder_kw: float | None = None,
) -> Inputs:
    """A district of that many buildings; ``shares`` replaces the families' shares (0 leaves one out)."""
    axis = day_axis(date(2026, 1, 15), days, step_min, "Europe/Paris")
    d = Draw(buildings, axis, seed, negative)
    d.load()
    for name, share in {**SHARES, **(shares or {})}.items():
        if share > 0:
            getattr(d, name.replace("-", "_"))(d.pick(share))
    T = axis.steps
    full = np.full
    feeder = feeder_kw or 2.2 * buildings + 8
    nodes = [Node("grid", "electricity", None, full(T, feeder), full(T, feeder), np.zeros(T))]
    nodes += [
        Node(f"house-{k:04d}", "electricity", "grid", full(T, 17.0), full(T, 17.0), np.zeros(T))
        for k in range(buildings)
    ]
    buy = d.spot + 0.14 + (0.35 + 0.1 * np.cos((d.hour - 19) / 24 * 2 * np.pi)) * 0.08
    step = np.arange(T)
    none = np.zeros(T)
    commitments = [
        Commitment("supply", (Flow(1.0, node="grid"),), "energy", step, none, buy, -(d.spot - 0.01)),
        Commitment(
            "peak", (Flow(1.0, node="grid", side="import"),), "peak", np.zeros(T, np.int64), none, np.array([0.25]),
            np.zeros(1),
        ),
    ]  # fmt: skip
    commitments += [
        Commitment(f"fee-{n.id}", (Flow(1.0, node=n.id),), "energy", step, none, full(T, 0.03), none) for n in nodes[1:]
    ]
    if engines:
        nodes, more, contracts = _engines(d, engines, nodes)
        d.groups += more
        commitments += contracts
    groups = sorted(d.groups, key=lambda g: (g.family.name, g.steps, repr(g.options)))
    return Inputs(axis, tuple(nodes), tuple(groups), tuple(commitments), target=target or Target())


def _engines(d: Draw, count: int, nodes: list[Node]) -> tuple[list[Node], list[Group], list[Commitment]]:
    """CHP plants of 200 kW, each on its own heat node with boiler, store and demand; one gas supply."""
    T, axis = d.steps, d.axis
    none, wide = np.zeros(T), np.full(T, 1e5)
    nodes = [*nodes, Node("z-gas", "gas", None, wide, none, none)]
    gas = len(nodes) - 1
    groups: list[Group] = []
    for k in range(count):
        heat = len(nodes)
        nodes.append(Node(f"z-heat-{k}", "heat", None, none, none, none))
        demand = 150 * (1 + 0.4 * bell(d.hour, 7, 2) + 0.3 * bell(d.hour, 19, 3)) * d.rng.uniform(0.9, 1.1, T)
        for name, given, ports in (
            ("chp", _CHP, {"ac": [0], "heat": [heat], "gas": [gas]}),
            ("gas-boiler", {"power_kw": 500.0}, {"source": [gas], "sink": [heat]}),
            ("thermal-store", {"capacity_kwh": 400.0, "power_kw": 300.0, "loss_per_h": 0.01}, {"heat": [heat]}),
            ("heat-demand", {"power_kw": np.round(demand, 6)}, {"heat": [heat]}),
        ):
            user = user_table(name, 1, T, given)
            groups += make_groups(family(name), [f"{name}-{k}"], user, ports, axis)
    gas_price = Commitment("gas", (Flow(1.0, node="z-gas"),), "energy", np.arange(T), none, np.full(T, 0.07), none)
    return nodes, _merge(groups), [gas_price]


_CHP = {
    "power_max_kw": 200.0, "power_min_kw": 100.0, "electric_efficiency": 0.38, "electric_efficiency_min": 0.34,
    "thermal_efficiency": 0.48, "thermal_efficiency_min": 0.50, "start_cost_eur": 30.0,
    "maintenance_eur_per_kwh": 0.01, "min_up_h": 2.0, "min_down_h": 2.0,
}  # fmt: skip


def _merge(groups: list[Group]) -> list[Group]:
    """Groups of equal structure as one, as the scenario loader would make them."""
    out: dict[tuple[Any, ...], list[Group]] = {}
    for g in groups:
        out.setdefault((g.family.name, g.steps, g.options), []).append(g)
    return [
        Group(
            same[0].family, same[0].options, same[0].steps, tuple(i for g in same for i in g.ids),
            {name: np.concatenate([g.columns[name] for g in same]) for name in same[0].columns},
            {port: np.concatenate([g.nodes[port] for g in same]) for port in same[0].nodes},
            np.concatenate([g.offset for g in same]),
        )
        for same in out.values()
    ]  # fmt: skip
