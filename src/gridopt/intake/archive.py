"""The files inside of a ZIP archive, whichever kind of file they are; a file that is no archive is itself."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

from gridopt.intake.sheet import Unreadable

MOST_MEMBERS = 10_000
MOST_BYTES = 500_000_000
MOST_DEPTH = 3
"""Bounds of what an archive may unpack to, and of archives in archives."""
MARK = b"PK\x03\x04"
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    RuntimeError,
    OSError,
    EOFError,
    NotImplementedError,
    ValueError,
)
"""What the standard library raises over broken archives."""
TOO_MUCH = "the archive unpacks to more than any delivery of data"


def members(content: bytes, depth: int = MOST_DEPTH) -> Iterator[bytes]:
    """Contents of the files in an archive, in its order. Raises Unreadable where it is broken or unpacks to too much.

    What the archive says of its sizes bounds what is unpacked: a member that is longer than it says is broken.
    """
    if not content.startswith(MARK):
        yield content
        return
    if not depth:
        raise Unreadable("it is an archive in an archive in an archive")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inside = [i for i in archive.infolist() if not i.filename.endswith("/")]
            if len(inside) > MOST_MEMBERS or sum(i.file_size for i in inside) > MOST_BYTES:
                raise Unreadable(TOO_MUCH)
            for info in inside:
                yield from members(archive.read(info), depth - 1)
    except Unreadable:
        raise
    except BROKEN as error:
        raise Unreadable(f"the archive cannot be read: {error}") from error
