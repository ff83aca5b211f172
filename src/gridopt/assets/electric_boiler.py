from __future__ import annotations

from gridopt.assets.base import Parameter, Port
from gridopt.assets.gas_boiler import GasBoiler


class ElectricBoiler(GasBoiler):
    """Electric boiler on a heat network, rated by its heat output as on its plate: a Converter to heat.

    sink[t]  = efficiency[t] * input[t]                                                                      (1)
    input[t] = 0  or  power_min / efficiency[t] <= input[t] <= power / efficiency[t]                         (2)

    A boiler switched in equal stages has its first stage as least power; above it the last stage switched on and off
    gives any mean power of a step. An electrode boiler goes down to 5-10 % of its power.

    Ports        source (electricity, ``node``): input;  sink (heat, ``heat_node``): - efficiency * input     [kW]
    Variables    input_kw[T] >= 0
    Decisions    large: off, or at least the minimum power, per step
    Assumes      efficiency does not depend on power; within a step it reaches any power: resistance boilers do so at
                 once, electrode boilers within a few minutes from warm
    Source       the physics is the Converter's; efficiency 0.99: what a jacket and its pipes lose
    Cases        tests/unit/assets/test_converter.py (by hand), tests/cases/golden/electric-boiler-stage (by hand),
                 tests/cases/golden/heat-merit-order (other tool, script beside it)
    """

    name = "electric-boiler"
    ports = (Port("source", ("electricity",)), Port("sink", ("heat",), "heat_node"))
    parameters = (
        Parameter("power_kw", "largest heat output", minimum=0),
        Parameter("power_min_kw", "smallest heat output when it runs: its first stage", 0.0, minimum=0),
        Parameter("efficiency", "heat per electricity", 0.99, kind="series", minimum=0.1, maximum=1),
        Parameter("cost_eur_per_kwh", "cost of use per kWh of electricity, besides the electricity itself", 0.0),
    )
