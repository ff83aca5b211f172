"""Plans between two aims: the method on curves known by hand, and what a sweep says, writes and refuses."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from gridopt.errors import UsageError
from gridopt.jobs import pareto
from gridopt.jobs import plan as job
from gridopt.jobs.pareto import LEAST, Point, Sweep, dichotomy, missed, proven, supported
from gridopt.report.pareto import show
from gridopt.scenario.load import Scenario, load
from gridopt.store import run_folder
from gridopt.verify import verify

NOW = datetime(2026, 1, 14, 13, 0, tzinfo=UTC)

# --- the method ------------------------------------------------------------------------------------------------------

CORNERS = [(0.0, 10.0), (1.0, 6.0), (3.0, 3.0), (6.0, 1.0), (10.0, 0.0)]
INSIDE = [(2.0, 6.0), (4.5, 2.5), (5.0, 5.0), (0.5, 9.0)]


def best_of(choices: Sequence[tuple[float, float]], gap: float = 0.0) -> tuple[Callable[[float], Point], list[float]]:
    """A search that is exact, or proves ``gap`` less than it finds; and the shares it was asked for."""
    asked: list[float] = []

    def solve(share: float) -> Point:
        asked.append(share)
        at = min(choices, key=lambda c: share * c[0] + (1 - share) * c[1])
        return Point(share, at, share * at[0] + (1 - share) * at[1] - gap)

    return solve, asked


def test_every_corner_is_found_and_no_other() -> None:
    solve, asked = best_of(CORNERS + INSIDE)
    front, solved = dichotomy(solve, 50)
    assert [p.at for p in front] == CORNERS
    assert asked[:2] == [1 - LEAST, LEAST]
    assert len(asked) == 2 * len(CORNERS) - 1, "both ends, three corners, and a proof for every side"
    assert missed(front, solved) == (pytest.approx(0.0, abs=1e-9), pytest.approx(0.0, abs=1e-9))


@pytest.mark.parametrize("most", [2, 3, 4, 5])
def test_no_more_points_than_wanted_the_widest_first(most: int) -> None:
    front, _ = dichotomy(best_of(CORNERS + INSIDE)[0], most)
    assert len(front) == most
    assert {p.at for p in front} <= set(CORNERS)
    assert (front[0].at, front[-1].at) == (CORNERS[0], CORNERS[-1])
    assert most == 2 or (3.0, 3.0) in {p.at for p in front}, "the middle is furthest from the line between the ends"


def test_what_was_not_found_is_known_exactly() -> None:
    """With both ends alone, the true best blend is as far below them as is said, for one share at least."""
    front, solved = dichotomy(best_of(CORNERS)[0], 2)
    room, relative = missed(front, solved)
    shares = np.linspace(LEAST, 1 - LEAST, 2001)
    true = max(min(p.blend(s) for p in front) - min(s * a + (1 - s) * b for a, b in CORNERS) for s in shares)
    assert true == pytest.approx(2.0, abs=0.01), "(3, 3) against a blend of 5"
    assert room >= true - 1e-9
    assert room == pytest.approx(5.0 - 0.01, abs=0.02), "nothing but the two ends is proven: all below 5 is open"
    assert relative == pytest.approx(room / proven(solved, 0.5), rel=0.05)


def test_a_gap_stays_in_what_is_proven() -> None:
    front, solved = dichotomy(best_of(CORNERS, gap=0.05)[0], 50)
    assert [p.at for p in front] == CORNERS
    assert missed(front, solved)[0] == pytest.approx(0.05, abs=1e-9)


def test_searches_that_miss_do_not_leave_worse_plans_on_the_list() -> None:
    """One end is not the best by its aim; another search comes upon better. Blends of neighbours are no points."""
    points = [(0.2, 10.0), (0.1, 8.0), (3.0, 3.0), (4.0, 2.51), (5.0, 2.0), (10.0, 0.0), (11.0, 0.0), (10.0, 0.0)]
    front = supported([Point(0.5, at, 0.0) for at in points])
    assert [p.at for p in front] == [(0.1, 8.0), (3.0, 3.0), (5.0, 2.0), (10.0, 0.0)]


@pytest.mark.parametrize("choices", [[(1.0, 1.0)], [(1.0, 1.0), (2.0, 1.0), (1.0, 3.0)], [(-5.0, -2.0)]])
def test_aims_that_agree_have_one_plan(choices: list[tuple[float, float]]) -> None:
    solve, asked = best_of(choices)
    front, solved = dichotomy(solve, 5)
    assert [p.at for p in front] == choices[:1]
    assert len(asked) == 2
    assert missed(front, solved)[1] == (None if choices[0][0] < 0 else 0.0)


# --- a sweep ---------------------------------------------------------------------------------------------------------

DAY = """\
format = 1
title = "A house with a choice"
[horizon]
start = 2026-01-15
step_min = 60
[node.grid]
import_max_kw = 30
[commitment.supply]
kind = "energy"
node = "grid"
buy_eur_per_kwh = "tariff"
sell_eur_per_kwh = 0.06
[commitment.co2]
kind = "carbon"
node = "grid"
price_eur_per_t = 0
intensity_g_per_kwh = "mix"
[schedule.tariff]
default = 0.25
rules = [{ from = "22:00", to = "06:00", value = 0.15 }]
[schedule.mix]
default = 60
rules = [{ from = "11:00", to = "16:00", value = 25 }, { from = "02:00", to = "04:00", value = 50 }]
[asset.flat]
family = "load"
node = "grid"
power_kw = 1.0
[asset.bat-a]
family = "battery"
node = "grid"
capacity_kwh = 9
power_kw = 3
[asset.car-a]
family = "ev-session"
node = "grid"
arrive = "01:00"
depart = "20:00"
energy_kwh = 10
power_kw = 7.4
current_min_a = 0
"""
SUN = """\
[asset.roof]
family = "pv"
node = "grid"
peak_kw = 8
yield_kw_per_kw = "sun"
[schedule.sun]
default = 0
rules = [{ from = "09:00", to = "15:00", value = 0.8 }]
"""
ROOMS = """\
[asset.rooms]
family = "heat-pump-building"
node = "grid"
resistance_k_per_kw = 5
capacity_kwh_per_k = 6
power_kw = 3
outdoor_c = 2
temperature_start_c = 19
discomfort_eur_per_kh = 0.2
"""


@pytest.fixture
def house(tmp_path: Path) -> Callable[..., Path]:
    """The house as a folder, with more in it."""

    def make(more: str = "") -> Path:
        (tmp_path / "house").mkdir(exist_ok=True)
        (tmp_path / "house" / "scenario.toml").write_text(DAY + more)
        return tmp_path / "house"

    return make


@pytest.fixture
def swept(house: Callable[..., Path]) -> Sweep:
    return pareto.run(house(), ("cost", "co2"), now=NOW)


def text_of(doc: Any) -> str:
    out = io.StringIO()
    show(Console(width=80, file=out, highlight=False), doc)
    return out.getvalue()


def test_each_plan_gives_up_one_aim_for_the_other(swept: Sweep) -> None:
    plans = swept.doc["plans"]
    assert len(plans) == len(swept.plans) == 5
    cost, co2 = ([p["amounts"][key] for p in plans] for key in ("cost_eur", "co2_kg"))
    assert cost == sorted(cost)
    assert co2 == sorted(co2, reverse=True)
    rates = [r["rate"] for r in swept.doc["rates"]]
    expected = -1000 * np.diff(cost) / np.diff(co2)
    np.testing.assert_allclose(rates, expected)
    assert rates == sorted(rates), "the next tonne costs more than the one before"
    assert [(r["from"], r["to"]) for r in swept.doc["rates"]] == [(1, 2), (2, 3), (3, 4), (4, 5)]
    assert (plans[0]["names"], plans[-1]["names"]) == (["cheapest"], ["cleanest"])
    (knee,) = [k for k, p in enumerate(plans) if p["names"] == ["knee"]]
    near = [
        (c - cost[0]) / (cost[-1] - cost[0]) + (g - co2[-1]) / (co2[0] - co2[-1])
        for c, g in zip(cost, co2, strict=True)
    ]
    assert near[knee] == min(near)
    assert swept.doc["knee"]["before"]["rate"] == pytest.approx(-1000 * (cost[knee] - cost[0]) / (co2[knee] - co2[0]))
    assert swept.doc["knee"]["after"]["rate"] > swept.doc["knee"]["before"]["rate"]
    assert swept.exit_code == 0


def test_each_plan_is_checked_and_its_gap_is_said(swept: Sweep, monkeypatch: pytest.MonkeyPatch, house: Any) -> None:
    for made, p in zip(swept.plans, swept.doc["plans"], strict=True):
        assert verify(made.inputs, made.schedule, made.solution.objective) == []
        assert p["bound_eur"] <= p["objective_eur"]
        assert (p["gap"], p["status"]) == (made.summary["gap"], "optimal")
        assert p["drawn_kwh"] == pytest.approx(made.schedule.net_kw.clip(0).sum())
        assert p["highest_kw"] == pytest.approx(made.schedule.net_kw.max())
    assert len({p["hash"] for p in swept.doc["plans"]}) == 5
    monkeypatch.setattr(job, "verify", lambda *_: ["wrong"] and [Wrong()])
    with pytest.raises(job.VerificationError):
        pareto.run(house(), ("cost", "co2"), now=NOW)


class Wrong:
    def words(self, _: Any) -> str:
        return "wrong"


def test_the_weights_that_are_said_give_the_plan_again(swept: Sweep, house: Callable[..., Path]) -> None:
    for p in swept.doc["plans"]:
        assert {s.partition("=")[0] for s in p["sets"]} == {"objective.cost", "objective.co2_eur_per_t"}
        again = job.run(house(), now=NOW, sets=p["sets"])
        assert again.summary["hash"] == p["hash"]
    said = "\n".join(f"{key} = {value!r}" for key, value in swept.doc["plans"][2]["weights"].items())
    assert job.run(house(f"[objective]\n{said}\n"), now=NOW).summary["hash"] == swept.doc["plans"][2]["hash"]


def test_the_cheapest_is_the_plan_without_a_sweep(swept: Sweep, house: Callable[..., Path]) -> None:
    bare = job.run(house(), now=NOW)
    cost = swept.doc["plans"][0]["amounts"]["cost_eur"]
    assert cost == pytest.approx(bare.solution.objective, abs=1e-6)
    pure = ["objective.cost=0.001", "objective.co2_eur_per_t=1e6"]
    clean = job.run(house(), now=NOW, sets=[*pure, "asset.car-a.shortfall_eur_per_kwh=1e6"])
    least = next(w["plan"] for w in clean.summary["wishes"] if w["part"] == "co2")
    assert swept.doc["plans"][-1]["amounts"]["co2_kg"] == pytest.approx(least, abs=1e-5)

    careless = job.run(house(), now=NOW, sets=pure)
    assert careless.summary["shortfalls"], "at any price of CO2 the car would stay where it is"
    assert [p["goals_short"] for p in swept.doc["plans"]] == [0] * 5


def test_the_table_is_for_people(swept: Sweep) -> None:
    text = text_of(swept.doc)
    assert max(map(len, text.splitlines())) <= 80
    for words in (
        "1 cheapest",
        "5 cleanest",
        "knee",
        "per t",
        "plans between money and CO2",
        "a tonne of CO2 less costs",
    ):
        assert words in text
    p, rate = swept.doc["plans"][1], swept.doc["rates"][0]["rate"]
    row = next(line for line in text.splitlines() if line.strip().startswith("2"))
    assert f"{p['amounts']['cost_eur']:.2f}" in row
    assert f"{p['amounts']['co2_kg']:.2f}" in row
    assert f"{rate:.0f}" in row
    assert f"{p['weights']['co2_eur_per_t']!r}" in text
    assert "missed" not in text, "every goal is met"
    json.dumps(swept.doc, allow_nan=False)


@pytest.mark.parametrize(
    ("aims", "more", "first", "last"),
    [
        (("peak", "cost"), "", "cost_eur", "peak_kw"),
        (("cost", "self-consumption"), SUN, "cost_eur", "unused_kwh"),
        (("comfort", "cost"), ROOMS, "cost_eur", "discomfort_kh"),
        (("peak", "co2"), "", "peak_kw", "co2_kg"),
    ],
)
def test_any_two_aims(house: Any, aims: tuple[str, str], more: str, first: str, last: str) -> None:
    found = pareto.run(house(more), aims, now=NOW, points=3)
    plans = found.doc["plans"]
    assert 2 <= len(plans) <= 3
    for key, sign in ((first, 1), (last, -1)):
        values = [sign * p["amounts"][key] for p in plans]
        assert values == sorted(values)
        assert values[-1] > values[0] + 1e-3
    assert [pareto.PARTS[name].amount for name in found.doc["aims"]] == [first, last], "money comes first"
    if "cost" not in aims:
        assert {p["weights"]["cost"] for p in plans} == {LEAST}
    text = text_of(found.doc)
    assert max(map(len, text.splitlines())) <= 80
    assert [pareto.BEST[name] in text for name in found.doc["aims"]] == [True, True]
    for p in plans:
        assert job.run(house(more), now=NOW, sets=p["sets"]).summary["hash"] == p["hash"]


def test_a_share_of_own_use_is_of_what_the_sun_allows(house: Any) -> None:
    found = pareto.run(house(SUN), ("cost", "self-consumption"), now=NOW, points=2)
    for made, p in zip(found.plans, found.doc["plans"], strict=True):
        given = (-made.schedule.net_kw).clip(0).sum()
        roof = made.schedule.value(made.inputs, "roof", "generation_kw").sum()
        assert p["amounts"]["self_consumption"] == pytest.approx(1 - (given + 38.4 - roof) / 38.4, abs=1e-6)


def test_one_plan_where_the_aims_agree(house: Any) -> None:
    found = pareto.run(house(), ("cost", "co2"), now=NOW, sets=["schedule.tariff.rules=[]", "schedule.mix.rules=[]"])
    (p,) = found.doc["plans"]
    assert p["names"] == ["cheapest", "cleanest"]
    assert (found.doc["rates"], found.doc["knee"]) == ([], None)
    assert "One plan is the best by both" in text_of(found.doc)


def test_goals_missed_stand_apart(house: Any) -> None:
    """A car whose energy is dear to miss is charged in the cleanest plan as in the cheapest; what cannot be is told."""
    found = pareto.run(house(), ("cost", "co2"), now=NOW, points=3, sets=["asset.car-a.energy_kwh=200"])
    short = [p["penalties_eur"] for p in found.doc["plans"]]
    assert min(short) == pytest.approx(max(short), abs=1e-4)
    assert min(short) > 1.0
    assert {p["goals_short"] for p in found.doc["plans"]} == {1}
    assert found.exit_code == 3
    assert "missed: goals that fall short" in text_of(found.doc)


def test_other_wishes_of_the_scenario_stay(house: Any) -> None:
    found = pareto.run(
        house("[objective]\npeak_eur_per_kw = 0.5\nco2_eur_per_t = 80\n"), ("cost", "co2"), now=NOW, points=2
    )
    for made in found.plans:
        assert {w["part"]: w["weight"] for w in made.summary["wishes"]}["peak"] == 0.5
    assert [p["weights"]["co2_eur_per_t"] for p in found.doc["plans"]] != [80, 80]


@pytest.mark.parametrize(
    ("aim", "change", "words"),
    [
        ("co2", 'commitment.co2={kind="energy",node="grid",buy_eur_per_kwh=0}', "it says no emissions"),
        ("self-consumption", "", "neither sun nor wind"),
        ("comfort", "", "no asset has a band of comfort"),
    ],
)
def test_an_aim_without_a_measure_is_refused(house: Any, aim: str, change: str, words: str) -> None:
    place = house()
    if change:
        scenario = (place / "scenario.toml").read_text().replace('kind = "carbon"', 'kind = "energy"')
        scenario = scenario.replace("price_eur_per_t = 0\nintensity_g_per_kwh", "buy_eur_per_kwh = 0\nsell_eur_per_kwh")
        (place / "scenario.toml").write_text(scenario.replace('sell_eur_per_kwh = "mix"', "sell_eur_per_kwh = 0"))
    with pytest.raises(UsageError, match=f"{aim} cannot be an aim of this scenario: .*{words}"):
        pareto.run(place, ("cost", aim), now=NOW)


def test_progress_counts_the_plans(house: Any) -> None:
    said: list[str] = []
    pareto.run(house(), ("cost", "co2"), now=NOW, points=2, tell=said.append)
    assert said[0] == "reading the scenario"
    assert {"plan 1", "plan 2", "plan 2: checking the plan"} <= set(said)


# --- kept ------------------------------------------------------------------------------------------------------------


def test_a_sweep_leaves_a_folder_of_runs(swept: Sweep, tmp_path: Path) -> None:
    place = tmp_path / "deep" / "sweep"
    pareto.check_target(place)
    pareto.write(swept, place)
    assert sorted(p.name for p in place.iterdir()) == ["pareto.json", *(f"plan-{k}" for k in range(1, 6))]
    doc = json.loads((place / "pareto.json").read_text())
    assert doc == {"format": 1, **swept.doc}
    for p in doc["plans"]:
        run = run_folder.read(place / p["folder"])
        assert run.summary["hash"] == p["hash"]
        assert run.inputs.get("money") == pytest.approx(p["weights"]["cost"])
    assert [p.name for p in place.parent.iterdir()] == ["sweep"], "nothing is left beside it"


def test_a_sweep_replaces_a_sweep_and_nothing_else(swept: Sweep, tmp_path: Path) -> None:
    place = tmp_path / "sweep"
    pareto.write(swept, place)
    fewer = Sweep(swept.plans[:2], {**swept.doc, "plans": swept.doc["plans"][:2]})
    pareto.write(fewer, place)
    assert sorted(p.name for p in place.iterdir()) == ["pareto.json", "plan-1", "plan-2"]
    for name, words in (("notes.txt", "holds notes.txt"), ("plan-x", "holds plan-x")):
        (place / name).mkdir()
        with pytest.raises(UsageError, match=words):
            pareto.check_target(place)
        with pytest.raises(UsageError, match=words):
            pareto.write(fewer, place)
        (place / name).rmdir()
    (place / "plan-1" / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match=r"mine\.txt"):
        pareto.check_target(place)
    job.write(swept.plans[0], tmp_path / "one")
    with pytest.raises(UsageError, match="not part of a sweep"):
        pareto.check_target(tmp_path / "one")
    assert load(tmp_path / "house").name == "house"


def test_a_scenario_is_loaded_once(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every plan is of the same data, also where a file changes meanwhile."""
    seen: list[Scenario] = []
    original = job.plan

    def watched(scenario: Scenario, *rest: Any) -> Any:
        seen.append(scenario)
        return original(scenario, *rest)

    monkeypatch.setattr(job, "plan", watched)
    pareto.run(house(), ("cost", "co2"), now=NOW, points=2)
    assert len(seen) == 2
    assert seen[0].tables is seen[1].tables
