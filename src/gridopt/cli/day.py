"""When a plan begins and with what: the options ``--date`` and ``--from``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

OTHER_FORMS = ("%d/%m/%Y", "%d/%m/%y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d", "%Y-%m-%dT%H:%M")
"""Day first, as in France."""


class Day(click.ParamType[datetime]):
    """A day as 2026-01-13."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        found = _read(value, "%Y-%m-%d")
        if found is None:
            meant = next((day for form in OTHER_FORMS if (day := _read(value, form))), None)
            form = f"{meant:%Y-%m-%d}" if meant else "2026-01-13, a day that there is"
            self.fail(f"{value!r} is not a day as it is written here: write {form}.", param, ctx)
        return found


def _read(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None


date_option = click.option("--date", "day", metavar="YYYY-MM-DD", type=Day(), help="Plan from this local day.")
continued_option = click.option(
    "--from", "continued", metavar="RUN", type=click.Path(path_type=Path),
    help="Start as the plan in this run folder ends: stores, temperatures, engines, cars, the month's peak.",
)  # fmt: skip
