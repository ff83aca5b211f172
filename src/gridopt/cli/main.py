"""The command line: commands are found by name and imported when asked for; every error ends in words and a code.

stdout holds results, stderr progress and errors. ``gridopt --help`` imports nothing but click.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword
from typing import Any

import click

from gridopt import __version__
from gridopt.cli.common import (
    BUG,
    WANTS_JSON,
    count,
    error_document,
    exit_code_of,
    leave,
    short_error_document,
)

COMMANDS = {
    "demo": "demo",
    "new": "scenario",
    "check": "scenario",
    "run": "run",
    "explain": "explain",
    "family": "family",
    "device": "device",
    "simulate": "simulate",
    "push": "push",
    "watch": "watch",
    "stop": "stop",
    "journal": "journal",
    "mandate": "mandate",
    "import": "intake",
    "forecast": "forecast",
    "backtest": "backtest",
    "status": "intake",
    "schema": "scenario",
    "export-model": "export_model",
}
"""Command → the module of this package that holds it."""

STOPPED = 130


class Commands(click.Group):
    """Commands imported one by one, and the one place where an exception becomes words and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"gridopt.cli.{COMMANDS[cmd_name]}")
        command = getattr(module, cmd_name.replace("-", "_") + "_" * iskeyword(cmd_name))
        assert isinstance(command, click.Command)
        return command

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Under ``--json`` wrong usage and being stopped are one document on stdout too."""
        given = list(sys.argv[1:] if args is None else args)
        options = given[: given.index("--")] if "--" in given else given
        if "--json" not in options or not standalone_mode:
            return super().main(given, prog_name, complete_var, standalone_mode, **extra)
        try:
            code = super().main(given, prog_name, complete_var, False, **extra)
        except click.ClickException as e:
            click.echo(short_error_document("usage", e.format_message(), e.exit_code))
            e.show()
            code = e.exit_code
        except click.Abort:
            click.echo(short_error_document("stopped", "stopped", STOPPED))
            code = STOPPED
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal without é shows ?, and no traceback
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if ctx.meta.get(WANTS_JSON):
                click.echo(short_error_document("stopped", "stopped", STOPPED))
            click.echo("stopped", err=True)
            leave(ctx, STOPPED)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as e:
            self._report(ctx, e)

    @staticmethod
    def _report(ctx: click.Context, error: Exception) -> None:
        if os.environ.get("GRIDOPT_DEBUG"):
            raise error
        code = exit_code_of(error)
        if ctx.meta.get(WANTS_JSON):
            click.echo(error_document(error))
        click.echo(_words(error) if code != BUG else _bug(error), err=True)
        ctx.exit(code)


def _words(error: Exception) -> str:
    from gridopt.errors import MistakesError

    if isinstance(error, MistakesError):
        return f"{error}\n{count(len(error.mistakes), 'mistake')}"
    return f"Error: {error}"


def _bug(error: Exception) -> str:
    return (
        f"Error: gridopt made a mistake of its own: {type(error).__name__}: {error}\n"
        "Set GRIDOPT_DEBUG=1 and run again to see where; please report it with that text."
    )


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="gridopt")
def main() -> None:
    """Plan a city district's energy: one proven schedule for all its devices, explained in plain words.

    \b
    Example:
      gridopt demo
    """
