"""Two houses with batteries behind one feeder on a winter evening, in PyPSA 1.4.0 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install pypsa==1.4.0 highspy==1.15.1
peer/bin/python reference.py writes expected.json

A battery is a Store between two Links; the Links carry power at its DC side, hence the efficiencies in p_nom.
PyPSA takes no standing loss from e_initial in the first step, so e_initial is what that loss leaves.
"""

import json
import logging
import re
import tomllib
from pathlib import Path

import pandas as pd
import pypsa

HERE = Path(__file__).parent
site = tomllib.loads((HERE / "scenario.toml").read_text(encoding="utf-8"))
series = pd.read_csv(HERE / "series.csv")
nodes, assets = site["node"], site["asset"]

logging.disable(logging.WARNING)
n = pypsa.Network()
n.set_snapshots(range(len(series)))
step_h = site["horizon"]["step_min"] / 60
n.snapshot_weightings = pd.DataFrame(step_h, n.snapshots, ["objective", "stores", "generators"])

n.add("Bus", list(nodes))
n.add("Generator", "buy", bus="grid", p_nom=1000, marginal_cost=series.buy_eur_per_kwh)
n.add(
    "Generator",
    "sell",
    bus="grid",
    p_nom=1000,
    sign=-1,
    marginal_cost=-site["commitment"]["supply"]["sell_eur_per_kwh"],
)
for name, node in nodes.items():
    if "parent" in node:  # power from the parent is positive
        most, least = node["import_max_kw"], -node["export_max_kw"]
        n.add("Link", name, bus0=node["parent"], bus1=name, p_nom=most, p_min_pu=least / most)
for letter in "ab":
    bat, house = assets[f"bat-{letter}"], f"house-{letter}"
    n.add("Load", f"home-{letter}", bus=house, p_set=series[f"load_{letter}_kw"])
    last = bat["soc_start"] if bat["end"] == "start" else bat["soc_end"]
    n.add("Bus", f"bat-{letter}")
    n.add(
        "Store",
        f"bat-{letter}",
        bus=f"bat-{letter}",
        e_nom=bat["capacity_kwh"],
        e_initial=(1 - bat["loss_per_h"]) ** step_h * bat["soc_start"] * bat["capacity_kwh"],
        e_min_pu=[bat["soc_min"]] * (len(series) - 1) + [last],
        e_max_pu=bat["soc_max"],
        standing_loss=bat["loss_per_h"],
    )
    n.add(
        "Link",
        f"charge-{letter}",
        bus0=house,
        bus1=f"bat-{letter}",
        p_nom=bat["power_kw"],
        efficiency=bat["efficiency_in"],
    )
    n.add(
        "Link",
        f"discharge-{letter}",
        bus0=f"bat-{letter}",
        bus1=house,
        p_nom=bat["power_kw"] / bat["efficiency_out"],
        efficiency=bat["efficiency_out"],
        marginal_cost=bat["wear_eur_per_kwh"] * bat["efficiency_out"],
    )
outcome = n.optimize(solver_name="highs", include_objective_constant=False)
assert outcome == ("ok", "optimal"), outcome


def rounded(values: pd.Series) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values]


charge = {k: n.links_t.p0[f"charge-{k}"] for k in "ab"}
discharge = {k: -n.links_t.p1[f"discharge-{k}"] for k in "ab"}
for k in "ab":
    both = pd.concat([charge[k], discharge[k]], axis=1).min(axis=1).max()
    assert both < 1e-6, "charges and discharges at once: the linear model does not hold"
answer = {
    "tool": f"PyPSA {pypsa.__version__}",
    "objective_eur": round(float(n.objective), 8),
    "nodes": {name: rounded(n.links_t.p0[name]) for name in nodes if name != "grid"},
    "assets": {
        f"bat-{k}": {
            "charge_kw": rounded(charge[k]),
            "discharge_kw": rounded(discharge[k]),
            "soc_kwh": rounded(n.stores_t.e[f"bat-{k}"]),
        }
        for k in "ab"
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
