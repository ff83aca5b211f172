"""A scenario to start from: small, commented, and complete, so that it runs before anything in it is changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from gridopt.errors import ScenarioError
from gridopt.scenario.find import NAME, SCENARIO_FILE, shipped
from gridopt.scenario.mistakes import Report
from gridopt.written.toml import shown
from gridopt.written.words import did_you_mean

TEMPLATE = """\
# {title}: one house with a roof and a battery.
# `gridopt check {name}` lists every mistake, `gridopt run {name}` plans it. Every night, where the plan before ends:
#     gridopt run {name} --date TOMORROW --from plans/{name} --out plans/{name}
# the first time without --from. It ends with 0 (proven) or 3 (a goal short: have a look); any other code means that
# there is no new plan: raise an alarm, the plan in the folder stands as it was.
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

# What follows is commented out: take the "# " off the lines of a block to try it.

# A car that charges at home. It wants 9 kWh by the morning, 45 km at 20 kWh for 100 km; a kWh that is missing then
# counts 2 EUR unless shortfall_eur_per_kwh says otherwise.

# [asset.car]
# family = "ev-session"
# node = "grid"
# days = "all"              # or "mon-fri"; without this line it comes once, on the first day that is planned
# arrive = "18:30"
# depart = "07:00"          # of the next morning
# energy_kwh = 9
# power_kw = 7.4

# A heat pump and the rooms it warms. A building is two numbers. How much heat it loses: the heat of a year, by the
# degree days of the place and 24 h: 12 500 kWh / (2 600 K·d × 24 h/d) = 0.2 kW/K; the resistance is one over that. How
# much heat it holds: 50 (light) to 100 (heavy) Wh/K for each m² of floor: 100 m² × 70 Wh/(m²·K) = 7 kWh/K. The heat
# pump must hold the coldest day: 0.2 kW/K × 27 K = 5.4 kW of heat, at a COP of 2.7 that is 2 kW of electricity.

# [generate.outdoor]        # the same seed as the roof: one seed is one sky
# kind = "outdoor"
# seed = 1
#
# [schedule.warm]
# default = 17
# rules = [{{ from = "06:00", to = "22:30", value = 19.5 }}]
#
# [asset.rooms]
# family = "heat-pump-building"
# node = "grid"
# resistance_k_per_kw = 5
# capacity_kwh_per_k = 7
# power_kw = 2
# power_min_kw = 0.6        # off, or at least that much
# outdoor_c = "outdoor"
# comfort_min_c = "warm"
# comfort_max_c = 23
# temperature_start_c = 18.5

# A person's override: the battery charges with 2 kW for an hour, whatever the plan would rather do.

# [[pin]]
# asset = "battery"
# quantity = "charge_kw"
# value = 2.0
# from = "13:00"
# to = "14:00"

# An asset out of service, here every Sunday evening; without days, from and to are times of the first day.

# [[outage]]
# asset = "battery"
# days = "sun"              # or "mon-fri", "sat,sun", "all"
# from = "18:00"
# to = "20:00"

# Another limit for a while: the connection gives less on weekday mornings.

# [[node.grid.limits]]
# days = "mon-fri"
# from = "07:00"
# to = "09:00"
# import_max_kw = 6
"""


def new(name: str, folder: str | Path = ".") -> Path:
    """Write ``folder/name/scenario.toml`` and return its folder. Raises ScenarioError; overwrites nothing."""
    text = TEMPLATE.format(name=name, title=name.replace("-", " ").replace("_", " ").capitalize())

    def fill(path: Path) -> None:
        path.mkdir(parents=True)
        (path / SCENARIO_FILE).write_text(text, encoding="utf-8")

    return _made(name, folder, fill)


def copy(name: str, source: str, folder: str | Path = ".") -> Path:
    """Copy all files of the shipped scenario ``source`` to ``folder/name``, as ``new``."""
    known = shipped()
    if source not in known:
        report = Report()
        report.add((source, None), "no-scenario", hint=did_you_mean(source, known, "there are"))
        report.stop()
    return _made(name, folder, lambda path: shutil.copytree(known[source], path))


def _made(name: str, folder: str | Path, fill: Callable[[Path], object]) -> Path:
    report = Report()
    path = Path(folder) / name
    if not NAME.fullmatch(name):
        report.add((name, None), "bad-name")
    elif os.path.lexists(path):
        report.add((shown(path), None), "exists")
    report.stop()
    try:
        fill(path)
    except OSError as error:
        report.add((shown(path), None), "unwritable", reason=error.strerror or str(error))
        raise ScenarioError(report.mistakes) from error
    return path
