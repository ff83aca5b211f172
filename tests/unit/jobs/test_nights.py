"""From one night to the next: what yesterday's plan leaves is how today's starts."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from gridopt.errors import ScenarioError, UsageError
from gridopt.jobs import plan as job
from gridopt.jobs.plan import Plan
from gridopt.report.summary import show
from gridopt.scenario.load import load

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
TOWN = """\
format = 1
[horizon]
start = "2026-03-16"
step_min = 60
[schedule.tariff]
default = 0.30
rules = [{ from = "21:00", to = "05:00", value = 0.10 }]
[node.grid]
import_max_kw = 12
export_max_kw = 6
[asset.house]
family = "load"
node = "grid"
power_kw = 1
[asset.battery]
family = "battery"
node = "grid"
capacity_kwh = 8
power_kw = 3
soc_start = 0.5
[commitment.supply]
kind = "energy"
node = "grid"
buy_eur_per_kwh = "tariff"
"""
CAR = """\
[asset.car]
family = "ev-session"
node = "grid"
arrive = "18:00"
depart = "D+1 07:00"
energy_kwh = 28
power_kw = 3.7
efficiency = 1
"""
PEAK = """\
[commitment.month]
kind = "peak"
node = "grid"
price_eur_per_kw = 0.4
so_far_kw = 1.5
"""
WASH = """\
[asset.wash]
family = "shiftable-load"
node = "grid"
profile_kw = [2, 1, 0.5]
earliest = "20:00"
latest = "D+1 06:00"
"""

Night = Callable[..., Plan]


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """``night(toml, day, continued=…)``: plan it and leave it in the folder of that day."""

    def make(toml: str, day: int = 16, continued: int | None = None, **how: Any) -> Plan:
        folder = tmp_path / "town"
        folder.mkdir(exist_ok=True)
        (folder / "scenario.toml").write_text(toml)
        source = tmp_path / f"{continued}" if continued else None
        made = job.run(folder, now=NOW, day=date(2026, 3, day), continued=source, **how)
        job.write(made, tmp_path / f"{day}")
        return made

    return make


def series(plan: Plan, asset: str, quantity: str) -> Any:
    return plan.schedule.value(plan.inputs, asset, quantity)


def column(plan: Plan, asset: str, name: str) -> float:
    g, k = plan.inputs.where[asset]
    return float(plan.inputs.groups[g].columns[name][k])


def test_a_battery_starts_as_full_as_it_was_left_and_ends_as_the_scenario_says(night: Night) -> None:
    toml = TOWN.replace("soc_start = 0.5", 'soc_start = 0.5\nend = "target"\nsoc_end = 0.8')
    one = night(toml)
    two = night(TOWN, 17, continued=16)
    assert series(one, "battery", "soc_kwh")[-1] == pytest.approx(6.4, abs=1e-6)
    assert column(two, "battery", "soc_start_kwh") == pytest.approx(series(one, "battery", "soc_kwh")[-1])
    assert series(two, "battery", "soc_kwh")[-1] == pytest.approx(4.0, abs=1e-6), "the scenario's own start, no ratchet"
    state = two.summary["start_state"]["battery"]
    assert (state["source"], state["soc_kwh"]) == ("plan", pytest.approx(6.4, abs=1e-6))
    assert two.summary["continues"]["plan_id"] == one.summary["plan_id"]
    assert one.summary["continues"] is None
    assert one.summary["start_state"]["battery"]["source"] == "scenario"


def test_what_a_person_sets_counts_more_than_what_was_planned(night: Night) -> None:
    night(TOWN)
    two = night(TOWN, 17, continued=16, sets=["asset.battery.soc_start=0.25"])
    assert column(two, "battery", "soc_start_kwh") == pytest.approx(2.0)
    assert two.summary["start_state"]["battery"]["source"] == "scenario"


def test_a_car_is_charged_for_once_over_its_night(night: Night) -> None:
    """28 kWh at 3.7 kW take longer than the seven hours after midnight: the evening must begin."""
    one, two = night(TOWN + CAR), night(TOWN + CAR, 17, continued=16)
    evening, morning = series(one, "car", "charge_kw").sum(), series(two, "car-0316", "charge_kw").sum()
    assert 2 < evening < 28
    assert evening + morning == pytest.approx(28, abs=1e-6)
    assert not series(two, "car-0316", "charge_kw")[7:].any()
    assert two.summary["continues"]["rests"] == {"car": ["car-0316"]}
    devices = {s.device for s in two.run.setpoints}
    assert "car" in devices
    assert "car-0316" not in devices, "the same charge point"
    three = night(TOWN + CAR, 18, continued=17)
    assert set(three.inputs.where) == {"house", "battery", "car", "car-0317"}


def test_the_same_night_planned_again_from_its_own_plan_is_the_same(night: Night) -> None:
    night(TOWN + CAR + PEAK)
    two = night(TOWN + CAR + PEAK, 17, continued=16)
    again = night(TOWN + CAR + PEAK, 17, continued=17)
    assert again.summary["objective_eur"] == pytest.approx(two.summary["objective_eur"], abs=1e-6)
    assert set(again.inputs.where) == set(two.inputs.where)
    assert column(again, "car-0316", "delivered_kwh") == pytest.approx(column(two, "car-0316", "delivered_kwh"))


def test_a_window_that_the_scenario_writes_itself_takes_up_its_rest(night: Night) -> None:
    early = CAR.replace("asset.car", "asset.car-early").replace('"18:00"', '"D-1 18:00"').replace("D+1 07", "07")
    toml = TOWN + CAR + early
    one = night(toml)
    two = night(toml, 17, continued=16)
    assert set(two.inputs.where) == {"house", "battery", "car", "car-early"}
    assert column(two, "car-early", "delivered_kwh") == pytest.approx(series(one, "car", "charge_kw").sum())


def test_a_car_of_instants_goes_on_under_its_own_name(night: Night) -> None:
    fixed = CAR.replace('"18:00"', '"2026-03-16T18:00"').replace('"D+1 07:00"', '"2026-03-17T07:00"')
    one, two = night(TOWN + fixed), night(TOWN + fixed, 17, continued=16)
    total = series(one, "car", "charge_kw").sum() + series(two, "car", "charge_kw").sum()
    assert total == pytest.approx(28, abs=1e-6)
    assert "car" not in night(TOWN + fixed, 18, continued=17).inputs.where


def test_the_peak_of_the_month_is_carried_until_the_month_ends(night: Night, tmp_path: Path) -> None:
    one, two = night(TOWN + CAR + PEAK), night(TOWN + CAR + PEAK, 17, continued=16)
    (peak,) = two.summary["continues"]["peaks_kw"]["month"]
    assert peak == pytest.approx(max(1.5, one.schedule.net_kw.max()))
    assert peak > 2
    month = next(c for c in two.inputs.commitments if c.id == "month")
    assert month.baseline_kw == pytest.approx(np.full(24, peak))
    set_ = night(TOWN + CAR + PEAK, 17, continued=16, sets=["commitment.month.so_far_kw=9"])
    assert next(c for c in set_.inputs.commitments if c.id == "month").baseline_kw[0] == 9
    night(TOWN + PEAK, 31)
    april = job.run(tmp_path / "town", now=NOW, day=date(2026, 4, 1), continued=tmp_path / "31")
    assert next(c for c in april.inputs.commitments if c.id == "month").baseline_kw[0] == 0


def test_a_wash_is_done_once(night: Night) -> None:
    """The night's cheap hours begin at 21:00: it runs that evening, or, where the evening is dear, after midnight."""
    one, two = night(TOWN + WASH), night(TOWN + WASH, 17, continued=16)
    done = series(one, "wash", "start").sum()
    rest = series(two, "wash-0316", "start").sum() if "wash-0316" in two.inputs.where else 0.0
    assert done + rest == 1
    held = TOWN + WASH + '[[outage]]\nasset = "wash"\ndays = "mon"\n'
    one, two = night(held), night(held, 17, continued=16)
    assert series(one, "wash", "start").sum() == 0
    assert series(two, "wash-0316", "start").sum() == 1
    assert not series(two, "wash-0316", "start")[4:].any(), "over by 06:00"


def test_a_run_under_way_is_not_cut_in_two(night: Night, tmp_path: Path) -> None:
    """Planned again from 22:00, an hour after the wash began: two of its three hours are left, and come at once."""
    long = TOWN.replace('start = "2026-03-16"', 'start = "2026-03-16"\nhours = 36') + WASH.replace("20:00", "21:00")
    one = night(long + '[[pin]]\nasset = "wash"\nquantity = "start"\nvalue = 1\nfrom = "21:00"\nto = "22:00"\n')
    folder = tmp_path / "town"
    toml = (folder / "scenario.toml").read_text().replace('"2026-03-16"\n', '"2026-03-16T22:00"\n')
    (folder / "scenario.toml").write_text(toml.partition("[[pin]]")[0])
    two = job.run(folder, now=NOW, continued=folder.parent / "16")
    assert series(one, "wash", "start")[21] == 1
    drawn = two.trace.port_kw(two.inputs, "wash", "ac")
    assert drawn[:2] == pytest.approx([1, 0.5])
    assert not drawn[2:].any()
    sets = ["horizon.start=2026-03-17T00:00", "asset.wash.earliest=2026-03-16T21:00"]
    sets.append("asset.wash.latest=2026-03-17T06:00")
    three = job.run(folder, now=NOW, continued=folder.parent / "16", sets=sets)
    assert "wash" not in three.inputs.where, "it is done"
    assert three.summary["continues"]["over"] == ["wash"]


def test_a_gap_between_two_nights_is_told_not_guessed(night: Night, tmp_path: Path) -> None:
    night(TOWN)
    with pytest.raises(ScenarioError, match=r"ends Tue 17 Mar 00:00, before this one begins \(Wed 18.*2026-03-17"):
        night(TOWN, 18, continued=16)
    with pytest.raises(ScenarioError, match="begins Mon 16 Mar 00:00, after this one"):
        night(TOWN, 15, continued=16)
    with pytest.raises(UsageError, match="not a run folder"):
        job.run(tmp_path / "town", now=NOW, continued=tmp_path / "town")


def test_a_weekly_car_comes_on_its_days_only(night: Night) -> None:
    weekly = CAR.replace('arrive = "18:00"', 'days = "mon,wed"\narrive = "18:00"').replace("D+1 07", "07")
    week = night(TOWN.replace("step_min", "days = 7\nstep_min") + weekly)
    assert {name for name in week.inputs.where if name.startswith("car")} == {"car-0316", "car-0318"}
    assert series(week, "car-0316", "charge_kw").sum() == pytest.approx(28, abs=1e-6)
    assert np.flatnonzero(series(week, "car-0318", "charge_kw")).min() >= 48 + 18
    one, two = night(TOWN + weekly), night(TOWN + weekly, 17, continued=16)
    total = series(one, "car-0316", "charge_kw").sum() + series(two, "car-0316", "charge_kw").sum()
    assert total == pytest.approx(28, abs=1e-6)
    assert set(two.inputs.where) == {"house", "battery", "car-0316"}
    three = night(TOWN + weekly, 20, sets=["asset.battery.soc_start=0.4"])
    assert set(three.inputs.where) == {"house", "battery"}


def test_a_car_that_comes_once_among_several_days_is_told(tmp_path: Path) -> None:
    (tmp_path / "scenario.toml").write_text(TOWN.replace("step_min", "days = 3\nstep_min") + CAR)
    (note,) = load(tmp_path).notes
    assert "18:00 is on the first day only; the horizon has 3 days (the next is D+1 18:00" in note
    assert load(tmp_path, sets=["asset.car.days=all", "asset.car.depart=07:00"]).notes == ()


def test_a_pin_on_a_car_holds_whichever_day_of_it_is_there(night: Night) -> None:
    pin = '[[pin]]\nasset = "car"\nquantity = "charge_kw"\nvalue = 3\nfrom = "{}"\nto = "{}"\n'
    weekly = CAR.replace('arrive = "18:00"', 'days = "all"\narrive = "18:00"').replace("D+1 07", "07")
    two = night(TOWN + weekly + pin.format("05:00", "06:00") + pin.format("19:00", "20:00"), 17)
    assert series(two, "car-0316", "charge_kw")[5] == pytest.approx(3)
    assert series(two, "car-0317", "charge_kw")[19] == pytest.approx(3)
    night(TOWN + CAR)
    two = night(TOWN + CAR + pin.format("05:00", "06:00"), 17, continued=16)
    assert series(two, "car-0316", "charge_kw")[5] == pytest.approx(3)
    friday = weekly.replace('"all"', '"fri"') + pin.format("05:00", "06:00")
    assert any("car is not there then" in note for note in night(TOWN + friday, 17).summary["scenario"]["notes"])


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('days = "mo"\narrive = "18:00"', "is not a list of days"),
        ('days = "mon"\narrive = "2026-03-16T18:00"', "with days, arrive is a time of day"),
        ('days = "mon"\narrive = "25h"', "is not a time"),
    ],
)
def test_days_are_checked(tmp_path: Path, said: str, told: str) -> None:
    (tmp_path / "scenario.toml").write_text(TOWN + CAR.replace('arrive = "18:00"', said))
    with pytest.raises(ScenarioError, match=told):
        load(tmp_path)


# --- the month's peak of the days by rule ----------------------------------------------------------------------------

HOUSE = """\
format = 1
[horizon]
start = "2026-03-16"
step_min = 60
[schedule.use]
default = 1
rules = [
    { from = "07:00", to = "08:00", value = 6 },
    { days = "mon", from = "07:00", to = "08:00", value = 5 },
    { days = "tue", from = "07:00", to = "08:00", value = 7 },
]
[node.grid]
import_max_kw = 40
[asset.house]
family = "load"
node = "grid"
power_kw = "use"
[asset.oven]
family = "shiftable-load"
node = "grid"
profile_kw = [4]
days = "all"
earliest = "07:00"
latest = "12:00"
[commitment.month]
kind = "peak"
node = "grid"
price_eur_per_kw = 2
so_far_kw = 1.5
"""


def month(plan: Plan) -> tuple[float, float]:
    """The peak charge of the plan and of its day by rule [EUR]."""
    sides = plan.summary["cost"], plan.summary["baseline"]["cost"]
    return sides[0]["month.peak"]["eur"], sides[1]["month.peak"]["eur"]


def test_a_chain_of_nights_saves_the_peak_of_a_month_once(night: Night) -> None:
    """By rule the oven runs on top of the house: 9, 11, 10 kW; planned, the house's own 5, 7, 6 kW stay."""
    chain = [night(HOUSE), night(HOUSE, 17, continued=16), night(HOUSE, 18, continued=17)]
    assert [month(p) for p in chain] == [
        pytest.approx((2 * (5 - 1.5), 2 * (9 - 1.5))),
        pytest.approx((2 * (7 - 5), 2 * (11 - 9))),
        pytest.approx((0, 0), abs=1e-6),
    ]
    at_once = night(HOUSE.replace("step_min", "days = 3\nstep_min"))
    assert sum(p.summary["savings_eur"] for p in chain) == pytest.approx(8.0)
    assert at_once.summary["savings_eur"] == pytest.approx(8.0)
    rises = at_once.summary["baseline"]["peaks_kw"]["month"][0]
    assert [r["kw"] for r in rises] == pytest.approx([1.5, 9, 11])
    assert chain[2].summary["continues"]["peaks"]["month"][0]["by_rule_kw"] == pytest.approx(11)
    assert chain[2].summary["continues"]["peaks"]["month"][0]["plan_kw"] == pytest.approx(7)


@pytest.mark.parametrize(("hour", "reached"), [(7, (1.5, 1.5)), (8, (5, 9))])
def test_a_day_taken_up_midway_knows_what_its_rule_had_reached_by_then(
    night: Night, tmp_path: Path, hour: int, reached: tuple[float, float]
) -> None:
    night(HOUSE)
    sets = [f"horizon.start=2026-03-16T{hour:02d}:00"]
    two = job.run(tmp_path / "town", now=NOW, continued=tmp_path / "16", sets=sets)
    (peak,) = two.summary["continues"]["peaks"]["month"]
    assert (peak["plan_kw"], peak["by_rule_kw"]) == pytest.approx(reached)


def test_a_month_begins_without_a_peak_by_rule_too(night: Night, tmp_path: Path) -> None:
    night(HOUSE, 31)
    april = job.run(tmp_path / "town", now=NOW, day=date(2026, 4, 1), continued=tmp_path / "31")
    assert month(april) == pytest.approx((2 * 6, 2 * 10))


def test_a_window_that_is_shut_for_a_day_keeps_its_peak(night: Night) -> None:
    toml = HOUSE + 'windows = [{ days = "mon-tue,thu", from = "06:00", to = "22:00" }, { days = "wed" }]\n'
    night(toml)
    night(toml, 17, continued=16)
    night(toml, 18, continued=17)
    peak = night(toml, 19, continued=18).summary["continues"]["peaks"]["month"][0]
    assert (peak["plan_kw"], peak["by_rule_kw"]) == pytest.approx((7, 11))


def test_a_run_that_does_not_tell_its_peak_by_rule_claims_none(night: Night, tmp_path: Path) -> None:
    one = night(HOUSE)
    silent = {**one.summary, "baseline": {k: v for k, v in one.summary["baseline"].items() if k != "peaks_kw"}}
    job.write(replace(one, run=replace(one.run, summary=silent)), tmp_path / "16")
    two = night(HOUSE, 17, continued=16)
    assert month(two) == pytest.approx((2 * (7 - 5), 2 * (7 - 5)))
    assert two.summary["savings_eur"] == pytest.approx(0.0, abs=1e-6)
    assert two.summary["baseline"]["peaks_kw"] == {"month": [None]}
    out = io.StringIO()
    show(Console(file=out, width=200), two.run, two.inputs)
    assert "What it saves once a month is left out" in out.getvalue()
    assert night(HOUSE, 18, continued=17).summary["baseline"]["peaks_kw"] == {"month": [None]}
