"""Overlays show the mask in its colour, the photo around it darker, and the prompts."""

from __future__ import annotations

import numpy as np
import pytest

from anymask.core.mask import Mask
from anymask.core.prompt import Prompt
from anymask.drawing import LONG_SIDE, PALETTE, POSITIVE, Drawn, overlay, side_by_side

POINT = Prompt.of(points=[(5.5, 5.5)])


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def block(height: int, width: int, rows: slice, columns: slice) -> Mask:
    inside = np.zeros((height, width), bool)
    inside[rows, columns] = True
    return Mask.from_array(inside)


def test_the_mask_is_tinted_and_the_rest_is_darker() -> None:
    mask = block(100, 160, slice(20, 80), slice(40, 120))
    pixels = np.asarray(overlay(grey(100, 160), [Drawn(mask, POINT)])).astype(int)
    inside, outside = pixels[50, 80], pixels[95, 155]
    assert (outside < 128).all() and len(set(outside.tolist())) == 1
    assert np.argmax(inside) == np.argmax(PALETTE[0])
    assert inside.max() - inside.min() > 30


def test_a_positive_point_is_a_green_disk() -> None:
    pixels = np.asarray(
        overlay(
            grey(200, 200), [Drawn(block(200, 200, slice(0, 9), slice(0, 9)), Prompt.of(points=[(100, 100)]))]
        )
    )
    near = pixels[92:109, 92:109].reshape(-1, 3)
    assert (np.abs(near.astype(int) - POSITIVE).sum(axis=1) < 30).any()


def test_a_large_photo_becomes_a_smaller_overlay() -> None:
    mask = block(3000, 4000, slice(500, 2500), slice(500, 3500))
    assert overlay(grey(3000, 4000), [Drawn(mask, Prompt.of(box=(500, 500, 3500, 2500)))]).size == (
        LONG_SIDE,
        1200,
    )


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 500), (500, 1), (2, 3), (1, 20_000)])
def test_the_smallest_and_thinnest_photos_are_drawn(size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    prompt = Prompt.of(points=[(width, height), (0, 0)], labels=[1, 0], box=(0, 0, width, height))
    drawn = Drawn(Mask.from_array(np.ones(size_hw, bool)), prompt, "1   p 0.93")
    image = overlay(grey(height, width), [drawn])
    assert image.mode == "RGB"
    assert max(image.size) == min(LONG_SIDE, max(size_hw))


def test_an_empty_mask_is_drawn() -> None:
    assert overlay(grey(10, 10), [Drawn(Mask.from_array(np.zeros((10, 10), bool)), POINT, "1")]).size == (
        10,
        10,
    )


def test_no_mask_leaves_the_photo_as_it_is() -> None:
    assert (np.asarray(overlay(grey(10, 10), [])) == 128).all()


def test_panels_stand_in_a_row() -> None:
    one = overlay(grey(40, 60), [])
    assert side_by_side([one]) is one
    assert side_by_side([one, one, one]).size == (3 * 60 + 2 * 8, 40)
