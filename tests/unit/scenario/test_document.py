"""Overlays, --set and where every value stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridopt.scenario.document import read_document
from gridopt.scenario.load import Scenario, check, load
from gridopt.scenario.mistakes import Report
from gridopt.written.toml import key_lines

Write = Callable[..., Path]
Load = Callable[..., Scenario]


def document(folder: Path, *overlays: Path, sets: tuple[str, ...] = ()) -> Any:
    report = Report()
    found = read_document(folder / "scenario.toml", overlays, sets, report)
    report.stop()
    return found


def test_tables_merge_lists_of_tables_append_and_the_rest_is_replaced(base: str, write: Write) -> None:
    base = base + '[[pin]]\nasset = "a"\n[series]\nfiles = ["a.csv", "b.csv"]\n'
    folder = write(
        base, {"winter.toml": '[asset.bat-a]\npower_kw = 7\n[[pin]]\nasset = "b"\n[series]\nfiles = ["c.csv"]\n'}
    )
    data = document(folder, folder / "winter.toml").data
    assert data["asset"]["bat-a"] == {"family": "battery", "node": "grid", "capacity_kwh": 10, "power_kw": 7}
    assert data["pin"] == [{"asset": "a"}, {"asset": "b"}]
    assert data["series"]["files"] == ["c.csv"]


def test_every_value_knows_the_file_and_line_it_comes_from(
    base: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(
        base + "[[pin]]\nvalue = 1\n", {"winter.toml": "[asset.bat-a]\npower_kw = 7\n[[pin]]\n\nvalue = 2\n"}
    )
    monkeypatch.chdir(folder)
    found = document(folder, folder / "winter.toml", sets=("asset.bat-a.end=free", "pin.1.from=07:00"))
    assert found.at("asset", "bat-a", "capacity_kwh") == ("scenario.toml", 13)
    assert found.at("asset", "bat-a", "power_kw") == ("winter.toml", 2)
    assert found.at("asset", "bat-a", "missing") == ("scenario.toml", 10)
    assert found.at("pin", 0, "value") == ("scenario.toml", 16)
    assert found.at("pin", 1, "value") == ("winter.toml", 5)
    assert found.at("pin", 1, "from") == ("--set pin.1.from=07:00", None)
    assert found.at("asset", "bat-a", "end") == ("--set asset.bat-a.end=free", None)


def test_lines_of_every_way_to_write_a_key() -> None:
    text = b"""a = 1
b.c = 2
"d e" = { f = 3, g = [
  4,
  { h = 5 },
] }
[x.y]   # comment
z = 6
[[p]]
q = 7
[p.sub]
r = 8
[[p]]
[[p.deep]]
s = 9
'single quoted' = 10
"""
    lines = key_lines(text)
    expected = {
        ("a",): 1,
        ("b", "c"): 2,
        ("d e", "f"): 3,
        ("d e", "g", 0): 4,
        ("d e", "g", 1, "h"): 5,
        ("x", "y"): 7,
        ("x", "y", "z"): 8,
        ("p", 0): 9,
        ("p", 0, "q"): 10,
        ("p", 0, "sub", "r"): 12,
        ("p", 1): 13,
        ("p", 1, "deep", 0, "s"): 15,
        ("p", 1, "deep", 0, "single quoted"): 16,
    }
    assert {key: lines.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("5.5", 5.5),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ('"5"', "5"),
        ("free", "free"),
        ("07:30", "07:30"),
        ("D+1 07:30", "D+1 07:30"),
        ("a=b", "a=b"),
        ('""', ""),
        ("1\nformat = 2", "1\nformat = 2"),
    ],
)
def test_set_takes_toml_values_and_bare_words(write: Write, text: str, value: Any) -> None:
    found = document(write(), sets=(f"asset.bat-a.end={text}",)).data
    assert found["asset"]["bat-a"]["end"] == value
    assert found["format"] == 1


def test_set_reaches_new_tables_and_rows_of_table_files(base: str, build: Load) -> None:
    toml = base + '[battery]\ntable = "b.csv"\n'
    files = {"b.csv": "id,node,capacity_kwh,power_kw\nb-1,grid,4,2\nb-2,grid,4,2\n"}
    sets = ["asset.b-2.power_kw=3", "solve.gap=0.01", "node.grid.export_max_kw=0"]
    found = build(toml, files, sets=sets)
    table = found.tables[0]
    assert dict(zip(table.ids, table.user["power_kw"], strict=True)) == {"b-1": 2, "b-2": 3, "bat-a": 5}
    assert found.target.gap == 0.01
    assert not found.nodes[0].export_max_kw.any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("asset.bat-a", "write --set path.to.key=value"),
        ("asset..power_kw=3", "write --set path.to.key=value"),
        ("title.x=3", "title is not a table, so x cannot be set in it"),
        ("asset.bat-a.pin.0.value=3", "asset bat-a: unknown key pin"),
        ("asset.bat-a.powr_kw=3", "asset bat-a: unknown key powr_kw; did you mean power_kw?"),
        ("asset.bat-a.power_kw=much", 'asset bat-a: power_kw "much" is not a number'),
        ("asset.bat-b.power_kw=3", "asset bat-b: family is missing"),
        ("node.grd.import_max_kw=3", "there is no node grd; did you mean grid? A new node is written in a file"),
    ],
)
def test_a_wrong_set_is_told_as_it_was_written(base: str, write: Write, text: str, message: str) -> None:
    toml = 'title = "x"\n' + base
    found = check(write(toml), sets=[text])
    assert [m.file for m in found] == [f"--set {text}"]
    assert found[0].message.startswith(message)


def test_a_wrong_overlay_is_told_in_its_own_file(base: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(base, {"winter.toml": "[asset.bat-a]\n\nsoc_min = 2\n", "bad.toml": "a = = 1\n"})
    monkeypatch.chdir(folder)
    assert [str(m) for m in check(".", overlays=["winter.toml"])] == [
        "winter.toml:3: asset bat-a: soc_min 2 is not within 0..1; a share: write 0.02 for 2 %"
    ]
    found = [str(m) for m in check(".", overlays=["bad.toml", "none.toml"])]
    assert [text.partition(" ")[0] for text in found] == ["bad.toml:1:", "none.toml:"]


def test_files_are_sought_beside_the_file_that_names_them(base: str, write: Write, tmp_path: Path) -> None:
    row = "id,node,capacity_kwh,power_kw\nb-1,grid,4,2\n"
    folder = write(base)
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "overlay.toml").write_text('[battery]\ntable = "b.csv"\n')
    (other / "b.csv").write_text(row)
    assert check(folder, overlays=[other / "overlay.toml"]) == []


def test_a_byte_order_mark_is_welcome(write: Write) -> None:
    folder = write()
    text = (folder / "scenario.toml").read_bytes()
    (folder / "scenario.toml").write_bytes(b"\xef\xbb\xbf" + text)
    assert check(folder) == []


def test_all_mistakes_of_all_files_come_at_once_and_in_order(
    base: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = base.replace("power_kw = 5", "power_kw = -5") + '[battery]\ntable = "b.csv"\n[solve]\ngap = -1\n'
    folder = write(toml, {"b.csv": "id,node,capacity_kwh,power_kw\nb-1,gird,4,2\n", "o.toml": "[horizon]\ndays = 0\n"})
    monkeypatch.chdir(folder)
    found = check(".", overlays=["o.toml"], sets=["nodes=3"])
    assert [(m.file, m.line) for m in found] == [
        ("--set nodes=3", None),
        ("b.csv", 2),
        ("o.toml", 2),
        ("scenario.toml", 14),
        ("scenario.toml", 18),
    ]


# --- values taken out ------------------------------------------------------------------------------------------------

LIMITED = "cycles_per_day = 1\n"


def test_an_overlay_takes_an_optional_value_out(write: Write, base: str) -> None:
    folder = write(base + LIMITED, {"free.toml": 'unset = ["asset.bat-a.cycles_per_day"]\n'})
    assert "cycles_per_day" in load(folder).document["asset"]["bat-a"]
    for how in ({"overlays": ["free.toml"]}, {"sets": ["asset.bat-a.cycles_per_day="]}):
        scenario = load(folder, **how)
        assert "cycles_per_day" not in scenario.document["asset"]["bat-a"]
        assert np.isnan(scenario.tables[0].user["cycles_per_day"][0])
    again = load(folder, overlays=["free.toml"], sets=["asset.bat-a.cycles_per_day=2"])
    assert again.tables[0].user["cycles_per_day"][0] == 2


def test_a_value_of_a_table_or_a_default_is_taken_out_too(write: Write, base: str) -> None:
    table = "[battery]\ntable = 'more.csv'\n[battery.defaults]\nextra_cycle_eur = 0.5\n"
    rows = "id,node,capacity_kwh,power_kw,cycles_per_day\nbat-b,grid,5,2,1\nbat-c,grid,5,2,1\n"
    sets = ["asset.bat-b.cycles_per_day=", "asset.bat-c.extra_cycle_eur="]
    (found,) = load(write(base + table, {"more.csv": rows}), sets=sets).tables
    assert found.ids == ("bat-a", "bat-b", "bat-c")
    np.testing.assert_array_equal(found.user["cycles_per_day"], [np.nan, np.nan, 1])
    np.testing.assert_array_equal(found.user["extra_cycle_eur"], [0.5, 0.5, np.nan])


def test_what_is_not_there_cannot_be_taken_out(write: Write, base: str) -> None:
    overlay = 'unset = ["asset.bat-a.cycles_per_day", "asset.bat-x.power_kw", "horizon.hours"]\n'
    folder = write(base, {"free.toml": overlay, "odd.toml": "unset = 3\n"})
    said = [str(m) for m in check(folder, overlays=["free.toml"])]
    assert len(said) == 3
    assert all("free.toml:1: there is no " in words for words in said)
    assert "unset 3 is not a list of values" in str(check(folder, overlays=["odd.toml"])[0])
    assert "power_kw is missing" in str(check(folder, sets=["asset.bat-a.power_kw="])[0]), "it is required"
