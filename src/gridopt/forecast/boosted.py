"""Gradient-boosted quantiles: what the naive methods say, the calendar, and weather as it was forecast.

One model a quantile learns the error of the reference method, so that with little to learn from it says what the
reference says. Each day of the training was seen as on the day before: nothing known later is among its features.

Source: J. H. Friedman, "Greedy function approximation", Annals of Statistics 29 (2001), as scikit-learn has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gridopt.errors import UsageError
from gridopt.forecast.naive import METHODS, REFERENCE, filled
from gridopt.forecast.past import Floats, Grid, Past, cut
from gridopt.forecast.score import QUANTILES, targets, value_at

LEAST_DAYS = 28
TRAIN_DAYS = 180
SEED = 1

Weather = Callable[[int, Grid], Floats]
"""(issued, target) → (features, count): weather as it was forecast then. What was measured later is none."""


class Boosted:
    """A model for one series. Call ``fit`` first, then as any forecast."""

    def __init__(self, issue_hour: float, weather: Weather | None = None) -> None:
        self.issue_hour, self.weather = issue_hour, weather
        self.models: list[Any] = []

    def fit(self, past: Past) -> Boosted:
        """Learn from the days known. Raises UsageError where scikit-learn is missing, ValueError with too few days."""
        try:
            from sklearn.ensemble import HistGradientBoostingRegressor
            from threadpoolctl import threadpool_limits
        except ImportError:
            raise UsageError(
                "the boosted forecast needs scikit-learn: pip install 'gridopt-engine[forecast]'"
            ) from None
        rows, goals = [], []
        for issued, target in targets(past, TRAIN_DAYS, self.issue_hour):
            if target.times[-1] + target.step_s > past.issued:
                continue
            features, reference = self._features(cut(past.grid, past.value, issued), target)
            error = value_at(past, target) - reference
            known = ~np.isnan(error)
            rows.append(features[known])
            goals.append(error[known])
        if sum(len(g) > 0 for g in goals) < LEAST_DAYS:
            raise ValueError(f"fewer than {LEAST_DAYS} days to learn from")
        x, y = np.concatenate(rows), np.concatenate(goals)
        with threadpool_limits(1, "openmp"):  # so small a table is split among threads for nothing
            self.models = [
                HistGradientBoostingRegressor(
                    loss="quantile",
                    quantile=q,
                    max_iter=120,
                    learning_rate=0.06,
                    max_leaf_nodes=15,
                    min_samples_leaf=40,
                    l2_regularization=1.0,
                    random_state=SEED,
                ).fit(x, y)
                for q in QUANTILES
            ]
        return self

    def __call__(self, past: Past, target: Grid) -> Floats:
        from threadpoolctl import threadpool_limits

        features, reference = self._features(past, target)
        with threadpool_limits(1, "openmp"):
            found = np.sort([reference + model.predict(features) for model in self.models], 0)
        return np.maximum(found, 0.0) if past.never_negative else found

    def _features(self, past: Past, target: Grid) -> tuple[Floats, Floats]:
        """((count, features), (count,) the reference's forecast)."""
        said = {name: filled(past, target, method) for name, method in METHODS.items()}
        columns = [target.slot, target.weekday, (target.day % 365.25), *said.values()]
        if self.weather is not None:
            columns += list(self.weather(past.issued, target))
        return np.column_stack([np.asarray(c, float) for c in columns]), said[REFERENCE]
