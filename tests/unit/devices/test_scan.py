"""A scan of one unit: evidence, patience with who does not answer, and no way to write."""

from __future__ import annotations

import asyncio

import pytest

from gridopt.devices.adapter import load, shipped
from gridopt.devices.codec import Unfit
from gridopt.devices.frames import Frame
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.scan import PATIENCE, Scan, Sure, _ReadOnly, scan
from tests.support.fake_unit import Clock, FakeUnit
from tests.unit.devices.test_device import SDM, charger, house, inverter

ADAPTERS = [load(path) for path in shipped().values()]


def scanned(unit: FakeUnit) -> Scan:
    clock = Clock()
    return asyncio.run(scan(lambda link: unit, ADAPTERS, clock, clock.utc))


def test_nothing_can_be_written_through_what_a_scan_uses() -> None:
    unit = charger()
    with pytest.raises(Unfit, match="a scan writes nothing"):
        asyncio.run(_ReadOnly(unit).write(Frame(6, 200, (1,))))
    assert unit.written == []


def test_a_name_makes_it_certain_models_or_several_values_likely() -> None:
    assert [(f.adapter, f.sure) for f in scanned(charger()).fits if f.sure is Sure.CERTAIN] == [
        ("gridopt-sim-charger", Sure.CERTAIN)
    ]
    assert scanned(house()).fits[0].sure is Sure.LIKELY
    assert ("sunspec-inverter", Sure.LIKELY) in [(f.adapter, f.sure) for f in scanned(inverter()).fits]


def test_a_total_of_zeros_is_no_evidence() -> None:
    unit = house()
    unit.hold(SDM, dict.fromkeys(["power_kw", "power_l1_kw", "power_l2_kw", "power_l3_kw"], 0.0))
    (fit,) = (f for f in scanned(unit).fits if f.adapter == "eastron-sdm630")
    assert fit.evidence == ("voltage_l1_v reads 231 V", "frequency_hz reads 50.02 Hz")


def test_whoever_does_not_answer_is_not_asked_by_every_adapter() -> None:
    unit = FakeUnit()

    def silent(table: str, address: int, count: int) -> None:
        raise Fault(FaultKind.TIMEOUT, "nothing came", sent=True)

    unit.on_read = silent
    found = scanned(unit)
    assert (found.silent, found.fits) == ("nothing came", ())
    assert len(unit.log) == PATIENCE


def test_a_device_that_is_silent_about_some_registers_is_still_found() -> None:
    """Instead of an exception, no answer: every adapter but its own meets that."""
    unit = house()

    def picky(table: str, address: int, count: int) -> None:
        if table != "input":
            raise Fault(FaultKind.TIMEOUT, "nothing came", sent=True)

    unit.on_read = picky
    found = scanned(unit)
    assert found.silent == ""
    assert found.fits[0].adapter == "eastron-sdm630"
