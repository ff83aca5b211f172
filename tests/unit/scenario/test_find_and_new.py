"""Finding scenarios by path or name, and writing one to start from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from gridopt.errors import ScenarioError
from gridopt.model.assemble import assemble
from gridopt.scenario import find as finding
from gridopt.scenario.find import find, shipped, shipped_folder
from gridopt.scenario.load import check, load
from gridopt.scenario.new import copy, new
from gridopt.solve.session import Session

Write = Callable[..., Path]


def test_a_scenario_is_a_folder_a_file_or_a_shipped_name(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(name="two-roofs")
    assert find(folder) == folder / "scenario.toml"
    assert find(str(folder / "scenario.toml")) == folder / "scenario.toml"
    monkeypatch.setattr(finding, "shipped_folder", lambda: tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert find("two-roofs") == folder / "scenario.toml"
    assert load("two-roofs").name == "two-roofs"


def test_a_folder_of_ones_own_goes_before_a_shipped_scenario(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(name="two-roofs")
    own = tmp_path / "own" / "two-roofs"
    own.mkdir(parents=True)
    (own / "scenario.toml").write_text("format = 1\n")
    monkeypatch.setattr(finding, "shipped_folder", lambda: tmp_path)
    monkeypatch.chdir(tmp_path / "own")
    assert find("two-roofs").resolve() == own / "scenario.toml"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("two-roof", "two-roof: no scenario of this name; did you mean two-roofs?"),
        ("xyz", "xyz: no scenario of this name; there is only two-roofs"),
        ("two-rofs/scenario.toml", "two-rofs/scenario.toml: no such file or folder"),
        ("two-roofs/scenaro.toml", "two-roofs/scenaro.toml: no such file or folder; did you mean scenario.toml?"),
        ("empty", "empty: this folder holds no scenario.toml; `gridopt new NAME` writes one"),
    ],
)
def test_what_is_not_there_is_told_with_what_is_near(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    write(name="two-roofs")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(finding, "shipped_folder", lambda: tmp_path / "nothing")
    with pytest.raises(ScenarioError) as error:
        find(name)
    assert str(error.value) == message


def test_shipped_scenarios_are_those_of_the_checkout_and_without_mistakes() -> None:
    checkout = Path(__file__).resolve().parents[3] / "scenarios"
    assert shipped_folder() == checkout
    if not checkout.is_dir():
        pytest.skip("the checkout holds no scenarios yet")
    assert shipped()
    assert {name: check(folder) for name, folder in shipped().items()} == {name: [] for name in shipped()}


def test_a_new_scenario_loads_without_a_note_and_can_be_planned(tmp_path: Path) -> None:
    folder = new("my-house", tmp_path)
    scenario = load(folder)
    assert (scenario.name, scenario.title, scenario.notes) == ("my-house", "My house", ())
    assert {t.family.name for t in scenario.tables} == {"battery", "load", "pv"}
    run = Session(assemble(scenario.inputs).lp).run()
    assert run.status == "optimal"


def blocks(text: str) -> list[list[str]]:
    """The commented-out parts of a template: paragraphs that begin with a table."""
    paragraphs = [part.splitlines() for part in text.split("\n\n")]
    return [lines for lines in paragraphs if lines[0].startswith("# [")]


def uncommented(text: str, which: list[list[str]]) -> str:
    for lines in which:
        text = text.replace("\n".join(lines), "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines))
    return text


def test_every_commented_part_of_a_new_scenario_works_alone_and_all_together(tmp_path: Path) -> None:
    file = new("my-house", tmp_path) / "scenario.toml"
    text = file.read_text(encoding="utf-8")
    found = blocks(text)
    assert [lines[0] for lines in found] == [
        "# [asset.car]",
        "# [generate.outdoor]        # the same seed as the roof: one seed is one sky",
        "# [[pin]]",
        "# [[outage]]",
        "# [[node.grid.limits]]",
    ]
    plain = load(file).inputs.digest()
    for which in ([one] for one in found):
        file.write_text(uncommented(text, which), encoding="utf-8")
        scenario = load(file, day=date(2026, 3, 15) if which[0][0] == "# [[outage]]" else None)
        assert scenario.notes == ()
        assert scenario.inputs.digest() != plain
        assert Session(assemble(scenario.inputs).lp).run().status == "optimal"
    file.write_text(uncommented(text, found), encoding="utf-8")
    scenario = load(file, day=date(2026, 3, 15))
    assert {p.why for p in scenario.pins} == {"pin", "outage"}
    assert {t.family.name for t in scenario.tables} == {"battery", "ev-session", "heat-pump-building", "load", "pv"}
    assert Session(assemble(scenario.inputs).lp).run().status == "optimal"


def test_the_house_of_the_template_is_warm_enough_on_a_winter_day(tmp_path: Path) -> None:
    """The rules of thumb hold together: the heat pump that they size keeps the rooms within their band in January."""
    file = new("my-house", tmp_path) / "scenario.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(uncommented(text, blocks(text)[1:2]), encoding="utf-8")
    scenario = load(file, day=date(2026, 1, 20))
    assembly = assemble(scenario.inputs)
    x = Session(assembly.lp).run().x
    short = next(b for b in assembly.blocks if b.group.family.name == "heat-pump-building").columns("under_k")
    assert short is not None
    assert x[short].max() < 0.5


@pytest.mark.parametrize("source", sorted(shipped()))
def test_a_shipped_scenario_is_copied_whole_and_loads(tmp_path: Path, source: str) -> None:
    folder = copy("mine", source, tmp_path)
    files = {p.name: p.read_bytes() for p in shipped()[source].iterdir()}
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == files
    assert "README.md" in files
    assert load(folder).inputs.digest() == load(source).inputs.digest()


def test_copy_overwrites_nothing_and_knows_what_ships(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(ScenarioError, match="it exists already"):
        copy("mine", "two-roofs", tmp_path)
    with pytest.raises(ScenarioError, match=r"two-rofs: no scenario of this name; did you mean two-roofs\?"):
        copy("yours", "two-rofs", tmp_path)
    with pytest.raises(ScenarioError, match="a scenario's name may hold"):
        copy("../up", "two-roofs", tmp_path)
    assert [p.name for p in tmp_path.rglob("*")] == ["mine"]


@pytest.mark.parametrize("name", ["", "a b", "../up", "a/b", "é"])
def test_new_refuses_names_that_are_no_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ScenarioError, match="a scenario's name may hold"):
        new(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_new_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(ScenarioError, match="it exists already"):
        new("mine", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ScenarioError, match="cannot be written"):
        new("mine", tmp_path / "file")
