"""One more freedom never costs more, one less never less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from tests.support.districts import (
    Device,
    Sketch,
    assert_never_worse,
    energy_price,
    hours,
    node,
    optimum,
    peak_price,
    worth,
)
from tests.support.draw import drawn, one, run, sketches

Freer = Callable[[Sketch], Sketch]
NOTHING_AT_ONCE: dict[str, Any] = {"at_once_kwh": 0.0, "at_once_soc": 0.0}


def with_battery(s: Sketch) -> Sketch:
    """One more battery, free of wear and of standing loss."""
    free = {"capacity_kwh": 5.0, "power_kw": 2.0, "wear_eur_per_kwh": 0.0, "loss_per_h": 0.0}
    return s.with_device(Device("more", "battery", ("house-0",), free))


def with_sun(s: Sketch) -> Sketch:
    """One more PV plant, which may be curtailed."""
    return s.with_device(Device("more", "pv", ("house-0",), {"peak_kw": 3.0, "yield_kw_per_kw": 0.5}))


def with_load_that_need_not_run(s: Sketch) -> Sketch:
    """One more run that may be skipped for nothing."""
    run = {"profile_kw": [1.0], "earliest": 0.0, "latest": s.axis.steps * s.axis.step_h, "skip_eur": 0.0}
    return s.with_device(Device("more", "shiftable-load", ("house-0",), run))


def given(family: str, **better: Any) -> Freer:
    """Every device of a family with more room."""

    def change(s: Sketch) -> Sketch:
        return replace(
            s,
            devices=tuple(
                replace(d, given={**d.given, **better}) if d.family == family else d for d in s.devices
            ),
        )  # fmt: skip

    return change


def later_departure(s: Sketch) -> Sketch:
    """Cars stay two steps longer, and want no more."""
    for d in [d for d in s.devices if d.family == "ev-session"]:
        later = {"depart": d.given["depart"] + 2 * s.axis.step_h, **NOTHING_AT_ONCE}
        s = s.with_device(replace(d, given={**d.given, **later}))
    return s


def free_end(s: Sketch) -> Sketch:
    """Batteries need not be as full at the end as they were; what has a value then keeps it."""
    for d in s.devices:
        if d.family == "battery" and d.given["end"] != "value":
            s = s.with_device(replace(d, given={**d.given, "end": "free"}))
    return s


FREER: dict[str, tuple[Freer, str]] = {
    "one-more-battery": (with_battery, ""),
    "one-more-curtailable-plant": (with_sun, ""),
    "one-more-run": (with_load_that_need_not_run, ""),
    "curtailment": (given("pv", curtailable=True), "pv"),
    "battery-power": (given("battery", power_kw=6.0), "battery"),
    "battery-end": (free_end, "battery"),
    "no-minimum-current": (given("ev-session", current_min_a=0.0), "ev-session"),
    # What shall come at once is measured by what full power could bring.
    "stronger-charger": (given("ev-session", power_kw=22.0, phases=1.0, **NOTHING_AT_ONCE), "ev-session"),
    "more-than-a-days-cycles": (given("battery", cycles_per_day=None), "battery"),
    "no-taper": (given("battery", taper_in_soc=1.0, taper_out_soc=0.0), "battery"),
    "no-ageing": (given("battery", dwell_eur_per_kwh_per_h=0.0), "battery"),
    "back-to-the-grid": (given("ev-session", v2g_kw=5.0, soc_arrive=0.4, **NOTHING_AT_ONCE), "ev-session"),
    "nothing-at-once": (given("ev-session", **NOTHING_AT_ONCE), "ev-session"),
    "one-price-of-a-shortfall": (given("ev-session", sharing="price"), "ev-session"),
    "calm-lamps": (given("lighting", ramp_per_h=None), "lighting"),
    # A ramp gives way to a floor that rises, so that a lower one leaves it less room.
    "lower-floors": (given("lighting", floor=0.0, ramp_per_h=None), "lighting"),
    "later-departure": (later_departure, "ev-session"),
    "modulating-heat-pump": (given("heat-pump-building", power_min_kw=0.0), "heat-pump-building"),
    "modulating-tank": (given("hot-water-tank", power_min_kw=0.0), "hot-water-tank"),
    "run-in-forbidden-hours": (given("shiftable-load", allowed=1.0), "shiftable-load"),
    "second-run-later": (given("shiftable-load", then_gap_max_h=4.0), "shiftable-load"),
    "energy-that-may-lack": (given("interruptible-load", shortfall_eur_per_kwh=0.1), "interruptible-load"),
    "pump-without-minimum": (given("basin", power_min_kw=0.0), "basin"),
    "stronger-pump": (given("basin", power_kw=4.0), "basin"),
    "cell-of-many-starts": (given("fuel-cell", starts_max_per_day=9.0), "fuel-cell"),
    "free-venting": (given("hydrogen-source", vent_eur_per_kwh=0.0), "hydrogen-source"),
    "stronger-buffer": (given("hydrogen-store", power_kw=20.0), "hydrogen-store"),
    "run-that-may-be-skipped": (given("shiftable-load", skip_eur=0.0), "shiftable-load"),
    "engine-without-minimum-times": (given("chp", min_up_h=0.0, min_down_h=0.0), "chp"),
    "engine-cooler": (given("chp", dump=True), "chp"),
    "boiler-without-minimum": (given("gas-boiler", power_min_kw=0.0), "gas-boiler"),
    "heater-without-minimum": (given("converter", power_min_kw=0.0), "converter"),
    "stronger-store": (given("thermal-store", power_kw=20.0), "thermal-store"),
}
"""What is freer, and the family that is needed for it."""


@pytest.mark.parametrize("examples", [12, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FREER)
def test_more_freedom_never_costs_more(name: str, examples: int) -> None:
    change, surely = FREER[name]
    run(lambda s: assert_never_worse(s, change(s)), examples, s=sketches(most=3, surely=surely, plant=not surely))


@drawn(30, 800, s=sketches(broken=1))
def test_back_in_service_costs_no_more(s: Sketch) -> None:
    assert_never_worse(s, replace(s, pins=()))


# --- limits ----------------------------------------------------------------------------------------------------------


def narrower(s: Sketch, at: str, **limits: Any) -> Sketch:
    """One node with other limits."""
    return replace(s, nodes=tuple(replace(n, **limits) if n.id == at else n for n in s.nodes))


@drawn(
    60, 1500, s=sketches(), at=one("grid", "house-0"), side=one("import_max_kw", "export_max_kw"),
    factor=one(0.05, 0.2, 0.5), first=st.integers(0, 2), last=st.integers(1, 6),
)  # fmt: skip
def test_a_tighter_limit_never_costs_less(s: Sketch, at: str, side: str, factor: float, first: int, last: int) -> None:
    limit = next(getattr(n, side) for n in s.nodes if n.id == at).copy()
    limit[first:last] *= factor
    assert_never_worse(narrower(s, at, **{side: limit}), s)


@drawn(60, 1500, s=sketches(), at=one("grid", "house-0"), reserve=one(1.0, 3.0, 6.0))
def test_a_reserve_only_tightens(s: Sketch, at: str, reserve: float) -> None:
    """More of it never costs less, and it costs what limits smaller by as much cost."""
    old = next(n for n in s.nodes if n.id == at)
    kept = narrower(s, at, reserve_kw=np.full(s.axis.steps, reserve))
    assert_never_worse(kept, s)
    cut = narrower(s, at, import_max_kw=old.import_max_kw - reserve, export_max_kw=old.export_max_kw - reserve)
    assert worth(kept)[:2] == pytest.approx(worth(cut)[:2], rel=1e-9, abs=1e-9)


def test_a_tighter_limit_does_cost_something() -> None:
    """What is never less is not always the same: 4 kW for an hour must move to where power is dearer."""
    axis = hours(2)
    car = {"arrive": 0.0, "depart": 2.0, "energy_kwh": 4.0, "power_kw": 7.0, "efficiency": 1.0, "current_min_a": 0.0}
    price = energy_price(axis, "grid", [0.1, 0.3])
    s = Sketch(axis, (node(axis, "grid", most=4.0),), (Device("car", "ev-session", ("grid",), car),), (price,))
    assert optimum(s).cost_eur == pytest.approx(0.4)
    assert optimum(narrower(s, "grid", import_max_kw=np.full(2, 3.0))).cost_eur == pytest.approx(0.6)
    assert optimum(narrower(s, "grid", reserve_kw=np.full(2, 1.0))).cost_eur == pytest.approx(0.6)


# --- peaks -----------------------------------------------------------------------------------------------------------


@drawn(60, 1500, s=sketches(contracts=False), price=one(0.2, 1.0), past=one(0.0, 1.0, 2.5), more=one(0.5, 4.0))
def test_a_higher_peak_so_far_never_costs_more(s: Sketch, price: float, past: float, more: float) -> None:
    """And never saves more than its own price."""

    def reached(kw: float) -> Sketch:
        return replace(s, commitments=(*s.commitments, peak_price(s.axis, "grid", price, so_far=kw)))

    assert_never_worse(reached(past), reached(past + more))
    (_, low, size), (_, high, _) = worth(reached(past)), worth(reached(past + more))
    assert low - high <= more * price + 1e-6 * size
