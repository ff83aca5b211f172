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


def test_missing_values_stay_missing(store: SeriesStore) -> None:
    store.add(rows([3, float("nan")]))
    assert np.isnan(store.read(PRICE).value[1])
    assert store.last(PRICE)["fr"][0] == START


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
