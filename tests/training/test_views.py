"""Views keep masks on their pixels, and a view is a function of its number alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("cv2")

from scenes import write_scenes

from anymask.data.sources import RecordSource, open_records
from anymask.errors import BadInput
from anymask.training.data.augment import random_frame, window_frame
from anymask.training.data.sampler import CpuDataset, Sampler
from anymask.training.data.views import MaskView
from anymask.training.task import ViewConfig
from anymask.training.tasks.clicks import CLICKS

CONFIG = ViewConfig(size=64, stride=2, objects=2, colour=0.0)


@pytest.fixture
def views(tmp_path: Path) -> CpuDataset[MaskView]:
    records = open_records(write_scenes(tmp_path / "scenes"))
    return CpuDataset(records, Sampler(records, {}, 3, CLICKS), CLICKS)


def test_a_view_is_a_function_of_seed_and_number(views: CpuDataset[MaskView]) -> None:
    first, again, other = views.view(5, CONFIG), views.view(5, CONFIG), views.view(6, CONFIG)
    assert np.array_equal(first.pixels_SS3, again.pixels_SS3)
    assert np.array_equal(first.masks_Kmm, again.masks_Kmm)
    assert not np.array_equal(first.pixels_SS3, other.pixels_SS3)


def test_masks_lie_on_their_objects_after_crop_scale_and_flip(views: CpuDataset[MaskView]) -> None:
    """Objects are bright and the ground dark, so the mask must agree with the brightness it covers."""
    overlaps = []
    for number in range(40):
        view = views.view(number, CONFIG)
        bright = (view.pixels_SS3.max(-1).reshape(32, 2, 32, 2).mean((1, 3)) > 90) & ~padding(view.pixels_SS3)
        for mask in view.masks_Kmm:
            overlaps.append((mask & bright).sum() / mask.sum())
    assert np.mean(overlaps) > 0.97
    assert min(overlaps) > 0.85


def padding(pixels: np.ndarray) -> np.ndarray:
    return np.asarray((pixels == 127).all(-1).reshape(32, 2, 32, 2).all((1, 3)))


def test_every_view_shows_the_asked_number_of_visible_objects(views: CpuDataset[MaskView]) -> None:
    for number in range(20):
        masks = views.view(number, CONFIG).masks_Kmm
        assert masks.shape == (2, 32, 32)
        assert masks.any((1, 2)).all()


@pytest.mark.parametrize("empty", [{}, {"segmentation": None}, {"segmentation": []}])
def test_photos_without_masks_are_not_trained_on(tmp_path: Path, empty: dict[str, Any]) -> None:
    (scene,) = open_records(write_scenes(tmp_path / "scenes", 1))
    bare = {"image": {"width": 8, "height": 8}, "annotations": [{"bbox": [0, 0, 4, 4], **empty}]}
    with pytest.raises(BadInput, match="no masks"):
        Sampler(RecordSource("bare", [("a", scene.blob, bare)]), {}, 0, CLICKS)


@pytest.mark.parametrize("size_hw", [(20, 400), (400, 20), (64, 64), (1, 1)])
def test_frames_stay_inside_the_photo_whatever_its_shape(size_hw: tuple[int, int]) -> None:
    rng, config = np.random.default_rng(0), replace(CONFIG, scale=(0.2, 4.0), stretch=0.5)
    for _ in range(50):
        frame = random_frame(size_hw, (0, 0, size_hw[1], size_hw[0]), config, rng)
        x0, y0, x1, y1 = frame.crop_xyxy
        assert 0 <= x0 < x1 <= size_hw[1] + 1e-6 and 0 <= y0 < y1 <= size_hw[0] + 1e-6
        assert all(0 < side <= 64 and side % 4 == 0 for side in frame.drawn_hw)
        assert all(o % 4 == 0 and o + d <= 64 for o, d in zip(frame.origin_yx, frame.drawn_hw, strict=True))


def test_a_stretched_view_keeps_its_area() -> None:
    rng = np.random.default_rng(0)
    whole = (0.0, 0.0, 64.0, 64.0)
    config = replace(CONFIG, size=512, scale=(0.5, 0.5), stretch=0.5)
    frames = [random_frame((64, 64), whole, config, rng) for _ in range(50)]
    ratios = [wide / high for high, wide in (frame.drawn_hw for frame in frames)]
    assert 0.65 < min(ratios) < 0.75 and 1.35 < max(ratios) < 1.55
    assert all(abs(high * wide - 256**2) < 0.03 * 256**2 for high, wide in (f.drawn_hw for f in frames))


def test_a_window_shows_its_thing_with_some_room_and_fills_the_view() -> None:
    rng = np.random.default_rng(0)
    thing = (200.0, 100.0, 320.0, 180.0)
    for _ in range(50):
        frame = window_frame((400, 600), thing, 128, rng)
        x0, y0, x1, y1 = frame.crop_xyxy
        assert 0 <= x0 <= thing[0] and 0 <= y0 <= thing[1] and thing[2] <= x1 <= 600 and thing[3] <= y1 <= 400
        assert max(frame.drawn_hw) == 128 and frame.origin_yx == (0, 0) and frame.closer


def test_windows_are_as_many_as_asked_for_and_show_one_thing(views: CpuDataset[MaskView]) -> None:
    config = replace(CONFIG, closer=0.5)
    drawn = [views.view(number, config) for number in range(60)]
    closer = [view for view in drawn if view.closer]
    assert 20 < len(closer) < 40
    assert all(np.array_equal(*view.masks_Kmm) for view in closer)
    assert not all(np.array_equal(*view.masks_Kmm) for view in drawn if not view.closer)
