"""The plan on the terminal: what it says is what the run holds, in 80 columns and without colour."""

from __future__ import annotations

import copy
import dataclasses
import io
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from gridopt.jobs import record
from gridopt.jobs.plan import Plan, plan, write
from gridopt.model.inputs import Inputs
from gridopt.report import summary
from gridopt.report.summary import Row, rows, show
from gridopt.store.run_folder import Run

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
    assert "battery, recovery" not in shown, "a line of zeros says nothing"
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

    def lacking(shortfalls: list[Any]) -> float:
        return sum(f["amount"] for f in shortfalls if f["unit"] == "kWh" and f["quantity"] != "end_short_kwh")

    by_rule, own = lacking(short.summary["baseline"]["shortfalls"]), lacking(short.summary["shortfalls"])
    assert f"by rule it would exceed 1 limit and fall short by {by_rule:.3g} kWh" in shown
    assert f"the plan falls short by {own:.3g} kWh" in shown


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"status": "within gap", "gap": 0.0031, "gap_eur": 1.2}, "proven within 0.31 % (1.20 EUR) of the best"),
        ({"status": "time-limited", "gap": 0.12, "gap_eur": 3.0}, "at most 12 % (3.00 EUR) above the best possible"),
        ({"savings_eur": -2.5}, "The plan costs 2.50 EUR more than running by rule"),
        ({"savings_eur": 0.001}, "The plan costs the same as running by rule"),
    ],
)
def test_words_follow_the_numbers(made: Plan, changed: dict[str, Any], expected: str) -> None:
    assert expected in words(with_summary(made, **changed), made.inputs)


def test_a_long_list_is_cut_and_says_so(short: Plan) -> None:
    many = [{**short.summary["limits"][0], "node": f"node-{k}"} for k in range(20)]
    shown = words(with_summary(short, limits=many), short.inputs)
    assert "node-6 import" in shown
    assert "node-7 import" not in shown
    assert "and 13 more, all in summary.json" in shown


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
