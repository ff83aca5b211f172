"""``demo``: a shipped district planned, its simulated devices told, and what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gridopt.cli import common
from gridopt.cli.simulate import fault_option

if TYPE_CHECKING:
    from gridopt.jobs.demo import Closed, Proof

UNPROVEN = 14


@click.command(epilog=common.example("gridopt demo", "gridopt demo --fault battery=ack_nowrite"))
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="Leave the plan here.")
@click.option("--plan", "plan_only", is_flag=True, help="Plan and show the plan; tell no device.")
@fault_option
@common.json_option
@click.pass_context
def demo(
    ctx: click.Context, out: Path | None, plan_only: bool, faults: tuple[tuple[str, str], ...], as_json: bool
) -> None:
    """Plan a shipped district and live its day.

    The devices are simulated in this process: they are read, the plan starts from what they show, every setpoint is
    sent over Modbus and proven, and a whole day goes by in about a minute. Nothing outside this machine is opened. The
    plan is left in a temporary folder, whose name is printed, unless --out names another place.

    Exit code 0: every setpoint was proven. 14: some were not.
    """
    from gridopt.jobs import demo as job

    name, temporary = job.scenario(), job.place()
    folder = out or temporary
    if plan_only or not job.has_devices(name):
        _plan(name, folder, as_json)
        return
    with common.progress() as tell:
        common.quick_imports()
        journal, now = temporary.with_name(job.JOURNAL), common.now()
        closed = common.unless_stopped(lambda: job.run(name, folder, journal, now=now, tell=tell, faults=faults))
    if as_json:
        click.echo(common.document(closed.document()))
    else:
        _show(closed, name, folder)
    ctx.exit(0 if closed.proven else UNPROVEN)


def _plan(name: str, folder: Path, as_json: bool) -> None:
    from gridopt.cli.run import kept, make, present

    plan = make(name, folder)
    if as_json:
        click.echo(common.document({"format": 1, **plan.summary}))
        return
    present(plan)
    common.hints(_hints(name, folder), kept(folder))


def _hints(name: str, folder: Path) -> list[str]:
    return [
        f"gridopt explain {folder}    why this plan",
        f"gridopt run {name} --date 2026-07-05    the same district on another day",
        "gridopt new my-district    a scenario of your own",
    ]


# --- the end of the day -----------------------------------------------------------------------------------------------


def _show(closed: Closed, name: str, folder: Path) -> None:
    from rich.console import Console

    from gridopt.cli.run import kept, present

    present(closed.plan)
    console = Console(highlight=False)
    console.print("\n[bold]The day that followed[/bold]")
    shown = ", ".join(f"{s.device} {s.point} {s.value:g} {s.unit}".rstrip() for s in closed.read)
    console.print(f"Read before planning: {shown}.")
    console.print(_table(closed))
    console.print(_money(closed))
    for proof in closed.proofs:
        if proof.why:
            console.print(f"{proof.device}: {proof.why}")
    asked, wrong = closed.asked, len(closed.broken)
    console.print(
        f"{asked['requests']} requests, {asked['writes']} of them writes: {closed.changes} changes, and refreshes. "
        f"The journal is {'whole' if not wrong else f'damaged in {wrong} places'}: {closed.journal}"
    )
    hints = [f"gridopt simulate {name}    the same devices, to speak to yourself", *_hints(name, folder)]
    common.hints(hints, kept(folder))


def _table(closed: Closed) -> object:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("device", "planned kWh", "realised kWh", "setpoints", "proven", "otherwise"):
        table.add_column(head, justify="left" if head in ("device", "otherwise") else "right")
    energy = {e.asset: e for e in closed.energy}
    proofs = {p.device: p for p in closed.proofs}
    for device in dict.fromkeys((*energy, *proofs)):
        e, p = energy.get(device), proofs.get(device)
        kwh = (f"{e.planned_kwh:.1f}", f"{e.realised_kwh:.1f}") if e is not None else ("", "")
        table.add_row(device, *kwh, *_proven(p))
    return table


def _proven(p: Proof | None) -> tuple[str, str, str]:
    if p is None:
        return "", "", "only read"
    return str(p.setpoints), str(p.proven), ", ".join(f"{n} {status}" for status, n in p.otherwise.items())


def _money(closed: Closed) -> object:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("", "plan", "realised", "by rule"):
        table.add_column(head, justify="right" if head else "left")
    for words, row, digits in (
        ("cost, EUR", closed.cost_eur, 2),
        ("goals missed, EUR", closed.penalty_eur, 2),
        ("highest draw, kW", closed.peak_kw, 1),
    ):
        values = [f"{row[key] + 0.0:.{digits}f}".replace("-0.00", "0.00") for key in ("plan", "realised", "by rule")]
        table.add_row(words, *values)
    return table
