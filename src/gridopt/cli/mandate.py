"""``mandate``: the signed word under which gridopt writes to devices by itself."""

from __future__ import annotations

from pathlib import Path

import click

from gridopt.cli import common

DAYS = 90


@click.group(
    epilog=common.example(
        "gridopt mandate key approver.key",
        "gridopt mandate new scenarios/haute-deule --approver energy-manager",
        "gridopt mandate sign scenarios/haute-deule --key approver.key",
    )
)
def mandate() -> None:
    """Let gridopt write to devices by itself.

    A mandate says what, how far and until when. `watch` and `run --push --live` act only under one. A person signs it,
    and it ends. Changing it, or the site's devices.toml, undoes the signature.
    """


@mandate.command(epilog=common.example("gridopt mandate key approver.key"))
@click.argument("file", type=click.Path(path_type=Path))
@common.json_option
def key(file: Path, as_json: bool) -> None:
    """Make a key to sign with.

    FILE takes the private key, which its owner alone may read: keep it off the machine that runs gridopt. What is
    printed goes into devices.toml.
    """
    from gridopt.dispatch.mandate import new_key

    public = new_key(file)
    if as_json:
        click.echo(common.document({"format": 1, "file": str(file), "public_key": public}))
        return
    click.echo(f'{file} holds the private key. Into devices.toml:\n\n[approver.NAME]\npublic_key = "{public}"')


@mandate.command(epilog=common.example("gridopt mandate new scenarios/haute-deule --approver energy-manager"))
@click.argument("site")
@click.option("--approver", required=True, help="Who will sign, as devices.toml names them.")
@click.option("--days", default=DAYS, show_default=True, type=click.IntRange(1, 366), help="How long it holds.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write; mandate.toml beside devices.toml.")
@common.json_option
def new(site: str, approver: str, days: int, out: Path | None, as_json: bool) -> None:
    """Write a mandate to begin with.

    SITE is a devices.toml or its folder. The mandate names every command that the site allows; take out what gridopt
    may not do by itself, then sign it.
    """
    from datetime import timedelta

    from gridopt.devices import site as sites
    from gridopt.dispatch.mandate import FILE, UNWRITABLE, template
    from gridopt.errors import UsageError

    found = sites.load(site)
    place = out or found.file.with_name(FILE)
    start = common.now().replace(microsecond=0)
    try:
        with place.open("x", encoding="utf-8") as file:
            file.write(template(found, approver, start, start + timedelta(days=days)))
    except FileExistsError:
        raise UsageError("{file} exists already; change it, or name another with --out", file=str(place)) from None
    except OSError as error:
        raise UsageError(UNWRITABLE, file=str(place), why=error.strerror or str(error)) from error
    if as_json:
        click.echo(common.document({"format": 1, "file": str(place)}))
        return
    click.echo(f"{place} names what gridopt may write. Take out what it may not.")
    common.hints([f"gridopt mandate sign {site} --key approver.key    have it signed"])


@mandate.command(epilog=common.example("gridopt mandate sign scenarios/haute-deule --key approver.key"))
@click.argument("site")
@click.option("--key", "key_file", required=True, type=click.Path(path_type=Path), help="The approver's private key.")
@click.option("--mandate", "file", type=click.Path(path_type=Path), help="Its file; mandate.toml beside devices.toml.")
@common.json_option
def sign(site: str, key_file: Path, file: Path | None, as_json: bool) -> None:
    """Sign a mandate.

    SITE is a devices.toml or its folder. What is signed is the mandate together with the site's devices.toml.
    """
    from gridopt.devices import site as sites
    from gridopt.dispatch.mandate import FILE
    from gridopt.dispatch.mandate import sign as signed

    found = sites.load(site)
    _tell(signed(file or found.file.with_name(FILE), found, key_file), as_json)


@mandate.command(epilog=common.example("gridopt mandate show scenarios/haute-deule"))
@click.argument("site")
@click.option("--mandate", "file", type=click.Path(path_type=Path), help="Its file; mandate.toml beside devices.toml.")
@common.json_option
def show(site: str, file: Path | None, as_json: bool) -> None:
    """Show a mandate, if its signature holds.

    SITE is a devices.toml or its folder. Exit code 10 where the mandate is wrong or was changed.
    """
    from gridopt.devices import site as sites
    from gridopt.dispatch.mandate import FILE, load

    found = sites.load(site)
    _tell(load(file or found.file.with_name(FILE), found), as_json)


def _tell(found: object, as_json: bool) -> None:
    from gridopt.devices.schema import COMMANDS
    from gridopt.dispatch.mandate import Mandate

    assert isinstance(found, Mandate)
    head, now = found.head, common.now()
    if as_json:
        grants = [{"device": d, "command": c, "low": g.low, "high": g.high} for (d, c), g in found.grants.items()]
        document = {"format": 1, "file": str(found.file), "digest": found.digest, "approver": head.approver}
        document |= {"planner": head.planner, "from": head.start.isoformat(), "until": head.until.isoformat()}
        document |= {"holds": not found.when(now)}
        click.echo(common.document({**document, "rung": head.rung, "grants": grants}))
        return
    from_, until = (f"{time:%Y-%m-%d %H:%M}" for time in (head.start, head.until))
    click.echo(f"{found.file}: signed by {head.approver}, from {from_} until {until} UTC")
    if found.when(now):
        click.echo("Note: it does not hold now: " + ("it has ended" if now >= head.until else "it has not begun"))
    click.echo(f"the poorest plan that may be written: {head.rung}")
    for (device, command), grant in found.grants.items():
        what = command.replace("_", " ")
        click.echo(f"  {device}: {what} {grant.low:g} to {grant.high:g} {COMMANDS[command]}".rstrip())
