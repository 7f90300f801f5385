"""Running the command line in this process and as a process of its own; the backend without weights."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from shell import Run, Start
from typer.testing import CliRunner, Result

from anymask.cli import reporting
from anymask.cli.app import app
from anymask.settings import get_settings


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("ANYMASK_BACKEND", "disk")
    monkeypatch.delenv("ANYMASK_DEBUG", raising=False)
    monkeypatch.setattr(reporting, "_told", {})  # a command is a process of its own
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def run() -> Run:
    """The command line in this process; an exception that gets out fails the test."""

    def call(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def start() -> Start:
    """The command line as a process."""

    def call(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "anymask", *map(str, arguments)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.run(command, text=True, timeout=120, check=False, env={**os.environ}, **options)

    return call


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of 120 x 80 pixels."""
    path = tmp_path / "photo.png"
    Image.radial_gradient("L").resize((120, 80)).convert("RGB").save(path)
    return path
