"""What can be planned but is rarely meant is told, and what is meant is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gridopt.scenario.load import Scenario

Load = Callable[..., Scenario]


def told(scenario: Scenario) -> list[str]:
    return [note.partition(": ")[2] for note in scenario.notes]


def at(node: str, base: str) -> str:
    """The base with its energy contract on another node."""
    return base.replace('node = "grid"\nbuy', f'node = "{node}"\nbuy')


# --- prices ----------------------------------------------------------------------------------------------------------

TREE = '[node.b1]\nparent = "grid"\n[node.b2]\nparent = "grid"\n[node.b3]\nparent = "b1"\n'
HOUSE = '[asset.house-{0}]\nfamily = "load"\nnode = "{0}"\npower_kw = 1\n'


def test_a_price_further_down_covers_what_passes_it(base: str, build: Load) -> None:
    toml = at("b1", base).replace('family = "battery"\nnode = "grid"', 'family = "battery"\nnode = "b3"')
    assert told(build(toml + TREE)) == []
    houses = "".join(HOUSE.format(node) for node in ("b1", "b3"))
    assert told(build(toml + TREE + houses)) == []


def test_energy_that_passes_no_price_is_told_with_who_draws_it(base: str, build: Load) -> None:
    toml = at("b1", base) + TREE + HOUSE.format("b2") + HOUSE.format("b3")
    assert told(build(toml)) == [
        "node grid: energy from outside reaches bat-a, house-b2 free of charge: the price on b1 holds for what passes "
        'there only; add [commitment.supply] with node = "grid"'
    ]


def test_energy_without_any_price_is_told(base: str, build: Load) -> None:
    toml = at("other", base) + "[node.other]\n"
    assert told(build(toml)) == [
        'node grid: what is drawn from outside costs nothing; add [commitment.supply] with node = "grid"'
    ]


def test_a_closed_root_and_a_price_of_carbon_need_no_other(base: str, build: Load) -> None:
    closed = at("other", base).replace("import_max_kw = 30", "import_max_kw = 0") + "[node.other]\n"
    assert told(build(closed)) == []
    carbon = '[commitment.co2]\nkind = "carbon"\nnode = "grid"\nprice_eur_per_t = 80\nintensity_g_per_kwh = 40\n'
    assert told(build(at("other", base) + "[node.other]\n" + carbon)) == []


@pytest.mark.parametrize(("price", "dear"), [("4.9", False), ("120", True), ("-120", True)])
def test_a_price_in_eur_per_mwh_is_told(base: str, build: Load, price: str, dear: bool) -> None:
    found = told(build(base.replace("buy_eur_per_kwh = 0.2", f"buy_eur_per_kwh = {price}")))
    words = "commitment supply: buy_eur_per_kwh reaches 120 EUR/kWh; is it in EUR/MWh?"
    assert found == ([words] if dear else [])
    sold = told(build(base.replace("= 0.2", f"= 0.2\nsell_eur_per_kwh = {price}")))
    assert sold == ([words.replace("buy", "sell")] if dear else [])


# --- units of assets -------------------------------------------------------------------------------------------------


def test_a_load_above_a_limit_at_every_step_is_told(base: str, build: Load) -> None:
    words = "load house-b3: draws at least 61000 kW at every step, where node b1 may import 36 kW; check the units"
    limited = TREE.replace("[node.b1]", "[node.b1]\nimport_max_kw = 36")
    toml = base + limited + HOUSE.format("b3").replace("power_kw = 1", "power_kw = 61000")
    assert told(build(toml)) == [words.replace("load house", "asset house")]
    many = toml + HOUSE.format("b1").replace("power_kw = 1", "power_kw = 61000")
    assert told(build(many))[0].endswith("check the units (1 more like it)")


def test_a_load_above_a_limit_now_and_then_is_not(base: str, build: Load) -> None:
    peak = '[schedule.peak]\ndefault = 40\nrules = [{ from = "03:00", to = "03:15", value = 1 }]\n'
    assert told(build(base + peak + HOUSE.format("grid").replace("power_kw = 1", 'power_kw = "peak"'))) == []


def test_what_another_carrier_feeds_may_draw_more_than_its_node_imports(base: str, build: Load) -> None:
    engine = """[node.gas]
carrier = "gas"
[node.heat]
carrier = "heat"
export_max_kw = inf
[commitment.gas]
kind = "energy"
node = "gas"
buy_eur_per_kwh = 0.08
[asset.chp]
family = "chp"
node = "grid"
heat_node = "heat"
gas_node = "gas"
power_max_kw = 50
power_min_kw = 25
"""
    heavy = HOUSE.format("grid").replace("power_kw = 1", "power_kw = 40")
    assert told(build(base + engine + heavy)) == []
    assert len(told(build(base + heavy))) == 1


def test_a_capacity_and_a_car_in_wh_are_told(base: str, build: Load) -> None:
    assert told(build(base.replace("capacity_kwh = 10", "capacity_kwh = 10000"))) == [
        "asset bat-a: 10000 kWh take 2000 h to fill at 5 kW; is it in Wh?"
    ]
    car = '[asset.car]\nfamily = "ev-session"\nnode = "grid"\narrive = "08:00"\ndepart = "18:00"\npower_kw = 7\n'
    assert told(build(base + car + "energy_kwh = 12000\n")) == [
        "asset car: 12000 kWh are more than a car holds; is it in Wh?",
        "asset car: 12000 kWh do not come in 10 h, 64.4 kWh do at most",
    ]
    assert told(build(base + car + "energy_kwh = 40\n")) == []


def test_a_stay_too_short_for_what_is_wanted_is_told(base: str, build: Load) -> None:
    car = '[asset.car]\nfamily = "ev-session"\nnode = "grid"\narrive = "13:30"\ndepart = "18:00"\npower_kw = 7.4\n'
    assert told(build(base + car + "energy_kwh = 45\n")) == [
        "asset car: 45 kWh do not come in 4.5 h, 30.6 kWh do at most"
    ]
    assert told(build(base + car + "energy_kwh = 30.6\n")) == []


def test_powers_in_w_are_told(base: str, build: Load) -> None:
    """The battery of 5 kW stands on a connection; a thousand times as much does not."""
    (note,) = [n for n in told(build(base.replace("power_kw = 5", "power_kw = 5000"))) if "in W?" in n]
    assert note.startswith("asset bat-a: power_kw 5000 kW is far more than node grid carries")
