"""``family``: the device families, and the reference page of one."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import click

from gridopt.cli import common


@click.command(epilog=common.example("gridopt family", "gridopt family battery"))
@click.argument("name", required=False)
@common.json_option
def family(name: str | None, as_json: bool) -> None:
    """List device families, or explain one.

    With the NAME of a family: its equations, ports, parameters with their units and defaults, decisions, costs and
    shortfalls, what it does without a plan, and a scenario that shows it. The text is Markdown where it is not printed
    on a terminal.
    """
    common.quick_imports()
    from gridopt.report import reference

    if name is None:
        families = reference.index()
        if as_json:
            click.echo(common.document({"format": 1, "families": families}))
        else:
            groups = itertools.groupby(families, lambda f: str(f["group"]))
            click.echo("\n\n".join(_group(group, list(some)) for group, some in groups))
            common.hints(["gridopt family battery    one of them, with a scenario that shows it"])
        return
    _check(name)
    if as_json:
        click.echo(common.document({"format": 1, **reference.describe(name)}))
    elif sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(reference.page(name)))
    else:
        click.echo(reference.page(name), nl=False)


def _group(group: str, families: list[dict[str, Any]]) -> str:
    return "\n".join([group.capitalize(), *(f"  {f['family']:<20} {f['summary']}" for f in families)])


def _check(name: str) -> None:
    from gridopt.assets import FAMILY_NAMES
    from gridopt.errors import UsageError
    from gridopt.written.words import nearest

    if name not in FAMILY_NAMES:
        close = nearest(name, FAMILY_NAMES)
        hint = f"did you mean {close}?" if close else "`gridopt family` lists them all"
        raise UsageError("there is no family {name}; {hint}", name=name, hint=hint)
