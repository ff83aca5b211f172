"""``backtest``: what planning would have saved over past days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from gridopt.cli import common

DAY = click.DateTime(["%Y-%m-%d"])


@click.command(epilog=common.example("gridopt backtest district --from 2023-03-01 --to 2023-03-31 --out march"))
@click.argument("scenario")
@click.option("--from", "first", metavar="YYYY-MM-DD", type=DAY, required=True, help="First local day.")
@click.option("--to", "last", metavar="YYYY-MM-DD", type=DAY, required=True, help="Last local day.")
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), required=True, help="Folder of the record.")
@click.option(
    "--at-hour", "hour", metavar="H", type=common.Range(0, 23.99), default=13.5, show_default=True,
    help="Local hour of the day before at which a day is planned; prices are known from 13.",
)  # fmt: skip
@click.option(
    "--every", "every_h", metavar="HOURS", type=common.Range(1 / 12, 24), default=1.0, show_default=True,
    help="Time between rolling plans.",
)  # fmt: skip
@click.option(
    "--meter/--power", default=False, show_default="--power",
    help="Between plans batteries follow their meter by the plan's value of a stored kWh, or keep to their power.",
)  # fmt: skip
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes at work.")
@common.overlay_option
@common.set_option
@common.json_option
def backtest(
    scenario: str, first: datetime, last: datetime, out: Path, hour: float, every_h: float, meter: bool, workers: int,
    overlays: tuple[Path, ...], sets: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Show what plans would have saved.

    Past days are lived through again: by rule, by plans made of forecasts, and by perfect foresight. Every plan knows
    only what was known when it was made. Inputs and results of each day stay in DIR, and a day that stands there is not
    done again: a command that was stopped goes on where it was.
    """
    common.quick_imports()
    from gridopt.jobs import backtest as job

    settings = job.Settings(first.date(), last.date(), hour, every_h, meter)
    with common.progress() as tell:
        doc = common.unless_stopped(
            lambda: job.run(scenario, out, settings, overlays=overlays, sets=sets, workers=workers, tell=tell)
        )
    click.echo(common.document(doc) if as_json else words(doc))


def words(doc: Mapping[str, Any]) -> str:
    """The record for people."""
    from gridopt.cli.common import table

    head = ("", "EUR", "bought kWh", "sold kWh", "CO2 kg", "peak kW", "unserved kWh", "captured", "95 %", "plans")
    rows = [(way, *_figures(way, said, doc)) for way, said in doc["ways"].items()]
    span = doc["settings"]
    lines = [
        f"{doc['scenario']['title']}: {common.count(doc['days'], 'day')} from {span['first']} to {span['last']}",
        table(head, rows),
        "captured: what is saved against the rule, of what perfect foresight saves; the stores' last content counts",
    ]
    resting = doc["compared"]["rolling"]["captured_against_resting"]["value"]
    if resting is not None:
        lines.append(f"against batteries that rest, rolling plans capture {100 * resting:.1f} %")
    short = {c: share for c, share in doc["coverage"].items() if share < 1}
    lines += [f"{c}: {100 * share:.1f} % of the span is known" for c, share in short.items()]
    lines += [f"left out {day}: {why}" for day, why in doc["left_out"].items()]
    return "\n".join(lines)


def _figures(way: str, said: Mapping[str, Any], doc: Mapping[str, Any]) -> tuple[str, ...]:
    share = doc["compared"][way].get("captured_against_rule", {})
    value, low, high = (share.get(key) for key in ("value", "low", "high"))
    plans = f"{said['plans']}" + (f", {said['lower_rung']} by rule" if said["lower_rung"] else "")
    return (
        f"{said['cost_eur']:.2f}",
        f"{said['import_kwh']:.0f}",
        f"{said['export_kwh']:.0f}",
        "" if said["co2_kg"] is None else f"{said['co2_kg']:.0f}",
        f"{said['peak_kw']:.1f}",
        f"{said['unserved_kwh']:.1f}",
        "" if value is None else f"{100 * value:.1f} %",
        "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f} %",
        plans,
    )
