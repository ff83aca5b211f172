"""``forecast``: what the series of the store will be, by the method that did best."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from gridopt.cli import common
from gridopt.cli.intake import store_option

if TYPE_CHECKING:
    from gridopt.jobs.forecast import Made


@click.command(epilog=common.example("gridopt forecast price_eur_per_kwh --source fr --store store"))
@click.argument("quantity")
@click.option("--source", "sources", multiple=True, help="Which series; may be given again. All of the quantity.")
@click.option("--at", "at", metavar="TIME", help="Make it as it would have been made then: 2026-01-15T12:00+01:00.")
@click.option("--zone", default="Europe/Paris", show_default=True, help="Time zone whose days people live by.")
@store_option
@common.json_option
def forecast(
    quantity: str, sources: tuple[str, ...], at: str | None, zone: str, place: str | None, as_json: bool
) -> None:
    """Forecast a series to the end of tomorrow.

    Several methods are tried on the last four weeks, each with what was known at the time; the best one is taken, and
    the plain reference (the same time last week) where none is clearly better. Quantiles and scores are kept in the
    store and shown. The boosted method needs scikit-learn: pip install 'gridopt-engine[forecast]'.
    """
    from zoneinfo import ZoneInfo

    from gridopt.clock import parse_instant
    from gridopt.errors import UsageError
    from gridopt.jobs import forecast as job
    from gridopt.store.series import SeriesStore
    from gridopt.written.words import did_you_mean

    if place is None:
        raise UsageError("name the store with --store, or in GRIDOPT_STORE")
    try:
        ZoneInfo(zone)
        now = common.now() if at is None else parse_instant(at, zone)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError("--at or --zone cannot be read: {why}", why=str(error)) from error
    store = SeriesStore.open(place)
    known = store.quantities()
    if quantity not in known:
        hint = did_you_mean(quantity, known, "there are") or "; the store is empty"
        raise UsageError("the store holds no {quantity}{hint}", quantity=quantity, hint=hint)
    made = job.make(store, quantity, sources, now, zone)
    job.keep(store, quantity, made, now)
    if as_json:
        click.echo(common.document({"format": 1, "quantity": quantity, "made": [_as_json(one, now) for one in made]}))
        return
    for one in made:
        _tell(one, quantity)


def _tell(one: Made, quantity: str) -> None:
    from gridopt.forecast.naive import REFERENCE

    head = ("method", "mean error", "pinball", "days judged")
    rows = [
        (("→ " if name == one.choice.name else "  ") + name, f"{s.mae:.4g}", f"{s.pinball:.4g}", str(s.days))
        for name, s in sorted(one.choice.scores.items(), key=lambda item: item[1].pinball)
    ]
    click.echo(f"{one.source}: {quantity} by {one.choice.name}, {one.grid.count} steps kept")
    click.echo(common.table(head, rows))
    if one.choice.name == REFERENCE:
        click.echo("the reference: no other method was clearly better")


def _as_json(one: Made, now: datetime) -> dict[str, Any]:
    from gridopt.forecast.score import QUANTILES

    scores = {
        n: {"days": s.days, "values": s.values, "mae": _known(s.mae), "pinball": _known(s.pinball)}
        for n, s in one.choice.scores.items()
    }
    quantiles = {f"p{round(100 * q):02}": [_known(x) for x in v] for q, v in zip(QUANTILES, one.value, strict=True)}
    grid = {"first": int(one.grid.first), "step_s": one.grid.step_s, "count": one.grid.count}
    return {"source": one.source, "method": one.choice.name, "issued": now.isoformat(), **grid, "scores": scores} | {
        "quantiles": quantiles
    }


def _known(value: float) -> float | None:
    """A number as JSON has it; null where nothing is known."""
    return None if math.isnan(value) else float(value)
