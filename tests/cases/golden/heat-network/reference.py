"""A small heat network: heat pump, electric heater, boiler, store and a thin branch.

oemof.solph 0.6.5 with HiGHS (highspy 1.15.1)

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
nodes, assets, terms = site["node"], site["asset"], site["commitment"]
steps = len(series)

index = solph.create_time_index(start=series.index[0], interval=site["horizon"]["step_min"] / 60, number=steps)
system = solph.EnergySystem(timeindex=index, infer_last_interval=False)
grid, gas, network, flats = (buses.Bus(name) for name in ("grid", "gas", "network", "flats"))
price = series.buy_eur_per_kwh + terms["carbon"]["price_eur_per_t"] * 1e-6 * series.intensity_g_per_kwh
buy = components.Source(
    "buy", outputs={grid: flows.Flow(nominal_capacity=nodes["grid"]["import_max_kw"], variable_costs=price)}
)
supply = components.Source("supply", outputs={gas: flows.Flow(variable_costs=terms["fuel"]["buy_eur_per_kwh"])})
pipe = components.Converter(
    "pipe",
    inputs={network: flows.Flow(nominal_capacity=nodes["flats"]["import_max_kw"])},
    outputs={flats: flows.Flow()},
)
school = components.Sink("school", inputs={network: flows.Flow(nominal_capacity=1, fix=series.school_kw)})
homes = components.Sink("homes", inputs={flats: flows.Flow(nominal_capacity=1, fix=series.flats_kw)})
pump = components.Converter(
    "pump",
    inputs={
        grid: flows.Flow(
            nominal_capacity=assets["pump"]["power_kw"],
            minimum=assets["pump"]["power_min_kw"] / assets["pump"]["power_kw"],
            variable_costs=assets["pump"]["cost_eur_per_kwh"],
            nonconvex=solph.NonConvex(),
        )
    },
    outputs={network: flows.Flow()},
    conversion_factors={network: series.cop},
)
heater = components.Converter(
    "heater",
    inputs={grid: flows.Flow(nominal_capacity=assets["heater"]["power_kw"])},
    outputs={flats: flows.Flow()},
    conversion_factors={flats: assets["heater"]["efficiency"]},
)
boiler = components.Converter(
    "boiler",
    inputs={gas: flows.Flow(variable_costs=assets["boiler"]["cost_eur_per_kwh"])},
    outputs={
        network: flows.Flow(
            nominal_capacity=assets["boiler"]["power_kw"],
            minimum=assets["boiler"]["power_min_kw"] / assets["boiler"]["power_kw"],
            nonconvex=solph.NonConvex(),
        )
    },
    conversion_factors={network: assets["boiler"]["efficiency"]},
)
tank = assets["store"]
store = components.GenericStorage(
    "store",
    inputs={network: flows.Flow(nominal_capacity=tank["power_kw"])},
    outputs={network: flows.Flow(nominal_capacity=tank["power_kw"])},
    nominal_capacity=tank["capacity_kwh"],
    initial_storage_level=tank["level_start"],
    balanced=False,
    min_storage_level=[tank["level_min"]] * steps + [tank["level_start"]],
    max_storage_level=tank["level_max"],
    loss_rate=tank["loss_per_h"],
)
system.add(grid, gas, network, flats, buy, supply, pipe, school, homes, pump, heater, boiler, store)
model = solph.Model(system)
model.solve(solver="highs", cmdline_options={"mip_rel_gap": 1e-9})
found = solph.Results(model)


def power(source: object, target: object) -> list[float]:
    """Flow between two nodes [kW]."""
    return [round(float(v), 6) + 0.0 for v in found["flow"][(source, target)]][:steps]


answer = {
    "tool": f"oemof.solph {solph.__version__}",
    "objective_eur": round(model.objective(), 8),
    "nodes": {"grid": power(buy, grid), "gas": power(supply, gas), "flats": power(network, pipe)},
    "assets": {
        "pump": {"input_kw": power(grid, pump)},
        "heater": {"input_kw": power(grid, heater)},
        "boiler": {"input_kw": power(gas, boiler)},
        "store": {"level_kwh": [round(float(v), 6) + 0.0 for v in found["storage_content"][store]][1:]},
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
