from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from pyomo.environ import Constraint, Expression, Var

from gridopt.assets.base import Column, Cost, Family, Floats, Parameter, Prepared, State, Values
from gridopt.assets.switching import steps_of
from gridopt.clock import Axis


class DiffuseHeaters(Family):
    """Many electrically heated flats as one: their heating may be cut for a short while, and comes back as a rebound.

    cut[t]     = part[t] * (begun[t-cut_steps+1] + ... + begun[t]),   0 <= cut[t] <= cut_max                 (1)
    begun[t-cut_steps-rest_steps+1] + ... + begun[t] <= 1,   0 <= begun[t] <= may_begin[t]                   (2)
    rebound[t] = owed[t] + sum over s of begun[s] * saved[s] * rebound_share / (rebound_steps * step_h),
                 t - cut_steps - rebound_steps < s <= t - cut_steps                                          (3)
    saved[s]   = step_h * (part[s] + ... + part[s+cut_steps-1])                                              (4)
    drop[t]    = keep * drop[t-1] + step_h * (cut[t] - rebound[t]) / capacity,   drop[t] <= drop_max[t]      (5)
    ac[t]      = power[t] - cut[t] + rebound[t]                                                              (6)
    end_eur    = owed_eur_per_kwh * (rebound that comes after the horizon)                                   (7)

    begun[t] is the share of the flats taking part that are cut from step t on, for cut_steps: a flat is never cut for
    longer in a row and then rests (2), but flats take turns, so that part of the power may be cut all evening. part is
    the heating power of those that take part: who has opted out is never cut. Where a cut lasts no whole steps, part is
    its mean over them. drop is how much colder their flats are on average than they would be;
    keep = exp(-step_h / time_constant) (5). may_begin is 1 where the whole cut lies in allowed hours and inside the
    horizon; the rebound comes when it comes.

    What does not come back, 1 - rebound_share of the cut, is saved for good: flats that are colder for a while lose
    less heat, and thermostats do not make up for all of it. That is what (3) says and a comparison of two days counts:
    a plan that cuts uses less, at flats that are a little colder (5), and what its cuts still owe at the end is priced
    (7). A share of 1 saves nothing but time. A flat brought all the way back within two hours would save some 5 % only
    (1.5 h of 30 h): what a smaller share saves beyond that, people feel as tenths of a kelvin for a day.

    Ports        ac (electricity): power - cut + rebound                                                      [kW]
    Variables    begun[T] in 0..1; cut_kw[T], rebound_kw[T] >= 0; drop_k[T] at the end of the step
    Rows         balance_heaters_cut[T], balance_heaters_rebound[T], balance_heaters_drop[T], limit_heaters_turns[T],
                 limit_heaters_comfort[T]
    Decisions    none: of many flats any share may be cut
    Short of     nothing: no cut is always a plan
    Assumes      heating that is cut would have run, at the mean power of all; all that take part are equally often cut,
                 so that their mean speaks for each; a cut ends inside the horizon; the rebound does not depend on what
                 is cut meanwhile
    Source       rebound (taux de report) as measured in RTE, "Évaluation des économies d'énergie et des effets de bord
                 associés aux effacements de consommation", 2016; trials differ widely, up to all that was cut, so the
                 defaults are assumptions to be replaced by what a site shows. drop: the 1R1C of gridopt.assets.zone
    Cases        tests/unit/assets/test_diffuse_heaters.py (by hand), tests/cases/golden/heaters-half-hour (by hand),
                 tests/cases/golden/warm-and-cold-evening (other tool, script beside it)
    """

    name = "diffuse-heaters"
    parameters = (
        Parameter("power_kw", "heating of all flats together, when nothing is cut", kind="series", minimum=0),
        Parameter("flats", "how many flats", minimum=0),
        Parameter("opted_out", "how many of them have opted out", 0.0, minimum=0),
        Parameter("cut_max_kw", "most power cut at once; absent: no limit", minimum=0, optional=True),
        Parameter("allowed", "1 where it may be cut, 0 in forbidden hours", 1.0, kind="series", minimum=0, maximum=1),
        Parameter("cut_h", "how long a flat is cut in a row", 0.5, minimum=0),
        Parameter("rest_h", "how long it is left alone then", 1.5, minimum=0),
        Parameter("since_cut_h", "hours since the last cut ended, at the start", 1000.0, minimum=0),
        Parameter("rebound_share", "share of the energy cut that comes back", 0.8, minimum=0, maximum=1),
        Parameter("rebound_h", "within which time after the cut", 2.0, minimum=0),
        Parameter("owed_start_kwh", "rebound of cuts before the start still to come", 0.0, minimum=0),
        Parameter("owed_eur_per_kwh", "price of rebound that comes after the horizon", 0.2, minimum=0),
        Parameter("indoor_c", "temperature in the flats when nothing is cut", 19.5, kind="series"),
        Parameter("comfort_min_c", "temperature that no cut may break", 18.0, kind="series"),
        Parameter("drop_start_k", "how much colder than indoor_c the flats are at the start", 0.0, minimum=0),
        Parameter("capacity_kwh_per_k", "heat stored by a kelvin in one flat", 3.0, minimum=0.01),
        Parameter("time_constant_h", "how long a flat remembers: R * C", 30.0, minimum=0.1, maximum=1e4),
    )
    ordered = (("opted_out", "flats"),)
    computed = (
        Column(
            "part_kw", "heating of the flats that take part, times the share of its steps that a cut lasts", series=True
        ),
        Column("may_begin", "1 where a cut may begin, else 0", series=True),
        Column("saved_kwh", "energy of a cut of all, by the step in which it begins", series=True),
        Column("owed_kw", "rebound of cuts before the start", series=True),
        Column("rebound_max_kw", "most that the rebound of all turns and of earlier cuts can come to", series=True),
        Column("drop_max_k", "how much colder the flats may be", series=True),
        Column("returned_share", "share of a cut begun at this step that returns inside the horizon", series=True),
        Column("stored_kwh_per_k", "heat stored by a kelvin in all that take part, or in one flat where none does"),
        Column("keep", "share of the drop that is left after a step"),
        Column("cut_steps", "length of a cut"),
        Column("rest_steps", "length of the rest"),
        Column("rebound_steps", "length of the rebound"),
    )
    options = ("cut_steps", "rest_steps", "rebound_steps")
    costs = (Cost("owed_eur", "value", "rebound that comes after the horizon"),)
    forecasts = {"power_kw": "heating of the flats", "indoor_c": "temperature in the flats"}
    commands = ("begun",)
    states = ("drop_k",)
    control = "on_off"
    setpoint = "begun"
    order = 0

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters}
        T, h, t = axis.steps, axis.step_h, np.arange(axis.steps)
        cut = np.clip(steps_of(c["cut_h"], h), 1, T)
        rest, back = np.clip(steps_of(c["rest_h"], h), 0, T), np.clip(steps_of(c["rebound_h"], h), 1, T)
        taking = np.maximum(c["flats"] - c["opted_out"], 0.0)
        share = np.divide(taking, c["flats"], out=np.zeros_like(taking), where=c["flats"] > 0)
        # Half an hour in steps of an hour is half of the power for an hour.
        lasts = np.minimum(c["cut_h"] / (cut * h), 1.0)
        part = (share * lasts)[:, None] * c["power_kw"]
        begins = t >= np.ceil((c["rest_h"] - c["since_cut_h"]) / h - 1e-9)[:, None]
        forbidden = np.concatenate([np.zeros((len(part), 1)), np.cumsum(c["allowed"] < 1 - 1e-9, 1)], 1)
        begins &= np.take_along_axis(forbidden, np.minimum(t + cut[:, None], T), axis=1) == forbidden[:, :-1]
        begins &= t <= (T - cut)[:, None]
        ahead = np.concatenate([np.zeros((len(part), 1)), part.cumsum(1)], 1)
        ends = np.minimum(t + cut[:, None], T)
        carried = np.where(t < back[:, None], (c["owed_start_kwh"] / (back * h))[:, None], 0.0)
        # A floor above the temperature without cuts forbids cuts; it does not heat.
        allowed = np.maximum(c["indoor_c"] - c["comfort_min_c"], 0.0)
        saved = h * (np.take_along_axis(ahead, ends, 1) - ahead[:, :-1])
        keep = np.exp(-h / c["time_constant_h"])
        alone = c["drop_start_k"][:, None] * keep[:, None] ** (t + 1)
        c |= {
            "cut_max_kw": np.where(np.isnan(c["cut_max_kw"]), c["power_kw"].max(1, initial=0.0), c["cut_max_kw"]),
            "part_kw": part,
            "may_begin": begins.astype(np.float64),
            "saved_kwh": saved,
            "owed_kw": carried,
            # Within a rebound's length each flat takes so many turns at most (2).
            "rebound_max_kw": carried
            + (saved.max(1) * c["rebound_share"] * np.ceil(back / (cut + rest)) / (back * h))[:, None],
            "drop_max_k": np.maximum(allowed, alone),
            "returned_share": np.clip((T - t - cut[:, None]) / back[:, None], 0.0, 1.0),
            "stored_kwh_per_k": np.maximum(taking, 1.0) * c["capacity_kwh_per_k"],
            "keep": keep,
            "cut_steps": cut.astype(np.float64),
            "rest_steps": rest.astype(np.float64),
            "rebound_steps": back.astype(np.float64),
        }
        return Prepared(c, structure=list(zip(cut.tolist(), rest.tolist(), back.tolist(), strict=True)))

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        cut, rest, back = option.cut_steps, option.rest_steps, option.rebound_steps
        b.begun = Var(b.T, bounds=lambda b, t: (0, b.may_begin[t]))
        b.cut_kw = Var(b.T, bounds=(0, b.cut_max_kw))
        b.rebound_kw = Var(b.T, bounds=lambda b, t: (0, b.rebound_max_kw[t]))
        b.drop_k = Var(b.T)

        def steps(first: int, last: int) -> range:
            return range(max(first, 0), last + 1)

        b.balance_heaters_cut = Constraint(
            b.T, rule=lambda b, t: b.cut_kw[t] == b.part_kw[t] * sum(b.begun[s] for s in steps(t - cut + 1, t))
        )
        b.limit_heaters_turns = Constraint(
            b.T, rule=lambda b, t: sum(b.begun[s] for s in steps(t - cut - rest + 1, t)) <= 1
        )
        b.balance_heaters_rebound = Constraint(
            b.T,
            rule=lambda b, t: (
                b.rebound_kw[t]
                == b.owed_kw[t]
                + sum(
                    b.begun[s] * b.saved_kwh[s] * b.rebound_share / (back * b.step_h)
                    for s in steps(t - cut - back + 1, t - cut)
                )
            ),
        )
        b.balance_heaters_drop = Constraint(
            b.T,
            rule=lambda b, t: (
                b.drop_k[t]
                == b.keep * (b.drop_k[t - 1] if t else b.drop_start_k)
                + b.step_h * (b.cut_kw[t] - b.rebound_kw[t]) / b.stored_kwh_per_k
            ),
        )
        b.limit_heaters_comfort = Constraint(b.T, rule=lambda b, t: b.drop_k[t] <= b.drop_max_k[t])
        b.ac_kw = Expression(b.T, rule=lambda b, t: b.power_kw[t] - b.cut_kw[t] + b.rebound_kw[t])
        after = sum(b.begun[t] * b.saved_kwh[t] * b.rebound_share * (1 - b.returned_share[t]) for t in b.T)
        carried = b.owed_start_kwh - b.step_h * sum(b.owed_kw[t] for t in b.T)
        b.owed_eur = Expression(expr=b.owed_eur_per_kwh * (after + carried))

    @classmethod
    def start(cls, p: Any) -> State:
        n = len(p.keep)
        return {
            "recent": np.zeros((n, int((p.cut_steps + p.rest_steps).max()))),
            "coming_kw": np.zeros((n, int((p.cut_steps + p.rebound_steps).max()))),
            "carried_kwh": p.owed_start_kwh,
            "drop_k": p.drop_start_k,
        }

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        # `recent` holds the shares begun, the newest first; `coming_kw` the rebound of this step and of those ahead.
        cut_steps, back = int(p.cut_steps.max()), int(p.rebound_steps.max())
        recent, coming = state["recent"], state["coming_kw"]
        rebound = p.owed_kw + coming[:, 0]
        on = recent[:, : cut_steps - 1].sum(1)
        warm = p.keep * state["drop_k"] - p.step_h * rebound / p.stored_kwh_per_k
        most_kw = np.minimum(p.cut_max_kw, (p.drop_max_k - warm) * p.stored_kwh_per_k / p.step_h)
        room = np.divide(most_kw, p.part_kw, out=np.full_like(on, np.inf), where=p.part_kw > 0) - on
        free = np.minimum(np.minimum(p.may_begin, 1.0 - recent[:, :-1].sum(1)), room)
        begun = np.clip(command["begun"], 0.0, np.maximum(free, 0.0))
        recent = np.column_stack([begun, recent[:, :-1]])
        shares = recent[:, :cut_steps]
        total = shares.sum(1)
        # What was begun goes on, unless the temperature or the limit ends it.
        cut = np.minimum(p.part_kw * total, np.maximum(most_kw, 0.0))
        kept = np.divide(cut, total, out=np.zeros_like(cut), where=total > 0)
        coming = np.column_stack([coming[:, 1:], np.zeros(len(cut))])
        for age in range(cut_steps):
            returns = p.rebound_share * shares[:, age] * kept / back
            first = cut_steps - 1 - age
            coming[:, first : first + back] += returns[:, None]
        drop = warm + p.step_h * cut / p.stored_kwh_per_k
        after = {
            "recent": recent,
            "coming_kw": coming,
            "carried_kwh": state["carried_kwh"] - p.step_h * p.owed_kw,
            "drop_k": drop,
        }
        return after, {
            "begun": begun,
            "cut_kw": cut,
            "rebound_kw": rebound,
            "ac_kw": p.power_kw - cut + rebound,
        }

    @classmethod
    def close(cls, p: Any, state: State) -> Values:
        owed = p.step_h * state["coming_kw"].sum(1) + state["carried_kwh"]
        return {"owed_eur": p.owed_eur_per_kwh * owed}

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """Nobody cuts anything."""
        return {"begun": np.zeros_like(p.keep)}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        more = np.divide(np.maximum(cut_kw, 0.0), p.part_kw, out=np.zeros_like(cut_kw), where=p.part_kw > 0)
        return {"begun": command["begun"] + more}

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        return {
            "cut_kwh": trace["cut_kw"].sum(1) * step_h,
            "rebound_kwh": trace["rebound_kw"].sum(1) * step_h,
            "saved_kwh": (1.0 - p.rebound_share) * trace["cut_kw"].sum(1) * step_h,
            "cut_most_kw": trace["cut_kw"].max(1, initial=0.0),
            "drop_most_k": trace["drop_k"].max(1, initial=0.0),
        }
