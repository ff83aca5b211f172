"""Substation: the supply temperature by the weather, and what the flow carries; against hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import at
from gridopt.assets.substation import Substation, supply_c
from gridopt.clock import Axis
from tests.unit.assets.replay import assert_replays, axis_of, district, drive, solve, users

SCHOOL = {"power_kw": 200.0, "flow_max_m3_per_h": 4.0}


def stations(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    return users(Substation, n, axis, **SCHOOL | given)


def columns_of(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    return dict(Substation.prepare(stations(axis, n, **given), axis).columns)


def test_the_supply_slides_with_the_weather() -> None:
    user = stations(axis_of(6), outdoor_c=[-20, -9, -3, 3, 15, 30])
    np.testing.assert_allclose(supply_c(user), [[95, 95, 88.75, 82.5, 70, 70]])


def test_a_supply_that_does_not_slide() -> None:
    user = stations(axis_of(2), outdoor_c=[-5, 5], outdoor_cold_c=3.0, outdoor_warm_c=3.0)
    np.testing.assert_allclose(supply_c(user), [[95, 70]])


def test_the_flow_limits_in_the_warm_the_exchanger_in_the_cold() -> None:
    axis = axis_of(3)
    c = columns_of(axis, outdoor_c=[15, 3, -9], return_c=[50, 45, 50])
    flow = 1.163 * 4 * np.array([20.0, 37.5, 45.0])
    np.testing.assert_allclose(c["input_max_kw"][0], [flow[0], flow[1], 200 / 0.98])
    assert flow[2] > 200 / 0.98
    assert set(c) == set(Substation.column_names())
    np.testing.assert_allclose(columns_of(axis, flow_max_m3_per_h=np.nan)["input_max_kw"], 200 / 0.98)
    np.testing.assert_allclose(columns_of(axis, flow_max_m3_per_h=0.0)["input_max_kw"], 0.0)


def test_a_return_as_hot_as_the_supply_carries_nothing_and_is_noted() -> None:
    axis = axis_of(2)
    done = Substation.prepare(
        stations(axis, 2, outdoor_c=15.0, return_c=[[60, 60], [60, 75]], flow_max_m3_per_h=None), axis
    )
    np.testing.assert_allclose(done.columns["input_max_kw"][1], [200 / 0.98, 0.0])
    assert list(done.notes) == [(1, "its return is not cooler than its supply at some steps: no heat passes there")]


def test_what_passes_and_what_is_lost() -> None:
    """Paid to take: the most that the flow carries, 2 % of it lost."""
    axis = axis_of(2)
    s = solve(district(Substation, stations(axis, outdoor_c=15.0), axis, np.array([-0.1, 0.1])))
    np.testing.assert_allclose(s.value("input_kw"), [[1.163 * 4 * 20, 0]])
    assert_replays(s)
    (got,) = assert_replays(s)
    np.testing.assert_allclose(got.flows["sink_kw"], -0.98 * s.value("input_kw"))


def test_baseline_covers_what_lacks_behind_it() -> None:
    p = at(columns_of(axis_of(1), outdoor_c=15.0), 0, 1.0)
    for lacks, takes in ((49.0, 50.0), (900.0, 900 / 0.98), (-5.0, 0.0)):
        command = Substation.rule(p, {}, {"source": np.zeros(1), "sink": np.array([-lacks])})
        assert command["input_kw"] == pytest.approx(takes)
        taken = Substation.step(p, {}, command)[1]["input_kw"]
        assert taken == pytest.approx(min(takes, 1.163 * 4 * 20))


def test_kpis() -> None:
    columns = columns_of(axis_of(2), outdoor_c=[15.0, 15.0], return_c=[50.0, 70.0])
    got = drive(Substation, columns, 2, 1.0, {"input_kw": np.array([[46.52, 46.52]])})
    kpis = Substation.kpis(SimpleNamespace(**columns), got.flows, 1.0)
    assert kpis["water_m3"] == pytest.approx(2.0)  # nothing passes where nothing cools
    assert kpis["input_kwh"] == pytest.approx(46.52)
