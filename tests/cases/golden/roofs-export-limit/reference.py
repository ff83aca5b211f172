"""Two roofs behind a weak line at a noon when export costs money, in PyPSA 1.4.0 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install pypsa==1.4.0 highspy==1.15.1
peer/bin/python reference.py writes expected.json

PyPSA takes no standing loss from e_initial in the first step, so e_initial is what that loss leaves. The worth of what
is left in store is a cost of the store's own: marginal_cost_storage of the last snapshot.
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
bat, free, fixed = assets["hall-bat"], assets["hall-roof"], assets["school-roof"]
last = len(series) - 1

logging.disable(logging.WARNING)
n = pypsa.Network()
n.set_snapshots(range(len(series)))
step_h = site["horizon"]["step_min"] / 60
n.snapshot_weightings = pd.DataFrame(step_h, n.snapshots, ["objective", "stores", "generators"])

n.add("Bus", [*nodes, "bat"])
n.add("Generator", "buy", bus="grid", p_nom=1000, marginal_cost=series.buy_eur_per_kwh)
n.add("Generator", "sell", bus="grid", p_nom=1000, sign=-1, marginal_cost=-series.sell_eur_per_kwh)
for name, node in nodes.items():
    if "parent" in node:  # power from the parent is positive
        most, least = node.get("import_max_kw", 1000), -node.get("export_max_kw", 1000)
        n.add("Link", name, bus0=node["parent"], bus1=name, p_nom=most, p_min_pu=least / most)
for name in ("school", "hall"):
    n.add("Load", name, bus=name, p_set=series[f"{name}_kw"])
n.add("Generator", "free", bus="hall", p_nom=free["peak_kw"], p_max_pu=series.sun)
n.add("Generator", "fixed", bus="school", p_nom=fixed["peak_kw"], p_max_pu=series.sun, p_min_pu=series.sun)

start = bat["soc_start"] * bat["capacity_kwh"]
value = pd.Series(0.0, n.snapshots)
value[last] = -bat["end_value_eur_per_kwh"] / step_h
n.add(
    "Store",
    "bat",
    bus="bat",
    e_nom=bat["capacity_kwh"],
    e_initial=(1 - bat["loss_per_h"]) ** step_h * start,
    e_min_pu=bat["soc_min"],
    e_max_pu=bat["soc_max"],
    standing_loss=bat["loss_per_h"],
    marginal_cost_storage=value,
)
n.add("Link", "charge", bus0="hall", bus1="bat", p_nom=bat["power_kw"], efficiency=bat["efficiency_in"])
n.add(
    "Link",
    "discharge",
    bus0="bat",
    bus1="hall",
    p_nom=bat["power_kw"] / bat["efficiency_out"],
    efficiency=bat["efficiency_out"],
    marginal_cost=bat["wear_eur_per_kwh"] * bat["efficiency_out"],
)
outcome = n.optimize(solver_name="highs", include_objective_constant=False)
assert outcome == ("ok", "optimal"), outcome


def rounded(values: pd.Series) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values]


charge, discharge = n.links_t.p0["charge"], -n.links_t.p1["discharge"]
assert pd.concat([charge, discharge], axis=1).min(axis=1).max() < 1e-6, "charges and discharges at once"
bought, sold = n.generators_t.p["buy"], n.generators_t.p["sell"]
assert pd.concat([bought, sold], axis=1).min(axis=1).max() < 1e-6, "imports and exports at once"
answer = {
    "tool": f"PyPSA {pypsa.__version__}",
    "objective_eur": round(float(n.objective) + bat["end_value_eur_per_kwh"] * start, 8),
    "nodes": {name: rounded(n.links_t.p0[name]) for name in ("line", "hall")},
    "assets": {
        "hall-bat": {
            "charge_kw": rounded(charge),
            "discharge_kw": rounded(discharge),
            "soc_kwh": rounded(n.stores_t.e["bat"]),
        },
        "hall-roof": {"generation_kw": rounded(n.generators_t.p["free"])},
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
