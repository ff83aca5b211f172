"""``device``: adapters listed and checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridopt.cli import common

if TYPE_CHECKING:
    from gridopt.devices.adapter import Adapter

UNKNOWN = "nobody knows what the device does when gridopt is gone"


@click.group(epilog=common.example("gridopt device list", "gridopt device check my-meter.toml"))
def device() -> None:
    """Check and list device adapters.

    An adapter is a file that says how one model of device is read and written; docs/add-a-device.md writes one.
    """


@device.command("list", epilog=common.example("gridopt device list", "gridopt device list charger"))
@click.argument("kind", required=False)
@common.json_option
def list_(kind: str | None, as_json: bool) -> None:
    """List the adapters that ship.

    With a KIND, such as meter or charger, those of that kind. How far an adapter is proven: simulated (against
    simulated registers only), bench (one real device on a table) or field (in use).
    """
    from gridopt.devices.adapter import load, shipped
    from gridopt.devices.schema import KINDS
    from gridopt.errors import UsageError
    from gridopt.written.words import did_you_mean

    if kind is not None and kind not in KINDS:
        raise UsageError("there is no kind {kind}{hint}", kind=kind, hint=did_you_mean(kind, KINDS, "there are"))
    found = [load(path) for path in shipped().values() if kind in (None, path.parent.name)]
    if as_json:
        click.echo(common.document({"format": 1, "adapters": [_line(adapter) for adapter in found]}))
        return
    rows = [
        (a.header.kind, a.name, f"{a.header.maker} {a.header.model}", a.header.quality, str(len(a.points)), _writes(a))
        for a in found
    ]
    click.echo(_table(("kind", "adapter", "device", "proven", "points", "commands"), rows))
    if not all(w.allowed for a in found for w in a.writes.values()):
        click.echo(f"* {UNKNOWN}: written only with a person's signature")
    common.hints(["gridopt device check NAME    what one of them holds, and its worked checks"])


@device.command(epilog=common.example("gridopt device check my-meter.toml", "gridopt device check eastron-sdm630"))
@click.argument("file")
@common.json_option
def check(file: str, as_json: bool) -> None:
    """Check an adapter and its worked checks.

    FILE is a file, or the name of an adapter that ships. Every mistake stands with its line and what would mend it;
    without any, the worked checks follow: raw words, and what they mean. Exit code 10 where there is a mistake.
    """
    from gridopt.devices.adapter import load

    adapter = load(file)
    results = adapter.results()
    if as_json:
        checks = [{"of": r.of, "given": r.given, "means": r.means, "holds": r.holds} for r in results]
        click.echo(common.document({"format": 1, **_whole(adapter), "mistakes": [], "checks": checks}))
        return
    counts = common.count(len(adapter.points), "point"), common.count(len(adapter.writes), "command")
    click.echo(f"{adapter.name}: no mistakes; {', '.join(counts)}, {common.count(len(results), 'worked check')}")
    click.echo(_table(("check", "given", "means"), [(r.of, r.given, r.means) for r in results]))
    for name, write in adapter.writes.items():
        if not write.allowed:
            click.echo(f"Note: {name}: {UNKNOWN}; written only with a person's signature")
        if write.left_to_site:
            click.echo(f"Note: {name}: the installer says {', '.join(write.left_to_site)}")
    for text in adapter.header.left_out:
        click.echo(f"Left out: {text}")


# --- words -----------------------------------------------------------------------------------------------------------


def _writes(adapter: Adapter) -> str:
    return ", ".join(name if write.allowed else f"{name}*" for name, write in adapter.writes.items())


def _line(adapter: Adapter) -> dict[str, Any]:
    header = adapter.header
    return {
        "name": adapter.name,
        "kind": header.kind,
        "maker": header.maker,
        "model": header.model,
        "quality": header.quality,
        "points": list(adapter.points),
        "commands": {
            name: {
                "command": w.command,
                "point": w.point,
                "fail_safe": w.fail_safe.kind,
                "allowed": w.allowed,
                "left_to_site": list(w.left_to_site),
            }
            for name, w in adapter.writes.items()
        },
    }


def _whole(adapter: Adapter) -> dict[str, Any]:
    sources = [source.model_dump(exclude_none=True) for source in adapter.sources]
    more = {"file": _shown(adapter.file), "digest": adapter.digest, "sources": sources}
    return _line(adapter) | more | {"left_out": list(adapter.header.left_out)}


def _shown(path: Path) -> str:
    from gridopt.written.toml import shown

    return shown(path)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Columns that line up, whatever reads them."""
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)]
    return "\n".join(lines)
