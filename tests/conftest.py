"""Fixtures every test may use: the photo packs (where there are any) and the shipped example photos."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run in parallel: one thread each

pytest_plugins = ["models"]  # tests/support
ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("default", deadline=None)
settings.load_profile("default")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of photo packs beside the checkout; the test is skipped where there is none."""
    folder = Path(os.environ.get("ANYMASK_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no photo packs in {folder} (set ANYMASK_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of shipped example photos."""
    return ROOT / "examples"
