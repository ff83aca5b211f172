"""Terms of contract as the user knows them → model Commitments.

Prices that act only above a baseline which is not negative take the node's net power: above the baseline net and
import are the same, and one column a step is enough.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gridopt.assets.base import Ints
from gridopt.clock import Axis, Floats
from gridopt.model.inputs import Commitment, Flow, Measure
from gridopt.scenario import schema
from gridopt.scenario.announced import announced
from gridopt.scenario.assets import GOOD_ID, AssetTable, good_id
from gridopt.scenario.document import Document
from gridopt.scenario.mistakes import Report
from gridopt.scenario.resume import SET, Resumed
from gridopt.scenario.series import Book
from gridopt.scenario.spans import spans
from gridopt.scenario.times import Window, inside
from gridopt.written.model import Section, read_model
from gridopt.written.report import Place, Where
from gridopt.written.words import did_you_mean, listed, quoted

TONNES_PER_G = 1e-6
NO_LABEL = "none"


@dataclass(frozen=True)
class Context:
    """What commitments speak of: node id → carrier, asset id → (table, place in it), ids that exist but are wrong, id →
    the assets that stand for it (one for each day), and the run that is continued."""

    document: Document
    book: Book
    report: Report
    carriers: Mapping[str, str]
    assets: Mapping[str, tuple[AssetTable, int]]
    written: frozenset[str]
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    resumed: Resumed | None = None

    @property
    def axis(self) -> Axis:
        return self.book.axis

    def ports(self, asset: str) -> list[str]:
        """Ports of an asset on nodes of electricity."""
        table, k = self.assets[asset]
        return [port.name for port in table.family.ports if self.carriers[table.nodes[port.name][k]] == "electricity"]

    def good_assets(self, names: Iterable[str], where: str, place: Where) -> list[str]:
        """Those assets that exist and are right; one that does not exist is a mistake."""
        for name in names:
            if name not in self.written:
                hint = did_you_mean(name, self.written, "there are")
                self.report.add(place, "unknown-asset", where=where, key="assets", value=quoted(name), hint=hint)
        each = [one for name in names for one in self.members.get(name, (name,))]
        return [name for name in each if name in self.assets]


@dataclass(frozen=True)
class Term:
    """One ``[commitment.ID]`` under way: its id, words and places for messages, and the context."""

    id: str
    context: Context

    @property
    def where(self) -> str:
        return f"commitment {self.id}"

    @property
    def section(self) -> tuple[str, ...]:
        """Keys of the table that says it."""
        return "commitment", self.id

    def place(self, *keys: str | int) -> Place:
        return self.context.document.at(*self.section, *keys)

    def get(self, value: float | str, key: str, minimum: float = -np.inf) -> Floats:
        return self.context.book.get(value, key, self.where, lambda: self.place(key), minimum)


def build_commitments(said: Mapping[str, Mapping[str, object]], context: Context) -> list[Commitment]:
    """All commitments, sorted by id."""
    found: list[Commitment] = []
    for name, values in said.items():
        term = Term(name, context)
        if not GOOD_ID.fullmatch(name):
            context.report.add(term.place, "bad-id", where=term.where, mend=good_id(name))
        kind = values.get("kind")
        model = schema.COMMITMENTS.get(kind) if isinstance(kind, str) else None
        if model is None:
            hint = did_you_mean(str(kind or ""), schema.COMMITMENTS, "there are")
            if kind is None:
                doc = "one of " + listed(schema.COMMITMENTS)
                context.report.add(term.place, "missing-key", where=term.where, key="kind", doc=doc)
            else:
                place = term.place("kind")
                context.report.add(place, "unknown-kind", where=term.where, value=quoted(kind), hint=hint)
            continue
        rest = {k: v for k, v in values.items() if k != "kind"}
        terms = read_model(model, rest, term.where, term.place, context.report)
        if terms is not None:
            built, exists = BUILDERS[str(kind)](terms, term), _node_exists(terms, term)
            found += built if exists else []
    return sorted(found, key=lambda c: c.id)


def _node_exists(terms: Section, term: Term) -> bool:
    node = getattr(terms, "node", None)
    if node is None or node in term.context.carriers:
        return True
    hint = did_you_mean(node, term.context.carriers, "there are")
    term.context.report.add(
        term.place("node"), "unknown-node", where=term.where, key="node", value=quoted(node), hint=hint
    )
    return False


# --- one builder a kind ----------------------------------------------------------------------------------------------


def _energy(t: schema.Energy, term: Term) -> list[Commitment]:
    buy = term.get(t.buy_eur_per_kwh, "buy_eur_per_kwh")
    sell = term.get(t.sell_eur_per_kwh, "sell_eur_per_kwh")
    return [_each_step(term, (Flow(1.0, node=t.node),), 0.0 * buy, buy, -sell, ("import", "export"))]


def _carbon(t: schema.Carbon, term: Term) -> list[Commitment]:
    price = term.get(t.price_eur_per_t, "price_eur_per_t", 0.0)
    intensity = term.get(t.intensity_g_per_kwh, "intensity_g_per_kwh", 0.0)
    above = price * intensity * TONNES_PER_G
    return [_each_step(term, (Flow(1.0, node=t.node),), 0.0 * above, above, 0.0 * above, ("import", NO_LABEL))]


def _peak(t: schema.Peak, term: Term) -> list[Commitment]:
    axis, report = term.context.axis, term.context.report
    windows = t.windows or [schema.PeakWindow.model_validate({})]
    spans = [Window(w.days, w.start, w.to) for w in windows]
    prices = [t.price_eur_per_kw if w.price_eur_per_kw is None else w.price_eur_per_kw for w in windows]
    so_far = [_so_far(t, k, term) for k in range(len(windows))]
    for k, price in enumerate(prices):
        if price is None:
            where = f"{term.where}: windows {k + 1}" if t.windows else term.where
            place = term.place("windows", k) if t.windows else term.place()
            doc = "price of the month's peak [EUR/kW]"
            report.add(place, "missing-key", where=where, key="price_eur_per_kw", doc=doc)
            return []
    for k, second in enumerate(spans):
        for j, first in enumerate(spans[:k]):
            if (first.mask() & second.mask()).any():
                place = term.place("windows", k)
                report.add(place, "windows-overlap", where=term.where, first=j + 1, second=k + 1)
                return []
    # One period a window and local month: a month begins with no peak, only the running one has a past.
    period = np.full(axis.steps, -1, np.int64)
    baseline = np.zeros(axis.steps)
    above: list[float] = []
    for window, price, past in zip(spans, prices, so_far, strict=True):
        steps = inside(axis, window)
        for month in np.unique(axis.local_month[steps]):
            here = steps & (axis.local_month == month)
            period[here] = len(above)
            baseline[here] = past if month == axis.local_month[0] else 0.0
            above.append(float(price or 0.0))
    return _built(term, (Flow(1.0, node=t.node),), "peak", period, baseline, np.array(above), ("peak", NO_LABEL))


def _so_far(t: schema.Peak, k: int, term: Term) -> float:
    """The peak of the running month until now: as the run that is continued leaves it, unless ``--set`` says it."""
    window = t.windows[k] if t.windows else schema.PeakWindow.model_validate({})
    own = window.so_far_kw is not None
    said = float(window.so_far_kw if window.so_far_kw is not None else t.so_far_kw)
    resumed, month = term.context.resumed, term.context.axis.local_month[0]
    place = term.place("windows", k, "so_far_kw") if own else term.place("so_far_kw")
    if resumed is None or str(place[0]).startswith(SET):
        return said
    peak = resumed.peak_kw(term.id, t.node, Window(window.days, window.start, window.to), int(month), said)
    resumed.peaks_kw.setdefault(term.id, []).append(peak)
    return peak


def _breach(t: schema.Breach, term: Term) -> list[Commitment]:
    keys = ("price_eur_per_kwh", "price_eur_per_kw", "price_eur_per_h")
    given = [key for key in keys if getattr(t, key) is not None]
    if len(given) != 1:
        term.context.report.add(term.place, "one-of", where=term.where, keys=listed(keys))
        return []
    axis = term.context.axis
    limit = term.get(t.limit_kw, "limit_kw", 0.0)
    flows = (Flow(1.0 if t.side == "import" else -1.0, node=t.node),)
    price = getattr(t, given[0])
    labels = ("breach", NO_LABEL)
    if given[0] == "price_eur_per_kwh":
        prices = np.full(axis.steps, price)
        return [_each_step(term, flows, limit, prices, 0.0 * prices, labels)]
    if given[0] == "price_eur_per_kw":
        _, period = np.unique(axis.local_month, return_inverse=True)
        period = period.astype(np.int64)
        return _built(term, flows, "peak", period, limit, np.full(period.max() + 1, price), labels)
    return _built(term, flows, "hours", np.zeros(axis.steps, np.int64), limit, np.array([price]), labels)


def _event(t: schema.Event, term: Term) -> list[Commitment]:
    context, axis = term.context, term.context.axis
    if (t.node is None) == (not t.assets):
        context.report.add(term.place, "one-of", where=term.where, keys="node, assets")
        return []
    windows = spans(t, term.where, term.place, axis, context.report, edges=True)
    baseline = term.get(t.baseline_kw, "baseline_kw")
    flows = _asset_flows(t.assets, term) if t.assets else (Flow(1.0, node=t.node),)
    if not windows or not flows:
        return []
    period, count = np.full(axis.steps, -1, np.int64), 0
    for steps in windows:
        one_each = np.arange(steps.stop - steps.start)
        period[steps] = count + (one_each if t.per == "step" else 0 * one_each)
        count = int(period.max()) + 1
    penalty, reward = np.full(count, t.penalty_eur_per_kwh), np.full(count, -t.reward_eur_per_kwh)
    above, below = (penalty, reward) if t.direction == "down" else (reward, penalty)
    labels = ("missing", "delivered") if t.direction == "down" else ("delivered", "missing")
    return [Commitment(term.id, flows, "energy", period, baseline, above, below, "cash", labels)]


def _asset_flows(assets: Iterable[str], term: Term) -> tuple[Flow, ...]:
    """The electric ports of the assets; one without any is a mistake."""
    context, place = term.context, lambda: term.place("assets")
    flows: list[Flow] = []
    for name in sorted(set(context.good_assets(assets, term.where, place))):
        ports = context.ports(name)
        if not ports:
            context.report.add(place, "no-port", where=term.where, key="assets", value=quoted(name))
        flows += [Flow(1.0, asset=name, port=port) for port in ports]
    return tuple(flows)


def _plan_change(t: schema.PlanChange, term: Term) -> list[Commitment]:
    """One commitment for each asset's port: the electric ones, or its first where it has none."""
    context, axis = term.context, term.context.axis
    names = t.assets
    if names is None:
        names = tuple(sorted(n for n, (table, k) in context.assets.items() if table.control[k] != "none"))
    wanted = [
        (name, port)
        for name in sorted(set(context.good_assets(names, term.where, lambda: term.place("assets"))))
        for port in context.ports(name) or [context.assets[name][0].family.ports[0].name]
    ]
    folder = context.document.folder_of(*term.section, "run") / t.run
    found: list[Commitment] = []
    said = (t.run, term.where, functools.partial(term.place, "run"))
    powers = announced(folder, wanted, axis, context.document, said, context.report)
    for (name, port), (baseline, known) in powers.items():
        if not known.any():
            values = {"run": t.run, "value": f"{name} within the horizon"}
            context.report.note(term.place, "not-announced", where=term.where, **values)
            continue
        count = int(known.sum())
        period = np.full(axis.steps, -1, np.int64)
        period[known] = np.arange(count)
        price = np.full(count, t.price_eur_per_kwh)
        flows = (Flow(1.0, asset=name, port=port),)
        one = f"{term.id}.{name}.{port}"
        baseline = np.where(known, baseline, 0.0)
        found.append(Commitment(one, flows, "energy", period, baseline, price, price, "penalty", ("more", "less")))
    return found


BUILDERS: dict[str, Callable[..., list[Commitment]]] = {
    "energy": _energy,
    "carbon": _carbon,
    "peak": _peak,
    "breach": _breach,
    "event": _event,
    "plan-change": _plan_change,
}


def _each_step(
    term: Term, flows: tuple[Flow, ...], baseline: Floats, above: Floats, below: Floats, labels: tuple[str, str]
) -> Commitment:
    """An energy commitment with one period a step; no negative zeros, which only upset fingerprints."""
    period = np.arange(term.context.axis.steps)
    return Commitment(term.id, flows, "energy", period, baseline + 0.0, above + 0.0, below + 0.0, "cash", labels)


def _built(
    term: Term,
    flows: tuple[Flow, ...],
    measure: Measure,
    period: Ints,
    baseline: Floats,
    above: npt.NDArray[np.float64],
    labels: tuple[str, str],
) -> list[Commitment]:
    """A commitment with a price above only; none when no step of the horizon counts."""
    if not len(above):
        return []
    return [Commitment(term.id, flows, measure, period, baseline, above, np.zeros(len(above)), "cash", labels)]
