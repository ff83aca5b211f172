"""The store of series: what was known when, whole parts whatever dies, and the same file twice adds nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gridopt.errors import DataError, UsageError
from gridopt.store.series import Rows, SeriesStore
from gridopt.units import unit_of

START = datetime(2026, 1, 14, 22, tzinfo=UTC)
US = 1_000_000
PRICE = "price_eur_per_kwh"


def us(time: datetime) -> int:
    return int(time.timestamp()) * US


def rows(values: list[float], source: str = "fr", start: datetime = START, known: datetime = START) -> Rows:
    n = len(values)
    time = us(start) + np.arange(n, dtype=np.int64) * 3600 * US
    return Rows(
        PRICE, [source] * n, time, np.full(n, 3600), np.array(values, float), ["good"] * n, np.full(n, us(known))
    )


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    return SeriesStore.open(tmp_path / "store")


def parts(store: SeriesStore) -> list[Path]:
    return sorted(Path(store.root).glob("series/*/date=*/*.parquet"))


def test_rows_come_back_by_source_and_time(store: SeriesStore) -> None:
    assert store.add(rows([3, 4, 5, 6], "fr")) == 2  # over midnight: two days
    store.add(rows([1, 2], "be"))
    found = store.read(PRICE)
    assert list(found.source) == ["be", "be", "fr", "fr", "fr", "fr"]
    assert found.value.tolist() == [1, 2, 3, 4, 5, 6]
    assert found.time[2] == us(START)
    assert store.quantities() == [PRICE]


def test_a_span_and_some_sources(store: SeriesStore) -> None:
    store.add(rows([3, 4, 5, 6], "fr"))
    store.add(rows([7, 8], "be"))
    found = store.read(PRICE, START + timedelta(hours=1), START + timedelta(hours=3), ["fr"])
    assert found.value.tolist() == [4, 5]
    assert len(store.read(PRICE, START + timedelta(days=9))) == 0
    assert len(store.read("power_kw")) == 0


def test_what_was_known_later_is_not_seen_before(store: SeriesStore) -> None:
    noon = START + timedelta(hours=14)
    store.add(rows([3, 4], known=START))
    store.add(rows([30], known=noon))
    assert store.read(PRICE).value.tolist() == [30, 4]
    assert store.read(PRICE, known_by=noon - timedelta(seconds=1)).value.tolist() == [3, 4]
    assert len(store.read(PRICE, known_by=START - timedelta(seconds=1))) == 0


def test_the_same_twice_adds_nothing(store: SeriesStore) -> None:
    assert store.add(rows([3, 4])) == 1
    later = START + timedelta(hours=1)
    assert store.add(rows([3, 4], known=later)) == 0
    assert store.add(rows([3, 5], known=later)) == 1
    assert pq.read_table(parts(store)[-1]).num_rows + pq.read_table(parts(store)[0]).num_rows == 3
    assert store.add(rows([3, float("nan")], "be")) == 1
    assert store.add(rows([3, float("nan")], "be", known=later)) == 0
    assert store.add(rows([3, 5, 7], known=later)) == 1  # the new hour alone, on its own day


def test_of_two_that_were_known_at_once_the_one_added_last_holds(store: SeriesStore) -> None:
    """Whatever the parts are called, and also after they were joined; taken in again, neither adds anything."""
    for n in range(8):
        start = START + timedelta(days=n)
        store.add(rows([3.0], start=start))
        store.add(rows([4.0 + n], start=start))
    assert store.read(PRICE).value.tolist() == [4.0 + n for n in range(8)]
    store.compact(PRICE, date(2026, 2, 1))
    assert store.read(PRICE).value.tolist() == [4.0 + n for n in range(8)]
    assert store.add(rows([4.0])) == 0
    assert store.read(PRICE, known_by=START + timedelta(seconds=1)).value.tolist() == [4.0 + n for n in range(8)]


def test_that_it_was_known_earlier_is_new(store: SeriesStore) -> None:
    """A history that was first taken in as if known since now is seen by the past once it is told since when."""
    later = START + timedelta(days=30)
    assert store.add(rows([3, 5], known=later)) == 1
    assert store.add(rows([3, 4], known=START)) == 1
    assert store.read(PRICE, known_by=START).value.tolist() == [3, 4]
    assert store.read(PRICE).value.tolist() == [3, 5]
    for known, values in ((START, [3.0, 4.0]), (later, [3.0, 5.0]), (later + timedelta(days=1), [3.0, 5.0])):
        assert store.add(rows(values, known=known)) == 0


def test_the_same_again_after_joining_adds_nothing(store: SeriesStore) -> None:
    for n in range(3):
        store.add(rows([1.0, 2.0 + n], known=START + timedelta(minutes=n)))
    store.compact(PRICE, date(2026, 2, 1))
    assert store.add(rows([1.0, 4.0], known=START + timedelta(hours=1))) == 0
    assert len(parts(store)) == 1


def test_who_fell_silent_is_still_told(store: SeriesStore) -> None:
    store.add(rows([1.0], "gone"))
    for n in range(20):
        store.add(rows([1.0], "there", start=START + timedelta(days=n)))
    found = store.last(PRICE)
    assert found["gone"].time == START
    assert found["gone"].end == START + timedelta(hours=1)
    assert found["there"].time == START + timedelta(days=19)


WORK = """
import sys
from datetime import date
import numpy as np
from gridopt.store.series import Rows, SeriesStore
store, who = SeriesStore.open(sys.argv[1]), int(sys.argv[2])
for n in range(30):
    t = 20000 * 86_400_000_000 + (np.arange(10, dtype=np.int64) + 10 * n) * 1_000_000
    source = ["both" if n % 2 else f"m{who}"] * 10
    store.add(Rows("power_kw", source, t, np.full(10, 1), t / 1e6, ["good"] * 10, t + 1_000_000))
    if n % 5 == 4:
        store.compact("power_kw", date(2100, 1, 1))
    found = store.read("power_kw", sources=[source[0]])
    assert len(found) >= 10 * (n // 2 + 1), (len(found), n)
    store.last("power_kw")
"""


def test_two_processes_write_read_and_join_the_same_days(tmp_path: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", WORK, str(tmp_path), str(who)], stderr=subprocess.PIPE, text=True)
        for who in (1, 2)
    ]
    told = [child.communicate(timeout=120)[1] for child in children]
    assert told == ["", ""]
    store = SeriesStore.open(tmp_path)
    found = store.read("power_kw")
    assert {s: int((found.source == s).sum()) for s in set(found.source)} == {"both": 150, "m1": 150, "m2": 150}
    assert np.array_equal(found.value, found.time / 1e6)
    store.compact("power_kw", date(2100, 1, 1))
    assert len(parts(store)) == 1
    assert len(pq.read_table(parts(store)[0])) == 450
    assert [p.name for p in Path(store.root).rglob(".*")] == []


def test_missing_values_stay_missing(store: SeriesStore) -> None:
    store.add(rows([3, float("nan")]))
    assert np.isnan(store.read(PRICE).value[1])
    assert store.last(PRICE)["fr"].time == START


def test_days_are_joined_and_every_version_kept(store: SeriesStore) -> None:
    for n in range(5):
        store.add(rows([float(n)], known=START + timedelta(minutes=n)))
    store.add(rows([9], "be"))
    before = store.read(PRICE)
    assert store.compact(PRICE, date(2026, 1, 14)) == 0  # that day may still grow
    assert len(parts(store)) == 6
    assert store.compact(PRICE, date(2026, 1, 15)) == 6
    assert len(parts(store)) == 1
    after = store.read(PRICE)
    assert (after.value.tolist(), list(after.source)) == (before.value.tolist(), list(before.source))
    assert store.read(PRICE, known_by=START + timedelta(minutes=2), sources=["fr"]).value.tolist() == [2]
    assert store.compact(PRICE, date(2026, 1, 15)) == 0


def test_joining_cut_off_halfway_changes_nothing(store: SeriesStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        store.add(rows([float(n)], known=START + timedelta(minutes=n)))
    before = store.read(PRICE).value.tolist()

    class Dying:
        def __init__(self, files: object) -> None:
            self.files = files

        def delete_file(self, name: str) -> None:
            raise KeyboardInterrupt

        def __getattr__(self, name: str) -> object:
            return getattr(self.files, name)

    dying = SeriesStore(Dying(store.files), store.root)
    with pytest.raises(KeyboardInterrupt):
        dying.compact(PRICE, date(2026, 2, 1))
    assert len(parts(store)) == 4
    assert store.read(PRICE).value.tolist() == before
    store.compact(PRICE, date(2026, 2, 1))
    assert len(parts(store)) == 1
    assert store.read(PRICE).value.tolist() == before


def test_the_file_says_its_unit_and_format(store: SeriesStore) -> None:
    store.add(rows([3]))
    schema = pq.read_schema(parts(store)[0])
    assert schema.metadata[b"unit"].decode() == unit_of(PRICE)
    assert schema.names == ["time", "step_s", "source", PRICE, "quality", "known"]
    assert schema.metadata[b"format"] == b"1"


def test_a_damaged_part_is_told_by_name(store: SeriesStore) -> None:
    store.add(rows([3]))
    (part,) = parts(store)
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(DataError, match=part.name):
        store.read(PRICE)


def test_a_place_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no place for a store"):
        SeriesStore.open("nowhere://bucket/folder")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot be written"):
        SeriesStore.open(tmp_path / "file").add(rows([3]))


def test_readers_see_whole_rows_while_one_writes_and_joins(store: SeriesStore) -> None:
    """A reader never sees fewer rows than it saw before, nor half a part."""
    wrong: list[str] = []
    done = threading.Event()

    def look() -> None:
        reader, most = SeriesStore.open(store.root), 0
        while not done.is_set():
            found = reader.read(PRICE)
            if len(found) < most or not np.all(found.value == found.step_s / 3600):
                wrong.append(f"{len(found)} after {most}")
            most = len(found)

    thread = threading.Thread(target=look)
    thread.start()
    for n in range(40):
        store.add(rows([1.0], start=START + timedelta(minutes=n), known=START + timedelta(minutes=n)))
        if n % 10 == 9:
            store.compact(PRICE, date(2026, 2, 1))
    done.set()
    thread.join()
    assert wrong == []
    assert len(store.read(PRICE)) == 40


def test_a_killed_writer_leaves_whole_parts(tmp_path: Path) -> None:
    script = f"""
import numpy as np
from gridopt.store.series import Rows, SeriesStore
store = SeriesStore.open({str(tmp_path)!r})
n = 0
while True:
    n += 1
    k = np.arange(96, dtype=np.int64)
    t = (20000 + n) * 86_400_000_000 + k * 900_000_000
    store.add(Rows("power_kw", ["m"] * 96, t, np.full(96, 900), k * 1.0, ["good"] * 96, t))
    print(n, flush=True)
"""
    for said in (1, 4):
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        last = [int(child.stdout.readline()) for _ in range(said)][-1]
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=60)
        child.stdout.close()
        found = SeriesStore.open(tmp_path).read("power_kw")
        assert len(found) >= 96 * last
        assert len(found) % 96 == 0
