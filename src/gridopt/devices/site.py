"""The devices of a site: which adapter speaks to which device over which line, and what may be written to it.

    format = 1

    [line.car-park]                     one physical line; one session speaks over it
    tcp = "10.0.4.7:502"                or rtu_over_tcp, tls, or rtu = "/dev/ttyUSB0"

    [device.wallbox-1]                  the name that setpoints carry
    adapter = "keba-p30"                one that ships, or a file beside this one
    line = "car-park"
    unit_id = 3
    node = "car-park"                   a meter of this node
    reads = { soc_kwh = "energy_kwh" }  quantity of the asset's state → the point that shows it
    requires = { mode = "remote" }      what must read so before anything is written

    [device.wallbox-1.write.current]    what may be written; a device without such a table is only read
    high = 16                           the installer's own bounds and times; the tighter wins
    signed = { by = "…", on = 2026-03-01, why = "…" }   a person's word where the fail-safe is unknown

    [group.car-park]                    what succeeds together, or is let go together
    devices = ["wallbox-1", "wallbox-2"]
    on_failure = "release"

    [approver.energy-manager]           whose signature a mandate needs
    public_key = "…"

Loading tells every mistake at once, those of the adapters among them.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from gridopt.devices import adapter as adapters
from gridopt.devices.adapter import Adapter
from gridopt.devices.link.address import LineAddress
from gridopt.devices.mistakes import SiteReport
from gridopt.devices.schema import INSTALLER, Named, Said
from gridopt.devices.schema import Write as Command
from gridopt.errors import MistakesError
from gridopt.written.fields import Choice, FieldType, Number, Schema, Text, Texts, Whole, refuse
from gridopt.written.model import Section, read_model
from gridopt.written.report import Place
from gridopt.written.toml import Layer, read_bytes, read_layer, shown
from gridopt.written.words import did_you_mean, key_hint, listed, quoted

FILE = "devices.toml"
TRANSPORTS = {"tcp": 502, "rtu_over_tcp": 502, "tls": 802, "rtu": 0}
"""How a line is reached → its usual port; 0 for a serial one."""
SERIAL_KEYS = ("baud", "parity", "stop_bits")
TLS_KEYS = ("ca", "certificate", "private_key")
PARITIES = {"none": "N", "even": "E", "odd": "O"}
PRIVATE = stat.S_IRWXG | stat.S_IRWXO
POLICIES = ("release", "keep")
HOST = re.compile(r"[\w.-]+")
KEY_LENGTH = 32
SECONDS = Number(0, 1e7)


# --- the file --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Day(FieldType):
    """A date without a time."""

    def check(self, value: Any) -> date:
        if isinstance(value, datetime) or not isinstance(value, date):
            refuse("not-date", value)
        return value

    def schema(self) -> Schema:
        return {"type": "string", "format": "date"}


@dataclass(frozen=True)
class PublicKey(FieldType):
    """An Ed25519 public key: 64 hexadecimal digits."""

    def check(self, value: Any) -> bytes:
        try:
            key = bytes.fromhex(Text().check(value))
        except ValueError:
            key = b""
        if len(key) != KEY_LENGTH:
            refuse("not-key", value)
        return key

    def schema(self) -> Schema:
        return {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}


class LineSaid(Section):
    tcp: Annotated[str | None, Text()] = Field(None, description='Modbus TCP: "host:port"')
    rtu_over_tcp: Annotated[str | None, Text()] = Field(None, description='a serial server: "host:port"')
    tls: Annotated[str | None, Text()] = Field(None, description='Modbus/TCP Security: "host:port"')
    rtu: Annotated[str | None, Text()] = Field(None, description="a serial port, such as /dev/ttyUSB0")
    baud: Annotated[int, Whole(300, 4_000_000)] = Field(9600, description="bits a second of a serial port")
    parity: Annotated[str, Choice(tuple(PARITIES))] = Field("none", description="none, even or odd")
    stop_bits: Annotated[int, Choice((1, 2))] = Field(1, description="1 or 2")
    ca: Annotated[str | None, Text()] = Field(None, description="file with the certificate of the site's authority")
    certificate: Annotated[str | None, Text()] = Field(None, description="file with gridopt's own certificate")
    private_key: Annotated[str | None, Text()] = Field(None, description="file with its key, readable by nobody else")
    server_name: Annotated[str | None, Text()] = Field(None, description="name in the device's certificate; the host")
    role: Annotated[str | None, Text()] = Field(None, description="role that the device's certificate must carry")


class Signed(Section):
    """A person's exception: they know what the device does when gridopt is gone, though its adapter does not."""

    by: Annotated[str, Text()] = Field(description="who signs")
    on: Annotated[date, Day()] = Field(description="when")
    why: Annotated[str, Text()] = Field(description="why it is safe")


class SiteWrite(Section):
    """What may be written: the installer's own bounds and times. The adapter's hold as well; the tighter wins."""

    low: Annotated[float | None, Number()] = Field(None, description="lowest value, in the command's unit")
    high: Annotated[float | None, Number()] = Field(None, description="highest value")
    step: Annotated[float | None, Number(1e-9)] = Field(None, description="values are multiples of it")
    ramp_per_s: Annotated[float | None, Number(1e-9)] = Field(None, description="fastest change a second")
    interval_s: Annotated[float | None, SECONDS] = Field(None, description="shortest time between two changes")
    min_on_s: Annotated[float, SECONDS] = Field(0.0, description="shortest time above zero")
    min_off_s: Annotated[float, SECONDS] = Field(0.0, description="shortest time at zero")
    writes_per_day: Annotated[int | None, Whole(1)] = Field(None, description="most writes a day")
    time_s: Annotated[float | None, Number(0.1, 1e6)] = Field(None, description="time after which the fail-safe acts")
    fallback: Annotated[float | str | None, Said()] = Field(None, description="value that the device falls back to")
    share_of: Annotated[float | None, Number(1e-9)] = Field(None, description="what the value is written as a share of")
    signed: Signed | None = Field(None, description="a person's word where nobody knows the fail-safe")


class DeviceSaid(Section):
    adapter: Annotated[str, Text()] = Field(description="an adapter that ships, or a file beside this one")
    line: Annotated[str, Text()] = Field(description="the line that it is on")
    unit_id: Annotated[int | None, Whole(1, 255)] = Field(None, description="its unit on the line; the adapter's")
    part: Annotated[int | None, Whole(0, 0xFFFF)] = Field(None, description="which of several like parts, from 0")
    serial: Annotated[str | None, Text()] = Field(None, description="number of the single device, asked at each start")
    asset: Annotated[str | None, Text()] = Field(None, description="asset whose state it shows; the one of its name")
    node: Annotated[str | None, Text()] = Field(None, description="node that it meters")
    reads: Annotated[dict[str, str], Named(Text())] = Field(
        {}, description="quantity of the asset's state → the point that shows it"
    )
    requires: Annotated[dict[str, Any], Named(Said())] = Field(
        {}, description="point → what it must read before anything is written"
    )
    priority: Annotated[int, Whole(0, 1000)] = Field(0, description="who gives way at a limit; the lowest first")
    max_age_s: Annotated[float, Number(0.1, 1e6)] = Field(60.0, description="oldest reading that a write may rest on")
    write: dict[str, SiteWrite] = Field({}, description="commands that may be written; none where there is no table")


class Group(Section):
    """Devices that obey together. ``release``: where one fails, all are let go; ``keep``: the others go on."""

    devices: Annotated[tuple[str, ...], Texts()] = Field(description="names of devices")
    on_failure: Annotated[str, Choice(POLICIES)] = Field("release", description="release or keep")


class Approver(Section):
    public_key: Annotated[bytes, PublicKey()] = Field(description="64 hexadecimal digits, from gridopt mandate key")


SECTIONS: dict[str, type[Section]] = {"line": LineSaid, "device": DeviceSaid, "group": Group, "approver": Approver}
EXAMPLES = {
    "line": "[line.car-park]",
    "device": "[device.wallbox-1]",
    "group": "[group.car-park]",
    "approver": "[approver.energy-manager]",
}


# --- what it comes to ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SiteDevice:
    """One device: where it is, what it is, what may be written to it."""

    name: str
    adapter: Adapter
    line: str
    address: LineAddress
    unit_id: int
    said: DeviceSaid

    @property
    def part(self) -> int | None:
        return self.said.part

    @property
    def writes(self) -> Mapping[str, SiteWrite]:
        return self.said.write

    def command(self, kind: str) -> str | None:
        """Name of the write that carries out what setpoints call ``kind``; None where it may not be written."""
        return next((name for name in self.writes if self.adapter.writes[name].command == kind), None)

    def whole(self, name: str) -> Command:
        """A write of the adapter with what the installer said put in: bounds, times, fail-safe.

        Bounds become the tighter ones, intervals the longer ones.
        """
        return _joined(self.adapter.writes[name], self.writes[name])


@dataclass(frozen=True)
class Site:
    """The devices of a site. ``digest``: SHA-256 of the file, by which a journal names what was in force."""

    file: Path
    digest: str
    lines: Mapping[str, LineAddress]
    devices: Mapping[str, SiteDevice]
    groups: Mapping[str, Group] = field(default_factory=dict)
    approvers: Mapping[str, bytes] = field(default_factory=dict)

    def group_of(self, device: str) -> tuple[str, Group] | None:
        return next(((name, g) for name, g in self.groups.items() if device in g.devices), None)


def _joined(write: Command, own: SiteWrite) -> Command:
    fail_safe = write.fail_safe
    safe = {k: v for k, v in (("time_s", own.time_s), ("fallback", own.fallback)) if v is not None}
    time = safe.get("time_s", fail_safe.time_s)
    late = fail_safe.refresh_s is None or (isinstance(time, float) and 3 * fail_safe.refresh_s > time)
    chosen = own.time_s is not None and fail_safe.timer is not None  # a time that we set is refreshed by its third
    if isinstance(time, float) and (late or chosen):
        safe["refresh_s"] = time / 3
    return write.model_copy(
        update={
            "low": _tighter(max, write.low, own.low),
            "high": _tighter(min, write.high, own.high),
            "step": own.step if own.step is not None else write.step,
            "ramp_per_s": _tighter(min, write.ramp_per_s, own.ramp_per_s),
            "interval_s": max(write.interval_s, own.interval_s or 0.0),
            "writes_per_day": _tighter(min, write.writes_per_day, own.writes_per_day),
            "fail_safe": fail_safe.model_copy(update=safe),
        }
    )


def _tighter(pick: Callable[..., Any], *said: Any) -> Any:
    numbers = [n for n in said if isinstance(n, (int, float))]
    return pick(numbers) if numbers else said[0]


def _is_host(text: str) -> bool:
    """Whether a name or an address, an IPv6 one with or without brackets."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" not in bare:
        return bare == text and HOST.fullmatch(text) is not None
    try:
        return ipaddress.ip_address(bare).version == 6
    except ValueError:
        return False


# --- loading ---------------------------------------------------------------------------------------------------------


def load(path: str | Path) -> Site:
    """The site in a file, or in the ``devices.toml`` of a folder. Raises SiteError with every mistake."""
    place = Path(path)
    place = place / FILE if place.is_dir() else place
    report = SiteReport()
    content = read_bytes(place, (shown(place), None), report)
    layer = None if content is None else read_layer(place, content, report)
    report.stop()
    assert content is not None
    assert layer is not None
    site = _Reader(layer, report).site(place, hashlib.sha256(content).hexdigest())
    report.stop()
    return site


class _Reader:
    def __init__(self, layer: Layer, report: SiteReport) -> None:
        self.layer, self.report, self.data = layer, report, layer.data
        self.adapters: dict[Path, Adapter | None] = {}

    def site(self, path: Path, digest: str) -> Site:
        self._head()
        said = {key: self._models(key) for key in SECTIONS}
        lines = {name: a for name, s in said["line"].items() if (a := self._line(name, s)) is not None}
        self._same_line(lines)
        devices = {name: d for name, s in said["device"].items() if (d := self._device(name, s, said["line"], lines))}
        self._same_unit(devices)
        for name, group in said["group"].items():
            self._group(name, group, said["device"])
        if not said["device"] and not self.report.mistakes:
            self.report.add((self.layer.file, None), "no-devices")
        approvers = {name: a.public_key for name, a in said["approver"].items()}
        return Site(path, digest, lines, devices, said["group"], approvers)

    # --- shapes ---

    def _at(self, *keys: str | int) -> Place:
        return self.layer.file, self.layer.line(keys)

    def _place(self, *keys: str | int) -> Any:
        return functools.partial(self._at, *keys)

    def _head(self) -> None:
        if "format" not in self.data:
            self.report.add((self.layer.file, None), "format-missing")
        elif self.data["format"] != 1 or isinstance(self.data["format"], bool):
            self.report.add(self._at("format"), "format-unknown", value=quoted(self.data["format"]))
        for key in self.data.keys() - {"format", *SECTIONS}:
            self.report.add(self._at(key), "unknown-section", key=key, hint=key_hint(key, SECTIONS))

    def _models(self, key: str) -> dict[str, Any]:
        tables = self.data.get(key, {})
        if not isinstance(tables, dict):
            self.report.add(self._at(key), "not-section", key=key, value=quoted(tables), example=EXAMPLES[key])
            return {}
        found = {}
        for name, values in tables.items():
            if not isinstance(values, dict):
                self.report.add(self._at(key, name), "not-table", where=key, key=name, value=quoted(values))
                continue
            said = read_model(SECTIONS[key], values, f"{key} {name}", self._place(key, name), self.report)
            if said is not None:
                found[name] = said
        return found

    # --- lines ---

    def _line(self, name: str, said: LineSaid) -> LineAddress | None:
        where = f"line {name}"
        ways = [way for way in TRANSPORTS if getattr(said, way) is not None]
        if len(ways) != 1:
            self.report.add(self._at("line", name), "either", where=where, choices="one of " + listed(TRANSPORTS))
            return None
        (way,) = ways
        for keys, of in ((SERIAL_KEYS, "rtu"), ((*TLS_KEYS, "server_name", "role"), "tls")):
            for key in keys:
                if way != of and key in said.model_fields_set:
                    self.report.add(self._at("line", name, key), "line-useless", where=where, key=key, way=way)
        if way == "rtu":
            assert said.rtu is not None
            return LineAddress(
                "rtu", tty=said.rtu, baud=said.baud, parity=PARITIES[said.parity], stop_bits=said.stop_bits
            )
        host, port = self._host(name, way, str(getattr(said, way)))
        if way != "tls":
            return LineAddress("tcp" if way == "tcp" else "rtu-over-tcp", host=host, port=port)
        ca, certificate, private_key = (self._file(name, key, getattr(said, key)) for key in TLS_KEYS)
        return LineAddress(
            "tls",
            host=host,
            port=port,
            ca=ca,
            certificate=certificate,
            private_key=private_key,
            server_name=said.server_name or "",
            role=said.role or "",
        )

    def _host(self, name: str, way: str, text: str) -> tuple[str, int]:
        host, colon, port = text.rpartition(":") if text.count(":") == 1 or "]:" in text else (text, "", "")
        number = int(port) if port.isascii() and port.isdigit() else 0 if colon else TRANSPORTS[way]
        if not _is_host(host) or not 0 < number < 65536:
            self.report.add(self._at("line", name, way), "not-host", where=f"line {name}", key=way, value=quoted(text))
        return host.strip("[]"), number

    def _file(self, name: str, key: str, said: str | None) -> Path | None:
        """A file that TLS needs, with the rights that a secret must have."""
        where = f"line {name}"
        if said is None:
            self.report.add(self._at("line", name), "tls-needs", where=where, key=key)
            return None
        path = self.layer.folder / said
        if not path.is_file():
            self.report.add(self._at("line", name, key), "no-file", name=shown(path), hint="")
        elif key == "private_key" and os.name == "posix" and path.stat().st_mode & PRIVATE:
            self.report.add(self._at("line", name, key), "open-secret", where=where, name=shown(path))
        return path

    def _same_line(self, lines: Mapping[str, LineAddress]) -> None:
        seen: dict[str, str] = {}
        for name, address in lines.items():
            if address.key in seen:
                fields = {"first": seen[address.key], "second": name}
                self.report.add(self._at("line", name), "same-line", where=f"line {name}", **fields)
            seen.setdefault(address.key, name)

    # --- devices ---

    def _device(
        self, name: str, said: DeviceSaid, written: Mapping[str, object], lines: Mapping[str, LineAddress]
    ) -> SiteDevice | None:
        where = f"device {name}"
        if said.line not in self.data.get("line", {}):
            hint = did_you_mean(said.line, written, "there are")
            self.report.add(self._at("device", name, "line"), "unknown-line", where=where, value=said.line, hint=hint)
        adapter = self._adapter(name, said.adapter)
        if adapter is None:
            return None
        points = {"reads": said.reads.values(), "requires": said.requires}
        for key, names in points.items():
            for point in names:
                if point not in adapter.points or not adapter.points[point].readable:
                    hint = did_you_mean(point, adapter.points, "there are")
                    fields = {"value": point, "adapter": adapter.name, "hint": hint}
                    self.report.add(self._at("device", name, key), "no-point", where=where, **fields)
        if said.part is not None and adapter.link.stride is None:
            self.report.add(self._at("device", name, "part"), "no-parts", where=where, adapter=adapter.name)
        if said.part is None and adapter.link.stride is not None:
            self.report.add(self._at("device", name), "part-needed", where=where, adapter=adapter.name)
        for command in said.write:
            self._write(name, command, said.write[command], adapter)
        self._one_a_command(name, said, adapter)
        if said.line not in lines:
            return None
        unit_id = adapter.link.unit_id if said.unit_id is None else said.unit_id
        return SiteDevice(name, adapter, said.line, lines[said.line], unit_id, said)

    def _adapter(self, name: str, said: str) -> Adapter | None:
        beside = self.layer.folder / said
        path = beside if beside.suffix == adapters.SUFFIX else None
        try:
            path = path or adapters.find(said)
            if path not in self.adapters:
                self.adapters[path] = None
                self.adapters[path] = adapters.load(path)
        except MistakesError as error:
            self._of_adapter(name, said, error)
        return self.adapters.get(path) if path else None

    def _of_adapter(self, name: str, said: str, error: MistakesError) -> None:
        """An adapter that cannot be had is a mistake of the device; mistakes inside of it stand in its own file."""
        if [m.code for m in error.mistakes] == ["no-adapter"]:
            hint = did_you_mean(said, adapters.shipped()) or "; `gridopt device list` names them all"
            self.report.add(
                self._at("device", name, "adapter"), "unknown-adapter", where=f"device {name}", value=said, hint=hint
            )
        else:
            self.report.mistakes += [m for m in error.mistakes if m not in self.report.mistakes]

    def _write(self, name: str, command: str, own: SiteWrite, adapter: Adapter) -> None:
        where, keys = f"device {name}: write {command}", ("device", name, "write", command)
        write = adapter.writes.get(command)
        if write is None:
            hint = did_you_mean(command, adapter.writes, "there are") if adapter.writes else "; it is only read"
            self.report.add(self._at(*keys), "no-command", where=where, adapter=adapter.name, hint=hint)
            return
        for key in write.left_to_site:
            if getattr(own, key) is None:
                doc = SiteWrite.model_fields[key].description
                self.report.add(self._at(*keys), "left-to-site", where=where, key=key, doc=doc)
        low, high = (_tighter(p, getattr(write, k), getattr(own, k)) for p, k in ((max, "low"), (min, "high")))
        if isinstance(low, (int, float)) and isinstance(high, (int, float)) and low > high:
            self.report.add(self._at(*keys), "crossed", where=where, low=f"low {low:g}", high=f"high {high:g}")
        if own.share_of is not None and write.share_of != INSTALLER:
            self.report.add(self._at(*keys, "share_of"), "not-asked", where=where, key="share_of", adapter=adapter.name)
        if not write.allowed and own.signed is None:
            self.report.add(self._at(*keys), "unsigned", where=where, adapter=adapter.name)

    def _one_a_command(self, name: str, said: DeviceSaid, adapter: Adapter) -> None:
        seen: dict[str, str] = {}
        for own in said.write:
            if own not in adapter.writes:
                continue
            kind = adapter.writes[own].command
            if kind in seen:
                fields = {"first": seen[kind], "second": own, "command": kind}
                self.report.add(
                    self._at("device", name, "write", own), "same-command", where=f"device {name}", **fields
                )
            seen.setdefault(kind, own)

    def _same_unit(self, devices: Mapping[str, SiteDevice]) -> None:
        seen: dict[tuple[Any, ...], str] = {}
        for name, device in devices.items():
            place = device.line, device.unit_id, device.part
            if place in seen:
                fields = {"first": seen[place], "line": device.line, "unit": device.unit_id}
                self.report.add(self._at("device", name), "same-unit", where=f"device {name}", **fields)
            seen.setdefault(place, name)

    def _group(self, name: str, group: Group, devices: Iterable[str]) -> None:
        known = self.data.get("device", {})
        for k, device in enumerate(group.devices):
            if device not in known:
                hint = did_you_mean(device, devices, "there are")
                self.report.add(
                    self._at("group", name, "devices", k),
                    "unknown-device",
                    where=f"group {name}",
                    value=device,
                    hint=hint,
                )
