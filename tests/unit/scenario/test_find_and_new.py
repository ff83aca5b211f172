"""Finding scenarios by path or name, and writing one to start from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gridopt.errors import ScenarioError
from gridopt.model.assemble import assemble
from gridopt.scenario import find as finding
from gridopt.scenario.find import find, shipped, shipped_folder
from gridopt.scenario.load import check, load
from gridopt.scenario.new import new
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


def test_the_commented_parts_of_a_new_scenario_work_too(tmp_path: Path) -> None:
    folder = new("my-house", tmp_path)
    file = folder / "scenario.toml"
    lines = file.read_text().splitlines()
    start = next(k for k, line in enumerate(lines) if line == "# [[pin]]")
    lines[start:] = [line.removeprefix("#").strip() for line in lines[start:]]
    file.write_text("\n".join(lines))
    assert {p.why for p in load(folder).pins} == {"pin", "outage"}


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
