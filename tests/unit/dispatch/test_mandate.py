"""A mandate allows what it names and nothing else, and only as long as its signature holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gridopt.devices import site as sites
from gridopt.devices.site import Site
from gridopt.dispatch import mandate
from gridopt.dispatch.mandate import RUNGS, Mandate
from gridopt.errors import SiteError, UsageError

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
DEVICES = """format = 1
[line.a]
tcp = "127.0.0.1:15020"
[device.bat]
adapter = "gridopt-sim-battery"
line = "a"
[device.bat.write.power]
low = -20
high = 30
[device.car]
adapter = "gridopt-sim-charger"
line = "a"
unit_id = 2
[device.car.write.current]
[approver.manager]
public_key = "{key}"
"""
TEXT = """format = 1
approver = "manager"
from = 2026-03-01T00:00:00Z
until = 2026-06-01T00:00:00+02:00
rung = "time-limited"

[device.bat.power]
low = -10
high = 10
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    key = mandate.new_key(tmp_path / "approver.key")
    (tmp_path / "devices.toml").write_text(DEVICES.format(key=key))
    return sites.load(tmp_path)


def signed(site: Site, text: str = TEXT) -> Mandate:
    path = site.file.with_name("mandate.toml")
    path.write_text(text)
    return mandate.sign(path, site, site.file.with_name("approver.key"))


def refused(site: Site, text: str) -> list[str]:
    with pytest.raises(SiteError) as e:
        signed(site, text)
    return [f"{m.line}: {m.message}" for m in e.value.mistakes]


def test_what_it_names_is_allowed(site: Site) -> None:
    found = signed(site)
    assert found.check("bat", "power", 10, "optimal", MAY) == ""
    assert found.check("bat", "power", -10, "time-limited", MARCH) == ""
    assert mandate.load(found.file, site) == found


@pytest.mark.parametrize(
    ("device", "command", "value", "rung", "now", "why"),
    [
        ("bat", "power", 10.001, "optimal", MAY, "the mandate allows -10 to 10, not 10.001"),
        ("bat", "power", float("nan"), "optimal", MAY, "the mandate allows -10 to 10, not nan"),
        ("bat", "limit", 1, "optimal", MAY, "the mandate does not name limit of bat"),
        ("car", "current", 6, "optimal", MAY, "the mandate does not name current of car"),
        ("bat", "power", 1, "soft", MAY, "the plan is soft; the mandate ends at time-limited"),
        ("bat", "power", 1, "splendid", MAY, "the plan is splendid; the mandate ends at time-limited"),
        (
            "bat",
            "power",
            1,
            "optimal",
            MARCH - timedelta(seconds=1),
            "the mandate holds from 2026-03-01 00:00 UTC until 2026-05-31 22:00 UTC",
        ),
        (
            "bat",
            "power",
            1,
            "optimal",
            datetime(2026, 5, 31, 22, tzinfo=UTC),
            "the mandate holds from 2026-03-01 00:00 UTC until 2026-05-31 22:00 UTC",
        ),
    ],
)
def test_nothing_else_is(
    site: Site, device: str, command: str, value: float, rung: str, now: datetime, why: str
) -> None:
    assert signed(site).check(device, command, value, rung, now) == why


def test_each_rung_allows_the_better_ones_alone(site: Site) -> None:
    for k, rung in enumerate(RUNGS):
        found = signed(site, TEXT.replace('"time-limited"', f'"{rung}"'))
        assert [found.check("bat", "power", 0, r, MAY) == "" for r in RUNGS] == [n <= k for n in range(len(RUNGS))]


def test_a_change_undoes_the_signature(site: Site) -> None:
    found = signed(site)
    found.file.write_text(TEXT.replace("high = 10", "high = 30"))
    with pytest.raises(SiteError, match="changed after it was signed"):
        mandate.load(found.file, site)


def test_a_change_of_the_devices_undoes_it_too(site: Site) -> None:
    found = signed(site)
    site.file.write_text(site.file.read_text().replace("high = 30", "high = 300"))
    with pytest.raises(SiteError, match="changed after it was signed"):
        mandate.load(found.file, sites.load(site.file))


def test_another_persons_key_signs_nothing(site: Site, tmp_path: Path) -> None:
    path = site.file.with_name("mandate.toml")
    path.write_text(TEXT)
    mandate.new_key(tmp_path / "other.key")
    with pytest.raises(SiteError, match="is not manager's"):
        mandate.sign(path, site, tmp_path / "other.key")
    assert not path.with_suffix(".sig").exists()


def test_a_signature_that_held_survives_a_failed_one(site: Site, tmp_path: Path) -> None:
    found = signed(site)
    mandate.new_key(tmp_path / "other.key")
    with pytest.raises(SiteError):
        mandate.sign(found.file, site, tmp_path / "other.key")
    assert mandate.load(found.file, site) == found


def test_unsigned_is_nothing(site: Site) -> None:
    path = site.file.with_name("mandate.toml")
    path.write_text(TEXT)
    with pytest.raises(SiteError, match="not signed"):
        mandate.load(path, site)
    path.with_suffix(".sig").write_text("zz")
    with pytest.raises(SiteError, match="changed after it was signed"):
        mandate.load(path, site)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"manager"', '"manger"', "2: mandate: manger is not an approver of the site; did you mean manager?"),
        (
            "from = 2026-03-01T00:00:00Z",
            "from = 2026-03-01T00:00:00",
            "3: mandate: from 2026-03-01T00:00:00 is not a time",
        ),
        ("until = 2026", "until = 2025", "4: mandate: from lies above until"),
        ("until = 2026", "until = 2028", "4: mandate: until lies more than a year after from; a mandate ends"),
        ("device.bat", "device.batt", "7: mandate: batt is not a device; did you mean bat?"),
        ("bat.power", "bat.current", "7: device bat: the site does not let bat take current; allow it there first"),
        ("bat.power", "bat.powr", "7: device bat: unknown key powr; did you mean power?"),
        ("low = -10", "low = 11", "8: device bat: low lies above high"),
        ("low = -10\n", "", "7: device bat: power: low is missing: lowest value that may be written"),
        ('rung = "time-limited"', 'rung = "any"', '5: mandate: rung "any" is not one of optimal, within gap'),
        ('"manager"', '"manager"\nplanner = "manager"', "3: mandate: planner and approver are both manager"),
        ("[device.bat.power]\nlow = -10\nhigh = 10\n", "", "None: the mandate allows nothing"),
        ("format = 1", "format = 2", "1: format 2 is not known"),
        ("format = 1", "format = true", "1: format true is not known"),
    ],
)
def test_a_mistake_is_told_with_its_line(site: Site, old: str, new: str, told: str) -> None:
    (found,) = refused(site, TEXT.replace(old, new))
    assert found.startswith(told)


@pytest.mark.parametrize("planner", ["Manager", " manager ", "MANAGER", "deputy"])
def test_two_persons_are_two(site: Site, planner: str) -> None:
    """Spelled otherwise, or under another name with the same key, they are one."""
    key = site.approvers["manager"].hex()
    site.file.write_text(site.file.read_text() + f'[approver.deputy]\npublic_key = "{key}"\n')
    both = sites.load(site.file)
    (told,) = refused(both, TEXT.replace('"manager"', f'"manager"\nplanner = "{planner}"'))
    assert "two persons are needed" in told
    assert signed(both, TEXT.replace('"manager"', '"manager"\nplanner = "desk"')).head.planner == "desk"


@pytest.mark.parametrize("write", [lambda t: b"\xef\xbb\xbf" + t, lambda t: t.replace(b"\n", b"\r\n")])
def test_what_windows_writes_is_signed_byte_for_byte(site: Site, write: Callable[[bytes], bytes]) -> None:
    path = site.file.with_name("mandate.toml")
    path.write_bytes(write(TEXT.encode()))
    found = mandate.sign(path, site, site.file.with_name("approver.key"))
    assert found.check("bat", "power", 10, "optimal", MAY) == ""
    path.write_bytes(TEXT.encode())
    with pytest.raises(SiteError, match="changed after it was signed"):
        mandate.load(path, site)


def test_a_link_is_signed_where_it_stands(site: Site, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "real.toml").write_text(TEXT)
    link = tmp_path / "mandate.toml"
    link.symlink_to(tmp_path / "kept" / "real.toml")
    assert mandate.sign(link, site, tmp_path / "approver.key").grants
    assert (tmp_path / "mandate.sig").is_file()
    (tmp_path / "kept" / "real.toml").write_text(TEXT.replace("high = 10", "high = 11"))
    with pytest.raises(SiteError, match="changed after it was signed"):
        mandate.load(link, site)


def test_a_signature_is_no_mandate(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "mandate.sig"
    path.write_text(TEXT)
    with pytest.raises(UsageError, match="is a signature"):
        mandate.sign(path, site, tmp_path / "approver.key")
    assert path.read_text() == TEXT


@pytest.mark.parametrize("form", ["rsa", "encrypted", "openssh", "raw"])
def test_another_form_of_key_is_told(site: Site, form: str) -> None:
    file = site.file.with_name("approver.key")
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    plain, own = serialization.NoEncryption(), serialization.Encoding
    forms: dict[str, bytes] = {
        "rsa": rsa.generate_private_key(65537, 2048).private_bytes(own.PEM, serialization.PrivateFormat.PKCS8, plain),
        "encrypted": key.private_bytes(
            own.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
        ),
        "openssh": key.private_bytes(own.PEM, serialization.PrivateFormat.OpenSSH, plain),
        "raw": key.private_bytes(own.Raw, serialization.PrivateFormat.Raw, plain),
    }
    file.write_bytes(forms[form])
    with pytest.raises(UsageError, match=r"holds no (private|Ed25519) key"):
        signed(site)


def test_a_mandate_to_begin_with_quotes_what_needs_it(site: Site) -> None:
    text = (
        site.file.read_text().replace("device.bat", 'device."bat a.b"').replace("approver.manager", "approver.'m \"x'")
    )
    site.file.write_text(text)
    found = sites.load(site.file)
    assert ("bat a.b", "power") in signed(found, mandate.template(found, 'm "x', MARCH, MAY)).grants


def test_a_key_is_never_overwritten_nor_lent(site: Site) -> None:
    key = site.file.with_name("approver.key")
    with pytest.raises(UsageError, match="never overwritten"):
        mandate.new_key(key)
    assert key.stat().st_mode & 0o077 == 0
    key.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        signed(site)
    key.chmod(0o600)
    key.write_text("no key")
    with pytest.raises(UsageError, match="holds no private key"):
        signed(site)


def test_the_template_allows_what_the_site_does(site: Site) -> None:
    found = signed(site, mandate.template(site, "manager", MARCH, MAY))
    assert {key: (g.low, g.high) for key, g in found.grants.items()} == {
        ("bat", "power"): (-20, 30),
        ("car", "current"): (0, 32),
    }
