"""The modelling reference is what the code says; its examples are planned as they stand, its links lead somewhere."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result
from docs.write_reference import PLACE, ROOT, pages

from gridopt.assets import FAMILY_NAMES, family
from gridopt.assets.base import Family, Parameter, Port
from gridopt.cli.main import main
from gridopt.report import reference
from gridopt.report.example import ALSO, example
from gridopt.scenario.load import load
from tests.support.districts import planned

LINK = re.compile(r"\]\(([^)#]+)\)")


def cli(*args: str) -> Result:
    return CliRunner().invoke(main, args, prog_name="gridopt")


# --- pages -----------------------------------------------------------------------------------------------------------


def test_the_pages_are_what_the_code_says() -> None:
    wanted = pages()
    there = {p.name: p.read_text(encoding="utf-8") for p in PLACE.iterdir()}
    off = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    assert off == [], "`make reference` writes them anew"


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.stem)
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_a_page_says_all_that_the_class_declares(name: str) -> None:
    cls, text = family(name), reference.page(name)
    said = [p.name for p in cls.parameters] + [c.name for c in cls.costs] + [p.parameter for p in cls.ports]
    said += [*cls.commands, *cls.states, *cls.shortfalls, *cls.emergencies]
    assert [word for word in said if f"`{word}`" not in text] == []
    assert all(p.doc in text for p in cls.parameters)
    assert json.loads(json.dumps(reference.describe(name), allow_nan=False)) == reference.describe(name)


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_the_example_is_planned_as_it_stands(name: str, tmp_path: Path) -> None:
    text = example(family(name))
    assert f"```toml\n{text}```" in reference.page(name)
    (tmp_path / "scenario.toml").write_text(text, encoding="utf-8")
    scenario = load(tmp_path)
    assert scenario.notes == ()
    plan = planned(scenario.inputs)
    assert plan.solution.status == "optimal"
    assert plan.solution.emergency == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_the_example_is_minimal(name: str) -> None:
    cls = family(name)
    said = set(tomllib.loads(example(cls))["asset"][f"my-{name}"])
    required = {p.name for p in cls.parameters if p.required} | {p.parameter for p in cls.ports}
    assert said == required | {"family"} | set(ALSO.get(name, {}))


# --- a family of every kind of parameter -----------------------------------------------------------------------------


class Kettle(Family):
    """Kettle: water that someone wants hot.

    A second paragraph of ``words``.

    heat[t] = efficiency * power[t]                                                                         (1)
    where efficiency is one.

    Ports        ac (electricity): power;  steam (heat, ``room``): - efficiency *
                 power                                                                                     [kW]
    Variables    power_kw[T]
    Decisions    none
    Assumes      no lid
    """

    name = "kettle"
    ports = (Port("ac"), Port("steam", ("heat",), "room"))
    parameters = (
        Parameter("power_kw", "how strong it is", minimum=0.1, maximum=3),
        Parameter("power_min_kw", "how weak it may be", minimum=0),
        Parameter("colour", "a | b", "red", kind="choice", choices=("red", "blue")),
        Parameter("lid", "whether it has one", True, kind="flag"),
        Parameter("from_time", "when", kind="time"),
        Parameter("profile_kw", "course", kind="list"),
        Parameter("water_kwh", "in it", optional=True, maximum=9),
    )
    ordered = (("power_min_kw", "power_kw"),)


class Samovar(Kettle):
    """Samovar: a larger kettle.

    Ports        ac (electricity): power
    """

    name = "samovar"


def test_a_docstring_is_taken_apart() -> None:
    docs = reference.docs_of(Kettle)
    assert docs.summary == "Kettle: water that someone wants hot."
    assert docs.about == ("A second paragraph of `words`.",)
    assert [e.splitlines()[-1] for e in docs.equations] == ["where efficiency is one."]
    assert list(docs.sections) == ["Ports", "Variables", "Decisions", "Assumes"]
    assert reference.ports_said(docs) == {"ac": "power", "steam": "- efficiency * power"}


def test_the_page_of_a_family_of_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "family", {"kettle": Kettle, "samovar": Samovar}.__getitem__)
    text = " ".join(reference.page("kettle").split())
    for words in (
        "| `power_kw` | how strong it is | kW | **required** | 0.1 … 3 | number |",
        "| `colour` | a \\| b | | red | red, blue | one of |",
        "| `lid` | whether it has one | | true | | true or false |",
        "| `water_kwh` | in it | kWh | may be absent | ≤ 9 | number |",
        "| steam | heat | `room` | `- efficiency * power` |",
        "`power_min_kw` may not lie above `power_kw`.",
        "## Assumptions No lid. ## Example",
        '```toml format = 1 title = "One asset of the family kettle"',
        'node = "grid" room = "heat" power_kw = 3 power_min_kw = 2 from_time = "08:00" profile_kw = [5, 5] ```',
    ):
        assert words in text
    of_parent = reference.page("samovar")
    assert "## Equations of `kettle`" in of_parent
    assert "As in `kettle`: power_kw[T]." in of_parent
    assert "lid" not in of_parent.partition("## Control")[2]


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_lists_every_family() -> None:
    result = cli("family")
    assert result.exit_code == 0
    listed = [line.split()[0] for line in result.stdout.splitlines() if line.startswith("  ")]
    assert sorted(listed) == sorted(FAMILY_NAMES)
    assert "gridopt family battery" in result.stderr
    rows = json.loads(cli("family", "--json").stdout)["families"]
    assert [row["family"] for row in rows] == listed
    assert {row["group"] for row in rows if row["family"] in ("battery", "chp")} == {"electricity", reference.BETWEEN}


def test_the_command_prints_the_page() -> None:
    result = cli("family", "battery")
    assert (result.exit_code, result.stdout) == (0, reference.page("battery"))
    doc = json.loads(cli("family", "battery", "--json").stdout)
    assert doc["parameters"][0]["name"] == "capacity_kwh"
    assert doc["example"] == example(family("battery"))


def test_on_a_terminal_the_page_is_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = SimpleNamespace(stdout=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(import_module("gridopt.cli.family"), "sys", terminal)
    text = cli("family", "battery").stdout
    assert "capacity_kwh" in text
    assert "|--" not in text
    assert "```" not in text


@pytest.mark.parametrize(("name", "hint"), [("batery", "did you mean battery?"), ("xyz", "`gridopt family` lists")])
def test_a_family_that_is_not_there(name: str, hint: str) -> None:
    result = cli("family", name)
    assert result.exit_code == 2
    assert f"there is no family {name}" in result.stderr
    assert hint in result.stderr
