"""What answers on a line: its SunSpec models, and which adapters know it. Only reads.

Every adapter asks its own identity probe. What it finds is evidence, told in words: a name or a code that reads as it
should makes it certain, SunSpec's models or several plausible values likely, a single one no more than possible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gridopt.devices import sunspec
from gridopt.devices.adapter import Adapter
from gridopt.devices.codec import Unfit
from gridopt.devices.device import Device, Sent, Stranger, Unit
from gridopt.devices.frames import Frame
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.readings import numbers
from gridopt.devices.schema import Link
from gridopt.devices.worked import value_said

UnitFor = Callable[[Link], Unit]
"""What an adapter asks of the link → the unit, spoken to that way."""
DEAD = (FaultKind.TIMEOUT, FaultKind.OFFLINE, FaultKind.GATEWAY, FaultKind.HELD)
PATIENCE = 2
"""Probes without any answer after which nobody is there; who answered once may be silent about what it has not."""
NAMES = ("Mn", "Md", "Vr", "SN")
"""Maker, model, version and serial number in SunSpec's common model."""


class Sure(StrEnum):
    """How much speaks for an adapter."""

    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"


@dataclass(frozen=True)
class Fit:
    """An adapter that knows the device, and why."""

    adapter: str
    sure: Sure
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Scan:
    """What was found. ``common``: what SunSpec's common model says; ``strangers``: adapter → why it is none of its
    devices; ``unknowable``: adapters without an identity probe; ``silent``: why nobody answers, or ""."""

    chain: sunspec.Chain | None
    common: dict[str, str]
    fits: tuple[Fit, ...]
    strangers: dict[str, str]
    unknowable: tuple[str, ...]
    silent: str = ""


class _ReadOnly:
    """A unit that cannot be written."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self.answers = 0

    @property
    def session(self) -> int:
        return self._unit.session

    async def read(self, table: str, address: int, count: int) -> Sequence[int]:
        try:
            words = await self._unit.read(table, address, count)
        except Fault as fault:
            self.answers += fault.kind not in DEAD
            raise
        self.answers += 1
        return words

    async def write(self, frame: Frame, *, release: bool = False, session: int | None = None) -> Sent:
        raise Unfit("a scan writes nothing")


async def scan(
    unit_for: UnitFor, adapters: Iterable[Adapter], clock: Callable[[], float], now: Callable[[], datetime]
) -> Scan:
    """Everything that reading tells about one unit."""
    chain, common, silent = None, {}, ""
    plain = _ReadOnly(unit_for(Link.model_validate({})))
    try:
        chain = await sunspec.discover(plain.read)
        if chain is not None and sunspec.COMMON in chain.first:
            said = await sunspec.read_model(plain.read, chain.first[sunspec.COMMON])
            common = {n: str(said[n].decoded.value) for n in NAMES if n in said and said[n].decoded.value is not None}
    except Fault as fault:
        silent = fault.why
    fits: list[Fit] = []
    strangers: dict[str, str] = {}
    unknowable: list[str] = []
    answered = plain.answers > 0
    probes = 1
    for adapter in adapters:
        if not _knowable(adapter):
            unknowable.append(adapter.name)
            continue
        if probes >= PATIENCE and not answered:
            break
        probes += 1
        unit = _ReadOnly(unit_for(adapter.link))
        try:
            fits.append(await _fit(adapter, unit, clock, now))
        except Stranger as stranger:
            strangers[adapter.name] = stranger.why
        except Fault as fault:
            strangers[adapter.name], silent = fault.why, silent or fault.why
        answered |= unit.answers > 0
    order = list(Sure)
    fits.sort(key=lambda fit: (order.index(fit.sure), -len(fit.evidence), fit.adapter))
    return Scan(chain, common, tuple(fits), strangers, tuple(unknowable), "" if answered else silent)


def _knowable(adapter: Adapter) -> bool:
    identity = adapter.identity
    return bool(identity.sunspec or identity.expect or identity.plausible)


async def _fit(adapter: Adapter, unit: Unit, clock: Callable[[], float], now: Callable[[], datetime]) -> Fit:
    """What speaks for an adapter. Raises Stranger or Fault."""
    identity = adapter.identity
    part = None if adapter.link.stride is None else 1
    device = Device("scan", adapter, unit, clock=clock, now=now, part=part)
    await device.identify()
    sums = [name for total, parts in identity.sums.items() for name in (total, *parts)]
    found = await device.read({*identity.expect, *identity.plausible, *sums})
    evidence = [f"{name} reads {_said(device, found[name].value)}" for name in identity.expect]
    weight = 0
    if identity.sunspec:
        models = sorted({p.sunspec for p in adapter.points.values() if p.sunspec is not None})
        evidence.append(f"SunSpec models {', '.join(map(str, models))}")
        weight += 2
    for name in identity.plausible:
        if found[name].good:
            evidence.append(f"{name} reads {_said(device, found[name].value, name)}")
            weight += 1
    values = numbers(found)
    for total, parts in identity.sums.items():
        if values.keys() >= {total, *parts} and any(values[name] for name in parts):
            evidence.append(f"{total} is what its parts add up to")
            weight += 2
    sure = Sure.CERTAIN if identity.expect else Sure.LIKELY if weight >= 2 else Sure.POSSIBLE
    return Fit(adapter.name, sure, tuple(evidence))


def _said(device: Device, value: object, name: str = "") -> str:
    unit = device.adapter.points[name].unit if name else ""
    if isinstance(value, float):
        return f"{value:.6g} {unit}".rstrip()
    return value_said(value, unit) if isinstance(value, (str, frozenset)) else "nothing"
