"""Rooms that people book: when somebody is in."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from gridopt.clock import Floats
from gridopt.holidays import is_resting
from gridopt.scenario.generate.cells import Cells
from gridopt.scenario.generate.kinds import kind
from gridopt.scenario.generate.noise import uniform
from gridopt.scenario.generate.parameters import Option

SLOTS_H = ((8.0, 10.0), (10.0, 12.0), (13.5, 15.5), (15.5, 17.5), (18.0, 20.0))
"""The bookings of a day [local hours]; the last one is the evening's."""

Chance = Annotated[float, Option("", "chance that a slot is booked", 0.0, 1.0)]


@kind("bookings", "share")
def booked_share(cells: Cells, seed: int, *, day: Chance = 0.6, evening: Chance = 0.1, resting: Chance = 0.0) -> Floats:
    """1 while a room is booked, else 0: teaching rooms in slots of two hours, 8-12, 13:30-17:30 and 18-20 h (A).

    Every slot of every day is drawn by itself: on working days with the chance ``day``, after six with ``evening``; on
    weekends and public holidays with ``resting``. School holidays are ordinary days. On steps longer than a quarter of
    an hour, and off its beat, it is the share of the step that is booked.
    """
    days = cells.local_days
    rests = np.array([is_resting(date) for date in cells.local_dates])[:, None]
    late = np.array([begin >= 18.0 for begin, _ in SLOTS_H])
    chance = np.where(rests, resting, np.where(late, evening, day))
    drawn = uniform(seed, "bookings", int(days[0]) * len(SLOTS_H), len(days) * len(SLOTS_H)).reshape(chance.shape)
    taken = cells.per_local_day(np.arange(len(days)))
    within = np.array([(cells.local_h >= begin) & (cells.local_h < end) for begin, end in SLOTS_H]).T
    booked = (within & (drawn < chance)[taken]).any(axis=1)
    return np.where(booked, 1.0, 0.0)
