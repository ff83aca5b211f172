"""What an earlier run announced: the powers in its schedule, put on this plan's steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gridopt.clock import Axis, Floats
from gridopt.errors import DataError, UsageError
from gridopt.scenario.document import Document
from gridopt.scenario.mistakes import Report
from gridopt.scenario.resample import Bools, Intervals, edges, onto
from gridopt.store import run_folder
from gridopt.written.report import Where
from gridopt.written.toml import shown
from gridopt.written.words import quoted


def announced(
    folder: Path,
    wanted: Sequence[tuple[str, str]],
    axis: Axis,
    document: Document,
    said: tuple[str, str, Where],
    report: Report,
) -> dict[tuple[str, str], tuple[Floats, Bools]]:
    """(asset, port) → announced power on the axis and the steps it covers; finer plans are averaged, coarser held.

    ``said``: the run as the user named it, in what, and where. A folder that is no whole run is a mistake there.
    """
    name, where, place = said
    try:
        run = run_folder.read(folder)
    except DataError as error:
        told = {key: shown(Path(value)) if key == "file" else value for key, value in error.fields.items()}
        report.add(place, "bad-run", where=where, value=quoted(name), reason=error.template.format(**told))
        return {}
    except (UsageError, OSError, ValueError):  # ValueError: a name no file system takes
        report.add(place, "no-run", where=where, value=quoted(name))
        return {}
    document.note_source(folder, str(run.summary.get("hash")))
    at = edges(run.axis)
    found = {key: (np.full(axis.steps, np.nan), np.zeros(axis.steps, bool)) for key in wanted}
    for s in run.schedule:
        key = (str(s.asset), str(s.port))
        if s.quantity == "power_kw" and key in found:
            steps = np.arange(s.first, s.first + len(s.values))
            found[key] = onto(axis, Intervals(at[steps], at[steps + 1], steps), s.values)
    return found
