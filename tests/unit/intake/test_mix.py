"""éCO2mix: rows of forecasts alone are no gaps, and the change of clocks is told apart in RTE's own file."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gridopt.intake.batch import US, Batch
from gridopt.intake.mix import eco2mix
from gridopt.intake.sheet import Unreadable

HEAD = "Périmètre\tNature\tDate\tHeures\tConsommation\tPrévision J-1\tTaux de Co2"


def codes(batch: Batch) -> dict[str, int]:
    return {f.code: f.count for f in batch.findings}


def rte(day: str, hours: list[str]) -> bytes:
    rows = [
        f"France\tDonnées temps réel\t{day}\t{h}\t{'' if k % 2 else 50000 + k}\t50100\t{'' if k % 2 else 30}"
        for k, h in enumerate(hours)
    ]
    return "\n".join((HEAD, *rows)).encode("cp1252")


def test_every_second_row_is_a_forecast() -> None:
    batch = eco2mix(rte("2026-01-15", ["00:00", "00:15", "00:30", "00:45", "01:00"]), "eCO2mix.xls")
    power, co2 = batch.series
    assert (power.source, power.quantity, co2.quantity) == ("france", "power_kw", "co2_g_per_kwh")
    assert power.time[0] == int(datetime(2026, 1, 14, 23, tzinfo=UTC).timestamp()) * US
    assert power.value.tolist() == [50_000_000, 50_002_000, 50_004_000]
    assert power.step_s.tolist() == [1800] * 3
    assert codes(batch) == {}


def test_the_night_of_25_hours() -> None:
    hours = [f"{h:02}:{m:02}" for h in (1, 2, 2, 3) for m in (0, 15, 30, 45)]
    batch = eco2mix(rte("2026-10-25", hours), "x")
    power = batch.series[0]
    assert [int(d) // US for d in power.time[1:] - power.time[:-1]] == [1800] * 7
    assert codes(batch) == {"repeated-hour": 8}


def test_the_portal_says_its_offset() -> None:
    head = "Périmètre;Nature;Date;Heure;Date et Heure;Consommation (MW);Taux de CO2 (g/kWh)"
    rows = [
        f"Hauts-de-France;x;2026-01-15;0{h}:00;2026-01-15T0{h}:00:00+01:00;{7000 + h};" + ("" if h else "25")
        for h in range(3)
    ]
    batch = eco2mix("\n".join((head, *rows)).encode(), "x")
    assert batch.series[0].source == "hauts-de-france"
    assert batch.series[0].step_s.tolist() == [3600] * 3
    assert codes(batch) == {"missing": 2}


@pytest.mark.parametrize("text", ["", "a;b\n1;2\n", "Périmètre;Consommation\nFrance;1\n"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(Unreadable):
        eco2mix(text.encode(), "x")
