"""The program as a process: help everywhere and fast, Ctrl-C, closed pipes, full outputs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from shell import Run, Start

from anymask.cli.app import app


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


@pytest.mark.parametrize(
    "path", [*commands(typer.main.get_command(app))], ids=lambda p: " ".join(p) or "anymask"
)
def test_every_command_has_help(run: Run, path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")


def test_help_loads_nothing_heavy() -> None:
    heavy = {"numpy", "PIL", "onnxruntime", "pydantic", "torch"}
    code = f"import sys, anymask.cli; print(*{heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == ""


def test_the_version_is_printed(start: Start) -> None:
    assert start("--version").stdout.startswith("anymask 0.")


def test_json_is_all_that_a_process_prints(start: Start, photo: Path) -> None:
    done = start("segment", photo, "--point", "5,5", "--json")
    assert json.loads(done.stdout)["annotations"]
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_standard_output_that_takes_nothing_is_told(start: Start, photo: Path) -> None:
    with open("/dev/full", "w") as full:
        done = start("segment", photo, "--point", "5,5", "--json", stdout=full)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["anymask: cannot write to standard output: No space left on device"]


def test_a_reader_that_has_gone_is_no_traceback(start: Start, photo: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = start("segment", photo, "--point", "5,5", "--json", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
def test_a_file_that_may_not_grow_is_told_and_removed(start: Start, photo: Path) -> None:
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    done = start("segment", photo, "--point", "5,5", "--out", "out", preexec_fn=limit)
    assert done.returncode == 1
    assert "cannot write out/photo.mask.png: File too large" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert os.listdir("out") == []


@pytest.mark.skipif(sys.platform == "win32", reason="other signals")
def test_ctrl_c_is_a_line_and_exit_code_130(photo: Path) -> None:
    def interruptible() -> None:  # a job in the background of a shell starts with the signal ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    command = [sys.executable, "-m", "anymask", "segment", *[str(photo)] * 2000, "--point", "5,5", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=interruptible
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors.splitlines() == ["anymask: interrupted"]


def test_a_failure_shows_where_only_when_asked(start: Start) -> None:
    quiet, loud = (
        start("segment", "none.jpg", "--point", "5,5"),
        start("--debug", "segment", "none.jpg", "--point", "5,5"),
    )
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr
