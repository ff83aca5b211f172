"""``explain``: why a plan is as it is."""

from __future__ import annotations

from pathlib import Path

import click

from gridopt.cli import common


@click.command(epilog=common.example("gridopt explain plan"))
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@common.json_option
def explain(run: Path, as_json: bool) -> None:
    """Explain why a plan is as it is.

    What binds, what energy is worth where and when, why now and not then, what would change it. RUN is a folder that
    `gridopt run --out` left.
    """
    with common.progress() as tell:
        tell("starting")
        common.quick_imports()
        import gridopt.jobs.explain as job

        found = common.unless_stopped(lambda: job.explain(run, tell))
    click.echo(common.document(found) if as_json else job.words(found))
