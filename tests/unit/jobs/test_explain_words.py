"""What ``gridopt explain`` says of a run, as data and in words."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gridopt.cli.explain import explain as command
from gridopt.errors import DataError
from gridopt.jobs import explain as job
from gridopt.jobs import plan, record
from gridopt.model.inputs import Commitment, Flow, Inputs, Pin
from gridopt.solve.ladder import Solution, solve
from gridopt.store.run_folder import digest_of_summary
from gridopt.verify import bill, replay
from tests.support.districts import Device, Sketch, energy_price, hours, node, peak_price

District = Callable[..., Inputs]
Wrap = Callable[[Inputs], Any]


@pytest.fixture
def kept(tmp_path: Path, scenario: Wrap, now: datetime) -> Callable[[Inputs], Path]:
    """Plans a district and leaves its run folder."""

    def keep(inputs: Inputs) -> Path:
        made = plan.plan(scenario(inputs), None, now)
        plan.write(made, tmp_path / "run")
        return tmp_path / "run"

    return keep


def explained(folder: Path, **given: float) -> dict[str, Any]:
    return job.explain(folder, lambda _: None, **given)


# --- the recorded plan -----------------------------------------------------------------------------------------------


def test_the_recorded_plan_is_explained(
    kept: Callable[[Inputs], Path], district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = kept(district())
    solved: list[Inputs] = []

    def noted(inputs: Inputs, **given: Any) -> Solution:
        solved.append(inputs)
        return solve(inputs, **given)

    monkeypatch.setattr(job, "solve", noted)
    doc = explained(folder)
    run, inputs, _ = record.load(folder)
    assert doc["recorded"]
    assert doc["objective_eur"] == run.summary["objective_eur"]
    assert doc["gap_eur"] == pytest.approx(run.summary["gap_eur"], abs=1e-9)
    assert inputs.digest() not in {i.digest() for i in solved}
    said = {s.node: s.values for s in run.schedule if s.quantity == "marginal_price_eur_per_kwh"}
    assert doc["prices"]["building"]["eur_per_kwh"] == [v if np.isfinite(v) else None for v in said["building"]]
    json.dumps(doc, allow_nan=False)
    assert "does not hold" not in job.words(doc)


def test_slots_are_those_of_the_recorded_schedule(kept: Callable[[Inputs], Path], district: District) -> None:
    """Also where another schedule costs the same."""
    folder = kept(district())
    _, inputs, schedule = record.load(folder)
    for a in explained(folder)["why"]:
        power = schedule.value(inputs, a["asset"], a["variable"])
        first = int(np.flatnonzero(inputs.axis.times == np.datetime64(a["slot"]["from"].rstrip("Z")))[0])
        assert power[first] > 0
        assert first == 0 or power[first - 1] < 1e-3


def test_a_plan_of_another_version_is_said_to_be_another(
    kept: Callable[[Inputs], Path], district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = kept(district())
    monkeypatch.setattr(job, "take_up", lambda *_: None)
    doc = explained(folder)
    assert not doc["recorded"]
    said = job.words(doc).splitlines()[1]
    assert said.startswith(f"The recorded plan ({doc['recorded_eur']:.2f} EUR) does not hold in this version")


def test_what_there_was_no_time_for_is_named(kept: Callable[[Inputs], Path], district: District) -> None:
    doc = explained(kept(district()), time_limit_s=0.0)
    assert {a["extra"]["outcome"] for a in doc["why"]} == {"no time"}
    said = job.words(doc)
    assert "Not solved within 0 s: " in said
    for name in ("bat-a", "car-a", "price supply (above)", "electrical load", "PV output"):
        assert name in said.splitlines()[-1]
    assert "What would change" not in said


def test_plans_solved_side_by_side_are_those_solved_in_turn(
    kept: Callable[[Inputs], Path], district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = kept(district())
    told: list[list[str]] = [[], []]
    docs = []
    for k, at_once in enumerate((1, 3)):
        monkeypatch.setattr(job, "AT_ONCE", at_once)
        docs.append(job.explain(folder, told[k].append, 600.0))
    assert docs[0] == docs[1]
    assert sorted(told[0]) == sorted(told[1])
    assert len(docs[0]["why"]) >= 2


def test_a_damaged_summary_is_no_traceback(kept: Callable[[Inputs], Path], district: District) -> None:
    folder = kept(district())
    summary = json.loads((folder / "summary.json").read_text())
    del summary["proof"]
    (folder / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(DataError, match="was changed after it was written"):
        explained(folder)
    summary["files"]["summary.json"] = digest_of_summary(summary)
    (folder / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(DataError, match="proof"):
        explained(folder)


def test_the_command_hands_the_time_limit_on(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[float] = []

    def listen(folder: Path, tell: Any, limit: float) -> dict[str, Any]:
        heard.append(limit)
        return {}

    monkeypatch.setattr(job, "explain", listen)
    monkeypatch.setattr(job, "words", lambda doc: "said")
    for given in ([], ["--time-limit", "3"]):
        assert CliRunner().invoke(command, ["plan", *given]).output == "said\n"
    assert heard == [job.TIME_LIMIT_S, 3.0]


# --- peaks, closed nodes ---------------------------------------------------------------------------------------------


def evening() -> Inputs:
    """A peak at 18:00 and 20:00, and a node that closes at noon."""
    axis = hours(24)
    hour = np.arange(24)
    power = np.where((hour == 18) | (hour == 20), 5.0, 1.0)
    nodes = (
        node(axis, "grid"),
        node(axis, "shed", "grid", np.where(hour == 12, 0.0, 3.0), 0.0),
        node(axis, "well", "grid", 0.0, 0.0),
    )
    terms = (
        energy_price(axis, "grid", 0.2, 0.05, "supply"),
        peak_price(axis, "grid", 2.0, so_far=1.5, name="month-peak"),
    )
    return Sketch(axis, nodes, (Device("load", "load", ("grid",), {"power_kw": power}),), terms).inputs()


def test_peaks_and_closed_nodes_are_told(kept: Callable[[Inputs], Path]) -> None:
    doc = explained(kept(evening()))
    json.dumps(doc, allow_nan=False)
    (peak,) = doc["peaks"]
    assert (peak["commitment"], peak["peak_kw"], peak["value_eur_per_kw"]) == ("month-peak", 5.0, 2.0)
    assert doc["prices"]["shed"]["eur_per_kwh"][12] is None
    assert doc["prices"]["well"]["least"] is None
    said = job.words(doc)
    assert "month-peak: the peak of 5 kW, Thu 15 Jan 18:00–19:00, 20:00–21:00: 2.00 EUR per kW less drawn then" in said
    # One more kWh at the peak is one more kW of it.
    raising = "2.200 at Thu 15 Jan 18:00, raising what month-peak counts"
    assert f"grid: 0.200 EUR/kWh at Thu 15 Jan 00:00, {raising}" in said
    assert f"{raising}; no more can be drawn Thu 15 Jan 12:00–13:00" in said
    assert "7.00 EUR of it for the month's highest powers" in said.splitlines()[0]
    assert "well: no more can be drawn at any time" in said


# --- sentences -------------------------------------------------------------------------------------------------------


def difference(eur: float = 0.0, uncertain: float = 0.0, outcome: str = "solved", **short: float) -> dict[str, Any]:
    """``short``: ``kWh=2.0``, ``m3=1.0``."""
    solved = outcome == "solved"
    units = {{"m3": "m³"}.get(unit, unit): amount for unit, amount in short.items()}
    return {
        "eur": eur if solved else None, "uncertain_eur": uncertain if solved else None,
        "penalty_eur": {}, "short": units, "outcome": outcome,
    }  # fmt: skip


def said_of(**given: Any) -> str:
    """The words of an explanation in which nothing happened but what is given."""
    quiet = {
        "format": 1, "plan_id": "p", "recorded": True, "recorded_eur": 1.0, "objective_eur": 1.0, "gap_eur": 0.0,
        "short": {}, "blended": False, "penalty_eur": 0.0, "peak_eur": 0.0,
        "limits": [], "peaks": [], "prices": {}, "why": [], "other_devices": 0, "held": [], "missed": [],
        "would_change": [], "time_limit_s": 20.0,
    }  # fmt: skip
    return job.words({**quiet, **given})


def why(extra: dict[str, Any]) -> str:
    slot = {"from": "", "to": "", "words": "Thu 15 Jan 01:00–02:00"}
    a = {"asset": "bat", "variable": "charge_kw", "slot": slot, "energy_kwh": 2.0, "next_best": slot, "extra": extra}
    return said_of(why=[a]).split("Why now and not then:\n")[1].splitlines()[0]


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (difference(0.25), ": 0.25 EUR more"),
        (difference(-3.0), ": 3.00 EUR less"),
        (difference(0.00001), ": the same cost"),
        (difference(0.25, 0.01), ": 0.25 ± 0.01 EUR more"),
        (difference(0.25, 0.4), ": less than the proof can tell (0.4 EUR)"),
        (difference(-0.25, 0.25), ": less than the proof can tell (0.25 EUR)"),
        (difference(-0.4, kWh=2.0), ": 0.4 EUR less, and 2 kWh more short"),
        (difference(0.4, kWh=-1.5), ": 0.4 EUR more, and 1.5 kWh less short"),
        (difference(0.4, kWh=-1.5, m3=30.0), ": 0.4 EUR more, and 1.5 kWh less short, 30 m³ more short"),
        (difference(0.0, h=0.5), ": the same cost, and 0.5 h more short"),
        (difference(outcome="no plan"), "; held off, there would be no plan"),
        (difference(outcome="no bound"), "; held off, the plan would earn without end"),
    ],
)
def test_an_alternative_says_what_it_costs_and_how_surely(extra: dict[str, Any], words: str) -> None:
    assert why(extra).endswith(words)


def with_penalties(d: dict[str, Any], **penalty_eur: float) -> dict[str, Any]:
    return {**d, "penalty_eur": {f"rooms.{goal}": eur for goal, eur in penalty_eur.items()}}


@pytest.mark.parametrize(
    ("d", "alternative", "change_"),
    [
        (with_penalties(difference(128.66), discomfort=128.26),
         "0.4 EUR more, and 128.26 more of discomfort at its price",
         "+0.40 EUR, and 128.26 more of discomfort at its price"),
        (with_penalties(difference(1.0, 0.01), discomfort=-2.0, shortfall=0.5),
         "2.50 ± 0.01 EUR more, and 2.00 less of discomfort, 0.50 more of shortfall at their price",
         "+2.50 ± 0.01 EUR, and 2.00 less of discomfort, 0.50 more of shortfall at their price"),
        (with_penalties(difference(0.1, 0.3), discomfort=5.0),
         "4.90 ± 0.3 EUR less, and 5.00 more of discomfort at its price (in all less than the proof can tell, 0.3 EUR)",
         "-4.90 ± 0.3 EUR, and 5.00 more of discomfort at its price (in all less than the proof can tell, 0.3 EUR)"),
        (with_penalties(difference(5.0), discomfort=5.0),
         "the same money, and 5.00 more of discomfort at its price",
         "+0.00 EUR, and 5.00 more of discomfort at its price"),
    ],
)  # fmt: skip
def test_what_a_missed_goal_counts_is_no_money(d: dict[str, Any], alternative: str, change_: str) -> None:
    assert why(d).endswith(f": {alternative}")
    assert (
        f"  PV output, 10 %: {change_} / -2.00 EUR" in said_of(would_change=[change(d, difference(-2.0))]).splitlines()
    )


@pytest.mark.parametrize("limit_kw", [0.0, 3.0])
def test_penalties_of_other_plans_are_those_of_their_bills(district: District, limit_kw: float) -> None:
    def soft(kw: float) -> Inputs:
        inputs = district(import_max_kw=kw, energy_kwh=40.0)
        T = inputs.axis.steps
        limit = Commitment(
            "building.import", (Flow(1.0, node="building"),), "energy", np.arange(T), np.full(T, limit_kw),
            np.full(T, 0.2), np.zeros(T), "penalty", ("breach", "none"),
        )  # fmt: skip
        return dataclasses.replace(inputs, commitments=(*inputs.commitments, limit))

    here, there = (solve(soft(kw)) for kw in (7.2, 6.5))
    for solution in (here, there):
        inputs, schedule = solution.assembly.inputs, solution.assembly.schedule(solution.x)
        billed = bill(inputs, schedule.net_kw, replay(inputs, schedule))
        found = job._penalties(solution)
        assert found["building.import.breach"] > 1
        assert sum(found.values()) == pytest.approx(billed.of("penalty"), abs=1e-6)
        assert found["ev-session.shortfall"] == pytest.approx(billed.lines["ev-session.shortfall"].eur, abs=1e-6)
    seen = job._Seen(lambda _: there)
    seen(here.assembly.inputs)
    (more,) = seen.penalties(job._penalties(here))
    assert more["ev-session.shortfall"] > 1


def change(up: dict[str, Any], down: dict[str, Any], name: str = "PV output", step: str = "10 %") -> dict[str, Any]:
    return {"input": name, "words": name, "step": step, "up": up, "down": down}


@pytest.mark.parametrize(
    ("up", "down", "words"),
    [
        (difference(1.0), difference(-2.0), "  PV output, 10 %: +1.00 EUR / -2.00 EUR"),
        (difference(1.0, 0.02), difference(-2.0), "  PV output, 10 %: +1.00 ± 0.02 EUR / -2.00 EUR"),
        (difference(0.1, 0.3), difference(-2.0),
         "  PV output, 10 %: less than the proof can tell (0.3 EUR) / -2.00 EUR"),
        (difference(0.1, 0.3), difference(-0.1, 0.3), "  less than the proof can tell, up or down: PV output"),
        (difference(0.001), difference(-0.001, 0.001), "  less than a cent, up or down: PV output"),
        (difference(-1.0, kWh=3.0), difference(0.0), "  PV output, 10 %: -1.00 EUR, and 3 kWh more short / +0.00 EUR"),
        (difference(0.0, kWh=3.0), difference(0.0), "  PV output, 10 %: +0.00 EUR, and 3 kWh more short / +0.00 EUR"),
        (difference(outcome="no plan"), difference(0.0), "  PV output, 10 %: no plan / +0.00 EUR"),
        (difference(outcome="no bound"), difference(0.0), "  PV output, 10 %: it would earn without end / +0.00 EUR"),
        (difference(outcome="no time"), difference(1.0), "  PV output, 10 %: not solved in time / +1.00 EUR"),
    ],
)  # fmt: skip
def test_an_input_says_what_it_changes_and_how_surely(up: dict[str, Any], down: dict[str, Any], words: str) -> None:
    assert words in said_of(would_change=[change(up, down)]).splitlines()


def test_a_temperature_says_what_is_not_moved_with_it() -> None:
    said = said_of(would_change=[change(difference(-3.0), difference(4.0), "outdoor temperature", "1 K")])
    assert "  outdoor temperature, 1 K: -3.00 EUR / +4.00 EUR" in said.splitlines()
    assert "(warmer / colder, for heat losses and heat pumps; heat demand, hot water and sun stay as they are)" in said


def test_a_plan_that_falls_short_says_so_first() -> None:
    assert said_of(short={"kWh": 2.5}).startswith("Why plan p is as it is (cost 1.00 EUR, 2.5 kWh short)\n")
    assert "(cost 1.00 EUR, 2.5 kWh short, 40 m³ short)" in said_of(short={"kWh": 2.5, "m³": 40.0})
    assert "(cost 1.00 EUR, 0.80 EUR of it for the month's highest powers)" in said_of(peak_eur=0.8)
    assert "(counts for 1.00 EUR)" in said_of(blended=True)
    assert "(cost 1.00 EUR, 0.40 EUR of it penalties for goals missed" in said_of(penalty_eur=0.4)


@pytest.mark.parametrize(
    ("out", "met", "extra", "words"),
    [
        (1.0, 0.0, None, "no plan can meet it"),
        (0.0, 1.0, 3.0, "meeting it would cost 3.00 EUR more than missing it"),
        (0.2, 0.8, 4.8, "20 % of it no plan can meet; meeting 80 % of it would cost 4.80 EUR more than missing it"),
        (0.0, 0.5, 4.8, "meeting 50 % of it would cost 4.80 EUR more than missing it"),
        (0.0, 1.0, 0.2, "meeting it would cost no more than missing it, as far as the proof can tell (0.3 EUR)"),
        (0.0, 0.0, None, "whether a plan could meet it was not found in time"),
        (None, None, None, "whether a plan could meet it was not found in time"),
    ],
)
def test_a_goal_missed_says_why(out: float | None, met: float | None, extra: float | None, words: str) -> None:
    goal = {"id": "car", "words": "energy by departure short by 8 kWh", "out_of_reach": out, "met": met, "held": False}
    said = said_of(missed=[{**goal, "extra_eur": extra, "met_if_released": None}], gap_eur=0.3)
    assert f"Goals that fall short, and why:\n  car: energy by departure short by 8 kWh: {words}\n" in said


def test_goals_missed_are_told_with_their_reasons(kept: Callable[[Inputs], Path], district: District) -> None:
    """Of car-a's 100 kWh seven hours at 11 kW bring 70.84; all that can be had counts more than it costs."""
    doc = explained(kept(district(energy_kwh=100.0)))
    (car,) = (m for m in doc["missed"] if m["id"] == "car-a")
    assert (car["kind"], car["out_of_reach"]) == ("penalty", 1.0)
    assert "  car-a: energy by departure short by 29.2 kWh: no plan can meet it" in job.words(doc).splitlines()


def cold(*pins: Pin) -> Inputs:
    """Flats of 5 kW on a boiler of 4.5: half a kW lacks all day, and more where the boiler is held or out."""
    axis = hours(6)
    devices = (
        Device("boiler", "gas-boiler", ("gas", "heat"), {"power_kw": 4.5, "power_min_kw": 0.0}),
        Device("flats", "heat-demand", ("heat",), {"power_kw": 5.0}),
    )
    nodes = (node(axis, "gas", None, 80.0, 0.0, "gas"), node(axis, "heat", None, 0.0, 0.0, "heat"))
    return Sketch(axis, nodes, devices, (energy_price(axis, "gas", 0.08),), pins).inputs()


@pytest.mark.parametrize(
    ("pins", "kwh", "words"),
    [
        ((), "3", "no plan can meet it"),
        ((Pin("flats", "unmet_kw", 1, 2, 3.0),), "5.5", "a person holds it so"),
        (
            (Pin("boiler", "input_kw", 2, 4, 0.0, "outage"),), "12",
            "no plan can meet it with what is held or out of service; without, 75 % of it would be met",
        ),
    ],
)  # fmt: skip
def test_a_goal_missed_says_what_is_held_or_out_of_service(
    kept: Callable[[Inputs], Path], pins: tuple[Pin, ...], kwh: str, words: str
) -> None:
    doc = explained(kept(cold(*pins)))
    assert doc["short"] == {"kWh": pytest.approx(float(kwh), abs=1e-3)}
    said = job.words(doc).splitlines()
    assert f"  flats: heat delivered short by {kwh} kWh: {words}" in said
    assert said[0].endswith(f", {kwh} kWh short)")


def limit(value: float) -> dict[str, Any]:
    return {
        "node": "grid",
        "side": "import",
        "words": "Thu 15 Jan 01:00–02:00",
        "limit_kw": 9.0,
        "value_eur_per_kw": value,
    }


def test_limits_worth_less_than_a_cent_are_no_news() -> None:
    assert "none binds" in said_of()
    assert "one more kW of connection power would save less than a cent" in said_of(limits=[limit(0.004)])
    said = said_of(limits=[limit(0.25), limit(0.004)])
    assert "  grid import 9 kW, Thu 15 Jan 01:00–02:00: 0.25 EUR per kW" in said
    assert "0.004" not in said


def price(value: float) -> dict[str, Any]:
    at = {"eur_per_kwh": value, "at": "Thu 15 Jan 01:00", "peaks": []}
    return {"eur_per_kwh": [value], "least": at, "most": at, "no_more": []}


@pytest.mark.parametrize(("nodes", "words"), [(12, None), (13, "1 more node "), (20, "8 more nodes ")])
def test_nodes_beyond_a_screen_are_counted(nodes: int, words: str | None) -> None:
    said = said_of(prices={f"n{k}": price(0.2 + 0.01 * k) for k in range(nodes)})
    assert "n11: 0.310 EUR/kWh\n" in said
    assert (words is None and "more" not in said.split("day):")[1].split("Why now")[0]) or (words or "") in said


def test_nodes_of_one_price_are_told_together() -> None:
    prices = {**{f"n{k}": price(0.2) for k in range(20)}, "far": price(0.4), "end": price(0.4)}
    said = said_of(prices=prices)
    assert "  n0, n1, n2 and 17 more: 0.200 EUR/kWh\n  far, end: 0.400 EUR/kWh\n" in said
    four = said_of(prices={f"n{k}": price(0.2) for k in range(4)})
    assert "  n0, n1, n2, n3: 0.200 EUR/kWh\n" in four


@pytest.mark.parametrize(("others", "words"), [(1, "and 1 more device that"), (3, "and 3 more devices that")])
def test_devices_beyond_the_first_are_counted(others: int, words: str) -> None:
    slot = {"from": "", "to": "", "words": "Thu 15 Jan 01:00–02:00"}
    a = {"asset": "bat", "variable": "start", "slot": slot, "energy_kwh": 2.0, "next_best": None, "extra": difference()}
    said = said_of(why=[a], other_devices=others)
    assert words in said
    assert "bat runs 2.00 kWh Thu 15 Jan 01:00–02:00; held off, it would not run instead: the same cost" in said
