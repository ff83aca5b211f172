"""``simulate``: the devices of a scenario, served on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from gridopt.cli import common
from gridopt.cli.day import date_option


def _fault(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """``battery=silent`` → both parts."""
    for value in values:
        if not all(value.partition("=")):
            raise click.BadParameter("write DEVICE=FAULT, such as battery=silent", ctx, parameter)
    return tuple((v.partition("=")[0], v.partition("=")[2]) for v in values)


fault_option = click.option(
    "--fault", "faults", multiple=True, metavar="DEVICE=FAULT", callback=_fault,
    help="Switch a fault on; may be given again. gridopt simulate --faults lists them.",
)  # fmt: skip


@click.command(
    epilog=common.example(
        "gridopt simulate haute-deule",
        "gridopt simulate haute-deule --now --speed 1 --fault battery=ack_nowrite",
        "gridopt simulate --faults",
    )
)
@click.argument("scenario", required=False)
@date_option
@click.option("--speed", type=common.Range(0.01, 3600), default=60.0, show_default=True, help="How fast its day goes.")
@fault_option
@click.option("--faults", "list_faults", is_flag=True, help="List the faults, and stop.")
@click.option("--now", "from_now", is_flag=True, help="Begin at this moment of today, instead of with the day.")
@click.option("--for", "for_s", metavar="SECONDS", type=common.Range(0), help="Stop after so many seconds.")
@click.option(
    "--forecast-error", "share", type=common.Range(0, 1), default=0.0, help="Relative error of all forecasts, as 0.1."
)
@click.option("--surprise", "surprise_kw", metavar="KW", type=common.Range(0), default=0.0, help="Unannounced loads.")
@click.option("--seed", type=int, default=1, show_default=True, help="Which errors and surprises are drawn.")
@common.json_option
def simulate(
    scenario: str | None, day: datetime | None, speed: float, faults: tuple[tuple[str, str], ...], list_faults: bool,
    from_now: bool, for_s: float | None, share: float, surprise_kw: float, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Serve a scenario's devices, simulated.

    Every device of its devices.toml answers at the address written there, by the registers of its adapter; behind them
    the scenario's batteries, rooms and cars live through the day. Only addresses of this machine are served.

    The day goes by --speed times faster than the clock. Fail-safe timers and slow answers do not: they are between a
    device and whoever speaks to it, and take real seconds. With --now --speed 1 both are as in life, and a plan of
    today can be pushed to it.

    Stop it with Ctrl-C.
    """
    if list_faults:
        _show_faults(as_json)
        return
    if scenario is None:
        raise click.UsageError("name a scenario: gridopt simulate haute-deule")
    from gridopt.jobs import simulate as job

    world, now = job.World(share, surprise_kw, None, seed), common.now()
    today = now.astimezone().date() if from_now and day is None else None
    said = job.run(
        scenario,
        day=day.date() if day else today,
        speed=speed,
        faults=faults,
        for_s=for_s,
        world=world,
        begin=now if from_now else None,
        tell=_Teller(as_json),
    )
    if as_json:
        click.echo(common.document({"format": 1, **said}))
        return
    asked = [(name, d["reads"], d["writes"]) for name, d in said["devices"].items() if d["reads"] or d["writes"]]
    click.echo(f"{said['time']}; {said['requests']} requests, {said['writes']} of them writes")
    for name, reads, writes in asked:
        click.echo(f"  {name}: {reads} reads, {writes} writes")


class _Teller:
    """Where the devices are on stdout, how the day goes on stderr once an hour of it."""

    def __init__(self, as_json: bool) -> None:
        self.as_json, self.hour = as_json, ""

    def __call__(self, said: Mapping[str, Any]) -> None:
        if "lines" in said:
            for name, line in said["lines"].items():
                devices = line["devices"]
                names = ", ".join(devices[:6]) + (f" and {len(devices) - 6} more" if len(devices) > 6 else "")
                click.echo(f"{name} ({line['kind']}) at {line['at']}: {names}", err=self.as_json)
        elif said["time"][:-3] != self.hour:
            self.hour = said["time"][:-3]
            powers = ", ".join(f"{node} {kw:.1f} kW" for node, kw in said["net_kw"].items())
            click.echo(f"{said['time']}  {powers}  {said['requests']} requests", err=True)


def _show_faults(as_json: bool) -> None:
    from gridopt.simulate.faults import FAULTS

    if as_json:
        found = {name: {"does": kind.doc, "of": kind.place, "argument": kind.argument} for name, kind in FAULTS.items()}
        click.echo(common.document({"format": 1, "faults": found}))
        return
    width = max(map(len, FAULTS)) + 6
    for name, kind in FAULTS.items():
        said = name if not kind.argument else f"{name}:{kind.argument}"
        click.echo(f"{said:<{width}}{kind.doc}")
    click.echo("\nNAME[:ARGUMENT][*TIMES]: exc:6*2 answers two requests with exception 6 and the next ones honestly.")
