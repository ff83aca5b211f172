"""Every adapter that ships: it loads, its worked checks hold, and it says what it must."""

from __future__ import annotations

import re
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridopt.devices.adapter import Adapter, load, read, shipped
from gridopt.devices.codec import FLOATS, FORMATS, Quality, decode, encode
from gridopt.devices.mistakes import Report
from gridopt.devices.points import Point
from gridopt.devices.schema import KINDS, Check
from gridopt.devices.sunspec import items
from gridopt.errors import AdapterError

FOLDER = Path(__file__).resolve().parents[3] / "adapters"
ADAPTERS = {name: load(path) for name, path in shipped().items()}
POINTS = [(name, point) for name, adapter in ADAPTERS.items() for point in adapter.points.values()]


def own(name: str) -> bool:
    return name.startswith("gridopt-sim-")


def test_there_are_as_many_as_promised_and_of_every_kind() -> None:
    assert len([name for name in ADAPTERS if not own(name)]) >= 20
    assert {a.header.kind for name, a in ADAPTERS.items() if not own(name)} | {"battery"} == set(KINDS)
    assert {name for name in ADAPTERS if own(name)} == {
        f"gridopt-sim-{what}" for what in ("battery", "pv", "charger", "heat-pump", "meter")
    }
    assert {path.name for path in FOLDER.rglob("*") if path.is_file()} == {f"{name}.toml" for name in ADAPTERS}


@pytest.mark.parametrize("name", ADAPTERS)
def test_it_stands_where_it_says_and_its_worked_checks_hold(name: str) -> None:
    adapter = ADAPTERS[name]
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert adapter.file.parent.name == adapter.header.kind
    assert adapter.sources
    assert adapter.results()
    assert [r for r in adapter.results() if not r.holds] == []


@pytest.mark.parametrize("name", ADAPTERS)
def test_it_claims_no_more_than_was_proven(name: str) -> None:
    assert ADAPTERS[name].header.quality == "simulated"


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_command_has_a_worked_check(name: str) -> None:
    checked = {check.write for check in ADAPTERS[name].checks if check.write}
    assert checked == set(ADAPTERS[name].writes)


def test_what_nobody_knows_the_fail_safe_of_is_written_with_a_signature_only() -> None:
    unsafe = {f"{name} {w}" for name, a in ADAPTERS.items() for w, write in a.writes.items() if not write.allowed}
    assert unsafe == {
        "daikin-homehub mode",
        "fronius-gen24 charge-limit",
        "huawei-sun2000 charge-limit",
        "huawei-sun2000 discharge-limit",
        "intesis-dali lamps",
        "nibe-s limit",
        "nibe-s mode",
        "phoenix-charx current",
        "victron-gx grid",
    }


@pytest.mark.parametrize("name", [name for name in ADAPTERS if own(name)])
def test_the_simulated_devices_are_complete(name: str) -> None:
    """All that later stages need: an identity with a serial number, and commands that need nothing of an installer."""
    adapter = ADAPTERS[name]
    assert adapter.identity.expect == {"model_name": name}
    assert adapter.identity.serial == "serial_number"
    assert bool(adapter.writes) == (name != "gridopt-sim-meter")
    for write in adapter.writes.values():
        assert write.allowed
        assert write.left_to_site == ()
        assert write.memory == "volatile"
        assert write.release or write.fail_safe.kind == "watchdog"


def test_the_simulated_devices_have_every_kind_of_fail_safe() -> None:
    kinds = Counter(w.fail_safe.kind for name, a in ADAPTERS.items() if own(name) for w in a.writes.values())
    assert set(kinds) == {"revert", "watchdog", "heartbeat", "self"}


@pytest.mark.parametrize(
    ("name", "point", "address", "table"),
    [
        ("eastron-sdm630", "power_kw", 0x34, "input"),
        ("abb-b23", "power_kw", 0x5B14, "holding"),
        ("schneider-iem3000", "power_kw", 3059, "holding"),  # 3060 in the maker's list, which counts from 1
        ("schneider-iem3000", "energy_import_kwh", 3203, "holding"),  # 3204
        ("danfoss-aqua", "status_word", 2909, "holding"),  # 2910
        ("grundfos-cim", "control_bits", 100, "holding"),  # 00101
        ("keba-p30", "current_limit_a", 5004, "holding"),
        ("stiebel-wpm", "sg_input_2", 4002, "holding"),
        ("sunspec-inverter", "limit_share", 5, "holding"),
    ],
)
def test_registers_are_those_of_the_documents(name: str, point: str, address: int, table: str) -> None:
    found = ADAPTERS[name].points[point]
    assert (found.address, found.table) == (address, table)


def test_a_limit_and_its_timer_are_one_request() -> None:
    """SunSpec 123: limit, window, timer, ramp and enable in five registers; 704: enable, limit, what it reverts to and
    the timer in six."""
    for name, registers in (
        ("sunspec-inverter", [5, 6, 7, 8, 9]),
        ("fronius-gen24", [5, 6, 7, 8, 9]),
        ("sunspec-der", [14, 15, 16, 17, 18]),
    ):
        write = ADAPTERS[name].writes["limit"]
        (step,) = write.steps
        assert [ADAPTERS[name].points[p].address for p in step] == registers
        assert write.multiple


def test_sunspec_adapters_stand_where_the_models_say() -> None:
    """Addresses, types and units against the SunSpec alliance's own definitions."""
    for name, point in POINTS:
        if point.sunspec is None:
            continue
        model = {item.at: item for item in items(point.sunspec, 1000)}
        said = model[point.address]
        assert (point.codec.type, point.codec.registers) == (said.codec.type, said.codec.registers), (name, point.name)
        assert point.scale_factor == said.factor_at, (name, point.name)
        assert set(point.codec.codes.values()) <= set(said.codec.codes.values())
        assert set(point.codec.bits.values()) <= set(said.codec.bits.values())


# --- the checks are checks -------------------------------------------------------------------------------------------


def tells_single_words(adapter: Adapter, check: Check) -> bool:
    """Whether the words of a check are the only ones that it would hold for: not so where a whole range is missing."""
    if not check.words:
        return False
    codec = adapter.points[str(check.point)].codec
    whole_range = check.quality == "out-of-range" or codec.type in FLOATS or check.scale_factor == 0x8000
    return codec.type != "text" and not (check.quality and whole_range)


NUMBERS = [
    (name, k)
    for name, adapter in ADAPTERS.items()
    for k, check in enumerate(adapter.checks)
    if tells_single_words(adapter, check)
]


@pytest.mark.parametrize(("name", "k"), NUMBERS)
def test_a_check_with_one_bit_off_does_not_hold(name: str, k: int, tmp_path: Path) -> None:
    """The lowest bit of the lowest word of each, in the file itself."""
    adapter = ADAPTERS[name]
    text = adapter.file.read_text(encoding="utf-8")
    at = [m.start() for m in re.finditer(r"^\[\[check\]\]$", text, re.M)][k]
    words = re.compile(r"(words = \[)([^\]]*)(\])")
    low_first = adapter.points[str(adapter.checks[k].point)].codec.low_word_first

    def flip(match: re.Match[str]) -> str:
        numbers = [int(word, 0) for word in match[2].split(",") if word.strip()]
        numbers[0 if low_first else -1] ^= 1
        return match[1] + ", ".join(map(str, numbers)) + match[3]

    path = tmp_path / "off.toml"
    path.write_text(text[:at] + words.sub(flip, text[at:], count=1), encoding="utf-8")
    with pytest.raises(AdapterError) as error:
        load(path)
    (mistake,) = error.value.mistakes
    assert mistake.code in ("check-value", "check-back")
    assert mistake.message.startswith(f"check {k + 1}: ")


@given(data=st.data())
def test_what_any_point_reads_is_what_it_would_write(data: Any) -> None:
    """Random words through every codec that ships: a good value goes back to the same words."""
    _, point = data.draw(st.sampled_from(POINTS))
    codec = point.codec
    words = tuple(data.draw(st.lists(st.integers(0, 0xFFFF), min_size=codec.registers, max_size=codec.registers)))
    exponent = data.draw(st.integers(-10, 10)) if codec.scaled else None
    found = decode(codec, words, exponent)
    if found.quality is not Quality.GOOD:
        assert found.value is None
        assert found.why
        return
    if codec.type == "text" or (codec.bits and any(str(b).startswith("bit-") for b in _names(found.value))):
        return
    if "64" in codec.type and (codec.type in FLOATS or abs(_raw(point, words)) > 2**53):
        return
    if codec.type in FLOATS and found.value == 0:
        return  # a minus before a zero is not kept
    assert encode(codec, found.value, exponent) == words


def _names(value: object) -> frozenset[str]:
    return value if isinstance(value, frozenset) else frozenset()


def _raw(point: Point, words: tuple[int, ...]) -> float:
    order = words[::-1] if point.codec.low_word_first else words
    return float(struct.unpack(">" + FORMATS[point.codec.type], struct.pack(f">{len(order)}H", *order))[0])


# --- every byte of them ----------------------------------------------------------------------------------------------


@given(data=st.data())
def test_a_changed_byte_gives_messages_never_a_traceback(data: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    adapter: Adapter = data.draw(st.sampled_from(list(ADAPTERS.values())))
    text = bytearray(adapter.file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + 1] = data.draw(st.sampled_from([b"", b"0", b"-", b'"', b"[", b"}", b"=", b"\n", b"\xff", b"e"]))
    path = tmp_path_factory.mktemp("changed") / "adapter.toml"
    path.write_bytes(bytes(text))
    report = Report()
    found = read(path, report)
    assert (found is None) == bool(report.mistakes)
