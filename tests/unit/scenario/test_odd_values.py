"""Odd values anywhere in a scenario give messages, never a traceback."""

from __future__ import annotations

import copy
import random
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest

from gridopt.scenario import load as loading
from gridopt.scenario.document import Document
from gridopt.scenario.load import check
from gridopt.written.toml import Layer

Write = Callable[..., Path]

TOML = """\
format = 1
title = "All sections"
[horizon]
start = 2026-01-15
step_min = 60
[series]
files = ["a.csv"]
[generate.roof]
kind = "pv"
seed = 2
tilt_deg = 30
[schedule.comfort]
default = 16
rules = [{ days = "mon-fri", from = "07:00", to = "19:00", value = 20.5 }]
[node.grid]
import_max_kw = "line"
limits = [{ from = 2026-01-15T07:00:00, to = "D+1 07:00", export_max_kw = 3 }]
breach_eur_per_kwh = 4
[nodes]
table = "nodes.csv"
[battery]
table = "b.csv"
defaults = { soc_min = 0.1 }
[ev-session.generate.cars]
chargers = 3
node = "grid"
[asset.b-7]
power_kw = 5
[asset.pv]
family = "pv"
node = "grid"
peak_kw = 3
yield_kw_per_kw = "roof"
curtailable = false
[asset.wash]
family = "shiftable-load"
node = "grid"
profile_kw = [1, 0.5]
earliest = "08:00"
latest = "20:00"
[commitment.a]
kind = "energy"
node = "grid"
buy_eur_per_kwh = "spot"
[commitment.c]
kind = "peak"
node = "grid"
windows = [{ days = "mon-fri", price_eur_per_kw = 3 }]
[commitment.e]
kind = "event"
assets = ["b-7"]
from = "18:00"
to = "20:00"
baseline_kw = 3
reward_eur_per_kwh = 0.3
[[pin]]
asset = "b-7"
quantity = "charge_kw"
value = 2
from = "10:00"
to = "11:00"
[[outage]]
asset = "b-7"
from = "10:00"
to = "11:00"
[[outage]]
asset = "b-7"
days = "mon-fri"
from = "12:00"
to = "11:00"
[[rule]]
file = "rules.txt"
[solve]
gap = 0.01
exact_decisions = 100
"""
FILES = {
    "a.csv": "time,line,spot\n" + "".join(f"2026-01-15T{h:02d}:00,30,0.2\n" for h in range(24)),
    "nodes.csv": "id;parent;import_max_kw\nb1;grid;12,5\n",
    "b.csv": "id,node,capacity_kwh,power_kw\nb-7,b1,3,2\n",
    "rules.txt": 'def rule_x(m):\n    return m.asset["b-7"].soc_kwh[3] >= 0\n',
}
NUMBERS = [0, -1, 2.5, 1e300, 10**400, float("nan"), float("inf"), -float("inf"), True, False]
TEXTS = [
    "",
    " ",
    "x",
    "grid",
    "spot",
    "b-7",
    "07:00",
    "D+99999999 07:00",
    "9999-12-31",
    "\x00",
    "é" * 300,
    "../..",
    "{value}",
]
TIMES = [date(2026, 1, 1), date(1, 1, 1), time(7), datetime(9999, 12, 31), datetime(2026, 1, 1, tzinfo=UTC)]
SHAPES: list[Any] = [[], [1], ["x"], [[]], [{}], {}, {"a": 1}, {"table": 1}]
GONE = object()
ODD = [*NUMBERS, *TEXTS, *TIMES, *SHAPES, GONE]


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


def test_odd_values_anywhere_give_messages(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(TOML, FILES)
    monkeypatch.chdir(folder)
    assert check(".") == []
    good = tomllib.loads(TOML)
    cases = [(path, odd) for path in paths(good) for odd in ODD]
    wrong = 0
    for path, odd in random.Random(2).sample(cases, 250):
        data = copy.deepcopy(good)
        table = data
        for key in path[:-1]:
            table = table[key]
        if odd is GONE:
            del table[path[-1]]
        else:
            table[path[-1]] = copy.deepcopy(odd)
        document = Document(Path("."), [Layer("scenario.toml", Path("."), {}, TOML.encode())], data)
        monkeypatch.setattr(loading, "read_document", lambda *_, document=document: document)
        found = check(".")
        wrong += bool(found)
        assert all(m.file and m.message and "Traceback" not in m.message for m in found)
    assert wrong > 150


def test_odd_bytes_anywhere_give_messages(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(TOML, FILES)
    monkeypatch.chdir(folder)
    rng = random.Random(3)
    odd = [b'"', b",", b"\n", b"\x00", b"\xff", b"=", b"[", b"nan", b";", b"\r\n", b"9" * 30, b"1e400", b"{", b"#", b""]
    wrong = 0
    for _ in range(250):
        file = folder / rng.choice(["scenario.toml", *FILES])
        good = file.read_bytes()
        at = rng.randrange(len(good))
        file.write_bytes(good[:at] + rng.choice(odd) + good[at + rng.choice([0, 1, 7]) :])
        wrong += bool(check("."))
        file.write_bytes(good)
    assert wrong > 150
