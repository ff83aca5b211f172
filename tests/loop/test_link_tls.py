"""TLS lines: who the device must prove to be, who we prove to be, and no way round it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gridopt.devices.frames import Frame
from gridopt.devices.link import secure
from gridopt.devices.link.address import LineAddress
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.link.lines import Line, Lines, Patience
from gridopt.devices.schema import Link
from gridopt.simulate.modbus_server import Server
from gridopt.simulate.registers import Registers
from tests.support.certificates import Authority, Papers

OPERATOR = "Operator"
QUICK = Patience(unit_s=0.01, line_s=0.01, line_most_s=0.01)


@dataclass
class Site:
    """The papers of a plant: its authority's, and those of somebody else's."""

    folder: Path

    def __post_init__(self) -> None:
        self.authority, self.stranger = Authority(self.folder), Authority(self.folder, "stranger")
        self.us = self.authority.papers("gridopt", role=OPERATOR)
        self.device = self.authority.papers("device", role=OPERATOR)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("papers"))


def address(server: Server, us: Papers, **more: Any) -> LineAddress:
    said = {"role": OPERATOR, "ca": us.ca, "certificate": us.certificate, "private_key": us.private_key} | more
    return LineAddress("tls", host=server.host, port=server.port, **said)


async def first_words(line: Line, timeout_s: float = 5) -> tuple[int, ...]:
    return await line.unit(1, Link(timeout_s=timeout_s)).read("holding", 0, 2)


def outcome(
    context: ssl.SSLContext | None, us: Papers, fault: str = "", timeout_s: float = 5, **more: Any
) -> tuple[tuple[int, ...] | Fault, int]:
    """What a first read ends with, and how many requests the device saw. No ``context``: it speaks plain TCP."""

    async def run() -> tuple[tuple[int, ...] | Fault, int]:
        registers = Registers()
        registers.put("holding", 0, (1, 2), "rw")
        async with (
            Server({1: registers}, line="tls" if context else "tcp", tls=context, fault=fault) as server,
            Lines(None, patience=QUICK) as lines,
        ):
            try:
                return await first_words(lines.line(address(server, us, **more)), timeout_s), server.requests()
            except Fault as found:
                return found, server.requests()

    return asyncio.run(asyncio.wait_for(run(), 30))


def refused(context: ssl.SSLContext | None, us: Papers, **more: Any) -> str:
    found, requests = outcome(context, us, **more)
    assert isinstance(found, Fault)
    assert found.kind is FaultKind.OFFLINE
    assert requests == 0
    return found.why


def test_ds_34_both_sides_known_and_the_role_right(site: Site) -> None:
    assert outcome(site.device.server(), site.us) == ((1, 2), 1)


@pytest.mark.parametrize("fault", ["split", "dribble:0.001"])
def test_ds_34_t18_answers_in_several_records(site: Site, fault: str) -> None:
    assert outcome(site.device.server(), site.us, fault=fault) == ((1, 2), 1)


@pytest.mark.parametrize("fault", ["pid", "len_long", "len_short", "unit", "fc", "few"])
def test_ds_34_t18_headers_are_checked_as_on_tcp(site: Site, fault: str) -> None:
    found, _ = outcome(site.device.server(), site.us, fault=fault)
    assert isinstance(found, Fault)
    assert found.kind is FaultKind.BROKEN


def test_ds_34_a_device_of_a_stranger_is_not_spoken_to(site: Site) -> None:
    papers = site.stranger.papers("device", role=OPERATOR)
    context = Papers(papers.certificate, papers.private_key, site.authority.ca).server()
    assert "certificate" in refused(context, site.us)


@pytest.mark.parametrize(("days", "what"), [((-30, -1), "expired"), ((1, 30), "not yet valid")])
def test_ds_34_an_expired_device_is_not_spoken_to(site: Site, days: tuple[int, int], what: str) -> None:
    assert what in refused(site.authority.papers("late", role=OPERATOR, days=days).server(), site.us)


def test_ds_34_t19_a_device_of_another_name_is_not_spoken_to(site: Site) -> None:
    elsewhere = site.authority.papers("elsewhere", role=OPERATOR, host="127.0.0.2").server()
    assert "127.0.0.1" in refused(elsewhere, site.us)
    assert outcome(elsewhere, site.us, server_name="127.0.0.2") == ((1, 2), 1)
    named = site.authority.papers("named", role=OPERATOR, host="inverter.example").server()
    assert outcome(named, site.us, server_name="inverter.example") == ((1, 2), 1)
    assert "inverter.other" in refused(named, site.us, server_name="inverter.other")


@pytest.mark.parametrize(
    ("role", "shown"),
    [
        *(("Viewer", "'Viewer'"), ("operator", "'operator'"), ("", "''"), (None, "none"), (b"", "none")),
        *((b"\x0c\x40Operator", "none"), (b"\x04\x08Operator", "none")),
    ],
)
def test_ds_34_a_device_of_another_role_is_not_spoken_to(site: Site, role: str | bytes | None, shown: str) -> None:
    assert f"role {shown}" in refused(site.authority.papers("viewer", role=role).server(), site.us)


def test_a_role_is_only_asked_for_where_the_site_says_so(site: Site) -> None:
    assert outcome(site.authority.papers("roleless").server(), site.us, role="") == ((1, 2), 1)


def test_ds_34_t21_who_we_are_is_judged_by_the_first_answer(site: Site) -> None:
    """With TLS 1.3 a client that is not accepted is told after it connected."""
    ours = site.stranger.papers("gridopt", role=OPERATOR)
    unknown = Papers(ours.certificate, ours.private_key, site.authority.ca)
    refused(site.device.server(), unknown)


def test_ds_34_there_is_no_way_back_to_plain_tcp(site: Site) -> None:
    refused(None, site.us, timeout_s=0.3)


def test_ds_34_old_tls_is_not_spoken(site: Site) -> None:
    context = secure.context(LineAddress("tls", host="x", **vars(site.us)))
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_t20_the_authorities_of_the_system_are_not_trusted(site: Site) -> None:
    found = secure.context(LineAddress("tls", host="x", **vars(site.us))).get_ca_certs()
    assert [dict(part for (part,) in one["subject"]) for one in found] == [{"commonName": "authority"}]


def test_ds_34_without_papers_there_is_no_line(site: Site) -> None:
    async def run() -> None:
        for missing in ("ca", "certificate", "private_key"):
            with pytest.raises(ValueError, match="TLS needs"):
                Lines(None).line(LineAddress("tls", host="127.0.0.1", **(vars(site.us) | {missing: None})))

    asyncio.run(run())


@pytest.mark.parametrize("wrong", ["ca", "certificate", "private_key"])
def test_papers_that_cannot_be_read_are_told(site: Site, wrong: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    for path in (tmp_path / "empty", tmp_path / "absent"):
        why = refused(site.device.server(), site.us, **{wrong: path})
        assert "certificates of this side" in why


def test_a_key_with_a_password_is_refused_and_not_asked_for_at_the_terminal(site: Site) -> None:
    assert "certificates of this side" in refused(site.device.server(), site.authority.papers("secret", password="x"))


def test_ds_34_a_renewed_certificate_is_taken_at_the_next_connection(site: Site, tmp_path: Path) -> None:
    async def run() -> None:
        registers = Registers()
        registers.put("holding", 0, (1, 2), "rw")
        old = site.authority.papers("old", days=(-3, -2))
        async with (
            Server({1: registers}, line="tls", tls=site.device.server()) as server,
            Lines(None, patience=QUICK) as lines,
        ):
            line = lines.line(address(server, old))
            with pytest.raises(Fault):
                await first_words(line)
            old.certificate.write_bytes(site.us.certificate.read_bytes())
            old.private_key.write_bytes(site.us.private_key.read_bytes())
            await asyncio.sleep(0.05)
            assert await first_words(line) == (1, 2)
            unit = line.unit(1, Link())
            assert (await unit.write(Frame(6, 0, (9,)))).answer
            assert registers.get("holding", 0) == (9,)

    asyncio.run(asyncio.wait_for(run(), 30))
