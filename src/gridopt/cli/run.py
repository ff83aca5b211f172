"""``run``: plan a scenario, show the plan, keep it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridopt.cli import common

if TYPE_CHECKING:
    from gridopt.jobs.plan import Plan


@click.command(epilog=common.example("gridopt run two-roofs --date 2026-01-15 --out plan"))
@click.argument("scenario")
@common.date_option
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="Leave the plan as a run folder here.")
@common.overlay_option
@common.set_option
@click.option("--gap", type=common.Range(0, 1), help="Relative gap that a plan must prove, such as 0.005.")
@click.option("--time-limit", "time_limit_s", metavar="SECONDS", type=common.Range(0), help="Longest search.")
@common.json_option
@click.pass_context
def run(
    ctx: click.Context, /, scenario: str, out: Path | None, day: datetime | None, as_json: bool, **options: Any
) -> None:
    """Plan a scenario and show the plan.

    It stands beside what the same day would cost by the devices' own rules. SCENARIO is a folder, or the name of a
    shipped scenario. Without --out nothing is written.

    Exit code 0: proven, every goal met. 3: time-limited, or a soft goal short. 10: mistakes in the scenario or its
    data. 12: hard limits contradict. 13: no plan in the time given. 15: the plan failed its check.
    """
    plan = make(scenario, out, day=day.date() if day else None, **options)
    if as_json:
        click.echo(common.document({"format": 1, **plan.summary}))
    else:
        present(plan)
        if out:
            common.hints([f"gridopt explain {out}    why this plan"], kept(out))
        else:
            common.hints([f"gridopt run {scenario} --out DIR    keep the plan: nothing was written"])
    ctx.exit(plan.exit_code)


def make(scenario: str, out: Path | None, **options: Any) -> Plan:
    """Plan a scenario and, with ``out``, leave the run folder; a place that must not be written to is refused first."""
    with common.progress() as tell:
        tell("starting")
        common.quick_imports()
        from gridopt.jobs import plan as job
        from gridopt.store.run_folder import check_target

        before = check_target(out) if out else None
        made = common.unless_stopped(lambda: job.run(scenario, now=common.now(), tell=tell, **options))
        if out:
            tell("writing")
            job.write(made, out)
    if before:
        click.echo(f"{out}: replaced the run of {before}", err=True)
    return made


def kept(out: Path) -> str:
    """Where a plan was left."""
    return f"The plan is in {out}; its plan.csv opens in a spreadsheet"


def present(plan: Plan) -> None:
    """Show a plan on stdout."""
    from rich.console import Console

    from gridopt.report.summary import show

    show(Console(highlight=False), plan.run, plan.inputs)
