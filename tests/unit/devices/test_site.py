"""The devices of a site: what a file comes to, and every mistake in it with its line."""

from __future__ import annotations

import os
import textwrap
from datetime import date
from pathlib import Path

import pytest

from gridopt.devices import site
from gridopt.devices.adapter import load, shipped
from gridopt.devices.link.address import LineAddress
from gridopt.errors import SiteError

WHOLE = """
format = 1

[line.car-park]
tcp = "127.0.0.1:15020"

[line.cellar]
rtu = "/dev/ttyUSB0"
baud = 19200
parity = "even"

[device.battery]
adapter = "gridopt-sim-battery"
line = "car-park"
unit_id = 4
reads = { soc = "soc" }
requires = { state = "ready" }

[device.battery.write.power]
low = -20
high = 30
interval_s = 5

[device.wallbox-1]
adapter = "keba-p30"
line = "cellar"

[device.wallbox-1.write.current]
high = 16
fallback = 6

[device.meter]
adapter = "eastron-sdm630"
line = "cellar"
unit_id = 2
node = "roof"

[group.car-park]
devices = ["battery", "wallbox-1"]
on_failure = "keep"

[approver.energy-manager]
public_key = "00000000000000000000000000000000000000000000000000000000000000ff"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "devices.toml"
    path.write_text(textwrap.dedent(text))
    return path


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(SiteError) as e:
        site.load(written(folder, text))
    return [f"{Path(m.file).name}:{m.line}: {m.message}" for m in e.value.mistakes]


def test_a_site(tmp_path: Path) -> None:
    found = site.load(written(tmp_path, WHOLE))
    assert found.lines["car-park"] == LineAddress("tcp", host="127.0.0.1", port=15020)
    assert found.lines["cellar"] == LineAddress("rtu", tty="/dev/ttyUSB0", baud=19200, parity="E")
    assert found.devices["battery"].unit_id == 4
    assert found.devices["wallbox-1"].unit_id == found.devices["wallbox-1"].adapter.link.unit_id
    assert found.devices["battery"].command("power") == "power"
    assert found.devices["battery"].command("current") is None
    assert found.devices["wallbox-1"].command("on_off") is None  # the adapter has it, the site does not allow it
    assert found.devices["meter"].writes == {}
    group = found.group_of("battery")
    assert group is not None
    assert group[1].on_failure == "keep"
    assert found.group_of("meter") is None
    assert found.approvers == {"energy-manager": bytes(31) + b"\xff"}
    assert len(found.digest) == 64


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("METER", "METER", 502),
        ("meter.local.:1502", "meter.local.", 1502),
        ("[::1]:1502", "::1", 1502),
        ("::1", "::1", 502),
        ("[fe80::1%eth0]", "fe80::1%eth0", 502),
    ],
)
def test_an_address(tmp_path: Path, text: str, host: str, port: int) -> None:
    address = site.load(written(tmp_path, f'format = 1\n[line.a]\ntcp = "{text}"\n' + METER)).lines["a"]
    assert (address.host, address.port) == (host, port)


@pytest.mark.parametrize(
    "text", ["10.0.4.7:502:3", "a b:502", "user@meter:1", "[::1", "[::1]:", "[meter]:502", "[10.0.0.7]", ":502", "h:0"]
)
def test_what_is_no_address(tmp_path: Path, text: str) -> None:
    (told,) = mistakes(tmp_path, f'format = 1\n[line.a]\ntcp = "{text}"\n' + METER)
    assert told == f'devices.toml:3: line a: tcp "{text}" is not an address; write "10.0.4.7:502"'


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('tcp = "METER:502"', 'tcp = "meter."'),
        ('tcp = "[::1]:502"', 'rtu_over_tcp = "0:0:0:0:0:0:0:1"'),
        ('rtu = "/dev/ttyUSB0"', 'rtu = "/dev/../dev/ttyUSB0"'),
    ],
)
def test_a_line_is_the_same_however_it_is_spelled(tmp_path: Path, first: str, second: str) -> None:
    (told,) = mistakes(tmp_path, f"format = 1\n[line.a]\n{first}\n[line.b]\n{second}\n" + METER)
    assert "line b: the same line as a" in told


SAID = {"low": 0, "high": 10, "share_of": 10, "time_s": 60, "fallback": 0}
"""What an installer says, where an adapter leaves it to them."""


@pytest.mark.parametrize("name", [name for name, path in shipped().items() if load(path).writes])
def test_every_adapter_that_ships_is_refreshed_thrice_before_its_fail_safe(name: str, tmp_path: Path) -> None:
    """What the installer says is put in, and nothing is left open: bounds, or states; a time, and a refresh in it."""
    adapter = load(shipped()[name])
    text = 'format = 1\n[line.a]\ntcp = "127.0.0.1"\n[device.d]\nline = "a"\n' + f'adapter = "{name}"\n'
    text += "" if adapter.link.stride is None else "part = 0\n"
    by_command = {write.command: own for own, write in adapter.writes.items()}
    for own in by_command.values():
        write = adapter.writes[own]
        text += f"[device.d.write.{own}]\n" + "".join(f"{key} = {SAID[key]}\n" for key in write.left_to_site)
        text += "" if write.allowed else 'signed = { by = "x", on = 2026-01-01, why = "y" }\n'
    device = site.load(written(tmp_path, text)).devices["d"]
    assert set(device.writes) == set(by_command.values())
    for own in device.writes:
        whole = device.whole(own)
        assert set(whole.left_to_site) <= {"share_of"}  # a site's share is asked of the device
        assert whole.states or (isinstance(whole.low, float) and isinstance(whole.high, float))
        if isinstance(whole.fail_safe.time_s, float):
            assert whole.fail_safe.refresh_s is not None
            assert 3 * whole.fail_safe.refresh_s <= whole.fail_safe.time_s + 1e-9


def test_a_folder_holds_it(tmp_path: Path) -> None:
    written(tmp_path, WHOLE)
    assert site.load(tmp_path).devices.keys() == {"battery", "wallbox-1", "meter"}


def test_the_tighter_bound_and_the_longer_interval_win(tmp_path: Path) -> None:
    power = site.load(written(tmp_path, WHOLE)).devices["battery"].whole("power")
    assert (power.low, power.high, power.interval_s) == (-20, 30, 5)
    wider = WHOLE.replace("low = -20", "low = -5000").replace("interval_s = 5", "interval_s = 0.1")
    power = site.load(written(tmp_path, wider)).devices["battery"].whole("power")
    assert (power.low, power.interval_s) == (-1000, 1)


def test_what_the_adapter_leaves_to_the_site_is_put_in(tmp_path: Path) -> None:
    text = WHOLE.replace("fallback = 6", "fallback = 6\ntime_s = 60")
    current = site.load(written(tmp_path, text)).devices["wallbox-1"].whole("current")
    assert current.fail_safe.fallback == 6
    assert current.fail_safe.time_s == 60
    assert current.left_to_site == ()
    assert current.fail_safe.refresh_s is not None
    assert current.fail_safe.refresh_s <= 20


def test_a_longer_timer_is_refreshed_less_often(tmp_path: Path) -> None:
    text = WHOLE.replace("interval_s = 5", "interval_s = 5\ntime_s = 300")
    power = site.load(written(tmp_path, text)).devices["battery"].whole("power")
    assert (power.fail_safe.time_s, power.fail_safe.refresh_s) == (300, 100)


def test_a_signature_stands_for_an_unknown_fail_safe(tmp_path: Path) -> None:
    text = """
        format = 1
        [line.heat]
        rtu_over_tcp = "10.0.0.7"
        [device.pump]
        adapter = "daikin-homehub"
        line = "heat"
        [device.pump.write.mode]
        """
    told = mistakes(tmp_path, text)
    assert told == [
        "devices.toml:8: device pump: write mode: nobody knows what daikin-homehub does when gridopt is gone; write "
        "signed = { by, on, why } if a person answers for it"
    ]
    signed = '[device.pump.write.mode.signed]\nby = "head of the plant"\non = 2026-03-01\nwhy = "normal is safe"\n'
    pump = site.load(written(tmp_path, textwrap.dedent(text) + signed)).devices["pump"]
    said = pump.writes["mode"].signed
    assert said is not None
    assert said.on == date(2026, 3, 1)
    assert pump.address == LineAddress("rtu-over-tcp", host="10.0.0.7", port=502)


LINE = '[line.a]\ntcp = "127.0.0.1:502"\n'
METER = '[device.m]\nadapter = "eastron-sdm630"\nline = "a"\n'
BATTERY = '[device.b]\nadapter = "gridopt-sim-battery"\nline = "a"\n'

BROKEN = {
    "nothing": (
        "format = 1",
        ["devices.toml:None: the site has no devices; write [device.NAME] with adapter and line"],
    ),
    "format": (LINE + METER, ["devices.toml:None: format is missing; write format = 1 at the top"]),
    "section": (
        "format = 1\n[lines.a]\n" + LINE + METER,
        ["devices.toml:2: unknown section lines; did you mean line?"],
    ),
    "two ways": (
        'format = 1\n[line.a]\ntcp = "h:1"\nrtu = "/dev/x"\n' + METER,
        ["devices.toml:2: line a: give one of tcp, rtu_over_tcp, tls, rtu"],
    ),
    "no way": ("format = 1\n[line.a]\n" + METER, ["devices.toml:2: line a: give one of tcp, rtu_over_tcp, tls, rtu"]),
    "port": (
        'format = 1\n[line.a]\ntcp = "meter:99999"\n' + METER,
        ['devices.toml:3: line a: tcp "meter:99999" is not an address; write "10.0.4.7:502"'],
    ),
    "url": (
        'format = 1\n[line.a]\ntcp = "http://meter"\n' + METER,
        ['devices.toml:3: line a: tcp "http://meter" is not an address; write "10.0.4.7:502"'],
    ),
    "baud on tcp": (
        "format = 1\n" + LINE + "baud = 9600\n" + METER,
        ["devices.toml:4: line a: baud is of no use to tcp"],
    ),
    "tls without proof": (
        'format = 1\n[line.a]\ntls = "h"\n' + METER,
        [
            f"devices.toml:2: line a: tls needs {key}: nothing is sent to a device that cannot prove who it is"
            for key in ("ca", "certificate", "private_key")
        ],
    ),
    "same line": (
        "format = 1\n" + LINE + '[line.b]\ntcp = "127.0.0.1"\n' + METER,
        ["devices.toml:4: line b: the same line as a: one session speaks over a line, so give it one name"],
    ),
    "no such line": (
        "format = 1\n" + LINE + METER.replace('"a"', '"b"'),
        ["devices.toml:6: device m: line b is not a line; there is only a"],
    ),
    "no such adapter": (
        "format = 1\n" + LINE + METER.replace("sdm630", "sdm63"),
        ["devices.toml:5: device m: there is no adapter eastron-sdm63; did you mean eastron-sdm630?"],
    ),
    "unit 0": (
        "format = 1\n" + LINE + METER + "unit_id = 0",
        ["devices.toml:7: device m: unit_id 0 is not within 1..255"],
    ),
    "same unit": (
        "format = 1\n" + LINE + METER + METER.replace("device.m", "device.n"),
        ["devices.toml:7: device n: m is unit 1 of line a already"],
    ),
    "no such point": (
        "format = 1\n" + LINE + METER + 'reads = { power_kw = "power_w" }',
        ["devices.toml:7: device m: power_w is no point of eastron-sdm630 that can be read; did you mean power_kw?"],
    ),
    "no such command": (
        "format = 1\n" + LINE + BATTERY + "[device.b.write.powr]\n",
        ["devices.toml:7: device b: write powr: gridopt-sim-battery has no such command; did you mean power?"],
    ),
    "a meter is only read": (
        "format = 1\n" + LINE + METER + "[device.m.write.power]\n",
        ["devices.toml:7: device m: write power: eastron-sdm630 has no such command; it is only read"],
    ),
    "a bound crossed": (
        "format = 1\n" + LINE + BATTERY + "[device.b.write.power]\nlow = 2000\n",
        ["devices.toml:7: device b: write power: low 2000 lies above high 1000"],
    ),
    "unknown key of a write": (
        "format = 1\n" + LINE + BATTERY + "[device.b.write.power]\nhihg = 5\n",
        ["devices.toml:8: device b: write power: unknown key hihg; did you mean high?"],
    ),
    "left to the site": (
        "format = 1\n" + LINE + '[device.w]\nadapter = "keba-p30"\nline = "a"\n[device.w.write.current]\n',
        [
            "devices.toml:7: device w: write current: fallback is the installer's to say: value that the device falls "
            "back to"
        ],
    ),
    "a stranger in the group": (
        "format = 1\n" + LINE + METER + '[group.g]\ndevices = ["m", "n"]\n',
        ["devices.toml:8: group g: n is not a device; there is only m"],
    ),
    "a key that is none": (
        "format = 1\n" + LINE + METER + '[approver.x]\npublic_key = "abc"\n',
        [
            'devices.toml:8: approver x: public_key "abc" is no public key: 64 hexadecimal digits, as `gridopt mandate '
            "key` prints them"
        ],
    ),
    "a part of one": (
        "format = 1\n" + LINE + METER + "part = 1",
        ["devices.toml:7: device m: eastron-sdm630 has no parts; part is of no use to it"],
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_mistake_is_told_with_its_line(name: str, tmp_path: Path) -> None:
    text, expected = BROKEN[name]
    assert mistakes(tmp_path, text) == expected


def test_every_mistake_at_once(tmp_path: Path) -> None:
    told = mistakes(tmp_path, "format = 2\n" + LINE + "baud = 1\n" + METER.replace("630", "6300") + "unit_id = 900")
    assert [line.split(":")[1] for line in told] == ["1", "4", "8"]


def test_the_mistakes_of_an_adapter_stand_in_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("format = 1\n")
    told = mistakes(tmp_path, "format = 1\n" + LINE + '[device.m]\nadapter = "mine.toml"\nline = "a"\n')
    assert all(line.startswith("mine.toml:") for line in told)
    assert any("kind is missing" in line for line in told)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_a_private_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    for name in ("ca.pem", "own.pem", "own.key"):
        (tmp_path / name).write_text("x")
    (tmp_path / "own.key").chmod(0o640)
    text = """
        format = 1
        [line.a]
        tls = "gateway"
        ca = "ca.pem"
        certificate = "own.pem"
        private_key = "own.key"
        role = "Operator"
        [device.m]
        adapter = "eastron-sdm630"
        line = "a"
        """
    (told,) = mistakes(tmp_path, text)
    assert "own.key can be read by others; allow it to nobody else: chmod 600" in told
    (tmp_path / "own.key").chmod(0o600)
    address = site.load(written(tmp_path, text)).lines["a"]
    assert (address.port, address.role, address.refusal()) == (802, "Operator", "")
    assert address.private_key == tmp_path / "own.key"


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match=r"there is no file .*devices\.toml"):
        site.load(tmp_path)
