"""The journal: every write that was intended, sent, proven or refused, in one file that only grows.

An intent is on the disk before its frames are sent, its outcome after; an intent without one is a write of which nobody
knows whether it arrived. Each entry holds the hash of the one before, so that none can be changed, left out or put in
unseen; cutting off the end is seen by whoever noted the last hash (``head``), as each plan's summary does.

    hash(n) = SHA-256(hash(n - 1) ‖ canonical JSON of entry n)

SQLite with a write-ahead log, synchronised to the disk at every entry; triggers refuse what is not an insertion. One
process writes, any number read. Nothing outside this module knows its table.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gridopt.errors import DataError

FORMAT = 1
FIRST = "0" * 64
WAIT_S = 5.0
"""How long an entry waits for another process that is writing one."""

INTENT, RESULT = "intent", "result"

SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS entry (
    seq INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, device TEXT, body TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS of_device ON entry (device, seq);
CREATE INDEX IF NOT EXISTS of_kind ON entry (kind, seq);
CREATE INDEX IF NOT EXISTS of_intent ON entry (json_extract(body, '$.intent')) WHERE kind = '{RESULT}';
CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'the journal only grows'); END;
CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'the journal only grows'); END;
PRAGMA user_version = {FORMAT};
COMMIT;
"""
"""All of it or nothing: who dies here leaves an empty file, which the next makes a journal of."""
BROKEN = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises over a file that is damaged: of some damage it tells in words that are no text."""
UNWRITABLE = "the journal {file} cannot be written: {why}; nothing is sent to a device without it"
DAMAGED = "the journal {file} is damaged: {why}"


@dataclass(frozen=True)
class Entry:
    """One line of the journal. ``body``: what the kind of entry says, as JSON values."""

    seq: int
    time: datetime
    kind: str
    device: str | None
    body: Mapping[str, Any] = field(default_factory=dict)
    hash: str = ""


class Journal:
    """An open journal. Every method that adds raises DataError where the entry did not reach the disk."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._db = path, connection

    # --- opening ---

    @classmethod
    def open(cls, path: Path) -> Journal:
        """The journal at ``path``, made if there is none. Raises DataError where it is damaged or not to be written."""
        with contextlib.ExitStack() as undo:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                db = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
                undo.callback(db.close)
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                _check_format(path, db, new=True)
                db.executescript(SCHEMA)
            except (*BROKEN, OSError) as error:
                raise DataError(UNWRITABLE, file=str(path), why=str(error)) from error
            journal = cls(path, db)
            journal._check_end()
            undo.pop_all()
            return journal

    @classmethod
    def read(cls, path: Path) -> Journal:
        """The journal at ``path``, for reading alone. Raises DataError where there is none."""
        if not path.is_file():
            raise DataError("there is no journal {file}; it begins with the first plan that is pushed", file=str(path))
        with contextlib.ExitStack() as undo:
            try:
                uri = f"{path.resolve().as_uri()}?mode=ro"
                db = sqlite3.connect(uri, uri=True, timeout=WAIT_S, isolation_level=None)
                undo.callback(db.close)
                _check_format(path, db, new=False)
            except BROKEN as error:
                raise DataError(DAMAGED, file=str(path), why=str(error)) from error
            undo.pop_all()
            return cls(path, db)

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- writing ---

    def note(self, time: datetime, kind: str, device: str | None = None, **body: Any) -> int:
        """One more entry, on the disk when this returns; its number. ``time`` is aware."""
        if kind in (INTENT, RESULT):
            raise ValueError(f"{kind} has a method of its own")
        return self._add(time, kind, device, body)

    def intend(
        self,
        time: datetime,
        *,
        who: str,
        plan: str | None,
        plan_hash: str | None,
        device: str,
        command: str,
        old: float | str | None,
        new: float | str | None,
        frames: Sequence[str],
        reason: str,
    ) -> int:
        """A write that is about to be sent: ``frames`` as hexadecimal text; ``old``, ``new`` in the command's unit."""
        body = {"who": who, "plan": plan, "plan_hash": plan_hash, "command": command, "old": old, "new": new}
        return self._add(time, INTENT, device, {**body, "frames": list(frames), "reason": reason})

    def conclude(
        self,
        intent: int,
        time: datetime,
        outcome: str,
        *,
        read: float | str | None = None,
        raw: Sequence[str] = (),
        latency_s: float | None = None,
        why: str = "",
    ) -> int:
        """What became of an intent: ``read`` is what the device shows, ``raw`` the frames that it answered."""
        found = self._one("SELECT device FROM entry WHERE seq = ? AND kind = ?", intent, INTENT)
        if found is None:
            raise ValueError(f"entry {intent} is no intent")
        body = {
            "intent": intent,
            "outcome": outcome,
            "read": read,
            "raw": list(raw),
            "latency_s": latency_s,
            "why": why,
        }
        return self._add(time, RESULT, found[0], body)

    def _add(self, time: datetime, kind: str, device: str | None, body: Mapping[str, Any]) -> int:
        if time.tzinfo is None:
            raise ValueError("a time of the journal is aware")
        text = _canonical(body)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                last = self._one("SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1") or (0, FIRST)
                entry = Entry(last[0] + 1, time.astimezone(UTC), kind, device, body)
                row = (entry.seq, _stamp(entry.time), kind, device, text, _hash(last[1], entry, text))
                self._db.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", row)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has rolled it back already
                    self._db.execute("ROLLBACK")
                raise
        except (*BROKEN, OSError) as error:
            raise DataError(UNWRITABLE, file=str(self.path), why=str(error)) from error
        return entry.seq

    # --- reading ---

    def entries(self, since: int = 0, device: str | None = None) -> Iterator[Entry]:
        """Entries after number ``since``, in order; those of one device where it is named."""
        where, args = ("AND device = ?", (since, device)) if device is not None else ("", (since,))
        for row in self._each(f"SELECT * FROM entry WHERE seq > ? {where} ORDER BY seq", *args):
            yield self._entry(row)

    def open_intents(self) -> list[Entry]:
        """Intents without an outcome: of these writes nobody knows whether they arrived."""
        done = f"SELECT 1 FROM entry AS r WHERE r.kind = '{RESULT}' AND json_extract(r.body, '$.intent') = entry.seq"
        rows = self._rows(f"SELECT * FROM entry WHERE kind = ? AND NOT EXISTS ({done}) ORDER BY seq", INTENT)
        return [self._entry(row) for row in rows]

    def last(self, kind: str, device: str | None = None) -> Entry | None:
        """The latest entry of a kind, of one device where it is named."""
        where, args = ("AND device = ?", (kind, device)) if device is not None else ("", (kind,))
        row = self._one(f"SELECT * FROM entry WHERE kind = ? {where} ORDER BY seq DESC LIMIT 1", *args)
        return None if row is None else self._entry(row)

    @property
    def head(self) -> str:
        """Hash of the last entry."""
        row = self._one("SELECT hash FROM entry ORDER BY seq DESC LIMIT 1")
        return FIRST if row is None else str(row[0])

    def verify(self) -> list[str]:
        """What is wrong with the chain: a sentence for each entry that is not what it was; none where it is whole."""
        wrong, before, expected = [], FIRST, 1
        with contextlib.suppress(DataError):
            for row in self._each("SELECT * FROM entry ORDER BY seq"):
                seq, text, said = row[0], row[4], row[5]
                if seq < expected:
                    wrong.append(f"entry {seq} was put in")
                    continue
                if seq != expected:
                    wrong.append(f"entries {expected} to {seq - 1} are missing")
                elif _hash_of(before, row) != said:
                    wrong.append(f"entry {seq} is not what was written")
                elif _body(text) is None:
                    wrong.append(f"entry {seq} cannot be read")
                before, expected = said, seq + 1
            return wrong
        return [*wrong, f"the file cannot be read from entry {expected} on"]

    def _check_end(self) -> None:
        """Whether the last entry follows from the one before: a journal that was tampered with is not continued."""
        rows = self._rows("SELECT * FROM entry ORDER BY seq DESC LIMIT 2")
        if rows and _hash_of(rows[1][5] if len(rows) > 1 else FIRST, rows[0]) != rows[0][5]:
            why = (
                f"entry {rows[0][0]} is not what was written; `gridopt journal --verify` tells all; move the file away"
            )
            raise DataError(DAMAGED, file=str(self.path), why=why)

    def _entry(self, row: Sequence[Any]) -> Entry:
        body = _body(row[4])
        with contextlib.suppress(ValueError, TypeError):
            time = datetime.fromisoformat(row[1])
            if body is not None and time.tzinfo is not None:
                return Entry(row[0], time, row[2], row[3], body, row[5])
        raise DataError(DAMAGED, file=str(self.path), why=f"entry {row[0]} cannot be read")

    def _each(self, query: str, *args: object) -> Iterator[Any]:
        try:
            yield from self._db.execute(query, args)
        except BROKEN as error:
            raise DataError(DAMAGED, file=str(self.path), why=str(error)) from error

    def _rows(self, query: str, *args: object) -> list[Any]:
        return list(self._each(query, *args))

    def _one(self, query: str, *args: object) -> Any:
        return next(iter(self._rows(query, *args)), None)


# --- helpers ---------------------------------------------------------------------------------------------------------


def _check_format(path: Path, db: sqlite3.Connection, new: bool) -> None:
    """Raises DataError where the file is a journal of another format, or a database of something else."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if version == FORMAT and "entry" in tables:
        return
    if version == 0 and not tables and new:
        return
    why = "it is no journal of gridopt" if version == 0 else f"this gridopt reads format {FORMAT}, not {version}"
    raise DataError(DAMAGED, file=str(path), why=why)


def _stamp(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")


def _canonical(body: Mapping[str, Any]) -> str:
    return json.dumps(_plain(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    """As JSON has it: sets sorted, numbers that are none as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(str(item) for item in value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (datetime, Path)):
        return str(value)
    return value


def _hash(before: str, entry: Entry, text: str) -> str:
    return _hash_of(before, (entry.seq, _stamp(entry.time), entry.kind, entry.device, text))


def _hash_of(before: object, row: Sequence[Any]) -> str:
    """Of a row as it stands; in a damaged file a field may be of any type, and then the hash is another."""
    said = json.dumps(list(row[:5]), separators=(",", ":"), ensure_ascii=False, default=repr)
    return hashlib.sha256(str(before).encode() + said.encode()).hexdigest()


def _body(text: Any) -> dict[str, Any] | None:
    """What an entry says; None where that is no JSON object."""
    try:
        body = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
