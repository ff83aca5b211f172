"""The scenario file format, as models: the fixed sections by hand, the families' from the registry.

    format = 1
    title = "Two roofs"
    unset = ["asset.chp.min_up_h"]   in an overlay: values that the files before it say and this one takes out
    [horizon]            start (date or instant), days = 1 or hours, step_min = 15, zone = "Europe/Paris"
    [series]             files = ["series.csv"], time = "time": a column of interval starts and any columns of values
    [generate.NAME]      kind, seed, parameters of the kind: a series from gridopt.scenario.generate
    [schedule.NAME]      default, rules = [{days, from, to, value}] in local time; a later rule overrides
    [node.ID]            carrier, parent, import_max_kw, export_max_kw, reserve_kw, limits, breach_eur_per_kwh
    [nodes]              table = "nodes.csv": one row a node, columns id and the keys above; [nodes.defaults]
    [asset.ID]           family, the node of each port, the family's parameters; control = "none", device
                         what has a window of time (a car) may say days = "mon-fri" and then comes on each such day
    [FAMILY]             table = "batteries.csv": one row an asset; [FAMILY.defaults] for every asset of the family;
                         [ev-session.generate.NAME] draws sessions, see gridopt.scenario.sessions
    [commitment.ID]      kind = energy | carbon | peak | breach | event | plan-change, and its terms
    [objective]          what counts beside money, each by its weight: see gridopt.scenario.objective
    [[pin]]              asset, quantity, value, from, to: a person's override
    [[outage]]           asset, from, to: every command of the asset at zero, unless pinned; here, in a node's limits
                         and in an event, days = "mon-fri" makes from and to times of those days, every week
    [[rule]]             file = "rules.py": constraints of one's own, see gridopt.scenario.rules
    [solve]              gap, exact_gap, exact_decisions, time_limit_s, exact_limit_s

A name ends with its unit. Where a series may stand, a number or a name may be written: a column of a series file, a
schedule or a generated series. Times are instants (``2026-01-15T07:30``, local unless an offset follows), or times of
the horizon's days (``07:30``, ``D+1 07:30``), which move with the day that is planned. ``[asset.ID]`` without a family
overrides single values of the table row of that id, and so does ``--set asset.ID.power_kw=5``.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Annotated, Any

from pydantic import ConfigDict, Field, create_model

from gridopt.assets import family
from gridopt.assets.base import Family, Parameter
from gridopt.clock import STEPS_MIN
from gridopt.model.inputs import Target
from gridopt.scenario import fields as f
from gridopt.scenario.times import DAY_MIN, Moment
from gridopt.written.model import Section

CARRIERS = ("electricity", "heat", "gas", "hydrogen", "cold")
INF = float("inf")
PRICE = f.Series(largest=f.LARGEST_EUR)
TAX = f.Series(0, largest=f.LARGEST_EUR)
CHARGE = f.Number(0, largest=f.LARGEST_EUR)
DAYS = "the days on which it comes, between two times of day: mon-fri, sat,sun, all; absent: once"
ALL_WEEK = frozenset(range(7))


class Horizon(Section):
    start: Annotated[Moment | None, f.Start()] = Field(None, description="first day, or first instant")
    days: Annotated[int | None, f.Whole(1, 31)] = Field(None, description="length in local days; 1 by default")
    hours: Annotated[float | None, f.Number(0, 31 * 24)] = Field(None, description="length in hours instead of days")
    step_min: Annotated[int, f.Choice(STEPS_MIN)] = Field(15, description="length of a step")
    zone: Annotated[str, f.Zone()] = Field("Europe/Paris", description="time zone of the site")


class SeriesFiles(Section):
    files: Annotated[tuple[str, ...], f.Texts()] = Field((), description="CSV or Parquet files")
    time: Annotated[str, f.Text()] = Field("time", description="column with the start of each interval")


class ScheduleRule(Section):
    days: Annotated[frozenset[int], f.Days()] = Field(ALL_WEEK, description="mon-fri, sat,sun")
    start: Annotated[int, f.Clock()] = Field(0, alias="from", description="time of day")
    to: Annotated[int, f.Clock()] = Field(DAY_MIN, description="time of day, past midnight when not after from")
    value: Annotated[float, f.Number()] = Field(description="value inside the window")


class Schedule(Section):
    default: Annotated[float, f.Number()] = Field(description="value outside all rules")
    rules: list[ScheduleRule] = Field([], description="windows with another value; a later one overrides")


class Span(Section):
    """When something holds: once, from one moment to another, or every week on ``days`` between two times of day."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["from", "to"]}, {"required": ["days"]}]})

    days: Annotated[frozenset[int] | None, f.Days()] = Field(None, description="every week: mon-fri, sat,sun, all")
    start: Annotated[Moment | None, f.Instant()] = Field(None, alias="from", description="when it begins")
    to: Annotated[Moment | None, f.Instant()] = Field(None, description="when it ends")


class Limit(Span):
    import_max_kw: Annotated[float | None, f.Number(0, INF, True)] = Field(None, description="limit from the parent")
    export_max_kw: Annotated[float | None, f.Number(0, INF, True)] = Field(None, description="limit to the parent")


class Node(Section):
    carrier: Annotated[str | None, f.Choice(CARRIERS)] = Field(None, description="the parent's, or electricity")
    parent: Annotated[str | None, f.Text()] = Field(None, description="node it hangs on")
    import_max_kw: Annotated[float | str | None, f.Series(0, INF, True)] = Field(None, description="limit from parent")
    export_max_kw: Annotated[float | str | None, f.Series(0, INF, True)] = Field(None, description="limit to parent")
    reserve_kw: Annotated[float | str, f.Series(0)] = Field(0.0, description="kept free under both limits")
    limits: list[Limit] = Field([], description="other limits for a while; a later one overrides")
    breach_eur_per_kwh: Annotated[float | None, CHARGE] = Field(None, description="price of going past a limit")


class Table(Section):
    table: Annotated[str | None, f.Text()] = Field(None, description="CSV or Parquet file, one row each")
    defaults: dict[str, Any] = Field({}, description="values for all that do not say otherwise")


class SessionTable(Table):
    generate: dict[str, dict[str, Any]] = Field({}, description="sessions from gridopt.scenario.generate, by name")


# --- commitments -----------------------------------------------------------------------------------------------------


class AtNode(Section):
    node: Annotated[str, f.Text()] = Field(description="node whose exchange with its parent is meant")


class Energy(AtNode):
    """A price of each kWh drawn from and given to the parent."""

    buy_eur_per_kwh: Annotated[float | str, PRICE] = Field(description="price of energy drawn")
    sell_eur_per_kwh: Annotated[float | str, PRICE] = Field(0.0, description="payment for energy given")


class Carbon(AtNode):
    """A price of the emissions of what is drawn."""

    price_eur_per_t: Annotated[float | str, TAX] = Field(description="price of a tonne of CO2")
    intensity_g_per_kwh: Annotated[float | str, f.Series(0)] = Field(description="emissions of energy drawn")


class PeakWindow(Section):
    days: Annotated[frozenset[int], f.Days()] = Field(ALL_WEEK, description="mon-fri, sat,sun")
    start: Annotated[int, f.Clock()] = Field(0, alias="from", description="time of day")
    to: Annotated[int, f.Clock()] = Field(DAY_MIN, description="time of day, past midnight when not after from")
    price_eur_per_kw: Annotated[float | None, CHARGE] = Field(None, description="price of the month's peak")
    so_far_kw: Annotated[float | None, f.Number(0)] = Field(None, description="peak of the first month until now")


class Peak(AtNode):
    """A price of the month's highest mean power drawn, above the peak so far."""

    price_eur_per_kw: Annotated[float | None, CHARGE] = Field(None, description="price of the month's peak")
    so_far_kw: Annotated[float, f.Number(0)] = Field(0.0, description="peak of the first month until now")
    windows: list[PeakWindow] = Field([], description="hours that count, each with its own peak")


class Breach(AtNode):
    """A price of exceeding a limit that holds by contract: by energy, by the month's highest excess, or by the hour."""

    limit_kw: Annotated[float | str, f.Series(0)] = Field(description="power that is free of charge")
    side: Annotated[str, f.Choice(("import", "export"))] = Field("import", description="direction that counts")
    price_eur_per_kwh: Annotated[float | None, CHARGE] = Field(None, description="price of energy above")
    price_eur_per_kw: Annotated[float | None, CHARGE] = Field(None, description="price of the month's most above")
    price_eur_per_h: Annotated[float | None, CHARGE] = Field(None, description="price of each hour above")


class Event(Span):
    """Demand response: paid for going below (down) or above (up) a baseline, charged for the other side."""

    node: Annotated[str | None, f.Text()] = Field(None, description="node whose net power counts")
    assets: Annotated[tuple[str, ...] | None, f.Texts()] = Field(None, description="or assets whose power counts")
    baseline_kw: Annotated[float | str, f.Series()] = Field(description="power that would be drawn without the event")
    direction: Annotated[str, f.Choice(("down", "up"))] = Field("down", description="less or more power than baseline")
    reward_eur_per_kwh: Annotated[float, CHARGE] = Field(description="payment for the energy delivered")
    penalty_eur_per_kwh: Annotated[float, CHARGE] = Field(0.0, description="charge for the energy missing")
    per: Annotated[str, f.Choice(("window", "step"))] = Field("window", description="settled as a whole or each step")


class PlanChange(Section):
    """A price of departing from what an earlier run announced, on the steps that it covers."""

    run: Annotated[str, f.Text()] = Field(description="folder of the announced run")
    price_eur_per_kwh: Annotated[float, CHARGE] = Field(description="price of a change, up or down")
    assets: Annotated[tuple[str, ...] | None, f.Texts()] = Field(None, description="by default all that are controlled")


COMMITMENTS: dict[str, type[Section]] = {
    "energy": Energy,
    "carbon": Carbon,
    "peak": Peak,
    "breach": Breach,
    "event": Event,
    "plan-change": PlanChange,
}


# --- objective -------------------------------------------------------------------------------------------------------

FACTOR = f.Number(0.001, 1000)
"""Not 0: what does not count at all is spent without reason."""


class Objective(Section):
    """What a plan is chosen by beside money. It is never money itself, and no saving contains it."""

    cost: Annotated[float, FACTOR] = Field(1.0, description="how much a EUR of money counts")
    co2_eur_per_t: Annotated[float, CHARGE] = Field(0.0, description="a tonne of CO2 of what is drawn")
    self_consumption_eur_per_kwh: Annotated[float, CHARGE] = Field(
        0.0, description="a kWh of own production that is given away or not produced, beyond its price"
    )
    peak_eur_per_kw: Annotated[float, CHARGE] = Field(0.0, description="a kW of each day's highest draw from outside")
    comfort: Annotated[float, FACTOR] = Field(1.0, description="factor on every price of comfort missed")
    plan_change_eur_per_kwh: Annotated[float, CHARGE] = Field(
        0.0, description="a kWh more or less than announced by the run"
    )
    intensity_g_per_kwh: dict[str, Annotated[float | str, f.Series(0)]] = Field(
        {}, description="CO2 of what each node draws; otherwise that of its carbon commitment"
    )
    run: Annotated[str | None, f.Text()] = Field(None, description="folder of the announced run")


# --- overrides, rules, solver ----------------------------------------------------------------------------------------


class Outage(Span):
    asset: Annotated[str, f.Text()] = Field(description="asset that is out of service")


class Pin(Span):
    asset: Annotated[str, f.Text()] = Field(description="asset that is held")
    quantity: Annotated[str, f.Text()] = Field(description="variable of its family, such as charge_kw")
    value: Annotated[float, f.Number()] = Field(description="value it is held at")


class RuleFile(Section):
    file: Annotated[str, f.Text()] = Field(description="Python file with functions rule_…")


def _solve_model() -> type[Section]:
    """One key for each field of Target, with its default."""
    keys: dict[str, Any] = {}
    for t in dataclasses.fields(Target):
        kind = f.Whole() if isinstance(t.default, int) else f.Number(0)
        keys[t.name] = (Annotated[Any, kind], Field(t.default))
    return create_model("Solve", __base__=Section, **keys)


Solve = _solve_model()


# --- families --------------------------------------------------------------------------------------------------------


def table_model(name: str) -> type[Table]:
    """Keys of a family's own section."""
    return SessionTable if name == "ev-session" else Table


def parameter_field(p: Parameter) -> f.FieldType:
    """The check that a family's parameter stands for."""
    match p.kind:
        case "scalar":
            return f.Number(p.minimum, p.maximum, largest=f.largest(p.name))
        case "series":
            return f.Series(p.minimum, p.maximum, largest=f.largest(p.name))
        case "time":
            return f.Instant()
        case "choice":
            return f.Choice(p.choices)
        case "flag":
            return f.Flag()
        case "list":
            return f.Row(p.minimum, p.maximum, f.largest(p.name), empty=p.default == ())


@functools.cache
def family_model(name: str) -> type[Section]:
    """Keys of one asset of a family, without ``family``: the nodes of its ports, its parameters, control, device."""
    found: type[Family] = family(name)
    keys: dict[str, Any] = {}
    for port in found.ports:
        doc = f"node of port {port.name} ({' or '.join(port.carriers) or 'any carrier'})"
        keys.setdefault(port.parameter, (Annotated[Any, f.Text()], Field(description=doc)))
    for p in found.parameters:
        default = ... if p.required else p.default
        keys[p.name] = (Annotated[Any, parameter_field(p)], Field(default, description=p.doc))
    if window_of(found):
        keys["days"] = (Annotated[Any, f.Days()], Field(None, description=DAYS))
    keys["control"] = (Annotated[Any, f.Choice(("none",))], Field(None, description="none: it takes no setpoint"))
    keys["device"] = (Annotated[Any, f.Text()], Field(None, description="name in devices.toml"))
    return create_model(name, __base__=Section, **keys)


def window_of(found: type[Family]) -> tuple[str, str] | None:
    """The two times between which a family's asset is there, or has its task; None where it always is."""
    times = {p.name for p in found.parameters if p.kind == "time"}
    return next(((first, last) for first, last in found.ordered if {first, last} <= times), None)


def text_keys(name: str) -> frozenset[str]:
    """Keys whose cells in a table file are text, even where they look like numbers."""
    found = family(name)
    texts = {p.name for p in found.parameters if p.kind in ("time", "choice", "list")}
    return frozenset(texts | {port.parameter for port in found.ports} | {"id", "days", "device", "control"})
