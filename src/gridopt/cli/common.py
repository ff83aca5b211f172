"""What commands share: options, the one JSON document, progress, and waiting for a job that can be stopped."""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

T = TypeVar("T")
Tell = Callable[[str], None]

WANTS_JSON = "gridopt.json"
JOB = "gridopt-job"
BUG = 1


def now() -> datetime:
    """The present instant (UTC)."""
    return datetime.now(UTC)


def quick_imports() -> None:
    """Keep Pyomo from importing ``scipy.stats`` (0.6 s) as soon as anyone imports any part of scipy.

    It does so for convenience only, and still finds scipy when it needs it. Call before the first heavy import.
    """
    import pyomo.common.dependencies as deferred

    callbacks = getattr(deferred.DeferredImportCallbackFinder, "_callbacks", None)
    if isinstance(callbacks, dict):
        callbacks.pop("scipy", None)


def example(*lines: str) -> str:
    """The epilog of a command: how it is typed."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


# --- options ---------------------------------------------------------------------------------------------------------


class Range(click.FloatRange):
    """A number within a range, as click's, which lets NaN through: no bound compares with it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def _remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    ctx.meta[WANTS_JSON] = value
    return value


json_option = click.option(
    "--json", "as_json", is_flag=True, callback=_remember, is_eager=True,
    help="Print one JSON document instead of text, also for an error.",
)  # fmt: skip
overlay_option = click.option(
    "--overlay", "overlays", multiple=True, metavar="FILE", type=click.Path(path_type=Path),
    help="Lay a TOML file over the scenario; may be given again.",
)  # fmt: skip
set_option = click.option(
    "--set", "sets", multiple=True, metavar="KEY=VALUE",
    help="Set one value, such as asset.bat-a.power_kw=5; may be given again.",
)  # fmt: skip


# --- output ----------------------------------------------------------------------------------------------------------


def document(doc: Mapping[str, Any]) -> str:
    """One JSON document."""
    return json.dumps(doc, ensure_ascii=False, indent=2, allow_nan=False)


def exit_code_of(error: Exception) -> int:
    """The exit code of an error; a bug where it is none of gridopt's own."""
    from gridopt.errors import GridoptError

    return error.exit_code if isinstance(error, GridoptError) else BUG


def _code_of(error: Exception) -> str:
    """``scenario``, ``no-plan``: the error's name; ``bug`` where it is none of gridopt's own."""
    from gridopt.errors import GridoptError

    if not isinstance(error, GridoptError):
        return "bug"
    return re.sub("(?<=[a-z])(?=[A-Z])", "-", type(error).__name__.removesuffix("Error")).lower()


def short_error_document(code: str, message: str, exit_code: int) -> str:
    """As ``error_document``, of what ended a command before any of gridopt's work began, or from outside."""
    return document({"format": 1, "error": {"code": code, "message": message, "exit": exit_code}})


def error_document(error: Exception) -> str:
    """An error as the one JSON document, every mistake with its place."""
    from gridopt.errors import InfeasibleError, MistakesError

    doc: dict[str, Any] = {"code": _code_of(error), "message": str(error), "exit": exit_code_of(error)}
    if isinstance(error, MistakesError):
        doc["mistakes"] = [
            {"file": m.file, "line": m.line, "code": m.code, "message": m.message} for m in error.mistakes
        ]
    if isinstance(error, InfeasibleError) and error.explanation is not None:
        doc["explanation"] = plain(error.explanation)
    return document({"format": 1, "error": doc})


def count(n: int, noun: str) -> str:
    """``1 node``, ``2 nodes``."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns that line up, whatever reads them."""
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)]
    return "\n".join(lines)


def plain(value: Any) -> Any:
    """A value as JSON has it: dataclasses as objects, and a number that JSON does not know as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def hints(commands: list[str], before: str = "") -> None:
    """What to do next: on stderr, so that a redirected result holds the result alone."""
    click.echo("\n".join([*([before] if before else []), "Next:", *(f"  {line}" for line in commands)]), err=True)


@contextlib.contextmanager
def progress() -> Iterator[Tell]:
    """Says what is being done, on a terminal's last line; silent anywhere else."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield lambda words: status.update(words)


@contextlib.contextmanager
def native_output_apart() -> Iterator[None]:
    """What C++ code prints goes to stderr: stdout is for results, and HiGHS at times talks there uninvited."""
    try:
        libc = ctypes.CDLL(None)
        sys.stdout.flush()
        kept = os.dup(1)
    except (OSError, TypeError, ValueError):  # no such library call, or no stdout at all
        yield
        return
    try:
        os.dup2(2, 1)
        yield
    finally:
        libc.fflush(None)
        os.dup2(kept, 1)
        os.close(kept)


def unless_stopped(job: Callable[[], T]) -> T:
    """Do a long job that Ctrl-C can leave at once.

    The solver's C++ does not see signals, so the job has a thread of its own while this one listens. Leaving it behind
    is safe: jobs change nothing outside their memory, and folders are written afterwards.
    """
    answer: list[T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            answer.append(job())
        except BaseException as e:
            failure.append(e)

    thread = threading.Thread(target=work, name=JOB, daemon=True)
    with native_output_apart():
        thread.start()
        while thread.is_alive():
            thread.join(0.1)
    if failure:
        raise failure[0]
    return answer[0]


def leave(ctx: click.Context, code: int) -> NoReturn:
    """End the process, also while a job's thread still computes: the interpreter must not be taken down under it."""
    if any(thread.name == JOB for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    ctx.exit(code)
