"""What can be wrong with a scenario, in words: code → text. Fields are data, so another language is another table."""

from __future__ import annotations

from gridopt.errors import ScenarioError
from gridopt.written import report as written
from gridopt.written.report import COMMON

MESSAGES: dict[str, str] = COMMON | {
    # files
    "no-scenario": "no scenario of this name{hint}",
    "no-path": "no such file or folder{hint}",
    "no-scenario-file": "this folder holds no scenario.toml{hint}",
    "bad-name": "a scenario's name may hold letters, digits, - and _ only",
    "exists": "it exists already; choose another name",
    "not-sheet-text": "this is no text in UTF-8 or Windows-1252; save the file as CSV in UTF-8",
    "set-syntax": "write --set path.to.key=value, or --set path.to.key= to take the value out",
    "unset-nothing": "there is no {path} that could be taken out",
    "not-paths": 'unset {value} is not a list of values; write unset = ["asset.chp.min_up_h"]',
    "set-unknown": "there is no {what} {name}; did you mean {meant}? A new {what} is written in a file",
    "set-path": "{path} is not a table, so {key} cannot be set in it",
    # keys and values
    "missing-column": "{where}: the column {key} is missing: {doc}",
    "not-series": "{where}: {key} {value} is neither a number nor the name of a series{hint}",
    "not-moment": "{where}: {key} {value} is not a time; write 2026-01-15T07:30, 07:30 (the first day) or D+1 07:30",
    "no-such-time": "{where}: {key} {value} does not exist in {zone}: clocks go forward over it",
    "not-clock": "{where}: {key} {value} is not a time of day; write 07:30 (24:00 ends the day)",
    "not-days": '{where}: {key} {value} is not a list of days; write "mon-fri", "sat,sun" or "all"',
    "not-daily": "{where}: with days, {key} is a time of day, not {value}; write 07:30 (24:00 ends the day)",
    "one-of": "{where}: give exactly one of {keys}",
    "pin-range": "{where}: {quantity} = {value} is beyond what {asset} can do at {when}, {low}..{high}",
    "device-twice": "{where}: device {value} takes its {control} from {other} already at that time; name another, or "
    'write control = "none" for one of the two',
    "order": "{where}: to {to} does not lie after from {start}",
    # horizon
    "no-start": 'horizon: start is missing; write start = "2026-01-15", or name a day when you run it',
    "days-or-hours": "horizon: give days or hours, not both",
    "unknown-zone": "{where}: {key} {value} is not a known time zone{hint}",
    "not-start": "{where}: {key} {value} is neither a day nor an instant; write 2026-01-15 or 2026-01-15T06:00",
    "start-off-step": "horizon: start {value} does not lie on a whole step of {step_min} min",
    "hours-off-step": "horizon: hours {value} is not a whole number of steps of {step_min} min",
    # tables
    "table-syntax": "{reason}{hint}",
    "row-cells": "the row has {found} cells, the header {expected}{hint}",
    "no-rows": "the table has no rows",
    "twice-column": "the column {key} stands twice in the header",
    "unknown-column": "{where}: unknown column {key}{hint}",
    "no-id": "{where}: the id is missing",
    "twice": "{where}: the id stands already at {first}{hint}",
    # nodes and assets
    "no-nodes": 'the scenario has no nodes; write [node.grid] with carrier = "electricity"',
    "unknown-node": "{where}: {key} {value} is not a node{hint}",
    "unknown-family": "{where}: family {value} does not exist{hint}",
    "unknown-asset": "{where}: {key} {value} is not an asset{hint}",
    "no-family": "{where}: family is missing: {hint}",
    "own-parent": "{where}: the node is its own parent through {chain}",
    "parent-carrier": "{where}: carries {carrier}, but its parent {parent} carries {other}",
    "port-carrier": "{where}: {key} {value} carries {carrier}; the port {port} needs {needed}{hint}",
    "reserve-too-large": "{where}: reserve_kw {reserve:g} is more than {key} {limit:g} ({when})",
    "breach-without-limit": "{where}: breach_eur_per_kwh prices a limit, but there is none; add import_max_kw",
    # series
    "unknown-series": "{where}: {key} {value} is not a series{hint}",
    "series-unit": "{where}: {key} is in {wanted}, but the series {value} is in {found}{hint}",
    "twice-series": "series {key}: the name stands already in {first}; rename one of them",
    "no-time-column": "the column {key} with the start of each interval is missing{hint}",
    "no-columns": "the file holds no column beside {key}",
    "bad-time": "the time {value} cannot be read; write 2026-01-15T07:30:00Z, or in local time 2026-01-15T07:30 or "
    "15/01/2026 07:30, day first",
    "no-such-stamp": "the time {value} does not exist in {zone}: clocks go forward over it",
    "mixed-time": "the time {value} {has} an offset from UTC, unlike the first one; write all of them alike",
    "missing-time": "the time is missing",
    "twice-time": "the time {value} stands twice (first in line {first})",
    "off-step-time": "the time {value} comes {found:g} min after the one before, while the others are {step} min apart",
    "one-time": "the file has a single time, so the length of its intervals is unknown; add the next one",
    "bad-cell": "column {key}: {value} is not a number{hint}",
    "wild-cell": "column {key}: {value:g} is no number of a district; write at most {most}, or leave the cell empty",
    "series-gap": "column {key}: {lacking} of {steps} steps have no value, the first at {first}; {covers}",
    "series-range": "{where}: {key}: the series {value} is {found:g} at {when}, {range}",
    "generated": "{where}: {reason}",
    "unknown-kind": "{where}: kind {value} does not exist{hint}",
    # commitments
    "windows-overlap": "{where}: windows {first} and {second} overlap; write another commitment: a step counts once",
    "no-port": "{where}: {key} {value} has no port on an electricity node",
    "no-run": "{where}: run {value} is no run folder; name one that an earlier `gridopt run … --out` left",
    "bad-run": "{where}: run {value}: {reason}",
    # the run that is continued
    "not-before": "that plan begins {first}, after this one ({start}); name the run of the day before",
    "too-early": "that plan ends {last}, before this one begins ({start}); plan the time between first, with "
    "--date {day}, or leave --from out: all then starts as the scenario says",
    "inside-step": "this plan begins {start}, inside a step of {step_min} min of that one",
    # objective
    "no-intensity": "{where}: a tonne of CO2 counts, but no emissions are known; write intensity_g_per_kwh = "
    "{{ {node} = 50 }}, or the name of a series for 50",
    # pins, outages, rules
    "unknown-quantity": "{where}: {value} is not a variable of {asset} ({family}){hint}",
    "pins-differ": "{where}: pin {other} holds {value} of {asset} at another value over the same time",
    "no-command": "{where}: {asset} ({family}) has nothing that could be held at zero{hint}",
    "rule-syntax": "rule: {reason}",
    "rule-none": "rule: the file has no function whose name starts with rule_",
    "rule-empty": "rule {rule}: it gives no constraint; write yield or return before the expression",
    "rule-error": "rule {rule}: {reason}",
    "rule-nonlinear": "rule {rule}: {term} is not linear; add, subtract and scale variables only",
    "rule-strict": "rule {rule}: a solver cannot tell < from <=; write <= or >=",
    "rule-number": "rule {rule}: {value} holds a number that is not finite, or larger than {most}",
    "rule-false": "rule {rule}: a constraint without variables that never holds",
    "rule-not-constraint": "rule {rule}: {value} is not a constraint; yield an expression with <=, >= or ==",
    # notes
    "unpriced": "{where}: what is drawn from outside costs nothing; add [commitment.supply] with node = {value}",
    "unpriced-part": "{where}: energy from outside reaches {who} free of charge: the price on {prices} holds for what "
    "passes there only; add [commitment.supply] with node = {value}",
    "dear": "{where}: {key} reaches {most:g} EUR/kWh; is it in EUR/MWh?",
    "above-limit": "{where}: draws at least {least:g} kW at every step, where node {node} may import {limit:g} kW; "
    "check the units{more}",
    "oversized": "{where}: {key} {power:g} kW is far more than node {node} carries, {limit:g} kW; is it in W?{more}",
    "short-stay": "{where}: {energy:g} kWh do not come in {hours:.3g} h, {most:.3g} kWh do at most{more}",
    "slow-store": "{where}: {capacity:g} kWh take {hours:.0f} h to fill at {power:g} kW; is it in Wh?{more}",
    "big-car": "{where}: {energy:g} kWh are more than a car holds; is it in Wh?{more}",
    "first-day": "{where}: {value} is on the first day only; the horizon has {days} days (the next is D+1 {value}, and "
    'days = "all" means every day)',
    "pin-over-outage": "{where}: {asset} is out of service and pinned at once; the pin, a person's word, is kept",
    "outside": "{where}: lies outside the horizon and is left out",
    "absent": "{where}: nothing is held: {asset} is not there then{span}",
    "partly-there": "{where}: {asset} is there {span} only; nothing is held outside",
    "window-edge": "{where}: {key} {value} lies inside a step of {step_min} min; the whole step counts",
    "sheet": "read with {ways}",
    "two-columns": "the start of each interval is read from the columns {date} and {clock}",
    "day-first": "dates are read day first, the French way: {value} is {meaning}",
    "converted": "the series {value} is in {found}; it is multiplied by {factor:g} to give {wanted}",
    "uncounted": "{where}: the CO2 of what {nodes} draws is not known and counts as none; add it to "
    "intensity_g_per_kwh",
    "not-announced": "{where}: {run} says nothing of {value}",
}


class Report(written.Report):
    """Mistakes and notes of a scenario found so far."""

    messages = MESSAGES
    error = ScenarioError
