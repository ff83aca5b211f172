"""Run folders that were damaged, changed, or written by something else give one clear refusal, never a traceback."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gridopt.errors import DataError, GridoptError, InternalError, UsageError
from gridopt.jobs import explain as job
from gridopt.jobs import plan
from gridopt.store import run_folder
from gridopt.store.run_folder import FILES, VIEW

Files = dict[str, bytes]
Rng = random.Random
CASES, SEEDS = 25, 10
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**30, -(10**30), 1e308, float("nan"), float("inf"), "", "x", "NaN", "\u0000", "é" * 50,
    "9999-12-31T23:59:59", "2026-01-15T00:00:00+00:00", [], {}, [[]], [None], {"a": 1}, {"": {}},
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run, planned once for all cases."""
    from tests.unit.jobs.conftest import NOW, build, scenario_of

    place = tmp_path_factory.mktemp("odd") / "run"
    plan.write(plan.plan(scenario_of(build()), None, NOW), place)
    return place


def files_of(folder: Path) -> Files:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def sealed(files: Files) -> Files:
    """As a program that writes run folders would leave it: every digest is that of its file."""
    summary = json.loads(files["summary.json"])
    if isinstance(summary, dict) and isinstance(summary.get("files"), dict):
        for name in FILES:
            if name != "summary.json" and name in files:
                summary["files"][name] = hashlib.sha256(files[name]).hexdigest()
        summary["files"]["summary.json"] = run_folder.digest_of_summary(summary)
    return {**files, "summary.json": json.dumps(summary).encode()}


# --- how a folder goes wrong -----------------------------------------------------------------------------------------


def a_file(rng: Rng) -> str:
    return rng.choice(FILES)


def bytes_changed(rng: Rng, files: Files) -> Files:
    name = a_file(rng)
    data = bytearray(files[name])
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] ^= rng.randint(1, 255)
    return {**files, name: bytes(data)}


def missing(rng: Rng, files: Files) -> Files:
    gone = rng.sample(FILES, rng.randint(1, 3))
    return {name: data for name, data in files.items() if name not in gone}


def truncated(rng: Rng, files: Files) -> Files:
    name = a_file(rng)
    return {**files, name: files[name][: rng.randrange(len(files[name]))]}


def something_else(rng: Rng, files: Files) -> Files:
    name, other = rng.sample(FILES, 2)
    nested = b"[" * 100_000
    return {**files, name: rng.choice([b"", b"\x00" * 64, b"PAR1PAR1", b"{}", b"null", b'"x"', nested, files[other]])}


def places_of(doc: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = list(doc.items()) if isinstance(doc, dict) else list(enumerate(doc)) if isinstance(doc, list) else []
    return [*([here] if here else []), *(p for key, value in inner for p in places_of(value, (*here, key)))]


def other_values(rng: Rng, files: Files) -> Files:
    """Wrong types and odd numbers anywhere in a JSON file; at times a key is gone."""
    name = rng.choice(("summary.json", "inputs.json"))
    doc = copy.deepcopy(json.loads(files[name]))
    for _ in range(rng.randint(1, 3)):
        *way, last = rng.choice(places_of(doc))
        inner = doc
        for key in way:
            inner = inner[key]
        if isinstance(inner, dict) and rng.random() < 0.2:
            del inner[last]
        else:
            inner[last] = copy.deepcopy(rng.choice(ODD))
    return {**files, name: json.dumps(doc).encode()}


def other_format(rng: Rng, files: Files) -> Files:
    name, number = a_file(rng), rng.choice([2, 0, "1.1", None, [1]])
    if name.endswith(".json"):
        return {**files, name: json.dumps({**json.loads(files[name]), "format": number}).encode()}
    table = pq.read_table(io.BytesIO(files[name]))
    return {**files, name: parquet(table.replace_schema_metadata({"format": str(number)}))}


def other_table(rng: Rng, files: Files) -> Files:
    name = rng.choice([f for f in FILES if f.endswith(".parquet")])
    table = pq.read_table(io.BytesIO(files[name]))
    column = rng.choice(table.column_names)
    k = table.column_names.index(column)
    n = len(table)
    changed = rng.choice(
        [
            lambda: table.drop_columns([column]),
            lambda: table.slice(rng.randrange(n), rng.randrange(n)),
            lambda: table.take(pa.array(np.random.default_rng(k).permutation(n))),
            lambda: table.set_column(k, column, pa.array([str(v) for v in range(n)])),
            lambda: table.set_column(k, column, pa.nulls(n, table.schema.field(k).type)),
            lambda: table.set_column(k, column, pa.array([[1.0]] * n)),
            lambda: pa.concat_tables([table, table]),
        ]
    )()
    return {**files, name: parquet(changed.replace_schema_metadata(table.schema.metadata))}


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


KINDS: tuple[Callable[[Rng, Files], Files], ...] = (
    bytes_changed, missing, truncated, something_else, other_values, other_format, other_table,
)  # fmt: skip


# --- the refusal -----------------------------------------------------------------------------------------------------


def laid(files: Files, place: Path) -> Path:
    place.mkdir()
    for name, data in files.items():
        (place / name).write_bytes(data)
    return place


def means_the_same(files: Files, whole: Files) -> bool:
    """A summary may be laid out otherwise; all else must be what was written."""
    if files.keys() != whole.keys() or any(files[n] != whole[n] for n in FILES if n != "summary.json"):
        return False
    try:
        return bool(json.loads(files["summary.json"]) == json.loads(whole["summary.json"]))
    except (ValueError, RecursionError):
        return False


def refusal(place: Path) -> GridoptError | None:
    """What explaining the folder ends in; anything but an error of the user's world is a failure of the test."""
    error: GridoptError | None = None
    try:
        job.words(job.explain(place, lambda _: None, 0.0))
    except GridoptError as e:
        error = e
    assert not isinstance(error, InternalError), error
    return error


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_damaged_run_is_refused_in_words(folder: Path, tmp_path: Path, seed: int) -> None:
    rng, whole = Rng(seed), files_of(folder)
    for case in range(CASES):
        kind = KINDS[(case + seed) % len(KINDS)]
        files = kind(rng, whole)
        error = refusal(laid(files, tmp_path / f"{case}"))
        if not means_the_same(files, whole):
            assert isinstance(error, DataError) or (isinstance(error, UsageError) and not set(FILES) & files.keys()), (
                seed,
                case,
                kind.__name__,
                error,
            )


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_run_that_another_program_wrote_wrongly_is_refused_or_explained(
    folder: Path, tmp_path: Path, seed: int
) -> None:
    """Its digests are right, what it says is not: a word nobody reads may be anything, all else is a refusal."""
    rng, whole = Rng(1000 + seed), files_of(folder)
    for case in range(CASES):
        files = rng.choice((other_values, other_format, other_table))(rng, whole)
        refusal(laid(sealed(files), tmp_path / f"{case}"))


def test_a_folder_in_the_place_of_a_file_is_refused(folder: Path, tmp_path: Path) -> None:
    for name in FILES:
        place = laid({n: d for n, d in files_of(folder).items() if n != name}, tmp_path / name)
        (place / name).mkdir()
        assert isinstance(refusal(place), DataError), name


def test_what_a_person_does_to_the_table_for_people_is_no_damage(folder: Path, tmp_path: Path) -> None:
    assert refusal(laid({**files_of(folder), VIEW: b"mine"}, tmp_path / "run")) is None


@pytest.mark.parametrize("name", ["summary.json", "inputs.json", "schedule.parquet"])
def test_another_format_is_told_with_its_number(folder: Path, tmp_path: Path, name: str) -> None:
    files = files_of(folder)
    if name.endswith(".json"):
        files[name] = json.dumps({**json.loads(files[name]), "format": 2}).encode()
    else:
        table = pq.read_table(io.BytesIO(files[name]))
        files[name] = parquet(table.replace_schema_metadata({"format": "2"}))
    error = refusal(laid(files if name == "summary.json" else sealed(files), tmp_path / "run"))
    assert error is not None
    assert f"{name} has format 2; this gridopt reads format 1" in str(error)
    assert error.exit_code == 11
