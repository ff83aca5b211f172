"""Golden optima: every folder of tests/cases/golden is a scenario whose best plan is known from elsewhere.

A folder holds

* ``scenario.toml`` and its series: the input;
* ``expected.json``: the tool that gave the numbers, the objective, and numbers of the schedule that are the same in
  every optimum (null where they are not);
* ``README.md``: the story, and where the numbers come from, as ``Origin: by hand`` with the arithmetic to follow, or
  ``Origin: TOOL VERSION``, then with ``reference.py``, which runs in a virtual environment of its own;
* ``case.toml``: the families it proves, the nodes and commitments that shape its plan, and the tolerance.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridopt.assets import FAMILY_NAMES
from gridopt.assets.base import Floats
from gridopt.model.inputs import Inputs, Target
from gridopt.model.schedule import Schedule
from gridopt.scenario.load import load
from gridopt.solve.ladder import Solution, solve
from gridopt.verify import bill, replay, verify

GOLDEN = Path(__file__).resolve().parent / "cases" / "golden"
NAMES = sorted(p.name for p in GOLDEN.iterdir() if p.is_dir())
HAND = "by hand"
TOOLS = ("oemof.solph", "PyPSA", "linopy")
ORIGIN = re.compile(rf"^Origin: ({HAND}$|(?:{'|'.join(map(re.escape, TOOLS))}) \d+(?:\.\d+)+)", re.MULTILINE)
EXACT = Target(gap=1e-9, exact_gap=1e-9, exact_decisions=100_000, time_limit_s=300, exact_limit_s=300)
RELATIVE = 1e-4
ABSOLUTE = 3e-5
"""A number of the schedule may be off by this [kW, kWh, °C] besides: the solvers' own tolerances, added up."""
LOOSER = 10.0
"""A limit this many times as wide does not bind any more."""


@dataclass(frozen=True)
class Case:
    """A folder, read and found complete."""

    folder: Path
    origin: str
    proves: tuple[str, ...]
    binding: tuple[str, ...]
    relative: float
    expected: dict[str, Any]

    @property
    def by_hand(self) -> bool:
        return self.origin == HAND

    def inputs(self) -> Inputs:
        return dataclasses.replace(load(self.folder).inputs, target=EXACT)


def read_case(folder: Path) -> Case:
    """The case in a folder. ValueError when it says no expected value or no origin, or when the two disagree."""

    def need(true: bool, words: str) -> None:
        if not true:
            raise ValueError(f"{folder.name}: {words}")

    for name in ("scenario.toml", "case.toml", "expected.json", "README.md"):
        need((folder / name).is_file(), f"there is no {name}")
    said = tomllib.loads((folder / "case.toml").read_text(encoding="utf-8"))
    need(bool(said.get("proves")), "case.toml says no family that it proves")
    need(0 < said.get("relative", 0) <= RELATIVE, f"case.toml says no tolerance up to {RELATIVE:g}")
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    need(np.isfinite(expected.get("objective_eur", np.nan)), "expected.json holds no objective_eur")
    need(expected.get("objective_eur") != 0, "an objective of zero has no relative tolerance")
    need(any(v is not None for _, _, row in named(expected) for v in row), "expected.json holds no number of the plan")
    origin = ORIGIN.search((folder / "README.md").read_text(encoding="utf-8"))
    if origin is None:
        raise ValueError(f"{folder.name}: README.md states no origin of its numbers")
    need(origin[1] == expected.get("tool"), f"README.md says {origin[1]!r}, expected.json {expected.get('tool')!r}")
    if origin[1] != HAND:
        need((folder / "reference.py").is_file(), "there is no reference.py to make the numbers with")
        head = (folder / "reference.py").read_text(encoding="utf-8").split('"""')[1]
        need(origin[1] in head, f"the header of reference.py does not say {origin[1]}")
        need(" -m venv " in head and "pip install" in head, "the header of reference.py does not say how to run it")
    return Case(folder, origin[1], tuple(said["proves"]), tuple(said["binding"]), said["relative"], expected)


def named(expected: dict[str, Any]) -> Iterator[tuple[str, str, list[float | None]]]:
    """(asset or "", node or quantity, values) of every row of expected.json."""
    for node, row in expected.get("nodes", {}).items():
        yield "", node, row
    for asset, quantities in expected.get("assets", {}).items():
        for quantity, row in quantities.items():
            yield asset, quantity, row


def found(inputs: Inputs, schedule: Schedule, asset: str, name: str) -> Floats:
    """The plan's values of a row of expected.json."""
    return schedule.value(inputs, asset, name) if asset else schedule.net_kw[inputs.node_index[name]]


def plan(inputs: Inputs) -> tuple[Solution, Schedule]:
    solution = solve(inputs)
    return solution, solution.assembly.schedule(solution.x)


CASES = {name: read_case(GOLDEN / name) for name in NAMES}


# --- what is there ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_family_has_a_case_by_hand_and_a_coupled_one(family: str) -> None:
    about = [c for c in CASES.values() if family in c.proves]
    assert len(about) >= 2
    assert [c for c in about if c.by_hand]
    assert [c for c in about if not c.by_hand and c.binding]


def test_enough_cases_come_from_another_tool() -> None:
    others = [c.origin.split()[0] for c in CASES.values() if not c.by_hand]
    assert len(others) >= 10
    assert {*others} == {*TOOLS}


# --- every case ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_is_the_known_optimum(name: str) -> None:
    case = CASES[name]
    inputs = case.inputs()
    assert {*case.proves} <= {group.family.name for group in inputs.groups}
    solution, schedule = plan(inputs)
    assert solution.status == "optimal"
    assert verify(inputs, schedule, solution.objective) == []
    assert solution.objective == pytest.approx(case.expected["objective_eur"], rel=case.relative, abs=0)
    emergency_kwh = case.expected.get("emergency_kwh", 0)
    assert solution.emergency == pytest.approx(emergency_kwh, rel=case.relative, abs=ABSOLUTE)
    for asset, quantity, row in named(case.expected):
        values = found(inputs, schedule, asset, quantity)
        assert len(values) == len(row), (asset, quantity)
        off = [
            f"{asset or 'node'} {quantity} at step {t}: {values[t]:.6f} instead of {wanted:.6f}"
            for t, wanted in enumerate(row)
            if wanted is not None and values[t] != pytest.approx(wanted, rel=case.relative, abs=ABSOLUTE)
        ]
        assert not off


@pytest.mark.parametrize("name", [n for n in NAMES if "cost_eur" in CASES[n].expected])
def test_the_bill_has_the_known_lines(name: str) -> None:
    case = CASES[name]
    inputs = case.inputs()
    _, schedule = plan(inputs)
    lines = bill(inputs, schedule.net_kw, replay(inputs, schedule)).lines
    for line, wanted in case.expected["cost_eur"].items():
        assert lines[line].eur == pytest.approx(wanted, rel=case.relative, abs=1e-6), line
    rest = [name for name in lines if name not in case.expected["cost_eur"]]
    assert sum(abs(lines[line].eur) for line in rest) < 1e-6


@pytest.mark.parametrize(("name", "thing"), [(n, thing) for n in NAMES for thing in CASES[n].binding])
def test_what_is_said_to_bind_shapes_the_plan(name: str, thing: str) -> None:
    case = CASES[name]
    inputs = case.inputs()
    objective, least = case.expected["objective_eur"], case.relative * abs(case.expected["objective_eur"])
    if thing in inputs.node_index:  # with a wider limit there is a cheaper plan, or one with less heat unmet
        freer, _ = plan(_with_wider_limits(inputs, thing))
        emergency = case.expected.get("emergency_kwh", 0)
        assert freer.emergency < emergency - ABSOLUTE or freer.objective < objective - least
    else:  # the plan made without the commitment is dearer once the commitment is billed
        without = [c for c in inputs.commitments if c.id != thing]
        assert len(without) == len(inputs.commitments) - 1
        _, schedule = plan(dataclasses.replace(inputs, commitments=tuple(without)))
        assert bill(inputs, schedule.net_kw, replay(inputs, schedule)).total_eur > objective + least


def _with_wider_limits(inputs: Inputs, node: str) -> Inputs:
    nodes = [
        dataclasses.replace(n, import_max_kw=LOOSER * n.import_max_kw, export_max_kw=LOOSER * n.export_max_kw)
        if n.id == node
        else n
        for n in inputs.nodes
    ]
    return dataclasses.replace(inputs, nodes=tuple(nodes))


# --- a case that is not complete is no case --------------------------------------------------------------------------


def _without_objective(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    del expected["objective_eur"]
    (folder / "expected.json").write_text(json.dumps(expected), encoding="utf-8")


def _without_schedule(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    (folder / "expected.json").write_text(json.dumps(expected | {"nodes": {}, "assets": {}}), encoding="utf-8")


def _of_another_version(folder: Path) -> None:
    text = (folder / "expected.json").read_text(encoding="utf-8")
    (folder / "expected.json").write_text(text.replace("0.6.5", "0.6.4"), encoding="utf-8")


def _without_origin(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(text.replace("Origin:", "From"), encoding="utf-8")


def _without_header(folder: Path) -> None:
    text = (folder / "reference.py").read_text(encoding="utf-8")
    (folder / "reference.py").write_text(f'"""A script."""{text.split(chr(34) * 3, 2)[2]}', encoding="utf-8")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda folder: (folder / "expected.json").unlink(), "there is no expected.json"),
        (_without_objective, "holds no objective_eur"),
        (_without_schedule, "holds no number of the plan"),
        (lambda folder: (folder / "README.md").unlink(), "there is no README.md"),
        (_without_origin, "states no origin"),
        (_of_another_version, "expected.json 'oemof.solph 0.6.4'"),
        (lambda folder: (folder / "reference.py").unlink(), "there is no reference.py"),
        (_without_header, "header of reference.py does not say oemof.solph 0.6.5"),
    ],
)
def test_a_case_without_value_or_origin_is_refused(harm: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    folder = tmp_path / "peak-charge"
    shutil.copytree(GOLDEN / "peak-charge", folder)
    assert read_case(folder).expected
    harm(folder)
    with pytest.raises(ValueError, match=re.escape(words)):
        read_case(folder)
