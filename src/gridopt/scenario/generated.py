"""Parameters of the project's own generator, checked in the words of a scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gridopt.scenario.mistakes import Report
from gridopt.written.report import Place
from gridopt.written.words import quoted

if TYPE_CHECKING:
    from gridopt.scenario.generate import Parameter


def check_parameters(
    parameters: Sequence[Parameter],
    given: Mapping[str, Any],
    seed: Any,
    owner: str,
    where: str,
    place: Callable[..., Place],
    report: Report,
) -> bool:
    """Whether the generator can use what is given; ``place(key)``: where a parameter stands."""
    from gridopt.scenario.generate import complaints

    # Whole numbers of any length are TOML, but not all are floats.
    finite = {k: float("inf") if isinstance(v, int) and abs(v) > 2**53 else v for k, v in given.items()}
    wrong = [(c.parameter, c.message) for c in complaints(parameters, finite, owner)]
    if isinstance(seed, bool) or not isinstance(seed, int) or abs(seed) > 2**53:
        wrong.append(("seed", f"seed {quoted(seed)} is not a whole number"))
    for key, reason in wrong:
        report.add(place(key), "generated", where=where, reason=reason)
    return not wrong
