"""Plans between two aims: against all plans of a tiny day, and against each other on any district."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from gridopt.assets.base import MONEY, Floats
from gridopt.jobs.pareto import LEAST, Sweep, sweep
from gridopt.model.inputs import Inputs, Node
from gridopt.scenario.objective import PARTS, Objective, Weights
from gridopt.verify import bill, replay
from tests.properties.test_commitments import plans, tiny
from tests.support.districts import Plan, Sketch, energy_price, optimum
from tests.support.draw import Draw, cents, drawn, feasible, one, row, sketches

NOW = datetime(2026, 1, 14, 13, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Loaded:
    """A district as a loaded scenario hands it on."""

    base: Inputs
    objective: Objective
    name: str = "drawn"
    title: str = ""
    notes: tuple[str, ...] = ()
    tables: tuple[Any, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    limits_in: Mapping[str, str] = field(default_factory=dict)
    resumed: None = None

    @property
    def inputs(self) -> Inputs:
        return self.objective.on(self.base)

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.base.nodes


def swept(base: Inputs, objective: Objective, aims: tuple[str, str], points: int) -> Sweep:
    loaded: Any = Loaded(base, objective)
    return sweep(loaded, aims, points, NOW)


def intensity(draw: Draw, s: Sketch) -> dict[str, Floats]:
    return {"grid": draw(row(s.axis, one(10.0, 30.0, 60.0, 100.0)))}


# --- against all plans -----------------------------------------------------------------------------------------------


def assert_true_front(found: Sweep, aims: tuple[str, str], tried: Floats) -> None:
    """``tried`` (plans, 2): both aims of every plan there is. Nothing is better than what was found and proven."""
    first, second = PARTS[aims[0]], PARTS[aims[1]]
    here = np.array([[p["amounts"][part.amount] for part in (first, second)] for p in found.doc["plans"]])
    weights = [(p["weights"][first.key] / first.per, p["weights"][second.key] / second.per) for p in found.doc["plans"]]
    for at, w in zip(here, weights, strict=True):
        assert at @ w <= (tried @ w).min() + 1e-5, "the best at its own weights"
    for a in here:
        for b in here:
            assert a is b or not ((a <= b + 1e-6).all() and (a < b - 1e-4).any()), "none is better in both"
    # The ends are the best by one aim, but for what the other is given: LEAST of the blend.
    scale = weights[0][1] / LEAST if len(here) > 1 else weights[0][1] / (1 - weights[0][0])
    size = np.ptp(np.concatenate([tried, here]), axis=0) * [1.0, scale]
    assert here[0][0] <= tried[:, 0].min() + LEAST / (1 - LEAST) * size[1] + 1e-5
    assert scale * here[-1][1] <= scale * tried[:, 1].min() + LEAST / (1 - LEAST) * size[0] + 1e-4
    room = found.doc["missed_eur"]
    for share in np.linspace(LEAST, 1 - LEAST, 41):
        blend = np.array([share, (1 - share) * scale])
        best, ours = (tried @ blend).min(), (here @ blend).min()
        assert best - 1e-5 <= ours <= best + room + 1e-5, "what may be missed is said"


@drawn(25, 400, data=st.data(), s=tiny(), points=one(2, 3, 12))
def test_money_against_co2_is_the_front_of_all_plans(data: st.DataObject, s: Sketch, points: int) -> None:
    buy = data.draw(row(s.axis, cents(-20, 40)))
    sell = buy - data.draw(one(0.0, 0.05))
    grams = intensity(data.draw, s)
    net, _ = plans(s, 1)
    assume(len(net))
    tried = np.stack([net.clip(0) @ buy - (-net).clip(0) @ sell, 1e-3 * (net.clip(0) @ grams["grid"])], axis=1)
    base = replace(s, commitments=(energy_price(s.axis, "grid", buy, sell),)).inputs()
    found = swept(base, Objective(intensity_g_per_kwh=grams), ("cost", "co2"), points)
    assert len(found.plans) <= points
    assert_true_front(found, ("cost", "co2"), tried)
    if points == 12:
        assert found.doc["missed_eur"] <= 2e-3 * max(1.0, np.ptp(tried[:, 0])), "all corners were found"


@drawn(15, 200, data=st.data(), s=tiny(steps=(2, 3)), points=one(2, 6))
def test_money_against_the_peak_is_the_front_of_all_plans(data: st.DataObject, s: Sketch, points: int) -> None:
    buy = data.draw(row(s.axis, cents(0, 40)))
    net, _ = plans(s, 12)
    assume(len(net))
    tried = np.stack([net @ buy, net.max(1).clip(0)], axis=1)
    base = replace(s, commitments=(energy_price(s.axis, "grid", buy),)).inputs()
    assert_true_front(swept(base, Objective(), ("cost", "peak"), points), ("cost", "peak"), tried)


# --- any district ----------------------------------------------------------------------------------------------------


def counted(plan: Any, inputs: Inputs) -> tuple[float, float]:
    """What a plan's schedule costs under the weights of ``inputs``, and what a tolerance on it is relative to."""
    ledger = bill(inputs, plan.schedule.net_kw, replay(inputs, plan.schedule))
    return ledger.total_eur, max(1.0, sum(abs(line.eur) for line in ledger.lines.values()))


def ordinary(s: Sketch) -> Plan:
    """The plan of a day without emergencies: those come before any aim, and have a tolerance of their own."""
    plan = feasible(s)
    assume(plan.solution.emergency < 1e-9)
    return plan


@drawn(15, 200, data=st.data(), s=sketches(), aims=one(("cost", "co2"), ("cost", "peak"), ("peak", "co2")))
def test_each_plan_is_the_best_at_its_own_weights(data: st.DataObject, s: Sketch, aims: tuple[str, str]) -> None:
    """Within its proven gap: so none is better than another in all that both count."""
    bare = ordinary(s)
    objective = Objective(intensity_g_per_kwh=intensity(data.draw, s))
    found = swept(s.inputs(), objective, aims, 3)
    for mine, p in zip(found.plans, found.doc["plans"], strict=True):
        assert p["gap_eur"] >= 0
        for other in (bare, *found.plans):
            value, size = counted(other, mine.inputs)
            assert mine.solution.objective <= value + p["gap_eur"] + 1e-6 * size
        again = replace(objective, weights=Weights(**{k: float(repr(v)) for k, v in p["weights"].items()}))
        assert again.on(s.inputs()).digest() == mine.inputs.digest(), "the weights said are the weights used"


@drawn(20, 300, s=sketches(), cost=one(0.001, 0.3, 1.0, 20.0))
def test_money_alone_is_the_plain_objective(s: Sketch, cost: float) -> None:
    """At its usual weight bit by bit; at another, money counts so many times beside the goals that have a price."""
    bare = ordinary(s)
    inputs = Objective(Weights(cost=cost)).on(s.inputs())
    assert (inputs.digest() == s.inputs().digest()) == (cost == 1.0)
    other = optimum(inputs)
    money, penalties = other.ledger.of(*MONEY), other.ledger.of("penalty")
    size = max(bare.size_eur, other.size_eur)
    assert abs(other.cost_eur - (cost * money + penalties)) <= 1e-6 * size
    assert other.cost_eur <= cost * bare.ledger.of(*MONEY) + bare.ledger.of("penalty") + 1e-6 * size
    assert bare.cost_eur <= money + penalties + 1e-6 * size
