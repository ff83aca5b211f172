"""Booked rooms: warm when the first one comes in, set back otherwise; windows, wishes, optimum start."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import at
from gridopt.assets.booked_rooms import FREE_C, BookedRooms
from gridopt.clock import Axis
from gridopt.model.template import template
from tests.unit.assets.replay import Solved, assert_replays, axis_of, by_rule, district, drive, solve, users

HALL = {"resistance_k_per_kw": 2.0, "capacity_kwh_per_k": 10.0, "power_kw": 20.0, "outdoor_c": 0.0,
        "temperature_start_c": 16.0, "booked": 0.0}  # fmt: skip
"""A hall that remembers 20 h; 20 kW would bring it to 40 °C."""
KEEP = np.exp(-1 / 20)


def halls(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    return users(BookedRooms, n, axis, **HALL | given)


def columns_of(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    return dict(BookedRooms.prepare(halls(axis, n, **given), axis).columns)


def planned(axis: Axis, price: Any, n: int = 1, **given: Any) -> Solved:
    s = solve(district(BookedRooms, halls(axis, n, **given), axis, price))
    assert_replays(s)
    return s


def test_prepare() -> None:
    axis = axis_of(6)
    c = columns_of(axis, booked=[0, 0, 1, 1, 0, 0], wish_k=[0, 0, 1, 5, 0, 0], window_open=[0, 1, 0, 0, 0, 0])
    # Warm from the end of the step before the first booked one, but not for as long as a window is open.
    np.testing.assert_allclose(c["comfort_min_c"], [[16, -FREE_C, 20, 21, 16, 16]])
    np.testing.assert_allclose(c["comfort_max_c"], [[FREE_C, FREE_C, 26, 26, FREE_C, FREE_C]])
    np.testing.assert_allclose(c["heating_max_kw"], [[20, 0, 20, 20, 20, 20]])
    np.testing.assert_allclose(c["keep"], np.where(np.arange(6) == 1, KEEP**6, KEEP)[None, :])
    np.testing.assert_allclose(c["warm_in_h"][0, :4], [3, 2, 1, 1])
    assert c["discomfort_eur_per_kh"] == 10.0  # 1 EUR per kWh/K where nobody says
    assert set(c) == set(BookedRooms.column_names())


def test_the_wish_is_that_of_those_who_come() -> None:
    c = columns_of(axis_of(5), booked=[0, 0, 1, 0, 0], wish_k=[9, 9, -1, 9, 9])
    np.testing.assert_allclose(c["comfort_min_c"], [[16, 18, 18, 16, 16]])
    c = columns_of(axis_of(3), booked=1.0, wish_k=[[-9, 9, 1]], wanted_c=20.0, span_k=1.5)
    np.testing.assert_allclose(c["comfort_min_c"], [[18.5, 21.5, 21.0]])


@pytest.mark.parametrize("steps", [1, 24])
def test_template(steps: int) -> None:
    t = template(BookedRooms, steps, ())
    assert (t.width, t.height) == (4 * steps, 2 * steps)


def test_heat_only_for_the_booking_by_hand() -> None:
    """Booked in hours 3 and 4: 19 °C from the end of hour 2. At a flat price all the heating comes in hour 2, and what
    the booking takes is held; before and after the hall falls back by itself, and no heating runs."""
    axis = axis_of(7)
    s = planned(axis, 0.2, booked=[0, 0, 0, 1, 1, 0, 0], temperature_start_c=18.5, power_kw=100.0)
    t = s.value("temperature_c")[0]
    np.testing.assert_allclose(t[:2], 18.5 * KEEP ** np.array([1, 2]))
    np.testing.assert_allclose(t[2:5], 19.0, atol=1e-7)
    np.testing.assert_allclose(t[5:], 19 * KEEP ** np.array([1, 2]))
    np.testing.assert_allclose(s.value("heating_kw")[0, [0, 1, 5, 6]], 0, atol=1e-9)
    assert s.value("heating_kw")[0, 3] == pytest.approx(9.5)


def test_an_empty_hall_is_held_at_its_setback_by_hand() -> None:
    """16 °C against frost take 8 kW; 8 °C are not reached in six hours."""
    np.testing.assert_allclose(planned(axis_of(6), 0.2).value("heating_kw"), 8.0)
    np.testing.assert_allclose(planned(axis_of(6), 0.2, setback_c=8.0).value("heating_kw"), 0.0)


def test_heating_begins_as_early_as_the_power_asks() -> None:
    """From 16 to 19 °C towards 40 °C: 20 h x ln(24 / 21) = 2.67 h, so two hours at full power and more before."""
    s = planned(axis_of(8), 0.2, booked=[0] * 6 + [1, 1])
    heating = s.value("heating_kw")[0]
    np.testing.assert_allclose(heating[:3], 8.0, atol=1e-6)
    assert 8 < heating[3] < 20
    np.testing.assert_allclose(heating[4:6], 20.0, atol=1e-6)
    assert s.value("temperature_c")[0, 5] == pytest.approx(19.0)
    assert s.value("under_k").max() < 1e-7


def test_an_open_window_stops_the_heating_and_nobody_minds() -> None:
    s = planned(axis_of(6), 0.2, booked=1.0, temperature_start_c=19.0, window_open=[0, 0, 1, 0, 0, 0])
    assert s.value("heating_kw")[0, 2] == 0.0
    before, during = s.value("temperature_c")[0, 1:3]
    assert during == pytest.approx(before * KEEP**6)
    assert during < 19 - 1
    assert s.value("under_k")[0, 2] == 0.0


def test_a_heat_network_feeds_it_as_well() -> None:
    assert BookedRooms.ports[0].carriers == ("electricity", "heat")
    s = planned(axis_of(2), [0.3, 0.1], cop=[3.0, 2.0])
    np.testing.assert_allclose(s.value("heating_kw"), [[8 / 3, 4]])


def test_an_empty_hall_has_an_upper_edge_where_one_is_given() -> None:
    """22 °C while empty, never below what is wanted warm; none while a window is open."""
    c = columns_of(axis_of(6), booked=[0, 0, 1, 1, 0, 0], window_open=[1, 0, 0, 0, 0, 0], empty_max_c=18.5)
    np.testing.assert_allclose(c["comfort_max_c"], [[FREE_C, 19, 26, 26, 18.5, 18.5]])
    s = planned(axis_of(6), -0.1, empty_max_c=22.0, temperature_start_c=21.0)
    np.testing.assert_allclose(s.value("temperature_c")[0, 1:], 22.0, atol=1e-6)
    free = planned(axis_of(6), -0.1, temperature_start_c=21.0)
    assert free.value("temperature_c").max() > 25
    warm = planned(axis_of(4), 0.2, gain_kw=30.0, empty_max_c=22.0, temperature_start_c=22.0)
    assert warm.value("over_k").min() > 0, "nothing cools it"


def test_gains_beyond_the_band_are_priced_while_booked_only() -> None:
    """30 kW of sun bring the hall towards 60 °C."""
    s = planned(axis_of(8), 0.2, gain_kw=30.0, booked=[0, 0, 0, 0, 0, 0, 0, 1], temperature_start_c=24.0)
    over = s.value("over_k")[0]
    assert (over[:7] == 0).all()
    assert over[7] == pytest.approx(60 - 36 * KEEP**8 - 26)


@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("seed", range(3))
def test_physics_equals_block(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = axis_of(30, 15)
    user = halls(
        axis, n, resistance_k_per_kw=rng.uniform(0.5, 5, n), capacity_kwh_per_k=rng.uniform(1, 40, n),
        power_kw=rng.uniform(2, 30, n), outdoor_c=rng.uniform(-8, 15, (n, 30)), gain_kw=rng.uniform(0, 3, (n, 30)),
        booked=rng.random((n, 30)) < 0.4, window_open=rng.random((n, 30)) < 0.1, cop=rng.uniform(1, 4, (n, 30)),
        wish_k=rng.normal(0, 2, (n, 30)), discomfort_eur_per_kh=rng.uniform(0.1, 1, n),
    )  # fmt: skip
    inputs = district(BookedRooms, user, axis, rng.normal(0.1, 0.2, 30))
    assert_replays(solve(inputs))
    assert_replays(solve(inputs, rng=rng))


def test_the_heating_follows_no_order_it_cannot() -> None:
    columns = columns_of(axis_of(3), window_open=[0, 1, 0])
    got = drive(BookedRooms, columns, 3, 1.0, {"heating_kw": np.array([[99.0, 5.0, -1.0]])})
    np.testing.assert_allclose(got.flows["heating_kw"], [[20, 0, 0]])


def test_baseline_starts_in_time_and_not_before() -> None:
    """With 12 kW towards 24 °C: from 16 to 19 °C 20 h x ln(8 / 5) = 9.4 h, so ten whole hours before hour 12."""
    axis = axis_of(16)
    columns = columns_of(axis, power_kw=12.0, booked=[0] * 12 + [1] * 4)
    got = by_rule(BookedRooms, columns, 16, 1.0)
    heating = got.flows["heating_kw"][0]
    np.testing.assert_allclose(heating[:2], 8.0)  # holds the setback
    np.testing.assert_allclose(heating[2:11], 12.0)
    assert got.states["temperature_c"][0, 11] >= 19.0 - 1e-9
    np.testing.assert_allclose(got.states["temperature_c"][0, 12:], 19.0)
    kpis = BookedRooms.kpis(SimpleNamespace(**columns), got.flows, 1.0)
    assert kpis["cold_openings"] == 0.0
    assert kpis["discomfort_kh"] == pytest.approx(0.0, abs=1e-9)
    assert kpis["heating_kwh"] == pytest.approx(heating.sum())


def test_a_cold_opening_is_counted() -> None:
    columns = columns_of(axis_of(6), booked=[0, 0, 1, 0, 1, 1], power_kw=100.0)
    got = drive(BookedRooms, columns, 6, 1.0, {"heating_kw": np.array([[0, 0, 100.0, 20, 20, 20]])})
    assert BookedRooms.kpis(SimpleNamespace(**columns), got.flows, 1.0)["cold_openings"] == 1.0


@pytest.mark.parametrize(("cut", "left"), [(0.0, 12.0), (5.0, 7.0), (99.0, 0.0), (-3.0, 12.0)])
def test_shed(cut: float, left: float) -> None:
    p = at(columns_of(axis_of(1)), 0, 1.0)
    got = BookedRooms.shed(p, {}, {"heating_kw": np.array([12.0])}, "source", np.array([cut]))
    assert got["heating_kw"].tolist() == [left]
