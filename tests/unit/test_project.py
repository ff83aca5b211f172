"""The project's own promises: exact pins for all that is installed, one version, no address of a registry."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import gridopt

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNTIME = PROJECT["project"]["dependencies"]
DECLARED = [*RUNTIME, *PROJECT["project"]["optional-dependencies"]["dev"], *PROJECT["build-system"]["requires"]]

PIN = re.compile(r"(?P<name>[a-z0-9]+(-[a-z0-9]+)*)==(?P<version>[0-9][0-9a-z.]*)")
# Written in two halves, so that this file does not hold what it forbids.
HOSTS = re.compile(
    rb"\b(anaconda|conda-forge|npm[j]s|piwheels|py[p]i|py[p]i\.python|python[h]osted)" + rb"\.(com|io|org)\b"
)


def pin_lines() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def pins() -> dict[str, Version]:
    found = [match for line in pin_lines() if (match := PIN.fullmatch(line))]
    return {match["name"]: Version(match["version"]) for match in found}


def needed(declared: Iterable[str]) -> Iterator[str]:
    """Names of ``declared`` and, of those installed here, all they need in turn on this machine."""
    queue = [Requirement(text) for text in declared]
    seen: set[str] = set()
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        yield name
        queue += [Requirement(text) for text in requires(name) or []]


def project_files() -> list[Path]:
    """Every file that is tracked, or would be."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing says which files belong to the project")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


def test_constraints_pin_exactly_once_and_in_order() -> None:
    lines = pin_lines()
    assert [line for line in lines if not PIN.fullmatch(line)] == []
    names = [line.partition("==")[0] for line in lines]
    assert names == sorted(set(names))


def test_constraints_pin_all_that_is_declared_within_its_bounds() -> None:
    pinned = pins()
    outside = {
        text: str(pinned.get(requirement.name))
        for text in DECLARED
        if (requirement := Requirement(text)).name not in pinned
        or pinned[requirement.name] not in requirement.specifier
    }
    assert outside == {}


def test_constraints_pin_what_the_dependencies_need_in_turn() -> None:
    assert sorted(set(needed(DECLARED)) - set(pins())) == []


@pytest.mark.parametrize("text", DECLARED)
def test_pyproject_states_lower_bounds_only(text: str) -> None:
    exact = Requirement(text).name == "pymodbus"  # promises no stable interface: what it does was tried on one release
    assert [clause.operator for clause in Requirement(text).specifier] == ["==" if exact else ">="]


def test_no_file_names_a_registry() -> None:
    files = project_files()
    assert ROOT / "pyproject.toml" in files
    assert [str(path.relative_to(ROOT)) for path in files if HOSTS.search(path.read_bytes())] == []


def test_version_is_the_same_everywhere() -> None:
    assert PROJECT["project"]["version"] == gridopt.__version__
