"""Waste heat before wood before gas, with two stores, in linopy 0.10.1 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install linopy==0.10.1 highspy==1.15.1
peer/bin/python reference.py writes expected.json
"""

import json
import re
import tomllib
from pathlib import Path

import linopy
import pandas as pd

HERE = Path(__file__).parent
site = tomllib.loads((HERE / "scenario.toml").read_text(encoding="utf-8"))
series = pd.read_csv(HERE / "series.csv").rename_axis("t")
nodes, assets, terms = site["node"], site["asset"], site["commitment"]
step_h = site["horizon"]["step_min"] / 60
T = pd.RangeIndex(len(series), name="t")

m = linopy.Model()
into = dict.fromkeys(nodes, 0)
fuel = {
    "grid": m.add_variables(0, nodes["grid"]["import_max_kw"], coords=[T], name="grid"),
    "gas": m.add_variables(0, coords=[T], name="gas"),
    "wood": m.add_variables(0, coords=[T], name="wood"),
    "dairy": m.add_variables(0, series.waste_kw, coords=[T], name="dairy"),
}
prices = {
    "grid": series.buy_eur_per_kwh,
    "gas": terms["gas"]["buy_eur_per_kwh"],
    "wood": terms["wood"]["buy_eur_per_kwh"],
    "dairy": terms["waste"]["buy_eur_per_kwh"],
}
cost = sum(step_h * (prices[name] * flow).sum() for name, flow in fuel.items())
for name, flow in fuel.items():
    into[name] = into[name] + flow
taken, content = {}, {}


def convert(name: str, source: str, sink: str, efficiency: float, most: object, least: float = 0.0) -> None:
    """A device between two nodes; limits on its output."""
    global cost
    out = m.add_variables(0, coords=[T], name=f"out {name}")
    if least > 0:
        runs = m.add_variables(binary=True, coords=[T], name=f"runs {name}")
        m.add_constraints(out <= most * runs)
        m.add_constraints(out >= least * runs)
    else:
        m.add_constraints(out <= most)
    taken[name] = (1 / efficiency) * out
    cost = cost + step_h * assets[name].get("cost_eur_per_kwh", 0.0) * taken[name].sum()
    into[source] = into[source] - taken[name]
    into[sink] = into[sink] + out


for name, asset in assets.items():
    match asset["family"]:
        case "converter":
            most = asset["power_kw"] * asset["efficiency"]
            convert(name, asset["node_in"], asset["node_out"], asset["efficiency"], most)
        case "gas-boiler":
            least = asset["power_min_kw"]
            convert(name, asset["gas_node"], asset["heat_node"], asset["efficiency"], asset["power_kw"], least)
        case "electric-boiler":
            convert(name, asset["node"], asset["heat_node"], 0.99, asset["power_kw"], asset.get("power_min_kw", 0.0))
        case "substation":
            cold, warm = -9.0, asset["outdoor_warm_c"]
            share = ((warm - series.outdoor_c) / (warm - cold)).clip(0, 1)
            supply = asset["supply_warm_c"] + (asset["supply_cold_c"] - asset["supply_warm_c"]) * share
            carried = 1.163 * asset["flow_max_m3_per_h"] * (supply - asset["return_c"])
            most = (asset["efficiency"] * carried).clip(upper=asset["power_kw"])
            convert(name, asset["network_node"], asset["node"], asset["efficiency"], most)
        case "thermal-store":
            size, start = asset["capacity_kwh"], asset["capacity_kwh"] * asset["level_start"]
            charge = m.add_variables(-asset["power_kw"], asset["power_kw"], coords=[T], name=f"charge {name}")
            content[name] = m.add_variables(
                size * asset.get("level_min", 0.0), size, coords=[T], name=f"content {name}"
            )
            keep = (1 - asset["loss_per_h"]) ** step_h
            for t in T:
                now = content[name].sel(t=t) - step_h * charge.sel(t=t)
                if t == 0:
                    m.add_constraints(now == keep * start)
                else:
                    m.add_constraints(now - keep * content[name].sel(t=t - 1) == 0)
            if asset.get("end", "start") == "start":
                m.add_constraints(content[name].sel(t=T[-1]) >= start)
            into[asset["node"]] = into[asset["node"]] - charge
        case "heat-demand":
            into[asset["node"]] = into[asset["node"]] - series[asset["power_kw"]]
pipe = m.add_variables(0, nodes["flats"]["import_max_kw"], coords=[T], name="pipe")
into["network"], into["flats"] = into["network"] - pipe, into["flats"] + pipe
for balance in into.values():
    m.add_constraints(balance == 0)
m.add_objective(cost)
status = m.solve("highs", mip_rel_gap=1e-9)
assert status == ("ok", "optimal"), status


def rounded(values: object) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values]


answer = {
    "tool": f"linopy {linopy.__version__}",
    "objective_eur": round(float(m.objective.value), 8),
    "nodes": {name: rounded(flow.solution) for name, flow in fuel.items()} | {"flats": rounded(pipe.solution)},
    "assets": {name: {"input_kw": rounded(flow.solution)} for name, flow in taken.items()}
    | {name: {"level_kwh": rounded(level.solution)} for name, level in content.items()},
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
