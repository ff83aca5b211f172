"""All devices of a site, turn after turn: the plan's step is carried out, held, guarded, and given back at the end.

One turn looks at the clock, at the plan, at the meters; then every channel takes its own turn, side by side, so that a
dead device delays nobody. A turn that ends is the only sign of life that a watchdog gets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gridopt.devices.codec import Quality
from gridopt.devices.schema import COMMANDS
from gridopt.devices.site import Group
from gridopt.dispatch import envelope
from gridopt.dispatch import plan as plans
from gridopt.dispatch.channel import Channel, Device, Order, Outcome, Sleep
from gridopt.dispatch.clock import Clock, Moment
from gridopt.dispatch.envelope import Bound, Change, Place, nodes_above
from gridopt.dispatch.guard import Guard, Lever, Limit, Seen, Turn, within
from gridopt.dispatch.history import Once
from gridopt.dispatch.plan import Plan
from gridopt.dispatch.prove import FAILED, PROVEN, Status
from gridopt.store.journal import Journal

PACE_S = 1.0
"""Time between two turns."""
STUCK_S = 120.0
"""A device's turn that takes longer is no progress."""
STOP_S = 30.0
"""How long giving everything back may take, before what is left is left to its fail-safe."""
PHASE_KV = 0.23
POWER = "power_kw"


@dataclass(frozen=True)
class Meter:
    """A device that says what a node draws."""

    node: str
    device: Device
    point: str = POWER
    max_age_s: float = 60.0


@dataclass(frozen=True)
class Keep:
    """A state that must stay within, whatever is told: a content, a temperature. ``point``: where it is read."""

    device: str
    point: str
    low: float
    high: float
    factor: float = 1.0
    """From what the point reads to ``unit``, which ``low`` and ``high`` have."""
    name: str = ""
    """What people call it; else the point."""
    unit: str = ""
    start: str = ""
    """The parameter by which a plan begins with what the point reads: ``asset.battery.soc_start``."""


@dataclass(frozen=True)
class Network:
    """Nodes of the plan: parents, meters, and the hard limits of a step."""

    parents: Mapping[str, str | None] = field(default_factory=dict)
    home: Mapping[str, str] = field(default_factory=dict)
    """Device → its node."""
    limits: Callable[[int], Mapping[str, Limit]] = lambda _: {}
    meters: Sequence[Meter] = ()
    keeps: Sequence[Keep] = ()


class Holder:
    """See the head of this module.

    ``stopping()``: why everything must stop, or ""; ``alive()`` is called after each turn that made progress;
    ``replan(why)`` when the guard had to act.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        journal: Journal,
        clock: Clock,
        sleep: Sleep,
        *,
        groups: Mapping[str, Group] | None = None,
        stopping: Callable[[], str] = lambda: "",
        alive: Callable[[], None] = lambda: None,
        replan: Callable[[str], None] = lambda _: None,
        pace_s: float = PACE_S,
    ) -> None:
        self.channels = list(channels)
        self.journal, self.clock, self.sleep = journal, clock, sleep
        self.groups = groups or {}
        self.stopping, self.alive, self.replan = stopping, alive, replan
        self.pace_s = min([pace_s, *(c.refresh_s for c in channels)])
        for channel in channels:
            channel.pace_s = self.pace_s
        self.plan: Plan | None = None
        self.network = Network()
        self.why = ""
        """Why nothing new is told now."""
        self._step: int | None = None
        self._busy: dict[tuple[str, str], tuple[asyncio.Task[Outcome], float]] = {}
        self._barred: dict[str, tuple[int, str]] = {}
        self._guard: Guard | None = None
        self._turn = Turn({})
        self._levers: dict[str, _Grip] = {}
        self._noted = ""
        self._refused = Once()

    # --- beginning ---

    async def begin(self) -> None:
        """Look at what an earlier run left, before anything is told."""
        moment = self.clock.look()
        await asyncio.gather(*(c.begin(moment) for c in self.channels))

    def follow(self, plan: Plan, network: Network | None = None) -> None:
        """Follow a plan from the next turn on. A device whose part of it is outside its envelope takes none of it."""
        moment = self.clock.look()
        if self.plan is None or self.plan.hash != plan.hash:
            self.journal.note(
                moment.now, "plan", plan=plan.id, plan_hash=plan.hash, created=plan.created.isoformat(),
                rung=plan.rung, valid_from=plan.valid_from.isoformat(), valid_until=plan.valid_until.isoformat(),
            )  # fmt: skip
        plan = plans.in_steps(plan, {(c.site.name, c.write.command): c.write for c in self.channels})
        self.plan, self._step = plan, None
        self._barred.clear()
        for channel in self.channels:
            row = plan.told.get((channel.site.name, channel.write.command), ())
            channel.barred = envelope.whole_plan(channel.write, (float(v) for v in row))
        if network is not None:
            self.network = network

    # --- a turn ---

    async def cycle(self) -> str:
        """One turn. Returns why it was the last, or ""."""
        why = self.stopping()
        if why:
            return why
        moment = self.clock.look()
        step = self._step_now(moment)
        orders = self._orders(step)
        await self._read_meters(self.pace_s)
        orders = self._checked_together(orders, step, moment)
        orders = self._guarded(orders, step, moment)
        await self._act(orders, moment)
        self._keep_groups(step, moment)
        if not any(moment.at_s - since_s > STUCK_S for _, since_s in self._busy.values()):
            self.alive()
        return ""

    async def run(self, done: Callable[[], bool] = lambda: False) -> str:
        """Turn after turn, until something stops it or all is done; why it ended."""
        while True:
            began_s = self.clock.monotonic()
            why = await self.cycle()
            if why or done():
                return why
            await self.sleep(max(self.pace_s - (self.clock.monotonic() - began_s), 0.0))

    def _step_now(self, moment: Moment) -> int | None:
        """The step that is carried out now; None where none may be."""
        self.why = "there is no plan" if self.plan is None else plans.refusal(self.plan, moment.now)
        step = None if self.plan is None or self.why else self.plan.step_at(moment.now)
        if step is not None and step != self._step and not moment.trusted:
            self.why = moment.why
            step = None
        self._step = step if step is not None else self._step
        if self.why != self._noted:
            self._noted = self.why
            self.journal.note(moment.now, "holding" if not self.why else "idle", why=self.why)
        return step

    def _orders(self, step: int | None) -> dict[tuple[str, str], Order | None]:
        told = {} if step is None or self.plan is None else self.plan.at(step)
        found: dict[tuple[str, str], Order | None] = {}
        for channel in self.channels:
            value = told.get((channel.site.name, channel.write.command))
            barred = self._barred.get(channel.site.name)
            allowed = value is not None and not (barred is not None and barred[0] == step)
            found[channel.key] = self._order(value, step) if allowed and value is not None else None
        return found

    def _order(self, value: float, step: int | None, reason: str = "plan") -> Order:
        plan = self.plan
        if plan is None:
            return Order(value, "", "", "device default", -1 if step is None else step, reason)
        return Order(value, plan.id, plan.hash, plan.rung, -1 if step is None else step, reason)

    async def _act(self, orders: Mapping[tuple[str, str], Order | None], moment: Moment) -> None:
        """Every channel that is not still at its last turn takes this one."""
        for channel in self.channels:
            if channel.key not in self._busy:
                task = asyncio.ensure_future(channel.act(orders[channel.key], moment))
                self._busy[channel.key] = task, moment.at_s
        if self._busy:
            await asyncio.wait([t for t, _ in self._busy.values()], timeout=self.pace_s)
        for key, (task, _) in list(self._busy.items()):
            if task.done():
                del self._busy[key]
                task.result()

    def _keep_groups(self, step: int | None, moment: Moment) -> None:
        """What is declared to obey together is let go together when one of it fails."""
        for name, group in self.groups.items():
            members = [c for c in self.channels if c.site.name in group.devices]
            failed = [c for c in members if c.outcome.status in FAILED]
            if not failed or step is None:
                continue
            told = f"{failed[0].site.name} is {failed[0].outcome.status}"
            if group.on_failure == "keep" or all(self._barred.get(c.site.name, (-1, ""))[0] == step for c in members):
                continue
            self.journal.note(moment.now, "group", group=name, on_failure=group.on_failure, why=told)
            self._barred |= {c.site.name: (step, told) for c in members}

    # --- the whole set ---

    async def _read_meters(self, most_s: float | None) -> None:
        """What nodes and devices draw, and the states that must be kept; what takes longer is there a turn later."""
        wanted: dict[int, tuple[Device, set[str]]] = {}
        for meter in self.network.meters:
            wanted.setdefault(id(meter.device), (meter.device, set()))[1].add(meter.point)
        for channel in self.channels:
            names = {k.point for k in self.network.keeps if k.device == channel.site.name}
            grip = self._levers.get(channel.site.name)
            if grip is not None and grip.point is not None and grip.channel is channel:
                names.add(grip.point)
            fed = channel.write.fail_safe.fed_by == "read" and channel.standing is None
            if names and not fed:
                wanted.setdefault(id(channel.device), (channel.device, set()))[1].update(names)
        if wanted:
            tasks = [asyncio.ensure_future(device.read(names)) for device, names in wanted.values()]
            await asyncio.wait(tasks, timeout=most_s)

    def _number(self, device: Any, point: str, max_age_s: float) -> float | None:
        reading = device.latest(point)
        fresh = self.clock.monotonic() - reading.at_s <= max_age_s
        good = reading.quality is Quality.GOOD and fresh and isinstance(reading.value, float)
        return reading.value if good else None

    def _power(self) -> dict[str, float | None]:
        return {m.node: self._number(m.device, m.point, m.max_age_s) for m in self.network.meters}

    def _checked_together(
        self, orders: dict[tuple[str, str], Order | None], step: int | None, moment: Moment
    ) -> dict[tuple[str, str], Order | None]:
        """The orders, each where its device's own state allows it; where the whole set would break something, none.

        What is not to be sent stands as it stood.
        """
        if step is None:
            return orders
        new = [c for c in self.channels if (o := orders[c.key]) is not None and c.standing != o.value]
        for c in tuple(new):
            why = next((w for b in self._bounds_of(c, orders[c.key]) if (w := envelope.beyond(b))), "")
            if why:
                self._note_refused(moment, step, c.site.name, why)
                new.remove(c)
                self._keep(c, orders, why)
        if not new:
            return orders
        limits, power = self.network.limits(step), self._power()
        # Where nobody meters, the plan vouches for its own limits.
        places = [Place(n, power[n], x.import_max_kw, x.export_max_kw) for n, x in limits.items() if n in power]
        changes = [change for c in new if (change := self._change(c, orders[c.key]))]
        broken = envelope.together(changes, places)
        if not broken:
            return orders
        why = "; ".join(broken)
        self._note_refused(moment, step, None, why)
        for c in new:
            self._keep(c, orders, f"the whole set is not sent: {why}")
        return orders

    def _note_refused(self, moment: Moment, step: int, device: str | None, why: str) -> None:
        plan = self.plan
        if self._refused.new((plan and plan.hash, step), device or "", why):
            self.journal.note(moment.now, "refused", device, why=why, plan=plan.id if plan else None)

    async def refusals(self, step: int) -> dict[tuple[str, str], str]:
        """Why states, or the whole set, forbid what a step says as things are now; all is read, nothing sent."""
        before = {c.key: c.outcome for c in self.channels}
        await self._read_meters(None)
        self._checked_together(self._orders(step), step, self.clock.look())
        return {c.key: c.outcome.why for c in self.channels if c.outcome is not before[c.key]}

    @staticmethod
    def _keep(channel: Channel, orders: dict[tuple[str, str], Order | None], why: str) -> None:
        """A device waits as it stands."""
        order = orders[channel.key]
        held = channel.standing if channel.standing is not None else channel.record.standing
        orders[channel.key] = None if held is None or order is None else replace(order, value=held)
        channel.wait(order, why)

    def _change(self, channel: Channel, order: Order | None) -> Change | None:
        grip = self._levers.get(channel.site.name) or _grip(channel, self.network)
        if grip is None or order is None or channel.write.states:
            return None
        after = order.value * grip.kw_per_unit * (-1 if grip.feeds else 1)
        before = self._drawn(grip)
        if grip.feeds:
            after = min(0.0, max(after, before if before is not None else 0.0))
        return Change(channel.site.name, grip.lever.nodes, before or 0.0, after)

    def _bounds_of(self, channel: Channel, order: Order | None) -> Iterable[Bound]:
        for keep in self.network.keeps:
            if keep.device != channel.site.name or order is None:
                continue
            number = self._number(channel.device, keep.point, channel.site.said.max_age_s)
            value = None if number is None else number * keep.factor
            on = envelope.is_on(channel.write, order.value)
            raises = on if channel.write.states else order.value > envelope.SAME
            lowers = not on if channel.write.states else order.value < -envelope.SAME
            wanted = f"{order.value:g} {COMMANDS.get(channel.write.command, '')}".rstrip()
            if channel.write.states:
                wanted = channel.write.states[int(order.value)]
            yield Bound(
                channel.site.name, keep.name or keep.point, value, keep.low, keep.high, lowers, raises, keep.unit,
                wanted, f"--set {keep.start}={number:g}" if keep.start and number is not None else "",
            )  # fmt: skip

    # --- the guard ---

    async def grip(self) -> None:
        """Know by how much each device can give way: from its command, its rating, and where it stands."""
        for channel in self.channels:
            rating = None
            if channel.write.rating is not None:
                readings = await channel.device.read((channel.write.rating,))
                value = readings[channel.write.rating].value
                rating = value if isinstance(value, float) else None
            grip = _grip(channel, self.network, rating)
            if grip is not None:
                self._levers[channel.site.name] = grip
        levers = [grip.lever for grip in self._levers.values()]
        if self._guard is None:
            self._guard = Guard(levers)
        self._guard.levers = levers

    def _drawn(self, grip: _Grip) -> float | None:
        channel = grip.channel
        if grip.point is not None:
            return self._number(channel.device, grip.point, channel.site.said.max_age_s)
        if channel.standing is None or channel.write.states:
            return None
        return channel.standing * grip.kw_per_unit * (-1 if grip.feeds else 1)

    def _guarded(
        self, orders: dict[tuple[str, str], Order | None], step: int | None, moment: Moment
    ) -> dict[tuple[str, str], Order | None]:
        """The orders within what the guard leaves."""
        at = step if step is not None else self._step
        if self._guard is None or not self.network.meters or at is None:
            return orders
        seen = {}
        for name, grip in self._levers.items():
            order = orders[grip.channel.key]
            planned = None if order is None or grip.channel.write.states else order.value * grip.kw_per_unit
            planned = -planned if planned is not None and grip.feeds else planned
            seen[name] = Seen(self._drawn(grip), planned, grip.channel.ready(moment))
        self._turn = self._guard.turn(moment.at_s, self.network.limits(at), self._power(), seen)
        for text in self._turn.said:
            self.journal.note(moment.now, "guard", why=text)
        if self._turn.replan:
            self.replan("; ".join(self._turn.said) or "the guard holds a device back")
        for name, bounds in self._turn.bounds.items():
            grip = self._levers[name]
            key, order = grip.channel.key, orders[grip.channel.key]
            value = within(grip.channel.write, order.value if order else None, bounds, grip.kw_per_unit, grip.feeds)
            if value is not None and (order is None or value != order.value):
                orders[key] = self._order(value, at, "guard")
        return orders

    # --- the end ---

    @property
    def outcomes(self) -> list[Outcome]:
        return [c.outcome for c in self.channels]

    async def release_all(self, reason: str, deadline_s: float = STOP_S) -> list[Outcome]:
        """Give everything back, what was told last first, line beside line; what is left then is left to its fail-safe.

        ``deadline_s``: how long all of it may take.
        """
        end_s = self.clock.monotonic() + deadline_s
        await self._finish_turns(deadline_s / 3)
        lines: dict[str, list[Channel]] = {}
        last_first = sorted(enumerate(self.channels), key=lambda item: (item[1].told_last_s, item[0]), reverse=True)
        for _, channel in last_first:
            if not channel.idle:
                lines.setdefault(channel.site.line, []).append(channel)
        work = [asyncio.ensure_future(_in_turn(those, reason)) for those in lines.values()]
        if work:
            _, late = await asyncio.wait(work, timeout=max(end_s - self.clock.monotonic(), 0.0))
            await _cancelled(late)
            for release in work:
                if not release.cancelled():
                    release.result()
        for channel in (c for those in lines.values() for c in those):
            if channel.outcome.status is Status.LEFT:
                await self._see_fall_back(channel, end_s)
            elif channel.outcome.status is not Status.RELEASED:
                channel.leave(f"{reason}; not confirmed")
        return self.outcomes

    async def _finish_turns(self, deadline_s: float) -> None:
        """Let devices end the turn they are in: a write is not left half known."""
        turns = [turn for turn, _ in self._busy.values()]
        if turns:
            _, late = await asyncio.wait(turns, timeout=deadline_s)
            await _cancelled(late)
        self._busy.clear()

    async def _see_fall_back(self, channel: Channel, end_s: float) -> None:
        """Wait, within the deadline, until the fail-safe has acted, and say so where it can be read."""
        due_s = channel.falls_back_s
        if due_s is None or due_s > end_s:
            return
        await self.sleep(max(due_s - self.clock.monotonic(), 0.0))
        if await channel.fallen_back():
            channel.outcome = replace(channel.outcome, status=Status.RELEASED)


async def _cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    those = list(tasks)
    for task in those:
        task.cancel()
    await asyncio.gather(*those, return_exceptions=True)


async def _in_turn(channels: Iterable[Channel], reason: str) -> None:
    for channel in channels:
        await channel.release(reason)


@dataclass(frozen=True)
class _Grip:
    """How a device is held by the guard: its lever, where its power is read, what a unit of its command draws."""

    channel: Channel
    lever: Lever
    kw_per_unit: float
    feeds: bool
    point: str | None


def _grip(channel: Channel, network: Network, rating: float | None = None) -> _Grip | None:
    """None where its command does not move power."""
    write, site = channel.write, channel.site
    if write.command == "temperature":
        return None
    feeds = write.command == "limit" and site.adapter.header.kind == "inverter"
    phases = sum(name in channel.points for name in ("current_l1_a", "current_l2_a", "current_l3_a")) or 1
    factor = PHASE_KV * phases if write.command == "current" else 1.0
    numbers = [float(v) for v in (write.low, *write.also) if isinstance(v, (int, float))]
    low = min(numbers, default=0.0)
    high = float(write.high) if isinstance(write.high, (int, float)) else 0.0
    if rating is not None:
        low, high = max(low, -rating), min(high, rating)
    point = write.seen_in if write.seen_in is not None and channel.points[write.seen_in].unit == "kW" else None
    point = point or (POWER if POWER in channel.points and channel.points[POWER].unit == "kW" else None)
    two_ways = write.command == "power" and low < 0
    lever = Lever(
        site.name,
        nodes_above(network.parents, network.home.get(site.name)),
        site.said.priority,
        None if feeds else 0.0 if write.states else low * factor,
        -low if feeds else high if two_ways else None,
        bool(write.states),
    )
    return _Grip(channel, lever, factor, feeds, point)


def end_code(outcomes: Iterable[Outcome]) -> int:
    """0 where nothing of ours is left standing, 14 where that is not known of a device."""
    return 14 if any(o.status in (Status.LEFT, Status.UNKNOWN, Status.NOT_APPLIED) for o in outcomes) else 0


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """0 where every device is proven, 14 where one is not."""
    return 0 if all(o.status in PROVEN for o in outcomes) else 14
