"""What the link lets into the log."""

from __future__ import annotations

import logging

import pytest

from gridopt.devices.link import wire
from gridopt.devices.link.sparse import MOST, Sparse, calm


def test_t23_a_device_that_sends_garbage_does_not_fill_the_log() -> None:
    now = 0.0
    passed: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            passed.append(record.getMessage())

    logger = logging.Logger("test")
    logger.addFilter(Sparse(clock=lambda: now))
    logger.addHandler(Kept())
    for k in range(1000):
        logger.error("garbage %d", k)
    assert passed == [f"garbage {k}" for k in range(MOST)]
    now = 61.0
    logger.error("garbage %d", 1000)
    assert passed[MOST:] == ["garbage 1000 (995 lines left out before)"]


def test_t23_the_library_s_logger_is_filtered_once() -> None:
    assert wire.Wire is not None
    calm("pymodbus.logging")
    found = [f for f in logging.getLogger("pymodbus.logging").filters if isinstance(f, Sparse)]
    assert len(found) == 1


def test_t23_the_library_logs_there(caplog: pytest.LogCaptureFixture) -> None:
    from pymodbus.logging import Log

    assert Log._logger.name == "pymodbus.logging"
