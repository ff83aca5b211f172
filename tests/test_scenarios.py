"""The shipped scenarios: what each README expects is what its command gives, and what each is there to show holds.

A README states a command in a block, and under it a table of figures: ``figure | expected | ± | where``. ``where`` is a
path into the summary (``gridopt run NAME --json``) or the name of a figure that this file computes from the run folder.
"""

from __future__ import annotations

import functools
import json
import re
import shlex
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from gridopt.cli.main import main
from gridopt.jobs import demo, record
from gridopt.model.assemble import assemble
from gridopt.model.inputs import Inputs
from gridopt.model.schedule import Schedule
from gridopt.scenario.find import NAME, shipped
from gridopt.solve.rounding import both_ways
from gridopt.solve.session import Session
from gridopt.verify import Trace, replay, verify

Floats = npt.NDArray[np.float64]

ROOT = Path(__file__).resolve().parents[1]
SCENARIOS = ROOT / "scenarios"
NAMES = sorted(p.parent.name for p in SCENARIOS.glob("*/scenario.toml"))
NO_OVERLAY = ("scenario.toml", "devices.toml")
OVERLAYS = sorted(str(p.relative_to(ROOT)) for p in SCENARIOS.glob("*/*.toml") if p.name not in NO_OVERLAY)
VARIANTS = [f"gridopt run {name}" for name in NAMES]
VARIANTS += [f"gridopt run {Path(path).parent.name} --overlay {path}" for path in OVERLAYS]
LEAST_KW = 1e-5
"""Powers below this are the solver's tolerance."""


@pytest.fixture(autouse=True)
def at_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of the READMEs name overlays from the top of the checkout."""
    monkeypatch.chdir(ROOT)


# --- a command run, and what it left ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Planned:
    """A run folder read back."""

    exit_code: int
    summary: dict[str, Any]
    inputs: Inputs
    schedule: Schedule
    trace: Trace

    def net_kw(self, node: str) -> Floats:
        return self.schedule.net_kw[self.inputs.node_index[node]]

    def value(self, asset: str, variable: str) -> Floats:
        return self.schedule.value(self.inputs, asset, variable)

    def of_family(self, family: str) -> list[str]:
        return [name for group in self.inputs.groups if group.family.name == family for name in group.ids]

    def power_kw(self, family: str, port: str = "ac") -> Floats:
        """(T,) what all devices of a family draw at a port."""
        powers = [self.trace.port_kw(self.inputs, name, port) for name in self.of_family(family)]
        return np.sum(powers, axis=0) if powers else np.zeros(self.inputs.axis.steps)

    def kwh(self, power_kw: Floats, where: npt.NDArray[np.bool_] | slice = slice(None)) -> float:
        return float(power_kw[where].sum() * self.inputs.axis.step_h)

    def price(self, side: str) -> Floats:
        """(T,) EUR/kWh of energy bought or sold by the contract ``supply``."""
        (supply,) = (c for c in self.inputs.commitments if c.id == "supply")
        return supply.price_above if side == "buy" else -supply.price_below


@functools.cache
def planned(command: str) -> Planned:
    """``gridopt run …`` in this process, with its run folder read back."""
    words = shlex.split(command)
    assert words[0] == "gridopt"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "plan"
        result = CliRunner().invoke(main, [*words[1:], "--out", str(out), "--json"], prog_name="gridopt")
        assert out.is_dir(), result.output
        run, inputs, schedule = record.load(out)
        assert json.loads(result.stdout)["plan_id"] == run.summary["plan_id"]
        return Planned(result.exit_code, dict(run.summary), inputs, schedule, replay(inputs, schedule))


# --- figures that the summary does not hold --------------------------------------------------------------------------


def promises(p: Planned) -> tuple[Floats, Floats]:
    """Of every session with energy due inside the horizon: the energy due and the energy missing [kWh]."""
    due = [g.columns["due_kwh"] for g in p.inputs.groups if g.family.name == "ev-session"]
    short = [
        ends["short_kwh"]
        for g, ends in zip(p.inputs.groups, p.trace.ends, strict=True)
        if g.family.name == "ev-session"
    ]
    all_due, all_short = np.concatenate(due), np.concatenate(short)
    return all_due[all_due > 0], all_short[all_due > 0]


def jain(shares: Floats) -> float:
    """R. Jain's index of fairness: 1 when all have the same share, 1/n when one has everything."""
    return float(shares.sum() ** 2 / (len(shares) * (shares**2).sum()))


def ev_unserved_share(p: Planned) -> float:
    due, short = promises(p)
    return float(short.sum() / due.sum())


def ev_fairness(p: Planned) -> float:
    due, short = promises(p)
    return jain(1.0 - short / due)


def ev_solar_share(p: Planned) -> float:
    """Part of the cars' energy that the PV gave at the same time, once other loads had theirs."""
    cars = p.power_kw("ev-session")
    sun = np.maximum(-p.power_kw("pv") - p.power_kw("load"), 0.0)
    return p.kwh(np.minimum(cars, sun)) / p.kwh(cars)


def charged_kwh(p: Planned, asset: str, from_h: float, to_h: float) -> float:
    hour = p.inputs.axis.local_hour
    return p.kwh(p.value(asset, "charge_kw"), (hour >= from_h) & (hour < to_h))


def export_below_zero_kwh(p: Planned) -> float:
    return p.kwh(np.maximum(-p.net_kw("grid"), 0.0), p.price("sell") < 0)


def both_ways_steps(p: Planned) -> int:
    """Steps in which some battery charges and discharges at once."""
    pairs = [(p.value(name, "charge_kw"), p.value(name, "discharge_kw")) for name in p.of_family("battery")]
    return sum(int((np.minimum(charge, discharge) > LEAST_KW).sum()) for charge, discharge in pairs)


def ev_below_zero_share(p: Planned) -> float:
    """Part of the cars' energy taken while the market price is below zero."""
    cars = p.power_kw("ev-session")
    return p.kwh(cars, p.price("sell") < 0) / p.kwh(cars)


def zone_c(p: Planned, asset: str, hour: float) -> float:
    """Temperature of a zone at a local hour of the first day [°C]; states stand at the end of their step."""
    steps = np.flatnonzero(p.inputs.axis.local_hour == hour)
    return float(p.value(asset, "temperature_c")[steps[0] - 1])


def chp_hours(p: Planned) -> float:
    return float(p.value("chp", "on").sum() * p.inputs.axis.step_h)


def chp_starts(p: Planned) -> int:
    on = np.round(p.value("chp", "on"))
    return int((np.diff(on, prepend=0.0) > 0).sum())


def chp_heat_share(p: Planned) -> float:
    """Part of the heat made that the engine makes."""
    engine, boiler = -p.power_kw("chp", "heat"), -p.power_kw("gas-boiler", "sink")
    return p.kwh(engine) / p.kwh(engine + boiler)


COMPUTED: dict[str, Callable[[Planned], float]] = {
    "ev_unserved_share": ev_unserved_share,
    "ev_fairness": ev_fairness,
    "ev_solar_share": ev_solar_share,
    "ev_below_zero_share": ev_below_zero_share,
    "export_below_zero_kwh": export_below_zero_kwh,
    "both_ways_steps": both_ways_steps,
    "battery_before_six_kwh": lambda p: charged_kwh(p, "bat-a", 0, 6),
    "battery_by_day_kwh": lambda p: charged_kwh(p, "bat-a", 6, 22),
    "battery_after_ten_kwh": lambda p: charged_kwh(p, "bat-a", 22, 24),
    "offices_at_half_past_seven_c": lambda p: zone_c(p, "offices", 7.5),
    "offices_warmest_c": lambda p: float(p.value("offices", "temperature_c").max()),
    "chp_hours": chp_hours,
    "chp_starts": chp_starts,
    "chp_heat_share": chp_heat_share,
}


# --- READMEs ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """One row of a README's table."""

    words: str
    expected: float
    tolerance: float
    where: str

    def found(self, p: Planned) -> float:
        if self.where in COMPUTED:
            return COMPUTED[self.where](p)
        value: Any = p.summary
        for key in self.where.split("/"):
            value = value[key]
        return float(value)


def tables(readme: Path) -> Iterator[tuple[str, list[Figure]]]:
    """Every command of a README that has a table of figures under it, with the table."""
    command, figures = "", []
    for line in readme.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if line.startswith("gridopt run"):
            if figures:
                yield command, figures
            command, figures = line, []
        elif line.startswith("|") and len(cells) == 4 and re.match(r"-?\d", cells[1]):
            figures.append(Figure(cells[0], float(cells[1]), float(cells[2]), cells[3].strip("`")))
    if figures:
        yield command, figures


STATED = [(name, *table) for name in NAMES for table in tables(SCENARIOS / name / "README.md")]


@pytest.mark.parametrize(("name", "command", "figures"), STATED, ids=[command for _, command, _ in STATED])
def test_a_readme_says_what_comes_out(name: str, command: str, figures: list[Figure]) -> None:
    assert shlex.split(command)[2].removeprefix("scenarios/") == name
    p = planned(command)
    assert p.exit_code == 0
    wrong = [
        f"{f.words}: {f.expected:g} ± {f.tolerance:g} expected, {found:.6g} found"
        for f in figures
        if not abs((found := f.found(p)) - f.expected) <= f.tolerance
    ]
    assert not wrong


@pytest.mark.parametrize("name", NAMES)
def test_every_scenario_and_overlay_states_its_figures(name: str) -> None:
    stated = [command for owner, command, _ in STATED if owner == name]
    text = (SCENARIOS / name / "README.md").read_text(encoding="utf-8")
    assert NAME.fullmatch(name)
    assert name == name.lower()
    assert f"gridopt run scenarios/{name}" in stated, "the scenario as it stands"
    for file in (SCENARIOS / name).iterdir():
        assert file.name in ("scenario.toml", "README.md") or f"`{file.name}`" in text, f"{file.name} is not explained"
        if file.suffix == ".toml" and file.name not in NO_OVERLAY:
            assert any(f"--overlay scenarios/{name}/{file.name}" in command for command in stated)
    for _, command, figures in STATED:
        assert {"objective_eur", "savings_eur"} <= {f.where for f in figures}, command


def test_a_wrong_figure_is_found() -> None:
    p = planned("gridopt run scenarios/two-roofs")
    right = p.summary["objective_eur"]
    assert Figure("cost", right, 0.0, "objective_eur").found(p) == right
    with pytest.raises(AssertionError, match="cost: "):
        test_a_readme_says_what_comes_out(
            "two-roofs", "gridopt run scenarios/two-roofs", [Figure("cost", right + 0.02, 0.01, "objective_eur")]
        )


# --- every scenario --------------------------------------------------------------------------------------------------


def test_what_ships() -> None:
    assert {"two-roofs", "saint-philibert", "haute-deule", "negative-price-day"} <= set(NAMES)
    assert set(shipped()) == set(NAMES)
    assert demo.scenario() == "haute-deule"


@pytest.mark.parametrize("variant", VARIANTS)
def test_check_finds_no_mistake(variant: str) -> None:
    words = shlex.split(variant.replace("gridopt run", "check"))
    result = CliRunner().invoke(main, [*words, "--json"], prog_name="gridopt")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["mistakes"] == []
    assert found["notes"] == []


@pytest.mark.parametrize(("day", "steps"), [("2026-03-29", 92), ("2026-10-25", 100), ("2026-11-17", 96)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_another_day_is_planned_too(variant: str, day: str, steps: int) -> None:
    p = planned(f"{variant} --date {day}")
    assert p.exit_code == 0
    assert p.inputs.axis.steps == steps
    assert str(p.inputs.axis.local_day[0]) == day
    assert verify(p.inputs, p.schedule, p.summary["objective_eur"]) == []
    assert p.summary["gap"] <= 0.005
    assert p.summary["objective_eur"] <= p.summary["baseline"]["total_eur"] + 0.01
    assert within_limits(p)


@pytest.mark.parametrize("command", [command for _, command, _ in STATED])
def test_the_stated_plans_hold(command: str) -> None:
    p = planned(command)
    assert verify(p.inputs, p.schedule, p.summary["objective_eur"]) == []
    assert p.summary["gap"] <= 0.005
    assert p.summary["stopped_by"] is None, "a plan that the clock stopped is another one on another machine"
    assert within_limits(p)


def within_limits(p: Planned) -> bool:
    """No node above what it may import or export, at any step."""
    low, high = (np.stack(side) for side in zip(*(node.net_bounds() for node in p.inputs.nodes), strict=True))
    net = p.schedule.net_kw
    return bool((net <= high + LEAST_KW).all() and (net >= low - LEAST_KW).all())


# --- two-roofs -------------------------------------------------------------------------------------------------------


def test_two_roofs_is_small_and_exact() -> None:
    p = planned("gridopt run scenarios/two-roofs")
    assert p.summary["status"] == "optimal"
    assert p.inputs.axis.steps == 96
    assert len(p.summary["assets"]) == 6
    assert p.summary["counters"]["columns"] < 1000


def test_the_battery_of_two_roofs_serves_the_dear_hours() -> None:
    p = planned("gridopt run scenarios/two-roofs")
    hour, out = p.inputs.axis.local_hour, p.value("bat-a", "discharge_kw")
    buys = np.maximum(p.net_kw("grid"), 0.0)
    assert p.kwh(out, (hour >= 22) | (hour < 6)) < 0.01, "cheap hours come from the network"
    assert p.kwh(buys, (hour >= 18) & (hour < 20)) < 0.01, "the dearest hours do not"


def test_a_larger_battery_brings_two_roofs_nothing_and_a_smaller_one_costs() -> None:
    cost = planned("gridopt run scenarios/two-roofs").summary["objective_eur"]
    larger = planned("gridopt run two-roofs --set asset.bat-a.capacity_kwh=20").summary["objective_eur"]
    smaller = planned("gridopt run two-roofs --set asset.bat-a.capacity_kwh=4").summary["objective_eur"]
    assert larger == pytest.approx(cost, abs=1e-4)
    assert smaller > cost + 0.1


# --- saint-philibert -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        "gridopt run scenarios/saint-philibert",
        *(f"gridopt run saint-philibert --date {day}" for day in ("2026-03-29", "2026-10-25", "2026-11-17")),
    ],
)
def test_every_driver_of_saint_philibert_gets_the_energy_promised(command: str) -> None:
    p = planned(command)
    assert ev_unserved_share(p) <= 0.01
    assert ev_fairness(p) >= 0.9
    assert p.net_kw("car-park").max() <= 80 + LEAST_KW
    assert len(promises(p)[0]) >= 10, "sessions that are due"


def test_the_cap_of_saint_philibert_binds_for_the_plan_and_by_rule() -> None:
    p = planned("gridopt run scenarios/saint-philibert")
    by_rule = p.summary["baseline"]["kpi"]["nodes"]["car-park"]["peak_import_kw"]
    assert p.net_kw("car-park").max() == pytest.approx(80)
    assert by_rule == pytest.approx(80)
    assert p.power_kw("ev-session").max() > 80, "sun comes on top of the connection"


def test_a_quarter_of_the_cap_would_do() -> None:
    p, less = planned("gridopt run scenarios/saint-philibert"), "--set node.car-park.import_max_kw=20"
    q = planned(f"gridopt run saint-philibert {less}")
    assert q.exit_code == 0
    assert ev_unserved_share(q) < 1e-6
    assert q.summary["objective_eur"] - p.summary["objective_eur"] == pytest.approx(0.53, abs=0.01)


def test_too_small_a_cap_leaves_named_drivers_short_and_is_still_kept() -> None:
    p = planned("gridopt run saint-philibert --set node.car-park.import_max_kw=8")
    due, short = promises(p)
    assert p.exit_code == 3
    assert ev_unserved_share(p) > 0.01
    assert ev_fairness(p) == pytest.approx(0.98, abs=0.015)
    named = {s["id"]: s["amount"] for s in p.summary["shortfalls"]}
    assert sum(named.values()) == pytest.approx(short.sum(), abs=0.05)
    assert due.sum() > short.sum()
    assert p.net_kw("car-park").max() <= 8 + LEAST_KW


def test_jain_by_hand() -> None:
    assert jain(np.array([1.0, 1.0, 1.0])) == pytest.approx(1)
    assert jain(np.array([1.0, 0.0, 0.0, 0.0])) == pytest.approx(0.25)
    assert jain(np.array([1.0, 0.5])) == pytest.approx(1.5**2 / (2 * 1.25))


def test_the_canopy_never_gives_more_than_the_hospital_takes() -> None:
    p = planned(
        "gridopt run scenarios/saint-philibert --overlay scenarios/saint-philibert/hospital.toml --date 2026-06-16"
    )
    given = np.maximum(-p.net_kw("car-park"), 0.0)
    wing = p.trace.port_kw(p.inputs, "wing", "ac")
    assert (given <= wing + LEAST_KW).all()
    assert (given >= wing - LEAST_KW).any(), "on this day the wing's load is the limit"
    assert p.net_kw("hospital").min() >= -LEAST_KW


# --- haute-deule -----------------------------------------------------------------------------------------------------


def test_haute_deule_is_warm_and_makes_no_new_peak() -> None:
    p = planned("gridopt run scenarios/haute-deule")
    assert p.summary["shortfalls"] == []
    assert p.net_kw("grid").max() <= 60 + LEAST_KW
    assert p.summary["baseline"]["kpi"]["nodes"]["grid"]["peak_import_kw"] > 100
    assert not [s for s in p.summary["baseline"]["shortfalls"] if s["quantity"] == "under_k"], "optimum start"


def test_the_engine_of_haute_deule_runs_as_engines_do() -> None:
    p = planned("gridopt run scenarios/haute-deule --overlay scenarios/haute-deule/chp.toml")
    on, power = np.round(p.value("chp", "on")), p.value("chp", "power_kw")
    edges = np.flatnonzero(np.diff(on, prepend=0.0, append=0.0))
    runs, rests = (edges[1::2] - edges[0::2]) / 4, (edges[2::2] - edges[1:-1:2]) / 4
    assert len(runs) > 0
    assert (runs[:-1] >= 2).all()
    assert (rests >= 1).all()
    assert (power[on > 0] >= 25 - LEAST_KW).all()
    assert (power[on == 0] <= LEAST_KW).all()
    assert p.kwh(p.value("dwellings", "unmet_kw") + p.value("hot-water", "unmet_kw")) < 1e-6
    heat = p.power_kw("heat-demand", "heat") + p.power_kw("thermal-store", "heat")
    made = p.power_kw("chp", "heat") + p.power_kw("gas-boiler", "sink")
    np.testing.assert_allclose(heat + made, 0.0, atol=LEAST_KW)


# --- negative-price-day ----------------------------------------------------------------------------------------------

PAID = "--overlay scenarios/negative-price-day/paid.toml"
NEGATIVE = [f"gridopt run scenarios/negative-price-day {more}".strip() for more in ("", PAID)]


@pytest.mark.parametrize("command", NEGATIVE)
def test_nothing_is_exported_below_zero(command: str) -> None:
    p = planned(command)
    below = p.price("sell") < 0
    assert below.sum() >= 12
    assert (p.price("buy") >= p.price("sell")).all(), "else buying to sell could make an export pay"
    assert export_below_zero_kwh(p) < 0.01
    assert p.summary["kpi"]["assets"]["roofs"]["curtailed_kwh"] > 100
    assert p.summary["baseline"]["kpi"]["assets"]["roofs"]["curtailed_kwh"] == 0
    assert p.kwh(np.maximum(-p.net_kw("grid"), 0.0), ~below) > 100, "above zero it sells"


@pytest.mark.parametrize("command", NEGATIVE)
def test_no_battery_runs_in_circles(command: str) -> None:
    p = planned(command)
    assert both_ways_steps(p) == 0


def test_running_in_circles_would_have_paid() -> None:
    """The relaxation takes the bait; the plan is dearer by what that would have earned."""
    p = planned(NEGATIVE[1])
    assert p.price("buy").min() < 0
    assembly = assemble(p.inputs)
    session = Session(assembly.lp)
    shut = np.zeros(len(assembly.emergencies))
    session.bounds(assembly.emergencies, shut, shut)
    relaxed = session.run()
    first, second = both_ways(assembly, relaxed.x)
    assert len(first) > 0
    assert np.minimum(relaxed.x[first], relaxed.x[second]).max() > 1
    assert p.summary["objective_eur"] > relaxed.objective + 1e-3


def test_where_drawing_is_paid_for_the_roofs_stop_and_everything_draws() -> None:
    p = planned(NEGATIVE[1])
    paid = p.price("buy") < 0
    assert p.kwh(-p.power_kw("pv"), paid) < 0.01 * p.kwh(-p.power_kw("pv"))
    assert p.net_kw("grid")[paid].mean() > 2 * p.power_kw("load")[paid].mean()


def test_roofs_that_cannot_stop_cost_what_the_readme_says() -> None:
    free = planned(NEGATIVE[0])
    held = planned("gridopt run scenarios/negative-price-day --set asset.roofs.curtailable=false")
    assert export_below_zero_kwh(held) > 100
    assert held.summary["objective_eur"] - free.summary["objective_eur"] == pytest.approx(5.81, abs=0.1)
