"""Forecasts of what the store holds: the best method for each series, its quantiles kept with when they were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from gridopt.errors import DataError
from gridopt.forecast.boosted import TRAIN_DAYS
from gridopt.forecast.choose import Choice, choose, forecast
from gridopt.forecast.past import US, Floats, Grid, cut, on_grid
from gridopt.forecast.score import QUANTILES, day_grid
from gridopt.store.series import Rows, SeriesStore

PREFIX = "forecast_"
LOOK_BACK = timedelta(days=TRAIN_DAYS + 60)
NO_STEP = "{source} has values of {step}; forecasts are of intervals that fill an hour: name other series with --source"
DAYS = 2
"""A forecast reaches from the next step to the end of tomorrow."""


@dataclass(frozen=True)
class Made:
    """The forecast of one source: ``value`` (len(QUANTILES), grid.count)."""

    source: str
    grid: Grid
    value: Floats
    choice: Choice


def make(store: SeriesStore, quantity: str, sources: Sequence[str], now: datetime, zone: str) -> list[Made]:
    """Forecasts from ``now`` to the end of tomorrow, from what was known then.

    Raises DataError where nothing was, or where a series is not of intervals that fill an hour.
    """
    rows = store.read(quantity, now - LOOK_BACK, now + timedelta(days=DAYS + 1), sources or None, known_by=now)
    if np.isnan(rows.value).all():
        named = f" of {', '.join(sources)}" if sources else ""
        raise DataError("the store holds no {quantity}{named} known by {now}", quantity=quantity, named=named, now=now)
    return [_one(rows, str(source), now, zone) for source in dict.fromkeys(rows.source)]


def _one(rows: Rows, source: str, now: datetime, zone: str) -> Made:
    of = np.asarray(rows.source) == source
    times, steps, value = rows.time[of] // US, rows.step_s[of], rows.value[of]
    step_s = int(np.median(steps))
    if not 0 < step_s <= 3600 or 3600 % step_s:
        raise DataError(NO_STEP, source=source, step=f"{step_s} s" if step_s else "an instant")
    issued = int(now.timestamp())
    first = int(times[0] // step_s * step_s)
    grid = Grid(first, step_s, max((issued - first) // step_s, 0), zone)
    past = cut(grid, on_grid(times, steps, value, grid), issued)
    local = now.astimezone(ZoneInfo(zone))
    choice = choose(past, local.hour + local.minute / 60)
    target = _target(local.date(), issued, step_s, zone)
    known = on_grid(times, steps, value, target)  # such as prices that are published already
    return Made(source, target, np.where(np.isnan(known), forecast(past, target, choice), known), choice)


def _target(today: date, issued: int, step_s: int, zone: str) -> Grid:
    """The steps after ``issued``, to the end of tomorrow."""
    whole = day_grid(today, step_s, zone, DAYS)
    gone = max(-(-(issued - whole.first) // step_s), 0)
    return Grid(whole.first + gone * step_s, step_s, whole.count - gone, zone)


def keep(store: SeriesStore, quantity: str, made: Sequence[Made], now: datetime) -> None:
    """Leave forecasts in the store: quantity ``forecast_…``, source ``<source>/p10`` …, known since ``now``."""
    known = round(now.timestamp() * US)
    for one in made:
        n = one.grid.count
        for q, value in zip(QUANTILES, one.value, strict=True):
            name = f"{one.source}/p{round(100 * q):02}"
            quality = np.where(np.isnan(value), "missing", "guessed").astype(object)
            steps = np.full(n, one.grid.step_s, np.int64)
            source = np.full(n, name, object)
            store.add(Rows(PREFIX + quantity, source, one.grid.times * US, steps, value, quality, np.full(n, known)))
