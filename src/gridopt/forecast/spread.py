"""From a value to quantiles: a method's own errors of the last weeks, by the time of day."""

from __future__ import annotations

import numpy as np

from gridopt.forecast.naive import Method, filled
from gridopt.forecast.past import DAY_S, Floats, Grid, Past, cut
from gridopt.forecast.score import QUANTILES, targets, value_at

ERROR_DAYS = 28
NEAR_S = 5400
"""Errors within this time of day of a step count for it."""


class Spread:
    """A method with quantiles around it. Errors of a day are computed once, whichever forecast asks for them."""

    def __init__(self, method: Method, issue_hour: float) -> None:
        self.method, self.issue_hour = method, issue_hour
        self._errors: dict[int, tuple[Floats, Floats]] = {}

    def __call__(self, past: Past, target: Grid) -> Floats:
        """(len(QUANTILES), count): the method's value, and quantiles of its errors at that time of day around it."""
        value = filled(past, target, self.method)
        slots, errors = self._recent(past)
        if not len(errors):
            return np.repeat(value[None], len(QUANTILES), 0)
        grid = past.grid
        reach = max(NEAR_S // grid.step_s, 0)
        found = np.empty((len(QUANTILES), target.count))
        for slot in np.unique(target.slot):
            away = np.abs(slots - slot)
            near = errors[np.minimum(away, DAY_S // grid.step_s - away) <= reach]
            spread = np.quantile(near, QUANTILES) if len(near) else np.zeros(len(QUANTILES))
            at = target.slot == slot
            # The method's value stays the median: its errors say how sure it is, not that it is wrong.
            found[:, at] = value[at] + (spread - spread[len(QUANTILES) // 2])[:, None]
        return np.maximum(found, 0.0) if past.never_negative else found

    def _recent(self, past: Past) -> tuple[Floats, Floats]:
        """(slots, errors) of the last days that had ended when the forecast is made."""
        slots, errors = [np.empty(0)], [np.empty(0)]
        for issued, target in targets(past, ERROR_DAYS, self.issue_hour):
            if target.times[-1] + target.step_s > past.issued:
                continue
            key = int(target.first)
            if key not in self._errors:
                then = cut(past.grid, past.value, issued)
                error = value_at(past, target) - filled(then, target, self.method)
                known = ~np.isnan(error)
                self._errors[key] = target.slot[known].astype(float), error[known]
            slots.append(self._errors[key][0])
            errors.append(self._errors[key][1])
        return np.concatenate(slots), np.concatenate(errors)
