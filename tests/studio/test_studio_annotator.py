"""A scripted annotator in the browser: the same masks as by the Python API, in few actions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from annotator import MAX_ACTIONS

PHOTOS = 2  # of 20: without `--photos` it does them all
SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "annotator.py"


def test_the_same_script_in_the_browser_and_by_the_api_gives_the_same_masks(
    shared_data: Path, tmp_path: Path
) -> None:
    """In a process of its own: it starts a browser of its own."""
    told = tmp_path / "report.json"
    data = shared_data / "val" / "coco.tar"
    command = [sys.executable, str(SCRIPT), str(data), "--photos", str(PHOTOS), "--json", str(told)]
    subprocess.run(command, check=True, timeout=600)
    report = json.loads(told.read_text("utf-8"))
    assert report["photos"] == PHOTOS and report["masks"] > 4
    assert report["same_masks"] == report["masks"], report
    for way in ("browser", "api"):
        assert report[way]["mean_iou"] > 0.8
        assert 1 <= report[way]["actions_per_mask"] < MAX_ACTIONS
