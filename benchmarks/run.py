"""Run the benchmarks: ``python benchmarks/run.py [--short | --full] [--only NAME ...] [--out FILE]``.

Tables go to stdout, progress to stderr, everything as JSON to ``benchmarks/results/latest.json``. The exit code is 1
when a counter is off or a benchmark breaks; a time never fails a run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(1, str(ROOT / "src"))

from benchmarks import gap, link, real_days, sizes, speed  # noqa: E402, F401
from benchmarks.harness import REGISTRY, Result, load_per_core, machine  # noqa: E402
from benchmarks.report import FORMAT, as_json, closing, text  # noqa: E402

LATEST = ROOT / "benchmarks" / "results" / "latest.json"


def main(arguments: list[str] | None = None) -> int:
    said = _parser().parse_args(arguments)
    names = said.only or list(REGISTRY)
    document: dict[str, Any] = {
        "format": FORMAT,
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "form": "full" if said.full else "short",
        "machine": machine(),
        "load_per_core": [load_per_core()],
        "benchmarks": {},
    }
    results: dict[str, Result] = {}
    broken = []
    for name in names:
        entry = REGISTRY[name]
        print(f"{name} ...", file=sys.stderr, flush=True)
        begin = time.perf_counter()
        try:
            result = entry.run(said.full)
        except Exception:
            traceback.print_exc()
            broken.append(name)
            document["benchmarks"][name] = {"title": entry.title, "error": traceback.format_exc(limit=0).strip()}
            continue
        seconds = time.perf_counter() - begin
        results[name] = result
        document["benchmarks"][name] = as_json(result, entry.title, seconds)
        print(text(name, result, entry.title, seconds), end="\n\n", flush=True)
    document["load_per_core"].append(load_per_core())
    said.out.parent.mkdir(parents=True, exist_ok=True)
    said.out.write_text(json.dumps(document, indent=1) + "\n")
    print(closing(results))
    if broken:
        print("BROKEN: " + ", ".join(broken))
    off = any(c.counter and not c.met for r in results.values() for c in r.checks)
    return 1 if broken or off else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Run gridopt's benchmarks.", epilog="Example: run.py --only speed")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--short", action="store_true", help="few seeds and rounds: minutes (the default)")
    form.add_argument("--full", action="store_true", help="every seed: tens of minutes")
    parser.add_argument("--only", action="append", choices=list(REGISTRY), help="this benchmark alone; may be repeated")
    parser.add_argument("--out", type=Path, default=LATEST, help="where the results go as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
