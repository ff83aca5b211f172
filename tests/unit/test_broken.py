"""Broken scenarios: each folder of tests/cases/broken holds a scenario and the exact messages it must give.

``expected.txt`` has one line a mistake, in order of file and line. A new mistake that users make becomes a new folder.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gridopt.errors import ScenarioError
from gridopt.scenario.load import check, load
from gridopt.scenario.mistakes import MESSAGES

BROKEN = Path(__file__).resolve().parents[1] / "cases" / "broken"
CASES = sorted(p.name for p in BROKEN.iterdir() if p.is_dir())


def test_there_are_at_least_as_many_cases_as_promised() -> None:
    assert len(CASES) >= 45


@pytest.mark.parametrize("name", CASES)
def test_every_mistake_is_told_and_nothing_else(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN / name)
    expected = (BROKEN / name / "expected.txt").read_text(encoding="utf-8").splitlines()
    assert expected
    found = check(".")
    assert [str(m) for m in found] == expected
    with pytest.raises(ScenarioError) as error:
        load(".")
    assert str(error.value).splitlines() == expected
    assert error.value.exit_code == 10
    for mistake in found:  # the text is its template with its fields: another language is another table
        assert mistake.message == MESSAGES[mistake.code].format(**mistake.fields)


@pytest.mark.parametrize("name", CASES)
def test_messages_name_a_file_that_exists_and_a_line_it_has(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN / name)
    for mistake in check("."):
        path = Path(mistake.file)
        assert path.exists()
        if mistake.line is not None:
            assert 1 <= mistake.line <= max(path.read_bytes().count(b"\n"), 1)
        assert not re.search(r"Traceback|object at 0x|pydantic|Error\(", mistake.message)


def test_messages_are_told_from_where_the_user_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    files = {m.file for name in ("asset-ranges", "table-cells") for m in check(name)}
    assert files == {"asset-ranges/scenario.toml", "table-cells/batteries.csv"}
