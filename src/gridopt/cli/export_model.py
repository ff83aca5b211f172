"""``export-model``: the district as an LP or MPS file, for another solver."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import click

from gridopt.cli import common
from gridopt.cli.day import date_option


@click.command("export-model", epilog=common.example("gridopt export-model two-roofs --format lp -o two-roofs.lp"))
@click.argument("scenario")
@click.option("--format", "kind", type=click.Choice(["lp", "mps"]), required=True, help="File format.")
@click.option("-o", "--out", metavar="FILE", type=click.Path(path_type=Path), help="File to write; NAME.lp by default.")
@date_option
@common.overlay_option
@common.set_option
def export_model(
    scenario: str, kind: Literal["lp", "mps"], out: Path | None, day: datetime | None, **options: Any
) -> None:
    """Write a scenario's model for another solver.

    An LP or MPS file, whole decisions included. What a plan does without only if it must, such as heat that cannot be
    had, costs 1000 EUR/kWh in it. SCENARIO is a folder, or the name of a shipped scenario.
    """
    with common.progress() as tell:
        from gridopt.jobs.export import export

        tell("writing the model")
        file = common.unless_stopped(lambda: export(scenario, kind, out, day=day.date() if day else None, **options))
    click.echo(str(file))
