"""Three washes, each with its dryer, on one connection, in linopy 0.10.1 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install linopy==0.10.1 highspy==1.15.1
peer/bin/python reference.py writes expected.json

Every pair of starts that keeps its hours is listed; one binary a pair says which is taken.
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
house, peak = site["node"]["house"], site["commitment"]["peak"]
pairs_of = {name: asset for name, asset in site["asset"].items() if asset["family"] == "shiftable-load"}
step = timedelta(minutes=site["horizon"]["step_min"])
step_h = step.total_seconds() / 3600
begin = datetime.fromisoformat(site["horizon"]["start"])
T = pd.RangeIndex(len(series), name="t")


def steps_from_start(clock: str) -> int:
    hour, minute = map(int, clock.split(":"))
    return round((begin.replace(hour=hour, minute=minute) - begin) / step)


(silent,) = site["schedule"]["silence"]["rules"]
SILENCE = set(range(steps_from_start(silent["from"]), steps_from_start(silent["to"])))


def pairs(asset: dict) -> list[tuple[int, int]]:
    """Starts of wash and dryer that fit the window, the silence and the gap between them."""
    wash, dry = len(asset["profile_kw"]), len(asset["then_profile_kw"])
    first, last = steps_from_start(asset["earliest"]), steps_from_start(asset["latest"])
    gap = round(asset.get("then_gap_max_h", 0) / step_h)
    silence = SILENCE if "allowed" in asset else set()
    return [
        (w, d)
        for w in range(first, last)
        for d in range(w + wash, w + wash + gap + 1)
        if d + dry <= last and not silence & {*range(w, w + wash), *range(d, d + dry)}
    ]


m = linopy.Model()
bought = m.add_variables(0, house["import_max_kw"], coords=[T], name="bought")
above = m.add_variables(0, name="above")
m.add_constraints(bought - above <= peak["so_far_kw"])
cost = peak["price_eur_per_kw"] * above + (step_h * series.buy_eur_per_kwh * bought).sum()
drawn = [0 * above for _ in T]
starts = {}
for name, asset in pairs_of.items():
    options = pairs(asset)
    takes = m.add_variables(binary=True, coords=[pd.RangeIndex(len(options), name="option")], name=name)
    starts[name] = options, takes
    runs = takes.sum()
    if "worth_eur" in asset:
        m.add_constraints(runs <= 1)
        cost = cost - asset["worth_eur"] * runs
    else:
        m.add_constraints(runs == 1)
    cost = cost + asset.get("start_cost_eur", 0) * runs
    for k, (wash, dry) in enumerate(options):
        for at, profile in ((wash, asset["profile_kw"]), (dry, asset["then_profile_kw"])):
            for j, power in enumerate(profile):
                drawn[at + j] = drawn[at + j] + power * takes.sel(option=k)
for t in T:
    m.add_constraints(bought.sel(t=t) - drawn[t] == float(series.load_kw[t]))
m.add_objective(cost)
status = m.solve("highs", mip_rel_gap=1e-9)
assert status == ("ok", "optimal"), status


def rounded(values: object) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values]


def begins(name: str, which: int) -> list[float]:
    """1 at the step of the start."""
    options, takes = starts[name]
    taken = [options[k][which] for k, x in enumerate(takes.solution) if float(x) > 0.5]
    return [float(t in taken) for t in T]


answer = {
    "tool": f"linopy {linopy.__version__}",
    "objective_eur": round(float(m.objective.value), 8),
    "nodes": {"house": rounded(bought.solution)},
    "assets": {name: {"start": begins(name, 0), "then_start": begins(name, 1)} for name in pairs_of},
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
