"""The one unit rule: the end of a name is its unit, for every name of every family."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from gridopt.assets import FAMILY_NAMES, family
from gridopt.units import SUFFIXES, unit_of

FRACTIONS = {
    # shares, flags, counts and ratios: numbers without a unit
    "efficiency", "efficiency_in", "efficiency_out", "electric_efficiency", "electric_efficiency_min",
    "thermal_efficiency", "thermal_efficiency_min", "soc_min", "soc_max", "soc_start", "soc_end", "level_min",
    "level_max", "level_start", "level_end", "keep", "phases", "cop", "cop_nominal", "fuel_slope", "heat_slope",
    "was_on", "may_start", "run_steps", "due", "on", "start", "undone", "starts_today", "starts_left", "new_day",
    "into", "pumps", "may_run", "window_end", "keep_on", "pause_steps", "rest_steps", "wants_more",
    "allowed", "may_then", "then_start", "then_steps", "gap_steps",
    "cycles_per_day", "cycles_today", "dwell_soc", "taper_in_soc", "taper_in_power", "taper_out_soc",
    "taper_out_power", "day_last", "daily", "capped", "soc_arrive", "soc_depart", "at_once_soc", "even", "waits",
    "shear",
    "points", "floor", "night", "light_start",
    "pasteurise", "may_begin", "due_in_steps", "hold_steps", "every_steps", "lead_steps", "timer", "once",
    "booked", "window_open", "open_loss", "flats", "opted_out", "begun", "rebound_share", "returned_share", "cut_steps",
    "rebound_steps", "eer", "eer_nominal", "part_load",
    "out_of_service", "cut_runs", "may_stop",
}  # fmt: skip


def names() -> Iterator[tuple[str, str]]:
    """Every number that a family speaks of."""
    for name in FAMILY_NAMES:
        of = family(name)
        numbers = [p.name for p in of.parameters if p.kind in ("scalar", "series", "list")]
        numbers += [*of.column_names(), *of.commands, *of.states, *of.shortfalls, *of.emergencies]
        numbers += [*(c.name for c in of.costs), *(f"{p.name}_kw" for p in of.ports)]
        for number in dict.fromkeys(numbers):
            yield name, number


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("power_kw", "kW"), ("soc_kwh", "kWh"), ("step_h", "h"), ("step_min", "min"), ("soc_min", ""), ("on", ""),
        ("objective_eur", "EUR"), ("price_eur_per_kwh", "EUR/kWh"), ("price_eur_per_kw", "EUR/kW"),
        ("price_eur_per_h", "EUR/h"), ("price_eur_per_t", "EUR/t"), ("recovery_eur_per_kwh_per_h", "EUR/(kWh·h)"),
        ("discomfort_eur_per_kh", "EUR/(K·h)"), ("discomfort_kh", "K·h"), ("loss_per_h", "1/h"),
        ("resistance_k_per_kw", "K/kW"), ("capacity_kwh_per_k", "kWh/K"), ("ua_kw_per_k", "kW/K"), ("under_k", "K"),
        ("temperature_c", "°C"), ("current_min_a", "A"), ("intensity_g_per_kwh", "g/kWh"), ("co2_kg", "kg"),
        ("factor_kg_per_kwh", "kg/kWh"), ("yield_kw_per_kw", "kW/kW"), ("pv_kw_per_kwp", "kW/kWp"),
        ("ghi_w_per_m2", "W/m²"), ("solar_gain_kw_per_m2", "kW/m²"), ("azimuth_deg", "°"), ("voltage_v", "V"),
        ("level_m3", "m³"), ("inflow_m3_per_h", "m³/h"), ("lift_kwh_per_m3", "kWh/m³"), ("starts_max_per_day", "1/day"),
        ("frequency_hz", "Hz"), ("settle_s", "s"), ("wind_m_per_s", "m/s"), ("efficiency", ""), ("kw", ""), ("", ""),
    ],
)  # fmt: skip
def test_the_end_of_a_name_is_its_unit(name: str, unit: str) -> None:
    assert unit_of(name) == unit


def test_no_unit_is_read_as_the_end_of_a_longer_one() -> None:
    for before, after in itertools.combinations(SUFFIXES, 2):
        assert not after.endswith(before), f"{after} would be read as {before}: move it up"
    for suffix, unit in SUFFIXES.items():
        assert unit_of(f"x{suffix}") == unit


def test_every_number_of_every_family_says_its_unit() -> None:
    bare = {number for _, number in names() if not unit_of(number)}
    assert bare <= FRACTIONS, bare - FRACTIONS
    assert {number for _, number in names()} >= FRACTIONS, "a fraction that no family has"


def test_a_ratio_is_read_as_a_ratio() -> None:
    wrong = {f"{of}.{number}": unit_of(number) for of, number in names() if "_per_" in number}
    assert wrong
    assert {k: unit for k, unit in wrong.items() if "/" not in unit} == {}
