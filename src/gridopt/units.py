"""The one unit rule: kW, kWh, h, EUR, °C, fractions; a name ends with its unit.

Positive power draws from the node (load convention). Conversion happens at the edge only: in the codec for wires, in
the report for eyes.
"""

from __future__ import annotations

from fractions import Fraction

# Longest suffix first: `_eur_per_kwh` must not be read as `_kwh`.
SUFFIXES: dict[str, str] = {
    "_eur_per_kwh_per_h": "EUR/(kWh·h)",
    "_eur_per_kwh": "EUR/kWh",
    "_eur_per_kw": "EUR/kW",
    "_eur_per_kh": "EUR/(K·h)",
    "_eur_per_h": "EUR/h",
    "_eur_per_t": "EUR/t",
    "_kw_per_kwp": "kW/kWp",
    "_kw_per_kw": "kW/kW",
    "_kw_per_m2": "kW/m²",
    "_w_per_m2": "W/m²",
    "_kw_per_k": "kW/K",
    "_kwh_per_kwh": "kWh/kWh",
    "_kwh_per_k": "kWh/K",
    "_k_per_kw": "K/kW",
    "_kwh_per_m3": "kWh/m³",
    "_kg_per_kwh": "kg/kWh",
    "_g_per_kwh": "g/kWh",
    "_m3_per_h": "m³/h",
    "_per_day": "1/day",
    "_m_per_s": "m/s",
    "_per_h": "1/h",
    "_per_k": "1/K",
    "_kwh": "kWh",
    "_kw": "kW",
    "_m3": "m³",
    "_kh": "K·h",
    "_eur": "EUR",
    "_hz": "Hz",
    "_kg": "kg",
    "step_min": "min",
    "_deg": "°",
    "_h": "h",
    "_m": "m",
    "_c": "°C",
    "_k": "K",
    "_a": "A",
    "_s": "s",
    "_v": "V",
}


def unit_of(name: str) -> str:
    """Unit of a quantity, read from the end of its name; '' for a fraction, a flag or a count."""
    for suffix, unit in SUFFIXES.items():
        if name.endswith(suffix):
            return unit
    return ""


WIRE: dict[str, dict[str, Fraction]] = {
    "kW": {"mW": Fraction(1, 10**6), "W": Fraction(1, 1000), "kW": Fraction(1), "MW": Fraction(1000)},
    "kWh": {"Wh": Fraction(1, 1000), "kWh": Fraction(1), "MWh": Fraction(1000)},
    "V": {"mV": Fraction(1, 1000), "V": Fraction(1), "kV": Fraction(1000)},
    "A": {"mA": Fraction(1, 1000), "A": Fraction(1)},
    "Hz": {"mHz": Fraction(1, 1000), "Hz": Fraction(1)},
    "°C": {"°C": Fraction(1)},
    "K": {"K": Fraction(1)},
    "s": {"ms": Fraction(1, 1000), "s": Fraction(1), "min": Fraction(60), "h": Fraction(3600)},
    "h": {"s": Fraction(1, 3600), "min": Fraction(1, 60), "h": Fraction(1)},
    "m³": {"l": Fraction(1, 1000), "m³": Fraction(1)},
    "m³/h": {"l/h": Fraction(1, 1000), "l/min": Fraction(60, 1000), "m³/h": Fraction(1)},
    "EUR/kWh": {"EUR/MWh": Fraction(1, 1000), "ct/kWh": Fraction(1, 100), "EUR/kWh": Fraction(1)},
    "": {"%": Fraction(1, 100), "": Fraction(1)},
}
"""Unit of gridopt → units that documents write → factor."""
