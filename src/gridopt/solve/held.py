"""A plan taken up again: its decisions held, so that the linear programme around it says what each thing is worth."""

from __future__ import annotations

import dataclasses

import numpy as np

from gridopt.assets.base import Floats
from gridopt.model.assemble import Assembly, assemble
from gridopt.model.inputs import Inputs
from gridopt.model.schedule import Schedule
from gridopt.solve.ladder import Solution, Status
from gridopt.solve.rounding import TOLERANCE, as_taken, both_ways
from gridopt.solve.session import Answer, Session
from gridopt.verify.ledger import OVER_KW

SAME = 1e-6
"""Objectives this close, relative to the cash flow, are the same."""


def held(a: Assembly, x: Floats) -> tuple[Floats, Floats]:
    """Bounds of every column with the decisions as a point took them, and the emergencies at their values.

    What rests stays at rest, what runs keeps its least power, what is whole is fixed, and of a pair that excludes each
    other the unused side stays shut. A pair that is used neither way stays free: it took no direction.
    """
    lower, upper = as_taken(x, a.lp.lower, a.lp.upper, a.semi, a.whole)
    lower[a.emergencies] = upper[a.emergencies] = x[a.emergencies]
    for p in a.pairs:
        for used, other in ((p.first, p.second), (p.second, p.first)):
            idle = other[(x[used] > TOLERANCE) & (x[other] <= TOLERANCE) & (lower[other] <= 0.0)]
            upper[idle] = 0.0
    return lower, upper


def take_up(
    inputs: Inputs, schedule: Schedule, objective: float, bound: float, status: Status, rung: str, emergency: float
) -> Solution | None:
    """A recorded plan as a Solution: its own numbers, and the duals of the programme with its decisions held.

    None where the programme says that the plan does not cost ``objective``, or is not the best that its decisions
    allow: it was then made by another version of gridopt.
    """
    a = assemble(inputs)
    x = _point(a, schedule)
    off = SAME * max(1.0, float(np.abs(a.lp.cost * x).sum()))
    if abs(float(a.lp.cost @ x) + a.lp.offset - objective) > off:
        return None
    answer = _around(a, x)
    if answer is None or abs(answer.objective - objective) > off:
        return None
    return Solution(
        assembly=a, x=x, price=answer.price, reduced=answer.reduced, objective=objective, bound=min(bound, objective),
        status=status, rung=rung, emergency=emergency, stopped_by=None,
    )  # fmt: skip


def _around(a: Assembly, x: Floats) -> Answer | None:
    """The programme with a point's decisions held; directions too, where it would otherwise go both ways."""
    lower, upper = held(a, x)
    session = Session(dataclasses.replace(a.lp, lower=lower, upper=upper))
    while True:
        answer = session.run()
        if answer.status != "optimal":
            return None
        pairs = np.concatenate(both_ways(a, answer.x))
        idle = pairs[(x[pairs] <= TOLERANCE) & (upper[pairs] > 0.0)]
        if not len(idle):
            return answer
        upper[idle] = np.maximum(lower[idle], 0.0)
        session.bounds(idle, lower[idle], upper[idle])


def _point(a: Assembly, schedule: Schedule) -> Floats:
    """Every column's value: devices and nodes as scheduled, contracts as they follow from them."""
    x = np.zeros(len(a.lp.cost))
    for block, values in zip(a.blocks, schedule.groups, strict=True):
        for v in block.template.variables:
            columns = block.columns(v.name)
            if columns is not None:
                x[columns] = values[v.name]
    for node, net in zip(a.nodes, schedule.net_kw, strict=True):
        for columns, flow in ((node.net, net), (node.import_, net.clip(0.0)), (node.export, (-net).clip(0.0))):
            if len(columns):
                x[columns] = flow
    _settle(a, x)
    return x


def _settle(a: Assembly, x: Floats) -> None:
    """Fill in the contracts' columns: how far the flows lie above and below what was agreed."""
    flow = a.lp.matrix() @ x
    for c, columns in zip(a.inputs.commitments, a.commitments, strict=True):
        rows = np.arange(columns.row, columns.row + columns.rows)
        above, below = flow[rows] - a.lp.row_upper[rows], a.lp.row_lower[rows] - flow[rows]
        if c.measure == "energy":
            for own, by in ((columns.above, above), (columns.below, below)):
                if len(own):
                    x[own] = np.maximum(np.where(np.isfinite(by), by, 0.0), 0.0)
        elif c.measure == "peak":
            np.maximum.at(x, columns.above[c.period[c.period >= 0]], above)
        else:
            x[columns.over[c.period >= 0]] = above > OVER_KW
