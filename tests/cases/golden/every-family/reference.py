"""One building with a device of every family, in linopy 0.10.1 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install linopy==0.10.1 highspy==1.15.1
peer/bin/python reference.py writes expected.json

All decisions at once in one mixed-integer programme. Minimum times are written out: from a start on, each of the next
hours is on; from a stop on, each is off. Hours are steps here, so powers are energies.
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
node, asset, term = site["node"], site["asset"], site["commitment"]
T = pd.RangeIndex(len(series), name="t")
LAST = T[-1]
m = linopy.Model()


def variable(name: str, lower: float = 0.0, upper: float | pd.Series = math.inf) -> linopy.Variable:
    return m.add_variables(lower, upper, coords=[T], name=name)


def switch(name: str) -> linopy.Variable:
    return m.add_variables(binary=True, coords=[T], name=name)


def hour(clock: str) -> int:
    return int(clock.split(":")[0])


def stored(
    name: str, keep: float, start: float, goal: float, low: float, high: float, into: linopy.LinearExpression
) -> linopy.Variable:
    """Content at the end of each hour: what is kept of the hour before, plus what goes in; at least ``goal`` last."""
    least = pd.Series(low, T, dtype=float)
    least[LAST] = max(goal, low)
    content = m.add_variables(least, high, name=name)
    m.add_constraints(content.sel(t=0) - into.sel(t=0) == keep * start)
    for t in T[1:]:
        m.add_constraints(content.sel(t=t) - keep * content.sel(t=t - 1) - into.sel(t=t) == 0)
    return content


# What flows over the boundaries; the reserve is kept free under both limits.
building = node["building"]
bought = variable("bought", 0, building["import_max_kw"] - building["reserve_kw"])
sold = variable("sold", 0, building["export_max_kw"] - building["reserve_kw"])
fuel = variable("fuel", 0, node["gas"]["import_max_kw"])
above_peak = m.add_variables(0, name="above peak")
m.add_constraints(bought - sold - above_peak <= term["peak"]["so_far_kw"])
call = term["call"]
window = range(hour(call["from"]), hour(call["to"]))
missing, delivered = m.add_variables(0, name="missing"), m.add_variables(0, name="delivered")
m.add_constraints(
    sum(bought.sel(t=t) - sold.sel(t=t) for t in window) - missing + delivered == len(window) * call["baseline_kw"]
)
price = series.buy_eur_per_kwh + term["carbon"]["price_eur_per_t"] * 1e-6 * series.intensity_g_per_kwh
cost = (bought * price - term["power"]["sell_eur_per_kwh"] * sold + term["fuel"]["buy_eur_per_kwh"] * fuel).sum()
cost = cost + term["peak"]["price_eur_per_kw"] * above_peak
cost = cost + call["penalty_eur_per_kwh"] * missing - call["reward_eur_per_kwh"] * delivered

sun = variable("sun", 0, asset["roof"]["peak_kw"] * series.sun)

bat = asset["bat"]
charge, discharge = variable("charge", 0, bat["power_kw"]), variable("discharge", 0, bat["power_kw"])
soc = stored(
    "soc",
    1 - bat["loss_per_h"],
    bat["soc_start"] * bat["capacity_kwh"],
    bat["soc_start"] * bat["capacity_kwh"],
    bat["soc_min"] * bat["capacity_kwh"],
    bat["soc_max"] * bat["capacity_kwh"],
    bat["efficiency_in"] * charge - discharge / bat["efficiency_out"],
)
cost = cost + bat["wear_eur_per_kwh"] * discharge.sum()

car = asset["car"]
plugged = pd.Series([float(hour(car["arrive"]) <= t < hour(car["depart"])) for t in T], T)
driving, charging = variable("car", 0, car["power_kw"]), switch("charging")
m.add_constraints(driving <= car["power_kw"] * plugged * charging)
m.add_constraints(driving >= car["phases"] * 0.23 * car["current_min_a"] * charging)
short = m.add_variables(0, name="short")
m.add_constraints(car["efficiency"] * driving.sum() + short >= car["energy_kwh"])
m.add_constraints(car["efficiency"] * driving.sum() + short <= car["energy_kwh"])
cost = cost + car["shortfall_eur_per_kwh"] * short

laundry = asset["laundry"]
profile = laundry["profile_kw"]
may = [float(hour(laundry["earliest"]) <= t and t + len(profile) <= hour(laundry["latest"])) for t in T]
begins = switch("begins")
m.add_constraints(begins <= pd.Series(may, T))
m.add_constraints(begins.sum() == 1)

loft = asset["loft"]
R, C = loft["resistance_k_per_kw"], loft["capacity_kwh_per_k"]
keep = math.exp(-1 / (R * C))
cop = (loft["cop_nominal"] + loft["cop_slope_per_k"] * (series.outdoor_c - 7)).clip(1.5, 6)
heating, heats = variable("heating", 0, loft["power_kw"]), switch("heats")
m.add_constraints(heating <= loft["power_kw"] * heats)
m.add_constraints(heating >= loft["power_min_kw"] * heats)
steady = series.outdoor_c + R * (cop * heating + series.gain_kw)
inside = variable("inside", -math.inf)
m.add_constraints(inside.sel(t=0) - (1 - keep) * steady.sel(t=0) == keep * loft["temperature_start_c"])
for t in T[1:]:
    m.add_constraints(inside.sel(t=t) - keep * inside.sel(t=t - 1) - (1 - keep) * steady.sel(t=t) == 0)
under, over = variable("under"), variable("over")
m.add_constraints(inside + under >= series.comfort_min_c)
m.add_constraints(inside - over <= loft["comfort_max_c"])
cost = cost + loft["discomfort_eur_per_kh"] * ((under + over).sum() + R * C * under.sel(t=LAST))

tank = asset["tank"]
cop = (tank["cop_nominal"] + tank["cop_slope_per_k"] * (series.outdoor_c - 7)).clip(1.5, 6)
boiling, boils = variable("boiling", 0, tank["power_kw"]), switch("boils")
m.add_constraints(boiling <= tank["power_kw"] * boils)
m.add_constraints(boiling >= tank["power_min_kw"] * boils)
backup = variable("backup", 0, series.tap_kw)
hot = stored(
    "hot",
    1 - tank["loss_per_h"],
    tank["level_start"] * tank["capacity_kwh"],
    tank["level_start"] * tank["capacity_kwh"],
    0.0,
    tank["capacity_kwh"],
    cop * boiling + backup - series.tap_kw,
)
cost = cost + tank["backup_eur_per_kwh"] * backup.sum()

engine = asset["engine"]
most, least = engine["power_max_kw"], engine["power_min_kw"]
fuel_most, fuel_least = most / engine["electric_efficiency"], least / engine["electric_efficiency_min"]
heat_most = engine["thermal_efficiency"] * fuel_most
heat_least = engine["thermal_efficiency_min"] * fuel_least
on, starts = switch("on"), variable("starts", 0, 1)
made = variable("made", 0, most)
dumped = variable("dumped")
m.add_constraints(made <= most * on)
m.add_constraints(made >= least * on)
# Along the line between minimum and full load.
burnt = fuel_least * on + (fuel_most - fuel_least) / (most - least) * (made - least * on)
warmth = heat_least * on + (heat_most - heat_least) / (most - least) * (made - least * on)
m.add_constraints(dumped - warmth <= 0)
for t in T:
    before = on.sel(t=t - 1) if t else 0 * on.sel(t=0)
    m.add_constraints(starts.sel(t=t) - on.sel(t=t) + before >= 0)
    for later in range(t + 1, min(t + int(engine["min_up_h"]), LAST + 1)):
        m.add_constraints(on.sel(t=later) - on.sel(t=t) + before >= 0)
    for later in range(t + 1, min(t + int(engine["min_down_h"]), LAST + 1)):
        m.add_constraints(-1 * on.sel(t=later) - before + on.sel(t=t) >= -1)
cost = cost + engine["start_cost_eur"] * starts.sum() + engine["maintenance_eur_per_kwh"] * made.sum()

boiler = asset["boiler"]
flame, burns = variable("flame", 0, boiler["power_kw"]), switch("burns")  # heat out
m.add_constraints(flame <= boiler["power_kw"] * burns)
m.add_constraints(flame >= boiler["power_min_kw"] * burns)

heater = variable("heater", 0, asset["heater"]["power_kw"])

store = asset["store"]
filling = variable("filling", -store["power_kw"], store["power_kw"])
level = stored(
    "level",
    1 - store["loss_per_h"],
    store["level_start"] * store["capacity_kwh"],
    store["level_start"] * store["capacity_kwh"],
    store["level_min"] * store["capacity_kwh"],
    store["level_max"] * store["capacity_kwh"],
    1 * filling,
)

# Balances.
m.add_constraints(fuel - burnt - flame / boiler["efficiency"] == 0)
m.add_constraints(warmth - dumped + flame + asset["heater"]["efficiency"] * heater - filling == series.heat_kw)
for t in T:
    washing = sum(profile[k] * begins.sel(t=t - k) for k in range(min(len(profile), t + 1)))
    drawn = charge - discharge + driving + heating + boiling + heater - sun - made
    m.add_constraints(bought.sel(t=t) - sold.sel(t=t) - drawn.sel(t=t) - washing == float(series.load_kw[t]))
m.add_objective(cost)
status = m.solve("highs", mip_rel_gap=1e-9)
assert status == ("ok", "optimal"), status


def rounded(values: linopy.Variable) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values.solution]


for one, other in ((bought, sold), (charge, discharge)):
    both = [min(a, b) for a, b in zip(rounded(one), rounded(other), strict=True)]
    assert max(both) < 1e-6, "both ways at once: the linear model does not hold"
answer = {
    "tool": f"linopy {linopy.__version__}",
    "objective_eur": round(float(m.objective.value), 8),
    "nodes": {
        "building": [round(b - s, 6) for b, s in zip(rounded(bought), rounded(sold), strict=True)],
        "gas": rounded(fuel),
    },
    "assets": {
        "bat": {"charge_kw": rounded(charge), "discharge_kw": rounded(discharge), "soc_kwh": rounded(soc)},
        "car": {"charge_kw": rounded(driving)},
        "laundry": {"start": rounded(begins)},
        "loft": {"heat_pump_kw": rounded(heating), "temperature_c": rounded(inside)},
        "tank": {"heat_pump_kw": rounded(boiling), "level_kwh": rounded(hot)},
        "engine": {"on": rounded(on), "power_kw": rounded(made)},
        "heater": {"input_kw": rounded(heater)},
        "store": {"level_kwh": rounded(level)},
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
