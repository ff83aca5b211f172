"""A treatment plant: aeration, sludge, lift pumps before rain and a water tower, in linopy 0.10.1 with HiGHS
(highspy 1.15.1).

python -m venv peer && peer/bin/pip install linopy==0.10.1 highspy==1.15.1
peer/bin/python reference.py writes expected.json

Everything is written out hour by hour: from a start on each of the next hours is on; of any pause and one hour more,
one hour is on. Hours are steps here, so powers are energies.
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
assert site["horizon"]["step_min"] == 60, "powers are energies below"
series = pd.read_csv(HERE / "series.csv").rename_axis("t")
plant, peak, asset = site["node"]["plant"], site["commitment"]["peak"], site["asset"]
T = pd.RangeIndex(len(series), name="t")
m = linopy.Model()


def variable(name: str, lower: float = 0.0, upper: float | pd.Series = math.inf) -> linopy.Variable:
    return m.add_variables(lower, upper, coords=[T], name=name)


def switch(name: str) -> linopy.Variable:
    return m.add_variables(binary=True, coords=[T], name=name)


def hour(clock: str) -> int:
    return int(clock.split(":")[0])


def running(name: str, most: float, least: float) -> tuple[linopy.Variable, linopy.Variable]:
    """Power that is zero or between the two, and whether it is above zero."""
    power, on = variable(name), switch(f"{name} on")
    m.add_constraints(power - most * on <= 0)
    m.add_constraints(power - least * on >= 0)
    return power, on


def starts_of(name: str, on: linopy.Variable, was_on: int, shortest: int) -> linopy.Variable:
    """1 where it starts; each of the next ``shortest`` hours is then on."""
    starts = switch(f"{name} starts")
    m.add_constraints(starts.sel(t=0) - on.sel(t=0) >= -was_on)
    for t in T:
        if t:
            m.add_constraints(starts.sel(t=t) - on.sel(t=t) + on.sel(t=t - 1) >= 0)
        for later in range(t, min(t + shortest, len(T))):
            m.add_constraints(on.sel(t=later) - starts.sel(t=t) >= 0)
    return starts


air = asset["aeration"]
blown, on = running("aeration", air["power_kw"], air["power_min_kw"])
begun = starts_of("aeration", on, 1, air["min_up_h"])
m.add_constraints(on.sel(t=0) == 1)  # it has run for one hour of its two
for t in T[air["pause_max_h"] :]:
    m.add_constraints(sum(on.sel(t=k) for k in range(t - air["pause_max_h"], t + 1)) >= 1)
for first in range(0, len(T), air["every_h"]):
    m.add_constraints(sum(blown.sel(t=k) for k in range(first, first + air["every_h"])) >= air["energy_kwh"])

press = asset["sludge"]
pressed, pressing = running("sludge", press["power_kw"], press["power_min_kw"])
m.add_constraints(pressed.sum() == press["energy_kwh"])
(quiet,) = site["schedule"]["quiet"]["rules"]
for t in T:
    if not hour(press["earliest"]) <= t < hour(press["latest"]) or hour(quiet["from"]) <= t < hour(quiet["to"]):
        m.add_constraints(pressing.sel(t=t) == 0)


def level_of(name: str, inflow: pd.Series, pump: linopy.Variable, sign: int) -> linopy.Variable:
    """Content at each hour's end, inside its band."""
    basin = asset[name]
    top = basin["level_max_m3"] - (series.reserve_m3 if "reserve_m3" in basin else 0.0 * T.to_series())
    level = variable(f"{name} level", basin["level_min_m3"], top)
    flow = sign / basin["lift_kwh_per_m3"]
    m.add_constraints(level.sel(t=0) - flow * pump.sel(t=0) == basin["level_start_m3"] + float(inflow[0]))
    for t in T[1:]:
        m.add_constraints(level.sel(t=t) - level.sel(t=t - 1) - flow * pump.sel(t=t) == float(inflow[t]))
    return level


lift = asset["lift"]
lifted, lifting = running("lift", lift["pumps"] * lift["power_kw"], lift["power_min_kw"])
raised = starts_of("lift", lifting, 0, lift["min_up_h"])
m.add_constraints(raised.sum() <= lift["starts_max_per_day"])
sewer = level_of("lift", series.sewer_m3_per_h, lifted, -1)
m.add_constraints(sewer.sel(t=T[-1]) <= lift["level_start_m3"])

tower = asset["tower"]
filled, _ = running("tower", tower["pumps"] * tower["power_kw"], tower["power_min_kw"])
water = level_of("tower", series.drawn_m3_per_h, filled, 1)
m.add_constraints(water.sel(t=T[-1]) >= tower["level_end_m3"])

(works,) = plant["limits"]
most = pd.Series(plant["import_max_kw"], T, dtype=float)
most[hour(works["from"]) : hour(works["to"])] = works["import_max_kw"]
bought = variable("bought", 0, most)
above = m.add_variables(0, name="above")
m.add_constraints(bought - above <= peak["so_far_kw"])
m.add_constraints(bought - blown - pressed - lifted - filled == series.rest_kw)
cost = (series.buy_eur_per_kwh * bought).sum() + peak["price_eur_per_kw"] * above
m.add_objective(cost + air["start_cost_eur"] * begun.sum() + lift["start_cost_eur"] * raised.sum())
status = m.solve("highs", mip_rel_gap=1e-9)
assert status == ("ok", "optimal"), status


def rounded(values: object) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values]


aeration: list[float | None] = [*rounded(on.solution)]
aeration[9] = aeration[11] = None  # one of the two, at the same cost
answer = {
    "tool": f"linopy {linopy.__version__}",
    "objective_eur": round(float(m.objective.value), 8),
    "nodes": {"plant": rounded(bought.solution)},
    "assets": {
        "aeration": {"on": aeration},
        "lift": {"on": rounded(lifting.solution)},
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
