"""What can be wrong with an adapter or a site, in words: code → text.

Fields are data, so another language is another table.
"""

from __future__ import annotations

from typing import Any

from gridopt.errors import AdapterError, SiteError
from gridopt.written import report as written
from gridopt.written.report import COMMON, Where

MESSAGES: dict[str, str] = COMMON | {
    # files
    "no-adapter": "no adapter of this name{hint}",
    # points
    "no-points": 'the adapter has no points; write [point] and below it voltage_v = {{ address = 0, unit = "V" }}',
    "bad-name": "{where}: a name is made of a-z, 0-9 and _, and ends with its unit, such as power_l1_kw",
    "no-wire": "{where}: unit {value} is none that {unit} is made of; write {choices}",
    "unit-needed": "{where}: unit is missing: the document's unit; write {choices}",
    "unit-in-name": "{where}: the unit is {value}, so the name ends with {suffix}",
    "unit-unknown": "{where}: unit {value} is not known{hint}",
    "unit-of-name": "{where}: {unit} is no unit that devices speak of; end the name with another",
    "sign-needed": '{where}: positive is missing: write "draw" where power drawn counts above zero, "feed" where power '
    "fed in does",
    "zero-scale": "{where}: scale 0 would make every value 0",
    "address-range": "{where}: {key} {value} is not within {low}..{high}",
    "read-long": "{where}: it takes {length} registers; the device answers {most} in one read, so nothing would read "
    "it whole",
    "table-type": "{where}: {table} is a table of {holds}; {type} does not stand in it",
    "table-read-only": "{where}: {table} cannot be written; access can only be r",
    "overlap": "{where}: its registers {own} overlap those of {other}, {others}",
    "text-registers": "{where}: registers is missing: how many words the text takes",
    "only-text": "{where}: only a text says registers; {type} has {registers}",
    "useless-key": "{where}: {key} is of no use to {what}",
    "code-fit": "{where}: {key} {name} = {value} does not fit into {type}",
    "reserved-code": '{where}: {key} {name}: "value" and "timer" stand for what is written; use another name',
    "same-code": "{where}: {key} {first} and {second} are both {value}",
    # writes
    "unknown-point": "{where}: {key} {value} is not a point{hint}",
    "not-writable": '{where}: {key} {value} is not to be written: give the point access = "rw" or "w"',
    "not-readable": "{where}: {key} {value} cannot be read; its access is w",
    "command-unit": "{where}: the command {command} is in {wanted}, but {point} is in {found}",
    "states-needed": "{where}: the command {command} needs states: what 0, 1, … are called among the codes of {point}",
    "states-number": "{where}: the command {command} takes numbers, so it has no states",
    "unknown-state": "{where}: states {value} is not a code of {point}{hint}",
    "state-unsaid": "{where}: {point} says nothing for {missing}",
    "not-a-state": "{where}: {value} is not one of states{hint}",
    "bounds-needed": '{where}: {key} is missing; write "installer" where the document gives none',
    "bound-fit": "{where}: {key} {value} cannot be written: {why}",
    "budget-needed": "{where}: memory {memory} wears out; write writes_per_day or write_budget",
    "readback-needed": "{where}: {point} cannot be read back; write readback, the point that shows what was accepted",
    "step-value": '{where}: {point} = {value} is neither "value", "timer" nor what {point} can hold: {why}',
    "step-empty": "{where}: {key} {number} writes nothing",
    "step-long": "{where}: {key} {number} writes {length} registers; the device takes {most} in one request",
    "step-gap": "{where}: {second} does not follow {first} without a gap: two requests, so make them two steps",
    "value-unwritten": '{where}: no step writes the value; write set = [{{ {point} = "value" }}]',
    "timer-unwritten": '{where}: fail_safe timer {point} is not written; add {point} = "timer" to set',
    "timer-readback": "{where}: fail_safe: timer {point} cannot be read back; write timer_readback, which shows it",
    "timer-late": "{where}: the timer comes after the value; write it in the same step, or in one before",
    "timer-unknown": '{where}: a step writes "timer", but fail_safe names none',
    "fail-safe-needs": "{where}: fail_safe: kind {kind} needs {key}: {doc}",
    "fail-safe-takes": "{where}: fail_safe: kind {kind} takes no {key}",
    "refresh-late": "{where}: fail_safe: refresh_s {value} is more than a third of time_s {time}: one lost write would "
    "be one too many",
    "fallback": '{where}: fail_safe: fallback {value} is neither "local", "installer" nor a value of {point}: {why}',
    # identity
    "identity-needed": "who writes must know the device: write [identity] with sunspec, expect or plausible",
    "identity-empty": "identity: say how the device is known: sunspec, expect or plausible",
    "any-plausible": "{where}: {value} has no low and high, so anything is plausible",
    "never-read": "{where}: {point} never reads {value}: {why}",
    # worked checks
    "no-source": 'no source is cited; write [[source]] with document = "title of the vendor\'s document"',
    "no-check": "there is no worked check; write [[check]] with point, words and the value that they mean",
    "check-what": "{where}: give point, words and value (or quality); or write, value and frames",
    "check-words": "{where}: {point} is given {found} words and takes {needed}",
    "check-bad-words": "{where}: {point}: {why}",
    "check-value": "{where}: {point}: {words} means {found}, not {expected}",
    "check-back": "{where}: {point}: {expected} is written as {found}, not as {words}",
    "check-refused": "{where}: {point}: {expected} cannot be written: {why}",
    "check-frames": "{where}: {write} {value} is sent as {found}, not as {expected}",
    "unknown-write": "{where}: {value} is not a command of the adapter{hint}",
}


class Report(written.Report):
    """Mistakes of an adapter found so far."""

    messages = MESSAGES
    error = AdapterError

    def __init__(self) -> None:
        super().__init__()
        self.added = 0
        """How often something was wrong; the same thing about another point, told once, counts again."""

    def add(self, place: Where, code: str, **fields: Any) -> None:
        self.added += 1
        super().add(place, code, **fields)


SITE_MESSAGES: dict[str, str] = COMMON | {
    "no-devices": "the site has no devices; write [device.NAME] with adapter and line",
    "not-date": "{where}: {key} {value} is not a date; write it as 2026-03-01, without quotes",
    "not-key": "{where}: {key} {value} is no public key: 64 hexadecimal digits, as `gridopt mandate key` prints them",
    # lines
    "line-useless": "{where}: {key} is of no use to {way}",
    "not-host": '{where}: {key} {value} is not an address; write "10.0.4.7:502"',
    "tls-needs": "{where}: tls needs {key}: nothing is sent to a device that cannot prove who it is",
    "open-secret": "{where}: {name} can be read by others; allow it to nobody else: chmod 600 {name}",
    "same-line": "{where}: the same line as {first}: one session speaks over a line, so give it one name",
    # devices
    "unknown-line": "{where}: line {value} is not a line{hint}",
    "unknown-adapter": "{where}: there is no adapter {value}{hint}",
    "no-point": "{where}: {value} is no point of {adapter} that can be read{hint}",
    "no-parts": "{where}: {adapter} has no parts; part is of no use to it",
    "part-needed": "{where}: {adapter} serves several like parts: write part = 0 for the first",
    "same-unit": "{where}: {first} is unit {unit} of line {line} already",
    # writes
    "no-command": "{where}: {adapter} has no such command{hint}",
    "left-to-site": "{where}: {key} is the installer's to say: {doc}",
    "not-asked": "{where}: {key} is of no use: {adapter} says it itself",
    "unsigned": "{where}: nobody knows what {adapter} does when gridopt is gone; write signed = {{ by, on, why }} if a "
    "person answers for it",
    "same-command": "{where}: {first} and {second} both carry out {command}; keep one",
    "unknown-device": "{where}: {value} is not a device{hint}",
}
"""What can be wrong with the devices of a site."""


class SiteReport(written.Report):
    """Mistakes of a site found so far."""

    messages = SITE_MESSAGES
    error = SiteError
