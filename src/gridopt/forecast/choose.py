"""Which method forecasts a series: the best of the last weeks, or the reference where none was clearly better."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gridopt.errors import UsageError
from gridopt.forecast.boosted import LEAST_DAYS, Boosted, Weather
from gridopt.forecast.naive import METHODS, REFERENCE
from gridopt.forecast.past import DAY_S, Floats, Grid, Past, cut
from gridopt.forecast.score import Forecast, Score, judge, replay, targets, value_at
from gridopt.forecast.spread import Spread

JUDGED_DAYS = 28
LATELY_DAYS = (14, 7, 3)
MARGIN = 0.02
"""A method takes the reference's place when its error is smaller by this share, over weeks and in the last days: less
is luck, and what was good in spring may not be in summer."""
BOOSTED = "boosted"


@dataclass(frozen=True)
class Choice:
    """The method taken, the scores it was taken by, and the forecast itself."""

    name: str
    scores: Mapping[str, Score]
    forecast: Forecast


class Chooser:
    """Chooses again and again for one series whose past grows: what was judged once is not judged again."""

    def __init__(self, issue_hour: float, weather: Weather | None = None, boosted: bool = True) -> None:
        self.issue_hour, self.weather, self.boosted = issue_hour, weather, boosted
        self.plain: dict[str, Forecast] = {name: Spread(method, issue_hour) for name, method in METHODS.items()}
        self._judged: dict[tuple[str, int], tuple[Floats, Floats]] = {}

    def choose(self, past: Past) -> Choice:
        """The best method, judged by forecasts made again on the last days; the reference with too little to judge by.

        The boosted model is judged on days that it did not learn from, then learns from all.
        """
        replays = {name: self._replay(name, f, past) for name, f in self.plain.items()}
        if self.boosted and past.days >= LEAST_DAYS + JUDGED_DAYS:
            with contextlib.suppress(ValueError, UsageError):
                before = cut(past.grid, past.value, past.issued - JUDGED_DAYS * DAY_S)
                model = Boosted(self.issue_hour, self.weather).fit(before)
                replays[BOOSTED] = replay(past, model, JUDGED_DAYS, self.issue_hour)
        scores = {name: judge(*both) for name, both in replays.items()}
        lately = [{name: judge(f[-n:], a[-n:]) for name, (f, a) in replays.items()} for n in LATELY_DAYS]
        name = _best(scores, lately)
        taken = Boosted(self.issue_hour, self.weather).fit(past) if name == BOOSTED else self.plain[name]
        return Choice(name, scores, taken)

    def _replay(self, name: str, forecast: Forecast, past: Past) -> tuple[list[Floats], list[Floats]]:
        pairs = []
        for issued, target in targets(past, JUDGED_DAYS, self.issue_hour):
            made = self._judged.get((name, target.first))
            if made is None:
                made = forecast(cut(past.grid, past.value, issued), target), value_at(past, target)
                if target.times[-1] + target.step_s <= past.issued:  # a day that goes on is judged again
                    self._judged[name, target.first] = made
            pairs.append(made)
        return [f for f, _ in pairs], [a for _, a in pairs]


def choose(past: Past, issue_hour: float, weather: Weather | None = None, boosted: bool = True) -> Choice:
    """The best method for a series, once; see ``Chooser``."""
    return Chooser(issue_hour, weather, boosted).choose(past)


def _best(scores: Mapping[str, Score], lately: Sequence[Mapping[str, Score]]) -> str:
    judged = {name: s.pinball for name, s in scores.items() if s.days}
    if REFERENCE not in judged:
        return min(judged, key=lambda n: judged[n]) if judged else REFERENCE

    def better(name: str) -> bool:
        return all(s[name].pinball < (1 - MARGIN) * s[REFERENCE].pinball for s in (scores, *lately))

    return min((n for n in judged if n == REFERENCE or better(n)), key=lambda n: judged[n])


def forecast(past: Past, target: Grid, choice: Choice) -> Floats:
    """(len(QUANTILES), count) quantiles by the method chosen; NaN where nothing is known of the series at all."""
    found = choice.forecast(past, target)
    if np.isnan(found).any() and choice.name != REFERENCE:
        found = np.where(np.isnan(found), Spread(METHODS[REFERENCE], 12.0)(past, target), found)
    return found
