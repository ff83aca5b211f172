"""``journal``: what was intended, sent, proven and refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridopt.cli import common

if TYPE_CHECKING:
    from gridopt.store.journal import Entry


@click.command(
    epilog=common.example("gridopt journal", "gridopt journal --device wallbox-1", "gridopt journal --verify")
)
@click.option("--device", metavar="NAME", help="Entries of one device alone.")
@click.option("--since", metavar="NUMBER", default=0, type=click.IntRange(0), help="Entries after this number.")
@click.option("--last", metavar="COUNT", default=40, show_default=True, type=click.IntRange(1), help="So many at most.")
@click.option("--verify", is_flag=True, help="Recompute the chain of hashes instead.")
@click.option("--file", metavar="FILE", type=click.Path(path_type=Path), help="Another journal than this machine's.")
@common.json_option
@click.pass_context
def journal(
    ctx: click.Context, device: str | None, since: int, last: int, verify: bool, file: Path | None, as_json: bool
) -> None:
    """Show what was sent, and what came of it.

    The journal only grows: every intent is on the disk before its requests are sent, its outcome after, each with the
    hash of the entry before. --verify finds what was changed, left out or put in; exit code 11 where anything was.
    """
    from collections import deque

    from gridopt.config import state_folder
    from gridopt.store.journal import Journal

    place = file or state_folder() / "journal.sqlite"
    with Journal.read(place) as kept:
        if verify:
            wrong, head = kept.verify(), kept.head
            if as_json:
                click.echo(common.document({"format": 1, "wrong": wrong, "head": head}))
            else:
                click.echo("\n".join(wrong) or f"{place} is whole; its last hash is {head}")
            ctx.exit(11 if wrong else 0)
        entries = deque(kept.entries(since, device), maxlen=last)
    if as_json:
        click.echo(common.document({"format": 1, "entries": [_document(e) for e in entries]}))
        return
    for entry in entries:
        click.echo(_line(entry))


def _document(entry: Entry) -> dict[str, Any]:
    about = {"seq": entry.seq, "time": entry.time.isoformat(), "kind": entry.kind, "device": entry.device}
    return {**about, **{"body": dict(entry.body), "hash": entry.hash}}


def _line(entry: Entry) -> str:
    who = f" {entry.device}" if entry.device else ""
    return f"{entry.seq:>6}  {entry.time:%Y-%m-%d %H:%M:%S}  {entry.kind}{who}: {_words(entry.kind, entry.body)}"


def _words(kind: str, body: Mapping[str, Any]) -> str:
    if kind == "intent":
        frames = "; ".join(body["frames"])
        return f"{body['command']} {body['old']} → {body['new']} ({body['reason']}, {body['who']})  {frames}"
    if kind == "result":
        read = "" if body["read"] is None else f", reads {body['read']}"
        return f"of {body['intent']}: {body['outcome']}{read}" + (f" ({body['why']})" if body["why"] else "")
    return ", ".join(
        f"{k} {v if isinstance(v, str) else json.dumps(v)}" for k, v in body.items() if v not in (None, "")
    )
