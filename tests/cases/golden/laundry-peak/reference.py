"""Three machines in a laundry, a roof, and a charge on the peak, in linopy 0.10.1 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install linopy==0.10.1 highspy==1.15.1
peer/bin/python reference.py writes expected.json

A binary a machine and possible start; its profile follows. Parts of equal length, where a duration is given, are
spread over the steps they cover.
"""

import json
import math
import re
import tomllib
from datetime import datetime
from pathlib import Path

import linopy
import pandas as pd

HERE = Path(__file__).parent
site = tomllib.loads((HERE / "scenario.toml").read_text(encoding="utf-8"))
series = pd.read_csv(HERE / "series.csv").rename_axis("t")
laundry, peak = site["node"]["laundry"], site["commitment"]["peak"]
machines = {name: asset for name, asset in site["asset"].items() if asset["family"] == "shiftable-load"}
step_h = site["horizon"]["step_min"] / 60
begin = datetime.fromisoformat(site["horizon"]["start"])
T = pd.RangeIndex(len(series), name="t")


def steps_from_start(clock: str) -> float:
    """Steps between the start of the horizon and a time of its day."""
    hour, minute = map(int, clock.split(":"))
    return (hour + minute / 60 - begin.hour) / step_h


m = linopy.Model()
bought = m.add_variables(0, laundry["import_max_kw"], coords=[T], name="bought")
sold = m.add_variables(0, laundry["export_max_kw"], coords=[T], name="sold")
sun = m.add_variables(0, site["asset"]["roof"]["peak_kw"] * series.sun, name="sun")
above = m.add_variables(0, name="above")
m.add_constraints(bought - sold - above <= peak["so_far_kw"])
cost = step_h * (bought * series.buy_eur_per_kwh - site["commitment"]["supply"]["sell_eur_per_kwh"] * sold).sum()
cost = cost + peak["price_eur_per_kw"] * above
drawn = [bought.sel(t=t) * 0 for t in T]
starts = {}
for name, machine in machines.items():
    parts = machine["profile_kw"]
    part_h = machine.get("duration_h", step_h * len(parts)) / len(parts)
    run = round(part_h * len(parts) / step_h)
    profile = [parts[int(k * step_h / part_h)] for k in range(run)]
    first, last = math.ceil(steps_from_start(machine["earliest"])), math.floor(steps_from_start(machine["latest"]))
    may = pd.Series([float(first <= t and t + run <= min(last, len(T))) for t in T], T)
    starts[name] = m.add_variables(binary=True, coords=[T], name=f"start {name}")
    m.add_constraints(starts[name] <= may)
    undone = m.add_variables(0, 1, name=f"undone {name}")
    m.add_constraints(starts[name].sum() + undone == 1)
    cost = cost + machine["skip_eur"] * undone
    for t in T:
        for k in range(min(run, t + 1)):
            drawn[t] = drawn[t] + profile[k] * starts[name].sel(t=t - k)
for t in T:
    net = bought.sel(t=t) - sold.sel(t=t) + sun.sel(t=t)
    m.add_constraints(drawn[t] - net == -float(series.load_kw[t]))
m.add_objective(cost)
status = m.solve("highs", mip_rel_gap=1e-9)
assert status == ("ok", "optimal"), status


def rounded(values: object) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values]


answer = {
    "tool": f"linopy {linopy.__version__}",
    "objective_eur": round(float(m.objective.value), 8),
    "nodes": {"laundry": rounded(bought.solution - sold.solution)},
    "assets": {name: {"start": rounded(starts[name].solution)} for name in machines},
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
