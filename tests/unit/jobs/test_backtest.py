"""Past days lived through again: no plan sees the future, days are carried over, a stopped backtest goes on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from gridopt.cli.main import main
from gridopt.errors import UsageError
from gridopt.jobs import backtest as job
from gridopt.jobs.backtest import FORECAST, WAYS, Settings

TOML = """format = 1
title = "A house by the canal"

[horizon]
start = "2023-03-20"
step_min = 60

[series]
files = ["house.csv"]
time = "time_utc"

[node.grid]
import_max_kw = 20
export_max_kw = 20

[commitment.spot]
kind = "energy"
node = "grid"
buy_eur_per_kwh = "buy_eur_per_kwh"
sell_eur_per_kwh = 0.03

[asset.home]
family = "load"
node = "grid"
power_kw = "house_kw"

[asset.roof]
family = "pv"
node = "grid"
peak_kw = 6
yield_kw_per_kw = "sun_kw_per_kw"

[asset.store]
family = "battery"
node = "grid"
capacity_kwh = 10
power_kw = 4
soc_min = 0
soc_max = 1
wear_eur_per_kwh = 0
"""
FIRST, LAST = date(2023, 3, 24), date(2023, 3, 28)
"""26 March has 23 hours."""
BEGIN = datetime(2023, 2, 20, tzinfo=UTC)
HOURS = 24 * 40
Change = Callable[[list[datetime], dict[str, np.ndarray]], None]


def house(folder: Path, change: Change | None = None) -> Path:
    """A scenario of 40 days made by a seeded generator."""
    rng = np.random.default_rng(3)
    times = [BEGIN + timedelta(hours=k) for k in range(HOURS)]
    hour = np.array([t.hour for t in times])
    day = np.arange(HOURS) // 24
    cloud = np.clip(rng.normal(0.7, 0.25, HOURS // 24), 0.1, 1.0)[day]
    series = {
        "house_kw": 0.6 + 0.8 * np.isin(hour, (6, 7, 18, 19, 20)) + rng.gamma(2.0, 0.1, HOURS),
        "sun_kw_per_kw": cloud * np.maximum(np.sin((hour - 6) / 12 * np.pi), 0.0) * 0.7,
        "buy_eur_per_kwh": 0.15 + 0.08 * np.sin((hour - 12) / 12 * 2 * np.pi) + rng.normal(0, 0.01, HOURS),
    }
    if change is not None:
        change(times, series)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scenario.toml").write_text(TOML)
    rows = [",".join(["time_utc", *series])]
    rows += [
        ",".join([t.isoformat(), *("" if np.isnan(x) else f"{x:.6f}" for x in values)])
        for t, *values in zip(times, *series.values(), strict=True)
    ]
    (folder / "house.csv").write_text("\n".join(rows) + "\n")
    return folder


def after(instant: datetime, column: str, value: Callable[[np.ndarray], np.ndarray]) -> Change:
    def change(times: list[datetime], series: dict[str, np.ndarray]) -> None:
        late = np.array([t >= instant for t in times])
        series[column] = np.where(late, value(series[column]), series[column])

    return change


def lived(folder: Path, out: Path, **said: Any) -> dict[str, Any]:
    return job.run(folder, out, Settings(FIRST, LAST, **said))


def table(out: Path, way: str, day: date) -> dict[str, np.ndarray]:
    read = pq.read_table(out / way / f"{day}.parquet")
    return {n: read.column(n).to_numpy() for n in read.column_names}


def told(out: Path, way: str, day: date) -> np.ndarray:
    found = table(out, way, day)
    return np.array([found[n] for n in sorted(found) if n.startswith("store") and n.endswith("told")])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """(scenario, record's folder, record) of days without any trap."""
    folder = house(tmp_path_factory.mktemp("plain"))
    return folder, folder / "out", lived(folder, folder / "out")


STEP_LOCAL = 16
STEP = datetime(2023, 3, 25, 15, tzinfo=UTC)
"""16:00 in Paris: from here on the house draws three kW more, which nobody could know before."""


def test_no_plan_sees_a_load_step_before_it_is_measured(
    plain: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    trapped = house(tmp_path / "trap", after(STEP, "house_kw", lambda kw: kw + 3.0))
    lived(trapped, tmp_path / "out")
    known, trap, day = plain[1], tmp_path / "out", STEP.date()
    for way in ("plan", "rolling"):
        assert told(known, way, FIRST) == pytest.approx(told(trap, way, FIRST), abs=1e-9)
    assert told(known, "plan", day) == pytest.approx(told(trap, "plan", day), abs=1e-9)
    # The plan of the 26th was made at 13:30 on the 25th.
    assert told(known, "plan", date(2023, 3, 26)) == pytest.approx(told(trap, "plan", date(2023, 3, 26)), abs=1e-9)
    here, there = told(known, "rolling", day), told(trap, "rolling", day)
    assert here[:, : STEP_LOCAL + 1] == pytest.approx(there[:, : STEP_LOCAL + 1], abs=1e-9)
    # That the trap bites: later plans know of it, and perfect foresight knew all along.
    assert np.abs(told(known, "rolling", date(2023, 3, 26)) - told(trap, "rolling", date(2023, 3, 26))).max() > 0.1
    before = [np.abs(told(known, "perfect", d) - told(trap, "perfect", d))[:, :STEP_LOCAL].max() for d in (FIRST, day)]
    assert max(before) > 0.1


SPIKE = datetime(2023, 3, 26, 22, tzinfo=UTC)
"""Midnight of the 27th in Paris; its prices are published on the 26th at 13:00."""


def spiked(price: np.ndarray) -> np.ndarray:
    """What was cheap becomes very dear, the rest free: as much another day as there can be."""
    return np.where(price < 0.12, 6.0, 0.0)


def test_no_plan_sees_a_price_spike_before_it_is_published(
    plain: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    trapped = house(tmp_path / "trap", after(SPIKE, "buy_eur_per_kwh", spiked))
    lived(trapped, tmp_path / "out")
    known, trap, eve = plain[1], tmp_path / "out", date(2023, 3, 26)
    for day in (FIRST, date(2023, 3, 25)):
        for way in ("plan", "rolling"):
            assert told(known, way, day) == pytest.approx(told(trap, way, day), abs=1e-9)
    assert told(known, "plan", eve) == pytest.approx(told(trap, "plan", eve), abs=1e-9)
    published = 12  # the step that begins at 13:00 of a day whose second hour is missing
    here, there = told(known, "rolling", eve), told(trap, "rolling", eve)
    assert here[:, :published] == pytest.approx(there[:, :published], abs=1e-9)
    assert np.abs(here[:, published:] - there[:, published:]).max() > 0.1
    assert np.abs(told(known, "plan", date(2023, 3, 27)) - told(trap, "plan", date(2023, 3, 27))).max() > 0.1


def test_planned_before_publication_a_price_is_forecast(tmp_path: Path) -> None:
    folder = house(tmp_path / "trap", after(SPIKE, "buy_eur_per_kwh", spiked))
    lived(folder, tmp_path / "noon", hour=12.0)
    lived(folder, tmp_path / "later")
    price = FORECAST + "buy_eur_per_kwh"
    noon, later = (pq.read_table(tmp_path / n / "inputs" / "2023-03-27.parquet") for n in ("noon", "later"))
    assert noon.column(price).to_numpy()[:24].max() < 1.0
    assert later.column(price).to_numpy()[:24].max() > 5.0


def test_every_day_goes_on_where_the_one_before_ended(plain: tuple[Path, Path, dict[str, Any]]) -> None:
    days = Settings(FIRST, LAST).days
    for way in WAYS:
        read = [json.loads((plain[1] / way / f"{d}.json").read_text()) for d in days]
        assert read[0]["start_kwh"]["store"] == pytest.approx(5.0)
        for first, second in itertools.pairwise(read):
            assert second["start_kwh"] == pytest.approx(first["end_kwh"])
        assert [len(table(plain[1], way, d)["time"]) for d in days] == [24, 24, 23, 24, 24]


def test_powers_balance_with_what_came(plain: tuple[Path, Path, dict[str, Any]]) -> None:
    for way in WAYS:
        for day in Settings(FIRST, LAST).days:
            found = table(plain[1], way, day)
            came = pq.read_table(plain[1] / "inputs" / f"{day}.parquet").column("house_kw").to_numpy()
            assert found["home.ac_kw"] == pytest.approx(came[: len(found["time"])], abs=1e-9)
            drawn = found["home.ac_kw"] + found["roof.ac_kw"] + found["store.ac_kw"]
            assert found["grid.net_kw"] == pytest.approx(drawn, abs=1e-9)
            assert found["store.soc_kwh"].min() > -1e-9
            assert found["store.soc_kwh"].max() < 10 + 1e-9


def test_money_is_the_price_of_what_was_drawn(plain: tuple[Path, Path, dict[str, Any]]) -> None:
    for way in WAYS:
        for day in Settings(FIRST, LAST).days:
            found = table(plain[1], way, day)
            price = pq.read_table(plain[1] / "inputs" / f"{day}.parquet").column("buy_eur_per_kwh").to_numpy()
            net = found["grid.net_kw"]
            eur = float(np.maximum(net, 0) @ price[: len(net)]) - 0.03 * float(np.maximum(-net, 0).sum())
            assert json.loads((plain[1] / way / f"{day}.json").read_text())["eur"] == pytest.approx(eur, abs=1e-9)


def test_perfect_foresight_is_the_cheapest(plain: tuple[Path, Path, dict[str, Any]]) -> None:
    costs = {way: said["cost_eur"] for way, said in plain[2]["ways"].items()}
    assert min(costs, key=lambda way: costs[way]) == "perfect"
    assert costs["rolling"] < costs["resting"]
    assert plain[2]["compared"]["perfect"]["captured_against_rule"]["value"] == pytest.approx(1.0)


def test_a_backtest_stopped_at_any_day_goes_on_and_comes_to_the_same(
    plain: tuple[Path, Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, left = job._put, 14

    def stops(file: Path, content: bytes) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        put(file, content)

    monkeypatch.setattr(job, "_put", stops)
    tries = 0
    while True:
        try:
            doc = lived(plain[0], tmp_path / "out")
            break
        except KeyboardInterrupt:
            tries, left = tries + 1, 14
    assert tries > 2
    assert {k: doc[k] for k in ("ways", "compared", "daily_eur")} == {
        k: plain[2][k] for k in ("ways", "compared", "daily_eur")
    }


def test_processes_come_to_the_same(plain: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    doc = job.run(plain[0], tmp_path / "out", Settings(FIRST, LAST), workers=2)
    assert doc == plain[2]


def test_a_record_is_not_changed_by_other_data(plain: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    assert lived(plain[0], plain[1]) == plain[2]
    folder = house(tmp_path / "a")
    lived(folder, tmp_path / "out")
    house(folder, after(SPIKE, "house_kw", lambda kw: kw + 1.0))
    with pytest.raises(UsageError, match="holds another backtest"):
        lived(folder, tmp_path / "out")
    with pytest.raises(UsageError, match="holds another backtest"):
        lived(plain[0], plain[1], meter=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        lived(plain[0], tmp_path / "full")


def test_a_day_with_a_gap_is_left_out_with_the_reason(tmp_path: Path) -> None:
    def gap(times: list[datetime], series: dict[str, np.ndarray]) -> None:
        series["house_kw"][[k for k, t in enumerate(times) if t.date() == date(2023, 3, 25) and t.hour < 2]] = np.nan

    doc = lived(house(tmp_path / "gap", gap), tmp_path / "out")
    assert doc["left_out"] == {"2023-03-25": "2 steps of house_kw"}
    assert doc["days"] == 4
    assert doc["coverage"]["house_kw"] == pytest.approx(1 - 2 / 119)
    assert doc["coverage"]["buy_eur_per_kwh"] == 1.0


def test_what_is_not_carried_yet_is_refused(tmp_path: Path) -> None:
    folder = house(tmp_path / "car")
    peak = '[commitment.peak]\nkind = "peak"\nnode = "grid"\nprice_eur_per_kw = 5\n'
    (folder / "scenario.toml").write_text(TOML + peak)
    with pytest.raises(UsageError, match="peaks and hours so far: peak"):
        lived(folder, tmp_path / "out")


def test_the_command_tells_the_figures(plain: tuple[Path, Path, dict[str, Any]]) -> None:
    span = ["--from", str(FIRST), "--to", str(LAST), "--out", str(plain[1])]
    done = CliRunner().invoke(main, ["backtest", str(plain[0]), *span])
    assert done.exit_code == 0, done.output
    assert "A house by the canal: 5 days" in done.output
    assert f"{plain[2]['ways']['rolling']['cost_eur']:.2f}" in done.output
    as_json = CliRunner().invoke(main, ["backtest", str(plain[0]), *span, "--json"])
    assert json.loads(as_json.stdout) == plain[2]
    wrong = CliRunner().invoke(main, ["backtest", str(plain[0]), "--from", "2023-04-02", *span[2:]])
    assert wrong.exit_code == 2
    assert "is before" in wrong.output
