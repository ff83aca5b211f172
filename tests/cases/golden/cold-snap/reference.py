"""A cold morning on which not all heat can be given, in linopy 0.10.1 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install linopy==0.10.1 highspy==1.15.1
peer/bin/python reference.py writes expected.json

Solved twice: first for the least heat that cannot be given, then for the least money at that.
"""

import json
import re
import tomllib
from pathlib import Path

import linopy
import pandas as pd

HERE = Path(__file__).parent
site = tomllib.loads((HERE / "scenario.toml").read_text(encoding="utf-8"))
assert site["horizon"]["step_min"] == 60, "powers are energies below"
series = pd.read_csv(HERE / "series.csv").rename_axis("t")
node, asset, term = site["node"], site["asset"], site["commitment"]
T = pd.RangeIndex(len(series), name="t")

m = linopy.Model()
power = m.add_variables(0, min(node["grid"]["import_max_kw"], asset["pump"]["power_kw"]), coords=[T], name="power")
boiler = asset["boiler"]
most = min(node["gas"]["import_max_kw"], boiler["power_kw"] / boiler["efficiency"])
fuel = m.add_variables(0, most, coords=[T], name="fuel")
homes_unmet = m.add_variables(0, series.homes_kw, name="homes unmet")
school_unmet = m.add_variables(0, series.school_kw, name="school unmet")
pipe = m.add_variables(0, node["school"]["import_max_kw"], coords=[T], name="pipe")
store = asset["store"]
filling = m.add_variables(-store["power_kw"], store["power_kw"], coords=[T], name="filling")
least = pd.Series(store["level_min"] * store["capacity_kwh"], T, dtype=float)
least[T[-1]] = store["level_end"] * store["capacity_kwh"]
level = m.add_variables(least, store["level_max"] * store["capacity_kwh"], name="level")
keep = 1 - store["loss_per_h"]
m.add_constraints(level.sel(t=0) - filling.sel(t=0) == keep * store["level_start"] * store["capacity_kwh"])
for t in T[1:]:
    m.add_constraints(level.sel(t=t) - keep * level.sel(t=t - 1) - filling.sel(t=t) == 0)
m.add_constraints(pipe + school_unmet == series.school_kw)
made = series.cop * power + boiler["efficiency"] * fuel
m.add_constraints(made - filling - pipe + homes_unmet == series.homes_kw)

unmet = homes_unmet.sum() + school_unmet.sum()
m.add_objective(unmet)
status = m.solve("highs")
assert status == ("ok", "optimal"), status
emergency = float(m.objective.value)

m.add_constraints(unmet <= emergency)
money = (power * series.buy_eur_per_kwh + term["fuel"]["buy_eur_per_kwh"] * fuel).sum()
m.add_objective(money, overwrite=True)
status = m.solve("highs")
assert status == ("ok", "optimal"), status


def rounded(values: linopy.Variable) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values.solution]


def told(unmet: linopy.Variable) -> list[float | None]:
    """Unmet heat; None where more than the pipe alone keeps back is unmet: it could as well be the other demand's."""
    pipe_short = (series.school_kw - node["school"]["import_max_kw"]).clip(lower=0)
    free = homes_unmet.solution.values + school_unmet.solution.values > pipe_short + 1e-6
    return [None if f else v for f, v in zip(free, rounded(unmet), strict=True)]


answer = {
    "tool": f"linopy {linopy.__version__}",
    "objective_eur": round(float(m.objective.value), 8),
    "emergency_kwh": round(emergency, 6),
    "nodes": {"grid": rounded(power), "gas": rounded(fuel)},
    "assets": {
        "homes": {"unmet_kw": told(homes_unmet)},
        "school": {"unmet_kw": told(school_unmet)},
        "store": {"level_kwh": rounded(level)},
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
