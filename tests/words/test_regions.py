"""Masks and boxes as weights of cells."""

from __future__ import annotations

import numpy as np

from anymask.core.frames import ResizeLongest
from anymask.core.mask import Mask
from anymask.words.regions import box_weights, mask_weights, pooled

FRAME = ResizeLongest((384, 512), 512)  # as large as the model's square: a cell is 16 pixels
CELLS = (24, 32)


def rectangle(x0: int, y0: int, x1: int, y1: int, size_hw: tuple[int, int] = (384, 512)) -> Mask:
    inside = np.zeros(size_hw, bool)
    inside[y0:y1, x0:x1] = True
    return Mask.from_array(inside)


def test_a_cell_counts_by_the_share_that_is_covered() -> None:
    weights = mask_weights([rectangle(16, 32, 40, 48)], FRAME, CELLS)[0]
    assert weights[2, 1] == 1 and weights[2, 2] == 0.5 and weights.sum() == 1.5


def test_a_filled_box_weighs_as_its_mask() -> None:
    box = (24, 40, 120, 200)
    by_mask, by_box = mask_weights([rectangle(*box)], FRAME, CELLS), box_weights([box], FRAME, CELLS)
    np.testing.assert_allclose(by_mask, by_box, atol=1e-6)


def test_an_enlarged_photo_has_the_same_cells() -> None:
    small = ResizeLongest((96, 128), 512)
    weights = mask_weights([rectangle(4, 8, 10, 12, (96, 128))], small, CELLS)[0]
    assert weights[2, 1] == 1 and weights[2, 2] == 0.5 and weights.sum() == 1.5


def test_a_mask_between_the_samples_counts_by_its_box() -> None:
    large = ResizeLongest((3840, 5120), 512)
    weights = mask_weights([rectangle(0, 0, 2, 2, (3840, 5120))], large, CELLS)[0]
    assert weights[0, 0] > 0 and np.count_nonzero(weights) == 1


def test_padding_belongs_to_no_region() -> None:
    wide = ResizeLongest((380, 512), 512)
    weights = mask_weights([rectangle(0, 0, 512, 380, (380, 512))], wide, CELLS)[0]
    assert weights[-1].max() == 0.75 and (weights[:-1] == 1).all()


def test_pooling_is_the_weighted_mean_and_an_empty_region_is_zero() -> None:
    features = np.arange(2 * 24 * 32, dtype=np.float32).reshape(2, 24, 32)
    weights = np.zeros((2, *CELLS), np.float32)
    weights[0, 3, 4], weights[0, 3, 5] = 1, 3
    got = pooled(weights, features)
    np.testing.assert_allclose(got[0], features[:, 3, 4] * 0.25 + features[:, 3, 5] * 0.75)
    assert (got[1] == 0).all()
