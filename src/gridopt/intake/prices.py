"""Day-ahead prices as SMARD and ENTSO-E export them."""

from __future__ import annotations

import re

import numpy as np

from gridopt.intake.batch import US, Batch, Deed, Finding, Floats, Instants, Series, merged, qualities
from gridopt.intake.sheet import Sheet, Unreadable, decoded, no_numbers, numbers, sheet
from gridopt.intake.stamps import NOWHERE, Ints, gaps, local_to_utc, ordered, parsed, utc_stamp

PER_KWH = 1000.0
"""EUR/MWh in a EUR/kWh."""
SMARD_ZONE = "Europe/Berlin"
SMARD_START = ("Datum von", "Start date")
SMARD_END = ("Datum bis", "End date")
SMARD_STAMPS = ("%d.%m.%Y %H:%M", "%b %d, %Y %I:%M %p")
SMARD_COLUMN = re.compile(r"(?P<area>.+?) \[€/MWh\].*")
AREAS = {
    "Deutschland/Luxemburg": "de-lu",
    "Germany/Luxembourg": "de-lu",
    "DE/AT/LU": "de-at-lu",
    "Belgien": "be",
    "Belgium": "be",
    "Frankreich": "fr",
    "France": "fr",
    "Niederlande": "nl",
    "Netherlands": "nl",
    "Österreich": "at",
    "Austria": "at",
    "Schweiz": "ch",
    "Switzerland": "ch",
    "Dänemark 1": "dk1",
    "Denmark 1": "dk1",
    "Dänemark 2": "dk2",
    "Denmark 2": "dk2",
}
"""Bidding zones by the names of the export; others are called by theirs."""
ENTSOE_TIME = re.compile(r"MTU \((?P<zone>[^)]+)\)")
ENTSOE_PRICE = re.compile(r"(Day-ahead Price|Price).*(EUR/MWh).*", re.I)
ENTSOE_ZONES = {"CET/CEST": "Europe/Paris", "UTC": "UTC", "WET/WEST": "Europe/Lisbon", "EET/EEST": "Europe/Helsinki"}
ENTSOE_STAMPS = ("%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M")
QUANTITY = "price_eur_per_kwh"


def smard(content: bytes, name: str) -> Batch:
    """A SMARD export ("Großhandelspreise"): semicolons, decimal commas, naive Berlin time, a column per zone."""
    found = sheet(decoded(content), ";")
    begin, end = (next((n for n in names if n in found.columns), None) for names in (SMARD_START, SMARD_END))
    areas = {m["area"]: column for column in found.columns if (m := SMARD_COLUMN.fullmatch(column))}
    if begin is None or end is None or not areas:
        raise Unreadable('a SMARD export has the columns "Datum von", "Datum bis" and prices in [€/MWh]')
    first, last = (_smard_stamps(found, c) for c in (begin, end))
    utc, findings = local_to_utc(first, SMARD_ZONE)
    until, _ = local_to_utc(last, SMARD_ZONE)
    length = _lengths(first, last, utc, until)
    comma = begin == SMARD_START[0]
    values: dict[str, Floats] = {}
    empty = []
    for area, column in areas.items():
        value, wrong = numbers(found.columns[column], comma, thousands=not comma)
        findings += no_numbers(area, wrong)
        if np.isnan(value).all():
            empty.append(area)
        else:
            values[AREAS.get(area, _slug(area))] = value
    if empty:
        findings.append(Finding(Deed.FLAGGED, "empty-column", f"no value for {', '.join(empty)}; left out", len(empty)))
    series, more = _series(utc, length, values)
    return Batch(series, findings=merged([*found.findings, *findings, *more]))


def _smard_stamps(found: Sheet, column: str) -> Instants:
    texts = found.texts(column)
    stamps = [parsed(texts, form) for form in SMARD_STAMPS]
    return max(stamps, key=lambda s: int((s != NOWHERE).sum()))


def _lengths(first: Instants, last: Instants, utc: Instants, until: Instants) -> Ints:
    """(n,) length of every row [s]; over a change of clocks what the wall clock says, which is the row's step."""
    wall = (last - first) // US
    real = (until - utc) // US
    usual = int(np.median(wall[wall > 0])) if (wall > 0).any() else 3600
    near = (real > 0) & (np.abs(real - wall) <= 3600)
    return np.where((wall > 0) & (wall <= 3600), wall, np.where(near, real, usual))


def entsoe(content: bytes, name: str) -> Batch:
    """An ENTSO-E transparency export of day-ahead prices: "MTU (CET/CEST)" or "MTU (UTC)", one price a row."""
    found = sheet(decoded(content))
    time = next(((c, m["zone"]) for c in found.columns if (m := ENTSOE_TIME.fullmatch(c))), None)
    price = next((c for c in found.columns if ENTSOE_PRICE.fullmatch(c)), None)
    if time is None or price is None:
        raise Unreadable('an ENTSO-E export has a column "MTU (CET/CEST)" or "MTU (UTC)" and a price in EUR/MWh')
    column, zone = time
    if zone not in ENTSOE_ZONES:
        raise Unreadable(f"its times are in {zone}; known are {', '.join(ENTSOE_ZONES)}")
    halves = [[*_bare(t).split(" - "), ""] for t in found.texts(column)]
    first, last = (_entsoe_stamps([h[k] for h in halves]) for k in (0, 1))
    value, wrong = numbers(found.columns[price])
    areas = found.texts("Area") if "Area" in found.columns else [""] * found.rows
    sequences = found.texts("Sequence") if "Sequence" in found.columns else [""] * found.rows
    labels = np.array([_label(a, s) for a, s in zip(areas, sequences, strict=True)], object)
    utc, findings = local_to_utc(first, ENTSOE_ZONES[zone], labels)
    until, _ = local_to_utc(last, ENTSOE_ZONES[zone], labels)
    findings += no_numbers(price, wrong)
    series: list[Series] = []
    length = _lengths(first, last, utc, until)
    for label in dict.fromkeys(labels):
        rows = labels == label
        made, more = _series(utc[rows], length[rows], {label: value[rows]})
        series += made
        findings += more
    return Batch(series, findings=merged([*found.findings, *findings]))


def _label(area: str, sequence: str) -> str:
    return "-".join(_slug(p) for p in (area, sequence) if p and p != "Without Sequence") or "day-ahead"


def _bare(text: str) -> str:
    """``01.01.2024 00:00 (CET) - …`` without what is in brackets."""
    return re.sub(r" *\([^)]*\)", "", text)


def _entsoe_stamps(texts: list[str]) -> Instants:
    stamps = [parsed(texts, form) for form in ENTSOE_STAMPS]
    return max(stamps, key=lambda s: int((s != NOWHERE).sum()))


def _series(utc: Instants, length: Ints, values: dict[str, Floats]) -> tuple[list[Series], list[Finding]]:
    """Series of prices [EUR/MWh] that share their rows, and what was found in those."""
    start, (step_s, *prices), findings = ordered(utc, length, *values.values())
    changes = np.flatnonzero(np.diff(step_s) != 0)
    if len(changes):
        k = int(changes[0])
        text = f"the step changes from {step_s[k] // 60} min to {step_s[k + 1] // 60} min"
        findings.append(Finding(Deed.REPAIRED, "step-changes", text, len(changes), utc_stamp(int(start[k + 1]))))
    findings += gaps(start, step_s)
    series = []
    for source, price in zip(values, prices, strict=True):
        lost = np.flatnonzero(np.isnan(price))
        if len(lost):
            first = utc_stamp(int(start[lost[0]]))
            findings.append(Finding(Deed.FLAGGED, "missing", f"{source}: no price", len(lost), first))
        series.append(Series(source, QUANTITY, start, step_s.astype(np.int64), price / PER_KWH, qualities(price)))
    return series, findings


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "area"
