"""An event loop whose clock stands still while anything happens, and jumps to the next timer when nothing does.

A day of devices, timers and pauses then takes as long as its computing does, and every time in it is as in life: a
fail-safe of 30 s acts 30 s after the last word, and no answer is late because this machine is busy. It is for masters
and devices in one process; time passes for nobody outside.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")
GRACE_S = 0.001
"""How long a sent byte may take to arrive on the other end of a socket of this machine."""


class _Selector(selectors.DefaultSelector):
    """Waits as little as it can: where nothing is ready, ``skipped_s`` is what it would have waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped_s = 0.0
        self.outside = 0
        """Work in other threads, which real time must be left to."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout is None or timeout <= 0:
            return ready if ready or timeout is not None else super().select(None)
        ready = super().select(GRACE_S)
        if not ready and not self.outside:
            self.skipped_s += timeout
        return ready


class JumpLoop(asyncio.SelectorEventLoop):
    """See the head of this module."""

    def __init__(self) -> None:
        self._jumping = _Selector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.skipped_s

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        self._jumping.outside += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._back)
        return future

    def _back(self, _: object) -> None:
        self._jumping.outside -= 1


def run(work: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` in such a loop."""
    with asyncio.Runner(loop_factory=JumpLoop) as runner:
        return runner.run(work)
