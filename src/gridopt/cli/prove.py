"""``device prove-failsafe``: the commissioning test of a fail-safe."""

from __future__ import annotations

from pathlib import Path

import click

from gridopt.cli import common
from gridopt.cli.push import site_option


@click.command(
    "prove-failsafe", epilog=common.example("gridopt device prove-failsafe wallbox-1 10 --site devices.toml --live")
)
@click.argument("name", metavar="DEVICE")
@click.argument("value", type=float)
@site_option
@click.option("--live", is_flag=True, help="Do it. Without it, what would be done is said and nothing is sent.")
@common.json_option
@click.pass_context
def prove_failsafe(
    ctx: click.Context, name: str, value: float, site_file: Path | None, live: bool, as_json: bool
) -> None:
    """Check that a device falls back by itself.

    DEVICE is told VALUE, in the unit of its one command, and then nothing more. It must hold the value first, and fall
    back to what is declared within the time that is declared. Choose a value that the site can bear for that long, and
    stay beside the device. Exit code 14 where it does not fall back.
    """
    from gridopt.jobs.field import site_of
    from gridopt.jobs.prove_failsafe import declared, prove_failsafe

    site = site_of(None, site_file)
    if not live:
        click.echo(declared(site, name, value))
        click.echo("Nothing was sent.")
        where = f" --site {site_file}" if site_file is not None else ""
        common.hints([f"gridopt device prove-failsafe {name} {value:g}{where} --live    do it"])
        return
    proof = prove_failsafe(site, name, value, lambda text: click.echo(text, err=True))
    if as_json:
        click.echo(common.document({"format": 1, **common.plain(proof), "holds": proof.holds}))
    elif proof.holds:
        click.echo(f"{name}: fell back after {proof.after_s:.1f} s; {proof.time_s:g} s are declared")
    else:
        click.echo(f"{name}: {proof.why}")
    ctx.exit(proof.exit_code)
