"""What the use-cases ask of a day's plan, worked out from the plan itself: buildings, campus, car park, quarter, home.

Nothing here reads a README. Every claim stands beside a run that does not keep it, so that the test can fail.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gridopt.model.inputs import Group
from gridopt.simulate.twin import Twin, twin
from tests.test_scenarios import Planned, ev_unserved_share, planned

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ROOT = Path(__file__).resolve().parents[1]
SCENARIOS = ROOT / "scenarios"
LEAST_KW = 1e-5
"""Powers below this are the solver's tolerance."""
WARM_K = 1e-3
OTHER_DAYS = ("2026-03-29", "2026-10-25", "2026-11-17")
"""The two days when clocks change, and a working day in autumn."""


@pytest.fixture(autouse=True)
def at_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    """Overlays are named from the top of the checkout."""
    monkeypatch.chdir(ROOT)


def run(name: str, *more: str) -> Planned:
    return planned(" ".join(["gridopt run", name, *more]))


def days(name: str, *more: str) -> list[Planned]:
    """The day that is shipped, and three others."""
    return [run(name, *more), *(run(name, *more, "--date", day) for day in OTHER_DAYS)]


def whole(p: Planned) -> None:
    """Proven, and nothing missed."""
    assert p.exit_code == 0
    assert p.summary["gap"] <= 0.005
    assert p.summary["shortfalls"] == []


def group_of(p: Planned, asset: str) -> tuple[Group, int]:
    g, k = p.inputs.where[asset]
    return p.inputs.groups[g], k


def column(p: Planned, asset: str, name: str) -> Floats:
    """A column of one asset that lives on the whole horizon: (T,), or a number."""
    group, k = group_of(p, asset)
    return np.asarray(group.columns[name][k])


def by_rule_kw(p: Planned, by_rule: Twin, node: str) -> Floats:
    return np.asarray(by_rule.net_kw[p.inputs.node_index[node]])


def share_made_here(p: Planned, made_kw: Floats, used_kw: Floats) -> float:
    """Σ min(P, C) / Σ C, of a site without stores."""
    return p.kwh(np.minimum(made_kw, used_kw)) / p.kwh(used_kw)


# --- rizomm: rooms that are heated when booked ------------------------------------------------------------------------

COLDEST = ("--date", "2026-01-13")


def booked_band(p: Planned, room: str) -> tuple[Bools, Floats]:
    """Steps at whose end somebody is in with the windows shut, and the temperature promised to them [°C].

    The promise is what is wanted and what the users wish, but no more than 2 K of it; over by the end of the booking.
    """
    booked, is_open = column(p, room, "booked") > 0.5, column(p, room, "window_open") > 0.5
    wish = np.clip(column(p, room, "wish_k"), -2.0, 2.0)
    return booked & ~is_open, column(p, room, "wanted_c") + wish


def coldest_k(p: Planned, room: str, temperature_c: Floats) -> float:
    """By how much a room is too cold while it is booked, at worst."""
    counts, promised = booked_band(p, room)
    return float(np.where(counts, promised - temperature_c, 0.0).max(initial=0.0))


@pytest.mark.parametrize("day", [(), COLDEST, *(("--date", d) for d in OTHER_DAYS)], ids=" ".join)
def test_no_booked_room_of_rizomm_is_cold_or_stuffy(day: tuple[str, ...]) -> None:
    p = run("rizomm", *day)
    whole(p)
    rooms = p.of_family("booked-rooms")
    assert len(rooms) == 12
    for room in rooms:
        temperature = p.value(room, "temperature_c")
        assert coldest_k(p, room, temperature) <= WARM_K, room
        heated = (column(p, room, "booked") > 0.5) & (p.value(room, "heating_kw") > LEAST_KW)
        assert temperature[heated].max(initial=0.0) <= 22.05 + WARM_K, "nobody is heated out"


def test_thermostats_alone_leave_rooms_cold_on_the_coldest_day() -> None:
    p = run("rizomm", *COLDEST)
    by_rule = twin(p.inputs)
    (g,) = [g for g, group in enumerate(p.inputs.groups) if group.family.name == "booked-rooms"]
    temperatures = dict(zip(p.inputs.groups[g].ids, by_rule.trace.steps[g]["temperature_c"], strict=True))
    cold = [room for room, temperature in temperatures.items() if coldest_k(p, room, temperature) > 0.1]
    assert len(cold) >= 3


def test_a_user_of_rizomm_moves_a_room_by_two_kelvins_and_no_more() -> None:
    p = run("rizomm")
    for room, asked, given in (("l3-rooms", 3, 21), ("l4-offices", -3, 17), ("l2-library", 1, 20)):
        assert column(p, room, "wish_k").max() == pytest.approx(asked) or column(p, room, "wish_k").min() == asked
        counts, promised = booked_band(p, room)
        assert promised[counts] == pytest.approx(given)
    while_booked = {
        room: p.value(room, "temperature_c")[booked_band(p, room)[0]] for room in ("l3-rooms", "l4-offices")
    }
    assert while_booked["l3-rooms"].min() == pytest.approx(21, abs=0.05)
    assert while_booked["l4-offices"].min() < 18


def test_an_open_window_of_rizomm_cuts_the_heating() -> None:
    p = run("rizomm")
    steps = 0
    for room in p.of_family("booked-rooms"):
        is_open = column(p, room, "window_open") > 0.5
        assert p.value(room, "heating_kw")[is_open].max(initial=0.0) <= LEAST_KW
        steps += int(is_open.sum())
    assert steps == 10, "five zones, twice a day"


@pytest.mark.parametrize("day", [(), COLDEST], ids=" ".join)
def test_empty_rooms_of_rizomm_are_held_at_16_degrees(day: tuple[str, ...]) -> None:
    """And nobody heats them for the price; all that is booked is heated to 22 °C at most."""
    p = run("rizomm", *day)
    empty = [room for room in p.of_family("booked-rooms") if not column(p, room, "booked").any()]
    by_rule = p.summary["baseline"]["kpi"]["assets"]
    assert {"l2-project", "l3-studio"} <= set(empty)
    for room in p.of_family("booked-rooms"):
        temperature, used = p.value(room, "temperature_c"), p.kwh(p.value(room, "heating_kw"))
        assert temperature.min() >= 16 - WARM_K
        assert temperature.max() <= (16.15 if room in empty else 22.05) + WARM_K
        if room in empty:
            assert used <= 1.01 * by_rule[room]["heating_kwh"], "what holding 16 °C takes"


def test_somebody_who_moves_into_an_empty_zone_is_warm() -> None:
    p = run("rizomm", "--set", "asset.l2-project.booked=office-hours")
    assert p.exit_code == 0
    assert coldest_k(p, "l2-project", p.value("l2-project", "temperature_c")) <= WARM_K
    assert p.value("l2-project", "temperature_c").max() >= 19 - WARM_K


def test_rizomm_uses_more_of_its_sun_than_by_rule() -> None:
    """At least 5 points of what is used are made here at the same time, more than by rule."""
    p = run("rizomm")
    by_rule = twin(p.inputs)
    made = -p.power_kw("pv")
    plan = share_made_here(p, made, np.asarray(p.net_kw("grid") + made))
    rule = share_made_here(p, made, np.asarray(by_rule_kw(p, by_rule, "grid") + made))
    assert plan >= rule + 0.05
    assert p.summary["kpi"]["nodes"]["grid"]["self_sufficiency"] == pytest.approx(plan, abs=1e-3)
    kpi = p.summary["kpi"]["nodes"]["grid"]["self_consumption"]
    assert kpi >= p.summary["baseline"]["kpi"]["nodes"]["grid"]["self_consumption"] + 0.05


@pytest.mark.parametrize("day", [(), COLDEST], ids=" ".join)
def test_rizomm_stays_below_120_kw_and_fills_the_cars(day: tuple[str, ...]) -> None:
    p = run("rizomm", *day)
    assert p.net_kw("grid").max() <= 120 + LEAST_KW
    assert ev_unserved_share(p) < 1e-9
    wants = p.power_kw("load").max() + 150 + 6 * 22
    assert wants > 2 * 120, "all at once would be twice the connection"


# --- campus-block: a battery, and cars that give back -----------------------------------------------------------------

GROWTH = ("--overlay", "scenarios/campus-block/growth.toml", "--date", "2026-01-13")


def campus_days() -> list[Planned]:
    return [*days("campus-block"), run("campus-block", *GROWTH)]


def test_the_battery_of_the_campus_keeps_its_band_and_its_day() -> None:
    for p in campus_days():
        whole(p)
        soc, out = p.value("battery", "soc_kwh"), p.value("battery", "discharge_kw")
        assert soc.min() >= 25 - 1e-6
        assert soc.max() <= 225 + 1e-6
        assert soc[-1] >= 75 - 1e-6, "the day does not live off its store"
        assert out.max() <= 125 + LEAST_KW
        assert p.kwh(out) <= 1.2 * 250 + 1e-6


def test_a_tighter_guarantee_binds_and_costs() -> None:
    p, less = run("campus-block"), run("campus-block", "--set", "asset.battery.cycles_per_day=0.5")
    assert p.kwh(p.value("battery", "discharge_kw")) > 0.5 * 250
    assert less.kwh(less.value("battery", "discharge_kw")) == pytest.approx(0.5 * 250, abs=1e-3)
    assert less.summary["objective_eur"] > p.summary["objective_eur"] + 1


def two_way(p: Planned) -> list[str]:
    """Sessions that can give back, by their data."""
    cars = [(group, k) for group in p.inputs.groups if group.family.name == "ev-session" for k in range(group.n)]
    return sorted(group.ids[k] for group, k in cars if group.columns["v2g_kw"][k] > 0)


def test_nothing_on_the_campus_charges_and_discharges_at_once() -> None:
    given = 0.0
    for p in campus_days():
        assert two_way(p) == ["pool-1", "pool-2", "pool-3", "pool-4"]
        assert len(p.of_family("ev-session")) == 10
        for name in ("battery", *two_way(p)):
            charge, back = p.value(name, "charge_kw"), p.value(name, "discharge_kw")
            assert np.minimum(charge, back).max() <= LEAST_KW, name
            given += p.kwh(back) if name != "battery" else 0.0
    assert given > 5, "the cars do give back"


def test_cars_of_the_campus_leave_full_enough_and_are_never_empty() -> None:
    for p in campus_days():
        for name in two_way(p):
            group, k = group_of(p, name)
            size, came = group.columns["capacity_kwh"][k], group.columns["soc_arrive"][k]
            charge, back = p.value(name, "charge_kw"), p.value(name, "discharge_kw")
            step_kwh = 0.25 * (group.columns["efficiency"][k] * charge - back / group.columns["efficiency"][k])
            share = came + np.cumsum(step_kwh) / size
            assert share[-1] >= 0.8 - 1e-6, name
            assert share.min() >= 0.4 - 1e-6, name
        assert ev_unserved_share(p) < 1e-9


def test_the_campus_stays_below_600_kw_where_the_rule_reaches_it() -> None:
    p = run("campus-block", *GROWTH)
    assert p.net_kw("grid").max() < 550
    assert by_rule_kw(p, twin(p.inputs), "grid").max() == pytest.approx(600, abs=1e-3)
    free = run("campus-block", *GROWTH, "--set", "node.grid.import_max_kw=900")
    assert by_rule_kw(free, twin(free.inputs), "grid").max() > 600, "kept by cutting what draws"


def test_the_campus_uses_its_own_sun_first_and_then_keeps_the_peak_low() -> None:
    p = run("campus-block")
    by_rule = by_rule_kw(p, twin(p.inputs), "grid")
    given, given_by_rule = (p.kwh(np.maximum(-net, 0.0)) for net in (p.net_kw("grid"), by_rule))
    assert given < 0.01
    assert given_by_rule > 100
    assert p.summary["kpi"]["assets"]["roof-rizomm"]["curtailed_kwh"] < 0.01, "not by holding the sun back"
    assert p.summary["kpi"]["assets"]["roof-old-block"]["curtailed_kwh"] < 0.01
    assert p.net_kw("grid").max() < 0.5 * by_rule.max()
    for_money = run("campus-block", "--set", "objective.peak_eur_per_kw=0")
    assert for_money.net_kw("grid").max() > p.net_kw("grid").max() + 5


# --- union-silo: reservations, fire sections, a deck that becomes offices ---------------------------------------------

OFFICES = ("--overlay", "scenarios/union-silo/offices.toml")
SECTION_KW = {"section-a": 80, "section-b": 40, "section-c": 40}


def reservations() -> dict[str, dict[str, str]]:
    """The stays that end on the day, as they are written."""
    with (SCENARIOS / "union-silo" / "reservations.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    return {name: row for name, row in rows.items() if not row["depart"].startswith("D+1")}


def content_at_pick_up(p: Planned, name: str, row: Mapping[str, str]) -> float:
    """How full a shared car is when its driver comes, share."""
    charged_kwh = 0.92 * p.kwh(p.trace.port_kw(p.inputs, name, "ac"))
    return float(row["soc_arrive"]) + charged_kwh / float(row["capacity_kwh"])


def served_share(p: Planned) -> float:
    """Part of the reservations whose car has 80 % at pick-up."""
    contents = [content_at_pick_up(p, name, row) for name, row in reservations().items()]
    return float(np.mean(np.array(contents) >= 0.8 - 1e-6))


@pytest.mark.parametrize("overlay", [(), OFFICES], ids=" ".join)
def test_reservations_of_the_silo_are_served(overlay: tuple[str, ...]) -> None:
    assert len(reservations()) == 20
    for p in days("union-silo", *overlay):
        whole(p)
        assert served_share(p) >= 0.99
        assert ev_unserved_share(p) < 1e-9


def test_a_fire_section_that_is_too_small_leaves_named_reservations_short() -> None:
    p = run("union-silo", "--set", "node.section-a.import_max_kw=25")
    assert p.exit_code == 3
    assert served_share(p) < 0.99
    short = {name for name, row in reservations().items() if content_at_pick_up(p, name, row) < 0.8 - 1e-6}
    assert {s["id"] for s in p.summary["shortfalls"]} == short


@pytest.mark.parametrize("overlay", [(), OFFICES], ids=" ".join)
def test_sections_of_the_silo_keep_their_limits_inside_the_connection(overlay: tuple[str, ...]) -> None:
    for p in days("union-silo", *overlay):
        net = {name: p.net_kw(name) for name in (*SECTION_KW, "services", "silo")}
        for name, limit in SECTION_KW.items():
            assert net[name].max() <= (70 if overlay and name == "section-c" else limit) + LEAST_KW
        assert np.abs(net["silo"]).max() <= 200 + LEAST_KW
        inside = p.power_kw("pv") + p.power_kw("battery") + p.trace.port_kw(p.inputs, "lights", "ac")
        np.testing.assert_allclose(net["silo"], sum(net[k] for k in (*SECTION_KW, "services")) + inside, atol=1e-6)


def test_sections_of_the_silo_bind() -> None:
    p, wide = run("union-silo"), run("union-silo", *(f"--set node.{name}.import_max_kw=500" for name in SECTION_KW))
    assert p.net_kw("section-a").max() == pytest.approx(80)
    assert p.net_kw("section-c").max() == pytest.approx(40)
    assert any(wide.net_kw(name).max() > limit + 1 for name, limit in SECTION_KW.items())


def test_the_conversion_of_the_silo_is_configuration_alone() -> None:
    names = {path.name for path in (SCENARIOS / "union-silo").iterdir()}
    assert names == {"scenario.toml", "offices.toml", "reservations.csv", "README.md"}
    before, after = run("union-silo"), run("union-silo", *OFFICES)
    assert after.exit_code == 0
    gone = set(before.inputs.where) - set(after.inputs.where)
    assert gone
    assert all(name.startswith("home-") for name in gone)
    assert set(after.inputs.where) - set(before.inputs.where) == {"desks", "offices"}
    warm, hour = after.value("offices", "temperature_c"), after.inputs.axis.local_hour
    assert warm[(hour >= 8) & (hour < 18.5)].min() >= 19 - WARM_K
    assert after.kwh(np.maximum(-after.net_kw("silo"), 0.0)) < 0.5 * before.kwh(np.maximum(-before.net_kw("silo"), 0.0))


# --- saint-sauveur: six transformers, thirty substations --------------------------------------------------------------

COPPER = ("--overlay", "scenarios/saint-sauveur/copper.toml")
TRANSFORMERS = [f"tr-{k}" for k in range(1, 7)]
RATED_KW = 630 * 0.95


def overload_h(p: Planned) -> float:
    """Hours that transformers are above their rating, one by one, in either direction."""
    return sum(float((np.abs(p.net_kw(name)) > RATED_KW + 1.5 + LEAST_KW).sum()) * 0.25 for name in TRANSFORMERS)


def test_the_quarter_has_the_sizes_that_were_asked_for() -> None:
    p = run("saint-sauveur")
    said: dict[str, Any] = tomllib.loads((SCENARIOS / "saint-sauveur" / "scenario.toml").read_text(encoding="utf-8"))
    peak = sum(float(column(p, roof, "peak_kw")) for roof in p.of_family("pv"))
    pool = ("pool-filter", "pool-air", "pool-water")
    assert peak == 1500
    assert len(p.of_family("substation")) == 30
    assert sum(g["chargers"] for g in said["ev-session"]["generate"].values()) == 200
    assert sum(float(column(p, name, "power_kw")) for name in pool) == 300


def test_no_transformer_is_overloaded() -> None:
    for p in days("saint-sauveur"):
        whole(p)
        assert overload_h(p) == 0
        assert ev_unserved_share(p) < 1e-9


def test_following_prices_alone_would_overload_transformers() -> None:
    p, free = run("saint-sauveur"), run("saint-sauveur", *COPPER)
    assert overload_h(free) >= 1
    assert p.net_kw("tr-5").max() == pytest.approx(600)
    assert 0 < p.summary["objective_eur"] - free.summary["objective_eur"] < 20


def test_all_heat_is_delivered_within_substations_and_supply_temperature() -> None:
    """Supply 95 °C at -9 °C outside, 70 °C at 15 °C; 1.163 kWh per m³ and kelvin above the return of 50 °C."""
    for p in days("saint-sauveur"):
        wanted = np.sum([column(p, name, "power_kw") for name in p.of_family("heat-demand")], axis=0)
        np.testing.assert_allclose(p.power_kw("heat-demand", "heat"), wanted, atol=1e-6)
        for name in p.of_family("substation"):
            out, taken = -p.trace.port_kw(p.inputs, name, "sink"), p.trace.port_kw(p.inputs, name, "source")
            share = np.clip((15 - column(p, name, "outdoor_c")) / 24, 0, 1)
            carried = 1.163 * column(p, name, "flow_max_m3_per_h") * (70 + 25 * share - 50)
            assert (taken <= carried + LEAST_KW).all()
            assert out.max() <= column(p, name, "power_kw") + LEAST_KW
            np.testing.assert_allclose(out, 0.98 * taken, atol=1e-6)


def test_tanks_lower_the_morning_peak_of_heat() -> None:
    p = run("saint-sauveur")
    by_rule = by_rule_kw(p, twin(p.inputs), "heat-network")
    assert p.net_kw("heat-network").max() < 0.85 * by_rule.max()
    assert p.kwh(p.net_kw("heat-network")) < 1.01 * p.kwh(by_rule), "and lose little"


def test_the_pool_stays_clean_and_warm() -> None:
    for p in days("saint-sauveur"):
        steps = p.inputs.axis.steps
        for name, hours, due_kwh, most_kw in (("pool-filter", 2, 130, 100), ("pool-air", 1, 60, 100)):
            draw = p.value(name, "draw_kw")
            windows = [0.25 * draw[t : t + 4 * hours].sum() for t in range(0, steps - 4 * hours + 1, 4 * hours)]
            assert min(windows) >= due_kwh - 1e-3, name
            assert draw.max() <= most_kw + LEAST_KW
        assert p.value("pool-water", "temperature_c").min() >= 27 - 0.01
        assert p.value("pool-water", "temperature_c").max() <= 28.5 + 0.01


def test_what_the_pool_shifts_is_worth_it() -> None:
    """Its 300 kW draw more when energy is cheap: what it pays is less than the day's mean price."""
    p = run("saint-sauveur")
    pool = sum(p.trace.port_kw(p.inputs, name, "ac") for name in ("pool-filter", "pool-air", "pool-water"))
    assert isinstance(pool, np.ndarray)
    price = p.price("buy")
    assert float((pool * price).sum() / pool.sum()) < 0.97 * price.mean()


# --- citc-home: a red day, a breaker, a person ------------------------------------------------------------------------

BY_HAND = ("--overlay", "scenarios/citc-home/by-hand.toml")
OFF_PEAK = ("--overlay", "scenarios/citc-home/off-peak.toml")
RED_KW = 0.7295
"""EUR/kWh, in the peak hours of a red day."""


def in_red_peak(p: Planned) -> Bools:
    return np.asarray(p.price("buy") > RED_KW - 1e-6)


@pytest.mark.parametrize("overlay", [(), BY_HAND, OFF_PEAK], ids=" ".join)
def test_the_breaker_of_the_home_never_trips(overlay: tuple[str, ...]) -> None:
    for p in days("citc-home", *overlay):
        whole(p)
        assert np.abs(p.net_kw("home")).max() <= 9 + LEAST_KW
        assert ev_unserved_share(p) < 1e-9


def test_without_its_limit_the_breaker_would_trip() -> None:
    p = run("citc-home", "--set", "node.home.import_max_kw=20")
    assert p.net_kw("home").max() > 9.1
    assert by_rule_kw(p, twin(p.inputs), "home").max() > 10


def test_a_red_day_is_bought_half_as_dear_hours() -> None:
    """In the peak hours of a red day at most half is bought of what is bought by rule."""
    p = run("citc-home")
    red = in_red_peak(p)
    bought, by_rule = (np.maximum(net, 0.0) for net in (p.net_kw("home"), by_rule_kw(p, twin(p.inputs), "home")))
    assert red.sum() == 64
    assert p.kwh(by_rule, red) > 20
    assert p.kwh(bought, red) <= 0.5 * p.kwh(by_rule, red)


def test_a_day_of_the_contract_runs_from_six_to_six() -> None:
    p = run("citc-home", "--set", "horizon.hours=32")
    price, hour = p.price("buy"), p.inputs.axis.local_hour
    first = np.arange(len(hour)) < 96
    assert set(price[first & (hour < 6)]) == {0.1536}, "still the day before, a white one"
    assert set(price[first & (hour >= 6) & (hour < 22)]) == {RED_KW}
    assert set(price[(first & (hour >= 22)) | (~first & (hour < 6))]) == {0.1615}, "the red day's night, until six"
    car = p.trace.port_kw(p.inputs, "car-evening", "ac")
    assert p.kwh(car, in_red_peak(p)) < 1e-3
    assert 0.92 * p.kwh(car) == pytest.approx(14, abs=1e-3)
    assert p.kwh(car, price == 0.1615) == pytest.approx(p.kwh(car), abs=1e-3)


def test_a_person_wins_over_every_price() -> None:
    p, free = run("citc-home", *BY_HAND), run("citc-home")
    hour = p.inputs.axis.local_hour
    charging, quiet = (hour >= 18) & (hour < 19), (hour >= 20) & (hour < 21)
    assert p.trace.port_kw(p.inputs, "car-evening", "ac")[charging] == pytest.approx(6)
    assert p.trace.port_kw(p.inputs, "heat-pump", "ac")[quiet] == pytest.approx(0, abs=LEAST_KW)
    assert free.trace.port_kw(free.inputs, "car-evening", "ac")[charging] == pytest.approx(0, abs=LEAST_KW)
    assert p.price("buy")[charging] == pytest.approx(RED_KW), "at the dearest price there is"
    dearer = p.summary["objective_eur"] - free.summary["objective_eur"]
    assert dearer == pytest.approx(6 * RED_KW, abs=0.1)
    for day in OTHER_DAYS:
        other = run("citc-home", *BY_HAND, "--date", day)
        hour = other.inputs.axis.local_hour
        assert other.trace.port_kw(other.inputs, "car-evening", "ac")[(hour >= 18) & (hour < 19)] == pytest.approx(6)


def test_the_home_is_warm_and_its_water_safe() -> None:
    """60 °C are (60 - 40) / (65 - 40) of the 5.8 kWh; held for an hour, which is five ends of steps."""
    for overlay in ((), BY_HAND, OFF_PEAK):
        for p in days("citc-home", *overlay):
            warm, hour = p.value("heat-pump", "temperature_c"), (p.inputs.axis.local_hour + 0.25) % 24
            assert warm[(hour > 6.5) & (hour <= 22.5)].min() >= 19 - WARM_K
            assert warm.min() >= 18 - WARM_K
            hot = p.value("hot-water", "level_kwh") >= 20 / 25 * 5.8 - 1e-4
            assert any(hot[t : t + 5].all() for t in range(len(hot) - 4)), "an hour at 60 °C"
            assert p.kwh(p.value("hot-water", "backup_kw")) < 1e-6
