"""What a day comes to by rule: energies by hand, and the words for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gridopt.jobs.check import MOST, figures, words
from gridopt.scenario.load import load

TOML = """\
format = 1
[horizon]
start = "2026-01-15"
step_min = 60
[schedule.use]
default = 2
rules = [{ from = "18:00", to = "20:00", value = 61 }]
[node.grid]
[node.parking]
parent = "grid"
import_max_kw = 5
[commitment.supply]
kind = "energy"
node = "grid"
buy_eur_per_kwh = 0.2
[asset.office]
family = "load"
node = "grid"
power_kw = "use"
[asset.roof]
family = "pv"
node = "grid"
peak_kw = 4
yield_kw_per_kw = 0.5
[asset.car]
family = "ev-session"
node = "parking"
arrive = "08:00"
depart = "18:00"
energy_kwh = 9.2
power_kw = 8
"""


@pytest.fixture
def day(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "scenario.toml").write_text(TOML)
    return figures(load(tmp_path).inputs)


def test_energies_and_peaks_by_hand(day: dict[str, Any]) -> None:
    """22 h at 2 kW and 2 h at 61 kW; 24 h at 2 kW from the roof; 10 kWh for the car at no more than 5 kW."""
    by_id = {a["id"]: a for a in day["assets"]}
    office, roof, car = by_id["office"], by_id["roof"], by_id["car"]
    assert (office["drawn_kwh"], office["peak_drawn_kw"], office["fed_kwh"]) == pytest.approx((166, 61, 0))
    assert (roof["drawn_kwh"], roof["fed_kwh"], roof["peak_fed_kw"]) == pytest.approx((0, 48, 2))
    assert (car["drawn_kwh"], car["peak_drawn_kw"]) == pytest.approx((10, 5))
    assert day["nodes"]["grid"]["import_kwh"] == pytest.approx(166 - 48 + 10)
    assert day["nodes"]["parking"]["peak_import_kw"] == pytest.approx(5)


def test_words_name_those_that_move_the_most_first(day: dict[str, Any]) -> None:
    assert words(day) == [
        "With every device run by its own rule:",
        "  node grid: draws 128.0 kWh, peak 59.0 kW",
        "  node parking: draws 10.0 kWh, peak 5.0 kW",
        "  load office: draws 166.0 kWh, peak 61.0 kW",
        "  pv roof: gives 48.0 kWh, peak 2.0 kW",
        "  ev-session car: draws 10.0 kWh, peak 5.0 kW",
    ]


def test_words_stay_few_in_a_large_district(day: dict[str, Any]) -> None:
    office = next(a for a in day["assets"] if a["id"] == "office")
    many = [{**office, "id": f"office-{k}", "drawn_kwh": 1000.0 + k} for k in range(MOST + 3)]
    still = {**office, "id": "still", "drawn_kwh": 0.0}
    lines = words({"nodes": day["nodes"], "assets": [*many, still]})[3:]
    assert len(lines) == MOST + 1
    assert lines[0] == f"  load office-{MOST + 2}: draws 1 022.0 kWh, peak 61.0 kW"
    assert lines[-1] == "  and 3 assets more, that move less"


def test_ports_of_a_device_on_several_nodes_are_told_apart(day: dict[str, Any]) -> None:
    engine = {"id": "chp", "family": "chp", "fed_kwh": 0.0, "peak_fed_kw": 0.0, "peak_drawn_kw": 1.0}
    assets = [{**engine, "port": port, "drawn_kwh": kwh} for port, kwh in (("gas", 30.0), ("heat", 20.0))]
    assert [line.partition(":")[0] for line in words({"nodes": {}, "assets": assets})[1:]] == [
        "  chp chp (gas)",
        "  chp chp (heat)",
    ]
