"""Shiftable load: profile on steps, windows, starts; the block against every start tried, and its own physics."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridopt.assets.base import at
from gridopt.assets.shiftable_load import ShiftableLoad, profile_on_steps
from gridopt.clock import Axis
from gridopt.model.assemble import Assembly, assemble
from gridopt.model.template import template
from gridopt.solve.session import Session
from tests.unit.assets.replay import Solved, assert_replays, axis_of, by_rule, district, drive, solve, users


def loads(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    return users(
        ShiftableLoad, n, axis,
        **{"earliest": 0.0, "latest": axis.steps * axis.step_h, "profile_kw": [[2.0, 1.0]] * n} | given,
    )  # fmt: skip


def planned(axis: Axis, price: Any, n: int = 1, **given: Any) -> Solved:
    return solve(district(ShiftableLoad, loads(axis, n, **given), axis, price))


# --- profile and windows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "duration_h", "steps"),
    [
        ([2.0, 1.0], 0.5, [2.0, 1.0]),
        ([1.5], 1.0, [1.5] * 4),
        ([3.0, 1.0], 1.0, [3.0, 3.0, 1.0, 1.0]),
        ([4.0, 0.0, 2.0, 2.0], 0.5, [2.0, 2.0]),  # parts shorter than a step
        ([2.0], 0.6, [2.0, 2.0, 0.8]),  # the last step is shared with standstill
        ([2.0], 0.1, [0.8]),
    ],
)
def test_profile_on_steps_keeps_the_energy(parts: list[float], duration_h: float, steps: list[float]) -> None:
    got = profile_on_steps(np.array(parts), duration_h, 0.25)
    np.testing.assert_allclose(got, steps)
    assert got.sum() * 0.25 == pytest.approx(np.mean(parts) * duration_h)


def test_prepare_places_starts_and_profile() -> None:
    axis = axis_of(24, 15)
    user = loads(
        axis, 3, earliest=[1.1, -2.0, 4.0], latest=[3.0, 0.8, 6.0],
        profile_kw=[[2.0, 1.0], [3.0], [1.0, 1.0, 1.0, 1.0, 5.0]], duration_h=[np.nan, 0.25, np.nan],
    )  # fmt: skip
    p = ShiftableLoad.prepare(user, axis)
    assert p.offset is not None
    assert p.steps is not None
    assert p.offset.tolist() == [5, 0, 16]
    assert p.steps.tolist() == [8, 4, 8]
    assert p.structure == [(4, 0, 0, 0), (4, 0, 0, 0), (8, 0, 0, 0)]
    starts = [np.flatnonzero(row).tolist() for row in p.columns["may_start"]]
    assert starts == [[5, 6, 7, 8, 9, 10], [0, 1, 2], [16, 17, 18, 19]]
    assert p.columns["profile_kw"][0, 5:8].tolist() == [2.0, 1.0, 0.0]
    assert p.columns["profile_kw"][2, 16:22].tolist() == [1, 1, 1, 1, 5, 0]
    assert p.columns["run_steps"].tolist() == [2, 1, 5]
    assert p.columns["duration_h"].tolist() == [0.5, 0.25, 1.25]
    assert set(p.columns) == set(ShiftableLoad.column_names())


def test_least_commitment_at_the_end_of_the_horizon() -> None:
    """Due unless the run still fits wholly between the horizon's end and latest."""
    axis = axis_of(8)
    user = loads(axis, 4, earliest=[5.0, 5.0, 9.0, 7.0], latest=[9.0, 10.0, 12.0, 9.0])
    p = ShiftableLoad.prepare(user, axis)
    assert p.columns["due"].tolist() == [1, 0, 0, 1]
    starts = [np.flatnonzero(row).tolist() for row in p.columns["may_start"]]
    assert starts == [[5, 6], [5, 6], [], []]  # the run of two hours ends inside the horizon
    assert p.steps is not None
    assert p.steps.tolist() == [4, 4, 0, 4]  # the last cannot run at all and stays, to be counted as undone


def test_a_run_without_a_whole_step_is_left_out_with_a_note() -> None:
    axis = axis_of(8)
    user = loads(axis, 4, earliest=[2.1, -5.0, 7.5, 20.0], latest=[2.9, 0.0, 30.0, 40.0])
    p = ShiftableLoad.prepare(user, axis)
    assert [device for device, _ in p.notes] == [0]
    assert district(ShiftableLoad, user, axis, 0.2).groups == ()


# --- the block -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "profile"), [(4, 4), (24, 8), (90, 32), (3, 3)])
def test_template(steps: int, profile: int) -> None:
    t = template(ShiftableLoad, steps, (profile, 0, 0, 0))
    assert (t.width, t.height, len(t.matrix.row)) == (steps + 1, 1, steps + 1)
    terms, _ = t.ports["ac"]
    assert len(terms.column) == sum(min(k + 1, profile) for k in range(steps))


def test_the_cheapest_start_is_found_among_all() -> None:
    rng = np.random.default_rng(5)
    price = rng.uniform(0.05, 0.4, 24)
    profile = [0.5, 2.0, 2.0, 0.2, 1.0]
    s = planned(axis_of(24), price, profile_kw=[profile], earliest=2.0, latest=20.0)
    costs = {t: float(np.dot(profile, price[t : t + 5])) for t in range(2, 16)}
    best = min(costs, key=lambda t: costs[t])
    assert s.objective == pytest.approx(costs[best])
    (group,) = s.assembly.inputs.groups
    assert np.flatnonzero(group.on_axis(s.value("start"), 24)[0] > 0.5).tolist() == [best]
    assert_replays(s)


def test_skipping_where_running_costs_more_than_it_is_worth() -> None:
    s = planned(axis_of(6), 0.5, n=2, skip_eur=[1.4, 1.6])  # running costs 1.50 EUR
    np.testing.assert_allclose(s.value("undone").ravel(), [1, 0], atol=1e-9)
    assert s.objective == pytest.approx(2.9)
    assert_replays(s)


def test_a_run_that_does_not_fit_stays_undone() -> None:
    s = planned(axis_of(8), 0.1, n=2, earliest=[2.0, 0.0], latest=[5.0, 8.0], profile_kw=[[1.0] * 4, [1.0] * 9])
    assert s.objective == pytest.approx(20.0)
    assert sum(s.value("undone", g).sum() for g in range(len(s.assembly.blocks))) == pytest.approx(2.0)
    assert_replays(s)


def test_a_run_that_may_wait_runs_only_where_that_pays() -> None:
    for price, runs in ((0.1, 0.0), (-0.1, 1.0)):
        s = planned(axis_of(6), price, latest=9.0)
        assert s.value("start").sum() == pytest.approx(runs)
        assert s.value("undone").sum() == pytest.approx(0.0)
        assert s.objective == pytest.approx(3.0 * price * runs)
        assert_replays(s)


def test_zero_parameters() -> None:
    s = planned(axis_of(6), 0.1, n=3, profile_kw=[[0.0, 0.0], [2.0, 1.0], [0.0]], skip_eur=[5.0, 0.0, 0.0])
    assert s.objective == pytest.approx(0.0)
    block = s.assembly.blocks[0]
    assert block.group.columns["profile_kw"].any()


def test_the_decision_is_one_start_of_many() -> None:
    axis = axis_of(6)
    (whole,) = assemble(district(ShiftableLoad, loads(axis), axis, 0.1)).whole
    assert (whole.one_of, whole.large, whole.columns.shape) == (True, False, (1, 6))


# --- forbidden hours, worth, wear ------------------------------------------------------------------------------------


def test_a_run_touches_no_forbidden_hour() -> None:
    """Two hours, and the third, half of the sixth and the eighth hour are forbidden."""
    allowed = [1, 1, 0, 1, 1, 0.5, 1, 0]
    p = ShiftableLoad.prepare(loads(axis_of(8), allowed=allowed), axis_of(8))
    assert np.flatnonzero(p.columns["may_start"][0]).tolist() == [0, 3]
    s = planned(axis_of(8), [0.4, 0.3, 0.0, 0.3, 0.2, 0.0, 0.0, 0.0], allowed=allowed)
    assert np.flatnonzero(s.value("start")[0] > 0.5).tolist() == [3]
    assert s.objective == pytest.approx(2 * 0.3 + 0.2)
    assert_replays(s)


def test_where_every_hour_is_forbidden_the_run_stays_undone() -> None:
    s = planned(axis_of(4), 0.1, allowed=0.0)
    assert s.value("undone").sum() == pytest.approx(1.0)


def test_a_run_worth_less_than_it_costs_is_missed_by_nobody() -> None:
    """It costs 1.50 EUR; what it is worth more than that is gained."""
    s = planned(axis_of(6), 0.5, n=3, worth_eur=[1.4, 1.6, np.nan], skip_eur=1.45)
    np.testing.assert_allclose(s.value("start").sum(1), [0, 1, 0], atol=1e-9)
    np.testing.assert_allclose(s.value("undone").ravel(), [0, 0, 1], atol=1e-9)
    assert s.objective == pytest.approx(-0.1 + 1.45)
    (seen,) = assert_replays(s)
    np.testing.assert_allclose(seen.total("benefit_eur"), [0, -1.6, 0])


def test_the_wear_of_a_run_counts_against_its_worth() -> None:
    s = planned(axis_of(6), 0.5, n=2, worth_eur=1.6, start_cost_eur=[0.05, 0.2])
    np.testing.assert_allclose(s.value("start").sum(1), [1, 0], atol=1e-9)
    assert s.objective == pytest.approx(-0.05)
    (seen,) = assert_replays(s)
    np.testing.assert_allclose(seen.total("run_eur"), [0.05, 0])


# --- a second run after the first ------------------------------------------------------------------------------------

WASH, DRY = [2.0, 0.5, 0.3], [2.5, 1.5]


def pair(gap_h: float = 0.0, n: int = 1, **given: Any) -> dict[str, Any]:
    usual = {"profile_kw": [WASH] * n, "then_profile_kw": [DRY] * n, "then_gap_max_h": gap_h, "skip_eur": 50.0}
    return usual | given


def pairs(first: int, last: int, gap: int, allowed: Any) -> list[tuple[int, int]]:
    """Every pair of starts, told step by step."""

    def fits(t: int, length: int) -> bool:
        return first <= t and t + length <= last and all(allowed[t : t + length])

    return [
        (wash, dry)
        for wash in range(first, last)
        for dry in range(wash + 3, wash + 3 + gap + 1)
        if fits(wash, 3) and fits(dry, 2)
    ]


@pytest.mark.parametrize("gap", [0, 1, 4, 30])
@pytest.mark.parametrize("seed", range(6))
def test_the_cheapest_pair_is_found_among_all_without_a_decision(gap: int, seed: int) -> None:
    """The relaxation alone finds it: its points are mixtures of pairs."""
    rng = np.random.default_rng(seed)
    axis, price, allowed = axis_of(24), rng.uniform(-0.05, 0.4, 24), rng.random(24) < 0.85
    first, last = int(rng.integers(0, 6)), int(rng.integers(16, 25))
    s = planned(axis, price, **pair(gap, allowed=allowed, earliest=float(first), latest=float(last)))
    cost = {
        (wash, dry): float(np.dot(WASH, price[wash : wash + 3]) + np.dot(DRY, price[dry : dry + 2]))
        for wash, dry in pairs(first, last, gap, allowed)
    }
    assert s.objective == pytest.approx(min(cost.values(), default=50.0))
    assert_replays(s)


@pytest.mark.parametrize("gap", [0, 2])
def test_the_block_allows_just_the_pairs_in_order(gap: int) -> None:
    """Every pair of starts within eight hours is held in turn, the third hour being forbidden."""
    axis, allowed = axis_of(9), np.arange(9) != 2
    a = assemble(district(ShiftableLoad, loads(axis, **pair(gap, allowed=allowed)), axis, 0.1))
    start, then = (w.columns[0] for w in a.whole)
    found = []
    for wash, dry in itertools.product(range(9), repeat=2):
        if min(a.lp.upper[start[wash]], a.lp.upper[then[dry]]) < 1:
            continue
        s = Session(a.lp)
        for columns, t in ((start, wash), (then, dry)):
            s.bounds(columns, np.eye(9)[t], np.eye(9)[t])
        if (answer := s.run()).status == "optimal":
            found.append((wash, dry))
            assert_replays(Solved(a, answer.x, answer.objective))
    assert found == pairs(0, 9, gap, allowed)


def test_the_second_run_waits_for_the_first_and_then_follows_by_itself() -> None:
    """Told to start before the first has ended it waits; told nothing it starts when the pause of an hour is over."""
    columns = columns_of(axis_of(12), **pair(1.0))
    start = np.eye(12)[:1] * 0
    start[0, 1] = 1.0
    early = drive(ShiftableLoad, columns, 12, 1.0, {"start": start, "then_start": np.ones((1, 12))})
    np.testing.assert_allclose(early.flows["ac_kw"], [[0, *WASH, *DRY, 0, 0, 0, 0, 0, 0]])
    late = drive(ShiftableLoad, columns, 12, 1.0, {"start": start, "then_start": np.zeros((1, 12))})
    np.testing.assert_allclose(late.flows["ac_kw"], [[0, *WASH, 0, *DRY, 0, 0, 0, 0, 0]])
    np.testing.assert_allclose(late.flows["on"], [[0, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0]])


def test_a_pair_that_does_not_fit_stays_undone_as_a_whole() -> None:
    s = planned(axis_of(8), 0.1, **pair(latest=4.9))
    assert s.value("undone").sum() == pytest.approx(1.0)
    assert s.value("then_start").sum() == pytest.approx(0.0)
    (seen,) = assert_replays(s)
    np.testing.assert_allclose(seen.flows["ac_kw"], 0)


@pytest.mark.parametrize("due", [1.0, 0.0])
@pytest.mark.parametrize(("dry", "undone"), [((0, 0, 0, 0), 1.0), ((0, 0, 0, 1), 0.0)])
def test_a_second_run_still_awaited_at_the_end_is_undone(dry: tuple[int, ...], undone: float, due: float) -> None:
    """The first run ends an hour before the horizon and the pause may be longer: nothing makes the second follow."""
    given: dict[str, Any] = {"profile_kw": [[2.0]], "then_profile_kw": [[1.5]], "then_gap_max_h": 2.0, "skip_eur": 10.0}
    columns = columns_of(axis_of(4), **given) | {"due": np.array([due])}
    got = drive(ShiftableLoad, columns, 4, 1.0, {"start": np.eye(4)[2:3], "then_start": np.array([dry], float)})
    assert got.end["undone"].tolist() == [undone]
    assert got.end["undone_eur"].tolist() == [10.0 * undone]


def test_the_baseline_runs_both_as_early_as_it_may() -> None:
    columns = columns_of(axis_of(12), **pair(3.0, allowed=[1] * 4 + [0] + [1] * 7))
    got = by_rule(ShiftableLoad, columns, 12, 1.0)
    np.testing.assert_allclose(got.flows["ac_kw"], [[*WASH, 0, 0, *DRY, 0, 0, 0, 0, 0]])


# --- block and physics -----------------------------------------------------------------------------------------------


def random_loads(rng: np.random.Generator, axis: Axis, n: int) -> dict[str, Any]:
    earliest = rng.uniform(-1, 5, n)
    return loads(
        axis, n, earliest=earliest, latest=earliest + rng.uniform(0.5, 6, n), skip_eur=rng.uniform(0, 3, n),
        profile_kw=[rng.uniform(0, 3, rng.integers(1, 9)) for _ in range(n)],
        duration_h=np.where(rng.random(n) < 0.5, np.nan, rng.uniform(0.1, 2.2, n)),
        then_profile_kw=[rng.uniform(0, 3, rng.integers(0, 5)) for _ in range(n)],
        then_gap_max_h=rng.uniform(0, 1.5, n),
    )  # fmt: skip


def start_at_random(rng: np.random.Generator) -> Any:
    """Bounds that start every load where it may, at random, and leave the others undone."""

    def bounds(a: Assembly) -> tuple[Any, Any]:
        lower, upper = a.lp.lower.copy(), a.lp.upper.copy()
        for w in a.whole:
            assert w.block is not None
            if w.columns[0, 0] != w.block.columns("start")[0, 0]:  # type: ignore[index]
                continue  # the second run is left to the programme
            chance = np.where(upper[w.columns] > 0, rng.random(w.columns.shape), 0.0)
            one = (chance == chance.max(1, keepdims=True)) & (chance > 0)
            lower[w.columns] = upper[w.columns] = one
        return lower, upper

    return bounds


@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("seed", range(4))
def test_physics_equals_block(n: int, seed: int) -> None:
    """Fractional starts too: the relaxation's power is the same mixture of runs."""
    rng = np.random.default_rng(seed)
    axis = axis_of(30, 15)
    user = random_loads(rng, axis, n)
    user["earliest"][0], user["latest"][0] = 0.5, 6.0
    inputs = district(ShiftableLoad, user, axis, rng.normal(0.1, 0.2, 30))
    assert_replays(solve(inputs))
    assert_replays(solve(inputs, hold=start_at_random(rng)))


def test_physics_of_a_mixture_of_starts() -> None:
    """A limit of 1 kW makes the relaxation mix starts; the replay mixes the same runs."""
    axis = axis_of(8)
    inputs = district(ShiftableLoad, loads(axis, profile_kw=[[3.0, 1.0, 2.0]]), axis, 0.1)

    def limited(a: Assembly) -> tuple[Any, Any]:
        upper = a.lp.upper.copy()
        upper[a.nodes[0].net] = 1.0
        return a.lp.lower, upper

    s = solve(inputs, hold=limited)
    assert ((s.value("start") > 0.01) & (s.value("start") < 0.99)).any()
    assert_replays(s)


def columns_of(axis: Axis, n: int = 1, **given: Any) -> dict[str, Any]:
    (group,) = district(ShiftableLoad, loads(axis, n, **given), axis, 0.1).groups
    return dict(group.columns)


def test_a_second_start_and_a_start_outside_the_window_do_nothing() -> None:
    columns = columns_of(axis_of(8), earliest=1.0, latest=5.0)
    got = drive(ShiftableLoad, columns, 4, 1.0, {"start": np.array([[0.0, 1.0, 1.0, 1.0]])})
    np.testing.assert_allclose(got.flows["ac_kw"], [[0, 2, 1, 0]])
    late = drive(ShiftableLoad, columns, 4, 1.0, {"start": np.array([[0.0, 0.0, 0.0, 1.0]])})
    np.testing.assert_allclose(late.flows["ac_kw"], 0)
    assert (late.end["undone"].item(), late.end["undone_eur"].item()) == (1.0, 10.0)


def test_devices_of_one_group_keep_their_own_lengths() -> None:
    columns = columns_of(axis_of(8), 2, profile_kw=[[2.0], [1.0, 3.0, 2.0]])
    start = np.zeros((2, 8))
    start[0, 2] = start[1, 4] = 1.0
    got = drive(ShiftableLoad, columns, 8, 1.0, {"start": start})
    np.testing.assert_allclose(got.flows["ac_kw"], [[0, 0, 2, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 3, 2, 0]])


def test_devices_of_one_group_may_be_at_different_local_steps() -> None:
    """The second load's window begins two steps later; its state waits until then."""
    columns = columns_of(axis_of(8), 2, profile_kw=[[2.0, 1.0], [3.0, 4.0]], earliest=[0.0, 2.0], latest=[4.0, 6.0])
    p = at(columns, 0, 1.0)
    state = ShiftableLoad.start(p)
    power = np.zeros((2, 6))
    for t in range(6):
        local = t - np.array([0, 2])
        active = (local >= 0) & (local < 4)
        views = [at(columns, int(k), 1.0) for k in local.clip(0, 3)]
        for name in ("may_start", "profile_kw"):
            setattr(p, name, np.array([getattr(view, name)[j] for j, view in enumerate(views)]))
        after, flows = ShiftableLoad.step(p, state, {"start": np.full(2, float(t in (1, 4)))})
        power[:, t] = np.where(active, flows["ac_kw"], 0.0)
        state = {
            name: np.where(active if a.ndim == 1 else active[:, None], a, state[name]) for name, a in after.items()
        }
    np.testing.assert_allclose(power, [[0, 2, 1, 0, 0, 0], [0, 0, 0, 0, 3, 4]])


def test_baseline_starts_as_early_as_possible() -> None:
    columns = columns_of(axis_of(8), earliest=2.0, latest=6.0)
    got = by_rule(ShiftableLoad, columns, 4, 1.0)
    np.testing.assert_allclose(got.flows["ac_kw"], [[2, 1, 0, 0]])
    assert got.end["undone"] == 0
    assert ShiftableLoad.kpis(SimpleNamespace(**columns), got.flows, 1.0)["energy_kwh"] == 3.0


def test_shed_puts_off_the_start() -> None:
    p = at(columns_of(axis_of(8)), 0, 1.0)
    for cut, start in ((1.0, 0.0), (0.0, 1.0), (-1.0, 1.0)):
        got = ShiftableLoad.shed(p, ShiftableLoad.start(p), {"start": np.ones(1)}, "ac", np.array([cut]))
        assert got["start"].tolist() == [start]
