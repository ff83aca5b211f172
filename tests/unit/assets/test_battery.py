"""Battery extras: cycles a day, dwelling, power that falls near full and empty; by hand and against the physics."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import Floats, at
from gridopt.assets.battery import Battery
from gridopt.clock import Axis, day_axis
from gridopt.model.inputs import make_groups
from gridopt.model.template import template
from tests.unit.assets.replay import Solved, assert_replays, axis_of, district, drive, solve, users

PLAIN = {
    "capacity_kwh": 10.0, "power_kw": 5.0, "efficiency_in": 1.0, "efficiency_out": 1.0, "wear_eur_per_kwh": 0.0,
    "soc_min": 0.0, "soc_max": 1.0, "soc_start": 0.0, "end": "free",
}  # fmt: skip


def batteries(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    return users(Battery, n, axis, **(PLAIN | given))


def planned(axis: Axis, price: Any, n: int = 1, **given: Any) -> Solved:
    return solve(district(Battery, batteries(axis, n, **given), axis, price))


def options_of(**given: Any) -> tuple[Any, ...]:
    (group,) = make_groups(Battery, ["a"], batteries(axis_of(8), **given), {"ac": [0]}, axis_of(8))
    return group.options


# --- what is not used costs nothing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [4, 96])
def test_a_plain_battery_has_no_column_and_no_row_more(steps: int) -> None:
    t = template(Battery, steps, (False, False, False, ()))
    assert (t.width, t.height, len(t.matrix.row)) == (3 * steps + 1, steps + 1, 4 * steps + 1)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"cycles_today": 0.7, "extra_cycle_eur": 3.0},  # of no day's limit
        {"dwell_soc": 0.3},  # at no price
        {"taper_in_power": 0.1, "taper_out_power": 0.1},  # from full, and from empty on
        {"taper_in_soc": 0.5, "taper_in_power": 1.0},
        {"taper_in_soc": 0.5, "taper_out_soc": 0.5, "power_kw": 0.0},
        {"taper_in_soc": 0.5, "taper_out_soc": 0.5, "capacity_kwh": 0.0},
    ],
)
def test_what_changes_nothing_is_no_option(given: dict[str, Any]) -> None:
    assert options_of(**given) == (False, False, False, ())


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({"soc_start": 1.1}, (True, False, False, ())),
        ({"dwell_eur_per_kwh_per_h": 0.01}, (False, True, False, ())),
        ({"taper_in_soc": 0.8}, (False, False, True, ())),
        ({"taper_out_soc": 0.2}, (False, False, True, ())),
        ({"cycles_per_day": 0.0}, (False, False, False, (8,))),
    ],
)
def test_each_extra_is_an_option(given: dict[str, Any], options: tuple[Any, ...]) -> None:
    assert options_of(**given) == options


# --- cycles a day ----------------------------------------------------------------------------------------------------


def test_a_cycle_a_day_by_hand() -> None:
    """Two spreads a day, one cycle allowed: 10 kWh go through the better one of each local day, not 20."""
    axis = day_axis(date(2026, 1, 15), 2, 240, "Europe/Paris")  # six steps of four hours a day
    price = [0.1, 0.3, 0.1, 0.4, 0.2, 0.2, 0.1, 0.5, 0.1, 0.2, 0.1, 0.1]
    s = planned(axis, price, cycles_per_day=1.0)
    assert s.assembly.blocks[0].group.options[3] == (6, 12)
    given = 4.0 * s.value("discharge_kw")[0]
    np.testing.assert_allclose([given[:6].sum(), given[6:].sum()], [10.0, 10.0], atol=1e-6)
    assert s.objective == pytest.approx(-10 * 0.3 - 10 * 0.4)
    assert planned(axis, price).objective == pytest.approx(-10 * 0.2 - 10 * 0.3 - 10 * 0.4 - 10 * 0.1)
    assert_replays(s)


@pytest.mark.parametrize(
    ("today", "given"), [(0.0, [10.0, 10.0]), (0.4, [6.0, 10.0]), (1.0, [0.0, 10.0]), (3.0, [0.0, 10.0])]
)
def test_what_the_first_day_has_used_counts_on_it_alone(today: float, given: list[float]) -> None:
    axis = day_axis(date(2026, 1, 15), 2, 240, "Europe/Paris")
    s = planned(axis, [0.1, 0.4, 0.1, 0.1, 0.1, 0.1] * 2, cycles_per_day=1.0, cycles_today=today)
    out = 4.0 * s.value("discharge_kw")[0]
    np.testing.assert_allclose([out[:6].sum(), out[6:].sum()], given, atol=1e-6)
    assert_replays(s)


@pytest.mark.parametrize(("price", "cycles"), [(1.9, 2.0), (2.1, 1.0)])
def test_a_cycle_more_is_bought_where_it_pays(price: float, cycles: float) -> None:
    """The second cycle earns 0.2 EUR/kWh x 10 kWh = 2 EUR."""
    s = planned(axis_of(4), [0.1, 0.4, 0.1, 0.3], power_kw=10.0, cycles_per_day=1.0, extra_cycle_eur=price)
    assert s.value("discharge_kw").sum() == pytest.approx(10 * cycles)
    assert s.value("over_kwh")[0] == pytest.approx([0, 0, 0, 10 * (cycles - 1)])
    assert s.objective == pytest.approx(-3.0 + (cycles - 1) * (price - 2.0))
    assert_replays(s)


@pytest.mark.parametrize(
    ("day", "ends"),
    [(date(2026, 1, 15), (96, 192)), (date(2026, 3, 28), (96, 188)), (date(2026, 10, 25), (100, 196))],
)
def test_days_are_local_ones(day: date, ends: tuple[int, int]) -> None:
    """A day of 92 quarter-hours in March, one of 100 in October."""
    axis = day_axis(day, 2, 15, "Europe/Paris")
    p = Battery.prepare(batteries(axis, cycles_per_day=1.0), axis)
    assert p.structure is not None
    assert p.structure[0][3] == ends


def test_a_horizon_that_begins_within_a_day_ends_it_first() -> None:
    axis = axis_of(40)  # from one o'clock in Paris
    p = Battery.prepare(batteries(axis, cycles_per_day=1.0, cycles_today=0.25), axis)
    assert p.structure is not None
    assert p.structure[0][3] == (23, 40)
    assert p.columns["day_most_kwh"][0].tolist() == [7.5] * 23 + [10.0] * 17


def test_the_controller_stops_at_the_days_cycles() -> None:
    axis = axis_of(4)
    (group,) = district(Battery, batteries(axis, soc_start=1.0, cycles_per_day=0.6), axis, 0.1).groups
    got = drive(
        Battery, dict(group.columns), 4, 1.0, {"charge_kw": np.zeros((1, 4)), "discharge_kw": np.full((1, 4), 5.0)}
    )
    assert got.flows["discharge_kw"].tolist() == [[5.0, 1.0, 0.0, 0.0]]


# --- dwelling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dwell", "early"), [(0.0, 10.0), (0.03, 6.0)])
def test_dwelling_by_hand(dwell: float, early: float) -> None:
    """Charging in the first hour saves 0.05 EUR/kWh. Above 60 % that is two hours more at 0.03; the hour at whose end
    it is full costs that either way. Wear keeps it from selling in between."""
    s = planned(
        axis_of(4), [0.10, 0.15, 0.15, 0.50], power_kw=10.0, wear_eur_per_kwh=0.06, dwell_soc=0.6,
        dwell_eur_per_kwh_per_h=dwell,
    )  # fmt: skip
    charge = s.value("charge_kw")[0]
    assert charge == pytest.approx([early, 0, 10 - early, 0], abs=1e-6)
    assert s.objective == pytest.approx(0.1 * early + 0.15 * (10 - early) + 0.6 - 5.0 + dwell * 4.0)
    assert_replays(s)


# --- power over content ----------------------------------------------------------------------------------------------


def test_charging_slows_by_hand() -> None:
    """From 50 % on 5 kW fall to 1 kW at 100 %: 0.8 kW per kWh. At the end of an hour from 5 kWh, c <= 5 - 0.8 c."""
    s = planned(axis_of(3), -0.1, soc_start=0.0, taper_in_soc=0.5, taper_in_power=0.2)
    first = 5.0
    second = 5.0 / 1.8
    third = (5.0 - 0.8 * second) / 1.8
    np.testing.assert_allclose(s.value("charge_kw")[0], [first, second, third], atol=1e-6)
    assert_replays(s)


def test_discharging_slows_by_hand() -> None:
    """Below 50 % 5 kW fall to 1 kW at 0 %: at the end of an hour from 4 kWh, d <= 1 + 0.8 (4 - d)."""
    s = planned(axis_of(2), 0.1, soc_start=0.4, taper_out_soc=0.5, taper_out_power=0.2)
    first = 4.2 / 1.8
    second = min((1 + 0.8 * (4 - first)) / 1.8, 4 - first)
    np.testing.assert_allclose(s.value("discharge_kw")[0], [first, second], atol=1e-6)
    assert_replays(s)


def test_a_battery_above_its_capacity_has_a_plan() -> None:
    s = planned(axis_of(6), [0.1] * 6, soc_start=1.2, taper_in_soc=0.6, taper_in_power=0.1, loss_per_h=0.01)
    assert_replays(s)


# --- block and physics -----------------------------------------------------------------------------------------------


def random_batteries(rng: np.random.Generator, axis: Axis, n: int) -> dict[str, Any]:
    def some(values: Floats, share: float = 0.6) -> Floats:
        return np.where(rng.random(n) < share, values, np.nan)

    return batteries(
        axis, n, capacity_kwh=rng.uniform(2, 20, n), power_kw=rng.uniform(1, 8, n),
        efficiency_in=rng.uniform(0.85, 1, n), efficiency_out=rng.uniform(0.85, 1, n), soc_min=0.1, soc_max=0.9,
        soc_start=rng.uniform(0.1, 0.9, n), wear_eur_per_kwh=0.01,
        end=rng.choice(np.array(["start", "free", "target", "value"], object), n), end_value_eur_per_kwh=0.1,
        cycles_per_day=some(rng.uniform(0, 1.5, n)), cycles_today=rng.choice([0.0, 0.3], n),
        extra_cycle_eur=some(rng.uniform(0.05, 0.5, n)), dwell_soc=rng.uniform(0, 1, n),
        dwell_eur_per_kwh_per_h=rng.choice([0.0, 0.01], n), taper_in_soc=rng.uniform(0.3, 1, n),
        taper_in_power=rng.uniform(0, 1, n), taper_out_soc=rng.uniform(0, 0.7, n), taper_out_power=rng.uniform(0, 1, n),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_physics_equals_block_over_several_days(seed: int) -> None:
    """From noon to the second midnight; prices that never pay for both directions at once."""
    rng = np.random.default_rng(seed)
    axis = axis_of(58, 60)
    inputs = district(Battery, random_batteries(rng, axis, 7), axis, rng.uniform(0.02, 0.4, axis.steps))
    assert len({g.options for g in inputs.groups}) >= 3
    assert_replays(solve(inputs), 1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_no_command_leads_out_of_any_bound(seed: int) -> None:
    """Whatever is commanded, what is realised is a point of the block: every row and bound holds."""
    rng = np.random.default_rng(seed)
    axis = axis_of(30)
    inputs = district(Battery, random_batteries(rng, axis, 9), axis, 0.1)
    for group in inputs.groups:
        c = dict(group.columns)
        charging = rng.random((group.n, 30)) < 0.5
        wanted = rng.uniform(0, 12, (group.n, 30))
        got = drive(Battery, c, 30, 1.0, {"charge_kw": wanted * charging, "discharge_kw": wanted * ~charging})
        soc, into, out = got.states["soc_kwh"], got.flows["charge_kw"], got.flows["discharge_kw"]
        assert (soc <= c["soc_most_kwh"] + 1e-9).all()
        assert (soc >= c["soc_least_kwh"] - 1e-9).all()
        assert (np.maximum(into, out) <= c["power_kw"][:, None] + 1e-9).all()
        assert (into + c["taper_in_per_h"][:, None] * soc <= c["taper_in_kw"] + 1e-9).all()
        assert (out - c["taper_out_per_h"][:, None] * soc <= c["taper_out_kw"][:, None] + 1e-9).all()
        if group.options[3]:
            first = 0
            for end in group.options[3]:
                used = out[:, first:end].sum(1) - got.flows["over_kwh"][:, first:end].sum(1)
                assert (used <= c["day_most_kwh"][:, end - 1] + 1e-9).all()
                first = end


def test_the_rule_keeps_to_the_data_sheet() -> None:
    """Self-consumption against a surplus of 9 kW: the controller slows down as the battery fills."""
    axis = axis_of(4)
    (group,) = district(Battery, batteries(axis, taper_in_soc=0.5, taper_in_power=0.2), axis, 0.1).groups
    surplus = {"ac": np.array([9.0])}
    got = drive(Battery, dict(group.columns), 4, 1.0, lambda p, state: Battery.rule(p, state, surplus))
    charge, soc = [], 0.0
    for most in (5.0, 9.0, 9.0, 9.0):  # c <= 9 - 0.8 (soc + c) above 5 kWh
        charge.append(5.0 if not soc else min((most - 0.8 * soc) / 1.8, 10.0 - soc))
        soc += charge[-1]
    np.testing.assert_allclose(got.flows["charge_kw"][0], charge)
    p = at(dict(group.columns), 0, 1.0)
    assert Battery.rule(p, {}, {"ac": np.array([-3.0])})["discharge_kw"].tolist() == [3.0]
