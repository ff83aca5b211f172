"""``push``: a plan's setpoints sent and proven."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gridopt.cli import common

if TYPE_CHECKING:
    from gridopt.devices.site import Site
    from gridopt.dispatch.channel import May
    from gridopt.jobs.field import Planned
    from gridopt.jobs.push import Pushed

site_option = click.option(
    "--site", "site_file", metavar="FILE", type=click.Path(path_type=Path),
    help="The site's devices.toml; else the one beside the scenario, or here.",
)  # fmt: skip
hash_option = click.option(
    "--hash", "typed", metavar="HASH", help="With --live: the plan's hash, its first 12 digits at least."
)
mandate_option = click.option(
    "--mandate", "mandate_file", metavar="FILE", type=click.Path(path_type=Path),
    help="With --live: the mandate; else mandate.toml beside devices.toml.",
)  # fmt: skip


@click.command(epilog=common.example("gridopt push plan", "gridopt push plan --live"))
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@site_option
@click.option("--live", is_flag=True, help="Send. Without it, everything is shown and nothing is sent.")
@hash_option
@mandate_option
@common.json_option
def push(
    run: Path, site_file: Path | None, live: bool, typed: str | None, mandate_file: Path | None, as_json: bool
) -> None:
    """Send the setpoints that a plan has for now.

    RUN is a folder that `gridopt run --out` left. Without --live nothing is sent: every request that would be is shown,
    with its registers, its words and what they mean. With --live, a person types the plan's hash, or the site has a
    mandate; each setpoint is then proven: acknowledged, read back twice, seen in a measurement. What was sent expires
    in the device; `gridopt watch` holds it.

    Exit code 0: every setpoint proven; without --live: nothing is known that would keep one from being sent. 11: the
    plan is not valid now. 14: a device is not proven to obey; without --live: one would be refused, or is not reached.
    """
    common.quick_imports()
    from gridopt.jobs import push as job

    planned, site = job.prepare(run, site_file)
    if live:
        may = allowed(planned, site, typed, mandate_file, as_json)
        with common.progress() as tell:
            tell("sending and proving")
            done = job.push(planned, site, may)
    else:
        with common.progress() as tell:
            tell("reading devices")
            done = job.rehearse(planned, site)
    click.echo(common.document(done.document()) if as_json else _words(done))
    if done.dry and not as_json:
        click.echo("Nothing was sent.")
        common.hints([f"gridopt push {run} --live    send it", f"gridopt watch {run} --live    send it and hold it"])
    elif not as_json and done.falls_back_s is not None:
        common.hints(
            [f"gridopt watch {run} --live    hold it"],
            f"The first of these expires in its device after {done.falls_back_s:g} s.",
        )
    click.get_current_context().exit(done.exit_code)


def push_run(out: Path, site_file: Path | None, live: bool, quiet: bool) -> int:
    """The plan that was just made, shown as requests, or sent under a mandate; the exit code. ``quiet``: say nothing on
    stdout, which holds a document already."""
    from gridopt.jobs import push as job

    planned, site = job.prepare(out, site_file)
    done = job.push(planned, site, job.permission(planned, site, None)) if live else job.rehearse(planned, site)
    click.echo(_words(done), err=quiet)
    if done.dry:
        click.echo("Nothing was sent.", err=quiet)
    return 0 if done.dry else done.exit_code  # the plan was asked for, and what it would tell is shown beside


def allowed(planned: Planned, site: Site, typed: str | None, mandate_file: Path | None, quiet: bool) -> May:
    """Who allows a live write; where neither a hash nor a mandate was given, a person is asked to type the hash."""
    from gridopt.jobs import field
    from gridopt.jobs import push as job

    if typed is None and (mandate_file is None and field.mandate_of(site) is None) and not quiet:
        plan = planned.plan
        click.echo(f"Plan {plan.id}, {plan.rung}, hash {plan.hash}", err=True)
        typed = click.prompt("Type the first 12 digits of its hash to send it", err=True)
    return job.permission(planned, site, typed, mandate_file)


def _words(done: Pushed) -> str:
    from gridopt.devices.schema import COMMANDS

    plan = done.planned.plan
    lines = [f"Plan {plan.id}, {plan.rung}, hash {plan.hash}"]
    if done.why:
        lines.append(f"With --live, nothing of this would be sent: {done.why}")
    for device in done.devices:
        o = device.outcome
        command = next((c for (d, c) in plan.told if d == o.device), o.command)
        unit = COMMANDS.get(command, "")
        wanted = "" if o.wanted is None else f" {o.wanted:g} {unit}".rstrip()
        seen = "" if o.measured is None else f", measured {_plain(o.measured)}"
        reads = "" if o.read is None else f"reads {_plain(o.read)}{seen}"
        status = "would be told" if done.dry and device.requests else str(o.status)
        status = "would be refused" if done.dry and status == "refused" else status
        lines.append(f"  {o.device}: {o.command}{wanted}: {status}" + (f" ({reads})" if reads else ""))
        if o.why:
            lines.append(f"      {o.why}")
        lines += [f"      {frame}    {means}" for frame, means in device.requests]
    lines += [f"  left out: {text}" for text in done.left_out]
    return "\n".join(lines)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
