from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from pyomo.environ import Expression

from gridopt.assets.base import Floats, Parameter, Port, State, Values
from gridopt.assets.battery import END_RULES
from gridopt.assets.thermal_store import ThermalStore


class HydrogenStore(ThermalStore):
    """Buffer of hydrogen at the pressure of its node: a ThermalStore on another carrier, without standing loss.

    level[t] = keep * level[t-1] + step_h * charge[t],   -power <= charge[t] <= power                        (1)

    The rest as in ThermalStore, (2) to (5) there.

    Ports        hydrogen (hydrogen): charge                                                                  [kW]
    Variables    charge_kw[T]; level_kwh[T] at the end of the step; end_short_kwh; outside_kwh[T] only when the
                 store, left alone, lies outside its band at some step
    Decisions    none
    Assumes      energy is of the lower heating value: 1 kg is 33.3 kWh. No compressor: one that draws electricity is
                 a load beside it
    Cases        tests/unit/assets/test_hydrogen.py (by hand)
    """

    name = "hydrogen-store"
    ports = (Port("hydrogen", ("hydrogen",)),)
    parameters = (
        Parameter("capacity_kwh", "hydrogen when full, lower heating value (1 kg = 33.3 kWh)", minimum=0),
        Parameter("power_kw", "largest charge and discharge power", minimum=0),
        Parameter("loss_per_h", "share of the content lost per hour", 0.0, minimum=0, maximum=0.5),
        Parameter("level_min", "lower edge of the band, share of capacity", 0.0, minimum=0, maximum=1),
        Parameter("level_max", "upper edge of the band, share of capacity", 1.0, minimum=0, maximum=1),
        Parameter("level_start", "content at the start, share of capacity", 0.5, minimum=0, maximum=1.2),
        Parameter("end", "what the content must be at the end", "start", kind="choice", choices=END_RULES),
        Parameter("level_end", "with end = target: content at the end, share of capacity", 0.5, minimum=0, maximum=1),
        Parameter("end_value_eur_per_kwh", "with end = value: worth of a kWh left in store", 0.0),
        Parameter("recovery_eur_per_kwh_per_h", "price of lying outside the band", 0.2, minimum=0),
    )

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        ThermalStore.block(b, option)
        b.del_component(b.heat_kw)
        b.hydrogen_kw = Expression(b.T, rule=lambda b, t: b.charge_kw[t])

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        after, flows = super().step(p, state, command)
        flows["hydrogen_kw"] = flows.pop("heat_kw")
        return after, flows

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """A vessel on the line: it takes the hydrogen left over and gives what lacks."""
        return super().rule(p, state, {"heat": surplus["hydrogen"]})
