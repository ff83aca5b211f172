"""One process at a time on a line: a file per line, locked while the process lives, that says who has it.

The lock is the system's (flock): it goes when the process goes, however it goes. What stands in the file is for those
who come second; it may be old, and means nothing without the lock. All users of a machine share the files, as they
share the lines.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import weakref
from dataclasses import asdict, dataclass
from pathlib import Path

from gridopt.devices.link.fault import Fault, FaultKind
from gridopt.errors import UsageError


@dataclass(frozen=True)
class Holder:
    """Who has a line. ``start``: when the process started, so that its number, used again, is not taken for it."""

    pid: int
    start: str
    name: str
    line: str

    @property
    def alive(self) -> bool:
        """Whether the process that wrote this still runs, as far as the system tells."""
        return bool(self.start) and self.start == started(self.pid)

    def __str__(self) -> str:
        return f"{self.name or 'another process'} (process {self.pid})" if self.pid else "another process"


class Hold:
    """A line that is ours until ``release``, or until the process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        _held.add(self)

    def touch(self) -> None:
        """Keep the file from looking old to whoever tidies up temporary folders: without it the next process would
        lock another one."""
        os.utime(self._descriptor)

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


_held: weakref.WeakSet[Hold] = weakref.WeakSet()


def _forget() -> None:
    """A forked child shares the lock, and would keep it when its parent is gone."""
    for hold in list(_held):
        hold.release()


os.register_at_fork(after_in_child=_forget)


def take(folder: Path, line: str, name: str) -> Hold:
    """The line for this process. Raises Fault HELD, naming who has it, and UsageError where no lock can be written."""
    path = _file(folder, line)
    while True:
        descriptor = _opened(folder, path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            other = _said(path, line)
            raise Fault(FaultKind.HELD, f"{line} is in use by {other}", pid=other.pid or None) from None
        if _is(descriptor, path):
            break
        os.close(descriptor)  # somebody tidied up just now
    me = Holder(os.getpid(), started(os.getpid()), name, line)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(asdict(me)).encode(), 0)
    return Hold(descriptor)


def _opened(folder: Path, path: Path) -> int:
    """The file, made where it is not there, for all users. Raises UsageError."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o1777)
        try:
            return os.open(path, flags)  # without O_CREAT: systems refuse that for files of others in such folders
        except FileNotFoundError:
            descriptor = os.open(path, flags | os.O_CREAT, 0o666)
            os.fchmod(descriptor, 0o666)
            return descriptor
    except OSError as error:
        raise UsageError("{path}: no lock can be kept there: {why}", path=str(path), why=error.strerror) from error


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def holder(folder: Path, line: str) -> Holder | None:
    """Who has a line now; None when nobody has."""
    path = _file(folder, line)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        # Shared: two who only look do not see each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _said(path, line)
    finally:
        os.close(descriptor)
    return None


def started(pid: int) -> str:
    """When a process started, in a form that only fits that one process; "" where the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    # The name, in brackets, may hold anything; the 22nd field counts from behind it.
    return f"{boot} {stat.rpartition(')')[2].split()[19]}"


def _file(folder: Path, line: str) -> Path:
    readable = re.sub(r"[^A-Za-z0-9]+", "-", line).strip("-")[-80:]
    return folder / f"{readable}-{hashlib.sha256(line.encode()).hexdigest()[:8]}.lock"


def _said(path: Path, line: str) -> Holder:
    """What the file says. It is empty for the moment between the lock and the word."""
    try:
        return Holder(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return Holder(0, "", "", line)
