"""``explain``: why a plan is as it is."""

from __future__ import annotations

from pathlib import Path

import click

from gridopt.cli import common


@click.command(epilog=common.example("gridopt explain plan", "gridopt explain plan --time-limit 120"))
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--time-limit", "time_limit_s", metavar="SECONDS", type=common.Range(0), default=20.0, show_default=True,
    help="Begin no other plan after so long.",
)  # fmt: skip
@common.json_option
def explain(run: Path, time_limit_s: float, as_json: bool) -> None:
    """Explain why a plan is as it is.

    What binds, what energy is worth where and when, why now and not then, what would change it. RUN is a folder that
    `gridopt run --out` left. Other plans are solved for, one after the other; what was not solved in the time given is
    named.
    """
    with common.progress() as tell:
        tell("starting")
        common.quick_imports()
        import gridopt.jobs.explain as job

        found = common.unless_stopped(lambda: job.explain(run, tell, time_limit_s))
    click.echo(common.document(found) if as_json else job.words(found))
