"""Two hot-water tanks, one roof, one thin cable, in oemof.solph 0.6.5 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install oemof.solph==0.6.5 highspy==1.15.1
peer/bin/python reference.py writes expected.json

A heat bus a tank: heat pump and backup feed it, the draw-off takes from it, a storage hangs on it.
"""

import json
import re
import tomllib
from pathlib import Path

import pandas as pd
from oemof import solph
from oemof.solph import buses, components, flows

HERE = Path(__file__).parent
site = tomllib.loads((HERE / "scenario.toml").read_text(encoding="utf-8"))
series = pd.read_csv(HERE / "series.csv", index_col="time", parse_dates=True)
line, roof = site["node"]["grid"], site["asset"]["roof"]
tanks = {name: asset for name, asset in site["asset"].items() if asset["family"] == "hot-water-tank"}
steps = len(series)

index = solph.create_time_index(start=series.index[0], interval=site["horizon"]["step_min"] / 60, number=steps)
system = solph.EnergySystem(timeindex=index, infer_last_interval=False)
grid = buses.Bus("grid")
buy = components.Source(
    "buy",
    outputs={grid: flows.Flow(nominal_capacity=line["import_max_kw"], variable_costs=series.buy_eur_per_kwh)},
)
sell = components.Sink(
    "sell",
    inputs={
        grid: flows.Flow(
            nominal_capacity=line["export_max_kw"],
            variable_costs=-site["commitment"]["supply"]["sell_eur_per_kwh"],
        )
    },
)
homes = components.Sink("homes", inputs={grid: flows.Flow(nominal_capacity=1, fix=series.load_kw)})
sun = components.Source("sun", outputs={grid: flows.Flow(nominal_capacity=roof["peak_kw"], maximum=series.sun)})
system.add(grid, buy, sell, homes, sun)
warm, pump, backup, store = {}, {}, {}, {}
for name, tank in tanks.items():
    cop = (tank["cop_nominal"] + tank["cop_slope_per_k"] * (series.outdoor_c - 7)).clip(1.5, 6)
    last = tank["level_start"] if tank["end"] == "start" else tank["level_end"]
    warm[name] = buses.Bus(f"warm {name}")
    pump[name] = components.Converter(
        f"pump {name}",
        inputs={
            grid: flows.Flow(
                nominal_capacity=tank["power_kw"],
                minimum=tank["power_min_kw"] / tank["power_kw"],
                nonconvex=solph.NonConvex(),
            )
        },
        outputs={warm[name]: flows.Flow()},
        conversion_factors={warm[name]: cop},
    )
    draw = series[tank["demand_kw"]]
    backup[name] = components.Source(
        f"backup {name}",
        outputs={warm[name]: flows.Flow(nominal_capacity=1, maximum=draw, variable_costs=tank["backup_eur_per_kwh"])},
    )
    tap = components.Sink(f"tap {name}", inputs={warm[name]: flows.Flow(nominal_capacity=1, fix=draw)})
    store[name] = components.GenericStorage(
        f"store {name}",
        inputs={warm[name]: flows.Flow()},
        outputs={warm[name]: flows.Flow()},
        nominal_capacity=tank["capacity_kwh"],
        initial_storage_level=tank["level_start"],
        balanced=False,
        min_storage_level=[0.0] * steps + [last],
        loss_rate=tank["loss_per_h"],
    )
    system.add(warm[name], pump[name], backup[name], tap, store[name])
model = solph.Model(system)
model.solve(solver="highs", cmdline_options={"mip_rel_gap": 1e-9})
found = solph.Results(model)


def power(source: object, target: object) -> list[float]:
    """Flow between two nodes [kW]."""
    return [round(float(v), 6) + 0.0 for v in found["flow"][(source, target)]][:steps]


imported, exported = power(buy, grid), power(grid, sell)
assert max(map(min, imported, exported)) < 1e-6, "imports and exports at once: the linear prices do not hold"
answer = {
    "tool": f"oemof.solph {solph.__version__}",
    "objective_eur": round(model.objective(), 8),
    "nodes": {"grid": [round(i - e, 6) for i, e in zip(imported, exported, strict=True)]},
    "assets": {
        name: {
            "heat_pump_kw": power(grid, pump[name]),
            "backup_kw": power(backup[name], warm[name]),
            "level_kwh": [round(float(v), 6) + 0.0 for v in found["storage_content"][store[name]]][1:],
        }
        for name in tanks
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
