"""The plan on the terminal: what it says is what the run holds, in 80 columns and without colour."""

from __future__ import annotations

import copy
import dataclasses
import io
import re
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from gridopt.assets import family
from gridopt.jobs import record
from gridopt.jobs.plan import Plan, _ends, plan, write
from gridopt.model.inputs import Inputs
from gridopt.report import summary
from gridopt.report.summary import Row, rows, show
from gridopt.store.run_folder import Run
from gridopt.verify import Line, Trace

District = Callable[..., Inputs]


@pytest.fixture
def made(district: District, scenario: Any, now: datetime) -> Plan:
    return plan(scenario(district()), None, now)


@pytest.fixture
def short(district: District, scenario: Any, now: datetime) -> Plan:
    return plan(scenario(district(import_max_kw=7.2, energy_kwh=40.0)), None, now)


def text(run: Run, inputs: Inputs, width: int = 80) -> str:
    out = io.StringIO()
    show(Console(file=out, width=width, highlight=False), run, inputs)
    return out.getvalue()


def words(run: Run, inputs: Inputs) -> str:
    return " ".join(text(run, inputs).split())


def with_summary(made: Plan, **changed: Any) -> Run:
    return dataclasses.replace(made.run, summary={**copy.deepcopy(dict(made.run.summary)), **changed})


@pytest.mark.parametrize("day", [date(2026, 1, 15), date(2026, 3, 29), date(2026, 10, 25)])
def test_it_fits_80_columns_without_colour(district: District, scenario: Any, now: datetime, day: date) -> None:
    made = plan(scenario(district(import_max_kw=9.0, energy_kwh=40.0, day=day)), None, now)
    shown = text(made.run, made.inputs)
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert "\x1b" not in shown


def test_a_plan_read_back_looks_the_same(short: Plan, tmp_path: Path) -> None:
    write(short, tmp_path)
    run, inputs, _ = record.load(tmp_path)
    assert text(run, inputs) == text(short.run, short.inputs)


def test_header_and_money(made: Plan) -> None:
    shown = words(made.run, made.inputs)
    assert "A tiny district Thursday 15 January 2026, 24 steps of 60 min, Europe/Paris; 2 nodes, 5 assets" in shown
    assert f"Plan {made.summary['plan_id']}: proven optimal" in shown
    total = sum(line["eur"] for line in made.summary["cost"].values())
    rule = made.summary["baseline"]["total_eur"]
    assert f"total {total:.2f} {rule:.2f} {total - rule:.2f}" in shown
    assert "bat-a, recovery" not in shown, "a line of zeros says nothing"
    assert f"The plan saves {made.summary['savings_eur']:.2f} EUR" in shown


def test_figures_stand_beside_those_of_the_twin(made: Plan) -> None:
    shown = words(made.run, made.inputs)
    plan_, rule = made.summary["kpi"]["nodes"]["grid"], made.summary["baseline"]["kpi"]["nodes"]["grid"]
    assert f"highest draw, kW {plan_['peak_import_kw']:.1f} {rule['peak_import_kw']:.1f}" in shown
    shares = f"{100 * plan_['self_consumption']:.0f} % {100 * rule['self_consumption']:.0f} %"
    assert f"of what is produced, used here {shares}" in shown


def test_what_falls_short_and_what_binds_is_named(short: Plan) -> None:
    shown = words(short.run, short.inputs)
    assert "proven optimal; 2 goals short, named below" in shown
    car = next(f for f in short.summary["shortfalls"] if f["id"] == "car-a")
    assert f"car-a: energy by departure short by {car['amount']:.3g} kWh (Thu 15 Jan 06:00 to 07:00)" in shown
    limit = short.summary["limits"][0]
    value = f"{limit['value_eur_per_kw']:.2g} EUR ({limit['mean_eur_per_kwh']:.2g} EUR/kWh)"
    assert f"building import 6.7 kW, Thu 15 Jan 00:00 to 07:00: one kW more would save {value}" in shown
    assert "Limits that running by rule would exceed" in shown
    assert "and exceeds 1 limit" in shown


def test_a_car_that_stays_is_left_for_the_next_day_in_words(district: District, scenario: Any, now: datetime) -> None:
    inputs = district()
    groups = [
        dataclasses.replace(
            g, columns={**g.columns, "due_kwh": np.where([i == "car-b" for i in g.ids], 0.0, g.columns["due_kwh"])}
        )
        if g.family.name == "ev-session"
        else g
        for g in inputs.groups
    ]
    made = plan(scenario(dataclasses.replace(inputs, groups=tuple(groups))), None, now)
    assert made.summary["kpi"]["assets"]["car-b"]["left_for_later_kwh"] == pytest.approx(8.0)
    shown = words(made.run, made.inputs)
    assert "Left for the next day, whose run takes it up: --from the folder of this one car-b: 8 kWh" in shown


# --- what the saving stands for --------------------------------------------------------------------------------------


def missing(name: str, amount: float, kind: str = "penalty", quantity: str = "short_kwh") -> dict[str, Any]:
    when = {"start": "2026-01-15T05:00:00+00:00", "end": "2026-01-15T06:00:00+00:00", "steps": 4}
    goal = {"goal": "energy by departure", "quantity": quantity, "unit": "kWh", "worst": amount}
    return {"what": "asset", "id": name, "amount": amount, "kind": kind, **goal, **when}


def compared(made: Plan, saved: float, plan_short: list[Any], rule_short: list[Any], breaches: int = 0) -> str:
    over = {"node": "grid", "side": "import", "worst_kw": 1.0, "energy_kwh": 1.0, "start": "2026-01-15T05:00:00+00:00"}
    baseline = {
        **made.summary["baseline"],
        "shortfalls": rule_short,
        "breaches": [{**over, "end": "2026-01-15T06:00:00+00:00"}] * breaches,
    }
    run = with_summary(made, savings_eur=saved, shortfalls=plan_short, baseline=baseline)
    shown = words(run, made.inputs)
    told = shown[shown.index("The plan ") : shown.index(" grid plan by rule")]
    return re.sub(r" \([^()]*once a month[^()]*\)", "", told.partition(" What is left at the end")[0])


def test_a_saving_at_equal_service_has_a_share(made: Plan) -> None:
    both = [missing("car-a", 2.0)]
    before = sum(c["eur"] for c in made.summary["baseline"]["cost"].values() if c["kind"] != "penalty")
    share = f"The plan saves 2.00 EUR ({100 * 2 / before:.0f} %) against running by rule."
    assert compared(made, 2.0, [], []) == share
    assert compared(made, 2.0, both, [missing("car-a", 2.0005)]) == share
    assert compared(made, 2.0, [], [missing("bat-a", 3.0, quantity="end_short_kwh")]) == share, "money already"


def test_what_only_one_of_both_days_misses_stands_beside_the_saving(made: Plan) -> None:
    rule, plan_ = [missing("car-a", 8.0)], [missing("car-b", 2.5)]
    assert (
        compared(made, 12.3, [], rule)
        == "The plan saves 12.30 EUR against running by rule, although that leaves car-a 8 kWh short."
    )
    assert (
        compared(made, -3.1, [], rule, breaches=2)
        == "The plan costs 3.10 EUR more than running by rule, but that leaves car-a 8 kWh short and exceeds 2 limits."
    )
    assert (
        compared(made, 12.3, plan_, [])
        == "The plan saves 12.30 EUR against running by rule, but leaves car-b 2.5 kWh short."
    )
    assert compared(made, 0.0, plan_, rule, breaches=1) == (
        "The plan costs the same as running by rule, but that leaves car-a 8 kWh short and exceeds 1 limit; "
        "the plan leaves car-b 2.5 kWh short."
    )
    assert compared(made, 5.0, [missing("car-a", 1.0)], rule) == (
        "The plan saves 5.00 EUR against running by rule, although that leaves car-a 8 kWh short (the plan: 1 kWh)."
    )
    assert compared(made, 5.0, rule, [missing("car-a", 1.0)]) == (
        "The plan saves 5.00 EUR against running by rule, but leaves car-a 8 kWh short (by rule: 1 kWh)."
    )


def test_many_goals_missed_are_counted(made: Plan) -> None:
    rule = [missing(f"car-{k}", 20.0 - k) for k in range(9)]
    assert "leaves car-0 20 kWh short, car-1 19 kWh short and 7 more." in compared(made, 1.0, [], rule)


def test_a_run_without_an_amount_is_left_undone(made: Plan) -> None:
    wash = {**missing("wash", 1.0, quantity="undone"), "unit": "", "goal": "the run"}
    assert "although that leaves wash undone." in compared(made, 1.0, [], [wash])


def test_a_priced_limit_is_exceeded_and_not_short(made: Plan) -> None:
    over = {**missing("feeder", 3.0), "what": "commitment", "quantity": "energy"}
    assert "although that exceeds feeder by 3 kWh and leaves car-a 8 kWh short." in compared(
        made, 1.0, [], [over, missing("car-a", 8.0)]
    )


def test_what_cannot_be_avoided_is_told_apart_from_what_is_dearer_to_meet(made: Plan) -> None:
    hall = {**missing("hall", 6.0, "emergency", "unmet_kw"), "goal": "heat delivered"}
    shown = words(with_summary(made, shortfalls=[missing("car-a", 8.0), hall]), made.inputs)
    assert "Goals that fall short, out of reach of any plan hall: heat delivered short by 6 kWh" in shown
    assert (
        "Goals that fall short at a price (gridopt explain: could a plan meet them?) "
        "car-a: energy by departure short by 8 kWh" in shown
    )


def test_goals_that_the_rule_misses_are_named(short: Plan) -> None:
    rule = next(f for f in short.summary["baseline"]["shortfalls"] if f["id"] == "car-a")
    shown = words(short.run, short.inputs)
    title = "Goals that running by rule would miss"
    assert f"{title} car-a: energy by departure short by {rule['amount']:.3g} kWh" in shown
    assert "bat-a" not in shown[shown.index(title) :].split("Limits")[0], "what a store lacks is money already"


def test_money_and_penalties_are_summed_apart(short: Plan, made: Plan) -> None:
    shown = words(short.run, short.inputs)
    sums = [
        sum(c["eur"] for c in cost.values() if c["kind"] != "penalty")
        for cost in (short.summary["cost"], short.summary["baseline"]["cost"])
    ]
    line = f"without penalties {sums[0]:.2f} {sums[1]:.2f} {sums[0] - sums[1]:.2f}"
    assert line in shown
    assert shown.index("bat-a, wear") < shown.index(line) < shown.index("ev-session, shortfall")
    assert sums[1] - sums[0] == pytest.approx(short.summary["savings_eur"], abs=1e-9)
    assert "without penalties" not in words(made.run, made.inputs), "there are none"


def test_the_charge_of_a_month_on_one_day_says_so(made: Plan) -> None:
    eur = made.summary["cost"]["peak.above"]["eur"]
    assert eur > 0.01
    text_ = "peak, above is a charge of the month, counted in full on this day: for the highest power above 2 kW."
    assert text_ in words(made.run, made.inputs)
    two_days = dataclasses.replace(made.inputs.axis, steps=48)
    shown = words(made.run, dataclasses.replace(made.inputs, axis=two_days))
    assert "is a charge of the month, counted in full in these days" in shown
    nothing = {name: {**line, "eur": 0.0} for name, line in made.summary["cost"].items()}
    baseline = {**made.summary["baseline"], "cost": nothing}
    assert "charge of the month" not in words(with_summary(made, cost=nothing, baseline=baseline), made.inputs)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"status": "within gap", "gap": 0.0031, "gap_eur": 1.2}, "proven within 0.31 % (1.20 EUR) of the best"),
        ({"status": "time-limited", "gap": 0.12, "gap_eur": 3.0}, "at most 12 % (3.00 EUR) above the best possible"),
        ({"savings_eur": -2.5}, "The plan costs 2.50 EUR more than running by rule"),
        ({"savings_eur": 0.001}, "The plan costs the same as running by rule"),
        ({"savings_eur": None}, "What the plan saves against running by rule is not known: no plan can end"),
    ],
)
def test_words_follow_the_numbers(made: Plan, changed: dict[str, Any], expected: str) -> None:
    assert expected in words(with_summary(made, **changed), made.inputs)


def test_a_long_list_is_cut_and_says_so(short: Plan) -> None:
    many = [missing(f"car-{k}", 2.0) for k in range(20)]
    shown = words(with_summary(short, shortfalls=many), short.inputs)
    assert "car-6: energy" in shown
    assert "car-7: energy" not in shown
    assert "and 13 more, all in summary.json" in shown


def test_few_limits_are_named_those_that_matter_first(short: Plan) -> None:
    first = short.summary["limits"][0]
    dear = [{**first, "node": f"node-{k}", "value_eur_per_kw": 9.0 - k} for k in range(7)]
    cheap = [{**first, "node": f"cheap-{k}", "value_eur_per_kw": 0.001} for k in range(13)]
    run = with_summary(short, limits=[*dear, *cheap])
    shown = words(run, short.inputs)
    assert "node-0 import" in shown
    assert "node-4 import" in shown
    assert "node-5 import" not in shown
    assert "and 15 more that matter less: --all names them" in shown
    out = io.StringIO()
    show(Console(file=out, width=80, highlight=False), run, short.inputs, everything=True)
    assert "cheap-12 import" in out.getvalue()
    assert "--all" not in out.getvalue()
    assert "Limits that bind" not in words(with_summary(short, limits=cheap), short.inputs)


def test_a_saving_tells_the_month_from_the_day(made: Plan) -> None:
    s = made.summary
    month = s["baseline"]["cost"]["peak.above"]["eur"] - s["cost"]["peak.above"]["eur"]
    assert month > 1
    day = s["savings_eur"] - month
    rest = f"{day:.2f} EUR are the day's" if day >= 0 else f"the day itself costs {-day:.2f} EUR more"
    assert f"against running by rule ({month:.2f} EUR once a month, {rest})" in words(made.run, made.inputs)


def test_what_is_left_at_the_end_is_named(made: Plan) -> None:
    ends = {e["id"]: e for e in made.summary["baseline"]["ends"]}
    soc = [made.trace.steps, made.twin.trace.steps]
    g, k = made.inputs.where["bat-a"]
    here, there = (float(steps[g]["soc_kwh"][k, -1]) for steps in soc)
    assert abs(here - there) > 0.1
    assert (ends["bat-a"]["plan"], ends["bat-a"]["by_rule"], ends["bat-a"]["unit"]) == (here, there, "kWh")
    left = made.summary["baseline"]["cost"]["stores.left"]["eur"]
    assert ends["bat-a"]["about_eur"] == pytest.approx(left), "the only one has all of it"
    shown = words(made.run, made.inputs)
    line = f"bat-a: {here:.4g} kWh, by rule {there:.4g} kWh, {left:.2f} EUR"
    assert f"What is left at the end, counted as stores, left {line}" in shown


def test_of_a_car_that_stays_is_told_what_it_has_drawn(made: Plan) -> None:
    car = {"id": "car-b", "quantity": "drawn_kwh", "plan": 0.0, "by_rule": 32.609, "unit": "kWh"}
    rule = made.summary["baseline"]
    cost = {**rule["cost"], "stores.left": {"eur": -6.5, "kind": "value"}}
    shown = words(with_summary(made, baseline={**rule, "cost": cost, "ends": [car]}), made.inputs)
    assert "car-b: drawn so far 0 kWh, by rule 32.61 kWh" in shown


def test_the_worth_of_what_is_left_is_shared_where_all_ends_differ_alike() -> None:
    store = SimpleNamespace(
        family=family("battery"), ids=("a", "b"), n=2, columns={"capacity_kwh": np.ones(2)},
        nodes={"ac": np.array([0, 1])},
    )  # fmt: skip
    inputs: Any = SimpleNamespace(groups=(store,), axis=SimpleNamespace(step_h=1.0))

    def ends(a: float, b: float) -> list[dict[str, Any]]:
        plan_, rule = (Trace(({"soc_kwh": np.array([[x], [y]])},), ({},)) for x, y in ((2.0, 1.0), (a, b)))
        return _ends(inputs, plan_, rule, Line(-1.0, "value"), np.array([0.1, 0.3]))

    assert [(e["id"], e["about_eur"]) for e in ends(5.0, 2.0)] == [
        ("a", pytest.approx(-0.5)),
        ("b", pytest.approx(-0.5)),
    ]
    assert all("about_eur" not in e for e in ends(9.0, 0.0)), "one ends fuller, one emptier"
    assert [e["id"] for e in ends(2.0, 3.0)] == ["b"]


def test_a_goal_missed_by_next_to_nothing_is_said(made: Plan) -> None:
    cost = {**made.summary["cost"], "rooms.discomfort": {"eur": 0.02, "kind": "penalty"}}
    shown = words(with_summary(made, cost=cost, shortfalls=[]), made.inputs)
    assert "Goals are missed by less than is worth naming, for penalties of 0.02 EUR in all." in shown
    assert "worth naming" not in words(made.run, made.inputs)


def test_notes_of_the_scenario_are_shown(made: Plan) -> None:
    scenario = {**made.summary["scenario"], "notes": ["session 3: plugged in for no whole step"]}
    assert "Notes session 3: plugged in" in words(with_summary(made, scenario=scenario), made.inputs)


# --- the day ---------------------------------------------------------------------------------------------------------


def by_label(made: Plan) -> dict[str, Row]:
    return {row.label: row for row in rows(made.run, made.inputs)}


def test_rows_of_the_day(made: Plan) -> None:
    found = by_label(made)
    assert list(found) == [
        "price EUR/kWh", "import", "export", "load", "pv-a", "bat-a in", "bat-a out", "car-a", "car-b",
    ]  # fmt: skip
    assert np.array_equal(found["price EUR/kWh"].values, made.inputs.commitments[0].price_above)
    net = found["import"].values - found["export"].values
    balance = found["load"].values - found["pv-a"].values + found["bat-a in"].values - found["bat-a out"].values
    assert net == pytest.approx(balance + found["car-a"].values + found["car-b"].values, abs=1e-6)


def test_many_devices_are_shown_by_family(made: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    apart = by_label(made)
    monkeypatch.setattr(summary, "MOST_DEVICES", 3)
    found = by_label(made)
    assert list(found)[3:] == ["load", "pv", "battery in", "battery out", "ev-session"]
    assert found["ev-session"].values == pytest.approx(apart["car-a"].values + apart["car-b"].values)


def test_a_price_below_zero_is_a_dash(made: Plan) -> None:
    supply = made.inputs.commitments[0]
    price = supply.price_above.copy()
    price[12] = -0.05
    cheap = dataclasses.replace(supply, price_above=price)
    inputs = dataclasses.replace(made.inputs, commitments=(cheap, *made.inputs.commitments[1:]))
    line = next(line for line in text(made.run, inputs).splitlines() if line.startswith("price"))
    assert line[15 + 24 : 15 + 26] == "--"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"), (1e-9, "0"), (0.35, "0.350"), (-0.05, "-0.050"), (7.0, "7.000"), (45.37, "45.37"),
        (1234.5, "1234"), (99999.4, "99999"), (123456.0, "123456"), (12345678.0, "12.3M"),
    ],
)  # fmt: skip
def test_a_number_takes_few_characters(value: float, expected: str) -> None:
    assert summary._short(value) == expected
