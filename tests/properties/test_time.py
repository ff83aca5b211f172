"""Half steps with the same inputs: never dearer, and no cheaper where everything is linear and lossless.

A store that loses energy standing is left out: it is charged at the end of a step and loses over all of it, so that
half steps lose a little more of what is charged. So is a zone's discomfort: it is judged at the end of a step, and half
steps look in between.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gridopt.model.inputs import Pin
from tests.support.changes import halved
from tests.support.districts import (
    Device,
    Sketch,
    assert_never_worse,
    energy_price,
    hours,
    node,
    optimum,
)
from tests.support.draw import drawn, feasible, sketches

EXACT_IN_TIME: dict[str, dict[str, Any]] = {
    # Standing full is judged at the end of a step too.
    "battery": {"loss_per_h": 0.0, "dwell_eur_per_kwh_per_h": 0.0},
    # So is energy that shall come at once, and half a ramp is all of one in half a step.
    "lighting": {"ramp_per_h": None},
    "hot-water-tank": {"loss_per_h": 0.0},
    "thermal-store": {"loss_per_h": 0.0},
    # Enough for a step at the minimum current, else the mean over the step may be lower and half a step's is not.
    "ev-session": {"energy_kwh": 6.0, "at_once_kwh": 0.0, "at_once_soc": 0.0},
    # From inside the band, strong, and never worth leaving the band.
    "heat-pump-building": {
        "temperature_start_c": 20.0, "discomfort_eur_per_kh": 100.0, "power_kw": 4.0, "resistance_k_per_kw": 5.0,
    },
    "booked-rooms": {"booked": 0.0, "window_open": 0.0, "discomfort_eur_per_kh": 100.0},
    "cold-store": {
        "resistance_k_per_kw": 6.0, "capacity_kwh_per_k": 5.0, "part_load": 0.0, "min_up_h": 0.0, "min_down_h": 0.0,
        "discomfort_eur_per_kh": 100.0,
    },
    # From inside the band.
    "basin": {"level_start_m3": 50.0},
    # A rebound follows sooner upon half a step.
    "diffuse-heaters": {"opted_out": 4.0},
}  # fmt: skip
LINEAR: dict[str, dict[str, Any]] = {
    "battery": {
        "loss_per_h": 0.0, "efficiency_in": 1.0, "efficiency_out": 1.0, "dwell_eur_per_kwh_per_h": 0.0,
        "taper_in_soc": 1.0, "taper_out_soc": 0.0,
    },
    "thermal-store": {"loss_per_h": 0.0},
    "ev-session": {"current_min_a": 0.0, "v2g_kw": 0.0, "at_once_kwh": 0.0, "at_once_soc": 0.0},
    "hot-water-tank": {"loss_per_h": 0.0, "power_min_kw": 0.0},
    "gas-boiler": {"power_min_kw": 0.0},
    "converter": {"power_min_kw": 0.0},
    "electric-boiler": {"power_min_kw": 0.0},
    # Not heated at all: a zone forgets exponentially.
    "booked-rooms": {"booked": 0.0, "setback_c": -50.0},
}  # fmt: skip


def but(s: Sketch, changes: dict[str, dict[str, Any]]) -> Sketch:
    """Devices with other parameters."""
    return replace(s, devices=tuple(replace(d, given={**d.given, **changes.get(d.family, {})}) for d in s.devices))


@drawn(60, 1500, s=sketches(steps=(2, 4), surely="ev-session"))
def test_half_steps_never_cost_more(s: Sketch) -> None:
    s = but(s, EXACT_IN_TIME)
    assert_never_worse(s, halved(s))


@drawn(
    60, 1500, s=sketches(homes=("load", "pv", "battery", "ev-session", "hot-water-tank"), plant=False, steps=(2, 4)),
)  # fmt: skip
def test_half_steps_cost_the_same_where_all_is_linear_and_lossless(s: Sketch) -> None:
    s = replace(but(s, LINEAR), commitments=tuple(c for c in s.commitments if c.id not in ("breach", "one-sided")))
    coarse, fine = feasible(s), optimum(halved(s))
    assert abs(coarse.cost_eur - fine.cost_eur) <= 1e-6 * coarse.size_eur
    assert abs(coarse.solution.emergency - fine.solution.emergency) <= 3e-5


@drawn(15, 300, s=sketches(homes=("load", "battery"), surely="thermal-store", steps=(2, 4)))
def test_half_steps_cost_the_same_in_a_plant_without_an_engine(s: Sketch) -> None:
    s = replace(s, devices=tuple(d for d in s.devices if d.family != "chp"), pins=())
    s = replace(but(s, LINEAR), commitments=tuple(c for c in s.commitments if c.id not in ("breach", "one-sided")))
    coarse, fine = feasible(s), optimum(halved(s))
    assert abs(coarse.cost_eur - fine.cost_eur) <= 1e-6 * coarse.size_eur
    assert abs(coarse.solution.emergency - fine.solution.emergency) <= 3e-5


@pytest.mark.parametrize("step_min", [60, 30])
def test_a_zone_is_exact_on_any_step(step_min: int) -> None:
    """Held inputs lead to the same temperatures at the same times, whatever the step."""
    axis = hours(4 * 60 // step_min, step_min)
    outdoor, power = np.array([5.0, -3.0, 2.0, 8.0]), np.array([0.5, 3.0, 1.0, 0.0])
    each = 60 // step_min
    zone = {
        "resistance_k_per_kw": 4.0, "capacity_kwh_per_k": 1.5, "power_kw": 3.0, "cop": 3.0,
        "outdoor_c": np.repeat(outdoor, each), "comfort_min_c": -50.0, "comfort_max_c": 90.0,
    }  # fmt: skip
    s = Sketch(axis, (node(axis, "grid"),), (Device("zone", "heat-pump-building", ("grid",), zone),))
    pins = [Pin("zone", "heat_pump_kw", t, t + 1, float(p)) for t, p in enumerate(np.repeat(power, each))]
    plan = optimum(replace(s, pins=tuple(pins), commitments=(energy_price(axis, "grid", 0.1),)))
    expected, now = [], 20.0
    for t in range(4):
        steady = outdoor[t] + 4.0 * 3.0 * power[t]
        now = steady + (now - steady) * np.exp(-1 / 6.0)
        expected.append(now)
    np.testing.assert_allclose(plan.value("zone", "temperature_c")[each - 1 :: each], expected, atol=1e-6)
    assert plan.cost_eur == pytest.approx(0.1 * power.sum())
