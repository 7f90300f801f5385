"""Tests against the programs themselves. Modules of theirs come from `programs.reader`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Unless told not to, ultralytics installs what it misses, sends statistics and writes into the home folder.
QUIET = {"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true", "YOLO_VERBOSE": "false"}
os.environ.update(QUIET, YOLO_CONFIG_DIR=sys.prefix)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings("ignore"))  # of those programs
