"""What the project's files cite is there for the reader: no page is named that the repository does not hold."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("src", "scenarios", "tests", "benchmarks")
SUFFIXES = (".py", ".md", ".toml")
PAGE = re.compile(r"\b[A-Za-z0-9_/-]+\.md\b")
"""A page as prose and code name it."""
ELSEWHERE = {"DATA.md"}
"""Stands in the folder of real data (GRIDOPT_DATA), by which a reader knows it."""


def pages_cited(path: Path) -> set[str]:
    return set(PAGE.findall(path.read_text(encoding="utf-8", errors="replace")))


def test_every_page_cited_is_in_the_repository() -> None:
    files = [p for place in PLACES for p in (ROOT / place).rglob("*") if p.is_file() and p.suffix in SUFFIXES]
    assert len(files) > 100
    missing = {
        f"{path.relative_to(ROOT)}: {page}"
        for path in [*files, ROOT / "README.md", ROOT / "Makefile", ROOT / "pyproject.toml"]
        for page in pages_cited(path) - ELSEWHERE
        if not any((folder / page).exists() for folder in (path.parent, ROOT))
    }
    assert missing == set()
