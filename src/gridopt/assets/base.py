"""What a device family is: one Pyomo block for one device, one physical step, one rule, all in one file.

A family says, for ONE device,

* its user parameters (``parameters``) and the columns computed from them (``computed``, by ``prepare``);
* its Pyomo block (``block``): Vars on Reals with bare Params as bounds, rows built with + - × ÷ ** and ``abs`` on
  Params, one named Expression ``<port>_kw`` per port and one ``<cost>_eur`` per cost;
* which of its variables a person or a device commands, which are states, which decisions are whole;
* its physics forward in time (``step``, ``close``), which verify replays and the baseline twin drives by ``rule``.

Everything numeric is columnar: the first axis is the device, the second (for series) the step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from gridopt.clock import Axis

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
State = dict[str, Floats]
Values = dict[str, Floats]

Kind = Literal["scalar", "series", "time", "choice", "flag", "list"]
CostKind = Literal["cash", "wear", "value", "penalty", "wish"]
MONEY: tuple[CostKind, ...] = ("cash", "wear", "value")
"""What a saving is made of. Penalties only stand for goals missed, wishes for what else a plan is chosen by."""


@dataclass(frozen=True)
class Parameter:
    """One thing the user may say about a device.

    ``kind``: ``scalar`` a number; ``series`` a number, a column name or a daily schedule; ``time`` an instant (columns
    hold hours from the horizon's start); ``choice`` one of ``choices``; ``flag`` true or false; ``list`` numbers in
    a row (the column is an object array of float64 arrays).
    ``default`` None means required, unless ``optional`` (the column then holds NaN and ``prepare`` decides).
    """

    name: str
    doc: str
    default: Any = None
    kind: Kind = "scalar"
    minimum: float = -np.inf
    maximum: float = np.inf
    choices: tuple[str, ...] = ()
    optional: bool = False

    @property
    def required(self) -> bool:
        return self.default is None and not self.optional


@dataclass(frozen=True)
class Column:
    """A number the block sees but the user does not write: computed by ``prepare`` from the user's parameters."""

    name: str
    doc: str
    series: bool = False


@dataclass(frozen=True)
class Port:
    """A named connection to a node. ``carriers``: the carriers it may sit on; empty = any.

    ``parameter`` is the scenario key that names the node (``node`` when a family has one port).
    """

    name: str
    carriers: tuple[str, ...] = ("electricity",)
    parameter: str = "node"


@dataclass(frozen=True)
class Cost:
    """A money term of the family, the block's Expression of the same name [EUR]."""

    name: str
    kind: CostKind
    doc: str


# --- decisions -------------------------------------------------------------------------------------------------------
# The LP relaxes them; the solver's rungs make them whole again. `large` ones do not average out over a district.


@dataclass(frozen=True)
class SemiContinuous:
    """``variable`` is 0 or at least ``minimum`` (a column); 0..upper bound is the projection of the form with a binary.

    ``rounding``: ``budget`` keeps the variable's sum with the fewest, best-used steps (an EV's energy);
    ``diffusion`` carries the rounding error to the next step (a heat pump's mean power).
    """

    variable: str
    minimum: str
    rounding: Literal["budget", "diffusion"] = "diffusion"
    large: bool = False


@dataclass(frozen=True)
class Whole:
    """``variable`` (0..1 in the block) is 0 or 1. ``one_of``: at most one step of the device is 1 (argmax rounds).

    ``guides``: variables that count (starts so far) and may be taken whole with it; the search branches on them too,
    because a count decides half a day at once.
    """

    variable: str
    one_of: bool = False
    large: bool = False
    guides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exclusive:
    """``first`` and ``second`` are never both positive. Excluded by test after the LP, by decision where it fails."""

    first: str
    second: str


Decision = SemiContinuous | Whole | Exclusive


# --- what prepare returns --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prepared:
    """Block columns of many devices of one family, before they are grouped by structure.

    ``columns``: name → (n,) or (n, axis.steps) float64. ``offset``, ``steps``: each device's own window on the axis
    (default the whole). ``structure``: per device, the values of ``Family.options`` that shape its block.
    ``notes``: (device, what its owner should know).
    """

    columns: Mapping[str, Floats]
    offset: Ints | None = None
    steps: Ints | None = None
    structure: Sequence[tuple[Any, ...]] | None = None
    notes: Sequence[tuple[int, str]] = field(default_factory=tuple)


class Family:
    """Base of all families; subclasses are never instantiated, they are tables of plain functions."""

    name: ClassVar[str]
    ports: ClassVar[tuple[Port, ...]] = (Port("ac"),)
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    ordered: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of parameters of which the first may not lie above the second."""
    either: ClassVar[tuple[tuple[tuple[str, ...], ...], ...]] = ()
    """Choices of optional parameters: of every choice at least one set must be said as a whole."""
    computed: ClassVar[tuple[Column, ...]] = ()
    options: ClassVar[tuple[str, ...]] = ()
    costs: ClassVar[tuple[Cost, ...]] = ()
    commands: ClassVar[tuple[str, ...]] = ()
    """Variables a controller sets [kW, or 0..1]; ``step`` takes them. An outage holds them all at zero."""
    states: ClassVar[tuple[str, ...]] = ()
    """Variables the physics determines; ``step`` returns them, at the END of the interval."""
    stocks: ClassVar[Mapping[str, float | str]] = {}
    """States whose end is worth something to tomorrow → which way is no worse: 1.0 as much or more, -1.0 as little or
    less, or the column that says so of each device. Two days are compared with equal ends."""
    decisions: ClassVar[tuple[Decision, ...]] = ()
    emergencies: ClassVar[tuple[str, ...]] = ()
    """Variables that exist only so that a plan exists; minimised before money, [kW] per step or [kWh] once."""
    shortfalls: ClassVar[Mapping[str, str]] = {}
    """Variables that measure a soft goal missed → what the goal is, in words."""
    forecasts: ClassVar[Mapping[str, str]] = {}
    """Block columns that are forecasts of the world outside → what they are, in words; explained by re-solving."""
    control: ClassVar[str] = "none"
    """What its device accepts: power | limit | current | on_off | mode | temperature | none."""
    setpoint: ClassVar[str] = ""
    """The command variable that becomes the setpoint; '' where ``control`` is none."""
    order: ClassVar[int] = 0
    """Turn in the baseline twin: 0 what is uncontrolled, 1 what runs by need, 2 engines led by heat, 3 heat stores,
    4 boilers and converters, 5 batteries, which see what is left over. Shedding goes the other way round."""

    led_by: ClassVar[str] = ""
    """Port whose node leads the device, as heat leads an engine: several then take their turns in a cascade."""

    @classmethod
    def prepare(cls, user: Mapping[str, Any], axis: Axis) -> Prepared:
        """User columns (n,)/(n, T) → block columns. The default passes every scalar and series through."""
        return Prepared({p.name: user[p.name] for p in cls.parameters if p.kind in ("scalar", "series")})

    @staticmethod
    def block(b: Any, option: SimpleNamespace) -> None:
        """Declare Vars, Constraints, ``<port>_kw`` and ``<cost>_eur`` Expressions on a Pyomo block.

        ``b`` carries the Params, ``b.T`` (RangeSet of local steps), ``b.step_h`` and plain ints ``b.steps``,
        ``b.last``; ``option`` holds the values of ``options``.
        """
        raise NotImplementedError

    @classmethod
    def start(cls, p: Any) -> State:
        """State at the start of the window: name → (n,)."""
        return {}

    @classmethod
    def step(cls, p: Any, state: State, command: Values) -> tuple[State, Values]:
        """The plant's own physics over one interval, for n devices at once.

        ``p``: scalars and this step's series values as (n,) arrays, plus ``step_h``. ``command``: the wanted values of
        ``commands``; what the device cannot do it does not do. Returns the state at the interval's end and the flows:
        ``<port>_kw`` for every port, every command as realised, every ``<cost>_eur`` of this interval, shortfalls.
        """
        raise NotImplementedError

    @classmethod
    def close(cls, p: Any, state: State) -> Values:
        """Once, after the window: end costs ``<cost>_eur`` and end shortfalls; ``p`` holds the last step's values."""
        return {}

    @classmethod
    def rule(cls, p: Any, state: State, surplus: Mapping[str, Floats]) -> Values:
        """The baseline: what the device does today without a plan. Returns wanted ``commands``.

        ``surplus``: port → (n,) kW that the port's node has left over so far in this interval (negative = lacks),
        counting the whole branch below the node. ``<port>_stored_kwh`` and ``<port>_room_kwh`` stand beside it: what
        stores of the branch hold, and could still take.
        """
        return {}

    @classmethod
    def shed(cls, p: Any, state: State, command: Values, port: str, cut_kw: Floats) -> Values:
        """The command changed so that ``port`` draws ``cut_kw`` less (> 0) or feeds in less (< 0), as far as it can.

        Plain shedding of the baseline twin at a hard limit. The default cannot shed.
        """
        return command

    @classmethod
    def patience(cls, p: Any, state: State) -> Floats | None:
        """(n,) how long each device can wait [h]: when its family is shed, who can wait longest gives way first.

        NaN: as the others do, in proportion to what it draws. None: so are all.
        """
        return None

    @classmethod
    def goes_on(cls, columns: Mapping[str, Floats]) -> npt.NDArray[np.bool_] | None:
        """Which devices want energy beyond the horizon's end, so that what they draw now they need not draw later.

        None: no such devices. A comparison of two days values what one of them drew in advance.
        """
        return None

    @classmethod
    def told(cls, options: tuple[Any, ...]) -> tuple[str, str]:
        """What devices of this structure accept, and which command or port becomes their setpoint."""
        return cls.control, cls.setpoint

    @classmethod
    def kpis(cls, p: Any, trace: Values, step_h: float) -> Values:
        """Key figures per device from the replayed trace (name → (n, steps)); name ends with its unit."""
        return {}

    # --- derived, not overridden ---

    @classmethod
    def column_names(cls) -> tuple[str, ...]:
        """Every column the block may use, in a fixed order."""
        user = tuple(p.name for p in cls.parameters if p.kind in ("scalar", "series"))
        return (*user, *(c.name for c in cls.computed))

    @classmethod
    def series_names(cls) -> frozenset[str]:
        """Columns with one value per step."""
        user = {p.name for p in cls.parameters if p.kind == "series"}
        return frozenset(user | {c.name for c in cls.computed if c.series})


def at(columns: Mapping[str, Floats], step: int, step_h: float) -> SimpleNamespace:
    """The view of a group's columns that ``Family.step`` takes: scalars, and series cut at ``step``."""
    return SimpleNamespace(step_h=step_h, **{name: a if a.ndim == 1 else a[:, step] for name, a in columns.items()})
