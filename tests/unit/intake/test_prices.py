"""Prices as SMARD and ENTSO-E export them: days of 23 and 25 hours, mixed steps, and what is wrong is told."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from gridopt.intake.batch import US, Batch, Finding
from gridopt.intake.prices import entsoe, smard
from gridopt.intake.sheet import Unreadable

DATA = Path(os.environ.get("GRIDOPT_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data"))
HEAD = "Datum von;Datum bis;Frankreich [€/MWh] Berechnete Auflösungen;Belgien [€/MWh] Berechnete Auflösungen"


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * US  # type: ignore[arg-type, misc]


def smard_file(*rows: str) -> bytes:
    return ("\ufeff" + "\n".join((HEAD, *rows)) + "\n").encode()


def codes(batch: Batch) -> dict[str, int]:
    return {f.code: f.count for f in batch.findings}


def one(batch: Batch, code: str) -> Finding:
    (found,) = [f for f in batch.findings if f.code == code]
    return found


def test_a_price_is_per_kwh_and_starts_in_utc() -> None:
    batch = smard(smard_file("15.01.2026 00:00;15.01.2026 00:15;1.234,50;-12,3"), "x.csv")
    fr, be = batch.series
    assert (fr.source, be.source, fr.quantity) == ("fr", "be", "price_eur_per_kwh")
    assert (fr.time[0], fr.step_s[0]) == (at(2026, 1, 14, 23), 900)
    assert (fr.value[0], be.value[0]) == (1.2345, -0.0123)
    assert batch.findings == []


def test_the_hour_that_is_repeated_is_told_apart() -> None:
    rows = [f"25.10.2026 0{h}:00;25.10.2026 0{min(h + 1, 3)}:00;{k},0;0,0" for k, h in enumerate((1, 2, 2, 3))]
    batch = smard(smard_file(*rows), "x.csv")
    fr = batch.series[0]
    assert fr.time.tolist() == [at(2026, 10, 24, 23), at(2026, 10, 25, 0), at(2026, 10, 25, 1), at(2026, 10, 25, 2)]
    assert fr.step_s.tolist() == [3600] * 4
    assert codes(batch) == {"repeated-hour": 2}


def test_the_repeated_hour_there_once_is_flagged() -> None:
    rows = [f"25.10.2026 0{h}:00;25.10.2026 0{h + 1}:00;{h},0;0,0" for h in (1, 2, 3)]
    batch = smard(smard_file(*rows), "x.csv")
    assert batch.series[0].time[1] == at(2026, 10, 25, 0)
    assert codes(batch) == {"hour-once": 1, "gap": 1}


def test_the_jumped_hour_is_refused_where_it_stands_and_no_gap_where_it_does_not() -> None:
    rows = [f"29.03.2026 0{h}:00;29.03.2026 0{h + 1}:00;{h},0;0,0" for h in (1, 3)]
    batch = smard(smard_file(*rows), "x.csv")
    assert batch.series[0].time.tolist() == [at(2026, 3, 29, 0), at(2026, 3, 29, 1)]
    assert codes(batch) == {}
    batch = smard(smard_file(rows[0], "29.03.2026 02:00;29.03.2026 03:00;2,0;0,0", rows[1]), "x.csv")
    assert batch.series[0].value.tolist() == [0.001, 0.003]
    assert codes(batch) == {"jumped-time": 1}


def test_an_hour_and_then_quarters_join_without_shift() -> None:
    rows = ["30.09.2025 23:00;01.10.2025 00:00;10,0;0,0"]
    rows += [f"01.10.2025 00:{q:02};01.10.2025 00:{q + 15:02};{q},0;0,0" for q in (0, 15, 30)]
    batch = smard(smard_file(*rows), "x.csv")
    fr = batch.series[0]
    assert fr.step_s.tolist() == [3600, 900, 900, 900]
    assert fr.time[1] - fr.time[0] == 3600 * US
    assert one(batch, "step-changes").text == "the step changes from 60 min to 15 min"


def test_defects_are_told() -> None:
    rows = [
        "15.01.2026 00:00;15.01.2026 01:00;1,0;1,0",
        "15.01.2026 00:00;15.01.2026 01:00;1,0;1,0",
        "15.01.2026 01:00;15.01.2026 02:00;-;1,0",
        "15.01.2026 05:00;15.01.2026 06:00;x;1,0",
        "15.01.2026 05:00;15.01.2026 06:00;9,0;1,0",
        "15.01.2026 06:00;15.01.2026 07:00;1,0",
    ]
    batch = smard(smard_file(*rows), "x.csv")
    assert codes(batch) == {
        "ragged-row": 1,
        "no-number": 1,
        "twice": 1,
        "twice-differing": 1,
        "gap": 3,
        "missing": 2,
    }
    assert one(batch, "missing").first == "2026-01-15 00:00 UTC"


def test_a_file_that_runs_backwards_is_the_same() -> None:
    rows = [f"25.10.2026 0{h}:00;25.10.2026 0{min(h + 1, 3)}:00;{k},0;0,0" for k, h in enumerate((1, 2, 2, 3))]
    forwards, backwards = smard(smard_file(*rows), "x"), smard(smard_file(*rows[::-1]), "x")
    assert forwards.series[0].value.tolist() == backwards.series[0].value.tolist()
    assert forwards.series[0].time.tolist() == backwards.series[0].time.tolist()


def test_the_english_export() -> None:
    text = "Start date;End date;France [€/MWh] Calculated resolutions\n"
    text += "Jan 15, 2026 11:00 PM;Jan 16, 2026 12:00 AM;1,234.5\n"
    batch = smard(text.encode(), "x")
    assert batch.series[0].time[0] == at(2026, 1, 15, 22)
    assert batch.series[0].value[0] == 1.2345


ENTSOE = '"MTU (CET/CEST)","Day-ahead Price [EUR/MWh]","Currency","BZN|FR"\n'


def test_entsoe_by_the_hour_over_the_change_of_clocks() -> None:
    rows = [
        f'"25.10.2026 0{h}:00 - 25.10.2026 0{min(h + 1, 3)}:00","{k}.5","EUR",""' for k, h in enumerate((1, 2, 2, 3))
    ]
    (series,) = entsoe((ENTSOE + "\n".join(rows)).encode(), "x").series
    assert series.time.tolist() == [at(2026, 10, 24, 23), at(2026, 10, 25, 0), at(2026, 10, 25, 1), at(2026, 10, 25, 2)]
    assert series.value.tolist() == [0.0005, 0.0015, 0.0025, 0.0035]


def test_entsoe_of_today_names_area_and_sequence() -> None:
    head = "MTU (UTC),Area,Sequence,Day-ahead Price (EUR/MWh)\n"
    rows = [
        f"01/10/2025 00:{q:02}:00 - 01/10/2025 00:{q + 15:02}:00,BZN|FR,Sequence Sequence 1,{q}.0" for q in (0, 15, 30)
    ]
    (series,) = entsoe((head + "\n".join(rows)).encode(), "x").series
    assert series.source == "bzn-fr-sequence-sequence-1"
    assert series.step_s.tolist() == [900] * 3
    assert series.time[0] == at(2025, 10, 1)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "Datum von;Datum bis\n1;2\n", "\x00\x01"])
def test_what_is_no_such_file_is_refused(text: str) -> None:
    for read in (smard, entsoe):
        with pytest.raises(Unreadable):
            read(text.encode("latin-1"), "x")


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no shared data in {DATA}")
def test_the_real_export_over_both_changes_of_clocks() -> None:
    """Defects that the file is known for: 23 hours on 31 March, 25 on 27 October, one column without a value."""
    batch = smard((DATA / "raw_prices_smard_dst_2024.csv").read_bytes(), "x")
    fr = next(s for s in batch.series if s.source == "fr")
    assert codes(batch) == {"repeated-hour": 2, "gap": 4920, "empty-column": 1}
    assert len(batch.series) == 16
    for day, hours in (((2024, 3, 30, 23), 23), ((2024, 10, 26, 22), 25)):
        first = at(*day)
        assert int(((fr.time >= first) & (fr.time < first + hours * 3600 * US)).sum()) == hours
    clean = (DATA / "prices_dayahead_hourly_2024-03_2024-09.csv").read_text().splitlines()
    column = clean[0].split(",").index(next(c for c in clean[0].split(",") if c.lower().startswith(("fr", "price_fr"))))
    by_time = {line.split(",")[0]: float(line.split(",")[column]) for line in clean[1:]}
    there = [
        k for k, t in enumerate(fr.time) if str(np.datetime64(int(t), "us").astype("datetime64[s]")) + "Z" in by_time
    ]
    assert len(there) == 5 * 24 - 1  # 29 March to 2 April
    for k in there:
        key = str(np.datetime64(int(fr.time[k]), "us").astype("datetime64[s]")) + "Z"
        assert fr.value[k] * 1000 == pytest.approx(by_time[key])
