"""Lamps, a turbine and a battery on one cable, in linopy 0.10.1 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install linopy==0.10.1 highspy==1.15.1
peer/bin/python reference.py writes expected.json

The battery's direction is a binary a step. Lamps are shares of full light here, not powers; a share may change by the
ramp, or as far as the floor rises or the night begins or ends.
"""

import json
import re
import tomllib
from pathlib import Path

import linopy
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
site = tomllib.loads((HERE / "scenario.toml").read_text(encoding="utf-8"))
series = pd.read_csv(HERE / "series.csv").rename_axis("t")
assets, village, sell = site["asset"], site["node"]["village"], site["commitment"]["supply"]["sell_eur_per_kwh"]
h = site["horizon"]["step_min"] / 60
T = pd.RangeIndex(len(series), name="t")

m = linopy.Model()
bought = m.add_variables(0, village["import_max_kw"], coords=[T], name="bought")
sold = m.add_variables(0, village["export_max_kw"], coords=[T], name="sold")
cost = h * (bought * series.buy_eur_per_kwh - sell * sold).sum()
drawn = sold - bought
found: dict[str, dict[str, tuple[linopy.Variable, float]]] = {}

mill = assets["mill"]
at_hub = series.wind_m_per_s * (mill["hub_m"] / 10) ** mill["shear"]
edges = [mill["cut_in_m_per_s"] ** 3, mill["rated_m_per_s"] ** 3]
share = np.where(at_hub < mill["cut_out_m_per_s"], np.interp(at_hub**3, edges, [0, 1]), 0)
generation = m.add_variables(0, pd.Series(mill["peak_kw"] * share, T), name="generation")
drawn = drawn - generation
found["mill"] = {"generation_kw": (generation, 1)}

full_light_eur = 0.0
for name in ("avenue", "lanes"):
    lamps, full = assets[name], assets[name]["points"] * assets[name]["lamp_kw"]
    floor, night = series[lamps["floor"]], series.night
    worth = lamps["light_eur_per_kwh"]
    worth = series[worth] if isinstance(worth, str) else pd.Series(worth, T)
    light = m.add_variables(floor * night, night, coords=[T], name=f"light {name}")
    for t in T if "ramp_per_h" in lamps else []:
        ramp = h * lamps["ramp_per_h"]
        if t == 0:
            m.add_constraints(light.sel(t=0) <= lamps["light_start"] + max(ramp, floor[0] * night[0]))
            m.add_constraints(light.sel(t=0) >= lamps["light_start"] - max(ramp, lamps["light_start"] - night[0]))
            continue
        up = max(ramp, night[t] - night[t - 1], floor[t] * night[t] - floor[t - 1] * night[t - 1])
        m.add_constraints(light.sel(t=t) - light.sel(t=t - 1) <= up)
        m.add_constraints(light.sel(t=t) - light.sel(t=t - 1) >= -max(ramp, night[t - 1] - night[t]))
    cost = cost - h * full * (light * worth).sum()
    full_light_eur += h * full * float((worth * night).sum())
    drawn = drawn + full * light
    found[name] = {"power_kw": (light, full)}

bat = assets["bat"]
size, most = bat["capacity_kwh"], bat["power_kw"]
lowest = pd.Series(float(bat["soc_min"] * size), T)
lowest[T[-1]] = bat["soc_end"] * size
charge = m.add_variables(0, most, coords=[T], name="charge")
discharge = m.add_variables(0, most, coords=[T], name="discharge")
soc = m.add_variables(lowest, bat["soc_max"] * size, name="soc")
charges = m.add_variables(binary=True, coords=[T], name="charges")
m.add_constraints(charge <= most * charges)
m.add_constraints(discharge + most * charges <= most)
keep = (1 - bat["loss_per_h"]) ** h
for t in T:
    into = h * (bat["efficiency_in"] * charge.sel(t=t) - discharge.sel(t=t) / bat["efficiency_out"])
    if t == 0:
        m.add_constraints(soc.sel(t=0) - into == keep * bat["soc_start"] * size)
    else:
        m.add_constraints(soc.sel(t=t) - keep * soc.sel(t=t - 1) - into == 0)
cost = cost + h * bat["wear_eur_per_kwh"] * discharge.sum()
found["bat"] = {"charge_kw": (charge, 1), "discharge_kw": (discharge, 1), "soc_kwh": (soc, 1)}
m.add_constraints(drawn + charge - discharge == -series.homes_kw)
m.add_objective(cost)
status = m.solve("highs", mip_rel_gap=1e-9)
assert status == ("ok", "optimal"), status


def rounded(values: object) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values]


assert float((bought.solution.clip(max=1e-3) * sold.solution).max()) < 1e-8, "imports and exports at once"
answer = {
    "tool": f"linopy {linopy.__version__}",
    "objective_eur": round(float(m.objective.value) + full_light_eur, 8),
    "nodes": {"village": rounded(bought.solution - sold.solution)},
    "assets": {
        name: {q: rounded(factor * v.solution) for q, (v, factor) in quantities.items()}
        for name, quantities in found.items()
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
