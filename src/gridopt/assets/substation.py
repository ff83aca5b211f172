from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gridopt.assets.base import Column, Floats, Parameter, Port, Prepared, Values
from gridopt.assets.converter import Converter
from gridopt.clock import Axis

WATER_KWH_PER_M3_K = 1.163
"""Heat capacity of water by volume; of heating water of 50 to 90 °C it is 2 % less."""


class Substation(Converter):
    """Substation of a district-heating network: an exchanger from its pipes to those of a building or a branch.

    sink[t]   = efficiency[t] * input[t],   0 <= input[t] <= input_max[t]                                        (1)
    supply[t] = supply_warm + (supply_cold - supply_warm) * share[t]                                         (2)
    share[t]  = clip((outdoor_warm - outdoor[t]) / (outdoor_warm - outdoor_cold), 0, 1)                      (3)
    input_max[t] = min(power / efficiency[t], 1.163 * flow_max * max(supply[t] - return[t], 0))                 (4)

    The network sends hotter water the colder it is outside (2), (3); the flow that the pump and the valve let through
    then carries more heat (4): in the mild season the flow is the limit, at frost the exchanger.

    Ports        source (heat, ``network_node``): input;  sink (heat, ``node``): - efficiency * input           [kW]
    Variables    input_kw[T] >= 0
    Decisions    none
    Assumes      the return temperature is given, not a result: a cool return (below 55 °C) is a matter of the building;
                 losses are a share of what passes; supply temperatures change slowly against a step
    Source       (2), (3): the usual sliding supply temperature, straight between two points; (4): heat carried by a
                 flow of water, 1.163 kWh per m³ and kelvin
    Cases        tests/unit/assets/test_substation.py (by hand), tests/cases/golden/substation-mild-morning (by hand),
                 tests/cases/golden/heat-merit-order (other tool, script beside it)
    """

    name = "substation"
    ports = (Port("source", ("heat",), "network_node"), Port("sink", ("heat",)))
    parameters = (
        Parameter("power_kw", "largest heat output of the exchanger", minimum=0),
        Parameter(
            "flow_max_m3_per_h", "largest flow of the network's water; absent: no limit", minimum=0, optional=True
        ),
        Parameter("outdoor_c", "outdoor temperature", 0.0, kind="series"),
        Parameter("outdoor_cold_c", "outdoor temperature at and below which the supply is hottest", -9.0),
        Parameter("outdoor_warm_c", "outdoor temperature at and above which the supply is coolest", 15.0),
        Parameter("supply_cold_c", "supply temperature in the cold", 95.0, minimum=0, maximum=200),
        Parameter("supply_warm_c", "supply temperature in the warm", 70.0, minimum=0, maximum=200),
        Parameter("return_c", "temperature of the water that goes back", 50.0, kind="series", minimum=0),
        Parameter("efficiency", "heat out per heat in", 0.98, kind="series", minimum=0.1, maximum=1),
        Parameter("cost_eur_per_kwh", "cost of use per kWh taken, besides the heat itself", 0.0),
    )
    ordered = (("outdoor_cold_c", "outdoor_warm_c"),)
    computed = (
        Column("input_max_kw", "largest heat taken", series=True),
        Column("input_min_kw", "0: it runs at any power", series=True),
        Column("drop_k", "by how much the network's water cools", series=True),
    )
    decisions = ()
    order = 1

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters}
        drop = np.maximum(supply_c(user) - c["return_c"], 0.0)
        flow = np.where(np.isnan(c["flow_max_m3_per_h"]), np.inf, c["flow_max_m3_per_h"])[:, None]
        with np.errstate(invalid="ignore"):
            carried = np.where(drop > 0, WATER_KWH_PER_M3_K * flow * drop, 0.0)
        c |= {
            "input_max_kw": np.minimum(carried, c["power_kw"][:, None] / c["efficiency"]),
            "input_min_kw": np.zeros_like(drop),
            "drop_k": drop,
        }
        notes = [
            (int(k), "its return is not cooler than its supply at some steps: no heat passes there")
            for k in np.flatnonzero((drop <= 0).any(1))
        ]
        return Prepared(c, notes=notes)

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        taken = trace["source_kw"]
        water = np.divide(taken, WATER_KWH_PER_M3_K * p.drop_k, out=np.zeros_like(taken), where=p.drop_k > 0)
        return {**super().kpis(p, trace, step_h), "water_m3": water.sum(1) * step_h}


def supply_c(user: Mapping[str, Any]) -> Floats:
    """(n, T) supply temperature, (2) and (3)."""
    cold, warm = user["outdoor_cold_c"][:, None], user["outdoor_warm_c"][:, None]
    share = np.clip((warm - user["outdoor_c"]) / np.maximum(warm - cold, 1e-6), 0.0, 1.0)
    coolest, hottest = user["supply_warm_c"][:, None], user["supply_cold_c"][:, None]
    return np.asarray(coolest + (hottest - coolest) * share)
