"""The journal only grows, holds what was intended before it is sent, and shows whoever changed it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gridopt.errors import DataError
from gridopt.store.journal import FIRST, Journal

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.open(tmp_path / "journal.sqlite")


def intend(journal: Journal, device: str = "bat-a", new: float = 5.0) -> int:
    return journal.intend(
        NOON,
        who="push",
        plan="plan-1",
        plan_hash="ab12",
        device=device,
        command="power",
        old=0.0,
        new=new,
        frames=["01 10 00 c8"],
        reason="step 12:00",
    )


def tamper(path: Path, statement: str) -> None:
    db = sqlite3.connect(path)
    db.executescript("DROP TRIGGER no_update; DROP TRIGGER no_delete;" + statement)
    db.close()


def test_an_intent_stays_open_until_its_outcome(journal: Journal) -> None:
    first, second = intend(journal), intend(journal, "bat-b")
    assert [e.seq for e in journal.open_intents()] == [first, second]
    journal.conclude(first, NOON + timedelta(seconds=1), "confirmed", read=5.0, raw=["01 10"], latency_s=0.02)
    assert [e.device for e in journal.open_intents()] == ["bat-b"]
    result = journal.last("result", "bat-a")
    assert result is not None
    assert (result.body["outcome"], result.body["read"], result.body["intent"]) == ("confirmed", 5.0, first)


def test_entries_are_read_again_as_they_were(journal: Journal) -> None:
    seq = journal.note(NOON, "alarm", "bat-a", why="é stays é", seen={"b", "a"}, limit=float("nan"))
    (entry,) = Journal.read(journal.path).entries()
    assert (entry.seq, entry.time, entry.kind, entry.device) == (seq, NOON, "alarm", "bat-a")
    assert entry.body == {"why": "é stays é", "seen": ["a", "b"], "limit": "nan"}


def test_a_local_time_is_kept_as_utc(journal: Journal) -> None:
    from zoneinfo import ZoneInfo

    journal.note(NOON.astimezone(ZoneInfo("Europe/Paris")), "start")
    assert next(journal.entries()).time == NOON
    with pytest.raises(ValueError, match="aware"):
        journal.note(NOON.replace(tzinfo=None), "start")


def test_a_result_needs_its_intent(journal: Journal) -> None:
    seq = journal.note(NOON, "start")
    with pytest.raises(ValueError, match="is no intent"):
        journal.conclude(seq, NOON, "confirmed")


def test_it_goes_on_where_it_stopped(journal: Journal) -> None:
    journal.note(NOON, "start")
    head = journal.head
    journal.close()
    again = Journal.open(journal.path)
    assert again.head == head
    assert again.note(NOON, "stop") == 2
    assert again.verify() == []


def test_an_empty_journal_is_whole(journal: Journal) -> None:
    assert (journal.head, journal.verify(), journal.open_intents()) == (FIRST, [], [])


def test_no_entry_can_be_changed_or_removed(journal: Journal) -> None:
    intend(journal)
    for statement in ("UPDATE entry SET device = 'x'", "DELETE FROM entry"):
        with pytest.raises(sqlite3.IntegrityError, match="only grows"):
            journal._db.execute(statement)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE entry SET body = replace(body, '5.0', '6.0') WHERE seq = 2", "entry 2 is not what was written"),
        ("UPDATE entry SET device = 'bat-z' WHERE seq = 2", "entry 2 is not what was written"),
        ("UPDATE entry SET time = '2026-01-15T11:00:00.000000+00:00' WHERE seq = 2", "entry 2 is not what was written"),
        ("DELETE FROM entry WHERE seq = 2", "entries 2 to 2 are missing"),
        ("UPDATE entry SET hash = upper(hash) WHERE seq = 2", "entry 2 is not what was written"),
    ],
)
def test_who_changed_an_entry_is_seen(journal: Journal, statement: str, told: str) -> None:
    for _ in range(3):
        intend(journal)
    journal.close()
    tamper(journal.path, statement)
    assert Journal.read(journal.path).verify()[0] == told


@pytest.mark.parametrize("column", ["time", "kind", "device", "body", "hash"])
@pytest.mark.parametrize("junk", ["x", "", "3", "[]", "[" * 100_000, "2026-01-15T12:00:00", b"\xff\xfe"])
def test_whatever_stands_in_a_field_is_seen_and_never_a_traceback(
    journal: Journal, column: str, junk: str | bytes
) -> None:
    for _ in range(3):
        intend(journal)
    journal.close()
    db = sqlite3.connect(journal.path)
    db.execute("DROP TRIGGER no_update")
    db.execute(f"UPDATE entry SET {column} = CAST(? AS TEXT) WHERE seq = 2", (junk,))
    db.commit()
    db.close()
    found = Journal.read(journal.path)
    assert found.verify()
    for look in (lambda: list(found.entries()), found.open_intents, lambda: found.last("intent", "bat-a")):
        with contextlib.suppress(DataError):
            look()


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("INSERT INTO entry VALUES (0, 't', 'alarm', NULL, '{}', 'h')", "entry 0 was put in"),
        ("INSERT INTO entry VALUES (4, 't', 'alarm', NULL, '{}', 'h')", "entry 4 is not what was written"),
        (
            "UPDATE entry SET seq = 9 WHERE seq = 1; UPDATE entry SET seq = 1 WHERE seq = 2;"
            "UPDATE entry SET seq = 2 WHERE seq = 9",
            "entry 1 is not what was written",
        ),
    ],
)
def test_what_was_put_in_or_exchanged_is_seen(journal: Journal, statement: str, told: str) -> None:
    for new in (1.0, 2.0, 3.0):
        intend(journal, new=new)
    journal.close()
    tamper(journal.path, statement)
    assert Journal.read(journal.path).verify()[0] == told


def test_a_cut_end_is_seen_by_the_head(journal: Journal) -> None:
    for new in (1.0, 2.0, 3.0):
        intend(journal, new=new)
    head = journal.head
    journal.close()
    tamper(journal.path, "DELETE FROM entry WHERE seq = 3")
    cut = Journal.read(journal.path)
    assert cut.verify() == []
    assert head not in {e.hash for e in cut.entries()}


def test_a_damaged_file_is_told(journal: Journal, tmp_path: Path) -> None:
    for _ in range(20):
        intend(journal)
    journal.close()
    whole, rng, told = journal.path.read_bytes(), random.Random(1), 0
    for n in range(150):
        path = tmp_path / f"damaged-{n}.sqlite"
        content = bytearray(whole[: rng.randrange(len(whole))] if rng.random() < 0.2 else whole)
        for _ in range(rng.choice((0, 1, 50))):
            if content:
                content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content)
        for way in (Journal.read, Journal.open):
            try:
                with way(path) as found:
                    list(found.entries())
                    found.open_intents()
            except DataError:
                told += 1
    assert 20 < told < 300


def test_a_journal_whose_end_was_changed_is_not_continued(journal: Journal) -> None:
    intend(journal)
    journal.close()
    tamper(journal.path, "UPDATE entry SET body = replace(body, '5.0', '6.0')")
    with pytest.raises(DataError, match="entry 1 is not what was written"):
        Journal.open(journal.path)


def test_another_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE cows (name TEXT)")
    db.close()
    with pytest.raises(DataError, match="no journal of gridopt"):
        Journal.open(path)
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be asked what it is\n" * 40)
    with pytest.raises(DataError):
        Journal.open(text)


def test_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no journal"):
        Journal.read(tmp_path / "journal.sqlite")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_stops_dispatch(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match="cannot be written"):
        Journal.open(tmp_path / "journal.sqlite")


def test_a_full_disk_stops_dispatch_and_leaves_the_journal_whole(tmp_path: Path) -> None:
    """The child may write files of 256 KiB; the entry that does not fit raises, those before are whole."""
    path = tmp_path / "journal.sqlite"
    script = f"""
import resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from gridopt.errors import DataError
from gridopt.store.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, 256 * 1024))
journal = Journal.open(Path({str(path)!r}))
for n in range(2000):
    try:
        journal.note(datetime.now(UTC), "alarm", "bat-a", why="x" * 1000)
    except DataError as e:
        print(n, str(e))
        sys.exit(0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert "cannot be written" in done.stdout, done.stderr
    count = int(done.stdout.split()[0])
    after = Journal.open(path)
    assert (len(list(after.entries())), after.verify()) == (count, [])
    after.note(NOON, "start")


def test_a_killed_process_leaves_a_whole_journal(tmp_path: Path) -> None:
    """Whatever the child said was written is there, in order, and at most one more."""
    path = tmp_path / "journal.sqlite"
    script = f"""
from datetime import UTC, datetime
from pathlib import Path
from gridopt.store.journal import Journal
journal = Journal.open(Path({str(path)!r}))
while True:
    print(journal.note(datetime.now(UTC), "alarm", "bat-a"), flush=True)
"""
    for said in (1, 7, 30):
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        numbers = [int(child.stdout.readline()) for _ in range(said)]
        child.send_signal(signal.SIGKILL)
        numbers += [int(line) for line in child.stdout.read().split("\n")[:-1] if line]
        child.wait(timeout=60)
        child.stdout.close()
        journal = Journal.open(path)
        assert [e.seq for e in journal.entries()][: numbers[-1]] == list(range(1, numbers[-1] + 1))
        assert journal.verify() == []
        journal.close()


def test_readers_see_whole_entries_while_one_writes(journal: Journal) -> None:
    reader = Journal.read(journal.path)
    for n in range(20):
        journal.note(NOON, "alarm", why=str(n))
        assert len(list(reader.entries())) == n + 1
