from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from pyomo.environ import Constraint, Expression, Var, inequality

from gridopt.assets.base import (
    Column,
    Cost,
    Family,
    Floats,
    Ints,
    Parameter,
    Prepared,
    SemiContinuous,
    State,
    Values,
)
from gridopt.clock import Axis

PHASE_KV = 0.23
"""Voltage of one phase against neutral."""
SWITCH_KW = 1e-6
"""A command this little below the minimum is the minimum, seen through the solver's tolerance."""
WINDOW_STEPS = 4
"""Windows are a multiple of this many steps, so that few lengths of template are compiled."""


def steps_inside(begin_h: Floats, end_h: Floats, step_h: float) -> tuple[Ints, Ints]:
    """First step and the one after the last step that lie wholly inside [begin, end), hours from the start."""
    first = np.ceil(begin_h / step_h - 1e-9)
    last = np.floor(end_h / step_h + 1e-9)
    return first.astype(np.int64), np.maximum(first, last).astype(np.int64)


def local_window(first: Ints, last: Ints, steps: int) -> tuple[Ints, Ints]:
    """Offset and length of the window that holds the steps [first, last) of a horizon of ``steps`` steps.

    The length is rounded up to a multiple of WINDOW_STEPS but never beyond the horizon; 0 where no step lies inside.
    """
    begin, end = np.clip(first, 0, steps), np.clip(last, 0, steps)
    inside = np.maximum(end - begin, 0)
    length = np.minimum(-(-inside // WINDOW_STEPS) * WINDOW_STEPS, steps)
    return np.minimum(begin, steps - length), length


class EVSession(Family):
    """One plug-in session of an electric car: energy wanted by departure, power off or above the minimum current.

    due <= sum_t step_h * efficiency * charge[t] + short <= wanted                                           (1)
    charge[t] = 0 or charge_min <= charge[t] <= charge_max[t]                                                (2)
    charge_max[t] = power inside [arrive, depart), else 0                                                    (3)
    charge_min = min(phases * 0.23 kV * current_min, power, wanted / (step_h * efficiency))                  (4)
    wanted = max(0, energy - delivered)                                                                      (5)
    due = max(0, wanted - step_h * efficiency * power * steps left after the horizon)                        (6)

    Ports        ac (electricity): charge                                                                     [kW]
    Variables    charge_kw[T] >= 0, on the session's own window; short_kwh
    Rows         goal_ev_energy
    Decisions    small: charging or not per step, for the minimum current (6 A: 1.38 kW, or 4.14 kW on three phases)
    Short of     the energy due: ``short_kwh``, priced per kWh, a named shortfall
    Assumes      only steps wholly inside [arrive, depart) count. A session that departs after the horizon is due only
                 what full power after the horizon could no longer deliver (least commitment), and may take more. Less
                 energy than one step at the minimum current is charged at a lower mean (4): the car stops when full.
                 A session without a whole step inside the horizon is left out; what it is due, if it touches the
                 horizon at all, is a note. No discharge to the grid; efficiency constant over power
    Source       minimum current 6 A: IEC 61851-1; relaxation of (2) exact, SOLVER.md §5; promise to the driver
                 CONTEXT.md §4
    Cases        tests/unit/assets/test_ev_session.py (by hand)
    """

    name = "ev-session"
    parameters = (
        Parameter("arrive", "when the car is plugged in; may lie before the horizon", kind="time"),
        Parameter("depart", "when the car leaves; may lie after the horizon", kind="time"),
        Parameter("energy_kwh", "energy wanted into the car from plug-in to departure", minimum=0),
        Parameter("delivered_kwh", "part of it that is already in the car at the start", 0.0, minimum=0),
        Parameter("power_kw", "most that car and charge point take, at the AC side", minimum=0),
        Parameter("phases", "phases the car charges on", 1.0, minimum=1, maximum=3),
        Parameter("current_min_a", "least current of a phase while charging", 6.0, minimum=0),
        Parameter("efficiency", "AC side to car battery", 0.92, minimum=0.01, maximum=1),
        Parameter("shortfall_eur_per_kwh", "price of energy missing at departure", 2.0, minimum=0),
    )
    ordered = (("arrive", "depart"),)
    computed = (
        Column("charge_max_kw", "most power at this step; 0 while not plugged in", series=True),
        Column("charge_min_kw", "least power while charging"),
        Column("wanted_kwh", "energy still wanted by departure"),
        Column("due_kwh", "energy due inside the horizon"),
    )
    costs = (Cost("shortfall_eur", "penalty", "energy missing at departure"),)
    commands = ("charge_kw",)
    decisions = (SemiContinuous("charge_kw", "charge_min_kw", rounding="budget"),)
    shortfalls = {"short_kwh": "energy by departure"}
    control = "current"
    setpoint = "charge_kw"
    order = 1

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters if p.kind == "scalar"}
        power, into_car = c["power_kw"], axis.step_h * c["efficiency"]
        first, last = steps_inside(user["arrive"], user["depart"], axis.step_h)
        wanted = np.maximum(c["energy_kwh"] - c["delivered_kwh"], 0.0)
        after = np.maximum(last - np.maximum(first, axis.steps), 0)
        here = (user["depart"] > 0) & (user["arrive"] < axis.steps * axis.step_h)
        due = np.where(here, np.maximum(wanted - into_car * power * after, 0.0), 0.0)
        least = c["phases"] * PHASE_KV * c["current_min_a"]
        t = np.arange(axis.steps)
        plugged = (t >= first[:, None]) & (t < last[:, None])
        c |= {
            "charge_max_kw": np.where(plugged, power[:, None], 0.0),
            "charge_min_kw": np.minimum(np.minimum(least, power), wanted / into_car),
            "wanted_kwh": wanted,
            "due_kwh": due,
        }
        offset, steps = local_window(first, last, axis.steps)
        notes = [
            (int(k), f"plugged in for no whole step of the horizon; {due[k]:.2f} kWh stay undelivered")
            for k in np.flatnonzero((steps == 0) & (due > 1e-9))
        ]
        return Prepared(c, offset, steps, notes=notes)

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.charge_kw = Var(b.T, bounds=lambda b, t: (0, b.charge_max_kw[t]))
        b.short_kwh = Var(bounds=(0, None))
        charged = b.step_h * b.efficiency * sum(b.charge_kw[t] for t in b.T)
        b.goal_ev_energy = Constraint(expr=inequality(b.due_kwh, charged + b.short_kwh, b.wanted_kwh))
        b.ac_kw = Expression(b.T, rule=lambda b, t: b.charge_kw[t])
        b.shortfall_eur = Expression(expr=b.shortfall_eur_per_kwh * b.short_kwh)

    @classmethod
    def start(cls, p: Any) -> State:
        return {"charged_kwh": np.zeros_like(p.wanted_kwh)}

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        # Below the minimum current nothing flows; a full car stops by itself, also in the middle of a step.
        wanted = command["charge_kw"]
        wanted = np.where(wanted < p.charge_min_kw - SWITCH_KW, 0.0, np.clip(wanted, 0.0, p.charge_max_kw))
        into_car = p.step_h * p.efficiency
        charge = np.minimum(wanted, np.maximum(p.wanted_kwh - state["charged_kwh"], 0.0) / into_car)
        return {"charged_kwh": state["charged_kwh"] + into_car * charge}, {"charge_kw": charge, "ac_kw": charge}

    @classmethod
    def close(cls, p: Any, state: State) -> Values:
        short = np.maximum(p.due_kwh - state["charged_kwh"], 0.0)
        return {"short_kwh": short, "shortfall_eur": p.shortfall_eur_per_kwh * short}

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """Charge at full power from arrival until full."""
        return {"charge_kw": p.charge_max_kw}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        drawn = cls.step(p, state, command)[1]["charge_kw"]
        left = np.maximum(drawn - cut_kw, 0.0)
        left = np.where(left < p.charge_min_kw, 0.0, left)
        return {"charge_kw": np.where(cut_kw > 0, left, command["charge_kw"])}

    @classmethod
    def goes_on(cls, columns: Mapping[str, Floats]) -> npt.NDArray[np.bool_]:
        """Sessions that depart after the horizon: what is not due here is charged later."""
        return np.asarray(columns["wanted_kwh"] > columns["due_kwh"] + 1e-9)

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        delivered = step_h * p.efficiency * trace["charge_kw"].sum(1)
        return {"delivered_kwh": delivered, "unserved_kwh": np.maximum(p.due_kwh - delivered, 0.0)}
