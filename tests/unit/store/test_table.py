"""The table for people: what stands in its cells, by hand."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from gridopt.clock import Axis
from gridopt.store.run_folder import Run, Series, Setpoint
from gridopt.store.table import wide_table

AUTUMN = Axis(datetime(2026, 10, 24, 23, 0, tzinfo=UTC), 60, 4, "Europe/Paris")


def series(quantity: str, values: list[float], first: int = 0, **words: str) -> Series:
    return Series(quantity, np.array(values), first, **words)


RUN = Run(
    AUTUMN,
    {"plan_id": "tiny-1", "start_state": {"bat-a": {"soc_kwh": 5.0, "source": "scenario"}, "chp": {"on": 1.0}}},
    [
        series("import_kw", [0.0, 1234.5678, 0.0, 2.0], node="grid"),
        series("export_kw", [1.0, 0.0, -1e-9, 0.0], node="grid"),
        series("marginal_price_eur_per_kwh", [0.2] * 4, node="grid"),
        series("power_kw", [-1.0, 2.0, 0.0, 0.0], node="grid", asset="bat-a", port="ac"),
        series("charge_kw", [0.0, 2.0, 0.0, 0.0], node="grid", asset="bat-a"),
        series("soc_kwh", [4.0, 6.0, 6.0, 6.0], node="grid", asset="bat-a"),
        series("power_kw", [7.4, 0.0], 2, node="grid", asset="car-é", port="ac"),
        series("short_kwh", [1.5], 2, node="grid", asset="car-é"),
        series("power_kw", [-4.0] * 4, node="grid", asset="chp", port="ac"),
        series("power_kw", [-6.0] * 4, node="heat", asset="chp", port="heat"),
        series("on", [1.0, 1.0, 0.0, 0.0], asset="chp"),
    ],
    [
        Setpoint("charger; 1", "current", "A", np.array([32.0]), 0),
        Setpoint("charger; 1", "current", "A", np.array([6.1, 0.0]), 2),
        Setpoint("chp", "on_off", "", np.array([1.0, 1.0, 0.0, 0.0]), 0),
    ],
    {},
    [],
)


@pytest.fixture
def lines() -> list[list[str]]:
    return list(csv.reader(io.StringIO(wide_table(RUN, 1).decode("utf-8-sig")), delimiter=";"))


def column(lines: list[list[str]], title: str) -> list[str]:
    (k,) = (k for k, name in enumerate(lines[1]) if name == title)
    return [line[k] for line in lines[2:]]


def test_it_says_what_it_is_and_what_stands_where(lines: list[list[str]]) -> None:
    assert lines[0][:3] == ["format = 1", "plan tiny-1", "local time of Europe/Paris"]
    assert lines[1] == [
        "time", "UTC offset", "grid import [kW]", "grid export [kW]", "bat-a power [kW]", "bat-a soc [kWh]",
        "car-é power [kW]", "chp ac power [kW]", "chp heat power [kW]", "chp on", "setpoint of charger; 1: current [A]",
        "setpoint of chp: on off",
    ]  # fmt: skip


def test_the_hour_that_comes_twice_is_told_apart(lines: list[list[str]]) -> None:
    assert [line[:2] for line in lines[2:]] == [
        ["2026-10-25 01:00", "+02:00"],
        ["2026-10-25 02:00", "+02:00"],
        ["2026-10-25 02:00", "+01:00"],
        ["2026-10-25 03:00", "+01:00"],
    ]


def test_numbers_have_decimal_commas_and_no_zeros_to_spare(lines: list[list[str]]) -> None:
    assert column(lines, "grid import [kW]") == ["0", "1234,568", "0", "2"]
    assert column(lines, "grid export [kW]") == ["1", "0", "0", "0"]
    assert column(lines, "bat-a power [kW]") == ["-1", "2", "0", "0"]
    assert column(lines, "bat-a soc [kWh]") == ["4", "6", "6", "6"]
    assert column(lines, "chp on") == ["1", "1", "0", "0"]


def test_a_device_has_empty_cells_outside_its_own_window(lines: list[list[str]]) -> None:
    assert column(lines, "car-é power [kW]") == ["", "", "7,4", "0"]
    assert column(lines, "setpoint of charger; 1: current [A]") == ["32", "", "6,1", "0"]


def test_it_opens_by_a_double_click() -> None:
    content = wide_table(RUN, 1)
    assert content.startswith("\ufefffor".encode())
    assert b"\r\n" in content
    assert 'setpoint of charger; 1: current [A]"' in content.decode("utf-8-sig"), "a semicolon in a name is quoted"


@pytest.mark.parametrize(
    ("value", "expected"), [(100.0, "100"), (-0.0, "0"), (-0.0004, "0"), (0.0005001, "0,001"), (1e-12, "0")]
)
def test_one_number(value: float, expected: str) -> None:
    run = Run(AUTUMN, RUN.summary, [series("import_kw", [value] * 4, node="grid")], [], {}, [])
    read: Any = list(csv.reader(io.StringIO(wide_table(run, 1).decode("utf-8-sig")), delimiter=";"))
    assert column(read, "grid import [kW]") == [expected] * 4
