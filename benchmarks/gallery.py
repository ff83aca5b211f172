"""Every shipped scenario in one table: ``python benchmarks/gallery.py [NAME ...] [--overlays]``.

Each is planned as ``gridopt run NAME`` plans it; with ``--overlays`` also with each overlay that its folder holds.
The exit code is 1 when one of them does not end proven with every goal met.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(1, str(ROOT / "src"))

from benchmarks.harness import Row  # noqa: E402
from benchmarks.report import table  # noqa: E402
from gridopt.errors import GridoptError  # noqa: E402
from gridopt.jobs import plan  # noqa: E402
from gridopt.scenario.find import SCENARIO_FILE, shipped  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="gallery", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="shipped scenarios; all by default")
    parser.add_argument("--overlays", action="store_true", help="each overlay of a scenario besides")
    said = parser.parse_args(arguments)
    known = shipped()
    if wrong := sorted(set(said.names) - set(known)):
        parser.error(f"no shipped scenario is called {', '.join(wrong)}; there are {', '.join(known)}")
    rows = []
    for name in said.names or known:
        folder = known[name]
        others = sorted(p for p in folder.glob("*.toml") if p.name != SCENARIO_FILE) if said.overlays else []
        for overlay in (None, *others):
            print(f"{name} {overlay.stem if overlay else ''}...", file=sys.stderr, flush=True)
            rows.append(row_of(folder, overlay))
    print(table(rows))
    return 0 if all(row["exit"] == 0 for row in rows) else 1


def row_of(folder: Path, overlay: Path | None) -> Row:
    """One scenario planned; figures are missing where there is no plan."""
    row: Row = {"scenario": f"{folder.name} + {overlay.stem}" if overlay else folder.name}
    begin = time.perf_counter()
    try:
        planned = plan.run(folder, now=datetime.now(UTC), overlays=[overlay] if overlay else [])
    except GridoptError as error:
        print(f"{folder.name}: {error}", file=sys.stderr)
        return row | {"seconds": time.perf_counter() - begin, "exit": error.exit_code}
    seconds, s = time.perf_counter() - begin, planned.summary
    return row | {
        "families": len({asset["family"] for asset in s["assets"]}),
        "assets": len(s["assets"]),
        "cost_EUR": s["objective_eur"],
        "by_rule_EUR": s["baseline"]["total_eur"],
        "saving_EUR": s["savings_eur"],
        "gap_%": 100 * s["gap"],
        "seconds": seconds,
        "exit": planned.exit_code,
    }


if __name__ == "__main__":
    sys.exit(main())
