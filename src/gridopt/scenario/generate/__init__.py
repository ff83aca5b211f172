"""The project's own seeded series: weather, PV, loads, prices, CO₂, heat and EV sessions for a site near Lille.

``KINDS`` names every series that a scenario may ask for; ``KINDS["pv"](axis, 3, tilt_deg=20.0)`` checks the
parameters and returns one float64 value a step. ``ev_sessions`` returns sessions instead of a series.

What holds for all of them
- A value belongs to (seed, kind, parameters, UTC instant). Random numbers are counted from absolute intervals and days,
  never from the horizon's start: two horizons agree wherever they overlap.
- Every kind is made on absolute cells of 5 or 15 minutes and averaged onto the axis. A coarser step is therefore the
  mean of the finer one, exactly but for the rounding of both to 6 decimals; a step finer than its cells repeats them.
- People's habits and prices follow local wall-clock time, weekday and French public holidays; weather follows the sun.
- One seed is one sky: ``pv``, ``ghi`` and ``window`` of a seed share their clouds, ``outdoor`` warms and cools with
  them, ``space-heat``, ``co2`` and ``tempo`` follow that ``outdoor``.
- Results have 6 decimals, no negative zero and no NaN: tiny right-hand sides disturb a solver.

These are models for tests and demonstrations, not data. Where a docstring says (A), the figure is our assumption; the
calibration targets (yield of PV, degree-days, sizes, prices, sessions) are usual values of the trade for the area, not
measurements, and every one can be overridden by a parameter or replaced by a series of one's own.

Where to look, from the bottom up
    parameters   what may be given, and every reason why it cannot be used
    noise        random numbers that belong to a place, not to a run
    seasons      the place in the year
    cells        the absolute time grid, and the means over an axis
    kinds        a function of cells → a series that a scenario may ask for
    habits       hourly tables and scatter, for what people do
    sky          sun, clouds, irradiance            solar     ghi, pv, window
    weather      outdoor                            heat      dhw, space-heat, cop
    loads        household … hospital               market    price, co2
    tempo        a price by coloured days           bookings  when rooms are booked
    night        night                              process   sewage, hydrogen
    sessions     ev_sessions
A new kind is one function under ``@kind`` in the module it resembles, and its name below.
"""

from __future__ import annotations

from gridopt.holidays import is_school_holiday, public_holidays
from gridopt.scenario.generate.bookings import booked_share
from gridopt.scenario.generate.heat import cop_kwh_per_kwh, dhw_kw, space_heat_kw
from gridopt.scenario.generate.kinds import Kind
from gridopt.scenario.generate.loads import hospital_kw, household_kw, office_kw, parking_kw, school_kw, shop_kw
from gridopt.scenario.generate.market import PRICE_LEVELS, co2_g_per_kwh, price_eur_per_kwh
from gridopt.scenario.generate.night import night_share
from gridopt.scenario.generate.parameters import Complaint, Option, Parameter, complaints, nearest
from gridopt.scenario.generate.process import hydrogen_kw, sewage_m3_per_h
from gridopt.scenario.generate.sessions import EV_PARAMETERS, EV_PATTERNS, EvSession, ev_sessions
from gridopt.scenario.generate.sky import sun_direction
from gridopt.scenario.generate.solar import INVERTER_WAKES_AT, ghi_w_per_m2, pv_kw_per_kwp, solar_gain_kw_per_m2
from gridopt.scenario.generate.tempo import tempo_eur_per_kwh
from gridopt.scenario.generate.weather import outdoor_c

__all__ = [
    "EV_PARAMETERS",
    "EV_PATTERNS",
    "INVERTER_WAKES_AT",
    "KINDS",
    "PRICE_LEVELS",
    "Complaint",
    "EvSession",
    "Kind",
    "Option",
    "Parameter",
    "complaints",
    "ev_sessions",
    "is_school_holiday",
    "nearest",
    "public_holidays",
    "sun_direction",
]

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        ghi_w_per_m2,
        pv_kw_per_kwp,
        solar_gain_kw_per_m2,
        outdoor_c,
        household_kw,
        office_kw,
        school_kw,
        shop_kw,
        parking_kw,
        hospital_kw,
        booked_share,
        price_eur_per_kwh,
        tempo_eur_per_kwh,
        co2_g_per_kwh,
        dhw_kw,
        space_heat_kw,
        cop_kwh_per_kwh,
        night_share,
        sewage_m3_per_h,
        hydrogen_kw,
    )
}
"""Every series that a scenario may ask for, by its name there."""
