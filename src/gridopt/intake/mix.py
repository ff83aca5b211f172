"""The French mix as RTE publishes it (éCO2mix): consumption and the CO₂ of a kilowatt-hour.

Two shapes: RTE's own file (tab-separated, called .xls, Latin letters of Windows, a quarter of an hour a row of which
every second holds forecasts only) and the open-data portal's CSV (semicolons, "Date et Heure" with its offset).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gridopt.intake.batch import Batch, Deed, Finding, Floats, Instants, Series, merged, qualities
from gridopt.intake.sheet import Sheet, Unreadable, decoded, no_numbers, numbers, sheet
from gridopt.intake.stamps import NOWHERE, gaps, iso, lengths, local_to_utc, ordered, utc_stamp

ZONE = "Europe/Paris"
PLACE, DAY, HOURS, BOTH = "Périmètre", "Date", ("Heures", "Heure"), "Date et Heure"
COLUMNS = {
    "consommation": ("power_kw", 1000.0),
    "taux de co2": ("co2_g_per_kwh", 1.0),
}
"""What a column begins with, in small letters → quantity, factor."""
WHAT = 'an éCO2mix file has the columns "Périmètre", "Date", "Heures" (or "Date et Heure") and "Consommation"'


def eco2mix(content: bytes, name: str) -> Batch:
    """Consumption and CO₂ per region. Raises Unreadable where the file is none."""
    found = sheet(decoded(content))
    if PLACE not in found.columns or not any(c.startswith("Consommation") for c in found.columns):
        raise Unreadable(WHAT)
    places = np.array([t.strip().lower().replace(" ", "-") or "france" for t in found.texts(PLACE)], object)
    utc, findings = _times(found, places)
    values: dict[str, Floats] = {}
    for column in found.columns:
        for begin, (quantity, factor) in COLUMNS.items():
            if column.lower().startswith(begin) and quantity not in values:
                number, wrong = numbers(found.columns[column])
                values[quantity] = number * factor
                findings += no_numbers(column, wrong)
    said = ~np.isnan(np.array(list(values.values()))).all(0) & (utc != NOWHERE)
    series: list[Series] = []
    for place in dict.fromkeys(places[said]):
        rows = said & (places == place)
        start, kept, more = ordered(utc[rows], *(v[rows] for v in values.values()))
        step_s, others = lengths(start)
        findings += [*more, *others, *gaps(start, step_s)]
        for quantity, value in zip(values, kept, strict=True):
            lost = np.flatnonzero(np.isnan(value))
            if len(lost) == len(value):
                continue
            if len(lost):
                first = utc_stamp(int(start[lost[0]]))
                findings.append(Finding(Deed.FLAGGED, "missing", f"{place}: {quantity}: no value", len(lost), first))
            series.append(Series(str(place), quantity, start, step_s, value, qualities(value)))
    if not series:
        raise Unreadable(WHAT)
    return Batch(series, findings=merged([*found.findings, *findings]))


def _times(found: Sheet, places: Any) -> tuple[Instants, list[Finding]]:
    """(n,) UTC of every row. Rows that only say who is not liable for what have none, and are no defect."""
    if BOTH in found.columns:
        return iso(pc.utf8_trim_whitespace(found.columns[BOTH].cast(pa.string()))), []
    hours = next((h for h in HOURS if h in found.columns), None)
    if DAY not in found.columns or hours is None:
        raise Unreadable(WHAT)
    day, hour = (pc.utf8_trim_whitespace(found.columns[c].cast(pa.string())) for c in (DAY, hours))
    return local_to_utc(iso(pc.binary_join_element_wise(day, hour, " ")), ZONE, places)
