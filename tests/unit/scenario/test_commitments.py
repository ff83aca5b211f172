"""Terms of contract as model commitments, by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from gridopt.clock import Axis
from gridopt.model.inputs import Commitment, Flow
from gridopt.scenario.load import Scenario, load
from gridopt.store import run_folder
from gridopt.store.run_folder import Run, Series

Write = Callable[..., Path]
Load = Callable[..., Scenario]

HEAD = """\
format = 1
[horizon]
start = "{start}"
{more}
[node.grid]
[asset.bat-a]
family = "battery"
node = "grid"
capacity_kwh = 10
power_kw = 5
[commitment.it]
node = "grid"
"""


def one(build: Load, terms: str, start: str = "2026-01-15", more: str = "step_min = 60", rest: str = "") -> Commitment:
    scenario = build(HEAD.format(start=start, more=more) + terms + rest)
    return next(c for c in scenario.commitments if c.id == "it")


def test_energy_is_a_price_on_the_node_itself(build: Load) -> None:
    c = one(build, 'kind = "energy"\nbuy_eur_per_kwh = 0.2\nsell_eur_per_kwh = -0.05\n')
    assert c.is_boundary_price
    assert (c.price_above == 0.2).all()
    assert (c.price_below == 0.05).all()
    assert c.labels == ("import", "export")
    assert c.kind == "cash"


def test_energy_without_a_feed_in_price_gives_it_away(build: Load) -> None:
    c = one(build, 'kind = "energy"\nbuy_eur_per_kwh = 0.2\n')
    assert not c.price_below.any()
    assert not np.signbit(c.price_below).any()


def test_carbon_prices_what_is_drawn_only(build: Load) -> None:
    c = one(build, 'kind = "carbon"\nprice_eur_per_t = 100\nintensity_g_per_kwh = 50\n')
    np.testing.assert_allclose(c.price_above, 100 * 50 / 1e6)
    assert not c.price_below.any()
    assert c.is_boundary_price


def test_peak_has_one_period_a_window_and_month(build: Load) -> None:
    """Friday 30 January to Monday 2 February: working days in two windows, in two months."""
    windows = """kind = "peak"
so_far_kw = 4
windows = [
  { days = "mon-fri", from = "07:00", to = "19:00", price_eur_per_kw = 3, so_far_kw = 9 },
  { days = "mon-fri", from = "20:00", to = "07:00", price_eur_per_kw = 1 },
]
"""
    c = one(build, windows, "2026-01-30", "days = 4\nstep_min = 60")
    assert c.measure == "peak"
    np.testing.assert_array_equal(c.price_above, [3, 3, 1, 1])
    by_day = c.period.reshape(4, 24)
    # The window that begins on Friday at 20:00 ends on Saturday at 07:00; the month changes on Sunday at midnight.
    np.testing.assert_array_equal(by_day[0], [2] * 7 + [0] * 12 + [-1] + [2] * 4)
    np.testing.assert_array_equal(by_day[1], [2] * 7 + [-1] * 17)
    np.testing.assert_array_equal(by_day[2], [-1] * 24)
    np.testing.assert_array_equal(by_day[3], [-1] * 7 + [1] * 12 + [-1] + [3] * 4)
    past = {int(p): set(c.baseline_kw[c.period == p].tolist()) for p in range(4)}
    assert past == {0: {9.0}, 1: {0.0}, 2: {4.0}, 3: {0.0}}
    assert not c.price_below.any()


def test_peak_without_windows_counts_always_and_months_are_local(build: Load) -> None:
    c = one(build, 'kind = "peak"\nprice_eur_per_kw = 2\nso_far_kw = 5\n', "2026-03-31", "days = 2\nstep_min = 60")
    np.testing.assert_array_equal(c.period, [0] * 24 + [1] * 24)
    np.testing.assert_array_equal(c.baseline_kw, [5.0] * 24 + [0.0] * 24)


def test_a_peak_window_outside_the_horizon_is_left_out(build: Load) -> None:
    scenario = build(
        HEAD.format(start="2026-01-15", more="") + 'kind = "peak"\nwindows = [{ days = "sun", price_eur_per_kw = 2 }]\n'
    )
    assert scenario.commitments == ()


def test_breach_by_energy_by_month_and_by_hour(build: Load) -> None:
    head = 'kind = "breach"\nlimit_kw = 12\n'
    energy = one(build, head + "price_eur_per_kwh = 4\n")
    assert (energy.measure, energy.periods, energy.baseline_kw[0]) == ("energy", 24, 12)
    assert energy.price_above[0] == 4
    month = one(build, head + "price_eur_per_kw = 14\n", "2026-01-31", "days = 2\nstep_min = 60")
    assert month.measure == "peak"
    np.testing.assert_array_equal(month.period, [0] * 24 + [1] * 24)
    hours = one(build, head + "price_eur_per_h = 11\n")
    assert (hours.measure, hours.price_above.tolist(), set(hours.period.tolist())) == ("hours", [11.0], {0})
    out = one(build, head + 'side = "export"\nprice_eur_per_kwh = 4\n')
    assert out.flows == (Flow(-1.0, node="grid"),)


EVENT = """kind = "event"
from = "18:00"
to = "20:00"
baseline_kw = 8
reward_eur_per_kwh = 0.3
penalty_eur_per_kwh = 0.5
"""


def test_event_pays_for_less_than_the_baseline_over_the_whole_window(build: Load) -> None:
    c = one(build, EVENT)
    assert (c.price_above.tolist(), c.price_below.tolist(), c.labels) == ([0.5], [-0.3], ("missing", "delivered"))
    np.testing.assert_array_equal(np.flatnonzero(c.period == 0), [18, 19])
    up = one(build, EVENT + 'direction = "up"\nper = "step"\n')
    assert (up.price_above.tolist(), up.price_below.tolist()) == ([-0.3, -0.3], [0.5, 0.5])
    np.testing.assert_array_equal(up.period[18:20], [0, 1])


def test_event_may_count_assets_and_moves_with_the_day(write: Write) -> None:
    toml = HEAD.format(start="2026-01-15", more="step_min = 60")
    toml = toml.replace('[commitment.it]\nnode = "grid"\n', '[commitment.it]\nassets = ["bat-a"]\n') + EVENT
    scenario = load(write(toml), day=datetime(2026, 3, 29).date())
    (c,) = scenario.commitments
    assert c.flows == (Flow(1.0, asset="bat-a", port="ac"),)
    np.testing.assert_array_equal(np.flatnonzero(c.period == 0), [17, 18])  # 18:00 on a day without 02:00


def test_an_event_outside_the_horizon_is_noted(build: Load) -> None:
    toml = HEAD.format(start="2026-01-15", more="") + EVENT.replace('"18:00"', '"D+1 18:00"').replace(
        '"20:00"', '"D+1 20:00"'
    )
    found = build(toml)
    assert found.commitments == ()
    assert any("commitment it: lies outside the horizon and is left out" in note for note in found.notes)


def test_an_event_of_every_weekday_is_settled_each_time(build: Load) -> None:
    terms = EVENT.replace('from = "18:00"\nto = "20:00"', 'days = "mon-fri"\nfrom = "18:00"\nto = "20:00"')
    more = "step_min = 60\ndays = 5"
    c = one(build, terms, more=more)  # Thursday to Monday
    expected = np.full(120, -1)
    for period, hour in enumerate((18, 42, 114)):
        expected[hour : hour + 2] = period
    np.testing.assert_array_equal(c.period, expected)
    assert c.periods == 3
    each = one(build, terms + 'per = "step"\n', more=more)
    assert each.period[each.period >= 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_an_event_edge_inside_a_step_is_noted(build: Load) -> None:
    found = build(HEAD.format(start="2026-01-15", more="") + EVENT.replace('"20:00"', '"20:05"'))
    assert any("to 20:05 lies inside a step of 15 min" in note for note in found.notes)
    assert np.flatnonzero(found.commitments[0].period == 0).tolist() == list(range(72, 81))


def test_commitments_are_sorted_by_id(build: Load) -> None:
    more = '[commitment.aa]\nkind = "energy"\nnode = "grid"\nbuy_eur_per_kwh = 1\n'
    found = build(HEAD.format(start="2026-01-15", more="") + 'kind = "energy"\nbuy_eur_per_kwh = 0.2\n' + more)
    assert [c.id for c in found.commitments] == ["aa", "it"]


# --- priced limits of nodes ------------------------------------------------------------------------------------------


def test_limits_with_a_price_are_commitments_and_no_longer_hard(build: Load) -> None:
    toml = HEAD.format(start="2026-01-15", more="step_min = 60").replace(
        "[node.grid]\n",
        """[node.grid]
import_max_kw = 20
reserve_kw = 2
breach_eur_per_kwh = 5
limits = [{ from = "18:00", to = "20:00", import_max_kw = 10, export_max_kw = 3 }]
""",
    )
    found = build(toml + 'kind = "energy"\nbuy_eur_per_kwh = 0.2\n')
    (grid,) = found.nodes
    assert np.isinf([grid.import_max_kw, grid.export_max_kw]).all()
    assert not grid.reserve_kw.any()
    by_id = {c.id: c for c in found.commitments}
    drawn, given = by_id["grid.import"], by_id["grid.export"]
    np.testing.assert_array_equal(drawn.baseline_kw, [18.0] * 18 + [8.0] * 2 + [18.0] * 4)
    assert (drawn.kind, drawn.flows, drawn.price_above[0]) == ("penalty", (Flow(1.0, node="grid"),), 5)
    assert given.flows == (Flow(-1.0, node="grid"),)
    np.testing.assert_array_equal(np.flatnonzero(given.period >= 0), [18, 19])
    assert given.baseline_kw[18] == 1.0


# --- the announced plan ----------------------------------------------------------------------------------------------


def plan_of(folder: Path, rows: list[Series], hours: int) -> None:
    """A run folder of hours from midnight, as the store writes it."""
    axis = Axis(datetime(2026, 1, 14, 23, tzinfo=UTC), 60, hours)
    horizon = {"start": axis.start.isoformat(), "step_min": 60, "steps": hours, "zone": axis.zone}
    run_folder.write(folder, Run(axis, {"plan_id": "yesterday", "hash": "abc", "horizon": horizon}, rows, [], {}, []))


PLAN = 'kind = "plan-change"\nrun = "yesterday"\nprice_eur_per_kwh = 0.05\n'


def announced(write: Write, step: int, assets: str = "", rest: str = "") -> Scenario:
    """Hours 0..11 of the day, power = hour, for bat-a; the plan itself on ``step`` minutes."""
    toml = HEAD.format(start="2026-01-15", more=f"step_min = {step}").replace(
        '[commitment.it]\nnode = "grid"', "[commitment.it]"
    )
    folder = write(toml + PLAN + assets + rest)
    hours = np.arange(12.0)
    rows = [Series("import_kw", hours + 77, node="grid"), Series("soc_kwh", hours + 99, node="grid", asset="bat-a")]
    rows.append(Series("power_kw", hours, node="grid", asset="bat-a", port="ac"))
    plan_of(folder / "yesterday", rows, 12)
    return load(folder)


def test_plan_change_holds_what_was_announced(write: Write) -> None:
    found = announced(write, 30)
    (c,) = found.commitments
    assert (c.id, c.kind, c.measure, c.labels) == ("it.bat-a.ac", "penalty", "energy", ("more", "less"))
    assert c.flows == (Flow(1.0, asset="bat-a", port="ac"),)
    np.testing.assert_array_equal(c.baseline_kw, np.concatenate([np.repeat(np.arange(12.0), 2), np.zeros(24)]))
    np.testing.assert_array_equal(c.period, [*range(24), *[-1] * 24])
    assert (c.price_above == 0.05).all()
    assert (c.price_below == 0.05).all()
    assert found.sources["yesterday"] == "abc"


def test_plan_change_skips_what_is_not_controlled_or_was_not_announced(write: Write) -> None:
    load_a = '[asset.house]\nfamily = "load"\nnode = "grid"\npower_kw = 1\n'
    bat_b = '[asset.bat-b]\nfamily = "battery"\nnode = "grid"\ncapacity_kwh = 1\npower_kw = 1\n'
    found = announced(write, 60, rest=load_a + bat_b + 'control = "none"\n')
    assert [c.id for c in found.commitments] == ["it.bat-a.ac"]
    found = announced(write, 60, rest=load_a + bat_b)
    assert [c.id for c in found.commitments] == ["it.bat-a.ac"]
    assert any("says nothing of bat-b" in note for note in found.notes)
    found = announced(write, 60, 'assets = ["house"]\n', load_a)
    assert found.commitments == ()
