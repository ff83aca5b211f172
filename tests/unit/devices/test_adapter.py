"""Adapter files: where they are found, what they may say in which way, and odd values anywhere in them."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gridopt.devices import adapter as adapters
from gridopt.devices.adapter import _Reader, find, load, shipped
from gridopt.devices.editor import json_schema
from gridopt.devices.mistakes import Report
from gridopt.errors import AdapterError
from gridopt.written.toml import Layer
from tests.support.json_schema import faults

BROKEN = Path(__file__).resolve().parents[2] / "cases" / "broken-adapters"
SCHEMA = json.loads(json.dumps(json_schema()))

METER = """\
format = 1
kind = "meter"
maker = "Anyone"
model = "One"
quality = "bench"

[[source]]
document = "a manual"
revision = "2.1"
page = "table 4"

[link]
base = 1
word_order = "low-first"

[defaults]
table = "input"
type = "i32"
unit = "W"
positive = "draw"

[absent]
i32 = [0x8000_0000]

[point]
power_kw = { address = 1 }
power_l1_kw = { address = 3, positive = "feed", word_order = "high-first", absent = [] }

[point.temperature_c]
address = 30001
type = "i16"
unit = "°C"
scale = 0.1
offset = -50

[[check]]
point = "power_kw"
words = [0x04D2, 0x0000]
value = 1.234

[[check]]
point = "power_kw"
words = [0x0000, 0x8000]
quality = "missing"

[[check]]
point = "power_l1_kw"
words = [0x8000, 0x0000]
value = 2147483.648

[[check]]
point = "temperature_c"
words = [715]
value = 21.5
"""


@pytest.fixture
def meter(tmp_path: Path) -> Path:
    path = tmp_path / "my-meter.toml"
    path.write_text(METER, encoding="utf-8")
    return path


def test_a_file_becomes_an_adapter(meter: Path) -> None:
    found = load(meter)
    assert found.name == "my-meter"
    assert found.digest == hashlib.sha256(meter.read_bytes()).hexdigest()
    assert (found.header.maker, found.header.quality) == ("Anyone", "bench")
    assert [(s.document, s.revision, s.page) for s in found.sources] == [("a manual", "2.1", "table 4")]
    assert found.writes == {}
    assert [(p.name, p.unit, p.table, p.address, p.end) for p in found.points.values()] == [
        ("power_kw", "kW", "input", 0, 2),
        ("power_l1_kw", "kW", "input", 2, 4),
        ("temperature_c", "°C", "input", 30000, 30001),
    ]


def test_a_mistake_of_the_defaults_is_told_once_and_there(meter: Path) -> None:
    meter.write_text(METER.replace('unit = "W"\npositive', 'unit = "A"\npositive'), encoding="utf-8")
    with pytest.raises(AdapterError) as error:
        load(meter)
    (mistake,) = error.value.mistakes
    assert mistake.line == METER.splitlines().index('unit = "W"') + 1


def test_a_byte_order_mark_and_windows_lines_are_welcome(meter: Path) -> None:
    meter.write_bytes(b"\xef\xbb\xbf" + METER.replace("\n", "\r\n").encode())
    assert load(meter).name == "my-meter"


# --- where ----------------------------------------------------------------------------------------------------------


def test_an_adapter_is_a_file_or_a_name_that_ships(meter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find("abb-b23") == shipped()["abb-b23"]
    assert find(meter) == meter
    monkeypatch.chdir(meter.parent)
    assert load("my-meter.toml").file == Path("my-meter.toml")
    (meter.parent / "abb-b23").write_text(METER)
    assert find("abb-b23") == Path("abb-b23"), "a file of one's own goes before one that ships"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("abb-b32", "abb-b32: no adapter of this name; did you mean abb-b23?"),
        ("zzz", "zzz: no adapter of this name; `gridopt device list` names them all"),
        ("my-metr.toml", "my-metr.toml: there is no file my-metr.toml; did you mean my-meter.toml?"),
        ("folder", "folder: folder is a folder; a file is needed"),
    ],
)
def test_what_is_not_there_is_told_with_what_is_near(
    meter: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.chdir(meter.parent)
    (meter.parent / "folder").mkdir()
    with pytest.raises(AdapterError) as error:
        load(name)
    assert str(error.value) == message


def test_without_shipped_adapters_there_is_still_a_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(adapters, "data_folder", lambda kind: tmp_path / kind)
    with pytest.raises(AdapterError, match="no adapter of this name; there is none"):
        load("abb-b23")


# --- odd values -------------------------------------------------------------------------------------------------------

ODD: tuple[Any, ...] = (
    True, -1, 0, 2**70, 1.5, float("nan"), float("inf"), "", " ", "x", "value", "installer", [], [1], [[]], {},
    {"a": 1}, [{"a": 1}], date(2026, 1, 1), "é", "0x10", -(2**63),
)  # fmt: skip
RICH = [
    tomllib.loads(load(name).file.read_text(encoding="utf-8"))
    for name in ("gridopt-sim-heat-pump", "fronius-gen24", "stiebel-wpm", "keba-p30")
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def cases() -> list[tuple[int, tuple[Any, ...], Any]]:
    everywhere = [(n, path) for n, data in enumerate(RICH) for path in places(data)]
    draw = random.Random(1)
    return [(n, path, odd) for n, path in everywhere for odd in draw.sample(ODD, 3)]


def test_odd_values_give_messages_never_a_traceback() -> None:
    assert len(cases()) > 1500
    refused = 0
    for n, path, odd in cases():
        data = copy.deepcopy(RICH[n])
        inner = data
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = odd
        report = Report()
        try:
            _Reader(Layer("odd.toml", Path("."), data), report).adapter(Path("odd.toml"), "")
        except Exception as error:
            raise AssertionError(f"{path} = {odd!r}") from error
        refused += bool(report.mistakes)
    assert refused > 0.8 * len(cases())


def test_every_key_may_be_missing() -> None:
    for data in RICH:
        for path in places(data):
            less = copy.deepcopy(data)
            inner = less
            for key in path[:-1]:
                inner = inner[key]
            del inner[path[-1]]
            _Reader(Layer("less.toml", Path("."), less), Report()).adapter(Path("less.toml"), "")


# --- the schema for editors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped())
def test_the_schema_takes_what_loads(name: str) -> None:
    data = tomllib.loads(shipped()[name].read_text(encoding="utf-8"))
    assert list(faults(data, SCHEMA, SCHEMA)) == []


@pytest.mark.parametrize("name", ["header", "sections", "shapes", "defaults", "fail-safe-missing", "absent-types"])
def test_the_schema_refuses_what_a_schema_can_refuse(name: str) -> None:
    data = tomllib.loads((BROKEN / name / "adapter.toml").read_text(encoding="utf-8"))
    assert list(faults(data, SCHEMA, SCHEMA))


def test_every_key_is_explained_in_the_schema() -> None:
    for name, shape in SCHEMA["$defs"].items():
        for key, value in shape["properties"].items():
            assert value.get("description") or "$ref" in value or "allOf" in value, f"{name} {key}"
