"""The whole loop on photos of a kind that the default model has never seen, in minutes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("torch")

pytestmark = pytest.mark.slow


def test_the_loop_closes_on_nuclei(shared_data: Path, tmp_path: Path) -> None:
    nuclei = shared_data / "domains"
    command = [sys.executable, "-m", "anymask", "engine", "simulate", nuclei / "nuclei-train.tar"]
    options = ["--fixed", nuclei / "nuclei-val.tar", "--quick", "--out", tmp_path / "out"]
    options += ["--remember", shared_data / "val/grabcut.tar", "--json", tmp_path / "report.json"]
    subprocess.run(
        [*map(str, command + options)], check=True, timeout=1800, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    report = json.loads((tmp_path / "report.json").read_text())
    before, after = report["before"], report["after"]
    assert [row["stage"] for row in report["rounds"]] == ["manual", "manual", "semi"]
    assert after["iou_click_1"] > before["iou_click_1"] + 0.15
    assert after["iou_box"] > before["iou_box"] - 0.03
    assert after["ar_at_100"] > before["ar_at_100"] + 0.1
    assert report["forgetting"]["grabcut"]["lost"] < 0.06
    assert report["automatic"]["masks"] > 0
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
