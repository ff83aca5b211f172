"""Load curves of Enedis: where a stamp stands, midnight, both changes of clocks, what was estimated, what was cut."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gridopt.intake.batch import QUALITIES, US, Batch
from gridopt.intake.enedis import read
from gridopt.intake.sheet import Unreadable

PARIS = ZoneInfo("Europe/Paris")
HALF = timedelta(minutes=30)
PRM = "30001234567890"


def us(time: datetime) -> int:
    return int(time.timestamp()) * US


def codes(batch: Batch) -> dict[str, int]:
    return {f.code: f.count for f in batch.findings}


def day(year: int, month: int, number: int) -> list[datetime]:
    """Starts of the half-hours of a day in Paris, as UTC."""
    first = datetime(year, month, number, tzinfo=PARIS).astimezone(UTC)
    last = datetime.combine(datetime(year, month, number) + timedelta(days=1), datetime.min.time(), PARIS).astimezone(
        UTC
    )
    return [first + k * HALF for k in range(round((last - first) / HALF))]


SPRING, WINTER, AUTUMN = day(2026, 3, 29), day(2026, 1, 15), day(2026, 10, 25)
DAYS = pytest.mark.parametrize(("starts", "count"), [(SPRING, 46), (WINTER, 48), (AUTUMN, 50)])


def aware(time: datetime) -> str:
    return time.astimezone(PARIS).isoformat()


def r50(points: list[str]) -> bytes:
    body = "".join(points)
    head = "<?xml version='1.0' encoding='UTF-8'?>"
    return f"{head}<R50><En_Tete_Flux/><PRM><Id_PRM>{PRM}</Id_PRM>{body}</PRM></R50>".encode()


def pdc(end: datetime, value: object = "", likely: str = "0") -> str:
    said = f"<V>{value}</V><IV>{likely}</IV>" if value != "" else ""
    return f"<PDC><H>{aware(end)}</H>{said}</PDC>"


def r4x(points: list[tuple[str, object, str]], step: int = 10, physical: str = "EA", unit: str = "kW") -> bytes:
    rows = "".join(
        f'<Donnees_Point_Mesure Horodatage="{t}" Valeur_Point="{v}" Statut_Point="{n}"/>' for t, v, n in points
    )
    return (
        f"<Courbe><Corps><Identifiant_PRM>{PRM}</Identifiant_PRM><Donnees_Courbe><Granularite>{step}</Granularite>"
        f"<Unite_Mesure>{unit}</Unite_Mesure><Grandeur_Metier>CONS</Grandeur_Metier>"
        f"<Grandeur_Physique>{physical}</Grandeur_Physique>{rows}</Donnees_Courbe></Corps></Courbe>"
    ).encode()


def r63(points: list[dict[str, str]], direction: str = "CONS", physical: str = "PA", unit: str = "W") -> bytes:
    curve = {"grandeurMetier": direction, "grandeurPhysique": physical, "unite": unit, "points": points}
    return json.dumps({"header": {}, "mesures": [{"idPrm": PRM, "etapeMetier": "BEST", "grandeur": [curve]}]}).encode()


def dataconnect(ends: list[datetime], step: str = "PT30M") -> bytes:
    rows = [
        {
            "value": str(100 + k),
            "date": end.astimezone(PARIS).strftime("%Y-%m-%d %H:%M:%S"),
            "interval_length": step,
            "measure_type": "B",
        }
        for k, end in enumerate(ends)
    ]
    reading = {"usage_point_id": PRM, "reading_type": {"unit": "W"}, "interval_reading": rows}
    return json.dumps({"meter_reading": reading}).encode()


@DAYS
def test_r50_ends_its_intervals(starts: list[datetime], count: int) -> None:
    batch = read(r50([pdc(t + HALF, 100 + k) for k, t in enumerate(starts)]), "x")
    (s,) = batch.series
    assert (s.source, s.quantity, len(s.time)) == (PRM, "import_kw", count)
    assert s.time.tolist() == [us(t) for t in starts]
    assert s.value[:2].tolist() == pytest.approx([0.1, 0.101])
    assert codes(batch) == {}


@DAYS
def test_dataconnect_has_no_offset_and_needs_its_order(starts: list[datetime], count: int) -> None:
    batch = read(dataconnect([t + HALF for t in starts]), "x")
    (s,) = batch.series
    assert s.time.tolist() == [us(t) for t in starts]
    assert s.value.tolist() == pytest.approx([(100 + k) / 1000 for k in range(count)])
    assert codes(batch) == ({"repeated-hour": 4} if count == 50 else {})


@DAYS
def test_r4x_starts_its_intervals(starts: list[datetime], count: int) -> None:
    times = [t + k * timedelta(minutes=10) for t in starts for k in range(3)]
    batch = read(r4x([(aware(t), 5, "R") for t in times]), "x")
    (s,) = batch.series
    assert s.time.tolist() == [us(t) for t in times]
    assert set(s.step_s.tolist()) == {600}
    assert set(s.value.tolist()) == {5.0}
    assert codes(batch) == {}


@pytest.mark.parametrize(("nature", "shift"), [("B", 30), ("R", 0)])
def test_r63_by_the_nature_of_its_points(nature: str, shift: int) -> None:
    points = [{"v": "540", "d": aware(t + timedelta(minutes=shift)), "p": "PT30M", "n": nature} for t in WINTER]
    (s,) = read(r63(points), "x").series
    assert s.time.tolist() == [us(t) for t in WINTER]
    assert set(s.value.tolist()) == {0.54}


def test_r63_whose_step_changes_inside() -> None:
    ends = [(t + HALF, "PT30M") for t in WINTER[:4]]
    ends += [(WINTER[4] + timedelta(minutes=15 * (k + 1)), "PT15M") for k in range(4)]
    batch = read(r63([{"v": "1", "d": aware(t), "p": p, "n": "B"} for t, p in ends]), "x")
    (s,) = batch.series
    assert s.step_s.tolist() == [1800] * 4 + [900] * 4
    assert np.all(np.diff(s.time) == s.step_s[:-1] * US)
    assert codes(batch) == {"step-changes": 1}


def test_r63_as_csv_and_production_apart() -> None:
    head = "Identifiant PRM;Date de début;Date de fin;Grandeur physique;Grandeur métier;Etape métier;Unité;"
    head += "Horodate;Valeur;Nature;Pas"
    rows = [
        f"{PRM};;;{physical};{direction};BEST;{unit};{aware(WINTER[0] + HALF)};{value};B;PT30M"
        for physical, direction, unit, value in (
            ("PA", "CONS", "W", 500),
            ("PA", "PROD", "W", 900),
            ("ERC", "CONS", "VAr", 7),
        )
    ]
    batch = read("\n".join((head, *rows)).encode(), "x")
    assert {s.quantity: s.value.tolist() for s in batch.series} == {"import_kw": [0.5], "export_kw": [0.9]}
    assert codes(batch) == {"left-out": 1}


def test_what_was_estimated_is_guessed_and_what_was_cut_is_a_true_zero() -> None:
    points = [
        {"v": "10", "d": aware(t + HALF), "p": "PT30M", "n": n}
        for t, n in zip(WINTER, ("B", "E", "C", "B"), strict=False)
    ]
    points.append({"v": "", "d": aware(WINTER[4] + HALF), "p": "PT30M", "n": "S"})
    points.append({"d": aware(WINTER[5] + HALF), "p": "PT30M", "n": "B"})
    batch = read(r63(points), "x")
    (s,) = batch.series
    assert [QUALITIES[q] for q in s.quality] == ["good", "guessed", "guessed", "good", "good", "missing"]
    assert s.value[4] == 0
    assert np.isnan(s.value[5])
    assert codes(batch) == {"missing": 1, "rebuilt": 2, "cut": 1}


def test_a_half_hour_without_a_value_is_missing_and_one_not_there_a_gap() -> None:
    points = [pdc(t + HALF, 7) for t in WINTER]
    points[3] = pdc(WINTER[3] + HALF)
    del points[10:12]
    batch = read(r50(points), "x")
    assert np.isnan(batch.series[0].value[3])
    assert codes(batch) == {"missing": 1, "gap": 2}


def test_reactive_energy_and_voltage_are_left_out_and_told() -> None:
    batch = read(r4x([(aware(WINTER[0]), 5, "R")], physical="ERC", unit="kWr"), "x")
    assert batch.series == []
    assert [str(f) for f in batch.findings] == ["flagged: curves of ERC [kWr]: left out"]


def test_an_archive_holds_many_days_of_one_point() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for n, starts in enumerate((WINTER[:24], WINTER[24:])):
            archive.writestr(f"part-{n}.xml", r50([pdc(t + HALF, 7) for t in starts]))
    batch = read(out.getvalue(), "x")
    (s,) = batch.series
    assert len(s.time) == 48
    assert batch.findings == []


def test_a_day_given_twice_is_taken_once() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.xml", r50([pdc(t + HALF, 7) for t in WINTER]))
        archive.writestr("b.xml", r50([pdc(t + HALF, 7 if k else 8) for k, t in enumerate(WINTER)]))
    batch = read(out.getvalue(), "x")
    assert len(batch.series[0].time) == 48
    assert codes(batch) == {"order": 1, "twice": 47, "twice-differing": 1}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<R50",
        b"<Autre/>",
        b"{",
        b"[]",
        b'{"a": 1}',
        b"a;b\n1;2\n",
        b"PK\x03\x04broken",
        b"\x00\x01\x02",
        b'{"mesures": 3}',
        b'{"meter_reading": 3}',
    ],
)
def test_what_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(Unreadable):
        read(content, "x")


def test_points_without_a_time_are_counted() -> None:
    points = [
        {"v": "1", "d": "hier", "p": "PT30M", "n": "B"},
        {"v": "1", "d": aware(WINTER[0]), "p": "PT30M", "n": "B"},
    ]
    batch = read(r63(points), "x")
    assert len(batch.series[0].time) == 1
    assert codes(batch) == {"no-time": 1}
