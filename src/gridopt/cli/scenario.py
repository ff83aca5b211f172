"""``new``, ``check``, ``schema``: scenarios written, checked and described."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from gridopt.cli import common
from gridopt.cli.day import continued_option, date_option


@click.command(epilog=common.example("gridopt new my-district", "gridopt new my-roofs --from two-roofs"))
@click.argument("name")
@click.option("--from", "source", metavar="SCENARIO", help="Copy this shipped scenario, its README with it.")
def new(name: str, source: str | None) -> None:
    """Write a small scenario to start from.

    NAME is the new folder; nothing is overwritten.
    """
    from gridopt.scenario.new import copy
    from gridopt.scenario.new import new as write

    folder = copy(name, source) if source else write(name)
    click.echo(str(folder))
    read = [f"{folder}/README.md    what it shows, and the figures to expect"] if source else []
    common.hints([*read, f"gridopt check {folder}    find mistakes", f"gridopt run {folder}    plan it"])


@click.command(epilog=common.example("gridopt check two-roofs --set asset.bat-a.power_kw=5"))
@click.argument("scenario")
@date_option
@continued_option
@common.overlay_option
@common.set_option
@common.json_option
def check(scenario: str, day: datetime | None, continued: Path | None, as_json: bool, **options: Any) -> None:
    """List every mistake of a scenario at once.

    Each stands with its file and line, and with what would mend it. Without any, notes say what is rarely meant, and
    how much energy every node and asset would move: the place to see a wrong unit. SCENARIO is a folder, or the name of
    a shipped scenario. Exit code 10 where there is a mistake.
    """
    from gridopt.jobs import check as job
    from gridopt.jobs.record import before
    from gridopt.scenario.load import load

    found = load(scenario, day=day.date() if day else None, before=before(continued), **options)
    axis, nodes, assets = found.axis, len(found.nodes), sum(len(t.ids) for t in found.tables)
    figures = job.figures(found.inputs)
    if as_json:
        horizon = {"start": axis.start.isoformat(), "end": axis.end.isoformat(), "step_min": axis.step_min}
        doc = {"name": found.name, "title": found.title, "horizon": horizon, "nodes": nodes, "assets": assets}
        said = {"mistakes": [], "notes": list(found.notes), "by_rule": figures}
        click.echo(common.document({"format": 1, **doc, **said}))
        return
    click.echo(
        f"{found.name}: no mistakes; {common.count(nodes, 'node')}, {common.count(assets, 'asset')}, "
        f"{common.count(axis.steps, 'step')} of {axis.step_min} min from {axis.label(0)}"
    )
    for note in found.notes:
        click.echo(f"Note: {note}")
    click.echo("\n".join(job.words(figures)))


@click.command(
    epilog=common.example(
        "gridopt schema scenario > scenario.schema.json", "gridopt schema adapter > adapter.schema.json"
    )
)
@click.argument("what", type=click.Choice(["scenario", "adapter"]), metavar="scenario|adapter")
def schema(what: str) -> None:
    """Print the JSON Schema of a file format.

    Editors that know it complete and check as one types.
    """
    if what == "adapter":
        from gridopt.devices.editor import json_schema
    else:
        from gridopt.scenario.editor import json_schema

    click.echo(common.document(json_schema()))
