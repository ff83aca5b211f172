"""One process at a time on a line."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gridopt.devices.frames import Frame
from gridopt.devices.link import hold
from gridopt.devices.link.address import LineAddress
from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.devices.link.lines import Lines
from gridopt.devices.schema import Link
from gridopt.errors import UsageError
from gridopt.simulate.modbus_server import Server
from gridopt.simulate.registers import Registers

LINE = "tcp 127.0.0.1:502"
HOLDING = """
import sys, time, pathlib
from gridopt.devices.link import hold
held = hold.take(pathlib.Path(sys.argv[1]), sys.argv[2], "watch")
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def another_process(folder: Path, line: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has the line."""
    process = subprocess.Popen([sys.executable, "-c", HOLDING, str(folder), line], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def refused(folder: Path, line: str = LINE) -> Fault:
    with pytest.raises(Fault) as caught:
        hold.take(folder, line, "push")
    return caught.value


def test_ds_10_a_second_process_is_told_who_has_the_line(tmp_path: Path) -> None:
    with another_process(tmp_path, LINE) as process:
        fault = refused(tmp_path)
        assert (fault.kind, fault.pid, fault.sent) == (FaultKind.HELD, process.pid, False)
        assert f"watch (process {process.pid})" in fault.why
        found = hold.holder(tmp_path, LINE)
        assert found is not None
        assert (found.pid, found.name, found.line) == (process.pid, "watch", LINE)
        assert found.start == hold.started(process.pid) != ""
        assert found.alive
        hold.take(tmp_path, "tcp 127.0.0.1:503", "push").release()  # another line is free


def test_ds_10_kill_9_frees_the_line(tmp_path: Path) -> None:
    with another_process(tmp_path, LINE) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert hold.holder(tmp_path, LINE) is None
        hold.take(tmp_path, LINE, "push").release()


def test_ds_10_what_an_ended_process_left_written_holds_nothing(tmp_path: Path) -> None:
    hold.take(tmp_path, LINE, "push").release()
    (file,) = tmp_path.iterdir()
    said = json.loads(file.read_text())
    assert said["pid"] == os.getpid()
    # The same number, given to a process that started at another time.
    assert not hold.Holder(said["pid"], "another boot 1", "push", LINE).alive
    assert hold.holder(tmp_path, LINE) is None


@pytest.mark.parametrize("text", ["", "not json", "[1, 2]", '{"pid": 5}'])
def test_a_line_is_held_though_its_file_says_nothing(tmp_path: Path, text: str) -> None:
    held = hold.take(tmp_path, LINE, "watch")
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    fault = refused(tmp_path)
    assert (fault.kind, fault.pid) == (FaultKind.HELD, None)
    held.release()


def test_a_forked_child_does_not_keep_the_line(tmp_path: Path) -> None:
    held = hold.take(tmp_path, LINE, "watch")
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn where there are threads
        child = os.fork()
    if child == 0:
        os.write(writing, b".")
        signal.pause()
    try:
        os.read(reading, 1)
        refused(tmp_path)  # nor does it free it
        os.close(held._descriptor)  # as the end of this process would
        hold.take(tmp_path, LINE, "push").release()
    finally:
        held._descriptor = -1
        os.close(writing)
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_lines_of_like_names_have_files_of_their_own(tmp_path: Path) -> None:
    names = ("tcp a.b:502", "tcp a-b:502", "tty /dev/ttyUSB0", "tty /dev/tty/USB0")
    held = [hold.take(tmp_path, name, "") for name in names]
    assert len(list(tmp_path.iterdir())) == len(names)
    for one in held:
        one.release()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="no lock"):
        hold.take(tmp_path / "file", LINE, "push")


def test_all_users_of_a_machine_share_the_locks(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        hold.take(tmp_path / "locks", LINE, "watch").release()
    finally:
        os.umask(before)
    (file,) = (tmp_path / "locks").iterdir()
    assert stat.S_IMODE((tmp_path / "locks").stat().st_mode) == 0o1777
    assert stat.S_IMODE(file.stat().st_mode) == 0o666


def test_a_lock_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    hold.take(tmp_path, LINE, "watch").release()
    (file,) = tmp_path.iterdir()
    precious = tmp_path / "precious"
    file.rename(precious)
    kept = precious.read_text()
    file.symlink_to(precious)
    with pytest.raises(UsageError, match="no lock"):
        hold.take(tmp_path, LINE, "push")
    assert precious.read_text() == kept
    assert hold.holder(tmp_path, LINE) is None


def test_a_lock_does_not_look_old_while_its_line_is_in_use(tmp_path: Path) -> None:
    held = hold.take(tmp_path, LINE, "watch")
    (file,) = tmp_path.iterdir()
    os.utime(file, (0, 0))
    held.touch()
    assert file.stat().st_mtime > 1e9
    held.release()


def test_a_lock_that_was_tidied_away_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening the file and locking it; the lock on a file that is gone would keep nobody away."""
    real, tidied = fcntl.flock, []

    def flock(descriptor: int, how: int) -> None:
        if not tidied:
            (file,) = tmp_path.iterdir()
            file.unlink()
            tidied.append(file)
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    held = hold.take(tmp_path, LINE, "watch")
    assert refused(tmp_path).kind is FaultKind.HELD
    held.release()


def test_ds_10_who_comes_second_sends_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        registers = Registers()
        registers.put("holding", 0, (1, 2), "rw")
        async with Server({1: registers}) as server:
            where = LineAddress("tcp", host=server.host, port=server.port)
            # Written in another way it is the same line.
            assert where.key == LineAddress("rtu-over-tcp", host="127.0.0.1", port=server.port).key
            with another_process(tmp_path, where.key) as process:
                async with Lines(tmp_path, "push") as lines:
                    unit = lines.line(where).unit(1, Link())
                    for work in (
                        unit.read("holding", 0, 1),
                        unit.write(Frame(6, 0, (9,))),
                        unit.write(Frame(6, 0, (9,)), release=True),
                    ):
                        with pytest.raises(Fault) as caught:
                            await work
                        assert (caught.value.kind, caught.value.pid) == (FaultKind.HELD, process.pid)
                    assert server.connections == 0
                    assert unit.line.counts.faults[FaultKind.HELD] == 3
                    process.kill()
                    process.wait()
                    assert await unit.read("holding", 0, 2) == (1, 2)  # the lease died with its process
            assert server.writes == 0
        assert hold.holder(tmp_path, where.key) is None  # closing gave it back

    asyncio.run(run())


def test_two_sets_of_lines_in_one_process_do_not_share_a_line(tmp_path: Path) -> None:
    async def run() -> None:
        registers = Registers()
        registers.put("holding", 0, (1, 2), "rw")
        async with Server({1: registers}) as server:
            where = LineAddress("tcp", host=server.host, port=server.port)
            async with Lines(tmp_path, "watch") as one, Lines(tmp_path, "push") as two:
                await one.line(where).unit(1, Link()).read("holding", 0, 1)
                with pytest.raises(Fault, match="watch"):
                    await two.line(where).unit(1, Link()).read("holding", 0, 1)
                assert server.connections == 1

    asyncio.run(run())


def test_when_a_process_started_is_known_for_processes_that_are() -> None:
    assert hold.started(os.getpid()) == hold.started(os.getpid()) != ""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    assert hold.started(process.pid) == ""
