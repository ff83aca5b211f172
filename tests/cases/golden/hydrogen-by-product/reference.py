"""By-product hydrogen for a pool: fuel cell, buffer, boiler and a negative price at noon.

oemof.solph 0.6.5 with HiGHS (highspy 1.15.1)

python -m venv peer && peer/bin/pip install oemof.solph==0.6.5 highspy==1.15.1
peer/bin/python reference.py writes expected.json

The fuel cell is an OffsetConverter with at most two start-ups; what is vented, and the heat left over, flow to sinks.
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
cell, tank, boiler = assets["cell"], assets["buffer"], assets["boiler"]
steps, step_h = len(series), site["horizon"]["step_min"] / 60
LEAST_SHARE, MOST_STARTS = 0.3, 2  # what a fuel cell has where nothing is said


def line(at_full: float, at_least: float) -> tuple[float, float]:
    """Slope and intercept per kW of full load, from the values at full and at minimum load, per kW of full load."""
    slope = (at_full - at_least) / (1 - LEAST_SHARE)
    return slope, at_full - slope


fuel_full, fuel_least = 1 / cell["electric_efficiency"], LEAST_SHARE / cell["electric_efficiency_min"]
fuel = line(fuel_full, fuel_least)
heat = line(cell["thermal_efficiency"] * fuel_full, cell["thermal_efficiency_min"] * fuel_least)

index = solph.create_time_index(start=series.index[0], interval=step_h, number=steps)
system = solph.EnergySystem(timeindex=index, infer_last_interval=False)
grid, warm, gas, hydrogen = (buses.Bus(name) for name in ("grid", "warm", "gas", "hydrogen"))
sell = components.Sink(
    "sell",
    inputs={
        grid: flows.Flow(nominal_capacity=nodes["grid"]["export_max_kw"], variable_costs=-series.price_eur_per_kwh)
    },
)
supply = components.Source("supply", outputs={gas: flows.Flow(variable_costs=terms["fuel"]["buy_eur_per_kwh"])})
plant = components.Source("plant", outputs={hydrogen: flows.Flow(nominal_capacity=1, fix=series.hydrogen_kw)})
vent = components.Sink("vent", inputs={hydrogen: flows.Flow(variable_costs=assets["plant"]["vent_eur_per_kwh"])})
cooler = components.Sink("cooler", inputs={warm: flows.Flow()})
pool = components.Sink("pool", inputs={warm: flows.Flow(nominal_capacity=1, fix=series.heat_kw)})
stack = components.OffsetConverter(
    label="stack",
    inputs={hydrogen: flows.Flow()},
    outputs={
        grid: flows.Flow(
            nominal_capacity=cell["power_max_kw"],
            minimum=LEAST_SHARE,
            variable_costs=cell["maintenance_eur_per_kwh"],
            nonconvex=solph.NonConvex(
                startup_costs=cell["start_cost_eur"],
                minimum_uptime=round(cell["min_up_h"] / step_h),
                maximum_startups=MOST_STARTS,
                initial_status=0,
            ),
        ),
        warm: flows.Flow(),
    },
    conversion_factors={hydrogen: fuel[0], warm: heat[0]},
    normed_offsets={hydrogen: fuel[1], warm: heat[1]},
)
burner = components.Converter(
    "burner",
    inputs={gas: flows.Flow()},
    outputs={warm: flows.Flow(nominal_capacity=boiler["power_kw"])},
    conversion_factors={warm: boiler["efficiency"]},
)
buffer = components.GenericStorage(
    "buffer",
    inputs={hydrogen: flows.Flow(nominal_capacity=tank["power_kw"])},
    outputs={hydrogen: flows.Flow(nominal_capacity=tank["power_kw"])},
    nominal_capacity=tank["capacity_kwh"],
    initial_storage_level=tank["level_start"],
    balanced=False,
    min_storage_level=[tank["level_min"]] * steps + [tank["level_start"]],
)
system.add(grid, warm, gas, hydrogen, sell, supply, plant, vent, cooler, pool, stack, burner, buffer)
model = solph.Model(system)
model.solve(solver="highs", cmdline_options={"mip_rel_gap": 1e-9})
found = solph.Results(model)


def power(source: object, target: object) -> list[float]:
    """Flow between two nodes [kW]."""
    return [round(float(v), 6) + 0.0 for v in found["flow"][(source, target)]][:steps]


made = power(stack, grid)
answer = {
    "tool": f"oemof.solph {solph.__version__}",
    "objective_eur": round(model.objective(), 8),
    "nodes": {"grid": [0.0 - p for p in power(grid, sell)], "gas": power(supply, gas)},
    "assets": {
        "cell": {"on": [float(p > 1e-6) for p in made], "power_kw": made},
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
