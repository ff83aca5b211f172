"""The scenario's TOML: one document out of the file, its overlays and ``--set``, that knows where each value came from.

Merging: tables merge by key, arrays of tables append, everything else replaces. Lines are looked up only when a message
needs them.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from gridopt.scenario.mistakes import Place, Report, Where, nearest

Key = tuple[str | int, ...]
"""Path of a value in the document: ("asset", "bat-a", "power_kw"), ("pin", 0, "value")."""

SYNTAX_HINTS = {
    "Invalid value": '; text stands in quotes, numbers take a point: name = "text", power_kw = 5.5',
    "Invalid statement": "; a line reads key = value, [table] or [[list]]; a key with accents or spaces needs quotes",
    "Cannot overwrite a value": "; the key stands twice in this table",
    "Cannot declare": "; the table stands twice: join the two",
    "Expected newline or end of document": "; one value a line, a decimal point and no comma, comments after #",
    "Expected '=' after a key": "; a key with accents or spaces needs quotes",
    "Illegal character '\\n'": "; a text ends on its line: close its quotes",
    "Unescaped '\\' in a string": "; in Windows paths write / instead of \\",
}


@dataclass(frozen=True)
class Layer:
    """One source of values: a TOML file, or one ``--set``."""

    file: str
    folder: Path
    data: dict[str, Any]
    text: bytes | None = None

    @cached_property
    def lines(self) -> dict[Key, int]:
        """Line of every key in the file; empty for ``--set``."""
        return {} if self.text is None else key_lines(self.text)

    def line(self, key: Key) -> int | None:
        """Line of a key, or of the innermost table around it that is written down."""
        return next((self.lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self.lines), None)


@dataclass
class Document:
    """Merged values with the layer each came from, and the fingerprint of every file read."""

    folder: Path
    layers: list[Layer]
    data: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
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
        self._merge(self.data, layer.data, (), layer)

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
        """Apply one ``--set path.to.key=value``; a bare word is a string, a number in the path an index."""
        path, equals, value = text.partition("=")
        parts = [p.strip().strip('"') for p in path.split(".")]
        file = f"--set {text}"
        if not equals or not all(parts):
            return report.add((file, None), "set-syntax")
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
                    table[step] = {}
                    made = made or len(key)
                table = table[step]
        self._claim(tuple(key[:made] if made else key), layer)
        return None

    def _claim(self, key: Key, layer: Layer) -> None:
        """From here on ``key`` and all below it come from ``layer``."""
        for old in [k for k in self._origin if k[: len(key)] == key]:
            del self._origin[old]
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


def shown(path: Path) -> str:
    """A path as the user knows it: relative to where they stand, when it lies below."""
    try:
        return path.resolve().relative_to(Path.cwd().resolve()).as_posix()
    except ValueError:
        return str(path)


def read_bytes(path: Path, place: Where, report: Report) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        report.add(place, "no-file", name=shown(path), hint=_beside(path))
    except IsADirectoryError:
        report.add(place, "is-folder", name=shown(path))
    except (OSError, ValueError) as error:  # ValueError: a name no file system takes
        report.add(place, "unreadable", name=shown(path), reason=getattr(error, "strerror", None) or str(error))
    return None


def _beside(path: Path) -> str:
    """A hint at a file of nearly the same name in the folder."""
    names = os.listdir(path.parent) if os.path.isdir(path.parent) else []
    close = nearest(path.name, names)
    return f"; did you mean {close}?" if close else ""


def decoded(content: bytes, file: str, report: Report) -> str | None:
    """UTF-8 text (a byte-order mark is welcome), or a mistake with the line of the first wrong byte."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        report.add((file, content.count(b"\n", 0, error.start) + 1), "not-utf8")
        return None


def read_document(path: Path, overlays: Sequence[Path], sets: Sequence[str], report: Report) -> Document:
    """The scenario file with its overlays and settings laid over it; stops when a file is not TOML."""
    document = Document(path.parent, [])
    for file in (path, *overlays):
        layer = _read_layer(document, file, report)
        if layer is not None:
            document.merge(layer)
    report.stop()
    for text in sets:
        document.set(text, report)
    return document


def _read_layer(document: Document, path: Path, report: Report) -> Layer | None:
    file = shown(path)
    content = document.read(path, (file, None), report)
    if content is None:
        return None
    text = decoded(content, file, report)
    if text is None:
        return None
    if not text.strip():
        report.add((file, None), "empty-file", hint="; `gridopt new NAME` writes one to start from")
        return None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        _syntax(file, text, str(error), report)
        return None
    except RecursionError:
        report.add((file, None), "toml-syntax", reason="nested too deeply", hint="")
        return None
    return Layer(file, path.parent, data, text.encode())


def _syntax(file: str, text: str, message: str, report: Report) -> None:
    reason, _, where = message.partition(" (at ")
    match = re.match(r"line (\d+)", where)
    line = int(match[1]) if match else text.rstrip().count("\n") + 1
    hint = next((h for start, h in SYNTAX_HINTS.items() if reason.startswith(start)), "")
    report.add((file, line), "toml-syntax", reason=reason, hint=hint)


# --- positions -------------------------------------------------------------------------------------------------------


def key_lines(text: bytes) -> dict[Key, int]:
    """Line of every key, table header and array item of a TOML file that tomllib has accepted."""
    import tree_sitter
    import tree_sitter_toml

    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_toml.language()))
    lines: dict[Key, int] = {}
    count: dict[Key, int] = {}

    def note(key: Key, node: Any) -> None:
        for n in range(1, len(key) + 1):
            lines.setdefault(key[:n], node.start_point[0] + 1)

    def value(key: Key, node: Any) -> None:
        if node.type == "array":
            for k, item in enumerate(c for c in node.named_children if c.type != "comment"):
                note((*key, k), item)
                value((*key, k), item)
        elif node.type == "inline_table":
            pairs(key, node)

    def pairs(key: Key, node: Any) -> None:
        for child in node.named_children:
            if child.type == "pair":
                inner = (*key, *_names(child.named_children[0]))
                note(inner, child)
                value(inner, child.named_children[1])

    def header(node: Any) -> Key:
        key: Key = ()
        for name in _names(node.named_children[0]):
            key = (*key, name)
            if key in count and (node.type == "table" or len(key) < len(_names(node.named_children[0]))):
                key = (*key, count[key] - 1)
        if node.type == "table_array_element":
            count[key] = count.get(key, 0) + 1
            key = (*key, count[key] - 1)
        return key

    root = parser.parse(text).root_node
    pairs((), root)
    for child in root.named_children:
        if child.type in ("table", "table_array_element"):
            key = header(child)
            note(key, child)
            pairs(key, child)
    return lines


def _names(node: Any) -> tuple[str, ...]:
    """The parts of a bare, quoted or dotted key."""
    return tuple(_walk(tomllib.loads(node.text.decode() + " = 0")))


def _walk(table: Any) -> Iterator[str]:
    while isinstance(table, dict):
        (name,) = table
        yield name
        table = table[name]
