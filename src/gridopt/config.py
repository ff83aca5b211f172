"""Where gridopt keeps what outlives a run: the journal, persisted limits, locks, the word to stop."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

RUN_LOCK = Path("/run/lock")
STATE = "GRIDOPT_STATE"
"""Environment variable with the folder of a site's state."""


def state_folder() -> Path:
    """Folder of the journal and of what dispatch remembers: ``GRIDOPT_STATE``, else the user's own state folder."""
    said = os.environ.get(STATE)
    if said:
        return Path(said)
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "gridopt"


def lock_folder() -> Path:
    """Folder of the locks of lines. One for the machine, whoever runs gridopt: a line is spoken to by one process.

    Where the system has a place for locks that anyone may write, it is there, and no tidying takes it away.
    """
    place = RUN_LOCK if RUN_LOCK.is_dir() and os.access(RUN_LOCK, os.W_OK) else Path(tempfile.gettempdir())
    return place / "gridopt-locks"
