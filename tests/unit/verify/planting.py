"""Errors to plant in a finished, verified plan, and what must be found of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gridopt.assets.base import Floats
from tests.support.districts import Device, Plan
from tests.unit.verify.conftest import Draft, same

Change = Callable[[Draft], None]


@dataclass(frozen=True)
class Planted:
    """An error in ``asset``; it must be found as ``quantity`` of ``id``, with the money said where ``money``."""

    asset: str
    family: str
    what: str
    id: str
    quantity: str
    change: Change
    money: bool = False


@dataclass
class Planting:
    """The errors planted in one plan; each is a function that changes a draft of it."""

    devices: Sequence[Device]
    errors: list[Planted] = field(default_factory=list)

    def wrong(self, asset: str, quantity: str) -> Callable[[Change], Change]:
        """An error that must be found at the device itself."""
        return self._keep(asset, "asset", asset, quantity)

    def wrong_node(self, asset: str, node: str, quantity: str = "net_kw") -> Callable[[Change], Change]:
        """An error in what a node makes of the device."""
        return self._keep(asset, "node", node, quantity)

    def wrong_money(self, asset: str, line: str) -> Callable[[Change], Change]:
        """An error that shows in a cost line alone."""
        return self._keep(asset, "plan", "", f"cost line {line}", money=True)

    def _keep(self, asset: str, what: str, name: str, quantity: str, money: bool = False) -> Callable[[Change], Change]:
        family = next(d.family for d in self.devices if d.id == asset)

        def keep(change: Change) -> Change:
            self.errors.append(Planted(asset, family, what, name, quantity, change, money))
            return change

        return keep


def name_of(p: Planted) -> str:
    return p.change.__name__


def late(row: Floats) -> Floats:
    """What to add so that a row comes one step late."""
    return np.concatenate([[0.0], row[:-1]]) - row


def assert_refused(plan: Plan, p: Planted) -> None:
    """The error is found where it is, and nothing is blamed but its device and the nodes that it sits on."""
    d = Draft.of(plan)
    p.change(d)
    findings = d.money() if p.money else d.physics()
    mine = [f for f in findings if (f.what, f.id, f.quantity) == (p.what, p.id, p.quantity)]
    assert mine, [f.words(d.inputs) for f in findings]
    if d.at is not None:
        assert {f.step for f in mine} == {d.at}
    blamed = {(f.what, f.id) for f in findings} - {("plan", "")}
    assert blamed <= {("asset", p.asset), *(("node", n) for n in d.nodes_of(p.asset))}
    assert all(p.id in f.words(d.inputs) for f in mine)


def assert_right_before(plan: Plan, p: Planted) -> None:
    """The draft itself is no error; what is planted is a change."""
    d = Draft.of(plan)
    assert not d.physics()
    assert not d.money()
    p.change(d)
    assert not same(d, Draft.of(plan))
