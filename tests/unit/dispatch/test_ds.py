"""What makes dispatch safe, rule by rule, each with its judge: registers, counts of writes, a journal.

Devices are served from their adapters, with fail-safes that act, in a time that moves only when somebody sleeps; what
needs a wire stands in tests/loop/test_dispatch.py.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gridopt.devices.codec import Unfit
from gridopt.devices.frames import Frame
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.schema import FailSafe, Write
from gridopt.dispatch import envelope
from gridopt.dispatch.channel import ATTEMPTS, REASSERTS, nothing_may
from gridopt.dispatch.clock import Clock
from gridopt.dispatch.guard import Limit
from gridopt.dispatch.hold import STUCK_S, Holder, Keep, Meter, Network, exit_code
from gridopt.dispatch.plan import hash_refusal
from gridopt.dispatch.prove import Status
from gridopt.errors import DataError, DeviceError, SiteError
from gridopt.store.journal import Journal
from tests.support.bench import BATTERY, CHARGER, METER, NOON, PUMP, SUN, Bench, Time, a_plan, bench, turns

BAT = ("bat", "power")


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def hold(b: Bench, told: dict[tuple[str, str], list[float]], many: int = 20, **said: Any) -> Holder:
    """Follow a plan for so many turns of a second."""
    holder = b.holder()

    async def go() -> None:
        await holder.begin()
        holder.follow(a_plan(told, **said))
        await turns(holder, many)

    run(go())
    return holder


def status(b: Bench, device: str = "bat") -> Status:
    return b.channel(device).outcome.status


def why(b: Bench, device: str = "bat") -> str:
    return b.channel(device).outcome.why


# --- the plan ---------------------------------------------------------------------------------------------------------


def some_write(**said: Any) -> Write:
    safe = FailSafe(kind="self", time_s=60.0, refresh_s=20.0, fallback=0.0)
    return Write(**({"command": "current", "point": "x", "memory": "volatile", "fail_safe": safe} | said))


@pytest.mark.parametrize("value", [5.9, 33.0, -1.0, math.nan, math.inf, True, "16", None])
def test_ds01_a_value_outside_is_refused_and_never_clamped(value: object) -> None:
    car = some_write(low=6.0, high=32.0, also=[0.0], step=0.5)
    assert envelope.value(car, value)
    assert not envelope.value(car, 6.0)
    assert not envelope.value(car, 0.0)
    assert envelope.value(car, 6.3), "no multiple of its step"


def test_ds01_one_value_outside_refuses_the_whole_of_that_devices_plan(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + CHARGER)
    hold(b, {BAT: [5.0, 5.0], ("car", "current"): [10.0, 40.0]})
    assert status(b, "car") is Status.REFUSED
    assert "40 is more than 32" in why(b, "car")
    assert b.writes("car") == 0
    assert status(b) is Status.CONFIRMED


def test_ds01_a_schedule_is_told_in_the_devices_own_steps(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + "step = 0.5\n")
    hold(b, {BAT: [-4.8123]})
    assert status(b) is Status.CONFIRMED
    assert b.number("bat", "setpoint_kw") == -4.5, "towards zero, so that no limit of the schedule is passed"


def test_ds01_a_hole_in_a_plan_is_no_number(tmp_path: Path) -> None:
    b = bench(tmp_path)
    hold(b, {BAT: [math.inf]})
    assert status(b) is Status.REFUSED
    assert b.writes() == 0


def test_ds02_the_devices_own_rating_counts_and_without_it_nothing_is_sent(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.plants["bat"].rated_kw = 3.0
    hold(b, {BAT: [5.0]})
    assert "5 is more than the device's own 3" in why(b)
    assert b.writes() == 0
    assert envelope.rated(b.channel("bat").write, 1.0, None)


def test_ds02_where_the_next_value_is_refused_the_last_one_does_not_stay(tmp_path: Path) -> None:
    b = bench(tmp_path)
    holder = hold(b, {BAT: [5.0, 6.0, 6.0]}, many=850)
    assert status(b) is Status.CONFIRMED
    b.plants["bat"].rated_kw = 5.5
    hold_on(b, 100, holder)
    assert status(b) is Status.REFUSED
    assert fallen_back(b)


def test_ds02_the_installers_bound_wins_where_it_is_tighter(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + "high = 2\n")
    hold(b, {BAT: [5.0]})
    assert "5 is more than 2" in why(b)
    assert b.writes() == 0


def test_ds03_a_larger_change_goes_in_stages_each_confirmed(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + "ramp_per_s = 1\n")
    hold(b, {BAT: [5.0]}, many=30)
    assert status(b) is Status.CONFIRMED
    intents = [e for e in b.journal.entries() if e.kind == "intent"]
    values = [0.0, *(float(e.body["new"]) for e in intents)]
    assert values[-1] == 5.0
    assert len(values) > 3
    results = {e.body["intent"]: e for e in b.journal.entries() if e.kind == "result"}
    for before, after, last in zip(intents, intents[1:], values[1:], strict=False):
        elapsed_s = (after.time - results[before.seq].time).total_seconds()
        assert abs(float(after.body["new"]) - last) <= max(elapsed_s, 1.0) + 1e-6
        assert results[before.seq].body["outcome"] == "applied"


def test_ds03_a_value_that_the_register_holds_by_chance_is_told_all_the_same(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + "ramp_per_s = 1\n")
    hold(b, {BAT: [0.0]})
    assert status(b) is Status.CONFIRMED
    assert b.number("bat", "enable") == "on"


def test_ds03_a_stage_never_stands_in_a_gap_that_holds_no_value() -> None:
    car = some_write(low=6.0, high=32.0, also=[0.0], step=1.0, ramp_per_s=1.0)
    assert envelope.stage(car, 0.0, 16.0, 3.0) == 6.0
    assert envelope.stage(car, 16.0, 0.0, 3.0) == 13.0
    assert envelope.stage(car, 6.0, 0.0, 3.0) == 0.0
    assert envelope.stage(car, 10.0, 12.0, 60.0) == 12.0


@pytest.mark.parametrize(
    ("start", "part"),
    [(NOON - timedelta(days=2), "ended at"), (NOON + timedelta(hours=1), "begins at")],
    ids=["expired", "future"],
)
def test_ds04_a_plan_is_followed_only_while_it_is_valid(tmp_path: Path, start: datetime, part: str) -> None:
    b = bench(tmp_path)
    holder = hold(b, {BAT: [5.0] * 8}, start=start)
    assert part in holder.why
    assert b.writes() == 0


def test_ds04_a_replaced_plan_and_an_unknown_hash_are_refused() -> None:
    from gridopt.dispatch.plan import refusal

    plan = a_plan({BAT: [5.0]})
    assert "was replaced by plan-2" in refusal(plan, NOON, ("plan-2", plan.created + timedelta(minutes=1)))
    assert not refusal(plan, NOON, ("plan-0", plan.created - timedelta(minutes=1)))
    assert hash_refusal(plan, "cd" * 6)
    assert hash_refusal(plan, "")
    assert hash_refusal(plan, plan.hash[:8]), "too few digits to name a plan"
    assert not hash_refusal(plan, plan.hash[:12].upper())


def test_ds04_the_journal_knows_which_plan_was_followed_last(tmp_path: Path) -> None:
    b = bench(tmp_path)
    hold(b, {BAT: [5.0]})
    b.restart()
    assert b.history.plan == ("plan-1", NOON - timedelta(hours=1))


def network(b: Bench, limit_kw: float, keeps: list[Keep] | None = None) -> Network:
    meters = [Meter("feeder", b.devices["meter"])] if "meter" in b.devices else []
    return Network(
        {"feeder": None},
        {"bat": "feeder", "car": "feeder"},
        lambda _: {"feeder": Limit(limit_kw, limit_kw)},
        meters,
        keeps or [],
    )


def test_ds05_what_the_whole_set_would_break_stops_the_whole_set(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + CHARGER + METER)
    b.plants["meter"].own_kw = 48.0
    holder = b.holder()

    async def go() -> None:
        holder.follow(a_plan({BAT: [5.0], ("car", "current"): [6.0]}), network(b, 50.0))
        await turns(holder, 5)
        assert b.writes() == 0
        assert "feeder would draw" in why(b)
        b.plants["meter"].own_kw = 20.0
        await turns(holder, 10)

    run(go())
    assert status(b) is status(b, "car") is Status.CONFIRMED


def test_ds05_a_battery_at_its_floor_is_not_discharged(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.plants["bat"].content = 0.1
    holder = b.holder()

    async def go(value: float) -> None:
        keep = Keep("bat", "soc", 1.0, 9.0, 10.0, "its content", "kWh", "asset.bat.soc_start")
        holder.follow(a_plan({BAT: [value]}), network(b, math.inf, [keep]))
        await turns(holder, 5)

    run(go(-5.0))
    assert why(b) == (
        "its content is 1 kWh, the least that it may be, and -5 kW would lower it: plan again from what it is now "
        "(--set asset.bat.soc_start=0.1)"
    )
    assert b.writes() == 0
    run(go(5.0))
    assert status(b) is Status.CONFIRMED


def test_ds05_a_state_beyond_its_bound_is_told_with_the_bound() -> None:
    full = envelope.Bound("pump", "its temperature", 26.0, 19.0, 24.0, raises=True, unit="°C", wanted="boost")
    told = "its temperature is 26 °C, the most that it may be is 24, and boost would raise it: plan again"
    assert envelope.beyond(full).startswith(told)
    assert not envelope.beyond(dataclasses.replace(full, raises=False, lowers=True))


def noted(b: Bench, *kinds: str) -> list[str]:
    return [e.kind for e in b.journal.entries() if e.kind in kinds]


def test_ds30_a_refusal_that_goes_on_is_one_entry_though_figures_move(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + CHARGER + METER)
    holder = b.holder()

    async def go() -> None:
        holder.follow(a_plan({BAT: [5.0], ("car", "current"): [6.0]}), network(b, 50.0))
        for k in range(20):
            b.plants["meter"].own_kw = 48.0 + 0.1 * k
            await turns(holder, 1)

    run(go())
    assert "feeder would draw" in why(b)
    assert noted(b, "refused") == ["refused"]
    assert len(noted(b, "holding", "idle")) <= 1


def test_ds30_two_reasons_that_take_turns_are_two_entries_a_step(tmp_path: Path) -> None:
    b = bench(tmp_path)
    holder = b.holder()

    async def go() -> None:
        keep = Keep("bat", "soc", 0.5, 0.9)
        unread = Keep("bat", "alarm", 0.5, 0.9)  # no number: never known
        plan = a_plan({BAT: [-5.0]})
        for k in range(20):
            holder.follow(plan, network(b, math.inf, [unread if k % 2 else keep]))
            await turns(holder, 1)

    run(go())
    assert b.writes() == 0
    assert noted(b, "refused") == ["refused"] * len({e.body["why"] for e in b.journal.entries() if e.kind == "refused"})
    assert len(noted(b, "refused")) == 2


def test_ds36_a_state_that_is_not_known_stops_its_own_device_alone(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + CHARGER)
    b.plants["bat"].content = 0.1
    holder = b.holder()

    async def go() -> None:
        plan = a_plan({BAT: [-5.0], ("car", "current"): [6.0]})
        holder.follow(plan, network(b, math.inf, [Keep("bat", "soc", 0.1, 0.9)]))
        await turns(holder, 10)

    run(go())
    assert status(b) is Status.REFUSED
    assert status(b, "car") is Status.CONFIRMED
    assert b.writes("car") > 0


# --- before a write ---------------------------------------------------------------------------------------------------


def test_ds06_what_a_write_rests_on_must_be_read_now(tmp_path: Path) -> None:
    reads = 'reads = { temperature_c = "tank_temperature_c" }\n[device.pump.write'
    b = bench(tmp_path, PUMP.replace("[device.pump.write", reads))
    show = b.served["pump"].shown
    b.served["pump"].shown = lambda name: None if name == "tank_temperature_c" else show(name)  # type: ignore[method-assign]
    hold(b, {("pump", "mode"): [2.0]})
    assert status(b, "pump") is Status.REFUSED
    assert "tank_temperature_c: 0x8000 means not available" in why(b, "pump")
    assert b.writes() == 0


def test_ds06_a_value_that_can_no_longer_be_looked_at_is_refreshed_no_longer_than_its_age(tmp_path: Path) -> None:
    b = bench(tmp_path)
    hold(b, {BAT: [5.0] * 8})
    before = b.writes()
    b.units["bat"].fault = "silent"
    hold_on(b, 30)
    b.units["bat"].fault = ""
    assert b.writes() == before, "what is not looked at is not refreshed"
    assert b.number("bat", "enable") in ("on", "off")


def test_ds22_a_state_that_is_read_no_more_ends_the_refreshing_at_its_age(tmp_path: Path) -> None:
    reads = 'reads = { temperature_c = "room_temperature_c" }\nmax_age_s = 50\n[device.pump.write'
    b = bench(tmp_path, PUMP.replace("[device.pump.write", reads))
    holder = hold(b, {("pump", "mode"): [2.0] * 8})
    assert status(b, "pump") is Status.CONFIRMED
    show = b.served["pump"].shown
    b.served["pump"].shown = lambda name: None if name == "room_temperature_c" else show(name)  # type: ignore[method-assign]
    hold_on(b, 300, holder)
    assert status(b, "pump") is Status.REFUSED
    assert b.number("pump", "mode") == "normal"


def test_ds11_a_switch_that_is_turned_to_local_while_held_is_respected(tmp_path: Path) -> None:
    b = bench(tmp_path, PUMP.replace("[device.pump.write", 'requires = { power_control = "off" }\n[device.pump.write'))
    holder = hold(b, {("pump", "mode"): [2.0] * 8})
    assert status(b, "pump") is Status.CONFIRMED
    before = b.writes()
    b.served["pump"].put("power_control", "on")
    hold_on(b, 300, holder)
    assert "power_control reads on, not off" in why(b, "pump")
    assert b.number("pump", "mode") == "normal"
    assert b.writes() == before


def hold_on(b: Bench, many: int, holder: Holder | None = None, **said: Any) -> Holder:
    """The same plan goes on in the same process."""
    holder = holder or b.holder()

    async def go() -> None:
        if holder.plan is None:
            holder.follow(a_plan({BAT: [5.0] * 8}, **said))
        await turns(holder, many)

    run(go())
    return holder


def test_ds07_another_device_in_its_place_is_not_written_to(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + CHARGER)
    holder = hold(b, {BAT: [5.0] * 8, ("car", "current"): [10.0] * 8})
    assert status(b) is Status.CONFIRMED
    before = b.writes("car"), b.writes("bat")
    b.units["bat"].registers, b.units["car"].registers = b.units["car"].registers, b.units["bat"].registers
    for unit in b.units.values():
        unit.session += 1
    hold_on(b, 90, holder)
    assert (b.writes("car"), b.writes("bat")) == before
    assert status(b) in (Status.UNKNOWN, Status.REFUSED, Status.LEFT)


def test_ds08_a_value_that_stands_is_not_written_again_only_refreshed(tmp_path: Path) -> None:
    b = bench(tmp_path)
    hold(b, {BAT: [5.0, 5.0, 5.0, 5.0]}, many=2000)
    assert len(b.kinds("intent")) == 1
    refreshes = sum(1 for _ in b.units["bat"].log) - 1
    assert refreshes == pytest.approx(2000 / 20, abs=3)


def test_ds08_what_the_device_holds_already_needs_no_change(tmp_path: Path) -> None:
    b = bench(tmp_path, PUMP)
    hold(b, {("pump", "mode"): [1.0]})
    assert status(b, "pump") is Status.CONFIRMED
    assert not b.kinds("intent")


def test_ds09_a_foreign_change_is_an_alarm_put_back_twice_and_then_theirs(tmp_path: Path) -> None:
    b = bench(tmp_path)
    holder = hold(b, {BAT: [5.0] * 8})
    for _ in range(REASSERTS + 2):
        b.units["bat"].registers.write("holding", 200, (0, 1000))
        hold_on(b, 25, holder)
    assert status(b) is Status.LEFT
    assert "someone else changed it" in why(b)
    puts = [e for e in b.kinds("intent") if e["reason"] == "plan"]
    assert len(puts) == 1 + REASSERTS
    assert len([a for a in b.kinds("alarm") if "someone else" in a["why"]]) == REASSERTS + 1
    before = b.writes()
    hold_on(b, 60, holder)
    assert b.writes() == before


def test_ds10_a_line_that_another_process_has_ends_with_an_error_and_no_write(tmp_path: Path) -> None:
    b = bench(tmp_path)

    async def held(*_: object, **__: object) -> Any:
        raise Fault(FaultKind.HELD, "tcp 127.0.0.1:1502 is in use by watch (process 42)", pid=42)

    b.units["bat"].read = held  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="in use by watch") as caught:
        hold(b, {BAT: [5.0]})
    assert caught.value.exit_code == 14
    assert b.writes() == 0


def test_ds11_a_switch_that_stands_on_local_is_respected(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY.replace("[device.bat.write", 'requires = { state = "controlled" }\n[device.bat.write'))
    show = b.served["bat"].shown
    b.served["bat"].shown = lambda name: "fault" if name == "state" else show(name)  # type: ignore[method-assign]
    hold(b, {BAT: [5.0]})
    assert "state reads fault, not controlled" in why(b)
    assert b.writes() == 0


# --- the write --------------------------------------------------------------------------------------------------------


def test_ds12_an_unanswered_write_is_read_back_and_never_repeated(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.units["bat"].fault = "noack"
    hold(b, {BAT: [5.0]}, many=5)
    assert b.writes() == 1
    assert status(b) is Status.CONFIRMED
    assert b.kinds("result")[0]["why"] == "no answer"


def test_ds12_what_cannot_be_read_back_is_unknown_until_it_is(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.units["bat"].fault = "gone"
    holder = hold(b, {BAT: [5.0] * 8}, many=5)
    assert status(b) is Status.UNKNOWN
    assert b.writes() == 1
    assert b.kinds("result")[0]["outcome"] == "unknown"
    b.units["bat"].fault = ""
    hold_on(b, 3, holder)
    assert status(b) is Status.NOT_APPLIED, "it never arrived"
    sets = [f for f in b.units["bat"].log if len(f[3]) > 1]
    assert len(sets) == 1


@pytest.mark.parametrize("kind", [FaultKind.BROKEN, FaultKind.TIMEOUT, FaultKind.BUSY, FaultKind.GATEWAY])
def test_ds13_an_answer_that_is_not_the_answer_proves_nothing(tmp_path: Path, kind: FaultKind) -> None:
    b = bench(tmp_path)

    async def broken(frame: Frame, **_: object) -> Any:
        b.units["bat"].log.append((0.0, frame.function, frame.address, frame.words))
        raise Fault(kind, "not this request's answer", sent=True)

    b.units["bat"].write = broken  # type: ignore[method-assign]
    hold(b, {BAT: [5.0]})
    assert status(b) is Status.NOT_APPLIED
    assert len([f for f in b.units["bat"].log if len(f[3]) > 1]) == 1


def test_ds15_acknowledged_and_ignored_is_not_applied(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.units["bat"].fault = "ack_nowrite"
    hold(b, {BAT: [5.0]})
    assert status(b) is Status.NOT_APPLIED
    assert b.channel("bat").outcome.read == 0.0
    assert exit_code([b.channel("bat").outcome]) == 14


def test_ds15_a_value_that_the_device_clamps_is_not_applied_and_taken_back(tmp_path: Path) -> None:
    b = bench(tmp_path)
    registers, write = b.units["bat"].registers, b.units["bat"].registers.write

    def clamped(table: str, address: int, words: tuple[int, ...]) -> None:
        write(table, address, (0, 2500, *words[2:]) if address == 200 else words)

    registers.write = clamped  # type: ignore[method-assign]
    hold(b, {BAT: [5.0]})
    assert status(b) is Status.NOT_APPLIED
    assert b.channel("bat").outcome.read == 2.5
    assert b.number("bat", "enable") == "off"


def test_ds15_the_old_value_at_first_and_then_twice_the_new_is_applied(tmp_path: Path) -> None:
    b = bench(tmp_path)
    unit, read, late = b.units["bat"], b.units["bat"].read, [1]

    async def slow(table: str, address: int, count: int, **said: object) -> Any:
        words = await read(table, address, count, **said)
        if table == "holding" and unit.log and late[0]:
            late[0] -= 1
            return [0] * len(words)
        return words

    unit.read = slow  # type: ignore[method-assign]
    hold(b, {BAT: [5.0]})
    assert status(b) is Status.CONFIRMED
    assert len(b.kinds("intent")) == 1


def test_ds15_a_value_that_shows_once_and_is_gone_is_not_applied(tmp_path: Path) -> None:
    b = bench(tmp_path)
    unit, read, shows = b.units["bat"], b.units["bat"].read, [0]

    async def flickering(table: str, address: int, count: int, **said: object) -> Any:
        words = list(await read(table, address, count, **said))
        if unit.log and table == "holding":
            shows[0] += 1
            return words if shows[0] % 2 else [0] * len(words)
        return words

    unit.read = flickering  # type: ignore[method-assign]
    hold(b, {BAT: [5.0]}, many=2)
    assert status(b) is Status.NOT_APPLIED


def test_ds16_a_plant_that_does_not_follow_is_said_so(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.plants["bat"].obeys = False
    hold(b, {BAT: [5.0]}, many=30)
    assert status(b) is Status.NOT_FOLLOWING
    assert b.channel("bat").outcome.measured == 0.0
    assert any("power_kw is 0" in a["why"] for a in b.kinds("alarm"))
    assert exit_code([b.channel("bat").outcome]) == 14


def test_ds17_timer_with_the_value_enable_last_release_in_reverse(tmp_path: Path) -> None:
    power = '[device.pump]\nadapter = "gridopt-sim-heat-pump"\nline = "main"\nunit_id = 3\n[device.pump.write.power]\n'
    b = bench(tmp_path, BATTERY + power)
    holder = hold(b, {BAT: [5.0], ("pump", "power"): [2.0]}, many=3)
    assert b.units["bat"].log[0][1:] == (16, 200, (0, 5000, 60, 1)), "value, timer and enable in one request"
    assert [(f, a) for _, f, a, _ in b.units["pump"].log] == [(6, 210), (16, 201), (6, 203)], "life, value, enable"
    run(holder.release_all("end"))
    assert b.units["pump"].log[-1][1:] == (6, 203, (0,))
    assert b.units["bat"].log[-1][1:] == (6, 203, (0,))
    released = [e.device for e in b.journal.entries() if e.kind == "intent" and e.body["reason"] == "release"]
    assert released == ["pump", "bat"], "what was told last goes first"


def test_ds18_only_registers_of_commands_are_ever_written(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + CHARGER + PUMP + SUN)
    hold(b, {BAT: [5.0], ("car", "current"): [10.0], ("pump", "mode"): [2.0], ("sun", "limit"): [4.0]}, many=100)
    for name, unit in b.units.items():
        points = b.site.devices[name].adapter.points.values()
        allowed = {a for p in points if p.writable for a in range(p.address, p.end)}
        assert unit.log
        for _, function, address, words in unit.log:
            assert function in (5, 6, 15, 16)
            assert set(range(address, address + len(words))) <= allowed
    with pytest.raises(Unfit):
        run(b.devices["bat"].write(Frame(6, 204, (1,))))
    with pytest.raises(Unfit):
        run(b.devices["bat"].write(Frame(22, 200, (1, 2))))


def test_ds19_a_memory_that_wears_out_is_written_no_more_than_its_budget(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + "writes_per_day = 100\n")
    start = b.time.at_s
    told = [float(k % 5 + 1) for k in range(24 * 12)]
    hold(b, {BAT: told}, many=10_000, step_min=5)
    assert b.time.at_s - start < 86400
    assert b.writes() <= 100
    assert any(
        "100 writes of a day" in a["why"] for a in (*b.kinds("alarm"), *b.kinds("left"), *b.kinds("refused"))
    ) or ("100 writes of a day" in why(b))
    b.restart()
    assert b.history.of("bat", "power").past(b.time.now()).writes_today >= b.writes()
    hold(b, {BAT: [2.0] * 8}, many=600, start=b.time.now().replace(minute=0, second=0))
    assert b.writes() <= 100, "a restart gives no new budget"


def test_ds19_the_shortest_interval_between_two_changes_is_kept(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + "interval_s = 400\n")
    hold(b, {BAT: [1.0, 2.0, 3.0]}, many=900, step_min=5)
    changes = [e.time for e in b.journal.entries() if e.kind == "intent" and e.body["reason"] == "plan"]
    assert len(changes) == 3
    assert all((later - earlier).total_seconds() >= 400 for earlier, later in itertools.pairwise(changes))


def test_ds20_shortest_running_times_hold_over_a_restart(tmp_path: Path) -> None:
    b = bench(tmp_path, PUMP + "min_on_s = 1200\n")
    holder = hold(b, {("pump", "mode"): [2.0, 0.0, 0.0]}, many=300, step_min=5)
    assert status(b, "pump") is Status.CONFIRMED
    b.restart()
    holder = b.holder()

    async def go(many: int) -> None:
        await turns(holder, many)

    run(holder.begin())
    holder.follow(a_plan({("pump", "mode"): [2.0, 0.0, 0.0, 0.0, 0.0, 0.0]}, step_min=5))
    run(go(600))
    assert status(b, "pump") is Status.WAITING
    assert "stays so for 1200 s" in why(b, "pump")
    assert b.number("pump", "mode") == "boost", "what stands is held meanwhile"
    run(go(400))
    assert b.number("pump", "mode") == "lock"


# --- the fail-safe ----------------------------------------------------------------------------------------------------

LAMPS = (
    '[device.lamps]\nadapter = "intesis-dali"\nline = "main"\nunit_id = 7\npart = 0\n'
    "[device.lamps.write.lamps]\nshare_of = 2\nhigh = 2\n"
)
SIGNED = 'signed = { by = "A. Person", on = 2026-01-01, why = "lamps stay as they are" }\n'


def test_ds21_without_a_known_fail_safe_nothing_is_written_unless_signed(tmp_path: Path) -> None:
    b = bench(tmp_path, LAMPS + SIGNED)
    unsigned = dataclasses.replace(b.site.devices["lamps"])
    object.__setattr__(unsigned.said.write["lamps"], "signed", None)
    assert "no person signed" in envelope.permission(unsigned, "lamps")
    hold(b, {("lamps", "power"): [1.0]})
    assert status(b, "lamps") is Status.REFUSED
    assert b.writes() == 0


def test_ds21_a_signature_lets_it_be_written(tmp_path: Path) -> None:
    b = bench(tmp_path, LAMPS + SIGNED)
    hold(b, {("lamps", "power"): [1.0]}, many=100)
    assert status(b, "lamps") is Status.CONFIRMED
    assert b.writes() == 1, "nothing expires, so nothing is refreshed"


def test_ds22_the_timer_is_read_back_and_refreshed_at_a_third_of_it(tmp_path: Path) -> None:
    b = bench(tmp_path)
    hold(b, {BAT: [5.0]}, many=200)
    times = [t for t, *_ in b.units["bat"].log]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert max(gaps) <= 60 / 3
    assert b.number("bat", "revert_s") == 60.0


def test_ds22_a_timer_that_does_not_take_is_not_applied(tmp_path: Path) -> None:
    b = bench(tmp_path)
    write = b.units["bat"].registers.write

    def no_timer(table: str, address: int, words: tuple[int, ...]) -> None:
        write(table, address, (*words[:2], 0, words[3]) if address == 200 and len(words) == 4 else words)

    b.units["bat"].registers.write = no_timer  # type: ignore[method-assign]
    hold(b, {BAT: [5.0]})
    assert status(b) is Status.NOT_APPLIED
    assert "revert_s reads 0" in why(b)
    assert b.number("bat", "enable") == "off"


def test_ds22_refreshing_stops_with_the_plan(tmp_path: Path) -> None:
    b = bench(tmp_path)
    hold(b, {BAT: [5.0]}, many=900 + 30)
    assert b.number("bat", "enable") == "off"
    before = b.writes()
    hold_on(b, 100, b.holder(), start=NOON - timedelta(days=1))
    assert b.writes() == before


def fallen_back(b: Bench) -> bool:
    """The registers say that nobody commands it, and it does nothing by command."""
    return bool(b.number("bat", "enable") == "off" and b.plants["bat"].power_kw("x") == 0.0)


def dies(b: Bench) -> None:
    """kill -9: nobody speaks any more."""


def cut(b: Bench) -> None:
    b.units["bat"].fault = "offline"
    hold_on(b, 120, b.holder())
    b.units["bat"].fault = ""


def full_disk(b: Bench) -> None:
    b.journal._add = _full  # type: ignore[method-assign]
    with pytest.raises(DataError):
        hold_on(b, 400)


def jump(b: Bench) -> None:
    holder = b.holder()
    holder.follow(a_plan({BAT: [5.0] * 3}))
    run(turns(holder, 1))
    b.time.set_wall(timedelta(days=3))
    hold_on(b, 1000, holder)


def fails(b: Bench) -> None:
    async def bug(*_: object) -> Any:
        raise ZeroDivisionError

    b.channel("bat").tell = bug  # type: ignore[method-assign]
    b.channel("bat").refresh = bug  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        hold_on(b, 400)


@pytest.mark.parametrize("end", [dies, cut, full_disk, jump, fails])
def test_ds23_whatever_ends_it_the_device_stands_in_its_fallback_in_time(
    tmp_path: Path, end: Callable[[Bench], None]
) -> None:
    b = bench(tmp_path)
    hold(b, {BAT: [5.0] * 8})
    assert not fallen_back(b)
    end(b)
    b.time.at_s += 60
    assert fallen_back(b)


def test_ds24_an_orderly_stop_gives_back_and_confirms(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + CHARGER)
    holder = hold(b, {BAT: [5.0], ("car", "current"): [10.0]})
    outcomes = run(holder.release_all("stop"))
    assert {o.status for o in outcomes} == {Status.RELEASED}
    assert exit_code(outcomes) == 0
    assert fallen_back(b)
    assert b.number("car", "current_limit_a") == 6.0


def test_ds24_a_write_that_is_under_way_is_ended_and_concluded_first(tmp_path: Path) -> None:
    b = bench(tmp_path)
    read = b.units["bat"].read

    async def slow(*words: Any, **said: Any) -> Any:
        await asyncio.sleep(0.02)
        return await read(*words, **said)

    b.units["bat"].read = slow  # type: ignore[method-assign]
    holder = b.holder(pace_s=0.01)

    async def go() -> None:
        holder.follow(a_plan({BAT: [5.0] * 8}))
        while not b.writes():
            await holder.cycle()
        assert b.journal.open_intents()
        await holder.release_all("stop")

    run(go())
    assert not b.journal.open_intents()
    assert [e["outcome"] for e in b.kinds("result")] == ["applied", "released"]
    assert fallen_back(b)


def test_ds24_a_device_that_is_not_confirmed_makes_the_exit_code(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + CHARGER)
    holder = hold(b, {BAT: [5.0], ("car", "current"): [10.0]})
    b.units["car"].fault = "silent"
    outcomes = run(holder.release_all("stop"))
    assert exit_code(outcomes) == 14
    assert {o.device: o.status for o in outcomes}["bat"] is Status.RELEASED


def test_ds25_what_a_crashed_run_left_is_adopted(tmp_path: Path) -> None:
    b = bench(tmp_path)
    hold(b, {BAT: [5.0] * 8})
    b.restart()
    hold(b, {BAT: [5.0] * 8})
    assert status(b) is Status.CONFIRMED
    assert len(b.kinds("intent")) == 1, "no change was applied twice"
    assert b.kinds("found")[-1]["value"] == 5.0


def test_ds25_what_a_crashed_run_left_is_released_where_no_plan_holds(tmp_path: Path) -> None:
    b = bench(tmp_path)
    hold(b, {BAT: [5.0] * 8})
    b.restart()
    hold(b, {BAT: [5.0]}, start=NOON - timedelta(days=1))
    assert fallen_back(b)
    assert status(b) is Status.RELEASED


def test_ds25_a_value_that_was_adopted_is_given_back_after_a_restart_too(tmp_path: Path) -> None:
    b = bench(tmp_path)
    hold(b, {BAT: [5.0]}, 3)
    b.journal.close()
    (tmp_path / "journal.sqlite").unlink()
    b.journal = Journal.open(tmp_path / "journal.sqlite")  # of the first run nothing is known any more
    b.restart()
    hold(b, {BAT: [5.0]}, 3)
    assert b.kinds("adopted")
    assert not b.kinds("intent")
    b.restart()
    assert b.channel("bat").record.standing == 5.0
    hold(b, {BAT: [5.0]}, start=NOON - timedelta(days=1))
    assert fallen_back(b)
    assert status(b) is Status.RELEASED


def test_ds25_a_write_of_which_nobody_knows_is_looked_at_first(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.journal.intend(
        NOON, who="t", plan="p", plan_hash="h", device="bat", command="power", old=0.0, new=5.0, frames=["16 @ 200"],
        reason="plan",
    )  # fmt: skip
    b.restart()
    hold(b, {BAT: [3.0]})
    assert not b.journal.open_intents()
    assert b.kinds("result")[0]["outcome"] == "not-applied"
    assert status(b) is Status.CONFIRMED


def test_ds26_the_fallback_is_the_devices_own_comfort_and_not_zero(tmp_path: Path) -> None:
    b = bench(tmp_path, CHARGER + PUMP)
    hold(b, {("car", "current"): [0.0], ("pump", "mode"): [0.0]})
    assert b.number("pump", "mode") == "lock"
    b.time.at_s += 121
    assert b.number("car", "current_limit_a") == 6.0
    assert b.number("pump", "mode") == "normal"


def test_ds26_a_device_that_would_fall_back_to_something_else_is_not_written(tmp_path: Path) -> None:
    b = bench(tmp_path, CHARGER)
    b.served["car"].put("failsafe_current_a", 16.0)
    hold(b, {("car", "current"): [10.0]})
    assert "would not fall back to 6" in why(b, "car")
    assert b.writes() == 0


def test_ds27_only_turns_that_make_progress_feed_the_watchdog(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + CHARGER)
    fed: list[float] = []
    holder = b.holder(alive=lambda: fed.append(b.time.at_s), pace_s=0.01)

    async def hangs(*_: object) -> Any:
        await asyncio.sleep(3600)

    async def go() -> None:
        holder.follow(a_plan({BAT: [5.0] * 8, ("car", "current"): [10.0] * 8}))
        await turns(holder, 3)
        assert len(fed) == 3
        b.channel("car").act = hangs  # type: ignore[method-assign]
        await turns(holder, 2)
        b.time.at_s += STUCK_S + 1
        before = len(fed)
        await turns(holder, 2)
        assert len(fed) == before
        for task, _ in holder._busy.values():
            task.cancel()

    run(go())


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [1, -1])
def test_ds28_a_clock_that_is_set_begins_no_new_step(tmp_path: Path, hours: int) -> None:
    b = bench(tmp_path)
    holder = hold(b, {BAT: [float(k + 1) for k in range(9)]}, start=NOON - timedelta(hours=1), many=10)
    assert b.number("bat", "setpoint_kw") == 5.0
    b.time.set_wall(timedelta(hours=hours))
    hold_on(b, 600, holder)
    assert b.number("bat", "setpoint_kw") == 5.0, "its own step goes on to its end"
    hold_on(b, 300, holder)
    assert "the clock was set" in holder.why
    assert fallen_back(b)


def test_ds28_a_clock_that_comes_back_is_believed_again() -> None:
    time = Time()
    clock = Clock(time.monotonic, time.now)
    time.set_wall(timedelta(hours=1))
    assert not clock.look().trusted
    assert clock.look().now == NOON, "time goes on from where it was trusted"
    time.set_wall(timedelta(hours=-1, seconds=1))
    assert clock.look().trusted


def test_ds28_slow_correction_is_no_step_and_no_reference_is_trusted_for_a_while() -> None:
    time, synced = Time(), [True]
    clock = Clock(time.monotonic, time.now, lambda: synced[0], unsynced_s=100)
    for _ in range(50):
        time.at_s += 10
        time.set_wall(timedelta(milliseconds=500))
        assert clock.look().trusted
    synced[0] = False
    time.at_s += 90
    assert clock.look().trusted
    time.at_s += 20
    assert "not been synchronised" in clock.look().why


@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
def test_ds28_summer_time_moves_no_step(day: datetime) -> None:
    plan = a_plan({BAT: [float(k) for k in range(16)]}, start=day)
    for k in range(16):
        assert plan.step_at(day + timedelta(minutes=15 * k + 7)) == k


# --- permission, record, stop -----------------------------------------------------------------------------------------


def test_ds29_without_permission_nothing_is_written(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + CHARGER + PUMP + SUN, may=nothing_may)
    hold(b, {BAT: [5.0], ("car", "current"): [10.0], ("pump", "mode"): [2.0], ("sun", "limit"): [4.0]})
    assert b.writes() == 0
    assert {c.outcome.status for c in b.channels} == {Status.REFUSED}


def test_ds29_a_mandate_that_ends_lets_go(tmp_path: Path) -> None:
    b = bench(tmp_path)
    end = NOON + timedelta(seconds=60)
    b.may = lambda device, command, value, rung, now: "" if now < end else "the mandate ended"
    b.restart()
    holder = hold(b, {BAT: [5.0] * 8})
    assert status(b) is Status.CONFIRMED
    hold_on(b, 90, holder)
    assert fallen_back(b)


def test_ds30_the_intent_is_on_the_disk_before_the_write_and_the_result_after(tmp_path: Path) -> None:
    b = bench(tmp_path)
    unit, write, seen = b.units["bat"], b.units["bat"].write, []

    async def watched(frame: Frame, **said: Any) -> Any:
        seen.append([e.kind for e in b.journal.entries()][-1])
        return await write(frame, **said)

    unit.write = watched  # type: ignore[method-assign]
    hold(b, {BAT: [5.0]}, many=3)
    assert seen == ["intent"]
    intent, result = b.kinds("intent")[0], b.kinds("result")[0]
    assert (intent["who"], intent["plan"], intent["plan_hash"]) == ("test", "plan-1", "ab" * 32)
    assert (intent["old"], intent["new"], intent["frames"]) == (0.0, 5.0, ["16 @ 200: 0000 1388 003C 0001"])
    assert (result["outcome"], result["read"]) == ("applied", 5.0)
    assert result["latency_s"] > 0
    assert not b.journal.verify()


def test_ds30_without_a_journal_nothing_is_sent(tmp_path: Path) -> None:
    b = bench(tmp_path)
    holder = b.holder()
    holder.follow(a_plan({BAT: [5.0]}))
    b.journal._add = _full  # type: ignore[method-assign]
    with pytest.raises(DataError):
        run(turns(holder, 3))
    assert b.writes() == 0


def _full(*_: object, **__: object) -> int:
    raise DataError("the journal cannot be written: disk full")


def test_ds31_a_stop_is_obeyed_at_the_next_turn(tmp_path: Path) -> None:
    b = bench(tmp_path)
    stop = [""]
    holder = b.holder(stopping=lambda: stop[0])

    async def go() -> None:
        holder.follow(a_plan({BAT: [5.0] * 8}))
        await turns(holder, 5)
        stop[0] = "stop --all"
        asked = b.time.at_s
        assert await holder.run() == "stop --all"
        await holder.release_all("stop --all")
        assert b.time.at_s - asked <= b.channel("bat").refresh_s

    run(go())
    assert fallen_back(b)


@pytest.mark.parametrize("policy", ["release", "keep"])
def test_ds32_what_is_declared_happens_when_one_of_a_group_fails(tmp_path: Path, policy: str) -> None:
    group = f'[group.all]\ndevices = ["bat", "car"]\non_failure = "{policy}"\n'
    b = bench(tmp_path, BATTERY + CHARGER + group)
    b.units["car"].fault = "ack_nowrite"
    hold(b, {BAT: [5.0], ("car", "current"): [10.0]})
    assert status(b, "car") is not Status.CONFIRMED
    assert fallen_back(b) == (policy == "release")
    assert bool(b.kinds("group")) == (policy == "release")


def test_ds36_a_dead_device_delays_no_other(tmp_path: Path) -> None:
    b = bench(tmp_path, BATTERY + CHARGER)

    async def dead(*_: object, **__: object) -> Any:
        await asyncio.sleep(3600)

    b.units["car"].read = dead  # type: ignore[method-assign]
    holder = b.holder(pace_s=0.01)

    async def go() -> None:
        holder.follow(a_plan({BAT: [5.0] * 8, ("car", "current"): [10.0] * 8}))
        await turns(holder, 200)
        for task, _ in holder._busy.values():
            task.cancel()

    run(go())
    assert status(b) is Status.CONFIRMED


def test_a_value_that_never_left_is_tried_a_few_times_only(tmp_path: Path) -> None:
    b = bench(tmp_path)
    tries = []

    async def unsent(frame: Frame, **_: object) -> Any:
        tries.append(frame)
        raise Fault(FaultKind.OFFLINE, "no connection")

    b.units["bat"].write = unsent  # type: ignore[method-assign]
    hold(b, {BAT: [5.0]}, many=30)
    assert len(tries) == ATTEMPTS
    assert status(b) is Status.NOT_APPLIED


def test_ds35_a_fuzzed_reading_is_never_taken_for_the_value(tmp_path: Path) -> None:
    from random import Random

    b, random = bench(tmp_path), Random(3)
    unit, read = b.units["bat"], b.units["bat"].read

    async def fuzzed(table: str, address: int, count: int, **said: object) -> Any:
        words = list(await read(table, address, count, **said))
        if unit.log:
            words[random.randrange(len(words))] ^= 1 << random.randrange(16)
        return words

    unit.read = fuzzed  # type: ignore[method-assign]
    for _ in range(30):
        unit.log.clear()
        b.restart()
        unit.registers.write("holding", 200, (0, 0, 60, 0))
        registers = unit.registers.write
        unit.registers.write = lambda *_: None  # type: ignore[method-assign]
        hold(b, {BAT: [5.0]}, many=3)
        unit.registers.write = registers  # type: ignore[method-assign]
        assert status(b) is not Status.CONFIRMED


def test_ds33_what_was_in_force_is_in_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gridopt.jobs import field

    monkeypatch.setenv("GRIDOPT_STATE", str(tmp_path / "state"))
    b = bench(tmp_path)

    async def go() -> None:
        async with field.opened(b.site, b.journal, who="test", holder="test", live=True):
            pass

    run(go())
    site = b.kinds("site")[0]
    assert site["digest"] == b.site.digest
    assert site["adapters"] == {"bat": b.site.devices["bat"].adapter.digest}


def test_ds34_a_secure_line_without_all_of_its_certificates_is_no_line(tmp_path: Path) -> None:
    from gridopt.devices.link.address import LineAddress

    assert "no other proof of who is who" in LineAddress("tls", "127.0.0.1", 802).refusal()
    with pytest.raises(SiteError):
        bench(tmp_path, BATTERY.replace('line = "main"', 'line = "safe"') + '[line.safe]\ntls = "127.0.0.1:802"\n')
