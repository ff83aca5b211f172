"""What every benchmark shares: the registry, measuring two things side by side, and what a benchmark returns.

A benchmark is a function of (full: bool) decorated with ``benchmark``. It returns a Result: rows (flat, names end with
their unit), checks of counters, which must hold on every machine, and targets for times, which are only recorded.

Times are ratios of one run: what is compared takes turns (A B A B), so that a machine that slows down slows both. A
ratio is the median over the rounds, of wall-clock times and of processor times; everything runs on one thread, so the
second is what the first would be on an idle machine.
"""

from __future__ import annotations

import gc
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = ("highspy", "numpy", "pyarrow", "pymodbus", "pyomo", "scipy")
Row = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """One figure against its bound: ``value`` must be at most (or, ``least``, at least) ``bound``.

    ``counter``: the same on every machine, so a miss is a failure; else a time, whose miss is only shown.
    """

    what: str
    value: float
    bound: float
    counter: bool
    least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.least else self.value <= self.bound


@dataclass
class Result:
    """What a benchmark found. ``skipped``: why it could not run; ``notes``: what a reader must know."""

    rows: list[Row] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: str = ""

    def counter(self, what: str, value: float, bound: float, *, least: bool = False) -> None:
        """A bound that must hold everywhere."""
        self.checks.append(Check(what, float(value), bound, True, least))

    def target(self, what: str, value: float, bound: float, *, least: bool = False) -> None:
        """A bound that this machine is only measured against."""
        self.checks.append(Check(what, float(value), bound, False, least))


@dataclass(frozen=True)
class Benchmark:
    name: str
    title: str
    run: Callable[[bool], Result]


REGISTRY: dict[str, Benchmark] = {}


def benchmark(name: str, title: str) -> Callable[[Callable[[bool], Result]], Callable[[bool], Result]]:
    """Register a function (full) → Result under a name; they run in the order of registration."""

    def register(run: Callable[[bool], Result]) -> Callable[[bool], Result]:
        REGISTRY[name] = Benchmark(name, title, run)
        return run

    return register


# --- measuring -------------------------------------------------------------------------------------------------------


@dataclass
class Times:
    """Seconds of one thing, round by round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def wall_s(self) -> float:
        return median(self.wall)

    @property
    def cpu_s(self) -> float:
        return median(self.cpu)


def alternate(rounds: int, **what: Callable[[], object]) -> dict[str, Times]:
    """Run every callable in turn, ``rounds`` times."""
    times = {name: Times() for name in what}
    for _ in range(rounds):
        for name, call in what.items():
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            times[name].cpu.append(time.process_time() - cpu)
            times[name].wall.append(time.perf_counter() - wall)
    return times


def ratio(over: Times, under: Times) -> tuple[float, float]:
    """Median over the rounds of ``over`` / ``under``: (wall clock, processor)."""
    return (
        median(a / b for a, b in zip(over.wall, under.wall, strict=True)),
        median(a / b for a, b in zip(over.cpu, under.cpu, strict=True)),
    )


def machine() -> dict[str, Any]:
    """Facts a figure depends on; nothing that names the machine."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def load_per_core() -> float | None:
    """How busy the machine is [runnable processes per core, last minute]; above 1 the wall clock cannot be trusted."""
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except OSError:
        return None


def shared(variable: str, folder: str) -> Path:
    """A folder of material that is read in place and never copied: an environment variable, or ``../shared/…``."""
    return Path(os.environ.get(variable) or ROOT.parent / "shared" / folder).resolve()


def summed(seconds: Mapping[str, float]) -> float:
    return sum(seconds.values())
