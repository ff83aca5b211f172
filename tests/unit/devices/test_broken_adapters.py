"""Broken adapters: each folder of tests/cases/broken-adapters holds one and the exact messages it must give.

``expected.txt`` has one line a mistake, in the order of the file. A new mistake that people make becomes a new folder.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gridopt.devices.adapter import load, read
from gridopt.devices.mistakes import MESSAGES, Report
from gridopt.errors import AdapterError
from gridopt.written.report import COMMON

BROKEN = Path(__file__).resolve().parents[2] / "cases" / "broken-adapters"
CASES = sorted(p.name for p in BROKEN.iterdir() if p.is_dir())


def mistakes_of(name: str) -> AdapterError:
    with pytest.raises(AdapterError) as error:
        load("adapter.toml")
    return error.value


def test_there_are_at_least_as_many_cases_as_promised() -> None:
    assert len(CASES) >= 30


@pytest.mark.parametrize("name", CASES)
def test_every_mistake_is_told_and_nothing_else(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN / name)
    expected = (BROKEN / name / "expected.txt").read_text(encoding="utf-8").splitlines()
    assert expected
    error = mistakes_of(name)
    assert str(error).splitlines() == expected
    assert error.exit_code == 10
    for mistake in error.mistakes:  # the text is its template with its fields: another language is another table
        assert mistake.message == MESSAGES[mistake.code].format(**mistake.fields)


@pytest.mark.parametrize("name", CASES)
def test_messages_name_a_line_that_the_file_has(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN / name)
    lines = (BROKEN / name / "adapter.toml").read_text(encoding="utf-8").splitlines()
    for mistake in mistakes_of(name).mistakes:
        assert mistake.file == "adapter.toml"
        assert mistake.line is None or lines[mistake.line - 1].strip()


def test_every_message_is_met() -> None:
    """A message that no case gives is one that nobody has read."""
    met = set()
    for name in CASES:
        report = Report()
        read(BROKEN / name / "adapter.toml", report)
        met |= {mistake.code for mistake in report.mistakes}
    assert set(MESSAGES) - set(COMMON) - met == {"no-adapter"}
