"""Wind turbine: its power curve by hand, wind over height, curtailment; block and physics are those of a PV plant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gridopt.assets.wind import Wind, cubic
from gridopt.clock import Axis
from gridopt.model.template import template
from tests.unit.assets.replay import assert_replays, axis_of, by_rule, district, solve, users


def turbines(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    return users(Wind, n, axis, **({"peak_kw": 100.0} | given))


def available(axis: Axis, **given: Any) -> Any:
    return Wind.prepare(turbines(axis, **given), axis).columns["available_kw"]


@pytest.mark.parametrize(
    ("speed", "share"),
    [
        (0.0, 0.0), (2.99, 0.0), (3.0, 0.0),
        (6.0, (216 - 27) / (1728 - 27)),  # 0.1111
        (9.0, (729 - 27) / (1728 - 27)),  # 0.4127
        (12.0, 1.0), (20.0, 1.0), (24.99, 1.0), (25.0, 0.0), (40.0, 0.0),
    ],
)  # fmt: skip
def test_the_curve_by_hand(speed: float, share: float) -> None:
    got = cubic(np.array([[speed]]), np.array([3.0]), np.array([12.0]), np.array([25.0]))
    assert got[0, 0] == pytest.approx(share)


def test_the_curve_never_falls_before_it_stops() -> None:
    speeds = np.linspace(0, 24.9, 500)[None, :]
    share = cubic(speeds, np.array([2.5]), np.array([13.0]), np.array([25.0]))[0]
    assert (np.diff(share) >= 0).all()
    assert (share[0], share[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("edges", [(12.0, 12.0, 25.0), (3.0, 12.0, 12.0), (0.0, 0.1, 0.1)])
def test_a_curve_without_a_slope_is_a_step(edges: tuple[float, float, float]) -> None:
    got = cubic(np.linspace(0, 30, 100)[None, :], *(np.array([x]) for x in edges))
    assert np.isfinite(got).all()
    assert ((got >= 0) & (got <= 1)).all()


def test_wind_is_stronger_at_the_hub() -> None:
    """5 m/s at 10 m are 5 x 8 ** 0.14 = 6.69 m/s at 80 m: 16.1 kW of 100; at the hub 5 m/s are 5.8 kW."""
    axis = axis_of(4)
    hub = 5.0 * 8.0**0.14
    ground = available(axis, wind_m_per_s=5.0)
    np.testing.assert_allclose(ground, 100 * (hub**3 - 27) / 1701)
    np.testing.assert_allclose(available(axis, wind_m_per_s=5.0, wind_at="hub"), 100 * 98 / 1701)
    assert ground[0, 0] == pytest.approx(16.0, abs=0.1)


def test_a_yield_stands_in_place_of_the_wind() -> None:
    axis = axis_of(4)
    given = [0.0, 0.5, np.nan, 1.1]
    got = available(axis, yield_kw_per_kw=given, wind_m_per_s=[30.0, 30.0, 15.0, 0.0], wind_at="hub")
    assert got[0] == pytest.approx([0.0, 50.0, 100.0, 110.0])


def test_a_turbine_without_weather_gives_nothing_and_says_so() -> None:
    axis = axis_of(4)
    p = Wind.prepare(turbines(axis, 3, wind_m_per_s=[[10.0] * 4, [np.nan] * 4, [10.0, np.nan, 10.0, 10.0]]), axis)
    assert [k for k, _ in p.notes] == [1, 2]
    assert (p.columns["available_kw"][1] == 0).all()


def test_it_stops_where_feeding_in_costs() -> None:
    axis = axis_of(3)
    s = solve(
        district(Wind, turbines(axis, wind_m_per_s=[8.0, 30.0, 8.0], wind_at="hub"), axis, np.array([0.1, 0.1, -0.05]))
    )
    full = 100 * (512 - 27) / 1701
    np.testing.assert_allclose(s.value("generation_kw"), [[full, 0, 0]], atol=1e-9)
    assert s.objective == pytest.approx(-0.1 * full)
    assert_replays(s)


def test_what_cannot_be_curtailed_is_a_constant() -> None:
    axis = axis_of(3)
    s = solve(district(Wind, turbines(axis, yield_kw_per_kw=0.3, curtailable=False), axis, np.array([0.1, 0.1, -0.05])))
    assert s.assembly.blocks[0].template.width == 0
    assert s.objective == pytest.approx(-0.15 * 30)
    assert_replays(s)
    assert template(Wind, 3, (True,)).width == 3


def test_the_rule_gives_all_there_is() -> None:
    axis = axis_of(4)
    (group,) = district(Wind, turbines(axis, yield_kw_per_kw=[0.0, 0.2, 0.9, 1.0]), axis, 0.1).groups
    got = by_rule(Wind, dict(group.columns), 4, 1.0)
    assert got.flows["ac_kw"].tolist() == [[0.0, -20.0, -90.0, -100.0]]
    assert got.flows["curtailed_kw"].sum() == 0
    assert Wind.kpis(None, got.flows, 1.0)["generated_kwh"].tolist() == [210.0]
