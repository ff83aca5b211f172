"""Rooms, flats and a cold store on one feeder on a cold evening, in linopy 0.10.1 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install linopy==0.10.1 highspy==1.15.1
peer/bin/python reference.py writes expected.json

Zones: C dT/dt = (outside - T) / R + heat, solved exactly over a step. The flats are cut in cohorts: one variable is the
share of them whose cut begins in a step, and each cohort's cut, rest and rebound is followed by itself. The compressor
has one binary for running and one for starting and for stopping.
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
series = pd.read_csv(HERE / "series.csv").rename_axis("t")
rooms, flats, store = (site["asset"][name] for name in ("classes", "flats", "store"))
h = site["horizon"]["step_min"] / 60
steps = len(series)
T = pd.RangeIndex(steps, name="t")

m = linopy.Model()
net = m.add_variables(0, site["node"]["feeder"]["import_max_kw"], coords=[T], name="net")
cost = h * (net * series.buy_eur_per_kwh).sum()


def zone(
    name: str, part: dict, heat: object, outside: list[float], losses: list[float], low: list, high: list
) -> tuple:
    """Temperatures, and the kelvins below and above the band."""
    R, C = part["resistance_k_per_kw"], part["capacity_kwh_per_k"]
    inside = m.add_variables(coords=[T], name=f"inside {name}")
    under = m.add_variables(0, coords=[T], name=f"under {name}")
    over = m.add_variables(0, coords=[T], name=f"over {name}")
    for t in range(steps):
        r = R / losses[t]
        keep = math.exp(-h / (r * C))
        now = inside.sel(t=t) - (1 - keep) * r * heat.sel(t=t)
        rest = (1 - keep) * outside[t]
        if t == 0:
            m.add_constraints(now == rest + keep * part["temperature_start_c"])
        else:
            m.add_constraints(now - keep * inside.sel(t=t - 1) == rest)
        if low[t] is not None:
            m.add_constraints(inside.sel(t=t) + under.sel(t=t) >= low[t])
        if high[t] is not None:
            m.add_constraints(inside.sel(t=t) - over.sel(t=t) <= high[t])
    return inside, under, over


# Rooms: warm at the end of every booked step, and of the one before the first of them.
booked, opened = list(series.booked > 0), list(series.window_open > 0)
low, high, losses, most = [], [], [], []
for t in range(steps):
    coming = t + 1 < steps and booked[t + 1]
    whose = t if booked[t] else t + 1
    asked = 19 + max(min(float(series.wish_k.iloc[min(whose, steps - 1)]), 2), -2)
    low.append(None if opened[t] else asked if booked[t] or coming else 16)
    high.append(26 if booked[t] and not opened[t] else None)
    losses.append(rooms["open_loss"] if opened[t] else 1)
    most.append(0 if opened[t] else rooms["power_kw"])
heating = m.add_variables(0, pd.Series(most, index=T), coords=[T], name="heating")
warm, under, over = zone("rooms", rooms, heating + series.sun_kw, list(series.outdoor_c), losses, low, high)
lasting = rooms["resistance_k_per_kw"] * rooms["capacity_kwh_per_k"]
missing = h * (under + over).sum() + lasting * under.sel(t=steps - 1)
cost = cost + rooms["discomfort_eur_per_kh"] * missing

# Flats: cohort s is cut for cut_steps and gives back in the steps after.
cut_steps, rest_steps, back = (round(flats[key] / h) for key in ("cut_h", "rest_h", "rebound_h"))
part = series.flats_kw * (flats["flats"] - flats["opted_out"]) / flats["flats"]
share = {s: m.add_variables(0, 1, name=f"share {s}") for s in range(steps - cut_steps + 1)}
cut, rebound = [0] * steps, [0] * steps
for s, part_of in share.items():
    energy = sum(float(part[t]) for t in range(s, s + cut_steps))  # in kW and steps
    for t in range(s, s + cut_steps):
        cut[t] = cut[t] + float(part[t]) * part_of
    for t in range(s + cut_steps, s + cut_steps + back):
        kw = flats["rebound_share"] * energy / back * part_of
        if t < steps:
            rebound[t] = rebound[t] + kw
        else:
            cost = cost + h * flats["owed_eur_per_kwh"] * kw
    busy = [share[k] for k in range(max(s - cut_steps - rest_steps + 1, 0), s + 1)]
    m.add_constraints(sum(1 * x for x in busy) <= 1)
keep = math.exp(-h / flats["time_constant_h"])
capacity = flats["capacity_kwh_per_k"] * (flats["flats"] - flats["opted_out"])
drop = m.add_variables(coords=[T], name="drop")
drawn = []
for t in range(steps):
    change = cut[t] - rebound[t]
    before = keep * flats["drop_start_k"] if t == 0 else keep * drop.sel(t=t - 1)
    if t == 0:
        m.add_constraints(drop.sel(t=0) - (h / capacity) * change == before)
    else:
        m.add_constraints(drop.sel(t=t) - before - (h / capacity) * change == 0)
    m.add_constraints(drop.sel(t=t) <= flats["indoor_c"] - flats["comfort_min_c"])
    m.add_constraints(cut[t] <= flats["cut_max_kw"])
    drawn.append(change)

# Cold store.
eer = (store["eer_nominal"] - store["eer_slope_per_k"] * (series.outdoor_c - 35)).clip(1, 8)
on = m.add_variables(binary=True, coords=[T], name="on")
starts = m.add_variables(binary=True, coords=[T], name="starts")
stops = m.add_variables(binary=True, coords=[T], name="stops")
power = m.add_variables(0, store["power_kw"], coords=[T], name="compressor")
m.add_constraints(power <= store["power_kw"] * on)
m.add_constraints(power >= store["part_load"] * store["power_kw"] * on)
up, down = round(store["min_up_h"] / h), round(store["min_down_h"] / h)
for t in range(steps):
    change = on.sel(t=t) - starts.sel(t=t) + stops.sel(t=t)
    m.add_constraints(change - (on.sel(t=t - 1) if t else 0 * on.sel(t=0)) == 0)
    m.add_constraints(starts.sel(t=t) + stops.sel(t=t) <= 1)
    for later in range(t, min(t + up, steps)):
        m.add_constraints(on.sel(t=later) >= starts.sel(t=t))
    for later in range(t, min(t + down, steps)):
        m.add_constraints(on.sel(t=later) + stops.sel(t=t) <= 1)
goods, frozen, warm_goods = zone(
    "store", store, series.doors_kw - eer * power, [store["ambient_c"]] * steps, [1] * steps,
    [store["temperature_min_c"]] * steps, [store["temperature_max_c"]] * steps,
)  # fmt: skip
lasting = store["resistance_k_per_kw"] * store["capacity_kwh_per_k"]
missing = h * (frozen + warm_goods).sum() + lasting * warm_goods.sel(t=steps - 1)
cost = cost + store["discomfort_eur_per_kh"] * missing + store["start_cost_eur"] * starts.sum()

for t in range(steps):
    used = heating.sel(t=t) + power.sel(t=t) - drawn[t]
    m.add_constraints(net.sel(t=t) - used == float(series.load_kw[t] + series.flats_kw[t]))
m.add_objective(cost)
status = m.solve("highs", mip_rel_gap=1e-9)
assert status == ("ok", "optimal"), status


def rounded(values: object) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values]


answer = {
    "tool": f"linopy {linopy.__version__}",
    "objective_eur": round(float(m.objective.value), 8),
    "nodes": {"feeder": rounded(net.solution)},
    "assets": {
        "classes": {"heating_kw": rounded(heating.solution), "temperature_c": rounded(warm.solution)},
        "flats": {"drop_k": rounded(drop.solution)},
        "store": {"compressor_kw": rounded(power.solution), "temperature_c": rounded(goods.solution)},
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
