"""Diffuse heaters: cuts of half an hour at most, in turns; rebound, comfort, opt-out; against hand and physics."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import at
from gridopt.assets.diffuse_heaters import DiffuseHeaters
from gridopt.clock import Axis
from gridopt.model.template import template
from gridopt.simulate.twin import twin
from gridopt.solve import ladder
from gridopt.solve.equal import ending_like
from gridopt.verify import bill, replay
from tests.unit.assets.replay import Solved, assert_replays, axis_of, by_rule, district, drive, solve, users

FLATS = {"flats": 100.0, "power_kw": 120.0, "rebound_h": 1.0, "rebound_share": 0.8, "cut_h": 0.5, "rest_h": 1.0,
         "owed_eur_per_kwh": 1.0, "comfort_min_c": 0.0}  # fmt: skip
"""1.2 kW each; a cut of all for half an hour spares 60 kWh, of which 48 come back in the hour after. What would come
after the horizon is dear, so that nothing is cut for its end alone."""


def flats(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    return users(DiffuseHeaters, n, axis, **FLATS | given)


def columns_of(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    return dict(DiffuseHeaters.prepare(flats(axis, n, **given), axis).columns)


def planned(axis: Axis, price: Any, n: int = 1, **given: Any) -> Solved:
    s = solve(district(DiffuseHeaters, flats(axis, n, **given), axis, price))
    assert_replays(s)
    return s


def drawn(s: Solved) -> Any:
    return (120.0 - s.value("cut_kw") + s.value("rebound_kw"))[0]


def test_prepare() -> None:
    axis = axis_of(6, 15)
    c = columns_of(axis, opted_out=25.0, cut_h=0.4, since_cut_h=0.5, owed_start_kwh=10.0, indoor_c=19.0,
                   comfort_min_c=18.5, drop_start_k=2.0)  # fmt: skip
    np.testing.assert_allclose(c["part_kw"], 90.0 * 0.8)  # 24 minutes of two quarter-hours
    np.testing.assert_allclose(c["may_begin"], [[0, 0, 1, 1, 1, 0]])  # rests half an hour more; ends inside
    np.testing.assert_allclose(c["saved_kwh"], [[36, 36, 36, 36, 36, 18]])
    np.testing.assert_allclose(c["owed_kw"], [[10, 10, 10, 10, 0, 0]])
    np.testing.assert_allclose(c["drop_max_k"][0], 2 * np.exp(-0.25 / 30 * np.arange(1, 7)))  # cold already: no cut
    np.testing.assert_allclose(c["returned_share"], [[1, 0.75, 0.5, 0.25, 0, 0]])
    assert c["stored_kwh_per_k"] == 75 * 3
    assert c["cut_max_kw"] == 120.0
    assert set(c) == set(DiffuseHeaters.column_names())


@pytest.mark.parametrize("options", [(1, 0, 1), (2, 4, 8), (4, 2, 3)])
def test_template(options: tuple[int, int, int]) -> None:
    t = template(DiffuseHeaters, 24, options)
    assert (t.width, t.height) == (4 * 24, 5 * 24)


def test_a_dear_half_hour_is_cut_and_comes_back_by_hand() -> None:
    """Quarter-hours at 0.10, two of them at 0.50: 120 kW less there, then 48 kWh over an hour, 48 kW more."""
    price = np.full(12, 0.10)
    price[4:6] = 0.50
    s = planned(axis_of(12, 15), price)
    np.testing.assert_allclose(drawn(s), [120] * 4 + [0, 0] + [168] * 4 + [120] * 2, atol=1e-6)
    assert s.objective == pytest.approx(0.25 * 120 * (10 * 0.1 + 2 * 0.5) - 60 * 0.5 + 48 * 0.1)


def test_nobody_is_cut_for_longer_but_they_take_turns() -> None:
    """Two dear hours: a cut lasts half an hour and is followed by an hour's rest: a third of the flats at any time."""
    price = np.full(20, 0.10)
    price[4:12] = 0.60
    s = planned(axis_of(20, 15), price, rebound_share=0.0)
    begun = s.value("begun")[0]
    for t in range(20):
        assert begun[max(t - 5, 0) : t + 1].sum() <= 1 + 1e-9
    cut = s.value("cut_kw")[0]
    np.testing.assert_allclose(cut, 120 * np.array([begun[max(t - 1, 0) : t + 1].sum() for t in range(20)]), atol=1e-6)
    # Six steps hold one whole cut: the eight dear steps hold 2 + 2 of the first and the last, all of 120 kW.
    assert cut[4:12].sum() == pytest.approx(4 * 120)


def test_nothing_is_cut_where_the_rebound_costs_more_than_is_spared() -> None:
    """Prices that only rise, and all of a cut comes back."""
    s = planned(axis_of(12, 15), np.linspace(0.1, 0.5, 12), rebound_share=1.0)
    np.testing.assert_allclose(s.value("cut_kw"), 0, atol=1e-9)


@pytest.mark.parametrize(("step_min", "cut"), [(30, [120.0]), (60, [60.0]), (15, [120.0, 120.0])])
def test_half_an_hour_is_half_an_hour_on_any_step(step_min: int, cut: list[float]) -> None:
    steps = 6 * 60 // step_min
    price = np.full(steps, 0.1)
    price[: len(cut)] = 9.0
    got = planned(axis_of(steps, step_min), price).value("cut_kw")[0]
    np.testing.assert_allclose(got[: len(cut)], cut, atol=1e-6)


def test_rebound_after_the_horizon_is_paid_for() -> None:
    """A cut in the last half-hour spares 60 kWh at 0.30 and owes 48: worth it below 0.375."""
    price = [0.1, 0.1, 0.3, 0.3]
    assert planned(axis_of(4, 15), price, owed_eur_per_kwh=0.37).value("cut_kw").sum() == pytest.approx(240.0)
    s = planned(axis_of(4, 15), price, owed_eur_per_kwh=0.38)
    assert s.value("cut_kw").sum() == pytest.approx(0.0, abs=1e-6)


def test_a_cut_lies_in_allowed_hours_as_a_whole() -> None:
    """Half an hour in quarter-hours; forbidden in the fifth and the sixth, dear from the fourth to the seventh: no cut
    touches them, and the rebound comes when it comes."""
    allowed = [1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1]
    c = columns_of(axis_of(12, 15), allowed=allowed)
    np.testing.assert_allclose(c["may_begin"], [[1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 0]])
    price = np.full(12, 0.10)
    price[3:7] = 9.0
    s = planned(axis_of(12, 15), price, allowed=allowed, rest_h=0.0, rebound_share=0.0)
    np.testing.assert_allclose(s.value("cut_kw")[0, 2:8], [120, 120, 0, 0, 120, 120], atol=1e-6)
    back = planned(axis_of(12, 15), price, allowed=allowed, rest_h=0.0, owed_eur_per_kwh=0.0, rebound_share=0.1)
    assert back.value("rebound_kw")[0, 4:6].min() > 0


@pytest.mark.parametrize("share", [0.0, 0.8, 1.0])
def test_what_does_not_come_back_is_saved_beside_a_day_without_cuts(share: float) -> None:
    """One dear half-hour in a day: 60 kWh are cut there, and the share comes back at the usual price. The day by rule
    cuts nothing; that its flats are a little warmer at midnight is no debt."""
    axis = axis_of(48, 30)
    price = np.full(48, 0.10)
    price[36] = 0.60
    inputs = district(DiffuseHeaters, flats(axis, rebound_share=share, rest_h=30.0), axis, price)
    solution, rule = ladder.solve(inputs), twin(inputs)
    schedule = solution.assembly.schedule(solution.x)
    saved = rule.ledger.total_eur - bill(inputs, schedule.net_kw, replay(inputs, schedule)).total_eur
    assert saved == pytest.approx(60 * 0.60 - share * 60 * 0.10)
    x = ending_like(solution, rule.trace)
    assert x is not None
    np.testing.assert_allclose(x, solution.x, atol=1e-6)
    columns = SimpleNamespace(**inputs.groups[0].columns)
    figures = DiffuseHeaters.kpis(columns, replay(inputs, schedule).steps[0], 0.5)
    assert figures["saved_kwh"][0] == pytest.approx((1 - share) * 60)


def test_who_opted_out_is_never_cut() -> None:
    price = np.full(8, 0.1)
    price[2:4] = 9.0
    s = planned(axis_of(8, 15), price, n=3, opted_out=[0.0, 40.0, 100.0])
    np.testing.assert_allclose(s.value("cut_kw").max(1), [120, 72, 0], atol=1e-6)


def test_the_largest_cut() -> None:
    price = np.full(8, 0.1)
    price[2:4] = 9.0
    np.testing.assert_allclose(planned(axis_of(8, 15), price, cut_max_kw=30.0).value("cut_kw")[0, 2:4], 30.0)


def test_no_cut_breaks_the_comfort() -> None:
    """Half an hour of 1.2 kW from flats of 3 kWh/K is 0.2 K: with 0.05 K to spare a quarter, with none nothing."""
    price = np.full(8, 0.1)
    price[2:4] = 9.0
    s = planned(axis_of(8, 15), price, n=3, indoor_c=[[18.05], [18.0], [17.0]], comfort_min_c=18.0,
                time_constant_h=1e4, rebound_share=0.0)  # fmt: skip
    np.testing.assert_allclose(s.value("cut_kw").sum(1) * 0.25, [15.0, 0, 0], atol=1e-2)
    assert s.value("drop_k")[0].max() == pytest.approx(0.05)


def test_what_was_cut_before_the_start_comes_back() -> None:
    s = planned(axis_of(8, 15), np.linspace(0.1, 0.5, 8), owed_start_kwh=12.0, rebound_share=1.0)
    np.testing.assert_allclose(drawn(s), [132.0] * 4 + [120.0] * 4)


def test_flats_cut_before_the_start_rest_first() -> None:
    s = planned(axis_of(8, 15), np.linspace(0.5, 0.1, 8), rest_h=0.5, since_cut_h=0.0, owed_eur_per_kwh=0.0)
    assert s.value("begun")[0, :2].sum() == 0.0
    assert s.value("begun")[0, 2] == pytest.approx(1.0)


@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("seed", range(3))
def test_physics_equals_block(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = axis_of(30, 15)
    user = flats(
        axis, n, flats=rng.integers(1, 200, n), opted_out=rng.integers(0, 2, n), power_kw=rng.uniform(0, 90, (n, 30)),
        cut_h=rng.choice([0.25, 0.5, 1.0], n), rest_h=rng.choice([0.0, 0.5, 2.0], n), rebound_h=rng.uniform(0, 3, n),
        rebound_share=rng.uniform(0, 1, n), owed_eur_per_kwh=rng.uniform(0, 0.3, n),
        owed_start_kwh=rng.uniform(0, 9, n),
        comfort_min_c=rng.uniform(17, 19.5, n)[:, None], drop_start_k=rng.uniform(0, 0.3, n),
        cut_max_kw=rng.uniform(5, 90, n),
    )  # fmt: skip
    inputs = district(DiffuseHeaters, user, axis, rng.normal(0.1, 0.3, 30))
    assert_replays(solve(inputs))
    assert_replays(solve(inputs, rng=rng))


def test_the_controller_grants_no_more_than_the_flats_may_bear() -> None:
    columns = columns_of(axis_of(8, 15), indoor_c=18.1, comfort_min_c=18.0, time_constant_h=1e4, rebound_share=0.0)
    got = drive(DiffuseHeaters, columns, 8, 0.25, {"begun": np.array([[0.3, 2.0, 1.0, 0, 0, 0, 0, 1.0]])})
    np.testing.assert_allclose(got.flows["begun"][0, [0, 7]], [0.3, 0.0])  # the last cut would not end inside
    assert got.states["drop_k"].max() == pytest.approx(0.1, abs=1e-4)
    shares = got.flows["begun"][0]
    assert all(shares[max(t - 5, 0) : t + 1].sum() <= 1 + 1e-9 for t in range(8))


def test_baseline_cuts_nothing() -> None:
    got = by_rule(DiffuseHeaters, columns_of(axis_of(4, 15)), 4, 0.25)
    np.testing.assert_allclose(got.flows["ac_kw"], 120.0)


def test_shed_begins_a_cut() -> None:
    p = at(columns_of(axis_of(8, 15)), 0, 0.25)
    got = DiffuseHeaters.shed(p, DiffuseHeaters.start(p), {"begun": np.array([0.1])}, "ac", np.array([30.0]))
    assert got["begun"] == pytest.approx(0.1 + 30 / 120)


def test_kpis() -> None:
    columns = columns_of(axis_of(8, 15))
    got = drive(DiffuseHeaters, columns, 8, 0.25, {"begun": np.array([[0.5, 0, 0, 0, 0, 0, 0, 0]])})
    kpis = DiffuseHeaters.kpis(SimpleNamespace(**columns), got.flows | got.states, 0.25)
    assert kpis["cut_kwh"] == pytest.approx(30.0)
    assert kpis["rebound_kwh"] == pytest.approx(24.0)
    assert kpis["cut_most_kw"] == pytest.approx(60.0)
    assert kpis["drop_most_k"] == pytest.approx(0.1, abs=2e-3)
