"""The JSON Schema accepts what loads and refuses what does not, as far as a schema can tell."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from gridopt.assets import FAMILY_NAMES, family
from gridopt.assets.base import Family, Parameter, Port
from gridopt.scenario import schema
from gridopt.scenario.editor import json_schema
from gridopt.scenario.new import TEMPLATE
from tests.support.json_schema import faults

SCHEMA = json.loads(json.dumps(json_schema()))
BROKEN = Path(__file__).resolve().parents[2] / "cases" / "broken"

GOOD = """\
format = 1
title = "All sections"
[horizon]
start = 2026-01-15
step_min = 15
[series]
files = ["a.csv"]
time = "when"
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
[nodes.defaults]
import_max_kw = 36
[battery]
table = "b.csv"
defaults = { soc_min = 0.1 }
[ev-session.generate.cars]
chargers = 3
node = "grid"
[asset.bat-a]
family = "battery"
node = "grid"
capacity_kwh = 3
end = "free"
control = "none"
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
[commitment.b]
kind = "carbon"
node = "grid"
price_eur_per_t = 100
intensity_g_per_kwh = "co2"
[commitment.c]
kind = "peak"
node = "grid"
windows = [{ days = "mon-fri", price_eur_per_kw = 3 }]
[commitment.d]
kind = "breach"
node = "grid"
limit_kw = 12
price_eur_per_h = 3
[commitment.e]
kind = "event"
assets = ["bat-a"]
from = "18:00"
to = "20:00"
baseline_kw = 3
reward_eur_per_kwh = 0.3
[commitment.f]
kind = "plan-change"
run = "yesterday"
price_eur_per_kwh = 0.02
[[pin]]
asset = "bat-a"
quantity = "charge_kw"
value = 2
from = "10:00"
to = "11:00"
[[outage]]
asset = "bat-a"
from = "10:00"
to = "11:00"
[[outage]]
asset = "bat-a"
days = ["sat", "sun"]
[[rule]]
file = "rules.py"
[solve]
gap = 0.01
exact_decisions = 100
"""


@pytest.mark.parametrize("text", [GOOD, TEMPLATE.format(name="x", title="X")], ids=["all-sections", "new"])
def test_a_good_scenario_fits(text: str) -> None:
    assert list(faults(tomllib.loads(text), SCHEMA, SCHEMA)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("format = 1", "format = 2"),
        ("format = 1\n", ""),
        ("step_min = 15", "step_min = 20"),
        ("[solve]", "[solved]"),
        ('kind = "pv"', 'kind = "sun"'),
        ("tilt_deg = 30", "tilt_deg = 300"),
        ("value = 20.5", 'value = "warm"'),
        ('import_max_kw = "line"', "import_max_kw = -1"),
        ("export_max_kw = 3", "export_kw = 3"),
        ('family = "battery"', 'family = "batery"'),
        ("capacity_kwh = 3", "capacity_kwh = -3"),
        ("capacity_kwh = 3", "capacity_wh = 3"),
        ('end = "free"', 'end = "full"'),
        ("curtailable = false", "curtailable = 0"),
        ("profile_kw = [1, 0.5]", "profile_kw = []"),
        ('kind = "energy"', 'kind = "power"'),
        ("limit_kw = 12\n", ""),
        ("value = 2\n", ""),
        ('days = ["sat", "sun"]', 'from = "10:00"'),
        ('days = ["sat", "sun"]', "days = [6, 7]"),
        ("gap = 0.01", "gap = -1"),
        ('file = "rules.py"', "file = 3"),
        ("exact_decisions = 100", "exact_decisions = 1.5"),
        ("chargers = 3", "chargers = 3\n[ev-session.more]\nx = 1"),
    ],
)
def test_a_wrong_one_does_not(old: str, new: str) -> None:
    assert old in GOOD
    assert list(faults(tomllib.loads(GOOD.replace(old, new)), SCHEMA, SCHEMA))


def test_every_family_stands_in_the_schema_with_every_key() -> None:
    for name in FAMILY_NAMES:
        found = family(name)
        keys = set(SCHEMA["$defs"][f"asset-{name}"]["properties"])
        ports = {port.parameter for port in found.ports}
        weekly = {"days"} if schema.window_of(found) else set()
        assert keys == {"family", "control", "device"} | weekly | ports | {p.name for p in found.parameters}
        assert name in SCHEMA["properties"]


def test_every_key_of_the_fixed_sections_says_what_it_means() -> None:
    models = [schema.Horizon, schema.SeriesFiles, schema.Schedule, schema.ScheduleRule, schema.Node, schema.Limit]
    models += [schema.Table, schema.Pin, schema.Outage, schema.RuleFile, schema.PeakWindow]
    for model in [*models, *schema.COMMITMENTS.values()]:
        assert all(info.description for info in model.model_fields.values()), model


class Odd(Family):
    name = "odd"
    ports = (Port("in", (), "from_node"), Port("out", ("heat",), "to_node"))
    parameters = (
        Parameter("a_kw", "scalar", minimum=1, maximum=2),
        Parameter("b_kw", "optional", optional=True),
        Parameter("c_kw", "series", 1.0, kind="series"),
        Parameter("d", "time", kind="time"),
        Parameter("e", "choice", "x", kind="choice", choices=("x", "y")),
        Parameter("f", "flag", False, kind="flag"),
        Parameter("g", "list", kind="list", optional=True),
    )


def test_the_keys_of_a_family_follow_from_its_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "family", lambda name: Odd)
    model = schema.family_model.__wrapped__("odd")
    required = {key for key, info in model.model_fields.items() if info.is_required()}
    assert required == {"from_node", "to_node", "a_kw", "d"}
    assert schema.text_keys("odd") == {"id", "days", "device", "control", "from_node", "to_node", "d", "e", "g"}
    said = model.model_validate({"from_node": "n", "to_node": "h", "a_kw": 1, "d": "07:30", "c_kw": "spot"})
    assert (said.a_kw, said.b_kw, said.c_kw, said.d.minute, said.e, said.f, said.g) == (
        1,
        None,
        "spot",
        450,
        "x",
        False,
        None,
    )
