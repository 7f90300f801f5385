"""A scripted annotator in the browser: the same masks as by the Python API, in few actions."""

from __future__ import annotations

from pathlib import Path

from annotator import MAX_ACTIONS, run

PHOTOS = 2  # of 20: `python benchmarks/annotator.py` does them all


def test_the_same_script_in_the_browser_and_by_the_api_gives_the_same_masks(
    shared_data: Path, tmp_path: Path
) -> None:
    report = run(shared_data / "val" / "coco.tar", PHOTOS, tmp_path)
    assert report["photos"] == PHOTOS and report["masks"] > 4
    assert report["same_masks"] == report["masks"], report
    for way in ("browser", "api"):
        assert report[way]["mean_iou"] > 0.8
        assert 1 <= report[way]["actions_per_mask"] < MAX_ACTIONS
