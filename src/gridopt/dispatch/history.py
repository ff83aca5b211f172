"""What the journal says was done to each device: counts for its memory, running times, and what was left standing.

Nothing else is kept over a restart: the journal is on the disk before any frame is sent, so what is read from it is
never less than what was done.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gridopt.devices.schema import Write
from gridopt.dispatch.envelope import Past, is_on
from gridopt.dispatch.prove import Status
from gridopt.store.journal import INTENT, RESULT, Entry

REFRESHES = "refreshes"
"""Note: so many refreshes that are about to be written, ahead of the first of them."""
PLAN = "plan"
"""Note: a plan that is followed from now on."""
ADOPTED = "adopted"
"""Note: a value that the device held already, held from now on."""
LEFT = "left"
"""Note: refreshed no more, so that its fail-safe takes the device back."""
RELEASE = "release"
"""Reason of an intent that gives a device back."""
APPLIED = (Status.APPLIED, Status.CONFIRMED)
DAY = timedelta(days=1)
FIGURES = re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?")


class Once:
    """What was said already about the step of a plan. Figures that only move say nothing new, nor does a second reason
    that takes turns with a first; a new step is a new beginning."""

    def __init__(self) -> None:
        self._about: tuple[object, ...] = ()
        self._said: set[tuple[str, str]] = set()

    def new(self, about: tuple[object, ...], who: str, text: str) -> bool:
        """Whether this was not said yet, of ``who``, about this step; it is from now on."""
        if about != self._about:
            self._about, self._said = about, set()
        said = who, FIGURES.sub("#", text)
        if said in self._said:
            return False
        self._said.add(said)
        return True


@dataclass
class Record:
    """One command of one device. ``standing``: what it was told last and not given back, as far as is known;
    ``open``: an intent without outcome, of which nobody knows whether it arrived."""

    standing: float | None = None
    standing_time: datetime | None = None
    changed: datetime | None = None
    on: bool | None = None
    switched: datetime | None = None
    writes_ever: int = 0
    open: Entry | None = None
    _day: deque[tuple[datetime, int]] = field(default_factory=deque)
    _today: int = 0

    def wrote(self, time: datetime, requests: int) -> None:
        self._day.append((time, requests))
        self._today += requests
        self.writes_ever += requests

    def stood(self, write: Write, time: datetime, value: float) -> None:
        """The device holds a new value."""
        self.standing, self.standing_time, self.changed = value, time, time
        on = is_on(write, value)
        if on != self.on:
            self.on, self.switched = on, time

    def gave_back(self) -> None:
        self.standing = self.standing_time = None

    def past(self, now: datetime) -> Past:
        """As the envelope asks for it. A clock that was set back makes nothing older than it is."""
        while self._day and now - self._day[0][0] >= DAY:
            self._today -= self._day.popleft()[1]
        changed, switched = (
            None if t is None else max((now - t).total_seconds(), 0.0) for t in (self.changed, self.switched)
        )
        return Past(changed, self._today, self.writes_ever, self.on, switched)


class History:
    """Records by (device, name of the command)."""

    def __init__(self, entries: Iterable[Entry] = (), writes: dict[tuple[str, str], Write] | None = None) -> None:
        self.records: dict[tuple[str, str], Record] = {}
        self.plan: tuple[str, datetime] | None = None
        """Id and time of creation of the newest plan that was followed."""
        self._intents: dict[int, Entry] = {}
        self._writes = writes or {}
        for entry in entries:
            self.add(entry)

    def of(self, device: str, command: str) -> Record:
        return self.records.setdefault((device, command), Record())

    def add(self, entry: Entry) -> None:
        if entry.kind == PLAN:
            created = datetime.fromisoformat(str(entry.body["created"]))
            if self.plan is None or created >= self.plan[1]:
                self.plan = str(entry.body["plan"]), created
        elif entry.kind == INTENT and entry.device is not None:
            record = self.of(entry.device, str(entry.body["command"]))
            record.wrote(entry.time, len(entry.body["frames"]))
            record.open = entry
            self._intents[entry.seq] = entry
        elif entry.kind == REFRESHES and entry.device is not None:
            self.of(entry.device, str(entry.body["command"])).wrote(entry.time, int(entry.body["requests"]))
        elif entry.kind == ADOPTED and entry.device is not None:
            key = entry.device, str(entry.body["command"])
            if key in self._writes:
                self.of(*key).stood(self._writes[key], entry.time, float(entry.body["value"]))
        elif entry.kind == LEFT and entry.device is not None:
            write = self._writes.get((entry.device, str(entry.body["command"])))
            if write is not None and write.fail_safe.kind != "none":
                self.of(entry.device, str(entry.body["command"])).gave_back()
        elif entry.kind == RESULT:
            intent = self._intents.pop(int(entry.body["intent"]), None)
            if intent is not None and intent.device is not None:
                self._conclude(self.of(intent.device, str(intent.body["command"])), intent, entry)

    def _conclude(self, record: Record, intent: Entry, result: Entry) -> None:
        if record.open is not None and record.open.seq == intent.seq:
            record.open = None
        outcome, new = result.body["outcome"], intent.body["new"]
        if intent.body["reason"] == RELEASE:
            if outcome in (Status.RELEASED, Status.LEFT):
                record.gave_back()
        elif outcome in APPLIED and isinstance(new, (int, float)) and intent.device is not None:
            write = self._writes.get((intent.device, str(intent.body["command"])))
            if write is not None:
                record.stood(write, result.time, float(new))
        elif outcome == Status.UNKNOWN:
            record.open = intent
