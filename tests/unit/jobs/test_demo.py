"""The loop closed: simulated devices read, told and proven for hours that go by in seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gridopt.errors import UsageError
from gridopt.jobs import demo
from gridopt.store.journal import Journal
from tests.support import field

NOW = datetime(2026, 1, 14, 12, tzinfo=UTC)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    field.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def closed(here: Path, *faults: tuple[str, str]) -> demo.Closed:
    return demo.run("small", here / "plan", here / "journal", now=NOW, tell=lambda _: None, faults=faults)


def test_every_setpoint_is_proven_and_the_plan_comes_about(here: Path) -> None:
    c = closed(here)
    assert {s.device: (s.point, s.value) for s in c.read} == {
        "battery": ("soc", 0.4),
        "room": ("room_temperature_c", 19.5),
    }
    told = {p.device: (p.command, p.setpoints, p.proven, dict(p.otherwise)) for p in c.proofs}
    assert told == {
        "battery": ("power", 12, 12, {}),
        "room": ("power", 12, 12, {}),
        "point-1": ("current", 8, 8, {}),  # while the car is there, in whole steps
    }
    assert c.proven
    assert (here / "plan" / "summary.json").is_file()
    for e in c.energy:
        assert e.realised_kwh == pytest.approx(e.planned_kwh, abs=0.06), e.asset
    assert c.cost_eur["realised"] == pytest.approx(c.cost_eur["plan"], abs=0.03)
    assert c.cost_eur["realised"] < c.cost_eur["by rule"]
    with Journal.read(c.journal) as journal:
        assert journal.verify() == []
        proven = [e for e in journal.entries() if e.kind == "result" and e.body["outcome"] == "applied"]
    assert 0 < c.changes <= len(proven) + 3
    assert c.changes < c.asked["writes"] < c.asked["requests"]


def test_what_a_device_ignores_is_never_called_proven(here: Path) -> None:
    """It acknowledges, and does nothing. What else is told is proven, or refused where the battery's content forbids
    the whole set."""
    c = closed(here, ("battery", "ack_nowrite"))
    told = {p.device: p for p in c.proofs}
    assert told["battery"].proven == 0
    assert "not-applied" in told["battery"].otherwise
    assert told["battery"].why
    for other in ("point-1", "room"):
        assert told[other].proven > 0
        assert set(told[other].otherwise) <= {"refused"}
    assert not c.proven
    assert not c.broken


def test_a_device_that_falls_silent_is_told_of_and_delays_nobody(here: Path) -> None:
    c = closed(here, ("point-1", "silent"))
    told = {p.device: p for p in c.proofs}
    assert told["point-1"].proven == 0
    assert told["point-1"].why
    for other in ("battery", "room"):
        assert told[other].proven == told[other].setpoints == 12
    assert not c.proven


def test_a_fault_that_there_is_not_is_said(here: Path) -> None:
    with pytest.raises(UsageError, match="did you mean silent"):
        closed(here, ("room", "slient"))
