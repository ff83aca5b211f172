"""TOML that knows where each value stands. Lines are looked up only when a message needs them."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gridopt.written.report import Report, Where
from gridopt.written.words import nearest

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


def read_layer(path: Path, content: bytes, report: Report, hint: str = "") -> Layer | None:
    """A file's values with their lines, or None with its mistake reported; ``hint`` mends an empty file."""
    file = shown(path)
    text = decoded(content, file, report)
    if text is None:
        return None
    if not text.strip():
        report.add((file, None), "empty-file", hint=hint)
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
