"""``run``: plan a scenario, show the plan, keep it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridopt.cli import common
from gridopt.cli.day import continued_option, date_option
from gridopt.cli.push import site_option

if TYPE_CHECKING:
    from gridopt.jobs.plan import Plan

AIMS = ("cost", "co2", "self-consumption", "peak", "comfort")


def _two_aims(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, str] | None:
    """``cost,co2`` → both names."""
    if value is None:
        return None
    names = [name.strip() for name in value.split(",")]
    wrong = [name for name in names if name not in AIMS]
    if wrong or len(names) != 2 or names[0] == names[1]:
        raise click.BadParameter(f"name two of {', '.join(AIMS)}, such as cost,co2", ctx, parameter)
    return names[0], names[1]


@click.command(
    epilog=common.example(
        "gridopt run two-roofs --date 2026-01-15 --out plan", "gridopt run haute-deule --pareto cost,co2"
    )
)
@click.argument("scenario")
@date_option
@continued_option
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="Leave the plan as a run folder here.")
@common.overlay_option
@common.set_option
@click.option("--gap", type=common.Range(0, 1), help="Relative gap that a plan must prove, such as 0.005.")
@click.option("--time-limit", "time_limit_s", metavar="SECONDS", type=common.Range(0), help="Longest search.")
@click.option(
    "--pareto",
    "aims",
    metavar="AIM,AIM",
    callback=_two_aims,
    help=f"Plan between two aims of {', '.join(AIMS)}, from the best by one to the best by the other.",
)
@click.option("--points", type=click.IntRange(2, 50), help="With --pareto: at most so many plans; 5 by default.")
@click.option("--all", "everything", is_flag=True, help="Show every limit that binds, and lists to their end.")
@click.option(
    "--push", "pushes", is_flag=True, help="With --out: show what the plan tells devices now, as `gridopt push`."
)
@click.option("--live", is_flag=True, help="With --push: send it, under a mandate.")
@site_option
@common.json_option
@click.pass_context
def run(
    ctx: click.Context,
    /,
    scenario: str,
    out: Path | None,
    day: datetime | None,
    everything: bool,
    pushes: bool,
    live: bool,
    site_file: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Plan a scenario and show the plan.

    It stands beside what the same day would cost by the devices' own rules. SCENARIO is a folder, or the name of a
    shipped scenario. Without --out nothing is written. With --from, everything starts as the plan of an earlier run
    leaves it, instead of as the scenario says. With --pareto, several plans stand beside each other, and --out
    leaves a folder of run folders.

    Exit code 0: proven, every goal met. 3: time-limited, or a soft goal short. 10: mistakes in the scenario or its
    data. 12: hard limits contradict. 13: no plan in the time given. 15: the plan failed its check.
    """
    aims, points = options.pop("aims"), options.pop("points")
    if (pushes and (out is None or aims)) or (live and not pushes):
        raise click.UsageError("--push sends the plan that --out keeps, and --live goes with --push")
    options["day"] = day.date() if day else None
    if aims:
        ctx.exit(_sweep(scenario, aims, points, out, as_json, options))
    if points is not None:
        raise click.UsageError("--points says how many plans --pareto makes: give both, or neither")
    plan = make(scenario, out, **options)
    if as_json:
        click.echo(common.document({"format": 1, **plan.summary}))
    else:
        present(plan, everything)
        if out:
            common.hints([f"gridopt explain {out}    why this plan"], kept(out))
        else:
            common.hints([f"gridopt run {scenario} --out DIR    keep the plan: nothing was written"])
    if pushes and out is not None:
        from gridopt.cli.push import push_run

        ctx.exit(push_run(out, site_file, live, as_json) or plan.exit_code)
    ctx.exit(plan.exit_code)


def _sweep(
    scenario: str, aims: tuple[str, str], points: int | None, out: Path | None, as_json: bool, options: dict[str, Any]
) -> int:
    """Plan between two aims, show the plans, keep them; the exit code."""
    with common.progress() as tell:
        tell("starting")
        common.quick_imports()
        from gridopt.jobs import pareto as job

        if out:
            job.check_target(out)
        options = {**options, "points": points or job.POINTS, "now": common.now(), "tell": tell}
        found = common.unless_stopped(lambda: job.run(scenario, aims, **options))
        if out:
            tell("writing")
            job.write(found, out)
    doc = {"format": 1, **found.doc}
    if as_json:
        click.echo(common.document(doc))
        return found.exit_code
    from rich.console import Console

    from gridopt.report.pareto import show

    show(Console(highlight=False), doc)
    chosen = next((p for p in doc["plans"] if "knee" in p["names"]), doc["plans"][0])
    again = " ".join(f"--set {said}" for said in chosen["sets"])
    hints = [f"gridopt run {scenario} {again}    plan {chosen['plan']} alone"]
    if out:
        place = out / chosen["folder"]
        common.hints([f"gridopt explain {place}    why plan {chosen['plan']}", *hints], f"The plans are in {out}")
    else:
        common.hints([*hints, f"gridopt run {scenario} --pareto {','.join(aims)} --out DIR    keep the plans"])
    return found.exit_code


def make(scenario: str, out: Path | None, **options: Any) -> Plan:
    """Plan a scenario and, with ``out``, leave the run folder; a place that must not be written to is refused first."""
    with common.progress() as tell:
        tell("starting")
        common.quick_imports()
        from gridopt.jobs import plan as job
        from gridopt.store.run_folder import check_target

        before = check_target(out) if out else None
        made = common.unless_stopped(lambda: job.run(scenario, now=common.now(), tell=tell, **options))
        until = job.until_then(made, out) if out and not options.get("continued") else []
        if out:
            tell("writing")
            job.write(made, out)
    if before:
        click.echo(f"{out}: replaced the run of {before}", err=True)
    for folder in until:
        click.echo(
            f"{folder} held a plan for the time until this one begins: with --from {folder} this one would have "
            "started as that one ends, instead of as the scenario says",
            err=True,
        )
    return made


def kept(out: Path) -> str:
    """Where a plan was left."""
    return f"The plan is in {out}; its plan.csv opens in a spreadsheet"


def present(plan: Plan, everything: bool = False) -> None:
    """Show a plan on stdout."""
    from rich.console import Console

    from gridopt.report.summary import show

    show(Console(highlight=False), plan.run, plan.inputs, everything)
