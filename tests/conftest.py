"""What every test may use: the shared real data and the hypothesis profiles.

``ci`` is the default and always draws the same examples; ``--hypothesis-profile=search`` looks for new ones.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# No deadline and no "too slow" check: a busy machine is not a failure.
settings.register_profile(
    "ci", max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "search", max_examples=1000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data files, read in place: GRIDOPT_DATA, or ``../shared/data`` beside the checkout."""
    folder = Path(os.environ.get("GRIDOPT_DATA") or ROOT.parent / "shared" / "data").resolve()
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not a folder (set GRIDOPT_DATA to the one that holds DATA.md)")
    return folder
