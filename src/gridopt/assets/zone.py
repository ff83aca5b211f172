"""One zone, of a building or a store: a resistance to the outside and a heat capacity (1R1C), solved exactly.

T[t] = keep[t] * T[t-1] + (1 - keep[t]) * (outdoor[t] + R[t] * heat[t]),   keep[t] = exp(-step_h / (R[t] * C))  (1)
low[t] <= T[t] + under[t] - over[t] <= high[t]                                                               (2)
discomfort = price * (step_h * sum_t (under[t] + over[t]) + R * C * (what is missing at the end))            (3)

(1) is the solution of C dT/dt = (outdoor - T) / R + heat for weather and heat that are constant over a step: exact for
any step length. The band is judged at the end of each step. What is missing at the end of the horizon would wear off
over R * C hours and is priced so: else heating, or cooling, would never pay in the last hours.

Where R and C come from, when nobody has measured them:

    R [K/kW]  = 24 * DJU / heat of a heating season [kWh]        (2 500 K d in Lille: 10 MWh a year are 6 K/kW)
    C [kWh/K] = floor area [m²] * 0.03 (light walls), 0.05 (medium), 0.07 (heavy), 0.10 (very heavy)

R * C, the time constant, is then 12-20 h in light and 25-60 h in heavy buildings. The first is the degree-day method
turned round (CIBSE TM41, "Degree-days: theory and application", 2006; DJU, degrés-jours unifiés, to base 18 °C), the
second are the classes 110, 165, 260 and 370 kJ per m² and kelvin of EN ISO 13790:2008, table 12.

What a kelvin for an hour is worth, where nobody says: 1 EUR for every kWh/K of the zone. In an office a person has some
15 m², which are 0.7 kWh/K, and works 2 % less for every kelvin above 25 °C (O. Seppänen, W. J. Fisk, D. Faulkner, "Cost
benefit analysis of the night-time ventilative cooling in office building", Healthy Buildings 2003, LBNL-53191); taken
for the cold side as well, that is 0.7 EUR of an hour's labour cost of 35 EUR. It grows with the building on purpose:
letting a zone be a kelvin colder for an hour puts off C kWh of heat, which earns 0.12 EUR per kWh/K where prices differ
by 0.30 EUR/kWh and the COP is 2.5. A price that does not grow with C is outbid by every large building, which would
stand cold to save cents: 5 EUR holds below 40 kWh/K, and an office block has 200 and more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pyomo.environ import Constraint, Expression, Var, inequality

from gridopt.assets.base import Floats, Parameter, Values

DISCOMFORT_EUR_PER_KWH_H = 1.0
"""Price of a kelvin outside the band for an hour, for every kWh/K of the zone, where none is given."""
FORGOTTEN = 1e-4
"""A zone that keeps less forgets within a step; smaller coefficients make HiGHS 1.15's branch and bound fail."""
At = Callable[[int], Any]

RESISTANCE = Parameter("resistance_k_per_kw", "temperature held by a kW of heat, R", minimum=0.001, maximum=1e4)
CAPACITY = Parameter("capacity_kwh_per_k", "heat stored by a kelvin, C", minimum=0.001, maximum=1e6)
DISCOMFORT = Parameter(
    "discomfort_eur_per_kh",
    "price of a kelvin outside the band for an hour; absent: 1 EUR per kWh/K of capacity",
    minimum=0,
    optional=True,
)


def keep_share(resistance_k_per_kw: Floats, capacity_kwh_per_k: Floats, step_h: float) -> Floats:
    """Share of the distance to the steady temperature that is left after a step, (1); 0 below FORGOTTEN."""
    keep = np.exp(-step_h / (resistance_k_per_kw * capacity_kwh_per_k))
    return np.where(keep < FORGOTTEN, 0.0, keep)


def discomfort_price(given_eur_per_kh: Floats, capacity_kwh_per_k: Floats) -> Floats:
    """The price given, else the default that grows with the zone."""
    return np.where(np.isnan(given_eur_per_kh), DISCOMFORT_EUR_PER_KWH_H * capacity_kwh_per_k, given_eur_per_kh)


def declare(
    b: Any, heat_kw: At, *, keep: At, resistance: At, outdoor_c: At, low_c: At, high_c: At, missing: str = "under_k"
) -> None:
    """Variables temperature_c, under_k, over_k [T], rows (1) and (2), ``discomfort_eur`` (3) by ``missing``.

    Takes ``temperature_start_c``, ``resistance_k_per_kw``, ``capacity_kwh_per_k`` and ``discomfort_eur_per_kh`` of b.
    """
    b.temperature_c = Var(b.T)
    b.under_k = Var(b.T, bounds=(0, None))
    b.over_k = Var(b.T, bounds=(0, None))
    b.balance_zone_temperature = Constraint(
        b.T,
        rule=lambda b, t: (
            b.temperature_c[t]
            == keep(t) * (b.temperature_c[t - 1] if t else b.temperature_start_c)
            + (1 - keep(t)) * (outdoor_c(t) + resistance(t) * heat_kw(t))
        ),
    )
    b.band_zone_comfort = Constraint(
        b.T, rule=lambda b, t: inequality(low_c(t), b.temperature_c[t] + b.under_k[t] - b.over_k[t], high_c(t))
    )
    b.discomfort_eur = Expression(
        expr=b.discomfort_eur_per_kh
        * (
            b.step_h * sum(b.under_k[t] + b.over_k[t] for t in b.T)
            + b.resistance_k_per_kw * b.capacity_kwh_per_k * getattr(b, missing)[b.last]
        )
    )


def after_c(before_c: Floats, heat_kw: Floats, keep: Floats, resistance: Floats, outdoor_c: Floats) -> Floats:
    """Temperature at the end of a step, (1)."""
    return np.asarray(keep * before_c + (1.0 - keep) * (outdoor_c + resistance * heat_kw))


def needed_kw(before_c: Floats, after_c: Floats, keep: Floats, resistance: Floats, outdoor_c: Floats) -> Floats:
    """Heat that ends a step at a temperature: (1) solved for it."""
    return np.asarray(((after_c - keep * before_c) / (1.0 - keep) - outdoor_c) / resistance)


def comfort(p: Any, temperature_c: Floats, low_c: Floats, high_c: Floats) -> Values:
    """Flows of one step: how far the zone is off its band, and the price of it."""
    under, over = np.maximum(low_c - temperature_c, 0.0), np.maximum(temperature_c - high_c, 0.0)
    return {
        "under_k": under,
        "over_k": over,
        "discomfort_eur": p.step_h * p.discomfort_eur_per_kh * (under + over),
    }


def lasting(p: Any, missing_k: Floats) -> Values:
    """End cost: what is missing then lasts as long as the zone remembers, (3)."""
    hours = p.resistance_k_per_kw * p.capacity_kwh_per_k
    return {"discomfort_eur": p.discomfort_eur_per_kh * hours * np.maximum(missing_k, 0.0)}
