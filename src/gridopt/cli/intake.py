"""``import`` and ``status``: files taken into the store, and how old everything there is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridopt.cli import common

if TYPE_CHECKING:
    from gridopt.jobs.collect import Taken

store_option = click.option(
    "--store", "place", metavar="PLACE", envvar="GRIDOPT_STORE", show_envvar=True,
    help="Folder of the store, or a URI such as s3://bucket/folder.",
)  # fmt: skip


@click.command("import", epilog=common.example("gridopt import smard prices.csv --store store", "gridopt import"))
@click.argument("kind", required=False)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--mapping", type=click.Path(path_type=Path), help="For the kind table: what its columns are.")
@click.option(
    "--known", type=click.Choice(["now", "measured", "day-ahead"]), default="now", show_default=True,
    help="Since when the values are known. For a history: measured, at the end of each interval; day-ahead, at 13:00 "
    "of the day before, as prices are.",
)  # fmt: skip
@store_option
@common.json_option
def import_(
    kind: str | None, files: tuple[Path, ...], mapping: Path | None, known: str, place: str | None, as_json: bool
) -> None:
    """Take files into the store.

    KIND says what the FILES (or folders of files) are; without it, the kinds are listed. What was repaired, flagged or
    refused is told for each. Without a store the files are only read and reported. The same file twice adds nothing.
    Exit code 11 where a file was refused; the others are taken in.
    """
    from gridopt.errors import UsageError
    from gridopt.intake.kinds import KINDS
    from gridopt.jobs import collect
    from gridopt.store.series import SeriesStore
    from gridopt.written.words import did_you_mean

    if kind is None:
        _list_kinds(as_json)
        return
    if kind not in KINDS:
        raise UsageError("there is no kind {kind}{hint}", kind=kind, hint=did_you_mean(kind, KINDS, "there are"))
    if not files:
        raise UsageError("no files are named: gridopt import {kind} FILE", kind=kind)
    store = None if place is None else SeriesStore.open(place)
    taken = []
    for one in collect.take_in(collect.files_in(files), KINDS[kind].opened(mapping), store, common.now(), known):
        taken.append(one)
        if not as_json:
            _tell(one, store is not None)
    if as_json:
        click.echo(common.document({"format": 1, "kind": kind, "files": [_as_json(one) for one in taken]}))
    elif store is None:
        common.hints(["nothing was kept; name a store with --store, or in GRIDOPT_STORE"])
    collect.check_taken(taken)


def _list_kinds(as_json: bool) -> None:
    from gridopt.intake.kinds import KINDS

    if as_json:
        click.echo(common.document({"format": 1, "kinds": {name: kind.what for name, kind in KINDS.items()}}))
        return
    width = max(map(len, KINDS))
    for name, kind in KINDS.items():
        click.echo(f"{name.ljust(width)}  {kind.what}")


def _tell(one: Taken, kept: bool) -> None:
    if one.batch is None:
        click.echo(f"{one.file}: refused: {one.refused}")
        return
    sources = f"{len(one.batch.series)} series"
    state = (": already there" if not one.new else "") if kept else ""
    click.echo(f"{one.file}: {one.rows} rows in {sources}{state}")
    for finding in one.batch.findings:
        click.echo(f"  {finding}")


def _as_json(one: Taken) -> dict[str, Any]:
    doc: dict[str, Any] = {"file": one.file, "rows": one.rows, "refused": one.refused, "new_parts": one.new}
    if one.batch is None:
        return doc
    series = [
        {"source": s.source, "quantity": s.quantity, "rows": len(s.time), "missing": s.missing}
        for s in one.batch.series
    ]
    findings = [
        {"deed": f.deed, "code": f.code, "text": f.text, "count": f.count, "first": f.first} for f in one.batch.findings
    ]
    return doc | {"series": series, "findings": findings}


@click.command(epilog=common.example("gridopt status --store store"))
@store_option
@common.json_option
def status(place: str | None, as_json: bool) -> None:
    """Tell what the store holds and still gets.

    fresh: it comes as often as it usually does; late: 1.5 times as long nothing came, silent: 4 times; new: it came
    less than three times.
    """
    from gridopt.errors import UsageError
    from gridopt.jobs.collect import health
    from gridopt.store.series import SeriesStore

    if place is None:
        raise UsageError("name the store with --store, or in GRIDOPT_STORE")
    store, now = SeriesStore.open(place), common.now()
    found = [(q, source, latest) for q in store.quantities() for source, latest in sorted(store.last(q).items())]
    if as_json:
        series = [
            {
                "quantity": quantity,
                "source": source,
                "last": latest.time.isoformat(),
                "end": latest.end.isoformat(),
                "known": latest.known.isoformat(),
                "age_s": (now - latest.end).total_seconds(),
                "usual_s": latest.usual_s,
                "health": health(latest, now),
            }
            for quantity, source, latest in found
        ]
        click.echo(common.document({"format": 1, "store": place, "now": now.isoformat(), "series": series}))
        return
    if not found:
        click.echo(f"{place} holds nothing yet")
        return
    told = [
        (
            q,
            s,
            f"{a.time:%Y-%m-%d %H:%M}",
            _age((now - a.end).total_seconds()),
            f"{a.known:%Y-%m-%d %H:%M}",
            health(a, now),
        )
        for q, s, a in found
    ]
    click.echo(common.table(("quantity", "source", "last interval (UTC)", "age", "known since", "health"), told))


def _age(seconds: float) -> str:
    if seconds < 0:
        return "ahead"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
