"""Automatic masks: the published generator's result, whatever the batch; filters that drop what they say."""

# ruff: noqa: E402
from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bright import WIDTH, BrightBackend, comb_HW3, iou
from scenes_for_grids import Scene, SceneBackend, area_of_boxes, plain_nms, published_predictor

import anymask
from anymask.api import Model
from anymask.backends.base import DecodedArrays
from anymask.core.frames import Window
from anymask.errors import BadOption
from anymask.images.reader import content_hash
from anymask.inference.automatic_settings import PRESETS
from anymask.inference.generator import Found, everything, everything_encoded

SCENE = Scene()
SIZES_HW = ((683, 1024), (301, 200), (750, 1300))


def photo(size_hw: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (*size_hw, 3), np.uint8)


def search(size_hw: tuple[int, int], preset: str = "reference", batch: int = 1, **changes: Any) -> Found:
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


def assert_same(ours: Found, theirs: list[dict[str, Any]]) -> None:
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
def test_the_reference_preset_is_the_published_generator(size_hw: tuple[int, int]) -> None:
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
        assert other.rejected == alone.rejected
        assert [m.mask for m in other.masks] == [m.mask for m in alone.masks]
        assert [m.predicted_iou for m in other.masks] == [m.predicted_iou for m in alone.masks]


def test_scoring_at_low_resolution_finds_the_same_masks() -> None:
    exact, quick = (search((683, 1024), scoring=scoring) for scoring in ("image", "low_res"))
    found = sum(any(a.mask.iou(b.mask) > 0.95 for b in quick.masks) for a in exact.masks)
    assert found >= 0.95 * len(exact.masks)


def test_skipping_covered_points_asks_less_and_finds_nearly_the_same() -> None:
    all_points, some = (search((683, 1024), "fast", skip_covered=skip) for skip in (0, 3))
    assert some.rejected["covered point"] > 40
    found = sum(any(a.mask.iou(b.mask) > 0.9 for b in some.masks) for a in all_points.masks)
    assert found >= 0.9 * len(all_points.masks)


def test_every_mask_is_of_the_size_of_the_photo_and_above_the_thresholds() -> None:
    found = search((333, 517), "paper")
    assert found.size_hw == (333, 517)
    assert found.content_hash == content_hash(photo((333, 517)))
    for mask in found.masks:
        assert mask.mask.size_hw == (333, 517)
        assert mask.predicted_iou > 0.88
        assert mask.stability_score >= 0.95
        assert mask.mask.area < 0.95 * 333 * 517


def test_what_is_dropped_is_counted_by_filter() -> None:
    found = search((300, 400), points_per_side=8)
    assert sum(found.rejected.values()) + len(found.masks) == 3 * 64
    nothing = search((300, 400), points_per_side=4, pred_iou_thresh=2.0)
    assert nothing.masks == []
    assert search((300, 400), "fast", points_per_side=8, pred_iou_thresh=2.0).masks == []
    assert nothing.rejected == {"predicted_iou": 48}


def test_progress_counts_every_point_of_every_crop() -> None:
    told: list[tuple[int, int]] = []
    search((300, 400), "paper", points_per_side=8, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (64 + 4 * 16 + 16 * 4,) * 2
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_an_encoded_image_is_searched_without_its_pixels_but_not_in_crops() -> None:
    image = Model(SceneBackend(SCENE)).encode(photo((300, 400)))
    found = everything_encoded(image, "reference", points_per_side=6)
    again = search((300, 400), points_per_side=6)
    assert [m.mask for m in found.masks] == [m.mask for m in again.masks]
    with pytest.raises(BadOption, match=r"Model\.everything"):
        image.everything("paper")


COMB = {"points_per_side": 8, "pred_iou_thresh": 0.5, "stability_score_thresh": 0.0}


def test_what_is_kept_is_drawn_again_from_closer_by_a_model_that_looks_twice() -> None:
    model, comb = Model(BrightBackend(), zooms=True), comb_HW3()
    (once,), (twice,) = (
        everything(model, comb, "fast", keep_logits=True, second_look=look, **COMB).masks
        for look in (False, True)
    )
    assert iou(once.mask.to_array(), comb) < 0.7
    assert iou(twice.mask.to_array(), comb) > 0.85
    assert isinstance(twice.transform, Window)
    assert twice.low_res_logits is not None
    assert (twice.transform.to_image_mask(twice.low_res_logits) == twice.mask.to_array()).all()
    assert (twice.predicted_iou, twice.stability_score, twice.point_xy) == (
        once.predicted_iou,
        once.stability_score,
        once.point_xy,
    )


def test_progress_goes_on_while_masks_are_drawn_again() -> None:
    told: list[tuple[int, int]] = []
    model, options = Model(BrightBackend(), zooms=True), {"second_look": True, **COMB}
    found = everything(model, comb_HW3(), "fast", progress=lambda *now: told.append(now), **options)
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


def test_of_what_comes_out_alike_from_closer_one_is_kept() -> None:
    comb = comb_HW3()
    once, twice = (
        everything(Model(HalvesBackend(), zooms=True), comb, "fast", second_look=look, **COMB)
        for look in (False, True)
    )
    assert len(once.masks) == 2
    (whole,) = twice.masks
    assert iou(whole.mask.to_array(), comb) > 0.85
    assert twice.rejected["duplicate"] == once.rejected["duplicate"] + 1


def test_in_crops_too_and_in_the_pixels_of_the_photo() -> None:
    model, comb = Model(BrightBackend(), zooms=True), comb_HW3()
    found = everything(model, comb, "wide", crop_n_layers=1, **COMB).masks
    assert max(iou(m.mask.to_array(), comb) for m in found) > 0.85


def test_without_the_photo_or_a_model_that_looks_twice_there_is_one_look() -> None:
    comb, backend = comb_HW3(), BrightBackend()
    once = everything(Model(backend), comb, "wide", **COMB).masks
    looks = backend.looks
    encoded = everything_encoded(Model(backend, zooms=True).encode(comb), "wide", **COMB).masks
    assert (looks, backend.looks) == (1, 2)
    assert [m.mask for m in once] == [m.mask for m in encoded]


def test_an_image_that_is_looked_at_twice_holds_its_photo_for_crops_and_second_looks() -> None:
    model, comb = Model(BrightBackend(), zooms=True), comb_HW3()
    options = {**COMB, "crop_n_layers": 1}
    of_image = model.zoom(comb).everything("wide", **options)
    assert max(iou(m.mask.to_array(), comb) for m in of_image) > 0.85
    assert [m.mask for m in of_image] == [m.mask for m in model.everything(comb, "wide", **options)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points_per_side": 0}, "nothing would be asked"),
        ({"points_per_side": 8.5}, "whole number"),
        ({"stability_score_thresh": float("nan")}, "stability_score_thresh"),
        ({"max_area_share": 2}, "max_area_share"),
        ({"point_per_side": 3}, "unknown setting 'point_per_side'"),
        ({"second_look": 1}, "second_look: expected true or false"),
        ({"duplicates": "boxes"}, "duplicates: expected one of box, mask"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        search((30, 40), **changes)


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadOption, match="expected one of fast, wide, paper, reference"):
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
        found = everything(Model(SceneBackend(Scene(), 8)), pixels, "reference", points_per_side=8)
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


def test_the_default_model_finds_things_in_a_photo() -> None:
    examples = Path(__file__).parents[2] / "examples"
    options = {"points_per_side": 8, "pred_iou_thresh": 0.3, "stability_score_thresh": 0.3}
    masks = anymask.load().everything(examples / "coffee.jpg", **options)
    assert masks
    assert {m.mask.size_hw for m in masks} == {(400, 600)}


def test_the_small_twin_asks_the_grid_and_the_model_answers_again(examples: Path) -> None:
    model = anymask.load()
    assert model.grid is not None
    assert model.grid.spec.input_size < model.spec.input_size
    found, full = (
        everything(model, examples / "coffee.jpg", points_per_side=12, pred_iou_thresh=0.5, grid=grid)
        for grid in ("small", "full")
    )
    assert found.masks
    assert full.masks
    alike = [max(a.mask.iou(b.mask) for b in full.masks) for a in found.masks]
    assert max(alike) > 0.8


def test_threads_and_workers_do_not_change_what_is_found(examples: Path) -> None:
    one, two = (
        everything(anymask.load(threads=threads), examples / "coffee.jpg", points_per_side=10)
        for threads in (1, 2)
    )
    assert [m.mask for m in one.masks] == [m.mask for m in two.masks]
    predicted = ([m.predicted_iou for m in found.masks] for found in (one, two))
    np.testing.assert_allclose(*predicted, rtol=1e-6)  # sums of floats in another order
    assert one.rejected == two.rejected
