"""A district in which every registered family occurs: buildings, plants and one tree of limits, drawn from a seed.

Of ten buildings eight are homes, one is a block of flats and one is public (a school, an office); the plants grow with
their number, so that eight buildings are a small likeness of a hundred. Electricity: transformer → feeders → buildings
→ charger groups, and a feeder of the plants. Heat: a network with its plants, and two branches behind substations. Gas
is bought, hydrogen is a by-product.

``PLACES`` says of every family where it stands. Each draws from its own generator, seeded by its name: the others stay
as they are when one is changed, or left out.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gridopt.assets import FAMILY_NAMES, family
from gridopt.assets.base import Parameter
from gridopt.clock import Axis, day_axis
from gridopt.model.inputs import Commitment, Flow, Inputs, Node, Target
from gridopt.scenario.assets import AssetTable
from gridopt.scenario.load import Scenario

Floats = npt.NDArray[np.float64]
DAY = date(2026, 1, 15)
HOMES_KW, PUBLIC_KW = 17.0, 60.0
"""What the connection of a home, and of a larger building, carries either way."""
TEN = 10
FLATS, PUBLIC = 3, 7
"""Of every ten buildings, the block of flats and the public one."""
PER_FEEDER = 25
FULL = 100
"""Buildings for which the plants have the sizes below."""


@dataclass(frozen=True)
class Said:
    """One asset as a user would describe it. ``at``: the node of every port, in the family's order."""

    id: str
    at: tuple[str, ...]
    given: Mapping[str, Any]


class District:
    """One seeded district while it is being drawn."""

    def __init__(self, buildings: int, axis: Axis, seed: int) -> None:
        self.buildings, self.axis, self.seed = buildings, axis, seed
        self.size = buildings / FULL
        self.hour = axis.local_hour
        self.rng = self._draws("weather and prices")
        h, rng = self.hour, self.rng
        noise = rng.normal(0, 0.004, axis.steps)
        self.spot = 0.09 + 0.05 * bell(h, 8, 2) + 0.09 * bell(h, 18.5, 2.2) - 0.07 * bell(h, 13, 2.5) + noise
        self.outdoor_c = 2.0 + 4.0 * np.cos((h - 15) / 24 * 2 * np.pi) + rng.normal(0, 0.1, axis.steps)
        self.sun = np.clip(np.sin((h - 7) / 10 * np.pi), 0, None) * ((h > 7) & (h < 17))
        self.night = np.clip(np.abs(h + 0.5 * axis.step_h - 12.5) - 4.0, 0, axis.step_h) / axis.step_h
        self.nodes: dict[str, Node] = {}
        self.assets: dict[str, list[Said]] = {}
        self._add_nodes()

    def _draws(self, what: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(what.encode())])

    def place(self, name: str) -> None:
        """Draw a family's assets."""
        self.rng = self._draws(name)
        PLACES[name](self)

    # --- where ---

    def feeder(self, building: int) -> str:
        return f"feeder-{building * self.feeders // self.buildings}"

    @property
    def feeders(self) -> int:
        return max(2, round(self.buildings / PER_FEEDER))

    @property
    def homes(self) -> list[int]:
        return [k for k in range(self.buildings) if k % TEN not in (FLATS, PUBLIC)]

    def each(self, kind: int) -> list[int]:
        """The blocks of flats, or the public buildings."""
        return [k for k in range(self.buildings) if k % TEN == kind]

    def some_homes(self, share: float) -> list[int]:
        count = max(1, round(share * len(self.homes)))
        return sorted(self.rng.choice(self.homes, count, replace=False).tolist())

    def _add_nodes(self) -> None:
        n, wide = self.buildings, 1e4
        self._node("grid", "electricity", None, 1.35 * n + 25)
        for k in range(self.feeders):
            below = sum(self.feeder(b) == f"feeder-{k}" for b in range(n))
            self._node(f"feeder-{k}", "electricity", "grid", 2.7 * below + 20)
        self._node("plants", "electricity", "grid", 4.0 * n)
        for k in range(n):
            home = k % TEN not in (FLATS, PUBLIC)
            self._node(building(k), "electricity", self.feeder(k), HOMES_KW if home else PUBLIC_KW)
            if not home:
                self._node(charging(k), "electricity", building(k), 22.0, 11.0)
        self._node("gas", "gas", None, wide, 0.0)
        self._node("heat", "heat", None, 0.0)
        for k in range(2):
            self._node(f"heat-branch-{k}", "heat", None, 0.0)
        self._node("hydrogen", "hydrogen", None, 0.0)

    def _node(self, name: str, carrier: str, parent: str | None, most_kw: float, out_kw: float | None = None) -> None:
        T = self.axis.steps
        out = most_kw if out_kw is None else out_kw
        self.nodes[name] = Node(name, carrier, parent, np.full(T, most_kw), np.full(T, out), np.zeros(T))

    # --- what ---

    def add(self, name: str, asset: str, at: str | Sequence[str], **given: Any) -> None:
        self.assets.setdefault(name, []).append(Said(asset, (at,) if isinstance(at, str) else tuple(at), given))

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def rough(self, sharpness: float = 8.0) -> Floats:
        """Noise around 1, step by step."""
        return self.rng.gamma(sharpness, 1 / sharpness, self.axis.steps)

    # --- the whole ---

    def tables(self) -> tuple[AssetTable, ...]:
        return tuple(_table(name, some, self.axis) for name, some in sorted(self.assets.items()))

    def commitments(self) -> tuple[Commitment, ...]:
        """Energy at the transformer, a local fee of every home, a charge of the day's peak, gas."""
        T = self.axis.steps
        none, step, day = np.zeros(T), np.arange(T), np.zeros(T, np.int64)
        buy = self.spot + 0.14 + (0.35 + 0.1 * np.cos((self.hour - 19) / 24 * 2 * np.pi)) * 0.08
        peak = (Flow(1.0, node="grid", side="import"),)
        terms = [
            Commitment("supply", (Flow(1.0, node="grid"),), "energy", step, none, buy, -(self.spot - 0.01)),
            Commitment("peak", peak, "peak", day, none, np.array([0.25]), np.zeros(1)),
            Commitment("gas", (Flow(1.0, node="gas"),), "energy", step, none, np.full(T, 0.07), none),
        ]
        terms += [
            Commitment(f"fee-{building(k)}", (Flow(1.0, node=building(k)),), "energy", step, none, none + 0.03, none)
            for k in self.homes
        ]
        return tuple(sorted(terms, key=lambda c: c.id))


def catalogue(
    buildings: int = FULL,
    seed: int = 1,
    step_min: int = 15,
    target: Target | None = None,
    families: Sequence[str] = FAMILY_NAMES,
    day: date = DAY,
    days: int = 1,
) -> Scenario:
    """The district of that many buildings from a winter day on, as a scenario (``.inputs`` is what is planned)."""
    d = drawn(buildings, seed, day_axis(day, days, step_min, "Europe/Paris"), families)
    return Scenario(
        name="catalogue", title=f"{buildings} buildings with every family", folder=Path("."), axis=d.axis,
        tables=d.tables(), nodes=tuple(d.nodes[name] for name in sorted(d.nodes)), commitments=d.commitments(),
        pins=(), rules=(), target=target or Target(), sources={}, notes=(), limits_in={}, document={},
    )  # fmt: skip


def drawn(buildings: int, seed: int, axis: Axis, families: Sequence[str] = FAMILY_NAMES) -> District:
    """The district on any axis, asset by asset."""
    d = District(buildings, axis, seed)
    for name in families:
        d.place(name)
    return d


def inputs(buildings: int = FULL, seed: int = 1, target: Target | None = None) -> Inputs:
    """The same in quarter-hours, ready to plan."""
    return catalogue(buildings, seed, target=target).inputs


def building(k: int) -> str:
    return f"house-{k:04d}"


def charging(k: int) -> str:
    return f"{building(k)}-charging"


def bell(hour: Floats, centre: float, width: float) -> Floats:
    return np.asarray(np.exp(-(((hour - centre) / width) ** 2)), np.float64)


# --- user columns ----------------------------------------------------------------------------------------------------


def _table(name: str, some: Sequence[Said], axis: Axis) -> AssetTable:
    some = sorted(some, key=lambda s: s.id)
    found = family(name)
    unknown = {key for s in some for key in s.given} - {p.name for p in found.parameters}
    if unknown:
        raise KeyError(f"{name} has no {', '.join(sorted(unknown))}")
    return AssetTable(
        found,
        tuple(s.id for s in some),
        {p.name: _column(p, [s.given.get(p.name, p.default) for s in some], axis) for p in found.parameters},
        {port.name: tuple(s.at[k] for s in some) for k, port in enumerate(found.ports)},
        (found.control,) * len(some),
        ("",) * len(some),
    )


def _column(p: Parameter, values: Sequence[Any], axis: Axis) -> Any:
    """What is said of every asset, as ``Family.prepare`` takes it."""
    if p.kind in ("list", "choice"):
        out = np.empty(len(values), object)
        out[:] = [np.asarray(v, np.float64) if p.kind == "list" else v for v in values]
        return out
    if any(v is None for v in values) and not p.optional:
        raise ValueError(f"{p.name} is required")
    numbers = [np.nan if v is None else v for v in values]
    if p.kind == "series":
        return np.array([np.broadcast_to(np.asarray(v, np.float64), axis.steps) for v in numbers])
    return np.array(numbers, bool if p.kind == "flag" else np.float64)


# --- every family's place --------------------------------------------------------------------------------------------

PLACES: dict[str, Callable[[District], None]] = {}


def place(name: str) -> Callable[[Callable[[District], None]], Callable[[District], None]]:
    def register(draw: Callable[[District], None]) -> Callable[[District], None]:
        PLACES[name] = draw
        return draw

    return register


@place("load")
def _load(d: District) -> None:
    h = d.hour
    at_home = 0.25 + 0.35 * bell(h, 7.5, 1.5) + 0.75 * bell(h, 19.5, 2.5)
    at_work = 0.15 + 0.85 * np.clip((h - 7) / 1.5, 0, 1) * np.clip((18.5 - h) / 1.5, 0, 1)
    for k in range(d.buildings):
        shape = {FLATS: 6 * at_home, PUBLIC: 9 * at_work}.get(k % TEN, at_home)
        scale = d.rng.lognormal(0, 0.35 if k in d.homes else 0.15)
        d.add("load", f"load-{k:04d}", building(k), power_kw=np.round(scale * shape * d.rough(), 6))


@place("pv")
def _pv(d: District) -> None:
    for k in (*d.some_homes(0.6), *d.each(PUBLIC)):
        sky = np.clip(d.rng.normal(0.8, 0.15, d.axis.steps), 0.05, 1)
        d.add(
            "pv", f"pv-{k:04d}", building(k), peak_kw=d.uniform(3, 10) if k in d.homes else d.uniform(30, 50),
            yield_kw_per_kw=np.round(0.75 * d.sun * sky, 6), curtailable=d.rng.random() < 0.8,
        )  # fmt: skip


@place("wind")
def _wind(d: District) -> None:
    speed = np.clip(6.5 + 2.5 * np.sin((d.hour - 4) / 24 * 4 * np.pi) + d.rng.normal(0, 0.6, d.axis.steps), 0, None)
    d.add("wind", "wind-0", "plants", peak_kw=60 * d.size, wind_m_per_s=np.round(speed, 3), hub_m=40.0)


@place("battery")
def _battery(d: District) -> None:
    for j, k in enumerate(d.some_homes(0.4)):
        capacity = d.uniform(5, 15)
        extra = ({}, {"cycles_per_day": 1.0}, {"taper_in_soc": 0.8}, {"dwell_eur_per_kwh_per_h": 0.002})[j % 4]
        d.add(
            "battery", f"battery-{k:04d}", building(k), capacity_kwh=capacity, power_kw=0.5 * capacity,
            efficiency_in=d.uniform(0.93, 0.97), efficiency_out=d.uniform(0.93, 0.97), loss_per_h=0.002,
            soc_start=d.uniform(0.2, 0.6), wear_eur_per_kwh=0.01, **extra,
        )  # fmt: skip
    d.add(
        "battery", "battery-plants", "plants", capacity_kwh=250 * d.size, power_kw=100 * d.size, cycles_per_day=1.0,
        extra_cycle_eur=20 * d.size, taper_in_soc=0.85, taper_out_soc=0.1,
    )  # fmt: skip


@place("ev-session")
def _ev_session(d: District) -> None:
    """At home overnight, or at day; in the charger groups of flats and of public buildings, too many for their fuse."""
    for k in d.some_homes(0.5):
        _home_car(d, k)
    for k in d.each(FLATS):
        for j in range(5):
            _parked_car(d, k, j, d.uniform(16, 20), 24.0, ("even", "even", "even", "v2g", "price")[j])
    for k in d.each(PUBLIC):
        for j in range(6):
            arrive = d.uniform(7, 9.5)
            _parked_car(d, k, j, arrive, arrive + d.uniform(6, 9), ("slack", "slack", "slack", "dc", "v2g", "price")[j])


def _home_car(d: District, k: int) -> None:
    """An overnight car is often still plugged in from the evening before."""
    daytime = d.rng.random() < 0.35
    arrive = quarter(d.uniform(7, 11) if daytime else d.uniform(16, 19.5))
    stays = [(arrive, min(quarter(arrive + d.uniform(4, 9)), 24.0) if daytime else 24.0)]
    if not daytime and d.rng.random() < 0.6:
        stays.append((0.0, quarter(d.uniform(6, 8.5))))
    power, phases = (11.0, 3.0) if d.rng.random() < 0.5 else (7.36, 1.0)
    for j, (begin, end) in enumerate(stays):
        energy = min(d.uniform(4, 22), 0.6 * power * 0.92 * (end - begin))
        d.add(
            "ev-session", f"ev-{k:04d}-{j}", building(k), arrive=begin, depart=end, energy_kwh=energy, power_kw=power,
            phases=phases,
        )  # fmt: skip


def _parked_car(d: District, k: int, j: int, arrive: float, depart: float, kind: str) -> None:
    arrive, depart = quarter(arrive), quarter(depart)
    said: dict[str, Any] = {"arrive": arrive, "depart": depart, "power_kw": 7.36}
    if kind == "v2g":  # reserved: content known, so much by departure, never below the range to get home
        capacity = d.uniform(45, 75)
        said |= {
            "capacity_kwh": capacity, "soc_arrive": d.uniform(0.4, 0.6), "soc_depart": 0.7, "at_once_soc": 0.3,
            "v2g_kw": 7.36, "dc": True,
        }  # fmt: skip
    else:
        said |= {"energy_kwh": d.uniform(6, 18), "sharing": kind if kind in ("even", "slack") else "price"}
    if kind == "dc":
        said |= {"dc": True, "power_kw": 20.0, "at_once_kwh": 3.0}
    d.add("ev-session", f"ev-{k:04d}-{j}", charging(k), **said)


@place("heat-pump-building")
def _heat_pump_building(d: District) -> None:
    for k in d.some_homes(0.3):
        r = d.uniform(4.0, 8.0)
        power = (21 - d.outdoor_c.min()) / r / 2.5 * 1.5
        warm = np.where((d.hour > 6) & (d.hour < 22), 20.0, 18.0) + d.uniform(-0.5, 0.5)
        d.add(
            "heat-pump-building", f"heat-pump-{k:04d}", building(k), resistance_k_per_kw=r,
            capacity_kwh_per_k=d.uniform(6.0, 14.0), power_kw=power, power_min_kw=0.3 * power, outdoor_c=d.outdoor_c,
            gain_kw=d.sun * d.uniform(0.2, 1.0), comfort_min_c=warm, comfort_max_c=24.5,
            temperature_start_c=d.uniform(20, 21), discomfort_eur_per_kh=5.0,
        )  # fmt: skip


@place("hot-water-tank")
def _hot_water_tank(d: District) -> None:
    """In homes 300 litres; where many live, or wash, a large one that must be pasteurised, by a timer or when it suits.

    A home has a heat pump, every fourth with a heater beside it, or only a heater.
    """
    for j, k in enumerate(d.some_homes(0.3)):
        capacity, pump = d.uniform(8, 14), 0.0 if j % 4 == 3 else d.uniform(1.5, 2.5)
        d.add(
            "hot-water-tank", f"tank-{k:04d}", building(k), capacity_kwh=capacity, power_kw=pump,
            power_min_kw=0.6 if pump else 0.0, heater_power_kw=2.0 if j % 4 >= 2 else 0.0,
            demand_kw=_hot_water(d, d.uniform(6, 12)), loss_per_h=0.016, outdoor_c=d.outdoor_c, level_start=0.5,
            end="free",
        )  # fmt: skip
    for k in (*d.each(FLATS), *d.each(PUBLIC)):
        flats = k % TEN == FLATS
        capacity = d.uniform(50, 70) if flats else d.uniform(25, 35)
        timer = {} if flats else {"pasteurise_at_h": 4.0}
        d.add(
            "hot-water-tank", f"tank-{k:04d}", building(k), capacity_kwh=capacity, power_kw=0.12 * capacity,
            power_min_kw=0.04 * capacity, heater_power_kw=0.15 * capacity,
            demand_kw=_hot_water(d, d.uniform(0.9, 1.2) * capacity), outdoor_c=d.outdoor_c, cop_nominal=2.8,
            pasteurise=True, since_pasteurised_h=d.uniform(4, 20), **timer,
        )  # fmt: skip


def _hot_water(d: District, day_kwh: float) -> Floats:
    draw = (bell(d.hour, 7, 1.0) + 0.8 * bell(d.hour, 20, 1.5)) * d.rough(2.0)
    return np.round(draw * day_kwh / (draw.sum() * d.axis.step_h), 6)


@place("shiftable-load")
def _shiftable_load(d: District) -> None:
    for j, k in enumerate(d.some_homes(0.5)):
        earliest = quarter(d.uniform(6, 12))
        latest = min(earliest + 4 + quarter(d.uniform(4, 11)), 24.0)
        dryer = {"then_profile_kw": (1.8, 1.2), "then_duration_h": 1.0, "then_gap_max_h": 1.0} if j % 5 == 0 else {}
        worth = {"worth_eur": 0.5} if j % 5 == 1 else {}
        d.add(
            "shiftable-load", f"wash-{k:04d}", building(k), profile_kw=np.round(d.rng.uniform(0.2, 2.0, 4), 6),
            duration_h=quarter(d.uniform(1, 2)), earliest=earliest, latest=latest, **dryer, **worth,
        )  # fmt: skip


@place("interruptible-load")
def _interruptible_load(d: District) -> None:
    """Pool filters and old storage heaters at home, ventilation that may pause in public buildings."""
    for k in d.some_homes(0.15):
        power = d.uniform(0.8, 2.0)
        quiet = np.where((d.hour < 6) | (d.hour >= 22), 0.0, 1.0) if d.rng.random() < 0.5 else 1.0
        d.add(
            "interruptible-load", f"filter-{k:04d}", building(k), energy_kwh=quarter(d.uniform(3, 7)) * power,
            power_kw=power, power_min_kw=power, allowed=quiet,
        )  # fmt: skip
    for k in d.each(PUBLIC):
        power = d.uniform(3, 6)
        d.add(
            "interruptible-load", f"ventilation-{k:04d}", building(k), energy_kwh=4.0 * power, power_kw=power,
            power_min_kw=0.4 * power, earliest=8.0, latest=18.0, pause_max_h=1.5, min_up_h=0.5,
        )  # fmt: skip


@place("booked-rooms")
def _booked_rooms(d: District) -> None:
    """Public buildings in turn on heat pumps of their own and on the heat network."""
    for j, k in enumerate(d.each(PUBLIC)):
        for part, at in enumerate((building(k), f"heat-branch-{j % 2}")):
            r = d.uniform(0.8, 1.5)
            begin, length = quarter(d.uniform(7.5, 10)), quarter(d.uniform(3, 8))
            booked = (d.hour >= begin) & (d.hour < begin + length)
            own = at == building(k)
            d.add(
                "booked-rooms", f"rooms-{k:04d}-{part}", at, resistance_k_per_kw=r, capacity_kwh_per_k=40 / r,
                power_kw=1.7 * 19 / r / (3.0 if own else 1.0), cop=3.0 if own else 1.0, outdoor_c=d.outdoor_c,
                gain_kw=booked * 2.0, booked=booked.astype(np.float64), wish_k=d.uniform(-1, 1),
                window_open=((d.hour >= begin + 2) & (d.hour < begin + 2.25)).astype(np.float64),
                temperature_start_c=17.0,
            )  # fmt: skip


@place("lighting")
def _lighting(d: District) -> None:
    for k in range(d.feeders):
        floor = np.where((d.hour >= 23) | (d.hour < 5), 0.3, 0.6)
        d.add(
            "lighting", f"lamps-{k}", f"feeder-{k}", points=float(np.round(0.6 * d.buildings / d.feeders) + 2),
            lamp_kw=0.08, floor=floor, night=d.night, light_eur_per_kwh=0.2, ramp_per_h=1.0, light_start=0.6,
        )  # fmt: skip


@place("diffuse-heaters")
def _diffuse_heaters(d: District) -> None:
    """Flats with electric heaters on the first feeder, whose owners let them be cut."""
    flats = max(4.0, round(40 * d.size))
    power = flats * (0.6 + 0.03 * (4.0 - d.outdoor_c) + 0.25 * bell(d.hour, 19, 2.5))
    d.add(
        "diffuse-heaters", "heaters-0", "feeder-0", power_kw=np.round(power, 6), flats=flats,
        opted_out=round(0.1 * flats), cut_max_kw=0.5 * flats, indoor_c=19.5,
    )  # fmt: skip


@place("cold-store")
def _cold_store(d: District) -> None:
    r = 0.8 / d.size
    d.add(
        "cold-store", "cold-store-0", "plants", resistance_k_per_kw=r, capacity_kwh_per_k=40 * d.size,
        power_kw=25 * d.size, part_load=0.32, gain_kw=(8 + 12 * ((d.hour > 6) & (d.hour < 18))) * d.size,
        outdoor_c=d.outdoor_c, eer_nominal=2.2, min_up_h=0.5, min_down_h=0.5, start_cost_eur=0.3 * d.size,
    )  # fmt: skip


@place("basin")
def _basin(d: District) -> None:
    """A lift station before the rain of the evening: two pumps, few starts."""
    inflow = (70 + 45 * bell(d.hour, 8, 2) + 35 * bell(d.hour, 20, 3) + 160 * bell(d.hour, 21, 1.2)) * d.size
    d.add(
        "basin", "basin-0", "plants", inflow_m3_per_h=np.round(inflow, 6), level_min_m3=40 * d.size,
        level_max_m3=500 * d.size, level_start_m3=200 * d.size,
        reserve_m3=150 * d.size * ((d.hour > 18) & (d.hour < 22)),
        power_kw=22 * d.size, power_min_kw=9 * d.size, pumps=2.0, lift_kwh_per_m3=0.12, min_up_h=0.5, min_down_h=0.5,
        starts_max_per_day=12.0, start_cost_eur=0.2 * d.size,
    )  # fmt: skip


@place("heat-demand")
def _heat_demand(d: District) -> None:
    for k in range(2):
        cold = 1 + 0.035 * (2.0 - d.outdoor_c)
        need = 110 * d.size * (cold + 0.4 * bell(d.hour, 7, 2) + 0.3 * bell(d.hour, 19, 3)) * d.rough(60.0)
        d.add("heat-demand", f"homes-{k}", f"heat-branch-{k}", power_kw=np.round(need, 6))
    d.add("heat-demand", "bath", "heat", power_kw=60 * d.size * (1 + 0.5 * ((d.hour > 7) & (d.hour < 21))))


@place("substation")
def _substation(d: District) -> None:
    power = 420 * d.size + 20
    for k in range(2):
        d.add(
            "substation", f"substation-{k}", ("heat", f"heat-branch-{k}"), power_kw=power, flow_max_m3_per_h=power / 35,
            outdoor_c=d.outdoor_c,
        )  # fmt: skip


@place("chp")
def _chp(d: District) -> None:
    """An engine of 90 kW, and beside it, from 50 buildings on, one of 40 kW."""
    for j, power in enumerate((90.0, 40.0) if d.size >= 0.5 else (90.0,)):
        most = power * d.size
        d.add(
            "chp", f"engine-{j}", ("plants", "heat", "gas"), power_max_kw=most, power_min_kw=0.5 * most,
            thermal_efficiency_min=0.50, start_cost_eur=0.15 * most, maintenance_eur_per_kwh=0.01, min_up_h=2.0,
            min_down_h=2.0,
        )  # fmt: skip


@place("gas-boiler")
def _gas_boiler(d: District) -> None:
    for j, power in enumerate((500.0, 300.0)):
        most = power * d.size
        d.add("gas-boiler", f"boiler-{j}", ("gas", "heat"), power_kw=most, power_min_kw=0.2 * most,
              efficiency=0.92 - 0.02 * j)  # fmt: skip


@place("electric-boiler")
def _electric_boiler(d: District) -> None:
    d.add("electric-boiler", "electric-boiler-0", ("plants", "heat"), power_kw=120 * d.size, power_min_kw=12 * d.size)


@place("converter")
def _converter(d: District) -> None:
    """A large heat pump of the network."""
    cop = np.round(2.6 + 0.05 * d.outdoor_c, 6)
    d.add("converter", "heat-pump-plants", ("plants", "heat"), power_kw=50 * d.size, power_min_kw=15 * d.size,
          efficiency=cop)  # fmt: skip


@place("thermal-store")
def _thermal_store(d: District) -> None:
    d.add("thermal-store", "store-0", "heat", capacity_kwh=800 * d.size, power_kw=400 * d.size, loss_per_h=0.01)


@place("hydrogen-source")
def _hydrogen_source(d: District) -> None:
    """An electrolysis of chlorine, at full load by day."""
    gives = 60 * d.size * (1 + 0.6 * ((d.hour > 6) & (d.hour < 20)))
    d.add("hydrogen-source", "chlorine", "hydrogen", power_kw=gives, vent_eur_per_kwh=0.005)


@place("hydrogen-store")
def _hydrogen_store(d: District) -> None:
    d.add("hydrogen-store", "buffer", "hydrogen", capacity_kwh=300 * d.size, power_kw=200 * d.size, level_min=0.05)


@place("fuel-cell")
def _fuel_cell(d: District) -> None:
    most = 30 * d.size
    d.add("fuel-cell", "cell", ("plants", "heat", "hydrogen"), power_max_kw=most, start_cost_eur=0.3 * most,
          min_up_h=1.0, min_down_h=1.0)  # fmt: skip


def quarter(hours: float) -> float:
    """To the next quarter of an hour."""
    return round(4 * hours) / 4
