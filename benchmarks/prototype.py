"""The solver core's prototype, read in place: its district as gridopt Inputs, so that both can be compared.

The two models are one where the physics can be made to coincide. The zones' exact discretisation equals the prototype's
Euler step when the capacity is chosen so that ``exp(-dt / (R C')) = 1 - dt / (R C)``; losses per step are losses per
hour to the power of the step. What the prototype has no word for is kept out of play: no comfort is wanted at the
end of the last step (gridopt prices what is missing then for longer), and no run may be left undone.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import shared
from benchmarks.mix import user_table
from gridopt.assets import family
from gridopt.clock import day_axis
from gridopt.model.inputs import Commitment, Flow, Group, Inputs, Node, make_groups

MODULES = ("district", "lp", "build_raw", "heuristic")
PER_BUILDING = {"columns": 654.0, "rows": 222.0, "nonzeros": 1450.0}
"""What the prototype needed for a building, LP, 96 steps (its notes, section 1)."""
NO_COMFORT_C = 0.0
NEVER_EUR = 1e3


def folder() -> Path:
    return shared("GRIDOPT_PROTOTYPE", "prototype")


def absent() -> str:
    """Why there is nothing to compare with; empty when there is."""
    place = folder()
    if all((place / f"{name}.py").is_file() for name in MODULES):
        return ""
    return f"no prototype: {place} lacks {', '.join(MODULES)} (set GRIDOPT_PROTOTYPE to its folder)"


@contextmanager
def modules() -> Iterator[dict[str, Any]]:
    """The prototype's modules by name, imported in place; its folder and its short names are gone afterwards."""
    place, kept = str(folder()), sys.dont_write_bytecode
    before = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    sys.path.insert(0, place)
    sys.dont_write_bytecode = True
    try:
        yield {name: importlib.import_module(name) for name in MODULES}
    finally:
        sys.path.remove(place)
        sys.dont_write_bytecode = kept
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def make(found: dict[str, Any], buildings: int, seed: int = 7) -> Any:
    """The prototype's district without comfort at the end of its last step."""
    d = found["district"].make_district(buildings, seed=seed)
    d.zone["tmin"][:, -1] = NO_COMFORT_C
    return d


def as_inputs(d: Any) -> Inputs:
    """The prototype's district as gridopt Inputs."""
    axis = day_axis(date(2026, 1, 15), 1, round(60 * d.dt), "Europe/Paris")
    T, n = d.T, d.N
    none, step = np.zeros(T), np.arange(T)
    full = np.full
    nodes = [Node("grid", "electricity", None, full(T, d.feeder), full(T, d.feeder), none)]
    nodes += [
        Node(f"house-{k:04d}", "electricity", "grid", full(T, d.conn[k]), full(T, d.conn[k]), none) for k in range(n)
    ]
    supply = Commitment("supply", (Flow(1.0, node="grid"),), "energy", step, none, d.import_cost, -d.price_exp)
    peak = Commitment(
        "peak", (Flow(1.0, node="grid", side="import"),), "peak", 0 * step, none, full(1, d.peak_cost), np.zeros(1)
    )
    fees = [
        Commitment(f"fee-{node.id}", (Flow(1.0, node=node.id),), "energy", step, none, full(T, d.fee), none)
        for node in nodes[1:]
    ]
    groups: list[Group] = []
    for name, given in _tables(d).items():
        at = given.pop("bus")
        ids = [f"{name}-{building:04d}-{k:04d}" for k, building in enumerate(at)]
        user = user_table(name, len(at), T, given)
        groups += make_groups(family(name), ids, user, {"ac": [int(k) + 1 for k in at]}, axis)
    groups.sort(key=lambda g: (g.family.name, g.steps, repr(g.options)))
    return Inputs(axis, tuple(nodes), tuple(groups), (supply, peak, *fees))


def _tables(d: Any) -> dict[str, dict[str, Any]]:
    """Family → user columns and ``bus``, the building of each device."""
    h = d.dt
    b, e, z, k, s = d.battery, d.ev, d.zone, d.tank, d.shift

    def per_hour(loss: Any) -> Any:
        return 1 - (1 - loss) ** (1 / h)

    profile = np.empty(len(s["bus"]), object)
    for i, row in enumerate(s["prof"]):
        profile[i] = row
    return {
        "load": {"bus": np.arange(d.N), "power_kw": d.load},
        "pv": {"bus": d.pv["bus"], "peak_kw": 1.0, "yield_kw_per_kw": d.pv["avail"]},
        "battery": {
            "bus": b["bus"], "capacity_kwh": b["cap"], "power_kw": b["pmax"], "efficiency_in": b["eta_c"],
            "efficiency_out": b["eta_d"], "loss_per_h": per_hour(b["loss"]), "soc_start": b["soc0"] / b["cap"],
            "wear_eur_per_kwh": b["wear"],
        },
        "ev-session": {
            "bus": e["bus"], "arrive": e["start"] * h, "depart": e["end"] * h, "energy_kwh": e["energy"],
            "power_kw": e["pmax"], "phases": np.where(e["pmin"] > 2, 3.0, 1.0), "efficiency": e["eta"],
            "shortfall_eur_per_kwh": e["penalty"],
        },
        "heat-pump-building": {
            "bus": z["bus"], "resistance_k_per_kw": z["R"], "power_kw": z["pmax"], "power_min_kw": z["pmin"],
            "capacity_kwh_per_k": -h / (z["R"] * np.log(1 - h / (z["R"] * z["C"]))), "outdoor_c": z["tout"],
            "gain_kw": z["gain"], "cop": z["cop"], "comfort_min_c": z["tmin"], "comfort_max_c": z["tmax"][:, None],
            "temperature_start_c": z["t0"], "discomfort_eur_per_kh": z["comfort"],
        },
        "hot-water-tank": {
            "bus": k["bus"], "capacity_kwh": k["cap"], "power_kw": k["pmax"], "power_min_kw": k["pmin"],
            "cop": k["cop"], "demand_kw": k["demand"], "loss_per_h": per_hour(k["loss"]), "end": "free",
            "level_start": k["e0"] / k["cap"], "backup_eur_per_kwh": k["penalty"],
        },
        "shiftable-load": {
            "bus": s["bus"], "profile_kw": profile, "earliest": s["start"] * h,
            "latest": (s["end"] + s["prof"].shape[1]) * h, "skip_eur": NEVER_EUR,
        },
    }  # fmt: skip
