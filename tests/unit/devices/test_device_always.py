"""What must hold of every reading, whatever the line and the device do: a good value is the one that stands in the
registers, every point that was asked for is told, and no point is lost for good that the device answers."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gridopt.devices.adapter import Adapter, load, shipped
from gridopt.devices.codec import Quality, decode
from gridopt.devices.device import QUARANTINE_S, Device
from gridopt.devices.link.fault import Fault, FaultKind
from tests.support.fake_unit import Clock, FakeUnit, device

PLAIN = {
    name: adapter
    for name, adapter in ((name, load(path)) for name, path in shipped().items())
    if not any(p.sunspec for p in adapter.points.values())
}
FAULTS = [(kind, None) for kind in FaultKind] + [(FaultKind.REFUSED, code) for code in (1, 2, 3, 4, 7)]


def fill(adapter: Adapter, unit: FakeUnit, draw: random.Random) -> None:
    """Random words; those that tell who it is stay as they must be."""
    identity = adapter.identity
    fixed = {*identity.expect, *identity.plausible, *([identity.serial] if identity.serial else [])}
    for total, parts in identity.sums.items():
        fixed |= {total, *parts}
    for name, point in adapter.points.items():
        most = 1 if point.table in ("coil", "discrete") else 0xFFFF
        if name not in fixed:
            unit.put(point.table, point.address, [draw.randint(0, most) for _ in range(point.codec.registers)])
    known: dict[str, object] = {name: max(adapter.points[name].codec.low, 0.0) for name in identity.plausible}
    known |= dict.fromkeys(fixed - {*identity.expect, *identity.plausible, *[identity.serial or ""]}, 0.0)
    known |= identity.expect | ({identity.serial: "A1"} if identity.serial else {})
    unit.hold(adapter, known)


@settings(max_examples=200)
@given(data=st.data())
def test_a_good_reading_is_what_stands_in_the_registers(data: Any) -> None:
    name = data.draw(st.sampled_from(sorted(PLAIN)))
    adapter = PLAIN[name]
    draw = random.Random(data.draw(st.integers(0, 2**32)))
    clock, unit = Clock(), FakeUnit(longest=data.draw(st.sampled_from([125, 125, 60, 24])))
    fill(adapter, unit, draw)
    places = sorted({(p.table, r) for p in adapter.points.values() for r in range(p.address, p.end + 1)})
    unit.holes = set(draw.sample(places, min(len(places), data.draw(st.integers(0, 2)))))
    trouble = data.draw(st.lists(st.sampled_from([None, None, "reconnect", *FAULTS]), max_size=12))

    def meet(table: str, address: int, count: int) -> None:
        what = trouble.pop(0) if trouble else None
        if what == "reconnect":
            unit.session += 1
        elif what is not None:
            raise Fault(what[0], "as drawn", code=what[1], sent=True)

    unit.on_read = meet
    it = device(adapter, unit, clock)
    for _ in range(3):
        told = asyncio.run(it.read())
        assert set(told) == {n for n, p in adapter.points.items() if p.readable}
        for n, reading in told.items():
            assert (reading.value is not None) == reading.good
            assert bool(reading.why) == (not reading.good)
            assert it.latest(n) == reading
        check(it, unit, told)
        clock.sleep(10)
    trouble.clear()
    unit.holes, unit.longest = set(), 125
    clock.sleep(QUARANTINE_S)
    told = asyncio.run(it.read())  # nothing is lost for good
    assert not [n for n, reading in told.items() if reading.quality is Quality.FAILED]
    assert it.quarantined == {}


def check(it: Device, unit: FakeUnit, told: Any) -> None:
    for n, reading in told.items():
        point = it.adapter.points[n]
        span = [(point.table, r) for r in range(point.address, point.end)]
        if reading.good:
            words = [unit.tables[point.table].get(r, 0) for _, r in span]
            assert decode(point.codec, words).value == reading.value
            assert not unit.holes & set(span)
