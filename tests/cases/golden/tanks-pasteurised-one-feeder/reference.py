"""Three pasteurised tanks on one feeder over a day and a half, in linopy 0.10.1 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install linopy==0.10.1 highspy==1.15.1
peer/bin/python reference.py writes expected.json

A binary marks every hour of a hold; in it the tank is hot at the hour's begin and end. A binary marks the hour after
which a hold is complete, and as many hours before it belong to the hold. Between the ends of two holds, and from the
one before the start to the first, lie no more than 24 hours; a timer's holds begin at its hour.
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
tanks = {name: asset for name, asset in site["asset"].items() if asset["family"] == "hot-water-tank"}
hours = len(series)
T = pd.RangeIndex(hours, name="t")

m = linopy.Model()
net = m.add_variables(0, site["node"]["feeder"]["import_max_kw"], coords=[T], name="net")
cost = (net * series.buy_eur_per_kwh).sum()
drawn, heater, content = 0, {}, {}
for name, tank in tanks.items():
    size, start = tank["capacity_kwh"], tank["capacity_kwh"] * tank["level_start"]
    hold, since = tank.get("pasteurise_h", 1), tank.get("since_pasteurised_h", 12)
    full, empty = tank.get("temperature_full_c", 65), tank.get("temperature_empty_c", 40)
    hot = size * (tank.get("pasteurise_c", 60) - empty) / (full - empty)
    demand = series[tank["demand_kw"]]
    heater[name] = m.add_variables(0, tank["heater_power_kw"], coords=[T], name=f"heater {name}")
    content[name] = m.add_variables(0, size, coords=[T], name=f"content {name}")
    missing = m.add_variables(0, demand, coords=[T], name=f"missing {name}")
    heat = heater[name] + missing - demand
    power = 1 * heater[name]
    if "power_kw" in tank:
        cop = (tank["cop_nominal"] + tank["cop_slope_per_k"] * (series.outdoor_c - 7)).clip(1.5, 6)
        pump = m.add_variables(0, tank["power_kw"], coords=[T], name=f"pump {name}")
        runs = m.add_variables(binary=True, coords=[T], name=f"runs {name}")
        m.add_constraints(pump <= tank["power_kw"] * runs)
        m.add_constraints(pump >= tank["power_min_kw"] * runs)
        heat, power = heat + cop * pump, power + pump
    held = m.add_variables(binary=True, coords=[T], name=f"held {name}")
    complete = m.add_variables(binary=True, coords=[T], name=f"complete {name}")
    keep = 1 - tank["loss_per_h"]
    for t in range(hours):
        now, gain = content[name].sel(t=t), heat.sel(t=t)
        m.add_constraints(now >= hot * held.sel(t=t))
        if t == 0:
            m.add_constraints(now - gain == keep * start)
            m.add_constraints(hot * held.sel(t=0) <= start)
        else:
            m.add_constraints(now - keep * content[name].sel(t=t - 1) - gain == 0)
            m.add_constraints(content[name].sel(t=t - 1) >= hot * held.sel(t=t))
        for before in range(hold):
            if t >= before:
                m.add_constraints(held.sel(t=t - before) >= complete.sel(t=t))
            else:
                m.add_constraints(complete.sel(t=t) == 0)
    if "pasteurise_at_h" in tank:
        for t in range(hours - hold + 1):
            if t % 24 == tank["pasteurise_at_h"]:
                m.add_constraints(complete.sel(t=t + hold - 1) == 1)
    else:
        m.add_constraints(complete.sel(t=slice(0, 24 - since - 1)).sum() >= 1)
        for last in range(24, hours):
            m.add_constraints(complete.sel(t=slice(last - 23, last)).sum() >= 1)
    wanted = {"start": start, "target": size * tank.get("level_end", 0), "free": 0}[tank["end"]]
    m.add_constraints(content[name].sel(t=hours - 1) >= wanted)
    cost = cost + tank.get("backup_eur_per_kwh", 1.0) * missing.sum()
    drawn = drawn + power
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
        name: {"heater_kw": rounded(heater[name].solution), "level_kwh": rounded(content[name].solution)}
        for name in tanks
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
