"""Four cars on one cable, in linopy 0.10.1 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install linopy==0.10.1 highspy==1.15.1
peer/bin/python reference.py writes expected.json

A binary a car and step: charging, between least and most power, or not. Only whole steps between arrival and departure
count; a car that leaves after the horizon is due what full power after the horizon could not deliver any more.
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
series = pd.read_csv(HERE / "series.csv")
park, sell = site["node"]["park"], site["commitment"]["supply"]["sell_eur_per_kwh"]
cars = {name: asset for name, asset in site["asset"].items() if asset["family"] == "ev-session"}
step_h = site["horizon"]["step_min"] / 60
begin = datetime.fromisoformat(site["horizon"]["start"])
T = pd.RangeIndex(len(series), name="t")


def steps_from_start(clock: str) -> float:
    """Steps between the start of the horizon and a time of its day."""
    hour, minute = map(int, clock.split(":"))
    return (hour + minute / 60 - begin.hour) / step_h


m = linopy.Model()
bought = m.add_variables(0, park["import_max_kw"], coords=[T], name="bought")
sold = m.add_variables(0, park["export_max_kw"], coords=[T], name="sold")
sun = m.add_variables(0, site["asset"]["canopy"]["peak_kw"] * series.sun.rename_axis("t"), name="sun")
drawn = series.light_kw.rename_axis("t") - sun
cost = step_h * (bought * series.buy_eur_per_kwh.rename_axis("t") - sell * sold).sum()

charge, short = {}, {}
for name, car in cars.items():
    first, last = math.ceil(steps_from_start(car["arrive"])), math.floor(steps_from_start(car["depart"]))
    wanted = car["energy_kwh"] - car["delivered_kwh"]
    afterwards = max(last - max(first, len(T)), 0) * step_h * car["efficiency"] * car["power_kw"]
    due = max(wanted - afterwards, 0)
    least = min(car["phases"] * 0.23 * car["current_min_a"], car["power_kw"], wanted / (step_h * car["efficiency"]))
    plugged = pd.Series([float(first <= t < last) for t in T], T)
    on = m.add_variables(binary=True, coords=[T], name=f"on {name}")
    charge[name] = m.add_variables(0, car["power_kw"], coords=[T], name=f"charge {name}")
    short[name] = m.add_variables(0, name=f"short {name}")
    m.add_constraints(charge[name] <= car["power_kw"] * plugged * on)
    m.add_constraints(charge[name] >= least * on)
    into_car = step_h * car["efficiency"] * charge[name].sum()
    m.add_constraints(into_car + short[name] >= due)
    m.add_constraints(into_car + short[name] <= wanted)
    drawn = drawn + charge[name]
    cost = cost + car["shortfall_eur_per_kwh"] * short[name]
m.add_constraints(drawn == bought - sold)
m.add_objective(cost)
status = m.solve("highs", mip_rel_gap=1e-9)
assert status == ("ok", "optimal"), status


def rounded(values: object) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values]


assert float((bought.solution.clip(max=1e-3) * sold.solution).max()) < 1e-8, "imports and exports at once"
answer = {
    "tool": f"linopy {linopy.__version__}",
    "objective_eur": round(float(m.objective.value), 8),
    "nodes": {"park": rounded(bought.solution - sold.solution)},
    "assets": {
        name: {"charge_kw": rounded(charge[name].solution), "short_kwh": [round(float(short[name].solution), 6)]}
        for name in cars
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
