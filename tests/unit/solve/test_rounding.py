"""Rounding by hand: energies kept with the fewest steps, errors carried on, one of many, both ways at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridopt.assets.base import Floats
from gridopt.model.assemble import PairSet, SemiSet, WholeSet, assemble
from gridopt.model.inputs import Pin
from gridopt.solve.rounding import both_ways, is_whole, round_semi, round_whole
from gridopt.solve.session import Session
from gridopt.solve.workbench import Workbench
from tests.support.districts import EXACT, Device, Sketch, energy_price, hours, node, peak_price

Rounding = Literal["budget", "diffusion"]


def rounded(
    rounding: Rounding, power: Any, least: Any, most: Any, price: Any = 0.0, first: int = 0
) -> tuple[list[list[int]], Floats, Floats]:
    """Which steps of each device are on, and the bounds (n, steps) that hold them; columns begin at ``first``."""
    x = np.atleast_2d(np.asarray(power, np.float64))
    n = len(x)

    def table(value: Any) -> Floats:
        value = np.asarray(value, np.float64)
        return np.array(np.broadcast_to(value[:, None] if value.ndim == 1 and len(value) == n > 1 else value, x.shape))

    columns = first + np.arange(x.size).reshape(x.shape)
    upper = np.concatenate([np.full(first, -7.0), table(most).ravel()])
    point = np.concatenate([np.full(first, -7.0), x.ravel()])
    block: Any = None
    held, low, high = round_semi(SemiSet(block, columns, table(least), rounding, False), point, upper, table(price))
    assert held.tolist() == columns.ravel().tolist()
    low, high = low.reshape(x.shape), high.reshape(x.shape)
    on = high > 0
    np.testing.assert_array_equal(low, np.where(on, table(least), 0.0))
    np.testing.assert_array_equal(high, np.where(on, table(most), 0.0))
    return [np.flatnonzero(row).tolist() for row in on], low, high


# --- budget ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("power", "least", "most", "on"),
    [
        # 5.6 kW in all: two steps hold 4..8 of them, the two that the relaxation used most.
        ([0.5, 2.0, 0.1, 3.0], 2.0, 4.0, [1, 3]),
        # 3.9 kW: at 2 kW and more there is room for one step only.
        ([0.5, 1.3, 0.6, 1.5], 2.0, 4.0, [3]),
        # 4.0 kW exactly: rounding errors of the sum must not lose a step.
        ([0.1, 0.2, 3.7 - 1e-12, 0.0], 2.0, 4.0, [1, 2]),
        # 12 kW at 4 at most: three steps, though ...
        ([4.0, 4.0, 3.5, 0.5], 4.0, 4.0, [0, 1, 2]),
        # ... 7.9 kW fit one step at the minimum, and would be 3.9 short: short is worse than too much.
        ([4.0, 3.9, 0.0, 0.0], 4.0, 4.0, [0, 1]),
        # No more steps than the relaxation used, although the minimum would allow five.
        ([3.0, 0.0, 3.0, 0.0, 0.0], 1.0, 4.0, [0, 2]),
        # Less than one step's minimum: one step all the same, since the energy must flow.
        ([0.3, 0.4, 0.0, 0.0], 2.0, 4.0, [1]),
        ([0.0, 0.0, 0.0, 0.0], 2.0, 4.0, []),
        # Already whole: as it is.
        ([2.0, 0.0, 4.0, 3.0], 2.0, 4.0, [0, 2, 3]),
    ],
)
def test_the_energy_is_kept_in_the_best_used_steps(
    power: list[float], least: float, most: float, on: list[int]
) -> None:
    assert rounded("budget", power, least, most)[0] == [on]


def test_the_cheapest_of_equally_used_steps() -> None:
    price = [0.3, 0.1, 0.2, 0.4]
    assert rounded("budget", [1.0, 1.0, 1.0, 1.0], 2.0, 4.0, price)[0] == [[1, 2]]
    assert rounded("budget", [1.0, 1.0, 1.0, 1.0], 2.0, 4.0, [-p for p in price])[0] == [[0, 3]]
    # The price decides between equals only, and the earlier step where the price is equal too.
    assert rounded("budget", [0.9, 0.9, 0.9, 1.1], 3.5, 4.0, price)[0] == [[3]]
    assert rounded("budget", [1.0, 1.0, 1.0, 1.0], 2.0, 4.0, 0.2)[0] == [[0, 1]]


def test_steps_shut_by_an_outage_are_not_used() -> None:
    """The plug is dead at the second step: what the relaxation used of it cannot count."""
    assert rounded("budget", [1.0, 0.0, 1.5, 1.6], 2.0, [4.0, 0.0, 4.0, 4.0])[0] == [[2, 3]]
    # A limit below the minimum leaves nothing to run at, however much the relaxation used it.
    assert rounded("budget", [0.2, 1.9, 1.0, 1.0], 2.0, [4.0, 1.9, 4.0, 4.0])[0] == [[2, 3]]
    assert rounded("budget", [0.5, 0.9], 2.0, [1.0, 1.0])[0] == [[]]


def test_a_limit_just_at_the_minimum_may_be_used() -> None:
    on, low, high = rounded("budget", [2.0 - 1e-9, 0.0], 2.0, [2.0 - 1e-9, 4.0])
    assert on == [[0]]
    assert low[0, 0] <= high[0, 0] + 1e-6


def test_devices_are_rounded_one_by_one() -> None:
    on, low, high = rounded(
        "budget", [[1.0, 1.2, 0.9], [3.0, 0.0, 0.5], [0.0, 0.0, 0.0]], [1.5, 3.0, 1.0], [2.0, 4.0, 9.0], first=11
    )
    assert on == [[0, 1], [0], []]
    np.testing.assert_array_equal(low[:2], [[1.5, 1.5, 0.0], [3.0, 0.0, 0.0]])
    np.testing.assert_array_equal(high[:2], [[2.0, 2.0, 0.0], [4.0, 0.0, 0.0]])


def test_a_device_without_a_minimum_keeps_what_it_uses() -> None:
    assert rounded("budget", [[0.1, 0.0, 0.2], [1.0, 1.0, 1.0]], [0.0, 2.0], [4.0, 4.0])[0] == [[0, 2], [0]]


levels = st.lists(st.integers(0, 40), min_size=1, max_size=10).map(lambda k: np.array(k) / 10)


@given(levels, st.integers(1, 40))
def test_the_energy_fits_whenever_it_can(power: Floats, tenths: int) -> None:
    """Whatever lies between some whole number of steps at the minimum and as many at most, stays possible."""
    least, most, total = tenths / 10, 4.0, power.sum()
    [on], low, high = rounded("budget", power, least, most)
    some = [k for k in range(len(power) + 1) if k * least <= total + 1e-9 and total <= k * most + 1e-9]
    if some:
        assert low.sum() <= total + 1e-6
        assert total <= high.sum() + 1e-6
        assert len(on) <= max(np.count_nonzero(power), min(some))
        # Never a step that was used less than one left out.
        out = [t for t in range(len(power)) if t not in on]
        assert min(power[on], default=9.0) >= max(power[out], default=0.0)


# --- diffusion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("power", "least", "most", "on"),
    [
        # 0.4 each, at 1 kW: owed 0.4 | 0.8 on, -0.2 | 0.2 | 0.6 on, -0.4 | 0 | 0.4 | 0.8 on
        ([0.4] * 7, 1.0, 1.0, [1, 3, 6]),
        # Half the minimum owed is enough.
        ([0.5, 0.5, 0.5, 0.5], 1.0, 1.0, [0, 2]),
        ([0.49, 0.0, 0.49, 0.0], 1.0, 1.0, [2]),
        # 0.6 are still owed at a step without use: nobody needs heat then, it waits for the next.
        ([2.6, 0.0, 0.2], 1.0, 2.0, [0, 2]),
        # What is above the minimum is paid off at once: 1.6 on, 0 | 0.4 | 0.8 on
        ([1.6, 0.4, 0.4], 1.0, 2.0, [0, 2]),
        # What is above the most is owed on: 2.6 on at 2 | 0.6 + 0.2 on
        ([2.6, 0.2, 0.0], 1.0, 2.0, [0, 1]),
        ([0.0, 0.0], 1.0, 2.0, []),
        ([1.0, 0.0, 1.7, 2.0], 1.0, 2.0, [0, 2, 3]),
    ],
)
def test_the_error_is_carried_to_the_next_step(power: list[float], least: float, most: float, on: list[int]) -> None:
    assert rounded("diffusion", power, least, most)[0] == [on]


def test_what_an_outage_or_a_limit_forbids_does_not_run() -> None:
    on, low, high = rounded("diffusion", [1.0, 0.0, 0.5, 0.0], 1.0, [1.0, 0.0, 0.5, 1.0])
    assert on == [[0]]
    assert low[0, 1:].tolist() == high[0, 1:].tolist() == [0.0] * 3


def test_minimum_and_limit_may_change_by_the_step() -> None:
    assert rounded("diffusion", [0.4, 0.4, 0.4], [[2.0, 0.8, 2.0]], [[2.0, 0.9, 2.0]])[0] == [[1]]


@given(levels, st.integers(1, 40))
def test_the_mean_is_kept_to_half_a_step(power: Floats, tenths: int) -> None:
    """At full power as minimum, what runs differs from what was wanted by half a step at most, at any time."""
    full = tenths / 10
    wanted = np.minimum(power, full)
    wanted[wanted == 0] = 0.01  # a step without use never runs, and may be owed for long
    [on], *_ = rounded("diffusion", wanted, full, full)
    ran = np.isin(np.arange(len(power)), on) * full
    owed = np.cumsum(wanted - ran)
    assert (np.abs(owed) <= 0.5 * full + 1e-6).all()


# --- whole columns ---------------------------------------------------------------------------------------------------


def whole(values: Any, upper: Any = 1.0, one_of: bool = False, follows: bool = False) -> list[list[float]]:
    x = np.atleast_2d(np.asarray(values, np.float64))
    most = np.array(np.broadcast_to(upper, x.shape), np.float64)
    columns = 3 + np.arange(x.size).reshape(x.shape)
    pad = np.full(3, 0.9)
    held, low, high = round_whole(
        WholeSet(columns, one_of, False), np.concatenate([pad, x.ravel()]), np.concatenate([pad, most.ravel()]), follows
    )
    assert held.tolist() == columns.ravel().tolist()
    np.testing.assert_array_equal(low, high)
    rows: list[list[float]] = low.reshape(x.shape).tolist()
    return rows


def test_whole_columns_go_to_the_nearest() -> None:
    assert whole([[0.49, 0.51, 1e-7], [1.0 - 1e-7, 0.0, 0.7]]) == [[0, 1, 0], [1, 0, 1]]


def test_one_of_many_is_the_largest() -> None:
    assert whole([[0.2, 0.45, 0.35], [0.5, 0.5, 0.0]], one_of=True) == [[0, 1, 0], [1, 0, 0]]


def test_one_of_many_that_follows_another_keeps_its_distance() -> None:
    """Two steps after the first at most: each at its own largest they would lie three apart."""
    first, second = [[0.4, 0.3, 0.3, 0.0, 0.0], [0.0, 0.0, 0.4, 0.6, 0.0]]
    assert whole([first, second], one_of=True) == [[1, 0, 0, 0, 0], [0, 0, 0, 1, 0]]
    assert whole([first, second], one_of=True, follows=True) == [[0, 1, 0, 0, 0], [0, 0, 0, 1, 0]]
    assert whole([[0.3, 0.3, 0.0], [0.2, 0.2, 0.0]], one_of=True, follows=True) == [[1, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("seed", range(6))
def test_pairs_are_rounded_to_a_plan(seed: int) -> None:
    """Washes and dryers under a peak price: every relaxed pair becomes two runs that follow each other."""
    rng, axis = np.random.default_rng(seed), hours(24)
    machines = [
        Device(f"wash-{k}", "shiftable-load", ("grid",), {
            "profile_kw": [2.0, 0.5], "earliest": float(rng.integers(0, 8)), "latest": float(rng.integers(16, 25)),
            "then_profile_kw": [1.5, 1.5], "then_gap_max_h": float(rng.integers(1, 6)), "skip_eur": 50.0,
        })
        for k in range(12)
    ]  # fmt: skip
    use = Device("use", "load", ("grid",), {"power_kw": rng.uniform(0, 8, 24)})
    contracts = (energy_price(axis, "grid", rng.uniform(0.1, 0.3, 24)), peak_price(axis, "grid", 3.0))
    bench = Workbench(assemble(Sketch(axis, (node(axis, "grid"),), (use, *machines), contracts).inputs()))
    relaxed = bench.run()
    assert not is_whole(bench.a, relaxed.x)
    assert bench.hold(relaxed, bench.a.semi, bench.a.whole) is not None


def test_one_of_many_rests_where_the_relaxation_mostly_rests() -> None:
    assert whole([[0.3, 0.1, 0.1], [0.2, 0.2, 0.2]], one_of=True) == [[0, 0, 0], [1, 0, 0]]


def test_one_of_many_starts_where_it_may() -> None:
    assert whole([[0.0, 0.0, 1.0]], [[0.0, 1.0, 1.0]], one_of=True) == [[0, 0, 1]]
    # Equal parts, the first of which an outage forbids.
    assert whole([[0.5, 0.3, 0.3]], [[0.0, 1.0, 1.0]], one_of=True) == [[0, 1, 0]]


# --- both ways, and whether all is whole -----------------------------------------------------------------------------


def assembly(**parts: Any) -> Any:
    return SimpleNamespace(**({"pairs": [], "semi": [], "whole": []} | parts))


def pairs(first: list[int], second: list[int]) -> PairSet:
    return PairSet(np.array(first), np.array(second), np.zeros(len(first), bool))


def test_pairs_used_both_ways() -> None:
    a = assembly(pairs=[pairs([0, 1], [2, 3]), pairs([4], [5]), pairs([6], [7])])
    x = np.array([1.0, 2.0, 0.0, 0.5, 1e-5, 3.0, 5e-7, 5.0])
    first, second = both_ways(a, x)
    assert (first.tolist(), second.tolist()) == ([1, 4], [3, 5])
    assert not is_whole(a, x)
    x[[3, 4]] = 0.0
    assert [len(c) for c in both_ways(a, x)] == [0, 0]
    assert is_whole(a, x)


def test_a_district_without_pairs() -> None:
    first, second = both_ways(assembly(), np.zeros(3))
    assert first.tolist() == second.tolist() == []
    assert first.dtype.kind == second.dtype.kind == "i"


@pytest.mark.parametrize(
    ("x", "kept"),
    [
        ([0.0, 0.0, 0.0], True),
        ([2.0, 0.0, 3.0], True),
        ([2.0 - 1e-7, 1e-7, 3.0], True),
        ([1.9, 0.0, 3.0], False),
        ([2.0, 0.0, 2.9], False),
        ([0.0, 1e-5, 0.0], False),
    ],
)
def test_semi_continuous_powers_are_kept_or_not(x: list[float], kept: bool) -> None:
    block: Any = None
    s = SemiSet(block, np.array([[0, 1], [2, 3]]), np.array([[2.0, 2.0], [3.0, 0.0]]), "budget", False)
    assert is_whole(assembly(semi=[s]), np.array([*x, 0.3])) == kept


@pytest.mark.parametrize(("x", "kept"), [([0.0, 1.0], True), ([1e-7, 1 - 1e-7], True), ([0.0, 0.99], False)])
def test_whole_columns_are_kept_or_not(x: list[float], kept: bool) -> None:
    assert is_whole(assembly(whole=[WholeSet(np.array([[0, 1]]), False, False)]), np.array(x)) == kept


# --- on a real block -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pins", [(), (Pin("car", "charge_kw", 1, 3, 0.0, "outage"),)])
def test_a_car_keeps_its_energy_and_its_outage(pins: tuple[Pin, ...]) -> None:
    """9 kWh in three hours or more at 4.14 kW and above, round a broken plug, in the cheapest hours."""
    axis = hours(6)
    car = Device(
        "car", "ev-session", ("grid",),
        {"arrive": 0.0, "depart": 6.0, "energy_kwh": 9.0, "power_kw": 11.0, "phases": 3.0, "efficiency": 1.0},
    )  # fmt: skip
    price = [0.3, 0.1, 0.2, 0.4, 0.25, 0.5]
    sketch = Sketch(
        axis, (node(axis, "grid", None, 4.5),), (car,), (energy_price(axis, "grid", price),), pins, target=EXACT
    )
    a = assemble(sketch.inputs())
    s = Session(a.lp)
    [semi] = a.semi
    columns, low, high = round_semi(semi, s.run().x, a.lp.upper, np.array([price]))
    s.bounds(columns, np.maximum(low, a.lp.lower[columns]), np.minimum(high, a.lp.upper[columns]))
    answer = s.run()
    charge = answer.x[semi.columns[0]]
    where = [2, 1] if not pins else [4, 0]
    assert np.flatnonzero(charge).tolist() == sorted(where)
    assert charge.sum() == pytest.approx(9.0)
    assert is_whole(a, answer.x)
