"""Two batteries under their makers' guarantees, in linopy 0.10.1 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install linopy==0.10.1 highspy==1.15.1
peer/bin/python reference.py writes expected.json

A binary a battery and step says whether it charges or discharges. Days are read off the wall-clock times of series.csv;
energy beyond a day's cycles is one number a day here.
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
batteries = {name: asset for name, asset in site["asset"].items() if asset["family"] == "battery"}
node, sell = site["node"]["site"], site["commitment"]["supply"]["sell_eur_per_kwh"]
T = pd.RangeIndex(len(series), name="t")
dates = series.time.str[:10]
days = list(dict.fromkeys(dates))

m = linopy.Model()
bought = m.add_variables(0, node["import_max_kw"], coords=[T], name="bought")
sold = m.add_variables(0, node["export_max_kw"], coords=[T], name="sold")
sun = m.add_variables(0, site["asset"]["roof"]["peak_kw"] * series.sun, name="sun")
cost = (bought * series.buy_eur_per_kwh).sum() - sell * sold.sum()
drawn = -sun
found: dict[str, dict[str, linopy.Variable]] = {}
for name, bat in batteries.items():
    size, most = bat["capacity_kwh"], bat["power_kw"]
    lowest = pd.Series(float(bat["soc_min"]) * size, T)
    lowest[T[-1]] = bat["soc_end"] * size
    charge = m.add_variables(0, most, coords=[T], name=f"charge {name}")
    discharge = m.add_variables(0, most, coords=[T], name=f"discharge {name}")
    soc = m.add_variables(lowest, bat["soc_max"] * size, name=f"soc {name}")
    charges = m.add_variables(binary=True, coords=[T], name=f"charges {name}")
    m.add_constraints(charge <= most * charges)
    m.add_constraints(discharge + most * charges <= most)
    for t in T:
        into = bat["efficiency_in"] * charge.sel(t=t) - discharge.sel(t=t) / bat["efficiency_out"]
        if t == 0:
            m.add_constraints(soc.sel(t=0) - into == (1 - bat["loss_per_h"]) * bat["soc_start"] * size)
        else:
            m.add_constraints(soc.sel(t=t) - (1 - bat["loss_per_h"]) * soc.sel(t=t - 1) - into == 0)
    cost = cost + bat["wear_eur_per_kwh"] * discharge.sum()
    for k, day in enumerate(days):
        here = list(T[dates == day])
        left = (bat["cycles_per_day"] - (bat["cycles_today"] if k == 0 else 0)) * size
        if "extra_cycle_eur" in bat:
            more = m.add_variables(0, name=f"more {name} {day}")
            m.add_constraints(discharge.sel(t=here).sum() - more <= left)
            cost = cost + bat["extra_cycle_eur"] / size * more
        else:
            m.add_constraints(discharge.sel(t=here).sum() <= left)
    if "dwell_soc" in bat:
        dwell = m.add_variables(0, coords=[T], name=f"dwell {name}")
        m.add_constraints(dwell - soc >= -bat["dwell_soc"] * size)
        cost = cost + bat["dwell_eur_per_kwh_per_h"] * dwell.sum()
    if "taper_in_soc" in bat:
        # From (taper_in_soc, full power) to (1, taper_in_power x full power).
        slope = (1 - bat["taper_in_power"]) * most / (1 - bat["taper_in_soc"]) / size
        m.add_constraints(charge + slope * soc <= most + slope * bat["taper_in_soc"] * size)
    if "taper_out_soc" in bat:
        slope = (1 - bat["taper_out_power"]) * most / bat["taper_out_soc"] / size
        m.add_constraints(discharge - slope * soc <= bat["taper_out_power"] * most)
    drawn = drawn + charge - discharge
    found[name] = {"charge_kw": charge, "discharge_kw": discharge, "soc_kwh": soc}
m.add_constraints(drawn - bought + sold == -series.load_kw)
m.add_objective(cost)
status = m.solve("highs", mip_rel_gap=1e-9)
assert status == ("ok", "optimal"), status


def rounded(values: object) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values]


assert float((bought.solution.clip(max=1e-3) * sold.solution).max()) < 1e-8, "imports and exports at once"
for day in days:
    print(day, "cycles beyond the first battery's:", float(m.variables[f"more bat-a {day}"].solution) / 12)
answer = {
    "tool": f"linopy {linopy.__version__}",
    "objective_eur": round(float(m.objective.value), 8),
    "nodes": {"site": rounded(bought.solution - sold.solution)},
    "assets": {name: {q: rounded(v.solution) for q, v in found[name].items()} for name in batteries},
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
