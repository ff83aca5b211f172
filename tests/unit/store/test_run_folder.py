"""A run folder is whole or not there, says what it is, and is read back to the bit."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gridopt.clock import Axis
from gridopt.errors import DataError, UsageError
from gridopt.store import run_folder
from gridopt.store.run_folder import (
    FILES,
    VIEW,
    Run,
    Series,
    Setpoint,
    check_target,
    digest_of,
    digest_of_summary,
    read,
    write,
    write_sweep,
)

START = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
AXIS = Axis(START, 15, 92, "Europe/Paris")


def some_run(seed: int = 0) -> Run:
    rng = np.random.default_rng(seed)
    horizon = {"start": START.isoformat(), "step_min": 15, "steps": 92, "zone": "Europe/Paris"}
    started = {"bat-a": {"soc_kwh": 1.0, "source": "scenario"}}
    return Run(
        AXIS,
        {"plan_id": f"p-{seed}", "horizon": horizon, "hash": "0", "start_state": started},
        [
            Series("import_kw", rng.normal(size=92), node="grid"),
            Series("power_kw", rng.normal(size=8), 4, "house", "car-é", "ac"),
            Series("soc_kwh", np.array([-0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2]), 88, "house", "bat-a"),
            Series("undone", np.array([1.0]), 91, None, "bat-a"),
        ],
        [
            Setpoint("car-é", "current", "A", np.array([0.0, 16.0]), 3),
            Setpoint("car-é", "current", "A", np.array([8.0]), 12),
            Setpoint("bat-a", "power", "kW", rng.normal(size=92)),
        ],
        {"nodes": ["grid"], "seed": seed},
        [Series("power_kw", rng.normal(size=92), asset="load-a")],
    )


def same(a: Any, b: Any) -> bool:
    """Equal fields, arrays to the bit."""
    return all(
        x.tobytes() == y.tobytes() if isinstance(x, np.ndarray) else x == y
        for x, y in zip(dataclasses.astuple(a), dataclasses.astuple(b), strict=True)
    )


def test_what_is_written_is_read_back_to_the_bit(tmp_path: Path) -> None:
    run = some_run()
    write(tmp_path / "deep" / "plan", run)
    back = read(tmp_path / "deep" / "plan")
    assert back.axis == run.axis
    for name in ("schedule", "setpoints", "series"):
        here, there = getattr(run, name), getattr(back, name)
        assert len(here) == len(there)
        assert all(same(a, b) for a, b in zip(here, there, strict=True)), name
    assert {k: back.summary[k] for k in run.summary} == run.summary
    assert back.inputs == {"format": 1, **run.inputs}


def test_a_run_without_setpoints_or_series_is_read_back(tmp_path: Path) -> None:
    write(tmp_path / "plan", dataclasses.replace(some_run(), setpoints=[], series=[]))
    back = read(tmp_path / "plan")
    assert (back.setpoints, back.series) == ([], [])


def test_tables_have_the_columns_that_others_rely_on(tmp_path: Path) -> None:
    write(tmp_path, some_run())
    schedule, setpoints, series = (
        pq.read_table(tmp_path / f"{name}.parquet") for name in ("schedule", "setpoints", "inputs")
    )
    text, time_, number = pa.string(), pa.timestamp("us", tz="UTC"), pa.float64()
    columns = [("time", time_), *((n, text) for n in ("node", "asset", "port", "quantity")), ("value", number)]
    assert [(f.name, f.type) for f in schedule.schema] == columns
    assert [(f.name, f.type) for f in series.schema] == columns
    assert [(f.name, f.type) for f in setpoints.schema] == [
        ("time", time_), ("device", text), ("command", text), ("value", number), ("unit", text),
    ]  # fmt: skip
    car = schedule.filter(pa.compute.equal(schedule["asset"], "car-é"))
    assert car["time"][0].as_py() == datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    assert car["time"][-1].as_py() == datetime(2026, 3, 29, 1, 45, tzinfo=UTC)
    assert schedule["asset"][0].as_py() is None
    assert schedule.filter(pa.compute.equal(schedule["quantity"], "soc_kwh"))["port"].null_count == 4


def test_every_file_says_its_format(tmp_path: Path) -> None:
    write(tmp_path, some_run())
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*FILES, VIEW])
    for name in (*FILES, VIEW):
        if name.endswith(".json"):
            assert json.loads((tmp_path / name).read_text())["format"] == 1
        elif name == VIEW:
            assert (tmp_path / name).read_text(encoding="utf-8-sig").startswith("format = 1;")
        else:
            assert pq.read_schema(tmp_path / name).metadata[b"format"] == b"1"


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    write(tmp_path, some_run())
    summary = json.loads((tmp_path / "summary.json").read_text())
    (tmp_path / "summary.json").write_text(json.dumps({**summary, "format": 2}))
    with pytest.raises(DataError, match=r"summary.json has format 2; this gridopt reads format 1"):
        read(tmp_path)


@pytest.mark.parametrize("name", [f for f in FILES if f != "summary.json"])
def test_a_changed_file_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a", some_run(1))
    write(tmp_path / "b", some_run(2))
    os.replace(tmp_path / "b" / name, tmp_path / "a" / name)
    with pytest.raises(DataError, match=f"{name} is not the one that belongs to this run"):
        read(tmp_path / "a")


def paths(doc: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of every number, word, and empty list of a document."""
    inner = list(doc.items()) if isinstance(doc, dict) else list(enumerate(doc)) if isinstance(doc, list) else []
    return [p for key, value in inner for p in paths(value, (*here, key))] or [here]


def test_a_changed_summary_is_refused_whatever_was_changed(tmp_path: Path) -> None:
    write(tmp_path, some_run())
    whole = (tmp_path / "summary.json").read_text()
    places = paths(json.loads(whole))
    assert len(places) > 10
    for place in places:
        doc = json.loads(whole)
        inner = doc
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = inner[place[-1]] + ("0" if isinstance(inner[place[-1]], str) else 1)
        (tmp_path / "summary.json").write_text(json.dumps(doc))
        with pytest.raises(DataError, match=r"summary.json (is not the one that belongs to this run|has format 2)"):
            read(tmp_path)
    without = json.loads(whole)
    del without["plan_id"]
    (tmp_path / "summary.json").write_text(json.dumps(without))
    with pytest.raises(DataError, match="belongs to this run"):
        read(tmp_path)


def test_a_summary_laid_out_otherwise_is_the_same(tmp_path: Path) -> None:
    write(tmp_path, some_run(1))
    summary = json.loads((tmp_path / "summary.json").read_text())
    (tmp_path / "summary.json").write_text(json.dumps(dict(reversed(summary.items()))))
    assert read(tmp_path).summary["plan_id"] == "p-1"


def test_a_run_without_its_summary_is_not_whole(tmp_path: Path) -> None:
    write(tmp_path, some_run())
    (tmp_path / "summary.json").unlink()
    with pytest.raises(DataError, match=r"is not whole: its summary.json is missing"):
        read(tmp_path)


def test_a_sweep_is_no_run_and_says_which_are(tmp_path: Path) -> None:
    write_sweep(tmp_path / "sweep", [some_run(1), some_run(2)], {})
    with pytest.raises(UsageError, match=r"sweep holds several plans.*name one, such as .*/plan-1"):
        read(tmp_path / "sweep")
    assert read(tmp_path / "sweep" / "plan-2").summary["plan_id"] == "p-2"


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_link_to_itself_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "plan").symlink_to("plan")
    with pytest.raises(UsageError, match="plan"):
        read(tmp_path / "plan")


@pytest.mark.parametrize("name", [f for f in FILES if f != "summary.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path, some_run())
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=f"{name} cannot be read"):
        read(tmp_path)


def test_a_folder_that_is_no_run_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a run folder.*gridopt run SCENARIO --out"):
        read(tmp_path)


def test_the_table_for_people_is_theirs_to_change(tmp_path: Path) -> None:
    """A spreadsheet saves it in its own way, or it is moved elsewhere: no program reads it."""
    write(tmp_path, some_run(1))
    (tmp_path / VIEW).write_text("saved by a spreadsheet")
    assert read(tmp_path).summary["plan_id"] == "p-1"
    (tmp_path / VIEW).unlink()
    assert read(tmp_path).summary["plan_id"] == "p-1"


def rewritten(folder: Path, name: str, change: Any) -> None:
    """Change a table of a run and name its digest anew in the summary."""
    table = pq.read_table(folder / name)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), folder / name)
    sealed(folder, name)


def sealed(folder: Path, name: str) -> None:
    """Name a changed file's digest anew in the summary, and the summary's own."""
    summary = json.loads((folder / "summary.json").read_text())
    summary["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    summary["files"]["summary.json"] = digest_of_summary(summary)
    (folder / "summary.json").write_text(json.dumps(summary))


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, values)


def test_a_value_out_of_its_time_is_another_stretch(tmp_path: Path) -> None:
    """Rows that do not follow each other in time are not read as if they did."""
    write(tmp_path, some_run())

    def later(table: pa.Table) -> pa.Table:
        step = pa.scalar(15 * 60 * 1_000_000, pa.duration("us"))
        moved = pa.compute.add(table["time"], step)
        last = pa.array([False] * (len(table) - 1) + [True])
        return with_column(table, "time", pa.compute.if_else(last, moved, table["time"]))

    before = read(tmp_path).setpoints
    rewritten(tmp_path, "setpoints.parquet", later)
    after = read(tmp_path).setpoints
    assert [(s.device, s.first, len(s.values)) for s in after[-2:]] == [("bat-a", 0, 91), ("bat-a", 92, 1)]
    assert digest_of(after) != digest_of(before)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("setpoints.parquet", lambda t: t.drop_columns(["device"])),
        ("schedule.parquet", lambda t: with_column(t, "value", pa.array(["x"] * len(t)))),
        ("setpoints.parquet", lambda t: with_column(t, "time", pa.nulls(len(t), pa.timestamp("us", tz="UTC")))),
        (
            "inputs.parquet",
            lambda t: with_column(t, "time", pa.compute.add(t["time"], pa.scalar(1, pa.duration("us")))),
        ),
    ],
    ids=["no column", "text for numbers", "no times", "off the step"],
)
def test_a_damaged_table_is_an_error_in_words(tmp_path: Path, name: str, change: Any) -> None:
    write(tmp_path, some_run())
    rewritten(tmp_path, name, change)
    with pytest.raises(DataError, match=f"{name} is damaged"):
        read(tmp_path)


@pytest.mark.parametrize("content", ["{", "[1]", "{}"])
def test_damaged_inputs_are_an_error_in_words(tmp_path: Path, content: str) -> None:
    write(tmp_path, some_run())
    (tmp_path / "inputs.json").write_text(content)
    sealed(tmp_path, "inputs.json")
    with pytest.raises(DataError, match=r"inputs.json is damaged"):
        read(tmp_path)


def test_the_digest_is_of_words_steps_and_values() -> None:
    def digest(**changed: Any) -> bytes:
        given = {"device": "a", "command": "power", "unit": "kW", "values": np.array([1.0, 2.0]), "first": 3}
        return digest_of([Setpoint(**{**given, **changed})])

    others = [
        {"device": "b"}, {"command": "limit"}, {"unit": "W"}, {"values": np.array([1.0, 2.5])}, {"first": 4},
        {"values": np.array([1.0])},
    ]  # fmt: skip
    assert len({digest(), *(digest(**o) for o in others)}) == 7
    assert digest(first=np.int64(3), device=np.str_("a"), values=np.array([1, 2])) == digest()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}'])
def test_a_damaged_summary_is_an_error_in_words(tmp_path: Path, content: str) -> None:
    write(tmp_path, some_run())
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path)


def test_nothing_of_the_users_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds notes.txt, which is not part of a run"):
        write(tmp_path, some_run())
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is not a folder"):
        check_target(tmp_path / "file")


@pytest.mark.parametrize("content", [None, "", "[1, 2]", '{"name": "mine"}'])
def test_a_folder_that_only_looks_like_a_run_is_not_overwritten(tmp_path: Path, content: str | None) -> None:
    """Other programs call their files summary.json and inputs.json too."""
    (tmp_path / "inputs.json").write_text("mine")
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
    before = {p.name: p.read_text() for p in tmp_path.iterdir()}
    with pytest.raises(UsageError, match=r"holds inputs.json, but is no run folder of gridopt"):
        write(tmp_path, some_run())
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == before


def test_what_would_be_replaced_is_named(tmp_path: Path) -> None:
    assert check_target(tmp_path / "plan") is None
    (tmp_path / "plan").mkdir()
    assert check_target(tmp_path / "plan") is None, "empty"
    write(tmp_path / "plan", some_run(4))
    assert check_target(tmp_path / "plan") == "p-4"


def test_a_place_that_cannot_be_written_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "plan", tmp_path / "file" / "deep" / "plan"):
        with pytest.raises(UsageError, match="cannot be written"):
            check_target(place)


def test_a_full_disk_is_an_error_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(run_folder, "_put", full)
    with pytest.raises(UsageError, match="plan cannot be written: No space left"):
        write(tmp_path / "plan", some_run())
    assert folders(tmp_path) == []


def test_a_name_that_points_elsewhere_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link", some_run(3))
    assert (tmp_path / "link").is_symlink()
    assert read(tmp_path / "real").summary["plan_id"] == "p-3"


# --- whole or not at all ---------------------------------------------------------------------------------------------


def folders(parent: Path) -> list[str]:
    return sorted(p.name for p in parent.iterdir())


class Fails(Exception):
    pass


def fail_at(monkeypatch: pytest.MonkeyPatch, name: str, turn: int) -> None:
    """Let the ``turn``-th call of a function of the module fail."""
    real = getattr(run_folder, name)
    calls = iter(range(1000))

    def fails(*args: Any) -> Any:
        if next(calls) == turn:
            raise Fails
        return real(*args)

    monkeypatch.setattr(run_folder, name, fails)


FAILURES = [*(("_put", k) for k in range(len(FILES) + 1)), ("_parquet", 2), ("_sync_folder", 0), ("_swap", 0)]


@pytest.mark.parametrize(("name", "turn"), FAILURES)
@pytest.mark.parametrize("before", [True, False])
def test_a_failure_leaves_the_old_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, turn: int, before: bool
) -> None:
    if before:
        write(tmp_path / "plan", some_run(1))
    fail_at(monkeypatch, name, turn)
    with pytest.raises(Fails):
        write(tmp_path / "plan", some_run(2))
    assert folders(tmp_path) == (["plan"] if before else [])
    if before:
        assert read(tmp_path / "plan").summary["plan_id"] == "p-1"


def test_without_the_exchange_of_names_a_folder_is_still_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder, "_exchange", lambda *_: False)
    write(tmp_path / "plan", some_run(1))
    write(tmp_path / "plan", some_run(2))
    assert read(tmp_path / "plan").summary["plan_id"] == "p-2"
    assert folders(tmp_path) == ["plan"]


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_killed_run_left_is_brought_back_and_cleared(tmp_path: Path) -> None:
    pid = dead_pid()
    write(tmp_path / f".plan.old-{pid}-00", some_run(1))
    write(tmp_path / f".plan.new-{pid}-00", some_run(2))
    (tmp_path / f".plan.new-{os.getpid()}-00").mkdir()
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    assert read(tmp_path / "plan").summary["plan_id"] == "p-1", "the old run still stands"
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before, "and reading changes nothing"
    write(tmp_path / "plan", some_run(3))
    assert read(tmp_path / "plan").summary["plan_id"] == "p-3"
    assert folders(tmp_path) == [f".plan.new-{os.getpid()}-00", "plan"]
    (tmp_path / "plan").rename(tmp_path / f".plan.old-{os.getpid()}-00")
    assert read(tmp_path / "plan").summary["plan_id"] == "p-3", "also between the two renames of one that lives"


def test_a_folder_that_may_only_be_read_is_read(tmp_path: Path) -> None:
    write(tmp_path / "plan", some_run(1))
    (tmp_path / f".plan.old-{dead_pid()}-00").mkdir()
    before = folders(tmp_path)
    assert read(tmp_path / "plan").summary["plan_id"] == "p-1"
    assert folders(tmp_path) == before


def test_a_run_replaced_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "plan", some_run(1))
    real, calls = run_folder._get, iter(range(100))

    def replaced(path: Path) -> bytes:
        if next(calls) == 2:
            write(tmp_path / "plan", some_run(2))
        return real(path)

    monkeypatch.setattr(run_folder, "_get", replaced)
    assert read(tmp_path / "plan").summary["plan_id"] == "p-2"


WRITER = textwrap.dedent("""
    import itertools, sys
    sys.path[:0] = [{tests!r}]
    import test_run_folder as t
    from gridopt.store import run_folder
    if {plain}:
        run_folder._exchange = lambda *_: False
    print("ready", flush=True)
    for k in itertools.count(1):
        t.write(t.Path({folder!r}), t.some_run(k))
        print(k, flush=True)
""")


@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
@pytest.mark.parametrize("plain", [False, True], ids=["exchange", "two renames"])
def test_killed_at_any_moment_the_folder_is_the_old_or_the_new_one(tmp_path: Path, plain: bool) -> None:
    folder = tmp_path / "plan"
    write(folder, some_run(0))
    code = WRITER.format(tests=str(Path(__file__).parent), folder=str(folder), plain=plain)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    before = 0
    for delay_s in (0.0, 0.003, 0.011, 0.027):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        said = process.stdout.read().split()
        process.wait()
        process.stdout.close()
        finished = int(said[-1]) if said else before
        after = read(folder).summary["plan_id"]
        assert after in {f"p-{finished}", f"p-{int(said[-1]) + 1 if said else 1}"}
        write(folder, read(folder))
        assert folders(tmp_path) == ["plan"]
        before = int(after.removeprefix("p-"))


def test_two_writers_at_once_leave_one_whole_run(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda k: write(tmp_path / "plan", some_run(k)), range(8)))
    assert read(tmp_path / "plan").summary["plan_id"] in {f"p-{k}" for k in range(8)}
    assert folders(tmp_path) == ["plan"]
