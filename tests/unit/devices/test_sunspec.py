"""SunSpec without an adapter: chains of every shape, and what models read, judged by pysunspec2's own decoder."""

from __future__ import annotations

import asyncio
import math
import random
import struct
from collections.abc import Sequence
from importlib import resources
from typing import Any

import pytest
import sunspec2.device
from hypothesis import given
from hypothesis import strategies as st

from gridopt.devices import sunspec
from gridopt.devices.codec import Decoded, Quality
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.sunspec import Chain, Model, counted_by, definition, discover, items, read_model, still_there
from tests.support.fake_unit import FakeUnit

PROMISED = [1, *range(101, 104), *range(111, 114), *range(120, 125), 160, *range(201, 205), *range(701, 716), 802]


def chain_at(base: int, models: dict[int, Sequence[int]], end: Sequence[int] = (0xFFFF, 0)) -> FakeUnit:
    unit = FakeUnit(strict=True)
    unit.put("holding", base, (0x5375, 0x6E53))
    at = base + 2
    for number, words in models.items():
        unit.put("holding", at, (number, len(words), *words))
        at += 2 + len(words)
    unit.put("holding", at, end)
    return unit


JUDGED = sorted(
    int(file.name[6:-5])
    for file in (resources.files("sunspec2") / "models" / "json").iterdir()
    if file.name.startswith("model_")
)
"""Every model that the package knows."""


# --- discovery -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [40000, 0, 50000])
def test_a_chain_is_found_and_followed_by_the_devices_own_lengths(base: int) -> None:
    unit = chain_at(base, {1: [0] * 65, 103: [0] * 50, 64999: [0] * 7, 124: [0] * 30})
    chain = asyncio.run(discover(unit.read))
    assert chain is not None
    assert [(m.number, m.start - base, m.length) for m in chain.models] == [
        (1, 2, 65), (103, 69, 50), (64999, 121, 7), (124, 130, 30),
    ]  # fmt: skip
    assert chain.ended
    assert chain.first[124].end == base + 162


def test_no_mark_is_no_chain_and_a_chain_that_breaks_off_says_so() -> None:
    assert asyncio.run(discover(FakeUnit().read)) is None
    unit = chain_at(40000, {1: [0] * 66}, end=())
    chain = asyncio.run(discover(unit.read))
    assert chain is not None
    assert not chain.ended
    assert [m.number for m in chain.models] == [1]


def test_a_chain_without_an_end_ends_all_the_same() -> None:
    unit = FakeUnit()
    unit.put("holding", 40000, (0x5375, 0x6E53))  # then zeros: models of no length, for ever
    chain = asyncio.run(discover(unit.read))
    assert chain is not None
    assert len(chain.models) == sunspec.MOST_MODELS
    assert not chain.ended


def test_a_chain_beyond_the_last_register_ends_there() -> None:
    unit = chain_at(50000, {1: [0] * 66})
    unit.put("holding", 50070, (103, 0xFFF0))
    chain = asyncio.run(discover(unit.read))
    assert chain is not None
    assert not chain.ended


def test_silence_is_a_fault_and_not_no_chain() -> None:
    unit = FakeUnit()

    def silent(table: str, address: int, count: int) -> None:
        raise Fault(FaultKind.TIMEOUT, "nothing came", sent=True)

    unit.on_read = silent
    with pytest.raises(Fault):
        asyncio.run(discover(unit.read))
    assert len(unit.log) == 1


def test_whether_a_chain_is_still_there() -> None:
    unit = chain_at(40000, {1: [0] * 66, 103: [0] * 50})
    chain = asyncio.run(discover(unit.read))
    assert chain is not None
    assert asyncio.run(still_there(unit.read, chain, [1, 103, 123]))
    unit.put("holding", chain.first[103].start, (102,))
    assert not asyncio.run(still_there(unit.read, chain, [1, 103]))
    assert asyncio.run(still_there(unit.read, chain, [1]))
    unit.put("holding", 40000, (0,))
    assert not asyncio.run(still_there(unit.read, chain, [1]))


def test_the_serial_number_of_the_common_model() -> None:
    words = [0] * 66
    words[48:50] = 0x3132, 0x3300
    unit = chain_at(40000, {1: words})
    chain = asyncio.run(discover(unit.read))
    assert chain is not None
    assert asyncio.run(sunspec.serial(unit.read, chain)) == "123"
    short = Chain(40000, (Model(1, 40002, 40),))
    assert asyncio.run(sunspec.serial(unit.read, short)) is None


# --- models ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", PROMISED)
def test_every_promised_model_is_known(number: int) -> None:
    found = items(number, 10_000, dict.fromkeys(counted_by(number), 2))
    assert found
    assert len({item.name for item in found}) == len(found)
    places = [r for item in found for r in range(item.at, item.at + item.codec.registers)]
    assert len(places) == len(set(places))


def test_a_model_that_nobody_knows_reads_nothing() -> None:
    assert definition(64999) is None
    assert asyncio.run(read_model(FakeUnit().read, Model(64999, 0, 7))) == {}


def walk(group: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Names as ours → values as pysunspec2 has them."""
    found: dict[str, Any] = {}
    for name, value in group.items():
        if isinstance(value, list):
            for k, inner in enumerate(value, 1):
                found |= walk(inner, f"{prefix}{name}[{k}].")
        elif isinstance(value, dict):
            found |= walk(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def fixed_length(number: int, repeats: int) -> int:
    """Registers of a model with that many of each group, by pysunspec2's definition."""

    def size(group: dict[str, Any], top: bool) -> Any:
        own = sum(p["size"] for p in group["points"])
        inner = sum(size(g, False) for g in group.get("groups", ()))
        times = 1 if top or group.get("count") is None else repeats
        return times * (own + inner)

    return int(size(dict(definition(number) or {}), True)) - 2


ODD = (0, 1, 2, 0x8000, 0xFFFF, 0xFFFE, 0x4100, 0x4242)
"""Words that mean something to some type."""


@given(number=st.sampled_from(JUDGED), repeats=st.integers(1, 2), most=st.integers(32, 125), seed=st.integers(0))
def test_models_read_what_pysunspec2_reads(number: int, repeats: int, most: int, seed: int) -> None:
    """Random words in every model, with one or two of each of its groups, in blocks of random length."""
    draw = random.Random(seed)
    length = fixed_length(number, repeats)
    words = [draw.choice(ODD) if draw.random() < 0.5 else draw.randrange(0x10000) for _ in range(length)]
    full = [number, length, *words]
    for item in items(number, length):
        if item.name in counted_by(number):
            full[item.at] = repeats
    unit = FakeUnit(strict=True)
    unit.put("holding", 100, full)
    found = asyncio.run(read_model(unit.read, Model(number, 100, length), most))
    assert max(count for _, _, count in unit.log) <= most
    judge = sunspec2.device.Model(number, data=struct.pack(f">{len(full)}H", *full), model_len=length)
    theirs = {k: v for k, v in walk(judge.get_dict()).items() if k not in ("mid", "error", "model_id")}
    computed = walk(scaled_or_none(judge))
    assert set(found) == {name for name in theirs if not name.rsplit(".", 1)[-1].startswith("Pad")}
    for name, said in found.items():
        compare(said.decoded, theirs[name], computed[name])


def scaled_or_none(group: Any) -> dict[str, Any]:
    """Values with their scale factors; pysunspec2 fails on some that are not available."""
    found: dict[str, Any] = {}
    for name, point in group.points.items():
        try:
            found[name] = point.cvalue
        except (TypeError, OverflowError, ValueError):
            found[name] = None
    for name, inner in group.groups.items():
        found[name] = [scaled_or_none(g) for g in inner] if isinstance(inner, list) else scaled_or_none(inner)
    return found


def compare(said: Decoded, raw: Any, computed: Any) -> None:
    """One value of ours with theirs, raw and computed."""
    if said.quality is Quality.MISSING:
        nothing = raw in (None, "", 0) or (isinstance(raw, float) and math.isnan(raw))
        assert nothing or said.why == "its scale factor is not available"
    elif isinstance(said.value, float):
        assert raw is not None
        assert said.value == pytest.approx(raw if computed is None else computed, rel=1e-9, abs=1e-9)
    elif isinstance(said.value, frozenset):
        assert len(said.value) == int(raw).bit_count()
    elif isinstance(raw, str):
        assert said.quality is Quality.OUT_OF_RANGE or said.value == raw.split("\0")[0].rstrip()
    else:
        assert said.quality is Quality.OUT_OF_RANGE or isinstance(said.value, str)


def test_names_of_codes_and_groups_by_hand() -> None:
    words = [0] * 28
    words[0:6] = 0xFFFF, 0xFFFE, 0, 0, 0, 0  # DCA_SF n/a, DCV_SF -2
    words[6] = 1  # one module
    words[8:18] = 1, 0x4100, 0, 0, 0, 0, 0, 0, 0, 500
    words[18] = 23456
    unit = FakeUnit(strict=True)
    unit.put("holding", 100, (160, 28, *words))
    found = asyncio.run(read_model(unit.read, Model(160, 100, 28)))
    assert found["module[1].IDStr"].decoded.value == "A"
    assert found["module[1].DCV"].decoded.value == pytest.approx(234.56)
    assert found["module[1].DCV"].unit == "V"
    assert "module[2].DCV" not in found
    assert found["module[1].DCWH"].decoded.quality is Quality.MISSING  # an accumulator of 0 counts nothing
    unit.put("holding", 200, (303, 1, 215))
    heat = asyncio.run(read_model(unit.read, Model(303, 200, 1)))
    assert [said.decoded.value for name, said in heat.items() if name.endswith("TmpBOM")] == [21.5]  # a fixed factor
    state = asyncio.run(read_model(states().read, Model(103, 100, 50)))["St"].decoded
    assert state.value == "MPPT"


def states() -> FakeUnit:
    unit = FakeUnit()
    unit.put("holding", 138, (4,))
    return unit
