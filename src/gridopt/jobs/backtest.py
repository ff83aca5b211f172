"""What planning would have saved over past days, with nothing known that was not known then.

Five ways to live through the same days, each carrying its own stores from day to day:

    resting  batteries do nothing
    rule     every device by its own rule
    plan     a plan a day, made the day before of forecasts
    rolling  plans made again through the day, of what was measured until then
    perfect  plans that know what came, six more days ahead

First the inputs are frozen in the record: what came, and each day's forecasts. Then every way goes through its days.
A day that stands in the record is not done again; one is written whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from gridopt.assets.base import MONEY, Floats
from gridopt.clock import Axis
from gridopt.errors import InfeasibleError, NoPlanError, ScenarioError, UsageError, VerificationError
from gridopt.jobs.frames import STORE, Frame, Source, contents, join, source
from gridopt.model.inputs import Inputs
from gridopt.report.backtest import Share, compare, totals
from gridopt.simulate.follow import Happened, follow, told
from gridopt.simulate.twin import twin
from gridopt.solve.ladder import Solution, solve
from gridopt.verify import Trace, bill, verify

FORMAT = 1
RECORD = "backtest.json"
WAYS = ("resting", "rule", "plan", "rolling", "perfect")
PAST = timedelta(days=100)
"""How far back a forecast looks."""
PUBLISHED_HOUR = 13.0
"""Local hour of the day before at which the prices of a day are known."""
LEARNT_DAYS = 28
LEAST_DAYS = 3
AHEAD_DAYS = 6
CHUNK_DAYS = 31
FORECAST = "forecast of "

Tell = Callable[[str], None]
Values = dict[str, Floats]


@dataclass(frozen=True)
class Settings:
    """``hour``: local hour of the day before at which a day's plan is made; ``every_h``: between rolling plans;
    ``meter``: whether batteries correct by their meter between plans, or keep to the planned power."""

    first: date
    last: date
    hour: float = 13.5
    every_h: float = 1.0
    meter: bool = False

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=k) for k in range((self.last - self.first).days + 1)]


def run(
    path: Path | str, out: Path, settings: Settings, *, overlays: Sequence[Path] = (), sets: Sequence[str] = (),
    workers: int = 1, tell: Tell = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """The backtest's record, made or completed in ``out``. Raises what loading and solving raise, and UsageError."""
    if settings.last < settings.first:
        raise UsageError("--to {last} is before --from {first}", last=settings.last, first=settings.first)
    where, begin, name = _source(path, overlays, sets, settings)
    _claim(out, where, settings, name)
    chunks = [settings.days[k : k + CHUNK_DAYS] for k in range(0, len(settings.days), CHUNK_DAYS)]
    missing = [c for c in chunks if not all(_frozen(out, d).exists() for d in c)]
    _all(workers, [(_freeze, (where, settings, out, c)) for c in missing], tell, "forecasts")
    days, left_out = _usable(where, settings, out)
    if not days:
        raise UsageError("no day of the span has all its data: {why}", why=next(iter(left_out.values()), "none"))
    _all(workers, [(_live, (way, where, settings, out, days, begin)) for way in WAYS], tell, "days")
    return _told(where, settings, out, days, left_out, name)


def _source(
    path: Path | str, overlays: Sequence[Path], sets: Sequence[str], settings: Settings
) -> tuple[Source, dict[str, float], dict[str, Any]]:
    """From the first day whose data are whole: which days are used is found out later."""
    failure: ScenarioError | None = None
    for day in settings.days:
        try:
            found, scenario = source(path, overlays, sets, day)
        except ScenarioError as error:
            if any(m.code != "series-gap" for m in error.mistakes):
                raise
            failure = failure or error
            continue
        name = {"name": scenario.name, "title": scenario.title, "sources": dict(scenario.sources)}
        return found, contents(scenario.tables), name
    assert failure is not None
    raise failure


def _all(workers: int, calls: Sequence[tuple[Callable[..., None], tuple[Any, ...]]], tell: Tell, what: str) -> None:
    """Do independent calls, in processes of their own where several may run."""
    if workers <= 1 or len(calls) <= 1:
        for k, (call, arguments) in enumerate(calls):
            tell(f"{what}: {k} of {len(calls)} parts done")
            call(*arguments)
        return
    with ProcessPoolExecutor(min(workers, len(calls))) as pool:
        waiting: list[Future[None]] = [pool.submit(call, *arguments) for call, arguments in calls]
        for k, done in enumerate(as_completed(waiting)):
            done.result()
            tell(f"{what}: {k + 1} of {len(calls)} parts done")


# --- the record ------------------------------------------------------------------------------------------------------


def _claim(out: Path, where: Source, settings: Settings, name: Mapping[str, Any]) -> None:
    """The folder is this backtest's, from its start on. Raises UsageError where it holds another one."""
    said = {"scenario": name, "document": where.document, "settings": _plain(settings)}
    mark = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()
    file = out / RECORD
    if file.exists():
        if json.loads(file.read_text()).get("inputs") != mark:
            raise UsageError("{folder} holds another backtest: choose another --out", folder=out)
        return
    if out.exists() and any(out.iterdir()):
        raise UsageError("{folder} is not empty, and holds no backtest: choose another --out", folder=out)
    out.mkdir(parents=True, exist_ok=True)
    _write(file, {"format": FORMAT, "inputs": mark, **_plain(settings), "scenario": name})


def _plain(settings: Settings) -> dict[str, Any]:
    return {"settings": {k: v.isoformat() if isinstance(v, date) else v for k, v in asdict(settings).items()}}


def _write(file: Path, doc: Mapping[str, Any]) -> None:
    _put(file, json.dumps(doc, ensure_ascii=False, indent=1).encode())


def _put(file: Path, content: bytes) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    with aside.open("wb") as to:
        to.write(content)
        to.flush()
        os.fsync(to.fileno())
    aside.replace(file)


def _write_table(file: Path, axis: Axis, columns: Mapping[str, Floats], said: Mapping[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    times = pa.array(axis.times.astype("datetime64[us]"), pa.timestamp("us", "UTC"))
    table = pa.table({"time": times, **{n: pa.array(v) for n, v in columns.items()}})
    table = table.replace_schema_metadata({"format": str(FORMAT), "gridopt": json.dumps(said)})
    to = io.BytesIO()
    pq.write_table(table, to)
    _put(file, to.getvalue())


def _read_table(file: Path) -> tuple[Values, dict[str, Any]]:
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    columns = {n: np.asarray(table.column(n).to_numpy(), np.float64) for n in table.column_names if n != "time"}
    return columns, json.loads(table.schema.metadata[b"gridopt"])


def _frozen(out: Path, day: date) -> Path:
    return out / "inputs" / f"{day}.parquet"


def _day_file(out: Path, way: str, day: date) -> Path:
    return out / way / f"{day}.json"


# --- what came, and what was known of it -----------------------------------------------------------------------------


def _freeze(where: Source, settings: Settings, out: Path, days: Sequence[date]) -> None:
    """Freeze days: what came, on that day; what was forecast the day before, on that day and the next."""
    from gridopt.forecast.choose import Chooser
    from gridopt.forecast.past import Grid

    one = where.axis(days[0])
    first = one.start - PAST
    steps = round((where.axis(days[-1], 2).end - first).total_seconds() / 60 / one.step_min)
    long = Axis(first, one.step_min, steps, one.zone)
    raw = where.raw(long)
    grid = Grid(round(first.timestamp()), one.step_min * 60, steps, one.zone)
    choosers = {c: Chooser(settings.hour, boosted=False) for c in where.known.columns}
    for day in days:
        made, methods, issued = _forecast(where, settings, day, raw, grid, choosers)
        axis = where.axis(day, 2)
        at = round((axis.start - first).total_seconds() / 60 / one.step_min)
        count = where.axis(day).steps
        came = {c: np.where(np.arange(axis.steps) < count, v[at : at + axis.steps], np.nan) for c, v in raw.items()}
        columns = came | {FORECAST + c: v for c, v in made.items()}
        _write_table(_frozen(out, day), axis, columns, {"issued": issued, "methods": methods, "steps": count})


def _forecast(
    where: Source, settings: Settings, day: date, raw: Values, grid: Any, choosers: Mapping[str, Any]
) -> tuple[Values, dict[str, str], int]:
    """(column → (T,) of two days, column → method, when)."""
    from gridopt.forecast.choose import forecast
    from gridopt.forecast.past import cut
    from gridopt.forecast.score import MEDIAN, day_grid, issue_time

    issued = issue_time(day - timedelta(days=1), settings.hour, grid.zone)
    target = day_grid(day, grid.step_s, grid.zone, 2)
    at = (target.first - grid.first) // grid.step_s
    made, methods = {}, {}
    for column, value in raw.items():
        known_until = issued
        if column in where.known.published:
            ahead = 1 if settings.hour >= PUBLISHED_HOUR else 0
            known_until = issue_time(day + timedelta(days=ahead), 0.0, grid.zone)
        if column in where.known.announced:
            known_until = target.first + target.count * target.step_s
        past = cut(grid, value, known_until)
        choice = choosers[column].choose(past)
        guess = np.round(forecast(past, target, choice)[MEDIAN], 6)
        said = np.where(target.times + target.step_s <= known_until, value[at : at + target.count], np.nan)
        made[column] = np.where(np.isnan(said), guess, said)
        methods[column] = choice.name
    return made, methods, issued


@dataclass(frozen=True)
class Frozen:
    """One day's inputs: ``came`` (T,) of the day, ``forecast`` (T,) of it and the next one, by column."""

    steps: int
    came: Values
    forecast: Values

    @classmethod
    def read(cls, out: Path, day: date) -> Frozen:
        columns, said = _read_table(_frozen(out, day))
        steps = int(said["steps"])
        came = {n: v[:steps] for n, v in columns.items() if not n.startswith(FORECAST)}
        return cls(steps, came, {n.removeprefix(FORECAST): v for n, v in columns.items() if n.startswith(FORECAST)})


def _usable(where: Source, settings: Settings, out: Path) -> tuple[list[date], dict[str, str]]:
    """Days with all they need, and why others are left out."""
    days, left_out = [], {}
    for day in settings.days:
        here = Frozen.read(out, day)
        lacking = [f"{int(np.isnan(v).sum())} steps of {c}" for c, v in here.came.items() if np.isnan(v).any()]
        blind = [f"no forecast of {c}" for c, v in here.forecast.items() if np.isnan(v).any()]
        absent = [f"no {c}" for c in where.known.columns if c not in here.came]
        if lacking or blind or absent:
            left_out[day.isoformat()] = ", ".join([*absent, *lacking, *blind])
        else:
            days.append(day)
    return days, left_out


# --- living through the days -----------------------------------------------------------------------------------------


def _live(
    way: str, where: Source, settings: Settings, out: Path, days: Sequence[date], begin: Mapping[str, float]
) -> None:
    """One way through all days; those that stand in the record are passed over."""
    chain = _Chain(way, where, settings, out, list(days))
    holds = dict(begin)
    for k, day in enumerate(days):
        file = _day_file(out, way, day)
        if file.exists():
            holds = dict(json.loads(file.read_text())["end_kwh"])
            continue
        holds = chain.live(k, holds)


@dataclass
class Part:
    """Some steps of a day as they happened: ``commands`` asset → command → values."""

    happened: Happened
    commands: Mapping[str, Mapping[str, Floats]]


class _Chain:
    """The days of one way. Frames are read once, and kept while they are needed."""

    def __init__(self, way: str, where: Source, settings: Settings, out: Path, days: list[date]) -> None:
        self.way, self.where, self.settings, self.out, self.days = way, where, settings, out, days
        self._frozen: dict[date, Frozen] = {}
        self._came: dict[date, Frame] = {}
        self.worth: dict[str, float] = {}
        self.lower_rung = 0

    def frozen(self, day: date) -> Frozen:
        if day not in self._frozen:
            self._frozen[day] = Frozen.read(self.out, day)
        return self._frozen[day]

    def came(self, k: int) -> Frame:
        day = self.days[k]
        if day not in self._came:
            self._came = {d: f for d, f in self._came.items() if d >= self.days[max(k - 2 * AHEAD_DAYS, 0)]}
            self._came[day] = self.where.frame(day, 1, self.frozen(day).came)
        return self._came[day]

    def live(self, k: int, holds: dict[str, float]) -> dict[str, float]:
        """Live through the k-th day from what the stores hold; returns what they hold after it."""
        day, came = self.days[k], self.came(k)
        self.lower_rung, self.worth = 0, {}
        parts = list(getattr(self, f"_{self.way}")(k, holds))
        inputs = came.inputs(holds, goal=False)
        trace = _whole(inputs, [p.happened.trace for p in parts])
        net = np.hstack([p.happened.net_kw for p in parts])
        after = _held(inputs, trace)
        ledger = bill(inputs, net, trace)
        roots = [j for j, n in enumerate(inputs.nodes) if n.parent is None and n.carrier == "electricity"]
        root, step_h = net[roots], inputs.axis.step_h
        told_to = {
            f"{a}.{c} told": np.concatenate([p.commands[a][c] for p in parts])
            for a, c in dict.fromkeys((a, c) for a, said in parts[0].commands.items() for c in said)
        }
        columns = {f"{n.id}.net_kw": net[j] for j, n in enumerate(inputs.nodes)} | told_to
        for g, steps in zip(inputs.groups, trace.steps, strict=True):
            kept = [*(f"{p.name}_kw" for p in g.family.ports), *g.family.states]
            columns |= {f"{a}.{name}": steps[name][j] for name in kept for j, a in enumerate(g.ids)}
        _write_table(self.out / self.way / f"{day}.parquet", inputs.axis, columns, {"way": self.way})
        said = {
            "format": FORMAT, "way": self.way, "day": day.isoformat(), "start_kwh": holds, "end_kwh": after,
            "eur": ledger.of(*MONEY), "penalty_eur": ledger.of("penalty"),
            "import_kwh": float(np.maximum(root, 0.0).sum()) * step_h,
            "export_kwh": float(np.maximum(-root, 0.0).sum()) * step_h,
            "peak_kw": float(root.sum(0).max()), "co2_kg": self._co2_kg(k, inputs, net),
            "unserved_kwh": sum(p.happened.unserved_kwh for p in parts),
            "lines": {name: line.eur for name, line in ledger.lines.items()},
            "plans": 0 if self.way in ("resting", "rule") else len(parts), "lower_rung": self.lower_rung,
            "worth_eur_per_kwh": self.worth,
        }  # fmt: skip
        _write(_day_file(self.out, self.way, day), said)
        return after

    def _co2_kg(self, k: int, inputs: Inputs, net: Floats) -> float | None:
        """Of what is drawn where a carbon contract says how clean it is; None where none does."""
        total, came = None, self.frozen(self.days[k]).came
        for said in self.where.document.get("commitment", {}).values():
            grams = said.get("intensity_g_per_kwh")
            if said.get("kind") == "carbon" and (not isinstance(grams, str) or grams in came):
                drawn = np.maximum(net[inputs.node_index[said["node"]]], 0.0) * inputs.axis.step_h
                total = (total or 0.0) + float((drawn * (came[grams] if isinstance(grams, str) else grams)).sum()) / 1e3
        return total

    # --- the ways ---

    def _resting(self, k: int, holds: dict[str, float]) -> Iterator[Part]:
        inputs = self.came(k).inputs(holds, goal=False)
        commands: dict[str, dict[str, Floats]] = {}
        for g in inputs.groups:
            for j, asset in enumerate(g.ids):
                commands[asset] = {
                    c: g.columns["available_kw"][j] if c == "generation_kw" else np.zeros(inputs.axis.steps)
                    for c in g.family.commands
                }
        yield Part(follow(inputs, commands), {})

    def _rule(self, k: int, holds: dict[str, float]) -> Iterator[Part]:
        yield _by_rule(self.came(k).inputs(holds, goal=False))

    def _perfect(self, k: int, holds: dict[str, float]) -> Iterator[Part]:
        last = min(k + AHEAD_DAYS + 1, len(self.days))
        ahead = join([self.came(j) for j in range(k, last)])
        inputs = ahead.inputs(holds, goal=True)
        solution = self._solve(inputs)
        here = self.came(k)
        if solution is None:
            yield _by_rule(here.inputs(holds, goal=False))
            return
        self.worth = _end_worth(solution)
        really = here.inputs(holds, goal=False)
        commands = _commands(solution, really.axis.steps)
        yield Part(follow(really, commands), commands)

    def _plan(self, k: int, holds: dict[str, float]) -> Iterator[Part]:
        """One plan, from what the stores were expected to hold when it was made."""
        day, steps = self.days[k], self.came(k).axis.steps
        frame = self.where.frame(day, 2, self.frozen(day).forecast)
        planned = (frame.cut(0, steps) if k + 1 == len(self.days) else frame).inputs(
            self._expected(k, holds), goal=True
        )
        yield self._carry_out(planned, self.came(k), holds)

    def _rolling(self, k: int, holds: dict[str, float]) -> Iterator[Part]:
        here = self.came(k)
        every = max(round(self.settings.every_h / here.axis.step_h), 1)
        learnt = self._learnt(k)
        kept: dict[tuple[bool, bool], Frame] = {}
        for first in range(0, here.axis.steps, every):
            last = min(first + every, here.axis.steps)
            values, key = self._known_at(k, first)
            if key not in kept:
                kept[key] = self.where.frame(self.days[k], 2, values)
            seen = self._corrected(k, first, values, learnt)
            end = here.axis.steps if k + 1 == len(self.days) else kept[key].axis.steps
            planned = kept[key].given(self.where.known.refs, seen).cut(first, end).inputs(holds, goal=True)
            part = self._carry_out(planned, here.cut(first, last), holds)
            holds = _held(here.cut(first, last).inputs(holds, goal=False), part.happened.trace)
            yield part

    # --- what a plan may know ---

    def _expected(self, k: int, holds: dict[str, float]) -> dict[str, float]:
        """What the stores will hold at midnight by what they hold at the hour of planning and are still told to do."""
        before = self.days[k] - timedelta(days=1)
        if k == 0 or self.days[k - 1] != before:
            return holds
        columns, _ = _read_table(self.out / self.way / f"{before}.parquet")
        yesterday, forecast = self.came(k - 1), self.frozen(before).forecast
        steps = yesterday.axis.steps
        at = next(t for t in range(steps + 1) if self._hour(yesterday.axis, t) >= self.settings.hour)
        then = json.loads(_day_file(self.out, self.way, before).read_text())["start_kwh"]
        if at:
            then = {a: float(columns[f"{a}.soc_kwh"][at - 1]) for a in holds}
        commands = {
            a: {c: columns[f"{a}.{c} told"][at:] for c in ("charge_kw", "discharge_kw")}
            for a in holds if f"{a}.charge_kw told" in columns
        }  # fmt: skip
        if at == steps or not commands:
            return dict(then)
        # Under the loads that were expected: what came of them after that hour was not known.
        expected = {c: forecast[c][:steps] for c in self.where.known.measured}
        rest = yesterday.given(self.where.known.refs, expected).cut(at, steps).inputs(then, goal=False)
        return _held(rest, follow(rest, commands).trace)

    def _hour(self, axis: Axis, t: int) -> float:
        return float(axis.local_hour[t]) if t < axis.steps else 24.0

    def _known_at(self, k: int, first: int) -> tuple[Values, tuple[bool, bool]]:
        """Every column over the day and the next one as known at a step of it, before what the day itself tells."""
        day, here = self.days[k], self.frozen(self.days[k])
        hour = self._hour(self.came(k).axis, first)
        after = day + timedelta(days=1)
        newer = hour >= self.settings.hour and after <= self.settings.last
        published = hour >= PUBLISHED_HOUR and after <= self.settings.last
        tomorrow = self.frozen(after) if newer or published else None
        values = {c: v.copy() for c, v in here.forecast.items()}
        for c, v in values.items():
            if c in self.where.known.published:
                v[: here.steps] = here.came[c]
            if tomorrow is not None and newer:
                n = min(tomorrow.steps, len(v) - here.steps)
                fresh = tomorrow.forecast[c][:n]
                v[here.steps : here.steps + n] = np.where(np.isnan(fresh), v[here.steps : here.steps + n], fresh)
            if tomorrow is not None and published and c in self.where.known.published and c in tomorrow.came:
                n = min(tomorrow.steps, len(v) - here.steps)
                said = tomorrow.came[c][:n]
                v[here.steps : here.steps + n] = np.where(np.isnan(said), v[here.steps : here.steps + n], said)
        return values, (newer, published)

    def _learnt(self, k: int) -> dict[str, tuple[float, Floats, Floats]]:
        """Column → (how much of an error is left a step later, least and most seen at each step of the day)."""
        days = self.days[max(k - LEARNT_DAYS, 0) : k]
        found = {}
        for c in self.where.known.measured if len(days) >= LEAST_DAYS else ():
            pasts = [(self.frozen(d).came[c], self.frozen(d).forecast[c]) for d in days]
            errors = [came - said[: len(came)] for came, said in pasts]
            square = sum(float(e @ e) for e in errors)
            share = sum(float(e[1:] @ e[:-1]) for e in errors) / square if square > 0 else 0.0
            steps = max(len(came) for came, _ in pasts)
            seen = np.array([np.pad(came, (0, steps - len(came)), constant_values=np.nan) for came, _ in pasts])
            found[c] = float(np.clip(share, 0.0, 0.98)), np.nanmin(seen, 0), np.nanmax(seen, 0)
        return found

    def _corrected(
        self, k: int, first: int, values: Values, learnt: Mapping[str, tuple[float, Floats, Floats]]
    ) -> Values:
        """Forecasts of measured columns with the last error seen, fading, within what the last weeks have seen."""
        if not first:
            return {c: values[c] for c in self.where.known.measured}
        came, found = self.frozen(self.days[k]).came, {}
        for c in self.where.known.measured:
            v = values[c].copy()
            if c in learnt:
                share, low, high = learnt[c]
                error = came[c][first - 1] - self.frozen(self.days[k]).forecast[c][first - 1]
                ahead = np.arange(first, len(v))
                slot = np.minimum(np.where(ahead < len(came[c]), ahead, ahead - len(came[c])), len(low) - 1)
                fading = v[first:] + error * share ** np.arange(1, len(v) - first + 1)
                v[first:] = np.clip(fading, np.minimum(low[slot], v[first:]), np.maximum(high[slot], v[first:]))
            found[c] = np.round(v, 6)
        return found

    # --- planning and doing ---

    def _carry_out(self, planned: Inputs, here: Frame, holds: dict[str, float]) -> Part:
        """Plan, and live through the steps of ``here`` by the plan; by rule where there is none."""
        really = here.inputs(holds, goal=False)
        solution = self._solve(planned)
        if solution is None:
            return _by_rule(really)
        commands = told(planned, _commands(solution, really.axis.steps), really)
        worth = _worth(solution, really.axis.steps) if self.settings.meter else None
        return Part(follow(really, commands, worth), commands)

    def _solve(self, inputs: Inputs) -> Solution | None:
        """A plan that the check passed; None where there is none."""
        try:
            solution = solve(inputs, explained=False)
        except (InfeasibleError, NoPlanError):
            self.lower_rung += 1
            return None
        schedule = solution.assembly.schedule(solution.x)
        findings = verify(inputs, schedule, solution.objective)
        if findings:
            raise VerificationError(
                "a plan does not hold: {words}", findings=tuple(findings), words=findings[0].words(inputs)
            )
        return solution


def _by_rule(inputs: Inputs) -> Part:
    day = twin(inputs)
    commands = {
        a: {c: steps[c][j] for c in g.family.commands if c in steps}
        for g, steps in zip(inputs.groups, day.trace.steps, strict=True) for j, a in enumerate(g.ids)
    }  # fmt: skip
    unserved = sum(b.energy_kwh for b in day.breaches)
    return Part(Happened(day.trace, day.net_kw, unserved), {a: c for a, c in commands.items() if c})


def _commands(solution: Solution, steps: int) -> dict[str, dict[str, Floats]]:
    inputs = solution.assembly.inputs
    schedule = solution.assembly.schedule(solution.x)
    return {
        a: {c: values[c][j, :steps] for c in g.family.commands if c in values}
        for g, values in zip(inputs.groups, schedule.groups, strict=True)
        for j, a in enumerate(g.ids)
    }


def _worth(solution: Solution, steps: int) -> dict[str, Floats]:
    """Store → (T,) what one more kWh in it at the end of each step would save [EUR/kWh]: duals of its balance."""
    found = {}
    for block in solution.assembly.blocks:
        row = next((r for r in block.template.rows if r.name == "balance_battery_soc"), None)
        for j, asset in enumerate(block.group.ids if row is not None else ()):
            assert row is not None
            at = block.row + j * block.template.height + row.start
            found[asset] = -solution.price[at : at + steps]
    return found


def _end_worth(solution: Solution) -> dict[str, float]:
    """Store → what one more kWh wanted at the end would cost [EUR/kWh]."""
    found = {}
    for block in solution.assembly.blocks:
        columns = block.columns("end_short_kwh") if block.group.family.name == STORE else None
        for j, asset in enumerate(block.group.ids if columns is not None else ()):
            assert columns is not None
            found[asset] = float(-solution.reduced[columns[j, 0]])
    return found


def _held(inputs: Inputs, trace: Trace) -> dict[str, float]:
    """What every store holds at the end."""
    return {
        a: float(steps["soc_kwh"][j, -1])
        for g, steps in zip(inputs.groups, trace.steps, strict=True) if g.family.name == STORE
        for j, a in enumerate(g.ids)
    }  # fmt: skip


def _whole(inputs: Inputs, parts: Sequence[Trace]) -> Trace:
    """The parts of a day as one trace."""
    steps = [
        {name: np.hstack([p.steps[g][name] for p in parts]) for name in parts[0].steps[g]}
        for g in range(len(inputs.groups))
    ]
    return Trace(tuple(steps), parts[-1].ends)


# --- what it comes to ------------------------------------------------------------------------------------------------


def _told(
    where: Source, settings: Settings, out: Path, days: Sequence[date], left_out: Mapping[str, str], name: Any
) -> dict[str, Any]:
    """The record, completed with the results."""
    read = {way: [json.loads(_day_file(out, way, d).read_text()) for d in days] for way in WAYS}
    worth = read["perfect"][-1]["worth_eur_per_kwh"]
    costs = {}
    for way, each in read.items():
        eur = np.array([d["eur"] for d in each])
        eur[-1] += sum(worth.get(a, 0.0) * (each[0]["start_kwh"][a] - kwh) for a, kwh in each[-1]["end_kwh"].items())
        costs[way] = eur
    steps = sum(where.axis(d).steps for d in settings.days)
    known = {
        c: sum(int((~np.isnan(Frozen.read(out, d).came[c])).sum()) for d in settings.days) / steps
        for c in where.known.columns if c in Frozen.read(out, settings.days[0]).came
    }  # fmt: skip
    ways = {
        way: {
            **totals(each), "cost_eur": float(costs[way].sum()), "end_kwh": each[-1]["end_kwh"],
            "plans": sum(d["plans"] for d in each), "lower_rung": sum(d["lower_rung"] for d in each),
        }
        for way, each in read.items()
    }  # fmt: skip
    compared = {way: {n: _share(s) for n, s in shares.items()} for way, shares in compare(costs).items()}
    doc = json.loads((out / RECORD).read_text()) | {
        "days": len(days), "left_out": dict(left_out), "coverage": known,
        "start_kwh": read["rule"][0]["start_kwh"], "worth_eur_per_kwh": worth, "ways": ways, "compared": compared,
        "daily_eur": {d.isoformat(): {w: float(costs[w][k]) for w in WAYS} for k, d in enumerate(days)},
    }  # fmt: skip
    _write(out / RECORD, doc)
    return dict(doc)


def _share(s: Share) -> dict[str, float | None]:
    return {"value": s.value, "low": s.low, "high": s.high}
