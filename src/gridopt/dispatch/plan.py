"""A plan as dispatch sees it: what each device is told, step by step, and from when until when that holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from gridopt.clock import Axis
from gridopt.devices.schema import Write
from gridopt.dispatch import envelope
from gridopt.errors import DataError
from gridopt.store.run_folder import Run

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """``told``: (device, command) → one value a step, NaN where nothing is said; ``created`` tells which is newer."""

    id: str
    hash: str
    rung: str
    created: datetime
    valid_from: datetime
    valid_until: datetime
    axis: Axis
    told: Mapping[tuple[str, str], Floats]

    def step_at(self, now: datetime) -> int | None:
        """The step that ``now`` lies in, None outside the plan."""
        if not self.valid_from <= now < self.valid_until or not self.axis.start <= now < self.axis.end:
            return None
        return int((now - self.axis.start) / timedelta(minutes=self.axis.step_min))

    def end_of(self, step: int) -> datetime:
        """First instant after a step, or after the plan where that is earlier."""
        end = self.axis.start + timedelta(minutes=self.axis.step_min * (step + 1))
        return min(end, self.valid_until)

    def at(self, step: int) -> dict[tuple[str, str], float]:
        """(device, command) → what it is told during a step."""
        values = {key: float(row[step]) for key, row in self.told.items()}
        return {key: value for key, value in values.items() if not math.isnan(value)}


def from_run(run: Run) -> Plan:
    """The plan of a run folder. Raises DataError where its summary lacks what makes it a plan."""
    s = run.summary
    told: dict[tuple[str, str], Floats] = {}
    for part in run.setpoints:
        row = told.setdefault((part.device, part.command), np.full(run.axis.steps, np.nan))
        values = row[part.first : part.first + len(part.values)]
        if len(values) != len(part.values) or not np.isnan(values).all():
            raise DataError("the setpoints of {device} are said twice, or beyond the plan", device=part.device)
        values[:] = np.where(np.isnan(part.values), np.inf, part.values)  # a hole is no number, and is refused as such
    try:
        times = [_instant(str(s[key])) for key in ("created", "valid_from", "valid_until")]
        return Plan(str(s["plan_id"]), str(s["hash"]), str(s["rung"]), times[0], times[1], times[2], run.axis, told)
    except (KeyError, ValueError) as e:
        raise DataError("the summary of the run is damaged: {why}", why=repr(e)) from e


def _instant(text: str) -> datetime:
    t = datetime.fromisoformat(text)
    if t.tzinfo is None:
        raise ValueError(f"{text} has no offset from UTC")
    return t


def in_steps(plan: Plan, writes: Mapping[tuple[str, str], Write]) -> Plan:
    """The plan in the steps that devices take. ``writes``: (device, command) → how it is written."""
    told = {
        key: np.array([envelope.in_steps(writes[key], float(v)) for v in row]) if key in writes else row
        for key, row in plan.told.items()
    }
    return replace(plan, told=told)


def refusal(plan: Plan, now: datetime, newer: tuple[str, datetime] | None = None) -> str:
    """Why a plan must not be followed now, or "".

    ``newer``: id and time of creation of the plan that was followed last, which replaces every earlier one.
    """
    if now < plan.valid_from:
        return f"the plan {plan.id} begins at {plan.valid_from:%Y-%m-%d %H:%M} UTC only"
    if now >= plan.valid_until:
        return f"the plan {plan.id} ended at {plan.valid_until:%Y-%m-%d %H:%M} UTC"
    if newer is not None and newer[1] > plan.created:
        return f"the plan {plan.id} was replaced by {newer[0]}"
    return ""


def hash_refusal(plan: Plan, typed: str) -> str:
    """Why what a person typed does not name this plan, or "". The first twelve digits of the hash are enough."""
    said = typed.strip().lower()
    if len(said) >= SHORTEST_HASH and plan.hash.lower().startswith(said):
        return ""
    return f"{typed.strip() or 'nothing'} is not the hash of the plan {plan.id}"


SHORTEST_HASH = 12
