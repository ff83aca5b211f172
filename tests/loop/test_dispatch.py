"""Dispatch over loopback: what servers count and registers hold decides, not what dispatch says of itself."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gridopt.cli.main import main
from gridopt.devices.codec import encode
from gridopt.dispatch import channel as channels
from gridopt.dispatch.channel import Order
from gridopt.dispatch.hold import Keep, Network
from gridopt.dispatch.prove import Status
from gridopt.jobs import field
from gridopt.simulate.faults import FAULTS
from gridopt.store.journal import Journal
from tests.support.loopback import PAST, TIME_S, Place, a_place, write_plan

BAT = ("bat", "power")
ALL = {BAT: [5.0] * 8, ("car", "current"): [10.0] * 8, ("pump", "mode"): [2.0] * 8, ("sun", "limit"): [4.0] * 8}
EVERY = ("bat", "car", "pump", "sun")
PYTHON = [sys.executable, "-c", "import sys; from gridopt.cli.main import main; sys.exit(main())"]


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDOPT_STATE", str(tmp_path / "state"))


def on(tmp_path: Path, work: Callable[[Place], Awaitable[None]], *names: str, **said: Any) -> None:
    """Serve a site and do something beside it."""

    async def go() -> None:
        async with a_place(tmp_path, names or ("bat",), **said) as place:
            await work(place)

    asyncio.run(go())


async def cli(*words: object, text: str | None = None) -> Result:
    """A command, in a thread of its own while the servers answer."""
    return await asyncio.to_thread(CliRunner().invoke, main, [str(w) for w in words], input=text)


# --- what must write nothing ------------------------------------------------------------------------------------------


def test_ds29_a_dry_run_shows_every_request_and_the_server_counts_no_write(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        write_plan(place.run, ALL)
        said = await cli("push", place.run, "--site", tmp_path)
        assert said.exit_code == 0, said.output
        assert "16 @ 200: 0000 1388 0003 0001    setpoint_kw = 5 kW, revert_s = 3 s, enable = on" in said.stdout
        assert "Nothing was sent." in said.stdout
        watched = await cli("watch", place.run, "--site", tmp_path)
        assert "Nothing was sent." in watched.stdout
        assert place.server.requests() > 0
        assert place.server.writes == 0

    on(tmp_path, work, *EVERY)


def at_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The battery stands at the least that it may hold, and may not be discharged."""
    keep = Keep("bat", "soc", 0.5, 0.9, name="its content", start="asset.bat.soc_start")
    monkeypatch.setattr(field, "network", lambda *_: Network(keeps=[keep]))


@pytest.mark.parametrize("command", ["push", "watch"])
def test_ds29_a_dry_run_refuses_what_a_live_one_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    at_its_floor(monkeypatch)

    async def work(place: Place) -> None:
        digest = write_plan(place.run, {**ALL, BAT: [-5.0] * 8})
        dry = await cli(command, place.run, "--site", tmp_path)
        assert dry.exit_code == 14, dry.output
        assert "bat: power -5 kW: would be refused" in dry.stdout
        why = "its content is 0.5, the least that it may be, and -5 kW would lower it"
        assert why in dry.stdout
        assert dry.stdout.count("would be told") == 3
        assert place.server.writes == 0
        live = await cli("push", place.run, "--site", tmp_path, "--live", "--hash", digest)
        assert live.exit_code == 14
        assert why in live.stdout
        assert live.stdout.count("confirmed") == 3

    on(tmp_path, work, *EVERY)


def test_ds29_a_dry_run_tells_a_plan_that_is_replaced_or_over(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        write_plan(place.folder / "old", {BAT: [4.0] * 8})
        digest = write_plan(place.run, {BAT: [5.0] * 8}, created=datetime.now(UTC))
        assert (await cli("push", place.run, "--site", tmp_path, "--live", "--hash", digest)).exit_code == 0
        said = await cli("push", place.folder / "old", "--site", tmp_path)
        assert said.exit_code == 11, said.output
        assert "was replaced by" in said.stdout
        write_plan(place.folder / "past", {BAT: [4.0] * 8}, (datetime.now(UTC) - PAST).replace(second=0, microsecond=0))
        said = await cli("push", place.folder / "past", "--site", tmp_path, "--json")
        assert said.exit_code == 11
        assert "ended at" in json.loads(said.stdout)["why"]

    on(tmp_path, work)


@pytest.mark.parametrize("command", ["push", "watch"])
def test_ds29_without_hash_or_mandate_nothing_is_written(tmp_path: Path, command: str) -> None:
    async def work(place: Place) -> None:
        write_plan(place.run, ALL)
        for typed, code in (("cd" * 6, 2), ("", 2)):
            said = await cli(command, place.run, "--site", tmp_path, "--live", "--hash", typed)
            assert said.exit_code == code, said.output
            assert "is not the hash of the plan" in said.stderr
        asked = await cli(command, place.run, "--site", tmp_path, "--live", text="no\n")
        assert asked.exit_code == 2
        assert place.server.writes == 0

    on(tmp_path, work, *EVERY)


def test_ds29_the_hash_typed_at_the_prompt_sends_and_proves(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        digest = write_plan(place.run, ALL)
        said = await cli("push", place.run, "--site", tmp_path, "--live", text=f"{digest[:12]}\n")
        assert said.exit_code == 0, said.output
        assert said.stdout.count("confirmed") == 4
        assert place.value("bat", "setpoint_kw") == 5.0
        assert place.value("car", "current_limit_a") == 10.0

    on(tmp_path, work, *EVERY)


@pytest.mark.parametrize(("start", "part"), [(-PAST, "ended at"), (PAST, "begins at")], ids=["expired", "future"])
def test_ds04_a_plan_of_another_time_writes_nothing(tmp_path: Path, start: timedelta, part: str) -> None:
    async def work(place: Place) -> None:
        begin = (datetime.now(UTC) + start).replace(minute=0, second=0, microsecond=0)
        digest = write_plan(place.run, ALL, begin)
        said = await cli("push", place.run, "--site", tmp_path, "--live", "--hash", digest)
        assert said.exit_code == 11, said.output
        assert part in said.stderr
        assert place.server.writes == 0

    on(tmp_path, work, *EVERY)


def test_ds04_a_plan_that_was_changed_or_replaced_writes_nothing(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        old = write_plan(place.folder / "old", {BAT: [4.0] * 8})
        digest = write_plan(place.run, {BAT: [5.0] * 8}, created=datetime.now(UTC))
        assert (await cli("push", place.run, "--site", tmp_path, "--live", "--hash", digest)).exit_code == 0
        before = place.server.writes
        said = await cli("push", place.folder / "old", "--site", tmp_path, "--live", "--hash", old)
        assert said.exit_code == 11
        assert "was replaced by" in said.stderr
        summary = place.run / "summary.json"
        summary.write_text(summary.read_text().replace('"optimal"', '"within gap"'))
        assert (await cli("push", place.run, "--site", tmp_path, "--live", "--hash", digest)).exit_code == 11
        assert place.server.writes == before

    on(tmp_path, work)


@pytest.mark.parametrize("fault", ["sentinel:8000", "nan", "silent", "off_by_one", "swap", "garbage", "exc:2", "few"])
def test_ds06_ds07_what_cannot_be_read_or_is_another_device_is_not_written_to(tmp_path: Path, fault: str) -> None:
    async def work(place: Place) -> None:
        place.server.fault = fault
        digest = write_plan(place.run, {BAT: [5.0] * 8})
        said = await cli("push", place.run, "--site", tmp_path, "--live", "--hash", digest)
        assert said.exit_code == 14, said.output
        assert place.server.writes == 0

    on(tmp_path, work)


def test_ds07_another_serial_number_is_another_device(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        text = (
            (tmp_path / "devices.toml").read_text().replace("[device.bat.write", 'serial = "B-17"\n[device.bat.write')
        )
        (tmp_path / "devices.toml").write_text(text)
        digest = write_plan(place.run, {BAT: [5.0] * 8})
        said = await cli("push", place.run, "--site", tmp_path, "--live", "--hash", digest)
        assert said.exit_code == 14
        assert "serial number is bat, not B-17" in said.stdout
        assert place.server.writes == 0

    on(tmp_path, work)


# --- a watch in a process of its own ----------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def watching(place: Place, digest: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A live watch, once it holds the battery."""
    words = ["watch", place.run, "--site", place.folder, "--live", "--hash", digest]
    process = await asyncio.create_subprocess_exec(
        *PYTHON, *map(str, words), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        await until(lambda: place.value("bat", "enable") == "on" or process.returncode is not None)
        assert process.returncode is None, (await process.communicate())[1].decode()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def until(true: Callable[[], bool], most_s: float = 60.0) -> None:
    end_s = time.monotonic() + most_s
    while not true() and time.monotonic() < end_s:
        await asyncio.sleep(0.05)
    assert true(), "not within its time"


def test_ds10_a_second_process_ends_without_a_write_and_a_killed_holder_blocks_nobody(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        digest = write_plan(place.run, {BAT: [5.0] * 8})
        async with watching(place, digest) as process:
            before = [w for w in place.server.log if w.words[:2] != (0, 5000)]
            second = write_plan(place.folder / "second", {BAT: [2.0] * 8}, created=datetime.now(UTC))
            said = await cli("push", place.folder / "second", "--site", tmp_path, "--live", "--hash", second)
            assert said.exit_code == 14, said.output
            assert f"in use by watch (process {process.pid})" in said.stderr
            assert [w for w in place.server.log if w.words[:2] != (0, 5000)] == before
            process.kill()
            await process.wait()
        said = await cli("push", place.folder / "second", "--site", tmp_path, "--live", "--hash", second)
        assert said.exit_code == 0, said.output
        assert place.value("bat", "setpoint_kw") == 2.0

    on(tmp_path, work)


def test_ds22_ds23_held_beyond_its_timer_and_gone_after_kill(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        digest = write_plan(place.run, {BAT: [5.0] * 8})
        async with watching(place, digest) as process:
            await asyncio.sleep(2 * TIME_S)
            assert place.value("bat", "enable") == "on"
            times = [w.time_s for w in place.server.log]
            assert max(b - a for a, b in itertools.pairwise(times)) < TIME_S / 2, "at a third, and never late"
            process.kill()
            await process.wait()
            await asyncio.sleep(TIME_S + 0.5)
            assert place.fallen_back
        assert not Journal.read(tmp_path / "state" / "journal.sqlite").verify()

    on(tmp_path, work)


def test_ds23_ds24_sigterm_gives_everything_back(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        digest = write_plan(place.run, ALL)
        async with watching(place, digest) as process:
            process.send_signal(signal.SIGTERM)
            out, _ = await process.communicate()
            assert process.returncode == 0, out.decode()
            assert "bat: power: released (SIGTERM)" in out.decode()
            assert place.fallen_back

    on(tmp_path, work, *EVERY)


def test_a_watch_tells_what_each_device_is_told_once_and_ends_with_14_where_one_was_refused(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        digest = write_plan(place.run, {**ALL, ("car", "current"): [99.0] * 8})
        async with watching(place, digest) as process:
            await asyncio.sleep(2 * TIME_S)
            process.send_signal(signal.SIGTERM)
            out, told = await process.communicate()
            lines = told.decode().splitlines()
            assert process.returncode == 14, told.decode()
            assert sum("bat: power 5 kW: confirmed" in line for line in lines) == 1, lines
            assert sum("car: current 99 A: refused (" in line for line in lines) == 1, lines
            assert "car: current: refused (" in out.decode()
        with Journal.read(tmp_path / "state" / "journal.sqlite") as journal:
            assert sum(e.kind == "refused" for e in journal.entries()) == 1

    on(tmp_path, work, *EVERY)


def test_ds31_stop_is_obeyed_by_a_watch_and_forbids_writing_until_lifted(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        digest = write_plan(place.run, ALL)
        async with watching(place, digest) as process:
            said = await cli("stop", "--all", "--site", tmp_path)
            assert said.exit_code == 0, said.output
            assert place.fallen_back
            assert await process.wait() == 0
        before = place.server.writes
        refused = await cli("push", place.run, "--site", tmp_path, "--live", "--hash", digest)
        assert refused.exit_code == 2
        assert "gridopt stop --lift" in refused.stderr
        assert place.server.writes == before
        assert (await cli("stop", "--lift")).exit_code == 0
        assert (await cli("push", place.run, "--site", tmp_path, "--live", "--hash", digest)).exit_code == 0

    on(tmp_path, work, "bat", "car", "sun")


def test_ds31_a_watch_that_hangs_is_named_and_its_devices_fall_back(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        digest = write_plan(place.run, {BAT: [5.0] * 8})
        async with watching(place, digest) as process:
            process.send_signal(signal.SIGSTOP)
            said = await cli("stop", "--all", "--site", tmp_path, "--deadline", TIME_S + 1)
            assert said.exit_code == 14
            assert f"process {process.pid}" in said.stdout
            assert place.fallen_back
            process.send_signal(signal.SIGCONT)

    on(tmp_path, work)


def test_ds31_where_nobody_runs_stop_gives_back_what_was_left(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        digest = write_plan(place.run, ALL)
        assert (await cli("push", place.run, "--site", tmp_path, "--live", "--hash", digest)).exit_code == 0
        assert not place.fallen_back
        said = await cli("stop", "--all", "--site", tmp_path, "--json")
        assert said.exit_code == 0, said.output
        assert {d["device"]: d["status"] for d in json.loads(said.stdout)["devices"]}["bat"] == "released"
        assert place.fallen_back

    on(tmp_path, work, *EVERY)


def test_ds31_stop_without_a_site_gives_back_what_the_journal_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    async def work(place: Place) -> None:
        digest = write_plan(place.run, ALL)
        assert (await cli("push", place.run, "--site", "..", "--live", "--hash", digest)).exit_code == 0
        assert not place.fallen_back
        monkeypatch.chdir("/")
        said = await cli("stop", "--all")
        assert said.exit_code == 0, said.output
        assert "bat: power: released" in said.stdout
        assert place.fallen_back

    on(tmp_path, work, *EVERY)


def test_ds31_stop_that_knows_no_site_says_what_it_did_and_did_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(main, ["stop", "--all"])
    assert said.exit_code == 14, said.output
    assert (tmp_path / "state" / "stop").is_file()
    for part in ("Stop is set", "No device was given back", "gridopt stop --lift", "--site FILE"):
        assert part in said.stdout


def test_ds31_a_site_whose_file_is_gone_is_told_while_something_may_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")

    async def work(place: Place) -> None:
        digest = write_plan(place.run, {BAT: [5.0] * 8})
        assert (await cli("push", place.run, "--site", tmp_path, "--live", "--hash", digest)).exit_code == 0
        file, gone = tmp_path / "devices.toml", tmp_path / "moved.toml"
        file.rename(gone)
        said = await cli("stop", "--all")
        assert said.exit_code == 14, said.output
        assert "devices.toml is gone, and what bat was told may stand" in said.stdout
        gone.rename(file)
        assert (await cli("stop", "--all")).exit_code == 0
        assert place.fallen_back

    on(tmp_path, work)


def test_ds27_systemd_is_fed_by_turns_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as said:
        said.bind(str(path))
        said.settimeout(1)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))

        async def work(place: Place) -> None:
            digest = write_plan(place.run, {BAT: [5.0] * 8})
            async with watching(place, digest) as process:
                said.settimeout(20)
                while said.recv(64) != b"WATCHDOG=1":
                    pass
                process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(0.2)
                said.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        said.recv(64)
                await asyncio.sleep(2)
                with pytest.raises(BlockingIOError):
                    said.recv(64)
                process.send_signal(signal.SIGCONT)

        on(tmp_path, work)


# --- no false word about a write --------------------------------------------------------------------------------------


def quick_adapter(folder: Path) -> None:
    """The simulated battery with short waits, so that faults pass quickly."""
    from gridopt.devices.adapter import find

    text = find("gridopt-sim-battery").read_text()
    text = text.replace("[link]", "[link]\ntimeout_s = 0.2").replace("settle_s = 0.2", "settle_s = 0.05")
    (folder / "quick.toml").write_text(text.replace("seen_within_s = 10", "seen_within_s = 1"))


SLOW_FAULTS = ("flood", "huge", "dribble")
ARGUMENTS = {"slow": "slow:0.4", "late": "late:0.4", "reboot": "reboot:0.3"}
TRIED = [ARGUMENTS.get(name, name) for name, kind in FAULTS.items() if kind.only != "rtu" and name not in SLOW_FAULTS]
TRIED_RTU = [
    ARGUMENTS.get(name, name) for name, kind in FAULTS.items() if kind.only != "mbap" and name not in SLOW_FAULTS
]


async def _under(folder: Path, fault: str, line: str) -> str:
    """Tell a battery something while a fault is on from the write on; what is wrong with what is said of it."""
    folder.mkdir()
    quick_adapter(folder)
    async with a_place(folder, line=line) as place:
        toml = folder / "devices.toml"
        toml.write_text(toml.read_text().replace("gridopt-sim-battery", "quick.toml"))
        site = field.sites.load(folder)
        with Journal.open(folder / "journal.sqlite") as journal:
            options: Any = {"who": "test", "holder": "test", "may": lambda *_: "", "live": True}
            async with field.opened(site, journal, **options) as opened:
                return await _judge(opened, place, fault)


async def _judge(opened: field.Field, place: Place, fault: str) -> str:
    channel = opened.channel("bat")
    write, sent = channel.device.write, []

    async def faulty(frame: Any, release: bool = False) -> Any:
        if not sent:
            place.server.fault = fault
        if not release:
            sent.append(frame)
        return await write(frame, release)

    channel.device.write = faulty  # type: ignore[method-assign]
    order = Order(5.0, "p", "h", "optimal", 0)
    for _ in range(12):
        outcome = await channel.act(order, opened.clock.look())
        if outcome.status in (Status.CONFIRMED, Status.NOT_FOLLOWING):
            break
        await asyncio.sleep(0.1)
    holds = place.served["bat"].registers.get("holding", 200, 4) == (*encode_kw(5.0), TIME_S, 1)
    changes = [e for e in channel.journal.entries() if e.kind == "intent" and e.body["reason"] == "plan"]
    on_wire = [w for w in place.server.log if w.words[:2] == encode_kw(5.0)]
    if outcome.status is Status.CONFIRMED and not holds and fault not in ("revert", "foreign"):
        return f"{fault}: confirmed, and the registers do not hold it"
    if len(changes) > 1 + channels.REASSERTS:
        return f"{fault}: {len(changes)} changes"
    # A value that is refreshed is on the wire again; a write that nobody answered is not.
    if fault == "write_noack" and outcome.status is not Status.CONFIRMED and len(on_wire) > 1:
        return f"{fault}: repeated"
    if fault == "ack_nowrite" and outcome.status is Status.CONFIRMED:
        return f"{fault}: believed"
    return ""


def encode_kw(value: float) -> tuple[int, ...]:
    from gridopt.devices.adapter import load

    return encode(load("gridopt-sim-battery").points["setpoint_kw"].codec, value)


def _all_under(folder: Path, line: str, faults: list[str]) -> list[str]:
    async def go() -> list[str]:
        found: list[str] = []
        for k in range(0, len(faults), 10):
            those = faults[k : k + 10]
            found += await asyncio.gather(*(_under(folder / f.replace(":", "-"), f, line) for f in those))
        return found

    assert len(faults) > 10
    return [wrong for wrong in asyncio.run(go()) if wrong]


def test_ds13_ds15_no_fault_makes_a_false_confirmation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "PATIENCE_S", 0.1)
    assert _all_under(tmp_path, "tcp", TRIED) == []


def test_ds14_nor_on_a_serial_line_where_a_late_answer_looks_like_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "PATIENCE_S", 0.1)
    assert _all_under(tmp_path, "rtu_over_tcp", TRIED_RTU) == []


def test_ds35_nor_do_answers_changed_at_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "PATIENCE_S", 0.1)
    assert _all_under(tmp_path, "tcp", [f"fuzz:{seed}" for seed in range(1, 21)]) == []


# --- commissioning ----------------------------------------------------------------------------------------------------


def test_ds22_prove_failsafe_sees_the_device_fall_back(tmp_path: Path) -> None:
    from gridopt.jobs.prove_failsafe import prove_failsafe

    async def work(place: Place) -> None:
        site = field.sites.load(tmp_path)
        proof = await asyncio.to_thread(prove_failsafe, site, "bat", 5.0, lambda _: None)
        assert proof.holds, proof
        assert proof.after_s == pytest.approx(TIME_S, abs=1.6)
        assert place.fallen_back

    on(tmp_path, work)


def test_ds22_prove_failsafe_says_where_it_never_acts(tmp_path: Path) -> None:
    from gridopt.jobs.prove_failsafe import prove_failsafe

    async def work(place: Place) -> None:
        place.served["bat"].expire = lambda now_s: None  # type: ignore[method-assign]
        site = field.sites.load(tmp_path)
        proof = await asyncio.to_thread(prove_failsafe, site, "bat", 5.0, lambda _: None)
        assert not proof.holds
        assert proof.exit_code == 14
        assert "still held the value" in proof.why
        assert place.value("bat", "enable") == "off", "given back all the same"

    on(tmp_path, work)


def test_the_journal_tells_and_verifies(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        digest = write_plan(place.run, {BAT: [5.0] * 8})
        await cli("push", place.run, "--site", tmp_path, "--live", "--hash", digest)
        told = await cli("journal")
        assert "intent bat: power 0.0 → 5.0 (plan, push by" in told.stdout
        assert (await cli("journal", "--verify")).exit_code == 0
        entries = json.loads((await cli("journal", "--json", "--device", "bat")).stdout)["entries"]
        assert {e["kind"] for e in entries} >= {"intent", "result", "seen"}

    on(tmp_path, work)
    assert os.environ["GRIDOPT_STATE"]


# --- kill -9 at any moment --------------------------------------------------------------------------------------------

VALUES = [2.0, 5.0, -3.0, 4.0]


def _dispatch(folder: Path, turns_s: float) -> None:
    """What is killed: a process that tells the battery another value every 0.3 s, as often as time allows."""

    async def go() -> None:
        site = field.sites.load(folder)
        with Journal.open(folder / "journal.sqlite") as journal:
            options: Any = {"who": "test", "holder": "test", "may": lambda *_: "", "live": True}
            async with field.opened(site, journal, **options) as opened:
                channel = opened.channel("bat")
                channel.pace_s = 0.05
                await channel.begin(opened.clock.look())
                end_s = time.monotonic() + turns_s
                while time.monotonic() < end_s:
                    step = int(time.time() / 0.3)
                    order = Order(VALUES[step % len(VALUES)], "p", "h", "optimal", step)
                    await channel.act(order, opened.clock.look())
                    await asyncio.sleep(0.01)

    asyncio.run(go())


def _forked(work: Callable[[], None]) -> int:
    """A process of its own, without the time that starting Python takes."""
    pid = os.fork()
    if pid:
        return pid
    with contextlib.suppress(BaseException):
        asyncio.events._set_running_loop(None)
        work()
    os._exit(0)


async def _gone(pid: int) -> None:
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        await asyncio.sleep(0.02)


async def _killed_at(folder: Path, after_s: float, soon: bool) -> str:
    """Kill a dispatch after so long; what is wrong afterwards. ``soon``: the next one starts before the fail-safe."""
    folder.mkdir()
    quick_adapter(folder)
    async with a_place(folder) as place:
        toml = folder / "devices.toml"
        text = toml.read_text().replace("gridopt-sim-battery", "quick.toml").replace("time_s = 3", "time_s = 1")
        toml.write_text(text + "interval_s = 0.1\n")
        Journal.open(folder / "journal.sqlite").close()
        first = _forked(lambda: _dispatch(folder, 60.0))
        await asyncio.sleep(after_s)
        os.kill(first, signal.SIGKILL)
        await _gone(first)
        killed_s = time.monotonic()
        if not soon:
            await asyncio.sleep(1.2)
            if not place.fallen_back:
                return f"{after_s:.3f} s: not in its fallback"
        with Journal.open(folder / "journal.sqlite") as journal:
            if journal.verify():
                return f"{after_s:.3f} s: the journal is not whole"
            entries = len(list(journal.entries()))
        held = place.value("bat", "setpoint_kw") if place.value("bat", "enable") == "on" else None
        second = _forked(lambda: _dispatch(folder, 0.6))
        await _gone(second)
        wrong = _after(folder, place, held, entries)
        await asyncio.sleep(max(killed_s + 3.5 - time.monotonic(), 1.3))
        if not place.fallen_back:
            return f"{after_s:.3f} s: not in its fallback after the second"
        return f"{after_s:.3f} s: {wrong}" if wrong else ""


def _after(folder: Path, place: Place, held: float | None, entries: int) -> str:
    """What the second process did wrong: a write without its intent, an intent without its end, a change made twice."""
    with Journal.read(folder / "journal.sqlite") as journal:
        if journal.verify():
            return "the journal is not whole"
        told = list(journal.entries())
        intents = [e for e in told if e.kind == "intent"]
        frames = sum(len(e.body["frames"]) for e in intents)
        refreshes = sum(int(e.body["requests"]) for e in told if e.kind == "refreshes")
        if len(place.server.log) > frames + refreshes:
            return f"{len(place.server.log)} writes, and the journal knows of {frames + refreshes}"
        open_then = {e.seq for e in told[:entries] if e.kind == "intent"} - {
            e.body["intent"] for e in told if e.kind == "result"
        }
        if open_then:
            return f"intent {open_then} has no end"
        later = [e for e in told[entries:] if e.kind == "intent" and e.body["reason"] == "plan"]
        if held is not None and later and later[0].body["new"] == held:
            return f"{held} was told again, and stood"
    return ""


def _kill_points(folder: Path, many: int, together: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(channels, "PATIENCE_S", 0.1)
    random = Random(7)

    async def go() -> list[str]:
        found: list[str] = []
        for k in range(0, many, together):
            points = [(random.uniform(0.0, 1.5), (k + j) % 2 == 0) for j in range(min(together, many - k))]
            work = (_killed_at(folder / f"{k + j}", *point) for j, point in enumerate(points))
            found += await asyncio.gather(*work)
        return found

    return [wrong for wrong in asyncio.run(go()) if wrong]


def test_ds23_ds25_killed_at_ten_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _kill_points(tmp_path, 10, 5, monkeypatch) == []


@pytest.mark.slow
def test_ds23_ds25_killed_at_200_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _kill_points(tmp_path, 200, 8, monkeypatch) == []


# --- under a mandate --------------------------------------------------------------------------------------------------


def signed(place: Place, rung: str = "optimal", high: float = 10.0) -> None:
    """A mandate for the battery, beside devices.toml."""
    from gridopt.dispatch import mandate

    public = mandate.new_key(place.folder / f"{rung}-{high}.key")
    toml = place.folder / "devices.toml"
    text = toml.read_text().split("[approver")[0]
    toml.write_text(text + f'[approver.person]\npublic_key = "{public}"\n')
    now = datetime.now(UTC)
    (place.folder / "mandate.toml").write_text(
        f'format = 1\napprover = "person"\nfrom = {now - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}\n'
        f"until = {now + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}\n"
        f'rung = "{rung}"\n[device.bat.power]\nlow = -10\nhigh = {high}\n'
    )
    mandate.sign(place.folder / "mandate.toml", field.sites.load(place.folder), place.folder / f"{rung}-{high}.key")


@pytest.mark.parametrize(
    ("rung", "high", "part"),
    [("optimal", 4.0, "allows -10 to 4, not 5"), ("optimal", 10.0, ""), ("changed", 10.0, "signature")],
)
def test_ds29_a_mandate_allows_what_it_names_and_nothing_more(
    tmp_path: Path, rung: str, high: float, part: str
) -> None:
    async def work(place: Place) -> None:
        signed(place, "optimal", high)
        write_plan(place.run, {BAT: [5.0] * 8})
        if rung == "changed":
            file = tmp_path / "mandate.toml"
            file.write_text(file.read_text().replace("-10", "-11"))
        said = await cli("push", place.run, "--site", tmp_path, "--live")
        assert said.exit_code == (10 if rung == "changed" else 14 if part else 0), said.output
        assert part in said.output
        assert (place.server.writes == 0) == bool(part)

    on(tmp_path, work)


def test_ds29_a_plan_poorer_than_the_mandate_allows_is_not_sent(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        signed(place, "within gap")
        write_plan(place.run, {BAT: [5.0] * 8}, rung="time-limited")
        said = await cli("push", place.run, "--site", tmp_path, "--live")
        assert said.exit_code == 14, said.output
        assert "the plan is time-limited" in said.stdout
        assert place.server.writes == 0

    on(tmp_path, work)


def test_a_newer_plan_in_the_folder_is_followed_under_a_mandate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gridopt.jobs import push, watch

    monkeypatch.setattr(watch, "LOOK_S", 0.3)

    async def work(place: Place) -> None:
        signed(place)
        write_plan(place.run, {BAT: [5.0] * 8})
        planned, site = push.prepare(place.run, tmp_path)
        said: list[str] = []
        may = push.permission(planned, site, None)
        watched = asyncio.ensure_future(
            watch._watch(planned, site, may, watch.Source(place.run), said.append, True, 3600.0)
        )
        await until(lambda: place.value("bat", "setpoint_kw") == 5.0)
        write_plan(place.run, {BAT: [2.0] * 8}, created=datetime.now(UTC))
        await until(lambda: place.value("bat", "setpoint_kw") == 2.0)
        field.state_folder().joinpath(field.STOP).touch()
        done = await watched
        assert done.exit_code == 0
        assert place.fallen_back
        assert len([text for text in said if text.startswith("following")]) == 2

    on(tmp_path, work)


def test_a_run_is_pushed_as_a_dry_run_unless_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def work(place: Place) -> None:
        said = await cli("run", "two-roofs", "--out", "plan", "--push", "--site", tmp_path)
        assert said.exit_code in (0, 3), said.output
        assert "Nothing was sent." in said.stdout
        refused = await cli("run", "two-roofs", "--out", "plan", "--push", "--live", "--site", tmp_path)
        assert refused.exit_code == 2
        assert "or a mandate beside" in refused.stderr
        assert (await cli("run", "two-roofs", "--live")).exit_code == 2
        assert place.server.writes == 0

    on(tmp_path, work)


# --- plans that are made while one is followed ------------------------------------------------------------------------


def planning(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Let plans be made by a little program instead of the solver."""
    from gridopt.jobs import watch

    root = Path(__file__).parents[2]
    program = f"import sys; sys.path[:0] = [{str(root)!r}, {str(root / 'src')!r}]\n{body}"
    monkeypatch.setattr(watch, "LOOK_S", 0.2)
    monkeypatch.setattr(watch, "REPLAN_S", 0.0)
    monkeypatch.setattr(watch, "EARLY", timedelta(days=9))
    monkeypatch.setattr(watch, "plan_command", lambda source, day: [sys.executable, "-c", program])


async def _watched(place: Place, said: list[str]) -> Any:
    from gridopt.jobs import push, watch

    signed(place)
    write_plan(place.run, {BAT: [5.0] * 8})
    planned, site = push.prepare(place.run, place.folder)
    source = watch.Source(place.run, "by-hand")
    return await watch._watch(planned, site, push.permission(planned, site, None), source, said.append, True, 3600.0)


def test_ds31_a_solver_that_hangs_delays_no_device_and_no_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planning(tmp_path, monkeypatch, "import time; time.sleep(3600)")

    async def work(place: Place) -> None:
        said: list[str] = []
        watched = asyncio.ensure_future(_watched(place, said))
        await until(lambda: any("planning anew" in text for text in said))
        await asyncio.sleep(1.5 * TIME_S)
        assert place.value("bat", "enable") == "on"
        field.state_folder().joinpath(field.STOP).touch()
        begun_s = time.monotonic()
        assert (await watched).exit_code == 0
        assert place.fallen_back
        assert time.monotonic() - begun_s < 5 * TIME_S

    on(tmp_path, work)


def test_a_plan_that_is_made_anew_is_followed_and_one_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = f"""
from datetime import UTC, datetime
from pathlib import Path
from tests.support.loopback import write_plan
if not Path({str(tmp_path / "once")!r}).exists():
    Path({str(tmp_path / "once")!r}).touch()
    sys.exit("no plan today")
write_plan(Path({str(tmp_path / "plan")!r}), {{("bat", "power"): [3.0] * 8}}, created=datetime.now(UTC))
"""
    planning(tmp_path, monkeypatch, body)

    async def work(place: Place) -> None:
        said: list[str] = []
        watched = asyncio.ensure_future(_watched(place, said))
        await until(lambda: place.value("bat", "setpoint_kw") == 5.0)
        await until(lambda: place.value("bat", "setpoint_kw") == 3.0)
        assert any("no new plan: no plan today" in text for text in said)
        field.state_folder().joinpath(field.STOP).touch()
        await watched

    on(tmp_path, work)
