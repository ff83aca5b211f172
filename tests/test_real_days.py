"""Fourteen consecutive days and more on real input: every plan verified, none dearer than the rules, money adding up.

A day of the plan is compared with the day by rule from the same content of the store. Where the two end with different
contents, the plan is made once more with the rule's end, and the difference is counted. The rule's day is a feasible
one for the content it happens to reach: so no rule can be cheaper, on any day, as long as both plans are optimal.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from benchmarks import real_days
from benchmarks.real_days import Day, Site, chain, days_from, district_site, house_site, totals
from gridopt.verify import bill, replay, verify


@dataclass(frozen=True)
class Chain:
    site: Site
    days: list[Day]
    capacity_kwh: float


SITES: dict[str, tuple[Callable[[list[date]], AbstractContextManager[Site]], list[date], float]] = {
    "district": (district_site, days_from(date(2023, 3, 20), 14), 2000.0),
    "house": (house_site, days_from(date(2024, 3, 22), 28), 10.0),
}
"""Both hold a spring day of 23 hours."""


@pytest.fixture(scope="module", params=list(SITES))
def planned(request: pytest.FixtureRequest, shared_data: Path) -> Iterator[Chain]:
    make, days, capacity = SITES[request.param]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRIDOPT_DATA", str(shared_data))
        with make(days) as site:
            yield Chain(site, chain(site), capacity)


def test_fourteen_days_and_a_day_of_23_hours_are_planned_to_the_optimum(planned: Chain) -> None:
    steps = {d.day: d.plan.inputs.axis.steps * d.plan.inputs.axis.step_h for d in planned.days}
    assert len(steps) >= 14
    assert _longest_run(list(steps)) >= 14
    assert sorted(set(steps.values())) == [23.0, 24.0]
    assert all(d.plan.solution.status == "optimal" for d in planned.days)


def _longest_run(days: list[date]) -> int:
    """Most days in a row without a gap."""
    best = length = 1
    for before, after in itertools.pairwise(days):
        length = length + 1 if after - before == timedelta(days=1) else 1
        best = max(best, length)
    return best


def test_every_day_is_verified(planned: Chain) -> None:
    for d in planned.days:
        assert not verify(d.plan.inputs, d.plan.schedule, d.plan.solution.objective), d.day
        assert d.findings == 0


def test_the_money_recomputed_is_the_objective(planned: Chain) -> None:
    for d in planned.days:
        ledger = bill(d.plan.inputs, d.plan.schedule.net_kw, replay(d.plan.inputs, d.plan.schedule))
        assert ledger.total_eur == pytest.approx(d.plan.solution.objective, rel=1e-6, abs=1e-6), d.day


def test_content_is_handed_from_day_to_day(planned: Chain) -> None:
    assert planned.days[0].start_kwh == pytest.approx(0.5 * planned.capacity_kwh)
    for before, after in itertools.pairwise(planned.days):
        assert after.start_kwh == pytest.approx(before.end_kwh, abs=1e-6)
    for d in planned.days:
        assert d.end_kwh >= d.start_kwh - 1e-5
        soc = d.plan.schedule.value(d.plan.inputs, real_days.BATTERY, "soc_kwh")
        assert (soc >= -1e-6).all()
        assert (soc <= planned.capacity_kwh + 1e-6).all()


def test_no_day_is_dearer_than_by_rule(planned: Chain) -> None:
    for d in planned.days:
        assert d.cost_eur <= d.rule_eur + 1e-6, d.day
        left = d.end_kwh - float(d.plan.twin.trace.steps[d.plan.inputs.where[real_days.BATTERY][0]]["soc_kwh"][0, -1])
        stored = d.rule_eur - d.plan.twin.ledger.total_eur
        # The last kWh is the dearest to come by: what is held more is worth no more than its price apiece.
        assert stored <= d.worth_eur_per_kwh * left + 1e-5, d.day
        assert abs(stored) <= 2.0 * abs(left), f"{d.day}: beyond any price"


def test_the_whole_saves_money_against_both_baselines(planned: Chain) -> None:
    t = totals(planned.days)
    assert t.cost_eur < t.rule_eur
    assert t.cost_eur < t.chain_eur
    assert sum(d.plan.summary["savings_eur"] for d in planned.days) == pytest.approx(t.rule_eur - t.cost_eur, abs=1e-6)


def test_the_plan_is_made_of_the_files_own_numbers(planned: Chain) -> None:
    """Loads, sun and prices of every step against the files, read here once more; the node balances with them."""
    rows = {row[real_days.TIME]: row for name in FILES for row in _rows(name)}
    prices = {row[real_days.TIME]: float(row["fr_eur_per_mwh"]) for row in _rows(real_days.PRICE_FILE)}
    for d in planned.days:
        inputs, schedule = d.plan.inputs, d.plan.schedule
        here = [rows[f"{t}Z"] for t in np.datetime_as_string(inputs.axis.times, unit="s")]
        if "load_w" in here[0]:
            load = np.array([float(row["load_w"]) / 1e3 for row in here])
            sun = np.array([float(row["pv_w"] or 0) / 1e3 for row in here])
            hours = np.datetime_as_string(inputs.axis.times.astype("datetime64[h]"), unit="s")
            spot = np.array([prices[f"{t}Z"] / 1e3 for t in hours])
        else:
            load = np.array([sum(float(row[name]) for name in real_days.LOADS) for row in here])
            sun = np.array([1500 * float(row["pv_kw_per_kwp"]) for row in here])
            spot = np.array([float(row["price_fr_eur_per_mwh"]) / 1e3 for row in here])
        groups = {g.family.name: g for g in inputs.groups}
        assert groups["pv"].columns["available_kw"][0] == pytest.approx(sun, abs=1e-5)
        assert next(c for c in inputs.commitments if c.id == "spot").price_above == pytest.approx(spot, abs=1e-6)
        net = (
            load
            - schedule.value(inputs, groups["pv"].ids[0], "generation_kw")
            + schedule.value(inputs, real_days.BATTERY, "charge_kw")
            - schedule.value(inputs, real_days.BATTERY, "discharge_kw")
        )
        assert schedule.net_kw[0] == pytest.approx(net, abs=1e-5)


FILES = (real_days.DISTRICT_FILE, real_days.HOUSE_FILE)


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (real_days.data() / name).open(newline="") as file:
        yield from csv.DictReader(file)


def test_days_with_gaps_are_left_out_with_the_reason(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDOPT_DATA", str(shared_data))
    with house_site(days_from(date(2024, 3, 12), 12)) as site:
        left_out = {day.isoformat(): why for day, why in site.left_out.items()}
        assert set(left_out) == {f"2024-03-{k}" for k in (12, 13, 14, 16, 18, 19, 20, 21)}
        assert left_out["2024-03-14"] == "half-hours: 1 with a load of zero"
        assert left_out["2024-03-20"] == "half-hours: 14 without a load"
        assert left_out["2024-03-19"].startswith("half-hours: 47 without a load, 1 with a load of zero, ")
        assert [day.day for day in site.days] == [15, 17, 22, 23]


def test_absent_data_are_said_to_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDOPT_DATA", str(tmp_path))
    for run in (real_days.real_district, real_days.real_house):
        result = run(False)
        assert "GRIDOPT_DATA" in result.skipped
        assert not result.rows
