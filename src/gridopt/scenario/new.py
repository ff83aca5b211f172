"""A scenario to start from: small, commented, and complete, so that it runs before anything in it is changed."""

from __future__ import annotations

from pathlib import Path

from gridopt.errors import ScenarioError
from gridopt.scenario.document import shown
from gridopt.scenario.find import NAME, SCENARIO_FILE
from gridopt.scenario.mistakes import Report

TEMPLATE = """\
# {title}: one house with a roof and a battery.
# `gridopt check {name}` lists every mistake, `gridopt run {name}` plans it.
# Names end with their unit: kw, kwh, eur_per_kwh, c. A power above zero draws from the node.
format = 1
title = "{title}"

[horizon]
start = "2026-03-16"      # first local day; `gridopt run {name} --date 2026-03-17` plans another
days = 1
step_min = 15             # 5, 10, 15, 30 or 60
zone = "Europe/Paris"

# Series: columns of CSV or Parquet files (`[series] files = ["series.csv"]`, a column `time` and one per series),
# made by gridopt as here, or a weekly schedule. They are used by their name wherever a number may stand.
[generate.roof]
kind = "pv"
seed = 1
tilt_deg = 35

[generate.household]
kind = "household"
seed = 1
annual_kwh = 3500

[schedule.tariff]         # local time; a later rule overrides an earlier one
default = 0.28
rules = [{{ days = "mon-sun", from = "22:00", to = "06:00", value = 0.17 }}]

# Nodes: where power balances. The one without a parent is the connection to the outside.
[node.grid]
import_max_kw = 9
export_max_kw = 6

# Assets: a family, the node, and the family's parameters. `gridopt schema scenario` lists them all.
[asset.house]
family = "load"
node = "grid"
power_kw = "household"

[asset.panels]
family = "pv"
node = "grid"
peak_kw = 4.5
yield_kw_per_kw = "roof"

[asset.battery]
family = "battery"
node = "grid"
capacity_kwh = 7
power_kw = 3.5

# Commitments: what energy costs, and every other term of a contract.
[commitment.supply]
kind = "energy"
node = "grid"
buy_eur_per_kwh = "tariff"
sell_eur_per_kwh = 0.06

# A person's override, and an asset out of service (uncomment to try):
# [[pin]]
# asset = "battery"
# quantity = "charge_kw"
# value = 2.0
# from = "13:00"
# to = "14:00"
#
# [[outage]]
# asset = "battery"
# from = "18:00"
# to = "20:00"
"""


def new(name: str, folder: str | Path = ".") -> Path:
    """Write ``folder/name/scenario.toml`` and return its folder. Raises ScenarioError; overwrites nothing."""
    report = Report()
    path = Path(folder) / name
    if not NAME.fullmatch(name):
        report.add((name, None), "bad-name")
    elif path.exists():
        report.add((shown(path), None), "exists")
    report.stop()
    try:
        path.mkdir(parents=True)
        text = TEMPLATE.format(name=name, title=name.replace("-", " ").replace("_", " ").capitalize())
        (path / SCENARIO_FILE).write_text(text, encoding="utf-8")
    except OSError as error:
        report.add((shown(path), None), "unwritable", reason=error.strerror or str(error))
        raise ScenarioError(report.mistakes) from error
    return path
