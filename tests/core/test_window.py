"""A window of an image: where its answers land, and logits carried from one frame to another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anymask.core.frames import OUTSIDE, ResizeLongest, Window, redraw

SIZE_HW = (90, 120)
WHOLE = ResizeLongest(SIZE_HW, 64)
SQUARE = Window(SIZE_HW, (40, 20, 80, 60), 64)


def ramp(frame: ResizeLongest, origin_xy: tuple[int, int], size: int, slope_xy: tuple[float, float]) -> Any:
    """Logits that are a plane over the image, drawn in a frame."""
    cells = (np.arange(size) + 0.5) * (frame.input_size / size)
    x, y = frame.to_image_points(np.stack(np.meshgrid(cells, cells), -1)).transpose(2, 0, 1)
    return ((x + origin_xy[0]) * slope_xy[0] + (y + origin_xy[1]) * slope_xy[1]).astype(np.float32)


def test_an_answer_about_a_window_lands_there_and_is_a_no_elsewhere() -> None:
    logits_HW = SQUARE.to_image_logits(np.full((1, 16, 16), 3, np.float32))[0]
    assert logits_HW.shape == SIZE_HW
    assert (logits_HW[20:60, 40:80] == 3).all()
    assert (logits_HW == 3).sum() == 40 * 40
    assert (logits_HW[logits_HW != 3] == OUTSIDE).all()


@given(st.integers(0, 2**32 - 1), st.floats(-12, 12))
def test_the_mask_is_where_the_logits_exceed_the_threshold(seed: int, threshold: float) -> None:
    low_res = np.random.default_rng(seed).normal(0, 5, (16, 16)).astype(np.float32)
    logits_HW = SQUARE.to_image_logits(low_res[None])[0]
    assert np.array_equal(SQUARE.to_image_mask(low_res, threshold), logits_HW > threshold)


def test_a_window_shows_its_own_pixels() -> None:
    pixels = np.arange(90 * 120).reshape(SIZE_HW)
    assert np.array_equal(SQUARE.cut(pixels), pixels[20:60, 40:80])


@settings(deadline=None)
@given(
    st.tuples(st.integers(0, 60), st.integers(0, 40)),
    st.tuples(st.integers(8, 60), st.integers(8, 50)),
    st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1)),
)
def test_a_plane_stays_a_plane_in_any_window(
    origin: tuple[int, int], sides: tuple[int, int], slope: tuple[float, float]
) -> None:
    """Whatever is linear in the image survives bilinear sampling; half a cell at its edge continues flat."""
    window = Window(SIZE_HW, (*origin, origin[0] + sides[0], origin[1] + sides[1]), 64)
    carried = redraw(ramp(WHOLE, (0, 0), 32, slope), WHOLE, window)
    expected = ramp(window.inside, origin, 32, slope)
    height, width = (round(side * 32 / 64) for side in window.inside.size_hw_model)
    off = np.abs(carried - expected)[: height - 1, : width - 1]
    cell = 120 / 32
    assert off.max() <= cell * (abs(slope[0]) + abs(slope[1])) / 2 + 1e-4
    x = np.arange(width - 1)[(np.arange(width - 1) + 0.5) / width * sides[0] + origin[0] > cell]
    y = np.arange(height - 1)[(np.arange(height - 1) + 0.5) / height * sides[1] + origin[1] > cell]
    inner = off[np.ix_(y, x)]
    assert inner.size == 0 or inner[: len(y) * 2 // 3, : len(x) * 2 // 3].max(initial=0) < 1e-3


def test_there_and_back_keeps_what_the_window_shows_and_knows_nothing_else() -> None:
    y, x = np.mgrid[:32, :32]
    disk = (5 - np.hypot(x - 16, y - 11)).astype(np.float32)  # in the window, 60, 40 in the image
    back = redraw(redraw(disk, WHOLE, SQUARE), SQUARE, WHOLE)
    shown = back > OUTSIDE
    assert 0 < shown.sum() < back.size
    assert np.abs(back - disk)[shown].max() < 1.0
    assert np.array_equal(back > 0, disk > 0)


def test_the_padding_of_a_frame_says_no() -> None:
    wide = redraw(np.full((32, 32), 4, np.float32), WHOLE, Window(SIZE_HW, (0, 0, 120, 30), 64))
    assert (wide[:8] == 4).all()
    assert (redraw(wide, Window(SIZE_HW, (0, 0, 120, 30), 64), WHOLE)[8:] == OUTSIDE).all()


@pytest.mark.parametrize("frame", [WHOLE, SQUARE])
def test_the_same_frame_changes_nothing_where_it_shows_something(frame: Any) -> None:
    low_res = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    same = redraw(low_res, frame, frame)
    assert np.allclose(same[same > OUTSIDE], low_res[same > OUTSIDE], atol=1e-5)
