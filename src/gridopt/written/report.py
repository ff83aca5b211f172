"""Every mistake of what a person wrote, collected before anything stops: code → text, with fields that are data.

So another language is another table. Nothing here knows TOML or pydantic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from gridopt.errors import Mistake, MistakesError

Place = tuple[str, int | None]
"""File as the user knows it, and line."""

Where = Place | Callable[[], Place]
"""A place, or how to find it: lines are looked up only when there is something to say."""

COMMON: dict[str, str] = {
    "no-file": "there is no file {name}{hint}",
    "is-folder": "{name} is a folder; a file is needed",
    "unreadable": "{name} cannot be read: {reason}",
    "unwritable": "it cannot be written: {reason}",
    "not-utf8": "the text is not UTF-8; save the file as UTF-8",
    "empty-file": "the file is empty{hint}",
    "toml-syntax": "not valid TOML: {reason}{hint}",
    "format-missing": "format is missing; write format = 1 at the top",
    "format-unknown": "format {value} is not known; this gridopt reads format 1",
    "unknown-section": "unknown section {key}{hint}",
    "not-table": "{where}: {key} must be a table, not {value}",
    "not-section": "{key} must be a table, not {value}; write {example}",
    "not-section-list": "{key} must be a list of tables, not {value}; write {example}",
    "unknown-key": "{where}: unknown key {key}{hint}",
    "missing-key": "{where}: {key} is missing: {doc}",
    "not-number": "{where}: {key} {value} is not a number{hint}",
    "not-whole": "{where}: {key} {value} is not a whole number",
    "not-finite": "{where}: {key} {value} is not a finite number; write one of at most {most}",
    "too-big": "{where}: {key} {value} is larger than anything in a district; write at most {most}{hint}",
    "out-of-range": "{where}: {key} {value} is not within {low}..{high}{hint}",
    "too-small": "{where}: {key} {value} is less than {low}",
    "too-large": "{where}: {key} {value} is more than {high}",
    "not-text": "{where}: {key} {value} is not a text; write it in quotes",
    "not-flag": "{where}: {key} {value} is neither true nor false",
    "not-choice": "{where}: {key} {value} is not one of {choices}{hint}",
    "only-choice": "{where}: {key} {value} can only be {choice}",
    "not-list": "{where}: {key} {value} is not a list; write it in square brackets",
    "not-numbers": '{where}: {key} {value} is not a list of numbers; write [0.5, 1.2], or "0.5;1.2" in a table file',
    "bad-id": "{where}: the id may hold letters, digits, - and _ only; write {mend}",
    "crossed": "{where}: {low} lies above {high}",
    "either": "{where}: give {choices}",
    "alike": "{first}; the same in {more} more rows{following}",
}
"""What can be wrong with any file."""

MOST_ALIKE = 3
DATA_FILES = (".csv", ".parquet")


class Report:
    """Mistakes and notes found so far; a kind of file has its own ``messages``, and the ``error`` that carries them."""

    messages: ClassVar[Mapping[str, str]] = COMMON
    error: ClassVar[type[MistakesError]] = MistakesError

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.notes: list[str] = []
        self._seen: set[str] = set()

    def add(self, place: Where, code: str, **fields: Any) -> None:
        """One more mistake. The same one on the same line counts once: a default is wrong once, not for every asset."""
        file, line = place() if callable(place) else place
        key = repr((file, line, code, {k: v for k, v in fields.items() if k != "where" or line is None}))
        if key not in self._seen:
            self._seen.add(key)
            self.mistakes.append(Mistake(file, line, code, self.messages[code].format(**fields), fields))

    def note(self, place: Where, code: str, **fields: Any) -> None:
        """Something the user should know, though nothing is wrong."""
        file, line = place() if callable(place) else place
        text = str(Mistake(file, line, code, self.messages[code].format(**fields)))
        if text not in self.notes:
            self.notes.append(text)

    def stop(self) -> None:
        """Raises ``error`` when there is any mistake; many alike in the rows of one file become one."""
        if self.mistakes:
            raise self.error(_collapsed(self.mistakes))


def _collapsed(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """More than three of one kind about one column of a file of data: the first, how many more, the next two lines."""
    alike: dict[tuple[Any, ...], list[Mistake]] = {}
    for m in mistakes:
        column = (m.fields.get("key"),) if m.file.endswith(DATA_FILES) else (m.line, m.message)
        alike.setdefault((m.file, m.code, *column), []).append(m)
    found: list[Mistake] = []
    for same in alike.values():
        if len(same) <= MOST_ALIKE:
            found += same
            continue
        first, *rest = sorted(same, key=lambda m: m.line or 0)
        lines = [str(m.line) for m in rest[: MOST_ALIKE - 1] if m.line is not None]
        following = f", the next in lines {' and '.join(lines)}" if lines else ""
        fields = {"first": first.message, "code": first.code, "more": len(rest), "following": following}
        message = COMMON["alike"].format(**fields)
        found.append(Mistake(first.file, first.line, "alike", message, fields))
    return found


def told(place: Place) -> str:
    """``scenario.toml:12``."""
    file, line = place
    return file if line is None else f"{file}:{line}"
