"""Two cars that give back, and a guest, on one cable, in linopy 0.10.1 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install linopy==0.10.1 highspy==1.15.1
peer/bin/python reference.py writes expected.json

The content of every car's battery in kWh, from its arrival on; binaries for charging at all and for the direction. What
the guest misses is cut into ten tenths of what it is due, each with its own price.
"""

import json
import re
import tomllib
from datetime import datetime, timedelta
from pathlib import Path

import linopy
import pandas as pd

HERE = Path(__file__).parent
site = tomllib.loads((HERE / "scenario.toml").read_text(encoding="utf-8"))
series = pd.read_csv(HERE / "series.csv").rename_axis("t")
yard, sell = site["node"]["yard"], site["commitment"]["supply"]["sell_eur_per_kwh"]
cars = {name: asset for name, asset in site["asset"].items() if asset["family"] == "ev-session"}
h = site["horizon"]["step_min"] / 60
begin = datetime.fromisoformat(site["horizon"]["start"])
T = pd.RangeIndex(len(series), name="t")


def step_of(clock: str) -> int:
    """The step that begins at a time of the first day, or of the second."""
    hour, minute = map(int, clock.removeprefix("D+1 ").split(":"))
    when = begin.replace(hour=hour, minute=minute) + timedelta(days=clock.startswith("D+1"))
    return round((when - begin).total_seconds() / 3600 / h)


m = linopy.Model()
bought = m.add_variables(0, yard["import_max_kw"], coords=[T], name="bought")
sold = m.add_variables(0, yard["export_max_kw"], coords=[T], name="sold")
buys = m.add_variables(binary=True, coords=[T], name="buys")
m.add_constraints(bought <= yard["import_max_kw"] * buys)
m.add_constraints(sold + yard["export_max_kw"] * buys <= yard["export_max_kw"])
cost = h * (bought * series.buy_eur_per_kwh - sell * sold).sum()
drawn = sold - bought
found: dict[str, dict[str, linopy.Variable]] = {}
came: dict[str, float] = {}
for name, car in cars.items():
    first, last, most, eta = step_of(car["arrive"]), step_of(car["depart"]), car["power_kw"], car["efficiency"]
    plugged = pd.Series([float(first <= t < last) for t in T], T)
    least = car.get("power_min_kw", 0) if car.get("dc") else car["phases"] * 0.23 * car["current_min_a"]
    back = car.get("v2g_kw", 0)
    size = car.get("capacity_kwh", 1000)
    came[name] = car.get("soc_arrive", 0) * size
    due = car["energy_kwh"] if "energy_kwh" in car else (car["soc_depart"] - car["soc_arrive"]) * size
    wanted = came[name] + due  # kWh in the car at departure
    kept = came[name] + car["at_once_kwh"] if "at_once_kwh" in car else car["at_once_soc"] * size
    charge = m.add_variables(0, most * plugged, name=f"charge {name}")
    on = m.add_variables(binary=True, coords=[T], name=f"on {name}")
    m.add_constraints(charge <= most * on)
    m.add_constraints(charge >= least * on)
    reached = came[name]
    given = pd.Series(0.0, T)
    promised = {}
    for t in range(first, last):
        if reached >= kept - 1e-9:
            given[t] = back  # before, not even full power could have brought it
        reached += h * eta * most
        promised[t] = min(kept, reached)
    discharge = m.add_variables(0, given, name=f"discharge {name}")
    m.add_constraints(discharge + back * on <= back)
    ceiling = size if back else wanted
    content = m.add_variables(
        min(came[name], kept) if back else came[name], ceiling, coords=[T], name=f"content {name}"
    )
    for t in T:
        before = came[name] if t == 0 else content.sel(t=t - 1)
        change = h * (eta * charge.sel(t=t) - discharge.sel(t=t) / eta)
        m.add_constraints(content.sel(t=t) - change - before == 0 if t else content.sel(t=t) - change == before)
    for t, promise in promised.items():
        if came[name] < kept:
            late = m.add_variables(0, name=f"late {name} {t}")
            m.add_constraints(late + content.sel(t=t) >= promise)
            cost = cost + h * car["late_eur_per_kwh_per_h"] * late
    tenths = 10 if car.get("sharing") == "even" else 1
    short = 0
    for k in range(tenths):
        room = due / tenths if k < tenths - 1 else 1000.0
        part = m.add_variables(0, room, name=f"short {name} {k}")
        short = short + part
        cost = cost + car["shortfall_eur_per_kwh"] * (1 + 0.25 * k) * part
    m.add_constraints(content.sel(t=T[-1]) + short >= wanted)
    cost = cost + h * car.get("wear_eur_per_kwh", 0) * discharge.sum()
    drawn = drawn + charge - discharge
    found[name] = {"charge_kw": charge, "discharge_kw": discharge, "content": content}
m.add_constraints(drawn == -series.load_kw)
m.add_objective(cost)
status = m.solve("highs", mip_rel_gap=1e-9)
assert status == ("ok", "optimal"), status


def rounded(values: object) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values]


answer = {
    "tool": f"linopy {linopy.__version__}",
    "objective_eur": round(float(m.objective.value), 8),
    "nodes": {"yard": rounded(bought.solution - sold.solution)},
    "assets": {},
}
for name, car in cars.items():
    content = found[name]["content"].solution
    due = car["energy_kwh"] if "energy_kwh" in car else (car["soc_depart"] - car["soc_arrive"]) * car["capacity_kwh"]
    rows = {"charge_kw": rounded(found[name]["charge_kw"].solution)}
    if car.get("v2g_kw"):
        rows["discharge_kw"] = rounded(found[name]["discharge_kw"].solution)
    rows["short_kwh"] = rounded([max(came[name] + due - float(content[-1]), 0)])
    answer["assets"][name] = rows
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
