"""What an earlier run announced: the powers in its schedule, put on this plan's steps."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gridopt.clock import Axis, Floats
from gridopt.scenario.columns import arrow_reason
from gridopt.scenario.document import Document
from gridopt.scenario.mistakes import Report, Where, quoted
from gridopt.scenario.resample import Bools, Intervals, onto

COLUMNS = ("time", "asset", "port", "quantity", "value")


@dataclass(frozen=True)
class Run:
    """A run folder as the user named it, and where."""

    folder: Path
    name: str
    where: str
    place: Where


def announced(
    run: Run, wanted: Sequence[tuple[str, str]], axis: Axis, document: Document, report: Report
) -> dict[tuple[str, str], tuple[Floats, Bools]]:
    """(asset, port) → announced power on the axis and the steps it covers, read from ``schedule.parquet``.

    The announced step is the shortest distance of two times in the schedule; finer plans are averaged, coarser held.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = run.folder / "schedule.parquet"
    if not os.path.isfile(path):  # unlike Path.is_file, it takes any name
        report.add(run.place, "no-run", where=run.where, value=quoted(run.name))
        return {}
    content = document.read(path, run.place, report)
    if content is None:
        return {}
    try:
        table = pq.read_table(io.BytesIO(content), columns=list(COLUMNS))
        at = table["time"].cast(pa.timestamp("s", "UTC")).cast(pa.int64())
        power = table.append_column("at", at).filter(pc.equal(table["quantity"], "power_kw"))
    except (OSError, ValueError, KeyError) as error:
        report.add(run.place, "bad-run", where=run.where, value=quoted(run.name), reason=arrow_reason(error))
        return {}
    apart = np.diff(np.unique(table.append_column("at", at)["at"].to_numpy()))
    if not len(apart):
        report.add(run.place, "bad-run", where=run.where, value=quoted(run.name), reason="it has fewer than two steps")
        return {}
    step = int(apart.min())
    found: dict[tuple[str, str], tuple[Floats, Bools]] = {}
    power = power.filter(pc.is_in(power["asset"], pa.array([asset for asset, _ in wanted], pa.string())))
    rows: dict[tuple[str, str], dict[int, float]] = {}
    for asset, port, at_s, value in zip(*(power[c].to_pylist() for c in ("asset", "port", "at", "value")), strict=True):
        rows.setdefault((asset, port), {})[at_s] = value
    for key in wanted:
        pairs = sorted(rows.get(key, {}).items())
        start = np.array([a for a, _ in pairs], np.int64)
        values = np.array([np.nan if v is None else v for _, v in pairs], np.float64)
        found[key] = onto(axis, Intervals(start, start + step, np.arange(len(start))), values)
    return found
