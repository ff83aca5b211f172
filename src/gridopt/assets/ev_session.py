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
    Exclusive,
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
EVEN_TENTHS = range(1, 10)
"""Tenths of what a car is due, beyond each of which what is missing costs more where shortfalls are to be even."""
EVEN_STEP = 0.25
"""How much more, as a share of the price of the first tenth: at 2 EUR/kWh more than prices differ over a day."""
SLACK_TILT = 0.2
"""How much dearer the shortfall of a car without any slack is than that of one with all the time."""
SHARING = ("price", "even", "slack")


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
    """One plug-in session of an electric car: energy or content promised by departure, and how it may come.

    due <= sum_t step_h * efficiency * charge[t] + short <= wanted                                           (1)
    charge[t] = 0 or charge_min <= charge[t] <= charge_max[t]                                                (2)
    charge_max[t] = power inside [arrive, depart), else 0                                                    (3)
    charge_min = min(max(power_min, phases * 0.23 kV * current_min), power, wanted / (step_h * efficiency))  (4)
    wanted = max(energy, (soc_depart - soc_arrive) * capacity) - delivered, not below 0                      (5)
    due = max(0, wanted - step_h * efficiency * power * steps left after the horizon)                        (6)
    Where some energy shall come at once, or the car gives power back:
    charged[t] = charged[t-1] + step_h * (efficiency * charge[t] - discharge[t] / efficiency)                (7)
    charged[t] + late[t] >= min(at_once, step_h * efficiency * sum of charge_max until t) while plugged in   (8)
    at_once = max(at_once_kwh, (at_once_soc - soc_arrive) * capacity) - delivered                            (9)
    Direct current knows no least current in (4). A car that gives back may want less than it came with in (5); it never
    falls below at_once, nor below what it came with where that is less or its content is not known; (1) is then
    charged[last] + short >= due.
    Even shares: cost of short = price * (short + 0.25 * sum_{k=1..9} max(0, short - k/10 * due))           (10)
    By slack: price * (1 + 0.2 * share of the time left that full power would need)                         (11)

    Ports        ac (electricity): charge - discharge                                                         [kW]
    Variables    charge_kw[T] >= 0, on the session's own window; short_kwh; discharge_kw[T] only with v2g_kw;
                 charged_kwh[T], late_kwh[T] only for (7), (8); short_10_kwh ... short_90_kwh only for (10)
    Rows         goal_ev_energy; balance_ev_content[T], goal_ev_at_once[T], level_ev_short_10 ... as above
    Decisions    small: charging or not per step, for the minimum current (6 A: 1.38 kW, or 4.14 kW on three phases);
                 direction per step, with v2g_kw
    Short of     the energy due: ``short_kwh``, priced per kWh; the energy at once: ``late_kwh``, per kWh and hour
    Assumes      only steps wholly inside [arrive, depart) count. A session that departs after the horizon is due only
                 what full power after the horizon could no longer deliver (least commitment), and may take more; one
                 that gives back ends no lower than it began, or than it wants. Less energy than one step at the
                 minimum current is charged at a lower mean (4): the car stops when full. A session without a whole
                 step inside the horizon is left out; what it is due, if it touches the horizon at all, is a note.
                 Efficiency constant over power and content, the same both ways
    Source       minimum current 6 A: IEC 61851-1. (2) relaxed: 0..charge_max is its projection. (10): convex prices
                 that rise with the share missing make equal shares of equal cars cheapest, to within a tenth;
                 max-min fairness as in D. Bertsekas, R. Gallager, "Data Networks", 1992, 6.5.2
    Cases        tests/cases/golden/ev-minimum-current, ev-at-once, ev-even-shares (by hand), ev-car-park, ev-two-way
                 (linopy); tests/unit/assets/test_ev_session.py (by hand)
    """

    name = "ev-session"
    parameters = (
        Parameter("arrive", "when the car is plugged in; may lie before the horizon", kind="time"),
        Parameter("depart", "when the car leaves; may lie after the horizon", kind="time"),
        Parameter(
            "energy_kwh",
            "energy wanted into the car from plug-in to departure; absent: what soc_depart asks for",
            minimum=0,
            optional=True,
        ),
        Parameter("delivered_kwh", "part of it that is already in the car at the start", 0.0, minimum=0),
        Parameter("power_kw", "most that car and charge point take, at the AC side", minimum=0),
        Parameter("phases", "phases the car charges on", 1.0, minimum=1, maximum=3),
        Parameter("current_min_a", "least current of a phase while charging", 6.0, minimum=0),
        Parameter("dc", "whether the point gives direct current: told in kW, no least current", False, kind="flag"),
        Parameter("power_min_kw", "least power while charging, whatever the current", 0.0, minimum=0),
        Parameter("efficiency", "AC side to car battery", 0.92, minimum=0.01, maximum=1),
        Parameter("shortfall_eur_per_kwh", "price of energy missing at departure", 2.0, minimum=0),
        Parameter("sharing", "who is short where all cannot be served", "price", kind="choice", choices=SHARING),
        Parameter("capacity_kwh", "energy content of the full car", minimum=0, optional=True),
        Parameter("soc_arrive", "content at plug-in, share of capacity", minimum=0, maximum=1, optional=True),
        Parameter("soc_depart", "content promised at departure, share", minimum=0, maximum=1, optional=True),
        Parameter("at_once_kwh", "energy charged as fast as possible after plug-in", 0.0, minimum=0),
        Parameter("at_once_soc", "content reached as fast as possible, and kept, share", 0.0, minimum=0, maximum=1),
        Parameter("late_eur_per_kwh_per_h", "price of that energy coming later", 2.0, minimum=0),
        Parameter("v2g_kw", "most that the car gives back, at the AC side", 0.0, minimum=0),
        Parameter("wear_eur_per_kwh", "wear of the car's battery per kWh given back", 0.05, minimum=0),
    )
    ordered = (("arrive", "depart"), ("power_min_kw", "power_kw"))
    either = ((("energy_kwh",), ("capacity_kwh", "soc_arrive", "soc_depart")),)
    computed = (
        Column("charge_max_kw", "most power at this step; 0 while not plugged in", series=True),
        Column("charge_min_kw", "least power while charging"),
        Column("wanted_kwh", "energy still wanted by departure"),
        Column("due_kwh", "energy due inside the horizon"),
        Column("discharge_max_kw", "most power given back at this step", series=True),
        Column("charged_least_kwh", "least energy charged so far inside the horizon, less what was given back"),
        Column("charged_most_kwh", "and most"),
        Column("at_once_left_kwh", "energy still to come as fast as possible"),
        Column("at_once_by_kwh", "energy of it that shall be in by the end of the step", series=True),
        Column("left_h", "time from the start of the step until departure", series=True),
        Column("even", "1 where the price of a shortfall rises with its share, (10)"),
        Column("waits", "1 where the car with the most time to spare gives way first, (11)"),
    )
    options = ("two_way", "at_once", "even", "dc")
    costs = (
        Cost("shortfall_eur", "penalty", "energy missing at departure, or coming late"),
        Cost("wear_eur", "wear", "energy given back"),
    )
    commands = ("charge_kw", "discharge_kw")
    states = ("charged_kwh",)
    decisions = (
        SemiContinuous("charge_kw", "charge_min_kw", rounding="budget"),
        Exclusive("charge_kw", "discharge_kw"),
    )
    shortfalls = {"short_kwh": "energy by departure", "late_kwh": "energy at once"}
    control = "current"
    setpoint = "charge_kw"
    order = 1

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters if p.kind == "scalar"}
        power, into_car = c["power_kw"], axis.step_h * c["efficiency"]
        first, last = steps_inside(user["arrive"], user["depart"], axis.step_h)
        t = np.arange(axis.steps)
        plugged = (t >= first[:, None]) & (t < last[:, None])
        after = np.maximum(last - np.maximum(first, axis.steps), 0)
        here = (user["depart"] > 0) & (user["arrive"] < axis.steps * axis.step_h)
        c |= _energies(c, into_car * power * after, here)
        two_way, dc = c["v2g_kw"] > 0, np.asarray(user["dc"], bool)
        even = (user["sharing"] == "even") & (c["due_kwh"] > 1e-9)
        least = np.maximum(c["power_min_kw"], np.where(dc, 0.0, c["phases"] * PHASE_KV * c["current_min_a"]))
        mean = np.where(two_way, np.inf, c["wanted_kwh"] / into_car)
        at_once, fastest = c["at_once_left_kwh"], np.cumsum(np.where(plugged, (into_car * power)[:, None], 0.0), axis=1)
        awaited = plugged & (at_once[:, None] > 0)
        by = np.where(awaited, np.minimum(at_once[:, None], fastest), c["charged_least_kwh"][:, None])
        # Until what shall come at once can be in, nothing is given back.
        begun = np.hstack([np.zeros((len(power), 1)), fastest[:, :-1]]) >= at_once[:, None] - 1e-9
        left = np.maximum(last[:, None] - np.maximum(t, first[:, None]), 0) * axis.step_h
        c |= {
            "charge_max_kw": np.where(plugged, power[:, None], 0.0),
            "charge_min_kw": np.minimum(np.minimum(least, power), mean),
            "discharge_max_kw": np.where(plugged & begun, c["v2g_kw"][:, None], 0.0),
            "at_once_by_kwh": by,
            "left_h": left,
            "even": even.astype(np.float64),
            "waits": (user["sharing"] == "slack").astype(np.float64),
        }
        needed_h = np.divide(c["wanted_kwh"], c["efficiency"] * power, out=np.zeros_like(power), where=power > 0)
        tight = np.divide(needed_h, left[:, 0], out=np.ones_like(power), where=left[:, 0] > 0).clip(0.0, 1.0)
        c["shortfall_eur_per_kwh"] = c["shortfall_eur_per_kwh"] * (1.0 + SLACK_TILT * c["waits"] * tight)
        offset, steps = local_window(first, last, axis.steps)
        options = zip(two_way, at_once > 1e-9, even, dc, strict=True)
        notes = [
            (int(k), f"plugged in for no whole step of the horizon; {c['due_kwh'][k]:.2f} kWh stay undelivered")
            for k in np.flatnonzero((steps == 0) & (c["due_kwh"] > 1e-9))
        ]
        notes += [
            (int(k), f"{user['energy_kwh'][k]:g} kWh are wanted, but only {c['energy_kwh'][k]:g} fit into it")
            for k in np.flatnonzero(np.nan_to_num(user["energy_kwh"]) > c["energy_kwh"] + 1e-9)
        ]
        unknown = np.isnan(user["capacity_kwh"]) | np.isnan(user["soc_arrive"])
        notes += [
            (int(k), "its shares of content have no effect without capacity_kwh and soc_arrive")
            for k in np.flatnonzero(unknown & ((user["at_once_soc"] > 0) | np.isfinite(user["soc_depart"])))
        ]
        return Prepared(c, offset, steps, [tuple(map(bool, o)) for o in options], notes)

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        b.charge_kw = Var(b.T, bounds=lambda b, t: (0, b.charge_max_kw[t]))
        b.short_kwh = Var(bounds=(0, None))
        charged = b.step_h * b.efficiency * sum(b.charge_kw[t] for t in b.T)
        short = b.short_kwh
        if option.two_way:
            b.discharge_kw = Var(b.T, bounds=lambda b, t: (0, b.discharge_max_kw[t]))
            b.wear_eur = Expression(expr=b.step_h * b.wear_eur_per_kwh * sum(b.discharge_kw[t] for t in b.T))

        def into(t: int) -> Any:
            back = b.discharge_kw[t] / b.efficiency if option.two_way else 0
            return b.step_h * (b.efficiency * b.charge_kw[t] - back)

        late = 0
        if option.two_way or option.at_once:
            b.charged_kwh = Var(b.T, bounds=(b.charged_least_kwh, b.charged_most_kwh))
            b.balance_ev_content = Constraint(
                b.T, rule=lambda b, t: b.charged_kwh[t] == (b.charged_kwh[t - 1] if t else 0) + into(t)
            )
            charged = b.charged_kwh[b.last]
        if option.at_once:
            b.late_kwh = Var(b.T, bounds=(0, None))
            b.goal_ev_at_once = Constraint(
                b.T, rule=lambda b, t: b.charged_kwh[t] + b.late_kwh[t] >= b.at_once_by_kwh[t]
            )
            late = b.step_h * b.late_eur_per_kwh_per_h * sum(b.late_kwh[t] for t in b.T)
        if option.two_way:
            b.goal_ev_energy = Constraint(expr=charged + b.short_kwh >= b.due_kwh)
        else:
            b.goal_ev_energy = Constraint(expr=inequality(b.due_kwh, charged + b.short_kwh, b.wanted_kwh))
        if option.even:
            for k in EVEN_TENTHS:
                part = Var(bounds=(0, None))
                b.add_component(f"short_{10 * k}_kwh", part)
                row = Constraint(expr=part >= b.short_kwh - k / 10 * b.due_kwh)
                b.add_component(f"level_ev_short_{10 * k}", row)
                short = short + EVEN_STEP * part
        b.ac_kw = Expression(b.T, rule=lambda b, t: b.charge_kw[t] - (b.discharge_kw[t] if option.two_way else 0))
        b.shortfall_eur = Expression(expr=b.shortfall_eur_per_kwh * short + late)

    @classmethod
    def start(cls, p: Any) -> State:
        return {"charged_kwh": np.zeros_like(p.wanted_kwh)}

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        # Below the minimum current nothing flows; a full car stops by itself, also in the middle of a step, and so
        # does one that gives back, at what it keeps.
        wanted, charged = command["charge_kw"], state["charged_kwh"]
        wanted = np.where(wanted < p.charge_min_kw - SWITCH_KW, 0.0, np.clip(wanted, 0.0, p.charge_max_kw))
        into_car = p.step_h * p.efficiency
        charge = np.minimum(wanted, np.maximum(p.charged_most_kwh - charged, 0.0) / into_car)
        charged = charged + into_car * charge
        content = np.maximum(charged - p.charged_least_kwh, 0.0) * p.efficiency / p.step_h
        back = np.clip(command.get("discharge_kw", 0.0), 0.0, np.minimum(p.discharge_max_kw, content))
        charged = charged - p.step_h * back / p.efficiency
        late = np.maximum(p.at_once_by_kwh - charged, 0.0)
        flows = {
            "charge_kw": charge,
            "discharge_kw": back,
            "ac_kw": charge - back,
            "wear_eur": p.step_h * p.wear_eur_per_kwh * back,
            "shortfall_eur": p.step_h * p.late_eur_per_kwh_per_h * late,
        }
        if p.at_once_left_kwh.any():
            flows["late_kwh"] = late
        return {"charged_kwh": charged}, flows

    @classmethod
    def close(cls, p: Any, state: State) -> Values:
        short = np.maximum(p.due_kwh - state["charged_kwh"], 0.0)
        parts = [p.even * np.maximum(short - k / 10 * p.due_kwh, 0.0) for k in EVEN_TENTHS]
        return {"short_kwh": short, "shortfall_eur": p.shortfall_eur_per_kwh * (short + EVEN_STEP * sum(parts))}

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """Charge at full power from arrival until what is wanted is in; give nothing back."""
        rest = np.maximum(p.wanted_kwh - state["charged_kwh"], 0.0) / (p.step_h * p.efficiency)
        charge = np.where(rest > SWITCH_KW, np.clip(rest, p.charge_min_kw, np.inf), 0.0)
        return {"charge_kw": np.minimum(charge, p.charge_max_kw), "discharge_kw": np.zeros_like(charge)}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        drawn = cls.step(p, state, command)[1]["charge_kw"]
        left = np.maximum(drawn - cut_kw, 0.0)
        left = np.where(left < p.charge_min_kw, 0.0, left)
        back = np.maximum(command.get("discharge_kw", 0.0) - np.maximum(-cut_kw, 0.0), 0.0)
        return {"charge_kw": np.where(cut_kw > 0, left, command["charge_kw"]), "discharge_kw": back}

    @classmethod
    def patience(cls, p: Any, state: State) -> Floats:
        """Time to spare: until departure, less what full power needs for the rest."""
        rest = np.maximum(p.wanted_kwh - state["charged_kwh"], 0.0)
        needed = np.divide(rest, p.efficiency * p.power_kw, out=np.zeros_like(rest), where=p.power_kw > 0)
        return np.where(p.waits > 0, p.left_h - needed, np.nan)

    @classmethod
    def goes_on(cls, columns: Mapping[str, Floats]) -> npt.NDArray[np.bool_]:
        """Sessions that depart after the horizon: what is not due here is charged later."""
        return np.asarray(columns["wanted_kwh"] > columns["due_kwh"] + 1e-9)

    @classmethod
    def told(cls, options: tuple[Any, ...]) -> tuple[str, str]:
        """A direct-current point and a car that gives back take a power, negative when it feeds in."""
        two_way, _, _, dc = options
        return ("power", "ac_kw") if two_way or dc else (cls.control, cls.setpoint)

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        back = step_h * trace["discharge_kw"].sum(1)
        delivered = step_h * p.efficiency * trace["charge_kw"].sum(1) - back / p.efficiency
        served = np.divide(delivered, p.due_kwh, out=np.ones_like(delivered), where=p.due_kwh > 1e-9)
        return {
            "delivered_kwh": delivered,
            "unserved_kwh": np.maximum(p.due_kwh - delivered, 0.0),
            "served": served.clip(0.0, 1.0),
            "given_back_kwh": back,
            "left_for_later_kwh": np.maximum(p.wanted_kwh - np.maximum(delivered, p.due_kwh), 0.0),
        }


def _energies(c: Mapping[str, Floats], later_kwh: Floats, here: npt.NDArray[np.bool_]) -> dict[str, Floats]:
    """What is wanted and due, what is to come at once, and between what the energy charged so far may move.

    ``later_kwh``: what full power can still charge after the horizon; ``here``: sessions that touch the horizon.
    """
    known = np.isfinite(c["capacity_kwh"]) & np.isfinite(c["soc_arrive"])
    size, came = np.where(known, c["capacity_kwh"], 0.0), np.where(known, c["soc_arrive"] * c["capacity_kwh"], 0.0)
    room = np.where(known, size - came, np.inf)
    by_soc = np.where(known, c["soc_depart"] * size - came, np.nan)
    asked = np.minimum(np.nan_to_num(np.fmax(c["energy_kwh"], by_soc)), room)
    wanted, none = asked - c["delivered_kwh"], np.zeros_like(asked)
    first = np.maximum(c["at_once_kwh"], np.where(known, c["at_once_soc"] * size - came, 0.0))
    # A car that gives back: what it keeps may be less than it came with, where that is known.
    low = np.where(known & (c["at_once_kwh"] == 0), c["at_once_soc"] * size - came, first) - c["delivered_kwh"]
    two_way = c["v2g_kw"] > 0
    most = np.maximum(np.where(two_way & known, room - c["delivered_kwh"], wanted), 0.0)
    least = np.where(two_way, np.minimum(low, 0.0), 0.0)
    wanted = np.clip(wanted, least, most)
    due = np.where(here, np.maximum(wanted - later_kwh, np.minimum(wanted, none)), 0.0)
    at_once = np.where(two_way, low, np.minimum(first, asked) - c["delivered_kwh"]).clip(0.0, most)
    return {
        "energy_kwh": asked,
        "capacity_kwh": size,
        "soc_arrive": np.where(known, c["soc_arrive"], 0.0),
        "soc_depart": np.nan_to_num(c["soc_depart"]),
        "wanted_kwh": wanted,
        "due_kwh": due,
        "charged_least_kwh": least,
        "charged_most_kwh": most,
        "at_once_left_kwh": at_once,
    }
