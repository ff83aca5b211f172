"""How good a method is: forecasts made again on past days, each with what was known then, against what came.

    mae      = mean |y - x|                                    x the median
    pinball  = mean over quantiles q of max(q (y - x_q), (q - 1) (y - x_q))

Source: R. Koenker, G. Bassett, "Regression quantiles", Econometrica 46 (1978).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from gridopt.forecast.past import Floats, Grid, Past, cut

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
MEDIAN = QUANTILES.index(0.5)

Forecast = Callable[[Past, Grid], Floats]
"""What is known, and the steps to forecast → (len(QUANTILES), count)."""


@dataclass(frozen=True)
class Score:
    """Errors over days that could be judged. ``mae``, ``pinball`` in the unit of the series."""

    days: int
    values: int
    mae: float
    pinball: float


def day_grid(day: date, step_s: int, zone: str, days: int = 1) -> Grid:
    """The steps of whole local days: 23 and 25 hours come out right."""
    tz = ZoneInfo(zone)
    first, last = (round(datetime.combine(day + timedelta(days=k), time(), tz).timestamp()) for k in (0, days))
    return Grid(first, step_s, (last - first) // step_s, zone)


def issue_time(day: date, hour: float, zone: str) -> int:
    """The instant of a local hour of a day [s since 1970 UTC]."""
    minutes = round(hour * 60)
    local = datetime.combine(day, time(minutes // 60, minutes % 60), ZoneInfo(zone))
    return round(local.astimezone(UTC).timestamp())


def targets(past: Past, days: int, issue_hour: float) -> list[tuple[int, Grid]]:
    """The last ``days`` days whose values are known, each with when its forecast was due: the day before."""
    grid = past.grid
    known = np.flatnonzero(~np.isnan(past.value))
    if not len(known):
        return []
    last = date(1970, 1, 1) + timedelta(days=int(grid.day[known[-1]]))
    found = []
    for back in range(days - 1, -1, -1):
        day = last - timedelta(days=back)
        issued = issue_time(day - timedelta(days=1), issue_hour, grid.zone)
        if issued > grid.first:
            found.append((issued, day_grid(day, grid.step_s, grid.zone)))
    return found


def value_at(past: Past, target: Grid) -> Floats:
    """What is known of a target's steps; NaN where nothing is."""
    at = (target.times - past.grid.first) // past.grid.step_s
    inside = (at >= 0) & (at < past.grid.count)
    found = np.full(target.count, np.nan)
    found[inside] = past.value[at[inside]]
    return found


def judge(forecasts: Sequence[Floats], actuals: Sequence[Floats]) -> Score:
    """Errors of forecasts (len(QUANTILES), n) against what came (n,); what is not known is not judged."""
    absolute = pinball = 0.0
    values = days = 0
    for forecast, actual in zip(forecasts, actuals, strict=True):
        judged = ~np.isnan(actual) & ~np.isnan(forecast).any(0)
        if not judged.any():
            continue
        days += 1
        values += int(judged.sum())
        error = actual[judged] - forecast[:, judged]
        absolute += float(np.abs(error[MEDIAN]).sum())
        q = np.array(QUANTILES)[:, None]
        pinball += float(np.maximum(q * error, (q - 1) * error).mean(0).sum())
    if not values:
        return Score(0, 0, float("nan"), float("nan"))
    return Score(days, values, absolute / values, pinball / values)


def replay(past: Past, forecast: Forecast, days: int, issue_hour: float) -> tuple[list[Floats], list[Floats]]:
    """Forecasts of the last days, each made from what was known when it was due, and what came."""
    forecasts, actuals = [], []
    for issued, target in targets(past, days, issue_hour):
        forecasts.append(forecast(cut(past.grid, past.value, issued), target))
        actuals.append(value_at(past, target))
    return forecasts, actuals
