"""The run folder that ``run --out DIR`` leaves: its files, its tables, and how it is written whole or not at all.

``schedule.parquet``   long table: time, node, asset (null: a node's row), port (null: not a port's), quantity, value
``setpoints.parquet``  time, device, command, value, unit
``inputs.parquet``     the series that were planned with, in the schedule's columns
``inputs.json``        everything else that was planned with
``summary.json``       what the plan is and how good; ``files`` holds the SHA-256 of the four others

Every file says ``format = 1``. ``time`` is the start of an interval (UTC); flows are means over it, stocks stand at its
end; a value that holds for a whole window stands once, at its first interval.

A folder is written aside, beside its place, and swapped in with one system call: a run that is killed leaves the old
folder or the new one. Nothing outside this module knows these paths and tables.
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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridopt.clock import Axis
from gridopt.errors import DataError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

Floats = npt.NDArray[np.float64]

FORMAT = 1
SUMMARY = "summary.json"
SCHEDULE = "schedule.parquet"
SETPOINTS = "setpoints.parquet"
INPUTS = "inputs.json"
SERIES = "inputs.parquet"
FILES = (SCHEDULE, SETPOINTS, SERIES, INPUTS, SUMMARY)
UNWRITABLE = "{folder} cannot be written: {why}"


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


def check_target(folder: Path) -> None:
    """Raise UsageError where a run folder must not or cannot be put.

    That is: on a file, in a folder that holds anything else, or where this user may not write.
    """
    if folder.is_dir():
        strangers = sorted(p.name for p in folder.iterdir() if p.name not in FILES)
        if strangers:
            raise UsageError(
                "{folder} holds {name}, which is not part of a run: name a new folder, so that nothing of yours is "
                "overwritten",
                folder=str(folder),
                name=strangers[0],
            )
    elif folder.exists() or folder.is_symlink():
        raise UsageError("{folder} is not a folder: name another place for the run", folder=str(folder))
    above = next(p for p in folder.resolve().parents if p.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UsageError(UNWRITABLE, folder=str(folder), why=f"{above} is no folder that you may write to")


def write(folder: Path, run: Run) -> None:
    """Leave ``run`` at ``folder``, whole, in the place of an earlier run if there is one.

    Raises UsageError where the place is taken (``check_target``) or cannot be written to.
    """
    folder = folder.resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _tidy(folder)
        check_target(folder)
        aside = folder.with_name(f".{folder.name}.new-{os.getpid()}-{secrets.token_hex(4)}")
        aside.mkdir()
        try:
            _fill(aside, run)
            _swap(aside, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as e:
        raise UsageError(UNWRITABLE, folder=str(folder), why=e.strerror or str(e)) from e


def read(folder: Path) -> Run:
    """Read a run folder back.

    Raises UsageError when it is none, DataError when a file of it is missing, of a later format or was changed.
    """
    folder = folder.resolve()
    _tidy(folder)
    summary = read_summary(folder)
    content = {name: _get(folder / name) for name in FILES if name != SUMMARY}
    for name, data in content.items():
        if hashlib.sha256(data).hexdigest() != summary["files"].get(name):
            raise DataError(
                "{file} is not the one that belongs to this run: it was changed after it was written",
                file=str(folder / name),
            )
    axis = _axis(summary)
    inputs = json.loads(content[INPUTS])
    _same_format(folder / INPUTS, inputs.get("format"))
    return Run(
        axis,
        summary,
        _read_series(folder / SCHEDULE, content[SCHEDULE], axis),
        _read_setpoints(folder / SETPOINTS, content[SETPOINTS], axis),
        inputs,
        _read_series(folder / SERIES, content[SERIES], axis),
    )


def read_summary(folder: Path) -> dict[str, Any]:
    """The summary alone."""
    path = folder / SUMMARY
    if not path.is_file():
        raise UsageError(
            "{folder} is not a run folder: it holds no {file}. One is left by: gridopt run SCENARIO --out {folder}",
            folder=str(folder),
            file=SUMMARY,
        )
    try:
        summary = json.loads(_get(path))
        _same_format(path, summary["format"])
        _axis(summary)
        return {**summary, "files": dict(summary["files"])}
    except (ValueError, KeyError, TypeError) as e:
        raise DataError("{file} is damaged: {why}", file=str(path), why=str(e)) from e


def digest_of(schedule: Sequence[Series]) -> bytes:
    """SHA-256 of a schedule's content."""
    h = hashlib.sha256()
    for s in schedule:
        h.update(repr((s.node, s.asset, s.port, s.quantity, s.first, len(s.values))).encode())
        h.update(np.ascontiguousarray(s.values, np.float64).tobytes())
    return h.digest()


# --- files -----------------------------------------------------------------------------------------------------------


def _fill(aside: Path, run: Run) -> None:
    """Write every file into ``aside``; the summary last, with the digests of the others."""
    content = {
        SCHEDULE: _parquet(_series_table(run.axis, run.schedule), "schedule"),
        SETPOINTS: _parquet(_setpoint_table(run.axis, run.setpoints), "setpoints"),
        SERIES: _parquet(_series_table(run.axis, run.series), "inputs"),
        INPUTS: _json({"format": FORMAT, **run.inputs}, indent=None),
    }
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    for name, data in content.items():
        _put(aside / name, data)
    _put(aside / SUMMARY, _json({"format": FORMAT, **run.summary, "files": digests}, indent=2))
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
        prefix = f".{folder.name}.{kind}-"
        for left in sorted(folder.parent.glob(f"{prefix}*")):
            pid = left.name.removeprefix(prefix).split("-")[0]
            if not pid.isdigit() or _alive(int(pid)):
                continue
            if kind == "old" and not folder.exists():
                left.rename(folder)
            else:
                shutil.rmtree(left, ignore_errors=True)


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
    except (pa.ArrowException, OSError) as e:
        raise DataError("{file} is damaged: {why}", file=str(path), why=str(e)) from e
    _same_format(path, (table.schema.metadata or {}).get(b"format", b"?").decode())
    rows = table.num_rows
    if not rows:
        return
    start = np.datetime64(axis.start.replace(tzinfo=None), "us").astype(np.int64)
    time = table["time"].combine_chunks().cast(pa.int64()).to_numpy()
    step = (time - start) // (axis.step_min * 60_000_000)
    value = table["value"].combine_chunks().to_numpy()
    codes, words = {}, {}
    for key in keys:
        column = table[key].combine_chunks()
        codes[key] = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        words[key] = [*column.dictionary.to_pylist(), None]
    code = np.stack([codes[key] for key in keys])
    new = np.flatnonzero((np.diff(code, axis=1) != 0).any(0)) + 1
    for first, last in zip([0, *new.tolist()], [*new.tolist(), rows], strict=True):
        yield int(step[first]), value[first:last], {key: words[key][codes[key][first]] for key in keys}


def _axis(summary: Mapping[str, Any]) -> Axis:
    horizon: Mapping[str, Any] = summary["horizon"]
    start = datetime.fromisoformat(horizon["start"])
    return Axis(start, int(horizon["step_min"]), int(horizon["steps"]), str(horizon["zone"]))
