"""What the use-cases ask of a day's plan, worked out from the plan itself: sewage works, lamps, hydrogen, heat, frost.

Nothing here reads a README. Every claim stands beside a run that does not keep it, so that the test can fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks import gallery
from gridopt.model.inputs import Commitment
from gridopt.simulate.twin import Twin, twin
from tests.test_scenarios import Planned, planned

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ROOT = Path(__file__).resolve().parents[1]
LEAST_KW = 1e-5
"""Powers below this are the solver's tolerance; so are m³ and kWh in hundredths."""
OTHER_DAYS = ("2026-03-29", "2026-10-25", "2026-11-17")
"""The two days when clocks change, and a working day in autumn."""


@pytest.fixture(autouse=True)
def at_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    """Overlays are named from the top of the checkout."""
    monkeypatch.chdir(ROOT)


def run(name: str, *more: str) -> Planned:
    return planned(" ".join(["gridopt run", name, *filter(None, more)]))


def overlay(name: str, file: str) -> str:
    return f"--overlay scenarios/{name}/{file}"


def days(name: str, *more: str) -> list[Planned]:
    """The day that is shipped, and three others."""
    return [run(name, *more), *(run(name, *more, f"--date {day}") for day in OTHER_DAYS)]


def whole(p: Planned) -> None:
    """Proven, and nothing missed."""
    assert p.exit_code == 0
    assert p.summary["gap"] <= 0.005
    assert p.summary["shortfalls"] == []


def column(p: Planned, asset: str, name: str) -> Floats:
    """A column of one asset that lives on the whole horizon: (T,), or a number."""
    g, k = p.inputs.where[asset]
    return np.asarray(p.inputs.groups[g].columns[name][k])


def flow(p: Planned, asset: str, name: str, of: Twin | None = None) -> Floats:
    """(T,) a flow of one asset, as planned or as run by rule."""
    g, k = p.inputs.where[asset]
    trace = p.trace if of is None else of.trace
    return np.asarray(trace.steps[g][name][k])


def kpi(p: Planned, asset: str) -> Mapping[str, float]:
    found: Mapping[str, float] = p.summary["kpi"]["assets"][asset]
    return found


def kpi_by_rule(p: Planned, asset: str) -> Mapping[str, float]:
    found: Mapping[str, float] = p.summary["baseline"]["kpi"]["assets"][asset]
    return found


def contract(p: Planned, name: str) -> Commitment:
    (found,) = (c for c in p.inputs.commitments if c.id == name)
    return found


def money(p: Planned, line: str) -> float:
    return float(p.summary["cost"][line]["eur"])


def spells(on: Bools) -> tuple[list[int], list[int]]:
    """Lengths [steps] of the runs and of the rests that begin and end inside the horizon."""
    edges = np.flatnonzero(np.diff(on.astype(np.int64))) + 1
    lengths, begins_on = np.diff(edges), [bool(on[e]) for e in edges[:-1]]
    whole_runs = [int(n) for n, up in zip(lengths, begins_on, strict=True) if up]
    return whole_runs, [int(n) for n, up in zip(lengths, begins_on, strict=True) if not up]


def longest(off: Bools) -> int:
    """Longest run of True [steps], also at the horizon's edges."""
    best = now = 0
    for here in off:
        now = now + 1 if here else 0
        best = max(best, now)
    return best


def hours_between(p: Planned, from_h: float, to_h: float) -> Bools:
    hour = p.inputs.axis.local_hour
    return np.asarray((hour >= from_h) & (hour < to_h))


def test_spells_by_hand() -> None:
    on = np.array([1, 1, 0, 0, 0, 1, 0, 1, 1, 1, 0], bool)
    assert spells(on) == ([1, 3], [3, 1])
    assert longest(~on) == 3
    assert longest(np.array([0, 1, 1], bool)) == 2


# --- step-ovilleo: waste-water works ----------------------------------------------------------------------------------

STORM = overlay("step-ovilleo", "storm.toml")
LINES = tuple(f"aeration-{k}" for k in "abcd")


def aeration_kept(p: Planned) -> None:
    """Rests of two hours at most, then an hour at least; two lines always run; each has its oxygen every six hours."""
    on = {line: flow(p, line, "draw_kw") > LEAST_KW for line in LINES}
    for line in LINES:
        runs, _ = spells(on[line])
        assert longest(~on[line]) <= 8, line
        assert all(n >= 4 for n in runs), line
        draw, wanted = flow(p, line, "draw_kw"), column(p, line, "energy_kwh")
        assert (draw[on[line]] >= 100 - LEAST_KW).all()
        assert (draw <= 250 + LEAST_KW).all()
        for first in range(0, p.inputs.axis.steps - 23, 24):
            assert p.kwh(draw, slice(first, first + 24)) >= wanted - 0.01
    assert np.sum([on[line] for line in LINES], axis=0).min() >= 2


def level_kept(p: Planned) -> None:
    """Within the band at every quarter-hour, the rain reserve free."""
    level = p.value("inlet", "level_m3")
    assert level.min() >= column(p, "inlet", "level_min_m3") - 0.01
    assert (level <= column(p, "inlet", "level_max_m3") - column(p, "inlet", "reserve_m3") + 0.01).all()
    assert kpi(p, "inlet")["outside_most_m3"] < 0.01


def starts_in_any_hour(on: Bools) -> int:
    begins = np.diff(on.astype(np.int64), prepend=0) > 0
    return int(max(begins[k : k + 4].sum() for k in range(len(begins))))


def held_back_m3(p: Planned, where: Bools) -> float:
    """Water that flowed in and was not lifted in these steps."""
    lifted = flow(p, "inlet", "pump_kw") / column(p, "inlet", "lift_kwh_per_m3")
    return p.kwh(column(p, "inlet", "inflow_m3_per_h") - lifted, where)


@pytest.mark.parametrize(
    "more", ["", *(f"--date {day}" for day in OTHER_DAYS), STORM, f"{STORM} --date {OTHER_DAYS[0]}"]
)
def test_the_works_keeps_its_water_and_its_oxygen(more: str) -> None:
    p = run("step-ovilleo", more)
    whole(p)
    level_kept(p)
    aeration_kept(p)
    pump = flow(p, "inlet", "pump_kw")
    assert np.abs(np.diff(pump)).max() <= 150 + 1e-4, "5000 m³/h within a quarter-hour"
    pumping = pump > LEAST_KW
    assert starts_in_any_hour(pumping) <= 6
    assert longest(~pumping) <= 8
    runs, rests = spells(pumping)
    assert all(n >= 2 for n in runs + rests), "half an hour at least, running or not"


def test_a_level_switch_does_not_keep_the_rain_reserve() -> None:
    """What the test above asks is not given: the storm by rule fails it."""
    p = run("step-ovilleo", STORM)
    level = flow(p, "inlet", "level_m3", twin(p.inputs))
    most = column(p, "inlet", "level_max_m3") - column(p, "inlet", "reserve_m3")
    assert (level > most + 1000).any()
    assert column(p, "inlet", "inflow_m3_per_h").max() == pytest.approx(5.3 * 3600, rel=0.02), "m³/h of 5.3 m³/s"


def test_lifting_gives_flexibility_on_a_dry_evening_and_none_in_a_rain_alert() -> None:
    """In the alert the reserve leaves 500 m³ of play, 15 kWh of lifting, at any price."""
    dry, wet = run("step-ovilleo"), run("step-ovilleo", STORM)
    greedy = run("step-ovilleo", STORM, "--set commitment.local-flex.reward_eur_per_kwh=1")
    call = contract(dry, "local-flex").period >= 0
    assert call.sum() == 8
    assert held_back_m3(dry, call) > 5000
    for p in (wet, greedy):
        level_kept(p)
        aeration_kept(p)
        assert column(p, "inlet", "reserve_m3")[call].min() >= 28_500
        assert held_back_m3(p, call) <= 500.01
    assert money(greedy, "local-flex.delivered") < 6 * money(wet, "local-flex.delivered"), "what can be had, is"


def test_the_gasholder_needs_no_more_than_it_can_hold() -> None:
    """Half a day of gas is settled as a whole; what is stored in between stays within 2200 m³ of 6.4 kWh, half full."""
    for p in days("step-ovilleo"):
        burnt = p.net_kw("gas")
        hour, stored = p.inputs.axis.local_hour, []
        content = 0.0
        for t in range(p.inputs.axis.steps):
            if hour[t] in (0.0, 12.0):
                content = 0.0  # flared, or bought
            content += (1100.0 - burnt[t]) * p.inputs.axis.step_h
            stored.append(content)
        bought = money(p, "gas-morning.missing") + money(p, "gas-evening.missing")
        assert max(stored) <= 7100
        assert min(stored) >= -7100 - bought / 0.075


def test_nearly_all_heat_comes_from_sludge() -> None:
    p = run("step-ovilleo")
    bought_kwh = (money(p, "gas-morning.missing") + money(p, "gas-evening.missing")) / 0.075
    assert 1 - bought_kwh / p.kwh(p.net_kw("gas")) >= 0.94
    assert p.kwh(p.value("digesters", "unmet_kw") + p.value("buildings", "unmet_kw")) < 0.01


# --- street-lighting --------------------------------------------------------------------------------------------------

MATCH = overlay("street-lighting", "match.toml")


def lamps(p: Planned) -> tuple[Floats, Floats, Floats]:
    """(40, T): power, floor, full light [kW] of every cabinet."""
    (group,) = (g for g in p.inputs.groups if g.family.name == "lighting")
    power = np.array([flow(p, name, "power_kw") for name in group.ids])
    return power, group.columns["least_kw"], group.columns["most_kw"]


def dimmed(p: Planned) -> float:
    """Energy saved against full light all night, share."""
    power, _, most = lamps(p)
    return 1.0 - float(power.sum() / most.sum())


def test_the_town_has_its_lamps() -> None:
    p = run("street-lighting")
    (group,) = (g for g in p.inputs.groups if g.family.name == "lighting")
    points, lamp_kw = group.columns["points"], group.columns["lamp_kw"]
    assert group.n == 40
    assert points.sum() == 23_500
    assert (points * lamp_kw).sum() == pytest.approx(2400, rel=0.01)


@pytest.mark.parametrize("match", ["", MATCH], ids=["quiet", "match"])
def test_no_zone_falls_below_its_floor_and_a_sixth_is_saved(match: str) -> None:
    for p in days("street-lighting", match):
        whole(p)
        power, least, most = lamps(p)
        assert (power >= least - LEAST_KW).all()
        assert (power <= most + LEAST_KW).all()
        assert dimmed(p) >= 0.15
        crossing = ["crossing" in name for g in p.inputs.groups if g.family.name == "lighting" for name in g.ids]
        assert sum(crossing) == 10
        np.testing.assert_allclose(power[crossing], most[crossing], atol=LEAST_KW)
        assert p.kwh(power.sum(0)) == pytest.approx(p.kwh(p.net_kw("town")), abs=0.01)


def test_light_that_is_worth_any_price_is_not_dimmed() -> None:
    dear = "--set schedule.light-worth.default=10 --set schedule.light-worth.rules=[]"
    assert dimmed(run("street-lighting", dear)) < 1e-6


def test_lamps_burn_between_dusk_and_dawn_and_change_slowly() -> None:
    p = run("street-lighting")
    power, least, most = lamps(p)
    day = hours_between(p, 8.5, 16.5)
    assert power[:, day].max() < LEAST_KW
    assert (power[:, hours_between(p, 0, 7)].min(axis=1) > 0).all()
    full = most.max(axis=1)[:, None]
    steady = (np.diff(most, axis=1) == 0) & (most[:, 1:] > 0)
    change = np.diff(power, axis=1)
    duty = np.maximum(np.diff(least, axis=1), 0.0)
    assert (np.abs(change) <= np.maximum(0.25 * full, duty) + LEAST_KW)[steady].all()
    free = run("street-lighting", "--set lighting.defaults.ramp_per_h=4")
    assert (np.abs(np.diff(lamps(free)[0], axis=1)) > 0.25 * full + 1)[steady].any(), "else the ramp says nothing"


def test_a_person_overrules_the_plan() -> None:
    """Full light from nine to midnight where it is asked for, and nothing else changes."""
    p, q = run("street-lighting", MATCH), run("street-lighting")
    held = hours_between(p, 21, 24)
    for name in ("fives-main", "fives-street"):
        np.testing.assert_allclose(flow(p, name, "power_kw")[held], column(p, name, "most_kw")[held], atol=LEAST_KW)
        assert (flow(q, name, "power_kw")[held] < column(q, name, "most_kw")[held] - 1).any()
    for name in ("fives-crossing", "moulins-main", "wazemmes-street"):
        np.testing.assert_allclose(flow(p, name, "power_kw"), flow(q, name, "power_kw"), atol=LEAST_KW)


# --- h2-loos ----------------------------------------------------------------------------------------------------------

SUNDAY = overlay("h2-loos", "sunny-sunday.toml")


@pytest.mark.parametrize("sunday", ["", SUNDAY], ids=["weekday", "sunday"])
def test_the_cell_runs_as_stacks_do(sunday: str) -> None:
    for p in days("h2-loos", sunday):
        whole(p)
        on, power = np.round(p.value("cell", "on")) > 0.5, p.value("cell", "power_kw")
        assert (power[on] >= 60 - LEAST_KW).all(), "30 % of 200 kW"
        assert power.max() <= 200 + LEAST_KW
        assert power[~on].max(initial=0.0) <= LEAST_KW
        assert kpi(p, "cell")["starts"] <= 2
        runs, rests = spells(on)
        assert all(n >= 4 for n in runs)
        assert all(n >= 2 for n in rests)
        assert p.summary["cost"]["fuel-cell.start"]["eur"] == pytest.approx(20 * kpi(p, "cell")["starts"])
        assert p.kwh(p.value("heat-sink", "unmet_kw")) < 1e-6


@pytest.mark.parametrize("sunday", ["", SUNDAY], ids=["weekday", "sunday"])
def test_nothing_is_vented_by_plan_or_rule(sunday: str) -> None:
    """Whatever the prices, where venting has one; without the buffer both vent."""
    for p in days("h2-loos", sunday, "--set asset.plant.vent_eur_per_kwh=1"):
        assert kpi(p, "plant")["vented_kwh"] < 0.01
        assert kpi_by_rule(p, "plant")["vented_kwh"] < 0.01
    p, bare = run("h2-loos", sunday), run("h2-loos", sunday, "--set asset.buffer.capacity_kwh=0")
    assert kpi(p, "plant")["vented_kwh"] < 0.01
    assert min(kpi(bare, "plant")["vented_kwh"], kpi_by_rule(bare, "plant")["vented_kwh"]) > 100


@pytest.mark.parametrize("sunday", ["", SUNDAY], ids=["weekday", "sunday"])
def test_by_rule_the_cell_follows_the_buffers_pressure(sunday: str) -> None:
    p = run("h2-loos", sunday)
    by_rule = twin(p.inputs)
    on, level = flow(p, "cell", "on", by_rule) > 0.5, flow(p, "buffer", "level_kwh", by_rule)
    first = int(on.argmax())
    assert 0.8 * 1776 <= level[first - 1] < 0.9 * 1776
    assert on[first:].all(), "one run"
    assert level[-1] < 888, "emptier than it began, which the comparison counts"
    assert p.summary["baseline"]["cost"]["stores.left"]["eur"] > 10


def test_hydrogen_energy_balances() -> None:
    """What the plant gives off is vented, or becomes electricity and heat at the data sheet's efficiencies."""
    p = run("h2-loos")
    given_off = p.kwh(column(p, "plant", "power_kw"))
    kept = p.value("buffer", "level_kwh")[-1] - 888.0
    assert given_off == pytest.approx(kpi(p, "plant")["vented_kwh"] + kpi(p, "cell")["fuel_kwh"] + kept, abs=0.01)
    assert 0.45 <= kpi(p, "cell")["electricity_kwh"] / kpi(p, "cell")["fuel_kwh"] <= 0.50
    full = flow(p, "cell", "power_kw") > 200 - 1e-3
    assert full.any()
    heat, fuel = -p.trace.port_kw(p.inputs, "cell", "heat"), p.trace.port_kw(p.inputs, "cell", "gas")
    np.testing.assert_allclose(fuel[full], 200 / 0.45, rtol=1e-6)
    assert (heat[full] <= 156).all(), "155 kW on the plate"


def test_the_cell_stops_while_the_price_is_below_zero_and_nobody_wants_heat() -> None:
    p = run("h2-loos", SUNDAY)
    idle = (p.price("sell") < 0) & (column(p, "heat-sink", "power_kw") == 0)
    on = np.round(p.value("cell", "on")) > 0.5
    assert idle.sum() >= 20
    assert not on[idle].any()
    heated = (p.price("sell") < 0) & ~idle
    assert on[heated].any(), "where heat is wanted it runs, even at such a price"
    by_rule = twin(p.inputs)
    assert (flow(p, "cell", "power_kw", by_rule)[idle] > 60 - LEAST_KW).any(), "led by hydrogen it would run"
    worn = run("h2-loos", SUNDAY, "--set asset.cell.start_cost_eur=30")
    assert (np.round(worn.value("cell", "on")) > 0.5)[idle].all(), "a restart that costs more is not worth it"


# --- heatpump-store ---------------------------------------------------------------------------------------------------

SMALL = overlay("heatpump-store", "small-tank.toml")


@pytest.mark.parametrize("small", ["", SMALL], ids=["15 m³", "1 m³"])
def test_the_residence_is_warm_and_its_water_is_pasteurised_every_day(small: str) -> None:
    for p in days("heatpump-store", small):
        whole(p)
        assert p.kwh(p.value("radiators", "unmet_kw") + p.value("hot-water", "backup_kw")) < 1e-6
        heat = -p.trace.port_kw(p.inputs, "heat-pump", "sink") - p.trace.port_kw(p.inputs, "boiler", "sink")
        used = p.trace.port_kw(p.inputs, "radiators", "heat") + p.trace.port_kw(p.inputs, "tank", "heat")
        np.testing.assert_allclose(heat, used, atol=LEAST_KW)
        level = p.value("hot-water", "level_kwh")
        hot = 87 * (60 - 40) / (65 - 40)
        begun = np.flatnonzero(np.round(p.value("hot-water", "pasteurise")) > 0.5)
        assert len(begun) >= 1
        for t in begun:
            before = level[t - 1] if t else 0.6 * 87
            assert min(before, *level[t : t + 4]) >= hot - 0.01, "an hour at 60 °C, from its first minute to its last"
        assert begun[0] <= 8, "the last one began 21 h before midnight: this one ends by three"


def test_pasteurisation_is_not_for_sale() -> None:
    """Left alone the tank would be hot later, when that is cheaper; a EUR/kWh more makes no difference."""
    p = run("heatpump-store")
    without = run("heatpump-store", "--set asset.hot-water.pasteurise=false")
    dear = run("heatpump-store", "--set generate.retail.adder_eur_per_kwh=1")
    assert without.summary["objective_eur"] < p.summary["objective_eur"] - 0.05
    assert kpi(dear, "hot-water")["pasteurisations"] == 1
    assert dear.summary["shortfalls"] == []
    level = without.value("hot-water", "level_kwh")
    assert max(min(level[t : t + 5]) for t in range(8)) < 87 * 20 / 25


def test_the_store_saves_on_a_volatile_day() -> None:
    for p in days("heatpump-store"):
        assert p.summary["savings_eur"] > 10
    p, small = run("heatpump-store"), run("heatpump-store", SMALL)
    assert p.summary["savings_eur"] > 0.1 * p.summary["baseline"]["total_eur"]
    assert small.summary["objective_eur"] > p.summary["objective_eur"] + 5, "what the fifteen cubic metres are worth"
    evening, night = hours_between(p, 17.5, 20), hours_between(p, 1, 6)
    draw = p.trace.port_kw(p.inputs, "heat-pump", "source")
    assert p.kwh(draw, evening) < 0.1 * p.kwh(draw, night)


# --- winter-evening ---------------------------------------------------------------------------------------------------

FLATS = ("old-flats", "new-flats")
NOBODY = "--set asset.old-flats.opted_out=400 --set asset.new-flats.opted_out=600"


def test_one_plan_over_many_families_keeps_the_transformers() -> None:
    for p in days("winter-evening"):
        whole(p)
        assert p.net_kw("post").max() <= 1600 + LEAST_KW
        assert p.net_kw("garage").max() <= 120 + LEAST_KW
    p = run("winter-evening")
    families = {g.family.name for g in p.inputs.groups}
    assert len(families) >= 12
    flats = twin(p.inputs).net_kw[p.inputs.node_index["flats"]]
    assert flats.max() > 1600, "the flats alone would overload them"


def test_heating_rests_half_an_hour_once_and_comes_back() -> None:
    """Cut = rebound over the day; the flats stay above 18 °C; who opted out is never cut."""
    p = run("winter-evening")
    for name in FLATS:
        cut, back = flow(p, name, "cut_kw"), flow(p, name, "rebound_kw")
        begun = p.value(name, "begun")
        assert begun.sum() <= 1 + 1e-6, "every flat once"
        assert p.kwh(cut) > 100
        assert p.kwh(back) == pytest.approx(p.kwh(cut), rel=1e-6)
        taking = 1 - column(p, name, "opted_out") / column(p, name, "flats")
        heating = column(p, name, "power_kw")
        assert (cut <= taking * heating + LEAST_KW).all()
        assert (p.value(name, "drop_k") <= 1.5 + 1e-6).all()
        last = np.flatnonzero(cut > LEAST_KW)[-1]
        assert back[last + 1 : last + 9].min() > 0
        assert back[last + 9 :].max(initial=0.0) <= LEAST_KW, "two hours later it is over"
        np.testing.assert_allclose(p.trace.port_kw(p.inputs, name, "ac"), heating - cut + back, atol=LEAST_KW)


def test_the_call_is_answered_and_the_rebound_meets_the_transformers() -> None:
    p, alone = run("winter-evening"), run("winter-evening", NOBODY)
    call = contract(p, "call-old").period >= 0
    assert call.sum() == 8
    delivered = sum(p.kwh(flow(p, name, "cut_kw") - flow(p, name, "rebound_kw"), call) for name in FLATS)
    paid = money(p, "call-old.delivered") + money(p, "call-new.delivered")
    assert delivered > 300
    assert -paid == pytest.approx(0.25 * delivered, rel=1e-6)
    after = hours_between(p, 20, 22)
    assert p.net_kw("post")[after].mean() > 1.1 * alone.net_kw("post")[after].mean()
    assert p.net_kw("post")[after].max() == pytest.approx(1600)
    assert all(p.kwh(flow(alone, name, "cut_kw")) < 1e-6 for name in FLATS), "opted out: nothing"
    assert p.summary["objective_eur"] < alone.summary["objective_eur"] - 100


def test_the_evening_makes_no_new_peak() -> None:
    p = run("winter-evening")
    evening = hours_between(p, 17, 20)
    assert p.net_kw("post")[evening].max() <= 1400 + LEAST_KW
    assert twin(p.inputs).net_kw[p.inputs.node_index["post"]][evening].max() > 1500
    free = run("winter-evening", "--set commitment.peak.windows=[]", "--set commitment.peak.price_eur_per_kw=0")
    assert free.net_kw("post")[evening].max() > 1400 + 1, "without the charge it would"


# --- the gallery ------------------------------------------------------------------------------------------------------


def test_the_gallery_shows_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert gallery.main(["two-roofs", "street-lighting", "--overlays"]) == 0
    head, *rows = [line.split() for line in capsys.readouterr().out.splitlines() if not line.lstrip().startswith("-")][
        -4:
    ]
    assert head[-1] == "exit"
    assert [row[0] for row in rows] == ["two-roofs", "street-lighting", "street-lighting"]
    assert rows[2][1:3] == ["+", "match"]
    cost = run("two-roofs").summary["objective_eur"]
    assert f"{cost:.3g}" in rows[0]
    assert all(row[-1] == "0" for row in rows)


def test_the_gallery_tells_what_does_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "scenario.toml").write_text("format = 1\n[horizon]\nstart = 2026-01-01\n[node.grid]\nparent = 'x'\n")
    monkeypatch.setattr(gallery, "shipped", lambda: {"broken": tmp_path})
    assert gallery.main([]) == 1
    assert gallery.row_of(tmp_path, None)["exit"] == 10
