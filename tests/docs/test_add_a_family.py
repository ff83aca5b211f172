"""The checklist of docs/add-a-family.md: held against every family, and followed by a newcomer from its first line."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from docs.write_reference import golden

import gridopt
from gridopt.assets import FAMILY_NAMES, family
from gridopt.assets.base import Family, Parameter
from gridopt.report.reference import docs_of, parents, ports_said, rule_said
from gridopt.scenario.editor import json_schema
from gridopt.units import unit_of
from tests.support import draw
from tests.unit.test_units import FRACTIONS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/add-a-family.md"
TEXT = PAGE.read_text(encoding="utf-8")
ASSETS = ROOT / "src" / "gridopt" / "assets"
PLANTED = ROOT / "tests" / "unit" / "verify"
SCHEMA = json_schema()
CITED = re.compile(r"\btests/[\w/.*-]+")


# --- the checklist ---------------------------------------------------------------------------------------------------


def lacks_in_code(cls: type[Family]) -> Iterator[str]:
    """What a class, its names and its docstring do not say yet."""
    docs, line = docs_of(cls), [docs_of(c) for c in (cls, *parents(cls))]
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", cls.name):
        yield f"a name in kebab-case, not {cls.name}"
    if not docs.summary:
        yield "a summary at the head of the docstring"
    if not any(d.equations for d in line):
        yield "an equation with its number at the end of the line"
    for section in ("Variables", "Decisions", "Assumes", "Source"):
        if not any(section in d.sections for d in line):
            yield f"the section {section} in the docstring"
    if (cls.shortfalls or cls.emergencies) and not any("Short of" in d.sections for d in line):
        yield "the section Short of in the docstring"
    said = ports_said(docs)
    if list(said) != [p.name for p in cls.ports] or not all(said.values()):
        yield "every port in the section Ports, as `name (carrier): power`"
    if cls.commands and not rule_said(cls):
        yield "a rule without a plan, with its docstring"
    numbers = [p.name for p in cls.parameters if p.kind in ("scalar", "series", "list")]
    for name in [*numbers, *(c.name for c in cls.computed), *cls.commands, *cls.states, *(c.name for c in cls.costs)]:
        if not unit_of(name) and name not in FRACTIONS:
            yield f"a unit at the end of {name}, or its line in tests/unit/test_units.py"
    if not all(p.doc for p in cls.parameters):
        yield "what every parameter means"


def lacks_around(name: str) -> Iterator[str]:
    """What is not there yet beside the class."""
    cls = family(name)
    if len(golden(name)) < 2:
        yield f"two golden cases, not {len(golden(name))}"
    if planted()[name] < 5:
        yield f"five planted errors, not {planted()[name]}"
    if "block" in vars(cls) and name not in drawn():
        yield "a random draw in tests/support/draw.py"
    if not (ROOT / "docs" / "reference" / f"{name}.md").exists():
        yield "its page: make reference"
    if f"asset-{name}" not in SCHEMA["$defs"]:
        yield "its place in the scenario's schema"
    said = docs_of(cls).sections.get("Cases", "")
    if not said:
        yield "the section Cases in the docstring"
    for path in CITED.findall(said):
        if not list(ROOT.glob(path.rstrip("."))):
            yield f"{path}, which its docstring names"


def planted() -> Counter[str]:
    """Errors planted for each family."""
    stems = sorted(path.stem for path in PLANTED.glob("test_planted*.py"))
    return Counter(p.family for stem in stems for p in import_module(f"tests.unit.verify.{stem}").PLANTING.errors)


def drawn() -> set[str]:
    """Families that hypothesis draws."""
    return {name for table in vars(draw).values() if isinstance(table, dict) for name in table}


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_its_code_is_complete(name: str) -> None:
    assert family(name).name == name
    missing = list(lacks_in_code(family(name)))
    assert not missing, f"{name} lacks:\n" + "\n".join(missing)


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_what_belongs_to_it_is_complete(name: str) -> None:
    missing = list(lacks_around(name))
    assert not missing, f"{name} lacks:\n" + "\n".join(missing)


def test_every_family_in_the_room_is_registered() -> None:
    modules = [import_module(f"gridopt.assets.{p.stem}") for p in ASSETS.glob("*.py") if p.stem != "__init__"]
    there = {c for m in modules for c in vars(m).values() if isinstance(c, type) and issubclass(c, Family)}
    assert there - {Family} - {family(name) for name in FAMILY_NAMES} == set()


class Nameless(Family):
    name = "Name_less"
    parameters = (Parameter("strength", ""),)
    commands = ("thrust",)
    emergencies = ("short_kwh",)


def test_a_family_that_says_nothing_lacks_everything() -> None:
    lacks = "\n".join(lacks_in_code(Nameless))
    for words in (
        "kebab-case", "summary", "equation", "Variables", "Decisions", "Assumes", "Source", "Short of", "Ports", "rule",
        "end of strength", "end of thrust", "every parameter",
    ):  # fmt: skip
        assert words in lacks


# --- a newcomer follows the page -------------------------------------------------------------------------------------


FILES = dict(re.findall(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```$", TEXT, re.M | re.S))
"""The files that the page shows, by the name above them."""
COMMANDS = [
    shlex.split(line.removeprefix("$ gridopt "))
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.S)
    for line in block.splitlines()
]
GOLDEN_CASE = """
import sys
from pathlib import Path
from tests import test_golden as golden

case = golden.read_case(Path(sys.argv[1]))
golden.CASES[case.folder.name] = case
golden.test_the_plan_is_the_known_optimum(case.folder.name)
golden.test_the_bill_has_the_known_lines(case.folder.name)
"""
PROPERTY = """
from dataclasses import replace
import draw_ice
from tests import conftest
from tests.support.districts import assert_never_worse
from tests.support.draw import feasible, run, sketches

def a_larger_store_is_never_worse(s):
    feasible(s)
    ice = next(d for d in s.devices if d.family == "ice-store")
    more = {"capacity_kwh": 2 * ice.given["capacity_kwh"], "level_start": ice.given["level_start"] / 2}
    assert_never_worse(s, s.with_device(replace(ice, given={**ice.given, **more})))

run(a_larger_store_is_never_worse, 5, s=sketches(("load", "pv"), most=2, plant=False, surely="ice-store"))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files of the page, and what an installer leaves of its pyproject.toml."""
    folder = tmp_path_factory.mktemp("newcomer")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    installed = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    installed.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (installed / "METADATA").write_text(head, encoding="utf-8")
    entries = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in some.items())
        for group, some in project["entry-points"].items()
    ]
    (installed / "entry_points.txt").write_text("\n".join(entries), encoding="utf-8")
    return folder


def python(place: Path, *args: str, cwd: Path = ROOT) -> str:
    """What a Python that has the newcomer's package says; it must end well."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    paths = [place, ROOT, Path(gridopt.__file__).resolve().parents[1]]
    env["PYTHONPATH"] = os.pathsep.join(map(str, paths))
    ended = subprocess.run(
        [sys.executable, *args], cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, f"{' '.join(args)}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def passed(output: str) -> int:
    found = re.search(r"(\d+) passed", output)
    return int(found[1]) if found else 0


def pytest_of(place: Path, *args: str) -> int:
    """How many tests passed, all that were chosen."""
    return passed(python(place, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args))


def test_every_file_that_the_page_names_is_there() -> None:
    named = {path for path in re.findall(r"`((?:src|tests|docs)/[\w/.*-]+)`", TEXT) if "ice" not in path}
    assert len(named) > 10
    assert [path for path in named if not list(ROOT.glob(path))] == []


def test_the_family_takes_less_than_80_lines() -> None:
    assert 50 < len(FILES["ice_store.py"].splitlines()) < 80
    assert len(FILES) == 8


def test_its_code_keeps_the_style(place: Path) -> None:
    code = [str(p) for p in place.glob("*.py")]
    assert len(code) == 3
    config = f"--config={ROOT / 'pyproject.toml'}"
    python(place, "-m", "ruff", "check", "--no-cache", config, *code)
    python(place, "-m", "ruff", "format", "--no-cache", "--check", config, *code)


def test_it_conforms(place: Path) -> None:
    (command,) = re.findall(r"^python -m pytest (tests/conformance/.*)$", TEXT, re.M)
    assert pytest_of(place, *shlex.split(command)) >= 13


def test_its_code_is_complete_and_planted_errors_are_refused(place: Path) -> None:
    errors = FILES["test_planted_ice.py"].count("@PLANTING.")
    assert errors >= 5
    chosen = "planted_ice or (test_its_code_is_complete and ice-store)"
    tests = [str(place / "test_planted_ice.py"), "tests/docs/test_add_a_family.py"]
    assert pytest_of(place, *tests, "-k", chosen) == 2 * errors + 1


def test_its_golden_case_holds(place: Path) -> None:
    python(place, "-c", GOLDEN_CASE, str(place / "ice-by-hand"))


def test_it_is_drawn(place: Path) -> None:
    python(place, "-c", PROPERTY)


def test_the_commands_know_it(place: Path) -> None:
    """The plan that ``run`` leaves has passed the check: it leaves no other."""
    code = "from gridopt.cli.main import main; main(prog_name='gridopt')"
    assert [words[0] for words in COMMANDS] == ["family", "check", "run"]
    said = [python(place, "-c", code, *words, cwd=place) for words in COMMANDS]
    assert said[0].startswith("# ice-store\n")
    assert "1 asset" in said[1]
    summary = json.loads((place / "plan" / "summary.json").read_text(encoding="utf-8"))
    assert (summary["status"], summary["assets"][0]["family"]) == ("optimal", "ice-store")
    assert summary["objective_eur"] == pytest.approx(
        json.loads(FILES["ice-by-hand/expected.json"])["objective_eur"], 1e-4
    )


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("ice_store:Ice", "cannot be imported"),
        ("ice_stor:IceStore", "cannot be imported"),
        ("gridopt.assets.load:Load", "is no Family whose name is ice-store"),
        ("json:loads", "is no Family whose name is ice-store"),
    ],
)
def test_an_entry_that_leads_to_no_family_is_named(place: Path, tmp_path: Path, entry: str, words: str) -> None:
    (tmp_path / "bad-1.0.dist-info").mkdir()
    (tmp_path / "bad-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n")
    (tmp_path / "bad-1.0.dist-info" / "entry_points.txt").write_text(f"[gridopt.families]\nice-store = {entry}\n")
    code = (
        "from gridopt.assets import family\nfrom gridopt.errors import FamilyError\n"
        "try:\n    family('ice-store')\nexcept FamilyError as e:\n    print(e)"
    )
    said = python(tmp_path, "-c", code)
    assert entry in said
    assert words in said
