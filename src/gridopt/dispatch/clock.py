"""Two clocks: the monotonic one measures intervals, the wall's says which step of the plan it is.

A wall clock that steps (someone sets it, a machine wakes up) is not believed: time then goes on from the last trusted
instant by the monotonic clock, and whoever asks must begin no new step of a plan by it. Changes of summer time do not
touch it: it is UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

STEP_S = 2.0
"""A wall clock that departs by more from the monotonic one between two looks has been set. NTP slews slower."""
UNSYNCED_S = 3600.0
"""How long a clock that says it is not synchronised is believed."""


@dataclass(frozen=True)
class Moment:
    """Now. ``at_s``: monotonic [s]; ``now``: UTC; ``why``: why ``now`` must not begin a new step, or ""."""

    at_s: float
    now: datetime
    why: str = ""

    @property
    def trusted(self) -> bool:
        return not self.why


class Clock:
    """``synchronised()``: whether the system says that its clock follows a reference; ``step_s``: see ``STEP_S``, inf
    for a simulated day that goes by faster than its seconds."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
        synchronised: Callable[[], bool] = lambda: True,
        unsynced_s: float = UNSYNCED_S,
        step_s: float = STEP_S,
    ) -> None:
        self._step_s = step_s
        self.monotonic, self._now = monotonic, now
        self._synchronised, self._unsynced_s = synchronised, unsynced_s
        self._zero = self._wall() - timedelta(seconds=monotonic())
        self._synced_at_s = monotonic()

    def _wall(self) -> datetime:
        return self._now().astimezone(UTC)

    def look(self) -> Moment:
        at_s, wall = self.monotonic(), self._wall()
        zero = wall - timedelta(seconds=at_s)
        step_s = (zero - self._zero).total_seconds()
        if abs(step_s) > self._step_s:
            return Moment(at_s, self._zero + timedelta(seconds=at_s), f"the clock was set by {step_s:+.1f} s")
        self._zero = zero
        if self._synchronised():
            self._synced_at_s = at_s
        elif at_s - self._synced_at_s > self._unsynced_s:
            return Moment(at_s, wall, f"the clock has not been synchronised for {at_s - self._synced_at_s:.0f} s")
        return Moment(at_s, wall)
