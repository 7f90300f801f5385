"""Programs that read annotations, in an environment of their own: `make readers`. Elsewhere they skip."""

from __future__ import annotations

import importlib.metadata
import sys
import warnings
from typing import Any
from unittest.mock import MagicMock

import pytest


def reader(name: str) -> Any:
    """A module of another program, called inside of tests or fixtures: their warnings are not ours."""
    program = name.partition(".")[0]
    if program == "ultralytics":
        _without_torchvision()
    if program == "labelme":
        _without_windows()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


def _without_torchvision() -> None:
    """ultralytics asks for its version only; torchvision and its CUDA libraries are not installed."""
    version = importlib.metadata.version

    def versions(name: str) -> str:
        return "0.28.0" if name == "torchvision" else version(name)

    importlib.metadata.version = versions


def _without_windows() -> None:
    """What labelme reads files with needs no Qt, but lies beside its buttons and icons."""
    for name in ("PyQt5", "PyQt5.QtCore", "PyQt5.QtGui", "PyQt5.QtWidgets"):
        sys.modules.setdefault(name, MagicMock())
