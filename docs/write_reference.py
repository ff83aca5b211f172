"""Write docs/reference from the code: a page for each device family, and the list of them. ``make reference`` runs it.

The pages are those of ``gridopt family NAME``, with links to the golden cases of this checkout.
"""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path

from gridopt.assets import FAMILY_NAMES
from gridopt.report import reference

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "docs" / "reference"
GOLDEN = ROOT / "tests" / "cases" / "golden"
HEAD = """\
# Device families

What can stand in a scenario as `family = "..."`: its equations, its parameters with their units, what is decided, what
may fall short, what the device does without a plan, and a scenario to start from. `gridopt family` lists them on the
command line, `gridopt family battery` prints a page. The pages are made from the code by `make reference`; another
family comes in by [the checklist](../add-a-family.md).
"""


def pages() -> dict[str, str]:
    """File name → its text, for every page there is to be."""
    return {"README.md": _list(), **{f"{name}.md": reference.page(name, golden(name)) for name in FAMILY_NAMES}}


def golden(name: str) -> list[str]:
    """A link for each golden case that proves a family."""
    found = []
    for case in sorted(GOLDEN.glob("*/case.toml")):
        if name in tomllib.loads(case.read_text(encoding="utf-8"))["proves"]:
            readme = case.with_name("README.md")
            title = readme.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
            found.append(f"[{case.parent.name}](../../{readme.relative_to(ROOT).as_posix()}): {title}")
    return found


def _list() -> str:
    parts = [HEAD]
    for group, families in itertools.groupby(reference.index(), lambda f: str(f["group"])):
        parts.append(f"## {group.capitalize()}\n")
        for f in families:
            through = f" ({', '.join(f['carriers'])})" if len(f["carriers"]) > 1 else ""
            parts.append(f"- [{f['family']}]({f['family']}.md): {f['summary']}{through}")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def write() -> None:
    """Every page anew; one of a family that is no more goes."""
    PLACE.mkdir(exist_ok=True)
    texts = pages()
    for old in PLACE.glob("*.md"):
        if old.name not in texts:
            old.unlink()
    for name, text in texts.items():
        (PLACE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
