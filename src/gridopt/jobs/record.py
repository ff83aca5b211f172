"""What a run leaves, and how it is taken up again: Inputs and Schedule ↔ the tables of a run folder.

Whatever was planned with is kept bit by bit: ``load`` gives Inputs with the digest that the summary names.
Numbers that differ from step to step stand in ``inputs.parquet``, all else in ``inputs.json``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gridopt.assets import family
from gridopt.assets.base import Floats
from gridopt.clock import Axis, runs
from gridopt.errors import DataError
from gridopt.model.inputs import Commitment, Flow, Group, Inputs, LinearRule, Node, Pin, Target
from gridopt.model.schedule import Schedule
from gridopt.store import run_folder
from gridopt.store.run_folder import Run, Series, Setpoint
from gridopt.units import unit_of
from gridopt.verify import Trace

if TYPE_CHECKING:
    from gridopt.scenario.before import Before

NODE_LIMITS = ("import_max_kw", "export_max_kw", "reserve_kw")
RUNNING_KW = 1e-6
SETPOINT_DIGITS = 6
"""Setpoints are rounded to a milliwatt: what is left of a solver's tolerance is no command."""
CURRENT_STEP_A = 0.1
"""Resolution of a current. Whole amperes would lose up to a sixth of the least current; the pilot signal of a charge
point says 0.6 A per per cent of its duty cycle (IEC 61851-1), so finer ones are lost on the way. A device that takes
whole amperes rounds down once more."""
RATED_A = np.array([0.0, 6.0, 8.0, 10.0, 13.0, 16.0, 20.0, 25.0, 32.0, 40.0, 50.0, 63.0, 80.0, 100.0, 125.0])
"""Preferred rated currents (IEC 60898-1). A charge point is called by a rounded power: 7.4 kW is 32 A, not 32.17 A."""
RATED_SHARE = 0.01
"""How far above its rated current a charge point's rounded power may lie."""


# --- inputs ----------------------------------------------------------------------------------------------------------


def pack(inputs: Inputs) -> tuple[dict[str, Any], list[Series]]:
    """Inputs → the document and the series that hold it."""
    series: list[Series] = []
    axis = inputs.axis
    doc = {
        "digest": inputs.digest(),
        "axis": {"start": axis.start.isoformat(), "step_min": axis.step_min, "steps": axis.steps, "zone": axis.zone},
        "nodes": [_pack_node(node, series) for node in inputs.nodes],
        "groups": [_pack_group(inputs, group, series) for group in inputs.groups],
        "commitments": [_pack_commitment(c) for c in inputs.commitments],
        "pins": [asdict(pin) for pin in inputs.pins],
        "rules": [{**asdict(rule), "low": _number(rule.low), "high": _number(rule.high)} for rule in inputs.rules],
        "target": {name: _number(value) for name, value in asdict(inputs.target).items()},
        **({"money": inputs.money} if inputs.money != 1.0 else {}),
    }
    return doc, series


def unpack(doc: Mapping[str, Any], series: list[Series]) -> Inputs:
    """The document and the series → Inputs; DataError where they are not what was packed."""
    table = {(s.node, s.asset, s.quantity): s.values for s in series}
    try:
        inputs = _unpack(doc, table)
    except (KeyError, ValueError, TypeError, IndexError) as e:
        raise DataError("the inputs of the run are damaged: {why}", why=repr(e)) from e
    if inputs.digest() != doc["digest"]:
        raise DataError("the inputs of the run are not the ones it was planned with: their digests differ")
    return inputs


def _unpack(doc: Mapping[str, Any], table: Mapping[tuple[str | None, str | None, str], Floats]) -> Inputs:
    a = doc["axis"]
    axis = Axis(datetime.fromisoformat(a["start"]), a["step_min"], a["steps"], a["zone"])
    nodes = tuple(_unpack_node(n, table, axis.steps) for n in doc["nodes"])
    index = {node.id: k for k, node in enumerate(nodes)}
    return Inputs(
        axis=axis,
        nodes=nodes,
        groups=tuple(_unpack_group(g, table, index) for g in doc["groups"]),
        commitments=tuple(_unpack_commitment(c) for c in doc["commitments"]),
        pins=tuple(Pin(**pin) for pin in doc["pins"]),
        rules=tuple(
            LinearRule(r["name"], _tuples(r["terms"]), _value(r["low"]), _value(r["high"])) for r in doc["rules"]
        ),
        target=_unpack_target(doc["target"]),
        money=float(doc.get("money", 1.0)),
    )


def _unpack_target(doc: Mapping[str, Any]) -> Target:
    values: dict[str, Any] = {name: _value(value) for name, value in doc.items()}
    return Target(**values)


def _pack_node(node: Node, series: list[Series]) -> dict[str, Any]:
    doc: dict[str, Any] = {"id": node.id, "carrier": node.carrier, "parent": node.parent}
    for name in NODE_LIMITS:
        values = getattr(node, name)
        if _is_constant(values[None, :]):
            doc[name] = _number(float(values[0]))
        else:
            series.append(Series(name, values, node=node.id))
    return doc


def _unpack_node(doc: Mapping[str, Any], table: Mapping[Any, Floats], steps: int) -> Node:
    limits = {
        name: np.full(steps, _value(doc[name])) if name in doc else table[doc["id"], None, name] for name in NODE_LIMITS
    }
    return Node(doc["id"], doc["carrier"], doc["parent"], **limits)


def _pack_group(inputs: Inputs, group: Group, series: list[Series]) -> dict[str, Any]:
    """Columns: ``each`` one number a device; ``flat`` the same at every step; ``table`` names that stand there."""
    each: dict[str, list[Any]] = {}
    flat: dict[str, list[Any]] = {}
    in_table: list[str] = []
    for name, values in sorted(group.columns.items()):
        if values.ndim == 1:
            each[name] = _numbers(values)
        elif _is_constant(values):
            flat[name] = _numbers(values[:, 0])
        else:
            in_table.append(name)
            series.extend(
                Series(name, row, first=int(first), asset=asset)
                for asset, row, first in zip(group.ids, values, group.offset, strict=True)
            )
    return {
        "family": group.family.name,
        "options": list(group.options),
        "steps": group.steps,
        "ids": list(group.ids),
        "offset": group.offset.tolist(),
        "nodes": {port: [inputs.nodes[int(k)].id for k in where] for port, where in sorted(group.nodes.items())},
        "each": each,
        "flat": flat,
        "table": in_table,
    }


def _unpack_group(doc: Mapping[str, Any], table: Mapping[Any, Floats], index: Mapping[str, int]) -> Group:
    columns = {name: _array(values) for name, values in doc["each"].items()}
    for name, values in doc["flat"].items():
        columns[name] = np.repeat(_array(values)[:, None], doc["steps"], axis=1)
    for name in doc["table"]:
        columns[name] = np.stack([table[None, asset, name] for asset in doc["ids"]])
    return Group(
        family(doc["family"]),
        _tuples(doc["options"]),
        doc["steps"],
        tuple(doc["ids"]),
        columns,
        {port: np.array([index[n] for n in where], np.int64) for port, where in doc["nodes"].items()},
        np.array(doc["offset"], np.int64),
    )


def _pack_commitment(c: Commitment) -> dict[str, Any]:
    return {
        "id": c.id,
        "flows": [asdict(flow) for flow in c.flows],
        "measure": c.measure,
        "kind": c.kind,
        "labels": list(c.labels),
        "period": np.asarray(c.period).tolist(),
        **{name: _numbers(getattr(c, name)) for name in ("baseline_kw", "price_above", "price_below")},
    }


def _unpack_commitment(doc: Mapping[str, Any]) -> Commitment:
    return Commitment(
        doc["id"],
        tuple(Flow(**flow) for flow in doc["flows"]),
        doc["measure"],
        np.array(doc["period"], np.int64),
        _array(doc["baseline_kw"]),
        _array(doc["price_above"]),
        _array(doc["price_below"]),
        doc["kind"],
        tuple(doc["labels"]),
    )


def _is_constant(values: Floats) -> bool:
    """Whether every row holds one number, to the bit."""
    bits = np.ascontiguousarray(values, np.float64).view(np.int64)
    return bool((bits == bits[:, :1]).all())


def _number(value: float) -> float | str:
    """JSON knows neither infinity nor NaN."""
    return value if math.isfinite(value) else str(value)


def _value(value: float | str) -> float:
    return float(value) if isinstance(value, str) else value


def _numbers(values: Floats) -> list[float | str]:
    return [_number(v) for v in values.tolist()]


def _array(values: list[float | str]) -> Floats:
    return np.array([float(v) for v in values], np.float64)


def _tuples(values: Any) -> Any:
    return tuple(_tuples(v) for v in values) if isinstance(values, list) else values


# --- schedule and setpoints ------------------------------------------------------------------------------------------


def schedule_series(inputs: Inputs, schedule: Schedule, trace: Trace, price_eur_per_kwh: Floats) -> list[Series]:
    """A plan as the rows of ``schedule.parquet``: nodes, then devices in the order of the inputs."""
    out: list[Series] = []
    for node, net, price in zip(inputs.nodes, schedule.net_kw, price_eur_per_kwh, strict=True):
        out.append(Series("import_kw", np.maximum(net, 0.0) + 0.0, node=node.id))  # no negative zeros
        out.append(Series("export_kw", np.maximum(-net, 0.0) + 0.0, node=node.id))
        out.append(Series("marginal_price_eur_per_kwh", price, node=node.id))
    for group, values, steps in zip(inputs.groups, schedule.groups, trace.steps, strict=True):
        ports = {port.name: f"{port.name}_kw" for port in group.family.ports}
        own = group.family.ports[0].name if len(ports) == 1 else None
        extra = [q for q in steps if q not in values and q not in ports.values() and not q.endswith("_eur")]
        for k, (asset, first) in enumerate(zip(group.ids, group.offset.tolist(), strict=True)):
            home = {p: inputs.nodes[int(group.nodes[p][k])].id for p in ports}
            for port, name in ports.items():
                out.append(Series("power_kw", steps[name][k] + 0.0, first, home[port], asset, port))
            # A device on several nodes belongs to none of them: only its ports do.
            place = home[own] if own else None
            out += [Series(q, values[q][k] + 0.0, first, place, asset) for q in values]
            out += [Series(q, steps[q][k] + 0.0, first, place, asset) for q in extra]
    return out


def load_schedule(inputs: Inputs, series: list[Series]) -> Schedule:
    """The rows of ``schedule.parquet`` → the plan; DataError where rows are missing."""
    found: dict[str, dict[str, Floats]] = {}
    sides: dict[tuple[str, str], Floats] = {}
    for s in series:
        if s.asset is None and s.node is not None:
            sides[s.node, s.quantity] = s.values
        elif s.asset is not None and s.port is None:
            found.setdefault(s.asset, {})[s.quantity] = s.values
    try:
        groups = tuple(
            {q: np.stack([found[asset][q] for asset in group.ids]) for q in found.get(group.ids[0], {})}
            for group in inputs.groups
        )
        net = np.stack([sides[n.id, "import_kw"] - sides[n.id, "export_kw"] for n in inputs.nodes])
    except (KeyError, ValueError) as e:
        raise DataError("the schedule of the run is damaged: {why}", why=repr(e)) from e
    return Schedule(groups, net)


def setpoints(
    inputs: Inputs, schedule: Schedule, trace: Trace, devices: Mapping[str, tuple[str, str]]
) -> list[Setpoint]:
    """What every controllable device is told: one value a step.

    ``devices``: asset → (what it accepts, its name or ""), where the user said so. A device without a name has its
    asset's.
    """
    out: list[Setpoint] = []
    for group, values, steps in zip(inputs.groups, schedule.groups, trace.steps, strict=True):
        kind, name = group.family.told(group.options)
        if kind == "none":
            continue
        if name in group.family.commands and name not in values:
            continue  # its options leave nothing to command: a plant that cannot be curtailed
        wanted = steps[name] if name in steps else values[name]
        if kind == "limit" and "curtailed_kw" in steps:
            # What the plan does not curtail is not limited: a sunnier day than forecast is not thrown away.
            free = steps["curtailed_kw"] <= RUNNING_KW
            wanted = np.where(free, np.maximum(group.columns["peak_kw"][:, None], wanted), wanted)
        told, unit = _in_device_words(kind, name, wanted, group)
        for k, asset in enumerate(group.ids):
            accepts, device = devices.get(asset, (kind, ""))
            if accepts != "none":
                out.append(Setpoint(device or asset, kind, unit, told[k], int(group.offset[k])))
    return _one_each(out, inputs.axis.steps)


def _one_each(told: list[Setpoint], steps: int) -> list[Setpoint]:
    """What several assets tell one device, such as the sessions of a charge point, as one value a step.

    A scenario lets one of them speak at a time; where their windows overlap, the others say 0.
    """
    values: dict[tuple[str, str, str], Floats] = {}
    for s in told:
        all_day = values.setdefault((s.device, s.command, s.unit), np.full(steps, np.nan))
        here = all_day[s.first : s.first + len(s.values)]
        here[:] = np.where(np.isnan(here), s.values, here + s.values)
    out: list[Setpoint] = []
    for (device, command, unit), all_day in values.items():
        out += [Setpoint(device, command, unit, all_day[a:b], a) for a, b in runs(~np.isnan(all_day))]
    return out


def _in_device_words(kind: str, name: str, wanted: Floats, group: Group) -> tuple[Floats, str]:
    """A scheduled value as the device takes it, with its unit."""
    if kind == "current":
        return _amperes(wanted, group), "A"
    if kind in ("on_off", "mode"):
        whole = (wanted > RUNNING_KW).astype(np.float64) if name.endswith("_kw") else np.round(wanted) + 0.0
        return whole, ""
    return np.round(wanted, SETPOINT_DIGITS) + 0.0, unit_of(name)


def _amperes(power_kw: Floats, group: Group) -> Floats:
    """(n, steps) current of a phase: what a charge point is told.

    Rounded down, so that no limit is exceeded and no more than cable and car are rated for. While charging it is never
    below the least current, at which a car that wants less than a step of it stops by itself.
    """
    from gridopt.assets.ev_session import PHASE_KV

    c = {name: group.columns[name][:, None] for name in ("phases", "power_kw", "power_min_kw", "current_min_a")}
    phase_kw = PHASE_KV * c["phases"]
    most = c["power_kw"] / phase_kw
    rated = RATED_A[np.searchsorted(RATED_A, most * (1 + 1e-9), side="right") - 1]
    most = np.where(most <= rated * (1 + RATED_SHARE), rated, _down(most))
    least = -_down(-np.maximum(c["current_min_a"], c["power_min_kw"] / phase_kw))
    told = np.minimum(np.maximum(_down(power_kw / phase_kw), least), most)
    return np.where(power_kw > RUNNING_KW, told, 0.0)


def _down(current_a: Floats) -> Floats:
    """Rounded down to the resolution; what a solver's tolerance makes of one of its steps is that step."""
    steps = np.floor(current_a / CURRENT_STEP_A + 1e-3)
    return np.asarray(np.round(steps * CURRENT_STEP_A, 1) + 0.0)


def plan_hash(
    digest: str, schedule: Sequence[Series], setpoints: Sequence[Setpoint], valid_from: datetime, valid_until: datetime
) -> str:
    """The plan's hash: its inputs, its schedule, what devices are told, and from when until when that holds."""
    valid = "/".join(t.astimezone(UTC).isoformat() for t in (valid_from, valid_until))
    parts = (digest.encode(), run_folder.digest_of(schedule), run_folder.digest_of(setpoints), valid.encode())
    return hashlib.sha256(b"\x1f".join(parts)).hexdigest()


# --- the folder ------------------------------------------------------------------------------------------------------


def load(folder: Path) -> tuple[Run, Inputs, Schedule]:
    """A run folder with its inputs and its plan.

    Raises UsageError when it is none, DataError when it is not whole or not what was written.
    """
    run = run_folder.read(folder)
    inputs = unpack(run.inputs, list(run.series))
    try:
        said, *valid = (run.summary[name] for name in ("hash", "valid_from", "valid_until"))
        valid_from, valid_until = (_instant(text) for text in valid)
    except (KeyError, ValueError, TypeError) as e:
        raise DataError("the summary of the run is damaged: {why}", why=repr(e)) from e
    if plan_hash(inputs.digest(), run.schedule, run.setpoints, valid_from, valid_until) != said:
        raise DataError(
            "the plan in {folder} is not the one that its hash names: its schedule, its setpoints or the time it is "
            "valid for were changed",
            folder=str(folder),
        )
    return run, inputs, load_schedule(inputs, list(run.schedule))


def before(folder: Path | None) -> Before | None:
    """The run that a plan is to go on from; None where none is named. Raises what ``load`` raises."""
    from gridopt.scenario.before import Before

    if folder is None:
        return None
    run, inputs, schedule = load(folder)
    return Before(str(folder), folder, run.summary, inputs, schedule)


def _instant(text: str) -> datetime:
    t = datetime.fromisoformat(text)
    if t.tzinfo is None:
        raise ValueError(f"{text} has no offset from UTC")
    return t
