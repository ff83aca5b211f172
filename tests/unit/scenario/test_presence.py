"""When assets are there, by their two times."""

from __future__ import annotations

from datetime import date

import numpy as np

from gridopt.assets import family
from gridopt.clock import day_axis
from gridopt.scenario.assets import AssetTable
from gridopt.scenario.presence import presence

AXIS = day_axis(date(2026, 1, 15), 1, 60, "Europe/Paris")


def table(name: str, **user: list[float]) -> AssetTable:
    """Assets a, b, c … with the columns given."""
    columns = {key: np.array(values) for key, values in user.items()}
    ids = tuple("abcdefgh"[: len(next(iter(columns.values())))])
    return AssetTable(family(name), ids, columns, {}, ("current",) * len(ids), ("",) * len(ids))


def test_whole_steps_between_two_times_clipped_to_the_horizon() -> None:
    cars = table("ev-session", arrive=[8.1, -3.0, 30.0, 8.2, 12.0], depart=[12.9, 2.0, 40.0, 8.9, 11.0])
    there = presence([cars], AXIS)
    assert {k: (s.start, s.stop) for k, s in there.items() if s.start < s.stop} == {"a": (9, 12), "b": (0, 2)}
    assert set(there) == set("abcde")


def test_a_time_left_out_is_an_edge_and_others_are_there_always() -> None:
    nan = float("nan")
    cars = table("ev-session", arrive=[nan, 8.0], depart=[12.0, nan])
    assert presence([cars], AXIS) == {"a": slice(0, 12), "b": slice(8, 24)}
    assert presence([table("battery", capacity_kwh=[1.0])], AXIS) == {"a": slice(0, 24)}
