"""The smallest scenario that shows a family: its required parameters, the nodes that its ports need, and prices."""

from __future__ import annotations

from typing import Any

from gridopt.assets.base import Family, Parameter
from gridopt.units import unit_of

USUAL = {
    "kW": 5.0, "kWh": 10.0, "kW/kW": 0.4, "kWh/K": 7.0, "K/kW": 5.0, "kW/K": 0.2, "°C": 5.0, "h": 2.0, "m³": 100.0,
    "m³/h": 20.0, "kWh/m³": 0.05, "m": 80.0, "m/s": 8.0, "EUR/kWh": 0.1, "EUR": 1.0, "": 0.5,
}  # fmt: skip
"""What a required number is in the example, by its unit …"""
NAMED = {"efficiency": 0.95, "demand_kw": 0.4, "lamp_kw": 0.1, "cop": 3.0}
"""… or by its name, where the unit alone says too little."""
ALSO: dict[str, dict[str, Any]] = {
    "ev-session": {"energy_kwh": 12.0},
    "hot-water-tank": {"power_kw": 1.5},
    "wind": {"wind_m_per_s": 8.0},
}
"""What is not required and yet needed for anything to happen."""
PRICES = {
    "electricity": ('"tariff"', 0.06), "heat": (0.12, 0.09), "gas": (0.08, 0.0), "hydrogen": (0.15, 0.08),
    "cold": (0.06, 0.03), "network": (0.07, 0.0),
}  # fmt: skip
"""Node or carrier → what a kWh costs and what one earns [EUR]."""
HEAD = """\
format = 1
title = "{title}"

[horizon]
start = "2026-03-16"
step_min = 60
"""
TARIFF = """
[schedule.tariff]
default = 0.28
rules = [{ from = "22:00", to = "06:00", value = 0.16 }]
"""
HOUSE = """
[asset.house]
family = "load"
node = "grid"
power_kw = 1.5
"""


def example(cls: type[Family]) -> str:
    """A scenario of one day with one such asset, as TOML: it loads and is planned as it stands."""
    at = _places(cls)
    carrier = dict(at.values())
    parts = [HEAD.format(title=f"One asset of the family {cls.name}")]
    if "grid" in carrier:
        parts.append(TARIFF)
    for node, of in carrier.items():
        parts.append(f'\n[node.{node}]\ncarrier = "{of}"\nimport_max_kw = 100\nexport_max_kw = 100\n')
    for node, of in carrier.items():
        buy, sell = PRICES.get(node) or PRICES[of]
        terms = f'kind = "energy"\nnode = "{node}"\nbuy_eur_per_kwh = {buy}\nsell_eur_per_kwh = {sell}\n'
        parts.append(f"\n[commitment.{node}]\n{terms}")
    if "grid" in carrier and cls.name != "load":
        parts.append(HOUSE)
    said = {key: f'"{node}"' for key, (node, _) in at.items()} | _values(cls)
    keys = "".join(f"{key} = {value}\n" for key, value in said.items())
    return "".join([*parts, f'\n[asset.my-{cls.name}]\nfamily = "{cls.name}"\n{keys}'])


def _places(cls: type[Family]) -> dict[str, tuple[str, str]]:
    """Key of a port → its node and the node's carrier."""
    found: dict[str, tuple[str, str]] = {}
    for port in cls.ports:
        taken = {of for _, of in found.values()}
        carrier = port.carriers[0] if port.carriers else next(c for c in PRICES if c not in taken)
        place = port.parameter.removesuffix("_node") if port.parameter.endswith("_node") else carrier
        found.setdefault(port.parameter, ("grid" if carrier == "electricity" else place, carrier))
    return found


def _values(cls: type[Family]) -> dict[str, str]:
    """What must be said, and a little of what need not be."""
    also = ALSO.get(cls.name, {})
    times = iter(('"08:00"', '"17:00"', '"12:00"'))
    said: dict[str, str] = {}
    for p in cls.parameters:
        if p.required:
            said[p.name] = next(times) if p.kind == "time" else _usual(p)
        elif p.name in also:
            said[p.name] = f"{also[p.name]:g}"
    return said


def _usual(p: Parameter) -> str:
    if p.kind == "choice":
        return f'"{p.choices[0]}"'
    if p.kind == "flag":
        return "true"
    share = 0.4 if "_min" in p.name else 0.5 if "_start" in p.name else 1.0
    number = NAMED.get(p.name, share * USUAL.get(unit_of(p.name), 1.0))
    text = f"{min(max(number, p.minimum), p.maximum):g}"
    return f"[{text}, {text}]" if p.kind == "list" else text
