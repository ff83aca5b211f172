"""One command of one device: told, proven, refreshed, given back. The only module that writes to a device.

Nothing is sent before every rule agrees and the intent is on the disk; nothing is believed before it was read back;
nothing is repeated before it was looked at. What it cannot do, it says why.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from gridopt.devices.codec import Quality, Unfit, Value
from gridopt.devices.device import Stranger
from gridopt.devices.frames import Frame, frames, release_frames
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.points import Point
from gridopt.devices.readings import Reading
from gridopt.devices.schema import INSTALLER, LOCAL
from gridopt.devices.site import SiteDevice
from gridopt.dispatch import envelope, prove
from gridopt.dispatch.clock import Clock, Moment
from gridopt.dispatch.history import ADOPTED, LEFT, REFRESHES, RELEASE, Once, Record
from gridopt.dispatch.prove import Meant, Readback, Status
from gridopt.errors import DeviceError
from gridopt.store.journal import Entry, Journal

REFRESH_SHARE = 3
"""A timer is refreshed this often before it runs out."""
LOOK_S = 30.0
"""How often a device without a timer is looked at."""
ATTEMPTS = 3
"""How often a value is told that never left this machine. What a device took and does not hold is not told again."""
REASSERTS = 2
"""How often a value that someone else changed is put back, before the device is theirs."""
AHEAD_S, AHEAD_COUNTED_S = 3600.0, 200.0
"""Time of refreshing that one entry of the journal stands for, written ahead of it; the second where a device's memory
takes only so many writes, so that a crash uses up few that were never made."""
AGAIN_S = 10.0
"""Time between two attempts to give a device back."""
PATIENCE_S = 1.0
"""Added to the wait before each further reading of a device that does not answer."""
FAST = ("power", "on_off")
"""Commands that are proven in a measurement, so that nothing is told while it is not there."""


class Device(Protocol):
    """What is asked of a device: ``devices.device.Device``."""

    @property
    def exponents(self) -> Mapping[str, int | None]: ...
    async def identify(self) -> None: ...
    async def read(self, names: Iterable[str] | None = None) -> dict[str, Reading]: ...
    def latest(self, name: str) -> Reading: ...
    async def write(self, frame: Frame, release: bool = False) -> Any: ...


Sleep = Callable[[float], Awaitable[object]]
May = Callable[[str, str, float, str, datetime], str]
"""(device, command, value, rung, now) → why nothing may be written, or "": a typed hash, or a mandate."""


def nothing_may(device: str, command: str, value: float, rung: str, now: datetime) -> str:
    """The permission of a dry run."""
    return "nobody allowed anything to be written"


@dataclass(frozen=True)
class Order:
    """What a device is to hold now, and in whose name. ``step``: of the plan; a new one is a new beginning."""

    value: float
    plan: str
    plan_hash: str
    rung: str
    step: int
    reason: str = "plan"


@dataclass(frozen=True)
class Outcome:
    """What is known of a setpoint: ``wanted`` and what was ``read``, in the command's unit."""

    device: str
    command: str
    status: Status
    wanted: float | None = None
    read: Value | None = None
    why: str = ""
    measured: Value | None = None


@dataclass(frozen=True)
class Look:
    """What was read of a device before it is told something."""

    readings: Mapping[str, Reading]

    def value(self, name: str) -> Value | None:
        reading = self.readings.get(name)
        return reading.value if reading is not None and reading.quality is Quality.GOOD else None

    def number(self, name: str | None) -> float | None:
        value = None if name is None else self.value(name)
        return value if isinstance(value, float) else None

    def silent(self, names: Iterable[str]) -> str:
        """Why points were not read at all, or ""."""
        lost = [r for n in names if (r := self.readings.get(n)) is None or r.quality is Quality.FAILED]
        return "" if not lost else (lost[0].why if lost[0] is not None else "") or "it does not answer"

    def poor(self, names: Iterable[str]) -> str:
        """Why points must not be relied upon, or ""."""
        for name in names:
            reading = self.readings.get(name)
            if reading is None or reading.quality is not Quality.GOOD:
                why = "not read" if reading is None else reading.why or str(reading.quality)
                return f"{name}: {why}"
        return ""


@dataclass(frozen=True)
class _Ready:
    """What may be sent: ``value`` (a stage of a ramp, perhaps) as ``frames``. ``held``: the device holds the ordered
    value already; ``old``: what it holds; ``why``: why not yet."""

    value: float
    frames: tuple[Frame, ...]
    look: Look
    whole: float | None
    old: float | None
    held: bool
    why: str


@dataclass
class Channel:
    """See the head of this module. ``who``: in whose name; ``record``: what the journal says of the past."""

    site: SiteDevice
    name: str
    device: Device
    journal: Journal
    clock: Clock
    sleep: Sleep
    record: Record
    who: str
    may: May = nothing_may
    outcome: Outcome = field(init=False)

    def __post_init__(self) -> None:
        self.write = self.site.whole(self.name)
        self.said = self.site.writes[self.name]
        self.points: Mapping[str, Point] = self.site.adapter.points
        self.key = self.site.name, self.name
        self.outcome = Outcome(*self.key, Status.WAITING)
        self.standing: float | None = None
        self.order: Order | None = None
        self._proven_s: float | None = None  # monotonic: when the standing value was read back
        self._refreshed_s = 0.0
        self._looked_s = 0.0
        self._ahead = 0
        self._before: float | None = None  # measurement before the last change
        self._seen_by_s: float | None = None
        self._tried: tuple[int, float] | None = None
        self._attempts = 0
        self._reasserts = 0
        self._noted = Once()
        self.pace_s = 0.0
        """Time from one turn to the next."""
        self._again_s = 0.0
        self.told_last_s = 0.0
        self.barred = ""
        """Why the whole of its plan is refused."""
        self.lost: tuple[str, ...] = ()
        """(hash of a plan): it is left alone for the rest of it; someone else is master, or its budget is gone."""

    # --- what it knows ---

    @property
    def time_s(self) -> float | None:
        """After what time without gridopt the fail-safe acts."""
        time = self.write.fail_safe.time_s
        return float(time) if isinstance(time, (int, float)) else None

    @property
    def refresh_s(self) -> float:
        safe = self.write.fail_safe
        if self.time_s is None:
            return LOOK_S
        return min(safe.refresh_s or self.time_s, self.time_s / REFRESH_SHARE)

    @property
    def idle(self) -> bool:
        """Whether nothing of ours stands on the device, as far as is known."""
        return self.standing is None and self.record.standing is None and self.record.open is None

    @property
    def falls_back_s(self) -> float | None:
        """When the fail-safe acts, on the monotonic clock; None where there is none."""
        return None if self.time_s is None else self.fed_s + self.time_s

    def ready(self, moment: Moment) -> bool:
        """Whether it could be told something else now."""
        past = self.record.past(moment.now)
        rests = envelope.rate(self.write, past, 1)
        return not rests and self.outcome.status is not Status.UNKNOWN and not self.lost and not self.barred

    def wait(self, order: Order | None, why: str) -> None:
        """Say that an order is not carried out yet."""
        self._say(Status.REFUSED, order.value if order is not None else None, why=why)

    def _meant(self, value: float, whole: float | None) -> dict[str, Meant]:
        return prove.meant(self.points, self.write, value, self.device.exponents, whole, self.time_s)

    @property
    def _required(self) -> tuple[str, ...]:
        """Points that a write rests on."""
        w = self.write
        names = [w.rating, w.fail_safe.fallback_point, *w.requires, *self.said_requires, *self.site.said.reads.values()]
        names += [w.share_of] if w.share_of != INSTALLER else []
        names += [w.seen_in] if w.command in FAST else []
        return tuple(dict.fromkeys(n for n in names if n is not None))

    @property
    def said_requires(self) -> Mapping[str, Any]:
        return self.site.said.requires

    @property
    def _shown(self) -> tuple[str, ...]:
        """Points in which the command itself is read."""
        some = self.write.also[0] if self.write.also else 0.0
        return tuple(prove.meant(self.points, self.write, some, self.device.exponents, 1.0, self.time_s or 0.0))

    @property
    def _names(self) -> tuple[str, ...]:
        extra = [n for n in (self.write.seen_in, self.write.fail_safe.remaining) if n is not None]
        return tuple(dict.fromkeys((*self._required, *self._shown, *extra)))

    # --- one turn ---

    async def begin(self, moment: Moment) -> None:
        """Look at what an earlier run left, and go on from what is found: nothing is assumed."""
        left, value = self.record.open, self.record.standing
        if left is None and value is None:
            return
        if left is not None and isinstance(left.body["new"], (int, float)):
            value = float(left.body["new"])
        look = Look(await self._read_known(self._names))
        silent = look.silent(self._shown)
        if silent:
            self.alarm(moment, f"an earlier run left something here, and it cannot be read: {silent}")
            return
        meant = {} if value is None else self._meant(value, self._whole(look))
        stands = bool(meant) and not prove.off(meant, {n: look.value(n) for n in self._shown})
        self.record.open = None
        if left is not None:
            self._found(left, stands, moment)
        if not stands or value is None:
            self.record.gave_back()
            self.journal.note(moment.now, "found", self.site.name, command=self.name, value=None)
            return
        self.journal.note(moment.now, "found", self.site.name, command=self.name, value=value)
        if self.record.standing != value:
            self.record.stood(self.write, moment.now, value)
        self._stand(value, moment.at_s)

    def _found(self, left: Entry, stands: bool, moment: Moment) -> None:
        """The outcome of a write of which nobody knew whether it arrived."""
        if left.seq in {entry.seq for entry in self.journal.open_intents()}:
            gone = Status.RELEASED if left.body["reason"] == RELEASE else Status.NOT_APPLIED
            status = (
                Status.APPLIED if stands and gone is not Status.RELEASED else Status.NOT_APPLIED if stands else gone
            )
            self.journal.conclude(left.seq, moment.now, str(status), why="found so afterwards")

    async def act(self, order: Order | None, moment: Moment) -> Outcome:
        """One turn: carry the order out, hold what stands, or give back where there is no order."""
        self.order = order
        if order is None:
            return await self._let_go(moment)
        if self.lost and self.lost[0] == order.plan_hash:
            return self.outcome
        self.lost = ()
        if self.standing != order.value:
            outcome = await self.tell(order, moment)
            if outcome.status is Status.REFUSED and self.standing is not None:
                await self.release(outcome.why)
                self.outcome = outcome
            if outcome.status is not Status.WAITING:
                return outcome
        elif self._seen_by_s is not None:
            await self._check_seen(moment)
        if self.standing is None or moment.at_s - self._refreshed_s <= self.refresh_s - self.pace_s + envelope.SAME:
            return self.outcome  # the next turn is early enough
        return await self.refresh(moment)

    async def _let_go(self, moment: Moment) -> Outcome:
        """Without an order nothing of ours stays; a release that failed is tried again, not at every turn."""
        if self.idle or (self.lost and self.standing is None) or moment.at_s < self._again_s:
            return self.outcome
        self._again_s = moment.at_s + AGAIN_S
        return await self.release("no plan holds")

    # --- telling ---

    def forbidden(self, order: Order, now: datetime) -> str:
        """Why an order must not be carried out, by rules that ask no device."""
        return (
            self.barred
            or envelope.permission(self.site, self.name)
            or envelope.value(self.write, order.value)
            or self.may(self.site.name, self.write.command, order.value, order.rung, now)
        )

    async def tell(self, order: Order, moment: Moment) -> Outcome:
        """Bring the device to a value: look, check, intend, send, read back."""
        self.order = order
        if self._tried != (order.step, order.value):
            self._tried, self._attempts = (order.step, order.value), 0
        why = self.forbidden(order, moment.now)
        if why:
            return self._refuse(order, why)
        unknown = self.outcome.status is Status.UNKNOWN and self.record.open is not None
        if self._attempts >= ATTEMPTS and not unknown:
            return self.outcome
        ready = await self._prepare(order, moment)
        if isinstance(ready, Outcome):
            return ready
        if ready.held:
            return await self._adopt(order, moment)
        if unknown:
            self.record.open = None
            await self._take_back(Status.NOT_APPLIED)
            return self._say(Status.NOT_APPLIED, order.value, why="it was never answered, and it did not arrive")
        if ready.why:
            return self._say(Status.WAITING, order.value, why=ready.why)
        return await self._send(order, ready)

    async def rehearse(self, order: Order, moment: Moment) -> tuple[Outcome, tuple[Frame, ...]]:
        """What ``tell`` would send now, and why it would not; sends nothing."""
        why = self.barred or envelope.permission(self.site, self.name) or envelope.value(self.write, order.value)
        if why:
            return self._refuse(order, why), ()
        ready = await self._prepare(order, moment)
        if isinstance(ready, Outcome):
            return ready, ()
        why = "it holds this already, and is only refreshed" if ready.held else ready.why
        return self._say(Status.WAITING, order.value, read=ready.old, why=why), ready.frames

    async def _prepare(self, order: Order, moment: Moment) -> _Ready | Outcome:
        """Look, ask every rule that needs to know what the device reads, and make the requests."""
        look = await self._look(order)
        if isinstance(look, Outcome):
            return look
        whole = self._whole(look)
        meant = self._meant(order.value, whole)
        held = bool(meant) and not prove.off(meant, {n: look.value(n) for n in self._shown})
        value = envelope.stage(self.write, self._last(look), order.value, self._since_proven_s(moment))
        why = (
            envelope.rated(self.write, order.value, look.number(self.write.rating))
            or self._off_requirement(look)
            or self._off_fail_safe(look)
        )
        if why:
            return self._refuse(order, why)
        try:
            sent = self._frames(value, look)
        except Unfit as error:
            return self._refuse(order, str(error))
        past = self.record.past(moment.now)
        why = (
            ("the ramp allows no step yet" if value == self._last(look) != order.value else "")
            or envelope.rate(self.write, past, len(sent))
            or envelope.running(self.write, past, order.value, self.said.min_on_s, self.said.min_off_s)
        )
        return _Ready(value, sent, look, whole, self._last(look), held, why)

    async def _adopt(self, order: Order, moment: Moment) -> Outcome:
        """Hold what stands already: no change is sent, only what its fail-safe needs."""
        self.record.open = None
        if self.record.standing != order.value:
            self.journal.note(
                moment.now, ADOPTED, self.site.name, command=self.name, value=order.value, plan=order.plan
            )
            self.record.stood(self.write, moment.now, order.value)
        self._stand(order.value, moment.at_s)
        await self.refresh(moment, looked=True)
        return self.outcome

    def _stand(self, value: float, at_s: float) -> None:
        self.standing, self._proven_s, self._looked_s = value, at_s, at_s
        self._seen_by_s = at_s + self.write.seen_within_s if self.write.seen_in is not None else None
        self._refreshed_s = -math.inf
        status = Status.CONFIRMED if self._seen_by_s is None else Status.APPLIED
        self._say(status, value, read=value)

    def _last(self, look: Look) -> float | None:
        """The value to count a ramp from: ours, or what the device holds."""
        if self.standing is not None:
            return self.standing
        return None if self.write.states else look.number(self.write.readback or self.write.point)

    def _since_proven_s(self, moment: Moment) -> float:
        since = moment.at_s - (self._proven_s if self._proven_s is not None else moment.at_s)
        return max(since, self.write.interval_s, 1.0)

    def _whole(self, look: Look) -> float | None:
        """What the value is a share of."""
        if self.write.share_of is None:
            return None
        return self.said.share_of if self.write.share_of == INSTALLER else look.number(self.write.share_of)

    def _off_requirement(self, look: Look) -> str:
        """A local switch, an override, an alarm: whatever must read so and does not."""
        for name, wanted in {**self.write.requires, **self.said_requires}.items():
            if not Meant(float(wanted) if isinstance(wanted, int) else wanted).holds(look.value(name)):
                return f"{name} reads {look.value(name)}, not {wanted}"
        return ""

    def _off_fail_safe(self, look: Look) -> str:
        """What the device says of its own fail-safe must be what is declared."""
        safe = self.write.fail_safe
        if safe.fallback_point is not None and isinstance(safe.fallback, (int, float)):
            reads = look.number(safe.fallback_point)
            if reads is None or abs(reads - safe.fallback) > (self.write.tolerance or 0.0) + prove.SLACK:
                return f"{safe.fallback_point} reads {reads}; it would not fall back to {safe.fallback:g}, as declared"
        timer = safe.timer if safe.timer is not None and not self._sets_timer else None
        if timer is not None:
            reads = look.number(safe.timer_readback or timer)
            if reads is None or reads <= 0:
                return f"{timer} reads {reads}: its fail-safe would never act"
            if reads < REFRESH_SHARE * self.refresh_s - prove.SLACK:
                return f"{timer} reads {reads:g} s; refreshed every {self.refresh_s:g} s, it must be three times that"
        return ""

    @property
    def _sets_timer(self) -> bool:
        return any(v == "timer" for step in self.write.steps for v in step.values())

    def _frames(self, value: float, look: Look) -> tuple[Frame, ...]:
        """Requests of a value; those that a heartbeat begins with come first."""
        readings = {n: v for n in look.readings if (v := look.number(n)) is not None}
        if self.write.share_of == INSTALLER and self.said.share_of is not None:
            readings[INSTALLER] = self.said.share_of
        return self._beats() + frames(self.points, self.write, value, readings, self.device.exponents, self.time_s)

    def _beats(self) -> tuple[Frame, ...]:
        """What a heartbeat consists of: a request a point."""
        steps = tuple({name: value} for name, value in self.write.fail_safe.beat.items())
        return release_frames(self.points, self.write.model_copy(update={"release": steps}), self.device.exponents)

    async def _identify(self) -> None:
        """Make sure who answers. Raises Fault and Stranger; DeviceError where another process has the line, whose
        devices are none of ours."""
        try:
            await self.device.identify()
        except Fault as fault:
            if fault.kind is FaultKind.HELD:
                raise DeviceError("{device}: {why}", device=self.site.name, why=fault.why) from fault
            raise

    async def _look(self, order: Order) -> Look | Outcome:
        """Everything a write rests on, read now; or why it cannot rest on it."""
        try:
            await self._identify()
        except Stranger as stranger:
            return self._refuse(order, f"another device answers: {stranger}")
        except Fault as fault:
            return self._say(Status.UNKNOWN, order.value, why=fault.why)
        look = Look(await self.device.read(self._names))
        why = look.silent(self._shown)
        if why:
            return self._say(Status.UNKNOWN, order.value, why=why)
        self._looked_s = self.clock.monotonic()
        poor = look.poor(self._required)
        return self._refuse(order, poor) if poor else look

    async def _send(self, order: Order, ready: _Ready) -> Outcome:
        """Intend, send, read back, conclude."""
        value, sent, whole = ready.value, ready.frames, ready.whole
        now = self.clock.look().now
        intent = self.journal.intend(
            now, who=self.who, plan=order.plan, plan_hash=order.plan_hash, device=self.site.name, command=self.name,
            old=ready.old, new=value, frames=[shown(f) for f in sent], reason=order.reason,
        )  # fmt: skip
        self.record.wrote(now, len(sent))
        self._before = ready.look.number(self.write.seen_in)
        self.told_last_s = began_s = self.clock.monotonic()
        answers, fault = await self._write(sent)
        if fault is not None and not fault.sent:
            self._attempts += 1
            why = f"nothing was sent: {fault.why}"
            self._conclude(intent, Status.NOT_APPLIED, None, answers, why)
            return self._say(Status.NOT_APPLIED, order.value, why=why)
        self._attempts = ATTEMPTS
        status, read, why = await self._read_back(self._meant(value, whole))
        why = "; ".join(w for w in (fault.why if fault is not None else "", why) if w)
        self._conclude(intent, status, read, answers, why)
        if status is Status.APPLIED:
            proven = self.clock.look()
            self.record.stood(self.write, proven.now, value)
            self._attempts = 0
            self._stand(value, proven.at_s)
            self._refreshed_s = began_s
            if value != order.value:
                return self._say(Status.WAITING, order.value, read=read, why=f"on its ramp, at {value:g}")
            return self._say(self.outcome.status, order.value, read=read, why=why)
        self.standing = None
        if status is Status.UNKNOWN:
            self.record.open = next(self.journal.entries(intent - 1), None)
        else:
            await self._take_back(status)
        return self._say(status, order.value, read=read, why=why)

    async def _write(self, sent: Sequence[Frame], release: bool = False) -> tuple[list[Any], Fault | None]:
        """Answers, and the fault that ended it: ``sent`` where any of the requests may have reached the device."""
        answers: list[Any] = []
        for frame in sent:
            try:
                answers.append(await self.device.write(frame, release))
            except Fault as fault:
                return answers, Fault(fault.kind, fault.why, code=fault.code, sent=fault.sent or bool(answers))
            except (Stranger, Unfit) as error:
                return answers, Fault(FaultKind.BROKEN, str(error), sent=bool(answers))
        return answers, None

    async def _read_back(self, meant: Mapping[str, Meant]) -> tuple[Status, Value | None, str]:
        """Read until it agrees twice, or does not."""
        back, shown_at, why = Readback(), self.write.readback or self.write.point, ""
        read: Value | None = None
        while back.status is None:
            await self.sleep(self.write.settle_s + (PATIENCE_S * back.taken if back.answered < back.taken else 0.0))
            look = Look(await self._read_known(meant))
            silent = look.silent(meant)
            wrong = prove.off(meant, {n: look.value(n) for n in meant})
            read = self._in_command(look.value(shown_at)) if not silent else read
            why = silent or ", ".join(f"{n} reads {_said(v)}, not {_said(meant[n].value)}" for n, v in wrong.items())
            back = back.after(not silent, not wrong)
        return back.status, read, "" if back.status is Status.APPLIED else why

    async def _read_known(self, names: Iterable[str]) -> Mapping[str, Reading]:
        """Readings of the device that it must be; of another one, or none, nothing."""
        try:
            await self._identify()
        except (Fault, Stranger):
            return {}
        return await self.device.read(tuple(names))

    def _in_command(self, read: Value | None) -> Value | None:
        """A share as the command has it; a state as its number."""
        if isinstance(read, str) and read in self.write.states:
            return float(self.write.states.index(read))
        if isinstance(read, float) and self.write.share_of == INSTALLER and self.said.share_of is not None:
            return read * self.said.share_of
        return read

    async def _take_back(self, status: Status) -> None:
        """A device that holds something else than it was told is given back, not left half told."""
        if self.write.release:
            outcome = self.outcome
            await self.release(f"it was {status}")
            self.outcome = outcome

    # --- holding ---

    async def refresh(self, moment: Moment, looked: bool = False) -> Outcome:
        """Look whether the value stands, and keep its fail-safe from acting for one more time."""
        assert self.standing is not None
        assert self.order is not None
        value, order = self.standing, self.order
        why = self.may(self.site.name, self.write.command, value, order.rung, moment.now)
        if why:
            return await self.release(why)
        look = Look({} if looked else await self._read_known(self._names))
        if not looked:
            silent, poor = look.silent(self._shown), look.poor(self._required)
            if silent or poor:
                return self._on_poor(moment, silent or poor)
            self._looked_s = moment.at_s
            whole = self._whole(look)
            wrong = prove.off(self._meant(value, whole), {n: look.value(n) for n in self._shown})
            if wrong:
                look = Look(await self._read_known(self._names))
                wrong = prove.off(self._meant(value, whole), {n: look.value(n) for n in self._shown})
            if wrong:
                return self._on_change(moment, wrong)
            why = self._off_requirement(look)
            if why:
                return self.leave(why)
        elif self.write.share_of is not None:
            look = Look(await self._read_known(self._names))
        return await self._feed(moment, value, look)

    async def _feed(self, moment: Moment, value: float, look: Look) -> Outcome:
        safe = self.write.fail_safe
        if safe.kind == "none" or safe.fed_by == "read":
            self._refreshed_s = moment.at_s
            return self.outcome
        try:
            sent = self._beats() if safe.kind == "heartbeat" else self._frames(value, look)
        except Unfit as error:
            return self._on_poor(moment, str(error))
        if self._ahead == 0:
            past = self.record.past(moment.now)
            why = envelope.rate(self.write, past, len(sent), changes=False)
            if why:
                self.alarm(moment, why)
                return self.leave(why, for_good=True)
            left = envelope.left(self.write, past)
            time_s = AHEAD_S if left == envelope.UNCOUNTED else AHEAD_COUNTED_S
            self._ahead = min(max(int(time_s / self.refresh_s), 1), left // len(sent))
            requests = self._ahead * len(sent)
            self.journal.note(
                moment.now, REFRESHES, self.site.name, command=self.name, value=value, requests=requests,
                frames=[shown(f) for f in sent],
            )  # fmt: skip
            self.record.wrote(moment.now, requests)
        self._ahead -= 1
        began_s = self.clock.monotonic()
        _, fault = await self._write(sent)
        if fault is None:
            self._refreshed_s = began_s
            return self.outcome
        return self._on_poor(moment, fault.why)

    def _on_poor(self, moment: Moment, why: str) -> Outcome:
        """A refresh that cannot be relied upon: tried again each turn, and given up when the readings are too old."""
        if moment.at_s - self._looked_s > self.site.said.max_age_s:
            self.alarm(moment, why)
            return self.leave(f"not read for {moment.at_s - self._looked_s:.0f} s: {why}")
        if self.outcome.status in prove.PROVEN or self.outcome.status is Status.APPLIED:
            self.outcome = replace(self.outcome, why=why)
        return self.outcome

    def _on_change(self, moment: Moment, wrong: Mapping[str, Value | None]) -> Outcome:
        """The device holds something else than it was told: its fail-safe acted, or someone else is there."""
        what = ", ".join(f"{n} reads {_said(v)}" for n, v in wrong.items())
        value, self.standing = self.standing, None
        self.record.gave_back()
        if self.time_s is not None and moment.at_s - self._refreshed_s > self.time_s - prove.SLACK:
            self.alarm(moment, f"it fell back by itself: {what}")
            return self._say(Status.WAITING, value, why=f"it fell back by itself: {what}")
        self._reasserts += 1
        self.alarm(moment, f"someone else changed it: {what}")
        if self._reasserts > REASSERTS:
            return self.leave(f"someone else changed it {self._reasserts} times: {what}", for_good=True)
        return self._say(Status.WAITING, value, why=f"someone else changed it: {what}")

    async def _check_seen(self, moment: Moment) -> None:
        """Whether the measurement shows the effect by now."""
        assert self.standing is not None
        assert self._seen_by_s is not None
        assert self.write.seen_in is not None
        value, name = self.standing, self.write.seen_in
        look = Look(await self._read_known((name,)))
        measured = look.number(name)
        follows = None if measured is None else prove.seen(self.write, value, self._before, measured)
        late = moment.at_s >= self._seen_by_s
        if follows:
            status, why = Status.CONFIRMED, ""
        elif not late:
            return
        elif measured is None and self.write.command in FAST:
            status, why = Status.UNKNOWN, f"{name} is not read: {look.poor((name,))}"
        elif follows is None:
            status, why = Status.CONFIRMED, f"{name} shows nothing of it"
        else:
            status, why = Status.NOT_FOLLOWING, f"{name} is {measured:g} {self.write.seen_within_s:g} s later"
        self._seen_by_s = None
        said = {"command": self.name, "value": value, "measured": measured, "status": str(status)}
        self.journal.note(moment.now, "seen", self.site.name, **said)
        if status is not Status.CONFIRMED:
            self.alarm(moment, why)
        self._say(status, value, read=self.outcome.read, why=why, measured=measured)

    # --- giving back ---

    async def release(self, reason: str) -> Outcome:
        """Give the device back to its own control, and read that it has it."""
        fallback = prove.set_fallback(self.write)
        try:
            if self.write.release:
                sent, meant = release_frames(self.points, self.write, self.device.exponents), None
            elif fallback is not None and not envelope.value(self.write, fallback):
                look = Look(await self._read_known(self._names))
                sent, meant = self._frames(fallback, look), self._meant(fallback, self._whole(look))
            else:
                return self.leave(reason)
        except Unfit as error:
            return self.leave(f"{reason}; {error}")
        try:
            await self._identify()
        except (Stranger, Fault) as error:
            return self.leave(f"{reason}; {error}")
        order, now = self.order, self.clock.look().now
        intent = self.journal.intend(
            now, who=self.who, plan=order.plan if order else None, plan_hash=order.plan_hash if order else None,
            device=self.site.name, command=self.name, old=self.standing, new=None, frames=[shown(f) for f in sent],
            reason=RELEASE,
        )  # fmt: skip
        self.record.wrote(now, len(sent))
        answers, fault = await self._write(sent, release=True)
        status, read, why = await self._read_back(meant or prove.released(self.points, self.write))
        why = "; ".join(w for w in (reason, fault.why if fault is not None else "", why) if w)
        status = Status.RELEASED if status is Status.APPLIED else status
        self._conclude(intent, status, read, answers, why)
        self.standing = self._seen_by_s = None
        if status is Status.RELEASED:
            self.record.gave_back()
            self.record.open = None
        return self._say(status, None, read=read, why=why)

    def leave(self, why: str, for_good: bool = False) -> Outcome:
        """Refresh no more and send nothing: the fail-safe takes the device back. ``for_good``: as long as this plan."""
        if for_good and self.order is not None:
            self.lost = (self.order.plan_hash,)
        after = f"; its fail-safe acts within {self.time_s:g} s" if self.time_s is not None else ""
        self.journal.note(self.clock.look().now, LEFT, self.site.name, command=self.name, value=self.standing, why=why)
        self.standing = self._seen_by_s = None
        if self.time_s is not None:
            self.record.gave_back()
        return self._say(Status.LEFT, None, why=f"{why}{after}")

    async def fallen_back(self) -> bool:
        """Whether what can be read says that the fail-safe has acted."""
        meant = prove.fallen_back(self.points, self.write)
        remaining = self.write.fail_safe.remaining
        if remaining is not None:
            meant = {**meant, remaining: Meant(0.0)} if self.write.fail_safe.fallback == LOCAL else meant
        if not meant:
            return False
        look = Look(await self._read_known(meant))
        return not prove.off(meant, {n: look.value(n) for n in meant})

    @property
    def fallback_known(self) -> bool:
        """Whether it can be read that the fail-safe has acted."""
        return bool(prove.fallen_back(self.points, self.write))

    @property
    def fed_s(self) -> float:
        """When the device last heard something that keeps its fail-safe from acting."""
        return max(self._refreshed_s, self.told_last_s)

    async def holds(self, value: float) -> bool | None:
        """Whether the device holds a value; None where it cannot be read."""
        look = Look(await self._read_known(self._names))
        if look.silent(self._shown):
            return None
        return not prove.off(self._meant(value, self._whole(look)), {n: look.value(n) for n in self._shown})

    async def is_released(self) -> bool:
        """Whether the device reads as one that nobody commands; True where that cannot be read."""
        meant = prove.released(self.points, self.write)
        look = Look(await self._read_known(meant))
        return bool(look.silent(meant)) or not prove.off(meant, {n: look.value(n) for n in meant})

    # --- saying ---

    def _refuse(self, order: Order, why: str) -> Outcome:
        if self._noted.new((order.plan_hash, order.step), self.name, why):
            self.journal.note(
                self.clock.look().now, "refused", self.site.name, command=self.name, value=order.value, why=why,
                plan=order.plan,
            )  # fmt: skip
        return self._say(Status.REFUSED, order.value, why=why)

    def alarm(self, moment: Moment, why: str) -> None:
        self.journal.note(moment.now, "alarm", self.site.name, command=self.name, why=why)

    def _say(
        self,
        status: Status,
        wanted: float | None,
        read: Value | None = None,
        why: str = "",
        measured: Value | None = None,
    ) -> Outcome:
        self.outcome = Outcome(*self.key, status, wanted, read, why, measured)
        return self.outcome

    def _conclude(self, intent: int, status: Status, read: Value | None, answers: Sequence[Any], why: str) -> None:
        said = read if isinstance(read, (int, float, str)) or read is None else ", ".join(sorted(read))
        self.journal.conclude(
            intent, self.clock.look().now, str(status), read=said,
            raw=[part.hex(" ") for a in answers for part in (a.request, a.answer)],
            latency_s=sum(a.latency_s for a in answers) if answers else None, why=why,
        )  # fmt: skip


def shown(frame: Frame) -> str:
    """A request as the journal and people see it: function, first register, words."""
    where = f"{frame.address}" if frame.sunspec is None else f"model {frame.sunspec} + {frame.address}"
    return f"{frame.function} @ {where}: " + " ".join(f"{word:04X}" for word in frame.words)


def _said(value: Value | None) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "nothing"
    return f"{value:g}" if isinstance(value, float) else str(value)
