"""A run as one wide table that a person opens in a spreadsheet: one row a step, one column a quantity.

Written for a French spreadsheet, which opens it by a double click: ``;`` between cells, decimal commas, UTF-8 with a
byte order mark. Times are local, with their offset from UTC beside them, because the hour that an autumn night has
twice is told apart by nothing else. Programs read the Parquet files.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gridopt.units import SUFFIXES

if TYPE_CHECKING:
    from gridopt.store.run_folder import Run, Series, Setpoint

DIGITS = 3
"""A watt, a watt-hour: below that is a solver's tolerance."""
NO_MEANING = re.compile(r"\.?0+(?=;|$)")
"""Zeros at the end of a decimal fraction."""


def wide_table(run: Run, format: int) -> bytes:
    """The table's file: a line that says what it is, a line of titles, and a row for each step.

    Columns: local time, offset; import and export of every node; power of every port and every state of every asset;
    what each device would be told. A cell is empty where a device has no say, as a car before it comes.
    """
    columns = dict(_columns(run))
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";")
    about = "positive powers draw from the node; powers are means over the step, contents stand at its end"
    writer.writerow([f"format = {format}", f"plan {run.summary['plan_id']}", f"local time of {run.axis.zone}", about])
    writer.writerow(["time", "UTC offset", *columns])
    cells = [_cells(parts, run.axis.steps) for parts in columns.values()]
    times = (f"{t:%Y-%m-%d %H:%M};{t.isoformat()[-6:]}" for t in run.axis.local)
    rows = (NO_MEANING.sub("", ";".join(row)).replace(".", ",") for row in zip(*cells, strict=True))
    out.writelines(f"{time};{row}\r\n" for time, row in zip(times, rows, strict=True))
    return out.getvalue().encode("utf-8-sig")


def _columns(run: Run) -> Iterator[tuple[str, list[Series] | list[Setpoint]]]:
    """Titles with what stands below them, in the schedule's order."""
    ports: dict[str | None, set[str]] = {}
    for s in run.schedule:
        if s.port is not None:
            ports.setdefault(s.asset, set()).add(s.port)
    for s in run.schedule:
        if s.asset is None and s.quantity in ("import_kw", "export_kw"):
            yield _title(str(s.node), s.quantity), [s]
        elif s.port is not None:
            name = str(s.asset) if len(ports[s.asset]) == 1 else f"{s.asset} {s.port}"
            yield _title(name, s.quantity), [s]
        elif s.quantity in run.summary.get("start_state", {}).get(s.asset, {}):
            yield _title(str(s.asset), s.quantity), [s]
    told: dict[str, list[Setpoint]] = {}
    for p in run.setpoints:
        unit = f" [{p.unit}]" if p.unit else ""
        told.setdefault(f"setpoint of {p.device}: {p.command.replace('_', ' ')}{unit}", []).append(p)
    yield from told.items()


def _title(name: str, quantity: str) -> str:
    """``bat-a soc [kWh]``."""
    suffix = next((s for s in SUFFIXES if quantity.endswith(s)), "")
    words = quantity.removesuffix(suffix).replace("_", " ")
    return f"{name} {words} [{SUFFIXES[suffix]}]" if suffix else f"{name} {words}"


def _cells(parts: list[Series] | list[Setpoint], steps: int) -> list[str]:
    cells = [""] * steps
    for part in parts:
        with np.errstate(over="ignore"):
            rounded = np.round(part.values, DIGITS) + 0.0  # no negative zeros
        cells[part.first : part.first + len(rounded)] = [f"{v:.{DIGITS}f}" for v in rounded.tolist()]
    return cells[:steps]
