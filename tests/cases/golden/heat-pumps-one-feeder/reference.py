"""A home and an office with heat pumps on one feeder on a cold morning, in linopy 0.10.1 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install linopy==0.10.1 highspy==1.15.1
peer/bin/python reference.py writes expected.json

C dT/dt = (outdoor - T) / R + heat, solved exactly over a step in which outdoor and heat are constant. The heat pump
runs between its least and its full power, or not at all. Kelvins below or above the comfort band at the end of a step
are priced by the hour; those still missing at the end would last R * C hours more.
"""

import json
import math
import re
import tomllib
from pathlib import Path

import linopy
import pandas as pd

HERE = Path(__file__).parent
site = tomllib.loads((HERE / "scenario.toml").read_text(encoding="utf-8"))
series = pd.read_csv(HERE / "series.csv").rename_axis("t")
zones = {name: asset for name, asset in site["asset"].items() if asset["family"] == "heat-pump-building"}
step_h = site["horizon"]["step_min"] / 60
T = pd.RangeIndex(len(series), name="t")

m = linopy.Model()
net = m.add_variables(0, site["node"]["feeder"]["import_max_kw"], coords=[T], name="net")
cost = step_h * (net * series.buy_eur_per_kwh).sum()
drawn, power, inside = 0, {}, {}
for name, zone in zones.items():
    R, C = zone["resistance_k_per_kw"], zone["capacity_kwh_per_k"]
    cop = (zone["cop_nominal"] + zone["cop_slope_per_k"] * (series.outdoor_c - 7)).clip(1.5, 6)
    on = m.add_variables(binary=True, coords=[T], name=f"on {name}")
    power[name] = m.add_variables(0, zone["power_kw"], coords=[T], name=f"power {name}")
    inside[name] = m.add_variables(coords=[T], name=f"inside {name}")
    under = m.add_variables(0, coords=[T], name=f"under {name}")
    over = m.add_variables(0, coords=[T], name=f"over {name}")
    m.add_constraints(power[name] <= zone["power_kw"] * on)
    m.add_constraints(power[name] >= zone["power_min_kw"] * on)
    keep = math.exp(-step_h / (R * C))
    for t in T:
        outside, gain = float(series.outdoor_c[t]), float(series[zone["gain_kw"]][t])
        steady = R * float(cop[t]) * power[name].sel(t=t)
        rest = (1 - keep) * (outside + R * gain)
        if t == 0:
            m.add_constraints(inside[name].sel(t=0) - (1 - keep) * steady == rest + keep * zone["temperature_start_c"])
        else:
            before = keep * inside[name].sel(t=t - 1)
            m.add_constraints(inside[name].sel(t=t) - before - (1 - keep) * steady == rest)
    m.add_constraints(inside[name] + under >= series[zone["comfort_min_c"]])
    m.add_constraints(inside[name] - over <= zone["comfort_max_c"])
    hours = step_h * (under + over).sum() + R * C * under.sel(t=T[-1])
    cost = cost + zone["discomfort_eur_per_kh"] * hours
    drawn = drawn + power[name]
m.add_constraints(net - drawn == series.load_kw)
m.add_objective(cost)
status = m.solve("highs", mip_rel_gap=1e-9)
assert status == ("ok", "optimal"), status


def rounded(values: object) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values]


answer = {
    "tool": f"linopy {linopy.__version__}",
    "objective_eur": round(float(m.objective.value), 8),
    "nodes": {"feeder": rounded(net.solution)},
    "assets": {
        name: {"heat_pump_kw": rounded(power[name].solution), "temperature_c": rounded(inside[name].solution)}
        for name in zones
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
