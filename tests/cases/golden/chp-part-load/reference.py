"""An engine with part-load efficiencies that has just started, in oemof.solph 0.6.5 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install oemof.solph==0.6.5 highspy==1.15.1
peer/bin/python reference.py writes expected.json

The engine is an OffsetConverter led by its electricity: fuel and heat are straight lines through their values at
minimum and at full load. It has been running for no time yet, so solph holds it on for its minimum time.
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
engine, boiler, tank = assets["engine"], assets["boiler"], assets["store"]
steps, step_h = len(series), site["horizon"]["step_min"] / 60


def line(at_full: float, at_least: float) -> tuple[float, float]:
    """Slope and intercept per kW of full load, from the values at full and at minimum load, per kW of full load."""
    share = engine["power_min_kw"] / engine["power_max_kw"]
    slope = (at_full - at_least) / (1 - share)
    return slope, at_full - slope


share = engine["power_min_kw"] / engine["power_max_kw"]
fuel_full, fuel_least = 1 / engine["electric_efficiency"], share / engine["electric_efficiency_min"]
fuel = line(fuel_full, fuel_least)
heat = line(engine["thermal_efficiency"] * fuel_full, engine["thermal_efficiency_min"] * fuel_least)

index = solph.create_time_index(start=series.index[0], interval=step_h, number=steps)
system = solph.EnergySystem(timeindex=index, infer_last_interval=False)
grid, warm, gas = buses.Bus("grid"), buses.Bus("warm"), buses.Bus("gas")
buy = components.Source(
    "buy",
    outputs={grid: flows.Flow(nominal_capacity=nodes["grid"]["import_max_kw"], variable_costs=series.buy_eur_per_kwh)},
)
sell = components.Sink(
    "sell",
    inputs={
        grid: flows.Flow(
            nominal_capacity=nodes["grid"]["export_max_kw"], variable_costs=-terms["power"]["sell_eur_per_kwh"]
        )
    },
)
supply = components.Source(
    "supply",
    outputs={
        gas: flows.Flow(nominal_capacity=nodes["gas"]["import_max_kw"], variable_costs=terms["fuel"]["buy_eur_per_kwh"])
    },
)
shops = components.Sink("shops", inputs={grid: flows.Flow(nominal_capacity=1, fix=series.power_kw)})
homes = components.Sink("homes", inputs={warm: flows.Flow(nominal_capacity=1, fix=series.heat_kw)})
motor = components.OffsetConverter(
    label="motor",
    inputs={gas: flows.Flow()},
    outputs={
        grid: flows.Flow(
            nominal_capacity=engine["power_max_kw"],
            minimum=share,
            variable_costs=engine["maintenance_eur_per_kwh"],
            nonconvex=solph.NonConvex(
                startup_costs=engine["start_cost_eur"],
                minimum_uptime=round(engine["min_up_h"] / step_h),
                minimum_downtime=round(engine["min_down_h"] / step_h),
                initial_status=int(engine["on_start"]),
            ),
        ),
        warm: flows.Flow(),
    },
    conversion_factors={gas: fuel[0], warm: heat[0]},
    normed_offsets={gas: fuel[1], warm: heat[1]},
)
burner = components.Converter(
    "burner",
    inputs={gas: flows.Flow()},
    outputs={
        warm: flows.Flow(
            nominal_capacity=boiler["power_kw"],
            minimum=boiler["power_min_kw"] / boiler["power_kw"],
            nonconvex=solph.NonConvex(),
        )
    },
    conversion_factors={warm: boiler["efficiency"]},
)
store = components.GenericStorage(
    "store",
    inputs={warm: flows.Flow(nominal_capacity=tank["power_kw"])},
    outputs={warm: flows.Flow(nominal_capacity=tank["power_kw"])},
    nominal_capacity=tank["capacity_kwh"],
    initial_storage_level=tank["level_start"],
    balanced=False,
    min_storage_level=[tank["level_min"]] * steps + [tank["level_end"]],
    max_storage_level=tank["level_max"],
    loss_rate=tank["loss_per_h"],
)
system.add(grid, warm, gas, buy, sell, supply, shops, homes, motor, burner, store)
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
        "engine": {"on": [float(p > 1e-6) for p in power(motor, grid)], "power_kw": power(motor, grid)},
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
