"""Automatic masks: the published generator's result, whatever the batch; filters that drop what they say."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bright import WIDTH, BrightBackend, comb_HW3, iou
from PIL import Image, ImageDraw
from scenes_for_grids import Scene, SceneBackend, area_of_boxes, plain_nms, published_predictor

import anymask
from anymask.api import Model
from anymask.automatic.config import PRESETS
from anymask.automatic.generator import (
    AutomaticMaskGenerator,
    GeneratedMasks,
    everything,
    everything_encoded,
    settings_for,
)
from anymask.backends.base import DecodedArrays
from anymask.core.boxes import box_iou
from anymask.core.frames import Window
from anymask.errors import BadOption
from anymask.images.reader import content_hash, read_image
from anymask.predict.encoding import Encoding

SCENE = Scene()
SIZES_HW = ((683, 1024), (301, 200), (750, 1300))


def photo(size_hw: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (*size_hw, 3), np.uint8)


def search(
    size_hw: tuple[int, int], preset: str = "sam_default", batch: int = 1, **changes: Any
) -> GeneratedMasks:
    return everything(Model(SceneBackend(SCENE, batch)), photo(size_hw), preset, **changes)


def published_result(size_hw: tuple[int, int], **arguments: Any) -> list[dict[str, Any]]:
    pytest.importorskip("torch")
    from sam_references import published, published_tiny_sam, tiny_sam

    package = published("segment_anything")
    names = package.SamAutomaticMaskGenerator._process_crop.__globals__
    names.update(batched_nms=plain_nms, box_area=area_of_boxes)  # torchvision is not needed here
    sam = published_tiny_sam(tiny_sam(1024, window=14), 1024, window=14)
    generator = package.SamAutomaticMaskGenerator(sam, **arguments)
    transform = package.SamPredictor(sam).transform
    generator.predictor = published_predictor(SCENE, sam, transform)
    records: list[dict[str, Any]] = generator.generate(photo(size_hw))
    return records


def assert_same(ours: GeneratedMasks, theirs: list[dict[str, Any]]) -> None:
    """Every mask at IoU >= 0.99, same order, scores within 1e-3, same points and crops."""
    assert len(ours.masks) == len(theirs)
    for mine, record in zip(ours.masks, theirs, strict=True):
        inside = mine.mask.to_array()
        assert (inside & record["segmentation"]).sum() >= 0.99 * (inside | record["segmentation"]).sum()
        assert mine.predicted_iou == pytest.approx(record["predicted_iou"], abs=1e-3)
        assert mine.stability_score == pytest.approx(record["stability_score"], abs=1e-3)
        assert mine.point_xy == pytest.approx(record["point_coords"][0], abs=1e-3)
        x, y, width, height = record["crop_box"]
        assert mine.crop_box_xyxy == (x, y, x + width, y + height)


@pytest.mark.parametrize("size_hw", SIZES_HW, ids=str)
def test_the_sam_default_preset_is_the_published_generator(size_hw: tuple[int, int]) -> None:
    ours = search(size_hw, points_per_side=12)
    assert len(ours.masks) > 20
    assert_same(ours, published_result(size_hw, points_per_side=12, points_per_batch=16))


def test_crops_and_clean_up_are_the_published_ones() -> None:
    options = {
        "points_per_side": 12,
        "crop_n_layers": 1,
        "crop_n_points_downscale_factor": 2,
        "min_mask_region_area": 100,
    }
    ours = search((500, 700), **options)
    assert {m.crop_box_xyxy for m in ours.masks} != {(0, 0, 700, 500)}
    assert_same(ours, published_result((500, 700), **options, points_per_batch=16))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_result_does_not_depend_on_the_batch(preset: str) -> None:
    alone, *others = (search((300, 400), preset, batch, points_per_side=9) for batch in (1, 7, 64))
    assert alone.masks
    for other in others:
        assert other.filtered_by == alone.filtered_by
        assert [m.mask for m in other.masks] == [m.mask for m in alone.masks]
        assert [m.predicted_iou for m in other.masks] == [m.predicted_iou for m in alone.masks]


def test_scoring_at_low_resolution_finds_the_same_masks() -> None:
    exact, quick = (search((683, 1024), scoring=scoring) for scoring in ("image", "low_res"))
    found = sum(any(a.mask.iou(b.mask) > 0.95 for b in quick.masks) for a in exact.masks)
    assert found >= 0.95 * len(exact.masks)


def test_every_mask_is_of_the_size_of_the_photo_and_above_the_thresholds() -> None:
    found = search((333, 517), "sa1b")
    assert found.size_hw == (333, 517)
    assert found.content_hash == content_hash(photo((333, 517)))
    for mask in found.masks:
        assert mask.mask.size_hw == (333, 517)
        assert mask.predicted_iou > 0.88
        assert mask.stability_score >= 0.95
        assert mask.mask.area < 0.95 * 333 * 517


def test_what_is_dropped_is_counted_by_filter() -> None:
    found = search((300, 400), points_per_side=8)
    assert sum(found.filtered_by.values()) + len(found.masks) == 3 * 64
    nothing = search((300, 400), points_per_side=4, pred_iou_thresh=2.0)
    assert nothing.masks == []
    assert search((300, 400), "default", points_per_side=8, pred_iou_thresh=2.0).masks == []
    assert nothing.filtered_by == {"predicted_iou": 48}


def test_progress_counts_every_point_of_every_crop() -> None:
    told: list[tuple[int, int]] = []
    search((300, 400), "sa1b", points_per_side=8, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (64 + 4 * 16 + 16 * 4,) * 2
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_an_encoded_image_is_searched_without_its_pixels_but_not_in_crops() -> None:
    image = Model(SceneBackend(SCENE)).encode(photo((300, 400)))
    found = everything_encoded(Encoding(image.model, image.embedding), "sam_default", points_per_side=6)
    again = search((300, 400), points_per_side=6)
    assert [m.mask for m in found.masks] == [m.mask for m in again.masks]
    with pytest.raises(BadOption, match="expected an image that keeps it"):
        image.everything("sa1b")


COMB = {
    "points_per_side": 8,
    "pred_iou_thresh": 0.5,
    "stability_score_thresh": 0.0,
    "crop_n_layers": 3,
    "crop_n_points_downscale_factor": 256,
    "crop_overlap_ratio": 0.5,
}


def test_what_is_kept_is_refined_in_the_crop_that_shows_it_largest() -> None:
    model, comb = Model(BrightBackend(), refines=True), comb_HW3()
    settings = settings_for(model, "default", **COMB)
    generator = AutomaticMaskGenerator(model, settings, keep_logits=True)
    found = generator.generate(comb)
    best = max(found.masks, key=lambda m: iou(m.mask.to_array(), comb))
    (whole,) = everything(model, comb, refine=False, **{**COMB, "crop_n_layers": 0}).masks
    assert iou(whole.mask.to_array(), comb) < 0.7
    assert iou(best.mask.to_array(), comb) > 0.8
    assert isinstance(best.frame, Window)
    assert best.low_res_logits is not None
    assert (best.frame.to_image_mask(best.low_res_logits) == best.mask.to_array()).all()


def test_refinement_keeps_the_scores_of_the_answer() -> None:
    model, comb = Model(BrightBackend(), refines=True), comb_HW3()
    options = {**COMB, "crop_n_layers": 0}
    (once,), (refined,) = (everything(model, comb, refine=r, **options).masks for r in (False, True))
    assert (refined.predicted_iou, refined.stability_score, refined.point_xy, refined.probability) == (
        once.predicted_iou,
        once.stability_score,
        once.point_xy,
        once.probability,
    )


def test_every_crop_is_encoded_once_however_many_masks_are_refined() -> None:
    backend = BrightBackend()
    everything(Model(backend, refines=True), comb_HW3(), **COMB)
    assert backend.looks == 1 + 4 + 16 + 64


def test_progress_goes_on_while_masks_are_refined() -> None:
    told: list[tuple[int, int]] = []
    model, options = Model(BrightBackend(), refines=True), {**COMB, "crop_n_layers": 0}
    found = everything(model, comb_HW3(), progress=lambda *now: told.append(now), **options)
    assert len(found.masks) == 1
    assert told[-2:] == [(64, 64), (65, 65)]


class HalvesBackend(BrightBackend):
    """Sees the half on the side of a point, and all of what is bright where it is given a mask."""

    def decode(self, embedding: Any, prompts: Any) -> DecodedArrays:
        answer = super().decode(embedding, prompts)
        middle, column = WIDTH / 2, np.arange(self.spec.low_res_size) * WIDTH / self.spec.low_res_size
        left_P = prompts.points_PN2[..., 0].max(1) * WIDTH / self.spec.input_size < middle
        seen_Pm = (left_P[:, None] == (column < middle)) | prompts.has_mask_P.astype(bool)[:, None]
        masks = np.where(seen_Pm[:, None, None], answer.low_res_masks_P4mm, np.float32(-9))
        return replace(answer, low_res_masks_P4mm=masks)


def test_of_what_comes_out_alike_when_refined_one_is_kept() -> None:
    comb, options = comb_HW3(), {**COMB, "crop_n_layers": 0}
    once, refined = (
        everything(Model(HalvesBackend(), refines=True), comb, refine=r, **options) for r in (False, True)
    )
    assert len(once.masks) == 2
    assert len(refined.masks) == 1
    assert refined.filtered_by["duplicate"] == once.filtered_by["duplicate"] + 1


def test_an_image_with_its_photo_has_the_masks_of_the_model() -> None:
    model, comb = Model(BrightBackend(), refines=True), comb_HW3()
    of_image = model.encode(comb, refine=True).everything(**COMB)
    assert max(iou(m.mask.to_array(), comb) for m in of_image) > 0.8
    assert [m.mask for m in of_image] == [m.mask for m in model.everything(comb, **COMB)]


def test_masks_come_most_probable_first_and_are_cut_where_asked() -> None:
    found = search((683, 1024), "default", points_per_side=12)
    chances = [m.probability for m in found.masks]
    assert chances == sorted(chances, reverse=True)
    assert all(m.probability == pytest.approx(m.predicted_iou * m.stability_score) for m in found.masks)
    least = chances[len(chances) // 2]
    likely = search((683, 1024), "default", points_per_side=12, min_probability=least)
    assert [m.mask for m in likely.masks] == [m.mask for m in found.masks if m.probability >= least]
    assert search((683, 1024), points_per_side=8, min_probability=1.0).masks == []


def test_no_two_masks_of_the_default_preset_are_near_duplicates() -> None:
    masks = [m.mask for m in search((300, 400), "default", crop_n_layers=1, points_per_side=8).masks]
    assert len(masks) > 5
    assert all(a.iou(b) <= 0.7 for n, a in enumerate(masks) for b in masks[:n])


def test_in_a_box_masks_are_in_the_box_and_in_the_pixels_of_the_photo() -> None:
    box = (40.2, 30, 251, 210.9)
    found = search((300, 400), "default", box=box, points_per_side=8)
    assert found.size_hw == (300, 400)
    assert found.content_hash == content_hash(photo((300, 400)))
    assert found.masks
    for mask in found.masks:
        x0, y0, x1, y1 = mask.mask.box_xyxy
        assert mask.mask.size_hw == (300, 400)
        assert x0 > 40 and y0 > 30 and x1 < 251 and y1 < 211, "its edges cut nothing off"
        assert mask.crop_box_xyxy == (40, 30, 251, 211)
    assert found.filtered_by["crop_edge"]


def test_a_box_of_the_whole_image_changes_nothing() -> None:
    whole, boxed = (
        search((300, 400), "sam_default", points_per_side=8, box=b) for b in (None, (0, 0, 400, 300))
    )
    assert [m.mask for m in whole.masks] == [m.mask for m in boxed.masks]


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (500, 10, 600, 20), (0, 0, float("nan"), 3), (1, 2, 3)])
def test_a_box_without_a_pixel_is_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(BadOption, match="box: expected x0"):
        search((300, 400), "default", box=box)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points_per_side": 0}, "nothing would be asked"),
        ({"points_per_side": 8.5}, "whole number"),
        ({"stability_score_thresh": float("nan")}, "stability_score_thresh"),
        ({"max_area_fraction": 2}, "max_area_fraction"),
        ({"point_per_side": 3}, "unknown setting 'point_per_side'"),
        ({"refine": 1}, "refine: expected true or false"),
        ({"min_probability": 1.5}, "min_probability: expected 0 to 1"),
        ({"duplicates": "boxes"}, "duplicates: expected one of box, mask"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        search((30, 40), **changes)


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadOption, match="expected one of default, precise, sa1b, sam_default"):
        search((30, 40), "quick")


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 300), (300, 2)], ids=str)
@pytest.mark.parametrize("preset", PRESETS)
def test_images_of_a_few_pixels_are_searched_too(size_hw: tuple[int, int], preset: str) -> None:
    search(size_hw, preset, points_per_side=4)


def test_memory_does_not_grow_with_the_masks_times_the_photo() -> None:
    """Twelve megapixels: one mask of floats takes 48 MB, all answers of this grid 9 GB."""
    pixels = photo((3000, 4000))
    tracemalloc.start()
    try:
        found = everything(Model(SceneBackend(Scene(), 8)), pixels, "sam_default", points_per_side=8)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found.masks) > 5
    assert peak < 250e6


def test_threads_do_not_change_what_the_default_model_finds() -> None:
    options = {"points_per_side": 4, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    one, two = (everything(anymask.load(threads=n), photo((120, 90)), **options) for n in (1, 2))
    assert one.masks
    assert [m.mask for m in one.masks] == [m.mask for m in two.masks]
    sure = [[m.predicted_iou for m in found.masks] for found in (one, two)]
    assert sure[0] == pytest.approx(sure[1], abs=1e-5)  # ONNX Runtime's last digit depends on its threads


@pytest.mark.parametrize("name", ["cat", "city", "coffee", "raccoon", "rocket"])
def test_the_default_model_finds_things_in_every_example(name: str, examples: Path) -> None:
    masks = anymask.load().everything(examples / f"{name}.jpg")
    assert len(masks) >= 3
    assert masks[0].probability > 0.5
    assert all(0 <= m.probability <= 1 and m.evidence is not None for m in masks)


def coins_HW3() -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """24 disks on a dark table, and their boxes."""
    table, rng = Image.new("RGB", (384, 300), (40, 42, 45)), np.random.default_rng(0)
    boxes = [(20 + 60 * x, 20 + 70 * y, 61 + 60 * x, 61 + 70 * y) for y in range(4) for x in range(6)]
    for n, (x0, y0, x1, y1) in enumerate(boxes):
        colour = (150 + n % 5 * 15, 140, 90 + n % 7 * 10)
        ImageDraw.Draw(table).ellipse((x0, y0, x1 - 1, y1 - 1), fill=colour)
    noisy_HW3 = np.asarray(table) + rng.integers(-6, 7, (300, 384, 3))
    return noisy_HW3.clip(0, 255).astype(np.uint8), boxes


def test_coins_in_a_box_are_found_one_by_one() -> None:
    pixels, coins = coins_HW3()
    masks = anymask.load().everything(pixels, box=(5, 5, 375, 290))
    found = box_iou([m.mask.box_xyxy for m in masks], coins).max(axis=0)
    assert (found > 0.7).sum() >= 20
    assert min(m.mask.box_xyxy[0] for m in masks) >= 5


@pytest.mark.parametrize("preset", ["sa1b", "sam_default"])
def test_a_preset_whose_thresholds_are_for_other_models_says_so(preset: str, examples: Path) -> None:
    model = anymask.load()
    with pytest.raises(BadOption, match=f"preset {preset} has thresholds for SAM-family models"):
        model.everything(examples / "coffee.jpg", preset)
    assert settings_for(model, preset, pred_iou_thresh=0.5).stability_score_thresh == 0.95


def test_threads_and_workers_do_not_change_what_is_found(examples: Path) -> None:
    one, two = (
        everything(anymask.load(threads=threads), read_image(examples / "coffee.jpg"), points_per_side=10)
        for threads in (1, 2)
    )
    assert [m.mask for m in one.masks] == [m.mask for m in two.masks]
    predicted = ([m.predicted_iou for m in found.masks] for found in (one, two))
    np.testing.assert_allclose(*predicted, rtol=1e-6)  # sums of floats in another order
    assert one.filtered_by == two.filtered_by
