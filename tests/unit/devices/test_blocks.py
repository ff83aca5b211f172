"""The read plan: every point once and whole, within the device's limits, and as cheap as can be; and whole blocks
decoded as ``decode`` does it."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridopt.devices.adapter import load, shipped
from gridopt.devices.blocks import Block, Spot, plan, spots
from gridopt.devices.codec import Codec, Decoded, Quality, decode, exponent_of
from gridopt.devices.schema import Link

ADAPTERS = {name: load(path) for name, path in shipped().items()}
STARTS = {1: 40002, 103: 40070, 120: 40122, 123: 40150, 124: 40176}


def link(read: int = 50, bridge: int = 0) -> Link:
    return Link.model_validate({"read_registers": read, "bridge_registers": bridge})


def spot(name: str, address: int, type: str = "u16", factor: int | None = None, **more: Any) -> Spot:
    registers = {"u16": 1, "i16": 1, "u32": 2, "f32": 2, "u64": 4, "bit": 1}[type]
    table = more.pop("table", "holding")
    return Spot(name, table, address, Codec(type, registers, scaled=factor is not None), factor, **more)


def shape(those: list[Spot], link: Link) -> list[list[tuple[int, int]]]:
    return [[(block.address, block.count) for block in bunch] for bunch in plan(those, link)]


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_neighbours_are_one_block_and_a_gap_ends_it() -> None:
    those = [spot("a", 0, "u32"), spot("b", 2), spot("c", 4)]
    assert shape(those, link()) == [[(0, 3)], [(4, 1)]]
    assert shape(those, link(bridge=1)) == [[(0, 5)]]


def test_a_long_number_is_not_torn_at_the_longest_block() -> None:
    those = [spot("a", 0), spot("b", 1, "u32"), spot("c", 3, "u64")]
    assert shape(those, link(read=4)) == [[(0, 3)], [(3, 4)]]


def test_registers_to_be_read_alone_are() -> None:
    those = [spot("a", 0), spot("b", 1, alone=True), spot("c", 2)]
    assert shape(those, link(bridge=9)) == [[(0, 1)], [(1, 1)], [(2, 1)]]


def test_a_scale_factor_is_read_with_what_it_scales_even_where_that_costs_a_request_more() -> None:
    """Without the factor 0..3 and 4..7 would do; so that 3 and 4 stay together, three blocks are needed."""
    those = [spot(f"n{k}", k) for k in range(8)]
    assert shape(those, link(read=4)) == [[(0, 4)], [(4, 4)]]
    those[3] = spot("n3", 3, factor=4)
    assert len(shape(those, link(read=4))) == 3
    for bunch in plan(those, link(read=4)):
        assert not any(block.torn for block in bunch)


def test_a_scale_factor_too_far_away_is_read_directly_after() -> None:
    those = [spot("a", 0, factor=100), spot("b", 50), spot("c", 90)]
    assert shape(those, link()) == [[(0, 1), (100, 1)], [(50, 1)], [(90, 1)]]


def test_gaps_within_a_sunspec_model_may_be_crossed() -> None:
    those = [spot("a", 10, area=0), spot("b", 30, area=0), spot("c", 40, area=35)]
    assert shape(those, link()) == [[(10, 21)], [(40, 1)]]


def test_tables_are_apart_and_bits_are_read_like_registers() -> None:
    those = [spot("a", 0, table="input"), spot("b", 0), spot("c", 0, "bit", table="coil")]
    those += [spot("d", 1, "bit", table="coil"), spot("e", 0, "bit", table="discrete")]
    assert [(b.table, b.address, b.count) for bunch in plan(those, link()) for b in bunch] == [
        ("coil", 0, 2),
        ("discrete", 0, 1),
        ("holding", 0, 1),
        ("input", 0, 1),
    ]


def test_points_of_a_part_and_of_models_stand_where_they_do() -> None:
    points = ADAPTERS["phoenix-charx"].points
    assert [s.address for s in spots(points.values(), {}, 3000)] == [3300, 3301]
    (found,) = spots([ADAPTERS["sunspec-inverter"].points["power_kw"]], {103: 40070})
    assert (found.address, found.scale_factor, found.area) == (40084, 40085, 40070)
    assert spots([ADAPTERS["sunspec-inverter"].points["power_kw"]], {101: 40070}) == []


def test_how_many_requests_the_adapters_take() -> None:
    """Counters that would tell of a plan that got worse."""
    requests = {}
    for name, adapter in ADAPTERS.items():
        readable = [p for p in adapter.points.values() if p.readable]
        requests[name] = sum(len(bunch) for bunch in plan(spots(readable, STARTS), adapter.link))
    assert requests["gridopt-sim-meter"] == 2
    assert requests["eastron-sdm630"] == 3
    assert requests["sunspec-inverter"] == 4
    assert requests["carlo-gavazzi-em24"] == 5


# --- always ----------------------------------------------------------------------------------------------------------


@st.composite
def maps(draw: Any) -> tuple[list[Spot], Link]:
    """Points without overlaps but with views of the same registers, factors before, after and among them."""
    read = draw(st.integers(4, 20))
    made: list[Spot] = []
    at = draw(st.integers(0, 5))
    for k in range(draw(st.integers(1, 14))):
        at += draw(st.sampled_from([0, 0, 0, 1, 2, 9]))
        area = None if draw(st.booleans()) else 1000 * (at // 20)
        table = "holding"
        made.append(spot(f"p{k}", at, draw(st.sampled_from(["u16", "u32", "f32", "u64"])), area=area, table=table))
        if draw(st.integers(0, 9)) == 0:
            made[-1] = dataclasses.replace(made[-1], alone=True)
        at = made[-1].end
    for k, one in enumerate(made):
        if one.codec.type == "u16" and draw(st.booleans()):
            singles = [s.address for s in made if s.codec.registers == 1 and s is not one]
            factor = draw(st.sampled_from([*singles, at, at + 3, at + 50]))
            made[k] = dataclasses.replace(one, codec=dataclasses.replace(one.codec, scaled=True), scale_factor=factor)
    twin = draw(st.sampled_from(made))
    made.append(dataclasses.replace(twin, name="twin", codec=Codec(twin.codec.type, twin.codec.registers)))
    return made, link(read, draw(st.integers(0, 6)))


def needed(those: list[Spot]) -> set[int]:
    own = {r for s in those for r in range(s.address, s.end)}
    return own | {s.scale_factor for s in those if s.scale_factor is not None}


@given(maps())
def test_every_point_is_covered_once_and_no_limit_is_broken(made: tuple[list[Spot], Link]) -> None:
    those, limits = made
    bunches = plan(those, limits)
    blocks = [block for bunch in bunches for block in bunch]
    assert sorted(s.name for block in blocks for s in block.spots) == sorted(s.name for s in those)
    read = [r for block in blocks for r in range(block.address, block.end)]
    assert len(read) == len(set(read))  # no register twice
    assert needed(those) <= set(read)
    wanted = needed(those)
    for block in blocks:
        assert block.count <= limits.read_registers
        assert {block.address, block.end - 1} <= wanted  # no hole at an end
        for s in block.spots:  # none is split
            assert block.address <= s.address
            assert s.end <= block.end
            assert not s.alone or (block.address, block.end) == (s.address, s.end)
        holes = [len(list(g)) for hole, g in itertools.groupby(range(*span(block)), lambda r: r not in wanted) if hole]
        if all(s.area is None for s in those):
            assert max(holes, default=0) <= limits.bridge_registers
    for bunch in bunches:  # a torn factor is in the same bunch
        there = {place for block in bunch for place in block.factor_words(range(block.count))}
        assert all(block.torn <= there for block in bunch)


def span(block: Block) -> tuple[int, int]:
    return block.address, block.end


def cheapest(those: list[Spot], limits: Link) -> tuple[int, int, int]:
    """All ways to cut, tried one after the other."""
    factors = {s.scale_factor for s in those if s.scale_factor is not None}
    spans = {(s.address, s.end) for s in those}
    spans |= {(r, r + 1) for r in factors if not any(a <= r < e for a, e in spans)}
    order = sorted(spans)
    alone = {(s.address, s.end) for s in those if s.alone}
    best = None
    for cuts in itertools.product([False, True], repeat=len(order) - 1):
        groups: list[list[tuple[int, int]]] = [[order[0]]]
        for cut, one in zip(cuts, order[1:], strict=True):
            if cut:
                groups.append([one])
            else:
                groups[-1].append(one)
        if any(g[-1][1] - g[0][0] > limits.read_registers for g in groups):
            continue
        gaps = [b[0] - a[1] for g in groups for a, b in itertools.pairwise(g)]
        if max(gaps, default=0) > limits.bridge_registers or any(len(g) > 1 and alone & set(g) for g in groups):
            continue
        home = {r: k for k, g in enumerate(groups) for a, e in g for r in range(a, e)}
        pairs = {((s.address, s.end), s.scale_factor) for s in those if s.scale_factor is not None}
        torn = sum(home[a] != home[f] for (a, _), f in pairs if f is not None)
        cost = torn, len(groups), sum(g[-1][1] - g[0][0] for g in groups)
        best = min(best or cost, cost)
    assert best is not None
    return best


@given(maps())
def test_no_cut_is_cheaper(made: tuple[list[Spot], Link]) -> None:
    those = [dataclasses.replace(s, area=None) for s in made[0]][:10]
    blocks = [block for bunch in plan(those, made[1]) for block in bunch]
    torn = {
        ((s.address, s.end), s.scale_factor)
        for block in blocks
        for s in block.spots
        if s.scale_factor is not None and not block.address <= s.scale_factor < block.end
    }
    assert (len(torn), len(blocks), sum(b.count for b in blocks)) == cheapest(those, made[1])


@given(data=st.data())
def test_a_block_is_decoded_as_its_points_are(data: Any) -> None:
    """Random words through the blocks of every adapter that ships."""
    adapter = ADAPTERS[data.draw(st.sampled_from(sorted(ADAPTERS)))]
    readable = [p for p in adapter.points.values() if p.readable]
    for bunch in plan(spots(readable, STARTS), adapter.link):
        for block in bunch:
            top = 1 if block.table in ("coil", "discrete") else 0xFFFF
            word = st.one_of(st.integers(0, top), st.sampled_from([0, 1, 0xFFFF, 0x8000, 0x7FC0, 0x7FFF]))
            words = data.draw(st.lists(word, min_size=block.count, max_size=block.count))
            words = [min(w, top) for w in words]
            found = block.decode(words, {})
            for s in block.spots:
                at = s.address - block.address
                factor = None if s.scale_factor is None else exponent_of(words[s.scale_factor - block.address])
                expected = decode(s.codec, words[at : at + s.codec.registers], factor)
                assert found[s.name] == expected
                assert type(found[s.name]) is Decoded


def test_every_kind_of_codec_in_one_block() -> None:
    codecs = {
        "low_first": Codec("u32", 2, low_word_first=True),
        "bytes": Codec("u16", 1, low_byte_first=True),
        "absent_float": Codec("f32", 2, absent=frozenset([0x42280000])),
        "names": Codec("u16", 1, codes={"off": 0, "on": 1, "also": 1}),
        "bits": Codec("u16", 1, bits={"a": 0, "b": 3}),
        "text": Codec("text", 2),
        "ranged": Codec("i16", 1, low=-1, high=1),
        "infinite": Codec("f32", 2),
    }
    at = 10
    those: list[Spot] = []
    words: list[int] = []
    raw = {
        "low_first": (2, 1), "bytes": (0x3412,), "absent_float": (0x4228, 0), "names": (1,), "bits": (9,),
        "text": (0x4142, 0x4300), "ranged": (0xFFFE,), "infinite": (0x7F80, 0),
    }  # fmt: skip
    for name, codec in codecs.items():
        those.append(Spot(name, "holding", at, codec))
        words += raw[name]
        at += codec.registers
    those.append(Spot("view", "holding", 12, Codec("u16", 1)))
    ((block,),) = plan(those, link())
    found = block.decode(words, {})
    assert {name: d.value for name, d in found.items()} == {
        "low_first": 65538.0,
        "bytes": float(0x1234),
        "view": float(0x3412),
        "absent_float": None,
        "names": "on",
        "bits": frozenset({"a", "b"}),
        "text": "ABC",
        "ranged": None,
        "infinite": None,
    }
    assert found["absent_float"].quality is Quality.MISSING
    assert found["ranged"].quality is Quality.OUT_OF_RANGE
    assert found["infinite"].quality is Quality.OUT_OF_RANGE


def test_a_value_whose_factor_was_not_read_has_none() -> None:
    ((first, second),) = plan([spot("a", 0, factor=100)], link())
    assert first.decode([7], {})["a"] == Decoded(None, Quality.FAILED, "its scale factor was not read")
    factors = second.factor_words([2])
    assert first.decode([7], factors)["a"].value == 700.0


@pytest.mark.parametrize("words", [[1], [1, 2, 3], [1, 70000], [1, -1]])
def test_words_that_are_none_are_the_readers_bug(words: list[int]) -> None:
    ((block,),) = plan([spot("a", 0, "u32")], link())
    with pytest.raises(ValueError, match="word"):
        block.decode(words, {})


def test_a_block_is_halved_at_its_hole_first() -> None:
    those = [spot("a", 0), spot("b", 1), spot("c", 2), spot("d", 8)]
    ((block,),) = plan(those, link(bridge=9))
    assert [(b.address, b.count) for b in block.halves()] == [(0, 3), (8, 1)]
    assert [(b.address, b.count) for b in block.halves()[0].halves()] == [(0, 2), (2, 1)]
    ((single,),) = plan([spot("a", 0, "u32")], link())
    assert single.halves() == (single,)
