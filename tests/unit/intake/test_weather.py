"""Open-Meteo: radiation is of the interval before its time, wind may be in km/h, a local answer has one offset."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from gridopt.intake.batch import US
from gridopt.intake.sheet import Unreadable
from gridopt.intake.weather import open_meteo

NOON_S = 1768478400


def answer(**more: Any) -> dict[str, Any]:
    hourly = {
        "time": ["2026-01-15T12:00", "2026-01-15T13:00", "2026-01-15T14:00"],
        "temperature_2m": [4.5, None, 5.5],
        "shortwave_radiation": [100, 120, 80],
        "wind_speed_10m": [36.0, 18.0, 0.0],
        "cape": [1, 2, 3],
    }
    units = {"temperature_2m": "°C", "shortwave_radiation": "W/m²", "wind_speed_10m": "km/h"}
    return {
        "latitude": 50.634,
        "longitude": 3.06,
        "utc_offset_seconds": 0,
        "hourly": hourly,
        "hourly_units": units,
        **more,
    }


def read(document: Any) -> Any:
    return open_meteo(json.dumps(document).encode(), "x")


def test_an_answer() -> None:
    batch = read(answer())
    by = {s.quantity: s for s in batch.series}
    assert by["temperature_c"].source == "50.63,3.06"
    assert by["temperature_c"].time.tolist() == [(NOON_S + k * 3600) * US for k in range(3)]
    assert np.isnan(by["temperature_c"].value[1])
    assert by["ghi_w_per_m2"].time[0] == (NOON_S - 3600) * US
    assert by["wind_speed_m_per_s"].value.tolist() == [10, 5, 0]
    assert {f.code: f.count for f in batch.findings} == {"missing": 1, "left-out": 1}


def test_local_time_and_unix_time_are_the_same_instants() -> None:
    local = answer(utc_offset_seconds=3600)
    local["hourly"]["time"] = [f"2026-01-15T{h}:00" for h in (13, 14, 15)]
    unix = answer(utc_offset_seconds=3600)
    unix["hourly"]["time"] = [NOON_S + k * 3600 for k in range(3)]
    for document in (local, unix):
        assert read(document).series[0].time[0] == NOON_S * US


def test_several_places_and_quarters() -> None:
    quarter = {"time": ["2026-01-15T12:00", "2026-01-15T12:15"], "temperature_2m": [1, 2]}
    batch = read([answer(), answer(latitude=51, minutely_15=quarter)])
    assert {s.source for s in batch.series} == {"50.63,3.06", "51.00,3.06"}
    assert {int(s.step_s[0]) for s in batch.series} == {900, 3600}


def test_what_quarters_say_is_not_said_by_hours_again() -> None:
    """An hour is kept where no quarter lies in it: energy is not counted twice."""
    quarter = {"time": [f"2026-01-15T13:{m:02}" for m in (0, 15, 30, 45)], "temperature_2m": [1, 2, 3, 4]}
    batch = read(answer(minutely_15=quarter))
    fine, coarse = (s for s in batch.series if s.quantity == "temperature_c")
    assert set(fine.step_s.tolist()) == {900}
    assert coarse.time.tolist() == [NOON_S * US, (NOON_S + 7200) * US]


def test_another_unit_is_refused() -> None:
    document = answer()
    document["hourly_units"]["temperature_2m"] = "°F"
    batch = read(document)
    assert "temperature_c" not in {s.quantity for s in batch.series}
    assert any(f.text == "temperature_2m is in °F, not in °C: left out" for f in batch.findings)


@pytest.mark.parametrize(
    "document", [{}, [], {"hourly": 3}, {"hourly": {"time": []}}, {"error": True, "reason": "too many calls"}]
)
def test_what_is_none(document: Any) -> None:
    with pytest.raises(Unreadable):
        read(document)
