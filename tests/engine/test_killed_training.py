"""kill -9 of `anymask project train`: the same command goes on and ends with the same weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sqlalchemy")

from engine_scenes import write_data_set

import anymask
from anymask.data import formats
from anymask.engine.exchange import import_annotations
from anymask.engine.project import Project
from anymask.store import registry

# The command with rounds of seconds, as a program: `--quick` trains for a minute.
PROGRAM = """
import sys
from anymask.engine import round_settings as s
s.QUICK = s.RoundSettings(mask_steps=5, box_steps=4, batch=2, objects=2, size=128, fitted_photos=2,
                          shares=(1.0,), checkpoint_seconds=0)
from anymask.cli.app import main
main()
"""


def train(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(anymask.__file__).parents[1])}
    command = [sys.executable, "-c", PROGRAM, "project", "train", str(folder), "--quick"]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(folder: Path) -> str:
    out, error = train(folder).communicate(timeout=600)
    assert out.startswith("round 1: trained on"), error
    return out


@pytest.mark.slow
def test_a_killed_round_ends_with_the_same_weights(tmp_path: Path) -> None:
    data = write_data_set(tmp_path / "data", range(6))
    for name in ("whole", "parts"):
        project, _ = Project.init(tmp_path / name, [data])
        with project:
            import_annotations(project, data, formats.Notes())
    told = finish(tmp_path / "whole")
    out = tmp_path / "parts" / "models" / "round-01"
    for reached in (out / "masks" / "log.jsonl", out / "boxes" / "log.jsonl", out / "round.json"):
        process = train(tmp_path / "parts")
        until = time.monotonic() + 300
        while not (reached.is_file() and reached.stat().st_size):
            assert process.poll() is None and time.monotonic() < until, process.communicate()[1]
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert finish(tmp_path / "parts") == told
    found = []
    for name in ("whole", "parts"):
        with Project.open(tmp_path / name, read_only=True) as project:
            [version] = registry.list_models(project.database)
            [done] = registry.list_rounds(project.database)
            found.append((version.id, version.metrics, done.snapshot, done.state, done.why, done.metrics))
    assert found[0] == found[1]
