"""Load curves as Enedis delivers them, told apart by their content: R50, R4x, R63 and DataConnect.

| file               | stamps                    | a stamp is the | values                 |
|--------------------|---------------------------|----------------|------------------------|
| R50 (XML)          | with offset               | end            | W over 30 min          |
| R4x (XML)          | with offset               | start          | kW over 5 or 10 min    |
| R63 (JSON, CSV)    | with offset               | see below      | W or kW over its step  |
| DataConnect (JSON) | local time without offset | end            | W over its step        |

In an R63, points of a Linky (nature B) carry the end of their interval, those of a larger meter (R) its start; without
either, steps of 5 and 10 minutes are a larger meter's.

So midnight belongs to the day that ends with it, and the hour that clocks repeat is told apart by its order where there
is no offset. What is drawn becomes ``import_kw``, what is fed in ``export_kw``, of the delivery point's number.

Source: Enedis, guides of the flows R50 (GUI.0318), R4x (GUI.0408) and R6X (GUI.0503); DataConnect, Metering v4/v5.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from gridopt.intake.archive import members
from gridopt.intake.batch import GUESSED, US, Batch, Deed, Finding, Series, merged, qualities
from gridopt.intake.sheet import Unreadable, decoded, json_of, numbers, sheet
from gridopt.intake.stamps import NOWHERE, Ints, gaps, is_aware, iso, local_to_utc, ordered, utc_stamp

ZONE = "Europe/Paris"
DIRECTIONS = {"CONS": "import", "PROD": "export"}
ACTIVE = ("EA", "PA")
UNITS = {"W": 1e-3, "kW": 1.0, "Wh": None, "kWh": None}
SMALL, LARGE = "B", "R"
"""Natures of a value as the meter gave it: of a Linky, of a meter above 36 kVA."""
REBUILT = frozenset("EDHPKC")
"""Natures of values that were estimated, brought in, rebuilt, computed or corrected."""
CUT = frozenset("STFG")
"""Natures of a value while the supply was cut: a true zero, and no gap."""
DURATION = re.compile(r"PT(?:(\d{1,2})H)?(?:(\d{1,3})M)?")
WHAT = "an Enedis load curve is an R50 or R4x (XML), an R63 (JSON or CSV) or an answer of DataConnect (JSON)"


@dataclass
class Curve:
    """One curve as it stands in a file, point by point."""

    prm: str
    direction: str
    unit: str
    ends: bool | None = None
    """Whether a stamp is the end of its interval; None: by the natures of the points."""
    stamps: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    natures: list[str] = field(default_factory=list)
    steps_s: list[int] = field(default_factory=list)

    def add(self, stamp: str, value: str | None, nature: str, step_s: int) -> None:
        self.stamps.append(stamp)
        self.values.append("" if value is None else value)
        self.natures.append(nature)
        self.steps_s.append(step_s)


@dataclass
class _Found:
    """What was found in a file: curves, and how many of what was left out."""

    curves: list[Curve] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def left_out(self, what: str) -> None:
        self.findings.append(Finding(Deed.FLAGGED, "left-out", f"{what}: left out"))


def read(content: bytes, name: str) -> Batch:
    """The curves of a file, or of every file in an archive. Raises Unreadable where there is none."""
    found = _Found()
    for member in members(content):
        _any(member, found)
    if not found.curves and not found.findings:
        raise Unreadable(WHAT)
    series: list[Series] = []
    findings = list(found.findings)
    for curve in _joined(found.curves):
        made, more = _series(curve)
        findings += more
        if made is not None:
            series.append(made)
    return Batch(series, findings=merged(findings))


def _any(content: bytes, found: _Found) -> None:
    text = decoded(content)
    head = text.lstrip()[:1]
    if head == "<":
        _xml(text, found)
    elif head in ("{", "["):
        _json(text, found)
    else:
        _csv(text, found)


# --- XML -------------------------------------------------------------------------------------------------------------


def _xml(text: str, found: _Found) -> None:
    if "<!DOCTYPE" in text:  # no flow has one; what it defines may grow without end
        raise Unreadable(f"{WHAT}; XML with a DOCTYPE is none")
    try:
        root = ET.fromstring(text.encode() if text.lstrip().startswith("<?xml") else text)
    except (ET.ParseError, ValueError) as error:
        raise Unreadable(f"the XML is broken: {error}") from error
    kind = _bare(root.tag)
    if kind == "R50":
        _r50(root, found)
    elif kind == "Courbe":
        _r4x(root, found)
    else:
        raise Unreadable(f"{WHAT}; this is {kind}")


def _bare(tag: str) -> str:
    return tag.rpartition("}")[2]


def _all(root: ET.Element, tag: str) -> Iterator[ET.Element]:
    return (e for e in root.iter() if _bare(e.tag) == tag)


def _text(parent: ET.Element, tag: str) -> str:
    return next(((e.text or "").strip() for e in _all(parent, tag)), "")


def _r50(root: ET.Element, found: _Found) -> None:
    for prm in _all(root, "PRM"):
        curve = Curve(_text(prm, "Id_PRM"), "CONS", "W", ends=True)
        for point in _all(prm, "PDC"):
            stamp, value, likely = (_text(point, tag) for tag in ("H", "V", "IV"))
            curve.add(stamp, value, SMALL if likely in ("", "0") else "E", 1800)
        found.curves.append(curve)


def _r4x(root: ET.Element, found: _Found) -> None:
    prm = _text(root, "Identifiant_PRM")
    for data in _all(root, "Donnees_Courbe"):
        physical, unit = _text(data, "Grandeur_Physique"), _text(data, "Unite_Mesure")
        if physical not in ACTIVE:
            found.left_out(f"curves of {physical or 'an unnamed quantity'} [{unit}]")
            continue
        step_s = 60 * _whole(_text(data, "Granularite"), 10)
        curve = Curve(prm, _text(data, "Grandeur_Metier") or "CONS", unit or "kW", ends=False)
        for point in _all(data, "Donnees_Point_Mesure"):
            curve.add(
                point.get("Horodatage", ""), point.get("Valeur_Point"), point.get("Statut_Point") or LARGE, step_s
            )
        found.curves.append(curve)


# --- JSON and CSV ----------------------------------------------------------------------------------------------------


def _json(text: str, found: _Found) -> None:
    data = json_of(text)
    before = len(found.curves) + len(found.findings)
    for document in data if isinstance(data, list) else [data]:
        if isinstance(document, dict):
            _dataconnect(document, found)
            measured = document.get("mesures", [document])
            for one in measured if isinstance(measured, list) else []:
                _r63(one, found)
    if len(found.curves) + len(found.findings) == before:
        raise Unreadable(WHAT)


def _dataconnect(document: Mapping[str, Any], found: _Found) -> None:
    reading = document.get("meter_reading", document)
    rows = reading.get("interval_reading") if isinstance(reading, dict) else None
    if not isinstance(rows, list):
        return
    said = reading.get("reading_type") or {}
    unit = said.get("unit", "W") if isinstance(said, dict) else "W"
    step = said.get("interval_length") if isinstance(said, dict) else None
    curve = Curve(str(reading.get("usage_point_id", "")), "CONS", str(unit), ends=True)
    for row in rows:
        if isinstance(row, dict):
            length = _seconds(row.get("interval_length") or step) or 1800
            curve.add(str(row.get("date", "")), _said(row.get("value")), str(row.get("measure_type") or SMALL), length)
    found.curves.append(curve)


def _r63(one: Any, found: _Found) -> None:
    if not isinstance(one, dict) or "idPrm" not in one:
        return
    contexts = one.get("contexte", [one])
    for context in contexts if isinstance(contexts, list) else []:
        kinds = context.get("grandeur") if isinstance(context, dict) else None
        for what in kinds if isinstance(kinds, list) else []:
            if not isinstance(what, dict) or not isinstance(what.get("points"), list):
                continue
            physical, unit = str(what.get("grandeurPhysique", "")), str(what.get("unite", ""))
            if physical not in ACTIVE or unit not in ("W", "kW"):
                found.left_out(f"values of {physical} [{unit}]")
                continue
            curve = Curve(str(one["idPrm"]), str(what.get("grandeurMetier", "CONS")), unit)
            for p in what["points"]:
                if isinstance(p, dict):
                    step_s = _seconds(p.get("p") or context.get("pas") or one.get("pas")) or 1800
                    curve.add(str(p.get("d", "")), _said(p.get("v")), str(p.get("n") or ""), step_s)
            found.curves.append(curve)


CSV_COLUMNS = ("Identifiant PRM", "Horodate", "Valeur")


def _csv(text: str, found: _Found) -> None:
    table = sheet(text, ";")
    if any(c not in table.columns for c in CSV_COLUMNS):
        raise Unreadable(WHAT)
    found.findings += table.findings

    def column(name: str, default: str) -> list[str]:
        return table.texts(name) if name in table.columns else [default] * table.rows

    curves: dict[tuple[str, str, str], Curve] = {}
    left: dict[str, int] = {}
    rows = zip(
        *(table.texts(c) for c in CSV_COLUMNS),
        column("Grandeur métier", "CONS"),
        column("Grandeur physique", "PA"),
        column("Unité", "W"),
        column("Nature", ""),
        column("Pas", ""),
        strict=True,
    )
    for prm, stamp, value, direction, physical, unit, nature, step in rows:
        if physical not in ACTIVE or unit not in ("W", "kW"):
            left[f"values of {physical} [{unit}]"] = left.get(f"values of {physical} [{unit}]", 0) + 1
            continue
        curve = curves.setdefault((prm, direction, unit), Curve(prm, direction, unit))
        curve.add(stamp, value, nature, _seconds(step) or 1800)
    found.findings += [Finding(Deed.FLAGGED, "left-out", f"{what}: left out", n) for what, n in left.items()]
    found.curves += curves.values()


def _said(value: Any) -> str | None:
    return None if value is None else str(value)


def _whole(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text[:5]) <= 1440 else default


def _seconds(duration: Any) -> int:
    """``PT30M`` → 1800; 0 for what is none."""
    match = DURATION.fullmatch(str(duration or ""))
    return 0 if match is None else 3600 * int(match[1] or 0) + 60 * int(match[2] or 0)


# --- curves → series -------------------------------------------------------------------------------------------------


def _joined(curves: Iterable[Curve]) -> list[Curve]:
    """Curves of one delivery point and direction together, in the order of the files."""
    found: dict[tuple[str, str, str, bool | None], Curve] = {}
    for c in curves:
        one = found.setdefault((c.prm, c.direction, c.unit, c.ends), Curve(c.prm, c.direction, c.unit, c.ends))
        one.stamps += c.stamps
        one.values += c.values
        one.natures += c.natures
        one.steps_s += c.steps_s
    return list(found.values())


def _series(curve: Curve) -> tuple[Series | None, list[Finding]]:
    label = curve.prm or "a point without number"
    if curve.direction not in DIRECTIONS or UNITS.get(curve.unit) is None:
        text = f"{label}: curves of {curve.direction} [{curve.unit}]: left out"
        return None, [Finding(Deed.FLAGGED, "left-out", text)]
    utc, findings = _instants(curve.stamps)
    lost = int((utc == NOWHERE).sum()) - sum(f.count for f in findings if f.code == "jumped-time")
    if lost:
        findings.append(Finding(Deed.REFUSED, "no-time", f"{label}: points without a time that can be read", lost))
    natures = np.array(curve.natures, object)
    step_s = np.array(curve.steps_s, np.int64)
    ends = curve.ends if curve.ends is not None else _end_labelled(natures, step_s)
    start = np.where(utc == NOWHERE, NOWHERE, utc - step_s * US) if ends else utc
    value, wrong = _values(curve.values)
    if wrong:
        findings.append(Finding(Deed.FLAGGED, "no-number", f"{label}: values that are no number", wrong))
    cut = np.isin(natures, list(CUT))
    value = np.where(cut & np.isnan(value), 0.0, value)
    rebuilt = np.isin(natures, list(REBUILT))
    start, (kw, length, guessed, off), more = ordered(start, value, step_s, rebuilt, cut)
    findings += more + gaps(start, length) + _steps(start, length)
    for where, deed, code, text in (
        (np.isnan(kw), Deed.FLAGGED, "missing", "no value"),
        (guessed & ~np.isnan(kw), Deed.FLAGGED, "rebuilt", "values that Enedis estimated, rebuilt or corrected"),
        (off, Deed.FLAGGED, "cut", "the supply was cut: true zeros"),
    ):
        rows = np.flatnonzero(where)
        if len(rows):
            findings.append(Finding(deed, code, f"{label}: {text}", len(rows), utc_stamp(int(start[rows[0]]))))
    factor = UNITS[curve.unit]
    assert factor is not None
    quality = np.where(guessed & ~np.isnan(kw), GUESSED, qualities(kw)).astype(np.int8)
    quantity = f"{DIRECTIONS[curve.direction]}_kw"
    return Series(label, quantity, start, length.astype(np.int64), kw * factor, quality), findings


def _end_labelled(natures: Any, step_s: Ints) -> bool:
    """Large meters label the start of an interval; a Linky labels its end."""
    large, small = int((natures == LARGE).sum()), int((natures == SMALL).sum())
    if large or small:
        return small >= large
    return bool(len(step_s)) and int(step_s[0]) not in (300, 600)


def _steps(start: Any, step_s: Ints) -> list[Finding]:
    changes = np.flatnonzero(np.diff(step_s) != 0)
    if not len(changes):
        return []
    k = int(changes[0])
    text = f"the step changes from {step_s[k] // 60} min to {step_s[k + 1] // 60} min"
    return [Finding(Deed.REPAIRED, "step-changes", text, len(changes), utc_stamp(int(start[k + 1])))]


def _instants(stamps: list[str]) -> tuple[Any, list[Finding]]:
    text = pa.chunked_array([pa.array(stamps, pa.string())])
    if is_aware(text):
        return iso(text), []
    return local_to_utc(iso(text), ZONE)


def _values(texts: list[str]) -> tuple[Any, int]:
    return numbers(pa.chunked_array([pa.array([t.replace(",", ".") for t in texts], pa.string())]))
