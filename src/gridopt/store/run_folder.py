"""The run folder that ``run --out DIR`` leaves: its files, its tables, and how it is written whole or not at all.

``schedule.parquet``   long table: time, node, asset (null: a node's row), port (null: not a port's), quantity, value
``setpoints.parquet``  time, device, command, value, unit
``inputs.parquet``     the series that were planned with, in the schedule's columns
``inputs.json``        everything else that was planned with
``summary.json``       what the plan is and how good; ``files`` holds the SHA-256 of the four above, and its own: that
                       of everything it says but this one line, however it is laid out
``plan.csv``           the same for people and spreadsheets (``store.table``); no program reads it

A folder of several plans (``run --pareto``) holds a run folder ``plan-1``, ``plan-2``, … each, and ``pareto.json``.

Every file says ``format = 1``. ``time`` is the start of an interval (UTC); flows are means over it, stocks stand at its
end; a value that holds for a whole window stands once, at its first interval.

A folder is written aside, beside its place, and swapped in with one system call: a run that is killed leaves the old
folder or the new one. Reading changes nothing. Nothing outside this module knows these paths and tables.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import io
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridopt.clock import Axis
from gridopt.errors import DataError, UsageError
from gridopt.store.table import wide_table

if TYPE_CHECKING:
    import pyarrow as pa

Floats = npt.NDArray[np.float64]

FORMAT = 1
SUMMARY = "summary.json"
SCHEDULE = "schedule.parquet"
SETPOINTS = "setpoints.parquet"
INPUTS = "inputs.json"
SERIES = "inputs.parquet"
VIEW = "plan.csv"
SWEEP, PLAN_OF_SWEEP = "pareto.json", "plan-"
FILES = (SCHEDULE, SETPOINTS, SERIES, INPUTS, SUMMARY)
"""What programs read. ``VIEW`` is a person's to change: a spreadsheet saves it in its own way."""
UNWRITABLE = "{folder} cannot be written: {why}"
DAMAGED = "{file} is damaged: {why}"
CHANGED = "{file} is not the one that belongs to this run: it was changed after it was written"
DAMAGES = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What reading something else in a run's place ends in."""


@dataclass(frozen=True)
class Series:
    """One quantity of one node or asset over consecutive steps from ``first``: a stretch of rows of a long table."""

    quantity: str
    values: Floats
    first: int = 0
    node: str | None = None
    asset: str | None = None
    port: str | None = None


@dataclass(frozen=True)
class Setpoint:
    """What one device is told over consecutive steps from ``first``."""

    device: str
    command: str
    unit: str
    values: Floats
    first: int = 0


@dataclass(frozen=True)
class Run:
    """Everything a run folder holds. ``inputs`` and ``series`` together are what was planned with."""

    axis: Axis
    summary: Mapping[str, Any]
    schedule: Sequence[Series]
    setpoints: Sequence[Setpoint]
    inputs: Mapping[str, Any]
    series: Sequence[Series]


def check_target(folder: Path) -> str | None:
    """The id of the plan that a new run in ``folder`` would replace, None where there is none.

    Raises UsageError where a run folder must not or cannot be put: on a file, in a folder that holds anything but a
    run, or where this user may not write.
    """
    replaced = _plan_in(folder) if folder.is_dir() else None
    if not folder.is_dir() and (folder.exists() or folder.is_symlink()):
        raise UsageError("{folder} is not a folder: name another place for the run", folder=str(folder))
    above = next(p for p in folder.resolve().parents if p.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UsageError(UNWRITABLE, folder=str(folder), why=f"{above} is no folder that you may write to")
    return replaced


def _plan_in(folder: Path) -> str | None:
    names = sorted(p.name for p in folder.iterdir())
    if not names:
        return None
    strangers = [name for name in names if name not in (*FILES, VIEW)]
    if strangers:
        raise UsageError(
            "{folder} holds {name}, which is not part of a run: name a new folder, so that nothing of yours is "
            "overwritten",
            folder=str(folder),
            name=strangers[0],
        )
    try:
        summary = json.loads(_get(folder / SUMMARY))
        return str(summary["plan_id"])
    except (DataError, ValueError, KeyError, TypeError) as e:
        raise UsageError(
            "{folder} holds {name}, but is no run folder of gridopt: name a new folder, so that nothing of yours is "
            "overwritten",
            folder=str(folder),
            name=names[0],
        ) from e


def write(folder: Path, run: Run) -> None:
    """Leave ``run`` at ``folder``, whole, in the place of an earlier run if there is one.

    Raises UsageError where the place is taken (``check_target``) or cannot be written to.
    """
    _leave(folder, check_target, lambda aside: _fill(aside, run))


def check_sweep_target(folder: Path) -> None:
    """Raise UsageError where a sweep must not or cannot be put: anywhere but in a new place, or an earlier sweep's."""
    if not folder.is_dir() or not (names := sorted(p.name for p in folder.iterdir())):
        check_target(folder)
        return
    strangers = [name for name in names if name != SWEEP and not _is_plan_of_sweep(folder / name)]
    if strangers or SWEEP not in names:
        raise UsageError(
            "{folder} holds {name}, which is not part of a sweep: name a new folder, so that nothing of yours is "
            "overwritten",
            folder=str(folder),
            name=(strangers or names)[0],
        )


def _is_plan_of_sweep(path: Path) -> bool:
    number = path.name.removeprefix(PLAN_OF_SWEEP)
    return path.name != number and number.isdigit() and path.is_dir() and _plan_in(path) is not None


def write_sweep(folder: Path, runs: Sequence[Run], doc: Mapping[str, Any]) -> None:
    """Leave a sweep at ``folder``, whole: a run folder ``plan-1``, ``plan-2``, … for each run, and ``pareto.json``.

    Raises UsageError where the place is taken (``check_sweep_target``) or cannot be written to.
    """

    def fill(aside: Path) -> None:
        for k, run in enumerate(runs):
            place = aside / f"{PLAN_OF_SWEEP}{k + 1}"
            place.mkdir()
            _fill(place, run)
        _put(aside / SWEEP, _json({"format": FORMAT, **doc}, indent=2))
        _sync_folder(aside)

    _leave(folder, check_sweep_target, fill)


def _leave(folder: Path, check: Callable[[Path], object], fill: Callable[[Path], None]) -> None:
    """Put at ``folder``, whole, what ``fill`` writes into an empty one, in the place of what ``check`` lets go."""
    folder = folder.resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _tidy(folder)
        check(folder)
        aside = folder.with_name(f".{folder.name}.new-{os.getpid()}-{secrets.token_hex(4)}")
        aside.mkdir()
        try:
            fill(aside)
            _swap(aside, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as e:
        raise UsageError(UNWRITABLE, folder=str(folder), why=e.strerror or str(e)) from e


def read(folder: Path) -> Run:
    """Read a run folder back, and change nothing there.

    Raises UsageError when it is none, DataError when a file of it is missing, of a later format or was changed.
    """
    place, summary, content = _whole(_resolved(folder))
    for name, data in content.items():
        if hashlib.sha256(data).hexdigest() != summary["files"].get(name):
            raise DataError(CHANGED, file=str(place / name))
    axis = _axis(summary)
    return Run(
        axis,
        summary,
        _read_series(place / SCHEDULE, content[SCHEDULE], axis),
        _read_setpoints(place / SETPOINTS, content[SETPOINTS], axis),
        _read_inputs(place / INPUTS, content[INPUTS]),
        _read_series(place / SERIES, content[SERIES], axis),
    )


def _resolved(folder: Path) -> Path:
    try:
        return folder.resolve()
    except (OSError, RuntimeError) as e:  # a link to itself
        raise UsageError("{folder} cannot be read: {why}", folder=str(folder), why=str(e)) from e


def _whole(folder: Path) -> tuple[Path, dict[str, Any], dict[str, bytes]]:
    """Where the run stands, its summary and its other files, all of one run also while another replaces it."""
    while True:
        place = _standing(folder)
        summary = read_summary(place)
        content = {name: _get(place / name) for name in FILES if name != SUMMARY}
        if read_summary(_standing(folder)) == summary:
            return place, summary, content


def _standing(folder: Path) -> Path:
    """The folder, or where the run waits whose writer stands, or was killed, between two renames."""
    left = [] if folder.exists() else _left(folder, "old")
    return left[0] if left else folder


def read_summary(folder: Path) -> dict[str, Any]:
    """The summary alone. Every field of it counts in its digest, those that people read included."""
    path = folder / SUMMARY
    if not path.is_file():
        _refuse_what_is_no_run(folder)
        raise UsageError(
            "{folder} is not a run folder: it holds no {file}. One is left by: gridopt run SCENARIO --out {folder}",
            folder=str(folder),
            file=SUMMARY,
        )
    try:
        summary = json.loads(_get(path))
        _same_format(path, summary["format"])
        if digest_of_summary(summary) != summary["files"].get(SUMMARY):
            raise DataError(CHANGED, file=str(path))
        _axis(summary)
        return {**summary, "files": dict(summary["files"])}
    except DAMAGES as e:
        raise DataError(DAMAGED, file=str(path), why=_why(e)) from e


def _refuse_what_is_no_run(folder: Path) -> None:
    """Where there is no summary, but something else of gridopt's: say what."""
    if any((folder / name).exists() for name in FILES):
        raise DataError("{folder} is not whole: its {file} is missing", folder=str(folder), file=SUMMARY)
    if (folder / SWEEP).is_file():
        raise UsageError(
            "{folder} holds several plans, from the cheapest on: name one, such as {folder}/{plan}1",
            folder=str(folder),
            plan=PLAN_OF_SWEEP,
        )


def _read_inputs(path: Path, data: bytes) -> dict[str, Any]:
    try:
        inputs = dict(json.loads(data))
        _same_format(path, inputs["format"])
    except DAMAGES as e:
        raise DataError(DAMAGED, file=str(path), why=_why(e)) from e
    return inputs


def _why(error: BaseException) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)


def digest_of_summary(summary: Mapping[str, Any]) -> str:
    """SHA-256 of everything a summary says but this digest itself, whatever its order and layout."""
    others = {name: digest for name, digest in summary["files"].items() if name != SUMMARY}
    said = {**summary, "files": others}
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def digest_of(parts: Sequence[Series] | Sequence[Setpoint]) -> bytes:
    """SHA-256 of a table's content: its words, steps and values."""
    h = hashlib.sha256()
    for part in parts:
        words = [getattr(part, f.name) for f in fields(part) if f.name not in ("values", "first")]
        h.update(repr([None if w is None else str(w) for w in words]).encode())
        h.update(repr((int(part.first), len(part.values))).encode())
        h.update(np.ascontiguousarray(part.values, np.float64).tobytes())
    return h.digest()


# --- files -----------------------------------------------------------------------------------------------------------


def _fill(aside: Path, run: Run) -> None:
    """Write every file into ``aside``; the summary last, with every digest."""
    content = {
        SCHEDULE: _parquet(_series_table(run.axis, run.schedule), "schedule"),
        SETPOINTS: _parquet(_setpoint_table(run.axis, run.setpoints), "setpoints"),
        SERIES: _parquet(_series_table(run.axis, run.series), "inputs"),
        INPUTS: _json({"format": FORMAT, **run.inputs}, indent=None),
    }
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    for name, data in content.items():
        _put(aside / name, data)
    _put(aside / VIEW, wide_table(run, FORMAT))
    summary = json.loads(_json({"format": FORMAT, **run.summary, "files": digests}, indent=None))
    summary["files"][SUMMARY] = digest_of_summary(summary)
    _put(aside / SUMMARY, _json(summary, indent=2))
    _sync_folder(aside)


def _json(doc: Mapping[str, Any], indent: int | None) -> bytes:
    return (json.dumps(doc, ensure_ascii=False, allow_nan=False, indent=indent) + "\n").encode()


def _put(path: Path, data: bytes) -> None:
    with open(path, "xb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())


def _get(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise DataError("{file} cannot be read: {why}", file=str(path), why=e.strerror or str(e)) from e


def _sync_folder(folder: Path) -> None:
    """Make a folder's entries durable, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _swap(aside: Path, folder: Path) -> None:
    """Put ``aside`` in the place of ``folder``; afterwards ``aside`` is the old folder, or gone."""
    old = folder.with_name(f".{folder.name}.old-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        while not _renamed(aside, folder) and not _exchange(aside, folder):
            # Two steps where the system cannot exchange names: `_tidy` completes what a kill in between leaves.
            with contextlib.suppress(FileNotFoundError):
                folder.rename(old)
    except OSError:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
    _sync_folder(folder.parent)


def _renamed(aside: Path, folder: Path) -> bool:
    """Rename to a free name; False where it is taken."""
    try:
        aside.rename(folder)
    except OSError as e:
        if e.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one step (Linux: renameat2); False where the system or the file system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(renameat2(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0)


def _tidy(folder: Path) -> None:
    """Bring back an old folder that was being replaced, and remove what killed runs left beside it."""
    if os.name != "posix" or not folder.parent.is_dir():
        return
    for kind in ("old", "new"):
        for left in _left(folder, kind):
            pid = left.name.removeprefix(f".{folder.name}.{kind}-").split("-")[0]
            if not pid.isdigit() or _alive(int(pid)):
                continue
            if kind == "old" and not folder.exists():
                left.rename(folder)
            else:
                shutil.rmtree(left, ignore_errors=True)


def _left(folder: Path, kind: str) -> list[Path]:
    """What writers put beside a folder, the newest first."""
    prefix = f".{folder.name}.{kind}-"
    beside = [p for p in folder.parent.iterdir() if p.name.startswith(prefix)] if folder.parent.is_dir() else []
    return sorted(beside, key=_changed_ns, reverse=True)


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # another writer has just cleared it
        return 0


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _same_format(path: Path, found: Any) -> None:
    if str(found) != str(FORMAT):
        raise DataError(
            "{file} has format {found}; this gridopt reads format {wanted}",
            file=str(path),
            found=str(found),
            wanted=str(FORMAT),
        )


# --- tables ----------------------------------------------------------------------------------------------------------


def _parquet(table: pa.Table, kind: str) -> bytes:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    marked = table.replace_schema_metadata({"format": str(FORMAT), "kind": kind})
    pq.write_table(marked, sink, compression="zstd")
    return sink.getvalue()


def _series_table(axis: Axis, series: Sequence[Series]) -> pa.Table:
    import pyarrow as pa

    counts = np.array([len(s.values) for s in series], np.int64)
    words = {name: _words([getattr(s, name) for s in series], counts) for name in ("node", "asset", "port", "quantity")}
    return pa.table({"time": _times(axis, series, counts), **words, "value": _values(series)})


def _setpoint_table(axis: Axis, setpoints: Sequence[Setpoint]) -> pa.Table:
    import pyarrow as pa

    counts = np.array([len(s.values) for s in setpoints], np.int64)
    device, command, unit = (
        _words([getattr(s, name) for s in setpoints], counts) for name in ("device", "command", "unit")
    )
    time = _times(axis, setpoints, counts)
    return pa.table({"time": time, "device": device, "command": command, "value": _values(setpoints), "unit": unit})


def _times(axis: Axis, parts: Sequence[Series] | Sequence[Setpoint], counts: npt.NDArray[np.int64]) -> pa.Array:
    import pyarrow as pa

    shift = np.array([s.first for s in parts], np.int64) - (np.cumsum(counts) - counts)
    step = np.arange(counts.sum()) + np.repeat(shift, counts)
    start = np.datetime64(axis.start.replace(tzinfo=None), "us").astype(np.int64)
    return pa.array(start + step * (axis.step_min * 60_000_000)).cast(pa.timestamp("us", tz="UTC"))


def _values(parts: Sequence[Series] | Sequence[Setpoint]) -> pa.Array:
    import pyarrow as pa

    return pa.array(np.concatenate([np.zeros(0), *(s.values for s in parts)]), pa.float64())


def _words(names: Sequence[str | None], counts: npt.NDArray[np.int64]) -> pa.Array:
    """One word per part, repeated for its rows."""
    import pyarrow as pa

    known = {name: k for k, name in enumerate(dict.fromkeys(n for n in names if n is not None))}
    code = np.repeat(np.array([-1 if n is None else known[n] for n in names], np.int32), counts)
    indices = pa.array(code, pa.int32(), mask=code < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(known), pa.string())).cast(pa.string())


def _read_series(path: Path, data: bytes, axis: Axis) -> list[Series]:
    keys = ("node", "asset", "port", "quantity")
    return [
        Series(
            quantity=str(words["quantity"]), values=values, first=first,
            node=words["node"], asset=words["asset"], port=words["port"],
        )
        for first, values, words in _stretches(path, data, axis, keys)
    ]  # fmt: skip


def _read_setpoints(path: Path, data: bytes, axis: Axis) -> list[Setpoint]:
    return [
        Setpoint(str(words["device"]), str(words["command"]), str(words["unit"]), values, first)
        for first, values, words in _stretches(path, data, axis, ("device", "command", "unit"))
    ]


def _stretches(
    path: Path, data: bytes, axis: Axis, keys: tuple[str, ...]
) -> Iterator[tuple[int, Floats, dict[str, str | None]]]:
    """(first step, values, words) of every stretch of rows with the same words."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data), read_dictionary=list(keys)).combine_chunks()
        _same_format(path, (table.schema.metadata or {}).get(b"format", b"?").decode())
        if not table.num_rows:
            return
        start = np.datetime64(axis.start.replace(tzinfo=None), "us").astype(np.int64)
        time = table["time"].combine_chunks().cast(pa.int64()).to_numpy()
        step, beside = np.divmod(time - start, axis.step_min * 60_000_000)
        if beside.any():
            raise ValueError("a time is not the start of a step")
        value = table["value"].combine_chunks().cast(pa.float64()).to_numpy()
        columns = [table[key].combine_chunks() for key in keys]
        code = np.stack([c.indices.fill_null(-1).to_numpy(zero_copy_only=False) for c in columns])
        words = [[*c.dictionary.to_pylist(), None] for c in columns]
    except (pa.ArrowException, OSError, *DAMAGES) as e:
        raise DataError(DAMAGED, file=str(path), why=_why(e)) from e
    new = np.flatnonzero((np.diff(code, axis=1) != 0).any(0) | (np.diff(step) != 1)) + 1
    for first, last in zip([0, *new.tolist()], [*new.tolist(), len(step)], strict=True):
        yield int(step[first]), value[first:last], {key: words[k][code[k, first]] for k, key in enumerate(keys)}


def _axis(summary: Mapping[str, Any]) -> Axis:
    horizon: Mapping[str, Any] = summary["horizon"]
    start = datetime.fromisoformat(horizon["start"])
    return Axis(start, int(horizon["step_min"]), int(horizon["steps"]), str(horizon["zone"]))
