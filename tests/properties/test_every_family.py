"""What makes no difference to a district with every family in it: prices' unit, names, order, finer steps, the clock.

Plans are proven to a gap, so that what is compared is where each optimum lies: between its bound and its plan.
"""

from __future__ import annotations

import random
from datetime import date

import numpy as np
import pytest

from benchmarks.catalogue import catalogue, drawn
from gridopt.assets import FAMILY_NAMES
from gridopt.clock import Axis, day_axis
from gridopt.model.inputs import Target
from gridopt.simulate.twin import twin
from gridopt.solve.ladder import Solution
from tests.properties.test_time import EXACT_IN_TIME, but
from tests.support.changes import halved, scaled, shuffled
from tests.support.districts import Device, Sketch, energy_price, hours, node, optimum, planned

PARIS = "Europe/Paris"
GAP = 0.002
TARGET = Target(gap=GAP, exact_gap=GAP, time_limit_s=600.0, exact_limit_s=600.0)
slow = pytest.mark.slow


def district(axis: Axis, seed: int = 1) -> Sketch:
    """Eight buildings with a device of every family."""
    d = drawn(8, seed, axis)
    devices = [Device(s.id, name, s.at, s.given) for name, some in d.assets.items() for s in some]
    return Sketch(axis, tuple(d.nodes.values()), tuple(devices), d.commitments(), target=TARGET)


@pytest.fixture(scope="module")
def day() -> Sketch:
    # Discomfort at a price that is said: the price it has otherwise follows from no other one.
    said = {name: {"discomfort_eur_per_kh": 5.0} for name in ("booked-rooms", "cold-store")}
    s = but(district(hours(24)), said)
    assert {d.family for d in s.devices} == set(FAMILY_NAMES)
    return s


@pytest.fixture(scope="module")
def plan(day: Sketch) -> Solution:
    return planned(day).solution


def assert_the_same(one: Solution, other: Solution, k: float = 1.0) -> None:
    """Optima that differ by the factor ``k``, as far as either is proven."""
    assert max(one.gap, other.gap) <= GAP
    slack = 1e-6 * abs(one.objective)
    assert one.bound - slack <= other.objective / k
    assert other.bound / k <= one.objective + slack


@slow
@pytest.mark.parametrize("k", [0.25, 100.0])
def test_prices_k_times_as_high(day: Sketch, plan: Solution, k: float) -> None:
    after = planned(scaled(day, k)).solution
    assert_the_same(plan, after, k)
    assert after.emergency == pytest.approx(plan.emergency, abs=1e-4)


def test_another_order_is_the_same_district(day: Sketch) -> None:
    """To the last bit of what is planned, so that the plan is the same too."""
    assert shuffled(day, random.Random(3)).inputs().digest() == day.inputs().digest()


@slow
def test_other_names(day: Sketch, plan: Solution) -> None:
    numbers = random.Random(5).sample(range(1000, 10_000), len(day.devices))
    devices = tuple(Device(f"n{k}", d.family, d.at, d.given) for k, d in zip(numbers, day.devices, strict=True))
    after = planned(Sketch(day.axis, day.nodes, devices, day.commitments, target=day.target)).solution
    assert_the_same(plan, after)


@slow
def test_half_steps_never_cost_more(day: Sketch) -> None:
    s = but(day, EXACT_IN_TIME)
    coarse, fine = planned(s).solution, planned(halved(s)).solution
    assert fine.emergency <= coarse.emergency + 1e-4
    assert fine.bound <= coarse.objective + 1e-6 * abs(coarse.objective)
    assert fine.objective <= coarse.objective * (1 + GAP)


# --- days of 23 and 25 hours, weeks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("day", "steps"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_a_day_on_which_the_clock_changes(day: date, steps: int) -> None:
    inputs = catalogue(8, 1, 60, TARGET, day=day).inputs
    assert inputs.axis.steps == steps
    s = planned(inputs).solution
    assert s.gap <= GAP
    assert s.emergency == pytest.approx(0.0, abs=1e-6)
    assert twin(inputs).net_kw.shape == (len(inputs.nodes), steps)


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_where_nothing_goes_by_the_clock_its_change_costs_nothing(day: date) -> None:
    """Hour by hour the same inputs, at winter's midnight and on the day of the change."""
    axis = day_axis(day, 1, 60, PARIS)
    rng = np.random.default_rng(axis.steps)
    devices = (
        Device("use", "load", ("grid",), {"power_kw": rng.uniform(0, 4, axis.steps)}),
        Device("roof", "pv", ("grid",), {"peak_kw": 5.0, "yield_kw_per_kw": rng.uniform(0, 1, axis.steps)}),
        Device("bat", "battery", ("grid",), {"capacity_kwh": 8.0, "power_kw": 3.0}),
        Device("car", "ev-session", ("grid",), {
            "arrive": 1.0, "depart": 22.0, "energy_kwh": 20.0, "power_kw": 11.0, "phases": 3.0,
        }),
        Device("wash", "shiftable-load", ("grid",), {"profile_kw": [2.0, 1.0], "earliest": 2.0, "latest": 20.0}),
    )  # fmt: skip
    price = energy_price(axis, "grid", rng.uniform(0.1, 0.4, axis.steps), 0.05)
    changes = Sketch(axis, (node(axis, "grid"),), devices, (price,))
    plain = Sketch(hours(axis.steps), changes.nodes, devices, (price,))
    assert optimum(changes).cost_eur == pytest.approx(optimum(plain).cost_eur, abs=1e-7)


def week(days: int, first: int, rng: np.random.Generator) -> Sketch:
    """Days of a house whose store ends each as it began; hour by hour the same whatever the horizon."""
    axis = day_axis(date(2026, 10, 20 + first), days, 60, PARIS)  # the 25th has 25 hours
    part = slice(first * 24 + (first > 5), None)
    part = slice(part.start, part.start + axis.steps)
    draw = rng.uniform(0, 1, (3, 7 * 24 + 1))[:, part]
    devices = (
        Device("use", "load", ("grid",), {"power_kw": 3.0 * draw[0]}),
        Device("roof", "pv", ("grid",), {"peak_kw": 4.0, "yield_kw_per_kw": draw[1]}),
        Device("bat", "battery", ("grid",), {
            "capacity_kwh": 10.0, "power_kw": 4.0, "soc_start": 0.5, "end": "target", "soc_end": 0.5,
        }),
        Device("tank", "hot-water-tank", ("grid",), {
            "capacity_kwh": 9.0, "power_kw": 2.0, "power_min_kw": 0.8, "demand_kw": 0.6, "level_start": 0.5,
        }),
    )  # fmt: skip
    price = energy_price(axis, "grid", 0.1 + 0.3 * draw[2], 0.04)
    return Sketch(axis, (node(axis, "grid"),), devices, (price,), target=Target(gap=1e-4, time_limit_s=600.0))


def test_a_week_costs_no_more_than_its_days_one_by_one() -> None:
    """Seven days with the change of the clock among them."""
    whole = planned(week(7, 0, np.random.default_rng(4))).solution
    days = [planned(week(1, k, np.random.default_rng(4))).solution for k in range(7)]
    assert sum(d.assembly.inputs.axis.steps for d in days) == whole.assembly.inputs.axis.steps == 7 * 24 + 1
    apart = sum(d.objective for d in days)
    assert whole.bound <= apart + 1e-6
    assert whole.objective <= apart * (1 + 1e-4)
    assert whole.objective < apart - 0.01, "a week sees further than a day, or nothing is shown"


@slow
def test_a_week_of_every_family_is_planned() -> None:
    """With the change of the clock in it; a week's tanks are pasteurised seven times."""
    target = Target(gap=0.005, exact_decisions=0, time_limit_s=600.0)
    inputs = catalogue(8, 1, 60, target, day=date(2026, 3, 25), days=7).inputs
    assert inputs.axis.steps == 7 * 24 - 1
    s = planned(inputs).solution
    assert s.gap <= 0.005
    assert s.emergency == pytest.approx(0.0, abs=1e-4)
