"""Real input: the shared district and the French house, planned day after day with perfect foresight.

The files are read in place from the folder GRIDOPT_DATA (default ``../shared/data``) and are never copied. Each day is
the main job: a scenario loaded, planned, verified, compared with its rule-based twin. Its store's content is handed on.
Two baselines stand beside each other:

* the day's own twin starts from the plan's content; what either holds more at the end counts as what the plan would
  save or pay more with the twin's end, planned once more: no rule can beat an optimal plan;
* the rule's own chain hands its own content from day to day; only at the very end is the difference in content counted.
"""

from __future__ import annotations

import csv
import dataclasses
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.harness import Result, Row, benchmark, shared
from gridopt.clock import day_axis
from gridopt.jobs import plan as job
from gridopt.jobs.plan import Plan
from gridopt.model.inputs import Inputs
from gridopt.simulate.twin import twin
from gridopt.verify import verify

DISTRICT_FILE = "scenario_district_hourly_2023-01_2023-09.csv"
HOUSE_FILE = "household_fr_load_pv_30min_2024-03_2024-09.csv"
PRICE_FILE = "prices_dayahead_hourly_2024-03_2024-09.csv"
TIME = "timestamp_utc"
BATTERY, ROOT = "store", "grid"
ONE_WAY = 0.90**0.5
"""Each way of a round trip of 90 %."""
SUN_UP_H = (7, 17)
"""Hours UTC in which the sun shines on France on every day from March to September: PV must be known then. Outside, an
empty cell is the night."""

DISTRICT = """format = 1
title = "A real district: five sectors, 300 dwellings, street lights, 1.5 MWp, 2 MWh"

[horizon]
start = "{start}"
step_min = 60

[series]
files = ["{folder}/{district}"]
time = "{time}"

[node.grid]
import_max_kw = inf
export_max_kw = inf

[commitment.spot]
kind = "energy"
node = "grid"
buy_eur_per_kwh = "price_fr_eur_per_mwh"
sell_eur_per_kwh = "price_fr_eur_per_mwh"

[commitment.network]
kind = "energy"
node = "grid"
buy_eur_per_kwh = 0.06

{loads}
[asset.roofs]
family = "pv"
node = "grid"
peak_kw = 1500
yield_kw_per_kw = "pv_kw_per_kwp"

[asset.store]
family = "battery"
node = "grid"
capacity_kwh = 2000
power_kw = 1000
efficiency_in = {one_way}
efficiency_out = {one_way}
soc_min = 0
soc_max = 1
soc_start = 0.5
end = "start"
wear_eur_per_kwh = 0
"""
LOAD = """[asset.{id}]
family = "load"
node = "grid"
power_kw = "{column}"
"""
LOADS = (
    "office_kw", "school_kw", "supermarket_kw", "water_utility_kw", "restaurants_kw", "housing_kw", "streetlight_kw",
)  # fmt: skip

HOUSE = """format = 1
title = "A real French house: its load, its roof, 10 kWh"

[horizon]
start = "{start}"
step_min = 30

[series]
files = ["{folder}/{house}", "{folder}/{prices}", "roof.csv"]
time = "{time}"

[node.grid]
import_max_kw = 12
export_max_kw = 12

[commitment.spot]
kind = "energy"
node = "grid"
buy_eur_per_kwh = "fr_eur_per_mwh"
sell_eur_per_kwh = 0.04

[commitment.network]
kind = "energy"
node = "grid"
buy_eur_per_kwh = 0.10

[asset.home]
family = "load"
node = "grid"
power_kw = "load_w"

[asset.roof]
family = "pv"
node = "grid"
peak_kw = 1
yield_kw_per_kw = "roof_kw_per_kw"

[asset.store]
family = "battery"
node = "grid"
capacity_kwh = 10
power_kw = 5
efficiency_in = {one_way}
efficiency_out = {one_way}
soc_min = 0
soc_max = 1
soc_start = 0.5
end = "start"
wear_eur_per_kwh = 0
"""


def data() -> Path:
    return shared("GRIDOPT_DATA", "data")


def absent(*files: str) -> str:
    """Why there is nothing to plan; empty when every file is there."""
    missing = [name for name in files if not (data() / name).is_file()]
    return f"no real data: {data()} lacks {', '.join(missing)} (set GRIDOPT_DATA)" if missing else ""


def days_from(first: date, count: int) -> list[date]:
    return [first + timedelta(days=k) for k in range(count)]


# --- two sites -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Site:
    """A scenario in a folder of its own, the days to plan, and the days left out with the reason."""

    scenario: Path
    days: list[date]
    left_out: dict[date, str] = field(default_factory=dict)


@contextmanager
def district_site(days: list[date]) -> Iterator[Site]:
    """The shared district; its file has no gap."""
    loads = "\n".join(LOAD.format(id=name.replace("_", "-"), column=name) for name in LOADS)
    with tempfile.TemporaryDirectory() as folder:
        yield Site(_write(Path(folder), DISTRICT, days, loads), days)


@contextmanager
def house_site(days: list[date]) -> Iterator[Site]:
    """The French house. Load and price are read where they lie; the roof's empty cells at night become zeros.

    A day with a gap is left out: a load that is missing or a false zero of a restart, or no PV while the sun is up.
    """
    rows = _house_rows()
    reasons = {day: why for day in days if (why := _gap(rows, day))}
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "roof.csv").open("w", newline="") as out:
            table = csv.writer(out)
            table.writerow([TIME, "roof_kw_per_kw"])
            table.writerows([when.isoformat(), 0.0 if np.isnan(pv) else pv / 1e3] for when, (_, pv) in rows.items())
        yield Site(_write(Path(folder), HOUSE, days, ""), [d for d in days if d not in reasons], reasons)


def _write(folder: Path, text: str, days: list[date], loads: str) -> Path:
    said = text.format(
        start=days[0], folder=data().as_posix(), time=TIME, one_way=ONE_WAY, loads=loads,
        district=DISTRICT_FILE, house=HOUSE_FILE, prices=PRICE_FILE,
    )  # fmt: skip
    (folder / "scenario.toml").write_text(said)
    return folder


def _house_rows() -> dict[datetime, tuple[float, float]]:
    """Start of each half-hour (UTC) → (load, PV) [W]; NaN where the cell is empty."""
    with (data() / HOUSE_FILE).open(newline="") as file:
        return {
            datetime.fromisoformat(row[TIME]): (float(row["load_w"] or "nan"), float(row["pv_w"] or "nan"))
            for row in csv.DictReader(file)
        }


def _gap(rows: Mapping[datetime, tuple[float, float]], day: date) -> str:
    """What is wrong with a local day's data; empty when nothing is."""
    axis = day_axis(day, 1, 30, "Europe/Paris")
    starts = [axis.start + timedelta(minutes=30 * k) for k in range(axis.steps)]
    here = np.array([rows.get(t, (np.nan, np.nan)) for t in starts])
    sun = np.array([SUN_UP_H[0] <= t.hour < SUN_UP_H[1] for t in starts])
    counts = {
        "without a load": int(np.isnan(here[:, 0]).sum()),
        "with a load of zero": int((here[:, 0] == 0).sum()),
        "without PV while the sun is up": int((np.isnan(here[:, 1]) & sun).sum()),
    }
    found = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
    return f"half-hours: {found}" if found else ""


# --- a chain of days -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Day:
    """One day as planned. ``*_kwh``: the store's content; ``chain_eur``: what the rule's own chain of days costs."""

    day: date
    plan: Plan
    start_kwh: float
    end_kwh: float
    chain_eur: float
    chain_end_kwh: float
    findings: int
    wall_s: float

    @property
    def cost_eur(self) -> float:
        return self.plan.solution.objective

    @property
    def rule_eur(self) -> float:
        """The day's own twin, what its store holds less at the end included."""
        return float(self.plan.summary["baseline"]["total_eur"])

    @property
    def worth_eur_per_kwh(self) -> float:
        """Marginal value of content at the end."""
        block = next(b for b in self.plan.solution.assembly.blocks if b.group.family.name == "battery")
        columns = block.columns("end_short_kwh")
        assert columns is not None
        return float(-self.plan.solution.reduced[columns[0, 0]])

    def peak_kw(self, net_kw: np.ndarray) -> float:
        return float(net_kw[self.plan.inputs.node_index[ROOT]].max())


def chain(site: Site) -> list[Day]:
    """Plan the days in their order; content goes from each to the next, over days left out too."""
    share, rule_kwh = 0.5, None
    found = []
    for day in site.days:
        begin = time.perf_counter()
        planned = job.run(
            site.scenario, now=datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=12), day=day,
            sets=[f"asset.{BATTERY}.soc_start={share!r}"],
        )  # fmt: skip
        seconds = time.perf_counter() - begin
        inputs = planned.inputs
        g, k = inputs.where[BATTERY]
        columns = inputs.groups[g].columns
        start, capacity = float(columns["soc_start_kwh"][k]), float(columns["capacity_kwh"][k])
        end = float(planned.trace.steps[g]["soc_kwh"][k, -1])
        by_rule = twin(starting_at(inputs, start if rule_kwh is None else rule_kwh))
        rule_kwh = float(by_rule.trace.steps[g]["soc_kwh"][k, -1])
        findings = len(verify(inputs, planned.schedule, planned.solution.objective))
        found.append(Day(day, planned, start, end, by_rule.ledger.total_eur, rule_kwh, findings, seconds))
        share = min(max(end / capacity, 0.0), 1.0)
    return found


def starting_at(inputs: Inputs, content_kwh: float) -> Inputs:
    """The same day with another content of the store at its start."""
    groups = tuple(
        dataclasses.replace(g, columns={**g.columns, "soc_start_kwh": np.full(g.n, content_kwh)})
        if g.family.name == "battery"
        else g
        for g in inputs.groups
    )
    return dataclasses.replace(inputs, groups=groups)


@dataclass(frozen=True)
class Totals:
    cost_eur: float
    rule_eur: float
    chain_eur: float
    """The rule's own chain, what it holds less at the end included."""


def totals(days: list[Day]) -> Totals:
    last = days[-1]
    left = last.worth_eur_per_kwh * (last.end_kwh - last.chain_end_kwh)
    return Totals(
        sum(d.cost_eur for d in days), sum(d.rule_eur for d in days), sum(d.chain_eur for d in days) + left
    )  # fmt: skip


def rows_of(days: list[Day]) -> list[Row]:
    rows: list[Row] = [
        {
            "day": d.day.isoformat(),
            "steps": d.plan.inputs.axis.steps,
            "cost_eur": d.cost_eur,
            "rule_eur": d.rule_eur,
            "rule_chain_eur": d.chain_eur,
            "saving_eur": d.plan.summary["savings_eur"],
            "peak_kw": d.peak_kw(d.plan.schedule.net_kw),
            "rule_peak_kw": d.peak_kw(d.plan.twin.net_kw),
            "end_kwh": d.end_kwh,
            "gap_percent": 100 * d.plan.solution.gap,
            "findings": d.findings,
            "wall_s": d.wall_s,
            "solve_s": sum(d.plan.solution.seconds.values()),
        }
        for d in days
    ]
    t = totals(days)
    rows.append({
        "day": f"{len(days)} days", "steps": sum(r["steps"] for r in rows), "cost_eur": t.cost_eur,
        "rule_eur": t.rule_eur, "rule_chain_eur": t.chain_eur, "saving_eur": sum(r["saving_eur"] for r in rows),
        "peak_kw": max(r["peak_kw"] for r in rows), "rule_peak_kw": max(r["rule_peak_kw"] for r in rows),
        "end_kwh": days[-1].end_kwh, "gap_percent": max(r["gap_percent"] for r in rows),
        "findings": sum(r["findings"] for r in rows), "wall_s": sum(r["wall_s"] for r in rows),
        "solve_s": sum(r["solve_s"] for r in rows),
    })  # fmt: skip
    return rows


def planned(site: Site) -> Result:
    """Plan a site's days and check what must hold."""
    days = chain(site)
    t = totals(days)
    result = Result(rows_of(days))
    result.notes = [
        "rule: the same day by rule from the same content, less content at its end counted; "
        "rule chain: by rule with its own content",
        *(f"left out {day}: {why}" for day, why in site.left_out.items()),
    ]
    result.counter("days planned", len(days), 14, least=True)
    result.counter("findings of verify", sum(d.findings for d in days), 0)
    result.counter("dearest day over its rule [EUR]", max(d.cost_eur - d.rule_eur for d in days), 1e-6)
    result.counter("saved against the rule's own chain [EUR]", t.chain_eur - t.cost_eur, 0.0, least=True)
    return result


@benchmark("real-district", "the shared district of 2023, day after day, perfect foresight, 1 h")
def real_district(full: bool) -> Result:
    reason = absent(DISTRICT_FILE)
    if reason:
        return Result(skipped=reason)
    days = days_from(date(2023, 1, 2), 271) if full else days_from(date(2023, 3, 20), 21)
    with district_site(days) as site:
        return planned(site)


@benchmark("real-house", "the French house of 2024, day after day, perfect foresight, 30 min")
def real_house(full: bool) -> Result:
    reason = absent(HOUSE_FILE, PRICE_FILE)
    if reason:
        return Result(skipped=reason)
    days = days_from(date(2024, 3, 2), 212) if full else days_from(date(2024, 3, 22), 28)
    with house_site(days) as site:
        return planned(site)
