"""A battery and a roof on a Sunday with prices below zero, in oemof.solph 0.6.5 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install oemof.solph==0.6.5 highspy==1.15.1
peer/bin/python reference.py writes expected.json
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
steps = len(series)
grid, roof, bat = site["node"]["grid"], site["asset"]["roof"], site["asset"]["bat"]

index = solph.create_time_index(start=series.index[0], interval=site["horizon"]["step_min"] / 60, number=steps)
system = solph.EnergySystem(timeindex=index, infer_last_interval=False)
bus = buses.Bus("bus")
buy = components.Source(
    "buy",
    outputs={bus: flows.Flow(nominal_capacity=grid["import_max_kw"], variable_costs=series.buy_eur_per_kwh)},
)
sell = components.Sink(
    "sell",
    inputs={bus: flows.Flow(nominal_capacity=grid["export_max_kw"], variable_costs=-series.sell_eur_per_kwh)},
)
home = components.Sink("home", inputs={bus: flows.Flow(nominal_capacity=1, fix=series.load_kw)})
sun = components.Source("sun", outputs={bus: flows.Flow(nominal_capacity=roof["peak_kw"], maximum=series.sun)})
store = components.GenericStorage(
    "store",
    inputs={bus: flows.Flow(nominal_capacity=bat["power_kw"])},
    outputs={bus: flows.Flow(nominal_capacity=bat["power_kw"], variable_costs=bat["wear_eur_per_kwh"])},
    nominal_capacity=bat["capacity_kwh"],
    initial_storage_level=bat["soc_start"],
    balanced=False,
    min_storage_level=[bat["soc_min"]] * steps + [bat["soc_start"]],
    max_storage_level=bat["soc_max"],
    loss_rate=bat["loss_per_h"],
    inflow_conversion_factor=bat["efficiency_in"],
    outflow_conversion_factor=bat["efficiency_out"],
)
system.add(bus, buy, sell, home, sun, store)
model = solph.Model(system)
model.solve(solver="highs")
found = solph.Results(model)


def power(source: object, target: object) -> list[float]:
    """Flow between two nodes [kW]."""
    return [round(float(v), 6) + 0.0 for v in found["flow"][(source, target)]][:steps]


charge, discharge = power(bus, store), power(store, bus)
imported, exported = power(buy, bus), power(bus, sell)
assert max(map(min, charge, discharge)) < 1e-6, "charges and discharges at once: the linear model does not hold"
assert max(map(min, imported, exported)) < 1e-6, "imports and exports at once: the linear model does not hold"
answer = {
    "tool": f"oemof.solph {solph.__version__}",
    "objective_eur": round(model.objective(), 8),
    "nodes": {"grid": [round(i - e, 6) for i, e in zip(imported, exported, strict=True)]},
    "assets": {
        "bat": {
            "charge_kw": charge,
            "discharge_kw": discharge,
            "soc_kwh": [round(float(v), 6) + 0.0 for v in found["storage_content"][store]][1:],
        },
        "roof": {"generation_kw": power(sun, bus)},
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
