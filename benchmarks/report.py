"""Results as JSON and as text: one table a benchmark, its checks below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.harness import Check, Result, Row

FORMAT = 1
NOTHING = 1e-9
"""Smaller numbers are shown as 0."""


def as_json(result: Result, title: str, seconds: float) -> dict[str, Any]:
    """A result with plain values."""
    return {
        "title": title,
        "seconds": round(seconds, 3),
        "skipped": result.skipped,
        "rows": [{name: _plain(value) for name, value in row.items()} for row in result.rows],
        "checks": [{**asdict(c), "met": c.met} for c in result.checks],
        "notes": result.notes,
    }


def _plain(value: Any) -> Any:
    """numpy numbers as Python's; five significant digits are more than any time deserves."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.9g}")
    return value


def text(name: str, result: Result, title: str, seconds: float) -> str:
    """A benchmark for people."""
    parts = [f"{name}: {title}"]
    if result.skipped:
        parts.append(f"  SKIPPED: {result.skipped}")
    if result.rows:
        parts.append(table(result.rows))
    parts += [_check(c) for c in result.checks]
    parts += [f"  {note}" for note in result.notes]
    parts.append(f"  took {seconds:.1f} s")
    return "\n".join(parts)


def table(rows: Sequence[Row]) -> str:
    """Rows under their names, numbers to the right, names broken at underscores so that columns stay narrow."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_shown(row.get(name)) for name in names] for row in rows]
    words = [name.split("_") for name in names]
    height = max(len(w) for w in words)
    heads = [[""] * (height - len(w)) + w for w in words]
    width = [max(len(s) for s in (*head, *(row[k] for row in cells))) for k, head in enumerate(heads)]
    left = [all(isinstance(row.get(name), str) for row in rows) for name in names]

    def line(values: Sequence[str]) -> str:
        parts = (v.ljust(w) if side else v.rjust(w) for v, w, side in zip(values, width, left, strict=True))
        return ("  " + "  ".join(parts)).rstrip()

    top = [line([head[k] for head in heads]) for k in range(height)]
    return "\n".join([*top, line(["-" * w for w in width]), *(line(row) for row in cells)])


def _shown(value: Any) -> str:
    value = _plain(value)
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        value = 0.0 if abs(value) < NOTHING else value
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"
    return str(value)


def _check(c: Check) -> str:
    word = ("holds" if c.met else "FAILS") if c.counter else ("met" if c.met else "MISSED")
    sign = ">=" if c.least else "<="
    return f"  {word}: {c.what} = {c.value:.6g} ({sign} {c.bound:g})"


def closing(results: Mapping[str, Result]) -> str:
    """One line for everything."""
    checks = [c for r in results.values() for c in r.checks]
    counters = [c for c in checks if c.counter]
    times = [c for c in checks if not c.counter]
    return (
        f"counters: {sum(c.met for c in counters)} of {len(counters)} hold; "
        f"targets: {sum(c.met for c in times)} of {len(times)} met on this machine"
    )
