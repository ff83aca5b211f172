"""A shop with a battery shaves the peak over the end of a month, in oemof.solph 0.6.5 with HiGHS (highspy 1.15.1).

python -m venv peer && peer/bin/pip install oemof.solph==0.6.5 highspy==1.15.1
peer/bin/python reference.py writes expected.json

A peak is an Investment: the connection is bought at the price of the peak, and the peak so far exists already. Each
month has a connection of its own, open in its own steps only; the new month begins with nothing.
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
line, peak, bat = site["node"]["grid"], site["commitment"]["peak"], site["asset"]["bat"]
steps = len(series)

index = solph.create_time_index(start=series.index[0], interval=site["horizon"]["step_min"] / 60, number=steps)
system = solph.EnergySystem(timeindex=index, infer_last_interval=False)
bus = buses.Bus("bus")
connection = {}
for month, so_far in ((1, peak["so_far_kw"]), (2, 0)):
    connection[month] = components.Source(
        f"connection {month}",
        outputs={
            bus: flows.Flow(
                nominal_capacity=solph.Investment(
                    ep_costs=peak["price_eur_per_kw"], existing=so_far, maximum=line["import_max_kw"] - so_far
                ),
                maximum=[float(t.month == month) for t in series.index],
                variable_costs=series.buy_eur_per_kwh,
            )
        },
    )
shop = components.Sink("shop", inputs={bus: flows.Flow(nominal_capacity=1, fix=series.load_kw)})
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
system.add(bus, *connection.values(), shop, store)
model = solph.Model(system)
model.solve(solver="highs")
found = solph.Results(model)


def power(source: object, target: object) -> list[float]:
    """Flow between two nodes [kW]."""
    return [round(float(v), 6) + 0.0 for v in found["flow"][(source, target)]][:steps]


charge, discharge = power(bus, store), power(store, bus)
assert max(map(min, charge, discharge)) < 1e-6, "charges and discharges at once: the linear model does not hold"
january, february = power(connection[1], bus), power(connection[2], bus)
answer = {
    "tool": f"oemof.solph {solph.__version__}",
    "objective_eur": round(model.objective(), 8),
    "nodes": {"grid": [round(a + b, 6) for a, b in zip(january, february, strict=True)]},
    "assets": {
        "bat": {
            "charge_kw": charge,
            "discharge_kw": discharge,
            "soc_kwh": [round(float(v), 6) + 0.0 for v in found["storage_content"][store]][1:],
        }
    },
}
text = re.sub(r"\n *(?=[-\d\]]|null)", " ", json.dumps(answer, indent=1))  # a row of numbers on one line
(HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
