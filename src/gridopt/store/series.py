"""What was measured, forecast and paid, over time: Parquet files in a folder, or on any file system that pyarrow knows.

``ROOT/series/<quantity>/date=2026-01-15/<part>.parquet``   the quantity's name ends with its unit

A part holds rows of one UTC day: ``time`` (start of the interval, UTC), ``step_s``, ``source`` (a meter, a zone, a
method), the value under the quantity's own name, ``quality``, and ``known``: when gridopt came to know the row. A value
that is given again is another row; a reader sees the one known last, or last before the moment it asks about, so that
no plan of the past sees its future. Of two rows that were known at once, the one added last is a microsecond younger.

A part is written aside and renamed, and named by its content: whoever dies leaves whole parts. What says nothing new
is not kept: the same file taken in again adds nothing. ``compact`` joins the parts of a day; what it interrupts is seen
twice and counted once.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
import pyarrow.parquet as pq

from gridopt.errors import DataError, UsageError
from gridopt.units import unit_of

FORMAT = b"1"
FOLDER = "series"
DAY_US = 86_400_000_000
TRIES = 5
"""How often a reader looks again when a part was joined into another under its eyes."""
NAME = re.compile(r"[a-z][a-z0-9_]*")
TIE_US = 1000
"""Rows of which one was known within this time of another were known at once."""
DAMAGED = "{file} is damaged: {why}; move it away, and import its data again"

Instants = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True)
class Rows:
    """Rows of one quantity. ``time``, ``known`` [µs UTC]; ``source`` and ``quality`` as texts; all of one length."""

    quantity: str
    source: Sequence[str] | npt.NDArray[np.object_]
    time: Instants
    step_s: npt.NDArray[np.int64]
    value: Floats
    quality: Sequence[str] | npt.NDArray[np.object_]
    known: Instants

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True)
class Latest:
    """Of a source: start and end of its last interval, when gridopt last came to know any, and how often it does.

    ``usual_s``: the median time between what came [s], None of what came less than three times.
    """

    time: datetime
    end: datetime
    known: datetime
    usual_s: float | None


class SeriesStore:
    """The series under one root. Any number read while one writes."""

    def __init__(self, files: Any, root: str) -> None:
        self.files, self.root = files, root.rstrip("/")

    @classmethod
    def open(cls, place: str | Path) -> SeriesStore:
        """The store in a folder, or at a URI that pyarrow knows (``s3://…``). Raises UsageError where there is none."""
        text = str(place)
        try:
            if "://" in text:
                files, root = pa.fs.FileSystem.from_uri(text)
            else:
                files, root = pa.fs.LocalFileSystem(), str(Path(text).resolve())
        except (pa.ArrowException, OSError) as error:
            raise UsageError("{place} is no place for a store: {why}", place=text, why=str(error)) from error
        return cls(files, root)

    # --- writing ---

    def add(self, rows: Rows) -> int:
        """Keep rows that are not there yet; how many parts were written.

        Raises UsageError where they cannot be written, ValueError for a quantity without a unit's name.
        """
        if not NAME.fullmatch(rows.quantity):
            raise ValueError(f"{rows.quantity!r} is no name of a quantity")
        table = _table(rows)
        days = rows.time // DAY_US
        order = np.argsort(days, kind="stable")
        first, starts = np.unique(days[order], return_index=True)
        ends = np.append(starts[1:], len(order))
        written = 0
        ordered = table.take(pa.array(order))
        for day, start, end in zip(first, starts, ends, strict=True):
            part = ordered.slice(int(start), int(end - start)).sort_by([("source", "ascending"), ("time", "ascending")])
            part = self._unknown(rows.quantity, int(day), part)
            written += part.num_rows > 0 and self._put(rows.quantity, int(day), part)
        return written

    def _unknown(self, quantity: str, day: int, part: Any) -> Any:
        """The rows of a part that say anything else than what was known when they were, or that were not known then.

        Of two that were known at once the one added last holds: it is known a microsecond later.
        """
        there = self._again(lambda: [self._read(p) for _, parts in self._parts(quantity, day, day + 1) for p in parts])
        if not there:
            return part
        before = pa.concat_tables(there)
        both = pa.concat_tables([before, part])
        code = np.unique(_texts(both, "source"), return_inverse=True)[1]
        key = np.unique(code * DAY_US + _instants(both, "time") - day * DAY_US, return_inverse=True)[1]
        known = _instants(both, "known")
        n = before.num_rows
        # What was known last when a row was: with the row's own moment counted in, and a little, as of ties before.
        order = np.lexsort((known[:n], key[:n]))
        rank = np.unique(np.concatenate([known, known + TIE_US]), return_inverse=True)[1].reshape(2, -1)
        size = int(rank.max()) + 1
        old, new = key[:n][order] * size + rank[0, :n][order], key[n:] * size + rank[1, n:]
        place = np.searchsorted(old, new, side="right") - 1
        at = order[np.maximum(place, 0)]
        found = (place >= 0) & (key[at] == key[n:])
        same = found.copy()
        for name in ("step_s", quantity, "quality"):
            a, b = (_texts(t, name) if name == "quality" else t[name].to_numpy() for t in (before, part))
            same &= (a[at] == b) | ((a[at] != a[at]) & (b != b))
        since = np.where(found, np.maximum(known[n:], known[at] + 1), known[n:])
        column = part.schema.get_field_index("known")
        later = part.set_column(column, part.schema.field(column), pa.array(since).cast(part.schema.field(column).type))
        return later.filter(pa.array(~same))

    def _again(self, look: Callable[[], T]) -> T:
        """What a look at the parts finds, begun again where one was joined into another under its eyes."""
        for _ in range(TRIES - 1):
            with contextlib.suppress(FileNotFoundError):
                return look()
        return look()

    def _put(self, quantity: str, day: int, part: Any) -> bool:
        """Write a part, if one of its content is not there."""
        folder = self._folder(quantity, day)
        name = f"{folder}/{_digest(part, quantity)}.parquet"
        if self.files.get_file_info(name).type != pa.fs.FileType.NotFound:
            return False
        sink = io.BytesIO()
        pq.write_table(part, sink, compression="zstd")
        aside = f"{folder}/.{uuid.uuid4().hex}.new"
        try:
            self.files.create_dir(folder, recursive=True)
            with self.files.open_output_stream(aside) as out:
                out.write(sink.getbuffer())
            self.files.move(aside, name)
        except OSError as error:
            raise UsageError("{folder} cannot be written: {why}", folder=folder, why=str(error)) from error
        return True

    def compact(self, quantity: str, before: date) -> int:
        """Join the parts of each day before ``before``; how many parts went. Every version of a row stays."""
        last = (before - date(1970, 1, 1)).days
        days = [day for day, _ in self._parts(quantity, None, last)]
        return sum(self._again(functools.partial(self._join, quantity, day)) for day in days)

    def _join(self, quantity: str, day: int) -> int:
        parts = [p for _, found in self._parts(quantity, day, day + 1) for p in found]
        if len(parts) < 2:
            return 0
        schema = _schema(quantity)
        joined = pa.concat_tables([self._read(p) for p in parts]).group_by(schema.names).aggregate([])
        order = [(name, "ascending") for name in ("source", "time", "known")]
        whole = joined.select(schema.names).sort_by(order).cast(schema)
        self._put(quantity, day, whole)
        kept = f"{self._folder(quantity, day)}/{_digest(whole, quantity)}.parquet"
        for part in parts:
            if part != kept:
                with contextlib.suppress(FileNotFoundError):  # another process joins the same day
                    self.files.delete_file(part)
        return sum(part != kept for part in parts)

    # --- reading ---

    def quantities(self) -> list[str]:
        """Names of the quantities that there are."""
        selector = pa.fs.FileSelector(f"{self.root}/{FOLDER}", allow_not_found=True)
        return sorted(i.base_name for i in self.files.get_file_info(selector) if i.type == pa.fs.FileType.Directory)

    def read(
        self,
        quantity: str,
        start: datetime | None = None,
        end: datetime | None = None,
        sources: Sequence[str] | None = None,
        known_by: datetime | None = None,
    ) -> Rows:
        """Rows of a quantity that start within [start, end), each time of a source once: as it was known last.

        ``known_by``: as it was known then; nothing that was learned later is seen. Sorted by source and time.
        """
        first, last = (None if t is None else _us(t) for t in (start, end))
        tables = self._again(lambda: list(self._tables(quantity, first, last, sources, known_by)))
        if not tables:
            return _rows(quantity, _schema(quantity).empty_table())
        table = pa.concat_tables(tables).sort_by(
            [("source", "ascending"), ("time", "ascending"), ("known", "ascending")]
        )
        return _rows(quantity, _latest(table))

    def _tables(
        self,
        quantity: str,
        first: int | None,
        last: int | None,
        sources: Sequence[str] | None,
        known_by: datetime | None,
    ) -> Iterator[Any]:
        days = (None if first is None else first // DAY_US, None if last is None else (last - 1) // DAY_US + 1)
        condition: Any = None
        for name, bound, compare in (("time", first, pc.greater_equal), ("time", last, pc.less)):
            if bound is not None:
                one = compare(pc.field(name), pa.scalar(bound, pa.timestamp("us", "UTC")))
                condition = one if condition is None else condition & one
        if known_by is not None:
            one = pc.field("known") <= pa.scalar(_us(known_by), pa.timestamp("us", "UTC"))
            condition = one if condition is None else condition & one
        if sources is not None:
            one = pc.field("source").isin(list(sources))
            condition = one if condition is None else condition & one
        for _, parts in self._parts(quantity, *days):
            for part in parts:
                table = self._read(part)
                yield table if condition is None else table.filter(condition)

    def last(self, quantity: str) -> dict[str, Latest]:
        """Source → its last interval with a value, and when anything of it came; also of who fell silent."""
        return self._again(lambda: self._last(quantity))

    def _last(self, quantity: str) -> dict[str, Latest]:
        time: dict[str, datetime] = {}
        end: dict[str, datetime] = {}
        came: dict[str, set[datetime]] = {}
        for _, parts in self._parts(quantity, None, None):
            for part in parts:
                table = self._read(part)
                held = table.filter(pc.is_finite(table[quantity]))
                until = pc.add(
                    held["time"], pc.multiply(held["step_s"].cast(pa.int64()), 10**6).cast(pa.duration("us"))
                )
                held = held.append_column("end", until)
                found = held.group_by("source").aggregate([("time", "max"), ("end", "max"), ("known", "distinct")])
                for row in found.to_pylist():
                    source = row["source"]
                    time[source] = max(row["time_max"], time.get(source, row["time_max"]))
                    end[source] = max(row["end_max"], end.get(source, row["end_max"]))
                    came.setdefault(source, set()).update(row["known_distinct"])
        return {
            source: Latest(time[source], end[source], max(known), _usual_s(known)) for source, known in came.items()
        }

    def _folder(self, quantity: str, day: int) -> str:
        return f"{self.root}/{FOLDER}/{quantity}/date={date(1970, 1, 1) + timedelta(days=day)}"

    def _parts(self, quantity: str, first: int | None, last: int | None) -> Iterator[tuple[int, list[str]]]:
        """Days [first, last) that hold parts, in order, with their files."""
        selector = pa.fs.FileSelector(f"{self.root}/{FOLDER}/{quantity}", allow_not_found=True)
        for info in sorted(self.files.get_file_info(selector), key=lambda i: i.base_name):
            with contextlib.suppress(ValueError):
                day = (date.fromisoformat(info.base_name.removeprefix("date=")) - date(1970, 1, 1)).days
                if (first is None or day >= first) and (last is None or day < last):
                    inside = self.files.get_file_info(pa.fs.FileSelector(info.path))
                    yield day, sorted(i.path for i in inside if not i.base_name.startswith(".") and i.is_file)

    def _read(self, part: str) -> Any:
        try:
            with self.files.open_input_file(part) as file:
                table = pq.read_table(file)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise DataError(DAMAGED, file=part, why=str(error)) from error
        if (table.schema.metadata or {}).get(b"format") != FORMAT:
            raise DataError(DAMAGED, file=part, why="it is of another format")
        return table


# --- tables ----------------------------------------------------------------------------------------------------------


def _schema(quantity: str) -> Any:
    return pa.schema(
        [
            ("time", pa.timestamp("us", "UTC")),
            ("step_s", pa.int32()),
            ("source", pa.string()),
            (quantity, pa.float64()),
            ("quality", pa.string()),
            ("known", pa.timestamp("us", "UTC")),
        ],
        metadata={b"format": FORMAT, b"quantity": quantity.encode(), b"unit": unit_of(quantity).encode()},
    )


def _table(rows: Rows) -> Any:
    columns = (
        rows.time,
        rows.step_s.astype(np.int32),
        pa.array(rows.source, pa.string()),
        rows.value,
        pa.array(rows.quality, pa.string()),
        rows.known,
    )
    schema = _schema(rows.quantity)
    arrays = [c if isinstance(c, pa.Array) else pa.array(c).cast(f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _digest(part: Any, quantity: str) -> str:
    """SHA-256 of a part's values, whatever Parquet makes of them."""
    total = hashlib.sha256()
    for name in ("time", "step_s", quantity, "known"):
        column = part[name]
        column = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        total.update(np.ascontiguousarray(column.to_numpy()).tobytes())
    for name in ("source", "quality"):
        encoded = part[name].combine_chunks().dictionary_encode()
        encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        total.update("\0".join(encoded.dictionary.to_pylist()).encode())
        total.update(encoded.indices.to_numpy(zero_copy_only=False).tobytes())
    return total.hexdigest()[:32]


def _texts(table: Any, name: str) -> npt.NDArray[np.object_]:
    found: npt.NDArray[np.object_] = table[name].to_numpy(zero_copy_only=False)
    return found


def _instants(table: Any, name: str) -> Instants:
    found: Instants = table[name].cast(pa.int64()).to_numpy()
    return found


def _latest(table: Any) -> Any:
    """Each time of a source once, as it was known last; the rows come sorted so that it is the last of its run."""
    if table.num_rows < 2:
        return table
    time = _instants(table, "time")
    source = table["source"].combine_chunks().dictionary_encode()
    source = source.combine_chunks() if isinstance(source, pa.ChunkedArray) else source
    code = source.indices.to_numpy(zero_copy_only=False)
    last = np.append((time[1:] != time[:-1]) | (code[1:] != code[:-1]), True)
    return table if last.all() else table.filter(pa.array(last))


def _rows(quantity: str, table: Any) -> Rows:
    value = table[quantity].fill_null(float("nan")).to_numpy()
    source, quality = _texts(table, "source"), _texts(table, "quality")
    time, known = _instants(table, "time"), _instants(table, "known")
    return Rows(quantity, source, time, table["step_s"].cast(pa.int64()).to_numpy(), value, quality, known)


def _usual_s(known: set[datetime]) -> float | None:
    """Median time between what came [s]; what came within a minute came at once."""
    minutes = np.unique([time.timestamp() // 60 for time in known])
    return None if len(minutes) < 3 else float(np.median(np.diff(minutes))) * 60


def _us(time: datetime) -> int:
    if time.tzinfo is None:
        raise ValueError("a time of the store is aware")
    return round((time - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
