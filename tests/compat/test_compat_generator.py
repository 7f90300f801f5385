"""Code written for the published `SamAutomaticMaskGenerator` gets the same records from ours."""

# ruff: noqa: E402
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

TESTS = Path(__file__).resolve().parent
from sam_references import published, published_tiny_sam, tiny_sam
from scenes_for_grids import area_of_boxes, plain_nms

from anymask.compat import Sam, SamAutomaticMaskGenerator
from anymask.core.mask import Mask
from anymask.errors import BadOption

# A network without training is sure of nothing: keep all it says.
KEEP_MOST = {
    "points_per_side": 5,
    "pred_iou_thresh": -10.0,
    "stability_score_thresh": 0.0,
    "box_nms_thresh": 1.0,
    "crop_nms_thresh": 1.0,
}
GRIDS = [np.array([[0.3, 0.4], [0.8, 0.55], [0.1, 0.9]])]


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    smooth = np.random.default_rng(1).random((6, 8, 3)).repeat(14, 0).repeat(16, 1)[:83, :121]
    return (smooth * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def network() -> Any:
    return tiny_sam()


def both(network: Any, photo: np.ndarray, **arguments: Any) -> tuple[list[dict], list[dict]]:
    package = published("segment_anything")
    names = package.SamAutomaticMaskGenerator._process_crop.__globals__
    names.update(batched_nms=plain_nms, box_area=area_of_boxes)  # torchvision is not needed here
    theirs = package.SamAutomaticMaskGenerator(published_tiny_sam(network), **arguments)
    ours = SamAutomaticMaskGenerator(Sam.of(network), **arguments)
    return ours.generate(photo), theirs.generate(photo)


def assert_same_records(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], island: int = 0) -> None:
    """`island`: pixels of islands of just the size that is cleaned, which rounding may decide on."""
    assert len(ours) == len(theirs) > 1
    for mine, record in zip(ours, theirs, strict=True):
        assert list(mine) == list(record)
        for key in ("predicted_iou", "stability_score"):
            assert mine[key] == pytest.approx(record[key], abs=1e-3)
            assert type(mine[key]) is type(record[key])
        assert mine["point_coords"] == pytest.approx(np.array(record["point_coords"]), abs=1e-9)
        assert mine["crop_box"] == record["crop_box"]
        assert np.abs(np.array(mine["bbox"]) - record["bbox"]).max() <= 1
        assert mine["area"] == pytest.approx(record["area"], rel=0.01, abs=2 + island)


@pytest.mark.parametrize(
    "arguments",
    [
        KEEP_MOST,
        {**KEEP_MOST, "crop_n_layers": 1, "crop_n_points_downscale_factor": 2},
        {**KEEP_MOST, "points_per_side": None, "point_grids": GRIDS},
        {**KEEP_MOST, "min_mask_region_area": 10, "points_per_batch": 7},
    ],
    ids=["grid", "crops", "own grid", "clean-up"],
)
def test_records_are_the_published_ones(network: Any, photo: np.ndarray, arguments: dict[str, Any]) -> None:
    ours, theirs = both(network, photo, **arguments)
    island = 2 * int(arguments.get("min_mask_region_area", 0))
    assert_same_records(ours, theirs, island)
    for mine, record in zip(ours, theirs, strict=True):
        a, b = mine["segmentation"], record["segmentation"]
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert (a ^ b).sum() <= 0.01 * (a | b).sum() + island


@pytest.mark.parametrize("output_mode", ["uncompressed_rle", "coco_rle"])
def test_run_lengths_are_written_as_published(network: Any, photo: np.ndarray, output_mode: str) -> None:
    ours, theirs = both(network, photo, **KEEP_MOST, output_mode=output_mode)
    for mine, record in zip(ours, theirs, strict=True):
        a, b = mine["segmentation"], record["segmentation"]
        assert a["size"] == list(b["size"])
        assert type(a["counts"]) is type(b["counts"])
        assert Mask.from_rle(a).iou(Mask.from_rle(b)) >= 0.99


def test_arguments_that_make_no_sense_are_refused(network: Any) -> None:
    sam = Sam.of(network)
    with pytest.raises(ValueError, match="either points_per_side or point_grids"):
        SamAutomaticMaskGenerator(sam, points_per_side=None)
    with pytest.raises(ValueError, match="expected one of binary_mask"):
        SamAutomaticMaskGenerator(sam, output_mode="png")
    with pytest.raises(ValueError, match="expected 2 grids, got 1"):
        SamAutomaticMaskGenerator(sam, None, point_grids=GRIDS, crop_n_layers=1)
    with pytest.raises(BadOption, match="points_per_side"):
        SamAutomaticMaskGenerator(sam, points_per_side=1000)
