"""Cold store: temperature band, EER by the weather, minimum running and stopping times; against hand and physics."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import at
from gridopt.assets.cold_store import ColdStore
from gridopt.assets.weather import eer_series
from gridopt.clock import Axis
from gridopt.solve.ladder import solve
from tests.support.districts import EXACT
from tests.unit.assets.replay import Solved, assert_replays, axis_of, by_rule, district, drive, users

STORE = {"resistance_k_per_kw": 1.0, "capacity_kwh_per_k": 40.0, "power_kw": 12.0, "eer": 3.0, "ambient_c": 20.0,
         "temperature_start_c": 4.0}  # fmt: skip
"""Remembers 40 h; 16 kW of heat come in at 4 °C, the compressor takes up to 36 out."""
KEEP = np.exp(-1 / 40)


def stores(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    return users(ColdStore, n, axis, **STORE | given)


def columns_of(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    return dict(ColdStore.prepare(stores(axis, n, **given), axis).columns)


def planned(axis: Axis, price: Any, n: int = 1, **given: Any) -> Solved:
    """The optimum with the compressor on or off, whole."""
    found = solve(replace(district(ColdStore, stores(axis, n, **given), axis, price), target=EXACT))
    assert found.status == "optimal"
    s = Solved(found.assembly, found.x, found.objective)
    assert_replays(s, 1e-6)
    return s


def test_eer_follows_the_weather_unless_it_is_given() -> None:
    outdoor = np.array([[35.0, 25.0, -60.0, 80.0]])
    got = eer_series(np.array([[np.nan, np.nan, np.nan, np.nan]]), outdoor, np.array([2.5]), np.array([0.06]))
    np.testing.assert_allclose(got, [[2.5, 3.1, 8.0, 1.0]])
    given = np.array([[np.nan, 9.0, 0.5, np.nan]])
    np.testing.assert_allclose(eer_series(given, outdoor, np.array([2.5]), np.array([0.0])), [[2.5, 9.0, 0.5, 2.5]])


def test_prepare() -> None:
    axis = axis_of(4)
    c = columns_of(axis, 3, part_load=[1.0, 0.5, 0.0], eer=np.nan, outdoor_c=25.0)
    np.testing.assert_allclose(c["least_kw"], [12, 6, 0])
    np.testing.assert_allclose(c["eer"], 3.1)
    np.testing.assert_allclose(c["keep"], KEEP)
    np.testing.assert_allclose(c["discomfort_eur_per_kh"], 40.0)
    assert set(c) == set(ColdStore.column_names())


def test_cold_is_made_in_the_cheap_hours_by_hand() -> None:
    """Full load or nothing. At full load an hour ends at keep T + (1 - keep)(20 - 36), off at keep T + (1 - keep) 20.

    Off at 4 °C the first hour would end at 4.4: it must run. A second hour would end at 3.0, then two hours off at 3.8.
    """

    def on(t: float) -> float:
        return float(KEEP * t + (1 - KEEP) * (20 - 36))

    def off(t: float) -> float:
        return float(KEEP * t + (1 - KEEP) * 20)

    s = planned(axis_of(4), [0.1, 0.1, 0.3, 0.3])
    np.testing.assert_allclose(s.value("on").round(6), [[1, 1, 0, 0]])
    expected = [on(4), on(on(4)), off(on(on(4))), off(off(on(on(4))))]
    np.testing.assert_allclose(s.value("temperature_c"), [expected], atol=1e-6)
    assert expected[-1] < 4
    assert s.objective == pytest.approx(24 * 0.1)


def test_the_minimum_times_by_trying_every_pattern() -> None:
    """Six hours, at least two running and two resting: the cheapest of all 64 patterns that keep them."""
    price = np.array([0.2, 0.05, 0.3, 0.12, 0.4, 0.1])
    given: dict[str, Any] = {"min_up_h": 2.0, "min_down_h": 2.0, "discomfort_eur_per_kh": 0.5, "start_cost_eur": 0.1}
    axis = axis_of(6)
    columns = columns_of(axis, **given)
    best = np.inf
    for pattern in itertools.product([0.0, 1.0], repeat=6):
        runs = [(bool(k), len(list(g))) for k, g in itertools.groupby((0.0, 0.0, *pattern))]
        if any(length < 2 for _, length in runs[1:-1]):
            continue
        command = {"on": np.array([pattern]), "compressor_kw": 12.0 * np.array([pattern])}
        got = drive(ColdStore, columns, 6, 1.0, command)
        assert got.flows["on"].tolist() == [list(pattern)]
        cost = (price * got.flows["ac_kw"][0]).sum() + got.total("discomfort_eur")[0] + got.total("start_eur")[0]
        best = min(best, float(cost))
    assert planned(axis, price, **given).objective == pytest.approx(best, abs=1e-6)


def test_a_modulating_compressor_holds_the_edge_by_hand() -> None:
    """At a flat price 4 °C themselves: 16 kW of heat by 5.33 kW."""
    s = planned(axis_of(5), 0.2, part_load=0.25)
    np.testing.assert_allclose(s.value("compressor_kw"), 16 / 3, atol=1e-5)


def test_what_is_too_warm_at_the_end_is_not_free() -> None:
    """In the last hour 0.36 K of cold cost 4.8 kWh / 3 x 9 EUR: dearer than an hour of it, cheaper than 40."""
    s = planned(axis_of(1), 9.0, part_load=0.0, discomfort_eur_per_kh=5.0)
    assert s.value("over_k").max() < 1e-6
    s = planned(axis_of(1), 9.0, part_load=0.0, discomfort_eur_per_kh=0.5)
    assert s.value("over_k").item() == pytest.approx(16 * (1 - KEEP))


def test_too_cold_is_priced_as_well() -> None:
    s = planned(axis_of(3), 0.2, temperature_start_c=-3.0, ambient_c=-20.0)
    assert (s.value("under_k") > 2).all()
    assert (s.value("on") < 1e-6).all()


@pytest.mark.parametrize("seed", range(3))
def test_physics_equals_block(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = axis_of(20, 15)
    n = 3
    given = {
        "resistance_k_per_kw": rng.uniform(0.3, 3, n), "capacity_kwh_per_k": rng.uniform(2, 60, n),
        "power_kw": rng.uniform(5, 20, n), "part_load": rng.uniform(0, 1, n), "eer": np.nan,
        "outdoor_c": rng.uniform(5, 40, (n, 20)), "ambient_c": rng.uniform(10, 25, (n, 20)),
        "gain_kw": rng.uniform(0, 5, (n, 20)), "min_up_h": rng.choice([0.0, 0.5, 1.0], n),
        "min_down_h": rng.choice([0.0, 0.5], n), "on_start": rng.random(n) < 0.5,
        "hours_in_status_h": rng.uniform(0, 1, n), "discomfort_eur_per_kh": rng.uniform(0.1, 3, n),
    }  # fmt: skip
    planned(axis, rng.normal(0.1, 0.2, 20), n, **given)


def test_the_compressor_obeys_its_own_times() -> None:
    columns = columns_of(axis_of(6), min_up_h=3.0, part_load=1 / 3)
    got = drive(
        ColdStore, columns, 6, 1.0, {"on": np.array([[0, 1.0, 0, 0, 0, 0]]), "compressor_kw": np.full((1, 6), 1.0)}
    )
    assert got.flows["on"].tolist() == [[0, 1, 1, 1, 0, 0]]
    np.testing.assert_allclose(got.flows["compressor_kw"], [[0, 4, 4, 4, 0, 0]])


@pytest.mark.parametrize("least", [1.0, 0.15])
def test_baseline_is_a_thermostat(least: float) -> None:
    columns = columns_of(axis_of(96, 15), part_load=least, min_up_h=0.5, min_down_h=0.5, gain_kw=2.0)
    got = by_rule(ColdStore, columns, 96, 0.25)
    assert (got.flows["over_k"] < 1e-9).all()
    assert (got.flows["under_k"] < 1e-9).all()
    kpis = ColdStore.kpis(SimpleNamespace(**columns), got.flows, 0.25)
    assert kpis["discomfort_kh"] == pytest.approx(0.0, abs=1e-9)
    assert kpis["electricity_kwh"] == pytest.approx(got.flows["ac_kw"].sum() * 0.25)
    if least == 1:  # on from 4 °C until 0 °C, off for hours
        assert 1 <= kpis["starts"] <= 5
    else:  # runs on, near the middle
        np.testing.assert_allclose(got.states["temperature_c"][0, -1], 2.0, atol=0.1)


@pytest.mark.parametrize(("cut", "on", "left"), [(0.0, 1, 12), (3.0, 1, 9), (9.0, 0, 0), (99.0, 0, 0), (-2.0, 1, 12)])
def test_shed(cut: float, on: float, left: float) -> None:
    p = at(columns_of(axis_of(1), part_load=1 / 3), 0, 1.0)
    command = {"on": np.ones(1), "compressor_kw": np.array([12.0])}
    got = ColdStore.shed(p, ColdStore.start(p), command, "ac", np.array([cut]))
    assert (got["on"].item(), got["compressor_kw"].item()) == (on, left)
