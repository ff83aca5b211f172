"""``device``: adapters listed and checked, devices found and read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridopt.cli import common
from gridopt.cli.prove import prove_failsafe

if TYPE_CHECKING:
    from gridopt.devices.adapter import Adapter
    from gridopt.devices.device import Reading
    from gridopt.devices.link.address import LineAddress
    from gridopt.devices.scan import Scan
    from gridopt.jobs.read import Swept, Target

NO_ANSWER = 14
UNKNOWN = "nobody knows what the device does when gridopt is gone"


@click.group(epilog=common.example("gridopt device scan 10.0.4.7", "gridopt device read my-meter.toml --at 10.0.4.7"))
def device() -> None:
    """Find and read devices; check their adapters.

    An adapter is a file that says how one model of device is read and written; docs/add-a-device.md writes one.
    """


device.add_command(prove_failsafe)


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
    click.echo(common.table(("kind", "adapter", "device", "proven", "points", "commands"), rows))
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
    click.echo(common.table(("check", "given", "means"), [(r.of, r.given, r.means) for r in results]))
    for name, write in adapter.writes.items():
        if not write.allowed:
            click.echo(f"Note: {name}: {UNKNOWN}; written only with a person's signature")
        if write.left_to_site:
            click.echo(f"Note: {name}: the installer says {', '.join(write.left_to_site)}")
    for text in adapter.header.left_out:
        click.echo(f"Left out: {text}")


# --- what answers ----------------------------------------------------------------------------------------------------

_over = [
    click.option("--rtu", is_flag=True, help="Speak RTU over TCP, as serial servers do."),
    click.option("--baud", type=click.IntRange(300), default=9600, show_default=True, help="Of a serial port."),
    click.option(
        "--parity", type=click.Choice(["none", "even", "odd"]), default="none", show_default=True,
        help="Of a serial port.",
    ),
]  # fmt: skip


def over(command: Any) -> Any:
    """The options that say how an address is spoken to."""
    for option in reversed(_over):
        command = option(command)
    return command


@device.command(epilog=common.example("gridopt device scan 10.0.4.7", "gridopt device scan /dev/ttyUSB0 --unit 1-10"))
@click.argument("at", metavar="HOST[:PORT]")
@click.option("--unit", "units", default="1", show_default=True, help="Units to ask, such as 1, 3 or 1-10,247.")
@over
@common.json_option
def scan(at: str, units: str, rtu: bool, baud: int, parity: str, as_json: bool) -> None:
    """Find out what answers at an address.

    The address is a host, with a port where it is not 502, or a serial port such as /dev/ttyUSB0. Follows the chain of
    SunSpec models, and tries the identity probe of every adapter that ships: certain (a name or code reads as it
    should), likely (SunSpec models, or several plausible values) or possible (one plausible value). Only reads. Exit
    code 14 where nobody answers.
    """
    import asyncio

    from gridopt.devices.adapter import load, shipped
    from gridopt.errors import DeviceError
    from gridopt.jobs.read import scan_units

    address, wanted = _address(at, rtu, baud, parity), _units(units)
    adapters = [load(path) for path in shipped().values()]
    with common.progress() as tell:
        tell(f"asking {at}")
        found = asyncio.run(scan_units(address, wanted, adapters))
    if all(s.silent for s in found.values()):
        raise DeviceError("nobody answers at {at}: {why}", at=at, why=next(iter(found.values())).silent)
    if as_json:
        click.echo(common.document({"format": 1, "at": at, "units": [_scanned(n, s) for n, s in found.items()]}))
        return
    for number, one in found.items():
        click.echo(f"unit {number}: {_scan_words(one)}")
        if one.fits:
            rows = [(fit.adapter, str(fit.sure), "; ".join(fit.evidence)) for fit in one.fits]
            click.echo(common.table(("adapter", "fit", "because"), rows))
    fits = [(n, s.fits[0].adapter) for n, s in found.items() if s.fits]
    if fits:
        common.hints([f"gridopt device read {name} --at {at} --unit {n}" for n, name in fits])


@device.command(
    epilog=common.example("gridopt device read my-meter.toml --at 10.0.4.7 --unit 3", "gridopt device read wallbox-1")
)
@click.argument("devices", nargs=-1, metavar="[DEVICE|FILE]...")
@click.option(
    "--site", metavar="FILE", type=click.Path(path_type=Path), default="devices.toml", show_default=True,
    help="The devices of the site.",
)  # fmt: skip
@click.option("--at", metavar="HOST[:PORT]", help="Read through an adapter FILE at this address, without a site.")
@click.option("--unit", type=click.IntRange(1, 255), help="Unit at that address; else the adapter's own.")
@click.option("--part", type=click.IntRange(0), help="Which of several like parts of the device.")
@over
@click.option("--point", "points", multiple=True, help="Read this point alone; may be given again.")
@click.option("--watch", "every_s", metavar="S", type=common.Range(0.1), help="Read again every S seconds.")
@click.option("--times", type=click.IntRange(1), help="Stop watching after so many readings.")
@common.json_option
@click.pass_context
def read(
    ctx: click.Context,
    devices: tuple[str, ...],
    site: Path,
    at: str | None,
    unit: int | None,
    part: int | None,
    rtu: bool,
    baud: int,
    parity: str,
    points: tuple[str, ...],
    every_s: float | None,
    times: int | None,
    as_json: bool,
) -> None:
    """Read devices, of a site or at an address.

    Devices of the site by their names, all of them without a name; or one, with an adapter FILE and --at. What cannot
    be trusted has no value, and says why: missing (the device has none), out-of-range (not plausible), stale (it no
    longer moves) or failed (no answer). With --watch and --json there is one document a line. Exit code 14 where a
    device does not answer.
    """
    import asyncio

    from gridopt.jobs.read import sweeps

    if at is None:
        targets = _of_site(site, devices, points)
    else:
        targets = [_at_address(devices, _address(at, rtu, baud, parity), unit, part, points)]
    silent: dict[str, str] = {}

    async def work() -> None:
        async for found in sweeps(targets, every_s, times):
            silent.clear()
            silent.update(_silent(found))
            text = _readings(targets, found, silent, as_json, every_s is not None)
            if text:
                click.echo(text)
            for name, why in silent.items():
                click.echo(f"Error: {name}: {why}", err=True)
            for line in _events(found):
                click.echo(line, err=True)

    asyncio.run(work())
    if silent:
        ctx.exit(NO_ANSWER)


def _of_site(path: Path, names: Sequence[str], points: tuple[str, ...]) -> list[Target]:
    from gridopt.devices.site import load
    from gridopt.errors import UsageError
    from gridopt.jobs.read import Target
    from gridopt.written.words import did_you_mean

    if not path.exists():
        raise UsageError(
            "there is no {path}; name the site's devices with --site, or read one with an adapter and --at HOST",
            path=path,
        )
    site = load(path)
    for name in names:
        if name not in site.devices:
            hint = did_you_mean(name, site.devices, "there are")
            more = "; an adapter is read with --at HOST" if Path(name).suffix else ""
            raise UsageError("there is no device {name}{hint}{more}", name=name, hint=hint, more=more)
    wanted = [site.devices[name] for name in names] or list(site.devices.values())
    return [
        Target(d.name, d.adapter, d.address, d.unit_id, d.part, d.said.serial, _known(d.adapter, points))
        for d in wanted
    ]


def _at_address(
    files: Sequence[str], address: LineAddress, unit: int | None, part: int | None, points: tuple[str, ...]
) -> Target:
    from gridopt.devices.adapter import load
    from gridopt.errors import UsageError
    from gridopt.jobs.read import Target

    if len(files) != 1:
        raise UsageError("--at needs one adapter: a file, or the name of one that ships")
    adapter = load(files[0])
    if adapter.link.stride is not None and part is None:
        raise UsageError("{name} serves several like parts: write --part 0 for the first", name=adapter.name)
    if adapter.link.stride is None and part is not None:
        raise UsageError("{name} has no parts; --part is of no use to it", name=adapter.name)
    unit_id = adapter.link.unit_id if unit is None else unit
    return Target(adapter.name, adapter, address, unit_id, part, points=_known(adapter, points))


def _known(adapter: Adapter, points: tuple[str, ...]) -> tuple[str, ...] | None:
    """The points that were asked for, or all."""
    from gridopt.errors import UsageError
    from gridopt.written.words import did_you_mean

    readable = [name for name, point in adapter.points.items() if point.readable]
    for name in points:
        if name not in readable:
            hint = did_you_mean(name, readable, "there are")
            raise UsageError("{adapter} reads no {name}{hint}", adapter=adapter.name, name=name, hint=hint)
    return points or None


def _address(at: str, rtu: bool, baud: int, parity: str) -> LineAddress:
    """A host and port, or a serial port. Raises UsageError."""
    from gridopt.devices.link.address import LineAddress
    from gridopt.errors import UsageError

    if "/" in at or at.upper().startswith("COM"):
        address = LineAddress("rtu", tty=at, baud=baud, parity=parity[0].upper())
    else:
        host, port = at.rsplit(":", 1) if at.count(":") == 1 or "]:" in at else (at, "502")
        if not port.isdecimal():
            raise UsageError("{at} is not an address; write 10.0.4.7:502", at=at)
        address = LineAddress("rtu-over-tcp" if rtu else "tcp", host=host.strip("[]"), port=int(port))
    why = address.refusal()
    if why:
        raise UsageError("{at}: {why}", at=at, why=why)
    return address


def _units(said: str) -> list[int]:
    """``1-3,7`` → 1, 2, 3, 7. Raises UsageError."""
    from gridopt.errors import UsageError

    found: list[int] = []
    for part in said.split(","):
        first, _, last = part.strip().partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()):
            raise UsageError("--unit {said} is not made of numbers; write 1, or 1-10,247", said=said)
        found += range(int(first), int(last or first) + 1)
        if not found or not all(1 <= unit <= 255 for unit in found):
            raise UsageError("--unit {said}: units are 1 to 255", said=said)
    return list(dict.fromkeys(found))


# --- words -----------------------------------------------------------------------------------------------------------


def _readings(
    targets: Sequence[Target],
    found: Mapping[str, Swept],
    silent: Mapping[str, str],
    as_json: bool,
    watched: bool,
) -> str:
    """One sweep as a table, without devices that say nothing at all; or as a document, with them."""
    if as_json:
        rows = [_reading(t.adapter, r, found[t.name]) for t in targets for r in _in_order(t, found[t.name])]
        doc = {"format": 1, "readings": rows}
        return json.dumps(doc, ensure_ascii=False, allow_nan=False) if watched else common.document(doc)
    several = len(targets) > 1
    head = ("time", *(("device",) if several else ()), "quantity", "value", "unit", "quality", "why")
    lines = []
    for target in targets:
        for r in _in_order(target, found[target.name]) if target.name not in silent else ():
            point = target.adapter.points[r.quantity]
            cells = (_shown_value(r.value, point.codec.type), point.unit, str(r.quality), r.why)
            lines.append((f"{r.time:%H:%M:%S}", *((r.device,) if several else ()), r.quantity, *cells))
    return common.table(head, lines) + ("\n" if watched else "") if lines else ""


def _in_order(target: Target, found: Swept) -> list[Reading]:
    return [found.readings[name] for name in target.adapter.points if name in found.readings]


def _reading(adapter: Adapter, r: Reading, found: Swept) -> dict[str, Any]:
    value = sorted(r.value) if isinstance(r.value, frozenset) else r.value
    point = {"time": r.time.isoformat(), "device": r.device, "quantity": r.quantity, "value": value}
    step = found.counted.get(r.quantity)
    counted = {} if step is None else {"counted_kwh": step.kwh, "event": step.event}
    return point | {"unit": adapter.points[r.quantity].unit, "quality": str(r.quality), "why": r.why} | counted


def _events(found: Mapping[str, Swept]) -> list[str]:
    """Counters that did something else than count."""
    return [
        f"{device}: {name} was reset: {step.why}" if step.kwh is None else f"{device}: {name} turned over: {step.why}"
        for device, swept in found.items()
        for name, step in swept.counted.items()
        if step.event is not None
    ]


def _shown_value(value: object, type: str) -> str:
    """As many digits as the register has."""
    if isinstance(value, float):
        return f"{value:.7g}" if type == "f32" else f"{value:.12g}"
    return ", ".join(sorted(value)) or "no bit" if isinstance(value, frozenset) else str(value or "")


def _silent(found: Mapping[str, Swept]) -> dict[str, str]:
    """Device → why, of those that gave nothing at all."""
    from gridopt.devices.codec import Quality

    return {
        name: next(iter(swept.readings.values())).why
        for name, swept in found.items()
        if swept.readings and all(r.quality is Quality.FAILED for r in swept.readings.values())
    }


def _scan_words(scan: Scan) -> str:
    if scan.silent:
        return scan.silent
    said = []
    if scan.chain is not None:
        models = ", ".join(str(m.number) for m in scan.chain.models)
        ends = "" if scan.chain.ended else " (and the chain breaks off)"
        said.append(f"SunSpec at register {scan.chain.base}, models {models}{ends}")
        said += [f"{key} {scan.common[key]}" for key in scan.common]
    if not scan.fits:
        said.append("no adapter knows it; docs/add-a-device.md adds one")
    return "; ".join(said) or "it answers"


def _scanned(number: int, scan: Scan) -> dict[str, Any]:
    chain = scan.chain
    models = [{"model": m.number, "start": m.start, "length": m.length} for m in chain.models] if chain else []
    return {
        "unit": number,
        "answers": not scan.silent,
        "why": scan.silent,
        "sunspec": None if chain is None else {"base": chain.base, "ended": chain.ended, "models": models},
        "common": scan.common,
        "fits": [{"adapter": f.adapter, "fit": str(f.sure), "because": list(f.evidence)} for f in scan.fits],
        "strangers": scan.strangers,
        "unknowable": list(scan.unknowable),
    }


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
