"""A loaded model and a baseline on the photo packs: everything fits together."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from anymask.api import load
from anymask.data.sources import open_records
from anymask.evaluation import BASELINES, evaluate_boxes, evaluate_clicks
from anymask.evaluation.samples import samples_of


def test_a_loaded_model_goes_through_both_protocols(shared_data: Path) -> None:
    clicks = evaluate_clicks(shared_data / "val" / "grabcut.tar", load("disk"), limit=2, max_clicks=3)
    boxes = evaluate_boxes(shared_data / "val" / "coco.tar", load("disk"), limit=2)
    assert clicks["model"] == boxes["model"] == "disk"
    assert 0 < clicks["iou_at"]["1"] <= clicks["oracle_iou_at_1"] < 1
    assert boxes["miou"] == pytest.approx(boxes["miou_filled_box"], abs=0.05)  # a disk backend fills the box


def test_the_unknown_band_of_grabcut_is_not_scored(shared_data: Path) -> None:
    """Some of the photos have no band: what is scored must follow the record, either way."""
    path, bands = shared_data / "val" / "grabcut.tar", []
    for record in islice(open_records(path), 5):
        (sample,) = samples_of(record, 0)
        bands.append("ignore" in record.fields["annotations"][0])
        assert sample.scored_HW.all() != bands[-1]
        assert sample.iou(sample.ground_truth_HW | ~sample.scored_HW) == 1.0
    assert set(bands) == {True, False}


@pytest.mark.slow
def test_grabcut_is_better_than_its_box_on_its_own_photos(shared_data: Path) -> None:
    report = evaluate_boxes(shared_data / "val" / "grabcut.tar", BASELINES["grabcut"](), limit=4)
    assert report["miou"] > report["miou_filled_box"]
