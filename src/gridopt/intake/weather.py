"""Weather as Open-Meteo answers it: forecasts, archives and past forecasts, by the hour or the quarter of an hour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from gridopt.intake.batch import US, Batch, Deed, Finding, Series, merged, qualities
from gridopt.intake.sheet import Unreadable, decoded, json_of
from gridopt.intake.stamps import NOWHERE, gaps, iso, lengths, of_our_age, ordered

STEPS_S = {"minutely_15": 900, "hourly": 3600}
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
    data = json_of(decoded(content))
    series: list[Series] = []
    findings: list[Finding] = []
    for place in data if isinstance(data, list) else [data]:
        if isinstance(place, dict) and place.get("error"):
            raise Unreadable(f"the service answered with an error: {place.get('reason', 'no reason given')}")
        finer: dict[str, Series] = {}
        for block in STEPS_S:
            if isinstance(place, dict) and isinstance(place.get(block), dict) and "time" in place[block]:
                made, more = _block(place, block)
                series += [_beside(s, finer[s.quantity]) if s.quantity in finer else s for s in made]
                finer = {s.quantity: s for s in made}
                findings += more
    if not series:
        raise Unreadable(WHAT)
    return Batch(series, findings=merged(findings))


def _beside(coarse: Series, fine: Series) -> Series:
    """The rows of a series that no finer one of the same quantity says."""
    if not len(fine.time):
        return coarse
    first, last = fine.time[0], fine.time[-1] + fine.step_s[-1] * US
    rows = (coarse.time + coarse.step_s * US <= first) | (coarse.time >= last)
    columns = (c[rows] for c in (coarse.time, coarse.step_s, coarse.value, coarse.quality))
    return Series(coarse.source, coarse.quantity, *columns)


def _block(place: dict[str, Any], block: str) -> tuple[list[Series], list[Finding]]:
    values, units = place[block], place.get(f"{block}_units")
    units = units if isinstance(units, dict) else {}
    utc = _times(values["time"], place)
    latitude, longitude = (_number(place.get(key)) for key in ("latitude", "longitude"))
    if np.isnan(latitude) or np.isnan(longitude):
        raise Unreadable(f"{WHAT}, and with latitude and longitude")
    source = f"{latitude:.2f},{longitude:.2f}"
    series, findings = [], []
    for variable, numbers in values.items():
        if variable == "time":
            continue
        if variable not in VARIABLES or not isinstance(numbers, list) or len(numbers) != len(utc):
            findings.append(Finding(Deed.FLAGGED, "left-out", f"{variable}: left out"))
            continue
        quantity, unit, factor = VARIABLES[variable]
        said = str(units.get(variable, unit))
        if unit == "m/s" and said in KM_PER_H:
            factor = KM_PER_H[said]
        elif said != unit:
            findings.append(Finding(Deed.REFUSED, "unit", f"{variable} is in {said}, not in {unit}: left out"))
            continue
        value = np.array([_number(v) for v in numbers]) * factor
        start, (kept,), more = ordered(utc, value)
        step_s, others = lengths(start, STEPS_S[block], "end" if quantity in BACKWARD else "start")
        if quantity in BACKWARD:
            start = start - step_s * US
        findings += [*more, *others, *gaps(start, step_s)]
        lost = int(np.isnan(kept).sum())
        if lost:
            findings.append(Finding(Deed.FLAGGED, "missing", f"{variable}: no value", lost))
        series.append(Series(source, quantity, start, step_s, kept, qualities(kept)))
    return series, findings


def _number(value: Any) -> float:
    """A finite number of JSON; NaN for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
        return float("nan")
    return float(value)


def _times(times: Any, place: dict[str, Any]) -> Any:
    """UTC [µs]. An answer in local time carries one offset for all of it, that of the request."""
    if isinstance(times, list) and times and not any(isinstance(t, str) for t in times):
        seconds = np.array([_number(t) for t in times])  # timeformat=unixtime is UTC whatever the zone
        return of_our_age(seconds * US)
    texts = [t if isinstance(t, str) else "" for t in times] if isinstance(times, list) else []
    if not texts:
        raise Unreadable(WHAT)
    local = iso(pa.chunked_array([pa.array(texts, pa.string())]))
    offset = place.get("utc_offset_seconds", 0)
    if isinstance(offset, bool) or not isinstance(offset, int) or abs(offset) > 86_400:
        raise Unreadable(WHAT)
    return np.where(local == NOWHERE, NOWHERE, local - offset * US)
