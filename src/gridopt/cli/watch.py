"""``watch``: a plan followed step by step, its setpoints held."""

from __future__ import annotations

from pathlib import Path

import click

from gridopt.cli import common
from gridopt.cli.push import allowed, hash_option, mandate_option, site_option


@click.command(epilog=common.example("gridopt watch plan --live", "gridopt watch haute-deule --live"))
@click.argument("plan", metavar="RUN|SCENARIO")
@site_option
@click.option("--live", is_flag=True, help="Send and hold. Without it, what is told now is shown and nothing is sent.")
@hash_option
@mandate_option
@click.option("--date", metavar="YYYY-MM-DD", help="With a scenario: plan this local day, not today.")
@common.set_option
@click.option(
    "--clock-trust", "trust_h", metavar="HOURS", default=1.0, show_default=True, type=common.Range(0),
    help="How long a system clock that follows no reference is believed.",
)  # fmt: skip
@click.pass_context
def watch(
    ctx: click.Context, plan: str, site_file: Path | None, live: bool, typed: str | None, mandate_file: Path | None,
    date: str | None, sets: tuple[str, ...], trust_h: float,
) -> None:  # fmt: skip
    """Follow a plan: send, prove, refresh, guard.

    RUN is a folder that `gridopt run --out` left; a newer plan put there is followed too, where a mandate allows it.
    For a SCENARIO the plans are made here, each by a process of its own. It ends with the plan, with SIGTERM or Ctrl-C,
    or with `gridopt stop --all`, and gives every device back first. What each device is told, and what comes of it,
    goes to stderr where it changes, and to the journal.

    Exit code 0: every device obeyed to the end and was given back. 11: the plan is not valid. 14: a device is not
    confirmed, or was refused what the plan says when it ended.
    """
    common.quick_imports()
    from gridopt.jobs import push as pushing
    from gridopt.jobs import watch as job

    folder, scenario = Path(plan), None
    if not (folder / "summary.json").is_file():
        folder, scenario = _planned(plan, date, sets)
    planned, site = pushing.prepare(folder, site_file)
    if not live:
        from gridopt.cli.push import _words

        shown = pushing.rehearse(planned, site)
        click.echo(_words(shown))
        click.echo("Nothing was sent.")
        common.hints([f"gridopt watch {plan} --live    send and hold it"])
        ctx.exit(shown.exit_code)
    may = allowed(planned, site, typed, mandate_file, quiet=False)
    source = job.Source(folder, scenario, date, sets)
    done = job.watch(
        planned,
        site,
        may,
        source,
        lambda text: click.echo(text, err=True),
        newer=typed is None,
        unsynced_s=3600 * trust_h,
    )
    for o in (o for o in done.outcomes if o.status != "waiting"):
        click.echo(f"{o.device}: {o.command}: {o.status}" + (f" ({o.why})" if o.why else ""))
    ctx.exit(done.exit_code)


def _planned(plan: str, date: str | None, sets: tuple[str, ...]) -> tuple[Path, str]:
    """The first plan of a scenario, made before anything is watched."""
    import subprocess

    from gridopt.errors import DataError
    from gridopt.jobs import watch as job
    from gridopt.scenario.find import find

    find(plan)
    folder = job.plan_folder(plan)
    click.echo("planning", err=True)
    command = job.plan_command(job.Source(folder, plan, date, sets), job.local_day(common.now()))
    made = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if made.returncode not in (0, job.DEGRADED):
        raise DataError("there is no plan of {scenario} to follow: {why}", scenario=plan, why=made.stderr.strip())
    return folder, plan
