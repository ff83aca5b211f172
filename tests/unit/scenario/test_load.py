"""A scenario as a whole: horizon, nodes, tables, canonical order, what changes and what must not."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from gridopt.clock import day_axis
from gridopt.errors import ScenarioError
from gridopt.scenario.load import Scenario, check, load

Write = Callable[..., Path]
Load = Callable[..., Scenario]


def horizon(base: str, text: str) -> str:
    return base.replace('start = "2026-01-15"\n', text)


# --- horizon ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "start", "steps"),
    [
        ('start = "2026-01-15"\n', "2026-01-14T23:00", 96),
        ("start = 2026-01-15\n", "2026-01-14T23:00", 96),
        ('start = "2026-03-29"\n', "2026-03-28T23:00", 92),
        ('start = "2026-10-25"\nstep_min = 5\n', "2026-10-24T22:00", 300),
        ('start = "2026-03-26"\ndays = 7\n', "2026-03-25T23:00", 7 * 96 - 4),
        ('start = "2026-10-22"\ndays = 7\nstep_min = 60\n', "2026-10-21T22:00", 7 * 24 + 1),
        ('start = "2026-01-15T06:00"\nhours = 36\n', "2026-01-15T05:00", 144),
        ("start = 2026-01-15T06:00:00\nhours = 2.5\nstep_min = 30\n", "2026-01-15T05:00", 5),
        ('start = "2026-01-15T06:00Z"\n', "2026-01-15T06:00", 96),
        ('start = "2026-03-28T12:00"\n', "2026-03-28T11:00", 92),
        ('start = "2026-10-25T02:30+01:00"\nhours = 1\n', "2026-10-25T01:30", 4),
        ('start = "2026-01-15"\nzone = "America/New_York"\n', "2026-01-15T05:00", 96),
    ],
)
def test_horizons(base: str, build: Load, text: str, start: str, steps: int) -> None:
    axis = build(horizon(base, text)).axis
    assert f"{axis.start:%Y-%m-%dT%H:%M}" == start
    assert axis.steps == steps


def test_day_moves_the_horizon_and_keeps_the_time_of_day(base: str, write: Write) -> None:
    day = date(2026, 3, 29)
    assert load(write(), day=day).axis == day_axis(day, 1, 15, "Europe/Paris")
    moved = load(write(horizon(base, 'start = "2026-01-15T06:00"\nhours = 4\n')), day=day).axis
    assert moved.start == datetime(2026, 3, 29, 4, tzinfo=UTC)
    assert load(write(horizon(base, "days = 2\n")), day=day).axis == day_axis(day, 2, 15, "Europe/Paris")


# --- what a scenario holds -------------------------------------------------------------------------------------------


def test_names_titles_and_defaults(base: str, write: Write) -> None:
    found = load(write(name="two-roofs"))
    assert (found.name, found.title) == ("two-roofs", "two-roofs")
    found = load(write('title = "Two roofs"\n' + base, name="two-roofs") / "scenario.toml")
    assert (found.name, found.title) == ("two-roofs", "Two roofs")
    (table,) = found.tables
    assert table.user["efficiency_in"].tolist() == [0.95]
    assert table.user["end"].tolist() == ["start"]
    assert (table.control, table.device, table.nodes) == (("power",), ("",), {"ac": ("grid",)})
    assert found.inputs.groups[0].ids == ("bat-a",)


def test_roots_by_carrier_and_children_without_limits(base: str, build: Load) -> None:
    nodes = """[node.gas]
carrier = "gas"
[node.heat]
carrier = "heat"
[node.heat-b]
carrier = "heat"
import_max_kw = 100
[node.loop]
parent = "heat"
[node.building]
parent = "grid"
[node.fuel]
carrier = "gas"
export_max_kw = inf
[commitment.fuel]
kind = "energy"
node = "gas"
buy_eur_per_kwh = 0.1
"""
    found = build(base + nodes)
    limits = {n.id: (n.carrier, n.import_max_kw[0], n.export_max_kw[0]) for n in found.nodes}
    inf = np.inf
    assert limits == {
        "building": ("electricity", inf, inf),
        "fuel": ("gas", inf, inf),
        "gas": ("gas", inf, 0.0),
        "grid": ("electricity", 30.0, inf),
        "heat": ("heat", 0.0, 0.0),
        "heat-b": ("heat", 100.0, 0.0),
        "loop": ("heat", inf, inf),
    }
    assert [n.id for n in found.nodes] == sorted(limits)
    notes = [note for note in found.notes if "costs nothing" in note]
    assert len(notes) == 1
    assert "node fuel" in notes[0]


def test_limits_by_series_and_for_a_while(base: str, build: Load) -> None:
    more = """[schedule.line]
default = 20
rules = [{ from = "00:00", to = "06:00", value = 12 }]
"""
    limits = """import_max_kw = "line"
limits = [
  { from = "2026-01-15T05:00", to = "2026-01-15T08:00", import_max_kw = 5 },
  { from = "07:50", to = "08:10", export_max_kw = 1 },
  { from = "07:00", to = "07:30", import_max_kw = 9 },
]
"""
    found = build(base.replace("import_max_kw = 30\n", limits) + more)
    (grid,) = found.nodes
    expected = np.concatenate([np.full(20, 12.0), np.full(8, 5.0), [9, 9], np.full(2, 5.0), np.full(64, 20.0)])
    np.testing.assert_array_equal(grid.import_max_kw, expected)
    np.testing.assert_array_equal(np.flatnonzero(np.isfinite(grid.export_max_kw)), [31, 32])


def test_limits_of_every_week(base: str, build: Load) -> None:
    limits = """import_max_kw = 20
limits = [
  { days = "mon-fri", from = "07:00", to = "09:00", import_max_kw = 5 },
  { days = ["sat", "sun"], export_max_kw = 0 },
]
"""
    text = base.replace("import_max_kw = 30\n", limits).replace('"2026-01-15"', '"2026-01-16"\ndays = 4\nstep_min = 60')
    (grid,) = build(text).nodes  # Friday to Monday
    np.testing.assert_array_equal(np.flatnonzero(grid.import_max_kw == 5), [7, 8, 79, 80])
    np.testing.assert_array_equal(np.flatnonzero(grid.export_max_kw == 0), np.arange(24, 72))


def test_a_limit_that_is_no_plain_number_says_where_it_is_written(base: str, build: Load, tmp_path: Path) -> None:
    toml = base.replace("import_max_kw = 30", 'import_max_kw = "line"\nexport_max_kw = "week"\nreserve_kw = 2')
    toml += """[schedule.week]
default = 20
[series]
files = ["series.csv"]
[nodes]
table = "nodes.csv"
[nodes.defaults]
export_max_kw = 7
[node.b2]
import_max_kw = 8
[node.b3]
parent = "grid"
import_max_kw = 9
limits = [{ days = "all", import_max_kw = 5 }]
"""
    files = {
        "nodes.csv": "id,parent,import_max_kw\nb1,grid,6\nb2,grid,6\n",
        "series.csv": "time,line\n" + "".join(f"2026-01-15T{h:02d}:00,30\n" for h in range(24)),
    }
    found = build(toml, files).limits_in
    site = tmp_path / "site"
    assert found == {
        "node.grid.import_max_kw": f"column line, {site}/series.csv",
        "node.grid.export_max_kw": "[schedule.week]",
        "node.b1.import_max_kw": f"column import_max_kw, {site}/nodes.csv:2",
        "node.b3.import_max_kw": f"limits, {site}/scenario.toml:{toml.count(chr(10))}",
    }


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e300", "9" * 400])
@pytest.mark.parametrize(
    "key",
    [
        "asset.bat-a.power_kw",
        "asset.bat-a.wear_eur_per_kwh",
        "node.grid.reserve_kw",
        "commitment.supply.buy_eur_per_kwh",
        "solve.gap",
        "solve.exact_decisions",
        "horizon.hours",
    ],
)
def test_wild_numbers_of_set_are_mistakes(write: Write, key: str, value: str) -> None:
    text = f"{key}={value}"
    (mistake,) = check(write(), sets=[text])
    assert mistake.file == f"--set {text}"
    assert key.rpartition(".")[2] in mistake.message


def test_the_largest_numbers_are_taken(write: Write) -> None:
    sets = ["asset.bat-a.power_kw=1e7", "commitment.supply.buy_eur_per_kwh=-1e6", "node.grid.import_max_kw=inf"]
    assert check(write(), sets=sets) == []
    assert len(check(write(), sets=["asset.bat-a.power_kw=1.01e7", "commitment.supply.buy_eur_per_kwh=-1.01e6"])) == 2


@pytest.mark.parametrize("hours", ["1e-9", "0.1", "0"])
def test_a_horizon_has_a_step(base: str, write: Write, hours: str) -> None:
    (mistake,) = check(write(horizon(base, f'start = "2026-01-15"\nhours = {hours}\n')))
    assert mistake.code == "hours-off-step"


def test_tables_defaults_and_overrides(base: str, build: Load) -> None:
    toml = (
        base
        + """[nodes]
table = "nodes.csv"
[nodes.defaults]
import_max_kw = 36
[node.b2]
import_max_kw = 9
[battery]
table = "batteries.csv"
[battery.defaults]
wear_eur_per_kwh = 0.01
[asset.b-2]
power_kw = 7
control = "none"
"""
    )
    files = {
        "nodes.csv": "id,parent,import_max_kw\nb1,grid,\n\nb2,grid,12\nb3,grid,inf\n",
        "batteries.csv": "id,node,capacity_kwh,power_kw,end,wear_eur_per_kwh,device\n"
        "b-2,b1,4,2,free,,inverter 7\nb-1,b2,4,2,,0.05,\n",
    }
    found = build(toml, files)
    assert {n.id: n.import_max_kw[0] for n in found.nodes} == {"b1": 36, "b2": 9, "b3": np.inf, "grid": 30}
    (table,) = found.tables
    assert table.ids == ("b-1", "b-2", "bat-a")
    assert table.user["power_kw"].tolist() == [2, 7, 5]
    assert table.user["wear_eur_per_kwh"].tolist() == [0.05, 0.01, 0.01]
    assert table.user["end"].tolist() == ["start", "free", "start"]
    assert table.control == ("power", "none", "power")
    assert table.device == ("", "inverter 7", "")
    assert table.nodes["ac"] == ("b2", "b1", "grid")


def test_tables_as_french_spreadsheets_write_them(base: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Semicolons, decimal commas also in lists, day-first times, Windows-1252: the same assets as plain files give."""
    toml = base + '[ev-session]\ntable = "cars.csv"\n[shiftable-load]\ntable = "runs.csv"\n'
    plain = {
        "cars.csv": "id,node,arrive,depart,energy_kwh,power_kw\nc-1,grid,2026-01-15T08:30,18:00,10.5,7.4\n",
        "runs.csv": "id,node,profile_kw,earliest,latest,device\nw-1,grid,0.5;1.25,08:00,20:00,été\n",
    }
    french = {
        "cars.csv": "id;node;arrive;depart;energy_kwh;power_kw\nc-1;grid;15/01/2026 8:30;18:00;10,5;7,4\n",
        "runs.csv": 'id;node;profile_kw;earliest;latest;device\nw-1;grid;"0,5;1,25";08:00;20:00;été\n',
    }
    folder = write(toml, plain)
    expected = load(folder)
    assert expected.notes == ()
    for file, text in french.items():
        (folder / file).write_bytes(text.encode("cp1252"))
    monkeypatch.chdir(folder)
    found = load(".")
    assert found.inputs.digest() == expected.inputs.digest()
    assert found.tables[-1].device == ("été",)
    assert found.notes == (
        "cars.csv: read with semicolons between cells, decimal commas",
        "cars.csv: dates are read day first, the French way: 15/01/2026 is 15 January 2026",
        "runs.csv: read with semicolons between cells, decimal commas, Windows-1252 text",
    )


def test_one_point_serves_one_car_after_the_other(base: str, build: Load) -> None:
    """The same device at different times, other commands to one device, and devices that take none are no mistake."""
    car = '[asset.{}]\nfamily = "ev-session"\nnode = "grid"\narrive = "{}"\ndepart = "{}"\nenergy_kwh = 5\n'
    car += 'power_kw = 7\ndevice = "point"\n'
    hybrid = '[asset.pv]\nfamily = "pv"\nnode = "grid"\npeak_kw = 3\nyield_kw_per_kw = 0.5\ndevice = "bat-a"\n'
    meter = '[asset.house]\nfamily = "load"\nnode = "grid"\npower_kw = 1\ndevice = "bat-a"\n'
    away = car.format("later", "D+1 08:00", "D+1 12:00")
    build(base + car.format("a", "08:00", "12:10") + car.format("b", "12:05", "16:00") + away + hybrid + meter)


def test_many_alike_in_a_parquet_table_are_one_mistake(base: str, write: Write) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = write(base + '[battery]\ntable = "b.parquet"\n')
    n = 5
    columns = {
        "id": [f"b-{k}" for k in range(n)],
        "node": ["grid"] * n,
        "capacity_kwh": [4.0] * n,
        "power_kw": [-1.0] * n,
    }
    pq.write_table(pa.table(columns), folder / "b.parquet")
    (mistake,) = check(folder)
    assert mistake.message == "battery b-0: power_kw -1 is less than 0; the same in 4 more rows"
    assert (mistake.line, mistake.fields["code"]) == (None, "too-small")


def test_parquet_tables_and_ids_that_look_like_numbers(base: str, write: Write) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = write(
        base + '[nodes]\ntable = "nodes.csv"\n[battery]\ntable = "b.parquet"\n', {"nodes.csv": "id,parent\n007,grid\n"}
    )
    columns = {
        "id": [7, 8],
        "node": ["007", "grid"],
        "capacity_kwh": [4.0, 5.0],
        "power_kw": [2, 3],
        "end": ["free", None],
    }
    pq.write_table(pa.table(columns), folder / "b.parquet")
    (table,) = load(folder).tables
    assert table.ids == ("7", "8", "bat-a")
    assert table.nodes["ac"] == ("007", "grid", "grid")
    assert table.user["end"].tolist() == ["free", "start", "start"]


def test_times_lists_and_optional_values_become_columns(base: str, build: Load) -> None:
    toml = (
        base
        + """[asset.car]
family = "ev-session"
node = "grid"
arrive = "D-1 22:00"
depart = "2026-01-15T07:30"
energy_kwh = 12
power_kw = 7.4
[shiftable-load]
table = "runs.csv"
"""
    )
    runs = "id,node,profile_kw,earliest,latest,duration_h\n"
    runs += "wash,grid,0.5;1.2,08:00,D+1 00:00,\ndry,grid,2,08:00,14:00,1.5\n"
    by_name = {t.family.name: t.user for t in build(toml, {"runs.csv": runs}).tables}
    assert by_name["ev-session"]["arrive"].tolist() == [-2.0]
    assert by_name["ev-session"]["depart"].tolist() == [7.5]
    dry, wash = by_name["shiftable-load"]["profile_kw"]
    assert (dry.tolist(), wash.tolist()) == ([2.0], [0.5, 1.2])
    assert by_name["shiftable-load"]["latest"].tolist() == [14.0, 24.0]
    assert by_name["shiftable-load"]["duration_h"][0] == 1.5
    assert np.isnan(by_name["shiftable-load"]["duration_h"][1])


def test_times_of_a_day_count_by_the_wall_clock_when_clocks_change(base: str, write: Write) -> None:
    toml = base + '[asset.car]\nfamily = "ev-session"\nnode = "grid"\narrive = "01:00"\ndepart = "07:00"\n'
    toml += "energy_kwh = 12\npower_kw = 7.4\n"
    found = load(write(toml), day=date(2026, 3, 29))
    assert next(t for t in found.tables if t.family.name == "ev-session").user["depart"].tolist() == [6.0]


def test_generated_sessions_are_those_of_the_generator(base: str, build: Load) -> None:
    from gridopt.scenario.generate import ev_sessions

    toml = base + '[ev-session.generate.cars]\nseed = 4\nchargers = 6\nnode = "grid"\n'
    toml += "power_kw = 11\nshortfall_eur_per_kwh = 3\n[ev-session.defaults]\nefficiency = 0.8\n"
    found = build(toml)
    table = next(t for t in found.tables if t.family.name == "ev-session")
    sessions = ev_sessions(found.axis, 4, 6, power_kw=11, efficiency=0.8)
    assert len(table.ids) == len(sessions) > 0
    expected = sorted((found.axis.hours_from_start(s.arrive), s.energy_kwh) for s in sessions)
    assert sorted(zip(table.user["arrive"].tolist(), table.user["energy_kwh"].tolist(), strict=True)) == expected
    assert set(table.user["shortfall_eur_per_kwh"].tolist()) == {3.0}
    assert set(table.user["power_kw"].tolist()) == {11.0}
    assert set(table.user["efficiency"].tolist()) == {0.8}
    points = dict(zip(table.ids, table.device, strict=True))  # one device, whoever is plugged in
    assert all(session.startswith(f"{point}-") for session, point in points.items())
    assert set(points.values()) <= {f"cars-{k}" for k in range(1, 7)}


def test_a_generated_session_begun_before_the_horizon_is_charged_in_part(base: str, build: Load) -> None:
    """As much of its energy is in as of its stay has passed; what is left fits into what is left. What is said wins."""
    from gridopt.scenario.generate import ev_sessions

    toml = base + '[ev-session.generate.cars]\nseed = 4\nchargers = 12\npattern = "home"\nnode = "grid"\n'
    found = build(toml)
    table = next(t for t in found.tables if t.family.name == "ev-session")
    sessions = {(s.arrive, s.energy_kwh): s for s in ev_sessions(found.axis, 4, 12, "home")}
    began = 0
    for (arrive, energy), s in sessions.items():
        hours = found.axis.hours_from_start(arrive)
        at = np.flatnonzero((np.abs(table.user["arrive"] - hours) < 1e-9) & (table.user["energy_kwh"] == energy))
        part = max(-hours, 0.0) / ((s.depart - s.arrive).total_seconds() / 3600)
        assert table.user["delivered_kwh"][at[0]] == pytest.approx(energy * part, abs=0.01)
        began += 0 < part < 1
    assert began > 3
    found = build(toml + "delivered_kwh = 1\n")
    table = next(t for t in found.tables if t.family.name == "ev-session")
    assert set(table.user["delivered_kwh"].tolist()) == {1.0}


def test_an_asset_that_is_not_there_leaves_its_terms_out(base: str, build: Load) -> None:
    toml = (
        base
        + """[asset.car]
family = "ev-session"
node = "grid"
arrive = "2026-01-20T08:00"
depart = "2026-01-20T18:00"
energy_kwh = 12
power_kw = 7.4
[commitment.cars]
kind = "event"
assets = ["car"]
from = "10:00"
to = "12:00"
baseline_kw = 3
reward_eur_per_kwh = 0.1
[commitment.both]
kind = "event"
assets = ["car", "bat-a"]
from = "10:00"
to = "12:00"
baseline_kw = 3
reward_eur_per_kwh = 0.1
[[pin]]
asset = "car"
quantity = "charge_kw"
value = 3
from = "10:00"
to = "12:00"
"""
    )
    found = build(toml)
    assert [c.id for c in found.commitments] == ["both", "cars", "supply"]
    assert [c.id for c in found.inputs.commitments] == ["both", "supply"]
    assert [f.asset for f in found.inputs.commitments[0].flows] == ["bat-a"]
    assert found.pins == ()
    assert [g.ids for g in found.inputs.groups] == [("bat-a",)]


# --- canonical order -------------------------------------------------------------------------------------------------

PARTS = [
    'format = 1\n[horizon]\nstart = "2026-01-15"\n',
    '[commitment.supply]\nkind = "energy"\nnode = "grid"\nbuy_eur_per_kwh = 0.2\n',
    '[commitment.peak]\nkind = "peak"\nnode = "grid"\nprice_eur_per_kw = 1\n',
    "[node.grid]\n",
    '[node.b1]\nparent = "grid"\nimport_max_kw = 9\n',
    '[node.a2]\nparent = "grid"\n',
    '[asset.bat-b]\nfamily = "battery"\nnode = "b1"\ncapacity_kwh = 5\npower_kw = 3\n',
    '[asset.bat-a]\nfamily = "battery"\nnode = "a2"\ncapacity_kwh = 10\npower_kw = 4\nsoc_start = 0.01\n',
    '[asset.house]\nfamily = "load"\nnode = "a2"\npower_kw = 2\n',
    '[[rule]]\nfile = "rules.txt"\n',
]
PINS = [
    '[[pin]]\nasset = "bat-b"\nquantity = "charge_kw"\nvalue = 1\nfrom = "10:00"\nto = "11:00"\n',
    '[[pin]]\nasset = "bat-a"\nquantity = "charge_kw"\nvalue = 1\nfrom = "10:00"\nto = "11:00"\n',
    '[[outage]]\nasset = "bat-a"\nfrom = "09:00"\nto = "10:30"\n',
]
RULES = [
    'def rule_b(m):\n    return m.asset["bat-a"].soc_kwh[3] >= 1\n',
    'def rule_a(m):\n    return m.node["grid"].net_kw[3] + m.asset["bat-a"].charge_kw[3] <= 9\n',
]


def test_the_same_content_in_any_order_gives_the_same_inputs(write: Write) -> None:
    first = load(write("".join(PARTS + PINS), {"rules.txt": "".join(RULES)})).inputs.digest()
    rng = random.Random(1)
    for k in range(5):
        parts, pins, rules = PARTS[1:], list(PINS), list(RULES)
        for some in (parts, pins, rules):
            rng.shuffle(some)
        folder = write("".join([PARTS[0], *parts, *pins]), {"rules.txt": "".join(rules)}, name=f"other-{k}")
        assert load(folder).inputs.digest() == first


def test_the_same_content_as_tables_gives_the_same_inputs(write: Write) -> None:
    first = load(write("".join(PARTS[:-1]))).inputs.digest()
    toml = "".join(PARTS[:4]) + PARTS[8] + '[nodes]\ntable = "nodes.csv"\n[battery]\ntable = "b.csv"\n'
    rows = ["bat-b,b1,5,3,\n", "bat-a,a2,10,4,0.01\n"]
    for order in (rows, rows[::-1]):
        files = {
            "nodes.csv": "id,parent,import_max_kw\nb1,grid,9\na2,grid,\n",
            "b.csv": "id,node,capacity_kwh,power_kw,soc_start\n" + "".join(order),
        }
        assert load(write(toml, files, name="tables")).inputs.digest() == first


def test_any_other_content_gives_other_inputs(write: Write) -> None:
    files: dict[str, str | bytes] = {"rules.txt": "".join(RULES)}
    toml = "".join(PARTS + PINS)
    digests = [load(write(toml, files)).inputs.digest()]
    changes = [
        ("= 0.2", "= 0.21"),
        ("power_kw = 4", "power_kw = 5"),
        ('to = "10:30"', 'to = "10:45"'),
        ('"b1"', '"a2"'),
    ]
    digests += [load(write(toml.replace(a, b), files)).inputs.digest() for a, b in changes]
    digests.append(load(write(toml, {"rules.txt": RULES[0]})).inputs.digest())
    assert len(set(digests)) == len(changes) + 2


def test_with_tables_changes_what_it_is_given_and_rules_that_depend_on_it(write: Write) -> None:
    rule = 'def rule_half(m):\n    b = m.asset["bat-a"]\n    return b.soc_kwh[3] >= 0.5 * b.capacity_kwh\n'
    found = load(write("".join(PARTS), {"rules.txt": rule}))
    assert [r.low for r in found.rules] == [5.0]
    tables = [
        dataclasses.replace(t, user={**t.user, "capacity_kwh": t.user["capacity_kwh"] * 2}) if k == 0 else t
        for k, t in enumerate(found.tables)
    ]
    changed = found.with_tables(reversed(tables))
    assert [r.low for r in changed.rules] == [10.0]
    assert {g.columns["capacity_kwh"].max() for g in changed.inputs.groups if g.family.name == "battery"} == {
        20.0,
        10.0,
    }
    assert found.inputs.groups[0].columns["capacity_kwh"].max() <= 10.0
    assert found.with_tables(found.tables).inputs.digest() == found.inputs.digest()


def test_a_scenario_of_mass_data_loads_whole(write: Write) -> None:
    """500 buildings with 5 assets each, from tables: everything arrives, nothing is noted."""
    n = 500
    head = 'format = 1\n[horizon]\nstart = "2026-01-15"\n[node.grid]\n[nodes]\ntable = "nodes.csv"\n'
    head += '[commitment.supply]\nkind = "energy"\nnode = "grid"\nbuy_eur_per_kwh = 0.2\n'
    head += '[series]\nfiles = ["series.csv"]\n[battery]\ntable = "b.csv"\n'
    head += '[load]\ntable = "l.csv"\n[pv]\ntable = "pv.csv"\n'
    columns = ",".join(f"load-{k}" for k in range(n))
    lines = [f"2026-01-15T{h:02d}:00," + ",".join(f"{k / 20 + h / 100:g}" for k in range(n)) for h in range(24)]
    files: dict[str, str | bytes] = {
        "nodes.csv": "id,parent,import_max_kw\n" + "".join(f"b{k},grid,36\n" for k in range(n)),
        "b.csv": "id,node,capacity_kwh,power_kw\n"
        + "".join(f"bat-{k},b{k},{5 + k},3\n" for k in range(2 * n) if k < n),
        "l.csv": "id,node,power_kw\n" + "".join(f"house-{k},b{k},load-{k}\nflat-{k},b{k},1\n" for k in range(n)),
        "pv.csv": "id,node,peak_kw,yield_kw_per_kw\n"
        + "".join(f"pv-{k},b{k},3,0.5\nroof-{k},b{k},3,0\n" for k in range(n)),
        "series.csv": f"time,{columns}\n" + "\n".join(lines) + "\n",
    }
    found = load(write(head, files))
    assert found.notes == ()
    assert sum(len(t.ids) for t in found.tables) == 5 * n
    loads = next(t for t in found.tables if t.family.name == "load")
    k = loads.ids.index("house-321")
    assert loads.nodes["ac"][k] == "b321"
    np.testing.assert_allclose(loads.user["power_kw"][k], np.repeat(321 / 20 + np.arange(24) / 100, 4))


def test_check_lists_what_load_raises(base: str, write: Write) -> None:
    folder = write(base.replace("power_kw = 5", "power_kw = -5"))
    with pytest.raises(ScenarioError) as error:
        load(folder)
    assert check(folder) == error.value.mistakes
    assert check(write(base)) == []


def test_all_that_is_wrong_in_one_asset_is_told_at_once(write: Write) -> None:
    text = """\
format = 1
[horizon]
start = "2026-01-15"
[node.grid]
[asset.bat]
family = "battery"
node = "gird"
power = 3
capacity_kwh = -3
soc_min = 0.9
soc_max = 0.2
[asset.house]
family = "load"
node = "grid"
power_kw = "houshold"
nod = "x"
[asset.car]
family = "ev-session"
node = "grid"
arrive = "19:00"
depart = "18:00"
power_kw = -1
[commitment.supply]
kind = "energy"
node = "gird"
buy_eur_per_kwh = "tarif"
"""
    told = [(m.line, m.code) for m in check(write(text))]
    assert told == [
        (5, "missing-key"), (7, "unknown-node"), (8, "unknown-key"), (9, "too-small"), (11, "crossed"),
        (15, "unknown-series"), (16, "unknown-key"), (17, "either"), (21, "crossed"), (22, "too-small"),
        (25, "unknown-node"), (26, "unknown-series"),
    ]  # fmt: skip


def test_a_list_may_be_empty_where_that_means_none(base: str, write: Write) -> None:
    wash = '[asset.wash]\nfamily = "shiftable-load"\nnode = "grid"\nprofile_kw = [1]\nearliest = "08:00"\n'
    folder = write(base + wash + 'latest = "20:00"\nthen_profile_kw = [0.5]\n')
    assert check(folder, sets=["asset.wash.then_profile_kw=[]"]) == []
    assert [m.code for m in check(folder, sets=["asset.wash.profile_kw=[]"])] == ["not-numbers"]
