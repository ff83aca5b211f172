"""The plant lives by ``Family.step``; behind any adapter it is read and obeys; fail-safes act without a master."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridopt.assets import family
from gridopt.assets.base import Family
from gridopt.clock import Axis
from gridopt.devices import adapter as adapters
from gridopt.devices import site as sites
from gridopt.devices.adapter import Adapter
from gridopt.devices.codec import Quality
from gridopt.devices.device import Device
from gridopt.devices.frames import Frame, frames, release_frames
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.schema import Write
from gridopt.dispatch import prove
from gridopt.errors import SiteError
from gridopt.model.inputs import make_groups
from gridopt.simulate.plant import Plant, Surprise, Told, fine_axis, fleets, surprises, unforeseen
from gridopt.simulate.registers import Refused, Registers
from gridopt.simulate.served import Behind, Served, hooked
from gridopt.simulate.simulation import Simulation, Stands
from gridopt.simulate.wire import WRITES
from gridopt.verify.replay import replay_group
from tests.support import districts

AXIS = Axis(datetime(2026, 3, 17, 6, tzinfo=UTC), 15, 16)
GIVEN: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "bat": ("battery", {"capacity_kwh": 40.0, "power_kw": 20.0}),
    "roof": ("pv", {"peak_kw": 30.0, "yield_kw_per_kw": np.linspace(0.1, 0.8, 16)}),
    "room": (
        "heat-pump-building",
        {
            "resistance_k_per_kw": 1.0, "capacity_kwh_per_k": 20.0, "power_kw": 12.0, "power_min_kw": 2.0,
            "outdoor_c": 3.0, "temperature_start_c": 18.0,
        },
    ),
    "car": ("ev-session", {"arrive": 1.1, "depart": 3.0, "energy_kwh": 30.0, "power_kw": 7.4}),
    "lamps": ("load", {"power_kw": 4.0}),
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    family: type[Family]
    ids: tuple[str, ...]
    user: Mapping[str, Any]
    nodes: Mapping[str, tuple[str, ...]]


def tables(names: Sequence[str] = tuple(GIVEN)) -> list[Table]:
    found = []
    for name in names:
        kind, given = GIVEN[name]
        nodes = {port.name: ("site",) for port in family(kind).ports}
        found.append(Table(family(kind), (name,), districts.columns(kind, [given], AXIS), nodes))
    return found


NODES = (districts.node(AXIS, "grid"), districts.node(AXIS, "site", "grid"))


def plant(names: Sequence[str] = tuple(GIVEN), those: Sequence[Surprise] = ()) -> Plant:
    return Plant(NODES, fleets(tables(names), NODES, AXIS), fine_axis(AXIS), those)


# --- the plant -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "told", "commands"),
    [
        (
            "bat",
            lambda w: Told("power", w),
            lambda w: {"charge_kw": np.maximum(w, 0), "discharge_kw": np.maximum(-w, 0)},
        ),
        ("roof", lambda w: Told("limit", w), lambda w: {"generation_kw": w}),
        ("room", lambda w: Told("power", w), lambda w: {"heat_pump_kw": w}),
        ("car", lambda w: Told("current", w / 0.23), lambda w: {"charge_kw": w}),
    ],
)
def test_a_plan_that_is_obeyed_for_its_steps_ends_as_the_replay_does(name: str, told: Any, commands: Any) -> None:
    """Fifteen minutes of the plant are one step of the plan, for what a plan may ask of a device."""
    wanted = {
        "bat": [8, 8, -4, -4, 0, 2.5, -2.5, 12, -12, 0, 0, 3, 3, -3, 1, -1],
        "roof": [2, 0, 30, 1, 5, 30, 4, 3, 2, 1, 0, 9, 30, 30, 8, 7],
        "room": [12, 0, 2, 6, 0, 0, 12, 12, 4, 4, 4, 2, 0, 0, 3, 5],
        "car": [0, 0, 0, 0, 0, 7.36, 1.38, 0, 4.6, 7.36, 0, 2.3, 0, 0, 0, 0],
    }[name]
    power = np.array(wanted, np.float64)
    table = tables([name])[0]
    where = {port: [1] for port in table.nodes}
    (group,) = make_groups(table.family, [name], table.user, where, AXIS)
    own = slice(int(group.offset[0]), int(group.offset[0]) + group.steps)
    trace, _ = replay_group(group, {k: v[None, own] for k, v in commands(power).items()}, AXIS.step_h)
    p = plant([name])
    for t in range(AXIS.steps):
        p.tell(name, told(float(power[t])))
        assert p.told(name)
        before = p.energy_kwh[name][0] - p.energy_kwh[name][1]
        for _ in range(15):
            p.advance()
        k = t - own.start
        if 0 <= k < group.steps:
            drawn = p.energy_kwh[name][0] - p.energy_kwh[name][1] - before
            assert drawn == pytest.approx(trace["ac_kw"][0, k] * AXIS.step_h, abs=1e-9)
            for state in table.family.states:
                assert p.state(name, state) == pytest.approx(trace[state][0, k], abs=1e-9)


def test_what_nobody_commands_follows_its_rule() -> None:
    """The battery stores what the roof leaves, the room is heated, the car charges from the minute it comes."""
    p = plant()
    while p.step < 66:
        assert p.power_kw("car") == 0
        assert not p.here("car")
        p.advance()
    assert p.here("car")
    assert p.power_kw("car") == pytest.approx(7.4)
    p.tell("car", Told("current", 10.0))
    assert p.power_kw("car") == pytest.approx(2.3)
    p.tell("car")
    while p.step < 16 * 15:
        p.advance()
    assert p.state("room", "temperature_c") == pytest.approx(19.0, abs=0.1)
    assert p.power_kw("car") == 0
    parts = sum(p.energy_kwh[n][0] - p.energy_kwh[n][1] for n in GIVEN)
    assert p.energy_kwh["site"][0] - p.energy_kwh["site"][1] == pytest.approx(parts)
    assert p.energy_kwh["grid"] == p.energy_kwh["site"]
    p.advance()  # the world outside stands still, the plant goes on
    assert p.power_kw("lamps") == 4.0


def test_meters_show_a_surprise_load_and_nobody_sheds() -> None:
    p = plant(["lamps"], [Surprise("site", 2, 4, 90.0)])
    seen = []
    for _ in range(6):
        seen.append(p.net_kw("grid"))
        p.advance()
    assert seen == [4, 4, 94, 94, 4, 4]


@pytest.mark.parametrize(
    ("told", "least", "most"),
    [
        (Told("mode", "lock"), 0.0, 0.0),
        (Told("mode", "boost"), 12.0, 12.0),
        (Told("on_off", 0.0), 0.0, 0.0),
        (Told("limit", 3.0), 3.0, 3.0),
        (Told("temperature", 10.0), 0.0, 0.0),
        (Told("power", 1.0), 0.0, 0.0),  # below the least that it can run at
    ],
)
def test_a_heat_pump_obeys_every_kind_of_command(told: Told, least: float, most: float) -> None:
    p = plant(["room"])
    p.tell("room", told)
    assert least <= p.power_kw("room") <= most


def test_the_world_differs_from_its_forecast_in_the_same_way_for_the_same_seed() -> None:
    fine = fine_axis(AXIS)
    plain = fleets(tables(), NODES, AXIS)
    first, second = (unforeseen(plain, fine, 0.2, seed=3) for _ in range(2))
    other = unforeseen(plain, fine, 0.2, seed=4)
    place = next(k for k, f in enumerate(plain) if f.ids == ("roof",))
    columns = [found[place].columns["available_kw"] for found in (plain, first, second, other)]
    assert np.array_equal(columns[1], columns[2])
    assert not np.array_equal(columns[1], columns[3])
    share = columns[1] / columns[0] - 1
    assert 0.02 < np.abs(share).mean() < 0.5
    assert [f.columns["capacity_kwh"] for f in first if f.ids == ("bat",)] == [np.array([40.0])]
    assert surprises("site", fine, 20.0, seed=1) == surprises("site", fine, 20.0, seed=1)
    assert all(6 <= s.power_kw <= 20 for s in surprises("site", fine, 20.0, seed=1))


# --- behind an adapter -----------------------------------------------------------------------------------------------


@dataclass
class Time:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass(frozen=True)
class Sent:
    request: bytes = b""
    answer: bytes = b""
    latency_s: float = 0.0


@dataclass
class Straight:
    """A link without a wire."""

    registers: Registers
    session: int = 1
    written: list[Frame] = field(default_factory=list)

    async def read(self, table: str, address: int, count: int) -> Sequence[int]:
        try:
            return self.registers.read(table, address, count)
        except Refused as refused:
            raise Fault(FaultKind.REFUSED, str(refused), refused.code) from refused

    async def write(self, frame: Frame, **_: object) -> Sent:
        self.written.append(frame)
        try:
            self.registers.write(WRITES[frame.function], frame.address, frame.words)
        except Refused as refused:
            raise Fault(FaultKind.REFUSED, str(refused), refused.code) from refused
        return Sent()


@dataclass
class Bench:
    """One device of an adapter, with its plant, and gridopt's own reader on it."""

    adapter: Adapter
    asset: str
    plant: Plant
    served: Served
    device: Device
    unit: Straight
    time: Time

    def to(self, seconds: float) -> None:
        self.time.now_s += seconds

    async def tell(self, name: str, value: float) -> None:
        for frame in self._frames(name, value):
            await self.device.write(frame)

    def _frames(self, name: str, value: float) -> Sequence[Frame]:
        write, whole = self.adapter.writes[name], self.whole(name)
        readings = {} if whole is None or write.share_of is None else {write.share_of: whole}
        return frames(self.adapter.points, write, value, readings, self.device.exponents, time_s(write))

    def whole(self, name: str) -> float | None:
        share = self.adapter.writes[name].share_of
        return None if share is None else 12.0 if share == "installer" else self.served.number(share)


def time_s(w: Write) -> float:
    return w.fail_safe.time_s if isinstance(w.fail_safe.time_s, float) else 60.0


def _asset_of(adapter: Adapter) -> str:
    if adapter.header.kind == "inverter":
        return "bat" if any(w.command == "power" for w in adapter.writes.values()) else "roof"
    return {"battery": "bat", "charger": "car", "heat-pump": "room"}.get(adapter.header.kind, "lamps")


def bench(name: str, at_min: int = 100) -> Bench:
    adapter, time = adapters.load(name), Time()
    p = plant(["lamps"] if adapter.header.kind == "meter" else tuple(GIVEN))
    while p.step < at_min:  # the car is there, the sun is up
        p.advance()
    registers = Registers((), adapter.link.read_registers, adapter.link.bridge_registers)
    asset = _asset_of(adapter)
    behind = Behind(p, (asset,), None, "grid") if adapter.header.kind != "meter" else Behind(p, (), "site", "grid")
    shift = (adapter.link.stride or 0) * 1
    shares = {command: 12.0 for command, w in adapter.writes.items() if w.share_of == "installer"}
    served = Served("one", adapter, behind, registers, time, shift=shift, shares=shares)
    hooked(registers, [served], lambda: served.expire(time()))
    unit = Straight(registers)
    part = 1 if adapter.link.stride else None
    device = Device("one", adapter, unit, clock=time, now=lambda: datetime(2026, 3, 17, tzinfo=UTC), part=part)
    return Bench(adapter, asset, p, served, device, unit, time)


ALL = sorted(adapters.shipped())
WRITTEN = [(a, w) for a in ALL for w in adapters.load(a).writes]


@pytest.mark.parametrize("name", ALL)
def test_every_point_of_every_adapter_is_served(name: str) -> None:
    """gridopt's own reader knows the device and reads a good value of each point; only a temperature may be missing."""
    b = bench(name)
    found = asyncio.run(b.device.read())
    assert {n for n, p in b.adapter.points.items() if p.readable} == set(found)
    poor = {n: (r.quality, r.why) for n, r in found.items() if r.quality is not Quality.GOOD}
    assert all(n.endswith("temperature_c") or n == "soc" for n in poor), poor
    if "power_kw" in found:
        expected = b.served.behind.power_kw
        assert found["power_kw"].value == pytest.approx(expected, abs=0.06)
        assert abs(expected) > 0.5


def _some_value(w: Write) -> float:
    if w.states:
        return 0.0
    low = w.low if isinstance(w.low, float) else 0.0
    return {"current": 8.0, "limit": 3.0, "power": 5.0}[w.command] if low < 3 or w.command == "current" else low


def _told(b: Bench, w: Write) -> list[object]:
    """What the plant obeys of a command."""
    kinds = (w.command, f"{w.point.split('_')[0]}-{w.command}")
    return [t.value for t in b.plant.told(b.asset) if t.command in kinds]


def _declared(b: Bench, w: Write) -> object:
    """What the plant is told once the fail-safe acted, as a value in the command's unit; None for its own control."""
    safe = w.fail_safe
    if safe.fallback == "installer" and safe.fallback_point is not None and not w.states:
        return b.served.number(safe.fallback_point)
    return safe.fallback if safe.fallback not in ("local", "installer") else None


@pytest.mark.parametrize(("name", "command"), WRITTEN)
def test_every_command_of_every_adapter_is_obeyed_read_back_and_falls_back(name: str, command: str) -> None:
    async def test() -> None:
        b = bench(name)
        w = b.adapter.writes[command]
        value = _some_value(w)
        await b.device.read()
        before = b.plant.power_kw(b.asset)
        await b.tell(command, value)
        read = {n: r.value for n, r in (await b.device.read()).items()}
        meant = prove.meant(b.adapter.points, w, value, b.device.exponents, b.whole(command), time_s(w))
        assert prove.off(meant, read) == {}
        told = _told(b, w)
        assert told == [w.states[0] if w.states else pytest.approx(value, rel=0.01)]
        if w.command in ("power", "current") and b.asset != "lamps":
            kw = value * 0.23 if w.command == "current" else value
            assert b.plant.power_kw(b.asset) == pytest.approx(kw, rel=0.01)
        if w.fail_safe.kind == "none":
            b.to(1e6)
            await b.device.read()
            assert _told(b, w) == told  # for ever: this is why a person must sign
            for frame in release_frames(b.adapter.points, w, b.device.exponents):
                await b.device.write(frame)
            return
        b.to(time_s(w) + 1)
        if w.fail_safe.fed_by == "write":
            await b.device.read()
        else:  # any reading keeps it alive
            b.unit.registers.on_access()  # type: ignore[misc]
        fallback = _declared(b, w)
        assert _told(b, w) == ([] if fallback is None else [fallback])
        read = {n: r.value for n, r in (await b.device.read()).items()}
        if isinstance(fallback, float) and w.readback != "power_kw":
            assert b.served.number(w.point) == pytest.approx(fallback)
        assert prove.off(prove.fallen_back(b.adapter.points, w), read) == {}
        if fallback is None and len(b.adapter.writes) == 1:
            assert b.plant.power_kw(b.asset) == pytest.approx(before)

    asyncio.run(test())


def test_a_refresh_keeps_a_command_and_a_timer_of_zero_never_acts() -> None:
    async def test() -> None:
        b = bench("gridopt-sim-charger")
        await b.device.read()
        for _ in range(5):
            await b.tell("current", 10.0)
            b.to(20)
            await b.device.read()
            assert b.plant.told("car") == (Told("current", 10.0),)
        b.to(61)
        await b.device.read()
        assert b.plant.told("car") == (Told("current", 6.0),)
        assert b.served.value("current_limit_a") == 6.0
        assert b.plant.power_kw("car") == pytest.approx(6 * 0.23)
        b.unit.registers.write("holding", 200, (100, 0))
        b.to(1e6)
        await b.device.read()
        assert b.plant.told("car") == (Told("current", 10.0),)

    asyncio.run(test())


def test_a_heartbeat_is_life_and_a_wrong_one_is_not() -> None:
    async def test() -> None:
        b = bench("gridopt-sim-heat-pump")
        await b.device.read()
        await b.tell("power", 5.0)
        for beat in (1, 1, 1):
            b.to(20)
            b.unit.registers.write("holding", 210, (beat,))
            assert b.plant.told("room") == (Told("power", 5.0),)
        b.to(20)
        b.unit.registers.write("holding", 210, (0,))
        b.to(20)
        await b.device.read()
        assert b.plant.told("room") == ()
        assert b.served.value("power_control") == "off"

    asyncio.run(test())


def test_the_time_that_is_left_counts_down_and_a_release_ends_it() -> None:
    async def test() -> None:
        b = bench("gridopt-sim-battery")
        await b.device.read()
        assert b.served.value("revert_left_s") == 0.0
        await b.tell("power", -5.0)
        b.to(45)
        assert (await b.device.read(["revert_left_s", "power_kw", "state"]))["revert_left_s"].value == 15.0
        assert b.device.latest("power_kw").value == -5.0
        assert b.device.latest("state").value == "controlled"
        for frame in release_frames(b.adapter.points, b.adapter.writes["power"], {}):
            await b.device.write(frame)
        assert (await b.device.read(["revert_left_s"]))["revert_left_s"].value == 0.0
        assert b.plant.told("bat") == ()

    asyncio.run(test())


def test_a_device_that_starts_anew_has_forgotten_its_command() -> None:
    async def test() -> None:
        b = bench("gridopt-sim-battery")
        await b.device.read()
        await b.tell("power", -5.0)
        b.unit.registers.on_restart()  # type: ignore[misc]
        assert b.plant.told("bat") == ()
        assert (b.served.value("enable"), b.served.value("setpoint_kw")) == ("off", 0.0)

    asyncio.run(test())


# --- a whole site ----------------------------------------------------------------------------------------------------

SITE = """
format = 1
[line.roof]
tcp = "127.0.0.1:{port}"
[line.park]
rtu_over_tcp = "127.0.0.1:{other}"
[line.bus]
rtu = "{tty}"
[device.bat]
adapter = "gridopt-sim-battery"
line = "roof"
[device.meter]
adapter = "gridopt-sim-meter"
line = "roof"
unit_id = 2
node = "site"
[device.point]
adapter = "gridopt-sim-charger"
line = "park"
asset = "car"
[device.point.write.current]
[device.room]
adapter = "gridopt-sim-heat-pump"
line = "bus"
"""


def site(tmp_path: Path, text: str = SITE) -> sites.Site:
    (tmp_path / "devices.toml").write_text(text.format(port=1, other=2, tty=tmp_path / "bus"))
    found = sites.load(tmp_path)
    free = {name: (a if a.serial else type(a)(a.kind, a.host, 0)) for name, a in found.lines.items()}
    return sites.Site(found.file, found.digest, free, found.devices)


STANDS = Stands({"bat": ["bat"], "point": ["car"], "room": ["room"]}, {"meter": "site"})


def test_a_site_is_served_and_its_day_goes_by(tmp_path: Path) -> None:
    from gridopt.simulate.wire import mbap

    async def test() -> None:
        time = Time()
        async with Simulation(site(tmp_path), plant(), STANDS, time, speed=60) as s:
            assert set(s.servers) == {"roof", "park", "bus"}
            assert (tmp_path / "bus").is_symlink()
            reader, writer = await asyncio.open_connection("127.0.0.1", s.servers["roof"].port)
            time.now_s += 30  # half an hour
            writer.write(mbap(1, 2, bytes((4, 0, 116, 0, 2))))
            answer = await reader.readexactly(13)
            assert s.plant.step == 30
            assert int.from_bytes(answer[9:], "big", signed=True) == pytest.approx(1000 * s.plant.net_kw("site"), abs=1)
            writer.close()
            await writer.wait_closed()
            assert not s.over
            time.now_s += 300
            assert s.over
        assert not (tmp_path / "bus").exists()

    asyncio.run(test())


def test_a_fail_safe_acts_in_real_seconds_however_fast_the_day(tmp_path: Path) -> None:
    time = Time()
    s = Simulation(site(tmp_path), plant(), STANDS, time, speed=60)
    registers = s.servers["park"].units[1]
    time.now_s += 70  # 70 minutes: the car is there
    registers.write("holding", 200, (100, 30))
    for after_s, told in ((29.0, 10.0), (1.5, 6.0)):
        time.now_s += after_s
        s.catch_up()
        assert [t.value for t in s.plant.told("car")] == [told]
    # Thirty minutes at 10 A, half a minute at the fail-safe's 6 A, and the 4 minutes before at full power.
    assert s.plant.step == 100
    assert s.plant.energy_kwh["car"][0] == pytest.approx((30 * 2.3 + 4 * 7.4) / 60, abs=0.05)


def test_faults_are_switched_by_device(tmp_path: Path) -> None:
    s = Simulation(site(tmp_path), plant(), STANDS, Time())
    s.set_fault("bat", "silent")
    s.set_fault("meter", "one-session")
    assert s.servers["roof"].fault == "one-session"
    s.set_fault("meter", "")
    assert s.servers["roof"].fault == ""
    with pytest.raises(ValueError, match="did you mean point"):
        s.set_fault("piont", "silent")
    with pytest.raises(ValueError, match="of TCP alone"):
        s.set_fault("point", "tid")


def test_a_charge_point_at_which_nobody_is_today_is_free(tmp_path: Path) -> None:
    text = SITE.replace('asset = "car"\n', "")
    s = Simulation(site(tmp_path, text), plant(), Stands({"bat": ["bat"], "room": ["room"]}, {"meter": "site"}), Time())
    point = s.devices["point"]
    point.refresh("input", 0, 200)
    assert [point.value(name) for name in ("state", "power_kw", "current_max_a")] == ["free", 0.0, 32.0]


def test_what_cannot_be_simulated_is_told_all_at_once(tmp_path: Path) -> None:
    text = SITE.replace('tcp = "127.0.0.1:{port}"', 'tcp = "10.0.0.4:{port}"').replace('asset = "car"', 'asset = "bus"')
    (tmp_path / "bus").write_text("a line that exists")
    with pytest.raises(SiteError) as told:
        Simulation(site(tmp_path, text), plant(), Stands({"bat": ["bat"]}, {"meter": "site"}), Time())
    said = "\n".join(m.message for m in told.value.mistakes)
    for part in ("line roof: it is at 10.0.0.4", "there already", "device point stands for nothing", "device room"):
        assert part in said
    assert len(told.value.mistakes) == 4
