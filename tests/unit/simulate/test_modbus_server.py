"""The simulated server, judged by clients of other descent: pymodbus, pyModbusTCP, and bare sockets and lines."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
import struct
import tty
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from gridopt.devices.adapter import load
from gridopt.simulate import faults
from gridopt.simulate.modbus_server import Server, loopback
from gridopt.simulate.registers import Registers
from gridopt.simulate.wire import crc, mbap, rtu

GARBAGE = ("garbage", "flood", "huge", "fuzz")


def device(first: int = 100, count: int = 20) -> Registers:
    """Registers whose words are their numbers, in all tables."""
    registers = Registers()
    for table, access in (("holding", "rw"), ("input", "r")):
        registers.put(table, first, tuple(range(first, first + count)), access)
    for table, access in (("coil", "rw"), ("discrete", "r")):
        registers.put(table, first, (1, 0, 1) + (0,) * (count - 3), access)
    return registers


def run(test: Callable[[Server], Awaitable[None]], **how: Any) -> Server:
    """A test with a server of units 1 and 2, closed afterwards."""
    server = Server({1: device(), 2: device(200)}, **how)

    async def whole() -> None:
        async with server:
            try:
                await asyncio.wait_for(test(server), 60)
            finally:
                await Raw.close_all()

    asyncio.run(whole())
    return server


class Raw:
    """A bare connection: what is sent is what the test says."""

    opened: ClassVar[list[Raw]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self.tid = reader, writer, 0

    @classmethod
    async def to(cls, server: Server) -> Raw:
        raw = cls(*await asyncio.open_connection(server.host, server.port))
        cls.opened.append(raw)
        return raw

    @classmethod
    async def close_all(cls) -> None:
        while cls.opened:
            writer = cls.opened.pop().writer
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def ask(self, pdu: bytes, unit: int = 1, wait_s: float = 5.0) -> bytes:
        """The whole answer; b"" when none comes within ``wait_s``."""
        self.tid += 1
        self.writer.write(mbap(self.tid, unit, pdu))
        return await self.heard(wait_s)

    async def heard(self, wait_s: float = 5.0) -> bytes:
        """What comes until a silence of 0.1 s, or the end."""
        found = b""
        while True:
            try:
                more = await asyncio.wait_for(self.reader.read(1 << 21), 0.1 if found else wait_s)
            except TimeoutError:
                return found
            except ConnectionError:
                return found
            if not more:
                return found
            found += more

    async def closed(self) -> bool:
        try:
            return await asyncio.wait_for(self.reader.read(), 5.0) == b""
        except ConnectionError:
            return True


READ = bytes((3, 0, 100, 0, 4))
WRITE = bytes((6, 0, 101, 0x12, 0x34))
WORDS = struct.pack(">4H", 100, 101, 102, 103)


# --- honest ----------------------------------------------------------------------------------------------------------


async def _all_functions(client: Any) -> None:
    assert (await client.read_coils(100, count=3, device_id=1)).bits[:3] == [True, False, True]
    assert (await client.read_discrete_inputs(100, count=3, device_id=1)).bits[:3] == [True, False, True]
    assert (await client.read_holding_registers(100, count=4, device_id=1)).registers == [100, 101, 102, 103]
    assert (await client.read_input_registers(200, count=20, device_id=2)).registers == list(range(200, 220))
    assert not (await client.write_coil(101, True, device_id=1)).isError()
    assert not (await client.write_register(101, 7, device_id=1)).isError()
    assert not (await client.write_coils(102, [False] + [True] * 9, device_id=1)).isError()
    assert not (await client.write_registers(102, [8, 9], device_id=1)).isError()
    assert (await client.read_coils(100, count=12, device_id=1)).bits[:12] == [True, True, False] + [True] * 9
    assert (await client.read_holding_registers(100, count=4, device_id=1)).registers == [100, 7, 8, 9]
    assert (await client.read_holding_registers(119, count=2, device_id=1)).exception_code == 2
    assert (await client.write_register(90, 1, device_id=1)).exception_code == 2
    assert (await client.mask_write_register(address=100, device_id=1)).exception_code == 1


def _client(server: Server, timeout: float = 3) -> Any:
    fast: dict[str, Any] = {"timeout": timeout, "retries": 0, "reconnect_delay": 0}
    if server.line == "rtu":
        return AsyncModbusSerialClient(server.path, baudrate=115200, **fast)
    framer = FramerType.RTU if server.framing == "rtu" else FramerType.SOCKET
    return AsyncModbusTcpClient(server.host, port=server.port, framer=framer, **fast)


@pytest.mark.parametrize("line", ["tcp", "rtu-over-tcp", "rtu"])
def test_pymodbus_reads_and_writes_everything(line: Any) -> None:
    async def test(server: Server) -> None:
        client = _client(server)
        assert await client.connect()
        await _all_functions(client)
        client.close()

    server = run(test, line=line)
    expected = {(1, 1): 2, (1, 2): 1, (1, 3): 3, (2, 4): 1, (1, 5): 1, (1, 6): 2, (1, 15): 1, (1, 16): 1, (1, 22): 1}
    assert server.counts == expected
    assert [entry[1:] for entry in server.log] == [
        (1, 5, 101, (1,)),
        (1, 6, 101, (7,)),
        (1, 15, 102, (0,) + (1,) * 9),
        (1, 16, 102, (8, 9)),
        (1, 6, 90, (1,)),
    ]
    assert server.writes == 5
    assert server.requests(3, 4, unit=2) == 1


def test_py_modbus_tcp_reads_and_writes_everything() -> None:
    clients = pytest.importorskip("pyModbusTCP.client")

    def whole(port: int) -> None:
        client = clients.ModbusClient(host="127.0.0.1", port=port, unit_id=2, timeout=3)
        assert client.read_holding_registers(200, 3) == [200, 201, 202]
        assert client.read_input_registers(200, 3) == [200, 201, 202]
        assert client.read_coils(200, 3) == [True, False, True]
        assert client.read_discrete_inputs(200, 3) == [True, False, True]
        assert client.write_single_register(200, 5)
        assert client.write_multiple_registers(201, [6, 7])
        assert client.write_single_coil(201, True)
        assert client.write_multiple_coils(202, [False, True])
        assert client.read_holding_registers(200, 3) == [5, 6, 7]
        assert client.read_coils(200, 4) == [True, True, False, True]
        assert client.read_holding_registers(0, 1) is None
        assert client.last_except == 2
        client.close()

    async def test(server: Server) -> None:
        await asyncio.to_thread(whole, server.port)

    assert run(test).requests(unit=2) == 11


@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        (bytes((3, 0, 100, 0, 0)), 3),
        (bytes((3, 0, 100, 0, 126)), 3),
        (bytes((3, 0, 100)), 3),
        (bytes((5, 0, 100, 0x12, 0x34)), 3),
        (bytes((16, 0, 100, 0, 2, 3, 0, 0, 0)), 3),
        (bytes((16, 0, 100, 0, 0, 0)), 3),
        (bytes((15, 0, 100, 0, 9, 1, 0xFF)), 3),
        (bytes((43, 14, 1, 0)), 1),
        (bytes((8, 0, 0, 0, 0)), 1),
        (bytes((3, 0, 118, 0, 4)), 2),
    ],
)
def test_what_cannot_be_asked_is_answered_by_the_exception_of_the_protocol(pdu: bytes, code: int) -> None:
    async def test(server: Server) -> None:
        answer = await (await Raw.to(server)).ask(pdu)
        assert answer == mbap(1, 1, bytes((pdu[0] | 0x80, code)))

    run(test)


@pytest.mark.parametrize(("gateway", "expected"), [(False, b""), (True, bytes((0x83, 11)))])
def test_an_unknown_unit_is_silent_or_a_gateway_says_so(gateway: bool, expected: bytes) -> None:
    async def test(server: Server) -> None:
        raw = await Raw.to(server)
        answer = await raw.ask(READ, unit=9, wait_s=0.1)
        assert answer[7:] == expected
        assert (await raw.ask(READ))[9:] == WORDS

    assert run(test, gateway=gateway).counts[9, 3] == 1


def test_requests_in_pieces_and_several_at_once_are_answered_in_order() -> None:
    async def test(server: Server) -> None:
        raw = await Raw.to(server)
        frames = mbap(1, 1, READ) + mbap(2, 2, bytes((3, 0, 200, 0, 1)))
        for byte in frames:
            raw.writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        assert await raw.heard() == mbap(1, 1, bytes((3, 8)) + WORDS) + mbap(2, 2, bytes((3, 2, 0, 200)))

    run(test)


@pytest.mark.parametrize("wrong", [{"protocol": 1}, {"length": 1}, {"length": 300}])
def test_a_connection_that_does_not_speak_modbus_is_closed(wrong: dict[str, int]) -> None:
    async def test(server: Server) -> None:
        raw = await Raw.to(server)
        raw.writer.write(mbap(1, 1, READ, **wrong))
        assert await raw.closed()

    server = run(test)
    assert server.broken == 1
    assert not server.counts


def test_a_line_drops_what_is_no_frame_and_hears_the_next_one() -> None:
    async def test(server: Server) -> None:
        raw = await Raw.to(server)
        good = rtu(1, READ)
        raw.writer.write(good[:-1] + bytes((good[-1] ^ 1,)))
        assert await raw.heard(0.1) == b""
        raw.writer.write(good[:5])
        assert await raw.heard(0.1) == b""
        raw.writer.write(good)
        assert await raw.heard() == rtu(1, bytes((3, 8)) + WORDS)
        raw.writer.write(rtu(0, WRITE))  # to all: nobody answers
        assert await raw.heard(0.1) == b""
        assert server.units[1].get("holding", 101) == (0x1234,)

    server = run(test, line="rtu-over-tcp")
    assert server.broken == 2
    assert server.counts == {(1, 3): 1, (0, 6): 1}


def test_the_check_of_a_frame_is_that_of_the_specification() -> None:
    """The example of MODBUS over Serial Line V1.02, 6.2.2: device 2, function 7."""
    assert crc(bytes((0x02, 0x07))) == bytes((0x41, 0x12))


def test_a_pseudo_terminal_is_a_line() -> None:
    async def test(server: Server) -> None:
        end = os.open(server.path, os.O_RDWR | os.O_NOCTTY)
        try:
            tty.setraw(end)
            os.write(end, rtu(2, bytes((3, 0, 200, 0, 1))))
            assert await asyncio.to_thread(os.read, end, 100) == rtu(2, bytes((3, 2, 0, 200)))
        finally:
            os.close(end)

    run(test, line="rtu")


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(begin).not_valid_after(begin + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem, secret = folder / "gateway.pem", folder / "gateway.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    return pem, secret


def test_a_line_over_tls_is_read_and_written_and_hears_nobody_in_plain(tmp_path: Path) -> None:
    pem, secret = _certificate(tmp_path)
    ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=pem)
    ours.load_cert_chain(pem, secret)

    async def test(server: Server) -> None:
        raw = Raw(*await asyncio.open_connection(server.host, server.port, ssl=theirs))
        Raw.opened.append(raw)
        assert (await raw.ask(READ))[9:] == WORDS
        assert await raw.ask(WRITE) == mbap(2, 1, WRITE)
        plain = await Raw.to(server)
        assert b"\3\x08" + WORDS not in await plain.ask(READ, wait_s=0.2)

    server = run(test, line="tls", tls=ours)
    assert server.counts == {(1, 3): 1, (1, 6): 1}
    with pytest.raises(ValueError, match="needs one"):
        Server({1: device()}, line="tls")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org", ""])
def test_nothing_listens_where_another_machine_could_reach_it(host: str) -> None:
    with pytest.raises(ValueError, match="this machine alone"):
        Server({1: device()}, host=host)


def test_loopback_has_three_names() -> None:
    assert [loopback(host) for host in ("127.0.0.1", "::1", "localhost")] == ["127.0.0.1", "::1", "localhost"]


# --- faults ----------------------------------------------------------------------------------------------------------


def test_faults_are_found_by_name() -> None:
    assert faults.parse("") is None
    assert faults.parse("exc:6*2") == faults.Fault("exc", "6", 2)
    assert faults.parse("slow").argument == "0.2"  # type: ignore[union-attr]
    for text, why in (
        ("slient", "did you mean silent"),
        ("slow:x", "does not take 'x'"),
        ("sentinel:XYZ", "does not take"),
        ("silent:3", "takes nothing"),
        ("slow:1*x", "no fault"),
    ):
        with pytest.raises(ValueError, match=why):
            faults.parse(text)
    with pytest.raises(ValueError, match="of TCP alone"):
        Server({1: device()}, line="rtu-over-tcp", fault="tid")
    with pytest.raises(ValueError, match="of RTU alone"):
        Server({1: device()}, fault="crc")


@pytest.mark.parametrize(
    ("fault", "pdu", "expected"),
    [
        ("silent", READ, b""),
        ("slow:0.01", READ, mbap(1, 1, b"\3\x08" + WORDS)),
        ("late:0.01", READ, mbap(1, 1, b"\3\x08" + WORDS)),
        ("half", READ, mbap(1, 1, b"\3\x08" + WORDS)[:8]),
        ("half_close", READ, mbap(1, 1, b"\3\x08" + WORDS)[:8]),
        ("dribble", READ, mbap(1, 1, b"\3\x08" + WORDS)),
        ("split", READ, mbap(1, 1, b"\3\x08" + WORDS)),
        ("tid", READ, mbap(2, 1, b"\3\x08" + WORDS)),
        ("tid:0", READ, mbap(0, 1, b"\3\x08" + WORDS)),
        ("pid", READ, mbap(1, 1, b"\3\x08" + WORDS, protocol=1)),
        ("len_short", READ, mbap(1, 1, b"\3\x08" + WORDS, length=10)),
        ("len_long", READ, mbap(1, 1, b"\3\x08" + WORDS, length=51)),
        ("unit", READ, mbap(1, 2, b"\3\x08" + WORDS)),
        ("dup", READ, mbap(1, 1, b"\3\x08" + WORDS) + mbap(1, 1, b"\3\x08" + WORDS[:-1] + b"\x66")),
        ("dup", WRITE, 2 * mbap(1, 1, WRITE)),
        ("fc", READ, mbap(1, 1, b"\4\x08" + WORDS)),
        ("fc", WRITE, mbap(1, 1, b"\5" + WRITE[1:])),
        ("fc_unknown", READ, mbap(1, 1, b"\x5a\x08" + WORDS)),
        ("few", READ, mbap(1, 1, b"\3\x06" + WORDS[:6])),
        ("many", READ, mbap(1, 1, b"\3\x0a" + WORDS + b"\0\0")),
        ("bytecount", READ, mbap(1, 1, b"\3\x0a" + WORDS)),
        ("bytecount0", READ, mbap(1, 1, b"\3\0")),
        ("odd", READ, mbap(1, 1, b"\3\x07" + WORDS[:7])),
        ("exc", READ, mbap(1, 1, b"\x83\4")),
        ("exc:6", WRITE, mbap(1, 1, b"\x86\6")),
        ("exc:99", READ, mbap(1, 1, b"\x83\x63")),
        ("exc_nofc", READ, mbap(1, 1, b"\x83")),
        ("echo_addr", WRITE, mbap(1, 1, b"\6\0\x64\x12\x34")),
        ("echo_value", WRITE, mbap(1, 1, b"\6\0\x65\x12\x35")),
        ("ack_nowrite", WRITE, mbap(1, 1, WRITE)),
        ("write_noack", WRITE, b""),
        ("sentinel:8000", READ, mbap(1, 1, b"\3\x08" + b"\x80\0" * 4)),
        ("nan", READ, mbap(1, 1, b"\3\x08" + b"\x7f\xc0\0\0" * 2)),
        ("off_by_one", READ, mbap(1, 1, b"\3\x08" + struct.pack(">4H", 101, 102, 103, 104))),
        ("swap", READ, mbap(1, 1, b"\3\x08" + struct.pack(">4H", 101, 100, 103, 102))),
        ("counter", READ, mbap(1, 1, b"\3\x08" + bytes(8))),
        ("counter:wrap", READ, mbap(1, 1, b"\3\x08" + b"\xff" * 7 + b"\xec")),
    ],
)
def test_a_fault_does_what_its_name_says(fault: str, pdu: bytes, expected: bytes) -> None:
    """And is met by one request only, where that is said."""

    async def test(server: Server) -> None:
        raw = await Raw.to(server)
        server.fault = f"{fault}*1"
        assert await raw.ask(pdu, wait_s=0.1 if expected == b"" else 5.0) == expected
        stored = fault not in ("ack_nowrite", "exc:6")
        if pdu == WRITE:
            assert server.units[1].get("holding", 101) == ((0x1234,) if stored else (101,))
            server.units[1].put("holding", 101, (101,))
        if fault == "half_close":
            assert await raw.closed()
            raw = await Raw.to(server)
        assert (await raw.ask(READ))[7:] == b"\3\x08" + WORDS

    assert run(test).counts == ({(1, 3): 2} if pdu == READ else {(1, 6): 1, (1, 3): 1})


def test_what_was_said_before_is_said_again() -> None:
    async def test(server: Server) -> None:
        raw = await Raw.to(server)
        first = await raw.ask(READ)
        server.fault = "stale_first"
        second = await raw.ask(bytes((3, 0, 110, 0, 1)))
        assert second == first + mbap(2, 1, bytes((3, 2, 0, 110)))
        server.fault = "stale_first:0"
        assert (await raw.ask(READ))[:14] == b"\0\0" + second[-9:] + b"\0\3\0"

    run(test)


def test_a_late_answer_does_not_hold_up_other_units_and_its_own_come_in_order() -> None:
    async def test(server: Server) -> None:
        server.set_fault(1, "late:0.2*1")
        raw = await Raw.to(server)
        raw.writer.write(mbap(1, 1, READ) + mbap(2, 1, bytes((3, 0, 110, 0, 1))) + mbap(3, 2, bytes((3, 0, 200, 0, 1))))
        found = b""
        while len(found) < 35:
            found += await raw.reader.read(100)
        assert [found[1], found[12], found[29]] == [3, 1, 2]

    run(test)


@pytest.mark.parametrize("fault", GARBAGE)
def test_noise_is_noise_and_the_device_goes_on(fault: str) -> None:
    async def test(server: Server) -> None:
        server.fault = f"{fault}*1"
        raw = await Raw.to(server)
        noise = await raw.ask(READ)
        assert noise[7:] != b"\3\x08" + WORDS
        assert len(noise) >= {"flood": 1 << 20, "huge": 1 << 16}.get(fault, 1)
        assert (await (await Raw.to(server)).ask(READ))[9:] == WORDS

    run(test)


def test_changes_at_random_are_the_same_for_the_same_seed() -> None:
    said: list[list[bytes]] = []

    async def test(server: Server) -> None:
        server.fault = "fuzz:7"
        raw = await Raw.to(server)
        said.append([await raw.ask(READ, wait_s=0.1) for _ in range(5)])

    run(test)
    run(test)
    assert said[0] == said[1]
    assert len(set(said[0])) > 1


def test_a_frame_that_nobody_asked_for_comes_on_connecting_and_before_answers() -> None:
    async def test(server: Server) -> None:
        server.fault = "unsolicited"
        raw = await Raw.to(server)
        assert (await raw.heard()) == faults.unsolicited("mbap")
        assert await raw.ask(READ) == faults.unsolicited("mbap") + mbap(1, 1, b"\3\x08" + WORDS)

    run(test)


def test_a_wrong_check_is_seen_by_who_checks_it() -> None:
    async def test(server: Server) -> None:
        server.fault = "crc"
        raw = await Raw.to(server)
        raw.writer.write(rtu(1, READ))
        answer = await raw.heard()
        assert answer[:-2] == rtu(1, b"\3\x08" + WORDS)[:-2]
        assert answer[-2:] != crc(answer[:-2])

    run(test, line="rtu-over-tcp")


def test_a_line_refuses_closes_and_comes_back() -> None:
    async def test(server: Server) -> None:
        port, first = server.port, await Raw.to(server)
        assert (await first.ask(READ))[9:] == WORDS
        server.fault = "refuse"
        await server.settled()
        assert await first.closed()
        with pytest.raises(ConnectionRefusedError):
            await Raw.to(server)
        server.fault = "accept_close"
        await server.settled()
        assert await (await Raw.to(server)).closed()
        server.fault = ""
        await server.settled()
        assert server.port == port
        assert (await (await Raw.to(server)).ask(READ))[9:] == WORDS

    run(test)


def test_a_device_of_one_session_closes_the_second() -> None:
    async def test(server: Server) -> None:
        first = await Raw.to(server)
        assert (await first.ask(READ))[9:] == WORDS
        assert await (await Raw.to(server)).closed()
        assert (await first.ask(READ))[9:] == WORDS

    assert run(test, fault="one-session").connections == 2


def test_a_device_that_starts_anew_in_the_middle_of_a_write_keeps_half_of_it() -> None:
    async def test(server: Server) -> None:
        restarts = []
        server.units[1].on_restart = lambda: restarts.append(1)
        server.fault = "reboot:0.05*1"
        raw = await Raw.to(server)
        raw.writer.write(mbap(1, 1, bytes((16, 0, 100, 0, 4, 8, 0, 1, 0, 2, 0, 3, 0, 4))))
        assert await raw.closed()
        assert server.units[1].get("holding", 100, 4) == (1, 2, 102, 103)
        assert restarts == [1]
        answer = b""
        while not answer:  # away for a while
            answer = await (await Raw.to(server)).ask(READ, wait_s=0.1)
        assert answer[9:13] == b"\0\1\0\2"

    run(test)


@pytest.mark.parametrize("fault", ["revert:0.01", "foreign:0.01"])
def test_a_device_or_another_master_takes_back_what_was_written(fault: str) -> None:
    async def test(server: Server) -> None:
        done: list[tuple[int, ...]] = []
        server.units[1].on_write = lambda table, address, words: done.append(words)
        server.fault = f"{fault}*1"
        raw = await Raw.to(server)
        assert await raw.ask(WRITE) == mbap(1, 1, WRITE)
        while len(done) < 2:
            await asyncio.sleep(0.001)
        assert done == [(0x1234,), (101,)]
        assert (await raw.ask(READ))[9:] == WORDS

    assert run(test).writes == 1


def test_another_master_writes_at_will_and_is_not_counted() -> None:
    async def test(server: Server) -> None:
        server.foreign(1, 100, (7,))
        assert server.units[1].get("holding", 100) == (7,)

    assert run(test).writes == 0


def test_readings_freeze_and_thaw_while_settings_do_not() -> None:
    async def test(server: Server) -> None:
        raw, ask = await Raw.to(server), bytes((4, 0, 100, 0, 1))
        server.fault = "frozen"
        assert (await raw.ask(ask))[-2:] == b"\0\x64"
        server.units[1].put("input", 100, (5,))
        server.units[1].put("holding", 100, (5,))
        assert (await raw.ask(ask))[-2:] == b"\0\x64"
        assert (await raw.ask(READ))[9:11] == b"\0\5"
        server.fault = ""
        assert (await raw.ask(ask))[-2:] == b"\0\5"

    run(test)


def test_faults_know_values_from_names_where_the_adapter_says_what_words_mean() -> None:
    """A battery of gridopt: names stay, numbers go; a share of the power is stored, of the time all."""
    adapter = load("gridopt-sim-battery")
    points = adapter.points
    registers = Registers(points.values(), bridge_registers=100)
    for point in points.values():
        registers.put(point.table, point.address, (0x4101,) * point.codec.registers, point.access)

    async def test() -> None:
        async with Server({1: registers}) as server:
            raw = await Raw.to(server)
            power, name = points["power_kw"].address, points["model_name"].address
            read = struct.pack(">BHH", 4, name, power + 4 - name)
            server.fault = "nan"
            answer = (await raw.ask(read))[9:]
            assert answer[:24] == b"\x41\x01" * 12
            assert answer[-8:] == b"\x7f\xc0\0\0" + b"\x7f\xc0" + b"\x41\x01"  # power, soc, and a code
            server.fault = "clamp:0.5"
            setpoint = points["setpoint_kw"].address
            write = struct.pack(">BHHB4H", 16, setpoint, 4, 8, 0xFFFF, 0xFFF6, 60, 1)
            assert await raw.ask(write) == mbap(2, 1, write[:5])
            assert registers.get("holding", setpoint, 4) == (0xFFFF, 0xFFFB, 60, 1)
            server.fault = "swap"
            await raw.ask(write)
            assert registers.get("holding", setpoint, 4) == (0xFFF6, 0xFFFF, 60, 1)
            await Raw.close_all()

    asyncio.run(test())


def test_every_fault_can_be_met_without_harm_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """pymodbus meets each of them, over TCP and RTU; afterwards the device is honest again."""
    monkeypatch.setattr(logging.getLogger("pymodbus.logging"), "disabled", True)  # it shows every frame

    async def test(server: Server) -> None:
        for name, kind in faults.FAULTS.items():
            if kind.only not in (None, server.framing):
                continue
            client = _client(server, timeout=0.1)
            server.fault = name
            await server.settled()
            try:
                await client.connect()
                await client.read_holding_registers(100, count=4, device_id=1)
                await client.write_registers(100, [100, 101], device_id=1)
            except ModbusException:
                pass
            client.close()
            server.fault = ""
            await server.settled()
        await asyncio.sleep(1.2)  # answers that are late, devices that are away
        client = _client(server)
        assert await client.connect()
        assert (await client.read_holding_registers(102, count=2, device_id=1)).registers == [102, 103]
        client.close()

    for line in ("tcp", "rtu-over-tcp"):
        run(test, line=line)
