"""``demo``: a shipped district planned and shown."""

from __future__ import annotations

from pathlib import Path

import click

from gridopt.cli import common


@click.command(epilog=common.example("gridopt demo"))
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="Leave the plan here.")
def demo(out: Path | None) -> None:
    """Plan a shipped district and show the plan.

    Nothing outside this machine is opened. The plan is left in a temporary folder, whose name is printed, unless --out
    names another place.
    """
    from gridopt.cli.run import kept, make, present
    from gridopt.jobs.demo import place, scenario

    name, folder = scenario(), out or place()
    present(make(name, folder))
    common.hints(
        [
            f"gridopt explain {folder}    why this plan",
            f"gridopt run {name} --date 2026-07-05    the same district on another day",
            "gridopt new my-district    a scenario of your own",
        ],
        kept(folder),
    )
