"""Two batteries that must not burn energy, however well it is paid, in linopy 0.10.1 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install linopy==0.10.1 highspy==1.15.1
peer/bin/python reference.py writes expected.json

A binary a battery and step says whether it charges or discharges; without it, doing both at once would pay here. Two
batteries may still pass energy to each other: that is no breach of either's physics.
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
step_h = site["horizon"]["step_min"] / 60
T = pd.RangeIndex(len(series), name="t")


def solved(exclusive: bool) -> tuple[linopy.Model, dict[str, dict[str, linopy.Variable]]]:
    """The day, with or without the rule that a battery does not charge and discharge at once."""
    m = linopy.Model()
    bought = m.add_variables(0, site["node"]["grid"]["import_max_kw"], coords=[T], name="bought")
    sun = m.add_variables(0, site["asset"]["roof"]["peak_kw"] * series.sun, name="sun")
    cost = step_h * (bought * series.buy_eur_per_kwh).sum()
    drawn = -bought - sun
    found = {"": {"bought": bought}}
    for name, bat in batteries.items():
        last = bat["soc_start"] if bat["end"] == "start" else bat["soc_end"]
        lowest = pd.Series(bat["soc_min"] * bat["capacity_kwh"], T)
        lowest[T[-1]] = last * bat["capacity_kwh"]
        charge = m.add_variables(0, bat["power_kw"], coords=[T], name=f"charge {name}")
        discharge = m.add_variables(0, bat["power_kw"], coords=[T], name=f"discharge {name}")
        soc = m.add_variables(lowest, bat["soc_max"] * bat["capacity_kwh"], name=f"soc {name}")
        if exclusive:
            charges = m.add_variables(binary=True, coords=[T], name=f"charges {name}")
            m.add_constraints(charge <= bat["power_kw"] * charges)
            m.add_constraints(discharge + bat["power_kw"] * charges <= bat["power_kw"])
        keep = (1 - bat["loss_per_h"]) ** step_h
        for t in T:
            into = step_h * (bat["efficiency_in"] * charge.sel(t=t) - discharge.sel(t=t) / bat["efficiency_out"])
            if t == 0:
                m.add_constraints(soc.sel(t=0) - into == keep * bat["soc_start"] * bat["capacity_kwh"])
            else:
                m.add_constraints(soc.sel(t=t) - keep * soc.sel(t=t - 1) - into == 0)
        drawn = drawn + charge - discharge
        cost = cost + step_h * bat["wear_eur_per_kwh"] * discharge.sum()
        found[name] = {"charge_kw": charge, "discharge_kw": discharge, "soc_kwh": soc}
    m.add_constraints(drawn == -series.load_kw)
    m.add_objective(cost)
    status = m.solve("highs", mip_rel_gap=1e-9) if exclusive else m.solve("highs")
    assert status == ("ok", "optimal"), status
    return m, found


def rounded(values: object) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values]


model, found = solved(exclusive=True)
burning, _ = solved(exclusive=False)
assert burning.objective.value < model.objective.value - 0.01, "burning does not pay: the case proves nothing"
answer = {
    "tool": f"linopy {linopy.__version__}",
    "objective_eur": round(float(model.objective.value), 8),
    "nodes": {"grid": rounded(found[""]["bought"].solution)},
    "assets": {name: {q: rounded(v.solution) for q, v in found[name].items()} for name in batteries},
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
