"""pymodbus logs a line for each oddity it sees: a device that sends nothing but garbage would fill a disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

PERIOD_S = 60.0
MOST = 5
"""Lines of a logger within a period; those left out are counted in the next one."""


class Sparse(logging.Filter):
    """Lets ``most`` records of a logger through in each ``period_s``."""

    def __init__(
        self, most: int = MOST, period_s: float = PERIOD_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._most, self._period_s, self._clock = most, period_s, clock
        self._since: float | None = None
        self._passed = self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        if self._since is None or now - self._since >= self._period_s:
            if self._left_out:
                record.msg, record.args = f"{record.getMessage()} ({self._left_out} lines left out before)", ()
            self._since, self._passed, self._left_out = now, 0, 0
        if self._passed < self._most:
            self._passed += 1
            return True
        self._left_out += 1
        return False


def calm(name: str) -> None:
    """Put the filter before a logger, once."""
    logger = logging.getLogger(name)
    if not any(isinstance(f, Sparse) for f in logger.filters):
        logger.addFilter(Sparse())
