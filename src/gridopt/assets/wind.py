from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gridopt.assets.base import Column, Floats, Parameter, Prepared
from gridopt.assets.pv import PV
from gridopt.clock import Axis

MEASURED_AT_M = 10.0
"""Height at which weather services give the wind."""


class Wind(PV):
    """Wind turbine whose output may be curtailed: a PV plant that another weather drives.

    0 <= generation[t] <= available[t] = peak_kw * yield[t]                                                  (1)
    v[t] = wind[t] * (hub / 10 m) ** shear where the wind is given at 10 m, else wind[t]                     (2)
    yield = (v**3 - cut_in**3) / (rated_speed**3 - cut_in**3) for cut_in <= v < rated_speed                  (3)
            1 for rated_speed <= v < cut_out, else 0

    Ports        ac (electricity): - generation                                                               [kW]
    Variables    generation_kw[T]; none when ``curtailable`` is false (the output is then a constant)
    Decisions    none
    Assumes      the turbine follows any limit between 0 and what the wind gives, and starts again at once after
                 cut-out; wind steady over a step; losses in the yield, where one is given
    Source       (2) power law: C. G. Justus, A. Mikhail, "Height variation of wind speed and wind distributions
                 statistics", Geophys. Res. Lett. 3, 1976; 1/7 over open land. (3): cubic curve as in C. Carrillo et
                 al., "Review of power curve modelling for wind turbines", Renew. Sust. Energ. Rev. 21, 2013
    Cases        tests/cases/golden/wind-cubic (by hand), lamps-and-wind (linopy)
    """

    name = "wind"
    parameters = (
        Parameter("peak_kw", "rated power of the turbine, or the scale of the yield series", minimum=0),
        Parameter("wind_m_per_s", "wind speed, at 10 m or at the hub", kind="series", minimum=0, optional=True),
        Parameter("wind_at", "height of that wind", "ground", kind="choice", choices=("ground", "hub")),
        Parameter("hub_m", "height of the hub", 80.0, minimum=1),
        Parameter(
            "shear", "exponent of the wind over height: 0.14 open land, 0.25 suburbs", 0.14, minimum=0, maximum=1
        ),
        Parameter("cut_in_m_per_s", "wind at which it starts", 3.0, minimum=0),
        Parameter("rated_m_per_s", "wind from which it gives its rated power", 12.0, minimum=0.1),
        Parameter("cut_out_m_per_s", "wind at which it stops", 25.0, minimum=0.1),
        Parameter("yield_kw_per_kw", "output per kW of peak_kw, instead", kind="series", minimum=0, optional=True),
        Parameter("curtailable", "whether the output may be limited", True, kind="flag"),
    )
    ordered = (("cut_in_m_per_s", "rated_m_per_s"), ("rated_m_per_s", "cut_out_m_per_s"))
    either = ((("wind_m_per_s",), ("yield_kw_per_kw",)),)
    computed = (Column("available_kw", "output the wind allows", series=True),)
    forecasts = {"available_kw": "wind output"}

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        c: dict[str, Floats] = {p.name: user[p.name] for p in cls.parameters if p.kind in ("scalar", "series")}
        at_hub = np.asarray(user["wind_at"] == "hub", bool)
        rise = np.where(at_hub, 1.0, (c["hub_m"] / MEASURED_AT_M) ** c["shear"])
        speed = np.nan_to_num(c["wind_m_per_s"])
        law = cubic(speed * rise[:, None], c["cut_in_m_per_s"], c["rated_m_per_s"], c["cut_out_m_per_s"])
        share = np.where(np.isnan(c["yield_kw_per_kw"]), law, c["yield_kw_per_kw"])
        silent = (np.isnan(c["wind_m_per_s"]) & np.isnan(c["yield_kw_per_kw"])).any(axis=1)
        notes = [(int(k), "neither its wind nor its yield is given: it gives nothing") for k in np.flatnonzero(silent)]
        c |= {"wind_m_per_s": speed, "yield_kw_per_kw": share, "available_kw": c["peak_kw"][:, None] * share}
        return Prepared(c, structure=[(bool(f),) for f in user["curtailable"]], notes=notes)


def cubic(speed: Floats, cut_in: Floats, rated: Floats, cut_out: Floats) -> Floats:
    """(n, T) share of rated power at (n, T) wind speeds at the hub, (3) [m/s]."""
    low, top = cut_in[:, None] ** 3, rated[:, None] ** 3
    rising = np.divide(speed**3 - low, top - low, out=np.ones_like(speed), where=top - low > 1e-9)
    turns = (speed >= cut_in[:, None]) & (speed < cut_out[:, None])
    return np.where(turns, np.clip(rising, 0.0, 1.0), 0.0)
