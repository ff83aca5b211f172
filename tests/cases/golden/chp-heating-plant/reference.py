"""An engine, a boiler and a heat store serve a block on a winter day, in PyPSA 1.4.0 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install pypsa==1.4.0 highspy==1.15.1
peer/bin/python reference.py writes expected.json

Unit commitment of a Link from gas to electricity and heat; its power is the fuel. PyPSA takes no standing loss from
e_initial in the first step, so e_initial is what that loss leaves.
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
nodes, assets, terms = site["node"], site["asset"], site["commitment"]
engine, boiler, store = assets["engine"], assets["boiler"], assets["store"]
assert engine["electric_efficiency"] == engine["electric_efficiency_min"], "a Link has one efficiency"
assert engine["thermal_efficiency"] == engine["thermal_efficiency_min"], "a Link has one efficiency"
assert site["horizon"]["step_min"] == 60, "a snapshot is an hour"

logging.disable(logging.WARNING)
n = pypsa.Network()
n.set_snapshots(range(len(series)))
n.add("Bus", list(nodes))
n.add("Load", "shops", bus="grid", p_set=series.power_kw)
n.add("Load", "homes", bus="heat", p_set=series.heat_kw)
n.add("Generator", "buy", bus="grid", p_nom=nodes["grid"]["import_max_kw"], marginal_cost=series.buy_eur_per_kwh)
n.add(
    "Generator",
    "sell",
    bus="grid",
    p_nom=nodes["grid"]["export_max_kw"],
    sign=-1,
    marginal_cost=-terms["power"]["sell_eur_per_kwh"],
)
n.add(
    "Generator",
    "fuel",
    bus="gas",
    p_nom=nodes["gas"]["import_max_kw"],
    marginal_cost=terms["fuel"]["buy_eur_per_kwh"],
)
n.add(
    "Link",
    "engine",
    bus0="gas",
    bus1="grid",
    bus2="heat",
    efficiency=engine["electric_efficiency"],
    efficiency2=engine["thermal_efficiency"],
    p_nom=engine["power_max_kw"] / engine["electric_efficiency"],
    p_min_pu=engine["power_min_kw"] / engine["power_max_kw"],
    marginal_cost=engine["maintenance_eur_per_kwh"] * engine["electric_efficiency"],
    committable=True,
    start_up_cost=engine["start_cost_eur"],
    min_up_time=int(engine["min_up_h"]),
    min_down_time=int(engine["min_down_h"]),
    up_time_before=0,
    down_time_before=1000,
)
n.add(
    "Link",
    "boiler",
    bus0="gas",
    bus1="heat",
    efficiency=boiler["efficiency"],
    p_nom=boiler["power_kw"] / boiler["efficiency"],
)
n.add("Bus", "store")
n.add("Link", "store", bus0="heat", bus1="store", p_nom=store["power_kw"], p_min_pu=-1)
n.add(
    "Store",
    "store",
    bus="store",
    e_nom=store["capacity_kwh"],
    e_initial=(1 - store["loss_per_h"]) * store["level_start"] * store["capacity_kwh"],
    e_min_pu=[store["level_min"]] * (len(series) - 1) + [store["level_start"]],
    e_max_pu=store["level_max"],
    standing_loss=store["loss_per_h"],
)
outcome = n.optimize(solver_name="highs", include_objective_constant=False, mip_rel_gap=1e-9)
assert outcome == ("ok", "optimal"), outcome


def rounded(values: pd.Series) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values]


bought, sold = n.generators_t.p["buy"], n.generators_t.p["sell"]
assert pd.concat([bought, sold], axis=1).min(axis=1).max() < 1e-6, "imports and exports at once"
answer = {
    "tool": f"PyPSA {pypsa.__version__}",
    "objective_eur": round(float(n.objective), 8),
    "nodes": {"grid": rounded(bought - sold), "gas": rounded(n.generators_t.p["fuel"])},
    "assets": {
        "engine": {
            "on": rounded(n.links_t.status["engine"]),
            "power_kw": rounded(-n.links_t.p1["engine"]),
        },
        "boiler": {"input_kw": rounded(n.links_t.p0["boiler"])},
        "store": {"level_kwh": rounded(n.stores_t.e["store"])},
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
