"""Weather as Open-Meteo answers it: forecasts, archives and past forecasts, by the hour or the quarter of an hour."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from gridopt.intake.batch import US, Batch, Deed, Finding, Series, merged, qualities
from gridopt.intake.sheet import Unreadable, decoded
from gridopt.intake.stamps import NOWHERE, gaps, iso, lengths, ordered

BLOCKS = ("minutely_15", "hourly")
VARIABLES: dict[str, tuple[str, str, float]] = {
    "temperature_2m": ("temperature_c", "°C", 1.0),
    "shortwave_radiation": ("ghi_w_per_m2", "W/m²", 1.0),
    "direct_normal_irradiance": ("dni_w_per_m2", "W/m²", 1.0),
    "diffuse_radiation": ("dhi_w_per_m2", "W/m²", 1.0),
    "wind_speed_10m": ("wind_speed_m_per_s", "m/s", 1.0),
    "windspeed_10m": ("wind_speed_m_per_s", "m/s", 1.0),
}
"""Variable → quantity, the unit that it must be in, factor."""
KM_PER_H = {"km/h": 1 / 3.6, "m/s": 1.0, "kn": 0.514444, "mp/h": 0.44704, "mph": 0.44704}
BACKWARD = frozenset({"ghi_w_per_m2", "dni_w_per_m2", "dhi_w_per_m2"})
"""Means of the interval before their time; all else is of the instant, taken for the interval that begins with it."""
WHAT = 'an answer of Open-Meteo is JSON with "hourly" or "minutely_15" and "time" in it'


def open_meteo(content: bytes, name: str) -> Batch:
    """The series of an answer; source: its place as ``50.63,3.06``. Raises Unreadable where it is none."""
    try:
        data = json.loads(decoded(content))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{WHAT}: {error}") from error
    series: list[Series] = []
    findings: list[Finding] = []
    for place in data if isinstance(data, list) else [data]:
        if isinstance(place, dict) and place.get("error"):
            raise Unreadable(f"the service answered with an error: {place.get('reason', 'no reason given')}")
        for block in BLOCKS:
            if isinstance(place, dict) and isinstance(place.get(block), dict) and "time" in place[block]:
                made, more = _block(place, block)
                series += made
                findings += more
    if not series:
        raise Unreadable(WHAT)
    return Batch(series, findings=merged(findings))


def _block(place: dict[str, Any], block: str) -> tuple[list[Series], list[Finding]]:
    values, units = place[block], place.get(f"{block}_units") or {}
    utc = _times(values["time"], place)
    source = f"{float(place.get('latitude', 0)):.2f},{float(place.get('longitude', 0)):.2f}"
    series, findings = [], []
    for variable, numbers in values.items():
        if variable == "time":
            continue
        if variable not in VARIABLES or not isinstance(numbers, list) or len(numbers) != len(utc):
            findings.append(Finding(Deed.FLAGGED, "left-out", f"{variable}: left out"))
            continue
        quantity, unit, factor = VARIABLES[variable]
        said = units.get(variable, unit)
        if unit == "m/s" and said in KM_PER_H:
            factor = KM_PER_H[said]
        elif said != unit:
            findings.append(Finding(Deed.REFUSED, "unit", f"{variable} is in {said}, not in {unit}: left out"))
            continue
        value = np.array([np.nan if v is None else float(v) for v in numbers]) * factor
        start, (kept,), more = ordered(utc, value)
        step_s, others = lengths(start, 900 if block == BLOCKS[0] else 3600)
        findings += [*more, *others, *gaps(start, step_s)]
        if quantity in BACKWARD:
            start = start - step_s * US
        lost = int(np.isnan(kept).sum())
        if lost:
            findings.append(Finding(Deed.FLAGGED, "missing", f"{variable}: no value", lost))
        series.append(Series(source, quantity, start, step_s, kept, qualities(kept)))
    return series, findings


def _times(times: Any, place: dict[str, Any]) -> Any:
    """UTC [µs]. An answer in local time carries one offset for all of it, that of the request."""
    if isinstance(times, list) and times and all(isinstance(t, (int, float)) for t in times):
        return np.array(times, np.int64) * US  # timeformat=unixtime is UTC whatever the zone
    texts = [t if isinstance(t, str) else "" for t in times] if isinstance(times, list) else []
    if not texts:
        raise Unreadable(WHAT)
    local = iso(pa.chunked_array([pa.array(texts, pa.string())]))
    offset = place.get("utc_offset_seconds", 0)
    if not isinstance(offset, int):
        raise Unreadable(WHAT)
    return np.where(local == NOWHERE, NOWHERE, local - offset * US)
