"""What a file comes to: series on a UTC axis, and everything that was repaired, flagged or refused on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Instants = npt.NDArray[np.int64]
"""Microseconds since 1970-01-01 UTC."""

US = 1_000_000


class Deed(StrEnum):
    """What was done about a defect."""

    REPAIRED = "repaired"
    """The file says it in a way that has one meaning, and that was put in."""
    FLAGGED = "flagged"
    """It was taken as it stands, or left out as missing; somebody should know."""
    REFUSED = "refused"
    """It was not taken: no meaning, or more than one."""


@dataclass(frozen=True)
class Finding:
    """One kind of defect. ``count``: how often; ``first``: the first row, as a line of the file counts, or a time."""

    deed: Deed
    code: str
    text: str
    count: int = 1
    first: str = ""

    def __str__(self) -> str:
        where = f", first {self.first}" if self.first else ""
        return f"{self.deed}: {self.text}" + (f" ({self.count} ×{where})" if self.count > 1 or where else "")


@dataclass(frozen=True)
class Series:
    """One quantity of one source; ``quantity`` ends with its unit.

    ``time`` (n,): starts of intervals [µs UTC], rising; ``step_s`` (n,): their lengths [s]; ``value`` (n,): NaN where
    it is missing; ``quality`` (n,): codes of ``QUALITIES``.
    """

    source: str
    quantity: str
    time: Instants
    step_s: npt.NDArray[np.int64]
    value: Floats
    quality: npt.NDArray[np.int8]

    @property
    def missing(self) -> int:
        return int(np.isnan(self.value).sum())


QUALITIES = ("good", "guessed", "stale", "out-of-range", "missing", "failed")
"""The qualities of a reading, by their code."""
GOOD, GUESSED, OUT_OF_RANGE, MISSING = map(QUALITIES.index, ("good", "guessed", "out-of-range", "missing"))


@dataclass(frozen=True)
class Batch:
    """Everything from one file, or several joined."""

    series: Sequence[Series] = ()
    findings: Sequence[Finding] = field(default_factory=tuple)


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Findings of one kind counted together, in the order of their first."""
    found: dict[tuple[str, str, str], Finding] = {}
    for f in findings:
        key = (f.deed, f.code, f.text)
        before = found.get(key)
        found[key] = f if before is None else Finding(f.deed, f.code, f.text, before.count + f.count, before.first)
    return list(found.values())


def qualities(value: Floats) -> npt.NDArray[np.int8]:
    """Good where there is a value, missing where there is none."""
    return np.where(np.isnan(value), MISSING, GOOD).astype(np.int8)
