"""A mandate: a person's signed word that gridopt may write by itself: to which devices, which values, until when.

    format = 1
    approver = "energy-manager"             # named in devices.toml with their public key
    planner = "district-desk"               # who plans; with it, they must not be the approver (two persons)
    from = 2026-03-01T00:00:00Z
    until = 2026-06-01T00:00:00Z
    rung = "time-limited"                   # how poor a plan may be: see RUNGS

    [device.wallbox-1.current]              # device, and the command that its setpoints carry
    low = 0
    high = 16

The signature stands beside the file, in ``mandate.sig``: Ed25519 over the bytes of the mandate and the hash of the
site's ``devices.toml``, so that neither can be changed without being signed again.

Source of the signature scheme: RFC 8032.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field

from gridopt.devices.mistakes import SITE_MESSAGES
from gridopt.devices.schema import COMMANDS
from gridopt.devices.site import Site
from gridopt.errors import SiteError, UsageError
from gridopt.written import report as written
from gridopt.written.fields import Choice, FieldType, Number, Schema, Text, refuse
from gridopt.written.model import Section, read_model
from gridopt.written.report import Place
from gridopt.written.toml import read_bytes, read_layer, shown
from gridopt.written.words import did_you_mean, key_hint, quoted

FILE, SIGNATURE = "mandate.toml", ".sig"
RUNGS = ("optimal", "within gap", "time-limited", "soft", "last plan", "device default")
"""From the best plan to none: each is a poorer ground to write on than the one before."""
LONGEST = timedelta(days=366)
PURPOSE = b"gridopt mandate 1\0"
"""What is signed begins with it, so that a signature made for anything else is of no use here."""
BARE = re.compile(r"[A-Za-z0-9_-]+")
"""A key that TOML takes without quotes."""
PRIVATE = stat.S_IRWXG | stat.S_IRWXO

UNWRITABLE = "{file} cannot be written: {why}"

MESSAGES = SITE_MESSAGES | {
    "not-time": "{where}: {key} {value} is not a time with its zone; write 2026-03-01T00:00:00Z, without quotes",
    "no-signature": "the mandate is not signed: {name} is missing; `gridopt mandate sign` makes it",
    "bad-signature": "the signature in {name} is not {approver}'s over this mandate and these devices: one of them was "
    "changed after it was signed; have it signed again",
    "no-approver": "{where}: {value} is not an approver of the site{hint}; name one in its devices.toml: "
    '[approver.{value}] with public_key = "…", which `gridopt mandate key` prints',
    "same-person": "{where}: planner and approver are both {value}, or have one key: two persons are needed",
    "too-long": "{where}: until lies more than a year after from; a mandate ends",
    "not-allowed": "{where}: the site does not let {device} take {command}; allow it there first",
    "no-grants": "the mandate allows nothing; write [device.NAME.COMMAND] with low and high",
}


class MandateReport(written.Report):
    messages = MESSAGES
    error = SiteError


@dataclass(frozen=True)
class Time(FieldType):
    """A time with its zone."""

    def check(self, value: Any) -> datetime:
        if not isinstance(value, datetime) or value.tzinfo is None:
            refuse("not-time", value)
        return value.astimezone(UTC)

    def schema(self) -> Schema:
        return {"type": "string", "format": "date-time"}


class Grant(Section):
    low: Annotated[float, Number()] = Field(description="lowest value that may be written, in the command's unit")
    high: Annotated[float, Number()] = Field(description="highest value")


class Head(Section):
    approver: Annotated[str, Text()] = Field(description="who signs, as devices.toml names them")
    planner: Annotated[str | None, Text()] = Field(None, description="who plans, where two persons are needed")
    start: Annotated[datetime, Time()] = Field(alias="from", description="from when it holds")
    until: Annotated[datetime, Time()] = Field(description="until when, at most a year later")
    rung: Annotated[str, Choice(RUNGS)] = Field(description="the poorest plan that may be written")


@dataclass(frozen=True)
class Mandate:
    """A mandate whose signature holds. ``grants``: (device, command) → what may be written."""

    file: Path
    digest: str
    head: Head
    grants: Mapping[tuple[str, str], Grant]

    def when(self, now: datetime) -> str:
        """Why it does not hold at an instant, or ""."""
        if self.head.start <= now < self.head.until:
            return ""
        return f"the mandate holds from {_told(self.head.start)} until {_told(self.head.until)}"

    def check(self, device: str, command: str, value: float, rung: str, now: datetime) -> str:
        """Why it does not allow this write, or ""."""
        if why := self.when(now):
            return why
        if rung not in RUNGS or RUNGS.index(rung) > RUNGS.index(self.head.rung):
            return f"the plan is {rung}; the mandate ends at {self.head.rung}"
        grant = self.grants.get((device, command))
        if grant is None:
            return f"the mandate does not name {command} of {device}"
        if not grant.low <= value <= grant.high:
            return f"the mandate allows {grant.low:g} to {grant.high:g}, not {value:g}"
        return ""


# --- reading ---------------------------------------------------------------------------------------------------------


def load(path: Path, site: Site) -> Mandate:
    """The mandate in a file, for a site. Raises SiteError with every mistake, or where the signature does not hold."""
    report = MandateReport()
    content = read_bytes(path, (shown(path), None), report)
    layer = None if content is None else read_layer(path, content, report)
    report.stop()
    assert content is not None
    assert layer is not None

    def at(*keys: str | int) -> Place:
        return layer.file, layer.line(keys)

    data = dict(layer.data)
    said = data.pop("format", None)
    if said != 1 or isinstance(said, bool):
        report.add(at("format"), "format-unknown", value=quoted(layer.data.get("format")))
    devices = data.pop("device", {})
    head = read_model(Head, data, "mandate", at, report)
    if isinstance(head, Head):
        _check_head(head, site, at, report)
    grants = dict(_grants(devices, site, at, report))
    if not grants and not report.mistakes:
        report.add(at("device"), "no-grants")
    report.stop()
    assert isinstance(head, Head)
    _check_signature(path, content, head.approver, site, report)
    report.stop()
    return Mandate(path, _digest(content), head, grants)


def _check_head(head: Head, site: Site, at: Any, report: MandateReport) -> None:
    if head.approver not in site.approvers:
        hint = did_you_mean(head.approver, site.approvers, "there are")
        report.add(at("approver"), "no-approver", where="mandate", value=head.approver, hint=hint)
    if head.planner is not None and _is_same(head.planner, head.approver, site):
        report.add(at("planner"), "same-person", where="mandate", value=head.approver)
    if head.until <= head.start:
        report.add(at("until"), "crossed", where="mandate", low="from", high="until")
    elif head.until - head.start > LONGEST:
        report.add(at("until"), "too-long", where="mandate")


def _is_same(one: str, other: str, site: Site) -> bool:
    """Whether two names are of one person: spelled alike, or with one key."""
    keys = site.approvers.get(one), site.approvers.get(other)
    return one.strip().casefold() == other.strip().casefold() or (keys[0] is not None and keys[0] == keys[1])


def _grants(devices: Any, site: Site, at: Any, report: MandateReport) -> Iterable[tuple[tuple[str, str], Grant]]:
    if not isinstance(devices, dict):
        report.add(at("device"), "not-section", key="device", value=quoted(devices), example="[device.NAME.COMMAND]")
        return
    for name, commands in devices.items():
        where = f"device {name}"
        if name not in site.devices:
            hint = did_you_mean(name, site.devices, "there are")
            report.add(at("device", name), "unknown-device", where="mandate", value=name, hint=hint)
        elif not isinstance(commands, dict):
            report.add(at("device", name), "not-table", where="device", key=name, value=quoted(commands))
        else:
            for command, values in commands.items():
                place = functools.partial(at, "device", name, command)
                if command not in COMMANDS:
                    report.add(place(), "unknown-key", where=where, key=command, hint=key_hint(command, COMMANDS))
                elif site.devices[name].command(command) is None:
                    report.add(place(), "not-allowed", where=where, device=name, command=command)
                elif not isinstance(values, dict):
                    report.add(place(), "not-table", where=where, key=command, value=quoted(values))
                else:
                    grant = read_model(Grant, values, f"{where}: {command}", place, report)
                    if isinstance(grant, Grant):
                        if grant.low > grant.high:
                            report.add(place("low"), "crossed", where=where, low="low", high="high")
                        yield (name, command), grant


def _check_signature(path: Path, content: bytes, approver: str, site: Site, report: MandateReport) -> None:
    beside = _beside(path)
    try:
        signature = bytes.fromhex(beside.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        report.add((shown(path), None), "no-signature", name=shown(beside))
        return
    except (ValueError, OSError):
        signature = b""
    try:
        Ed25519PublicKey.from_public_bytes(site.approvers[approver]).verify(signature, _message(content, site))
    except InvalidSignature:
        report.add((shown(path), None), "bad-signature", name=shown(beside), approver=approver)


def _beside(path: Path) -> Path:
    """Where the signature stands. Raises UsageError where that would be the mandate itself."""
    if path.suffix == SIGNATURE:
        raise UsageError("{file} is a signature; name the mandate, such as mandate.toml", file=str(path))
    return path.with_suffix(SIGNATURE)


def _message(content: bytes, site: Site) -> bytes:
    return PURPOSE + bytes.fromhex(site.digest) + content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _told(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC")


# --- writing ---------------------------------------------------------------------------------------------------------


def new_key(path: Path) -> str:
    """Leave a new private key at ``path``, readable by its owner alone; the public key, as devices.toml takes it.

    Raises UsageError where a file stands there already, or none can be written.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError("{file} exists already; a key is never overwritten", file=str(path)) from None
    except OSError as error:
        raise UsageError(UNWRITABLE, file=str(path), why=error.strerror or str(error)) from error
    with os.fdopen(file, "wb") as out:
        out.write(pem)
    return key.public_key().public_bytes_raw().hex()


def sign(path: Path, site: Site, key_file: Path) -> Mandate:
    """Sign the mandate in a file with a private key; the mandate, as it then holds.

    Raises SiteError where the mandate is wrong, or the key is not its approver's; UsageError where there is no key.
    """
    key = _private_key(key_file)
    beside, before = _beside(path), None
    if beside.is_file():
        before = beside.read_bytes()
    try:
        beside.write_text(key.sign(_message(path.read_bytes(), site)).hex() + "\n", encoding="ascii")
        return load(path, site)
    except FileNotFoundError:
        return load(path, site)  # says what is missing
    except SiteError:
        if before is None:
            beside.unlink(missing_ok=True)
        else:
            beside.write_bytes(before)
        raise
    except OSError as error:
        raise UsageError(UNWRITABLE, file=str(beside), why=error.strerror or str(error)) from error


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        if os.name == "posix" and path.stat().st_mode & PRIVATE:
            raise UsageError("{file} can be read by others; allow it to nobody else: chmod 600 {file}", file=str(path))
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise UsageError("{file} cannot be read: {why}", file=str(path), why=error.strerror or str(error)) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError("{file} holds no private key: {why}", file=str(path), why=str(error)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError("{file} holds no Ed25519 key; `gridopt mandate key` makes one", file=str(path))
    return key


def template(site: Site, approver: str, start: datetime, until: datetime) -> str:
    """A mandate to begin with: every command that the site allows, within its own bounds."""
    lines = [
        "# What gridopt may write by itself. Take out what it may not, then: gridopt mandate sign",
        "format = 1",
        f"approver = {json.dumps(approver, ensure_ascii=False)}",
        f"from = {start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        f"until = {until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        'rung = "time-limited"                   # the poorest plan that may be written: ' + ", ".join(RUNGS),
    ]
    for name, device in site.devices.items():
        for own in device.writes:
            write = device.whole(own)
            low, high = (0, len(write.states) - 1) if write.states else (write.low, write.high)
            lowest = min([low, *write.also]) if isinstance(low, (int, float)) else 0
            key = name if BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)
            lines += ["", f"[device.{key}.{write.command}]", f"low = {lowest:g}", f"high = {high:g}"]
    return "\n".join(lines) + "\n"
