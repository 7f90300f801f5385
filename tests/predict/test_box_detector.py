"""Boxes of things: in the frame of the photo, different from each other, and the way to their masks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anymask.api import Model
from anymask.automatic.config import PRESETS
from anymask.automatic.crop import View, detect_boxes
from anymask.automatic.generator import settings_for
from anymask.automatic.stats import GenerationStats
from anymask.core.boxes import box_iou
from anymask.core.frames import ResizeLongest
from anymask.errors import BadOption
from anymask.images.reader import read_image
from anymask.predict.detectors import BOX_NMS_IOU, to_image_boxes

CUP = (75, 15, 480, 385)  # with its saucer, in examples/coffee.jpg


def test_boxes_come_in_pixels_of_the_photo_and_end_at_its_borders() -> None:
    transform = ResizeLongest((400, 600), 512)
    boxes = to_image_boxes(np.array([[0, 0, 512, 512], [-9, 256, 600, 341.3333]], np.float32), transform)
    assert boxes == pytest.approx(np.array([[0, 0, 600, 400], [0, 300, 600, 400]]), abs=0.6)


def test_the_best_box_holds_what_stands_out(model: Model, examples: Path) -> None:
    found = model.encode(examples / "coffee.jpg").detect_boxes()
    assert box_iou(tuple(found.boxes_xyxy_K4[0]), CUP) > 0.7


def test_boxes_grow_with_the_photo(model: Model, examples: Path) -> None:
    photo = Image.fromarray(read_image(examples / "coffee.jpg"))
    small = model.encode(photo).detect_boxes(max_boxes=1)
    large = model.encode(photo.resize((photo.width * 2, photo.height * 2))).detect_boxes(max_boxes=1)
    assert box_iou(tuple(small.boxes_xyxy_K4[0] * 2), tuple(large.boxes_xyxy_K4[0])) > 0.9


def test_boxes_are_as_many_as_good_and_as_different_as_asked(model: Model, examples: Path) -> None:
    image = model.encode(examples / "coffee.jpg")
    found = image.detect_boxes(max_boxes=12, min_score=0.03)
    assert 2 <= len(found) <= 12
    assert (found.scores_K >= 0.03).all()
    assert (np.diff(found.scores_K) <= 0).all()
    for i, box in enumerate(found.boxes_xyxy_K4):
        assert all(box_iou(tuple(box), tuple(other)) <= BOX_NMS_IOU for other in found.boxes_xyxy_K4[:i])
    assert len(image.detect_boxes(min_score=1.0)) == 0


def test_a_refined_image_has_the_same_boxes(model: Model, examples: Path) -> None:
    once, twice = (model.encode(examples / "coffee.jpg", refine=refine) for refine in (False, True))
    assert once.detect_boxes(3) == twice.detect_boxes(3)


@pytest.mark.parametrize("options", [{"min_score": 1.5}, {"max_boxes": -1}, {"min_score": float("nan")}])
def test_options_that_make_no_sense_are_refused(
    model: Model, examples: Path, options: dict[str, float]
) -> None:
    with pytest.raises(BadOption, match="expected max_boxes of at least 0 and min_score in 0..1"):
        model.encode(examples / "coffee.jpg").detect_boxes(**options)


def test_a_saved_embedding_finds_the_same_boxes(model: Model, examples: Path, tmp_path: Path) -> None:
    image = model.encode(examples / "coffee.jpg")
    again = model.load_embedding(image.save(tmp_path / "coffee.safetensors"))
    a, b = (i.detect_boxes(max_boxes=3).boxes_xyxy_K4 for i in (image, again))
    assert a == pytest.approx(b, abs=2)  # half precision


def test_a_model_without_a_head_says_so_and_asks_the_grid_alone(model: Model, examples: Path) -> None:
    image = replace(model, box_path=None).encode(examples / "coffee.jpg")
    with pytest.raises(BadOption, match="does not detect boxes"):
        image.detect_boxes()
    with pytest.raises(BadOption, match="has to ask a grid"):
        image.everything(points_per_side=0, crop_n_layers=0)
    assert image.everything("default", points_per_side=12, pred_iou_thresh=0.3, crop_n_layers=0)


def test_a_grid_is_coarser_beside_boxes_alone(model: Model) -> None:
    side = model.automatic["default"]["points_per_side"]
    assert settings_for(model, "default").points_per_side == side < PRESETS["default"].points_per_side
    for without_boxes in (
        settings_for(model, "default", boxes=0),
        settings_for(replace(model, box_path=None), "default"),
    ):
        assert without_boxes.points_per_side == PRESETS["default"].points_per_side
    assert settings_for(model, "default", boxes=0, points_per_side=5).points_per_side == 5


def test_everything_has_the_masks_of_the_boxes(model: Model, examples: Path) -> None:
    image = model.encode(examples / "coffee.jpg")
    options = {"points_per_side": 1, "box_score_thresh": 0.3, "box_pred_iou_thresh": 0.5, "crop_n_layers": 0}
    assert len(image.everything(boxes=0, **options)) < len(image.everything(**options))
    of_boxes = [m for m in image.everything(**options) if m.evidence is not None and m.evidence.box_score]
    boxes = {
        ((x0 + x1) / 2, (y0 + y1) / 2): (x0, y0, x1, y1)
        for x0, y0, x1, y1 in image.detect_boxes(min_score=0.3).boxes_xyxy_K4.tolist()
    }
    assert of_boxes
    for mask in of_boxes:
        assert box_iou(mask.mask.box_xyxy, boxes[mask.point_xy]) > 0.6


def test_without_a_grid_the_boxes_alone_are_asked(model: Model, examples: Path) -> None:
    told: list[tuple[int, int]] = []
    photo = examples / "raccoon.jpg"
    found = model.everything(photo, points_per_side=0, progress=lambda *now: told.append(now))
    assert found
    assert all(m.evidence is not None and m.evidence.box_score for m in found)
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert told[-1][0] == told[-1][1]
    with pytest.raises(BadOption, match="nothing would be asked"):
        model.everything(photo, points_per_side=0, boxes=0)


def test_a_crop_shows_more_boxes_each_once_in_the_view_that_shows_it_largest(
    model: Model, examples: Path
) -> None:
    pixels = read_image(examples / "raccoon.jpg")
    settings = settings_for(model, "default")
    height, width = pixels.shape[:2]
    whole = (0, 0, width, height)
    half = (0, 0, width // 2 + 40, height)
    views = [
        View(model.encode(np.ascontiguousarray(pixels[:, x0:x1])), crop, layer, whole, (height, width))
        for layer, crop in enumerate((whole, half))
        for x0, _, x1, _ in [crop]
    ]
    of_whole, of_half = detect_boxes(views, settings, GenerationStats())
    assert len(of_half.scores_K)
    for box in of_half.boxes_xyxy_K4:
        assert views[1].shows(box)
    for box in of_whole.boxes_xyxy_K4:
        assert not views[1].shows(box)
