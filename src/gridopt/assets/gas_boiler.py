from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridopt.assets.base import Parameter, Port, Prepared, SemiContinuous
from gridopt.assets.converter import Converter
from gridopt.clock import Axis


class GasBoiler(Converter):
    """Gas boiler, rated by its heat output as on its plate: a Converter from gas to heat.

    sink[t]  = efficiency[t] * input[t]                                                                      (1)
    input[t] = 0  or  power_min / efficiency[t] <= input[t] <= power / efficiency[t]                         (2)

    Ports        source (gas or hydrogen, ``gas_node``): input;  sink (heat, ``heat_node``): - efficiency * input [kW]
    Variables    input_kw[T] >= 0
    Decisions    large: off, or at least the minimum power, per step
    Assumes      efficiency does not depend on power; gas energy and efficiency refer to the same heating value
    Cases        tests/unit/assets/test_converter.py (by hand)
    """

    name = "gas-boiler"
    ports = (Port("source", ("gas", "hydrogen"), "gas_node"), Port("sink", ("heat",), "heat_node"))
    parameters = (
        Parameter("power_kw", "largest heat output", minimum=0),
        Parameter("power_min_kw", "smallest heat output when it runs", 0.0, minimum=0),
        Parameter("efficiency", "heat per gas", 0.92, kind="series", minimum=0.1, maximum=1.1),
        Parameter("cost_eur_per_kwh", "cost of use per kWh of gas, besides the gas itself", 0.0),
    )
    decisions = (SemiContinuous("input_kw", "input_min_kw", large=True),)

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        columns = {p.name: user[p.name] for p in cls.parameters}
        efficiency = user["efficiency"]
        return Prepared(
            columns
            | {
                "input_max_kw": user["power_kw"][:, None] / efficiency,
                "input_min_kw": user["power_min_kw"][:, None] / efficiency,
            }
        )
