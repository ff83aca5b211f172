"""Words that messages are made of: values as they would be written, lists, the nearest known name, the other unit."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any

from gridopt.units import unit_of

MANY = 12
FOREIGN_UNITS: dict[str, str] = {
    "_eur_per_mwh": "EUR/MWh",
    "_kwh_per_h": "kWh/h",
    "_mwh": "MWh",
    "_kva": "kVA",
    "_mw": "MW",
    "_wh": "Wh",
    "_va": "VA",
    "_w": "W",
    "_kwp": "kWp",
    "_percent": "%",
    "_pct": "%",
}
"""Units of the trade that gridopt does not take as they are. Longest first: ``_eur_per_mwh`` is not ``_mwh``."""


def quoted(value: Any) -> str:
    """A value as it would stand in TOML, cut when long."""
    match value:
        case bool():
            text = "true" if value else "false"
        case str():
            text = '"' + value + '"'
        case datetime() | date() | time():
            text = value.isoformat()
        case dict():
            text = "{…}"
        case list():
            text = "[" + ", ".join(quoted(item) for item in value) + "]"
        case float() if value.is_integer() and abs(value) < 1e15:
            text = str(int(value))
        case _:
            text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def some(names: Iterable[str], most: int = 3) -> str:
    """The first few names in order, and how many more there are."""
    known = sorted(set(names))
    rest = len(known) - most
    return listed(known[:most]) + (f" and {rest} more" if rest > 0 else "")


def nearest(name: str, known: Iterable[str], alike: float = 0.6) -> str | None:
    """The known name most like the one written, or None when nothing comes close."""
    names = sorted(known)
    lower = {n.lower(): n for n in reversed(names)}
    found = difflib.get_close_matches(name.lower(), sorted(lower), n=1, cutoff=alike)
    return lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str], what: str = "it takes") -> str:
    """``; did you mean bat-a?``, else the short list of what there is, else nothing."""
    names = sorted(known)
    close = nearest(name, names)
    if close:
        return f"; did you mean {close}?"
    if not names:
        return "; there is none"
    if len(names) == 1:
        return f"; there is only {names[0]}"
    return f"; {what} {listed(names)}" if len(names) <= MANY else ""


def key_hint(key: str, known: Iterable[str]) -> str:
    """As ``did_you_mean``, and first of all the same quantity in another unit: power_w → power_kw, in kW."""
    names = sorted(known)
    stem = _stem(key)
    for name in names:
        if stem and name != key and _stem(name) == stem and unit_of(name) and name != stem:
            return f"; did you mean {name}? Write the value in {unit_of(name)}"
    return did_you_mean(key, names)


def foreign_unit(name: str) -> str:
    """Unit of a name that ends with a unit gridopt does not take; '' for any other."""
    return next((unit for suffix, unit in FOREIGN_UNITS.items() if name.endswith(suffix)), "")


def _stem(name: str) -> str:
    """A name without the unit at its end."""
    for suffix in FOREIGN_UNITS:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    unit = unit_of(name)
    if not unit or unit == "min":  # soc_min is an edge, not minutes
        return name
    parts = name.split("_")
    return next(
        ("_".join(parts[:k]) for k in range(len(parts) - 1, 0, -1) if unit_of("_" + "_".join(parts[k:])) == unit), name
    )


def doc_with_unit(name: str, doc: str) -> str:
    """``largest power [kW]``; an edge such as soc_min is not minutes."""
    unit = unit_of(name)
    return f"{doc} [{unit}]" if unit and unit != "min" else doc
