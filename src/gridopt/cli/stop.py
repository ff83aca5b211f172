"""``stop``: every device given back, at once."""

from __future__ import annotations

from pathlib import Path

import click

from gridopt.cli import common
from gridopt.cli.push import site_option


@click.command(epilog=common.example("gridopt stop --all", "gridopt stop --lift"))
@click.option("--all", "everything", is_flag=True, help="Give all devices back, and let nobody write until --lift.")
@click.option("--lift", is_flag=True, help="Allow writing again.")
@site_option
@click.option(
    "--deadline", "deadline_s", metavar="SECONDS", default=30.0, show_default=True, type=common.Range(1),
    help="How long it may take before what is left is left to its fail-safe.",
)  # fmt: skip
@common.json_option
@click.pass_context
def stop(
    ctx: click.Context, everything: bool, lift: bool, site_file: Path | None, deadline_s: float, as_json: bool
) -> None:
    """Stop all: give every device back to itself.

    A watch that runs is told to, and does it within a turn; where none runs, or it does not obey, the devices are given
    back from here, the last told first. It needs no plan and no solver. Until --lift nothing is written to any device.

    Exit code 0: every device is confirmed to be its own again. 14: one is not.
    """
    from gridopt.jobs import stop as job

    if everything == lift:
        raise click.UsageError("say --all, or --lift")
    if lift:
        stood = job.lift()
        click.echo("Devices may be written to again." if stood else "Nobody had stopped them.")
        return
    from gridopt.jobs.push import outcome_document

    place = job.say_stop()
    done = job.stop(site_file, lambda text: click.echo(text, err=True), deadline_s)
    if as_json:
        devices = [outcome_document(o) for o in done.outcomes]
        told = {"held": list(done.held), "failed": list(done.failed), "sites": [str(f) for f in done.sites]}
        click.echo(common.document({"format": 1, "devices": devices, **told, "stands": str(place)}))
    else:
        for o in done.outcomes:
            click.echo(f"{o.device}: {o.command}: {o.status}" + (f" ({o.why})" if o.why else ""))
        for why in done.held:
            click.echo(f"not reached: {why}. What it holds falls back when it no longer refreshes it.")
        for why in done.failed:
            click.echo(f"not given back: {why}")
        if not done.sites:
            click.echo("Stop is set: a watch that runs obeys it, and nothing is pushed until `gridopt stop --lift`.")
            click.echo("No device was given back by this command: it knows no site. Name one: --site FILE")
        elif not (done.outcomes or done.held or done.failed):
            click.echo("Nothing of gridopt's is left standing.")
        common.hints(["gridopt stop --lift    allow writing again"])
    ctx.exit(done.exit_code)
