"""The guard at work among channels, a newer plan, and what the envelope says of a whole plan."""

from __future__ import annotations

import asyncio
import itertools
import math
from pathlib import Path
from typing import Any

from gridopt.dispatch.guard import Limit
from gridopt.dispatch.hold import Holder, Meter, Network
from gridopt.dispatch.prove import Status
from tests.support.bench import BATTERY, CHARGER, METER, NOON, PUMP, SUN, Bench, a_plan, bench, turns

CAR, BAT = ("car", "current"), ("bat", "power")


def network(b: Bench, import_kw: float = math.inf, export_kw: float = math.inf) -> Network:
    home = {name: "feeder" for name in b.devices if name != "meter"}
    return Network(
        {"feeder": None}, home, lambda _: {"feeder": Limit(import_kw, export_kw)}, [Meter("feeder", b.devices["meter"])]
    )


async def live(b: Bench, holder: Holder, many: int, house_kw: float) -> None:
    """Turns in which the meter shows the house and what the devices draw."""
    for _ in range(many):
        b.plants["meter"].own_kw = house_kw + sum(p.power_kw("x") for n, p in b.plants.items() if n != "meter")
        await turns(holder, 1)


def test_a_surprise_load_makes_the_lowest_priority_give_way_and_it_comes_back(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY.replace("unit_id = 1", "unit_id = 1\npriority = 9") + CHARGER + METER)
    asked: list[str] = []
    holder = b.holder(replan=asked.append)

    async def go() -> None:
        holder.follow(a_plan({CAR: [16.0] * 8, BAT: [2.0] * 8}), network(b, import_kw=30.0))
        await holder.grip()
        await live(b, holder, 30, 10.0)
        assert b.channel("car").outcome.status is Status.CONFIRMED
        assert b.plants["car"].power_kw("x") > 10
        await live(b, holder, 4, 20.0)
        assert b.plants["meter"].own_kw <= 30.0
        assert b.plants["car"].power_kw("x") < 9
        assert b.plants["bat"].power_kw("x") == 2.0, "what has priority keeps its power"
        await live(b, holder, 900, 8.0)
        assert b.number("car", "current_limit_a") == 16.0

    asyncio.run(go())
    assert any("feeder draws" in g["why"] for g in b.kinds("guard"))
    assert asked
    reasons = [e["reason"] for e in b.kinds("intent")]
    assert "guard" in reasons


def test_the_guard_keeps_to_a_devices_own_interval(tmp_path: Path) -> None:
    b = bench(tmp_path, CHARGER + "interval_s = 60\n" + METER)
    holder = b.holder()

    async def go() -> None:
        holder.follow(a_plan({CAR: [16.0] * 8}), network(b, import_kw=20.0))
        await holder.grip()
        await live(b, holder, 10, 5.0)
        await live(b, holder, 120, 15.0)

    asyncio.run(go())
    times = [e.time for e in b.journal.entries() if e.kind == "intent"]
    assert all((later - earlier).total_seconds() >= 60 for earlier, later in itertools.pairwise(times))
    assert b.plants["meter"].own_kw <= 20.0


def test_a_heat_pump_is_locked_where_nothing_else_gives_way(tmp_path: Path) -> None:
    b = bench(tmp_path, PUMP + METER)
    holder = b.holder()

    async def go() -> None:
        holder.follow(a_plan({("pump", "mode"): [2.0] * 8}), network(b, import_kw=20.0))
        await holder.grip()
        await live(b, holder, 70, 5.0)
        await live(b, holder, 3, 18.5)

    asyncio.run(go())
    assert b.number("pump", "mode") == "lock"


def test_a_roof_that_gives_too_much_is_limited(tmp_path: Path) -> None:
    b = bench(tmp_path, SUN + METER)
    holder = b.holder()

    async def go() -> None:
        holder.follow(a_plan({("sun", "limit"): [10.0] * 8}), network(b, export_kw=5.0))
        await holder.grip()
        await live(b, holder, 6, 0.0)

    asyncio.run(go())
    assert 4.0 < b.number("sun", "limit_kw") <= 4.9
    assert b.plants["meter"].own_kw >= -5.0


def test_a_newer_plan_is_followed_from_the_next_turn_on(tmp_path: Path) -> None:
    b = bench(tmp_path)
    holder = b.holder()

    async def go() -> None:
        holder.follow(a_plan({BAT: [5.0] * 8}))
        await turns(holder, 5)
        holder.follow(a_plan({BAT: [2.0] * 8}, id="plan-2", hash="cd" * 32, created=NOON))
        await turns(holder, 5)

    asyncio.run(go())
    assert b.number("bat", "setpoint_kw") == 2.0
    assert [p["plan"] for p in b.kinds("plan")] == ["plan-1", "plan-2"]


def test_a_device_that_the_plan_says_nothing_of_any_more_is_given_back(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + CHARGER)
    holder = b.holder()
    told: dict[tuple[str, str], Any] = {BAT: [5.0, 5.0], CAR: [10.0, math.nan]}

    async def go() -> None:
        holder.follow(a_plan(told, step_min=5))
        await turns(holder, 400)

    asyncio.run(go())
    assert b.channel("car").outcome.status is Status.RELEASED
    assert b.number("car", "current_limit_a") == 6.0
    assert b.number("bat", "setpoint_kw") == 5.0
