"""Arrays of every depth and shape: what range they are taken to have, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core_pictures import corners
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from anymask.errors import BadImage
from anymask.images.reader import read_image

RAMP = np.linspace(0, 1, 256).reshape(16, 16)
EXPECTED = np.arange(256).reshape(16, 16)


def test_an_array_that_needs_no_change_is_returned_as_it_is() -> None:
    pixels = corners()
    assert read_image(pixels) is pixels


def test_views_become_contiguous() -> None:
    for view in (corners()[::-1], corners()[:, ::2], corners().transpose(1, 0, 2)):
        read = read_image(view)
        assert read.flags.c_contiguous and np.array_equal(read, view)


@pytest.mark.parametrize("shape", [(24, 40), (24, 40, 1)])
def test_grey_becomes_three_equal_channels(shape: tuple[int, ...]) -> None:
    grey = corners()[:, :, 0].reshape(shape)
    assert np.array_equal(read_image(grey), np.repeat(grey.reshape(24, 40, 1), 3, axis=2))


def test_alpha_of_an_array_is_laid_over_white() -> None:
    rgba = np.dstack([corners(), np.zeros((24, 40), np.uint8)])
    assert (read_image(rgba) == 255).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.dtype(">f4")])
@pytest.mark.parametrize("top", [1, 255])
def test_floats_reach_to_one_or_to_255(dtype: Any, top: int) -> None:
    assert np.abs(read_image((RAMP * top).astype(dtype))[:, :, 0] - EXPECTED).max() <= 1


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64, np.dtype(">u2")])
def test_whole_numbers_fill_the_range_of_their_bits(bits: int, dtype: Any) -> None:
    array = np.rint(RAMP * (2**bits - 1)).astype(dtype)
    assert np.array_equal(read_image(array)[:, :, 0], EXPECTED)


def test_bool_is_black_and_white() -> None:
    assert np.array_equal(read_image(RAMP > 0.5)[:, :, 0], np.where(RAMP > 0.5, 255, 0))


def test_the_overshoot_of_a_filter_is_cut_off() -> None:
    assert read_image(np.array([[-0.01, 0.5, 1.01]]))[0, :, 0].tolist() == [0, 128, 255]
    assert read_image(np.array([[-2.0, 100.0, 258.0]]))[0, :, 0].tolist() == [0, 100, 255]


BAD: dict[str, tuple[np.ndarray, str]] = {
    "number": (np.array(5), "got a single number"),
    "row": (np.zeros(5), "expected an array of shape .*, got 5$"),
    "two channels": (np.zeros((4, 5, 2)), "got 4 x 5 x 2$"),
    "channels first": (np.zeros((3, 40, 50)), "channels first"),
    "batch": (np.zeros((1, 4, 5, 3)), "got 1 x 4 x 5 x 3"),
    "no rows": (np.zeros((0, 5, 3), np.uint8), "at least one pixel, got an array of 0 x 5 x 3"),
    "no columns": (np.zeros((5, 0)), "at least one pixel"),
    "negative": (np.array([[-1, 5]]), r"whole numbers in 0\.\.65535, got -1\.\.5"),
    "too large": (np.array([[0, 70_000]]), r"got 0\.\.70000"),
    "normalised": (np.array([[-2.1, 2.6]]), r"floats in 0\.\.1 or 0\.\.255, got -2\.1\.\.2\.6"),
    "not a number": (np.array([[0.5, np.nan]]), "NaN"),
    "without end": (np.array([[0.5, np.inf]]), "infinity"),
    "words": (np.array([["a", "b"]]), "got <U1"),
    "complex": (np.zeros((2, 2), complex), "got complex128"),
    "objects": (np.array([[None, 1]], object), "got object"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_array_that_is_no_image_is_one_clear_line(case: str) -> None:
    array, message = BAD[case]
    with pytest.raises(BadImage, match=message) as caught:
        read_image(array)
    assert "\n" not in str(caught.value)


DTYPES = st.sampled_from(["u1", "u2", "i2", "i8", "f2", "f4", "f8", "?", "c8", "U2"])
SHAPES = array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)


@given(DTYPES.flatmap(lambda dtype: arrays(dtype, SHAPES)))
def test_any_array_is_an_image_or_refused(array: np.ndarray) -> None:
    try:
        pixels = read_image(array)
    except BadImage:
        return
    assert pixels.dtype == np.uint8 and pixels.shape == (*array.shape[:2], 3) and pixels.flags.c_contiguous


def test_what_turns_into_an_array_is_read() -> None:
    class Tensor:
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
            return corners()

    assert np.array_equal(read_image(Tensor()), corners())
