"""Adapters: files that say how one model of device is read and written. Loading tells every mistake at once."""

from __future__ import annotations

import functools
import hashlib
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridopt.devices import schema, worked
from gridopt.devices.codec import Unfit, encode
from gridopt.devices.mistakes import Report
from gridopt.devices.points import Point, build_point, check_overlaps
from gridopt.devices.schema import Check, Header, Identity, Link, Source, Write
from gridopt.devices.writes import Writing, check_write
from gridopt.errors import AdapterError
from gridopt.written.model import Section, known_keys, read_model
from gridopt.written.report import Place
from gridopt.written.shipped import data_folder
from gridopt.written.toml import Layer, read_bytes, read_layer, shown
from gridopt.written.words import did_you_mean, key_hint, quoted

SUFFIX = ".toml"
TABLES = {"link": "[link]", "defaults": "[defaults]", "absent": "[absent]", "identity": "[identity]"}
BY_NAME = {"point": "[point.power_kw]", "write": "[write.limit]"}
LISTS = {"source": "[[source]]", "check": "[[check]]"}
KNOWN = ("format", *known_keys(Header), *TABLES, *BY_NAME, *LISTS)


@dataclass(frozen=True)
class Adapter:
    """One model of device. ``digest``: SHA-256 of the file, by which a journal names what was spoken."""

    name: str
    file: Path
    digest: str
    header: Header
    sources: tuple[Source, ...]
    link: Link
    points: Mapping[str, Point]
    writes: Mapping[str, Write]
    identity: Identity
    checks: tuple[Check, ...]

    def results(self) -> tuple[worked.Result, ...]:
        """What its worked checks come to."""
        return tuple(worked.result(check, self.points, self.writes, self.link.base) for check in self.checks)


# --- where adapters are ----------------------------------------------------------------------------------------------


def shipped() -> dict[str, Path]:
    """Name → file of every adapter that ships."""
    return {path.stem: path for path in sorted(data_folder("adapters").glob(f"*/*{SUFFIX}"))}


def find(path_or_name: str | Path) -> Path:
    """The adapter file that is meant: a file, or a shipped adapter by name. Raises AdapterError with what is near."""
    path, text = Path(path_or_name), str(path_or_name)
    known = shipped()
    if os.path.lexists(path) or (text not in known and (path.suffix == SUFFIX or len(path.parts) > 1)):
        return path
    if text in known:
        return known[text]
    report = Report()
    hint = did_you_mean(text, known)
    report.add((text, None), "no-adapter", hint=hint or "; `gridopt device list` names them all")
    raise AdapterError(report.mistakes)


# --- reading ---------------------------------------------------------------------------------------------------------


def load(path_or_name: str | Path) -> Adapter:
    """An adapter whose worked checks hold. Raises AdapterError with every mistake of the file."""
    path, report = find(path_or_name), Report()
    adapter = read(path, report)
    report.stop()
    assert adapter is not None
    return adapter


def read(path: Path, report: Report) -> Adapter | None:
    """The adapter in a file; None where there is nothing to build one from. Mistakes go to ``report``."""
    content = read_bytes(path, (shown(path), None), report)
    layer = None if content is None else read_layer(path, content, report)
    if content is None or layer is None:
        return None
    return _Reader(layer, report).adapter(path, hashlib.sha256(content).hexdigest())


class _Reader:
    """Reads one file. ``broken``: points and commands that hold a mistake, so that nothing more is said of them."""

    def __init__(self, layer: Layer, report: Report) -> None:
        self.layer, self.report, self.data = layer, report, layer.data
        self.broken: dict[str, set[str]] = {"point": set(), "write": set()}

    def adapter(self, path: Path, digest: str) -> Adapter | None:
        self._format_and_sections()
        header = self._model(Header, {k: v for k, v in self.data.items() if k in known_keys(Header)})
        sources = self._models(Source, "source", "no-source")
        link = self._model(Link, self._table("link"), "link") or Link.model_validate({})
        points = self._points(link)
        writes = self._writes(points, link)
        identity = self._identity(points, bool(writes))
        checks = self._models(Check, "check", "no-check")
        self._prove(checks, points, writes, link.base)
        if self.report.mistakes:
            return None
        return Adapter(path.stem, path, digest, header, sources, link, points, writes, identity, checks)

    def _prove(
        self, checks: Iterable[Check | None], points: Mapping[str, Point], writes: Mapping[str, Write], base: int
    ) -> None:
        """Worked checks that do not hold are mistakes of the file."""
        for k, check in enumerate(checks):
            if check is None or check.point in self.broken["point"] or check.write in self.broken["write"]:
                continue
            result = worked.result(check, points, writes, base)
            if result.code:
                self.report.add(self._at("check", k, result.key), result.code, where=f"check {k + 1}", **result.fields)

    # --- shapes ---

    def _at(self, *keys: str | int) -> Place:
        return self.layer.file, self.layer.line(keys)

    def _place(self, *keys: str | int) -> Any:
        return functools.partial(self._at, *keys)

    def _format_and_sections(self) -> None:
        if "format" not in self.data:
            self.report.add((self.layer.file, None), "format-missing")
        elif self.data["format"] != 1 or isinstance(self.data["format"], bool):
            self.report.add(self._at("format"), "format-unknown", value=quoted(self.data["format"]))
        for key in self.data:
            if key not in KNOWN:
                self.report.add(self._at(key), "unknown-section", key=key, hint=key_hint(key, KNOWN))

    def _table(self, key: str) -> Mapping[str, Any]:
        value = self.data.get(key, {})
        if isinstance(value, dict):
            return value
        example = (TABLES | BY_NAME)[key]
        self.report.add(self._at(key), "not-section", key=key, value=quoted(value), example=example)
        return {}

    def _tables(self, key: str) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for name, value in self._table(key).items():
            if isinstance(value, dict):
                found[name] = value
            else:
                self.report.add(self._at(key, name), "not-table", where=key, key=name, value=quoted(value))
        return found

    def _model(self, model: type[Section], values: Mapping[str, Any], *keys: str | int) -> Any:
        return read_model(model, values, " ".join(map(str, keys)) or "adapter", self._place(*keys), self.report)

    def _models(self, model: type[Section], key: str, none: str) -> tuple[Any, ...]:
        """One for each table of a list, None where it is wrong; ``none``: the mistake that there are none."""
        value = self.data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.report.add(self._at(key), "not-section-list", key=key, value=quoted(value), example=LISTS[key])
        elif not value:
            self.report.add((self.layer.file, None), none)
        else:
            places = [(f"{key} {k + 1}", self._place(key, k)) for k in range(len(value))]
            return tuple(read_model(model, v, *place, self.report) for v, place in zip(value, places, strict=True))
        return ()

    # --- points ---

    def _points(self, link: Link) -> dict[str, Point]:
        defaults = self._table("defaults")
        by_type = self._model(schema.Absent, self._table("absent"), "absent") or schema.Absent.model_validate({})
        absent = {type: patterns for type, patterns in by_type if patterns is not None}
        found: dict[str, Point] = {}
        for name, own in self._tables("point").items():
            place = functools.partial(self._point_at, name, own, defaults)
            before = self.report.added
            said = read_model(schema.Point, {**defaults, **own}, f"point {name}", place, self.report)
            point = None if said is None else build_point(name, said, link, absent, place, self.report)
            if point is None or self.report.added > before:
                self.broken["point"].add(name)
            else:
                found[name] = point
        if not self.data.get("point"):
            self.report.add((self.layer.file, None), "no-points")
        check_overlaps(found.values(), link.base, self._at, self.report)
        return found

    def _point_at(self, name: str, own: Mapping[str, Any], defaults: Mapping[str, Any], *keys: str | int) -> Place:
        """Where a point's key stands: at the point, or among the defaults."""
        if keys and keys[0] not in own and keys[0] in defaults:
            return self._at("defaults", *keys)
        return self._at("point", name, *keys)

    # --- writes and identity ---

    def _writes(self, points: Mapping[str, Point], link: Link) -> dict[str, Write]:
        found: dict[str, Write] = {}
        for name, values in self._tables("write").items():
            before = self.report.added
            said = self._model(Write, values, "write", name)
            if said is not None:
                found[name] = said
                place, broken = self._place("write", name), frozenset(self.broken["point"])
                check_write(Writing(name, said, points, broken, link.write_registers, place, self.report))
            written = {point for step in said.steps for point in step} if said else set()
            if self.report.added > before or not written <= points.keys():
                self.broken["write"].add(name)
        return found

    def _identity(self, points: Mapping[str, Point], writes: bool) -> Identity:
        said = self._model(Identity, self._table("identity"), "identity")
        if said is None:
            return Identity.model_validate({})
        assert isinstance(said, Identity)
        if not (said.sunspec or said.expect or said.plausible):
            if "identity" in self.data:
                self.report.add(self._at("identity"), "identity-empty")
            elif writes:
                self.report.add((self.layer.file, None), "identity-needed")
        for keys, name in _named_in(said):
            point = points.get(name)
            if point is None and name not in self.broken["point"]:
                fields = {"key": keys[0], "value": name, "hint": did_you_mean(name, points, "there are")}
                self.report.add(self._at("identity", *keys), "unknown-point", where="identity", **fields)
            elif point is not None and keys[0] == "plausible" and math.isinf(point.codec.high - point.codec.low):
                self.report.add(self._at("identity", *keys), "any-plausible", where="identity", value=name)
            elif point is not None and keys[0] == "expect":
                self._expected(point, said.expect[name])
        return said

    def _expected(self, point: Point, value: object) -> None:
        try:
            encode(point.codec, value, 0)
        except Unfit as why:
            fields = {"point": point.name, "value": quoted(value), "why": str(why)}
            self.report.add(self._at("identity", "expect", point.name), "never-read", where="identity", **fields)


def _named_in(said: Identity) -> Iterable[tuple[tuple[str | int, ...], str]]:
    """Every point that an identity names, with the keys that lead there."""
    yield from ((("expect", name), name) for name in said.expect)
    yield from ((("plausible", k), name) for k, name in enumerate(said.plausible))
    for total, parts in said.sums.items():
        yield ("sums", total), total
        yield from ((("sums", total, k), name) for k, name in enumerate(parts))
    if said.serial is not None:
        yield ("serial",), said.serial
