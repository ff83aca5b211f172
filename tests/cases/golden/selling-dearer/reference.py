"""A feed-in tariff above the price of buying, in linopy 0.10.1 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install linopy==0.10.1 highspy==1.15.1
peer/bin/python reference.py writes expected.json

One meter: a binary a step says whether it buys or sells; without it, buying and selling at once would pay.
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
grid, bat, roof = site["node"]["grid"], site["asset"]["bat"], site["asset"]["roof"]
step_h = site["horizon"]["step_min"] / 60
T = pd.RangeIndex(len(series), name="t")

m = linopy.Model()
buys = m.add_variables(binary=True, coords=[T], name="buys")
bought = m.add_variables(0, coords=[T], name="bought")
sold = m.add_variables(0, coords=[T], name="sold")
sun = m.add_variables(0, roof["peak_kw"] * series.sun, name="sun")
charges = m.add_variables(binary=True, coords=[T], name="charges")
charge = m.add_variables(0, coords=[T], name="charge")
discharge = m.add_variables(0, coords=[T], name="discharge")
lowest = pd.Series(bat["soc_min"] * bat["capacity_kwh"], T)
lowest[T[-1]] = bat["soc_start"] * bat["capacity_kwh"]
soc = m.add_variables(lowest, bat["soc_max"] * bat["capacity_kwh"], name="soc")
m.add_constraints(bought <= grid["import_max_kw"] * buys)
m.add_constraints(sold + grid["export_max_kw"] * buys <= grid["export_max_kw"])
m.add_constraints(charge <= bat["power_kw"] * charges)
m.add_constraints(discharge + bat["power_kw"] * charges <= bat["power_kw"])
m.add_constraints(bought - sold + sun - charge + discharge == series.load_kw)
keep = (1 - bat["loss_per_h"]) ** step_h
for t in T:
    into = step_h * (bat["efficiency_in"] * charge.sel(t=t) - discharge.sel(t=t) / bat["efficiency_out"])
    if t == 0:
        m.add_constraints(soc.sel(t=0) - into == keep * bat["soc_start"] * bat["capacity_kwh"])
    else:
        m.add_constraints(soc.sel(t=t) - keep * soc.sel(t=t - 1) - into == 0)
cash = (bought * series.buy_eur_per_kwh - sold * series.sell_eur_per_kwh).sum()
m.add_objective(step_h * (cash + bat["wear_eur_per_kwh"] * discharge.sum()))
status = m.solve("highs", mip_rel_gap=1e-9)
assert status == ("ok", "optimal"), status


def rounded(values: object) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values]


answer = {
    "tool": f"linopy {linopy.__version__}",
    "objective_eur": round(float(m.objective.value), 8),
    "nodes": {"grid": rounded(bought.solution - sold.solution)},
    "assets": {
        "bat": {
            "charge_kw": rounded(charge.solution),
            "discharge_kw": rounded(discharge.solution),
            "soc_kwh": rounded(soc.solution),
        },
        "roof": {"generation_kw": rounded(sun.solution)},
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
