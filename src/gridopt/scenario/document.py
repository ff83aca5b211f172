"""The scenario's TOML: one document out of the file, its overlays and ``--set``, that knows where each value came from.

Merging: tables merge by key, arrays of tables append, everything else replaces. ``unset = ["asset.chp.min_up_h"]`` at
the head of a file, or ``--set asset.chp.min_up_h=``, takes a value out again. Lines are looked up only when a message
needs them.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import os
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridopt.scenario.mistakes import Report
from gridopt.written.report import Place, Where
from gridopt.written.toml import Key, Layer, read_bytes, read_layer, shown
from gridopt.written.words import nearest, quoted

UNSET = "unset"
IN_TABLES = ("asset", "node")
MADE_BY_NAMING = ("node", "schedule")
"""Sections in which a name alone makes a new thing: a slip in it would change nothing, and say nothing."""


@dataclass
class Document:
    """Merged values with the layer each came from, and the fingerprint of every file read."""

    folder: Path
    layers: list[Layer]
    data: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    unset: dict[Key, tuple[Place, bool]] = field(default_factory=dict)
    """Values of an asset or a node taken out: who says so, and whether TOML held one; a table or a default may too."""
    _origin: dict[Key, tuple[Layer, Key]] = field(default_factory=dict)

    def at(self, *key: str | int) -> Place:
        """Where a value stands; for one that is missing, the table that lacks it."""
        layer, local = self._found(key)
        return layer.file, layer.line(local)

    def place(self, *key: str | int) -> Callable[..., Place]:
        """``at``, to be asked when it is needed, of the key or of keys inside it."""
        return functools.partial(self.at, *key)

    def folder_of(self, *key: str | int) -> Path:
        """Folder of the file that says a value: file names in it are relative to there."""
        return self._found(key)[0].folder

    def _found(self, key: Key) -> tuple[Layer, Key]:
        for n in range(len(key), 0, -1):
            if key[:n] in self._origin:
                layer, local = self._origin[key[:n]]
                return layer, local + key[n:]
        return self.layers[0], key

    def read(self, path: Path, place: Where, report: Report) -> bytes | None:
        """A file's bytes, remembered by fingerprint; a mistake at ``place`` where it cannot be read."""
        content = read_bytes(path, place, report)
        if content is not None:
            self.note_source(path, hashlib.sha256(content).hexdigest())
        return content

    def note_source(self, path: Path, fingerprint: str) -> None:
        """Remember what was read from outside the document."""
        self.sources[self._relative(path)] = fingerprint

    def _relative(self, path: Path) -> str:
        try:
            return os.path.relpath(path, self.folder).replace(os.sep, "/")
        except ValueError:  # another drive
            return path.as_posix()

    # --- merging ---

    def merge(self, layer: Layer) -> None:
        """Lay one more TOML file over what there is."""
        self.layers.append(layer)
        self._merge(self.data, {k: v for k, v in layer.data.items() if k != UNSET}, (), layer)

    def take_out(self, path: str, place: Place, report: Report) -> None:
        """Take a value out: ``asset.chp.min_up_h``; a mistake at ``place`` where there is none."""
        key = tuple(p.strip().strip('"') for p in path.split("."))
        table: Any = self.data
        for part in key[:-1]:
            table = table.get(part) if isinstance(table, dict) else None
        held = isinstance(table, dict) and key[-1] in table
        if held:
            del table[key[-1]]
            for old in [k for k in self._origin if k[: len(key)] == key]:
                del self._origin[old]
        if len(key) == 3 and key[0] in IN_TABLES:
            self.unset[key] = (place, held)
        elif not held:
            report.add(place, "unset-nothing", path=path)

    def _merge(self, into: dict[str, Any], values: dict[str, Any], path: Key, layer: Layer) -> None:
        for name, value in values.items():
            here, old = (*path, name), into.get(name)
            if isinstance(old, dict) and isinstance(value, dict):
                self._merge(old, value, here, layer)
            elif isinstance(old, list) and _is_tables(old) and _is_tables(value):
                for k, item in enumerate(value):
                    self._origin[(*here, len(old))] = (layer, (*here, k))
                    old.append(copy.deepcopy(item))
            else:
                self._claim(here, layer)
                into[name] = copy.deepcopy(value)

    def set(self, text: str, report: Report) -> None:
        """Apply one ``--set path.to.key=value``. A bare word is a string, a number in the path an index; nothing after
        the sign takes the value out."""
        path, equals, value = text.partition("=")
        parts = [p.strip().strip('"') for p in path.split(".")]
        file = f"--set {text}"
        if not equals or not all(parts):
            return report.add((file, None), "set-syntax")
        if not value.strip():
            return self.take_out(path, (file, None), report)
        layer = Layer(file, self.folder, {})
        table: Any = self.data
        key: list[str | int] = []
        made = 0
        for n, part in enumerate(parts):
            step: str | int = part
            if isinstance(table, list) and part.isdigit() and int(part) < len(table):
                step = int(part)
            elif not isinstance(table, dict):
                return report.add((file, None), "set-path", path=".".join(parts[:n]), key=part)
            key.append(step)
            if n == len(parts) - 1:
                table[step] = _toml_value(value.strip())
            else:
                if isinstance(table, dict) and step not in table:
                    meant = nearest(part, table, 0.8) if n == 1 and parts[0] in MADE_BY_NAMING else None
                    if meant:
                        return report.add((file, None), "set-unknown", what=parts[0], name=part, meant=meant)
                    table[step] = {}
                    made = made or len(key)
                table = table[step]
        self._claim(tuple(key[:made] if made else key), layer)
        return None

    def _claim(self, key: Key, layer: Layer) -> None:
        """From here on ``key`` and all below it come from ``layer``."""
        for old in [k for k in self._origin if k[: len(key)] == key]:
            del self._origin[old]
        for gone in [k for k in self.unset if k[: len(key)] == key]:
            del self.unset[gone]
        self._origin[key] = (layer, key)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _toml_value(text: str) -> Any:
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return found["value"] if len(found) == 1 else text


# --- reading ---------------------------------------------------------------------------------------------------------


def read_document(path: Path, overlays: Sequence[Path], sets: Sequence[str], report: Report) -> Document:
    """The scenario file with its overlays and settings laid over it; stops when a file is not TOML."""
    document, late = Document(path.parent, []), Report()
    for file in (path, *overlays):
        layer = _read_layer(document, file, report)
        if layer is not None:
            document.merge(layer)
            _take_out_all(document, layer, late)
    report.stop()
    report.mistakes += late.mistakes
    for text in sets:
        document.set(text, report)
    return document


def _take_out_all(document: Document, layer: Layer, report: Report) -> None:
    """What a file takes out of those before it."""
    paths, place = layer.data.get(UNSET, []), (layer.file, layer.line((UNSET,)))
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        return report.add(place, "not-paths", value=quoted(paths))
    for path in paths:
        document.take_out(path, place, report)
    return None


def _read_layer(document: Document, path: Path, report: Report) -> Layer | None:
    content = document.read(path, (shown(path), None), report)
    if content is None:
        return None
    return read_layer(path, content, report, "; `gridopt new NAME` writes one to start from")


# --- positions -------------------------------------------------------------------------------------------------------
