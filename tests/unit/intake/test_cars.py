"""Charging sessions: stays as intervals, and every defect told that a real list is known for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gridopt.intake.batch import US, Batch
from gridopt.intake.cars import read
from gridopt.intake.sheet import Unreadable

DATA = Path(os.environ.get("GRIDOPT_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data"))


def codes(batch: Batch) -> dict[str, int]:
    return {f.code: f.count for f in batch.findings}


def test_a_stay_is_an_interval_of_its_user() -> None:
    text = "user,place,start,end,energy_kwh\nu1,g,2026-01-15T18:00:00+01:00,2026-01-16T07:00:00+01:00,12.5\n"
    (s,) = read(text.encode(), "x").series
    assert (s.source, s.quantity) == ("g/u1", "charged_kwh")
    assert s.time[0] == 1768496400 * US
    assert s.step_s[0] == 13 * 3600
    assert s.value[0] == 12.5


def test_local_times_over_the_night_of_25_hours() -> None:
    text = "start,end,kwh\n2026-10-24T22:00,2026-10-25T08:00,10\n"
    (s,) = read(text.encode(), "x").series
    assert s.step_s[0] == 11 * 3600


def test_what_is_no_list_of_sessions() -> None:
    with pytest.raises(Unreadable, match="no column with the end of a session"):
        read(b"start,kwh\n2026-01-15T00:00Z,1\n", "x")


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no shared data in {DATA}")
def test_the_garages_of_trondheim() -> None:
    """The defects that the file is known for, each counted. The 17 without length are those above 22 kW as well."""
    batch = read((DATA / "ev_sessions_trondheim_2018-12_2020-01.csv").read_bytes(), "x")
    assert codes(batch) == {"no-end": 34, "no-length": 17, "long": 53, "little": 90, "clock": 11, "overlap": 18}
    assert sum(len(s.time) for s in batch.series) == 6878 - 34 - 17
    assert len({s.source.split("/")[1] for s in batch.series}) <= 97  # some users charge in two garages
